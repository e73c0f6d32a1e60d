"""How the server does when it is not alone with one client: many of them, one with large jobs, a printer that stands still."""

from __future__ import annotations

import json
import os
import select
import time
from contextlib import contextmanager
from functools import partial
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING

from client import PROTOCOL, WebSocket, printing
from pairs import Row, alternate, compare, tail
from processes import HERE, our_server, started
from serving import RATE_LIMIT, SIZES, TAIL_LIMIT, in_blocks
from sink import STAMP, job
from stage import HELD, LOAD, SHARED, Stage, printers, relayed, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stage import Way

CLIENTS = 8
BESIDE_LIMIT = 5.0  # ms, p99
STALLED_LIMIT = 1.2


class _Client:
    """One of several; its next job begins when the last one has come to the printer and its answer here."""

    def __init__(self, server: WebSocket, frame: bytes) -> None:
        self.server = server
        self.left = 0
        self.times: list[float] = []  # microseconds until the printer had the last byte, of this turn's jobs
        self._frame = frame
        self._awaited = 0
        self._begun = 0.0

    def start(self, jobs: int) -> None:
        self.left, self.times = jobs, []
        self._send()

    def taken(self, when: float) -> None:
        self.times.append((when - self._begun) * 1e6)
        self._one_of_two()

    def answered(self) -> None:
        for answer in self.server.answers():
            if b'"error":{' in answer:
                raise RuntimeError(f"the server refuses: {answer}")
            self._one_of_two()

    def _send(self) -> None:
        self._awaited = 2
        self._begun = perf_counter()
        self.server.send(self._frame)

    def _one_of_two(self) -> None:
        self._awaited -= 1
        if not self._awaited:
            self.left -= 1
            if self.left:
                self._send()


class _Crowd:
    """Clients at the same server; the tag of a client's job is its place among them."""

    def __init__(self, pipe: int, clients: list[_Client], each: int) -> None:
        self._pipe = pipe
        self._clients = clients
        self._each = each
        self._by_descriptor = {client.server.socket.fileno(): client for client in clients}
        self._poll = select.epoll()
        for descriptor in (pipe, *self._by_descriptor):
            self._poll.register(descriptor, select.EPOLLIN)

    def turn(self) -> tuple[float, list[float]]:
        """All jobs of a turn: microseconds for each of them on average, and how long each took."""
        begin = perf_counter()
        for client in self._clients:
            client.start(self._each)
        while any(client.left for client in self._clients):
            ready = self._poll.poll(10)
            if not ready:
                raise TimeoutError("no printer had a whole job, and no client an answer, within 10 s")
            for descriptor, _ in ready:
                if descriptor == self._pipe:
                    # Whole stamps: they are written, and so read, in pieces that a pipe keeps together.
                    for tag, when in STAMP.iter_unpack(os.read(descriptor, STAMP.size * 256)):
                        self._clients[tag].taken(when)
                else:
                    self._by_descriptor[descriptor].answered()
        seconds = perf_counter() - begin
        times = list(chain.from_iterable(client.times for client in self._clients))
        return seconds * 1e6 / len(times), times


def clients(rounds: int) -> Iterator[Row]:
    """Eight clients at a time, each with a printer of its own, and all with the same."""
    for name, size in SIZES.items():
        for places in (CLIENTS, 1):
            yield _clients(
                rounds, f"{CLIENTS} clients, {places} printer{'s' * (places > 1)}, {name}", size, places, HELD
            )
    yield _clients(rounds, f"{CLIENTS} clients, 1 printer, shared, 300 B", 300, 1, SHARED)


