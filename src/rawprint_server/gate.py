"""The gate: joins the configuration with what was granted beside it, and says who may come in now."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from functools import partial, reduce
from typing import TYPE_CHECKING

from rawprint_server import grants
from rawprint_server.access import Asking, Entry, Refusal, Rules, decide
from rawprint_server.config import is_origin
from rawprint_server.grants import Grants, GrantsError
from rawprint_server.messages import AccessView, AllowedView, AskedView, PairingView
from rawprint_server.pairing import Pairing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rawprint_server.config import AccessConfig

log = logging.getLogger(__name__)

REFUSED_EVERY = 60.0  # seconds between two notes about the same refused origin
REFUSED_KEPT = 100  # origins of which that is remembered
ORIGIN_LOGGED = 100  # characters of an origin that are logged
NOTE_EVERY = 1.0  # seconds between two writes of who asked
CODE_SECONDS = 60.0  # so long the dashboard's one-time code lives


class Gate:
    """Says who may come in.

    Args:
        folder: Where what is granted is kept, and the administrator's secret; None: in memory, and there is no administrator.

    Attributes:
        own: Origins of the server's own pages.
        pairing: The codes with which pages let themselves in.
        on_change: Called when the rules have changed: some that are connected may do less now, or more.
        on_view: Called when `view` may have changed.
    """

    def __init__(self, config: AccessConfig, folder: Path | None) -> None:
        self._config = config
        self._folder = folder
        self._grants = Grants()
        self._signature: tuple[int, ...] | None = None
        self._admin = ""
        self.own: frozenset[str] = frozenset()
        self._rules = Rules()
        self._refused: dict[str, float] = {}  # origin -> when it was last noted
        self._asking: dict[str, None] = {}  # origins of which it is not on the disk yet that they asked
        self._noting: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._changing = asyncio.Lock()
        self._codes: dict[str, float] = {}  # one-time codes of the dashboard -> until when (loop time)
        self.pairing = Pairing()
        self.on_change: Callable[[], None] = lambda: None
        self.on_view: Callable[[], None] = lambda: None

    def open(self, own: frozenset[str]) -> None:
        """The server listens: these are the origins of its own pages."""
        self.own = own
        if self._folder is not None:
            self._admin = grants.admin_hash(grants.admin_secret(self._folder, make=True))
        self.look()
        self._make_rules()

    @property
    def has_tokens(self) -> bool:
        """Whether anybody has a token beside the administrator."""
        self.look()
        return bool(self._grants.tokens)

    def apply(self, config: AccessConfig) -> None:
        """Takes over another configuration."""
        self._config = config
        self._make_rules()
        self.on_view()

    def look(self) -> bool:
        """Reads what was granted where that has changed; returns whether it has."""
        if self._folder is None:
            return False
        now = grants.signature(self._folder)
        if now == self._signature:
            return False
        self._signature = now
        try:
            self._grants = grants.read(self._folder)
        except GrantsError as error:  # as it cannot be known who may, nobody may by it
            log.warning("nobody is let in but by the configuration: %s. %s", error.message, error.hint)
            self._grants = Grants(denied=self._grants.denied)
        self._make_rules()
        self.on_view()
        return True

    def decide(self, asking: Asking) -> Entry | Refusal:
        """Whether the request may come in, and what it may do then."""
        return decide(asking, self._rules)

    @property
    def grants(self) -> Grants:
        """What was granted beside the configuration."""
        return self._grants

    @property
    def pairs_by(self) -> str | None:
        """The printer that prints the code with which a page lets itself in, or "dashboard"; None: no page can."""
        return self._config.pairing

    @property
    def shown(self) -> PairingView | None:
        """The code that the dashboard shows."""
        waiting = self.pairing.waiting(asyncio.get_running_loop().time())
        return None if waiting is None or self.pairs_by != "dashboard" else PairingView(*waiting)

    def view(self) -> AccessView:
        """Who may come in, and who asked."""
        grants = self._grants
        return AccessView(
            allowed=[
                AllowedView.of(each.origin, each.grant, each.how, each.at)
                for each in grants.with_configured(self._config.origins)
            ],
            denied=list(grants.denied),
            asked=[AskedView(each.origin, each.at) for each in grants.asked],
            tokens=[token.name for token in grants.tokens],
            pairing=self.shown,
        )

    @property
    def configured(self) -> tuple[str, ...]:
        """The origins that the configuration lets in."""
        return self._config.origins

    async def change(self, how: Callable[[Grants], Grants]) -> None:
        """Changes what was granted, on the disk first.

        Raises:
            GrantsError: It cannot be written.
        """
        before = self._rules
        async with self._changing:  # else what was read first could be taken over last
            if self._folder is None:
                self._grants = how(self._grants)
            else:
                # The next look reads it again: somebody else may have changed it since.
                self._grants = await asyncio.to_thread(grants.change, self._folder, how)
            self._make_rules()
        self.on_view()
        if self._rules != before:
            self.on_change()

    def denied(self, origin: str) -> bool:
        """Whether somebody has said that the page stays out."""
        return origin in self._rules.denied

    def note_refused(self, origin: str) -> None:
        """Logs a refused page, and keeps that it asked, once a minute, however often it comes back."""
        loop = asyncio.get_running_loop()
        now, name = loop.time(), origin[:ORIGIN_LOGGED]
        if now - self._refused.get(name, -REFUSED_EVERY) < REFUSED_EVERY:
            return
        if len(self._refused) >= REFUSED_KEPT:
            self._refused.clear()
        self._refused[name] = now
        log.warning("refused the page %r: `rawprint-server access allow` lets it in", name)
        if is_origin(origin) and not self.denied(origin):
            if len(self._asking) >= grants.MOST_ASKED:
                del self._asking[next(iter(self._asking))]
            self._asking[origin] = None
            if self._noting is None or self._noting.done():
                self._noting = asyncio.create_task(self._note())

    async def _note(self) -> None:
        """Writes down who asked, all at once and not too often: names are cheap, and a page may come by very many."""
        while self._asking:
            origins, self._asking = tuple(self._asking), {}
            try:
                await self.change(partial(_asked, origins))
            except GrantsError as error:
                log.warning("it is not kept that pages asked: %s", error.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_EVERY):
                    await self._closing.wait()

    async def close(self) -> None:
        """Waits for what is being written."""
        self._closing.set()
        if self._noting is not None:
            await self._noting

    # -- the dashboard's administrator ---------------------------------------------------------------------------

    def new_code(self) -> str:
        """A code that makes the own page that brings it within a minute an administrator's, once."""
        now = asyncio.get_running_loop().time()
        self._codes = {code: until for code, until in self._codes.items() if until > now}
        code = secrets.token_urlsafe(24)
        self._codes[code] = now + CODE_SECONDS
        return code

    def use_code(self, code: str) -> bool:
        """Whether the code is one, and not used or too old; it is used by that."""
        until = self._codes.pop(code, None)
        return until is not None and until > asyncio.get_running_loop().time()

    def _make_rules(self) -> None:
        allowed = {each.origin: each.grant for each in self._grants.with_configured(self._config.origins)}
        self._rules = Rules(
            own=self.own,
            allowed=allowed,
            denied=frozenset(self._grants.denied),
            tokens=self._grants.tokens,
            programs=self._config.programs,
            admin=self._admin,
        )


def _asked(origins: Iterable[str], grants: Grants) -> Grants:
    return reduce(Grants.ask, origins, grants)
