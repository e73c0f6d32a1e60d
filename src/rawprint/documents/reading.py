"""What can be read from the bytes of a job: the lines that it prints, and its first sheet as a picture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rawprint.virtual import sheets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.virtual.sheets import Sheet

MAX_DATA = 4 * 1024 * 1024
"""Bytes of a job that are read: what somebody wants to recognise stands at its beginning."""

MAX_LINES = 2000
MAX_LINE = 500  # characters
MAX_ROWS = 8000  # dots of a sheet from its top, a metre at 203 dpi

_PLAIN = re.compile(rb"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")


def read_job(dialect: str | None, data: bytes, *, width: int | None = None, dpi: int = 203) -> Iterator[bytes]:
    """Read a job as its printer would.

    Args:
        dialect: Its language; of one that is not known only what is plain text is read.
        data: Its bytes.
        width: Dots across, where that is known.
        dpi: Of a label.

    Yields:
        JSON of `{"lines", "sheets", "truncated"}`: the lines, how many sheets of paper it makes, and whether there is more than was read;
        then the first sheet as a PNG, where there is one.
    """
    truncated, data = len(data) > MAX_DATA, data[:MAX_DATA]
    if dialect not in sheets.LANGUAGES:
        yield _told([line for run in _PLAIN.findall(data) for line in _text(run).splitlines()], 0, truncated=truncated)
        return
    done = sheets.sheets(dialect, data, width=width, dpi=dpi)
    # Copies are the same sheet once more.
    lines = [line for at, sheet in enumerate(done) if not at or sheet is not done[at - 1] for line in sheet.text]
    first = done[0] if done else None
    yield _told(lines, len(done), truncated=truncated or (first is not None and first.height > MAX_ROWS))
    if first is not None:
        yield _top(first).png()


def _told(lines: list[str], count: int, *, truncated: bool) -> bytes:
    kept = [line[:MAX_LINE] for line in lines[:MAX_LINES]]
    more = truncated or kept != lines
    return json.dumps({"lines": kept, "sheets": count, "truncated": more}).encode()


def _text(run: bytes) -> str:
    try:
        return run.decode()
    except UnicodeDecodeError:
        return run.decode("cp437")


def _top(sheet: Sheet) -> Sheet:
    height = min(sheet.height, MAX_ROWS)
    return replace(sheet, height=height, data=sheet.data[: height * ((sheet.width + 7) // 8)])
