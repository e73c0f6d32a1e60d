"""What every transport promises, as one set of tests: a subclass names the rig, which is the far end of one kind of pipe."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

import rawprint
from rawprint.transports import open_address

SLACK = 1.0 if os.environ.get("RAWPRINT_IN_VM") else 0.5  # seconds; an emulated processor is slow
BIG = 10 * 1024 * 1024
PATTERN = bytes(range(251))  # no power of two: a lost packet shifts it


def data_of(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


class Rig(ABC):
    """A far end that collects bytes, and that can be stopped, pulled out and made to speak."""

    #: Whether `write` less `unacknowledged` is what this end itself has received, to the byte.
    exact = False
    #: Bytes that may be on the way, taken by a system's buffers, where this end takes none.
    buffers = 0
    #: How many bytes the largest test sends.
    big = BIG

    @property
    @abstractmethod
    def address(self):
        """Opens the pipe."""

    @abstractmethod
    def take(self, count):
        """Take so many bytes from now on and then none; None: all that come."""

    @property
    @abstractmethod
    def received(self):
        """Every byte that came."""

    @abstractmethod
    def say(self, data):
        """Send bytes."""

    @abstractmethod
    def unplug(self):
        """Go away for good."""

    @abstractmethod
    def wait(self, condition, timeout=10.0):
        """Wait until `condition()` holds; whether it came to that."""


class Collector(Rig):
    """A rig whose far end is a descriptor that a thread reads, as far as it may."""

    def __init__(self):
        self._received = bytearray()
        self._limit = None
        self._changed = threading.Condition()
        self._wake_in, self._wake_out = os.pipe()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def take(self, count):
        with self._changed:
            self._limit = None if count is None else len(self._received) + count
        os.write(self._wake_out, b".")

    @property
    def received(self):
        with self._changed:
            return bytes(self._received)

    def wait(self, condition, timeout=10.0):
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= deadline:
                return False
            with self._changed:
                self._changed.wait(0.005)
        return True

    def close(self):
        self._closing = True
        os.write(self._wake_out, b".")
        self._thread.join(5)
        assert not self._thread.is_alive()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def room(self):
        with self._changed:
            return 65536 if self._limit is None else max(self._limit - len(self._received), 0)

    def keep(self, data):
        with self._changed:
            self._received += data
            self._changed.notify_all()

    def _run(self):
        raise NotImplementedError


def keep_writing(transport, data, *, quiet=0.3):
    """Write until nothing has been taken for so long; how much was."""
    view, written = memoryview(data), 0
    while written < len(data) and (taken := transport.write(view[written:], quiet)):
        written += taken
    return written


def finish(transport, data, written, *, patience=30.0):
    view, deadline = memoryview(data), time.monotonic() + patience
    while written < len(data):
        assert time.monotonic() < deadline, f"only {written} of {len(data)}"
        written += transport.write(view[written:], 1.0)


@contextlib.contextmanager
def opened(rig):
    transport = open_address(rawprint.parse_address(rig.address), 5.0)
    try:
        yield transport
    finally:
        transport.close()


def eventually_disconnected(call, patience=5.0):
    """The call raises Disconnected within the time, and whenever it is made again."""

    def again_and_again():
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            call()

    with pytest.raises(rawprint.Disconnected) as caught:
        again_and_again()
    with pytest.raises(rawprint.Disconnected):
        call()
    return caught.value


class TransportContract:
    """Subclasses give the fixture `rig`."""

    def test_partial_write_and_exact_resume(self, rig):
        data = data_of(300_000)
        rig.take(1000)
        with opened(rig) as transport:
            written = keep_writing(transport, data)
            assert 1000 <= written <= 1000 + rig.buffers
            if rig.exact:
                assert rig.wait(lambda: len(rig.received) == 1000)
                assert written - transport.unacknowledged() == 1000
            rig.take(None)
            finish(transport, data, written)
            assert rig.wait(lambda: len(rig.received) >= len(data))
            assert rig.received == data
            assert rig.wait(lambda: transport.unacknowledged() == 0)

    def test_timeouts_are_kept(self, rig):
        rig.take(0)
        with opened(rig) as transport:
            keep_writing(transport, data_of(rig.buffers + 100_000))
            for call in (transport.read, lambda seconds: transport.write(memoryview(b"more"), seconds)):
                for timeout in (0.0, 0.2):
                    began = time.monotonic()
                    assert not call(timeout)
                    assert timeout - 0.02 <= time.monotonic() - began < timeout + SLACK

    def test_a_push_is_read_while_output_is_blocked(self, rig):
        rig.take(100)
        with opened(rig) as transport:
            assert rig.wait(lambda: True)
            keep_writing(transport, data_of(rig.buffers + 50_000))
            rig.say(b"\x14\x00\x0c\x0f")
            came, deadline = b"", time.monotonic() + 5
            while len(came) < 4 and time.monotonic() < deadline:
                assert transport.write(memoryview(b"blocked"), 0.05) == 0
                came += transport.read(0.05)
            assert came == b"\x14\x00\x0c\x0f"

    def test_unplugged_before_a_write(self, rig):
        with opened(rig) as transport:
            assert transport.write(memoryview(b"first"), 2.0) == 5
            assert rig.wait(lambda: rig.received == b"first")
            rig.unplug()
            eventually_disconnected(lambda: transport.read(0.1))
            with pytest.raises(rawprint.Disconnected):
                transport.write(memoryview(b"never"), 0.5)
            assert rig.received == b"first"

    def test_unplugged_in_a_write(self, rig):
        data = data_of(rig.buffers + 200_000)
        rig.take(1000)
        with opened(rig) as transport:
            written = keep_writing(transport, data)
            pull = threading.Timer(0.2, rig.unplug)
            pull.start()
            view = memoryview(data)

            def more():
                nonlocal written
                written += transport.write(view[written:], 5.0)

            began = time.monotonic()
            error = eventually_disconnected(more)
            assert time.monotonic() - began < 0.2 + 2 + 2 * SLACK
            pull.join()
            accepted = written - transport.unacknowledged()
            assert len(rig.received) <= written
            if rig.exact:
                assert accepted == len(rig.received) == 1000
            if accepted < written and not rig.exact:
                assert error.lost or accepted  # nobody may take it for a job of which nothing arrived

    def test_unplugged_after_a_write(self, rig):
        with opened(rig) as transport:
            data = data_of(5000)
            finish(transport, data, 0)
            assert rig.wait(lambda: rig.received == data)
            assert rig.wait(lambda: transport.unacknowledged() == 0)
            rig.unplug()
            eventually_disconnected(lambda: transport.read(0.1))
            assert transport.unacknowledged() == 0

    def test_everything_that_came_before_the_end_is_read(self, rig):
        with opened(rig) as transport:
            assert transport.write(memoryview(b"?"), 2.0) == 1
            assert rig.wait(lambda: rig.received == b"?")
            rig.say(b"last words")
            came, deadline = b"", time.monotonic() + 5
            while len(came) < 10 and time.monotonic() < deadline:
                came += transport.read(0.1)
            assert came == b"last words"
            rig.unplug()
            eventually_disconnected(lambda: transport.read(0.1))

    def test_cancel_within_one_tick(self, rig):
        rig.take(100)
        with rawprint.PrintQueue(rig.address, idle_release=None) as queue:
            job = queue.submit(data_of(rig.buffers + 300_000))
            assert rig.wait(lambda: len(rig.received) == 100)
            assert job.cancel()
            began = time.monotonic()
            assert job.wait(5)
            assert time.monotonic() - began < 0.25 + 2 * SLACK
            assert job.state is rawprint.JobState.CANCELED
            assert job.error.written >= 100

    @pytest.mark.parametrize("busy", ["write", "read"])
    def test_close_from_another_thread(self, rig, busy):
        rig.take(0)
        with opened(rig) as transport:
            keep_writing(transport, data_of(rig.buffers + 100_000))
            threading.Timer(0.2, transport.close).start()
            began = time.monotonic()
            eventually_disconnected(
                (lambda: transport.write(memoryview(b"x"), 10.0)) if busy == "write" else lambda: transport.read(10.0)
            )
            assert time.monotonic() - began < 0.2 + 0.5 + SLACK
            rig.take(None)

    def test_closed_means_closed(self, rig):
        with opened(rig) as transport:
            transport.close()
            transport.close()
            for call in (lambda: transport.write(memoryview(b"x"), 0.0), lambda: transport.read(0.0)):
                with pytest.raises(rawprint.Disconnected):
                    call()

    def test_a_hundred_cycles_leave_nothing(self, rig):
        def state():
            fds = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
            return fds, sum(thread.name.startswith("rawprint") for thread in threading.enumerate())

        with opened(rig) as transport:
            assert transport.write(memoryview(b"."), 2.0) == 1
        before = state()
        for _ in range(99):
            with opened(rig) as transport:
                assert transport.write(memoryview(b"."), 2.0) == 1
                assert rig.wait(lambda: transport.unacknowledged() == 0)
        assert rig.wait(lambda: rig.received == b"." * 100)
        assert rig.wait(lambda: state() <= before)

    def test_ten_megabytes_byte_exact(self, rig):
        data = data_of(rig.big)
        with opened(rig) as transport:
            finish(transport, data, 0, patience=120)
            assert rig.wait(lambda: len(rig.received) >= len(data), 60)
            assert hashlib.sha256(rig.received).digest() == hashlib.sha256(data).digest()

    def test_a_job_goes_on_where_it_stopped(self, rig):
        """Through the queue: `stopped` while nothing is taken, and then the rest, each byte once."""
        data = data_of(rig.buffers + 200_000)
        rig.take(1000)
        with rawprint.PrintQueue(rig.address, idle_release=None) as queue:
            job = queue.submit(data)
            assert rig.wait(lambda: job.state is rawprint.JobState.STOPPED, 5)
            # Never more than has arrived; a driver that holds a block may not know of any.
            assert job.bytes_accepted == 1000 if rig.exact else job.bytes_accepted < len(data)
            rig.take(None)
            assert job.wait(30)
            assert job.state is rawprint.JobState.DELIVERED
            assert rig.received == data

    def test_a_job_that_was_cut_off_is_uncertain(self, rig):
        rig.take(1000)
        with rawprint.PrintQueue(rig.address, idle_release=None) as queue:
            job = queue.submit(data_of(rig.buffers + 200_000))
            assert rig.wait(lambda: job.state is rawprint.JobState.STOPPED)
            rig.unplug()
            assert job.wait(5 + SLACK)
            assert job.state is rawprint.JobState.UNCERTAIN
            assert job.bytes_accepted < job.bytes_total
            if rig.exact:
                assert job.bytes_accepted == 1000
