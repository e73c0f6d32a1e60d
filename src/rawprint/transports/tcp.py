"""Raw printing over TCP, port 9100 by custom."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from rawprint.address import TcpAddress
from rawprint.errors import (
    AccessDenied,
    BackendMissing,
    Disconnected,
    OpenError,
    PrinterBusy,
    PrinterNotFound,
)
from rawprint.transports.base import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.address import Address

# Bounds what stands between the count and the printer: by default loopback takes 2.9 MB that nobody read. On Linux
# the bytes that the peer has no room for are bounded, which leaves a fast peer its speed; elsewhere the send buffer is.
_UNSENT = 65536
_READ = 4096
# The far side closed with bytes unacknowledged: its RST, which proves that they did not arrive, takes a round trip.
_RESOLVE = 1.0
# A host may hold an acknowledgement back for less than half a second (RFC 1122 section 4.2.3.2).
_ACKNOWLEDGED_BY = 0.5

_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; Python knows the name from 3.12 on
_NON_BLOCKING = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK))
_OFF_HINT = "check that the printer is on and that the address is right"
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_SILENT = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def open_address(address: Address, timeout: float) -> Transport:
    """Connect.

    Args:
        address: A TcpAddress.
        timeout: Seconds for the connection, name look-up excepted.

    Raises:
        PrinterNotFound, PrinterBusy, AccessDenied: With a hint that tells the cases apart.
    """
    if not isinstance(address, TcpAddress):
        raise BackendMissing(f"{address} is no TCP address")
    if _is_ipv4(address.host):  # nothing to look up, nothing to choose from
        return TcpTransport(_connect(address, socket.AF_INET, (address.host, address.port), timeout), address)
    deadline = time.monotonic() + timeout
    failure: OpenError | None = None
    found = look_up(address.host, address.port, socket.SOCK_STREAM)
    for tried, (family, target) in enumerate(found):
        # One address that nobody answers must not take the time of the others: each gets its share of what is left.
        share = max(deadline - time.monotonic(), 0.001) / (len(found) - tried)
        try:
            sock = _connect(address, family, target, share)
        except OpenError as error:
            if failure is None or _tells(error) >= _tells(failure):
                failure = error
        else:
            return TcpTransport(sock, address)
    raise failure or PrinterNotFound(f"{address} has no address", hint=_OFF_HINT)


def _connect(address: TcpAddress, family: int, target: tuple[str, int], timeout: float) -> socket.socket:
    try:
        sock = socket.socket(family, _NON_BLOCKING)
    except OSError as error:  # such as: no more file descriptors
        raise _open_error(address, error) from error
    try:
        _dial(sock, target, timeout)
    except OSError as error:
        sock.close()
        raise _open_error(address, error) from error
    return sock


def _dial(sock: socket.socket, target: tuple[str, int], timeout: float) -> None:
    if sys.platform != "linux":
        sock.setblocking(False)
    code = sock.connect_ex(target)
    if code in _UNDER_WAY:
        try:
            sock.getpeername()  # on this machine the handshake is over by now, and needs no waiting for
        except OSError:
            if not _wait(sock, write=True, timeout=timeout):
                raise TimeoutError(errno.ETIMEDOUT, "timed out") from None
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            return
    if code:
        raise OSError(code, os.strerror(code))


@lru_cache(maxsize=64)
def _is_ipv4(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return False
    return True


def look_up(host: str, port: int, kind: socket.SocketKind) -> list[tuple[int, tuple[str, int]]]:
    """Address family and target of each address that the host has.

    Raises:
        PrinterNotFound: There is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError) as error:
        hint = "check the name, or write the printer's IP address"
        if host.rstrip(".").endswith(".local"):
            hint = "names in .local take mDNS (Debian: apt install libnss-mdns): set it up, or write the IP address"
        raise PrinterNotFound(f"no host is called {host}", hint=hint) from error
    return [(family, target) for family, _, _, _, target in found]  # type: ignore[misc]


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
    # To notice a host that is gone while nothing is sent. TCP_USER_TIMEOUT must stay unset: it would end a connection
    # whose window is closed for long, which is what a printer without paper does.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _tells(error: OpenError) -> int:
    """How much it says of the printer: that this computer has no way to one of its addresses is the least."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _NO_WAY:
        return 0
    return 1 if isinstance(cause, TimeoutError) else 2


def _open_error(address: TcpAddress, error: OSError) -> OpenError:
    if isinstance(error, TimeoutError):
        return PrinterNotFound(
            f"{address} did not answer in time",
            hint="check that the printer is on and in this network, and that no firewall is between",
        )
    if error.errno == errno.ECONNREFUSED:
        return PrinterNotFound(
            f"{address} refused the connection",
            hint="the host is up, but nothing listens there: check the port; some printers refuse while another "
            "computer is connected",
        )
    if error.errno == errno.ECONNRESET:
        return PrinterBusy(
            f"{address} reset the connection", hint="another computer may be connected: the printer takes one"
        )
    if error.errno in _NO_WAY:
        hint = "check that the printer is on, and that this computer is in its network"
        if sys.platform == "darwin":
            hint += "; macOS says so, too, where this program may not use the local network: see System Settings, "
            hint += "Privacy & Security, Local Network"
        return PrinterNotFound(f"there is no way to {address}: {error.strerror or error}", hint=hint)
    if isinstance(error, PermissionError):
        return AccessDenied(f"this system forbids a connection to {address}", hint="check its firewall")
    return PrinterNotFound(f"{address} cannot be reached: {error.strerror or error}", hint=_OFF_HINT)


def _wait(sock: socket.socket, *, write: bool, timeout: float) -> bool:
    """Whether the socket can be read (or written) within the time."""
    if sys.platform == "win32":
        readable, writable, failed = select.select([] if write else [sock], [sock] if write else [], [sock], timeout)
        return bool(readable or writable or failed)
    poller = select.poll()
    poller.register(sock, select.POLLOUT if write else select.POLLIN)
    return bool(poller.poll(timeout * 1000))


if sys.platform == "linux":
    import fcntl
    import termios

    def _unacknowledged(sock: socket.socket) -> int:
        """SIOCOUTQ: bytes written less bytes acknowledged. Linux keeps the number after a reset."""
        answer = bytearray(4)
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, answer)
        return int.from_bytes(answer, sys.byteorder)

    _COUNTS = "acknowledged"
else:

    def _unacknowledged(sock: socket.socket) -> int:  # noqa: ARG001
        return 0

    _COUNTS = "handed-over"


class TcpTransport(Transport):
    """A connected socket. On Linux the peer's acknowledgements are counted, elsewhere what was handed over."""

    counts = _COUNTS

    def __init__(self, sock: socket.socket, address: TcpAddress) -> None:
        self._sock = sock
        self._name = address
        self._ended: Disconnected | None = None
        self._last_count = 0
        # Socket options cost as much as a connection; a first small write needs none of them, and goes before.
        self._options_due = True
        self._poll: Callable[[float], object] | None = None
        self._total = 0
        self._written_at = 0.0
        self._heard = False

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        if self._ended is not None:
            raise self._ended
        if self._options_due and (self._total or len(data) > _UNSENT):
            self._tune()
        try:
            taken = self._sock.send(data)
        except BlockingIOError:
            taken = self._wait_and_send(data, timeout) if timeout > 0 else 0
        except OSError as error:
            raise self._end(error) from error
        if taken:
            self._total += taken
            self._written_at = time.monotonic()
        return taken

    def _wait_and_send(self, data: memoryview, timeout: float) -> int:
        try:
            return self._sock.send(data) if _wait(self._sock, write=True, timeout=timeout) else 0
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._end(error) from error

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        if self._ended is not None:
            raise self._ended
        if self._options_due:
            self._tune()
        try:
            if not self._readable(timeout):  # also where nothing is waited for: an exception would cost more
                return b""
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._end(error) from error
        if not data:
            raise self._end(None)
        self._heard = True
        return data

    def unacknowledged(self) -> int:
        """See Transport."""
        if self._ended is None:
            with contextlib.suppress(OSError, ValueError):  # closed by another thread: the last count stands
                self._last_count = _unacknowledged(self._sock)
        return self._last_count

    def _readable(self, timeout: float) -> bool:
        if sys.platform == "win32":
            return _wait(self._sock, write=False, timeout=timeout)
        if self._poll is None:
            poller = select.poll()
            poller.register(self._sock, select.POLLIN)
            self._poll = poller.poll
        return bool(self._poll(timeout * 1000))

    def _tune(self) -> None:
        self._options_due = False
        try:
            _set_options(self._sock)
        except OSError as error:
            raise self._end(error) from error

    def _end(self, error: OSError | None) -> Disconnected:
        """Note how the connection ended, and what that proves of unacknowledged bytes."""
        if self._ended is not None:  # closed by another thread meanwhile
            return self._ended
        lost = error is not None and error.errno in _SILENT
        if self.unacknowledged():
            if error is None:
                lost = lost or not self._reset_follows()
                self.unacknowledged()  # what was acknowledged meanwhile counts
            elif error.errno == errno.ECONNRESET:
                lost = self._may_have_been_read()
        if error is None:
            message = f"{self._name} closed the connection"
        elif error.errno in _SILENT:
            message = f"{self._name} does not answer any more"
        else:
            message = f"{self._name} ended the connection: {error.strerror or error}"
        self._ended = Disconnected(message, hint=_OFF_HINT, lost=lost)
        return self._ended

    def _may_have_been_read(self) -> bool:
        """Whether a reset, without a close before it, leaves open what became of unacknowledged bytes.

        The kernel drops the acknowledgement that a reset carries, so bytes that the printer has read can look as if they
        had not arrived, if they are so new that their own acknowledgement was still held back. Not so on a
        connection that was never served, such as a surplus one that a printer's card turns away.
        """
        served = self._heard or self._total > self._last_count
        return served and time.monotonic() - self._written_at < _ACKNOWLEDGED_BY

    def _reset_follows(self) -> bool:
        """Whether the far side, which has closed, answers our last bytes with RST."""
        if sys.platform == "win32":
            return False
        poller = select.poll()
        poller.register(self._sock, 0)  # errors and hang-up only
        return bool(poller.poll(_RESOLVE * 1000))

    def close(self, linger: float = 0.0) -> None:
        """See Transport.

        A printer's card may drop what it holds when it is answered with RST, which the kernel sends for bytes that
        reach a closed socket: so the socket stays open, and is read, until the far side has closed.
        """
        if self._ended is None:
            if linger > 0:
                self._drain(linger)
            self.unacknowledged()
            self._ended = Disconnected(f"{self._name} was closed")
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # a thread that waits here wakes up
        self._sock.close()

    def _drain(self, linger: float) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + linger
            while (rest := deadline - time.monotonic()) > 0 and _wait(self._sock, write=False, timeout=rest):
                if not self._sock.recv(_READ):
                    return
        except OSError:
            return  # reset: there is nobody to wait for
