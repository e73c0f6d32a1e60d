"""What every virtual printer has: a bounded receive buffer, a print side that empties it, and faults that stop it.

A device has no clock, no thread and no socket. Bytes go in with `receive`, come out with `output`, and
whoever carries them (a socket, a pipe, a test) says when time has passed.

    wire -> receive -> [tokenizer of the language] -> buffer -> print side -> printed
                              |                                    |
                      real-time commands                    queued commands
                              +------------> output <--------------+

The language's tokenizer sees bytes as they arrive; the commands that it finds are noted beside the buffer
and carried out when printing reaches their last byte.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from rawprint.status import Reason
from rawprint.virtual import clones

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rawprint.virtual.clones import Clone

# The smallest buffer in which a real-time sequence can wait for its end.
_SMALLEST_BUFFER = 64

# Seconds of printing done at a time where a speed is set.
_STEP = 0.02

# Reasons with which a printer goes on printing.
_HARMLESS = frozenset({Reason.MEDIA_LOW, Reason.MARKER_SUPPLY_LOW, Reason.DRAWER_OPEN, Reason.INPUT_BUFFER_FULL})

# What `babbler` says: 40 bytes, with ones in it that could pass for a status.
_BANNER = b"HTTP/1.1 400 Bad Request\r\nServer: sshd\r\n\x12\x14"[:40]


class Device(ABC):
    """One printer: bytes in, bytes out, faults in between. Not thread-safe; whoever carries the bytes locks.

    Attributes:
        clone: Its habits; a carrier reads `idle_reset` and `single_connection` there.
        buffer_size: How many bytes it takes while it does not print.
        tickets: How many pieces of paper are done: PRINT commands (TSPL), cuts (ESC/POS, Star).
        fed: How often a command that is no print moved paper.
        drawer_kicks: How often it opened the drawer (ESC/POS, Star).
    """

    dialect: ClassVar[str]
    reportable: ClassVar[frozenset[Reason]]
    """The reasons that this language has a bit for."""
    has_pushes: ClassVar[bool] = False
    """Whether this language can report changes without being asked."""

    def __init__(
        self,
        *,
        reasons: Iterable[str] = (),
        buffer_size: int = 8192,
        speed: float | None = None,
        media: int | None = None,
        push: bool = False,
        clone: str = "",
        idle_reset: float | None = None,
    ) -> None:
        """Switch the printer on.

        Args:
            reasons: What is wrong with it at the start.
            buffer_size: Bytes, at least 64.
            speed: Print bytes per second; None = at once.
            media: After how many print bytes the media runs out; None = never.
            push: Whether it reports changes of itself from power-up (ESC/POS and Star only).
            clone: A name in `CLONES`.
            idle_reset: Seconds, for the clone `drops-idle` only.

        Raises:
            ValueError: An option is out of its range, or the language has no such thing.
        """
        self.clone: Clone = clones.find(clone, self.dialect)
        if idle_reset is not None:
            if self.clone.idle_reset is None or not idle_reset > 0:
                raise ValueError("idle_reset is a number of seconds above 0 for the clone 'drops-idle'")
            self.clone = clones.with_idle_reset(self.clone, idle_reset)
        if buffer_size < _SMALLEST_BUFFER:
            raise ValueError(f"buffer_size must be {_SMALLEST_BUFFER} bytes or more")
        if push and not self.has_pushes:
            raise ValueError(f"{self.dialect} has no pushes that could be on from power-up")
        self.buffer_size = buffer_size
        self._media_at_start = _checked_media(media)
        self._speed_at_start = _checked_speed(speed)
        self._push_at_start = push
        self._host_present: bool | None = None  # None: nobody told, so somebody may be reading
        self._power_up()
        for reason in reasons:
            self._reasons[self._known(reason)] = True
        self._status_changed()

    def _power_up(self) -> None:
        self._reasons: dict[str, bool] = dict.fromkeys((r for r in Reason if r in self.reportable), False)
        self._received = bytearray()
        self._printed = bytearray()
        self._misprints = bytearray()
        self._ticket_ends: list[int] = []
        self.fed = 0
        self.drawer_kicks = 0
        self._out = bytearray()
        self._owed = b""  # the answer that a late printer has not sent yet
        self._buffer = bytearray()
        self._held = b""  # may be the beginning of a real-time sequence; not yet in the buffer
        self._commands: deque[tuple[int, bytes]] = deque()
        self._taken = 0  # print bytes that ever entered the buffer
        self._done = 0  # print bytes that ever left it
        self._deselected = False  # ESC = 0: throws away what it would print
        self._media: int | None = self._media_at_start
        self._reasons[Reason.MEDIA_EMPTY] = self._media == 0
        self._speed: float | None = self._speed_at_start
        self._last_time: float | None = None
        self._credit = 0.0  # the part of a byte that time has already paid for
        self._feed_left = 0.0  # seconds of feeding that a question set off
        self._fed_until: float | None = None  # the time up to which that was done
        self._restart()
        self._defaults()

    # -- the wire ---------------------------------------------------------------------------------

    def room(self) -> int:
        """How many more bytes it takes now; 0 = full, the carrier must stop reading."""
        return self.buffer_size - len(self._buffer) - len(self._held)

    def receive(self, data: bytes) -> None:
        """Take bytes from the wire.

        Raises:
            ValueError: They are more than `room()`; none of them was taken.
        """
        if len(data) > self.room():
            raise ValueError(f"{len(data)} bytes for a buffer with room for {self.room()}")
        self._received += data
        self._scan(bytes(data))
        self._print_at_once()

    def output(self) -> bytes:
        """The replies and pushes that wait to be sent, handed out once."""
        waiting = bytes(self._out)
        self._out.clear()
        return waiting

    def connected(self) -> None:
        """A host has come."""
        self._host_present = True
        self._out.clear()

    def disconnected(self) -> None:
        """The host has gone: what it did not fetch is lost, what it sent stays and is printed."""
        self._host_present = False
        self._out.clear()

    # -- the world --------------------------------------------------------------------------------

    def advance(self, now: float) -> float | None:
        """Print as much as the time since the last call allows, for printers with a `speed`; and feed what is to be fed.

        Args:
            now: Seconds on any clock that does not jump. Only time in which there was something to print counts.

        Returns:
            In how many seconds to call again, or None while there is nothing to do.
        """
        due = [seconds for seconds in (self._advance_feed(now), self._advance_print(now)) if seconds is not None]
        return min(due, default=None)

    def _advance_feed(self, now: float) -> float | None:
        if self._feed_left and self._fed_until is not None:
            self._feed_left = max(0.0, self._feed_left - (now - self._fed_until))
        self._fed_until = now if self._feed_left else None
        return self._feed_left or None

    def _advance_print(self, now: float) -> float | None:
        speed = self._speed
        if speed is None or not self._printing():
            self._last_time = None
            return None
        if self._last_time is not None:
            self._credit += max(0.0, now - self._last_time) * speed
            whole = int(self._credit)
            self._credit -= whole
            self._print(whole)
        self._last_time = now
        if not self._printing():
            self._last_time = None
            self._credit = 0.0
            return None
        return max(0.0, min(float(len(self._buffer)), max(1.0, speed * _STEP)) - self._credit) / speed

    def set(self, reason: str, value: bool) -> None:
        """Let a fault come or go; a printer that is well again goes on where it stopped.

        Raises:
            ValueError: This language cannot report such a reason.
        """
        known = self._known(reason)
        if known is Reason.MEDIA_EMPTY and not value:
            self._media = None
        self._reasons[known] = value
        self._status_changed()
        self._print_at_once()

    def refill(self, media: int | None) -> None:
        """Load media for so many print bytes; None = endless, 0 = none."""
        self._media = _checked_media(media)
        self._reasons[Reason.MEDIA_EMPTY] = media == 0
        self._status_changed()
        self._print_at_once()

    def reset(self) -> None:
        """As new: no fault, nothing received, nothing printed; speed and media as at the start."""
        self._power_up()
        self._status_changed()

    @property
    def speed(self) -> float | None:
        """Print bytes per second; None = at once."""
        return self._speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self._speed = _checked_speed(speed)
        self._print_at_once()

    # -- what a test looks at ---------------------------------------------------------------------

    @property
    def reasons(self) -> Mapping[str, bool]:
        """Every reason that this language can report, and whether it is so."""
        return MappingProxyType(self._reasons)

    @property
    def received(self) -> bytes:
        """Every byte read from the wire in order, queries and bytes that still wait included."""
        return bytes(self._received)

    @property
    def printed(self) -> bytes:
        """The bytes that reached the print side, in order; real-time sequences between commands never do."""
        return bytes(self._printed)

    @property
    def received_size(self) -> int:
        """How many bytes `received` has, without copying them."""
        return len(self._received)

    @property
    def printed_size(self) -> int:
        """How many bytes `printed` has, without copying them."""
        return len(self._printed)

    @property
    def misprints(self) -> bytes:
        """The bytes of unknown commands that came out as text (clone `prints-unknown`)."""
        return bytes(self._misprints)

    @property
    def tickets(self) -> int:
        """How many pieces of paper are done."""
        return len(self._ticket_ends)

    def ticket_ends_after(self, count: int) -> tuple[int, ...]:
        """For each ticket but the first `count`, the length of `printed` when it was done."""
        return tuple(self._ticket_ends[count:])

    def received_after(self, start: int) -> bytes:
        """The bytes of `received` from an offset on, without copying the rest."""
        return bytes(self._received[start:])

    def printed_after(self, start: int) -> bytes:
        """The bytes of `printed` from an offset on, without copying the rest."""
        return bytes(self._printed[start:])

    # -- what a language supplies -----------------------------------------------------------------

    @abstractmethod
    def _scan(self, data: bytes) -> None:
        """Split arriving bytes: `_take` what is to be printed, `_note` commands, act on real-time ones."""

    @abstractmethod
    def _restart(self) -> None:
        """Forget the command that is under way: the next byte begins a new one."""

    @abstractmethod
    def _execute(self, command: bytes) -> None:
        """Carry out a command that printing has reached."""

    @abstractmethod
    def _defaults(self) -> None:
        """Set what the language remembers to how it is at power-up."""

    def _status_changed(self) -> None:  # noqa: B027  # a language without pushes has nothing to do
        """Push the status, where the language does that."""

    # -- what a language uses ---------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Put print bytes into the buffer."""
        self._buffer += data
        self._taken += len(data)

    def _note(self, command: bytes) -> None:
        """The bytes taken so far end with this command; it is carried out when printing gets here."""
        self._commands.append((self._taken, command))

    def _clear(self) -> None:
        """Drop all that is not yet printed, with the command that is under way."""
        self._done = self._taken
        self._buffer.clear()
        self._commands.clear()
        self._held = b""
        self._restart()

    def _answer(self, reply: bytes) -> None:
        """Answer a question the way this printer answers."""
        if self.clone.babbles:
            reply = _BANNER
        if self.clone.late:
            reply, self._owed = self._owed, reply
        self._send(reply)

    def _asked(self) -> None:
        """A question about the status was answered: there are clones that feed paper at each."""
        if self.clone.feed_seconds and not self._stopped():
            self.fed += 1
            self._feed_left, self._fed_until = self.clone.feed_seconds, None

    @property
    def _feeding(self) -> bool:
        """Whether paper moves because of a question."""
        return self._feed_left > 0

    def _push(self, status: bytes) -> None:
        """Tell the host something unasked."""
        if not self.clone.babbles:
            self._send(status)

    def _misprint(self, command: bytes) -> None:
        """Print the bytes of a command as the text that they look like."""
        self._misprints += command
        self.fed += 1

    def _stopped(self) -> bool:
        return any(true for reason, true in self._reasons.items() if reason not in _HARMLESS)

    def _printing(self) -> bool:
        return bool(self._buffer) and not self._stopped()

    def _print_at_once(self) -> None:
        """Print all that can be printed, unless printing takes time.

        Also called before a real-time command is acted on, so that the order of replies does not depend on
        how the bytes were cut into packets.
        """
        if self._speed is None:
            self._print(len(self._buffer))

    # -- inside -----------------------------------------------------------------------------------

    def _print(self, allowed: int) -> None:
        """Print up to so many bytes; stops exactly where a fault comes."""
        while allowed > 0 and self._printing():
            size = min(allowed, len(self._buffer))
            if self._commands:
                size = min(size, self._commands[0][0] - self._done)
            if self._media is not None and not self._deselected:
                size = min(size, self._media)
                self._media -= size
            if not self._deselected:
                self._printed += self._buffer[:size]
            del self._buffer[:size]
            self._done += size
            allowed -= size
            while self._commands and self._commands[0][0] <= self._done:
                self._execute(self._commands.popleft()[1])
            if self._media == 0 and not self._reasons[Reason.MEDIA_EMPTY]:
                self._reasons[Reason.MEDIA_EMPTY] = True
                self._status_changed()

    def _ticket(self) -> None:
        self._ticket_ends.append(len(self._printed))

    def _send(self, data: bytes) -> None:
        if not self.clone.mute and self._host_present is not False:
            self._out += data

    def _known(self, reason: str) -> Reason:
        if reason not in self.reportable:
            known = ", ".join(r for r in Reason if r in self.reportable)
            raise ValueError(f"{self.dialect} has no reason {reason!r}; it has: {known}")
        return Reason(reason)


def _checked_media(media: int | None) -> int | None:
    if media is not None and media < 0:
        raise ValueError("media is a number of bytes, 0 or more, or None for endless")
    return media


def _checked_speed(speed: float | None) -> float | None:
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise ValueError("speed is a number of bytes per second above 0, or None for at once")
    return speed
