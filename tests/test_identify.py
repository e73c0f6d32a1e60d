"""Which language: from what printers say of themselves, and from what they answer; ids as they are published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint import identify
from rawprint.dialects import DIALECTS

# Device ids from lprint's driver tables and from captures in its issues; see the protocol notes.
EPSON = "MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;"


def first(**says):
    guesses = identify.guess(**says)
    return (guesses[0].dialect, guesses[0].sure) if guesses else None


@pytest.mark.parametrize(
    ("says", "guessed"),
    [
        ({"device_id": EPSON}, ("escpos", "certain")),
        ({"device_id": "MFG:TSC;CMD:TSPL2;MDL:DA210;"}, ("tspl", "certain")),
        ({"device_id": "MANUFACTURER:Star;COMMAND SET:STAR;MODEL:TSP143;"}, ("star", "certain")),
        ({"device_id": "MFG:Brother;CMD:PT-CBP;MDL:QL-700;"}, ("brother-ql", "certain")),
        ({"device_id": "MFG:DYMO;MDL:LabelWriter 450;"}, ("dymo", "likely")),
        ({"device_id": "MFG:EPSON;MDL:TM-T20II;"}, ("escpos", "likely")),
        ({"device_id": "MFG:TSC;MDL:TTP-244 Plus;"}, ("tspl", "likely")),
        ({"device_id": "MFG:Printer;MDL:POS-80;CMD:NONE;"}, ("escpos", "likely")),
        ({"device_id": "MFG:HP;MDL:LaserJet;CMD:PCL,PJL;"}, None),
        ({"device_id": ""}, None),
        ({"txt": {"usb_CMD": "TSPL", "usb_MFG": "TSC", "usb_MDL": "TE210"}}, ("tspl", "certain")),
        ({"txt": {"pdl": "application/octet-stream,application/vnd.tsc-tspl"}}, ("tspl", "certain")),
        ({"txt": {"ty": "EPSON TM-T20III"}}, ("escpos", "likely")),
        ({"txt": {"product": "(Star TSP654)"}}, ("star", "likely")),
        ({"txt": {"pdl": "application/pdf,image/urf"}}, None),
        ({"vid": 0x1203, "pid": 0x0140}, ("tspl", "likely")),
        ({"vid": 0x04B8, "pid": 0x0E15}, ("escpos", "likely")),
        ({"vid": 0x0416, "pid": 0x5011}, ("escpos", "possible")),  # a chip maker's id
        ({"vid": 0x0519, "pid": 0x0003}, ("star", "possible")),  # the same id in either emulation
        ({"vid": 0x0A5F, "pid": 0x0009}, ("epl", "likely")),
        ({"vid": 0x1234, "pid": 0x0001}, None),
        ({"names": ["USB Printing Support", "XP-80C"]}, ("escpos", "likely")),
        ({"names": ["Xprinter XP-420B"]}, ("tspl", "possible")),
    ],
)
def test_what_they_say_of_themselves(says, guessed):
    assert first(**says) == guessed


def test_several_languages_in_the_order_of_the_device_id():
    guesses = identify.guess(device_id="MFG:Acme;CMD:TSPL,ESC/POS;")
    assert [(each.dialect, each.sure) for each in guesses] == [("tspl", "certain"), ("escpos", "likely")]
    assert all("CMD" in each.how for each in guesses)


def test_sources_that_disagree_are_worth_less():
    assert first(device_id="MFG:X;CMD:ESC/POS;", vid=0x1203, pid=1) == ("escpos", "likely")
    assert first(device_id="MFG:TSC;MDL:TE210;", txt={"ty": "EPSON TM-T88V"}) == ("tspl", "possible")
    assert first(device_id=EPSON, vid=0x0416, pid=0x5011) == ("escpos", "certain"), "which agree"


@given(
    st.text(),
    st.one_of(st.none(), st.integers(0, 65535)),
    st.dictionaries(st.sampled_from(["ty", "pdl", "usb_CMD", "usb_MFG", "product", "x"]), st.text()),
    st.lists(st.text(), max_size=3),
)
def test_anything_may_be_said(device_id, number, txt, names):
    guesses = identify.guess(device_id=device_id, vid=number, pid=number, txt=txt, names=names)
    assert len({each.dialect for each in guesses}) == len(guesses)
    order = ("possible", "likely", "certain")
    ranks = [order.index(each.sure) for each in guesses]
    assert ranks[1:] == sorted(ranks[1:], reverse=True)
    assert all(each.how for each in guesses)


def test_the_maker():
    assert identify.maker_of(EPSON) == "EPSON"
    assert identify.maker_of("MANUFACTURER:Citizen;") == "CITIZEN"
    assert identify.maker_of("") == ""


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "reply", "spoken"),
    [
        ("tspl", "00", "tspl"),
        ("tspl", "05", "tspl"),
        ("tspl", "02", "tspl"),  # a jam; alone
        ("tspl", "02 40 40 40 40 03 0d 0a", "tspl"),
        ("escpos", "12", "escpos"),
        ("escpos", "16", "escpos"),  # Epson TM over serial, node-escpos issue 288
        ("escpos", "00", None),  # a mis-read TM-T20II, python-escpos issue 143
        ("escpos", "14 00 00 00", "escpos"),  # automatic status
        ("escpos", "14 00", None),
        ("escpos", "02 40 40 40 40 03 0d 0a", "tspl"),
        ("star", "23 86 00 00 00 00 00 00 00 00 00", "star"),  # IFBD-HE07 manual p.3-9
        ("star", "0f 02 00 00 00 00 00", "star"),
        ("star", "23 86 00", None),
        ("star", "12", "escpos"),
        ("zpl", "02", None),
        ("zpl", b"\x02030,0,0,1757,000,0,0,0,000,0,0,0\x03\r\n".hex(), "zpl"),
        ("zpl", b"\x02\r\n\r\n  PRINTER STATUS\r\n   ERRORS: 0 00000000 00000000\r\n\x03".hex(), "zpl"),
        ("tspl", b"HTTP/1.1 400 Bad Request\r\n".hex(), None),
        ("escpos", b"SSH-2.0-OpenSSH\r\n".hex(), None),
        ("escpos", "ff ff ff", None),
        ("escpos", "", None),
    ],
)
def test_answers(asked, reply, spoken):
    assert identify.classify(bytes.fromhex(reply), asked) == spoken


@given(st.binary(max_size=64), st.sampled_from(["tspl", "escpos", "star", "zpl", "klingon"]))
def test_any_answer_is_classified(reply, asked):
    assert identify.classify(reply, asked) in {None, "tspl", "escpos", "star", "zpl"}


def test_questions_that_may_be_printed_come_last_and_say_so():
    questions = identify.questions()
    assert {question.dialect for question in questions} == set(DIALECTS)
    assert [bool(question.prints) for question in questions] == sorted(bool(question.prints) for question in questions)
    for question in questions:
        text = all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in question.request)
        assert bool(question.prints) is text, "what is text is printed by somebody"


def test_label_printers_are_asked_before_receipt_printers():
    """What receipt printers are asked must not stand in the line of a label printer (receiptio's rule)."""
    order = [question.dialect for question in identify.questions() if not question.prints]
    assert order.index("tspl") < order.index("escpos") < order.index("star")
