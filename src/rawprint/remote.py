"""Calls of a running rawprint-server: what the command `rawprint jobs` needs of its protocol."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from rawprint.errors import AddressError, Disconnected, NoReply, PrinterNotFound, RawprintError

URL = "ws://127.0.0.1:8765"
SUBPROTOCOL = "rawprint.v1"
_MOST = 256 * 1024 * 1024  # bytes of an answer


class ServerError(RawprintError):
    """The server answered with an error, whose code is the server's own."""

    code: ClassVar[str] = "server"

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code  # type: ignore[misc]  # it is the answer's here


def split(url: str) -> SplitResult:
    """The parts of a server's URL.

    Raises:
        AddressError: That is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise AddressError(f"no server's URL: {url!r}", hint=f"write {URL}")
    return parts


def call(url: str, name: str, params: dict[str, Any], timeout: float) -> Any:
    """One call over a connection of its own; returns its result.

    Args:
        url: ws:// or wss://, of a server that lets programs in.
        name: The call, such as "jobs.list".
        params: Its parameters.
        timeout: Seconds for all.

    Raises:
        AddressError: That is no URL of a server.
        PrinterNotFound: No server answers there.
        NoReply: It took too long.
        Disconnected: It ended the connection.
        ServerError: It answered with an error.
    """
    split(url)
    from websockets.exceptions import ConnectionClosed, InvalidHandshake  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415
    from websockets.typing import Subprotocol  # noqa: PLC0415

    try:
        with connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            open_timeout=timeout,
            close_timeout=1.0,
            max_size=_MOST,
            proxy=None,
        ) as connection:
            connection.send(json.dumps({"call": name, "uid": "1", "params": params}))
            answer = json.loads(connection.recv(timeout))
    except TimeoutError as error:
        raise NoReply(f"no answer from {url} in {timeout:g} s", hint="see the server's log") from error
    except ConnectionClosed as error:
        raise Disconnected(f"the server ended the connection: {error}", hint="see the server's log") from error
    except (OSError, InvalidHandshake) as error:
        raise PrinterNotFound(
            f"no server at {url}: {error}", hint="start rawprint-server, or name it with --server"
        ) from error
    except ValueError as error:
        raise Disconnected(f"{url} is no rawprint-server: {error}") from error
    if "error" in answer:
        told = answer["error"]
        raise ServerError(told["code"], told["message"], hint=told["hint"])
    return answer["result"]
