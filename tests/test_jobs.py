"""PrintQueue: what becomes of a job when paper, power, cable or printer fail at any point."""

from __future__ import annotations

import contextlib
import gc
import queue
import socket
import threading
import time

import pytest

import rawprint
from rawprint import JobState, PrinterState, Reason
from rawprint.dialects import DIALECTS
from rawprint.virtual import CLONES, Listener, device

from .conftest import reset

PATIENCE = 10.0
TSPL_JOB = b"SIZE 40 mm,30 mm\r\nCLS\r\nPRINT 1\r\n"
TICKET = b"\x1b@" + b"one espresso  2.50\n" * 15 + b"\x1dV\x00"  # about 300 bytes
PLAIN_TICKET = TICKET[2:]  # without ESC @, which ends pushes
STAR_TICKET = b"\x1b@" + b"one espresso  2.50\n" * 15 + b"\x1bd\x03"
ZPL_JOB = b"^XA^FO30,30^A0N,30,30^FDone espresso^FS^XZ\r\n"
JOBS = {
    "tspl": TSPL_JOB,
    "escpos": TICKET,
    "star": STAR_TICKET,
    "zpl": ZPL_JOB,
}
LANGUAGES = pytest.mark.parametrize("dialect", list(JOBS))
BIG = b"0123456789abcdefghijklmnopqrst\n" * 33_000  # 1 MB of lines


class Watched(rawprint.PrintQueue):
    """A queue whose jobs' changes can be waited for."""

    def __init__(self, address, dialect=None, **options):
        self.history = []
        self._seen = threading.Condition()
        super().__init__(address, dialect, on_job=self._note, **options)

    def _note(self, job):
        with self._seen:
            self.history.append((job.id, job.state, job.bytes_accepted, dict(job.reasons), job.error))
            self._seen.notify_all()

    def wait_for(self, predicate, timeout=PATIENCE):
        with self._seen:
            assert self._seen.wait_for(predicate, timeout), self.history[-3:]

    def states(self, job):
        states = [state for id, state, *_ in self.history if id == job.id]
        return [s for i, s in enumerate(states) if i == 0 or states[i - 1] is not s]


