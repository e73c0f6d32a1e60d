"""The server at an address that other machines reach: TLS, tokens, names, what it refuses to start with."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import select
import signal
import socket
import ssl
import sys
import time
import warnings

import ifaddr
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from rawprint_server import app, grants
from rawprint_server.access import Grant, Token, hashed
from rawprint_server.app import App, ListenError
from rawprint_server.cli import main
from rawprint_server.config import AccessConfig, Config, ConfigError, PrinterConfig, ServerConfig, check, find_mistakes

from ..netns import NEEDED, THERE, network  # noqa: F401
from .conftest import PATIENCE, Native, RunningServer
from .test_cli import end, running

FAR = "127.0.0.2"  # not one of the addresses that are this machine's alone to the server
NAME = "till.shop.test"
POS = "https://pos.example.com"
PROTOCOL = "rawprint.v1"


def has(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def far_ipv6():
    """An IPv6 address of this machine that is not loopback; None where it has none."""
    found = [ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv6]
    return next((each for each in found if not each.startswith(("fe80", "::1")) and has(each)), None)


pytestmark = pytest.mark.skipif(not has(FAR), reason=f"this system has no {FAR}")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals")


class Files:
    """A certificate and its key in a folder, and renewals of them; `trust` is a client's context."""

    def __init__(self, folder, authority, *names):
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self._authority, self._names = authority, names
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        self.put_cert(self.issue())
        self.put_key(self.issued)

    def issue(self):
        self.issued = self._authority.issue_cert(*self._names)
        return self.issued

    def put_cert(self, issued):
        self.cert.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))

    def put_key(self, issued):
        self.key.write_bytes(issued.private_key_pem.bytes())

    @property
    def config(self):
        return {"tls_cert": str(self.cert), "tls_key": str(self.key)}

    def toml(self, host=FAR, **others):
        lines = {"host": host, "port": 0, **self.config, **others}
        return "[server]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A handshake that has failed is waited for at the server's end; not so long here."""
    assert app.HANDSHAKE_SECONDS <= 5
    monkeypatch.setattr(app, "HANDSHAKE_SECONDS", 0.7)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(tmp_path, authority):
    names = [FAR, "127.0.0.1", NAME, THERE, *filter(None, [far_ipv6()])]
    return Files(tmp_path, authority, *names)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def token(state):
    return give(state)


def give(state, name="till", grant=Grant(), origin=None):  # noqa: B008 - it is frozen
    """A new token."""
    secret = grants.new_token()
    grants.change(state, lambda before: before.with_token(Token(name, hashed(secret), grant, origin)))
    return secret


class Client:
    """A blocking client. That of websockets reads and writes from two threads, and before Python 3.13 nothing keeps them
    apart in TLS: one of some hundred connections hangs."""

    def __init__(self, url, **options):
        self._runner = asyncio.Runner()
        try:
            self._ws = self._run(connect(url, proxy=None, compression=None, **options))
        except BaseException:
            self._runner.close()
            raise
        self.subprotocol, self.transport = self._ws.subprotocol, self._ws.transport

    def _run(self, awaitable, timeout=PATIENCE):
        async def run():
            async with asyncio.timeout(timeout):
                return await awaitable

        return self._runner.run(run())

    def send(self, frame):
        self._run(self._ws.send(frame))

    def recv(self, timeout=PATIENCE):
        return self._run(self._ws.recv(), timeout)

    @property
    def certificate(self):
        return self.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run(self._ws.close())
        self._runner.close()


