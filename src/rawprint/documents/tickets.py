"""Tickets: blocks or their markup as the bytes of a receipt or a label, and as a picture of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, TypeAlias

from rawprint.dialects import DIALECTS
from rawprint.documents.blocks import Block, Cut, Drawer, Image, checked
from rawprint.documents.codes import code
from rawprint.documents.dots import Dots
from rawprint.documents.images import MAX_ROWS
from rawprint.documents.labels import label
from rawprint.documents.languages import LANGUAGES
from rawprint.documents.layouts import (
    Act,
    DotsBand,
    Grid,
    Setting,
    SpaceBand,
    TextBand,
    bands,
    cells_of,
    paint,
    painted,
    rows_of_line,
    whole,
    wrapped,
)
from rawprint.documents.markup import parse_markup
from rawprint.documents.native import Encoder, Style
from rawprint.documents.pages import page, picture
from rawprint.documents.texts import lint
from rawprint.errors import DocumentError, DocumentTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rawprint.documents.fonts import Path
    from rawprint.documents.layouts import Band
    from rawprint.documents.paper import Paper

Policy: TypeAlias = Literal["auto", "native", "raster"]
Content: TypeAlias = "str | Sequence[Block]"

_NO_IMAGES: Mapping[str, bytes] = {}

# White rows that are worth a command of their own: on a serial line of 9,600 baud each row of an 80 mm receipt takes 75 ms.
_WHITE = 12


@dataclass(frozen=True, slots=True)
class Remark:
    """What will not look as it was perhaps meant.

    Attributes:
        block: Its block, counted from 1; in a markup that is its line.
        message: What it is.
        hint: How to mend it.
    """

    block: int
    message: str
    hint: str


def ticket(
    content: Content,
    paper: Paper,
    *,
    images: Mapping[str, bytes] = _NO_IMAGES,
    policy: Policy = "auto",
    fonts: Sequence[Path] = (),
) -> bytes:
    """The bytes that print a ticket: on a roll one stream, in a label language one label.

    It looks alike on every printer: text stands in the cells of a receipt printer's font A (12 x 24 dots), and a label at 203 dpi has
    the same. A label has a margin of 2 mm.

    Args:
        content: Its markup (see `rawprint.documents.markup`), or its blocks.
        paper: What it is printed on. Its `cut` follows the ticket where its last block is no cut; a label without a height is as high as the ticket.
        images: The images that its blocks name: name -> the bytes of a file.
        policy: "auto": a receipt's text in the printer's own characters where it is known to have them, and the rest drawn; labels are
            drawn. "native": barcodes, QR codes and labels' text as the printer's own, too, where its language has them (ESC/POS, TSPL,
            ZPL): shorter, but clones without those commands print rubbish. "raster": everything is drawn.
        fonts: Font files that are tried first.

    Raises:
        DocumentError: The markup or a block is wrong, or something does not fit; it is told with the line and column of the markup, or
            the number of the block, counted from 1.
        DocumentTooLarge: It is too long.
        BackendMissing: What draws it is not there.
    """
    if policy not in {"auto", "native", "raster"}:
        raise DocumentError(f"no policy {policy!r}", hint="There are auto, native and raster.")
    blocks, word = _blocks(content), _word(content)
    setting = Setting(paper, Grid.of(paper), fonts, images)
    found = bands(blocks, setting, word)
    if LANGUAGES[paper.dialect].roll:
        return b"".join(_roll(found, setting, policy))
    *before, last = blocks or (None,)
    for number, block in enumerate(before, 1):
        if isinstance(block, Cut):
            raise DocumentError(f"{word} {number}, cut: a label is cut behind its end alone", hint="Make two labels.")
    for number, block in enumerate(blocks, 1):
        if isinstance(block, Drawer):
            raise DocumentError(f"{word} {number}, drawer: label printers open no drawer", hint="Leave it out.")
    if isinstance(last, Cut):
        paper = replace(paper, cut=last.kind)
        setting = replace(setting, paper=paper)
    pieces = painted(found, setting)
    dots = _label(pieces, setting)
    if policy == "native" and paper.dialect in {"tspl", "zpl"}:
        return label(pieces, paper.height or dots.height, setting)
    return page(dots, paper)


def preview(
    content: Content,
    paper: Paper,
    *,
    images: Mapping[str, bytes] = _NO_IMAGES,
    fonts: Sequence[Path] = (),
) -> bytes:
    """A picture of a ticket, as PNG, one pixel a dot; the arguments, and what is raised, are those of `ticket`."""
    file = BytesIO()
    layout(content, paper, images=images, fonts=fonts).image().save(file, "PNG")
    return file.getvalue()


def layout(
    content: Content,
    paper: Paper,
    *,
    images: Mapping[str, bytes] = _NO_IMAGES,
    fonts: Sequence[Path] = (),
) -> Dots:
    """A ticket as dots, as wide as the paper and as high as it needs, a label as high as it is."""
    setting = Setting(paper, Grid.of(paper), fonts, images)
    found = bands(_blocks(content), setting, _word(content))
    if LANGUAGES[paper.dialect].roll:
        return whole(painted(found, setting), setting)
    dots = _label(painted(found, setting), setting)
    if paper.height is None:
        return dots
    return Dots.stacked([dots, Dots.blank(dots.width, paper.height - dots.height)])


def lint_ticket(
    content: Content,
    paper: Paper,
    *,
    images: Mapping[str, bytes] = _NO_IMAGES,
    fonts: Sequence[Path] = (),
) -> list[Remark]:
    """What of a ticket will not look as it was perhaps meant: characters without a font, columns that break, images made smaller.

    The arguments, and what is raised for what cannot be printed at all, are those of `ticket`.
    """
    blocks = _blocks(content)
    setting = Setting(paper, Grid.of(paper), fonts, images)
    found = bands(blocks, setting, _word(content))
    remarks: list[Remark] = []
    for number, (block, band) in enumerate(zip(blocks, found, strict=True), 1):
        if isinstance(band, TextBand):
            remarks += _of_text(number, band, setting)
        elif isinstance(block, Image) and isinstance(band, DotsBand) and block.width_mm is None:
            width = _width_of(block.data or images[block.name])
            if width > band.dots.width:
                remarks.append(
                    Remark(
                        number,
                        f"the image has {width} pixels across and is made {band.dots.width} dots wide",
                        "Make it that wide yourself: it will be sharper.",
                    )
                )
    return remarks


def _blocks(content: Content) -> tuple[Block, ...]:
    return checked(parse_markup(content) if isinstance(content, str) else content)


def _word(content: Content) -> str:
    """What a block is called: each line of a markup is one."""
    return "line" if isinstance(content, str) else "block"


def _label(pieces: Sequence[tuple[Band, Dots]], setting: Setting) -> Dots:
    """A label's content, which must fit on it."""
    dots, paper = whole(pieces, setting), setting.paper
    if paper.height is not None and dots.height > paper.height:
        raise DocumentError(
            f"the ticket is {paper.mm(dots.height):.1f} mm high with its margins, and the label {paper.mm(paper.height):.1f}",
            hint="Shorten it, take smaller sizes, or name the label's height.",
        )
    return dots


