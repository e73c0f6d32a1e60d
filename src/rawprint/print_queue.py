"""The queue of one printer: one thread that opens, uses and closes it, and keeps the order of its jobs."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from rawprint import address as addresses
from rawprint.capabilities import Capabilities
from rawprint.dialects.base import DRAWER_REAL_TIME
from rawprint.errors import (
    AccessDenied,
    AddressError,
    AmbiguousAddress,
    BackendMissing,
    BadReply,
    Disconnected,
    JobCanceled,
    JobExpired,
    JournalError,
    NoReply,
    OpenError,
    PrinterBusy,
    PrinterNotFound,
    RawprintError,
    Unsettled,
    Unsupported,
)
from rawprint.flight import Flight
from rawprint.jobs import Job, JobState, Kind
from rawprint.polling import FEED_ENDS, FEED_SHOWS, Polling
from rawprint.printer import open as open_printer
from rawprint.printer import resolve_dialect
from rawprint.status import PrinterState, PrinterStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.dialects import Decoded, Dialect, Query
    from rawprint.journal import Journal, JournalEntry
    from rawprint.printer import Printer
    from rawprint.transports import Transport

# A printer that has answered before and is silent now may be stuck or may have been told not to answer (`ESC !D`).
# After so long its jobs end as `delivered`: it took every byte and does not report more.
SILENCE = 30.0

# All in seconds.
_OPEN_TIMEOUT = 5.0
_RETRY_FIRST, _RETRY_LAST = 0.1, 5.0
# A shared printer that turns us away may only serve another computer. That one gives way for moments, see _TURN: they
# are not missed for so long.
_RETRY_SHARED, _SHARED_PATIENCE = 0.2, 60.0
# On a shared printer a queue lets go after so long (or after `idle_release`, where that is longer), for a moment longer
# than others pause between two attempts: nobody can see that another computer waits.
_TURN, _GIVE_WAY = 1.0, 0.3
# A shared printer that does not answer may only serve another computer: it is mute if it was silent on so many
# connections, each of which was kept for so long, and never answered.
_SILENT_CONNECTIONS, _DOUBT = 3, 5.0
_ASK_TIMEOUT = 1.5
# A new connection may be one that the printer's card is about to reset, because it serves another computer; its kernel
# acknowledges bytes all the same. Only an answer shows that it is served, and it comes within 300 ms from a TSC.
_CHECK_TIMEOUT = 0.5
_WATCH_FIRST = 0.05  # a next job that follows at once is not kept waiting by a question
_WATCH = 0.25
_WATCH_STOPPED = 0.5
_REASK = 5.0
_ACK_FIRST, _ACK_LAST = 0.001, 0.05
_ACK_WAIT = 0.25  # hosts may delay an acknowledgement by 200 ms
_LISTEN = 0.5
_POLL_FIRST = 5.0
_LISTEN_HELD = 5.0  # where nobody watches
_PROGRESS_EVERY = 0.1
_MOST_BREAKS = 3  # of one job, in the same way
_MOST_AT_ONCE = 256  # commands; who sends more and more does not keep the thread from its work

# Time does not cure these.
_PERMANENT = (AddressError, BackendMissing, AccessDenied, AmbiguousAddress)
# Except that a printer which was just plugged in is root's alone until udev has come to it.
_RIGHTS_SETTLE = 2.0
# These a plug may cure. (Not that it is busy: to try that moves the kernel's drivers, which looks like a plug itself.)
_CURED_BY_A_PLUG = (PrinterNotFound, AccessDenied, AmbiguousAddress)

AfterUncertain = Literal["hold", "go-on"]
_MOST_UNSETTLED = 1000
_JOURNAL_AGAIN = 1.0  # a journal that could not be written: nothing is begun before

_Answer = PrinterStatus | RawprintError


class _Ask(NamedTuple):
    """A question from another thread."""

    callback: Callable[[_Answer], None]
    timeout: float


class Conversation(NamedTuple):
    """What came of bytes that somebody wrote by hand.

    Attributes:
        sent: How many the printer took.
        received: What came back in time.
        decoded: That in words, as far as the language's decoder understands it.
    """

    sent: int
    received: bytes
    decoded: list[str]


class _Talk(NamedTuple):
    """Bytes from another thread, and until when (monotonic seconds) they wait for their turn."""

    callback: Callable[[Conversation | RawprintError], None]
    data: bytes
    timeout: float
    until: float


class PrintQueue:
    """Prints jobs on one printer, in order, from a thread of its own, and nobody else touches that printer.

    The printer is opened when there is something to do, tried again with growing pauses while it cannot be, and let
    go when idle, so that other computers can print. A job that had not begun when a connection ended is printed on the
    next one; of which nothing arrived, too; one that was interrupted ends `uncertain` and is not repeated.

    Attributes:
        address: As given, in its canonical form.
        capabilities: What the printer has shown that it answers.
        last_status: The newest that the printer reported; None before that, and after its connection failed.
    """

    def __init__(
        self,
        address: str,
        dialect: str | Dialect | None = None,
        *,
        on_job: Callable[[Job], None] | None = None,
        on_status: Callable[[PrinterStatus], None] | None = None,
        on_failure: Callable[[RawprintError], None] | None = None,
        capabilities: Capabilities | None = None,
        idle_release: float | None = 1.0,
        idle_check: float = 5.0,
        wrap: Callable[[Transport], Transport] | None = None,
        observer: Callable[[Decoded | BadReply], None] | None = None,
        journal: Journal | None = None,
        name: str | None = None,
        after_uncertain: AfterUncertain = "go-on",
    ) -> None:
        """Describe the queue; nothing is opened yet.

        Args:
            address: The printer's.
            dialect: Its language. Without it jobs print, and nothing is known of the printer's state.
            on_job: Called when a job changes (from the queue's thread; once from `submit`'s for a new one).
            on_status: Called when the printer reports.
            on_failure: Called when it cannot be opened, does not answer or its connection ends, and so nothing is known
                of it any more. None of the three may block; an exception goes to threading.excepthook.
            capabilities: What is known of the printer; kept up to date.
            idle_release: Seconds after which an idle connection is closed, so that other computers can print; a queue
                that always has jobs then gives way now and then, too. None: never, the printer is this queue's alone.
            idle_check: An idle connection older than this, seconds, is checked before a job's first byte.
            wrap: Puts something around each transport, such as a recorder.
            observer: Called with every decoded reply and push, and with every BadReply.
            journal: Keeps the jobs over a crash; give it those of `Journal.unfinished` back with `restore`. Without one they end
                with the process.
            name: What the journal calls the printer; None: its address.
            after_uncertain: What becomes of the jobs that wait when one ended `uncertain`: "hold": none begins before `settle`;
                "go-on": the next one does.

        Raises:
            AddressError: The address or the language is none.
        """
        parsed = addresses.parse(address)
        self.address = str(parsed)
        self._dialect = resolve_dialect(parsed, dialect)
        self.last_status: PrinterStatus | None = None
        self.capabilities = capabilities if capabilities is not None else Capabilities()
        self.capabilities.doubt_silence(self._dialect)  # an earlier run's
        self._on_job = on_job
        self._on_status = on_status
        self._on_failure = on_failure
        self._idle_release = idle_release
        self._idle_check = idle_check
        self._wrap = wrap
        self._observer = observer
        self._journal = journal
        self.name = name or self.address
        self.after_uncertain: AfterUncertain = after_uncertain

        self._commands: SimpleQueue[Job | _Ask | Callable[[], None] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._close_by: float | None = None
        self._posted = 0  # jobs

        # All below belongs to the queue's thread.
        self._arrived = 0  # of the jobs posted
        self._flight: Flight | None = None
        self._pending: deque[Job] = deque()
        self._at: deque[_Ask] | None = None  # questions that the thread is busy with
        self._look_through = False  # for pending jobs that were canceled
        self._asks: deque[_Ask] = deque()
        self._talks: deque[_Talk] = deque()
        self._used = 0.0  # when the connection last carried something
        self._retry_at = 0.0
        self._away_until = 0.0  # another computer's turn: not even a question opens the printer before
        self._retry_pause = _RETRY_FIRST
        self._failing_since: float | None = None
        self._absent = False  # when it was to be opened last
        self._denied_since: float | None = None
        self._opened_at = 0.0
        self._given_at = 0.0  # when the last byte of a job was given
        self._gives_way = False  # no job is begun before the connection was let go
        self._move: Callable[[], None] | None = None  # to another address, once no job is under way
        self._expire_at = float("inf")  # no pending job expires earlier (monotonic seconds)
        self._polling = Polling()
        self._noticed: PrinterStatus | None = None  # the newest report of the connection that was passed on
        self._watch_at = 0.0
        self._silent_since: float | None = None
        self._silent_connections = 0
        self._asked_at = 0.0
        self._ack_pause = _ACK_FIRST
        self._paused = False
        self._unsettled: set[str] = set()  # ids of uncertain jobs that hold the others up
        self._broken = 0  # so many bytes may be missing to end what the printer has of a job that was broken off
        self._ending = 0  # jobs whose end is on its way to the disk
        # That jobs are on disk is told after the first byte, so that who hears it does not take the processor from that.
        self._acknowledgments: list[Callable[[], None]] = []

    # -- what others call ----------------------------------------------------------------------------------------

    @property
    def dialect(self) -> str | None:
        """The name of the printer's language."""
        return self._dialect.name if self._dialect else None

    @property
    def pending(self) -> int:
        """Jobs that have not begun."""
        return len(self._pending) + self._posted - self._arrived

    @property
    def busy(self) -> bool:
        """Whether a job is being printed, is stopped, or awaits its end."""
        flight = self._flight
        return flight is not None and (flight.printing is not None or bool(flight.awaiting))

    @property
    def paused(self) -> bool:
        """Whether `pause` was called, and `resume` not since."""
        return self._paused

    def submit(
        self,
        data: bytes | bytearray | memoryview,
        *,
        id: str | None = None,
        expires: float | None = None,
        priority: int = 50,
        job_name: str | None = None,
        kept: Callable[[JournalError | None], None] | None = None,
    ) -> Job:
        """Queue bytes; returns with a pending job: at once, or where there is a journal, when that has it on disk.

        Args:
            data: As the printer shall get them, at least one byte; copied, unless it is bytes or a view of bytes.
            id: The caller's own name for the job.
            expires: Seconds; a job that has not begun by then is not printed any more and ends `expired`.
            priority: From 1 to 100; a higher one goes before the lower ones that wait.
            job_name: What people call it, for the journal.
            kept: With it the call returns at once: it is called when the journal has the job, or could not take it (then the job ends
                `failed`); from the journal's thread, or the queue's.

        Raises:
            ValueError: No data, another priority, or an id that the journal has already.
            JobCanceled: The queue is closed.
            JournalError: The journal cannot take it: nothing is printed.
        """
        if not data:
            raise ValueError("a job needs at least one byte")
        if not 1 <= priority <= 100:
            raise ValueError("a priority is a number from 1 to 100")
        frozen = _frozen(data)
        if self._journal is None:
            return self._submit(frozen, id, expires, Kind.TICKET, priority)
        answers: SimpleQueue[JournalError | None] = SimpleQueue()
        if kept is None and id is not None and self._journal.find(id) is not None:
            raise ValueError(f"the journal has a job {id!r} already")
        job = self._new(frozen, id, expires, Kind.TICKET, priority)
        until = None if expires is None else time.time() + expires
        self._keep(self._journal, job, until, job_name, kept or answers.put)
        if kept is None and (error := answers.get()) is not None:
            raise error
        return job

    def _keep(
        self,
        journal: Journal,
        job: Job,
        expires: float | None,
        job_name: str | None,
        kept: Callable[[JournalError | None], None],
    ) -> None:
        """Give the job to the journal, and then to the queue's thread."""
        job._started = self._begins_at_once

        def done(error: JournalError | None) -> None:
            if error is None:
                try:
                    self._post(job)
                except JobCanceled:  # closed meanwhile: the next process prints it
                    self._leave(job)
            else:
                job._seq, job.error, job._data = None, _kept(error), b""
                job.state = JobState.FAILED
                self._tell(job)
            if threading.current_thread() is self._thread:
                self._acknowledgments.append(lambda: kept(error))
            else:
                kept(error)

        job._seq = seq = journal.number()  # before the thread may see it

        here = job._started and journal.durability == "power"

        def accept() -> None:
            journal.accept(
                seq,
                job.id,
                self.name,
                job._data,
                done,
                name=job_name,
                expires=expires,
                priority=job.priority,
                started=job._started,
                here=here,
            )

        if here:  # the thread that prints it waits for the disk itself: no other has to wake
            with contextlib.suppress(JobCanceled):
                self._post(accept)
                return
        accept()  # where the queue was closed meanwhile it is the next process's

    @property
    def _begins_at_once(self) -> bool:
        """Whether a job's first byte would follow at once, as far as another thread can see."""
        flight = self._flight
        return (
            flight is not None
            and not (self._pending or self._paused or self._holds or self._lets_go)
            and self._posted == self._arrived
            and flight.printing is None
            and not flight.held
            and time.monotonic() - self._used <= self._idle_check
        )

    def restore(self, entry: JournalEntry, data: bytes) -> Job:
        """Take a job of the journal's that an earlier process left: one of which a byte may have gone out ends `uncertain`.

        Args:
            entry: Of `Journal.unfinished`.
            data: Its bytes.

        Raises:
            JobCanceled: The queue is closed.
        """
        left = None if entry.expires is None else entry.expires - time.time()
        job = self._new(data, entry.id, left, Kind.TICKET, entry.priority)
        job._seq, job._started = entry.seq, entry.started

        def interrupted() -> None:
            job._written = job.bytes_total  # for all that is known
            job.error = Disconnected(
                "the program ended while it was printed",
                hint="look whether it came out before you print it again",
                lost=True,
            )
            self._interrupted(job)

        self._post(interrupted if entry.started else job)
        return job

    def withdraw(self, job: Job, done: Callable[[bool], None]) -> None:
        """Take a job back that has not begun, to give it to another queue by `adopt`; it does not end by that.

        Args:
            job: One of this queue's.
            done: Called in the queue's thread: whether it was still there.

        Raises:
            JobCanceled: The queue is closed.
        """

        def withdraw() -> None:
            there = job in self._pending and not job._cancel
            if there:
                self._pending.remove(job)
                self._not_started(job)
            done(there)

        self._post(withdraw)

    def adopt(self, job: Job) -> None:
        """Print a job that another queue gave up by `withdraw`. They must have the same journal, or none.

        Raises:
            JobCanceled: The queue is closed.
        """
        job._changed, job._wake, job.error, job.reasons = self._changed, self._wake, None, {}
        if job._seq is not None and self._journal is not None:
            self._journal.move(job._seq, self.name)
        self._post(job)

    def settle(self, id: str) -> None:
        """Somebody has said what became of an uncertain job: those that it holds up go on."""

        def settle() -> None:
            self._unsettled.discard(id)
            self._retry_at = min(self._retry_at, time.monotonic())

        self._post(settle)

    def hold_for(self, id: str) -> None:
        """An uncertain job of an earlier process is not settled: no other one begins before, where `after_uncertain` says so."""
        self._post(lambda: self._hold_up(id))

    def pause(self) -> None:
        """Begin no job any more until `resume`; the one in print goes on."""
        self._pause_or_resume(paused=True)

    def resume(self) -> None:
        """Begin jobs again."""
        self._pause_or_resume(paused=False)

    def _pause_or_resume(self, *, paused: bool) -> None:
        def change() -> None:
            self._paused = paused

        self._post(change)

    def open_drawer(self, pin: int = 2, *, id: str | None = None, expires: float = 10.0) -> Job:
        """Open the cash drawer at the printer: before the jobs that wait, never in the middle of one.

        Where the capabilities promise "drawer-real-time" that is done by the real-time command, which a printer
        without paper obeys, too. Else the drawer waits until the printer is ready.

        Args:
            pin: Of the drawer's connector, 2 or 5.
            id: The caller's own name for the job.
            expires: Seconds after which it is not opened any more: nobody may be standing there.

        Raises:
            Unsupported: The printer's language has no drawer, or not that pin.
            JobCanceled: The queue is closed.
        """
        dialect = self._dialect
        commands, kind = {} if dialect is None else dialect.drawer, Kind.KICK
        if dialect is not None and DRAWER_REAL_TIME in self.capabilities.promised:
            commands, kind = dialect.drawer_real_time, Kind.KICK_REAL_TIME
        if pin not in commands:
            raise Unsupported(
                f"no drawer can be opened on pin {pin} in the language {self.dialect or 'of an unnamed dialect'}",
                hint="Receipt printers (escpos, star) have one on pin 2, some a second one on pin 5.",
            )
        return self._submit(commands[pin], id, expires, kind)

    def _new(self, data: bytes | memoryview, id: str | None, expires: float | None, kind: Kind, priority: int) -> Job:
        """A pending job, which is told, and which the queue's thread does not have yet."""
        if self._close_by is not None:
            raise JobCanceled("the queue is closed")
        job = Job(
            id or os.urandom(8).hex(),
            data,
            self._changed,
            self._wake,
            expires_at=float("inf") if expires is None else time.monotonic() + expires,
            kind=kind,
            priority=priority,
        )
        if self._on_job is not None:  # nobody else can wait for it yet
            _guarded(self._on_job, job)
        return job

    def _submit(
        self, data: bytes | memoryview, id: str | None, expires: float | None, kind: Kind, priority: int = 50
    ) -> Job:
        job = self._new(data, id, expires, kind, priority)
        try:
            self._post(job)
        except JobCanceled:  # closed meanwhile
            self._never_begun(job, "the queue is closed")
            raise
        return job

    def ask(self, callback: Callable[[_Answer], None], timeout: float = 3.0) -> None:
        """Ask the printer how it is, without waiting: the queue's thread calls back with the status, or the error.

        The question goes out between jobs. While a job goes out the answer is what the printer has reported unasked
        since the job began, which is often nothing.
        """
        self._post(_Ask(callback, timeout))

    def status(self, timeout: float = 3.0) -> PrinterStatus:
        """Ask the printer how it is, and wait for it; see `ask`.

        Raises:
            NoReply, BadReply, OpenError, Disconnected: As Printer.status and rawprint.open do.
        """
        answers: SimpleQueue[_Answer] = SimpleQueue()
        self.ask(answers.put, timeout)
        try:
            # Opening the printer has a time-out of its own, and a question may be ahead of this one.
            answer = answers.get(timeout=timeout + _OPEN_TIMEOUT + _ASK_TIMEOUT)
        except Empty:
            raise NoReply("the queue did not come to ask in time") from None
        if isinstance(answer, RawprintError):
            raise answer
        return answer

    def converse(
        self, data: bytes, callback: Callable[[Conversation | RawprintError], None], timeout: float = 1.0
    ) -> None:
        """Send bytes that somebody wrote by hand, between two jobs, and hear what comes back; the queue's thread calls back.

        Nothing is learnt of the printer by it. The connection is closed after it, and where the bytes may have left a command open the
        next job is headed by what ends that.

        Args:
            data: At least one byte.
            callback: Called with what came of it, or with the error: PrinterBusy where jobs were under way all the time.
            timeout: Seconds to wait for a turn, and as many again for sending and hearing.

        Raises:
            JobCanceled: The queue is closed.
        """
        talk = _Talk(callback, bytes(data), timeout, time.monotonic() + timeout)
        self._post(lambda: self._talks.append(talk))

    def watch(self, every: float | None) -> None:
        """Ask the printer every so many seconds while it is idle, and tell `on_status`; None: no more.

        A printer that is to be let go when idle is opened for the question and let go after it; to be watched does
        not open it by itself, so the first question comes after some seconds. Nothing is asked while jobs are under
        way, when they themselves bring news, nor of a printer that was seen to feed paper when asked.
        """
        if every is None and self._thread is None:
            return  # a printer that nobody has needed yet costs no thread
        first = 0.0 if self._idle_release is None else _POLL_FIRST
        self._post(lambda: self._polling.set(every, min(every or 0.0, first)))

    def hear(self, status: PrinterStatus) -> None:
        """Take in what another channel than the print connection told of the printer.

        It is passed on to `on_status`, and stands in for the printer's own word while a job keeps it from being asked.
        """
        self._post(lambda: self._overheard(status))

    def retry(self) -> None:
        """Something was plugged into this machine or pulled out: what waits for this printer need not wait longer.

        If it was not there it is tried at once instead of after its pause; if it is open, it is seen whether it still is.
        Nothing is asked or opened where nothing waits, or where that was possible before.
        """

        def retry() -> None:  # an open connection is listened to without that, as the thread wakes
            if self._flight is None and self._absent:
                self._retry_at, self._retry_pause, self._denied_since = self._away_until, _RETRY_FIRST, None
                self._polling.soon()

        if self._thread is not None:
            self._post(retry)

    def move(self, address: str, dialect: str | Dialect | None, *, capabilities: Capabilities | None = None) -> None:
        """Print elsewhere from the next job on; what is under way is finished where it began, and none is lost.

        Raises:
            AddressError: The address or the language is none.
        """
        parsed = addresses.parse(address)
        language = resolve_dialect(parsed, dialect)

        def moved() -> None:
            self._release()
            self.address, self._dialect = str(parsed), language
            self.capabilities = capabilities if capabilities is not None else Capabilities()
            self.capabilities.doubt_silence(language)
            self.last_status = None
            self._retry_at, self._retry_pause, self._failing_since = 0.0, _RETRY_FIRST, None
            self._absent, self._denied_since = False, None
            self._silent_connections = 0
            for job in [job for job in self._pending if job._kind is not Kind.TICKET]:
                self._pending.remove(job)  # its command is of the other printer's language
                self._never_begun(job, "the queue was moved to another printer before its first byte")
            self._polling.anew()
            self._polling.soon()

        def prepare() -> None:
            self._move = moved

        self._post(prepare)

    def keep(self, idle_release: float | None) -> None:
        """Change `idle_release`."""

        def keep() -> None:
            self._idle_release = idle_release

        self._post(keep)

    def close(self, timeout: float = 5.0) -> None:
        """End the queue. Pending jobs are canceled, or stay in the journal; the job in print may finish within `timeout` seconds.

        What is then still unfinished ends `uncertain`. A connection or a question that is under way is waited for, too,
        which may take some seconds more. From a callback it returns at once, and the queue ends after that.
        """
        atexit.unregister(self.close)
        with self._changed:
            if self._close_by is None:
                self._close_by = time.monotonic() + timeout
            thread = self._thread
        if thread is not None:
            self._wake()
            if thread is not threading.current_thread():  # from a callback: it ends after that
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, command: Job | _Ask | Callable[[], None]) -> None:
        with self._changed:
            if self._close_by is not None:
                raise JobCanceled("the queue is closed")
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"rawprint {self.address}", daemon=True)
                thread.start()
                self._thread = thread
                atexit.register(self.close)
            self._posted += isinstance(command, Job)
            self._commands.put(command)  # inside: what is posted is either refused or seen by the thread's end

    def _wake(self) -> None:
        self._commands.put(None)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                self._receive(self._pause())
                try:
                    self._work()
                except Exception as error:  # noqa: BLE001  (a bug, or a system out of memory: the next job must print)
                    self._survive(error)
                self._acknowledge()
        finally:
            with self._changed:
                self._close_by = self._close_by or time.monotonic()
            self._release()
            while not self._commands.empty():
                self._receive(0)
            self._acknowledge()
            while self._pending:
                job = self._pending.popleft()
                if job._seq is None:
                    self._never_begun(job, "the queue was closed before its first byte")
                else:
                    self._leave(job)
            while self._ending:  # their ends are on the way to the disk
                self._receive(None)
            while self._asks:
                _guarded(self._asks.popleft().callback, JobCanceled("the queue is closed"))
            while self._talks:
                _guarded(self._talks.popleft().callback, JobCanceled("the queue is closed"))

    def _survive(self, error: Exception) -> None:
        """Something broke that should not: what is not known to be whole is uncertain, and the queue goes on."""
        _report()
        at, self._at = self._at, None
        broken = self._flight.printing if self._flight is not None else None
        self._lost(
            Disconnected(f"printing broke off: {error!r}", hint="please report this, with the traceback", lost=True)
        )
        self._back_off()
        self._polling.later(self._retry_at)
        for ask in at or ():
            _guarded(ask.callback, RawprintError(f"asking broke off: {error!r}"))
        if broken is not None and broken in self._pending:
            broken._breaks += 1
            if broken._breaks >= _MOST_BREAKS:  # it would hold up all others for ever
                self._pending.remove(broken)
                self._set(broken, JobState.FAILED)

    def _finished(self) -> bool:
        if self._close_by is None:
            return False
        awaiting = self._flight is not None and self._flight.awaiting
        return not awaiting or time.monotonic() >= self._close_by

    def _receive(self, timeout: float | None) -> None:
        """Take in what other threads asked for; waits until there is something, or until it is time to work."""
        try:
            command = self._commands.get(timeout=timeout) if timeout != 0 else self._commands.get_nowait()
            for _ in range(_MOST_AT_ONCE):
                self._take_in(command)
                command = self._commands.get_nowait()
            self._take_in(command)
        except Empty:
            pass

    def _take_in(self, command: Job | _Ask | Callable[[], None] | None) -> None:
        if isinstance(command, Job):
            self._enqueue(command)
        elif command is None:
            self._look_through = True
        elif isinstance(command, _Ask):
            self._asks.append(command)
        else:
            command()

    def _enqueue(self, job: Job) -> None:
        self._expire_at = min(self._expire_at, job._expires_at)
        self._arrived += 1
        if job._kind is Kind.TICKET:
            at = len(self._pending)
            while at and self._pending[at - 1].priority < job.priority and self._pending[at - 1]._kind is Kind.TICKET:
                at -= 1
            self._pending.insert(at, job)
            if len(self._pending) > 1:
                self._not_started(job)
        else:
            kicks = [at for at, other in enumerate(self._pending, 1) if other._kind is not Kind.TICKET]
            self._pending.insert(max(kicks, default=0), job)

    def _pause(self) -> float | None:
        """Seconds until there is something to do by itself; None: nothing."""
        flight, due = self._flight, []
        if self._asks:
            due.append(0.0 if flight is not None else self._away_until)
        if self._talks:
            under_way = flight is not None and bool(flight.awaiting)
            due.append(min(talk.until for talk in self._talks) if under_way else self._away_until)
        if self._stands_still:
            due.append(self._expire_at)
            if flight is None or not flight.awaiting:
                due.append(self._polling.at)
                if flight and self._idle_release is not None:
                    due.append(min(self._used + self._idle_release, time.monotonic() + _LISTEN))
        elif self._pending:
            waits = flight is not None and (self._held(flight) or (flight.awaiting and self._keeps_back))
            due.append(self._watch_at if waits else self._retry_at)
            due.append(self._expire_at)
        if flight and flight.awaiting:
            due.append(self._watch_at)
        elif not self._pending:
            due.append(self._polling.at)
            if self._move is not None:
                due.append(0.0)
            if flight and self._idle_release is not None:
                idle_until = self._turn_ends if self._doubts else self._used + self._idle_release
                due.append(min(idle_until, self._turn_ends, time.monotonic() + _LISTEN))
            elif flight and self._polling.every is None:
                due.append(time.monotonic() + _LISTEN_HELD)
        if self._close_by is not None:
            due.append(self._close_by)
        soonest = min(due, default=float("inf"))
        return None if soonest == float("inf") else max(soonest - time.monotonic(), 0.0)

    @property
    def _stands_still(self) -> bool:
        """Whether the jobs that wait do so because somebody said so, or must say something first. A drawer does not."""
        return bool(self._pending and (self._paused or self._holds)) and self._pending[0]._kind is Kind.TICKET

    @property
    def _holds(self) -> bool:
        """Whether an uncertain job holds the others up."""
        return bool(self._unsettled) and self.after_uncertain == "hold"

    def _held(self, flight: Flight) -> bool:
        """Whether the next job waits because the printer has said that it is stopped."""
        return flight.held and self._pending[0]._kind is not Kind.KICK_REAL_TIME

    @property
    def _lets_go(self) -> bool:
        """Whether the connection is to be closed as soon as no job is under way."""
        return self._gives_way or self._move is not None

    @property
    def _keeps_back(self) -> bool:
        """Whether no job may begin on this connection any more; a real-time command is no turn of its own."""
        urgent = self._move is None and self._pending[0]._kind is Kind.KICK_REAL_TIME
        return self._lets_go and not urgent

    def _work(self) -> None:
        self._weed_out()
        if self._asks and (self._flight is not None or time.monotonic() >= self._away_until):
            self._at, self._asks = self._asks, deque()
            self._answer(self._at)
            self._at = None
        if self._talks:
            self._talk()
        flight, now = self._flight, time.monotonic()
        if self._move is not None and (flight is None or not flight.awaiting):
            self._move()
            self._move = flight = None
        still = self._stands_still
        held = flight is not None and bool(self._pending) and self._held(flight)
        # A job that is there goes before the question about the last ones, but not for ever: one question in a quarter of
        # a second costs no throughput.
        prints = self._pending and not still and not held and not self._keeps_back and now >= self._retry_at
        watch_at = self._watch_at + _WATCH if prints else self._watch_at
        if still:
            self._say_why()
        if flight is not None and (flight.awaiting or (held and not still)) and now >= watch_at:
            self._watch(flight)
        elif self._pending and not held and not still:
            if now >= self._retry_at and not self._give_way(flight, now):
                self._print(self._pending[0])
        elif (not self._pending or still) and (flight is None or not flight.awaiting):
            if now >= self._polling.at:
                self._poll()
            elif flight is not None:
                self._idle(flight)
        if self._pending:
            self._not_started(self._pending[0])

    def _give_way(self, flight: Flight | None, now: float) -> bool:
        """Whether no job may begin now, as another computer's turn has come, or as the printer is about to be another."""
        if flight is None:
            return False
        if not self._gives_way and now >= self._turn_ends:
            self._gives_way = True
            self._watch_at = min(self._watch_at, now + _WATCH_FIRST)
        if not self._lets_go:
            return False
        if not flight.awaiting:
            self._end_turn()
            return True
        return self._keeps_back

    @property
    def _turn_ends(self) -> float:
        """When (monotonic) to let go of a shared printer, so that another computer's jobs have their turn."""
        if self._idle_release is None:
            return float("inf")
        return self._opened_at + max(_TURN, self._idle_release, _DOUBT if self._doubts else 0.0)

    def _end_turn(self) -> None:
        self._release()
        if self._given_at >= self._opened_at:
            self._retry_at = self._away_until = time.monotonic() + _GIVE_WAY

    def _weed_out(self) -> None:
        """End pending jobs that were canceled, or whose time is up."""
        if self._look_through:
            self._look_through = False
            closed = self._close_by is not None
            for job in [job for job in self._pending if job._cancel or (closed and job._seq is None)]:
                self._pending.remove(job)
                self._never_begun(job, "canceled before its first byte")
        now = time.monotonic()
        if now < self._expire_at:
            return
        for job in [job for job in self._pending if job._expires_at <= now]:
            self._pending.remove(job)
            do = "Print" if job._kind is Kind.TICKET else "Open"
            error = JobExpired("its time was up before the printer could begin", hint=f"{do} it again if it is wanted.")
            error.__cause__ = job.error  # what it had waited for
            job.error = error
            self._set(job, JobState.EXPIRED)
        self._expire_at = min((job._expires_at for job in self._pending), default=float("inf"))

    # -- the connection ------------------------------------------------------------------------------------------

    def _open(self, timeout: float = _OPEN_TIMEOUT) -> Flight:
        """The printer, opened if it is not open.

        Raises:
            OpenError: It cannot be opened now; when to try again is noted.
        """
        if self._flight is None:
            self._acknowledge()
            try:
                printer = open_printer(
                    self.address,
                    self._dialect,
                    timeout=timeout,
                    capabilities=self.capabilities,
                    wrap=self._wrap,
                    observer=self._observer,
                )
            except (OpenError, AddressError) as error:
                self._absent = isinstance(error, _CURED_BY_A_PLUG)
                if not isinstance(error, AccessDenied):
                    self._denied_since = None
                elif self._denied_since is None:
                    self._denied_since = time.monotonic()
                self._failed(error)
                self._back_off()
                raise
            self._absent, self._denied_since = False, None
            self._flight = Flight(printer)
            self._used = self._opened_at = time.monotonic()
            self._gives_way = False
        return self._flight

    def _back_off(self) -> None:
        import random  # noqa: PLC0415  (5 ms that only a failure costs)

        now, pause = time.monotonic(), self._retry_pause
        if self._failing_since is None:
            self._failing_since = now
        if self._idle_release is not None and now - self._failing_since < _SHARED_PATIENCE:
            pause = min(pause, _RETRY_SHARED)
        self._retry_at = now + pause * random.uniform(0.75, 1.25)  # noqa: S311
        self._retry_pause = min(self._retry_pause * 2, _RETRY_LAST)

    def _back_to_normal(self) -> None:
        self._retry_pause = _RETRY_FIRST
        self._failing_since = None

    def _release(self) -> None:
        """Close the connection in peace. What the far side has taken whole is delivered: it can report no more."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        flight.count()
        flight.printer.close()
        self._doubt_silence()
        for job in list(flight.jobs()):
            if job.taken and job.state is not JobState.STOPPED:
                self._delivered(job, flight)
            else:
                job.error = Disconnected(
                    "the connection was closed before the printer had finished",
                    hint="look whether it came out before you print it again",
                )
                self._interrupted(job)

    def _lost(self, error: Disconnected) -> bool:
        """The connection ended by itself; whether jobs come back from it that are to be printed on the next."""
        flight, self._flight = self._flight, None
        if flight is None:
            self.last_status = None
            return False
        again, uncertain = flight.lost(error)
        if again or uncertain:
            self._failed(error)
        else:
            self.last_status = None
        flight.printer.close()
        self._doubt_silence()
        for job in (*again, *uncertain):
            job.error = _kept(error)
            job.reasons = {}
            if job in again:
                self._set(job, JobState.PENDING)
                self._not_started(job)
            else:
                self._interrupted(job)
        self._pending.extendleft(reversed(again))
        self._expire_at = min([self._expire_at, *(job._expires_at for job in again)])
        return bool(again)

    @property
    def _doubts(self) -> bool:
        """Whether the printer may answer yet, which it has never done, once it serves this connection."""
        flight = self._flight
        return (
            flight is not None
            and flight.printer.unanswered
            and self._silent_connections < _SILENT_CONNECTIONS
            and not self.capabilities.has_answered(self._dialect)
        )

    def _doubt_silence(self) -> None:
        """A connection has ended: where the printer left its first question unanswered, it may answer on another."""
        dialect = self._dialect
        if dialect is None or self._idle_release is None or self.capabilities.has_answered(dialect):
            return
        if any(query.name in self.capabilities.silent for query in dialect.essential):
            self._silent_connections += 1
            if self._silent_connections < _SILENT_CONNECTIONS:
                self.capabilities.doubt_silence(dialect)

    def _failed(self, error: RawprintError) -> None:
        """Nothing is known of the printer any more."""
        self.last_status = None
        if self._on_failure is not None:
            _guarded(self._on_failure, error)

    def _ready(self) -> Flight:
        """An open printer to which a job's first byte may go.

        A printer drops idle connections, some with RST, some without a word: one that was idle is checked.

        Raises:
            OpenError: It cannot be opened now.
            Disconnected: It could, and the connection ended before the first byte.
        """
        flight = self._flight
        mute = self.capabilities.is_mute(self._dialect)
        if flight is not None:
            flight.printer.listen()
            if time.monotonic() - self._used <= self._idle_check or flight.awaiting:
                return flight
            if not mute and self._checked(flight.printer):
                return flight
            self._release()
        flight = self._open()
        if not mute:
            self._checked(flight.printer)
        return flight

    def _checked(self, printer: Printer) -> bool:
        """Whether the printer answers on this connection; if it is stopped, that is then known.

        Raises:
            Disconnected: It is not served.
        """
        self._acknowledge()
        self._asked_at = time.monotonic()
        try:
            said_before = self.last_status
            if printer.check(_CHECK_TIMEOUT).state is PrinterState.STOPPED or (
                said_before is not None and said_before.state is PrinterState.STOPPED
            ):
                self._heard(printer.status(_ASK_TIMEOUT))
        except (NoReply, BadReply):
            return False
        return True

    # -- one job -------------------------------------------------------------------------------------------------

    def _print(self, job: Job) -> None:
        try:
            flight = self._ready()
        except Disconnected as error:
            self._lost(error)  # jobs of before come back in front of this one
            self._back_off()
            self._not_ready(job, error)
            return
        except RawprintError as error:
            self._not_ready(job, error)
            return
        if job._cancel or self._close_by is not None:  # asked for while the printer was opened and checked
            self._look_through = True
            return
        if job._kind is not Kind.TICKET and not self._ready_for_kick(job, flight):
            return
        if job._expires_at <= time.monotonic():  # while the printer was opened, or asked
            return
        if self._held(flight):
            self._hold(flight)
            return
        if not self._starts(job):
            return
        self._pending.popleft()
        job.error = None
        job.reasons = {}
        job.state = JobState.PROCESSING  # told with the first byte, not before it
        if self._broken and self._dialect is not None:
            flight.printer.precede(bytes(self._broken) + self._dialect.resync)
        flight.begin(job)
        told = 0.0

        def progress(_: int) -> None:
            nonlocal told
            moved = flight.count()
            for other in moved:
                if other is not job:
                    self._tell(other)
            if job in moved and time.monotonic() - told >= _PROGRESS_EVERY:
                told = time.monotonic()
                self._tell(job)
            self._step(job, flight)

        try:
            flight.printer.print(job._data, progress=progress)
        except JobCanceled as error:
            self._broken_off(job, flight, error)
        except Disconnected as error:
            if self._lost(error):
                self._back_off()
        else:
            self._given(job, flight)

    def _acknowledge(self) -> None:
        """Tell of the jobs that the journal has taken, before anything else is waited for."""
        acknowledgments, self._acknowledgments = self._acknowledgments, []
        for told in acknowledgments:
            _guarded(told)

    def _starts(self, job: Job) -> bool:
        """Whether it is on disk that the job's first byte may go out."""
        if job._seq is None or job._started or self._journal is None:
            return True
        try:
            self._journal.start(job._seq)
        except JournalError as error:
            self._retry_at = time.monotonic() + _JOURNAL_AGAIN
            self._not_ready(job, error)
            return False
        job._started = True
        return True

    def _not_started(self, job: Job) -> None:
        """A job of which it is on disk that it may have begun, and which waits."""
        if job._started and job._seq is not None and self._journal is not None:
            job._started = False
            self._journal.start(job._seq, started=False)

    def _leave(self, job: Job) -> None:
        """The queue is closed, and the journal has the job for the next process."""
        self._not_started(job)
        job._left = True
        with self._changed:
            self._changed.notify_all()

    def _ready_for_kick(self, job: Job, flight: Flight) -> bool:
        """Whether the printer takes a command at once: what waits in a buffer may open the drawer unattended, later.

        Raises nothing: where the connection has ended, the next one will tell.
        """
        printer, mute = flight.printer, self.capabilities.is_mute(self._dialect)
        if printer.unacknowledged() or (mute and self._idle_release is not None and self._doubts):
            self._retry_at = time.monotonic() + _ACK_LAST
            return False
        if mute:
            return True
        try:
            if job._kind is Kind.KICK_REAL_TIME:
                printer.check(
                    _CHECK_TIMEOUT
                )  # one that is not served, or whose buffer is full, would keep it for later
            else:
                self._heard(printer.status(_ASK_TIMEOUT))
        except Disconnected as error:
            self._lost(error)
            self._back_off()
            return False
        except (NoReply, BadReply):
            self._retry_at = time.monotonic() + _WATCH_STOPPED
            return False
        return True

    def _not_ready(self, job: Job, error: RawprintError) -> None:
        job.error = _kept(error)
        settles = self._denied_since is not None and time.monotonic() - self._denied_since < _RIGHTS_SETTLE
        if isinstance(error, _PERMANENT) and not settles:
            self._pending.remove(job)
            self._set(job, JobState.FAILED)
        else:
            self._tell(job)

    def _given(self, job: Job, flight: Flight) -> None:
        flight.given(job)
        self._used = self._given_at = job._given_at
        self._back_to_normal()
        self._polling.later()
        self._silent_since = None
        self._broken = 0
        self._ack_pause = _ACK_FIRST
        if len(flight.awaiting) == 1:
            self._watch_at = self._used + _WATCH_FIRST
        self._tell(job)

    def _broken_off(self, job: Job, flight: Flight, error: JobCanceled) -> None:
        flight.count()
        flight.printing = None
        job.error = _kept(error)
        job.reasons = {}
        if self._close_by is not None:
            self._interrupted(job)
        else:
            self._must_resync(job)
            self._set(job, JobState.CANCELED)
        # The printer holds half a job. The next one at least begins on a connection of its own.
        self._release()

    def _step(self, job: Job, flight: Flight) -> None:
        """Between two writes of a job: what others asked for, and what the printer said meanwhile."""
        self._receive(0)
        self._acknowledge()
        self._weed_out()
        self._tell_busy()
        while self._asks and job._written < job.bytes_total:  # after the last byte the printer itself can be asked
            _guarded(self._asks.popleft().callback, flight.news(job) or PrinterStatus())
        out_of_time = self._close_by is not None and time.monotonic() >= self._close_by
        if (job._cancel or out_of_time) and job._written < job.bytes_total:
            raise JobCanceled("canceled in the middle of the job", written=job._written)
        self._notice(flight.printer)
        said = flight.news(job)
        if said is None or said.state is not PrinterState.STOPPED:
            said = self._line(flight)
        if said is not None and said.state is PrinterState.STOPPED:
            self._stop(job, said)
        elif flight.stalled:
            self._stop(job, None)
        elif job.state is JobState.STOPPED and (flight.flowing or job.reasons):
            self._go_on(job)

    # -- states --------------------------------------------------------------------------------------------------

    def _stop(self, job: Job, said: PrinterStatus | None) -> None:
        reasons = dict.fromkeys(said.stop_reasons, True) if said else {}
        if job.state is not JobState.STOPPED or job.reasons != reasons:
            job.reasons = reasons
            self._set(job, JobState.STOPPED)

    def _go_on(self, job: Job) -> None:
        job.reasons = {}
        self._set(job, JobState.PROCESSING)

    def _hold(self, flight: Flight) -> None:
        """The printer is stopped before the next job began: it waits, and says why."""
        self._watch_at = time.monotonic() + _WATCH_STOPPED
        if self._pending and flight.printer.reported is not None:
            job, reasons = self._pending[0], dict.fromkeys(flight.printer.reported.stop_reasons, True)
            if job.reasons != reasons:
                job.reasons = reasons
                self._tell(job)

    def _delivered(self, job: Job, flight: Flight, *evidence: str, state: JobState = JobState.DELIVERED) -> None:
        job.evidence = (flight.printer.transport.counts, *evidence)
        job.reasons = {}
        self._set(job, state)

    def _never_begun(self, job: Job, message: str) -> None:
        error = JobCanceled(message)
        error.__cause__ = job.error  # what it had waited for
        job.error = error
        self._set(job, JobState.CANCELED)

    def _interrupted(self, job: Job) -> None:
        """Of a job that was begun nobody knows whether it came out."""
        self._must_resync(job)
        self._set(job, JobState.UNCERTAIN)

    def _must_resync(self, job: Job) -> None:
        """The printer may wait for the rest of the job: what comes next must not become that."""
        if self._dialect is not None and self._dialect.resync:
            self._broken = max(self._broken, job.bytes_total - job.bytes_accepted)

    def _hold_up(self, id: str) -> None:
        self._unsettled.add(id)
        while len(self._unsettled) > _MOST_UNSETTLED:  # where they hold nothing up nobody settles them
            self._unsettled.pop()

    def _say_why(self) -> None:
        """To the first of the jobs that wait for a person."""
        job = self._pending[0]
        if self._holds and not isinstance(job.error, Unsettled):
            job.error = Unsettled(
                f"the job {min(self._unsettled)} may have come out, or not: nothing is printed before somebody says which",
                hint="look at the printer, then resolve that job: print it again, or discard it",
            )
            self._tell(job)

    def _set(self, job: Job, state: JobState) -> None:
        if state is JobState.UNCERTAIN:
            self._hold_up(job.id)
        if state.ended and job._seq is not None and self._journal is not None:
            self._ending += 1
            self._journal.end(
                job._seq,
                state,
                lambda _: self._commands.put(lambda: self._ended(job, state)),
                bytes_accepted=job.bytes_accepted,
                evidence=job.evidence,
                error=job.error,
            )
            return
        job.state = state
        if state.ended:
            job._data = b""  # others may keep the job for long
        self._tell(job)

    def _ended(self, job: Job, state: JobState) -> None:
        """Its end is on disk: now it can be told."""
        self._ending -= 1
        job.state, job._data = state, b""
        self._tell(job)

    def _tell(self, job: Job) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._on_job is not None:
            _guarded(self._on_job, job)

    # -- what the printer says -----------------------------------------------------------------------------------

    def _notice(self, printer: Printer) -> None:
        """Pass on a push."""
        if printer.reported is not None and printer.reported is not self._noticed:
            self._noticed = printer.reported
            self._pass_on(printer.reported)

    def _line(self, flight: Flight) -> PrinterStatus | None:
        """What the cable says of a printer that takes nothing, or cannot be asked; passed on as it comes and goes."""
        line = flight.line()
        before = self.last_status is not None and self.last_status.source == "line"
        if line is not None:
            if not before or self.last_status is None or self.last_status.reasons != line.reasons:
                self._pass_on(line)
        elif before:  # it goes on; more it does not say
            self._pass_on(flight.printer.reported or PrinterStatus())
        return line

    def _heard(self, status: PrinterStatus) -> None:
        """Pass on an answer."""
        self._used = time.monotonic()
        self._noticed = status
        self._pass_on(status)

    def _overheard(self, status: PrinterStatus) -> None:
        """Another channel than the connection told something."""
        flight = self._flight
        if flight is not None:
            said, stopped = flight.printer.reported, status.state is PrinterState.STOPPED
            same = said is not None and said.source == status.source
            if said is not None and not same and not stopped and said.state is PrinterState.STOPPED:
                return  # what the printer itself said it takes back itself
            if same or (any(flight.jobs()) and (stopped or said is None)):
                flight.printer.reported = self._noticed = status
        self._pass_on(status)

    def _pass_on(self, status: PrinterStatus) -> None:
        self.last_status = status
        if self._on_status is not None:
            _guarded(self._on_status, status)

    def _answer(self, asks: deque[_Ask]) -> None:
        """Ask the printer once for all who wait for that, between jobs."""
        timeout = max(ask.timeout for ask in asks)
        answer: _Answer
        kept = self._flight is not None
        try:
            if self.capabilities.feeds:
                raise _feeds()
            flight = self._open(min(timeout, _OPEN_TIMEOUT))
            if flight.awaiting and not flight.printer.wait_acknowledged(_ACK_WAIT):
                answer = self.last_status or PrinterStatus()  # it takes no bytes: a question would only wait behind
            else:
                answer = self._look(flight.printer, timeout)
        except Disconnected as error:
            if self._lost(error):
                self._back_off()
            if kept:  # it may have died long ago: only a new connection can tell
                self._answer(asks)
                return
            self._failed(error)
            answer = error
        except RawprintError as error:
            if not isinstance(error, OpenError):
                self._failed(error)
            answer = error
            if isinstance(error, (NoReply, BadReply)) and not self.busy:
                self._release()  # a new connection begins in step
        for ask in asks:
            _guarded(ask.callback, answer)

    def _tell_busy(self) -> None:
        """To those whose bytes had no turn in time."""
        now = time.monotonic()
        for talk in [talk for talk in self._talks if talk.until <= now]:
            self._talks.remove(talk)
            error = PrinterBusy("jobs are under way on the printer", hint="Try again when they are through.")
            _guarded(talk.callback, error)

    def _talk(self) -> None:
        """Send what somebody wrote, if no job is under way."""
        from rawprint.console import in_words, missing  # noqa: PLC0415  (few ever need it)

        flight, now = self._flight, time.monotonic()
        if (flight is not None and flight.awaiting) or (flight is None and now < self._away_until):
            self._tell_busy()
            return
        talk = self._talks.popleft()
        if flight is not None and now - self._used > self._idle_check:
            self._release()  # it may have died long ago
        came: Conversation | RawprintError = RawprintError("the conversation broke off")
        try:
            printer = self._open().printer
            sent, received = printer.converse(talk.data, talk.timeout)
            left = missing(self.dialect, talk.data[:sent], whole=sent == len(talk.data)) if sent else 0
            if self._dialect is not None and self._dialect.resync:
                self._broken = max(self._broken, left)
            came = Conversation(sent, received, in_words(self._dialect, talk.data[:sent], received))
            self._release()  # what comes late must not be taken for an answer
        except Disconnected as error:
            if self._dialect is not None and self._dialect.resync:
                self._broken = max(self._broken, missing(self.dialect, talk.data, whole=False))
            self._lost(error)
            came = error
        except RawprintError as error:
            came = error
        finally:
            _guarded(talk.callback, came)
        self._polling.soon()

    def _idle(self, flight: Flight) -> None:
        """Nothing to do: hear what comes unasked, and let go of the printer after a while."""
        try:
            flight.printer.listen()
            self._notice(flight.printer)
        except Disconnected as error:
            self._lost(error)
            if self._idle_release is None:
                self._polling.soon()
        else:
            now = time.monotonic()
            if now >= self._turn_ends:
                self._end_turn()
            elif self._idle_release is not None and now - self._used >= self._idle_release and not self._doubts:
                self._release()

    def _poll(self) -> None:
        """Nothing is printed: see how the printer is, for those who watch."""
        polling, shared, kept = self._polling, self._idle_release is not None, self._flight is not None
        mute = self.capabilities.is_mute(self._dialect)
        if mute and shared:
            polling.later()
            return
        try:
            flight = self._open()
            polling.later()
            if mute:
                flight.printer.listen()
                self._line(flight)
            else:
                self._look(flight.printer, _ASK_TIMEOUT, on_trial=polling.on_trial)
                if not shared and not polling.suspects:
                    with contextlib.suppress(NoReply):  # it takes no bytes now: at the next opportunity
                        flight.printer.push()
            self._back_to_normal()
        except Disconnected as error:
            self._lost(error)
            if kept:  # it may have died long ago: only a new connection can tell
                self._poll()
                return
            self._failed(error)
            self._back_off()
            polling.later(None if shared else self._retry_at)
        except (OpenError, AddressError):
            polling.later(None if shared else self._retry_at)
        except (NoReply, BadReply) as error:
            self._failed(error)
            polling.later()
            if shared and self._doubts:
                return  # it is let go when it was silent for long enough to prove something
            self._release()  # a new connection begins in step
        except Unsupported as error:
            self._failed(error)
        if shared:
            self._release()

    def _look(self, printer: Printer, timeout: float, *, on_trial: bool = False) -> PrinterStatus:
        """Ask the printer how it is, and pass that on; on trial, or under suspicion, see whether it moves its paper.

        Raises:
            Unsupported: It does, so it is not asked any more.
            NoReply, BadReply, Disconnected: As Printer.status.
        """
        polling = self._polling
        before = printer.check(timeout) if on_trial or polling.suspects else None
        status = printer.status(timeout)
        polling.heard(status)
        self._heard(status)
        if before is not None and polling.can_tell(before):
            try:
                printer.listen(FEED_SHOWS)
                after = printer.check(timeout)
            except (NoReply, BadReply, Disconnected):
                return status  # who asks next will find out
            if polling.judge(status, after):
                self.capabilities.learn_feeds()
                printer.reported = None  # that paper moved was our own doing
                raise _feeds()
        return status

    def _watch(self, flight: Flight) -> None:
        """All bytes of some jobs are given, or a job waits for a stopped printer: see how things stand."""
        printer = flight.printer
        try:
            printer.listen()
            self._notice(printer)
            if not self._acknowledged(flight):
                return
            if self.capabilities.is_mute(self._dialect):
                self._judge_by_connection(flight)
                return
            now = time.monotonic()
            # Of a connection on which nothing was heard yet it may be another computer's turn: no need to ask twice.
            waits = self._silent_since is not None or printer.reported is None
            if printer.unanswered and waits and now - self._asked_at < _REASK:
                self._silence(flight)
                return
            self._asked_at = now
            if (fence := self._fence) is not None:
                flight.fence(fence)
            status = self._look(printer, _ASK_TIMEOUT)
        except Disconnected as error:
            if self._lost(error):
                self._back_off()
        except Unsupported as error:
            self._failed(error)
            self._judge_by_connection(flight)
        except (NoReply, BadReply):
            self._silence(flight)
        else:
            self._silent_since = None
            self._judge(flight, status)
            if self._polling.suspects:
                self._watch_at = max(self._watch_at, time.monotonic() + FEED_ENDS)

    @property
    def _fence(self) -> Query | None:
        """The question that the printer is known to answer when printing has come to it."""
        fence = self._dialect.fences[0] if self._dialect is not None and self._dialect.fences else None
        return fence if fence is not None and self.capabilities.knows(fence.name) else None

    def _acknowledged(self, flight: Flight) -> bool:
        """Whether the far side has taken all; if not, when to look again, and whether that is a stop."""
        all_taken = not flight.printer.unacknowledged()  # before the count, which may come to know of more
        if moved := flight.count():
            self._ack_pause = _ACK_FIRST
            flows = flight.flowing
            for job in moved:
                if job.state is not JobState.STOPPED or not flows:
                    self._tell(job)
            for job in flight.awaiting if flows else ():
                if job.state is JobState.STOPPED:
                    self._go_on(job)
        if all_taken:
            return True
        if flight.stalled:
            for job in flight.awaiting:
                if not job.taken:
                    self._stop(job, flight.news(job) or self._line(flight))
        self._watch_at = time.monotonic() + self._ack_pause
        self._ack_pause = min(self._ack_pause * 2, _ACK_LAST)
        return False

    def _judge(self, flight: Flight, status: PrinterStatus) -> None:
        """What an answer means for the jobs that await their end."""
        if status.state is PrinterState.STOPPED:
            flight.unhealthy()
            for job in flight.awaiting:
                self._stop(job, status)
            self._hold(flight)
            return
        self._watch_at = time.monotonic() + _WATCH
        for job in flight.awaiting:
            if job.state is JobState.STOPPED:
                self._go_on(job)
        if (fence := self._fence) is not None:
            if printed := flight.printed():
                self.capabilities.learn(fence.name, answered=True)
                self._deliver(printed, flight, fence.name, state=JobState.COMPLETED)
                return
            if not flight.fenced or time.monotonic() - flight.fenced_at < SILENCE:
                return
            self.capabilities.missed(fence.name)  # and these end as they do where there is none
            flight.fenced = []
        evidence = ("status",) if status.state is PrinterState.IDLE else ()
        settled = flight.judge(status)
        counters = self._dialect.counters if self._dialect is not None and status.processing is False else ""
        counted = [job for job in settled if counters and job._at_work]
        self._deliver([job for job in settled if job not in counted], flight, *evidence)
        self._deliver(counted, flight, *evidence, counters, state=JobState.COMPLETED)

    def _judge_by_connection(self, flight: Flight) -> None:
        """The printer cannot be asked: if the connection holds a while after the last byte, it took them."""
        said = flight.printer.reported if flight.held else self._line(flight)
        if said is not None and said.state is PrinterState.STOPPED:  # but it has said unasked that it is stopped
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            if now - self._silent_since < SILENCE:
                for job in flight.awaiting:
                    self._stop(job, said)
                self._hold(flight)
                return
            flight.printer.reported = self.last_status = None
        self._silent_since = None
        done, self._watch_at = flight.outlasted()
        self._deliver(done, flight)

    def _silence(self, flight: Flight) -> None:
        """The printer did not answer, or not in a way that can be trusted."""
        now = time.monotonic()
        if not self.capabilities.has_answered(self._dialect):
            self._judge_by_connection(flight)
            return
        if self._silent_since is None:
            self._silent_since = self._asked_at
        self._watch_at = now + _WATCH
        flight.unhealthy()
        if now - self._silent_since >= SILENCE:
            flight.printer.reported = None  # what it said so long ago holds nothing up
            self._failed(NoReply(f"the printer has not answered for {SILENCE:g} s"))
            self._deliver(flight.awaiting, flight)
            return
        for job in flight.awaiting:
            if job.state is not JobState.STOPPED and now - self._silent_since >= _ASK_TIMEOUT:
                self._stop(job, self._line(flight))

    def _deliver(self, jobs: list[Job], flight: Flight, *evidence: str, state: JobState = JobState.DELIVERED) -> None:
        flight.end(jobs)
        for job in jobs:
            self._delivered(job, flight, *evidence, state=state)
        if jobs:
            self._used = time.monotonic()


def _frozen(data: bytes | bytearray | memoryview) -> bytes | memoryview:
    """The same bytes, which nobody can change: copied only where somebody could, or where they are not in one row."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, memoryview) and isinstance(data.obj, bytes):
        in_one_row = data.c_contiguous and data.nbytes == len(data)
        return data if in_one_row else bytes(data)
    return bytes(data)


def _feeds() -> Unsupported:
    return Unsupported(
        "the printer feeds paper when it is asked how it is, so it is not asked any more",
        hint="Its state stays unknown; it prints all the same.",
    )


def _guarded(callback: Callable[..., None], *arguments: object) -> None:
    """Call somebody else's code: what it raises must not end the queue."""
    try:
        callback(*arguments)
    except Exception:  # noqa: BLE001
        _report()


def _kept(error: RawprintError) -> RawprintError:
    """An error that a job keeps: without the tracebacks, whose frames would keep the job's bytes."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _report() -> None:
    """Show the exception that is being handled, as an exception of a thread is shown."""
    with contextlib.suppress(Exception):
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
