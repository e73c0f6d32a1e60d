"""What is plugged in and out: the kernel's events, what they mean, and what a server makes of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import struct
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint import CableWatch, JobState, PrintQueue, parse_address, print_queue
from rawprint.discovery import Discovery
from rawprint.errors import AccessDenied, OpenError, PrinterBusy, PrinterNotFound
from rawprint.transports import Found, hotplug, usb_devices
from rawprint.virtual import PtyListener, device
from rawprint_server import hub as hub_module
from rawprint_server.config import Config, PrinterConfig, ServerConfig

from .server.conftest import RunningServer
from .usb.devices import UsbPrinterDevice
from .usb.fakeback import FakeBackend, FakeBus

PATIENCE = 10.0


# -- events ---------------------------------------------------------------------------------------------------------


def udev(fields, *, magic=b"\xfe\xed\xca\xfe", start=40):
    """As udevd sends it (libudev, udev_monitor_netlink_header): a header of 40 bytes, whose last one may be anything."""
    header = b"libudev\0" + magic + struct.pack("=III", 40, start, len(fields)) + b"\x12\x34\x56\x78" * 4
    return header + fields


def kernel(**changed):
    fields = {"ACTION": "add", "DEVPATH": "/devices/pci0/usb1/1-2", "SUBSYSTEM": "usb", "SEQNUM": "2047"} | changed
    return b"add@/devices/pci0/usb1/1-2\0" + "".join(f"{key}={value}\0" for key, value in fields.items()).encode()


FIELDS = kernel().partition(b"\0")[2]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (kernel(), ("add", "usb", False)),
        (kernel(ACTION="remove", SUBSYSTEM="usbmisc"), ("remove", "usbmisc", False)),
        (udev(FIELDS), ("add", "usb", True)),
        (udev(FIELDS, magic=b"\xfe\xed\xca\xff"), None),
        (udev(FIELDS, start=4000), None),
        (udev(FIELDS)[:20], None),
        (b"add@/x\0ACTION=add\0", None),
        (b"add@/x\0SUBSYSTEM=usb\0", None),
        (b"add@/x\0" + b"X=1\0" * 64 + FIELDS, None),
        (b"", None),
    ],
)
def test_how_an_event_is_read(message, event):
    assert hotplug.parse(message) == event


@given(st.binary(max_size=300))
def test_any_event_is_read(event):
    hotplug.parse(event)
    hotplug.parse(b"add@/x\0ACTION=add\0" + event)
    hotplug.parse(b"libudev\0\xfe\xed\xca\xfe" + event)


@pytest.mark.parametrize(
    ("event", "alone", "beside_udev"),
    [
        (("add", "usb", False), True, False),  # it is root's alone then
        (("bind", "usb", False), True, False),
        (("remove", "usb", False), True, True),
        (("add", "usb", True), True, True),
        (("add", "usbmisc", True), True, True),
        (("change", "tty", True), True, True),
        (("add", "block", True), False, False),
        (("remove", "net", False), False, False),
    ],
)
def test_what_is_worth_a_look(event, alone, beside_udev):
    assert hotplug.counts(hotplug.Event(*event), udev_runs=False) is alone
    assert hotplug.counts(hotplug.Event(*event), udev_runs=True) is beside_udev


def test_a_crowd_of_events_is_one_look_and_one_more():
    pace = hotplug.Pace()
    assert pace.at == float("inf")
    for now in (10.0, 10.05, 10.08):
        pace.happened(now)
        assert pace.at == pytest.approx(now + 0.1)
    pace.looked(10.18)
    assert pace.at == pytest.approx(11.18)
    pace.looked(11.18)
    assert pace.at == float("inf")


def test_events_without_end_put_no_look_off():
    pace, looks = hotplug.Pace(), []
    for step in range(100):
        now = step * 0.05
        if now >= pace.at:
            looks.append(now)
            pace.looked(now)
        pace.happened(now)
    assert max(later - sooner for sooner, later in itertools.pairwise([0, *looks])) <= 0.61


class Told:
    """Counts what a watch tells."""

    def __init__(self):
        self.times = []
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def wait(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.times) >= count, PATIENCE), self.times


@contextlib.contextmanager
def watching(on_change):
    watch = CableWatch(on_change)
    try:
        yield watch
    finally:
        watch.close()


def synthetic():
    """The uevent file of a terminal, by which root has the kernel send an event."""
    for file in sorted(Path("/sys/class/tty").glob("*/uevent")) if sys.platform == "linux" else ():
        if os.access(file, os.W_OK):
            return file
    return None


def events_arrive():
    """Whether this machine's kernel tells this process of what root has it send."""
    events = hotplug._events()
    if events is None:
        return False
    with events:
        synthetic().write_text("change")
        return bool(select.select([events], [], [], 1.0)[0])


