"""The journal's file: what it keeps, and what becomes of it when disks are full, files broken, and versions old."""

from __future__ import annotations

import os
import queue
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from rawprint import Journal, JournalError, JournalTaken

PATIENCE = 10.0


def accept(journal, id, data=b"ticket\n", **options):
    """Its number, once it is on disk."""
    answers = queue.SimpleQueue()
    seq = journal.number()
    journal.accept(seq, id, "Label", data, answers.put, **options)
    if (error := answers.get(timeout=PATIENCE)) is not None:
        raise error
    return seq


def end(journal, seq, state="delivered", **told):
    answers = queue.SimpleQueue()
    journal.end(seq, state, answers.put, **told)
    assert answers.get(timeout=PATIENCE) is None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "jobs.db"


def test_what_was_accepted_is_there_the_next_time(path):
    with Journal(path) as journal:
        first = accept(journal, "a", b"\0\xff bytes", name="Till 3", expires=time.time() + 60, priority=80)
        second = accept(journal, "b")
        journal.start(second)
        name = journal.name
    with Journal(path) as journal:
        assert journal.name == name
        (a, a_data), (b, b_data) = journal.unfinished()
        assert (a.seq, a.id, a.printer, a.name, a.priority, a.started) == (first, "a", "Label", "Till 3", 80, False)
        assert (a.state, a.bytes_total, a_data) == ("pending", 8, b"\0\xff bytes")
        assert (b.started, b_data) == (True, b"ticket\n")
        journal.start(second, started=False)
        assert accept(journal, "c") > second
        assert [entry.started for entry, _ in journal.unfinished()] == [False, False, False]


def test_ends_ids_and_bytes(path):
    with Journal(path) as journal:
        seq = accept(journal, "a")
        end(journal, seq, "uncertain", bytes_accepted=3, evidence=("acknowledged",), error=JournalError("x", hint="y"))
        found = journal.find("a")
        assert (found.state, found.bytes_accepted, found.evidence) == ("uncertain", 3, ("acknowledged",))
        assert found.error == {"code": "journal", "message": "x", "hint": "y"}
        assert found.ended is not None
        assert journal.find("b") is None
        assert [entry.id for entry in journal.unsettled()] == ["a"]
        journal.settle("a")
        assert journal.unsettled() == []
        assert journal.data(seq) == b"ticket\n"
        journal.forget("a")
        accept(journal, "a", b"anew")
        assert journal.ended(10) == []


def test_bytes_go_with_the_end_where_nothing_is_to_be_kept(path):
    with Journal(path, keep_data=0) as journal:
        first, second = accept(journal, "a"), accept(journal, "b")
        end(journal, first)
        end(journal, second, "uncertain")
        assert (journal.data(first), journal.data(second)) == (None, b"ticket\n"), "somebody may want it again"


def test_what_is_old_is_forgotten(path, monkeypatch):
    monkeypatch.setattr("rawprint.journal._TIDY_EVERY", 0.0)
    with Journal(path, remember=0.0, keep_data=0.0) as journal:
        waiting = accept(journal, "waiting")
        end(journal, accept(journal, "old"))
        deadline = time.monotonic() + PATIENCE
        while journal.find("old") is not None:
            assert time.monotonic() < deadline
            journal.start(waiting)  # each change lets it tidy
        assert journal.find("waiting") is not None


