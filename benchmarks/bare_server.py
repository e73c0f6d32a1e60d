"""The floor of the server's memory: a WebSocket server with nothing behind it, on the same kind of event loop."""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop


async def _echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


def _health(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(http.HTTPStatus.OK, "") if request.path == "/health" else None


async def main() -> None:
    async with serve(_echo, "127.0.0.1", 0, process_request=_health, compression=None) as server:
        print(f'{{"url": "ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"}}', flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
