"""The printers' queues, and the only bridge between their threads and the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from rawprint import Capabilities, JobState, NoReply, PrinterStatus, PrintQueue, RawprintError
from rawprint_server.messages import JobView, PrinterView, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rawprint import Job
    from rawprint_server.config import PrinterConfig

log = logging.getLogger(__name__)

# How many ended jobs are remembered, the newest: those to which a client gave an id, and the others.
NAMED_JOBS = 20_000
ENDED_JOBS = 1000
MAX_PENDING = 10_000  # jobs that may wait for one printer
MAX_PENDING_BYTES = 256 * 1024 * 1024
FAILURE_SECONDS = 0.5  # how long a failed question answers others, which would otherwise each wait for its time-out

_GOOD_ENDS = frozenset({JobState.COMPLETED, JobState.DELIVERED})
_NOTHING_PRINTED = frozenset({JobState.FAILED, JobState.CANCELED})

_Answer: TypeAlias = PrinterStatus | RawprintError


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


@dataclass(slots=True)
class _Printer:
    queue: PrintQueue
    live: dict[str, Job] = field(default_factory=dict)  # jobs that have not ended, in order
    waiting: int = 0  # their bytes
    asking: asyncio.Future[_Answer] | None = None  # a question that is under way
    failure: RawprintError | None = None  # why the last question was not answered
    failed_at: float = 0.0


@dataclass(slots=True)
class _Known:
    printer: str
    digest: bytes
    named: bool  # whether the client gave the id
    job: Job | JobView  # the view once it has ended


class Hub:
    """All printers of the server, by name. Lives on one event loop and is used from it alone.

    Nothing is opened before a printer is needed.

    Raises:
        AddressError: A printer's address is none.
    """

    def __init__(self, printers: Mapping[str, PrinterConfig]) -> None:
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, _Known] = {}
        self._ended: dict[bool, deque[str]] = {True: deque(), False: deque()}  # named or not -> ids
        self._printers = {
            name: _Printer(
                PrintQueue(
                    printer.address,
                    printer.dialect,
                    on_job=self._heard(name),
                    capabilities=Capabilities(promised=frozenset(printer.promises)),
                )
            )
            for name, printer in printers.items()
        }

    def names(self) -> list[str]:
        """The printers' names in the order of the configuration."""
        return list(self._printers)

    def submit(self, name: str, data: bytes, id: str | None = None) -> JobView:
        """Takes a job; never blocks.

        Args:
            name: The printer.
            data: Its bytes.
            id: The client's own name for the job. The same id with the same bytes for the same printer is the same
                job, which is returned as it stands and not printed again; unless nothing of it was printed and it
                ended `failed` or `canceled`: then it is tried anew.

        Raises:
            UnknownPrinter: There is no such printer.
            IdConflict: The id means another job.
            QueueFull: Too much waits for this printer.
            JobCanceled: The server is ending.
        """
        printer = self._printer(name)
        digest = hashlib.sha256(data).digest()
        known = self._known.get(id) if id is not None else None
        if known is not None:
            if (known.printer, known.digest) != (name, digest):
                raise IdConflict(
                    f"the id {id!r} belongs to another job",
                    hint="Make a new id for every job, and repeat it only with the same data.",
                )
            view = _view(known)
            if view.state not in _NOTHING_PRINTED or view.bytes_accepted:
                return view
            self._ended[known.named].remove(view.id)
        if len(printer.live) >= MAX_PENDING or printer.waiting + len(data) > MAX_PENDING_BYTES:
            raise QueueFull(
                f"{len(printer.live)} jobs with {printer.waiting} bytes wait for {name} already",
                hint="See why it does not print, then send the job again.",
            )
        job = printer.queue.submit(data, id=id)
        known = self._known[job.id] = _Known(name, digest, id is not None, job)
        printer.live[job.id] = job
        printer.waiting += len(data)
        return _view(known)

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

    def going_out(self, name: str) -> Job | None:
        """The job whose bytes go out now, or stopped on their way: until it is out the printer is not asked.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        for job in self._printer(name).live.values():
            if job.state in {JobState.PROCESSING, JobState.STOPPED} and not job.taken:
                return job
        return None

    def printer(self, name: str) -> PrinterView:
        """One printer as far as it is known, without asking it.

        Raises:
            UnknownPrinter: There is no such printer.
        """
        queue = self._printer(name).queue
        status = queue.last_status
        return PrinterView(
            name=name,
            address=queue.address,
            dialect=queue.dialect,
            state="unknown" if status is None else status.state.value,
            reasons={} if status is None else {reason.value: true for reason, true in status.reasons.items()},
            at=None if status is None else status.at,
            busy=queue.busy,
            pending=queue.pending,
        )

    def job(self, id: str) -> JobView:
        """One job.

        Raises:
            UnknownJob: No job that is remembered has the id.
        """
        known = self._known.get(id)
        if known is None:
            raise UnknownJob(
                f"no job has the id {id!r}",
                hint=f"The server remembers the {NAMED_JOBS} jobs with an id of the client's that ended last.",
            )
        return _view(known)

    def jobs(self) -> list[JobView]:
        """Every job that has not ended and the ones that ended last, the oldest first."""
        return [_view(known) for known in self._known.values()]

    async def close(self) -> None:
        """Ends all queues at the same time; a job in print may finish within 5 s."""
        if not self._printers:
            return
        with ThreadPoolExecutor(len(self._printers)) as pool:
            await asyncio.gather(
                *(self._loop.run_in_executor(pool, printer.queue.close) for printer in self._printers.values())
            )

    def _printer(self, name: str) -> _Printer:
        try:
            return self._printers[name]
        except KeyError:
            names = ", ".join(self._printers) or "none"
            raise UnknownPrinter(f"no printer is named {name!r}", hint=f"The printers are: {names}.") from None

    def _ask(self, printer: _Printer, timeout: float) -> asyncio.Future[_Answer]:
        asking: asyncio.Future[_Answer] = self._loop.create_future()

        def settle(answer: _Answer) -> None:
            printer.asking = None
            asking.set_result(answer)

        printer.queue.ask(lambda answer: self._post(settle, answer), timeout)
        return asking

    def _heard(self, name: str) -> Callable[[Job], None]:
        return lambda job: self._post(self._follow, name, job)

    def _follow(self, name: str, job: Job) -> None:
        printer = self._printers[name]
        if not job.state.ended or printer.live.pop(job.id, None) is None:
            return
        printer.waiting -= job.bytes_total
        known = self._known[job.id]
        known.job = view = _view(known)
        level = logging.INFO if job.state in _GOOD_ENDS else logging.WARNING
        why = "" if view.error is None else f": {view.error.code}, {view.error.message}"
        log.log(
            level,
            "job %r on %s %s, %d of %d bytes%s",
            job.id,
            name,
            view.state,
            view.bytes_accepted,
            view.bytes_total,
            why,
        )
        ended = self._ended[known.named]
        ended.append(job.id)
        while len(ended) > (NAMED_JOBS if known.named else ENDED_JOBS):
            del self._known[ended.popleft()]

    def _post(self, function: Callable[..., None], *args: Any) -> None:
        """Runs the function on the event loop; called from the queues' threads."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # A queue that did not end in time still talks when the loop is gone.
            if not self._loop.is_closed():
                raise


def _view(known: _Known) -> JobView:
    job = known.job
    if isinstance(job, JobView):
        return job
    return JobView(
        id=job.id,
        printer=known.printer,
        state=job.state.value,
        bytes_total=job.bytes_total,
        bytes_accepted=job.bytes_accepted,
        evidence=job.evidence,
        reasons={reason.value: true for reason, true in job.reasons.items()},
        error=None if job.error is None else failure(job.error),
    )
