"""Every JSON shape on the wire: requests as they are read, replies and events as they are written.

A request is a thin envelope, `{"call", "uid", "params"}`, whose `uid` and `params` stay undecoded: the `uid` goes
back byte for byte, and the call alone knows what its `params` mean. Keys that nobody reads are ignored.

In the native protocol a request may also be one binary frame: the length of its JSON as four bytes, big-endian, the
JSON, and the bytes of its one data item of the flavor "attached".
"""

from __future__ import annotations

import binascii
import json
from datetime import datetime  # noqa: TC003 - the schema is made of it
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from rawprint import JobState, PrinterState, RawprintError
from rawprint.documents import MAX_BLOCKS, Block
from rawprint_server import text
from rawprint_server.access import Grant  # noqa: TC001 - see datetime

if TYPE_CHECKING:
    from rawprint import Report

T = TypeVar("T")

PROTOCOL = "rawprint.v1"  # the WebSocket subprotocol

NULL = Raw(b"null")
MAX_ITEMS = 10_000  # data items of one print
MAX_UID = 65536  # bytes of JSON
MAX_HEADER = 1 << 20  # bytes of JSON in front of attached ones
MAX_COPIES = 1000
MAX_RAW = 65536  # characters of what is written by hand


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


class TooLarge(RawprintError):
    """The message, or the job that it asks for, is larger than the server takes."""

    code = "too-large"


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
    """A printer as it is named in `params`; a bare string means the same.

    Attributes:
        host: In place of a name, where `networks` of the configuration allow it: an address, or a name that has one.
        port: With it; null: 9100.
    """

    name: str | None = None
    host: Annotated[str, Meta(max_length=253)] | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None


class ItemOptions(Struct, frozen=True, rename="camel"):
    """`options` of a data item that is a document; each kind reads those that mean something for it.

    Attributes:
        x: Dots from the left of a label. With x or y a document is a piece of a label that other items begin and end.
        y: Dots from the top of a label.
        fit: Of images and PDFs: "shrink": dot for dot, and smaller where it is too large (images; PDFs have a size of their own); "fit": as
            large as fits; "none": as it is.
        width_mm: Of images and PDFs: on paper, millimetres; goes before `fit`.
        rotate: Of images and PDFs: degrees clockwise; null: images as they are, PDFs so that they fit.
        dither: Of images and PDFs: how grey becomes black and white.
        threshold: With "threshold": grey below it is black.
        invert: Of images, PDFs and text: white on black.
        store: Of images: the name under which the printer keeps it; nothing is printed. An item of the format "stored" prints it.
        pages: Of PDFs, such as "1-3,5".
        crop: Of PDFs: without the white around what is on the page.
        password: Of PDFs.
        policy: Of text and tickets: "native": the printer's own characters alone; "raster": drawn; "auto": drawn where the printer lacks one.
        size: Of text: how many times as wide and as high, 1 to 8.
        bold: Of text.
        underline: Of text.
        align: Of text.
        images: Of tickets: name -> base64 of the image that the markup names.
    """

    x: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    y: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    fit: Literal["shrink", "fit", "none"] | None = None
    width_mm: Annotated[float, Meta(gt=0, le=5000)] | None = None
    rotate: Literal[0, 90, 180, 270] | None = None
    dither: Literal["floyd-steinberg", "ordered", "threshold"] | None = None
    threshold: Annotated[int, Meta(ge=1, le=255)] | None = None
    invert: bool | None = None
    store: Annotated[str, Meta(max_length=16)] | None = None
    pages: Annotated[str, Meta(max_length=1000)] | None = None
    crop: bool | None = None
    password: Annotated[str, Meta(max_length=256)] | None = None
    policy: Literal["native", "raster", "auto"] | None = None
    size: tuple[Annotated[int, Meta(ge=1, le=8)], Annotated[int, Meta(ge=1, le=8)]] | None = None
    bold: bool | None = None
    underline: bool | None = None
    align: Literal["start", "left", "center", "right"] | None = None
    images: dict[str, str] | None = None


