"""A label in its printer's own commands for text, lines and codes: TSPL and ZPL; what they have none for is drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.documents import bidi
from rawprint.documents.codes import code
from rawprint.documents.languages import tspl, zpl
from rawprint.documents.layouts import DotsBand, RuleBand, SpaceBand, TextBand, drawn, rows_of_line, wrapped
from rawprint.documents.pages import picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rawprint.documents.dots import Dots
    from rawprint.documents.layouts import Band, Placed, Setting
    from rawprint.documents.paper import Paper

# What the printer's own fonts have, without what a string or a field would take for something else: TSPL ends its strings with " and
# escapes with \\, ZPL has ^ and ~ for commands.
_PLAIN = {"tspl": re.compile(r"[ !#-\[\]-~]*"), "zpl": re.compile(r"[ -\]_-}]*")}

# Rows of a character of the font that is as wide as font A, 12 dots: TSPL's "2" (M), ZPL's D of 18 x 10 with a gap of 2 (Z06, fonts).
_WIDE = 12
_ROWS = {"tspl": 20, "zpl": 18}


def label(pieces: Sequence[tuple[Band, Dots]], height: int, setting: Setting) -> bytes:
    """A whole label of so many rows, from its size to its print command."""
    paper = setting.paper
    body = b"".join(_elements(pieces, setting))
    if paper.dialect == "tspl":
        end = b"PRINT 1,1\r\n" + (b"CUT\r\n" if paper.cut != "none" else b"")
        return tspl.begin(paper, height) + body + end
    return zpl.begin(paper, height) + body + b"^XZ\n"


def _elements(pieces: Sequence[tuple[Band, Dots]], setting: Setting) -> Iterator[bytes]:
    paper, grid = setting.paper, setting.grid
    y = grid.top
    for band, dots in pieces:
        match band:
            case TextBand():
                for cell in band.cells:
                    yield _text(cell, band, y, setting)
            case RuleBand(bars=bars) if len(bars) > 2:  # dashes
                yield picture(dots, paper, 0, y)
            case RuleBand(bars=bars):
                for left, top, width, high in bars:
                    yield _bar(grid.left + left, y + top, width, high, paper)
            case DotsBand():
                yield code(band, paper, (grid.left + band.x, y)) or picture(band.dots, paper, grid.left + band.x, y)
            case SpaceBand():
                pass
        y += dots.height


def _bar(x: int, y: int, width: int, height: int, paper: Paper) -> bytes:
    if paper.dialect == "tspl":
        return b"BAR %d,%d,%d,%d\r\n" % (x, y, width, height)
    return b"^FO%d,%d^GB%d,%d,%d^FS\n" % (x, y, width, height, min(width, height))


def _text(cell: Placed, band: TextBand, y: int, setting: Setting) -> bytes:
    """A cell's lines as the printer's own text, each in its place; or drawn."""
    paper, grid = setting.paper, setting.grid
    x = grid.left + cell.at * grid.cell
    wide, high = band.size
    if not cell.text.strip():
        return b""
    if grid.cell != _WIDE or not _PLAIN[paper.dialect].fullmatch(cell.text.replace("\n", " ")):
        return picture(drawn(cell, band, setting), paper, x, y)
    side = cell.align if cell.align != "start" else ("right" if bidi.base_level(cell.text) else "left")
    written = []
    for number, line in enumerate(wrapped(cell.text, cell.width // wide, setting)):
        long = len(line) * wide
        at = {"center": (cell.width - long) * grid.cell // 2, "right": (cell.width - long) * grid.cell}.get(side, 0)
        top = y + number * rows_of_line(band, grid)
        written.append(_line(line, (x + at, top), band, paper))
        if cell.bold:
            written.append(_line(line, (x + at + wide, top), band, paper))  # a dot thicker
        if band.underline and line:
            under = top + 2 * grid.cell * high
            written.append(_bar(x + at, under, long * grid.cell, max(1, grid.cell * high // 8), paper))
    return b"".join(written)


def _line(line: str, at: tuple[int, int], band: TextBand, paper: Paper) -> bytes:
    (x, y), (wide, high) = at, band.size
    data = line.encode("ascii")
    if not line.strip():
        return b""
    lower = (2 * _WIDE - _ROWS[paper.dialect]) * high // 2
    if paper.dialect == "tspl":
        return b'TEXT %d,%d,"2",0,%d,%d,"' % (x, y + lower, wide, high) + data + b'"\r\n'
    return b"^FO%d,%d^ADN,%d,%d^FD" % (x, y + lower, 18 * high, 10 * wide) + data + b"^FS\n"