@pytest.mark.skipif(synthetic() is None, reason="needs root and a writable /sys, to have the kernel send events")
def test_the_kernels_events_come_as_one_and_once_more_when_rights_are_given(monkeypatch, tmp_path):
    if not events_arrive():
        pytest.skip("the kernel's events do not come into this container")
    monkeypatch.setattr(hotplug, "_there", lambda: (frozenset(), 0.0))  # so that nothing else tells
    monkeypatch.setattr(hotplug, "_UDEV_RUNS", str(tmp_path / "no"))
    told = Told()
    with watching(told):
        began = time.monotonic()
        for _ in range(5):
            synthetic().write_text("change")
        told.wait(2)
    assert told.times[0] - began < 1.0
    assert told.times[1] - told.times[0] > 0.9
    assert len(told.times) == 2


def test_without_events_it_is_looked_again(monkeypatch):
    seen, looks, told = [frozenset({"1-1"})], Told(), Told()

    def there():
        now = seen[0]
        looks()
        return now, 0.0

    monkeypatch.setattr(hotplug, "_events", lambda: None)
    monkeypatch.setattr(hotplug, "_EVERY", 0.05)
    monkeypatch.setattr(hotplug, "_there", there)
    with watching(told):
        looks.wait(1)
        seen[0] = frozenset({"1-1", "1-2"})
        told.wait(2)
        seen[0] = frozenset({"1-1"})
        told.wait(4)


def test_a_look_that_takes_long_is_seldom_repeated(monkeypatch):
    """Other systems than Linux ask their drivers for it: half a percent of a core is for that."""
    looks = Told()

    def costly():
        looks()
        return frozenset(), 0.002

    monkeypatch.setattr(hotplug, "_events", lambda: None)
    monkeypatch.setattr(hotplug, "_EVERY", 0.01)
    monkeypatch.setattr(hotplug, "_there", costly)
    with watching(lambda: None):
        looks.wait(3)
    first, second, third, *_ = looks.times
    assert min(second - first, third - second) >= 0.4


def test_what_was_plugged_in_anew_is_something_else(monkeypatch, tmp_path):
    monkeypatch.setattr(hotplug, "_FOLDERS", (str(tmp_path), str(tmp_path / "there is none")))
    (tmp_path / "1-2").write_text("")
    before = hotplug._entries()
    (tmp_path / "new").write_text("")
    (tmp_path / "new").rename(tmp_path / "1-2")
    assert [name for name, _ in before] == [name for name, _ in hotplug._entries()] == ["1-2"]
    assert hotplug._entries() != before


def test_elsewhere_the_transports_are_asked_and_one_that_breaks_hides_nothing(monkeypatch):
    def broken():
        raise RuntimeError

    monkeypatch.setattr(hotplug, "finders", lambda: {"usb": broken, "serial": lambda: [Found("serial://COM3")]})
    assert hotplug._found() == {("serial://COM3", "", True)}


def test_it_is_cheap():
    """Once a second: half a percent of a core would be 5 ms."""
    hotplug._there()
    assert min(hotplug._there()[1] for _ in range(5)) < 0.005


def test_it_looks_when_it_is_told_to_and_outlives_what_breaks(monkeypatch):
    monkeypatch.setattr(hotplug, "_events", lambda: None)
    reported, told = [], Told()
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def break_off():
        told()
        raise RuntimeError

    with watching(break_off) as watch:
        for count in (1, 2):
            watch.look()
            told.wait(count)
    assert [report.exc_type for report in reported] == [RuntimeError] * 2


def test_closing_ends_it_at_once():
    before = threading.active_count()
    watch = CableWatch(lambda: None)
    began = time.monotonic()
    watch.close()
    watch.close()
    watch.look()
    assert time.monotonic() - began < 1.0
    assert threading.active_count() == before


