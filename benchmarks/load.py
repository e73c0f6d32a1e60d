"""A client that sends the same large job again and again, a process of its own.

    load.py PORT PATH PROTOCOL

It prints a JSON line, and reads from its standard input: four bytes, the length of a frame; the frame; then a byte for
each time that it is to be sent. It ends with its input.
"""

from __future__ import annotations

import os
import sys

from client import WebSocket


def main() -> None:
    port, path, protocol = sys.argv[1:]
    os.write(1, b"{}\n")
    size = int.from_bytes(_exactly(4), "big")
    frame = _exactly(size)
    server = WebSocket(int(port), path, protocol)
    while os.read(0, 1):
        server.send(frame)
        server.answer()


def _exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit()
        data += piece
    return data


if __name__ == "__main__":
    main()
