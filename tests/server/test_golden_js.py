"""The native golden files played from Node: what JavaScript reads is what they say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .test_golden import files, golden_server
from .test_printerwebsocket_js import node_command

PLAY = Path(__file__).parent / "js/golden.js"


def play(file, server):
    """Where the server's replies are others than in the file."""
    command = node_command()
    if isinstance(command, str):
        pytest.skip(command)
    done = subprocess.run(
        [*command, str(PLAY), server.url, str(file)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", files("native"))
def test_native(path, start, label, receipt):
    assert play(path, golden_server(start, label, receipt)) == []


@pytest.mark.parametrize(
    ("reply", "where"),
    [
        ({"uid": "U", "result": ["Label", "Receipt"]}, "[0].result"),
        ({"uid": "U", "result": ["Label", "Receipt", "<time>"]}, "[0].result[2]"),
        ({"result": ["Label", "Receipt", "Gone"], "uid": "U"}, "[0]"),
    ],
)
def test_a_difference_is_seen(reply, where, tmp_path, start, label, receipt):
    send = {"call": "printers.find", "uid": "U"}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps([{"send": send, "replies": [reply]}]))
    ((sent, found),) = play(file, golden_server(start, label, receipt))
    assert sent == send
    assert found.replace(".0", "[0]").replace(".2", "[2]").startswith(where + ":")
