r"""What ZPL II commands need a permission, and where its binary data is.

Names are Zebra's (ZDOC: the ZPL programming guide on docs.zebra.com, one page a command). A command is one wherever its prefix
stands, in field data and comments too; letters may be small, and control characters and spaces between them count for nothing. A job is
taken to begin outside a format and with the prefixes `^` and `~`: so a command that changes a prefix to another is reported itself.

`^JUS` is not reported: the drivers of Zebra's label designers send it with every label. Nor is what only needs R:, which is RAM.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rawprint.filtering.anywhere import UEL
from rawprint.filtering.base import NotableCommand, Row, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

_GAP = rb"[\x00-\x20]*"
_KEPT = _GAP + rb"(?:[^Rr\x00-\x20]" + _GAP + rb":)"  # another drive than R:


def _commands(prefixes: str, letters: str, kind: str, source: str, then: bytes = b"") -> tuple[Row, ...]:
    """Rows for commands with these prefixes, whose pattern leaves the prefix out."""
    spelt = _GAP.join(b"[%c%c]" % (each, each + 32) if 65 <= each <= 90 else b"%c" % each for each in letters.encode())
    return tuple(Row(prefix + letters, kind, spelt + then, source) for prefix in prefixes)


ROWS = (
    *_commands("~", "DY", "storage", "ZDOC, ~DY: download objects", _KEPT),
    *_commands("~", "DG", "storage", "ZDOC, ~DG: download graphics", _KEPT),
    *_commands("~", "DB", "storage", "ZDOC, ~DB: download bitmap font", _KEPT),
    *_commands("~", "DE", "storage", "ZDOC, ~DE: download encoding", _KEPT),
    *_commands("~", "DS", "storage", "ZDOC, ~DS: download Intellifont", _KEPT),
    *_commands("~", "DT", "storage", "ZDOC, ~DT: download TrueType font", _KEPT),
    *_commands("~", "DU", "storage", "ZDOC, ~DU: download unbounded TrueType font", _KEPT),
    *_commands("^", "DF", "storage", "ZDOC, ^DF: store format", _KEPT),
    *_commands("^", "IS", "storage", "ZDOC, ^IS: store image", _KEPT),
    *_commands("^", "ID", "storage", "ZDOC, ^ID: delete objects", _KEPT),
    *_commands(
        "^",
        "TO",
        "storage",
        "ZDOC, ^TO: copy objects",
        rb"[^\^~,]{0,40},[^\^~]{0,4}?(?=[^Rr\x00-\x20\^~][\x00-\x20]*:)",
    ),
    *_commands("^~", "JB", "storage", "ZDOC, ^JB, ~JB: initialise flash memory, reset battery memory"),
    *_commands("^", "CM", "settings", "ZDOC, ^CM: changes the letters of memory"),
    *_commands("^~", "JI", "language", "ZDOC, ^JI, ~JI: starts ZBI"),
    *_commands("~", "JQ", "language", "ZDOC, ~JQ: ends ZBI"),
    *_commands("^", "SZ", "language", "ZDOC, ^SZ: ZPL or ZPL II"),
    *_commands("^", "JU", "settings", "ZDOC, ^JU: factory or saved settings", _GAP + rb"[FfNnRrAa]"),
    *_commands("^", "KP", "settings", "ZDOC, ^KP: password"),
    *_commands("^", "KN", "settings", "ZDOC, ^KN: name"),
    *_commands("^", "KD", "settings", "ZDOC, ^KD: clock format"),
    *_commands("^", "KL", "settings", "ZDOC, ^KL: language of the panel"),
    *_commands("^", "KV", "settings", "ZDOC, ^KV: kiosk values"),
    *_commands("^", "SX", "settings", "ZDOC, Z06 p.270, ^SX: alerts"),
    *_commands("^", "SQ", "settings", "ZDOC, ^SQ: ends alerts"),
    *_commands("^", "SC", "settings", "ZDOC, ^SC: serial interface"),
    *_commands("^", "SR", "settings", "ZDOC, ^SR: resistance of the head"),
    *_commands("^", "SS", "settings", "ZDOC, ^SS: media sensors"),
    *_commands("^", "SI", "settings", "ZDOC, ^SI: sensor intensity"),
    *_commands("^", "ST", "settings", "ZDOC, ^ST: clock"),
    *_commands("^", "MP", "settings", "ZDOC, ^MP: switches the panel off"),
    *_commands("^", "MA", "settings", "ZDOC, ^MA: maintenance alerts"),
    *_commands("^", "MI", "settings", "ZDOC, ^MI: maintenance message"),
    *_commands("^", "MF", "settings", "ZDOC, ^MF: feeding at power-up"),
    *_commands("^", "MW", "settings", "ZDOC, ^MW: warning of a cold head"),
    *_commands("^", "JH", "settings", "ZDOC, ^JH: early warning"),
    *_commands("^", "JJ", "settings", "ZDOC, ^JJ: auxiliary port"),
    *_commands("^", "JT", "settings", "ZDOC, ^JT: head test"),
    *_commands("^", "JW", "settings", "ZDOC, ^JW: ribbon tension"),
    *_commands("^", "JZ", "settings", "ZDOC, ^JZ: prints again after an error"),
    *_commands("~", "JF", "settings", "ZDOC, ~JF: battery condition"),
    *_commands("^", "ZZ", "settings", "ZDOC, ^ZZ: sleep"),
    *(
        row
        for letters, what in (
            *(("NB", "wired or wireless"), ("NC", "primary device"), ("ND", "network settings"), ("NI", "network id")),
            *(("NN", "SNMP"), ("NP", "primary device"), ("NR", "transparent"), ("NS", "network settings")),
            *(
                ("NT", "SMTP, transparent"),
                ("NW", "web password"),
                ("WA", "antenna"),
                ("WE", "WEP"),
                ("WI", "network settings"),
            ),
            *(
                ("WL", "LEAP"),
                ("WP", "wireless password"),
                ("WR", "transmit rate, reset"),
                ("WS", "card"),
                ("WX", "security"),
            ),
        )
        for row in _commands("^~", letters, "settings", f"ZDOC, ^{letters} or ~{letters}: {what}")
    ),
    *_commands("~", "JR", "maintenance", "ZTC, ~JR: power-on reset"),
    *_commands("~", "JD", "maintenance", "ZDOC, ~JD: dump mode"),
    *_commands("~", "KB", "maintenance", "ZDOC, ~KB: discharges the battery"),
    *_commands("^~", "RO", "maintenance", "ZDOC, ^RO, ~RO: resets counters"),
)
_DEFAULTS = {b"CC": b"^", b"CT": b"~", b"CD": b","}


def _behind(prefix: bytes, parts: list[bytes]) -> bytes:
    """These expressions behind a prefix, which is looked for once for all of them."""
    letters = b"".join(sorted({part.lstrip(b"(")[1:3] for part in parts}))
    return re.escape(prefix) + _GAP + b"(?=[" + letters + b"])(?:" + b"|".join(parts) + b")"


def _candidate(prefix: str) -> re.Pattern[bytes]:
    parts = [row.pattern for row in ROWS if row.name[0] == prefix]
    for letters, value in _DEFAULTS.items():
        parts.append(b"[Cc]" + _GAP + b"[%c%c](?!" % (letters[1], letters[1] + 32) + re.escape(value) + b")")
    return re.compile(_behind(prefix.encode(), parts), re.DOTALL)


_CANDIDATES = (_candidate("^"), _candidate("~"))
_OF = {prefix: tuple(row for row in ROWS if row.name[0] == prefix) for prefix in "^~"}
_ORDER = (*_OF["^"], *_OF["~"])  # as their groups stand in the expression
_UEL = UEL.pattern.decode("unicode_escape").encode()

_OBJECT_GROUPS = 2
_KEPT_OBJECT = re.compile(rb"." + _GAP + rb"[Dd]" + _GAP + rb"[Yy]" + _KEPT, re.DOTALL)
_CHANGES_MOST = 16  # of prefixes in one job; each costs the time to make an expression
_IMAGE_MOST = 4_000_000  # bytes


@lru_cache(maxsize=64)
def _expression(caret: bytes, tilde: bytes, delimiter: bytes, text: tuple[Row, ...]) -> re.Pattern[bytes]:
    """Rows; then, by name: a prefix that changes, the begin and end of a format, a graphic, an object, a word of any language."""
    c, t, d = re.escape(caret), re.escape(tilde), re.escape(delimiter)
    g = _GAP
    parts = [
        # Binary objects, with their size: before the row of the same name.
        b"(?P<object>%b%b[Dd]%b[Yy][^%b%b%b]{0,40}%b%b[Bb]%b%b[^%b%b%b]{0,8}%b%b%b[0-9 ]{0,8}%b)"
        % (t, g, g, c, t, d, d, g, g, d, c, t, d, d, _named("size"), d, d),
        *(_behind(own, [b"(%b)" % row.pattern for row in _OF[prefix]]) for prefix, own in (("^", caret), ("~", tilde))),
        b"(?P<change>[%b%b]%b([Cc]%b[CcTtDd])%b([^\\x00-\\x20]))" % (c, t, g, g, g),
        b"(?P<begin>%b%b[Xx]%b[Aa])" % (c, g, g),
        b"(?P<end>%b%b[Xx]%b[Zz]|%b%b[Jj]%b[AaXx])" % (c, g, g, t, g, g),
        b"(?P<graphic>%b%b[Gg]%b[Ff]%b(?P<format>[BbCc])%b%b)"
        % (c, g, g, g, g, b"%b%b%b%b%b%b%b" % (d, _named("sent"), d, _named("whole"), d, _named("row"), d)),
        *(b"(?P<text%d>%b)" % (place, row.pattern) for place, row in enumerate((UEL, *text))),
    ]
    # Nothing begins with another byte than these, which saves trying all of it at each one.
    return re.compile(b"(?=[%b%b\\x1b!@{])(?:" % (c, t) + b"|".join(parts) + b")", re.DOTALL)


def _named(name: str) -> bytes:
    return rb"[\x00-\x20]*(?P<" + name.encode() + rb">[0-9]{0,8})[\x00-\x20]*"


class ZplLanguage:
    """A language of two prefixes, two letters and parameters."""

    def notable(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        """What is notable in this job; `text` are the rows that hold in every language."""
        if text or _UEL in job or any(expression.search(job) for expression in _CANDIDATES):
            return _tokens(job, text)
        return iter(())


def _tokens(job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
    words = (UEL, *text)
    prefixes = dict(_DEFAULTS)
    inside, at, changes = False, 0, 0
    expression = _expression(*prefixes.values(), text)
    while token := expression.search(job, at):
        at, kind = token.end(), token.lastgroup
        if kind is None:
            row = _ORDER[next(place for place, each in enumerate(token.groups()[_OBJECT_GROUPS:]) if each is not None)]
            yield NotableCommand(token.start(), row.name, row.kind)
        elif kind == "change":
            letters, value = _change(token[0])
            if value != _DEFAULTS[letters]:
                changes += 1
                if changes > _CHANGES_MOST:
                    yield from unreadable(token.start())
                    return
                yield NotableCommand(token.start(), token[0][:1].decode("latin-1") + letters.decode(), "language")
            prefixes[letters] = value
            expression = _expression(*prefixes.values(), text)
        elif kind == "begin":
            inside = True
        elif kind == "end":
            inside = False
        elif kind == "graphic":
            sent, whole, row_bytes = (int(token[each] or 0) for each in ("sent", "whole", "row"))
            alike = sent == whole if token["format"] in b"Bb" else sent <= whole
            if inside and alike and 0 < row_bytes <= whole and whole % row_bytes == 0 and sent <= _IMAGE_MOST:
                at += sent
        elif kind == "object":
            if _KEPT_OBJECT.match(token[0]):
                yield NotableCommand(token.start(), "~DY", "storage")
            size = int(token["size"] or 0)
            at += size if size <= _IMAGE_MOST else 0
        else:
            row = words[int(kind.removeprefix("text"))]
            yield NotableCommand(token.start(), row.name, row.kind)


def _change(command: bytes) -> tuple[bytes, bytes]:
    """The letters of a change of prefix, and the new one."""
    body = command[1:].translate(None, bytes(range(0x21)))
    return body[:2].upper(), body[2:3]


LANGUAGE = ZplLanguage()
