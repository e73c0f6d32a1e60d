"""What a server knows of its printers after a restart: of each bad clone, of one that was replaced, of a spoilt file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rawprint.print_queue
from rawprint.virtual import Listener, device
from rawprint_server import records
from rawprint_server.config import Config, ConfigError, PrinterConfig, ServerConfig, parse, state_folder
from rawprint_server.records import Records

from .conftest import PATIENCE, RunningServer

JOB = b"CLS\r\nPRINT 1\r\n"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state" / "rawprint"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rawprint.print_queue, "_ASK_TIMEOUT", 0.75)
    monkeypatch.setattr(records, "SETTLE", 0.05)


def serving(state, address, dialect, **options):
    """A server with one printer that is its alone."""
    printer = PrinterConfig(address, dialect, **({"share": False} | options))
    return RunningServer(Config(server=ServerConfig(port=0), printers={"Printer": printer}), state)


def kept(state):
    """What the file says, by address."""
    return json.loads((state / "printers.json").read_bytes())["printers"]


def until(predicate):
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def watched(server, wanted):
    """Watches until the printer is as wanted; returns how clients see it."""
    with server.native() as client:
        (printer,) = client.ask("subscribe")["printers"]
        if not wanted(printer):
            printer = client.event(lambda kind, data: kind == "printer" and wanted(data))
        assert client.ask("printers.list")[0]["capabilities"] == printer["capabilities"]
        return printer


CLONES = {
    # clone, language -> what it answers, what it leaves unanswered, all that is asked after a restart
    ("", "tspl"): (["status", "status-long"], [], [b"\x1b!?", b"\x1b!S"]),
    ("short-status", "tspl"): (["status"], ["status-long", "status-tilde"], [b"\x1b!?"]),
    ("prints-unknown", "tspl"): (["status", "status-long"], [], [b"\x1b!?", b"\x1b!S"]),
    ("prints-unknown", "escpos"): (
        ["dle-eot-1", "dle-eot-2", "dle-eot-3", "dle-eot-4"],
        [],
        [b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"],
    ),
    # These are given one more chance, with what no printer of their language prints.
    ("enq-only", "star"): ([], ["asb"], [b"\x1b\x06\x01"]),
    ("mute", "tspl"): ([], ["status"], [b"\x1b!?"]),
    ("mute", "escpos"): ([], ["dle-eot-1"], [b"\x10\x04\x01"]),
}


@pytest.mark.parametrize(("clone", "dialect"), list(CLONES), ids=lambda value: value or "good")
def test_a_restarted_server_asks_nothing_that_is_not_proven(state, clone, dialect):
    answered, silent, proven = CLONES[clone, dialect]

    def says_so(printer):
        seen = printer["capabilities"]
        return (seen["answered"], seen["silent"]) == (answered, silent) and (printer["error"] or printer["at"])

    with Listener(device(dialect, clone=clone)) as listener:
        for run in range(2):
            before = len(listener.received())
            with serving(state, listener.address, dialect) as server:
                seen = watched(server, says_so)["capabilities"]
                assert seen["feeds"] is False
                until((state / "printers.json").exists)
            entry = kept(state)[listener.address]
            assert (entry["dialect"], entry["answered"], entry["silent"]) == (dialect, answered, silent)
            assert set(entry["learnt"]) == {*answered, *silent}
            assert (entry["round_trip"] is not None) == bool(answered)
            asked = listener.received()[before:]
            assert asked
            if run:
                for question in proven:
                    asked = asked.replace(question, b"")
                assert asked == b""
            with listener.lock:
                assert (listener.device.misprints, listener.device.tickets, listener.device.fed) == (b"", 0, 0)


@pytest.mark.parametrize("dialect", ["tspl", "escpos"])
def test_a_printer_that_feeds_when_asked_is_not_asked_by_the_next_server(state, dialect):
    with Listener(device(dialect, clone="feeds-when-asked")) as listener:
        with serving(state, listener.address, dialect) as server:
            watched(server, lambda printer: printer["capabilities"]["feeds"])
        assert kept(state)[listener.address]["feeds"] is True
        asked, fed = listener.received(), listener.device.fed
        with serving(state, listener.address, dialect) as server, server.native() as client:
            snapshot = client.ask("subscribe")
            assert snapshot["printers"][0]["capabilities"]["feeds"] is True
            assert client.refusal("printers.status", printer="Printer").code == "unsupported"
            assert client.print("Printer", JOB.decode(), wait="ended")["state"] == "delivered"
        assert listener.received() == asked + JOB
        assert listener.device.fed == fed
        assert kept(state)[listener.address]["feeds"] is True


@pytest.mark.parametrize("share", [True, False])
def test_a_printer_that_was_replaced_by_one_that_knows_less(state, share):
    """Its paper is out from the start: nobody may say that it is fine."""
    with Listener(device("tspl")) as listener:
        address, port = listener.address, listener.port
        with serving(state, address, "tspl", share=share) as server, server.native() as client:
            assert client.ask("printers.status", printer="Printer")["state"] == "idle"
    assert kept(state)[address]["answered"] == ["status", "status-long"]
    with Listener(device("tspl", clone="short-status", reasons=["media-empty"]), port=port) as listener:
        seen = []
        with serving(state, address, "tspl", share=share) as server, server.native() as client:
            until(lambda: seen.append(_status(client)) or seen[-1] == "stopped")
        assert set(seen[:-1]) <= {"no-reply"}
    entry = kept(state)[address]
    assert (entry["answered"], "status-long" in entry["silent"]) == (["status"], True)


def _status(client):
    try:
        return client.ask("printers.status", printer="Printer")["state"]
    except Exception as error:
        time.sleep(0.5)  # a failure answers for so long
        return error.code


def test_a_printer_that_was_replaced_by_one_that_knows_more(state):
    """A week later it is asked again."""
    at = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    names = ["status", "status-long", "status-tilde"]
    with Listener(device("tspl")) as listener:
        entry = {"dialect": "tspl", "answered": names[:1], "silent": names[1:], "learnt": dict.fromkeys(names, at)}
        state.mkdir(parents=True)
        (state / "printers.json").write_text(json.dumps({"printers": {listener.address: entry}}))
        with serving(state, listener.address, "tspl") as server:
            watched(server, lambda printer: printer["capabilities"]["answered"] == ["status", "status-long"])
        assert b"~!S" not in listener.received()
    assert kept(state)[listener.address]["silent"] == ["status-tilde"]


def test_a_record_belongs_to_an_address_and_a_language(state, label, receipt):
    with serving(state, label.address, "tspl") as server:
        watched(server, lambda printer: printer["state"] == "idle")
        mine = PrinterConfig(receipt.address, "escpos", share=False)
        server.call(server.app.apply, Config(printers={"Printer": mine}))
        seen = watched(server, lambda printer: printer["dialect"] == "escpos" and printer["state"] == "idle")
        assert "status" not in seen["capabilities"]["answered"]
    assert set(kept(state)) == {label.address, receipt.address}
    with serving(state, label.address, "star") as server, server.native() as client:
        assert client.ask("printers.list")[0]["capabilities"]["answered"] == []
    with serving(state, label.address, "tspl") as server, server.native() as client:
        assert client.ask("printers.list")[0]["capabilities"]["answered"] == ["status", "status-long"]


def test_without_a_folder_nothing_is_written(tmp_path, start, label, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start({"Printer": (label.address, "tspl")}).native() as client:
        client.ask("printers.status", printer="Printer")
    assert list(tmp_path.iterdir()) == []


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 5000,
        b"[]",
        b"{}",
        b'{"printers": []}',
        b'{"printers":' + b"[" * 100_000,
        b"\xff\xfe",
        b'{"printers"',
    ],
)
def test_a_spoilt_file_is_told_and_begun_afresh(state, label, caplog, content):
    state.mkdir(parents=True)
    (state / "printers.json").write_bytes(content)
    with serving(state, label.address, "tspl") as server, server.native() as client:
        assert client.ask("printers.status", printer="Printer")["state"] == "idle"
    (said,) = [record for record in caplog.records if record.name == "rawprint_server.records"]
    assert said.levelno == logging.WARNING
    assert str(state / "printers.json") in said.getMessage()
    assert list(kept(state)) == [label.address]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["dialect", "answered", "silent", "feeds", "learnt", "round_trip"])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)  # a disk takes its time
@given(
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["tcp://a", "tcp://b", ""]), VALUES | st.dictionaries(KEYS, VALUES)).map(
        lambda entries: json.dumps({"printers": entries, "more": 1}).encode()
    )
)
@example(b'{"printers": {"tcp://a": {"dialect": "tspl", "answered": [["status"]], "learnt": {"status": 1e999}}}}')
def test_no_file_keeps_the_server_from_starting(tmp_path, content):
    (tmp_path / "printers.json").write_bytes(content)

    async def run():
        kept = Records(tmp_path)
        kept.load()
        for dialect in ("tspl", None):
            assert isinstance(kept.get("tcp://a", dialect), rawprint.Capabilities)
        kept.put("tcp://a", "tspl", {"answered": ["status"], "round_trip": 0.1})
        await kept.close()

    asyncio.run(run())
    assert json.loads((tmp_path / "printers.json").read_bytes())["printers"]["tcp://a"]["answered"] == ["status"]
    assert [path.name for path in tmp_path.iterdir()] == ["printers.json"]


def written(folder, *puts, load=True):
    """Runs records through their life; returns how often the file was written."""
    writes = []
    replace = records.files.replace

    async def run(patch):
        patch.setattr(records.files, "replace", lambda *args, **more: writes.append(args) or replace(*args, **more))
        kept = Records(folder)
        if load:
            kept.load()
        for address, dialect, record in puts:
            kept.put(address, dialect, record)
        await kept.close()

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run(patch))
    return len(writes)


def test_it_is_written_once_for_many_changes_and_only_for_changes(state):
    first = {"answered": ["status"], "round_trip": 0.1}
    assert written(state, *[("tcp://a", "tspl", first | {"answered": [str(n)]}) for n in range(50)]) == 1
    assert written(state, ("tcp://a", "tspl", first)) == 1
    assert written(state, ("tcp://a", "tspl", first | {"round_trip": 0.11})) == 0
    assert written(state, ("tcp://a", "tspl", first | {"round_trip": 0.2})) == 1
    assert written(state, ("virtual://tspl", "tspl", first), ("tcp://a", None, first)) == 0
    assert kept(state)["tcp://a"] == {"dialect": "tspl", "answered": ["status"], "round_trip": 0.2}
    if sys.platform != "win32":
        assert stat.S_IMODE((state / "printers.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_servers_with_one_folder_keep_what_each_other_learnt(state):
    """Each has its own printers, and had read the file before the others wrote it."""
    each, rounds = 4, 25

    def life(server):
        for round in range(rounds):
            written(state, (f"tcp://{server}", "tspl", {"answered": [str(round)]}), load=False)

    written(state, ("tcp://before", "tspl", {"answered": []}))
    threads = [threading.Thread(target=life, args=(server,)) for server in range(each)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert "tcp://before" in kept(state), "there is a whole file at every moment"
    for thread in threads:
        thread.join()
    assert kept(state)["tcp://before"] == {"dialect": "tspl", "answered": []}
    assert [path.name for path in state.iterdir()] == ["printers.json"]


def test_only_so_many_are_kept(state, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORDS", 3)
    for address in "abcd":
        written(state, (address, "tspl", {"answered": []}))
    assert list(kept(state)) == ["b", "c", "d"]


@pytest.mark.skipif(sys.platform == "win32" or not os.geteuid(), reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_warning(state, label, caplog):
    state.mkdir(parents=True)
    state.chmod(0o500)
    _served_with_a_warning(state, label, caplog)


def test_a_folder_that_cannot_be_made_is_a_warning(state, label, caplog):
    state.parent.parent.joinpath("state").write_text("a file")
    _served_with_a_warning(state, label, caplog)


def _served_with_a_warning(state, label, caplog):
    with serving(state, label.address, "tspl") as server, server.native() as client:
        assert client.ask("printers.status", printer="Printer")["state"] == "idle"
        until(lambda: any("cannot write" in record.getMessage() for record in caplog.records))
    assert all(record.levelno <= logging.WARNING for record in caplog.records)


# -- the configuration ----------------------------------------------------------------------------------------------


def test_the_folder_is_the_users_unless_one_is_named(monkeypatch):
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *_, **__: "/home/somebody/state/rawprint")
    assert str(state_folder(Config())) == os.path.normpath("/home/somebody/state/rawprint")
    assert str(state_folder(parse('[server]\nstate_dir = "there"'))) == "there"
    for text in ('state_dir = ""', 'state_dir = "a\\nb"', "state_dir = 5", 'state_dri = "x"'):
        with pytest.raises(ConfigError, match=r"server\.state_d") as caught:
            parse(f"[server]\n{text}")
        assert "state_dir" in caught.value.message + caught.value.hint


def test_a_user_without_a_home(monkeypatch):
    def none(*_, **__):
        raise RuntimeError("no home")

    monkeypatch.setattr("platformdirs.user_state_dir", none)
    assert state_folder(Config()) is None
