"""The Windows transport against a stand-in for Windows that behaves as the notes on usbprint.sys say (transport.md section 4).

It shows that the logic is right, not that Windows is so.
"""

from __future__ import annotations

import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import transports
from rawprint.address import parse
from rawprint.device_id import split_device_id
from rawprint.transports import port_status, usb_devices, usbprint
from rawprint.transports.overlapped import (
    ERROR_ACCESS_DENIED,
    ERROR_DEVICE_NOT_CONNECTED,
    ERROR_FILE_NOT_FOUND,
    ERROR_GEN_FAILURE,
    ERROR_INVALID_FUNCTION,
    ERROR_IO_PENDING,
    ERROR_NO_SUCH_DEVICE,
    ERROR_OPERATION_ABORTED,
    ERROR_SHARING_VIOLATION,
)

from .usb.fakeback import FakeBackend, FakeBus

EPSON = r"\\?\usb#vid_04b8&pid_0e15#VP0001#{28d78fad-5a12-11d1-ae5b-0000f803a8c2}"
CLONE = r"\\?\usb#vid_0416&pid_5011#7&1a2b3c&0&2#{28d78fad-5a12-11d1-ae5b-0000f803a8c2}"
CLONE_2 = r"\\?\usb#vid_0416&pid_5011#7&1a2b3c&0&3#{28d78fad-5a12-11d1-ae5b-0000f803a8c2}"
COMPOSITE = r"\\?\usb#vid_1504&pid_001f&mi_01#6&aa&0&0001#{28d78fad-5a12-11d1-ae5b-0000f803a8c2}"
COMPOSITE_OTHER_HALF = COMPOSITE.replace("mi_01", "mi_00").replace("0001", "0000")
COMPOSITE_TWIN = COMPOSITE.replace("&aa&", "&bb&")


class Operation:
    """A read or a write that is under way."""

    def __init__(self, kind, data=b"", buffer=None):
        self.kind, self.data, self.buffer = kind, data, buffer
        self.done, self.count, self.error = False, 0, 0


