"""Bytes on their way to a printer, cut into pieces that a person can read: text, commands with their names, and data.

It is for eyes alone. What a printer does with the bytes, its device says; in odd jobs (a changed prefix, a question in
the middle of an image) the two may differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rawprint.virtual import escpos_frames, star_frames
from rawprint.virtual.reading_names import CONTROLS, ESCPOS, STAR, TSPL, ZPL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How many bytes of a piece are kept to be shown.
HEAD = 64

# A piece of data and one of text are not longer; a command without its end is given up as it stands.
_LONGEST = 4096
_LONGEST_TEXT = 256
_MOST_HEAD = 65536

# How many bytes are looked at in one go.
_PORTION = 1024

_ESCPOS_STOP = re.compile(rb"[\n\x10\x1b\x1c\x1d]")
_STAR_STOP = re.compile(rb"[\x00-\x1f]")
_DLE_DC4 = {0x01: 5, 0x02: 5, 0x07: 4, 0x08: 10}  # bytes of DLE DC4 n …
_DLE_EOT_LONG = b"\x07\x08\x12"  # n that has a parameter
_TSPL_STOP = re.compile(rb"[\n,\x1b]")
_TSPL_DATA = re.compile(
    rb"\s*BITMAP\s[^,\"]*,[^,\"]*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,[^,\"]*,"
    rb"|\s*DOWNLOAD\s*(?:[FE]\s*,\s*)?\"[^\"]*\"\s*,\s*(\d{1,9})\s*,",
    re.IGNORECASE,
)
_ZPL_TEXT_STOP = re.compile(rb"[\^~\n]")
_ZPL_STOP = re.compile(rb"[\^~\n,]")
_ZPL_DATA = re.compile(rb"\^GFB,(\d{1,9}),\d*,\d*,|~DY[^,]*,B,[^,]*,(\d{1,9}),\d*,", re.IGNORECASE)
_ZPL_WHOLE = re.compile(rb"(?:\^X[AZ]|~HS|~HI|~HQ..|~J[ACRX]|~P[SP])\Z", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that belong together.

    Attributes:
        at: Where the first stands among all bytes since the printer was switched on.
        size: How many they are.
        kind: text, command or data.
        shown: The bytes as words: text as it is, a command as a manual writes it, such as `ESC a 01`.
        meaning: What the command does, in a few words; "" where that is not known here, or plain.
        head: The first bytes, at most `HEAD`.
    """

    at: int
    size: int
    kind: str
    shown: str
    meaning: str
    head: bytes


