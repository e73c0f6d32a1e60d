"""A device file as a byte pipe (POSIX): waits, counts and ends, for the kernel's printer devices and for serial ports."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
import threading
import time

from rawprint.errors import Disconnected
from rawprint.transports.base import Transport

assert sys.platform != "win32"  # it has no such files, and nobody imports this there

_READ = 4096
_PAUSE = 0.02  # seconds; where a device says that it is ready, and is not
_GONE = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN, errno.EBADF, errno.ENOTCONN)
_ENDS = select.POLLERR | select.POLLHUP | select.POLLNVAL


class DescriptorTransport(Transport):
    """An open descriptor that does not block. Subclasses say how much it is given at a time, and what it holds back."""

    counts = "handed-over"
    piece = 4096  # bytes at most in one write
    empty_is_end = True  # whether to read nothing where something was announced means that it has gone

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._total = 0
        self._unacknowledged = 0
        self._deaf = False  # it has no way back
        self._ended: Disconnected | None = None
        self._closed = False
        self._gone = False  # it ended by itself
        self._waking = threading.Lock()  # held while the pipe is written to, which another close may close meanwhile
        self._using = threading.Lock()  # held while the descriptor is used: a number must not be closed under a call
        os.set_blocking(descriptor, False)
        self._wake_in, self._wake_out = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._wake_in, select.POLLIN)
        self._poll.register(descriptor, 0)

    # -- what a kind of device supplies --------------------------------------------------------------------------

    def _held_back(self) -> int:
        """How many of the bytes that were written the system still holds.

        Raises:
            OSError: It has gone.
        """
        raise NotImplementedError

    def _hold(self) -> float:
        """After how long to ask again, as the far side wants no bytes now; 0: it does, or the system sees to that."""
        return 0.0

    def _shut(self) -> None:
        """Close the descriptor; called once, and nobody uses it any more."""
        os.close(self._descriptor)

    # -- the pipe ------------------------------------------------------------------------------------------------

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        deadline = time.monotonic() + timeout
        with self._using:
            while True:
                self._check()
                hold = self._hold()
                if not hold and len(data) and (taken := self._give(data[: self.piece])):
                    return taken
                rest = deadline - time.monotonic()
                if rest <= 0 or not data:
                    return 0
                events = self._wait(0 if hold else select.POLLOUT, min(hold, rest) if hold else rest)
                if not hold and not self._hold() and (taken := self._give(data[: self.piece])):
                    return taken
                if events & _ENDS:
                    raise self._end(None)
                if events:  # it says that it is ready, and takes nothing
                    self._wait(0, min(_PAUSE, rest))

    def _give(self, piece: memoryview) -> int:
        try:
            taken = os.write(self._descriptor, piece)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._end(error) from error
        self._total += taken
        return taken

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        deadline = time.monotonic() + timeout
        with self._using:
            while True:
                self._check()
                rest = max(deadline - time.monotonic(), 0.0)
                events = self._wait(0 if self._deaf else select.POLLIN, rest)
                if events & select.POLLIN:
                    data = self._take()
                    if data:
                        return data
                    self._wait(0, min(_PAUSE, rest))
                elif events & _ENDS:
                    raise self._end(None)
                if time.monotonic() >= deadline:
                    return b""

    def _take(self) -> bytes:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EINVAL:  # a printer that cannot answer
                self._deaf = True
                return b""
            raise self._end(error) from error
        if not data and self.empty_is_end:
            raise self._end(None)
        return data

    def _wait(self, events: int, timeout: float) -> int:
        """Wait until the descriptor is so, has ended, or is closed by another thread; what it is."""
        self._poll.modify(self._descriptor, events)
        came = dict(self._poll.poll(timeout * 1000))
        self._check()
        return came.get(self._descriptor, 0)

    def _check(self) -> None:
        if self._ended is not None:
            raise self._ended

    def unacknowledged(self) -> int:
        """See Transport."""
        with self._using:
            if self._ended is None:
                self._count()
            return self._unacknowledged

    def _count(self) -> None:
        if self._total:
            with contextlib.suppress(OSError):  # who writes or reads next finds out
                self._unacknowledged = min(self._held_back(), self._total)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _end(self, error: OSError | None) -> Disconnected:
        """Note how it ended. What was written may have been printed, as the system's count is not the printer's."""
        if self._ended is None:
            self._gone = True
            gone = error is None or error.errno in _GONE
            what = "was unplugged or switched off" if gone else f"failed: {error.strerror if error else ''}"
            self._ended = Disconnected(
                f"{self._name} {what}", hint="check the cable and that the printer is on", lost=self._total > 0
            )
        return self._ended

    def close(self, linger: float = 0.0) -> None:
        """See Transport."""
        if linger > 0 and self._ended is None:
            self._drain(linger)
        first, self._ended = self._ended is None, self._ended or Disconnected(f"{self._name} was closed")
        with self._waking:
            if self._closed:  # the number of the pipe may be somebody else's by now
                return
            os.write(self._wake_out, b".")
        with self._using:
            with self._waking:
                if self._closed:
                    return
                self._closed = True
            if first:
                self._count()
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._shut()

    def _drain(self, linger: float) -> None:
        """Wait until the system has passed on what it holds, but for no other thread that reads or writes meanwhile."""
        deadline = time.monotonic() + linger
        while (rest := deadline - time.monotonic()) > 0 and self._using.acquire(timeout=rest):
            try:
                self._check()
                self._count()
                if not self._unacknowledged or self._wait(0, min(_PAUSE, rest)) & _ENDS:
                    return
            except Disconnected:
                return
            finally:
                self._using.release()
