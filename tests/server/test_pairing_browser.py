"""Letting pages in, in a real browser: by a code on paper, and by this machine's user on the page at `/`."""

# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import re
import time

import pytest
from websockets.exceptions import ConnectionClosed

from rawprint_server.cli import main
from rawprint_server.config import AccessConfig, Config, PrinterConfig, ServerConfig

from .conftest import RunningServer
from .test_browser import CHROMIUM, browser, open_page, site, sync_api  # noqa: F401 - fixtures
from .test_pairing import code_on, wrong

expect = sync_api.expect

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt-get install chromium)"),
    pytest.mark.xdist_group("chromium"),  # one browser for all of them
]

# A page's own attempt, with nothing but a WebSocket: its close code, and every reply that came before it.
ATTEMPT = """([url, protocols, calls]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols), replies = [];
    socket.onopen = () => calls.forEach((call, uid) => socket.send(JSON.stringify({ uid, ...call })));
    socket.onmessage = ({ data }) => replies.push(JSON.parse(data)) === calls.length && socket.close();
    socket.onclose = ({ code }) => resolve({ code, replies });
})"""
LIST = {"call": "printers.list"}
PRINT = {"call": "print", "params": {"printer": "Label", "data": "PRINT 9,9\r\n"}}

# Ten connections that guess a hundred times each, all at once: the codes of all answers.
GUESS = """async (url) => {
  const all = [];
  for (let round = 0; round < 4; round += 1) all.push(...await Promise.all(Array.from({ length: 10 }, (_, lane) => new Promise((resolve) => {
    const socket = new WebSocket(url, "rawprint.pair.v1"), outcomes = [];
    const send = (call, uid, params) => socket.send(JSON.stringify({ call, uid, params }));
    socket.onopen = () => {
        for (let uid = 0; uid < 25; uid += 1) {
            send("pair.begin", -1);
            send("pair.enter", uid, { code: String(round * 250 + lane * 25 + uid).padStart(6, "0") });
        }
    };
    socket.onmessage = ({ data }) => {
        const { uid, error } = JSON.parse(data);
        uid >= 0 && outcomes.push(error ? error.code : "ok");
        outcomes.length === 25 && socket.close();
    };
    socket.onclose = () => resolve(outcomes);
  }))));
  return all.flat();
}"""


@pytest.fixture
def begin(stack, label, receipt, tmp_path):
    """begin(pairing=None, origins=()) -> a server with both printers that keeps what is granted."""

    def begin(pairing=None, origins=()):
        printers = {
            "Label": PrinterConfig(label.address, "tspl"),
            "Receipt": PrinterConfig(receipt.address, "escpos"),
        }
        config = Config(ServerConfig(port=0), printers, AccessConfig(tuple(origins), pairing=pairing))
        return stack.enter_context(RunningServer(config, tmp_path / "state"))

    return begin


@pytest.fixture
def dashboard(tmp_path, capsys):
    """dashboard(server) -> the address, with its code, that `rawprint-server dashboard` opens."""
    file = tmp_path / "administrator.toml"
    file.write_text(f'[server]\nstate_dir = "{tmp_path / "state"}"\n')

    def dashboard(server):
        url = server if isinstance(server, str) else server.url
        assert main(["dashboard", "--config", str(file), "--server", url, "--print"]) == 0
        return capsys.readouterr().out.split()[-1]

    return dashboard


@pytest.fixture
def shop(open_page, site):
    """shop(server) -> the label page of a web site, which may meet refusals, and no dialog."""
    dialogs = []

    def shop(server):
        page = open_page("about:blank", strict=False)
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto(f"{site}/label.html?server={server.url.removeprefix('ws://')}")
        return page

    yield shop
    assert dialogs == []


def attempt(page, server, protocols, *calls):
    return page.evaluate(ATTEMPT, [server.url, protocols, calls])


def refused(page, server):
    """Whether the page may neither list nor print."""
    outcomes = [attempt(page, server, protocols, LIST, PRINT) for protocols in (["rawprint.v1"], [])]
    return all(each == {"code": 4403, "replies": []} for each in outcomes)


