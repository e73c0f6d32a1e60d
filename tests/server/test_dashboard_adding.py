"""Printers that an administrator adds to the configuration file of a running server, and examines before."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from datetime import datetime

import pytest

from rawprint import Report, examine
from rawprint.cli import report_view
from rawprint_server import grants
from rawprint_server.adding import ConfigFile
from rawprint_server.config import MAX_FILE_BYTES, PrinterConfig, load

from .conftest import Native
from .test_cli import running
from .test_schema import SCHEMA, errors

FILE = '# the shop\n[printers.Bar]   # upstairs\naddress = "tcp://127.0.0.1:9"\ndialect = "escpos"\n'


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(FILE)
    return file


@pytest.fixture
def looked():
    return []


@pytest.fixture
def admin(administered, file, looked):
    return administered(file=ConfigFile(file, lambda: looked.append(1)))[1]


def test_a_printer_is_written_into_the_file(admin, file, looked):
    params = {"name": "Front desk", "address": "tcp://192.168.7.9", "dialect": "tspl"}
    assert errors(params, SCHEMA["calls"]["admin.add"]["params"]) == []
    assert admin.ask("admin.add", **params) is None
    assert file.read_text() == FILE + ('\n[printers."Front desk"]\naddress = "tcp://192.168.7.9"\ndialect = "tspl"\n')
    admin.ask("admin.add", name="Any", address="tcp://192.168.7.10")
    assert load(file).printers["Any"] == PrinterConfig("tcp://192.168.7.10")
    assert looked == [1, 1]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": "Bar", "address": "tcp://192.168.7.9"}, "bad-config"),
        ({"name": "Label", "address": "tcp://192.168.7.9"}, "bad-config"),
        ({"name": "New", "address": "tcp://127.0.0.1:9"}, "bad-config"),
        ({"name": "New", "address": "nowhere"}, "bad-config"),
        ({"name": "New", "address": "tcp://192.168.7.9", "dialect": "klingon"}, "bad-config"),
        ({"name": "", "address": "tcp://192.168.7.9"}, "bad-config"),
        ({"name": "x" * 300, "address": "tcp://192.168.7.9"}, "bad-config"),
        ({"name": 'x"]\n[access]\norigins = ["https://evil.example"]', "address": "tcp://192.168.7.9"}, "bad-config"),
        ({"name": "New", "address": 'tcp://192.168.7.9"\nshare = false#'}, "bad-config"),
        ({"name": "x" * 1001, "address": "tcp://192.168.7.9"}, "bad-request"),
        ({"name": "New"}, "bad-request"),
    ],
)
def test_what_is_no_printer_changes_nothing(admin, file, looked, params, code):
    refusal = admin.refusal("admin.add", **params)
    assert refusal.code == code
    assert refusal.hint or code == "bad-request"
    assert (file.read_text(), looked) == (FILE, [])


def test_several_at_a_time_are_all_there(admin, file):
    uids = [admin.send("admin.add", name=f"P{number}", address=f"tcp://192.168.7.{number}") for number in range(1, 20)]
    for uid in uids:
        admin.reply(uid)
    assert len(load(file).printers) == 20


def test_a_full_file_stays_readable(admin, file):
    file.write_text(FILE + "#" * (MAX_FILE_BYTES - len(FILE)))
    assert admin.refusal("admin.add", name="New", address="tcp://192.168.7.9").code == "bad-config"
    load(file)


def test_a_server_without_a_file(administered):
    _, admin = administered()
    assert admin.refusal("admin.add", name="New", address="tcp://192.168.7.9").code == "no-file"


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is none is another error there")
def test_a_file_that_cannot_be_written(administered, tmp_path):
    _, admin = administered(file=ConfigFile(tmp_path / "folder", print))
    (tmp_path / "folder").mkdir()
    refusal = admin.refusal("admin.add", name="New", address="tcp://192.168.7.9")
    assert refusal.code == "no-file"
    assert refusal.hint


def test_the_running_server_takes_it_over(file, tmp_path, receipt):
    state = tmp_path / "state"
    file.write_text(f"{FILE}[server]\nport = 0\nstate_dir = {json.dumps(str(state))}\n")
    with running("--config", str(file)) as (_, url):
        secret = grants.admin_secret(state, make=False)
        with native(url, secret) as admin:
            admin.ask("subscribe")
            admin.ask("admin.add", name="Till", address=receipt.address, dialect="escpos")
            server = admin.event(lambda kind, data: kind == "server" and "Till" in data["printers"], timeout=10)
            assert server["printers"] == ["Bar", "Till"]
            assert admin.ask("printers.status", printer="Till")["state"] == "idle"


@contextmanager
def native(url, secret):
    from websockets.sync.client import connect

    headers = {"Authorization": f"Bearer {secret}"}
    with connect(url, proxy=None, subprotocols=["rawprint.v1"], additional_headers=headers) as ws:
        yield Native(ws)


# Examining one


def test_a_printer_is_examined(administered):
    from rawprint.virtual import Listener, device

    _, admin = administered()
    with Listener(device("tspl")) as other:
        other.set("media-empty", True)
        report = admin.ask("admin.probe", address=other.address, dialect="tspl")
        assert errors(report, SCHEMA["calls"]["admin.probe"]["result"]) == []
        assert (report["address"], report["dialect"]) == (other.address, "tspl")
        assert report["status"]["reasons"]["media-empty"] is True
        worst = report["findings"][0]
        assert worst["severity"] == "error"
        assert worst["remedy"]
        assert b"TEXT" not in other.received(), "nothing is printed"
        without = admin.ask("admin.probe", address=other.address)
        assert without["dialect"] in {None, "tspl"}
    gone = admin.ask("admin.probe", address="tcp://127.0.0.1:1")
    assert (gone["status"], gone["findings"][0]["severity"]) == (None, "error")
    assert admin.refusal("admin.probe", address="nowhere").code == "bad-address"
    assert admin.refusal("admin.probe", address="tcp://127.0.0.1:1", dialect="klingon").code == "bad-address"


def test_it_is_the_report_of_the_command(monkeypatch, administered, receipt):
    """`rawprint probe --json` and the call tell the same in the same words."""
    (report,) = examine([receipt.address], dialect="escpos")
    assert isinstance(report, Report)
    monkeypatch.setattr("rawprint_server.admin.examine", lambda *_, **__: [report])
    _, admin = administered()
    told, wanted = admin.ask("admin.probe", address=receipt.address), json.loads(json.dumps(report_view(report)))
    at = [datetime.fromisoformat(each["status"].pop("at")).timestamp() for each in (told, wanted)]
    assert abs(at[0] - at[1]) < 0.001
    assert told == wanted


def test_a_printer_that_prints_is_not_asked(administered, label):
    _, admin = administered()
    label.stall(True)
    admin.ask("subscribe")
    admin.print("Label", "x" * 20_000, id="long")
    admin.job_event("long", "processing", "stopped")
    refusal = admin.refusal("admin.probe", address=label.address, dialect="tspl")
    assert (refusal.code, "Label" in refusal.message) == ("busy", True)
    label.stall(False)


def test_few_at_a_time(administered, monkeypatch):
    """So that the threads which the journal needs are left."""
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(named, **_):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.05)
        with lock:
            at_once -= 1
        return [Report(named[0])]

    monkeypatch.setattr("rawprint_server.admin.examine", slow)
    _, admin = administered()
    uids = [admin.send("admin.probe", address="tcp://127.0.0.1:1") for _ in range(20)]
    for uid in uids:
        admin.reply(uid)
    assert most == 2
