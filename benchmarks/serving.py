"""How long jobs and questions take through the server, against the least that a WebSocket server takes for the same."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from client import WebSocket, binary, printing
from pairs import Row, alternate, tail
from pairs import compare as compare_all
from sink import job
from stage import HELD, SHARED, answered, asking, relayed, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

SIZES = {"300 B": 300, "20 kB": 20_000, "1 MB": 1_000_000}

KEPT_LIMIT = 60  # us more
KEPT_20_KB_LIMIT = 1.6
NEW_LIMIT = 1.4
JSON_LIMIT = 1.4
UPLOAD_LIMIT = 1.25
RATE_LIMIT = 0.6
TAIL_LIMIT = 3.0  # p99

BLOCKS = 4
QUICK_BLOCKS = 2
QUICK = 200  # up to so many rounds there are QUICK_BLOCKS

compare = partial(compare_all, fold=True)

_REST = 100e-6  # seconds
_PAUSE = 0.05
_READ = "from the call to the last byte read"


def floors(rounds: int) -> Iterator[Row]:
    """What the least of servers costs over a bare socket; ours is the relay here."""

    def block(rounds: int) -> dict[str, list]:
        with stage("keep") as on:
            results = {}
            for name, size in SIZES.items():
                data, count = job(size), _count(rounds, size)
                turns = partial(alternate, rounds=count, rest=_REST)
                far = on.printers
                if size == 300:
                    results["control: relay_keep over relay_keep"] = turns(
                        on.relay("relay_keep", data), on.relay("relay_keep", data)
                    )
                results[f"relay_keep, {name}, over a bare socket"] = turns(
                    far.directly(data), on.relay("relay_keep", data)
                )
                results[f"relay_new, {name}, over a bare socket"] = turns(
                    far.directly_new(data), on.relay("relay_new", data)
                )
                results[f"relay_json, {name}, over a bare socket"] = turns(
                    far.directly(data), on.relay("relay_json", data)
                )
                upload = answered(WebSocket(on.floor.port), binary(data))
                results[f"upload, {name}, over a bare socket"] = turns(far.directly(data), upload)
            return results

    for name, blocks in in_blocks(block, rounds).items():
        note = "floors: the bare server of the rows below (as ours) against a bare socket to the same printer"
        yield compare(name, "us", "ratio", blocks, note=note)


def kept(rounds: int) -> Iterator[Row]:
    """Binary frames, on a printer's connection that stays open."""

    def block(rounds: int) -> dict[str, list]:
        with stage("keep") as on:
            results = {}
            for name, size in SIZES.items():
                data = job(size)
                turns = partial(alternate, rounds=_count(rounds, size), rest=_REST)
                results[name] = turns(on.relay("relay_keep", data), on.print(data, "attached"))
            upload = answered(WebSocket(on.floor.port), binary(data))
            results["upload"] = turns(upload, on.print(data, "attached"))
            return results

    blocks = in_blocks(block, rounds)
    row = partial(compare, note=f"{_READ}; floor: relay_keep", tail_limit=TAIL_LIMIT)
    yield row("binary, kept, 300 B", "us", "difference", blocks["300 B"], limit=KEPT_LIMIT)
    yield row("binary, kept, 20 kB", "us", "ratio", blocks["20 kB"], limit=KEPT_20_KB_LIMIT)
    yield row("binary, kept, 1 MB", "us", "ratio", blocks["1 MB"])
    note = f"{_READ}; floor: upload, from the call to its answer"
    yield compare("binary, kept, 1 MB over upload", "us", "ratio", blocks["upload"], limit=UPLOAD_LIMIT, note=note)


def sustained(rounds: int) -> Iterator[Row]:
    """A client that never pauses, for longer than a job takes to its end: what a server still does for jobs of before."""
    seconds = 2.0 if rounds <= QUICK else 3.0

    def block(_rounds: int) -> dict[str, list]:
        with stage("keep") as on:
            data = job(300)
            bare, ours = on.relay("relay_keep", data), on.print(data, "attached")
            return {"": alternate(partial(_stretch, bare, seconds), partial(_stretch, ours, seconds), 1, warm_up=0)}

    blocks = in_blocks(block, rounds)[""]
    rates = [[(len(floor) / seconds, len(ours) / seconds) for floor, ours in block] for block in blocks]
    note = f"binary, kept, 300 B, one job after the other for {seconds:g} s; floor: relay_keep"
    row = compare_all("1 client without a pause", "jobs/s", "ratio", rates, limit=RATE_LIMIT, at_least=True, note=note)
    row.tails = tuple(tail(chain.from_iterable(pair[side] for block in blocks for pair in block)) for side in (0, 1))
    row.tail_limit = TAIL_LIMIT
    yield row


