"""From `rawprint-server` to an emulated printer through a real kernel: paper out in mid-job, the cable pulled, plugged in again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from rawprint.virtual import device

from ..devices import AcmDevice, FtdiDevice, UsbPrinterDevice
from ..vhci import wait_for
from .conftest import ROOT, plugged

TICKET = b"\x1b@" + bytes(range(0x20, 0x7F)) * 11037 + b"\n\x1dV\x00"  # 1 MB, nothing in it that a printer answers
FTDI = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A0001-if00-port0"
ACM = "/dev/serial/by-id/usb-Rawprint_Lab_Virtual_COM_ACM01-if00"
CABLES = {
    "usbfs": (UsbPrinterDevice, "/dev/usb/lp0", "usb://04b8:0e15", False),
    "usblp": (UsbPrinterDevice, "/dev/usb/lp0", "lp:///dev/usb/lp0", False),
    # A tty has no word for it: there the printer tells by automatic status.
    "ftdi": (FtdiDevice, FTDI, f"serial://{FTDI}?flow=rtscts", True),
    "acm": (AcmDevice, ACM, f"serial://{ACM}", True),
}


@pytest.fixture(scope="module", autouse=True)
def lasting_names():
    """udev's own rules for /dev/serial/by-id, which the guest has not installed."""
    rules = Path(os.environ["USBTB_CACHE"]) / "udev/lib/udev/rules.d/60-serial.rules"
    folder = Path("/run/udev/rules.d")
    folder.mkdir(parents=True, exist_ok=True)
    text = 'SUBSYSTEM=="tty", SUBSYSTEMS=="usb", IMPORT{builtin}="usb_id"\n' + rules.read_text()
    (folder / "60-serial.rules").write_text(text)
    subprocess.run(["udevadm", "control", "--reload"], check=True)


def tickets(plug):
    """What was printed, but for the command that switches automatic status on: the device id says Epson, which has it."""
    return plug.model.printer.printed.replace(b"\x1da\xff", b"")


class Page:
    """A client of the server, in the native protocol."""

    def __init__(self, socket):
        self.socket = socket
        self.uid = 0
        self.jobs, self.states, self.now, self.found = {}, [], {}, []
        self.call("subscribe", {})

    def call(self, name, params, attached=None):
        self.uid += 1
        request = json.dumps({"call": name, "uid": str(self.uid), "params": params}).encode()
        if attached is None:
            self.socket.send(request.decode())
        else:
            self.socket.send(len(request).to_bytes(4, "big") + request + attached)
        while True:
            message = self.hear(10)
            if message.get("uid") == str(self.uid):
                assert "error" not in message, message
                return message["result"]

    def hear(self, timeout):
        message = json.loads(self.socket.recv(timeout))
        if message.get("event") == "job":
            self.jobs[message["data"]["id"]] = message["data"]
        elif message.get("event") == "printer":
            self.states.append(message["data"]["state"])
            self.now[message["data"]["name"]] = message["data"]["state"]
        elif message.get("event") == "server":
            self.found = [one["address"] for one in message["data"]["found"] if "ttyS" not in one["address"]]
        return message

    def soon(self, true):
        """Hears until it is so, which must be within 2 s."""
        deadline = time.monotonic() + 2.0
        while not true():
            rest = deadline - time.monotonic()
            assert rest > 0, (self.now, self.found)
            with contextlib.suppress(TimeoutError):
                self.hear(rest)

    def print(self, id, data, name="Till"):
        item = {"type": "raw", "format": "command", "flavor": "attached"}
        params = {"printer": {"name": name}, "data": [item], "options": {"id": id}}
        self.call("print", params, data)

    def until(self, id, *states, timeout=30):
        """The job, when it is so."""
        deadline = time.monotonic() + timeout
        while (job := self.jobs.get(id, {})).get("state") not in states:
            rest = deadline - time.monotonic()
            assert rest > 0, f"{job} is not {states}"
            with contextlib.suppress(TimeoutError):
                self.hear(rest)
        return job


