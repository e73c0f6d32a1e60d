"""Plugs emulated devices into a real kernel: the device side of USB/IP, for the driver vhci-hcd (root).

The kernel then enumerates an ordinary device: usblp, ftdi_sio or cdc_acm bind to it, libusb finds it, and requests, stalls,
time-outs and unplugs are the kernel's own.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

_VHCI = Path("/sys/devices/platform/vhci_hcd.0")
_SUBMIT, _UNLINK, _RET_SUBMIT, _RET_UNLINK = 1, 2, 3, 4


class Plug:
    """A device in a port. `unplug()` yanks it, in the middle of a transfer, too."""

    def __init__(self, model, port=None):
        self.model = model
        self.lock = threading.RLock()
        self._pending = {}
        self.port = port if port is not None else next(number for number, free in self._ports() if free)
        self._sock, kernel = socket.socketpair()
        with kernel:
            (_VHCI / "attach").write_text(f"{self.port} {kernel.fileno()} {self.port + 1} {model.speed}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def plugged(self):
        return self._sock.fileno() >= 0

    @staticmethod
    def _ports():
        """ "hs  0000 004 000 …": 004 is a port that is not used."""
        lines = (_VHCI / "status").read_text().splitlines()
        return [(int(words[1]), words[2] == "004") for words in map(str.split, lines) if words[0] == "hs"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unplug()

    def unplug(self):
        if self.plugged:
            self._sock.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._sock.close()
            wait_for(lambda: dict(self._ports())[self.port])

    def set(self, **state):
        """Change the device, and look again at the requests that wait."""
        with self.lock:
            for name, value in state.items():
                setattr(self.model, name, value)
            self._retry()

    def set_reason(self, reason, value):
        """Let a fault of the virtual printer in the device come or go."""
        with self.lock:
            self.model.printer.set(reason, value)
            self._retry()

    def say(self, data):
        with self.lock:
            self.model.answers += data
            self._retry()

    @property
    def received(self):
        with self.lock:
            return bytes(self.model.received)

    # -- the protocol: a header of 48 bytes each way, then the OUT or IN data ------------------------------------

    def _read(self, size):
        data = b""
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _serve(self):
        with contextlib.suppress(EOFError, OSError):  # unplugged
            while True:
                header = struct.unpack(">5IIi", self._read(28))
                command, number, _device, to_host, endpoint, flags, length = header
                rest = self._read(20)
                if command == _UNLINK:
                    with self.lock:
                        self._unlink(number, victim=flags)
                    continue
                data = b"" if to_host or not length else self._read(length)
                with self.lock:
                    self._pending[number] = [to_host, endpoint, length, data, rest[12:], 0]
                    self._retry()

    def _retry(self):
        for out_first in (True, False):  # what is taken may make an answer
            busy = set()  # endpoints whose first request still waits: the others wait behind it
            for number, request in list(self._pending.items()):
                endpoint = request[1]
                if (not request[0]) == out_first and endpoint not in busy:
                    self._try(number, request)
                    if number in self._pending and endpoint:
                        busy.add(endpoint)

    def _try(self, number, request):
        to_host, endpoint, length, data, setup, done = request
        if endpoint == 0:
            answer = self.model.setup(*struct.unpack("<BBHH", setup[:6]), data)
            if answer is None:
                self._done(number, -errno.EPIPE)
            else:
                self._done(number, 0, answer[:length] if to_host else b"", len(data))
        elif to_host:
            answer = self.model.give(endpoint, length)
            if answer is not None:
                self._done(number, 0, answer)
        elif self.model.stalls:
            self.model.stalls -= 1
            self._done(number, -errno.EPIPE)
        else:
            while done < len(data) and (taken := self.model.take(data[done:])):
                request[5] = done = done + taken
            if done == len(data):
                self._done(number, 0, b"", done)

    def _unlink(self, number, victim):
        request = self._pending.get(victim)
        if request and not request[0]:
            # How much the device took before the cancel, as a host controller tells: a bare RET_UNLINK loses the count.
            self._done(victim, -errno.ECONNRESET, b"", request[5])
        status = -errno.ECONNRESET if self._pending.pop(victim, None) else 0
        self._send(struct.pack(">5Ii24x", _RET_UNLINK, number, 0, 0, 0, status))

    def _done(self, number, status, payload=b"", count=0):
        del self._pending[number]
        fields = (_RET_SUBMIT, number, 0, 0, 0, status, len(payload) or count, 0, 0, 0)
        self._send(struct.pack(">5I5i8x", *fields) + payload)

    def _send(self, data):
        with contextlib.suppress(OSError):
            self._sock.sendall(data)


def modprobe(*names):
    for name in names:
        subprocess.run(["/bin/busybox", "modprobe", name], check=True)


def wait_for(condition, timeout=15.0):
    """What the condition comes to, when it is true; or at the end of the time."""
    pause, deadline = threading.Event(), time.monotonic() + timeout
    while not (got := condition()) and time.monotonic() < deadline:
        pause.wait(0.01)
    return got
