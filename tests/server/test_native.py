"""The native protocol against virtual printers: what is printed, what is told to whom, and what an end means."""

from __future__ import annotations

import json
import logging
import random
import re
import socket
import threading
import time
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from rawprint.virtual import Listener, device
from rawprint_server import client as client_module
from rawprint_server import hub as hub_module
from rawprint_server.accents import native as native_module
from rawprint_server.config import AccessConfig, Config, PrinterConfig, ServerConfig

from .conftest import PATIENCE, Refused, framed

ATTACHED = {"type": "raw", "format": "command", "flavor": "attached"}
ENDS = {"completed", "delivered", "uncertain", "failed", "canceled", "expired"}
POS = "https://pos.example.com"


@pytest.fixture
def server(start, label, receipt):
    """`Label` is this server's alone, `Receipt` is shared, nothing is at `Off`."""
    return start(
        {
            "Label": PrinterConfig(label.address, "tspl", share=False),
            "Receipt": PrinterConfig(receipt.address, "escpos"),
            "Off": PrinterConfig("tcp://127.0.0.1:1", "tspl"),
        }
    )


@pytest.fixture
def client(server, stack):
    return stack.enter_context(server.native())


def got_by(printer, count=1, what=b"END\n"):
    """Everything that the printer received, once it received that so often."""
    assert printer.wait(lambda device: device.received.count(what) >= count, PATIENCE)
    return printer.received()


def apply(server, /, **changes):
    """Has the running server take over a configuration that is another in these parts."""

    def change():
        now = server.app._config
        server.app.apply(
            Config(
                server=changes.get("server", now.server),
                printers=changes.get("printers", now.printers),
                access=AccessConfig(changes["origins"]) if "origins" in changes else now.access,
            )
        )

    server.call(change)


CLOSE = b"\x88\x80" + bytes(4)  # a close frame without a code


class Plain:
    """A native client that sends and does not read, on a plain socket with a small window."""

    def __init__(self, server, origin=None):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", server.port))
        lines = [
            "GET / HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Protocol: rawprint.v1",
            *([f"Origin: {origin}"] if origin else []),
        ]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")

    def frame(self, call, uid="U", **params):
        text = json.dumps({"call": call, "uid": uid, "params": params}).encode()
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + len(text).to_bytes(2)
        return b"\x81" + length + bytes(4) + text

    def send(self, call, uid="U", **params):
        self.sock.sendall(self.frame(call, uid, **params))

    def read_to_the_end(self):
        while self.sock.recv(1 << 20):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


# Connections


def test_the_subprotocol_decides(server):
    with server.connect(subprotocols=["nope", "rawprint.v1"]) as client:
        assert client.ws.subprotocol == "rawprint.v1"
        assert client.ask("printers.find") == {"uid": "U", "result": ["Label", "Receipt", "Off"]}
    with server.connect() as client:
        assert client.ws.subprotocol is None
        assert client.ask("printers.find")["status_code"] == 0


def test_no_greeting(client):
    assert client.settled() == []
    with pytest.raises(TimeoutError):
        client.read(0.1)


def test_a_reply_is_a_text_frame(client):
    client.ws.send(framed('{"call":"printers.find","uid":1}', b""))
    assert client.ws.recv(PATIENCE) == '{"uid":1,"result":["Label","Receipt","Off"]}'


def test_a_uid_comes_back_to_the_letter(client):
    for uid in ("1e400", "0.10", "-0", "1" * 4000, '{ "b" :1, "a": [ ] }', '"\\u00e4\\/"', "null", "false"):
        client.ws.send('{"call":"printers.find","uid":' + uid + "}")
        assert client.ws.recv(PATIENCE).startswith('{"uid":' + uid + ',"result":')


# Printing


PAYLOADS = [
    ("CLS\n", b"CLS\n"),
    (["SIZE 80 mm", "CLS", ""], b"SIZE 80 mmCLS"),  # nothing is put between
    (["A", {"data": "B"}, {"flavor": "hex", "data": "ff00 C0"}, {"flavor": "base64", "data": "/wDA\r\nAQ=="}], None),
    ("\u00e4\u20ac\U0001f600", "\u00e4\u20ac\U0001f600".encode()),
    ("a\x00b\x7f\x1b", b"a\x00b\x7f\x1b"),
]


def test_what_the_printer_gets(client, label):
    for number, (data, wanted) in enumerate(PAYLOADS, 1):
        begin = len(label.received())
        client.print("Label", data)
        client.print("Label", "END\n", wait="ended")
        got = got_by(label, number)[begin:].replace(b"\x1b!?", b"").replace(b"\x1b!S", b"")
        assert got == (b"AB\xff\x00\xc0\xff\x00\xc0\x01" if wanted is None else wanted) + b"END\n"


def test_copies_are_one_job(client, label):
    job = client.print("Label", "COPY\n", copies=1000, wait="ended")
    assert (job["state"], job["bytes_total"], job["bytes_accepted"]) == ("delivered", 5000, 5000)
    assert b"COPY\n" * 1000 in label.received()


def test_copies_have_an_end(client, label):
    error = client.refusal("print", printer="Label", data="x" * 70_000, options={"copies": 1000, "id": "big"})
    assert error.code == "too-large"
    assert client.refusal("jobs.get", id="big").code == "unknown-job"
    assert label.received() == b""


def test_encodings(start, label, receipt):
    server = start(
        {
            "Label": PrinterConfig(label.address, "tspl", encoding="cp1252"),
            "Receipt": PrinterConfig(receipt.address, "escpos"),
        }
    )
    with server.native() as client:
        client.print("Label", "\u00e4\u20ac\n")
        client.print("Label", ["\u00e4", {"data": "\u00e4", "flavor": "plain"}, "\n"], encoding="CP437")
        client.print("Label", "\u00e4END\n", encoding="utf8", wait="ended")
        assert b"\xe4\x80\n" in label.received()
        assert b"\x84\x84\n" in label.received()
        assert b"\xc3\xa4END\n" in label.received()
        client.print("Receipt", "\u00e4END\n", wait="ended")
        assert b"\xc3\xa4END\n" in receipt.received()
        for text, encoding, place in (("ab\u20acd", "cp437", "character 3"), ("\U0001f600", None, "character 1")):
            options = {} if encoding is None else {"encoding": encoding}
            error = client.refusal("print", printer="Label", data=["fine\n", text], options=options)
            assert (error.code, place in error.message, error.hint != "") == ("bad-request", True, True)
        assert b"fine" not in label.received()


def test_a_job_has_a_name_for_people(client):
    assert client.print("Label", "x\n", id="named", jobName="Tisch 5 \U0001f37b")["name"] == "Tisch 5 \U0001f37b"
    assert client.print("Label", "x\n")["name"] is None
    assert client.ask("jobs.get", id="named")["name"] == "Tisch 5 \U0001f37b"


