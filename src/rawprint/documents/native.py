"""A printer's own characters: which of its code pages has one, and the commands round them.

Keys as in the dialects: APG (Epson's application programming guide), HOP (a clone's manual), SP (Star's StarPRNT specification).
"""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.documents import bidi
from rawprint.documents.shaping import clusters, invisible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rawprint.documents.paper import Paper

WIDTH, HEIGHT = 12, 24
"""Dots of a character of font A, which all have that print 203 dpi (APG, HOP)."""

PITCH = 30
"""Dots from one line to the next, unless that is changed (APG: 1/6 inch; HOP)."""

_TAB = 8
_ASCII = frozenset(map(chr, range(0x20, 0x7F)))


@dataclass(frozen=True, slots=True)
class Style:
    """How the printer shall set what follows."""

    across: int = 1
    down: int = 1
    bold: bool = False
    underline: bool = False
    align: str = "left"


@dataclass(frozen=True, slots=True)
class _Commands:
    """A language's commands for text.

    Attributes:
        single: Ends a mode in which two bytes are one character: printers sold in China begin in it, and then no code page is heeded
            (FS . in HOP and in Epson's reference; field reports: python-escpos#190, escpos-php#6).
        page: Chooses a code page; its number follows.
        bold: Off and on.
        underline: Off and on.
        align: Its number follows.
        most: Times as wide and high, at most.
    """

    single: bytes
    page: bytes
    bold: tuple[bytes, bytes]
    underline: tuple[bytes, bytes]
    align: bytes
    most: int

    def size(self, across: int, down: int) -> bytes:
        """Times as wide and high."""
        if self.page == b"\x1bt":
            return bytes((0x1D, 0x21, (across - 1) << 4 | (down - 1)))  # GS ! (APG)
        return bytes((0x1B, 0x69, down - 1, across - 1))  # ESC i (SP): the height goes first


_COMMANDS: Mapping[str, _Commands] = MappingProxyType(
    {
        "escpos": _Commands(
            b"\x1c.", b"\x1bt", (b"\x1bE\x00", b"\x1bE\x01"), (b"\x1b-\x00", b"\x1b-\x01"), b"\x1ba", 8
        ),
        "star": _Commands(b"", b"\x1b\x1dt", (b"\x1bF", b"\x1bE"), (b"\x1b-\x00", b"\x1b-\x01"), b"\x1b\x1da", 6),
    }
)
_ALIGN = {"start": 0, "left": 0, "center": 1, "right": 2}


@cache
def _table(codec: str) -> Mapping[str, int]:
    """The characters of a code page's upper half, where each is; none of a codec that Python has not."""
    found: dict[str, int] = {}
    try:
        decode = codecs.lookup(codec).decode
    except LookupError:
        return found
    for byte in range(0x80, 0x100):
        try:
            character = decode(bytes((byte,)), "strict")[0]
        except UnicodeError:
            continue  # a hole, or the first half of two
        if len(character) == 1 and unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cn", "Cs"}:
            found.setdefault(character, byte)
    return found