class RawItem(Struct, frozen=True):
    """One thing to print; a bare string is `{"type": "raw", "format": "command", "flavor": "plain"}`.

    Attributes:
        type: "raw"; of images and PDFs "pixel" means the same.
        format: "command": bytes of the printer's language; "image": a PNG, JPEG, GIF, BMP, WEBP or TIFF; "pdf"; "text": plain text in any
            script; "ticket": markup; "stored": the name of an image that the printer keeps.
        flavor: What `data` is: "plain" text, "base64", "hex", "attached": the bytes behind the JSON of a binary frame, or "file": a URL of the
            page's own host, where the configuration lets the server fetch those.
        blocks: Of a ticket, in place of `data`.
        options: Of a document.
    """

    data: str | None = None
    type: str = "raw"
    format: str = "command"
    flavor: str = "plain"
    blocks: Annotated[list[Block], Meta(max_length=MAX_BLOCKS)] | None = None
    options: ItemOptions | None = None

    def to_bytes(self, encoding: str, attached: bytes | memoryview | None = None) -> bytes | memoryview:
        """The item as the printer gets it.

        Raises:
            BadRequest: Another flavor, `data` that is not of its flavor, or text that the encoding lacks.
        """
        if self.flavor == "attached":
            if attached is None:
                raise BadRequest("an attached item, and nothing is attached", hint="Send it as one binary frame.")
            return attached
        if self.data is None:
            raise BadRequest("params.data: an item without data")
        try:
            match self.flavor:
                case "plain":
                    return text.encode(self.data, encoding)
                case "base64":
                    return binascii.a2b_base64("".join(self.data.split()), strict_mode=True)
                case "hex":
                    return bytes.fromhex(self.data)
        except ValueError as error:
            raise BadRequest(f"data is not {self.flavor}") from error
        raise BadRequest(
            f"unknown flavor {self.flavor[:100]!r}",
            hint='The flavors are "plain", "base64", "hex", "attached" and "file".',
        )


class JobOptions(Struct, frozen=True, rename="camel"):
    """`options` of a print.

    Attributes:
        id: The client's own name for the job, and its idempotency key.
        copies: How often the data is printed, as one job.
        encoding: Of plain text; else the printer's own from the configuration, else UTF-8.
        job_name: For people.
        expires: Seconds; a job that has not begun by then is not printed. Else what the configuration says of the printer.
        priority: A job with a higher one goes before the lower ones that wait (IPP's job-priority).
        wait: When the call is answered: when the job is accepted, when every byte is taken or it ended, when it ended.
    """

    id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    copies: Annotated[int, Meta(ge=1, le=MAX_COPIES)] = 1
    encoding: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    job_name: Annotated[str, Meta(max_length=256)] | None = None
    expires: Annotated[float, Meta(gt=0, le=366 * 86400)] | None = None
    priority: Annotated[int, Meta(ge=1, le=100)] = 50
    wait: Literal["accepted", "delivered", "ended"] = "accepted"


class PrintParams(Struct, frozen=True):
    """`params` of a print."""

    printer: PrinterRef | str | None = None
    data: Annotated[list[str | RawItem], Meta(max_length=MAX_ITEMS)] | str | None = None
    options: JobOptions | None = None


class PrinterParams(Struct, frozen=True):
    """`params` of a call that means one printer."""

    printer: PrinterRef | str | None = None


class DrawerOptions(Struct, frozen=True):
    """`options` of `drawer.open`; see `JobOptions`."""

    id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    wait: Literal["accepted", "delivered", "ended"] = "accepted"


class DrawerParams(Struct, frozen=True):
    """`params` of `drawer.open`; `pin` is that of the drawer's connector."""

    printer: PrinterRef | str | None = None
    pin: int = 2
    options: DrawerOptions | None = None


class JobParams(Struct, frozen=True):
    """`params` of a call that means one job."""

    id: str