@contextlib.contextmanager
def running_server(folder, address, **others):
    config = folder / "server.toml"
    printers = {"Till": address, **others}
    config.write_text(
        "".join(f'[printers.{name}]\naddress = "{its}"\ndialect = "escpos"\n' for name, its in printers.items())
    )
    command = [sys.executable, "-m", "rawprint_server", "--config", str(config), "--port", "0"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        try:
            line = process.stdout.readline()
            assert line, (folder / "server.log").read_text()
            yield json.loads(line)["url"]
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize("cable", CABLES)
def test_a_megabyte_with_paper_out_and_the_cable_pulled(cable, tmp_path):
    kind, node, address, push = CABLES[cable]

    def printer():
        made = device("escpos", media=300_000, push=push)
        made.connected()
        # What a printer says before its port is open, the kernel's terminal would echo, and so print.
        made.output()
        return made

    with (
        plugged(kind(printer()), node) as plug,
        running_server(tmp_path, address) as url,
        connect(url, subprotocols=["rawprint.v1"], compression=None) as socket,
    ):
        page = Page(socket)
        # Without ESC @, which switches automatic status off, where that is to tell.
        ticket = TICKET[2:] if push else TICKET
        page.print("first", ticket)
        assert wait_for(lambda: plug.model.printer.reasons["media-empty"], 30)
        out = time.monotonic()
        job = page.until("first", "stopped")
        while not job["reasons"].get("media-empty"):
            page.hear(5)
            job = page.jobs["first"]
        assert time.monotonic() - out < 1.5, "it was to be known within 1.5 s"
        assert 0 <= job["bytes_accepted"] < len(ticket)
        plug.set_reason("media-empty", False)
        job = page.until("first", "delivered")
        assert job["bytes_accepted"] == len(ticket)
        assert tickets(plug) == ticket

        with plug.lock:
            plug.model.printer.refill(200_000)
        page.print("second", ticket)
        page.until("second", "stopped")
        accepted = len(plug.model.printer.received)
        plug.unplug()
        job = page.until("second", "uncertain", timeout=10)
        assert 0 < job["bytes_accepted"] <= accepted
        rest = len(ticket) - job["bytes_accepted"]  # so much completes it where the printer waits for that
        page.print("third", b"Hello\n")
        assert page.call("jobs.get", {"id": "third"})["state"] == "pending"
        # Over usbfs the server has it before the kernel's driver has made a node of it.
        with plugged(kind(device("escpos")), None if cable == "usbfs" else node) as again:
            job = page.until("third", "delivered")
            assert tickets(again) == bytes(rest) + b"\x1b@Hello\n"


def test_what_is_plugged_in_or_out_is_told_within_two_seconds(tmp_path):
    """By whatever cable, under the name that it had before; and what has no name is offered."""
    others = {"Kitchen": "lp:///dev/usb/lp1", "Bar": f"serial://{FTDI}"}
    with (
        running_server(tmp_path, "usb://04b8:0e15", **others) as url,
        connect(url, subprotocols=["rawprint.v1"], compression=None) as socket,
    ):
        page = Page(socket)

        def comes_and_goes(name, job, model, node=None):
            with plugged(model, node) as plug:
                page.soon(lambda: page.now.get(name) == "idle")
                page.print(job, b"Hello\n", name)
                page.until(job, "delivered")
                assert tickets(plug) == b"Hello\n"
                plug.unplug()
                page.soon(lambda: page.now[name] == "unknown")

        for time_ in ("first", "again"):
            comes_and_goes("Till", f"till {time_}", UsbPrinterDevice(device("escpos")))
            comes_and_goes("Bar", f"bar {time_}", FtdiDevice(device("escpos")), FTDI)
        unnamed, kitchen = UsbPrinterDevice(device("escpos")), UsbPrinterDevice(device("escpos"))
        unnamed.pid, kitchen.pid = 0x0E03, 0x0E04
        acm = "/dev/ttyACM0"
        with plugged(unnamed, "/dev/usb/lp0"), plugged(AcmDevice(), acm):
            page.soon(lambda: {one.partition(":")[0] for one in page.found} == {"usb", "serial"})
            assert "usb://04b8:0e03/VP0001" in page.found
            comes_and_goes("Kitchen", "kitchen", kitchen, "/dev/usb/lp1")
            page.soon(lambda: len(page.found) == 2)
        page.soon(lambda: page.found == [])


@pytest.mark.parametrize("cable", ["usbfs"])
def test_a_printer_that_stands_still_for_long_costs_nothing(cable, tmp_path):
    """Well under 1 % of a core on a real processor; an emulated one is some twenty times slower."""
    kind, node, address, _ = CABLES[cable]
    with plugged(kind(device("escpos", media=1000)), node) as plug:
        code = (
            "import sys, time, rawprint\n"
            "queue = rawprint.PrintQueue(sys.argv[1], 'escpos', idle_release=None)\n"
            "job = queue.submit(b'x' * 500_000)\n"
            "while job.state is not rawprint.JobState.STOPPED: job.wait(0.05)\n"
            "before, began = time.process_time(), time.monotonic()\n"
            "job.wait(4)\n"
            "print((time.process_time() - before) / (time.monotonic() - began))\n"
            "job.cancel(); job.wait(5); queue.close(0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, address], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        share = float(done.stdout)
        print(f"{cable}: {share:.1%} of an emulated core")
        assert share < 0.15
        plug.set_reason("media-empty", False)