def test_accepted_is_at_once(client, label):
    label.stall(True)
    began = time.monotonic()
    job = client.print("Label", "x\n" * 100_000, id="accepted", wait="accepted")
    assert (job["state"], job["bytes_accepted"], job["ended"]) == ("pending", 0, None)
    assert time.monotonic() - began < 0.5
    label.stall(False)


def test_delivered_is_when_every_byte_is_taken(client, label):
    """The printer has all of it, and is stopped before it prints it: delivered, and not ended."""
    client.ask("printers.status", printer="Label")
    label.set("media-empty", True)
    delivered = client.send("print", printer="Label", data="x\n", options={"id": "d", "wait": "delivered"})
    ended = client.send("print", printer="Label", data="x\n", options={"id": "d", "wait": "ended"})
    job = client.reply(delivered)
    assert (job["bytes_accepted"], job["ended"]) == (2, None)
    assert job["state"] in {"processing", "stopped"}
    client.settled()
    assert not client.has_reply(ended)
    label.set("media-empty", False)
    job = client.reply(ended)
    assert (job["state"], job["ended"] is None, job["error"]) == ("delivered", False, None)


def test_both_waits_are_over_when_the_job_ended_otherwise(client):
    waits = [
        client.send("print", printer="Off", data="x\n", options={"id": "w", "wait": wait})
        for wait in ("delivered", "ended")
    ]
    client.ask("jobs.cancel", id="w")
    assert [client.reply(uid)["state"] for uid in waits] == ["canceled"] * 2


def test_a_call_that_waits_holds_up_no_other(server, client, label):
    label.stall(True)
    waiting = client.send("print", printer="Label", data="x" * 200_000, options={"id": "slow", "wait": "ended"})
    asking = client.send("printers.status", printer="Off")
    began = time.monotonic()
    assert client.print("Receipt", "x\n", wait="ended")["state"] == "delivered"
    assert client.ask("printers.find") == ["Label", "Receipt", "Off"]
    assert time.monotonic() - began < 2.0
    assert not client.has_reply(waiting)
    with pytest.raises(Refused, match="not-found"):
        client.reply(asking)
    label.stall(False)
    assert client.reply(waiting)["state"] == "delivered"


def test_calls_take_effect_in_their_order(client):
    """Sent in one go, and answered by what was the case when their turn came."""
    client.ws.send(json.dumps({"call": "print", "uid": 1, "params": print_params("Off", id="order")}))
    client.ws.send(json.dumps({"call": "jobs.cancel", "uid": 2, "params": {"id": "order"}}))
    client.ws.send(json.dumps({"call": "jobs.list", "uid": 3}))
    client.ws.send(json.dumps({"call": "print", "uid": 4, "params": print_params("Off", id="other")}))
    client.ws.send(json.dumps({"call": "jobs.list", "uid": 5}))
    assert client.reply(1)["state"] == "pending"
    assert [job["id"] for job in client.reply(3)] == ["order"]
    assert client.reply(4)["state"] == "pending"
    assert [job["id"] for job in client.reply(5)] == ["order", "other"]
    assert client.reply(2)["state"] == "canceled"


def print_params(printer, data="x\n", **options):
    return {"printer": printer, "data": data, "options": options}


def test_a_page_may_print_and_be_left(server, label):
    with server.native() as client:
        client.send("print", printer="Label", data="last words\n", options={"wait": "ended"})
    assert label.wait(lambda device: b"last words\n" in device.received, PATIENCE)


def test_a_page_may_cancel_and_be_left(server, client):
    """The call and the end of the connection come in one segment."""
    client.ask("subscribe")
    for number in range(10):
        client.print("Off", "x\n", id=f"regret-{number}")
        with Plain(server) as page:
            page.sock.sendall(page.frame("jobs.cancel", id=f"regret-{number}") + CLOSE)
            client.job_event(f"regret-{number}", "canceled")


# Ids


def test_the_same_id_is_the_same_job(client, label):
    first = client.print("Label", "CLS\n", id="ticket", jobName="one")
    again = client.print("Label", ["CLS", "\n"], id="ticket", jobName="two", wait="ended")
    assert (again["id"], again["created"], again["name"]) == ("ticket", first["created"], "one")
    client.print("Label", [ATTACHED], b"CLS\n", id="ticket", copies=1)
    client.print("Label", "END\n", wait="ended")
    assert got_by(label).count(b"CLS\n") == 1
    assert len(client.ask("jobs.list")) == 2


def test_the_same_id_from_everywhere_at_once(server, label):
    """Twenty connections send the same ticket; it comes out once, and everyone hears of that one job."""
    jobs = []

    def send():
        with server.native() as client:
            jobs.append(client.print("Label", "CLS\n", id="once", wait="ended"))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 20
    assert all(job == jobs[0] for job in jobs)
    assert label.received().count(b"CLS\n") == 1


def test_the_same_id_with_other_data_is_a_conflict(client):
    for state in ("pending", "canceled"):
        assert client.print("Off", "CLS\n", id="ticket")["state"] == "pending"
        if state == "canceled":
            client.ask("jobs.cancel", id="ticket")
        for printer, data, options in (
            ("Off", "CLS", {}),
            ("Off", "CLS\n", {"copies": 2}),
            ("Label", "CLS\n", {}),
        ):
            error = client.refusal("print", printer=printer, data=data, options={"id": "ticket", **options})
            assert (error.code, error.hint != "") == ("id-conflict", True)
        assert client.refusal("drawer.open", printer="Receipt", options={"id": "ticket"}).code == "id-conflict"


@pytest.mark.parametrize("end", ["failed", "canceled", "expired"])
def test_an_id_of_which_nothing_was_printed_is_tried_anew(start, end, label):
    server = start(
        {
            "Cable": PrinterConfig("virtual://tspl?no-such=true", "tspl"),
            "Label": PrinterConfig("tcp://127.0.0.1:1", "tspl"),
        }
    )
    name = "Cable" if end == "failed" else "Label"
    with server.native() as client:
        options = {"id": "again", "expires": 0.05} if end == "expired" else {"id": "again"}
        first = client.send("print", printer=name, data="x\n", options={**options, "wait": "ended"})
        if end == "canceled":
            client.ask("jobs.cancel", id="again")
        assert client.reply(first)["state"] == end
        assert client.ask("jobs.get", id="again")["state"] == end
        assert client.print(name, "x\n", id="again")["state"] == "pending"
        assert [job["id"] for job in client.ask("jobs.list")] == ["again"]
        if end != "failed":
            apply(server, printers={"Label": PrinterConfig(label.address, "tspl")})
            assert client.print("Label", "x\n", id="again", wait="ended")["state"] == "delivered"
            assert label.received().count(b"x\n") == 1


