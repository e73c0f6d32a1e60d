"""The ways in which Chromium, or the server, keeps a page from printing, and what rawprint.js tells a person of each.

Chromium takes a page for one from the internet where `--ip-address-space-overrides` says so of its server's address, and
then lets it reach this computer only with a permission (Local Network Access). That permission is given and taken here by
policies, as an administrator does, and by DevTools, as a user does who answers the browser's question.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import json
import shutil
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rawprint_server.cli import main
from rawprint_server.policy import FILE

from .test_browser import CHROMIUM, FLAGS, ROOT, Examples

sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright (pip install playwright)")

HOST = "till.lna-test.example"
RULED = "ruled.lna-test.example"  # the policies are for this host alone: other browsers hear of them, too
POLICIES = Path("/etc/chromium/policies/managed")
PATIENCE = 10_000  # milliseconds
PAGE = """<!doctype html><link rel="icon" href="data:,">
<script type="module">window.rawprint = await import("./lib/rawprint.js");</script>"""

# What connect() does, and what its page hears meanwhile: [code, ...] of the events, and the outcome.
CONNECT = """([url, timeout]) => {
    const seen = window.seen = [];
    const onConnection = ({ connected, error }) => seen.push(connected ? "connected" : error.code);
    window.outcome = rawprint.connect({ url, timeout, onConnection }).then(
        (printers) => { window.printers = printers; return { code: null, names: printers.names }; },
        ({ code, message, hint }) => ({ code, message, hint }));
}"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt-get install chromium)"),
    pytest.mark.xdist_group("chromium"),  # one browser for all of them
]


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The ports of a web site, as http and as https; it brings its own copy of rawprint.js."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text(PAGE)
    (folder / "lib").mkdir()
    shutil.copy(ROOT / "src/rawprint_server/static/rawprint.js", folder / "lib")
    shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
    keys = tmp_path_factory.mktemp("keys")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", keys / "key.pem", "-out", keys / "certificate.pem", "-days", "2", "-subj", f"/CN={HOST}"]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(keys / "certificate.pem", keys / "key.pem")
    with contextlib.ExitStack() as stack:

        def serve(context=None):
            handler = functools.partial(Examples, directory=folder)
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            if context is not None:
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server.server_port

        yield SimpleNamespace(http=serve(), https=serve(tls))


@pytest.fixture(scope="module")
def playwright():
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def launch(playwright, sites):
    """launch() -> a browser that takes the site's pages for public ones; it reads the policies as it starts."""

    @contextlib.contextmanager
    def launch():
        public = ",".join(f"127.0.0.1:{port}=public" for port in (sites.http, sites.https))
        flags = [
            *FLAGS,
            "--ignore-certificate-errors",
            "--host-resolver-rules=MAP *.lna-test.example 127.0.0.1",
            f"--ip-address-space-overrides={public}",
        ]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()

    return launch


@pytest.fixture(scope="module")
def browser(launch):
    with launch() as browser:
        yield browser


