"""Pairing by a code on paper: who types it is let in, who guesses is not, and nobody wastes paper."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from rawprint_server import pairing
from rawprint_server.access import Grant
from rawprint_server.config import AccessConfig, AuditConfig, Config, PrinterConfig, ServerConfig, check
from rawprint_server.grants import Grants
from rawprint_server.pairing import (
    CODE_SECONDS,
    COLUMNS,
    MOST_CODES,
    PER_SECONDS,
    TRIES,
    Pairing,
    PairingError,
    WrongCode,
    lines,
)

from .conftest import PATIENCE, Native, Refused, RunningServer

POS = "https://pos.example.com"
EVIL = "https://evil.example"
OTHER = "000000"


@pytest.fixture(autouse=True)
def code(monkeypatch):
    """The code that is made, which is another than anybody guesses here."""
    monkeypatch.setattr(pairing.secrets, "randbelow", lambda _: 4711)
    return "004711"


# The code by itself


def test_the_code_once(code):
    codes = Pairing()
    assert codes.begin(POS, 0.0) == code
    assert codes.waiting(1.0) == (POS, code)
    codes.enter(POS, f" {code} ", 1.0)
    assert codes.waiting(1.0) is None
    with pytest.raises(PairingError, match="no code waits"):
        codes.enter(POS, code, 1.0)


def test_of_another_page_it_is_worth_nothing(code):
    codes = Pairing()
    codes.begin(POS, 0.0)
    for _ in range(2 * TRIES):  # and costs that page no try
        with pytest.raises(PairingError, match="no code waits"):
            codes.enter(EVIL, code, 1.0)
    with pytest.raises(PairingError, match="another page waits"):
        codes.begin(EVIL, 1.0)
    codes.cancel(EVIL, code)
    codes.enter(POS, code, 1.0)


def test_five_wrong_ones_end_it(code):
    codes = Pairing()
    codes.begin(POS, 0.0)
    for left in range(TRIES - 1, 0, -1):
        with pytest.raises(WrongCode) as caught:
            codes.enter(POS, OTHER, 1.0)
        assert caught.value.code == "wrong-code"
        assert f"{left} {'try' if left == 1 else 'tries'}" in caught.value.hint
    with pytest.raises(PairingError, match="5 wrong codes") as caught:
        codes.enter(POS, OTHER, 1.0)
    assert caught.value.code == "pairing"
    with pytest.raises(PairingError, match="no code waits"):
        codes.enter(POS, code, 1.0)


def test_it_lives_two_minutes(code):
    codes = Pairing()
    codes.begin(POS, 0.0)
    assert codes.waiting(CODE_SECONDS) is None
    with pytest.raises(PairingError, match="its time is up"):
        codes.enter(POS, code, CODE_SECONDS)
    codes.begin(EVIL, CODE_SECONDS)  # and keeps nobody longer from having one


def test_three_in_ten_minutes_whoever_asks():
    codes = Pairing()
    for number in range(MOST_CODES):
        codes.begin(f"{POS}:{number + 1}", 0.0)
        codes.cancel(f"{POS}:{number + 1}", "004711")
    for now in (0.0, PER_SECONDS - 1):
        with pytest.raises(PairingError, match="3 codes were made"):
            codes.begin(POS, now)
    codes.begin(POS, PER_SECONDS)


@given(
    st.lists(st.tuples(st.floats(0, 200), st.sampled_from(["begin", "guess", "cancel"]), st.sampled_from([POS, EVIL])))
)
def test_whatever_is_tried_ten_minutes_hold_fifteen_guesses(steps):
    codes, now, guesses = Pairing(), 0.0, []
    for wait, step, origin in steps:
        now += wait
        try:
            match step:
                case "begin":
                    codes.begin(origin, now)
                case "guess":
                    codes.enter(origin, OTHER, now)
                case _:
                    codes.cancel(origin, "004711")
        except WrongCode:
            guesses.append(now)
        except PairingError as error:
            if "wrong codes" in error.message:
                guesses.append(now)
    for first in guesses:
        # A code of before may still be out when the ten minutes begin.
        assert sum(first <= at < first + PER_SECONDS for at in guesses) <= (MOST_CODES + 1) * TRIES


@pytest.mark.parametrize(
    "typed", ["", "4711", "004711\0", "\uff10\uff10\uff14\uff17\uff11\uff11", "0" * 900, "004-711"]
)
def test_what_is_no_code_is_a_wrong_one(typed):
    codes = Pairing()
    codes.begin(POS, 0.0)
    with pytest.raises(WrongCode):
        codes.enter(POS, typed, 1.0)


def test_the_paper_shows_all_of_the_origin(code):
    """A long name that begins like the shop's own must not hide whose it is."""
    origin = f"{POS}.{'a-b' * 40}.evil.example:8443"
    first, *middle, shown, _, _ = lines(origin, code)
    assert "".join(middle) == origin
    assert all(len(line) <= COLUMNS for line in middle)
    assert shown == "Code: 004 711"
    assert lines(POS, code)[1] == POS
    assert all(text.isascii() for text in (first, shown))


