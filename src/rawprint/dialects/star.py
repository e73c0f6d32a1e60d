"""Star Line Mode and StarPRNT, the language of Star's receipt printers, with the one decoder of their automatic status.

Numbers are from Star's STAR Line Mode Command Specifications, LT (line thermal printers) and HSP (HSP7000, Rev. 0.00),
and SP (STAR Command Specifications of the dot impact printers, Rev. 0.70). Replies are told apart by their
fixed bits (HSP p.5-11): the first byte of an automatic status (ASB) is 0xx0xxx1, all its others are 0xx0xxx0, XON is 11 and
XOFF is 13; what answers a command in the data begins with ESC. An answer to `ESC ACK SOH` and what a printer pushes are
the same bytes, and both say how the printer is when it sends them: the first to come answers.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.dialects.base import Decoded, Dialect, Query, plain
from rawprint.errors import BadReply
from rawprint.status import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

# Real-time, answered in every error (SP p.3-73). The manuals say both that it is "not used when ASB is valid" (LT p.3-54)
# and that it works whether ASB is valid or not (SP p.5-2); receiptio and ReceiptPrinterStatus send it regardless.
STATUS = Query("asb", b"\x1b\x06\x01", required=True)
# An answer cannot show which question it answers, and clones answer one behind, even on the next connection (fabienbellanger/
# escpos-rs issue 18): so a printer that says that nothing is wrong is asked again. The second answer is of now at least.
AGAIN = Query("asb-again", STATUS.request, unless_stopped=True)
# Carried out when printing comes to it, and it waits until the motor stops; whether or not ASB is valid (LT p.3-56). `ETB`
# is no such question: it is answered only where ASB is valid, to all hosts at once, and looks like any other change.
PRINT_END = Query("print-end-counter", b"\x1b\x1d\x03\x01\x00\x00")
# Carried out in the order of the data (HSP p.3-87).
VERSION = Query("version", b"\x1b#*\n\x00")

_XON_XOFF = b"\x11\x13"
_FIXED = 0x91  # the bits that tell replies apart
_SHORTEST = 7  # up to the seventh byte: the oldest printers'
_BLOCK_MAX = 96  # bytes in which a status must end, with all XON and XOFF; the longest without them has 31
# Over a network bit 7 of the second byte is set, and after the status come a length, 2 bytes, and so much of other data:
# none, unless somebody asked for it (HSP p.5-12). That the length is big-endian is UNCONFIRMED.
_LENGTH_FOLLOWS = 0x80
_LENGTH = 2
_OTHER_MAX = 0x200

# (place, bits, reason). Not used: byte 2 bit 1, "ETB executed"; byte 4 bit 5, a wrong command in a job; byte 6 (slip,
# presenter), 7 (ETB counter), 8 (presenter).
_BITS = (
    (2, 0x48, Reason.OFFLINE),  # bit 6: by its switch
    (2, 0x20, Reason.COVER_OPEN),
    (3, 0x04, Reason.OTHER),  # mechanical error
    (3, 0x08, Reason.TRIMMER_JAM),
    (3, 0x20, Reason.OTHER),  # unrecoverable error
    (3, 0x40, Reason.OVER_TEMPERATURE),
    (4, 0x02, Reason.COVER_OPEN),  # head up
    (4, 0x04, Reason.MEDIA_JAM),  # presenter
    (4, 0x08, Reason.OTHER),  # black mark not found
    (4, 0x40, Reason.INPUT_BUFFER_FULL),
    (5, 0x06, Reason.MEDIA_LOW),  # bit 2: the roll's inner side; bit 1: its outer side (HSP p.5-10)
    (5, 0x08, Reason.MEDIA_EMPTY),
)

_DRAWER_SWITCH = 0x04  # byte 2: the drawer's switch is closed, which is called high here

_COUNTER_HEAD = b"\x1b\x1d\x03"
_COUNTER = 8  # ESC GS ETX s n1 n2, the counter, NUL
_VERSION_HEAD = b"\x1b#*,"
_VERSION_END = b"\n\x00"
_VERSION_TEXT = re.compile(r"(.+?)\s*Ver\.?\s*([0-9][0-9A-Za-z.]*)", re.IGNORECASE)


def automatic_status(buffer: bytes) -> Decoded | None:
    """The automatic status at the head of the buffer, which is not empty; None where more is needed.

    Raises:
        BadReply: It is none.
    """
    first = buffer[0]
    size = first >> 2 & 0x18 | first >> 1 & 0x07
    if first & _FIXED != 0x01 or size < _SHORTEST:
        raise BadReply("no Star status", raw=buffer)
    block = bytearray(buffer[:1])
    used = 1
    for byte in buffer[1:_BLOCK_MAX]:
        used += 1
        if byte in _XON_XOFF:
            continue
        if byte & _FIXED & ~(_LENGTH_FOLLOWS if len(block) == 1 else 0):
            raise BadReply("a Star status that breaks off", raw=buffer)
        block.append(byte)
        if len(block) == size:
            break
    if len(block) < size:
        if used == _BLOCK_MAX:
            raise BadReply("a Star status without an end", raw=buffer)
        return None
    if block[1] & _LENGTH_FOLLOWS:
        used += _LENGTH
        if len(buffer) < used:
            return None
        other = int.from_bytes(buffer[used - _LENGTH : used], "big")
        if other > _OTHER_MAX:
            raise BadReply("a Star status with too much behind it", raw=buffer)
        used += other
        if len(buffer) < used:
            return None
    reasons: dict[Reason, bool] = {}
    for place, bits, reason in _BITS:
        reasons[reason] = reasons.get(reason, False) or bool(block[place] & bits)
    return Decoded(used, reasons=MappingProxyType(reasons), drawer_high=bool(block[2] & _DRAWER_SWITCH))


def _answers(query: Query, asked: tuple[Query, ...]) -> Query | None:
    """The query, where it was asked: a job's own question has an answer, too."""
    return query if query in asked else None


