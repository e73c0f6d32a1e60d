"""Where the log goes and what a line of it looks like; nothing from outside can make a line of its own.

A record about a job carries `extra={"job": id, "printer": name}`; `job_log` does that for all records of a job.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from rawprint_server.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rawprint_server.config import LogConfig

# What ends a line, moves a terminal's cursor, or turns the direction of reading.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = re.compile(r'[^\[\]"\\\s]+(?: [^\[\]"\\\s]+)*')  # what cannot be taken for the end of its brackets


def job_log(log: logging.Logger, job: str, printer: str) -> logging.LoggerAdapter[logging.Logger]:
    """A logger whose lines all name the job and its printer."""
    return logging.LoggerAdapter(log, {"job": job, "printer": printer})


class Logs:
    """The log of this process, from start to end of the block; there is one at a time.

    Args:
        config: Where to, from which level on, and in which format.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(self, config: LogConfig) -> None:
        self._handler = _handler(config)
        self._root = logging.getLogger()
        self._level = self._root.level
        self._config = config
        self._take_over(config)

    def apply(self, config: LogConfig) -> None:
        """Goes on with other settings.

        Raises:
            ConfigError: The file cannot be written; the log stays as it is.
        """
        if config == self._config:
            return
        handler, last = _handler(config), self._handler
        self._handler, self._config = handler, config
        self._take_over(config)
        self._let_go(last)

    def _take_over(self, config: LogConfig) -> None:
        self._root.addHandler(self._handler)
        self._root.setLevel(config.level.upper())
        logging.getLogger("websockets").setLevel(logging.WARNING)  # it tells of every connection

    def _let_go(self, handler: logging.Handler) -> None:
        self._root.removeHandler(handler)
        with contextlib.suppress(OSError, ValueError):  # a full disk: what is still in the buffer is lost
            handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go(self._handler)
        self._root.setLevel(self._level)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO rawprint_server.hub: [job 812] [printer Label] completed`.

    A traceback follows on lines that begin with spaces.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One record, without a line end."""
        about = "".join(f"[{name} {_bracketed(value)}] " for name, value in _about(record).items())
        line = f"{time_text(record.created)} {record.levelname} {record.name}: {about}{_escaped(record.getMessage())}"
        return "\n    ".join([line, *map(_escaped, _trace(self, record).split("\n"))]).rstrip()


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, message, and where there are any job, printer, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, without a line end; ASCII alone."""
        fields = {
            "time": time_text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
        }
        if trace := _trace(self, record):
            fields["exception"] = trace
        return json_line(fields)


def json_line(fields: Mapping[str, Any]) -> str:
    """The fields as one JSON object in printable ASCII, without a line end."""
    return json.dumps(fields).replace("\x7f", "\\u007f")


def time_text(seconds: float) -> str:
    """A time (seconds since 1970) as `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _about(record: logging.LogRecord) -> dict[str, str]:
    values = {name: getattr(record, name, None) for name in ("job", "printer")}
    return {name: str(value) for name, value in values.items() if value is not None}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    texts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    if record.stack_info:
        texts.append(record.stack_info)
    return "\n".join(texts)


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _bracketed(value: str) -> str:
    return _escaped(value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False))


def _handler(config: LogConfig) -> logging.Handler:
    handler: logging.Handler
    if config.file is None:
        # A Windows program without a console has no standard error.
        handler = logging.NullHandler() if sys.stderr is None else _StandardError(sys.stderr)
    else:
        file = Path(config.file).expanduser()
        try:
            handler = PrivateFile(file, maxBytes=config.max_bytes, backupCount=config.backups, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"log.file: cannot write {file}: {getattr(error, 'strerror', None) or error}",
                hint="Its folder must exist, and this user must be able to write there.",
            ) from error
    handler.setFormatter(JsonFormatter() if config.json else TextFormatter())
    return handler


class _SaysOnce(logging.Handler):
    """A log that cannot be written is told once on standard error, and nobody is kept from working."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own name
        if self._said or sys.stderr is None:
            return
        self._said = True
        with contextlib.suppress(OSError, ValueError):
            print(f"rawprint-server: the log cannot be written: {sys.exception()}", file=sys.stderr, flush=True)


class _StandardError(_SaysOnce, logging.StreamHandler[IO[str]]):
    pass


class PrivateFile(_SaysOnce, RotatingFileHandler):
    """A file for this user's eyes; moved away or deleted by somebody, it is made anew."""

    def _open(self) -> IO[str]:  # type: ignore[override]  # narrower by a hair than typeshed's TextIOWrapper
        return open(
            self.baseFilename,
            "a",
            encoding=self.encoding,
            errors="backslashreplace",
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Appends a record to the file that stands at the path now."""
        if self.stream is not None and not self._in_place(self.stream):
            self._drop()
        super().emit(record)

    def doRollover(self) -> None:  # noqa: N802 - logging's own name
        """Begins a new file, where the old one can be renamed."""
        try:
            super().doRollover()
        except OSError as error:
            # A folder without leave to rename, a file that another program has open: the file grows instead.
            self.handleError(logging.makeLogRecord({"msg": str(error)}))

    def close(self) -> None:
        """Ends it; what a full disk did not take is lost."""
        self._drop()
        super().close()

    def _in_place(self, stream: IO[str]) -> bool:
        try:
            there, ours = Path(self.baseFilename).stat(), os.fstat(stream.fileno())
        except (OSError, ValueError):
            return False
        return os.path.samestat(there, ours)

    def _drop(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
