"""The raw console: bytes that an administrator writes, what comes back, and that no job is harmed by it."""

from __future__ import annotations

import json
import threading

import pytest

from rawprint import DIALECTS, JobState, PrinterBusy, PrintQueue
from rawprint.console import in_words, missing
from rawprint.dialects import by_name
from rawprint_server import hub

from .conftest import PATIENCE
from .test_schema import SCHEMA, errors

ASK = "1b213f"  # TSPL: ESC ! ?


def raw(admin, printer, data, flavor="hex", **params):
    params = {"printer": printer, "data": data, "flavor": flavor, **params}
    assert errors(params, SCHEMA["calls"]["admin.raw"]["params"]) == []
    told = admin.ask("admin.raw", **params)
    assert errors(told, SCHEMA["calls"]["admin.raw"]["result"]) == []
    return told


def test_what_is_sent_and_what_comes_back(administered, label, receipt):
    _, admin = administered()
    told = raw(admin, "Label", ASK)
    assert (told["sent"], told["received"]) == (3, "00")
    assert "media-empty: no" in told["decoded"][0]
    label.set("media-empty", True)
    assert "media-empty: yes" in raw(admin, "Label", ASK)["decoded"][0]
    assert raw(admin, "Label", "SOUND 1,1\r\n", "plain", seconds=0.1) == {"sent": 11, "received": "", "decoded": []}
    assert raw(admin, "Label", "Q0xTDQo=", "base64", seconds=0.1)["sent"] == 5
    assert receipt.received() == b""
    assert b"SOUND 1,1\r\nCLS\r\n" in label.received().replace(bytes.fromhex(ASK), b"")


def test_nothing_is_learnt_by_it(administered):
    server, admin = administered()
    raw(admin, "Label", ASK)
    view = next(each for each in admin.ask("printers.list") if each["name"] == "Label")
    assert (view["capabilities"]["answered"], view["at"], view["state"]) == ([], None, "unknown")
    admin.ask("printers.status", printer="Label")
    assert server.app._hub._printers["Label"].queue.capabilities.answered


def test_it_waits_for_its_turn_and_not_for_ever(administered, label):
    _, admin = administered()
    label.stall(True)
    admin.ask("subscribe")
    admin.print("Label", "x" * 20_000 + "\r\n", id="long")
    admin.job_event("long", "processing", "stopped")
    assert admin.refusal("admin.raw", printer="Label", data=ASK, flavor="hex", seconds=0.3).code == "busy"
    uid = admin.send("admin.raw", printer="Label", data="SOUND 2,2\r\n", seconds=4)
    label.stall(False)
    assert admin.reply(uid, 2 * PATIENCE)["sent"] == 11
    received = label.received()
    job = b"x" * 20_000
    assert job in received, "no byte stands in the middle of the job"
    assert received.index(b"SOUND") > received.index(job)


def test_a_paused_printer_is_talked_to(administered, label):
    _, admin = administered()
    admin.ask("printers.pause", printer="Label")
    admin.print("Label", "CLS\r\n", id="waits")
    assert raw(admin, "Label", ASK)["received"] == "00"
    assert admin.ask("jobs.get", id="waits")["state"] == "pending"
    admin.ask("printers.resume", printer="Label")


