"""Pictures in EPL2: `GW`.

Keys: E1 (Zebra's EPL guide 14245L-003), E2 (EPL2 manual p.3-32); qzind/tray and lprint agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Language

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper


def _picture(dots: Dots, _paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    """`GWx,y,bytes,rows,` and the rows: 1 = white, 0 = black; the padding is white."""
    return b"GW%d,%d,%d,%d," % (x or 0, y, dots.stride, dots.height) + dots.swapped() + b"\n"


def _page(dots: Dots, paper: Paper) -> bytes:
    # The first line end closes a line that may stand in the printer; N clears its image. q and Q last beyond the label: where it is not
    # described, the printer keeps what it is set to. Q's second value is the gap, 0 on a roll without an end.
    size = b""
    if paper.height is not None or paper.gap_mm == 0:
        size = b"q%d\nQ%d" % (paper.width, paper.height or dots.height)
        size += b"\n" if paper.gap_mm is None else b",%d\n" % (paper.dots(paper.gap_mm) if paper.gap_mm else 0)
    return b"\nN\n" + size + _picture(dots, paper) + b"P1\n"


EPL = Language("epl", False, _picture, _page)
