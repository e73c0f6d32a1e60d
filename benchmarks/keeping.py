"""What the journal costs: a job on disk before its first byte, crowds of them, and a file with a million old ones."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING

from client import PROTOCOL, WebSocket, printing, result
from pairs import Row, alternate, compare
from processes import our_server
from sink import job
from stage import HELD, printers

from rawprint import Journal, PrintQueue
from rawprint.virtual import Listener, device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stage import Way

COMMITS_LIMIT = 1.5
PROCESS_LIMIT = 1.3
RATE_LIMIT = 2000  # jobs/s
LABELS_LIMIT = 0.9
OLD_LIMIT = 1.2
START_LIMIT = 3.0  # s

CLIENTS = 50
OLD = 1_000_000
WAITING = 10_000
_SPEED = 20_000  # bytes/s of a label printer
_NOTE = "journal: our server with one, against the same without; the commit is a bare SQLite one on the same disk, at the same pace"


@contextmanager
def _commit() -> Iterator[Way]:
    """Microseconds of one commit that is flushed, as the journal's are."""
    with tempfile.TemporaryDirectory(prefix="rawprint-bench-") as folder:
        database = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, data BLOB)")

        def once() -> float:
            begin = perf_counter()
            database.execute("INSERT INTO jobs (data) VALUES (?)", (b"x" * 300,))
            return (perf_counter() - begin) * 1e6

        yield once
        database.close()


