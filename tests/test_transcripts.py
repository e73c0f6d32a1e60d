"""Replays every transcript: what was recorded or written in a manual is decoded the same, however it arrives.

A transcript is what `rawprint trace` writes, named after its language: `# comment`, `> sent` and `< received` in hex, and
`=` what that said; `= push` what came unasked. Written by hand is only `= bad-reply`: the bytes are no answer.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import rawprint
from rawprint.dialects import DIALECTS, Reader
from rawprint.errors import BadReply
from rawprint.transports.trace import Trace, Transcript, describe

FOLDER = Path(__file__).parent / "transcripts"
FILES = sorted(FOLDER.glob("*.txt"))
LINE = 32  # bytes; what is longer goes on in the next line

# What comes unasked, and what it says.
WELL = """push  cover-open: no  media-empty: no  media-low: no  offline-report: no  other: no  \
subunit-over-temperature: no  trimmer-jam: no  x-feed-button: no"""
PUSHES = {
    "tspl": (b"{00,00001}", "push"),
    "escpos": (b"\x14\x00\x00\x00", WELL),
    "zpl": (b"\x11", "push"),
    "star": (b"\x11", "push"),  # XON: a pushed status would answer
}


@dataclass
class Exchange:
    """What was sent in one write, what came before the next, and what that said."""

    sent: bytes
    received: list[bytes] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def parse(text):
    """The comments of a transcript, and its exchanges."""
    comments, exchanges, last = [], [Exchange(b"")], ("", 0)
    for number, line in enumerate(text.splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if mark == "#":
            comments.append(rest)
        elif mark == "=":
            exchanges[-1].said.append(rest)
        elif mark in (">", "<"):
            data = bytes.fromhex(rest)
            goes_on = last == (mark, LINE)
            if mark == ">" and goes_on:
                exchanges[-1].sent += data
            elif mark == ">":
                exchanges.append(Exchange(data))
            elif goes_on:
                exchanges[-1].received[-1] += data
            else:
                exchanges[-1].received.append(data)
            last = (mark, len(data))
            continue
        elif line:
            raise ValueError(f"line {number} is none of a transcript: {line!r}")
        last = ("", 0)
    return comments, [e for e in exchanges if e.sent or e.received or e.said]


def replay(dialect, exchanges, cut, also=()):
    """What each exchange says when its bytes come as `cut` leaves them: the lines of a transcript.

    Questions that are no part of a status are only answered where they are in `also`.
    """
    reader, owed, by_request = Reader(dialect), [], {}
    for query in (*dialect.queries, *also):
        by_request.setdefault(query.request, query)
    for exchange in exchanges:
        if exchange.sent in by_request:
            owed.append(by_request[exchange.sent])
        said = []
        try:
            chunks = cut(exchange.received)
            for place, chunk in enumerate(chunks):
                reader.feed(chunk)
                while (decoded := reader.peek(tuple(owed))) is not None:
                    if decoded.alone and len(reader.rest) == decoded.used and place + 1 < len(chunks):
                        break
                    reader.take(decoded)
                    line = describe(decoded)
                    said.append(line if decoded.answers else f"push  {line}".rstrip())
                    if decoded.answers:
                        del owed[: owed.index(decoded.answers) + 1]
            if reader.rest:
                raise BadReply("the answer breaks off", raw=reader.rest)
        except BadReply:
            said.append("bad-reply")
            reader.clear()
            owed.clear()
        yield said


def as_recorded(chunks):
    return chunks


def whole(chunks):
    return [b"".join(chunks)] if chunks else []


def one_by_one(chunks):
    return [bytes([byte]) for chunk in chunks for byte in chunk]


CUTS = [as_recorded, whole, one_by_one]


def dialect_of(path):
    return DIALECTS[path.name.partition("-")[0]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("cut", CUTS)
def test_replay(path, cut):
    _, exchanges = parse(path.read_text(encoding="utf-8"))
    assert list(replay(dialect_of(path), exchanges, cut)) == [exchange.said for exchange in exchanges]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("cut", CUTS)
def test_replay_with_a_push_in_front_of_each_reply(path, cut):
    _, exchanges = parse(path.read_text(encoding="utf-8"))
    push, says = PUSHES[dialect_of(path).name]
    for exchange in exchanges:
        if exchange.received:
            exchange.received.insert(0, push)
            exchange.said.insert(0, says)
    assert list(replay(dialect_of(path), exchanges, cut)) == [exchange.said for exchange in exchanges]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_tells_where_it_comes_from(path):
    comments, exchanges = parse(path.read_text(encoding="utf-8"))
    heads = dict(comment.split(": ", 1) for comment in comments)
    assert heads["kind"] in {"CAP", "DOC", "SYN"}  # captured from a printer, printed in a manual, made up
    assert all(heads[name] for name in ("model", "done", "source"))
    assert exchanges
    assert path.read_bytes().isascii()


def test_there_are_transcripts_of_every_language():
    assert {path.name.partition("-")[0] for path in FILES} == set(DIALECTS)
    assert len(FILES) >= 8


@pytest.mark.parametrize(
    "address",
    [
        "virtual://tspl",
        "virtual://tspl?media-empty=true&cover-open=true",
        "virtual://tspl?media-low=true&paused=true",
        "virtual://tspl?media-jam=true",
        "virtual://tspl?clone=short-status",
        "virtual://escpos",
        "virtual://escpos?media-empty=true&cover-open=true",
        "virtual://escpos?media-low=true&push=true",
        "virtual://escpos?trimmer-jam=true",
        "virtual://zpl",
        "virtual://zpl?media-empty=true&cover-open=true",
        "virtual://zpl?paused=true",
        "virtual://star",
        "virtual://star?media-empty=true&cover-open=true",
        "virtual://star?media-low=true&push=true",
    ],
)
def test_what_a_trace_writes_can_be_replayed(address):
    out = io.StringIO()
    transcript = Transcript(out, "a virtual printer")
    with rawprint.open(address, wrap=lambda inner: Trace(inner, transcript), observer=transcript.decoded) as printer:
        for _ in range(2):
            printer.status()
        printer.print(b"\r\n" * 50)
    comments, exchanges = parse(out.getvalue())
    assert comments == ["a virtual printer", "closed"]
    assert exchanges[-1].sent == b"\r\n" * 50
    assert sum(bool(exchange.said) for exchange in exchanges) >= 2
    dialect = DIALECTS[rawprint.parse_address(address).dialect]
    for cut in CUTS:
        assert list(replay(dialect, exchanges, cut)) == [exchange.said for exchange in exchanges]


def test_a_line_that_is_none():
    for line in ("<12", "12", "* 12"):
        with pytest.raises(ValueError, match="line 2"):
            parse(f"# kind: SYN\n{line}\n")
    with pytest.raises(ValueError, match="non-hex"):
        parse("> 1g\n")
