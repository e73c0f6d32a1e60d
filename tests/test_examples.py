"""The examples run, as somebody who copies them would run them."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
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


@functools.cache
def node_command():
    """How to run Node with a global WebSocket, or why that cannot be done."""
    node = shutil.which("node")
    if node is None:
        return "there is no node (apt-get install nodejs)"
    for flags in ((), ("--experimental-websocket",)):
        asked = subprocess.run([node, *flags, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == "function":
            return (node, "--no-warnings", *flags)
    return "this node has no WebSocket (20.10 or newer has one)"


def run_node(name, *arguments):
    command = node_command()
    if isinstance(command, str):
        pytest.skip(command)
    done = subprocess.run(
        [*command, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def serving(tmp_path):
    """serving(address, dialect) -> host:port of a `rawprint-server` with that printer, named Receipt."""
    with contextlib.ExitStack() as stack:

        def serving(address, dialect):
            config = tmp_path / "server.toml"
            config.write_text(f'[printers.Receipt]\naddress = "{address}"\ndialect = "{dialect}"\nshare = false\n')
            command = [sys.executable, "-m", "rawprint_server", "--config", config, "--port", "0"]
            log = stack.enter_context((tmp_path / "server.log").open("w"))
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
            stack.callback(process.terminate)
            line = process.stdout.readline()
            assert line, (tmp_path / "server.log").read_text()
            return json.loads(line)["url"].removeprefix("ws://")

        yield serving


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


def test_print_job_follows_the_file_to_its_end(virtual, serving):
    listener = virtual("escpos")
    server = serving(listener.address, "escpos")
    ticket = EXAMPLES.parent / "tests/samples/escpos_receipt.bin"
    code, out, err = run_node("print_job.mjs", "Receipt", ticket, server)
    assert (code, err) == (0, "")
    size = ticket.stat().st_size
    lines = out.splitlines()
    assert re.fullmatch("Receipt is (idle|unknown)", lines[0])
    assert f"delivered, {size} of {size} bytes" in lines
    assert lines[-1] == "ended delivered, on the evidence of: acknowledged, status"
    assert listener.printed() == ticket.read_bytes()


def test_print_job_says_what_it_waits_for_and_ctrl_c_takes_it_back(virtual, serving):
    server = serving(virtual("escpos", reasons=["media-empty"]).address, "escpos")
    command = node_command()
    if isinstance(command, str):
        pytest.skip(command)
    command = [*command, EXAMPLES / "print_job.mjs", "Receipt", EXAMPLES / "label.prn", server]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        watchdog = threading.Timer(PATIENCE, job.kill)
        watchdog.start()
        for line in job.stdout:
            if re.match("pending.*media-empty", line):
                break
        job.send_signal(signal.SIGINT)
        _, err = job.communicate()
        watchdog.cancel()
    assert job.returncode == 1
    assert err.startswith("canceled: ")


def test_print_job_says_what_is_wrong(virtual, serving, closed_port):
    assert run_node("print_job.mjs")[0] == 2
    code, _, err = run_node("print_job.mjs", "Receipt", EXAMPLES / "label.prn", f"127.0.0.1:{closed_port}")
    assert (code, err) == (
        1,
        f"not-running: There is no print server at 127.0.0.1:{closed_port}. Start rawprint-server.\n",
    )
    server = serving(virtual("escpos").address, "escpos")
    code, _, err = run_node("print_job.mjs", "Label", EXAMPLES / "label.prn", server)
    assert (code, err) == (1, 'unknown-printer: There is no printer "Label". The server has: Receipt.\n')


def test_watch_prints_a_ticket_and_follows_it(virtual, serving):
    listener = virtual("escpos")
    server = serving(listener.address, "escpos")
    code, out, err = run("watch.py", "Receipt", f"ws://{server}")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Receipt is ")
    assert re.fullmatch(r"job ticket-[0-9a-f-]+ on Receipt: delivered, (\d+) of \1 bytes", lines[-1])
    assert listener.printed().startswith(b"\x1b@One espresso")
    assert listener.device.tickets == 1


def test_watch_tells_of_changes_until_the_printer_is_well_again(virtual, serving):
    listener = virtual("escpos", reasons=["media-empty"])
    server = serving(listener.address, "escpos")
    command = [sys.executable, "-u", EXAMPLES / "watch.py", "Receipt", f"ws://{server}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        watchdog = threading.Timer(PATIENCE, watching.kill)
        watchdog.start()
        said = []
        for line in watching.stdout:
            said.append(line.rstrip())
            if "media-empty" in line:
                listener.set("media-empty", False)
        watchdog.cancel()
    assert watching.returncode == 0
    assert any(re.match(r"Receipt is stopped: .*media-empty", line) for line in said)
    assert "Receipt is idle" in said
    assert "delivered" in said[-1] or "idle" in said[-1]


def test_watch_says_what_is_wrong(virtual, serving, closed_port):
    code, out, err = run("watch.py", "Receipt", f"ws://127.0.0.1:{closed_port}")
    assert (code, err) == (1, "")
    assert out.startswith(f"no print server at ws://127.0.0.1:{closed_port}: ")
    server = serving(virtual("escpos").address, "escpos")
    code, out, err = run("watch.py", "Label", f"ws://{server}")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith("unknown-printer: ")


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
        assert re.search(r"Open http://127\.0\.0\.1:\d+/#code=\S+ in", text)
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate()
    finally:
        watchdog.cancel()
        demo.kill()
        demo.communicate()
    assert demo.returncode == 0
    assert "Traceback" not in err
