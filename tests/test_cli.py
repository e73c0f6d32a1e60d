"""The `rawprint` command as people and scripts run it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from .conftest import reset

PATIENCE = 20
LABEL = b"SIZE 40 mm,30 mm\r\nCLS\r\nPRINT 1\r\n"


def rawprint(*arguments, data=b"", timeout=PATIENCE):
    """Run the command; returns (exit code, standard output, standard error)."""
    done = subprocess.run(
        [sys.executable, "-m", "rawprint", *arguments],
        input=data,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@contextmanager
def running(*arguments):
    """The command in the background, its output a pipe; ended after."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rawprint", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def post(url, **values):
    request = urllib.request.Request(url + "/state", json.dumps(values).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read()


# -- status ---------------------------------------------------------------------------------------------------------


def test_status_fine_and_not(virtual):
    listener = virtual("tspl")
    code, out, err = rawprint("status", listener.address, "--dialect", "tspl")
    assert (code, err) == (0, "")
    assert "idle" in out
    assert "media-empty                  no" in out
    listener.set("media-empty", True)
    code, out, _ = rawprint("status", listener.address, "--dialect", "tspl")
    assert code == 1
    assert "stopped  (media-empty)" in out


def test_status_json(virtual):
    listener = virtual("escpos", reasons=["cover-open"])
    code, out, err = rawprint("status", listener.address, "--dialect", "escpos", "--json")
    status = json.loads(out)
    assert (code, err) == (1, "")
    assert status["address"] == listener.address
    assert (status["dialect"], status["state"]) == ("escpos", "stopped")
    assert status["reasons"]["cover-open"] is True
    assert status["reasons"]["media-empty"] is False
    assert status["raw"][0] == {"sent": "100401", "received": "1a"}
    assert status["at"].endswith("+00:00")


def test_status_low_paper_is_no_problem_yet(virtual):
    listener = virtual("escpos", reasons=["media-low"])
    code, out, _ = rawprint("status", listener.address, "--dialect", "escpos")
    assert code == 0
    assert "idle  (media-low)" in out


@pytest.mark.parametrize(
    ("serve", "code", "exit_code"),
    [
        (None, "not-found", 3),
        (lambda c, _: c.recv(1) and c.recv(1000) and c.recv(1), "no-reply", 4),
        (lambda c, _: c.sendall(b"SSH-2.0-dropbear\r\n") or (c.recv(1000) and c.recv(1)), "bad-reply", 4),
        (
            lambda c, _: (c.recv(9) and c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) or c.recv(1),
            "bad-reply",
            4,
        ),
        (lambda c, _: c.recv(9) and reset(c), "disconnected", 4),
    ],
    ids=["closed", "silent", "ssh", "http", "reset"],
)
def test_status_of_what_is_no_printer(peer, closed_port, serve, code, exit_code):
    address = peer(serve).address if serve else f"tcp://127.0.0.1:{closed_port}"
    began = time.monotonic()
    result, out, err = rawprint("status", address, "--dialect", "tspl", "--json", "--timeout", "0.5")
    assert time.monotonic() - began < 5
    assert (result, err) == (exit_code, "")
    error = json.loads(out)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    result, out, err = rawprint("status", address, "--dialect", "tspl", "--timeout", "0.5")
    assert (result, out) == (exit_code, "")
    assert err.startswith(f"{code}: ")
    assert "hint: " in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "nonsense"),
        ("status", "tcp://"),
        ("status", "tcp://127.0.0.1"),  # which language?
        ("status", "tcp://127.0.0.1", "--dialect", "klingon"),
        ("status", "virtual://tspl?warp=true"),
        ("status", "virtual://tspl", "--timeout", "0"),
        ("print", "nonsense", "-"),
        ("print", "virtual://tspl", "/nonexistent/file"),
        ("print", "virtual://tspl", "-"),  # nothing on standard input
        ("simulate", "klingon"),
        ("simulate", "tspl", "--listen", "nowhere"),
        ("simulate", "tspl", "--reason", "bored", "--listen", "127.0.0.1:0"),
        ("simulate", "tspl", "--clone", "inverted-gs-r", "--listen", "127.0.0.1:0"),
        ("trace", "virtual://tspl"),
        ("trace", "virtual://tspl", "--", "list"),
        ("frobnicate",),
        (),
    ],
)
def test_usage(arguments):
    code, out, err = rawprint(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(("usage: ", "bad-address: "))
    assert "Traceback" not in err


@pytest.mark.parametrize("address", ["usb://ffff:ffff", "serial:///dev/rawprint-none", "lp:///dev/usb/rawprint-none"])
def test_what_is_not_plugged_in(address):
    code, _, err = rawprint("status", address, "--dialect", "tspl")
    assert code == 3
    assert err.startswith("not-found: ")


def test_watch_prints_each_change(virtual):
    listener = virtual("tspl")
    with running("status", listener.address, "--dialect", "tspl", "--watch", "--json") as watch:
        assert json.loads(watch.stdout.readline())["state"] == "idle"
        listener.set("cover-open", True)
        assert json.loads(watch.stdout.readline())["reasons"]["cover-open"] is True
        listener.set("cover-open", False)
        assert json.loads(watch.stdout.readline())["state"] == "idle"
        listener.close()
        assert json.loads(watch.stdout.readline())["error"]["code"] in ("disconnected", "not-found")
        watch.send_signal(signal.SIGINT)
        watch.wait(PATIENCE)


# -- print ----------------------------------------------------------------------------------------------------------


def test_print_standard_input(virtual):
    listener = virtual("tspl")
    assert rawprint("print", listener.address, data=LABEL) == (0, "", "")
    assert listener.wait(lambda d: d.printed == LABEL, PATIENCE)


def test_print_a_file_and_wait(virtual, tmp_path):
    listener = virtual("escpos")
    ticket = tmp_path / "ticket.bin"
    ticket.write_bytes(bytes(range(256)) * 10)
    code, out, err = rawprint("print", listener.address, str(ticket), "--dialect", "escpos", "--wait", "--json")
    job = json.loads(out)
    assert (code, err) == (0, "")
    assert {"id", "state", "bytes_total", "bytes_accepted", "evidence", "error"} <= set(job)
    assert (job["state"], job["bytes_total"], job["bytes_accepted"]) == ("delivered", 2560, 2560)
    assert job["error"] is None
    # The ticket holds every byte value: what the printer takes for a question is answered, and must not matter.
    assert ticket.read_bytes() in listener.received()


def test_print_waits_through_a_stop(virtual):
    listener = virtual("tspl", reasons=["media-empty"])
    with running("print", listener.address, os.devnull, "--dialect", "tspl") as nothing:
        assert nothing.wait(PATIENCE) == 2
    with running("print", listener.address, __file__, "--dialect", "tspl", "--wait", "--json") as printing:
        assert printing.stderr.readline() == "waiting: media-empty\n"
        listener.set("media-empty", False)
        assert json.loads(printing.stdout.readline())["state"] == "delivered"
        assert printing.wait(PATIENCE) == 0


def test_print_waits_for_a_printer_that_is_off(closed_port, tmp_path):
    file = tmp_path / "label"
    file.write_bytes(LABEL)
    with running("print", f"tcp://127.0.0.1:{closed_port}", str(file)) as printing:
        assert printing.stderr.readline().startswith("waiting: ")
        assert printing.poll() is None
        printing.send_signal(signal.SIGINT)
        assert printing.wait(PATIENCE) == 130


def test_print_gives_up_in_time(virtual, closed_port):
    code, out, err = rawprint("print", f"tcp://127.0.0.1:{closed_port}", "--timeout", "0.4", "--json", data=LABEL)
    job = json.loads(out)
    assert code == 3
    assert (job["state"], job["bytes_accepted"]) == ("canceled", 0)
    assert err.startswith("waiting: ")
    listener = virtual("tspl", media=20_000)
    code, out, _ = rawprint("print", listener.address, "--timeout", "1", "--json", data=LABEL * 60_000)
    job = json.loads(out)
    assert code == 4
    assert 0 < job["bytes_accepted"] < job["bytes_total"]
    assert listener.wait(lambda d: len(d.printed) == 20_000, PATIENCE)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which is Linux's")
def test_the_exit_code_tells_also_where_nobody_reads_the_output(virtual):
    listener = virtual("tspl")
    commands = {
        ("print", "usb://ffff:ffff", "--timeout", "0.5", "--wait", "--json"): 3,
        ("print", listener.address, "--wait", "--json"): 0,
        ("status", listener.address, "--dialect", "tspl", "--json"): 0,
        ("status", "tcp://127.0.0.1:1", "--dialect", "tspl", "--json"): 3,
        ("trace", listener.address, "--", "status", "--dialect", "tspl"): 0,
    }
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    for arguments, wanted in commands.items():
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "rawprint", *arguments],
                input=LABEL,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
                env=buffered,
            )
        assert done.returncode == wanted, arguments
        assert b"Traceback" not in done.stderr


