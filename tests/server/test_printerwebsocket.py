"""The printerwebsocket accent against virtual printers: bytes, states, order, and frames that nobody should send."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

PATIENCE = 5.0
END = "\x00end"  # marks the end of a job's bytes in what a printer received


def printed_from(client, label, data, **params):
    """What the printer gets for this data: printed between two marks."""
    begin = len(label.received())
    assert client.print("Label", data, **params)["status"] == "success"
    assert client.print("Label", END)["status"] == "success"
    assert label.wait(lambda device: END.encode() in device.received[begin:], PATIENCE)
    got = label.received()[begin:].partition(END.encode())[0]
    return got.replace(b"\x1b!?", b"").replace(b"\x1b!S", b"")  # status questions between the jobs


# Bytes


PAYLOADS = [
    ("CLS\n", b"CLS\n"),
    (["CLS\n"], b"CLS\n"),
    ("\n    SIZE 80 mm, 40 mm\n    CLS\n", b"\n    SIZE 80 mm, 40 mm\n    CLS\n"),
    (["CLS"], b"CLS"),
    ("CLS", b"CLS"),
    (["SIZE 80 mm", "CLS", "PRINT 1"], b"SIZE 80 mm\r\nCLS\r\nPRINT 1\r\n"),
    (["SIZE 80 mm", "", "CLS"], b"SIZE 80 mm\r\n\r\nCLS\r\n"),
    (["SIZE 80 mm\n", "CLS"], b"SIZE 80 mm\nCLS"),
    (["SIZE 80 mm", "CLS\r"], b"SIZE 80 mmCLS\r"),
    (["A", {"data": "B"}], b"AB"),
    ([{"data": "A"}, {"data": "B"}], b"AB"),
    (["TEXT \u00e4\u20ac\U0001f600\u00ff\n"], "TEXT \u00e4\u20ac\U0001f600\u00ff\n".encode()),
    (["a\x00b\x7f\x1b\n"], b"a\x00b\x7f\x1b\n"),
    ([{"type": "raw", "format": "command", "flavor": "plain", "data": "\u00e4"}], b"\xc3\xa4"),
    ([{"flavor": "base64", "data": "/wDA\r\nAQ=="}], b"\xff\x00\xc0\x01"),
    ([{"flavor": "hex", "data": "ff00 C001"}], b"\xff\x00\xc0\x01"),
    (["A", {"flavor": "hex", "data": "0d"}, "B", {"flavor": "base64", "data": ""}], b"A\rB"),
    ([{"data": "A", "options": {"language": "TSPL"}, "other": [1]}], b"A"),
]


def test_what_the_printer_gets(client, label):
    for data, wanted in PAYLOADS:
        assert printed_from(client, label, data) == wanted, data


def test_joining_can_be_switched_off(start, label):
    server = start({"Label": (label.address, "tspl")}, join_commands=False)
    with server.connect() as client:
        assert printed_from(client, label, ["SIZE 80 mm", "CLS"]) == b"SIZE 80 mmCLS"


def test_a_bare_name_is_a_printer_too(client, label):
    client.send("print", params={"printer": "Label", "data": "CLS\r\n"})
    assert [client.recv()["status_code"], client.recv()["status_code"]] == [1, 0]
    assert label.wait(lambda device: b"CLS\r\n" in device.received, PATIENCE)


def test_a_repeated_uid_is_no_repeated_job(client, label):
    for _ in range(3):
        assert client.print("Label", "CLS\r\n", uid="same")["status_code"] == 0
    assert label.wait(lambda device: device.received.count(b"CLS\r\n") == 3, PATIENCE)


def test_a_repeated_id_is(client, label):
    for uid in ("one", "two"):
        assert client.print("Label", "CLS\r\n", uid=uid, options={"id": "ticket-1"})["status_code"] == 0
    client.print("Label", END)
    assert label.wait(lambda device: END.encode() in device.received, PATIENCE)
    assert label.received().count(b"CLS\r\n") == 1
    job = client.ask("jobs.get", params={"id": "ticket-1"})["result"]
    assert (job["id"], job["printer"], job["bytes_total"]) == ("ticket-1", "Label", 5)


def test_a_megabyte_and_a_half(client, receipt):
    data = bytes(range(32, 127)) * 12_000  # 1.14 MB, 1.52 MB as base64
    text = base64.b64encode(data).decode()
    assert len(text) > 1_500_000
    assert client.print("Receipt", [{"flavor": "base64", "data": text}])["status_code"] == 0
    assert receipt.wait(lambda device: len(device.received) >= len(data), PATIENCE)
    assert data in receipt.received()


def test_a_frame_over_the_limit_ends_the_connection(start):
    server = start(max_message_bytes=2048)
    with server.connect() as client:
        assert client.ask("printers.find", params="x" * 1900)["result"] == []
        client.send("printers.find", params="x" * 2048)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd.code == 1009
    with server.connect() as client:
        assert client.ask("printers.find")["result"] == []


# States


def test_media_empty_and_cure(client, label):
    assert client.status("Label") == 0
    for reason, code in (("media-empty", 2), ("cover-open", 3), ("media-empty", 2)):
        label.set(reason, True)
        begin = time.monotonic()
        assert client.status("Label") == code
        assert time.monotonic() - begin < 1.0
        label.set(reason, False)
        assert client.status("Label") == 0


def test_receipt_states(client, receipt):
    assert client.status("Receipt") == 0
    receipt.set("media-low", True)
    assert client.status("Receipt") == 0
    receipt.set("cover-open", True)
    assert client.status("Receipt") == 3
    receipt.set("media-empty", True)
    assert client.status("Receipt") == 2


def test_a_silent_printer_is_unknown_in_time(client, label):
    label.stall(True)
    begin = time.monotonic()
    reply = client.ask("printerStatus", PrinterName="Label")
    assert time.monotonic() - begin < 1.5
    assert (reply["status"], reply["PrinterName"], reply["status_code"]) == ("error", "Label", 3)
    label.stall(False)


def test_unreachable_and_unknown(start, closed_port):
    server = start({"Gone": (f"tcp://127.0.0.1:{closed_port}", "tspl")})
    with server.connect() as client:
        for name in ("Gone", "Nobody"):
            reply = client.ask("printerStatus", PrinterName=name)
            assert (reply["status"], reply["PrinterName"], reply["status_code"]) == ("error", name, 3)


def test_a_job_that_goes_out_is_processing(client, label):
    """The printer stops reading for no reason that it gives, so the job's bytes stay on their way."""
    assert client.status("Label") == 0
    label.stall(True)
    client.print("Label", "x" * 4_000_000, options={"id": "long"})
    deadline = time.monotonic() + PATIENCE
    while client.ask("jobs.get", params={"id": "long"})["result"]["state"] == "pending":
        assert time.monotonic() < deadline
    codes = [client.status("Label")]
    while codes[-1] != 3:  # no byte for a second is a stop
        codes.append(client.status("Label"))
    assert codes[0] == 1
    assert set(codes) == {1, 3}
    label.stall(False)


