"""What a printer of Star puts on paper: StarPRNT and Star Line Mode, with the older raster mode.

The commands are those of Star's "StarPRNT Command Specifications" and "Line Mode Command Specifications" (S1);
a dot is 1/8 mm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.paper import MOST_WIDTH, Budget, Picture
from rawprint.virtual.sheets.roll import CENTRE, LEFT, RIGHT, Roll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# ESC GS t n (S1).
_CODE_PAGES: dict[int, str] = {
    0: "cp437",
    1: "cp437",
    3: "cp437",
    4: "cp858",
    5: "cp852",
    6: "cp860",
    7: "cp861",
    8: "cp863",
    9: "cp865",
    10: "cp866",
    11: "cp855",
    12: "cp857",
    13: "cp862",
    14: "cp864",
    15: "cp737",
    17: "cp869",
    32: "cp1252",
    33: "cp1250",
    34: "cp1251",
}

# ESC z 1, which is the default, and ESC z 0 or ESC 0: 4 mm and 3 mm.
_SPACING, _NARROW_SPACING = 32, 24

# ESC b n1: the kinds, and n3: dots of narrow and wide.
_BARCODES = ("upce", "upca", "ean8", "ean13", "code39", "itf", "code128", "code93", "codabar", "gs1_128")
_MODULES = {1: (2, 2), 2: (3, 3), 3: (4, 4)}
_LOOSE = {1: (2, 6), 2: (3, 9), 3: (4, 12), 4: (2, 5), 5: (3, 8), 6: (4, 10), 7: (2, 4), 8: (3, 6), 9: (4, 8)}
_TWO_WIDTHS = {
    "code39": _LOOSE,
    "codabar": _LOOSE,
    "itf": {1: (2, 5), 2: (4, 10), 3: (6, 15), 4: (2, 4), 5: (4, 8), 6: (6, 12), 7: (2, 6), 8: (3, 9), 9: (4, 12)},
}

_SIZES: dict[bytes, int] = {
    **{b"\x1b" + letter.encode(): 0 for letter in "@EF45 012MPg:"},
    **{b"\x1b" + letter.encode(): 1 for letter in "adIJWhzl-_QRC"},
    b"\x1bi": 2,
    b"\x1b\x06": 1,
    b"\x1b\x07": 2,
}
_SIZES_GS: dict[bytes, int] = {b"a": 1, b"t": 1, b"A": 2, b"R": 2, b"P": 0, b"#": 0}
_SIZES_RS: dict[bytes, int] = {b"a": 1, b"F": 1, b"E": 1, b"d": 1, b"r": 1, b"C": 1, b"s": 2, b"\x07": 4}

_SILENT = frozenset({b"\x1b\x06", b"\x1b\x07", b"\x1b "})

# Raster mode's FF and EOT modes that cut (S1): by default, and with 8, 9, 12, 13.
_CUTTING = frozenset({0, 8, 9, 12, 13})

_TEXT = re.compile(rb"[\x20-\xff]+")


class _CutShortError(Exception):
    """A command's bytes end before the command does."""