def _clients(rounds: int, title: str, size: int, places: int, extra: str) -> Row:
    each = 40 if size < 1_000_000 else 3  # jobs of a client in a turn
    jobs = [job(size, tag) for tag in range(CLIENTS)]

    def block(rounds: int) -> dict[str, list]:
        with stage(*["keep"] * places, extra=extra) as on:
            relays = [
                _Client(on.floor_client("relay_new", tag % places), relayed("relay_new", data))
                for tag, data in enumerate(jobs)
            ]
            ours = [
                _Client(on.our_client(), printing(f"p{tag % places}", data, "attached"))
                for tag, data in enumerate(jobs)
            ]
            crowds = [_Crowd(on.printers.pipe, crowd, each) for crowd in (relays, ours)]
            return {"": alternate(crowds[0].turn, crowds[1].turn, rounds, warm_up=2)}

    blocks = in_blocks(block, max(rounds // 25, 4))[""]
    rates = [[(1e6 / floor, 1e6 / ours) for (floor, _), (ours, _) in block] for block in blocks]
    note = "binary; a client's next job begins when the printer has its last; floor: relay_new"
    row = compare(title, "jobs/s", "ratio", rates, limit=RATE_LIMIT, at_least=True, fold=True, note=note)
    everything = list(chain.from_iterable(blocks))
    row.tails = (
        tail(chain.from_iterable(times for (_, times), _ in everything)),
        tail(chain.from_iterable(times for _, (_, times) in everything)),
    )
    row.tail_limit = TAIL_LIMIT
    return row


def beside_large(rounds: int) -> Iterator[Row]:
    """Jobs of 300 B beside a client, a process of its own, that sends one job of 1 MB after the other."""
    small, large = job(300), job(1_000_000, LOAD)

    def block(rounds: int) -> dict[str, list[tuple[float, float]]]:
        with stage("keep", "keep") as on:
            results = {}
            for name, printer in (("another", 1), ("the same", 0)):
                times = []
                with _large(on, on.floor.port, f"/relay_keep/{on.printers.ports[printer]}", "", relayed("", large)):
                    times.append(_times(on.relay("relay_keep", small), rounds))
                with _large(on, on.ours.port, "/", PROTOCOL, printing(f"p{printer}", large, "attached")):
                    times.append(_times(on.print(small, "attached"), rounds))
                results[name] = list(zip(*times, strict=True))
            return results

    for name, blocks in in_blocks(block, rounds).items():
        tails = [[tail(side) / 1e3 for side in zip(*block, strict=True)] for block in blocks]
        both = [
            tail(chain.from_iterable(side)) / 1e3 for side in zip(*(zip(*b, strict=True) for b in blocks), strict=True)
        ]
        yield Row(
            f"p99, 300 B beside 1 MB to {name} printer",
            "ms",
            "size",
            floor=both[0],
            ours=both[1],
            value=both[1],
            blocks=tuple(ours for _, ours in tails),
            limit=BESIDE_LIMIT,
            rounds=sum(map(len, blocks)),
            note="99th percentile from the call to the last byte read, while another client sends 1 MB jobs, one "
            "after the other; floor: relay_keep beside the same, which opens a connection for each client",
        )


@contextmanager
def _large(on: Stage, port: int, path: str, protocol: str, frame: bytes) -> Iterator[None]:
    """A client that sends its next frame when a printer has its last."""
    with started(HERE / "load.py", port, path, protocol) as load:
        go = partial(load.process.stdin.write, b"\n")
        load.process.stdin.write(len(frame).to_bytes(4, "big") + frame)
        on.printers.passed = go
        go()
        try:
            yield
        finally:
            on.printers.passed = int


def beside_stalled(rounds: int) -> Iterator[Row]:
    """A printer beside another one that stands in the middle of a job, against the same where there is no other."""
    data = job(300)

    def block(rounds: int) -> dict[str, list]:
        with (
            printers("keep") as alone,
            printers("keep", "stall") as beside,
            our_server(alone.config()) as quiet,
            our_server(beside.config()) as troubled,
        ):
            free, stuck = Stage(alone, None, quiet), Stage(beside, None, troubled)
            _stall(stuck, "p1")
            bare, ours = free.print(data, "attached"), stuck.print(data, "attached")
            return {"stalled": alternate(bare, ours, rounds)}

    blocks = in_blocks(block, rounds)["stalled"]
    note = "from the call to the last byte read; floor: our server, too, where no printer stands still"
    yield compare("300 B beside a stalled printer", "us", "ratio", blocks, limit=STALLED_LIMIT, fold=True, note=note)


def _stall(on: Stage, printer: str) -> None:
    """Returns when the server knows that the printer has stopped in the middle of a job."""
    client = on.our_client()
    client.send(printing(printer, job(1_000_000, LOAD), "attached"))
    id = json.loads(client.answer())["result"]["id"]
    deadline = time.monotonic() + 10
    while (state := client.result("jobs.get", {"id": id})["state"]) != "stopped":
        if time.monotonic() > deadline:
            raise TimeoutError(f"a job that a printer takes no more of is {state}, not stopped")
        time.sleep(0.05)
    client.close()


def _times(way: Way, rounds: int) -> list[float]:
    for _ in range(10):
        way()
    return [way() for _ in range(rounds)]


GROUPS = (clients, beside_large, beside_stalled)
