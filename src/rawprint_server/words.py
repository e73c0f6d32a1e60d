"""What several sources have said of one printer, as one status: each reason by the last one that reported it."""

from __future__ import annotations

from rawprint import PrinterStatus


class Words:
    """The last word of each source: the printer's own connection, and the channels beside it."""

    def __init__(self) -> None:
        self._last: dict[str, PrinterStatus] = {}  # the newest at the end

    def hear(self, status: PrinterStatus) -> None:
        """Somebody said this just now."""
        self._last.pop(status.source, None)
        self._last[status.source] = status

    def forget(self, source: str) -> None:
        """That one is silent now: what it said holds no more."""
        self._last.pop(source, None)

    def together(self) -> PrinterStatus | None:
        """All of it; None where nobody has said anything. A channel that has no bit for a cover does not close it."""
        words = list(self._last.values())
        if len(words) < 2:
            return words[0] if words else None
        newest = words[-1]
        reasons = {reason: true for status in words for reason, true in status.reasons.items()}
        said = [status.processing for status in words if status.processing is not None]
        return PrinterStatus(reasons, said[-1] if said else None, newest.raw, newest.at, newest.source)
