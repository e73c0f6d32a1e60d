"""rawprint.js under Node: one print for each ticket and an end for each promise, whatever the connection does."""

from __future__ import annotations

import functools
import json
import random
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from socket import SHUT_RDWR

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.server import serve

from rawprint_server.config import Config, PrinterConfig, ServerConfig

from .conftest import RunningServer
from .test_kept import cut_off

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "src/rawprint_server/static/rawprint.js"
JS = Path(__file__).parent / "js"
PACKAGES = ROOT / ".venv/js/node_modules"
PATIENCE = 10.0  # seconds until something that must come is given up

needs_packages = pytest.mark.skipif(
    not PACKAGES.exists(), reason="there are no npm packages in .venv/js (make test installs them)"
)


@functools.cache
def node_command() -> tuple[str, ...] | str:
    """How to run Node with a global WebSocket, or why that cannot be done."""
    node = shutil.which("node")
    if node is None:
        return "there is no node (apt-get install nodejs)"
    for flags in ((), ("--experimental-websocket",)):
        asked = subprocess.run([node, *flags, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == "function":
            return (node, "--no-warnings", *flags)
    return "this node has no WebSocket (20.10 or newer has one)"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """A folder with the client, what runs it, and the npm packages where there are any."""
    folder = tmp_path_factory.mktemp("rawprint_js")
    shutil.copy(CLIENT, folder)
    shutil.copy(JS / "client.mjs", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    if PACKAGES.exists():
        (folder / "node_modules").symlink_to(PACKAGES)
    return folder


class Fake:
    """A server of rawprint.v1 that prints into a list, and misbehaves where a test says so.

    `script[call, n]` handles the n-th request of that call instead of `Link.answer`; `do[name]` is what the page may
    have done by `server(name)`.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.memory = "M1"
        self.max_message_bytes = 1 << 20
        self.printers = {name: printer(name) for name in ("Label", "Receipt")}
        self.jobs: dict[str, dict] = {}
        self.printed: list[str] = []  # ids, in the order in which they came out
        self.requests: list[dict] = []
        self.counts: dict[str, int] = {}
        self.script: dict = {}
        self.do: dict = {}
        self.up = True
        self.links: list[Link] = []
        self.closed = threading.Event()
        self.close_code: int | None = None
        self.on_open = None
        self.end_state: str | None = "completed"  # of a job, at once; None: it stays pending

    def __call__(self, connection) -> None:
        link = Link(self, connection)
        with suppress(ConnectionClosed, OSError):
            if self.on_open:
                self.on_open(link)
            for frame in connection:
                request = decode(frame)
                with self.lock:
                    if link.over:
                        break
                    call = request["call"]
                    self.requests.append(request)
                    self.counts[call] = self.counts.get(call, 0) + 1
                    self.script.get((call, self.counts[call]), Link.answer)(link, request)
        with self.lock:
            self.links = [other for other in self.links if other is not link]
        self.close_code = connection.close_code
        self.closed.set()

    def http(self, connection, request):
        if request.path.startswith("/do/"):
            with self.lock:
                return connection.respond(HTTPStatus.OK, json.dumps(self.do[request.path[4:]]()) + "\n")
        return None if self.up else connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down\n")

    def server(self) -> dict:
        return {
            "version": "0.1.0",
            "memory": self.memory,
            "started": "2026-01-02T03:04:05Z",
            "printers": list(self.printers),
            "max_message_bytes": self.max_message_bytes,
            "stopping": False,
        }

    def asked(self, call: str) -> list[dict]:
        return [request for request in self.requests if request["call"] == call]

    def tell(self, event: str, data: dict) -> None:
        for link in list(self.links):
            link.send({"event": event, "data": data})

    def change_printer(self, name: str, **changes) -> None:
        self.printers[name] = self.printers[name] | changes
        self.tell("printer", self.printers[name])

    def change_job(self, id: str, **changes) -> None:
        self.jobs[id] = self.jobs[id] | changes
        self.tell("job", self.jobs[id])

    def cut(self) -> None:
        for link in list(self.links):
            link.cut()

    def restart(self) -> None:
        """As after a crash: everything is forgotten."""
        self.cut()
        self.memory += "+"
        self.jobs.clear()

    def carry_out(self, request: dict):
        """The result of a request, or its error."""
        params = request.get("params") or {}
        match request["call"]:
            case "server.version":
                return {"name": "rawprint", "version": "0.1.0", "protocol": "rawprint.v1"}
            case "subscribe":
                return {
                    "server": self.server(),
                    "printers": list(self.printers.values()),
                    "jobs": list(self.jobs.values())[-100:],
                }
            case "printers.status":
                return self.printers[params["printer"]]
            case "print" | "drawer.open":
                return self.print(request["call"], params, request.get("attached", b""))
            case "jobs.get":
                unknown = {"code": "unknown-job", "message": f"There is no job {params['id']}.", "hint": "Look."}
                return self.jobs.get(params["id"], {"error": unknown})
            case "jobs.list":
                return list(self.jobs.values())
            case "jobs.cancel":
                job = self.jobs[params["id"]]
                if job["ended"]:
                    return {"error": {"code": "too-late", "message": "It has ended.", "hint": ""}}
                self.change_job(params["id"], state="canceled", ended="2026-01-02T03:04:06Z")
                return self.jobs[params["id"]]
        return {"error": {"code": "unknown-call", "message": "No such call.", "hint": ""}}

    def print(self, call: str, params: dict, attached: bytes):
        if params["printer"] not in self.printers:
            return {"error": {"code": "unknown-printer", "message": "No such printer.", "hint": "Look."}}
        id = params["options"]["id"]
        if id not in self.jobs:
            self.printed.append(id)
            text = json.dumps(params.get("data", ""))
            self.jobs[id] = job(id, params["printer"], len(text) + len(attached))
            if call == "drawer.open":
                self.jobs[id]["name"] = "drawer"
            if self.end_state:
                total = self.jobs[id]["bytes_total"]
                self.jobs[id] |= {"state": self.end_state, "bytes_accepted": total, "ended": "2026-01-02T03:04:06Z"}
            self.tell("job", self.jobs[id])
        return self.jobs[id]


class Link:
    """One connection of the fake server."""

    def __init__(self, fake: Fake, connection) -> None:
        self.fake = fake
        self.connection = connection
        self.over = False  # whether it hears nothing any more
        self.owes = False  # whether it carried something out without a reply

    def send(self, frame) -> None:
        with suppress(ConnectionClosed, OSError):
            self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def answer(self, request: dict) -> None:
        result = self.fake.carry_out(request)
        if request["call"] == "subscribe":
            self.fake.links.append(self)
        self.reply(request, result)

    def reply(self, request: dict, result) -> None:
        failed = isinstance(result, dict) and set(result) == {"error"}
        self.send({"uid": request["uid"], **(result if failed else {"result": result})})

    def cut(self) -> None:
        """Ends it in the middle, with no word of goodbye."""
        self.end()
        with suppress(OSError):
            self.connection.socket.shutdown(SHUT_RDWR)

    def end(self) -> None:
        self.over = True
        self.fake.links = [other for other in self.fake.links if other is not self]

    # What a script may do with a request.

    def swallow(self, request: dict) -> None:
        """No reply, and nothing done."""

    def cut_before(self, request: dict) -> None:
        """The request never arrived, as far as the server is concerned."""
        self.cut()

    def cut_after(self, request: dict) -> None:
        """Carried out, and the reply lost."""
        self.fake.links.remove(self)
        self.fake.carry_out(request)
        self.cut()

    def stop(self, request: dict) -> None:
        """The server stops and another one begins; with the promise that the request was not carried out."""
        assert not self.owes
        self.end()
        self.fake.memory += "'"
        self.fake.jobs.clear()
        self.connection.close(1012, "restarting")

    def silent_after(self, request: dict) -> None:
        """Carried out, and no reply."""
        self.owes = True
        self.fake.carry_out(request)


def printer(name: str, **changes) -> dict:
    return {
        "name": name,
        "address": "tcp://127.0.0.1:9100",
        "dialect": "tspl",
        "state": "idle",
        "reasons": {"media-empty": False},
        "at": "2026-01-02T03:04:05.678Z",
        "since": None,
        "source": "printer",
        "busy": False,
        "pending": 0,
        "paused": False,
        "share": True,
        "drawer": False,
        "encoding": None,
        "media": {"width_mm": 80, "height_mm": 40, "gap_mm": None, "dpi": 203, "cut": None},
        "error": None,
    } | changes


def job(id: str, printer: str, total: int, **changes) -> dict:
    return {
        "id": id,
        "printer": printer,
        "name": None,
        "state": "pending",
        "bytes_total": total,
        "bytes_accepted": 0,
        "evidence": [],
        "reasons": {},
        "error": None,
        "created": "2026-01-02T03:04:05Z",
        "ended": None,
    } | changes


def decode(frame) -> dict:
    if isinstance(frame, str):
        return json.loads(frame)
    length = int.from_bytes(frame[:4], "big")
    return json.loads(frame[4 : 4 + length]) | {"attached": frame[4 + length :]}


@contextmanager
def serving(handler, http=None):
    """The URL of a server that gives each connection to `handler`."""
    options = {"subprotocols": ["rawprint.v1"], "compression": None, "max_size": None}
    with serve(handler, "127.0.0.1", 0, process_request=http, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture(params=["global", pytest.param("ws", marks=needs_packages)])
def run(request, fake, workshop):
    """run(body, speed=1): what the body of an async function came to, in a page connected to the fake server."""
    with serving(fake, fake.http) as url:
        yield functools.partial(run_js, workshop, url, request.param)


def run_js(workshop, url, socket, body, *, speed=1):
    command = node_command()
    if isinstance(command, str):
        pytest.skip(command)
    done = subprocess.run(
        [*command, "client.mjs", url, socket, str(speed)],
        cwd=workshop,
        input=body,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome.pop("unhandled") == []
    return outcome.get("value", outcome)


# ----------------------------------------------------------------------------------------------------------------------
# What it is for


def test_the_printers_are_there_when_it_is_connected(run) -> None:
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        return [printers.names, printers.size, [...printers].map((one) => one.name), printers.connected,
                printers.server.memory, label.state, label.reasons, label.at.getTime(), label.since, label.media.width_mm,
                label.dialect, label.error, label.busy, label.pending, JSON.parse(JSON.stringify(label))];
    """)
    names = ["Label", "Receipt"]
    assert seen[:5] == [names, 2, names, True, "M1"]
    assert seen[5:] == [
        "idle",
        {"media-empty": False},
        1767323045678,
        None,
        80,
        "tspl",
        None,
        False,
        0,
        printer("Label"),
    ]


def test_a_printer_that_is_not_there_is_an_error_that_names_those_that_are(run) -> None:
    seen = run("const printers = await connect(); printers.get('__proto__');")
    assert seen["error"] == {
        "code": "unknown-printer",
        "message": 'There is no printer "__proto__".',
        "hint": "The server has: Label, Receipt.",
        "is": "RawprintError",
    }


def test_a_print_gives_a_job_that_tells_its_state(run, fake) -> None:
    fake.end_state = None

    def print_it() -> None:
        [id] = fake.jobs
        fake.change_job(id, state="processing", bytes_accepted=2)
        fake.change_job(id, bytes_accepted=6)
        fake.change_job(id, state="completed", evidence=["printer"], ended="2026-01-02T03:04:06Z")

    fake.do["print it"] = fake.do["print%20it"] = print_it
    seen = run("""
        const printers = await connect();
        const seen = [];
        printers.get("Label").on("job", (job) => seen.push("of the printer"));
        const job = await printers.get("Label").print("CLS\\n");
        seen.length = 0;
        job.on("state", (job) => seen.push(job.state));
        const stop = job.on("progress", (job) => seen.push(job.progress));
        job.on("progress", () => stop());
        const before = [job.state, job.ended, job.progress];
        const finished = job.finished;
        await server("print it");
        return [before, (await finished) === job, job.ended, job.evidence, job.endedAt.getUTCFullYear(), seen];
    """)
    before, same, ended, evidence, year, events = seen
    assert before == ["pending", False, 0]
    assert (same, ended, evidence, year) == (True, True, ["printer"], 2026)
    one = "of the printer"
    assert events == [2 / 7, "processing", one, one, "completed", one]


def test_a_print_that_waits(run, fake) -> None:
    fake.end_state = None

    def go(**changes) -> None:
        [id] = fake.jobs
        fake.change_job(id, **changes)

    total = len(json.dumps("x"))
    fake.do["part"] = lambda: go(state="processing", bytes_accepted=1)
    fake.do["all"] = lambda: go(state="processing", bytes_accepted=total)
    fake.do["fail"] = lambda: go(state="uncertain", ended="2026-01-02T03:04:06Z")
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const seen = [];
        const all = ["accepted", "delivered", "ended"].map(async (wait) => {
          const job = await label.print("x", { id: "A", wait });
          seen.push(wait + " " + job.state);
        });
        await all[0];
        await server("part");
        await sleep(20);
        await server("all");
        await all[1];
        await server("fail");
        await all[2];
        return seen;
    """)
    assert seen == ["accepted pending", "delivered processing", "ended uncertain"]
    assert all("wait" not in request["params"]["options"] for request in fake.asked("print"))


def test_status_asks_now_and_tells_what_changed(run, fake) -> None:
    def refill(link, request) -> None:
        fake.printers["Label"] = printer("Label", reasons={"media-empty": True}, state="stopped")
        link.answer(request)

    fake.script["printers.status", 1] = refill
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const seen = [];
        label.on("status", (one) => seen.push(one.state));
        printers.on("printer", (one) => seen.push(one.name));
        const same = (await label.status()) === label;
        await label.status();
        return [same, label.reasons, seen];
    """)
    assert seen == [True, {"media-empty": True}, ["stopped", "Label"]]


def test_a_drawer_resolves_when_it_was_kicked_and_rejects_when_not(run, fake) -> None:
    def expired(link, request) -> None:
        fake.end_state = "expired"
        link.answer(request)

    fake.script["drawer.open", 2] = expired
    seen = run("""
        const receipt = (await connect()).get("Receipt");
        const job = await receipt.openDrawer({ pin: 5 });
        return [job.name, job.state, await receipt.openDrawer().catch(failure)];
    """)
    assert seen[:2] == ["drawer", "completed"]
    assert seen[2]["code"] == "expired"
    assert seen[2]["is"] == "RawprintError"


def test_cancel(run, fake) -> None:
    fake.end_state = None
    seen = run("""
        const printers = await connect();
        const job = await printers.get("Label").print("x");
        const same = (await job.cancel()) === job;
        const again = await printers.get("Label").print("y", { id: "B" });
        return [same, job.state, job.ended, (await job.finished) === job, (await printers.job("B")) === again,
                await printers.job("C").catch(failure)];
    """)
    assert seen[:5] == [True, "canceled", True, True, True]
    assert seen[5]["code"] == "unknown-job"


def test_printers_come_and_go_with_the_configuration(run, fake) -> None:
    def rename() -> None:
        fake.printers = {"Receipt": fake.printers["Receipt"], "Kitchen": printer("Kitchen")}
        fake.tell("server", fake.server())
        fake.tell("printer", fake.printers["Kitchen"])

    fake.do["rename"] = rename
    seen = run("""
        const printers = await connect();
        const heard = [];
        printers.on("server", (server) => heard.push(server.printers));
        await server("rename");
        await until(() => printers.names.includes("Kitchen"));
        return [heard, printers.names, await code((async () => printers.get("Label"))())];
    """)
    assert seen == [[["Receipt", "Kitchen"]], ["Receipt", "Kitchen"], "unknown-printer"]


# ----------------------------------------------------------------------------------------------------------------------
# What goes over the wire


def test_the_messages_are_those_of_the_protocol(run, fake) -> None:
    run("""
        const printers = await connect();
        const label = printers.get("Label");
        await label.print("text", { id: "A", copies: 2, encoding: "cp858", jobName: "a", expires: 60, wait: "ended" });
        await label.print(["a", new Uint8Array([0, 255]), { type: "raw", format: "command", flavor: "hex", data: "1b40" }],
                          { id: "B" });
        await label.openDrawer({ pin: 5, id: "C" });
        await label.status();
        await (await printers.job("A")).cancel().catch(() => {});
        await printers.call("jobs.list", { limit: 10 });
        await printers.call("printers.find").catch(() => {});
    """)
    raw = {"type": "raw", "format": "command"}
    options = {"id": "A", "copies": 2, "encoding": "cp858", "jobName": "a", "expires": 60}
    mixed = ["a", {**raw, "flavor": "attached"}, {**raw, "flavor": "hex", "data": "1b40"}]
    assert fake.requests == [
        {"call": "subscribe", "uid": "subscribe"},
        {"call": "print", "uid": 1, "params": {"printer": "Label", "data": "text", "options": options}},
        {
            "call": "print",
            "uid": 2,
            "params": {"printer": "Label", "data": mixed, "options": {"id": "B"}},
            "attached": b"\x00\xff",
        },
        {"call": "drawer.open", "uid": 3, "params": {"printer": "Label", "pin": 5, "options": {"id": "C"}}},
        {"call": "printers.status", "uid": 4, "params": {"printer": "Label"}},
        {"call": "jobs.get", "uid": 5, "params": {"id": "A"}},
        {"call": "jobs.cancel", "uid": 6, "params": {"id": "A"}},
        {"call": "jobs.list", "uid": 7, "params": {"limit": 10}},
        {"call": "printers.find", "uid": 8},
    ]


def test_what_is_printed_is_what_it_was_when_it_was_asked(run, fake) -> None:
    fake.do["lose"] = fake.cut
    run("""
        const printers = await connect();
        await server("lose");
        await until(() => !printers.connected);
        const bytes = new Uint8Array([1, 2, 3]);
        const list = ["a"];
        const prints = [bytes, bytes.buffer, list].map((data) => printers.get("Label").print(data));
        bytes.fill(0);
        list[0] = "b";
        await Promise.all(prints);
    """)
    prints = fake.asked("print")
    assert [one.get("attached") for one in prints] == [b"\1\2\3", b"\1\2\3", None]
    assert prints[2]["params"]["data"] == "a"


def test_every_print_has_an_id_of_its_own(run, fake) -> None:
    run("""
        const printers = await connect();
        await Promise.all(["a", "a"].map((text) => printers.get("Label").print(text)));
        await printers.call("print", { printer: "Label", data: "a" });
    """)
    ids = [request["params"]["options"]["id"] for request in fake.asked("print")]
    assert len(set(ids)) == 3
    assert {len(id) for id in ids} == {32}


def test_bytes_of_every_kind_go_beside_the_message(run, fake) -> None:
    run("""
        const label = (await connect()).get("Label");
        const all = Uint8Array.from({ length: 70000 }, (_, index) => index % 256);
        const first = label.print(all);
        all.fill(0); // the page's own affair
        await first;
        await label.print(all.buffer.slice(0, 3));
        await label.print(new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2));
        await label.print(new Blob(["hé"]));
        await label.print([new Uint8Array([1]), "x", new Uint8Array([2, 3]), new Blob([])]);
    """)
    prints = fake.asked("print")
    big = bytes(index % 256 for index in range(70000))
    assert [one["attached"] for one in prints] == [big, b"\0\0\0", b"\2\3", "hé".encode(), b"\2\3"]
    raw = {"type": "raw", "format": "command"}
    attached = {**raw, "flavor": "attached"}
    assert [one["params"]["data"] for one in prints[:4]] == [[attached]] * 4
    base64 = {**raw, "flavor": "base64"}
    assert prints[4]["params"]["data"] == [{**base64, "data": "AQ=="}, "x", attached, {**base64, "data": ""}]


@pytest.mark.parametrize("data", ["7", "undefined", "null", "['a', 7]"])
def test_what_cannot_be_printed_is_said_at_once(run, fake, data) -> None:
    assert run(f"return (await connect()).get('Label').print({data});")["error"]["code"] == "bad-request"
    assert not fake.asked("print")


def test_an_end_that_print_does_not_know_is_said_at_once(run, fake) -> None:
    seen = run("return (await connect()).get('Label').print('x', { wait: 'done' });")
    assert seen["error"]["code"] == "bad-request"
    assert not fake.asked("print")


def test_too_much_is_said_at_once(run, fake) -> None:
    fake.max_message_bytes = 1000
    seen = run("""
        const label = (await connect()).get("Label");
        const codes = [new Uint8Array(1000), "x".repeat(1000), "€".repeat(400), "€".repeat(250), "x".repeat(700)];
        return Promise.all(codes.map((data) => code(label.print(data))));
    """)
    assert seen == ["too-large", "too-large", "too-large", "fulfilled", "fulfilled"]


# ----------------------------------------------------------------------------------------------------------------------
# One print, whatever the connection does


@pytest.mark.parametrize("loss", [Link.cut_before, Link.cut_after])
@pytest.mark.parametrize("call", ["print('x')", "openDrawer()"])
def test_what_was_lost_on_the_way_is_asked_again_and_done_once(run, fake, loss, call) -> None:
    name = "print" if "print" in call else "drawer.open"
    fake.script[name, 1] = loss
    seen = run(f"const job = await (await connect()).get('Label').{call}; return [job.id, job.state];")
    assert len({request["params"]["options"]["id"] for request in fake.asked(name)}) == 1
    assert len(fake.asked(name)) == 2
    assert fake.printed == [seen[0]]
    assert seen[1] == "completed"


@pytest.mark.parametrize("loss", [Link.cut_before, Link.cut_after])
@pytest.mark.parametrize("call", ["print('x')", "openDrawer()", "print(new Uint8Array(3), {expires: 60})"])
def test_a_server_that_has_forgotten_is_not_asked_again(run, fake, loss, call) -> None:
    def crash(link, request) -> None:
        loss(link, request)
        fake.restart()

    name = "print" if "print" in call else "drawer.open"
    fake.script[name, 1] = crash
    error = run(f"return (await connect()).get('Label').{call};")["error"]
    assert error["code"] == "uncertain"
    assert "nobody knows whether" in error["message"]
    assert error["hint"].startswith("Look at the ")
    assert len(fake.asked(name)) == 1


def test_a_server_that_stops_promises_that_it_did_nothing(run, fake) -> None:
    fake.script["print", 1] = Link.stop
    job_id = run("return (await (await connect()).get('Label').print('x')).id;")
    assert fake.printed == [job_id]
    assert len(fake.asked("print")) == 2


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1013])
def test_no_other_end_is_a_promise(run, fake, code) -> None:
    def end(link, request) -> None:
        link.silent_after(request)
        link.end()
        fake.memory = "M2"
        link.connection.close(code)

    fake.script["print", 1] = end
    assert run("return code((await connect()).get('Label').print('x'));") == "uncertain"
    assert len(fake.printed) == len(fake.asked("print")) == 1


