"""What a command worth a permission is, and the one tokeniser of the languages whose commands begin with control bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush, merge
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = ("firmware", "storage", "settings", "language", "maintenance", "drawer")
"""What a command does: replaces or runs programs; writes or deletes what stays in the printer; changes what it is set to; makes it
read what comes in another way; resets it or puts it into a state of service; opens a drawer."""

_FORKS_MOST = 5000  # places in one job at which it is not known how it goes on
_WINDOW = 6  # bytes behind an unknown command that may be its parameters


class NotableCommand(NamedTuple):
    """A command in a job that not everyone may send.

    Attributes:
        offset: Of its first byte in the job, bytes.
        name: As the manual writes it: "FS q", "~DY", "DOWNLOAD".
        kind: One of `KINDS`.
    """

    offset: int
    name: str
    kind: str


class Row(NamedTuple):
    """One row of a language's table.

    Attributes:
        name: As `NotableCommand` has it.
        kind: As `NotableCommand` has it.
        pattern: How it begins; without groups.
        source: Where it is written; "UNCONFIRMED" where nowhere that we could read.
        plausible: How it begins where it may as well stand in an image: a longer pattern. "": the same one.
    """

    name: str
    kind: str
    pattern: bytes
    source: str
    plausible: bytes = b""


def pattern(rows: tuple[Row, ...], *, plausible: bool = False) -> re.Pattern[bytes]:
    """One expression for all these rows; `lastindex` tells which one it found, beginning with 1."""
    parts = (row.plausible if plausible and row.plausible else row.pattern for row in rows)
    return re.compile(b"|".join(b"(%b)" % part for part in parts) or rb"(?!)", re.DOTALL)


_HEAD = re.compile(rb"\A(?:\\x..|\\.|\[[^\]]*\]|.)")


def _by_head(rows: tuple[Row, ...]) -> dict[bytes, list[Row]]:
    """The rows by the first byte of their patterns, as an expression writes it."""
    heads: dict[bytes, list[Row]] = {}
    for row in rows:
        heads.setdefault(_HEAD.findall(row.pattern)[0], []).append(row)
    return heads


@lru_cache(maxsize=64)
def candidates(rows: tuple[Row, ...]) -> tuple[tuple[re.Pattern[bytes], tuple[Row, ...]], ...]:
    """An expression for the rows of each first byte, and those rows.

    The `re` module finds a literal first byte many times faster than one of a set. `lastindex` tells the row, beginning with 1.
    """
    return tuple(
        (
            re.compile(
                head + b"(?:" + b"|".join(b"(%b)" % row.pattern[len(head) :] for row in alike) + b")", re.DOTALL
            ),
            tuple(alike),
        )
        for head, alike in _by_head(rows).items()
    )


class Ends(NamedTuple):
    """Where a command ends.

    Attributes:
        end: What follows it begins here.
        others: Other places where it may be that it ends, for it is unknown, or its parameters are none that the manual allows.
            What is found from there on is reported only where it is plausible.
    """

    end: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlLanguage:
    """A language of control bytes with parameters and counted data.

    Attributes:
        rows: What is reported where a command can stand.
        heard: What is reported wherever it stands, images included: real-time commands.
        measure: Makes a function (job, offset of a lead) -> where the command ends; a new one for each job.
        expressions: A lead; a lead, or the first byte of a word of any language; the rows; the rows where they are plausible;
            and one for the rows of each first byte, by which most jobs are found to hold nothing.
    """

    rows: tuple[Row, ...]
    heard: tuple[Row, ...]
    measure: Callable[[], Callable[[bytes, int], Ends]]
    expressions: tuple[re.Pattern[bytes], ...]

    @classmethod
    def of(
        cls,
        rows: tuple[Row, ...],
        leads: bytes,
        measure: Callable[[], Callable[[bytes, int], Ends]],
        heard: tuple[Row, ...] = (),
    ) -> ControlLanguage:
        """Compile the expressions; `leads` are the bytes that a command can begin with, as a set of an expression."""
        heads = b"[" + leads + b"]"
        compiled = (re.compile(heads), re.compile(heads + b"|[!@{]"), pattern(rows), pattern(rows, plausible=True))
        return cls(rows, heard, measure, (*compiled, *(each for each, _ in candidates((*rows, *heard)))))

    def notable(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        """What is notable in this job; `text` are the rows that hold in every language.

        Nothing is tokenised unless the job has bytes that might be reported. Then every place is visited once, however
        many ways lead to it: time is linear but for a heap of places, and so is memory. Where a job has too many places that
        can be read in two ways, it is reported as "unreadable" there, once with each kind, and read no further.
        """
        tokens: Iterator[NotableCommand] = iter(())
        if text or any(expression.search(job) for expression in self.expressions[4:]):
            tokens = self._tokens(job, text)
            if self.heard:
                return merge(tokens, found(job, self.heard), key=_offset)
        return tokens

    def _tokens(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        leads, sure, plausible = self.expressions[1 if text else 0], self.expressions[2], self.expressions[3]
        words = pattern(text)
        measure, size = self.measure(), len(job)
        pending, forks = [(0, False)], 0
        while pending:
            at, doubtful = heappop(pending)
            found_lead = leads.search(job, at)
            at = found_lead.start() if found_lead else size
            while pending and pending[0][0] <= at:
                doubtful = heappop(pending)[1] and doubtful
            if found_lead is None:
                continue
            if job[at] in b"!@{":
                if word := words.match(job, at):
                    row = text[(word.lastindex or 1) - 1]
                    yield NotableCommand(at, row.name, row.kind)
                heappush(pending, (at + 1, doubtful))
                continue
            if command := (plausible if doubtful else sure).match(job, at):
                row = self.rows[(command.lastindex or 1) - 1]
                yield NotableCommand(at, row.name, row.kind)
            end, others = measure(job, at)
            if end < size:
                heappush(pending, (end, doubtful))
            forks += len(others)
            if forks > _FORKS_MOST:  # no printer was meant by this, and time is to be bounded: it may be anything
                yield from unreadable(at)
                return
            for other in others:
                if other < size:
                    heappush(pending, (other, True))


def _offset(command: NotableCommand) -> int:
    return command.offset


def unknown(leads: re.Pattern[bytes], job: bytes, at: int, size: int = 2) -> Ends:
    """A command of `size` bytes that nobody knows: a lead soon after it is the next command, or one of its parameters."""
    start = at + size
    if leads.match(job, start - 1):  # what should name the command may be the next one's first byte
        start -= 1
    return Ends(start, tuple(lead.end() for lead in leads.finditer(job, start, at + size + _WINDOW)))


def unreadable(at: int) -> Iterator[NotableCommand]:
    """What stands for a job that is read no further: it may do anything."""
    return (NotableCommand(at, "unreadable", kind) for kind in KINDS)


def _found(job: bytes, expression: re.Pattern[bytes], rows: tuple[Row, ...]) -> Iterator[NotableCommand]:
    for match in expression.finditer(job):
        row = rows[(match.lastindex or 1) - 1]
        yield NotableCommand(match.start(), row.name, row.kind)


def found(job: bytes, rows: tuple[Row, ...]) -> Iterator[NotableCommand]:
    """Every place where one of these rows' patterns stands, in order."""
    return merge(*(_found(job, expression, alike) for expression, alike in candidates(rows)), key=_offset)


def little(job: bytes, at: int, count: int = 2) -> int:
    """A number whose lowest byte comes first."""
    return int.from_bytes(job[at : at + count], "little")
