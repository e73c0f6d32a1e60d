"""ZPL: every bit of the manual's tables, written out here, and what a printer does that knows only one of the questions."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import PrinterState, Reason
from rawprint.dialects import DIALECTS
from rawprint.errors import BadReply
from rawprint.virtual import device

ZPL = DIALECTS["zpl"]
HQES, HS, HQES_AGAIN, HS_AGAIN = ZPL.queries
(HI,) = ZPL.identity
PATIENCE = 10.0
LABEL = (Path(__file__).parent / "samples" / "zpl_label.zpl").read_bytes()


def flags(errors=0, warnings=0, *, group2=0, flag=None, warned=0):
    flag = bool(errors or group2) if flag is None else flag
    return (
        f"\x02\r\n\r\n  PRINTER STATUS   \r\n   ERRORS:         {int(flag)} {group2:08X} {errors:08X}      \r\n"
        f"   WARNINGS:       {warned} 00000000 {warnings:08X}      \r\n\x03"
    ).encode()


def host_status(**fields):
    """The three lines of a printer that is well, with fields of the manual's letters changed."""
    first = dict(
        zip("abcdefghijkl", ["030", "0", "0", "0639", "000", "0", "0", "0", "000", "0", "0", "0"], strict=True)
    )
    second = dict(zip("mnopqrstuvw", ["001", "0", "0", "0", "0", "2", "4", "0", "00000000", "1", "000"], strict=True))
    for letter, value in fields.items():
        (first if letter in first else second)[letter] = value
    lines = [",".join(first.values()), ",".join(second.values()), "1234,0"]
    return b"".join(f"\x02{line}\x03\r\n".encode() for line in lines)


def true(reply, query):
    decoded = ZPL.decode(reply, (query,))
    assert decoded.used == len(reply)
    assert decoded.answers is query
    return {str(reason) for reason, value in decoded.reasons.items() if value}


# ZDOC, ~HQ, table of error flags; Z16, OKI and LP agree where the protocol notes name them.
ERROR_BITS = {
    0x1: "media-empty",
    0x2: "marker-supply-empty",
    0x4: "cover-open",
    0x8: "trimmer-jam",
    0x10: "subunit-over-temperature",
    0x20: "subunit-over-temperature",
    0x40: "other",
    0x80: "other",
    0x100: "other",
    0x200: "other",
    0x1000: "media-jam",
    0x2000: "other",
    0x4000: "media-jam",
    0x8000: "media-jam",
    0x10000: "paused",
    0x20000: "other",
    0x40000: "other",
    0x80000: "other",
}


@pytest.mark.parametrize("bit", [1 << n for n in range(32)])
def test_every_error_bit(bit):
    """Also those that no manual has: an error that nobody knows is an error."""
    assert true(flags(bit), HQES) == {ERROR_BITS.get(bit, "other")}
    assert true(flags(bit, flag=False), HQES) == {ERROR_BITS.get(bit, "other")}, "the flag alone says nothing"
    assert true(flags(group2=bit), HQES) == {"other"}


def test_an_error_without_a_bit_is_one():
    assert true(flags(flag=True), HQES) == {"other"}


@pytest.mark.parametrize("bit", [1 << n for n in range(32)])
def test_warnings_stop_nobody(bit):
    assert true(flags(warnings=bit, warned=1), HQES) == ({"media-low"} if bit == 0x8 else set())


def test_what_no_error_denies():
    decoded = ZPL.decode(flags(), (HQES,))
    denied = {"media-empty", "marker-supply-empty", "cover-open", "trimmer-jam", "subunit-over-temperature", "other"}
    assert {str(reason) for reason in decoded.reasons} == denied, (
        "a pause and the near end: one source each, so only when true"
    )
    assert decoded.processing is None


