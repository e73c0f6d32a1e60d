"""What a printer of ESC/POS puts on paper.

Keys: HOP, X80 (clones' manuals), PY, NL (encoders), as in the notes on the protocol; APG (Epson's application
programming guide). A unit of motion is one dot here, as on Epson's and others' printers of 203 dpi.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.paper import MOST_WIDTH, Budget, Picture
from rawprint.virtual.sheets.roll import CENTRE, LEFT, RIGHT, Roll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# ESC t n (HOP, X80, PY).
CODE_PAGES: dict[int, str] = {
    0: "cp437",
    2: "cp850",
    3: "cp860",
    4: "cp863",
    5: "cp865",
    16: "cp1252",
    17: "cp866",
    18: "cp852",
    19: "cp858",
}

# ESC 2, in dots: what Epson's of 203 dpi have (3.75 mm).
_SPACING = 30

_FONTS = {0: (12, 24), 1: (9, 17), 2: (8, 16)}

_ALIGN = {0: LEFT, 1: CENTRE, 2: RIGHT, 48: LEFT, 49: CENTRE, 50: RIGHT}

# How many bytes follow, of commands that are understood or that change no dot (HOP, X80, APG).
_SIZES: dict[bytes, int] = {
    **{b"\x1b" + letter.encode(): 0 for letter in "@2imSL<uv\x0c"},
    **{b"\x1b" + letter.encode(): 1 for letter in "3JdKea!EG-MRtTV{rU%?= "},
    **{b"\x1b" + letter.encode(): 2 for letter in "$\\cB"},
    b"\x1bp": 3,
    b"\x1bW": 8,
    **{b"\x1d" + letter.encode(): 0 for letter in ":"},
    **{b"\x1d" + letter.encode(): 1 for letter in "!BHhwfbarIjE/T"},
    **{b"\x1d" + letter.encode(): 2 for letter in "WLP$\\"},
    b"\x1d^": 3,
    **{b"\x1c" + letter.encode(): 0 for letter in "&."},
    **{b"\x1c" + letter.encode(): 1 for letter in "!-WC"},
    **{b"\x1c" + letter.encode(): 2 for letter in "Sp"},
    b"\x10\x04": 1,
    b"\x10\x05": 1,
}

# Those that change no dot, or only of what is not modelled and where nobody would see it.
_SILENT = frozenset(
    {
        *(b"\x1b" + letter.encode() for letter in "U=cBpruv%?"),
        *(b"\x1d" + letter.encode() for letter in "fbarIjEPT"),
        *(b"\x1c" + letter.encode() for letter in ".C"),
        b"\x10\x04",
        b"\x10\x05",
        b"\x10\x14",
        b"\x1dz",
    }
)
_SILENT_BLOCKS = frozenset(b"DEHKMNAPC")

_BARCODES = {0: "upca", 1: "upce", 2: "ean13", 3: "ean8", 4: "code39", 5: "itf", 6: "codabar"} | {
    65 + at: kind
    for at, kind in enumerate(
        ("upca", "upce", "ean13", "ean8", "code39", "itf", "codabar", "code93", "code128", "gs1_128")
    )
}

_TEXT = re.compile(rb"[\x20-\xff]+")

_WIDEST_LEVELS = {48: "L", 49: "M", 50: "Q", 51: "H"}


class _CutShortError(Exception):
    """A command's bytes end before the command does."""


