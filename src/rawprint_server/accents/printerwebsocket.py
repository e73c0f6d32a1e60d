"""The protocol of the PrinterWebsocket project: its four calls in its shapes, any other call in the native one.

Its client settles a call with the next frame that comes, whatever that is. So nothing goes out unasked, and the
frames of one request are all out before the next request is looked at.
"""

from __future__ import annotations

import logging
from inspect import isawaitable
from typing import TYPE_CHECKING

from msgspec import UNSET

from rawprint import JobState, PrinterState, RawprintError, Reason, __version__
from rawprint_server import messages, text
from rawprint_server.documents import are_documents, parts
from rawprint_server.messages import (
    BadRequest,
    ErrorReply,
    Internal,
    JobOptions,
    JobView,
    NotJson,
    PrintParams,
    RawItem,
    Request,
    UnknownCall,
)
from rawprint_server.methods import METHODS, About, Call, checked, printer_name, printers_find

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Raw, Struct

    from rawprint import Job, PrinterStatus
    from rawprint_server.client import Client
    from rawprint_server.methods import Method

log = logging.getLogger(__name__)

ASK_SECONDS = 0.8  # how long `printerStatus` waits for the printer

_ENDED_BADLY = frozenset({JobState.UNCERTAIN, JobState.CANCELED, JobState.FAILED, JobState.EXPIRED})

IDLE, PROCESSING, MEDIA_EMPTY, OTHER = range(4)


