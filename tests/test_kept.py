"""Queues with a journal: what is on disk before what, and what the next process makes of it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import pytest

import rawprint
from rawprint import JobState, Journal, JournalError
from rawprint.dialects import DIALECTS

from .test_jobs import BIG, PATIENCE, PLAIN_TICKET, TSPL_JOB, Watched, holds


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
def kept(path):
    """kept(address, dialect, **options) -> a Watched queue with a journal of its own, and that journal."""
    with contextlib.ExitStack() as stack:

        def make(*arguments, **options):
            journal = stack.enter_context(Journal(path))
            made = Watched(*arguments, journal=journal, name="Label", **options)
            stack.callback(made.close, 0.2)
            return made, journal

        yield make


@pytest.fixture
def queues():
    """queues(address, dialect, **options) -> a Watched queue without a journal."""
    with contextlib.ExitStack() as stack:

        def make(*arguments, **options):
            made = Watched(*arguments, **options)
            stack.callback(made.close, 0.2)
            return made

        yield make


def again(path, address, dialect, **options):
    """The next process: a queue that got back what the journal has."""
    journal = Journal(path)
    queue = Watched(address, dialect, journal=journal, name="Label", **options)
    jobs = [queue.restore(entry, data) for entry, data in journal.unfinished()]
    return queue, journal, jobs


@contextlib.contextmanager
def ended(queue, journal):
    try:
        yield
    finally:
        queue.close(0.2)
        journal.close()


def test_each_step_is_on_disk_before_it_is_told(virtual, path):
    listener = virtual("tspl")
    seen = []
    with Journal(path) as journal:

        def look(job):
            entry = journal.find(job.id)
            arrived = len(listener.printed())
            seen.append((str(job.state), entry and entry.started, entry and entry.state, arrived > 0))

        with rawprint.PrintQueue(listener.address, "tspl", on_job=look, journal=journal) as printing:
            job = printing.submit(TSPL_JOB, id="till-7")
            assert journal.find("till-7") is not None
            assert job.wait(PATIENCE)
    assert seen[0] == ("pending", None, None, False)
    assert all(started for state, started, *_ in seen if state == "processing")
    assert seen[-1][:3] == ("delivered", True, "delivered")


def test_what_had_not_begun_is_printed_by_the_next_process(virtual, kept, path):
    listener = virtual("tspl", reasons=["media-empty"])
    printing, journal = kept(listener.address, "tspl")
    jobs = [printing.submit(b"%d\r\n" % n, id=f"job-{n}") for n in range(3)]
    printing.wait_for(lambda: jobs[0].reasons)
    printing.close()
    assert {job.state for job in jobs} == {JobState.PENDING}
    assert not jobs[0].wait(PATIENCE), "it is not this process that ends it"
    journal.close()
    listener.set("media-empty", False)
    second, journal, restored = again(path, listener.address, "tspl")
    with ended(second, journal):
        assert [job.id for job in restored] == ["job-0", "job-1", "job-2"]
        for job in restored:
            assert job.wait(PATIENCE)
            assert job.state is JobState.DELIVERED
        holds(listener, b"0\r\n1\r\n2\r\n")
        assert journal.unfinished() == []


@pytest.mark.parametrize("policy", ["hold", "go-on"])
def test_what_had_begun_is_uncertain_in_the_next_process(virtual, kept, path, policy):
    listener = virtual("tspl", media=20_000)
    printing, journal = kept(listener.address, "tspl")
    job = printing.submit(BIG, id="half")
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    printing.submit(b"NEXT\r\n", id="next")
    copy = path.with_name("copy.db")  # as a process that was killed leaves it
    with contextlib.closing(sqlite3.connect(copy)) as target:
        journal._reader.backup(target)
    printing.close(0.0)
    journal.close()
    listener.set("media-empty", False)
    before = len(listener.printed())
    second, journal, (half, following) = again(copy, listener.address, "tspl", after_uncertain=policy)
    with ended(second, journal):
        assert half.wait(PATIENCE)
        assert half.state is JobState.UNCERTAIN
        assert half.error.hint
        if policy == "hold":
            second.wait_for(lambda: following.error)
            assert following.error.code == "unsettled"
            assert following.state is JobState.PENDING
            second.settle("half")
        assert following.wait(PATIENCE)
        assert following.state is JobState.DELIVERED
        # As much as may be missing, so that what follows is not taken for the rest of it.
        assert listener.printed()[before:].endswith(bytes(half.bytes_total) + DIALECTS["tspl"].resync + b"NEXT\r\n")
        assert journal.find("half").state == "uncertain"


def test_a_held_queue_goes_on_when_somebody_has_looked(virtual, kept):
    listener = virtual("tspl", media=20_000)
    printing, _ = kept(listener.address, "tspl", after_uncertain="hold")
    job = printing.submit(BIG)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    listener.drop()
    assert job.wait(PATIENCE)
    assert job.state is JobState.UNCERTAIN
    listener.set("media-empty", False)
    following = printing.submit(b"NEXT\r\n")
    printing.wait_for(lambda: following.error)
    assert job.id in following.error.message
    assert b"NEXT" not in listener.printed()
    printing.settle(job.id)
    assert following.wait(PATIENCE)
    assert following.state is JobState.DELIVERED


@pytest.mark.parametrize("dialect", ["escpos", "star", "zpl", "tspl"])
def test_a_ticket_is_not_taken_for_the_rest_of_an_image(virtual, dialect):
    """The image's bytes are completed, and what follows is printed whole, as itself."""
    images = {
        "escpos": b"\x1dv0\x00\x48\x00\xe8\x03" + b"\x55" * 72_000,
        "star": b"\x1b*rA" + b"b\x48\x00" + b"\x55" * 72,
        "zpl": b"^XA^GFB,72000,72000,72," + b"\x55" * 72_000 + b"^FS^XZ",
        "tspl": b"CLS\r\nBITMAP 0,0,72,1000,0," + b"\x55" * 72_000 + b"\r\nPRINT 1\r\n",
    }
    listener = virtual(dialect)
    with rawprint.PrintQueue(listener.address, dialect) as printing:
        cut = rawprint.open(listener.address, dialect)
        half = images[dialect][: len(images[dialect]) // 2]
        cut.print(half)  # another program, or this one before it was killed
        cut.close()
        assert listener.wait(lambda d: not listener.state()["connections"], PATIENCE)
        printing._broken = len(images[dialect]) - len(half)
        before = listener.device.tickets
        ticket = {"zpl": b"^XA^FDx^FS^XZ\r\n", "tspl": TSPL_JOB, "star": b"\x1b@hello\n\x1bd\x03"}.get(
            dialect, b"hello\n\x1dV\x00"
        )
        job = printing.submit(ticket)
        assert job.wait(PATIENCE)
        assert job.state is JobState.DELIVERED
        assert listener.wait(lambda d: d.tickets == before + 1, PATIENCE)
        assert listener.printed().endswith(ticket.rstrip(b"\r\n")) or listener.printed().endswith(ticket)


def test_priorities_pause_and_resume(virtual, kept):
    listener = virtual("escpos")
    printing, _ = kept(listener.address, "escpos")
    printing.pause()
    jobs = [
        printing.submit(data, priority=priority)
        for data, priority in ((b"c\n", 50), (b"a\n", 90), (b"d\n", 50), (b"b\n", 60))
    ]
    printing.wait_for(lambda: len(printing.history) >= 4)
    assert printing.paused
    assert printing.status().state is rawprint.PrinterState.IDLE, "it can be asked all the same"
    assert {job.state for job in jobs} == {JobState.PENDING}
    printing.resume()
    for job in jobs:
        assert job.wait(PATIENCE)
    holds(listener, b"a\nb\nc\nd\n")
    with pytest.raises(ValueError, match="priority"):
        printing.submit(b"x", priority=0)


def test_a_printer_whose_queue_stands_still_is_watched_all_the_same(virtual, kept):
    listener = virtual("escpos")
    printing, _ = kept(
        listener.address, "escpos", idle_release=None, on_status=lambda status: said.append(status.state)
    )
    said = []
    printing.pause()
    printing.submit(b"later\n")
    printing.watch(0.1)
    for state in (rawprint.PrinterState.IDLE, rawprint.PrinterState.STOPPED):
        listener.set("media-empty", state is rawprint.PrinterState.STOPPED)
        deadline = time.monotonic() + PATIENCE
        while said[-1:] != [state]:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)


