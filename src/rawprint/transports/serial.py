"""Serial ports: real ones, USB adapters, virtual COM ports and Bluetooth (SPP); pyserial opens them, the counting is our own.

A tty's count proves little: the driver, an adapter's chip and the cable keep bytes of their own. So what was interrupted
after its first byte is never taken for a job of which nothing arrived.

What a printer says in the moment in which its port is opened, before it is set, the kernel echoes to it (ECHO is on in a new
tty): one that reports changes by itself may print a few odd characters then. No program can keep that from happening.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import serial
from serial.tools import list_ports

from rawprint.address import SerialAddress
from rawprint.errors import AccessDenied, BackendMissing, OpenError, PrinterBusy, PrinterNotFound
from rawprint.status import Reason
from rawprint.transports import holders
from rawprint.transports.base import Found, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import Address

_BY_ID = Path("/dev/serial/by-id")  # names that stay over a replug
_GROUP_HINT = (
    'allow it: sudo usermod -aG dialout "$USER" (on some systems the group is uucp), then log out and in again'
)
_ANOTHER_HINT = "end that program, or name another port; `rawprint list` shows them"


def open_address(address: Address, timeout: float) -> Transport:
    """Open the port with the settings of the address, for this program alone.

    Args:
        address: A SerialAddress.
        timeout: Seconds to wait for a port that this program itself is still closing.

    Raises:
        PrinterNotFound, AccessDenied, PrinterBusy: With a hint that tells what to do.
        OpenError: The port cannot be set as the address says.
    """
    if not isinstance(address, SerialAddress):
        raise BackendMissing(f"{address} is no serial port")
    _wait_for_close(address, timeout)
    port = serial.Serial(
        port=None,
        baudrate=address.baud,
        bytesize=address.bits,
        parity=address.parity,
        stopbits=address.stop,
        rtscts=address.flow == "rtscts",
        dsrdtr=address.flow == "dsrdtr",
        xonxoff=address.flow == "xonxoff",
        exclusive=True,
        timeout=0,
    )
    port.port = address.device
    try:
        port.open()
    except (OSError, ValueError, *_SETTINGS_ERRORS) as error:  # SerialException is an OSError
        raise _open_error(address, error) from error
    return _transport(port, address)


def _open_error(address: SerialAddress, error: Exception) -> OpenError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO) or isinstance(error, FileNotFoundError):
        return PrinterNotFound(
            f"there is no serial port {address.device}",
            hint="check the cable; `rawprint list` shows the ports that there are",
        )
    if code in (errno.EACCES, errno.EPERM):
        return AccessDenied(f"this user may not open {address.device}", hint=_GROUP_HINT)
    if code in (errno.EBUSY, errno.EAGAIN):  # the second: somebody has locked it
        holder = holders.holder_of(address.device) or "another program"
        return PrinterBusy(f"{address.device} is held by {holder}", hint=_ANOTHER_HINT)
    return OpenError(
        f"{address.device} cannot be opened as {address} says: {error}",
        hint="check the baud rate, bits, parity and flow control; not every port has them all",
    )


def find() -> list[Found]:
    """The serial ports that have hardware, by names that stay over a replug. Whether a printer hangs there, none tells.

    A Bluetooth printer that was paired and bound is one of them (/dev/rfcomm0). No port is opened.
    """
    lasting = {}
    with contextlib.suppress(OSError):
        lasting = {str(link.resolve()): str(link) for link in sorted(_BY_ID.iterdir())}
    found = []
    for port in sorted(list_ports.comports()):
        name = lasting.get(port.device, port.device)
        words = (port.manufacturer, port.product)
        allowed = sys.platform == "win32" or os.access(port.device, os.R_OK | os.W_OK)
        error = None if allowed else AccessDenied(f"this user may not open {port.device}", hint=_GROUP_HINT)
        found.append(
            Found(
                str(SerialAddress(name)),
                make_model=" ".join(word for word in words if word) or "serial port",
                serial=port.serial_number or "",
                error=error,
            )
        )
    return found


if sys.platform == "win32":
    from rawprint.transports.overlapped import OverlappedPipe
    from rawprint.transports.windows import System

    class _WindowsPort(OverlappedPipe):
        """Unproven on hardware. pyserial has set the port and keeps the handle open."""

        counts = "handed-over"

    _SETTINGS_ERRORS = (serial.SerialException,)

    def _wait_for_close(address: SerialAddress, timeout: float) -> None:
        """Nothing here lasts."""

    def _transport(port: serial.Serial, address: SerialAddress) -> Transport:
        return _WindowsPort(vars(port)["_port_handle"], str(address), kernel=System(), keep=port)

else:
    import fcntl
    import termios

    from rawprint.transports.descriptor import DescriptorTransport

    _SETTINGS_ERRORS = (termios.error,)
    # A close may wait for the tty's `closing_wait`, 30 s, as long as a printer that stands still takes nothing: a
    # thread of its own waits, and who opens the port again waits for that.
    _closing: dict[str, threading.Thread] = {}
    _closing_lock = threading.Lock()

    def _wait_for_close(address: SerialAddress, timeout: float) -> None:
        device = os.path.realpath(address.device)  # after a replug the lasting name means another one
        with _closing_lock:
            thread = _closing.get(device)
        if thread is None:
            return
        thread.join(timeout)
        if thread.is_alive():
            raise PrinterBusy(
                f"{address.device} still passes on what was printed before",
                hint="it is free when the printer has taken that, or after 30 s",
            )
        _closing.pop(device, None)

    def _transport(port: serial.Serial, address: SerialAddress) -> Transport:
        return SerialTransport(port, address)

    class SerialTransport(DescriptorTransport):
        """An open serial port."""

        piece = 16384  # the tty takes less where it has no room

        def __init__(self, port: serial.Serial, address: SerialAddress) -> None:
            super().__init__(port.fileno(), str(address))
            self._port = port
            self._device = os.path.realpath(address.device)
            self._flow = address.flow
            if address.flow == "dsrdtr":
                self.piece = 64  # what a printer still takes after it has said stop; no kernel knows this handshake

        def _held_back(self) -> int:
            """TIOCOUTQ; an adapter's own buffer is not in it."""
            answer = bytearray(4)
            fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, answer)
            return int.from_bytes(answer, sys.byteorder)

        def _hold(self) -> float:
            """What the driver holds goes out whatever DSR says by then, so with this handshake it is never given much."""
            if self._flow != "dsrdtr":
                return 0.0
            try:
                held = self._held_back()
            except OSError as error:
                raise self._end(error) from error
            if held > self.piece:
                return 0.005  # 64 bytes at 115,200 bits a second
            return 0.0 if self._line("dsr") else 0.02

        def _line(self, name: str) -> bool:
            """Whether a modem line is on; a port that has none (a pseudo-terminal) is always ready."""
            try:
                return bool(getattr(self._port, name))
            except OSError as error:
                if error.errno in (errno.ENOTTY, errno.EINVAL):
                    return True
                raise self._end(error) from error

        def line_status(self) -> Mapping[Reason, bool]:
            """See Transport: DSR or CTS, where the address says that they are wired."""
            watched = {"rtscts": "cts", "dsrdtr": "dsr"}.get(self._flow)
            with self._using:
                self._check()
                return {Reason.OFFLINE: True} if watched and not self._line(watched) else {}

        def _shut(self) -> None:
            # Where the device has gone, nobody knows what the driver still waits to pass on.
            if not self._unacknowledged and not (self._gone and self._total):
                self._port.close()
                return

            def close() -> None:
                with contextlib.suppress(OSError):
                    self._port.close()

            thread = threading.Thread(target=close, name=f"rawprint closes {self._device}", daemon=True)
            with _closing_lock:  # nobody may wait for one that has not begun
                thread.start()
                _closing[self._device] = thread
