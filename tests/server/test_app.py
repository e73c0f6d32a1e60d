"""Who gets in and what HTTP gives, seen from the wire."""

from __future__ import annotations

import errno
import json
import os
import socket
from importlib import resources

import pytest
from websockets.exceptions import ConnectionClosed

from rawprint import __version__
from rawprint_server import app as app_module
from rawprint_server.app import ListenError

POS = "https://pos.example.com"
PATIENCE = 5.0
HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.fixture
def pos(start):
    """A server without printers that allows one origin."""
    return start(origins=[POS])


# Routes


def test_health(server):
    status, headers, body = server.http(["GET /health"])
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {"status": "ok", "version": __version__, "printers": 2, "durability": "none"}


def test_every_static_file_is_served_as_it_is(server):
    files = {file.name: file.read_bytes() for file in resources.files("rawprint_server").joinpath("static").iterdir()}
    assert "PrinterWebSocket.js" in files
    types = {
        "html": "text/html; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml",
    }
    for name, content in files.items():
        status, headers, body = server.http([f"GET {'/' if name == 'index.html' else '/' + name}?v=1"])
        assert (status, body) == (200, content)
        assert headers["content-type"] == types[name.rpartition(".")[2]]
        assert headers["content-length"] == str(len(content))


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/index.html/",
        "//",
        "/../cli.py",
        "/static/PrinterWebSocket.js",
        "/%2e%2e/cli.py",
        "/HEALTH",
        "*",
        "",
    ],
)
def test_anything_else_is_not_there(server, path):
    if path == "":
        path = "http://127.0.0.1/health"  # a request to a proxy
    status, _, body = server.http([f"GET {path}"])
    assert (status, body) == (404, b"There is nothing here.\n")


@pytest.mark.parametrize(
    "path", ["/health", "/PrinterWebSocket.js", "/rawprint.js", "/metrics", "/schema.json", "/nope"]
)
def test_headers_that_every_reply_has(server, path):
    _, headers, _ = server.http([f"GET {path}"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == (
        "cross-origin" if path in {"/PrinterWebSocket.js", "/rawprint.js"} else "same-origin"
    )
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "server" not in headers


def test_head_gives_the_headers_alone(server):
    _, wanted, body = server.http(["GET /PrinterWebSocket.js"])
    status, headers, nothing = server.http(["HEAD /PrinterWebSocket.js"])
    assert (status, nothing) == (200, b"")
    assert headers["content-length"] == wanted["content-length"] == str(len(body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(server, method):
    status, headers, _ = server.http([f"{method} /metrics"])
    assert (status, headers["allow"]) == (405, "GET, HEAD")


# Hosts


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1:{port}.evil.example", ""]
)
@pytest.mark.parametrize("path", ["/", "/health", "/PrinterWebSocket.js", "/rawprint.js", "/metrics", "/nope"])
def test_a_foreign_host_gets_nothing(pos, host, path):
    status, headers, body = pos.http([f"GET {path}", f"Origin: {POS}"], host.format(port=pos.port))
    assert status == 421
    assert b"ok" not in body
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example:{port}", "localhost", ""])
def test_a_foreign_host_gets_no_websocket(server, host):
    status, *_ = server.http(["GET /", *HANDSHAKE], host.format(port=server.port))
    assert status == 421


def test_two_hosts_are_one_too_many(server):
    host = f"Host: 127.0.0.1:{server.port}"
    assert server.http(["GET /health", host])[0] == 421
    assert server.http(["GET /", host, *HANDSHAKE])[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_all_names_of_this_machine(server, host):
    assert server.http(["GET /health"], f"{host}:{server.port}")[0] == 200


# Origins over HTTP


@pytest.mark.parametrize("path", ["/health", "/PrinterWebSocket.js", "/rawprint.js"])
def test_an_allowed_page_may_load_what_is_shared(pos, path):
    for origin in (POS, f"http://localhost:{pos.port}"):
        status, headers, _ = pos.http([f"GET {path}", f"Origin: {origin}"])
        assert status == 200
        assert headers["access-control-allow-origin"] == origin
        assert headers["vary"] == "Origin"
    status, headers, _ = pos.http([f"GET {path}"])
    assert (status, headers["vary"]) == (200, "Origin")
    assert "access-control-allow-origin" not in headers


def test_an_allowed_page_may_load_nothing_else(pos):
    for path in ("/", "/metrics", "/schema.json", "/nope"):
        _, headers, _ = pos.http([f"GET {path}", f"Origin: {POS}"])
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "origins", [["https://evil.example"], ["null"], [""], [POS, POS], [POS, "https://evil.example"]]
)
@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/schema.json", "/nope"])
def test_other_pages_get_nothing(pos, origins, path):
    status, headers, body = pos.http([f"GET {path}", *(f"Origin: {origin}" for origin in origins)])
    assert status == 403
    assert b"ok" not in body
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/PrinterWebSocket.js", "/rawprint.js"])
def test_any_page_may_load_a_script(pos, path):
    """A module is fetched with CORS. What the script can do is decided when it connects."""
    for origin in ("https://evil.example", "null"):
        status, headers, _ = pos.http([f"GET {path}", f"Origin: {origin}"])
        assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, origin, "Origin")
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert "access-control-allow-credentials" not in headers
        assert pos.http([f"POST {path}", f"Origin: {origin}"])[0] == 405
    status, headers, _ = pos.http([f"GET {path}", f"Origin: {POS}", "Origin: https://evil.example"])
    assert status == 403
    assert "access-control-allow-origin" not in headers


# Origins over WebSocket


def test_an_allowed_page_is_served(pos):
    for origin in (
        POS,
        f"http://127.0.0.1:{pos.port}",
        f"http://localhost:{pos.port}",
        f"http://[::1]:{pos.port}",
    ):
        with pos.connect(origin=origin) as client:
            assert client.ask("printers.find")["result"] == []


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "https://pos.example.com.evil.example",
        "https://p\xf6s.example",
        "https://" + "a" * 5000,
    ],
)
def test_another_page_is_told_why_and_closed(start, label, origin):
    server = start({"Label": (label.address, "tspl")}, origins=[POS])
    with server.connect(additional_headers={"Origin": origin}) as client:
        with pytest.raises(ConnectionClosed) as caught:
            client.print("Label", "CLS\r\n")
        close = caught.value.rcvd
        assert close.code == 4403
        assert close.reason.endswith(" is not allowed: rawprint-server access allow")
        assert close.reason.startswith(origin[:40])
        assert len(close.reason.encode()) <= 123
    with server.connect() as program:
        assert program.ask("jobs.list")["result"] == []
    assert label.received() == b""


