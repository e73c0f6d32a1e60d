"""The jobs whose bytes one connection carries: how far each has come, and what the printer's word means for them."""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING

from rawprint.status import PrinterState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.dialects import Query
    from rawprint.errors import Disconnected
    from rawprint.jobs import Job
    from rawprint.printer import Printer
    from rawprint.status import PrinterStatus

# No byte taken for so long: the job is `stopped`. A printer that works takes some all the time.
STALL = 1.0
# A printer that takes nothing for so long has its cable asked why, and again so often (seconds); usblp asks every 1.5 s.
LINE_AFTER, LINE_EVERY = 0.2, 0.4
# After the last byte the printer is asked until it was found healthy and idle so often, over at least so long: right
# after the data it may not have begun yet, and a small ticket fits into its buffer whole. A printer that cannot be asked
# is judged by its connection, which must have held as long.
SETTLED_ANSWERS = 3
SETTLED_TIME = 0.5
BATCH = 0.05


class Flight:
    """One open printer and its jobs, in the order of their bytes. Used by the queue's thread alone.

    Attributes:
        printer: The open printer.
        printing: The job whose bytes go out now.
        awaiting: Jobs of which every byte was given, and whose end is not known yet.
    """

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.printing: Job | None = None
        self.awaiting: list[Job] = []
        self._unconfirmed: deque[Job] = deque()  # jobs of which the far side has not taken every byte
        self._moved = self._moved_before = time.monotonic()
        self._line: PrinterStatus | None = None
        self._line_at = 0.0
        self.fenced: list[Job] = []  # those that have printed when the fence behind them is answered
        self.fenced_at = 0.0
        self._passed = 0  # fences, before that one

    def jobs(self) -> Iterator[Job]:
        """Every job of the connection that has not ended."""
        yield from self.awaiting
        if self.printing is not None:
            yield self.printing

    # -- bytes ---------------------------------------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        """The job's first byte is the next one."""
        job._start = self.printer.sent + self.printer.unsent
        job._before = self.printer.reported
        self.printing = job
        self._unconfirmed.append(job)
        self._moved = self._moved_before = time.monotonic()

    def given(self, job: Job) -> None:
        """Its last byte was given."""
        self.printing = None
        self.awaiting.append(job)
        job._given_at = self._moved = time.monotonic()

    def count(self) -> list[Job]:
        """Bring the counts of every job up to date; returns those that have moved."""
        printer, moved = self.printer, []
        confirmed = printer.sent - printer.unacknowledged()
        if self.printing is not None:
            # The printer's own count: an error may come before the job hears of its last bytes.
            job = self.printing
            written = min(max(printer.sent - job._start, 0), job.bytes_total)
            if written != job._written:
                moved.append(job)
            job._written = written
        while self._unconfirmed:
            job = self._unconfirmed[0]
            accepted = min(max(confirmed - job._start, 0), job._written)
            if accepted != job.bytes_accepted and job not in moved:
                moved.append(job)
            job.bytes_accepted = accepted
            if accepted < job.bytes_total:
                break
            job._data = b""  # it will not be sent again, and a large one need not wait for the end of evidence
            self._unconfirmed.popleft()
        if moved:
            self._moved_before, self._moved = self._moved, time.monotonic()
        return moved

    @property
    def stalled(self) -> bool:
        """Whether no byte has moved for so long that the printer must have stopped."""
        return time.monotonic() - self._moved >= STALL

    @property
    def flowing(self) -> bool:
        """Whether bytes move again and again: a stopped printer's host still takes a few at long intervals."""
        return time.monotonic() - self._moved_before < STALL / 2

    # -- words ---------------------------------------------------------------------------------------------------

    def line(self) -> PrinterStatus | None:
        """What the cable says of a printer that takes no bytes, or cannot be asked; None: nothing.

        Raises:
            Disconnected: It was unplugged.
        """
        now = time.monotonic()
        if self.printing is not None and now - self._moved < LINE_AFTER:
            self._line = None
        elif now >= self._line_at:
            self._line_at = now + LINE_EVERY
            self._line = self.printer.line_status()
        return self._line

    @property
    def held(self) -> bool:
        """Whether the printer has said on this connection that it is stopped: then no job is begun."""
        said = self.printer.reported
        return said is not None and said.state is PrinterState.STOPPED

    def news(self, job: Job) -> PrinterStatus | None:
        """What the printer has reported since the job began, if anything."""
        return self.printer.reported if self.printer.reported is not job._before else None

    def judge(self, status: PrinterStatus) -> list[Job]:
        """Jobs that an answer which finds nothing wrong brings to their end."""
        now, settled = time.monotonic(), []
        for job in self.awaiting:
            if status.state is PrinterState.PROCESSING:
                job._healthy = 0
                job._at_work = True
                continue
            job._healthy += 1
            if job._healthy == 1:
                job._healthy_since = now
            if job._healthy >= SETTLED_ANSWERS and now - job._healthy_since >= SETTLED_TIME:
                settled.append(job)
        return settled

    def fence(self, query: Query) -> None:
        """Have the printer tell when it has printed all that it was given, if it is not to tell that already.

        One at a time: printers keep the newest question alone.
        """
        if not self.fenced and self.awaiting:
            self.fenced, self.fenced_at = list(self.awaiting), time.monotonic()
            self._passed = self.printer.fences_passed
            self.printer.fence(query)

    def printed(self) -> list[Job]:
        """Jobs of which the printer has said that printing has come to their end; they are the first ones."""
        if not self.fenced or self.printer.fences_passed == self._passed:
            return []
        fenced, self.fenced = self.fenced, []
        return [job for job in fenced if job in self.awaiting]

    def unhealthy(self) -> None:
        """The printer is stopped or silent: what it said before proves nothing."""
        for job in self.awaiting:
            job._healthy = 0

    def outlasted(self) -> tuple[list[Job], float]:
        """Jobs after which the connection has held long enough, and when (monotonic) to look for the next."""
        now = time.monotonic()
        done = list(takewhile(lambda job: now - job._given_at >= SETTLED_TIME, self.awaiting))
        # Under load one ends after the other: they are looked at in batches.
        youngest = self.awaiting[len(done)]._given_at if len(done) < len(self.awaiting) else now
        return done, max(youngest + SETTLED_TIME, now + BATCH)

    # -- ends ----------------------------------------------------------------------------------------------------

    def end(self, jobs: list[Job]) -> None:
        """These have ended; they are the first ones, as they were given first."""
        self.awaiting = self.awaiting[len(jobs) :]

    def lost(self, error: Disconnected) -> tuple[list[Job], list[Job]]:
        """The connection ended by itself.

        Returns:
            The jobs of which nothing arrived, which can be printed again, and those of which something may have.
        """
        self.count()
        again: list[Job] = []
        uncertain: list[Job] = []
        for job in self.jobs():
            nothing = job._written == 0 or (job.bytes_accepted == 0 and not error.lost)
            (again if nothing else uncertain).append(job)
        for job in again:
            job._written = job.bytes_accepted = 0
        return again, uncertain
