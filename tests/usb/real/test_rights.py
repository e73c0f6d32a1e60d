"""Who may open a printer, who holds it, and which of several it is: each ends in the named error, hint and exit code."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rawprint
from rawprint import probe
from rawprint.transports.usb_quirks import udev_rules
from rawprint.virtual import device

from ..devices import AcmDevice, FtdiDevice, UsbPrinterDevice
from ..vhci import wait_for
from .conftest import ROOT, command, plugged
from .conftest import udev_rules as rules_for_now

EPSON = "usb://04b8:0e15"
LP = "/dev/usb/lp0"
LP_GROUP = grp.getgrnam("lp").gr_gid


def failure(done):
    assert done.returncode == 3, (done.stdout, done.stderr)
    return json.loads(done.stdout)["error"]


def status(address, **who):
    return command("status", address, "--dialect", "escpos", "--json", **who)


def test_a_user_without_rights_is_told_which_rule_gives_them():
    with plugged(UsbPrinterDevice(device("escpos")), LP):
        error = failure(status(EPSON))
        assert error["code"] == "access-denied"
        assert "rawprint udev" in error["hint"]
        (found,) = json.loads(command("probe", EPSON, "--json").stdout)[0]["findings"]
        assert (found["code"], found["severity"]) == ("access-denied", "error")
        assert "rawprint udev | sudo tee" in found["remedy"]
        error = failure(status(f"lp://{LP}"))
        assert error["code"] == "access-denied"
        assert "usermod -aG lp" in error["hint"]


def test_the_rules_that_are_printed_let_group_lp_print():
    with rules_for_now(udev_rules()):
        for model, address in (
            (UsbPrinterDevice(device("escpos")), EPSON),
            (vendor_class(device("escpos")), "usb://04b8:0202"),
        ):
            with plugged(model) as plug:
                subprocess.run(["udevadm", "settle"], check=True)
                done = command(
                    *("print", address, "-", "--dialect", "escpos", "--wait", "--json"),
                    groups=[LP_GROUP],
                    data=b"Hello\n",
                )
                assert done.returncode == 0, (done.stdout, done.stderr)
                assert json.loads(done.stdout)["evidence"] == ["acknowledged", "status"]
                assert plug.model.printer.printed == b"Hello\n"
        with plugged(UsbPrinterDevice(device("escpos"))):
            subprocess.run(["udevadm", "settle"], check=True)
            assert failure(status(EPSON))["code"] == "access-denied", "whoever is not of that group"


def finding(address, code):
    """What `rawprint probe` finds of this code."""
    (report,) = probe.examine([address])
    (found,) = [each for each in report.findings if each.code == code]
    return found


def vendor_class(printer):
    model = UsbPrinterDevice(printer, vendor_class=True)
    model.pid = 0x0202
    return model


@contextlib.contextmanager
def printing_without_end(plug, address):
    """Another rawprint, with a job that a printer which takes nothing does not end."""
    plug.set(capacity=len(plug.model.received) + 10)
    words = [sys.executable, "-m", "rawprint", "print", address, "-"]
    before = len(plug.received)
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.write(b"x" * 100_000)
        process.stdin.close()
        assert wait_for(lambda: len(plug.received) == before + 10)
        yield process
        process.kill()
        process.wait()
    plug.set(capacity=None)


@pytest.mark.parametrize(("held", "asked"), [(EPSON, EPSON), (f"lp://{LP}", f"lp://{LP}"), (f"lp://{LP}", EPSON)])
def test_another_rawprint_holds_it(held, asked):
    with plugged(UsbPrinterDevice(), LP) as plug, printing_without_end(plug, held) as other:
        error = failure(status(asked, root=True))
        assert error["code"] == "busy"
        assert f"another rawprint (process {other.pid})" in error["message"]
        assert error["hint"]
        found = finding(asked, "busy")
        assert f"another rawprint (process {other.pid})" in found.detail
        assert found.remedy


def test_somebody_elses_program_holds_it():
    """Whose files a user may not see: then nobody is named, and least of all this program itself."""
    with rules_for_now(udev_rules()), plugged(UsbPrinterDevice()) as plug:
        subprocess.run(["udevadm", "settle"], check=True)
        with printing_without_end(plug, EPSON):
            error = failure(status(EPSON, groups=[LP_GROUP]))
            assert error["code"] == "busy"
            assert "held by another program" in error["message"]


def test_cups_holds_it(tmp_path):
    """CUPS' own usb backend, in the middle of a job that the printer does not take."""
    root = Path(os.environ["USBTB_CACHE"]) / "cups"
    with plugged(UsbPrinterDevice(), LP) as plug:
        plug.set(capacity=10)
        job = tmp_path / "job"
        job.write_bytes(b"y" * 100_000)
        uri = "usb://EPSON/TM-T20II?serial=VP0001"
        environment = os.environ | {"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu"), "DEVICE_URI": uri}
        words = [uri, "1", "nobody", "title", "1", "", str(job)]
        backend = root / "usr/lib/cups/backend-available/usb"
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(words, executable=backend, env=environment, stderr=log, stdout=log)
        try:
            assert wait_for(lambda: len(plug.received) == 10), (tmp_path / "log").read_text()
            error = failure(status(EPSON, root=True))
            assert error["code"] == "busy"
            assert f"CUPS (process {process.pid})" in error["message"]
            assert "print settings" in error["hint"]
            found = finding(EPSON, "busy")
            assert f"CUPS (process {process.pid})" in found.detail
            assert "print settings" in found.remedy
        finally:
            process.kill()
            process.wait()
            plug.set(capacity=None)