def test_an_id_of_which_something_was_printed_is_not(client, label):
    client.ask("printers.status", printer="Label")
    label.stall(True)
    client.ask("subscribe")
    client.print("Label", "x" * 500_000, id="half")
    client.event(lambda kind, data: kind == "job" and data["bytes_accepted"] > 0)
    job = client.ask("jobs.cancel", id="half")
    label.stall(False)
    if job["ended"] is None:
        job = client.job_event("half", "canceled")
    assert (job["state"], 0 < job["bytes_accepted"] < 500_000) == ("canceled", True)
    again = client.print("Label", "x" * 500_000, id="half", wait="ended")
    assert again == job


# Time


def test_a_job_that_expires_is_not_printed(client, label):
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    first = client.print("Label", "first\n", id="first")
    assert first["state"] == "pending"
    job = client.print("Label", "late\n", id="late", expires=0.2, wait="ended")
    assert (job["state"], job["bytes_accepted"], job["error"]["code"]) == ("expired", 0, "expired")
    label.set("media-empty", False)
    client.print("Label", "END\n", wait="ended")
    assert b"late" not in got_by(label)
    assert b"first\n" in label.received()


def test_a_job_that_has_begun_does_not_expire(client, label):
    label.set_speed(20_000)
    job = client.print("Label", "x" * 10_000, expires=0.1, wait="ended")
    assert job["state"] == "delivered"


# Attached bytes


def test_attached_bytes(client, label):
    picture = bytes(range(256)) * 8
    assert client.print("Label", [ATTACHED], picture, wait="ended")["bytes_total"] == 2048
    assert picture in label.received()
    client.print("Label", ["BITMAP ", {"flavor": "attached"}, "\n", {"flavor": "hex", "data": "00"}], picture)
    client.print("Label", ["END\n"], wait="ended")
    assert b"BITMAP " + picture + b"\n\x00" in got_by(label)
    client.print("Label", [{"flavor": "attached", "data": "ignored"}], b"copy\n", copies=3, wait="ended")
    assert b"copy\ncopy\ncopy\n" in label.received()


@pytest.mark.parametrize(
    ("data", "attached"),
    [
        ([ATTACHED], b""),
        ([ATTACHED, ATTACHED], b"x"),
        (["x"], b"x"),
        ("x", b"x"),
        ([], b"x"),
        (None, b"x"),
        ([ATTACHED], None),
        (["x", ATTACHED], None),
        ([{"type": "pixel", "flavor": "attached"}], b"x"),
        ([{"format": "spreadsheet", "flavor": "attached"}], b"x"),
    ],
)
def test_attached_bytes_in_vain(client, label, data, attached):
    assert client.refusal("print", attached, printer="Label", data=data).code == "bad-request"
    assert client.settled() == []
    assert label.received() == b""


def test_attached_megabytes(start, receipt):
    """More than a text frame of the same bytes as base64 could hold."""
    server = start({"Receipt": (receipt.address, "escpos")}, max_message_bytes=4_000_000)
    data = random.Random(1).randbytes(3_900_000).replace(b"\x10", b"\x11").replace(b"\x1b", b"\x1c")
    with server.native() as client:
        job = client.print("Receipt", [ATTACHED], data, id="huge")
        assert job["bytes_total"] == len(data)
        assert receipt.wait(lambda device: len(device.received) >= len(data), 2 * PATIENCE)
        assert data in receipt.received()
        assert client.print("Receipt", [ATTACHED], data, id="huge")["created"] == job["created"]


# The drawer


def kicks(printer):
    with printer.lock:
        return printer.device.drawer_kicks


def test_the_drawer_opens_once(client, receipt):
    for _ in range(3):
        job = client.ask("drawer.open", printer="Receipt", options={"id": "kick", "wait": "ended"})
    assert (job["name"], job["state"], job["id"]) == ("drawer", "delivered", "kick")
    assert kicks(receipt) == 1
    client.ask("drawer.open", printer="Receipt", pin=5, options={"wait": "ended"})
    assert kicks(receipt) == 2


def test_where_there_is_no_drawer(client, label):
    for printer, pin in (("Label", 2), ("Off", 2), ("Receipt", 4), ("Receipt", -1), ("Receipt", 10**20)):
        error = client.refusal("drawer.open", printer=printer, pin=pin)
        assert (error.code, error.hint != "") in {("unsupported", True), ("bad-request", False)}
    assert {printer["name"]: printer["drawer"] for printer in client.ask("printers.list")} == {
        "Label": False,
        "Receipt": True,
        "Off": False,
    }
    assert label.received() == b""


def test_the_drawer_opens_between_jobs_and_ahead_of_those_that_wait(client, receipt):
    receipt.set_speed(100_000)
    client.ask("subscribe")
    client.print("Receipt", "A" * 300_000, id="under way")  # more than all buffers hold
    client.job_event("under way", "processing")
    for number in range(3):
        client.print("Receipt", f"waiting {number}\n", id=f"waiting {number}")
    drawer = client.send("drawer.open", printer="Receipt", options={"wait": "ended"})
    client.settled()
    assert kicks(receipt) == 0
    receipt.set_speed(None)
    assert client.reply(drawer)["state"] == "delivered"
    client.print("Receipt", "END\n", wait="ended")
    got = got_by(receipt)
    order = [got.index(what) for what in (b"A" * 300_000, b"\x1bp\x00", b"waiting 0", b"waiting 1", b"waiting 2")]
    assert order == sorted(order)
    assert kicks(receipt) == 1


def test_a_drawer_that_cannot_open_soon_is_not_opened_later(client, receipt, monkeypatch):
    monkeypatch.setattr(
        hub_module.PrintQueue, "open_drawer", partial_expiry(hub_module.PrintQueue.open_drawer, expires=0.4)
    )
    receipt.set("media-empty", True)
    client.ask("printers.status", printer="Receipt")
    job = client.ask("drawer.open", printer="Receipt", options={"id": "late", "wait": "ended"})
    assert (job["state"], job["error"]["code"]) == ("expired", "expired")
    receipt.set("media-empty", False)
    client.print("Receipt", "END\n", wait="ended")
    assert kicks(receipt) == 0
    job = client.ask("drawer.open", printer="Receipt", options={"id": "late", "wait": "ended"})
    assert (job["state"], kicks(receipt)) == ("delivered", 1)


def test_a_drawer_has_ten_seconds(server, client, monkeypatch):
    given = []
    open_drawer = hub_module.PrintQueue.open_drawer

    def spy(*args, **options):
        job = open_drawer(*args, **options)
        given.append(job._expires_at - time.monotonic())
        return job

    monkeypatch.setattr(hub_module.PrintQueue, "open_drawer", spy)
    client.ask("drawer.open", printer="Receipt")
    assert 9.0 < given[0] <= 10.0


