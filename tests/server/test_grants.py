"""What is granted beside the configuration: the file, the gate that reads it, the commands and calls that change it, and what comes of a change."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from rawprint_server import app, files, gate, grants
from rawprint_server.access import (
    KINDS,
    NEEDS,
    ORDINARY,
    PROGRAM,
    Asking,
    Grant,
    Refusal,
    Rules,
    Token,
    decide,
    hashed,
    presented,
)
from rawprint_server.cli import main
from rawprint_server.client import QUESTIONS
from rawprint_server.config import AccessConfig, load
from rawprint_server.gate import Gate
from rawprint_server.grants import ADMIN_FILE, GRANTS_FILE, Grants, GrantsError, change, read
from rawprint_server.messages import ServerEvent
from rawprint_server.methods import METHODS

from .conftest import Native, RunningServer
from .test_schema import SCHEMA, errors

POS = "https://pos.example.com"
EVIL = "https://evil.example"
NOTICED = 2.0  # seconds within which a running server heeds a command


# Who may come in


def test_every_call_needs_something():
    """A call that is not in the table would be everybody's."""
    assert set(METHODS) <= set(NEEDS)
    assert set(NEEDS.values()) <= {"", *KINDS}
    assert [call for call, kind in NEEDS.items() if not kind] == ["admin.enter"]
    assert {call for call in NEEDS if call.startswith("admin.")} - {"admin.enter"} == {
        call for call, kind in NEEDS.items() if kind == "admin"
    }
    assert "admin.enter" not in QUESTIONS, "who becomes an administrator is written down"


SECRETS = ["rp_one", "rp_two", "rp_three", "rp_admin", "", "x"]
ORIGINS = [POS, EVIL, "http://127.0.0.1:8765", "null", "", POS.upper(), f"{POS}.", f"{POS}:443"]
GRANTS = st.builds(
    Grant,
    st.frozensets(st.sampled_from(KINDS)),
    st.none() | st.frozensets(st.sampled_from(["Label", "Receipt"])),
    st.booleans(),
)
ORDINARY_GRANTS = GRANTS.map(lambda grant: Grant(grant.calls & ORDINARY, grant.printers, grant.raw))
RULES = st.builds(
    Rules,
    st.frozensets(st.sampled_from(ORIGINS[:3])),
    st.dictionaries(st.sampled_from(ORIGINS), ORDINARY_GRANTS, max_size=3),
    st.frozensets(st.sampled_from(ORIGINS), max_size=2),
    st.lists(
        st.builds(
            Token,
            st.sampled_from("abc"),
            st.sampled_from(SECRETS[:3]).map(hashed) | st.sampled_from(["", "\xe4"]),
            ORDINARY_GRANTS,
            st.none() | st.sampled_from(ORIGINS),
        ),
        max_size=3,
    ).map(tuple),
    st.sampled_from(["open", "token"]),
    st.sampled_from(["", hashed("rp_admin")]),
)
ASKING = st.builds(
    Asking,
    st.lists(st.sampled_from(ORIGINS) | st.text(max_size=5), max_size=2).map(tuple),
    st.none() | st.sampled_from(SECRETS) | st.text(max_size=5),
    st.booleans(),
)


@settings(max_examples=1000)
@given(ASKING, RULES)
def test_nobody_comes_in_who_was_not_let_in(asking, rules):
    entry = decide(asking, rules)
    digest = None if asking.token is None else hashed(asking.token)
    mine = [token for token in rules.tokens if token.sha256 == digest]
    admin = bool(rules.admin) and digest == rules.admin
    if isinstance(entry, Refusal):
        assert entry.code in {"origin-not-allowed", "token-needed", "bad-token"}
        assert entry.origin is None or entry.origin in asking.origins
        return
    assert len(asking.origins) <= 1
    origin = asking.origins[0] if asking.origins else None
    assert entry.origin == origin
    assert asking.token is not None or not asking.remote
    if asking.token is not None:
        assert admin or any(token.origin in {None, origin} for token in mine)
    if origin is None:
        assert asking.token is not None or rules.programs == "open"
        assert not any(token.origin is not None for token in mine[-1:]) or admin
    else:
        assert origin not in rules.denied
        assert origin in rules.own or origin in rules.allowed or any(token.origin == origin for token in mine)
    if "admin" in entry.grant.calls:
        assert admin
        assert origin is None or origin in rules.own
    if origin is not None and origin not in rules.own and origin in rules.allowed:
        granted = rules.allowed[origin]
        assert entry.grant.calls <= granted.calls
        assert granted.raw or not entry.grant.raw
        assert granted.printers is None or entry.grant.printers <= granted.printers