class StandIn:
    """Windows with printers that take so many bytes (`capacity`), say things, and are pulled out."""

    def __init__(self, *paths):
        self.paths = list(paths)
        self.received = bytearray()
        self.capacity = None
        self.gone = 0  # the error that everything ends with
        self.refusals = []  # errors of the next attempts to open
        self.status = b"\x18"
        self.unreadable = 0  # the error of every attempt to read
        self.reads = 0
        self.empty = False  # a read ends at once, with nothing
        self.handles = set()
        self.opened = []  # paths, in order
        self.changed = threading.Condition()
        self._said = bytearray()
        self._operations = {}
        self._last_error = threading.local()
        self._next = 100

    # -- what a test does ----------------------------------------------------------------------------------------

    def set(self, **state):
        with self.changed:
            for name, value in state.items():
                setattr(self, name, value)
            self._move()

    def say(self, data):
        with self.changed:
            self._said += data
            self._move()

    def abort(self, kind):
        """Windows aborts what is under way: its thread has ended, or the device has gone."""
        with self.changed:
            for operation in self._operations.values():
                if operation.kind == kind and not operation.done:
                    operation.done, operation.error = True, ERROR_OPERATION_ABORTED
            self.changed.notify_all()

    def once_under_way(self, kind, then):
        """A thread that does something as soon as such an operation waits for the printer."""

        def wait():
            with self.changed:
                waits = self.changed.wait_for(
                    lambda: any(each.kind == kind and not each.done for each in self._operations.values()), 10
                )
            assert waits
            then()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def _move(self):
        """Carry every operation as far as it goes."""
        for operation in self._operations.values():
            if operation.done:
                continue
            if operation.kind == "read" and self.empty and not self._said:
                operation.done = True
            elif self.gone:
                operation.done, operation.error = True, self.gone
            elif operation.kind == "write":
                rest = operation.data[operation.count :]
                room = len(rest) if self.capacity is None else max(self.capacity - len(self.received), 0)
                self.received += rest[:room]
                operation.count += len(rest[:room])
                operation.done = operation.count == len(operation.data)
            elif self._said:
                operation.count = min(len(self._said), len(operation.buffer))
                operation.buffer[: operation.count] = bytes(self._said[: operation.count])
                del self._said[: operation.count]
                operation.done = True
        self.changed.notify_all()

    # -- kernel32 ------------------------------------------------------------------------------------------------

    def _fail(self, code):
        self._last_error.code = code

    def GetLastError(self):
        return self._last_error.code

    def _handle(self):
        self._next += 1
        self.handles.add(self._next)
        return self._next

    def CreateEvent(self):
        return self._handle()

    def CloseHandle(self, handle):
        self.handles.remove(handle)
        return True

    def _begin(self, handle, state, operation):
        assert handle in self.handles
        with self.changed:
            before = self._operations.get(state.hEvent)
            assert before is None or before.done, "its OVERLAPPED is still in use"
            if self.gone:
                self._fail(self.gone)
                return False
            self._operations[state.hEvent] = operation
            self._move()
            if operation.done:
                return True
            self._fail(ERROR_IO_PENDING)
            return False

    def WriteFile(self, handle, data, size, state):
        assert len(data) == size
        return self._begin(handle, state, Operation("write", data))

    def ReadFile(self, handle, buffer, size, state):
        self.reads += 1
        if self.unreadable and not self.gone:
            self._fail(self.unreadable)
            return False
        return self._begin(handle, state, Operation("read", buffer=buffer))

    def WaitForSingleObject(self, event, milliseconds):
        assert event in self.handles
        with self.changed:
            operation = self._operations.get(event)
            return 0 if self.changed.wait_for(lambda: operation and operation.done, milliseconds / 1000) else 258

    def CancelIoEx(self, handle, state):
        with self.changed:
            operation = self._operations[state.hEvent]
            if not operation.done:
                operation.done, operation.error = True, ERROR_OPERATION_ABORTED
            self.changed.notify_all()
        return True

    def GetOverlappedResult(self, handle, state):
        with self.changed:
            operation = self._operations[state.hEvent]
            assert self.changed.wait_for(lambda: operation.done, 5)
        if operation.error == ERROR_OPERATION_ABORTED and operation.count:
            return operation.count
        if operation.error:
            self._fail(operation.error)
            return None
        return operation.count

    def DeviceIoControl(self, handle, code, size):
        assert handle in self.handles
        self._fail(self.gone or 1)
        if self.gone:
            return None
        if code == 0x220034:
            text = b"MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;"
            return (len(text) + 2).to_bytes(2, "big") + text
        return self.status if code == 0x220030 else None

    def open_file(self, path):
        if path not in self.paths:
            self._fail(ERROR_FILE_NOT_FOUND)
            return None
        if self.refusals:
            self._fail(self.refusals.pop(0))
            return None
        self.opened.append(path)
        return self._handle()

    def device_paths(self, interface):
        assert interface == "{28D78FAD-5A12-11D1-AE5B-0000F803A8C2}"
        return self.paths


@pytest.fixture
def system(monkeypatch):
    made = StandIn(EPSON)
    monkeypatch.setattr(usbprint, "windows", lambda: made)
    monkeypatch.setattr(usb_devices, "new_backend", lambda: FakeBackend(FakeBus()))
    yield made
    assert made.handles == set()


def opened(address="usb://04b8:0e15", timeout=5.0):
    return usbprint.open_address(parse(address), timeout)


def test_a_write_stops_in_the_middle_and_goes_on_exactly(system):
    data = bytes(range(256)) * 40
    system.set(capacity=1000)
    transport = opened()
    view, written = memoryview(data), 0
    while taken := transport.write(view[written:], 0.05):
        written += taken
    assert written == 1000 == len(system.received)
    began = time.monotonic()
    assert transport.write(view[written:], 0.2) == 0
    assert 0.18 < time.monotonic() - began < 0.7
    system.set(capacity=None)
    while written < len(data):
        written += transport.write(view[written:], 1.0)
    assert system.received == data
    assert transport.unacknowledged() == 0
    transport.close()


def test_it_is_heard_while_it_takes_nothing_and_nothing_is_lost(system):
    system.set(capacity=0)
    transport = opened()
    assert transport.write(memoryview(b"x"), 0.05) == 0
    system.say(b"\x14\x00\x0c\x0f")
    assert transport.write(memoryview(b"x"), 0.05) == 0
    assert transport.read(1.0) == b"\x14\x00\x0c\x0f"
    assert transport.read(0.05) == b""
    system.say(b"more")
    assert transport.read(1.0) == b"more"
    transport.close()


