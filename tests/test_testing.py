"""`rawprint.testing`: what it gives to the tests of others, by itself and through pytest's fixtures."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

import rawprint
from rawprint.testing import VirtualPrinter

ROOT = Path(__file__).parent.parent
RECEIPT = b"\x1b@Coffee 3.20\nTOTAL 3.20\n\x1dV\x00"
LABEL = b'SIZE 40 mm,30 mm\r\nCLS\r\nTEXT 20,20,"3",0,1,1,"Parcel 17"\r\nPRINT 1\r\n'


def send(printer, data):
    return contextlib.closing(sent(printer, data))


def sent(printer, data):
    sock = socket.create_connection(("127.0.0.1", printer.port), timeout=5)
    sock.sendall(data)
    return sock


def test_what_arrives_can_be_read():
    with VirtualPrinter("escpos") as printer:
        assert (printer.dialect, printer.address) == ("escpos", f"tcp://127.0.0.1:{printer.port}")
        with rawprint.open(printer.address, "escpos") as opened:
            opened.print(RECEIPT)
            opened.print(b"\x1bp\x00\x20\x20\x10\x04\x01second\n\x1dV\x00")
        printer.wait_for(tickets=2)
        assert printer.tickets == 2
        assert printer.lines == [("Coffee 3.20", "TOTAL 3.20"), ("second",)]
        assert printer.drawer_kicks == 1
        assert printer.printed == RECEIPT + b"\x1bp\x00\x20\x20second\n\x1dV\x00"
        assert b"\x10\x04\x01" in printer.received
        assert printer.picture(1).startswith(b"\x89PNG\r\n")
        assert printer.picture(1) != printer.picture(2)
        with pytest.raises(IndexError, match=r"there is no ticket 3: 2 ticket\(s\), "):
            printer.picture(3)
        with pytest.raises(IndexError):
            printer.picture(0)
    assert printer.lines[1] == ("second",)  # it can be looked at afterwards, too


@pytest.mark.parametrize(
    ("dialect", "job", "lines"),
    [
        ("tspl", LABEL, ("Parcel 17",)),
        ("tspl", LABEL.replace(b"PRINT 1", b"PRINT 3"), ("Parcel 17",)),  # copies are one piece of text
        ("zpl", b"^XA^FO20,20^A0N,30,30^FDParcel 17^FS^XZ", ("Parcel 17",)),
        ("star", b"\x1b@Coffee\n\x1bd\x00", ("Coffee",)),
        ("escpos", b"\x1dV\x00", ()),  # a cut with nothing before it
    ],
)
def test_each_language(dialect, job, lines):
    with VirtualPrinter(dialect) as printer, send(printer, job):
        printer.wait_for()
        assert printer.lines == [lines]
        if not lines:
            with pytest.raises(IndexError, match="nothing is on ticket 1"):
                printer.picture()


def test_what_a_label_sets_stays_for_the_next():
    with VirtualPrinter("tspl") as printer, send(printer, LABEL + b"PRINT 1\r\n"):
        printer.wait_for(2)
        assert printer.picture(1) == printer.picture(2)


def test_printers_without_a_cutter():
    with VirtualPrinter() as printer:
        with send(printer, RECEIPT + b"\x1bE\x01first "):
            printer.wait_for_text("first")
        assert printer.uncut == ()  # the line is not ended, so it is not on paper
        with send(printer, b"line\nsecond line\n"):
            printer.wait_for_text(b"line\nsec")
            printer.wait_for_text("line\nsecond line\n")
        assert printer.uncut == ("first line", "second line")
        with send(printer, b"\x1dV\x00"):
            printer.wait_for(2)
        assert printer.uncut == ()
        assert printer.lines[1] == ("first line", "second line")


def test_a_text_that_comes_in_pieces_is_found_at_once():
    with VirtualPrinter() as printer, send(printer, b"to") as sock:
        printer.wait_for_text("to")
        later = threading.Thread(target=sock.sendall, args=(b"tal",))
        later.start()
        printer.wait_for_text("total")
        later.join()


def test_faults_on_demand():
    with VirtualPrinter("escpos") as printer, rawprint.open(printer.address, "escpos") as opened:
        for fault, mend, reason in [
            (printer.paper_out, printer.refill, "media-empty"),
            (printer.open_cover, printer.close_cover, "cover-open"),
            (printer.offline, printer.online, "offline-report"),
            (lambda: printer.set("media-low"), lambda: printer.set("media-low", False), "media-low"),
        ]:
            fault()
            assert printer.reasons[reason]
            assert opened.status().reasons[reason] is True
            mend()
            assert opened.status().reasons[reason] is False
        with pytest.raises(ValueError, match="no reason 'paused'; it has: media-empty"):
            printer.set("paused")


def test_offline_is_not_in_every_language():
    with VirtualPrinter("tspl") as printer, pytest.raises(ValueError, match="'offline-report'"):
        printer.offline()


def test_paper_that_runs_out_in_the_middle():
    with VirtualPrinter() as printer:
        printer.refill(20)
        with send(printer, RECEIPT):
            with pytest.raises(
                TimeoutError, match=r"0 ticket\(s\), 28 bytes received, 20 of them printed, media-empty"
            ):
                printer.wait_for(timeout=0.2)
            printer.refill()
            printer.wait_for()
        with pytest.raises(TimeoutError, match=r"'nothing of the kind' not printed within 0\.05 s"):
            printer.wait_for_text("nothing of the kind", timeout=0.05)


def test_slow_and_stalled_and_dropped_and_as_new():
    with VirtualPrinter() as printer:
        printer.slow(1.0)
        with send(printer, RECEIPT):
            with pytest.raises(TimeoutError):
                printer.wait_for(timeout=0.1)
            printer.slow(None)
            printer.wait_for()
        printer.stall()
        with send(printer, RECEIPT) as sock:
            with pytest.raises(TimeoutError):
                printer.wait_for(2, timeout=0.1)
            printer.stall(False)
            printer.wait_for(2)
            printer.drop()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        with send(printer, RECEIPT) as sock:
            printer.wait_for(3)
            assert len(printer.lines) == 3
            printer.drop(rst=False)
            assert sock.recv(1) == b""
        printer.reset()
        assert (printer.tickets, printer.lines, printer.received, printer.printed) == (0, [], b"", b"")
        with send(printer, b"new\n\x1dV\x00"):
            printer.wait_for()
            assert printer.lines == [("new",)]


def test_more_than_a_printer_takes_is_a_ticket_without_a_picture():
    huge = b"\x1dv0\x00" + b"\xff\xff\x01\x00" + bytes(65535) + b"\x1dV\x00"
    with VirtualPrinter() as printer, send(printer, huge + RECEIPT):
        printer.wait_for(2)
        assert printer.lines == [(), ("Coffee 3.20", "TOTAL 3.20")]
        with pytest.raises(IndexError):
            printer.picture(1)


def test_its_life():
    printer = VirtualPrinter("zpl", speed=5)
    assert repr(printer) == "<VirtualPrinter zpl not started>"
    for ask in (lambda: printer.address, lambda: printer.lines, printer.paper_out):
        with pytest.raises(RuntimeError, match="not started"):
            ask()
    printer.close()
    with printer.start():
        assert printer.address in repr(printer)
        with pytest.raises(RuntimeError, match="started before"):
            printer.start()
    printer.close()
    with pytest.raises(ValueError, match="there are: tspl"):
        VirtualPrinter("klingon")
    with pytest.raises(TypeError):
        VirtualPrinter("tspl", colour="blue")


# -- with pytest -----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """Runs a file of tests as somebody who has rawprint installed would; gives what pytest says."""

    def run(text, *options):
        (tmp_path / "test_theirs.py").write_text(text)
        # As the entry point does it, for a rawprint that may be installed without one.
        command = ["-m", "pytest", "-p", "rawprint.testing.plugin", "--strict-markers", "-W", "error", *options]
        return subprocess.run(
            [sys.executable, *command, "test_theirs.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout

    return run


def test_the_fixtures(run):
    said = run("""
