"""What is a command in every language, or may be one in a language that is not known: words, no short control sequences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.filtering.base import NotableCommand, Row, begun, candidates, found

if TYPE_CHECKING:
    from collections.abc import Iterator


# PJL: Hewlett-Packard, Printer Job Language Technical Reference Manual, chapters 2 and 4. SGD: Zebra, ZPL programming guide,
# "SGD printer commands" and its JSON page (in protocols: ZDOC). What only reads is left alone: getvar, and JSON whose values are all null.
UEL = Row("UEL", "language", rb"\x1b%-12345X", "HP PJL manual, Universal Exit Language")
WORDS = (
    Row("@PJL", "language", rb"@PJL(?![A-Za-z0-9])", "HP PJL manual, chapter 4"),
    Row("! U1 setvar", "settings", rb"![ \t]*[Uu]1[ \t\r\n]+[Ss][Ee][Tt][Vv][Aa][Rr](?![A-Za-z0-9])", "ZDOC, SGD"),
    Row("! U1 do", "maintenance", rb"![ \t]*[Uu]1[ \t\r\n]+[Dd][Oo](?![A-Za-z0-9])", "ZDOC, SGD"),
    Row(
        "! UTILITIES",
        "settings",
        rb"![ \t]*[Uu](?:[Tt][Ii][Ll][Ii][Tt][Ii][Ee][Ss]|[Ff])?[ \t]*[\r\n]",
        "Zebra CPCL programming guide, UTILITIES",
    ),
    Row(
        "! CISDFCRC16",
        "storage",
        rb"![ \t]*[Cc][Ii][Ss][Dd][Ff](?:[Rr])?[Cc][Rr][Cc]16",
        "Zebra support, file transfer with CISDFCRC16",
    ),
    Row("! PROGRAM", "firmware", rb"![ \t]*[Pp][Rr][Oo][Gg][Rr][Aa][Mm](?![A-Za-z0-9])", "UNCONFIRMED"),
    Row(
        "{}{",
        "settings",
        rb'\{[ \t\r\n]*\}[ \t\r\n]*\{(?!(?:[ \t\r\n]*+"[^"]{0,128}"[ \t\r\n]*+:[ \t\r\n]*+null[ \t\r\n]*+,?+){0,64}[ \t\r\n]*+\})',
        "ZDOC, JSON configuration",
    ),
)
_SEARCHES = tuple(expression.search for expression, _ in candidates(WORDS))


def _letters(word: bytes) -> list[bytes]:
    return [b"[%c%c]" % (each, each + 32) if 65 <= each <= 90 else b"%c" % each for each in word]


_U = (b"![ \t]*[Uu]", b"[ \t]*1", b"[ \t\r\n]+")
# The beginning of one of these at the end of a job, whose other half the next one might bring. One character does not count:
# thanks end with an exclamation mark, and images with anything.
_HALVES = (
    ("UEL", rb"\x1b%" + b"(?:" + begun([b"%c" % each for each in b"-12345"]) + b")?"),
    ("@PJL", rb"(?<!\x1b)@PJ?"),
    ("! U1 setvar", begun([*_U, *_letters(b"SETVAR")])),
    ("! U1 do", begun([*_U, *_letters(b"DO")])),
    ("! UTILITIES", begun([_U[0], *_letters(b"TILITIES")]) + rb"[ \t]*"),
    ("! CISDFCRC16", rb"![ \t]*" + begun([*_letters(b"CISDF"), b"[Rr]?[Cc]", *_letters(b"RC16")])),
    ("! PROGRAM", rb"![ \t]*" + begun(_letters(b"PROGRAM"))),
    ("{}{", rb"\{[ \t\r\n]*\}[ \t\r\n]*"),
)
_HALF = re.compile(b"(?:" + b"|".join(b"(%b)" % each for _, each in _HALVES) + rb")\Z")
_HALF_HEADS = re.compile(rb"\x1b%|(?<!\x1b)@P|![ \t]*[UuCcPp]|\{[ \t\r\n]*\}")
_HALF_MOST = 40  # bytes
# What a job with half a word ends with; so most jobs are not looked through for one. CR and LF may follow `U1`.
_HALF_ENDS = frozenset(b"%-12345PJ \t\r\n}" + bytes(range(65, 91)) + bytes(range(97, 123)))

# Where the language is not known, images cannot be told from commands: only what is too long to be an accident.
UNAMBIGUOUS = (
    UEL,
    *WORDS,
    Row("~DY", "storage", rb"~[Dd][YySsTtUuBb][AaBbEe]:", "ZDOC, ~DY"),
    Row("^ID", "storage", rb"\^[Ii][DdSs][AaBbEe]:", "ZDOC, ^ID"),
    Row("^DF", "storage", rb"\^[Dd][Ff][AaBbEe]:", "ZDOC, ^DF"),
    Row(
        "DOWNLOAD",
        "storage",
        rb'[Dd][Oo][Ww][Nn][Ll][Oo][Aa][Dd][ \t]+(?:[FEfe][ \t]*,[ \t]*)?"',
        "M, DOWNLOAD",
    ),
    Row("KILL", "storage", rb'[Kk][Ii][Ll][Ll][ \t]+(?:[FEfe][ \t]*,[ \t]*)?"', "M, KILL"),
    Row("GS ( E", "settings", rb"\x1d\(E\x03\x00\x01IN", "escpos.md section 7: enters the user settings"),
)


# Every row of UNAMBIGUOUS begins with one of these bytes, small letters for both: to look for bytes, and at what follows them, is
# twenty times quicker than one expression for all. "!" with what may follow it is one expression, as it is common in texts.
_FIXED = (b"\x1b%-12345X", b"\x1d(E\x03\x00\x01IN")
_STARTS = (b"@pjl", b"download", b"kill", b"~d", b"^i", b"^d")
_BANG = rb"![ \t]*"
_BANGS = re.compile(
    _BANG + b"(?:" + b"|".join(row.pattern[len(_BANG) :] for row in WORDS if row.pattern.startswith(_BANG)) + b")"
)
_BRACES = re.compile(WORDS[-1].pattern)


def words(job: bytes) -> tuple[Row, ...]:
    """The rows whose words a job might have; mostly none."""
    for search in _SEARCHES:  # a loop, for it takes half as long as `any`
        if search(job):
            return WORDS
    return ()


def half(job: bytes) -> NotableCommand | None:
    """The beginning of such a word at the end of a job."""
    if not job or job[-1] not in _HALF_ENDS:
        return None
    start = max(0, len(job) - _HALF_MOST)
    if not _HALF_HEADS.search(job, start):
        return None
    found_half = _HALF.search(job, start)
    if found_half is None:
        return None
    return NotableCommand(found_half.start(), _HALVES[(found_half.lastindex or 1) - 1][0], "unfinished")


def notable(job: bytes) -> Iterator[NotableCommand]:
    """What is notable in a job whose language is not known."""
    for start in _FIXED:
        if start in job:
            return found(job, UNAMBIGUOUS)
    small, here = job.lower(), candidates(UNAMBIGUOUS)
    for start in _STARTS:
        at = small.find(start)
        while at >= 0:
            if any(expression.match(job, at) for expression, _ in here):
                return found(job, UNAMBIGUOUS)
            at = small.find(start, at + 1)
    if _BANGS.search(job) or (b"{" in job and _BRACES.search(job)):
        return found(job, UNAMBIGUOUS)
    return iter(())