def partial_expiry(open_drawer, expires):
    def opened(queue, pin=2, *, id=None):
        return open_drawer(queue, pin, id=id, expires=expires)

    return opened


def test_a_promised_drawer_opens_without_paper(start, receipt):
    server = start({"Receipt": PrinterConfig(receipt.address, "escpos", promises=("drawer-real-time",))})
    receipt.set("media-empty", True)
    with server.native() as client:
        assert client.ask("printers.status", printer="Receipt")["state"] == "stopped"
        waiting = client.print("Receipt", "x\n", id="waiting")
        uid = client.send("drawer.open", printer="Receipt", options={"wait": "delivered"})
        assert client.reply(uid)["bytes_accepted"] == 5
        assert receipt.wait(lambda device: device.drawer_kicks == 1, PATIENCE)
        assert client.ask("jobs.get", id=waiting["id"])["ended"] is None
        receipt.set("media-empty", False)
        client.print("Receipt", "END\n", wait="ended")
        assert kicks(receipt) == 1


# Jobs


def test_cancel_a_pending_job(client, label):
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    client.print("Label", "first\n", id="first")
    client.print("Label", "never\n", id="never")
    began = time.monotonic()
    job = client.ask("jobs.cancel", id="never")
    assert time.monotonic() - began < 1.0
    assert (job["state"], job["bytes_accepted"], job["error"]["code"]) == ("canceled", 0, "canceled")
    assert client.ask("jobs.cancel", id="never") == job
    label.set("media-empty", False)
    client.print("Label", "END\n", wait="ended")
    assert b"never" not in got_by(label)


def test_cancel_in_the_middle(client, label):
    label.set_speed(20_000)
    client.ask("subscribe")
    client.print("Label", "x" * 400_000, id="long")
    client.event(lambda kind, data: kind == "job" and data["bytes_accepted"] > 0)
    began = time.monotonic()
    job = client.ask("jobs.cancel", id="long")
    assert time.monotonic() - began < 1.5
    assert job["state"] == "canceled"
    assert 0 < job["bytes_accepted"] < job["bytes_total"] == 400_000
    label.set_speed(None)


def test_cancel_too_late(client, label):
    job = client.print("Label", "x\n", id="done", wait="ended")
    error = client.refusal("jobs.cancel", id="done")
    assert (error.code, error.hint != "") == ("too-late", True)
    assert client.ask("jobs.get", id="done") == job
    label.set("media-empty", True)
    client.print("Label", "y\n", id="given", wait="delivered")
    assert client.refusal("jobs.cancel", id="given").code == "too-late"
    assert client.refusal("jobs.cancel", id="none").code == "unknown-job"
    label.set("media-empty", False)


def test_the_list_of_jobs(client):
    for number in range(3):
        client.print("Label", "x\n", id=f"label-{number}", wait="ended")
        client.print("Off", "x\n", id=f"off-{number}")
    client.ask("jobs.cancel", id="off-1")

    def ids(**params):
        return [job["id"] for job in client.ask("jobs.list", **params)]

    assert ids() == ["label-0", "off-0", "label-1", "off-1", "label-2", "off-2"]
    assert ids(printer="Off") == ids(printer={"name": "Off"}) == ["off-0", "off-1", "off-2"]
    assert ids(state="pending") == ["off-0", "off-2"]
    assert ids(printer="Off", state="canceled") == ["off-1"]
    assert ids(limit=2) == ["label-2", "off-2"]
    assert ids(limit=2, printer="Label") == ["label-1", "label-2"]
    assert ids(limit=1_000_000) == ids()
    assert ids(printer="Receipt") == ids(state="uncertain") == []


# Subscribing


def test_everything_and_then_changes(server, client, label):
    client.print("Label", "x\n", id="before", wait="ended")
    client.print("Off", "x\n", id="waiting")
    state = client.ask("subscribe")
    assert list(state) == ["server", "printers", "jobs"]
    assert (
        [printer["name"] for printer in state["printers"]] == state["server"]["printers"] == client.ask("printers.find")
    )
    assert [(job["id"], job["state"]) for job in state["jobs"]] == [("before", "delivered"), ("waiting", "pending")]
    assert state["server"]["max_message_bytes"] == 32 * 1024 * 1024
    assert state["server"]["stopping"] is False
    client.print("Label", "x\n", id="after", wait="ended")
    client.settled()
    states = [event["data"]["state"] for event in client.events if event["data"].get("id") == "after"]
    assert states[0] == "pending"
    assert states[-1] == "delivered"
    label.set("media-empty", True)
    stopped = client.event(lambda kind, data: kind == "printer" and data["state"] == "stopped", 3.0)
    assert stopped["reasons"]["media-empty"] is True
    label.set("media-empty", False)
    idle = client.event(lambda kind, data: kind == "printer" and data["state"] == "idle", 3.0)
    assert idle["since"] > stopped["since"]


def test_a_memory_has_a_name_of_its_own(server, start):
    with server.native() as one, server.native() as other:
        memory = one.ask("subscribe")["server"]["memory"]
        assert other.ask("subscribe")["server"]["memory"] == memory
        apply(server)
        assert one.event(lambda kind, _: kind == "server")["memory"] == memory
    with start().native() as elsewhere:
        assert elsewhere.ask("subscribe")["server"]["memory"] != memory


def test_no_event_without_or_after_a_subscription(client):
    client.print("Receipt", "x\n", wait="ended")
    assert client.settled() == []
    client.ask("subscribe")
    client.print("Receipt", "x\n", wait="ended")
    assert client.settled()
    assert client.ask("unsubscribe") is None
    client.events.clear()
    client.print("Receipt", "x\n", wait="ended")
    assert client.settled() == []


def test_a_second_subscription_doubles_nothing(client):
    client.ask("subscribe")
    client.ask("subscribe")
    client.print("Receipt", "x\n", id="one", wait="ended")
    states = [event["data"]["state"] for event in client.settled() if event["event"] == "job"]
    assert states.count("pending") == 1
    assert states.count("delivered") == 1


def test_an_event_is_news(client):
    """No event says what is known already, neither from the snapshot nor from an event before."""
    state = client.ask("subscribe")
    known = {("printer", printer["name"]): printer for printer in state["printers"]}
    for number in range(20):
        client.print("Label", "x\n", id=str(number))
    client.print("Label", "x\n", wait="ended")
    for event in client.settled():
        key = event["event"], event["data"].get("id") or event["data"]["name"]
        assert known.get(key) != event["data"]
        known[key] = event["data"]
    last, now = known["printer", "Label"], client.ask("printers.list")[0]
    assert last["at"] <= now["at"], "a held printer may have been asked once more; that it says the same is no news"
    assert {**last, "at": now["at"]} == now