# -- rolls ---------------------------------------------------------------------------------------------------


def _roll(found: Sequence[Band], setting: Setting, policy: Policy) -> Iterator[bytes]:
    paper = setting.paper
    encoder = Encoder(paper)
    pending: list[Dots] = []
    last: Band | None = None
    rows = 0
    for band in found:
        last = band
        native = _act(band, paper) if isinstance(band, Act) else _native(band, setting, policy, encoder)
        if native is None:
            dots = paint(band, setting)
            if dots is not None:
                pending.append(dots)
                rows += dots.height
            _check_rows(rows)
            continue
        if isinstance(band, TextBand):
            rows += native.count(b"\n") * rows_of_line(band, setting.grid)
            _check_rows(rows)
        yield from _pictures(pending, paper)
        pending = []
        yield native
    yield from _pictures(pending, paper)
    yield encoder.end()
    if not (isinstance(last, Act) and isinstance(last.block, Cut)):
        yield LANGUAGES[paper.dialect].cut(paper)


def _check_rows(rows: int) -> None:
    if rows > MAX_ROWS:
        raise DocumentTooLarge(f"the ticket becomes more than {MAX_ROWS:,} rows of dots", hint="Print two.")


def _act(band: Act, paper: Paper) -> bytes:
    if isinstance(band.block, Cut):
        return LANGUAGES[paper.dialect].cut(replace(paper, cut=band.block.kind))
    return DIALECTS[paper.dialect].drawer[band.block.pin]


