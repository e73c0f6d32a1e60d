"""Printers for the server's measurements, a process of its own: takes jobs, and says when each one's last byte came.

    sink.py KIND...     a listening port for each

    keep       takes jobs on connections that stay open
    close      closes a connection after each job
    reset      the same, with RST
    hang-up    closes a connection as soon as it is there
    stall      takes the first 64 KiB of a connection and no more
    tspl, escpos
               answers the questions of a status, and takes no jobs

It prints one JSON line, its ports, then for each job a STAMP: the job's tag and the time of its last byte by
`time.perf_counter`, one clock for all processes. A job says in its own first bytes how long it is and which tag it has,
so that jobs of all sizes can share a connection (`job` makes one). It ends when its standard input does.

Its own work is part of both sides of every ratio, so it is kept small: one thread, one look at the clock for each job.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import socket
import struct
import sys
import threading
from time import perf_counter

from peer import ANSWERS

STAMP = struct.Struct("=id")
_HEADER = 12  # digits: 8 of the job's length, 4 of its tag
_BUFFER = 1 << 18
_STALL_AFTER = 1 << 16
_RESET = struct.pack("ii", 1, 0)


def job(size: int, tag: int = 0) -> bytes:
    """A job of so many bytes, all of them text (a JSON string holds them as they are)."""
    text = random.Random(size).choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ", k=size)
    return b"%08d%04d" % (size, tag) + bytes(text)[_HEADER:]


class _Connection:
    def __init__(self, sock: socket.socket, kind: str) -> None:
        self.socket = sock
        self.kind = kind
        self.head = b""  # of a job that has just begun
        self.rest = 0  # bytes that the job still lacks
        self.tag = 0
        self.total = 0


class _Sink:
    def __init__(self, kinds: list[str]) -> None:
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        for kind in kinds:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self._listeners[listener.fileno()] = (listener, kind)
            self._poll.register(listener, select.EPOLLIN)

    def ports(self) -> list[int]:
        return [listener.getsockname()[1] for listener, _ in self._listeners.values()]

    def run(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                connection = self._connections.get(descriptor)
                if connection is None:
                    self._accept(*self._listeners[descriptor])
                else:
                    try:
                        count = connection.socket.recv_into(self._buffer)
                    except ConnectionResetError:
                        count = 0
                    if count:
                        self._take(connection, count)
                    else:
                        self._close(connection)

    def _accept(self, listener: socket.socket, kind: str) -> None:
        sock, _ = listener.accept()
        if kind == "hang-up":
            sock.close()
            return
        if kind in ANSWERS:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[sock.fileno()] = _Connection(sock, kind)
        self._poll.register(sock, select.EPOLLIN)

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection.socket.fileno()]
        connection.socket.close()

    def _take(self, connection: _Connection, count: int) -> None:
        if connection.kind in ANSWERS:
            self._answer(connection, count)
            return
        connection.total += count
        if connection.kind == "stall" and connection.total >= _STALL_AFTER:
            self._poll.unregister(connection.socket)
            return
        at = 0
        while at < count:
            if not connection.rest:
                at += self._begin(connection, self._view[at:count])
                if not connection.rest:
                    return  # not even the header is whole
            taken = min(connection.rest, count - at)
            connection.rest -= taken
            at += taken
            if not connection.rest:
                os.write(1, STAMP.pack(connection.tag, perf_counter()))
                self._ended(connection)

    def _begin(self, connection: _Connection, data: memoryview) -> int:
        """Reads as much of a header as there is; how many bytes that were."""
        used = min(_HEADER - len(connection.head), len(data))
        connection.head += data[:used]
        if len(connection.head) == _HEADER:
            connection.rest = int(connection.head[:8]) - _HEADER
            connection.tag = int(connection.head[8:])
            connection.head = b""
        return used

    def _ended(self, connection: _Connection) -> None:
        if connection.kind == "reset":
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if connection.kind in ("close", "reset"):
            self._close(connection)

    def _answer(self, connection: _Connection, count: int) -> None:
        answers = ANSWERS[connection.kind]
        asked, answer = bytes(self._view[:count]), b""
        while asked:
            question = next((question for question in answers if asked.startswith(question)), asked)
            answer += answers.get(question, b"")
            asked = asked[len(question) :]
        if answer:
            connection.socket.sendall(answer)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    sink = _Sink(sys.argv[1:])
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.write(1, json.dumps(sink.ports()).encode() + b"\n")
    gc.disable()
    sink.run()


if __name__ == "__main__":
    main()
