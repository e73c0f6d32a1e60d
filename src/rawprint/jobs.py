"""Jobs, and the queue that prints them: one thread that owns one printer and keeps the order."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, Self

from rawprint import address as addresses
from rawprint.capabilities import Capabilities
from rawprint.errors import (
    AccessDenied,
    AmbiguousAddress,
    BackendMissing,
    BadReply,
    Disconnected,
    JobCanceled,
    NoReply,
    OpenError,
    RawprintError,
)
from rawprint.printer import open as open_printer
from rawprint.printer import resolve_dialect
from rawprint.status import PrinterState, PrinterStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rawprint.dialects import Decoded, Dialect
    from rawprint.printer import Printer
    from rawprint.status import Reason
    from rawprint.transports import Transport

# No byte taken for so long: the job is `stopped`. A printer that works takes some all the time.
STALL = 1.0
# After the last byte the printer is asked until it was found healthy and idle so often, over at least so long: right
# after the data it may not have begun yet, and a small ticket fits into its buffer whole.
SETTLED_ANSWERS = 3
SETTLED_TIME = 0.5
# A printer that has answered before and is silent now may be stuck or may have been told not to answer (`ESC !D`).
# After so long its jobs end as `delivered`: it took every byte and does not report more.
SILENCE = 30.0

_WATCH_FIRST = 0.05  # a next job that follows at once is not kept waiting by a question
_WATCH = 0.25
_WATCH_STOPPED = 0.5
_ASK_TIMEOUT = 1.5
# A new connection may be one that the printer's card is about to reset, because it serves another computer; its kernel
# acknowledges bytes all the same. Only an answer shows that it is served, and it comes within 300 ms from a TSC.
_CHECK_TIMEOUT = 0.5
_REASK = 5.0
_ACK_FIRST, _ACK_LAST = 0.001, 0.05
_ACK_WAIT = 0.25  # hosts may delay an acknowledgement by 200 ms
_LISTEN = 0.5
_RETRY_FIRST, _RETRY_LAST = 0.1, 5.0
_PROGRESS_EVERY = 0.1
_OPEN_TIMEOUT = 5.0

# Time does not cure these.
_PERMANENT = (BackendMissing, AccessDenied, AmbiguousAddress)


class JobState(StrEnum):
    """Where a job stands. The last six are ends."""

    PENDING = "pending"
    PROCESSING = "processing"
    STOPPED = "stopped"
    COMPLETED = "completed"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in _OPEN_STATES


_OPEN_STATES = (JobState.PENDING, JobState.PROCESSING, JobState.STOPPED)


class Job:
    """Bytes that are printed as one unit. Made by `PrintQueue.submit`; may be read from any thread.

    Attributes:
        id: The caller's own name for it, or one made up.
        state: See JobState.
        bytes_total: Its length.
        bytes_accepted: How many of its bytes the far side has taken: over TCP what the printer's host has
            acknowledged (Linux; elsewhere what the connection was given).
        evidence: What its end rests on: "acknowledged" or "handed-over" (what `bytes_accepted` counts), "status" (after
            the last byte the printer said that it is idle and nothing is wrong).
        reasons: What the printer said while the job waits or is stopped; may be empty.
        error: Why it is not printed yet, or what ended it.
    """

    def __init__(self, queue: PrintQueue, id: str, data: bytes) -> None:
        self.id = id
        self.state = JobState.PENDING
        self.bytes_total = len(data)
        self.bytes_accepted = 0
        self.evidence: tuple[str, ...] = ()
        self.reasons: Mapping[Reason, bool] = {}
        self.error: RawprintError | None = None
        self._queue = queue
        self._data = data
        self._cancel = False
        self._start = 0  # where it begins in the bytes of its connection
        self._written = 0
        self._before: PrinterStatus | None = None  # what the printer had reported when it began
        self._given_at = 0.0  # when its last byte was given
        self._healthy = 0  # how often in a row the printer was found healthy and idle after that
        self._healthy_since = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state.ended

    @property
    def taken(self) -> bool:
        """Whether the far side has taken every byte."""
        return self.bytes_accepted == self.bytes_total and self.state is not JobState.PENDING

    def wait(self, timeout: float | None = None, *, until: Literal["ended", "taken"] = "ended") -> bool:
        """Wait until the job has ended, or until every byte was taken (or it ended without that).

        Args:
            timeout: Seconds; None waits without end.
            until: What to wait for.

        Returns:
            Whether it came to that in time.
        """

        def done() -> bool:
            return self.ended or (until == "taken" and self.taken)

        with self._queue._changed:
            return self._queue._changed.wait_for(done, timeout)

    def cancel(self) -> bool:
        """Ask that it be not printed, or not to its end; False where it is too late.

        A pending job is never printed. One that is being printed stops within a quarter of a second, and
        `error.written` says how far it came.
        """
        if self.ended or self._written == self.bytes_total > 0:
            return False
        self._cancel = True
        self._queue._commands.put(None)
        return True

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state} {self.bytes_accepted}/{self.bytes_total}>"


_Answer = PrinterStatus | RawprintError


class _Ask:
    """A question from another thread."""

    def __init__(self, callback: Callable[[_Answer], None], timeout: float) -> None:
        self.callback = callback
        self.timeout = timeout


class PrintQueue:
    """Prints jobs on one printer, in order, from a thread of its own, and nobody else touches that printer.

    The printer is opened when there is something to do, tried again with growing pauses while it cannot be, and let
    go when idle, so that other computers can print. A job that had not begun when a connection ended is printed on the
    next one; of which nothing arrived, too; one that was interrupted ends `uncertain` and is not repeated.

    Attributes:
        address: As given, in its canonical form.
        last_status: The newest that the printer reported; None before that, and after its connection failed.
    """

    def __init__(
        self,
        address: str,
        dialect: str | Dialect | None = None,
        *,
        on_job: Callable[[Job], None] | None = None,
        on_status: Callable[[PrinterStatus], None] | None = None,
        capabilities: Capabilities | None = None,
        idle_release: float = 2.5,
        idle_check: float = 5.0,
        wrap: Callable[[Transport], Transport] | None = None,
        observer: Callable[[Decoded | BadReply], None] | None = None,
    ) -> None:
        """Describe the queue; nothing is opened yet.

        Args:
            address: The printer's.
            dialect: Its language. Without it jobs print, and nothing is known of the printer's state.
            on_job: Called when a job changes (from the queue's thread; once from `submit`'s for a new one).
            on_status: Called when the printer reports. Neither may block; an exception goes to threading.excepthook.
            capabilities: What is known of the printer; kept up to date.
            idle_release: Seconds after which an idle connection is closed.
            idle_check: An idle connection older than this, seconds, is checked before a job's first byte.
            wrap: Puts something around each transport, such as a recorder.
            observer: Called with every decoded reply and push, and with every BadReply.

        Raises:
            AddressError: The address or the language is none.
        """
        parsed = addresses.parse(address)
        self.address = str(parsed)
        self._dialect = resolve_dialect(parsed, dialect)
        self.last_status: PrinterStatus | None = None
        self.capabilities = capabilities if capabilities is not None else Capabilities()
        self._on_job = on_job
        self._on_status = on_status
        self._idle_release = idle_release
        self._idle_check = idle_check
        self._wrap = wrap
        self._observer = observer

        self._commands: SimpleQueue[Job | _Ask | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._close_by: float | None = None

        # All below belongs to the queue's thread.
        self._printer: Printer | None = None
        self._pending: deque[Job] = deque()
        self._asks: deque[_Ask] = deque()
        self._printing: Job | None = None
        self._awaiting: list[Job] = []  # every byte given, the end not known yet
        self._used = 0.0  # when the connection last carried something
        self._retry_at = 0.0
        self._retry_pause = _RETRY_FIRST
        self._watch_at = 0.0
        self._silent_since: float | None = None
        self._asked_at = 0.0
        self._ack_pause = _ACK_FIRST
        self._ack_moved = 0.0

    # -- what others call ----------------------------------------------------------------------------------------

    @property
    def dialect(self) -> str | None:
        """The name of the printer's language."""
        return self._dialect.name if self._dialect else None

    @property
    def pending(self) -> int:
        """Jobs that have not begun."""
        return len(self._pending) + self._commands.qsize()

    @property
    def busy(self) -> bool:
        """Whether a job is being printed, is stopped, or awaits its end."""
        return self._printing is not None or bool(self._awaiting)

    def submit(self, data: bytes, *, id: str | None = None) -> Job:
        """Queue bytes; returns at once with a pending job.

        Args:
            data: As the printer shall get them, at least one byte.
            id: The caller's own name for the job.

        Raises:
            ValueError: No data.
            JobCanceled: The queue is closed.
        """
        if not data:
            raise ValueError("a job needs at least one byte")
        job = Job(self, id or os.urandom(8).hex(), bytes(data))
        self._tell(job)
        self._post(job)
        return job

    def ask(self, callback: Callable[[_Answer], None], timeout: float = 3.0) -> None:
        """Ask the printer how it is, without waiting: the callback gets the status, or the error, from the queue's thread.

        The question goes out between jobs. While a job goes out, the last known status is the answer.
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

    def close(self, timeout: float = 5.0) -> None:
        """End the queue. Pending jobs are canceled; the job in print may finish within `timeout` seconds.

        What is then still unfinished ends `uncertain`.
        """
        atexit.unregister(self.close)
        with self._changed:
            if self._close_by is None:
                self._close_by = time.monotonic() + timeout
            thread = self._thread
        if thread is not None:
            self._commands.put(None)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, command: Job | _Ask) -> None:
        with self._changed:
            if self._close_by is not None:
                raise JobCanceled("the queue is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"rawprint {self.address}", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._commands.put(command)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                self._receive(self._pause())
                self._work()
        finally:
            with self._changed:
                self._close_by = self._close_by or time.monotonic()
            self._release()
            self._end_all()

    def _finished(self) -> bool:
        if self._close_by is None:
            return False
        return not self._awaiting or time.monotonic() >= self._close_by

    def _receive(self, timeout: float | None) -> None:
        """Take in what other threads asked for; waits until there is something, or until it is time to work."""
        try:
            command = self._commands.get(timeout=timeout) if timeout != 0 else self._commands.get_nowait()
            while True:
                if isinstance(command, Job):
                    self._pending.append(command)
                elif command is not None:
                    self._asks.append(command)
                command = self._commands.get_nowait()
        except Empty:
            pass

    def _pause(self) -> float | None:
        """Seconds until there is something to do by itself; None: nothing."""
        due = []
        if self._asks:
            return 0.0
        if self._pending:
            due.append(self._watch_at if self._held() else self._retry_at)
        if self._awaiting:
            due.append(self._watch_at)
        elif self._printer is not None:
            due.append(min(self._used + self._idle_release, time.monotonic() + _LISTEN))
        if self._close_by is not None:
            due.append(self._close_by)
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _work(self) -> None:
        now = time.monotonic()
        self._drop_canceled()
        while self._asks:
            self._answer(self._asks.popleft())
        due = self._awaiting and now >= self._watch_at  # one question in a quarter of a second costs no throughput
        if self._pending and not self._held() and not due:
            if now >= self._retry_at:
                self._print(self._pending.popleft())
        elif (self._awaiting or self._pending) and now >= self._watch_at:
            self._watch()
        elif self._printer is not None and not self._awaiting:
            self._idle()

    def _held(self) -> bool:
        """Whether the printer has said on this connection that it is stopped: then no job is begun."""
        return (
            self._printer is not None
            and self._printer.reported is not None
            and self._printer.reported.state is PrinterState.STOPPED
        )

    def _drop_canceled(self) -> None:
        for job in [j for j in self._pending if j._cancel or self._close_by is not None]:
            self._pending.remove(job)
            self._never_begun(job, "canceled before its first byte")

    # -- the connection ------------------------------------------------------------------------------------------

    def _open(self, timeout: float = _OPEN_TIMEOUT) -> Printer:
        """The printer, opened if it is not open.

        Raises:
            OpenError: It cannot be opened now; when to try again is noted.
        """
        if self._printer is None:
            try:
                self._printer = open_printer(
                    self.address,
                    self._dialect,
                    timeout=timeout,
                    capabilities=self.capabilities,
                    wrap=self._wrap,
                    observer=self._observer,
                )
            except OpenError:
                self.last_status = None
                self._back_off()
                raise
            self._used = time.monotonic()
        return self._printer

    def _back_off(self) -> None:
        import random  # noqa: PLC0415  (5 ms that only a failure costs)

        self._retry_at = time.monotonic() + self._retry_pause * random.uniform(0.75, 1.25)  # noqa: S311
        self._retry_pause = min(self._retry_pause * 2, _RETRY_LAST)

    def _release(self) -> None:
        """Close the connection in peace. What the far side has taken whole is delivered: it can report no more."""
        printer, self._printer = self._printer, None
        if printer is None:
            return
        self._count(printer)
        printer.close()
        jobs = self._take_awaiting()
        if self._printing is not None:
            jobs.append(self._printing)
            self._printing = None
        for job in jobs:
            if job.taken and job.state is not JobState.STOPPED:
                self._end(job, JobState.DELIVERED, printer)
            else:
                job.error = Disconnected(
                    "the connection was closed before the printer had finished",
                    hint="look whether it came out before you print it again",
                )
                self._set(job, JobState.UNCERTAIN)

    def _lost(self, error: Disconnected) -> None:
        """The connection ended by itself: decide for each job of it what that means.

        Nothing of it arrived: it is printed again. Something may have: uncertain.
        """
        printer, self._printer = self._printer, None
        self.last_status = None
        if printer is None:
            return
        self._count(printer)
        printer.close()
        jobs = self._take_awaiting()
        if self._printing is not None:
            jobs.append(self._printing)
            self._printing = None
        again = []
        for job in jobs:
            job.error = error
            if job._written == 0 or (job.bytes_accepted == 0 and not error.lost):
                job._written = job.bytes_accepted = 0
                self._set(job, JobState.PENDING)
                again.append(job)
            else:
                self._set(job, JobState.UNCERTAIN)
        self._pending.extendleft(reversed(again))
        if again:
            self._back_off()

    def _count(self, printer: Printer) -> bool:
        """Bring `bytes_accepted` of every job of this connection up to date; whether any has moved."""
        confirmed = printer.sent - printer.unacknowledged()
        moved = False
        if self._printing is not None:  # the printer's own count: an error may come before the job hears of its bytes
            given = printer.sent - self._printing._start
            self._printing._written = min(given, self._printing.bytes_total)
        for job in (*self._awaiting, self._printing) if self._printing else self._awaiting:
            accepted = min(max(confirmed - job._start, 0), job._written)
            if accepted != job.bytes_accepted:
                job.bytes_accepted = accepted
                moved = True
        return moved

    def _fit_for_job(self) -> Printer:
        """An open printer to which a job's first byte may go.

        A printer drops idle connections, some with RST, some without a word: one that was idle is checked.

        Raises:
            OpenError: It cannot be opened now.
            Disconnected: It could, and the connection ended before the first byte.
        """
        printer = self._printer
        if printer is not None:
            printer.listen()
            if time.monotonic() - self._used <= self._idle_check or self._awaiting:
                return printer
            if not self.capabilities.is_mute(self._dialect) and self._checked(printer):
                return printer
            self._release()
        printer = self._open()
        if not self.capabilities.is_mute(self._dialect):
            self._checked(printer)
        return printer

    def _checked(self, printer: Printer) -> bool:
        """Whether the printer answers on this connection; if it is stopped, that is then known.

        Raises:
            Disconnected: It is not served.
        """
        try:
            status = printer.check(_CHECK_TIMEOUT)
            if status.state is PrinterState.STOPPED:
                self._heard(printer.status(_ASK_TIMEOUT))
        except (NoReply, BadReply):
            return False
        return True

    # -- one job -------------------------------------------------------------------------------------------------

    def _print(self, job: Job) -> None:
        try:
            printer = self._fit_for_job()
        except OpenError as error:
            job.error = error
            if isinstance(error, _PERMANENT):
                self._set(job, JobState.FAILED)
            else:
                self._pending.appendleft(job)
                self._tell(job)
            return
        except Disconnected as error:
            self._lost(error)
            job.error = error
            self._pending.appendleft(job)
            self._back_off()
            self._tell(job)
            return
        if self._held():
            self._pending.appendleft(job)
            self._hold(job)
            return
        self._printing = job
        job._start = printer.sent
        job.error = None
        job.reasons = {}
        job.state = JobState.PROCESSING
        try:
            printer.print(job._data, progress=_Progress(self, job, printer))
        except JobCanceled as error:
            self._canceled(job, error)
        except Disconnected as error:
            self._lost(error)
        else:
            self._all_given(job)

    def _all_given(self, job: Job) -> None:
        self._printing = None
        self._awaiting.append(job)
        self._used = job._given_at = time.monotonic()
        self._retry_pause = _RETRY_FIRST
        self._silent_since = None
        self._ack_pause, self._ack_moved = _ACK_FIRST, self._used
        if len(self._awaiting) == 1:
            self._watch_at = self._used + _WATCH_FIRST
        self._tell(job)

    def _canceled(self, job: Job, error: JobCanceled) -> None:
        self._printing = None
        if self._printer is not None:
            confirmed = self._printer.sent - self._printer.unacknowledged()
            job.bytes_accepted = min(max(confirmed - job._start, 0), job._written)
        job.error = error
        job.reasons = {}
        self._set(job, JobState.UNCERTAIN if self._close_by is not None else JobState.CANCELED)
        # The printer holds half a job. The next one at least begins on a connection of its own.
        self._release()

    def _step(self, job: Job, printer: Printer, *, stalled: bool) -> None:
        """Between two writes of a job: what others asked for, and what the printer said meanwhile."""
        self._receive(0)
        while self._asks and job._written < job.bytes_total:  # after the last byte the printer itself can be asked
            self._reply(self._asks.popleft(), self.last_status or PrinterStatus())
        out_of_time = self._close_by is not None and time.monotonic() >= self._close_by
        if (job._cancel or out_of_time) and job._written < job.bytes_total:
            raise JobCanceled("canceled in the middle of the job", written=job._written)
        self._notice(printer)
        said = _news(printer, job)
        if said is not None and said.state is PrinterState.STOPPED:
            self._stop(job, said)
        elif stalled:
            self._stop(job, None)
        elif job.state is JobState.STOPPED:
            self._go_on(job)

    # -- states --------------------------------------------------------------------------------------------------

    def _stop(self, job: Job, said: PrinterStatus | None) -> None:
        if self._printer is not None:
            self._count(self._printer)
        reasons = dict.fromkeys(said.stop_reasons, True) if said else {}
        if job.state is not JobState.STOPPED or job.reasons != reasons:
            job.reasons = reasons
            self._set(job, JobState.STOPPED)

    def _go_on(self, job: Job) -> None:
        job.reasons = {}
        self._set(job, JobState.PROCESSING)

    def _hold(self, job: Job) -> None:
        """The printer is stopped before the job began: it waits, and says why."""
        self._watch_at = time.monotonic() + _WATCH_STOPPED
        if self._printer is not None and self._printer.reported is not None:
            reasons = dict.fromkeys(self._printer.reported.stop_reasons, True)
            if job.reasons != reasons:
                job.reasons = reasons
                self._tell(job)

    def _end(self, job: Job, state: JobState, printer: Printer, *evidence: str) -> None:
        job.evidence = (printer.transport.counts, *evidence)
        job.reasons = {}
        self._set(job, state)

    def _take_awaiting(self) -> list[Job]:
        jobs, self._awaiting = self._awaiting, []
        return jobs

    def _end_all(self) -> None:
        """The thread ends: nothing stays open."""
        self._receive(0)
        for job in self._pending:
            self._never_begun(job, "the queue was closed before its first byte")
        self._pending.clear()
        while self._asks:
            self._reply(self._asks.popleft(), JobCanceled("the queue is closed"))

    def _never_begun(self, job: Job, message: str) -> None:
        error = JobCanceled(message)
        error.__cause__ = job.error  # what it had waited for
        job.error = error
        self._set(job, JobState.CANCELED)

    def _set(self, job: Job, state: JobState) -> None:
        job.state = state
        if state.ended:
            job._data = b""  # others may keep the job for long
        self._tell(job)

    def _tell(self, job: Job) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._on_job is not None:
            _guarded(self._on_job, job)

    # -- what the printer says -----------------------------------------------------------------------------------

    def _notice(self, printer: Printer) -> None:
        """Pass on a push."""
        if printer.reported is not None and printer.reported is not self.last_status:
            self._heard(printer.reported)

    def _heard(self, status: PrinterStatus) -> None:
        self.last_status = status
        self._used = time.monotonic()
        if self._on_status is not None:
            _guarded(self._on_status, status)

    def _answer(self, ask: _Ask) -> None:
        """Ask the printer for somebody else, between jobs."""
        answer: _Answer
        kept = self._printer is not None
        try:
            printer = self._open(min(ask.timeout, _OPEN_TIMEOUT))
            if self._awaiting and not printer.wait_acknowledged(_ACK_WAIT):
                answer = self.last_status or PrinterStatus()  # it takes no bytes: a question would only wait behind
            else:
                answer = printer.status(ask.timeout)
                self._heard(answer)
        except Disconnected as error:
            self._lost(error)
            if kept:  # it may have died long ago: only a new connection can tell
                self._answer(ask)
                return
            answer = error
        except RawprintError as error:
            self.last_status = None
            answer = error
            if isinstance(error, (NoReply, BadReply)) and not self._awaiting:
                self._release()  # a new connection begins in step
        self._reply(ask, answer)

    def _reply(self, ask: _Ask, answer: _Answer) -> None:
        _guarded(ask.callback, answer)

    def _idle(self) -> None:
        """Nothing to do: hear what comes unasked, and let go of the printer after a while."""
        printer = self._printer
        if printer is None:
            return
        try:
            printer.listen()
            self._notice(printer)
        except Disconnected as error:
            self._lost(error)
        else:
            if time.monotonic() - self._used >= self._idle_release:
                self._release()

    def _watch(self) -> None:
        """All bytes of some jobs are given, or a job waits for a stopped printer: see how things stand."""
        printer = self._printer
        if printer is None:  # the printer was lost while a job waited for it: the job opens it again
            return
        try:
            printer.listen()
            self._notice(printer)
            if not self._acknowledged(printer):
                return
            now = time.monotonic()
            if self.capabilities.is_mute(self._dialect):
                self._deliver_unasked(printer)
                return
            if printer.unanswered and now - self._asked_at < _REASK and self._silent_since is not None:
                self._silence(printer)
                return
            self._asked_at = now
            status = printer.status(_ASK_TIMEOUT)
        except Disconnected as error:
            self._lost(error)
        except (NoReply, BadReply):
            self._silence(printer)
        else:
            self._silent_since = None
            self._heard(status)
            self._judge(printer, status)

    def _acknowledged(self, printer: Printer) -> bool:
        """Whether the far side has taken all; if not, when to look again, and whether that is a stop."""
        now = time.monotonic()
        if self._count(printer):
            self._ack_moved, self._ack_pause = now, _ACK_FIRST
            for job in self._awaiting:
                if job.state is JobState.STOPPED:
                    self._go_on(job)
                else:
                    self._tell(job)
        if not printer.unacknowledged():
            return True
        if now - self._ack_moved >= STALL:
            for job in self._awaiting:
                if not job.taken:
                    self._stop(job, _news(printer, job))
        self._watch_at = now + self._ack_pause
        self._ack_pause = min(self._ack_pause * 2, _ACK_LAST)
        return False

    def _judge(self, printer: Printer, status: PrinterStatus) -> None:
        """What an answer means for the jobs that await their end."""
        now = time.monotonic()
        self._watch_at = now + _WATCH
        if status.state is PrinterState.STOPPED:
            self._watch_at = now + _WATCH_STOPPED
            for job in self._awaiting:
                job._healthy = 0
                self._stop(job, status)
            if self._pending:
                self._hold(self._pending[0])
            return
        settled = []
        for job in self._awaiting:
            if job.state is JobState.STOPPED:
                self._go_on(job)
            if status.state is PrinterState.PROCESSING:
                job._healthy = 0
                continue
            job._healthy += 1
            if job._healthy == 1:
                job._healthy_since = now
            if job._healthy >= SETTLED_ANSWERS and now - job._healthy_since >= SETTLED_TIME:
                settled.append(job)
        self._deliver(settled, printer, *(("status",) if status.state is PrinterState.IDLE else ()))

    def _silence(self, printer: Printer) -> None:
        """The printer did not answer, or not in a way that can be trusted."""
        now = time.monotonic()
        if not self.capabilities.has_answered(self._dialect):
            self._deliver_unasked(printer)
            return
        if self._silent_since is None:
            self._silent_since = now
        self._watch_at = now + _WATCH_STOPPED
        if now - self._silent_since >= SILENCE:
            printer.reported = self.last_status = None  # what it said so long ago holds nothing up
            self._deliver(self._awaiting, printer)
            return
        for job in self._awaiting:
            job._healthy = 0
            if job.state is not JobState.STOPPED:
                self._stop(job, None)

    def _deliver_unasked(self, printer: Printer) -> None:
        """The printer can only be judged by its connection: if that holds a while after the last byte, it took them."""
        now = time.monotonic()
        self._deliver([job for job in self._awaiting if now - job._given_at >= SETTLED_TIME], printer)
        self._watch_at = self._awaiting[0]._given_at + SETTLED_TIME if self._awaiting else now

    def _deliver(self, jobs: list[Job], printer: Printer, *evidence: str) -> None:
        self._awaiting = [job for job in self._awaiting if job not in jobs]
        for job in jobs:
            self._end(job, JobState.DELIVERED, printer, *evidence)
        self._used = time.monotonic()


class _Progress:
    """What happens between the writes of one job."""

    def __init__(self, queue: PrintQueue, job: Job, printer: Printer) -> None:
        self._queue = queue
        self._job = job
        self._printer = printer
        self._moved = time.monotonic()
        self._told = 0.0
        job._before = printer.reported

    def __call__(self, written: int) -> None:
        job, now = self._job, time.monotonic()
        before = job._written
        job._written = written
        if written != before or self._queue._count(self._printer):
            self._moved = now
            if now - self._told >= _PROGRESS_EVERY:
                self._told = now
                self._queue._count(self._printer)
                self._queue._tell(job)
        self._queue._step(job, self._printer, stalled=now - self._moved >= STALL)


def _news(printer: Printer, job: Job) -> PrinterStatus | None:
    """What the printer has reported since the job began, if anything."""
    return printer.reported if printer.reported is not job._before else None


def _guarded(callback: Callable[..., None], *arguments: object) -> None:
    """Call somebody else's code: what it raises must not end the queue."""
    try:
        callback(*arguments)
    except Exception:  # noqa: BLE001
        import sys  # noqa: PLC0415

        with contextlib.suppress(Exception):
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