class PrinterWebSocket:
    """Answers the frames of one connection.

    Args:
        client: The connection.
        join_commands: Whether several plain strings without a line end are commands that each get one.
    """

    def __init__(self, client: Client, *, join_commands: bool) -> None:
        self._client = client
        self._hub = client.hub
        self._join_commands = join_commands
        self._about = About()
        self._calls: dict[str, Callable[[Request], Awaitable[None]]] = {
            "printers.find": self._find,
            "server.version": self._version,
            "print": self._print,
            "printerStatus": self._printer_status,
        }
        self._others: Mapping[str, Method] = {
            name: method for name, method in METHODS.items() if name not in self._calls
        }

    async def answer(self, frame: str | bytes) -> None:
        """Does what the frame asks for and sends every frame of the reply; a frame without JSON is passed over."""
        self._client.received(frame)
        try:
            request = messages.read_request(frame)
        except NotJson as error:
            log.debug("passed over a frame that is not JSON: %s", error)
            return
        except BadRequest as error:
            await self._refuse(error.uid, error)
            return
        name = messages.read_name(request.call) or ""
        call = self._calls.get(name)
        method = self._others.get(name)
        outcome, self._about = "ok", About()
        try:
            if call is not None or method is not None:
                self._client.need(name)
            if call is not None:
                await call(request)
            elif method is not None:
                outcome = await self._native(method, request)
            else:
                raise UnknownCall(
                    f"there is no call {name[:100]!r}" if name else "the call is missing",
                    hint=f"The calls are: {', '.join([*self._calls, *self._others])}.",
                )
        except RawprintError as error:
            outcome = error.code
            await self._refuse(request.uid, error)
        except Exception:
            outcome = Internal.code
            log.exception("the call %r failed", name)
            await self._refuse(request.uid, Internal("the server failed", hint="Its log says why."))
        finally:
            self._client.count(name, outcome)
            self._client.record(name, self._about, outcome)

    async def _find(self, request: Request) -> None:
        await self._reply(messages.NamesReply(uid=request.uid, result=printers_find(self._call(request))))

    def _call(self, request: Request) -> Call:
        return Call(self._client, request.params, None, self._about)

    async def _version(self, request: Request) -> None:
        await self._reply(messages.VersionReply(uid=request.uid, rawprint=__version__))

    async def _print(self, request: Request) -> None:
        """Sends a notice, then the outcome.

        Success means that the job was accepted, not that it is on paper: this protocol has no other notion, and a
        page that waits for the outcome would hang for as long as the printer is out of paper. `jobs.get` tells more.
        """
        params = messages.read(request.params, PrintParams)
        name = printer_name(params)
        call = self._call(request)
        if name is not None:
            call.printer(params)  # before its encoding could tell of it
        encoding = self._encoding(name)
        if name is not None and are_documents(params.data):
            content = parts(checked(params.data, None), encoding, None, self._client)
            options = JobOptions(id=None if params.options is None else params.options.id)
            job = await self._client.documents.print(self._client, name, content, options, call.about)
            await self._reply(messages.PrintNotice(uid=request.uid, status=f"Printing job started on {name}"))
            await self._outcome(request, job)
            return
        data = self._payload(params.data, encoding)
        if name is None or not data:
            await self._reply(ErrorReply(uid=request.uid, message="Invalid printer or TSPL data"))
            return
        self._client.charge(data, name)
        id = None if params.options is None else params.options.id
        await self._reply(messages.PrintNotice(uid=request.uid, status=f"Printing job started on {name}"))
        job = self._hub.submit(name, data, id, by=self._client.by)
        call.submitted(job, data)
        await self._outcome(request, job)

    async def _outcome(self, request: Request, job: JobView) -> None:
        if job.state in _ENDED_BADLY:  # an id that was sent before
            await self._reply(
                ErrorReply(
                    uid=request.uid,
                    message=f"the job {job.id} ended {job.state} and is not printed again",
                    error=job.error or UNSET,
                )
            )
            return
        await self._reply(messages.PrintOutcome(uid=request.uid, message=f"Printed on {job.printer}"))

    def _encoding(self, name: str | None) -> str:
        configured = self._hub.encoding(name) if name is not None and name in self._hub.names() else None
        return configured or text.DEFAULT

    def _payload(self, data: list[str | RawItem] | str | None, encoding: str) -> bytes:
        """What the printer gets: all items with nothing between them.

        Several plain strings without any line end are one command each: that is how this protocol's own
        documentation shows them, though joined with nothing they would make one broken line.
        """
        if isinstance(data, str):
            return text.encode(data, encoding)
        items = data or []
        if not any(items):
            return b""
        plain = [item for item in items if isinstance(item, str)]
        lines = self._join_commands and len(items) == len(plain) > 1 and not any(map(_has_line_end, plain))
        end = b"\r\n" if lines else b""
        return b"".join(
            bytes(text.encode(item, encoding) if isinstance(item, str) else item.to_bytes(encoding)) + end
            for item in items
        )

    async def _printer_status(self, request: Request) -> None:
        name = messages.read_name(request.printer_name) or printer_name(
            messages.read(request.params, messages.PrinterParams)
        )
        if name is None:
            await self._reply(ErrorReply(uid=request.uid, message="PrinterName not provided"))
            return
        try:
            self._client.need_printer(name)
            code = await self._status_code(name)
        except RawprintError as error:
            await self._reply(ErrorReply(uid=request.uid, message=error.message, printer_name=name))
        else:
            await self._reply(messages.StatusReply(uid=request.uid, printer_name=name, status_code=code))

    async def _status_code(self, name: str) -> int:
        job = self._hub.going_out(name)
        if job is None:
            try:
                status = await self._hub.status(name, ASK_SECONDS)
            except RawprintError:
                # A job may have begun meanwhile, and it keeps the printer from being asked.
                job = self._hub.going_out(name)
                if job is None:
                    raise
            else:
                job = self._hub.going_out(name)
                if job is None:
                    return status_code(status)
        return job_code(job)

    async def _native(self, method: Method, request: Request) -> str:
        """Replies; returns the outcome."""
        reply: Struct
        outcome = "ok"
        try:
            result = method(self._call(request))
            reply = messages.Result(uid=request.uid, result=await result if isawaitable(result) else result)
        except RawprintError as error:
            outcome = error.code
            reply = messages.Refusal(uid=request.uid, error=messages.failure(error))
        await self._reply(reply)
        return outcome

    async def _refuse(self, uid: Raw, error: RawprintError) -> None:
        await self._reply(ErrorReply(uid=uid, message=error.message, error=messages.failure(error)))

    async def _reply(self, message: Struct) -> None:
        await self._client.send_in_turn(messages.encode(message))


def status_code(status: PrinterStatus) -> int:
    """The number for what a printer said, in the words of this protocol."""
    match status.state:
        case PrinterState.IDLE:
            return IDLE
        case PrinterState.PROCESSING:
            return PROCESSING
        case PrinterState.STOPPED if status.reasons.get(Reason.MEDIA_EMPTY):
            return MEDIA_EMPTY
        case _:
            return OTHER


def job_code(job: Job) -> int:
    """The number for a printer to which a job goes out, from what it said since the job began."""
    if job.state is JobState.STOPPED:
        return MEDIA_EMPTY if job.reasons.get(Reason.MEDIA_EMPTY) else OTHER
    return PROCESSING


def _has_line_end(text: str) -> bool:
    return "\r" in text or "\n" in text
