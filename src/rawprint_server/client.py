"""One client, as its accent sees it: what it may do, what it is sent, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from rawprint import Unsupported
from rawprint_server.access import ADMIN, NEEDS, NotGranted
from rawprint_server.adding import NoFile
from rawprint_server.commands import check_commands
from rawprint_server.messages import PROTOCOL, TooLarge
from rawprint_server.watching import Seen

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.access import Entry
    from rawprint_server.adding import ConfigFile
    from rawprint_server.audit import Audit
    from rawprint_server.config import Config
    from rawprint_server.documents import Documents
    from rawprint_server.gate import Gate
    from rawprint_server.hub import Hub
    from rawprint_server.limits import Meter
    from rawprint_server.messages import Snapshot
    from rawprint_server.methods import About
    from rawprint_server.reading import Reader
    from rawprint_server.watching import Watching

log = logging.getLogger(__name__)

# Calls that print nothing and change nothing.
QUESTIONS = frozenset(call for call, kind in NEEDS.items() if kind == "status") | {
    "jobs.get",
    "jobs.list",
    "jobs.text",
    "admin.watch",
    "admin.unwatch",
    "printers.history",
    "admin.access",
}


PROBES = 2  # at a time: each takes a thread, and the journal needs some


@dataclass(slots=True)
class Statistics:
    """What all sessions count: calls by name and outcome ("ok" or the error's code), and clients cut off."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    cut_off: int = 0


@dataclass(slots=True)
class Services:
    """What all sessions share.

    Attributes:
        gate: Who may come in.
        meter: How much each has printed.
        audit: Where it is written who did what; None: nowhere.
        documents: Prints what is no bytes for the printer.
        reader: Reads what jobs say.
        watching: Who watches all that.
        file: Where printers can be added; None: nowhere.
        probes: Taken while a printer is examined.
    """

    config: Config
    gate: Gate
    meter: Meter
    audit: Audit | None = None
    documents: Documents | None = None
    reader: Reader | None = None
    watching: Watching | None = None
    file: ConfigFile | None = None
    probes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PROBES))
    statistics: Statistics = field(default_factory=Statistics)

    def record(
        self,
        connection: ServerConnection,
        call: str,
        outcome: str,
        *,
        origin: str | None,
        token: str | None,
        about: About,
    ) -> None:
        """Writes down what somebody did, or tried, where that is to be written down."""
        if self.audit is None:
            return
        address = connection.remote_address
        self.audit.record(
            origin=origin,
            address=address[0] if address else None,
            token=token,
            call=call,
            printer=about.printer,
            job=about.job,
            size=about.size,
            sha256=about.sha256,
            outcome=outcome,
        )


