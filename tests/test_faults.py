"""Random faults: whatever happens to printers and connections, no job hangs, is lost without a word, or prints twice."""

from __future__ import annotations

import random
import threading

import pytest

import rawprint
from rawprint import JobState

PATIENCE = 30.0
FAULTY_FOR = 2.0
JOBS = 30

PRINTERS = [
    ("tspl", ""),
    ("escpos", ""),
    ("tspl", "mute"),
    ("escpos", "late"),
    ("tspl", "short-status"),
    ("star", ""),
    ("zpl", ""),
]


def break_things(listener, chance, stop):
    """Cut, take paper away and stall, at random, until told to stop; then cure everything."""
    while not stop.wait(chance.random() * 0.3):
        kind = chance.choice(["reset", "close", "media", "cover", "stall", "calm"])
        if kind in ("reset", "close"):
            listener.drop(rst=kind == "reset")
        elif kind == "stall":
            listener.stall(True)
        elif kind != "calm":
            listener.set({"media": "media-empty", "cover": "cover-open"}[kind], True)
        stop.wait(chance.random() * 0.4)
        for reason in ("media-empty", "cover-open"):
            listener.set(reason, False)
        listener.stall(False)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("dialect", "clone"), PRINTERS)
def test_no_job_prints_twice(virtual, dialect, clone, seed):
    chance = random.Random(f"{dialect} {clone} {seed}")
    listener = virtual(dialect, clone=clone)
    stop = threading.Event()
    breaking = threading.Thread(target=break_things, args=(listener, chance, stop))
    with rawprint.PrintQueue(
        listener.address, dialect, idle_release=chance.choice([0.05, 60]), idle_check=chance.choice([0.0, 5.0])
    ) as queue:
        breaking.start()
        jobs = []
        for number in range(JOBS):
            data = b"<%d:" % number + b"x" * chance.choice([10, 300, 5_000, 60_000]) + b">\n"
            jobs.append((data, queue.submit(data)))
            if chance.random() < 0.1:
                jobs[-1][1].cancel()
        stop.wait(FAULTY_FOR)
        stop.set()
        breaking.join(PATIENCE)
        for _, job in jobs:
            assert job.wait(PATIENCE), job
    received = listener.received()
    for data, job in jobs:
        begun = received.count(data[: data.index(b":") + 1])
        assert begun <= 1, job
        if job.state is JobState.DELIVERED:
            assert received.count(data) == 1, job
        elif job.state is JobState.CANCELED:
            assert begun == 0 or job.error.written, job
        else:
            assert job.state is JobState.UNCERTAIN, job
