"""The page of `rawprint simulate`'s control port in a real browser: what arrives is there, and its buttons break the printer."""

from __future__ import annotations

import re
import socket

import pytest

from rawprint.virtual import ControlPort, Listener, device

from .test_browser import browser, expect, open_page, pytestmark, site  # noqa: F401 - its fixtures

EVIL = b'<img src=x onerror="document.title=1">\n</pre><script>alert(1)</script>\n'


@pytest.fixture
def simulated():
    """simulated(dialect, **options) -> its listener and the page's address."""
    closing = []

    def simulated(dialect="escpos", **options):
        listener = Listener(device(dialect, **options)).start()
        control = ControlPort(listener).start()
        closing.extend((listener.close, control.close))
        return listener, control

    yield simulated
    for close in reversed(closing):
        close()


@pytest.fixture
def send():
    socks = []

    def send(listener, data):
        if not socks:
            socks.append(socket.create_connection(("127.0.0.1", listener.port), timeout=5))
        socks[0].sendall(data)
        return socks[0]

    yield send
    for sock in socks:
        sock.close()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_what_arrives_is_shown_as_it_arrives(open_page, simulated, send, tmp_path) -> None:  # noqa: F811
    listener, control = simulated()
    page = open_page(control.url, viewport={"width": 1360, "height": 900})
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#state")).to_have_text("Ready.")
    expect(page.locator("#no-bytes")).to_be_visible()
    expect(page.locator("#no-tickets")).to_be_visible()

    send(listener, b"\x1b@Coffee 3.20\n\x1dv0\x00\x10\x00\x40\x00" + b"\x55" * 1000)
    rows = page.locator("#pieces > li")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("ESC @ as after power-on")
    expect(rows.nth(1)).to_contain_text("43 6f 66 66 65 65 20 33 2e 32 30 0a")
    expect(rows.nth(3)).to_contain_text("1,000 bytes of data")
    send(listener, b"\x55" * 24 + b"TOTAL 3.20\n\x1bp\x00\x20\x20\x1dV")
    expect(rows.nth(3)).to_contain_text("1,024 bytes of data")
    expect(page.locator("#open")).to_contain_text("1d 56")
    expect(page.locator("#tickets > li")).to_have_count(0)
    send(listener, b"\x00")
    expect(page.locator("#open")).to_be_hidden()

    ticket = page.locator("#tickets > [data-ticket='1']")
    expect(ticket.locator("img")).to_have_js_property("naturalWidth", 576)
    ticket.get_by_text("Its text").click()
    expect(ticket.locator("pre")).to_have_text("Coffee 3.20\nTOTAL 3.20")
    for name, value in {"bytes": "1,065", "printed": "1,065", "tickets-count": "1", "drawer": "1"}.items():
        expect(page.locator(f"#{name}")).to_have_text(value)
    page.screenshot(path=tmp_path / "desktop.png", full_page=True)


def test_a_job_is_text_and_never_html(open_page, simulated, send) -> None:  # noqa: F811
    listener, control = simulated()
    send(listener, EVIL + b"\x1dV\x00")
    page = open_page(control.url)
    expect(page.locator("#pieces")).to_contain_text('<img src=x onerror="document.title=1">')
    page.locator("[data-ticket='1'] summary").click()
    expect(page.locator("[data-ticket='1'] pre")).to_contain_text("</pre><script>alert(1)</script>")
    assert page.title() == "escpos, 1 ticket"
    assert page.evaluate("document.querySelectorAll('img[onerror], body script').length") == 0


