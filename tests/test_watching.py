"""PrintQueue.watch, hear, move and expiry: what is told of a printer, when it is asked, and when it is left alone."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

import rawprint
from rawprint import JobState, PrinterState, PrinterStatus, Reason
from rawprint.virtual import CLONES, Listener, device

from .conftest import reset

PATIENCE = 10.0
SOON = 1.0  # seconds within which a change at a held printer is told
LIVE = 0.75  # seconds between two questions with which that is kept
QUERIES = {
    "tspl": (b"\x1b!?", b"\x1b!S"),
    "escpos": (b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"),
    "star": (b"\x1b\x06\x01",),
    "zpl": (b"~HQES\n", b"~HS\n"),
}
JOBS = {
    "tspl": b"SIZE 40 mm,30 mm\r\nCLS\r\nPRINT 1\r\n",
    "escpos": b"one espresso  2.50\n\x1dV\x00",
    "star": b"one espresso  2.50\n\x1bd\x03",
    "zpl": b"^XA^FO30,30^A0N,30,30^FDone espresso^FS^XZ\r\n",
}
BIG = b"0123456789abcdefghijklmnopqrst\n" * 8_000
HELD, SHARED = {"idle_release": None}, {"idle_release": 0.1}
DIALECTS = pytest.mark.parametrize("dialect", list(QUERIES))
# A Star's status has no bit for that, and a Zebra's second question would see the feed that the first one began.
SAY_THAT_PAPER_MOVES = pytest.mark.parametrize("dialect", ["tspl", "escpos"])


class Watching(rawprint.PrintQueue):
    """A queue that keeps all it tells: `told` has (when, status or error), `history` what jobs went through."""

    def __init__(self, address, dialect=None, **options):
        self.told = []
        self.history = []
        self._seen = threading.Condition()
        super().__init__(address, dialect, on_job=self._job, on_status=self._note, on_failure=self._note, **options)

    def _note(self, what):
        with self._seen:
            self.told.append((time.monotonic(), what))
            self._seen.notify_all()

    def _job(self, job):
        with self._seen:
            self.history.append((job.id, job.state, dict(job.reasons)))
            self._seen.notify_all()

    def wait_for(self, predicate, timeout=PATIENCE):
        with self._seen:
            assert self._seen.wait_for(predicate, timeout), (self.told[-3:], self.history[-3:])

    def statuses(self):
        return [what for _, what in self.told if isinstance(what, PrinterStatus)]

    def failures(self):
        return [what for _, what in self.told if isinstance(what, rawprint.RawprintError)]

    def changes(self):
        """The states told, without repetitions."""
        states = [(s.state, s.stop_reasons) for s in self.statuses()]
        return [each for i, each in enumerate(states) if i == 0 or states[i - 1] != each]

    def cpu(self):
        """Seconds of processor time that the queue's thread has used."""
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))


