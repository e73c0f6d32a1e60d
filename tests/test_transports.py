"""Transports as byte pipes: counts, time-outs, ends and leaks, over TCP and in process."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest

import rawprint
from rawprint.transports import open_address
from rawprint.virtual import Listener, device

from .conftest import reset


@contextlib.contextmanager
def tcp(**options):
    with Listener(device("tspl", **options)) as listener:
        transport = open_address(rawprint.parse_address(listener.address), 5.0)
        try:
            yield transport, listener
        finally:
            transport.close()


@contextlib.contextmanager
def in_process(**options):
    query = "&".join(f"{name}={value}" for name, value in options.items() if name != "reasons")
    reasons = "&".join(f"{reason}=true" for reason in options.get("reasons", ()))
    address = "virtual://tspl" + ("?" + "&".join(filter(None, (query, reasons))) if options else "")
    transport = open_address(rawprint.parse_address(address), 5.0)
    try:
        yield transport, transport
    finally:
        transport.close()


@pytest.fixture(params=[tcp, in_process], ids=["tcp", "virtual"])
def pipe(request):
    return request.param


def test_asks_and_answers(pipe):
    with pipe() as (transport, _):
        assert transport.write(memoryview(b"\x1b!?"), 1.0) == 3
        assert transport.read(5.0) == b"\x00"
        assert transport.unacknowledged() == 0


def test_a_read_keeps_its_time_out(pipe):
    with pipe() as (transport, _):
        for timeout in (0.0, 0.15):
            began = time.monotonic()
            assert transport.read(timeout) == b""
            assert timeout - 0.01 <= time.monotonic() - began < timeout + 0.5


def test_a_write_stops_in_the_middle_and_goes_on_exactly(pipe):
    job = bytes(range(256)) * 4096
    with pipe(reasons=["cover-open"]) as (transport, printer):
        view, written = memoryview(job), 0
        while taken := transport.write(view[written:], 0.2):
            written += taken
        assert 0 < written < len(job)
        printer.set("cover-open", False)
        while written < len(job):
            written += transport.write(view[written:], 5.0)
        holder = getattr(printer, "device", None)
        if pipe is tcp:
            assert printer.wait(lambda d: len(d.received) >= len(job), 10)
        assert holder.received == job


def test_closed_means_closed(pipe):
    with pipe() as (transport, _):
        transport.close()
        transport.close()
        with pytest.raises(rawprint.Disconnected):
            transport.write(memoryview(b"x"), 0.0)
        with pytest.raises(rawprint.Disconnected):
            transport.read(0.0)


@pytest.mark.parametrize("rst", [True, False], ids=["reset", "closed"])
def test_everything_that_came_before_the_end_is_read(peer, rst):
    ready = threading.Event()

    def serve(connection, _):
        connection.sendall(b"last words")
        ready.wait(5)
        if rst:
            reset(connection)

    transport = open_address(rawprint.parse_address(peer(serve).address), 5.0)
    assert transport.read(5.0) == b"last words"
    ready.set()
    with pytest.raises(rawprint.Disconnected) as caught:
        transport.read(5.0)
    assert not caught.value.lost
    with pytest.raises(rawprint.Disconnected):
        transport.write(memoryview(b"x"), 0.0)
    transport.close()


def test_the_time_out_of_a_connection_is_kept():
    """A listener whose backlog is full does not answer: the same silence as a host that is down."""
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        began = time.monotonic()
        with pytest.raises(rawprint.PrinterNotFound, match="in time"):
            open_address(rawprint.parse_address(f"tcp://127.0.0.1:{server.getsockname()[1]}"), 0.3)
        assert 0.25 < time.monotonic() - began < 2.0


@pytest.mark.parametrize(("family", "bound", "named"), [("v6", "::1", "[::1]"), ("v4", "127.0.0.1", "localhost")])
def test_ipv6_and_names(family, bound, named):
    with socket.socket(socket.AF_INET6 if family == "v6" else socket.AF_INET) as server:
        try:
            server.bind((bound, 0))
        except OSError as error:
            pytest.skip(f"no {bound} on this machine: {error}")
        server.listen()
        transport = open_address(rawprint.parse_address(f"tcp://{named}:{server.getsockname()[1]}"), 5.0)
        assert transport.write(memoryview(b"hello"), 1.0) == 5
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"
            transport.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc, which is Linux's")
def test_no_descriptor_is_left(virtual, closed_port):
    listener = virtual("tspl")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        with rawprint.open(listener.address, "tspl") as printer:
            printer.print(b"CLS\r\n")
        with pytest.raises(rawprint.PrinterNotFound):
            rawprint.open(f"tcp://127.0.0.1:{closed_port}", "tspl")
    assert listener.wait(lambda _: listener.state()["connections"] == 0, 5)
    assert len(os.listdir("/proc/self/fd")) == before
    assert listener.wait(lambda d: d.received == b"CLS\r\n" * 100, 5)