class Far(RunningServer):
    """A server at another address; `loop` makes its event loop."""

    def __init__(self, config, state, files, loop):
        super().__init__(config, state)
        self._loop, self.files, self.host = loop, files, config.server.host

    def _main(self):
        with asyncio.Runner(loop_factory=self._loop) as runner:
            runner.run(self._serve())

    @property
    def secure(self):
        return self.app.secure

    @property
    def address(self):
        return FAR if self.host == "0.0.0.0" else self.host

    def socket(self, context=None):
        """A connection of bytes, through TLS where the server has it."""
        raw = socket.create_connection((self.address, self.port), PATIENCE)
        if not self.secure:
            return raw
        return (context or self.files.trust).wrap_socket(raw, server_hostname=self.address)

    @contextlib.contextmanager
    def join(self, token=None, *, origin=None, page_token=None, host=None, **options):
        """A `rawprint.v1` client; `token` as programs bring theirs, `page_token` as pages do."""
        scheme = "wss" if self.secure else "ws"
        name = f"[{self.address}]" if ":" in self.address else self.address
        protocols = [PROTOCOL] + ([] if page_token is None else [f"rawprint.token.{page_token}"])
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if self.secure:
            options.setdefault("ssl", self.files.trust)
        if host is not None:  # whom the client means, wherever it connects to
            options.update(host=self.address, port=self.port)
        with Client(
            f"{scheme}://{host or name}:{self.port}",
            origin=origin,
            subprotocols=protocols,
            additional_headers=headers,
            **options,
        ) as ws:
            yield Native(ws)

    def refusal(self, *args, **options):
        """Close code and reason of a client that is turned away."""
        with self.join(*args, **options) as client, pytest.raises(ConnectionClosed) as caught:
            client.ask("server.version")
        return caught.value.rcvd.code, caught.value.rcvd.reason

    def get(self, path, token=None, host=None, origin=None):
        """Status and body of a request."""
        name = f"[{self.address}]" if ":" in self.address else self.address
        lines = [f"GET {path} HTTP/1.1", f"Host: {host or f'{name}:{self.port}'}"]
        lines += [] if token is None else [f"Authorization: Bearer {token}"]
        lines += [] if origin is None else [f"Origin: {origin}"]
        with self.socket() as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        top, _, body = answer.partition(b"\r\n\r\n")
        return int(top.split()[1]), body


@pytest.fixture
def far(stack, files, state, label):
    """far(host, origins=…, tls=False, loop=…, **keys of [server]) -> a running `Far` with the printer `Label`."""

    def start(host=FAR, origins=(), *, tls=True, loop=None, **server):
        server = {"port": 0, **(files.config if tls else {"insecure": True}), **server}
        config = Config(
            server=ServerConfig(host=host, **server),
            printers={"Label": PrinterConfig(label.address, "tspl")},
            access=AccessConfig(tuple(origins)),
        )
        check(config)
        return stack.enter_context(Far(config, state, files, loop))

    return start


def loops():
    try:
        from uvloop import new_event_loop
    except ImportError:
        return [pytest.param(None, id="asyncio")]
    return [pytest.param(None, id="asyncio"), pytest.param(new_event_loop, id="uvloop")]


LOOPS = pytest.mark.parametrize("loop", loops())


def until(wanted, timeout=PATIENCE):
    deadline = time.monotonic() + timeout
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- who gets in -----------------------------------------------------------------------------------------------------