@pytest.fixture
def policies():
    """Chromium's folder of policies, which are the machine's, until the test has ended; for one test at a time."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((Path(tempfile.gettempdir()) / "rawprint-chromium-policy.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            for folder in (POLICIES.parent, POLICIES):
                if not folder.exists():
                    folder.mkdir()
                    stack.callback(folder.rmdir)
            for file in (POLICIES / "rawprint-lna-test.json", POLICIES / FILE):
                if file.exists():
                    pytest.skip(f"{file} is there already")
                file.touch()
                file.unlink()
                stack.callback(file.unlink, missing_ok=True)
        except OSError as error:
            pytest.skip(f"only root may write Chromium's policies, and where it has a folder for them: {error}")
        yield POLICIES


@pytest.fixture
def policy(policies):
    """policy({...}) makes a policy of the machine."""
    return lambda content: (policies / "rawprint-lna-test.json").write_text(json.dumps(content))


class Page:
    """A page of the site, and what it tried."""

    def __init__(self, browser, origin, permission=None, path="index.html"):
        self._browser, self._origin = browser, origin
        self._context = browser.new_context()
        self._context.set_default_timeout(PATIENCE)
        self.page = self._context.new_page()
        self._devtools = browser.new_browser_cdp_session()
        if permission is not None:
            self.permit(permission)
        self.page.goto(f"{origin}/{path}")

    def permit(self, setting):
        """What a user chooses in the browser: prompt (nothing yet), granted or denied."""
        own = self._context.new_cdp_session(self.page).send("Target.getTargetInfo")["targetInfo"]
        self._devtools.send(
            "Browser.setPermission",
            {
                "permission": {"name": "loopback-network"},
                "setting": setting,
                "origin": self._origin,
                "browserContextId": own["browserContextId"],
            },
        )

    def connect(self, url, timeout=PATIENCE):
        self.page.wait_for_function("window.rawprint")
        self.page.evaluate(CONNECT, [url, timeout])

    def hears(self, event):
        self.page.wait_for_function("(event) => seen.includes(event)", arg=event)

    def outcome(self):
        return self.page.evaluate("outcome")

    def seen(self):
        return self.page.evaluate("seen")

    def close(self):
        self._context.close()


@pytest.fixture
def open_page(browser, sites):
    """open_page(scheme, ...) -> a `Page` that the browser takes for one from the internet."""
    with contextlib.ExitStack() as stack:

        def open_page(scheme="https", host=HOST, *, browser=browser, **options):
            page = Page(browser, f"{scheme}://{host}:{getattr(sites, scheme)}", **options)
            stack.callback(page.close)
            return page

        yield open_page


@pytest.fixture
def server(start, label, sites):
    """A server that lets the site's pages in."""
    origins = [f"https://{HOST}:{sites.https}", f"http://{HOST}:{sites.http}", f"https://{RULED}:{sites.https}"]
    return start({"Label": (label.address, "tspl")}, origins)


def test_no_server_runs(open_page, closed_port) -> None:
    page = open_page(permission="granted")
    page.connect(f"ws://127.0.0.1:{closed_port}", timeout=500)
    assert page.outcome() == {
        "code": "not-running",
        "message": f"No print server answers at ws://127.0.0.1:{closed_port}/.",
        "hint": "Start rawprint-server there, or correct the address.",
    }
    assert set(page.seen()) == {"not-running"}


def test_the_origin_is_not_allowed(open_page, start, label, sites) -> None:
    origin = f"https://{HOST}:{sites.https}"
    server = start({"Label": (label.address, "tspl")}, ["https://pos.example.com"])
    page = open_page(permission="granted")
    page.connect(server.url)
    assert page.outcome() == {
        "code": "origin-not-allowed",
        "message": f"The print server refuses this page: {origin} is not allowed: rawprint-server access allow.",
        "hint": f"On the print server's machine: rawprint-server access allow {origin}",
    }
    assert page.seen() == ["origin-not-allowed"]  # and it is not asked again


def test_the_user_has_not_answered_yet_and_then_allows_it(open_page, server, label) -> None:
    page = open_page(permission="prompt")
    page.connect(server.url)
    page.hears("lna-prompt")
    page.permit("granted")
    assert page.outcome() == {"code": None, "names": ["Label"]}
    seen = page.seen()
    assert seen[-1] == "connected"
    assert set(seen[:-1]) == {"lna-prompt"}
    page.page.evaluate("printers.get('Label').print('PRINT 1,1\\r\\n', { wait: 'ended' })")
    assert label.printed() == b"PRINT 1,1\r\n"


def test_the_user_does_not_answer(open_page, server) -> None:
    page = open_page(permission="prompt")
    page.connect(server.url, timeout=500)
    assert page.outcome() == {
        "code": "lna-prompt",
        "message": "The browser asks whether this page may reach the print server on this computer.",
        "hint": 'Choose "Allow" where the browser asks; where it does not ask, see that rawprint-server runs.',
    }


