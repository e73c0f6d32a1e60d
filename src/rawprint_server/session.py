"""One client: reads its frames, has them answered, lets it hear of changes, and sees it off."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from rawprint_server.accents.native import Native
from rawprint_server.accents.printerwebsocket import PrinterWebSocket
from rawprint_server.access import ADMIN, NEEDS, Entry, NotGranted
from rawprint_server.commands import check_commands
from rawprint_server.config import seconds
from rawprint_server.messages import PROTOCOL, TooLarge
from rawprint_server.methods import METHODS

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.access import Asking
    from rawprint_server.audit import Audit
    from rawprint_server.config import Config
    from rawprint_server.gate import Gate
    from rawprint_server.hub import Hub
    from rawprint_server.limits import Meter
    from rawprint_server.messages import Snapshot
    from rawprint_server.methods import About

log = logging.getLogger(__name__)

RESTART = 1012  # close code: the server ends or starts anew; what it has not answered it has not done
# A message above the limit is read to its end, up to this many times the limit, for the sake of the answer.
READ_TO_REFUSE = 2

FRAMES_IN_TURN = 32
TOO_SLOW = 4408  # close code

# Calls that print nothing and change nothing.
QUESTIONS = frozenset(call for call, kind in NEEDS.items() if kind == "status" and call != "admin.enter") | {
    "jobs.get",
    "jobs.list",
    "admin.access",
}

_NAMES = frozenset({*METHODS, "printerStatus"})


@dataclass(slots=True)
class Statistics:
    """What all sessions count: calls by name and outcome ("ok" or the error's code), and clients cut off."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    cut_off: int = 0


@dataclass(slots=True)
class Services:
    """What all sessions share.

    Attributes:
        gate: Who may come in.
        meter: How much each has printed.
        audit: Where it is written who did what; None: nowhere.
    """

    config: Config
    gate: Gate
    meter: Meter
    audit: Audit | None = None
    statistics: Statistics = field(default_factory=Statistics)


class Client:
    """One connection, as its accent sees it.

    Attributes:
        hub: The printers.
        entry: Who it is, and what it may do.
    """

    def __init__(self, connection: ServerConnection, hub: Hub, services: Services, entry: Entry) -> None:
        self.hub = hub
        self.entry = entry
        self._connection = connection
        self._services = services
        self._largest = 0

    # -- what it may do ------------------------------------------------------------------------------------------

    def need(self, call: str) -> None:
        """Makes sure that it may make the call.

        Raises:
            NotGranted: It may not.
        """
        kind = NEEDS.get(call, "")
        if kind and kind not in self.entry.grant.calls:
            if kind == "admin":
                raise NotGranted(
                    f"{call} is for this machine's user alone",
                    hint="`rawprint-server dashboard` opens the page for it.",
                )
            raise NotGranted(f"{call} needs {kind!r}, which was not granted", hint=self._remedy(f"--calls …,{kind}"))

    def need_printer(self, name: str) -> None:
        """Makes sure that it may use the printer, whether there is one of that name or not.

        Raises:
            NotGranted: It may not.
        """
        grant = self.entry.grant
        if grant.printers is not None and name in grant.printers and name not in self.hub.names():
            raise self.hub.unknown_printer(name, grant.printers)  # the others' names are not for it
        if not grant.covers(name):
            raise NotGranted(
                f"the printer {name[:100]!r} was not granted", hint=self._remedy(f"--printer {json.dumps(name[:100])}")
            )

    @property
    def networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """In which it may print to an address."""
        return [ipaddress.ip_network(each) for each in self._services.config.access.networks]

    def _remedy(self, option: str) -> str:
        """What lets it."""
        if self.entry.origin is None:
            return "A token that was granted it lets it: rawprint-server access token new NAME"
        return f"rawprint-server access allow {self.entry.origin[:100]} {option}"

    def fits(self, size: int) -> None:
        """Makes sure that a job may be so large, in bytes.

        Raises:
            TooLarge: It may not.
        """
        limit = self._services.config.limits.job_bytes
        if size > limit:
            raise TooLarge(
                f"a job of {size} bytes: at most {limit} are taken",
                hint="Print it in parts, or raise job_bytes in [limits] of the configuration.",
            )

    def charge(self, data: bytes | memoryview, printer: str) -> None:
        """Makes sure that it may print these bytes there, and counts them.

        Raises:
            TooLarge, RateLimited, CommandRefused: It may not.
        """
        grant = self.entry.grant
        self.fits(len(data))
        refused, drawer = self.hub.refuses(printer), "drawer" in grant.calls
        if not grant.raw and (refused or not drawer):
            check_commands(data, self.hub.language(printer), refused, drawer=drawer)
        self.charge_job(len(data))

    def charge_job(self, size: int) -> None:
        """Counts a job of so many bytes.

        Raises:
            RateLimited: There were too many before.
        """
        if self.entry.origin is not None or self.entry.token is not None:
            self._services.meter.charge(self.entry.who, size, time.monotonic())

    @property
    def audits(self) -> bool:
        """Whether what it does is written down."""
        return self._services.audit is not None

    def record(self, call: str, about: About, outcome: str) -> None:
        """Writes down what it did, where that is to be written down."""
        audit = self._services.audit
        if audit is None:
            return
        entry, address = self.entry, self._connection.remote_address
        audit.record(
            origin=entry.origin,
            address=address[0] if address else None,
            token=entry.token,
            call=call,
            printer=about.printer,
            job=about.job,
            size=about.size,
            sha256=about.sha256,
            outcome=outcome,
        )

    # -- the administrator ---------------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """Who may come in."""
        return self._services.gate

    def become_admin(self, code: str) -> None:
        """Lets the server's own page do all, for as long as its connection lasts.

        Raises:
            NotGranted: It is another page, or the code is none, used or too old.
        """
        origin = self.entry.origin
        if origin is None or origin not in self.gate.own or not self.gate.use_code(code):
            raise NotGranted(
                "that is no code of the dashboard's, or it was used, or is older than a minute",
                hint="`rawprint-server dashboard` opens the page with a new one.",
            )
        self.entry = self.entry._replace(grant=ADMIN)

    # -- frames --------------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Sends a text frame without waiting; a client that does not read what it gets is cut off."""
        transport = self._connection.transport
        # The state of very many jobs may be longer than the bound; what comes after it may have to wait behind it.
        self._largest = max(self._largest, len(frame))
        if transport.get_write_buffer_size() > max(self._services.config.server.max_outbox_bytes, 2 * self._largest):
            if not transport.is_closing():
                self._services.statistics.cut_off += 1
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
        grant = self.entry.grant
        self.hub.subscribe(self.send, grant.printers, jobs=grant.sees_jobs)
        return self.hub.snapshot(grant.printers, jobs=grant.sees_jobs)

    def narrow(self) -> None:
        """It may see other printers than before: what it hears from here on is of those."""
        if self.hub.unsubscribe(self.send):
            self.hub.subscribe(self.send, self.entry.grant.printers, jobs=self.entry.grant.sees_jobs)

    def unsubscribe(self) -> None:
        """The client hears of no change any more."""
        self.hub.unsubscribe(self.send)

    def count(self, call: str, outcome: str) -> None:
        """Counts a call."""
        self._services.statistics.calls[call if call in _NAMES else "unknown", outcome] += 1


class Session:
    """Serves one connection until it ends, or the server does."""

    def __init__(
        self, connection: ServerConnection, hub: Hub, services: Services, asking: Asking, entry: Entry
    ) -> None:
        self.asking = asking
        self._connection = connection
        self._client = Client(connection, hub, services, entry)
        self._config = services.config
        self._reading: asyncio.Task[None] | None = None
        self._native: Native | None = None
        self._stopped = False
        self._leave = asyncio.Event()
        self._last = RESTART, "the server stops"

    @property
    def entry(self) -> Entry:
        """Who it is, and what it may do."""
        return self._client.entry

    def change(self, entry: Entry) -> None:
        """It may do something else from here on; what it has subscribed to is told for that."""
        before = self._client.entry
        if before.grant == ADMIN and entry.origin is not None and entry.origin in self._client.gate.own:
            return  # it has used its code
        self._client.entry = entry
        if "status" not in entry.grant.calls:
            self._client.unsubscribe()
        elif (before.grant.printers, before.grant.sees_jobs) != (entry.grant.printers, entry.grant.sees_jobs):
            self._client.narrow()

    async def serve(self) -> None:
        """Reads and answers frames; those that came before the end of the connection are still answered for.

        A page may print and be left in the same breath: its last job must not get lost with it.
        """
        self._reading = asyncio.current_task()
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
