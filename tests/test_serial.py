"""Serial ports on real pseudo-terminals: settings, holders, handshakes, and the command against a printer behind one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest
import serial

import rawprint
from rawprint.address import parse
from rawprint.transports import open_address
from rawprint.transports.usb_quirks import udev_rules
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
    assert "File exists" in err
    assert file.read_bytes() == b"mine"


def test_list_and_udev():
    code, out, _ = run("list", "--local", "--json")
    assert code == 0
    for one in json.loads(out):
        assert set(one) == {"address", "also", "make_model", "dialect", "dialect_how", "serial", "error"}
        assert str(parse(one["address"])) == one["address"]
    code, out, _ = run("udev")
    assert code == 0
    assert out == udev_rules()
    assert 'GROUP="lp"' in out
    assert 'ATTR{idVendor}=="04b8", ATTR{idProduct}=="0202"' in out


# -- closing, handshakes and paths ----------------------------------------------------------------------------------


@pytest.fixture
def port():
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    yield f"serial://{os.ttyname(slave)}", master
    os.close(master)
    os.close(slave)


def test_a_second_close_touches_nobody_elses_descriptor(port):
    transport = open_address(parse(port[0]), 1.0)
    number = transport._wake_out
    transport.close()
    files = []
    with contextlib.ExitStack() as stack:
        while not files or files[-1].fileno() < number:  # the numbers are given again
            files.append(stack.enter_context(tempfile.TemporaryFile(buffering=0)))
        transport.close()
        assert [os.pread(file.fileno(), 9, 0) for file in files] == [b""] * len(files)


def test_a_close_that_lingers_does_not_wait_for_a_reader(port):
    transport = open_address(parse(port[0]), 1.0)
    ended = threading.Event()

    def read():
        with pytest.raises(rawprint.Disconnected):
            transport.read(5.0)
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    while not transport._using.locked():
        ended.wait(0.001)
    began = time.monotonic()
    transport.close(0.2)
    assert time.monotonic() - began < 0.2 + 0.5
    assert ended.wait(1)
    reader.join()


def test_closing_after_an_unplug_never_blocks(port, monkeypatch):
    """A tty's close waits up to 30 s for bytes that its driver still holds, also where the device has gone."""
    transport = open_address(parse(port[0]), 1.0)
    assert transport.write(memoryview(b"x" * 100), 1.0) == 100
    transport._end(None)
    release = threading.Event()
    really = transport._port.close
    monkeypatch.setattr(transport._port, "close", lambda: (release.wait(3), really()))
    began = time.monotonic()
    transport.close()
    took = time.monotonic() - began
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rawprint closes"):
            thread.join(5)
    assert took < 0.5


def test_dsr_is_not_outrun_by_the_drivers_buffer(port, monkeypatch):
    """What the driver holds goes out whatever DSR says by then: so it is never given much."""
    transport = open_address(parse(port[0] + "?flow=dsrdtr"), 1.0)
    held = 0
    monkeypatch.setattr(transport, "_held_back", lambda: held)
    monkeypatch.setattr(transport, "_line", lambda _: True)
    data = memoryview(b"x" * 4096)
    while taken := transport.write(data, 0.05):
        held += taken
        assert held <= 128
    assert held
    held = 0
    assert transport.write(data, 1.0)
    transport.close()


def test_dsr_is_asked_again_after_waiting_for_room(port, monkeypatch):
    transport = open_address(parse(port[0] + "?flow=dsrdtr"), 1.0)
    monkeypatch.setattr(transport, "_held_back", lambda: 0)
    answers = iter([True])
    monkeypatch.setattr(transport, "_line", lambda _: next(answers, False))
    gave = []

    def give(piece):
        gave.append(bytes(piece))
        return 0  # no room

    monkeypatch.setattr(transport, "_give", give)
    assert transport.write(memoryview(b"x"), 0.1) == 0
    assert len(gave) == 1  # never while DSR was off
    transport.close()


def test_pty_and_listen_are_either_or(tmp_path):
    code, out, _ = run("simulate", "escpos", "--pty", str(tmp_path / "p"), "--listen", "127.0.0.1:0")
    assert (code, out) == (2, "")


def test_a_pty_in_no_folder_is_usage(tmp_path):
    code, out, err = run("simulate", "escpos", "--pty", str(tmp_path / "none" / "p"))
    assert (code, out) == (2, ""), err


def test_a_path_with_odd_characters_is_an_address(tmp_path):
    link = tmp_path / "a printer? 100%"
    with running("simulate", "escpos", "--pty", str(link)) as printer:
        address = json.loads(printer.stdout.readline())["listen"]
        assert parse(address).device == str(link)
        assert run("status", address, "--dialect", "escpos")[0] == 0


def test_a_link_left_by_a_run_that_was_killed_is_taken_over(tmp_path):
    link = tmp_path / "p"
    for end in (signal.SIGKILL, signal.SIGTERM):
        with running("simulate", "escpos", "--pty", str(link)) as printer:
            line = printer.stdout.readline()
            assert line, printer.stderr.read()
            printer.send_signal(end)
            printer.wait(20)
    assert not os.path.lexists(link)


def test_a_link_to_something_else_stays(tmp_path):
    link = tmp_path / "p"
    for target in (tmp_path / "gone", tmp_path):
        link.symlink_to(target)
        assert run("simulate", "escpos", "--pty", str(link))[0] == 2
        assert link.readlink() == target
        link.unlink()
