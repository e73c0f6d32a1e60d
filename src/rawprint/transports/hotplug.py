"""Notices when something is plugged into this machine, or pulled out: by the kernel's events, and by looking.

Nothing is opened or claimed by that, and no printer is asked anything.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from rawprint.transports import finders

if TYPE_CHECKING:
    from collections.abc import Callable

# All in seconds.
_QUIET, _LONGEST = 0.1, 0.5  # a device comes with a dozen events: looked at once they pause, or go on for so long
_AGAIN = 1.0  # after that once more: where udev runs beside a container, nobody says when it has set names and rights
_EVERY = 1.0  # between two looks at what is there, for systems and containers that get no events
_SHARE = 200  # times as long as such a look took nobody looks again: it costs half a percent of a core at most

_NETLINK_KOBJECT_UEVENT = 15
_KERNEL, _UDEV = 1, 2  # groups, as a mask
_SUBSYSTEMS = frozenset({"usb", "usbmisc", "tty"})
_UDEV_RUNS = "/run/udev/control"
_UDEV_MAGIC = 0xFEEDCAFE
_MOST_BYTES, _MOST_FIELDS = 8192, 64  # of an event; the kernel's have 2 KiB and 64 at most
_MOST_EVENTS = 256  # that are read at a time
_FOLDERS = ("/sys/bus/usb/devices", "/sys/class/usbmisc", "/sys/class/tty")


class Event(NamedTuple):
    """A uevent.

    Attributes:
        action: Such as "add", "remove", "bind".
        subsystem: Such as "usb", "tty".
        by_udev: Whether udev has passed it on, once names and rights were set.
    """

    action: str
    subsystem: str
    by_udev: bool


def parse(message: bytes) -> Event | None:
    """A message of the kernel's or of udev's; None: it is neither. Never raises."""
    fields, by_udev = message[:_MOST_BYTES], message.startswith(b"libudev\0")
    if by_udev:  # struct udev_monitor_netlink_header: magic, its size, where the fields are and how long, and more
        if len(message) < 24:
            return None
        magic, _, start, length = struct.unpack_from("=IIII", message, 8)
        if socket.ntohl(magic) != _UDEV_MAGIC:
            return None
        fields = fields[start : start + length]
    pairs = dict(text.partition(b"=")[::2] for text in fields.split(b"\0", _MOST_FIELDS)[:_MOST_FIELDS])
    action, subsystem = pairs.get(b"ACTION"), pairs.get(b"SUBSYSTEM")
    if not action or not subsystem:
        return None
    return Event(action.decode("ascii", "replace"), subsystem.decode("ascii", "replace"), by_udev)


def counts(event: Event, *, udev_runs: bool) -> bool:
    """Whether a printer may have come or gone.

    Where udev runs, what comes counts once udev has set its rights: opened before that, it would be forbidden.
    """
    return event.subsystem in _SUBSYSTEMS and (event.by_udev or event.action == "remove" or not udev_runs)


class Pace:
    """When to look, after events that come in crowds. Moments are monotonic seconds.

    Attributes:
        at: The next moment; infinite: none.
    """

    def __init__(self) -> None:
        self.at = self._latest = float("inf")

    def happened(self, now: float) -> None:
        """Something came or went."""
        if self._latest == float("inf"):
            self._latest = now + _LONGEST
        self.at = min(now + _QUIET, self._latest)

    def looked(self, now: float) -> None:
        """Somebody looks; after events, again a moment later."""
        self.at = float("inf") if self._latest == float("inf") else now + _AGAIN
        self._latest = float("inf")


class CableWatch:
    """Calls back, from a thread of its own, when printers may have been plugged in or out, within 2 s.

    On Linux it hears the kernel's events, and looks what is there once a second, as many containers hear none.
    Elsewhere it looks alone, less often where that takes long.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Begin.

        Args:
            on_change: Called after a change, and once more a second later; often nothing has changed that matters. While
                it runs nothing is missed. An exception goes to threading.excepthook.

        Raises:
            OSError: The system is short of file descriptors.
        """
        self._on_change = on_change
        self._pace = Pace()
        self._closed = False
        self._asked = False
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._events = _events()
        for one in (self._woken, self._waker):
            one.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="rawprint watches cables", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Call back soon, whether anything has changed or not."""
        self._asked = True
        self._wake()

    def close(self) -> None:
        """End; a call back that runs is waited for, unless this is called from it. Closing twice is fine."""
        self._closed = True
        self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # so many wait in it already, or it has ended
            self._waker.send(b"\0")

    def _run(self) -> None:
        with self._selector, self._woken, self._waker, self._events or contextlib.nullcontext():
            self._selector.register(self._woken, selectors.EVENT_READ)
            if self._events is not None:
                self._selector.register(self._events, selectors.EVENT_READ)
            there, cost = _there()
            list_at = time.monotonic() + max(_EVERY, _SHARE * cost)
            while not self._closed:
                ready = self._selector.select(max(min(self._pace.at, list_at) - time.monotonic(), 0))
                sources = [key.fileobj for key, _ in ready]
                if self._woken in sources:
                    self._woken.recv(4096)
                if self._events in sources and self._heard(self._events):
                    self._pace.happened(time.monotonic())
                now = time.monotonic()
                if now >= list_at or now >= self._pace.at:
                    before, (there, cost) = there, _there()
                    list_at = now + max(_EVERY, _SHARE * cost)
                    if there != before and self._pace.at == float("inf"):
                        self._pace.happened(now)
                due = now >= self._pace.at
                if due:
                    self._pace.looked(now)
                if (due or self._asked) and not self._closed:
                    self._asked = False
                    self._call()

    def _heard(self, events: socket.socket) -> bool:
        """Whether one of the events that wait counts."""
        udev_runs, some = os.path.exists(_UDEV_RUNS), False  # noqa: PTH110
        for _ in range(_MOST_EVENTS):
            try:
                event = parse(events.recv(_MOST_BYTES))
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: there were more than the system keeps
                some = True
                continue
            some = some or (event is not None and counts(event, udev_runs=udev_runs))
        return some

    def _call(self) -> None:
        try:
            self._on_change()
        except Exception:  # noqa: BLE001  (somebody else's code must not end the watch)
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def _events() -> socket.socket | None:
    """Where Linux tells its uevents; None: nowhere. Only root can send there."""
    if sys.platform != "linux":
        return None
    try:
        events = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_KOBJECT_UEVENT
        )
    except OSError:
        return None
    try:
        events.bind((0, _KERNEL | _UDEV))
    except OSError:
        events.close()
        return None
    return events


def _there() -> tuple[frozenset[object], float]:
    """What is plugged in, to be compared with itself, and the seconds of a processor that it took to see that."""
    began = time.thread_time()
    there = frozenset(_entries() if sys.platform == "linux" else _found())
    return there, time.thread_time() - began


def _entries() -> set[object]:
    """What the kernel shows; what was plugged in anew has another number."""
    entries: set[object] = set()
    for folder in _FOLDERS:
        with contextlib.suppress(OSError), os.scandir(folder) as shown:
            entries.update((entry.name, entry.inode()) for entry in shown)
    return entries


def _found() -> set[object]:
    """What the transports find."""
    found: set[object] = set()
    for find in finders().values():
        with contextlib.suppress(Exception):  # one that cannot be had here has no printers
            found.update((one.address, one.place, one.error is None) for one in find())
    return found
