"""Pictures in CPCL: `EG`, in hexadecimal.

Key C1: Zebra's CPCL manual; the polarity as in qzind/tray: 1 = black.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Language

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper


def _picture(dots: Dots, _paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    """`EG bytes rows x y data`."""
    return b"EG %d %d %d %d " % (dots.stride, dots.height, x or 0, y) + dots.data.hex().upper().encode() + b"\r\n"


def _page(dots: Dots, paper: Paper) -> bytes:
    height = paper.height or dots.height
    head = b"! 0 %d %d %d 1\r\nPAGE-WIDTH %d\r\n" % (paper.dpi, paper.dpi, height, paper.width)
    form = b"" if paper.height is None else b"FORM\r\n"
    return head + _picture(dots, paper) + form + b"PRINT\r\n"


CPCL = Language("cpcl", False, _picture, _page)
