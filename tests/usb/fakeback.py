"""A pyusb backend over the emulated devices: no kernel, no libusb, no root.

Errors carry libusb's numbers as measured against the real stack, where the contract's tests run, too.
"""

from __future__ import annotations

import errno
import struct
import threading
import time
from types import SimpleNamespace

import usb.backend
import usb.core

_LIBUSB = {
    errno.EBUSY: (-6, "Resource busy"),
    errno.ENODEV: (-4, "No such device (it may have been disconnected)"),
    errno.EPIPE: (-9, "Pipe error"),
    errno.ENOENT: (-5, "Entity not found"),
    errno.EACCES: (-3, "Access denied (insufficient permissions)"),
}


def _error(number):
    code, text = _LIBUSB[number]
    return usb.core.USBError(text, code, number)


class Plugged:
    """A device on the bus."""

    def __init__(self, model, address, port, *, kernel_driver):
        self.model, self.address, self.port = model, address, port
        self.bound = kernel_driver
        self.owner = None  # the handle that has claimed it, or "another program"
        self.forbidden = False
        self.gone = False


class FakeBus:
    """What several contexts see: the devices, and one lock around them all.

    Attributes:
        open_handles: How many handles are open.
    """

    def __init__(self):
        self.plugged = []
        self.open_handles = 0
        self.changed = threading.Condition()
        self._addresses = 1

    def plug(self, model, port=1, *, kernel_driver=True):
        with self.changed:
            self._addresses += 1
            plugged = Plugged(model, self._addresses, port, kernel_driver=kernel_driver)
            self.plugged.append(plugged)
            return plugged

    def unplug(self, plugged):
        with self.changed:
            plugged.gone = True
            self.plugged.remove(plugged)
            self.changed.notify_all()

    def set(self, model, **state):
        """Change a device, and look again at what waits."""
        with self.changed:
            for name, value in state.items():
                setattr(model, name, value)
            self.changed.notify_all()

    def say(self, model, data):
        with self.changed:
            model.answers += data
            self.changed.notify_all()


def _fields(names, values):
    return SimpleNamespace(**dict(zip(names.split(), values, strict=True)))