def one_client(rounds: int) -> Iterator[Row]:
    """From the call to the last byte at the printer."""
    data = job(300)
    with ExitStack() as stack:
        ways = {}
        for durability in ("none", "power", "process"):
            there = stack.enter_context(printers("keep"))
            ours = stack.enter_context(our_server(there.config(HELD), durability=durability))
            server = WebSocket(ours.port, "/", PROTOCOL)
            frame = printing("p0", data, "attached")
            ways[durability] = there.through(server, frame, lambda server=server: result(json.loads(server.answer())))
        commit = stack.enter_context(_commit())
        count = max(rounds // 8, 50)
        # At the pace of the jobs: a disk, and a processor, that are kept busy answer sooner.
        disk = statistics.median(pair[0] for pair in alternate(commit, ways["none"], count, rest=0.002))
        blocks = [alternate(ways["none"], ways["power"], count, rest=0.002) for _ in range(2)]
        more = compare("", "us", "difference", blocks)
        yield Row(
            "journal, power, 300 B: commits more",
            "us",
            "ratio",
            ours=more.value,
            floor=disk,
            value=more.value / disk,
            blocks=tuple(value / disk for value in more.blocks),
            limit=COMMITS_LIMIT,
            note=_NOTE,
        )
        blocks = [alternate(ways["none"], ways["process"], count, rest=0.002) for _ in range(2)]
        yield compare("journal, process, 300 B", "us", "ratio", blocks, limit=PROCESS_LIMIT, note=_NOTE)


def many_clients(_: int) -> Iterator[Row]:
    """How many jobs a second are accepted."""
    data, each = job(2000), 200
    rates = []
    for _round in range(3):
        with printers(*["keep"] * 8) as there, our_server(there.config(HELD), durability="power") as ours:
            threading.Thread(target=_drain, args=(there,), daemon=True).start()
            clients = [WebSocket(ours.port, "/", PROTOCOL) for _ in range(CLIENTS)]
            frames = [printing(f"p{number % 8}", data, "attached") for number in range(CLIENTS)]

            def send(client: WebSocket, frame: bytes) -> None:
                for _ in range(each):
                    client.send(frame)
                    result(json.loads(client.answer()))

            threads = [threading.Thread(target=send, args=pair) for pair in zip(clients, frames, strict=True)]
            begin = perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rates.append(CLIENTS * each / (perf_counter() - begin))
    rate = statistics.median(rates)
    yield Row(
        f"journal, power: jobs of 2 kB, {CLIENTS} clients",
        "jobs/s",
        "size",
        ours=rate,
        value=rate,
        blocks=tuple(rates),
        limit=RATE_LIMIT,
        at_least=True,
        note="accepted, that is on disk and answered; the clients are threads of the bench's one process",
    )


def _drain(there: object) -> None:
    while True:
        try:
            there.taken()  # type: ignore[attr-defined]
        except (TimeoutError, OSError, ValueError):
            return


def labels(_: int) -> Iterator[Row]:
    """A printer that is never idle between two jobs needs no longer for a hundred than for one with the same bytes."""
    label = b"SIZE 40 mm,30 mm\r\nCLS\r\n" + b'TEXT 20,20,"3",0,1,1,"Hello"\r\n' * 15 + b"PRINT 1\r\n"
    values = []
    for _round in range(3):
        times = {}
        for name, jobs in (("one", [label * 100]), ("hundred", [label] * 100)):
            with (
                tempfile.TemporaryDirectory(prefix="rawprint-bench-") as folder,
                Listener(device("tspl", speed=_SPEED)) as far,
                Journal(Path(folder) / "jobs.db") as journal,
                PrintQueue(far.address, "tspl", journal=journal, idle_release=None) as queue,
            ):
                begin = perf_counter()
                for each in jobs:
                    last = queue.submit(each)
                far.wait(lambda d: len(d.printed) == 100 * len(label), 60)
                times[name] = perf_counter() - begin
                last.wait(5)
        values.append((times["one"] * 1000, times["hundred"] * 1000))
    row = compare(
        "journal, power: 100 labels as 100 jobs", "ms", "ratio", [values], note=f"floor: as one job; {_SPEED} bytes/s"
    )
    row.value, row.blocks, row.quartiles = 1 / row.value, (), None
    row.limit, row.at_least = LABELS_LIMIT, True
    yield row


def old_jobs(rounds: int) -> Iterator[Row]:
    """The next job's commit beside a million old ones, and the start with many that wait."""
    with tempfile.TemporaryDirectory(prefix="rawprint-bench-") as folder:
        full = Path(folder) / "full.db"
        Journal(full).close()
        with sqlite3.connect(full) as database:
            now = time.time()
            database.executemany(
                "INSERT INTO jobs (id, printer, digest, bytes_total, created, state, ended) VALUES (?, 'p0', ?, 300, ?, 'delivered', ?)",
                ((f"{number * 2654435761 % (1 << 40):010x}-{number}", bytes(32), now, now) for number in range(OLD)),
            )
        database.close()
        with Journal(Path(folder) / "empty.db") as empty, Journal(full) as million:
            blocks = [alternate(_accept(empty), _accept(million), max(rounds // 4, 50)) for _ in range(3)]
        yield compare(
            "journal, power: a job beside 1,000,000 old",
            "us",
            "ratio",
            blocks,
            limit=OLD_LIMIT,
            note="floor: an empty journal",
        )
        state = Path(folder) / "state"
        with Journal(state / "jobs.db", durability="process") as journal:
            done = threading.Semaphore(0)
            for number in range(WAITING):
                journal.accept(journal.number(), f"job-{number}", "p0", b"x" * 300, lambda _: done.release())
            for _ in range(WAITING):
                done.acquire()
        with printers("keep") as there:
            config = there.config(HELD).replace("127.0.0.1", "127.0.0.2")  # where nobody listens
            with our_server(config, durability="none"):
                pass
            begin = perf_counter()
            with our_server(config, durability="power", state=state) as ours:
                WebSocket(ours.port, "/", PROTOCOL)
                took = perf_counter() - begin
        yield Row(
            "journal: start with 10,000 that wait",
            "s",
            "size",
            ours=took,
            value=took,
            limit=START_LIMIT,
            note="to the handshake",
        )


def _accept(journal: Journal) -> Way:
    answers: SimpleQueue[object] = SimpleQueue()

    def once() -> float:
        begin = perf_counter()
        journal.accept(journal.number(), os.urandom(8).hex(), "p0", b"x" * 300, answers.put)
        answers.get()
        return (perf_counter() - begin) * 1e6

    return once


GROUPS = (one_client, many_clients, labels, old_jobs)
