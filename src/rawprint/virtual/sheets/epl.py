"""What a printer of EPL2 puts on labels.

Keys: E1 (Zebra EPL guide 14245L), L (lprint), as in the notes on the protocol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.label import Label, needs, parameters
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Picture, filled, framed, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.virtual.sheets.paper import Budget

# The fonts at 203 dpi (E1), in dots.
_FONTS = {"1": (8, 12), "2": (10, 16), "3": (12, 20), "4": (14, 24), "5": (32, 48)}

# I8,A,001: the second is the code page (E1).
_CODE_PAGES = {
    **dict(zip("0123456789", ["437", "850", "852", "860", "863", "865", "857", "861", "862", "855"], strict=True)),
    **dict(zip("ABCDEF", ["1252", "1250", "1251", "1253", "1254", "1255"], strict=True)),
}

_BARCODES = {
    "1": "code128",
    "1A": "code128",
    "1B": "code128",
    "1C": "code128",
    "1E": "gs1_128",
    "3": "code39",
    "3C": "code39",
    "2": "itf",
    "2C": "itf",
    "E30": "ean13",
    "E80": "ean8",
    "UA0": "upca",
    "K": "codabar",
}
_TWO_WIDTHS = frozenset({"code39", "itf", "codabar"})

_GRAPHIC = re.compile(rb"\s*GW\s*(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})(?:,|\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_WORD = re.compile(r"LO|LE|LW|LS|GW|GM|GG|GK|GI|FK|FR|FS|FE|FI|ZT|ZB|UQ|US|UN|UI|UM|UF|UG|UE|[A-Za-z^]")
_PARAMETER = re.compile(r"\s*(\"(?:\\.|[^\"\\])*\"?|[^,\"]*)\s*(,|$)")

# What changes no dot: density, speed, options, darkness, questions, and what is stored and not used.
_SILENT = frozenset(
    ["S", "D", "O", "J", "j", "U", "ZT", "ZB", "UQ", "US", "UN", "UI", "C", "f", "r", "l", "e", "o", "c"]
)


class Epl(Label):
    """A label printer as Eltron made them."""

    def __init__(self, budget: Budget, width: int, dpi: int) -> None:
        super().__init__(budget, width, dpi)
        self._reference = (0, 0)
        self._codec = "cp437"

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while at < len(data):
            found = _GRAPHIC.match(data, at)
            if found:
                at = self._graphic(data, at, found)
                continue
            end = _LINE_END.search(data, at)
            stop, after = (end.start(), end.end()) if end else (len(data), len(data))
            self._command(data[at:stop])
            at = after

    def _command(self, raw: bytes) -> None:
        text = raw.decode(self._codec, "replace").strip()
        found = _WORD.match(text)
        if not text or text.startswith((";", "^")):
            return
        word = found[0] if found else ""
        if word in _SILENT:
            return
        done = _COMMANDS.get(word)
        try:
            if done is None or done(self, parameters(_PARAMETER, text[len(word) :])) is False:
                self._ignore(raw)
        except IndexError:  # one of its parameters is missing
            self._ignore(raw)

    def _new(self, _: list[str]) -> None:  # N
        self._clear()

    def _set_width(self, p: list[str]) -> bool:  # q, in dots
        width = whole(p[0])
        if width < 1:
            return False
        self._resize(width, self.height)
        return True

    def _set_height(self, p: list[str]) -> bool:  # Q length,gap
        height = whole(p[0])
        if height < 1:
            return False
        self._resize(self.width, height)
        return True

    def _set_reference(self, p: list[str]) -> None:  # R x,y
        self._reference = (whole(p[0]), whole(p[1]))

    def _code_page(self, p: list[str]) -> bool:  # I8,A,001
        page = _CODE_PAGES.get(p[1].strip().upper())
        self._codec = f"cp{page}" if page else self._codec
        return page is not None

    def _print_labels(self, p: list[str]) -> bool:  # P sets,copies
        sets, copies = whole(p[0], 1), whole(p[1], 1) if len(p) > 1 else 1
        if sets < 1 or copies < 1:
            return False
        self._print(sets * copies)
        return True

    def _place(self, x: str, y: str) -> tuple[int, int]:
        return whole(x) + self._reference[0], whole(y) + self._reference[1]

    def _graphic(self, data: bytes, at: int, found: re.Match[bytes]) -> int:  # GWx,y,width,height,data: 1 = white
        x, y, row_bytes, rows = (int(number) for number in found.groups())
        dots = data[found.end() : found.end() + row_bytes * rows]
        if len(dots) < row_bytes * rows:
            self._ignore(data[at:])
            return len(data)
        if row_bytes * 8 > MOST_WIDTH and rows:
            raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
        self.budget.draw(row_bytes * 8 if rows else 0, min(rows, MOST_ROWS))
        picture = Picture.of_bytes(dots, row_bytes, rows, white_on=True)
        self.canvas.draw(picture, x + self._reference[0], y + self._reference[1])
        return found.end() + row_bytes * rows

    def _area(self, p: list[str]) -> tuple[Picture, int, int]:
        width, height = whole(p[2]), whole(p[3])
        self.budget.draw(max(width, 0), max(height, 0))
        return filled(width, height), *self._place(p[0], p[1])

    def _line_black(self, p: list[str]) -> None:  # LO x,y,width,height
        self.canvas.draw(*self._area(p))

    def _line_white(self, p: list[str]) -> None:  # LW
        self.canvas.clear(*self._area(p))

    def _line_flip(self, p: list[str]) -> None:  # LE
        self.canvas.flip(*self._area(p))

    def _box(self, p: list[str]) -> bool:  # X x,y,thick,right,bottom: corners are dots of the box
        needs(p, 5)
        left, top, thick, right, bottom = (whole(one) for one in p[:5])
        width, height = right - left + 1, bottom - top + 1
        if width < 1 or height < 1 or thick < 1:
            return False
        self.budget.draw(width, height)
        self.canvas.draw(framed(width, height, thick), *self._place(p[0], p[1]))
        return True

    def _put(self, picture: Picture, x: str, y: str, quarters: int) -> None:
        self.canvas.draw(*self._at_turned(picture, *self._place(x, y), quarters % 4))

    def _put_text(self, p: list[str]) -> bool:  # A x,y,rotation,font,across,down,N|R,"text"
        cell = _FONTS.get(p[3].strip())
        content = _string(p[7])
        if cell is None:
            return False
        across, down = min(max(whole(p[4], 1), 1), 8), min(max(whole(p[5], 1), 1), 9)
        made = self._text(content, cell, across=across, down=down)
        self._put(made.inverted() if p[6].strip().upper() == "R" else made, p[0], p[1], whole(p[2]))
        self.text.append(content)
        return True

    def _barcode(self, p: list[str]) -> None:  # B x,y,rotation,kind,narrow,wide,height,B|N,"data"
        code = _string(p[8])
        kind = _BARCODES.get(p[3].strip().upper(), p[3])
        narrow, wide = (min(max(whole(one, 2), 1), 30) for one in p[4:6])
        height = min(max(whole(p[6]), 1), 2000)
        made = codes.barcode(
            self.budget,
            kind,
            code,
            height,
            narrow=narrow,
            wide=wide if kind in _TWO_WIDTHS else narrow,
            below=p[7].strip().upper() == "B",
        )
        self._put(made, p[0], p[1], whole(p[2]))

    def _code(self, p: list[str]) -> bool:  # b x,y,kind,…,"data"; QR: s = size, e = level
        data = _string(p[-1])
        needs(p, 4)
        if p[2].strip().upper() != "Q":
            self._put(codes.box(self.budget, data, 120, 120), p[0], p[1], 0)
            return True
        options = {one.strip()[:1].lower(): one.strip()[1:] for one in p[3:-1] if one.strip()}
        size = min(max(whole(options.get("s", "3"), 3), 1), 99)
        level = options.get("e", "M").upper()[:1]
        made = codes.qr(self.budget, data.encode(self._codec, "replace"), level, size)
        if made is None:
            return False
        self._put(made, p[0], p[1], 0)
        return True


_COMMANDS: dict[str, Callable[[Epl, list[str]], bool | None]] = {
    "N": Epl._new,
    "q": Epl._set_width,
    "Q": Epl._set_height,
    "R": Epl._set_reference,
    "I": Epl._code_page,
    "P": Epl._print_labels,
    "LO": Epl._line_black,
    "LW": Epl._line_white,
    "LE": Epl._line_flip,
    "X": Epl._box,
    "A": Epl._put_text,
    "B": Epl._barcode,
    "b": Epl._code,
}


def _string(text: str) -> str:
    r"""What a string says: \" and \\ stand for what follows the backslash (E1)."""
    text = text.strip()
    if text.startswith('"'):
        text = text[1:].removesuffix('"') if len(text) > 1 else ""
    return re.sub(r"\\(.)", r"\1", text)
