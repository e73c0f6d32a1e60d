"""ESC/POS, the language of Epson's receipt printers and of most receipt clones.

Numbers are from the Epson ESC/POS Application Programming Guide (APG, Ver. 10): DLE EOT, ASB (`GS a`) p.316-320,
block replies p.429-430 and 469, and from clones' manuals where they agree. Replies are told apart by
their fixed bits: DLE EOT is 0xx1xx10, the first ASB byte 0xx1xx00, the other three 0xx0xxxx.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.dialects.base import PUSHES, Decoded, Dialect, Query, combine, plain
from rawprint.errors import BadReply
from rawprint.status import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Real-time, answered by every ESC/POS printer whose manual we read, also offline and with a full buffer. No other
# n is ever sent: a printer that does not know it prints the surplus byte.
PRINTER = Query("dle-eot-1", b"\x10\x04\x01", required=True)
OFFLINE_CAUSE = Query("dle-eot-2", b"\x10\x04\x02")
ERROR_CAUSE = Query("dle-eot-3", b"\x10\x04\x03")
PAPER = Query("dle-eot-4", b"\x10\x04\x04")

# `GS I n` (APG p.469), carried out in the order of the data: clones' manuals do not all list it, and they lie there
# (Rongta's says EPOSN, TM-T88V. UNCONFIRMED).
MAKER = Query("gs-i-66", b"\x1dIB")
MODEL = Query("gs-i-67", b"\x1dIC")
SERIAL = Query("gs-i-68", b"\x1dID")
FIRMWARE = Query("gs-i-65", b"\x1dIA")
_IDENTITY = {MAKER: "make", MODEL: "model", SERIAL: "serial", FIRMWARE: "firmware"}

# Answered when what stands before them is printed (GS ( H, APG p.429; not on TM-T88III, U220, U230, U210 and others,
# p.425) or was carried out (GS r). At paper end a printer carries out nothing, and clones have the bits of GS r the
# other way round (HPRT TP80K): so it says nothing about paper, only "I have come so far".
PROCESS_ID = Query("process-id", b"\x1d(H\x06\x0000rawp")
TRANSMIT_STATUS = Query("gs-r", b"\x1dr\x01")
_PROCESS_ID_REPLY = b"\x37\x22rawp\x00"

_XON_XOFF = b"\x11\x13"
_BLOCK_HEADERS = b"\x35\x37\x39\x3b\x3d\x5f"
_TEXT_BLOCK = 0x5F
_BLOCK_MAX = 96  # GS I answers hold at most 80 characters (APG p.469)

_STATUS = (PRINTER, OFFLINE_CAUSE, ERROR_CAUSE, PAPER)
_ERROR_OCCURRED = 0x40  # DLE EOT 2


def _errors(byte: int) -> dict[Reason, bool]:
    """DLE EOT 3 and the second ASB byte share these bits."""
    return {
        Reason.TRIMMER_JAM: bool(byte & 0x08),
        # 0x04 mechanical or black-mark error, 0x20 unrecoverable; clones that do not define 0x04 keep it 0.
        Reason.OTHER: bool(byte & 0x24),
        # "Auto-recoverable": the head is too hot, or the cover was opened while printing.
        Reason.OVER_TEMPERATURE: bool(byte & 0x40),
    }


def _without_cover(reasons: dict[Reason, bool]) -> dict[Reason, bool]:
    """An open cover raises the auto-recoverable error, too; only with a closed one it means heat."""
    if reasons.get(Reason.COVER_OPEN) and reasons.get(Reason.OVER_TEMPERATURE):
        del reasons[Reason.OVER_TEMPERATURE]
    return reasons


@lru_cache(maxsize=1024)
def _real_time(byte: int, query: Query) -> Decoded:
    drawer_high = None
    if query is PRINTER:
        reasons = {Reason.OFFLINE: bool(byte & 0x08)}
        drawer_high = bool(byte & 0x04)
    elif query is OFFLINE_CAUSE:
        reasons = {Reason.COVER_OPEN: bool(byte & 0x04), Reason.FEED_BUTTON: bool(byte & 0x08)}
        if byte & 0x20:  # "printing stopped by paper end": clear, it does not say that there is paper
            reasons[Reason.MEDIA_EMPTY] = True
        if byte & _ERROR_OCCURRED:
            reasons[Reason.OTHER] = True
    elif query is ERROR_CAUSE:
        reasons = _errors(byte)
    else:
        reasons = {Reason.MEDIA_LOW: bool(byte & 0x0C), Reason.MEDIA_EMPTY: bool(byte & 0x60)}
    return Decoded(1, query, MappingProxyType(reasons), drawer_high=drawer_high)


def _automatic(buffer: bytes) -> Decoded | None:
    """Four bytes of automatic status; XON and XOFF may stand between them on a serial line (APG p.319)."""
    block = [buffer[0]]
    for used, byte in enumerate(buffer[1:_BLOCK_MAX], 2):
        if byte in _XON_XOFF:
            continue
        if byte & 0x90:
            raise BadReply("an automatic status that breaks off", raw=buffer)
        block.append(byte)
        if len(block) == 4:
            first, second, third = block[:3]
            reasons = {
                Reason.OFFLINE: bool(first & 0x08),
                Reason.COVER_OPEN: bool(first & 0x20),
                Reason.FEED_BUTTON: bool(first & 0x40),
                **_errors(second),
                Reason.MEDIA_LOW: bool(third & 0x03),
                Reason.MEDIA_EMPTY: bool(third & 0x0C),
            }
            return Decoded(used, None, _without_cover(reasons), drawer_high=bool(first & 0x04))
    if len(buffer) >= _BLOCK_MAX:
        raise BadReply("an automatic status without an end", raw=buffer)
    return None


def _block(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """A block reply, to `GS I` or `GS ( H`, ours or one in a job: header, text, NUL."""
    end = buffer.find(b"\0", 1, _BLOCK_MAX)
    if end > 0:
        if buffer[: end + 1] == _PROCESS_ID_REPLY and PROCESS_ID in asked:
            return Decoded(end + 1, PROCESS_ID)
        question = next((query for query in asked if query in _IDENTITY), None) if buffer[0] == _TEXT_BLOCK else None
        if question is None:
            return Decoded(end + 1)
        text = buffer[1:end].decode("ascii", "replace").strip()
        shown = "".join(each if each.isprintable() else "\ufffd" for each in text)
        return Decoded(end + 1, question, identity=MappingProxyType({_IDENTITY[question]: shown} if shown else {}))
    if len(buffer) >= _BLOCK_MAX:
        raise BadReply("a block without an end", raw=buffer)
    return None


def decode(buffer: bytes, asked: tuple[Query, ...]) -> Decoded | None:
    """See `Dialect.decode`."""
    first = buffer[0]
    if first & 0x93 == 0x12:
        question = next((query for query in asked if query in _STATUS), None)
        if question is None:
            raise BadReply("a real-time status that nobody asked for", raw=buffer)
        return _real_time(first, question)
    if first & 0x93 == 0x10:
        return _automatic(buffer)
    if first in _XON_XOFF:
        return Decoded(1)
    if first in _BLOCK_HEADERS:
        return _block(buffer, asked)
    if first & 0x90 == 0 and TRANSMIT_STATUS in asked:
        return Decoded(1, TRANSMIT_STATUS)
    raise BadReply("no ESC/POS status", raw=buffer)


def conclude(answers: Mapping[str, Decoded]) -> dict[Reason, bool]:
    """See `Dialect.conclude`.

    All four replies look alike, so a printer that answers one question behind cannot be seen in their bits; but
    an error's cause without "error occurred" (DLE EOT 2 bit 6) can only be another question's answer.
    """
    reasons = combine(answers.values())
    cause, error = answers.get(OFFLINE_CAUSE.name), answers.get(ERROR_CAUSE.name)
    if cause is not None and error is not None:
        occurred = cause.reasons.get(Reason.OTHER, False)
        known = any(error.reasons.values())
        if known and not occurred:
            raise BadReply("an error's cause without an error: the answers belong to other questions")
        if occurred and known and not error.reasons[Reason.OTHER]:
            reasons[Reason.OTHER] = False  # the cause is known by its name
    return _without_cover(reasons)


def _note(lines: Sequence[str]) -> bytes:
    return b"\x1b@" + "".join(f"{plain(line)}\n" for line in lines).encode() + b"\n" * 4 + b"\x1dV\x01"


ESCPOS = Dialect(
    name="escpos",
    commands=("ESC/POS", "ESCPOS", "EPSON", "ESC/P"),
    queries=_STATUS,
    decode=decode,
    conclude=conclude,
    max_reply=_BLOCK_MAX + 1,
    # ESC p m t1 t2: on for 2 * t1 ms, off for 2 * t2 ms; DLE DC4 1 m t: on for 100 * t ms. Pin 2 is m = 0, pin 5 m = 1.
    drawer=MappingProxyType({2: b"\x1bp\x00\x32\xfa", 5: b"\x1bp\x01\x32\xfa"}),
    drawer_real_time=MappingProxyType({2: b"\x10\x14\x01\x00\x01", 5: b"\x10\x14\x01\x01\x01"}),
    identity=(MAKER, MODEL, SERIAL, FIRMWARE),
    fences=(PROCESS_ID, TRANSMIT_STATUS),
    push_on=b"\x1da\xff",  # every item, as Epson's LAN cards do it (UB-E02 p.4-6); reports once, then each change
    push_off=b"\x1da\x00",  # the default of most (APG p.316)
    makers=MappingProxyType(
        {
            "EPSON": (PUSHES,),  # APG p.316: every model of the guide
            "CITIZEN": (PUSHES,),  # command manuals of CT-S2000, S310, D150, PPU-700
        }
    ),
    # DLE DC4 8: clears both buffers, and answers 37 25 00 (TM-T90, Citizen CT-S, TM-U590).
    # NUL is no character (it is ignored), and this ends modes; what is printed already stays.
    copy_mark=b"\x1b@** POSSIBLE COPY **\n",
    resync=b"\x1b@",
    cancel=b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08",
    note=_note,
    test_print=b"\x1b@rawprint: a test print\n\n"
    b"0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ\n" + b"\n" * 4 + b"\x1dV\x01",  # a partial cut: all that many clones have
)
