"""Pairing: a page that nobody has allowed lets itself in with a code that stands on paper beside the person who types it."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from rawprint import RawprintError
from rawprint_server import messages
from rawprint_server.access import PAIRED, Grant
from rawprint_server.config import is_origin
from rawprint_server.messages import BadRequest, NotJson, PairingStart, UnknownCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw
    from websockets.asyncio.server import ServerConnection

    from rawprint_server.gate import Gate

PROTOCOL = "rawprint.pair.v1"  # the WebSocket subprotocol
CODE_SECONDS = 120.0
TRIES = 5  # wrong codes; then that code is void
MOST_CODES = 3  # in so many seconds, of all pages: paper is not for everybody to waste
PER_SECONDS = 600.0
MOST_MESSAGES = 50  # of one connection; a person needs fewer
LINE = 30  # characters that fit on narrow paper


class PairingError(RawprintError):
    """Pairing is off, or busy, or has been tried too often."""

    code = "pairing"


class WrongCode(PairingError):
    """That is not the code on the paper."""

    code = "wrong-code"


@dataclass(slots=True)
class _Waiting:
    origin: str
    code: str
    until: float
    tries: int = TRIES


class Pairing:
    """The code that is out; one at a time, so that nobody mistakes one paper for another. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: _Waiting | None = None
        self._begun: list[float] = []

    def begin(self, origin: str, now: float) -> str:
        """A code of six digits for the page.

        Raises:
            PairingError: Another one is out, or there were too many.
        """
        waiting = self._waiting
        if waiting is not None and waiting.until > now and waiting.origin != origin:
            raise PairingError("another page waits for its code", hint=f"Try again in {waiting.until - now:.0f} s.")
        self._begun = [at for at in self._begun if now - at < PER_SECONDS]
        if len(self._begun) >= MOST_CODES:
            raise PairingError(
                f"{MOST_CODES} codes were made in the last {PER_SECONDS / 60:.0f} minutes",
                hint="Try again later; or `rawprint-server access allow` lets the page in.",
            )
        self._begun.append(now)
        code = f"{secrets.randbelow(1_000_000):06d}"
        self._waiting = _Waiting(origin, code, now + CODE_SECONDS)
        return code

    def enter(self, origin: str, code: str, now: float) -> None:
        """Somebody has typed it.

        Raises:
            WrongCode: It is another one.
            PairingError: There is none for that page any more.
        """
        waiting = self._waiting
        if waiting is None or waiting.origin != origin or waiting.until <= now or waiting.tries <= 0:
            raise PairingError("no code waits for this page, or its time is up", hint="Ask for a new one.")
        if not hmac.compare_digest(code.strip().encode(), waiting.code.encode()):
            waiting.tries -= 1
            if waiting.tries <= 0:
                self._waiting = None
                raise PairingError(f"{TRIES} wrong codes", hint="Ask for a new one.")
            raise WrongCode("that is not the code", hint=f"{waiting.tries} tries are left.")
        self._waiting = None

    def cancel(self, origin: str) -> None:
        """The page's code could not be shown, or it has gone."""
        if self._waiting is not None and self._waiting.origin == origin:
            self._waiting = None

    def waiting(self, now: float) -> tuple[str, str] | None:
        """The page that waits, and its code."""
        waiting = self._waiting
        return None if waiting is None or waiting.until <= now else (waiting.origin, waiting.code)


def lines(origin: str, code: str) -> tuple[str, ...]:
    """What stands on the paper; all of the origin, as its last words say whose it is."""
    return (
        "A web page asks to print here:",
        *textwrap.wrap(origin, LINE, break_on_hyphens=False),
        f"Code: {code[:3]} {code[3:]}",
        "Type it there if you know the page. 2 minutes.",
    )


class PairingSession:
    """Serves the connection of a page that is to pair.

    Args:
        show: Prints the lines on the printer of that name; returns when they are on their way, or raises RawprintError.
        record: Writes down a call and its outcome.
    """

    def __init__(
        self,
        connection: ServerConnection,
        origin: str,
        gate: Gate,
        show: Callable[[str, tuple[str, ...]], Awaitable[None]],
        record: Callable[[str, str], None],
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._gate = gate
        self._show = show
        self._record = record

    async def serve(self) -> None:
        """Reads and answers, for as long as a code lives."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CODE_SECONDS + 30):
                for _ in range(MOST_MESSAGES):
                    await self._answer(await self._connection.recv())
        self._gate.pairing.cancel(self._origin)
        await self._connection.close()

    async def _answer(self, frame: str | bytes) -> None:
        uid, name = messages.NULL, ""
        try:
            request = messages.read_request(frame)
            uid = request.uid
            name = messages.read_name(request.call) or ""
            match name:
                case "pair.begin":
                    result: object = await self._begin()
                case "pair.enter":
                    result = None
                    await self._enter(messages.read(request.params, messages.CodeParams).code)
                case _:
                    raise UnknownCall("there is no such call", hint="The calls are: pair.begin, pair.enter.")
        except NotJson as error:
            await self._refuse(name, uid, BadRequest(f"the frame is no JSON: {error}"))
        except RawprintError as error:
            await self._refuse(name, uid, error)
        else:
            self._record(name, "ok")
            await self._connection.send(messages.encode(messages.Result(uid=uid, result=result)), text=True)

    async def _refuse(self, name: str, uid: Raw, error: RawprintError) -> None:
        self._record(name, error.code)
        await self._connection.send(
            messages.encode(messages.Refusal(uid=uid, error=messages.failure(error))), text=True
        )

    async def _begin(self) -> PairingStart:
        where = self._gate.pairs_by
        if where is None or not is_origin(self._origin) or self._origin == "null" or self._gate.denied(self._origin):
            raise PairingError(
                "pages cannot pair here", hint="Name a printer as `pairing` in [access] of the configuration."
            )
        code = self._gate.pairing.begin(self._origin, asyncio.get_running_loop().time())
        if where != "dashboard":
            try:
                await self._show(where, lines(self._origin, code))
            except RawprintError:
                self._gate.pairing.cancel(self._origin)
                raise
        return PairingStart(where=where, seconds=CODE_SECONDS)

    async def _enter(self, code: str) -> None:
        if self._gate.denied(self._origin):  # since the code was shown
            self._gate.pairing.cancel(self._origin)
        self._gate.pairing.enter(self._origin, code, asyncio.get_running_loop().time())
        await self._gate.change(lambda grants: grants.allow(self._origin, Grant(PAIRED), "paired"))
