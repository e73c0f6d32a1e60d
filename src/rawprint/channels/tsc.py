"""The channel "tsc": the state that TSC's network cards tell in their answer to a search, at UDP port 22368.

Request, offsets and codes are those of TSC's own C# library (tsclibnet, 2021), which maps the codes onto the byte that
`ESC !?` answers with; two Java libraries of TSC's agree on the offsets. The libraries broadcast the request; here it goes
to the one printer. UNCONFIRMED on hardware: so it is asked only where the configuration names it.
"""

from __future__ import annotations

from rawprint.channels.base import Channel, Report, always
from rawprint.dialects.tspl import STATUS, TSPL
from rawprint.errors import BadReply
from rawprint.status import Reason

_QUERY = bytes.fromhex(
    "00 32 00 01 00 01 01 00 00 02 00 00 00 01 00 00 01 00 00 00 00 00 ff ff ff ff ff ff 00 00 00 00"
)
_SHORTEST = 48  # holds the printer's IP address at 44
_CODE = slice(40, 42)
# Code -> `ESC !?`.
_STATES = {
    b"\x00\x00": 0x00,
    b"\x20\x00": 0x10,  # pause
    b"\x01\x00": 0x20,  # printing
    b"\x03\x01": 0x01,  # head open
    b"\x03\x02": 0x02,  # jam
    b"\x03\x03": 0x03,
    b"\x03\x04": 0x04,  # out of paper
    b"\x03\x05": 0x05,
    b"\x03\x08": 0x08,  # out of ribbon
    b"\x03\x09": 0x09,
    b"\x03\x10": 0x0A,
    b"\x03\x11": 0x0B,
    b"\x03\x12": 0x0C,
    b"\x03\x40": 0x80,  # other
}
_ERROR = 0x03


def decode(reply: bytes, request: bytes) -> Report | None:
    """See `Channel.decode`."""
    if reply == request:
        return None  # a search that somebody else broadcasts from the printer's address, or an echo
    if len(reply) < _SHORTEST:
        raise BadReply("no TSC search answer", raw=reply)
    code = reply[_CODE]
    state = _STATES.get(code)
    if state is None:
        if code[0] != _ERROR:
            raise BadReply(f"an unknown state {code.hex(' ')}", raw=reply)
        return Report({Reason.OTHER: True})  # an error without a name; of the others it says nothing
    short = TSPL.decode(bytes([state]), (STATUS,))
    if short is None:
        raise BadReply("no TSPL status", raw=reply)
    return Report(short.reasons, short.processing)


TSC = Channel(name="tsc", protocol="udp", port=22368, questions=(always(_QUERY),), decode=decode)
