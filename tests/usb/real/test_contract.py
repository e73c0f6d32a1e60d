"""The contract of transports on a real kernel: usbfs, usblp, FTDI and CDC-ACM, and the kernel's own printer gadget."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from pathlib import Path

import pytest

from ...contract import Collector, Rig, TransportContract
from ..devices import AcmDevice, FtdiDevice, UsbPrinterDevice
from ..vhci import wait_for
from .conftest import any_device, plugged


class PlugRig(Rig):
    """An emulated device in a port of the kernel's."""

    def __init__(self, plug, address, *, exact, buffers):
        self.plug, self._address = plug, address
        self.exact, self.buffers = exact, buffers

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


class Slot:
    """A port in which a device stays from test to test, until one pulls it out: to plug one in takes half a second."""

    def __init__(self, kind, node):
        self._kind, self._node = kind, node
        self._stack = contextlib.ExitStack()
        self._plug = None

    def plug(self):
        if self._plug is None or not self._plug.plugged:
            self._stack.close()
            self._plug = self._stack.enter_context(plugged(self._kind(), self._node))
        with self._plug.lock:
            self._plug.model.received.clear()
            self._plug.model.answers.clear()
        return self._plug

    def let_go(self):
        """Let a port that is being closed pass on what it holds: pulled out meanwhile, it would stay for 30 s."""
        self._plug.set(capacity=None)
        closing = [thread for thread in threading.enumerate() if thread.name.startswith("rawprint closes")]
        for thread in closing:
            while not thread.is_alive():
                if thread not in threading.enumerate():
                    break  # it has ended
                threading.Event().wait(0.001)  # it is listed before it has begun
            else:
                thread.join(35)

    def close(self):
        self._stack.close()


@pytest.fixture(scope="class")
def slot(request):
    with contextlib.closing(Slot(request.cls.kind, request.cls.node)) as slot:
        yield slot


class OnAPort(TransportContract):
    """Subclasses say which device, and how it is addressed."""

    kind = node = address = None
    exact = False
    buffers = 0

    @pytest.fixture
    def rig(self, slot):
        yield PlugRig(slot.plug(), self.address, exact=self.exact, buffers=self.buffers)
        slot.let_go()


class TestUsbfs(OnAPort):
    """libusb, after the kernel's driver has given the printer up."""

    kind, node, address, exact = UsbPrinterDevice, "/dev/usb/lp0", "usb://04b8:0e15", True


class TestUsblp(OnAPort):
    kind, node, address, buffers = UsbPrinterDevice, "/dev/usb/lp0", "lp:///dev/usb/lp0", 8192


class TestFtdi(OnAPort):
    kind, node, address, buffers = FtdiDevice, "/dev/ttyUSB0", "serial:///dev/ttyUSB0?flow=rtscts", 70_000


class TestAcm(OnAPort):
    kind, node, address, buffers = AcmDevice, "/dev/ttyACM0", "serial:///dev/ttyACM0", 200_000


class GadgetRig(Collector):
    """The kernel's own printer gadget behind dummy_hcd: another device, another host controller, neither of them ours."""

    address = "usb://0525:a4a8"
    buffers = 90_000  # 10 requests of 8 KiB

    def __init__(self):
        super().__init__()
        self._node = os.open("/dev/g_printer0", os.O_RDWR | os.O_NONBLOCK)
        self.drain()
        self._thread.start()

    def say(self, data):
        os.write(self._node, data)

    def unplug(self):
        raise NotImplementedError

    def wait(self, condition, timeout=20.0):
        return wait_for(condition, timeout)

    def close(self):
        super().close()
        self.drain()
        os.close(self._node)

    def _run(self):
        while not self._closing:
            room = min(self.room(), 8192)
            # Asking whether it is readable is what arms the gadget's endpoint.
            ready, _, _ = select.select([self._wake_in, self._node] if room else [self._wake_in], [], [], 0.5)
            if self._wake_in in ready:
                os.read(self._wake_in, 64)
            elif self._node in ready:
                with contextlib.suppress(OSError):
                    self.keep(os.read(self._node, room))

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
