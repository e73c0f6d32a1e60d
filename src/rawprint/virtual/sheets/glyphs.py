"""The printer's own characters, as cells of dots: not any maker's font, but of its size."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from unicodedata import category, combining, east_asian_width

from rawprint.virtual.sheets.paper import Picture

_PLACES = (
    "DejaVuSansMono{}.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf",
    "/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono{}.ttf",
    "/usr/share/fonts/TTF/DejaVuSansMono{}.ttf",
    "/usr/share/fonts/dejavu/DejaVuSansMono{}.ttf",
)

# Of that font: a character's width, and its height from the top of an accent to the bottom of a g.
_ADVANCE, _TALL = 0.602, 1.13

_MOST_CELL = 1200


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> Any:
    from PIL import ImageFont  # noqa: PLC0415

    for place in _PLACES:
        try:
            return ImageFont.truetype(place.format("-Bold" if bold else ""), size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def glyph(char: str, width: int, height: int, bold: bool = False) -> Picture:
    """One character in a cell.

    Args:
        char: A character; what cannot be seen is blank.
        width: Of the cell, in dots; 1 to 1200.
        height: As `width`.
        bold: With the bold font.

    Raises:
        ValueError: The cell is larger than that.
    """
    # Large ones are not kept: a job could have thousands of them.
    return (_kept if width <= 100 and height <= 100 else _drawn)(char, width, height, bold)


def _drawn(char: str, width: int, height: int, bold: bool) -> Picture:
    from PIL import Image, ImageDraw  # noqa: PLC0415

    if not (1 <= width <= _MOST_CELL and 1 <= height <= _MOST_CELL):
        raise ValueError(f"no printer's font has characters of {width} x {height} dots")
    if char.isspace() or category(char)[0] == "C":
        return Picture(width, (0,) * height)
    # Drawn for its height, and narrowed or widened to the cell, as the fonts of printers are.
    size = max(round(height / _TALL), 1)
    across = max(round(size * _ADVANCE), 1) * wide(char)
    image = Image.new("1", (across, height))
    draw = ImageDraw.Draw(image)
    draw.fontmode = "1"
    draw.text((0, round(size * 0.88)), char, fill=1, font=_font(size, bold), anchor="ls")
    if across != width:
        image = image.resize((width, height))
    return Picture.of_bytes(image.tobytes(), (width + 7) // 8, height, width=width)


_kept = lru_cache(maxsize=8192)(_drawn)


def wide(char: str) -> int:
    """How many cells a character takes: 2 for those of Chinese, Japanese and Korean."""
    return 2 if east_asian_width(char) in "WF" else 1


def line(text: str, width: int, height: int, bold: bool = False, gap: int = 0) -> Picture:
    """Characters side by side.

    Args:
        text: What to write; the first 2000 characters of it.
        width: Of a cell, in dots.
        height: Of the cells, in dots.
        bold: With the bold font.
        gap: Between cells, in dots.

    Raises:
        ValueError: The cell is larger than 1200 dots, or the line longer than any paper.
    """
    if not 1 <= height <= _MOST_CELL:
        raise ValueError(f"no printer's font has characters of {width} x {height} dots")
    rows = [0] * height
    across = 0
    for char in text[:2000]:
        if combining(char):
            continue
        cell = glyph(char, width * wide(char), height, bold)
        step = cell.width + gap
        across += step
        if across > 16384:
            raise ValueError("a line of text is longer than any paper is wide")
        rows = [row << step | new << gap for row, new in zip(rows, cell.rows, strict=True)]
    return Picture(across, tuple(rows))


def wrapped(text: str, cells: int) -> list[str]:
    """Break text into lines of so many characters, between words where that is possible."""
    cells = max(cells, 1)
    lines: list[str] = []
    for paragraph in text[:4000].split("\n"):
        now = ""
        for word in paragraph.split(" "):
            while len(word) > cells:
                if now:
                    lines.append(now)
                    now = ""
                lines.append(word[:cells])
                word = word[cells:]
            if now and len(now) + 1 + len(word) > cells:
                lines.append(now)
                now = word
            else:
                now = f"{now} {word}" if now else word
        lines.append(now)
    return lines