@settings(max_examples=200)
@given(GRANTS, GRANTS)
def test_two_grants_together_are_no_more_than_each(one, other):
    both = one & other
    for grant in (one, other):
        assert both.calls <= grant.calls
        assert grant.raw or not both.raw
        for printer in ("Label", "Receipt", "Other"):
            assert grant.covers(printer) or not both.covers(printer)


@pytest.mark.parametrize(
    ("authorizations", "protocols", "token"),
    [
        ([], [], None),
        ([], ["rawprint.v1"], None),
        (["Bearer rp_x"], [], "rp_x"),
        (["bearer  rp_x "], [], "rp_x"),
        ([], ["rawprint.v1", "rawprint.token.rp_x"], "rp_x"),
        (["Bearer "], [], ""),
        (["Bearer"], [], ""),
        ([""], [], ""),
        (["Basic cnA6eA=="], [], ""),
        (["rp_x"], [], ""),
        ([], ["rawprint.token."], ""),
        ([], ["RAWPRINT.TOKEN.rp_x"], None),
        (["Bearer rp_x", "Bearer rp_x"], [], ""),
        (["Bearer rp_x", "Basic cnA6eA=="], [], "rp_x"),
        (["Bearer rp_x"], ["rawprint.token.rp_x"], ""),
        ([], ["rawprint.token.rp_x", "rawprint.token.rp_y"], ""),
        (["Bearer rp_x, Bearer rp_y"], [], "rp_x, Bearer rp_y"),
    ],
)
def test_the_token_that_a_request_brings(authorizations, protocols, token):
    assert presented(authorizations, protocols) == token


def test_no_token_is_none():
    """Nothing that a request can bring is taken where there is nothing to compare it with."""
    rules = Rules(tokens=(Token("empty", ""), Token("odd", "\xe4")), admin="")
    for token in ("", "\xe4", "rp_", "\udcff"):
        assert isinstance(decide(Asking(token=token), rules), Refusal)


# The file


def test_what_is_granted_is_kept_and_only_this_user_reads_it(tmp_path):
    folder = tmp_path / "state"
    assert read(folder) == Grants()
    made = change(folder, lambda before: before.allow(POS, Grant(printers=frozenset({"Label"})), "command"))
    made = change(folder, lambda before: before.with_token(Token("till", hashed("rp_x"))).deny(EVIL))
    assert read(folder) == made
    if sys.platform != "win32":
        assert (folder / GRANTS_FILE).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
    assert "rp_x" not in (folder / GRANTS_FILE).read_text()


def test_an_origin_is_in_one_list_alone():
    granted = Grants().ask(POS).allow(POS, Grant(), "command")
    assert (len(granted.allowed), granted.asked, granted.denied) == (1, (), ())
    granted = granted.allow(POS, Grant(raw=True), "paired")
    assert [each.grant.raw for each in granted.allowed] == [True]
    granted = granted.deny(POS)
    assert (granted.allowed, granted.denied) == ((), (POS,))
    assert granted.deny(POS).denied == (POS,)
    assert granted.forget(POS) == Grants()


def test_those_who_asked_do_not_pile_up():
    granted = Grants()
    for number in range(300):
        granted = granted.ask(f"https://p{number}.example")
    assert len(granted.asked) == grants.MOST_ASKED
    assert granted.asked[-1].origin == "https://p299.example"


def test_a_token_has_a_name_of_its_own():
    granted = Grants().with_token(Token("till", "1"))
    for name in ("till", "admin"):
        with pytest.raises(GrantsError, match="already"):
            granted.with_token(Token(name, "2"))
    with pytest.raises(GrantsError, match="no token") as caught:
        granted.revoke("other")
    assert "till" in caught.value.hint
    assert granted.revoke("till") == Grants()


