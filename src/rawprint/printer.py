"""Joins a transport and a dialect: the only loop that writes and reads, and the only one that keeps deadlines."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from rawprint import address as addresses
from rawprint.capabilities import Capabilities
from rawprint.device_id import parse as parse_device_id
from rawprint.dialects import Dialect, Reader, by_name
from rawprint.dialects.base import PUSHES, combine
from rawprint.errors import BadReply, Disconnected, NoReply, WriteStalled
from rawprint.status import Exchange, PrinterStatus, Reason
from rawprint.transports import open_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rawprint.dialects import Decoded, Query
    from rawprint.transports import Transport

# A write that gets nowhere comes back this often, so that a push is read and a cancellation seen.
_TICK = 0.25
# An optional question gets so long before its silence is remembered (TSC printers answer within 300 ms).
_OPTIONAL_WAIT = 0.5
# How long a reply must stand alone where its bytes could begin something longer, and on a connection that has not
# answered yet: a protocol that is not this one, or an answer to an earlier question, shows itself by what follows.
_ALONE = 0.02
# How long to wait for the second of two answers when an earlier question is still unanswered.
_LATE = 0.3
_DRAIN_LIMIT = 65536
_MAX_OWED = 16  # questions left unanswered before the oldest is given up
# A close waits so long for the far side to take and pass on what it was given; _SETTLED after a job it surely has.
_LINGER = 1.0
_SETTLED = 5.0


def open(
    address: str,
    dialect: str | Dialect | None = None,
    *,
    timeout: float = 5.0,
    capabilities: Capabilities | None = None,
    wrap: Callable[[Transport], Transport] | None = None,
    observer: Callable[[Decoded | BadReply], None] | None = None,
) -> Printer:
    """Open a printer.

    Args:
        address: Such as "tcp://192.168.1.50"; see `rawprint.parse_address`.
        dialect: The printer's language, by name or value. Without it bytes can be printed, and status is unknown
            (a virtual:// address names its own).
        timeout: Seconds for the connection.
        capabilities: What is known of this printer; kept up to date.
        wrap: Puts something around the transport, such as a recorder.
        observer: Called with every decoded reply and push, and with every BadReply.

    Raises:
        AddressError: The address or the language is none.
        OpenError: The printer cannot be opened; nothing was sent.
    """
    parsed = addresses.parse(address)
    language = resolve_dialect(parsed, dialect)
    transport = open_address(parsed, timeout)
    return Printer(wrap(transport) if wrap else transport, language, capabilities=capabilities, observer=observer)


def resolve_dialect(address: addresses.Address, dialect: str | Dialect | None) -> Dialect | None:
    """The language to speak at this address, or None where nobody has said.

    Raises:
        AddressError: There is no language of this name.
    """
    if dialect is None:
        if not isinstance(address, addresses.VirtualAddress):
            return None
        dialect = address.dialect
    return by_name(dialect) if isinstance(dialect, str) else dialect


class Printer:
    """An open printer. Used by one thread at a time; close it, or use it in a `with` block.

    Attributes:
        dialect: The language, or None.
        capabilities: What this printer has shown that it answers.
        reported: The newest status that it gave, asked or unasked; None before the first.
        transport: The byte pipe.
        sent: Bytes that the transport has taken on this connection, questions included.
    """

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect | None = None,
        *,
        capabilities: Capabilities | None = None,
        observer: Callable[[Decoded | BadReply], None] | None = None,
    ) -> None:
        self.transport = transport
        self.sent = 0
        self.dialect = dialect
        self.capabilities = capabilities if capabilities is not None else Capabilities()
        self.reported: PrinterStatus | None = None
        self._reader = Reader(dialect) if dialect else None
        self._timed = dialect.queries[0] if dialect and dialect.queries else None
        self._observer = observer
        self._owed: list[Query] = []  # asked and not answered, oldest first
        self._in_step = False  # this connection has answered a question before the next was asked
        self._quiet = False  # this connection was seen to send nothing after its answers
        self._after_job = False  # bytes may come that answer questions which stand in the job itself
        self._printed_at = float("-inf")
        self.fences_passed = 0  # how often `fence` was answered on this connection
        self._fence: Query | None = None
        self._slowest = 0.0  # the longest that an answer on this connection took, seconds
        self._unsent = b""  # the rest of a question that the transport took only in part
        self._pushes = False  # it was told to tell changes unasked, and no job has come since that may have ended that
        self._told_to_push = False
        self._pushed_first = False  # it did so before it was told to
        self._maker_known = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close so that the printer gets every byte that was taken; after a job that may take a second.

        A printer that was told to tell changes unasked is told to stop that, unless it did so before.
        """
        recent = time.monotonic() - self._printed_at < _SETTLED
        if self._told_to_push and not self._pushed_first and self.dialect is not None:
            with suppress(Disconnected, NoReply):
                self._command(self.dialect.push_off, _LINGER)
        self.transport.close(_LINGER if recent else 0.0)

    # -- printing ------------------------------------------------------------------------------------------------

    def print(
        self,
        data: bytes | bytearray | memoryview,
        timeout: float | None = None,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Print bytes as they are; returns when the transport has taken every one of them.

        Nothing is put between them. Over TCP "taken" means handed to the connection: `wait_acknowledged` tells
        when the printer's host has them, and `close` waits for it.

        Args:
            data: The job, in the printer's language.
            timeout: Seconds without any progress after which to give up; None waits as long as the printer does.
            progress: Called with the count of bytes taken after every step, four times a second while nothing
                moves. What it raises ends the printing, with that many bytes taken.

        Returns:
            The number of bytes, `len(data)`.

        Raises:
            WriteStalled: No byte was taken for `timeout` seconds; `.written` must not be sent again.
            Disconnected: The connection ended.
        """
        view = memoryview(data).cast("B")
        total = len(view)
        written = 0
        self._after_job = True
        self._pushes = False  # ESC @, with which most receipts begin, ends them
        while self._unsent:
            self._give_rest(_TICK)
            self._listen()
            if progress:
                progress(0)
        moved = time.monotonic() if timeout is not None else 0.0
        before = self.reported
        while written < total:
            taken = self.transport.write(view[written:] if written else view, _TICK)
            written += taken
            self.sent += taken
            self._printed_at = time.monotonic()
            if written < total or progress:
                self._listen()
                if progress:
                    progress(written)
            if timeout is not None:
                now = time.monotonic()
                if taken:
                    moved = now
                elif now - moved >= timeout:
                    said = self.reported if self.reported is not before else None
                    raise WriteStalled(
                        f"the printer took {written} of {total} bytes and then no more",
                        written=written,
                        total=total,
                        reasons=said.reasons if said else {},
                        hint="see what the printer needs (paper, cover, error lamp); do not send those bytes again",
                    )
        return written

    def converse(self, data: bytes, timeout: float, *, most: int = _DRAIN_LIMIT) -> tuple[int, bytes]:
        """Send bytes that somebody wrote by hand, and return what comes back, whatever it is.

        Nothing is learnt of the printer by it, and what it has to say after it is known to nobody: close the connection then, so that a
        late answer is taken for no other. Never call it in the middle of a job.

        Args:
            data: What to send.
            timeout: Seconds for all of it.
            most: Bytes that are read.

        Returns:
            How many bytes the transport took, and what was read.

        Raises:
            Disconnected: The connection ended.
        """
        deadline = time.monotonic() + timeout
        self._listen()
        self._after_job = True
        self._pushes = False
        view, sent, received = memoryview(self._unsent + data), 0, b""
        before, self._unsent = len(self._unsent), b""
        while sent < len(view) and (rest := deadline - time.monotonic()) > 0:
            taken = self.transport.write(view[sent:], min(rest, _TICK))
            sent += taken
            self.sent += taken
            self._printed_at = time.monotonic()
            received += self.transport.read(0)
        while len(received) < most and (rest := deadline - time.monotonic()) > 0:
            received += self.transport.read(rest)
        return max(sent - before, 0), received[:most]

    def precede(self, data: bytes) -> None:
        """Have these bytes go out before the next job's first one; they are no part of what `print` counts."""
        self._unsent = self._unsent + data

    def fence(self, query: Query) -> None:
        """Ask to be told when printing has come to here, and do not wait for that: `fences_passed` counts the answers.

        Never call it in the middle of a job: the question would become part of it.

        Args:
            query: Of `dialect.fences`, which the printer is known to answer.

        Raises:
            Disconnected: The connection ended.
        """
        self._fence = query
        self._unsent += query.request
        self._give_rest(0.0)

    def unacknowledged(self) -> int:
        """Of the bytes taken so far, how many the far side has not confirmed yet."""
        return self.transport.unacknowledged()

    @property
    def unanswered(self) -> bool:
        """Whether a question is still without an answer, which may yet come."""
        return bool(self._owed)

    def wait_acknowledged(self, timeout: float) -> bool:
        """Wait until the far side has confirmed every byte; pushes are read meanwhile.

        Raises:
            Disconnected: The connection ended.
        """
        deadline = time.monotonic() + timeout
        pause = 0.001  # acknowledgements come with no event; hosts delay them by 40 to 200 ms
        while self.unacknowledged():
            now = time.monotonic()
            if now >= deadline:
                return False
            self._listen(min(pause, deadline - now))
            pause = min(pause * 2, 0.05)
        return True

    def line_status(self) -> PrinterStatus | None:
        """What the cable itself says, beside the bytes and also in the middle of a job; None: nothing.

        It is a hint: many printers say the same there for ever, so what they answer in their language goes before it.

        Raises:
            Disconnected: The connection ended.
        """
        reasons = self.transport.line_status()
        return PrinterStatus(reasons, source="line") if reasons else None

    # -- listening -----------------------------------------------------------------------------------------------

    def listen(self, timeout: float = 0.0) -> PrinterStatus | None:
        """Read what the printer sends unasked; returns its newest report, whenever that came.

        Raises:
            Disconnected: The connection ended.
        """
        self._listen(timeout)
        return self.reported

    def _listen(self, timeout: float = 0.0) -> None:
        data = self.transport.read(timeout)
        limit = _DRAIN_LIMIT
        while data and limit > 0:
            self._unasked(data, strict=False)
            limit -= len(data)
            data = self.transport.read(0)

    def _unasked(self, data: bytes, *, strict: bool) -> None:
        """Take in bytes that came while no answer was awaited: pushes, and answers that are too late."""
        if self._reader is None:
            return
        self._reader.feed(data)
        try:
            while (decoded := self._reader.peek(tuple(self._owed))) is not None:
                raw = self._reader.take(decoded)
                self._observe(decoded)
                if decoded.answers is None:
                    self._pushed(decoded, raw)
                else:
                    del self._owed[: self._owed.index(decoded.answers) + 1]
                    self.capabilities.learn(decoded.answers.name, answered=True)  # late, but it does answer
        except BadReply:
            if strict:
                raise

    def push(self, timeout: float = 0.0) -> bool:
        """Have the printer tell each change unasked, if it is known to be able to; again after each job.

        Known from the configuration, from its maker in the device id, or because it did so before. Never call it in
        the middle of a job: the command would become part of it.

        Args:
            timeout: Seconds within which the printer must take the command.

        Returns:
            Whether it was told to.

        Raises:
            NoReply: It takes no bytes now.
            Disconnected: The connection ended.
        """
        dialect = self.dialect
        if dialect is None or not dialect.push_on or self._unsent:
            return False
        if dialect.makers and not self._maker_known:
            self._maker_known = True
            maker = parse_device_id(self.transport.device_id()).get("MFG", "").upper()
            self.capabilities.by_maker = frozenset(dialect.makers.get(maker, ()))
        if self._pushes or not self.capabilities.knows(PUSHES):
            return self._pushes
        self._pushes = self._told_to_push = True
        self._command(dialect.push_on, timeout)
        return True

    def _command(self, command: bytes, timeout: float) -> None:
        """Give a command that nothing answers, whole or not at all as far as that can be."""
        self._unsent = command
        deadline = time.monotonic() + timeout
        if not self._give_rest(timeout):
            self._unsent = b""
            self._pushes = False
            raise NoReply("the printer takes no bytes")
        self._flush(deadline)

    def _pushed(self, decoded: Decoded, raw: bytes) -> None:
        if self._fence is not None and self.dialect is not None and decoded.answers is None and not decoded.reasons:
            said = self.dialect.decode(raw, (self._fence,))
            self.fences_passed += said is not None and said.answers is self._fence
        if decoded.reasons:
            self._pushed_first = self._pushed_first or not self._told_to_push
            self.capabilities.learn(PUSHES, answered=True)
            reasons = self._with_drawer(decoded.reasons, (decoded,))
            self.reported = PrinterStatus(reasons, processing=decoded.processing, raw=(Exchange(b"", raw),))

    def _with_drawer(self, reasons: Mapping[Reason, bool], said: Iterable[Decoded]) -> Mapping[Reason, bool]:
        """The same, and whether the drawer is open where somebody has said which level of its pin means that."""
        level = self.capabilities.drawer_open
        high = next((each.drawer_high for each in said if each.drawer_high is not None), None)
        return {**reasons, Reason.DRAWER_OPEN: high == (level == "high")} if level and high is not None else reasons

    def _observe(self, decoded: Decoded | BadReply) -> None:
        if self._observer is not None:
            self._observer(decoded)

    # -- asking --------------------------------------------------------------------------------------------------

    def check(self, timeout: float) -> PrinterStatus:
        """Ask only what is essential to a status: whether the printer answers on this connection at all.

        Quicker than `status`, and less: what it returns is not kept as a report.

        Raises:
            NoReply, BadReply, Disconnected: As `status`.
        """
        return self._exchange(timeout, only_required=True)

    def status(self, timeout: float = 3.0) -> PrinterStatus:
        """Ask the printer how it is.

        Never call it in the middle of a job: the question would become part of it.

        Args:
            timeout: Seconds for the whole exchange.

        Returns:
            What it said, in its language; where it has none, or takes no bytes, what the cable says (`source` is
            "line"), which is often nothing, so `unknown`.

        Raises:
            NoReply: It did not answer in time, and the cable says nothing either. That says nothing about its state.
            BadReply: It answered something else, or more than was asked.
            Disconnected: The connection ended.
        """
        status = self._exchange(timeout, only_required=False)
        if status.raw:
            self.reported = status
        return status

    def ask(self, query: Query, timeout: float) -> tuple[Decoded, bytes]:
        """Ask one question of the language that is no part of a status; whoever calls answers for what it may print.

        Never call it in the middle of a job: the question would become part of it.

        Args:
            query: Of `dialect.identity` or `dialect.fences`.
            timeout: Seconds.

        Returns:
            What the answer says, and its bytes. Answer or silence is remembered in `capabilities`.

        Raises:
            NoReply, BadReply, Disconnected: As `status`.
        """
        try:
            self._catch_up()
            answer = self._ask(query, time.monotonic() + timeout)
        except NoReply:
            self.capabilities.learn(query.name, answered=False)
            raise
        except BadReply as error:
            self._out_of_step(error)
            raise
        self.capabilities.learn(query.name, answered=True)
        return answer

    def _out_of_step(self, error: BadReply) -> None:
        """What came is no answer: nothing that was asked is waited for any more."""
        self._observe(error)
        self._in_step = self._quiet = False
        self._owed.clear()

    def _exchange(self, timeout: float, *, only_required: bool) -> PrinterStatus:
        dialect = self.dialect
        if dialect is None:
            return self.line_status() or PrinterStatus()
        deadline = time.monotonic() + timeout
        answers: dict[str, Decoded] = {}
        exchanges: list[Exchange] = []
        missed: list[str] = []
        try:
            self._catch_up()
            for query in self.capabilities.worth_asking(dialect):
                if only_required and query not in dialect.essential:
                    continue
                if query.unless_stopped and PrinterStatus(combine(answers.values())).stop_reasons:
                    continue
                decoded = self._question(query, deadline, exchanges)
                if decoded is not None:
                    answers[query.name] = decoded
                elif query.name in self.capabilities.answered:
                    if not answers:
                        missed.append(query.name)  # whether there is a printer at all the next question shows
                    elif only_required or not self.capabilities.missed(query.name):
                        raise self._no_reply()
            if not answers:
                if not exchanges and not missed:
                    raise NoReply(
                        "the printer has left all questions unanswered before, and is not asked any more",
                        hint="Capabilities.doubt_silence() lets it be asked again; so does a week",
                    )
                for query in dialect.essential if not self._unsent else ():
                    if query in self._owed:
                        self.capabilities.learn(query.name, answered=False)
                raise self._no_reply()
            # A check is too short to count.
            if missed and (only_required or not self.capabilities.missed(*missed)):
                raise self._no_reply()
            reasons = self._with_drawer(dialect.conclude(answers), answers.values())
            if not only_required and not self._quiet:
                self._stands_alone(deadline)
        except BadReply as error:
            self._out_of_step(error)
            error.hint = error.hint or (
                f"the printer may speak another language than {dialect.name}, or another program may use it"
            )
            raise
        except NoReply:
            # It takes no more bytes, or is too busy; the cable may know why.
            line = self.line_status()
            if line is None or only_required:
                raise
            return line
        said = [a.processing for a in answers.values() if a.processing is not None]
        return PrinterStatus(reasons, processing=any(said) if said else None, raw=tuple(exchanges))

    def _question(self, query: Query, deadline: float, exchanges: list[Exchange]) -> Decoded | None:
        """Ask one question; None where an optional one stays unanswered, for long enough if it was answered before."""
        until = deadline
        if not query.required:
            now, wait = time.monotonic(), max(_OPTIONAL_WAIT, 3 * self._slowest)
            if not self._slowest:  # nothing has told yet how long an answer takes here
                first = self.dialect is not None and query is self.dialect.queries[0]
                wait = (deadline - now) / 2 if first else deadline - now  # another one may answer: it needs time, too
            until = min(deadline, now + wait)
        if query.instead_of and query.name not in self.capabilities.answered:
            self.capabilities.learn(query.name, answered=False)  # once, whatever comes of it
        try:
            decoded, raw = self._ask(query, until)
        except NoReply:
            # Only a silence that lasted as long as it should, after a question that was taken whole, teaches anything.
            heard = query in self._owed and not self._unsent
            if heard and (query.required or until < deadline):
                self.capabilities.learn(query.name, answered=False)
            enough = heard and until < deadline
            if query.required or (query.name in self.capabilities.answered and not enough):
                raise
            exchanges.append(Exchange(query.request, b""))
            return None
        self.capabilities.learn(query.name, answered=True)
        exchanges.append(Exchange(query.request, raw))
        return decoded

    def _catch_up(self) -> None:
        """Read all that came before the question, so that none of it is taken for its answer.

        Raises:
            BadReply: It fits nothing, and there was no job whose own questions it could answer.
        """
        left = _DRAIN_LIMIT
        while left > 0 and (data := self.transport.read(0)):
            self._unasked(data, strict=not self._after_job)
            left -= len(data)
        if self._reader is not None and self._reader.rest and self._after_job:
            self._reader.clear()

    def _ask(self, query: Query, deadline: float) -> tuple[Decoded, bytes]:
        """Send one question and find its answer among what comes."""
        reader = self._reader
        if reader is None:
            raise NoReply("without a language there is nothing to ask")
        if self._unsent:
            self._flush(deadline)
        taken = self.transport.write(memoryview(query.request), deadline - time.monotonic())
        if taken == 0:
            raise NoReply(
                "the printer takes no bytes, so it cannot be asked", hint="it may be out of paper or in error"
            )
        self.sent += taken
        self._unsent = query.request[taken:]
        self._owed.append(query)
        asked_at = time.monotonic()
        del self._owed[:-_MAX_OWED]
        late: tuple[Decoded, bytes] | None = None
        while (rest := deadline - time.monotonic()) > 0:
            reader.feed(self.transport.read(rest))
            while (decoded := self._next(deadline)) is not None:
                raw = reader.take(decoded)
                self._observe(decoded)
                if decoded.answers is None:
                    self._pushed(decoded, raw)
                    continue
                place = self._owed.index(decoded.answers)
                mine = place == len(self._owed) - 1
                del self._owed[: place + 1]
                if mine:
                    took = time.monotonic() - asked_at
                    self._slowest = max(self._slowest, took)
                    if query is self._timed:
                        self.capabilities.took(took)
                    self._no_more()
                    return decoded, raw
                late = decoded, raw
                deadline = min(deadline, time.monotonic() + max(_LATE, 2 * self._slowest))
        if reader.rest:
            raw = reader.rest
            reader.clear()
            raise BadReply("the answer breaks off", raw=raw)
        if late is not None and self._in_step:
            # It has answered in step before, so it passed over the earlier question, and this is the answer; unless
            # it is only slow: then more follows.
            self._owed.clear()
            self._quiet = False
            again = self.dialect.decode(late[1], (query,)) if self.dialect else None
            return again or late[0], late[1]
        if late is not None:
            raise NoReply(
                "the answers come one question behind",
                hint="reconnect the printer; if it stays so, its status cannot be trusted",
            )
        raise self._no_reply()

    def _no_reply(self) -> NoReply:
        return NoReply(
            "the printer did not answer",
            hint=f"it may be off, busy, unable to report, or no {query_language(self)} printer",
        )

    def _next(self, deadline: float) -> Decoded | None:
        """The reply or push at the head of what has come, once it is sure that it is one."""
        reader = self._reader
        if reader is None:
            return None
        decoded = reader.peek(tuple(self._owed))
        if decoded is not None and decoded.alone and reader.rest[decoded.used :] == b"":
            more = self.transport.read(max(min(_ALONE, deadline - time.monotonic()), 0.0))
            if more:
                reader.feed(more)
                return self._next(deadline)
        return decoded

    def _no_more(self) -> None:
        """An answer came: nothing but pushes may stand behind it.

        Raises:
            BadReply: The printer sent more than was asked for.
        """
        reader = self._reader
        while reader is not None and reader.rest:
            decoded = reader.peek(tuple(self._owed))
            if decoded is None:
                break
            raw = reader.take(decoded)
            self._observe(decoded)
            self._pushed(decoded, raw)
        self._in_step = True
        self._after_job = False

    def _stands_alone(self, deadline: float) -> None:
        """The first answers of a connection came: wait a moment to see that nothing follows that fits nothing.

        Raises:
            BadReply: The printer sent more than was asked for.
        """
        more = self.transport.read(max(_ALONE, min(2 * self._slowest, deadline - time.monotonic())))
        if more and self._reader is not None:
            self._reader.feed(more)
            self._no_more()
        self._quiet = True

    @property
    def unsent(self) -> int:
        """How many bytes of a question must still go out before anything else."""
        return len(self._unsent)

    def _give_rest(self, timeout: float) -> int:
        """Give more of a question that was taken only in part: half of one would spoil what follows."""
        taken = self.transport.write(memoryview(self._unsent), timeout)
        self.sent += taken
        self._unsent = self._unsent[taken:]
        return taken

    def _flush(self, deadline: float) -> None:
        while self._unsent:
            if not self._give_rest(max(deadline - time.monotonic(), 0.0)):
                raise NoReply("the printer takes no bytes, so it cannot be asked")


def query_language(printer: Printer) -> str:
    """The name of the printer's language, for messages."""
    return printer.dialect.name if printer.dialect else "known"
