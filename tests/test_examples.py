"""The examples run, as somebody who copies them would run them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PATIENCE = 30


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def test_status(virtual):
    code, out, err = run("status.py")
    assert (code, err) == (0, "")
    assert "is stopped" in out
    assert "media-empty: yes" in out
    assert "is idle" in run("status.py", virtual("escpos").address, "escpos")[1]


def test_print_ticket(virtual):
    listener = virtual("escpos")
    code, out, err = run("print_ticket.py", listener.address, "escpos")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "delivered, on the evidence of: acknowledged, status"
    assert listener.wait(lambda d: d.tickets == 1, PATIENCE)
    assert b"One espresso" in listener.printed()


def test_errors_are_shown_with_their_hint(closed_port):
    code, out, err = run("status.py", f"tcp://127.0.0.1:{closed_port}", "tspl")
    assert (code, err) == (1, "")
    assert out.startswith("not-found: ")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT, which Windows has not")
def test_demo_prints_a_label_and_ends_with_ctrl_c():
    demo = subprocess.Popen(
        [sys.executable, EXAMPLES / "demo.py", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(PATIENCE, demo.kill)
    watchdog.start()
    try:
        said = []
        for line in demo.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(said)
        assert "printers: Label, Receipt" in text
        assert re.search(r"job: +delivered, (\d+) of \1 bytes", text)
        assert "status:   0" in text
        assert re.search(r"Open http://127\.0\.0\.1:\d+ ", text)
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate()
    finally:
        watchdog.cancel()
        demo.kill()
        demo.communicate()
    assert demo.returncode == 0
    assert "Traceback" not in err
