"""The calls of this machine's user, who says on the server's own page who may print."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rawprint_server.access import ORDINARY, Grant
from rawprint_server.config import origin_fault
from rawprint_server.messages import (
    AccessView,
    AllowedView,
    AllowParams,
    AskedView,
    BadRequest,
    CodeParams,
    CodeView,
    OriginParams,
    read,
)

if TYPE_CHECKING:
    from rawprint_server.methods import Call

log = logging.getLogger(__name__)


def code(call: Call, /) -> CodeView:
    """A code that makes the server's own page the administrator's, once, within a minute."""
    return CodeView(call.client.gate.new_code())


def enter(call: Call, /) -> None:
    """Makes the server's own page the administrator's."""
    call.client.become_admin(read(call.params, CodeParams).code)


def access(call: Call, /) -> AccessView:
    """Who may come in, and who asked."""
    gate = call.client.gate
    grants = gate.grants
    return AccessView(
        allowed=[
            AllowedView.of(each.origin, each.grant, each.how, each.at)
            for each in grants.with_configured(gate.configured)
        ],
        denied=list(grants.denied),
        asked=[AskedView(each.origin, each.at) for each in grants.asked],
        tokens=[token.name for token in grants.tokens],
        pairing=gate.shown,
    )


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
