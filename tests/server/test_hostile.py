"""Hostile handshakes and calls, row by row: each gets its code, none has anything run, printed or opened, and the server is well.

All rows meet the same running server, which lets in two pages and some tokens. After each row no job is known, no byte has reached
a printer, nobody has knocked at the door of a stranger, and a good page is served within time.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed

from rawprint.virtual import Listener, device
from rawprint_server import access, app, grants
from rawprint_server.access import Grant, Token, hashed
from rawprint_server.config import (
    AccessConfig,
    AuditConfig,
    Config,
    LimitsConfig,
    PrinterConfig,
    ServerConfig,
    check,
)

from .conftest import Native, RunningServer

POS = "https://pos.example.com"
NARROW = "https://narrow.example"  # may print on Receipt, and no more
KIOSK = "https://kiosk.example"  # may connect by its token
DENIED = "https://denied.example"  # is in the configuration, and was denied
EVIL = "https://evil.example"
MESSAGE = 100_000  # longest message
JOB = 200_000  # largest job
GOOD = 1.0  # seconds within which a good page is served
PATIENCE = 5.0

TILL, KIOSKS, BLIND, OLD = (f"rp_{name}" + "x" * 40 for name in ("till", "kiosk", "blind", "old"))
PRINT = {"call": "print", "uid": "U", "params": {"printer": "Label", "data": "CLS\r\n"}}


class Row(NamedTuple):
    """What is sent, and the code it gets.

    Attributes:
        kind: The function that sends it.
        what: Its arguments.
        code: An HTTP status or a close code; or the code of an error.
    """

    id: str
    kind: str
    what: tuple
    code: object


class Fort(NamedTuple):
    server: RunningServer
    printers: tuple
    stranger: socket.socket  # listens; nobody may come
    admin: str

    def fill(self, text):
        """Puts the ports of this run in the places that a row has for them."""
        return (
            text.replace("{port}", str(self.server.port))
            .replace("{stranger}", str(self.stranger.getsockname()[1]))
            .replace("{label}", self.printers[0].address.rpartition(":")[2])
            .replace("{admin}", self.admin)
        )


@pytest.fixture(scope="module")
def fort(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")

    def granted(before):
        before = before.allow(NARROW, Grant(frozenset({"print", "status"}), frozenset({"Receipt"})), "command")
        before = before.deny(DENIED)
        before = before.with_token(Token("till", hashed(TILL), Grant(printers=frozenset({"Receipt"}))))
        before = before.with_token(Token("kiosk", hashed(KIOSKS), Grant(), KIOSK))
        before = before.with_token(Token("blind", hashed(BLIND), Grant(frozenset({"print"}))))
        return before.with_token(Token("old", hashed(OLD))).revoke("old")

    grants.change(state, granted)
    with ExitStack() as stack:
        # The printers end before the server, which would wait for them.
        inner = stack.enter_context(ExitStack())
        label, receipt = Listener(device("tspl")), Listener(device("escpos"))
        label.__enter__()
        receipt.__enter__()
        stranger = inner.enter_context(socket.create_server(("127.0.0.1", 0)))
        stranger.setblocking(False)
        config = Config(
            server=ServerConfig(port=0, durability="none", max_message_bytes=MESSAGE),
            printers={
                "Label": PrinterConfig(label.address, "tspl"),
                "Receipt": PrinterConfig(receipt.address, "escpos"),
            },
            access=AccessConfig((POS, DENIED), pairing="Label"),
            limits=LimitsConfig(job_bytes=JOB, first_frame="1s", connections_per_origin=20),
            audit=AuditConfig(level="none"),
        )
        check(config)
        server = stack.enter_context(RunningServer(config, state))
        try:
            yield Fort(server, (label, receipt), stranger, grants.admin_secret(state, make=False))
        finally:
            label.__exit__(None, None, None)
            receipt.__exit__(None, None, None)


# What is sent


def frame(data, opcode=1, *, fin=True, mask=True, rsv=0, length=None):
    """One WebSocket frame; `length` is what it says of itself."""
    data = data.encode() if isinstance(data, str) else data
    size = len(data) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    masked = 0x80 if mask else 0
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2)
    else:
        head += bytes([masked | 127]) + size.to_bytes(8)
    return head + (bytes(4) if mask else b"") + data


JOB_FRAME = frame(json.dumps(PRINT))
HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def take(sock, got=b""):
    """What the server says until it ends the connection: the HTTP status, or the code of its close frame."""
    sock.settimeout(PATIENCE)
    while b"\r\n\r\n" not in got:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            return "reset"
        if not more:
            return "end" if not got else int(got.split()[1])
        got += more
    head, _, rest = got.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if status != 101:
        return status
    assert b"permessage-deflate" not in head
    assert b"rp_" not in head
    while True:
        while len(rest) < 2 or len(rest) < 2 + rest[1]:
            assert not rest or rest[1] < 126
            try:
                more = sock.recv(65536)
            except ConnectionResetError:
                return "reset"
            if not more:
                return "end"
            rest += more
        opcode, body, rest = rest[0] & 15, rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        assert opcode == 8, f"a foreign one was answered: {body!r}"
        with suppress(OSError):  # said back, so that the server need not wait
            sock.sendall(frame(body, 8))
        return int.from_bytes(body[:2])


@contextmanager
def line(fort):
    with socket.create_connection(("127.0.0.1", fort.server.port), PATIENCE) as sock:
        yield sock


def raw(fort, text):
    """The bytes as they stand."""
    with line(fort) as sock:
        sock.sendall(fort.fill(text).encode("latin-1"))
        if not text.endswith("\r\n\r\n"):  # there is more to come, which does not
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        return take(sock)


def request(fort, lines):
    with line(fort) as sock:
        sock.sendall(fort.fill("\r\n".join([*lines, "", ""])).encode("latin-1"))
        return take(sock)


def http(fort, *lines):
    """A request; a Host is put in where there is none."""
    first, *rest = lines
    if not any(text.lower().startswith("host:") for text in rest):
        rest = ["Host: 127.0.0.1:{port}", *rest]
    return request(fort, [f"{first} HTTP/1.1", *rest])


def shake(fort, *lines):
    """A WebSocket handshake and, in the same breath, a job."""
    host = [] if any(text.lower().startswith("host:") for text in lines) else ["Host: 127.0.0.1:{port}"]
    text = "\r\n".join(["GET / HTTP/1.1", *host, *lines, *HANDSHAKE, "", ""])
    with line(fort) as sock:
        sock.sendall(fort.fill(text).encode("latin-1") + JOB_FRAME)
        return take(sock)


def frames(fort, protocol, data, ends=False):
    """What a page that is let in sends after the handshake; the server ends that, or, where `ends`, the page does."""
    offer = [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
    text = "\r\n".join(["GET / HTTP/1.1", "Host: 127.0.0.1:{port}", f"Origin: {POS}", *offer, *HANDSHAKE, "", ""])
    with line(fort) as sock:
        sock.sendall(fort.fill(text).encode())
        head = sock.recv(65536)
        assert head.endswith(b"\r\n\r\n")
        sock.sendall(data)
        if ends:
            sock.shutdown(socket.SHUT_WR)
        return take(sock, head)


WHO = {
    "program": {},
    "page": {"origin": POS},
    "narrow page": {"origin": NARROW},
    "own page": {"origin": "http://127.0.0.1:{port}"},
    "token": {"token": TILL},
    "blind token": {"token": BLIND},
    "page with a token": {"origin": POS, "token": TILL},
    "page with the administrator's token": {"origin": POS, "token": "{admin}"},
}


@contextmanager
def connected(fort, who, **options):
    who = WHO[who]
    headers = {"Authorization": "Bearer " + fort.fill(who["token"])} if "token" in who else {}
    origin = fort.fill(who["origin"]) if "origin" in who else None
    with fort.server.connect(origin=origin, additional_headers=headers, **options) as client:
        yield client


def call(fort, who, message):
    """A call in the native protocol: JSON text, or what is to become JSON."""
    text = message if isinstance(message, str | bytes) else json.dumps(message)
    with connected(fort, who, subprotocols=["rawprint.v1"]) as client:
        client.ws.send(fort.fill(text) if isinstance(text, str) else text)
        try:
            return client.recv()["error"]["code"]
        except ConnectionClosed as closed:
            return closed.rcvd.code


def old_call(fort, who, message):
    """A call in the other project's protocol, whose errors have ours in them."""
    with connected(fort, who) as client:
        client.ws.send(fort.fill(json.dumps(message)))
        reply = client.recv()
        if reply.get("status_code") == 1:  # a notice before the outcome
            reply = client.recv()
        return reply["error"]["code"] if "error" in reply else reply["message"]