class EscPos(Roll):
    """An Epson-like printer with 203 dpi."""

    def __init__(self, budget: Budget, width: int, code_pages: Mapping[int, str] | None = None) -> None:
        """Switch on.

        Args:
            budget: What may be drawn.
            width: Of the print area, in dots.
            code_pages: What `ESC t n` has, as Python's codecs.

        Raises:
            ValueError: One of them is no codec that Python has.
        """
        super().__init__(budget, width)
        self._code_pages = dict(CODE_PAGES if code_pages is None else code_pages)
        for codec in self._code_pages.values():
            try:
                b" ".decode(codec, "replace")
            except (LookupError, ValueError) as error:
                raise ValueError(f"Python has no code page {codec!r}") from error
        self._stored: dict[bytes, Picture] = {}  # in NV memory (N), RAM (D): what ESC @ leaves
        self._initialize()

    def _initialize(self) -> None:
        self._set_up()
        self._forget_line()
        self.spacing = _SPACING
        self.codec = self._code_pages.get(0, "ascii")
        self._tabs = tuple(range(96, MOST_WIDTH, 96))
        self._graphics: Picture | None = None
        self._qr_data = b""
        self._qr_size, self._qr_level = 3, "L"
        self._bar_height, self._bar_module = 162, 3
        self._hri = 0

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while at < len(data):
            found = _TEXT.match(data, at)
            if found:
                self._write(self._decoded(found[0]))
                at = found.end()
                continue
            try:
                at = self._control(data, at)
            except _CutShortError:
                self._ignore(data[at:])
                return

    def _control(self, data: bytes, at: int) -> int:
        byte = data[at]
        if byte == 0x0A:
            self._print_line()
        elif byte == 0x09:
            self._at = next((tab for tab in self._tabs if tab > self._at), self._at)
        elif byte == 0x0C:
            if self._line:
                self._print_line()
        elif byte in (0x1B, 0x1D, 0x1C, 0x10):
            return self._command(data, at)
        return at + 1

    def _command(self, data: bytes, at: int) -> int:
        name = _take(data, at, 2)
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, data, at)
        size = _SIZES.get(name)
        if size is None:
            self._ignore(name)
            return at + 2
        parameters = _take(data, at + 2, size)
        if name in _SILENT:
            return at + 2 + size
        simple = _SIMPLE.get(name)
        if simple is None or simple(self, parameters) is False:
            self._ignore(name + parameters)
        return at + 2 + size

    # -- commands of a fixed size; False = not obeyed ----------------------------------------------

    def _mode(self, p: bytes) -> None:  # ESC !
        self.cell = _FONTS[p[0] & 1]
        self.bold = bool(p[0] & 0x08)
        self.down = 2 if p[0] & 0x10 else 1
        self.across = 2 if p[0] & 0x20 else 1
        self.underline = 1 if p[0] & 0x80 else 0

    def _size(self, p: bytes) -> None:  # GS !
        self.across, self.down = (p[0] >> 4 & 7) + 1, (p[0] & 7) + 1

    def _font(self, p: bytes) -> bool:  # ESC M
        font = p[0] - 48 if p[0] >= 48 else p[0]
        self.cell = _FONTS.get(font, self.cell)
        return font in _FONTS

    def _underline(self, p: bytes) -> bool:  # ESC -
        known = {0: 0, 1: 1, 2: 2, 48: 0, 49: 1, 50: 2}
        self.underline = known.get(p[0], self.underline)
        return p[0] in known

    def _alignment(self, p: bytes) -> bool:  # ESC a, at the beginning of a line only (APG)
        if self._line or p[0] not in _ALIGN:
            return False
        self.align = _ALIGN[p[0]]
        return True

    def _code_page(self, p: bytes) -> bool:  # ESC t
        self.codec = self._code_pages.get(p[0], self.codec)
        return p[0] in self._code_pages

    def _bold(self, p: bytes) -> None:  # ESC E, ESC G
        self.bold = bool(p[0] & 1)

    def _reverse(self, p: bytes) -> None:  # GS B
        self.reverse = bool(p[0] & 1)

    def _spacing(self, p: bytes) -> None:  # ESC 3
        self.spacing = p[0]

    def _default_spacing(self, _: bytes) -> None:  # ESC 2
        self.spacing = _SPACING

    def _gap(self, p: bytes) -> None:  # ESC SP
        self.gap = p[0]

    def _feed_lines(self, p: bytes) -> None:  # ESC d
        if self._line and p[0]:
            self._print_line()
            self._feed((p[0] - 1) * self.spacing)
        else:
            self._feed(p[0] * self.spacing)

    def _feed_dots(self, p: bytes) -> None:  # ESC J
        self._feed(p[0])

    def _absolute(self, p: bytes) -> bool:  # ESC $
        to = p[0] | p[1] << 8
        if to > self._room:
            return False
        self._at = to
        return True

    def _relative(self, p: bytes) -> bool:  # ESC \
        to = self._at + ((p[0] | p[1] << 8) ^ 0x8000) - 0x8000
        if not 0 <= to <= self._room:
            return False
        self._at = to
        return True

    def _margin(self, p: bytes) -> bool:  # GS L, at the beginning of a line only (APG)
        if self._line:
            return False
        self.margin = min(p[0] | p[1] << 8, self.width - 1)
        return True

    def _area(self, p: bytes) -> bool:  # GS W, at the beginning of a line only (APG)
        if self._line:
            return False
        self.area = max(p[0] | p[1] << 8, 1)
        return True

    def _cut_now(self, _: bytes) -> None:  # ESC i, ESC m
        self._cut()

    def _reset(self, _: bytes) -> None:  # ESC @
        self._initialize()

    def _none_but_0(self, p: bytes) -> bool:
        """Rotation, upside-down and foreign characters are not modelled: off is all they may be."""
        return p[0] in (0, 48)

    def _hri_place(self, p: bytes) -> None:  # GS H
        self._hri = p[0] & 3

    def _bar_tall(self, p: bytes) -> None:  # GS h
        self._bar_height = max(p[0], 1)

    def _bar_wide(self, p: bytes) -> bool:  # GS w
        if not 1 <= p[0] <= 6:
            return False
        self._bar_module = p[0]
        return True

    def _nv_old(self, p: bytes) -> bool:  # FS p n m
        return self._print_stored(b"F" + p[:1], p[1])

    def _ram_old(self, p: bytes) -> bool:  # GS / m
        return self._print_stored(b"*", p[0])

    def _print_stored(self, key: bytes, mode: int) -> bool:
        picture = self._stored.get(key)
        if picture is None or mode not in _SCALES:
            return False
        self._picture_scaled(picture, *_SCALES[mode])
        return True

    def _picture_scaled(self, picture: Picture, across: int, down: int) -> None:
        self.budget.draw(min(picture.width * across, 2 * MOST_WIDTH), picture.height * down)
        self._picture(picture.scaled(across, down))

    # -- commands that say their size --------------------------------------------------------------

    def _tab_stops(self, data: bytes, at: int) -> int:  # ESC D n1 … NUL
        end = data.find(b"\x00", at + 2, at + 2 + 33)
        if end < 0:
            raise _CutShortError
        step = self.cell[0] * self.across
        self._tabs = tuple(sorted(n * step for n in data[at + 2 : end]))
        return end + 1

    def _columns(self, data: bytes, at: int) -> int:  # ESC * m nL nH d…
        mode, low, high = _take(data, at + 2, 3)
        tall = {0: 1, 1: 1, 32: 3, 33: 3}.get(mode)
        count = low | high << 8
        if tall is None:
            self._ignore(data[at : at + 5])
            return at + 5
        size = count * tall
        columns = _take(data, at + 5, size)
        self.budget.draw(count * 2, 24)
        if count:
            picture = Picture.of_columns(columns, count, tall)
            # 8 dots stand at a third of the density, and single density is half of it across (HOP, APG).
            self._put(picture.scaled(1 if mode & 1 else 2, 3 if tall == 1 else 1))
        return at + 5 + size

    def _raster(self, data: bytes, at: int) -> int:  # GS v 0 m xL xH yL yH d…
        zero, mode, x_low, x_high, y_low, y_high = _take(data, at + 2, 6)
        if zero != 0x30 or (mode - 48 if mode >= 48 else mode) not in _SCALES:
            self._ignore(data[at : at + 8])
            return at + 3
        row_bytes, rows = x_low | x_high << 8, y_low | y_high << 8
        size = row_bytes * rows
        dots = _take(data, at + 8, size)
        self._draw_raster(dots, row_bytes, rows, row_bytes * 8, _SCALES[mode - 48 if mode >= 48 else mode])
        return at + 8 + size

    def _draw_raster(self, dots: bytes, row_bytes: int, rows: int, width: int, scale: tuple[int, int]) -> None:
        picture = self._checked(dots, row_bytes, rows, width)
        self._picture_scaled(picture, *scale)

    def _checked(self, dots: bytes, row_bytes: int, rows: int, width: int) -> Picture:
        self.budget.draw(min(row_bytes * 8, 2 * MOST_WIDTH), rows)
        if row_bytes * 8 > MOST_WIDTH and rows:
            raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
        return Picture.of_bytes(dots, row_bytes, rows, width=width)

    def _nv_define_old(self, data: bytes, at: int) -> int:  # FS q n [xL xH yL yH d…]…
        (count,) = _take(data, at + 2, 1)
        here = at + 3
        for number in range(1, count + 1):
            here = self._define_columns(b"F" + bytes([number]), data, here + 4, _words(_take(data, here, 4)))
        return here

    def _ram_define_old(self, data: bytes, at: int) -> int:  # GS * x y d…
        x, y = _take(data, at + 2, 2)
        return self._define_columns(b"*", data, at + 4, (x, y))

    def _define_columns(self, key: bytes, data: bytes, here: int, eighths: tuple[int, int]) -> int:
        x, y = eighths
        size = x * y * 8
        columns = _take(data, here, size)
        self.budget.draw(min(x * 8, 2 * MOST_WIDTH), y * 8)
        if size:
            self._stored[key] = Picture.of_columns(columns, x * 8, y)
        return here + size

    def _cutter(self, data: bytes, at: int) -> int:  # GS V m, GS V m n
        (mode,) = _take(data, at + 2, 1)
        if mode in (0, 1, 48, 49):
            self._cut()
            return at + 3
        if mode in (65, 66, 97, 98, 103, 104):  # feeds n further than to the cutter
            (further,) = _take(data, at + 3, 1)
            if self._line:
                self._print_line()
            self._feed(further)
            self._cut()
            return at + 4
        self._ignore(data[at : at + 3])
        return at + 3

    def _clear_or_pulse(self, data: bytes, at: int) -> int:  # DLE DC4 fn …
        (function,) = _take(data, at + 2, 1)
        sizes = {1: 5, 2: 5, 7: 4, 8: 10}
        size = sizes.get(function, 2)
        _take(data, at, size)
        return at + size

    def _barcode(self, data: bytes, at: int) -> int:  # GS k m d… NUL, GS k m n d…
        (mode,) = _take(data, at + 2, 1)
        if mode <= 6:
            end = data.find(b"\x00", at + 3, at + 3 + 256)
            if end < 0:
                raise _CutShortError
            code, after = data[at + 3 : end], end + 1
        elif 65 <= mode <= 79:
            (size,) = _take(data, at + 3, 1)
            code, after = _take(data, at + 4, size), at + 4 + size
        else:
            self._ignore(data[at : at + 3])
            return at + 3
        kind = _BARCODES.get(mode, "databar")
        text = _code128(code) if kind in ("code128", "gs1_128") else code.decode("latin-1")
        module = self._bar_module
        wide = {1: 2, 2: 5, 3: 8, 4: 10, 5: 13, 6: 15}[module] if kind in ("code39", "itf", "codabar") else module
        made = codes.barcode(
            self.budget,
            kind,
            text,
            self._bar_height,
            narrow=module,
            wide=wide,
            above=bool(self._hri & 1),
            below=bool(self._hri & 2),
        )
        if made.width > self._room:  # a real one prints nothing either
            self._ignore(data[at:after])
        else:
            self._picture(made)
        return after

    def _block(self, data: bytes, at: int) -> int:  # GS ( letter pL pH …
        letter, low, high = _take(data, at + 2, 3)
        size = low | high << 8
        block = _take(data, at + 5, size)
        self._block_of(letter, block, data[at : at + 5 + size])
        return at + 5 + size

    def _foreign_block(self, data: bytes, at: int) -> int:  # FS ( letter pL pH …
        size = 5 + int.from_bytes(_take(data, at + 3, 2), "little")
        self._ignore(_take(data, at, size))
        return at + size

    def _own_characters(self, data: bytes, at: int) -> int:  # ESC & y c1 c2 [x d…]…
        tall, first, last = _take(data, at + 2, 3)
        here = at + 5
        for _ in range(first, last + 1):
            (wide,) = _take(data, here, 1)
            here += 1 + len(_take(data, here + 1, wide * tall))
        self._ignore(data[at:here])
        return here

    def _long_block(self, data: bytes, at: int) -> int:  # GS 8 L p1 p2 p3 p4 …
        if _take(data, at + 2, 1) != b"L":
            self._ignore(data[at : at + 3])
            return at + 3
        size = int.from_bytes(_take(data, at + 3, 4), "little")
        block = _take(data, at + 7, size)
        self._block_of(ord("L"), block, data[at : at + 7 + size])
        return at + 7 + size

    def _block_of(self, letter: int, block: bytes, command: bytes) -> None:
        if letter in _SILENT_BLOCKS:
            return
        try:
            done = {ord("L"): self._graphics_block, ord("k"): self._symbol}.get(letter, _no)(block)
        except IndexError:  # shorter than its function needs
            done = False
        if not done:
            self._ignore(command)

    def _graphics_block(self, block: bytes) -> bool:
        function = block[1] if block[0] == 48 else -1
        if function == 112:  # store: a bx by c xL xH yL yH d…
            x, y = _words(block[6:10])
            tone, across, down, colour = block[2:6]
            row_bytes = (x + 7) // 8
            if tone != 48 or across not in (1, 2) or down not in (1, 2) or colour != 49:
                return False
            if not x or not y or len(block) != 10 + row_bytes * y:
                return False
            picture = self._checked(block[10:], row_bytes, y, x)
            self.budget.draw(x * across, y * down)
            self._graphics = picture.scaled(across, down)
            return True
        if function in (2, 50):  # print what is stored
            if self._graphics is None:
                return False
            self._picture(self._graphics)
            self._graphics = None
            return True
        if function in (67, 83):  # define: a kc1 kc2 b xL xH yL yH c d…
            x, y = _words(block[6:10])
            row_bytes = (x + 7) // 8
            if block[2] != 48 or block[5] != 1 or block[10] != 49 or not x or not y:
                return False
            if len(block) != 11 + row_bytes * y:
                return False
            self._stored[_memory(function) + block[3:5]] = self._checked(block[11:], row_bytes, y, x)
            return True
        if function in (69, 85):  # print: kc1 kc2 x y
            stored = self._stored.get(_memory(function) + block[2:4])
            across, down = block[4], block[5]
            if stored is None or across not in (1, 2) or down not in (1, 2):
                return False
            self._picture_scaled(stored, across, down)
            return True
        if function in (65, 81):  # delete all: C L R
            for key in [key for key in self._stored if key[:1] == _memory(function)]:
                del self._stored[key]
            return True
        if function in (66, 82):  # delete one: kc1 kc2
            return self._stored.pop(_memory(function) + block[2:4], None) is not None
        return function in (0, 1, 3, 4, 48, 49, 51, 52, 64, 80)  # questions

    def _symbol(self, block: bytes) -> bool:
        kind, function = block[0], block[1]
        if kind != 49:
            if function == 80:
                self._qr_data = block[3:]
                return True
            if function == 81:  # PDF417, Data Matrix and others stand as a box
                text = self._qr_data.decode("latin-1")
                self._picture(codes.box(self.budget, text, min(240, self._room), 120))
                return True
            return True
        if function == 65:  # model
            return block[2] in (49, 50)
        if function == 67:
            self._qr_size = min(max(block[2], 1), 16)
        elif function == 69:
            self._qr_level = _WIDEST_LEVELS.get(block[2], self._qr_level)
            return block[2] in _WIDEST_LEVELS
        elif function == 80:
            self._qr_data = block[3:]
        elif function == 81:
            made = codes.qr(self.budget, self._qr_data, self._qr_level, self._qr_size)
            if made is None or made.width > self._room:
                return False
            self._picture(made)
        return True

    def _kanji(self, _: bytes) -> None:
        """FS & and its like: the text is decoded as a whole anyway."""


