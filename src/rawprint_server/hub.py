"""The printers' queues, the one state that all clients see, and the only bridge between threads and the event loop.

What queues tell comes over the bridge in order, and becomes the state here, on the loop; every change of the state is
told to those who subscribed. So a snapshot and the events after it fit together without a gap.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, dropwhile, islice, takewhile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from rawprint import (
    COPY_MARKS,
    DRAWER_PINS,
    AsideWatch,
    CableWatch,
    Capabilities,
    JobCanceled,
    JobState,
    NoReply,
    PrinterState,
    PrinterStatus,
    PrintQueue,
    RawprintError,
    Unsupported,
    __version__,
    discover,
    parse_address,
)
from rawprint_server import heap, messages
from rawprint_server.bodies import Bodies
from rawprint_server.config import REFUSED, LimitsConfig, PrinterConfig, seconds, shared
from rawprint_server.documents import paper
from rawprint_server.history import History
from rawprint_server.messages import (
    CapabilitiesView,
    ChangeView,
    Failure,
    FoundView,
    JobView,
    Media,
    PrinterView,
    ServerView,
    Snapshot,
    failure,
)
from rawprint_server.metrics import PrinterCounts
from rawprint_server.records import Records
from rawprint_server.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from rawprint import Conversation, Found, Job, Journal, JournalEntry, JournalError
    from rawprint.documents import Paper
    from rawprint_server.webhook import Webhook

log = logging.getLogger(__name__)

# How many ended jobs are remembered, the newest: those to which a client gave an id, and the others.
NAMED_JOBS = 20_000
MOST_TARGETS = 50  # printers that clients named by address
ENDED_JOBS = 1000
SNAPSHOT_JOBS = 100  # ended jobs in a snapshot
MAX_FOUND = 64  # printers without a name of which clients are told
_CABLES = frozenset({"usb", "lp", "serial"})
FAILURE_SECONDS = 0.5  # how long a failed question answers others, which would otherwise each wait for its time-out
SHARED_RELEASE = 1.0  # seconds after which the idle connection of a shared printer is closed
# Seconds between two questions to a watched printer that is this server's alone: a second is promised, the rest of it
# is for a busy machine. Many printers have to share what a machine can ask in a second.
LIVE_POLL = 0.5
LIVE_POLL_OF_MANY = 0.85
MANY = 100
ASIDE_POLL = 2.0  # seconds between two questions on another channel than the print connection
MOST_CONVERSATIONS = 8  # of people with one printer at a time
AGE_TOLD = 10.0  # seconds by which the last answer of a shared printer must have become younger to be news by itself

SETTLED = "settled"  # evidence: somebody has said what became of an uncertain job
LABELS = frozenset({"tspl", "zpl"})  # languages of label printers

_GOOD_ENDS = frozenset({JobState.COMPLETED, JobState.DELIVERED})
_NOTHING_PRINTED = frozenset({JobState.FAILED, JobState.CANCELED, JobState.EXPIRED})

_Answer: TypeAlias = PrinterStatus | RawprintError
Listener: TypeAlias = "Callable[[bytes], None]"


class UnknownPrinter(RawprintError):
    """No printer is configured under that name."""

    code = "unknown-printer"


class UnknownJob(RawprintError):
    """There never was a job with that id, or it ended too long ago."""

    code = "unknown-job"


class QueueFull(RawprintError):
    """Too much waits for the printer already."""

    code = "queue-full"


class IdConflict(RawprintError):
    """The id belongs to another job already."""

    code = "id-conflict"


class TooLate(RawprintError):
    """The job has ended, or all its bytes are with the printer."""

    code = "too-late"


class NoData(RawprintError):
    """The bytes of the job are kept no more."""

    code = "no-data"


class NotUncertain(RawprintError):
    """Only a job that ended `uncertain`, and that nobody has settled yet, can be settled."""

    code = "not-uncertain"


class _Printer:
    """One printer: its queue, and what is known of it."""

    def __init__(self, name: str, config: PrinterConfig, queue: PrintQueue, capabilities: Capabilities) -> None:
        self.name = name
        self.capabilities = capabilities  # of the printer that it is, or is about to be
        self.shown = self.learnt = _shown(capabilities)  # what clients see, and what is known
        self.config = config
        self.share = shared(config)
        self.address, self.dialect = queue.address, queue.dialect
        self.queue = queue
        self.asides: AsideWatch | None = None
        self.live: dict[str, _Known] = {}  # jobs that have not ended, in order
        self.waiting = 0  # their bytes that it has not taken
        self.paused = False  # no job of it is begun
        self.pending = 0  # how many of them have not begun
        self.stopped = 0  # how many of them are stopped
        self.words = Words()
        self.status: PrinterStatus | None = None  # what they say together
        self.passed: tuple[str, PrinterStatus] | None = None  # what the queue's thread passed on last, and its address
        self.heard: datetime | None = None
        self.error: RawprintError | None = None  # why nothing is known now
        self.since: datetime | None = None
        self.history = History()
        self.conversations = 0  # of people, that wait or are under way
        self.told: PrinterView | None = None  # what those who listen know; None: nothing
        self.asking: asyncio.Future[_Answer] | None = None  # a question that is under way
        self.failure: RawprintError | None = None  # why the last question was not answered
        self.failed_at = 0.0
        self.ended: Counter[str] = Counter()  # jobs, by how they ended
        self.bytes = 0  # that it has taken in jobs which ended

    def changed(self) -> None:
        """It stands otherwise than before."""
        now = self.view()
        self.history.add(ChangeView(self.since or datetime.now(UTC), now.state, now.reasons, now.error))

    def view(self) -> PrinterView:
        """What the wire shows of it."""
        status, config = self.status, self.config
        return PrinterView(
            name=self.name,
            address=self.address,
            dialect=self.dialect,
            state=PrinterState.UNKNOWN if status is None else status.state,
            reasons={} if status is None else {reason.value: true for reason, true in status.reasons.items()},
            at=self.heard,
            since=self.since,
            source=None if status is None else status.source,
            busy=len(self.live) > self.pending,
            pending=self.pending,
            paused=self.paused,
            share=self.share,
            drawer=bool(DRAWER_PINS.get(self.dialect or "")),
            encoding=config.encoding,
            media=Media(config.width_mm, config.height_mm, config.gap_mm, config.dpi, config.cut),
            capabilities=self.shown,
            error=None if self.error is None else failure(self.error),
        )


@dataclass(slots=True)
class _Known:
    """A job that is remembered."""

    printer: _Printer
    name: str | None
    named: bool  # whether the client gave the id
    created: datetime
    data: bytes | memoryview | None  # until the digest stands for it
    digest: bytes = b""
    prints: bool = True  # whether `data` is what it prints
    begun: bool = False  # whether the printer was given any of it
    job: Job | None = None  # until it has ended
    view: JobView = field(init=False)  # as last told
    passed: JobView | None = None  # what the queue's thread passed on last
    kept: asyncio.Future[None] | None = None  # until it is in the journal
    notes: tuple[str, ...] = ()  # of the documents that it was made from
    by: str | None = None  # who asked for it
    waiters: dict[asyncio.Future[JobView], bool] = field(default_factory=dict)  # -> until its end

    def is_of(self, printer: _Printer, data: bytes | memoryview) -> bool:
        """Whether it is that very job."""
        if self.printer.name != printer.name:
            return False
        return self.data == data if self.data is not None else self.digest == hashlib.sha256(data).digest()

    def look(self, job: Job) -> JobView:
        """What the wire shows of the job as it stands now; any thread may ask."""
        ended = job.state.ended
        return JobView(
            id=job.id,
            printer=self.printer.name,
            name=self.name,
            state=job.state,
            bytes_total=job.bytes_total,
            bytes_accepted=job.bytes_accepted,
            evidence=job.evidence,
            reasons={reason.value: true for reason, true in job.reasons.items()},
            error=None if job.error is None else failure(job.error),
            created=self.created,
            ended=datetime.now(UTC) if ended else None,
            notes=self.notes,
            by=self.by,
        )


class Hub:
    """All printers of the server, by name. Lives on one event loop and is used from it alone.

    Nothing is opened before a printer is needed, or somebody watches.

    Args:
        printers: Their configurations.
        max_message_bytes: Told to clients.
        limits: What may wait for a printer.
        records: What is known of printers from before; what they show is put there.
        journal: Keeps the jobs over a crash; see `recover`.
        keep_data: For how long the bytes of ended jobs are kept where there is no journal, seconds.
        is_target: Whether a name that is none is an address to which clients may print; see `target`.

    Raises:
        AddressError: A printer's address is none.
    """

    def __init__(
        self,
        printers: Mapping[str, PrinterConfig],
        *,
        max_message_bytes: int = 0,
        limits: LimitsConfig = LimitsConfig(),  # noqa: B008 - frozen
        records: Records | None = None,
        journal: Journal | None = None,
        keep_data: float = 3600.0,
        is_target: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._records = records or Records(None)
        self._journal = journal
        self._bodies = Bodies(keep_data)
        self.max_message_bytes = max_message_bytes
        self.limits = limits
        self._is_target = is_target
        self.webhook: Webhook | None = None  # hears how printers stand
        self._targets: dict[str, PrinterConfig] = {}  # the one used last, last
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._memory = os.urandom(8).hex()
        self._started = datetime.now(UTC)
        self._stopping = False
        self._pending = 0  # jobs that have not begun, of all printers
        self._known: dict[str, _Known] = {}
        self._ended: dict[bool, deque[str]] = {True: deque(), False: deque()}  # named or not -> ids
        self._listeners: dict[Listener, tuple[frozenset[str] | None, bool]] = {}  # and what it may hear of
        self._leaving: set[_Printer] = set()  # no longer configured, and not through with their jobs
        self._background: set[asyncio.Task[None]] = set()
        self._trim: asyncio.TimerHandle | None = None
        self._cables: CableWatch | None = None
        self._plugged: tuple[Found, ...] = ()
        self._unnamed: list[FoundView] = []  # of those
        self._configured = printers
        self._printers = {name: self._new_printer(name, config) for name, config in printers.items()}

    # -- jobs ----------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The printers' names in the order of the configuration."""
        return list(self._printers)

    def encoding(self, name: str) -> str | None:
        """The encoding of plain text that the configuration names for the printer.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        return self._printer(name).config.encoding

    def language(self, name: str) -> str | None:
        """The dialect of the printer; None: it has none, or there is no such printer."""
        printer = self._printers.get(name)
        return None if printer is None else printer.dialect

    def refuses(self, name: str) -> tuple[str, ...]:
        """The kinds of commands that pages may not send there."""
        printer = self._printers.get(name)
        return REFUSED if printer is None else printer.config.refuse

    def paper(self, name: str) -> Paper:
        """What documents are printed on there.

        Raises:
            UnknownPrinter: There is no such printer.
            DocumentError, Unsupported: No documents can be made for it.
        """
        printer = self._printer(name)
        return paper(printer.config, printer.dialect)

    def pages(self, id: str) -> list[str]:
        """The ids of the pages, but the last, of a print of documents, as far as they are remembered."""
        return list(takewhile(self._known.__contains__, (f"{id}/{number}" for number in count(1))))

    @staticmethod
    def id_conflict(id: str) -> IdConflict:
        """The error where an id means another job."""
        return IdConflict(
            f"the id {id!r} belongs to another job",
            hint="Make a new id for every job, and repeat it only with the same data.",
        )

    def submit(
        self,
        name: str,
        data: bytes | memoryview,
        id: str | None = None,
        *,
        job_name: str | None = None,
        expires: float | None = None,
        priority: int = 50,
        notes: tuple[str, ...] = (),
        by: str | None = None,
    ) -> JobView:
        """Takes a job; never blocks. Where there is a journal it is not acknowledged before `kept`.

        Args:
            name: The printer.
            data: Its bytes; a memoryview of bytes that nobody changes is not copied.
            id: The client's own name for the job. The same id with the same bytes for the same printer is the same
                job, which is returned as it stands and not printed again; unless nothing of it was printed and it
                ended `failed`, `canceled` or `expired`: then it is tried anew.
            job_name: What people call it.
            expires: Seconds; a job that has not begun by then is not printed. None: what the configuration says of the printer.
            priority: From 1 to 100; a higher one goes before the lower ones that wait.
            notes: What a person should know of the documents that it was made from.
            by: Who asked for it.

        Raises:
            UnknownPrinter: There is no such printer.
            IdConflict: The id means another job.
            QueueFull: Too much waits for this printer.
            JobCanceled: The server is ending.
        """
        printer = self._printer(name)
        if expires is None:
            expires = seconds(printer.config.expires)

        def submit(known: _Known, key: str) -> Job:
            if self._journal is None:
                return printer.queue.submit(data, id=key, expires=expires, priority=priority)
            known.kept = self._loop.create_future()
            return printer.queue.submit(
                data,
                id=key,
                expires=expires,
                priority=priority,
                job_name=job_name,
                kept=lambda error: self._post(self._kept, known, error),
            )

        view = self._take(printer, data, id, job_name, submit, notes=notes, by=by)
        self._schedule_stand_in(self._known[view.id])
        return view

    def _schedule_stand_in(self, known: _Known) -> None:
        """A job that has not begun after some time goes to another printer, where the configuration names one."""
        config = known.printer.config
        if config.stand_in is not None and known.job is not None and known.view.state == JobState.PENDING:
            self._loop.call_later(seconds(config.stand_in_after) or 0.0, self._to_stand_in, known)

    def _to_stand_in(self, known: _Known) -> None:
        printer, job = known.printer, known.job
        other = self._printers.get(printer.config.stand_in or "")
        if job is None or known.view.state != JobState.PENDING or other is None or other is printer or self._stopping:
            return
        if other.dialect != printer.dialect or other.pending >= self.limits.queue_jobs:
            return
        with suppress(JobCanceled):  # the queue has been closed
            printer.queue.withdraw(job, lambda there: self._post(self._withdrawn, known, other, there))

    def _withdrawn(self, known: _Known, other: _Printer, there: bool) -> None:
        """The job's printer gave it up, or has begun it."""
        printer, job = known.printer, known.job
        if not there or job is None:
            return
        del printer.live[job.id]
        printer.waiting -= job.bytes_total
        printer.pending -= 1
        other.live[job.id] = known
        other.waiting += job.bytes_total
        other.pending += 1
        known.printer, known.passed = other, None
        log.warning("it waited too long for %s: %s prints it", printer.name, other.name, extra={"job": job.id})
        with suppress(JobCanceled):  # the next process prints it
            other.queue.adopt(job)
        known.view = msgspec.structs.replace(known.view, printer=other.name, error=None, reasons={})
        self._tell(messages.JobEvent(known.view))
        self._refresh(printer)
        self._refresh(other)
        self._end_if_left(printer)

    def _kept(self, known: _Known, error: JournalError | None) -> None:
        """The journal has the job, or could not take it."""
        kept, known.kept = known.kept, None
        if kept is not None and not kept.done():
            if error is None:
                kept.set_result(None)
            else:
                kept.set_exception(error)
                kept.exception()  # perhaps nobody waits for it

    def kept(self, id: str) -> asyncio.Future[None] | None:
        """What to wait for before the job is acknowledged; None: nothing. It raises JournalError where the job is not kept."""
        known = self._known.get(id)
        return None if known is None else known.kept

    def open_drawer(self, name: str, pin: int = 2, id: str | None = None, *, by: str | None = None) -> JobView:
        """Opens the cash drawer, soon or not at all; see `PrintQueue.open_drawer`.

        Raises:
            Unsupported: The printer's language has no drawer, or not that pin.
            UnknownPrinter, IdConflict, QueueFull, JobCanceled: As `submit`.
        """
        printer = self._printer(name)
        return self._take(
            printer,
            b"\0drawer %d" % pin,
            id,
            "drawer",
            lambda _, key: printer.queue.open_drawer(pin, id=key),
            by=by,
            prints=False,
        )

    def _take(
        self,
        printer: _Printer,
        data: bytes | memoryview,
        id: str | None,
        name: str | None,
        submit: Callable[[_Known, str], Job],
        *,
        notes: tuple[str, ...] = (),
        by: str | None = None,
        prints: bool = True,
    ) -> JobView:
        again = self._find(id) if id is not None else None
        if again is not None:
            if not again.is_of(printer, data):
                raise self.id_conflict(again.view.id)
            if again.view.state not in _NOTHING_PRINTED or again.begun:
                return again.view
        if self._stopping:
            raise JobCanceled("the server is ending", hint="Send the job again in a moment.")
        if printer.pending >= self.limits.queue_jobs or printer.waiting + len(data) > self.limits.queue_bytes:
            raise QueueFull(
                f"{printer.pending} jobs with {printer.waiting} bytes wait for {printer.name} already",
                hint="See why it does not print, then send the job again.",
            )
        kept = id is not None or (self._journal is None and prints)
        known = _Known(printer, name, id is not None, datetime.now(UTC), data if kept else None)
        known.notes, known.by, known.prints = notes, by, prints
        key = id or os.urandom(8).hex()
        printer.live[key] = known  # before the printer's thread may tell of it
        if again is not None and self._journal is not None:
            self._journal.forget(key)
        try:
            job = submit(known, key)
        except BaseException:  # no memory or no thread left: it would count as busy for ever
            del printer.live[key]
            raise
        if not self._pending:
            # Lets go of the interpreter, so that the printer's thread sends before this one goes on to the reply: 15 us
            # earlier. Not in a crowd, where one switch of threads for each job costs more than it brings.
            time.sleep(0)
        if again is not None:
            self._ended[again.named].remove(key)
            del self._known[key]
        known.job = job
        known.view = JobView(
            key, printer.name, name, JobState.PENDING, job.bytes_total, 0, (), {}, None, known.created, None, notes, by
        )
        self._known[key] = known
        log.debug("accepted, %d bytes", job.bytes_total, extra={"job": key, "printer": printer.name})
        printer.waiting += job.bytes_total
        printer.pending += 1
        self._pending += 1
        if self._listeners:
            self._tell(messages.JobEvent(known.view))
        self._refresh(printer)
        return known.view

    def _find(self, id: str) -> _Known | None:
        """The job of that id, if it is remembered here or in the journal."""
        known = self._known.get(id)
        if known is not None or self._journal is None:
            return known
        entry = self._journal.find(id)
        return None if entry is None or entry.ended is None else self._remember(entry)

    def _remember(self, entry: JournalEntry) -> _Known:
        """A job that has ended, from the journal."""
        printer = self._printers.get(entry.printer) or _Gone(entry.printer)
        known = _Known(printer, entry.name, True, _at(entry.created), None, entry.digest)  # type: ignore[arg-type]
        known.view = _view(entry)
        known.begun = entry.bytes_accepted > 0 or bool(entry.error and entry.error.get("written"))
        self._known[entry.id] = known
        self._forget_oldest(known, entry.id)
        return known

    def recover(self) -> None:
        """Takes up what an earlier process left in the journal: jobs that had not begun are printed, others end `uncertain`."""
        if self._journal is None:
            return
        for name in self._journal.paused():
            if name in self._printers:
                self._pause(self._printers[name], paused=True)
        for entry in self._journal.ended(ENDED_JOBS):
            self._remember(entry)
        for entry in self._journal.unsettled():
            if (printer := self._printers.get(entry.printer)) is not None:
                printer.queue.hold_for(entry.id)
        left = self._journal.unfinished()
        for name in {entry.printer for entry, _ in left if entry.printer not in self._printers}:
            if self._is_target(name):
                self.target(name)
        for entry, data in left:
            printer = self._printers.get(entry.printer)
            if printer is None:
                error = UnknownPrinter(
                    f"no printer is named {entry.printer!r} any more", hint="Print it on another one."
                )
                state = "uncertain" if entry.started else "failed"
                self._journal.end(entry.seq, state, lambda _: None, error=error)
                log.error("%s: %s", state, error.message, extra={"job": entry.id, "printer": entry.printer})
                continue
            known = _Known(printer, entry.name, True, _at(entry.created), None, entry.digest)
            known.view = _view(entry)
            printer.live[entry.id] = self._known[entry.id] = known
            printer.waiting += entry.bytes_total
            printer.pending += 1
            self._pending += 1
            known.job = printer.queue.restore(entry, data)
            self._schedule_stand_in(known)
        if left:
            log.warning("%d jobs of before were in the journal", len(left))

    def pause(self, name: str, *, paused: bool = True) -> PrinterView:
        """Has no job of the printer begin any more, or again; over a restart, too, where there is a journal.

        Raises:
            UnknownPrinter: There is no such printer.
            JobCanceled: The server is ending.
        """
        printer = self._printer(name)
        if self._journal is not None:
            self._journal.pause(name, paused=paused)
        self._pause(printer, paused=paused)
        self._refresh(printer)
        return printer.view()

    @staticmethod
    def _pause(printer: _Printer, *, paused: bool) -> None:
        printer.paused = paused
        if paused:
            printer.queue.pause()
        else:
            printer.queue.resume()

    async def resolve(self, id: str, action: str, *, by: str | None = None) -> JobView:
        """Settles an uncertain job, so that those which it holds up go on.

        Args:
            id: The job.
            action: "print-again": once more, as a new job, which is returned; "discard": it came out, or is not wanted.
            by: Who says so.

        Raises:
            UnknownJob: No job that is remembered has the id.
            NotUncertain: There is nothing to settle.
            UnknownPrinter, QueueFull, JobCanceled: As `submit`.
            JournalError: It could not be noted.
        """
        known = self._remembered(id)
        settled = SETTLED in known.view.evidence
        if known.view.state != JobState.UNCERTAIN or settled:
            raise NotUncertain(
                f"the job {id!r} is {known.view.state}{', and settled' if settled else ''}",
                hint="Look at jobs.list for those that are uncertain.",
            )
        view = known.view
        if action == "print-again":
            data = await self._data_of(id)
            if data is None:
                raise Unsupported("the bytes of the job are kept no more", hint="Send it again as a new job.")
            # The same id each time: to say it twice prints once.
            view = self.submit(known.view.printer, data, f"{id}~again", job_name=known.name, priority=100, by=by)
            if (kept := self.kept(view.id)) is not None:
                await kept
        if self._journal is not None:
            await asyncio.to_thread(self._journal.settle, id)
        known.view = msgspec.structs.replace(known.view, evidence=(*known.view.evidence, SETTLED))
        self._tell(messages.JobEvent(known.view))
        if isinstance(known.printer, _Printer):
            known.printer.queue.settle(id)
        return known.view if action == "discard" else view

    async def until(self, id: str, *, ended: bool) -> JobView:
        """Waits until the job has ended, or until every byte of it was taken.

        Raises:
            UnknownJob: No job that is remembered has the id.
        """
        known = self._remembered(id)
        if _is_through(known.view, ended=ended):
            return known.view
        waiter: asyncio.Future[JobView] = self._loop.create_future()
        known.waiters[waiter] = ended
        try:
            return await waiter
        finally:
            known.waiters.pop(waiter, None)

    async def cancel(self, id: str, timeout: float = 1.0) -> JobView:
        """Cancels a job; returns it as it ended, or as it stands when that takes longer.

        Args:
            id: The job.
            timeout: Seconds.

        Raises:
            UnknownJob: No job that is remembered has the id.
            TooLate: It has ended, or all its bytes are with the printer.
        """
        known = self._remembered(id)
        if known.job is None or not known.job.cancel():
            if known.view.state == JobState.CANCELED:
                return known.view
            raise _too_late(id)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.until(id, ended=True)
        if known.view.state in _GOOD_ENDS:  # the printer was quicker
            raise _too_late(id)
        return known.view

    def job(self, id: str) -> JobView:
        """One job.

        Raises:
            UnknownJob: No job that is remembered has the id.
        """
        return self._remembered(id).view

    def jobs(
        self,
        printer: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        among: frozenset[str] | None = None,
        *,
        before: str | None = None,
        search: str | None = None,
    ) -> list[JobView]:
        """Jobs that have not ended and the ones that ended last, the oldest first; the newest `limit` of them.

        Args:
            printer: Only this one's.
            state: Only those.
            limit: At most so many.
            among: Only those of these printers.
            before: Only those that were created before the job of this id, if it is remembered.
            search: Only those that have it in id, name, printer or who asked, in small letters or large ones.
        """
        newest = reversed(self._known.values())
        if (from_here := self._known.get(before or "")) is not None:
            newest = dropwhile(lambda known: known is not from_here, newest)
            next(newest)
        wanted = (search or "").casefold()
        chosen = (
            known.view
            for known in newest
            if (printer is None or known.view.printer == printer)
            and (state is None or known.view.state == state)
            and (among is None or known.view.printer in among)
            and (not wanted or _has(known.view, wanted))
        )
        return list(islice(chosen, limit))[::-1]

    def going_out(self, name: str) -> Job | None:
        """The job whose bytes go out now, or stopped on their way: until it is out the printer is not asked.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        for known in self._printer(name).live.values():
            job = known.job
            if job is not None and job.state in {JobState.PROCESSING, JobState.STOPPED} and not job.taken:
                return job
        return None

    # -- printers ------------------------------------------------------------------------------------------------

    def printer(self, name: str) -> PrinterView:
        """One printer as far as it is known, without asking it.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        return self._printer(name).view()

    async def converse(self, name: str, data: bytes, timeout: float) -> Conversation:
        """Sends bytes that somebody wrote by hand; see `PrintQueue.converse`.

        Raises:
            UnknownPrinter: There is no such printer.
            QueueFull: Several wait for that already.
            PrinterBusy: Jobs were under way all the time.
            RawprintError: The printer cannot be opened, or its connection ended.
        """
        printer = self._printer(name)
        if printer.conversations >= MOST_CONVERSATIONS:
            raise QueueFull(f"{MOST_CONVERSATIONS} wait for {name} already", hint="Wait for some of them.")
        done: asyncio.Future[Conversation | RawprintError] = self._loop.create_future()

        def settle(came: Conversation | RawprintError) -> None:
            printer.conversations -= 1
            if not done.done():
                done.set_result(came)

        printer.queue.converse(data, lambda came: self._post(settle, came), timeout)
        printer.conversations += 1
        came = await done
        if isinstance(came, RawprintError):
            raise came
        return came

    def at_work(self, address: str) -> str | None:
        """The name of the printer at that address if a job of it has begun."""
        return next(
            (
                name
                for name, each in self._printers.items()
                if each.address == address and len(each.live) > each.pending
            ),
            None,
        )

    def history(self, name: str, now: datetime) -> list[ChangeView]:
        """How one printer stood in the last day.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        return self._printer(name).history.since(now)

    async def status(self, name: str, timeout: float) -> PrinterStatus:
        """What the printer says now; while a job goes out, what it said last.

        Several that ask at a time share one question.

        Args:
            name: The printer.
            timeout: Seconds to wait, opening included.

        Raises:
            UnknownPrinter: There is no such printer.
            RawprintError: The printer could not be opened, did not answer in time, or not sensibly.
        """
        printer = self._printer(name)
        if printer.failure is not None and self._loop.time() - printer.failed_at < FAILURE_SECONDS:
            raise printer.failure
        asking = printer.asking
        if asking is None:
            asking = printer.asking = self._ask(printer, timeout)
        answer: _Answer
        try:
            async with asyncio.timeout(timeout):
                answer = await asyncio.shield(asking)
        except TimeoutError:
            answer = NoReply(
                f"{name} did not answer within {timeout:g} s", hint="Check that it is switched on and connected."
            )
        if isinstance(answer, RawprintError):
            printer.failure, printer.failed_at = answer, self._loop.time()
            raise answer
        printer.failure = None
        return answer

    def counts(self) -> dict[str, PrinterCounts]:
        """What `/metrics` tells of each printer."""
        now = datetime.now(UTC)
        return {
            name: PrinterCounts(
                state=(view := printer.view()).state,
                reasons=view.reasons,
                pending=len(printer.live),
                jobs=printer.ended,
                bytes=printer.bytes,
                heard_seconds_ago=None if printer.heard is None else (now - printer.heard).total_seconds(),
            )
            for name, printer in self._printers.items()
        }

    # -- who watches ---------------------------------------------------------------------------------------------

    def server(self) -> ServerView:
        """The server itself."""
        return ServerView(
            __version__,
            self._memory if self._journal is None else self._journal.name,
            self._started,
            self.names(),
            self.max_message_bytes,
            self._stopping,
            self._unnamed,
        )

    def snapshot(self, printers: frozenset[str] | None = None, *, jobs: bool = True) -> Snapshot:
        """Everything known, or what is known of these printers, with or without jobs, as it fits to the events from here on."""
        live = [known.view for p in (*self._printers.values(), *self._leaving) for known in p.live.values()]
        last = [self._known[id].view for ids in self._ended.values() for id in islice(reversed(ids), SNAPSHOT_JOBS)]
        ended = sorted(last, key=lambda job: job.ended or job.created)[-SNAPSHOT_JOBS:]
        return Snapshot(
            _narrowed(self.server(), printers),
            [printer.view() for name, printer in self._printers.items() if printers is None or name in printers],
            sorted(
                (job for job in ended + live if jobs and (printers is None or job.printer in printers)),
                key=lambda job: job.created,
            ),
        )

    def subscribe(self, listener: Listener, printers: frozenset[str] | None = None, *, jobs: bool = True) -> None:
        """Calls the listener with every event from here on, or with those of these printers, encoded; it must not block.

        Args:
            listener: Called on the event loop.
            printers: Names; None: all.
            jobs: Whether it hears of jobs.
        """
        self._listeners[listener] = printers, jobs
        if len(self._listeners) == 1:
            if self._cables is not None:
                self._cables.look()
            for printer in self._printers.values():
                printer.told = printer.view()
                self._watch(printer)

    def unsubscribe(self, listener: Listener) -> bool:
        """No event any more; returns whether it was a listener."""
        if listener not in self._listeners:
            return False
        del self._listeners[listener]
        if not self._listeners:
            for printer in self._printers.values():
                self._watch(printer)
        return True

    # -- the configuration and the end ---------------------------------------------------------------------------

    def target(self, address: str) -> str:
        """The name of the printer at an address that a client may name: a printer of the configuration, or one for as long as needed.

        Raises:
            QueueFull: So many have jobs already.
        """
        for name, printer in self._printers.items():
            if printer.address == address and name not in self._targets:
                return name
        config = self._targets.pop(address) if address in self._targets else PrinterConfig(address)
        self._targets[address] = config
        if address not in self._printers:
            idle = [name for name in self._targets if name in self._printers and not self._printers[name].live]
            if len(self._targets) > MOST_TARGETS:
                if not idle:
                    del self._targets[address]
                    raise QueueFull(
                        f"jobs wait for {MOST_TARGETS} addresses already", hint="See why those do not print."
                    )
                del self._targets[idle[0]]
            self.apply(self._configured)
        return address

    def apply(self, printers: Mapping[str, PrinterConfig]) -> None:
        """Takes over another configuration; no job and no connection is lost by it.

        A printer that is no longer named finishes the jobs that it has; jobs that wait at an address which was corrected
        are printed at the new one. Another name for the same address is the same printer, with its jobs and its connection.
        """
        self._configured = printers
        named = {str(parse_address(config.address)) for config in printers.values()}
        self._targets = {address: config for address, config in self._targets.items() if address not in named}
        printers = {**printers, **self._targets}
        for name, config in printers.items():
            if name not in self._printers:
                self._rename(name, str(parse_address(config.address)), printers)
        for name in [name for name in self._printers if name not in printers]:
            self._leave(self._printers.pop(name))
        now: dict[str, _Printer] = {}
        for name, config in printers.items():
            printer = self._printers.get(name) or self._back(name)
            if printer is None:
                printer = self._new_printer(name, config)
            elif printer.config != config:
                self._change(printer, config)
            now[name] = printer
        self._printers = now
        self._name_cables()
        self._tell(messages.ServerEvent(self.server()))
        for printer in now.values():
            self._watch(printer)
            self._refresh(printer)

    def watch_cables(self) -> None:
        """From here on what is plugged in or out is noticed, until `close`."""
        try:
            self._cables = CableWatch(self._look_at_cables)
        except OSError as error:  # no file descriptors left
            log.warning("what is plugged in or out is not noticed: %s", error)

    def _look_at_cables(self) -> None:
        """Something may have come or gone; in the thread of the watch, as looking takes a while."""
        self._post(self._retry_cables)
        if self._listeners:
            self._post(self._cables_seen, discover(network=False).found)

    def _retry_cables(self) -> None:
        for printer in (*self._printers.values(), *self._leaving):
            if printer.address.partition(":")[0] in _CABLES:
                with suppress(JobCanceled):  # the queue has been closed
                    printer.queue.retry()

    def _cables_seen(self, found: tuple[Found, ...]) -> None:
        before, self._plugged = self._unnamed, found
        self._name_cables()
        if self._unnamed != before:
            self._tell(messages.ServerEvent(self.server()))

    def _name_cables(self) -> None:
        """Which of those that are plugged in have no name in the configuration."""
        named = [parse_address(printer.config.address) for printer in self._printers.values()]
        unnamed = (one for one in self._plugged if not any(map(one.fits, named)))
        self._unnamed = [
            FoundView(
                one.address,
                one.make_model,
                one.serial,
                one.dialect,
                one.dialect_how,
                failure(one.error) if one.error else None,
            )
            for one in islice(unnamed, MAX_FOUND)
        ]

    def stop(self) -> None:
        """No job is taken from here on."""
        self._stopping = True
        self._tell(messages.ServerEvent(self.server()))

    async def close(self, finish: float = 5.0) -> None:
        """Ends all queues at the same time; a job in print may finish within so many seconds."""
        self._stopping = True
        if self._cables is not None:
            await asyncio.to_thread(self._cables.close)
        printers = [*self._printers.values(), *self._leaving]
        if printers:
            with ThreadPoolExecutor(len(printers)) as pool:
                await asyncio.gather(
                    *(self._loop.run_in_executor(pool, _close, printer, finish) for printer in printers)
                )
        if self._trim is not None:
            self._trim.cancel()
        if self._background:
            await asyncio.wait(self._background)
        await asyncio.sleep(0)  # what the queues said last is on its way already
        for printer in printers:
            if printer.capabilities.round_trip is not None:  # of which nothing is told as it changes
                self._records.put(printer.address, printer.dialect, printer.capabilities.to_json())

    def _new_printer(self, name: str, config: PrinterConfig) -> _Printer:
        # The callbacks need the printer, and the printer its queue.
        def on_job(job: Job) -> None:
            if threading.get_ident() != self._thread:  # what `submit` tells is known already
                self._follow_soon(printer, job)

        def on_status(status: PrinterStatus) -> None:
            # A printer that is asked every second and says the same each time does not wake the loop for that.
            address, last = printer.passed or ("", status)
            same = address == queue.address and _said(last) == _said(status) and last.source == status.source
            if same and not printer.share:
                printer.heard = status.at
            else:
                printer.passed = queue.address, status
                self._post(self._heard, printer, queue.address, status)

        def on_failure(error: RawprintError) -> None:
            printer.passed = None
            self._post(self._failed, printer, queue.address, error)

        address = parse_address(config.address)
        dialect = config.dialect or getattr(address, "dialect", None)
        capabilities = self._records.get(str(address), dialect)
        capabilities.promised, capabilities.drawer_open = frozenset(config.promises), config.drawer_open or ""
        queue = PrintQueue(
            config.address,
            config.dialect,
            on_job=on_job,
            on_status=on_status,
            on_failure=on_failure,
            capabilities=capabilities,
            idle_release=_idle_release(config),
            journal=self._journal,
            name=name,
            after_uncertain=_after_uncertain(config, dialect),
        )
        printer = _Printer(name, config, queue, capabilities)
        self._heed(printer)
        if config.channels:
            printer.asides = self._aside(printer)
        self._watch(printer)
        return printer

    def _aside(self, printer: _Printer) -> AsideWatch:
        return AsideWatch(
            printer.config.address,
            printer.config.channels,
            on_status=lambda _, status: self._overheard(printer, status),
            on_silence=lambda channel, _: self._post(self._silent, printer, channel.partition(":")[0]),
            interval=0.0,
        )

    def _watch(self, printer: _Printer) -> None:
        """Has the printer asked, or not asked, as somebody watches or nobody."""
        with suppress(JobCanceled):  # the queue has been closed
            if not self._listeners:
                printer.queue.watch(None)
            elif printer.share:
                printer.queue.watch(printer.config.poll or None)
            else:
                printer.queue.watch(LIVE_POLL if len(self._printers) < MANY else LIVE_POLL_OF_MANY)
        self._pace(printer)

    def _pace(self, printer: _Printer) -> None:
        """The other channels are asked while the printer itself cannot be: it is shared, or a job is under way."""
        if printer.asides is not None:
            interval = ASIDE_POLL if printer.live or (self._listeners and printer.share) else 0.0
            if printer.asides.interval != interval:
                printer.asides.interval = interval

    @staticmethod
    def _overheard(printer: _Printer, status: PrinterStatus) -> None:
        with suppress(JobCanceled):  # the queue has been closed
            printer.queue.hear(status)

    def _change(self, printer: _Printer, config: PrinterConfig) -> None:
        before, printer.config = printer.config, config
        printer.share = shared(config)
        queue = printer.queue
        if (before.address, before.dialect) != (config.address, config.dialect):
            address = parse_address(config.address)
            printer.address, printer.since = str(address), datetime.now(UTC)
            printer.dialect = config.dialect or getattr(address, "dialect", None)
            printer.capabilities = self._records.get(printer.address, printer.dialect)
            self._heed(printer)
            queue.move(config.address, config.dialect, capabilities=printer.capabilities)
            printer.words = Words()
            printer.status = printer.heard = printer.error = printer.failure = printer.passed = None
            printer.changed()
        printer.capabilities.promised = frozenset(config.promises)
        printer.capabilities.drawer_open = config.drawer_open or ""
        queue.keep(_idle_release(config))
        queue.after_uncertain = _after_uncertain(config, printer.dialect)
        if (before.address, before.channels) != (config.address, config.channels):
            if printer.asides is not None:
                self._in_background(printer.asides.close)
            printer.asides = self._aside(printer) if config.channels else None

    def _heed(self, printer: _Printer) -> None:
        """Has what the printer shows of itself kept, and told."""

        def on_learn(capabilities: Capabilities) -> None:  # in the queue's thread, which alone changes it
            self._post(self._learnt, printer, capabilities, capabilities.to_json(), _shown(capabilities))

        printer.shown = printer.learnt = _shown(printer.capabilities)
        printer.capabilities.on_learn = on_learn

    def _rename(self, name: str, address: str, printers: Mapping[str, PrinterConfig]) -> None:
        """If the printer at that address has a name that is none any more: it has this one now. Two queues would compete."""
        nameless = [printer for old, printer in self._printers.items() if old not in printers]
        printer = next((one for one in (*nameless, *self._leaving) if one.address == address), None)
        if printer is None:
            return
        if printer in self._leaving:
            self._leaving.discard(printer)
        else:
            del self._printers[printer.name]
        self._printers[name] = printer
        if self._journal is not None:
            self._journal.rename(printer.name, name)
        printer.name = printer.queue.name = name
        for known in printer.live.values():
            known.view = msgspec.structs.replace(known.view, printer=name)
            self._tell(messages.JobEvent(known.view))

    def _leave(self, printer: _Printer) -> None:
        """Ends the printer once its last job has."""
        self._leaving.add(printer)
        printer.told = None  # to those who listen it is gone
        with suppress(JobCanceled):
            printer.queue.watch(None)
        self._end_if_left(printer)

    def _end_if_left(self, printer: _Printer) -> None:
        if printer in self._leaving and not printer.live:
            self._leaving.discard(printer)
            self._in_background(lambda: _close(printer))

    def _in_background(self, work: Callable[[], None]) -> None:
        self._in_background_task(asyncio.to_thread(work))

    def _in_background_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _back(self, name: str) -> _Printer | None:
        """A printer of that name which was still finishing its jobs."""
        for printer in self._leaving:
            if printer.name == name:
                self._leaving.discard(printer)
                return printer
        return None

    # -- what comes over the bridge ------------------------------------------------------------------------------

    def _post(self, function: Callable[..., None], *args: Any) -> None:
        """Runs the function on the event loop; called from the queues' threads."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # A queue that did not end in time still talks when the loop is gone.
            if not self._loop.is_closed():
                raise

    def _follow_soon(self, printer: _Printer, job: Job) -> None:
        """The job has changed; called from its queue's thread, which alone changes it, so nothing is passed over."""
        known = printer.live.get(job.id)
        if known is None:  # its submission was refused
            return
        if job.state.ended:
            known.begun = job.bytes_accepted > 0 or getattr(job.error, "written", 0) > 0
            if known.data is not None and known.named:  # here, where nobody waits for it
                known.digest = hashlib.sha256(known.data).digest()
        view = known.look(job)
        if view != known.passed:  # a step that shows in nothing does not wake the loop
            known.passed = view
            self._post(self._follow, known, view)

    def _follow(self, known: _Known, view: JobView) -> None:
        before, printer = known.view, known.printer
        if view.printer != printer.name:  # it was renamed since that was looked at
            view = msgspec.structs.replace(view, printer=printer.name)
        if view == before or known.job is None:
            return
        known.view = view
        change = (view.state == JobState.PENDING) - (before.state == JobState.PENDING)
        printer.pending += change
        self._pending += change
        printer.stopped += (view.state == JobState.STOPPED) - (before.state == JobState.STOPPED)
        printer.waiting += before.bytes_accepted - view.bytes_accepted
        if view.ended is not None:
            self._end(known, view)
        if self._listeners:
            self._tell(messages.JobEvent(view))
        for waiter, ended in known.waiters.items():
            if _is_through(view, ended=ended) and not waiter.done():
                waiter.set_result(view)
        self._refresh(printer)
        self._end_if_left(printer)

    def _end(self, known: _Known, view: JobView) -> None:
        printer = known.printer
        del printer.live[view.id]
        printer.waiting -= view.bytes_total - view.bytes_accepted
        printer.ended[view.state] += 1
        if view.state == JobState.UNCERTAIN and printer.queue.after_uncertain == "hold":
            log.warning(
                "nothing more is printed before somebody says what became of it: at /, or `rawprint jobs resolve`",
                extra={"job": view.id, "printer": view.printer},
            )
        if view.state == JobState.UNCERTAIN and printer.config.after_uncertain == "print-marked":
            self._in_background_task(self._print_marked(printer, view))
        printer.bytes += view.bytes_accepted
        if self._journal is None and known.prints and known.data is not None:
            self._bodies.put(view.id, known.data, self._loop.time())
        known.data = known.job = None
        if view.bytes_total >= heap.LARGE:
            if self._trim is not None:
                self._trim.cancel()
            self._trim = self._loop.call_later(heap.REST, self._in_background, heap.trim)
        why = "" if view.error is None else f": {view.error.code}, {view.error.message}"
        log.log(
            logging.INFO if view.state in _GOOD_ENDS else logging.WARNING,
            "%s, %d of %d bytes%s",
            view.state,
            view.bytes_accepted,
            view.bytes_total,
            why,
            extra={"job": view.id, "printer": view.printer},
        )
        self._forget_oldest(known, view.id)

    def _forget_oldest(self, known: _Known, id: str) -> None:
        ended = self._ended[known.named]
        ended.append(id)
        while len(ended) > (NAMED_JOBS if known.named else ENDED_JOBS):
            del self._known[ended.popleft()]

    async def _data_of(self, id: str) -> bytes | None:
        """A job's bytes, as long as the journal keeps them, or where there is none the memory."""
        if self._journal is not None:
            return await asyncio.to_thread(self._journal.data_of, id)
        known = self._known.get(id)
        if known is not None and known.prints and known.data is not None:
            return bytes(known.data)
        return self._bodies.get(id, self._loop.time())

    async def data_of(self, id: str) -> bytes:
        """A job's bytes.

        Raises:
            NoData: They are kept no more, or never were.
            JournalError: The journal cannot be read.
        """
        data = await self._data_of(id)
        if not data:
            raise NoData(
                f"the bytes of the job {id[:256]!r} are not kept",
                hint="keep_data in [server] of the configuration says for how long they are.",
            )
        return data

    async def copy_of(self, id: str) -> bytes:
        """A job's bytes, headed as a copy where its printer's language has a way.

        Raises:
            NoData, JournalError: As `data_of`.
        """
        data = await self.data_of(id)
        return COPY_MARKS.get(self.language(self._remembered(id).printer.name) or "", b"") + data

    def print_copy(self, id: str, data: bytes, *, by: str | None = None) -> JobView:
        """Takes what `copy_of` gave as a new job, `ID~again`, or `ID~again2` and so on where there is one.

        Raises:
            UnknownJob: No job that is remembered has the id.
            UnknownPrinter, QueueFull, JobCanceled: As `submit`.
        """
        known = self._remembered(id)
        ids = (f"{id}~again{number if number > 1 else ''}" for number in count(1))
        free = next(each for each in ids if self._find(each) is None)
        return self.submit(known.printer.name, data, free, job_name=known.name, by=by)

    async def _print_marked(self, printer: _Printer, view: JobView) -> None:
        """Once more, headed as a possible copy."""
        mark = COPY_MARKS.get(printer.dialect or "")
        data = await self._data_of(view.id)
        if not mark or data is None or view.id.endswith("~copy"):
            return
        with suppress(RawprintError):
            self.submit(printer.name, mark + data, f"{view.id}~copy", job_name=view.name, priority=100, by=view.by)

    def _heard(self, printer: _Printer, address: str, status: PrinterStatus) -> None:
        if address != printer.address:
            return  # it is about to move, and this is still the printer where it was
        printer.words.hear(status)
        printer.heard = status.at
        self._now(printer, None if status.source == "printer" else printer.error)

    def _failed(self, printer: _Printer, address: str, error: RawprintError) -> None:
        if address != printer.address:
            return
        printer.words.forget("printer")
        if printer.error is None or printer.error.code != error.code:
            log.info("%s: %s", error.code, error.message, extra={"printer": printer.name})
        self._now(printer, error)

    def _silent(self, printer: _Printer, channel: str) -> None:
        printer.words.forget(channel)
        self._now(printer, printer.error)

    def _learnt(
        self, printer: _Printer, capabilities: Capabilities, record: dict[str, Any], shown: CapabilitiesView
    ) -> None:
        if capabilities is not printer.capabilities:
            return  # it is about to move, and this is still the printer where it was
        printer.learnt = shown
        if not self._listeners:
            printer.shown = shown
        self._records.put(printer.address, printer.dialect, record)

    def _now(self, printer: _Printer, error: RawprintError | None) -> None:
        """That is how the printer stands now."""
        status = printer.words.together()
        codes = error and error.code, printer.error and printer.error.code
        news = codes[0] != codes[1] or _said(printer.status) != _said(status)
        printer.status, printer.error = status, error
        if news:
            printer.since = datetime.now(UTC)
            printer.changed()
        self._refresh(printer)

    def _refresh(self, printer: _Printer) -> None:
        """Tells those who subscribed how the printer stands, if that is news to them."""
        self._pace(printer)
        if printer in self._leaving:
            return
        if self.webhook is not None and self.webhook.watches:
            self.webhook.look(printer.view(), jobs=len(printer.live), stopped=printer.stopped > 0)
        if not self._listeners:
            return
        view, told = printer.view(), printer.told
        if told is not None:
            younger = view.at is not None and told.at is not None and (view.at - told.at).total_seconds() >= AGE_TOLD
            if not (view.share and younger) and msgspec.structs.replace(view, at=told.at, source=told.source) == told:
                return
        if printer.shown is not printer.learnt:  # no news by itself: it goes with the next one
            printer.shown = printer.learnt
            view = printer.view()
        printer.told = view
        self._tell(messages.PrinterEvent(view))

    def _tell(self, event: messages.PrinterEvent | messages.JobEvent | messages.ServerEvent) -> None:
        if self._listeners:
            frame = messages.encode(event)
            for listener, (printers, jobs) in tuple(self._listeners.items()):
                if isinstance(event, messages.JobEvent) and not jobs:
                    continue
                if printers is None:
                    listener(frame)
                elif isinstance(event, messages.ServerEvent):
                    listener(messages.encode(messages.ServerEvent(_narrowed(event.data, printers))))
                elif (event.data.name if isinstance(event, messages.PrinterEvent) else event.data.printer) in printers:
                    listener(frame)

    # -- small things --------------------------------------------------------------------------------------------

    def _printer(self, name: str) -> _Printer:
        try:
            return self._printers[name]
        except KeyError:
            raise self.unknown_printer(name) from None

    def unknown_printer(self, name: str, among: frozenset[str] | None = None) -> UnknownPrinter:
        """The error of a printer that is not there; of those that are, it names only those."""
        names = ", ".join(each for each in self._printers if among is None or each in among) or "none"
        return UnknownPrinter(f"no printer is named {name[:100]!r}", hint=f"The printers are: {names}.")

    def unknown_job(self, id: str) -> UnknownJob:
        """The error of a job that is not there."""
        return UnknownJob(
            f"no job has the id {id[:256]!r}",
            hint=f"The server remembers the {NAMED_JOBS} jobs with an id of the client's that ended last.",
        )

    def _remembered(self, id: str) -> _Known:
        known = self._find(id)
        if known is None:
            raise self.unknown_job(id)
        return known

    def _ask(self, printer: _Printer, timeout: float) -> asyncio.Future[_Answer]:
        asking: asyncio.Future[_Answer] = self._loop.create_future()

        def settle(answer: _Answer) -> None:
            printer.asking = None
            asking.set_result(answer)

        printer.queue.ask(lambda answer: self._post(settle, answer), timeout)
        return asking


