"""How long jobs and status questions take over TCP, as a multiple of what a bare socket takes for the same bytes."""

from __future__ import annotations

import random
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from pairs import Row, alternate, compare, peer, until_returned, until_taken
from peer import ANSWERS

import rawprint

if TYPE_CHECKING:
    from collections.abc import Callable

NEW_LIMIT = 1.15
KEPT_LIMIT = 1.2
STATUS_LIMIT = 1.2

# Each block has a peer of its own: on which CPU the system puts it must not decide a whole measurement.
BLOCKS = 10

SIZES = {"300 B": 300, "20 kB": 20_000}
LARGE = {"1 MB": 1_000_000}

_READ = "from the call to the last byte read"

Times = list[tuple[tuple[float, float], tuple[float, float]]]  # rounds of (floor, ours), each (read, returned)


def control(rounds: int) -> list[Row]:
    """A bare socket against a bare socket: what this way of measuring cannot tell apart, here and now."""
    data = _job(300)

    def block(rounds: int) -> Times:
        with peer("fresh", len(data)) as far:
            bare = until_taken(_bare_print(far.target, data), far)
            return alternate(bare, bare, rounds)

    blocks = _blocks(block, rounds)
    return [compare("control: bare against bare", "us", "ratio", _read(blocks), note="print, new connection, 300 B")]


def new_connection(rounds: int) -> list[Row]:
    """Connect, print, close."""
    rows, returns = [], []
    for size, count in SIZES.items():
        data = _job(count)

        def block(rounds: int, data: bytes = data) -> Times:
            with peer("fresh", len(data)) as far:
                return alternate(
                    until_taken(_bare_print(far.target, data), far),
                    until_taken(_our_print(far.address, data), far),
                    rounds,
                )

        blocks = _blocks(block, rounds)
        name = f"print, new connection, {size}"
        rows.append(compare(name, "us", "ratio", _read(blocks), limit=NEW_LIMIT, note=_READ))
        returns.append(
            compare(
                f"{name}: until it returns",
                "us",
                "ratio",
                _returned(blocks),
                note="ours waits in close until the far side has closed, so that no last byte is lost; "
                "a bare close does not",
            )
        )
    return rows + returns


def kept_connection(rounds: int) -> list[Row]:
    """Print on a connection that is open already."""
    rows = []
    for size, count in (SIZES | LARGE).items():
        data = _job(count)

        def block(rounds: int, data: bytes = data) -> Times:
            with (
                peer("kept", len(data)) as far,
                _bare(far.target) as sock,
                rawprint.open(far.address) as printer,
                closing(far),
            ):
                return alternate(
                    until_taken(lambda: sock.sendall(data), far),
                    until_taken(lambda: printer.print(data), far),
                    rounds,
                )

        blocks = _blocks(block, rounds // 5 if size in LARGE else rounds)
        limit = None if size in LARGE else KEPT_LIMIT
        rows.append(compare(f"print, kept connection, {size}", "us", "ratio", _read(blocks), limit=limit, note=_READ))
    return rows


def queue(rounds: int) -> list[Row]:
    """The same through a PrintQueue."""
    rows = []
    for size, count in SIZES.items():
        data = _job(count)

        def block(rounds: int, data: bytes = data) -> Times:
            with (
                peer("kept", len(data)) as far,
                _bare(far.target) as sock,
                rawprint.PrintQueue(far.address, idle_release=60) as jobs,
                closing(far),
            ):
                submitted: list[rawprint.Job] = []
                submit = until_taken(lambda: submitted.append(jobs.submit(data)), far)

                def ours() -> tuple[float, float]:
                    times = submit()
                    submitted.pop().wait(until="taken")  # then the queue's thread sleeps before the next turn
                    return times

                return alternate(until_taken(lambda: sock.sendall(data), far), ours, rounds, warm_up=3)

        # The queue looks for acknowledgements after 50 ms, so a round takes that long.
        blocks = [block(max(rounds // 20, 5)) for _ in range(2)]
        rows.append(
            compare(
                f"PrintQueue, kept connection, {size}",
                "us",
                "ratio",
                _read(blocks),
                note="from submit to the last byte read; the queue's thread wakes up for it",
            )
        )
    return rows


def status(rounds: int) -> list[Row]:
    """Ask a printer that is idle, on a connection that has answered before."""
    rows = []
    for dialect, answers in ANSWERS.items():

        def block(rounds: int, dialect: str = dialect, questions: tuple[bytes, ...] = tuple(answers)) -> list:
            with (
                peer(dialect) as far,
                _bare(far.target) as sock,
                rawprint.open(far.address, dialect) as printer,
                closing(far),
            ):

                def bare() -> None:
                    for question in questions:
                        sock.sendall(question)
                        sock.recv(64)

                pairs = alternate(until_returned(bare), until_returned(printer.status), rounds)
                if tuple(exchange.sent for exchange in printer.reported.raw) != questions:
                    raise RuntimeError(f"{dialect}: the bare socket asks other questions than the library")
                return pairs

        rows.append(
            compare(
                f"status, {dialect}, {len(answers)} exchanges",
                "us",
                "ratio",
                _blocks(block, rounds),
                limit=STATUS_LIMIT,
                note="kept connection; its first status, which waits 20 ms to see that nothing follows, is not timed",
            )
        )
    return rows


def _blocks(block: Callable[[int], list], rounds: int) -> list[list]:
    return [block(max(rounds // BLOCKS, 2)) for _ in range(BLOCKS)]


def _read(blocks: list[Times]) -> list[list[tuple[float, float]]]:
    return [[(floor[0], ours[0]) for floor, ours in block] for block in blocks]


def _returned(blocks: list[Times]) -> list[list[tuple[float, float]]]:
    return [[(floor[1], ours[1]) for floor, ours in block] for block in blocks]


def _job(count: int) -> bytes:
    return random.Random(count).randbytes(count)


def _bare(target: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(target)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _bare_print(target: tuple[str, int], data: bytes) -> Callable[[], None]:
    def bare_print() -> None:
        sock = socket.socket()
        sock.connect(target)
        sock.sendall(data)
        sock.close()

    return bare_print


def _our_print(address: str, data: bytes) -> Callable[[], None]:
    def our_print() -> None:
        with rawprint.open(address) as printer:
            printer.print(data)

    return our_print