def print_label(page, label):
    page.get_by_role("button", name="Print", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("is with the printer")
    shown = page.locator("#commands").evaluate("(node) => node.textContent").encode()
    assert label.printed().endswith(shown)


# -- by paper


@pytest.mark.parametrize("where", ["Receipt", "Label"])
def test_a_code_on_paper_lets_the_page_print(begin, shop, label, receipt, where, tmp_path) -> None:
    server = begin(where)
    page = shop(server)
    expect(page.locator("#printer")).to_contain_text("is not allowed")
    assert refused(page, server)
    printer = {"Receipt": receipt, "Label": label}[where]
    assert printer.printed() == b""  # nothing is printed before somebody asks for it

    page.get_by_role("button", name="Let it in with a code").click()
    expect(page.locator("#asking")).to_have_text(f"A code comes out of {where}: type it here.")
    page.screenshot(path=tmp_path / "pairing.png", full_page=True)
    page.get_by_label("Code").press_sequentially(code_on(printer))
    page.keyboard.press("Enter")
    expect(page.locator("#printers")).to_have_value("Label")
    expect(page.get_by_label("Code")).to_be_hidden()
    assert page.url.removeprefix("http://").partition("/")[0].encode() in printer.printed().replace(b"\n", b"")
    print_label(page, label)

    page.reload()  # and it is remembered
    print_label(page, label)


def test_five_wrong_codes_end_it(begin, shop, receipt) -> None:
    server = begin("Receipt")
    page = shop(server)
    page.get_by_role("button", name="Let it in with a code").click()
    expect(page.get_by_label("Code")).to_be_visible()
    code = code_on(receipt).replace(" ", "")
    for left in ("4 tries are", "3 tries are", "2 tries are", "1 try is"):
        page.get_by_label("Code").fill(wrong(code))
        page.keyboard.press("Enter")
        expect(page.locator("#asking")).to_have_text(f"that is not the code. {left} left.")
    page.get_by_label("Code").fill(wrong(code))
    page.keyboard.press("Enter")
    expect(page.locator("#asking")).to_have_text("5 wrong codes. Ask for a new one.")
    expect(page.get_by_label("Code")).to_be_hidden()
    right = {"call": "pair.enter", "params": {"code": code}}
    assert attempt(page, server, "rawprint.pair.v1", right)["replies"][0]["error"]["code"] == "pairing"
    assert refused(page, server)


def test_a_script_that_guesses_gets_nowhere(begin, shop, receipt) -> None:
    server = begin("Receipt")
    page = shop(server)
    outcomes = page.evaluate(GUESS, server.url)
    assert len(outcomes) == 1000
    assert set(outcomes) == {"wrong-code", "pairing"}
    assert outcomes.count("wrong-code") <= 3 * 4  # three codes with four tries each; the fifth is the code's end
    assert receipt.printed().count(b"Code: ") <= 3
    assert refused(page, server)


def test_where_pages_cannot_pair_the_remedy_is_said(begin, shop) -> None:
    page = shop(begin())
    page.get_by_role("button", name="Let it in with a code").click()
    expect(page.locator("#asking")).to_contain_text("rawprint-server access allow http://127.0.0.1:")


def test_a_foreign_page_gets_nothing_from_anothers_code(begin, shop, site, open_page, receipt) -> None:
    """The same server under another name is another page."""
    server = begin("Receipt")
    page = shop(server)
    page.get_by_role("button", name="Let it in with a code").click()
    expect(page.get_by_label("Code")).to_be_visible()
    foreign = open_page(site.replace("127.0.0.1", "localhost") + "/label-classic.html", strict=False)
    enter = {"call": "pair.enter", "params": {"code": code_on(receipt)}}
    for call in (enter, {"call": "pair.begin"}):
        assert attempt(foreign, server, "rawprint.pair.v1", call)["replies"][0]["error"]["code"] == "pairing"
    assert refused(foreign, server)
    assert receipt.printed().count(b"Code: ") == 1


def test_a_token_lets_its_page_in_for_what_it_says(begin, shop, site, label, tmp_path, capsys, dashboard) -> None:
    server = begin()
    new = ["access", "--config", str(tmp_path / "administrator.toml"), "token", "new", "till"]
    assert main([*new, "--origin", site, "--calls", "status,print"]) == 0
    token = capsys.readouterr().out.strip()
    server.call(server.app._gate.look)
    page = shop(server)
    print_with = """async ([http, token]) => {
        const { connect } = await import(`${http}/rawprint.js`);
        const printers = await connect({ token });
        const job = await printers.get("Label").print("PRINT 1,1\\r\\n", { wait: "ended" });
        return [job.state, await printers.call("jobs.list").catch(({ code }) => code)];
    }"""
    http = server.url.replace("ws", "http")
    assert page.evaluate(print_with, [http, token]) == ["delivered", "not-granted"]
    assert label.printed() == b"PRINT 1,1\r\n"
    with pytest.raises(sync_api.Error, match="the token is not known"):
        page.evaluate(print_with, [http, token[:-1]])
    page.goto(page.url.replace("127.0.0.1", "localhost", 1))  # another page
    with pytest.raises(sync_api.Error, match="or is another page's"):
        page.evaluate(print_with, [http, token])


# -- on the page at `/`


def test_a_page_is_allowed_and_denied_on_the_dashboard(begin, dashboard, open_page, shop, site, label) -> None:
    server = begin()
    page = shop(server)
    expect(page.locator("#printer")).to_contain_text("is not allowed")
    admin = open_page(dashboard(server))
    open_access(admin)
    row = admin.locator(f"#pages > [data-origin='{site}']")
    expect(row).to_contain_text("Was refused")
    assert "code" not in admin.url

    row.get_by_role("button", name=f"Allow {site}").press("Enter")
    expect(row).to_contain_text(
        re.compile("On this page, .*: may see the printers, print, open drawers and manage jobs.")
    )
    expect(row.get_by_role("button", name="Deny")).to_be_focused()
    page.reload()
    print_label(page, label)
    page.evaluate(f"""async () => {{
        const {{ connect }} = await import("{server.url.replace("ws", "http")}/rawprint.js");
        window.heard = new Promise((resolve) => connect({{ url: "{server.url}", onConnection: ({{ error }}) =>
            error && resolve([error.code, Date.now()]) }}).then((printers) => {{ window.printers = printers; }}));
    }}""")
    page.wait_for_function("window.printers")

    at = time.time()
    admin.keyboard.press("Enter")  # Deny
    code, heard = page.evaluate("heard")
    assert code == "origin-not-allowed"
    assert heard / 1000 - at < 2
    expect(row).to_contain_text("Stays out")
    printed = label.printed()
    assert refused(page, server)
    assert page.evaluate("printers.get('Label').print('PRINT 9,9\\r\\n').catch(({ code }) => code)") == code
    assert label.printed() == printed

    admin.keyboard.press("Enter")  # Allow: it was a mistake
    expect(row).to_contain_text("On this page")
    page.reload()
    print_label(page, label)


def test_the_code_of_the_dashboard_works_once(begin, dashboard, open_page, tmp_path) -> None:
    server = begin()
    address = dashboard(server)
    admin = open_page(address)
    open_access(admin)
    expect(admin.get_by_role("heading", name="Who may print")).to_be_visible()
    expect(admin.locator("#keeper")).to_be_hidden()
    for again in (address, address.partition("=")[0] + "=rp_guess"):
        page = open_page(again)
        open_access(page)
        expect(page.locator("#keeper-problem")).to_contain_text("it was used, or is older than a minute")
        expect(page.get_by_role("heading", name="Who may print")).to_be_hidden()
        assert page.url == f"http://127.0.0.1:{server.port}/#access"
        page.screenshot(path=tmp_path / "used.png", full_page=True)
    admin.reload()  # the right was the connection's
    expect(admin.locator("#keeper")).to_contain_text("rawprint-server dashboard")
    expect(admin.get_by_role("heading", name="Who may print")).to_be_hidden()


def test_without_the_code_nobody_is_the_administrator(begin, dashboard, open_page, shop) -> None:
    server = begin()
    address = dashboard(server)
    page = open_page(f"http://127.0.0.1:{server.port}/")
    expect(page.locator("#connection")).to_have_text("Connected")
    allow = {"call": "admin.allow", "params": {"origin": "https://evil.example"}}
    calls = [{"call": "admin.access"}, {"call": "admin.code"}, allow]
    for protocols in (["rawprint.v1"], []):
        replies = attempt(page, server, protocols, *calls)["replies"]
        assert [each["error"]["code"] for each in replies] == ["not-granted"] * 3
    # A page that is none of the server's gets nothing for the code either.
    enter = {"call": "admin.enter", "params": {"code": address.partition("=")[2]}}
    assert attempt(shop(server), server, ["rawprint.v1"], enter) == {"code": 4403, "replies": []}
    assert server.app._gate.grants.allowed == ()


def test_a_page_that_is_open_takes_a_new_code(begin, dashboard, open_page) -> None:
    server = begin()
    page = open_page(f"http://127.0.0.1:{server.port}/")
    expect(page.locator("#connection")).to_have_text("Connected")
    page.goto(dashboard(server))
    expect(page.locator("#is-admin")).to_be_visible()
    assert page.url == f"http://127.0.0.1:{server.port}/"


def test_the_right_ends_with_the_connection(begin, dashboard, open_page) -> None:
    server = begin()
    page = open_page(dashboard(server), strict=False)
    open_access(page)
    expect(page.get_by_role("heading", name="Who may print")).to_be_visible()
    server.call(lambda: [connection.transport.abort() for connection in server.app._connections])
    expect(page.locator("#keeper")).to_contain_text("The connection was lost, and with it the administrator's right.")
    expect(page.get_by_role("heading", name="Who may print")).to_be_hidden()
    expect(page.locator("#connection")).to_have_text("Connected")  # which the page restores by itself
    page.goto(dashboard(server))
    open_access(page)
    expect(page.get_by_role("heading", name="Who may print")).to_be_visible()
    expect(page.locator("#keeper-problem")).to_be_empty()


def test_an_iframe_of_a_foreign_page_does_not_show_the_dashboard(begin, dashboard, open_page, shop) -> None:
    server = begin()
    address = dashboard(server)
    page = shop(server)
    complaints = []
    page.on("console", lambda line: complaints.append(line.text))
    page.evaluate(
        """(src) => new Promise((resolve) => {
            document.body.append(Object.assign(document.createElement("iframe"), { src, onload: resolve }));
        })""",
        address,
    )
    frame = page.frames[1]
    assert frame.url.startswith("chrome-error:")
    assert frame.locator("#connection").count() == 0
    assert any("frame-ancestors" in line for line in complaints)
    admin = open_page(address)  # the code was not even read there
    expect(admin.locator("#is-admin")).to_be_visible()


def test_the_dashboard_shows_the_code_of_a_page_that_pairs(begin, dashboard, open_page, shop, label, site) -> None:
    server = begin("dashboard")
    admin = open_page(dashboard(server))
    page = shop(server)
    page.get_by_role("button", name="Let it in with a code").click()
    expect(page.locator("#asking")).to_have_text("A code stands on the print server's page: type it here.")
    expect(admin.locator("#pairing-text")).to_contain_text(site)
    code = admin.locator("#pairing-code").text_content()
    assert re.fullmatch(r"\d{3} \d{3}", code)
    page.get_by_label("Code").fill(code)
    page.keyboard.press("Enter")
    print_label(page, label)
    expect(admin.locator("#pairing")).to_be_hidden()
    expect(admin.locator(f"[data-origin='{site}']")).to_contain_text("By its code")
    assert label.printed().count(b"Code") == 0


@pytest.mark.parametrize(("size", "scheme"), [((1200, 900), "light"), ((390, 844), "dark")], ids=["desktop", "phone"])
def test_who_may_print_fits_on_the_screen(begin, dashboard, open_page, shop, tmp_path, site, size, scheme) -> None:
    long = f"https://{'a-very-long-name.' * 8}example.com:8443"
    server = begin("dashboard", ["https://pos.example.com"])
    main(["access", "--config", str(tmp_path / "administrator.toml"), "token", "new", "kitchen"])
    for origin in (long, "https://denied.example.com", "https://bakery.example.com"):
        assert attempt_as(server, origin) == 4403
    admin = open_page(dashboard(server), viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    open_access(admin)
    admin.get_by_role("button", name="Deny https://denied.example.com").click()
    admin.get_by_role("button", name=f"Allow {long}").click()
    page = shop(server)
    page.get_by_role("button", name="Let it in with a code").click()
    expect(admin.locator("#pairing-code")).to_be_visible()
    expect(admin.locator("#tokens")).to_have_text("Token: kitchen.")
    expect(admin.locator("#pages > li")).to_have_count(5)
    expect(admin.locator("[data-origin='https://pos.example.com']")).to_contain_text("By the configuration")
    assert admin.evaluate("document.documentElement.scrollWidth <= innerWidth")
    admin.screenshot(path=tmp_path / f"who-{scheme}.png", full_page=True)


def open_access(page):
    page.get_by_role("navigation").get_by_role("link", name="Access").click()


def attempt_as(server, origin):
    """The close code of a page of that origin."""
    with server.connect(origin=origin) as client:
        with pytest.raises(ConnectionClosed):
            client.recv()
        return client.ws.close_code
