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
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

_WARM_UP = 20  # rounds of each block that do not count


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
        limit: None where there is none.
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
    rounds: int = 1
    note: str = ""
    error: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the limit holds; None where there is none."""
        if self.limit is None:
            return None
        return not self.error and self.value <= self.limit

    @property
    def unsure(self) -> bool:
        """Whether the limit holds in some blocks and not in others."""
        return self.limit is not None and len({value <= self.limit for value in self.blocks}) == 2

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"ok": self.ok, "unsure": self.unsure}


def compare(
    name: str,
    unit: str,
    kind: str,
    blocks: Sequence[Sequence[tuple[float, float]]],
    *,
    limit: float | None = None,
    note: str = "",
) -> Row:
    """The row of many rounds, in blocks; each round gave (floor, ours) in the row's unit."""
    pairs = list(chain.from_iterable(blocks))
    low, middle, high = statistics.quantiles(_values(pairs, kind), n=4, method="inclusive")
    return Row(
        name,
        unit,
        kind,
        ours=statistics.median(ours for _, ours in pairs),
        floor=statistics.median(floor for floor, _ in pairs),
        value=middle,
        quartiles=(low, high),
        blocks=tuple(statistics.median(_values(block, kind)) for block in blocks),
        limit=limit,
        rounds=len(pairs),
        note=note,
    )


def _values(pairs: Sequence[tuple[float, float]], kind: str) -> list[float]:
    return [ours / floor if kind == "ratio" else ours - floor for floor, ours in pairs]


def alternate(
    floor: Callable[[], T], ours: Callable[[], T], rounds: int, *, warm_up: int = _WARM_UP
) -> list[tuple[T, T]]:
    """One block: what the two return, in the order of `turns`. No garbage is collected meanwhile."""
    results: tuple[list[T], list[T]] = ([], [])
    order = turns()
    gc.collect()
    gc.disable()
    try:
        for _ in range(2 * (warm_up + rounds)):
            turn = next(order)
            results[turn].append(floor() if turn == FLOOR else ours())
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
