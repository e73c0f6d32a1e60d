"""One client: reads its frames, has them answered one after the other, and sees it off."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from rawprint_server.accents.printerwebsocket import PrinterWebSocket

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.config import Config
    from rawprint_server.hub import Hub


async def serve_client(connection: ServerConnection, hub: Hub, config: Config) -> None:
    """Serves until the connection ends; frames that came before its end are still answered for.

    A page may print and be left in the same breath: its last job must not get lost with it. A client that does not
    read its replies is not read from either.
    """

    async def send(frame: bytes) -> None:
        with suppress(ConnectionClosed):
            await connection.send(frame, text=True)

    accent = PrinterWebSocket(hub, send, join_commands=config.server.join_commands)
    with suppress(ConnectionClosed):
        while True:
            await accent.answer(await connection.recv())
