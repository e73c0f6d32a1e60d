"""The calls in their native names and shapes, and the table that finds them.

A method does what it does at once, so that calls take effect in the order in which they came; what it has to wait for
it returns as an awaitable, for which later calls need not wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rawprint import __version__
from rawprint.documents import Part
from rawprint_server import admin, text
from rawprint_server.documents import are_documents, parts
from rawprint_server.hub import TooLate, UnknownJob
from rawprint_server.messages import (
    BadRequest,
    ChangeView,
    DrawerOptions,
    DrawerParams,
    JobOptions,
    JobParams,
    JobsParams,
    JobText,
    JobView,
    PrinterParams,
    PrinterRef,
    PrinterView,
    PrintParams,
    RawItem,
    ResolveParams,
    Snapshot,
    Version,
    read,
)
from rawprint_server.targets import literal, networks, pin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from msgspec import Raw

    from rawprint_server.client import Client
    from rawprint_server.hub import Hub

LOOKUP_SECONDS = 3.0
TEST_SECONDS = 60.0  # after that nobody stands beside the printer any more
ASK_SECONDS = 3.0  # how long `printers.status` waits for the printer

_NO_OPTIONS = JobOptions()


@dataclass(slots=True)
class About:
    """What a call is about, for those who write down what was done."""

    printer: str | None = None
    job: str | None = None
    size: int | None = None
    sha256: str | None = None


class Call(NamedTuple):
    """What a method gets: who asks, the parameters, still encoded, and the bytes that came attached, if any.

    Attributes:
        about: What the method finds out that it is about.
    """

    client: Client
    params: Raw
    attached: memoryview | None
    about: About

    @property
    def hub(self) -> Hub:
        """The printers."""
        return self.client.hub

    def printer(self, params: Any) -> str:
        """The name of the printer that the parameters mean.

        Raises:
            BadRequest: They mean none.
            NotGranted: This client may not use it.
        """
        self.about.printer = name = _named(params)
        self.client.need_printer(name)
        return name

    async def target(self, printer: PrinterRef) -> str:
        """The name of the printer at an address that the client gave; it is looked up once, and that is where it prints.

        Raises:
            TargetRefused: It may not be printed to.
            NotGranted: This client may use some printers alone.
        """
        host = printer.host or ""
        address = literal(host)
        if address is not None:
            found = [str(address)]
        else:
            loop = asyncio.get_running_loop()
            try:
                answers = await asyncio.wait_for(loop.getaddrinfo(host, None, type=socket.SOCK_STREAM), LOOKUP_SECONDS)
            except (OSError, TimeoutError, UnicodeError):
                answers = []
            found = [str(answer[4][0]) for answer in answers]
        pinned = pin(host, printer.port, found, networks(self.client.config.access))
        self.about.printer = pinned
        self.client.need_printer(pinned)
        return self.hub.target(pinned)

    def job(self, id: str) -> JobView:
        """A job that this client may see.

        Raises:
            UnknownJob: There is none.
        """
        self.about.job = id
        try:
            job = self.hub.job(id)
        except UnknownJob:
            job = None
        if job is None or not self.client.entry.grant.covers(job.printer):
            raise self.hub.unknown_job(id)
        self.about.printer = job.printer
        return job

    def submitted(self, job: JobView, data: bytes | memoryview) -> None:
        """Note what was printed; after its first byte may have gone out."""
        self.about.job, self.about.size = job.id, len(data)
        self.about.sha256 = hashlib.sha256(data).hexdigest() if self.client.audits else None


class Method(Protocol):
    """Carries out one call."""

    def __call__(self, call: Call, /) -> Any:
        """Returns what goes out as `result`, or an awaitable of it.

        Raises:
            RawprintError: What goes out as `error`.
        """


def server_version(_call: Call, /) -> Version:
    """Who answers."""
    return Version(version=__version__)


def printers_find(call: Call, /) -> list[str]:
    """The printers' names."""
    return [name for name in call.hub.names() if call.client.entry.grant.covers(name)]


def printers_list(call: Call, /) -> list[PrinterView]:
    """All printers, as far as they are known."""
    return [call.hub.printer(name) for name in printers_find(call)]


async def printers_status(call: Call, /) -> PrinterView:
    """One printer, asked now."""
    name = call.printer(read(call.params, PrinterParams))
    await call.hub.status(name, ASK_SECONDS)
    return call.hub.printer(name)


def printers_pause(call: Call, /) -> PrinterView:
    """Has no job of a printer begin any more; the one in print goes on."""
    return call.hub.pause(call.printer(read(call.params, PrinterParams)))


