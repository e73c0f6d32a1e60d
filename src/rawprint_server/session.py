"""One client: reads its frames, has them answered, lets it hear of changes, and sees it off."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from rawprint_server.accents.native import Native
from rawprint_server.accents.printerwebsocket import PrinterWebSocket
from rawprint_server.access import ADMIN
from rawprint_server.client import Client
from rawprint_server.config import seconds
from rawprint_server.messages import PROTOCOL

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.access import Asking, Entry
    from rawprint_server.client import Services
    from rawprint_server.hub import Hub

log = logging.getLogger(__name__)

RESTART = 1012  # close code: the server ends or starts anew; what it has not answered it has not done
# A message above the limit is read to its end, up to this many times the limit, for the sake of the answer.
READ_TO_REFUSE = 2

FRAMES_IN_TURN = 32
TOO_SLOW = 4408  # close code


class Session:
    """Serves one connection until it ends, or the server does."""

    def __init__(
        self, connection: ServerConnection, hub: Hub, services: Services, asking: Asking, entry: Entry
    ) -> None:
        self.asking = asking
        self._connection = connection
        self._client = Client(connection, hub, services, entry)
        self._services = services
        self._config = services.config
        self._reading: asyncio.Task[None] | None = None
        self._native: Native | None = None
        self._stopped = False
        self._leave = asyncio.Event()
        self._last = RESTART, "the server stops"

    def change(self, entry: Entry) -> None:
        """It may do something else from here on; what it has subscribed to is told for that."""
        before = self._client.entry
        if before.grant == ADMIN and entry.origin is not None and entry.origin in self._client.gate.own:
            return  # it has used its code
        self._client.entry = entry
        if self._services.watching is not None:
            if "admin" not in entry.grant.calls:
                self._services.watching.unwatch(self._client)
            self._services.watching.changed(self._client)
        if "status" not in entry.grant.calls:
            self._client.unsubscribe()
        elif (before.grant.printers, before.grant.sees_jobs) != (entry.grant.printers, entry.grant.sees_jobs):
            self._client.narrow()

    async def serve(self) -> None:
        """Reads and answers frames; those that came before the end of the connection are still answered for.

        A page may print and be left in the same breath: its last job must not get lost with it.
        """
        self._reading = asyncio.current_task()
        if self._services.watching is not None:
            self._services.watching.came(self._client, self.refuse)
        try:
            self.limit(self._config.server.max_message_bytes)
            with suppress(ConnectionClosed):
                if self._connection.subprotocol == PROTOCOL:
                    await self._read_native()
                else:
                    await self._printerwebsocket()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            await self._leave.wait()
            await self._connection.close(*self._last)
        finally:
            self._client.unsubscribe()
            if self._services.watching is not None:
                self._services.watching.left(self._client)
            if self._native is not None:
                self._native.close()

    def stop(self) -> None:
        """Reads no frame any more: what has not been answered by now will not be done. Events still go out."""
        if self._reading is not None and not self._stopped:
            self._stopped = True
            self._reading.cancel()

    def limit(self, max_message_bytes: int) -> None:
        """Reads no message that is much longer."""
        slack = READ_TO_REFUSE if self._connection.subprotocol == PROTOCOL else 1
        self._connection.protocol.max_message_size = slack * max_message_bytes

    def leave(self) -> None:
        """Closes the connection, after `stop`."""
        self._leave.set()

    def refuse(self, code: int, reason: str) -> None:
        """Closes the connection, as its page may not use the server any more, and reads no frame that it still sends."""
        self._last = code, reason
        self._client.unsubscribe()
        if self._services.watching is not None:
            self._services.watching.unwatch(self._client)
        self.stop()
        self.leave()

    async def _read_native(self) -> None:
        self._native = accent = Native(self._client)
        first = seconds(self._config.limits.first_frame)
        try:
            async with asyncio.timeout(first):
                frame = await self._connection.recv()
        except TimeoutError:
            await self._connection.close(TOO_SLOW, f"no message in {first:g} s")
            return
        accent.answer(frame)
        while True:
            # Many small frames come in one read, and between them `recv` never waits: others want their turn.
            for _ in range(FRAMES_IN_TURN):
                accent.answer(await self._connection.recv())
            await asyncio.sleep(0)

    async def _printerwebsocket(self) -> None:
        accent = PrinterWebSocket(self._client, join_commands=self._config.server.join_commands)
        while True:
            await accent.answer(await self._connection.recv())
