"""The calls in their native names and shapes: one coroutine each, and the table that finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rawprint_server.messages import BadRequest, JobParams, JobView, PrinterParams, PrinterView, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

    from rawprint_server.hub import Hub

ASK_SECONDS = 3.0  # how long `printers.status` waits for the printer


class Method(Protocol):
    """Carries out one call."""

    async def __call__(self, hub: Hub, params: Raw, /) -> Any:
        """Returns what goes out as `result`.

        Raises:
            RawprintError: What goes out as `error`.
        """


async def printers_list(hub: Hub, _params: Raw, /) -> list[PrinterView]:
    """All printers, as far as they are known."""
    return [hub.printer(name) for name in hub.names()]


async def printers_status(hub: Hub, params: Raw, /) -> PrinterView:
    """One printer, asked now."""
    name = printer_name(read(params, PrinterParams))
    if name is None:
        raise BadRequest("params.printer is missing", hint='Send {"printer": "NAME"}.')
    await hub.status(name, ASK_SECONDS)
    return hub.printer(name)


async def jobs_get(hub: Hub, params: Raw, /) -> JobView:
    """One job."""
    return hub.job(read(params, JobParams).id)


async def jobs_list(hub: Hub, _params: Raw, /) -> list[JobView]:
    """All jobs that are remembered, the oldest first."""
    return hub.jobs()


METHODS: Mapping[str, Method] = {
    "printers.list": printers_list,
    "printers.status": printers_status,
    "jobs.get": jobs_get,
    "jobs.list": jobs_list,
}


def printer_name(params: Any) -> str | None:
    """The name in `params.printer`, which is a string or holds a `name`; None where it is missing or empty."""
    printer = params.printer
    return (printer if isinstance(printer, str) or printer is None else printer.name) or None
