"""The tickets of one virtual printer as somebody reads them: their text, and pictures of the paper."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rawprint.virtual.listener import Listener
    from rawprint.virtual.sheets import Printing


@dataclass(frozen=True, slots=True)
class Ticket:
    """One piece of paper that a printer has finished.

    Attributes:
        number: From 1 on, since the printer was switched on or reset.
        data: The bytes that reached the print side since the ticket before.
        lines: What is on it in the printer's own fonts: lines of a receipt, fields of a label.
        pictures: PNG files of it. Mostly one: copies are one picture; none where nothing is on it, or it is larger
            than any printer takes.
    """

    number: int
    data: bytes
    lines: tuple[str, ...]
    pictures: tuple[bytes, ...]


class Tickets:
    """Reads what a listener's printer has printed, when it is asked to. May be used from any thread.

    A ticket is drawn once and kept until the printer is reset, as the printer keeps its bytes. Whoever asks must not
    hold the listener's lock: the printer goes on while a ticket is drawn.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._begin(listener.resets)

    def _begin(self, resets: int) -> None:
        self._resets = resets
        self._done: list[Ticket] = []
        self._end = 0  # of the last ticket, in `printed`
        self._printer: Printing | None = None

    def all(self) -> tuple[Ticket, ...]:
        """Those that are finished by now, in order."""
        with self._lock:
            while self._draw_next():
                pass
            return tuple(self._done)

    def get(self, number: int) -> Ticket | None:
        """The ticket of that number, from 1 on; None = it is not finished."""
        with self._lock:
            while self._draw_next() and len(self._done) < number:
                pass
            return self._done[number - 1] if 1 <= number <= len(self._done) else None

    def uncut(self) -> tuple[str, ...]:
        """The lines that a receipt printer has printed since the last ticket; a label shows nothing before it is printed."""
        with self._lock:
            while self._draw_next():
                pass
            with self._listener.lock:
                data = self._listener.device.printed_after(self._end)
            try:
                printer = copy.deepcopy(self._on())  # what comes next goes on where the real one stands
                sheets = printer.job(data)
                printer.finish()
            except ValueError:
                return ()
            return tuple(line for sheet in (*sheets, *printer.done) for line in sheet.text)

    def _on(self) -> Printing:
        from rawprint.virtual.sheets import printing  # noqa: PLC0415

        if self._printer is None:
            self._printer = printing(self._listener.device.dialect)
        return self._printer

    def _draw_next(self) -> bool:
        """Draw the next ticket, if there is one."""
        with self._listener.lock:
            if self._listener.resets != self._resets:
                self._begin(self._listener.resets)
            ends = self._listener.device.ticket_ends_after(len(self._done))
            if not ends:
                return False
            data = self._listener.device.printed_after(self._end)[: ends[0] - self._end]
        lines: tuple[str, ...] = ()
        pictures: tuple[bytes, ...] = ()
        try:
            # Copies are one picture. What a ticket sets, such as the size of labels, stays so for the next.
            sheets = tuple(dict.fromkeys(self._on().job(data)))
            lines = tuple(line for sheet in sheets for line in sheet.text)
            pictures = tuple(sheet.png() for sheet in sheets)
        except ValueError:  # larger than any printer takes
            self._printer = None
        self._done.append(Ticket(len(self._done) + 1, data, lines, pictures))
        self._end = ends[0]
        return True
