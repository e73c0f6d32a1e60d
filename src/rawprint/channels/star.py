"""The channel "star": the automatic status (ASB) that Star's network cards hand out at TCP port 9101.

The port and its request are from the IFBD-HE07/08 manual (p.3-9: '2' and 50 bytes, zeros recommended; 8 sessions; the
card closes after the answer). The status is the printer's own: `rawprint.dialects.star` reads it.
"""

from __future__ import annotations

from rawprint.channels.base import Channel, Report, always
from rawprint.dialects.star import automatic_status

_QUERY = b"2" + bytes(50)


def decode(reply: bytes, _request: bytes) -> Report | None:
    """See `Channel.decode`. Some cards send the status twice: the first one counts."""
    status = automatic_status(reply)
    return None if status is None else Report(status.reasons)


STAR = Channel(name="star", protocol="tcp", port=9101, questions=(always(_QUERY),), decode=decode)
