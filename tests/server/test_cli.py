"""The command as a process: its one line, its exit codes, its end, its size."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from rawprint import __version__
from rawprint_server.cli import main

PATIENCE = 10.0
COMMAND = (sys.executable, "-W", "error", "-m", "rawprint_server")


@contextmanager
def running(*args, stdin=subprocess.DEVNULL):
    """The process and its URL; whatever it still says is read at its end."""
    with subprocess.Popen(
        [*COMMAND, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)["url"]
        finally:
            if process.poll() is None:
                process.kill()


def end(process, number):
    """Sends the signal; returns exit code, the rest of standard output, and standard error."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def resident_kb(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_demo_prints_one_line_and_ends_cleanly(number):
    with running("--demo", "--port", "0") as (process, url):
        assert url.startswith("ws://127.0.0.1:")
        idle = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        with idle, connect(url, proxy=None) as ws:
            ws.send('{"call":"printers.find","uid":1}')
            assert json.loads(ws.recv(PATIENCE))["result"] == ["Label", "Receipt"]
            for name in ("Label", "Receipt"):
                ws.send(json.dumps({"call": "printerStatus", "uid": name, "PrinterName": name}))
                assert json.loads(ws.recv(PATIENCE))["status_code"] == 0
                ws.send(json.dumps({"call": "print", "params": {"printer": name, "data": "x\n"}}))
                assert [json.loads(ws.recv(PATIENCE))["status_code"] for _ in range(2)] == [1, 0]
            code, out, err = end(process, number)  # with a client connected and jobs just given
        assert (code, out) == (0, "")
        assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_another_signal_does_not_spoil_the_end(second):
    with running("--demo", "--port", "0") as (process, _):
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(getattr(signal, second))
            time.sleep(0.001)
        assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_idle_server_is_small(tmp_path, label, receipt):
    config = tmp_path / "server.toml"
    config.write_text(
        f'[printers.Label]\naddress = "{label.address}"\ndialect = "tspl"\n'
        f'[printers.Receipt]\naddress = "{receipt.address}"\ndialect = "escpos"\n'
    )
    with running("--config", str(config), "--port", "0") as (process, url):
        assert resident_kb(process.pid) <= 45 * 1024
        with connect(url, proxy=None) as ws:
            for name in ("Label", "Receipt"):
                ws.send(json.dumps({"call": "printerStatus", "PrinterName": name}))
                assert json.loads(ws.recv(PATIENCE))["status_code"] == 0
        assert resident_kb(process.pid) <= 45 * 1024
        assert end(process, signal.SIGTERM)[0] == 0


def test_flags_override_the_file(tmp_path):
    config = tmp_path / "server.toml"
    config.write_text('[server]\nhost = "127.0.0.1"\nport = 1\n')
    with running("--config", str(config), "--host", "::1", "--port", "0") as (process, url):
        assert url.startswith("ws://[::1]:")
        with connect(url, proxy=None) as ws:
            ws.send('{"call":"printers.find"}')
            assert json.loads(ws.recv(PATIENCE))["result"] == []
        assert end(process, signal.SIGTERM)[0] == 0


