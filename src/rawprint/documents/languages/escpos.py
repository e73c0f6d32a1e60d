"""Pictures in ESC/POS: `GS v 0`, `GS ( L` and `ESC *`, in strips, and graphics kept in the printer.

Keys as in the dialect: APG (Epson's application programming guide), HOP (a clone's manual), EREF (Epson's online reference).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

# Real-time commands are heard in the midst of pictures, too, by clones and older Epsons (HOP, X80, T90 warn of it): DLE EOT has a
# status sent, DLE ENQ empties the buffer, DLE DC4 opens the drawer. One more black dot in the second byte ends that: bit 1,
# which is clear in all three.
_REAL_TIME = re.compile(rb"\x10[\x04\x05\x14]")

_CUTS = {"none": b"", "partial": b"\x1dV\x01", "full": b"\x1dV\x00"}
_COLUMN_ROWS = 24  # of ESC * 33
_GRAPHICS_MOST = 0xFFFF - 10  # bytes of a picture in GS ( L, whose length has 16 bits


def harmless(data: bytes) -> bytes:
    """Picture data without the bytes of real-time commands: one white dot becomes black for each that stood there."""
    return _REAL_TIME.sub(lambda found: bytes((0x10, found[0][1] | 0x02)), data) if _REAL_TIME.search(data) else data


def _raster(dots: Dots, rows: int) -> Iterator[bytes]:
    """`GS v 0 m xL xH yL yH d…`: m = 0, x in bytes, y in rows (HOP; Epson calls it obsolete, and all have it)."""
    size = dots.stride.to_bytes(2, "little")
    data = harmless(dots.data)
    stride = dots.stride
    for top in range(0, dots.height, rows):
        height = min(rows, dots.height - top)
        yield b"\x1dv0\x00" + size + height.to_bytes(2, "little")
        yield data[top * stride : (top + height) * stride]


def _graphics(dots: Dots, rows: int) -> Iterator[bytes]:
    """`GS ( L` function 112, store, then function 50, print (APG p.441 ff): x in dots, tone 48, colour 49."""
    rows = max(1, min(rows, _GRAPHICS_MOST // dots.stride))
    for strip in dots.strips(rows):
        yield b"\x1d(L" + (10 + len(strip.data)).to_bytes(2, "little") + b"0p0\x01\x011"
        yield strip.width.to_bytes(2, "little") + strip.height.to_bytes(2, "little")
        yield harmless(strip.data)
        yield b"\x1d(L\x02\x0002"


def _columns(dots: Dots) -> Iterator[bytes]:
    """`ESC * 33 nL nH d…`: bands of 24 rows, three bytes a column, the top dot in the high bit; a line of 24 dots after each."""
    from PIL import Image  # noqa: PLC0415

    yield b"\x1b3\x18"
    image = dots.image()
    for top in range(0, dots.height, _COLUMN_ROWS):
        band = Image.new("1", (dots.width, _COLUMN_ROWS), 1)
        band.paste(image.crop((0, top, dots.width, min(top + _COLUMN_ROWS, dots.height))))
        columns = band.transpose(Image.Transpose.TRANSPOSE).tobytes("raw", "1;I")
        yield b"\x1b*\x21" + dots.width.to_bytes(2, "little") + harmless(columns) + b"\n"
    yield b"\x1b2"


def _picture(dots: Dots, paper: Paper, x: int | None = None, _y: int = 0) -> bytes:
    if x:
        # ESC $ moves text; where a picture stands some ignore it, so that the white is part of the picture.
        dots = dots.placed(dots.width + x, "right")
    match paper.profile.way:
        case "graphics":
            return b"".join(_graphics(dots, paper.profile.strip))
        case "column":
            return b"".join(_columns(dots))
    return b"".join(_raster(dots, paper.profile.strip))


def cut(paper: Paper) -> bytes:
    """The feed up to the blade, and the cut; nothing where none is wanted, and the feed alone where there is no blade."""
    kind: str = paper.cut
    if kind == "none":
        return b""
    cuts = paper.profile.cuts
    if kind not in cuts:
        kind = next(iter(cuts), "none")  # many clones have a partial one alone
    return b"\n" * paper.profile.feed_to_cut + _CUTS[kind]


def _page(dots: Dots, paper: Paper) -> bytes:
    return _picture(dots, paper) + cut(paper)


def _store(dots: Dots, _paper: Paper, name: str) -> bytes:
    """`GS ( L` function 67 (or `GS 8 L`, its long form): define NV graphics under two characters; APG, EREF."""
    body = (
        b"0C0"
        + name.encode("ascii")
        + b"\x01"
        + dots.width.to_bytes(2, "little")
        + dots.height.to_bytes(2, "little")
        + b"1"
        + harmless(dots.data)
    )
    head = (
        b"\x1d(L" + len(body).to_bytes(2, "little")
        if len(body) <= 0xFFFF
        else b"\x1d8L" + len(body).to_bytes(4, "little")
    )
    return head + body


def _recall(name: str, _paper: Paper, _x: int | None = None, _y: int = 0) -> bytes:
    """`GS ( L` function 69: print NV graphics, each dot once."""
    return b"\x1d(L\x06\x000E" + name.encode("ascii") + b"\x01\x01"


ESCPOS = Language("escpos", True, _picture, _page, b"\x1b@", cut, _store, _recall, r"[ -~]{2}")
