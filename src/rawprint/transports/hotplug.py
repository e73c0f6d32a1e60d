"""Notices that a printer was plugged in or out: by the kernel's events where Linux sends them, else by looking again."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path
from select import select
from typing import TYPE_CHECKING

from rawprint.errors import RawprintError
from rawprint.transports import finders

if TYPE_CHECKING:
    from collections.abc import Callable

_KERNEL_EVENTS = 15  # NETLINK_KOBJECT_UEVENT (linux/netlink.h)
_GROUP = 1  # the kernel's own; group 2 is udevd's
_LONGEST = 8192  # bytes of an event; the kernel's own are at most 2 KiB (UEVENT_BUFFER_SIZE)
_SUBSYSTEMS = frozenset({b"usb", b"usbmisc", b"tty"})
_ACTIONS = frozenset({b"add", b"remove", b"bind", b"unbind", b"change"})

_LOOK_EVERY = 1.5  # seconds; also beside events, which some containers do not get
# One plug is a dozen events: they are told as one when it is quiet, or after a while all the same.
_QUIET, _NOT_LATER = 0.15, 0.6
_SETTLED = 0.7  # and once more when udevd will have given users their rights
_SHOWN = (Path("/sys/bus/usb/devices"), Path("/sys/class/usbmisc"), Path("/sys/class/tty"))


def is_plug(event: bytes) -> bool:
    """Whether a kernel event tells of something that may be a printer, or the way to one. Never raises."""
    head, *lines = event[:_LONGEST].split(b"\0")[:64]
    if b"@" not in head:  # libudev's own format, which is not for us
        return False
    keys = dict(line.split(b"=", 1) for line in lines if b"=" in line)
    return keys.get(b"SUBSYSTEM") in _SUBSYSTEMS and keys.get(b"ACTION") in _ACTIONS


class CableWatch:
    """Calls back when something on this machine's cables may have changed. Nothing is opened, claimed or sent.

    Linux tells by events; where none come, names in /sys are compared every 1.5 s, and on other systems the list of
    printers. A call may come for nothing, and comes again a moment later: rights are given after the event.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Begin.

        Args:
            on_change: Called in a thread of this object's own.
        """
        self._on_change = on_change
        self._awake, self._wake = socket.socketpair()
        self._events = _kernel_events()
        self._thread = threading.Thread(target=self._run, name="rawprint watches cables", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it; from then on nothing is called."""
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        sources = [self._awake] if self._events is None else [self._awake, self._events]
        last = _look()
        since = again_at = None
        try:
            while True:
                now = time.monotonic()
                waits = [_LOOK_EVERY]
                if since is not None:
                    waits.append(max(min(_QUIET, since + _NOT_LATER - now), 0.0))
                if again_at is not None:
                    waits.append(max(again_at - now, 0.0))
                ready, _, _ = select(sources, [], [], min(waits))
                if self._awake in ready:
                    return
                now = time.monotonic()
                if ready:
                    if self._heard():
                        since = since or now
                    if since is None or now - since < _NOT_LATER:
                        continue
                elif since is None and again_at is None:
                    seen = _look()
                    if seen != last:
                        last, since = seen, now
                    continue
                if since is not None or (again_at is not None and now >= again_at):
                    again_at = now + _SETTLED if since is not None else None
                    since = None
                    last = _look()
                    self._on_change()
        finally:
            for sock in (self._awake, self._wake, self._events):
                if sock is not None:
                    sock.close()

    def _heard(self) -> bool:
        if self._events is None:
            return False
        try:
            return is_plug(self._events.recv(_LONGEST))
        except OSError:  # more events than the kernel keeps: something has happened
            return True


def _kernel_events() -> socket.socket | None:
    """The kernel's events; None where there are none."""
    if sys.platform != "linux":
        return None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _KERNEL_EVENTS)
    except OSError:
        return None
    try:
        sock.bind((0, _GROUP))
    except OSError:
        sock.close()
        return None
    return sock


def _look() -> frozenset[str]:
    """What is plugged in, by names that change when something else is."""
    if sys.platform == "linux":
        names: set[str] = set()
        for folder in _SHOWN:
            with contextlib.suppress(OSError):
                names.update(str(entry) for entry in folder.iterdir())
        return frozenset(names)
    found: set[str] = set()
    for find in finders().values():
        with contextlib.suppress(RawprintError):
            found.update(one.address for one in find())
    return frozenset(found)