def test_a_promise_that_is_cut_off_is_none(run, fake) -> None:
    fake.script["print", 1] = Link.swallow
    fake.do["restart"] = lambda: setattr(fake, "memory", "M2")
    seen = run("""
        const printing = code((await connect()).get("Label").print("x"));
        await server("restart");
        sockets[0].onclose({ code: 1012, reason: "", wasClean: false });
        return printing;
    """)
    assert seen == "uncertain"


def test_a_connection_that_is_about_to_end_takes_nothing_any_more(run, fake) -> None:
    fake.do["crash"] = fake.restart
    seen = run("""
        const printers = await connect();
        Object.defineProperty(sockets[0], "readyState", { value: 2 });
        const printing = printers.get("Label").print("x");
        await server("crash");
        return (await printing).state;
    """)
    assert seen == "completed"
    assert fake.printed == list(fake.jobs)  # on the second connection, and on no other


def test_the_promise_of_one_server_is_not_that_of_another(run, fake) -> None:
    # Sent first over a connection that was cut: what the second one promises says nothing of that.
    fake.script |= {("print", 1): Link.cut_after, ("print", 2): Link.stop}
    assert run("return code((await connect()).get('Label').print('x'));") == "uncertain"
    assert len(fake.printed) == 1


def test_what_is_printed_while_the_server_is_away_waits_in_order(run, fake) -> None:
    def down() -> None:
        fake.up = False
        fake.cut()

    def up() -> None:
        fake.up, fake.memory = True, "M2"

    fake.do |= {"down": down, "up": up}
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        await server("down");
        await until(() => !printers.connected);
        const jobs = ["a", "b", "c"].map((id) => label.print(id, { id }));
        printers.on("connection", ({ connected }) => connected && jobs.push(label.print("d", { id: "d" })));
        await sleep(50);
        await server("up");
        await until(() => jobs.length === 4);
        return (await Promise.all(jobs)).map((job) => job.state);
    """)
    assert seen == ["completed"] * 4
    assert fake.printed == ["a", "b", "c", "d"]


def test_a_reply_that_does_not_come_is_asked_for_over_another_connection(run, fake) -> None:
    fake.script |= {("print", 1): Link.silent_after, ("jobs.list", 1): Link.swallow}
    seen = run(
        """
        const printers = await connect();
        const started = Date.now();
        await printers.get("Label").print("x");
        const first = Date.now() - started;
        await printers.call("jobs.list");
        return first;
        """,
        speed=10,
    )
    assert 5000 <= seen < 9000
    assert len(fake.printed) == 1
    assert [len(fake.asked(call)) for call in ("subscribe", "print", "jobs.list")] == [3, 2, 2]


def test_a_server_that_never_replies_is_given_more_time_each_time_and_up_in_the_end(run, fake) -> None:
    fake.script = {(call, n): Link.silent_after for call in ("print", "jobs.get") for n in range(1, 9)}
    seen = run(
        """
        const printers = await connect();
        const begun = Date.now();
        const first = await code(printers.get("Label").print("x"));
        return [Date.now() - begun, first, await code(printers.job("A"))];
        """,
        speed=100,
    )
    assert seen[0] >= (5 + 10 + 20 + 40 + 80) * 1000
    assert seen[1:] == ["uncertain", "timeout"]
    assert len(fake.printed) == 1
    assert len(fake.asked("print")) == 5


def test_a_message_that_is_still_going_out_is_waited_for(run, fake) -> None:
    threads = []

    def later(link, request) -> None:
        threads.append(threading.Timer(1.2, lambda: link.answer(request)))
        threads[0].start()

    fake.script["print", 1] = later
    run(
        """
        const printers = await connect();
        let left = 1e6;
        Object.defineProperty(sockets[0], "bufferedAmount", { get: () => (left -= 1000) });
        await printers.get("Label").print("x");
        """,
        speed=10,
    )
    threads[0].join()
    assert len(fake.asked("subscribe")) == len(fake.asked("print")) == 1


def test_asking_a_slow_printer_takes_its_time(run, fake) -> None:
    threads = []

    def later(link, request) -> None:
        threads.append(threading.Timer(0.8, lambda: link.answer(request)))
        threads[0].start()

    fake.script["printers.status", 1] = later
    seen = run("return (await (await connect()).get('Label').status()).name;", speed=10)
    threads[0].join()
    assert seen == "Label"
    assert len(fake.asked("subscribe")) == 1
    assert fake.asked("server.version")


def test_an_action_that_may_have_been_carried_out_is_not_repeated(run, fake) -> None:
    fake.script["admin.reload", 1] = Link.cut_before
    assert run("return code((await connect()).call('admin.reload'));") == "uncertain"
    assert len(fake.asked("admin.reload")) == 1


@pytest.mark.parametrize("back", [True, False])
def test_nobody_waits_for_a_drawer_longer_than_ten_seconds(run, fake, back) -> None:
    def away() -> None:
        fake.up = False
        fake.cut()

    fake.do |= {"away": away, "back": lambda: setattr(fake, "up", True)}
    seen = run(
        f"""
        const printers = await connect();
        await server("away");
        await until(() => !printers.connected);
        const begun = Date.now();
        const opening = code(printers.get("Label").openDrawer());
        if ({json.dumps(back)}) {{
          await sleep(2000);
          await server("back");
        }}
        const end = await opening;
        const took = Date.now() - begun;
        await server("back");
        await until(() => printers.connected);
        return [end, took];
        """,
        speed=10,
    )
    assert seen[0] == ("fulfilled" if back else "expired")
    assert seen[1] < 10000 if back else 10000 <= seen[1] < 12000
    assert len(fake.asked("drawer.open")) == back


def test_a_ticket_that_has_expired_is_not_sent(run, fake) -> None:
    def away() -> None:
        fake.up = False
        fake.cut()

    fake.do |= {"away": away, "back": lambda: setattr(fake, "up", True)}
    seen = run(
        """
        const printers = await connect();
        const label = printers.get("Label");
        await server("away");
        await until(() => !printers.connected);
        const late = code(label.print("x", { id: "A", expires: 2 }));
        const early = label.print("y", { id: "B", expires: 3600 });
        const seen = await late;
        await server("back");
        await early;
        return seen;
        """,
        speed=10,
    )
    assert seen == "expired"
    assert fake.printed == ["B"]
    assert 3500 < fake.asked("print")[0]["params"]["options"]["expires"] <= 3598


def test_a_ticket_that_may_have_been_printed_never_counts_as_expired(run, fake) -> None:
    def vanish(link, request) -> None:
        fake.up = False
        link.cut_after(request)

    fake.script["print", 1] = vanish
    assert run("return code((await connect()).get('Label').print('x', { expires: 1 }));", speed=10) == "uncertain"


def test_taking_back(run, fake) -> None:
    fake.end_state = None

    def vanish(link, request) -> None:
        fake.up = False
        link.cut_after(request)

    def abort_first(link, request) -> None:
        with suppress(TimeoutError):
            fake.lock.release()
            aborted.wait(PATIENCE)
            fake.lock.acquire()
        link.answer(request)

    aborted = threading.Event()
    fake.do["aborted"] = aborted.set
    fake.script |= {("print", 2): abort_first, ("print", 4): vanish}
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const seen = [await code(label.print("0", { signal: AbortSignal.abort() }))];
        // while it waits for its end
        let controller = new AbortController();
        let done = code(label.print("1", { id: "1", wait: "ended", signal: controller.signal }));
        await until(async () => (await printers.call("jobs.list")).length === 1);
        controller.abort();
        seen.push(await done);
        // while it is on the wire
        controller = new AbortController();
        done = code(label.print("2", { id: "2", signal: controller.signal }));
        controller.abort();
        await server("aborted");
        seen.push(await done);
        // after it was accepted: that does nothing any more
        controller = new AbortController();
        const job = await label.print("3", { id: "3", signal: controller.signal });
        controller.abort();
        await label.status();
        seen.push(job.state);
        // while nobody knows
        controller = new AbortController();
        done = code(label.print("4", { id: "4", signal: controller.signal }));
        await until(() => !printers.connected);
        // while it waits for a connection
        const other = code(label.print("5", { id: "5", signal: controller.signal }));
        controller.abort();
        return [...seen, await done, await other];
    """)
    assert seen == ["canceled", "canceled", "canceled", "pending", "uncertain", "canceled"]
    assert fake.printed == ["1", "2", "3", "4"]


