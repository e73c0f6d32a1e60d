"""Why a TCP address does not open: what the error means in the networks that this computer has."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rawprint.probe.findings import Finding, Severity, of_opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.address import TcpAddress
    from rawprint.errors import OpenError

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Transport notes: factory addresses, from python-escpos' and node-escpos' issues and the X80 manual.
_FACTORY = {
    "192.168.192.168": "the address that Epson's printers leave the factory with",
    "192.168.123.100": "the address that Xprinter's and Gprinter's printers leave the factory with",
}
_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2  # ATF_COM of linux/if_arp.h: the neighbour has answered


class Surroundings(NamedTuple):
    """What this computer knows of the networks around it.

    Attributes:
        networks: Those that it is in, loopback excepted.
        neighbours: IP address -> whether it answered when it was looked for on the wire; absent: not looked for, or
            this system does not tell.
        platform: As `sys.platform`.
    """

    networks: tuple[_Network, ...] = ()
    neighbours: Mapping[str, bool] = {}
    platform: str = sys.platform


def look_around() -> Surroundings:
    """The networks of this computer, and its neighbours on the wire. Nothing is sent; never raises."""
    networks: list[_Network] = []
    with contextlib.suppress(ImportError, OSError):
        import ifaddr  # noqa: PLC0415  (comes with zeroconf)

        for adapter in ifaddr.get_adapters():
            for one in adapter.ips:
                text = one.ip if isinstance(one.ip, str) else one.ip[0]
                with contextlib.suppress(ValueError):
                    network = ipaddress.ip_network(f"{text}/{one.network_prefix}", strict=False)
                    if not network.is_loopback:
                        networks.append(network)
    table = ""
    with contextlib.suppress(OSError):
        table = _NEIGHBOURS.read_text(errors="replace")
    return Surroundings(tuple(networks), read_neighbours(table), sys.platform)


def read_neighbours(table: str) -> dict[str, bool]:
    """/proc/net/arp: IP address -> whether it has answered; lines that are none are left out."""
    neighbours = {}
    for line in table.splitlines()[1:4097]:
        words = line.split()
        with contextlib.suppress(ValueError, IndexError):
            neighbours[str(ipaddress.ip_address(words[0]))] = bool(int(words[2], 16) & _COMPLETE)
    return neighbours


def diagnose(address: TcpAddress, error: OpenError, around: Surroundings) -> Finding:
    """What keeps a TCP address from opening, told apart as far as this computer can see."""
    cause = error.__cause__
    code = cause.errno if isinstance(cause, OSError) else None
    if error.code == "not-found" and error.message.startswith("no host"):
        return _no_name(address)
    if code == errno.ECONNREFUSED:
        return Finding(
            "refused",
            Severity.ERROR,
            f"The host is there and refuses port {address.port}.",
            "Its network card answers, but takes no connection now: many printers serve one computer at a time, and some "
            "have raw printing switched off.",
            "End what else prints on it (another till, a print queue), or switch on raw (port 9100) printing on its web page.",
        )
    if isinstance(cause, TimeoutError) or code in _NOBODY:
        return _nobody(address, error, around, unreachable=code in _NO_WAY)
    return of_opening(error)


_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_NOBODY = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def _no_name(address: TcpAddress) -> Finding:
    if address.host.rstrip(".").lower().endswith(".local"):
        return Finding(
            "mdns-name",
            Severity.ERROR,
            f"The name {address.host} resolves to nothing.",
            "It is a name of mDNS: the printer with it is off or in another network, or this computer does not ask mDNS.",
            "Switch the printer on, see `rawprint list`, or write its IP address; Debian asks mDNS with libnss-mdns.",
        )
    return Finding(
        "no-such-host",
        Severity.ERROR,
        f"No host is called {address.host}.",
        "",
        "Check the name, or write the IP address.",
    )


def _nobody(address: TcpAddress, error: OpenError, around: Surroundings, *, unreachable: bool) -> Finding:
    try:
        ip = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:  # a name: which of its addresses was tried last is not known
        return of_opening(error)
    ours = [network for network in around.networks if ip.version == network.version]
    near = ip.is_loopback or any(ip in network for network in ours)
    factory = f" It is {_FACTORY[str(ip)]}." if str(ip) in _FACTORY else ""
    if not near:
        have = ", ".join(str(network) for network in ours if not network.is_link_local) or "none"
        return Finding(
            "wrong-subnet",
            Severity.ERROR,
            "The address is in another network than this computer, and nothing answers there.",
            f"This computer's networks: {have}.{factory}",
            "Give the printer an address in this computer's network (by its self-test page and its web page or tool), "
            "or mend the route.",
        )
    if unreachable and around.platform == "darwin":
        return Finding(
            "local-network-privacy",
            Severity.ERROR,
            "macOS says that there is no way to a host of this network.",
            "It says so, too, where a program may not use the local network.",
            "Allow this program (or the terminal that it runs in) under System Settings, Privacy & Security, Local Network; "
            "else check that the printer is on.",
        )
    if around.neighbours.get(str(ip)):
        return Finding(
            "filtered",
            Severity.ERROR,
            f"The host is there, but port {address.port} is filtered.",
            "It answers on the wire and leaves the connection without an answer: a firewall, or a printer that is stuck.",
            "Let the firewall of printer, switch or computer pass the port; switch the printer off and on.",
        )
    detail = "Nobody has that address on the wire." if around.neighbours.get(str(ip)) is False or unreachable else ""
    return Finding(
        "host-down",
        Severity.ERROR,
        f"Nothing answers at {address.host}.",
        f"{detail}{factory}".strip(),
        "Check that the printer is on and its network cable is in; its self-test (hold FEED while switching it on) prints "
        "the address that it has.",
    )
