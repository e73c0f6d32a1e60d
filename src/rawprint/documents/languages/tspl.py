"""Pictures in TSPL: `BITMAP`, and files kept with `DOWNLOAD`.

Key M: the TSC programming manual as condensed there; P: five programs that agree on the polarity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Language

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

# `ESC !` in data may be taken for an immediate command, the reason for which `ESC !D` exists (UNCONFIRMED). 0 is black: one more
# black dot makes 0x20 of the second byte.
_IMMEDIATE = re.compile(rb"\x1b!")


def harmless(data: bytes) -> bytes:
    """Picture data without the bytes of immediate commands: one white dot becomes black for each that stood there."""
    return _IMMEDIATE.sub(b"\x1b ", data) if _IMMEDIATE.search(data) else data


def _picture(dots: Dots, _paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    """`BITMAP x,y,bytes,rows,0,` and the rows: 0 = black (P), the padding white; the printer counts, CR LF is for readers."""
    return b"BITMAP %d,%d,%d,%d,0," % (x or 0, y, dots.stride, dots.height) + harmless(dots.swapped()) + b"\r\n"


def _mm(value: float) -> bytes:
    return f"{value:.2f}".rstrip("0").rstrip(".").encode()


def begin(paper: Paper, height: int) -> bytes:
    """The label's size, where it is known, and a clean image; the first line end closes half a command that may stand in the printer.

    SIZE and GAP last beyond the job, so that a printer whose labels nobody has described keeps what it is set to. A gap of 0 is a roll without
    an end, of which a label takes what it needs.
    """
    if paper.height is None and paper.gap_mm != 0:
        return b"\r\nCLS\r\n"
    size = b"\r\nSIZE %s mm,%s mm\r\n" % (_mm(paper.mm(paper.width)), _mm(paper.mm(paper.height or height)))
    gap = b"" if paper.gap_mm is None else b"GAP %s mm,0 mm\r\n" % _mm(paper.gap_mm)
    return size + gap + b"CLS\r\n"


def _page(dots: Dots, paper: Paper) -> bytes:
    # CUT after PRINT cuts once, whatever SET CUTTER says (M).
    end = b"PRINT 1,1\r\n" + (b"CUT\r\n" if paper.cut != "none" else b"")
    return begin(paper, dots.height) + _picture(dots, paper) + end


def _store(dots: Dots, _paper: Paper, name: str) -> bytes:
    """`DOWNLOAD "NAME.BMP",size,` and a monochrome BMP, which `PUTBMP` draws; into DRAM, so not over a power cut (M)."""
    from io import BytesIO  # noqa: PLC0415

    file = BytesIO()
    dots.image().save(file, "BMP")
    data = file.getvalue()
    return b'DOWNLOAD "%s.BMP",%d,' % (name.encode("ascii"), len(data)) + data + b"\r\n"


def _recall(name: str, _paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    return b'PUTBMP %d,%d,"%s.BMP"\r\n' % (x or 0, y, name.encode("ascii"))


TSPL = Language("tspl", False, _picture, _page, store=_store, recall=_recall, names="[A-Z0-9]{1,8}")
