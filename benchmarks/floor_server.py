"""The floors of the server's measurements: the least that a WebSocket server can do, on the same kind of event loop.

A connection's path says what is done with each of its frames:

    /                   answers "ok" (the floor `upload`)
    /relay_keep/PORT    writes the frame's bytes to a socket that stays open, then answers "ok"
    /relay_new/PORT     the same on a new socket each time
    /relay_json/PORT    reads JSON with base64 data, writes that to a socket that stays open, answers JSON
    /relay_status/PORT  asks the printer there the two questions of TSPL, answers JSON

Each relay is the faster of the two direct ways to write it: `loop.sock_sendall` on a kept socket (asyncio's streams take
as long, at 1 MB a little longer), a stream on a new one (uvloop's `sock_connect` takes 30 us longer than its streams).
"""

from __future__ import annotations

import asyncio
import base64
import http
import json
import socket
from typing import TYPE_CHECKING

from peer import ANSWERS
from websockets.asyncio.server import ServerConnection, serve

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop


async def _upload(client: ServerConnection, _port: int) -> None:
    async for _ in client:
        await client.send("ok")


async def _relay_keep(client: ServerConnection, port: int) -> None:
    loop = asyncio.get_running_loop()
    with await _connected(port) as printer:
        async for frame in client:
            await loop.sock_sendall(printer, frame)
            await client.send("ok")


async def _relay_new(client: ServerConnection, port: int) -> None:
    async for frame in client:
        _, printer = await asyncio.open_connection("127.0.0.1", port)
        printer.write(frame)
        await printer.drain()
        printer.close()
        await client.send("ok")


async def _relay_json(client: ServerConnection, port: int) -> None:
    loop = asyncio.get_running_loop()
    with await _connected(port) as printer:
        async for frame in client:
            request = json.loads(frame)
            await loop.sock_sendall(printer, base64.b64decode(request["params"]["data"][0]["data"]))
            await client.send(json.dumps({"uid": request["uid"], "result": "ok"}))


async def _relay_status(client: ServerConnection, port: int) -> None:
    loop = asyncio.get_running_loop()
    with await _connected(port) as printer:
        async for frame in client:
            answers = []
            for question in ANSWERS["tspl"]:
                await loop.sock_sendall(printer, question)
                answers.append((await loop.sock_recv(printer, 64)).hex())
            await client.send(json.dumps({"uid": json.loads(frame)["uid"], "result": answers}))


async def _connected(port: int) -> socket.socket:
    printer = socket.socket()
    printer.setblocking(False)
    printer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().sock_connect(printer, ("127.0.0.1", port))
    return printer


_FLOORS = {
    "": _upload,
    "relay_keep": _relay_keep,
    "relay_new": _relay_new,
    "relay_json": _relay_json,
    "relay_status": _relay_status,
}


async def _serve(client: ServerConnection) -> None:
    name, _, port = client.request.path[1:].partition("/")
    await _FLOORS[name](client, int(port or 0))


def _health(client: ServerConnection, request: Request) -> Response | None:
    return client.respond(http.HTTPStatus.OK, "") if request.path == "/health" else None


async def main() -> None:
    async with serve(_serve, "127.0.0.1", 0, process_request=_health, compression=None, max_size=None) as server:
        print(f'{{"url": "ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"}}', flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
