"""What a transport is: an open byte pipe that never loses count."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rawprint.address import LpAddress, SerialAddress, UsbAddress, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import Address
    from rawprint.errors import OpenError
    from rawprint.status import Reason


@dataclass(frozen=True, slots=True)
class Found:
    """A printer that a transport sees on this machine. Finding one claims nothing and sends no byte to it.

    Attributes:
        address: Opens exactly this printer.
        make_model: Maker and model as the printer or its port names itself; may be empty.
        serial: Its serial number; may be empty.
        device_id: Its IEEE 1284 device id, where the system told it without opening the printer; may be empty.
        error: Why it cannot be opened now, where that is known.
        also: Other addresses of the same printer.
        place: Where it is plugged in, such as "1-2:1.0", where the system tells; one place is one printer.
        txt: What its DNS-SD record says of it.
        dialect: The language that it probably speaks, by what it says of itself; None: that tells nothing.
        dialect_how: How that was learnt.
    """

    address: str
    make_model: str = ""
    serial: str = ""
    device_id: str = ""
    error: OpenError | None = None
    also: tuple[str, ...] = ()
    place: str = ""
    txt: Mapping[str, str] = field(default_factory=dict)
    dialect: str | None = None
    dialect_how: str = ""

    def fits(self, address: Address) -> bool:
        """Whether the address means this printer; where it leaves open which of several, each of them."""
        return any(self._is_at(address, parse(one)) for one in (self.address, *self.also))

    def _is_at(self, wanted: Address, own: Address) -> bool:
        if isinstance(wanted, UsbAddress) and isinstance(own, UsbAddress):
            port, _, interface = self.place.partition(":1.")
            return (
                (wanted.vid, wanted.pid) == (own.vid, own.pid)
                and wanted.serial in ("", own.serial, self.serial)
                and wanted.port in ("", own.port, port)
                and wanted.interface in (None, own.interface, int(interface) if interface.isdecimal() else 0)
            )
        if isinstance(wanted, LpAddress) and isinstance(own, LpAddress):
            return os.path.realpath(wanted.path) == os.path.realpath(own.path)
        if isinstance(wanted, SerialAddress) and isinstance(own, SerialAddress):
            return os.path.realpath(wanted.device) == os.path.realpath(own.device)
        return wanted == own


class Transport(ABC):
    """An open byte pipe to one printer. Used by one thread at a time; only `close` may come from another.

    Time-outs are in seconds; 0 means "do not wait". An open transport exists or it does not: whatever makes one
    returns it open, and after `close` or Disconnected every call raises Disconnected.
    """

    #: What the count of `write` less `unacknowledged` proves: "acknowledged" (the far side has the bytes: its network
    #: host, or its USB controller), "handed-over" (this system took them and cannot say more). It becomes the evidence
    #: of a job.
    counts: ClassVar[str] = "handed-over"

    @property
    def bidirectional(self) -> bool:
        """Whether anything can come back at all; a USB interface may have no IN endpoint."""
        return True

    @abstractmethod
    def write(self, data: memoryview, timeout: float) -> int:
        """Give bytes to the printer; returns how many left our hands and must never be given again.

        It may take fewer than offered, and takes what it can as soon as it can; 0 means none within `timeout`.

        Raises:
            Disconnected: The connection has ended. None of *this call's* bytes were taken.
        """

    @abstractmethod
    def read(self, timeout: float) -> bytes:
        """What the printer sent, at most 4 KiB; b"" where nothing came in time.

        Raises:
            Disconnected: The connection has ended, and everything that came before was read.
        """

    def unacknowledged(self) -> int:
        """Of the bytes that `write` counted, how many the far side has not confirmed yet (the newest ones).

        May be asked after Disconnected. 0 where the count of `write` is all that can be known.
        """
        return 0

    def line_status(self) -> Mapping[Reason, bool]:
        """What the cable itself says, out of band, without touching the byte stream; often nothing.

        It may be asked while bytes are under way, and takes a few milliseconds at most. A printer's own words count
        for more: many printers answer the same here for ever.

        Raises:
            Disconnected: The connection has ended.
        """
        return {}

    def device_id(self) -> str:
        """The printer's IEEE 1284 device id, where the cable tells it beside the byte stream; else "".

        Not to be asked in the middle of a job: some printers put the answer into the data.

        Raises:
            Disconnected: The connection has ended.
        """
        return ""

    @abstractmethod
    def close(self, linger: float = 0.0) -> None:
        """Close. Closing twice is fine.

        Args:
            linger: Seconds to wait at most until the far side has taken what it was given and has closed, too.
        """
