"""Runs jobs from many clients through a server that is killed again and again, to printers behind bad networks, and counts what became of them.

python -m tests.faults.harness --seed 7
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from rawprint.virtual import Listener, device

from .proxy import Proxy

PATIENCE = 120.0
FULL = 0.2  # of the kills come after the disk was full
PACE = 1.8  # seconds between two tickets of one client, at most
PRINTERS = [("tspl", ""), ("escpos", ""), ("star", ""), ("zpl", ""), ("escpos", "drops-idle"), ("tspl", "short-status")]
PROMISED = {
    "escpos": ["process-id"],
    "star": ["print-end-counter"],
}  # so that they say themselves when they have printed
GOOD = {"completed", "delivered"}
NOTHING = {"failed", "expired"}
ENDS = GOOD | NOTHING | {"uncertain", "canceled"}


@dataclasses.dataclass
class Ticket:
    id: str
    printer: str
    data: bytes
    acknowledged: bool = False
    canceled_pending: bool = False
    state: str = ""
    written: int = 0
    seen: list = dataclasses.field(default_factory=list)


class Server:
    """The real server, as a process that can be killed at any point."""

    def __init__(self, folder, printers, port):
        self._command = [sys.executable, "-m", "rawprint_server", "--config", str(folder / "server.toml")]
        tables = "".join(
            f'[printers.P{n}]\naddress = "{address}"\ndialect = "{dialect}"\nshare = {str(n % 2 == 0).lower()}\n'
            f"promises = {json.dumps(PROMISED.get(dialect, []))}\n"
            f'after_uncertain = "{"hold" if n % 3 == 0 else "go-on"}"\n'
            for n, (address, dialect) in enumerate(printers)
        )
        (folder / "server.toml").write_text(
            f'[server]\nport = {port}\nstate_dir = "{folder / "state"}"\n[log]\nlevel = "error"\n{tables}'
        )
        self.url = f"ws://127.0.0.1:{port}"
        self.kills = 0
        self._log = (folder / "server.log").open("ab")
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._log)
        line = self._process.stdout.readline()
        assert line, Path(self._log.name).read_text()[-2000:]

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self.kills += 1

    def fill_disk(self, full):
        """No file of the server's can grow any more, or all can again."""
        least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (1 if full else least, most))

    def stop(self):
        self._process.terminate()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()


class Client:
    """Repeats each call, over a new connection where it must, until it has the answer."""

    def __init__(self, url):
        self._url, self._ws = url, None
        self._open = contextlib.ExitStack()

    def call(self, name, **params):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self._ws is None:
                    self._ws = self._open.enter_context(
                        connect(self._url, subprotocols=["rawprint.v1"], open_timeout=5, compression=None)
                    )
                self._ws.send(json.dumps({"call": name, "uid": "1", "params": params}))
                return json.loads(self._ws.recv(timeout=10))
            except (OSError, WebSocketException, TimeoutError):
                self.close()
                time.sleep(0.02)  # as a page does before it tries again
        raise AssertionError(f"no answer to {name} {str(params)[:100]}")

    def close(self):
        self._ws = None
        with contextlib.suppress(OSError, WebSocketException):
            self._open.close()


def spoil(chance, listener, proxy, stop):
    """One printer's bad day."""
    while not stop.wait(chance.random() * 4):
        match chance.choice(
            ["reset", "close", "media", "cover", "stall", "refuse", "delay", "late", "cut", "calm", "calm"]
        ):
            case "reset":
                proxy.drop(rst=True)
            case "close":
                proxy.drop(rst=False)
            case "media":
                listener.set("media-empty", True)
            case "cover":
                listener.set("cover-open", True)
            case "stall":
                proxy.stall(True)
            case "refuse":
                proxy.refuse(True)
            case "delay":
                proxy.delay(chance.choice([0.005, 0.05, 0.3]))
            case "late":
                proxy.answer_late(chance.choice([0.1, 0.4, 1.0, 2.5]))
            case "cut":
                proxy.cut_after(chance.randrange(2000))
        stop.wait(chance.random() * 0.6)
        heal(listener, proxy)
    heal(listener, proxy)


def heal(listener, proxy):
    proxy.heal()
    for reason in ("media-empty", "cover-open"):
        listener.set(reason, False)


def send(client, tickets, chance):
    """What one client prints; some of it twice under one id, and some is canceled again."""
    for ticket in tickets:
        time.sleep(chance.random() * PACE)  # a till has a person behind it
        params = {
            "printer": ticket.printer,
            "data": ticket.data.decode(),
            "options": {"id": ticket.id, "priority": chance.choice([50, 50, 50, 80])},
        }
        for _ in range(chance.choice([1, 1, 2])):
            while (answer := client.call("print", **params)).get("error", {}).get("code") == "journal":
                time.sleep(0.1)  # the disk is full: it was not taken, and is sent again
            assert "result" in answer, answer
        ticket.acknowledged = True
        if chance.random() < 0.05:
            answer = client.call("jobs.cancel", id=ticket.id)
            job = answer.get("result", {})
            ticket.canceled_pending = job.get("state") == "canceled" and job["bytes_accepted"] == 0
    client.close()


