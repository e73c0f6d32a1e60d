"""The protocol `rawprint.v1`: every call answered in one shape as soon as it can be, and events for who subscribed."""

from __future__ import annotations

import asyncio
import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from rawprint import RawprintError
from rawprint_server import messages
from rawprint_server.messages import NULL, BadRequest, Internal, NotJson, TooLarge, UnknownCall
from rawprint_server.methods import METHODS, About, Call

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from msgspec import Raw

    from rawprint_server.client import Client

log = logging.getLogger(__name__)

MOST_WAITING = 1000  # calls of one connection that wait for their result


class TooManyCalls(RawprintError):
    """Too many calls of this connection wait for their result already."""

    code = "too-many-calls"


class Native:
    """Answers the frames of one connection.

    Args:
        client: The connection.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: set[asyncio.Task[None]] = set()

    def answer(self, frame: str | bytes) -> None:
        """Does what the frame asks for; the reply goes out at once, or when there is something to tell."""
        self._client.received(frame)
        attached = None
        name = ""
        uid = NULL
        about = About()
        try:
            if isinstance(frame, str):
                request = messages.read_request(frame)
            else:
                request, attached = messages.read_attached(frame)
            uid = request.uid
            size = len(frame.encode()) if isinstance(frame, str) and not frame.isascii() else len(frame)
            limit = self._client.hub.max_message_bytes
            if size > limit:
                raise TooLarge(
                    f"a message of {size} bytes: at most {limit} are taken",
                    hint="Print it in parts, or raise max_message_bytes in [server] of the configuration.",
                )
            name = messages.read_name(request.call) or ""
            if len(self._waiting) >= MOST_WAITING:
                raise TooManyCalls(f"{MOST_WAITING} calls wait for their result already", hint="Wait for some of them.")
            result = self._call(name, request.params, attached, about)
        except NotJson as error:
            self._refuse("", NULL, BadRequest(f"the frame is no JSON: {error}"), about)
        except BadRequest as error:
            self._refuse(name, error.uid if uid is NULL else uid, error, about)
        except RawprintError as error:
            self._refuse(name, uid, error, about)
        except Exception:
            log.exception("the call %r failed", name)
            self._refuse(name, uid, Internal("the server failed", hint="Its log says why."), about)
        else:
            if isawaitable(result):
                self._wait(name, uid, result, about)
            else:
                self._reply(name, uid, result, about)

    def close(self) -> None:
        """The connection has ended: nobody waits any more."""
        for task in self._waiting:
            task.cancel()

    def _call(self, name: str, params: Raw, attached: memoryview | None, about: About) -> Any:
        method = METHODS.get(name)
        if method is not None:
            self._client.need(name)
            return method(Call(self._client, params, attached, about))
        raise UnknownCall(
            f"there is no call {name[:100]!r}" if name else "the call is missing",
            hint=f"The calls are: {', '.join(METHODS)}.",
        )

    def _wait(self, name: str, uid: Raw, result: Awaitable[Any], about: About) -> None:
        task = asyncio.ensure_future(self._reply_later(name, uid, result, about))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _reply_later(self, name: str, uid: Raw, awaited: Awaitable[Any], about: About) -> None:
        try:
            result = await awaited
        except RawprintError as error:
            self._refuse(name, uid, error, about)
        except Exception:
            log.exception("the call %r failed", name)
            self._refuse(name, uid, Internal("the server failed", hint="Its log says why."), about)
        else:
            self._reply(name, uid, result, about)

    def _reply(self, name: str, uid: Raw, result: Any, about: About) -> None:
        self._client.count(name, "ok")
        self._client.record(name, about, "ok")
        self._client.send(messages.encode(messages.Result(uid=uid, result=result)))

    def _refuse(self, name: str, uid: Raw, error: RawprintError, about: About) -> None:
        self._client.count(name, error.code)
        self._client.record(name, about, error.code)
        self._client.send(messages.encode(messages.Refusal(uid=uid, error=messages.failure(error))))