KINDS = {function.__name__: function for function in (raw, http, shake, frames, call, old_call)}


# The rows


def printing(printer, data="CLS\r\n", **options):
    return {"call": "print", "uid": "U", "params": {"printer": printer, "data": data, "options": options}}


BAD_HOSTS = [
    "",
    "evil.example:{port}",
    "rbndr.us:{port}",
    "7f000001.c0a80001.rbndr.us:{port}",
    "127.0.0.1.nip.io:{port}",
    "localhost.evil.example:{port}",
    "localtest.me:{port}",
    "localhost.localdomain:{port}",
    "localhost.:{port}",
    "127.0.0.1.:{port}",
    "127.0.0.1",
    "localhost",
    "[::1]",
    "::1:{port}",
    "127.0.0.1:80",
    "127.0.0.1:0{port}",
    "127.0.0.1:{port}0",
    "127.0.0.1: {port}",
    "127.0.0.1:{port}:80",
    "127.0.0.1:",
    "127.0.0.1:{port}/",
    "127.0.0.1:{port}, evil.example",
    "evil.example@127.0.0.1:{port}",
    "http://127.0.0.1:{port}",
    "127.0.0.2:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "0.0.0.0:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::ffff:7f00:1]:{port}",
    "[0:0:0:0:0:0:0:1]:{port}",
    "[::1%25lo]:{port}",
    "[::1%lo]:{port}",
    "[fe80::1]:{port}",
    "169.254.169.254:{port}",
    "\xa0localhost:{port}",
    "lo\xadcalhost:{port}",
    "*",
]
BAD_ORIGINS = [
    EVIL,
    DENIED,
    KIOSK,  # without its token
    "null",
    "NULL",
    "",
    "*",
    "file://",
    "https://pos.example.com:443",
    "https://pos.example.com:8443",
    "https://pos.example.com:",
    "https://pos.example.com/",
    "https://pos.example.com.",
    "https://pos.example.com/x",
    "https://pos.example.com?",
    "https://pos.example.com#",
    "https://pos.example.com\\",
    "http://pos.example.com",
    "wss://pos.example.com",
    "HTTPS://pos.example.com",
    "https://POS.example.com",
    "https://pos.Example.com",
    "https://pos.example.com.evil.example",
    "https://pos.example.comevil.example",
    "https://pos.example.com@evil.example",
    "https://evil.example@pos.example.com",
    "https://evil.example/https://pos.example.com",
    "https://evil.example?https://pos.example.com",
    "https://evilpos.example.com",
    "https://a.pos.example.com",
    "https://example.com",
    "https://pos-example.com",
    "https://pos.example.com, https://evil.example",
    "https://pos.example.com https://evil.example",
    "https://evil.example https://pos.example.com",
    "pos.example.com",
    "//pos.example.com",
    "https:pos.example.com",
    "https:/pos.example.com",
    "https://p\xf6s.example.com",
    "https://xn--ps-fka.example.com",
    "https://pos.example.com\xa0",
    "https://pos\xb7example.com",
    "https://\xff\xfe",
    "http://localhost",
    "http://localhost:1",
    "https://localhost:{port}",
    "http://localhost:{port}.evil.example",
    "http://LOCALHOST:{port}",
    "http://localhost.:{port}",
    "http://127.0.0.2:{port}",
    "http://127.1:{port}",
    "http://2130706433:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://[0:0:0:0:0:0:0:1]:{port}",
    "http://0.0.0.0:{port}",
    "ws://127.0.0.1:{port}",
    "chrome-extension://abcdefghijklmnop",
    "about:srcdoc",
    "data:",
    "https://" + "a" * 4000,
    "https://pos.example.com" + "/" * 4000,
]
ADDRESSES = [
    "127.0.0.1",
    "127.0.0.1:{stranger}",
    "localhost:{stranger}",
    "127.0.0.1:{label}",
    "tcp://127.0.0.1:{label}",
    "tcp://127.0.0.1:{stranger}",
    "TCP://127.0.0.1:{stranger}",
    "socket://127.0.0.1:{stranger}",
    "raw://127.0.0.1:{stranger}",
    "http://127.0.0.1:{stranger}/",
    "ipp://127.0.0.1:{stranger}/ipp/print",
    "lpd://127.0.0.1:{stranger}/lp",
    "tcp://127.1:{stranger}",
    "tcp://0:{stranger}",
    "tcp://2130706433:{stranger}",
    "tcp://0x7f000001:{stranger}",
    "tcp://0177.0.0.1:{stranger}",
    "tcp://[::1]:{stranger}",
    "tcp://[::ffff:127.0.0.1]:{stranger}",
    "tcp://[::ffff:7f00:1]:{stranger}",
    "tcp://[::127.0.0.1]:{stranger}",
    "tcp://[64:ff9b::7f00:1]:{stranger}",
    "tcp://[fe80::1%25lo]:{stranger}",
    "tcp://[fe80::1%lo]:{stranger}",
    "tcp://localhost.:{stranger}",
    "tcp://7f000001.c0a80001.rbndr.us:{stranger}",
    "tcp://127.0.0.1.nip.io:{stranger}",
    "tcp://evil@127.0.0.1:{stranger}",
    "tcp://\u2460\u2461\u2466.0.0.1:{stranger}",
    "tcp://169.254.169.254:80",
    "tcp://metadata.google.internal:80",
    "tcp://192.168.1.1:9100",
    "usb://04b8:0e15",
    "serial:///dev/ttyS0",
    "lp:///dev/usb/lp0",
    "file:///etc/passwd",
    "virtual://tspl",
    "/dev/usb/lp0",
    "../Label",
    "label",
    "LABEL",
    " Label",
    "Label ",
    "Label\0",
    "Label\n",
    "L\u0430bel",  # Cyrillic a
    "\uff2cabel",
    "Label\u200b",
    "Label,Receipt",
    "*",
    "__proto__",
    "x" * 50_000,
]
REFUSED_TARGETS = [  # of the right shape, and outside the configured networks, of which there are none
    {"host": "127.0.0.1", "port": 9100},
    {"host": "127.0.0.1:{stranger}"},
    {"name": None, "host": "127.0.0.1", "port": 9100},
    {"host": "localhost"},
    {"host": "2130706433"},
    {"host": "0x7f.1"},
    {"host": "[::ffff:127.0.0.1]"},
    {"host": "fe80::1%lo"},
    {"host": "169.254.169.254"},
]
TARGETS = [
    *REFUSED_TARGETS,
    {"host": "127.0.0.1", "port": "{stranger}"},
    {"name": "", "host": "127.0.0.1", "port": 9100},
    {"name": {"host": "127.0.0.1", "port": 9100}},
    {"name": ["Label"]},
    {"name": 2130706433},
    {"address": "tcp://127.0.0.1:{stranger}"},
    {"url": "tcp://127.0.0.1:{stranger}"},
    {"file": "/etc/passwd"},
    ["127.0.0.1", 9100],
    [{"name": "Label"}],
    2130706433,
    True,
    "",
]
DEEP = 50_000
TOO_LONG = frame(b"x" * (2 * MESSAGE + 1))
LONG = json.dumps(printing("Label", "x" * (MESSAGE + 1)))


