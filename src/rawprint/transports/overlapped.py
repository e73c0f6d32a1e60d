"""Counted overlapped reads and writes on a Windows handle: for USB printers behind usbprint.sys, and for serial ports.

Nothing here waits without an end: what does not finish in time is canceled, and the count of the cancel is exact. One read is
always under way, so that no answer is missed. Unproven on hardware: the logic is tested against a stand-in for kernel32.
"""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Protocol

from rawprint.errors import Disconnected
from rawprint.transports.base import Transport

_CHUNK = 4096
# Seconds. No wait is longer than a slice, so that a close is seen.
_SLICE = 0.25
_EMPTY_PAUSE = 0.02  # usbprint, and a serial port that pyserial has set, may answer a read at once, with nothing
_WAIT_OBJECT_0 = 0
# winerror.h
ERROR_INVALID_FUNCTION, ERROR_FILE_NOT_FOUND, ERROR_ACCESS_DENIED, ERROR_GEN_FAILURE = 1, 2, 5, 31
ERROR_SHARING_VIOLATION, ERROR_NOT_SUPPORTED, ERROR_NO_SUCH_DEVICE = 32, 50, 433
ERROR_OPERATION_ABORTED, ERROR_IO_PENDING, ERROR_DEVICE_NOT_CONNECTED = 995, 997, 1167
#: What says that the device is not there any more.
GONE = (ERROR_DEVICE_NOT_CONNECTED, ERROR_FILE_NOT_FOUND, ERROR_GEN_FAILURE, ERROR_NO_SUCH_DEVICE)
_CANNOT_ANSWER = (ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED)  # a printer without a way back


class Overlapped(ctypes.Structure):
    """OVERLAPPED of minwinbase.h."""

    _fields_ = (
        ("Internal", ctypes.c_void_p),
        ("InternalHigh", ctypes.c_void_p),
        ("Offset", ctypes.c_uint32),
        ("OffsetHigh", ctypes.c_uint32),
        ("hEvent", ctypes.c_void_p),
    )


class Kernel32(Protocol):
    """The functions of kernel32 that are used, with Python's types; those that fail return False, or None, or 0."""

    def CreateEvent(self) -> int: ...
    def CloseHandle(self, handle: int) -> bool: ...
    def ReadFile(self, handle: int, buffer: ctypes.Array[ctypes.c_char], size: int, state: Overlapped) -> bool: ...
    def WriteFile(self, handle: int, data: bytes, size: int, state: Overlapped) -> bool: ...
    def WaitForSingleObject(self, event: int, milliseconds: int) -> int: ...
    def CancelIoEx(self, handle: int, state: Overlapped) -> bool: ...
    def GetOverlappedResult(self, handle: int, state: Overlapped) -> int | None: ...
    def DeviceIoControl(self, handle: int, code: int, size: int) -> bytes | None: ...
    def GetLastError(self) -> int: ...