DAMAGED = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"denied":["\xff"]}',
    "another shape": b'{"allowed":{}}',
    "an array": b"[]",
    "deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half": b'{"denied":["https://evil.exam',
    "huge": b'{"x":"' + b"x" * grants.MAX_BYTES + b'"}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_says_so_and_stays(tmp_path, content):
    file = tmp_path / GRANTS_FILE
    file.write_bytes(content)
    with pytest.raises(GrantsError) as caught:
        read(tmp_path)
    assert (caught.value.code, str(file) in caught.value.message) == ("grants", True)
    with pytest.raises(GrantsError):
        change(tmp_path, lambda before: before.deny(EVIL))
    assert file.read_bytes() == content


def test_no_more_is_written_than_can_be_read(tmp_path):
    with pytest.raises(GrantsError, match="too much"):
        change(tmp_path, lambda before: before.allow(POS, Grant(printers=frozenset({"x" * grants.MAX_BYTES})), ""))
    assert read(tmp_path) == Grants()


def test_what_cannot_be_written_is_as_it_was(tmp_path, monkeypatch):
    before = change(tmp_path, lambda before: before.deny(EVIL))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(GrantsError, match="No space left"):
        change(tmp_path, lambda before: before.deny(POS))
    assert read(tmp_path) == before
    assert {file.name for file in tmp_path.iterdir()} == {GRANTS_FILE, GRANTS_FILE + ".lock"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_link_stays_one(tmp_path):
    there = tmp_path / "there.json"
    there.write_bytes(b"{}")
    (tmp_path / GRANTS_FILE).symlink_to(there)
    change(tmp_path, lambda before: before.deny(EVIL))
    assert (tmp_path / GRANTS_FILE).is_symlink()
    assert EVIL in there.read_text()


def test_many_at_a_time_lose_nothing(tmp_path):
    def work(first):
        for number in range(first, first + 10):
            change(tmp_path, lambda before, number=number: before.deny(f"https://p{number}.example"))

    threads = [threading.Thread(target=work, args=(10 * each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(tmp_path).denied) == 40


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_the_administrators_secret_is_new_each_time_and_nobody_elses(tmp_path):
    trap = tmp_path / "trap"
    trap.write_text("before")
    (tmp_path / ADMIN_FILE).symlink_to(trap)  # as would be a file with wider rights
    first = grants.admin_secret(tmp_path, make=True)
    assert trap.read_text() == "before"
    assert (tmp_path / ADMIN_FILE).stat().st_mode & 0o777 == 0o600
    assert grants.admin_secret(tmp_path, make=False) == first
    (tmp_path / ADMIN_FILE).chmod(0o644)
    second = grants.admin_secret(tmp_path, make=True)
    assert second not in {first, None}
    assert (tmp_path / ADMIN_FILE).stat().st_mode & 0o777 == 0o600
    assert len(second) >= 43
    assert grants.admin_hash(None) == ""


# A running server


@pytest.fixture
def home(tmp_path, label, receipt):
    """A configuration file, whose server keeps its state beside it."""
    file = tmp_path / "server.toml"
    file.write_text(
        f"""[server]
port = 0
durability = "none"
state_dir = "{tmp_path / "state"}"
[access]
origins = ["{POS}"]
[limits]
jobs_per_minute = 5
[printers.Label]
address = "{label.address}"
dialect = "tspl"
[printers.Receipt]
address = "{receipt.address}"
dialect = "escpos"
"""
    )
    return file


@pytest.fixture
def running(home, stack, monkeypatch):
    """That looks at the file more often than others do: many tests wait for it."""
    monkeypatch.setattr(app, "LOOK_EVERY", 0.05)
    return stack.enter_context(RunningServer(load(home), home.parent / "state"))


@pytest.fixture
def access(home, capsys):
    """Runs `rawprint-server access …`; returns what it says."""

    def access(*words, code=0):
        assert main(["access", "--config", str(home), *words]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return access


@contextmanager
def native(server, token=None, origin=None, protocols=()):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with server.connect(origin=origin, additional_headers=headers, subprotocols=["rawprint.v1", *protocols]) as client:
        yield Native(client.ws)


def ends(client, code=4403):
    """The connection is ended by the server soon."""
    begun = time.monotonic()
    close = client.ws.protocol
    with suppress(ConnectionClosed):
        while True:
            client.ws.recv(5)
    assert close.close_code == code
    assert time.monotonic() - begun < NOTICED
    return close.close_reason


def soon(wanted):
    deadline = time.monotonic() + NOTICED
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused(server, **who):
    with native(server, **who) as client:
        return ends(client)


def test_a_page_is_let_in_and_out_by_command(running, access):
    assert EVIL in refused(running, origin=EVIL)
    soon(lambda: f"asked    {EVIL}" in access("list"))
    access("allow", EVIL, "--calls", "status,print", "--printer", "Label")
    soon(lambda: EVIL in running.app._gate._rules.allowed)
    with native(running, origin=EVIL) as client, native(running, origin=POS) as other:
        assert client.ask("printers.find") == ["Label"]
        assert client.refusal("jobs.list").code == "not-granted"
        assert client.refusal("print", printer="Receipt", data="x").code == "not-granted"
        access("deny", EVIL)
        assert ends(client).startswith(EVIL)
        assert other.ask("printers.find") == ["Label", "Receipt"]
    refused(running, origin=EVIL)
    assert json.loads(access("list", "--json"))["denied"] == [EVIL]
    access("deny", POS)  # whatever the configuration says
    soon(lambda: POS in running.app._gate._rules.denied)
    refused(running, origin=POS)
    access("forget", POS)
    soon(lambda: POS not in running.app._gate._rules.denied)
    with native(running, origin=POS) as client:
        assert client.ask("printers.find") == ["Label", "Receipt"]


def test_a_token_from_its_making_to_its_end(running, access):
    secret = access("token", "new", "till", "--calls", "status", "--printer", "Receipt").strip()
    assert secret.startswith("rp_")
    assert "till" in access("token", "list")
    assert secret not in access("token", "list") + access("list")
    assert "already" in access("token", "new", "till", code=2)
    soon(lambda: running.app._gate.has_tokens)
    soon(lambda: running.app._gate._rules.tokens)
    with native(running, secret) as client:
        assert client.ask("printers.find") == ["Receipt"]
        assert client.refusal("print", printer="Receipt", data="x").code == "not-granted"
        assert [printer["name"] for printer in client.ask("subscribe")["printers"]] == ["Receipt"]
        access("token", "revoke", "till")
        ends(client)
    assert "no token" in access("token", "revoke", "till", code=2)
    refused(running, token=secret)
    again = access("token", "new", "till").strip()  # of the same name, and another
    soon(lambda: running.app._gate._rules.tokens)
    refused(running, token=secret)
    with native(running, again) as client:
        assert client.ask("printers.find") == ["Label", "Receipt"]


def test_a_token_of_one_page_is_that_pages(running, access):
    secret = access("token", "new", "kiosk", "--origin", EVIL).strip()
    soon(lambda: running.app._gate._rules.tokens)
    protocols = [f"rawprint.token.{secret}"]
    with native(running, origin=EVIL, protocols=protocols) as client:
        assert client.ask("printers.find") == ["Label", "Receipt"]
        assert client.ws.subprotocol == "rawprint.v1"
    for who in (
        {"origin": POS, "protocols": protocols},
        {"protocols": protocols},
        {"token": secret},
        {"origin": EVIL},
        {"origin": f"{EVIL}.", "protocols": protocols},
        {"origin": f"http://127.0.0.1:{running.port}", "protocols": protocols},
        {"origin": EVIL, "token": secret, "protocols": protocols},
    ):
        refused(running, **who)


def test_a_revocation_is_noticed_in_time(home, stack, access):
    secret = access("token", "new", "till").strip()
    server = stack.enter_context(RunningServer(load(home), home.parent / "state"))
    with native(server, secret) as client, native(server, origin=POS) as page:
        assert client.ask("printers.find") == ["Label", "Receipt"]
        access("token", "revoke", "till")
        ends(client)
        assert page.ask("printers.find") == ["Label", "Receipt"]
    refused(server, token=secret)


@pytest.mark.parametrize(
    "words",
    [
        ("allow", "https://POS.example.com"),
        ("allow", POS + "/"),
        ("allow", "*"),
        ("allow", "https://*.example.com"),
        ("allow", POS + ":443"),
        ("allow", ""),
        ("allow", "https://" + "a" * 300),
        ("allow", POS, "--calls", "admin"),
        ("allow", POS, "--calls", "status,admin"),
        ("allow", POS, "--calls", ""),
        ("allow", POS, "--printer", "Nope"),
        ("deny", "evil.example"),
        ("token", "new", "admin"),
        ("token", "new", "x", "--origin", "https://evil.example/"),
        ("token", "new", "x", "--calls", "admin"),
    ],
)
def test_what_a_command_does_not_take(home, access, words):
    assert access(*words, code=2)
    assert read(home.parent / "state") == Grants()


def test_a_grant_of_another_size_counts_for_who_is_connected(running, access, label):
    with native(running, origin=POS) as client:
        client.ask("subscribe")
        access("allow", POS, "--printer", "Receipt")
        soon(lambda: running.app._gate._rules.allowed[POS].printers)
        client.events.clear()
        with native(running) as program:
            job = program.print("Label", "x\n", wait="ended")["id"]
        assert client.refusal("print", printer="Label", data="x").code == "not-granted"
        for call in ("jobs.get", "jobs.cancel"):
            assert client.refusal(call, id=job).code == "unknown-job"
        assert client.refusal("jobs.resolve", id=job, action="discard").code == "unknown-job"
        assert client.ask("jobs.list") == client.ask("jobs.list", printer="Label") == []
        assert client.events == []
        access("allow", POS, "--calls", "print")
        soon(lambda: "status" not in running.app._gate._rules.allowed[POS].calls)
        with native(running) as program:
            program.print("Receipt", "x\n", wait="ended")
        assert client.ask("print", printer="Receipt", data="x")["printer"] == "Receipt"
        assert client.events == [], "it may not see printers any more, and still hears of them"


def test_who_may_use_one_printer_does_not_hear_of_others(running, access):
    (running.app._state / GRANTS_FILE).unlink(missing_ok=True)
    change(
        running.app._state,
        lambda before: before.allow(POS, Grant(printers=frozenset({"Receipt", "Gone"})), "command"),
    )
    soon(lambda: running.app._gate._rules.allowed[POS].printers)
    with running.native() as program, native(running, origin=POS) as client:
        program.print("Label", "x\n", id="theirs", wait="ended")
        seen = [
            client.ask("subscribe"),
            client.ask("printers.find"),
            client.ask("printers.list"),
            client.ask("jobs.list"),
        ]
        program.print("Label", "x\n", id="theirs too", wait="ended")
        for call, params in (
            ("print", {"printer": "Gone", "data": "x"}),
            ("print", {"printer": "Nope", "data": "x"}),
            ("printers.status", {"printer": "Gone"}),
            ("printers.pause", {"printer": "Gone"}),
            ("drawer.open", {"printer": "Gone"}),
            ("jobs.get", {"id": "theirs"}),
        ):
            error = client.refusal(call, **params)
            seen.append([error.message, error.hint])
        hub = running.app._hub
        running.call(lambda: hub._tell(ServerEvent(hub.server())))
        seen.append(client.settled())
    with running.connect(origin=POS) as old:
        for printer, data in (("Gone", "x"), ("Label", "\u20ac"), ("Nope", "x")):
            seen.append(old.ask("print", params={"printer": printer, "data": data}))
        seen.append(old.ask("printerStatus", PrinterName="Gone"))
        seen.append(old.ask("printerStatus", PrinterName="Receipt"))
    theirs = [one for one in seen if "Label" in json.dumps(one)]
    # It asked for that name itself.
    assert [one["error"]["code"] for one in theirs] == ["not-granted"]


def test_who_neither_prints_nor_sees_jobs_hears_of_none(running, access):
    access("allow", POS, "--calls", "status")
    soon(lambda: running.app._gate._rules.allowed[POS].calls == {"status"})
    with running.native() as program, native(running, origin=POS) as client:
        program.print("Label", "x\n", id="before", wait="ended")
        assert client.ask("subscribe")["jobs"] == []
        program.print("Label", "x\n", id="after", wait="ended")
        assert not any(event["event"] == "job" for event in client.settled())


def test_printing_again_takes_the_right_to_print(running, access):
    access("allow", POS, "--calls", "status,jobs")
    soon(lambda: running.app._gate._rules.allowed[POS].calls == {"status", "jobs"})
    with running.native() as program, native(running, origin=POS) as client:
        program.print("Label", "x\n", id="theirs", wait="ended")
        assert client.refusal("jobs.resolve", id="theirs", action="print-again").code == "not-granted"
        assert client.refusal("jobs.resolve", id="theirs", action="discard").code == "not-uncertain"


def test_metrics_tell_a_token_of_its_printers(running, access):
    def scrape(secret):
        status, _, body = running.http(["GET /metrics", f"Authorization: Bearer {secret}"])
        return status, body.decode()

    some = access("token", "new", "some", "--printer", "Receipt").strip()
    blind = access("token", "new", "blind", "--calls", "print").strip()
    soon(lambda: len(running.app._gate._rules.tokens) == 2)
    status, body = scrape(some)
    assert (status, 'printer="Receipt"' in body, "Label" in body) == (200, True, False)
    assert scrape(blind)[0] == scrape("rp_wrong")[0] == 403


def test_a_drawer_takes_part_in_the_limit(running):
    with native(running, origin=POS) as client:
        for _ in range(5):
            client.ask("drawer.open", printer="Receipt")
        assert client.refusal("drawer.open", printer="Receipt").code == "rate-limited"
        assert client.refusal("print", printer="Label", data="x").code == "rate-limited"


def test_a_damaged_file_lets_nobody_in_and_the_next_revocation_is_noticed(running, access, caplog):
    access("deny", POS)
    secret = access("token", "new", "till").strip()
    soon(lambda: running.app._gate._rules.tokens)
    file = running.app._state / GRANTS_FILE
    good = file.read_bytes()
    with native(running, secret) as client:
        file.write_bytes(DAMAGED["deep"])
        ends(client)
    assert "damaged" in caplog.text
    refused(running, origin=POS)  # who was denied stays out, though the configuration lists it
    file.write_bytes(good)
    soon(lambda: running.app._gate._rules.tokens)
    with native(running, secret) as client:
        access("token", "revoke", "till")
        ends(client)


def test_a_revocation_that_comes_with_a_change_of_the_servers_own(running, access, monkeypatch):
    """The command writes right after the server has: what the server holds then is old."""
    secret = access("token", "new", "till").strip()
    soon(lambda: running.app._gate._rules.tokens)
    real = grants.change

    def change_then_revoke(folder, how):
        after = real(folder, how)
        real(folder, lambda before: before.revoke("till"))
        return after

    with native(running, secret) as client:
        monkeypatch.setattr(gate.grants, "change", change_then_revoke)
        with native(running, origin=EVIL) as page, pytest.raises(ConnectionClosed):
            page.read()
        ends(client)


def test_very_many_origins_cost_few_writes(running, monkeypatch):
    writes = []
    real = grants.change
    monkeypatch.setattr(gate.grants, "change", lambda *args: (writes.append(1), real(*args))[1])
    gate_ = running.app._gate

    def flood():
        for number in range(5000):
            gate_.note_refused(f"https://p{number}.example")

    running.call(flood)
    soon(lambda: writes)
    assert len(gate_._asking) <= grants.MOST_ASKED
    assert len(gate_._refused) <= gate.REFUSED_KEPT
    soon(lambda: len(gate_.grants.asked) == grants.MOST_ASKED)
    assert len(writes) <= 2
    monkeypatch.undo()


def test_changes_at_a_time_all_count(running):
    """The first to be written must not be the last to be taken over."""
    gate_ = running.app._gate

    async def both():
        await asyncio.gather(*(gate_.change(lambda g, n=n: g.deny(f"https://p{n}.example")) for n in range(30)))

    asyncio.run_coroutine_threadsafe(both(), running.loop).result(5)
    assert len(gate_.grants.denied) == len(read(running.app._state).denied) == 30


# The administrator


@pytest.fixture
def secret(running):
    return grants.admin_secret(running.app._state, make=False)


def test_an_administrators_calls_and_what_they_give(running, secret, access):
    own = f"http://127.0.0.1:{running.port}"

    def ask(client, call, **params):
        result = client.ask(call, **params)
        assert errors(result, SCHEMA["calls"][call]["result"]) == [], call
        if params:
            assert errors(params, SCHEMA["calls"][call]["params"]) == [], call
        return result

    access("token", "new", "till")
    refused(running, origin="https://asks.example")
    with native(running, secret) as program:
        code = ask(program, "admin.code")["code"]
    with native(running, origin=own) as page:
        assert page.refusal("admin.access").code == "not-granted"
        assert ask(page, "admin.enter", code=code) is None
        first = ask(page, "admin.access")
        assert [each["origin"] for each in first["allowed"]] == [POS]
        assert first["allowed"][0]["how"] == "configuration"
        after = ask(page, "admin.allow", origin=EVIL, calls=["status"], printers=["Label"], raw=True)
        assert after["allowed"][-1]["how"] == "dashboard"
        with native(running, origin=EVIL) as client:
            assert client.ask("printers.find") == ["Label"]
            assert ask(page, "admin.deny", origin=EVIL)["denied"] == [EVIL]
            ends(client)
        soon(lambda: page.ask("admin.access")["tokens"] == ["till"])
        soon(lambda: page.ask("admin.access")["asked"])
        ask(page, "admin.access")
        for origin in ("*", POS + "/", "", "https://POS.example.com"):
            assert page.refusal("admin.allow", origin=origin).code == "bad-request"
        assert page.refusal("admin.allow", origin=EVIL, calls=["admin"]).code == "bad-request"
        assert page.refusal("admin.deny", origin="x" * 301).code == "bad-request"
        access("allow", "https://other.example")
        soon(lambda: len(page.ask("admin.access")["allowed"]) == 2)  # and it is an administrator still


def test_a_code_is_good_once_for_an_own_page(running, secret, monkeypatch):
    own = f"http://localhost:{running.port}"
    with native(running, secret) as program:
        code, other, old = (program.ask("admin.code")["code"] for _ in range(3))
        assert program.refusal("admin.enter", code=code).code == "not-granted"
    for origin in (POS, None):  # which does not use it up
        with native(running, origin=origin) as client:
            assert client.refusal("admin.enter", code=code).code == "not-granted"
    with native(running, origin=own) as page:
        for wrong in ("", "x", code[:-1], code + " ", other.swapcase()):
            assert page.refusal("admin.enter", code=wrong).code == "not-granted"
        page.ask("admin.enter", code=code)
        page.ask("admin.access")
    with native(running, origin=own) as page:
        assert page.refusal("admin.access").code == "not-granted"
        assert page.refusal("admin.enter", code=code).code == "not-granted"
        running.app._gate._codes[old] = running.loop.time() - 0.001
        assert page.refusal("admin.enter", code=old).code == "not-granted"
        page.ask("admin.enter", code=other)


@pytest.mark.parametrize("call", [call for call, kind in NEEDS.items() if kind == "admin"])
def test_nobody_else_is_one(running, secret, access, call):
    token = access("token", "new", "till").strip()
    soon(lambda: running.app._gate._rules.tokens)
    params = {"origin": EVIL}
    for who in (
        {},
        {"origin": POS},
        {"origin": POS, "token": secret},  # an allowed page, though it knows the secret
        {"origin": POS, "protocols": [f"rawprint.token.{secret}"]},
        {"origin": f"http://127.0.0.1:{running.port}"},
        {"origin": f"http://127.0.0.1:{running.port}", "token": token},
        {"token": token},
    ):
        with native(running, **who) as client:
            assert client.refusal(call, **params).code == "not-granted"
    with running.connect(origin=POS) as old:
        assert old.ask(call, params=params)["error"]["code"] == "not-granted"
    refused(running, origin=EVIL, token=secret)
    assert running.app._gate.grants.allowed == ()


def test_the_dashboards_command_gives_a_page_with_a_code(running, home, capsys):
    words = ["dashboard", "--config", str(home), "--server", running.url, "--print"]
    assert main(words) == 0
    page, _, code = capsys.readouterr().out.strip().partition("/#code=")
    assert page == f"http://127.0.0.1:{running.port}"
    with native(running, origin=page) as client:
        client.ask("admin.enter", code=code)
        client.ask("admin.access")
    (running.app._state / ADMIN_FILE).write_text("rp_wrong\n")
    assert main(words) == 2
    (running.app._state / ADMIN_FILE).unlink()
    assert main(words) == 2


# Programs


def test_programs_by_token_alone(home, stack):
    home.write_text(home.read_text().replace("[access]", '[access]\nprograms = "token"'))
    state = home.parent / "state"
    change(state, lambda before: before.with_token(Token("till", hashed("rp_x"), Grant())))
    server = stack.enter_context(RunningServer(load(home), state))
    assert "token" in refused(server)
    assert server.http(["GET /metrics"])[0] == server.http(["GET /nope"])[0] == 403
    assert server.http(["GET /health"])[0] == 200
    with native(server, "rp_x") as client:
        assert client.ask("printers.find") == ["Label", "Receipt"]
    with native(server, origin=POS) as client:
        assert client.ask("printers.find") == ["Label", "Receipt"]


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="127.0.0.2 is an address of this machine on Linux alone"
)
def test_what_other_machines_reach_takes_a_token(home, stack):
    """127.0.0.2 stands for an address in the network: it is none of those that the server calls loopback."""
    home.write_text(home.read_text().replace("[server]", '[server]\nhost = "127.0.0.2"\ninsecure = true'))
    state = home.parent / "state"
    with pytest.raises(app.ListenError, match="no token"):
        stack.enter_context(RunningServer(load(home), state))
    change(state, lambda before: before.with_token(Token("till", hashed("rp_x"), Grant(printers=frozenset({"Label"})))))
    server = stack.enter_context(RunningServer(load(home), state))
    own = f"http://127.0.0.2:{server.port}"

    def get(path, **headers):
        connection = HTTPConnection("127.0.0.2", server.port, timeout=5)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status, response.headers["Access-Control-Allow-Origin"]

    for origin in (EVIL, POS, "null"):
        assert get("/health", Origin=origin) == get("/", Origin=origin) == (403, None)
    assert get("/health", Origin=EVIL, Authorization="Bearer rp_x") == (403, None)
    assert get("/health", Origin=POS, Authorization="Bearer rp_x") == (200, POS)
    assert get("/health", Origin=own) == (200, own)
    assert get("/")[0] == get("/health")[0] == 200
    assert get("/metrics")[0] == get("/schema.json")[0] == 403
    assert get("/metrics", Authorization="Bearer rp_x")[0] == 200
    url = own.replace("http", "ws")
    for options in ({}, {"origin": POS}, {"origin": own}, {"additional_headers": {"Authorization": "Bearer rp_y"}}):
        with server.connect(url, **options) as client:
            ends(client)
    with server.connect(url, additional_headers={"Authorization": "Bearer rp_x"}) as client:
        assert client.ask("printers.find")["result"] == ["Label"]
    with server.connect(url, origin=EVIL, subprotocols=["rawprint.pair.v1"]) as client:
        ends(client)
    secret = (state / "admin.token").read_text().strip()  # whoever has read that is on this machine
    with server.connect(url, additional_headers={"Authorization": f"Bearer {secret}"}) as client:
        ends(client)
    with native(server) as client:  # by loopback as ever
        assert client.ask("printers.find") == ["Label", "Receipt"]


def test_a_server_without_a_folder_has_no_administrator():
    assert isinstance(decide(Asking(token=""), Gate(AccessConfig(), None)._rules), Refusal)
    assert "admin" not in PROGRAM.calls