# A page that pairs


@pytest.fixture
def paired(stack, receipt, label, tmp_path):
    """Starts a server whose pages pair by the printer `Receipt`: `paired(where)`."""

    def paired(where="Receipt", state=tmp_path):
        config = Config(
            server=ServerConfig(port=0, durability="none"),
            printers={
                "Receipt": PrinterConfig(receipt.address, "escpos"),
                "Label": PrinterConfig(label.address, "tspl"),
            },
            access=AccessConfig(pairing=where),
            audit=AuditConfig(file=str(tmp_path / "audit.log")),
        )
        check(config)
        return stack.enter_context(RunningServer(config, state))

    return paired


@contextmanager
def page(server, origin=POS, protocol="rawprint.pair.v1"):
    with server.connect(origin=origin, subprotocols=[protocol]) as client:
        yield Native(client.ws)


def printed(receipt):
    return receipt.printed().count(b"Code:")


def test_end_to_end(paired, receipt, code, tmp_path):
    server = paired()
    with page(server) as client:
        assert client.ask("pair.begin") == {"where": "Receipt", "seconds": CODE_SECONDS}
        assert client.refusal("pair.enter", code=OTHER).code == "wrong-code"
        assert client.ask("pair.enter", code=code) is None
    assert b"004 711" in receipt.printed()
    assert POS.encode() in receipt.printed()
    with page(server, protocol="rawprint.v1") as client:
        assert client.print("Label", "x\n")["printer"] == "Label"
        assert client.refusal("drawer.open", printer="Receipt").code == "not-granted"
        assert client.refusal("admin.access").code == "not-granted"
    server.__exit__()
    said = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(line["origin"], line["call"], line["outcome"]) for line in said[:3]] == [
        (POS, "pair.begin", "ok"),
        (POS, "pair.enter", "wrong-code"),
        (POS, "pair.enter", "ok"),
    ]


def test_brute_force_gets_nowhere(paired, receipt):
    """Over as many connections at a time as there may be."""
    server, refused = paired(), 0
    with page(server) as first, page(server) as second:
        clients = [first, second]
        for number in range(60):
            client = clients[number % 2]
            try:
                if number % 6 == 0:
                    client.ask("pair.begin")
                else:
                    client.ask("pair.enter", code=f"{number:06d}")
            except Refused:
                refused += 1
    assert refused == 60 - MOST_CODES
    assert printed(receipt) == MOST_CODES
    assert server.app._gate.grants.allowed == ()


def test_no_connection_goes_on_for_ever(paired):
    with page(paired("dashboard")) as client:
        for _ in range(pairing.MOST_FRAMES):
            client.refusal("pair.enter", code=OTHER)
        with pytest.raises(ConnectionClosed):
            client.ask("pair.enter", code=OTHER)