class _Gone(NamedTuple):
    """A printer that an ended job names, and that is configured no more."""

    name: str


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _view(entry: JournalEntry) -> JobView:
    """What the wire shows of a job in the journal."""
    error = entry.error
    return JobView(
        id=entry.id,
        printer=entry.printer,
        name=entry.name,
        state=JobState(entry.state),
        bytes_total=entry.bytes_total,
        bytes_accepted=entry.bytes_accepted,
        evidence=(*entry.evidence, SETTLED) if entry.settled else entry.evidence,
        reasons={},
        error=None if error is None else Failure(error["code"], error["message"], error["hint"]),
        created=_at(entry.created),
        ended=None if entry.ended is None else _at(entry.ended),
        notes=(),  # the journal does not keep them
        by=None,
    )


def _has(view: JobView, wanted: str) -> bool:
    """Whether a person who searches for this, in small letters, means that job."""
    texts = view.id, view.name, view.printer, view.by
    return any(text is not None and wanted in text.casefold() for text in texts)


def _after_uncertain(config: PrinterConfig, dialect: str | None) -> Literal["hold", "go-on"]:
    """A label that is printed twice sends a parcel twice, so somebody looks first; a receipt's till has a queue in front of it."""
    if config.after_uncertain is None:
        return "hold" if dialect in LABELS else "go-on"
    return "hold" if config.after_uncertain == "hold" else "go-on"