def test_paper_out_under_a_job_and_cure(client, label):
    def status_once_the_bytes_are_out():
        deadline = time.monotonic() + 1.0
        while (code := client.status("Label")) == 1:  # a matter of milliseconds
            assert time.monotonic() < deadline
        return code

    assert client.status("Label") == 0
    label.set("media-empty", True)
    client.print("Label", "x\r\n")
    assert status_once_the_bytes_are_out() == 2
    label.set("media-empty", False)
    assert status_once_the_bytes_are_out() == 0
    assert label.wait(lambda device: b"x\r\n" in device.printed, PATIENCE)


# Order


def test_replies_come_in_the_order_of_requests(client, label):
    """Written in one go: a find behind a print behind a status question to a printer that takes its time."""
    label.stall(True)
    for round_ in range(2):
        client.send("printerStatus", f"status-{round_}", PrinterName="Label")
        client.send("print", f"print-{round_}", params={"printer": "Receipt", "data": "x\n"})
        client.send("printers.find", f"find-{round_}")
        client.ws.send("not JSON")
        client.send("nope", f"nope-{round_}")
        client.send("jobs.list", f"jobs-{round_}")
    wanted = [
        f"{call}-{round_}" for round_ in range(2) for call in ("status", "print", "print", "find", "nope", "jobs")
    ]
    assert [client.recv()["uid"] for _ in wanted] == wanted
    assert client.frames_until_sentinel() == []
    label.stall(False)


