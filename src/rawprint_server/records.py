"""Keeps what printers have shown that they answer over a restart of the server: one JSON file in the state folder."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from rawprint import Capabilities
from rawprint_server import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

FILE = "printers.json"
MAX_RECORDS = 10_000  # the newest; a file may come from a server with many printers
MAX_FILE_BYTES = 16 * 1024 * 1024
SETTLE = 1.0  # seconds in which changes gather before they are written

_Entry: TypeAlias = dict[str, Any]  # "dialect", and what `Capabilities.to_json` makes


class _File(msgspec.Struct):
    printers: dict[str, Any]  # address -> _Entry


_file = msgspec.json.Decoder(_File)


class Records:
    """The records of all printers, by address. Lives on the event loop; only `load` may run beside it.

    Several servers may have one folder: each writes what it learnt into what the file says then.

    Args:
        folder: Where the file is, or will be made; None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / FILE
        self._known: dict[str, _Entry] = {}
        self._ours: dict[str, _Entry] = {}  # of those, what this process has learnt
        self._news = False  # whether the file lacks some of them
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._trouble = ""  # with the file, as it was logged last

    def load(self) -> None:
        """Reads the file, before anything else is called; one that cannot be used is logged, and is no reason to stop."""
        if self._file is None:
            return
        try:
            self._known = dict(_read(self._file))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("what the printers answer has to be learnt again: cannot read %s: %s", self._file, error)

    def get(self, address: str, dialect: str | None) -> Capabilities:
        """The record of the printer at that address, or a new one where that was not asked in this language yet."""
        entry = self._known.get(address, {})
        return Capabilities.from_json(entry) if entry.get("dialect") == dialect else Capabilities()

    def put(self, address: str, dialect: str | None, record: _Entry) -> None:
        """Takes over what `Capabilities.to_json` made; it is written soon, if there is news in it."""
        # Each virtual:// is a printer of its own, and ends with the process.
        if self._file is None or dialect is None or address.startswith("virtual:"):
            return
        entry = {"dialect": dialect, **record}
        news = _differ(self._known.get(address, {}), entry)
        self._known[address] = self._ours[address] = entry
        if news:
            self._news = True
            self._soon()

    async def close(self) -> None:
        """Writes what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        if self._news:
            await self._write()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        else:  # a slow disk
            self._soon()

    async def _write(self) -> None:
        if self._file is None:
            return
        self._news = False
        trouble = await asyncio.to_thread(_merge, self._file, dict(self._ours))
        if trouble and trouble != self._trouble:
            log.warning("what the printers answer is not kept: cannot write %s: %s", self._file, trouble)
        self._trouble = trouble


def _differ(before: _Entry, now: _Entry) -> bool:
    """Whether it is worth a write: a round trip alone is, when it is another by a quarter."""
    one, other = before.get("round_trip"), now.get("round_trip")
    if isinstance(one, (int, float)) and isinstance(other, (int, float)) and abs(one - other) <= one / 4:
        before = {**before, "round_trip": other}
    return before != now


def _merge(file: Path, ours: dict[str, _Entry]) -> str:
    """Writes our records among the file's other ones; returns what is in the way of that, "" for nothing."""
    try:
        others = {address: entry for address, entry in _read(file) if address not in ours}
    except (OSError, ValueError):
        others = {}  # there is none, or there is nothing in it that could be kept
    records = dict([*others.items(), *ours.items()][-MAX_RECORDS:])
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(file, msgspec.json.format(msgspec.json.encode(_File(records)), indent=1), mode=0o600)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _read(file: Path) -> Iterator[tuple[str, _Entry]]:
    """Address and record of each printer in the file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file.
    """
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
    try:
        printers = _file.decode(content).printers
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    yield from [(address, entry) for address, entry in printers.items() if isinstance(entry, dict)][-MAX_RECORDS:]
