"""Printers that no name means, but an address: inside the networks of the configuration, and nowhere else.

A page that may name addresses can make the server reach what the page itself cannot: so a name is looked up once, every address
that it has must be allowed, and the connection goes to one of those, whatever the name means later.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from rawprint import AddressError, RawprintError, parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rawprint_server.config import AccessConfig

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = range(9100, 9110)  # where printers take raw bytes; other ports are other services
PORT = 9100
MAX_HOST = 253  # characters

# What is kept out unless a network of the configuration lies inside it: whoever writes 0.0.0.0/0 does not mean these.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and the metadata of most clouds
            "100.100.100.200/32",  # metadata (Alibaba)
            "192.0.0.192/32",  # metadata (Oracle)
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/96",  # ::, and IPv4 in IPv6 (RFC 4291, deprecated)
            "::1/128",
            "fe80::/10",
            "fd00:ec2::254/128",  # metadata (AWS)
            "ff00::/8",
            "64:ff9b::/96",  # IPv4 behind NAT64
            "2002::/16",  # IPv4 in IPv6 (6to4)
            "2001::/32",  # IPv4 in IPv6 (Teredo)
        ),
    )
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)", re.IGNORECASE)


class TargetRefused(RawprintError):
    """The address is none that clients may name."""

    code = "target-refused"


def networks(access: AccessConfig) -> list[Network]:
    """In which clients may print to an address; the configuration has been checked."""
    return [ipaddress.ip_network(each) for each in access.networks]


def literal(host: str) -> Address | None:
    """The address that the host is written as; None: it is a name.

    Raises:
        TargetRefused: It is neither: some systems read "127.1", "2130706433" and "0x7f.1" as addresses, too.
    """
    if not 0 < len(host) <= MAX_HOST or not host.isascii():
        raise _refused(host)
    text = host[1:-1] if host[0] == "[" and host[-1] == "]" else host
    if "%" in text:
        raise _refused(host)
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        labels = text.rstrip(".").split(".")
        if not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
            raise _refused(host) from None
        return None


def pin(host: str, port: int | None, found: Sequence[str], networks: Sequence[Network]) -> str:
    """The one address to print to.

    Args:
        host: As the client wrote it, for the error.
        port: As the client wrote it; None: 9100.
        found: Every address that the host has, or the one that it is.
        networks: Of the configuration.

    Raises:
        TargetRefused: Not every one of them lies in a network that clients may print in, or the port is no printer's.
    """
    addresses = [_unmapped(ipaddress.ip_address(each.partition("%")[0])) for each in found]
    if port is not None and port not in PORTS:
        raise TargetRefused(
            f"port {port} is no printer's", hint=f"Printers listen on {PORTS.start} to {PORTS.stop - 1}."
        )
    if not addresses or not all(_allowed(address, networks) for address in addresses):
        raise _refused(host)
    address = addresses[0]
    return f"tcp://{f'[{address}]' if address.version == 6 else address}:{PORT if port is None else port}"


def is_allowed(printer: str, networks: Sequence[Network]) -> bool:
    """Whether the name of a printer is an address as `pin` makes them, and still allowed."""
    try:
        address = parse_address(printer)
        host, port = getattr(address, "host", None), getattr(address, "port", None)
        return host is not None and pin(host, port, [host.strip("[]")], networks) == printer
    except (AddressError, TargetRefused, ValueError):
        return False


def _allowed(address: Address, networks: Sequence[Network]) -> bool:
    special = [each for each in _SPECIAL if address in each]
    return any(
        address in network and all(network.version == each.version and _inside(network, each) for each in special)
        for network in networks
    )


def _inside(network: Network, other: Network) -> bool:
    return network[0] in other and network[-1] in other


def _unmapped(address: Address) -> Address:
    """An IPv4 address that is written as IPv6 is that one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _refused(host: str) -> TargetRefused:
    return TargetRefused(
        f"{host[:100]!r} is no address that may be printed to",
        hint="Name a printer of the configuration; or add its network to `networks` in [access].",
    )