@pytest.fixture
def queues():
    """queues(address, dialect, **options) -> a Watched queue, closed after the test."""
    made = []

    def make(*arguments, **options):
        made.append(Watched(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(0.2)
        assert each._thread is None or not each._thread.is_alive()


def holds(listener, expected):
    """The printer got these print bytes, once, in order, and nothing else was printed."""
    assert listener.wait(lambda d: len(d.printed) >= len(expected), PATIENCE)
    assert listener.printed() == expected


@LANGUAGES
def test_a_job_is_delivered_on_the_printers_word(virtual, queues, dialect):
    listener = virtual(dialect)
    printing = queues(listener.address, dialect)
    job = printing.submit(JOBS[dialect], id="till-7")
    assert job.wait(PATIENCE)
    assert (job.id, job.state, job.bytes_accepted) == ("till-7", JobState.DELIVERED, job.bytes_total)
    assert job.evidence == ("acknowledged", "status")
    assert job.error is None
    assert printing.states(job) == [JobState.PENDING, JobState.PROCESSING, JobState.DELIVERED]
    holds(listener, JOBS[dialect])
    assert printing.last_status.state is PrinterState.IDLE


def test_jobs_keep_their_order(virtual, queues):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl")
    jobs = [printing.submit(b"TEXT %d\r\n" % n) for n in range(100)]
    assert jobs[-1].wait(PATIENCE)
    assert {job.state for job in jobs} == {JobState.DELIVERED}
    holds(listener, b"".join(b"TEXT %d\r\n" % n for n in range(100)))


# -- the paper runs out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "options", "head", "told"),
    [
        pytest.param("tspl", {}, b"", False, id="tspl: nothing tells"),
        pytest.param("escpos", {"push": True}, b"", True, id="escpos: pushes tell"),
        pytest.param("escpos", {"clone": "forgets-push"}, b"\x1b@", False, id="escpos: ESC @ ends the pushes"),
        pytest.param("escpos", {"clone": "mute"}, b"", False, id="escpos: mute"),
        pytest.param("zpl", {}, b"", False, id="zpl: nothing tells"),
        pytest.param("star", {}, b"", False, id="star: nothing tells"),
        pytest.param("star", {"push": True}, b"\x1b@", True, id="star: pushes tell, also after ESC @"),
    ],
)
def test_paper_runs_out_in_the_middle(virtual, queues, dialect, options, head, told):
    listener = virtual(dialect, media=400_000, **options)
    printing = queues(listener.address, dialect)
    data = head + BIG
    job = printing.submit(data)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    assert 0 < job.bytes_accepted < job.bytes_total
    if told:
        printing.wait_for(lambda: Reason.MEDIA_EMPTY in job.reasons)
    else:
        assert dict(job.reasons) == {}
    assert listener.wait(lambda d: d.room() == 0, PATIENCE)
    asked = len(listener.received())
    assert not job.wait(0.6)  # it stands still ...
    assert len(listener.received()) == asked
    assert job.state is JobState.STOPPED
    listener.set("media-empty", False)  # ... and goes on
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert job.bytes_accepted == len(data)
    holds(listener, data)


@LANGUAGES
def test_paper_runs_out_after_the_last_byte(virtual, queues, dialect):
    """A small ticket fits into the printer's buffer: all of it is taken, a third of it is on paper."""
    data = {"escpos": PLAIN_TICKET, "star": STAR_TICKET, "zpl": ZPL_JOB * 10}.get(dialect, b"SIZE 40 mm,30 mm\r\n" * 17)
    listener = virtual(dialect, media=100)
    printing = queues(listener.address, dialect)
    job = printing.submit(data)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    assert job.bytes_accepted == job.bytes_total
    assert job.reasons[Reason.MEDIA_EMPTY] is True
    assert not job.wait(0.8)
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert printing.states(job)[-3:] == [JobState.STOPPED, JobState.PROCESSING, JobState.DELIVERED]
    holds(listener, data)


def test_paper_runs_out_while_the_last_label_is_printed(virtual, queues):
    """The printer says that it prints, and so the job is not at its end."""
    data = b"SIZE 40 mm,30 mm\r\n" * 17
    listener = virtual("tspl", speed=300, media=250)
    printing = queues(listener.address, "tspl")
    job = printing.submit(data)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    assert JobState.DELIVERED not in printing.states(job)
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    holds(listener, data)


def test_a_full_buffer_that_answers_nothing_is_stopped(virtual, queues):
    """The job's end lies in the buffers between: every byte given, the printer, which has answered before, silent."""
    listener = virtual("tspl", media=100, buffer_size=512)
    printing = queues(listener.address, "tspl")
    job = printing.submit(b"SIZE 40 mm,30 mm\r\n" * 100)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    assert dict(job.reasons) == {}
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    holds(listener, b"SIZE 40 mm,30 mm\r\n" * 100)


def test_the_next_job_waits_while_the_printer_says_that_it_is_stopped(virtual, queues):
    listener = virtual("escpos", media=3)
    printing = queues(listener.address, "escpos")
    first = printing.submit(b"first\n")
    printing.wait_for(lambda: first.state is JobState.STOPPED)
    second = printing.submit(b"second\n")
    assert not second.wait(0.8)
    assert second.state is JobState.PENDING
    assert b"second" not in listener.received()
    listener.set("media-empty", False)
    assert second.wait(PATIENCE)
    assert (first.state, second.state) == (JobState.DELIVERED, JobState.DELIVERED)
    holds(listener, b"first\nsecond\n")


@LANGUAGES
def test_a_printer_that_is_stopped_at_the_start_gets_no_byte_of_the_job(virtual, queues, dialect):
    listener = virtual(dialect, reasons=["cover-open"])
    printing = queues(listener.address, dialect)
    job = printing.submit(JOBS[dialect])
    printing.wait_for(lambda: Reason.COVER_OPEN in job.reasons)
    assert not job.wait(0.8)
    assert (job.state, job.bytes_accepted) == (JobState.PENDING, 0)
    listener.set("cover-open", False)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    holds(listener, JOBS[dialect])


# -- the connection fails -------------------------------------------------------------------------------------------


def rest_of(job, dialect):
    """What goes before the next job, so that it does not become the rest of one that was broken off."""
    return bytes(job.bytes_total - job.bytes_accepted) + DIALECTS[dialect].resync


@pytest.mark.parametrize("rst", [True, False], ids=["reset", "closed"])
def test_killed_in_the_middle_is_uncertain(virtual, queues, rst):
    listener = virtual("tspl", media=20_000)
    printing = queues(listener.address, "tspl")
    job = printing.submit(BIG)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    listener.drop(rst=rst)
    assert job.wait(PATIENCE)
    assert job.state is JobState.UNCERTAIN
    assert 0 < job.bytes_accepted < job.bytes_total
    assert job.error.code == "disconnected"
    # Nothing of it is repeated, and the next job prints.
    listener.set("media-empty", False)
    before = len(listener.received())
    after = printing.submit(b"NEXT\r\n")
    assert after.wait(PATIENCE)
    assert after.state is JobState.DELIVERED
    got = listener.received()[before:].replace(b"\x1b!?", b"").replace(b"\x1b!S", b"")
    assert got == rest_of(job, "tspl") + b"NEXT\r\n"


def test_killed_after_the_last_byte_is_uncertain(virtual, queues):
    listener = virtual("escpos", media=100)
    printing = queues(listener.address, "escpos")
    job = printing.submit(PLAIN_TICKET)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    listener.drop()
    assert job.wait(PATIENCE)
    assert job.state is JobState.UNCERTAIN
    assert job.bytes_accepted == job.bytes_total


def test_refused_at_first_is_waited_for(queues, closed_port):
    printing = queues(f"tcp://127.0.0.1:{closed_port}", "tspl")
    job = printing.submit(TSPL_JOB)
    printing.wait_for(lambda: job.error is not None)
    assert job.state is JobState.PENDING
    assert job.error.code == "not-found"


def test_a_printer_that_is_switched_on_later_prints(queues):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    printing = queues(f"tcp://127.0.0.1:{port}", "tspl")
    jobs = [printing.submit(b"TEXT %d\r\n" % n) for n in range(3)]
    printing.wait_for(lambda: jobs[0].error is not None)
    with Listener(device("tspl"), port=port) as listener:
        assert jobs[-1].wait(PATIENCE)
        assert {job.state for job in jobs} == {JobState.DELIVERED}
        assert jobs[0].error is None
        holds(listener, b"TEXT 0\r\nTEXT 1\r\nTEXT 2\r\n")


def test_reset_before_a_byte_was_held_is_retried(peer, queues):
    """The card resets a surplus connection at once, as Star's does: nothing arrived, so it is printed on the next."""
    got = bytearray()

    def serve(connection, number):
        if number <= 3:
            reset(connection)
            return
        while data := connection.recv(4096):
            if data == b"\x10\x04\x01":
                connection.sendall(b"\x12")
            elif not data.startswith(b"\x10"):
                got.extend(data)

    printing = queues(peer(serve).address, "escpos")
    job = printing.submit(TSPL_JOB)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert bytes(got) == TSPL_JOB


def test_reset_right_after_the_bytes_were_read_is_not_retried(peer, queues):
    """Their acknowledgement may still be on its way when the reset comes: who prints them again may print them twice."""
    tickets = []

    def serve(connection, _):
        while data := connection.recv(4096):
            if data == b"\x10\x04\x01":
                connection.sendall(b"\x12")
            elif not data.startswith(b"\x10"):
                ticket = data.lstrip(b"\0").removeprefix(b"\x1b@")  # these end the ticket before
                if not ticket:
                    continue
                tickets.append(ticket)
                reset(connection)
                return

    printing = queues(peer(serve).address, "escpos")
    for number in range(20):
        job = printing.submit(b"ticket %d\n" % number)
        assert job.wait(PATIENCE)
        assert job.state is JobState.UNCERTAIN
    assert tickets == [b"ticket %d\n" % n for n in range(20)]


def test_a_kept_connection_that_was_closed_while_idle_costs_no_ticket(virtual, queues):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl", idle_release=60)
    for number, rst in enumerate((True, False, True, False)):
        job = printing.submit(b"TEXT %d\r\n" % number)
        assert job.wait(PATIENCE)
        assert job.state is JobState.DELIVERED
        listener.drop(rst=rst)
    holds(listener, b"".join(b"TEXT %d\r\n" % n for n in range(4)))


def test_a_kept_connection_that_died_without_a_word_costs_no_ticket(queues):
    """The printer lost its power: no FIN, no RST, and the ticket is the first thing that meets a dead connection."""
    relay = _Relay()
    with Listener(device("tspl")) as listener:
        relay.target = listener.port
        printing = queues(relay.address, "tspl", idle_release=60, idle_check=0.0)
        first = printing.submit(b"TEXT 1\r\n")
        assert first.wait(PATIENCE)
        relay.go_dead()
        second = printing.submit(b"TEXT 2\r\n")
        assert second.wait(PATIENCE)
        assert second.state is JobState.DELIVERED
        holds(listener, b"TEXT 1\r\nTEXT 2\r\n")
    relay.close()


class _Relay:
    """A cable that can be cut: after `go_dead` what an open connection is given goes nowhere, and nobody says so."""

    def __init__(self):
        self.target = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._dead = threading.Event()
        self._sockets = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            dead = self._dead = threading.Event()
            self._sockets += [near, far]
            threading.Thread(target=self._pump, args=(near, far, dead), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, dead), daemon=True).start()

    @staticmethod
    def _pump(source, sink, dead):
        try:
            while data := source.recv(4096):
                if not dead.is_set():
                    sink.sendall(data)
            if not dead.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def go_dead(self):
        self._dead.set()
        self._sockets[1].shutdown(socket.SHUT_RDWR)  # the printer is free again

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(PATIENCE)


