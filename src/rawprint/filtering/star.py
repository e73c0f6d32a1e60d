r"""What Star Line Mode and StarPRNT commands need a permission, and where each command ends.

Keys: LT, HSP, SP, as in the dialect: Star's command specifications of the line thermal printers, the HSP7000 and the dot impact
printers. A command that nobody knows has two bytes there (LT p.3-2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.filtering.anywhere import UEL
from rawprint.filtering.base import ControlLanguage, Ends, Row, little, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = (
    UEL,
    Row("ESC FS q", "storage", rb"\x1b\x1cq", "LT 3.3, ESC FS q: register logos"),
    # ESC # * asks for the version (HSP p.3-87); all others are memory switches.
    Row("ESC #", "settings", rb"\x1b#[^*]", "LT 3.3, ESC #: memory switches"),
    Row("ESC GS #", "settings", rb"\x1b\x1d#", "LT 3.3, ESC GS #: memory switches"),
    # U chooses how characters are coded; I asks for what the printer is.
    Row("ESC GS )", "settings", rb"\x1b\x1d\)[^UI]", "UNCONFIRMED: other functions than U and I"),
    Row("ESC ? LF NUL", "maintenance", rb"\x1b\?\n\x00", "LT 3.3, ESC ?: reset"),
    Row("ESC ACK CAN", "maintenance", rb"\x1b\x06\x18", "SP p.3-73, real-time reset"),
    Row("ESC BEL", "drawer", rb"\x1b\x07", "LT p.3-45: pulse of device 1"),
    Row("BEL", "drawer", rb"\x07", "LT p.3-46: device 1"),
    Row("FS", "drawer", rb"\x1c", "LT p.3-46: device 1"),
    Row("SUB", "drawer", rb"\x1a", "LT p.3-47: device 2"),
    Row("EM", "drawer", rb"\x19", "LT p.3-47: device 2"),
)

# Number of parameter bytes -> the commands that have so many (LT 3.3; HSP).
_PARAMETERS = {0: b"@MP:gEF45\x0e\x14012Opq67", 1: b"R/ WhC-_azJIjNlQd%$U3A", 2: b"i\x07st"}
_FIXED = {letter: 2 + count for count, letters in _PARAMETERS.items() for letter in letters}
_GS_PARAMETERS = {1: b"ta", 2: b"ARch", 3: b"\x07\x03", 4: b"\x19\x1a"}
_GS_FIXED = {letter: 3 + count for count, letters in _GS_PARAMETERS.items() for letter in letters}
_PAGE = dict(zip(b"2345", (5, 12, 6, 6), strict=True))

_LEADS = rb"\x1b\x07\x1c\x1a\x19"
_LEAD = re.compile(b"[" + _LEADS + b"]")
# In raster mode (LT p.3-78) rows of dots begin with b or k. The drawer's bytes are heeded there, too: whether printers do is UNCONFIRMED.
_RASTER = re.compile(rb"[bk\x1b\x07\x1c\x1a\x19]")
_RASTER_BEGINS, _RASTER_ENDS = b"\x1b*rA", b"\x1b*rB"
_RASTER_PLAIN = b"RABCS"  # ESC * r and a letter, without a number
_RASTER_COMMAND = re.compile(rb"\x1b\*r(?:[RACS]|[^RABCS\x1b][0-9]{0,9}\x00)")
_DOTS, _ROWS_MOST, _COUNTED = 4096, 0xFFFF, 64
_TO_NUL, _TO_RS = 64, 256  # the most data of commands that end so, bytes


def _doubt(job: bytes, end: int, again: int) -> Ends:
    return Ends(end, (again,)) if _LEAD.search(job, again, end) else Ends(end)


def _until(job: bytes, at: int, mark: bytes, most: int) -> Ends:
    """Up to a byte that ends the command, and with it; no lead is data there."""
    end = job.find(mark, at, at + most)
    return _doubt(job, end + 1, at) if end >= 0 else Ends(at)


def _rows(job: bytes, at: int) -> int:
    """Where a run of raster rows of one width ends. `at` is that of the first one.

    The number of rows looked at doubles while all are alike, so that a run costs what it is long.
    """
    stride = 3 + little(job, at + 1)
    head, count = job[at : at + 3], 1
    at += stride
    while True:
        part = slice(at, at + stride * count)
        firsts = job[part][::stride] if stride * count < len(job) - at else job[at::stride][:count]
        if not firsts or len(firsts) < count or firsts.strip(head[:1]):
            break
        if any(job[part.start + place : part.stop : stride].strip(head[place : place + 1]) for place in (1, 2)):
            break
        at, count = part.stop, count * 2
    return at


class _Measure:
    """Where commands end in one job. Walks through raster images are counted, for time to be linear in every job."""

    def __init__(self) -> None:
        self._walked = 0

    def __call__(self, job: bytes, at: int) -> Ends:
        if job[at] != 0x1B:
            return Ends(at + 1)
        letter, size = job[at + 1 : at + 2], len(job)
        third = job[at + 2 : at + 3]
        if letter == b"C" and third == b"\0":
            return Ends(at + 4)
        if letter and (fixed := _FIXED.get(letter[0])) is not None:
            return Ends(at + fixed)
        match letter:
            case b"K" | b"L":
                return self._image(job, at, little(job, at + 2))
            case b"X":
                return self._image(job, at, little(job, at + 2) * 3)
            case b"k":
                return self._image(job, at, little(job, at + 2) * 24)
            case b"B" | b"D" | b"?" | b"#":
                return _until(job, at + 2, b"\0", _TO_NUL)
            case b"b":
                return _until(job, at + 6, b"\x1e", _TO_RS)
            case b"\x1e" | b"\x16" | b"+":
                return Ends(at + 4)
            case b"\x0c" | b"\x06":
                return Ends(at + 3)
            case b"&":
                return Ends(at + 5 + (48 if job[at + 3 : at + 4] in (b"\x01", b"1") else 0))
            case b"r":
                return Ends(at + 76)
            case b"*" if third == b"r":
                return self._raster(job, at)
            case b"\x1c":
                return self._logos(job, at, size) if third == b"q" else Ends(at + (5 if third == b"p" else 3))
            case b"\x1d":
                return self._group(job, at, third)
        return unknown(_LEAD, job, at)

    @staticmethod
    def _image(job: bytes, at: int, count: int) -> Ends:
        end = at + 4 + count
        return Ends(end) if count <= _DOTS * 3 else _doubt(job, end, at + 4)

    @staticmethod
    def _logos(job: bytes, at: int, size: int) -> Ends:
        """ESC FS q n [xL xH yL yH d...] for each of n logos; x and y count eight dots."""
        end = at + 4
        for _ in range((job[at + 3 : at + 4] or b"\0")[0]):
            x, y = little(job, end), little(job, end + 2)
            if end >= size or not x * y:
                break
            end += 4 + x * y * 8
        return Ends(end)

    def _raster(self, job: bytes, at: int) -> Ends:
        """ESC * r: a raster command; with A a whole raster image, up to what is none of it."""
        size = len(job)
        if job[at : at + 4] != _RASTER_BEGINS:
            command = _RASTER_COMMAND.match(job, at)
            return Ends(command.end() if command else min(at + 4, size))
        end, start = at + 4, at
        while self._walked <= size * 2:
            found = _RASTER.search(job, end)
            if found is None:
                end = size
                break
            end = found.start()
            if found[0] in (b"b", b"k"):
                count = little(job, end + 1) * (1 if found[0] == b"b" else 24)
                if count > _DOTS * 24:
                    break
                end = _rows(job, end) if found[0] == b"b" else end + 3 + count
            elif command := _RASTER_COMMAND.match(job, end):
                end = command.end()
            else:
                break
            self._walked += end - start
            start = end
        return Ends(end)

    @staticmethod
    def _group(job: bytes, at: int, third: bytes) -> Ends:
        """ESC GS and more."""
        if third and (fixed := _GS_FIXED.get(third[0])) is not None:
            return Ends(at + fixed)
        match third:
            case b"P":
                return Ends(at + _PAGE.get((job[at + 3 : at + 4] or b"\0")[0], 4))
            case b"S":  # m xL xH yL yH n: x bytes of eight dots, y rows
                width, rows = little(job, at + 4), little(job, at + 6)
                end = at + 9 + width * rows
                return Ends(end) if width * 8 <= _DOTS and rows <= _ROWS_MOST else _doubt(job, end, at + 9)
            case b")":
                count = little(job, at + 4)
                return Ends(at + 6 + count) if count <= _COUNTED else _doubt(job, at + 6 + count, at + 6)
            case b"#":
                return _until(job, at + 3, b"\0", _TO_NUL)
            case b"=":
                count = little(job, at + 3)
                return Ends(at + 5 + count) if count <= _COUNTED else _doubt(job, at + 5 + count, at + 5)
            case b"x" | b"y":
                return _symbol(job, at, pdf417=third == b"x")
        return unknown(_LEAD, job, at, 3)


def _symbol(job: bytes, at: int, *, pdf417: bool) -> Ends:
    """ESC GS x and ESC GS y: S sets something, D brings the text, P prints, I asks."""
    match job[at + 3 : at + 4]:
        case b"S":
            return Ends(at + 6 + (2 if pdf417 and job[at + 4 : at + 5] in (b"\0", b"0") else 0))
        case b"D":
            start = at + (6 if pdf417 else 8)
            return Ends(start + little(job, start - 2))
    return Ends(at + 4)


def _measure() -> Callable[[bytes, int], Ends]:
    return _Measure()


LANGUAGE = ControlLanguage.of(ROWS, _LEADS, _measure)