def test_taking_back_what_was_lost_on_the_way_does_not_send_it_again(run, fake) -> None:
    fake.script["print", 1] = Link.silent_after
    fake.do["lose"] = fake.cut
    seen = run("""
        const printers = await connect();
        const controller = new AbortController();
        const printing = code(printers.get("Label").print("x", { signal: controller.signal }));
        await until(async () => (await printers.call("jobs.list")).length === 1);
        controller.abort();
        await server("lose");
        const end = await printing;
        await until(() => printers.connected);
        return end;
    """)
    assert seen == "uncertain"
    assert len(fake.asked("print")) == 1


def test_a_cancel_whose_answer_was_lost_has_canceled(run, fake) -> None:
    fake.end_state = None
    fake.script["jobs.cancel", 1] = Link.cut_after
    seen = run("const job = await (await connect()).get('Label').print('x'); await job.cancel(); return job.state;")
    assert seen == "canceled"
    assert len(fake.asked("jobs.cancel")) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_that_fails_all_the_time(run, fake, seed) -> None:
    """Sixty tickets over a connection at its worst: none is printed twice, none is lost without a word."""
    chance = random.Random(seed)

    def restart(link, request) -> None:
        chance.choice([Link.cut_before, Link.cut_after])(link, request)
        fake.restart()

    def stop(link, request) -> None:
        (Link.cut_after if link.owes else Link.stop)(link, request)

    def burst(link, request) -> None:
        for _ in range(50):
            fake.tell("job", job("other", "Label", 10, bytes_accepted=chance.randrange(10)))
        link.send("{")
        link.answer(request)

    bad = [Link.cut_before, Link.cut_after, restart, stop, burst, Link.silent_after]
    for n in range(1, 300):
        if chance.random() < 0.5:
            fake.script["print", n] = chance.choice(bad)
    seen = run(
        """
        const label = (await connect()).get("Label");
        const ends = {};
        await Promise.all(Array.from({ length: 60 }, async (_, n) => {
          await sleep(n * 200);
          const data = n % 2 ? `ticket ${n}` : new Uint8Array(n);
          ends[`T${n}`] = await label.print(data, { id: `T${n}`, wait: "ended" }).then((job) => job.state, (error) => error.code);
        }));
        return ends;
        """,
        speed=20,
    )
    assert len(seen) == 60
    assert len(set(fake.printed)) == len(fake.printed), "printed twice"
    assert {id for id, end in seen.items() if end == "completed"} <= set(fake.printed)
    assert set(seen.values()) == {"completed", "uncertain"}


