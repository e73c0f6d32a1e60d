"""What one printer has shown that it answers; clones print what they do not know, so nothing else is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.dialects import Dialect, Query


@dataclass(slots=True)
class Capabilities:
    """One printer's record, by the names of queries. It outlives connections, not yet the process.

    Attributes:
        promised: What the configuration says that the printer answers.
        by_maker: What every printer of its maker obeys, whom its device id names; see `Dialect.makers`.
        answered: What it has answered.
        silent: What it left unanswered; not asked again.
        feeds: Whether it was seen to feed paper when it was asked; then it is not asked anything any more.
        drawer_open: The level of the drawer's pin, "high" or "low", that means open; "" where nobody knows.
    """

    promised: frozenset[str] = frozenset()
    by_maker: frozenset[str] = frozenset()
    answered: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    feeds: bool = False
    drawer_open: Literal["high", "low", ""] = ""

    def knows(self, name: str) -> bool:
        """Whether the printer is known to obey what `Dialect.promises` calls so."""
        return name in self.promised or name in self.by_maker or name in self.answered

    def worth_asking(self, dialect: Dialect) -> Iterator[Query]:
        """The queries of a status, in order; decided one by one, as each answer teaches about the next."""
        for query in dialect.queries:
            if query.required or query.name in self.answered:
                yield query
            elif query.name in self.promised:
                if query.name not in self.silent:
                    yield query
            elif query.instead_of:
                if query.instead_of in self.silent and query.name not in self.silent:
                    yield query
            elif query.name not in self.silent:
                yield query

    def learn(self, name: str, *, answered: bool) -> None:
        """Remember an answer or a silence. One answer outweighs any silence: then it was only busy."""
        if answered:
            self.answered.add(name)
            self.silent.discard(name)
        elif name not in self.answered:
            self.silent.add(name)

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