# Letter of the manual's line -> what it says when it is 1.
HOST_STATUS_FIELDS = {
    "b": "media-empty",
    "c": "paused",
    "f": "x-input-buffer-full",
    "g": "other",  # the diagnostic mode prints all that comes as hex
    "j": None,  # its settings are lost: no source says that this stops it
    "k": "other",  # "too cold to print"
    "l": "subunit-over-temperature",
    "n": None,  # unused: who leaves it out reads all behind it shifted
    "o": "cover-open",
    "p": "marker-supply-empty",
    "q": None,  # thermal transfer
    "s": None,
    "t": "x-label-waiting",
    "v": None,
}


@pytest.mark.parametrize(("letter", "reason"), HOST_STATUS_FIELDS.items())
def test_every_field_of_the_host_status(letter, reason):
    assert true(host_status(), HS) == set()
    assert true(host_status(**{letter: "1"}), HS) == ({reason} if reason else set())


@pytest.mark.parametrize(
    ("fields", "processing"),
    [
        ({}, False),
        ({"e": "001"}, True),
        ({"h": "1"}, True),
        ({"u": "00000007"}, True),
        ({"d": "1757", "w": "012"}, False),
    ],
)
def test_when_it_prints(fields, processing):
    assert ZPL.decode(host_status(**fields), (HS,)).processing is processing


@pytest.mark.parametrize("mode", list("0123456789KS"))
def test_print_modes(mode):
    assert true(host_status(r=mode), HS) == set()


@pytest.mark.parametrize(
    "reply",
    [
        b"\x02030,2,0,0639,000,0,0,0,000,0,0,0\x03\r\n\x02001,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n",
        b"\x02030,0,0,0639,000,0,0,0,000,0,0,0\x03\r\n\x02001,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n",
        b"\x02\r\n  PRINTER STATUS \r\n ERRORS: 2 00000000 00000000 \r\n WARNINGS: 0 00000000 00000000\r\n\x03",
        b"\x02\r\n  PRINTER STATUS \r\n ERRORS: 0 0000000 00000000 \r\n WARNINGS: 0 00000000 00000000\r\n\x03",
        b"\x02\r\n  PRINTER STATUS \r\n ERRORS: 0 00000000 00000000 \r\n\x03",
        b"\x02\x80\x03",
        b"\x02\x03",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x00",
        b"\x02" + b"x" * 600,
        b"\x02030," + b"0," * 300,
    ],
)
def test_what_is_no_reply(reply):
    with pytest.raises(BadReply):
        ZPL.decode(reply, (HQES, HS, HI))


@pytest.mark.parametrize(
    ("reply", "other"), [(flags(), HS), (host_status(), HQES), (b"\x02ZD230,V1,8,4096KB\x03\r\n", HS)]
)
def test_an_answer_to_another_question_is_none(reply, other):
    with pytest.raises(BadReply):
        ZPL.decode(reply, (other,))


@pytest.mark.parametrize(
    ("reply", "identity"),
    [
        (
            "ZD230,V89.21.46Z,8,4096KB",
            {"model": "ZD230", "firmware": "V89.21.46Z", "dots per mm": "8", "memory": "4096KB"},
        ),
        (
            "GK420d-200dpi,V61.17.16Z,8,2104KB,X",
            {"model": "GK420d-200dpi", "firmware": "V61.17.16Z", "dots per mm": "8"},
        ),
    ],
)
def test_who_it_is(reply, identity):
    decoded = ZPL.decode(f"\x02{reply}\x03\r\n".encode(), (HI,))
    assert decoded.answers is HI
    assert identity.items() <= decoded.identity.items()


@given(st.binary(max_size=600))
def test_any_bytes(data):
    try:
        decoded = ZPL.decode(data, (HQES, HS, HI)) if data else None
    except BadReply:
        return
    assert decoded is None or 1 <= decoded.used <= len(data)


# -- the printer ----------------------------------------------------------------------------------------------------


def ask(printer, data):
    printer.receive(data)
    return printer.output()


def test_a_printer_that_is_well_says_what_the_manual_says():
    printer = device("zpl")
    assert ask(printer, b"~HQES\n") == (
        b"\x02\r\n\r\n  PRINTER STATUS                            \r\n   ERRORS:         0 00000000 00000000      \r\n"
        b"   WARNINGS:       0 00000000 00000000      \r\n\x03"
    )
    assert ask(printer, b"~HS").count(b"\x03\r\n") == 3
    assert printer.printed == b"", "what is obeyed at once is not printed, nor is the end of its line"


