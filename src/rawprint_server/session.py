"""One client: reads its frames, has them answered, lets it hear of changes, and sees it off."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from rawprint_server.accents.native import Native
from rawprint_server.accents.printerwebsocket import PrinterWebSocket
from rawprint_server.messages import PROTOCOL
from rawprint_server.methods import METHODS

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.config import ServerConfig
    from rawprint_server.hub import Hub
    from rawprint_server.messages import Snapshot

log = logging.getLogger(__name__)

RESTART = 1012  # close code: the server ends or starts anew; what it has not answered it has not done
# A message above the limit is read to its end, up to this many times the limit, for the sake of the answer.
READ_TO_REFUSE = 2

FRAMES_IN_TURN = 32

_NAMES = frozenset({*METHODS, "printerStatus"})


@dataclass(slots=True)
class Statistics:
    """What all sessions count: calls by name and outcome ("ok" or the error's code), and clients cut off."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    cut_off: int = 0


class Client:
    """One connection, as its accent sees it.

    Attributes:
        hub: The printers.
    """

    def __init__(self, connection: ServerConnection, hub: Hub, statistics: Statistics, max_outbox_bytes: int) -> None:
        self.hub = hub
        self._connection = connection
        self._statistics = statistics
        self._limit = max_outbox_bytes
        self._largest = 0

    def send(self, frame: bytes) -> None:
        """Sends a text frame without waiting; a client that does not read what it gets is cut off."""
        transport = self._connection.transport
        # The state of very many jobs may be longer than the bound; what comes after it may have to wait behind it.
        self._largest = max(self._largest, len(frame))
        if transport.get_write_buffer_size() > max(self._limit, 2 * self._largest):
            if not transport.is_closing():
                self._statistics.cut_off += 1
                log.warning("cut off the client %s: it does not read", self._connection.remote_address)
                transport.abort()
            return
        broadcast((self._connection,), frame, text=True)

    async def send_in_turn(self, frame: bytes) -> None:
        """Sends a text frame, and waits while the client does not read."""
        with suppress(ConnectionClosed):
            await self._connection.send(frame, text=True)

    def subscribe(self) -> Snapshot:
        """Everything known; from here on the client hears of every change."""
        self.hub.subscribe(self.send)
        return self.hub.snapshot()

    def unsubscribe(self) -> None:
        """The client hears of no change any more."""
        self.hub.unsubscribe(self.send)

    def count(self, call: str, outcome: str) -> None:
        """Counts a call."""
        self._statistics.calls[call if call in _NAMES else "unknown", outcome] += 1


class Session:
    """Serves one connection until it ends, or the server does."""

    def __init__(self, connection: ServerConnection, hub: Hub, config: ServerConfig, statistics: Statistics) -> None:
        self._connection = connection
        self._client = Client(connection, hub, statistics, config.max_outbox_bytes)
        self._config = config
        self._reading: asyncio.Task[None] | None = None
        self._native: Native | None = None
        self._stopped = False
        self._leave = asyncio.Event()
        self._last = RESTART, "the server stops"

    async def serve(self) -> None:
        """Reads and answers frames; those that came before the end of the connection are still answered for.

        A page may print and be left in the same breath: its last job must not get lost with it.
        """
        self._reading = asyncio.current_task()
        try:
            self.limit(self._config.max_message_bytes)
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
        self.stop()
        self.leave()

    async def _read_native(self) -> None:
        self._native = accent = Native(self._client)
        while True:
            # Many small frames come in one read, and between them `recv` never waits: others want their turn.
            for _ in range(FRAMES_IN_TURN):
                accent.answer(await self._connection.recv())
            await asyncio.sleep(0)

    async def _printerwebsocket(self) -> None:
        accent = PrinterWebSocket(self._client, join_commands=self._config.join_commands)
        while True:
            await accent.answer(await self._connection.recv())
