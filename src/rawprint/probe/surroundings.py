"""What stands around a printer and can be in its way: its port's settings, printers like it, and the spooler's queues."""

from __future__ import annotations

import shutil
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rawprint import address as addresses
from rawprint.errors import AddressError
from rawprint.probe.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rawprint.address import Address, SerialAddress
    from rawprint.probe import Report

_LPSTAT_WAIT = 1.0  # seconds
_MOST_QUEUES = 1000
_OTHER_BAUD = {9600: 19200, 19200: 115200, 115200: 9600}


def way_to(address: Address) -> str:
    """How the printer is reached, in a phrase."""
    match address:
        case addresses.TcpAddress():
            return f"TCP port {address.port}"
        case addresses.UsbAddress():
            return "USB bulk endpoints"
        case addresses.SerialAddress():
            return f"serial port at {line_settings(address)}"
        case addresses.LpAddress():
            return "the kernel's printer device"
        case addresses.VirtualAddress():
            return "virtual, in this process"


def line_settings(address: SerialAddress) -> str:
    """Such as "9600 8N1, flow rtscts"."""
    flow = "" if address.flow == "none" else f", flow {address.flow}"
    return f"{address.baud} {address.bits}{address.parity}{address.stop}{flow}"


def with_baud(address: SerialAddress) -> str:
    """The address with another usual speed, as an example."""
    return str(replace(address, baud=_OTHER_BAUD.get(address.baud, 9600)))


def without_flow(address: SerialAddress) -> str:
    """The address with the handshake that every cable carries."""
    return str(replace(address, flow="none"))


def note_equal_ones(reports: Sequence[Report]) -> None:
    """Tell of printers that nothing but their socket tells apart."""
    kinds: dict[tuple[str, str], list[Report]] = {}
    for report in reports:
        try:
            address = addresses.parse(report.address)
        except AddressError:
            continue
        if isinstance(address, addresses.UsbAddress) and address.port:
            kinds.setdefault((address.vid, address.pid), []).append(report)
    for (vid, pid), alike in kinds.items():
        for report in alike if len(alike) > 1 else ():
            report.add(
                "equal-printers",
                Severity.WARNING,
                f"{len(alike)} printers are equal ({vid}:{pid}): only the socket tells them apart.",
                "They have no serial numbers, or the same one.",
                "Mark cables and sockets: a printer that is plugged in elsewhere gets the other's address.",
            )


class SpoolerQueues:
    """The print queues of CUPS, asked for once, in the background, and only when the first printer wants to know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, str] | None = None

    def of(self, address: Address, report: Report) -> list[Finding]:
        """A finding where the system's spooler has a queue for this printer, too."""
        with self._lock:
            if self._queues is None:
                self._queues = read_queues(_ask_lpstat())
        queue = next((name for name, uri in self._queues.items() if _same(uri, address, report)), None)
        if queue is None:
            return []
        return [
            Finding(
                "spooler-queue",
                Severity.WARNING,
                f"The system's spooler has a queue for it, too: {queue}.",
                self._queues[queue],
                "Jobs of both get in each other's way: remove the queue (lpadmin -x) or stop it (cupsdisable), or mark the "
                "printer as shared.",
            )
        ]


def _ask_lpstat() -> str:
    lpstat = shutil.which("lpstat")
    if lpstat is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603
            [lpstat, "-v"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_LPSTAT_WAIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def read_queues(listing: str) -> dict[str, str]:
    """`lpstat -v` -> queue name -> device URI; in each of its languages the URI is what stands last, the name before it."""
    queues = {}
    for line in listing.splitlines()[:_MOST_QUEUES]:
        before, _, uri = line.strip().rpartition(" ")
        name = before.rstrip(" :").rpartition(" ")[2]
        if "://" in uri and name:
            queues[name] = uri
    return queues


def _same(uri: str, address: Address, report: Report) -> bool:
    """Whether a queue's device URI means this printer: socket://HOST[:PORT], usb://MAKER/MODEL?serial=S, serial:/dev/…."""
    scheme, _, rest = uri.partition("://") if "://" in uri else uri.partition(":")
    rest = unquote(rest)
    place, _, query = rest.partition("?")
    match address:
        case addresses.TcpAddress():
            try:
                parts = urlsplit(uri)
                return scheme == "socket" and (parts.hostname, parts.port or 9100) == (address.host, address.port)
            except ValueError:
                return False
        case addresses.UsbAddress() | addresses.LpAddress():
            if scheme != "usb":
                return False
            serial = next((word[7:] for word in query.split("&") if word.startswith("serial=")), "")
            if serial:
                return serial == report.serial
            words = " ".join(place.split("/")).lower()
            return bool(report.make_model) and words == report.make_model.lower()
        case addresses.SerialAddress():
            return scheme == "serial" and place.lstrip("/") == address.device.lstrip("/")
    return False