def test_what_happened_while_nobody_listened_is_not_taken_for_told(server, client):
    """A job comes while nobody listens, and goes right after the snapshot that shows it."""
    client.ask("subscribe")
    client.print("Off", "x\n", id="first")
    client.event(lambda kind, data: kind == "printer" and data["error"] is not None)
    client.ask("jobs.cancel", id="first")
    client.settled()
    client.ask("unsubscribe")
    for attempt in range(5):
        client.print("Off", "x\n", id=f"second-{attempt}")
        client.events.clear()
        subscribed = client.send("subscribe")
        canceled = client.send("jobs.cancel", id=f"second-{attempt}")
        state = client.reply(subscribed)
        assert [printer["pending"] for printer in state["printers"] if printer["name"] == "Off"] == [1]
        client.reply(canceled)
        printers = [event["data"] for event in client.settled() if event["data"].get("name") == "Off"]
        assert printers, "nobody was told that no job waits any more"
        assert printers[-1]["pending"] == 0
        client.ask("unsubscribe")


def test_the_state_can_be_followed_without_a_gap(server, label, receipt):
    """Others submit and cancel jobs while one connection subscribes again and again: its picture is always whole.

    Each snapshot must be what the events since the one before lead to: nothing lost, nothing out of order.
    """
    stop = threading.Event()
    failures = []

    def crowd(number):
        rng = random.Random(number)
        try:
            with server.native() as client:
                for count in range(10_000):
                    if stop.is_set():
                        return
                    printer = rng.choice(["Label", "Receipt", "Off"])
                    id = f"{number}-{count}"
                    client.print(printer, f"{id}\n", id=id)
                    if printer == "Off":
                        client.ask("jobs.cancel", id=id)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    order = {"pending": 0, "processing": 1, "stopped": 1} | dict.fromkeys(ENDS, 2)
    checked = events = 0
    try:
        with server.native() as client:
            jobs, printers = {}, {}
            deadline = time.monotonic() + 3.0
            while time.monotonic() < deadline:
                uid = client.send("subscribe")
                state = client.reply(uid)
                for event in client.events:  # all came before the reply
                    events += 1
                    kind, data = event["event"], event["data"]
                    if kind == "job":
                        before = jobs.get(data["id"])
                        assert before != data, "told twice"
                        if before is None:
                            assert data["state"] == "pending", "the job's beginning was not told"
                        else:
                            assert order[before["state"]] <= order[data["state"]]
                            assert before["bytes_accepted"] <= data["bytes_accepted"]
                        jobs[data["id"]] = data
                    else:
                        printers[data["name"]] = data
                client.events.clear()
                told = {job["id"]: job for job in state["jobs"]}
                if checked:
                    assert {id for id, job in jobs.items() if job["ended"] is None} <= set(told)
                    for id, job in told.items():
                        assert jobs[id] == job
                    for printer in state["printers"]:
                        before = printers[printer["name"]]
                        assert {**before, "at": 0} == {**printer, "at": 0}
                jobs = {**jobs, **told}
                printers = {printer["name"]: printer for printer in state["printers"]}
                checked += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert checked > 50
    assert events > 500


def test_a_new_subscription_holds_all_that_has_not_ended_and_the_last_that_did(client, monkeypatch):
    monkeypatch.setattr(hub_module, "SNAPSHOT_JOBS", 3)
    client.print("Off", "x\n", id="old")
    for number in range(5):
        client.print("Label", "x\n", id=f"ended-{number}", wait="ended")
    for number in range(5):
        client.print("Off", "x\n", id=f"waiting-{number}")
    jobs = [job["id"] for job in client.ask("subscribe")["jobs"]]
    assert jobs == ["old", "ended-2", "ended-3", "ended-4", *(f"waiting-{number}" for number in range(5))]
    client.ask("jobs.cancel", id="old")  # now it is the one that ended last
    jobs = [job["id"] for job in client.ask("subscribe")["jobs"]]
    assert jobs == ["old", "ended-3", "ended-4", *(f"waiting-{number}" for number in range(5))]


def test_the_printerwebsocket_accent_gets_nothing_unasked_unless_it_subscribed(server, client, label):
    client.ask("subscribe")
    with server.connect() as other, server.connect() as subscribed:
        assert subscribed.ask("subscribe")["result"]["server"]["stopping"] is False
        client.print("Label", "x\n", id="told", wait="ended")
        apply(server, printers={"Label": PrinterConfig(label.address, "tspl", share=False)})
        client.event(lambda kind, _: kind == "server")
        assert other.frames_until_sentinel() == []
        told = [json.loads(frame) for frame in subscribed.frames_until_sentinel()]
        assert {"job", "server"} <= {frame["event"] for frame in told}
        assert [frame["data"]["state"] for frame in told if frame["event"] == "job"][-1] == "delivered"
        assert subscribed.ask("unsubscribe")["result"] is None
        client.print("Label", "x\n", wait="ended")
        assert subscribed.frames_until_sentinel() == []
        assert other.frames_until_sentinel() == []


# Clients that are no good


def test_a_client_that_does_not_read_is_cut_off(start, label, caplog, monkeypatch):
    """What waits for it stays below the bound; others do not even notice."""
    limit, uid = 100_000, "u" * 40_000
    server = start({"Label": PrinterConfig(label.address, "tspl", share=False)}, max_outbox_bytes=limit)
    most, frames = [0], [0]
    send = client_module.Client.send

    def measured(client, frame):
        send(client, frame)
        most[0] = max(most[0], client._connection.transport.get_write_buffer_size())
        frames[0] = max(frames[0], len(frame))

    monkeypatch.setattr(client_module.Client, "send", measured)
    caplog.set_level(logging.WARNING, "rawprint_server.client")
    with server.native() as other, Plain(server) as deaf:
        other.ask("subscribe")
        assert server.metric("rawprint_clients") == 2
        deaf.send("subscribe")
        times = []
        with suppress(ConnectionError, TimeoutError):
            for _ in range(1000):
                deaf.send("printers.find", uid)
                began = time.monotonic()
                other.ask("printers.find")
                times.append(time.monotonic() - began)
                if server.metric("rawprint_clients_cut_off_total"):
                    break
        assert server.metric("rawprint_clients_cut_off_total") == 1
        assert len(times) > 5
        assert max(times) < 1.0
        with suppress(ConnectionError):  # some systems send what they have before the connection ends
            deaf.read_to_the_end()
        deadline = time.monotonic() + PATIENCE
        while server.metric("rawprint_clients") != 1:
            assert time.monotonic() < deadline
        assert other.print("Label", "x\n", wait="ended")["state"] == "delivered"
        assert server.metric("rawprint_clients_cut_off_total") == 1
    assert limit < most[0] <= limit + frames[0] + 14
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert re.fullmatch(r"cut off the client \('127\.0\.0\.1', \d+\): it does not read", lines[0])