@pytest.mark.parametrize(
    "code", [ERROR_DEVICE_NOT_CONNECTED, ERROR_GEN_FAILURE, ERROR_FILE_NOT_FOUND, ERROR_NO_SUCH_DEVICE]
)
def test_pulled_out(system, code):
    transport = opened()
    assert transport.write(memoryview(b"first"), 1.0) == 5
    system.set(gone=code)
    for call in (lambda: transport.read(1.0), lambda: transport.write(memoryview(b"x"), 1.0)):
        with pytest.raises(rawprint.Disconnected, match="unplugged") as caught:
            call()
        assert not caught.value.lost
    transport.close()


def test_pulled_out_in_a_write(system):
    system.set(capacity=100)
    transport = opened()
    pull = system.once_under_way("write", lambda: system.set(gone=ERROR_DEVICE_NOT_CONNECTED))
    assert transport.write(memoryview(bytes(1000)), 5.0) == 1000  # it must never be sent again
    assert transport.unacknowledged() == 1000
    with pytest.raises(rawprint.Disconnected) as caught:
        transport.write(memoryview(b"x"), 1.0)
    assert caught.value.lost
    pull.join()
    transport.close()


def test_a_write_that_windows_aborted_as_the_device_went_is_not_given_again(system):
    system.set(capacity=0)
    transport = opened()
    pull = system.once_under_way("write", lambda: (system.abort("write"), system.set(gone=ERROR_DEVICE_NOT_CONNECTED)))
    assert transport.write(memoryview(bytes(1000)), 5.0) == 1000
    assert transport.unacknowledged() == 1000
    with pytest.raises(rawprint.Disconnected) as caught:
        transport.read(0.0)
    assert caught.value.lost
    pull.join()
    transport.close()


def test_a_read_whose_thread_has_ended_begins_anew(system):
    transport = opened()
    assert transport.read(0.0) == b""
    system.abort("read")
    system.say(b"\x00")
    assert transport.read(1.0) == b"\x00"
    transport.close()


def test_a_printer_that_answers_at_once_with_nothing_is_asked_at_leisure(system):
    system.empty = True
    transport = opened()
    assert transport.write(memoryview(b"x"), 1.0) == 1
    assert transport.read(0.2) == b""
    assert system.reads <= 12
    system.say(b"\x00")
    assert transport.read(1.0) == b"\x00"
    transport.close()


def test_a_printer_that_cannot_answer_prints(system):
    system.unreadable = ERROR_INVALID_FUNCTION
    transport = opened()
    assert transport.write(memoryview(b"receipt"), 1.0) == 7
    began = time.monotonic()
    assert transport.read(0.1) == b""
    assert 0.08 < time.monotonic() - began < 0.6
    assert system.reads == 1
    system.set(gone=ERROR_DEVICE_NOT_CONNECTED)
    with pytest.raises(rawprint.Disconnected):
        transport.read(0.0)
    transport.close()


def test_it_is_tried_again_while_the_spooler_holds_it(system):
    system.refusals = [ERROR_SHARING_VIOLATION, ERROR_ACCESS_DENIED]
    opened().close()
    assert system.refusals == []


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ERROR_SHARING_VIOLATION, rawprint.PrinterBusy),
        (ERROR_ACCESS_DENIED, rawprint.AccessDenied),
        (ERROR_FILE_NOT_FOUND, rawprint.PrinterNotFound),
        (87, rawprint.OpenError),
    ],
)
def test_what_keeps_it_from_being_opened(system, code, error):
    system.refusals = [code] * 9
    with pytest.raises(error) as caught:
        opened(timeout=0.3)
    assert caught.value.hint


def test_equal_printers(system):
    system.paths = [CLONE, CLONE_2, EPSON]
    with pytest.raises(rawprint.AmbiguousAddress) as caught:
        opened("usb://0416:5011")
    assert caught.value.candidates == ("usb://0416:5011/7%261a2b3c%260%262", "usb://0416:5011/7%261a2b3c%260%263")
    assert "socket" in caught.value.hint
    for one in caught.value.candidates:
        opened(one).close()
    assert system.opened[-2:] == [CLONE, CLONE_2]


def test_windows_writes_serial_numbers_in_small_letters(system):
    system.paths = [EPSON.lower()]
    opened("usb://04b8:0e15/VP0001").close()


