"""What a printer language is: queries, and pure functions from bytes to what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from rawprint.errors import BadReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rawprint.status import Reason

_NOTHING: Mapping[Reason, bool] = MappingProxyType({})
_NO_IDENTITY: Mapping[str, str] = MappingProxyType({})

DRAWER_REAL_TIME = "drawer-real-time"
"""The promise that a printer obeys `Dialect.drawer_real_time`."""

PUSHES = "pushes"
"""The promise that a printer obeys `Dialect.push_on`, and then tells each change unasked."""

CANCEL = "cancel"
"""The promise that a printer obeys `Dialect.cancel`."""


class Query(NamedTuple):
    """A question to a printer.

    Attributes:
        name: What capability records call it.
        request: Its bytes; sent in one write.
        required: Silence makes the whole exchange NoReply. Else silence is remembered, and not asked again; where no
            query of a language is required, the exchange is NoReply if all of them stay silent.
        instead_of: Asked once, and only where the query of this name stayed silent on a printer that has
            answered the required one; or where the configuration promises it.
        unless_answered: Not asked of a printer that is known to answer the query of this name, nor before another answer.
        unless_stopped: Not asked where the answers so far say that the printer stands still: it would not answer then.
        harmless: No printer of this language prints it, not even one that does not know it.
    """

    name: str
    request: bytes
    required: bool = False
    instead_of: str = ""
    unless_answered: str = ""
    unless_stopped: bool = False
    harmless: bool = False


class Decoded(NamedTuple):
    """One whole reply or push at the head of the buffer.

    Attributes:
        used: How many bytes of the buffer it took, at least 1.
        answers: The query that it answers; None for what came unasked.
        reasons: What it reports; a reason that it does not mention is absent.
        processing: Whether it says that the printer is printing; None where it does not say.
        alone: True where it is this only if nothing follows: the same bytes can begin something longer.
        identity: What the printer says of itself: "make", "model", "serial", "firmware" and the like. Clones lie
            there: it is for people, and no proof.
        drawer_high: The level of the pin at which a cash drawer's switch hangs; which one means open depends on the
            drawer. None where it does not say.
    """

    used: int
    answers: Query | None = None
    reasons: Mapping[Reason, bool] = _NOTHING
    processing: bool | None = None
    alone: bool = False
    identity: Mapping[str, str] = _NO_IDENTITY
    drawer_high: bool | None = None


def combine(parts: Iterable[Decoded]) -> dict[Reason, bool]:
    """The reasons of several replies as one: a reason that any of them reports true is true."""
    reasons: dict[Reason, bool] = {}
    for part in parts:
        for reason, true in part.reasons.items():
            reasons[reason] = reasons.get(reason, False) or true
    return reasons


def _combine(answers: Mapping[str, Decoded]) -> dict[Reason, bool]:
    return combine(answers.values())


def plain(line: str, without: str = "") -> str:
    """The line in printable ASCII without the characters that end a text in some language; each of the others becomes "?"."""
    return "".join(each if " " <= each <= "~" and each not in without else "?" for each in line)


def _nothing(_lines: Sequence[str]) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A printer language, as a value: unpublished ones need no registration, `open(..., dialect=MINE)`.

    Attributes:
        name: Its name in configuration and JSON.
        commands: The words that an IEEE 1284 device id's CMD key uses for it.
        queries: The questions that make up a status, in the order in which they are asked.
        decode: (buffer, asked) -> the reply or push at the head of the buffer, or None for "more is needed".
            `buffer` is never empty; `asked` holds the unanswered queries, oldest first. Raises BadReply and
            nothing else.
        conclude: What the answers of one exchange, by query name, say together. Raises BadReply where they
            contradict each other.
        max_reply: No reply or push is longer, bytes.
        drawer: Connector pin -> the command that opens the cash drawer on it, carried out in the order of the data.
        drawer_real_time: The same by real-time command, which the printer obeys while it is stopped, too. Printers
            that do not know it may print it: it needs the promise DRAWER_REAL_TIME.
        identity: The questions who the printer is, answered with `Decoded.identity`. Unless they are harmless, printers
            that do not know them may print them: they need the promise of their names, or a person who accepts a print.
        fences: Questions that are answered only when printing has come to them. What they say of the paper is not
            used. They need a promise as `identity` does.
        counters: What jobs end `completed` by: the query that counts what is not printed yet, if it was above nothing after a job's
            last byte and is at nothing now. "": the language has none.
        push_on: Makes the printer tell each change unasked, from the moment it is carried out; needs PUSHES.
        push_off: Ends that.
        makers: Maker, as a device id's MFG key names it in upper case -> what every printer of it obeys.
        cancel: Makes the printer forget the data that it has and has not printed; needs CANCEL.
        copy_mark: Heads a job that may have been printed already: a line, or a label of its own.
        resync: After a job that was broken off: makes the printer forget what it has of that one, and touches nothing that came
            before. As many NUL bytes go before it as that job had left, to complete an image that was cut off.
        calibrate: Kind of media ("gap", "mark", "auto") -> what makes the printer measure it, which feeds some labels.
        test_print: A small label or receipt that says that it is a test.
        note: Lines for people, as a label or a receipt of their own. What is no printable ASCII becomes "?".
    """

    name: str
    commands: tuple[str, ...]
    queries: tuple[Query, ...]
    decode: Callable[[bytes, tuple[Query, ...]], Decoded | None]
    conclude: Callable[[Mapping[str, Decoded]], dict[Reason, bool]] = _combine
    max_reply: int = 64
    drawer: Mapping[int, bytes] = field(default_factory=dict)
    drawer_real_time: Mapping[int, bytes] = field(default_factory=dict)
    identity: tuple[Query, ...] = ()
    fences: tuple[Query, ...] = ()
    counters: str = ""
    push_on: bytes = b""
    push_off: bytes = b""
    makers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cancel: bytes = b""
    copy_mark: bytes = b""
    resync: bytes = b""
    calibrate: Mapping[str, bytes] = field(default_factory=dict)
    note: Callable[[Sequence[str]], bytes] = _nothing
    test_print: bytes = b""

    @property
    def promises(self) -> tuple[str, ...]:
        """What a configuration can promise of a printer: that it answers a query, or knows a command."""
        commands = ((DRAWER_REAL_TIME, self.drawer_real_time), (PUSHES, self.push_on), (CANCEL, self.cancel))
        questions = (*self.queries, *self.identity, *self.fences)
        return (*(query.name for query in questions), *(name for name, command in commands if command))

    @property
    def essential(self) -> tuple[Query, ...]:
        """The queries without whose answers there is no status: the required ones, or else any one of all."""
        unconditional = tuple(query for query in self.queries if not query.unless_answered)
        return tuple(query for query in unconditional if query.required) or unconditional


class Reader:
    """The one owner of incoming bytes: it keeps what is not decoded yet, never more than one longest reply."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Add bytes from the printer."""
        self._buffer += data

    def peek(self, asked: tuple[Query, ...]) -> Decoded | None:
        """The reply or push at the head of what has come, or None if there is none yet.

        Raises:
            BadReply: The bytes fit nothing; all that has come is thrown away.
        """
        if not self._buffer:
            return None
        try:
            decoded = self._dialect.decode(self._buffer, asked)
            if decoded is None and len(self._buffer) >= self._dialect.max_reply:
                raise BadReply("the printer sent more than any reply holds", raw=self._buffer)
        except BadReply:
            self._buffer = b""
            raise
        return decoded

    def take(self, decoded: Decoded) -> bytes:
        """Take from the buffer what `peek` returned; returns its bytes."""
        raw, self._buffer = self._buffer[: decoded.used], self._buffer[decoded.used :]
        return raw

    @property
    def rest(self) -> bytes:
        """What has come and is not decoded yet."""
        return self._buffer

    def clear(self) -> None:
        """Throw away what is not decoded yet."""
        self._buffer = b""
