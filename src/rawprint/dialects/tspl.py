"""TSPL and TSPL2, the language of TSC's label printers and of most label clones.

Numbers are from the TSC TSPL/TSPL2 Programming Manual: `<ESC>!?` and `<ESC>!S` with their tables (2013 edition,
printed page 85 and its neighbours). Immediate commands (`ESC !`) are answered at once, also while the
printer is paused, printing or in error; `~!` commands are not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.dialects.base import Decoded, Dialect, Query, plain
from rawprint.errors import BadReply
from rawprint.status import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

STATUS = Query("status", b"\x1b!?", required=True)
STATUS_LONG = Query("status-long", b"\x1b!S")
# UNCONFIRMED: no manual that we found documents it; other software sends it, and it answers with the same frame.
STATUS_TILDE = Query("status-tilde", b"~!S\r\n", instead_of="status-long")

# Queued: answered when the printer is ready to process its buffer (TSC manual; ends with 0D).
MODEL = Query("model", b"~!T\r\n")
_TEXT = re.compile(rb"[ -~]{1,48}\r")
_TEXT_MAX = 49

# `ESC !?`: a mask. Bit 6 is an option of older manuals, bit 7 is "other error" in newer ones and "environment
# temperature over range" in older ones: both say only that something else is wrong.
_SHORT = (
    (0x01, Reason.COVER_OPEN),  # head open
    (0x40, Reason.COVER_OPEN),
    (0x02, Reason.MEDIA_JAM),  # also "gap not found"
    (0x04, Reason.MEDIA_EMPTY),
    (0x08, Reason.MARKER_SUPPLY_EMPTY),
    (0x10, Reason.PAUSED),
    (0x80, Reason.OTHER),
)
_PRINTING = 0x20

# `ESC !S`: 02 b1 b2 b3 b4 03 0D 0A, each b with 0x40 as its base. b1 is a code, b2..b4 are masks.
_BASE = 0x40
_FRAME_END = b"\x03\r\n"
_FRAME = 8
_PROCESSING_CODES = b"BCFPW"  # backing label, cutting, form feed, printing a batch, imaging
_WAITING_CODES = b"KL"  # for the print key, for the label to be taken
_PAUSE_CODE, _ERROR_CODE, _NORMAL_CODE = b"`E@"
_KNOWN_CODES = (*_PROCESSING_CODES, *_WAITING_CODES, _PAUSE_CODE, _ERROR_CODE, _NORMAL_CODE)
_ERROR1 = (
    (0x01, Reason.OVER_TEMPERATURE),  # print head
    (0x02, Reason.OVER_TEMPERATURE),  # stepper motor
    (0x04, Reason.OTHER),  # print-head error, firmware V7.01 EZ and newer
    (0x08, Reason.TRIMMER_JAM),
    (0x10, Reason.OTHER),  # out of memory
)
_ERROR2 = (
    (0x01, Reason.MEDIA_EMPTY),
    (0x02, Reason.MEDIA_JAM),
    (0x04, Reason.MARKER_SUPPLY_EMPTY),
    (0x08, Reason.OTHER),  # ribbon jam
    (0x20, Reason.COVER_OPEN),  # head open
)

# `{SS,NNNNN}` or `{SS,NNNNN,ID}` after a label, where a job said SET RESPONSE. UNCONFIRMED: so the frame is known,
# and never taken for a status, but what it says is not used.
_NOTICE = re.compile(rb"\{[0-9A-Fa-f]{2},[0-9]{5}(?:,[ -|~]*)?\}")
_NOTICE_MAX = 64


def _mask(table: tuple[tuple[int, Reason], ...], byte: int, reasons: dict[Reason, bool]) -> None:
    for bit, reason in table:
        reasons[reason] = reasons.get(reason, False) or bool(byte & bit)


@lru_cache(maxsize=512)
def _short(byte: int, *, alone: bool) -> Decoded:
    reasons: dict[Reason, bool] = {}
    _mask(_SHORT, byte, reasons)
    return Decoded(1, STATUS, MappingProxyType(reasons), bool(byte & _PRINTING), alone)


@lru_cache(maxsize=64)
def _long(frame: bytes, query: Query) -> Decoded:
    code, warning, error1, error2 = frame[1], frame[2] - _BASE, frame[3] - _BASE, frame[4] - _BASE
    reasons: dict[Reason, bool] = {}
    _mask(_ERROR1, error1, reasons)
    _mask(_ERROR2, error2, reasons)
    if code == _ERROR_CODE and not any(reasons.values()):
        reasons[Reason.OTHER] = True
    reasons[Reason.PAUSED] = code == _PAUSE_CODE
    reasons[Reason.LABEL_WAITING] = code in _WAITING_CODES
    reasons[Reason.INPUT_BUFFER_FULL] = bool(warning & 0x08)
    # Older firmware has no "low" bits (2013 manual: reserved): set means low, clear says nothing.
    if warning & 0x01:
        reasons[Reason.MEDIA_LOW] = True
    if warning & 0x02:
        reasons[Reason.MARKER_SUPPLY_LOW] = True
    return Decoded(
        _FRAME, query, MappingProxyType(reasons), code in _PROCESSING_CODES if code in _KNOWN_CODES else None
    )


def _is_frame(head: bytes) -> bool:
    """Whether these bytes can begin, or be, a long status."""
    body, end = head[1:5], head[5:_FRAME]
    return head[0] == 0x02 and all(0x40 <= b <= 0x7F for b in body) and _FRAME_END.startswith(end)


def _notice(buffer: bytes) -> Decoded | None:
    end = buffer.find(b"}", 0, _NOTICE_MAX)
    if end > 0:
        if not _NOTICE.match(buffer):
            raise BadReply("no TSPL notice", raw=buffer)
        return Decoded(end + 1)
    if len(buffer) >= _NOTICE_MAX:
        raise BadReply("a notice without an end", raw=buffer)
    return None


def _model(buffer: bytes) -> Decoded | None:
    """The answer to `~!T`: text that ends with a carriage return, and perhaps a line feed."""
    end = buffer.find(b"\r", 0, _TEXT_MAX)
    if end < 0 and len(buffer) < _TEXT_MAX and all(0x20 <= byte <= 0x7E for byte in buffer):
        return None
    if not (text := _TEXT.match(buffer)):
        raise BadReply("no TSPL model name", raw=buffer)
    used = end + 1 + (buffer[end + 1 : end + 2] == b"\n")
    return Decoded(used, MODEL, identity=MappingProxyType({"model": text[0].decode("ascii").strip()}))


def decode(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """See `Dialect.decode`."""
    if buffer[0] == 0x7B:
        return _notice(buffer)
    long = next((query for query in asked if query in (STATUS_LONG, STATUS_TILDE)), None)
    # A lone 02 is a jam, or the head of a frame; a notice may follow a jam.
    jam = STATUS in asked and buffer[1:2] in (b"", b"{")
    if buffer[0] == 0x02 and not jam:
        if not _is_frame(buffer[:_FRAME]) or long is None:
            raise BadReply("no TSPL status", raw=buffer)
        return _long(buffer[:_FRAME], long) if len(buffer) >= _FRAME else None
    if MODEL in asked and (STATUS not in asked or asked.index(MODEL) < asked.index(STATUS)):
        return _model(buffer)
    if STATUS not in asked:
        raise BadReply("bytes that nobody asked for", raw=buffer)
    return _short(buffer[0], alone=buffer == b"\x02")


def _note(lines: Sequence[str]) -> bytes:
    text = "".join(f'TEXT 10,{10 + 30 * at},"2",0,1,1,"{plain(line, chr(34))}"\r\n' for at, line in enumerate(lines))
    return b"\r\nCLS\r\n" + text.encode() + b"PRINT 1\r\n"


TSPL = Dialect(
    name="tspl",
    commands=("TSPL", "TSPL2", "TSPL-EZ"),
    queries=(STATUS, STATUS_LONG, STATUS_TILDE),
    decode=decode,
    max_reply=_NOTICE_MAX + 1,
    identity=(MODEL,),
    makers=MappingProxyType({"TSC": (MODEL.name,)}),  # its manual lists ~!T for every firmware
    cancel=b"\x1b!.",  # firmware V7.00 and newer
    # The line's end; then the image is cleared, which nobody has told to be printed.
    copy_mark=b'\r\nCLS\r\nTEXT 20,20,"3",0,1,1,"POSSIBLE COPY:"\r\nPRINT 1,1\r\n',
    resync=b"\r\nCLS\r\n",
    calibrate=MappingProxyType({"gap": b"GAPDETECT\r\n", "mark": b"BLINEDETECT\r\n", "auto": b"AUTODETECT\r\n"}),
    # The first line end closes half a command that may stand in the printer. SIZE and GAP are left as they are.
    note=_note,
    test_print=b"\r\nCLS\r\n" + b'TEXT 10,10,"2",0,1,1,"rawprint: a test print"\r\n'
    b'TEXT 10,40,"2",0,1,1,"0123456789 ABCDEF"\r\nPRINT 1\r\n',
)