def _native(band: Band, setting: Setting, policy: Policy, encoder: Encoder) -> bytes | None:
    """The printer's own commands for a band; None: it is drawn."""
    if policy == "raster":
        return None
    match band:
        case DotsBand() if policy == "native" and not _slack(setting):
            return code(band, setting.paper)
        case SpaceBand(lines=lines) if lines:
            return b"\n" * lines
        case TextBand(cells=cells, size=size) if max(size) <= encoder.most:
            if band.underline and _slack(setting):  # the blanks before it would be underlined, too
                return None
            if all(encoder.prints(line) for cell in cells for line in cell.text.split("\n")):
                return _text(band, setting, encoder)
    return None


def _slack(setting: Setting) -> bool:
    """Whether the paper has room for more characters than the profile says that a line has."""
    return setting.paper.width - setting.grid.width >= setting.grid.cell


def _before(free: int, align: str) -> int:
    """How many of the free characters stand before a text."""
    return {"center": free // 2, "right": free}.get(align, 0)


def _text(band: TextBand, setting: Setting, encoder: Encoder) -> bytes:
    """A band in the printer's own characters, broken into lines as it would be drawn."""
    wide, high = band.size
    columns = [wrapped(cell.text, cell.width // wide, setting) for cell in band.cells]
    if len(columns) == 1:
        cell = band.cells[0]
        lines, align = columns[0], cell.align
        if _slack(setting):
            # The printer would place it on all of its paper, and what is drawn stands in fewer columns: blanks place it there, too.
            room = cell.width // wide
            lines = [" " * _before(room - cells_of(line), align) + line if line else "" for line in lines]
            align = "left"
        return encoder.lines(lines, Style(wide, high, cell.bold, band.underline, align))
    out = bytearray()
    for line in zip_longest(*columns, fillvalue=""):
        pieces, at = [], 0
        for cell, text in zip(band.cells, line, strict=True):
            before = _before(cell.width - cells_of(text), cell.align)
            if text:
                pieces.append((" " * (cell.at + before - at) + text, cell.bold))
                at = cell.at + before + cells_of(text)
        out += encoder.pieces(pieces)
    return bytes(out)


def _pictures(pending: Sequence[Dots], paper: Paper) -> Iterator[bytes]:
    """What was drawn, as few bytes: long runs of white rows are pictures of eight dots across."""
    if not pending:
        return
    dots = Dots.stacked(pending)
    if paper.profile.way == "column":  # in bands of 24 rows, which white in between would make longer
        yield picture(dots, paper)
        return
    box = dots.inked()
    dots = dots.placed(-(-box[2] // 8) * 8 if box else 8)  # without the white on the right
    blank = bytes(dots.stride)
    inked = "".join(" " if dots.rows(row, row + 1) == blank else "#" for row in range(dots.height))
    at = 0
    for found in re.finditer(rf" {{{_WHITE},}}", inked):
        if found.start() > at:
            yield picture(Dots(dots.width, found.start() - at, bytes(dots.rows(at, found.start()))), paper)
        yield picture(Dots.blank(8, found.end() - found.start()), paper)
        at = found.end()
    if at < dots.height:
        yield picture(Dots(dots.width, dots.height - at, bytes(dots.rows(at, dots.height))), paper)


# -- remarks -------------------------------------------------------------------------------------------------


def _of_text(number: int, band: TextBand, setting: Setting) -> Iterator[Remark]:
    for cell in band.cells:
        for found in lint(cell.text, setting.paper, fonts=setting.fonts):
            yield Remark(
                number,
                f"{found.character!r} ({found.name}): {found.why}",
                "Have a font that has it, or write it otherwise.",
            )
        wide = band.size[0]
        longest = max(_words(cell.text), key=cells_of, default="")
        if cells_of(longest) * wide > cell.width:
            yield Remark(
                number,
                f"{longest[:40]!r} is wider than the {cell.width // wide} characters that are there, and is broken within",
                f"It needs {cells_of(longest) * wide}: give it a width, shorten it, or have fewer columns.",
            )


def _words(text: str) -> list[str]:
    """What is not broken where there is room: Chinese and Japanese is everywhere."""
    parts = "".join(each if cells_of(each) < 2 else " " for each in text)
    return parts.split()


def _width_of(data: bytes) -> int:
    from PIL import Image as Pillow  # noqa: PLC0415

    with Pillow.open(BytesIO(data)) as opened:  # `bands` has read it already
        return opened.width
