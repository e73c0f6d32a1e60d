"""The far end of a measurement, a process of its own: it takes jobs or answers questions, and does nothing else.

    peer.py fresh SIZE     takes one job of SIZE bytes a connection, one connection after the other
    peer.py kept SIZE      takes jobs of SIZE bytes on two connections that stay open
    peer.py tspl | escpos  answers one status after the other on two connections that stay open

It prints its port, then for each job the time of its last byte: a C double of `time.perf_counter`, which Linux, macOS
and Windows take from one clock for all processes. It ends when its standard input does.

Its own work is part of both sides of every ratio, so it is kept as small as Python allows. One thread serves both
connections, in the order of `turns`: two threads could run on different CPUs, and then the numbers would compare CPUs.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
import sys
import threading
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP = struct.Struct("d")
ANSWERS = {  # question -> answer of a printer that is idle and well, in the order of a status
    "tspl": {b"\x1b!?": b"\x00", b"\x1b!S": b"\x02@@@@\x03\r\n"},
    "escpos": {bytes((0x10, 0x04, n)): b"\x12" for n in (1, 2, 3, 4)},
}
FLOOR, OURS = 0, 1
_BUFFER = 1 << 18


def turns() -> Iterator[int]:
    """Whose turn it is, for ever: who goes first changes every round."""
    return cycle((FLOOR, OURS, OURS, FLOOR))


def _take_fresh(listener: socket.socket, size: int) -> None:
    buffer = bytearray(_BUFFER)
    while True:
        connection, _ = listener.accept()
        read = _take(connection, buffer, size)
        while connection.recv_into(buffer):
            pass
        connection.close()
        os.write(1, STAMP.pack(read))


def _take_kept(listener: socket.socket, size: int) -> None:
    buffer = bytearray(_BUFFER)
    for connection in _in_turn(listener):
        os.write(1, STAMP.pack(_take(connection, buffer, size)))


def _take(connection: socket.socket, buffer: bytearray, size: int) -> float:
    while size > 0:
        count = connection.recv_into(buffer)
        if not count:
            raise EOFError("the connection ended in the middle of a job")
        size -= count
    return perf_counter()


def _answer(listener: socket.socket, answers: dict[bytes, bytes]) -> None:
    for connection in _in_turn(listener):
        for _ in answers:
            connection.sendall(answers[connection.recv(64)])


def _in_turn(listener: socket.socket) -> Iterator[socket.socket]:
    """The connection whose turn it is; the floor connects first, and its turn is the first."""
    connections: list[socket.socket] = []
    for turn in turns():
        if turn == len(connections):
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
        yield connections[turn]


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    kind, *size = sys.argv[1:]
    if cpu := os.environ.get("PEER_CPU"):
        os.sched_setaffinity(0, {int(cpu)})
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.write(1, b"%d\n" % listener.getsockname()[1])
    gc.disable()
    if kind == "fresh":
        _take_fresh(listener, int(size[0]))
    elif kind == "kept":
        _take_kept(listener, int(size[0]))
    else:
        _answer(listener, ANSWERS[kind])


if __name__ == "__main__":
    main()
