"""The listening sockets: what comes in by HTTP and WebSocket, and who is let in."""

from __future__ import annotations

import asyncio
import email.utils
import errno
import http
import logging
import socket
import sys
from collections import Counter
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.protocol import State

from rawprint import JournalError, JournalTaken, RawprintError, __version__, note
from rawprint_server import messages
from rawprint_server.access import (
    LOOPBACK_NAMES,
    Asking,
    Entry,
    Grant,
    Refusal,
    bracketed,
    host_allowed,
    own_origins,
    presented,
)
from rawprint_server.audit import Audit
from rawprint_server.certificate import certificate_of
from rawprint_server.client import QUESTIONS, Services
from rawprint_server.config import EVERYWHERE, LOOPBACK, seconds
from rawprint_server.documents import Documents
from rawprint_server.gate import Gate
from rawprint_server.hub import Hub
from rawprint_server.limits import Meter
from rawprint_server.messages import PROTOCOL
from rawprint_server.methods import About
from rawprint_server.metrics import Counts
from rawprint_server.pairing import PROTOCOL as PAIRING
from rawprint_server.pairing import PairingSession
from rawprint_server.reading import Reader
from rawprint_server.records import Records
from rawprint_server.rendering import Renderers
from rawprint_server.session import RESTART, Session
from rawprint_server.targets import is_allowed, networks
from rawprint_server.watching import Watching
from rawprint_server.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from websockets.http11 import Request
    from websockets.typing import Subprotocol

    from rawprint import Journal
    from rawprint_server.adding import ConfigFile
    from rawprint_server.certificate import Certificate
    from rawprint_server.config import Config

log = logging.getLogger(__name__)

FORBIDDEN = 4403  # close code for a page whose origin is not allowed
REASON_BYTES = 123  # what fits into a close frame
JOURNAL = "jobs.db"
AUDIT = "audit.log"
FOREIGN_BYTES = 1024  # longest message that is taken in, and thrown away, while a foreign page is being closed
CLOSE_SECONDS = 2.0  # how long a client may take over the end of its connection
TOO_MANY = 4429  # close code
MOST_PAIRING = 10  # pages at a time
PAIRING_EXPIRES = 60.0  # seconds: a code that cannot be printed soon would be too old
LOOK_EVERY = 1.0  # seconds
_NOTHING = Grant(frozenset(), frozenset())
DESCRIPTORS_KEPT = 256  # of those that this process may have: for printers and files
HANDSHAKE_SECONDS = 5.0  # how long a client may take over TLS's beginning; the server's own end waits for it
HANDSHAKE_MARGIN = 0.1  # seconds from when a connection is accepted to when that time begins
# A machine that is switched off, or leaves the network, sends no word of its end: it is asked after so many silent seconds,
# and so often and so far apart until its connection is given up.
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
_MISDIRECTED = "This server is 127.0.0.1, localhost or [::1], with its port.\n"
_MISDIRECTED_REMOTE = "This server has another name or port: its configuration says by which names it is called.\n"
PORT_TRIES = 20  # how often a free port is looked for that is free on IPv4 and IPv6

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Any page may load these: what they can do is decided when they connect, and a page that is refused there hears why.
_SCRIPTS = frozenset({"/PrinterWebSocket.js", "/rawprint.js"})
_SHARED = _SCRIPTS | {"/health"}  # what pages of other origins may load where they are allowed


WORKERS = 2  # processes that make documents: one more than a large PDF takes up


class ListenError(RawprintError):
    """The server cannot listen on its port."""

    code = "cannot-listen"


