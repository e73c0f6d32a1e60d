"""Pairing: a page that nobody has allowed lets itself in with a code that stands on paper beside the person who types it."""

from __future__ import annotations

import asyncio
import hmac
import secrets
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
MOST_FRAMES = 50  # of one connection: a page that goes on is not typing
TRIES = 5  # wrong codes; then that code is void
MOST_CODES = 3  # in so many seconds, of all pages: paper is not for everybody to waste
PER_SECONDS = 600.0  # twice as long after each `TRIES` wrong codes, until one is right: a page that guesses has years
LONGEST = 128  # times that
COLUMNS = 30  # on the paper
LONGEST_ORIGIN = 4 * COLUMNS  # that fits on a label


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
        self._wrong = 0  # tries since one was right

    def begin(self, origin: str, now: float) -> str:
        """A code of six digits for the page.

        Raises:
            PairingError: Another one is out, or there were too many.
        """
        waiting = self._waiting
        if waiting is not None and waiting.until > now and waiting.origin != origin:
            raise PairingError("another page waits for its code", hint=f"Try again in {waiting.until - now:.0f} s.")
        per = PER_SECONDS * min(2 ** (self._wrong // TRIES), LONGEST)
        self._begun = [at for at in self._begun if now - at < PER_SECONDS * LONGEST]
        if sum(now - at < per for at in self._begun) >= MOST_CODES:
            raise PairingError(
                f"{MOST_CODES} codes were made in the last {per / 60:.0f} minutes",
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
        digits = "".join(code.split())  # it stands in two groups on the paper
        if not hmac.compare_digest(digits.encode(), waiting.code.encode()):
            waiting.tries -= 1
            self._wrong += 1
            if waiting.tries <= 0:
                self._waiting = None
                raise PairingError(f"{TRIES} wrong codes", hint="Ask for a new one.")
            left = "1 try is" if waiting.tries == 1 else f"{waiting.tries} tries are"
            raise WrongCode("that is not the code", hint=f"{left} left.")
        self._waiting = None
        self._wrong = 0

    def cancel(self, origin: str, code: str) -> None:
        """The page's code could not be shown, or who asked for it has gone."""
        if self._waiting is not None and (self._waiting.origin, self._waiting.code) == (origin, code):
            self._waiting = None

    def waiting(self, now: float) -> tuple[str, str] | None:
        """The page that waits, and its code."""
        waiting = self._waiting
        return None if waiting is None or waiting.until <= now else (waiting.origin, waiting.code)


def lines(origin: str, code: str) -> tuple[str, ...]:
    """What stands on the paper: the whole origin, whose end says most, in lines that narrow paper has room for."""
    return (
        "A web page asks to print here:",
        *(origin[at : at + COLUMNS] for at in range(0, len(origin), COLUMNS)),
        f"Code: {code[:3]} {code[3:]}",
        "Type it if you know the page.",
        f"It lives for {CODE_SECONDS / 60:.0f} minutes.",
    )


class PairingSession:
    """Serves the connection of a page that is to pair.

    Args:
        show: Prints the lines on the printer of that name; returns when they are on their way, or raises RawprintError.
        record: Writes down the call and its outcome.
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
        self._code = ""  # which it asked for

    async def serve(self) -> None:
        """Reads and answers, for as long as a code lives."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CODE_SECONDS + 30):
                for _ in range(MOST_FRAMES):
                    await self._answer(await self._connection.recv())
        self._gate.pairing.cancel(self._origin, self._code)
        self._gate.on_view()
        await self._connection.close()

    async def _answer(self, frame: str | bytes) -> None:
        uid = messages.NULL
        call = ""
        try:
            request = messages.read_request(frame)
            uid = request.uid
            call = messages.read_name(request.call) or ""
            if self._origin in self._gate.grants.denied:
                raise PairingError("this page is kept out", hint="`rawprint-server access allow` lets it in.")
            match call:
                case "pair.begin":
                    result: object = await self._begin()
                case "pair.enter":
                    result = None
                    await self._enter(messages.read(request.params, messages.CodeParams).code)
                case _:
                    raise UnknownCall("there is no such call", hint="The calls are: pair.begin, pair.enter.")
        except NotJson as error:
            await self._refuse(uid, call, BadRequest(f"the frame is no JSON: {error}"))
        except RawprintError as error:
            await self._refuse(uid, call, error)
        else:
            self._record(call, "ok")
            await self._connection.send(messages.encode(messages.Result(uid=uid, result=result)), text=True)

    async def _refuse(self, uid: Raw, call: str, error: RawprintError) -> None:
        self._record(call, error.code)
        await self._connection.send(
            messages.encode(messages.Refusal(uid=uid, error=messages.failure(error))), text=True
        )

    async def _begin(self) -> PairingStart:
        where = self._gate.pairs_by
        if where is None or not is_origin(self._origin) or self._origin == "null":
            raise PairingError(
                "pages cannot pair here", hint="Name a printer as `pairing` in [access] of the configuration."
            )
        if len(self._origin) > LONGEST_ORIGIN:
            raise PairingError(
                "the page's origin is too long for paper", hint="`rawprint-server access allow` lets it in."
            )
        self._code = code = self._gate.pairing.begin(self._origin, asyncio.get_running_loop().time())
        if where != "dashboard":
            try:
                await self._show(where, lines(self._origin, code))
            except RawprintError:
                self._gate.pairing.cancel(self._origin, code)
                raise
        self._gate.on_view()
        return PairingStart(where=where, seconds=CODE_SECONDS)

    async def _enter(self, code: str) -> None:
        try:
            self._gate.pairing.enter(self._origin, code, asyncio.get_running_loop().time())
        finally:
            self._gate.on_view()
        await self._gate.change(lambda grants: grants.allow(self._origin, Grant(PAIRED), "paired"))
