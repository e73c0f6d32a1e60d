"""Finds hosts that listen at the raw printing port of a network: one connection each, closed without a byte."""

from __future__ import annotations

import errno
import ipaddress
import os
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from rawprint.address import DEFAULT_PORT, TcpAddress
from rawprint.errors import AddressError, OpenError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_HOSTS = 4096
"""A network may have so many addresses: a /20 of IPv4."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Seconds that a host gets to answer: a SYN that was lost is sent again after one (RFC 6298 section 2.1).
_CONNECT = 1.2
# At once: a /24 and some. Windows' select takes 512 sockets, and many systems give a process 1024 descriptors.
_AT_ONCE = 400
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK))
# No way there, or a firewall of this computer: it says something of us, not of the host.
_NO_WAY = (errno.ENETUNREACH, errno.EPERM, errno.EACCES, errno.EADDRNOTAVAIL, getattr(errno, "WSAENETUNREACH", -1))
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# What `ip_network.is_private` leaves out: carriers' shared addresses, which some shops' routers give (RFC 6598).
_SHARED = ipaddress.ip_network("100.64.0.0/10")


class Scan(NamedTuple):
    """What a scan has found.

    Attributes:
        listening: The hosts that took a connection, in order.
        untried: How many hosts the time was too short for.
    """

    listening: tuple[TcpAddress, ...]
    untried: int


def network_of(text: str, *, force: bool = False) -> _Network:
    """Read what is to be scanned, such as "192.168.1.0/24".

    Args:
        text: A network in CIDR notation, or one address; at most `MOST_HOSTS` addresses.
        force: Whether a network that is not private may be scanned.

    Raises:
        AddressError: It is none, is too large, or is somebody else's.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise AddressError(f"no network: {text!r}", hint="write it like 192.168.1.0/24") from error
    if network.num_addresses > MOST_HOSTS:
        raise AddressError(
            f"{network} has {network.num_addresses} addresses", hint=f"scan {MOST_HOSTS} at most (a /20) at a time"
        )
    ours = network.is_private or network.network_address in _SHARED
    if not ours and not force:
        raise AddressError(
            f"{network} is no private network: other people's hosts would be tried",
            hint="if they are yours, scan with --force",
        )
    return network


def scan(network: _Network, timeout: float, *, port: int = DEFAULT_PORT) -> Scan:
    """Connect to the port of every host, many at a time. Nothing is sent.

    Args:
        network: See `network_of`.
        timeout: Seconds for all. A host that is silent costs 1.2 s at most, and less where there is less time.
        port: Where to connect.

    Raises:
        OpenError: This system gives no sockets, or has no way to any of the hosts.
    """
    no_way: OSError | None = None
    tried = refused_way = 0
    deadline = time.monotonic() + timeout
    hosts = _hosts(network)
    waiting: dict[socket.socket, tuple[str, float]] = {}
    listening: list[str] = []
    more: str | None = next(hosts, None)
    at_once = _at_once()
    with selectors.DefaultSelector() as selector:
        while more is not None or waiting:
            now = time.monotonic()
            while more is not None and len(waiting) < at_once and now < deadline:
                try:
                    sock = _begin(more, port)
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        if not waiting:
                            raise OpenError(
                                f"no more sockets: {error.strerror}", hint="try a smaller network"
                            ) from error
                        break  # as soon as some are free again
                    sock = None  # it refused at once, or there is no way to it
                    if error.errno in _NO_WAY:
                        no_way, refused_way = error, refused_way + 1
                tried += 1
                if sock is not None:
                    waiting[sock] = more, min(now + _CONNECT, deadline)
                    selector.register(sock, selectors.EVENT_WRITE)
                more = next(hosts, None)
            if not waiting:
                break
            until = min(until for _, until in waiting.values())
            for key, _ in selector.select(max(until - time.monotonic(), 0.0)):
                done = key.fileobj
                assert isinstance(done, socket.socket)
                selector.unregister(done)
                host, _ = waiting.pop(done)
                if done.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    listening.append(host)
                done.close()
            now = time.monotonic()
            for late in [sock for sock, (_, until) in waiting.items() if until <= now]:
                selector.unregister(late)
                del waiting[late]
                late.close()
    if no_way is not None and refused_way == tried:
        raise OpenError(
            f"there is no way from this computer to {network}: {os.strerror(no_way.errno or 0)}",
            hint="see whether this computer is in that network, and whether a firewall on it forbids port 9100",
        ) from no_way
    found = sorted((ipaddress.ip_address(host) for host in listening), key=int)
    untried = 0 if more is None else 1 + sum(1 for _ in hosts)
    return Scan(tuple(TcpAddress(str(host), port) for host in found), untried)


def _at_once() -> int:
    """How many sockets to use: no more than half of what this process may open, which may be a server with other work."""
    if sys.platform == "win32":
        return _AT_ONCE
    import resource  # noqa: PLC0415

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _AT_ONCE if soft == resource.RLIM_INFINITY else max(min(_AT_ONCE, soft // 2), 1)


def _hosts(network: _Network) -> Iterator[str]:
    for host in network.hosts():
        yield str(host)


def _begin(host: str, port: int) -> socket.socket:
    """A socket whose connection is under way, or there.

    Raises:
        OSError: Refused, or impossible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex((host, port))
        if code not in _UNDER_WAY and not (sys.platform == "win32" and code == 0):
            raise OSError(code, "cannot connect")
    except OSError:
        sock.close()
        raise
    return sock