# The two letters of a fault in the manual: its bits in ~HQES (error, warning), and the fields of ~HS that are 1.
FAULTS = {
    None: (0, 0, ""),
    "media-empty": (0x1, 0, "b"),
    "marker-supply-empty": (0x2, 0, "p"),
    "cover-open": (0x4, 0, "o"),
    "trimmer-jam": (0x8, 0, ""),
    "subunit-over-temperature": (0x10, 0, "l"),
    "other": (0x40, 0, "j"),
    "paused": (0x10000, 0, "c"),
    "media-low": (0, 0x8, ""),
    "x-input-buffer-full": (0, 0, "f"),
    "x-label-waiting": (0, 0, "t"),
}


def squeezed(flags):
    return flags.split()


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault(reason):
    errors, warnings, letters = FAULTS[reason]
    printer = device("zpl", reasons=[reason] if reason else [])
    assert squeezed(ask(printer, b"~HQES\n")) == squeezed(flags(errors, warnings, warned=int(bool(warnings))))
    well = host_status(q="1").replace(b"1234,0", b"0000,0")  # with ribbon, and without a password
    assert ask(device("zpl"), b"~HS") == well
    faulty = host_status(q="1", **dict.fromkeys(letters, "1")).replace(b"1234,0", b"0000,0")
    assert ask(printer, b"~HS\r\n") == faulty
    assert printer.printed == b""


def test_every_fault_has_a_row():
    assert set(FAULTS) - {None} == {str(reason) for reason in device("zpl").reportable}


def test_the_samples_print_whole():
    printer = device("zpl")
    printer.receive(LABEL)
    assert (printer.printed, printer.tickets, printer.output()) == (LABEL, 1, b"")


def test_the_test_print_says_what_it_is_and_sets_nothing():
    printer = device("zpl")
    assert ask(printer, ZPL.test_print) == b""
    first, label = ZPL.test_print.split(b"\r\n", 1)
    assert first == b"~JX", "a format that was broken off would swallow it"
    assert (printer.printed, printer.tickets, printer.fed) == (label, 1, 0)
    assert b"rawprint: a test print" in ZPL.test_print
    assert {ZPL.test_print[at : at + 3] for at, byte in enumerate(ZPL.test_print) if byte in b"^~"} == {
        *(b"~JX", b"^XA", b"^FO", b"^A0", b"^FD", b"^FS", b"^XZ"),
    }, "nothing that a printer keeps, such as ^JU, ^LL, ^PW, ^MN or ~SD"


def test_calibration_feeds_and_cancel_is_heard_when_it_stands_still():
    printer = device("zpl")
    assert ask(printer, ZPL.calibrate["auto"]) == b""
    assert (printer.fed, printer.printed) == (1, b"")
    printer = device("zpl", reasons=["paused"])
    printer.receive(LABEL + ZPL.cancel + b"\r\n" + LABEL)
    printer.set("paused", False)
    assert (printer.printed, printer.tickets) == (LABEL, 1)


def test_pause_is_heard_at_once_and_in_a_format_when_it_is_reached():
    printer = device("zpl")
    printer.receive(b"~PP" + LABEL)
    assert (printer.tickets, printer.reasons["paused"]) == (0, True)
    assert b",1,0639,001,0" in ask(printer, b"~HS"), "one format waits"
    printer.receive(b"~PS")
    assert (printer.tickets, printer.reasons["paused"]) == (1, False)
    printer.receive(b"^XA^PP^FDx^FS^XZ")
    assert (printer.tickets, printer.reasons["paused"]) == (1, True)
    printer.receive(b"~PS")
    assert printer.tickets == 2


def test_a_format_that_is_given_up_is_no_label():
    printer = device("zpl")
    printer.receive(b"^XA^FDgone^FS~JX")
    assert ask(printer, b"~HS").split(b",")[7] == b"0", "no format is being received"
    printer.receive(b"^XZ^XA^FDkept^FS^XZ")
    assert printer.tickets == 1


