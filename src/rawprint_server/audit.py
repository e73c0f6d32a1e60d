"""The audit log: who did what to which printer, and how it ended; one JSON line an event, and never what was printed.

`{"time", "origin", "address", "token", "call", "printer", "job", "bytes", "sha256", "outcome"}`; from `printer` to `sha256` a
key that has no value is left out. Where events could not be written, `{"time", "lost": N}` stands in their place as soon as it
can be. A line is on its way to the disk within moments, and is not waited for: a power cut may take the last ones.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, NamedTuple

from rawprint_server.logs import PrivateFile, json_line, time_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from rawprint_server.config import AuditConfig

log = logging.getLogger(__name__)

OK = "ok"
MAX_WAITING = 10_000  # events that wait for the disk, some 1 KB each at most; more are lost, and counted
MAX_TEXT = 256  # characters of a field; a longer one ends in "..."
MAX_NUMBER = (1 << 63) - 1
_GATHER = 0.02  # seconds
_BATCH = 100  # events of one write
CLOSE_SECONDS = 5.0  # how long the end of the log waits for the disk


class _Event(NamedTuple):
    at: float  # seconds since 1970
    origin: str | None
    address: str | None
    token: str | None
    call: str
    printer: str | None
    job: str | None
    size: int | None
    sha256: str | None
    outcome: str


class Audit:
    """Writes events down, in the order in which they came, by a thread of its own; callers never wait for the disk.

    Trouble with the file is told in the ordinary log, once until it is written again, and keeps nobody from working.

    Args:
        file: Made with its folders when the first event comes; None: nothing is written.
        config: The table `[audit]`.
        questions: Calls that change nothing. Answered well, they are written down at the level "all" alone.
    """

    def __init__(self, file: Path | None, config: AuditConfig, questions: Collection[str] = ()) -> None:
        self._left_out = frozenset(questions if config.level == "changes" else ())
        self._waiting: SimpleQueue[_Event | None] = SimpleQueue()
        self._overflow = 0  # events that found too many waiting
        self._lock = threading.Lock()  # of that number
        self._lost = 0  # events that the file has no line of; the thread's own, like what follows
        self._told = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if file is not None and config.level != "none":
            self._file = _File(
                file, maxBytes=config.max_bytes, backupCount=config.backups, encoding="ascii", delay=True
            )
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()

    def record(
        self,
        *,
        origin: str | None,
        address: str | None,
        token: str | None,
        call: str,
        printer: str | None = None,
        job: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
        outcome: str,
    ) -> None:
        """Hands an event over; from any thread, in microseconds. After `close` it does nothing.

        Args:
            origin: Of the page, or None: a program.
            address: Of the client.
            token: The name of its token, never the token; None: it has none.
            call: What was asked for.
            printer: The printer's name.
            job: The job's id.
            size: Bytes of the job.
            sha256: Of these bytes, in hexadecimal.
            outcome: "ok" or the code of an error.
        """
        if self._thread is None or (outcome == OK and call in self._left_out):
            return
        if self._waiting.qsize() >= MAX_WAITING:
            with self._lock:
                self._overflow += 1
            return
        event = _Event(
            time.time(),
            _cut(origin),
            _cut(address),
            _cut(token),
            _short(call),
            _cut(printer),
            _cut(job),
            size,
            _cut(sha256),
            _short(outcome),
        )
        self._waiting.put(event)

    def close(self) -> None:
        """Writes what waits, for `CLOSE_SECONDS` at most, and ends the log."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._waiting.put(None)
        self._ending.set()
        thread.join(CLOSE_SECONDS)
        if thread.is_alive():
            log.warning("the audit log does not get to the disk: its last events may be missing")

    def _run(self) -> None:
        ends = False
        while not ends:
            events = [self._waiting.get()]
            # What comes meanwhile is written with it: one write for a crowd, none of which has to wake this thread.
            self._ending.wait(_GATHER)
            with contextlib.suppress(Empty):
                while len(events) < _BATCH:
                    events.append(self._waiting.get_nowait())
            ends = None in events
            self._keep([event for event in events if event is not None])
        self._note_gap()
        if self._lost:
            log.error("the audit log ends without its last %d events", self._lost)
        self._file.close()

    def _keep(self, events: list[_Event]) -> None:
        """Writes events, and first, if there are any, how many could not be."""
        lines = []
        for event in events:
            try:
                lines.append(_line(event))
            except Exception:  # one event must not end the log
                self._lost += 1
                log.exception("an event of the audit log is lost")
        try:
            if lines and not (self._note_gap() and self._file.put("\n".join(lines))):
                self._lost += len(lines)
        except Exception:
            self._lost += len(lines)
            log.exception("%d events of the audit log are lost", len(lines))
        if (error := self._file.error) is None:
            return
        if not self._told:
            self._told = True
            log.error("the audit log %s cannot be written: %s", self._file.baseFilename, error)

    def _note_gap(self) -> bool:
        """Whether the file says now what it lacks."""
        with self._lock:
            self._lost, self._overflow = self._lost + self._overflow, 0
        if not self._lost:
            return True
        if not self._file.put(json_line({"time": time_text(time.time()), "lost": self._lost})):
            return False
        log.warning("the audit log is written again; it lacks %d events", self._lost)
        self._lost, self._told = 0, False
        return True


class _File(PrivateFile):
    """The file, which says of each line whether it is there.

    Attributes:
        error: What kept the last line away.
    """

    error: BaseException | None = None
    _record: logging.LogRecord | None = None

    def put(self, line: str) -> bool:
        """Appends a line."""
        self.error = None
        self._record = logging.makeLogRecord({"msg": line})
        self.handle(self._record)
        if self.error is None:
            return True
        self._drop()  # what is still in its buffer would come out later, after it was counted as lost
        return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        if record is self._record:
            self.error = sys.exception()
        else:  # it cannot be rotated, and grows instead: no line is lost
            super().handleError(record)

    def _open(self) -> IO[str]:  # type: ignore[override]  # as in its base
        file = Path(self.baseFilename)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = super()._open()
        if _torn(file):
            stream.write("\n")  # a full disk or a power cut left half a line, which must not spoil the next one
        return stream


def _torn(file: Path) -> bool:
    with contextlib.suppress(OSError), file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) not in {b"\n", b""}
    return False


def _cut(text: str | None) -> str | None:
    return text if text is None else _short(text)


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _line(event: _Event) -> str:
    about = {
        "printer": event.printer,
        "job": event.job,
        "bytes": None if event.size is None else max(-1, min(event.size, MAX_NUMBER)),
        "sha256": event.sha256,
    }
    return json_line(
        {
            "time": time_text(event.at),
            "origin": event.origin,
            "address": event.address,
            "token": event.token,
            "call": event.call,
            **{key: value for key, value in about.items() if value is not None},
            "outcome": event.outcome,
        }
    )