def decide(client, again, stop):
    """The person who looks at the printers: what is uncertain is settled, so that others go on."""
    while not stop.wait(0.2):
        for job in client.call("jobs.list", state="uncertain").get("result", []):
            if job["id"] not in again:
                answer = client.call("jobs.resolve", id=job["id"], action="discard")
                if answer.get("error", {}).get("code") != "journal":  # a full disk: the person tries again
                    again[job["id"]] = answer
    client.close()


def run(*, seed, jobs=2000, clients=20, printers=8, kills=50, say=print):
    """One run.

    Returns:
        What went wrong, in words; empty: nothing.
    """
    chance = random.Random(seed)
    wrong: list[str] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        listeners, proxies, served = [], [], []
        for n in range(printers):
            dialect, clone = PRINTERS[n % len(PRINTERS)]
            options = {"idle_reset": 2.0} if clone == "drops-idle" else {}
            listeners.append(stack.enter_context(Listener(device(dialect, clone=clone, **options))))
            proxies.append(Proxy(("127.0.0.1", listeners[-1].port)))
            stack.callback(proxies[-1].close)
            served.append((proxies[-1].address, dialect))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Server(folder, served, port)
        tickets = [
            Ticket(
                f"job-{n}",
                f"P{chance.randrange(printers)}",
                f"<{n}:{'x' * chance.choice([10, 300, 300, 2000, 20_000])}:{n}>\r\n".encode(),
            )
            for n in range(jobs)
        ]
        stop = threading.Event()
        errors: list[BaseException] = []

        def guarded(function, *arguments):
            def call():
                try:
                    function(*arguments)
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=call, daemon=True)
            thread.start()
            return thread

        settled: dict[str, object] = {}
        spoilers = [
            guarded(spoil, random.Random(f"{seed} {n}"), listener, proxy, stop)
            for n, (listener, proxy) in enumerate(zip(listeners, proxies, strict=True))
        ]
        person = guarded(decide, Client(server.url), settled, stop)
        senders = [
            guarded(send, Client(server.url), tickets[n::clients], random.Random(f"{seed} client {n}"))
            for n in range(clients)
        ]
        full = 0
        while server.kills < kills:
            stop.wait(0.2 + chance.random() * 2.6)
            if chance.random() < FULL:
                server.fill_disk(True)
                full += 1
                stop.wait(0.3 + chance.random())
                if chance.random() < 0.5:  # else it is killed as it stands
                    server.fill_disk(False)
                    stop.wait(chance.random())
            server.kill()
            server.start()
        for thread in senders:
            thread.join(PATIENCE)
        asking = Client(server.url)
        deadline = time.monotonic() + PATIENCE
        left = [ticket for ticket in tickets if ticket.acknowledged]
        while left and time.monotonic() < deadline and not errors:
            if time.monotonic() > deadline - PATIENCE / 2:
                stop.set()  # no more faults: what is left must come to its end
            for ticket in left:
                job = asking.call("jobs.get", id=ticket.id).get("result")
                if job is None:
                    wrong.append(f"{ticket.id} is not known any more")
                    ticket.state = "unknown"
                elif job["state"] in ENDS:
                    ticket.state, ticket.written = job["state"], job["bytes_accepted"]
            left = [ticket for ticket in left if not ticket.state]
            if left and len(left) < jobs / 20:
                stop.set()
        for thread in (*senders, *spoilers):
            stop.set()
            thread.join(PATIENCE)
        person.join(PATIENCE)
        wrong += [f"{ticket.id} has not ended: {asking.call('jobs.get', id=ticket.id)}" for ticket in left]
        asking.close()
        server.stop()
        wrong += [repr(error) for error in errors]
        wrong += [f"{ticket.id} was not acknowledged" for ticket in tickets if not ticket.acknowledged]
        received = {f"P{n}": listener.received() for n, listener in enumerate(listeners)}
    for ticket in tickets:
        wrong += judge(ticket, received)
    tally = collections.Counter(ticket.state for ticket in tickets)
    tally["uncertain, nothing arrived"] = sum(
        ticket.state == "uncertain"
        and not any(ticket.data[: ticket.data.index(b":") + 1] in got for got in received.values())
        for ticket in tickets
    )
    say(
        f"seed {seed}: {jobs} jobs, {clients} clients, {printers} printers, {server.kills} kills, {full} times a full disk: {dict(sorted(tally.items()))}"
    )
    for each in wrong[:20]:
        say(f"WRONG: {each}")
    return wrong


def judge(ticket, received):
    """What is wrong with one job, as the sinks have it."""
    begun = sum(bytes_.count(ticket.data[: ticket.data.index(b":") + 1]) for bytes_ in received.values())
    whole = received[ticket.printer].count(ticket.data)
    if ticket.state in GOOD and whole != 1:
        yield f"{ticket.id} {ticket.state} is at the printer {whole} times"
    elif ticket.state in GOOD:
        stream = received[ticket.printer]
        before = stream[: stream.index(ticket.data)][-1:]
        if before in (b"x", b":") or before.isdigit():
            yield f"{ticket.id} {ticket.state} stands right behind a half one"
    if begun > 1:
        yield f"{ticket.id} {ticket.state} was begun {begun} times"
    if begun and (ticket.state in NOTHING or ticket.canceled_pending):
        yield f"{ticket.id} {ticket.state} was begun"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--printers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    began = time.monotonic()
    wrong = run(seed=seed, jobs=options.jobs, clients=options.clients, printers=options.printers, kills=options.kills)
    print(f"{len(wrong)} things wrong; {time.monotonic() - began:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