def rows():
    for host in BAD_HOSTS:
        yield Row(f"http host {host}", "http", ("GET /health", f"Host: {host}"), 421)
        yield Row(f"ws host {host}", "shake", (f"Host: {host}",), 421)
    yield Row("http without a host", "raw", ("GET /health HTTP/1.1\r\n\r\n",), 421)
    good = "Host: 127.0.0.1:{port}"
    for name, lines in {
        "two hosts": (good, good),
        "a good host and another": (good, "Host: evil.example"),
        "another host and a good one": ("Host: evil.example", good),
        "hosts that differ in case": (good, "hOST: evil.example"),
        "an allowed page at another host": ("Host: evil.example:{port}", f"Origin: {POS}"),
        "a token at another host": ("Host: evil.example:{port}", f"Authorization: Bearer {TILL}"),
    }.items():
        yield Row(f"http {name}", "http", ("GET /metrics", *lines), 421)
        yield Row(f"ws {name}", "shake", lines, 421)
    yield Row(
        "a host where another proxy would see it",
        "http",
        ("GET /health", "Host: evil.example", f"X-Forwarded-{good}"),
        421,
    )

    for origin in BAD_ORIGINS:
        yield Row(f"ws origin {origin[:60]}", "shake", (f"Origin: {origin}",), 4403)
    for origin in BAD_ORIGINS[::3]:
        yield Row(f"http origin {origin[:60]}", "http", ("GET /health", f"Origin: {origin}"), 403)
    for name, lines in {
        "two origins": (f"Origin: {POS}", f"Origin: {POS}"),
        "a good origin and another": (f"Origin: {POS}", f"Origin: {EVIL}"),
        "another origin and a good one": (f"Origin: {EVIL}", f"Origin: {POS}"),
        "a good origin and none": (f"Origin: {POS}", "Origin:"),
        "origins that differ in case": (f"Origin: {POS}", f"ORIGIN: {EVIL}"),
    }.items():
        yield Row(f"http {name}", "http", ("GET /health", *lines), 403)
        yield Row(f"ws {name}", "shake", lines, 403)
    evil = f"Origin: {EVIL}"
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
        for path in ("/", "/health", "/metrics", "/schema.json", "/nope"):
            yield Row(f"http {method} {path} of a foreign page", "http", (f"{method} {path}", evil, "X: y"), 403)
    yield Row(
        "preflight to reach this machine",
        "http",
        ("OPTIONS /health", evil, "Access-Control-Request-Private-Network: true"),
        403,
    )
    yield Row("foreign page and a wrong token, http", "http", ("GET /health", evil, "Authorization: Bearer x"), 403)
    yield Row("foreign page and a token, http", "http", ("GET /health", evil, f"Authorization: Bearer {TILL}"), 403)

    for name, lines in {
        "wrong": ("Authorization: Bearer rp_wrong",),
        "one letter off": (f"Authorization: Bearer {TILL[:-1]}y",),
        "cut": (f"Authorization: Bearer {TILL[:-1]}",),
        "longer": (f"Authorization: Bearer {TILL}x",),
        "in capitals": (f"Authorization: Bearer {TILL.upper()}",),
        "its hash": (f"Authorization: Bearer {hashed(TILL)}",),
        "its name": ("Authorization: Bearer till",),
        "revoked": (f"Authorization: Bearer {OLD}",),
        "empty": ("Authorization: Bearer ",),
        "nothing": ("Authorization:",),
        "Basic": ("Authorization: Basic dGlsbDo=",),
        "bare": (f"Authorization: {TILL}",),
        "quoted": (f'Authorization: Bearer "{TILL}"',),
        "two in one": (f"Authorization: Bearer {TILL}, Bearer {BLIND}",),
        "twice": (f"Authorization: Bearer {TILL}", f"Authorization: Bearer {TILL}"),
        "a wrong one and a good one": ("Authorization: Bearer x", f"Authorization: Bearer {TILL}"),
        "header and subprotocol": (f"Authorization: Bearer {TILL}", f"Sec-WebSocket-Protocol: rawprint.token.{TILL}"),
        "two subprotocols": (f"Sec-WebSocket-Protocol: rawprint.token.{TILL}, rawprint.token.{BLIND}",),
        "empty subprotocol": ("Sec-WebSocket-Protocol: rawprint.v1, rawprint.token.",),
        "wrong subprotocol": ("Sec-WebSocket-Protocol: rawprint.v1, rawprint.token.rp_wrong",),
        "not ASCII": ("Authorization: Bearer \xff\xfe",),
        "long": ("Authorization: Bearer " + "x" * 8000,),
        "of a page, by a program": (f"Authorization: Bearer {KIOSKS}",),
        "of a page, by another one": (f"Origin: {POS}", f"Authorization: Bearer {KIOSKS}"),
        "of a page, by a foreign one": (evil, f"Authorization: Bearer {KIOSKS}"),
        "of a page, by its neighbour": (f"Origin: {KIOSK}:8443", f"Authorization: Bearer {KIOSKS}"),
        "of a page, by the own one": ("Origin: http://127.0.0.1:{port}", f"Authorization: Bearer {KIOSKS}"),
        "of a page, twice": (
            f"Origin: {KIOSK}",
            f"Authorization: Bearer {KIOSKS}",
            f"Sec-WebSocket-Protocol: rawprint.token.{KIOSKS}",
        ),
        "by a foreign page": (evil, f"Authorization: Bearer {TILL}"),
        "by a foreign page as subprotocol": (evil, f"Sec-WebSocket-Protocol: rawprint.v1, rawprint.token.{TILL}"),
        "by a page that was denied": (f"Origin: {DENIED}", f"Authorization: Bearer {TILL}"),
        "the administrator's by a foreign page": (evil, "Authorization: Bearer {admin}"),
        "the administrator's by a sandboxed page": ("Origin: null", "Sec-WebSocket-Protocol: rawprint.token.{admin}"),
        "the administrator's by a denied page": (f"Origin: {DENIED}", "Authorization: Bearer {admin}"),
    }.items():
        yield Row(f"token {name}", "shake", lines, 4403)
    for name in ("rp_wrong", OLD, KIOSKS, "", BLIND):
        yield Row(
            f"metrics with {name[:8] or 'nothing'}", "http", ("GET /metrics", f"Authorization: Bearer {name}"), 403
        )

    for name in ADDRESSES:
        yield Row(f"address {name[:60]!r}", "call", ("page", printing(name)), "unknown-printer")
    for name in ADDRESSES[::6]:
        yield Row(f"address {name[:60]!r} of a narrow page", "call", ("narrow page", printing(name)), "not-granted")
        yield Row(f"address {name[:60]!r} as a name", "call", ("token", printing({"name": name})), "not-granted")
        yield Row(
            f"address {name[:60]!r} of a program", "call", ("program", printing({"name": name})), "unknown-printer"
        )
        yield Row(
            f"address {name[:60]!r} to the other protocol", "old_call", ("page", printing(name)), "unknown-printer"
        )
        for asked in ("printers.status", "printers.pause", "printers.resume"):
            message = {"call": asked, "uid": "U", "params": {"printer": name}}
            yield Row(f"{asked} {name[:60]!r}", "call", ("page", message), "unknown-printer")
    for name in ADDRESSES[3::6]:
        message = {"call": "drawer.open", "uid": "U", "params": {"printer": name}}
        yield Row(f"drawer.open {name[:60]!r}", "call", ("page", message), "unknown-printer")
    for target in TARGETS:
        code = "target-refused" if target in REFUSED_TARGETS else "bad-request"
        yield Row(f"target {target!r}", "call", ("page", printing(target)), code)

    def asking(name, **params):
        return {"call": name, "uid": "U", "params": params}

    for who, message, code in (
        ("narrow page", printing("Label"), "not-granted"),
        ("narrow page", printing({"name": "Label"}), "not-granted"),
        ("narrow page", asking("printers.status", printer="Label"), "not-granted"),
        ("narrow page", asking("drawer.open", printer="Receipt"), "not-granted"),
        ("narrow page", asking("drawer.open", printer="Label"), "not-granted"),
        ("narrow page", asking("printers.pause", printer="Receipt"), "not-granted"),
        ("narrow page", asking("printers.resume", printer="Receipt"), "not-granted"),
        ("narrow page", asking("jobs.list"), "not-granted"),
        ("narrow page", asking("jobs.get", id="x"), "not-granted"),
        ("narrow page", asking("jobs.cancel", id="x"), "not-granted"),
        ("narrow page", asking("jobs.resolve", id="x", action="print-again"), "not-granted"),
        ("token", printing("Label"), "not-granted"),
        ("token", asking("printers.pause", printer="Label"), "not-granted"),
        ("token", asking("drawer.open", printer="Label"), "not-granted"),
        ("page with a token", printing("Label"), "not-granted"),
        ("page with a token", asking("drawer.open", printer="Label"), "not-granted"),
        ("blind token", asking("subscribe"), "not-granted"),
        ("blind token", asking("printers.list"), "not-granted"),
        ("blind token", asking("printers.find"), "not-granted"),
        ("blind token", asking("server.version"), "not-granted"),
        ("page", asking("jobs.get", id="nope"), "unknown-job"),
        ("page", asking("jobs.cancel", id="nope"), "unknown-job"),
        ("page", asking("jobs.resolve", id="nope", action="print-again"), "unknown-job"),
        ("page", asking("jobs.resolve", id="nope", action="print"), "bad-request"),
        ("page", asking("pair.begin"), "unknown-call"),
        ("page", asking("pair.enter", code="000000"), "unknown-call"),
        ("page", asking("probe"), "unknown-call"),
        ("page", asking("Print", printer="Label", data="x"), "unknown-call"),
        ("page", asking("print\0", printer="Label", data="x"), "unknown-call"),
        ("page", asking("printerStatus", printer="Label"), "unknown-call"),
        ("own page", asking("admin.enter", code="x"), "not-granted"),
        ("own page", asking("admin.enter", code="{admin}"), "not-granted"),
        ("own page", asking("admin.enter"), "bad-request"),
        ("page", asking("admin.enter", code="{admin}"), "not-granted"),
        ("program", asking("admin.enter", code="{admin}"), "not-granted"),
    ):
        yield Row(f"{who}: {message['call']} {str(message['params'])[:40]}", "call", (who, message), code)
    for who in ("program", "page", "own page", "token", "page with a token", "page with the administrator's token"):
        for name in (name for name, kind in access.NEEDS.items() if kind == "admin"):
            yield Row(f"{who}: {name}", "call", (who, asking(name, origin=EVIL)), "not-granted")
    for who, message, code in (
        ("narrow page", printing("Label"), "not-granted"),
        ("narrow page", printing("Label", "\u20ac", encoding="ascii"), "not-granted"),
        ("token", printing("Label"), "not-granted"),
        ("narrow page", asking("jobs.list"), "not-granted"),
        ("narrow page", asking("drawer.open", printer="Receipt"), "not-granted"),
        ("blind token", asking("printers.find"), "not-granted"),
        ("page", asking("admin.access"), "not-granted"),
        ("program", asking("admin.code"), "not-granted"),
        ("page", printing({"host": "127.0.0.1", "port": 9100}), "Invalid printer or TSPL data"),
    ):
        yield Row(
            f"other protocol, {who}: {message['call']} {str(message['params'])[:40]}", "old_call", (who, message), code
        )

    for name, message, code in (
        ("one byte too many", json.dumps(printing("Label", ""))[:-1] + " " * MESSAGE + "}", "too-large"),
        ("a long job", LONG, "too-large"),
        ("twice the longest", "x" * (2 * MESSAGE + 1), 1009),
        ("twice the longest, binary", b"x" * (2 * MESSAGE + 1), 1009),
        ("copies", printing("Label", "x" * 1000, copies=1000), "too-large"),
        ("too many copies", printing("Label", "x", copies=1001), "bad-request"),
        ("copies beyond 64 bits", printing("Label", "x", copies=1 << 70), "bad-request"),
        ("too many items", printing("Label", ["x"] * 10_001), "bad-request"),
        ("deep", '{"call":"print","uid":"U","params":' + "[" * DEEP + "]" * DEEP, "bad-request"),
        (
            "deep and whole",
            '{"call":"print","uid":"U","params":' + "[" * (DEEP // 2) + "]" * (DEEP // 2) + "}",
            "bad-request",
        ),
        ("deep printer", printing("PLACE"), "bad-request"),
        (
            "half a pair of surrogates",
            '{"call":"print","uid":"U","params":{"printer":"\\ud800","data":"x"}}',
            "bad-request",
        ),
        ("a long id", printing("Label", "x", id="x" * 257), "bad-request"),
        ("a header longer than the frame", (1 << 31).to_bytes(4) + b"{}", "bad-request"),
        ("a huge number", '{"call":"print","uid":"U","params":{"printer":' + "9" * 50_000 + "}}", "bad-request"),
    ):
        if name == "deep printer":
            message = json.dumps(message).replace('"PLACE"', '{"name":' * 9000 + "1" + "}" * 9000)
        yield Row(f"message {name}", "call", ("page", message), code)

    whole = json.dumps(PRINT).encode()
    v1 = "rawprint.v1"
    for protocol in (v1, ""):
        for name, data, code in (
            ("not masked", frame(whole, mask=False), 1002),
            ("of an opcode that is none", frame(whole, 3), 1002),
            ("of another one", frame(whole, 11), 1002),
            ("compressed", frame(whole, rsv=4), 1002),
            ("with reserved bits", frame(whole, rsv=1), 1002),
            ("a continuation of nothing", frame(whole, 0), 1002),
            ("a message in another", frame(whole[:9], fin=False) + frame(whole), 1002),
            ("a long ping", frame(b"x" * 126, 9), 1002),
            ("a ping in parts", frame(b"x", 9, fin=False), 1002),
            ("a close of one byte", frame(b"\x03", 8), 1002),
            ("a close code that is none", frame((1005).to_bytes(2), 8), 1002),
            ("a close reason that is no text", frame((1000).to_bytes(2) + b"\xff", 8), 1007),
            ("not UTF-8", frame(b'{"call":"\xff"}'), 1007),
            ("longer than any", frame(b"", length=1 << 40), 1009),
            ("of 2^63 bytes", frame(b"", length=1 << 63), (1002, 1009)),
            (
                "too long in parts",
                frame(b"x" * MESSAGE, fin=False) + frame(b"x" * MESSAGE, 0, fin=False) + frame(b"xx", 0),
                1009,
            ),
        ):
            yield Row(f"frame {name} {protocol}", "frames", (protocol, data), code)
        for name, data in (
            ("half a length", b"\x81"),
            ("half a mask", JOB_FRAME[:4]),
            ("half a message", JOB_FRAME[:-1]),
            ("half of two parts", frame(whole, fin=False)),
            ("a message that never ends", frame(b"", length=MESSAGE) + b"x" * (MESSAGE // 2)),
        ):
            yield Row(f"frame left at {name} {protocol}", "frames", (protocol, data, True), ("end", 1006, 1005))
    for name, data in (
        ("nothing", b""),
        ("half a frame", JOB_FRAME[:-1]),
        ("half a ping", frame(b"x", 9)[:-1]),
        ("the first of two parts", frame(whole, fin=False)),
    ):
        yield Row(f"slow: {name} and then nothing", "frames", (v1, data), 4408)

    for name, text, code in (
        ("nothing", "", "end"),
        ("half a request line", "GET / HT", ("end", 400)),
        ("half a header", "GET / HTTP/1.1\r\nHost: 127.0", ("end", 400)),
        ("no end", "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", ("end", 400)),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505, "end", "reset")),
        ("HTTP/0.9", "GET /\r\n", (400, "end", "reset")),
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 60 + "\n", (400, "end", "reset")),
        ("a printer's language", "CLS\r\nPRINT 1\r\n", (400, "end", "reset")),
        ("a long request line", "GET /" + "x" * 20_000 + " HTTP/1.1\r\n\r\n", (414, 400, "end", "reset")),
        ("a long header", "GET / HTTP/1.1\r\nHost: " + "x" * 20_000 + "\r\n\r\n", (431, 400, "end", "reset")),
        ("many headers", "GET / HTTP/1.1\r\n" + "X: x\r\n" * 1000 + "\r\n", (431, 400, "end", "reset")),
        ("a folded host", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n :{port}\r\n\r\n", (400, "end", "reset")),
        ("a blank before the colon", "GET /metrics HTTP/1.1\r\nHost : 127.0.0.1:{port}\r\n\r\n", (400, "end", "reset")),
        ("a NUL in a header", "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\0\r\n\r\n", (400, "end", "reset")),
        ("lone line feeds", "GET /metrics HTTP/1.1\nHost: evil.example\n\n", (400, 421, "end", "reset")),
        (
            "a job by POST",
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 7\r\n\r\nCLS\r\n\r\n",
            (400, 405, 413, "end", "reset"),
        ),
        (
            "a request behind one that is refused",
            "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n" + "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
            (421, "end", "reset"),
        ),
    ):
        yield Row(f"bytes: {name}", "raw", (text,), code)
    for name, lines, code in (
        ("another upgrade", ("GET /", "Upgrade: h2c", "Connection: Upgrade"), 426),
        ("no connection", ("GET /", *HANDSHAKE[:1], *HANDSHAKE[2:]), 426),
        ("no key", ("GET /", *HANDSHAKE[:3]), 400),
        ("a short key", ("GET /", *HANDSHAKE[:3], "Sec-WebSocket-Key: AAAA"), 400),
        ("an old version", ("GET /", *HANDSHAKE[:2], "Sec-WebSocket-Version: 8", HANDSHAKE[3]), (400, 426)),
        ("POST", ("POST /", *HANDSHAKE), (400, 405)),
        ("a protocol that is none", ("GET /", *HANDSHAKE, "Sec-WebSocket-Protocol: rawprint.v1;,,("), 400),
    ):
        yield Row(f"handshake with {name}", "http", lines, code)


ROWS = list(rows())


def well(fort):
    """Nothing was run, printed or opened, and a good page is served in time."""
    begun = time.monotonic()
    with fort.server.connect(origin=POS, subprotocols=["rawprint.v1"]) as client:
        good = Native(client.ws)
        assert good.ask("printers.find") == ["Label", "Receipt"]
        assert good.ask("jobs.list") == []
    assert time.monotonic() - begun < GOOD
    assert [printer.received() for printer in fort.printers] == [b"", b""]
    with pytest.raises(BlockingIOError):
        fort.stranger.accept()
    assert [(each.origin, each.how) for each in fort.server.app._gate.grants.allowed] == [(NARROW, "command")]


@pytest.mark.parametrize("row", ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_row(fort, row):
    got = KINDS[row.kind](fort, *row.what)
    expected = row.code if isinstance(row.code, tuple) else (row.code,)
    assert got in expected, row.id
    well(fort)


def test_there_are_enough_rows_and_none_is_twice():
    assert len(ROWS) >= 150
    assert len({(row.kind, repr(row.what)) for row in ROWS}) == len({row.id for row in ROWS}) == len(ROWS)


def test_a_flood_of_foreign_pages_that_do_not_go(fort):
    """They do not answer the close, and are cut off; others are served meanwhile."""
    text = fort.fill("\r\n".join(["GET / HTTP/1.1", "Host: 127.0.0.1:{port}", f"Origin: {EVIL}", *HANDSHAKE, "", ""]))
    with ExitStack() as stack:
        socks = [stack.enter_context(line(fort)) for _ in range(200)]
        for sock in socks:
            sock.sendall(text.encode() + JOB_FRAME)
        well(fort)
        for sock in socks:
            sock.settimeout(PATIENCE)
            got = b"".join(iter(lambda sock=sock: sock.recv(65536), b""))
            assert got.partition(b"\r\n\r\n")[2][2:4] == (4403).to_bytes(2)
    well(fort)


def test_one_page_does_not_take_the_room_of_others(fort):
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(fort, "narrow page"))
        with connected(fort, "narrow page") as client, pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd.code == 4429
        well(fort)


@pytest.mark.parametrize(
    ("files", "wanted", "room"),
    [(20_000, 2000, 2000), (1024, 2000, 768), (1024, 200, 200), (256, 2000, 128), (-1, 2000, 2000)],
)
def test_clients_leave_files_for_the_printers(monkeypatch, files, wanted, room):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert app._room_for(wanted) == room


CONNECTIONS = 10_000


def test_ten_thousand_connections(start, label, record_property):
    """More than are served are ended before they cost anything; afterwards an allowed page prints."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Both ends are here: so many for the server, and some for all else.
    room = CONNECTIONS + 3000
    limit = room if hard == resource.RLIM_INFINITY else min(room, hard)
    most = min(CONNECTIONS, limit - 3000)
    if most < 1000:
        pytest.skip(f"this process may have {hard} files: no crowd")
    record_property("connections", most)
    print(f"{most} connections, as this process may have {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    server = start({"Label": (label.address, "tspl")}, origins=[POS])
    served = LimitsConfig().connections
    socks = []
    try:
        while len(socks) < most:
            socks += _connect(server.port, min(50, most - len(socks)))
            # It takes in what waits before that is more than a hundred: what the system drops it tries again after a second.
            server.call(int)
            server.call(int)
        deadline = time.monotonic() + PATIENCE
        while (alive := sum(map(_alive, socks))) > served and time.monotonic() < deadline:
            time.sleep(0.02)
        assert alive <= served
        assert len(server.app._connections) <= served
        assert len(socks) == most
    finally:
        for sock in socks:
            # At once, and without a trace in the system's tables.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    deadline = time.monotonic() + PATIENCE
    while server.app._connections and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = time.monotonic()
    with server.connect(origin=POS, subprotocols=["rawprint.v1"]) as client:
        job = Native(client.ws).print("Label", "x\n", wait="ended")
    assert job["state"] == "delivered"
    assert time.monotonic() - begun < 2 * GOOD


def _connect(port, count):
    """So many connections, all of them up."""
    socks = [socket.socket() for _ in range(count)]
    poll = select.poll()
    for sock in socks:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        poll.register(sock, select.POLLOUT)
    waiting = {sock.fileno() for sock in socks}
    deadline = time.monotonic() + PATIENCE
    while waiting:
        assert time.monotonic() < deadline
        for descriptor, _ in poll.poll(100):
            waiting.discard(descriptor)
            poll.unregister(descriptor)
    return socks


def _alive(sock):
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
