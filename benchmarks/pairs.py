"""Times two ways to do the same thing, turn by turn, and says what one costs over the other."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from peer import FLOOR, STAMP, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

_WARM_UP = 20  # rounds of each block that do not count
_TAIL_FROM = 100  # rounds, of fewer of which a 99th percentile would say nothing


@dataclass
class Row:
    """One line of the table.

    Attributes:
        name: What is measured.
        unit: Of `ours`, `floor`, and of `value` unless that is a ratio.
        kind: What `value` is over all rounds: the median of ours / floor ("ratio") or of ours - floor ("difference"),
            or ours itself ("size").
        ours, floor: Medians.
        quartiles: Of the same as `value`.
        blocks: The value of each block by itself.
        limit: The most that `value` may be, or the least where `at_least`; None where there is none.
        tails: The 99th percentiles of floor and ours, where they matter.
        tail_limit: The most that ours may be of the floor's.
        error: Why there is no measurement.
    """

    name: str
    unit: str
    kind: str
    ours: float = 0.0
    floor: float = 0.0
    value: float = 0.0
    quartiles: tuple[float, float] | None = None
    blocks: tuple[float, ...] = ()
    limit: float | None = None
    at_least: bool = False
    tails: tuple[float, float] | None = None
    tail_limit: float | None = None
    rounds: int = 1
    note: str = ""
    error: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the limits hold; None where there is none."""
        if self.error:
            return False
        if self.limit is None and self.tail_limit is None:
            return None
        return self.holds(self.value) and self.tail_ok

    @property
    def tail_ok(self) -> bool:
        """Whether the limit of the 99th percentiles holds, if there is one."""
        return self.tails is None or self.tail_limit is None or self.tails[1] <= self.tail_limit * self.tails[0]

    @property
    def unsure(self) -> bool:
        """Whether the limit holds in some blocks and not in others."""
        return len({self.holds(value) for value in self.blocks}) == 2

    def holds(self, value: float) -> bool:
        """Whether a value is within the limit, if there is one."""
        if self.limit is None:
            return True
        return value >= self.limit if self.at_least else value <= self.limit

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"ok": self.ok, "unsure": self.unsure}


def compare(
    name: str,
    unit: str,
    kind: str,
    blocks: Sequence[Sequence[tuple[float, float]]],
    *,
    limit: float | None = None,
    at_least: bool = False,
    tail_limit: float | None = None,
    fold: bool = False,
    note: str = "",
) -> Row:
    """The row of many rounds, in blocks; each round gave (floor, ours) in the row's unit.

    With `fold` two rounds, the turns FOOF, count as one, in which each of the two comes once after itself and once after
    the other: a process is faster after its own turn than after another process's, so that single rounds have two
    medians, and the one over all of them is somewhere in between. Percentiles are of all turns even then.
    """
    pairs = list(chain.from_iterable(blocks))
    values = [_values(_folded(block) if fold else block, kind) for block in blocks]
    tails = None
    if tail_limit is not None and len(pairs) >= _TAIL_FROM:
        tails = tail(floor for floor, _ in pairs), tail(ours for _, ours in pairs)
    low, middle, high = statistics.quantiles(chain.from_iterable(values), n=4, method="inclusive")
    return Row(
        name,
        unit,
        kind,
        ours=statistics.median(ours for _, ours in pairs),
        floor=statistics.median(floor for floor, _ in pairs),
        value=middle,
        quartiles=(low, high),
        blocks=tuple(map(statistics.median, values)),
        limit=limit,
        at_least=at_least,
        tails=tails,
        tail_limit=None if tails is None else tail_limit,
        rounds=len(pairs),
        note=note,
    )


def _folded(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    both = zip(pairs[::2], pairs[1::2], strict=False)
    return [((one[0] + two[0]) / 2, (one[1] + two[1]) / 2) for one, two in both]


def tail(values: Iterable[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _values(pairs: Sequence[tuple[float, float]], kind: str) -> list[float]:
    return [ours / floor if kind == "ratio" else ours - floor for floor, ours in pairs]


def alternate(
    floor: Callable[[], T], ours: Callable[[], T], rounds: int, *, warm_up: int = _WARM_UP, rest: float = 0.0
) -> list[tuple[T, T]]:
    """One block: what the two return, in the order of `turns`. No garbage is collected meanwhile.

    After each turn it waits for `rest` seconds, awake, so that what a server has left to do does not fall into the turn
    of the other.
    """
    results: tuple[list[T], list[T]] = ([], [])
    order = turns()
    gc.collect()
    gc.disable()
    try:
        for _ in range(2 * (warm_up + rounds)):
            turn = next(order)
            results[turn].append(floor() if turn == FLOOR else ours())
            rested = perf_counter() + rest
            while perf_counter() < rested:
                pass
    finally:
        gc.enable()
    return list(zip(*results, strict=True))[warm_up:]


class Peer:
    """A running peer.py."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pipe = process.stdout.fileno()
        port = b""
        while not port.endswith(b"\n"):
            port += os.read(self._pipe, 1)
        self.target = ("127.0.0.1", int(port))
        self.address = f"tcp://127.0.0.1:{int(port)}"

    def taken(self) -> float:
        """Waits until the peer has read a whole job; returns when it read the last byte."""
        return STAMP.unpack(os.read(self._pipe, STAMP.size))[0]

    def close(self) -> None:
        """Ends the process. A connection that is closed before it waits a second for the far side to close, too."""
        self._process.kill()
        self._process.wait()


@contextmanager
def peer(*arguments: object) -> Iterator[Peer]:
    """Starts a peer.py, and ends it."""
    command = [sys.executable, Path(__file__).with_name("peer.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield Peer(process)
        finally:
            process.kill()  # also where no Peer came to be


def until_taken(call: Callable[[], object], far: Peer) -> Callable[[], tuple[float, float]]:
    """Microseconds from the call until the peer has read its last byte, and until the call has returned."""

    def once() -> tuple[float, float]:
        begin = perf_counter()
        call()
        returned = perf_counter()
        return (far.taken() - begin) * 1e6, (returned - begin) * 1e6

    return once


def until_returned(call: Callable[[], object]) -> Callable[[], float]:
    """Microseconds that the call takes."""

    def once() -> float:
        begin = perf_counter()
        call()
        return (perf_counter() - begin) * 1e6

    return once