@POSIX
def test_a_program_with_a_token_prints(state, files, label, tmp_path, token):
    config = tmp_path / "server.toml"
    config.write_text(
        files.toml(state_dir=str(state)) + f'[printers.Label]\naddress = "{label.address}"\ndialect = "tspl"\n'
    )
    with running("--config", str(config)) as (process, url):
        assert url.startswith(f"wss://{FAR}:")
        assert url.rpartition(":")[2].isdecimal()
        headers = {"Authorization": f"Bearer {token}"}
        with Client(url, ssl=files.trust, subprotocols=[PROTOCOL], additional_headers=headers) as ws:
            client = Native(ws)
            assert client.print("Label", "FAR\n", wait="ended")["state"] in {"completed", "delivered"}
            assert b"FAR\n" in label.received()
            # Its token is revoked by a command beside the server, and it is cut off.
            assert main(["access", "--config", str(config), "token", "revoke", "till"]) == 0
            began = time.monotonic()
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv(PATIENCE)
            assert time.monotonic() - began < 2
            assert caught.value.rcvd.code == 4403
        with Client(f"ws://127.0.0.1:{url.rpartition(':')[2]}", subprotocols=[PROTOCOL]) as ws:
            assert Native(ws).ask("printers.find") == ["Label"]  # this machine's own way, plain and without a token
        code, out, err = end(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert "INSECURE" not in err


def test_who_is_turned_away(far, state):
    """(what they bring) -> the close code, and words of the reason; nobody is answered."""
    program, pos, narrow = give(state), give(state, "pos", origin=POS), give(state, "see", Grant(frozenset({"status"})))
    server = far(origins=["https://other.example.com"])
    own = f"https://{FAR}:{server.port}"
    needed, bad, foreign = "a token is needed", "the token is not known", "is not allowed"
    rows = [
        ((), {}, needed),
        (("",), {}, bad),
        (("rp_wrong",), {}, bad),
        ((program + "x",), {}, bad),
        ((program[:-1],), {}, bad),
        ((hashed(program),), {}, bad),  # what the file holds
        ((pos,), {}, bad),  # a page's, in a program's hands
        ((), {"page_token": "rp_wrong", "origin": "https://other.example.com"}, bad),
        ((program,), {"page_token": program}, bad),  # two of them
        ((), {"origin": "https://other.example.com"}, needed),
        ((), {"origin": own}, needed),
        ((), {"page_token": program, "origin": "https://foreign.example.com"}, foreign),
        ((), {"page_token": program, "origin": "null"}, foreign),
        ((), {"page_token": program, "origin": f"http://{FAR}:{server.port}"}, foreign),
        ((), {"page_token": program, "origin": f"https://{FAR}"}, foreign),
        ((), {"page_token": pos, "origin": "https://other.example.com"}, bad),
    ]
    for args, options, said in rows:
        code, reason = server.refusal(*args, **options)
        assert code == 4403, (args, options)
        assert said in reason, (args, options)
    for args, options in (
        ((program,), {}),
        ((), {"page_token": program}),
        ((), {"page_token": program, "origin": "https://other.example.com"}),
        ((), {"page_token": program, "origin": own}),
        ((), {"page_token": pos, "origin": POS}),
        ((), {"page_token": narrow, "origin": own}),
    ):
        with server.join(*args, **options) as client:
            assert client.ask("printers.find") == ["Label"]
            assert client.ws.subprotocol == PROTOCOL
    with server.join(narrow) as client:
        assert client.refusal("print", printer="Label", data="x\n").code == "not-granted"


def test_plain_clients_get_nothing(far, token):
    server = far()
    with socket.create_connection((FAR, server.port), PATIENCE) as sock:
        sock.sendall(f"GET /health HTTP/1.1\r\nHost: {FAR}:{server.port}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in b"".join(iter(lambda: sock.recv(65536), b""))
    with server.join(token) as client:
        assert client.ask("printers.find") == ["Label"]


def test_names(far, token):
    server = far(names=[NAME])
    port = server.port
    for host in (f"{FAR}:{port}", f"{NAME}:{port}", f"Till.Shop.TEST:{port}", f"localhost:{port}"):
        assert server.get("/health", host=host)[0] == 200, host
    for host in (FAR, NAME, f"{NAME}:1", f"{NAME}.:{port}", f"evil.test:{port}", f"x.{NAME}:{port}", f"[::2]:{port}"):
        status, body = server.get("/health", token, host=host)
        assert status == 421, host
        assert b"configuration" in body
    with server.join(host=NAME, page_token=token, origin=f"https://{NAME}:{port}") as client:
        assert client.ask("printers.find") == ["Label"]
    # Where a name leads to this machine itself, it was made to: what other machines call it, it is not called here.
    assert server.http(["GET /health"], host=f"{NAME}:{port}")[0] == 421
    assert server.http(["GET /health"])[0] == 200


def test_other_names_take_a_restart(far, token, caplog):
    """What the sockets serve stays as it is until then, and so do those who may be meant."""
    server = far(names=[NAME])
    config = Config(server=ServerConfig(port=0, names=("other.test",)))
    server.call(server.app.apply, config)
    assert "takes a restart" in caplog.text
    assert server.get("/health", host=f"{NAME}:{server.port}")[0] == 200
    assert server.get("/health", host=f"other.test:{server.port}")[0] == 421
    with server.join(token) as client:
        assert client.ask("printers.find") == []


def test_pages_and_metrics(far, token):
    server = far()
    for path in ("/", "/health", "/rawprint.js", "/dashboard.js", "/health?x=1"):
        assert server.get(path)[0] == 200, path
    for path in ("/metrics", "/schema.json", "/metrics?x", "/nothing", "//metrics"):
        status, body = server.get(path)
        assert status == 403, path
        assert b"token" in body
        assert server.get(path, "rp_wrong")[0] == 403
    assert b"rawprint_clients" in server.get("/metrics", token)[1]
    assert server.get("/schema.json", token)[0] == 200
    assert server.get("/nothing", token)[0] == 404
    assert server.get("/metrics", token, origin="https://foreign.example.com")[0] == 403
    assert server.http(["GET /metrics"])[0] == 200  # a program of this machine


def test_tls_of_before(far, token):
    server = far()
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)protocol.version|reset|eof"):
        server.socket(old)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        server.files.trust.minimum_version = server.files.trust.maximum_version = version
        with server.socket() as sock:
            assert sock.version() == version.name.replace("_", ".").replace("TLSv", "TLSv")


# -- clients that begin and do not go on -------------------------------------------------------------------------------


@LOOPS
def test_a_handshake_that_never_ends(far, token, loop):
    server = far(loop=loop)
    with contextlib.ExitStack() as stuck:
        idle = [stuck.enter_context(socket.create_connection((FAR, server.port), PATIENCE)) for _ in range(20)]
        for sock in idle[10:]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))  # half of a greeting
        began = time.monotonic()
        with server.join(token) as client:
            assert client.ask("printers.find") == ["Label"]
            assert select.select(idle, [], [], 0)[0] == []  # none of them had to go before
        for sock in idle:
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(4096):
                    pass
        assert time.monotonic() - began < PATIENCE


