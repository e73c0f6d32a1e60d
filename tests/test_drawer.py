"""PrintQueue.open_drawer: at once or not at all, before the jobs that wait and never in the middle of one."""

from __future__ import annotations

import time

import pytest

import rawprint
from rawprint import Capabilities, JobState, Reason

PATIENCE = 10.0
KICK = {2: b"\x1bp\x00\x32\xfa", 5: b"\x1bp\x01\x32\xfa"}
REAL_TIME = b"\x10\x14\x01\x00\x01"
BIG = b"0123456789abcdefghijklmnopqrst\n" * 8_000


@pytest.fixture
def till(virtual):
    """till(listener, *promises, **options) -> a queue for it, closed after the test."""
    made = []

    def make(listener, *promises, **options):
        capabilities = Capabilities(promised=frozenset(promises))
        made.append(rawprint.PrintQueue(listener.address, "escpos", capabilities=capabilities, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(0.2)


def kicks(listener):
    with listener.lock:
        return listener.device.drawer_kicks


def is_stopped(job):
    deadline = time.monotonic() + PATIENCE
    with job._changed:
        return job._changed.wait_for(lambda: job.state is JobState.STOPPED, deadline - time.monotonic())


@pytest.mark.parametrize("pin", [2, 5])
@pytest.mark.parametrize("options", [{}, {"idle_release": None}], ids=["shared", "held"])
def test_the_drawer_opens(virtual, till, pin, options):
    listener = virtual("escpos")
    job = till(listener, **options).open_drawer(pin, id="kick")
    assert job.wait(PATIENCE)
    assert (job.id, job.state) == ("kick", JobState.DELIVERED)
    assert listener.printed() == KICK[pin]
    assert kicks(listener) == 1


@pytest.mark.parametrize(("pin", "command"), [(2, b"\x1b\x07\x14\x14\x07"), (5, b"\x1a")])
def test_a_star_printer_opens_it_when_it_is_ready(virtual, pin, command):
    listener = virtual("star", reasons=["cover-open"])
    with rawprint.PrintQueue(listener.address, "star") as queue:
        job = queue.open_drawer(pin)
        assert not job.wait(0.5)
        assert kicks(listener) == 0
        listener.set("cover-open", False)
        assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert listener.printed() == command
    assert kicks(listener) == 1


def test_it_opens_before_the_jobs_that_wait_and_in_order(virtual, till):
    listener = virtual("escpos", media=20_000)
    queue = till(listener)
    under_way = queue.submit(BIG)
    assert is_stopped(under_way)
    tickets = [queue.submit(b"%d\n" % number) for number in range(3)]
    opened = [queue.open_drawer(2), queue.open_drawer(5), queue.open_drawer(2)]
    time.sleep(0.6)
    assert kicks(listener) == 0  # not in the middle of a job
    listener.set("media-empty", False)
    assert tickets[-1].wait(PATIENCE)
    assert {job.state for job in (under_way, *tickets, *opened)} == {JobState.DELIVERED}
    assert listener.printed() == BIG + KICK[2] + KICK[5] + KICK[2] + b"0\n1\n2\n"


@pytest.mark.parametrize("promises", [(), ("drawer-real-time",)], ids=["command", "real-time"])
def test_it_expires_behind_a_job_that_is_stuck(virtual, till, promises):
    listener = virtual("escpos", media=20_000)
    queue = till(listener, *promises)
    stuck = queue.submit(BIG)
    assert is_stopped(stuck)
    job = queue.open_drawer(expires=0.5)
    assert job.wait(PATIENCE)
    assert (job.state, job.error.code, stuck.state) == (JobState.EXPIRED, "expired", JobState.STOPPED)
    listener.set("media-empty", False)
    assert stuck.wait(PATIENCE)
    assert kicks(listener) == 0
    assert listener.printed() == BIG


def test_it_waits_while_the_printer_is_stopped(virtual, till):
    listener = virtual("escpos", reasons=["cover-open"])
    queue = till(listener)
    ticket, job = queue.submit(b"ticket\n"), queue.open_drawer()
    assert not job.wait(0.8)
    assert job.reasons[Reason.COVER_OPEN] is True
    assert KICK[2] not in listener.received()
    listener.set("cover-open", False)
    assert ticket.wait(PATIENCE)
    assert listener.printed() == KICK[2] + b"ticket\n"


def test_it_expires_while_the_printer_is_stopped_and_does_not_open_later(virtual, till):
    listener = virtual("escpos", reasons=["media-empty"])
    queue = till(listener)
    began = time.monotonic()
    job = queue.open_drawer(expires=0.7)
    assert job.wait(PATIENCE)
    assert job.state is JobState.EXPIRED
    assert 0.7 <= time.monotonic() - began < 1.5
    listener.set("media-empty", False)
    ticket = queue.submit(b"ticket\n")
    assert ticket.wait(PATIENCE)
    assert kicks(listener) == 0
    assert listener.printed() == b"ticket\n"


def test_paper_runs_out_unnoticed_before_the_kick(virtual, till):
    """The printer is asked right before it: in a buffer the command would wait, and open the drawer unattended."""
    listener = virtual("escpos")
    queue = till(listener, idle_release=30.0)
    assert queue.submit(b"ticket\n").wait(PATIENCE)
    listener.set("media-empty", True)
    job = queue.open_drawer(expires=0.5)
    assert job.wait(PATIENCE)
    assert job.state is JobState.EXPIRED
    assert KICK[2] not in listener.received()


def test_it_expires_while_the_printer_is_off(till, closed_port):
    with rawprint.PrintQueue(f"tcp://127.0.0.1:{closed_port}", "escpos") as queue:
        job = queue.open_drawer(expires=0.4)
        assert job.wait(PATIENCE)
        assert job.state is JobState.EXPIRED


def test_it_expires_after_ten_seconds_by_default(till, closed_port):
    with rawprint.PrintQueue(f"tcp://127.0.0.1:{closed_port}", "escpos") as queue:
        job = queue.open_drawer()
        assert 9 < job._expires_at - time.monotonic() <= 10


@pytest.mark.parametrize("fault", ["media-empty", "cover-open"])
def test_the_real_time_command_opens_at_a_printer_that_is_stopped(virtual, till, fault):
    listener = virtual("escpos", reasons=[fault])
    queue = till(listener, "drawer-real-time")
    ticket = queue.submit(b"ticket\n")
    job = queue.open_drawer()
    assert listener.wait(lambda d: d.drawer_kicks == 1, 2.0)
    assert REAL_TIME in listener.received()
    assert listener.printed() == b""
    assert not ticket.wait(0.3)
    assert ticket.state is JobState.PENDING
    listener.set(fault, False)
    assert ticket.wait(PATIENCE)
    assert job.wait(PATIENCE)
    assert (job.state, ticket.state) == (JobState.DELIVERED, JobState.DELIVERED)
    assert kicks(listener) == 1
    assert listener.printed() == b"ticket\n"


def test_the_real_time_command_opens_while_a_whole_ticket_awaits_paper(virtual, till):
    listener = virtual("escpos", media=3)
    queue = till(listener, "drawer-real-time")
    ticket = queue.submit(b"ticket\n")
    assert is_stopped(ticket)
    job = queue.open_drawer()
    assert listener.wait(lambda d: d.drawer_kicks == 1, 2.0)
    listener.set("media-empty", False)
    assert ticket.wait(PATIENCE)
    assert job.wait(PATIENCE)
    assert listener.printed() == b"ticket\n"


def test_a_printer_that_does_not_promise_it_never_gets_the_real_time_command(virtual, till):
    listener = virtual("escpos", clone="prints-unknown")
    job = till(listener).open_drawer()
    assert job.wait(PATIENCE)
    assert REAL_TIME not in listener.received()
    with listener.lock:
        assert (listener.device.drawer_kicks, listener.device.misprints) == (1, b"")


def test_a_mute_printer_opens_it_too(virtual, till):
    listener = virtual("escpos", clone="mute")
    job = till(listener, idle_release=None).open_drawer()
    assert listener.wait(lambda d: d.drawer_kicks == 1, PATIENCE)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED


@pytest.mark.parametrize("promises", [(), ("drawer-real-time",)], ids=["queued", "real-time"])
def test_it_does_not_open_when_the_other_computer_has_gone(virtual, till, promises):
    """A printer that serves another computer keeps what it is sent for later, when nobody may be standing there."""
    listener = virtual("escpos")
    with rawprint.open(listener.address, "escpos"):
        job = till(listener, *promises).open_drawer(expires=1.0)
        assert job.wait(PATIENCE)
    assert job.state is JobState.EXPIRED
    time.sleep(0.5)
    with listener.lock:
        assert listener.device.drawer_kicks == 0


def test_real_time_opens_it_between_turns_without_paper(virtual, till):
    """A ticket awaits paper on a shared printer, and the queue's turn is over."""
    listener = virtual("escpos", media=10)
    queue = till(listener, "drawer-real-time")
    ticket = queue.submit(b"one espresso  2.50\n")
    assert listener.wait(lambda d: d.reasons["media-empty"], PATIENCE)
    time.sleep(1.2)
    assert queue.open_drawer().wait(PATIENCE, until="taken")
    assert listener.wait(lambda d: d.drawer_kicks == 1, PATIENCE)
    assert not ticket.ended


def test_it_does_not_move_to_another_printer(virtual, till):
    listener, label = virtual("escpos"), virtual("tspl")
    listener.set("media-empty", True)
    queue = till(listener)
    job = queue.open_drawer()
    queue.move(label.address, "tspl")
    assert job.wait(PATIENCE)
    assert job.state is JobState.CANCELED
    assert queue.submit(b"CLS\r\n").wait(PATIENCE)
    assert label.printed() == b"CLS\r\n"


@pytest.mark.parametrize(("dialect", "pin"), [("tspl", 2), (None, 2), ("escpos", 3)])
def test_no_such_drawer(virtual, dialect, pin):
    listener = virtual(dialect or "tspl")
    with (
        rawprint.PrintQueue(listener.address, dialect) as queue,
        pytest.raises(rawprint.Unsupported, match=f"pin {pin}") as caught,
    ):
        queue.open_drawer(pin)
    assert caught.value.hint
    assert listener.received() == b""


def test_a_closed_queue_opens_none(virtual, till):
    queue = till(virtual("escpos"))
    queue.close()
    with pytest.raises(rawprint.JobCanceled):
        queue.open_drawer()


def test_canceled_in_time(virtual, till):
    listener = virtual("escpos", reasons=["cover-open"])
    job = till(listener).open_drawer()
    assert not job.wait(0.3)
    assert job.cancel()
    assert job.wait(PATIENCE)
    assert job.state is JobState.CANCELED
    listener.set("cover-open", False)
    time.sleep(0.7)
    assert kicks(listener) == 0
