"""Printer addresses: text that names exactly one printer, parsed and written here and nowhere else.

    tcp://HOST[:9100]                       socket:// is accepted and means the same
    usb://VID:PID[/SERIAL][?port=1-2.3][&interface=0]
    serial:///dev/ttyUSB0[?baud=9600&bits=8&parity=N&stop=1&flow=none]      serial://COM3
    lp:///dev/usb/lp0
    virtual://tspl[?media-empty=true]       a simulated printer in this process

`parse(str(address)) == address` for every address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from rawprint.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_LENGTH = 1024
DEFAULT_PORT = 9100

_FORMS = "tcp://HOST[:9100], usb://VID:PID, serial:///dev/ttyUSB0, lp:///dev/usb/lp0 or virtual://tspl"
# Compiled when first used: a program has one or two kinds of addresses.
_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})\Z"
_IPV6 = r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?\Z"
_USB_ID = r"[0-9A-Fa-f]{4}\Z"
_USB_PORT = r"[0-9]{1,3}-[0-9]{1,3}(?:\.[0-9]{1,3}){0,6}\Z"
_COM = r"(?i:COM)[0-9]{1,3}\Z"
_WORD = r"[A-Za-z0-9_.-]{1,64}\Z"
_UNSAFE = r"[^A-Za-z0-9_.~:@!$()*,;=+/-]"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A raw printing port; `host` is a name, an IPv4 or an IPv6 address (without brackets)."""

    scheme: ClassVar[str] = "tcp"
    host: str
    port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        name, percent, zone = self.host.partition("%")  # names know no case, zones do: one printer, one address
        object.__setattr__(self, "host", name.lower() + percent + zone)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UsbAddress:
    """A USB printer by its ids (lower-case hex), and what tells equal ones apart."""

    scheme: ClassVar[str] = "usb"
    vid: str
    pid: str
    serial: str = ""
    port: str = ""  # bus-port path such as 1-2.3: it stays over a replug, a device number does not
    interface: int | None = None

    def __str__(self) -> str:
        text = f"usb://{self.vid}:{self.pid}"
        if self.serial:
            text += "/" + _quote(self.serial)
        return text + _query(("port", self.port), ("interface", self.interface))


@dataclass(frozen=True, slots=True)
class SerialAddress:
    """A serial port and its line settings."""

    scheme: ClassVar[str] = "serial"
    device: str
    baud: int = 9600
    bits: int = 8
    parity: str = "N"
    stop: int = 1
    flow: str = "none"

    def __str__(self) -> str:
        settings = (
            (name, value)
            for name, value, usual in (
                ("baud", self.baud, 9600),
                ("bits", self.bits, 8),
                ("parity", self.parity, "N"),
                ("stop", self.stop, 1),
                ("flow", self.flow, "none"),
            )
            if value != usual
        )
        return f"serial://{_quote(self.device)}" + _query(*settings)


@dataclass(frozen=True, slots=True)
class LpAddress:
    """A printer device of the Linux kernel, such as /dev/usb/lp0."""

    scheme: ClassVar[str] = "lp"
    path: str

    def __str__(self) -> str:
        return f"lp://{_quote(self.path)}"


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """A simulated printer in this process: the language it speaks, and how it behaves."""

    scheme: ClassVar[str] = "virtual"
    dialect: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"virtual://{self.dialect}" + _query(*self.options)


Address = TcpAddress | UsbAddress | SerialAddress | LpAddress | VirtualAddress


@lru_cache(maxsize=256)
def parse(text: str) -> Address:
    """Read an address.

    Args:
        text: At most 1,024 characters.

    Raises:
        AddressError: It is none; the hint shows the forms. Whether a transport exists for the scheme is not
            asked here.
    """
    _check_length(text)
    if not text.isprintable():
        raise AddressError(f"a control character in {text!r:.80}", hint=f"write {_FORMS}")
    scheme, separator, rest = text.partition("://")
    reader = _READERS.get(scheme.lower()) if separator else None
    if reader is None:
        raise AddressError(f"no printer address: {text[:80]!r}", hint=f"write {_FORMS}")
    body, _, query = rest.partition("?")
    address = reader(text, body, _options(text, query))
    _check_length(str(address))  # percent-encoded it is longer
    return address


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise AddressError(f"address of {len(text)} characters", hint=f"an address has at most {MAX_LENGTH}")


def _bad(text: str, why: str, hint: str) -> AddressError:
    return AddressError(f"{why} in {text[:80]!r}", hint=hint)


def _tcp(text: str, body: str, options: dict[str, str]) -> TcpAddress:
    _only(text, options, ())
    body = body.removesuffix("/")
    if body.startswith("["):
        host, bracket, port = body[1:].partition("]")
        host = host.replace("%25", "%", 1)  # as RFC 6874 writes a zone
        if not bracket or not _is_ipv6(host) or (port and not port.startswith(":")):
            raise _bad(text, "no IPv6 address", "write tcp://[fe80::1%eth0]:9100")
        port = port[1:] if port else str(DEFAULT_PORT)
    else:
        host, colon, port = body.partition(":")
        port = port if colon else str(DEFAULT_PORT)
        if ":" in port:
            raise _bad(text, "a bare IPv6 address", "put it in brackets: tcp://[::1]:9100")
        if not re.match(_HOST, host):
            raise _bad(text, "no host name", "write tcp://HOST or tcp://HOST:9100")
    return TcpAddress(host, _number(text, "port", port, 1, 65535))