# ----------------------------------------------------------------------------------------------------------------------
# The state after a connection was lost


def test_after_a_loss_only_what_changed_is_told(run, fake) -> None:
    fake.end_state = None

    def lose() -> None:
        fake.cut()
        fake.printers["Receipt"] = printer("Receipt", state="stopped", reasons={"media-empty": True})
        fake.jobs["A"] |= {"state": "completed", "ended": "2026-01-02T03:04:06Z"}

    fake.do["lose"] = lose
    seen = run("""
        const printers = await connect();
        const heard = [];
        printers.on("connection", ({ connected, error }) => heard.push([connected, error && error.code]));
        const jobs = await Promise.all(["A", "B"].map((id) => printers.get("Label").print(id, { id })));
        jobs.forEach((job) => job.on("state", (job) => heard.push(job.id)));
        for (const printer of printers) {
          printer.on("status", ({ name }) => heard.push(name));
        }
        await server("lose");
        await jobs[0].finished;
        await printers.call("server.version");
        return heard;
    """)
    assert seen == [[False, "disconnected"], [True, None], "Receipt", "A"]


def test_a_job_that_the_server_does_not_tell_of_is_asked_for(run, fake) -> None:
    fake.end_state = None

    def lose() -> None:
        fake.cut()
        for n in range(150):
            fake.jobs[f"N{n}"] = job(f"N{n}", "Label", 1, state="completed", ended="2026-01-02T03:04:06Z")
        fake.jobs["A"] |= {"state": "failed", "error": {"code": "open-failed", "message": "It is off.", "hint": "On."}}

    fake.do["lose"] = lose
    seen = run("""
        const printers = await connect();
        const job = await printers.get("Label").print("x", { id: "A" });
        await server("lose");
        await job.finished;
        return [job.state, job.error.code, job.error.hint];
    """)
    assert seen == ["failed", "open-failed", "On."]


