"""What is plugged in and out: the kernel's events, what they mean, and what a server makes of them."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import CableWatch, address_fits, parse_address
from rawprint.discovery import Discovery
from rawprint.errors import OpenError
from rawprint.transports import Found, hotplug
from rawprint_server import hub as hub_module
from rawprint_server.config import Config, PrinterConfig, ServerConfig

from .server.conftest import RunningServer

PATIENCE = 10.0
PLUG = b"add@/devices/pci0/usb1/1-2\0ACTION=add\0DEVPATH=/devices/pci0/usb1/1-2\0SUBSYSTEM=usb\0SEQNUM=2047\0"


# -- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "plug"),
    [
        (PLUG, True),
        (PLUG.replace(b"=add", b"=remove"), True),
        (PLUG.replace(b"SUBSYSTEM=usb", b"SUBSYSTEM=usbmisc"), True),
        (PLUG.replace(b"SUBSYSTEM=usb", b"SUBSYSTEM=tty"), True),
        (PLUG.replace(b"SUBSYSTEM=usb", b"SUBSYSTEM=block"), False),
        (PLUG.replace(b"=add", b"=move"), False),
        (b"libudev\0\xfe\xed\xca\xfe" + PLUG.partition(b"\0")[2], False),
        (b"", False),
        (b"add@/x", False),
    ],
)
def test_what_is_a_plug(event, plug):
    assert hotplug.is_plug(event) is plug


@given(st.binary(max_size=300))
def test_any_event_is_read(event):
    hotplug.is_plug(event)
    hotplug.is_plug(b"add@/x\0ACTION=add\0" + event)


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


def synthetic():
    """The uevent file of a terminal, by which root has the kernel send an event."""
    for file in sorted(Path("/sys/class/tty").glob("*/uevent")) if sys.platform == "linux" else ():
        if os.access(file, os.W_OK):
            return file
    return None


@pytest.mark.skipif(synthetic() is None, reason="needs root and a writable /sys, to have the kernel send events")
def test_the_kernels_events_come_as_one_and_once_more_when_rights_are_given():
    told = Told()
    watch = CableWatch(told)
    try:
        began = time.monotonic()
        for _ in range(5):
            synthetic().write_text("change")
        told.wait(2)
        if len(told.times) == 2 and told.times[0] - began > 1.4:
            pytest.skip("the kernel's events do not come into this container")
        assert told.times[0] - began < 1.0
        assert told.times[1] - told.times[0] > 0.5
    finally:
        watch.close()
    assert len(told.times) == 2


def test_without_events_it_is_looked_again(monkeypatch):
    seen = [frozenset({"1-1"})]
    monkeypatch.setattr(hotplug, "_kernel_events", lambda: None)
    monkeypatch.setattr(hotplug, "_look", lambda: seen[0])
    told = Told()
    watch = CableWatch(told)
    try:
        began = time.monotonic()
        seen[0] = frozenset({"1-1", "1-2"})
        told.wait(1)
        assert time.monotonic() - began < 2.0
        told.wait(2)
    finally:
        watch.close()


def test_closing_ends_it_at_once():
    before = threading.active_count()
    watch = CableWatch(lambda: None)
    began = time.monotonic()
    watch.close()
    assert time.monotonic() - began < 1.0
    assert threading.active_count() == before


# -- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("usb://04b8:0e15", "usb://04b8:0e15/A", True),
        ("usb://04b8:0e15/A", "usb://04b8:0e15/B", False),
        ("usb://04b8:0e15?port=1-2", "usb://04b8:0e15/A?port=1-2", True),
        ("usb://04b8:0e15?port=1-2", "usb://04b8:0e15?port=1-3", False),
        ("usb://04b8:0e15", "usb://04b8:0e16", False),
        ("usb://04b8:0e15?interface=1", "usb://04b8:0e15", True),
        ("lp:///dev/usb/lp0", "lp:///dev/usb/lp0", True),
        ("lp:///dev/usb/lp0", "usb://04b8:0e15", False),
    ],
)
def test_what_may_be_one_printer(one, other, fits):
    assert address_fits(parse_address(one), parse_address(other)) is fits
    assert address_fits(parse_address(other), parse_address(one)) is fits


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
        new = Found("usb://04b8:0e15/A", make_model="EPSON TM-T20II", serial="A", dialect="escpos")
        locked = Found("serial:///dev/ttyUSB0", error=OpenError("no right", hint="join dialout"))
        cables.plug(new, Found("usb://1203:0140/B", also=("lp:///dev/usb/lp0",)), locked)
        assert server_event(client)["found"] == [
            {
                "address": "usb://04b8:0e15/A",
                "make_model": "EPSON TM-T20II",
                "serial": "A",
                "dialect": "escpos",
                "error": None,
            },
            {
                "address": "serial:///dev/ttyUSB0",
                "make_model": "",
                "serial": "",
                "dialect": None,
                "error": {"code": "open-failed", "message": "no right", "hint": "join dialout"},
            },
        ]
        cables.plug()
        assert server_event(client)["found"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals with a name")
def test_a_printer_that_comes_back_is_tried_at_once(cables, tmp_path):
    """Its queue has backed off for seconds by then; the name in the configuration stays."""
    from rawprint.virtual import PtyListener, device

    path = tmp_path / "printer"
    config = PrinterConfig(f"serial://{path}", "escpos")
    with Server(Config(ServerConfig(port=0), {"Till": config})) as server, server.native() as client:
        client.ask("subscribe")
        job = client.print({"name": "Till"}, ["Hello\n"], id="J1")
        assert job["state"] in ("pending", "processing")
        deadline = time.monotonic() + 3.0  # so long that the next try would be seconds away
        while time.monotonic() < deadline:
            threading.Event().wait(0.1)
        with PtyListener(device("escpos"), path) as printer:
            began = time.monotonic()
            cables.plug()
            assert printer.wait(lambda d: d.printed == b"Hello\n", PATIENCE)
            assert time.monotonic() - began < 2.0
            job = client.ask("jobs.get", id="J1")
            assert job["printer"] == "Till"


def test_a_queue_that_is_told_to_retry_does(closed_port):
    with rawprint.PrintQueue(f"tcp://127.0.0.1:{closed_port}") as queue:
        queue.retry()
        queue.submit(b"x")
        queue.retry()
