"""Finds printers: every transport's own list, DNS-SD and, where somebody asks for it, a scan, all under one deadline."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from rawprint import address as addresses
from rawprint import identify
from rawprint.errors import AddressError, OpenError, RawprintError
from rawprint.transports import Found, finders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MARGIN = 0.1  # seconds before the deadline at which those that can end early do


class Discovery(NamedTuple):
    """What was found.

    Attributes:
        found: The printers, and the serial ports at which one may hang, in a steady order; each once.
        failures: Where it was looked ("usb", "lp", "serial", "dns-sd", "scan") -> why that could not be done, or not whole.
    """

    found: tuple[Found, ...]
    failures: dict[str, RawprintError]


def discover(timeout: float = 3.0, *, network: bool = True, scan: str | None = None, force: bool = False) -> Discovery:
    """List the printers of this machine, and those that advertise themselves on its networks.

    Nothing is claimed, opened, printed or fed by that, and no printer is asked anything. Without a network to scan it takes about
    1.3 s, or what the local list takes where `network` is false.

    Args:
        timeout: Seconds; what has not been found by then is missing, and `failures` says so.
        network: Whether to ask for advertised printers (DNS-SD, by multicast).
        scan: A network, such as "192.168.1.0/24", to each of whose hosts port 9100 is tried, too.
        force: Whether `scan` may be a network that is not private.

    Raises:
        AddressError: What is to be scanned is no network, too large, or not private.
    """
    deadline = time.monotonic() + timeout
    waiting: dict[str, Callable[[], list[Found]]] = dict(finders())
    late: dict[str, RawprintError] = {}
    if network:
        waiting["dns-sd"] = lambda: _advertised(deadline)
    if scan is not None:
        from rawprint.transports import tcp_scan  # noqa: PLC0415

        hosts = tcp_scan.network_of(scan, force=force)

        def listening() -> list[Found]:
            result = tcp_scan.scan(hosts, max(deadline - time.monotonic() - _MARGIN, 0.1))
            if result.untried:
                late["scan"] = OpenError(
                    f"{result.untried} hosts of {hosts} were not tried in {timeout:g} s",
                    hint="give it more time: --timeout",
                )
            return [Found(str(address)) for address in result.listening]

        waiting["scan"] = listening
    found, failures = _gather(waiting, deadline, timeout)
    return Discovery(merge(_named(one) for one in found), {**failures, **late})


def _advertised(deadline: float) -> list[Found]:
    from rawprint import dns_sd  # noqa: PLC0415

    return dns_sd.find(max(deadline - time.monotonic() - _MARGIN, 0.1))


def _gather(
    waiting: dict[str, Callable[[], list[Found]]], deadline: float, timeout: float
) -> tuple[list[Found], dict[str, RawprintError]]:
    """What all of them find, side by side."""
    answers: SimpleQueue[tuple[str, list[Found] | RawprintError]] = SimpleQueue()

    def ask(where: str, find: Callable[[], list[Found]]) -> None:
        try:
            answers.put((where, find()))
        except RawprintError as error:
            answers.put((where, error))
        except Exception as error:  # noqa: BLE001  (one that breaks must not hide what others find)
            answers.put((where, OpenError(f"looking for printers by {where} broke off: {error!r}")))

    for where, find in waiting.items():
        threading.Thread(target=ask, args=(where, find), name=f"rawprint finds {where}", daemon=True).start()
    found: dict[str, list[Found]] = {}
    failures: dict[str, RawprintError] = {}
    while len(found) + len(failures) < len(waiting):
        try:
            where, answer = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except Empty:
            for where in waiting:
                if where not in found and where not in failures:
                    failures[where] = OpenError(f"looking for printers by {where} took longer than {timeout:g} s")
            break
        if isinstance(answer, RawprintError):
            failures[where] = answer
        else:
            found[where] = answer
    return [one for where in waiting for one in found.get(where, ())], failures


def _named(found: Found) -> Found:
    """The same with the language that it says of itself, where it does not leave that open."""
    ids: dict[str, int] = {}
    try:
        address = addresses.parse(found.address)
    except AddressError:
        return found
    if isinstance(address, addresses.UsbAddress):
        ids = {"vid": int(address.vid, 16), "pid": int(address.pid, 16)}
    names = [found.make_model] if found.make_model and not isinstance(address, addresses.SerialAddress) else []
    guesses = identify.guess(device_id=found.device_id, txt=found.txt, names=names, **ids)
    if not guesses or guesses[0].sure == "possible":
        return found
    return replace(found, dialect=guesses[0].dialect, dialect_how=f"{guesses[0].how}: {guesses[0].sure}")


def merge(found: Iterable[Found]) -> tuple[Found, ...]:
    """One printer that was found by several ways as one: by the place it is plugged in, or by an address they share.

    The first that can be opened gives the address, the others go into `also`; what one does not know another may.
    """
    groups: list[list[Found]] = []
    known: dict[str, list[Found]] = {}
    for one in found:
        keys = [*((f"at {one.place}",) if one.place else ()), one.address, *one.also]
        group = next((known[key] for key in keys if key in known), None)
        if group is None:
            group = []
            groups.append(group)
        group.append(one)
        for key in keys:
            known[key] = group
    return tuple(_as_one(group) for group in groups)


def _as_one(group: list[Found]) -> Found:
    best = next((one for one in group if one.error is None), group[0])
    others = [one for one in group if one is not best]
    also = dict.fromkeys(text for one in (best, *others) for text in (one.address, *one.also) if text != best.address)
    speaker = next((one for one in (best, *others) if one.dialect), best)
    return replace(
        best,
        also=tuple(also),
        make_model=next((one.make_model for one in (best, *others) if one.make_model), ""),
        serial=next((one.serial for one in (best, *others) if one.serial), ""),
        device_id=next((one.device_id for one in (best, *others) if one.device_id), ""),
        txt={key: value for one in (*reversed(others), best) for key, value in one.txt.items()},
        dialect=speaker.dialect,
        dialect_how=speaker.dialect_how,
    )