def _text(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """What answers a command in the data: the print-end counter, or the version."""
    if _begin_alike(buffer, _COUNTER_HEAD):
        if len(buffer) < _COUNTER:
            return None
        if buffer[_COUNTER - 1]:
            raise BadReply("no Star print-end counter", raw=buffer)
        return Decoded(_COUNTER, _answers(PRINT_END, asked) if buffer.startswith(PRINT_END.request) else None)
    if not _begin_alike(buffer, _VERSION_HEAD):
        raise BadReply("no Star reply", raw=buffer)
    end = buffer.find(_VERSION_END, 0, _BLOCK_MAX)
    if end < 0:
        if len(buffer) >= _BLOCK_MAX:
            raise BadReply("a version without an end", raw=buffer)
        return None
    text = buffer[len(_VERSION_HEAD) : end].decode("ascii", "replace").strip()
    if not text.isprintable():
        raise BadReply("no Star version", raw=buffer)
    found = _VERSION_TEXT.fullmatch(text)
    identity = {"model": found[1], "firmware": found[2]} if found else {"firmware": text} if text else {}
    return Decoded(end + len(_VERSION_END), _answers(VERSION, asked), identity=MappingProxyType(identity))


def _begin_alike(one: bytes, other: bytes) -> bool:
    """Whether the shorter of them is how the longer one begins."""
    return one.startswith(other) or other.startswith(one)


def decode(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """See `Dialect.decode`."""
    if buffer[0] in _XON_XOFF:
        return Decoded(1)
    if buffer[0] == 0x1B:
        return _text(buffer, asked)
    status = automatic_status(buffer)
    return status and status._replace(answers=next((query for query in asked if query in (STATUS, AGAIN)), None))


def _note(lines: Sequence[str]) -> bytes:
    return b"\x1b@" + "".join(f"{plain(line)}\n" for line in lines).encode() + b"\x1bd\x03"


STAR = Dialect(
    name="star",
    commands=("STAR", "STARPRNT", "STARLINE"),
    queries=(STATUS, AGAIN),
    decode=decode,
    max_reply=_BLOCK_MAX + _LENGTH + _OTHER_MAX + 1,
    # ESC BEL n1 n2 BEL: device 1, on for 10 * n1 ms; SUB: device 2, on for 200 ms (LT p.3-45 to 3-47). That these are pins 2 and
    # 5 is UNCONFIRMED. No real-time form: `FS` is one by SP p.3-50 and waits in the buffer by LT p.3-46.
    drawer=MappingProxyType({2: b"\x1b\x07\x14\x14\x07", 5: b"\x1a"}),
    identity=(VERSION,),
    fences=(PRINT_END,),
    # ESC RS a n: bit 0 is ASB; bit 1 is NSB, the status for a host that connects, which newer models have and n = 1 would
    # switch off (LT p.3-1, 3-53). `ESC @` does not end it; wireless cards ignore it.
    push_on=b"\x1b\x1ea\x03",
    push_off=b"\x1b\x1ea\x00",
    makers=MappingProxyType(
        {"STAR": (VERSION.name,)}
    ),  # HSP, LT and SP list it; unknown commands they discard (LT p.3-2)
    # Ends raster mode; then as in ESC/POS.
    copy_mark=b"\x1b@** POSSIBLE COPY **\n",
    resync=b"\x1b*rB\x1b@",
    cancel=b"\x18",  # CAN, at once, not in the order of the data (LT p.3-63); inside an image it is image
    # Centred text, and a partial cut after feeding to the cutter (LT p.3-31, 3-44).
    note=_note,
    test_print=b"\x1b@\x1b\x1da\x01rawprint\nThis is a test print.\nNothing was sold.\n\x1bd\x03",
)