_SCALES = {0: (1, 1), 1: (2, 1), 2: (1, 2), 3: (2, 2)}

_SIMPLE: dict[bytes, Callable[[EscPos, bytes], bool | None]] = {
    b"\x1b@": EscPos._reset,
    b"\x1b!": EscPos._mode,
    b"\x1bM": EscPos._font,
    b"\x1b-": EscPos._underline,
    b"\x1ba": EscPos._alignment,
    b"\x1bt": EscPos._code_page,
    b"\x1bE": EscPos._bold,
    b"\x1bG": EscPos._bold,
    b"\x1b3": EscPos._spacing,
    b"\x1b2": EscPos._default_spacing,
    b"\x1b ": EscPos._gap,
    b"\x1bd": EscPos._feed_lines,
    b"\x1bJ": EscPos._feed_dots,
    b"\x1b$": EscPos._absolute,
    b"\x1b\\": EscPos._relative,
    b"\x1bi": EscPos._cut_now,
    b"\x1bm": EscPos._cut_now,
    b"\x1bV": EscPos._none_but_0,
    b"\x1bT": EscPos._none_but_0,
    b"\x1b{": EscPos._none_but_0,
    b"\x1bR": EscPos._none_but_0,
    b"\x1bS": EscPos._kanji,
    b"\x1d!": EscPos._size,
    b"\x1dB": EscPos._reverse,
    b"\x1dH": EscPos._hri_place,
    b"\x1dh": EscPos._bar_tall,
    b"\x1dw": EscPos._bar_wide,
    b"\x1dL": EscPos._margin,
    b"\x1dW": EscPos._area,
    b"\x1d/": EscPos._ram_old,
    b"\x1c&": EscPos._kanji,
    b"\x1cp": EscPos._nv_old,
}

