"""What it costs a print that its page is guarded: grants, limits and audit log, and the command filter, against a program with none of them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from client import PROTOCOL, WebSocket, printing, result
from pairs import Row, alternate, compare
from processes import our_server
from sink import job
from stage import HELD, printers

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1.05
_ORIGIN = "https://pos.example.com"
_OFF = '[audit]\nlevel = "none"\n'
_ON = f'[access]\norigins = ["{_ORIGIN}"]\n[limits]\njobs_per_minute = 1000000\nbytes_per_minute = 1099511627776\n'
_SIZES = {"300 B": 300, "20 kB": 20_000, "1 MB": 1_000_000}
_FILTERS = {"access control": "refuse = []\n", "and the command filter": ""}


def prints(rounds: int) -> Iterator[Row]:
    """From the call to the last byte at the printer."""
    for what, keys in _FILTERS.items():
        for name, size in _SIZES.items():
            data, count = job(size), max(rounds // (8 if size < 1_000_000 else 40), 50)
            with ExitStack() as stack:
                ways = {}
                for config, origin in ((_OFF, ""), (_ON, _ORIGIN)):
                    there = stack.enter_context(printers("keep"))
                    ours = stack.enter_context(our_server(config + there.config(keys + HELD)))
                    server = WebSocket(ours.port, "/", PROTOCOL, origin)
                    frame = printing("p0", data, "attached")
                    ways[origin] = there.through(
                        server, frame, lambda server=server: result(json.loads(server.answer()))
                    )
                blocks = [alternate(ways[""], ways[_ORIGIN], count, rest=0.001) for _ in range(4)]
            yield compare(
                f"{what}, {name}",
                "us",
                "ratio",
                blocks,
                limit=None if keys == "" else LIMIT,
                note="access control: a page (grants, limits, audit log; no language known) over a program on a server without",
            )


GROUPS = (prints,)