@LOOPS
def test_the_server_ends_while_a_handshake_does_not(far, token, loop):
    """It is waited for, which is why it may not take long."""
    server = far(loop=loop)
    with socket.create_connection((FAR, server.port), PATIENCE) as sock:
        with server.socket():  # was accepted after it
            pass
        began = time.monotonic()
        server.__exit__()
        assert time.monotonic() - began < 3
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_a_machine_that_vanishes_is_noticed(far, token):
    """The system asks it whether it is there: that its connection ends then is the system's to test."""
    server = far()
    with server.join(token) as client:
        client.ask("server.version")
        (connection,) = server.app._connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in app.KEEPALIVE:
            if hasattr(socket, name):
                assert sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# -- the certificate is renewed ----------------------------------------------------------------------------------------


@LOOPS
def test_a_renewed_certificate(far, state, monkeypatch, caplog, loop, token):
    monkeypatch.setattr(app, "LOOK_EVERY", 0.02)
    caplog.set_level("INFO", "rawprint_server.certificate")
    server = far(loop=loop)
    files = server.files

    def shown():
        with server.socket() as sock:
            return sock.getpeercert(binary_form=True)

    def log(words):
        return sum(words in message for message in caplog.messages)

    before = shown()
    with server.join(token) as early:
        new = files.issue()
        files.put_cert(new)  # its key is still to come
        until(lambda: log("cannot be used") == 1)
        assert "the key is not the certificate's" in caplog.text
        assert shown() == before
        files.key.unlink()
        until(lambda: log("cannot be used") == 2)
        assert shown() == before
        files.put_key(new)
        until(lambda: log("is in use") == 1)
        after = shown()
        assert after == ssl.PEM_cert_to_DER_cert(new.cert_chain_pems[0].bytes().decode())
        assert after != before
        with server.join(token) as late:
            assert late.ask("printers.find") == ["Label"]
        assert early.ask("printers.find") == ["Label"]
        assert early.ws.certificate == before

        files.cert.write_bytes(files.cert.read_bytes()[:200])  # and half of a file
        until(lambda: log("cannot be used") == 3)
        assert shown() == after
        files.put_cert(new)
        until(lambda: log("is in use") == 2)
        assert shown() == after
        assert early.print("Label", "STILL\n", wait="ended")["state"] in {"completed", "delivered"}


@LOOPS
def test_a_client_that_names_no_server_gets_the_renewed_one_too(far, token, monkeypatch, caplog, loop):
    monkeypatch.setattr(app, "LOOK_EVERY", 0.02)
    caplog.set_level("INFO", "rawprint_server.certificate")
    server = far(loop=loop)
    new = server.files.issue()
    server.files.put_key(new)
    server.files.put_cert(new)
    until(lambda: "is in use" in caplog.text)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((FAR, server.port), PATIENCE) as raw,
        context.wrap_socket(raw) as sock,
    ):
        assert sock.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(new.cert_chain_pems[0].bytes().decode())


