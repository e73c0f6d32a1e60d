"""What is a command in every language, or may be one in a language that is not known: words, no short control sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.filtering.base import Row, candidates, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.filtering.base import NotableCommand

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
_CANDIDATES = candidates(WORDS)

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


def words(job: bytes) -> tuple[Row, ...]:
    """The rows whose words a job might have; mostly none."""
    return WORDS if any(expression.search(job) for expression, _ in _CANDIDATES) else ()


def notable(job: bytes) -> Iterator[NotableCommand]:
    """What is notable in a job whose language is not known."""
    return found(job, UNAMBIGUOUS)