def test_a_job_that_the_server_forgot_is_uncertain(run, fake) -> None:
    fake.end_state = None
    fake.do["crash"] = fake.restart
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const waits = label.print("x", { id: "A", wait: "ended" });
        const drawer = code(label.openDrawer());
        await until(async () => (await printers.call("jobs.list")).length === 2);
        await server("crash");
        const job = await waits;
        return [job.state, job.ended, failure(job.error), await drawer];
    """)
    assert seen[:2] == ["uncertain", True]
    assert seen[2]["code"] == "uncertain"
    assert seen[2]["hint"]
    assert seen[3] == "uncertain"


# ----------------------------------------------------------------------------------------------------------------------
# Connecting, and not


def test_a_server_that_is_not_there_is_said_in_time(run, fake) -> None:
    fake.up = False
    seen = run(
        "const begun = Date.now(); return [failure(await connect({timeout: 300}).catch((e) => e)), Date.now() - begun];"
    )
    assert seen[0]["code"] == "not-running"
    assert "rawprint-server" in seen[0]["hint"]
    assert 290 <= seen[1] < 3000


def test_a_server_that_starts_a_little_later_is_found(run, fake) -> None:
    fake.up = False
    fake.do["start"] = lambda: setattr(fake, "up", True)
    seen = run("""
        const errors = [];
        const connecting = connect({ onConnection: ({ connected, error }) => errors.push(connected || error.code) });
        await until(() => errors.length === 2);
        await server("start");
        await connecting;
        return errors;
    """)
    assert seen[:2] == ["not-running"] * 2
    assert seen[-1] is True


def test_a_server_that_says_nothing_is_a_timeout(run, fake) -> None:
    fake.script["subscribe", 1] = Link.swallow
    assert run("return connect({ timeout: 200 });")["error"]["code"] == "timeout"


def test_a_refused_origin_is_said_at_once_and_with_the_remedy(run, fake) -> None:
    fake.on_open = lambda link: link.connection.close(4403, "origin https://evil.example is not in [access] origins")
    seen = run("return connect({ timeout: 1e9 });")["error"]
    assert seen["code"] == "origin-not-allowed"
    assert "https://evil.example is not in [access] origins" in seen["message"]
    assert "rawprint-server access allow" in seen["hint"]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (4403, "the token is not known, or is another page's", "bad-token"),
        (4403, "a token is needed: rawprint-server access token new NAME", "token-needed"),
        (4403, "https://a.token.example is not allowed", "origin-not-allowed"),
        (4429, "this page has too many connections", "too-many-connections"),
        (4408, "no message in 30 s", "timeout"),
    ],
)
def test_a_close_code_of_the_server_is_said_with_its_reason(run, fake, code, reason, expected) -> None:
    fake.on_open = lambda link: link.connection.close(code, reason)
    seen = run("return connect({ timeout: 500 });")["error"]
    assert seen["code"] == expected
    assert reason in seen["message"]
    assert seen["hint"]


def test_too_many_connections_are_waited_for(run, fake) -> None:
    fake.on_open = lambda link: fake.counts.get("open") or link.connection.close(4429, "too many")
    fake.do["fewer"] = lambda: fake.counts.update(open=1)
    seen = run("""
        const heard = [];
        const printers = connect({ onConnection: ({ error }) => heard.push(error?.code) });
        await until(() => heard.length);
        await server("fewer");
        return [heard[0], (await printers).size];
    """)
    assert seen == ["too-many-connections", 2]


def test_a_token_goes_as_a_subprotocol(run, fake) -> None:
    offered = []
    fake.on_open = lambda link: offered.append(link.connection.request.headers["Sec-WebSocket-Protocol"])
    assert run("return [(await connect({ token: 'rp_x-1' })).size, await code(connect({ token: 'rp x' }))];") == [
        2,
        "bad-token",
    ]
    assert [[name.strip() for name in value.split(",")] for value in offered] == [
        ["rawprint.v1", "rawprint.token.rp_x-1"]
    ]


def test_an_origin_that_is_refused_later_ends_what_waits(run, fake) -> None:
    def refuse(link, request) -> None:
        fake.on_open = lambda link: link.connection.close(4403, "not any more")
        Link.cut_before(link, request)

    fake.script["print", 1] = refuse
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const first = code(label.print("x"));
        await until(() => !printers.connected);
        return [await first, await code(label.print("y"))];
    """)
    assert seen == ["uncertain", "origin-not-allowed"]


