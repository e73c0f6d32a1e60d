"""Opening a network printer that does not open: which of its addresses is tried for how long, and what the error says."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time

import pytest

import rawprint
from rawprint.transports import open_address, tcp


@pytest.fixture
def names(monkeypatch):
    """names(target, …): what every host name means, in this order."""

    def mean(*targets):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in targets]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return mean


@pytest.fixture
def silent():
    """A listener whose backlog is full: it answers as little as a host that is not there."""
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()


@pytest.fixture
def no_way(monkeypatch):
    """no_way(number): a target to which the system says that it has no way; which are so differs from net to net."""
    target, really = ("127.0.0.1", 1), socket.socket.connect_ex

    def make(number):
        class Socket(socket.socket):
            def connect_ex(self, to):
                return number if to == target else really(self, to)

        monkeypatch.setattr(tcp.socket, "socket", Socket)
        return target

    return make


def failure(address="tcp://printer", timeout=0.4):
    with pytest.raises(rawprint.OpenError) as caught:
        open_address(rawprint.parse_address(address), timeout)
    return caught.value


def test_a_silent_address_leaves_the_others_their_time(names, silent, virtual):
    listener = virtual("tspl")
    host, port = listener.address.removeprefix("tcp://").split(":")
    names(silent, silent, (host, int(port)))
    began = time.monotonic()
    transport = open_address(rawprint.parse_address("tcp://printer"), 1.2)
    assert 0.7 < time.monotonic() - began < 1.2
    assert transport.write(memoryview(b"\x1b!?"), 1.0) == 3
    assert transport.read(5.0) == b"\x00"
    transport.close()


def test_all_of_them_together_keep_the_time_out(names, silent):
    names(silent, silent, silent)
    began = time.monotonic()
    assert "in time" in str(failure(timeout=0.6))
    assert 0.5 < time.monotonic() - began < 1.1


def test_no_descriptor_is_left(names, silent, closed_port):
    names(silent, ("127.0.0.1", closed_port))
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(10):
        failure(timeout=0.02)
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
@pytest.mark.parametrize(("system", "privacy"), [("linux", False), ("darwin", True)])
def test_no_way_has_a_hint_of_its_own(names, no_way, monkeypatch, number, system, privacy):
    names(no_way(number))
    monkeypatch.setattr(tcp.sys, "platform", system)
    error = failure()
    assert isinstance(error, rawprint.PrinterNotFound)
    assert "no way to tcp://printer:9100" in str(error)
    assert "network" in error.hint
    assert ("Local Network" in error.hint) is privacy


@pytest.mark.parametrize("first", [True, False])
def test_the_address_that_tells_most_is_told(names, no_way, silent, closed_port, first):
    """A network without IPv6 has no way to half of each name's addresses, which is not what is wrong."""
    unreachable = no_way(errno.ENETUNREACH)
    refused = ("127.0.0.1", closed_port)
    names(*((unreachable, refused) if first else (refused, unreachable)))
    assert "refused" in str(failure())
    names(*((unreachable, silent) if first else (silent, unreachable)))
    assert "in time" in str(failure())
    names(*((silent, refused) if first else (refused, silent)))
    assert "refused" in str(failure())


@pytest.mark.parametrize(
    ("host", "mdns"), [("printer.local", True), ("PRINTER.LOCAL.", True), ("printer.invalid", False)]
)
def test_a_name_that_nobody_knows(monkeypatch, host, mdns):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # asking may take as long as the network likes
    error = failure(f"tcp://{host}")
    assert isinstance(error, rawprint.PrinterNotFound)
    assert ("mDNS" in error.hint) is mdns
    assert "IP address" in error.hint
