"""The calls in their native names and shapes, and the table that finds them.

A method does what it does at once, so that calls take effect in the order in which they came; what it has to wait for
it returns as an awaitable, for which later calls need not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rawprint import __version__
from rawprint_server import text
from rawprint_server.messages import (
    MAX_JOB_BYTES,
    BadRequest,
    DrawerOptions,
    DrawerParams,
    JobParams,
    JobsParams,
    JobView,
    PrinterParams,
    PrinterView,
    PrintParams,
    RawItem,
    ResolveParams,
    Snapshot,
    TooLarge,
    Version,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from msgspec import Raw

    from rawprint_server.hub import Hub
    from rawprint_server.session import Client

ASK_SECONDS = 3.0  # how long `printers.status` waits for the printer


class Call(NamedTuple):
    """What a method gets: who asks, the parameters, still encoded, and the bytes that came attached, if any."""

    client: Client
    params: Raw
    attached: memoryview | None = None

    @property
    def hub(self) -> Hub:
        """The printers."""
        return self.client.hub


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
    return call.hub.names()


def printers_list(call: Call, /) -> list[PrinterView]:
    """All printers, as far as they are known."""
    return [call.hub.printer(name) for name in call.hub.names()]


async def printers_status(call: Call, /) -> PrinterView:
    """One printer, asked now."""
    name = _named(read(call.params, PrinterParams))
    await call.hub.status(name, ASK_SECONDS)
    return call.hub.printer(name)


def printers_pause(call: Call, /) -> PrinterView:
    """Has no job of a printer begin any more; the one in print goes on."""
    return call.hub.pause(_named(read(call.params, PrinterParams)))


def printers_resume(call: Call, /) -> PrinterView:
    """Has the printer's jobs begin again."""
    return call.hub.pause(_named(read(call.params, PrinterParams)), paused=False)


def print_(call: Call, /) -> JobView | Awaitable[JobView]:
    """Takes a job; answers at once, or when `options.wait` says."""
    params = read(call.params, PrintParams)
    name = _named(params)
    options = params.options
    encoding = (options and options.encoding) or call.hub.encoding(name) or text.DEFAULT
    text.codec(encoding)
    data = payload(params.data, encoding, call.attached)
    if options is None:
        return _answer(call.hub, call.hub.submit(name, data), "accepted")
    if options.copies > 1 and len(data) * options.copies > MAX_JOB_BYTES:
        raise TooLarge(f"{options.copies} copies of {len(data)} bytes are more than {MAX_JOB_BYTES} bytes")
    job = call.hub.submit(
        name,
        bytes(data) * options.copies if options.copies > 1 else data,
        options.id,
        job_name=options.job_name,
        expires=options.expires,
        priority=options.priority,
    )
    return _answer(call.hub, job, options.wait)


def drawer_open(call: Call, /) -> JobView | Awaitable[JobView]:
    """Opens the cash drawer at the printer, within some seconds or not at all."""
    params = read(call.params, DrawerParams)
    options = params.options or DrawerOptions()
    return _answer(call.hub, call.hub.open_drawer(_named(params), params.pin, options.id), options.wait)


def jobs_get(call: Call, /) -> JobView:
    """One job."""
    return call.hub.job(read(call.params, JobParams).id)


def jobs_list(call: Call, /) -> list[JobView]:
    """The jobs that are remembered, the oldest first."""
    params = read(call.params, JobsParams)
    return call.hub.jobs(printer_name(params), params.state, params.limit)


async def jobs_cancel(call: Call, /) -> JobView:
    """Cancels a job, in its middle, too."""
    return await call.hub.cancel(read(call.params, JobParams).id)


async def jobs_resolve(call: Call, /) -> JobView:
    """Settles an uncertain job."""
    params = read(call.params, ResolveParams)
    return await call.hub.resolve(params.id, params.action)


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
    "print": print_,
    "drawer.open": drawer_open,
    "jobs.get": jobs_get,
    "jobs.list": jobs_list,
    "jobs.cancel": jobs_cancel,
    "jobs.resolve": jobs_resolve,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
}


def printer_name(params: Any) -> str | None:
    """The name in `params.printer`, which is a string or holds a `name`; None where it is missing or empty."""
    printer = params.printer
    return (printer if isinstance(printer, str) or printer is None else printer.name) or None


def payload(
    data: list[str | RawItem] | str | None, encoding: str, attached: memoryview | None = None
) -> bytes | memoryview:
    """What the printer gets: all items with nothing between them; attached bytes that stand alone are not copied.

    Raises:
        BadRequest: There is nothing, an item is wrong, or the attached bytes are used never or twice.
    """
    items = [data] if isinstance(data, str) else data or []
    if attached is not None and sum(isinstance(item, RawItem) and item.flavor == "attached" for item in items) != 1:
        raise BadRequest(
            "bytes are attached, and not one item stands for them",
            hint='Send them with one data item {"type": "raw", "flavor": "attached"}.',
        )
    parts = [
        text.encode(item, encoding) if isinstance(item, str) else item.to_bytes(encoding, attached) for item in items
    ]
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
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
