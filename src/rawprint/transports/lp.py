"""The Linux kernel's printer device, /dev/usb/lp*: for machines where its driver (usblp) keeps the printer.

The driver takes a block of up to 8 KiB at once and passes it on as the printer takes it, one at a time: while that block is
under way, nobody knows how much of it the printer has.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rawprint import device_id
from rawprint.address import LpAddress
from rawprint.errors import AccessDenied, BackendMissing, OpenError, PrinterBusy, PrinterNotFound
from rawprint.transports import holders, port_status
from rawprint.transports.base import Found, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import Address
    from rawprint.status import Reason

assert sys.platform == "linux"

from rawprint.transports.descriptor import DescriptorTransport  # noqa: E402  (it is not there on Windows)

# drivers/usb/class/usblp.c: _IOC_NR and sizes as in transport.md's table
_LPGETSTATUS = 0x060B
_LPABORT = 0x0604
_LPIOC_GET_DEVICE_ID = 0x84005001  # 1,024 bytes
_BLOCK = 8192  # USBLP_BUF_SIZE
_SYSFS = Path("/sys/class/usbmisc")
_FOLDER = Path("/dev/usb")
_GROUP_HINT = 'allow it: sudo usermod -aG lp "$USER", then log out and in again'


def open_address(address: Address, timeout: float) -> Transport:  # noqa: ARG001  (nothing here waits)
    """Open the device.

    Args:
        address: An LpAddress.
        timeout: Not used: opening waits for nothing.

    Raises:
        PrinterNotFound, AccessDenied, PrinterBusy, BackendMissing: With a hint that tells what to do.
        OpenError: It is something else than a printer.
    """
    if not isinstance(address, LpAddress):
        raise BackendMissing(f"{address} is no printer device")
    try:
        kind = Path(address.path).stat().st_mode
        # Also where this is no printer: a job must not be written into a file, or a terminal, by mistake.
        if not stat.S_ISCHR(kind):
            raise OpenError(f"{address.path} is no device", hint="printer devices are called /dev/usb/lp0")
        descriptor = os.open(address.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise _open_error(address, error) from error
    try:
        # Off, whoever used it before: it ends a write on a printer without paper with an error, after the block was taken.
        fcntl.ioctl(descriptor, _LPABORT, 0)
        _status(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ENODEV, errno.ESHUTDOWN):
            os.close(descriptor)
            raise _open_error(address, error) from error
        # A printer that leaves this unanswered prints all the same.
    return LpTransport(descriptor, str(address))


def _open_error(address: LpAddress, error: OSError) -> OpenError:
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO):
        return PrinterNotFound(
            f"{address.path} is not there",
            hint="check the cable and that the printer is on; where another program has taken the printer from the "
            "kernel's driver, `rawprint list` shows it as usb://",
        )
    if error.errno == errno.EBUSY:
        holder = holders.holder_of(address.path)
        return PrinterBusy(
            f"{address.path} is held by {holder or 'another program'}",
            hint="it takes one at a time: end that program, or remove the printer from the print settings (CUPS)",
        )
    if error.errno in (errno.ENOTTY, errno.EINVAL):
        return OpenError(f"{address.path} is no printer", hint="printer devices are called /dev/usb/lp0")
    if isinstance(error, PermissionError):
        return AccessDenied(f"this user may not open {address.path}", hint=_GROUP_HINT)
    return OpenError(f"{address.path} cannot be opened: {error.strerror or error}", hint="plug the printer in again")


def find() -> list[Found]:
    """The printer devices of this machine, told without opening one (which would keep others out)."""
    found = []
    for node in sorted(_FOLDER.glob("lp*"), key=lambda path: (len(path.name), path.name)):
        shown = _SYSFS / node.name / "device"
        text = _text(shown / "ieee1284_id")
        keys = device_id.parse(text)
        allowed = os.access(node, os.R_OK | os.W_OK)
        found.append(
            Found(
                str(LpAddress(str(node))),
                make_model=f"{keys.get('MFG', '')} {keys.get('MDL', '')}".strip(),
                serial=_text(shown.resolve().parent / "serial"),
                device_id=text,
                place=shown.resolve().name,
                error=None if allowed else AccessDenied(f"this user may not open {node}", hint=_GROUP_HINT),
            )
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _status(descriptor: int) -> int:
    answer = bytearray(4)
    fcntl.ioctl(descriptor, _LPGETSTATUS, answer)
    return int.from_bytes(answer, sys.byteorder) & 0xFF


class LpTransport(DescriptorTransport):
    """An open printer device. The driver's count is not the printer's, so a job's evidence is "handed-over"."""

    piece = _BLOCK
    empty_is_end = False  # the driver passes on empty answers

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, name)
        self._block = 0  # the size of the newest one
        self._silent_line = False

    def _give(self, piece: memoryview) -> int:
        try:
            taken = os.write(self._descriptor, piece)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise self._end(error) from error
            # The driver says so, too, of a block that broke off before it could say that it had taken it, and then some
            # of it may be printed: so it counts, and the next call tells the end.
            taken = len(piece)
            self._total += taken
            self._end(error)
        else:
            self._total += taken
        self._block = self._unacknowledged = taken  # until the driver is heard to have passed it on
        return taken

    def _held_back(self) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        events = dict(poll.poll(0)).get(self._descriptor, 0)
        return 0 if events & select.POLLOUT and not events & select.POLLERR else self._block

    def line_status(self) -> Mapping[Reason, bool]:
        """See Transport: the port status, which the driver asks the printer for."""
        with self._using:
            self._check()
            if self._silent_line:
                return {}
            try:
                return port_status.reasons(_status(self._descriptor))
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.ESHUTDOWN):
                    raise self._end(error) from error
                self._silent_line = True
                return {}

    def device_id(self) -> str:
        """See Transport."""
        answer = bytearray(1024)
        with self._using, contextlib.suppress(OSError):
            self._check()
            fcntl.ioctl(self._descriptor, _LPIOC_GET_DEVICE_ID, answer)
        return device_id.split_device_id(bytes(answer)) if any(answer) else ""
