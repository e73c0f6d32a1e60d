"""Text as a printer's own characters where it has them, and as dots where it has not."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from rawprint.documents import bidi, native, pages
from rawprint.documents.dots import Dots
from rawprint.documents.fonts import library
from rawprint.documents.images import MAX_ROWS
from rawprint.documents.languages import LANGUAGES
from rawprint.documents.shaping import Cell, Ink, Pen, clusters, font_for, invisible, script, shapes
from rawprint.errors import BackendMissing, DocumentError, DocumentTooLarge, UnprintableText, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rawprint.documents.fonts import Font, Path
    from rawprint.documents.paper import Paper

__all__ = ["MAX_FINDINGS", "MAX_TEXT", "MAX_WIDTH", "Align", "Policy", "Unprintable", "draw", "lint", "text"]

Align = Literal["start", "left", "center", "right"]
Policy = Literal["auto", "native", "raster"]

MAX_TEXT = 1024 * 1024
"""Characters of one text."""

MAX_WIDTH = 16_384
"""Dots of a line."""

MAX_FINDINGS = 1_000
"""Characters that `lint` names."""

_TAB = 8  # cells
_MOST_AT_ONCE = 4096  # characters of a paragraph: one of a megabyte is wrapped, and given up, bite by bite
_MOST_JOINED = 128  # characters of a word, so that the cost of parting it stays small

# Where a line may not break, as books in Japanese and Chinese are set: nothing of these stands first, and nothing of those last.
_NOT_FIRST = frozenset(
    "、。,.・:;?!゛゜´`^々〻ー―‐’”)〕]}〉》」』】〙〗｠»ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ…‥%℃.,!?:;)]}ะาำๅๆฯ"
)
_NOT_LAST = frozenset("‘“(〔[{〈《「『【〘〖｟«¥$£([{เแโใไ")
_WITHOUT_SPACES = frozenset({"Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Java"})


@dataclass(frozen=True, slots=True)
class _Look:
    """How lines are set: their cells, the rows from one to the next, and the rest of what `draw` takes."""

    width: int
    cell: Cell
    pitch: int
    align: str
    bold: bool
    underline: bool
    invert: bool = False


@dataclass(slots=True)
class _Unit:
    """What is laid on a line as one piece."""

    text: str
    font: Font | None
    level: int
    script: str = ""
    space: bool = False
    tab: bool = False
    breaks: bool = False  # a line may begin here
    ink: Ink = field(default_factory=lambda: Ink(0))


def draw(
    text: str,
    paper: Paper,
    *,
    height: int = 24,
    width: int | None = None,
    align: Align = "start",
    bold: bool = False,
    underline: bool = False,
    invert: bool = False,
    fonts: Sequence[Path] = (),
) -> Dots:
    """A text in any script as a picture, wrapped at words.

    Latin letters, Greek, Cyrillic, signs lie in cells of half the height, Chinese, Japanese and Korean ones in two, so that columns
    stand as they do in a printer's own font A, whose cell has 12 x 24 dots. A line is a quarter higher than a cell, as
    printers space theirs. What no font has is a box with its code point; control characters are left out (`lint` names both).

    Args:
        text: What is drawn. Line ends part paragraphs, a tab goes to the next eighth cell.
        paper: What it is printed on.
        height: Dots of a cell, 8 to 512.
        width: Dots at which lines are wrapped; None: the paper's.
        align: "start" is right for a paragraph whose first letter is written from right to left, else left.
        bold: Thicker, by a dot in 24.
        underline: A line below.
        invert: White on black, as far as the text goes.
        fonts: Font files that are tried first.

    Returns:
        A picture as wide as `width`.

    Raises:
        DocumentError: An argument or a font of `fonts` is none.
        DocumentTooLarge: The text has more than `MAX_TEXT` characters, or becomes more than `MAX_ROWS` rows.
        BackendMissing: Its script wants shaping, and `rawprint[text]` is not installed; or there are no fonts.
    """
    if not 8 <= height <= 512:
        raise DocumentError(f"text cannot be {height} dots high", hint="A height is 8 to 512 dots.")
    if width is None:
        width = paper.width
    elif not 1 <= width <= MAX_WIDTH:
        raise DocumentError(f"text cannot be {width} dots wide", hint=f"A width is 1 to {MAX_WIDTH:,} dots.")
    cell = Cell(height // 2, height)
    look = _Look(width, cell, height * 5 // 4, _checked(align), bold, underline, invert)
    return _drawn(_lines(text), look, _pen(fonts, cell))


def text(
    text: str,
    paper: Paper,
    *,
    policy: Policy = "auto",
    size: tuple[int, int] = (1, 1),
    bold: bool = False,
    underline: bool = False,
    align: Align = "start",
    fonts: Sequence[Path] = (),
) -> bytes:
    """The bytes that print a text, wrapped at words; nothing is sent that it does not need, and the style is left as it was.

    On a roll a printer's own characters are in font A, 12 x 24 dots. Of a code page only what the paper's profile is sure of is used, and it
    is 0 again at the end. For label printers the text is one page.

    Args:
        text: What is printed; see `draw`. A control character in it reaches no printer.
        paper: What it is printed on.
        policy: "native": in the printer's own characters; "raster": drawn; "auto": each line of the text that has a character which the printer
            is not sure to print, or that is written from right to left, is drawn, and the others are native.
        size: Times as wide and as high, 1 to 8.
        bold: Bold.
        underline: A line below.
        align: Where lines stand; see `draw`.
        fonts: Font files that are tried first.

    Raises:
        UnprintableText: With "native", a character that is not the printer's.
        Unsupported: "native", and the language is that of a label printer.
        DocumentError: An argument or a font of `fonts` is none.
        DocumentTooLarge: The text has more than `MAX_TEXT` characters, or becomes more than `MAX_ROWS` rows.
        BackendMissing: Something must be drawn whose script wants shaping, and `rawprint[text]` is not installed; or there are no fonts.
    """
    roll = _roll(paper, policy)
    across, down = size
    if not (1 <= across <= 8 and 1 <= down <= 8):
        raise DocumentError(f"text cannot be {across} x {down} times as large", hint="Both are 1 to 8.")
    lines = _lines(text)
    cell = Cell(native.WIDTH * across, native.HEIGHT * down)
    # Printers feed as far as a line is high, and a sixth of an inch at least.
    look = _Look(paper.width, cell, max(native.PITCH, cell.height), _checked(align), bold, underline)
    if not roll:
        return pages.page(_drawn(lines, look, _pen(fonts, cell)), paper)
    encoder = native.Encoder(paper)
    if policy == "native" and (found := _unprintable(lines, paper, policy, fonts, controls=False)):
        which = tuple(dict.fromkeys(each.character for each in found))
        raise UnprintableText(
            f"the printer is not sure to print {', '.join(map(_named, which[:5]))}{' and more' if which[5:] else ''}",
            characters=which,
            hint='Have such lines drawn (policy = "auto").',
        )
    if max(size) > encoder.most:
        if policy == "native":
            raise DocumentError(f"{paper.dialect} has text at most {encoder.most} times as large")
        policy = "raster"
    style = native.Style(across, down, bold, underline, align)
    pen: Pen | None = None
    out = bytearray()
    for own, group in groupby(lines, lambda line: policy != "raster" and encoder.prints(line)):
        if own:
            out += encoder.lines(group, style)
        else:
            pen = pen or _pen(fonts, cell)
            out += pages.picture(_trimmed(_drawn(list(group), look, pen)), paper)
    return bytes(out + encoder.end())


def _roll(paper: Paper, policy: str) -> bool:
    if policy not in {"auto", "native", "raster"}:
        raise DocumentError(f"no policy {policy!r}", hint="There are auto, native and raster.")
    roll = LANGUAGES[paper.dialect].roll
    if policy == "native" and not roll:
        raise Unsupported(
            f"text for {paper.dialect} is always drawn", hint='Leave the policy "auto", or write the label\'s commands.'
        )
    return roll


def _trimmed(dots: Dots) -> Dots:
    """Without the white on the right, which need not be sent."""
    box = dots.inked()
    return dots.placed(-(-box[2] // 8) * 8 if box else 8)


@dataclass(frozen=True, slots=True)
class Unprintable:
    """A character that cannot be printed as itself.

    Attributes:
        character: The character.
        name: As Unicode calls it; "U+001B" where it has no name.
        line: From 1.
        column: Characters from the line's first, which is 1.
        drawn: Whether a box with its code point stands for it; else it is left out, or the text is refused.
        why: In one sentence.
    """

    character: str
    name: str
    line: int
    column: int
    drawn: bool
    why: str


def lint(text: str, paper: Paper, policy: Policy = "auto", fonts: Sequence[Path] = ()) -> tuple[Unprintable, ...]:
    """What of a text cannot be printed as itself, in the order of the text; at most `MAX_FINDINGS`.

    With "auto" and "raster" these are characters that no font has, with "native" those that no code page has; and always control characters.

    Raises:
        Unsupported: "native", and the language is that of a label printer.
        DocumentError: An argument or a font of `fonts` is none.
        DocumentTooLarge: The text has more than `MAX_TEXT` characters.
    """
    _roll(paper, policy)
    return _unprintable(_lines(text), paper, policy, fonts, controls=True)


def _unprintable(
    lines: Sequence[str], paper: Paper, policy: str, fonts: Sequence[Path], *, controls: bool
) -> tuple[Unprintable, ...]:
    found: list[Unprintable] = []
    encoder = native.Encoder(paper)
    known = library(fonts)
    for number, line in enumerate(lines, 1):
        own = policy == "native" or (policy == "auto" and encoder.roll and encoder.prints(line))
        for at, cluster in clusters(line):
            for offset, character in enumerate(cluster):
                drawn = False
                if _control(character):
                    if not controls:
                        continue
                    why = "It is a control character, and left out."
                elif invisible(character) or character == "\t":
                    continue
                elif own:
                    if encoder.has(character):
                        continue
                    why = "No code page that the printer is sure to have has it."
                    if bidi.is_right_to_left(character):
                        why = "It is written from right to left, which the printer does not."
                elif unicodedata.category(character) == "Zs":
                    continue
                elif known.mono() is None:
                    why = "There is no font on this machine to draw text with."
                elif script(character) and not shapes():
                    why = "Its script wants shaping: pip install 'rawprint[text]'."
                elif font_for(known, cluster) or font_for(known, character):
                    continue
                else:
                    drawn, why = True, "No font has it: a box with its code point is drawn."
                found.append(Unprintable(character, _name(character), number, at + offset + 1, drawn, why))
                if len(found) == MAX_FINDINGS:
                    return tuple(found)
    return tuple(found)


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}")


def _named(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _pen(fonts: Sequence[Path], cell: Cell) -> Pen:
    known = library(fonts)
    if known.mono() is None:  # a box for each letter would help nobody
        raise BackendMissing(
            "there is no font on this machine to draw text with", hint="apt-get install fonts-dejavu-core"
        )
    return Pen(known, cell)


def _checked(align: str) -> str:
    if align not in {"start", "left", "center", "right"}:
        raise DocumentError(f"no way to align {align!r}", hint="There are start, left, center and right.")
    return align


def _drawn(paragraphs: Sequence[str], look: _Look, pen: Pen) -> Dots:
    lines: list[Dots] = []
    rows = 0
    for paragraph in paragraphs:
        visible = _without_controls(paragraph)
        base = bidi.base_level(visible)
        side = look.align if look.align != "start" else ("right" if base else "left")
        for bite in native.bites(visible, _MOST_AT_ONCE):
            for units in _wrapped(_units(bite, base, pen), look.width, pen):
                line = _line(units, look, side)
                rows += line.height
                if rows > MAX_ROWS:
                    raise DocumentTooLarge(f"the text becomes more than {MAX_ROWS:,} rows of dots")
                lines.append(line)
    return Dots.stacked(lines)


def _lines(text: str) -> list[str]:
    """Paragraphs, at least one; the line end at the very end begins none."""
    if len(text) > MAX_TEXT:
        raise DocumentTooLarge(f"the text has {len(text):,} characters, and {MAX_TEXT:,} are taken")
    lines = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n").split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def _control(character: str) -> bool:
    return character != "\t" and unicodedata.category(character) == "Cc"


def _without_controls(line: str) -> str:
    return line if line.isprintable() else "".join(each for each in line if not _control(each))


# -- lines ---------------------------------------------------------------------------------------------------


def _units(line: str, base: int, pen: Pen) -> list[_Unit]:
    """A paragraph in pieces of one font and direction, no longer than what is between two places where a line may break."""
    levels = bidi.levels(line, base)
    units: list[_Unit] = []
    before = ""
    for at, cluster in clusters(line):
        level = levels[at]
        breaks = bool(before) and _may_break(before, cluster)
        first = cluster[0]
        if first == "\t":
            units.append(_Unit("\t", None, base, tab=True, space=True, breaks=False))
        elif unicodedata.category(first) == "Zs":
            ink = Ink(2 * pen.cell.width if first == "\u3000" else pen.space)
            units.append(_Unit(cluster, None, level, space=first not in "\u00a0\u202f\u2007", breaks=breaks, ink=ink))
        else:
            for part in _parts(cluster, pen):
                units.append(_unit(part, level, breaks, pen))
                breaks = False
        before = cluster
    return _joined(units, pen)


def _parts(cluster: str, pen: Pen) -> list[str]:
    """The cluster, or where no font has all of it its characters."""
    return [cluster] if len(cluster) == 1 or pen.font(cluster) else list(cluster)


def _unit(cluster: str, level: int, breaks: bool, pen: Pen) -> _Unit:
    if all(invisible(each) for each in cluster):
        return _Unit(cluster, None, level, breaks=breaks)
    font = pen.font(cluster)
    if font is None:
        return _Unit(cluster, None, level, breaks=breaks, ink=pen.box(cluster))
    tag = script(cluster[0])
    if tag:
        return _Unit(cluster, font, level, tag, breaks=breaks)
    return _Unit(cluster, font, level, breaks=breaks, ink=pen.one(cluster, font, bool(level % 2)))


def _joined(units: list[_Unit], pen: Pen) -> list[_Unit]:
    """Neighbours of a script that wants shaping as one; what is between two of those is no whole cell."""
    joined: list[_Unit] = []
    for unit in units:
        last = joined[-1] if joined else None
        if (
            last
            and unit.script
            and not unit.breaks
            and len(last.text) < _MOST_JOINED
            and (last.script, last.font, last.level) == (unit.script, unit.font, unit.level)
        ):
            last.text += unit.text
        elif (
            last
            and not unit.font
            and not unit.ink.advance
            and last.script
            and not unit.tab
            and len(last.text) < _MOST_JOINED
        ):
            last.text += unit.text  # a joiner, which is part of the word
        else:
            joined.append(unit)
    for at, unit in enumerate(joined):
        if unit.script and unit.font:
            unit.ink = pen.run(unit.text, unit.font, bool(unit.level % 2))
        elif unit.text == " " and 0 < at < len(joined) - 1 and joined[at - 1].script and joined[at + 1].script:
            unit.ink = Ink(pen.cell.width * 7 // 12)
    return joined


def _may_break(before: str, after: str) -> bool:
    """Whether a line may end between the two: behind spaces, and in scripts that are written without spaces."""
    last, first = before[0], after[0]
    if last in " \t\u200b\u3000":
        return first not in " \t"
    if last.isascii() and first.isascii():
        return False
    if first in _NOT_FIRST or last in _NOT_LAST:
        return False
    if _ideograph(last) or _ideograph(first):
        return first not in " \u00a0" and last != "\u00a0"
    return script(last) in _WITHOUT_SPACES and script(first) == script(last)


def _ideograph(character: str) -> bool:
    code = ord(character)
    return 0x2E80 <= code < 0xA4D0 or 0xF900 <= code < 0xFB00 or 0xFF00 <= code < 0xFFE0 or 0x1F300 <= code < 0x40000


def _wrapped(units: list[_Unit], width: int, pen: Pen) -> Iterator[list[_Unit]]:
    """The units of each line."""
    line: list[_Unit] = []
    used = 0.0
    for word in _words(units):
        long = _advance(word, used, pen)
        if line and used + long - _trailing(word) > width:
            yield line
            line, used = [], 0.0
            long = _advance(word, 0, pen)
        if long - _trailing(word) > width:
            *full, word = _cut(word, width, pen)
            yield from full
            long = _advance(word, 0, pen)
        line += word
        used += long
    yield line


def _words(units: list[_Unit]) -> Iterator[list[_Unit]]:
    word: list[_Unit] = []
    for unit in units:
        if unit.breaks and word:
            yield word
            word = []
        word.append(unit)
    if word:
        yield word


def _advance(word: list[_Unit], used: float, pen: Pen) -> float:
    """Dots of a word that begins there; a tab goes to the next eighth cell."""
    x = used
    stop = _TAB * pen.cell.width
    for unit in word:
        if unit.tab:
            unit.ink = Ink((x // stop + 1) * stop - x)
        x += unit.ink.advance
    return x - used


def _trailing(word: list[_Unit]) -> float:
    """Dots of the white at its end, which may hang over the edge."""
    total = 0.0
    for unit in reversed(word):
        if not unit.space:
            break
        total += unit.ink.advance
    return total


def _cut(word: list[_Unit], width: int, pen: Pen) -> list[list[_Unit]]:
    """A word longer than a line, in pieces that are not."""
    lines: list[list[_Unit]] = [[]]
    used = 0.0
    for unit in word:
        for part in _pieces(unit, width, pen):
            if lines[-1] and used + part.ink.advance > width and not part.space:
                lines.append([])
                used = 0.0
            lines[-1].append(part)
            used += part.ink.advance
    return lines


def _pieces(unit: _Unit, width: int, pen: Pen) -> Iterator[_Unit]:
    if not unit.script or unit.font is None or unit.ink.advance <= width:
        yield unit
        return
    parts = [cluster for _, cluster in clusters(unit.text)]
    while parts:
        # As many as would fit if all were alike, then fewer.
        count = max(1, int(len(parts) * width / max(unit.ink.advance, 1)))
        while True:
            text = "".join(parts[:count])
            ink = pen.run(text, unit.font, bool(unit.level % 2))
            if ink.advance <= width or count == 1:
                break
            count = max(1, min(count - 1, int(count * width / ink.advance)))
        yield _Unit(text, unit.font, unit.level, unit.script, ink=ink)
        parts = parts[count:]
        if parts:
            rest = "".join(parts)
            unit = _Unit(rest, unit.font, unit.level, unit.script, ink=pen.run(rest, unit.font, bool(unit.level % 2)))


def _line(units: list[_Unit], look: _Look, side: str) -> Dots:
    """One line as dots: as high as the pitch, and higher where marks need it."""
    from PIL import Image, ImageChops, ImageDraw  # noqa: PLC0415

    width, cell = look.width, look.cell
    units = list(units)
    while units and units[-1].space:
        units.pop()
    long = round(sum(unit.ink.advance for unit in units))
    x: float = {"left": 0, "center": (width - long) // 2, "right": width - long}[side]
    x = max(x, 0)
    begin = round(x)
    above = min((unit.ink.top for unit in units if unit.ink.mask), default=0) + cell.baseline
    above = min(max(-above, 0), cell.height)  # rows above the cell
    below = max((unit.ink.top + unit.ink.mask.height for unit in units if unit.ink.mask), default=0)
    below = min(max(below + cell.baseline, look.pitch), look.pitch + cell.height)
    size = width, above + below
    letters, image = Image.new("L", size), Image.new("L", size)
    for at in bidi.visual([unit.level for unit in units]):
        ink = units[at].ink
        if ink.mask is not None:
            where = round(x) + ink.left, above + cell.baseline + ink.top
            sheet = image if ink.picture else letters
            sheet.paste(255, (*where, where[0] + ink.mask.width, where[1] + ink.mask.height), ink.mask)
        x += ink.advance
    for shift in range(1 + max(1, min(cell.width // 12, cell.height // 24)) if look.bold else 1):
        image.paste(255, (shift, 0), letters)
    end = min(begin + long, width)
    if look.underline and end > begin:
        thick = max(1, cell.height // 12)
        top = above + min(cell.height, look.pitch - thick)  # where printers have it: below what hangs down
        ImageDraw.Draw(image).rectangle((begin, top, end - 1, top + thick - 1), fill=255)
    if look.invert and end > begin:
        box = (begin, 0, end, above + cell.height)
        image.paste(ImageChops.invert(image.crop(box)), box)
    return Dots.of(ImageChops.invert(image).convert("1", dither=Image.Dither.NONE))
