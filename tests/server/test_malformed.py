"""Frames of the native protocol that nobody should send: each gets an error with a code, and nothing else comes of it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rawprint_server import messages, methods
from rawprint_server.messages import BadRequest, NotJson, RawItem
from rawprint_server.text import BadText

from .conftest import framed

DEEP = 100_000
HUGE = "9" * 10_000
LIMIT = 1_000_000


def ask(params, call="print"):
    """A request with these parameters, which are JSON."""
    return f'{{"call":"{call}","uid":"U","params":{params}}}'


def printing(data='"x"', options="{}"):
    return ask(f'{{"printer":"Label","data":{data},"options":{options}}}')


def item(**keys):
    return printing(json.dumps([keys]))


NOT_JSON = {
    "nothing": "",
    "blank": " \n\t ",
    "words": "not JSON",
    "NUL": "\0",
    "half an object": '{"call":"printers.find"',
    "half a string": '{"call":"printers.fi',
    "something behind": '{"call":"printers.find"} x',
    "two objects": '{"call":"printers.find"}{"call":"printers.find"}',
    "single quotes": "{'call':'printers.find'}",
    "comma at the end": '{"call":"printers.find",}',
    "comment": '{"call":"printers.find"/* find */}',
    "bare key": '{call:"printers.find"}',
    "NaN": '{"call":"printers.find","uid":NaN}',
    "Infinity": '{"call":"printers.find","uid":-Infinity}',
    "octal": '{"call":"printers.find","uid":017}',
    "plus": '{"call":"printers.find","uid":+1}',
    "line end in a string": '{"call":"printers\n.find"}',
    "wrong escape": '{"call":"printers\\x2efind"}',
    "BOM": '\ufeff{"call":"printers.find"}',
    "deep and open": "[" * DEEP,
    "deep and open object": '{"a":' * DEEP,
}
NO_REQUEST = {
    "array": "[]",
    "array of requests": '[{"call":"printers.find"}]',
    "number": "5",
    "string": '"printers.find"',
    "null": "null",
    "true": "true",
    "deep nothing": "[" * DEEP + "]" * DEEP,
    "half a pair": '{"call":"printers.find","uid":"\\ud800"}',
    "other half": '{"call":"printers.find","x":["\\udc00"]}',
    "half a pair as key": '{"\\udc00":1,"call":"printers.find"}',
    "half a pair as call": '{"call":"\\ud800"}',
    "half a pair and a huge number": '{"call":"\\ud800","uid":1e999}',
    "half a pair and a long uid": '{"call":"\\ud800","uid":"' + "u" * 70_000 + '"}',
    "half a pair and a deep uid": '{"call":"\\ud800","uid":' + "[" * 900 + "]" * 900 + "}",
    "deep params": '{"call":"printers.find","params":' + "[" * DEEP + "]" * DEEP + "}",
    "deep uid": '{"call":"printers.find","uid":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
    "uid without end": '{"call":"printers.find","uid":"' + "u" * 70_000 + '"}',
}
NO_CALL = {
    "empty object": "{}",
    "no call": '{"uid":1}',
    "call is null": '{"call":null}',
    "call is a number": '{"call":' + HUGE + "}",
    "call is an object": '{"call":{"name":"printers.find"}}',
    "call is an array": '{"call":["printers.find"]}',
    "call is empty": '{"call":""}',
    "call with NUL": '{"call":"printers.find\\u0000"}',
    "call is long": '{"call":"' + "x" * 100_000 + '"}',
    "call with blanks": '{"call":" printers.find "}',
    "dunder": '{"call":"__class__"}',
    "call twice": '{"call":"printers.find","call":"nope"}',
}
BAD_PARAMS = {
    "params: array": ask("[]"),
    "params: string": ask('"x"'),
    "params: number": ask(HUGE),
    "params: deep": ask("[" * 2000 + "]" * 2000),
    "params: empty": ask("{}"),
    "no printer": ask('{"data":"x"}'),
    "printer: number": ask('{"printer":1e999,"data":"x"}'),
    "printer: array": ask('{"printer":["Label"],"data":"x"}'),
    "printer: name of a wrong type": ask('{"printer":{"name":{}},"data":"x"}'),
    "printer: deep": ask('{"printer":' + '{"name":' * 5000 + "1" + "}" * 5000 + ',"data":"x"}'),
    "printer twice": ask('{"printer":"Label","printer":null,"data":"x"}'),
    "data: missing": ask('{"printer":"Label"}'),
    "data: number": printing("5"),
    "data: huge number": printing(HUGE),
    "data: true": printing("true"),
    "data: object": printing('{"data":"x"}'),
    "data: null in it": printing('["x",null]'),
    "data: array in it": printing('[["x"]]'),
    "data: too many": printing(json.dumps(["x"] * 10_001)),
    "data: deep": printing("[" * 500 + "]" * 500),
    "data: nothing": printing('["","",{"data":""}]'),
    "item: nothing": item(),
    "item: data of a wrong type": item(data=["x"]),
    "item: type": item(type="pixel", data="x"),
    "item: type of a wrong type": item(type=None, data="x"),
    "item: format": item(format="pdf", data="x"),
    "item: flavor": item(flavor="file", data="/etc/passwd"),
    "item: flavor of a wrong type": item(flavor=1, data="x"),
    "item: attached to nothing": item(flavor="attached"),
    "base64: no such letter": item(flavor="base64", data="Q?=="),
    "base64: no padding": item(flavor="base64", data="QQ"),
    "base64: padding in the middle": item(flavor="base64", data="QQ==QQ=="),
    "base64: too much padding": item(flavor="base64", data="QQ==="),
    "base64: of URLs": item(flavor="base64", data="_-8="),
    "base64: not ASCII": item(flavor="base64", data="\u00e4\u00e4\u00e4\u00e4"),
    "hex: odd": item(flavor="hex", data="0"),
    "hex: no such digit": item(flavor="hex", data="0g"),
    "hex: wide digits": item(flavor="hex", data="\uff10\uff10"),
    "hex: prefix": item(flavor="hex", data="0x1b"),
    "options: array": printing(options="[]"),
    "options: number": printing(options=HUGE),
    "id: empty": printing(options='{"id":""}'),
    "id: long": printing(options='{"id":"' + "x" * 257 + '"}'),
    "id: number": printing(options='{"id":' + HUGE + "}"),
    "copies: none": printing(options='{"copies":0}'),
    "copies: negative": printing(options='{"copies":-1}'),
    "copies: too many": printing(options='{"copies":1001}'),
    "copies: huge": printing(options='{"copies":' + HUGE + "}"),
    "copies: 2^64": printing(options='{"copies":18446744073709551616}'),
    "copies: half": printing(options='{"copies":1.5}'),
    "copies: infinite": printing(options='{"copies":1e999}'),
    "copies: null": printing(options='{"copies":null}'),
    "copies: true": printing(options='{"copies":true}'),
    "jobName: long": printing(options='{"jobName":"' + "x" * 257 + '"}'),
    "jobName: object": printing(options='{"jobName":{}}'),
    "expires: zero": printing(options='{"expires":0}'),
    "expires: negative": printing(options='{"expires":-0.1}'),
    "expires: infinite": printing(options='{"expires":1e999}'),
    "expires: huge": printing(options='{"expires":1e300}'),
    "expires: date": printing(options='{"expires":"2030-01-01"}'),
    "wait: other": printing(options='{"wait":"printed"}'),
    "wait: number": printing(options='{"wait":1}'),
    "encoding: number": printing(options='{"encoding":1252}'),
    "encoding: long": printing(options='{"encoding":"' + "x" * 65 + '"}'),
    **{
        f"encoding: {name!r}": printing(options=json.dumps({"encoding": name}))
        for name in (
            *("idna", "punycode", "utf-16", "utf-16-le", "utf-32", "utf-7", "hz", "iso2022_jp", "utf-8-sig"),
            *("unicode_escape", "raw_unicode_escape", "undefined", "base64", "hex", "rot13", "zlib", "bz2", "uu"),
            *("nope", "\0", "cp437\0", "../../etc/passwd", "encodings.cp437", "os", "\u00e4", " "),
        )
    },
    "text: not in the encoding": printing('"\\u20ac"', '{"encoding":"cp437"}'),
    "text: not in the encoding of an item": printing('["x",{"data":"\\u6f22"}]', '{"encoding":"latin-1"}'),
    "drawer: no printer": ask("{}", "drawer.open"),
    "drawer: pin of a wrong type": ask('{"printer":"Receipt","pin":"2"}', "drawer.open"),
    "drawer: huge pin": ask('{"printer":"Receipt","pin":' + HUGE + "}", "drawer.open"),
    "drawer: infinite pin": ask('{"printer":"Receipt","pin":1e999}', "drawer.open"),
    "drawer: options": ask('{"printer":"Receipt","options":[]}', "drawer.open"),
    "jobs.get: no id": ask("{}", "jobs.get"),
    "jobs.get: null": ask('{"id":null}', "jobs.get"),
    "jobs.cancel: array": ask('{"id":["x"]}', "jobs.cancel"),
    "jobs.list: limit zero": ask('{"limit":0}', "jobs.list"),
    "jobs.list: huge limit": ask('{"limit":' + HUGE + "}", "jobs.list"),
    "jobs.list: infinite limit": ask('{"limit":1e999}', "jobs.list"),
    "jobs.list: state of a wrong type": ask('{"state":["pending"]}', "jobs.list"),
    "status: no printer": ask("null", "printers.status"),
}
OTHER_CODES = {
    "printer: unknown": (ask('{"printer":"Nobody","data":"x"}'), "unknown-printer"),
    "printer: NUL": (ask('{"printer":"Label\\u0000","data":"x"}'), "unknown-printer"),
    "printer: long": (ask('{"printer":"' + "x" * 100_000 + '","data":"x"}'), "unknown-printer"),
    "job: long": (ask('{"id":"' + "x" * 100_000 + '"}', "jobs.get"), "unknown-job"),
    "job: NUL": (ask('{"id":"\\u0000"}', "jobs.cancel"), "unknown-job"),
    "drawer: no such pin": (ask('{"printer":"Receipt","pin":-2}', "drawer.open"), "unsupported"),
    "drawer: no such pin, 2^64 - 1": (
        ask('{"printer":"Receipt","pin":18446744073709551615}', "drawer.open"),
        "unsupported",
    ),
    "too large": (ask('"' + "x" * LIMIT + '"'), "too-large"),
    "too large in bytes": (ask('"' + "\u20ac" * (LIMIT // 3) + '"'), "too-large"),
    "too many copies": (printing('"' + "x" * 100_000 + '"', '{"copies":1000}'), "too-large"),
}
FIND = '{"call":"printers.find","uid":"U"}'
BINARY = {
    "nothing": b"",
    "a byte": b"\0",
    "half a length": b"\0\0\0",
    "length 0": bytes(4),
    "length 0 and a request": bytes(4) + FIND.encode(),
    "short by one": (len(FIND) - 1).to_bytes(4) + FIND.encode(),
    "long by one": (len(FIND) + 1).to_bytes(4) + FIND.encode(),
    "2^31": (1 << 31).to_bytes(4) + FIND.encode(),
    "2^32 - 1": b"\xff\xff\xff\xff" + FIND.encode(),
    "little-endian": len(FIND).to_bytes(4, "little") + FIND.encode(),
    "only JSON": FIND.encode(),
    "no JSON": framed("not JSON", b"x"),
    "array": framed(f"[{FIND}]", b"x"),
    "not UTF-8": b"\0\0\0\x02\xff\xfe" + b"x",
    "Latin 1": len(FIND).to_bytes(4) + FIND.encode().replace(b"U", b"\xe4"),
    "surrogate": framed("", b"")[:3] + b"\x11" + b'{"call":"\xed\xa0\x80"}' + b"x",
    "UTF-16": (2 * len(FIND)).to_bytes(4) + FIND.encode("utf-16-le"),
    "BOM": framed("\ufeff" + FIND, b""),
    "long header": framed(" " * (1 << 20) + FIND, b"")[: LIMIT - 1],
    "all bytes": bytes(range(256)),
    "no item": framed(printing('["x"]'), b"x"),
    "two items": framed(printing('[{"flavor":"attached"},{"flavor":"attached"}]'), b"x"),
    "empty": framed(printing('[{"flavor":"attached"}]'), b""),
    "data is no list": framed(printing('{"flavor":"attached"}'), b"x"),
}
FRAMES = {
    **{f"not JSON: {name}": (frame, "bad-request") for name, frame in NOT_JSON.items()},
    **{f"no request: {name}": (frame, "bad-request") for name, frame in NO_REQUEST.items()},
    **{name: (frame, "unknown-call") for name, frame in NO_CALL.items()},
    **{name: (frame, "bad-request") for name, frame in BAD_PARAMS.items()},
    **OTHER_CODES,
    **{f"binary: {name}": (frame, "bad-request") for name, frame in BINARY.items()},
}


def no_constant(name):
    raise AssertionError(f"{name} is not JSON")


def test_each_gets_an_error_and_the_connection_goes_on(start, label, receipt, caplog):
    caplog.set_level(logging.INFO)
    server = start({"Label": (label.address, "tspl"), "Receipt": (receipt.address, "escpos")}, max_message_bytes=LIMIT)
    wrong = {}
    with server.native() as client:
        for name, (frame, code) in FRAMES.items():
            client.ws.send(frame)
            text = client.ws.recv(10.0)
            try:
                reply = json.loads(text, parse_int=str, parse_constant=no_constant)
                assert list(reply) == ["uid", "error"]
                assert list(reply["error"]) == ["code", "message", "hint"]
                assert reply["error"]["code"] == code
                assert reply["error"]["message"]
                assert len(text) < 5000, "the frame comes back"
                if (code != "bad-request" or name in BAD_PARAMS) and '"uid":"U"' in frame and "deep" not in name:
                    assert reply["uid"] == "U"
                assert client.ask("printers.find") == ["Label", "Receipt"]
            except AssertionError as error:
                wrong[name] = f"{str(error).splitlines()[0][:200]} | {text[:300]}"
        assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())
        assert client.ask("jobs.list") == []
    assert len(FRAMES) > 60
    assert label.received() == receipt.received() == b""
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "frame",
    [
        ask('{"limit":9223372036854775808}', "jobs.list"),
        ask('{"limit":18446744073709551615}', "jobs.list"),
    ],
)
def test_a_limit_that_no_list_has_is_no_limit(start, frame):
    with start().native() as client:
        client.ws.send(frame)
        reply = client.read()
        assert reply.get("result") == [] or reply["error"]["code"] == "bad-request"


def test_the_last_of_two_equal_keys_counts(start, label):
    with start({"Label": (label.address, "tspl")}).native() as client:
        client.ws.send('{"call":"nope","call":"printers.find","uid":1,"uid":2}')
        assert client.read() == {"uid": 2, "result": ["Label"]}


def test_keys_that_nobody_reads_are_ignored(start, label):
    with start({"Label": (label.address, "tspl")}).native() as client:
        job = client.ask(
            "print",
            printer={"name": "Label", "x": [1]},
            data=[{"data": "x\n", "options": {"language": "TSPL"}, "x": None}],
            options={"wait": "ended", "x": {"y": 1e308}},
            x="\U0001f600",
        )
        assert job["state"] == "delivered"


# The functions behind it, with whatever Hypothesis can think of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Label", "raw", "command", "plain", "base64", "hex", "attached", "cp437", "utf-16", "ended"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "call",
                    "uid",
                    "params",
                    "printer",
                    "name",
                    "data",
                    "options",
                    "id",
                    "type",
                    "format",
                    "flavor",
                    "copies",
                    "encoding",
                    "expires",
                    "wait",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
TEXT = (
    st.text()
    | st.text(alphabet='{}[]",:\\u0123d8eEaf-+.nulltrue \n\ud800\udc00', max_size=200)
    | JSON.map(json.dumps)
    | st.tuples(JSON.map(json.dumps), st.integers(0, 400), st.text(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
)
encodable = TEXT.filter(lambda text: text.encode("utf-8", "replace").decode() == text)


def check_request(request):
    """What a reader gave is safe to work with and to send back."""
    assert len(bytes(request.uid)) <= messages.MAX_UID
    reply = messages.encode(messages.Result(uid=request.uid, result=None))
    msgspec.json.decode(reply, type=messages.Request)
    messages.read_name(request.call)


def check_refusal(error):
    assert isinstance(error.uid, msgspec.Raw)
    reply = messages.encode(messages.Refusal(uid=error.uid, error=messages.failure(error)))
    assert len(reply) < messages.MAX_UID + 2000
    json.loads(reply, parse_constant=no_constant)


@settings(max_examples=400, deadline=None)
@given(encodable | st.binary(max_size=200) | encodable.map(str.encode))
@example('{"call":"\\ud800","uid":1e999}')
@example('{"call":"\\ud800","uid":-1e999}')
@example('{"call":"\\ud800","uid":"' + "u" * 70_000 + '"}')
@example('{"call":"\ufeff"}'.encode("utf-8-sig"))
def test_any_frame_is_a_request_or_a_clear_error(frame):
    try:
        check_request(messages.read_request(frame))
    except NotJson:
        pass
    except BadRequest as error:
        check_refusal(error)


@pytest.mark.parametrize("depth", [*range(100, 1100, 7), 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth(depth, opening, closing):
    nested = opening * depth + ("1" if closing == "}" else "") + closing * depth
    for frame in (
        f'{{"call":"x","uid":{nested}}}',
        f'{{"call":"\\ud800","uid":{nested}}}',
        f'{{"call":"x","params":{nested}}}',
        nested,
    ):
        try:
            request = messages.read_request(frame)
            check_request(request)
            for shape in (messages.PrintParams, messages.JobsParams, messages.DrawerParams):
                with suppress(BadRequest):
                    messages.read(request.params, shape)
        except NotJson:
            pass
        except BadRequest as error:
            check_refusal(error)


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=100)
    | st.tuples(st.integers(-3, 3), encodable.map(str.encode), st.binary(max_size=20)).map(
        lambda parts: max(0, len(parts[1]) + parts[0]).to_bytes(4) + parts[1] + parts[2]
    )
)
def test_any_binary_frame_is_a_request_or_a_clear_error(frame):
    try:
        request, attached = messages.read_attached(frame)
    except BadRequest as error:
        check_refusal(error)
    else:
        check_request(request)
        size = int.from_bytes(frame[:4])
        assert bytes(attached) == frame[4 + size :]


SHAPES = [
    messages.PrintParams,
    messages.PrinterParams,
    messages.DrawerParams,
    messages.JobParams,
    messages.JobsParams,
]


@settings(max_examples=400, deadline=None)
@given(JSON, st.sampled_from(SHAPES))
def test_any_params_are_of_the_shape_or_a_clear_error(params, shape):
    try:
        text = json.dumps(params, allow_nan=False).encode()
    except ValueError:
        return
    with suppress(BadRequest):
        assert isinstance(messages.read(msgspec.Raw(text), shape), shape)


TEXTS = st.text(max_size=12)
ITEMS = st.builds(
    RawItem,
    data=st.none() | TEXTS | st.sampled_from(["QQ==", "QQ", "00ff", "0"]),
    type=st.sampled_from(["raw", "pixel"]) | TEXTS,
    format=st.sampled_from(["command", "pdf"]) | TEXTS,
    flavor=st.sampled_from(["plain", "base64", "hex", "attached"]) | TEXTS,
)


@settings(max_examples=500, deadline=None)
@given(
    st.none() | TEXTS | st.lists(TEXTS | ITEMS, max_size=4),
    st.sampled_from(["utf-8", "cp437", "ascii", "utf-16", "idna", "\0"]) | TEXTS,
    st.none() | st.binary(max_size=8).map(memoryview),
)
def test_any_data_is_bytes_or_a_clear_error(data, encoding, attached):
    try:
        got = methods.payload(data, encoding, attached)
    except (BadRequest, BadText):
        return
    assert len(got) > 0
    items = [data] if isinstance(data, str) else data
    used = [item for item in items if isinstance(item, RawItem) and item.flavor == "attached"]
    assert len(used) == (attached is not None)
    if attached is not None:
        assert bytes(attached) in bytes(got)
