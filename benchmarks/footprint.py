"""What it costs to have rawprint at all: the time of its import, and the memory of a server with nothing to do."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pairs import Row, alternate, compare, peer, until_returned
from peer import ANSWERS
from processes import Started, floor_server, our_server
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

IMPORT_LIMIT = 30.0  # ms
SERVER_LIMIT = 45.0  # MB of 1,000,000 bytes

_FIND = json.dumps({"call": "printers.find", "uid": "1", "params": {}})
_CONFIG = """\
[printers.{0}]
address = "{1}"
dialect = "{0}"
"""


@contextmanager
def compiled() -> Iterator[dict[str, str]]:
    """An environment in which every module has its bytecode, as installed ones do."""
    with tempfile.TemporaryDirectory(prefix="rawprint-bench-") as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        packages = [
            folder
            for name in ("rawprint", "rawprint_server")
            for folder in importlib.util.find_spec(name).submodule_search_locations
        ]
        compileall = [sys.executable, "-m", "compileall", "-q", *packages]
        subprocess.run(compileall, env=environment, check=True)
        yield environment


def import_time(rounds: int, environment: dict[str, str]) -> list[Row]:
    """A program that imports rawprint, less one that does nothing."""

    def run(program: str) -> None:
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)

    # The warm-up writes the bytecode of what is imported from elsewhere.
    pairs = alternate(
        until_returned(lambda: run("pass")),
        until_returned(lambda: run("import rawprint")),
        rounds,
        warm_up=2,
    )
    return [
        compare(
            "import rawprint",
            "ms",
            "difference",
            [[(floor / 1e3, ours / 1e3) for floor, ours in pairs]],
            limit=IMPORT_LIMIT,
            note="whole processes, with bytecode; floor: python -c pass",
        )
    ]


def server_memory(environment: dict[str, str]) -> list[Row]:
    """The resident memory of a server of two printers that has answered one request of either kind."""
    row = Row(
        "server, idle, 2 printers",
        "MB",
        "size",
        limit=SERVER_LIMIT,
        note="VmRSS after one /health and one printers.find; floor: the same on a bare websockets server",
    )
    try:
        row.floor = _memory(lambda: floor_server(environment))
        row.ours = row.value = _our_memory(environment)
    except (OSError, RuntimeError) as error:
        row.error = f"{type(error).__name__}: {error}"
    return [row]


def _our_memory(environment: dict[str, str]) -> float:
    with peer("tspl") as label, peer("escpos") as receipt:
        config = "".join(_CONFIG.format(*p) for p in zip(ANSWERS, (label.address, receipt.address), strict=True))
        return _memory(lambda: our_server(config, environment))


def _memory(server: Callable[[], AbstractContextManager[Started]]) -> float:
    """Starts a server twice, as the first start writes bytecode; megabytes of the second, after a request of either kind."""
    with server():
        pass
    with server() as running:
        url = running.ready["url"]
        with urllib.request.urlopen(url.replace("ws:", "http:") + "/health", timeout=5) as response:
            response.read()
        with connect(url, compression=None) as client:
            client.send(_FIND)
            client.recv(timeout=5)
            return running.resident()
