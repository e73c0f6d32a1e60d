"""Serial ports on real pseudo-terminals: settings, holders, handshakes, and the command against a printer behind one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import serial

import rawprint
from rawprint.address import parse
from rawprint.transports import open_address
from rawprint.virtual import PtyListener, device

from .test_cli import LABEL, get, post, running
from .test_cli import rawprint as run

termios = pytest.importorskip("termios", reason="Windows has no terminals of this kind")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals with a name")


@pytest.fixture
def printer():
    with PtyListener(device("escpos")) as listener:
        yield listener


def opened(address):
    return open_address(parse(address), 5.0)


def test_it_asks_prints_and_tells_what_its_end_rests_on(printer):
    with rawprint.PrintQueue(printer.address, "escpos", idle_release=None) as queue:
        assert queue.status().state is rawprint.PrinterState.IDLE
        job = queue.submit(b"Hello\n")
        assert job.wait(10)
        assert (job.state, job.evidence) == (rawprint.JobState.DELIVERED, ("handed-over", "status"))
    assert printer.printed() == b"Hello\n"


def test_paper_out_after_the_last_byte_is_stopped(printer):
    printer.set("media-empty", True)
    with rawprint.PrintQueue(printer.address, "escpos", idle_release=None) as queue:
        job = queue.submit(b"Hello\n")
        deadline = time.monotonic() + 5
        while not job.reasons and time.monotonic() < deadline:
            job.wait(0.02)
        assert rawprint.Reason.MEDIA_EMPTY in job.reasons
        printer.set("media-empty", False)
        assert job.wait(10)
        assert job.state is rawprint.JobState.DELIVERED


def test_one_program_at_a_time(printer):
    transport = opened(printer.address)
    with pytest.raises(rawprint.PrinterBusy, match="this program itself") as caught:
        opened(printer.address)
    assert caught.value.hint
    code = "import sys, serial; port = serial.Serial(sys.argv[1], exclusive=True); print(flush=True); sys.stdin.read()"
    transport.close()
    device_name = printer.address.removeprefix("serial://")
    with subprocess.Popen(
        [sys.executable, "-c", code, device_name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline()
        with pytest.raises(rawprint.PrinterBusy, match=f"process {other.pid}"):
            opened(printer.address)
        other.stdin.close()


@pytest.mark.parametrize("error", [termios.error(22, "Invalid argument"), ValueError("invalid baud rate")])
def test_settings_that_a_port_does_not_have(printer, monkeypatch, error):
    """Not every kernel's pseudo-terminals refuse any, so pyserial does it here."""

    def refuse(_):
        raise error

    monkeypatch.setattr(serial.Serial, "open", refuse)
    with pytest.raises(rawprint.OpenError, match="cannot be opened as") as caught:
        opened(f"{printer.address}?bits=7")
    assert "baud rate" in caught.value.hint


def test_what_is_no_terminal_is_not_written_to(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(rawprint.OpenError):
        opened(f"serial://{file}")
    with pytest.raises(rawprint.OpenError, match="no device"):
        opened(f"lp://{file}")
    with pytest.raises(rawprint.OpenError, match="no printer"):
        opened("lp:///dev/null")


def test_dsr_is_obeyed_where_the_address_says_so(printer, monkeypatch):
    """A pseudo-terminal has no modem lines, so its DSR is a stand-in here; the real one is FTDI's, in the emulated machine."""
    ready = threading.Event()
    transport = opened(f"{printer.address}?flow=dsrdtr")
    monkeypatch.setattr(transport, "_line", lambda name: {"dsr": ready.is_set()}[name])
    began = time.monotonic()
    assert transport.write(memoryview(b"x" * 1000), 0.2) == 0
    assert 0.18 < time.monotonic() - began < 0.7
    assert transport.line_status() == {rawprint.Reason.OFFLINE: True}
    threading.Timer(0.1, ready.set).start()
    assert transport.write(memoryview(b"x" * 1000), 5.0) == 64
    assert transport.line_status() == {}
    transport.close()


def test_xoff_is_obeyed_where_the_address_says_so(printer):
    transport = opened(f"{printer.address}?flow=xonxoff")
    printer.push(b"\x13")
    deadline = time.monotonic() + 5
    while transport.write(memoryview(b"x"), 0.05):
        assert time.monotonic() < deadline
    before = len(printer.received())
    printer.push(b"\x11")
    assert transport.write(memoryview(b"y" * 100), 5.0) == 100
    assert printer.wait(lambda d: len(d.received) >= before + 100, 5)
    assert transport.read(0.0) == b""  # neither of the two is an answer
    transport.close()


def test_the_commands(tmp_path):
    link = tmp_path / "printer"
    with running("simulate", "escpos", "--pty", str(link), "--control", "127.0.0.1:0") as printer:
        ready = json.loads(printer.stdout.readline())
        assert ready["listen"] == f"serial://{link}"
        code, out, _ = run("status", ready["listen"], "--dialect", "escpos", "--json")
        assert (code, json.loads(out)["state"]) == (0, "idle")
        post(ready["control"], **{"media-empty": True})
        code, out, _ = run("status", ready["listen"], "--dialect", "escpos", "--json")
        assert (code, json.loads(out)["reasons"]["media-empty"]) == (1, True)
        post(ready["control"], **{"media-empty": False})
        code, out, _ = run("print", ready["listen"], "--dialect", "escpos", "--wait", "--json", data=LABEL)
        assert (code, json.loads(out)["evidence"]) == (0, ["handed-over", "status"])
        assert LABEL in get(ready["control"] + "/received")
        trace = tmp_path / "transcript"
        assert run("trace", ready["listen"], "--output", str(trace), "--", "status", "--dialect", "escpos")[0] == 0
        assert "> 10 04 01" in trace.read_text()
        printer.send_signal(signal.SIGTERM)
        assert printer.wait(20) == 0
    assert not os.path.lexists(link)


def test_a_path_where_something_is_stays_as_it_is(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    code, _, err = run("simulate", "escpos", "--pty", str(file))
    assert code == 2
    assert "already" in err
    assert file.read_bytes() == b"mine"


def test_list_and_udev():
    code, out, _ = run("list", "--json")
    assert code == 0
    for one in json.loads(out):
        assert set(one) == {"address", "make_model", "dialect", "serial", "error"}
        assert str(parse(one["address"])) == one["address"]
    code, out, _ = run("udev")
    assert code == 0
    assert 'GROUP="lp"' in out
    assert 'ATTR{idVendor}=="04b8", ATTR{idProduct}=="0202"' in out
