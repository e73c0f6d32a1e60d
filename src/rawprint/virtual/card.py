"""The network card of a virtual printer: what it answers beside the print port, over SNMP or its maker's own way.

Page keys: RFC 1157 and 2790 (SNMP); UBE (Epson UB-E02 guide p.4-7, status as recorded from a TM-m30); HE (Star
IFBD-HE07 manual p.3-9) with the Star Line Mode specification; TSC (its C# library of 2021).
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

from rawprint.status import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from rawprint.virtual.device import Device

_MOST = 2048  # bytes of a request
_PATIENCE = 1.0  # seconds for a TCP request to come whole


class _Now(NamedTuple):
    """What the card knows of its printer, and what it does not offer."""

    reasons: Mapping[str, bool]
    printing: bool
    lacks: frozenset[bytes]


def _bits(reasons: Mapping[str, bool], table: Iterable[tuple[str, int]]) -> int:
    bits = 0
    for reason, bit in table:
        bits |= bit if reasons.get(reason) else 0
    return bits


# -- SNMP ------------------------------------------------------------------------------------------------------

# 1.3.6.1.2.1.25.3.5.1.1.1 and 1.3.6.1.2.1.25.3.5.1.2.1
_HR_PRINTER_STATUS = bytes.fromhex("2b 06 01 02 01 19 03 05 01 01 01")
_HR_PRINTER_ERRORS = bytes.fromhex("2b 06 01 02 01 19 03 05 01 02 01")
_IDLE, _PRINTING = 3, 4
_SNMP_1 = (
    (Reason.MEDIA_LOW, 0x80),
    (Reason.MEDIA_EMPTY, 0x40),
    (Reason.MARKER_SUPPLY_LOW, 0x20),
    (Reason.MARKER_SUPPLY_EMPTY, 0x10),
    (Reason.COVER_OPEN, 0x08),
    (Reason.MEDIA_JAM, 0x04),
    (Reason.OFFLINE, 0x02),
    (Reason.TRIMMER_JAM, 0x01),  # service requested
    (Reason.OTHER, 0x01),
)
_NO_SUCH_NAME = 2


def _ber(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag, size] if size < 128 else [tag, 0x82, size >> 8, size & 255]) + content


def _unber(data: bytes) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it. Nobody sends long lengths in so short a request."""
    size = data[1]
    if size > 127 or len(data) < 2 + size:
        raise IndexError
    return data[2 : 2 + size], data[2 + size :]


def _snmp(now: _Now, request: bytes) -> bytes | None:
    try:
        message, _ = _unber(request)
        version, rest = _unber(message)
        community, rest = _unber(rest)
        pdu, _ = _unber(rest)
        number, rest = _unber(pdu)
        _, rest = _unber(rest)
        _, rest = _unber(rest)
        variables, _ = _unber(rest)
        names = []
        while variables:
            pair, variables = _unber(variables)
            names.append(_unber(pair)[0])
    except IndexError:
        return None
    if version != b"\x00" or community != b"public" or rest[0] != 0x30:
        return None  # an agent does not answer strangers
    known = {
        _HR_PRINTER_STATUS: _ber(0x02, bytes([_PRINTING if now.printing else _IDLE])),
        _HR_PRINTER_ERRORS: _ber(0x04, bytes([_bits(now.reasons, _SNMP_1), 0])),
    }
    missing = next((place for place, name in enumerate(names, 1) if name not in known or name in now.lacks), 0)
    values = b"".join(_ber(0x30, _ber(0x06, name) + (b"\x05\x00" if missing else known[name])) for name in names)
    error = _ber(0x02, bytes([_NO_SUCH_NAME if missing else 0])) + _ber(0x02, bytes([missing]))
    response = _ber(0xA2, _ber(0x02, number) + error + _ber(0x30, values))
    return _ber(0x30, b"\x02\x01\x00" + _ber(0x04, community) + response)


# -- Epson -----------------------------------------------------------------------------------------------------

_ASB = (  # GS a
    ((Reason.OFFLINE, 0x08), (Reason.COVER_OPEN, 0x20), (Reason.FEED_BUTTON, 0x40)),
    ((Reason.TRIMMER_JAM, 0x08), (Reason.OTHER, 0x20), (Reason.OVER_TEMPERATURE, 0x40)),
    ((Reason.MEDIA_LOW, 0x03), (Reason.MEDIA_EMPTY, 0x0C)),
)


def _epson(now: _Now, request: bytes) -> bytes | None:
    if len(request) < 14 or request[:6] != b"EPSONQ":
        return None
    function = request[6:10]
    if function != b"\x03\x00\x00\x10":
        return b"EPSONq" + function + b"\xff\xff\x00\x00"
    first, second, third = (_bits(now.reasons, table) for table in _ASB)
    asb = bytes([0x14 | first, second, third, 0x0F])
    return b"EPSONq" + function + b"\x00\x00\x00\x0d" + b"\x0e" + asb + bytes.fromhex("ff ff ff ff 39 41 40 00")


# -- Star ------------------------------------------------------------------------------------------------------

