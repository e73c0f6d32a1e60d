"""The contract of transports over TCP on loopback, pseudo-terminals and emulated USB devices without a kernel."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time

import pytest

from rawprint.transports import usb_devices

from .conftest import reset
from .contract import Collector, Rig, TransportContract
from .usb.devices import UsbPrinterDevice
from .usb.fakeback import FakeBackend, FakeBus


class TcpRig(Collector):
    buffers = 3_000_000  # what the two hosts' buffers grow to

    def __init__(self):
        super().__init__()
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._connection = None
        self._thread.start()

    @property
    def address(self):
        return f"tcp://127.0.0.1:{self._server.getsockname()[1]}"

    def say(self, data):
        self.wait(lambda: self._connection is not None)
        self._connection.sendall(data)

    def unplug(self):
        self._closing = True
        os.write(self._wake_out, b".")
        self._thread.join(5)
        reset(self._connection)
        self._server.close()

    def close(self):
        super().close()
        self._server.close()
        if self._connection:
            self._connection.close()

    def _run(self):
        while not self._closing:
            connection, room = self._connection, self.room()
            watched = [self._wake_in]
            if connection is None:
                watched.append(self._server)
            elif room:
                watched.append(connection)
            ready, _, _ = select.select(watched, [], [])
            if self._wake_in in ready:
                os.read(self._wake_in, 64)
            elif connection is None:
                self._connection, _ = self._server.accept()
            else:
                data = connection.recv(room)
                self.keep(data)
                if not data:
                    connection.close()
                    self._connection = None


class PtyRig(Collector):
    buffers = 80_000  # what the kernel keeps of a pseudo-terminal's output

    def __init__(self):
        import tty

        super().__init__()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._name = os.ttyname(self._slave)
        self._thread.start()

    @property
    def address(self):
        return f"serial://{self._name}"

    def say(self, data):
        os.write(self._master, data)

    def unplug(self):
        self._closing = True
        os.write(self._wake_out, b".")
        self._thread.join(5)
        for descriptor in (self._slave, self._master):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._master = self._slave = -1

    def close(self):
        if self._master >= 0:
            self.unplug()
        super().close()

    def _run(self):
        while not self._closing:
            room = self.room()
            ready, _, _ = select.select([self._wake_in, self._master] if room else [self._wake_in], [], [])
            if self._wake_in in ready:
                os.read(self._wake_in, 64)
            else:
                self.keep(os.read(self._master, room))


class FakeUsbRig(Rig):
    """A printer on an emulated bus, with no kernel in between."""

    exact = True
    address = "usb://04b8:0e15"

    def __init__(self, bus, printer=None):
        self.bus = bus
        self.model = UsbPrinterDevice(printer)
        self.plugged = bus.plug(self.model)

    def take(self, count):
        with self.bus.changed:
            self.model.capacity = None if count is None else len(self.model.received) + count
            self.bus.changed.notify_all()

    @property
    def received(self):
        with self.bus.changed:
            return bytes(self.model.received)

    def say(self, data):
        self.bus.say(self.model, data)

    def unplug(self):
        self.bus.unplug(self.plugged)

    def wait(self, condition, timeout=10.0):
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= deadline:
                return False
            with self.bus.changed:
                self.bus.changed.wait(0.005)
        return True


class TestTcp(TransportContract):
    @pytest.fixture
    def rig(self):
        with contextlib.closing(TcpRig()) as rig:
            yield rig


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals with a name")
class TestPty(TransportContract):
    @pytest.fixture
    def rig(self):
        with contextlib.closing(PtyRig()) as rig:
            yield rig


class TestFakeUsb(TransportContract):
    @pytest.fixture
    def rig(self, monkeypatch):
        bus = FakeBus()
        monkeypatch.setattr(usb_devices, "new_backend", lambda: FakeBackend(bus))
        yield FakeUsbRig(bus)
        assert bus.open_handles == 0