def test_two_programs_share_a_printer_that_takes_one_connection(virtual, queues):
    listener = virtual("escpos", clone="single")
    both = [queues(listener.address, "escpos", idle_release=0.1) for _ in range(2)]
    jobs = [q.submit(b"%d/%d\n" % (n, i)) for n in range(5) for i, q in enumerate(both)]
    for job in jobs:
        assert job.wait(2 * PATIENCE)
    assert {job.state for job in jobs} == {JobState.DELIVERED}
    assert sorted(listener.printed().split()) == sorted(b"%d/%d" % (n, i) for n in range(5) for i in range(2))


# -- bad clones -----------------------------------------------------------------------------------------------------

# Those whose answers end no job: they have none, or none that can be trusted.
SAY_NOTHING = {"mute", "late", "late-no-hqes", "babbler", "feeds-when-asked", "enq-only", "line-print"}


def clones():
    for name in CLONES:
        for dialect in JOBS:
            try:
                device(dialect, clone=name)
            except ValueError:
                continue
            yield pytest.param(name, dialect, id=f"{name}-{dialect}")


@pytest.mark.parametrize(("clone", "dialect"), list(clones()))
def test_no_clone_completes_or_loses_a_job(virtual, queues, clone, dialect):
    options = {"idle_reset": 0.3} if clone == "drops-idle" else {}
    listener = virtual(dialect, clone=clone, **options)
    printing = queues(listener.address, dialect, idle_release=60)
    data = JOBS[dialect]
    for number in (1, 2):
        job = printing.submit(data)
        assert job.wait(PATIENCE)
        assert job.state is JobState.DELIVERED, job.error
        assert ("status" in job.evidence) == (clone not in SAY_NOTHING)
        if clone == "short-status":  # left one question unanswered, so it was asked the other one, once
            assert listener.received().count(b"~!S\r\n") == 1
            assert listener.printed().replace(b"~!S\r\n", b"") == data * number
        elif clone == "line-print":  # speaks another language, and prints the questions, each once
            questions = b"~HQES\n~HS\n"
            assert listener.printed().replace(questions, b"", 1) == data * number
        else:
            holds(listener, data * number)
        if clone == "drops-idle":
            assert listener.wait(lambda _: listener.state()["connections"] == 0, PATIENCE)
    if clone == "line-print":
        return
    with listener.lock:
        assert listener.device.misprints == b""
        assert listener.device.fed == 0 or clone == "feeds-when-asked"


