"""What one printer has shown that it answers; clones print what they do not know, so nothing else is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from rawprint.dialects.base import PUSHES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rawprint.dialects import Dialect, Query

# A silence is proof for so long: the printer may have been replaced meanwhile, or have got another firmware.
SILENCE_HOLDS = timedelta(days=7)
# So often in a row a question that was answered before must stay unanswered, while another one is answered, to count as
# one that this printer does not know.
MISSES = 3

_MAX_NAMES = 100  # of a record that is read; no language has so many
_MAX_NAME = 64  # characters
_MAX_ROUND_TRIP = 3600.0  # seconds


@dataclass(slots=True)
class Capabilities:
    """One printer's record, by the names of queries. It outlives connections; `to_json` lets it outlive the process.

    It belongs to one printer with one language: give another one a record of its own. It is changed by the thread that
    uses the printer, and is read safely there alone, or when nobody uses the printer any more.

    Attributes:
        promised: What the configuration says that the printer answers.
        by_maker: What every printer of its maker obeys, whom its device id names; see `Dialect.makers`.
        answered: What it has answered.
        silent: What it left unanswered; not asked again for a week.
        feeds: Whether it was seen to feed paper when it was asked; then it is not asked anything any more.
        drawer_open: The level of the drawer's pin, "high" or "low", that means open; "" where nobody knows.
        learnt: When each answer or silence was learnt, and `feeds` under that name; UTC.
        round_trip: Seconds from the first question of a status to its answer, smoothed; None before the first one.
        on_learn: Called with the record when something but the round trip is new in it. It must not block, nor raise.
    """

    promised: frozenset[str] = frozenset()
    by_maker: frozenset[str] = frozenset()
    answered: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    feeds: bool = False
    drawer_open: Literal["high", "low", ""] = ""
    learnt: dict[str, datetime] = field(default_factory=dict)
    round_trip: float | None = None
    on_learn: Callable[[Capabilities], None] | None = field(default=None, repr=False, compare=False)
    _misses: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    # -- what to ask ---------------------------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether the printer is known to obey what `Dialect.promises` calls so."""
        return name in self.promised or name in self.by_maker or name in self.answered

    def worth_asking(self, dialect: Dialect) -> Iterator[Query]:
        """The queries of a status, in order; decided one by one, as each answer teaches about the next."""
        for query in dialect.queries:
            if query.unless_answered:
                if query.unless_answered not in self.answered and self.has_answered(dialect):
                    yield query
            elif query.required or query.name in self.answered:
                yield query
            elif query.name in self.promised:
                if not self._stays_silent(query.name):
                    yield query
            elif query.instead_of:
                # Once, for a silence of any age: printers that do not know it may print it.
                if query.instead_of in self.silent and query.name not in self.silent:
                    yield query
            elif not self._stays_silent(query.name):
                yield query

    def _stays_silent(self, name: str) -> bool:
        """Whether the question is known to be left unanswered, by a silence that is not too old to prove that."""
        if name not in self.silent:
            return False
        at = self.learnt.get(name)
        return at is None or timedelta(0) <= datetime.now(UTC) - at < SILENCE_HOLDS

    def has_answered(self, dialect: Dialect | None) -> bool:
        """Whether the printer has ever answered a question without which there is no status."""
        return dialect is not None and any(query.name in self.answered for query in dialect.essential)

    def is_mute(self, dialect: Dialect | None) -> bool:
        """Whether not to ask: no language known, its essential questions were never answered, or asking feeds paper."""
        if dialect is None or self.feeds:
            return True
        never = [query.name in self.silent and query.name not in self.answered for query in dialect.essential]
        # Of several that are required each must be answered; where none is, one answer would do.
        return any(never) if dialect.essential[0].required else all(never)

    # -- learning ------------------------------------------------------------------------------------------------

    def learn(self, name: str, *, answered: bool) -> None:
        """Remember an answer or a silence. One answer outweighs any silence: then it was only busy."""
        if answered:
            if self._misses:
                self._misses.pop(name, None)
            if name in self.answered:
                return
            self.answered.add(name)
            self.silent.discard(name)
        elif name in self.answered or self._stays_silent(name):
            return
        else:
            self.silent.add(name)
        self._learnt(name)

    def missed(self, *names: str) -> bool:
        """Remember that questions it used to answer stayed unanswered while another one was answered.

        Returns:
            Whether that proves now of each of them that this printer does not know it: it is another one than before, or
            has other firmware. What it was known to tell unasked, which cannot be asked, is proven no more, either.
        """
        proven = [self._missed(name) for name in names]
        return all(proven)

    def _missed(self, name: str) -> bool:
        misses = self._misses[name] = self._misses.get(name, 0) + 1
        if misses < MISSES:
            return False
        del self._misses[name]
        self.answered -= {name, PUSHES}
        self.silent.add(name)
        self.learnt.pop(PUSHES, None)
        self._learnt(name)
        return True

    def learn_feeds(self) -> None:
        """Remember that paper moves when the printer is asked."""
        self.feeds = True
        self._learnt("feeds")

    def doubt_silence(self, dialect: Dialect | None) -> None:
        """Forget the silence without which the printer would not be `is_mute`: it may have been off, or served another."""
        if dialect is None:
            return
        answers = self.has_answered(dialect)
        doubted = {query.name for query in dialect.essential if query.required or not answers} & self.silent
        if doubted:
            self.silent -= doubted
            self._forget(doubted)

    def _learnt(self, name: str) -> None:
        self.learnt[name] = datetime.now(UTC)
        self._tell()

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.learnt.pop(name, None)
        self._tell()

    def _tell(self) -> None:
        if self.on_learn is not None:
            self.on_learn(self)

    def took(self, seconds: float) -> None:
        """The first question of a status was answered so long after it was asked."""
        known = self.round_trip
        self.round_trip = seconds if known is None else known + (seconds - known) / 8  # as TCP does: RFC 6298, 2.3

    # -- keeping -------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """What was learnt, as JSON holds it: names, times in ISO 8601. What the configuration says is not in it."""
        return {
            "answered": sorted(self.answered),
            "silent": sorted(self.silent),
            "feeds": self.feeds,
            "learnt": {name: at.isoformat() for name, at in sorted(self.learnt.items())},
            "round_trip": None if self.round_trip is None else round(self.round_trip, 6),
        }

    @classmethod
    def from_json(cls, record: object) -> Capabilities:
        """The record that `to_json` made. What is no part of one is passed over: then that has to be learnt again.

        It is knowledge, not proof for ever: see `SILENCE_HOLDS`, `missed`, and `PrintQueue`, which gives a printer that
        was mute another chance.
        """
        parts = record if isinstance(record, dict) else {}
        answered = _names(parts.get("answered"))
        made = cls(answered=answered, silent=_names(parts.get("silent")) - answered, feeds=parts.get("feeds") is True)
        times = parts.get("learnt")
        if isinstance(times, dict):
            known = answered | made.silent | ({"feeds"} if made.feeds else set())
            made.learnt = {name: at for name in known if (at := _time(times.get(name))) is not None}
        made.silent = {name for name in made.silent if name in made.learnt}  # without its age it would hold for ever
        seconds = parts.get("round_trip")
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= _MAX_ROUND_TRIP:
            made.round_trip = float(seconds)
        return made


def _names(value: object) -> set[str]:
    names = value[:_MAX_NAMES] if isinstance(value, list) else []
    return {name for name in names if isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable()}


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
