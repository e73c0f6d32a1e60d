"""PrinterWebSocket.js under Node: its promises against a server that behaves like the one of that project."""

from __future__ import annotations

import base64
import functools
import json
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.server import serve

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "src/rawprint_server/static/PrinterWebSocket.js"
RUN = Path(__file__).parent / "js/run.js"


@functools.cache
def node_command() -> tuple[str, ...] | str:
    """How to run Node with a global WebSocket, or why that cannot be done."""
    node = shutil.which("node")
    if node is None:
        return "there is no node (apt-get install nodejs)"
    for flags in ((), ("--experimental-websocket",)):
        asked = subprocess.run([node, *flags, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == "function":
            return (node, *flags)
    return "this node has no WebSocket (20.10 or newer has one)"


def run_js(body: str, url: str = "") -> dict:
    """Run the body of an async function that gets P (the client), url, until() and failure()."""
    command = node_command()
    if isinstance(command, str):
        pytest.skip(command)
    done = subprocess.run(
        [*command, str(RUN), str(CLIENT), url],
        input=body,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome.pop("unhandled") == []
    return outcome


def value(body: str, url: str = ""):
    outcome = run_js(body, url)
    assert "error" not in outcome, outcome
    return outcome["value"]


class Reference:
    """A server of the PrinterWebsocket project as it behaves: silent at the start and about unknown calls."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.close_code = None
        self.ended = threading.Event()

    def __call__(self, connection) -> None:
        with suppress(ConnectionClosed):
            for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                for reply in self.replies(request, request["uid"]):
                    connection.send(json.dumps(reply))
        self.close_code = connection.close_code
        self.ended.set()

    def was_closed_by_the_page(self) -> bool:
        """Whether the page said that it closes the connection, rather than only being gone."""
        return self.ended.wait(5) and self.close_code == CloseCode.NO_STATUS_RCVD

    def replies(self, request: dict, uid: str) -> list[dict]:
        match request["call"]:
            case "server.version":
                return [{"uid": uid, "result": "0.1.0", "info": "serverVersion", "status_code": 0}]
            case "printers.find":
                return [{"uid": uid, "result": ["Label", "Receipt"], "status_code": 0}]
            case "printerStatus":
                name = request["PrinterName"]
                return [{"uid": uid, "status": "Printer status retrieved", "PrinterName": name, "status_code": 0}]
            case "print":
                name = request["params"]["printer"]["name"]
                notice = {"uid": uid, "status": f"Printing job started on {name}", "status_code": 1}
                if name == "Label":
                    end = {
                        "uid": uid,
                        "status": "success",
                        "message": f"Printed on {name}",
                        "status_code": 0,
                    }
                else:
                    end = {"uid": uid, "status": "error", "message": "no such printer", "status_code": 3}
                return [notice, end]
        return []

    def asked(self, call: str) -> list[dict]:
        return [request for request in self.requests if request["call"] == call]


@contextmanager
def serving(handler):
    """The URL of a server that gives each connection to `handler`."""
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def reference():
    return Reference()


@pytest.fixture
def url(reference):
    with serving(reference) as address:
        yield address


def test_initialize_resolves_with_nothing_and_remembers_the_address(url) -> None:
    seen = value(
        """
        const before = [P.isConnected(), P.getServerAddress(), P.getPrinterStatus()];
        const result = await P.initialize(url);
        return [before, result === undefined, P.isConnected(), P.getServerAddress(), P.getPrinterStatus()];
        """,
        url,
    )
    assert seen == [[False, None, "idle"], True, True, url, "idle"]


def test_the_list_of_printers_comes_and_goes_to_the_page_s_own_function(url) -> None:
    seen = value(
        """
        const shown = [];
        globalThis.populatePrinterDropdown = (list) => shown.push(list);
        await P.initialize(url);
        return [await P.fetchPrinters(), await P.fetchPrinters(), shown];
        """,
        url,
    )
    names = ["Label", "Receipt"]
    assert seen == [names, names, [names, names]]


def test_a_page_s_function_that_throws_spoils_nothing(url) -> None:
    body = """
        globalThis.populatePrinterDropdown = () => { throw new Error("no such element"); };
        await P.initialize(url);
        return P.fetchPrinters();
    """
    assert value(body, url) == ["Label", "Receipt"]


def test_a_print_resolves_with_the_outcome_and_not_with_the_notice(url, reference) -> None:
    label = "\n        SIZE 80 mm, 40 mm\n        PRINT 1,1\n"
    outcome = value(f"await P.initialize(url); return P.print('Label', {json.dumps(label)});", url)
    assert outcome["status"] == "success"
    assert outcome["message"] == "Printed on Label"
    assert reference.asked("print")[0]["params"] == {"printer": {"name": "Label"}, "data": [label]}


def test_a_print_that_fails_rejects_with_code_message_and_hint(url) -> None:
    outcome = run_js("await P.initialize(url); return P.print('Gone', 'x');", url)
    assert outcome == {"error": {"code": "error", "message": "no such printer", "hint": "", "is": "Error"}}


@pytest.mark.parametrize("page", ["P.print('Gone', 'x')", "P.print('Gone', undefined)"])
def test_a_failed_print_that_nobody_looks_at_is_no_unhandled_rejection(url, page) -> None:
    # run_js itself checks that nothing went unhandled.
    value(f"await P.initialize(url); {page}; await P.fetchPrinters();", url)
    value(f"{page};")


def test_bytes_go_as_base64_and_lists_keep_their_order(url, reference) -> None:
    value(
        """
        await P.initialize(url);
        const all = Uint8Array.from({ length: 70000 }, (_, i) => i % 256);
        await P.print("Label", all);
        const item = { type: "raw", format: "command", flavor: "hex", data: "1b40" };
        await P.print("Label", ["CLS", item, new Uint8Array([0, 255]).buffer, all.subarray(1, 3)], { id: "J1" });
        """,
        url,
    )
    first, second = (request["params"] for request in reference.asked("print"))
    assert base64.b64decode(first["data"][0]["data"]) == bytes(i % 256 for i in range(70000))
    raw = {"type": "raw", "format": "command", "flavor": "base64"}
    hexed = {"type": "raw", "format": "command", "flavor": "hex", "data": "1b40"}
    assert second["data"] == ["CLS", hexed, {**raw, "data": "AP8="}, {**raw, "data": "AQI="}]
    assert second["options"] == {"id": "J1"}
    assert "options" not in first


def test_what_cannot_be_printed_is_said_without_asking_the_server(url, reference) -> None:
    outcome = run_js("await P.initialize(url); return P.print('Label', 7);", url)
    assert outcome["error"]["code"] == "bad-data"
    assert not reference.asked("print")


def test_everything_that_overlaps_settles_with_its_own_answer(url, reference) -> None:
    seen = value(
        """
        await P.initialize(url);
        const all = [P.fetchPrinters(), P.print("Label", "a"), P.fetchPrinters(), P.print("Gone", "b"),
                     P.printerStatus("Label"), P.print("Label", "c")];
        const busy = P.getPrinterStatus();
        const ends = await Promise.allSettled(all);
        return [busy, P.getPrinterStatus(), ends.map((end) => end.status), P.getUniqID()];
        """,
        url,
    )
    busy, after, ends, uniq = seen
    assert (busy, after) == ("printing", "idle")
    assert ends == ["fulfilled", "fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"]
    uids = [request["uid"] for request in reference.requests]
    assert len(set(uids)) == len(uids) == 7
    assert uniq.startswith("uid-")
    assert all(uid.startswith(uniq) for uid in uids)


def test_not_connected_is_an_error_that_names_it() -> None:
    seen = value("""
        const asked = [P.fetchPrinters(), P.print("Label", "x"), P.printerStatus("Label"), P.call("jobs.get")];
        return Promise.all(asked.map((one) => one.catch(failure)));
    """)
    for error in seen:
        assert error["message"].startswith("Not connected to WebSocket server.")
        assert error["code"] == "not-connected"
        assert "initialize" in error["hint"]


def test_a_server_that_is_not_there_is_explained(unused_port) -> None:
    url = f"ws://127.0.0.1:{unused_port}"
    outcome = run_js("return P.initialize(url);", url)
    assert outcome["error"]["code"] == "unreachable"
    assert f"at {url}: check that it is running there, that it allows" in outcome["error"]["message"]


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_no_address_is_explained() -> None:
    assert run_js("return P.initialize('printer');")["error"]["code"] == "bad-address"


def test_a_refused_page_hears_why() -> None:
    reason = "origin https://evil.example is not in [access] origins"
    with serving(lambda connection: connection.close(4403, reason)) as url:
        seen = value(
            """
            const first = await P.initialize(url).catch(failure);
            return [first, await P.fetchPrinters().catch(failure), P.isConnected()];
            """,
            url,
        )
    assert seen[0]["code"] == "forbidden"
    assert reason in seen[0]["message"]
    assert reason in seen[1]["message"]
    assert seen[2] is False


def test_a_server_that_never_tells_its_version_is_good_enough() -> None:
    class Mute(Reference):
        def replies(self, request, uid):
            return [] if request["call"] == "server.version" else super().replies(request, uid)

    with serving(Mute()) as url:
        assert value("await P.initialize(url); return P.fetchPrinters();", url) == ["Label", "Receipt"]


def test_a_lost_connection_rejects_all_that_waits() -> None:
    def lose(connection) -> None:
        for text in connection:
            request = json.loads(text)
            if request["call"] == "server.version":
                connection.send(json.dumps({"uid": request["uid"], "result": "0.1.0"}))
            if request["call"] == "printers.find":
                connection.close(1011, "out of order")

    with serving(lose) as url:
        print_, find, connected, state = value(
            """
            await P.initialize(url);
            const ends = [P.print("Label", "x").catch(failure), P.fetchPrinters().catch(failure)];
            return [...(await Promise.all(ends)), P.isConnected(), P.getPrinterStatus()];
            """,
            url,
        )
    assert print_["code"] == find["code"] == "disconnected"
    assert "1011 out of order" in find["message"]
    assert "may be printed" in print_["message"]
    assert (connected, state) == (False, "idle")


def test_connecting_again_after_a_loss(url) -> None:
    body = """
        await P.initialize(url);
        const before = P.getUniqID();
        P.resetConnection();
        const lost = [P.isConnected(), P.getUniqID() !== before];
        await P.initialize(url);
        return [lost, await P.fetchPrinters()];
    """
    assert value(body, url) == [[False, True], ["Label", "Receipt"]]


def test_reset_closes_the_socket_and_rejects_what_waits(url, reference) -> None:
    seen = value(
        """
        await P.initialize(url);
        const waits = P.fetchPrinters().catch(failure);
        P.resetConnection();
        return (await waits).code;
        """,
        url,
    )
    assert seen == "disconnected"
    assert reference.was_closed_by_the_page()


def test_the_same_address_again_keeps_the_connection(url, reference) -> None:
    body = """
        const both = [P.initialize(url), P.initialize(url + "/")];
        await Promise.all(both);
        const uid = P.getUniqID();
        await P.initialize(url);
        return [both[0] === both[1], P.getUniqID() === uid];
    """
    assert value(body, url) == [True, True]
    assert len(reference.requests) == 1


def test_another_address_replaces_the_connection(url, reference) -> None:
    class Other(Reference):
        def replies(self, request, uid):
            names = {"uid": uid, "result": ["Kitchen"], "status_code": 0}
            return [names] if request["call"] == "printers.find" else super().replies(request, uid)

    with serving(Other()) as other:
        seen = value(
            f"""
            await P.initialize(url);
            const waits = P.printerStatus("Label").catch(failure);
            await P.initialize("{other}");
            return [await P.fetchPrinters(), (await waits).code, P.getServerAddress()];
            """,
            url,
        )
        assert seen == [["Kitchen"], "disconnected", other]
        assert reference.was_closed_by_the_page()


def test_another_address_while_the_first_is_still_opening(url, unused_port) -> None:
    body = f"""
        const first = P.initialize("ws://127.0.0.1:{unused_port}").catch(failure);
        await P.initialize(url);
        return [(await first).code, await P.fetchPrinters()];
    """
    assert value(body, url) == ["disconnected", ["Label", "Receipt"]]


def test_frames_that_are_nobody_s_answer_are_passed_over() -> None:
    class Chatty(Reference):
        def __call__(self, connection) -> None:
            for frame in ("Hello!", "[1]", "null", "3", '{"result":["x"]}', '{"uid":null,"status":"error"}'):
                connection.send(frame)
            connection.send(b"\x00\xff")
            super().__call__(connection)

        def replies(self, request, uid):
            broadcast = {"status": "Printer status changed", "status_code": 0}
            foreign = {"uid": "uid-of-another", "result": ["Nobody"], "status_code": 0}
            return [broadcast, foreign, *super().replies(request, uid)]

    with serving(Chatty()) as url:
        assert value("await P.initialize(url); return P.fetchPrinters();", url) == ["Label", "Receipt"]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_printer_s_status_is_its_code(code) -> None:
    class Busy(Reference):
        def replies(self, request, uid):
            if request["call"] == "printerStatus":
                status = "error" if code == 3 else "Printer status retrieved"
                return [{"uid": uid, "status": status, "PrinterName": request["PrinterName"], "status_code": code}]
            return super().replies(request, uid)

    with serving(Busy()) as url:
        assert value("await P.initialize(url); return P.printerStatus('Label');", url) == code


def test_a_native_call_gives_its_result_or_its_error() -> None:
    class Native(Reference):
        def replies(self, request, uid):
            match request["call"]:
                case "jobs.get":
                    error = {
                        "code": "no-such-job",
                        "message": "There is no job J1.",
                        "hint": "It may be old.",
                    }
                    return [{"uid": uid, "error": error}]
                case "subscribe":
                    return [{"uid": uid, "result": None}]
                case "printers.list":
                    return [{"uid": uid, "result": request["params"]}]
            return super().replies(request, uid)

    with serving(Native()) as url:
        seen = value(
            """
            await P.initialize(url);
            return [await P.call("subscribe"), await P.call("printers.list", { a: [1] }),
                    await P.call("jobs.get", { id: "J1" }).catch(failure)];
            """,
            url,
        )
    error = {
        "code": "no-such-job",
        "message": "There is no job J1.",
        "hint": "It may be old.",
        "is": "Error",
    }
    assert seen == [None, {"a": [1]}, error]


def test_a_call_that_the_server_does_not_know_ends_though_it_is_silent(url) -> None:
    # Once with a later answer that shows it, once with nothing else going on.
    seen = value(
        """
        await P.initialize(url);
        const unknown = P.call("jobs.get").catch(failure);
        await P.fetchPrinters();
        const alone = P.call("jobs.list").catch(failure);
        return [(await unknown).code, (await alone).code, P.isConnected()];
        """,
        url,
    )
    assert seen == ["no-reply", "no-reply", True]


def test_two_clients_in_one_page_have_a_connection_each(url, reference) -> None:
    body = """
        const other = P.create();
        await Promise.all([P.initialize(url), other.initialize(url)]);
        P.resetConnection();
        return [P.isConnected(), await other.fetchPrinters()];
    """
    assert value(body, url) == [False, ["Label", "Receipt"]]