# -- cancel, close, ask ---------------------------------------------------------------------------------------------


def test_cancel_before_it_begins(queues, closed_port):
    printing = queues(f"tcp://127.0.0.1:{closed_port}", "tspl")
    job = printing.submit(TSPL_JOB)
    printing.wait_for(lambda: job.error is not None)
    assert job.cancel()
    assert job.wait(PATIENCE)
    assert (job.state, job.error.code, job.error.written) == (JobState.CANCELED, "canceled", 0)
    assert isinstance(job.error.__cause__, rawprint.PrinterNotFound)
    assert not job.cancel()


def test_cancel_in_the_middle_says_how_far(virtual, queues):
    listener = virtual("tspl", media=20_000)
    printing = queues(listener.address, "tspl")
    job = printing.submit(BIG)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    began = time.monotonic()
    assert job.cancel()
    assert job.wait(PATIENCE)
    assert time.monotonic() - began < 0.5
    assert job.state is JobState.CANCELED
    assert 0 < job.error.written < job.bytes_total


def test_cancel_while_the_printer_is_opened_and_checked(peer, queues):
    """The printer takes its time with the first answer: what was canceled meanwhile must not print."""
    asked, answer = threading.Event(), threading.Event()
    got = []

    def serve(connection, _):
        while data := connection.recv(4096):
            got.append(data)
            asked.set()
            answer.wait(PATIENCE)
            if data.startswith(b"\x10\x04"):
                connection.sendall(b"\x12")

    for ending in ("cancel", "close"):
        asked.clear()
        answer.clear()
        printing = queues(peer(serve).address, "escpos")
        job = printing.submit(b"NEVER\n")
        assert asked.wait(PATIENCE)
        if ending == "cancel":
            assert job.cancel()
            answer.set()
        else:
            closing = threading.Thread(target=printing.close, args=(0.0,))
            closing.start()
            answer.set()
            closing.join(PATIENCE)
        assert job.wait(PATIENCE)
        assert job.state is JobState.CANCELED
    assert not any(b"NEVER" in data for data in got)