def test_a_deaf_subscriber_is_cut_off_by_events_alone(start, label):
    server = start({"Label": PrinterConfig(label.address, "tspl", share=False)}, max_outbox_bytes=65536)
    with server.native() as busy, Plain(server) as deaf:
        deaf.send("subscribe")
        deadline = time.monotonic() + 20
        name = "\u6f22" * 256  # makes events longer
        while not server.metric("rawprint_clients_cut_off_total"):
            assert time.monotonic() < deadline
            uids = [busy.send("print", printer="Label", data="x", options={"jobName": name}) for _ in range(200)]
            for uid in uids:
                busy.reply(uid)
        assert busy.print("Label", "x\n", wait="ended")["state"] == "delivered"


def test_too_many_calls(server, client, label, monkeypatch):
    """What is refused has not been done: not one of the jobs that were too many is printed."""
    monkeypatch.setattr(native_module, "MOST_WAITING", 5)
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    waiting = [
        client.send("print", printer="Label", data="x\n", options={"id": str(number), "wait": "ended"})
        for number in range(5)
    ]
    error = client.refusal("print", printer="Label", data="never\n", options={"id": "sixth", "wait": "ended"})
    assert (error.code, error.hint != "") == ("too-many-calls", True)
    assert client.refusal("printers.status", printer="Receipt").code == "too-many-calls"
    with server.native() as other:
        assert other.refusal("jobs.get", id="sixth").code == "unknown-job"
        assert other.ask("printers.status", printer="Receipt")["state"] == "idle"
        label.set("media-empty", False)
        assert {client.reply(uid)["state"] for uid in waiting} == {"delivered"}
        assert client.print("Label", "END\n", wait="ended")["state"] == "delivered"
    assert b"never" not in got_by(label)


def test_a_thousand_calls_may_wait(client, label):
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    waiting = [
        client.send("print", printer="Label", data="x\n", options={"id": "one", "wait": "ended"}) for _ in range(1000)
    ]
    assert client.refusal("printers.status", printer="Receipt").code == "too-many-calls"
    label.set("media-empty", False)
    assert {client.reply(uid)["state"] for uid in waiting} == {"delivered"}
    assert client.ask("printers.status", printer="Receipt")["state"] == "idle"


def test_who_left_is_not_waited_for(server, client, label):
    """Waiting for a job that does not end, over and over, leaves nothing behind."""
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    client.print("Label", "x\n", id="stuck")
    for _ in range(5):
        with server.native() as other:
            for _ in range(10):
                other.send("print", printer="Label", data="x\n", options={"id": "stuck", "wait": "ended"})
            other.settled()
    deadline = time.monotonic() + PATIENCE
    while server.metric("rawprint_clients") > 1:
        assert time.monotonic() < deadline
    client.settled()
    known = server.app._hub._known["stuck"]
    assert server.call(lambda: len(known.waiters)) == 0
    label.set("media-empty", False)


# Sizes


def test_a_message_that_is_too_large_is_refused(start):
    server = start(max_message_bytes=2048)
    with server.native() as client:
        for text in ("x" * 2100, "\u20ac" * 700):
            client.ws.send('{"call":"printers.find","uid":7,"params":"' + text + '"}')
            reply = client.read()
            assert (reply["uid"], reply["error"]["code"]) == (7, "too-large")
            assert reply["error"]["hint"]
        client.ws.send(framed('{"call":"print","uid":8}', bytes(2100)))
        reply = client.read()
        assert (reply["uid"], reply["error"]["code"]) == (8, "too-large")
        assert client.ask("printers.find") == []
        client.ws.send("x" * 5000)
        with pytest.raises(ConnectionClosed) as caught:
            client.read()
        assert caught.value.rcvd.code == 1009


def test_a_message_of_just_the_limit_is_taken(start):
    server = start(max_message_bytes=2048)
    with server.native() as client:
        for size, taken in ((2048, True), (2049, False)):
            head, tail = '{"call":"printers.find","uid":7,"params":"', '"}'
            client.ws.send(head + "x" * (size - len(head) - len(tail)) + tail)
            assert ("result" in client.read()) is taken


# The end


def ended_with(client):
    """The close code and reason; everything before that has been read."""
    with pytest.raises(ConnectionClosed) as caught:
        client._read_until(lambda: False, 2 * PATIENCE)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_what_is_answered_was_done_and_what_is_not_was_not(start, label, receipt):
    """A page prints as fast as it can while the server ends."""
    server = start(
        {
            "Label": PrinterConfig(label.address, "tspl", share=False),
            "Receipt": PrinterConfig(receipt.address, "escpos"),
        }
    )
    label.set("media-empty", True)  # so that jobs are under way at the end
    sent, answered = {}, {}
    with server.native() as client:
        client.ask("subscribe")
        stopper = threading.Thread(target=server.__exit__)
        try:
            with suppress(ConnectionClosed):
                for number in range(100_000):
                    printer = "Label" if number % 5 == 0 else "Receipt"
                    wait = ("accepted", "delivered", "ended")[number % 3]
                    id = f"<{number}>"
                    uid = client.send("print", printer=printer, data=f"{id}\n", options={"id": id, "wait": wait})
                    sent[uid] = (printer, id)
                    if number == 300:
                        stopper.start()
                        label.set("media-empty", False)
                    if number % 50 == 0:
                        with suppress(TimeoutError):
                            client._read_until(lambda: False, 0.001)
            code = ended_with(client)
        finally:
            stopper.join()
        assert code == (1012, "the server stops")
        answered = {uid: reply for uid, reply in client._replies.items() if uid in sent}
        got = {"Label": label.received(), "Receipt": receipt.received()}
        assert 0 < len(answered) <= len(sent)
        told = {}
        for event in client.events:
            if event["event"] == "job":
                told[event["data"]["id"]] = event["data"]
        servers = [event["data"] for event in client.events if event["event"] == "server"]
        assert [one["stopping"] for one in servers] == [True]
        for uid, (printer, id) in sent.items():
            came_out = got[printer].count(f"{id}\n".encode())
            assert came_out <= 1
            if uid not in answered:
                assert came_out == 0, f"{id} was printed, and not answered"
                assert id not in told, f"{id} was taken, and not answered"
            elif "result" in answered[uid]:
                assert told[id]["ended"] is not None, "the end of a job was not told"
                if told[id]["state"] in {"delivered", "completed"}:
                    assert came_out == 1
                else:
                    assert came_out == 0 or told[id]["state"] == "uncertain"