def test_the_buttons_break_and_mend_it(open_page, simulated, send, tmp_path) -> None:  # noqa: F811
    listener, control = simulated()
    page = open_page(control.url, viewport={"width": 390, "height": 844}, color_scheme="dark")
    for name, reason, words in [
        ("Paper out", "media-empty", "paper is out"),
        ("Cover open", "cover-open", "the cover is open"),
        ("Offline", "offline-report", "it is offline"),
    ]:
        button(page, name).click()
        expect(page.locator("#state")).to_have_text(f"Stopped: {words}.")
        expect(button(page, name)).to_have_attribute("aria-pressed", "true")
        assert listener.device.reasons[reason]
        assert page.title().startswith("! ")
        button(page, name).click()
        expect(page.locator("#state")).to_have_text("Ready.")
    page.get_by_text("Other faults").click()
    button(page, "Paper low").click()
    expect(page.locator("#state")).to_have_text("Ready: paper is low.")

    page.get_by_label("Paper for").fill("10")
    button(page, "Load paper").click()
    sock = send(listener, b"0123456789abcdef")
    expect(page.locator("#state")).to_have_text("Stopped: paper is out, paper is low.")
    expect(page.locator("#fill-text")).to_have_text("6 of 8,192 bytes")
    page.screenshot(path=tmp_path / "phone-dark.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Paper for").fill("")
    button(page, "Load paper").click()
    expect(page.locator("#printed")).to_have_text("16")

    with page.expect_response("**/state"):  # what is sent before it is slow is printed at once
        page.get_by_label("Prints").select_option("50")
    sock.sendall(b"x" * 5000)
    expect(page.locator("#state")).to_have_text("Printing: paper is low.")
    page.get_by_label("Prints").select_option("at once")
    expect(page.locator("#printed")).to_have_text("5,016")

    button(page, "Stop reading").click()
    expect(page.locator("#state")).to_have_text("Reads nothing: paper is low.")
    button(page, "Stop reading").click()
    button(page, "Drop the connection").click()
    expect(page.locator("#host")).to_contain_text("No program is connected.")
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    expect(button(page, "Drop the connection")).to_be_disabled()

    button(page, "Reset all").click()
    expect(page.locator("#bytes")).to_have_text("0")
    expect(page.locator("#pieces > li")).to_have_count(0)
    expect(page.locator("#state")).to_have_text("Ready.")


def test_each_language_has_its_own_faults(open_page, simulated, send) -> None:  # noqa: F811
    listener, control = simulated("tspl", clone="short-status", speed=123456)
    page = open_page(control.url)
    expect(page.locator("#dialect")).to_have_text("tspl, short-status")
    expect(page.get_by_label("Prints")).to_have_value("123456")
    expect(button(page, "Paused")).to_be_visible()
    expect(button(page, "Offline")).to_have_count(0)
    send(listener, b'SIZE 40 mm,30 mm\r\nCLS\r\nTEXT 20,20,"3",0,1,1,"Parcel"\r\nPRINT 2\r\n')
    expect(page.locator("#pieces")).to_contain_text("PRINT 2 prints the label")
    expect(page.locator("[data-ticket='1'] img")).to_have_js_property("naturalWidth", 320)


def test_a_wish_that_cannot_be_says_why(open_page, simulated) -> None:  # noqa: F811
    _, control = simulated()
    page = open_page(control.url, strict=False)
    expect(page.locator("#state")).to_have_text("Ready.")
    page.get_by_label("Paper for").evaluate("(field) => field.removeAttribute('pattern')")
    page.get_by_label("Paper for").fill("1.5")
    button(page, "Load paper").click()
    expect(page.locator("#problem")).to_contain_text("media is a whole number of bytes")


def test_the_page_lives_through_the_end_of_the_simulator(open_page, simulated) -> None:  # noqa: F811
    listener, control = simulated()
    page = open_page(control.url, strict=False)
    expect(page.locator("#link")).to_have_text("Live")
    port = int(control.url.rpartition(":")[2])
    control.close()
    expect(page.locator("#link")).to_contain_text("Not connected")
    expect(page.locator("#state")).to_have_text("Not known.")
    expect(button(page, "Paper out")).to_be_disabled()
    with ControlPort(listener, port=port):
        listener.set("cover-open", True)
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator("#state")).to_have_text("Stopped: the cover is open.")
        expect(button(page, "Paper out")).to_be_enabled()


def test_a_foreign_page_neither_sees_nor_breaks_it(open_page, simulated, site) -> None:  # noqa: F811
    """The one of another local port may send a request, as any program of this machine, but reads nothing."""
    listener, control = simulated()
    page = open_page(f"{site}/label-classic.html", strict=False)
    read = """(url) => fetch(url + "/state").then(() => "read", () => "refused")"""
    assert page.evaluate(read, control.url) == "refused"
    picture = """(url) => new Promise((resolve) => {
        const image = new Image();
        image.onload = () => resolve("seen");
        image.onerror = () => resolve("refused");
        image.src = url + "/icon.svg";
    })"""
    assert page.evaluate(picture, control.url) == "refused"
    framed = """(url) => new Promise((resolve) => {
        const frame = document.createElement("iframe");
        frame.onload = () => { try { resolve(frame.contentDocument ? "seen" : "refused"); } catch { resolve("refused"); } };
        frame.src = url;
        document.body.append(frame);
    })"""
    assert page.evaluate(framed, control.url) == "refused"
    page.goto(re.sub("127.0.0.1", "foreign.localhost", site) + "/label-classic.html")
    assert page.evaluate(read, control.url) == "refused"
    assert not any(listener.state()["reasons"].values())
