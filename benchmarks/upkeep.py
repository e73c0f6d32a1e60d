"""What it costs to keep a server: its start, its memory, and the processor time of a server with nothing to do."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from client import PROTOCOL, WebSocket, printing
from pairs import Row, alternate, compare, until_returned
from processes import Started, floor_server, our_server
from serving import QUICK
from sink import job
from stage import HELD, SHARED, printers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS = 1000
CLIENTS_LIMIT = 75.0  # MB
JOBS = 100
JOBS_LIMIT = 10.0  # MB more
IDLE = 200
IDLE_LIMIT = 5.0  # percent of a core
GONE_LIMIT = 0.5  # percent: 0 but for what a server does anyway

TABS = 50
TAB_JOBS = 10  # a second
TABS_LIMIT = 5.0  # percent of a core

_SETTLE = 2.0  # seconds until a server has nothing left to do


def start_up(rounds: int, environment: dict[str, str]) -> Iterator[Row]:
    with printers("keep", "keep") as far:

        def ours() -> None:
            with our_server(far.config(""), environment):
                pass

        def floor() -> None:
            with floor_server(environment):
                pass

        # The warm-up writes the bytecode of what is imported from elsewhere.
        pairs = alternate(until_returned(floor), until_returned(ours), max(rounds // 40, 5), warm_up=2)
    note = "process start until its ready line, 2 printers, with bytecode; floor: the bare server"
    blocks = [[(floor / 1e3, ours / 1e3) for floor, ours in pairs]]
    yield compare("start-up", "ms", "difference", blocks, note=note)


def client_memory(_rounds: int, environment: dict[str, str]) -> Iterator[Row]:
    """Many clients that are connected and subscribed."""
    with printers("keep", "keep") as far:
        with floor_server(environment) as floor:
            least = _crowded(floor, "", id)
        with our_server(far.config(""), environment) as ours:
            most = _crowded(ours, PROTOCOL, lambda client: client.result("subscribe"))
    yield Row(
        f"memory with {CLIENTS} subscribed clients",
        "MB",
        "size",
        ours=most,
        floor=least,
        value=most,
        limit=CLIENTS_LIMIT,
        note="VmRSS, 2 printers; floor: as many connections to the bare server",
    )


def _crowded(server: Started, protocol: str, greet: Callable[[WebSocket], object]) -> float:
    clients = []
    try:
        for _ in range(CLIENTS):
            clients.append(WebSocket(server.port, "/", protocol))
            greet(clients[-1])
        return server.resident()
    finally:
        for client in clients:
            client.close()


def job_memory(_rounds: int, environment: dict[str, str]) -> Iterator[Row]:
    """After many large jobs."""
    note = f"VmRSS {_SETTLE:g} s after the last byte of {JOBS} jobs of 1 MB, less that after one job of 300 B"
    with printers("keep") as far:
        for name, at_once in (("one by one", 1), ("all at once", JOBS)):
            with our_server(far.config(""), environment) as server:
                client = WebSocket(server.port, "/", PROTOCOL)
                _deliver(client, far.taken, 300, 1, 1)
                before = server.resident()
                _deliver(client, far.taken, 1_000_000, JOBS, at_once)
                time.sleep(_SETTLE)
                after = server.resident()
                client.close()
            yield Row(
                f"memory after {JOBS} jobs of 1 MB, {name}",
                "MB",
                "difference",
                ours=after,
                floor=before,
                value=after - before,
                limit=JOBS_LIMIT,
                note=note,
            )


def _deliver(client: WebSocket, taken: Callable[[], float], size: int, jobs: int, at_once: int) -> None:
    frame = printing("p0", job(size), "attached")
    for _ in range(jobs // at_once):
        for _ in range(at_once):
            client.send(frame)
            client.answer()
        for _ in range(at_once):
            taken()


def idle_printers(rounds: int, _environment: dict[str, str]) -> Iterator[Row]:
    """Printers with nothing to do, and somebody who wants to know of every change."""
    seconds = 3.0 if rounds <= QUICK else 10.0
    with ExitStack() as stack:
        servers = []
        for extra in (SHARED, HELD):
            far = stack.enter_context(printers(*["tspl"] * IDLE))
            servers.append(stack.enter_context(our_server(far.config(f'{extra}\ndialect = "tspl"'))))
        for extra, percent in zip((SHARED, HELD), _percents(servers, seconds), strict=True):
            yield Row(
                f"{IDLE} idle printers, {extra}",
                "%",
                "size",
                ours=percent,
                value=percent,
                limit=IDLE_LIMIT,
                note=f"of a core, TSPL, one subscribed client, over {seconds:g} s that begin {_SETTLE:g} s after it came",
            )


def gone_printers(rounds: int, _environment: dict[str, str]) -> Iterator[Row]:
    """Printers that have ended their connection, or end every one at once."""
    seconds = 3.0 if rounds <= QUICK else 10.0
    cases = {
        "a printer that closed after a job": ("close", SHARED),
        "a printer that reset after a job": ("reset", SHARED),
        "a held printer that closes after a job": ("close", HELD),
        "a held printer that resets after a job": ("reset", HELD),
        "a held printer that hangs up at once": ("hang-up", f'{HELD}\ndialect = "tspl"'),
    }
    with ExitStack() as stack:
        servers = []
        for kind, extra in cases.values():
            far = stack.enter_context(printers(kind))
            servers.append(stack.enter_context(our_server(far.config(extra))))
            if kind != "hang-up":
                client = WebSocket(servers[-1].port, "/", PROTOCOL)
                _deliver(client, far.taken, 300, 1, 1)
                client.close()
        for name, percent in zip(cases, _percents(servers, seconds), strict=True):
            yield Row(
                name,
                "%",
                "size",
                ours=percent,
                value=percent,
                limit=GONE_LIMIT,
                note=f"of a core, one subscribed client, over {seconds:g} s that begin {_SETTLE:g} s later",
            )


def tabs(rounds: int, _environment: dict[str, str]) -> Iterator[Row]:
    """A dashboard in many tabs, each of which hears of every change, while jobs print."""
    seconds = 3.0 if rounds <= QUICK else 10.0
    with printers("tspl") as far, our_server(far.config(f'{HELD}\ndialect = "tspl"')) as server:
        clients = [WebSocket(server.port, "/", PROTOCOL) for _ in range(TABS)]
        for client in clients:
            client.result("subscribe")
        printer, frame = WebSocket(server.port, "/", PROTOCOL), printing("p0", job(300), "attached")
        time.sleep(_SETTLE)
        before, begin = server.cpu(), time.monotonic()
        for number in range(round(seconds * TAB_JOBS)):
            printer.send(frame)
            printer.answer()
            time.sleep(max(0.0, begin + (number + 1) / TAB_JOBS - time.monotonic()))
        percent = (server.cpu() - before) / (time.monotonic() - begin) * 100
        for client in (*clients, printer):
            client.close()
    yield Row(
        f"{TABS} dashboards, {TAB_JOBS} jobs/s",
        "%",
        "size",
        ours=percent,
        value=percent,
        limit=TABS_LIMIT,
        note=f"of a core, one held TSPL printer, {TABS} subscribed clients, over {seconds:g} s",
    )


def _percents(servers: list[Started], seconds: float) -> list[float]:
    """How much of a core each server needs while it has one subscribed client and nothing happens."""
    clients = [WebSocket(server.port, "/", PROTOCOL) for server in servers]
    for client in clients:
        client.result("subscribe")
    time.sleep(_SETTLE)
    before = [server.cpu() for server in servers]
    time.sleep(seconds)
    percents = [(server.cpu() - cpu) / seconds * 100 for server, cpu in zip(servers, before, strict=True)]
    for client in clients:
        client.close()
    return percents


GROUPS = (start_up, client_memory, job_memory, idle_printers, gone_printers, tabs)