def test_a_job_that_the_journal_does_not_take_is_not_printed(virtual, kept):
    listener = virtual("escpos")
    printing, journal = kept(listener.address, "escpos")
    journal._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalError):
        printing.submit(b"lost\n")
    assert printing.history[-1][1] is JobState.FAILED
    journal._writer.execute("PRAGMA query_only = 0")
    assert printing.submit(b"kept\n").wait(PATIENCE)
    assert listener.printed() == b"kept\n"


def test_no_byte_goes_out_before_it_is_on_disk_that_it_may(virtual, kept):
    listener = virtual("escpos")
    printing, journal = kept(listener.address, "escpos")
    printing.pause()
    job = printing.submit(b"ticket\n")
    journal._writer.execute("PRAGMA query_only = 1")
    printing.resume()
    printing.wait_for(lambda: job.error)
    assert job.error.code == "journal"
    assert listener.printed() == b""
    journal._writer.execute("PRAGMA query_only = 0")
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert listener.printed() == b"ticket\n"


def test_the_same_id_again_is_an_error_of_the_library(virtual, kept):
    printing, _ = kept(virtual("escpos").address, "escpos")
    assert printing.submit(PLAIN_TICKET, id="a").wait(PATIENCE)
    with pytest.raises(ValueError, match="'a'"):
        printing.submit(PLAIN_TICKET, id="a")


