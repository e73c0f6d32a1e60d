"""Every JSON shape on the wire: requests as they are read, replies as they are written.

A request is a thin envelope, `{"call", "uid", "params"}`, whose `uid` and `params` stay undecoded: the `uid` goes
back byte for byte, and the call alone knows what its `params` mean. Keys that nobody reads are ignored.
"""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from rawprint import RawprintError

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

NULL = Raw(b"null")
MAX_ITEMS = 10_000  # data items of one print
MAX_UID = 65536  # bytes of JSON


class NotJson(ValueError):
    """A frame that holds no JSON: nobody can be answered."""


class BadRequest(RawprintError):
    """The frame or its parameters have the wrong shape.

    Attributes:
        uid: The request's `uid` where it could be read, else null.
    """

    code = "bad-request"

    def __init__(self, message: str, *, hint: str = "", uid: Raw = NULL) -> None:
        super().__init__(message, hint=hint)
        self.uid = uid


class UnknownCall(RawprintError):
    """No call has that name."""

    code = "unknown-call"


class Internal(RawprintError):
    """A fault of the server's own, which its log tells in full."""

    code = "internal"


# Requests


class Request(Struct, frozen=True):
    """The envelope: undecoded values, JSON null where the key is missing."""

    uid: Raw = NULL
    call: Raw = NULL
    params: Raw = NULL
    printer_name: Raw = field(name="PrinterName", default=NULL)  # printerwebsocket has it beside `params`


class PrinterRef(Struct, frozen=True):
    """A printer as it is named in `params`; a bare string means the same."""

    name: str | None = None


class RawItem(Struct, frozen=True):
    """One thing to print; a bare string is `{"type": "raw", "format": "command", "flavor": "plain"}`."""

    data: str
    type: str = "raw"
    format: str = "command"
    flavor: str = "plain"

    def to_bytes(self) -> bytes:
        """The item as the printer gets it; plain text is UTF-8.

        Raises:
            BadRequest: Another type, format or flavor, or `data` that is not of its flavor.
        """
        if self.type != "raw" or self.format != "command":
            raise BadRequest(
                f"data of type {self.type!r} and format {self.format!r} cannot be printed",
                hint='Send the printer\'s own commands: type "raw", format "command".',
            )
        try:
            match self.flavor:
                case "plain":
                    return self.data.encode()
                case "base64":
                    return binascii.a2b_base64("".join(self.data.split()), strict_mode=True)
                case "hex":
                    return bytes.fromhex(self.data)
        except ValueError as error:
            raise BadRequest(f"data is not {self.flavor}") from error
        raise BadRequest(f"unknown flavor {self.flavor!r}", hint='The flavors are "plain", "base64" and "hex".')


class JobOptions(Struct, frozen=True):
    """`options` of a print: `id` is the client's own name for the job, and its idempotency key."""

    id: str | None = None


class PrintParams(Struct, frozen=True):
    """`params` of a print."""

    printer: PrinterRef | str | None = None
    data: Annotated[list[str | RawItem], Meta(max_length=MAX_ITEMS)] | str | None = None
    options: JobOptions | None = None


class PrinterParams(Struct, frozen=True):
    """`params` of a call that means one printer."""

    printer: PrinterRef | str | None = None


class JobParams(Struct, frozen=True):
    """`params` of a call that means one job."""

    id: str


# What replies carry


class Failure(Struct, frozen=True):
    """An error: `code` is stable, `hint` says how to mend it and may be empty."""

    code: str
    message: str
    hint: str


class PrinterView(Struct, frozen=True):
    """A printer: what it last said of itself and when (`at`: null where it never did), and what it has to do."""

    name: str
    address: str
    dialect: str | None
    state: str
    reasons: dict[str, bool]
    at: datetime | None
    busy: bool
    pending: int


class JobView(Struct, frozen=True):
    """A job; `reasons` is what the printer said while the job is stopped."""

    id: str
    printer: str
    state: str
    bytes_total: int
    bytes_accepted: int
    evidence: tuple[str, ...]
    reasons: dict[str, bool]
    error: Failure | None


class Health(Struct, frozen=True, kw_only=True):
    """Body of `/health`; `printers` is how many are configured."""

    status: str = "ok"
    version: str
    printers: int


# Replies, native shapes


class Result(Struct, frozen=True, kw_only=True):
    """A call's result."""

    uid: Raw
    result: Any


