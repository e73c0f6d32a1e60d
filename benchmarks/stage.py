"""What a measurement of the server needs: printers, the floor server and ours, and ways to send them a job or a question."""

from __future__ import annotations

import json
import os
import select
import socket
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from client import PROTOCOL, WebSocket, binary, printing, result, text
from processes import Started, floor_server, our_server, sink
from sink import STAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Way: TypeAlias = "Callable[[], float]"  # sends something once, and returns microseconds

LOAD = 9999  # tag of jobs that nobody measures
HELD = "share = false"  # our server keeps the printer's connection, as the floors do
SHARED = "share = true"  # lets others have it when it is idle, and now and then when it is not
_PATIENCE = 10.0  # seconds


class Printers:
    """A running sink.

    Attributes:
        ports: One for each printer.
        passed: Called for each job with the tag LOAD.
    """

    def __init__(self, far: Started) -> None:
        self.ports: list[int] = far.ready
        self.passed: Callable[[], object] = int
        self.pipe = far.process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self.pipe, select.POLLIN)

    def taken(self) -> float:
        """Waits until the next job's last byte was read; when that was.

        Raises:
            TimeoutError: No job came to its end within 10 s.
        """
        while True:
            if not self._poll.poll(_PATIENCE * 1000):
                raise TimeoutError(f"no printer had a whole job within {_PATIENCE:g} s")
            tag, when = STAMP.unpack(os.read(self.pipe, STAMP.size))
            if tag != LOAD:
                return when
            self.passed()

    def config(self, extra: str = HELD) -> str:
        """TOML in which these printers are p0, p1 and so on, each with the `extra` keys."""
        return "".join(
            f'[printers.p{number}]\naddress = "tcp://127.0.0.1:{port}"\n{extra}\n'
            for number, port in enumerate(self.ports)
        )

    # Ways to send a job: each call sends one, and returns the microseconds until a printer has read its last byte.

    def directly(self, data: bytes, printer: int = 0) -> Way:
        sock = self._connected(printer)
        return self._sent(lambda: sock.sendall(data))

    def directly_new(self, data: bytes, printer: int = 0) -> Way:
        def send() -> None:
            with self._connected(printer) as sock:
                sock.sendall(data)

        return self._sent(send)

    def through(self, server: WebSocket, frame: bytes, finish: Callable[[], object]) -> Way:
        """A frame to a server. The printer is waited for first: waking for the answer would only keep it waiting."""
        return self._sent(lambda: server.send(frame), finish)

    def _connected(self, printer: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.ports[printer]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _sent(self, send: Callable[[], object], finish: Callable[[], object] = int) -> Way:
        def once() -> float:
            begin = perf_counter()
            send()
            taken = self.taken()
            finish()
            return (taken - begin) * 1e6

        return once


class Stage:
    """Printers with both servers before them."""

    def __init__(self, printers: Printers, floor: Started | None, ours: Started) -> None:
        self.printers = printers
        self.floor = floor
        self.ours = ours

    def relay(self, kind: str, data: bytes, printer: int = 0) -> Way:
        """A job through one of the floors `relay_…`."""
        server = self.floor_client(kind, printer)
        return self.printers.through(server, relayed(kind, data), server.answer)

    def print(self, data: bytes, flavor: str, printer: int = 0, **options: object) -> Way:
        """A job through ours."""
        server = self.our_client()
        frame = printing(f"p{printer}", data, flavor, **options)
        return self.printers.through(server, frame, lambda: result(json.loads(server.answer())))

    def floor_client(self, kind: str, printer: int = 0) -> WebSocket:
        return WebSocket(self.floor.port, f"/{kind}/{self.printers.ports[printer]}")

    def our_client(self) -> WebSocket:
        return WebSocket(self.ours.port, "/", PROTOCOL)


def relayed(kind: str, data: bytes) -> bytes:
    """The frame of a job for one of the floors."""
    return printing("", data, "base64") if kind == "relay_json" else binary(data)


def answered(server: WebSocket, frame: bytes, finish: Callable[[], object] = int) -> Way:
    """Microseconds from a frame to its answer."""

    def once() -> float:
        begin = perf_counter()
        server.send(frame)
        server.answer()
        done = perf_counter()
        finish()
        return (done - begin) * 1e6

    return once


def asking(printer: str) -> bytes:
    """The frame of a native question for a printer's status."""
    return text({"call": "printers.status", "uid": "1", "params": {"printer": printer}})


@contextmanager
def printers(*kinds: str) -> Iterator[Printers]:
    with sink(*kinds) as far:
        yield Printers(far)


@contextmanager
def stage(*kinds: str, extra: str = HELD) -> Iterator[Stage]:
    """A printer of each kind of sink.py; `extra` are further keys of each in our configuration."""
    with printers(*kinds) as there, floor_server() as floor, our_server(there.config(extra)) as ours:
        yield Stage(there, floor, ours)
