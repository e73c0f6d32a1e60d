"""The till of the examples in Chromium, against the real server: each ticket on paper once, whatever happens between."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http import HTTPStatus
from socket import SHUT_RDWR
from types import SimpleNamespace

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.sync.client import connect
from websockets.sync.server import serve

from rawprint.virtual import Listener, device

from .test_browser import CHROMIUM, FLAGS, ROOT, Examples

sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright (pip install playwright)")
expect = sync_api.expect

PATIENCE = 15.0  # seconds until something that must come is given up
DRAWER = b"\x1bp\x00\x32\xfa"
# A ticket of two espressos and a crème brûlée, as a printer reads it whose code page is 858.
HEAD = b"\x1b@\x1bt\x13\x1ba\x01\x1b!\x30Corner Caf\x82\n\x1b!\x00\x1ba\x00"
WHEN = rb"\d{4}-\d\d-\d\d \d\d:\d\d"
BODY = (
    b"\n\n2 x Espresso                          4.40\n"
    b"1 x Cr\x8ame br\x96l\x82e                      4.90\n"
    b"------------------------------------------\n"
    b"\x1bE\x01Total                               \xd5 9.30\n\x1bE\x00"
)
TAIL = b"Thank you!\n\x1dVB\x00"

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt-get install chromium)"),
    pytest.mark.xdist_group("till"),  # one browser for all of them
]


class Server:
    """`rawprint-server` as a process that is stopped and started again on the same port."""

    def __init__(self, folder, printer, origin, extra):
        self.port, self._process = 0, None
        self._log = folder / "server.log"
        self._config = folder / "server.toml"
        self._config.write_text(
            f'[printers.Receipt]\naddress = "{printer.address}"\ndialect = "escpos"\nshare = false\n{extra}\n'
            f'[access]\norigins = ["{origin}"]\n'
        )

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "rawprint_server", "--config", self._config, "--port", str(self.port)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    def tell(self, number):
        self._process.send_signal(number)

    def wait(self):
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self.wait()


class Relay:
    """Passes the messages between a page and the server on, one by one, as `up` and `down` decide.

    They are functions of a message that return whether it is passed on; `cut` ends all connections without a word, and
    `silence` leaves them open while nothing passes any more.
    """

    def __init__(self, server):
        self._server = server
        self.up = self.down = lambda _: True
        self._open = []
        self._serving = serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._http,
            subprotocols=["rawprint.v1"],
            compression=None,
            max_size=None,
        )
        self.address = f"127.0.0.1:{self._serving.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serving.serve_forever)
        self._thread.start()

    def close(self):
        self._serving.shutdown()
        self.cut()
        self._thread.join()

    def cut(self):
        for pair in list(self._open):
            self._hang_up(pair)

    def silence(self):
        for pair in self._open:
            pair.loud.clear()

    def resume(self):
        for pair in self._open:
            pair.loud.set()

    def _http(self, _connection, request):
        if request.path.startswith("/rawprint.js"):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            origin = {"Origin": request.headers["Origin"]}
            script = urllib.request.Request(f"http://{self._server.address}/rawprint.js", headers=origin)
            with opener.open(script, timeout=PATIENCE) as answer:
                return Response(200, HTTPStatus.OK.phrase, Headers(answer.headers.items()), answer.read())
        return None

    def _serve(self, page):
        url, origin = f"ws://{self._server.address}", page.request.headers["Origin"]
        options = {"subprotocols": ["rawprint.v1"], "proxy": None, "compression": None, "max_size": None}
        with contextlib.suppress(OSError), connect(url, origin=origin, **options) as server:
            pair = SimpleNamespace(page=page, server=server, loud=threading.Event())
            pair.loud.set()
            self._open.append(pair)
            down = threading.Thread(target=self._pump, args=(pair, server, page, "down"))
            down.start()
            self._pump(pair, page, server, "up")
            down.join()
        self._shut(page)  # without a word, unless one has been said

    def _pump(self, pair, source, sink, way):
        with contextlib.suppress(ConnectionClosed):
            for message in source:
                pair.loud.wait()
                if getattr(self, way)(json.loads(message)):
                    sink.send(message)
        said = source.protocol.close_rcvd
        if said is not None and said.code != CloseCode.NO_STATUS_RCVD:
            sink.close(said.code, said.reason)
        self._hang_up(pair)

    def _hang_up(self, pair):
        pair.loud.set()
        self._shut(pair.page)
        self._shut(pair.server)
        with contextlib.suppress(ValueError):
            self._open.remove(pair)

    @staticmethod
    def _shut(connection):
        with contextlib.suppress(OSError):
            connection.socket.shutdown(SHUT_RDWR)


class Till:
    """The page, as a cashier uses it."""

    def __init__(self, page, printer):
        self.page, self.printer = page, printer
        self.state = page.locator("#state")

    def ready(self):
        expect(self.state).to_have_text("Receipt: Ready")

    def pay(self, way="cash"):
        for product in ("Espresso", "Espresso", "Crème brûlée"):
            self.page.locator("#products").get_by_role("button", name=product).click()
        self.page.get_by_role("button", name="cash" if way == "cash" else "by card").click()

    def ticket(self, number):
        return self.page.locator(".ticket").filter(has_text=re.compile(rf"Receipt {number}\b"))

    def shows(self, number, words):
        expect(self.ticket(number).locator(".state")).to_have_text(words)

    def press(self, number, button):
        self.ticket(number).get_by_role("button", name=button).click()

    @contextlib.contextmanager
    def suspended(self):
        """The pages of the browser stand still, as on a computer that sleeps; the page must not be asked meanwhile."""
        browser = self.page.context.browser.new_browser_cdp_session()
        processes = browser.send("SystemInfo.getProcessInfo")["processInfo"]
        renderers = [process["id"] for process in processes if process["type"] == "renderer"]
        for renderer in renderers:
            os.kill(renderer, signal.SIGSTOP)
        try:
            yield
        finally:
            for renderer in renderers:
                os.kill(renderer, signal.SIGCONT)

    def printed(self, number):
        """How often the ticket is on paper, whole."""
        whole = re.compile(
            re.escape(HEAD) + b"Receipt %d +" % number + WHEN + re.escape(BODY) + rb"Paid [a-z ]+\. " + TAIL
        )
        return len(whole.findall(self.printer.printed()))

    def ends_well(self, number, *, times=1):
        """The ticket is settled, another one still prints, and so nothing is left that could print the first again."""
        assert self.page.evaluate("JSON.parse(sessionStorage.tickets)") == []
        self.pay("card")
        self.shows(number + 1, "Printed")
        assert self.printer.wait(lambda _: self.printed(number + 1) == 1, PATIENCE)
        assert self.printed(number) == times
        assert self.printer.printed().count(b"Receipt %d " % number) == times  # nor is it there in parts


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site():
    """The origin of the web site that the till comes from."""
    handler = functools.partial(Examples, directory=ROOT / "examples")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def till(stack, browser, site, tmp_path):
    """till(encoding=..., relayed=..., **of the printer) -> a `Till` with its `server` and its `relay`."""

    def make(*, encoding="cp858", relayed=False, share=False, ready=True, **options):
        printer = stack.enter_context(Listener(device("escpos", **options)))
        extra = f'encoding = "{encoding}"' if encoding else ""
        server = Server(tmp_path, printer, site, extra)
        server.start()
        stack.callback(server.kill)
        relay = None
        if relayed:
            relay = Relay(server)
            stack.callback(relay.close)
        context = browser.new_context()
        stack.callback(context.close)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        errors = []
        stack.callback(lambda: check(errors))
        page.goto(f"{site}/till.html?server={(relay or server).address}")
        made = Till(page, printer)
        made.server, made.relay = server, relay
        if ready:
            made.ready()
        return made

    def check(errors):
        assert errors == []

    expect.set_options(timeout=PATIENCE * 1000)
    yield make
    expect.set_options(timeout=5000)


def swallow(call):
    """Two functions for a `Relay` that lose the reply to the first request of that call, and the event that it is lost."""
    asked, lost = [], threading.Event()

    def up(message):
        if message["call"] == call and not asked:
            asked.append(message["uid"])
        return True

    def down(message):
        if message.get("uid") in asked and not lost.is_set():
            lost.set()
            return False
        return True

    return up, down, lost


# -- a day at the till -----------------------------------------------------------------------------------------------


def test_paying_prints_exactly_this_once_and_opens_the_drawer_once(till) -> None:
    till = till()
    till.pay()
    till.shows(1, "Printed")
    assert till.printer.wait(lambda d: d.tickets == 1, PATIENCE)
    expected = re.compile(
        re.escape(DRAWER + HEAD) + b"Receipt 1                 " + WHEN + re.escape(BODY + b"Paid cash. " + TAIL)
    )
    assert expected.fullmatch(till.printer.printed())
    assert till.printer.device.drawer_kicks == 1
    till.ends_well(1)
    assert till.printer.device.drawer_kicks == 1  # the second was paid by card


def test_without_a_code_page_in_the_configuration_the_ticket_is_plain(till) -> None:
    till = till(encoding=None)
    till.pay("card")
    till.shows(1, "Printed")
    paper = till.printer.printed()
    assert b"Corner Cafe\n" in paper
    assert b"1 x Creme brulee" in paper
    assert b"EUR 9.30\n" in paper
    assert paper.isascii()


def test_paper_out_shows_within_a_second_and_the_ticket_goes_on_by_itself(till) -> None:
    till = till()
    till.pay("card")
    till.shows(1, "Printed")
    till.printer.set("media-empty", True)
    expect(till.state).to_have_text("Receipt: Paper is out", timeout=1000)
    till.pay("card")
    till.shows(2, "Waits: Paper is out")
    expect(till.page.locator("#detail")).to_have_text("Put in a new roll. Then it goes on by itself.")
    till.printer.set("media-empty", False)
    till.shows(2, "Printed")
    expect(till.state).to_have_text("Receipt: Ready", timeout=1000)
    till.ends_well(2)


def test_a_ticket_that_waits_can_be_canceled_and_printed_after_all(till) -> None:
    till = till(reasons=["cover-open"], ready=False)
    expect(till.state).to_have_text("Receipt: The cover is open")
    till.pay("card")
    till.shows(1, "Waits: The cover is open")
    till.press(1, "Cancel")
    till.shows(1, "Canceled")
    till.printer.set("cover-open", False)
    till.ready()
    assert till.printed(1) == 0
    till.press(1, "Print again")
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_drawer_that_does_not_open_is_said(till) -> None:
    till = till(reasons=["media-empty"], ready=False)
    expect(till.state).to_have_text("Receipt: Paper is out")
    till.page.get_by_role("button", name="Open the drawer").click()
    expect(till.page.locator("#note")).to_contain_text("The drawer did not open")
    till.printer.set("media-empty", False)
    till.ready()
    assert till.printer.device.drawer_kicks == 0


def test_the_till_says_that_there_is_no_server_and_finds_it_when_it_starts(till) -> None:
    till = till()
    till.server.kill()
    expect(till.state).to_have_text("Print server lost")
    till.page.reload()
    expect(till.state).to_have_text("No print server")
    expect(till.page.locator("#detail")).to_contain_text(
        f"This page does not reach a print server at {till.server.address}."
    )
    till.server.start()
    till.ready()


# -- a reload in the middle of a print -------------------------------------------------------------------------------


def test_reload_while_the_ticket_waits(till) -> None:
    till = till(reasons=["media-empty"], ready=False)
    expect(till.state).to_have_text("Receipt: Paper is out")
    till.pay("card")
    till.shows(1, "Waits: Paper is out")
    till.page.reload()
    till.shows(1, "Waits: Paper is out")
    till.printer.set("media-empty", False)
    till.shows(1, "Printed")
    till.ends_well(1)


def test_reload_while_its_bytes_go_out(till) -> None:
    till = till(speed=150, buffer_size=64)
    till.pay("card")
    assert till.printer.wait(lambda d: b"Receipt 1" in d.printed, PATIENCE)
    till.page.reload()
    till.shows(1, "Printed")
    till.ends_well(1)


def test_reload_before_the_request_got_through(till) -> None:
    till = till(relayed=True)
    gone = threading.Event()

    def up(message):
        if message["call"] != "print" or gone.is_set():
            return True
        gone.set()
        return False

    till.relay.up = up
    till.pay()
    assert gone.wait(PATIENCE)
    till.page.reload()
    till.shows(1, "Printed")
    till.ends_well(1)


def test_reload_before_the_reply_came_back(till) -> None:
    till = till(relayed=True)
    till.relay.up, till.relay.down, lost = swallow("print")
    till.pay("card")
    assert lost.wait(PATIENCE)
    till.page.reload()
    till.shows(1, "Printed")
    till.ends_well(1)


# -- a connection that sleeps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [False, True])
def test_a_page_that_is_suspended_while_the_ticket_prints(till, cut) -> None:
    till = till(reasons=["media-empty"], ready=False, relayed=True)
    expect(till.state).to_have_text("Receipt: Paper is out")
    till.pay("card")
    till.shows(1, "Waits: Paper is out")
    with till.suspended():
        if cut:
            till.relay.cut()
        till.printer.set("media-empty", False)
        assert till.printer.wait(lambda d: d.tickets == 1, PATIENCE)
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_page_that_is_suspended_before_the_reply_for_longer_than_it_waits_for_one(till) -> None:
    till = till(relayed=True)
    suspended, sent = threading.Event(), threading.Event()

    def down(message):
        if "id" in (message.get("result") or ()):
            sent.set()
            suspended.wait(PATIENCE)
        return True

    till.relay.down = down
    till.pay("card")
    assert sent.wait(PATIENCE)
    with till.suspended():
        suspended.set()
        assert till.printer.wait(lambda d: d.tickets == 1, PATIENCE)
        time.sleep(6)
    till.shows(1, "Printed")
    till.ends_well(1)


@pytest.mark.parametrize("resumed", [True, False])
def test_a_connection_that_goes_silent(till, resumed) -> None:
    till = till(relayed=True)
    came = threading.Event()
    till.relay.silence()
    till.relay.up = lambda message: came.set() or True if message["call"] == "print" else True
    till.pay("card")
    if resumed:  # what was on its way comes late, when the page may have given that connection up
        assert till.page.wait_for_function("JSON.parse(sessionStorage.tickets).length === 1")
        till.relay.resume()
    till.shows(1, "Printed")
    assert came.is_set()
    till.relay.resume()
    till.ends_well(1)


# -- a server that is restarted --------------------------------------------------------------------------------------


def test_a_server_that_is_restarted_while_the_ticket_goes_out_finishes_it(till) -> None:
    till = till(speed=150, buffer_size=64)
    till.pay("card")
    assert till.printer.wait(lambda d: b"Receipt 1" in d.printed, PATIENCE)
    till.server.tell(signal.SIGTERM)
    till.server.wait()
    till.server.start()
    till.shows(1, "Printed")
    till.ready()
    till.ends_well(1)


def test_a_server_that_is_restarted_while_the_ticket_waits_has_it_still(till) -> None:
    till = till(reasons=["media-empty"], ready=False)
    expect(till.state).to_have_text("Receipt: Paper is out")
    till.pay("card")
    till.shows(1, "Waits: Paper is out")
    till.server.tell(signal.SIGTERM)
    till.server.wait()
    till.shows(1, "Not known while the print server is away")
    till.server.start()
    till.shows(1, "Waits: Paper is out")
    till.printer.set("media-empty", False)
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_ticket_that_is_paid_while_there_is_no_server_waits_for_it(till) -> None:
    till = till()
    till.server.kill()
    expect(till.state).to_have_text("Print server lost")
    till.pay("card")
    till.shows(1, "Waits for the print server")
    till.server.start()
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_server_that_is_killed_while_the_ticket_waits_has_it_still(till) -> None:
    till = till(reasons=["media-empty"], ready=False)
    expect(till.state).to_have_text("Receipt: Paper is out")
    till.pay("card")
    till.shows(1, "Waits: Paper is out")
    till.server.kill()
    till.server.start()
    till.shows(1, "Waits: Paper is out")
    assert till.printed(1) == 0
    till.printer.set("media-empty", False)
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_server_that_is_killed_while_the_ticket_goes_out_leaves_it_to_a_person(till) -> None:
    till = till(speed=150, buffer_size=1024)  # the printer has all of it and goes on alone
    till.pay("card")
    assert till.printer.wait(lambda d: b"Receipt 1" in d.printed, PATIENCE)
    till.server.kill()
    till.server.start()
    till.shows(1, "Look at the printer: is it printed?")
    assert till.printer.wait(lambda d: d.tickets == 1, PATIENCE)
    till.press(1, "It is printed")
    expect(till.ticket(1)).to_have_count(0)
    till.ready()
    till.ends_well(1)


def test_a_server_that_is_killed_before_it_answered_leaves_the_ticket_to_a_person(till) -> None:
    till = till(relayed=True)
    till.relay.up, till.relay.down, lost = swallow("print")
    till.pay("card")
    assert lost.wait(PATIENCE)
    assert till.printer.wait(lambda d: d.tickets == 1, PATIENCE)
    till.server.kill()
    till.server.start()
    till.shows(1, "Look at the printer: is it printed?")
    till.press(1, "It is printed")
    till.ends_well(1)


# -- a reply that does not come --------------------------------------------------------------------------------------


def test_a_reply_that_is_lost_on_a_connection_that_goes_on(till) -> None:
    till = till(relayed=True)
    till.relay.up, till.relay.down, lost = swallow("print")
    till.pay("card")
    assert lost.wait(PATIENCE)
    till.shows(1, "Printed")
    till.ends_well(1)


def test_a_reply_that_is_lost_with_its_connection(till) -> None:
    till = till(relayed=True)
    till.relay.up, swallowing, lost = swallow("print")

    def down(message):
        passes = swallowing(message)
        if not passes:
            till.relay.cut()
        return passes

    till.relay.down = down
    till.pay()
    assert lost.wait(PATIENCE)
    till.shows(1, "Printed")
    till.ends_well(1)
    assert till.printer.device.drawer_kicks == 1


def test_a_drawer_whose_reply_is_lost_opens_once(till) -> None:
    till = till(relayed=True)
    till.relay.up, till.relay.down, lost = swallow("drawer.open")
    till.pay()
    assert lost.wait(PATIENCE)
    till.shows(1, "Printed")
    till.ends_well(1)
    assert till.printer.device.drawer_kicks == 1
