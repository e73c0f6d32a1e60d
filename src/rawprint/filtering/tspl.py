r"""What TSPL commands need a permission, and where its images are.

Keys: T6, T97 (TSC programming manuals), C, M, O (notes that quote them). A string ends with its line, as a line ends with CR or LF
(T6); letters may be small; spaces, tabs and NUL between letters count for nothing (T6 says so of spaces). After a string that has no
end, or a quotation mark in the way of `\["]`, which not all firmware knows, no string is trusted to be one.

Many pages leave out the last line end, and the next job's first line is joined to that line: `PRINT 1BITMAP 0,0,...`. That by itself is no
"unfinished" command; instead an image in a job's first line is not trusted to be one, and what is in it is read as commands. Jobs begin with SIZE
or CLS, so that costs honest ones nothing. "Unfinished" is only an open line that could become another command: one that ends with the
beginning of a word of the tables or of BITMAP, has the head of a BITMAP, or ends inside a string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rawprint.filtering.anywhere import UEL
from rawprint.filtering.base import NotableCommand, Row, begun

if TYPE_CHECKING:
    from collections.abc import Iterator


def _word(name: str, kind: str, source: str, then: bytes = rb"(?![A-Za-z0-9_$])", shown: str = "") -> Row:
    """A row for a command word, however it is spelt."""
    gap = rb"[ \t\x00]*"
    spelt = gap.join(b"[%c%c]" % (each, each + 32) if 65 <= each <= 90 else b"%c" % each for each in name.encode())
    return Row(shown or name, kind, spelt + then, source)


_THEN = rb"(?=[ \t\x00]+[A-Za-z])"
_IMMEDIATE = "T6, C: immediate command"
WORDS = (
    _word("DOWNLOAD", "storage", "M, DOWNLOAD: programs and files, AUTO.BAS among them"),
    _word("EOP", "storage", "M, EOP: ends a program that is downloaded"),
    _word("KILL", "storage", "M, KILL: deletes files"),
    _word("MOVE", "storage", "M, MOVE: DRAM files to flash"),
    _word("COPY", "storage", "TSC manual, COPY F/E", rb"[ \t]*[FEfe][ \t]*,"),
    _word("RUN", "firmware", "TSC manual, RUN: starts a program", rb'[ \t]*"'),
    _word("FORMAT", "storage", "UNCONFIRMED"),
    _word("INITIALPRINTER", "settings", "TSC manual, INITIALPRINTER: factory defaults"),
    *(
        _word("SET" + name, "settings", source, then, "SET " + name)
        for name, source, then in (
            ("COM1", "M, SET COM1: baud rate; stored", b""),
            ("PRINTKEY", "M, SET PRINTKEY; stored", b""),
            ("REPRINT", "M, SET REPRINT; stored", b""),
            ("HEAD", "M, SET HEAD; stored", b""),
            ("KEY", "TSC manual, SET KEY1 and others; stored", b""),
            ("LED", "TSC manual, SET LED1 and others; stored", b""),
            ("GAP", "TSC manual, SET GAP: sensor settings; stored", b""),
            ("ENCODER", "UNCONFIRMED", b""),
            ("AUTORUN", "UNCONFIRMED", b""),
            ("USBHOST", "UNCONFIRMED", b""),
        )
    ),
    *(
        _word(name, "settings", source, _THEN)
        for name, source in (
            ("NET", "C: NET DHCP, NET IP, NET PORT, NET NAME"),
            ("WLAN", "TSC manual, WLAN"),
            ("BT", "TSC manual, BT"),
            ("WIFI", "UNCONFIRMED"),
        )
    ),
    # Up to here are words, which begin where no other one goes on.
)
_OTHERS = (
    Row("~!D", "maintenance", rb"~[ \t\x00]*![ \t\x00]*[Dd]", "M, O: dump mode, until it is switched off"),
    Row("ESC ! R", "maintenance", rb"\x1b!R", _IMMEDIATE + ": reset; files in DRAM are lost"),
    Row("ESC ! C", "maintenance", rb"\x1b!C", _IMMEDIATE + ": restart"),
    Row("ESC ! Q", "maintenance", rb"\x1b!Q", _IMMEDIATE + ": restart, UNCONFIRMED"),
    UEL,
)
# What shows, in a text without spaces and in capitals, that one of these rows may stand in it.
_NEEDLES = re.compile(b"DOWNLOAD|EOP|KILL|MOVE|COPY|RUN|FORMAT|INITIALPRINTER|SET|NET|WLAN|BT|WIFI|~!D|\x1b[!%]")
_CAPITALS = bytes.maketrans(bytes(range(97, 123)), bytes(range(65, 91)))
_SKIPPED = b" \t\0"

# BITMAP x,y,width in bytes,height in dots,mode, and so many bytes.
_LETTERS = rb"[ \t\x00]*".join(b"[%c%c]" % (each, each + 32) for each in b"BITMAP")
_HEADER = _LETTERS + rb"[^\",\r\n]{0,40}(?:,[^\",\r\n]{0,40}){3},[^\",\r\n]{0,40},"
_IMAGE = re.compile(_HEADER)
_EXACT = b"BITMAP"
_USUAL = re.compile(
    rb"BITMAP -?[0-9]{1,5},-?[0-9]{1,5},([0-9]{1,3}),([0-9]{1,4}),[012],"
)  # within the limits but for 512 bytes
_BEFORE = 64  # spaces before it on its line
_WIDTH_MOST, _HEIGHT_MOST = (
    512,
    32000,
)  # bytes, dots; beyond that no printer has the memory, and may give up the command
_MODES = frozenset({b"0", b"1", b"2"})
_WHOLE_STRINGS = re.compile(rb'[^"]*+(?:"[^"\r\n\x1b]*+"[^"]*+)*+')
_QUOTE = b'\\["]'  # a quotation mark in a string (M, TEXT): inches. A clone that does not know it ends the string there, in mid-line
_STRING = rb'"(?:[^"\\\r\n\x1b]|\\\["\]|\\)*+"?+'  # immediate commands are heard in strings, too


def _begun(name: str) -> bytes:
    gap = rb"[ \t\x00]*+"
    letters = [b"[%c%c]" % (each, each + 32) if 65 <= each <= 90 else b"%c" % each for each in name.encode()]
    return begun([letters[0], *(gap + each for each in letters[1:])]) + gap


# The end of a line that may be the beginning of one of the rows; behind an image its last byte is not there to be looked at.
_HALVES = (
    ("BITMAP", rb"(?<![A-Za-z0-9_$!])" + _begun("BITMAP") + b"|" + _LETTERS + rb".*"),
    ("COPY", rb"(?<![A-Za-z0-9_$!])" + _begun("COPY") + rb"(?:(?<=[Yy \t\x00])[FEfe][ \t]*+)?"),
    *((row.name, rb"(?<![A-Za-z0-9_$!])" + _begun(row.name.replace(" ", ""))) for row in WORDS if row.name != "COPY"),
    ("~!D", _begun("~!")),
    ("ESC !", rb"\x1b!?"),  # or UEL
)
_HALF = re.compile(b"(?:" + b"|".join(b"(%b)" % each for _, each in _HALVES) + rb")\Z", re.DOTALL)
_STRINGS = re.compile(rb'"[^"]*+"')


@lru_cache(maxsize=16)
def _expression(others: tuple[Row, ...], *, strings: bool, alone: bool = True) -> re.Pattern[bytes]:
    """One group for each of `WORDS` and of the others; then one for an image and one for a string.

    With `alone` no letter may stand before a word; behind an image the last byte of that may look like one.
    """
    words = b"|".join([*(b"(%b)" % row.pattern for row in WORDS)])
    rest = [*(b"(%b)" % row.pattern for row in others), b"(%b)" % _HEADER, b"(%b)" % (_STRING if strings else rb"(?!)")]
    before = rb"(?<![A-Za-z0-9_$])" if alone else b""
    # Nothing begins with another byte than these, which saves trying all of it at each letter.
    heads = rb"(?=[CDEFIKMNRSWB~\x1b\"!@{cdefikmnrswb])"
    return re.compile(heads + b"(?:" + before + b"(?:" + words + b")|" + b"|".join(rest) + b")", re.DOTALL)


def _size(header: bytes) -> int:
    """How many bytes follow this BITMAP; -1 where it cannot be told, or the printer may not take it."""
    if usual := _USUAL.fullmatch(header):
        columns = int(usual[1])
        return columns * int(usual[2]) if columns <= _WIDTH_MOST else -1
    _, _, width, height, mode, _ = (each.translate(None, _SKIPPED) for each in header.split(b","))
    if not (width.isdigit() and height.isdigit() and mode in _MODES):
        return -1
    if len(width) > 9 or len(height) > 9 or int(width) > _WIDTH_MOST or int(height) > _HEIGHT_MOST:
        return -1
    return int(width) * int(height)


def _heads_line(job: bytes, base: int, at: int) -> bool:
    """Whether a command that stands here is the first of its line; `base` is where the job or the text after an image begins.

    Elsewhere in a line a printer may not take it for a command, and what follows it for commands.
    """
    before = job[max(base, at - _BEFORE) : at].rstrip(_SKIPPED)
    return before.endswith(b"\n") or (not before and at - _BEFORE <= base)


def _opens(job: bytes, at: int) -> bool:
    """Whether a command that stands here is the job's first, which may be joined to a line that the job before left open."""
    return at <= _BEFORE and not job[:at].strip(_SKIPPED)


