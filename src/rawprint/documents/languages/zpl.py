"""Pictures in ZPL II: `^GF` in hexadecimal, run-length coded (ACS) or compressed (Z64), and graphics kept with `~DY`.

Keys: Z06 (ZPL II programming guide 45541L-004), ZDOC (docs.zebra.com), ZF (zebrafy 2.0.0).
"""

from __future__ import annotations

import binascii
import re
import zlib
from typing import TYPE_CHECKING

from rawprint.documents.languages.base import Compression, Language

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

# Level 1 makes label-like pictures about a tenth larger than level 6, in a third of the time.
_LEVEL = 1

_RUNS = re.compile(rb"([0-9A-F])\1{1,}")
_ONES, _TWENTIES = b"GHIJKLMNOPQRSTUVWXY", b"ghijklmnopqrstuvwxyz"
_MOST = 419  # in one count: z and Y


def _count(number: int) -> bytes:
    """G to Y are 1 to 19, g to z are 20, 40 … 400; they add up (ZDOC)."""
    counted = b""
    while number > _MOST:
        counted += b"z"
        number -= 400
    twenties, ones = divmod(number, 20)
    return counted + _TWENTIES[twenties - 1 : twenties] * bool(twenties) + _ONES[ones - 1 : ones] * bool(ones)


def _run(found: re.Match[bytes]) -> bytes:
    return _count(len(found[0])) + found[1] if len(found[0]) > 2 else found[0]


def acs(dots: Dots) -> bytes:
    """The rows in Zebra's run-length code: `,` fills a row with 0, `!` with 1, `:` repeats the row before."""
    text = dots.data.hex().upper().encode()
    size, before, rows = 2 * dots.stride, b"", []
    for at in range(0, len(text), size):
        row = text[at : at + size]
        if row == before:
            rows.append(b":")
            continue
        before = row
        body, fill = row.rstrip(b"0"), b","
        if len(body) == size:
            body, fill = row.rstrip(b"F"), b"!"
        if len(body) % 2:  # a byte is not halved: one digit of the filling is written out
            body += fill.translate(bytes.maketrans(b",!", b"0F"))
        rows.append(_RUNS.sub(_run, body) + (fill if len(body) < size else b""))
    return b"".join(rows)


def z64(data: bytes) -> bytes:
    """`:Z64:` text: zlib, base64, and the CRC-16 of that text (Z06 p.370; polynomial 0x1021, initially 0: ZF)."""
    text = binascii.b2a_base64(zlib.compress(data, _LEVEL), newline=False)
    return b":Z64:" + text + b":%04X" % binascii.crc_hqx(text, 0)


def graphic(dots: Dots, compression: Compression) -> bytes:
    """`^GFA,bytes sent,bytes of the picture,bytes a row,data`; 1 = black."""
    total = len(dots.data)
    match compression:
        case "z64":
            data = z64(dots.data)
        case "acs":
            data = acs(dots)
        case _:
            data = dots.data.hex().upper().encode()
    sent = len(data) if compression == "z64" else total  # ZF; of the coded length with Z64 UNCONFIRMED on hardware
    return b"^GFA,%d,%d,%d," % (sent, total, dots.stride) + data


def _picture(
    dots: Dots, paper: Paper, x: int | None = None, y: int = 0, compression: Compression | None = None
) -> bytes:
    return b"^FO%d,%d" % (x or 0, y) + graphic(dots, compression or paper.profile.compression) + b"^FS\n"


def begin(paper: Paper, height: int) -> bytes:
    """A format's beginning, with the label's size where it is known.

    ^MN, ^PW and ^LL last beyond the format, so that a printer whose labels nobody has described keeps what it is set to. A gap of 0 is a roll
    without an end (^MNN), of which a format takes what it needs.
    """
    if paper.height is None and paper.gap_mm != 0:
        return b"^XA^LH0,0\n"
    media = b"^MNN" if paper.gap_mm == 0 else b""
    return b"^XA" + media + b"^PW%d^LL%d^LH0,0\n" % (paper.width, paper.height or height)


def _page(dots: Dots, paper: Paper) -> bytes:
    return begin(paper, dots.height) + _picture(dots, paper) + b"^XZ\n"


def _store(dots: Dots, _paper: Paper, name: str) -> bytes:
    """`~DYR:NAME,A,G,bytes,bytes a row,data`: a graphic (.GRF) in the printer's memory, until it is switched off."""
    return b"~DYR:%s,A,G,%d,%d," % (name.encode("ascii"), len(dots.data), dots.stride) + acs(dots) + b"\n"


def _recall(name: str, _paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    return b"^FO%d,%d^XGR:%s.GRF,1,1^FS\n" % (x or 0, y, name.encode("ascii"))


ZPL = Language("zpl", False, _picture, _page, store=_store, recall=_recall, names="[A-Z0-9]{1,8}")
