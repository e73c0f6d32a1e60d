"""Printers and other peers that tests talk to, all real sockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import uuid

import pytest

from rawprint.virtual import Listener, device


def pytest_configure(config):
    """How long an example takes to be made, or to run, says how busy the machine is, and nothing of what is tested."""
    if config.pluginmanager.has_plugin("hypothesispytest"):
        from hypothesis import HealthCheck, settings

        settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("any machine")


@pytest.fixture(scope="session")
def state_homes(tmp_path_factory):
    """A folder for the states of one worker's tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def state_home(state_homes, monkeypatch):
    """What servers that a test starts keep is not among the files of whoever runs the tests, nor another test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(state_homes / uuid.uuid4().hex))


@pytest.fixture
def virtual():
    """virtual(dialect, **options) -> a virtual printer behind TCP, closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(dialect="tspl", **options):
            return stack.enter_context(Listener(device(dialect, **options)))

        yield make


class Peer:
    """A TCP server that does what a test says: `serve(connection, number)` runs for each connection, one by one."""

    def __init__(self, serve, *, receive_buffer=None):
        self._serve = serve
        self._server = socket.socket()
        if receive_buffer:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self.port = self._server.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.connections = 0
        self._open = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            with contextlib.suppress(OSError), connection:
                self._serve(connection, self.connections)

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        assert not self._thread.is_alive()


def reset(connection):
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.fixture
def peer():
    """peer(serve) -> a running Peer."""
    with contextlib.ExitStack() as stack:

        def make(serve, **options):
            made = Peer(serve, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def closed_port():
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        yield port
