"""Measures rawprint against the least that the same work can cost on this machine, and says which limits hold.

    python benchmarks/bench.py [--only library|server] [--quick] [--json FILE] [--rounds N] [--cups] [--strict]

Every number is a ratio to, or a difference from, a floor that was measured in the same run, turn by turn with ours, so
that a slow or busy machine slows both. A value is the median over all rounds; the quartiles beside it show the spread,
and "blocks" the lowest and the highest median of the blocks, each with processes of its own. "p99" is the 99th
percentile of ours over the floor's own.

The library is measured in this process, against a bare socket; the server as a process of its own, with this process as
its client and another one as its printers, against the least of servers (floor_server.py) with the same client and
printers. By default this process and the printers are on one CPU, and what is measured, or the peer of the library, on
another one. The client waits for the printer and does nothing else meanwhile, so those two share a CPU without being in
each other's way; a server that shared one with either of them would cost or spare it a wake-up, ours another number of
them than the floor.

The server's half is for Linux. Missed limits change the exit code only with --strict: then it is 1.
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

import cables
import crowd
import drawing
import footprint
import guarding
import keeping
import latency
import scanning
import serving
import upkeep
from pairs import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIBRARY, SERVER = "library", "server"
ROUNDS = {LIBRARY: 1000, SERVER: 2000}
QUICK_ROUNDS = {LIBRARY: 100, SERVER: serving.QUICK}


def main() -> int:
    args = _arguments().parse_args()
    _raise_descriptors()
    load_before, begin = _load(), time.monotonic()
    print(f"{_machine()}; load {load_before}; {_place(args.place)}\n")
    print(_line(("", "ours", "floor", "value", "quartiles", "blocks", "limit", "p99", "")))
    rows: list[Row] = []
    notes: dict[str, int] = {}
    for row in _rows(args):
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
        return "bench and printers on one CPU, what is measured on another"
    if place != "free":
        os.sched_setaffinity(0, {ours})
        os.environ["PEER_CPU"] = str(ours)
        return "bench and peer on one CPU"
    return "the system decides where bench and peer run"


def _rows(args: argparse.Namespace) -> Iterator[Row]:
    with footprint.compiled() as environment:
        if args.only != SERVER:
            yield from _library(_rounds(args, LIBRARY), environment)
        if args.only != LIBRARY and sys.platform == "linux":
            yield from _server(_rounds(args, SERVER), environment)
    if args.cups:
        import beside_cups  # noqa: PLC0415 - needs what Windows has not

        yield from beside_cups.rows(_rounds(args, SERVER))


def _rounds(args: argparse.Namespace, half: str) -> int:
    return args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)[half]


def _library(rounds: int, environment: dict[str, str]) -> Iterator[Row]:
    for measure in (latency.control, latency.new_connection, latency.kept_connection, latency.queue, latency.status):
        yield from measure(rounds)
    if sys.platform == "linux":
        yield from _or_why_not(cables.rows, rounds)
        yield from _or_why_not(scanning.rows, rounds)
    yield from drawing.pictures(rounds)
    yield from footprint.import_time(max(rounds // 20, 8), environment)


def _server(rounds: int, environment: dict[str, str]) -> Iterator[Row]:
    for group in (*serving.GROUPS, *crowd.GROUPS):
        yield from _or_why_not(group, rounds)
    yield from footprint.server_memory(environment)
    for group in keeping.GROUPS:
        yield from _or_why_not(group, rounds)
    for group in guarding.GROUPS:
        yield from _or_why_not(group, rounds)
    for group in upkeep.GROUPS:
        yield from _or_why_not(group, rounds, environment)


def _or_why_not(group: Callable[..., Iterator[Row]], *arguments: object) -> Iterator[Row]:
    """The rows of a group; where something of it fails, a row that says why, and the next group goes on."""
    try:
        yield from group(*arguments)
    except (OSError, RuntimeError, EOFError) as error:
        yield Row(group.__name__.replace("_", " "), "us", "ratio", error=f"{type(error).__name__}: {error}")


def _raise_descriptors() -> None:
    """A thousand clients are a thousand files here, and as many in the server, which inherits the limit."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="how often each is measured (default: library 1000, server 2000)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="library 100 rounds, server 200: about a minute, and rough"
    )
    parser.add_argument("--only", choices=(LIBRARY, SERVER), help="measure one half")
    parser.add_argument(
        "--cups", action="store_true", help="and CUPS beside the server; as root it is installed (Debian)"
    )
    parser.add_argument(
        "--place",
        choices=("apart", "together", "free"),
        default="apart",
        help="where bench and printers, and what is measured, run: on a CPU each (default), on one, as the system likes",
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a limit is missed")
    return parser


def _cells(row: Row) -> Sequence[str]:
    ratio = row.kind == "ratio"
    digits = {"us": 0, "jobs/s": 0, "%": 2}.get(row.unit, 1)
    places = 2 if ratio or row.unit == "%" else 1
    sign = "x" if ratio else row.unit
    limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g} {sign}"
    if row.error:
        return row.name, "", "", "", "", "", limit, "", "MISSED"
    missed = [] if row.holds(row.value) else ["MISSED"]
    if not row.tail_ok:
        missed.append(f"p99 > {row.tail_limit:g} x")
    verdict = ", ".join(missed) or ("" if row.ok is None else "ok")
    return (
        row.name,
        f"{row.ours:.{digits}f} {row.unit}",
        f"{row.floor:.{digits}f} {row.unit}" if row.floor else "",
        f"{row.value:.{places}f} {sign}",
        "-".join(f"{quartile:.{places}f}" for quartile in row.quartiles or ()),
        f"{min(row.blocks):.{places}f}-{max(row.blocks):.{places}f}" if len(row.blocks) > 1 else "",
        limit,
        "" if row.tails is None else f"{row.tails[1] / row.tails[0]:.1f} x",
        verdict,
    )


def _line(cells: Sequence[str]) -> str:
    name, ours, floor, value, quartiles, blocks, limit, p99, verdict = cells
    return f"{name:<44}{ours:>13}{floor:>13}{value:>11}  {quartiles:<13}{blocks:<13}{limit:>10}{p99:>8}  {verdict:<6}"


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def _load() -> float:
    """Processes that ran or wanted to, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


if __name__ == "__main__":
    sys.exit(main())