class ResolveParams(Struct, frozen=True):
    """`params` of `jobs.resolve`: what became of an uncertain job."""

    id: str
    action: Literal["print-again", "discard"]


class CodeParams(Struct, frozen=True):
    """`params` of `admin.enter`."""

    code: str


class AddParams(Struct, frozen=True):
    """`params` of `admin.add`: a printer as the configuration has it."""

    name: Annotated[str, Meta(max_length=1000)]
    address: Annotated[str, Meta(max_length=1000)]
    dialect: Annotated[str, Meta(max_length=64)] | None = None


class ProbeParams(Struct, frozen=True):
    """`params` of `admin.probe`: which printer, and its language where somebody knows it."""

    address: Annotated[str, Meta(max_length=1000)]
    dialect: Annotated[str, Meta(max_length=64)] | None = None


class RawParams(Struct, frozen=True):
    """`params` of `admin.raw`: what to send, and how many seconds to wait for a turn and then for an answer."""

    printer: PrinterRef | str
    data: Annotated[str, Meta(min_length=1, max_length=MAX_RAW)]
    flavor: Literal["plain", "hex", "base64"] = "plain"
    seconds: Annotated[float, Meta(ge=0.1, le=10)] = 1.0


class ClientParams(Struct, frozen=True):
    """`params` of a call that means one client."""

    id: int


class OriginParams(Struct, frozen=True):
    """`params` of a call that means one origin."""

    origin: Annotated[str, Meta(max_length=300)]


class AllowParams(Struct, frozen=True):
    """`params` of `admin.allow`.

    Attributes:
        calls: What it may do; null: all but to administrate.
        printers: Names; null: all.
        raw: Whether commands that change a printer for good are let through.
    """

    origin: Annotated[str, Meta(max_length=300)]
    calls: Annotated[list[Literal["status", "print", "drawer", "jobs"]], Meta(max_length=10)] | None = None
    printers: Annotated[list[str], Meta(max_length=1000)] | None = None
    raw: bool = False


class JobsParams(Struct, frozen=True):
    """`params` of `jobs.list`: only those of this printer and in this state, at most so many of the newest.

    Attributes:
        before: Id of a job: only those that were created before it, for the page that follows one whose oldest it is.
        search: Only those that have it in id, name, printer or `by`, in small letters or large ones.
    """

    printer: PrinterRef | str | None = None
    state: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    before: Annotated[str, Meta(max_length=256)] | None = None
    search: Annotated[str, Meta(max_length=300)] | None = None


# What replies carry


class Failure(Struct, frozen=True):
    """An error: `code` is stable, `hint` says how to mend it and may be empty."""

    code: str
    message: str
    hint: str


class Media(Struct, frozen=True):
    """What is loaded, as far as the configuration says; millimetres, dots per inch."""

    width_mm: float | None = None
    height_mm: float | None = None
    gap_mm: float | None = None
    dpi: int | None = None
    cut: str | None = None


class CapabilitiesView(Struct, frozen=True):
    """What a printer has shown that it answers, by the names of questions.

    Attributes:
        answered: What it has answered, or told unasked ("pushes").
        silent: What it left unanswered.
        feeds: Whether it feeds paper when it is asked how it is, so that it is not asked any more.
        learnt: When the last of that was learnt; null: nothing was.
    """

    answered: list[str]
    silent: list[str]
    feeds: bool
    learnt: datetime | None


class PrinterView(Struct, frozen=True):
    """A printer: what it last said of itself, and what it has to do.

    Attributes:
        at: When it last said how it is; null where it never did.
        since: When that, or `error`, last changed.
        source: Who said so: "printer", or the name of another channel.
        busy: Whether a job is under way.
        pending: Jobs that have not begun.
        share: Whether the connection is let go when idle, for other computers.
        drawer: Whether its language can open a cash drawer.
        paused: Whether somebody has its jobs wait; `reasons` say whether the printer itself is paused.
        error: Why nothing is known of it now.
    """

    name: str
    address: str
    dialect: str | None
    state: PrinterState
    reasons: dict[str, bool]
    at: datetime | None
    since: datetime | None
    source: str | None
    busy: bool
    pending: int
    paused: bool
    share: bool
    drawer: bool
    encoding: str | None
    media: Media
    capabilities: CapabilitiesView
    error: Failure | None


