"""Blocks laid out on paper: bands below each other, whose cells stand in a printer's own grid of characters."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from rawprint.documents import barcodes, bidi, shaping, texts
from rawprint.documents.blocks import (
    Barcode,
    Block,
    Cell,
    Columns,
    Cut,
    Drawer,
    Heading,
    Image,
    Line,
    Qr,
    Space,
    Text,
)
from rawprint.documents.dots import Dots
from rawprint.documents.fonts import library
from rawprint.documents.images import MAX_ROWS, image
from rawprint.documents.languages import LANGUAGES
from rawprint.documents.shaping import Pen
from rawprint.documents.texts import draw
from rawprint.errors import DocumentError, DocumentTooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rawprint.documents.blocks import Align
    from rawprint.documents.fonts import Path
    from rawprint.documents.paper import Paper

_CELL = 12  # dots of a receipt printer's font A, which is twice as high; the same on labels at 203 dpi
_PITCH = {
    "escpos": 30,
    "star": 32,
}  # rows that printers feed for a line, unless that is changed: 1/6 inch (APG), 4 mm (SP)
_MARGIN_MM = 2.0  # labels lie a millimetre off, to any side
_QR_MM = 30.0
_GAP = 1  # characters between two cells


@dataclass(frozen=True, slots=True)
class Grid:
    """Where text stands on a paper.

    Attributes:
        left: Dots left of the first character.
        top: Rows above the first line.
        cell: Dots of a character's cell across; it is twice as high.
        columns: Characters in a line.
        pitch: Rows from one line to the next.
    """

    left: int
    top: int
    cell: int
    columns: int
    pitch: int

    @classmethod
    def of(cls, paper: Paper) -> Grid:
        """The grid of a paper: font A of receipt printers; the same size on labels, which have a margin of 2 mm.

        Raises:
            DocumentError: There is no room for a single character.
        """
        if LANGUAGES[paper.dialect].roll:
            columns = paper.width // _CELL
            grid = cls(0, 0, _CELL, min(paper.profile.columns.get("a", columns), columns), _PITCH[paper.dialect])
        else:
            margin = paper.dots(_MARGIN_MM)
            cell = max(4, round(_CELL * paper.dpi / 203))
            columns = (paper.width - 2 * margin) // cell
            grid = cls((paper.width - columns * cell) // 2, margin, cell, columns, cell * 5 // 2)
        if grid.columns < 1:
            raise DocumentError("the paper is too narrow for text", hint="Name the width of the paper.")
        return grid

    @property
    def width(self) -> int:
        """Dots of a line."""
        return self.cell * self.columns


@dataclass(frozen=True, slots=True)
class Setting:
    """What a ticket is set with.

    Attributes:
        paper: What it is printed on.
        grid: Where its text stands.
        fonts: Font files that are tried first.
        images: Those that its blocks name.
    """

    paper: Paper
    grid: Grid
    fonts: Sequence[Path] = ()
    images: Mapping[str, bytes] = field(default_factory=dict)
    _pens: dict[shaping.Cell, Pen] = field(default_factory=dict, compare=False, repr=False)

    def pen(self, cell: shaping.Cell) -> Pen:
        """What draws in such cells: one for all texts of a ticket, as it remembers its letters."""
        if cell not in self._pens:
            self._pens[cell] = Pen(library(self.fonts), cell)
        return self._pens[cell]


@dataclass(frozen=True, slots=True)
class Placed:
    """A cell's text in its place: characters from the left, and its width in characters."""

    text: str
    at: int
    width: int
    align: Align = "start"
    bold: bool = False


@dataclass(frozen=True, slots=True)
class TextBand:
    """Texts beside each other."""

    cells: tuple[Placed, ...]
    size: tuple[int, int] = (1, 1)
    underline: bool = False


@dataclass(frozen=True, slots=True)
class DotsBand:
    """A picture, and where it stands from the left, in dots of the line; `block` is the code that it shows, of `module` dots."""

    dots: Dots
    x: int = 0
    block: Block | None = None
    module: int = 1


@dataclass(frozen=True, slots=True)
class RuleBand:
    """Lines across: `bars` are (x, y, width, height) in dots of the band."""

    height: int
    bars: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class SpaceBand:
    """White; `lines` where it was given so."""

    height: int
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """What is no picture: a cut, or the drawer."""

    block: Cut | Drawer


Band: TypeAlias = TextBand | DotsBand | RuleBand | SpaceBand | Act