def _half(job: bytes, base: int) -> NotableCommand | None:
    """What the job's last line has that the next job's first bytes may make another command; `base` as for `_heads_line`."""
    if base >= len(job) or job[-1] in b"\r\n":
        return None
    start = max(job.rfind(b"\n", base), job.rfind(b"\r", base), base - 1) + 1
    line = job[start:]
    # The next job's strings might be read as what is between them. In an earlier line that cannot be: there T6 holds, by which a line
    # ends its string; pages that write inches with a quotation mark are not to be refused for it.
    if line.count(b'"') % 2 or b'\\["' in line:
        return NotableCommand(start + line.rindex(b'"'), '"', "unfinished")
    # A string is as long as before, so that offsets stay; it is only looked through for the end of it all.
    found = _HALF.search(_STRINGS.sub(lambda string: b'"' * len(string[0]), line))
    if found is None:
        return None
    return NotableCommand(start + found.start(), _HALVES[(found.lastindex or 1) - 1][0], "unfinished")


def _clean(text: bytes) -> bool:
    """Whether no row can be found here, and every string has an end."""
    flat = text.translate(_CAPITALS, _SKIPPED)
    return _NEEDLES.search(flat) is None and (
        b'"' not in text or (b"\\" not in text and _WHOLE_STRINGS.fullmatch(text) is not None)
    )


