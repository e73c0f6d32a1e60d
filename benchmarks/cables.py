"""How long a job takes over other cables than TCP, as a multiple of what rawprint takes over TCP; and their far ends.

    cables.py tcp | pty SIZE     takes jobs of SIZE bytes, a process of its own; prints its address, then as peer.py does

The emulated USB device has no process of its own: its time is what our side of USB costs, the emulation included.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from latency import SIZES
from pairs import Row, alternate, compare, until_taken
from peer import STAMP

import rawprint

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1.3
_BLOCKS = 5
_TESTS = Path(__file__).parents[1]


class _Far:
    """A running far end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._pipe = process.stdout.fileno()
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._pipe, 1)
        self.address = line.decode().strip()

    def taken(self) -> float:
        return STAMP.unpack(os.read(self._pipe, STAMP.size))[0]


@contextmanager
def _far(kind: str, size: int) -> Iterator[_Far]:
    command = [sys.executable, __file__, kind, str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield _Far(process)
        finally:
            process.kill()


def rows(rounds: int) -> Iterator[Row]:
    """Over a pseudo-terminal and over an emulated USB device; the floor is rawprint over TCP."""
    for size, count in SIZES.items():
        data = bytes(range(32, 127)) * (count // 95 + 1)
        data = data[:count]
        for name, measure in (("pseudo-terminal", _pty), ("emulated USB", _usb)):
            blocks = [measure(data, max(rounds // _BLOCKS, 20)) for _ in range(_BLOCKS)]
            note = "from the call to the last byte read; floor: rawprint over TCP, kept"
            yield compare(f"print, {name}, kept, {size}", "us", "ratio", blocks, limit=LIMIT, note=note)

    data = bytes(20_000)
    blocks = [_bare_pty(data, max(rounds // _BLOCKS, 20)) for _ in range(_BLOCKS)]
    note = "from the call to the last byte read; floor: the same over a bare descriptor, which waits in the kernel"
    yield compare("print, pseudo-terminal, kept, 20 kB, over bare", "us", "ratio", blocks, note=note)


def _bare_pty(data: bytes, rounds: int) -> list[tuple[float, float]]:
    """What the kernel's pseudo-terminal itself costs: it takes a few kilobytes at a time."""
    with _far("pty", len(data)) as bare, _far("pty", len(data)) as pty, rawprint.open(pty.address) as ours:
        descriptor = os.open(bare.address.removeprefix("serial://"), os.O_RDWR | os.O_NOCTTY)

        def write() -> None:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]

        try:
            over_bare = until_taken(write, bare)
            return _read(alternate(over_bare, until_taken(lambda: ours.print(data), pty), rounds))
        finally:
            os.close(descriptor)


def _read(pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> list[tuple[float, float]]:
    return [(floor[0], ours[0]) for floor, ours in pairs]


def _pty(data: bytes, rounds: int) -> list[tuple[float, float]]:
    with (
        _far("tcp", len(data)) as tcp,
        _far("pty", len(data)) as pty,
        rawprint.open(tcp.address) as floor,
        rawprint.open(pty.address) as ours,
    ):
        over_tcp = until_taken(lambda: floor.print(data), tcp)
        return _read(alternate(over_tcp, until_taken(lambda: ours.print(data), pty), rounds))


def _usb(data: bytes, rounds: int) -> list[tuple[float, float]]:
    sys.path.insert(0, str(_TESTS))
    from tests.usb.devices import UsbPrinterDevice  # noqa: PLC0415
    from tests.usb.fakeback import FakeBackend, FakeBus  # noqa: PLC0415

    from rawprint.transports import usb_devices  # noqa: PLC0415

    class Taking(UsbPrinterDevice):
        """Notes when it has taken the last byte of a job."""

        left = len(data)
        at = 0.0

        def take(self, more: bytes) -> int:
            taken = super().take(more)
            self.left -= taken
            if not self.left:
                self.left, self.at = len(data), perf_counter()
                self.received.clear()
            return taken

        def taken(self) -> float:
            return self.at

    bus, model = FakeBus(), Taking()
    bus.plug(model)
    usb_devices.new_backend, before = lambda: FakeBackend(bus), usb_devices.new_backend
    try:
        with (
            _far("tcp", len(data)) as tcp,
            rawprint.open(tcp.address) as floor,
            rawprint.open("usb://04b8:0e15") as ours,
        ):
            over_tcp = until_taken(lambda: floor.print(data), tcp)
            return _read(alternate(over_tcp, until_taken(lambda: ours.print(data), model), rounds))
    finally:
        usb_devices.new_backend = before


def _take(kind: str, size: int) -> None:
    if cpu := os.environ.get("PEER_CPU"):
        os.sched_setaffinity(0, {int(cpu)})
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
    gc.disable()
    if kind == "pty":
        import tty  # noqa: PLC0415

        descriptor, slave = os.openpty()
        tty.setraw(slave)
        os.write(1, f"serial://{os.ttyname(slave)}\n".encode())
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        os.write(1, f"tcp://127.0.0.1:{listener.getsockname()[1]}\n".encode())
        descriptor = listener.accept()[0].detach()
    left = size
    while data := os.read(descriptor, 1 << 18):
        left -= len(data)
        if not left:
            os.write(1, STAMP.pack(perf_counter()))
            left = size


if __name__ == "__main__":
    _take(sys.argv[1], int(sys.argv[2]))