def test_something_else_at_that_address(run, fake) -> None:
    def other(connection) -> None:
        connection.send("Hello!")
        connection.recv()

    with serve(other, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        seen = run(f"return connect({{ url: 'ws://127.0.0.1:{server.socket.getsockname()[1]}', timeout: 200 }});")[
            "error"
        ]
        server.shutdown()
        thread.join()
    assert seen["code"] == "not-running"


@pytest.mark.parametrize("url", ["'printer'", "'ftp://x'", "'ws://'", "7"])
def test_no_address(run, url) -> None:
    assert run(f"return connect({{ url: {url} }});")["error"]["code"] == "bad-address"


def test_an_http_address_and_a_url_will_do(run) -> None:
    assert run("return (await connect({ url: new URL(url.replace('ws', 'http')) })).size;") == 2


def test_connecting_can_be_taken_back(run, fake) -> None:
    fake.up = False
    seen = run("""
        const controller = new AbortController();
        const connecting = code(connect({ signal: controller.signal, timeout: Infinity }));
        controller.abort();
        return [await connecting, await code(connect({ signal: controller.signal }))];
    """)
    assert seen == ["canceled", "canceled"]


def test_close_ends_everything_that_waits(run, fake) -> None:
    fake.end_state = None
    fake.script |= {("print", 2): Link.swallow, ("printers.status", 1): Link.swallow}
    seen = run("""
        const printers = await connect();
        const label = printers.get("Label");
        const job = await label.print("a");
        const nobodyLooks = job.finished;
        const ends = [code(job.finished), code(label.print("b")), code(label.status()), code(label.openDrawer())];
        await until(async () => (await printers.call("jobs.list")).length === 2);
        printers.close();
        printers.close();
        ends.push(code(label.print("c")), code(job.cancel()), code(job.finished));
        return [await Promise.all(ends), printers.connected, printers.names];
    """)
    assert seen == [["closed"] * 7, False, ["Label", "Receipt"]]
    assert fake.closed.wait(PATIENCE)


@needs_packages  # with Node's own WebSocket, a server that hangs keeps the process: that one cannot be cut off
def test_close_lets_the_process_end_though_the_server_hangs(workshop, fake, peer) -> None:
    done = threading.Event()

    def hang(connection, _number) -> None:
        protocol = ServerProtocol(subprotocols=["rawprint.v1"])
        while True:
            protocol.receive_data(connection.recv(65536))
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                else:
                    result = fake.carry_out({"call": "subscribe"})
                    protocol.send_text(json.dumps({"uid": "subscribe", "result": result}).encode())
                    connection.sendall(b"".join(protocol.data_to_send()))
                    done.wait(PATIENCE)
                    return
            connection.sendall(b"".join(protocol.data_to_send()))

    url = peer(hang).address.replace("tcp", "ws")
    body = "const p = await connect(); const end = code(p.call('jobs.list')); await sleep(50); p.close(); return end;"
    try:
        # run_js waits for the process to end by itself.
        begun = time.monotonic()
        assert run_js(workshop, url, "ws", body) == "closed"
        assert time.monotonic() - begun < PATIENCE
    finally:
        done.set()


@needs_packages
def test_without_a_global_websocket_it_takes_the_package(workshop, fake) -> None:
    with serving(fake, fake.http) as url:
        assert run_js(workshop, url, "import", "return (await connect()).size;") == 2


def test_without_any_websocket_it_says_what_to_install(workshop, fake, tmp_path) -> None:
    for name in ("client.mjs", "rawprint.js", "package.json"):
        shutil.copy(workshop / name, tmp_path)
    seen = run_js(tmp_path, "ws://127.0.0.1:1", "import", "return connect();")
    assert seen["error"]["code"] == "backend-missing"
    assert "npm install ws" in seen["error"]["hint"]


# ----------------------------------------------------------------------------------------------------------------------
# A page that sleeps


PAGE = """
    const page = new EventTarget();
    globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    globalThis.addEventListener = page.addEventListener.bind(page);
    globalThis.removeEventListener = page.removeEventListener.bind(page);
    const show = () => document.dispatchEvent(new Event("visibilitychange"));
"""


@pytest.mark.parametrize(
    "wake", ["show()", "page.dispatchEvent(new Event('pageshow'))", "page.dispatchEvent(new Event('online'))"]
)
def test_a_page_that_is_shown_again_looks_after_its_connection(run, fake, wake) -> None:
    fake.script["server.version", 2] = Link.swallow
    seen = run(
        PAGE
        + f"""
        const printers = await connect();
        {wake};
        await printers.call("printers.find").catch(() => {{}});
        const before = printers.connected;
        {wake};
        const begun = Date.now();
        await until(() => !printers.connected);
        const took = Date.now() - begun;
        await until(() => printers.connected);
        printers.close();
        {wake};
        return [before, took];
        """,
        speed=10,
    )
    assert seen[0] is True
    assert 1900 <= seen[1] < 5000
    assert len(fake.asked("subscribe")) == 2
    assert len(fake.asked("server.version")) == 2


def test_a_hidden_page_does_not_look(run, fake) -> None:
    run(
        PAGE
        + "const p = await connect(); document.visibilityState = 'hidden'; show(); await p.job('A').catch(() => {});"
    )
    assert not fake.asked("server.version")


def test_a_page_that_is_shown_again_does_not_wait_to_connect(run, fake) -> None:
    fake.up = False
    fake.do["start"] = lambda: setattr(fake, "up", True)
    seen = run(
        PAGE
        + """
        const failures = [];
        const onConnection = ({ connected }) => connected || failures.push(Date.now());
        const connecting = connect({ timeout: Infinity, onConnection });
        await until(() => failures.length === 8); // by now it waits for five seconds
        await server("start");
        await sleep(100);
        const begun = Date.now();
        show();
        await connecting;
        return [Date.now() - begun, failures[7] - failures[6], failures[7] - failures[0]];
        """,
        speed=10,
    )
    took, last, all_ = seen
    assert took < 3000
    assert last >= 3500
    assert all_ < 20000


def test_a_frozen_page_gives_up_nothing_that_came_meanwhile(run, fake) -> None:
    threads = []

    def later(link, request) -> None:
        threads.append(threading.Timer(0.3, lambda: link.answer(request)))
        threads[-1].start()

    fake.script |= {("subscribe", 1): later, ("print", 1): later}
    seen = run("""
        const connecting = connect({ timeout: 500 });
        await sleep(100);
        await freeze(2000);
        const printers = await connecting;
        const printing = printers.get("Label").print("x");
        await sleep(50);
        await freeze(7000);
        return (await printing).state;
    """)
    for thread in threads:
        thread.join()
    assert seen == "completed"
    assert len(fake.asked("subscribe")) == len(fake.asked("print")) == 1


# ----------------------------------------------------------------------------------------------------------------------
# What is hostile or broken


def test_garbage_harms_nobody(run, fake) -> None:
    frames = [
        *("", "{", "null", "3", "[1]", '"x"', "{}", b"\x00\xff", '{"uid":null,"error":{"code":"bad-request"}}'),
        '{"uid":"subscribe","result":null}',
        *(
            f'{{"event":"{name}","data":{data}}}'
            for name in ("printer", "job", "toString")
            for data in ("null", "[]", "{}", "7")
        ),
        '{"event":"printer","data":{"name":"__proto__","reasons":{"__proto__":{"polluted":true}}}}',
        '{"event":"job","data":{"id":"__proto__","__proto__":{"polluted":true},"state":"pending"}}',
        '{"event":"printer","data":{"__proto__":{"polluted":true},"name":"Label","reasons":null,"error":7}}',
        '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"uid":"toString","result":1}',
        '{"event":"server","data":{"memory":"M1","printers":["__proto__","Label",7,null],"__proto__":{"polluted":true}}}',
    ]
    early = [*(frame for frame in frames if "subscribe" not in str(frame)), '{"uid":1,"result":{"id":"early"}}']
    fake.on_open = lambda link: [link.send(frame) for frame in early]

    def garbage(link, request) -> None:
        for frame in frames:
            link.send(frame)
        link.answer(request)

    fake.script["jobs.list", 1] = garbage
    seen = run("""
        const printers = await connect();
        printers.on("printer", () => {});
        const list = await printers.call("jobs.list");
        const label = printers.get("Label");
        return [list, {}.polluted, label.polluted, label.reasons, label.error, printers.names,
                Object.getPrototypeOf(printers.get("__proto__")) === R.Printer.prototype,
                (await label.print("x")).state];
    """)
    assert seen[0] == []
    assert seen[1:] == [None, None, {}, None, ["__proto__", "Label"], True, "completed"]
    assert len(fake.asked("subscribe")) == 1


@pytest.mark.parametrize("memory", [None, 7, {}])
def test_a_server_that_does_not_name_its_memory_is_not_trusted(run, fake, memory) -> None:
    fake.memory = memory
    assert run("return code(connect({ timeout: 200 }));") == "not-running"


def test_listeners_that_throw_break_nothing(run) -> None:
    seen = run("""
        const printers = await connect();
        const seen = [];
        for (const event of ["job", "connection", "printer"]) {
          printers.on(event, () => { throw new Error("sync " + event); });
          printers.on(event, async () => { throw new Error("async " + event); });
          printers.on(event, () => seen.push(event));
        }
        await printers.get("Label").print("x");
        await sleep(10);
        return [seen, reported];
    """)
    assert seen == [["job"], ["Error: sync job", "Error: async job"]]


def test_errors_of_the_server_come_as_they_are(run) -> None:
    seen = run("""
        const printers = await connect();
        return [await printers.call("print", { printer: "Gone", data: "x" }).catch(failure), await code(printers.call("no"))];
    """)
    error = {"code": "unknown-printer", "message": "No such printer.", "hint": "Look.", "is": "RawprintError"}
    assert seen == [error, "unknown-call"]


def test_what_json_cannot_hold_is_the_caller_s_error(run) -> None:
    seen = run("""
        const printers = await connect();
        const error = await printers.call("jobs.list", { limit: 1n }).catch((error) => error);
        return [error.constructor.name, (await printers.call("jobs.list")).length];
    """)
    assert seen == ["TypeError", 0]


# ----------------------------------------------------------------------------------------------------------------------
# Why there is no connection

FACTS = {
    "closeCode": 1006,
    "opened": False,
    "served": False,
    "pending": False,
    "page": "pos.example",
    "secure": True,
    "target": "127.0.0.1",
    "permission": None,
}
REFUSALS = [
    ({}, "not-running"),
    ({"permission": "granted"}, "not-running"),
    ({"permission": "denied"}, "lna-denied"),
    ({"permission": "prompt"}, "lna-prompt"),
    ({"permission": "prompt", "pending": True}, "lna-prompt"),
    ({"pending": True}, "timeout"),
    ({"secure": False}, "lna-insecure-page"),
    ({"secure": False, "permission": "denied"}, "lna-insecure-page"),
    ({"secure": False, "permission": "granted"}, "not-running"),
    ({"closeCode": 4403, "opened": True}, "origin-not-allowed"),
    ({"closeCode": 4403, "opened": True, "served": True, "permission": "denied"}, "origin-not-allowed"),
    ({"closeCode": 4403, "token": "bad-token", "opened": True}, "bad-token"),
    ({"closeCode": 4429, "opened": True, "permission": "denied"}, "too-many-connections"),
    ({"closeCode": 4408, "opened": True}, "timeout"),
    ({"closeCode": 1001, "opened": True, "served": True, "permission": "denied"}, "disconnected"),
    ({"opened": True, "permission": "denied"}, "not-running"),
    # A page from this computer is free to reach it, and so is one that is no page.
    *(
        ({"page": page, "secure": False, "permission": "denied"}, "not-running")
        for page in ("localhost", "127.0.0.5", "[::1]", "")
    ),
    ({"page": None, "secure": False, "permission": "denied"}, "not-running"),
    # From the local network to this computer is nearer; from there to there is not.
    *(
        ({"page": page, "permission": "denied"}, "lna-denied")
        for page in ("192.168.1.2", "10.0.0.1", "till.local", "[fd00::1]")
    ),
    ({"page": "192.168.1.2", "target": "192.168.1.9", "secure": False}, "not-running"),
    *(
        ({"target": target, "permission": "denied"}, "lna-denied")
        for target in (
            "192.168.1.2",
            "172.16.0.1",
            "172.31.9.9",
            "169.254.1.1",
            "[fe80::1]",
            "pos.localhost",
            "kitchen.local",
        )
    ),
    # Far away is far away.
    *(
        ({"target": target, "secure": False, "permission": "denied"}, "not-running")
        for target in (
            "print.example.com",
            "172.32.0.1",
            "8.8.8.8",
            "[2001:db8::1]",
            "10.example.com",
            "127.0.0.1.example.com",
        )
    ),
]


def test_why_there_is_no_connection(run, fake) -> None:
    table = [FACTS | facts for facts, _ in REFUSALS]
    assert run(f"return {json.dumps(table)}.map(R.refusal);") == [code for _, code in REFUSALS]


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [("prompt", "denied", "lna-denied"), ("denied", "denied", "lna-denied"), ("prompt", "prompt", "lna-prompt")],
)
def test_a_browser_s_permission_is_asked_for_and_its_answer_said(run, fake, first, then, expected) -> None:
    fake.up = False
    seen = run(f"""
        const asked = [];
        const fetched = [];
        const errors = [];
        let state = "{first}";
        globalThis.location = new URL("https://pos.example/till");
        globalThis.isSecureContext = true;
        globalThis.fetch = async (url) => {{ fetched.push(String(url)); throw new TypeError("refused"); }};
        Object.defineProperty(globalThis, "navigator", {{ value: {{ permissions: {{ query: async ({{ name }}) => {{
          asked.push(name);
          if (name === "loopback-network") {{ throw new TypeError("no such name"); }}
          return Object.assign(new EventTarget(), {{ state }});
        }} }} }} }});
        const onConnection = ({{ error }}) => {{ errors.push(error.code); if (errors.length > 2) state = "{then}"; }};
        const error = await connect({{ timeout: 2500, onConnection }}).catch(failure);
        return [error, [...new Set(asked)], [...new Set(errors)], [...new Set(fetched)]];
    """)
    error, asked, errors, fetched = seen
    assert error["code"] == expected
    assert "this computer" in error["message"]
    assert asked == ["loopback-network", "local-network-access"]
    assert errors == list(dict.fromkeys([f"lna-{first}", f"lna-{then}"]))
    if first == "prompt":
        assert fetched[0].startswith("http://127.0.0.1:")
        assert fetched[0].endswith("/health")


