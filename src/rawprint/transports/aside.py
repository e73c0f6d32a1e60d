"""One question and its reply beside the print connection: a UDP datagram, or a TCP connection of its own."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, TypeVar

from rawprint.address import TcpAddress
from rawprint.errors import AccessDenied, BadReply, Disconnected, NoReply, OpenError, PrinterNotFound
from rawprint.transports import tcp

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_MOST_ADDRESSES = 4  # of one name; each gets its part of the time
_RESEND_AFTER = 1 / 3
_LARGEST = 65536  # no datagram is larger
_SHORTEST_WAIT = 0.001  # 0 would mean "do not wait"
_LINGER = 0.5
_OFF_HINT = "check that the printer is on and that the address is right"
_SILENT_HINT = "check that the printer is on, and that it offers this and lets this computer ask"


def exchange(
    host: str,
    port: int,
    protocol: str,
    request: bytes,
    decode: Callable[[bytes], Result | None],
    *,
    timeout: float,
    max_reply: int,
) -> tuple[bytes, Result]:
    """Ask once and wait for the reply.

    Args:
        host: A name, an IPv4 or an IPv6 address.
        port: Where the printer listens.
        protocol: "udp": the request is sent again after a third of the time. "tcp": one connection.
        request: What is asked.
        decode: Reads a datagram, or all that has come over the connection; None: not this one, or more is needed.
        timeout: Seconds, name look-up excepted.
        max_reply: Bytes; what comes after them is not looked at.

    Returns:
        The reply, and what `decode` made of it.

    Raises:
        NoReply: Nothing came in time; a datagram from elsewhere is nothing.
        BadReply: From `decode`, or there was no reply in `max_reply` bytes, or it broke off.
        PrinterNotFound, PrinterBusy, AccessDenied: The host cannot be reached, or nothing listens there.
        Disconnected: The connection ended without a reply.
    """
    deadline = time.monotonic() + timeout

    def read(data: bytes) -> Result | None:
        result = decode(data[:max_reply]) if data else None
        if result is None and len(data) > max_reply:
            raise BadReply(f"more than {max_reply} bytes, and no reply in them", raw=data)
        return result

    if protocol == "tcp":
        return _by_tcp(TcpAddress(host, port), request, read, deadline)
    return _by_udp(host, port, request, read, deadline)


def _by_udp(
    host: str, port: int, request: bytes, read: Callable[[bytes], Result | None], deadline: float
) -> tuple[bytes, Result]:
    targets = tcp.look_up(host, port, socket.SOCK_DGRAM)[:_MOST_ADDRESSES]
    failure: OpenError | NoReply | None = None
    for place, (family, target) in enumerate(targets):
        now = time.monotonic()
        try:
            return _ask(family, target, request, read, now + (deadline - now) / (len(targets) - place))
        except (OpenError, NoReply) as error:
            if failure is None or isinstance(failure, OpenError):  # that one of them is silent says more
                failure = error
    raise failure or PrinterNotFound(f"{host} has no address", hint=_OFF_HINT)


def _ask(
    family: int, target: tuple[str, int], request: bytes, read: Callable[[bytes], Result | None], deadline: float
) -> tuple[bytes, Result]:
    name = f"UDP port {target[1]} of {target[0]}"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(target)  # from now on the kernel drops what comes from elsewhere
            sock.send(request)
            answer = _hear(sock, read, deadline - (1 - _RESEND_AFTER) * (deadline - time.monotonic()))
            if answer is None:
                sock.send(request)
                answer = _hear(sock, read, deadline)
    except OSError as error:
        raise _open_error(name, error) from error
    if answer is None:
        raise NoReply(f"{name} did not answer in time", hint=_SILENT_HINT)
    return answer


def _hear(sock: socket.socket, read: Callable[[bytes], Result | None], until: float) -> tuple[bytes, Result] | None:
    """The first datagram that is a reply."""
    while (rest := until - time.monotonic()) > 0:
        sock.settimeout(max(rest, _SHORTEST_WAIT))
        try:
            reply = sock.recv(_LARGEST)
        except TimeoutError:
            return None
        result = read(reply)
        if result is not None:
            return reply, result
    return None


def _open_error(name: str, error: OSError) -> OpenError:
    # The far host says by ICMP that the port is closed; Windows reports that as a reset.
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return PrinterNotFound(
            f"nothing listens at {name}", hint="the host is up, but does not offer this: check its settings"
        )
    if isinstance(error, PermissionError):
        return AccessDenied(f"this system forbids asking {name}", hint="check its firewall")
    return PrinterNotFound(f"{name} cannot be reached: {error.strerror or error}", hint=_OFF_HINT)


def _by_tcp(
    address: TcpAddress, request: bytes, read: Callable[[bytes], Result | None], deadline: float
) -> tuple[bytes, Result]:
    connection = tcp.open_address(address, max(deadline - time.monotonic(), _SHORTEST_WAIT))
    buffer, rest = b"", memoryview(request)
    linger = 0.0
    try:
        while (left := deadline - time.monotonic()) > 0:
            if rest:
                rest = rest[connection.write(rest, left) :]
                continue
            buffer += connection.read(left)
            result = read(buffer)
            if result is not None:
                linger = min(left, _LINGER)  # the printer closes first: a broken session may keep its port busy
                return buffer, result
    except Disconnected as error:
        if buffer:
            raise BadReply(f"the reply of {address} broke off", raw=buffer) from error
        raise
    finally:
        connection.close(linger)
    raise NoReply(f"{address} did not answer in time", hint=_SILENT_HINT)
