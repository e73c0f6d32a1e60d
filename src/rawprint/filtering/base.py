"""What a command worth a permission is, and the one tokeniser of the languages whose commands begin with control bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush, merge
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

KINDS = ("firmware", "storage", "settings", "language", "maintenance", "unfinished", "drawer")
"""What a command does: replaces or runs programs; writes or deletes what stays in the printer; changes what it is set to; makes it
read what comes in another way; resets it or puts it into a state of service; is not whole where the job ends, so that the printer
takes the next job's first bytes for its data, and that job's data for commands; opens a drawer."""

_FORKS_MOST = 5000  # places in one job at which it is not known how it goes on
_TAIL = 12  # bytes at the end of a job that may be a half-received command without a lead
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


def begun(parts: Sequence[bytes]) -> bytes:
    """An expression of what may be the beginning of a command, all of it included; `parts` are expressions, one behind the other."""
    whole = parts[-1]
    for part in reversed(parts[:-1]):
        whole = part + b"(?:" + whole + b")?"
    return whole


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
        cut: Whether the job ends before the command does, though `end` does not say so: how much is missing is unknown.
    """

    end: int
    others: tuple[int, ...] = ()
    cut: bool = False


_CONTROLS = {7: "BEL", 0x10: "DLE", 0x19: "EM", 0x1A: "SUB", 0x1B: "ESC", 0x1C: "FS", 0x1D: "GS", 0x1E: "RS"}
_CONTROLS |= {3: "ETX", 4: "EOT", 5: "ENQ", 6: "ACK", 0x0A: "LF", 0x0C: "FF", 0x14: "DC4", 0x1F: "US"}


def _spelt(command: bytes) -> str:
    """A command as manuals write it: "GS v 0"."""
    return " ".join(_CONTROLS.get(each) or (chr(each) if 0x20 < each < 0x7F else f"{each:02X}") for each in command)


def plainly(leads: bytes, fixed: Iterable[bytes]) -> re.Pattern[bytes]:
    """What needs no further look: bytes that are no leads, and whole commands; `fixed` are expressions of these."""
    return re.compile(b"(?:[^" + leads + b"]++|" + b"|".join(fixed) + b")*+", re.DOTALL)


def fixed_commands(parameters: Mapping[bytes, Mapping[int, bytes]]) -> Iterator[bytes]:
    """Expressions of commands with so many bytes of parameters: how they begin -> count -> their letters."""
    for begin, rows in parameters.items():
        kinds = (
            b"[%b]" % b"".join(rb"\x%02x" % each for each in rows[count]) + b"." * count
            for count in rows
            if rows[count]
        )
        yield re.escape(begin) + b"(?:" + b"|".join(kinds) + b")"


@dataclass(frozen=True, slots=True)
class ControlLanguage:
    """A language of control bytes with parameters and counted data.

    Attributes:
        rows: What is reported where a command can stand.
        heard: What is reported wherever it stands, images included: real-time commands.
        measure: Makes a function (job, offset of a lead) -> where the command ends; a new one for each job.
        expressions: A lead; a lead, or the first byte of a word of any language; the rows; the rows where they are plausible;
            and one for what is heard of each first byte.
        plain: What holds no row and is whole, as `plainly` makes it: most of a job is passed over in C.
        names: How much of a command is its name.
        tail: A half-received command without a lead at the end of a job.
    """

    rows: tuple[Row, ...]
    heard: tuple[Row, ...]
    measure: Callable[[], Callable[[bytes, int], Ends]]
    expressions: tuple[re.Pattern[bytes], ...]
    plain: re.Pattern[bytes]
    names: re.Pattern[bytes]
    tail: re.Pattern[bytes]

    @classmethod
    def of(
        cls,
        rows: tuple[Row, ...],
        leads: bytes,
        measure: Callable[[], Callable[[bytes, int], Ends]],
        heard: tuple[Row, ...] = (),
        *,
        plain: re.Pattern[bytes] | None = None,
        names: bytes = rb"..?",
        tail: bytes = rb"(?!)",
    ) -> ControlLanguage:
        """Compile the expressions; `leads` are the bytes that a command can begin with, as a set of an expression."""
        heads = b"[" + leads + b"]"
        compiled: tuple[re.Pattern[bytes], ...]
        compiled = (re.compile(heads), re.compile(heads + b"|[!@{]"), pattern(rows), pattern(rows, plausible=True))
        spelt = (re.compile(each, re.DOTALL) for each in (names, tail))
        compiled += tuple(each for each, _ in candidates(heard))
        return cls(rows, heard, measure, compiled, plain or plainly(leads, [rb"(?!)"]), *spelt)

    def notable(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        """What is notable in this job; `text` are the rows that hold in every language.

        A job that can be read in one way alone is read in one go. In others every place is visited once, however
        many ways lead to it: time is linear but for a heap of places, and so is memory. Where a job has too many places that
        can be read in two ways, it is reported as "unreadable" there, once with each kind, and read no further.
        """
        tokens = iter(()) if not text and self._clean(job) else self._tokens(job, text)
        for expression in self.expressions[4:]:
            if expression.search(job):
                return merge(tokens, found(job, self.heard), key=_offset)
        return tokens

    def _clean(self, job: bytes) -> bool:
        """Whether the job can be read in one way alone, has none of the rows there, and ends where a command does."""
        plain, at, size = self.plain, 0, len(job)
        measure, sure = self.measure(), self.expressions[2]
        while passed := plain.match(job, at):  # always: it matches nothing at all, too
            at = passed.end()
            if at == size:
                return self.tail.search(job, max(0, size - _TAIL)) is None
            if sure.match(job, at):
                break
            at, others, cut = measure(job, at)
            if others or cut or at > size:
                break
        return False

    def _tokens(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        leads, sure, plausible = self.expressions[1 if text else 0], self.expressions[2], self.expressions[3]
        words = pattern(text)
        measure, size = self.measure(), len(job)
        pending, forks, told = [(0, False)], 0, False
        while pending:
            at, doubtful = heappop(pending)
            found_lead, since = leads.search(job, at), at
            at = found_lead.start() if found_lead else size
            while pending and pending[0][0] <= at:
                doubtful = heappop(pending)[1] and doubtful
            if found_lead is None:
                half = None if told or doubtful else self.tail.search(job, max(since, size - _TAIL))
                if half:
                    told = True
                    yield NotableCommand(half.start(), _spelt(half[0][:2]), "unfinished")
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
            end, others, cut = measure(job, at)
            # Not where it is in doubt that this is a command: any tall image has bytes that look like a long one, and must print.
            if (end > size or cut) and not told and not doubtful:
                told = True
                name = self.names.match(job, at)
                yield NotableCommand(at, _spelt(name[0] if name else job[at : at + 1]), "unfinished")
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
