"""`Watching`: tells administrators who watch of clients, of log lines and of who may come in, as it happens; costs nothing while none does.

A client is told of at most once a second, log lines go out together ten times a second at most, and what is told is bounded: a server under
attack is watched as well as an idle one.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Literal

from rawprint import RawprintError
from rawprint_server import messages
from rawprint_server.messages import ClientView, LogLine, WatchView
from rawprint_server.pairing import CODE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint_server.client import Client
    from rawprint_server.gate import Gate
    from rawprint_server.messages import AccessView

LINES = 200  # of the log that are kept, and that go out at a time
MAX_LINE = 2000  # characters
CLIENT_EVERY = 1.0  # seconds between two words about the same client
NEW_AFTER = 0.2  # seconds until a client is told of: one that is gone by then is not worth a word
LOG_EVERY = 0.1  # seconds between two lots of lines
ACCESS_EVERY = 0.25  # seconds between two words about who may come in

DISCONNECTED = 4403, "disconnected by the administrator"

# No line of this server has a token in it; one of somebody else's must not bring one to a page.
_TOKEN = re.compile(r"rp_[A-Za-z0-9_-]{16,}")
_Level = Literal["debug", "info", "warning", "error"]


class UnknownClient(RawprintError):
    """No client that is connected has that id."""

    code = "unknown-client"


@dataclass(slots=True)
class Seen:
    """What is counted of a client.

    Attributes:
        id: Of this connection, while the server runs.
        since: When it came.
        calls: That it made.
        bytes: Of the messages that it sent.
        errors: Calls that were refused, or failed.
        subscribed: Whether it hears of changes.
        spoke: Whether it has sent anything.
    """

    id: int = 0
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    calls: int = 0
    bytes: int = 0
    errors: int = 0
    subscribed: bool = False
    spoke: bool = False


@dataclass(slots=True)
class _Known:
    """A client that is connected."""

    client: Client
    disconnect: Callable[[int, str], None]
    told_at: float | None = None  # when those who watch last heard of it; None: they do not know it
    timer: asyncio.TimerHandle | None = None  # until they do


class Watching:
    """Who watches, and what they are told. Used on the event loop, but for `heard`.

    Args:
        gate: Who may come in.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._ids = count(1)
        self._clients: dict[Client, _Known] = {}
        self._by_id: dict[int, _Known] = {}
        self._watchers: set[Client] = set()
        self._log = _Log(self)
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._fresh: deque[LogLine] = deque(maxlen=LINES)  # not told yet
        self._left_out = 0
        self._soon = False  # whether somebody has asked the loop to tell of them
        self._lines_at = 0.0
        self._telling: int | None = None  # the thread that tells just now
        self._access: AccessView | None = None  # as last told
        self._access_timer: asyncio.TimerHandle | None = None
        self._pairing_timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """From here on log lines are kept."""
        logging.getLogger().addHandler(self._log)
        self._gate.on_view = self._access_changed

    def close(self) -> None:
        """Ends that."""
        logging.getLogger().removeHandler(self._log)
        self._gate.on_view = lambda: None
        for watcher in tuple(self._watchers):
            self.unwatch(watcher)

    # -- clients -------------------------------------------------------------------------------------------------

    def came(self, client: Client, disconnect: Callable[[int, str], None]) -> None:
        """A client has connected; `disconnect` ends its connection with a code and a reason."""
        client.seen.id = next(self._ids)
        self._clients[client] = self._by_id[client.seen.id] = known = _Known(client, disconnect)
        if self._watchers:
            self._later(known, NEW_AFTER)

    def left(self, client: Client) -> None:
        """Its connection has ended."""
        known = self._clients.pop(client, None)
        self.unwatch(client)
        if known is None:
            return
        del self._by_id[client.seen.id]
        if known.timer is not None:
            known.timer.cancel()
        if self._watchers and known.told_at is not None:
            self._tell(messages.ClientEvent(_view(client, gone=True)))

    def changed(self, client: Client) -> None:
        """Something that is shown of the client has changed."""
        if not self._watchers:
            return
        known = self._clients.get(client)
        if known is not None and known.timer is None:
            since = CLIENT_EVERY if known.told_at is None else self._loop.time() - known.told_at
            self._later(known, max(CLIENT_EVERY - since, 0.0))

    def _later(self, known: _Known, seconds: float) -> None:
        known.timer = self._loop.call_later(seconds, self._tell_client, known)

    def _tell_client(self, known: _Known) -> None:
        known.timer = None
        if self._watchers:
            known.told_at = self._loop.time()
            self._tell(messages.ClientEvent(_view(known.client)))

    # -- who watches ---------------------------------------------------------------------------------------------

    def watch(self, client: Client) -> WatchView:
        """Everything that is known; from here on the client hears of every change."""
        self._tell_lines()  # to those who watch already; to this client they are among the last ones
        self._watchers.add(client)
        self._log.setLevel(logging.NOTSET)
        now = self._loop.time()
        for known in self._clients.values():
            known.told_at = now
        self._access = self._gate.view()
        self._heed_pairing()
        return WatchView([_view(each) for each in self._clients], list(self._lines), self._access)

    def unwatch(self, client: Client) -> None:
        """The client hears of nothing any more."""
        if client not in self._watchers:
            return
        self._watchers.discard(client)
        if self._watchers:
            return
        self._log.setLevel(logging.INFO)
        self._fresh.clear()
        for known in self._clients.values():
            known.told_at = None
            if known.timer is not None:
                known.timer.cancel()
                known.timer = None
        for timer in (self._access_timer, self._pairing_timer):
            if timer is not None:
                timer.cancel()
        self._access_timer = self._pairing_timer = None

    def disconnect(self, id: int) -> None:
        """Ends a client's connection; it may come again.

        Raises:
            UnknownClient: There is none of that id.
        """
        known = self._by_id.get(id)
        if known is None:
            raise UnknownClient(
                f"no client has the id {id}", hint="It has ended by itself; admin.watch tells who is there."
            )
        known.disconnect(*DISCONNECTED)

    def _tell(self, event: messages.ClientEvent | messages.LogEvent | messages.AccessEvent) -> None:
        frame = messages.encode(event)
        for watcher in tuple(self._watchers):
            watcher.send(frame)

    # -- the log -------------------------------------------------------------------------------------------------

    def heard(self, record: logging.LogRecord) -> None:
        """Takes in a record; from any thread, one at a time."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] in {"websockets", "asyncio"}:
            return  # which tell of every frame that goes out, this one's, too
        line = _line(record)
        if record.levelno >= logging.INFO:
            self._lines.append(line)
        # What is logged of the telling itself would have to be told, and so on.
        if not self._watchers or threading.get_ident() == self._telling:
            return
        self._left_out += len(self._fresh) == LINES
        self._fresh.append(line)
        if not self._soon:
            self._soon = True
            try:
                self._loop.call_soon_threadsafe(self._tell_lines_soon)
            except RuntimeError:  # the loop has ended
                self._soon = False

    def _tell_lines_soon(self) -> None:
        self._loop.call_at(max(self._lines_at + LOG_EVERY, self._loop.time()), self._tell_lines)

    def _tell_lines(self) -> None:
        self._lines_at = self._loop.time()
        self._soon = False  # before they are taken: what comes meanwhile wakes the loop again
        left_out, self._left_out = self._left_out, 0
        self._telling = threading.get_ident()
        try:
            if left_out:
                text = f"{left_out} lines of the log came too fast to be shown; the log itself has them"
                self._tell(messages.LogEvent(LogLine(datetime.now(UTC), "warning", text, None, None)))
            for _ in range(len(self._fresh)):
                self._tell(messages.LogEvent(self._fresh.popleft()))
        finally:
            self._telling = None

    # -- who may come in -----------------------------------------------------------------------------------------

    def _access_changed(self) -> None:
        if self._watchers and self._access_timer is None:
            self._access_timer = self._loop.call_later(ACCESS_EVERY, self._tell_access)

    def _tell_access(self) -> None:
        self._access_timer = None
        now = self._gate.view()
        if now != self._access:
            self._access = now
            self._tell(messages.AccessEvent(now))
        self._heed_pairing()

    def _heed_pairing(self) -> None:
        """A code that is shown goes when its time is up, of which nobody tells."""
        if self._access is not None and self._access.pairing is not None and self._pairing_timer is None:
            self._pairing_timer = self._loop.call_later(CODE_SECONDS + ACCESS_EVERY, self._pairing_over)

    def _pairing_over(self) -> None:
        self._pairing_timer = None
        self._access_changed()


class _Log(logging.Handler):
    """Hands every record on."""

    def __init__(self, watching: Watching) -> None:
        super().__init__(logging.INFO)
        self._watching = watching

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._watching.heard(record)
        except Exception:  # noqa: BLE001 - as every handler: who logs is not kept from working
            self.handleError(record)


def _line(record: logging.LogRecord) -> LogLine:
    text = record.getMessage()
    if record.exc_info and (error := record.exc_info[1]) is not None:
        text = f"{text}: {type(error).__name__}: {error}"
    job, printer = (getattr(record, name, None) for name in ("job", "printer"))
    return LogLine(
        datetime.fromtimestamp(record.created, UTC),
        _level(record.levelno),
        _TOKEN.sub("rp_…", text[:MAX_LINE]).encode("utf-8", "replace").decode(),
        None if job is None else str(job)[:MAX_LINE],
        None if printer is None else str(printer)[:MAX_LINE],
    )


def _level(number: int) -> _Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _view(client: Client, *, gone: bool = False) -> ClientView:
    seen, entry = client.seen, client.entry
    return ClientView(
        id=seen.id,
        origin=entry.origin,
        token=entry.token,
        address=client.address,
        since=seen.since,
        accent=client.accent,
        calls=seen.calls,
        bytes=seen.bytes,
        errors=seen.errors,
        subscribed=seen.subscribed,
        gone=gone,
    )