# ----------------------------------------------------------------------------------------------------------------------
# The server itself


def test_the_real_server(workshop, server, label, receipt) -> None:
    seen = run_js(
        workshop,
        server.url,
        "global",
        """
        const printers = await connect();
        const bytes = new Uint8Array(100_000).map((_, index) => 65 + (index % 26));
        const [one, two] = await Promise.all([
          printers.get("Label").print("CLS\\r\\nPRINT 1,1\\r\\n", { id: "A", wait: "ended" }),
          printers.get("Receipt").print(["\\x1b@", bytes, "é\\n"], { id: "B", copies: 1, encoding: "cp858", wait: "ended" }),
        ]);
        const again = await printers.get("Label").print("CLS\\r\\nPRINT 1,1\\r\\n", { id: "A" });
        const conflict = await code(printers.get("Label").print("CLS", { id: "A" }));
        const status = await printers.get("Label").status();
        return [printers.names, one.state, two.state, one.progress, two.bytesTotal, again === one, conflict, status.state,
                (await printers.call("jobs.list", { limit: 5 })).map((job) => job.id), printers.server.memory.length > 0,
                (await printers.get("Receipt").openDrawer()).name, await code(printers.get("Label").openDrawer())];
        """,
    )
    ends = {"completed", "delivered"}
    assert seen[0] == ["Label", "Receipt"]
    assert set(seen[1:3]) <= ends
    assert seen[3:8] == [1, 100_004, True, "id-conflict", "idle"]
    assert sorted(seen[8]) == ["A", "B"]
    assert seen[9:] == [True, "drawer", "unsupported"]


