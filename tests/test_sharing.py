"""Two computers and one printer: both print everything once, and neither waits for long while the other prints."""

from __future__ import annotations

import bisect
import contextlib
import socket
import statistics
import threading
import time
from collections import Counter

import pytest

import rawprint
from rawprint import JobState

PATIENCE = 60.0
LONGEST = 3.0  # seconds that a job may wait beyond the one ahead of it
JOBS = 100
PAUSE = 0.03  # seconds between two jobs where they come spread over time


class Refusing:
    """A printer in front of a printer: it closes its listening socket while it serves a connection."""

    def __init__(self, target):
        self._target = target
        self._stopped = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._port = self._server.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.served = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            near, _ = self._server.accept()
            self._server.close()
            if self._stopped.is_set():
                near.close()
                return
            self.served += 1
            with near, socket.create_connection(("127.0.0.1", self._target)) as far:
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far)
                back.join()
            self._server = socket.create_server(("127.0.0.1", self._port))  # it sets SO_REUSEADDR

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
        for each, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                each.shutdown(how)

    def close(self):
        self._stopped.set()
        while self._thread.is_alive():  # it refuses for as long as the last connection takes to end
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self._port), PATIENCE).close()
            self._thread.join(0.05)


class Clocked:
    """When the bytes of a device came in."""

    def __init__(self, listener):
        self._listener = listener
        self._offsets, self._times = [], []
        receive = listener.device.receive

        def noted(data):
            self._offsets.append(len(listener.device._received))
            self._times.append(time.monotonic())
            receive(data)

        listener.device.receive = noted

    def span(self, ticket):
        """When the first and the last byte of a ticket came; it came whole, and once."""
        received = self._listener.received()
        start = received.index(ticket)
        assert received.count(ticket) == 1
        return self._at(start), self._at(start + len(ticket) - 1)

    def _at(self, offset):
        return self._times[bisect.bisect_right(self._offsets, offset) - 1]


@pytest.fixture
def shared(virtual):
    """shared(kind, dialect, **options) -> (listener, address) of a printer that serves one at a time, in its own way."""
    with contextlib.ExitStack() as stack:

        def make(kind, dialect="tspl", **options):
            listener = virtual(dialect, **({"clone": "single"} if kind == "resets" else {}), **options)
            if kind != "refuses":
                return listener, listener.address
            front = Refusing(listener.port)
            stack.callback(front.close)
            return listener, front.address

        yield make


def ticket(computer, number):
    return b'TEXT 10,10,"3",0,1,1,"<%d/%d>"\r\nPRINT 1\r\n' % (computer, number)


def print_from_two(address, dialect, pause, clocked):
    """Both print their tickets; returns how long each waited beyond the one ahead of it, and the ends."""
    queues = [rawprint.PrintQueue(address, dialect) for _ in range(2)]
    submitted, jobs = {}, []

    def computer(which):
        for number in range(JOBS):
            submitted[which, number] = time.monotonic()
            jobs.append(queues[which].submit(ticket(which, number)))
            time.sleep(pause)

    with contextlib.ExitStack() as stack:
        for queue in queues:
            queue.watch(5.0)
            stack.callback(queue.close)
        threads = [threading.Thread(target=computer, args=(which,)) for which in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for job in jobs:
            assert job.wait(PATIENCE)
        assert not any(queue.capabilities.is_mute(queue._dialect) for queue in queues)
    waits = []
    for which in range(2):
        ahead = 0.0
        for number in range(JOBS):
            first, last = clocked.span(ticket(which, number))
            waits.append(first - max(submitted[which, number], ahead))
            ahead = last
    return waits, Counter(job.state for job in jobs)


@pytest.mark.parametrize("pause", [0.0, PAUSE], ids=["at once", "spread"])
@pytest.mark.parametrize("kind", ["resets", "blocks", "refuses"])
@pytest.mark.parametrize("dialect", ["tspl", "escpos", "star", "zpl"])
def test_both_print_all_once_and_neither_waits_long(shared, dialect, kind, pause):
    listener, address = shared(kind, dialect)
    waits, ends = print_from_two(address, dialect, pause, Clocked(listener))
    print(f"waits: median {statistics.median(waits):.3f} s, longest {max(waits):.3f} s")
    assert ends == {JobState.DELIVERED: 2 * JOBS}
    assert Counter(listener.printed().splitlines(keepends=True)) == Counter(
        line for which in range(2) for number in range(JOBS) for line in ticket(which, number).splitlines(keepends=True)
    )
    assert max(waits) < LONGEST


def test_who_comes_second_is_not_taken_for_mute(virtual):
    """While the printer serves the other computer the first question stays unanswered for longer than it may."""
    listener = virtual("tspl")
    with rawprint.PrintQueue(listener.address, "tspl") as second:
        with rawprint.open(listener.address, "tspl"):
            job = second.submit(b"TEXT\r\n")
            assert job.wait(until="taken", timeout=PATIENCE)
            time.sleep(1.5)
        assert job.wait(PATIENCE)
        assert listener.wait(lambda d: d.printed == b"TEXT\r\n", PATIENCE)
        deadline = time.monotonic() + 5.0
        while "status" not in second.capabilities.answered and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not second.capabilities.is_mute(second._dialect)
        assert second.submit(b"TEXT 2\r\n").wait(PATIENCE)
        assert listener.printed() == b"TEXT\r\nTEXT 2\r\n"


def test_a_queue_that_is_alone_on_its_printer_never_gives_way(virtual):
    listener = virtual("tspl")
    with rawprint.PrintQueue(listener.address, "tspl", idle_release=None) as queue:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            job = queue.submit(b"TEXT\r\n")
            time.sleep(0.02)
        assert job.wait(PATIENCE)
    assert listener.state()["connections_total"] == 1


def test_who_has_printed_lets_go_after_its_turn(virtual):
    listener = virtual("tspl")
    with rawprint.PrintQueue(listener.address, "tspl") as queue:
        assert queue.submit(b"TEXT\r\n").wait(PATIENCE)
        assert listener.wait(lambda _: listener.state()["connections"] == 0, 2.0)
