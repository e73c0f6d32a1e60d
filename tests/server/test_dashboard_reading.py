"""What the dashboard asks of the past: what a job says, a job once more, and how a printer stood in the last day."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from rawprint import COPY_MARKS, PrinterState
from rawprint.documents.reading import MAX_DATA, MAX_LINE, MAX_LINES, read_job
from rawprint_server.access import Grant, Token, hashed
from rawprint_server.bodies import LARGEST, MOST, Bodies
from rawprint_server.config import Config, PrinterConfig, ServerConfig
from rawprint_server.grants import change
from rawprint_server.history import MOST as MOST_CHANGES
from rawprint_server.history import History
from rawprint_server.messages import ChangeView

from .conftest import RunningServer

RECEIPT = b"\x1b@\x1b!\x10Caf\x82 Rosa\n\x1b!\x002 x Tea   4.00\n\x1dV\x00"
LABEL = b'SIZE 40 mm,30 mm\r\nCLS\r\nTEXT 20,20,"3",0,1,1,"Parcel 7"\r\nPRINT 2\r\n'


@pytest.fixture
def kept(stack, tmp_path, label, receipt):
    """kept(**keys of [server]) -> a server with a journal."""

    def kept(**server):
        printers = {
            "Label": PrinterConfig(label.address, "tspl"),
            "Receipt": PrinterConfig(receipt.address, "escpos", width_mm=58),
        }
        return stack.enter_context(RunningServer(Config(ServerConfig(port=0, **server), printers), tmp_path / "state"))

    return kept


def hex_item(data):
    return [{"type": "raw", "format": "command", "flavor": "hex", "data": data.hex()}]


@pytest.mark.parametrize("journal", [True, False])
def test_what_a_job_says(kept, server, journal):
    with (kept() if journal else server).native() as client:
        client.print("Receipt", hex_item(RECEIPT), id="tea", wait="ended")
        client.print("Label", hex_item(LABEL), id="parcel", wait="ended")
        tea, parcel = (client.ask("jobs.text", id=id) for id in ("tea", "parcel"))
    assert (tea["lines"], tea["sheets"], tea["truncated"]) == (["Café Rosa", "2 x Tea   4.00"], 1, False)
    assert (parcel["lines"], parcel["sheets"]) == (["Parcel 7"], 2), "copies say the same"
    for told in (tea, parcel):
        assert base64.b64decode(told["sheet"]).startswith(b"\x89PNG")


def test_a_job_of_a_printer_without_a_language_is_text_where_it_is(start, receipt):
    with start({"Any": (receipt.address, None)}).native() as client:
        client.print("Any", hex_item(b"\x1b@Tea\x00Milk\r\n\xff\n"), id="tea", wait="ended")
        assert client.ask("jobs.text", id="tea") == {
            "lines": ["@Tea", "Milk", "\xa0"],
            "sheet": None,
            "sheets": 0,
            "truncated": False,
        }


def test_a_large_job_is_read_in_part():
    told = json.loads(next(read_job(None, b"x" * (MAX_DATA + 1))))
    assert (told["truncated"], len(told["lines"][0])) == (True, MAX_LINE)
    many, sheet = read_job("escpos", b"x\n" * (MAX_LINES + 1))
    assert len(json.loads(many)["lines"]) == MAX_LINES
    assert json.loads(many)["truncated"]
    assert len(sheet) < 1_000_000
    tall, sheet = read_job("escpos", b"\n" * 3000)
    assert json.loads(tall)["truncated"]
    assert len(sheet) < 100_000


@pytest.mark.parametrize("journal", [True, False])
def test_a_job_once_more(kept, server, receipt, journal):
    with (kept() if journal else server).native() as client:
        first = client.print("Receipt", hex_item(RECEIPT), id="tea", jobName="Table 5", wait="ended")
        again, third = client.ask("jobs.again", id="tea"), client.ask("jobs.again", id="tea")
        assert [job["id"] for job in (first, again, third)] == ["tea", "tea~again", "tea~again2"]
        assert (again["name"], again["by"], again["printer"]) == ("Table 5", "program 127.0.0.1", "Receipt")
        client.print("Receipt", "\n", wait="ended")  # behind them
        copy = COPY_MARKS["escpos"] + RECEIPT
        assert receipt.received().count(copy) == 2
        assert client.refusal("jobs.again", id="never").code == "unknown-job"


def test_bytes_that_are_not_kept(kept, start, receipt):
    journal, none = kept(keep_data="0s"), start({"Receipt": (receipt.address, "escpos")}, keep_data="0s")
    for server in (journal, none):
        with server.native() as client:
            client.print("Receipt", "Tea\n", id="tea", wait="ended")
            for call in ("jobs.text", "jobs.again"):
                assert client.refusal(call, id="tea").code == "no-data"
            client.ask("drawer.open", printer="Receipt", options={"id": "till", "wait": "ended"})
            assert client.refusal("jobs.again", id="till").code == "no-data"


def test_who_may_not_see_a_job_learns_nothing(stack, tmp_path, receipt, label):
    state = tmp_path / "state"
    tokens = {
        "other": Grant(frozenset({"status", "jobs", "print"}), frozenset({"Label"})),
        "looks": Grant(frozenset({"status", "jobs"})),
        "prints": Grant(frozenset({"status", "print"})),
    }
    for name, grant in tokens.items():
        change(state, lambda before, name=name, grant=grant: before.with_token(Token(name, hashed(name), grant)))
    printers = {"Label": PrinterConfig(label.address, "tspl"), "Receipt": PrinterConfig(receipt.address, "escpos")}
    server = stack.enter_context(RunningServer(Config(ServerConfig(port=0), printers), state))
    with server.native() as owner:
        owner.print("Receipt", "Tea\n", id="tea", wait="ended")

    def codes(token, *calls):
        with server.native(additional_headers={"Authorization": f"Bearer {token}"}) as client:
            return [client.refusal(call, **params).code for call, params in calls]

    of_job, history = {"id": "tea"}, {"printer": "Receipt"}
    calls = [("jobs.text", of_job), ("jobs.again", of_job), ("printers.history", history)]
    assert codes("other", *calls) == ["unknown-job", "unknown-job", "not-granted"]
    assert codes("other", ("jobs.list", {"before": "tea"})) == ["unknown-job"]
    assert codes("looks", calls[1]) == ["not-granted"]
    assert codes("prints", *calls) == ["not-granted"] * 3


def test_how_a_printer_stood(server, receipt):
    with server.native() as client:
        client.ask("printers.status", printer="Receipt")
        receipt.set("media-empty", True)
        client.ask("printers.status", printer="Receipt")
        client.ask("printers.status", printer="Receipt")
        receipt.set("media-empty", False)
        client.ask("printers.status", printer="Receipt")
        told = client.ask("printers.history", printer="Receipt")
    assert [(each["state"], each["reasons"].get("media-empty"), each["error"]) for each in told] == [
        ("idle", False, None),
        ("stopped", True, None),
        ("idle", False, None),
    ]
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def changes(*hours_ago):
    history = History()
    for hours in hours_ago:
        history.add(ChangeView(NOW - timedelta(hours=hours), PrinterState.IDLE, {}, None))
    return [(NOW - each.at) / timedelta(hours=1) for each in history.since(NOW)]


def test_a_history_is_a_day_long():
    assert changes() == []
    assert changes(23, 1) == [23, 1]
    assert changes(50, 30, 1) == [24, 1], "as it stood when the day began"
    assert changes(50) == [24]
    assert len(changes(*([1] * (MOST_CHANGES + 1)))) == MOST_CHANGES


def test_bodies_are_bounded():
    bodies = Bodies(10.0)
    for number in range(2 * MOST // LARGEST):
        bodies.put(str(number), b"x" * LARGEST, 0.0)
    assert sum(bodies.get(str(number), 0.0) is not None for number in range(2 * MOST // LARGEST)) == MOST // LARGEST
    bodies.put("large", b"x" * (LARGEST + 1), 0.0)
    assert bodies.get("large", 0.0) is None
    bodies.put("late", memoryview(b"late"), 5.0)
    bodies.put("later", b"", 10.5)
    assert (bodies.get("late", 15.0), bodies.get("late", 15.1)) == (b"late", None)
    assert bodies._size == 4