class FakeBackend(usb.backend.IBackend):
    """One context on the bus. A handle belongs to one device, and one of them may have claimed it."""

    def __init__(self, bus):
        super().__init__()
        self._bus = bus

    # -- descriptors, out of the bytes that a kernel would see ---------------------------------------------------

    def enumerate_devices(self):
        return iter(list(self._bus.plugged))

    def get_device_descriptor(self, dev):
        found = _fields(
            "bLength bDescriptorType bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 idVendor "
            "idProduct bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations",
            struct.unpack("<BBHBBBBHHHBBBB", dev.model.descriptor(1, 0)),
        )
        found.bus, found.address, found.speed = 250, dev.address, dev.model.speed
        found.port_number, found.port_numbers = dev.port, (dev.port,)
        return found

    def _parse(self, dev):
        raw, interfaces, configuration = dev.model.descriptor(2, 0), [], None
        while raw:
            part, raw = raw[: raw[0]], raw[raw[0] :]
            if part[1] == 2:
                configuration = _fields(
                    "bLength bDescriptorType wTotalLength bNumInterfaces bConfigurationValue iConfiguration "
                    "bmAttributes bMaxPower",
                    struct.unpack("<BBHBBBBB", part),
                )
            elif part[1] == 4:
                interface = _fields(
                    "bLength bDescriptorType bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass "
                    "bInterfaceSubClass bInterfaceProtocol iInterface",
                    part,
                )
                interfaces.append((interface, []))
            elif part[1] == 5:
                endpoint = _fields(
                    "bLength bDescriptorType bEndpointAddress bmAttributes wMaxPacketSize bInterval",
                    struct.unpack("<BBBBHB", part),
                )
                endpoint.bRefresh = endpoint.bSynchAddress = 0
                interfaces[-1][1].append(endpoint)
        for one in (configuration, *(i for i, _ in interfaces), *(e for _, es in interfaces for e in es)):
            one.extra_descriptors = b""
        return configuration, interfaces

    def get_configuration_descriptor(self, dev, config):
        if config:
            raise IndexError
        return self._parse(dev)[0]

    def get_interface_descriptor(self, dev, intf, alt, config):
        if alt:
            raise IndexError
        return self._parse(dev)[1][intf][0]

    def get_endpoint_descriptor(self, dev, ep, intf, alt, config):
        return self._parse(dev)[1][intf][1][ep]

    # -- handles -------------------------------------------------------------------------------------------------

    def open_device(self, dev):
        self._alive(dev)
        if dev.forbidden:
            raise _error(errno.EACCES)
        with self._bus.changed:
            self._bus.open_handles += 1
        return SimpleNamespace(dev=dev)

    def close_device(self, handle):
        with self._bus.changed:
            self._bus.open_handles -= 1
            if handle.dev.owner is handle:
                handle.dev.owner = None

    @staticmethod
    def _alive(dev):
        if dev.gone:
            raise _error(errno.ENODEV)
        return dev

    def get_configuration(self, handle):
        self._alive(handle.dev)
        return 1

    def set_configuration(self, handle, value):
        if self._alive(handle.dev).bound or handle.dev.owner not in (None, handle):
            raise _error(errno.EBUSY)

    def set_interface_altsetting(self, handle, intf, alt):
        self._alive(handle.dev)

    def claim_interface(self, handle, intf):
        self.set_configuration(handle, 1)
        handle.dev.owner = handle

    def release_interface(self, handle, intf):
        self._alive(handle.dev).owner = None

    def is_kernel_driver_active(self, handle, intf):
        return self._alive(handle.dev).bound

    def detach_kernel_driver(self, handle, intf):
        if not self._alive(handle.dev).bound:
            raise _error(errno.ENOENT)
        handle.dev.bound = False

    def attach_kernel_driver(self, handle, intf):
        self._alive(handle.dev).bound = True

    def clear_halt(self, handle, ep):
        self._alive(handle.dev)

    def reset_device(self, handle):
        self._alive(handle.dev)

    # -- transfers; time-outs are milliseconds, 0 is none --------------------------------------------------------

    def ctrl_transfer(self, handle, kind, request, value, index, data, timeout):
        with self._bus.changed:
            dev = self._alive(handle.dev)
            if kind & 0x1F == 1 and (dev.bound or dev.owner not in (None, handle)):
                raise _error(errno.EBUSY)
            answer = dev.model.setup(kind, request, value, index, data.tobytes())
        if answer is None:
            raise _error(errno.EPIPE)
        if kind & 0x80:
            answer = answer[: len(data)]
            data[: len(answer)] = type(data)("B", answer)
            return len(answer)
        return len(data)

    def _until(self, dev, timeout, step):
        """Under the lock: step whenever something has changed, until it is done or the time is up."""
        end = time.monotonic() + timeout / 1000
        while True:
            self._alive(dev)
            if step():
                return True
            rest = None if timeout == 0 else end - time.monotonic()
            if rest is not None and rest <= 0:
                return False
            self._bus.changed.wait(rest)

    def bulk_write(self, handle, ep, intf, data, timeout):
        dev, data, done = handle.dev, data.tobytes(), 0

        def step():
            nonlocal done
            before = done
            while done < len(data) and (taken := dev.model.take(data[done:])):
                done += taken
            if done > before:
                self._bus.changed.notify_all()  # what was taken may make an answer
            return done == len(data)

        with self._bus.changed:
            if self._alive(dev).owner is not handle:
                raise _error(errno.EBUSY)
            if dev.model.stalls:
                dev.model.stalls -= 1
                raise _error(errno.EPIPE)
            try:
                in_time = self._until(dev, timeout, step)
            except usb.core.USBError as error:
                error.transferred = done
                raise
        if not in_time and not done:
            raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
        return done

    def bulk_read(self, handle, ep, intf, buff, timeout):
        dev, got = handle.dev, None

        def step():
            nonlocal got
            got = dev.model.give(ep & 0x7F, len(buff))
            return got is not None

        with self._bus.changed:
            in_time = self._until(dev, timeout, step)
        if not in_time:
            raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
        buff[: len(got)] = type(buff)("B", got)
        return len(got)