def _stretch(way: Callable[[], float], seconds: float) -> list[float]:
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        times.append(way())
    return times


def shared(rounds: int) -> Iterator[Row]:
    """The same on a printer that ours shares with other computers, which is what it does with TCP if not told otherwise."""

    def block(rounds: int) -> dict[str, list]:
        with stage("keep", extra=SHARED) as on:
            data = job(300)
            return {"": alternate(on.relay("relay_keep", data), on.print(data, "attached"), rounds, rest=_REST)}

    blocks = in_blocks(block, rounds)[""]
    note = f"{_READ}; share = true: the connection is lent to others now and then; floor: relay_keep"
    yield compare("binary, shared, 300 B", "us", "difference", blocks, tail_limit=TAIL_LIMIT, note=note)


def answers(rounds: int) -> Iterator[Row]:
    """When the client knows."""

    def block(rounds: int) -> dict[str, list]:
        with stage("keep") as on:
            results = {}
            for name, size in SIZES.items():
                data, far = job(size), on.printers
                bare = answered(on.floor_client("relay_keep"), relayed("relay_keep", data), far.taken)
                ours = answered(on.our_client(), printing("p0", data, "attached"), far.taken)
                results[name] = alternate(bare, ours, _count(rounds, size), rest=_REST)
            return results

    for name, blocks in in_blocks(block, rounds).items():
        note = "from the call to its answer, which ours gives when the job is accepted; floor: relay_keep"
        yield compare(f"binary, kept, {name}: until the answer", "us", "ratio", blocks, note=note)


def new(rounds: int) -> Iterator[Row]:
    """A printer that closes its connection after each job."""

    def block(rounds: int) -> dict[str, list]:
        with stage("close", extra=SHARED) as on:
            results = {}
            for name in ("300 B", "20 kB"):
                data = job(SIZES[name])
                # Ours sees after 50 ms that the printer has closed, and only then the next job finds no connection; so
                # every turn, of the floor, too, comes after such a pause.
                bare = _then(on.relay("relay_new", data), partial(time.sleep, _PAUSE))
                ours = on.print(data, "attached", wait="ended")
                results[name] = alternate(bare, ours, max(rounds // 10, 10), warm_up=3)
            return results

    for name, blocks in in_blocks(block, rounds).items():
        note = f"{_READ}; the printer closes after each job, and each waits until ours has noticed; floor: relay_new"
        yield compare(f"binary, new, {name}", "us", "ratio", blocks, limit=NEW_LIMIT, tail_limit=TAIL_LIMIT, note=note)


def _then(way: Callable[[], T], after: Callable[[], object]) -> Callable[[], T]:
    def once() -> T:
        result = way()
        after()
        return result

    return once


def by_json(rounds: int) -> Iterator[Row]:
    """Text frames."""

    def block(rounds: int) -> dict[str, list]:
        with stage("keep") as on:
            results = {}
            for flavor in ("base64", "plain"):
                for name, size in SIZES.items():
                    data = job(size)
                    bare, ours = on.relay("relay_json", data), on.print(data, flavor)
                    results[f"JSON, {flavor}, {name}"] = alternate(bare, ours, _count(rounds, size), rest=_REST)
            return results

    for name, blocks in in_blocks(block, rounds).items():
        note = f"{_READ}; floor: relay_json, base64"
        yield compare(name, "us", "ratio", blocks, limit=JSON_LIMIT, tail_limit=TAIL_LIMIT, note=note)


def status(rounds: int) -> Iterator[Row]:
    """A printer's status, asked now."""

    def block(rounds: int) -> dict[str, list]:
        with stage("tspl", extra=f'{HELD}\ndialect = "tspl"') as on:
            bare = answered(on.floor_client("relay_status"), asking("p0"))
            ours = answered(on.our_client(), asking("p0"))
            return {"status": alternate(bare, ours, rounds, rest=_REST)}

    blocks = in_blocks(block, rounds)["status"]
    note = "from the call to its answer, two questions of TSPL; floor: relay_status"
    yield compare("status, tspl, 2 exchanges", "us", "ratio", blocks, note=note)


def _count(rounds: int, size: int) -> int:
    return rounds if size < 1_000_000 else max(rounds // 5, 10)


def in_blocks(block: Callable[[int], dict[T, list]], rounds: int) -> dict[T, list[list]]:
    """What is measured -> its blocks, each with processes of its own."""
    blocks = QUICK_BLOCKS if rounds <= QUICK else BLOCKS
    results: dict[T, list[list]] = {}
    for _ in range(blocks):
        for name, pairs in block(max(rounds // blocks, 4)).items():
            results.setdefault(name, []).append(pairs)
    return results


GROUPS = (floors, kept, sustained, shared, answers, new, by_json, status)
