"""The channel "snmp": hrPrinterStatus and hrPrinterDetectedErrorState, by SNMPv1 GET with the community "public".

The messages are from RFC 1157, the objects and their bits from RFC 2790 (and RFC 1514, which had the first eight bits
only). An unknown object fails a whole v1 GET: then the error state is asked for alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.channels.base import Channel, Report
from rawprint.errors import BadReply
from rawprint.status import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_GET, _RESPONSE = 0xA0, 0xA2
_VERSION_1 = 0

# 1.3.6.1.2.1.25.3.5.1.1.1 and ...5.1.2.1, encoded: 1.3 is one byte, the rest are their own.
_PRINTER_STATUS = bytes([0x2B, 6, 1, 2, 1, 25, 3, 5, 1, 1, 1])
_ERROR_STATE = bytes([0x2B, 6, 1, 2, 1, 25, 3, 5, 1, 2, 1])

_PROCESSING = {3: False, 4: True}  # idle, printing; warming up, other and unknown say neither

# Bit 0 is the highest of the first octet. Not used, as CUPS found them unreliable: offline (0x02 of the first octet) and
# serviceRequested (0x01). Nor outputNearFull and overduePreventMaint, which stop nothing.
_FIRST = (
    (0x80, Reason.MEDIA_LOW),
    (0x40, Reason.MEDIA_EMPTY),
    (0x20, Reason.MARKER_SUPPLY_LOW),
    (0x10, Reason.MARKER_SUPPLY_EMPTY),
    (0x08, Reason.COVER_OPEN),
    (0x04, Reason.MEDIA_JAM),
)
_SECOND = (
    (0x80, Reason.OTHER),  # input tray missing
    (0x40, Reason.OTHER),  # output tray missing
    (0x20, Reason.MARKER_SUPPLY_EMPTY),  # missing
    (0x08, Reason.OTHER),  # output full
    (0x04, Reason.MEDIA_EMPTY),  # input tray empty
)


class _Malformed(Exception):
    """No BER, or not of the form that is expected."""


# -- BER: tag, length, content; definite lengths below 64 KiB only ------------------------------------------------


def _put(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def _put_integer(value: int) -> bytes:
    return _put(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))  # a positive number's first bit is 0


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) pairs that fill these bytes exactly."""
    place = 0
    while place < len(content):
        header = content[place : place + 2]
        if len(header) < 2 or header[0] & 0x1F == 0x1F:
            raise _Malformed
        size, place = header[1], place + 2
        if size >= 0x80:
            extra = size - 0x80
            octets = content[place : place + extra]
            if extra not in (1, 2) or len(octets) < extra:
                raise _Malformed
            size, place = int.from_bytes(octets, "big"), place + extra
        if place + size > len(content):
            raise _Malformed
        yield header[0], content[place : place + size]
        place += size


def _take(content: bytes, *tags: int) -> list[bytes]:
    """The contents of elements with exactly these tags."""
    found = list(_elements(content))
    if [tag for tag, _ in found] != list(tags):
        raise _Malformed
    return [inner for _, inner in found]


def _integer(content: bytes) -> int:
    if not 1 <= len(content) <= 5:
        raise _Malformed
    return int.from_bytes(content, "big", signed=True)


# -- the messages -------------------------------------------------------------------------------------------------


def _asks_for(*names: bytes) -> Callable[[int], bytes]:
    variables = b"".join(_put(_SEQUENCE, _put(_OID, name) + _put(_NULL, b"")) for name in names)

    def request(number: int) -> bytes:
        pdu = _put_integer(number) + _put_integer(0) * 2 + _put(_SEQUENCE, variables)
        return _put(_SEQUENCE, _put_integer(_VERSION_1) + _put(_OCTETS, b"public") + _put(_GET, pdu))

    return request


def _open(message: bytes, kind: int) -> tuple[int, int, bytes]:
    """A message's number, its error and its variables."""
    (body,) = _take(message, _SEQUENCE)
    version, _community, pdu = _take(body, _INTEGER, _OCTETS, kind)
    number, error, _index, variables = _take(pdu, _INTEGER, _INTEGER, _INTEGER, _SEQUENCE)
    if _integer(version) != _VERSION_1:
        raise _Malformed
    return _integer(number), _integer(error), variables


def _values(variables: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Names, with the tag and the content of their values."""
    for tag, pair in _elements(variables):
        both = list(_elements(pair))
        if tag != _SEQUENCE or len(both) != 2 or both[0][0] != _OID:
            raise _Malformed
        yield both[0][1], *both[1]


def _errors(octets: bytes) -> dict[Reason, bool]:
    """What the error state says; an octet that is not there, as in an old agent's, says nothing."""
    reasons: dict[Reason, bool] = {}
    for octet, table in zip(octets, (_FIRST, _SECOND), strict=False):
        for bit, reason in table:
            reasons[reason] = reasons.get(reason, False) or bool(octet & bit)
    return reasons


def decode(reply: bytes, request: bytes) -> Report | None:
    """See `Channel.decode`."""
    try:
        number, error, variables = _open(reply, _RESPONSE)
        if number != _open(request, _GET)[0]:
            return None
        if error:
            return Report()  # noSuchName, or whatever else keeps the printer from saying
        reasons: dict[Reason, bool] = {}
        processing = None
        for name, tag, value in _values(variables):
            if (name, tag) == (_ERROR_STATE, _OCTETS):
                reasons = _errors(value)
            elif (name, tag) == (_PRINTER_STATUS, _INTEGER):
                processing = _PROCESSING.get(_integer(value))
    except _Malformed as malformed:
        raise BadReply("no SNMP response", raw=reply) from malformed
    return Report(reasons, processing)


SNMP = Channel(
    name="snmp",
    protocol="udp",
    port=161,
    questions=(_asks_for(_PRINTER_STATUS, _ERROR_STATE), _asks_for(_ERROR_STATE)),
    decode=decode,
)
