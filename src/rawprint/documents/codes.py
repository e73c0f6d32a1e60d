"""Barcodes and QR codes in a printer's own commands, for printers that are known to have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.documents.barcodes import QUIET_QR, bars
from rawprint.documents.blocks import Barcode, Qr
from rawprint.documents.dots import Dots
from rawprint.documents.pages import picture

if TYPE_CHECKING:
    from rawprint.documents.layouts import DotsBand
    from rawprint.documents.paper import Paper

# GS k m: HOP, PY. UPC-E is left out: printers want the six digits, or all twelve.
_ESCPOS = {"upca": 65, "ean13": 67, "ean8": 68, "code39": 69, "itf": 70, "codabar": 71, "code93": 72, "code128": 73}
_ESCPOS_LEVELS = {"L": 0x30, "M": 0x31, "Q": 0x32, "H": 0x33}

# The types of BARCODE (M), and how they count their wide bars.
_TSPL = {
    "ean13": "EAN13",
    "ean8": "EAN8",
    "upca": "UPCA",
    "code39": "39",
    "itf": "25",
    "codabar": "CODA",
    "code93": "93",
    "code128": "128",
}
_ZPL = {
    "ean13": "^BEN,{height},{text},N",
    "ean8": "^B8N,{height},{text},N",
    "upca": "^BUN,{height},{text},N,Y",
    "code39": "^B3N,N,{height},{text},N",
    "itf": "^B2N,{height},{text},N,N",
    "code93": "^BAN,{height},{text},N,N",
    "code128": "^BCN,{height},{text},N,N,A",
}

# What may stand in a command's data: nothing that ends it, escapes, or chooses a code set.
_SAFE = re.compile(r"[A-Za-z0-9 .,:;/?=&%+$#@!*()-]+")


def code(band: DotsBand, paper: Paper, at: tuple[int, int] = (0, 0)) -> bytes | None:
    """The printer's own command for the code that a band shows; None: it is no code, or the language has none for it.

    Args:
        band: A picture, which may be that of a code.
        paper: What it is printed on.
        at: Where it stands on a label with the white around it: dots from the left, rows from the top.
    """
    x, y = at
    block = band.block
    if isinstance(block, Barcode):
        if not _SAFE.fullmatch(block.data):
            return None
        match paper.dialect:
            case "escpos":
                return _escpos_barcode(block, band, paper)
            case "tspl":
                return _tspl_barcode(block, band, paper, at)
            case "zpl":
                return _zpl_barcode(block, band, paper, at)
    if isinstance(block, Qr):
        match paper.dialect:
            case "escpos":
                return _escpos_qr(block, band, paper)
            case "tspl" if band.module <= 10 and _SAFE.fullmatch(block.data):
                white = QUIET_QR * band.module  # is ours
                head = f"QRCODE {x + white},{y + white},{block.level},{band.module},A,0,M2,S7,"
                return f'{head}"{block.data}"\r\n'.encode("ascii")
            case "zpl" if band.module <= 10 and _SAFE.fullmatch(block.data):
                white = QUIET_QR * band.module
                return f"^FO{x + white},{y + white}^BQN,2,{band.module}^FD{block.level}A,{block.data}^FS\n".encode(
                    "ascii"
                )
    return None


def _place(align: str) -> bytes:
    return b"\x1ba" + bytes([{"center": 1, "right": 2}.get(align, 0)])


def _escpos_barcode(block: Barcode, band: DotsBand, paper: Paper) -> bytes | None:
    kind = _ESCPOS.get(block.kind)
    body = bars(block.data, block.kind)[1].encode("ascii")
    module, height = band.module, paper.dots(block.height_mm)
    if block.kind == "code128":
        # Ours has two digits in one character, and theirs, in code set B, one: 11 modules each, with start, check, stop and white.
        module = min(module, paper.width // (11 * len(body) + 55))
        body = b"{B" + body
    if kind is None or height > 255 or not 2 <= module <= 6:
        return None
    look = b"\x1dh%c\x1dw%c\x1dH%c\x1df\x00" % (height, module, 2 if block.text else 0)
    return _place(block.align) + look + b"\x1dk%c%c" % (kind, len(body)) + body + b"\n" + _place("left")


def _escpos_qr(block: Qr, band: DotsBand, paper: Paper) -> bytes | None:
    data = block.data.encode("utf-8")
    if band.module > 16:
        return None
    parts = (
        b"A2\x00",  # model 2
        b"C" + bytes([band.module]),
        b"E" + bytes([_ESCPOS_LEVELS[block.level]]),
        b"P0" + data,
        b"Q0",
    )
    commands = (b"\x1d(k" + (len(part) + 1).to_bytes(2, "little") + b"1" + part for part in parts)
    white = picture(Dots.blank(8, QUIET_QR * band.module), paper)  # printers leave none above and below
    return white + _place(block.align) + b"".join(commands) + _place("left") + white


def _tspl_barcode(block: Barcode, band: DotsBand, paper: Paper, at: tuple[int, int]) -> bytes | None:
    kind = _TSPL.get(block.kind)
    if kind is None:
        return None
    modules, data = bars(block.data, block.kind)
    x, y = at[0] + (band.dots.width - band.module * len(modules)) // 2, at[1]
    height, text = paper.dots(block.height_mm), 1 if block.text else 0
    wide = 3 * band.module if block.kind in {"code39", "itf", "codabar"} else band.module
    return f'BARCODE {x},{y},"{kind}",{height},{text},0,{band.module},{wide},"{data}"\r\n'.encode("ascii")


def _zpl_barcode(block: Barcode, band: DotsBand, paper: Paper, at: tuple[int, int]) -> bytes | None:
    command = _ZPL.get(block.kind)
    if command is None or band.module > 10:
        return None
    modules, data = bars(block.data, block.kind)
    x, y = at[0] + (band.dots.width - band.module * len(modules)) // 2, at[1]
    height = paper.dots(block.height_mm)
    bars_command = command.format(height=height, text="Y" if block.text else "N")
    # ^BY stays for the codes that follow, each of which sets its own.
    return f"^FO{x},{y}^BY{band.module},3,{height}{bars_command}^FD{data}^FS\n".encode("ascii")