_STAR_REQUEST = 51
_STAR_ASB = (
    ((Reason.OFFLINE, 0x08), (Reason.COVER_OPEN, 0x20)),
    ((Reason.TRIMMER_JAM, 0x08), (Reason.OTHER, 0x20), (Reason.OVER_TEMPERATURE, 0x40)),
    ((Reason.MEDIA_JAM, 0x04), (Reason.INPUT_BUFFER_FULL, 0x40)),
    ((Reason.MEDIA_LOW, 0x04), (Reason.MEDIA_EMPTY, 0x08)),
)


def _star(now: _Now, request: bytes) -> bytes | None:
    if request[:1] != b"2" or len(request) < _STAR_REQUEST:
        return None
    return b"\x23\x86" + bytes(_bits(now.reasons, table) for table in _STAR_ASB) + bytes(3) + bytes(2)


# -- TSC -------------------------------------------------------------------------------------------------------

# The card tells one state; an error's number has a digit for each half, so ten and more skip to 10.
_TSC_ERRORS = ((Reason.COVER_OPEN, 1), (Reason.MEDIA_JAM, 2), (Reason.MEDIA_EMPTY, 4), (Reason.MARKER_SUPPLY_EMPTY, 8))
_TSC_NUMBERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 8: 8, 9: 9, 10: 0x10, 11: 0x11, 12: 0x12}


def _tsc(now: _Now, request: bytes) -> bytes | None:
    if len(request) != 32 or request[22:28] != b"\xff" * 6:
        return None
    errors = _bits(now.reasons, _TSC_ERRORS)
    if errors:
        state = bytes([3, _TSC_NUMBERS.get(errors, 0x40)])
    elif now.reasons.get(Reason.OTHER):
        state = b"\x03\x40"
    elif now.reasons.get(Reason.PAUSED):
        state = b"\x20\x00"
    else:
        state = b"\x01\x00" if now.printing else b"\x00\x00"
    answer = bytearray(100)
    answer[22:28] = bytes.fromhex("00 1b 82 00 00 01")
    answer[40:42] = state
    answer[44:48] = bytes([127, 0, 0, 1])
    for place, text in ((52, b"TTP-247"), (68, b"V1.00"), (84, b"PS-000001")):
        answer[place : place + len(text)] = text
    return bytes(answer)


# -- the card --------------------------------------------------------------------------------------------------

_CHANNELS: dict[str, tuple[socket.SocketKind, Callable[[_Now, bytes], bytes | None]]] = {
    "snmp": (socket.SOCK_DGRAM, _snmp),
    "epson": (socket.SOCK_DGRAM, _epson),
    "tsc": (socket.SOCK_DGRAM, _tsc),
    "star": (socket.SOCK_STREAM, _star),
}


class NetworkCard:
    """Answers one channel for a device, from a thread of its own.

    Attributes:
        silent: True: it hears, and does not answer.
        asked: How many requests came.
    """

    def __init__(
        self,
        device: Device,
        channel: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        lock: AbstractContextManager[object] | None = None,
        printer_status: bool = True,
    ) -> None:
        """Listen.

        Args:
            device: The printer.
            channel: "snmp", "epson", "star" or "tsc".
            host: An IPv4 or IPv6 address of this machine.
            port: 0 = the system chooses.
            lock: Held while the device is looked at; where a listener serves it, the listener's.
            printer_status: False: an SNMP agent without hrPrinterStatus.

        Raises:
            ValueError: There is no such channel.
            OSError: The address cannot be had.
        """
        if channel not in _CHANNELS:
            raise ValueError(f"no channel {channel!r}; there are: {', '.join(_CHANNELS)}")
        self.silent = False
        self.asked = 0
        self._device = device
        self._lock = lock or contextlib.nullcontext()
        self._lacks = frozenset() if printer_status else frozenset({_HR_PRINTER_STATUS})
        kind, self._reply = _CHANNELS[channel]
        self._server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        try:
            self._server.bind((host, port))
            if kind is socket.SOCK_STREAM:
                self._server.listen()
        except OSError:
            self._server.close()
            raise
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        serve = self._connection if kind is socket.SOCK_STREAM else self._datagram
        self._thread = threading.Thread(target=self._run, args=(serve,), name=f"virtual {channel}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop. Closing twice is fine."""
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\x00")
        self._thread.join()
        for sock in (self._server, self._wake_in, self._wake_out):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the thread --------------------------------------------------------------------------------

    def _run(self, serve: Callable[[], None]) -> None:
        while self._wake_in not in select.select([self._server, self._wake_in], [], [])[0]:
            with contextlib.suppress(OSError):  # it has gone again
                serve()

    def _datagram(self) -> None:
        request, peer = self._server.recvfrom(_MOST)
        self.asked += 1
        reply = self._answer(request)
        if reply is not None:
            self._server.sendto(reply, peer)

    def _connection(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.settimeout(_PATIENCE)
            request = connection.recv(_MOST)
            self.asked += 1
            while (reply := self._answer(request)) is None:
                more = connection.recv(_MOST)
                if not more or len(request) > _MOST:
                    return
                request += more
            connection.sendall(reply)

    def _answer(self, request: bytes) -> bytes | None:
        if self.silent:
            return None
        with self._lock:
            now = _Now(dict(self._device.reasons), self._device._printing(), self._lacks)
        return self._reply(now, request)