def test_it_may_be_closed_from_its_own_call():
    told, watches = Told(), []

    def close():
        watches[0].close()
        told()

    watches.append(CableWatch(close))
    watches[0].look()
    told.wait(1)
    watches[0]._thread.join(PATIENCE)
    assert not watches[0]._thread.is_alive()


# -- addresses ------------------------------------------------------------------------------------------------------

EPSON = Found("usb://04b8:0e15/A", serial="A", place="1-2:1.0", also=("lp:///dev/usb/lp0",))
PLAIN = Found("usb://04b8:0e15?port=1-3", place="1-3:1.1")


@pytest.mark.parametrize(
    ("address", "found", "fits"),
    [
        ("usb://04b8:0e15", EPSON, True),
        ("usb://04b8:0e15/A", EPSON, True),
        ("usb://04b8:0e15/B", EPSON, False),
        ("usb://04b8:0e15?port=1-2", EPSON, True),
        ("usb://04b8:0e15?port=1-3", EPSON, False),
        ("usb://04b8:0e15?interface=0", EPSON, True),
        ("usb://04b8:0e15?interface=1", EPSON, False),
        ("usb://04b8:0e16", EPSON, False),
        ("lp:///dev/usb/lp0", EPSON, True),
        ("lp:///dev/usb/lp1", EPSON, False),
        ("usb://04b8:0e15", PLAIN, True),
        ("usb://04b8:0e15/A", PLAIN, False),
        ("usb://04b8:0e15?port=1-3&interface=1", PLAIN, True),
        ("tcp://192.168.1.50", Found("tcp://192.168.1.50:9100"), True),
        ("tcp://192.168.1.50", EPSON, False),
        ("serial://COM3?baud=19200", Found("serial://COM3"), True),
        ("serial://COM4", Found("serial://COM3"), False),
    ],
)
def test_which_printer_an_address_means(address, found, fits):
    assert found.fits(parse_address(address)) is fits


def test_a_port_by_another_of_its_names(tmp_path):
    (tmp_path / "ttyUSB0").write_text("")
    (tmp_path / "usb-FTDI").symlink_to("ttyUSB0")
    found = Found(f"serial://{tmp_path}/usb-FTDI")
    assert found.fits(parse_address(f"serial://{tmp_path}/ttyUSB0?baud=115200&flow=rtscts"))
    assert not found.fits(parse_address(f"serial://{tmp_path}/ttyUSB1"))


# -- a queue --------------------------------------------------------------------------------------------------------


class Door:
    """Stands in for opening a printer: refuses with each of the errors in turn, the last one for ever."""

    def __init__(self, monkeypatch, *errors):
        self.errors = list(errors)
        self.tried = Told()
        monkeypatch.setattr(print_queue, "open_printer", self.open)

    def open(self, *_, **__):
        self.tried()
        error = self.errors[0]
        if len(self.errors) > 1:
            del self.errors[0]
        raise error


def settle(queue):
    """Until the queue's thread has done what it was told, and what came of that: it takes the second in after its work."""
    for _ in range(2):
        taken_in = threading.Event()
        queue._post(taken_in.set)
        assert taken_in.wait(PATIENCE)


def test_what_was_not_there_is_tried_at_once(monkeypatch):
    monkeypatch.setattr(print_queue, "_RETRY_FIRST", 60.0)
    door = Door(monkeypatch, PrinterNotFound("no"))
    with PrintQueue("usb://04b8:0e15", "escpos") as queue:
        queue.submit(b"x")
        for count in (1, 2, 3):
            door.tried.wait(count)
            queue.retry()
        door.tried.wait(4)


def test_a_busy_printer_is_left_alone_by_plugs(monkeypatch):
    """To try it takes the kernel's driver off it and gives it back, which looks like a plug: that would never end."""
    monkeypatch.setattr(print_queue, "_RETRY_FIRST", 60.0)
    door = Door(monkeypatch, PrinterBusy("no"))
    with PrintQueue("usb://04b8:0e15", "escpos") as queue:
        job = queue.submit(b"x")
        door.tried.wait(1)
        for _ in range(10):
            queue.retry()
        settle(queue)
        assert len(door.tried.times) == 1
        job.cancel()


