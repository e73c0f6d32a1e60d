"""Finds printers that advertise themselves by DNS-SD (mDNS, "Bonjour"): names and records are asked for, nothing is connected."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

from rawprint import address as addresses
from rawprint.errors import AddressError, BackendMissing, OpenError, PrinterNotFound
from rawprint.transports import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RAW = "_pdl-datastream._tcp.local."
# The others tell who a printer is, not that it takes raw bytes.
TYPES = (RAW, "_printer._tcp.local.", "_ipp._tcp.local.")

# Responders answer within 120 ms of the first question, which goes out within 120 ms; a second one follows after a
# second (RFC 6762 section 5.2), for those that missed it.
_BROWSE = 1.3
_RESOLVE = 0.3  # seconds for a service whose records did not come with its name
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_MOST = 256  # services
_MOST_KEYS, _LONGEST = 64, 256  # of a TXT record, and characters of a value


class Service(NamedTuple):
    """One advertised service.

    Attributes:
        type: Such as "_pdl-datastream._tcp.local.".
        name: The instance's name, as its owner gave it.
        host: The host's name, such as "till-printer.local."; may be empty.
        addresses: Its IP addresses, IPv6 ones with their zone.
        port: The service's port.
        txt: What its TXT record says.
    """

    type: str
    name: str
    host: str
    addresses: tuple[str, ...]
    port: int
    txt: Mapping[str, str]


def find(timeout: float) -> list[Found]:
    """The printers that advertise a raw port.

    Raises:
        BackendMissing: The package zeroconf is not here.
        OpenError: This system does no multicast.
    """
    return printers(browse(timeout))


def browse(timeout: float) -> list[Service]:
    """Ask all networks of this computer for printers' services, for as long as that takes or `timeout` allows.

    Raises:
        BackendMissing, OpenError: As `find`.
    """
    try:
        from zeroconf import (  # noqa: PLC0415  (70 ms)
            Error,
            IPVersion,
            ServiceBrowser,
            ServiceInfo,
            ServiceListener,
            Zeroconf,
        )
    except ImportError as error:
        raise BackendMissing("DNS-SD needs the package zeroconf", hint="pip install zeroconf") from error
    from threading import Event  # noqa: PLC0415

    names: dict[tuple[str, str], None] = {}

    class Heard(ServiceListener):
        def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
            if len(names) < _MOST:
                names[type_, name] = None

        update_service = add_service

        def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002
            names.pop((type_, name), None)

    deadline = time.monotonic() + timeout
    try:
        try:
            network = Zeroconf(ip_version=IPVersion.All)
        except OSError:  # a system may have IPv6 and not let it be used
            network = Zeroconf()
    except OSError as error:
        raise OpenError(
            f"DNS-SD is not possible here: {error.strerror or error}", hint="see whether this computer has a network"
        ) from error
    services = []
    try:
        browser = ServiceBrowser(network, list(TYPES), Heard())
        Event().wait(min(_BROWSE, timeout * 0.8))
        for type_, name in list(names):
            try:
                info = ServiceInfo(type_, name)
            except Error:  # anybody may announce anything: that is no service's name
                continue
            if not info.load_from_cache(network):
                left = min(_RESOLVE, deadline - time.monotonic())
                if left > 0:
                    info.request(network, left * 1000)
            services.append(
                Service(
                    type_,
                    name.removesuffix("." + type_),
                    info.server or "",
                    tuple(info.parsed_scoped_addresses()),
                    info.port or 0,
                    read_txt(info.properties),
                )
            )
        browser.cancel()
    finally:
        network.close()
    return services


def read_txt(record: Mapping[bytes, bytes | None]) -> dict[str, str]:
    """A TXT record's keys and values as text that can be shown; bounded. Never raises."""
    read = {}
    for key, value in list(record.items())[:_MOST_KEYS]:
        name = _shown(key)
        if name:
            read[name] = _shown(value or b"")
    return read


def _shown(raw: bytes) -> str:
    text = raw[: _LONGEST * 4].decode("utf-8", "replace")[:_LONGEST]
    return "".join(each for each in text if each.isprintable()).strip()


def printers(services: Iterable[Service]) -> list[Found]:
    """Those with a raw port, with what the other services of the same host tell of them.

    The address is an IP address, IPv4 before IPv6, one that counts on its link alone last, which opens on every system; the name, which stays when the address changes and which
    not every system can look up, is in `also`. A host that advertises IPP or LPD alone is left out: nobody has said that it
    takes raw bytes.
    """
    services = list(services)
    known: dict[str, dict[str, str]] = {}
    for service in services:
        for key, value in service.txt.items():
            known.setdefault(service.host.lower(), {}).setdefault(key, value)
    found = []
    for service in services:
        if service.type != RAW or not service.port:
            continue
        places = _usable(service.addresses)
        texts = [text for place in [*places, service.host.rstrip(".")] if (text := _address(place, service.port))]
        if not texts:
            continue
        txt = {**known.get(service.host.lower(), {}), **service.txt}
        found.append(
            Found(
                texts[0],
                make_model=_make_model(txt) or _shown(service.name.encode("utf-8", "replace")),
                also=tuple(texts[1:]),
                txt=txt,
                error=None
                if places
                else PrinterNotFound(
                    f"{service.host or service.name} resolves to no address",
                    hint="the printer has gone, or is in another network: switch it off and on",
                ),
            )
        )
    return found


def _usable(places: Iterable[str]) -> list[str]:
    """Those addresses that can be the printer's own, best first: IPv4, and last what counts on one link alone.

    Loopback and nobody's address would lead to this computer, a multicast one to everybody, and fe80:: without its interface nowhere.
    """
    ranked = []
    for place in places:
        try:
            host = ipaddress.ip_address(place)
        except ValueError:
            continue
        nobodys = host.is_loopback or host.is_unspecified or host.is_multicast or host == _BROADCAST
        if isinstance(host, ipaddress.IPv6Address):
            nobodys = nobodys or host.ipv4_mapped is not None or (host.is_link_local and not host.scope_id)
        if not nobodys:
            ranked.append((host.is_link_local, host.version, place))
    return [place for *_, place in sorted(ranked, key=lambda each: each[:2])]


def _address(host: str, port: int) -> str:
    if not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    try:
        return str(addresses.parse(f"tcp://{shown}:{port}"))
    except AddressError:  # whoever advertised that is no printer of ours
        return ""


def _make_model(txt: Mapping[str, str]) -> str:
    keys = {key.lower(): value for key, value in txt.items()}
    both = f"{keys.get('usb_mfg', '')} {keys.get('usb_mdl', '')}".strip()
    return both if keys.get("usb_mdl") else keys.get("ty", "") or keys.get("product", "").strip("()")