_SPECIAL: dict[bytes, Callable[[EscPos, bytes, int], int]] = {
    b"\x1bD": EscPos._tab_stops,
    b"\x1b*": EscPos._columns,
    b"\x1dv": EscPos._raster,
    b"\x1dV": EscPos._cutter,
    b"\x1dk": EscPos._barcode,
    b"\x1d(": EscPos._block,
    b"\x1d8": EscPos._long_block,
    b"\x1d*": EscPos._ram_define_old,
    b"\x1c(": EscPos._foreign_block,
    b"\x1b&": EscPos._own_characters,
    b"\x1cq": EscPos._nv_define_old,
    b"\x10\x14": EscPos._clear_or_pulse,
}


def _take(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) < size:
        raise _CutShortError
    return part


def _words(data: bytes) -> tuple[int, int]:
    return data[0] | data[1] << 8, data[2] | data[3] << 8


def _memory(function: int) -> bytes:
    return b"N" if function < 80 else b"D"


def _no(_: bytes) -> bool:
    return False


def _code128(code: bytes) -> str:
    """The text of Code 128's data: {A and {B go before characters, {C before pairs of digits, one a byte (PY, NL)."""
    out, pairs, at = [], False, 0
    while at < len(code):
        if code[at] == 0x7B and at + 1 < len(code):
            letter = chr(code[at + 1])
            if letter in "ABC":
                pairs = letter == "C"
            elif letter == "{":
                out.append("{")
            at += 2
            continue
        out.append(f"{code[at]:02d}" if pairs else chr(code[at]))
        at += 1
    return "".join(out)