@pytest.mark.parametrize("wait", ["delivered", "ended"])
def test_a_job_that_is_waited_for_at_the_end_is_answered(start, label, wait):
    server = start({"Label": PrinterConfig(label.address, "tspl", share=False)})
    label.set_speed(150_000)
    with server.native() as client:
        client.ask("subscribe")
        waiting = client.send("print", printer="Label", data="x" * 300_000, options={"id": "long", "wait": wait})
        never = client.send("print", printer="Label", data="never\n", options={"id": "never", "wait": wait})
        client.event(lambda kind, data: kind == "job" and data["bytes_accepted"] > 0)
        stopper = threading.Thread(target=server.__exit__)
        stopper.start()
        assert client.event(lambda kind, _: kind == "server")["stopping"] is True
        try:
            assert ended_with(client) == (1012, "the server stops")
        finally:
            stopper.join()
        assert [event["data"]["state"] for event in client.events if event["data"].get("id") == "long"][
            -1
        ] == "delivered"
        assert client.has_reply(waiting), "printed, and not answered"
        assert client.reply(waiting)["bytes_accepted"] == 300_000
        assert client.reply(never)["state"] == "canceled"
    assert b"never" not in label.received()


def test_the_end_of_jobs_is_told(start, label):
    server = start({"Label": PrinterConfig(label.address, "tspl"), "Off": PrinterConfig("tcp://127.0.0.1:1", "tspl")})
    with server.native() as client, server.connect() as other:
        state = client.ask("subscribe")
        assert state["server"]["stopping"] is False
        client.print("Off", "x\n", id="waiting")
        server.__exit__()
        assert client.job_event("waiting", "canceled")["bytes_accepted"] == 0
        assert ended_with(client) == (1012, "the server stops")
        with pytest.raises(ConnectionClosed) as caught:
            other.recv()
        assert caught.value.rcvd.code == 1012


def test_a_deaf_client_does_not_hold_up_the_end(start):
    server = start()
    with Plain(server) as deaf:
        for _ in range(50):
            deaf.send("printers.find", "u" * 40_000)
        began = time.monotonic()
        server.__exit__()
        assert time.monotonic() - began < PATIENCE


# Another configuration


def test_printers_come_and_go(server, client, label, receipt):
    client.ask("subscribe")
    apply(
        server,
        printers={
            "Label": PrinterConfig(label.address, "tspl", share=False),
            "New": PrinterConfig(receipt.address, "escpos"),
            "Mute": PrinterConfig("tcp://127.0.0.1:1"),
        },
    )
    assert client.event(lambda kind, _: kind == "server")["printers"] == ["Label", "New", "Mute"]
    told = [event["data"]["name"] for event in client.settled() if event["event"] == "printer"]
    assert [name for name in told if name != "Label"] == ["New", "Mute"]
    assert client.ask("printers.find") == ["Label", "New", "Mute"]
    assert client.print("New", "x\n", wait="ended")["state"] == "delivered"
    assert client.refusal("print", printer="Receipt", data="x").code == "unknown-printer"


def test_what_the_server_says_of_itself_changes(server, client):
    before = client.ask("subscribe")["server"]
    apply(server, server=ServerConfig(port=0, max_message_bytes=5000))
    after = client.event(lambda kind, _: kind == "server")
    assert after == {**before, "max_message_bytes": 5000}


def test_the_same_configuration_loses_nothing(server, client, label):
    label.set("media-empty", True)
    before = client.ask("subscribe")["server"]
    client.print("Label", "x\n", id="waiting")
    for _ in range(3):
        apply(server)
        assert client.event(lambda kind, _: kind == "server") == before
    label.set("media-empty", False)
    assert client.print("Label", "x\n", id="waiting", wait="ended")["state"] == "delivered"
    assert label.received().count(b"x\n") == 1


def test_a_printer_that_goes_finishes_its_jobs(server, client, label, receipt):
    label.set("media-empty", True)
    client.ask("subscribe")
    client.event(lambda kind, data: kind == "printer" and data["state"] == "stopped")
    for number in range(3):
        client.print("Label", f"<{number}>\n", id=str(number))
    apply(server, printers={"Receipt": PrinterConfig(receipt.address, "escpos")})
    assert client.event(lambda kind, _: kind == "server")["printers"] == ["Receipt"]
    assert client.refusal("print", printer="Label", data="x").code == "unknown-printer"
    state = client.ask("subscribe")
    assert [printer["name"] for printer in state["printers"]] == ["Receipt"]
    assert [job["id"] for job in state["jobs"]] == ["0", "1", "2"]
    label.set("media-empty", False)
    for number in range(3):
        assert client.job_event(str(number), *ENDS)["state"] == "delivered"
    assert label.received().count(b">\n") == 3
    assert label.wait(lambda _: label.state()["connections"] == 0, PATIENCE), "the printer was not let go"
    assert [
        event for event in client.settled() if event["event"] == "printer" and event["data"]["name"] == "Label"
    ] == []


def test_a_printer_that_goes_and_comes_back_has_its_jobs(server, client, label):
    label.set("media-empty", True)
    client.ask("printers.status", printer="Label")
    client.print("Label", "x\n", id="waiting")
    apply(server, printers={})
    assert client.ask("jobs.get", id="waiting")["ended"] is None
    apply(server, printers={"Label": PrinterConfig(label.address, "tspl", share=False)})
    assert client.ask("printers.list")[0]["name"] == "Label"
    again = client.send("print", printer="Label", data="x\n", options={"id": "waiting", "wait": "ended"})
    label.set("media-empty", False)
    assert client.reply(again)["state"] == "delivered"
    assert label.received().count(b"x\n") == 1


def test_a_job_that_waits_at_a_wrong_address_is_printed_at_the_right_one(server, client, label):
    client.ask("subscribe")
    first = client.send("print", printer="Off", data="one\n", options={"id": "one", "wait": "ended"})
    client.print("Off", "two\n", id="two")
    client.event(lambda kind, data: kind == "printer" and data["error"] is not None)
    apply(server, printers={"Off": PrinterConfig(label.address, "tspl")})
    assert client.reply(first)["state"] == "delivered"
    assert client.print("Off", "two\n", id="two", wait="ended")["state"] == "delivered"
    got = label.received()
    assert (got.count(b"one\n"), got.count(b"two\n")) == (1, 1)
    client.settled()
    last = [event["data"] for event in client.events if event["event"] == "printer"][-1]
    assert (last["address"], last["error"], last["pending"]) == (label.address, None, 0)


def test_a_corrected_address_is_told(start):
    """Every time, and also of a printer that nobody asks."""
    server = start({"Off": PrinterConfig("tcp://127.0.0.1:1")})
    with server.native() as client:
        client.ask("subscribe")
        for port in range(2, 32):
            address = f"tcp://127.0.0.1:{port}"
            apply(server, printers={"Off": PrinterConfig(address)})
            client.event(lambda kind, data, address=address: kind == "printer" and data["address"] == address, 2.0)


