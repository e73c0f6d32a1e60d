"""The command as a process: its one line, its exit codes, its end, its size."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from rawprint import __version__
from rawprint_server.cli import main

PATIENCE = 10.0
COMMAND = (sys.executable, "-W", "error", "-m", "rawprint_server")


@contextmanager
def running(*args):
    """The process and its URL; whatever it still says is read at its end."""
    with subprocess.Popen(
        [*COMMAND, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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

    async def run(config):
        assert list(config.printers) == ["Label", "Receipt"]

    monkeypatch.setattr("rawprint_server.cli.load", load)
    monkeypatch.setattr("rawprint_server.cli._run", run)
    assert main(["--demo"]) == 0


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