class OverlappedPipe(Transport):
    """An open handle as a byte pipe. What a finished or canceled write reports, the device's driver has."""

    counts = "acknowledged"

    #: Whether it has turned out that nothing can be read from it.
    mute: bool

    def __init__(self, handle: int, name: str, *, kernel: Kernel32, keep: object = None) -> None:
        """Take over an open handle.

        Args:
            handle: Opened with FILE_FLAG_OVERLAPPED.
            name: For messages.
            kernel: The system's functions.
            keep: What owns the handle, where that is not this: it has a `close`.
        """
        self._handle = handle
        self._name = name
        self._kernel = kernel
        self._keep = keep
        self._in_flight = 0
        self._ended: Disconnected | None = None
        self._closed = False
        self._closing = threading.Event()
        self._using = threading.Lock()
        self._write_state, self._read_state = Overlapped(), Overlapped()
        self._write_state.hEvent, self._read_state.hEvent = kernel.CreateEvent(), kernel.CreateEvent()
        self._buffer = ctypes.create_string_buffer(_CHUNK)
        self._reading = False
        self.mute = False  # it cannot answer: it is not read

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        deadline = time.monotonic() + timeout
        chunk = bytes(data[:_CHUNK])
        if not chunk:
            return 0
        with self._using:
            self._check()
            self._ask_to_read()  # a printer whose answers nobody fetches may stop taking bytes
            kernel, state, canceled = self._kernel, self._write_state, False
            if not kernel.WriteFile(self._handle, chunk, len(chunk), state):
                code = kernel.GetLastError()
                if code != ERROR_IO_PENDING:
                    raise self._end(code, lost=False)
                while not self._signaled(state, min(max(deadline - time.monotonic(), 0.0), _SLICE)):
                    if time.monotonic() >= deadline or self._ended is not None:
                        canceled = kernel.CancelIoEx(self._handle, state)  # the result tells what was taken before
                        break
            taken = kernel.GetOverlappedResult(self._handle, state)
            if taken is not None:
                return taken
            code = kernel.GetLastError()
            if code == ERROR_OPERATION_ABORTED and canceled:
                return 0
            # It went away, which may abort what is under way, too, with a write under way: how much it took, nobody can tell.
            self._in_flight = len(chunk)
            self._end(code, lost=True)
            return len(chunk)

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        deadline = time.monotonic() + timeout
        with self._using:
            while True:
                self._check()
                self._ask_to_read()
                rest = max(deadline - time.monotonic(), 0.0)
                if self.mute:
                    self._closing.wait(min(rest, _SLICE))
                elif self._signaled(self._read_state, min(rest, _SLICE)):
                    self._reading = False
                    count = self._kernel.GetOverlappedResult(self._handle, self._read_state)
                    if count is None:
                        code = self._kernel.GetLastError()
                        # Windows aborts a read when the thread ends that asked for it, and nothing is lost by that.
                        if code != ERROR_OPERATION_ABORTED:
                            raise self._end(code, lost=False)
                    elif count:
                        return self._buffer.raw[:count]
                    self._closing.wait(min(rest, _EMPTY_PAUSE))
                if time.monotonic() >= deadline:
                    return b""

    def _ask_to_read(self) -> None:
        """Keep one read under way."""
        if self._reading or self.mute:
            return
        self._reading = True
        if not self._kernel.ReadFile(self._handle, self._buffer, _CHUNK, self._read_state):
            code = self._kernel.GetLastError()
            if code != ERROR_IO_PENDING:
                self._reading = False
                if code not in _CANNOT_ANSWER:
                    raise self._end(code, lost=False)
                self.mute = True

    def _signaled(self, state: Overlapped, seconds: float) -> bool:
        return self._kernel.WaitForSingleObject(state.hEvent, int(seconds * 1000)) == _WAIT_OBJECT_0

    def unacknowledged(self) -> int:
        """See Transport."""
        return self._in_flight

    def control(self, code: int, size: int) -> bytes:
        """DeviceIoControl with no input; b"" where the driver refuses.

        Raises:
            Disconnected: It was unplugged.
        """
        with self._using:
            self._check()
            answer = self._kernel.DeviceIoControl(self._handle, code, size)
            if answer is None:
                failure = self._kernel.GetLastError()
                # A printer that merely does not know the question stalls, which is a general failure, too.
                if failure in GONE and failure != ERROR_GEN_FAILURE:
                    raise self._end(failure, lost=False)
            return answer or b""

    def _check(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _end(self, code: int, *, lost: bool) -> Disconnected:
        if self._ended is None:
            what = "was unplugged or switched off" if code in GONE else f"failed (Windows error {code})"
            self._ended = Disconnected(
                f"{self._name} {what}", hint="check the cable and that the printer is on", lost=lost
            )
        return self._ended

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002  (what was counted, the driver has)
        """See Transport."""
        if self._ended is None:
            self._ended = Disconnected(f"{self._name} was closed")
        self._closing.set()
        with self._using:  # another thread's wait ends within its slice
            if self._closed:
                return
            self._closed = True
            if self._reading:  # the system must not write into the buffer any more
                self._kernel.CancelIoEx(self._handle, self._read_state)
                self._kernel.GetOverlappedResult(self._handle, self._read_state)
            if self._keep is None:
                self._kernel.CloseHandle(self._handle)
            else:
                self._keep.close()  # type: ignore[attr-defined]
            for state in (self._write_state, self._read_state):
                self._kernel.CloseHandle(state.hEvent)