def test_a_queue_that_nobody_has_needed_yet_costs_no_thread():
    before = threading.active_count()
    with PrintQueue("usb://04b8:0e15", "escpos") as queue:
        queue.retry()
        assert threading.active_count() == before


def test_plugs_ask_no_printer_more_often(virtual):
    """One that is only opened to be asked comes and goes for the kernel's driver each time."""
    printer = virtual("escpos")
    heard = Told()
    with PrintQueue(printer.address, "escpos", on_status=lambda _: heard(), idle_release=0.1) as queue:
        queue.watch(60.0)
        queue.status(PATIENCE)
        asked = printer.received()
        for _ in range(20):
            queue.retry()
        settle(queue)
        assert printer.received() == asked


def test_the_rights_of_a_new_printer_take_a_moment(monkeypatch):
    door = Door(monkeypatch, PrinterNotFound("no"), AccessDenied("root's alone"), AccessDenied("yet"), PrinterBusy("!"))
    with PrintQueue("usb://04b8:0e15", "escpos") as queue:
        job = queue.submit(b"x")
        door.tried.wait(4)
        assert job.state is JobState.PENDING
        job.cancel()


def test_who_has_no_right_hears_of_it(monkeypatch):
    monkeypatch.setattr(print_queue, "_RIGHTS_SETTLE", 0.3)
    door = Door(monkeypatch, AccessDenied("no"))
    with PrintQueue("usb://04b8:0e15", "escpos") as queue:
        job = queue.submit(b"x")
        assert job.wait(PATIENCE)
        assert job.state is JobState.FAILED
        assert job.error.code == "access-denied"
        tried = len(door.tried.times)
        job = queue.submit(b"x")
        assert job.wait(PATIENCE)
        assert job.state is JobState.FAILED
        assert len(door.tried.times) <= tried + 1, "the second need not wait for what has not come"


# -- the server -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cables(monkeypatch):
    """What is plugged in, for a server; `plug(found, …)` changes it, as the kernel would tell."""

    class Cables:
        def __init__(self):
            self.found = ()
            self.watches = []

        def plug(self, *found):
            self.found = found
            for on_change in self.watches:
                on_change()

    cables = Cables()

    class Watch:
        def __init__(self, on_change):
            cables.watches.append(on_change)

        def look(self):
            pass

        def close(self):
            cables.watches.clear()

    monkeypatch.setattr(hub_module, "discover", lambda **_: Discovery(cables.found, {}))
    monkeypatch.setattr(hub_module, "CableWatch", Watch)
    return cables


class Server(RunningServer):
    def __init__(self, config):
        super().__init__(config)
        self.app = type(self.app)(config, cables=True)


def server_event(client):
    return client.event(lambda kind, _: kind == "server")


def test_what_is_plugged_in_without_a_name_is_told(cables):
    label = PrinterConfig("usb://1203:0140", "tspl")
    with Server(Config(ServerConfig(port=0), {"Label": label})) as server, server.native() as client:
        assert client.ask("subscribe")["server"]["found"] == []
        new = Found(
            "usb://04b8:0e15/A",
            make_model="EPSON TM-T20II",
            serial="A",
            dialect="escpos",
            dialect_how="the USB ids 04b8:0e15: likely",
        )
        locked = Found("serial:///dev/ttyUSB0", error=OpenError("no right", hint="join dialout"))
        cables.plug(new, Found("usb://1203:0140/B", also=("lp:///dev/usb/lp0",)), locked)
        assert server_event(client)["found"] == [
            {
                "address": "usb://04b8:0e15/A",
                "make_model": "EPSON TM-T20II",
                "serial": "A",
                "dialect": "escpos",
                "how": "the USB ids 04b8:0e15: likely",
                "error": None,
            },
            {
                "address": "serial:///dev/ttyUSB0",
                "make_model": "",
                "serial": "",
                "dialect": None,
                "how": "",
                "error": {"code": "open-failed", "message": "no right", "hint": "join dialout"},
            },
        ]
        cables.plug()
        assert server_event(client)["found"] == []


