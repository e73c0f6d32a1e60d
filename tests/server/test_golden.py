"""Every reply shape, pinned: golden/*.json hold requests and, frame by frame and key by key, what comes back.

What differs from run to run stands there as "<address>", "<time>", "<version>" or "<text>"; a request of the form
{"frame": "..."} is sent as that text, any other as its JSON.
"""

import json
from pathlib import Path

import pytest

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
VARIES = {"address": "<address>", "at": "<time>", "rawprint": "<version>", "version": "<version>"}


def settled(value):
    """The value with what varies from run to run replaced; of a printer's reasons one stands for all."""
    if isinstance(value, list):
        return [settled(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {key: VARIES[key] if key in VARIES and isinstance(one, str) else settled(one) for key, one in value.items()}
    if "media-empty" in value.get("reasons", ()):
        value["reasons"] = {"media-empty": value["reasons"]["media-empty"]}
    if value.get("code") == "not-found":
        value |= {"message": "<text>", "hint": "<text>"}  # the library's words
    return value


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_replies(path, start, label, receipt):
    server = start(
        {
            "Label": (label.address, "tspl"),
            "Receipt": (receipt.address, "escpos"),
            "Gone": ("tcp://127.0.0.1:1", "tspl"),
        }
    )
    steps = json.loads(path.read_text(encoding="utf-8"))
    with server.connect() as client:
        for request, replies in ((step["send"], step["replies"]) for step in steps):
            client.ws.send(request["frame"] if list(request) == ["frame"] else json.dumps(request))
            got = [settled(json.loads(frame)) for frame in client.frames_until_sentinel()]
            # Compared as text, since the order of keys counts, too.
            assert json.dumps(got, indent=1) == json.dumps(replies, indent=1), request
