"""USB: bulk endpoints by libusb, with the printer class' own requests beside them.

    write -> bulk OUT, in chunks, each as far as the printer takes it
    read  <- a thread that always has a bulk IN transfer waiting, so that no answer is missed and none blocks the printer
    line_status <- GET_PORT_STATUS over the control pipe, which works while a printer without paper takes nothing

Proven against the kernel's own USB stack with emulated printers; on macOS and Windows unproven on hardware.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from array import array
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import usb.core
import usb.util

from rawprint import device_id
from rawprint.address import UsbAddress
from rawprint.errors import (
    AccessDenied,
    BackendMissing,
    Disconnected,
    OpenError,
    PrinterBusy,
    PrinterNotFound,
)
from rawprint.transports import holders, port_status, usb_devices
from rawprint.transports.base import Found, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import Address
    from rawprint.status import Reason
    from rawprint.transports.usb_devices import UsbPrinter

# usblp's own chunk; one USB transfer, so that what the printer took of it is known to the byte.
_CHUNK = 8192
# Bulk IN reads must be a multiple of the packet size, else a longer answer is lost (libusb's documentation).
_READ_PACKETS = 8
# All in seconds. No transfer waits longer than a slice, so that a close is seen.
_SLICE = 0.25
_READ_SLICE = 0.05
_STALE = 0.01  # an answer of before that the printer still holds comes at once
_STALE_FOR = 0.2  # at most; a printer may go on talking
_CONTROL = 0.5
_EMPTY_PAUSE = 0.02  # some printers answer every IN request at once, with nothing
_UNREAD_LIMIT = 65536  # bytes; a printer that nobody reads is not read

_RULE_HINT = "allow it: rawprint udev | sudo tee /etc/udev/rules.d/70-rawprint.rules, then plug the printer in again"
_GET_DEVICE_ID, _GET_PORT_STATUS = 0, 1  # USB printer class 1.1, section 4.2
_TO_HOST = 0xA1  # class request to an interface


def open_address(address: Address, timeout: float) -> Transport:  # noqa: ARG001  (nothing here waits)
    """Claim the printer's interface; the kernel's driver is taken off it, and given back by `close`.

    Args:
        address: A UsbAddress.
        timeout: Not used: opening waits for nothing.

    Raises:
        PrinterNotFound, AmbiguousAddress, AccessDenied, PrinterBusy, BackendMissing: With a hint that tells what to do.
    """
    if not isinstance(address, UsbAddress):
        raise BackendMissing(f"{address} is no USB address")
    backend = usb_devices.new_backend()
    printer = usb_devices.locate(address, backend)
    detached = False
    try:
        detached = _claim(printer)
        return UsbTransport(backend, printer, str(address), detached=detached)
    except (usb.core.USBError, NotImplementedError) as error:
        failure = _open_error(address, printer, error)
        _let_go(printer, detached=detached)
        raise failure from error


def find() -> list[Found]:
    """Every USB printer that is plugged in, told without opening one.

    Raises:
        BackendMissing: There is no libusb.
    """
    backend = usb_devices.new_backend()
    printers = list(usb_devices.printers(backend))
    found = [
        Found(
            usb_devices.printer_address(printer, printers),
            make_model=printer.make_model,
            serial=printer.serial,
            device_id=printer.device_id,
            place=_place(printer),
            error=_forbidden(printer),
        )
        for printer in printers
    ]
    del printers  # before the context that they belong to
    return found


def _place(printer: UsbPrinter) -> str:
    folder = usb_devices.sysfs_interface(printer.device, printer.interface)
    return folder.name if folder is not None else ""


def _forbidden(printer: UsbPrinter) -> OpenError | None:
    """Whether this user may not open it, as far as Linux tells without opening it."""
    if not _place(printer):
        return None
    node = Path(f"/dev/bus/usb/{printer.device.bus:03d}/{printer.device.address:03d}")
    if not node.exists() or os.access(node, os.R_OK | os.W_OK):
        return None
    return AccessDenied(f"this user may not open {printer.ids}", hint=_RULE_HINT)


# -- opening -------------------------------------------------------------------------------------------------------


def _claim(printer: UsbPrinter) -> bool:
    """Take the interface; whether a driver of the kernel had to be taken off it.

    Raises:
        PrinterBusy: Somebody prints through that driver; taken off, it would lose what is under way.
        USBError: It cannot be had; the driver is back then.
    """
    device, number = printer.device, printer.interface
    detached = False
    user = holders.kernel_printer_user(usb_devices.sysfs_interface(device, number))
    if user is not None:
        raise PrinterBusy(
            f"the printer is in use through the kernel's driver, by {user}", hint="wait for that, or end that program"
        )
    with contextlib.suppress(NotImplementedError):  # not on Windows; macOS detaches for root only
        if device.is_kernel_driver_active(number):
            device.detach_kernel_driver(number)
            detached = True
    try:
        try:
            device.get_active_configuration()
        except usb.core.USBError as error:
            if error.errno is not None:
                raise
            device.set_configuration()  # nobody has configured it yet
        usb.util.claim_interface(device, number)
        if printer.several:
            device.set_interface_altsetting(number, printer.alternate)
    except (usb.core.USBError, NotImplementedError):
        if detached:
            _give_back(printer)
        raise
    return detached


def _give_back(printer: UsbPrinter) -> None:
    if not printer.keep_detached:
        with contextlib.suppress(usb.core.USBError, NotImplementedError):  # unplugged, or taken by somebody else
            printer.device.attach_kernel_driver(printer.interface)


def _let_go(printer: UsbPrinter, *, detached: bool) -> None:
    with contextlib.suppress(usb.core.USBError, NotImplementedError):
        usb.util.release_interface(printer.device, printer.interface)
    if detached:
        _give_back(printer)
    usb.util.dispose_resources(printer.device)


def _open_error(address: UsbAddress, printer: UsbPrinter, error: Exception) -> OpenError:
    code = error.errno if isinstance(error, usb.core.USBError) else errno.ENOSYS
    if isinstance(error, usb.core.USBError) and usb_devices.is_gone(error):
        return PrinterNotFound(f"{address} was unplugged", hint="check the cable and that the printer is on")
    if code == errno.EACCES and sys.platform != "darwin":
        return AccessDenied(
            f"this user may not open {address}",
            hint=_RULE_HINT,
        )
    if code in (errno.EBUSY, errno.EACCES):  # macOS: "another process has device opened for exclusive access"
        holder = _holder(printer)
        return PrinterBusy(
            f"{address} is held by {holder or 'another program'}",
            hint="remove or pause the printer in the system's print settings (CUPS), or end that program",
        )
    if code == errno.ENOSYS:
        return BackendMissing(
            f"the system's driver keeps libusb from {address}",
            hint="on Windows leave the printer to its usual driver (usbprint): rawprint prints through it",
        )
    return OpenError(f"{address} cannot be opened: {error}", hint="unplug the printer and plug it in again")


def _holder(printer: UsbPrinter) -> str | None:
    folder = usb_devices.sysfs_interface(printer.device, printer.interface)
    return holders.usb_interface_holder(printer.device.bus, printer.device.address, str(folder) if folder else None)


# -- the pipe ------------------------------------------------------------------------------------------------------


class UsbTransport(Transport):
    """A claimed printer interface. What a transfer reports as taken, the printer's own USB controller has."""

    counts = "acknowledged"

    def __init__(self, backend: Any, printer: UsbPrinter, name: str, *, detached: bool) -> None:
        self._backend = backend  # lives as long as what belongs to it
        self._printer = printer
        self._name = name
        self._detached = detached
        self._came: deque[bytes] = deque()
        self._unread = 0
        self._changed = threading.Condition()  # guards what came, and how it ended
        self._using = threading.Lock()  # held around every transfer to the printer, and by the close
        self._ended: Disconnected | None = None
        self._closed = False
        self._in_flight = 0  # bytes of a transfer whose count was lost with the cable
        self._silent_line = not printer.speaks_class
        self._reader: threading.Thread | None = None
        if printer.back is not None:
            self._drop_stale()
            self._reader = threading.Thread(target=self._listen, name=f"rawprint reads {name}", daemon=True)
            self._reader.start()

    @property
    def bidirectional(self) -> bool:
        """See Transport."""
        return self._printer.back is not None

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        deadline = time.monotonic() + timeout
        chunk = array("B")
        chunk.frombytes(data[:_CHUNK])  # the constructor would go through it number by number
        if not chunk:
            return 0
        while True:
            wait = min(max(deadline - time.monotonic(), 0.001), _SLICE)
            with self._using:
                if self._ended is not None:
                    raise self._ended
                taken = self._transfer(chunk, wait)
            if taken or time.monotonic() >= deadline:
                return taken

    def _transfer(self, chunk: array[int], wait: float) -> int:
        """One transfer, or two where the endpoint had stalled: that is cleared once, and then it may go on."""
        cleared = False
        while True:
            try:
                taken: int = self._printer.out.write(chunk, _milliseconds(wait))
            except usb.core.USBTimeoutError:
                return 0
            except usb.core.USBError as error:
                taken = getattr(error, "transferred", 0)
                if error.errno != errno.EPIPE:
                    # Whether the printer had more of this transfer than was counted, nobody can tell any more: none of
                    # it must be sent again.
                    self._in_flight = len(chunk) - taken
                    self._end(error, lost=True)
                    return len(chunk)
                if cleared:
                    self._end(error)
                    raise self._disconnected() from error
                cleared = True
                with contextlib.suppress(usb.core.USBError):  # then the next transfer tells
                    self._printer.out.clear_halt()
                if taken:
                    return taken
            else:
                return taken

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        if self._reader is None:  # it cannot answer; but whether it is there can be asked
            with self._changed:
                self._changed.wait_for(lambda: self._ended is not None, timeout)
            self.line_status()
            if self._ended is not None:
                raise self._ended
            return b""
        with self._changed:
            if not self._came and timeout > 0:
                self._changed.wait_for(lambda: self._came or self._ended is not None, timeout)
            if self._came:
                data = self._came.popleft()
                if self._unread >= _UNREAD_LIMIT:
                    self._changed.notify_all()
                self._unread -= len(data)
                return data
        if self._ended is not None:
            raise self._ended
        return b""

    def unacknowledged(self) -> int:
        """See Transport."""
        return self._in_flight

    def line_status(self) -> Mapping[Reason, bool]:
        """See Transport: GET_PORT_STATUS, where the printer has it."""
        answer = b"" if self._silent_line else self._ask(_GET_PORT_STATUS, self._printer.interface, 1)
        return port_status.reasons(answer[0]) if answer else {}

    def device_id(self) -> str:
        """See Transport."""
        if not self._printer.speaks_class:
            return ""
        index = self._printer.interface << 8 | self._printer.alternate
        return device_id.split_device_id(self._ask(_GET_DEVICE_ID, index, 1024))

    def _ask(self, request: int, index: int, size: int) -> bytes:
        """A class request; b"" where the printer does not know it, or does not answer."""
        with self._using:
            if self._ended is not None:
                raise self._ended
            try:
                answer = self._printer.device.ctrl_transfer(_TO_HOST, request, 0, index, size, _milliseconds(_CONTROL))
                return bytes(answer)
            except usb.core.USBError as error:
                if usb_devices.is_gone(error):
                    self._end(error)
                    raise self._disconnected() from error
                if request == _GET_PORT_STATUS:
                    self._silent_line = True  # it stalled, or took too long once: it is not asked again
                return b""

    # -- the reading thread --------------------------------------------------------------------------------------

    def _drop_stale(self) -> None:
        """Answers to somebody else's questions, which the printer still holds."""
        until = time.monotonic() + _STALE_FOR
        with contextlib.suppress(usb.core.USBTimeoutError):
            while len(self._printer.back.read(self._read_size, _milliseconds(_STALE))) and time.monotonic() < until:
                pass

    @property
    def _read_size(self) -> int:
        size: int = self._printer.back.wMaxPacketSize
        return size * _READ_PACKETS

    def _listen(self) -> None:
        size, cleared = self._read_size, False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unread < _UNREAD_LIMIT or self._ended is not None)
                if self._ended is not None:
                    return
            try:
                data = bytes(self._printer.back.read(size, _milliseconds(_READ_SLICE)))
            except usb.core.USBTimeoutError:
                continue
            except usb.core.USBError as error:
                if error.errno == errno.EPIPE and not cleared:
                    cleared = True
                    with contextlib.suppress(usb.core.USBError):
                        self._printer.back.clear_halt()
                    continue
                self._end(error)
                return
            with self._changed:
                if data:
                    self._came.append(data)
                    self._unread += len(data)
                    self._changed.notify_all()
                elif self._changed.wait_for(lambda: self._ended is not None, _EMPTY_PAUSE):
                    return

    # -- ends ----------------------------------------------------------------------------------------------------

    def _end(self, error: Exception, *, lost: bool = False) -> None:
        """Note how the connection ended; the first that notices tells."""
        gone = isinstance(error, usb.core.USBError) and usb_devices.is_gone(error)
        message = f"{self._name} was unplugged or switched off" if gone else f"{self._name} failed: {error}"
        with self._changed:
            if self._ended is None or lost:
                self._ended = Disconnected(message, hint="check the cable and that the printer is on", lost=lost)
            self._changed.notify_all()

    def _disconnected(self) -> Disconnected:
        return self._ended or Disconnected(f"{self._name} was closed")

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002  (what was counted, the printer has)
        """See Transport. The kernel's driver, where it had the printer, gets it back."""
        with self._changed:
            if self._ended is None:
                self._ended = Disconnected(f"{self._name} was closed")
            self._changed.notify_all()
        if self._reader is not None:
            self._reader.join()
        with self._using:  # a transfer of another thread ends within its slice
            if self._closed:
                return
            self._closed = True
            _let_go(self._printer, detached=self._detached)
            del self._printer  # before the context that it belongs to
            del self._backend


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)  # 0 would wait for ever
