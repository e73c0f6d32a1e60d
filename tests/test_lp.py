"""The kernel's printer device, as far as a machine without one can tell: refusals, errors, counts and what is listed."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time

import pytest

import rawprint
from rawprint.transports import open_address

if sys.platform != "linux":
    pytest.skip("only Linux has such devices", allow_module_level=True)

from rawprint.transports import lp


def opened(path):
    return open_address(rawprint.parse_address(f"lp://{path}"), 1.0)


@pytest.fixture
def pipe():
    """An open transport, and the far end of the socket that stands in for the device."""
    near, far = socket.socketpair()
    transport = lp.LpTransport(near.detach(), "lp:///dev/usb/lp0")
    yield transport, far
    transport.close()
    far.close()


# -- what is opened ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "null", "terminal"])
def test_what_is_no_printer_is_not_written_to(tmp_path, kind):
    path = tmp_path / "printer"
    master, slave = os.openpty()
    try:
        match kind:
            case "file":
                path.write_bytes(b"precious")
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case _:
                path = "/dev/null" if kind == "null" else os.ttyname(slave)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(rawprint.OpenError, match=r"is no (device|printer)") as caught:
            opened(path)
        assert "/dev/usb/lp0" in caught.value.hint
        assert len(os.listdir("/proc/self/fd")) == before
        if kind == "file":
            assert path.read_bytes() == b"precious"
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("number", "error", "says"),
    [
        (errno.ENOENT, rawprint.PrinterNotFound, "usb://"),
        (errno.ENODEV, rawprint.PrinterNotFound, "cable"),
        (errno.EACCES, rawprint.AccessDenied, "usermod -aG lp"),
        (errno.EBUSY, rawprint.PrinterBusy, "CUPS"),
        (errno.EMFILE, rawprint.OpenError, ""),
    ],
)
def test_each_error_has_its_name_and_hint(monkeypatch, number, error, says):
    """Only a real driver gives most of these."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lp.os, "open", refuse)
    monkeypatch.setattr(lp.holders, "holder_of", lambda _: "CUPS (process 812)")
    with pytest.raises(rawprint.OpenError) as caught:
        opened("/dev/zero")
    assert type(caught.value) is error
    assert says in caught.value.hint
    if number == errno.EBUSY:
        assert "CUPS (process 812)" in str(caught.value)


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(rawprint.PrinterNotFound):
        opened(tmp_path / "lp7")


# -- the pipe ------------------------------------------------------------------------------------------------------


def writing(monkeypatch, transport, *answers):
    """Let the driver answer writes to this device like that, one after the other."""
    script, number, really = iter(answers), transport._descriptor, os.write

    def write(descriptor, data):
        if descriptor != number:
            return really(descriptor, data)
        answer = next(script)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer(data)

    monkeypatch.setattr(os, "write", write)


def test_a_block_is_8_kib_and_stands_until_it_was_passed_on(pipe, monkeypatch):
    transport, _ = pipe
    writing(monkeypatch, transport, len, errno.EAGAIN, errno.EAGAIN, errno.EAGAIN)
    data = memoryview(bytes(20_000))
    assert transport.write(data, 1.0) == 8192
    assert transport.write(data[8192:], 0.0) == 0
    monkeypatch.setattr(transport, "_held_back", lambda: transport._block)
    assert transport.unacknowledged() == 8192
    monkeypatch.setattr(transport, "_held_back", lambda: 0)
    assert transport.unacknowledged() == 0


def test_an_end_right_after_a_block_leaves_it_unacknowledged(pipe, monkeypatch):
    """Nobody asked for the count between the block and the end."""
    transport, _ = pipe
    writing(monkeypatch, transport, len, errno.ENODEV)
    data = memoryview(bytes(20_000))
    assert transport.write(data, 1.0) == 8192
    with pytest.raises(rawprint.Disconnected) as caught:
        transport.write(data[8192:], 1.0)
    assert caught.value.lost
    assert transport.unacknowledged() == 8192


def test_gone_before_the_first_byte_lost_nothing(pipe, monkeypatch):
    transport, _ = pipe
    writing(monkeypatch, transport, errno.ENODEV)
    with pytest.raises(rawprint.Disconnected) as caught:
        transport.write(memoryview(b"x"), 1.0)
    assert not caught.value.lost
    assert transport.unacknowledged() == 0