class JobView(Struct, frozen=True):
    """A job.

    Attributes:
        name: What the client called it, for people.
        evidence: What its end rests on; "settled": somebody has said what became of an uncertain one.
        reasons: What the printer said while the job waits or is stopped.
        error: Why it is not printed yet, or what ended it.
        notes: Of documents: what a person should know, such as a character that no font has.
        by: Who asked for it: the page's origin, "token NAME" or "program ADDRESS"; null: not known, as of a job of before a restart.
    """

    id: str
    printer: str
    name: str | None
    state: JobState
    bytes_total: int
    bytes_accepted: int
    evidence: tuple[str, ...]
    reasons: dict[str, bool]
    error: Failure | None
    created: datetime
    ended: datetime | None
    notes: tuple[str, ...]
    by: str | None


class JobText(Struct, frozen=True):
    """Answers `jobs.text`: what can be read from a job's bytes.

    Attributes:
        lines: That it prints with the printer's own characters.
        sheet: Its first sheet of paper as a PNG; null: there is none, or its language is not known.
        sheets: How many there are, copies included.
        truncated: Whether there is more than was read.
    """

    lines: list[str]
    sheet: bytes | None
    sheets: int
    truncated: bool


class ChangeView(Struct, frozen=True):
    """How a printer stood from a moment on; see `PrinterView`."""

    at: datetime
    state: PrinterState
    reasons: dict[str, bool]
    error: Failure | None


class FoundView(Struct, frozen=True):
    """A printer, or a serial port at which one may hang, that is plugged in and has no name in the configuration.

    Attributes:
        address: What to write there.
        make_model: As it names itself; may be empty.
        serial: Its serial number; may be empty.
        dialect: Its probable language; null: it does not say.
        how: How that was learnt; empty where it was not.
        error: Why it cannot be opened; null: nothing is known against it.
    """

    address: str
    make_model: str
    serial: str
    dialect: str | None
    how: str
    error: Failure | None


class ServerView(Struct, frozen=True):
    """The server.

    Attributes:
        memory: Names the memory of job ids: while it is the same, a job that is sent again is not printed again.
        printers: The names that there are.
        stopping: Whether it is about to end; what it has not answered by then it has not done.
        found: What is plugged into its machine and has no name yet; looked for while somebody has subscribed.
    """

    version: str
    memory: str
    started: datetime
    printers: list[str]
    max_message_bytes: int
    stopping: bool
    found: list[FoundView]


class Snapshot(Struct, frozen=True):
    """Everything known; `jobs` holds all that have not ended, and the last ones that did, the oldest first."""

    server: ServerView
    printers: list[PrinterView]
    jobs: list[JobView]


class WebhookCall(Struct, frozen=True):
    """What the webhook is told: a printer with jobs has stopped, or goes on; the rest as in `PrinterView`.

    Attributes:
        pending: Jobs that wait, the one under way among them.
        at: When that was.
    """

    event: Literal["stopped", "going-on"]
    printer: str
    state: PrinterState
    reasons: dict[str, bool]
    pending: int
    at: datetime
    error: Failure | None


class CodeView(Struct, frozen=True):
    """Answers `admin.code`."""

    code: str


class AllowedView(Struct, frozen=True):
    """A page that may connect; see `AllowParams`.

    Attributes:
        how: Who let it in: "configuration", "command", "dashboard" or "paired".
    """

    origin: str
    calls: list[str]
    printers: list[str] | None
    raw: bool
    how: str
    at: datetime | None

    @classmethod
    def of(cls, origin: str, grant: Grant, how: str, at: datetime | None) -> AllowedView:
        """What a grant looks like on the wire."""
        printers = None if grant.printers is None else sorted(grant.printers)
        return cls(origin, sorted(grant.calls), printers, grant.raw, how, at)


