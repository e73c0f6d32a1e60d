"""A network printer's state, asked beside its print connection: once, or again and again from a thread."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from rawprint import address as addresses
from rawprint.errors import AddressError, BadReply, RawprintError
from rawprint.status import Exchange, PrinterStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rawprint.channels import Channel, Report

# Seconds. A channel that has never answered may not exist; one that has will come back with its printer.
_LONGEST_PAUSE = 60.0
_LONGEST_PAUSE_KNOWN = 5.0
_MOST_DOUBLINGS = 16
_JITTER = 0.25  # of a back-off pause, so that many watches do not ask in step
_LONGEST_WAIT = 3600.0


def ask_aside(address: str, channel: str, timeout: float = 1.0) -> PrinterStatus:
    """Ask a network printer how it is without touching its print connection; a job may be going out meanwhile.

    Args:
        address: The printer's, tcp://HOST; its port does not matter here.
        channel: "snmp", "epson", "star" or "tsc"; NAME:PORT for another port than the usual one.
        timeout: Seconds for the answer, name look-up excepted.

    Raises:
        AddressError: The address is not of a network printer, or there is no such channel.
        NoReply: No answer, which says nothing about the printer's state.
        BadReply: The answer cannot be read, or is that the printer does not know.
        OpenError: The host cannot be reached, or offers no such channel.
        Disconnected: The printer ended the connection without an answer.
    """
    return _ask(_host(address), _channel(channel), timeout)


def _host(address: str) -> str:
    parsed = addresses.parse(address)
    if not isinstance(parsed, addresses.TcpAddress):
        raise AddressError(
            f"{address[:80]!r} is no network printer", hint="only tcp:// addresses can be asked beside the connection"
        )
    return parsed.host


def _channel(name: str) -> Channel:
    from rawprint.channels import by_name  # noqa: PLC0415  (most programs ask no channel)

    return by_name(name)


def _ask(host: str, channel: Channel, timeout: float) -> PrinterStatus:
    deadline = time.monotonic() + timeout
    raw: list[Exchange] = []
    for question in channel.questions:
        request = question(int.from_bytes(os.urandom(4), "big") >> 1)
        reply, report = _exchange(host, channel, request, deadline - time.monotonic())
        raw.append(Exchange(request, reply))
        if not report.is_empty:
            return PrinterStatus(report.reasons, report.processing, tuple(raw), source=channel.name)
    raise BadReply(
        f"{host} answers, but does not tell its state by {channel.name}",
        raw=raw[-1].received,
        hint="this printer needs another channel, or none",
    )


def _exchange(host: str, channel: Channel, request: bytes, timeout: float) -> tuple[bytes, Report]:
    from rawprint.transports.aside import exchange  # noqa: PLC0415  (loads sockets)

    return exchange(
        host,
        channel.port,
        channel.protocol,
        request,
        lambda reply: channel.decode(reply, request),
        timeout=timeout,
        max_reply=channel.max_reply,
    )


class _Turn:
    """When to ask one channel again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.channel = _channel(name)
        self._asked_at = -math.inf
        self._failures = 0  # in a row
        self._known = False  # it has answered before
        self._stretch = 1.0

    def due(self, interval: float) -> float:
        """The time (monotonic seconds) of its next question; infinite where the watch pauses."""
        if not interval:
            return math.inf
        if not self._failures:
            return self._asked_at + interval
        longest = max(_LONGEST_PAUSE_KNOWN if self._known else _LONGEST_PAUSE, interval)
        return self._asked_at + min(interval * (1 << min(self._failures, _MOST_DOUBLINGS)), longest) * self._stretch

    def note(self, *, answered: bool) -> None:
        """It was asked, just now."""
        self._asked_at = time.monotonic()
        self._known = self._known or answered
        self._failures = 0 if answered else self._failures + 1
        self._stretch = 1 - _JITTER * int.from_bytes(os.urandom(2), "big") / 65535


class AsideWatch:
    """Asks one printer's channels again and again, from one thread, until closed.

    A channel that does not answer is asked less and less often: at last once a minute if it never has answered, every 5 s
    if it has. Callbacks come from the watch's thread and must not block; what they raise goes to threading.excepthook.
    """

    def __init__(
        self,
        address: str,
        channels: Sequence[str],
        *,
        on_status: Callable[[str, PrinterStatus], None],
        on_silence: Callable[[str, RawprintError], None] | None = None,
        interval: float = 2.0,
        timeout: float = 1.0,
    ) -> None:
        """Begin: the first question goes out at once.

        Args:
            address: The printer's, tcp://HOST.
            channels: As for `ask_aside`; asked in this order.
            on_status: Called with a channel's name, as it was given, and each answer.
            on_silence: Called with the name and the error for each question without an answer.
            interval: Seconds between two questions to a channel that answers; 0: none until that is changed.
            timeout: Seconds for each answer.

        Raises:
            AddressError: As `ask_aside`.
            ValueError: The interval or the time-out is out of its range.
        """
        if not (math.isfinite(timeout) and timeout > 0):
            raise ValueError(f"a time-out is a number of seconds above 0, not {timeout}")
        self._host = _host(address)
        self._turns = [_Turn(name) for name in channels]
        self._on_status = on_status
        self._on_silence = on_silence
        self._interval = _checked(interval)
        self._timeout = timeout
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"rawprint aside {self._host}", daemon=True)
        self._thread.start()

    @property
    def interval(self) -> float:
        """Seconds between two questions to a channel that answers; 0: the watch pauses. Can be changed at any time."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        with self._changed:
            self._interval = _checked(seconds)
            self._changed.notify()

    def close(self, timeout: float = 2.0) -> None:
        """End. An answer that is awaited is waited for, so that no callback comes after this returns.

        Args:
            timeout: Seconds to wait at most for the thread, which ends by itself in any case; 0 to close many watches at
                once, and then to wait for each. From a callback it never waits.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (turn := self._next()) is not None:
            try:
                status = _ask(self._host, turn.channel, self._timeout)
            except RawprintError as error:
                turn.note(answered=False)
                self._tell(self._on_silence, turn.name, error)
            except Exception:  # noqa: BLE001  (a bug, or a system out of memory: the watch goes on)
                turn.note(answered=False)
                _show()
            else:
                turn.note(answered=True)
                self._tell(self._on_status, turn.name, status)

    def _next(self) -> _Turn | None:
        """Wait until a channel is due; None: closed."""
        with self._changed:
            while not self._closed:
                turn = min(self._turns, key=lambda turn: turn.due(self._interval), default=None)
                pause = turn.due(self._interval) - time.monotonic() if turn else math.inf
                if turn and pause <= 0:
                    return turn
                self._changed.wait(min(pause, _LONGEST_WAIT))
        return None

    def _tell(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        if callback is None or self._closed:
            return
        try:
            callback(*arguments)
        except Exception:  # noqa: BLE001  (somebody else's code)
            _show()


def _checked(interval: float) -> float:
    if not (math.isfinite(interval) and interval >= 0):
        raise ValueError(f"an interval is a number of seconds, 0 or more, not {interval}")
    return interval


def _show() -> None:
    """Show the exception that is being handled, as an exception of a thread is shown."""
    with contextlib.suppress(Exception):
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
