"""The small HTTP port at which a person or a test looks at a virtual printer and breaks it."""

from __future__ import annotations

import http.server
import ipaddress
import json
import math
import socket
import socketserver
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

    from rawprint.virtual.listener import Listener

# The largest body of a POST, and how much of a larger one is read away so that the client hears the answer.
_MOST_BODY = 65536
_MOST_DRAINED = 1 << 20

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
    """Serves `GET /state`, `POST /state`, `GET /received`, `GET /printed` and `POST /reset` for one listener."""

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
        self.stopping = False
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the base class's look-up of the machine's name."""
        socketserver.TCPServer.server_bind(self)

    def serve(self) -> None:
        while not self.stopping:
            self.handle_request()

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        return not self.stopping

    def stop(self) -> None:
        """End `serve`, by a connection that wakes it."""
        self.stopping = True
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
            match method, urlsplit(self.path).path:
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
                        "There are GET /state, POST /state, GET /received, GET /printed and POST /reset.",
                        HTTPStatus.NOT_FOUND,
                        "not-found",
                    )
        except _BadRequest as error:
            text = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
            self._send_json(text, error.status)

    def _check_sender(self) -> None:
        """Serve no web page of elsewhere: neither by a name that leads here (DNS rebinding) nor by a form."""
        if not _is_loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname):
            raise _forbidden("the Host header names no loopback address", "Use http://127.0.0.1 and the port.")
        origin = self.headers.get("Origin")
        if origin is not None and not _is_loopback(urlsplit(origin).hostname):
            raise _forbidden("a page of another host may not control this printer", "Use a program or a local page.")

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

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


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
