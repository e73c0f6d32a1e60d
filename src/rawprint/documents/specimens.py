"""A test label: who the printer is, how wide and how dark it prints, and a code to scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rawprint.documents.blocks import Qr
from rawprint.documents.dots import Dots
from rawprint.documents.pages import page
from rawprint.documents.texts import draw
from rawprint.documents.tickets import layout

if TYPE_CHECKING:
    from datetime import datetime

    from rawprint.documents.paper import Paper

_MARGIN = 4  # dots around what is written
_BAR = 40  # rows of the density bars
_SHADES = (1.0, 0.75, 0.5, 0.25, 0.125)  # share of black
_NUMBERS = 16  # dots of the ruler's numbers


def specimen(paper: Paper, *, name: str, address: str, at: datetime) -> bytes:
    """The bytes that print a test label, or a short receipt, drawn in dots throughout.

    A frame shows whether all dots across are printed, a ruler in millimetres how wide they are, bars how dark (full black, then three
    quarters, a half, a quarter and an eighth of the dots; lines of one and of two dots), a QR code of the address whether
    codes are crisp. On a label that is too low for all of it, the code and then the bars are left out.

    Args:
        paper: What it is printed on.
        name: What the printer is called.
        address: Its address.
        at: The time that is printed.

    Raises:
        BackendMissing: There are no fonts.
    """
    return page(drawn(paper, name=name, address=address, at=at), paper)


def drawn(paper: Paper, *, name: str, address: str, at: datetime) -> Dots:
    """The same as a picture, as wide as the paper; the arguments, and what is raised, are those of `specimen`."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    inner = replace(paper, width=max(paper.width - 2 * _MARGIN, 1), height=None)
    size = f"{paper.width} dots, {paper.mm(paper.width):g} mm, {paper.dpi} dpi, {paper.dialect}"
    title = draw(name[:100], inner, height=32, bold=True)
    about = draw(f"{address[:200]}\n{size}\n{at:%Y-%m-%d %H:%M:%S}", inner)
    code = layout([Qr(data=address[:300])], inner)
    ruler, bars = _ruler(paper), _bars(paper)
    wanted = [title, about, ruler, bars, code]
    frame = 2 * _MARGIN
    if paper.height is not None:
        for spare in (code, bars, about):
            if sum(each.height for each in wanted) + frame <= paper.height:
                break
            wanted.remove(spare)
    height = paper.height or sum(each.height for each in wanted) + frame
    sheet = Image.new("1", (paper.width, height), 1)
    top = _MARGIN
    for each in wanted:
        sheet.paste(each.image(), ((paper.width - each.width) // 2, top))
        top += each.height
    # Over all of it: what is cut off at a side is seen at once.
    ImageDraw.Draw(sheet).rectangle((0, 0, paper.width - 1, height - 1), outline=0, width=2)
    return Dots.of(sheet)


def _ruler(paper: Paper) -> Dots:
    """Millimetres from the left edge, a longer stroke at each fifth, and a number at each tenth."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    narrow = replace(paper, width=4 * _NUMBERS, height=None)
    sheet = Image.new("1", (paper.width, 26 + _NUMBERS * 5 // 4), 1)
    pen = ImageDraw.Draw(sheet)
    for mm in range(int(paper.mm(paper.width)) + 1):
        x = 0 if mm == 0 else paper.dots(mm)
        pen.line((x, 0, x, 22 if mm % 10 == 0 else 14 if mm % 5 == 0 else 8), fill=0)
        if mm and mm % 10 == 0:
            number = draw(str(mm), narrow, height=_NUMBERS, align="center")
            left = x - number.width // 2
            if left + number.width <= paper.width:
                sheet.paste(number.image(), (left, 24))
    return Dots.of(sheet)


def _bars(paper: Paper) -> Dots:
    from PIL import Image  # noqa: PLC0415

    kinds = len(_SHADES) + 2
    width = paper.width // kinds
    sheet = Image.new("L", (paper.width, _BAR + 8), 255)
    for at, share in enumerate(_SHADES):
        sheet.paste(round(255 * (1 - share)), (at * width, 4, (at + 1) * width, 4 + _BAR))
    dots = sheet.convert("1")
    for at, thick in ((len(_SHADES), 1), (len(_SHADES) + 1, 2)):
        for left in range(at * width, (at + 1) * width - thick, 2 * thick):
            dots.paste(0, (left, 4, left + thick, 4 + _BAR))
    return Dots.of(dots)
