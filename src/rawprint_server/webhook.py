"""`Webhook`: tells a URL when a printer with jobs stops, and when it goes on; slowly or in vain, but never in the way of printing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from rawprint import PrinterState, __version__
from rawprint_server import messages
from rawprint_server.messages import PrinterView, WebhookCall

if TYPE_CHECKING:
    from collections.abc import Collection

log = logging.getLogger(__name__)

UNREACHABLE = 5.0  # seconds that a printer may be away: one that is switched on, or shared, is for a moment
SECONDS = 5.0  # for one attempt, from the name's look-up to the answer
AGAIN = 1.0  # seconds before the second attempt, which is the last
AT_ONCE = 4  # calls under way
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class _Printer:
    view: PrinterView
    jobs: int  # that have not ended
    stopped: bool  # whether it is, or a job on it
    told: bool = False  # that it has stopped
    timer: asyncio.TimerHandle | None = None  # until it counts as unreachable


class Webhook:
    """Watches all printers; one call a printer waits at most, the newest.

    Args:
        url: Where to; None: nowhere.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._printers: dict[str, _Printer] = {}
        self._waiting: dict[str, WebhookCall] = {}
        self._calls: set[asyncio.Task[None]] = set()

    def apply(self, url: str | None, printers: Collection[str]) -> None:
        """Another URL, other printers."""
        self._url = url
        for name in [name for name in self._printers if name not in printers or url is None]:
            self._forget(self._printers.pop(name))
        self._waiting = {name: call for name, call in self._waiting.items() if name in self._printers}

    async def close(self) -> None:
        """Ends what is under way."""
        self.apply(None, ())
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    @property
    def watches(self) -> bool:
        """Whether it wants to hear of printers."""
        return self._url is not None

    def look(self, view: PrinterView, *, jobs: int, stopped: bool) -> None:
        """A printer stands like that now, with so many jobs; `stopped`: one of them is, whatever the printer itself says."""
        stopped = stopped or view.state is PrinterState.STOPPED
        printer = self._printers.get(view.name)
        if printer is None:
            printer = self._printers[view.name] = _Printer(view, jobs, stopped)
        printer.view, printer.jobs, printer.stopped = view, jobs, stopped
        if not stopped and view.error is None:
            self._forget(printer)
            if printer.told:
                printer.told = False
                self._tell("going-on", printer)
        elif not printer.told and jobs:
            if stopped:
                self._stop(printer)
            elif printer.timer is None:
                printer.timer = self._loop.call_later(UNREACHABLE, self._unreachable, printer)

    @staticmethod
    def _forget(printer: _Printer) -> None:
        if printer.timer is not None:
            printer.timer.cancel()
            printer.timer = None

    def _unreachable(self, printer: _Printer) -> None:
        printer.timer = None
        if not printer.told and printer.jobs:
            self._stop(printer)

    def _stop(self, printer: _Printer) -> None:
        self._forget(printer)
        printer.told = True
        self._tell("stopped", printer)

    def _tell(self, event: Literal["stopped", "going-on"], printer: _Printer) -> None:
        view, now = printer.view, datetime.now(UTC)
        self._waiting[view.name] = WebhookCall(
            event, view.name, view.state, view.reasons, printer.jobs, now, view.error
        )
        if len(self._calls) < AT_ONCE:
            call = self._loop.create_task(self._work())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _work(self) -> None:
        """Makes the calls that wait, the oldest first."""
        while self._waiting and self._url is not None:
            name = next(iter(self._waiting))
            url, body = self._url, messages.encode(self._waiting.pop(name))
            error = await _attempt(url, body)
            if error:
                await asyncio.sleep(AGAIN)
                error = await _attempt(url, body)
            if error:
                # Not the whole URL: what lets somebody call it often stands in it.
                log.warning("the webhook at %s: %s", urlsplit(url).hostname, error, extra={"printer": name})


async def _attempt(url: str, body: bytes) -> str:
    """Calls once; returns why that failed, or ""."""
    try:
        async with asyncio.timeout(SECONDS):
            status = await _post(url, body)
    except TimeoutError:
        return f"no answer in {SECONDS:g} s"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "" if 200 <= status < 300 else f"the answer is {status}"


async def _post(url: str, body: bytes) -> int:
    """The status of the answer. A redirect is one: another address could be anywhere."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    reader, writer = await asyncio.open_connection(host, port, ssl=True if parts.scheme == "https" else None)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nUser-Agent: rawprint/{__version__}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii") + body)
        await writer.drain()
        words = (await reader.readline()).split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
            raise ValueError("the answer is no HTTP")
        return int(words[1])
    finally:
        writer.transport.abort()