def test_print_interrupted_tells_in_json(closed_port, tmp_path):
    file = tmp_path / "label"
    file.write_bytes(LABEL)
    with running("print", f"tcp://127.0.0.1:{closed_port}", str(file), "--json") as printing:
        assert printing.stderr.readline().startswith("waiting: ")
        printing.send_signal(signal.SIGINT)
        assert json.loads(printing.stdout.readline())["state"] == "canceled"
        assert printing.wait(PATIENCE) == 130


def test_print_killed_in_the_middle(virtual, tmp_path):
    listener = virtual("tspl", media=20_000)
    file = tmp_path / "labels"
    file.write_bytes(LABEL * 60_000)
    with running("print", listener.address, str(file), "--wait", "--json") as printing:
        assert printing.stderr.readline().startswith("stopped after ")
        listener.drop()
        assert json.loads(printing.stdout.readline())["state"] == "uncertain"
        assert printing.wait(PATIENCE) == 1


def test_print_with_a_journal_loses_nothing_to_a_kill_and_prints_an_id_once(virtual, tmp_path):
    listener = virtual("tspl", reasons=["media-empty"])
    file, journal = tmp_path / "label", str(tmp_path / "jobs.db")
    file.write_bytes(b"FIRST\r\n")
    with running("print", listener.address, str(file), "--dialect", "tspl", "--journal", journal) as printing:
        assert printing.stderr.readline() == "waiting: media-empty\n"
        code, _, err = rawprint("print", listener.address, "--journal", journal, data=LABEL)
        assert (code, err.partition(":")[0]) == (1, "journal-taken")
        printing.kill()
    listener.set("media-empty", False)
    second = ("print", listener.address, "--dialect", "tspl", "--wait", "--journal", journal, "--id", "second")
    code, out, err = rawprint(*second, data=b"SECOND\r\n")
    assert (code, out) == (0, "second  delivered  8 of 8 bytes\n")
    assert err.endswith(": left by a run of before, goes first\n")
    assert listener.printed() == b"FIRST\r\nSECOND\r\n"
    assert rawprint(*second, data=b"SECOND\r\n") == (
        0,
        "second  delivered  8 of 8 bytes, in an earlier run\n",
        "",
    )
    code, out, _ = rawprint(*second, "--json", data=b"SECOND\r\n")
    assert (code, json.loads(out)["state"]) == (0, "delivered")
    code, _, err = rawprint(*second, data=b"OTHER\r\n")
    assert (code, err.partition(":")[0]) == (2, "usage")
    assert listener.printed() == b"FIRST\r\nSECOND\r\n"
    assert rawprint("print", listener.address, "--id", "x", data=LABEL)[0] == 2


