"""USB printers on Windows through their usual driver, usbprint.sys: no other driver in its place, no rights to ask for.

Each printer has a device interface beside its printer queue, and both can be used. Unproven on hardware: the logic is tested
against a stand-in for Windows that behaves as the public notes on usbprint.sys say.

Equal printers are told apart by the third part of the device path: it is the serial number, or, with & in it, the name that
Windows gives to whatever is plugged into that socket (and to each interface of a composite device, whose serial number it
hides). Both stand where an address has the serial number: usb://0416:5011/7%261a2b3c%260%262. Windows writes paths in small
letters, so case does not count.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rawprint import device_id
from rawprint.address import UsbAddress
from rawprint.errors import AccessDenied, AmbiguousAddress, BackendMissing, OpenError, PrinterBusy, PrinterNotFound
from rawprint.transports import port_status
from rawprint.transports.base import Found, Transport
from rawprint.transports.overlapped import (
    ERROR_ACCESS_DENIED,
    ERROR_SHARING_VIOLATION,
    GONE,
    Kernel32,
    OverlappedPipe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import Address
    from rawprint.status import Reason

INTERFACE = "{28D78FAD-5A12-11D1-AE5B-0000F803A8C2}"  # GUID_DEVINTERFACE_USBPRINT
_GET_LPT_STATUS, _GET_1284_ID = 0x220030, 0x220034  # usbprint.h, IOCTL_USBPRINT_…
# \\?\usb#vid_04b8&pid_0e15&mi_00#SERIAL#{28d78fad-…}; with & in the third part it is the system's own number for the port.
_PATH = re.compile(r"\\\\\?\\usb#vid_([0-9a-f]{4})&pid_([0-9a-f]{4})(?:&mi_([0-9a-f]{2}))?#([^#]*)#", re.IGNORECASE)
_PAUSES = (0.25, 0.5, 1.0, 2.0)  # while the spooler holds the device


class Windows(Kernel32, Protocol):
    """What is used of Windows."""

    def device_paths(self, interface: str) -> list[str]:
        """The paths of all device interfaces of a class that are there now (setupapi)."""

    def open_file(self, path: str) -> int | None:
        """CreateFile, read and write, shared, overlapped; None: GetLastError tells why."""


class _Printer(NamedTuple):
    path: str
    vid: str
    pid: str
    interface: int | None
    instance: str  # the serial number, or the system's own name

    @property
    def serial(self) -> str:
        """The printer's serial number; "" where Windows does not tell one."""
        return "" if "&" in self.instance else self.instance


def windows() -> Windows:
    """The system's functions.

    Raises:
        BackendMissing: It is not Windows.
    """
    if sys.platform == "win32":
        from rawprint.transports.windows import System  # noqa: PLC0415

        return System()
    raise BackendMissing("usbprint is a driver of Windows", hint="here USB printers are opened by libusb")


def open_address(address: Address, timeout: float) -> Transport:
    """Open the printer's device interface, or by libusb what has another driver (WinUSB).

    Args:
        address: A UsbAddress. The usual driver does not tell the port path: `?port=` fits what libusb sees alone.
        timeout: Seconds to try again while the spooler holds it.

    Raises:
        PrinterNotFound, AmbiguousAddress, AccessDenied, PrinterBusy, BackendMissing: With a hint that tells what to do.
    """
    if not isinstance(address, UsbAddress):
        raise BackendMissing(f"{address} is no USB address")
    system = windows()
    printers = _printers(system)
    fits = [printer for printer in printers if _fits(printer, address)]
    if not fits:
        return _by_libusb(address, timeout, printers)
    if len(fits) > 1:
        candidates = [str(_address(printer, printers)) for printer in fits]
        raise AmbiguousAddress(
            f"{len(fits)} printers fit {address}",
            hint=f"name one of them: {', '.join(candidates)} (one with & or %26 means the socket, not the printer)",
            candidates=candidates,
        )
    return UsbprintTransport(_open(system, fits[0].path, address, timeout), str(address), kernel=system)