def _is_ipv6(host: str) -> bool:
    from ipaddress import IPv6Address  # noqa: PLC0415  (most programs never need it)

    if not re.match(_IPV6, host):
        return False
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _usb(text: str, body: str, options: dict[str, str]) -> UsbAddress:
    _only(text, options, ("port", "interface"))
    ids, _, serial = body.partition("/")
    vid, _, pid = ids.partition(":")
    if not re.match(_USB_ID, vid) or not re.match(_USB_ID, pid):
        raise _bad(text, "no USB ids", "write four hex digits each: usb://04b8:0e15")
    port = options.get("port", "")
    if port and not re.match(_USB_PORT, port):
        raise _bad(text, "no USB port path", "write it as BUS-PORT.PORT: ?port=1-2.3")
    interface = options.get("interface")
    return UsbAddress(
        vid.lower(),
        pid.lower(),
        _unquote(text, serial),
        port,
        None if interface is None else _number(text, "interface", interface, 0, 255),
    )


def _serial(text: str, body: str, options: dict[str, str]) -> SerialAddress:
    _only(text, options, ("baud", "bits", "parity", "stop", "flow"))
    device = _unquote(text, body)
    if not (device.startswith("/") and len(device) > 1) and not re.match(_COM, device):
        raise _bad(text, "no serial port", "write serial:///dev/ttyUSB0 or serial://COM3")
    return SerialAddress(
        device.upper() if re.match(_COM, device) else device,
        _number(text, "baud", options.get("baud", "9600"), 50, 4_000_000),
        _number(text, "bits", options.get("bits", "8"), 7, 8),
        _choice(text, "parity", options.get("parity", "N").upper(), ("N", "E", "O")),
        _number(text, "stop", options.get("stop", "1"), 1, 2),
        _choice(text, "flow", options.get("flow", "none"), ("none", "rtscts", "dsrdtr", "xonxoff")),
    )


def _lp(text: str, body: str, options: dict[str, str]) -> LpAddress:
    _only(text, options, ())
    path = _unquote(text, body)
    if not path.startswith("/") or len(path) < 2:
        raise _bad(text, "no device path", "write lp:///dev/usb/lp0")
    return LpAddress(path)


def _virtual(text: str, body: str, options: dict[str, str]) -> VirtualAddress:
    dialect = body.removesuffix("/")
    if not re.match(_WORD, dialect):
        raise _bad(
            text, "no printer language", "write virtual://tspl, virtual://escpos, virtual://star or virtual://zpl"
        )
    for name, value in options.items():
        if not re.match(_WORD, name) or not re.match(_WORD, value):
            raise _bad(text, f"option {name[:32]!r}", "write NAME=VALUE, such as ?media-empty=true")
    return VirtualAddress(dialect, tuple(options.items()))


_READERS: dict[str, Callable[[str, str, dict[str, str]], Address]] = {
    "tcp": _tcp,
    "socket": _tcp,
    "usb": _usb,
    "serial": _serial,
    "lp": _lp,
    "virtual": _virtual,
}


def _options(text: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not name or not equals or name in options:
            raise _bad(text, f"option {part[:32]!r}", "write each option once, as NAME=VALUE")
        options[name] = value
    return options


def _only(text: str, options: Iterable[str], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            hint = f"known here: {', '.join(known)}" if known else "this kind of address has no options"
            raise _bad(text, f"option {name[:32]!r}", hint)


def _number(text: str, name: str, value: str, low: int, high: int) -> int:
    # isdecimal() alone would take other scripts' digits, and int() signs, spaces and underscores.
    if not (value.isascii() and value.isdecimal() and len(value) <= 8 and low <= int(value) <= high):
        raise _bad(text, f"{name} {value[:16]!r}", f"{name} is a number from {low} to {high}")
    return int(value)


def _choice(text: str, name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _bad(text, f"{name} {value[:16]!r}", f"{name} is one of {', '.join(known)}")
    return value


def _query(*pairs: tuple[str, object]) -> str:
    text = "&".join(f"{name}={value}" for name, value in pairs if value not in (None, ""))
    return f"?{text}" if text else ""


def _quote(text: str) -> str:
    """Percent-encode what would end or split an address."""
    return re.sub(_UNSAFE, lambda m: "".join(f"%{b:02X}" for b in m.group().encode()), text)


def _unquote(text: str, part: str) -> str:
    pieces = part.split("%")
    raw = bytearray(pieces[0].encode())
    for piece in pieces[1:]:
        if not re.match(r"[0-9A-Fa-f]{2}", piece):
            raise _bad(text, "a lone %", "write % as %25")
        raw += bytes.fromhex(piece[:2]) + piece[2:].encode()
    try:
        plain = raw.decode()
    except UnicodeDecodeError as error:
        raise _bad(text, "bytes that are no UTF-8", "percent-encode UTF-8") from error
    if not plain.isprintable():
        raise _bad(text, "a control character", "addresses hold printable characters only")
    return plain