class AskedView(Struct, frozen=True):
    """A page that was refused, and when last."""

    origin: str
    at: datetime


class PairingStart(Struct, frozen=True):
    """Answers `pair.begin`.

    Attributes:
        where: The printer that prints the code, or "dashboard", which shows it.
        seconds: How long it lives.
    """

    where: str
    seconds: float


class PairingView(Struct, frozen=True):
    """A page that waits for somebody to type its code, which the dashboard shows."""

    origin: str
    code: str


class AccessView(Struct, frozen=True):
    """Answers `admin.access`: who may come in, who is kept out, who asked, and the names of tokens."""

    allowed: list[AllowedView]
    denied: list[str]
    asked: list[AskedView]
    tokens: list[str]
    pairing: PairingView | None


class ClientView(Struct, frozen=True):
    """A client that is connected.

    Attributes:
        id: Of the connection, while the server runs.
        token: The name of the token that it brought.
        since: When it came.
        accent: How it speaks; null: it has not spoken yet.
        calls: That it made.
        bytes: Of the messages that it sent.
        errors: Calls that were refused, or failed.
        subscribed: Whether it hears of changes.
        gone: Whether its connection has ended.
    """

    id: int
    origin: str | None
    token: str | None
    address: str
    since: datetime
    accent: Literal["native", "printerwebsocket"] | None
    calls: int
    bytes: int
    errors: int
    subscribed: bool
    gone: bool


class LogLine(Struct, frozen=True):
    """A line of the log, with the job and the printer that it is about."""

    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    text: str
    job: str | None
    printer: str | None


class WatchView(Struct, frozen=True):
    """Answers `admin.watch`: who is connected, the last lines of the log, and who may come in."""

    clients: list[ClientView]
    log: list[LogLine]
    access: AccessView


class ExchangeView(Struct, frozen=True):
    """Bytes that were sent and what came back, hex."""

    sent: str
    received: str


class StatusView(Struct, frozen=True):
    """What a printer said of its state, and the bytes from which that was read."""

    address: str
    dialect: str
    state: PrinterState
    reasons: dict[str, bool]
    processing: bool | None
    at: datetime
    raw: list[ExchangeView]


class FindingView(Struct, frozen=True):
    """Something that is worth knowing of a printer, and how to mend it."""

    code: str
    severity: str
    title: str
    detail: str
    remedy: str


class ProbeView(Struct, frozen=True):
    """Answers `admin.probe`: what `rawprint probe --json` tells of a printer; the worst finding first."""

    address: str
    also: list[str]
    make_model: str
    serial: str
    device_id: str
    reached: str
    dialect: str | None
    dialect_how: str
    identity: dict[str, str]
    status: StatusView | None
    round_trip_ms: float | None
    answered: list[str]
    silent: list[str]
    findings: list[FindingView]

    @classmethod
    def of(cls, report: Report) -> ProbeView:
        """What a report looks like on the wire."""
        status = report.status
        said = None
        if status is not None:
            said = StatusView(
                report.address,
                report.dialect or "",
                status.state,
                {reason.value: true for reason, true in status.reasons.items()},
                status.processing,
                status.at,
                [ExchangeView(each.sent.hex(), each.received.hex()) for each in status.raw],
            )
        return cls(
            report.address,
            list(report.also),
            report.make_model,
            report.serial,
            report.device_id,
            report.reached,
            report.dialect,
            report.dialect_how,
            dict(report.identity),
            said,
            None if report.round_trip is None else round(report.round_trip * 1000, 2),
            sorted(report.capabilities.answered),
            sorted(report.capabilities.silent),
            [FindingView(each.code, each.severity, each.title, each.detail, each.remedy) for each in report.findings],
        )