def test_a_restart_of_the_real_server(workshop, start, label) -> None:
    printers = {"Label": (label.address, "tspl")}
    first = start(printers)
    outcome = []
    body = """
        const printers = await connect();
        const label = printers.get("Label");
        const { memory } = printers.server;
        await label.print("A\\r\\n", { id: "A", wait: "ended" });
        await until(() => !printers.connected);
        const job = await label.print("B\\r\\n", { id: "B", wait: "ended" });
        return [job.id, job.state, printers.server.memory === memory];
    """
    page = threading.Thread(target=lambda: outcome.append(run_js(workshop, first.url, "global", body)))
    page.start()
    with first.connect() as client:
        while all(one["state"] not in {"completed", "delivered"} for one in client.ask("jobs.list")["result"]):
            threading.Event().wait(0.02)
    first.__exit__()
    start(printers, port=first.port)
    page.join(3 * PATIENCE)
    assert outcome == [["B", "delivered", False]]


def test_a_page_of_the_real_server_finds_it_by_itself(server) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright (pip install playwright)")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as sync:
        browser = sync.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/health")
        seen = page.evaluate(
            """async () => {
              const { connect } = await import("/rawprint.js");
              const printers = await connect();
              const job = await printers.get("Receipt").print(new Blob(["x".repeat(1000)]), { wait: "ended" });
              return [printers.names, job.bytesAccepted];
            }"""
        )
        browser.close()
    assert seen == [["Label", "Receipt"], 1000]


def test_pairing_needs_a_page(workshop, server) -> None:
    """A program on this machine is let in as it is; a server that is older than pairing says that it is."""
    assert run_js(workshop, server.url, "global", "return R.pair({ url });")["error"] == {
        "code": "pairing",
        "message": "There is no code: this page needs none, it is let in.",
        "hint": "Call connect(), and pair() if it is refused.",
        "is": "RawprintError",
    }


def test_pairing_with_something_else(run, fake) -> None:
    seen = run("return [await code(R.pair({ url })), await code(R.pair({ url: 'mailto:x' }))];")
    assert seen == ["not-running", "bad-address"]


# ----------------------------------------------------------------------------------------------------------------------
# The types


@needs_packages
def test_the_types_are_right(workshop) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node (apt-get install nodejs)")
    checked = subprocess.run(
        [node, PACKAGES / "typescript/bin/tsc", "-p", JS], capture_output=True, text=True, timeout=120, check=False
    )
    assert checked.returncode == 0, checked.stdout


@needs_packages
def test_an_uncertain_job_is_settled(workshop, virtual, tmp_path) -> None:
    """The real server: the label that follows waits until the page says what became of the one before."""
    label = virtual("tspl", media=1000)
    printers = {"Label": PrinterConfig(label.address, "tspl", share=False)}
    with RunningServer(Config(ServerConfig(port=0), printers), tmp_path) as server:
        with server.native() as native:
            cut_off(label, native)
            native.ask("print", printer="Label", data="LAST\r\n", options={"id": "last"})
            native.ask("print", printer="Label", data="FIRST\r\n", options={"id": "first", "priority": 90})
        seen = run_js(
            workshop,
            server.url,
            "ws",
            """
            const printers = await connect();
            const half = await printers.job("half"), last = await printers.job("last"), first = await printers.job("first");
            await half.finished;
            await until(() => first.error?.code === "unsettled");
            const again = await half.resolve("print-again");
            const repeated = await half.resolve("discard").catch(failure);
            await Promise.all([again.finished, last.finished, first.finished]);
            return [half.state, again.id, again.state, last.state, repeated.code];
            """,
        )
    assert seen == ["uncertain", "half~again", "delivered", "delivered", "not-uncertain"]
    printed = label.printed()
    assert printed.index(b"x" * 20_000) < printed.index(b"FIRST") < printed.index(b"LAST")