def test_cancel_in_the_callback_that_tells_of_the_job(virtual):
    listener = virtual("tspl")
    with rawprint.PrintQueue(listener.address, "tspl", on_job=lambda job: job.cancel()) as printing:
        job = printing.submit(TSPL_JOB)
        assert job.wait(PATIENCE)
        assert job.state is JobState.CANCELED
    assert listener.printed() == b""


def test_close_from_a_callback(virtual):
    listener = virtual("tspl")
    printing = rawprint.PrintQueue(listener.address, "tspl", on_job=lambda job: job.ended and printing.close(0.0))
    job = printing.submit(TSPL_JOB)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    printing.close()
    with pytest.raises(rawprint.JobCanceled):
        printing.submit(TSPL_JOB)


def test_jobs_keep_their_order_when_a_connection_is_turned_away(peer, queues):
    got = bytearray()

    def serve(connection, number):
        if number == 1:
            reset(connection)
            return
        while data := connection.recv(4096):
            got.extend(data)

    printing = queues(peer(serve).address)
    jobs = [printing.submit(letter * 4) for letter in (b"A", b"B", b"C")]
    assert jobs[-1].wait(PATIENCE)
    printed = bytes(got).replace(b"AAAA", b"A").replace(b"BBBB", b"B").replace(b"CCCC", b"C")
    assert printed == bytes(sorted(printed))  # what its kernel had acknowledged before the reset is uncertain
    assert {job.state for job in jobs} <= {JobState.DELIVERED, JobState.UNCERTAIN}


def test_a_printer_that_pushes_and_never_answers(peer, queues):
    """What it says unasked counts: it is stopped, and nothing spins while it is."""
    paper = threading.Event()

    def serve(connection, _):
        got = b""
        while b"\n" not in got:
            got += connection.recv(4096)
        connection.sendall(b"\x18\x00\x0c\x00")  # offline, paper end
        paper.wait(PATIENCE)
        connection.sendall(b"\x10\x00\x00\x00")
        connection.recv(4096)

    printing = queues(peer(serve).address, "escpos")
    job = printing.submit(b"ticket\n")
    printing.wait_for(lambda: Reason.MEDIA_EMPTY in job.reasons)
    assert job.state is JobState.STOPPED
    busy = time.process_time()
    assert not job.wait(1.0)
    assert time.process_time() - busy < 0.5
    paper.set()
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED


def test_many_who_ask_share_one_question(peer, queues):
    printing = queues(peer(lambda connection, _: connection.recv(4096) and connection.recv(4096)).address, "tspl")
    answers = queue.SimpleQueue()
    began = time.monotonic()
    for _ in range(20):
        printing.ask(answers.put, timeout=0.4)
    errors = [answers.get(timeout=PATIENCE) for _ in range(20)]
    assert {type(error) for error in errors} == {rawprint.NoReply}
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("address", ["tcp://a..b", "virtual://tspl?bogus=true", "virtual://tspl?clone=nobody"])
def test_an_address_that_can_never_be_opened(queues, address):
    job = queues(address, "tspl").submit(TSPL_JOB)
    if address.startswith("virtual"):
        assert job.wait(PATIENCE)
        assert (job.state, job.error.code) == (JobState.FAILED, "bad-address")
    else:
        assert not job.wait(0.5)
        assert job.error.code == "not-found"