def test_a_held_printer_is_known_at_its_corrected_address(start, stack):
    first, second = (stack.enter_context(Listener(device("tspl"))) for _ in range(2))
    server = start({"Label": PrinterConfig(first.address, "tspl", share=False)})
    with server.native() as client:
        client.ask("subscribe")
        for listener in (first, second, first):  # each says the same of itself
            apply(server, printers={"Label": PrinterConfig(listener.address, "tspl", share=False)})
            address = listener.address
            client.event(lambda _, data, address=address: (data.get("address"), data.get("state")) == (address, "idle"))
        assert client.ask("printers.status", printer="Label")["state"] == "idle"


def test_a_move_during_a_job_tells_nothing_of_the_old_printer(start, stack, closed_port):
    listener = stack.enter_context(Listener(device("tspl")))
    server = start({"Label": PrinterConfig(listener.address, "tspl", poll=0)})
    with server.native() as client:
        client.ask("subscribe")
        listener.stall(True)
        job = client.print("Label", "x" * 300_000)
        client.job_event(job["id"], "stopped")
        apply(server, printers={"Label": PrinterConfig(f"tcp://127.0.0.1:{closed_port}", "tspl", poll=0)})
        listener.stall(False)
        assert client.job_event(job["id"], "delivered")
        view = client.ask("printers.list")[0]
        assert (view["state"], view["at"]) == ("unknown", None)


def test_a_printer_that_comes_back_before_its_job_has_ended_is_told(server, client, label, receipt):
    label.set("media-empty", True)
    client.ask("subscribe")
    client.print("Label", "x\n")
    client.event(lambda kind, data: kind == "job" and data["reasons"])
    everything = {"Receipt": PrinterConfig(receipt.address, "escpos"), "Label": PrinterConfig(label.address, "tspl")}
    apply(server, printers={"Receipt": everything["Receipt"]})
    client.event(lambda kind, data: kind == "server" and data["printers"] == ["Receipt"])
    apply(server, printers=everything)
    client.event(lambda kind, data: kind == "server" and data["printers"] == ["Receipt", "Label"])
    client.event(lambda kind, data: kind == "printer" and data["name"] == "Label")
    label.set("media-empty", False)


def test_a_job_behind_one_that_stands_is_canceled_and_can_be_printed_again(server, client, label):
    label.stall(True)
    client.ask("subscribe")
    first = client.print("Label", "x" * 300_000)
    client.job_event(first["id"], "stopped")
    client.print("Label", "second\n", id="b")
    assert client.ask("jobs.cancel", id="b")["state"] == "canceled"
    assert client.print("Label", "second\n", id="b")["state"] == "pending"
    label.stall(False)
    client.job_event("b", "delivered")
    assert label.received().count(b"second\n") == 1


def test_a_page_hears_nothing_of_the_configuration_that_shuts_it_out(start, label, receipt):
    server = start({"Label": (label.address, "tspl")}, origins=[POS])
    with server.native(origin=POS) as page:
        page.ask("subscribe")
        page.settled().clear()
        secret = {"Label": PrinterConfig(label.address, "tspl"), "Secret": PrinterConfig(receipt.address, "escpos")}
        apply(server, printers=secret, origins=())
        told = []
        with suppress(ConnectionClosed):
            while True:
                told.append(page.ws.recv(PATIENCE))
        assert "Secret" not in "".join(told)
        assert page.ws.close_code == 4403


def test_a_longer_message_is_taken_once_the_configuration_says_so(start, label):
    server = start({"Label": (label.address, "tspl")}, max_message_bytes=2048)
    with server.native() as client:
        assert client.refusal("print", printer="Label", data="x" * 3000).code == "too-large"
        apply(server, server=ServerConfig(port=0, max_message_bytes=100_000))
        assert client.print("Label", "x" * 50_000, wait="delivered")["bytes_accepted"] == 50_000


def test_an_origin_that_is_withdrawn(start, label):
    server = start({"Label": (label.address, "tspl")}, origins=[POS, "https://other.example"])
    with (
        server.native(origin=POS) as page,
        server.native(origin="https://other.example") as other,
        server.native() as program,
    ):
        page.ask("subscribe")
        other.ask("subscribe")
        waiting = other.send("print", printer="Label", data="x\n", options={"wait": "ended"})
        apply(server, origins=("https://other.example",))
        code, reason = ended_with(page)
        assert code == 4403
        assert reason == f"{POS} is not allowed: rawprint-server access allow"
        assert other.reply(waiting)["state"] == "delivered"
        assert program.ask("printers.find") == ["Label"]
        deadline = time.monotonic() + PATIENCE
        while server.metric("rawprint_clients") != 2:
            assert time.monotonic() < deadline
        apply(server, origins=("https://other.example",))
        assert other.ask("printers.find") == ["Label"]


def test_a_page_whose_origin_is_withdrawn_prints_nothing_more(start, label):
    """It goes on sending, and does not answer the end of its connection."""
    server = start({"Label": (label.address, "tspl")}, origins=[POS])
    with Plain(server, POS) as page, server.native() as program:
        page.send("print", printer="Label", data="before\n", options={"id": "before"})
        while not program.ask("jobs.list"):
            pass
        apply(server, origins=())
        with suppress(ConnectionError):
            for number in range(10):
                page.send("print", printer="Label", data="after\n", options={"id": f"after-{number}"})
        program.settled()
        deadline = time.monotonic() + PATIENCE
        while server.metric("rawprint_clients") != 1:
            assert time.monotonic() < deadline
        assert [job["id"] for job in program.ask("jobs.list")] == ["before"]


# Faults


def test_a_fault_of_the_server_is_answered_and_logged(server, client, monkeypatch, caplog):
    monkeypatch.setattr(server.app._hub, "names", lambda: 1 / 0)
    error = client.refusal("printers.find")
    assert (error.code, error.hint) == ("internal", "Its log says why.")
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.setattr(server.app._hub, "status", lambda *_: 1 / 0)
    assert client.refusal("printers.status", printer="Label").code == "internal"
    monkeypatch.undo()
    assert client.ask("printers.find") == ["Label", "Receipt", "Off"]


def test_calls_are_counted(server, client):
    client.ask("printers.find")
    client.refusal("jobs.get", id="none")
    client.refusal("nope" * 10)
    client.refusal("printers.status", printer="Off")
    with server.connect() as other:
        other.ask("jobs.get", params={"id": "none"})
        other.ask("printers.find")
    deadline = time.monotonic() + PATIENCE
    while server.metric("rawprint_clients") > 1:
        assert time.monotonic() < deadline
    for call, outcome, count in (
        ("printers.find", "ok", 2),
        ("jobs.get", "unknown-job", 2),
        ("unknown", "unknown-call", 1),
        ("printers.status", "not-found", 1),
    ):
        assert server.metric(f'rawprint_calls_total{{call="{call}",outcome="{outcome}"}}') == count, (call, outcome)
