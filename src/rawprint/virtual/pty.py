"""A virtual printer behind a pseudo-terminal, as if it hung on a serial port (POSIX)."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rawprint.address import SerialAddress
from rawprint.virtual.listener import Listener

if TYPE_CHECKING:
    import socket

    from rawprint.virtual.device import Device


class PtyListener(Listener):
    """Serves one device at a pseudo-terminal; used like `Listener`.

    The terminal itself keeps bytes that the device has not taken (Linux: about 20 KiB). To drop the connection is to pull the cable: the
    port is gone then.
    """

    def __init__(
        self, device: Device, path: Path | None = None, *, baud: int | None = None, output_dir: Path | None = None
    ) -> None:
        """Prepare; `start` makes the terminal.

        Args:
            device: The printer.
            path: A link to the terminal, made at the start and removed at the end; None: no link.
            baud: The speed of the printer's end: at another one both sides get garbage, as on a wire; None: any speed.
            output_dir: See `Listener`.
        """
        super().__init__(device, output_dir=output_dir)
        self._path = path
        self._baud = baud
        self._name = ""

    def _open(self) -> None:
        """Make the terminal.

        Raises:
            OSError: The link cannot be made: something is there already.
        """
        if sys.platform == "win32":
            raise OSError("Windows has no pseudo-terminals with a name")
        import tty  # noqa: PLC0415

        master, slave = os.openpty()
        try:
            tty.setraw(slave)  # while it stays open, it stays so: nothing that the printer says is echoed to it
            self._name = os.ttyname(slave)
            if self._path is not None:
                self._remove_left_over(self._path)
                self._path.symlink_to(self._name)
        except OSError:
            os.close(master)
            os.close(slave)
            raise
        os.set_blocking(master, False)
        self._waiting.append(cast("socket.socket", _Master(master, slave, self._baud)))

    def _remove_left_over(self, path: Path) -> None:
        """A link to a terminal was left by a run that was killed; whose terminal that number is now says nothing."""
        with contextlib.suppress(OSError):  # there is none, or it is no link
            if path.readlink().parent == Path(self._name).parent:
                path.unlink()

    @property
    def address(self) -> str:
        """The printer's address, like `serial:///dev/pts/3`."""
        return str(SerialAddress(str(self._path.absolute()) if self._path is not None else self._name))

    def close(self) -> None:
        """See Listener."""
        super().close()
        if (
            self._path is not None
            and self._name
            and self._path.is_symlink()
            and str(self._path.readlink()) == self._name
        ):
            self._path.unlink()


# A receiver at another speed samples each bit several times or not at all: what it makes of a byte always has the top
# bits set, and is never what was sent.
_GARBLED = bytes((byte * 37 + 11) % 61 + 192 for byte in range(256))


class _Master:
    """The printer's end of a terminal, with what a listener uses of a connection."""

    def __init__(self, master: int, slave: int, baud: int | None) -> None:
        self._master, self._slave = master, slave
        self._baud = baud

    def fileno(self) -> int:
        return self._master

    def recv(self, size: int) -> bytes:
        data = os.read(self._master, size)
        return data.translate(_GARBLED) if self._other_speed() else data

    def send(self, data: bytearray) -> int:
        return os.write(self._master, data.translate(_GARBLED) if self._other_speed() else data)

    def _other_speed(self) -> bool:
        """Whether the host has set its end to another speed than the printer's."""
        if self._baud is None or sys.platform == "win32":
            return False
        import termios  # noqa: PLC0415

        return bool(termios.tcgetattr(self._slave)[5] != getattr(termios, f"B{self._baud}"))

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)

    def setsockopt(self, *_: object) -> None:
        """It has no options."""

    def shutdown(self, _: int) -> None:
        raise OSError("a terminal has no half close")
