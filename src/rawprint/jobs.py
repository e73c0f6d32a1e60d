"""Jobs: what a caller holds of the bytes that it gave to a queue."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from rawprint.errors import RawprintError
    from rawprint.status import PrinterStatus, Reason


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


class Kind(Enum):
    """How a job takes its turn."""

    TICKET = "in its order"
    KICK = "before the jobs that wait, and only on a printer that is ready: a drawer opens at once or not at all"
    KICK_REAL_TIME = "the same, on a printer that is stopped, too"


_OPEN_STATES = (JobState.PENDING, JobState.PROCESSING, JobState.STOPPED)


class Job:
    """Bytes that are printed as one unit. Made by `PrintQueue.submit`; may be read from any thread.

    Attributes:
        id: The caller's own name for it, or one made up.
        state: See JobState.
        bytes_total: Its length.
        bytes_accepted: How many of its bytes the far side has taken: over TCP what the printer's host has
            acknowledged (Linux; elsewhere what the connection was given).
        evidence: What its end rests on: "acknowledged" or "handed-over" (what `bytes_accepted` counts), "status"
            (after the last byte the printer said that it is idle and nothing is wrong).
        reasons: What the printer said while the job waits or is stopped; may be empty.
        error: Why it is not printed yet, or what ended it.
        priority: From 1 to 100 (IPP's job-priority); a higher one goes before the lower ones that wait.
    """

    def __init__(
        self,
        id: str,
        data: bytes | memoryview,
        changed: threading.Condition,
        wake: Callable[[], None],
        *,
        expires_at: float = float("inf"),
        kind: Kind = Kind.TICKET,
        priority: int = 50,
    ) -> None:
        self.id = id
        self.state = JobState.PENDING
        self.bytes_total = len(data)
        self.bytes_accepted = 0
        self.evidence: tuple[str, ...] = ()
        self.reasons: Mapping[Reason, bool] = {}
        self.error: RawprintError | None = None
        self._changed = changed
        self._wake = wake
        # All below belongs to the queue's thread, which lets go of the data when the job has ended.
        self._data: bytes | memoryview = data
        self._expires_at = expires_at  # monotonic seconds; not begun after that
        self._kind = kind
        self.priority = priority
        self._seq: int | None = None  # its number in the journal; None: it is not there
        self._started = False  # whether the journal has that its first byte may have gone out
        self._left = False  # the queue was closed before it began; it is kept in the journal
        self._cancel = False
        self._breaks = 0  # how often printing it ran into a bug
        self._written = 0
        self._start = 0  # where it begins in the bytes of its connection
        self._before: PrinterStatus | None = None  # what the printer had reported when it began
        self._given_at = 0.0  # when its last byte was given
        self._healthy = 0  # how often in a row the printer was found healthy and idle after that
        self._healthy_since = 0.0
        self._at_work = False  # whether it was found at work after that

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state.ended

    @property
    def taken(self) -> bool:
        """Whether the far side has taken every byte."""
        return self.bytes_accepted == self.bytes_total and self.state is not JobState.PENDING

    def wait(self, timeout: float | None = None, *, until: Literal["ended", "taken", "begun"] = "ended") -> bool:
        """Wait until the job has ended, or until every byte was taken, or the first was given (or it ended without that).

        Args:
            timeout: Seconds; None waits without end.
            until: What to wait for.

        Returns:
            Whether it came to that in time; False also where the queue was closed, and its journal keeps the job for later.
        """

        def done() -> bool:
            return self.ended or (until == "taken" and self.taken) or (until == "begun" and self._written > 0)

        with self._changed:
            self._changed.wait_for(lambda: done() or self._left, timeout)
            return done()

    def cancel(self) -> bool:
        """Ask that it be not printed, or not to its end; False where it is too late.

        A pending job is never printed. One that is being printed stops within a quarter of a second, and
        `error.written` says how far it came.
        """
        if self.ended or self._written == self.bytes_total:
            return False
        self._cancel = True
        self._wake()
        return True

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state} {self.bytes_accepted}/{self.bytes_total}>"
