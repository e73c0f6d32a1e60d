"""What a printer of TSPL puts on labels.

Keys: M, B, F, C, O, P, L as in the notes on the protocol (TSC's manual and those who restate it).
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.glyphs import wrapped
from rawprint.virtual.sheets.label import Label, needs, parameters
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Picture, decimal, ellipse, filled, framed, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.virtual.sheets.paper import Budget

# The built-in fonts (M, F), in dots.
_FONTS = {
    "1": (8, 12),
    "2": (12, 20),
    "3": (16, 24),
    "4": (24, 32),
    "5": (32, 48),
    "6": (14, 19),
    "7": (21, 27),
    "8": (14, 25),
}

_CODE_PAGES = {
    **{page: f"cp{page}" for page in ("437", "850", "852", "860", "863", "865", "857", "866", "858", "862", "864")},
    **{page: f"cp{page}" for page in ("1250", "1251", "1252", "1253", "1254", "1255", "1256", "1257", "1258")},
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
}

# Types of BARCODE (M); the others stand as a box.
_BARCODES = {
    "128": "code128",
    "128M": "code128",
    "EAN128": "gs1_128",
    "25": "itf",
    "25C": "itf",
    "ITF14": "itf",
    "39": "code39",
    "39C": "code39",
    "39S": "code39",
    "EAN13": "ean13",
    "EAN8": "ean8",
    "UPCA": "upca",
    "CODA": "codabar",
}
_TWO_WIDTHS = frozenset({"itf", "code39", "codabar"})

# Set-up that changes no dot (M).
_SILENT = frozenset(
    [
        "BLINE",
        "OFFSET",
        "SPEED",
        "DENSITY",
        "LIMITFEED",
        "SOUND",
        "SET",
        "NET",
        "COUNTRY",
        "FORMFEED",
        "HOME",
        "CUT",
        "GAPDETECT",
        "BLINEDETECT",
        "AUTODETECT",
        "SELFTEST",
        "FEED",
        "BACKFEED",
        "BACKUP",
        "BEEP",
        "KILL",
        "EOP",
        "GAP",
    ]
)

_BITMAP = re.compile(rb"\s*BITMAP\s+([+-]?\d{1,6}),([+-]?\d{1,6}),(\d{1,6}),(\d{1,6}),([012]),", re.IGNORECASE)
_DOWNLOAD = re.compile(rb"\s*DOWNLOAD\s+(?:[FE]\s*,)?\s*\"([^\"\r\n]{1,64})\"\s*,\s*(\d{1,8})\s*,", re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_PARAMETER = re.compile(r"\s*(\"(?:\\\[\"\]|[^\"])*\"?|[^,\"]*)\s*(,|$)")


class Tspl(Label):
    """A label printer as TSC makes them."""

    def __init__(self, budget: Budget, width: int, dpi: int) -> None:
        super().__init__(budget, width, dpi)
        self._reference = (0, 0)
        self._mirror = False
        self._codec = "cp437"
        self._files: dict[str, bytes] = {}

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while at < len(data):
            found = _BITMAP.match(data, at)
            if found:
                at = self._bitmap(data, at, found)
                continue
            found = _DOWNLOAD.match(data, at)
            if found:
                size = int(found[2])
                content = data[found.end() : found.end() + size]
                if len(content) < size or len(self._files) >= 256:
                    self._ignore(data[at:])
                    return
                self._files[found[1].decode("latin-1")] = content
                at = found.end() + size
                continue
            end = _LINE_END.search(data, at)
            stop, after = (end.start(), end.end()) if end else (len(data), len(data))
            self._command(data[at:stop])
            at = after

    def _command(self, raw: bytes) -> None:
        if raw[:2] == b"\x1b!" and len(raw) >= 3:  # asked at once, wherever it stands
            raw = raw[3:]
        if not raw.strip() or raw.startswith(b"~!"):
            return
        text = raw.decode(self._codec, "replace").strip()
        name = re.match(r"[A-Za-z]*", text)
        word = name[0].upper() if name else ""
        if word in _SILENT or not word:
            if not word:
                self._ignore(raw)
            return
        done = _COMMANDS.get(word)
        if done is None:
            self._ignore(raw)
            return
        given = parameters(_PARAMETER, text[len(word) :])
        try:
            if done(self, given) is False:
                self._ignore(raw)
        except IndexError:  # one of its parameters is missing
            self._ignore(raw)

    # -- set-up ------------------------------------------------------------------------------------

    def _length(self, text: str) -> int:
        """Inches, or `mm`, or `dot` (M)."""
        value = min(decimal(text), 1e6)
        if "mm" in text.lower():
            return round(value * self.per_mm)
        if "dot" in text.lower():
            return round(value)
        return round(value * self.dpi)

    def _size(self, p: list[str]) -> bool:
        width = self._length(p[0])
        height = self._length(p[1]) if len(p) > 1 and p[1] else None
        if not width or height == 0:
            return False
        self._resize(width, height)
        return True

    def _direction(self, p: list[str]) -> bool:
        self._mirror = len(p) > 1 and whole(p[1]) == 1
        return whole(p[0]) in (0, 1)

    def _set_reference(self, p: list[str]) -> None:
        self._reference = (whole(p[0]), whole(p[1]))

    def _shift(self, p: list[str]) -> bool:
        return all(not whole(one) for one in p)  # moves the paper under the picture: not modelled

    def _code_page(self, p: list[str]) -> bool:
        codec = _CODE_PAGES.get(p[0].strip().upper())
        self._codec = codec or self._codec
        return codec is not None

    def _cls(self, _: list[str]) -> None:
        self._clear()

    def _print_labels(self, p: list[str]) -> bool:
        sets, copies = whole(p[0], 1), whole(p[1], 1) if len(p) > 1 else 1
        if sets < 1 or copies < 1:
            return False
        self.canvas.reach(1)
        picture = self.canvas.picture()
        self._out(picture.mirrored() if self._mirror else picture, min(sets * copies, 10**9))
        return True

    # -- pictures ----------------------------------------------------------------------------------

    def _place(self, x: str, y: str) -> tuple[int, int]:
        return whole(x) + self._reference[0], whole(y) + self._reference[1]

    def _bitmap(self, data: bytes, at: int, found: re.Match[bytes]) -> int:  # BITMAP x,y,width,height,mode,data
        x, y, row_bytes, rows, mode = (int(number) for number in found.groups())
        size = row_bytes * rows
        dots = data[found.end() : found.end() + size]
        if len(dots) < size:
            self._ignore(data[at:])
            return len(data)
        if row_bytes * 8 > MOST_WIDTH and rows:
            raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
        self.budget.draw(row_bytes * 8 if rows else 0, min(rows, MOST_ROWS))
        picture = Picture.of_bytes(dots, row_bytes, rows, white_on=True)
        put = (self.canvas.replace, self.canvas.draw, self.canvas.flip)[mode]
        put(picture, x + self._reference[0], y + self._reference[1])
        return found.end() + size

    def _file(self, p: list[str], kind: str) -> bool:
        from PIL import Image  # noqa: PLC0415

        content = self._files.get(_string(p[2]))
        if content is None:
            return False
        try:
            with Image.open(io.BytesIO(content), formats=[kind]) as image:
                width, height = image.size
                if width > MOST_WIDTH or height > MOST_ROWS or width * height > 50_000_000:
                    return False
                grey = image.convert("L")
        except Exception:  # noqa: BLE001  (a file that is none: Pillow has many names for that)
            return False
        self.budget.draw(width, height)
        dots = grey.point(lambda value: 255 if value < 128 else 0).convert("1", dither=Image.Dither.NONE)
        picture = Picture.of_bytes(dots.tobytes(), (width + 7) // 8, height, width=width)
        self.canvas.replace(picture, *self._place(p[0], p[1]))
        return True

    def _put_bmp(self, p: list[str]) -> bool:
        return self._file(p, "BMP")

    def _put_pcx(self, p: list[str]) -> bool:
        return self._file(p, "PCX")

    def _area(self, p: list[str]) -> tuple[Picture, int, int]:
        width, height = whole(p[2]), whole(p[3])
        self.budget.draw(max(width, 0), max(height, 0))
        return filled(width, height), *self._place(p[0], p[1])

    def _bar(self, p: list[str]) -> None:
        self.canvas.draw(*self._area(p))

    def _reverse(self, p: list[str]) -> None:
        self.canvas.flip(*self._area(p))

    def _erase(self, p: list[str]) -> None:
        self.canvas.clear(*self._area(p))

    def _box(self, p: list[str]) -> bool:  # corners are dots of the box; rounded ones are drawn square
        needs(p, 5)
        left, top, right, bottom, thick = (whole(one) for one in p[:5])
        width, height = right - left + 1, bottom - top + 1
        if width < 1 or height < 1 or thick < 1:
            return False
        self.budget.draw(width, height)
        self.canvas.draw(framed(width, height, thick), *self._place(p[0], p[1]))
        return len(p) < 6 or not whole(p[5])

    def _circle(self, p: list[str]) -> None:
        self._oval(p[0], p[1], whole(p[2]), whole(p[2]), whole(p[3]))

    def _ellipse(self, p: list[str]) -> None:
        self._oval(p[0], p[1], whole(p[2]), whole(p[3]), whole(p[4]))

    def _oval(self, x: str, y: str, width: int, height: int, thick: int) -> None:
        self.budget.draw(max(width, 0), max(height, 0))
        self.canvas.draw(ellipse(max(width, 0), max(height, 0), max(thick, 0)), *self._place(x, y))

    # -- text and codes ----------------------------------------------------------------------------

    def _cell(self, font: str, across: str, down: str) -> tuple[tuple[int, int], int, int]:
        """The cell of a font and how many times it is wide and high; a scalable font's size is in points."""
        x, y = min(max(whole(across, 1), 1), 200), min(max(whole(down, 1), 1), 200)
        if font in _FONTS:
            return _FONTS[font], min(x, 10), min(y, 10)
        return (max(round(x * self.dpi / 72 * 0.55), 1), max(round(y * self.dpi / 72), 1)), 1, 1

    def _put(self, picture: Picture, x: str, y: str, turn: str, align: int = 0) -> None:
        quarters = whole(turn) // 90 % 4
        left, top = self._place(x, y)
        back = {2: picture.width // 2, 3: picture.width}.get(align, 0)
        if quarters % 2:
            top -= back if quarters == 1 else -back
        else:
            left -= back if quarters == 0 else -back
        self.canvas.draw(*self._at_turned(picture, left, top, quarters))

    def _put_text(self, p: list[str]) -> None:  # TEXT x,y,"font",rot,xmul,ymul[,align],"content"
        content = _string(p[-1])
        cell, across, down = self._cell(_string(p[2]), p[4], p[5])
        needs(p, 7)
        align = whole(p[6]) if len(p) > 7 else 0
        self._put(self._text(content, cell, across=across, down=down), p[0], p[1], p[3], align)
        self.text.append(content)

    def _block(self, p: list[str]) -> None:  # BLOCK x,y,w,h,"font",rot,xmul,ymul[,space[,align[,fit]]],"content"
        content = _string(p[-1])
        cell, across, down = self._cell(_string(p[4]), p[6], p[7])
        needs(p, 9)
        space = whole(p[8]) if len(p) > 9 else 0
        align = whole(p[9]) if len(p) > 10 else 0
        width, height = min(max(whole(p[2]), 1), MOST_WIDTH), min(max(whole(p[3]), 1), MOST_ROWS)
        self.budget.draw(width, height)
        rows: list[int] = []
        for words in wrapped(content, width // (cell[0] * across)):
            made = self._text(words, cell, across=across, down=down)
            if len(rows) + made.height > height:
                break
            spare = max(width - made.width, 0)
            right = {2: spare - spare // 2, 3: 0}.get(align, spare)
            every = (1 << width) - 1
            rows += [(row << right) & every for row in made.rows]
            rows += [0] * min(max(space, 0), height)
        self._put(Picture(width, tuple(rows[:height])), p[0], p[1], p[5])
        self.text.append(content)

    def _barcode(self, p: list[str]) -> None:  # BARCODE x,y,"type",height,human,rot,narrow,wide[,align],"code"
        code = _string(p[-1])
        needs(p, 9)
        kind = _BARCODES.get(_string(p[2]).upper(), _string(p[2]))
        narrow, wide = (min(max(whole(one, 2), 1), 30) for one in p[6:8])
        made = codes.barcode(
            self.budget,
            kind,
            code.removeprefix("!102") if kind == "gs1_128" else code,
            min(max(whole(p[3]), 1), 2000),
            narrow=narrow,
            wide=wide if kind in _TWO_WIDTHS else narrow,
            below=whole(p[4]) > 0,
        )
        self._put(made, p[0], p[1], p[5], whole(p[8]) if len(p) > 9 else 0)

    def _qr(self, p: list[str]) -> bool:  # QRCODE x,y,ecc,cell,mode,rot[,model,mask],"data"
        needs(p, 7)
        data = _string(p[-1]).encode(self._codec, "replace")
        made = codes.qr(self.budget, data, p[2].strip().upper()[:1], min(max(whole(p[3]), 1), 10))
        if made is None:
            return False
        self._put(made, p[0], p[1], p[5])
        return True

    def _other_code(self, p: list[str]) -> None:  # DMATRIX, PDF417, AZTEC, MAXICODE, RSS: a box with the text
        self._put(codes.box(self.budget, _string(p[-1]), 120, 120), p[0], p[1], "0")


_COMMANDS: dict[str, Callable[[Tspl, list[str]], bool | None]] = {
    "SIZE": Tspl._size,
    "DIRECTION": Tspl._direction,
    "REFERENCE": Tspl._set_reference,
    "SHIFT": Tspl._shift,
    "CODEPAGE": Tspl._code_page,
    "CLS": Tspl._cls,
    "PRINT": Tspl._print_labels,
    "PUTBMP": Tspl._put_bmp,
    "PUTPCX": Tspl._put_pcx,
    "BAR": Tspl._bar,
    "BOX": Tspl._box,
    "CIRCLE": Tspl._circle,
    "ELLIPSE": Tspl._ellipse,
    "REVERSE": Tspl._reverse,
    "ERASE": Tspl._erase,
    "TEXT": Tspl._put_text,
    "BLOCK": Tspl._block,
    "BARCODE": Tspl._barcode,
    "QRCODE": Tspl._qr,
    "DMATRIX": Tspl._other_code,
    "PDF417": Tspl._other_code,
    "AZTEC": Tspl._other_code,
    "MAXICODE": Tspl._other_code,
    "RSS": Tspl._other_code,
}


def _string(text: str) -> str:
    r"""What a string says: a quotation mark in it is written `\["]`, the ends of a line `\[R]` and `\[L]` (M, B)."""
    text = text.strip()
    if text.startswith('"'):
        text = text[1:].removesuffix('"') if len(text) > 1 else ""
    return text.replace('\\["]', '"').replace("\\[R]", "\r").replace("\\[L]", "\n")
