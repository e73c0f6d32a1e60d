"""When an idle printer is asked for those who watch it, and whether asking makes it feed paper."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from rawprint.status import PrinterState, Reason

if TYPE_CHECKING:
    from rawprint.status import PrinterStatus

# Some printers feed at every question (print_bluetooth_thermal issue 74: every 3-4 minutes, as often as they were
# asked). The first polls are watched for that, and whatever is asked while there is a suspicion; three in a row prove it.
_TRIALS = 3
_PROOF = 3
_SUSPICION = 4  # answers in a row that paper moves, as it would if each question moved it
FEED_SHOWS = 0.15  # seconds after a question at which a feed that it began can be seen
FEED_ENDS = 0.75  # seconds after which it is over


class Polling:
    """The poll of one printer. Used by the queue's thread alone.

    Attributes:
        every: Seconds between two questions; None: nobody watches.
        at: When to ask next (monotonic seconds); infinite: never.
    """

    def __init__(self) -> None:
        self.every: float | None = None
        self.at = float("inf")
        self.anew()

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
        else:
            self.at = min(self.at, time.monotonic() + (first if begins else every))

    def soon(self) -> None:
        """Ask at the next opportunity."""
        if self.every is not None:
            self.at = time.monotonic()

    def later(self, at: float | None = None) -> None:
        """The question is asked, or could not be: the next one comes in its time, or `at` that moment."""
        if self.every is not None:
            jitter = 1 - 0.1 * os.urandom(1)[0] / 255
            self.at = time.monotonic() + self.every * jitter if at is None else at

    # -- feeding -------------------------------------------------------------------------------------------------

    def anew(self) -> None:
        """It is another printer."""
        self._trials = 0
        self._fed = 0  # how often in a row
        self._moving = 0  # answers in a row that paper moves

    @property
    def suspects(self) -> bool:
        """Whether asking may be what moves the paper."""
        return self._fed > 0 or self._moving >= _SUSPICION

    @property
    def on_trial(self) -> bool:
        """Whether to look what a poll does."""
        return self._trials < _TRIALS or self.suspects

    def heard(self, status: PrinterStatus) -> None:
        """The printer was asked."""
        self._moving = self._moving + 1 if moves(status) else 0

    def can_tell(self, before: PrinterStatus) -> bool:
        """Whether the printer's first word says that it stood still until it was asked."""
        still = not moves(before) and before.state is not PrinterState.STOPPED
        if not still:
            self._fed = 0  # somebody else prints, or holds the FEED button
        return still

    def judge(self, *asked: PrinterStatus) -> bool:
        """Whether it is proven now that asking feeds paper, by what a printer that stood still said after the question."""
        self._trials += 1
        self._fed = self._fed + 1 if any(map(moves, asked)) else 0
        if not self._fed:
            self._moving = 0
        return self._fed >= _PROOF


def moves(status: PrinterStatus) -> bool:
    """Whether the printer says that paper moves."""
    return bool(status.processing) or bool(status.reasons.get(Reason.FEED_BUTTON))