def test_a_slow_printer_holds_up_no_other_client(server, client, label):
    label.stall(True)
    client.send("printerStatus", PrinterName="Label")
    with server.connect() as other:
        begin = time.monotonic()
        assert other.status("Receipt") == 0
        assert time.monotonic() - begin < 0.5
    assert client.recv()["status_code"] == 3
    label.stall(False)


def test_nothing_comes_unasked(client, label):
    label.set("media-empty", True)
    client.print("Label", "x\r\n")
    label.set("media-empty", False)
    assert label.wait(lambda device: b"x\r\n" in device.printed, PATIENCE)
    assert client.frames_until_sentinel() == []


def test_a_page_may_print_and_be_left(server, label):
    with server.connect() as client:
        client.send("print", params={"printer": "Label", "data": "last words\r\n"})
    assert label.wait(lambda device: b"last words\r\n" in device.received, PATIENCE)


# Frames that nobody should send

DEEP = 100_000

STRANGE = {
    "deep": '{"call":"printers.find","uid":"U","params":' + "[" * DEEP + "]" * DEEP + "}",
    "deep uid": '{"call":"printers.find","uid":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
    "deep and open": "[" * DEEP,
    "deep nothing": "[" * DEEP + "]" * DEEP,
    "deep print": '{"call":"print","params":{"printer":"Label","data":' + "[" * 500 + "]" * 500 + "}}",
    "huge number": '{"call":"printers.find","uid":' + "9" * 100_000 + "}",
    "huge exponent": '{"call":"printers.find","uid":1e999999}',
    "huge number as call": '{"call":' + "9" * 100_000 + "}",
    "huge number as data": '{"call":"print","params":{"printer":"Label","data":' + "9" * 100_000 + "}}",
    "huge number and half a pair": '{"call":"\\ud800","uid":' + "9" * 100_000 + "}",
    "call twice": '{"call":"nope","call":"printers.find"}',
    "null bytes": '{"call":"printers.find\\u0000"}',
    "half a pair as call": '{"call":"\\udc00"}',
    "half a pair as key": '{"\\udc00":1,"call":"printers.find"}',
    "half a pair as name": '{"call":"printerStatus","PrinterName":"\\ud800x"}',
    "half a pair as id": '{"call":"print","params":{"printer":"Label","data":"x","options":{"id":"\\ud800"}}}',
    "binary": b'{"call":"printers.find","uid":"binary"}',
    "binary nothing": b"",
    "binary bytes": bytes(range(256)),
    "binary latin 1": '{"call":"printers.find","uid":"\u00e4"}'.encode("latin-1"),
    "binary surrogate": '{"call":"printers.find","uid":"\ud800"}'.encode("utf-8", "surrogatepass"),
    "binary UTF-16": '{"call":"printers.find"}'.encode("utf-16"),
    "blank": " \n\t ",
    "long name": json.dumps({"call": "printerStatus", "PrinterName": "x" * 100_000}),
    "long call": json.dumps({"call": "x" * 100_000}),
    "long id": json.dumps({"call": "print", "params": {"printer": "Label", "data": "x", "options": {"id": "x" * 257}}}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_frame_leaves_the_connection_open(client, name):
    client.ws.send(STRANGE[name])
    frames = [json.loads(frame, parse_int=str) for frame in client.frames_until_sentinel()]
    assert len(frames) <= 1
    for frame in frames:
        assert ("result" in frame) != (frame.get("status") == "error")
        assert frame.get("error", {}).get("code") != "internal"


def test_a_uid_comes_back_to_the_letter(client):
    for uid in ("1e400", "0.10", "-0", "1" * 5000, '{ "b" :1, "a": [ ] }', '"\\u00e4\\/"', "null", "false"):
        client.ws.send('{"call":"printers.find","uid":' + uid + "}")
        assert client.ws.recv(PATIENCE).startswith('{"uid":' + uid + ',"result":')


def test_a_uid_without_end_is_refused(client):
    client.ws.send('{"call":"printers.find","uid":"' + "u" * 70_000 + '"}')
    assert client.recv()["error"]["code"] == "bad-request"
    assert client.ask("printers.find")["result"] == ["Label", "Receipt"]


def test_items_without_end_are_refused(client, label):
    client.send("print", params={"printer": "Label", "data": [""] * 10_001})
    assert client.recv()["error"]["code"] == "bad-request"
    assert client.ask("printers.find")["result"] == ["Label", "Receipt"]
    assert label.received() == b""


@pytest.mark.parametrize("data", [["", ""], [""], [], ""])
def test_nothing_is_not_printed(client, label, data):
    reply = client.ask("print", params={"printer": {"name": "Label"}, "data": data})
    assert reply == {"uid": "U", "status": "error", "message": "Invalid printer or TSPL data", "status_code": 3}


def test_while_a_job_goes_out_an_older_stop_is_not_believed(client, label):
    """Paper out, cured, and then a long job: the printer prints, whatever it said before."""
    label.set("media-empty", True)
    assert client.status("Label") == 2
    assert label.wait(lambda _: label.state()["connections"] == 0, 2 * PATIENCE)  # let go of the idle printer
    label.set("media-empty", False)
    label.set_speed(100_000)
    assert client.print("Label", "TEXT\n" * 30_000, options={"id": "long"})["status"] == "success"
    codes = []
    while client.ask("jobs.get", params={"id": "long"})["result"]["state"] in ("pending", "processing"):
        codes.append(client.status("Label"))
        if len(codes) > 20:
            label.set_speed(None)
    assert set(codes) <= {0, 1}
    assert 1 in codes


def test_a_binary_frame_is_answered_in_a_text_frame(client):
    client.ws.send(b'{"call":"printers.find","uid":"U"}')
    assert client.ws.recv(PATIENCE) == '{"uid":"U","result":["Label","Receipt"],"status_code":0}'


def test_fragments_make_one_frame(client):
    client.ws.send(iter(['{"call":"printers', '.find","u', 'id":"U"}']))
    assert client.recv()["result"] == ["Label", "Receipt"]


def test_text_that_is_not_utf8_ends_the_connection(client):
    client.ws.send(b'"\xff"', text=True)
    with pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert caught.value.rcvd.code == 1007


def test_a_fault_of_the_server_is_answered(server, client, monkeypatch):
    monkeypatch.setattr(server.app._hub, "names", lambda: 1 / 0)
    reply = client.ask("printers.find")
    assert (reply["uid"], reply["status"], reply["error"]["code"]) == ("U", "error", "internal")
    monkeypatch.undo()
    assert client.ask("printers.find")["result"] == ["Label", "Receipt"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Label", "Gone", "raw", "base64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["printer", "name", "data", "options", "id", "type", "format", "flavor"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
CALLS = [
    "printers.find",
    "server.version",
    "print",
    "printerStatus",
    "printers.list",
    "jobs.get",
    "jobs.list",
    "nope",
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"call": st.sampled_from(CALLS) | JSON}, optional={"uid": JSON, "params": JSON, "PrinterName": JSON}
    )
)
def test_any_request_is_answered_with_its_uid(client, message):
    text = json.dumps(message)
    client.ws.send(text)
    frames = client.frames_until_sentinel()
    try:
        json.dumps(message, allow_nan=False)
    except ValueError:  # NaN and Infinity are Python's, not JSON's
        assert frames == []
        return
    assert 1 <= len(frames) <= 2
    for frame in map(json.loads, frames):
        assert frame["uid"] == json.loads(text).get("uid")
        assert not isinstance(frame.get("error"), dict) or frame["error"]["code"] != "internal"
