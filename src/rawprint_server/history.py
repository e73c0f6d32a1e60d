"""`History`: how one printer stood in the last day, change by change."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from rawprint_server.messages import ChangeView

DAY = timedelta(hours=24)
MOST = 500
"""Changes of one printer: one that stops and goes on all day has more, and the oldest go."""


class History:
    """The changes of one printer; in memory, so it begins with the server."""

    def __init__(self) -> None:
        self._changes: deque[ChangeView] = deque(maxlen=MOST)

    def add(self, change: ChangeView) -> None:
        """One more change, the newest."""
        self._changes.append(change)

    def since(self, now: datetime) -> list[ChangeView]:
        """Those of the last day, the oldest first; how it stood when that day began counts as a change of that moment."""
        begin, changes = now - DAY, self._changes
        while len(changes) > 1 and changes[1].at <= begin:
            changes.popleft()
        return [change if change.at >= begin else msgspec.structs.replace(change, at=begin) for change in changes]