@pytest.mark.parametrize(
    "data",
    [
        b"^XA^GFA,8,8,1,FFFFFFFFFFFFFFFF^FS^XZ",
        b"^XA^GFA,56,32,2,:Z64:eJz7//8A4wLGCYwdjC2MTYyNjA2NDY4Nig2CDZwNrA3M//8DANSyDIg=:1281^FS^XZ",
        b"^XA^GFC,9,9,3,gVMgV^FS^XZ",
        b"^XA^GFB,9,9,3,^XZ~HS~JA^FS^XZ",
        b"^XA^gfb,6,6,2,~HQES\n^FS^XZ",
        b"~DGR:A.GRF,3,1,FF00FF^XA^FO1,1^XGR:A.GRF,1,1^FS^XZ",
        b"~DYE:A,B,P,9,1,^XZ~HS~PP^XA^FDx^FS^XZ",
        b"~SD15^XA^MMP^FDa~b^FS^XZ",
    ],
)
def test_image_data_is_no_command(data):
    printer = device("zpl")
    assert ask(printer, data) == b""
    assert (printer.printed, printer.tickets, printer.fed) == (data, 1, 0)
    assert ask(printer, b"~HS"), "the next command is one again"


def test_who_the_virtual_printer_is():
    assert ask(device("zpl"), b"~HI\n") == b"\x02VIRTUAL ZPL,V1.0.0Z,8,8192KB\x03\r\n"


def test_another_mode_prints_what_it_gets():
    printer = device("zpl", clone="line-print")
    assert ask(printer, b"~HS\r\n~HQ") == b""
    assert (printer.misprints, printer.fed, printer.printed) == (b"~HS\r\n", 1, b"~HS\r\n~HQ")
    printer.receive(b"ES\n^XA^XZ\n")
    assert printer.misprints == printer.printed == b"~HS\r\n~HQES\n^XA^XZ\n"
    assert printer.tickets == 0


def test_formats_are_tickets_and_binary_data_is_data():
    printer = device("zpl", media=None)
    printer.receive(b"^XA^GFB,12,12,3,^XZ~HS~JA^XZ^FS^PQ3^XZ^XA^PQ0^XZ\r\n")
    assert printer.tickets == 1
    assert printer.output() == b""


def test_a_question_in_the_middle_of_a_field_is_answered():
    printer = device("zpl")
    assert ask(printer, b"^XA^FDa~HSb^FS").startswith(b"\x02030,0,0,0639,000,0,0,1")
    printer.receive(b"^XZ")
    assert printer.tickets == 1
    assert printer.printed == b"^XA^FDab^FS^XZ"


def test_cancel_drops_what_waits():
    printer = device("zpl", reasons=["media-empty"])
    printer.receive(b"^XA^FDone^FS^XZ^XA^FDtwo^FS^XZ")
    assert b",002,0" in ask(printer, b"~HS")
    printer.receive(b"~JA")
    printer.set("media-empty", False)
    assert printer.tickets == 0


# -- knowing one of the questions -----------------------------------------------------------------------------------


def test_one_that_knows_the_old_question_alone(virtual):
    listener = virtual("zpl", clone="no-hqes", reasons=["paused"])
    with rawprint.open(listener.address, "zpl") as printer:
        assert printer.status().reasons[Reason.PAUSED]
        listener.set("paused", False)
        began = time.monotonic()
        assert printer.status().state is PrinterState.IDLE
        assert time.monotonic() - began < 0.4, "what it does not know is asked once"
        assert printer.capabilities.silent == {"hqes"}
        assert listener.device.received.count(b"~HQES") == 1


@pytest.mark.parametrize("reason", ["media-empty", "marker-supply-empty", "cover-open", "subunit-over-temperature"])
def test_one_that_is_silent_when_it_is_blocked_still_says_why(virtual, reason):
    listener = virtual("zpl", clone="silent-when-blocked", reasons=[reason])
    with rawprint.open(listener.address, "zpl") as printer:
        began = time.monotonic()
        status = printer.status()
        assert status.state is PrinterState.STOPPED
        assert status.reasons[Reason(reason)]
        assert time.monotonic() - began < 0.4, "it is not asked what it would not answer"
        listener.set(reason, False)
        assert printer.status().state is PrinterState.IDLE
        assert printer.capabilities.answered == {"hqes", "hs"}