def bands(blocks: Sequence[Block], setting: Setting, word: str = "block") -> list[Band]:
    """The bands of blocks that `checked` has passed.

    Args:
        blocks: The blocks.
        setting: What they are set with.
        word: What a block is called in messages; in a markup each is a line.

    Raises:
        DocumentError: Something does not fit, or cannot be what it says; the message names the block, counted from 1.
        DocumentTooLarge: Its pictures have more than `MAX_ROWS` rows together, or an image is too large.
    """
    widths = _tables(blocks, setting.grid, word)
    found: list[Band] = []
    drawn_before: dict[Block, DotsBand] = {}  # a picture that stands there twice is made once
    rows = 0
    for number, block in enumerate(blocks):
        try:
            band = drawn_before.get(block) or _band(block, widths.get(number, []), setting)
            if isinstance(band, DotsBand):
                drawn_before[block] = band
                rows += band.dots.height
                if rows > MAX_ROWS:
                    raise DocumentTooLarge(f"the pictures become more than {MAX_ROWS:,} rows of dots")
            found.append(band)
        except DocumentError as error:
            what = f"{word} {number + 1}, {type(block).__name__.lower()}: {error}"
            if isinstance(error, DocumentTooLarge):
                raise DocumentTooLarge(what, hint=error.hint) from error
            raise DocumentError(what, hint=error.hint) from error
    return found


def _band(block: Block, widths: list[int], setting: Setting) -> Band:
    grid = setting.grid
    match block:
        case Heading(text=text, level=level):
            size = {1: (2, 2), 2: (1, 2)}.get(level, (1, 1))
            _fits(size, grid)
            cell = Placed(text, 0, grid.columns, "start" if level == 3 else "center", True)
            return TextBand((cell,), size)
        case Text(text=text, align=align, bold=bold, underline=underline):
            size = times(block)
            _fits(size, grid)
            return TextBand((Placed(text, 0, grid.columns, align, bold),), size, underline)
        case Columns(cells=cells):
            placed, at = [], 0
            for each, width in zip(cells, widths, strict=True):
                placed.append(Placed(each.text, at, width, each.align, each.bold))
                at += width + _GAP
            return TextBand(tuple(placed))
        case Line(style=style):
            return _rule(style, grid)
        case Image():
            return _image(block, setting)
        case Barcode():
            return _barcode(block, setting)
        case Qr():
            return _qr(block, setting.paper, grid)
        case Space(lines=lines, mm=mm):
            return (
                SpaceBand(setting.paper.dots(mm))
                if mm is not None
                else SpaceBand((lines or 1) * grid.pitch, lines or 1)
            )
    return Act(block)


def times(block: Text) -> tuple[int, int]:
    """How many times as wide and as high its characters are."""
    return block.size if isinstance(block.size, tuple) else (block.size, block.size)


def _fits(size: tuple[int, int], grid: Grid) -> None:
    if grid.columns < size[0]:
        raise DocumentError("not one character of that size fits on the paper", hint="Take a smaller size.")


# -- columns -------------------------------------------------------------------------------------------------


def cells_of(text: str) -> int:
    """How many characters wide the longest line of a text is; Chinese, Japanese and Korean ones count twice."""
    return max(sum(map(_cells, line)) for line in text.split("\n"))


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _tables(blocks: Sequence[Block], grid: Grid, word: str) -> dict[int, list[int]]:
    """The columns' widths of each row, by its number: rows with equally many cells that follow each other are one table."""
    widths: dict[int, list[int]] = {}
    start = 0
    while start < len(blocks):
        first = blocks[start]
        end = start + 1
        if isinstance(first, Columns):
            rows = [first.cells]
            while end < len(blocks):
                following = blocks[end]
                if not isinstance(following, Columns) or len(following.cells) != len(first.cells):
                    break
                rows.append(following.cells)
                end += 1
            try:
                table = _widths(rows, grid.columns)
            except DocumentError as error:
                raise DocumentError(f"{word} {start + 1}, columns: {error}", hint=error.hint) from error
            widths.update(dict.fromkeys(range(start, end), table))
        start = end
    return widths


