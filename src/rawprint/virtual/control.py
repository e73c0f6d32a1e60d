"""The small HTTP port at which a person, by its page, or a test looks at a virtual printer and breaks it."""

from __future__ import annotations

import http.server
import ipaddress
import json
import math
import re
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from rawprint.virtual.tickets import Tickets
from rawprint.virtual.watching import Arrivals, events, ticket_view

if TYPE_CHECKING:
    from types import TracebackType

    from rawprint.virtual.listener import Listener

# The largest body of a POST, and how much of a larger one is read away so that the client hears the answer.
_MOST_BODY = 65536
_MOST_DRAINED = 1 << 20

# Pages that may be open at a time; each has a thread that mostly waits.
_MOST_WATCHERS = 32

# The page's files, which nothing but their names here opens.
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# The page runs and shows what comes from here, and nothing that a job could smuggle into it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_PICTURE = re.compile(r"/ticket/([0-9]{1,9})(?:-([0-9]{1,9}))?\.png")

_SPECIAL = ("media", "speed", "drop", "stall")


class _BadRequest(Exception):
    """The request is wrong; answered with 400 unless it says otherwise."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        code: str = "bad-request",
    ) -> None:
        super().__init__(message)
        self.hint, self.status, self.code = hint, status, code


class ControlPort:
    """Serves one listener's printer to programs and, at `/`, to people.

    `GET` and `POST /state`, `GET /received`, `GET /printed`, `POST /reset`; `GET /tickets` (a list of
    {"number", "lines", "bytes", "sheets"}), `GET /ticket/N.png` (of a ticket with more pictures than one: `N-2.png` …),
    and `GET /events`, server-sent events as `watching.events` has them.
    """

    def __init__(self, listener: Listener, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare to serve; `start` does it. Port 0 = the system chooses."""
        self._listener = listener
        self._host, self._port = host, port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Serve.

        Raises:
            OSError: The address cannot be had.
        """
        self._server = _Server((self._host, self._port), self._listener)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve, name="virtual printer control", daemon=True)
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """Like `http://127.0.0.1:49153`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(http.server.ThreadingHTTPServer):
    """Waits for requests without ever waking for nothing, as `serve_forever` would twice a second."""

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.listener = listener
        self.tickets = Tickets(listener)
        self.arrivals = Arrivals(listener)
        self.watchers = threading.BoundedSemaphore(_MOST_WATCHERS)
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the base class's look-up of the machine's name."""
        socketserver.TCPServer.server_bind(self)

    def serve(self) -> None:
        while not self.stopping.is_set():
            self.handle_request()

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        return not self.stopping.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that hang up in the middle of a request."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """End `serve`, by a connection that wakes it, and what open pages are told."""
        self.stopping.set()
        self.listener.look_again()
        host, port = self.server_address[:2]
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound
        socket.create_connection((anywhere.get(str(host), str(host)), port), timeout=5).close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    timeout = 10  # seconds for a client that says nothing

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on standard error."""

    def _serve(self, method: str) -> None:
        listener = self.server.listener
        try:
            body = self._body()
            self._check_sender()
            path = urlsplit(self.path).path
            match method, path:
                case "GET", _ if path in _PAGE:
                    self._send_page(*_PAGE[path])
                case "GET", "/events":
                    self._send_events()
                case "GET", "/tickets":
                    self._send_json([ticket_view(ticket) for ticket in self.server.tickets.all()])
                case "GET", _ if picture := _PICTURE.fullmatch(path):
                    self._send_picture(int(picture[1]), int(picture[2] or 1))
                case "GET", "/state":
                    self._send_json(listener.state())
                case "POST", "/state":
                    _change(listener, body)
                    self._send_json(listener.state())
                case "GET", "/received":
                    self._send(HTTPStatus.OK, "application/octet-stream", listener.received())
                case "GET", "/printed":
                    self._send(HTTPStatus.OK, "application/octet-stream", listener.printed())
                case "POST", "/reset":
                    listener.reset()
                    self._send_json(listener.state())
                case _:
                    raise _BadRequest(
                        f"no {method} {self.path}",
                        "There are GET / (a page), /state, /received, /printed, /tickets, /ticket/1.png and /events,"
                        " POST /state and /reset.",
                        HTTPStatus.NOT_FOUND,
                        "not-found",
                    )
        except _BadRequest as error:
            text = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
            self._send_json(text, error.status)
        except OSError:  # whoever asked has gone, or reads nothing
            self.close_connection = True

    def _check_sender(self) -> None:
        """Serve no web page of elsewhere: neither by a name that leads here (DNS rebinding) nor by a form."""
        if not _is_loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname):
            raise _forbidden("the Host header names no loopback address", "Use http://127.0.0.1 and the port.")
        origin = self.headers.get("Origin")
        if origin is not None and not _is_loopback(urlsplit(origin).hostname):
            raise _forbidden("a page of another host may not control this printer", "Use a program or a local page.")
        # An image or a script in a foreign page comes without an Origin; a link in one may lead here.
        if (
            origin is None
            and self.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}
            and self.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise _forbidden("a page of another origin may not look at this printer", "Open it at its own address.")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise _BadRequest("Content-Length is no number")
        size = int(length)
        if size > _MOST_BODY:
            self.rfile.read(min(size, _MOST_DRAINED))
            raise _BadRequest(f"the body has more than {_MOST_BODY} bytes", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.rfile.read(size)

    def _send_json(self, value: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, "application/json", json.dumps(value).encode() + b"\n")

    def _send_page(self, name: str, kind: str) -> None:
        file = resources.files("rawprint.virtual").joinpath("page", name)
        self._send(HTTPStatus.OK, kind, file.read_bytes())

    def _send_picture(self, number: int, sheet: int) -> None:
        ticket = self.server.tickets.get(number)
        if ticket is None or not 1 <= sheet <= len(ticket.pictures):
            raise _BadRequest(
                "there is no such picture" if ticket else f"no ticket {number} is printed yet",
                "GET /tickets tells how many sheets each ticket has.",
                HTTPStatus.NOT_FOUND,
                "not-found",
            )
        self._send(HTTPStatus.OK, "image/png", ticket.pictures[sheet - 1])

    def _send_events(self) -> None:
        server = self.server
        if not server.watchers.acquire(blocking=False):
            raise _BadRequest(
                f"{_MOST_WATCHERS} pages are open already",
                "Close one of them.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
            )
        try:
            self._begin(HTTPStatus.OK, "text/event-stream")
            self.end_headers()
            for name, value in events(server.listener, server.tickets, server.arrivals, server.stopping):
                self.wfile.write(f"event: {name}\ndata: {json.dumps(value)}\n\n".encode())
        finally:
            server.watchers.release()

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._begin(status, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _forbidden(message: str, hint: str) -> _BadRequest:
    return _BadRequest(message, hint, HTTPStatus.FORBIDDEN, "access-denied")


def _change(listener: Listener, body: bytes) -> None:
    """Do what a `POST /state` says: all of it, or, where a part is wrong, nothing."""
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _BadRequest("the body is no JSON", 'Send an object such as {"media-empty": true}.') from error
    if not isinstance(wanted, dict):
        raise _BadRequest("the body is no JSON object", 'Send an object such as {"media-empty": true}.')
    for key, value in wanted.items():
        _check(listener, key, value)
    if "speed" in wanted:
        listener.set_speed(wanted["speed"])
    if "media" in wanted:
        listener.refill(wanted["media"])
    if "stall" in wanted:
        listener.stall(wanted["stall"])
    for key, value in wanted.items():
        if key not in _SPECIAL:
            listener.set(key, value)
    if wanted.get("drop"):
        listener.drop()


def _check(listener: Listener, key: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "media":
        if value is not None and not (number and isinstance(value, int) and value >= 0):
            raise _BadRequest("media is a whole number of bytes, 0 or more, or null for endless")
    elif key == "speed":
        if value is not None and not (number and math.isfinite(value) and value > 0):
            raise _BadRequest("speed is a number of bytes per second above 0, or null for at once")
    elif key not in listener.device.reportable and key not in _SPECIAL:
        known = ", ".join((*listener.device.reasons, *_SPECIAL))
        raise _BadRequest(f"{key!r} is nothing that this printer has", f"It has: {known}.")
    elif not isinstance(value, bool):
        raise _BadRequest(f"{key} is true or false")