def test_one_that_knows_neither_is_unknown(virtual):
    with rawprint.open(virtual("zpl", clone="mute").address, "zpl") as printer:
        with pytest.raises(rawprint.NoReply):
            printer.status()
        assert printer.capabilities.silent == {"hqes", "hs"}
        assert printer.capabilities.is_mute(ZPL)


def test_another_mode_is_asked_once(virtual):
    listener = virtual("zpl", clone="line-print")
    with rawprint.open(listener.address, "zpl") as printer:
        for _ in range(3):
            with pytest.raises(rawprint.NoReply):
                printer.status()
        assert printer.capabilities.is_mute(ZPL)
    assert listener.wait(lambda d: d.misprints == b"~HQES\n~HS\n", PATIENCE)
    assert listener.received() == b"~HQES\n~HS\n"


def test_who_it_is_is_asked_of_the_printer(virtual):
    with rawprint.open(virtual("zpl").address, "zpl") as printer:
        answer, raw = printer.ask(HI, 2.0)
        assert answer.identity["model"] == "VIRTUAL ZPL"
        assert raw == b"\x02VIRTUAL ZPL,V1.0.0Z,8,8192KB\x03\r\n"
        assert printer.status().state is PrinterState.IDLE


def test_one_answer_is_enough_and_another_may_follow_at_its_time(virtual):
    """A printer that was silent once and then answers is no mute one."""
    listener = virtual("zpl", clone="silent-when-blocked", reasons=["cover-open"])
    with rawprint.PrintQueue(listener.address, "zpl", idle_release=None) as queue:
        assert queue.status().reasons[Reason.COVER_OPEN]
        job = queue.submit(b"^XA^FDone^FS^XZ")
        listener.set("cover-open", False)
        assert job.wait(PATIENCE)
        assert (job.state, job.evidence) == (rawprint.JobState.DELIVERED, ("acknowledged", "status"))
    assert listener.device.tickets == 1


@pytest.mark.parametrize("knows", [b"~HQES\n", b"~HS\n"])
def test_a_slow_printer_that_knows_one_question(peer, knows):
    """Its answer takes longer than a usual one; both questions get their time, and the silent one is remembered."""
    asked = []

    def serve(connection, _):
        while question := connection.recv(64):
            asked.append(question)
            if question == knows and not threading.Event().wait(0.7):
                connection.sendall(flags() if knows == b"~HQES\n" else host_status())

    capabilities = rawprint.Capabilities()
    with rawprint.open(peer(serve).address, "zpl", capabilities=capabilities) as printer:
        assert printer.status(5.0).state is PrinterState.IDLE
        assert printer.status(5.0).state is PrinterState.IDLE
    name, other = ("hqes", "hs") if knows == b"~HQES\n" else ("hs", "hqes")
    assert name in capabilities.answered
    assert capabilities.silent == {other}
    assert asked.count(knows) == 4, "one that cannot be compared is asked twice"


@pytest.mark.parametrize("clone", ["late", "late-no-hqes"])
def test_one_that_answers_one_behind_and_is_known_to_answer_one_question(virtual, clone):
    """What is left over from an earlier connection is no state."""
    listener = virtual("zpl", clone=clone)
    name, other = ("hqes", "hs") if clone == "late" else ("hs", "hqes")
    for fault in (False, True):
        listener.set("media-empty", fault)
        for _ in range(3):
            capabilities = rawprint.Capabilities(answered={name}, silent={other})
            with rawprint.open(listener.address, "zpl", capabilities=capabilities) as printer:
                try:
                    state = printer.status(0.6).state
                except rawprint.RawprintError:
                    continue
            assert state is (PrinterState.STOPPED if fault else PrinterState.IDLE)
