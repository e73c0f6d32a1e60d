"""What a job looks like on paper: an independent reading of six printer languages, from their manuals alone.

Nothing here comes from `rawprint.documents`, whose encoders it is there to check.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rawprint.virtual.sheets.paper import Budget, Printing, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LANGUAGES", "Printing", "Sheet", "printing", "sheets"]

LANGUAGES = ("escpos", "star", "tspl", "zpl", "epl", "cpcl")

# Where the job does not say how wide its paper is: 72 mm of an 80 mm roll, and a 4-inch head.
_WIDTHS = {"escpos": 576, "star": 576, "cpcl": 576}
_LABEL_WIDTH = 832


def sheets(
    dialect: str,
    data: bytes,
    *,
    width: int | None = None,
    code_pages: Mapping[int, str] | None = None,
    dpi: int = 203,
) -> list[Sheet]:
    """Print a job on paper that can be looked at.

    Pictures, lines and boxes are exact, dot for dot; the printer's own text, barcodes and QR codes have the right
    size and say the right thing, in a font that is not the maker's.

    A receipt ends with its cut, and with the job; a label with the command that prints it. Copies are the same sheet
    so many times. What came after the last sheet and was not understood is noted on it. Each job is printed by a printer that was just switched on.

    Args:
        dialect: escpos, star, tspl, zpl, epl or cpcl.
        data: The job's bytes.
        width: Dots across. Receipts: of the print area, default 576. Labels: where the job does not say, default 832
            (CPCL 576). At most 4096.
        code_pages: escpos and star: the code page of each number in `ESC t n` (`ESC GS t n`), as Python's codecs; a
            number that is not in it leaves the page as it was. Default: those of the manuals.
        dpi: Labels: dots of an inch, where the job speaks of inches or millimetres.

    Returns:
        The sheets in order.

    Raises:
        ValueError: There is no such language or code page, or the job is larger than any printer takes: pictures
            beyond 4096 dots in width, a sheet of 200,000 rows, 4096 x 200,000 dots of paper in all, 10,000 sheets.
    """
    printer = printing(dialect, width=width, code_pages=code_pages, dpi=dpi)
    printer.run(data)
    printer.finish()
    done = printer.done
    if printer.unknown and done:
        done[-1] = replace(done[-1], unknown=(*done[-1].unknown, *printer.unknown))
    return done


def printing(
    dialect: str, *, width: int | None = None, code_pages: Mapping[int, str] | None = None, dpi: int = 203
) -> Printing:
    """A printer that stays switched on between jobs; the arguments are those of `sheets`.

    Raises:
        ValueError: There is no such language or code page, or a number is out of its range.
    """
    from rawprint.virtual.sheets import cpcl, epl, escpos, star, tspl, zpl  # noqa: PLC0415

    budget = Budget()
    dots = _WIDTHS.get(dialect, _LABEL_WIDTH) if width is None else width
    if dialect == "escpos":
        return escpos.EscPos(budget, dots, code_pages)
    if dialect == "star":
        return star.Star(budget, dots, code_pages)
    labels = {"tspl": tspl.Tspl, "zpl": zpl.Zpl, "epl": epl.Epl, "cpcl": cpcl.Cpcl}
    if dialect not in labels:
        raise ValueError(f"no paper for {dialect!r}; there are: {', '.join(LANGUAGES)}")
    return labels[dialect](budget, dots, dpi)