class TsplLanguage:
    """A language of lines, with images of declared size between them."""

    def notable(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        """What is notable in this job; `text` are the rows that hold in every language."""
        at, size = 0, len(job)
        while not text and at < size:  # texts in which nothing can be are passed in one step each
            start = job.find(_EXACT, at)
            end = start if start >= 0 else size
            if not _clean(job[at:end]):
                break
            if start < 0:
                half = _half(job, at)
                return iter(()) if half is None else iter((half,))
            image = _IMAGE.match(job, start)
            count = _size(image[0]) if image and _heads_line(job, at, start) else -1
            if image is None or count < 0 or _opens(job, start):
                break
            at = image.end() + count
            if at > size:
                return iter((NotableCommand(start, "BITMAP", "unfinished"),))
        return _tokens(job, at, text) if at < size else iter(())


def _tokens(job: bytes, at: int, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
    others = (*_OTHERS, *text)
    rows = (*WORDS, *others)
    header, string = len(rows) + 1, len(rows) + 2
    expression, trusted, base, latest = _expression(others, strings=True), True, at, at
    first = _expression(others, strings=True, alone=False)
    while token := (first.match(job, at) if at == base else None) or expression.search(job, at):
        latest, at, kind = token.start(), token.end(), token.lastindex or 0
        if kind == string:
            inside = token[0]
            if len(inside) < 2 or not inside.endswith(b'"') or b"\\" in inside.replace(_QUOTE, b""):
                # Only the text that follows is read without strings, for what is no string may well be commands.
                expression, trusted = _expression(others, strings=False, alone=False), False
                at = token.start() + 1
        elif kind == header:
            count = _size(token[0]) if trusted and _heads_line(job, base, latest) else -1
            if _opens(job, latest):
                expression, trusted = _expression(others, strings=False, alone=False), False
                continue
            if count >= 0:
                base = at = at + count
                if at > len(job):
                    yield NotableCommand(latest, "BITMAP", "unfinished")
        else:
            row = rows[kind - 1]
            yield NotableCommand(token.start(), row.name, row.kind)
    if half := _half(job, base):
        yield half._replace(offset=max(half.offset, latest))


ROWS = (*WORDS, *_OTHERS)
LANGUAGE = TsplLanguage()
