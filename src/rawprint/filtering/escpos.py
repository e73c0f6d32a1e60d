r"""What ESC/POS commands need a permission, and where each command ends.

Names and numbers are Epson's (APG: Application Programming Guide; EREF: the reference on download4.epson.biz, one page a command).
Clones' own settings are UNCONFIRMED. Standard commands are taken to be known to the printer, so that their data is data; where the
parameters of one are outside what the manual allows, printers read on behind them, and so does this.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from rawprint.filtering.anywhere import UEL
from rawprint.filtering.base import ControlLanguage, Ends, Row, little, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = rb"[\x00-\xff][\x00\x01]"  # a length of fewer than 512 bytes, where it may be that this is image
_EVEN = b"".join(rb"\x%02x" % each for each in range(0, 256, 2))

ROWS = (
    UEL,
    Row(
        "FS q",
        "storage",
        rb"\x1cq",
        "APG, FS q: define NV bit image",
        rb"\x1cq[\x01-\x40](?:[\x01-\xff]\x00|[\x00-\xff][\x01-\x03])(?:[\x01-\xff]\x00|[\x00-\x20]\x01)",
    ),
    Row("FS g 1", "storage", rb"\x1cg1", "APG, FS g 1: write to NV user memory", rb"\x1cg1[\x00\x30]"),
    Row(
        "GS ( C",
        "storage",
        rb"\x1d\(C..[\x00-\xff][\x00\x01\x06016]",
        "EREF, GS ( C 0, 1, 6: NV user memory",
        rb"\x1d\(C" + _SMALL + rb"\x00[\x00\x01\x06016]",
    ),
    # Functions 4, 6, 12, 14, 16 and 50 only transmit.
    Row(
        "GS ( E",
        "settings",
        rb"\x1d\(E..[^\x04\x06\x0c\x0e\x102]",
        "EREF, GS ( E",
        rb"\x1d\(E[\x03-\xff]\x00[\x01-\x63]",
    ),
    Row("GS ( M", "settings", rb"\x1d\(M", "EREF, GS ( M: save and load settings", rb"\x1d\(M\x02\x00[\x01-\x033]"),
    Row("GS ( A", "maintenance", rb"\x1d\(A", "EREF, GS ( A: test print, hexadecimal dump", rb"\x1d\(A\x02\x00"),
    # Functions 65 to 68 delete and define NV graphics.
    Row("GS ( L", "storage", rb"\x1d\(L...[A-D]", "EREF, GS ( L 65-68: NV graphics", rb"\x1d\(L..0[A-D]"),
    Row("GS 8 L", "storage", rb"\x1d8L.....[A-D]", "EREF, GS 8 L 67, 68: NV graphics", rb"\x1d8L...\x000[A-D]"),
    Row("GS D", "storage", rb"\x1dD[\x00-\xff]C", "EREF, GS D 67: NV graphics from BMP", rb"\x1dD0C0"),
    Row("GS g 0", "maintenance", rb"\x1dg0", "EREF, GS g 0: initialise maintenance counter", rb"\x1dg0\x00"),
    Row(
        "GS (",
        "settings",
        rb"\x1d\([^ABCDEFGHJKLMNPQVXkyz]",
        "UNCONFIRMED: none that Epson's reference lists",
        rb"(?!)",
    ),
    Row("FS ( E", "settings", rb"\x1c\(E..[^=]", "EREF, FS ( E: logo settings, which stay", rb"\x1c\(E" + _SMALL),
    Row("FS (", "settings", rb"\x1c\([^ACELef]", "UNCONFIRMED: none that Epson's reference lists", rb"(?!)"),
    # Without bit 0 the printer drops all that follows, later jobs too (HOP, ESC =).
    Row("ESC =", "settings", rb"\x1b=[" + _EVEN + b"]", "HOP, ESC =: deselects the printer", rb"(?!)"),
    Row("ESC US", "settings", rb"\x1b\x1f", "UNCONFIRMED: clones' address, baud rate, language as 1F 1B 1F"),
    Row("ESC # #", "settings", rb"\x1b##", "UNCONFIRMED: clones' settings as 1B 23 23 and four letters"),
    Row("ESC p", "drawer", rb"\x1bp", "HOP, ESC p", rb"\x1bp[\x00\x0101]"),
)
# Printers hear these in images, too (HOP, X80, HPRT, T90), so they are looked for in all that there is. Each is long enough.
HEARD = (
    Row("DLE DC4 1", "drawer", rb"\x10\x14\x01[\x00\x01][\x01-\x08]", "HOP, U220: real-time pulse"),
    Row("DLE DC4 2", "maintenance", rb"\x10\x14\x02\x01\x08", "HPRT: power-off sequence"),
)

# Number of parameter bytes -> the commands that have so many (APG, HOP, X80).
_PARAMETERS: dict[int, dict[int, bytes]] = {
    0x1B: {0: b"@2<LSimv\x0c", 1: b"!a3dJ -EGMRtV{TreKUu%?=", 2: b"$\\cf", 3: b"p", 8: b"W"},
    0x1C: {0: b"&.", 1: b"!-CW", 2: b"Sp?"},
    0x1D: {0: b":c\x0c", 1: b"!BHhwfarIb/TjE", 2: b"LWP$\\", 3: b"^z", 4: b"g"},
}
_FIXED = {
    bytes((lead, letter)): 2 + count
    for lead, rows in _PARAMETERS.items()
    for count, letters in rows.items()
    for letter in letters
}
_LEADS = rb"\x1b\x1c\x1d"
_LEAD = re.compile(b"[" + _LEADS + b"]")
_TABS = 34  # bytes of ESC D with its NUL
_SYMBOL_MOST = 7092  # bytes of a QR code with their head
_COUNTED = 64  # a declared length beyond which only the functions with images and symbols have data
_COLUMN_DOTS, _RASTER_BYTES, _RASTER_ROWS = 2047, 1024, 2303  # the manuals' limits
_IMAGE_X, _IMAGE_Y = 1023, 288  # FS q


def _doubt(job: bytes, end: int, again: int) -> Ends:
    """A command that ends at `end`, or that the printer gives up at `again`: the same unless a lead stands between."""
    return Ends(end, (again,)) if _LEAD.search(job, again, end) else Ends(end)


def _end(job: bytes, at: int) -> Ends:
    name = job[at : at + 2]
    if (size := _FIXED.get(name)) is not None:
        return Ends(at + size)
    if len(name) < 2:
        return Ends(at + 1)
    if name[1] == 0x28:
        return _function(job, at)
    match name:
        case b"\x1b*":
            return _columns(job, at)
        case b"\x1dv" | b"\x1dQ":
            return _raster(job, at)
        case b"\x1dk":
            return _barcode(job, at)
        case b"\x1dV":
            return Ends(at + 3 + (job[at + 2 : at + 3] in (b"A", b"B", b"a", b"b", b"g", b"h")))
        case b"\x1d8" if job[at + 2 : at + 3] == b"L":
            end = at + 7 + little(job, at + 3, 4)
            return Ends(end) if job[at + 7 : at + 9] in _IMAGES else _doubt(job, end, at + 7)
        case b"\x1d*":
            columns, rows = job[at + 2 : at + 3] or b"\0", job[at + 3 : at + 4] or b"\0"
            end = at + 4 + columns[0] * rows[0] * 8
            good = columns[0] and 0 < rows[0] <= 48 and columns[0] * rows[0] <= 1536
            return Ends(end) if good else _doubt(job, end, at + 4)
        case b"\x1bD":
            return _tabs(job, at)
        case b"\x1b&":
            return _characters(job, at)
        case b"\x1cq":
            return _stored(job, at)
        case b"\x1cg":
            if job[at + 2 : at + 3] == b"1":
                return Ends(at + 10 + little(job, at + 8))
            return Ends(at + 10)
        case b"\x1c2":  # 24 by 24 dots; fonts of 16 by 16 have fewer
            return _doubt(job, at + 76, at + 36)
        case b"\x1dC":
            return Ends(at + {b"0": 5, b"1": 9, b"2": 5}.get(job[at + 2 : at + 3], 3))
        case b"\x1dD" if job[at + 9 : at + 11] == b"BM":
            return Ends(at + 9 + little(job, at + 11, 4))
    return unknown(_LEAD, job, at)


_IMAGES = frozenset({b"0p", b"0q", b"0C", b"0D", b"0S", b"0T"})  # GS ( L: the functions that bring an image


def _function(job: bytes, at: int) -> Ends:
    """GS ( x pL pH and so many bytes, and the same with ESC and FS."""
    count, again = little(job, at + 3), at + 5
    end = again + count
    name, function = job[at : at + 3], job[again : again + 2]
    if name == b"\x1d(L" and function in _IMAGES:
        if function == b"0p":  # a clone may count the image itself
            image = again + 10 + (little(job, again + 6) + 7) // 8 * little(job, again + 8)
            return Ends(end) if image == end else Ends(end, (image, again))
        return Ends(end)
    if name == b"\x1d(k" and function[1:] == b"P" and count <= _SYMBOL_MOST:
        return Ends(end)
    known = name in _KNOWN_FUNCTIONS and count <= _COUNTED
    return Ends(end) if known else _doubt(job, end, at + 3)


_KNOWN_FUNCTIONS = frozenset(
    [b"\x1d(" + bytes([each]) for each in b"ABCDEFGHJKLMNPQVXkyz"]
    + [b"\x1c(" + bytes([each]) for each in b"ACELef"]
    + [b"\x1b(A"]
)


def _columns(job: bytes, at: int) -> Ends:
    """ESC * m nL nH."""
    mode, dots = job[at + 2 : at + 3], little(job, at + 3)
    end = at + 5 + dots * (3 if mode and mode[0] & 0x20 else 1)
    good = mode in (b"\0", b"\x01", b"\x20", b"\x21") and dots <= _COLUMN_DOTS
    return Ends(end) if good else _doubt(job, end, at + 5)


def _raster(job: bytes, at: int) -> Ends:
    """GS v 0 m xL xH yL yH; GS Q 0 is laid out alike."""
    width, rows = little(job, at + 4), little(job, at + 6)
    end = at + 8 + width * rows
    good = job[at + 2 : at + 3] == b"0" and job[at + 3 : at + 4] in (
        b"\0",
        b"\x01",
        b"\x02",
        b"\x03",
        b"0",
        b"1",
        b"2",
        b"3",
    )
    return Ends(end) if good and width <= _RASTER_BYTES and rows <= _RASTER_ROWS else _doubt(job, end, at + 3)


def _barcode(job: bytes, at: int) -> Ends:
    """GS k: up to NUL, or counted. A printer gives up at a character that the symbology does not have."""
    kind = job[at + 2 : at + 3]
    if not kind:
        return Ends(at + 3)
    if kind[0] <= 6:
        end = job.find(b"\0", at + 3, at + 3 + 256)
        return _doubt(job, end + 1, at + 3) if end >= 0 else Ends(at + 3)
    count = job[at + 3 : at + 4] or b"\0"
    end = at + 4 + count[0]
    if not 65 <= kind[0] <= 79:
        return _doubt(job, end, at + 3)
    text = job[at + 4 : at + 6]
    # CODE93 and CODE128 have control characters; the latter begins with a code set.
    if kind == b"H" or (kind == b"I" and text in (b"{A", b"{B", b"{C")):
        return Ends(end)
    return _doubt(job, end, at + 4)


def _tabs(job: bytes, at: int) -> Ends:
    """ESC D n1 ... NUL: ascending columns."""
    end = job.find(b"\0", at + 2, at + 2 + _TABS)
    if end < 0:
        return unknown(_LEAD, job, at)
    columns = job[at + 2 : end]
    ascending = all(one < two for one, two in pairwise(columns))
    return Ends(end + 1) if ascending else _doubt(job, end + 1, at + 2)


def _characters(job: bytes, at: int) -> Ends:
    """ESC & y c1 c2 [x d1 ... d(x*y)] for each character of c1 ... c2."""
    head, end = job[at + 2 : at + 5], at + 5
    if len(head) < 3 or not (1 <= head[0] <= 3 and 32 <= head[1] <= head[2] <= 126):
        return unknown(_LEAD, job, at)
    for _ in range(head[1], head[2] + 1):
        if end >= len(job):
            break
        if job[end] > 48:  # the widest font that any manual has
            return Ends(end + 1 + head[0] * job[end], (end,))
        end += 1 + head[0] * job[end]
    return Ends(end)


def _stored(job: bytes, at: int) -> Ends:
    """FS q n [xL xH yL yH d...] for each of n images; x and y count eight dots."""
    end = at + 3
    for _ in range((job[at + 2 : at + 3] or b"\0")[0]):
        if end >= len(job):
            break
        x, y = little(job, end), little(job, end + 2)
        if not (0 < x <= _IMAGE_X and 0 < y <= _IMAGE_Y):
            return Ends(end)
        end += 4 + x * y * 8
    return Ends(end)


def _measure() -> Callable[[bytes, int], Ends]:
    return _end


LANGUAGE = ControlLanguage.of(ROWS, _LEADS, _measure, HEARD)
