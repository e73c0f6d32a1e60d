"""The journal: an SQLite file that has each job before it is acknowledged, before its first byte goes out, and its end before it is told.

One writes at a time. What others ask for while the disk is waited for shares the next commit, so that a crowd of jobs costs few of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from rawprint.errors import JournalError, JournalTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rawprint.errors import RawprintError

log = logging.getLogger(__name__)

Durability = Literal["power", "process"]

REMEMBER = 24 * 3600.0
"""Seconds for which an ended job, and so its id, is remembered where nothing else is said."""

KEEP_DATA = 3600.0
"""Seconds for which an ended job's bytes are kept where nothing else is said."""

_BATCH = 1000  # changes of one commit
_TIDY_EVERY = 30.0  # seconds
_TIDY_AT_ONCE = 500  # rows: a job does not wait long behind that

# Step n makes version n + 1 of the file out of version n (`PRAGMA user_version`). Steps are never changed, only added.
_STEPS = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, printer TEXT NOT NULL, name TEXT, digest BLOB NOT NULL,
        bytes_total INTEGER NOT NULL, bytes_accepted INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, expires REAL,
        started INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'pending', evidence TEXT NOT NULL DEFAULT '[]',
        error TEXT, ended REAL);
    CREATE TABLE bodies (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE INDEX unfinished ON jobs (seq) WHERE ended IS NULL;
    CREATE INDEX by_end ON jobs (ended) WHERE ended IS NOT NULL;
    """,
    """
    ALTER TABLE jobs ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX unsettled ON jobs (seq) WHERE state = 'uncertain' AND settled = 0;
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 50;
    """,
    """
    CREATE TABLE paused (printer TEXT PRIMARY KEY);
    CREATE TABLE memory (name TEXT NOT NULL);
    INSERT INTO memory VALUES (lower(hex(randomblob(8))));
    """,
    """
    ALTER TABLE jobs ADD COLUMN data BLOB;
    CREATE INDEX with_data ON jobs (ended) WHERE data IS NOT NULL AND ended IS NOT NULL;
    """,
)
# A small job's bytes are in its row: one statement and one page fewer, of which a commit's time consists. Those of a larger one
# are apart, as every change of a row writes it whole.
_SMALL = 2048
_INSERT = (
    "INSERT INTO jobs (seq, id, printer, name, digest, bytes_total, created, expires, priority, started, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_END = "UPDATE jobs SET state = ?, bytes_accepted = ?, evidence = ?, error = ?, ended = ? WHERE seq = ?"
_DROP_SMALL = "UPDATE jobs SET data = NULL WHERE seq = ?"
_DROP_BODY = "DELETE FROM bodies WHERE seq = ?"
_INSERT_BODY = "INSERT INTO bodies (seq, data) VALUES (?, ?)"
_COLUMNS = (
    "seq, id, printer, name, digest, bytes_total, bytes_accepted, created, expires, started, state, evidence, error, ended, "
    "settled, priority"
)


class JournalEntry(NamedTuple):
    """One job as the journal has it; times are seconds since 1970.

    Attributes:
        seq: Its number in the journal, in the order of acceptance.
        digest: SHA-256 of its bytes.
        started: Whether a byte of it may have gone out.
        error: "code", "message", "hint" and, where bytes were given, "written"; None: none.
        ended: When; None: it has not.
        settled: Whether somebody has said what became of an uncertain one.
    """

    seq: int
    id: str
    printer: str
    name: str | None
    digest: bytes
    bytes_total: int
    bytes_accepted: int
    created: float
    expires: float | None
    started: bool
    state: str
    evidence: tuple[str, ...]
    error: dict[str, Any] | None
    ended: float | None
    settled: bool
    priority: int


@dataclass(slots=True)
class _Change:
    """Something to be written: SQL statements with their values, and who waits for it."""

    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    done: Callable[[JournalError | None], None]


class Journal:
    """Keeps jobs over a crash. Any thread may use it; only one process can own a file.

    A file that is damaged is set aside under another name, which is logged as an error, and a new one is begun.

    Attributes:
        durability: "power": what is acknowledged is on the disk (`synchronous=FULL`); "process": it survives the end of this
            process, however it comes, and not that of the machine (`synchronous=NORMAL`).
        name: Stays as long as the file; another one means that all ids are forgotten.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "power",
        remember: float = REMEMBER,
        keep_data: float = KEEP_DATA,
    ) -> None:
        """Open or make the file, with access for this user alone.

        Args:
            path: The file; beside it are made "-wal", "-shm" and ".lock".
            durability: See the attribute.
            remember: Seconds for which an ended job is remembered.
            keep_data: Seconds for which its bytes are kept after its end; 0: not at all. Those of an uncertain job are
                kept until it is settled, or forgotten.

        Raises:
            JournalTaken: Another process has it.
            JournalError: It is a newer version's, or cannot be opened or written.
        """
        self.durability: Durability = durability
        self._path = Path(path)
        self._remember, self._keep_data = remember, keep_data
        self._changes: SimpleQueue[_Change | None] = SimpleQueue()
        self._reading = threading.Lock()
        self._lock = _own(self._path)
        try:
            self._writer = self._open_or_set_aside()
            self._reader = self._connect()
        except JournalError:
            os.close(self._lock)
            raise
        self.name = self._named()
        self._last: int = self._reader.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()[0]
        self._numbers = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._queued = 0  # changes that the thread has not written yet
        self._tidied = 0.0
        self._unwritten: list[_Change] = []  # ends that a full disk has refused
        self._thread = threading.Thread(target=self._run, name="rawprint journal", daemon=True)
        self._thread.start()

    # -- what queues call ----------------------------------------------------------------------------------------

    def number(self) -> int:
        """The next job's number; jobs are taken up again in the order of these."""
        with self._numbers:
            self._last += 1
            return self._last

    def accept(
        self,
        seq: int,
        id: str,
        printer: str,
        data: bytes | memoryview,
        done: Callable[[JournalError | None], None],
        *,
        name: str | None = None,
        expires: float | None = None,
        priority: int = 50,
        started: bool = False,
        here: bool = False,
    ) -> None:
        """Take a job in.

        Args:
            seq: Its `number`.
            id: The job's.
            printer: Whose it is.
            data: Its bytes.
            done: Called when it is on disk, or with the error: then nothing of it is. In the journal's thread, or before this
                returns.
            name: What people call it.
            expires: When it is no longer to be begun.
            priority: 1 to 100.
            started: Whether its first byte follows at once, so that `start` need not be called.
            here: Whether the caller's thread may wait for the disk; where nobody else writes that is quicker.
        """
        row = (
            *(seq, id, printer, name, hashlib.sha256(data).digest(), len(data)),
            *(time.time(), expires, priority, started, data if len(data) <= _SMALL else None),
        )
        apart = ((_INSERT_BODY, (seq, data)),) if len(data) > _SMALL else ()
        self._put(_Change(((_INSERT, row), *apart), done), here=here)

    def start(self, seq: int, *, started: bool = True) -> None:
        """The job's first byte is about to go out; returns when that is on disk. Or, with `started` false, it did not go.

        Raises:
            JournalError: It could not be written: no byte may go out.
        """
        change = (("UPDATE jobs SET started = ? WHERE seq = ?", (started, seq)),)
        if not started:  # what comes after it is written after it
            self._put(_Change(change, _nobody_waits))
            return
        self._put_and_wait(change, here=True)

    def end(
        self,
        seq: int,
        state: str,
        done: Callable[[JournalError | None], None],
        *,
        bytes_accepted: int = 0,
        evidence: tuple[str, ...] = (),
        error: RawprintError | None = None,
    ) -> None:
        """The job has ended so.

        Args:
            seq: Its number.
            state: Its end.
            done: Called as `accept` does when that is on disk; or with the error where it cannot be written, which is tried
                again with every later change: after a crash before that it counts as interrupted.
            bytes_accepted: As `Job.bytes_accepted`.
            evidence: As `Job.evidence`.
            error: As `Job.error`.
        """
        told = None
        if error is not None:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            if (written := getattr(error, "written", None)) is not None:
                told["written"] = written
        row = (state, bytes_accepted, json.dumps(evidence), told and json.dumps(told), time.time(), seq)
        statements: list[tuple[str, tuple[Any, ...]]] = [(_END, row)]
        if not self._keep_data and state != "uncertain":
            statements += (_DROP_SMALL, (seq,)), (_DROP_BODY, (seq,))
        self._put(_Change(tuple(statements), done))

    def forget(self, id: str) -> None:
        """An ended job that is tried anew under the same id: its row makes place."""
        self._put(
            _Change(
                (
                    ("DELETE FROM bodies WHERE seq = (SELECT seq FROM jobs WHERE id = ?)", (id,)),
                    ("DELETE FROM jobs WHERE id = ? AND ended IS NOT NULL", (id,)),
                ),
                _nobody_waits,
            )
        )

    def move(self, seq: int, printer: str) -> None:
        """A job is another printer's now."""
        self._put(_Change((("UPDATE jobs SET printer = ? WHERE seq = ?", (printer, seq)),), _nobody_waits))

    def pause(self, printer: str, *, paused: bool) -> None:
        """Remember that somebody has the printer's jobs wait, or no more."""
        sql = "INSERT OR IGNORE INTO paused VALUES (?)" if paused else "DELETE FROM paused WHERE printer = ?"
        self._put(_Change(((sql, (printer,)),), _nobody_waits))

    def rename(self, printer: str, to: str) -> None:
        """Another name for a printer: the jobs that have not ended, or are not settled, are its own still."""
        self._put(
            _Change((("UPDATE OR REPLACE paused SET printer = ? WHERE printer = ?", (to, printer)),), _nobody_waits)
        )
        sql = (
            "UPDATE jobs SET printer = ? WHERE printer = ? AND (ended IS NULL OR (state = 'uncertain' AND settled = 0))"
        )
        self._put(_Change(((sql, (to, printer)),), _nobody_waits))

    def settle(self, id: str) -> None:
        """Somebody has said what became of an uncertain job; returns when that is on disk.

        Raises:
            JournalError: It could not be written.
        """
        self._put_and_wait((("UPDATE jobs SET settled = 1 WHERE id = ?", (id,)),))

    def _put_and_wait(self, statements: tuple[tuple[str, tuple[Any, ...]], ...], *, here: bool = False) -> None:
        answers: SimpleQueue[JournalError | None] = SimpleQueue()
        self._put(_Change(statements, answers.put), here=here)
        if (error := answers.get()) is not None:
            raise error

    def _put(self, change: _Change, *, here: bool = False) -> None:
        """Have it written: by the thread, or where nothing is ahead of it and nobody minds, here and now."""
        if (here or self.durability == "process") and self._writing.acquire(blocking=False):
            try:
                if not self._queued and not self._closed:
                    self._write([change])
                    return
            finally:
                self._writing.release()
        with self._numbers:
            if not self._closed:
                self._queued += 1
                self._changes.put(change)
                return
        change.done(JournalError(f"the journal {self._path} is closed", hint="close the queues before their journal"))

    # -- reading -------------------------------------------------------------------------------------------------

    def find(self, id: str) -> JournalEntry | None:
        """The job of that id, if it is remembered."""
        return next(self._read("WHERE id = ?", id), None)

    def unfinished(self) -> list[tuple[JournalEntry, bytes]]:
        """The jobs that have not ended, in order, with their bytes."""
        return [(entry, self.data(entry.seq) or b"") for entry in list(self._read("WHERE ended IS NULL ORDER BY seq"))]

    def unsettled(self) -> list[JournalEntry]:
        """The uncertain jobs of which nobody has said what became of them."""
        return list(self._read("WHERE state = 'uncertain' AND settled = 0 ORDER BY seq"))

    def paused(self) -> list[str]:
        """The printers whose jobs somebody has wait."""
        return [name for (name,) in self._select("SELECT printer FROM paused")]

    def ended(self, limit: int) -> list[JournalEntry]:
        """The newest of those that have ended, the oldest first."""
        return list(self._read("WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?", limit))[::-1]

    def data(self, seq: int) -> bytes | None:
        """A job's bytes; None where they are kept no more."""
        return self._body("jobs.seq = ?", seq)

    def data_of(self, id: str) -> bytes | None:
        """The same of the job with that id."""
        return self._body("jobs.id = ?", id)

    def _body(self, where: str, value: object) -> bytes | None:
        columns = "coalesce(jobs.data, bodies.data) FROM jobs LEFT JOIN bodies USING (seq)"
        rows = self._select(f"SELECT {columns} WHERE {where}", value)
        return rows[0][0] if rows else None

    def _read(self, where: str, *values: object) -> Iterator[JournalEntry]:
        return map(_entry, self._select(f"SELECT {_COLUMNS} FROM jobs {where}", *values))  # noqa: S608

    def _select(self, sql: str, *values: object) -> list[Any]:
        """Rows.

        Raises:
            JournalError: The file cannot be read, or is closed.
        """
        with self._reading:
            try:
                return self._reader.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise _failure(self._path, error) from error

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is not written yet, and let go of the file."""
        with self._numbers:
            if self._closed:
                return
            self._closed = True
            self._changes.put(None)
        self._thread.join()
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                first = self._changes.get(timeout=_TIDY_EVERY)
            except Empty:
                with self._writing:
                    self._tidy()
                continue
            changes, ends = ([], True) if first is None else ([first], False)
            with contextlib.suppress(Empty):
                while len(changes) < _BATCH and not ends:
                    following = self._changes.get_nowait()
                    if following is None:
                        ends = True
                    else:
                        changes.append(following)
            with self._writing:
                self._write(changes)
                with self._numbers:
                    self._queued -= len(changes)
            if ends:
                return
            if time.monotonic() - self._tidied > _TIDY_EVERY:
                with self._writing:
                    self._tidy()

    def _write(self, changes: list[_Change]) -> None:
        error = self._commit([*self._unwritten, *changes])
        taken = error is not None and isinstance(error.__cause__, sqlite3.IntegrityError)
        if taken and len(changes) > 1:
            for change in changes:  # an id that was there already must not spoil what others wrote
                self._write([change])
            return
        if error is None:
            self._unwritten.clear()
        elif taken:
            error = JournalError("the journal has a job of that id already", hint="make a new id for every job")
        else:
            log.error("the journal cannot be written: %s", error)
            # An end is true whatever the disk says.
            self._unwritten += [change for change in changes if change.statements[0][0] is _END]
            del self._unwritten[:-_BATCH]
        for change in changes:
            try:
                change.done(error)
            except Exception:
                log.exception("a job's journal entry was written, and telling so failed")

    def _commit(self, changes: Iterable[_Change]) -> JournalError | None:
        statements = [statement for change in changes for statement in change.statements]
        if len(statements) > 1:  # a single one is a transaction by itself
            statements = [("BEGIN IMMEDIATE", ()), *statements, ("COMMIT", ())]
        for tries_left in (1, 0):
            try:
                for sql, values in statements:
                    self._writer.execute(sql, values)
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                if not (_is_damage(error) and tries_left):
                    failure = _failure(self._path, error)
                    failure.__cause__ = error
                    return failure
                try:
                    self._begin_anew(error)
                except JournalError as failed:
                    return failed
            else:
                return None
        return None

    def _tidy(self) -> None:
        """Remove what is kept no longer, a little at a time."""
        self._tidied, now = time.monotonic(), time.time()
        old = "SELECT seq FROM jobs WHERE ended < ? ORDER BY ended LIMIT ?"
        unneeded = "jobs.ended < ? AND (state <> 'uncertain' OR settled) LIMIT ?"
        spent = f"SELECT seq FROM bodies JOIN jobs USING (seq) WHERE {unneeded}"  # noqa: S608
        small = f"SELECT seq FROM jobs INDEXED BY with_data WHERE data IS NOT NULL AND {unneeded}"  # noqa: S608
        self._commit(
            [
                _Change(
                    (
                        (f"UPDATE jobs SET data = NULL WHERE seq IN ({small})", (now - self._keep_data, _TIDY_AT_ONCE)),  # noqa: S608
                        (f"DELETE FROM bodies WHERE seq IN ({spent})", (now - self._keep_data, _TIDY_AT_ONCE)),  # noqa: S608
                        (f"DELETE FROM bodies WHERE seq IN ({old})", (now - self._remember, _TIDY_AT_ONCE)),  # noqa: S608
                        (f"DELETE FROM jobs WHERE seq IN ({old})", (now - self._remember, _TIDY_AT_ONCE)),  # noqa: S608
                    ),
                    _nobody_waits,
                )
            ]
        )

    # -- the file ------------------------------------------------------------------------------------------------

    def _open_or_set_aside(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise _failure(self._path, error) from error
            self._set_aside(error)
        try:
            return self._open()
        except sqlite3.Error as error:
            raise _failure(self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise _failure(self._path, error) from error
        connection = self._connect()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA fullfsync = 1")  # macOS: else the disk's own memory counts as the disk
            connection.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'power' else 'NORMAL'}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(_STEPS):
                raise JournalError(
                    f"the journal {self._path} is a newer version's ({version}; this one knows {len(_STEPS)})",
                    hint="use that version, or another folder",
                )
            for number, step in enumerate(_STEPS[version:], version + 1):
                connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
            # A look at each page that matters first: the unfinished jobs'.
            connection.execute("SELECT count(*) FROM jobs NOT INDEXED WHERE ended IS NULL AND seq < 0").fetchone()
            connection.execute("SELECT seq, id FROM jobs WHERE ended IS NULL").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def _named(self) -> str:
        name: str = self._reader.execute("SELECT name FROM memory").fetchone()[0]
        return name

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5.0)

    def _set_aside(self, error: sqlite3.Error) -> None:
        to = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        log.error(
            "the journal %s is damaged (%s): it is kept as %s, and a new one is begun", self._path, error, to.name
        )
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + end).rename(to.with_name(to.name + end))

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """The file was damaged while it was in use."""
        with self._reading:
            self._writer.close()
            self._reader.close()
            self._set_aside(error)
            try:
                self._writer = self._open()
                self._reader = self._connect()
                self.name = self._named()
            except sqlite3.Error as failed:
                raise _failure(self._path, failed) from failed


def _nobody_waits(_: JournalError | None) -> None:
    """The outcome is logged where it is an error, and nobody waits for it."""


def _entry(row: tuple[Any, ...]) -> JournalEntry:
    entry = JournalEntry(*row)
    return entry._replace(
        started=bool(entry.started),
        evidence=tuple(json.loads(row[11])),
        error=None if row[12] is None else json.loads(row[12]),
        settled=bool(entry.settled),
    )


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is broken, and not only full, locked or out of reach."""
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "no such table" in str(error)


def _failure(path: Path, error: Exception) -> JournalError:
    full = getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")
    return JournalError(
        f"the journal {path} cannot be used: {getattr(error, 'strerror', None) or error}",
        hint="make room on the disk" if full else "see whether this user may write there",
    )


def _own(path: Path) -> int:
    """The lock of the journal, held until the descriptor is closed or the process has ended.

    Raises:
        JournalTaken: Another process has it.
        JournalError: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalTaken(
            f"another process has the journal {path}", hint="end the other server, or give this one another state_dir"
        ) from error
    return lock