@pytest.fixture
def queues():
    """queues(address, dialect, **options) -> a Watching queue, closed after the test."""
    made = []

    def make(*arguments, **options):
        made.append(Watching(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(0.2)


def asked(listener):
    """How many bytes came that are no question, and how many questions."""
    received, dialect = listener.received(), listener.device.dialect
    questions = sum(received.count(query) for query in QUERIES[dialect])
    return len(received) - sum(received.count(query) * len(query) for query in QUERIES[dialect]), questions


def connections(listener):
    return listener.state()["connections"], listener.state()["connections_total"]


# -- a printer that is held -----------------------------------------------------------------------------------------


@DIALECTS
def test_every_change_is_told_soon_in_order_on_one_connection(virtual, queues, dialect):
    listener = virtual(dialect)
    watching = queues(listener.address, dialect, **HELD)
    watching.watch(LIVE)
    watching.wait_for(watching.statuses)
    expected = [PrinterState.IDLE]
    for reason in ("media-empty", "cover-open"):
        for value, state in ((True, PrinterState.STOPPED), (False, PrinterState.IDLE)):
            began = time.monotonic()
            listener.set(reason, value)
            watching.wait_for(lambda state=state: watching.statuses()[-1].state is state, SOON)
            assert time.monotonic() - began < SOON
            assert watching.statuses()[-1].reasons[Reason(reason)] is value
            expected.append(state)
    assert [state for state, _ in watching.changes()] == expected
    assert watching.failures() == []
    assert connections(listener) == (1, 1)


@pytest.mark.parametrize("rst", [True, False], ids=["reset", "closed"])
def test_a_held_connection_that_is_cut_is_made_again_and_nobody_notices(virtual, queues, rst):
    listener = virtual("tspl")
    watching = queues(listener.address, "tspl", **HELD)
    watching.watch(0.1)
    watching.wait_for(watching.statuses)
    listener.drop(rst=rst)
    listener.set("media-empty", True)
    watching.wait_for(lambda: watching.statuses()[-1].state is PrinterState.STOPPED, SOON)
    assert watching.failures() == []
    assert connections(listener) == (1, 2)


def pauses(watching):
    times = [at for at, what in watching.told if isinstance(what, rawprint.RawprintError)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_a_held_printer_that_is_switched_off_costs_nothing_and_is_seen_when_it_is_back(queues):
    with Listener(device("tspl")) as listener:
        port = listener.port
        watching = queues(listener.address, "tspl", **HELD)
        watching.watch(LIVE)
        watching.wait_for(watching.statuses)
    watching.wait_for(lambda: len(watching.failures()) >= 5)
    assert {error.code for error in watching.failures()} == {"not-found"}
    assert watching.last_status is None
    growing = pauses(watching)[:4]
    for number, pause in enumerate(growing):  # 0.1, 0.2, 0.4, 0.8 s, a quarter more or less
        assert 0.74 * 0.1 * 2**number < pause < 1.26 * 0.1 * 2**number + 0.2
    busy = watching.cpu()
    time.sleep(2.0)
    assert watching.cpu() - busy < 0.02
    with Listener(device("tspl"), port=port):
        watching.wait_for(lambda: watching.statuses() and watching.told[-1][1] is watching.last_status, 7.0)
        assert watching.last_status.state is PrinterState.IDLE


def test_back_off_has_an_end(queues, closed_port, monkeypatch):
    monkeypatch.setattr(rawprint.print_queue, "_RETRY_LAST", 0.3)
    watching = queues(f"tcp://127.0.0.1:{closed_port}", "tspl", **HELD)
    watching.watch(LIVE)
    watching.wait_for(lambda: len(watching.failures()) >= 10)
    assert all(0.2 < pause < 0.6 for pause in pauses(watching)[3:])
    assert len(set(pauses(watching))) > 5  # with jitter


def test_a_printer_that_resets_whoever_comes_is_tried_ever_more_seldom(peer, queues):
    printer = peer(lambda connection, _: reset(connection))
    watching = queues(printer.address, "tspl", **HELD)
    watching.watch(0.05)
    watching.wait_for(lambda: len(watching.failures()) >= 4)
    busy, tried = watching.cpu(), printer.connections
    time.sleep(2.0)
    assert watching.cpu() - busy < 0.02
    assert printer.connections - tried <= 3


def test_a_held_printer_that_falls_silent_is_told_once_for_each_question(peer, queues):
    quiet = threading.Event()
    answers = {b"\x1b!?": b"\x00", b"\x1b!S": b"\x02@@@@\x03\r\n"}

    def serve(connection, _):
        while data := connection.recv(4096):
            if not quiet.is_set():
                connection.sendall(answers[data])

    printer = peer(serve)
    watching = queues(printer.address, "tspl", **HELD)
    watching.watch(0.1)
    watching.wait_for(watching.statuses)
    quiet.set()
    before = printer.connections
    watching.wait_for(lambda: len(watching.failures()) >= 2)
    assert {error.code for error in watching.failures()} == {"no-reply"}
    assert printer.connections - before <= len(watching.failures())
    quiet.clear()
    watching.wait_for(lambda: isinstance(watching.told[-1][1], PrinterStatus))


# -- a printer that is shared ---------------------------------------------------------------------------------------


@DIALECTS
def test_a_shared_printer_is_opened_for_the_question_alone(virtual, queues, dialect):
    listener = virtual(dialect)
    watching = queues(listener.address, dialect, idle_release=30.0)
    watching.watch(0.5)
    assert connections(listener) == (0, 0)
    assert not listener.wait(lambda _: connections(listener)[1] > 0, 0.3)  # to be watched does not open it by itself
    for count in (1, 2, 3, 4, 5):
        watching.wait_for(lambda count=count: len(watching.statuses()) >= count)
        assert listener.wait(lambda _: connections(listener)[0] == 0, 0.3)
    assert watching.failures() == []
    watching.watch(None)
    time.sleep(0.1)
    total = connections(listener)[1]
    time.sleep(0.8)
    assert connections(listener)[1] == total


def test_a_shared_printer_is_not_asked_at_once_however_seldom_it_is(virtual, queues):
    listener = virtual("tspl")
    watching = queues(listener.address, "tspl", **SHARED)
    watching.watch(30.0)
    watching.wait_for(watching.statuses)
    assert watching._polling.at - time.monotonic() > 25
    assert connections(listener)[1] == 1


@pytest.mark.parametrize("options", [HELD, SHARED], ids=["held", "shared"])
def test_nothing_is_asked_while_a_job_is_under_way(virtual, queues, options):
    listener = virtual("tspl", media=50_000)
    watching = queues(listener.address, "tspl", **options)
    watching.watch(0.1)
    job = watching.submit(BIG)
    watching.wait_for(lambda: job.state is JobState.STOPPED)
    time.sleep(0.6)
    received = listener.received()
    assert BIG.startswith(received[received.index(b"0123") :])
    listener.set("media-empty", False)
    assert job.wait(PATIENCE)
    assert listener.printed() == BIG
    watching.wait_for(lambda: len(watching.statuses()) > 5)  # and then again


def test_a_printer_that_is_off_is_not_tried_again_and_again_for_a_poll(queues, closed_port):
    watching = queues(f"tcp://127.0.0.1:{closed_port}", "tspl", **SHARED)
    watching.watch(0.4)
    watching.wait_for(lambda: len(watching.failures()) >= 3)
    assert all(pause > 0.3 for pause in pauses(watching))


# -- printers that are left alone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [HELD, SHARED], ids=["held", "shared"])
@DIALECTS
def test_a_mute_printer_is_not_polled(virtual, queues, monkeypatch, dialect, options):
    monkeypatch.setattr(rawprint.print_queue, "_ASK_TIMEOUT", 0.2)
    monkeypatch.setattr(rawprint.print_queue, "_DOUBT", 0.5)
    listener = virtual(dialect, clone="mute")
    watching = queues(listener.address, dialect, **options)
    watching.watch(0.1)
    deadline = time.monotonic() + PATIENCE
    proven = 0 if options == HELD else 3  # a shared one may serve another computer on the first connections
    while not watching.capabilities.is_mute(watching._dialect) or watching._silent_connections < proven:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    other, questions = asked(listener)
    assert other == 0
    assert questions <= 3 * (2 if dialect == "zpl" else 1), "a Zebra may know either of two questions"
    time.sleep(0.6)
    assert asked(listener) == (other, questions)


def clones():
    for name in sorted(set(CLONES) - {"feeds-when-asked"}):
        for dialect in QUERIES:
            try:
                device(dialect, clone=name)
            except ValueError:
                continue
            yield pytest.param(name, dialect, id=f"{name}-{dialect}")


@pytest.mark.parametrize(("name", "dialect"), list(clones()))
def test_watching_feeds_no_paper(virtual, queues, name, dialect):
    listener = virtual(dialect, clone=name)
    watching = queues(listener.address, dialect, **HELD)
    watching.watch(0.05)
    listener.wait(lambda d: len(d.received) > 60, 1.0)
    if name == "line-print":  # speaks another language: it is asked once, and then left alone
        assert listener.wait(lambda d: d.printed == b"".join(QUERIES[dialect]), PATIENCE)
        assert not listener.wait(lambda d: d.received != d.printed or len(d.printed) > 11, 0.5)
        return
    with listener.lock:
        assert (listener.device.misprints, listener.device.fed, listener.device.tickets) == (b"", 0, 0)
    assert not watching.capabilities.feeds


@pytest.mark.parametrize("options", [HELD, SHARED], ids=["held", "shared"])
@SAY_THAT_PAPER_MOVES
def test_a_printer_that_feeds_when_it_is_asked_is_asked_no_more(virtual, queues, dialect, options):
    listener = virtual(dialect, clone="feeds-when-asked")
    watching = queues(listener.address, dialect, **options)
    watching.watch(LIVE)
    watching.wait_for(watching.failures)
    assert watching.capabilities.feeds
    assert [error.code for error in watching.failures()] == ["unsupported"]
    fed = listener.device.fed
    assert 3 <= fed <= 3 * 6
    job = watching.submit(JOBS[dialect])
    with pytest.raises(rawprint.Unsupported, match="feeds paper"):
        watching.status()
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    time.sleep(LIVE)
    assert listener.device.fed == fed
    assert listener.printed() == JOBS[dialect]


@SAY_THAT_PAPER_MOVES
def test_a_job_is_not_followed_by_paper_without_end(virtual, queues, dialect):
    """Nobody watches; the questions after the job are what feeds, and look as if it were still printing."""
    listener = virtual(dialect, clone="feeds-when-asked")
    watching = queues(listener.address, dialect, **SHARED)
    job = watching.submit(JOBS[dialect])
    assert job.wait(PATIENCE)
    assert (job.state, "status" in job.evidence) == (JobState.DELIVERED, False)
    assert watching.capabilities.feeds
    assert listener.device.fed < 50
    fed = listener.device.fed
    assert watching.submit(JOBS[dialect]).wait(PATIENCE)
    assert listener.device.fed == fed
    assert listener.printed() == 2 * JOBS[dialect]


def test_a_printer_on_which_another_host_prints_is_not_suspected(virtual, queues):
    listener = virtual("tspl", speed=2000)
    watching = queues(listener.address, "tspl", **HELD)
    watching.watch(0.2)
    end = time.monotonic() + 4.0
    while time.monotonic() < end:  # tickets of half a second, with pauses between
        with listener._changing():
            listener.device.receive(b"TEXT 1\r\n" * 125)
        time.sleep(0.75)
    assert PrinterState.PROCESSING in {status.state for status in watching.statuses()}
    assert not watching.capabilities.feeds


def test_a_held_feed_button_is_no_feeding_printer(virtual, queues):
    listener = virtual("escpos", reasons=["x-feed-button"])
    watching = queues(listener.address, "escpos", **HELD)
    watching.watch(0.1)
    watching.wait_for(lambda: len(watching.statuses()) > 8)
    assert not watching.capabilities.feeds
    listener.set("x-feed-button", False)
    watching.wait_for(lambda: watching.statuses()[-1].state is PrinterState.IDLE)


# -- other channels -------------------------------------------------------------------------------------------------

NO_PAPER = PrinterStatus({Reason.MEDIA_EMPTY: True}, source="snmp")
FINE = PrinterStatus({Reason.MEDIA_EMPTY: False}, source="snmp")


def test_another_channel_says_why_a_job_stands(virtual, queues):
    listener = virtual("tspl", media=20_000)
    watching = queues(listener.address, "tspl")
    job = watching.submit(BIG)
    watching.wait_for(lambda: job.state is JobState.STOPPED)
    assert dict(job.reasons) == {}
    watching.hear(NO_PAPER)
    watching.wait_for(lambda: job.reasons == {Reason.MEDIA_EMPTY: True}, SOON)
    assert watching.told[-1][1] is NO_PAPER
    listener.set("media-empty", False)
    watching.hear(FINE)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED
    assert listener.printed() == BIG


def test_another_channel_does_not_take_back_what_the_printer_said(virtual, queues):
    listener = virtual("escpos", push=True, media=20_000)
    watching = queues(listener.address, "escpos")
    job = watching.submit(BIG)
    watching.wait_for(lambda: Reason.MEDIA_EMPTY in job.reasons)
    told = len(watching.told)
    for _ in range(3):
        watching.hear(FINE)
        time.sleep(0.3)
    assert job.state is JobState.STOPPED
    assert Reason.MEDIA_EMPTY in job.reasons
    assert {what.state for _, what in watching.told[told:]} <= {PrinterState.STOPPED}


def test_what_another_channel_said_is_not_followed_by_older_news(virtual, queues):
    listener = virtual("tspl")
    watching = queues(listener.address, "tspl", idle_release=30.0)
    watching.status()
    watching.wait_for(watching.statuses)
    watching.hear(NO_PAPER)
    time.sleep(0.3)
    watching.hear(NO_PAPER)
    time.sleep(0.3)
    assert [status.source for status in watching.statuses()] == ["printer", "snmp", "snmp"]


def test_hearing_needs_no_connection(queues, closed_port):
    watching = queues(f"tcp://127.0.0.1:{closed_port}", "tspl")
    watching.hear(NO_PAPER)
    watching.wait_for(lambda: watching.statuses() == [NO_PAPER])
    assert watching.last_status is NO_PAPER


# -- expiry ---------------------------------------------------------------------------------------------------------


def expired_in_time(watching, job, limit, since):
    assert job.wait(PATIENCE)
    assert job.state is JobState.EXPIRED
    assert job.error.code == "expired"
    assert limit <= time.monotonic() - since < limit + 0.6
    assert job.bytes_accepted == 0


def test_a_job_expires_behind_one_that_is_stuck_and_that_one_never(virtual, queues):
    listener = virtual("tspl", media=20_000)
    watching = queues(listener.address, "tspl")
    stuck = watching.submit(BIG, expires=0.5)
    watching.wait_for(lambda: stuck.state is JobState.STOPPED)
    since = time.monotonic()
    late, patient = watching.submit(b"LATE\r\n", expires=0.4), watching.submit(b"PATIENT\r\n")
    expired_in_time(watching, late, 0.4, since)
    time.sleep(0.3)
    assert stuck.state is JobState.STOPPED
    listener.set("media-empty", False)
    assert patient.wait(PATIENCE)
    assert (stuck.state, patient.state) == (JobState.DELIVERED, JobState.DELIVERED)
    assert listener.printed() == BIG + b"PATIENT\r\n"


def test_a_job_expires_behind_one_that_awaits_paper(virtual, queues):
    listener = virtual("escpos", media=3)
    watching = queues(listener.address, "escpos")
    first = watching.submit(b"first\n", expires=0.3)
    watching.wait_for(lambda: first.state is JobState.STOPPED)
    since = time.monotonic()
    expired_in_time(watching, watching.submit(b"late\n", expires=0.4), 0.4, since)
    listener.set("media-empty", False)
    assert first.wait(PATIENCE)
    assert first.state is JobState.DELIVERED
    assert listener.printed() == b"first\n"


@pytest.mark.parametrize("options", [HELD, SHARED], ids=["held", "shared"])
def test_a_job_expires_while_the_printer_is_off(queues, closed_port, options):
    watching = queues(f"tcp://127.0.0.1:{closed_port}", "tspl", **options)
    since = time.monotonic()
    job = watching.submit(b"LATE\r\n", expires=0.7)
    expired_in_time(watching, job, 0.7, since)
    assert isinstance(job.error.__cause__, rawprint.PrinterNotFound)


def test_a_job_does_not_begin_when_its_time_ran_out_while_the_printer_was_opened(peer, queues):
    got = bytearray()

    def serve(connection, _):
        while data := connection.recv(4096):
            got.extend(data)

    watching = queues(peer(serve).address, "tspl")  # the check takes half a second
    since = time.monotonic()
    expired_in_time(watching, watching.submit(b"LATE\r\n", expires=0.2), 0.2, since)
    assert b"LATE" not in got


def test_a_job_that_does_not_expire_in_time_prints(virtual, queues):
    watching = queues(virtual("tspl").address, "tspl")
    job = watching.submit(b"TEXT\r\n", expires=0.3)
    assert job.wait(PATIENCE)
    assert job.state is JobState.DELIVERED


# -- another address ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [HELD, SHARED], ids=["held", "shared"])
def test_what_is_under_way_finishes_and_the_rest_prints_elsewhere(virtual, queues, options):
    old, new = virtual("tspl", media=20_000), virtual("escpos")
    moving = queues(old.address, "tspl", **options)
    under_way = moving.submit(BIG)
    moving.wait_for(lambda: under_way.state is JobState.STOPPED)
    waiting = [moving.submit(b"%d\n" % number) for number in range(5)]
    moving.move(new.address, "escpos")
    time.sleep(0.3)
    assert moving.address == old.address
    old.set("media-empty", False)
    assert waiting[-1].wait(PATIENCE)
    assert {job.state for job in (under_way, *waiting)} == {JobState.DELIVERED}
    assert (moving.address, moving.dialect) == (new.address, "escpos")
    assert old.printed() == BIG
    assert new.printed() == b"0\n1\n2\n3\n4\n"


def test_jobs_for_an_address_where_nothing_is_print_at_the_right_one(virtual, queues, closed_port):
    new = virtual("tspl")
    moving = queues(f"tcp://127.0.0.1:{closed_port}", "tspl", **HELD)
    jobs = [moving.submit(b"TEXT %d\r\n" % number) for number in range(3)]
    moving.wait_for(lambda: len(moving.failures()) >= 4)
    moving.move(new.address, "tspl")
    assert jobs[-1].wait(1.5)  # without the rest of the pause
    assert new.printed() == b"TEXT 0\r\nTEXT 1\r\nTEXT 2\r\n"


def test_a_job_that_awaits_its_end_gets_it_where_it_was_printed(virtual, queues):
    old, new = virtual("escpos", media=3), virtual("escpos")
    moving = queues(old.address, "escpos")
    first = moving.submit(b"first\n")
    moving.wait_for(lambda: first.state is JobState.STOPPED)
    second = moving.submit(b"second\n")
    moving.move(new.address, "escpos")
    assert not second.wait(0.5)
    old.set("media-empty", False)
    assert second.wait(PATIENCE)
    assert first.state is JobState.DELIVERED
    assert (old.printed(), new.printed()) == (b"first\n", b"second\n")


def test_the_new_printer_is_watched_and_tried_for_feeding_anew(virtual, queues):
    old, new = virtual("tspl"), virtual("tspl", clone="feeds-when-asked")
    moving = queues(old.address, "tspl", **HELD)
    moving.watch(0.5)
    moving.wait_for(lambda: len(moving.statuses()) > 4)
    moving.move(new.address, "tspl")
    moving.wait_for(moving.failures)
    assert moving.capabilities.feeds
    assert connections(old)[0] == 0


def test_a_bad_address_moves_nothing(virtual, queues):
    listener = virtual("tspl")
    moving = queues(listener.address, "tspl")
    with pytest.raises(rawprint.AddressError):
        moving.move("nonsense", "tspl")
    with pytest.raises(rawprint.AddressError):
        moving.move(listener.address, "klingon")
    assert moving.submit(b"TEXT\r\n").wait(PATIENCE)


def test_keep_lets_go_and_holds(virtual, queues):
    listener = virtual("tspl")
    keeping = queues(listener.address, "tspl", **HELD)
    keeping.status()
    keeping.keep(0.1)
    assert listener.wait(lambda _: connections(listener)[0] == 0, SOON)
    keeping.keep(None)
    keeping.status()
    assert not listener.wait(lambda _: connections(listener)[0] == 0, 0.6)


def test_to_stop_watching_what_was_never_used_costs_no_thread(virtual, queues):
    idle = queues(virtual("tspl").address, "tspl")
    idle.watch(None)
    assert idle._thread is None