def test_a_port_that_is_taken(capsys, tmp_path):
    empty = tmp_path / "server.toml"
    empty.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--config", str(empty), "--port", port]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"cannot listen on port {port}" in err
    assert "Choose another port" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "args", "said"),
    [
        ("[server]\nprot = 1\n", [], "Did you mean 'port'?"),
        ('[printers.A]\naddress = "nonsense"\n', [], "printers.A.address"),
        ("", ["--host", "0.0.0.0"], "server.host"),
        ("", ["--port", "65536"], "65536"),
        ("", ["--port", "-1"], "-1"),
        ("", ["--log-file", "none/of/that/server.log"], "log.file"),
        ("", ["--log-file", ""], "log.file"),
        ("[server]\nport = -1\nprot = 1\n", [], "`rawprint-server check`"),
        ('[printers.Label]\naddress = "tcp://a"\n', ["--demo"], "printers.Label"),
        (None, [], "does not exist"),
    ],
)
def test_a_configuration_that_cannot_be_used(capsys, tmp_path, text, args, said):
    config = tmp_path / "server.toml"
    if text is not None:
        config.write_text(text)
    assert main(["--config", str(config), "--port", "0", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_demo_reads_no_file_of_the_user(monkeypatch):
    """Its ending early shows that the demo's printers came up without it."""

    def load(path):
        raise AssertionError(path)

    async def run(config, logs, file, read, state):
        assert list(config.printers) == ["Label", "Receipt"]
        assert file is None
        assert state is None

    monkeypatch.setattr("rawprint_server.cli.load", load)
    monkeypatch.setattr("rawprint_server.cli._run", run)
    assert main(["--demo"]) == 0


# -- check


def test_check_names_every_mistake_with_its_line(capsys, tmp_path):
    config = tmp_path / "server.toml"
    config.write_text('[server]\nprot = 1\n\n[printers.A]\naddress = "tcp://a"\ndpi = 1\n')
    assert main(["check", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    first, hint, second = out.splitlines()
    assert first == f"{config}:2: server.prot: unknown key 'prot' in [server]"
    assert hint.startswith("    Did you mean 'port'?")
    assert second == f"{config}:6: printers.A.dpi: expected int >= 100"


@pytest.mark.parametrize("order", [("check", "--config"), ("--config", "check")])
def test_check_of_a_good_file(capsys, tmp_path, order):
    config = tmp_path / "server.toml"
    config.write_text('[printers.A]\naddress = "tcp://a"\n[access]\norigins = ["https://a.example", "null"]\n')
    at = order.index("--config") + 1
    assert main([*order[:at], str(config), *order[at:]]) == 0
    assert capsys.readouterr() == (f"{config}: 1 printer, 2 origins\n", "")


def test_check_as_json(capsys, tmp_path):
    config = tmp_path / "server.toml"
    config.write_text("[server]\n\nport = 70000\n")
    assert main(["check", "--json", "--config", str(config)]) == 2
    assert json.loads(capsys.readouterr().out) == [
        {"file": str(config), "line": 3, "key": "server.port", "message": "expected int <= 65535", "hint": ""}
    ]
    config.write_text("")
    assert main(["check", "--json", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_check_of_a_file_that_cannot_be_read(capsys, tmp_path):
    assert main(["check", "--config", str(tmp_path / "none.toml")]) == 2
    assert "does not exist" in capsys.readouterr().out
    assert main(["check", "--json", "--config", str(tmp_path)]) == 2
    (mistake,) = json.loads(capsys.readouterr().out)
    assert mistake["line"] is None
    assert "cannot read" in mistake["message"]


def test_check_of_the_default_file_that_need_not_be(capsys, tmp_path, monkeypatch):
    file = tmp_path / "server.toml"
    monkeypatch.setattr("rawprint_server.config.default_path", lambda: file)
    monkeypatch.setattr("rawprint_server.cli.default_path", lambda: file)
    assert main(["check"]) == 0
    assert capsys.readouterr().out == f"{file}: 0 printers, 0 origins (there is no such file)\n"
    file.write_text("prot = 1")
    assert main(["check"]) == 2
    assert capsys.readouterr().out.startswith(f"{file}:1: prot: ")


# -- the log


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_log_is_json_where_that_is_wanted(tmp_path):
    config = tmp_path / "server.toml"
    config.write_text('[log]\njson = true\nlevel = "error"\n')
    with running("--config", str(config), "--port", "0", "--log-level", "info") as (process, _):
        code, out, err = end(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert any(json.loads(line)["message"].startswith("serving 0 printers") for line in err.splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_log_goes_to_the_file_of_the_flag(tmp_path):
    config, log = tmp_path / "server.toml", tmp_path / "server.log"
    config.write_text('[log]\njson = true\nfile = "/none/of/that"\n')
    args = ("--config", str(config), "--port", "0", "--log-file", str(log), "--no-log-json")
    with running(*args) as (process, _):
        code, out, err = end(process, signal.SIGTERM)
    assert (code, out, err) == (0, "", "")
    assert " INFO rawprint_server.cli: serving 0 printers" in log.read_text()


# -- a file that changes


def printers_until(url, names):
    """Asks until the printers are those."""
    deadline = time.monotonic() + PATIENCE
    with connect(url, proxy=None) as ws:
        while True:
            ws.send('{"call":"printers.find"}')
            found = json.loads(ws.recv(PATIENCE))["result"]
            if found == names:
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", ["noticed", "SIGHUP"])
def test_a_changed_file_is_taken_over(tmp_path, label, how):
    config, log = tmp_path / "server.toml", tmp_path / "server.log"
    config.write_text("")
    with running("--config", str(config), "--port", "0", "--host", "localhost") as (process, url):
        printers_until(url, [])
        config.write_text(f'[server]\nport = 1\n[printers.New]\naddress = "{label.address}"\n[log]\nfile = "{log}"\n')
        if how == "SIGHUP":
            process.send_signal(signal.SIGHUP)
        printers_until(url, ["New"])
        config.write_text("[server]\nprot = 1\n")
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while "server.prot" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        printers_until(url, ["New"])
        code, out, err = end(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "Traceback" not in err + log.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_terminal_that_is_closed_ends_its_server():
    ours, terminal = os.openpty()
    try:
        with running("--demo", "--port", "0", stdin=terminal) as (process, _):
            assert end(process, signal.SIGHUP)[0] == 0
    finally:
        os.close(ours)
        os.close(terminal)


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"rawprint-server {__version__}\n"


def test_wrong_arguments_exit_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--port", "x"])
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""
