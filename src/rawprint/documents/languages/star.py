"""Pictures in StarPRNT: `ESC GS S`, in strips.

Key SP: Star's StarPRNT command specification, raster graphics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Language

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

_CUTS = {"none": b"", "partial": b"\x1bd\x03", "full": b"\x1bd\x02"}  # with the feed up to the blade


def _picture(dots: Dots, paper: Paper, x: int | None = None, _y: int = 0) -> bytes:
    """`ESC GS S 1 xL xH yL yH 0 d…`: x in bytes, y in rows, 1 = black."""
    if x:
        dots = dots.placed(dots.width + x, "right")
    size = dots.stride.to_bytes(2, "little")
    return b"".join(
        b"\x1b\x1dS\x01" + size + strip.height.to_bytes(2, "little") + b"\x00" + strip.data
        for strip in dots.strips(paper.profile.strip)
    )


def cut(paper: Paper) -> bytes:
    """The feed up to the blade, and the cut; nothing where none is wanted."""
    return _CUTS[paper.cut]


def _page(dots: Dots, paper: Paper) -> bytes:
    return _picture(dots, paper) + cut(paper)


STAR = Language("star", True, _picture, _page, b"\x1b@", cut)