def test_a_command_that_was_left_open_is_ended_before_the_next_job(administered, label, receipt):
    _, admin = administered()
    raw(admin, "Receipt", "1d763000020003004142", seconds=0.1)  # GS v 0: an image of 6 bytes, of which 2 are here
    admin.print("Receipt", "Tea\n", wait="ended")
    between = receipt.received().partition(b"AB")[2].partition(b"Tea\n")[0]
    assert b"\0" * 4 in between
    assert between.endswith(b"\x1b@")
    raw(admin, "Label", 'TEXT 20,20,"3",0,1,1,"open', "plain", seconds=0.1)
    admin.print("Label", "SIZE 40 mm,30 mm\r\n", wait="ended")
    assert label.received().partition(b'"open')[2].partition(b"SIZE")[0].endswith(b"\r\nCLS\r\n")
    raw(admin, "Label", "SOUND 1,1\r\n", "plain", seconds=0.1)
    admin.print("Label", "SIZE 50 mm,30 mm\r\n", wait="ended")
    assert b"CLS" not in label.received().partition(b"SOUND 1,1\r\n")[2].partition(b"SIZE")[0]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"printer": "Nope", "data": "x"}, "unknown-printer"),
        ({"printer": "Label", "data": "0", "flavor": "hex"}, "bad-request"),
        ({"printer": "Label", "data": " ", "flavor": "hex"}, "bad-request"),
        ({"printer": "Label", "data": ""}, "bad-request"),
        ({"printer": "Label", "data": "x" * 65537}, "bad-request"),
        ({"printer": "Label", "data": "x", "flavor": "file"}, "bad-request"),
        ({"printer": "Label", "data": "x", "seconds": 11}, "bad-request"),
        ({"printer": "Label", "data": "x", "seconds": 0}, "bad-request"),
        ({"data": "x"}, "bad-request"),
    ],
)
def test_what_is_wrong_is_refused(administered, params, code):
    _, admin = administered()
    assert admin.refusal("admin.raw", **params).code == code


def test_a_printer_that_is_not_there(administered):
    from rawprint_server.config import PrinterConfig

    _, admin = administered({"Gone": PrinterConfig("tcp://127.0.0.1:1", "tspl")})
    assert admin.refusal("admin.raw", printer="Gone", data=ASK, flavor="hex").code == "not-found"


def test_few_wait_at_a_time(administered):
    _, admin = administered()
    uids = [admin.send("admin.raw", printer="Label", data=ASK, flavor="hex", seconds=0.2) for _ in range(30)]
    codes = []
    for uid in uids:
        try:
            admin.reply(uid, 4 * PATIENCE)
        except Exception as error:
            codes.append(error.code)
    assert set(codes) == {"queue-full"}
    assert len(codes) == 30 - hub.MOST_CONVERSATIONS


def test_a_queue_that_is_closed_tells_who_waits(label):
    queue, came = PrintQueue(label.address, "tspl"), []
    label.stall(True)
    job = queue.submit(b"x" * 20_000)
    while job.state is JobState.PENDING:
        threading.Event().wait(0.02)
    queue.converse(b"\x1b!?", came.append, 60.0)
    queue.close(0.1)
    assert [error.code for error in came] == ["canceled"]


def test_a_conversation_of_the_library(label):
    done = threading.Event()
    came = []
    with PrintQueue(label.address, "tspl") as queue:
        queue.converse(b"\x1b!?", lambda each: (came.append(each), done.set()), 0.3)
        assert done.wait(PATIENCE)
    assert (came[0].sent, came[0].received) == (3, b"\0")
    assert PrinterBusy.code == "busy"


# In words


def test_words_of_what_came():
    tspl = by_name("tspl")
    assert in_words(None, b"\x1b!?", b"\0") == []
    assert in_words(tspl, b"\x1b!?", b"") == []
    assert len(in_words(tspl, b"\x1b!?\x1b!?", b"\0\4")) == 2
    escpos = by_name("escpos")
    (line,) = in_words(escpos, b"\x10\x04\x01", b"\x16")
    assert line.endswith("drawer pin: high") or "drawer" in line
    for name in DIALECTS:
        assert json.dumps(in_words(by_name(name), b"?", bytes(range(256)) * 100))


@pytest.mark.parametrize(
    ("dialect", "sent", "whole", "wanted"),
    [
        ("escpos", b"Tea\n", True, 0),
        ("escpos", b"Tea", False, 1),
        ("escpos", b"\x1dv0\0\2\0\3\0AB", True, 4),
        ("tspl", b"CLS\r\n", True, 0),
        ("tspl", b'TEXT 1,1,"3",0,1,1,"x', True, 1),
        ("zpl", b"^XA^FDx", True, 0),
        (None, b"x", True, 0),
    ],
)
def test_what_may_be_missing(dialect, sent, whole, wanted):
    assert missing(dialect, sent, whole=whole) == wanted
