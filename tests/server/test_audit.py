"""The audit log: one line an event, whole and in order; and what becomes of it where the disk does not take it."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawprint_server import audit
from rawprint_server.audit import MAX_TEXT, Audit
from rawprint_server.config import AuditConfig

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="an open file stays where it is")
WHO = {"origin": "https://pos.example.com", "address": "127.0.0.1:50000", "token": None}
HOSTILE = 'x\r\n{"time": 1}\x1b[2J\x7f\x85\u2028\u202e\t\0\ud800'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "audit.log"


@pytest.fixture
def begin():
    """begin(file, ...) -> an `Audit`, closed at the end of the test."""
    made = []

    def begin(file, questions=(), **config):
        made.append(Audit(file, AuditConfig(**config), questions))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def events(file):
    return [json.loads(line) for line in file.read_bytes().decode("ascii").split("\n") if line]


def wait_until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_a_line_says(file, begin):
    log = begin(file)
    before = time.time()
    log.record(**WHO, call="print", printer="K\u00fcche", job="812", size=20, sha256="ab" * 32, outcome="ok")
    log.record(origin=None, address=None, token="till", call="jobs.cancel", outcome="unknown-job")
    log.close()
    first, second = events(file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert abs(datetime.fromisoformat(first.pop("time")).timestamp() - before) < 5
    about = {"call": "print", "printer": "K\u00fcche", "job": "812", "bytes": 20, "sha256": "ab" * 32}
    assert first == {**WHO, **about, "outcome": "ok"}
    assert list(second) == ["time", "origin", "address", "token", "call", "outcome"]
    assert (second["origin"], second["token"], second["outcome"]) == (None, "till", "unknown-job")


def test_order_and_close(file, begin):
    log = begin(file)
    for number in range(3000):
        log.record(**WHO, call="print", size=number, outcome="ok")
    log.close()
    log.close()
    log.record(**WHO, call="late", outcome="ok")
    assert [event["bytes"] for event in events(file)] == list(range(3000))
    assert not [thread for thread in threading.enumerate() if thread.name == "audit"]


def test_many_threads(file, begin):
    log = begin(file)

    def work(name):
        for number in range(300):
            log.record(**WHO, call=name, size=number, outcome="ok")

    threads = [threading.Thread(target=work, args=(str(name),)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    for name in range(8):
        assert [event["bytes"] for event in events(file) if event["call"] == str(name)] == list(range(300))


@pytest.mark.parametrize(
    ("level", "calls"),
    [("none", None), ("changes", ["print", "printers.list"]), ("all", ["print", "printers.list", "printers.list"])],
)
def test_the_level(file, begin, level, calls):
    log = begin(file, ["printers.list"], level=level)
    log.record(**WHO, call="print", outcome="ok")
    log.record(**WHO, call="printers.list", outcome="ok")
    log.record(**WHO, call="printers.list", outcome="origin-not-allowed")
    log.close()
    assert (calls is None and not file.exists()) or [event["call"] for event in events(file)] == calls


def test_without_a_file(begin):
    log = begin(None)
    log.record(**WHO, call="print", outcome="ok")
    assert not [thread for thread in threading.enumerate() if thread.name == "audit"]


texts = st.one_of(st.just(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=600))
maybe = st.none() | texts


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"origin": maybe, "address": maybe, "token": maybe, "call": texts, "outcome": texts},
            optional={"printer": maybe, "job": maybe, "sha256": maybe, "size": st.integers(0) | st.just(10**6000)},
        ),
        max_size=5,
    )
)
def test_nothing_from_outside_makes_a_line_of_its_own_or_a_long_one(fields):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.log"
        log = Audit(file, AuditConfig())
        for each in fields:
            log.record(**each)
        log.close()
        lines = file.read_bytes().decode("ascii").splitlines() if fields else []
    assert len(lines) == len(fields)
    for line, each in zip(lines, fields, strict=True):
        assert line.isprintable()
        assert len(line) < 8 * 12 * MAX_TEXT + 300
        event = json.loads(line)
        assert len(event["call"]) <= MAX_TEXT
        if len(each["call"]) <= MAX_TEXT:
            # Two halves of a surrogate pair are one character when they are read again.
            assert event["call"] == json.loads(json.dumps(each["call"]))
        else:
            assert event["call"].endswith("...")


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_it_is_rotated_bounded_and_for_its_user_alone(file, begin):
    log = begin(file, max_bytes=65536, backups=2)
    for number in range(2000):
        log.record(**WHO, call="print", job=f"{number} {'x' * 200}", outcome="ok")
    log.close()
    made = sorted(file.parent.iterdir())
    assert [each.name for each in made] == ["audit.log", "audit.log.1", "audit.log.2"]
    assert all(each.stat().st_size <= 65536 for each in made)
    assert {each.stat().st_mode & 0o777 for each in made} == {0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    numbers = [int(event["job"].split()[0]) for each in reversed(made) for event in events(each)]
    assert numbers == list(range(numbers[0], 2000))


def test_it_goes_on_where_it_ended_and_half_a_line_stays_alone(file, begin):
    file.parent.mkdir()
    file.write_bytes(b'{"call": "before"}\n{"cal')
    for _ in range(2):
        log = begin(file)
        log.record(**WHO, call="after", outcome="ok")
        log.close()
    first, torn, *rest = file.read_text().splitlines()
    assert (first, torn) == ('{"call": "before"}', '{"cal')
    assert [json.loads(line)["call"] for line in rest] == ["after", "after"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_full_disk_is_told_once(begin, caplog):
    log = begin(Path("/dev/full"))
    for _ in range(500):
        log.record(**WHO, call="print", outcome="ok")
    log.close()
    first, last = [record.getMessage() for record in caplog.records]
    assert "/dev/full cannot be written: [Errno 28]" in first
    assert last == "the audit log ends without its last 500 events"


@POSIX
def test_a_disk_that_comes_back_has_a_line_about_the_gap(file, begin, caplog):
    caplog.set_level(logging.WARNING)
    file.mkdir(parents=True)  # nobody can write into that, not even root
    log = begin(file)
    for _ in range(3):
        log.record(**WHO, call="lost", outcome="ok")
    wait_until(lambda: log._lost == 3)
    file.rmdir()
    log.record(**WHO, call="print", outcome="ok")
    log.close()
    gap, event = events(file)
    assert list(gap) == ["time", "lost"]
    assert gap["lost"] == 3
    assert event["call"] == "print"
    assert len(caplog.records) == 2
    assert "lacks 3 events" in caplog.records[1].getMessage()


@POSIX
def test_a_file_that_cannot_be_rotated_grows(file, begin, capsys, caplog):
    (file.parent / "audit.log.1").mkdir(parents=True)
    log = begin(file, max_bytes=65536, backups=1)
    for number in range(500):
        log.record(**WHO, call="print", size=number, job="x" * 200, outcome="ok")
    log.close()
    assert [event["bytes"] for event in events(file)] == list(range(500))
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not caplog.records


@POSIX
def test_a_disk_that_hangs_holds_nobody_up_and_takes_no_memory(tmp_path, begin, monkeypatch, caplog):
    monkeypatch.setattr(audit, "MAX_WAITING", 100)
    monkeypatch.setattr(audit, "CLOSE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to open it takes somebody who reads
    log = begin(pipe)
    begun = time.monotonic()
    for number in range(1000):
        log.record(**WHO, call="print", size=number, outcome="ok")
    assert time.monotonic() - begun < 1
    assert log._waiting.qsize() <= 100
    thread = log._thread
    log.close()
    assert "does not get to the disk" in caplog.records[0].getMessage()
    with pipe.open("rb") as reader:
        said = [json.loads(line) for line in reader.read().splitlines()]
    thread.join(5)
    assert sum(event.get("lost", 0) for event in said) + sum("call" in event for event in said) == 1000
    numbers = [event["bytes"] for event in said if "call" in event]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 100
