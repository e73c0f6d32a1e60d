"""Finds the printers of this machine: every transport's own list, all under one deadline."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from rawprint.errors import OpenError, RawprintError
from rawprint.transports import finders

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.transports import Found


class Discovery(NamedTuple):
    """What was found.

    Attributes:
        found: The printers, and the serial ports at which one may hang, in a steady order.
        failures: Scheme -> why its printers could not be listed.
    """

    found: tuple[Found, ...]
    failures: dict[str, RawprintError]


def discover(timeout: float = 3.0, scan: str | None = None) -> Discovery:
    """List the printers of this machine. Nothing is claimed, opened or printed by that, and no network is asked.

    A printer that the kernel's driver has is listed twice on Linux: as usb:// and as lp://.

    Args:
        timeout: Seconds; what has not been found by then is missing, and `failures` says so.
    """
    answers: SimpleQueue[tuple[str, list[Found] | RawprintError]] = SimpleQueue()

    def ask(scheme: str, find: Callable[[], list[Found]]) -> None:
        try:
            answers.put((scheme, find()))
        except RawprintError as error:
            answers.put((scheme, error))
        except Exception as error:  # noqa: BLE001  (one that breaks must not hide what others find)
            answers.put((scheme, OpenError(f"listing {scheme}:// printers broke off: {error!r}")))

    deadline = time.monotonic() + timeout
    waiting = finders()
    order = list(waiting)
    for scheme, find in waiting.items():
        threading.Thread(target=ask, args=(scheme, find), name=f"rawprint finds {scheme}", daemon=True).start()
    found: dict[str, list[Found]] = {}
    failures: dict[str, RawprintError] = {}
    while len(found) + len(failures) < len(order):
        try:
            scheme, answer = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except Empty:
            for late in order:
                if late not in found and late not in failures:
                    failures[late] = OpenError(f"listing {late}:// printers took longer than {timeout:g} s")
            break
        if isinstance(answer, RawprintError):
            failures[scheme] = answer
        else:
            found[scheme] = answer
    return Discovery(tuple(one for scheme in order for one in found.get(scheme, ())), failures)
