"""Pages in a real browser against the real server: the example, the page at `/`, and a page that nobody allowed."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from rawprint.virtual import ControlPort, Listener, device
from rawprint_server.config import Config, PrinterConfig, ServerConfig

from .conftest import RunningServer
from .test_kept import cut_off, wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright (pip install playwright)")
expect = sync_api.expect

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 5000

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt-get install chromium)"),
    pytest.mark.xdist_group("chromium"),  # one browser for all of them
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a page whose console errors, exceptions and policy violations fail the test, unless it expects them."""
    contexts, complaints = [], []

    def open_page(url, *, strict=True, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if strict:
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def printer():
    with Listener(device("tspl")) as listener:
        yield listener


@pytest.fixture
def set_reason(printer):
    """Breaks and mends the printer from outside, by its control port."""
    with ControlPort(printer) as control:

        def set_reason(reason, value):
            body = json.dumps({reason: value}).encode()
            request = urllib.request.Request(f"{control.url}/state", body, {"Content-Type": "application/json"})
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()

        yield set_reason


class Examples(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/favicon.ico":  # browsers ask for it unasked
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The origin of a web site that is not the server's: it serves the examples."""
    handler = functools.partial(Examples, directory=ROOT / "examples")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def running_server(folder, printer, origins, port=0, *, end=subprocess.Popen.terminate, extra=""):
    """`rawprint-server` as a process of its own; gives host:port."""
    config = folder / "server.toml"
    config.write_text(
        textwrap.dedent(f"""
            [printers.Label]
            address = "{printer.address}"
            dialect = "tspl"
            [access]
            origins = {json.dumps(origins)}
        """)
        + extra
    )
    command = [sys.executable, "-m", "rawprint_server", "--config", str(config), "--port", str(port)]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        try:
            line = process.stdout.readline()
            assert line, (folder / "server.log").read_text()
            yield json.loads(line)["url"].removeprefix("ws://")
        finally:
            end(process)
            process.wait(10)


@pytest.fixture
def server(tmp_path, printer, site):
    with running_server(tmp_path, printer, [site]) as address:
        yield address


def label_of_example():
    """The bytes of the template literal, as the file has them."""
    text = (ROOT / "examples/label-classic.html").read_text(encoding="utf-8")
    return re.search(r"const label = `([^`]*)`", text)[1].encode()


def jobs_in(received):
    """What was received without the questions about its status: all that was to be printed."""
    return re.sub(rb"\x1b![?S]", b"", received)


def open_commands(page):
    page.get_by_role("navigation").get_by_role("link", name="Commands").click()


def wait_for_bytes(printer, size):
    assert printer.wait(lambda _: len(jobs_in(printer.received())) >= size, 5)


def test_the_example_page_lists_the_printers_and_prints(open_page, server, site, printer) -> None:
    page = open_page(f"{site}/label-classic.html?server={server}")
    expect(page.locator("#outcome")).to_have_text("Label is ready.")
    expect(page.locator("#printers option")).to_have_text(["Label"])
    assert page.evaluate("PrinterWebSocket.getServerAddress()") == f"ws://{server}"

    page.get_by_role("button", name="Print").click()
    expect(page.locator("#outcome")).to_have_text(
        re.compile(r"The server has taken the label. Label is (ready|printing)\.")
    )
    label = label_of_example()
    assert label.startswith(b"\n      SIZE 80 mm, 40 mm\n")
    wait_for_bytes(printer, len(label))
    received = printer.received()
    # Once, and unbroken: no question between its first and its last byte.
    assert received.count(label) == 1
    assert jobs_in(received) == label


def test_the_label_page_prints_what_it_shows_and_follows_it(server, open_page, site, printer, set_reason) -> None:
    page = open_page(f"{site}/label.html?server={server}")
    expect(page.locator("#printers")).to_have_value("Label")
    page.get_by_label("Text").fill('5" pipe')
    page.get_by_label("How many").fill("2")
    commands = page.get_by_label("What the printer gets")
    expect(commands).to_contain_text('TEXT 40,40,"3",0,1,1,"5\\["] pipe"')
    shown = commands.evaluate("(node) => node.textContent").encode()
    assert shown.endswith(b"\r\nPRINT 2,1\r\n")

    set_reason("media-empty", True)
    page.get_by_role("button", name="Print").click()
    expect(page.locator("#outcome")).to_have_text(re.compile('“5" pipe” (waits|has stopped): labels are out.'))
    expect(page.locator("#printer")).to_have_text("Label is stopped: labels are out.")
    set_reason("media-empty", False)
    expect(page.locator("#outcome")).to_have_text('“5" pipe” is with the printer.')
    assert jobs_in(printer.received()) == shown


def test_the_label_page_says_why_it_does_not_connect(open_page, tmp_path, printer, site) -> None:
    with running_server(tmp_path, printer, ["https://pos.example.com"]) as server:
        page = open_page(f"{site}/label.html?server={server}", strict=False)
        expect(page.locator("#printer")).to_contain_text(f"rawprint-server access allow {site}")
    page.reload()
    expect(page.locator("#printer")).to_contain_text(f"This page does not reach a print server at {server}.")


def test_paper_out_shows_within_a_second_and_so_does_its_end(open_page, server, site, set_reason) -> None:
    page = open_page(f"{site}/label-classic.html?server={server}")
    expect(page.locator("#outcome")).to_have_text("Label is ready.")

    def status():
        """The first answer that is more than "not known", which a machine under load may have to say; each in time."""
        until = time.monotonic() + PATIENCE_MS / 1000
        while True:
            start = time.monotonic()
            code = page.evaluate("PrinterWebSocket.printerStatus('Label')")
            assert time.monotonic() - start < 1
            if code != 3 or start > until:
                return code

    assert status() == 0
    set_reason("media-empty", True)
    assert status() == 2
    set_reason("media-empty", False)
    assert status() == 0


def test_a_page_of_a_foreign_origin_is_refused_and_prints_nothing(open_page, tmp_path, printer, site) -> None:
    with running_server(tmp_path, printer, ["https://pos.example.com"]) as server:
        page = open_page(f"{site}/label-classic.html?server={server}", strict=False)
        expect(page.locator("#outcome")).to_contain_text(f"{site} is not allowed: rawprint-server access allow")
        expect(page.locator("#printers option")).to_have_count(0)
        # A page that does not wait to be let in gets no further: neither by the client nor by a socket of its own.
        error = page.evaluate("PrinterWebSocket.print('Label', 'PRINT 1,1\\n').catch((error) => error.message)")
        assert site in error
        code, reason = page.evaluate(
            """(url) => new Promise((resolve) => {
                const socket = new WebSocket(url);
                const print = { call: "print", params: { printer: { name: "Label" }, data: ["PRINT 1,1\\n"] } };
                socket.onopen = () => socket.send(JSON.stringify(print));
                socket.onclose = (event) => resolve([event.code, event.reason]);
            })""",
            f"ws://{server}",
        )
        assert code == 4403
        assert site in reason
        # The server has ended, and with it everything that could still have been on its way.
    assert printer.received() == b""


def test_the_page_at_the_root_prints_and_shows_what_became_of_it(server, open_page, printer, tmp_path) -> None:
    page = open_page(f"http://{server}/", viewport={"width": 1200, "height": 900})
    expect(page.locator("#connection")).to_have_text("Connected")
    card = page.locator("[data-printer=Label]")
    expect(card).to_contain_text("Ready")
    open_commands(page)
    expect(page.locator("#printer")).to_have_value("Label")
    commands = page.get_by_label("Commands", exact=True).input_value()
    assert commands.startswith("SIZE 80 mm, 40 mm\n")

    page.get_by_role("button", name="Print", exact=True).click()
    job = page.locator("#sent > li")
    expect(job).to_have_count(1)
    expect(job).to_have_attribute("data-job-state", re.compile("delivered|completed"))
    expect(job).to_contain_text(job.get_attribute("data-job"))
    expect(job).to_contain_text(re.compile("took every byte|Printed"))
    expect(job).to_contain_text(f"{len(commands)} of {len(commands)} taken")
    assert jobs_in(printer.received()) == commands.encode()
    page.screenshot(path=tmp_path / "desktop.png", full_page=True)


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_the_page_at_the_root_connects_by_every_name_of_this_machine(server, open_page, host) -> None:
    port = int(server.rpartition(":")[2])
    try:
        socket.create_connection((host.strip("[]"), port), timeout=5).close()
    except OSError:
        pytest.skip(f"the server does not listen on {host}: this machine has no IPv6")
    page = open_page(f"http://{host}:{port}/")
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(page.locator("[data-printer=Label]")).to_contain_text("Ready")


def test_the_page_at_the_root_sends_bytes_that_are_no_text(server, open_page, printer) -> None:
    page = open_page(f"http://{server}/")
    expect(page.locator("#connection")).to_have_text("Connected")
    open_commands(page)
    page.get_by_label("Example").select_option("escpos")
    expect(page.get_by_label(re.compile("as one byte"))).to_be_checked()
    page.get_by_label("Commands", exact=True).fill("\\x00\\xFFé\\n\\\\\\q\n")
    expect(page.locator("#note")).to_contain_text("9 bytes")
    page.get_by_role("button", name="Print", exact=True).click()
    wait_for_bytes(printer, 9)
    assert jobs_in(printer.received()) == b"\x00\xff\xc3\xa9\n\\\\q\n"


def test_the_page_at_the_root_says_why_a_job_waits_and_goes_on(server, open_page, set_reason, tmp_path) -> None:
    page = open_page(f"http://{server}/", viewport={"width": 390, "height": 844}, color_scheme="dark")
    expect(page.locator("[data-printer=Label]")).to_contain_text("Ready")
    set_reason("media-empty", True)
    open_commands(page)
    page.get_by_role("button", name="Print", exact=True).click()
    job = page.locator("#sent > li")
    expect(job).to_contain_text("Waiting: paper is out.")
    expect(page.locator("[data-printer=Label]")).to_contain_text("Stopped: paper is out")
    page.screenshot(path=tmp_path / "phone-dark-stopped.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    set_reason("media-empty", False)
    expect(job).to_have_attribute("data-job-state", re.compile("delivered|completed"))
    expect(job.locator(".steps")).to_contain_text("paper is out")
    expect(page.locator("[data-printer=Label]")).to_contain_text("Ready")
    page.screenshot(path=tmp_path / "phone-dark-delivered.png", full_page=True)


def test_the_page_at_the_root_asks_the_printer_on_demand(server, open_page, set_reason, tmp_path) -> None:
    page = open_page(f"http://{server}/", viewport={"width": 1200, "height": 900}, color_scheme="dark")
    card = page.locator("[data-printer=Label]")
    expect(card).to_contain_text("Ready")
    set_reason("cover-open", True)
    page.get_by_role("button", name="Ask Label now").click()
    expect(card).to_contain_text("Stopped: the cover is open")
    page.screenshot(path=tmp_path / "desktop-dark.png", full_page=True)


def test_the_page_at_the_root_lives_through_the_end_of_the_server(open_page, tmp_path, printer, set_reason) -> None:
    set_reason("media-empty", True)
    with running_server(tmp_path, printer, [], end=subprocess.Popen.kill) as server:
        page = open_page(f"http://{server}/", strict=False, viewport={"width": 390, "height": 844})
        expect(page.locator("#connection")).to_have_text("Connected")
        open_commands(page)
        page.get_by_role("button", name="Print", exact=True).click()
        job = page.locator("#sent > li")
        expect(job).to_contain_text("Waiting: paper is out.")
    expect(page.locator("#connection")).to_contain_text("Not connected. ")
    expect(page.locator("#stale")).to_contain_text("What you see is as of")
    expect(page.get_by_role("button", name="Print", exact=True)).to_be_disabled()
    expect(job).to_contain_text("not known for now")
    page.screenshot(path=tmp_path / "phone-lost.png", full_page=True)
    with running_server(tmp_path, printer, [], port=int(server.rpartition(":")[2])):
        expect(page.locator("#connection")).to_have_text("Connected", timeout=2 * PATIENCE_MS)
        expect(page.get_by_role("button", name="Print", exact=True)).to_be_enabled()
        expect(job).to_contain_text("Waiting: paper is out.")  # it was killed, and has the job still


def test_the_page_at_the_root_tells_of_a_printer_that_is_not_there(open_page, tmp_path) -> None:
    with Listener(device("tspl")) as gone:
        pass
    with running_server(tmp_path, gone, []) as server:
        page = open_page(f"http://{server}/", strict=False, viewport={"width": 1200, "height": 900})
        expect(page.locator("[data-printer=Label]")).to_contain_text("No answer")
        open_commands(page)
        page.get_by_role("button", name="Print", exact=True).click()
        job = page.locator("#sent > li")
        expect(job).to_have_attribute("data-job-state", "pending")
        expect(job).to_contain_text("Waiting: ")
        expect(job).to_contain_text("Nothing of it was sent yet.")
        page.screenshot(path=tmp_path / "desktop-gone.png", full_page=True)


def test_the_page_at_the_root_asks_what_became_of_an_uncertain_label(open_page, tmp_path) -> None:
    with Listener(device("tspl", media=1000)) as printer:
        config = Config(ServerConfig(port=0), {"Label": PrinterConfig(printer.address, "tspl", share=False)})
        with RunningServer(config, tmp_path / "state") as server, server.native() as native:
            page = open_page(f"http://127.0.0.1:{server.port}/", viewport={"width": 390, "height": 844})
            expect(page.get_by_role("heading", name="Did it come out?")).to_be_hidden()
            cut_off(printer, native)
            native.ask("print", printer="Label", data="NEXT\r\n", options={"id": "next"})
            doubt = page.locator("#doubts-list > li")
            expect(doubt).to_contain_text("bytes were surely taken")
            page.screenshot(path=tmp_path / "doubt.png", full_page=True)
            doubt.get_by_role("button", name="Print it again").click()
            expect(doubt).to_have_count(0)
            expect(page.get_by_role("heading", name="Did it come out?")).to_be_hidden()
            wait_for(native, "next", "delivered")
            assert printer.printed().count(b"x" * 20_000) == 1
