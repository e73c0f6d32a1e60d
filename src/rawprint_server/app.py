"""The listening sockets: what comes in by HTTP and WebSocket, and who is let in."""

from __future__ import annotations

import asyncio
import email.utils
import errno
import http
import logging
import socket
from importlib import resources
from typing import TYPE_CHECKING, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.protocol import State

from rawprint import JournalError, JournalTaken, RawprintError, __version__
from rawprint_server import messages
from rawprint_server.access import host_allowed, origin_allowed
from rawprint_server.config import seconds
from rawprint_server.hub import Hub
from rawprint_server.messages import PROTOCOL
from rawprint_server.metrics import Counts
from rawprint_server.records import Records
from rawprint_server.session import RESTART, Session, Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from websockets.http11 import Request
    from websockets.typing import Subprotocol

    from rawprint import Journal
    from rawprint_server.config import Config

log = logging.getLogger(__name__)

FORBIDDEN = 4403  # close code for a page whose origin is not allowed
REASON_BYTES = 123  # what fits into a close frame
JOURNAL = "jobs.db"
FOREIGN_BYTES = 1024  # longest message that is taken in, and thrown away, while a foreign page is being closed
CLOSE_SECONDS = 2.0  # how long a client may take over the end of its connection
ORIGIN_LOGGED = 100  # characters of an origin that are logged
REFUSED_EVERY = 60.0  # seconds between two log lines about the same refused origin
REFUSED_KEPT = 100  # origins of which that is remembered
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


class ListenError(RawprintError):
    """The server cannot listen on its port."""

    code = "cannot-listen"