class Client:
    """One connection, as its accent sees it.

    Attributes:
        hub: The printers.
        entry: Who it is, and what it may do.
        seen: What is counted of it.
    """

    def __init__(self, connection: ServerConnection, hub: Hub, services: Services, entry: Entry) -> None:
        self.hub = hub
        self.entry = entry
        self._connection = connection
        self._services = services
        self.seen = Seen()
        self._largest = 0

    @property
    def by(self) -> str:
        """Who it is, as jobs tell who asked for them."""
        entry = self.entry
        if entry.origin is not None:
            return entry.origin
        return f"program {self.address}" if entry.token is None else f"token {entry.token}"

    @property
    def address(self) -> str:
        """Where it is, without its port; "" where that is not known."""
        address = self._connection.remote_address
        return address[0] if address else ""

    @property
    def accent(self) -> Literal["native", "printerwebsocket"] | None:
        """How it speaks; None: it has not spoken yet."""
        if self._connection.subprotocol == PROTOCOL:
            return "native"
        return "printerwebsocket" if self.seen.spoke else None

    # -- what it may do ------------------------------------------------------------------------------------------

    def need(self, call: str) -> None:
        """Makes sure that it may make the call.

        Raises:
            NotGranted: It may not.
        """
        kind = NEEDS.get(call, "")
        if kind and kind not in self.entry.grant.calls:
            if kind == "admin":
                raise NotGranted(
                    f"{call} is for this machine's user alone",
                    hint="`rawprint-server dashboard` opens the page for it.",
                )
            raise NotGranted(f"{call} needs {kind!r}, which was not granted", hint=self._remedy(f"--calls …,{kind}"))

    def need_printer(self, name: str) -> None:
        """Makes sure that it may use the printer, whether there is one of that name or not.

        Raises:
            NotGranted: It may not.
        """
        grant = self.entry.grant
        if grant.printers is not None and name in grant.printers and name not in self.hub.names():
            raise self.hub.unknown_printer(name, grant.printers)  # the others' names are not for it
        if not grant.covers(name):
            raise NotGranted(
                f"the printer {name[:100]!r} was not granted", hint=self._remedy(f"--printer {json.dumps(name[:100])}")
            )

    @property
    def config(self) -> Config:
        """What the server is told."""
        return self._services.config

    def _remedy(self, option: str) -> str:
        """What lets it."""
        if self.entry.origin is None:
            return "A token that was granted it lets it: rawprint-server access token new NAME"
        return f"rawprint-server access allow {self.entry.origin[:100]} {option}"

    def fits(self, size: int) -> None:
        """Makes sure that a job may be so large, in bytes.

        Raises:
            TooLarge: It may not.
        """
        limit = self._services.config.limits.job_bytes
        if size > limit:
            raise TooLarge(
                f"a job of {size} bytes: at most {limit} are taken",
                hint="Print it in parts, or raise job_bytes in [limits] of the configuration.",
            )

    def charge(self, data: bytes | memoryview, printer: str) -> None:
        """Makes sure that it may print these bytes there, and counts them.

        Raises:
            TooLarge, RateLimited, CommandRefused: It may not.
        """
        grant = self.entry.grant
        self.fits(len(data))
        refused, drawer = self.hub.refuses(printer), "drawer" in grant.calls
        if not grant.raw and (refused or not drawer):
            check_commands(data, self.hub.language(printer), refused, drawer=drawer)
        self.charge_job(len(data))

    def charge_job(self, size: int) -> None:
        """Counts a job of so many bytes.

        Raises:
            RateLimited: There were too many before.
        """
        if self.entry.origin is not None or self.entry.token is not None:
            self._services.meter.charge(self.entry.who, size, time.monotonic())

    @property
    def audits(self) -> bool:
        """Whether what it does is written down."""
        return self._services.audit is not None

    def record(self, call: str, about: About, outcome: str) -> None:
        """Writes down what it did, where that is to be written down."""
        entry = self.entry
        self._services.record(self._connection, call, outcome, origin=entry.origin, token=entry.token, about=about)

    # -- documents -----------------------------------------------------------------------------------------------

    @property
    def documents(self) -> Documents:
        """Prints what is no bytes for the printer."""
        documents = self._services.documents
        if documents is None:
            raise Unsupported("this server prints no documents")
        return documents

    @property
    def reader(self) -> Reader:
        """Reads what jobs say."""
        reader = self._services.reader
        if reader is None:
            raise Unsupported("this server reads no jobs")
        return reader

    # -- the administrator ---------------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """Who may come in."""
        return self._services.gate

    @property
    def watching(self) -> Watching:
        """Who watches."""
        watching = self._services.watching
        if watching is None:
            raise Unsupported("this server is not watched")
        return watching

    @property
    def file(self) -> ConfigFile:
        """Where printers can be added.

        Raises:
            NoFile: Nowhere.
        """
        if self._services.file is None:
            raise NoFile
        return self._services.file

    @property
    def probes(self) -> asyncio.Semaphore:
        """Taken while a printer is examined."""
        return self._services.probes

    def become_admin(self, code: str) -> None:
        """Lets the server's own page do all, for as long as its connection lasts.

        Raises:
            NotGranted: It is another page, or the code is none, used or too old.
        """
        origin = self.entry.origin
        if origin is None or origin not in self.gate.own or not self.gate.use_code(code):
            raise NotGranted(
                "that is no code of the dashboard's, or it was used, or is older than a minute",
                hint="`rawprint-server dashboard` opens the page with a new one.",
            )
        self.entry = self.entry._replace(grant=ADMIN)

    # -- frames --------------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Sends a text frame without waiting; a client that does not read what it gets is cut off."""
        transport = self._connection.transport
        if transport.is_closing():
            return
        # The state of very many jobs may be longer than the bound; what comes after it may have to wait behind it.
        self._largest = max(self._largest, len(frame))
        if transport.get_write_buffer_size() > max(self._services.config.server.max_outbox_bytes, 2 * self._largest):
            self._services.statistics.cut_off += 1
            log.warning("cut off the client %s: it does not read", self._connection.remote_address)
            transport.abort()
            return
        broadcast((self._connection,), frame, text=True)

    async def send_in_turn(self, frame: bytes) -> None:
        """Sends a text frame, and waits while the client does not read."""
        with suppress(ConnectionClosed):
            await self._connection.send(frame, text=True)

    def subscribe(self) -> Snapshot:
        """Everything known; from here on the client hears of every change."""
        grant = self.entry.grant
        self.seen.subscribed = True
        self.hub.subscribe(self.send, grant.printers, jobs=grant.sees_jobs)
        return self.hub.snapshot(grant.printers, jobs=grant.sees_jobs)

    def narrow(self) -> None:
        """It may see other printers than before: what it hears from here on is of those."""
        if self.hub.unsubscribe(self.send):
            self.hub.subscribe(self.send, self.entry.grant.printers, jobs=self.entry.grant.sees_jobs)

    def unsubscribe(self) -> None:
        """The client hears of no change any more."""
        self.seen.subscribed = False
        self.hub.unsubscribe(self.send)

    def received(self, frame: str | bytes) -> None:
        """Counts a message."""
        seen = self.seen
        seen.spoke = True
        seen.bytes += (
            len(frame.encode(errors="replace")) if isinstance(frame, str) and not frame.isascii() else len(frame)
        )

    def count(self, call: str, outcome: str) -> None:
        """Counts a call."""
        self.seen.calls += 1
        self.seen.errors += outcome != "ok"
        if self._services.watching is not None:
            self._services.watching.changed(self)
        self._services.statistics.calls[call if call in NEEDS else "unknown", outcome] += 1