def test_not_too_many_pages_pair(paired, stack):
    server = paired("dashboard")
    for number in range(10):
        stack.enter_context(page(server, f"https://p{number}.example")).refusal("pair.enter", code=OTHER)
    with page(server) as client, pytest.raises(ConnectionClosed) as caught:
        client.ask("pair.begin")
    assert caught.value.rcvd.code == 4429
    with server.connect() as program:
        assert program.ask("printers.find")["result"] == ["Receipt", "Label"]


def test_a_page_that_was_denied_gets_no_paper(paired, receipt, code):
    server = paired()
    server.app._gate._grants = Grants(denied=(EVIL,))
    server.call(server.app._gate._make_rules)
    with page(server, EVIL) as client:
        assert client.refusal("pair.begin").code == "pairing"
    with page(server) as client:
        client.ask("pair.begin")
        server.app._gate._grants = Grants(denied=(POS,))
        server.call(server.app._gate._make_rules)
        assert client.refusal("pair.enter", code=code).code == "pairing"
    assert server.app._gate.grants == Grants(denied=(POS,))
    assert receipt.wait(lambda device: device.printed.count(b"Code:") == 1, PATIENCE)


@pytest.mark.parametrize(
    "origin", ["null", "HTTPS://pos.example.com", "https://pos.example.com/", "https://p\xf6s.example", ""]
)
def test_what_cannot_be_granted_gets_no_code(paired, receipt, origin):
    server = paired()
    with server.connect(additional_headers={"Origin": origin}, subprotocols=["rawprint.pair.v1"]) as client:
        assert Native(client.ws).refusal("pair.begin").code == "pairing"
    assert printed(receipt) == 0


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"call":"printers.find","uid":1}', "unknown-call"),
        ('{"call":"print","uid":1,"params":{"printer":"Receipt","data":"x"}}', "unknown-call"),
        ('{"call":"admin.allow","uid":1,"params":{"origin":"https://pos.example.com"}}', "unknown-call"),
        ('{"call":"pair.enter","uid":1,"params":{"code":4711}}', "bad-request"),
        ('{"call":"pair.enter","uid":1}', "bad-request"),
        ("[]", "bad-request"),
        ("x", "bad-request"),
        (b"\xff", "bad-request"),
        ('{"call":"\\ud800"}', "bad-request"),
    ],
)
def test_nothing_but_to_pair_is_done_there(paired, receipt, frame, code):
    server = paired()
    with page(server) as client:
        client.ws.send(frame)
        assert client.read()["error"]["code"] == code
        assert client.refusal("pair.enter", code=OTHER).code == "pairing"
    assert receipt.printed() == b""


def test_a_long_message_ends_it(paired):
    with page(paired("dashboard")) as client:
        client.ws.send('{"call":"pair.begin","x":"' + "x" * 2000 + '"}')
        with pytest.raises(ConnectionClosed) as caught:
            client.read()
        assert caught.value.rcvd.code == 1009


def test_where_nobody_configured_it_there_is_none(paired):
    with page(paired(None)) as client, pytest.raises(ConnectionClosed) as caught:
        client.ask("pair.begin")
    assert caught.value.rcvd.code == 4403


def test_a_code_ends_with_its_page(paired, code):
    server = paired("dashboard")
    with page(server) as client:
        client.ask("pair.begin")
        assert server.app._gate.pairing._waiting is not None
    with page(server) as client:
        assert client.refusal("pair.enter", code=code).code == "pairing"


def test_a_gate_that_grants_keeps_what_the_paper_may_not(paired, code):
    server = paired("dashboard")
    with page(server) as client:
        client.ask("pair.begin")
        client.ask("pair.enter", code=code)
    (allowed,) = server.app._gate.grants.allowed
    assert (allowed.origin, allowed.how) == (POS, "paired")
    assert allowed.grant == Grant(frozenset({"status", "print", "jobs"}))