DENIED = {
    "code": "lna-denied",
    "message": "The browser does not let this page reach the print server on this computer.",
    "hint": "Allow it in the browser's settings of this site; an iframe needs"
    ' allow="loopback-network; local-network".',
}


def test_the_question_is_answered_with_no(open_page, server) -> None:
    page = open_page()  # a browser without a window says no by itself, in earnest
    page.connect(server.url)
    assert page.outcome() == DENIED
    assert page.seen() == ["lna-denied"]  # too soon for the page to point at the question


def test_the_user_has_denied_it(open_page, server) -> None:
    page = open_page(permission="denied")
    page.connect(server.url)
    assert page.outcome() == DENIED
    assert page.seen() == ["lna-denied"]


def test_a_public_page_without_https(open_page, server) -> None:
    page = open_page("http")
    page.connect(server.url, timeout=500)
    assert page.outcome() == {
        "code": "lna-insecure-page",
        "message": "The browser lets only https pages reach a print server on this computer, and this page is none.",
        "hint": "Open the page with https:// instead of http://; on an intranet, see that rawprint-server runs.",
    }


def test_a_policy_denies_it(open_page, launch, policy, server, sites) -> None:
    policy({"LoopbackNetworkBlockedForUrls": [f"https://{RULED}:{sites.https}"]})
    with launch() as browser:
        page = open_page(host=RULED, browser=browser)
        page.connect(server.url)
        assert page.outcome() == DENIED
        assert page.seen() == ["lna-denied"]


def test_a_policy_allows_it(open_page, launch, policy, server, label, sites) -> None:
    policy({"LoopbackNetworkAllowedForUrls": [f"https://{RULED}:{sites.https}"]})
    with launch() as browser:
        page = open_page(host=RULED, browser=browser)
        page.connect(server.url)
        assert page.outcome() == {"code": None, "names": ["Label"]}
        assert page.seen() == ["connected"]
        page.page.evaluate("printers.get('Label').print('PRINT 1,1\\r\\n', { wait: 'ended' })")
        assert label.printed() == b"PRINT 1,1\r\n"


def test_policy_write_lets_the_page_print_and_remove_does_not_any_more(
    open_page, launch, policies, server, label, sites, capsys
) -> None:
    origin = f"https://{RULED}:{sites.https}"

    def connect():
        with launch() as browser:
            page = open_page(host=RULED, browser=browser)
            page.connect(server.url)
            outcome = page.outcome()
            if outcome["code"] is None:
                page.page.evaluate("printers.get('Label').print('PRINT 1,1\\r\\n', { wait: 'ended' })")
            return outcome

    assert connect() == DENIED
    assert main(["policy", "write", "--origin", origin, "--folder", str(policies)]) == 0
    assert connect() == {"code": None, "names": ["Label"]}
    assert label.printed() == b"PRINT 1,1\r\n"
    assert main(["policy", "remove", "--folder", str(policies)]) == 0
    assert connect() == DENIED
    assert label.printed() == b"PRINT 1,1\r\n"
    assert "chrome://policy" in capsys.readouterr().out


def test_a_policy_is_for_the_port_that_it_names(open_page, launch, policies, server, sites) -> None:
    """An origin without a port is that of https' own alone, where Chromium's own patterns would take any."""
    assert main(["policy", "write", "--origin", f"https://{RULED}", "--folder", str(policies)]) == 0
    with launch() as browser:
        page = open_page(host=RULED, browser=browser)
        page.connect(server.url)
        assert page.outcome() == DENIED


def test_the_till_says_that_it_does_not_reach_the_server(open_page, server) -> None:
    address = server.url.removeprefix("ws://")
    page = open_page(permission="denied", path=f"till.html?server={address}").page
    sync_api.expect(page.locator("#state")).to_have_text("No print server")
    sync_api.expect(page.locator("#detail")).to_have_text(
        f"This page does not reach a print server at {address}. Start rawprint-server on this computer, and choose Allow"
        " if the browser asks whether the page may reach it."
    )
