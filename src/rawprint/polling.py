"""When an idle printer is asked for those who watch it, and whether asking makes it feed paper."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from rawprint.status import Reason

if TYPE_CHECKING:
    from rawprint.status import PrinterStatus

# Some printers feed at every question (print_bluetooth_thermal issue 74: every 3-4 minutes, as often as they were
# asked). The first questions are watched for that, and later ones while there is a suspicion; three in a row prove it.
_TRIALS = 3
_PROOF = 3
_FEED_SHOWS = 0.15  # seconds after the question at which a feed that it began can be seen


class Polling:
    """The poll of one printer. Used by the queue's thread alone.

    Attributes:
        every: Seconds between two questions; None: nobody watches.
        at: When to ask next (monotonic seconds); infinite: never.
    """

    def __init__(self) -> None:
        self.every: float | None = None
        self.at = float("inf")
        self._trials = 0
        self._fed = 0  # how often in a row
        self._was_still: bool | None = None  # before the question whose effect is to be seen

    def set(self, every: float | None, first: float) -> None:
        """Ask every so many seconds from now on; None: no more.

        Args:
            every: Seconds, of which a tenth is left to chance, so that many printers are not asked in step.
            first: Seconds until the first question, where none was asked regularly before.
        """
        begins = self.every is None
        self.every = every
        if every is None:
            self.at = float("inf")
            self._was_still = None
        else:
            self.at = min(self.at, time.monotonic() + (first if begins else every))

    def soon(self) -> None:
        """Ask at the next opportunity."""
        if self.every is not None:
            self.at = time.monotonic()

    def later(self, at: float | None = None) -> None:
        """The question was asked, or could not be: the next one comes in its time, or `at` that moment."""
        self._was_still = None
        if self.every is not None:
            jitter = 1 - 0.1 * os.urandom(1)[0] / 255
            self.at = time.monotonic() + self.every * jitter if at is None else at

    # -- feeding -------------------------------------------------------------------------------------------------

    @property
    def on_trial(self) -> bool:
        """Whether to look if the printer stands still before it is asked."""
        return self._trials < _TRIALS or self._fed > 0

    @property
    def looks_after(self) -> bool:
        """Whether what comes next is only a look at what the last question did."""
        return self._was_still is not None

    def asked(self, before: PrinterStatus, status: PrinterStatus) -> None:
        """On trial, the printer was asked: `before` is its first word, `status` the whole answer."""
        if moves(before) or self.every is None:
            self.later()  # somebody else prints: nothing can be told
            return
        self._was_still = not moves(status)
        self.at = time.monotonic() + _FEED_SHOWS

    def looked(self, after: PrinterStatus) -> bool:
        """What the printer says some moments after the question; whether it is proven now that asking feeds."""
        fed = not self._was_still or moves(after)
        self._trials += 1
        self._fed = self._fed + 1 if fed else 0
        self.later()
        return self._fed >= _PROOF


def moves(status: PrinterStatus) -> bool:
    """Whether the printer says that paper moves."""
    return bool(status.processing) or bool(status.reasons.get(Reason.FEED_BUTTON))
