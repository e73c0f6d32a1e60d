r"""Print receipts and labels straight to the printer, and hear from the printer itself.

    import rawprint

    with rawprint.open("tcp://192.168.1.50", "tspl") as printer:
        print(printer.status().state)
        printer.print(b"SIZE 40 mm,30 mm\r\nCLS\r\nTEXT 20,20,\"3\",0,1,1,\"Hello\"\r\nPRINT 1\r\n")

`PrintQueue` does the same in a thread of its own: it waits for a printer that is off or out of paper, and says how
each job ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.address import parse as parse_address
from rawprint.capabilities import Capabilities
from rawprint.dialects import DIALECTS as _DIALECTS
from rawprint.errors import (
    AccessDenied,
    AddressError,
    AmbiguousAddress,
    BackendMissing,
    BadReply,
    Disconnected,
    DocumentError,
    DocumentTimeout,
    DocumentTooLarge,
    JobCanceled,
    JobExpired,
    JournalError,
    JournalTaken,
    NoReply,
    OpenError,
    PrinterBusy,
    PrinterNotFound,
    RawprintError,
    UnprintableText,
    Unsettled,
    Unsupported,
    WriteStalled,
)
from rawprint.jobs import Job, JobState
from rawprint.print_queue import Conversation, PrintQueue
from rawprint.printer import Printer, open
from rawprint.status import Exchange, PrinterState, PrinterStatus, Reason

if TYPE_CHECKING:
    from rawprint import documents
    from rawprint.aside import AsideWatch, ask_aside
    from rawprint.dialects import note
    from rawprint.discovery import Discovery, discover
    from rawprint.filtering import NotableCommand, notable_commands
    from rawprint.journal import Journal, JournalEntry
    from rawprint.probe import Report, examine
    from rawprint.transports import Found
    from rawprint.transports.hotplug import CableWatch

__version__ = "0.1.0"

#: The printer languages whose status rawprint reads, by name.
DIALECTS = tuple(_DIALECTS)

#: Language -> what may be promised of a printer in `Capabilities`: that it answers a question, or knows a command.
PROMISES = {name: dialect.promises for name, dialect in _DIALECTS.items()}

#: Ways to a network printer's state beside its print connection, by name; see `ask_aside`.
CHANNELS = ("snmp", "epson", "star", "tsc")

#: Language -> the pins of the connector on which it can open a cash drawer.
DRAWER_PINS = {name: tuple(dialect.drawer) for name, dialect in _DIALECTS.items()}

#: Language -> what heads a job that is printed once more and may be a copy.
COPY_MARKS = {name: dialect.copy_mark for name, dialect in _DIALECTS.items()}

__all__ = [
    "CHANNELS",
    "COPY_MARKS",
    "DIALECTS",
    "DRAWER_PINS",
    "PROMISES",
    "AccessDenied",
    "AddressError",
    "AmbiguousAddress",
    "AsideWatch",
    "BackendMissing",
    "BadReply",
    "CableWatch",
    "Capabilities",
    "Conversation",
    "Disconnected",
    "Discovery",
    "DocumentError",
    "DocumentTimeout",
    "DocumentTooLarge",
    "Exchange",
    "Found",
    "Job",
    "JobCanceled",
    "JobExpired",
    "JobState",
    "Journal",
    "JournalEntry",
    "JournalError",
    "JournalTaken",
    "NoReply",
    "NotableCommand",
    "OpenError",
    "PrintQueue",
    "Printer",
    "PrinterBusy",
    "PrinterNotFound",
    "PrinterState",
    "PrinterStatus",
    "RawprintError",
    "Reason",
    "Report",
    "UnprintableText",
    "Unsettled",
    "Unsupported",
    "WriteStalled",
    "ask_aside",
    "discover",
    "documents",
    "examine",
    "notable_commands",
    "note",
    "open",
    "parse_address",
]


def __getattr__(name: str) -> object:
    """What few programs need is loaded when it is asked for."""
    if name in {"AsideWatch", "ask_aside"}:
        from rawprint import aside  # noqa: PLC0415

        return getattr(aside, name)
    if name in {"Discovery", "Found", "discover"}:
        from rawprint import discovery, transports  # noqa: PLC0415

        return getattr(transports if name == "Found" else discovery, name)
    if name in {"Journal", "JournalEntry"}:
        from rawprint import journal  # noqa: PLC0415

        return getattr(journal, name)
    if name in {"Report", "examine"}:
        from rawprint import probe  # noqa: PLC0415

        return getattr(probe, name)
    if name == "note":
        from rawprint import dialects  # noqa: PLC0415

        return dialects.note
    if name in {"NotableCommand", "notable_commands"}:
        from rawprint import filtering  # noqa: PLC0415

        return getattr(filtering, name)
    if name == "documents":
        from importlib import import_module  # noqa: PLC0415

        return import_module("rawprint.documents")
    if name == "CableWatch":
        from rawprint.transports import hotplug  # noqa: PLC0415

        return hotplug.CableWatch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
