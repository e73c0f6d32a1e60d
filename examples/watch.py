"""Watch the printers of a server, print a ticket on one and follow it: python watch.py Receipt ws://127.0.0.1:8765.

The protocol rawprint.v1 by hand, with nothing but `websockets`. Without a printer's name it watches until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

TICKET = b"\x1b@" + b"One espresso        2.50\nOne croissant       1.80\n\n\n" + b"\x1dV\x00"  # init, text, cut
ENDS = {"completed", "delivered", "uncertain", "failed", "canceled", "expired"}


def attached(request: dict[str, Any], data: bytes) -> bytes:
    """A request and bytes in one binary frame: the length of the JSON, the JSON, the bytes. Base64 would cost more."""
    header = json.dumps(request).encode()
    return len(header).to_bytes(4, "big") + header + data


def describe_printer(printer: dict[str, Any]) -> str:
    reasons = [reason for reason, true in printer["reasons"].items() if true]
    error = printer["error"]
    why = f"{error['message']}. {error['hint']}" if error else ", ".join(reasons)
    return f"{printer['name']} is {printer['state']}" + (f": {why}" if why else "")


def describe_job(job: dict[str, Any]) -> str:
    return f"job {job['id']} on {job['printer']}: {job['state']}, {job['bytes_accepted']} of {job['bytes_total']} bytes"


async def watch(server: ClientConnection, name: str | None) -> int:
    """Print every change; with a printer's name, print the ticket there and return when it has ended."""
    await server.send(json.dumps({"call": "subscribe", "uid": "subscribe"}))
    # The id is ours, so that asking again after a lost connection would not print again.
    job_id = f"ticket-{uuid.uuid4()}"
    async for frame in server:
        message = json.loads(frame)
        match message:
            case {"error": error}:
                print(f"{error['code']}: {error['message']}. {error['hint']}")
                return 1
            case {"uid": "subscribe", "result": state}:  # everything there is; after it come only changes
                for printer in state["printers"]:
                    print(describe_printer(printer))
                if name is not None:
                    item = {"type": "raw", "format": "command", "flavor": "attached"}
                    params = {"printer": name, "data": [item], "options": {"id": job_id}}
                    await server.send(attached({"call": "print", "uid": "print", "params": params}, TICKET))
            case {"event": "printer", "data": printer}:
                print(describe_printer(printer))
            case {"event": "job", "data": job}:
                print(describe_job(job), flush=True)
                if job["id"] == job_id and job["state"] in ENDS:
                    return 0 if job["state"] in {"completed", "delivered"} else 1
    print("the server has ended")
    return 1


async def main(name: str | None = None, url: str = "ws://127.0.0.1:8765") -> int:
    """Connect and watch; compression would only cost time on one machine."""
    try:
        async with connect(url, subprotocols=["rawprint.v1"], compression=None, proxy=None) as server:
            return await watch(server, name)
    except (OSError, WebSocketException) as error:
        print(f"no print server at {url}: {error}")
        return 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(*sys.argv[1:])))