def test_too_late_to_cancel(virtual, queues):
    printing = queues(virtual("tspl").address, "tspl")
    job = printing.submit(TSPL_JOB)
    assert job.wait(PATIENCE)
    assert not job.cancel()
    assert job.state is JobState.DELIVERED


def test_close_lets_the_job_in_print_finish_and_begins_no_other(virtual):
    listener = virtual("tspl", media=20_000)
    printing = Watched(listener.address, "tspl")
    first, second = printing.submit(BIG), printing.submit(b"NEVER\r\n")
    printing.wait_for(lambda: first.state is JobState.STOPPED)
    closing = threading.Thread(target=printing.close, args=(PATIENCE,))
    closing.start()
    listener.set("media-empty", False)
    closing.join(PATIENCE)
    assert (first.state, second.state) == (JobState.DELIVERED, JobState.CANCELED)
    holds(listener, BIG)
    with pytest.raises(rawprint.JobCanceled):
        printing.submit(b"x")


def test_close_in_the_middle_is_uncertain(virtual):
    listener = virtual("tspl", media=20_000)
    printing = Watched(listener.address, "tspl")
    job = printing.submit(BIG)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    printing.close(0.0)
    assert job.state is JobState.UNCERTAIN


def test_ask_between_jobs_and_while_one_is_printed(virtual, queues):
    listener = virtual("escpos", push=True)
    printing = queues(listener.address, "escpos")
    assert printing.status().state is PrinterState.IDLE
    listener.refill(200_000)
    job = printing.submit(BIG)
    printing.wait_for(lambda: Reason.MEDIA_EMPTY in job.reasons)
    assert listener.wait(lambda d: d.room() == 0, PATIENCE)
    before = listener.received()
    assert printing.status().stop_reasons == (Reason.MEDIA_EMPTY, Reason.OFFLINE)
    assert listener.received() == before  # nothing stands between a job's bytes
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    holds(listener, BIG)


def test_ask_a_printer_that_is_not_there(queues, closed_port):
    with pytest.raises(rawprint.PrinterNotFound):
        queues(f"tcp://127.0.0.1:{closed_port}", "tspl").status()


def test_ask_after_the_kept_connection_was_closed(virtual, queues):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl", idle_release=60)
    for rst in (True, False):
        assert printing.status().state is PrinterState.IDLE
        listener.drop(rst=rst)
    assert printing.status().state is PrinterState.IDLE


def test_an_idle_queue_lets_go_of_the_printer(virtual, queues):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl", idle_release=0.1)
    printing.status()
    assert listener.wait(lambda _: listener.state()["connections"] == 0, PATIENCE)


def test_callbacks_that_fail_end_nothing(virtual, monkeypatch):
    raised = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", raised.put)

    def fails(_):
        raise RuntimeError("somebody else's bug")

    with rawprint.PrintQueue(virtual("tspl").address, "tspl", on_job=fails, on_status=fails) as printing:
        assert printing.submit(TSPL_JOB).wait(PATIENCE)
    assert raised.get(timeout=PATIENCE).exc_type is RuntimeError


def test_a_bug_or_a_system_out_of_means_costs_one_job_at_most(virtual, queues, monkeypatch):
    """Whatever breaks: the queue goes on, what had not begun is printed, what had is uncertain, who asked is told."""
    raised = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", raised.put)
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl")
    breaks = {"open": 1, "print": 1, "status": 1}
    module = rawprint.print_queue

    def breaking(name, function):
        def call(*arguments, **options):
            if breaks[name]:
                breaks[name] -= 1
                if name == "print":
                    function(arguments[0], b"half\r\n")
                raise OSError(24, "Too many open files")
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(module, "open_printer", breaking("open", module.open_printer))
    monkeypatch.setattr(rawprint.Printer, "print", breaking("print", rawprint.Printer.print))
    monkeypatch.setattr(rawprint.Printer, "status", breaking("status", rawprint.Printer.status))
    first, second = printing.submit(b"FIRST\r\n"), printing.submit(b"SECOND\r\n")
    assert first.wait(PATIENCE)
    assert first.state is JobState.UNCERTAIN
    assert second.wait(PATIENCE)
    assert second.state in (JobState.DELIVERED, JobState.UNCERTAIN)  # asking may break after its last byte
    breaks["status"] = 1
    with pytest.raises(rawprint.RawprintError, match="Too many open files"):
        printing.status()
    assert printing.status().state is PrinterState.IDLE
    assert raised.get(timeout=PATIENCE).exc_type is OSError
    assert listener.printed() == b"half\r\n" + rest_of(first, "tspl") + b"SECOND\r\n"