def test_what_a_foreign_page_sends_all_the_same_is_not_read(start, label):
    server = start({"Label": (label.address, "tspl")})
    text = json.dumps({"call": "print", "params": {"printer": "Label", "data": "CLS\r\n"}}).encode()
    frame = b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text
    close = b"\x88\x80" + bytes(4)
    head = [
        "GET / HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Origin: https://evil.example",
        *HANDSHAKE,
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        sock.sendall("\r\n".join(head).encode())
        answer = sock.recv(65536)
        sock.sendall(frame + close)
        answer += b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert (4403).to_bytes(2, "big") in answer
    with server.connect() as program:
        assert program.ask("jobs.list")["result"] == []


def test_several_origins_get_no_websocket(pos):
    for second in (POS, "https://evil.example"):
        assert pos.http(["GET /", f"Origin: {POS}", f"Origin: {second}", *HANDSHAKE])[0] == 403


# Sockets


def test_ipv6_has_the_same_port(server):
    with server.connect(f"ws://[::1]:{server.port}/any/path") as client:
        assert client.ask("printers.find")["result"] == ["Label", "Receipt"]
    assert server.http(["GET /health"], f"[::1]:{server.port}", socket.AF_INET6)[0] == 200


def test_a_frame_does_not_wait_for_the_one_before_to_be_acknowledged(server, client):
    """With Nagle's algorithm the outcome of a print comes 40 ms after its notice."""
    (connection,) = server.app._connections
    sock = connection.transport.get_extra_info("socket")
    assert server.call(sock.getsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken(start):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ListenError, match="cannot listen") as caught,
    ):
        start(port=taken.getsockname()[1])
    assert caught.value.code == "cannot-listen"
    assert str(taken) not in caught.value.message


def test_a_port_that_is_taken_on_ipv6_alone(start):
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as taken,
        pytest.raises(ListenError, match="cannot listen"),
    ):
        start(port=taken.getsockname()[1])


def test_a_free_port_is_free_on_both(start, monkeypatch):
    """The first port that IPv4 gives is taken on IPv6."""
    taken = []
    create = socket.create_server

    def create_server(address, **options):
        if address[0] == "::1" and not taken:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return create(address, **options)

    monkeypatch.setattr(app_module.socket, "create_server", create_server)
    server = start()
    assert server.http(["GET /health"], f"[::1]:{server.port}", socket.AF_INET6)[0] == 200


def test_a_machine_without_ipv6(start, monkeypatch):
    create = socket.create_server

    def create_server(address, **options):
        if options.get("family") == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return create(address, **options)

    monkeypatch.setattr(app_module.socket, "create_server", create_server)
    with start().connect() as client:
        assert client.ask("printers.find")["result"] == []


def test_a_connection_that_asks_for_nothing_does_not_hold_up_the_end(start):
    """Browsers open connections ahead of need."""
    server = start()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        server.http(["GET /health"])  # the idle one came first, so it has been accepted
        server.__exit__()
        assert sock.recv(1) == b""


def test_a_client_is_told_that_the_server_ends(start):
    server = start()
    with server.connect() as client:
        server.__exit__()
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1012, "the server stops")