class App:
    """The server: `async with App(config) as app` listens from start to end of the block.

    Args:
        config: A checked configuration. Port 0 means one that is free; `port` says which.
        state: Folder where the jobs are kept, and what the printers have shown of themselves; None: nothing is.
        cables: Whether to notice what is plugged in and out on this machine.

    Raises:
        ListenError: The port is taken, or may not be used.
        JournalTaken: Another server has that folder.
    """

    def __init__(self, config: Config, state: Path | None = None, *, cables: bool = False) -> None:
        self.port = 0
        self._cables = cables
        self._records = Records(state)
        self._state = state
        self._journal: Journal | None = None
        self._config = config
        self._hub: Hub
        self._servers: list[Server] = []
        self._connections: set[ServerConnection] = set()
        self._sessions: dict[Session, list[str]] = {}  # and the origin that each came from
        self._statistics = Statistics()
        self._let_in = 0
        self._stopping = False
        self._refused: dict[str, float] = {}  # origin -> when it was last logged
        self._files = _static_files()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._records.load)
        await self._open_journal()
        self._hub = Hub(
            self._config.printers,
            max_message_bytes=self._config.server.max_message_bytes,
            records=self._records,
            journal=self._journal,
        )
        try:
            sockets = _listen(self._config.server.port)
        except ListenError:
            await self._hub.close()
            if self._journal is not None:
                self._journal.close()
            raise
        self._hub.recover()
        self.port = sockets[0].getsockname()[1]
        for listening in sockets:
            server = await serve(
                self._serve,
                sock=listening,
                process_request=self._process_request,
                create_connection=_tracked(self._connections),
                select_subprotocol=_native_if_offered,
                compression=None,
                max_size=self._config.server.max_message_bytes,
                max_queue=2,  # messages read ahead of the one that is being answered
                # A peer on this machine ends with a FIN or a reset; a pong would only wait behind a slow answer.
                ping_interval=None,
                close_timeout=CLOSE_SECONDS,
                server_header=None,
            )
            self._servers.append(server)
        if self._cables:
            self._hub.watch_cables()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for server in self._servers:
            server.close(close_connections=False)
        # What is answered has been done, and what is not has not: from here on nothing is read any more. The jobs that
        # are under way come to their ends, which the clients still hear of.
        for session in self._sessions:
            session.stop()
        self._hub.stop()
        await self._hub.close(seconds(self._config.server.finish) or 0.0)
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        await self._records.close()
        for session in self._sessions:
            session.leave()
        # A browser opens connections ahead of need; one that never asked for anything must not be waited for.
        for connection in list(self._connections):
            if connection.state is State.CONNECTING:
                connection.transport.abort()
        await asyncio.gather(*(server.wait_closed() for server in self._servers))

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
                "another host, port, state_dir, durability, remember or keep_data takes a restart of the server"
            )
        for session, origins in self._sessions.items():  # before they could hear what is new
            session.limit(config.server.max_message_bytes)
            if not self._origin_allowed(origins):
                session.refuse(FORBIDDEN, _close_reason(origins[0]))
        self._hub.max_message_bytes = config.server.max_message_bytes
        self._hub.apply(config.printers)
        log.info("the configuration was read again: %d printers", len(config.printers))

    async def _serve(self, connection: ServerConnection) -> None:
        origins = [] if connection.request is None else connection.request.headers.get_all("Origin")
        if self._stopping:
            await connection.close(RESTART, "the server stops")
            return
        if self._origin_allowed(origins):
            session = Session(connection, self._hub, self._config.server, self._statistics)
            self._sessions[session] = origins
            self._let_in += 1
            try:
                await session.serve()
            finally:
                del self._sessions[session]
            return
        # A browser shows a page nothing of a refused handshake, so the handshake is done for the sake of the reason.
        self._note_refused(origins[0])
        await connection.close(FORBIDDEN, _close_reason(origins[0]))

    def _note_refused(self, origin: str) -> None:
        """Log a refused page once a minute, however often it comes back."""
        now = asyncio.get_running_loop().time()
        name = origin[:ORIGIN_LOGGED]
        if now - self._refused.get(name, -REFUSED_EVERY) < REFUSED_EVERY:
            return
        if len(self._refused) >= REFUSED_KEPT:
            self._refused.clear()
        self._refused[name] = now
        log.warning("refused the page %r: it is not in [access] origins", name)

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answers all that is not a WebSocket handshake; None lets the handshake go on."""
        if not host_allowed(request.headers.get_all("Host"), self.port):
            return _response(421, "This server is 127.0.0.1, localhost or [::1], with its port.\n")
        origins = request.headers.get_all("Origin")
        if len(origins) > 1:
            return _response(403, "There is more than one Origin.\n")
        allowed = self._origin_allowed(origins)
        if "Upgrade" in request.headers:
            if not allowed:
                connection.protocol.max_message_size = FOREIGN_BYTES
            return None
        path = _path(request)
        if not allowed and path not in _SCRIPTS:
            return _response(403, "This origin is not in [access] origins of the configuration.\n")
        response = self._route(request)
        if path in _SHARED and response.status_code == 200:
            response.headers["Vary"] = "Origin"
            if origins:
                response.headers["Access-Control-Allow-Origin"] = origins[0]
        if request.method == "HEAD":
            response.body = b""
        return response

    def _route(self, request: Request) -> Response:
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
            from rawprint_server.metrics import exposition  # noqa: PLC0415 - a server that nobody scrapes does without

            return _response(200, *exposition(self._counts()))
        if path in self._files:
            body, content_type = self._files[path]
            response = _response(200, body, content_type)
            if path in _SCRIPTS:
                del response.headers["Cross-Origin-Resource-Policy"]
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            return response
        return _response(404, "There is nothing here.\n")

    def _counts(self) -> Counts:
        return Counts(
            clients=len(self._sessions),
            connections_total=self._let_in,
            calls=self._statistics.calls,
            cut_off_total=self._statistics.cut_off,
            printers=self._hub.counts(),
            started=self._hub.server().started.timestamp(),
            version=__version__,
        )

    def _origin_allowed(self, origins: list[str]) -> bool:
        return origin_allowed(origins, self._config.access.origins, self.port)


def _lasting(config: Config) -> object:
    """What stays as it is until the server is restarted."""
    server = config.server
    return server.host, server.port, server.state_dir, server.durability, server.remember, server.keep_data


def _native_if_offered(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name == PROTOCOL), None)


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


def _close_reason(origin: str) -> str:
    """Names the origin and the remedy in what a close frame holds; a long origin is cut."""
    remedy = " is not allowed: add it to [access] origins"
    room = REASON_BYTES - len(remedy)
    name = origin if len(origin.encode()) <= room else origin.encode()[: room - 3].decode(errors="ignore") + "..."
    return name + remedy


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Path -> content and its type for every file of the package's `static`; nothing else is ever opened."""
    files = {}
    for file in resources.files("rawprint_server").joinpath("static").iterdir():
        content_type = _TYPES.get("." + file.name.rpartition(".")[2])
        if content_type is not None:
            files["/" if file.name == "index.html" else f"/{file.name}"] = (file.read_bytes(), content_type)
    return files


def _tracked(connections: set[ServerConnection]) -> type[ServerConnection]:
    """A connection class that keeps the set of its live connections, those without a request included."""

    class Tracked(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connections.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            super().connection_lost(exc)

    return Tracked


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


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    plain = socket.create_server((host, port), family=family)
    # asyncio turns Nagle's algorithm off only where a socket names its protocol, and this one does not. With it the
    # outcome of a print comes 40 ms after its notice.
    return socket.socket(plain.family, plain.type, socket.IPPROTO_TCP, plain.detach())
