"""The channels, by name."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.channels.base import Channel, Report
from rawprint.channels.epson import EPSON
from rawprint.channels.snmp import SNMP
from rawprint.channels.star import STAR
from rawprint.channels.tsc import TSC
from rawprint.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANNELS: Mapping[str, Channel] = MappingProxyType({channel.name: channel for channel in (SNMP, EPSON, STAR, TSC)})

__all__ = ["CHANNELS", "Channel", "Report", "by_name"]


def by_name(text: str) -> Channel:
    """The channel of this name; `NAME:PORT` is the same at another port, such as a simulated printer's.

    Raises:
        AddressError: There is none, or the port is none.
    """
    name, colon, port = text.partition(":")
    channel = CHANNELS.get(name.lower())
    if channel is None:
        raise AddressError(f"unknown channel {text[:80]!r}", hint=f"known: {', '.join(CHANNELS)}")
    if not colon:
        return channel
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise AddressError(f"no port in channel {text[:80]!r}", hint=f"write {name} or {name}:PORT, from 1 to 65535")
    return replace(channel, port=int(port))
