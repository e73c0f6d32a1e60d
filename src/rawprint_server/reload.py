"""Notices that the configuration file has changed, and hands on what it says now where that can be used."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from typing import TYPE_CHECKING, NoReturn

from rawprint_server.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
SETTLE = 0.3  # seconds that a file must have stayed as it is before it is read: editors empty it, then write it

_Signature = tuple[int, ...]


async def follow(
    path: Path,
    read: Callable[[], Config],
    changed: Callable[[Config], None],
    *,
    current: Config,
    look: asyncio.Event,
) -> NoReturn:
    """Hands on every new configuration, until it is canceled.

    Whatever happens to the file, the last good configuration stays: one with mistakes is logged, once for each
    content; so is a file that has gone or has been emptied, as a disk that ran full leaves it.

    Args:
        path: The file; it need not exist yet.
        read: Makes a checked configuration of it; raises ConfigError. It runs on the event loop.
        changed: Takes over a configuration that differs from the last one.
        current: The configuration that is in use.
        look: Set to have the file read at once, changed or not.
    """
    follower = _Follower(path, read, changed, current)
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await look.wait()
        asked = look.is_set()
        look.clear()
        if asked or follower.differs():
            try:
                await follower.take_over(asked)
            except Exception:
                log.exception("the configuration could not be taken over")


class _Follower:
    def __init__(
        self, path: Path, read: Callable[[], Config], changed: Callable[[Config], None], current: Config
    ) -> None:
        self._path = path
        self._read = read
        self._changed = changed
        self._current = current
        # Nothing has been seen yet, so the first look reads: the file may have changed since `current` was read.
        self._seen: _Signature | None = None
        self._told = ""  # the trouble with the file that was logged last

    def differs(self) -> bool:
        """Whether the file is another than the one that was seen last."""
        return _signature(self._path) != self._seen

    async def take_over(self, asked: bool) -> None:
        """Reads the file as soon as it rests, and hands on what is new in it."""
        now = await self._rest()
        news = asked or self._seen is not None  # a file that has never been there is nothing to speak of
        if asked:
            self._told = ""
        if now is None or not now[0]:
            self._seen = now
            if news:
                self._tell(f"{self._path} is {'empty' if now else 'gone'}")
            return
        try:
            config = self._read()
        except ConfigError as error:
            if _signature(self._path) == now:
                self._seen = now
                self._tell(f"{error.message}. {error.hint}".rstrip())
            return
        if _signature(self._path) != now:
            return  # written while it was read: it still differs at the next look
        self._seen = now
        if not _same(config, self._current):
            self._changed(config)
            self._current = config
        elif asked or self._told:
            log.info("the configuration was read again: nothing is new")
        self._told = ""

    async def _rest(self) -> _Signature | None:
        last = _signature(self._path)
        while True:
            await asyncio.sleep(SETTLE)
            now = _signature(self._path)
            if now == last:
                return now
            last = now

    def _tell(self, trouble: str) -> None:
        if trouble != self._told:
            log.warning("the configuration stays as it was: %s", trouble)
        self._told = trouble


def _signature(path: Path) -> _Signature | None:
    """What tells one version of the file from another, its size first; None where there is no plain file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev) if stat.S_ISREG(found.st_mode) else None


def _same(one: Config, other: Config) -> bool:
    return one == other and list(one.printers) == list(other.printers)  # pages show the printers in order
