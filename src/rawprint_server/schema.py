"""The JSON Schema of the native protocol, made from the very types that read and write it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec

from rawprint_server import messages
from rawprint_server.messages import (
    PROTOCOL,
    AccessView,
    AddParams,
    AllowParams,
    ChangeView,
    ClientParams,
    CodeParams,
    CodeView,
    DrawerParams,
    JobParams,
    JobsParams,
    JobText,
    JobView,
    OriginParams,
    PrinterParams,
    PrinterView,
    PrintParams,
    ProbeParams,
    ProbeView,
    RawParams,
    RawView,
    ResolveParams,
    Snapshot,
    Version,
    WatchView,
)

# call -> what it takes, what it gives; None: nothing.
_CALLS: dict[str, tuple[Any, Any]] = {
    "server.version": (None, Version),
    "printers.find": (None, list[str]),
    "printers.list": (None, list[PrinterView]),
    "printers.status": (PrinterParams, PrinterView),
    "printers.pause": (PrinterParams, PrinterView),
    "printers.resume": (PrinterParams, PrinterView),
    "printers.history": (PrinterParams, list[ChangeView]),
    "print": (PrintParams, JobView),
    "printers.test": (PrinterParams, JobView),
    "drawer.open": (DrawerParams, JobView),
    "jobs.get": (JobParams, JobView),
    "jobs.list": (JobsParams, list[JobView]),
    "jobs.cancel": (JobParams, JobView),
    "jobs.resolve": (ResolveParams, JobView),
    "jobs.text": (JobParams, JobText),
    "jobs.again": (JobParams, JobView),
    "subscribe": (None, Snapshot),
    "unsubscribe": (None, None),
    "admin.enter": (CodeParams, None),
    "admin.code": (None, CodeView),
    "admin.access": (None, AccessView),
    "admin.allow": (AllowParams, AccessView),
    "admin.deny": (OriginParams, AccessView),
    "admin.watch": (None, WatchView),
    "admin.unwatch": (None, None),
    "admin.disconnect": (ClientParams, None),
    "admin.add": (AddParams, None),
    "admin.probe": (ProbeParams, ProbeView),
    "admin.raw": (RawParams, RawView),
}
_EVENTS: dict[str, Any] = {
    "printer": messages.PrinterEvent,
    "job": messages.JobEvent,
    "server": messages.ServerEvent,
    "client": messages.ClientEvent,
    "log": messages.LogEvent,
    "access": messages.AccessEvent,
}


@cache
def document() -> bytes:
    """The schema: `calls` names for each call what its `params` and `result` are, `events` what is sent unasked."""
    types = [type for pair in _CALLS.values() for type in pair] + [*_EVENTS.values(), messages.Failure]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    *pairs, error = schemas
    pairs, events = pairs[: -len(_EVENTS)], pairs[-len(_EVENTS) :]
    params, results = pairs[0::2], pairs[1::2]
    return json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": PROTOCOL,
            "calls": {
                name: {"params": takes, "result": gives}
                for name, takes, gives in zip(_CALLS, params, results, strict=True)
            },
            "error": error,
            "events": dict(zip(_EVENTS, events, strict=True)),
            "$defs": components,
        },
        indent=1,
    ).encode()
