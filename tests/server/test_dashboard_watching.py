"""What an administrator who watches is told: clients, the log, who may come in; and what it costs where nobody does."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from rawprint_server import watching
from rawprint_server.access import Grant, Token, hashed
from rawprint_server.grants import change
from rawprint_server.session import Session

from .conftest import PATIENCE
from .test_schema import SCHEMA, errors

POS = "https://pos.example.com"
log = logging.getLogger("rawprint_server.test")


@pytest.fixture(autouse=True)
def heard():
    """A log that tells all, as with `level = "debug"`."""
    root = logging.getLogger()
    level, ours = root.level, logging.getLogger("websockets").level
    root.setLevel(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.DEBUG)  # which would tell of the telling
    yield
    root.setLevel(level)
    logging.getLogger("websockets").setLevel(ours)


def watch(admin):
    told = admin.ask("admin.watch")
    assert errors(told, SCHEMA["calls"]["admin.watch"]["result"]) == []
    return told


def event(admin, kind, wanted=lambda _: True):
    data = admin.event(lambda name, data: name == kind and wanted(data))
    assert errors({"event": kind, "data": data}, SCHEMA["events"][kind]) == []
    return data


def test_clients_as_they_come_call_and_go(administered):
    server, admin = administered()
    with server.native(origin=POS) as page:
        page.ask("printers.list")
        told = watch(admin)
        mine, other = told["clients"]
        assert (mine["origin"], mine["token"], mine["gone"], mine["id"]) == (None, "admin", False, 1)
        assert (other["origin"], other["address"], other["accent"]) == (POS, "127.0.0.1", "native")
        assert (other["calls"], other["errors"], other["subscribed"]) == (1, 0, False)
        assert other["bytes"] == len(json.dumps({"call": "printers.list", "uid": 1, "params": {}}))
        page.ask("subscribe")
        page.refusal("jobs.get", id="never")
        now = event(admin, "client", lambda data: data["id"] == other["id"] and data["calls"] == 3)
        assert (now["errors"], now["subscribed"], now["since"]) == (1, True, other["since"])
    assert event(admin, "client", lambda data: data["gone"])["id"] == other["id"]
    with server.connect() as client:
        new = event(admin, "client", lambda data: data["id"] > other["id"])
        assert (new["accent"], new["calls"], new["gone"]) == (None, 0, False)
        client.ask("printers.find")
        assert event(admin, "client", lambda data: data["calls"] == 1)["accent"] == "printerwebsocket"
    assert event(admin, "client", lambda data: data["gone"])["id"] == new["id"]


def test_a_client_is_told_of_once_a_second(administered):
    server, admin = administered()
    watch(admin)
    with server.native(origin=POS) as page:
        began = time.monotonic()
        for _ in range(500):
            page.ask("printers.find")
        event(admin, "client", lambda data: data["calls"] == 500)
        took = time.monotonic() - began
        events = [one for one in admin.events if one["event"] == "client"]
        assert len(events) <= 2 * (took + 1)


def test_who_comes_and_goes_in_a_breath_is_not_told_of(administered, monkeypatch):
    monkeypatch.setattr(watching, "NEW_AFTER", 60.0)
    server, admin = administered()
    watch(admin)
    for _ in range(20):
        with server.native(origin=POS) as page:
            page.ask("server.version")
    assert [one for one in admin.settled() if one["event"] == "client" and one["data"]["origin"] == POS] == []


def test_lines_of_the_log(administered):
    _, admin = administered()
    for number in range(watching.LINES + 50):
        log.info("line %d", number)
    log.debug("not kept")
    told = watch(admin)["log"]
    assert len(told) == watching.LINES
    assert (told[-1]["text"], told[-1]["level"], told[-1]["job"]) == (f"line {watching.LINES + 49}", "info", None)
    log.debug("now it is", extra={"job": "7", "printer": "Label"})
    line = event(admin, "log", lambda data: data["text"] == "now it is")
    assert (line["level"], line["job"], line["printer"]) == ("debug", "7", "Label")
    try:
        raise ValueError("broken\x1b[2J")
    except ValueError:
        log.exception("the call failed")
    assert "ValueError: broken" in event(admin, "log", lambda data: "the call failed" in data["text"])["text"]
    log.critical("x" * 10_000)
    line = event(admin, "log", lambda data: data["text"].startswith("xxx"))
    assert (line["level"], len(line["text"])) == ("error", watching.MAX_LINE)


def test_a_line_that_utf_8_cannot_write():
    record = logging.LogRecord(
        "rawprint_server", logging.INFO, "", 0, "broken\ud800", (), None
    )  # where pytest does not see it
    assert watching._line(record).text == "broken?"


def test_no_line_tells_a_token(administered):
    server, admin = administered()
    watch(admin)
    secret = "rp_" + "aB3_-" * 8
    log.warning("somebody came with %s, so", secret)
    assert event(admin, "log", lambda data: "somebody" in data["text"])["text"] == "somebody came with rp_…, so"
    with server.connect(additional_headers={"Authorization": f"Bearer {secret}"}), pytest.raises(ConnectionClosed):
        server.connect(additional_headers={"Authorization": f"Bearer {secret}"}).__enter__().ws.recv(PATIENCE)
    assert secret not in json.dumps(admin.settled())


def test_a_flood_of_lines_is_told_in_part(administered):
    _, admin = administered()
    watch(admin)

    def flood():
        for number in range(5000):
            log.info("flood %d", number)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    event(admin, "log", lambda data: "came too fast" in data["text"])
    last = [one["data"]["text"] for one in admin.settled() if one["event"] == "log"]
    assert len(last) < 10_000


def test_the_telling_is_not_told(administered):
    """Each frame makes lines in the log of websockets; one line of ours must not become endless ones."""
    server, admin = administered()
    watch(admin)
    log.info("one")
    event(admin, "log", lambda data: data["text"] == "one")
    threading.Event().wait(5 * watching.LOG_EVERY)
    lines = [one["data"]["text"] for one in admin.settled() if one["event"] == "log"]
    assert len(lines) <= 2, lines
    assert not server.app._services.watching._fresh


def test_who_watches_no_more_hears_nothing(administered):
    server, admin = administered()
    watch(admin)
    admin.ask("admin.unwatch")
    admin.events.clear()
    with server.native(origin=POS) as page:
        log.warning("unheard")
        page.ask("printers.list")
        threading.Event().wait(2 * watching.NEW_AFTER)
        assert admin.settled() == []
        seen = server.app._services.watching
        assert (seen._watchers, seen._log.level) == (set(), logging.INFO)
        assert all(known.timer is None for known in seen._clients.values())
    again = watch(admin)
    assert again["log"][-1]["text"] == "unheard"
    admin.ask("admin.unwatch")
    admin.ask("admin.unwatch")


def test_who_comes_in_and_who_asks(administered):
    server, admin = administered()
    first = watch(admin)["access"]
    assert [each["origin"] for each in first["allowed"]] == [POS]
    with server.native(origin="https://asks.example") as page, pytest.raises(ConnectionClosed):
        page.read()
    asked = event(admin, "access", lambda data: data["asked"])
    assert asked["asked"][0]["origin"] == "https://asks.example"
    admin.ask("admin.allow", origin="https://asks.example")
    allowed = event(admin, "access", lambda data: len(data["allowed"]) == 2)
    assert allowed["asked"] == []
    assert allowed == admin.ask("admin.access")
    change(server.app._state, lambda before: before.with_token(Token("till", hashed("rp_x"), Grant())))
    assert event(admin, "access", lambda data: data["tokens"])["tokens"] == ["till"]


def test_a_client_is_disconnected(administered):
    server, admin = administered()
    watch(admin)
    with server.native(origin=POS) as page:
        page.ask("subscribe")
        page_id = event(admin, "client", lambda data: data["origin"] == POS)["id"]
        assert admin.ask("admin.disconnect", id=page_id) is None
        with suppress(ConnectionClosed):
            while True:
                page.read()
        assert (page.ws.close_code, page.ws.close_reason) == (4403, "disconnected by the administrator")
    assert event(admin, "client", lambda data: data["gone"])["id"] == page_id
    assert admin.refusal("admin.disconnect", id=page_id).code == "unknown-client"
    assert admin.refusal("admin.disconnect", id="1").code == "bad-request"
    with server.connect() as client:
        client.ask("printers.find")
        other = event(admin, "client", lambda data: data["accent"] == "printerwebsocket")["id"]
        admin.ask("admin.disconnect", id=other)
        with pytest.raises(ConnectionClosed):
            client.recv()
    with server.native(origin=POS) as page:  # it may come again
        assert page.ask("printers.find")


def test_one_that_is_an_administrator_no_more_hears_nothing(administered):
    server, admin = administered()
    watch(admin)

    def demote():
        for session in server.app._sessions:
            entry = session._client.entry
            Session.change(session, entry._replace(grant=Grant(frozenset({"status"}))))

    server.call(demote)
    admin.events.clear()
    log.warning("unheard")
    threading.Event().wait(2 * watching.LOG_EVERY)
    assert admin.settled() == []
    assert admin.refusal("admin.watch").code == "not-granted"


def test_one_that_reads_nothing_is_cut_off(administered):
    server, admin = administered(max_outbox_bytes=65536)
    watch(admin)

    def block():
        for _ in range(40):
            for _ in range(watching.LINES):
                log.info("y" * watching.MAX_LINE)
            server.app._services.watching._tell_lines()

    server.call(block)
    deadline = time.monotonic() + PATIENCE
    while server.app._services.watching._watchers:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    with server.native() as client:
        assert client.ask("printers.find")


def test_the_log_of_a_server_that_has_ended_is_nobodys(administered, stack):
    server, _ = administered()
    handler = server.app._services.watching._log
    assert handler in logging.getLogger().handlers
    stack.close()
    assert handler not in logging.getLogger().handlers
