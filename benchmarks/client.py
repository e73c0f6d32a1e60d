"""The least that a WebSocket client can be: frames that were made ahead go out in one write, answers come back."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any

from websockets.frames import Frame, Opcode

PROTOCOL = "rawprint.v1"


class WebSocket:
    """One connection.

    Args:
        port: Of the server, on 127.0.0.1.
        path: Tells the floor server what to be.
        protocol: The subprotocol to ask for.
        origin: Of the page; "": a program.
    """

    def __init__(self, port: int, path: str = "/", protocol: str = "", origin: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        asked = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        asked += f"Origin: {origin}\r\n" if origin else ""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{asked}\r\n".encode()
        )
        while b"\r\n\r\n" not in self._read:
            self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        if b" 101 " not in head or protocol.encode() not in head:
            raise RuntimeError(f"the server at port {port} does not speak {protocol or 'WebSocket'}")
        self.send = self.socket.sendall

    def answer(self) -> bytes:
        """The next frame's payload."""
        while True:
            frame = self._next()
            if frame is not None:
                return frame
            self._receive()

    def answers(self) -> list[bytes]:
        """What one read brings, where there is something to read: the payloads of the frames that are whole by then."""
        self._receive()
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def result(self, call: str, params: object = None) -> Any:
        """Calls a native method, and waits for its result."""
        self.send(text({"call": call, "uid": call, "params": params or {}}))
        while True:
            reply = json.loads(self.answer())
            if reply.get("uid") == call:
                return result(reply)

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self._read += data

    def _next(self) -> bytes | None:
        read = self._read
        if len(read) < 2:
            return None
        if read[0] == 0x88:
            raise EOFError(f"the server closed the connection: {read[4:]!r}")
        start, size = 2, read[1]
        if size == 126:
            start, size = 4, int.from_bytes(read[2:4], "big") if len(read) >= 4 else 1 << 62
        elif size == 127:
            start, size = 10, int.from_bytes(read[2:10], "big") if len(read) >= 10 else 1 << 62
        if len(read) < start + size:
            return None
        self._read = read[start + size :]
        return read[start : start + size]


def result(reply: Any) -> Any:
    """What a native reply carries.

    Raises:
        RuntimeError: It carries an error.
    """
    if "result" not in reply:
        raise RuntimeError(f"the server refuses: {reply}")
    return reply["result"]


def text(message: object) -> bytes:
    """A masked text frame of JSON."""
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


def binary(data: bytes) -> bytes:
    """A masked binary frame."""
    return Frame(Opcode.BINARY, data).serialize(mask=True)


def printing(printer: str, data: bytes, flavor: str, **options: object) -> bytes:
    """The frame of a native print; the flavor says how the data goes: "attached", "base64" or "plain"."""
    item = {"type": "raw", "format": "command", "flavor": flavor}
    if flavor == "base64":
        item["data"] = base64.b64encode(data).decode()
    elif flavor == "plain":
        item["data"] = data.decode()
    request = {"call": "print", "uid": "1", "params": {"printer": printer, "data": [item], "options": options}}
    if flavor != "attached":
        return text(request)
    head = json.dumps(request).encode()
    return binary(struct.pack(">I", len(head)) + head + data)
