"""The channel "star": the automatic status (ASB) that Star's network cards hand out at TCP port 9101.

The port and its request are from the IFBD-HE07/08 manual (p.3-9: '2' and 50 bytes, zeros recommended; 8 sessions; the
card closes after the answer). The status is from the Star Line Mode specification (p.5-9 to 5-15) and the TSP700
manual (p.44 to 47).
"""

from __future__ import annotations

from rawprint.channels.base import Channel, Report, always
from rawprint.errors import BadReply
from rawprint.status import Reason

_QUERY = b"2" + bytes(50)

# First byte: 0xx0xxx1, its free bits are the length. All others: 0xx0xxx0.
_FIXED = 0x91
_SHORTEST = 7
# Over a network the second byte has bit 7 set, and the length of other data (none here), 2 bytes, follows the status.
_LENGTH_FOLLOWS = 0x80
_LENGTH = 2

# (place, bits, reason). Not used: byte 2 bit 2, the level of the drawer's switch, as which level means open depends on the
# drawer; bit 6, offline by its switch, which bit 3 says, too; byte 4 bit 5, a wrong command in a job.
_BITS = (
    (2, 0x08, Reason.OFFLINE),
    (2, 0x20, Reason.COVER_OPEN),
    (3, 0x04, Reason.OTHER),  # mechanical error
    (3, 0x08, Reason.TRIMMER_JAM),
    (3, 0x20, Reason.OTHER),  # unrecoverable error
    (3, 0x40, Reason.OVER_TEMPERATURE),
    (4, 0x02, Reason.COVER_OPEN),  # head up
    (4, 0x04, Reason.MEDIA_JAM),  # presenter
    (4, 0x08, Reason.OTHER),  # black mark not found
    (4, 0x40, Reason.INPUT_BUFFER_FULL),
    (5, 0x04, Reason.MEDIA_LOW),
    (5, 0x08, Reason.MEDIA_EMPTY),
)


def automatic_status(buffer: bytes) -> tuple[int, dict[Reason, bool]] | None:
    """The automatic status at the head of the buffer.

    Returns:
        How many bytes it took, and what it says; None where more is needed.

    Raises:
        BadReply: It is none.
    """
    first = buffer[0]
    if first & _FIXED != 0x01:
        raise BadReply("no Star status", raw=buffer)
    size = first >> 2 & 0x18 | first >> 1 & 0x07
    if size < _SHORTEST:
        raise BadReply("a Star status that is too short", raw=buffer)
    head = buffer[:size]
    if any(byte & _FIXED & ~(_LENGTH_FOLLOWS if place == 1 else 0) for place, byte in enumerate(head[1:], 1)):
        raise BadReply("a Star status that breaks off", raw=buffer)
    if len(head) < size:
        return None
    used = size
    if head[1] & _LENGTH_FOLLOWS:
        used += _LENGTH
        if len(buffer) < used:
            return None
    reasons: dict[Reason, bool] = {}
    for place, bit, reason in _BITS:
        reasons[reason] = reasons.get(reason, False) or bool(head[place] & bit)
    return used, reasons


def decode(reply: bytes, _request: bytes) -> Report | None:
    """See `Channel.decode`. Some cards send the status twice: the first one counts."""
    status = automatic_status(reply)
    return None if status is None else Report(status[1])


STAR = Channel(name="star", protocol="tcp", port=9101, questions=(always(_QUERY),), decode=decode)