class Refusal(Struct, frozen=True, kw_only=True):
    """A call's error."""

    uid: Raw
    error: Failure


# Replies, printerwebsocket shapes. `status_code` is a printer's state in StatusReply and an outcome elsewhere.


class NamesReply(Struct, frozen=True, kw_only=True):
    """Answers `printers.find`."""

    uid: Raw
    result: list[str]
    status_code: int = 0


class VersionReply(Struct, frozen=True, kw_only=True):
    """Answers `server.version`: `result` is that protocol's version, `rawprint` ours."""

    uid: Raw
    result: str = "0.1.0"
    info: str = "serverVersion"
    status_code: int = 0
    rawprint: str


class PrintNotice(Struct, frozen=True, kw_only=True):
    """Goes out before a print's outcome."""

    uid: Raw
    status: str
    status_code: int = 1


class PrintOutcome(Struct, frozen=True, kw_only=True):
    """A print that was accepted."""

    uid: Raw
    status: str = "success"
    message: str
    status_code: int = 0


class StatusReply(Struct, frozen=True, kw_only=True):
    """Answers `printerStatus`: 0 idle, 1 processing, 2 out of media, 3 stopped for another reason or unknown."""

    uid: Raw
    status: str = "Printer status retrieved"
    printer_name: str = field(name="PrinterName")
    status_code: int


class ErrorReply(Struct, frozen=True, kw_only=True):
    """Any error of that protocol; where it has an error frame of its own for the case, that has no `error` in it."""

    uid: Raw
    status: str = "error"
    message: str
    printer_name: str | UnsetType = field(name="PrinterName", default=UNSET)
    status_code: int = 3
    error: Failure | UnsetType = UNSET


# Reading and writing


_request = msgspec.json.Decoder(Request)
_encoder = msgspec.json.Encoder()


def encode(message: Struct) -> bytes:
    """JSON of a reply, UTF-8."""
    return _encoder.encode(message)


def failure(error: RawprintError) -> Failure:
    """An error as the wire shows it."""
    return Failure(error.code, error.message, error.hint)


def read_request(frame: str | bytes) -> Request:
    """The envelope in a text frame, or in a binary frame that holds JSON.

    Raises:
        NotJson: There is no JSON in it.
        BadRequest: JSON, but no object, or text that UTF-8 cannot hold, or nesting without end.
    """
    try:
        request = _request.decode(frame if isinstance(frame, str) else frame.decode())
    except RecursionError:
        raise BadRequest("the request is nested too deeply") from None
    except msgspec.MsgspecError as error:
        # msgspec stops at the first thing it does not want, which need not be a fault of the JSON.
        raise _why_refused(frame) from error
    except UnicodeDecodeError as error:
        raise NotJson("the frame is not UTF-8") from error
    if len(bytes(request.uid)) > MAX_UID:  # it goes back with every reply
        raise BadRequest(f"the uid has more than {MAX_UID} bytes")
    return request


def _why_refused(frame: str | bytes) -> NotJson | BadRequest:
    try:
        value = json.loads(frame, parse_constant=_no_constant)
    except RecursionError:
        return BadRequest("the request is nested too deeply")
    except ValueError as error:
        return NotJson(str(error))
    if not isinstance(value, dict):
        return BadRequest("a request is a JSON object", hint='Send {"call": …, "uid": …, "params": …}.')
    # What is left is half of a surrogate pair (\ud800): fine for JSON and JavaScript, but no UTF-8 can hold it.
    return BadRequest(
        "the request holds half of a surrogate pair, which is no character",
        hint='Send bytes that are no text as {"flavor": "base64"}.',
        uid=Raw(json.dumps(value.get("uid"))),
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read(raw: Raw, type: type[T]) -> T:
    """Decodes `params`; null or missing ones count as an empty object.

    Raises:
        BadRequest: It has another shape; the message names the place.
    """
    try:
        return msgspec.json.decode(b"{}" if bytes(raw) == b"null" else raw, type=type)
    except (msgspec.MsgspecError, RecursionError) as error:
        what, _, path = str(error).replace("`", "").partition(" - at $")
        raise BadRequest(f"params{path}: {what[0].lower()}{what[1:]}") from error


def read_name(raw: Raw) -> str | None:
    """A string; None for any other value."""
    value = msgspec.json.decode(raw) if bytes(raw).startswith(b'"') else None
    return value if isinstance(value, str) else None