def test_certificate_and_key_in_one_file(far, token, files):
    files.cert.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    with far(tls_key=None).join(token) as client:
        assert client.ask("printers.find") == ["Label"]


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(far_ipv6() is None, reason="this machine has no IPv6 address but loopback's")
def test_ipv6(far, token):
    server = far(far_ipv6())
    assert server.app.url == f"wss://[{far_ipv6()}]:{server.port}"
    with server.join(token) as client:
        assert client.ask("printers.find") == ["Label"]
    with server.join(page_token=token, origin=f"https://[{far_ipv6()}]:{server.port}") as client:
        assert client.ask("printers.find") == ["Label"]
    assert server.refusal()[0] == 4403
    assert server.http(["GET /health"])[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses(far, token, host, caplog):
    """Loopback is among them, and no exception to anything."""
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this system has no sockets for both")
    server = far(host, names=[NAME])
    server.host = "0.0.0.0"
    assert server.app.url == f"wss://{NAME}:{server.port}"
    for origin in (NAME, "localhost", "127.0.0.1", "[::1]"):
        with server.join(page_token=token, origin=f"https://{origin}:{server.port}", host=NAME) as client:
            assert client.ask("printers.find") == ["Label"]
    assert server.refusal(host=NAME) == (4403, "a token is needed: rawprint-server access token new NAME")
    assert server.get("/health", host=f"{FAR}:{server.port}")[0] == 421
    assert server.get("/metrics", host=f"127.0.0.1:{server.port}")[0] == 403
    assert "names" not in caplog.text


def test_all_addresses_and_no_name(far, state, caplog):
    give(state)
    server = far("0.0.0.0")
    assert server.app.url == f"wss://127.0.0.1:{server.port}"
    assert "[server] names" in caplog.text


@pytest.mark.parametrize("host", [FAR, "0.0.0.0"])
def test_the_dashboard_comes_by_loopback(far, token, state, tmp_path, capsys, host):
    server = far(host)
    config = tmp_path / "server.toml"
    config.write_text(server.files.toml(host, state_dir=str(state), port=server.port))
    code = main(["dashboard", "--config", str(config), "--print"])
    out, err = capsys.readouterr()
    if host == FAR:
        assert code == 0
        assert out.startswith(f"http://127.0.0.1:{server.port}/#code=")
    else:
        assert code == 2
        assert "no way in of its own" in err
        assert "Name one address" in err


@POSIX
def test_insecure_says_so(state, tmp_path, token):
    config = tmp_path / "server.toml"
    config.write_text(f'[server]\nhost = "{FAR}"\nport = 0\ninsecure = true\nstate_dir = "{state}"\n')
    with running("--config", str(config)) as (process, url):
        assert url.startswith(f"ws://{FAR}:")
        headers = {"Authorization": f"Bearer {token}"}
        with Client(url, subprotocols=[PROTOCOL], additional_headers=headers) as ws:
            assert Native(ws).ask("printers.find") == []
        with Client(url) as ws, pytest.raises(ConnectionClosed) as caught:
            ws.recv(PATIENCE)
        assert caught.value.rcvd.code == 4403
        err = end(process, signal.SIGTERM)[2]
    assert f"WARNING rawprint_server.app: INSECURE: {FAR} is served without TLS" in err


def test_what_loopback_does_not_use_is_said(far, caplog):
    server = far("127.0.0.1", names=[NAME])
    assert not server.secure
    assert "tls_cert and names change nothing" in caplog.text
    assert server.http(["GET /health"], host=f"{NAME}:{server.port}")[0] == 421


@NEEDED
def test_from_another_machine(network, state, files, tmp_path, token):  # noqa: F811
    """A cable, and not loopback: the server is at its other end."""
    config = tmp_path / "server.toml"
    text = files.toml(THERE, state_dir=str(state)).replace("port = 0", "port = 8765")
    config.write_text(text + f'[log]\nfile = "{tmp_path / "server.log"}"\n')
    authority = tmp_path / "ca.pem"
    files._authority.cert_pem.write_to_path(str(authority))
    network.start(
        "import sys; from rawprint_server.cli import main; sys.exit(main(sys.argv[1:]))", "--config", str(config)
    )
    client = (
        "import json, ssl, sys\n"
        "import asyncio\n"
        "from websockets.asyncio.client import connect\n"
        "url, authority, *token = sys.argv[1:]\n"
        "headers = {'Authorization': f'Bearer {token[0]}'} if token else {}\n"
        "context = ssl.create_default_context(cafile=authority)\n"
        "options = {'ssl': context, 'proxy': None, 'subprotocols': ['rawprint.v1'], 'additional_headers': headers}\n"
        "async def main():\n"
        "    async with connect(url, **options) as ws:\n"
        "        await ws.send(json.dumps({'call': 'printers.find', 'uid': 1}))\n"
        "        print(await ws.recv())\n"
        "asyncio.run(main())\n"
    )
    url = f"wss://{THERE}:8765"
    code, out, err = network.run("-c", client, url, str(authority), token)
    assert (code, json.loads(out)["result"]) == (0, []), err
    code, _, err = network.run("-c", client, url, str(authority))
    assert code != 0
    assert "4403" in err


# -- what it does not start with -----------------------------------------------------------------------------------------


def locked_key(files):
    files.key.write_bytes(
        serialization.load_pem_private_key(files.key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


def forbidden_key(files):
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    files.key.chmod(0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files: files.put_key(files.issue()), "the key is not the certificate's"),
        (lambda files: files.key.unlink(), "No such file"),
        (lambda files: files.cert.unlink(), "No such file"),
        (lambda files: files.cert.write_bytes(files.cert.read_bytes()[:200]), "one of them holds no such thing"),
        (lambda files: files.key.write_bytes(b""), "one of them holds no such thing"),
        (locked_key, "the key has a password"),
        (forbidden_key, "Permission denied"),
    ],
    ids=["other key", "no key", "no certificate", "half", "empty", "password", "forbidden"],
)
def test_a_certificate_that_cannot_be_used(files, state, tmp_path, capsys, spoil, said):
    config = tmp_path / "server.toml"
    config.write_text(files.toml(state_dir=str(state)))
    give(state)
    spoil(files)
    assert main(["--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rawprint-server: server.tls_cert: cannot use {files.cert} with the key of {files.key}: ")
    assert said in err
    assert "PEM files that this user may read" in err
    assert "Traceback" not in err
    # `check` says it, too, and where.
    assert main(["check", "--config", str(config)]) == 2
    first, hint = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{config}:4: server.tls_cert: cannot use ")
    assert said in first
    assert "PEM files" in hint
    config.write_text(files.toml("127.0.0.1"))  # which uses none
    assert main(["check", "--config", str(config)]) == 0


def test_check_of_a_certificate_that_is_right(files, tmp_path, capsys):
    config = tmp_path / "server.toml"
    config.write_text(files.toml())
    assert main(["check", "--config", str(config)]) == 0
    assert capsys.readouterr() == (f"{config}: 0 printers, 0 origins\n", "")


@pytest.mark.parametrize(
    ("host", "tls", "token", "code", "said", "hint"),
    [
        (FAR, True, False, 3, f"no token says who may print from other machines, which reach {FAR}", "token new NAME"),
        ("0.0.0.0", True, False, 3, "no token", "token new NAME"),
        (FAR, False, True, 2, "there is no certificate", "tls_cert"),
        ("::", False, True, 2, "there is no certificate", "tls_cert"),
        ("203.0.113.77", True, True, 3, "cannot listen on 203.0.113.77 port ", "an address of this machine?"),
        ("2001:db8::77", True, True, 3, "cannot listen on 2001:db8::77 port ", "an address of this machine?"),
        (NAME, True, True, 2, "is no IP address", "the address at which other machines reach this one"),
        ("fe80::1%lo", True, True, 2, "names an interface", ""),
        ("::ffff:127.0.0.2", True, True, 2, "is 127.0.0.2", ""),
        ("127.1", True, True, 2, "is no IP address", ""),
        ("2001:DB8::0077", True, True, 2, "is '2001:db8::77' in short", ""),
    ],
)
def test_what_it_does_not_start_with(files, state, tmp_path, capsys, host, tls, token, code, said, hint):
    config = tmp_path / "server.toml"
    text = files.toml(host, state_dir=str(state))
    config.write_text(text if tls else "\n".join(line for line in text.splitlines() if "tls_" not in line))
    if token:
        give(state)
    assert main(["--config", str(config)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert hint in err
    assert "Traceback" not in err
    gc.collect()  # a socket that was left open would say so


def test_the_flag_asks_for_the_same(tmp_path, capsys):
    config = tmp_path / "server.toml"
    config.write_text("")
    assert main(["--config", str(config), "--host", FAR, "--port", "0"]) == 2
    assert "there is no certificate" in capsys.readouterr().err
    config.write_text("[server]\ninsecure = true\n")
    assert main(["--config", str(config), "--host", FAR, "--port", "0"]) == 3
    assert "no token" in capsys.readouterr().err
    assert main(["--config", str(config), "--host", FAR, "--port", "0", "--demo"]) == 3
    assert "this server has none" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["certificate", "address", "token"])
def test_nothing_stays_behind(files, state, what):
    """The folder of jobs is free again, and the ports."""
    if what != "token":
        give(state)
    if what == "certificate":
        files.key.unlink()
    host = "203.0.113.77" if what == "address" else FAR
    config = Config(server=ServerConfig(host=host, port=0, **files.config))

    async def start():
        async with App(config, state):
            pass

    for _ in range(2):
        with pytest.raises((ListenError, ConfigError)) as caught:
            asyncio.run(start())
        assert type(caught.value) is (ConfigError if what == "certificate" else ListenError)


@pytest.mark.parametrize(
    ("text", "key", "line", "said"),
    [
        ('[server]\nport = 1\nhost = "192.168.1.2"\n', "server.host", 3, "there is no certificate"),
        ('[server]\nhost = "192.168.1.2"\ninsecure = false\n', "server.host", 2, "there is no certificate"),
        ('[server]\ninsecure = true\n\nhost = "till"\n', "server.host", 4, "is no IP address"),
        ('[server]\ninsecure = true\nhost = "0::0"\n', "server.host", 3, "'::'"),
        ('[server]\ninsecure = "yes"\n', "server.insecure", 2, "expected bool"),
        ('[server]\n\ntls_key = "a.pem"\n', "server.tls_key", 3, "a key and no certificate"),
        ('[server]\nhost = "127.0.0.1"\ntls_cert = " "\n', "server.tls_cert", 3, "is no file name"),
        ("[server]\ntls_cert = 1\n", "server.tls_cert", 2, "expected str"),
        ('[server]\nnames = "till"\n', "server.names", 2, "expected array"),
        ('[server]\nnames = [\n"till.lan",\n"Till.lan"]\n', "server.names", 4, "is no name of a machine"),
        ('[server]\nnames = [\n"http://till"]\n', "server.names", 3, "is no name of a machine"),
        ('[server]\nnames = ["a",\n"till:8765"]\n', "server.names", 3, "is no name of a machine"),
        ("[server]\nnames = [\n\n1]\n", "server.names", 4, "expected str"),
        ('[server]\nnames = ["*.lan"]\n', "server.names", 2, "is no name of a machine"),
        ('[server]\nnames = ["[::ffff]", "[0:0::1]"]\n', "server.names", 2, "is '::1' in short"),
        ('[server]\nnames = ["[1:]"]\n', "server.names", 2, "is no address"),
        ('[server]\ntls_crt = "a"\n', "server.tls_crt", 2, "unknown key"),
    ],
)
def test_mistakes_and_their_lines(text, key, line, said):
    (mistake,) = find_mistakes(text)
    assert (mistake.key, mistake.line) == (key, line)
    assert said in mistake.message


@pytest.mark.parametrize(
    "text",
    [
        'host = "192.168.1.2"\ntls_cert = "a.pem"\n',
        'host = "fd00::2"\ntls_cert = "a.pem"\ntls_key = "b.pem"\nnames = ["till.lan", "till", "[fd00::2]", "10.0.0.1"]\n',
        'host = "::"\ninsecure = true\n',
        'host = "192.168.1.2"\ntls_cert = "a.pem"\ninsecure = true\n',
    ],
)
def test_configurations_that_are_right(text):
    assert find_mistakes("[server]\n" + text) == []