class App:
    """The server: `async with App(config) as app` listens from start to end of the block.

    Args:
        config: A checked configuration. Port 0 means one that is free; `port` says which.
        state: Folder where the jobs are kept, and what the printers have shown of themselves; None: nothing is.
        cables: Whether to notice what is plugged in and out on this machine.
        file: Where printers can be added; None: nowhere.

    Raises:
        ListenError: The port is taken, or may not be used.
        JournalTaken: Another server has that folder.
    """

    def __init__(
        self, config: Config, state: Path | None = None, *, cables: bool = False, file: ConfigFile | None = None
    ) -> None:
        self.port = 0
        self._cables = cables
        self._records = Records(state)
        self._state = state
        self._journal: Journal | None = None
        self._config = config
        self._listening = config.server  # as it was when it began to: what takes a restart is asked of this
        self._hub: Hub
        self._webhook: Webhook
        self._servers: list[Server] = []
        self._connections: set[ServerConnection] = set()
        self._handshakes: dict[ServerConnection, float] = {}  # of TLS, that are not done -> when they began (loop time)
        self._sessions: set[Session] = set()
        self._of_origin: Counter[str] = Counter()  # sessions
        self._services = Services(
            config, Gate(config.access, state), Meter(config.limits.jobs_per_minute, config.limits.bytes_per_minute)
        )
        self._services.file = file
        self._following: asyncio.Task[None] | None = None
        self._tls: Certificate | None = None
        self._let_in = 0
        self._stopping = False
        self._files = _static_files()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._records.load)
        await self._open_journal()
        self._hub = Hub(
            self._config.printers,
            max_message_bytes=self._config.server.max_message_bytes,
            limits=self._config.limits,
            records=self._records,
            journal=self._journal,
            keep_data=seconds(self._config.server.keep_data) or 0.0,
            is_target=self._is_target,
        )
        try:
            sockets = self._sockets()
        except RawprintError:
            await self._hub.close()
            if self._journal is not None:
                self._journal.close()
            raise
        self._hub.webhook = self._webhook = Webhook(self._config.server.webhook)
        self._hub.recover()
        renderers = Renderers(WORKERS, self._config.limits.page_seconds)
        self._services.documents = Documents(self._hub, renderers)
        self._services.reader = Reader(self._hub, renderers)
        self.port = sockets[0][0].getsockname()[1]
        self._gate.open(own_origins(self.port, self._own_names(), tls=self._tls is not None))
        self._gate.on_change = self._reconsider
        self._services.watching = Watching(self._gate)
        self._services.watching.open()
        self._start_audit()
        for listening, remote in sockets:
            server = await serve(
                partial(self._serve, remote=remote),
                sock=listening,
                ssl=self._tls.context if remote and self._tls is not None else None,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if remote and self._tls is not None else None,
                process_request=partial(self._process_request, remote=remote),
                create_connection=_tracked(
                    self._connections,
                    _room_for(self._config.limits.connections),
                    self._handshakes if remote and self._tls is not None else None,
                ),
                select_subprotocol=_one_of_ours,
                compression=None,
                max_size=self._config.server.max_message_bytes,
                max_queue=2,  # messages read ahead of the one that is being answered
                # A peer on this machine ends with a FIN or a reset, another machine has KEEPALIVE; a pong would only wait
                # behind a slow answer.
                ping_interval=None,
                close_timeout=CLOSE_SECONDS,
                server_header=None,
            )
            self._servers.append(server)
        if self._cables:
            self._hub.watch_cables()
        self._warn()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if self._following is not None:
            self._following.cancel()
        for server in self._servers:
            server.close(close_connections=False)
        # What is answered has been done, and what is not has not: from here on nothing is read any more. The jobs that
        # are under way come to their ends, which the clients still hear of.
        for session in self._sessions:
            session.stop()
        self._hub.stop()
        if self._services.documents is not None:
            await self._services.documents.close()
        await self._hub.close(seconds(self._config.server.finish) or 0.0)
        await self._webhook.close()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        await self._records.close()
        await self._gate.close()
        for session in self._sessions:
            session.leave()
        await self._handshakes_over()
        # A browser opens connections ahead of need; one that never asked for anything must not be waited for.
        for connection in list(self._connections):
            if connection.state is State.CONNECTING:
                connection.transport.abort()
        await asyncio.gather(*(server.wait_closed() for server in self._servers))
        for connection in list(self._connections):  # of clients that have not read their last words
            connection.transport.abort()
        if self._services.audit is not None:
            await asyncio.to_thread(self._services.audit.close)
        if self._services.watching is not None:
            self._services.watching.close()

    async def _handshakes_over(self) -> None:
        """Waits until who began TLS has got through, or has been given up.

        Until then only the loop knows of them, and uvloop's does not close while there is one.
        """
        if self._handshakes:
            over = max(self._handshakes.values()) + HANDSHAKE_SECONDS + HANDSHAKE_MARGIN
            await asyncio.sleep(over - asyncio.get_running_loop().time())

    async def _open_journal(self) -> None:
        durability = self._config.server.durability
        if self._state is None or durability == "none":
            return
        from rawprint import Journal  # noqa: PLC0415 - SQLite is loaded where there is something to keep

        server = self._config.server
        try:
            self._journal = await asyncio.to_thread(
                Journal,
                self._state / JOURNAL,
                durability=durability,
                remember=seconds(server.remember) or 0.0,
                keep_data=seconds(server.keep_data) or 0.0,
            )
        except JournalTaken:
            raise
        except JournalError as error:  # a till that does not print at all is worse
            log.warning("NO JOB SURVIVES THE END OF THIS SERVER: %s; %s", error.message, error.hint)

    def apply(self, config: Config) -> None:
        """Takes over another configuration as the server runs: printers, origins, the longest message.

        No job is lost by it, and no connection but those of pages that are no longer allowed.
        """
        before, self._config = self._config, config
        if _lasting(before) != _lasting(config):
            log.warning(
                "another host, port, names, tls_cert, tls_key, audit log, state_dir, durability, remember or keep_data takes a restart of the server"
            )
        self._services.config = config
        self._services.meter.jobs = config.limits.jobs_per_minute
        self._services.meter.bytes = config.limits.bytes_per_minute
        for session in self._sessions:
            session.limit(config.server.max_message_bytes)
        self._gate.apply(config.access)
        self._reconsider()  # before they could hear what is new
        self._hub.max_message_bytes = config.server.max_message_bytes
        self._hub.limits = config.limits
        self._webhook.apply(config.server.webhook, config.printers)
        self._hub.apply(config.printers)
        log.info("the configuration was read again: %d printers", len(config.printers))

    @property
    def secure(self) -> bool:
        """Whether other machines are served by TLS."""
        return self._tls is not None

    @property
    def _gate(self) -> Gate:
        return self._services.gate

    @property
    def url(self) -> str:
        """Where clients find the server: at `host`, or where it is all of this machine's addresses, by the first of `names`."""
        server = self._listening
        host = bracketed(server.host)
        if server.host in EVERYWHERE:
            host = next(iter(self._names()), "127.0.0.1")
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}"

    def _names(self) -> tuple[str, ...]:
        """What other machines call this one; none where they are not served."""
        server = self._listening
        if server.host in LOOPBACK:
            return ()
        host = () if server.host in EVERYWHERE else (server.host,)
        return tuple(bracketed(name) for name in (*host, *server.names))

    def _own_names(self) -> tuple[str, ...]:
        """The names that go by the scheme of other machines: where all addresses are served by TLS, so are the loopback ones."""
        return (*LOOPBACK_NAMES, *self._names()) if self._listening.host in EVERYWHERE else self._names()

    def _warn(self) -> None:
        """Says what somebody may not have meant."""
        server = self._listening
        if server.host in LOOPBACK:
            if server.tls_cert is not None or server.names:
                log.warning("tls_cert and names change nothing: host = %r serves this machine alone", server.host)
            return
        if self._tls is None:
            log.warning(
                "INSECURE: %s is served without TLS (insecure = true): whoever hears that network reads what is printed, "
                "and the tokens, and can print by them",
                server.host,
            )
        if server.host in EVERYWHERE and not server.names:
            log.warning("other machines need a name for this one: write those that they use in [server] names")

    def _reconsider(self) -> None:
        """Somebody may do something else than when they came in: who may nothing any more is cut off."""
        for session in tuple(self._sessions):
            entry = self._gate.decide(session.asking)
            if isinstance(entry, Entry):
                session.change(entry)
            else:
                session.refuse(FORBIDDEN, _close_reason(entry))

    async def _follow(self) -> None:
        """Takes over what the command line granted, and a certificate that was renewed, within a second."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if self._gate.look():
                    self._reconsider()
                if self._tls is not None:
                    await asyncio.to_thread(self._tls.look)
            except Exception:  # what is revoked later must still be noticed
                log.exception("what was granted could not be looked at")

    async def _serve(self, connection: ServerConnection, *, remote: bool) -> None:
        if self._stopping:
            await connection.close(RESTART, "the server stops")
            return
        headers = Headers() if connection.request is None else connection.request.headers
        asking = _asking(headers, remote=remote)
        entry = self._gate.decide(asking)
        if isinstance(entry, Refusal):
            await self._turn_away(connection, asking, entry)
            return
        if connection.subprotocol == PAIRING:
            await connection.close(1000, "this page needs none, it is let in")
            return
        origin = entry.origin or ""
        if origin and self._of_origin[origin] >= self._config.limits.connections_per_origin:
            await connection.close(TOO_MANY, "this page has too many connections")
            return
        session = Session(connection, self._hub, self._services, asking, entry)
        self._sessions.add(session)
        self._of_origin[origin] += 1
        self._let_in += 1
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)
            self._of_origin[origin] -= 1
            if not self._of_origin[origin]:
                del self._of_origin[origin]

    async def _turn_away(self, connection: ServerConnection, asking: Asking, refusal: Refusal) -> None:
        """A browser shows a page nothing of a refused handshake, so the handshake is done for the sake of the reason."""
        record = partial(
            self._services.record, connection, origin=next(iter(asking.origins), None), token=None, about=About()
        )
        if refusal.origin is not None and connection.subprotocol == PAIRING and self._gate.pairs_by is not None:
            if self._of_origin[PAIRING] >= MOST_PAIRING:
                await connection.close(TOO_MANY, "too many pages pair")
                return
            self._of_origin[PAIRING] += 1
            try:
                await PairingSession(connection, refusal.origin, self._gate, self._show, record).serve()
            finally:
                self._of_origin[PAIRING] -= 1
            return
        if refusal.origin is not None:
            self._gate.note_refused(refusal.origin)
        record("connect", refusal.code)
        await connection.close(FORBIDDEN, _close_reason(refusal))

    async def _show(self, printer: str, lines: tuple[str, ...]) -> None:
        """Prints a note."""
        data = note(self._hub.language(printer) or "", lines)
        job = self._hub.submit(printer, data, job_name="pairing", expires=PAIRING_EXPIRES, priority=100)
        if (kept := self._hub.kept(job.id)) is not None:
            await kept

    def _is_target(self, printer: str) -> bool:
        return is_allowed(printer, networks(self._config.access))

    def _start_audit(self) -> None:
        """Writes down who does what, where there is a folder for it."""
        audit = self._config.audit
        file = self._state and self._state / AUDIT
        if audit.file is not None:
            file = Path(audit.file).expanduser()
        if audit.level != "none" and file is not None:
            self._services.audit = Audit(file, audit, QUESTIONS)

    def _sockets(self) -> list[tuple[socket.socket, bool]]:
        """What to listen on, and whether other machines reach it.

        Raises:
            ListenError: The port is taken, or may not be used; or other machines would be served without need of a token.
        """
        server = self._config.server
        if server.host in LOOPBACK:
            return [(each, False) for each in _listen(server.port)]
        self._gate.look()
        if not self._gate.has_tokens:
            raise ListenError(
                f"no token says who may print from other machines, which reach {server.host}",
                hint="rawprint-server access token new NAME"
                if self._state is not None
                else "Tokens are kept in the state folder, and this server has none.",
            )
        self._tls = certificate_of(server)
        everywhere = server.host in EVERYWHERE
        found = [] if everywhere else [(each, False) for each in _listen(server.port)]
        port = found[0][0].getsockname()[1] if found else server.port
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        try:
            found.append((_bind(family, server.host, port, remote=True), True))
        except OSError as error:
            for each, _ in found:
                each.close()
            raise ListenError(
                f"cannot listen on {server.host} port {port}: {error}",
                hint="Is it an address of this machine? Choose another port, or end the program that has this one.",
            ) from error
        return found

    def _process_request(self, connection: ServerConnection, request: Request, *, remote: bool) -> Response | None:
        """Answers all that is not a WebSocket handshake; None lets the handshake go on."""
        # What other machines call this one would not come in by loopback, unless a name was made to point there.
        if not host_allowed(request.headers.get_all("Host"), self.port, self._names() if remote else ()):
            return _response(421, _MISDIRECTED_REMOTE if remote else _MISDIRECTED)
        origins = request.headers.get_all("Origin")
        if len(origins) > 1:
            return _response(403, "There is more than one Origin.\n")
        entry = self._gate.decide(_asking(request.headers, remote=remote))
        if "Upgrade" in request.headers:
            if isinstance(entry, Refusal):
                connection.protocol.max_message_size = FOREIGN_BYTES
            return None
        path = _path(request)
        if isinstance(entry, Refusal) and path not in _SCRIPTS:
            if entry.origin is not None:
                return _response(403, "This origin is not allowed: rawprint-server access allow\n")
            if origins and origins[0] not in self._gate.own:  # it comes with no token, or with a wrong one
                return _response(403, f"{entry.reason}\n")
            if path not in self._files and path != "/health":
                return _response(403, f"{entry.reason}\n")
        response = self._route(request, entry.grant if isinstance(entry, Entry) else _NOTHING)
        if path in _SHARED and response.status_code in {200, 204}:
            response.headers["Vary"] = "Origin"
            if origins:
                response.headers["Access-Control-Allow-Origin"] = origins[0]
        if request.method == "HEAD":
            response.body = b""
        return response

    def _route(self, request: Request, grant: Grant) -> Response:
        if request.method == "OPTIONS" and _path(request) in _SHARED:
            response = _response(204, "")
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
            # What Chrome before 130 asked a page for that wants to reach this machine (Private Network Access).
            if request.headers.get("Access-Control-Request-Private-Network") == "true":
                response.headers["Access-Control-Allow-Private-Network"] = "true"
            return response
        if request.method not in {"GET", "HEAD"}:
            response = _response(405, "GET and HEAD only.\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        path = _path(request)
        if path == "/health":
            health = messages.Health(
                version=__version__,
                printers=len(self._config.printers),
                durability="none" if self._journal is None else self._journal.durability,
            )
            return _response(200, messages.encode(health), "application/json")
        if path == "/schema.json":
            from rawprint_server.schema import document  # noqa: PLC0415 - hardly anybody asks

            return _response(200, document(), "application/json")
        if path == "/metrics":
            if "status" not in grant.calls:
                return _response(403, "This needs 'status', which was not granted.\n")
            from rawprint_server.metrics import exposition  # noqa: PLC0415 - a server that nobody scrapes does without

            return _response(200, *exposition(self._counts(grant)))
        if path in self._files:
            body, content_type = self._files[path]
            response = _response(200, body, content_type)
            if path in _SCRIPTS:
                del response.headers["Cross-Origin-Resource-Policy"]
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            return response
        return _response(404, "There is nothing here.\n")

    def _counts(self, grant: Grant) -> Counts:
        return Counts(
            clients=len(self._sessions),
            connections_total=self._let_in,
            calls=self._services.statistics.calls,
            cut_off_total=self._services.statistics.cut_off,
            printers={name: counts for name, counts in self._hub.counts().items() if grant.covers(name)},
            started=self._hub.server().started.timestamp(),
            version=__version__,
        )


def _lasting(config: Config) -> object:
    """What stays as it is until the server is restarted."""
    server = config.server
    kept = server.state_dir, server.durability, server.remember, server.keep_data
    return server.host, server.port, kept, server.names, server.tls_cert, server.tls_key, config.audit


def _one_of_ours(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name in {PROTOCOL, PAIRING}), None)


def _asking(headers: Headers, *, remote: bool) -> Asking:
    offered = [name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]
    return Asking(tuple(headers.get_all("Origin")), presented(headers.get_all("Authorization"), offered), remote)


def _path(request: Request) -> str:
    return request.path.partition("?")[0]


def _response(status: int, body: str | bytes, content_type: str = "text/plain; charset=utf-8") -> Response:
    content = body.encode() if isinstance(body, str) else body
    headers = Headers(
        {
            "Date": email.utils.formatdate(usegmt=True),
            "Connection": "close",
            "Content-Length": str(len(content)),
            "Content-Type": content_type,
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": _PAGE_POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
        }
    )
    return Response(status, http.HTTPStatus(status).phrase, headers, content)


def _close_reason(refusal: Refusal) -> str:
    """Names the origin and the remedy in what a close frame holds; a long origin is cut."""
    room = REASON_BYTES - len(refusal.reason)
    origin = (refusal.origin or "").encode()
    return (origin if len(origin) <= room else origin[: room - 3] + b"...").decode(errors="ignore") + refusal.reason


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Path -> content and its type for every file of the package's `static`; nothing else is ever opened."""
    files = {}
    for file in resources.files("rawprint_server").joinpath("static").iterdir():
        content_type = _TYPES.get("." + file.name.rpartition(".")[2])
        if content_type is not None:
            files["/" if file.name == "index.html" else f"/{file.name}"] = (file.read_bytes(), content_type)
    return files