import pytest, socket

def sent(printer, data):
    with socket.create_connection(("127.0.0.1", printer.port)) as sock:
        sock.sendall(data)
    printer.wait_for()

def test_one(virtual_printer):
    assert virtual_printer.dialect == "escpos"
    sent(virtual_printer, b"Hello\\n\\x1dV\\x00")
    assert virtual_printer.lines == [("Hello",)]

@pytest.mark.virtual_printer("tspl", media=0)
def test_marked(virtual_printer):
    assert virtual_printer.dialect == "tspl" and virtual_printer.reasons["media-empty"]

kept = []

def test_several(virtual_printers):
    one, two = virtual_printers(), virtual_printers("star", clone="mute")
    assert one.address != two.address and two.dialect == "star"
    kept.append(one)

def test_they_are_closed():
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", kept[0].port))
""")
    assert re.search(r"\b4 passed\b", said), said


def test_the_example_of_the_readme(run):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^    (import rawprint\n\n    def test_.*?)\n\n\S", readme, re.DOTALL | re.MULTILINE)[1]
    said = run(re.sub("^    ", "", example, flags=re.MULTILINE))
    assert re.search(r"\b2 passed\b", said), said


def test_pytest_finds_it_by_itself():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert hasattr(importlib.import_module(points["rawprint"]), "virtual_printers")


def test_it_costs_a_test_run_nothing_before_it_is_used():
    code = "import pytest, sys; import rawprint.testing.plugin; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rawprint.virtual", "PIL"}.intersection(result.stdout.split())