def test_the_kernels_driver_gets_it_back():
    with plugged(UsbPrinterDevice(device("escpos")), LP):
        with rawprint.open(EPSON, "escpos") as printer:
            assert not os.path.exists(LP)
            assert printer.status().state is rawprint.PrinterState.IDLE
            assert "MDL:TM-T20II" in printer.transport.device_id()
        assert wait_for(lambda: os.path.exists(LP))
        with rawprint.open(f"lp://{LP}", "escpos") as printer:
            assert printer.status().state is rawprint.PrinterState.IDLE
            assert "MDL:TM-T20II" in printer.transport.device_id()


def test_two_alike_without_serial_numbers_are_told_apart_by_their_ports():
    left, right = (UsbPrinterDevice(device("escpos"), serial="") for _ in range(2))
    with plugged(left, LP), plugged(right, "/dev/usb/lp1"):
        with pytest.raises(rawprint.AmbiguousAddress) as caught:
            rawprint.open(EPSON)
        assert len(set(caught.value.candidates)) == 2
        for number, address in enumerate(sorted(caught.value.candidates)):
            assert "?port=" in address
            with rawprint.open(address, "escpos") as printer:
                printer.print(b"port %d\n" % number)
        assert {left.printer.printed, right.printer.printed} == {b"port 0\n", b"port 1\n"}
        listed = [one.address for one in rawprint.discover(network=False).found if one.address.startswith("usb://")]
        assert sorted(listed) == sorted(caught.value.candidates)


def test_serial_numbers_name_them_where_there_are_any():
    with plugged(UsbPrinterDevice(serial="A"), LP), plugged(UsbPrinterDevice(serial="B"), "/dev/usb/lp1") as second:
        with rawprint.open(f"{EPSON}/B") as printer:
            printer.print(b"to B")
        assert wait_for(lambda: second.received == b"to B")
        with pytest.raises(rawprint.PrinterNotFound):
            rawprint.open(f"{EPSON}/C")


def test_a_printer_behind_another_interface_has_its_own_port_status():
    model = UsbPrinterDevice(behind=True)
    with plugged(model, LP) as plug, rawprint.open(EPSON) as printer:
        assert printer.status().state is rawprint.PrinterState.UNKNOWN
        plug.set(paper_out=True)
        status = printer.status()
        assert dict(status.reasons) == {rawprint.Reason.MEDIA_EMPTY: True}
        assert status.source == "line"


def test_a_printer_that_cannot_answer_prints_and_is_not_known():
    with plugged(UsbPrinterDevice(protocol=1), LP) as plug:
        for address in (EPSON, f"lp://{LP}"):
            before = len(plug.received)
            with rawprint.PrintQueue(address) as queue:
                job = queue.submit(b"Hello")
                assert job.wait(10)
                assert job.state is rawprint.JobState.DELIVERED
            assert wait_for(lambda before=before: plug.received[before:] == b"Hello")
            assert wait_for(lambda: os.path.exists(LP))
        assert "bulk IN" in finding(EPSON, "one-way").title
        assert plug.received.endswith(b"Hello"), "and nothing was asked"


def test_a_stall_is_cleared_once():
    with plugged(UsbPrinterDevice(), LP) as plug, rawprint.open(EPSON) as printer:
        plug.set(stalls=1)
        printer.print(b"after a stall")
        assert plug.received == b"after a stall"
        plug.set(stalls=2)
        with pytest.raises(rawprint.Disconnected):
            printer.print(b"again and again")


def test_a_printer_that_refuses_the_class_requests_prints():
    model = UsbPrinterDevice(device("escpos"))
    model.mute_control = True
    with plugged(model, LP), rawprint.open(EPSON, "escpos") as printer:
        assert printer.transport.line_status() == {}
        assert printer.transport.device_id() == ""
        assert printer.status().state is rawprint.PrinterState.IDLE


def test_all_of_them_are_listed_and_nothing_is_taken():
    with (
        plugged(UsbPrinterDevice(), LP) as usb,
        plugged(FtdiDevice(), "/dev/ttyUSB0"),
        plugged(AcmDevice(), "/dev/ttyACM0"),
    ):
        done = command("list", "--local", "--json", root=True)
        assert done.returncode == 0, done.stderr
        listed = {one["address"]: one for one in json.loads(done.stdout)}
        assert listed[f"{EPSON}/VP0001"]["make_model"] == "EPSON TM-T20II"
        assert listed[f"{EPSON}/VP0001"]["serial"] == "VP0001"
        assert listed[f"{EPSON}/VP0001"]["also"] == [f"lp://{LP}"], "one printer, found by two ways"
        assert listed[f"{EPSON}/VP0001"]["dialect"] == "escpos"
        assert f"lp://{LP}" not in listed
        assert any(
            address.startswith("serial://") and "FTDI" in address + listed[address]["make_model"] for address in listed
        )
        assert os.path.exists(LP), "usblp still has it"
        assert usb.received == b""


def test_plugs_are_seen_where_no_udevd_runs():
    """As in most containers: an old libusb context would not hear of them."""

    def listed():
        return [one for one in rawprint.discover(network=False).found if one.address.startswith(EPSON)]

    assert wait_for(lambda: not listed())
    subprocess.run(["udevadm", "control", "--exit"], check=True)
    try:
        with plugged(UsbPrinterDevice()):
            assert wait_for(listed)
            with rawprint.open(EPSON) as printer:
                printer.print(b"Hello")
        assert wait_for(lambda: not listed())
    finally:
        subprocess.run(["systemd-udevd", "--daemon"], check=True)