def printers_resume(call: Call, /) -> PrinterView:
    """Has the printer's jobs begin again."""
    return call.hub.pause(call.printer(read(call.params, PrinterParams)), paused=False)


def printers_history(call: Call, /) -> list[ChangeView]:
    """How a printer stood in the last day, the oldest change first."""
    return call.hub.history(call.printer(read(call.params, PrinterParams)), datetime.now(UTC))


def print_(call: Call, /) -> JobView | Awaitable[JobView]:
    """Takes a job; answers at once, or when `options.wait` says."""
    params = read(call.params, PrintParams)
    if isinstance(params.printer, PrinterRef) and params.printer.host is not None:
        return _print_to_target(call, params, params.printer)
    return _print_on(call, params, call.printer(params))


async def _print_to_target(call: Call, params: PrintParams, printer: PrinterRef) -> JobView:
    if printer.name is not None:
        raise BadRequest("params.printer has a name and a host", hint="Give one of them.")
    answer = _print_on(call, params, await call.target(printer))
    return answer if isinstance(answer, JobView) else await answer


def _print_on(call: Call, params: PrintParams, name: str) -> JobView | Awaitable[JobView]:
    options = params.options or _NO_OPTIONS
    encoding = options.encoding or call.hub.encoding(name) or text.DEFAULT
    text.codec(encoding)
    documents = call.client.documents
    if are_documents(params.data) or documents.waits(call.client, name):
        content = parts(checked(params.data, call.attached), encoding, call.attached, call.client)
        return _print_documents(call, documents.print(call.client, name, content, options, call.about), options.wait)
    data = payload(params.data, encoding, call.attached)
    if options.copies > 1:
        call.client.fits(len(data) * options.copies)  # before they take up room
        data = bytes(data) * options.copies
    call.client.charge(data, name)
    job = call.hub.submit(
        name,
        data,
        options.id,
        job_name=options.job_name,
        expires=options.expires,
        priority=options.priority,
        by=call.client.by,
    )
    call.submitted(job, data)
    return _answer(call.hub, job, options.wait)


async def _print_documents(call: Call, printed: Awaitable[JobView], wait: str) -> JobView:
    job = await printed
    return job if wait == "accepted" else await call.hub.until(job.id, ended=wait == "ended")


async def printers_test(call: Call, /) -> JobView:
    """Prints a test label: the printer's name and address, how wide and how dark it prints, the time."""
    name = call.printer(read(call.params, PrinterParams))
    options = {"name": name, "address": call.hub.printer(name).address, "at": datetime.now().astimezone()}
    job_options = JobOptions(job_name="test label", expires=TEST_SECONDS)
    content = [Part("specimen", None, options)]
    return await call.client.documents.print(call.client, name, content, job_options, call.about)


def drawer_open(call: Call, /) -> JobView | Awaitable[JobView]:
    """Opens the cash drawer at the printer, within some seconds or not at all."""
    params = read(call.params, DrawerParams)
    options = params.options or DrawerOptions()
    name = call.printer(params)
    call.client.charge_job(0)
    job = call.hub.open_drawer(name, params.pin, options.id, by=call.client.by)
    call.about.job = job.id
    return _answer(call.hub, job, options.wait)


def jobs_get(call: Call, /) -> JobView:
    """One job."""
    return call.job(read(call.params, JobParams).id)


def jobs_list(call: Call, /) -> list[JobView]:
    """The jobs that are remembered, the oldest first."""
    params = read(call.params, JobsParams)
    if params.before is not None:
        call.job(params.before)  # of others it must not learn which came first
    return call.hub.jobs(
        printer_name(params),
        params.state,
        params.limit,
        call.client.entry.grant.printers,
        before=params.before,
        search=params.search,
    )


async def jobs_cancel(call: Call, /) -> JobView:
    """Cancels a job, in its middle, too; of documents all pages, also those that are not made yet."""
    id = read(call.params, JobParams).id
    documents = call.client.documents
    printer = documents.printer(id)  # of a print that is being made, whose last page is no job yet
    if printer is not None:
        call.client.need_printer(printer)
        call.about.job, call.about.printer = id, printer
        made = documents.cancel(id)
    else:
        call.job(id)
        made = None
    for page in call.hub.pages(id):
        with suppress(TooLate):  # it is printed
            await call.hub.cancel(page)
    return await call.hub.cancel(id) if made is None else made