def test_a_port_is_not_guessed(system):
    with pytest.raises(rawprint.PrinterNotFound, match="is plugged in, but not the one") as caught:
        opened("usb://04b8:0e15?port=1-2")
    assert "usb://04b8:0e15/VP0001" in caught.value.hint


@pytest.mark.parametrize("package", [True, False], ids=["no libusb", "no pyusb"])
def test_without_libusb_the_usual_driver_serves(system, monkeypatch, package):
    def missing():
        raise rawprint.BackendMissing("libusb is not here")

    monkeypatch.setattr(usb_devices, "new_backend", missing)
    if not package:
        monkeypatch.delattr(transports, "usb", raising=False)
        monkeypatch.setitem(sys.modules, "rawprint.transports.usb", None)
    assert [one.address for one in usbprint.find()] == ["usb://04b8:0e15/VP0001"]
    with pytest.raises(rawprint.PrinterNotFound) as caught:
        opened("usb://1234:5678")
    assert "driver" in caught.value.hint


@pytest.mark.parametrize("address", ["usb://04b8:0e15/other", "usb://1234:5678", "usb://04b8:0e15?port=1-2"])
def test_another_printer_is_not_found(system, address):
    with pytest.raises(rawprint.PrinterNotFound):
        opened(address)


def test_every_printer_is_listed_by_an_address_that_opens_it(system):
    system.paths = [EPSON, COMPOSITE, CLONE, r"\\?\usb#something_else"]
    found = usbprint.find()
    assert [one.address for one in found] == ["usb://04b8:0e15/VP0001", "usb://1504:001f", "usb://0416:5011"]
    for one in found:
        opened(one.address).close()
    assert system.opened == [EPSON, COMPOSITE, CLONE]


@given(
    st.lists(
        st.sampled_from([EPSON, EPSON.replace("VP0001", "VP0002"), EPSON.replace("VP0001", "5&1&0&4"), CLONE, CLONE_2])
        | st.sampled_from([COMPOSITE, COMPOSITE_OTHER_HALF, COMPOSITE_TWIN]),
        unique=True,
    )
)
def test_whatever_is_listed_opens_just_that_printer(paths):
    system = StandIn(*paths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usbprint, "windows", lambda: system)
        patch.setattr(usb_devices, "new_backend", lambda: FakeBackend(FakeBus()))
        for one in usbprint.find():
            opened(one.address).close()
    assert system.opened == paths
    assert system.handles == set()


def test_what_the_cable_tells(system):
    transport = opened()
    assert transport.line_status() == {}
    system.set(status=b"\x38")
    assert transport.line_status() == {rawprint.Reason.MEDIA_EMPTY: True}
    system.set(status=None)
    assert transport.line_status() == {}
    assert transport.device_id() == "MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;"
    transport.close()


@pytest.mark.parametrize("busy", ["read", "write"])
def test_closed_by_another_thread(system, busy):
    system.set(capacity=0)
    transport = opened()
    threading.Timer(0.1, transport.close).start()
    began = time.monotonic()

    def wait():
        transport.read(5.0) if busy == "read" else transport.write(memoryview(b"x"), 5.0)
        transport.read(0.0)

    with pytest.raises(rawprint.Disconnected):
        wait()
    assert time.monotonic() - began < 1.0
    transport.close()


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows it is there")
def test_elsewhere_there_is_no_usbprint():
    with pytest.raises(rawprint.BackendMissing):
        opened()


@pytest.mark.parametrize(
    ("byte", "reason"),
    [
        (0x18, None),
        (0x38, "media-empty"),
        (0x30, "media-empty"),
        (0x08, "offline-report"),
        (0x10, "other"),
        (0x00, None),
    ],
)
def test_port_status(byte, reason):
    assert port_status.reasons(byte) == ({rawprint.Reason(reason): True} if reason else {})


@given(st.integers(0, 255))
def test_port_status_never_denies(byte):
    assert all(port_status.reasons(byte).values())


@given(st.binary(max_size=2048))
def test_a_device_id_of_any_bytes(raw):
    assert len(split_device_id(raw)) <= len(raw)


@pytest.mark.parametrize("order", ["big", "little"])
def test_a_device_id_with_its_length(order):
    text = b"MFG:Brother;CMD:PT-CBP;MDL:QL-700;"
    assert split_device_id((len(text) + 2).to_bytes(2, order) + text + bytes(20)) == text.decode()
