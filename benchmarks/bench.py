"""Measures rawprint against the least that the same work can cost on this machine, and says which limits hold.

    python benchmarks/bench.py [--json FILE] [--rounds N] [--quick] [--strict]

Every number is a ratio to, or a difference from, a floor that was measured in the same run, turn by turn with ours, so
that a slow or busy machine slows both. A value is the median over all rounds; the quartiles beside it show the spread,
and "blocks" the lowest and the highest median of the blocks, each with a peer process of its own. Nothing is pinned:
where the system puts the two processes changes the floor, on one CPU to half of what it is on two, and with it every
ratio. `taskset -c 0 python benchmarks/bench.py` (Linux) holds both on one CPU, where ratios are largest and repeat best.

Missed limits change the exit code only with --strict: then it is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import footprint
import latency

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pairs import Row

ROUNDS = 1000
QUICK_ROUNDS = 100


def main() -> int:
    args = _arguments().parse_args()
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    load_before, begin = _load(), time.monotonic()
    print(f"{_machine()}; load {load_before}; {rounds} rounds; {_place(args.place)}\n")
    print(_line(("", "ours", "floor", "value", "quartiles", "blocks", "limit", "")))
    rows: list[Row] = []
    notes: dict[str, int] = {}
    for row in _rows(rounds):
        number = notes.setdefault(row.note, len(notes) + 1)
        print(f"{_line(_cells(row))} [{number}]{'  ' + row.error if row.error else ''}", flush=True)
        rows.append(row)
    print()
    for note, number in notes.items():
        print(f"[{number}] {note}")
    if unsure := [row.name for row in rows if row.unsure]:
        print(f"Unsure, as the limit holds in some blocks and not in others: {'; '.join(unsure)}.")
    seconds = time.monotonic() - begin
    print(f"\n{seconds:.0f} s; load {_load()}")
    if args.json:
        report = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": _machine(),
            "load": [load_before, _load()],
            "rounds": rounds,
            "seconds": round(seconds, 1),
            "rows": [row.to_json() for row in rows],
        }
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    missed = [row for row in rows if row.ok is False]
    return 1 if args.strict and missed else 0


def _place(place: str) -> str:
    """Put the peer where a printer is: a printer has a processor of its own, and never shares ours.

    Left to the scheduler, both run on one CPU or on two as it likes, and the floor of a round trip changes threefold.
    """
    if not hasattr(os, "sched_setaffinity"):
        return "the system decides where bench and peer run"
    ours, *others = sorted(os.sched_getaffinity(0))
    if place == "apart" and others:
        os.sched_setaffinity(0, {ours})
        os.environ["PEER_CPU"] = str(others[0])
        return "bench and peer on a CPU each"
    if place != "free":
        os.sched_setaffinity(0, {ours})
        os.environ["PEER_CPU"] = str(ours)
        return "bench and peer on one CPU"
    return "the system decides where bench and peer run"


def _rows(rounds: int) -> Iterator[Row]:
    yield from latency.control(rounds)
    yield from latency.new_connection(rounds)
    yield from latency.kept_connection(rounds)
    yield from latency.queue(rounds)
    yield from latency.status(rounds)
    with footprint.compiled() as environment:
        yield from footprint.import_time(max(rounds // 20, 8), environment)
        yield from footprint.server_memory(environment)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"how often each is measured (default: {ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: under 10 s, and rough")
    parser.add_argument(
        "--place",
        choices=("apart", "together", "free"),
        default="apart",
        help="where bench and peer run: on a CPU each (as a printer does; default), on one, or as the system likes",
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a limit is missed")
    return parser


def _cells(row: Row) -> Sequence[str]:
    ratio = row.kind == "ratio"
    digits, places = 0 if row.unit == "us" else 1, 2 if ratio else 1
    sign = "x" if ratio else row.unit
    limit = "" if row.limit is None else f"{row.limit:g} {sign}"
    verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
    if row.error:
        return row.name, "", "", "", "", "", limit, verdict
    return (
        row.name,
        f"{row.ours:.{digits}f} {row.unit}",
        f"{row.floor:.{digits}f} {row.unit}",
        f"{row.value:.{places}f} {sign}",
        "-".join(f"{quartile:.{places}f}" for quartile in row.quartiles or ()),
        f"{min(row.blocks):.{places}f}-{max(row.blocks):.{places}f}" if len(row.blocks) > 1 else "",
        limit,
        verdict,
    )


def _line(cells: Sequence[str]) -> str:
    name, ours, floor, value, quartiles, blocks, limit, verdict = cells
    return f"{name:<46}{ours:>10}{floor:>10}{value:>10}  {quartiles:<11}{blocks:<11}{limit:>8}  {verdict:<6}"


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def _load() -> float:
    """Processes that ran or wanted to, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


if __name__ == "__main__":
    sys.exit(main())
