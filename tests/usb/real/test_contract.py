"""The contract of transports on a real kernel: usbfs, usblp, FTDI and CDC-ACM, and the kernel's own printer gadget."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from pathlib import Path

import pytest

from ...contract import Rig, TransportContract
from ..devices import AcmDevice, FtdiDevice, UsbPrinterDevice
from ..vhci import wait_for
from .conftest import any_device, plugged

MEGABYTE = 1024 * 1024


class PlugRig(Rig):
    """An emulated device in a port of the kernel's."""

    def __init__(self, plug, address, *, exact=False, buffers=0, big=10 * MEGABYTE):
        self.plug, self._address = plug, address
        self.exact, self.buffers, self.big = exact, buffers, big

    @property
    def address(self):
        return self._address

    def take(self, count):
        with self.plug.lock:
            self.plug.set(capacity=None if count is None else len(self.plug.model.received) + count)

    @property
    def received(self):
        return self.plug.received

    def say(self, data):
        self.plug.say(data)

    def unplug(self):
        self.plug.unplug()

    def wait(self, condition, timeout=20.0):
        return wait_for(condition, timeout)


def let_go(plug):
    """Let a port that is being closed pass on what it holds: pulled out meanwhile, it would stay for 30 s."""
    plug.set(capacity=None)
    assert wait_for(lambda: not any(t.name.startswith("rawprint closes") for t in threading.enumerate()), 35)


class TestUsbfs(TransportContract):
    """libusb, after the kernel's driver has given the printer up."""

    @pytest.fixture
    def rig(self):
        with plugged(UsbPrinterDevice(), "/dev/usb/lp0") as plug:
            yield PlugRig(plug, "usb://04b8:0e15", exact=True)
            plug.set(capacity=None)


class TestUsblp(TransportContract):
    @pytest.fixture
    def rig(self):
        with plugged(UsbPrinterDevice(), "/dev/usb/lp0") as plug:
            yield PlugRig(plug, "lp:///dev/usb/lp0", buffers=8192)
            plug.set(capacity=None)


class TestFtdi(TransportContract):
    @pytest.fixture
    def rig(self):
        with plugged(FtdiDevice(), "/dev/ttyUSB0") as plug:
            yield PlugRig(plug, "serial:///dev/ttyUSB0?flow=rtscts", buffers=70_000)
            let_go(plug)


class TestAcm(TransportContract):
    @pytest.fixture
    def rig(self):
        with plugged(AcmDevice(), "/dev/ttyACM0") as plug:
            yield PlugRig(plug, "serial:///dev/ttyACM0", buffers=200_000)
            let_go(plug)


class GadgetRig(Rig):
    """The kernel's own printer gadget behind dummy_hcd: another device, another host controller, neither of them ours."""

    address = "usb://0525:a4a8"
    buffers = 90_000  # 10 requests of 8 KiB

    def __init__(self):
        self._received = bytearray()
        self._limit = None
        self._changed = threading.Condition()
        self._end = False
        self._node = os.open("/dev/g_printer0", os.O_RDWR | os.O_NONBLOCK)
        self.drain()
        self._wake_in, self._wake_out = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, count):
        with self._changed:
            self._limit = None if count is None else len(self._received) + count
        os.write(self._wake_out, b".")

    @property
    def received(self):
        with self._changed:
            return bytes(self._received)

    def say(self, data):
        os.write(self._node, data)

    def unplug(self):
        raise NotImplementedError

    def wait(self, condition, timeout=20.0):
        return wait_for(condition, timeout)

    def close(self):
        self._end = True
        os.write(self._wake_out, b".")
        self._thread.join(5)
        self.drain()
        for descriptor in (self._node, self._wake_in, self._wake_out):
            os.close(descriptor)

    def _run(self):
        while not self._end:
            room = 8192 if self._limit is None else max(self._limit - len(self._received), 0)
            # Asking whether it is readable is what arms the gadget's endpoint.
            ready, _, _ = select.select([self._wake_in, self._node] if room else [self._wake_in], [], [], 0.5)
            if self._wake_in in ready:
                os.read(self._wake_in, 64)
            elif self._node in ready:
                with contextlib.suppress(OSError):
                    data = os.read(self._node, min(room, 8192))
                    with self._changed:
                        self._received += data

    def drain(self):
        """Throw away what the gadget still holds of the test before."""
        while select.select([self._node], [], [], 0.2)[0]:
            os.read(self._node, 8192)


class TestGadget(TransportContract):
    # It is never pulled out: usb_f_printer of Linux 6.1 corrupts its lists, and stops the kernel, when it is unbound while
    # data waits in it. Unplugs are proven on the other four.
    test_unplugged_before_a_write = None
    test_unplugged_in_a_write = None
    test_unplugged_after_a_write = None
    test_everything_that_came_before_the_end_is_read = None
    test_a_job_that_was_cut_off_is_uncertain = None

    @pytest.fixture
    def rig(self):
        script = Path(__file__).parents[1] / "gadget.sh"
        subprocess.run(["sh", str(script), "up"], check=True)

        class Model:
            vid, pid = 0x0525, 0xA4A8

        assert wait_for(lambda: any_device(Model) and os.path.exists("/dev/g_printer0"))
        assert wait_for(lambda: os.path.exists("/dev/usb/lp0"))
        with contextlib.closing(GadgetRig()) as rig:
            yield rig
        assert wait_for(lambda: os.path.exists("/dev/usb/lp0"))  # usblp has it back