def _idle_release(config: PrinterConfig) -> float | None:
    """A printer that is this server's alone is never let go."""
    return SHARED_RELEASE if shared(config) else None


def _shown(capabilities: Capabilities) -> CapabilitiesView:
    """What the wire shows of a record; only who may change it may ask."""
    return CapabilitiesView(
        sorted(capabilities.answered),
        sorted(capabilities.silent),
        capabilities.feeds,
        max(capabilities.learnt.values(), default=None),
    )


def _said(status: PrinterStatus | None) -> object:
    return status and (status.state, status.reasons)


def _narrowed(server: ServerView, printers: frozenset[str] | None) -> ServerView:
    """The server, as somebody sees it who may use these printers alone."""
    if printers is None:
        return server
    return msgspec.structs.replace(server, printers=[name for name in server.printers if name in printers], found=[])


def _too_late(id: str) -> TooLate:
    return TooLate(f"the job {id!r} can no longer be canceled", hint="The printer has all of it, or it has ended.")


def _is_through(view: JobView, *, ended: bool) -> bool:
    if view.ended is not None:
        return True
    return not ended and view.state != JobState.PENDING and view.bytes_accepted == view.bytes_total


def _close(printer: _Printer, finish: float = 0.0) -> None:
    if printer.asides is not None:
        printer.asides.close()
    printer.queue.close(finish)
