"""The channel "epson": ENPC, by which Epson's network cards tell a receipt printer's state at UDP port 3289.

Frame and function number are from the UB-E02 Technical Reference Guide, section 4.7 (p.4-7): query "EPSONQ", device type
03, number 00, function 0010 "acquires status". What the reply holds is known from a TM-m30 (wes4m.io/posts/epson_rev) and
from another recording, of a TM-m30II with a UB-E04 card; both said

    EPSONq 03 00 00 10  00 00  00 0d | 0e | 14 00 00 0f | ff ff ff ff | 39 41 40 00
                        result length  ?    ASB           ink           more

with the four bytes of automatic status (`GS a`) that the same printer sends at port 9100. UNCONFIRMED: no reply of a
printer in trouble was seen, so it is asked only where the configuration names it.
"""

from __future__ import annotations

from rawprint.channels.base import Channel, Report, always
from rawprint.dialects.escpos import ESCPOS
from rawprint.errors import BadReply

_QUERY = b"EPSONQ\x03\x00\x00\x10\x00\x00\x00\x00"
_REPLY = b"EPSONq\x03\x00\x00\x10"
_HEADER = 14
_ASB = slice(_HEADER + 1, _HEADER + 5)
_OK, _NO_DEVICE, _UNSUPPORTED = b"\x00\x00", b"\xff\xfe", b"\xff\xff"


def decode(reply: bytes, _request: bytes) -> Report | None:
    """See `Channel.decode`."""
    if len(reply) < _HEADER or not reply.startswith(b"EPSON"):
        raise BadReply("no ENPC reply", raw=reply)
    if not reply.startswith(_REPLY):
        return None  # to another program's question
    if reply[10:12] in (_NO_DEVICE, _UNSUPPORTED):
        return Report()
    if reply[10:12] != _OK or int.from_bytes(reply[12:_HEADER], "big") != len(reply) - _HEADER:
        raise BadReply("a broken ENPC reply", raw=reply)
    status = reply[_ASB]
    try:
        automatic = ESCPOS.decode(status, ()) if status else None
    except BadReply:
        automatic = None
    if automatic is None or not automatic.reasons:  # other replies of the language report nothing
        raise BadReply("an ENPC reply without an automatic status", raw=reply)
    return Report(automatic.reasons)


EPSON = Channel(name="epson", protocol="udp", port=3289, questions=(always(_QUERY),), decode=decode)
