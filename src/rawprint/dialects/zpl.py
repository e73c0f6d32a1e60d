"""ZPL II, the language of Zebra's label printers and of many others that emulate it.

Numbers are from Zebra's ZPL programming guide (ZDOC: the page of each command on docs.zebra.com; Z06: part 45541L-004, pages
171 and 179) and from lprint's driver (LP: lprint-zpl.c). `~HQES` and `~HS` are answered as they arrive, not in the order of the
data. Zebra says today that nothing answers `~HS` while media or ribbon is out, the head open or too hot; a captured ZQ630 does
all the same. So `~HQES` goes first, and `~HS` only where that finds nothing.
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

# Older printers and many clones do not know the first one, others only that. lprint sends it with a line feed.
ERRORS = Query("hqes", b"~HQES\n")
HOST_STATUS = Query("hs", b"~HS\n", unless_stopped=True)
# An answer cannot show which question it answers, and clones answer one behind, even on the next connection. Where both questions
# are answered a wrong one shows; a printer that knows one of them alone and says that nothing is wrong is asked again.
ERRORS_AGAIN = Query("hqes-again", ERRORS.request, required=True, unless_stopped=True, unless_answered=HOST_STATUS.name)
HOST_STATUS_AGAIN = Query(
    "hs-again", HOST_STATUS.request, required=True, unless_stopped=True, unless_answered=ERRORS.name
)
HOST_ID = Query("hi", b"~HI\n", harmless=True)  # Z06 p.169; text outside a format prints nothing

_STX, _ETX = 0x02, b"\x03"
_XON_XOFF = b"\x11\x13"
_LINE_ENDS = b"\r\n"
_FRAME_MAX = 512  # bytes; the captured ~HQES has 150, ~HS 80
_TEXT = re.compile(rb"[\x20-\x7e\r\n]*")

# `~HQES`: a flag, group 2 and group 1, eight hex digits each; white space varies.
_FLAGS = re.compile(
    rb"\s*PRINTER STATUS\s+ERRORS:\s*([01])\s+([0-9A-Fa-f]{8})\s+([0-9A-Fa-f]{8})"
    rb"\s+WARNINGS:\s*([01])\s+([0-9A-Fa-f]{8})\s+([0-9A-Fa-f]{8})\s*"
)
_ERRORS = (
    (0x00000001, Reason.MEDIA_EMPTY),
    (0x00000002, Reason.MARKER_SUPPLY_EMPTY),
    (0x00000004, Reason.COVER_OPEN),  # head open
    (0x00000008, Reason.TRIMMER_JAM),
    (0x00000010, Reason.OVER_TEMPERATURE),  # print head
    (0x00000020, Reason.OVER_TEMPERATURE),  # motor (ZDOC alone)
    (0x00001000, Reason.MEDIA_JAM),  # in the presenter, while it was retracted
    (0x00004000, Reason.MEDIA_JAM),  # paper feed error
    (0x00008000, Reason.MEDIA_JAM),  # the paper path could not be cleared
    (0x00010000, Reason.PAUSED),  # LP alone; UNCONFIRMED
)
_NAMED = 0x0001D03F  # the bits above; any other error, of either group, is one that IPP has no word for
_ALWAYS = (  # what every printer with ~HQES reports; of the others a clear bit says nothing
    Reason.MEDIA_EMPTY,
    Reason.MARKER_SUPPLY_EMPTY,
    Reason.COVER_OPEN,
    Reason.TRIMMER_JAM,
    Reason.OVER_TEMPERATURE,
)
_PAPER_NEAR_END = 0x00000008  # LP alone; UNCONFIRMED

# `~HS`: three frames. One project leaves out the unused second field of line 2 and reads all behind it shifted by one. The
# label length has four digits there, and `^LL` takes lengths of five.
_HOST_STATUS = re.compile(
    rb"\x02(?P<serial>\d{3}),(?P<paper_out>[01]),(?P<pause>[01]),\d{1,5},(?P<formats>\d{3}),(?P<full>[01]),"
    rb"(?P<dump>[01]),(?P<partial>[01]),\d{3},(?P<ram>[01]),(?P<cold>[01]),(?P<hot>[01])\x03\r\n"
    rb"\x02\d{3},\d,(?P<head_up>[01]),(?P<ribbon_out>[01]),[01],[0-9A-Z],\d,(?P<waiting>[01]),(?P<labels>\d{8}),\d,\d{3}"
    rb"\x03\r\n\x02[^\x03]{1,4},\d\x03\r\n"
)
_HOST_STATUS_MAX = 128
_HOST_ID = re.compile(rb"([^,]{1,40}),([^,]{1,40}),(\d{1,2}),([^,]{1,16})(?:,.{0,100})?", re.DOTALL)


@lru_cache(maxsize=64)
def _flags(frame: bytes) -> Decoded | None:
    found = _FLAGS.fullmatch(frame)
    if found is None:
        return None
    error, group2, group1 = found[1] == b"1", int(found[2], 16), int(found[3], 16)
    reasons: dict[Reason, bool] = dict.fromkeys(_ALWAYS, False)
    for bit, reason in _ERRORS:
        if group1 & bit:
            reasons[reason] = True
    # An error that says no more, or more than is known, is still one.
    reasons[Reason.OTHER] = bool(group2 or group1 & ~_NAMED or (error and not group1))
    if int(found[6], 16) & _PAPER_NEAR_END:
        reasons[Reason.MEDIA_LOW] = True
    return Decoded(0, ERRORS, MappingProxyType(reasons))


def _host_status(buffer: bytes) -> Decoded | None:
    found = _HOST_STATUS.match(buffer)
    if found is None:
        frames = buffer.split(_ETX, 3)
        over = len(frames) > 3 and frames[3] not in (b"", b"\r")
        if over or len(buffer) >= _HOST_STATUS_MAX:
            raise BadReply("no ZPL host status", raw=buffer)
        return None

    def is_set(name: str) -> bool:
        return found[name] == b"1"

    reasons = {
        Reason.MEDIA_EMPTY: is_set("paper_out"),
        Reason.PAUSED: is_set("pause"),
        Reason.COVER_OPEN: is_set("head_up"),
        Reason.MARKER_SUPPLY_EMPTY: is_set("ribbon_out"),
        Reason.OVER_TEMPERATURE: is_set("hot"),
        Reason.LABEL_WAITING: is_set("waiting"),
        Reason.INPUT_BUFFER_FULL: is_set("full"),
        # The diagnostic mode, in which it prints all that it gets as hex; and a head that is "too cold to print" (Zebra, AirWatch
        # guide P1058563-003 p.55). Lost settings stop nothing that any source knows of.
        Reason.OTHER: is_set("dump") or is_set("cold"),
    }
    processing = bool(int(found["formats"]) or int(found["labels"]) or is_set("partial"))
    return Decoded(found.end(), HOST_STATUS, MappingProxyType(reasons), processing)


def _host_id(frame: bytes) -> Decoded | None:
    found = _HOST_ID.fullmatch(frame)
    if found is None:
        return None
    model, firmware, dots, memory = (each.decode("ascii").strip() for each in found.groups()[:4])
    identity = {"model": model, "firmware": firmware, "dots per mm": dots, "memory": memory}
    return Decoded(0, HOST_ID, identity=MappingProxyType(identity))


def decode(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """See `Dialect.decode`.

    Nothing here comes unasked: an answer that nobody waits for belongs to another question, and so may the next one.
    """
    if buffer[0] in _XON_XOFF or buffer[0] in _LINE_ENDS:  # the second: behind a frame
        return Decoded(1)
    if buffer[0] != _STX:
        raise BadReply("no ZPL reply", raw=buffer)
    end = buffer.find(_ETX, 1, _FRAME_MAX)
    frame = buffer[1:end] if end > 0 else buffer[1:_FRAME_MAX]
    if not _TEXT.fullmatch(frame):
        raise BadReply("no ZPL reply", raw=buffer)
    if end < 0:
        if len(buffer) >= _FRAME_MAX:
            raise BadReply("a ZPL reply without an end", raw=buffer)
        return None
    if decoded := _flags(frame):
        decoded = decoded._replace(used=end + 1)
    elif re.match(rb"\d{3},", frame):
        decoded = _host_status(buffer)
    elif decoded := _host_id(frame):
        if (after := buffer[end + 1 : end + 3]) in (b"", b"\r"):
            return None
        if after != b"\r\n":
            raise BadReply("no ZPL reply", raw=buffer)
        decoded = decoded._replace(used=end + 3)
    else:
        raise BadReply("no ZPL reply", raw=buffer)
    if decoded is None or decoded.answers is None:
        return decoded
    answers = next((query for query in asked if query.request == decoded.answers.request), None)
    if answers is None:
        raise BadReply("an answer that nobody asked for", raw=buffer)
    return decoded._replace(answers=answers)


def _note(lines: Sequence[str]) -> bytes:
    text = "".join(f"^FO30,{30 + 35 * at}^A0N,25,25^FD{plain(line, '^~')}^FS" for at, line in enumerate(lines))
    return b"~JX\r\n^XA" + text.encode() + b"^XZ\r\n"


ZPL = Dialect(
    name="zpl",
    commands=("ZPL", "ZPL2", "ZPLII", "ZPL-II"),
    queries=(ERRORS, HOST_STATUS, ERRORS_AGAIN, HOST_STATUS_AGAIN),
    decode=decode,
    max_reply=_FRAME_MAX + 1,
    identity=(HOST_ID,),
    # Formats in the buffer, labels of the batch that remain, a format half received: clones that say the same for ever prove nothing.
    counters=HOST_STATUS.name,
    # Ends the format that is being received, and no other (Z06).
    copy_mark=b"^XA^FO30,30^A0N,40,40^FDPOSSIBLE COPY:^FS^XZ\r\n",
    resync=b"~JX\r\n",
    cancel=b"~JA",  # cancels all formats and batches, after the label being printed (Z06)
    # Measures label length and sets the media and ribbon sensors; feeds some labels (ZDOC, ~JC).
    calibrate=MappingProxyType({"auto": b"~JC"}),
    # No `push_on`: the alerts of `^SX` go out on another connection, which the host must listen on, and stay configured.
    # A format that was broken off would swallow it: `~JX` ends that one, and no other (Z06).
    note=_note,
    test_print=b"~JX\r\n^XA^FO30,30^A0N,30,30^FDrawprint: a test print^FS^FO30,75^A0N,25,25^FD0123456789 ABCDEF^FS^XZ\r\n",
)