class Star(Roll):
    """A Star with 203 dpi."""

    def __init__(self, budget: Budget, width: int, code_pages: Mapping[int, str] | None = None) -> None:
        """Switch on.

        Args:
            budget: What may be drawn.
            width: Of the print area, in dots.
            code_pages: What `ESC GS t n` has, as Python's codecs; default: Star's.

        Raises:
            ValueError: One of them is no codec that Python has.
        """
        super().__init__(budget, width)
        self._code_pages = dict(_CODE_PAGES if code_pages is None else code_pages)
        for codec in self._code_pages.values():
            try:
                b" ".decode(codec, "replace")
            except (LookupError, ValueError) as error:
                raise ValueError(f"Python has no code page {codec!r}") from error
        self._initialize()

    def _initialize(self) -> None:
        self._set_up()
        self._forget_line()
        self.spacing = _SPACING
        self.codec = self._code_pages.get(0, "ascii")
        self._qr_data = b""
        self._qr_size, self._qr_level = 3, "L"
        self._raster_mode = False
        self._ff_mode = self._eot_mode = 0
        self._raster_left = 0

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while at < len(data):
            try:
                if self._raster_mode:
                    at = self._in_raster_mode(data, at)
                    continue
                found = _TEXT.match(data, at)
                if found:
                    self._write(self._decoded(found[0]))
                    at = found.end()
                else:
                    at = self._control(data, at)
            except _CutShortError:
                self._ignore(data[at:])
                return

    def _control(self, data: bytes, at: int) -> int:
        byte = data[at]
        if byte == 0x0A:
            self._print_line()
        elif byte == 0x0C:
            if self._line:
                self._print_line()
        elif byte == 0x09:
            self._at = (self._at // 96 + 1) * 96
        elif byte == 0x0E:
            self.across = 2
        elif byte == 0x14:
            self.across = 1
        elif byte == 0x18:
            self._forget_line()
        elif byte == 0x1B:
            return self._command(data, at)
        return at + 1

    def _command(self, data: bytes, at: int) -> int:
        letter = _take(data, at + 1, 1)
        name = b"\x1b" + letter
        if letter == b"\x1d":
            return self._gs(data, at)
        if letter == b"\x1e":
            return self._sized(data, at, 3, _SIZES_RS, _RS)
        if letter in _SPECIAL:
            return _SPECIAL[letter](self, data, at)
        size = _SIZES.get(name)
        if size is None:
            self._ignore(name)
            return at + 2
        parameters = _take(data, at + 2, size)
        if name not in _SILENT:
            done = _SIMPLE.get(letter)
            if done is None or done(self, parameters) is False:
                self._ignore(name + parameters)
        return at + 2 + size

    def _sized(
        self,
        data: bytes,
        at: int,
        head: int,
        sizes: Mapping[bytes, int],
        table: Mapping[bytes, Callable[[Star, bytes], bool | None]],
    ) -> int:
        letter = _take(data, at + head - 1, 1)
        size = sizes.get(letter, 0)
        parameters = _take(data, at + head, size)
        done = table.get(letter)
        if done is None or done(self, parameters) is False:
            self._ignore(data[at : at + head + size])
        return at + head + size

    # -- ESC GS ------------------------------------------------------------------------------------

    def _gs(self, data: bytes, at: int) -> int:
        letter = _take(data, at + 2, 1)
        if letter == b"S":
            return self._raster(data, at)
        if letter == b"y":
            return self._qr(data, at)
        if letter == b")":  # ESC GS ) letter pL pH fn …
            size = 6 + int.from_bytes(_take(data, at + 4, 2), "little")
            block = _take(data, at, size)
            if block[3:4] == b"U" and block[6:7] == b"\x30" and len(block) == 8 and block[7] in (0, 1, 48, 49):
                self.codec = "utf-8" if block[7] & 1 else self._code_pages.get(0, "ascii")
            elif block[3:4] != b"U":
                self._ignore(block)
            return at + size
        if letter == b"x":  # PDF417
            return self._pdf417(data, at)
        return self._sized(data, at, 3, _SIZES_GS, _GS)

    def _raster(self, data: bytes, at: int) -> int:  # ESC GS S m xL xH yL yH n d…
        mode, x_low, x_high, y_low, y_high, _ = _take(data, at + 3, 6)
        row_bytes, rows = x_low | x_high << 8, y_low | y_high << 8
        size = row_bytes * rows
        dots = _take(data, at + 9, size)
        if mode != 1:
            self._ignore(data[at : at + 9 + size])
        else:
            self._picture(self._checked(dots, row_bytes, rows))
        return at + 9 + size

    def _checked(self, dots: bytes, row_bytes: int, rows: int) -> Picture:
        if row_bytes * 8 > MOST_WIDTH and rows:
            raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
        self.budget.draw(row_bytes * 8 if rows else 0, rows)
        return Picture.of_bytes(dots, row_bytes, rows)

    def _qr(self, data: bytes, at: int) -> int:  # ESC GS y …
        letter = _take(data, at + 3, 1)
        if letter == b"S":
            which, value = _take(data, at + 4, 2)
            if which in (1, 49):
                self._qr_level = "LMQH"[value & 3]
            elif which in (2, 50):
                self._qr_size = min(max(value, 1), 8)
            return at + 6
        if letter == b"D":
            (which,) = _take(data, at + 4, 1)
            if which in (1, 49):
                _, low, high = _take(data, at + 5, 3)
                size = low | high << 8
                self._qr_data = _take(data, at + 8, size)
                return at + 8 + size
            self._ignore(data[at : at + 5])
            return at + 5
        if letter == b"P":
            made = codes.qr(self.budget, self._qr_data, self._qr_level, self._qr_size)
            if made is None or made.width > self._room:
                self._ignore(data[at : at + 4])
            else:
                self._picture(made)
            return at + 4
        if letter != b"I":
            self._ignore(data[at : at + 4])
        return at + 4

    def _pdf417(self, data: bytes, at: int) -> int:  # ESC GS x …
        letter = _take(data, at + 3, 1)
        if letter == b"S":
            (which,) = _take(data, at + 4, 1)
            return at + 5 + len(_take(data, at + 5, 4 if which in (0, 48) else 1))
        if letter == b"D":
            size = int.from_bytes(_take(data, at + 4, 2), "little")
            self._qr_data = _take(data, at + 6, size)
            return at + 6 + size
        if letter == b"P":
            self._picture(codes.box(self.budget, self._qr_data.decode("latin-1"), min(240, self._room), 80))
        return at + 4

    def _alignment(self, p: bytes) -> bool:  # ESC GS a
        known = {0: LEFT, 1: CENTRE, 2: RIGHT, 48: LEFT, 49: CENTRE, 50: RIGHT}
        if self._line or p[0] not in known:
            return False
        self.align = known[p[0]]
        return True

    def _code_page(self, p: bytes) -> bool:  # ESC GS t
        self.codec = self._code_pages.get(p[0], self.codec)
        return p[0] in self._code_pages

    def _absolute(self, p: bytes) -> bool:  # ESC GS A
        to = p[0] | p[1] << 8
        if to > self._room:
            return False
        self._at = to
        return True

    def _relative(self, p: bytes) -> bool:  # ESC GS R
        to = self._at + ((p[0] | p[1] << 8) ^ 0x8000) - 0x8000
        if not 0 <= to <= self._room:
            return False
        self._at = to
        return True

    # -- ESC and one letter; False = not obeyed ----------------------------------------------------

    def _reset(self, _: bytes) -> None:  # ESC @
        self._initialize()

    def _bold_on(self, _: bytes) -> None:  # ESC E
        self.bold = True

    def _bold_off(self, _: bytes) -> None:  # ESC F
        self.bold = False

    def _reverse_on(self, _: bytes) -> None:  # ESC 4
        self.reverse = True

    def _reverse_off(self, _: bytes) -> None:  # ESC 5
        self.reverse = False

    def _size(self, p: bytes) -> bool:  # ESC i height width
        down, across = (n - 48 if n >= 48 else n for n in p)
        if not (down <= 5 and across <= 5):
            return False
        self.down, self.across = down + 1, across + 1
        return True

    def _wide(self, p: bytes) -> bool:  # ESC W
        self.across = (p[0] & 15) + 1
        return p[0] & 15 <= 5

    def _high(self, p: bytes) -> bool:  # ESC h
        self.down = (p[0] & 15) + 1
        return p[0] & 15 <= 5

    def _underline(self, p: bytes) -> None:  # ESC -
        self.underline = 2 if p[0] & 1 else 0

    def _font(self, p: bytes) -> bool:  # ESC RS F
        known = {0: (12, 24), 1: (9, 24), 48: (12, 24), 49: (9, 24)}
        self.cell = known.get(p[0], self.cell)
        return p[0] in known

    def _feed_lines(self, p: bytes) -> None:  # ESC a
        if self._line and p[0]:
            self._print_line()
            self._feed((p[0] - 1) * self.spacing)
        else:
            self._feed(p[0] * self.spacing)

    def _feed_quarters(self, p: bytes) -> None:  # ESC J: n / 4 mm
        self._feed(2 * p[0])

    def _feed_eighths(self, p: bytes) -> None:  # ESC I: n / 8 mm
        self._feed(p[0])

    def _line_spacing(self, p: bytes) -> None:  # ESC z
        self.spacing = _SPACING if p[0] & 1 else _NARROW_SPACING

    def _narrow_spacing(self, _: bytes) -> None:  # ESC 0
        self.spacing = _NARROW_SPACING

    def _left_margin(self, p: bytes) -> bool:  # ESC l, in characters
        if self._line:
            return False
        self.margin = min(p[0] * self.cell[0], self.width - 1)
        return True

    def _none_but_0(self, p: bytes) -> bool:
        return p[0] in (0, 48)

    def _cut_now(self, p: bytes) -> bool:  # ESC d
        if p[0] not in (0, 1, 2, 3, 48, 49, 50, 51):
            return False
        self._cut()
        return True

    def _nothing(self, _: bytes) -> None:
        """Changes no dot."""

    # -- those that say their size -----------------------------------------------------------------

    def _columns(self, data: bytes, at: int) -> int:  # ESC X nL nH d…: 24 dots high
        count = int.from_bytes(_take(data, at + 2, 2), "little")
        columns = _take(data, at + 4, count * 3)
        self.budget.draw(count, 24)
        if count:
            self._put(Picture.of_columns(columns, count, 3))
        return at + 4 + count * 3

    def _coarse_columns(self, data: bytes, at: int) -> int:  # ESC K, ESC L nL nH d…: 8 dots, as large as 24
        count = int.from_bytes(_take(data, at + 2, 2), "little")
        columns = _take(data, at + 4, count)
        across = 3 if data[at + 1] == ord("K") else 1
        self.budget.draw(count, 24 * across)
        if count:
            self._put(Picture.of_columns(columns, count, 1).scaled(across, 3))
        return at + 4 + count

    def _fine_raster(self, data: bytes, at: int) -> int:  # ESC k nL nH d…: 24 rows
        row_bytes = int.from_bytes(_take(data, at + 2, 2), "little")
        dots = _take(data, at + 4, row_bytes * 24)
        self._picture(self._checked(dots, row_bytes, 24))
        return at + 4 + row_bytes * 24

    def _barcode(self, data: bytes, at: int) -> int:  # ESC b n1 n2 n3 n4 d… RS
        first, text, mode, height = _take(data, at + 2, 4)
        end = data.find(b"\x1e", at + 6, at + 6 + 256)
        if end < 0:
            raise _CutShortError
        which = first - 48 if first >= 48 else first
        text, mode = (n - 48 if n >= 48 else n for n in (text, mode))
        kind = _BARCODES[which] if which < len(_BARCODES) else "databar"
        narrow, wide = _TWO_WIDTHS.get(kind, _MODULES).get(mode, (2, 6))
        code = data[at + 6 : end].decode("latin-1")
        made = codes.barcode(self.budget, kind, code, max(height, 1), narrow=narrow, wide=wide, below=text in (2, 4))
        if made.width > self._room:
            self._ignore(data[at : end + 1])
        else:
            self._picture(made)
        return end + 1

    def _version(self, data: bytes, at: int) -> int:  # ESC # … LF NUL: switches and questions
        end = data.find(b"\x0a\x00", at, at + 32)
        if end < 0:
            self._ignore(data[at : at + 2])
            return at + 2
        return end + 2

    # -- raster mode -------------------------------------------------------------------------------

    def _raster_command(self, data: bytes, at: int) -> int:  # ESC * r letter [n NUL]
        if _take(data, at + 2, 1) != b"r":
            self._ignore(data[at : at + 3])
            return at + 3
        letter = _take(data, at + 3, 1)
        if letter in b"ABC":
            if letter == b"A" and self._line:
                self._print_line()
            self._raster_mode = letter == b"A" or (letter == b"C" and self._raster_mode)
            return at + 4
        end = data.find(b"\x00", at + 4, at + 16)
        if end < 0:
            raise _CutShortError
        words = data[at + 3 : end]
        digits = bytes(byte for byte in words if 48 <= byte <= 57)[:5]
        value = int(digits or b"0")
        if letter == b"F":
            self._ff_mode = value
        elif letter == b"E":
            self._eot_mode = value
        elif letter == b"R":
            self._ff_mode = self._eot_mode = self._raster_left = 0
        elif letter == b"Y":
            self._feed(value)
        elif words[:2] == b"ml":
            self._raster_left = value * 8
        elif letter not in b"PQTmtDeK":
            self._ignore(data[at : end + 1])
        return end + 1

    def _in_raster_mode(self, data: bytes, at: int) -> int:
        byte = data[at : at + 1]
        if byte in (b"b", b"k"):  # with a line feed of one dot, and without one
            size = int.from_bytes(_take(data, at + 1, 2), "little")
            dots = _take(data, at + 3, size)
            row = self._checked(dots, size, 1)
            top = len(self._roll.rows)
            self._roll.draw(row, self._raster_left, top)
            self._roll.reach(top + 1)
            if byte == b"k":
                self._ignore(data[at : at + 3])
            return at + 3 + size
        if byte == b"\x1b":
            name = _take(data, at + 1, 1)
            if name == b"*":
                return self._raster_command(data, at)
            if name == b"\x0c":
                mode = _take(data, at + 2, 1)
                if (self._eot_mode if mode == b"\x04" else self._ff_mode) in _CUTTING:
                    self._cut()
                return at + 3
            return self._command(data, at)
        if byte == b"\x0c" and self._ff_mode in _CUTTING:
            self._cut()
        elif byte not in (b"\x00", b"\x0a", b"\x0d", b"\x0c"):
            self._ignore(byte)
        return at + 1


_SIMPLE: dict[bytes, Callable[[Star, bytes], bool | None]] = {
    b"@": Star._reset,
    b"E": Star._bold_on,
    b"F": Star._bold_off,
    b"4": Star._reverse_on,
    b"5": Star._reverse_off,
    b"i": Star._size,
    b"W": Star._wide,
    b"h": Star._high,
    b"-": Star._underline,
    b"a": Star._feed_lines,
    b"J": Star._feed_quarters,
    b"I": Star._feed_eighths,
    b"z": Star._line_spacing,
    b"0": Star._narrow_spacing,
    b"l": Star._left_margin,
    b"_": Star._none_but_0,
    b"R": Star._none_but_0,
    b"d": Star._cut_now,
}
_GS: dict[bytes, Callable[[Star, bytes], bool | None]] = {
    b"a": Star._alignment,
    b"t": Star._code_page,
    b"A": Star._absolute,
    b"R": Star._relative,
    b"#": Star._nothing,
}
_RS: dict[bytes, Callable[[Star, bytes], bool | None]] = {
    b"a": Star._nothing,
    b"F": Star._font,
    b"E": Star._nothing,
    b"d": Star._nothing,
    b"r": Star._nothing,
    b"C": Star._nothing,
    b"\x07": Star._nothing,
}
_SPECIAL: dict[bytes, Callable[[Star, bytes, int], int]] = {
    b"X": Star._columns,
    b"K": Star._coarse_columns,
    b"L": Star._coarse_columns,
    b"k": Star._fine_raster,
    b"b": Star._barcode,
    b"*": Star._raster_command,
    b"#": Star._version,
}


def _take(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) < size:
        raise _CutShortError
    return part
