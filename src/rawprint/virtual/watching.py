"""What an open page of a virtual printer's control port is told, as it happens."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from rawprint.virtual.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.virtual.device import Device
    from rawprint.virtual.listener import Listener
    from rawprint.virtual.reading import Piece
    from rawprint.virtual.tickets import Ticket, Tickets

# How many pieces of what came are kept for a page that is opened later, and told in one event.
_KEPT = 1000
_AT_ONCE = 200

# Lines of a ticket that a page is told.
_MOST_LINES = 200

# Seconds after an event in which changes are gathered for the next.
_GATHER = 0.05

# Seconds without a change after which a page is told that all is well: with that, one that has gone is found.
_HEARTBEAT = 15.0


class Arrivals:
    """What came over the wire, in pieces; read once for all pages, and not before there is one."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._begin(listener.resets)

    def _begin(self, resets: int) -> None:
        self._resets = resets
        self._reader = Reader(self._listener.device.dialect)
        self._read = 0  # bytes
        self._pieces: deque[Piece] = deque(maxlen=_KEPT)
        self._count = 0  # of all pieces since the start

    def after(self, count: int) -> tuple[int, list[Piece], tuple[int, bytes]]:
        """The pieces but for the first `count`: how many they are then in all, the oldest that are kept, and what is still open."""
        with self._lock:
            with self._listener.lock:
                if self._listener.resets != self._resets:
                    self._begin(self._listener.resets)
                data = self._listener.device.received_after(self._read)
            self._read += len(data)
            for piece in self._reader.feed(data):
                self._pieces.append(piece)
                self._count += 1
            first = max(count, self._count - len(self._pieces))
            skipped = len(self._pieces) - (self._count - first)
            new = [self._pieces[at] for at in range(skipped, min(skipped + _AT_ONCE, len(self._pieces)))]
            return first + len(new), new, self._reader.pending


def ticket_view(ticket: Ticket) -> dict[str, object]:
    """A ticket as JSON shows it; `bytes` is how many, `sheets` how many different pictures there are of it."""
    return {
        "number": ticket.number,
        "lines": list(ticket.lines),
        "bytes": len(ticket.data),
        "sheets": len(ticket.pictures),
    }


def events(
    listener: Listener, tickets: Tickets, arrivals: Arrivals, stopping: threading.Event
) -> Iterator[tuple[str, object]]:
    """Tell one page everything from the start, and then each change: pairs of an event's name and its JSON.

    `begin` {}: forget all that was told, for this is another life of the printer. `state`: `Listener.counts`. `bytes`:
    {"pieces": […], "open": {"at", "hex"}}, where `open` is a command whose rest has not come. `ticket`: see
    `ticket_view`. `beat` {}: nothing has happened for a while.

    Ends soon after `stopping` is set and `Listener.look_again` was called.
    """
    told: dict[str, object] = {}
    half: tuple[int, bytes] = (0, b"")
    pieces_told = tickets_told = 0
    while not stopping.is_set():
        counts = listener.counts()
        if counts["resets"] != told.get("resets"):
            half, pieces_told, tickets_told = (0, b""), 0, 0
            yield "begin", {}
        if counts != told:
            told = counts
            yield "state", counts
        pieces_told, pieces, now_half = arrivals.after(pieces_told)
        if pieces or now_half != half:
            half = now_half
            yield "bytes", {"pieces": [_piece_view(piece) for piece in pieces], "open": _open_view(half)}
        ticket = tickets.get(tickets_told + 1)
        if ticket is not None:
            tickets_told += 1
            yield "ticket", {**ticket_view(ticket), "lines": list(ticket.lines[:_MOST_LINES])}
        if ticket is not None or len(pieces) == _AT_ONCE:
            continue
        stopping.wait(_GATHER)
        if not listener.wait(partial(_changed, listener, told, stopping), _HEARTBEAT):
            yield "beat", {}


def _changed(listener: Listener, told: dict[str, object], stopping: threading.Event, _: Device) -> bool:
    return stopping.is_set() or listener.counts() != told


def _piece_view(piece: Piece) -> dict[str, object]:
    return {
        "at": piece.at,
        "size": piece.size,
        "kind": piece.kind,
        "shown": piece.shown,
        "meaning": piece.meaning,
        "hex": piece.head.hex(),
    }


def _open_view(half: tuple[int, bytes]) -> dict[str, object]:
    at, data = half
    return {"at": at, "size": len(data), "hex": data[:64].hex()}