def _tracked(
    connections: set[ServerConnection], most: int, handshakes: dict[ServerConnection, float] | None
) -> type[ServerConnection]:
    """A connection class that keeps the set of its live connections, those without a request included; not above so many.

    Args:
        connections: The set.
        most: How many at a time.
        handshakes: Where it is kept which of them are still at TLS's beginning, and since when; None: there is no TLS.
    """

    class Tracked(ServerConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if handshakes is not None:
                now = self.loop.time()
                # One that was given up is never heard of again.
                while (first := next(iter(handshakes), None)) and now - handshakes[first] > HANDSHAKE_SECONDS + 1:
                    del handshakes[first]
                handshakes[self] = now

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            if handshakes is not None:
                handshakes.pop(self, None)
            super().connection_made(transport)
            if len(connections) >= most:
                self.transport.abort()  # before it has cost anything
            else:
                connections.add(self)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            super().connection_lost(exc)

    return Tracked


def _room_for(connections: int) -> int:
    """So many connections, or as many as leave enough descriptors for the printers' own: without one nothing prints."""
    if sys.platform == "win32":
        return connections
    import resource  # noqa: PLC0415 - Windows has none

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    room = max(soft - DESCRIPTORS_KEPT, soft // 2)
    if room < connections:
        log.warning("at most %d clients are served: the system gives this process no more files (ulimit -n)", room)
    return min(connections, room)


def _listen(port: int) -> list[socket.socket]:
    """Sockets that listen on IPv4 loopback and, where there is any, on IPv6 loopback, with the same port.

    Raises:
        ListenError: The port is taken, or may not be used.
    """
    error: OSError | None = None
    for _ in range(PORT_TRIES if port == 0 else 1):
        try:
            v4 = _bind(socket.AF_INET, "127.0.0.1", port)
        except OSError as taken:
            error = taken
            continue
        try:
            return [v4, _bind(socket.AF_INET6, "::1", v4.getsockname()[1])]
        except OSError as taken:
            if taken.errno not in {errno.EADDRINUSE, errno.EACCES}:
                log.info("no IPv6 on this machine (%s): listening on 127.0.0.1 alone", taken)
                return [v4]
            v4.close()
            error = taken
    raise ListenError(
        f"cannot listen on port {port}: {error}",
        hint="Choose another port, or end the program that has this one.",
    ) from error


def _bind(family: socket.AddressFamily, host: str, port: int, *, remote: bool = False) -> socket.socket:
    both = host == "::" and socket.has_dualstack_ipv6()  # all addresses of the machine are those of IPv4, too
    plain = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    if remote:  # what is accepted has it from here
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:
                plain.setsockopt(socket.IPPROTO_TCP, option, value)
    # asyncio turns Nagle's algorithm off only where a socket names its protocol, and this one does not. With it the
    # outcome of a print comes 40 ms after its notice.
    return socket.socket(plain.family, plain.type, socket.IPPROTO_TCP, plain.detach())
