"""What a printer of CPCL puts on paper.

Keys: C1 (Zebra's CPCL manual), as in the notes on the protocol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.label import Label, needs
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Canvas, Picture, filled, framed, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.virtual.sheets.paper import Budget

# Resident fonts of size 0 (C1), in dots; others have several sizes and stand here as one.
_FONTS = {
    "0": (8, 9),
    "1": (16, 48),
    "2": (20, 12),
    "4": (24, 47),
    "5": (12, 24),
    "6": (28, 27),
    "7": (12, 24),
}

_BARCODES = {
    "128": "code128",
    "UCCEAN128": "gs1_128",
    "39": "code39",
    "EAN13": "ean13",
    "EAN8": "ean8",
    "UPCA": "upca",
    "I2OF5": "itf",
    "CODABAR": "codabar",
}

# BARCODE's ratio (C1): wide to narrow.
_RATIOS = {0: 1.5, 1: 2.0, 2: 2.5, 3: 3.0, 4: 3.5, **{20 + tenth: 2 + tenth / 10 for tenth in range(11)}}

_SILENT = frozenset(
    [
        "IN-DOTS",
        "CONTRAST",
        "TONE",
        "SPEED",
        "FORM",
        "JOURNAL",
        "GAP-SENSE",
        "BAR-SENSE",
        "COUNTRY",
        "PREFEED",
        "POSTFEED",
        "PRESENT-AT",
        "ENCODING",
        "NOTES",
        "PACE",
        "NO-PACE",
        "WAIT",
        "BEEP",
        "SET-TOF",
        "ABORT",
        "END",
        "BARCODE-TEXT",
        "BT",
        "SETSP",
        "AUTO-PACE",
        "LABEL",
        "ON-FEED",
        "ON-OUT-OF-PAPER",
        "BACKFEED",
        "REWIND-ON",
        "REWIND-OFF",
        "UNDERLINE",
    ]
)

_START = re.compile(r"!\s+(\d{1,6})\s+(\d{1,6})\s+(\d{1,6})\s+(\d{1,6})\s+(\d{1,6})\s*$")
_BINARY = re.compile(
    rb"\s*(?:CG|COMPRESSED-GRAPHICS|VCG)[ \t]+(\d{1,6})[ \t]+(\d{1,6})[ \t]+(\d{1,6})[ \t]+(\d{1,6})[ \t]"
)
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Cpcl(Label):
    """A mobile printer as Zebra and Citizen make them."""

    def __init__(self, budget: Budget, width: int, dpi: int) -> None:
        super().__init__(budget, width, dpi)
        self._session(None, 1, 0)

    def _session(self, height: int | None, copies: int, offset: int) -> None:
        self._open = height is not None
        self._copies, self._offset = copies, offset
        self._align, self._align_end = "LEFT", 0
        self._magnified = (1, 1)
        self._bold = False
        self._qr: tuple[str, str, int] | None = None
        self._qr_lines: list[str] = []
        self.width, self.height = self.head, height
        self._clear()

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while at < len(data):
            found = _BINARY.match(data, at) if self._open and self._qr is None else None
            if found:
                at = self._binary(data, at, found)
                continue
            end = _LINE_END.search(data, at)
            stop, after = (end.start(), end.end()) if end else (len(data), len(data))
            self._command(data[at:stop])
            at = after

    def _command(self, raw: bytes) -> None:
        text = raw.decode("cp437").strip()
        if not text or text.startswith(";"):
            return
        if text.startswith("!"):
            found = _START.match(text)
            if found:
                offset, _, _, height, copies = (int(number) for number in found.groups())
                if height < 1:
                    self._ignore(raw)
                    return
                self._session(height, copies, offset)
            elif not text.upper().startswith(("! U", "! UTILITIES")):
                self._ignore(raw)
            return
        if not self._open:
            self._ignore(raw)
            return
        if self._qr is not None:
            self._qr_line(text)
            return
        words = text.split()
        word = words[0].upper()
        if word in _SILENT:
            return
        done = _COMMANDS.get(word)
        try:
            if done is None or done(self, words, text) is False:
                self._ignore(raw)
        except IndexError:  # one of its parameters is missing
            self._ignore(raw)

    def _page_width(self, w: list[str], _: str) -> bool:
        width = whole(w[1])
        if width < 1 or width > MOST_WIDTH:
            return False
        # Before fields, as the manual has it; what is drawn already stays.
        before = self.canvas.picture()
        self.width = width
        self.canvas = Canvas(width, self.height, self.budget)
        self.canvas.draw(before, 0, 0)
        return True

    def _print_page(self, _: list[str], __: str) -> None:
        if self._copies:
            self._print(self._copies)
        self._session(None, 1, 0)

    # -- where things go ---------------------------------------------------------------------------

    def _justify(self, w: list[str], _: str) -> None:
        self._align = w[0].upper()
        self._align_end = whole(w[1]) if len(w) > 1 else 0

    def _put(self, picture: Picture, x: int, y: int, quarters: int = 0) -> None:
        """`quarters` counter-clockwise, from the lower left corner on (C1: TEXT90)."""
        turned = self._turned(picture, -quarters)
        end = self._align_end or self.width
        if self._align == "CENTER":
            x = (end - turned.width) // 2
        elif self._align == "RIGHT":
            x = end - turned.width
        if quarters in (1, 2):
            y -= turned.height
        if quarters in (2, 3):
            x -= turned.width
        self.canvas.draw(turned, x + self._offset, y)

    # -- pictures ----------------------------------------------------------------------------------

    def _graphic(self, row_bytes: int, rows: int, x: int, y: int, dots: bytes) -> None:
        if row_bytes * 8 > MOST_WIDTH and rows:
            raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
        self.budget.draw(row_bytes * 8 if rows else 0, min(rows, MOST_ROWS + 1))
        self._put(Picture.of_bytes(dots, row_bytes, rows), x, y)

    def _binary(self, data: bytes, at: int, found: re.Match[bytes]) -> int:  # CG width height x y data
        row_bytes, rows, x, y = (int(number) for number in found.groups())
        end = found.end() + row_bytes * rows
        if end > len(data):
            self._ignore(data[at:])
            return len(data)
        self._graphic(row_bytes, rows, x, y, data[found.end() : end])
        return end

    def _hexadecimal(self, w: list[str], _: str) -> bool:  # EG width height x y data
        needs(w, 5)
        row_bytes, rows, x, y = (whole(one) for one in w[1:5])
        digits = "".join(w[5:])
        if row_bytes < 0 or rows < 0 or len(digits) != row_bytes * rows * 2:
            return False
        try:
            dots = bytes.fromhex(digits)
        except ValueError:
            return False
        self._graphic(row_bytes, rows, x, y, dots)
        return True

    def _rectangle(self, w: list[str], *, flip: bool = False) -> bool:
        """LINE x0 y0 x1 y1 width: slanting ones are not drawn. Its ends are dots of it."""
        needs(w, 6)
        left, top, right, bottom, thick = (whole(one) for one in w[1:6])
        if thick < 1 or (left != right and top != bottom):
            return False
        if top == bottom:
            left, right = min(left, right), max(left, right)
            wide, tall = right - left + 1, thick
        else:
            top, bottom = min(top, bottom), max(top, bottom)
            wide, tall = thick, bottom - top + 1
        self.budget.draw(wide, tall)
        (self.canvas.flip if flip else self.canvas.draw)(filled(wide, tall), left + self._offset, top)
        return True

    def _line(self, w: list[str], _: str) -> bool:
        return self._rectangle(w)

    def _inverse_line(self, w: list[str], _: str) -> bool:
        return self._rectangle(w, flip=True)

    def _box(self, w: list[str], _: str) -> bool:  # BOX x0 y0 x1 y1 thick: corners are dots of the box
        needs(w, 6)
        left, top, right, bottom, thick = (whole(one) for one in w[1:6])
        wide, tall = right - left + 1, bottom - top + 1
        if wide < 1 or tall < 1 or thick < 1:
            return False
        self.budget.draw(wide, tall)
        self.canvas.draw(framed(wide, tall, thick), left + self._offset, top)
        return True

    # -- text and codes ----------------------------------------------------------------------------

    def _put_text(self, w: list[str], text: str) -> bool:  # TEXT font size x y data
        parts = text.split(maxsplit=5)
        content = parts[5]
        cell = _FONTS.get(w[1], (12, 24))
        made = self._text(content, cell, across=self._magnified[0], down=self._magnified[1], bold=self._bold)
        quarters = {"90": 1, "180": 2, "270": 3}.get(
            re.sub(r"\D", "", w[0]), 1 if w[0].upper() in ("VT", "VTEXT") else 0
        )
        self._put(made, whole(w[3]), whole(w[4]), quarters)
        self.text.append(content)
        return True

    def _magnify(self, w: list[str], _: str) -> None:  # SETMAG across down
        self._magnified = (min(max(whole(w[1]), 1), 16), min(max(whole(w[2]), 1), 16))

    def _set_bold(self, w: list[str], _: str) -> None:
        self._bold = whole(w[1]) > 0

    def _barcode(self, w: list[str], text: str) -> bool:  # BARCODE kind width ratio height x y data
        upright = w[0].upper() in ("BARCODE", "B")
        if w[1].upper() == "QR":  # BARCODE QR x y M model U size, then lines to ENDQR
            options = dict(zip((word.upper() for word in w[4::2]), w[5::2], strict=False))
            self._qr = (w[2], w[3], min(max(whole(options.get("U", "6"), 6), 1), 32))
            self._qr_lines = []
            return True
        code = text.split(maxsplit=7)[7]
        kind = _BARCODES.get(w[1].upper(), w[1])
        narrow = min(max(whole(w[2], 1), 1), 30)
        wide = round(narrow * _RATIOS.get(whole(w[3]), 2.0))
        height = min(max(whole(w[4]), 1), 2000)
        made = codes.barcode(self.budget, kind, code, height, narrow=narrow, wide=max(wide, narrow + 1))
        self._put(made, whole(w[5]), whole(w[6]), 0 if upright else 1)
        return True

    def _qr_line(self, text: str) -> None:
        if text.upper() != "ENDQR":
            self._qr_lines = [*self._qr_lines[:64], text]
            return
        (x, y, size), lines = self._qr or ("0", "0", 1), self._qr_lines
        self._qr = None
        # Level, mode of input, comma, and what it says; a manual mode has a letter before the data (C1).
        head, _, said = "\n".join(lines).partition(",")
        if head[1:2].upper() == "M":
            said = said[1:]
        made = codes.qr(self.budget, said.encode("utf-8", "replace"), head[:1].upper() or "M", size)
        if made is None:
            self._ignore(b"BARCODE QR")
        else:
            self._put(made, whole(x), whole(y))


_COMMANDS: dict[str, Callable[[Cpcl, list[str], str], bool | None]] = {
    "PAGE-WIDTH": Cpcl._page_width,
    "PW": Cpcl._page_width,
    "PRINT": Cpcl._print_page,
    "POPRINT": Cpcl._print_page,
    "LEFT": Cpcl._justify,
    "CENTER": Cpcl._justify,
    "RIGHT": Cpcl._justify,
    "EG": Cpcl._hexadecimal,
    "EXPANDED-GRAPHICS": Cpcl._hexadecimal,
    "LINE": Cpcl._line,
    "L": Cpcl._line,
    "INVERSE-LINE": Cpcl._inverse_line,
    "IL": Cpcl._inverse_line,
    "BOX": Cpcl._box,
    **dict.fromkeys(
        ("TEXT", "T", "TEXT90", "T90", "TEXT180", "T180", "TEXT270", "T270", "VT", "VTEXT"), Cpcl._put_text
    ),
    "SETMAG": Cpcl._magnify,
    "SETBOLD": Cpcl._set_bold,
    **dict.fromkeys(("BARCODE", "B", "VBARCODE", "VB"), Cpcl._barcode),
}