def _open(system: Windows, path: str, address: UsbAddress, timeout: float) -> int:
    deadline, wait = time.monotonic() + timeout, threading.Event().wait  # never set
    for pause in (*_PAUSES, None):
        handle = system.open_file(path)
        if handle is not None:
            return handle
        code = system.GetLastError()
        held = code in (ERROR_SHARING_VIOLATION, ERROR_ACCESS_DENIED)
        if not held or pause is None or time.monotonic() + pause >= deadline:
            break
        wait(pause)
    if code == ERROR_SHARING_VIOLATION:
        raise PrinterBusy(
            f"{address} is held by another program", hint="pause its queue in the printer settings, or wait"
        )
    if code == ERROR_ACCESS_DENIED:
        raise AccessDenied(
            f"Windows does not open {address}",
            hint="pause its queue in the printer settings, or end the program that prints on it",
        )
    if code in GONE:
        raise PrinterNotFound(f"{address} was unplugged", hint="check the cable and that the printer is on")
    raise OpenError(
        f"{address} cannot be opened (Windows error {code})", hint="unplug the printer and plug it in again"
    )


def _by_libusb(address: UsbAddress, timeout: float, printers: list[_Printer]) -> Transport:
    """What has another driver; `printers` are those of the usual one, none of which fits."""
    try:
        from rawprint.transports import usb  # noqa: PLC0415

        return usb.open_address(address, timeout)
    except (BackendMissing, PrinterNotFound, ImportError) as error:
        alike = [str(_address(one, printers)) for one in printers if (one.vid, one.pid) == (address.vid, address.pid)]
        if alike:
            raise PrinterNotFound(
                f"a printer {address.vid}:{address.pid} is plugged in, but not the one that {address} names",
                hint=f"Windows does not tell the port, nor every serial number; what is there: {', '.join(alike)}",
            ) from error
        if isinstance(error, PrinterNotFound):
            raise
        raise PrinterNotFound(
            f"no printer {address} is plugged in, or it has no printer driver",
            hint="let Windows install its usual USB printer driver (USB Printing Support)",
        ) from error


def find() -> list[Found]:
    """Every USB printer that Windows' own driver has, and those that libusb sees besides. None is opened."""
    printers = _printers(windows())
    found = [Found(str(_address(printer, printers)), serial=printer.serial) for printer in printers]
    known = {(printer.vid, printer.pid) for printer in printers}
    try:
        from rawprint.transports import usb  # noqa: PLC0415

        others = usb.find()
    except (BackendMissing, ImportError):
        return found
    return found + [one for one in others if tuple(one.address.partition("://")[2][:9].split(":")) not in known]


def _printers(system: Windows) -> list[_Printer]:
    found = []
    for path in system.device_paths(INTERFACE):
        match = _PATH.match(path)
        if match:
            vid, pid, interface, instance = match.groups()
            number = None if interface is None else int(interface, 16)
            found.append(_Printer(path, vid.lower(), pid.lower(), number, instance))
    return found


def _fits(printer: _Printer, address: UsbAddress) -> bool:
    return (
        (printer.vid, printer.pid) == (address.vid, address.pid)
        and address.serial.lower() in ("", printer.instance.lower())
        and address.interface in (None, printer.interface or 0)
        and not address.port
    )


def _address(printer: _Printer, among: list[_Printer]) -> UsbAddress:
    """The shortest address that means this printer and no other of those."""
    plain = UsbAddress(printer.vid, printer.pid, printer.serial)
    by_interface = UsbAddress(printer.vid, printer.pid, printer.serial, interface=printer.interface)
    for address in (plain, by_interface):
        if [one for one in among if _fits(one, address)] == [printer]:
            return address
    return UsbAddress(printer.vid, printer.pid, printer.instance, interface=printer.interface)


class UsbprintTransport(OverlappedPipe):
    """A printer's device interface."""

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        data = super().read(timeout)
        if self.mute:
            self.line_status()  # it has nothing to say, but whether it is there can be asked
        return data

    def line_status(self) -> Mapping[Reason, bool]:
        """See Transport: the port status, which the driver asks the printer for."""
        answer = self.control(_GET_LPT_STATUS, 4)
        return port_status.reasons(answer[0]) if answer else {}

    def device_id(self) -> str:
        """See Transport."""
        return device_id.split_device_id(self.control(_GET_1284_ID, 1024))
