"""The virtual printers: what they answer, where they stop, and how each clone differs."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawprint.virtual import CLONES, DIALECTS, ControlPort, Listener, device

SAMPLES = Path(__file__).parent / "samples"
LABEL = (SAMPLES / "tspl_label.prn").read_bytes()
RECEIPT = (SAMPLES / "escpos_receipt.bin").read_bytes()
ZPL_LABEL = (SAMPLES / "zpl_label.zpl").read_bytes()
STAR_RECEIPT = (SAMPLES / "star_receipt.bin").read_bytes()
MARKED = (SAMPLES / "escpos_receipt_with_done_marker.bin").read_bytes()

# One raster of 4 x 4 bytes; the data hides DLE EOT 1, a drawer pulse, and half a sequence at its end.
HAZARD = b"\x1dv0\x00\x04\x00\x04\x00" + b"\x10\x04\x01\xff\x10\x14\x01\x00\x01\xff\xff\xff\xff\xff\x10\x04"

# Streams in which every kind of command stands somewhere, for cutting into pieces.
STREAMS = {
    "tspl": LABEL
    + b'\x1b!?TEXT 1,1,"3",0,1,1,"a, \x1b!S b"\r\n~!T\r\n\x1b!D\x1b!?\r\n~!E\r\n\x1b!?'
    + b'DOWNLOAD F,"A,B.BMP",6,\n\x1b!?,\nSET RESPONSE ON\r\nPRINT 1,2\r\n~!F\r\nPRINT 1\r\n\x1b!F\x1b!R~!F\r\n',
    "escpos": MARKED
    + HAZARD
    + b"\x10\x04\x04\x1da\xff\x10\x10\x04\x02\x10\x14\x01\x01\x08\x1d(k\x04\x00\x10\x04\x03\x00\x1dI\x43"
    + b"\x1b*\x21\x02\x00\x10\x04\x01abc\x1dk\x04CODE\x10\x04\x02\x00\x1dk\x49\x03\x10\x04\x01\x1bD\x08\x10\x00"
    + b"\x1b3\x10\x04\x01\x10\x04\x07\x1b@\x1dr\x01\x1b=\x00gone\x1dr\x01\x1b=\x01\x1dV\x00\x1d8L\x03\x00\x00\x00abc"
    + b"\x10\x05\x01\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08\x1c(A\x02\x00xy\x1b&\x01\x20\x21\x02ab\x01c\x1br\x01z",
    "zpl": ZPL_LABEL
    + b"~HS~HQES\n~HI\r\n^XA^FDa~HSb^FS^GFB,9,9,3,^XZ~HS~JA~hs^PQ2^XZ~SD15^XA^PQ0^XZ~HQSN\n~H~HS^X^XA^PP^XZ~HS~PS~HS"
    + b"~JX^XA^FDnever~JX~DGR:A,8,1,00FF~DYE:A,B,P,3,0,~HS~HS~PP^XA^XZ~HS~JA~PS~JC~JR~HS",
    "star": b"\x1b\x1ea\x03"
    + STAR_RECEIPT
    + b'\x1b\x06\x01\x1b\x06\x02\x05\x04\x1b\x06\x1b\x06\x01\x1bX\x02\x00\x18\x1b\x06\x01\x05\x04\x1bD\x08\x10\x00\x1b"a'
    + b"\x1b*rA\x1b*rP0\x00b\x03\x00bk\x18k\x01\x00b\x1b\x06\x01\x1b*rD2\x00\x1b\x0c\x04\x1b*rB\x1bb6211A\x18\x1e\x1bC\x00\x18"
    + b"\x1b#*\n\x00\x1b\x1d\x03\x01\x18\x05\x13gone\x17\x1b\x06\x01\x11\x07\x1a\x17\x1bd0\x1b\x1dxS0\x01\x05\x05\x1b\x1dxD\x01\x00\x18"
    + b"\x1b\x1c\x71\x01\x01\x00\x01\x00\x1b\x06\x01\x05\x04\x18\x17\x07\x1b&11A"
    + bytes(48)
    + b"lost\x18\x17\x1b\x06\x18\x1b?\n\x00\x17",
}


def ask(dev, data):
    """What the device says to these bytes."""
    dev.receive(data)
    return dev.output()


def outcome(dev, pieces):
    replies = b"".join(ask(dev, piece) for piece in pieces)
    return replies, dev.received, dev.printed, dev.misprints, dev.tickets, dev.fed, dev.drawer_kicks


# -- what the manuals say --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "short", "long"),
    [
        (None, "00", "0240404040030d0a"),
        ("cover-open", "01", "0245404060030d0a"),
        ("media-jam", "02", "0245404042030d0a"),
        ("media-empty", "04", "0245404041030d0a"),
        ("marker-supply-empty", "08", "0245404044030d0a"),
        ("paused", "10", "0260404040030d0a"),
        ("other", "80", "0245405040030d0a"),
        ("subunit-over-temperature", "80", "0245404140030d0a"),
        ("trimmer-jam", "80", "0245404840030d0a"),
        ("media-low", "00", "0240414040030d0a"),
        ("marker-supply-low", "00", "0240424040030d0a"),
        ("x-input-buffer-full", "00", "0240484040030d0a"),
        ("x-label-waiting", "00", "024c404040030d0a"),
    ],
)
def test_tspl_status(reason, short, long):
    dev = device("tspl", reasons=[reason] if reason else [])
    assert ask(dev, b"\x1b!?").hex() == short
    assert ask(dev, b"\x1b!S").hex() == long
    assert dev.printed == b""


def test_tspl_combined_bits():
    # DOC: E@@b = jam + head open; 05 = paper out + head open.
    assert ask(device("tspl", reasons=["media-jam", "cover-open"]), b"\x1b!S") == b"\x02E@@b\x03\r\n"
    assert ask(device("tspl", reasons=["media-empty", "cover-open"]), b"\x1b!?") == b"\x05"


@pytest.mark.parametrize(
    ("reason", "eot", "asb"),
    [
        (None, "12121212", "10000000"),
        ("x-drawer-open", "16121212", "14000000"),
        ("offline-report", "1a121212", "18000000"),
        ("cover-open", "1a161212", "38000000"),
        ("x-feed-button", "5a1a1212", "58020000"),
        ("trimmer-jam", "1a521a12", "18080000"),
        ("other", "1a523212", "18200000"),
        ("subunit-over-temperature", "1a525212", "18400000"),
        ("media-low", "1212121e", "10000300"),
        ("media-empty", "1a321272", "18000c00"),
    ],
)
def test_escpos_status(reason, eot, asb):
    dev = device("escpos", reasons=[reason] if reason else [], push=True)
    assert dev.output().hex() == asb
    assert ask(dev, b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04").hex() == eot
    assert ask(dev, b"\x10\x14\x07\x01").hex() == asb
    assert dev.printed == b""


def test_escpos_combinations():
    dev = device("escpos", reasons=["media-empty", "media-low"])
    assert ask(dev, b"\x10\x04\x04") == b"\x7e"
    dev = device("escpos", reasons=["x-drawer-open", "cover-open", "media-empty"], push=True)
    assert dev.output() == b"\x3c\x00\x0c\x00"


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (b"\x1dr\x01", b"\x00"),
        (b"\x1dr1", b"\x00"),
        (b"\x1dr\x02", b"\x00"),
        (b"\x1bv", b"\x00"),
        (b"\x1bu\x00", b"\x00"),
        (b"\x1dI\x01", b"\x20"),
        (b"\x1dI2", b"\x02"),
        (b"\x1dI\x41", b"\x5f1.28\x00"),
        (b"\x1dI\x99", b""),
        (b"\x1d(H\x06\x00000001", b"\x37\x220001\x00"),
        (b"\x1d(H\x03\x00101", b""),
        (b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08", b"\x37\x25\x00"),
    ],
)
def test_escpos_questions(question, reply):
    assert ask(device("escpos"), question) == reply


def test_escpos_gs_r_bits():
    assert ask(device("escpos", reasons=["media-low"]), b"\x1dr\x01") == b"\x03"
    assert ask(device("escpos", reasons=["x-drawer-open"]), b"\x1dr\x02\x1bu\x00") == b"\x01\x01"


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (b"~!T\r\n", b"Virtual TSPL\r"),
        (b"~!I\r\n", b"437, 001\r"),
        (b"~!@\r\n", b"12\r"),
        (b"~!A\r\n", b"4194304\r"),
        (b"~!F\r\n", b"\x1a"),
        (b'DOWNLOAD "A.BIN",3,\n\n\n~!F\r\n', b"A.BIN\r\x1a"),
        (b"~!S\r\n", b""),  # in no manual
        (b"NONSENSE 1,2\r\n", b""),
        (b"\x1b!o", b""),
        (b"\x1b!D\x1b!?\r\n", b""),
        (b"\x1b!D\r\n~!E\r\n\x1b!?", b"\x00"),
    ],
)
def test_tspl_questions(question, reply):
    dev = device("tspl")
    assert ask(dev, question) == reply
    assert (dev.misprints, dev.fed) == (b"", 0)


def test_tspl_notices():
    dev = device("tspl")
    assert ask(dev, b"PRINT 1\r\nSET RESPONSE ON\r\nPRINT 2,2\r\n") == b"{00,00001}{00,00002}{00,00003}{00,00004}"
    assert ask(dev, b'SET RESPONSE "id",BATCH\r\nPRINT 5\r\n') == b"{00,00005,id}"
    assert ask(dev, b"SET RESPONSE OFF\r\nPRINT 1\r\n") == b""
    assert dev.tickets == 4


# -- framing ---------------------------------------------------------------------------------------


def test_samples_print_whole():
    dev = device("tspl")
    dev.receive(LABEL)
    assert (dev.printed, dev.received, dev.tickets, dev.output()) == (LABEL, LABEL, 1, b"")
    dev = device("escpos")
    dev.receive(MARKED)
    assert (dev.printed, dev.tickets, dev.output()) == (MARKED, 1, b"\x37\x220001\x00")


@pytest.mark.parametrize(
    ("dialect", "clone"),
    [(d, c) for d in DIALECTS for c in ("", "prints-unknown", "late") if (d, c) != ("zpl", "prints-unknown")],
)
def test_any_cut_gives_the_same(dialect, clone):
    stream = STREAMS[dialect]
    whole = outcome(device(dialect, clone=clone), [stream])
    assert outcome(device(dialect, clone=clone), [bytes([byte]) for byte in stream]) == whole
    for at in range(len(stream)):
        assert outcome(device(dialect, clone=clone), [stream[:at], stream[at:]]) == whole


@given(
    dialect=st.sampled_from(DIALECTS),
    media=st.integers(0, 300),
    sizes=st.lists(st.integers(1, 64), min_size=1, max_size=8),
    loads=st.lists(st.integers(1, 100), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_random_cuts_with_faults(dialect, media, sizes, loads):
    """Cut anywhere, stopped anywhere by media that ran out: nothing lost, nothing twice."""
    job = {"tspl": LABEL, "escpos": RECEIPT, "star": STAR_RECEIPT, "zpl": ZPL_LABEL}[dialect]
    dev = device(dialect, media=media, buffer_size=64)
    size, load, at = cycle(sizes), cycle(loads), 0
    while at < len(job):
        piece = job[at : at + min(next(size), dev.room())]
        dev.receive(piece)
        at += len(piece)
        if dev.room() == 0:
            dev.refill(next(load))
    dev.set("media-empty", False)
    assert dev.printed == dev.received == job
    assert dev.tickets == 1


# Bytes that mean something somewhere, so that junk made of them runs into every corner.
PIECES = [bytes([n]) for n in b"\x00\x01\x02\x04\x05\x08\x10\x14\x1b\x1c\x1d\n\r!,?@(0AHIDRSaekrv~\x80\xff"] + [
    b"\x10\x04\x01",
    b"\x10\x05\x02",
    b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08",
    b"\x1dv0\x00\x02\x00\x02\x00",
    b"\x1d(H\x06\x00000001",
    b"\x1b=\x00",
    b"\x1b!P",
    b"\x1b!O",
    b"\r\nBITMAP 0,0,1,3,0,",
    b"\r\nPRINT 1\r\n",
    b"\r\n~!E\r\n",
    b"\x1b\x06\x01",
    b"\x1b*rA",
    b"b\x02\x00",
    b"\x1b\x1dS\x01\x02\x00\x02\x00\x00",
    b"\x1b\x1ea\x01",
    b"\x17",
    b"~HS",
    b"~HQES\n",
    b"^XA",
    b"^XZ",
    b"^GFB,3,3,1,",
    b"~JA",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    st.sampled_from(DIALECTS),
    st.integers(0, 100),
)
@settings(max_examples=150, deadline=None)
def test_any_bytes(junk, dialect, at):
    whole = device(dialect)
    cut = device(dialect)
    assert outcome(cut, [junk[:at], junk[at:]]) == outcome(whole, [junk])
    assert whole.received == junk


def test_realtime_in_image_data_is_answered_and_stays_data():
    dev = device("escpos")
    assert ask(dev, HAZARD + b"\x01") == b"\x12"
    assert dev.printed == HAZARD + b"\x01"  # what began in the data does not end outside of it
    assert dev.drawer_kicks == 1
    assert ask(device("escpos"), b"\x1d(D\x03\x00\x14\x01\x00" + HAZARD + b"\x01") == b"\x12"
    dev = device("tspl")
    assert ask(dev, b"BITMAP 0,0,2,2,0,\x1b!?\nPRINT 1\r\n") == b"\x00"
    assert (dev.tickets, dev.printed) == (1, dev.received)


def test_drawer_pulse_can_be_switched_off():
    dev = device("escpos")
    dev.receive(b"\x1d(D\x03\x00\x14\x01\x00\x10\x14\x01\x00\x01")
    assert dev.drawer_kicks == 0
    dev.receive(b"\x1b@\x10\x14\x01\x00\x01\x1bp\x00\x32\x32")
    assert dev.drawer_kicks == 2


def test_parameters_are_no_realtime_commands():
    dev = device("escpos")
    assert ask(dev, b"\x1b3\x10\x04\x01") == b""
    assert dev.printed == b"\x1b3\x10\x04\x01"


def test_deselected_printer_prints_nothing_but_answers():
    dev = device("escpos")
    assert ask(dev, b"\x1b=\x00abc\x1dr\x01\x10\x04\x01") == b"\x12"
    dev.receive(b"\x1b=\x01def")
    assert dev.printed.endswith(b"def")
    assert b"abc" not in dev.printed


# -- the buffer, and stopping ----------------------------------------------------------------------


def test_bounded_buffer_and_realtime_while_open():
    dev = device("escpos", reasons=["cover-open"], buffer_size=100)
    dev.receive(b"x" * 90)
    assert (dev.room(), dev.printed) == (10, b"")
    assert ask(dev, b"\x10\x04\x02") == b"\x16"
    assert dev.room() == 10
    assert ask(dev, b"\x1dr\x01") == b""  # queued: waits behind the text
    with pytest.raises(ValueError, match="room"):
        dev.receive(b"x" * 8)
    dev.receive(b"x" * 7)
    assert dev.room() == 0
    dev.set("cover-open", False)
    assert (dev.room(), dev.output(), len(dev.printed)) == (100, b"\x00", 100)


def test_media_runs_out_exactly():
    dev = device("tspl", media=100)
    dev.receive(LABEL)
    assert dev.reasons["media-empty"]
    assert dev.printed == LABEL[:100]
    assert ask(dev, b"\x1b!?") == b"\x04"
    dev.refill(50)
    assert dev.printed == LABEL[:150]
    dev.set("media-empty", False)
    assert (dev.printed, dev.tickets) == (LABEL, 1)


def test_big_raster_streams_through_a_small_buffer():
    dev = device("escpos", buffer_size=64)
    raster = b"\x1dv0\x00\x10\x00\x00\x01" + bytes(16 * 256) + b"\x1dr\x01"
    for at in range(0, len(raster), 64):
        dev.receive(raster[at : at + 64])
    assert dev.printed == raster
    assert dev.output() == b"\x00"


def test_speed():
    dev = device("tspl", speed=100)
    assert dev.advance(5) is None
    dev.receive(b"x" * 48 + b"\r\n")
    assert ask(dev, b"\x1b!?") == b"\x20"
    assert ask(dev, b"\x1b!S") == b"\x02P@@@\x03\r\n"
    assert dev.advance(10) == pytest.approx(0.02)  # idle time before the first byte counts for nothing
    assert dev.printed == b""
    dev.advance(10.25)
    assert len(dev.printed) == 25
    dev.set("cover-open", True)
    assert dev.advance(11) is None
    assert ask(dev, b"\x1b!?") == b"\x01"
    dev.set("cover-open", False)
    dev.advance(100)
    assert len(dev.printed) == 25
    assert dev.advance(101) is None
    assert len(dev.printed) == 50
    assert ask(dev, b"\x1b!?") == b"\x00"
    dev.receive(b"abc")
    dev.speed = None
    assert dev.printed.endswith(b"abc")


def test_tspl_immediate_commands():
    dev = device("tspl")
    dev.receive(b"\x1b!PPRINT 1\r\n")
    assert (dev.tickets, dev.reasons["paused"], ask(dev, b"\x1b!?")) == (0, True, b"\x10")
    dev.receive(b"\x1b!O")
    assert (dev.tickets, dev.reasons["paused"]) == (1, False)
    dev.receive(b"\x1b!F")
    assert dev.fed == 1
    dev.receive(b"\x1b!PPRINT 1\r\nBITMAP 0,0,99,99,0,\x00\x1b!.")  # the image under way is cancelled, too
    dev.receive(b"PRINT 2\r\n\x1b!O")
    assert dev.printed == b"PRINT 1\r\nPRINT 2\r\n"
    dev.receive(b"\x1b!PPRINT 3\r\n\x1b!RPRINT 4\r\n")
    assert dev.printed.endswith(b"PRINT 2\r\nPRINT 4\r\n")


def test_escpos_recovery():
    dev = device("escpos", reasons=["trimmer-jam"])
    dev.receive(b"abc\x10\x05\x01")
    assert (dev.printed, dev.reasons["trimmer-jam"]) == (b"abc", False)
    dev.set("trimmer-jam", True)
    dev.receive(b"lost\x10\x05\x02kept")
    assert dev.printed == b"abckept"


def test_pushes():
    dev = device("escpos")
    dev.set("cover-open", True)
    assert dev.output() == b""
    dev.set("cover-open", False)
    assert ask(dev, b"\x1da\xff") == b"\x10\x00\x00\x00"
    dev.set("cover-open", True)
    assert dev.output() == b"\x38\x00\x00\x00"
    dev.set("cover-open", True)
    assert dev.output() == b""
    dev.set("cover-open", False)
    assert dev.output() == b"\x10\x00\x00\x00"
    assert ask(dev, b"\x1b@") == b""
    dev.set("cover-open", True)
    assert dev.output() == b""


def test_pushes_of_chosen_items():
    dev = device("escpos")
    assert ask(dev, b"\x1da\x08") == b"\x10\x00\x00\x00"
    dev.set("x-drawer-open", True)
    assert dev.output() == b""
    dev.set("media-low", True)
    assert dev.output() == b"\x14\x00\x03\x00"


def test_media_that_runs_out_is_pushed():
    dev = device("escpos", push=True, media=3)
    assert dev.output() == b"\x10\x00\x00\x00"
    assert ask(dev, b"abcdef") == b"\x18\x00\x0c\x00"
    assert ask(dev, b"\x1b@\x1dr\x01") == b""
    dev.refill(None)
    assert dev.output() == b"\x10\x00\x00\x00\x00"  # push, then GS r; ESC @ leaves on what is on at power-up


def test_connection_and_reset():
    dev = device("escpos", push=True)
    dev.connected()
    assert dev.output() == b"\x10\x00\x00\x00"
    dev.set("cover-open", True)
    dev.disconnected()
    assert dev.output() == b""
    dev.receive(b"abc\x10\x04\x01")
    assert dev.output() == b""
    dev.connected()
    assert dev.output() == b"\x38\x00\x00\x00"
    dev.set("cover-open", False)
    assert dev.printed == b"abc"
    dev.receive(b"\x1dV\x00\x1dv0")
    dev.reset()
    assert (dev.received, dev.printed, dev.tickets, dev.room()) == (b"", b"", 0, 8192)
    assert not any(dev.reasons.values())
    dev.output()
    assert ask(dev, b"\x10\x04\x01") == b"\x12"


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "options"),
    [
        ("zpl0", {}),
        ("tspl", {"reasons": ["no-such"]}),
        ("tspl", {"reasons": ["x-drawer-open"]}),
        ("escpos", {"reasons": ["paused"]}),
        ("tspl", {"buffer_size": 10}),
        ("tspl", {"speed": 0}),
        ("tspl", {"media": -1}),
        ("tspl", {"clone": "no-such"}),
        ("tspl", {"clone": "inverted-gs-r"}),
        ("tspl", {"clone": "forgets-push"}),
        ("tspl", {"push": True}),
        ("escpos", {"clone": "short-status"}),
        ("escpos", {"idle_reset": 1.0}),
        ("escpos", {"clone": "drops-idle", "idle_reset": 0}),
        ("star", {"reasons": ["x-feed-button"]}),
        ("star", {"clone": "forgets-push"}),
        ("star", {"clone": "feeds-when-asked"}),
        ("escpos", {"clone": "enq-only"}),
    ],
)
def test_bad_options(dialect, options):
    with pytest.raises(ValueError, match=r"."):
        device(dialect, **options)


def test_error_names_the_known_ones():
    with pytest.raises(ValueError, match="media-empty"):
        device("tspl").set("no-such", True)
    with pytest.raises(ValueError, match="short-status"):
        device("tspl", clone="no-such")


def test_the_carriers_come_late():
    code = "import rawprint.virtual, sys; print([m for m in sys.modules if m.startswith('rawprint.virtual.')])"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=_path())
    assert "device" in done.stdout
    assert "listener" not in done.stdout
    assert "control" not in done.stdout


def _path():
    import os

    import rawprint

    return {**os.environ, "PYTHONPATH": str(Path(rawprint.__path__[0]).parent)}


# -- clones ----------------------------------------------------------------------------------------


def test_every_clone_has_a_sentence():
    assert all(name and sentence.endswith(".") for name, sentence in CLONES.items())
    for name in CLONES:
        assert any(_exists(dialect, name) for dialect in DIALECTS)


def _exists(dialect, clone):
    try:
        return device(dialect, clone=clone).clone.name == clone
    except ValueError:
        return False


def test_mute():
    dev = device("escpos", clone="mute", push=True)
    assert ask(dev, b"\x10\x04\x01\x1dr\x01abc") == b""
    assert dev.printed == b"\x1dr\x01abc"
    assert ask(device("tspl", clone="mute"), b"\x1b!?~!T\r\n") == b""


def test_late():
    dev = device("escpos", clone="late")
    assert ask(dev, b"\x10\x04\x04") == b""
    dev.set("media-empty", True)
    dev.disconnected()
    dev.connected()
    assert ask(dev, b"\x10\x04\x01") == b"\x12"  # of before
    assert ask(dev, b"\x10\x04\x01") == b"\x1a"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_babbler(dialect):
    dev = device(dialect, clone="babbler")
    question = {"tspl": b"\x1b!?", "escpos": b"\x10\x04\x01", "star": b"\x1b\x06\x01", "zpl": b"~HS"}[dialect]
    reply = ask(dev, question)
    assert (len(reply), reply[:5]) == (40, b"HTTP/")
    assert ask(dev, question) == reply


def test_prints_unknown_escpos():
    dev = device("escpos", clone="prints-unknown")
    dev.receive(RECEIPT)
    assert (dev.misprints, dev.fed) == (b"", 1)
    assert ask(dev, b"\x10\x04\x01\x10\x04\x04") == b"\x12\x12"
    unknown = [
        b"\x1dI\x43",
        b"\x1da\xff",
        b"\x1dr\x01",
        b"\x1d(H\x06\x00000001",
        b"\x10\x14\x01\x00\x01",
        b"\x10\x05\x01",
    ]
    assert ask(dev, b"".join(unknown)) == b""
    assert dev.misprints == b"".join(unknown)
    assert (dev.fed, dev.drawer_kicks) == (1 + len(unknown), 0)
    assert dev.printed == RECEIPT + b"".join(unknown)


def test_prints_unknown_tspl():
    dev = device("tspl", clone="prints-unknown")
    dev.receive(LABEL)
    assert (dev.misprints, dev.fed) == (b"", 0)
    assert ask(dev, b"\x1b!?\x1b!S") == b"\x00\x02@@@@\x03\r\n"
    unknown = [b"~!T\r\n", b"~!E\r\n", b"SET RESPONSE ON\r\n", b"\x1b!P", b"WHAT\r\n"]
    assert ask(dev, b"".join(unknown)) == b""
    assert dev.misprints == b"".join(unknown)
    assert dev.fed == len(unknown)
    assert not dev.reasons["paused"]


def test_short_status():
    dev = device("tspl", clone="short-status", reasons=["media-empty"])
    assert ask(dev, b"\x1b!S\x1b!P\x1b!?") == b"\x04"
    assert dev.misprints == b""


def test_inverted_gs_r():
    assert ask(device("escpos", clone="inverted-gs-r"), b"\x1dr\x01") == b"\x03"
    assert ask(device("escpos", clone="inverted-gs-r", reasons=["media-low"]), b"\x1dr\x01") == b"\x00"


def test_forgets_push():
    dev = device("escpos", clone="forgets-push")
    assert dev.output() == b"\x10\x00\x00\x00"
    dev.set("media-low", True)
    assert dev.output() == b"\x10\x00\x03\x00"
    dev.receive(b"\x1b@")
    dev.set("media-low", False)
    assert dev.output() == b""


# -- behind TCP ------------------------------------------------------------------------------------


def dial(listener):
    sock = socket.create_connection(("127.0.0.1", listener.port), timeout=3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return closing(sock)


def read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, data
        data += piece
    return data


def test_listener_prints_and_answers():
    with Listener(device("escpos")) as listener, dial(listener) as sock:
        assert listener.address == f"tcp://127.0.0.1:{listener.port}"
        sock.sendall(MARKED)
        assert read(sock, 7) == b"\x37\x220001\x00"
        assert listener.printed() == listener.received() == MARKED
        assert listener.wait(lambda dev: dev.tickets == 1, 3)


def test_listener_takes_no_more_than_it_has_room_for():
    with (
        Listener(device("escpos", reasons=["cover-open"], buffer_size=1000)) as listener,
        dial(listener) as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        job = bytes(range(1, 16)) * 20000
        sock.setblocking(False)
        sent = 0
        while listener.wait(lambda dev: dev.room() > 0, 0) or sent < 1000:
            try:
                sent += sock.send(job[sent : sent + 1000])
            except BlockingIOError:
                assert listener.wait(lambda dev: dev.room() == 0, 3)
        try:
            while True:
                sent += sock.send(job[sent : sent + 1000])
        except BlockingIOError:
            pass
        assert len(listener.received()) == 1000
        assert sent < 1000 + 65536  # the rest is in the two kernels
        sock.setblocking(True)
        listener.set("cover-open", False)
        sock.sendall(job[sent:])
        assert listener.wait(lambda dev: len(dev.received_after(0)) == len(job), 3)
        assert listener.received() == job


def test_second_host_waits_for_the_first():
    with Listener(device("escpos")) as listener, dial(listener) as first:
        first.sendall(b"\x10\x04\x01")
        assert read(first, 1) == b"\x12"
        with dial(listener) as second:
            second.sendall(b"\x10\x04\x04")
            first.sendall(b"\x10\x04\x04")
            assert read(first, 1) == b"\x12"
            assert listener.received() == b"\x10\x04\x01\x10\x04\x04"
            first.close()
            assert read(second, 1) == b"\x12"
        assert listener.state()["connections_total"] == 2


def test_single_resets_the_second():
    with Listener(device("escpos", clone="single")) as listener, dial(listener) as first:
        first.sendall(b"\x10\x04\x01")
        assert read(first, 1) == b"\x12"
        # The reset may come before connect() has returned.
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", listener.port), timeout=3) as second,
        ):
            second.recv(1)
        first.sendall(b"\x10\x04\x01")
        assert read(first, 1) == b"\x12"


@pytest.mark.parametrize(
    ("dialect", "question", "still", "moves"),
    [("tspl", b"\x1b!?", b"\x00", b"\x20"), ("escpos", b"\x10\x04\x02", b"\x12", b"\x1a")],
)
def test_feeds_when_asked(dialect, question, still, moves):
    with Listener(device(dialect, clone="feeds-when-asked")) as listener, dial(listener) as sock:
        sock.sendall(question)
        assert read(sock, 1) == still
        sock.sendall(question)  # and the next one sees what the first one did
        assert read(sock, 1) == moves
        with listener.lock:
            assert listener.device.fed == 2
            assert listener.device.printed == b""


def test_drops_idle():
    with Listener(device("escpos", clone="drops-idle", idle_reset=0.05)) as listener, dial(listener) as sock:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert listener.wait(lambda _: listener.state()["connections"] == 0, 3)
        with dial(listener) as again, pytest.raises(ConnectionResetError):
            again.recv(1)


@pytest.mark.parametrize("rst", [True, False])
def test_drop(rst):
    with Listener(device("escpos")) as listener, dial(listener) as sock:
        sock.sendall(b"\x10\x04\x01")
        assert read(sock, 1) == b"\x12"
        listener.drop(rst)
        if rst:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        else:
            assert sock.recv(1) == b""


def test_drop_with_unread_bytes_can_be_a_fin():
    with (
        Listener(device("escpos", reasons=["cover-open"], buffer_size=64)) as listener,
        dial(listener) as sock,
    ):
        sock.sendall(b"x" * 500)
        assert listener.wait(lambda dev: dev.room() == 0, 3)
        listener.drop(rst=False)
        assert sock.recv(1) == b""


def test_stalled_host_that_reset_makes_way():
    """A host that went with RST while the printer did not read is noticed when the next one comes."""
    with Listener(device("escpos", push=True, reasons=["cover-open"], buffer_size=64)) as listener:
        with dial(listener) as sock:
            assert read(sock, 4) == b"\x38\x00\x00\x00"
            sock.sendall(b"x" * 500)
            assert listener.wait(lambda dev: dev.room() == 0, 3)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        with dial(listener) as again:
            assert read(again, 4) == b"\x38\x00\x00\x00"


def test_job_survives_the_connection():
    with Listener(device("tspl", reasons=["media-empty"])) as listener:
        with dial(listener) as sock:
            sock.sendall(LABEL)
        assert listener.wait(lambda dev: dev.received == LABEL, 3)
        listener.set("media-empty", False)
        assert listener.printed() == LABEL
        with dial(listener) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""


def test_stall_push_and_speed():
    with Listener(device("escpos")) as listener, dial(listener) as sock:
        listener.wait(lambda _: listener.state()["connections"] == 1, 3)
        listener.push(b"\x13")
        assert read(sock, 1) == b"\x13"
        listener.stall(True)
        sock.sendall(b"\x10\x04\x01")
        assert listener.state()["stalled"]
        assert listener.received() == b""
        listener.stall(False)
        assert read(sock, 1) == b"\x12"
        listener.set_speed(20000)
        sock.sendall(b"x" * 1000 + b"\x1dr\x01")
        assert read(sock, 1) == b"\x00"
        assert len(listener.printed()) == 1003


def test_a_big_job_is_fast():
    raster = b"\x1dv0\x00\x64\x00\x10\x27" + bytes(1_000_000)
    with Listener(device("escpos")) as listener, dial(listener) as sock:
        sock.sendall(raster + b"\x1dr\x01")
        assert read(sock, 1) == b"\x00"
        assert listener.received() == raster + b"\x1dr\x01"


def test_output_dir(tmp_path):
    with Listener(device("tspl"), output_dir=tmp_path) as listener, dial(listener) as sock:
        sock.sendall(b"\x1b!?PRINT 1\r\n\r\nPRINT 2\r\n~!T\r\n")
        read(sock, 1 + len("Virtual TSPL\r"))
        assert (tmp_path / "received.bin").read_bytes() == listener.received()
        assert (tmp_path / "printed.bin").read_bytes() == b"PRINT 1\r\n\r\nPRINT 2\r\n~!T\r\n"
        assert (tmp_path / "ticket-0001.bin").read_bytes() == b"PRINT 1\r\n"
        assert (tmp_path / "ticket-0002.bin").read_bytes() == b"\r\nPRINT 2\r\n"
        listener.reset()
        sock.sendall(b"PRINT 3\r\n")
        assert listener.wait(lambda dev: dev.tickets == 1, 3)
        assert (tmp_path / "received.bin").read_bytes() == b"PRINT 3\r\n"
        assert (tmp_path / "ticket-0003.bin").read_bytes() == b"PRINT 3\r\n"


def test_close_hangs_up():
    listener = Listener(device("escpos"))
    with listener, dial(listener) as sock, dial(listener) as waiting:
        sock.sendall(b"\x10\x04\x01")
        assert read(sock, 1) == b"\x12"
        assert listener.wait(lambda _: listener.state()["connections"] == 2, 3)
        listener.close()
        assert sock.recv(1) == b""
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
        listener.set("cover-open", True)
        listener.drop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.port), timeout=3)


def test_address_in_use():
    with Listener(device("escpos")) as listener, pytest.raises(OSError, match=r"."):
        Listener(device("escpos"), port=listener.port).start()


# -- the control port ------------------------------------------------------------------------------


@pytest.fixture
def control():
    with Listener(device("escpos")) as listener, ControlPort(listener) as port:
        yield listener, port


def call(port, method, path, body=None, **headers):
    host, number = port.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(number), timeout=3)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def test_control_state(control):
    listener, port = control
    with dial(listener) as sock:
        sock.sendall(b"\x10\x04\x01abc\x1dV\x00")
        assert read(sock, 1) == b"\x12"
        assert listener.wait(lambda dev: dev.tickets == 1, 3)
        status, body = call(port, "GET", "/state")
        state = json.loads(body)
        assert status == 200
        assert (state["dialect"], state["clone"], state["bytes"], state["jobs"]) == ("escpos", "", 9, 1)
        assert (state["printed_bytes"], state["connections"], state["misprints"]) == (6, 1, "")
        assert call(port, "GET", "/received") == (200, b"\x10\x04\x01abc\x1dV\x00")
        assert call(port, "GET", "/printed") == (200, b"abc\x1dV\x00")
        state = json.loads(call(port, "POST", "/state", '{"media-empty": true, "media-low": true}')[1])
        assert state["reasons"]["media-empty"]
        sock.sendall(b"\x10\x04\x04")
        assert read(sock, 1) == b"\x7e"
        call(port, "POST", "/state", '{"media": 5, "media-low": false}')
        sock.sendall(b"1234567")
        assert listener.wait(lambda dev: dev.reasons["media-empty"], 3)
        assert listener.printed() == b"abc\x1dV\x0012345"
        assert json.loads(call(port, "POST", "/state", '{"stall": true}')[1])["stalled"]
        call(port, "POST", "/state", '{"drop": true, "stall": false, "speed": 1000.5}')
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        state = json.loads(call(port, "POST", "/reset")[1])
        assert (state["bytes"], state["reasons"]["media-empty"]) == (0, False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"no-such": true}',
        '{"paused": true}',
        '{"media-empty": 1}',
        '{"drop": "yes"}',
        '{"media": true}',
        '{"media": -1}',
        '{"media": 1.5}',
        '{"speed": 0}',
        '{"speed": Infinity}',
        '{"cover-open": true, "nonsense": true}',
        "[" * 60000,
    ],
)
def test_control_bad_request(control, body):
    listener, port = control
    status, answer = call(port, "POST", "/state", body)
    error = json.loads(answer)["error"]
    assert (status, error["code"], set(error)) == (400, "bad-request", {"code", "message", "hint"})
    assert not any(listener.state()["reasons"].values())


def test_control_refuses(control, capfd):
    _, port = control
    assert call(port, "GET", "/nowhere")[0] == 404
    assert call(port, "POST", "/state", "x" * 70000)[0] == 413
    assert call(port, "GET", "/state", Host="printer.example.com")[0] == 403
    assert call(port, "POST", "/reset", Origin="https://example.com")[0] == 403
    assert call(port, "GET", "/state", Host="localhost:1")[0] == 200
    assert capfd.readouterr() == ("", "")