def test_nobody_else_reads_it(path):
    with Journal(path) as journal:
        accept(journal, "a")
        for end in ("", "-wal", "-shm", ".lock"):
            assert stat.S_IMODE(path.with_name(path.name + end).stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_one_process_owns_it(path):
    script = f"import rawprint, sys; rawprint.Journal({str(path)!r}); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(JournalTaken) as caught:
            Journal(path)
        assert caught.value.hint
        other.kill()
        other.wait()
        Journal(path).close()


@pytest.mark.parametrize(
    "damage", [b"this is no database, and never was one. " * 200, b"SQLite format 3\0" + bytes(5000)]
)
def test_a_damaged_file_is_set_aside(path, caplog, damage):
    path.parent.mkdir()
    path.write_bytes(damage)
    with Journal(path) as journal:
        accept(journal, "a")
        (aside,) = path.parent.glob("jobs.db.damaged-*")
        assert aside.read_bytes() == damage
        assert aside.name in caplog.text
        assert journal.find("a") is not None


def test_a_file_that_is_damaged_while_it_is_used(path, caplog):
    with Journal(path) as journal:
        before = journal.name
        for number in range(200):
            accept(journal, f"job-{number}", b"x" * 1000)
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with path.open("r+b") as file:
            for page in range(1, path.stat().st_size // 4096):
                file.seek(page * 4096)
                file.write(b"\xaa" * 4096)
        journal._writer.execute("PRAGMA shrink_memory")
        accept(journal, "after")
        assert journal.find("after") is not None
        assert journal.name != before
        assert "damaged" in caplog.text


def test_an_older_versions_file(path):
    from rawprint.journal import _STEPS

    path.parent.mkdir()
    with sqlite3.connect(path) as old:
        old.executescript(f"{_STEPS[0]} PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO jobs (seq, id, printer, digest, bytes_total, created) VALUES (7, 'a', 'Label', x'', 1, 0)"
        )
        old.execute("INSERT INTO bodies VALUES (7, x'41')")
    old.close()
    with Journal(path) as journal:
        ((entry, data),) = journal.unfinished()
        assert (entry.seq, entry.priority, entry.settled, data) == (7, 50, False, b"A")
        assert accept(journal, "b") == 8


def test_a_newer_versions_file_is_left_alone(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(JournalError, match="newer"):
        Journal(path)


def test_a_full_disk_takes_nothing_in_by_half(path):
    with Journal(path) as journal:
        first = accept(journal, "first")
        (pages,) = journal._writer.execute("PRAGMA page_count").fetchone()
        journal._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(JournalError, match="full") as caught:
            accept(journal, "large", bytes(100_000))
        assert "room" in caught.value.hint
        assert journal.find("large") is None
        end(journal, first)  # what needs no room goes on
        journal._writer.execute("PRAGMA max_page_count = 1000000")
        accept(journal, "large", bytes(100_000))


def test_an_end_that_could_not_be_written_is_written_later(path):
    with Journal(path) as journal:
        seq = accept(journal, "a")
        journal._writer.execute("PRAGMA query_only = 1")
        answers = queue.SimpleQueue()
        journal.end(seq, "delivered", answers.put)
        assert isinstance(answers.get(timeout=PATIENCE), JournalError)
        assert journal.find("a").state == "pending"
        journal._writer.execute("PRAGMA query_only = 0")
        accept(journal, "b")
        assert journal.find("a").state == "delivered"


def test_an_id_that_is_there_spoils_nobody_elses_job(path):
    with Journal(path) as journal:
        accept(journal, "a")
        answers = queue.SimpleQueue()
        for id in ("b", "a", "c"):
            journal.accept(journal.number(), id, "Label", b"x", lambda error, key=id: answers.put((key, error)))
        got = dict(answers.get(timeout=PATIENCE) for _ in range(3))
        assert (got["b"], got["c"]) == (None, None)
        assert isinstance(got["a"], JournalError)


def test_where_it_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError):
        Journal(tmp_path / "file" / "jobs.db")
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(JournalError):
        Journal(tmp_path / "jobs.db")


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with a signal")
@pytest.mark.parametrize("durability", ["power", "process"])
def test_what_was_acknowledged_outlives_kill_9(path, durability):
    script = (
        "import queue, rawprint, sys\n"
        f"journal = rawprint.Journal({str(path)!r}, durability={durability!r})\n"
        "for n in range(1000):\n"
        "    done = queue.SimpleQueue()\n"
        "    journal.accept(journal.number(), f'job-{n}', 'Label', b'x' * 1000, done.put)\n"
        "    assert done.get() is None\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        for _ in range(300):
            told = process.stdout.readline()
        os.kill(process.pid, 9)
        told = (process.stdout.read().split() or [told])[-1]
    with Journal(path) as journal:
        left = [entry.id for entry, data in journal.unfinished() if data == b"x" * 1000]
        assert left[: int(told) + 1] == [f"job-{n}" for n in range(int(told) + 1)]