class Reader:
    """Reads one language's bytes as they come.

    Text is given as soon as it is there, a command when it is whole; of what a command says it brings as data, each
    part when it comes. Memory stays below 128 KiB whatever comes.
    """

    def __init__(self, dialect: str) -> None:
        """Begin at the start of a job.

        Raises:
            ValueError: There is no such language here.
        """
        known = {"escpos": self._escpos, "star": self._star, "tspl": self._tspl, "zpl": self._zpl}
        if dialect not in known:
            raise ValueError(f"{dialect!r} cannot be read; there are: {', '.join(known)}")
        self._next = known[dialect]
        self._at = 0  # where `_rest` begins
        self._rest = bytearray()
        self._data = 0  # bytes of data that are still to come; or:
        self._until = b""  # data goes on up to this byte, and with it
        self._raster = False  # Star: `b` and `k` begin a row of dots
        self._searched = 0  # so far no end of a line was found in `_rest`

    @property
    def pending(self) -> tuple[int, bytes]:
        """Where the beginning of a command stands whose rest has not come, and its bytes; none = between two pieces."""
        return self._at, bytes(self._rest)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that are whole with these bytes, in order."""
        start = 0
        while start < len(data):
            # Data goes past `_rest`; all else comes through it in small portions, for each piece moves what is behind it.
            size = min(self._data, _LONGEST) if self._data and not self._rest else _PORTION
            self._rest += data[start : start + size]
            start += size
            at = 0
            while at < len(self._rest):
                piece, size = self._piece(self._rest[at:] if at else self._rest)
                if piece is None:
                    break
                yield piece
                at += size
                self._at += size
            del self._rest[:at]

    def _piece(self, rest: bytearray) -> tuple[Piece | None, int]:
        if self._data:
            size = min(self._data, len(rest), _LONGEST)
            self._data -= size
            return self._made("data", rest[:size], "", ""), size
        if self._until:
            found = rest.find(self._until, 0, _LONGEST)
            size = found + 1 if found >= 0 else min(len(rest), _LONGEST)
            if found >= 0:
                self._until = b""
            return self._made("data", rest[:size], _text(rest[:size].removesuffix(b"\x00")), ""), size
        made = self._next(rest)
        if made is None and len(rest) >= _MOST_HEAD:  # nobody's command is so long
            return self._made("text", rest[:_LONGEST], _text(rest[:_LONGEST]), ""), _LONGEST
        return made or (None, 0)

    def _made(self, kind: str, data: bytes | bytearray, shown: str, meaning: str) -> Piece:
        self._searched = 0
        return Piece(self._at, len(data), kind, shown, meaning, bytes(data[:HEAD]))

    def _text_up_to(self, rest: bytearray, stop: re.Pattern[bytes]) -> tuple[Piece, int]:
        """Text, with the end of its line."""
        found = stop.search(rest)
        size = min(len(rest) if found is None else found.start(), _LONGEST_TEXT)
        if found is not None and found.start() == size and found[0] == b"\n":
            size += 1
        return self._made("text", rest[:size], _text(rest[:size]), ""), size

    def _command(self, rest: bytearray, size: int, names: Mapping[bytes, str]) -> tuple[Piece, int]:
        command = bytes(rest[:size])
        meaning = next((names[command[:n]] for n in (5, 4, 3, 2, 1) if command[:n] in names), "")
        return self._made("command", command, spelled(command), meaning), size

    def _framed(
        self, rest: bytearray, framed: tuple[int, int], ends: Mapping[int, bytes], names: Mapping[bytes, str]
    ) -> tuple[Piece, int] | None:
        """A command of which a table says where it ends."""
        need, data = framed
        if need > len(rest):
            if need < _MOST_HEAD:
                return None
            need, data = len(rest), need - len(rest)  # several images, each behind its own size
        if data < 0:
            self._until = ends[data]
        else:
            self._data = data
        return self._command(rest, need, names)

    # -- the languages ----------------------------------------------------------------------------

    def _escpos(self, rest: bytearray) -> tuple[Piece, int] | None:
        if rest[0] not in b"\x10\x1b\x1c\x1d":
            return self._text_up_to(rest, _ESCPOS_STOP)
        if len(rest) < 2:
            return None
        if rest[0] != 0x10:
            return self._framed(rest, escpos_frames.frame(rest), {escpos_frames.TO_NUL: b"\x00"}, ESCPOS)
        if rest[1] not in b"\x04\x05\x14":
            return self._command(rest, 1, {})
        if len(rest) < 3:
            return None
        size = _DLE_DC4.get(rest[2], 3) if rest[1] == 0x14 else 3 + (rest[1] == 4 and rest[2] in _DLE_EOT_LONG)
        return self._command(rest, size, ESCPOS) if len(rest) >= size else None

    def _star(self, rest: bytearray) -> tuple[Piece, int] | None:
        first = rest[0]
        if self._raster and first in b"bk":
            made = self._framed(rest, star_frames.frame(rest), star_frames.ENDS, STAR)
        elif first == 0x1B:
            if len(rest) < 2:
                return None
            framed = (3, 0) if rest[1] == 0x06 else star_frames.frame(rest)
            made = self._framed(rest, framed, star_frames.ENDS, STAR)
            if made is not None and rest[1] == 0x40:
                self._raster = False
            elif made is not None and rest[1:3] == b"*r":
                self._raster = rest[3:4] == b"A" or (self._raster and rest[3:4] != b"B")
        elif first < 0x20 and first != 0x0A:
            return self._command(rest, 1, STAR)
        else:
            made = self._text_up_to(rest, _STAR_STOP)
        return made

    def _tspl(self, rest: bytearray) -> tuple[Piece, int] | None:
        if rest[0] == 0x1B:
            if len(rest) < 3 and bytes(rest[1:2]) in (b"", b"!"):
                return None
            return self._command(rest, 3 if rest[1:2] == b"!" else 1, TSPL)
        at = self._searched
        while found := _TSPL_STOP.search(rest, at):
            at = found.end()
            if found[0] == b"\x1b":
                return self._line(rest, found.start())
            if found[0] == b"\n":
                return self._line(rest, at)
            if data := _TSPL_DATA.fullmatch(rest, 0, at):
                self._data = int(data[3] or int(data[1]) * int(data[2]))
                return self._line(rest, at)
        self._searched = len(rest)
        return None

    def _line(self, rest: bytearray, size: int) -> tuple[Piece, int]:
        word = re.match(rb"\s*(~?[A-Z0-9!]*)", rest[: min(size, HEAD)], re.IGNORECASE)
        meaning = TSPL.get(word[1].upper(), "") if word else ""
        return self._made("command", rest[:size], _text(rest[:size].rstrip(b"\r\n")), meaning), size

    def _zpl(self, rest: bytearray) -> tuple[Piece, int] | None:
        if rest[0] not in b"^~":
            return self._text_up_to(rest, _ZPL_TEXT_STOP)
        for size in (3, 5):
            if _ZPL_WHOLE.match(rest[:size]):
                return self._field(rest, size)
        at = max(self._searched, 1)
        while found := _ZPL_STOP.search(rest, at):
            at = found.end()
            if found[0] == b"\n":
                return self._field(rest, at)
            if found[0] != b",":
                return self._field(rest, found.start())
            if data := _ZPL_DATA.fullmatch(rest, 0, at):
                self._data = int(data[1] or data[2])
                return self._field(rest, at)
        self._searched = len(rest)
        return None

    def _field(self, rest: bytearray, size: int) -> tuple[Piece, int]:
        command = bytes(rest[:size])
        meaning = ZPL.get(command[:3].upper().decode("latin-1"), ZPL.get(command[:2].upper().decode("latin-1"), ""))
        return self._made("command", command, _text(command.rstrip(b"\r\n")), meaning), size


def spelled(command: bytes) -> str:
    """A command as a manual writes it: control characters by name, letters as they are, and other bytes as hex."""
    words = []
    for at, byte in enumerate(command[:HEAD]):
        if byte < 0x20 and at < (2 if command[0] in b"\x10\x1b" else 1):
            words.append(CONTROLS[byte])
        elif 0x21 <= byte <= 0x7E and at < _letters(command):
            words.append(chr(byte))
        else:
            words.append(f"{byte:02X}")
    return " ".join(words) + (" …" if len(command) > HEAD else "")


def _letters(command: bytes) -> int:
    """How many bytes of a command are its name."""
    if command[1:3] == b"*r":
        return 4
    return 3 if command[1:2] in b"(*\x1d8" else 2


def _text(data: bytes | bytearray) -> str:
    """Text as far as it is some: UTF-8, or what is ASCII in it; all else, and what cannot be seen, as numbers."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        return "".join(c if " " <= c <= "~" else _escaped(c) for c in text)
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if char in "\r\n":
        return ""
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{{{code:X}}}"