class Encoder:
    """Text in a printer's code pages. It knows which page the printer is at, so that one serves one job.

    Args:
        paper: Whose profile says which code pages there are.
    """

    def __init__(self, paper: Paper) -> None:
        self.roll = paper.dialect in _COMMANDS
        self._columns = paper.profile.columns.get("a") or max(1, paper.width // WIDTH)
        pages = paper.profile.code_pages
        if paper.dialect != "escpos" and not paper.profile.name:
            pages = {}  # what is known of a printer of which nothing is known are numbers of ESC/POS
        self._pages = {number: _table(codec) for number, codec in pages.items()}
        self._commands = _COMMANDS.get(paper.dialect, _COMMANDS["escpos"])
        self.most = self._commands.most
        self._page: int | None = None  # not known: somebody may have set it

    def has(self, character: str) -> bool:
        """Whether the printer is sure to print it."""
        return character in _ASCII or (
            any(character in table for table in self._pages.values()) and not bidi.is_right_to_left(character)
        )

    def prints(self, line: str) -> bool:
        """Whether it is sure to print all of a line; control characters do not count, they are left out."""
        if line.isascii():
            return True
        return all(map(self.has, set(_printed(line)) - {"\t"}))

    def lines(self, lines: Iterable[str], style: Style) -> bytes:
        """Lines in that style, each with its line end, wrapped at words; all of them must be such as `prints` says."""
        commands = self._commands
        on, off = [], []
        if _ALIGN[style.align]:
            on.append(commands.align + bytes((_ALIGN[style.align],)))
            off.append(commands.align + b"\x00")
        if (style.across, style.down) != (1, 1):
            on.append(commands.size(style.across, style.down))
            off.append(commands.size(1, 1))
        if style.bold:
            on.append(commands.bold[1])
            off.append(commands.bold[0])
        if style.underline:
            on.append(commands.underline[1])
            off.append(commands.underline[0])
        columns = max(1, self._columns // style.across)
        body = "\n".join(part for line in lines for part in wrapped("".join(_printed(line)).expandtabs(_TAB), columns))
        return b"".join(on) + self._encoded(body + "\n") + b"".join(off)

    def pieces(self, pieces: Iterable[tuple[str, bool]]) -> bytes:
        """One line of pieces, each with whether it is bold, which stand one behind the other as they are; see `lines`."""
        out = bytearray()
        for text, bold in pieces:
            body = self._encoded("".join(_printed(text)))
            out += self._commands.bold[1] + body + self._commands.bold[0] if bold else body
        return bytes(out + b"\n")

    def end(self) -> bytes:
        """What leaves the printer at page 0."""
        if not self._page:
            return b""
        self._page = 0
        return self._commands.page + b"\x00"

    def _encoded(self, text: str) -> bytes:
        """With as few changes of the page as there can be: each page is kept until it lacks a character."""
        out = bytearray()
        left = 0
        while left < len(text):
            pages = set(self._pages) if self._page is None else {self._page}
            right = self._reach(text, left, pages)
            if right == left:  # the page at hand lacks the first
                pages = set(self._pages)
                right = self._reach(text, left, pages)
            part = text[left:right]
            if part.isascii():
                out += part.encode("ascii")
            else:
                page = min(pages)
                if self._page is None:
                    out += self._commands.single
                if page != self._page:
                    out += self._commands.page + bytes((page,))
                    self._page = page
                table = self._pages[page]
                out += bytes(ord(each) if each < "\x80" else table[each] for each in part)
            left = right
        return bytes(out)

    def _reach(self, text: str, left: int, pages: set[int]) -> int:
        """How far one of the pages has all characters; those that have not all are taken from the set."""
        for at in range(left, len(text)):
            if text[at] < "\x80":
                continue
            having = {page for page in pages if text[at] in self._pages[page]}
            if not having:
                return at
            pages &= having
        return len(text)


def _printed(line: str) -> Iterator[str]:
    """The characters of a line that a printer gets: composed, without controls and what is not seen."""
    for _, cluster in clusters(line):
        for character in cluster:
            if character == "\t" or not (unicodedata.category(character) == "Cc" or invisible(character)):
                yield character


def wrapped(line: str, columns: int) -> Iterator[str]:
    """Pieces of a line of at most so many characters, parted at spaces, and in too long words."""
    start, end = 0, len(line.rstrip(" "))
    while end - start > columns:
        cut = line.rfind(" ", start, start + columns + 1)
        if cut <= start or line[start:cut].isspace():
            cut = start + columns
        yield line[start:cut].rstrip(" ")
        start = cut
        while line[start] == " ":  # there is something else before `end`
            start += 1
    yield line[start:end]


def bites(line: str, most: int) -> Iterator[str]:
    """A line in pieces of at most so many characters, parted behind a space where there is one."""
    start = 0
    while len(line) - start > most:
        stop = line.rfind(" ", start, start + most) + 1 or start + most
        yield line[start:stop]
        start = stop
    yield line[start:]
