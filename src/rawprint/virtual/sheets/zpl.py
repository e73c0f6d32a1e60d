"""What a printer of ZPL puts on labels.

Keys: ZDOC, Z06, ZF, LP as in the notes on the protocol (Zebra's manuals, and those who restate them).
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import TYPE_CHECKING

from rawprint.virtual.sheets import codes
from rawprint.virtual.sheets.glyphs import wrapped
from rawprint.virtual.sheets.label import Label
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Picture, ellipse, framed, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.virtual.sheets.paper import Budget

# Built-in fonts at 8 dots/mm (Z06, appendix on fonts): height, width, and the gap that belongs to a cell.
_FONTS = {
    "A": (9, 5, 1),
    "B": (11, 7, 2),
    "C": (18, 10, 2),
    "D": (18, 10, 2),
    "E": (28, 15, 5),
    "F": (26, 13, 3),
    "G": (60, 40, 8),
    "H": (21, 13, 6),
    "P": (20, 18, 2),
    "Q": (28, 24, 2),
    "R": (35, 31, 2),
    "S": (40, 35, 2),
    "T": (48, 42, 2),
    "U": (59, 53, 2),
    "V": (80, 71, 2),
}

# ^CI (ZDOC).
_CODE_PAGES = {"0": "cp850", "13": "cp850", "27": "cp1252", "28": "utf-8", "29": "utf-16-be", "30": "utf-16-le"}

# Letter -> kind, and where the parameters of orientation, height, text, and text above stand; -1: there is none.
_BARCODES = {
    "BC": ("code128", 1, 2, 3),
    "BE": ("ean13", 1, 2, 3),
    "B8": ("ean8", 1, 2, 3),
    "BU": ("upca", 1, 2, 3),
    "B9": ("upce", 1, 2, 3),
    "B3": ("code39", 2, 3, 4),
    "B2": ("itf", 1, 2, 3),
    "BK": ("codabar", 2, 3, 4),
    "BA": ("code93", 1, 2, 3),
    "B1": ("code11", 2, 3, 4),
    "BX": ("datamatrix", 1, -1, -1),
    "B7": ("pdf417", 1, -1, -1),
    "BO": ("aztec", 1, -1, -1),
    "BD": ("maxicode", -1, -1, -1),
}

# What changes no dot: media, speed, darkness, status and their like.
_SILENT = frozenset(
    [
        "^MM",
        "^MN",
        "^MT",
        "^MD",
        "^MF",
        "^ML",
        "^MC",
        "^MU",
        "^PR",
        "^PP",
        "^PF",
        "^PH",
        "^PO",
        "^PN",
        "^LF",
        "^JZ",
        "^JM",
        "^JU",
        "^JS",
        "^JT",
        "^JB",
        "^JI",
        "^JJ",
        "^JN",
        "^JW",
        "^HH",
        "^HZ",
        "^HW",
        "^HI",
        "^ST",
        "^SL",
        "^SS",
        "^SX",
        "^SZ",
        "^SD",
        "^KN",
        "^KL",
        "^KD",
        "^XB",
        "^XS",
        "^FX",
        "^TO",
        "^CW",
        "^EG",
        "^EF",
        "^NI",
        "^NB",
        "^NS",
        "^ND",
        "^WD",
        "~HS",
        "~HI",
        "~HQ",
        "~HD",
        "~HM",
        "~SD",
        "~TA",
        "~JS",
        "~JA",
        "~JR",
        "~JC",
        "~JX",
        "~PS",
        "~PP",
        "~PH",
        "~PR",
        "~EG",
        "~RO",
        "~WC",
        "~JL",
        "~JD",
        "~JE",
        "~HB",
        "~HU",
    ]
)

_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")
_ENCODED = re.compile(rb":(B64|Z64):([A-Za-z0-9+/=\r\n \t]*):([0-9A-Fa-f]{4})")

_COMMAND = re.compile(rb"[\^~]")


class Zpl(Label):
    """A label printer as Zebra makes them."""

    def __init__(self, budget: Budget, width: int, dpi: int) -> None:
        super().__init__(budget, width, dpi)
        self._stored: dict[str, Picture] = {}
        self._home = (0, 0)
        self._codec = "cp850"
        self._default_font = ("0", 0, 0)
        self._turn = "N"
        self._bar = (2, 3.0, 10)
        self._mirror = False
        self._format()

    def _format(self) -> None:
        """^XA."""
        self._fields = 0
        self._copies = 1
        self._reverse_label = False
        self._field()
        self._clear()

    def _field(self) -> None:
        """After ^FS."""
        self._x, self._y = self._home
        self._typeset = self._placed = False
        self._reverse = False
        self._hex = ""
        self._block: tuple[int, int, int, str] | None = None
        self._font: tuple[str, str, int, int] | None = None
        self._code: tuple[str, list[str]] | None = None
        self._data: str | None = None

    def run(self, data: bytes) -> None:
        """Print a job; see `Printing.run`."""
        at = 0
        while True:
            found = _COMMAND.search(data, at)
            if found is None:
                return
            at = found.start()
            name = data[at : at + 3].decode("latin-1").upper()
            if name in ("^GF", "~DG", "~DY"):
                at = self._picture_command(name, data, at)
                continue
            head = 2 if name[1:2] == "A" and name != "^A@" else 3
            stop = _COMMAND.search(data, at + head)
            end = stop.start() if stop else len(data)
            self._one(name, data[at + head : end], data[at:end])
            at = end

    def _one(self, name: str, raw: bytes, command: bytes) -> None:
        if name in _SILENT:
            return
        if name in ("^FD", "^FV", "^SN"):
            body = raw.split(b",")[0] if name == "^SN" else raw
            self._data = self._field_data(body)
            return
        p = [part.strip() for part in raw.decode("latin-1").split(",")]
        if name[:2] == "^A":
            self._choose_font(name, p)
            return
        if name[1:] in _BARCODES or name == "^BQ":
            self._code = (name[1:], p)
            return
        done = _COMMANDS.get(name)
        if done is None or done(self, p) is False:
            self._ignore(command)

    # -- the label ---------------------------------------------------------------------------------

    def _begin(self, _: list[str]) -> None:
        self._format()

    def _end(self, _: list[str]) -> None:
        if self._fields:
            self.canvas.reach(1)
            picture = self.canvas.picture()
            self._out(picture.mirrored() if self._mirror else picture, self._copies)
        self._format()

    def _width(self, p: list[str]) -> bool:
        width = whole(p[0])
        if width < 1:
            return False
        self._resize_kept(width, self.height)
        return True

    def _length(self, p: list[str]) -> bool:
        height = whole(p[0])
        if height < 1:
            return False
        self._resize_kept(self.width, height)
        return True

    def _resize_kept(self, width: int, height: int | None) -> None:
        """^PW and ^LL may stand after fields; what is drawn stays."""
        before, text = self.canvas.picture(), self.text
        self._resize(width, height)
        if self._fields:
            self.canvas.draw(before, 0, 0)
            self.text = text

    def _set_home(self, p: list[str]) -> None:
        self._home = (max(whole(p[0]), 0), max(whole(p[1]), 0) if len(p) > 1 else 0)
        self._x, self._y = self._home

    def _shift(self, p: list[str]) -> bool:  # ^LS, ^LT: move the paper, which is not modelled
        return not whole(p[0])

    def _set_mirror(self, p: list[str]) -> None:
        self._mirror = p[0].upper() == "Y"

    def _set_reverse_label(self, p: list[str]) -> None:
        self._reverse_label = p[0].upper() == "Y"

    def _quantity(self, p: list[str]) -> bool:
        self._copies = whole(p[0], 1)
        return self._copies >= 1

    def _code_page(self, p: list[str]) -> bool:
        codec = _CODE_PAGES.get(p[0] or "0")
        self._codec = codec or self._codec
        return codec is not None

    # -- fields ------------------------------------------------------------------------------------

    def _origin(self, p: list[str]) -> bool:  # ^FO x,y,z
        self._place(p)
        self._typeset = False
        return len(p) < 3 or p[2] in ("", "0")

    def _typeset_origin(self, p: list[str]) -> bool:  # ^FT x,y,z: the lower left corner
        self._place(p)
        self._typeset = True
        return len(p) < 3 or p[2] in ("", "0")

    def _place(self, p: list[str]) -> None:
        self._placed = True
        self._x = self._home[0] + whole(p[0])
        self._y = self._home[1] + (whole(p[1]) if len(p) > 1 else 0)

    def _reverse_field(self, _: list[str]) -> None:
        self._reverse = True

    def _hex_in_data(self, p: list[str]) -> None:
        self._hex = (p[0] or "_")[:1]

    def _field_block(self, p: list[str]) -> None:  # ^FB width,lines,space,justification,hanging
        p += [""] * (5 - len(p))
        self._block = (whole(p[0]), max(whole(p[1], 1), 1), whole(p[2]), (p[3] or "L").upper())

    def _field_data(self, raw: bytes) -> str:
        if self._hex:
            mark = re.escape(self._hex.encode("latin-1"))
            raw = re.sub(mark + rb"([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), raw)
        return raw.decode(self._codec, "replace").replace("\r", "").replace("\n", "")

    def _choose_font(self, name: str, p: list[str]) -> None:  # ^Afo,h,w, ^A@o,h,w,name
        if name == "^A@":
            font, turn = "0", p[0] if p else ""
        else:
            font, turn = name[2:3] or "0", (p[0] if p else "")[1:]
        p = p + [""] * 3
        self._font = (font, (turn or self._turn).upper(), whole(p[1]), whole(p[2]))

    def _change_font(self, p: list[str]) -> None:  # ^CFf,h,w
        p += [""] * 3
        self._default_font = (p[0].upper() or self._default_font[0], whole(p[1]), whole(p[2]))

    def _field_orientation(self, p: list[str]) -> None:  # ^FW
        self._turn = (p[0] or "N").upper()

    def _bar_defaults(self, p: list[str]) -> None:  # ^BYw,r,h
        p += [""] * 3
        ratio = re.match(r"[23](\.\d)?", p[1])
        self._bar = (
            min(max(whole(p[0], self._bar[0]), 1), 10),
            float(ratio[0]) if ratio else self._bar[1],
            min(max(whole(p[2], self._bar[2]), 1), 9999),
        )

    def _separator(self, _: list[str]) -> None:  # ^FS
        if self._placed:  # one that places nothing, such as ^IDR:A.GRF^FS, prints no label
            self._fields += 1
        if self._data is not None:
            if self._code is not None:
                self._draw_code(*self._code, self._data)
            else:
                self._draw_text(self._data)
        self._field()

    def _put(self, picture: Picture, *, white: bool = False) -> None:
        self._fields += 1
        y = self._y - picture.height if self._typeset else self._y
        if self._reverse or self._reverse_label:
            self.canvas.flip(picture, self._x, y)
        elif white:
            self.canvas.clear(picture, self._x, y)
        else:
            self.canvas.draw(picture, self._x, y)

    def _draw_text(self, text: str) -> None:
        font, turn, high, wide = self._font or (self._default_font[0], self._turn, *self._default_font[1:])
        cell, gap, across, down = _cell(font, high, wide)
        if self._block is None:
            made = self._text(text, cell, across=across, down=down, gap=gap)
        else:
            made = self._blocked(text, cell, gap, across, down)
        quarters = {"R": 1, "I": 2, "B": 3}.get(turn[:1], 0)
        self._put(self._turned(made, quarters))
        self.text.append(text)

    def _blocked(self, text: str, cell: tuple[int, int], gap: int, across: int, down: int) -> Picture:
        width, most, space, align = self._block or (0, 1, 0, "L")
        width = min(max(width, 1), MOST_WIDTH)
        lines = wrapped(text.replace("\\&", "\n"), width // ((cell[0] + gap) * across))[: min(most, 500)]
        rows: list[int] = []
        for words in lines:
            made = self._text(words, cell, across=across, down=down, gap=gap)
            spare = max(width - made.width, 0)
            right = {"C": spare - spare // 2, "R": 0}.get(align[:1], spare)
            every = (1 << width) - 1
            rows += [(row << right) & every for row in made.rows]
            rows += [0] * min(max(space, 0), 1000)
            self.budget.draw(width, len(made.rows))
        return Picture(width, tuple(rows))

    def _draw_code(self, name: str, p: list[str], data: str) -> None:
        module, ratio, height = self._bar
        quarters = {"R": 1, "I": 2, "B": 3}.get((p[0] or self._turn).upper()[:1], 0)
        if name == "BQ":  # ^BQa,model,magnification; data: level, mode of input, comma, what it says (Z06)
            level, mode, said = data[:1], data[1:2], data[3:]
            if mode == "M":
                said = said[1:]
            size = min(max(whole(p[2], 3) if len(p) > 2 else 3, 1), 100)
            made = codes.qr(self.budget, said.encode("utf-8", "replace"), level.upper(), size)
            if made is None:
                self._ignore(b"^BQ")
                return
            self._put(made)
            return
        kind, at_height, at_text, at_above = _BARCODES[name]
        tall = min(max(whole(p[at_height]) if 0 <= at_height < len(p) else 0, 0) or height, 9999)
        if at_text < 0:
            self._put(codes.box(self.budget, data, 120, 120))
            return
        below = p[at_text].upper() != "N" if len(p) > at_text else True
        above = len(p) > at_above and p[at_above].upper() == "Y"
        if kind == "code128":
            data = re.sub(r">[:;9<=>6-8]", "", data)  # subset and function codes (Z06)
        made = codes.barcode(
            self.budget,
            kind,
            data,
            tall,
            narrow=module,
            wide=round(module * ratio),
            above=below and above,
            below=below and not above,
        )
        self._put(self._turned(made, quarters))

    # -- lines -------------------------------------------------------------------------------------

    def _graphic_box(self, p: list[str]) -> None:  # ^GBw,h,t,c,r: rounded ones are drawn square
        p += [""] * 5
        thick = max(whole(p[2], 1), 1)
        width, height = max(whole(p[0]), thick), max(whole(p[1]), thick)
        self.budget.draw(width, height)
        self._put(framed(width, height, thick), white=p[3].upper() == "W")

    def _graphic_circle(self, p: list[str]) -> None:  # ^GCd,t,c
        p += [""] * 3
        self._oval(whole(p[0], 3), whole(p[0], 3), whole(p[1], 1), p[2])

    def _graphic_ellipse(self, p: list[str]) -> None:  # ^GEw,h,t,c
        p += [""] * 4
        self._oval(whole(p[0], 3), whole(p[1], 3), whole(p[2], 1), p[3])

    def _oval(self, width: int, height: int, thick: int, colour: str) -> None:
        width, height = max(width, 1), max(height, 1)
        self.budget.draw(width, height)
        self._put(ellipse(width, height, max(thick, 1)), white=colour.upper() == "W")

    # -- pictures ----------------------------------------------------------------------------------

    def _picture_command(self, name: str, data: bytes, at: int) -> int:
        """^GF, ~DG, ~DY: their data may hold any byte, or a picture of many."""
        commas = {"^GF": 4, "~DG": 3, "~DY": 5}[name]
        here = at + 3
        p: list[str] = []
        for _ in range(commas):
            comma = data.find(b",", here, here + 64)
            if comma < 0 or _COMMAND.search(data, here, comma):
                self._ignore(data[at:here])
                return here
            p.append(data[here:comma].decode("latin-1").strip())
            here = comma + 1
        file = ""
        if name == "^GF":
            form, size, total, row_bytes = p[0].upper() or "A", whole(p[1]), whole(p[2]), whole(p[3])
        elif name == "~DG":
            form, file, total, row_bytes = "A", _name(p[0], "GRF"), whole(p[1]), whole(p[2])
            size = total
        else:
            form, total, row_bytes = p[1].upper(), whole(p[3]), whole(p[4])
            file = _name(p[0], "GRF")
            size = total
        if form in ("B", "C") and not (name == "~DY" and form == "C"):
            end = here + max(size, 0)
            content: bytes | None = data[here:end] if form == "B" and end <= len(data) else None
        else:
            stop = _COMMAND.search(data, here)
            end = stop.start() if stop else len(data)
            content = None
            if row_bytes > 0 and form == "A":
                content = self._ascii(data[here:end], total, row_bytes)
        if name == "~DY" and p[2].upper() not in ("G", ""):
            content = None
        if content is None or not 0 < row_bytes <= MOST_WIDTH // 8 or total < 1:
            if row_bytes > MOST_WIDTH // 8:
                raise ValueError(f"no printer takes a picture of {row_bytes * 8} dots in width")
            self._ignore(data[at:end])
            return min(end, len(data))
        rows = -(-total // row_bytes)
        self.budget.draw(row_bytes * 8, rows)
        picture = Picture.of_bytes(content[:total], row_bytes, rows)
        if name == "^GF":
            self._put(picture)
        elif len(self._stored) < 256:
            self._stored[file] = picture
        return end

    def _ascii(self, raw: bytes, total: int, row_bytes: int) -> bytes | None:
        """Hex with run lengths, or base64; None where it is damaged."""
        if not 0 <= total <= row_bytes * MOST_ROWS or row_bytes > MOST_WIDTH // 8:
            raise ValueError(f"no printer takes a picture of {total} bytes")
        found = _ENCODED.match(raw.strip())
        if found:
            text = bytes(byte for byte in found[2] if byte not in b"\r\n \t")
            if binascii.crc_hqx(text, 0) != int(found[3], 16):  # a real one draws nothing either
                return None
            try:
                content = base64.b64decode(text, validate=True)
                if found[1] == b"Z64":
                    content = zlib.decompressobj().decompress(content, max(total, 1))
            except (ValueError, zlib.error):  # binascii's error is a ValueError
                return None
            return content
        if raw.strip()[:1] == b":" and b"64:" in raw[:8]:
            return None
        self.budget.draw(row_bytes * 8, -(-total // row_bytes))
        expanded, exact = acs(raw, total, row_bytes)
        if not exact:
            self._ignore(b"^GF" + raw[:32])
        return expanded

    def _recall(self, p: list[str]) -> bool:  # ^XGd:o.x,mx,my
        picture = self._stored.get(_name(p[0], "GRF"))
        if picture is None:
            return False
        across = whole(p[1], 1) if len(p) > 1 else 1
        down = whole(p[2], 1) if len(p) > 2 else 1
        if not (1 <= across <= 10 and 1 <= down <= 10):
            return False
        self.budget.draw(min(picture.width * across, 2 * MOST_WIDTH), picture.height * down)
        self._put(picture.scaled(across, down))
        return True

    def _image_move(self, p: list[str]) -> bool:  # ^IMd:o.x
        return self._recall(p[:1])

    def _delete(self, p: list[str]) -> bool:  # ^IDd:o.x
        pattern = re.escape(_name(p[0], "GRF")).replace(r"\*", ".*")
        for file in [file for file in self._stored if re.fullmatch(pattern, file)]:
            del self._stored[file]
        return True


_COMMANDS: dict[str, Callable[[Zpl, list[str]], bool | None]] = {
    "^XA": Zpl._begin,
    "^XZ": Zpl._end,
    "^PW": Zpl._width,
    "^LL": Zpl._length,
    "^LH": Zpl._set_home,
    "^LS": Zpl._shift,
    "^LT": Zpl._shift,
    "^PM": Zpl._set_mirror,
    "^LR": Zpl._set_reverse_label,
    "^PQ": Zpl._quantity,
    "^CI": Zpl._code_page,
    "^CF": Zpl._change_font,
    "^FO": Zpl._origin,
    "^FT": Zpl._typeset_origin,
    "^FR": Zpl._reverse_field,
    "^FH": Zpl._hex_in_data,
    "^FB": Zpl._field_block,
    "^FW": Zpl._field_orientation,
    "^FS": Zpl._separator,
    "^BY": Zpl._bar_defaults,
    "^GB": Zpl._graphic_box,
    "^GC": Zpl._graphic_circle,
    "^GE": Zpl._graphic_ellipse,
    "^XG": Zpl._recall,
    "^IM": Zpl._image_move,
    "^ID": Zpl._delete,
}


def acs(raw: bytes, total: int, row_bytes: int) -> tuple[bytes, bool]:
    """Expand hex digits with Zebra's alternative data compression scheme (ZDOC).

    G to Y repeat the next digit 1 to 19 times, g to z 20 to 400 times, and what stands together adds up; `,` fills
    the row with 0 and `!` with 1; `:` repeats the row above.

    Args:
        raw: The digits; line ends are skipped.
        total: Bytes of the picture; what would be more is left out.
        row_bytes: Of each row.

    Returns:
        The picture's bytes, and whether it all was as the manual says: a comma after an odd number of digits is not,
        nor is any other character.
    """
    wide = row_bytes * 2
    out = bytearray()  # digits, one a byte
    above = b"0" * wide
    count, exact = 0, True
    want = total * 2
    for byte in raw:
        if len(out) >= want:
            break
        used = len(out) % wide
        if byte in _HEX_DIGITS:
            out += bytes([byte]) * min(max(count, 1), want - len(out))
            count = 0
        elif 0x47 <= byte <= 0x59:  # G to Y
            count += byte - 0x46
        elif 0x67 <= byte <= 0x7A:  # g to z
            count += (byte - 0x66) * 20
        elif byte == 0x2C:
            exact = exact and used % 2 == 0
            out += b"0" * (wide - used)
        elif byte == 0x21:
            out += b"F" * (wide - used)
        elif byte == 0x3A:
            above = bytes(out[-wide:]) if len(out) >= wide else above
            exact = exact and not used
            if not used:
                out += above
        elif byte not in b"\r\n \t":
            exact = False
    if len(out) % 2:
        out += b"0"
    return bytes.fromhex(out[:want].decode("ascii")), exact


def _cell(font: str, high: int, wide: int) -> tuple[tuple[int, int], int, int, int]:
    """The cell of a font, the gap after it, and how many times it is wide and high."""
    high, wide = min(max(high, 0), 4000), min(max(wide, 0), 4000)
    if font in _FONTS:
        tall, broad, gap = _FONTS[font]
        down = min(max(round(high / tall), 1), 10) if high else 0
        across = min(max(round(wide / broad), 1), 10) if wide else down or 1
        return (broad, tall), gap, across, down or across
    # Font 0 and downloaded ones are scalable, and here of one width: about what the letters of font 0 have.
    high = high or wide or 15
    return (max(round((wide or high) * 0.52), 1), high), 0, 1, 1


def _name(text: str, extension: str) -> str:
    """d:o.x as one name; the drive is R: and the extension GRF where it is not said."""
    text = text.strip().upper()
    drive, colon, rest = text.rpartition(":")
    return f"{drive if colon else 'R'}:{rest if '.' in rest else f'{rest}.{extension}'}"