def _widths(rows: Sequence[tuple[Cell, ...]], columns: int) -> list[int]:
    """Characters of each column."""
    count = len(rows[0])
    room = columns - _GAP * (count - 1)
    fixed = [max((row[at].width or 0 for row in rows), default=0) for at in range(count)]
    shares = [0 if fixed[at] else max(row[at].share or 0 for row in rows) for at in range(count)]
    natural = [fixed[at] or shares[at] or max(1, *(cells_of(row[at].text) for row in rows)) for at in range(count)]
    free = room - sum(fixed)
    flexible = [at for at in range(count) if not fixed[at]]
    if free < len(flexible):
        raise DocumentError(
            f"the columns need {sum(fixed) + len(flexible) + _GAP * (count - 1)} characters, and the paper has {columns}",
            hint="Make them narrower, or have fewer.",
        )
    widths = list(fixed)
    content = [at for at in flexible if not shares[at]]
    sharing = [at for at in flexible if shares[at]]
    for at in content:
        widths[at] = natural[at]
    most = free - len(sharing)
    while sum(widths[at] for at in content) > most:  # the widest gives way
        widths[max(content, key=lambda at: widths[at])] -= 1
    left = free - sum(widths[at] for at in content)
    if sharing:
        total = sum(shares)
        given = 0
        for number, at in enumerate(sharing):
            rest = len(sharing) - number - 1
            last = rest == 0
            widths[at] = left - given if last else max(1, min(left * shares[at] // total, left - given - rest))
            given += widths[at]
    elif content:
        widths[max(content, key=lambda at: natural[at])] += left
    return widths


# -- lines, images, codes ------------------------------------------------------------------------------------


def _rule(style: str, grid: Grid) -> RuleBand:
    height, thick = 2 * grid.cell, max(1, grid.cell // 6)
    middle = grid.cell - thick // 2
    bars: tuple[tuple[int, int, int, int], ...]
    match style:
        case "double":
            bars = ((0, middle - thick, grid.width, thick), (0, middle + thick, grid.width, thick))
        case "dashed":
            dash = grid.cell * 2 // 3  # one in each cell
            bars = tuple((at * grid.cell, middle, dash, thick) for at in range(grid.columns))
        case _:
            bars = ((0, middle, grid.width, thick),)
    return RuleBand(height, bars)


def _aligned(width: int, align: str, grid: Grid) -> int:
    return {"center": (grid.width - width) // 2, "right": grid.width - width}.get(align, 0)


def _image(block: Image, setting: Setting) -> DotsBand:
    data, images, grid = block.data, setting.images, setting.grid
    if block.name:
        if block.name not in images:
            given = ", ".join(sorted(images)[:20]) or "none"
            raise DocumentError(f"there is no image {block.name!r}", hint=f"These were given: {given}.")
        data = images[block.name]
    on = replace(setting.paper, width=grid.width, height=None)
    dots = image(data, on, width_mm=block.width_mm, dither=block.dither)
    return DotsBand(dots, _aligned(dots.width, block.align, grid))


def _barcode(block: Barcode, setting: Setting) -> DotsBand:
    paper, grid = setting.paper, setting.grid
    modules, text = barcodes.bars(block.data, block.kind)
    quiet = barcodes.QUIET.get(block.kind, barcodes.QUIET_OTHERS)
    count = len(modules) + 2 * quiet
    least = max(1, paper.dots(0.25))
    module = min(paper.dots(0.375), grid.width // count)
    if module < least:
        raise DocumentError(
            f"the barcode needs {paper.mm(count * least):.0f} mm, and the paper has {paper.mm(grid.width):.0f}",
            hint="Shorten it, or use a QR code.",
        )
    row = _bits([bit == "1" for bit in "0" * quiet + modules + "0" * quiet], module)
    width, height = count * module, paper.dots(block.height_mm)
    dots = Dots(width, height, row * height)
    if block.text:
        under = draw(text, paper, height=2 * grid.cell, width=width, align="center", fonts=setting.fonts)
        dots = Dots.stacked([dots, Dots.blank(width, max(1, grid.cell // 4)), under])
    return DotsBand(dots, _aligned(width, block.align, grid), block, module)


def _qr(block: Qr, paper: Paper, grid: Grid) -> DotsBand:
    modules = barcodes.matrix(block.data, block.level)
    quiet = barcodes.QUIET_QR
    count = len(modules) + 2 * quiet
    least = max(1, paper.dots(0.25))
    room = grid.width
    if not LANGUAGES[paper.dialect].roll and paper.height is not None:
        room = min(room, paper.height - 2 * grid.top)
    module = block.size or min(max(paper.dots(_QR_MM) // count, paper.dots(0.375)), room // count)
    if module < least and not block.size:
        raise DocumentError(
            f"the QR code needs {paper.mm(count * least):.0f} mm, and the paper has {paper.mm(room):.0f}",
            hint="Shorten what it says, or take level L.",
        )
    if count * module > grid.width:
        raise DocumentError(
            f"the QR code is {count * module} dots wide, and the paper {grid.width}",
            hint=f"Its size can be {grid.width // count} at most." if grid.width >= count else "Shorten it.",
        )
    white = [False] * quiet
    blank = bytes((count * module + 7) // 8) * (quiet * module)
    rows = b"".join(_bits([*white, *row, *white], module) * module for row in modules)
    dots = Dots(count * module, count * module, blank + rows + blank)
    return DotsBand(dots, _aligned(dots.width, block.align, grid), block, module)


def _bits(modules: Sequence[bool], module: int) -> bytes:
    """A row of dots, each module so many of them."""
    row = "".join(("1" if black else "0") * module for black in modules)
    stride = (len(row) + 7) // 8
    return int(row.ljust(stride * 8, "0"), 2).to_bytes(stride, "big")


# -- drawing -------------------------------------------------------------------------------------------------


def paint(band: Band, setting: Setting) -> Dots | None:
    """A band as dots, as wide as the paper; None: it is no picture."""
    paper, grid = setting.paper, setting.grid
    from PIL import Image as Pillow  # noqa: PLC0415
    from PIL import ImageDraw  # noqa: PLC0415

    match band:
        case Act():
            return None
        case SpaceBand(height=height):
            return Dots.blank(paper.width, height)
        case RuleBand(height=height, bars=bars):
            picture = Pillow.new("1", (paper.width, height), 1)
            pen = ImageDraw.Draw(picture)
            for x, y, width, high in bars:
                pen.rectangle((grid.left + x, y, grid.left + x + width - 1, y + high - 1), fill=0)
            return Dots.of(picture)
        case DotsBand(dots=dots, x=x):
            pieces = [(grid.left + x, dots)]
        case TextBand():
            pieces = [(grid.left + cell.at * grid.cell, drawn(cell, band, setting)) for cell in band.cells]
    picture = Pillow.new("1", (paper.width, max(dots.height for _, dots in pieces)), 1)
    for x, dots in pieces:
        picture.paste(dots.image(), (x, 0))
    return Dots.of(picture)


def drawn(cell: Placed, band: TextBand, setting: Setting) -> Dots:
    """A cell's text as dots, as wide as its column."""
    grid = setting.grid
    wide, high = band.size
    look = texts._Look(
        cell.width * grid.cell,
        shaping.Cell(grid.cell * wide, 2 * grid.cell * high),
        rows_of_line(band, grid),
        cell.align,
        cell.bold,
        band.underline,
    )
    return texts._drawn(texts._lines(cell.text), look, setting.pen(look.cell))


def rows_of_line(band: TextBand, grid: Grid) -> int:
    """From one line to the next: as printers feed, as far as a character is high, and a quarter more where it is small."""
    return max(grid.pitch, 2 * grid.cell * band.size[1])


def painted(found: Sequence[Band], setting: Setting) -> list[tuple[Band, Dots]]:
    """Each band that is a picture, and the picture.

    Raises:
        DocumentTooLarge: They have more rows than are taken.
    """
    pieces, rows = [], 2 * setting.grid.top
    for band in found:
        dots = paint(band, setting)
        if dots is None:
            continue
        rows += dots.height
        if rows > MAX_ROWS:
            raise DocumentTooLarge(f"the ticket becomes more than {MAX_ROWS:,} rows of dots", hint="Print two.")
        pieces.append((band, dots))
    return pieces


def whole(pieces: Sequence[tuple[Band, Dots]], setting: Setting) -> Dots:
    """All bands as one picture, as wide as the paper and with its margins."""
    margin = Dots.blank(setting.paper.width, setting.grid.top or (0 if pieces else 1))
    return Dots.stacked([margin, *(dots for _, dots in pieces), Dots.blank(margin.width, setting.grid.top)])


def wrapped(text: str, width: int, setting: Setting) -> list[str]:
    """The lines that a text is broken into where a line has so many characters, as they are drawn."""
    grid = setting.grid
    pen = setting.pen(shaping.Cell(grid.cell, 2 * grid.cell))
    lines = []
    for paragraph in texts._lines(text):
        units = texts._units(paragraph, bidi.base_level(paragraph), pen)
        pieces = texts._wrapped(units, width * grid.cell, pen)
        lines += ["".join(unit.text for unit in piece).rstrip(" ") for piece in pieces]
    return lines