class RawView(Struct, frozen=True):
    """Answers `admin.raw`.

    Attributes:
        sent: Bytes that the printer took.
        received: What came back, hex.
        decoded: That in words, one line a reply, as far as its language's decoder understands it.
    """

    sent: int
    received: str
    decoded: list[str]


class Version(Struct, frozen=True, kw_only=True):
    """Answers `server.version`."""

    name: str = "rawprint"
    version: str
    protocol: str = PROTOCOL


class Health(Struct, frozen=True, kw_only=True):
    """Body of `/health`.

    Attributes:
        printers: How many are configured.
        durability: What an accepted job survives: "power", "process", or "none" where there is no folder for the journal.
    """

    status: str = "ok"
    version: str
    printers: int
    durability: Literal["power", "process", "none"]


# Replies, native shapes


class Result(Struct, frozen=True, kw_only=True):
    """A call's result."""

    uid: Raw
    result: Any


class Refusal(Struct, frozen=True, kw_only=True):
    """A call's error."""

    uid: Raw
    error: Failure


class PrinterEvent(Struct, frozen=True, tag_field="event", tag="printer"):
    """A printer is new, or has changed."""

    data: PrinterView


class JobEvent(Struct, frozen=True, tag_field="event", tag="job"):
    """A job is new, or has changed."""

    data: JobView


class ServerEvent(Struct, frozen=True, tag_field="event", tag="server"):
    """The printers are others now, or the server is about to end."""

    data: ServerView


class ClientEvent(Struct, frozen=True, tag_field="event", tag="client"):
    """To who watches: a client is new, has changed, or is gone."""

    data: ClientView


class LogEvent(Struct, frozen=True, tag_field="event", tag="log"):
    """To who watches: a line of the log."""

    data: LogLine


class AccessEvent(Struct, frozen=True, tag_field="event", tag="access"):
    """To who watches: who may come in, or who asked, has changed."""

    data: AccessView


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
_text = msgspec.json.Decoder(str)
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
    if len(memoryview(request.uid)) > MAX_UID:  # it goes back with every reply
        raise BadRequest(f"the uid has more than {MAX_UID} bytes")
    return request


def read_attached(frame: bytes) -> tuple[Request, memoryview]:
    """The envelope in a native binary frame, and the bytes behind it.

    Raises:
        BadRequest: The frame has not that form.
    """
    size = int.from_bytes(frame[:4])
    if len(frame) < 4 or size > min(len(frame) - 4, MAX_HEADER):
        raise BadRequest(
            "a binary frame begins with the length of its JSON, and this one does not",
            hint=f"Four bytes, big-endian, at most {MAX_HEADER}; then the JSON, then the attached bytes.",
        )
    try:
        return read_request(frame[4 : 4 + size]), memoryview(frame)[4 + size :]
    except NotJson as error:
        raise BadRequest("the frame's first part is no JSON") from error


def _why_refused(frame: str | bytes) -> NotJson | BadRequest:
    try:
        value = json.loads(frame if isinstance(frame, str) else frame.decode(), parse_constant=_no_constant)
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
        uid=_safe_uid(value.get("uid")),
    )


def _safe_uid(value: Any) -> Raw:
    try:
        uid = json.dumps(value, allow_nan=False)  # 1e999 has become infinite
    except (ValueError, RecursionError):
        return NULL
    return Raw(uid) if len(uid) <= MAX_UID else NULL


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


def read(raw: Raw, type: type[T]) -> T:
    """Decodes `params`; null or missing ones count as an empty object.

    Raises:
        BadRequest: It has another shape; the message names the place.
    """
    shape: Any = type
    try:
        params: T = _decoder(shape).decode(b"{}" if raw == NULL else raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        what, _, path = str(error).replace("`", "").partition(" - at $")
        raise BadRequest(f"params{path}: {what[0].lower()}{what[1:]}") from error
    return params


def read_name(raw: Raw) -> str | None:
    """A string; None for any other value."""
    try:
        return _text.decode(raw)
    except msgspec.MsgspecError:
        return None