def test_many_threads_share_one_journal(virtual, kept):
    listener = virtual("escpos")
    printing, journal = kept(listener.address, "escpos", idle_release=60)
    jobs = []

    def work(number):
        jobs.extend(printing.submit(b"<%d.%d>\n" % (number, n)) for n in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for job in jobs:
        assert job.wait(PATIENCE)
    assert sorted(listener.printed().splitlines()) == sorted(b"<%d.%d>" % (m, n) for m in range(8) for n in range(50))
    assert journal.unfinished() == []


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_journal_that_was_closed_first_holds_nobody_up(virtual, path, durability):
    listener = virtual("escpos", reasons=["media-empty"])
    journal = Journal(path, durability=durability)
    with rawprint.PrintQueue(listener.address, "escpos", journal=journal) as printing:
        job = printing.submit(b"ticket\n")
        journal.close()
        journal.close()
        with pytest.raises(JournalError, match="closed"):
            printing.submit(b"ticket\n")
        listener.set("media-empty", False)
        assert not job.wait(0.3)
    assert listener.printed() == b"", "it may be printed by the next process"


# -- the printer's own word -----------------------------------------------------------------------------------------

FENCES = {"escpos": "process-id", "star": "print-end-counter"}


@pytest.mark.parametrize("dialect", FENCES)
def test_completed_is_what_the_printer_says_when_it_has_printed(virtual, queues, dialect):
    """Where it is known to answer: the next job does not wait for that, and no earlier end is claimed."""
    listener = virtual(dialect, speed=2000.0)
    capabilities = rawprint.Capabilities(promised=frozenset({FENCES[dialect]}))
    printing = queues(listener.address, dialect, capabilities=capabilities, idle_release=60)
    jobs = [printing.submit(b"<%d>" % n + b"a line of text\n" * 130) for n in range(3)]
    for number, job in enumerate(jobs):
        assert job.wait(PATIENCE)
        with listener.lock:
            printed = bytes(listener.device.printed)
        assert b"<%d>" % number + b"a line of text\n" * 130 in printed, "it has come to the end of that one"
        assert (job.state, job.evidence) == (JobState.COMPLETED, ("acknowledged", FENCES[dialect]))
    assert FENCES[dialect] in capabilities.answered
    # All were given before the first had printed.
    begun = [printing.history.index(next(h for h in printing.history if h[0] == job.id and h[2])) for job in jobs]
    ended = [printing.history.index(next(h for h in printing.history if h[0] == job.id and h[1].ended)) for job in jobs]
    assert max(begun) < max(ended)


LABELS = b"^XA^FO30,30^A0N,30,30^FDHello^FS^XZ\r\n" * 40


def test_zpl_counters_that_rose_and_fell_are_the_printers_own_word(virtual, queues):
    """As those of a printer that says the same for ever are not: a label that nobody saw at work is delivered."""
    listener = virtual("zpl", speed=1500.0)
    printing = queues(listener.address, "zpl", idle_release=60)
    first, second = printing.submit(LABELS), printing.submit(LABELS)
    for number, job in enumerate((first, second), 1):
        assert job.wait(PATIENCE)
        assert (job.state, job.evidence) == (JobState.COMPLETED, ("acknowledged", "status", "hs"))
        assert len(listener.printed()) >= number * len(LABELS)
    listener = virtual("zpl")  # too fast to be seen at it
    job = queues(listener.address, "zpl").submit(LABELS)
    assert job.wait(PATIENCE)
    assert (job.state, job.evidence) == (JobState.DELIVERED, ("acknowledged", "status"))


def test_a_ticket_that_waits_for_paper_is_not_completed(virtual, queues):
    listener = virtual("escpos", media=100)
    capabilities = rawprint.Capabilities(promised=frozenset({"process-id"}))
    printing = queues(listener.address, "escpos", capabilities=capabilities)
    job = printing.submit(PLAIN_TICKET)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    assert not job.wait(1.0)
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    assert job.state is JobState.COMPLETED


def test_a_fence_that_is_never_answered_is_forgotten(virtual, queues, monkeypatch):
    monkeypatch.setattr("rawprint.print_queue.SILENCE", 0.5)
    listener = virtual("escpos", clone="no-process-id")
    capabilities = rawprint.Capabilities(answered={"process-id"})
    printing = queues(listener.address, "escpos", capabilities=capabilities, idle_release=60)
    for _ in range(3):
        job = printing.submit(PLAIN_TICKET)
        assert job.wait(PATIENCE)
        assert (job.state, job.evidence) == (JobState.DELIVERED, ("acknowledged", "status"))
    assert capabilities.silent == {"process-id"}
    printing.submit(PLAIN_TICKET).wait(PATIENCE)
    assert listener.received().count(b"\x1d(H") == 3


def test_nobody_is_asked_who_is_not_known_to_answer(virtual, queues):
    listener = virtual("escpos")
    printing = queues(listener.address, "escpos")
    job = printing.submit(PLAIN_TICKET)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert b"\x1d(H" not in listener.received()