def test_a_job_of_the_journal_that_a_kill_met_in_its_middle_is_told_and_not_repeated(virtual, tmp_path):
    listener = virtual("tspl", media=20_000)
    file, journal = tmp_path / "labels", str(tmp_path / "jobs.db")
    file.write_bytes(b"x" * 1_000_000)
    common = ("--dialect", "tspl", "--journal", journal)
    with running("print", listener.address, str(file), *common, "--id", "long") as printing:
        assert printing.stderr.readline().startswith("stopped after ")
        printing.kill()
    listener.set("media-empty", False)
    code, out, err = rawprint("print", listener.address, *common, "--id", "long", "--json", data=b"x" * 1_000_000)
    assert (code, json.loads(out)["state"]) == (1, "uncertain")
    assert "see whether it came out" in err
    code, out, _ = rawprint("print", listener.address, *common, "--id", "next", "--wait", data=LABEL)
    assert code == 0
    assert listener.printed().endswith(LABEL)
    assert listener.printed().count(b"x") < 1_000_000


# -- simulate -------------------------------------------------------------------------------------------------------


def test_simulate(tmp_path):
    with running(
        "simulate", "tspl", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--output", str(tmp_path),
        "--reason", "media-empty",
    ) as printer:  # fmt: skip
        ready = json.loads(printer.stdout.readline())
        assert set(ready) == {"listen", "control"}
        code, out, _ = rawprint("status", ready["listen"], "--dialect", "tspl", "--json")
        assert (code, json.loads(out)["reasons"]["media-empty"]) == (1, True)
        assert post(ready["control"], **{"media-empty": False})["reasons"]["media-empty"] is False
        assert rawprint("print", ready["listen"], "--dialect", "tspl", "--wait", data=LABEL)[0] == 0
        state = json.loads(get(ready["control"] + "/state"))
        assert state["jobs"] == 1
        received = get(ready["control"] + "/received")
        assert LABEL in received
        assert state["bytes"] == len(received)
        printer.send_signal(signal.SIGTERM)
        assert printer.wait(PATIENCE) == 0
        assert printer.stderr.read() == ""
    assert (tmp_path / "printed.bin").read_bytes() == LABEL
    assert (tmp_path / "received.bin").read_bytes() == received


def test_simulate_where_something_listens_already(virtual):
    port = virtual("tspl").port
    code, out, err = rawprint("simulate", "tspl", "--listen", f"127.0.0.1:{port}")
    assert (code, out) == (3, "")
    assert err.startswith("busy: ")


# -- trace ----------------------------------------------------------------------------------------------------------


def test_trace_writes_a_transcript(virtual, tmp_path):
    listener = virtual("tspl", reasons=["media-empty"])
    code, out, err = rawprint("trace", listener.address, "--", "status", "--dialect", "tspl")
    assert code == 1
    lines = out.splitlines()
    assert "> 1b 21 3f" in lines
    assert "< 04" in lines
    assert "< 02 45 40 40 41 03 0d 0a" in lines
    assert any(line.startswith("= ") and "media-empty: yes" in line for line in lines)
    assert "stopped" in err  # what status prints

    file = tmp_path / "transcript.txt"
    code, out, _ = rawprint("trace", listener.address, "-o", str(file), "--", "status", "--dialect", "tspl", "--json")
    assert (code, json.loads(out)["state"]) == (1, "stopped")
    assert "> 1b 21 53" in file.read_text().splitlines()


def test_version_and_help():
    assert rawprint("--version")[1].startswith("rawprint ")
    code, out, _ = rawprint("--help")
    assert code == 0
    for command in ("list", "status", "print", "simulate", "trace", "udev"):
        assert command in out