async def jobs_resolve(call: Call, /) -> JobView:
    """Settles an uncertain job."""
    params = read(call.params, ResolveParams)
    job = call.job(params.id)
    if params.action == "print-again":  # what it holds was looked through when it was first sent
        call.client.need("print")
        call.client.charge_job(job.bytes_total)
    return await call.hub.resolve(job.id, params.action, by=call.client.by)


async def jobs_text(call: Call, /) -> JobText:
    """What a job says on paper, as far as its bytes tell."""
    return await call.client.reader.text(call.job(read(call.params, JobParams).id).id)


async def jobs_again(call: Call, /) -> JobView:
    """Prints a job once more, headed as a copy."""
    job = call.job(read(call.params, JobParams).id)
    call.client.need("print")
    data = await call.hub.copy_of(job.id)
    call.client.charge(data, job.printer)
    again = call.hub.print_copy(job.id, data, by=call.client.by)
    call.submitted(again, data)
    answer = _answer(call.hub, again, "accepted")
    return answer if isinstance(answer, JobView) else await answer


def subscribe(call: Call, /) -> Snapshot:
    """Everything known; from here on the client hears of every change."""
    return call.client.subscribe()


def unsubscribe(call: Call, /) -> None:
    """The client hears of no change any more."""
    call.client.unsubscribe()


METHODS: Mapping[str, Method] = {
    "server.version": server_version,
    "printers.find": printers_find,
    "printers.list": printers_list,
    "printers.status": printers_status,
    "printers.pause": printers_pause,
    "printers.resume": printers_resume,
    "printers.history": printers_history,
    "print": print_,
    "printers.test": printers_test,
    "drawer.open": drawer_open,
    "jobs.get": jobs_get,
    "jobs.list": jobs_list,
    "jobs.cancel": jobs_cancel,
    "jobs.resolve": jobs_resolve,
    "jobs.text": jobs_text,
    "jobs.again": jobs_again,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "admin.enter": admin.enter,
    "admin.code": admin.code,
    "admin.access": admin.access,
    "admin.allow": admin.allow,
    "admin.deny": admin.deny,
    "admin.watch": admin.watch,
    "admin.unwatch": admin.unwatch,
    "admin.disconnect": admin.disconnect,
    "admin.add": admin.add,
    "admin.probe": admin.probe,
    "admin.raw": admin.raw,
}


def printer_name(params: Any) -> str | None:
    """The name in `params.printer`, which is a string or holds a `name`; None where it is missing or empty."""
    printer = params.printer
    return (printer if isinstance(printer, str) or printer is None else printer.name) or None


def checked(data: list[str | RawItem] | str | None, attached: memoryview | None) -> list[str | RawItem]:
    """The items of a print.

    Raises:
        BadRequest: The attached bytes are used never or twice.
    """
    items: list[str | RawItem] = [data] if isinstance(data, str) else data or []
    if attached is not None and sum(isinstance(item, RawItem) and item.flavor == "attached" for item in items) != 1:
        raise BadRequest(
            "bytes are attached, and not one item stands for them",
            hint='Send them with one data item {"type": "raw", "flavor": "attached"}.',
        )
    return items


def payload(
    data: list[str | RawItem] | str | None, encoding: str, attached: memoryview | None = None
) -> bytes | memoryview:
    """What the printer gets: all items with nothing between them; attached bytes that stand alone are not copied.

    Raises:
        BadRequest: There is nothing, an item is wrong, or the attached bytes are used never or twice.
    """
    items = checked(data, attached)
    pieces = [
        text.encode(item, encoding) if isinstance(item, str) else item.to_bytes(encoding, attached) for item in items
    ]
    whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if not len(whole):
        raise BadRequest("params.data is missing or empty", hint='Send {"data": "…"} or a list of items.')
    return whole


def _named(params: Any) -> str:
    name = printer_name(params)
    if name is None:
        raise BadRequest("params.printer is missing", hint='Send {"printer": "NAME"}.')
    return name


def _answer(hub: Hub, job: JobView, wait: str) -> JobView | Awaitable[JobView]:
    kept = hub.kept(job.id)
    if kept is not None:
        return _when_kept(hub, kept, job, wait)
    return job if wait == "accepted" else hub.until(job.id, ended=wait == "ended")


async def _when_kept(hub: Hub, kept: Awaitable[None], job: JobView, wait: str) -> JobView:
    await kept
    # As it stands now: events of it may have gone out already.
    return hub.job(job.id) if wait == "accepted" else await hub.until(job.id, ended=wait == "ended")