def test_a_block_that_broke_off_may_be_printed(pipe, monkeypatch):
    """EIO does not tell whether the printer has some of it, so it must not be given again."""
    transport, _ = pipe
    writing(monkeypatch, transport, errno.EIO)
    data = memoryview(bytes(20_000))
    assert transport.write(data, 1.0) == 8192
    for _ in range(2):
        with pytest.raises(rawprint.Disconnected) as caught:
            transport.write(data[8192:], 1.0)
        assert caught.value.lost
    assert transport.unacknowledged() == 8192


def test_a_printer_that_cannot_answer_is_silent(pipe, monkeypatch):
    transport, far = pipe
    far.sendall(b"x")  # so that the stand-in can be read

    def refuse(*_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "read", refuse)
    for timeout in (0.0, 0.1, 0.1):
        began = time.monotonic()
        assert transport.read(timeout) == b""
        assert timeout - 0.01 <= time.monotonic() - began < timeout + 0.5


def test_answers_and_the_end(pipe):
    transport, far = pipe
    far.sendall(b"\x16")
    assert transport.read(5.0) == b"\x16"
    assert transport.read(0.0) == b""
    assert transport.line_status() == {}  # the stand-in has no port status
    assert transport.device_id() == ""
    reader = threading.Timer(0.05, transport.close)
    reader.start()
    began = time.monotonic()
    with pytest.raises(rawprint.Disconnected):
        transport.read(10.0)
    assert time.monotonic() - began < 0.05 + 0.25 + 0.5
    reader.join()
    with pytest.raises(rawprint.Disconnected):
        transport.line_status()


@pytest.mark.parametrize("passed_on", [True, False])
def test_closing_waits_for_the_block_that_is_under_way(pipe, monkeypatch, passed_on):
    transport, _ = pipe
    writing(monkeypatch, transport, len)
    assert transport.write(memoryview(bytes(100)), 1.0) == 100
    counts = iter([100, 100] + [0 if passed_on else 100] * 1000)
    monkeypatch.setattr(transport, "_held_back", lambda: next(counts))
    began = time.monotonic()
    transport.close(0.3)
    took = time.monotonic() - began
    assert took < 0.3 if passed_on else 0.25 < took < 0.3 + 0.5
    assert transport.unacknowledged() == (0 if passed_on else 100)


# -- what is listed ------------------------------------------------------------------------------------------------


def test_list_opens_nothing(tmp_path, monkeypatch):
    nodes, shown, devices = tmp_path / "dev", tmp_path / "class", tmp_path / "devices" / "1-2"
    nodes.mkdir()
    for name in ("lp10", "lp0", "lp1"):
        (nodes / name).touch()
    (devices / "1-2:1.0").mkdir(parents=True)
    (devices / "serial").write_text("VP0001\n")
    (devices / "1-2:1.0" / "ieee1284_id").write_text("MFG:EPSON;MDL:TM-T20II;CMD:ESC/POS;\n")
    (shown / "lp0").mkdir(parents=True)
    (shown / "lp0" / "device").symlink_to(devices / "1-2:1.0")
    monkeypatch.setattr(lp, "_FOLDER", nodes)
    monkeypatch.setattr(lp, "_SYSFS", shown)
    monkeypatch.setattr(lp.os, "open", None)
    monkeypatch.setattr(lp.os, "access", lambda path, _: path.name != "lp10")
    first, second, third = lp.find()
    assert first.address == f"lp://{nodes}/lp0"
    assert (first.make_model, first.serial) == ("EPSON TM-T20II", "VP0001")
    assert first.device_id == "MFG:EPSON;MDL:TM-T20II;CMD:ESC/POS;"
    assert first.error is None
    assert second.address.endswith("/lp1")
    assert not second.make_model
    assert third.address.endswith("/lp10")
    assert isinstance(third.error, rawprint.AccessDenied)
    assert "usermod" in third.error.hint


def test_nothing_is_listed_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(lp, "_FOLDER", tmp_path / "nothing")
    assert lp.find() == []