def test_many_are_told_up_to_a_limit_and_named_ones_take_no_place(cables, monkeypatch):
    monkeypatch.setattr(hub_module, "MAX_FOUND", 3)
    printers = {f"P{number}": PrinterConfig(f"lp:///dev/usb/lp{number}") for number in range(4)}
    with Server(Config(ServerConfig(port=0), printers)) as server, server.native() as client:
        client.ask("subscribe")
        cables.plug(*(Found(f"lp:///dev/usb/lp{number}") for number in range(9)))
        assert [one["address"] for one in server_event(client)["found"]] == [f"lp:///dev/usb/lp{n}" for n in (4, 5, 6)]
        server.call(server.app._hub.apply, dict(itertools.islice(printers.items(), 2)))
        assert [one["address"] for one in server_event(client)["found"]] == [f"lp:///dev/usb/lp{n}" for n in (2, 3, 4)]


def test_nobody_looks_for_printers_while_nobody_watches(cables, monkeypatch):
    looks = Told()
    monkeypatch.setattr(hub_module, "discover", lambda **_: (looks(), Discovery(cables.found, {}))[1])
    with Server(Config(ServerConfig(port=0))) as server, server.native() as client:
        client.ask("server.version")
        cables.plug(EPSON)
        assert looks.times == []
        client.ask("subscribe")
        cables.plug(EPSON)
        assert len(looks.times) == 1
        assert client.ask("subscribe")["server"]["found"][0]["address"] == EPSON.address


@pytest.fixture
def bus(monkeypatch):
    """The USB devices of this machine, which the kernel tells nothing of; they are looked for often."""
    bus = FakeBus()
    monkeypatch.setattr(usb_devices, "new_backend", lambda: FakeBackend(bus))
    monkeypatch.setattr(hotplug, "_events", lambda: None)
    monkeypatch.setattr(hotplug, "_EVERY", 0.05)
    monkeypatch.setattr(hotplug, "_there", lambda: (frozenset(map(id, bus.plugged)), 0.0))
    monkeypatch.setattr("rawprint.transports._FINDERS", ("usb",))
    return bus


@pytest.mark.skipif(sys.platform == "win32", reason="usb:// is another module there")
def test_a_printer_that_goes_and_comes_back_keeps_its_name(bus):
    """And the one that has none is told, with the language that it says of itself."""
    config = Config(ServerConfig(port=0), {"Till": PrinterConfig("usb://04b8:0e15", "escpos")})
    with Server(config) as server, server.native() as client:
        client.ask("subscribe")

        def told(**wanted):
            return client.event(
                lambda kind, data: (
                    kind == "printer" and wanted.items() <= {**data, "error": bool(data["error"])}.items()
                )
            )

        told(error=True)
        for port in (1, 2):
            plugged = bus.plug(UsbPrinterDevice(device("escpos")), port)
            told(name="Till", state="idle", error=False)
            job = client.print({"name": "Till"}, "Hello\n", wait="ended")
            assert (job["printer"], job["state"]) == ("Till", "delivered")
            assert b"Hello\n" in plugged.model.printer.received
            bus.unplug(plugged)
            told(name="Till", state="unknown", error=True)
        other = UsbPrinterDevice(device("tspl"))
        other.vid, other.pid = 0x1203, 0x0140
        plugged = bus.plug(other, 3)
        (found,) = server_event(client)["found"]
        assert (found["address"], found["dialect"]) == ("usb://1203:0140/VP0001", "tspl")
        assert found["how"]
        bus.unplug(plugged)
        assert server_event(client)["found"] == []
        assert bus.open_handles == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals with a name")
def test_a_job_that_waits_for_its_printer_goes_out_when_that_comes(cables, tmp_path, monkeypatch):
    """Its queue would not try for a minute."""
    monkeypatch.setattr(print_queue, "_RETRY_FIRST", 60.0)
    path = tmp_path / "printer"
    config = PrinterConfig(f"serial://{path}", "escpos")
    with Server(Config(ServerConfig(port=0), {"Till": config})) as server, server.native() as client:
        client.ask("subscribe")
        client.event(lambda kind, data: kind == "printer" and data["error"] is not None)
        client.print({"name": "Till"}, ["Hello\n"], id="J1")
        with PtyListener(device("escpos"), path) as printer:
            began = time.monotonic()
            cables.plug()
            assert printer.wait(lambda d: d.printed == b"Hello\n", PATIENCE)
            assert time.monotonic() - began < 2.0
            assert client.job_event("J1", "delivered")["printer"] == "Till"
