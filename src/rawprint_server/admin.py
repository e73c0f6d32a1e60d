"""The calls of this machine's user, who says on the server's own page who may print."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

from rawprint import PrinterBusy, examine, parse_address
from rawprint_server import text
from rawprint_server.access import ORDINARY, Grant
from rawprint_server.config import ConfigError, origin_fault
from rawprint_server.messages import (
    AccessView,
    AddParams,
    AllowParams,
    BadRequest,
    ClientParams,
    CodeParams,
    CodeView,
    OriginParams,
    ProbeParams,
    ProbeView,
    RawItem,
    RawParams,
    RawView,
    WatchView,
    read,
)

if TYPE_CHECKING:
    from rawprint_server.methods import Call

log = logging.getLogger(__name__)

PROBE_SECONDS = 7.5  # and half a second more, in which a slow one is given up


def code(call: Call, /) -> CodeView:
    """A code that makes the server's own page the administrator's, once, within a minute."""
    return CodeView(call.client.gate.new_code())


def enter(call: Call, /) -> None:
    """Makes the server's own page the administrator's."""
    call.client.become_admin(read(call.params, CodeParams).code)


def access(call: Call, /) -> AccessView:
    """Who may come in, and who asked."""
    return call.client.gate.view()


async def allow(call: Call, /) -> AccessView:
    """Lets a page in, with what it may do."""
    params = read(call.params, AllowParams)
    if fault := origin_fault(params.origin):
        raise BadRequest(fault[0], hint=fault[1])
    printers = None if params.printers is None else frozenset(params.printers)
    grant = Grant(ORDINARY if params.calls is None else frozenset(params.calls), printers, params.raw)
    await call.client.gate.change(lambda grants: grants.allow(params.origin, grant, "dashboard"))
    log.warning("the administrator lets %s in", params.origin)
    return access(call)


async def deny(call: Call, /) -> AccessView:
    """Keeps a page out, whatever else lets it in."""
    params = read(call.params, OriginParams)
    await call.client.gate.change(lambda grants: grants.deny(params.origin))
    log.warning("the administrator keeps %s out", params.origin[:100])
    return access(call)


def watch(call: Call, /) -> WatchView:
    """Who is connected, the last lines of the log, and who may come in; from here on the client hears of every change."""
    return call.client.watching.watch(call.client)


def unwatch(call: Call, /) -> None:
    """The client hears of that no more."""
    call.client.watching.unwatch(call.client)


def disconnect(call: Call, /) -> None:
    """Ends a client's connection; it may come again."""
    id = read(call.params, ClientParams).id
    call.client.watching.disconnect(id)
    log.warning("the administrator disconnected the client %d", id)


async def add(call: Call, /) -> None:
    """Writes a printer into the configuration file, which the running server takes over at once."""
    params = read(call.params, AddParams)
    call.about.printer = params.name[:100]
    if params.name in call.hub.names():  # of a flag, or of the demo
        raise ConfigError(f"there is a printer {params.name!r} already", hint="Choose another name.")
    await call.client.file.add(params.name, params.address, params.dialect)
    log.warning("the administrator added the printer %s at %s", params.name, params.address)


async def probe(call: Call, /) -> ProbeView:
    """Examines a printer without printing; of one that prints just now nothing is asked."""
    params = read(call.params, ProbeParams)
    address = str(parse_address(params.address))
    if name := call.hub.at_work(address):
        raise PrinterBusy(
            f"{name} prints just now", hint="Try again when it has finished: a question would become part of the job."
        )
    async with call.client.probes:
        (report,) = await asyncio.to_thread(
            lambda: examine([params.address], dialect=params.dialect, timeout=PROBE_SECONDS)
        )
    return ProbeView.of(report)


async def raw(call: Call, /) -> RawView:
    """Sends bytes to a printer between two jobs, and tells what comes back."""
    params = read(call.params, RawParams)
    name = call.printer(params)
    encoding = call.hub.encoding(name) or text.DEFAULT
    data = bytes(RawItem(params.data, flavor=params.flavor).to_bytes(encoding))
    if not data:
        raise BadRequest("params.data is empty")
    call.about.size, call.about.sha256 = len(data), hashlib.sha256(data).hexdigest()
    log.warning("the administrator sends %d bytes", len(data), extra={"printer": name})
    came = await call.hub.converse(name, data, params.seconds)
    return RawView(came.sent, came.received.hex(), came.decoded)
