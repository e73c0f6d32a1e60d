"""Every reply, pinned: golden/ACCENT/*.json hold requests and, frame by frame and key by key, what comes back.

A file is a list of steps, played in order on one connection to a server that was just started: `{"send": …, "replies":
[…]}`. What is sent is the JSON of `send`, or

    {"frame": "text"}                              that text as it is
    {"attached": request, "bytes_base64": "…"}     one binary frame of the native protocol

`replies` are all frames that come back for it, events (`{"event": …}`) aside. In them the strings "<time>" (ISO 8601,
UTC), "<id>", "<address>", "<version>" and "<text>" stand for any such string. js/golden.js plays the same files.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from rawprint_server.config import PrinterConfig
from rawprint_server.methods import METHODS

from .conftest import framed

GOLDEN = Path(__file__).parent / "golden"
ANY = {
    "<time>": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"),
    "<id>": re.compile(r"[0-9a-f]{16}"),
    "<address>": re.compile(r"tcp://127\.0\.0\.1:\d+"),
    "<version>": re.compile(r"\d+\.\d+\.\d+.*"),
    "<text>": re.compile(r".+"),
}


def files(accent):
    found = sorted((GOLDEN / accent).glob("*.json"))
    assert found
    return [pytest.param(path, id=path.stem) for path in found]


def difference(wanted, got, where=""):
    """Where the two are not the same, or None; the order of keys counts."""
    if isinstance(wanted, str) and wanted in ANY:
        return None if isinstance(got, str) and ANY[wanted].fullmatch(got) else f"{where}: {got!r} is no {wanted}"
    if isinstance(wanted, dict) and isinstance(got, dict) and list(wanted) == list(got):
        pairs = [(f".{key}", wanted[key], got[key]) for key in wanted]
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = [(f"[{at}]", one, other) for at, (one, other) in enumerate(zip(wanted, got, strict=True))]
    elif type(wanted) is type(got) and not isinstance(wanted, dict | list) and wanted == got:
        return None
    else:
        return f"{where}: {json.dumps(got)} and not {json.dumps(wanted)}"
    return next(filter(None, (difference(one, other, where + key) for key, one, other in pairs)), None)


def frame(send):
    """What goes over the wire."""
    if list(send) == ["frame"]:
        return send["frame"]
    if list(send) == ["attached", "bytes_base64"]:
        return framed(json.dumps(send["attached"]), base64.b64decode(send["bytes_base64"]))
    return json.dumps(send)


def golden_server(start, label, receipt):
    """The server that the files are about."""
    return start(
        {
            "Label": PrinterConfig(label.address, "tspl", share=False, width_mm=50, height_mm=30, gap_mm=2, dpi=203),
            "Receipt": PrinterConfig(receipt.address, "escpos", encoding="cp858", width_mm=80, cut="partial"),
            "Gone": PrinterConfig("tcp://127.0.0.1:1", "tspl"),
        }
    )


@pytest.mark.parametrize("path", files("printerwebsocket"))
def test_printerwebsocket(path, start, label, receipt):
    with golden_server(start, label, receipt).connect() as client:
        for step in json.loads(path.read_text(encoding="utf-8")):
            client.ws.send(frame(step["send"]))
            got = [json.loads(text) for text in client.frames_until_sentinel()]
            assert difference(step["replies"], got) is None, step["send"]


@pytest.mark.parametrize("path", files("native"))
def test_native(path, start, label, receipt):
    with golden_server(start, label, receipt).native() as client:

        def read():
            while "event" in (got := client.read()):
                pass
            return got

        for step in json.loads(path.read_text(encoding="utf-8")):
            client.ws.send(frame(step["send"]))
            got = [read() for _ in step["replies"]]
            assert difference(step["replies"], got) is None, step["send"]
            client.ws.send('{"call":"server.version","uid":"sentinel"}')
            assert read()["uid"] == "sentinel", step["send"]


def test_the_native_files_show_every_call():
    sent = [step["send"] for path in (GOLDEN / "native").glob("*.json") for step in json.loads(path.read_bytes())]
    called = {(send.get("attached") or send).get("call") for send in sent}
    assert called >= {*METHODS, "subscribe", "unsubscribe"}