def test_no_descriptor_left_is_an_error_with_a_code(monkeypatch, closed_port):
    def none_left(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    with pytest.raises(rawprint.PrinterNotFound, match="Too many open files"):
        rawprint.open(f"tcp://127.0.0.1:{closed_port}", "tspl")


def test_an_ended_job_keeps_no_bytes(virtual, queues):
    listener = virtual("tspl", media=20_000)
    printing = queues(listener.address, "tspl")
    data = bytearray(BIG)
    job = printing.submit(data)
    printing.wait_for(lambda: job.state is JobState.STOPPED)
    listener.drop()
    assert job.wait(PATIENCE)
    assert job.error is not None
    printing.close(0)
    gc.collect()
    assert job._data == b""
    views = [each for each in gc.get_objects() if isinstance(each, memoryview) and each.nbytes == len(BIG)]
    assert views == []  # such as in the frames of a traceback that the job's error carries


def test_bad_input(virtual, queues):
    with pytest.raises(rawprint.AddressError):
        rawprint.PrintQueue("nonsense")
    with pytest.raises(rawprint.AddressError):
        rawprint.PrintQueue("tcp://127.0.0.1", "klingon")
    with pytest.raises(ValueError, match="at least one byte"):
        queues(virtual("tspl").address).submit(b"")


def test_what_time_does_not_cure_fails_at_once(queues):
    job = queues("virtual://tspl?no-such=true", "tspl").submit(TSPL_JOB)
    assert job.wait(PATIENCE)
    assert (job.state, job.error.code) == (JobState.FAILED, "bad-address")


def test_nothing_is_left_behind(virtual):
    threads = threading.active_count()
    listener = virtual("tspl")
    with_listener = threading.active_count()
    for _ in range(20):
        with rawprint.PrintQueue(listener.address, "tspl", idle_release=0.0) as printing:
            printing.submit(TSPL_JOB).wait(until="taken")
            printing.close(0.0)
    gc.collect()
    assert threading.active_count() == with_listener == threads + 1


# -- what must not hold a queue up ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [memoryview(b"CCLLSS")[::2], memoryview(b"CLS\r\n\n\n\n").cast("I"), bytearray(b"CLS"), memoryview(b"CLS")],
    ids=["every other byte", "wide items", "bytearray", "view"],
)
def test_any_buffer_is_printed_as_its_bytes(virtual, queues, data):
    listener = virtual("tspl")
    job = queues(listener.address, "tspl").submit(data)
    assert job.wait(PATIENCE)
    assert (job.state, job.bytes_total) == (JobState.DELIVERED, data.nbytes if hasattr(data, "nbytes") else len(data))
    assert listener.printed() == bytes(data)


def test_a_job_that_cannot_be_printed_does_not_hold_up_the_others(virtual, queues, monkeypatch):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl")
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    with contextlib.ExitStack() as stack:
        stack.callback(monkeypatch.undo)
        broken = printing.submit(b"BROKEN\r\n")
        broken._data = object()
        job = printing.submit(b"CLS\r\n")
        assert broken.wait(PATIENCE)
        assert job.wait(PATIENCE)
    assert (broken.state, broken.error.code, job.state) == (JobState.FAILED, "disconnected", JobState.DELIVERED)
    assert len(shown) == 3
    assert listener.printed() == b"CLS\r\n"


def test_a_job_that_was_taken_is_told_while_the_next_one_stands(virtual, queues):
    listener = virtual("tspl", buffer_size=1000)
    printing = queues(listener.address, "tspl")
    first = printing.submit(b"CLS\r\n")
    second = printing.submit(b"x" * 200_000)
    printing.wait_for(lambda: any(id == first.id and taken == 5 for id, _, taken, *_ in printing.history))
    assert second.wait(PATIENCE)


def test_a_virtual_printer_with_a_wrong_address_does_not_spin(queues):
    printing = queues("virtual://tspl?nonsense=true", "tspl")
    printing.watch(1.0)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.3


def test_pending_counts_jobs_alone(virtual, queues):
    listener = virtual("tspl")
    printing = queues(listener.address, "tspl")
    for _ in range(50):
        printing.hear(rawprint.PrinterStatus())
        assert printing.pending == 0
