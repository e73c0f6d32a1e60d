"""Pairing without a browser: codes, their ends, who gets none, and what is written down of it."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rawprint_server.config import AccessConfig, Config, PrinterConfig, ServerConfig
from rawprint_server.pairing import COLUMNS, LONGEST_ORIGIN, Pairing, PairingError, WrongCode, lines

from .conftest import Native, Refused, RunningServer

POS = "https://pos.example.com"
OTHER = "https://other.example.com"


def wrong(code):
    return f"{(int(code) + 1) % 1_000_000:06d}"


def code_on(printer):
    assert printer.wait(lambda device: b"Code: " in device.printed, 5)
    return re.findall(rb"Code: (\d{3} \d{3})", printer.printed())[-1].decode()


@pytest.fixture
def paired(stack, receipt, tmp_path):
    """A server whose receipt printer prints the codes."""
    config = Config(
        ServerConfig(port=0), {"Receipt": PrinterConfig(receipt.address, "escpos")}, AccessConfig(pairing="Receipt")
    )
    return stack.enter_context(RunningServer(config, tmp_path))


@contextmanager
def page(server, origin=POS):
    with connect(server.url, origin=origin, subprotocols=["rawprint.pair.v1"], proxy=None, compression=None) as ws:
        yield Native(ws)


# -- codes


def test_the_code_is_good_once_and_for_its_page():
    pairing = Pairing()
    code = pairing.begin(POS, 0.0)
    with pytest.raises(PairingError, match="no code waits"):
        pairing.enter(OTHER, code, 1.0)
    pairing.enter(POS, code, 119.0)
    with pytest.raises(PairingError, match="no code waits"):
        pairing.enter(POS, code, 119.0)


@pytest.mark.parametrize("typed", ["{a} {b}", " {a}{b}\n", "{a}\u00a0{b}"])
def test_it_may_be_typed_as_it_stands_on_the_paper(typed):
    pairing = Pairing()
    code = pairing.begin(POS, 0.0)
    pairing.enter(POS, typed.format(a=code[:3], b=code[3:]), 1.0)


@pytest.mark.parametrize("typed", ["", "0", "\u0661\u0662\u0663\u0664\u0665\u0666", "é", "0" * 1000])
def test_what_is_no_code_is_a_wrong_one(typed):
    pairing = Pairing()
    pairing.begin(POS, 0.0)
    with pytest.raises(WrongCode) as caught:
        pairing.enter(POS, typed, 1.0)
    assert caught.value.hint == "4 tries are left."


def test_it_lives_two_minutes():
    pairing = Pairing()
    code = pairing.begin(POS, 0.0)
    with pytest.raises(PairingError, match="time is up"):
        pairing.enter(POS, code, 120.0)


def test_five_wrong_ones_end_it():
    pairing = Pairing()
    code = pairing.begin(POS, 0.0)
    for _ in range(4):
        with pytest.raises(WrongCode):
            pairing.enter(POS, wrong(code), 1.0)
    with pytest.raises(PairingError, match="5 wrong codes"):
        pairing.enter(POS, wrong(code), 1.0)
    with pytest.raises(PairingError, match="no code waits"):
        pairing.enter(POS, code, 1.0)


def test_who_guesses_for_a_year_gets_nowhere():
    """There are a million codes."""
    pairing, tries, now, year = Pairing(), 0, 0.0, 365 * 86400.0
    while now < year:
        try:
            code = pairing.begin(POS, now)
        except PairingError:
            now += 600.0
            continue
        for _ in range(5):
            tries += 1
            with pytest.raises(PairingError):
                pairing.enter(POS, wrong(code), now)
    assert tries < 10_000


def test_a_right_code_forgives_the_wrong_ones():
    pairing = Pairing()
    for now in (0.0, 1.0):
        code = pairing.begin(POS, now)
        for _ in range(4):
            with pytest.raises(WrongCode):
                pairing.enter(POS, wrong(code), now)
    pairing.enter(POS, code, 1.0)
    pairing.begin(POS, 2.0)
    with pytest.raises(PairingError, match="in the last 10 minutes"):
        pairing.begin(POS, 3.0)
    pairing.begin(POS, 602.0)


def test_the_end_of_an_origin_is_on_the_paper_too():
    origin = f"https://pos.example.com.{'x' * 60}.evil.example"
    printed = lines(origin, "123456")
    assert all(len(line) <= COLUMNS for line in printed)
    assert "".join(printed[1:-3]) == origin


# -- the connection


def test_the_code_lets_the_page_in_for_what_pairing_grants(paired, receipt):
    with page(paired) as pos:
        assert pos.ask("pair.begin") == {"where": "Receipt", "seconds": 120.0}
        assert pos.ask("pair.enter", code=code_on(receipt)) is None
    with paired.native(origin=POS) as pos:
        assert pos.ask("printers.find") == ["Receipt"]
        assert pos.refusal("drawer.open", printer="Receipt").code == "not-granted"
        assert pos.refusal("admin.access").code == "not-granted"


def test_another_connection_of_the_page_that_ends_does_not_end_the_code(paired, receipt):
    with page(paired) as pos:
        pos.ask("pair.begin")
        with page(paired):
            pass
        assert pos.ask("pair.enter", code=code_on(receipt)) is None


def test_the_code_ends_with_its_connection(paired, receipt):
    with page(paired) as pos:
        pos.ask("pair.begin")
    with page(paired) as pos:
        assert pos.refusal("pair.enter", code=code_on(receipt)).code == "pairing"


def test_a_denied_page_gets_no_code_and_its_old_one_is_void(paired, receipt):
    with page(paired) as pos:
        pos.ask("pair.begin")
        code, papers = code_on(receipt), receipt.printed()
        deny(paired, POS)
        assert pos.refusal("pair.enter", code=code).message == "this page is kept out"
        assert pos.refusal("pair.begin").code == "pairing"
    with pytest.raises(ConnectionClosed) as closed, paired.native(origin=POS) as pos:
        pos.read()
    assert closed.value.rcvd.code == 4403
    assert receipt.printed() == papers


def deny(server, origin):
    """As the administrator does."""
    secret = (server.app._state / "admin.token").read_text().strip()
    with server.native(additional_headers={"Authorization": f"Bearer {secret}"}) as program:
        code = program.ask("admin.code")["code"]
    with server.native(origin=f"http://127.0.0.1:{server.port}") as own:
        own.ask("admin.enter", code=code)
        return own.ask("admin.deny", origin=origin)


def test_a_denied_page_of_the_configuration_is_not_listed_as_allowed(stack, tmp_path):
    config = Config(ServerConfig(port=0), {}, AccessConfig((POS, OTHER)))
    view = deny(stack.enter_context(RunningServer(config, tmp_path)), POS)
    assert [each["origin"] for each in view["allowed"]] == [OTHER]
    assert view["denied"] == [POS]


@pytest.mark.parametrize("origin", ["null", "https://" + "x" * LONGEST_ORIGIN + ".example"])
def test_pages_that_get_no_code(paired, receipt, origin):
    with page(paired, origin) as odd, pytest.raises(Refused) as refused:
        odd.ask("pair.begin")
    assert refused.value.code == "pairing"
    assert receipt.printed() == b""


def test_a_page_that_is_allowed_is_told_so(start, label):
    server = start({"Label": (label.address, "tspl")}, [POS])
    with page(server) as pos, pytest.raises(ConnectionClosed) as closed:
        pos.read()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "this page needs none, it is let in")


@pytest.mark.parametrize("code", [7, None, ["123456"]])
def test_a_code_that_is_no_text_is_refused(paired, code):
    with page(paired) as pos:
        pos.ask("pair.begin")
        assert pos.refusal("pair.enter", code=code).code == "bad-request"


def test_what_was_done_is_written_down(stack, receipt, tmp_path):
    config = Config(
        ServerConfig(port=0), {"Receipt": PrinterConfig(receipt.address, "escpos")}, AccessConfig(pairing="Receipt")
    )
    with RunningServer(config, tmp_path) as server, page(server) as pos:
        pos.ask("pair.begin")
        code = code_on(receipt)
        assert pos.refusal("pair.enter", code=wrong(code.replace(" ", ""))).code == "wrong-code"
        pos.ask("pair.enter", code=code)
    text = (tmp_path / "audit.log").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    assert [(each["origin"], each["call"], each["outcome"]) for each in events] == [
        (POS, "pair.begin", "ok"),
        (POS, "pair.enter", "wrong-code"),
        (POS, "pair.enter", "ok"),
    ]
    assert code.replace(" ", "") not in text
