"""What is known of a printer: how long that holds, how it is forgotten, and what a record that is kept looks like."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import Capabilities, PrinterState, Reason
from rawprint.dialects import by_name
from rawprint.virtual import Listener, device

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
TIMES = st.integers(946684800000000, 4102444800000000).map(
    lambda us: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def days_ago(days):
    return datetime.now(UTC) - timedelta(days=days)


def record(**parts):
    return {"answered": [], "silent": [], "feeds": False, "learnt": {}, "round_trip": None, **parts}


# -- a record that is kept ------------------------------------------------------------------------------------------


@given(st.dictionaries(NAMES, TIMES), st.dictionaries(NAMES, TIMES), st.booleans(), st.none() | st.floats(1e-5, 3600))
def test_what_is_kept_comes_back(answered, silent, feeds, round_trip):
    silent = {name: at for name, at in silent.items() if name not in answered and name != "feeds"}
    answered.pop("feeds", None)
    before = Capabilities(
        answered=set(answered), silent=set(silent), feeds=feeds, learnt=answered | silent, round_trip=round_trip
    )
    after = Capabilities.from_json(json.loads(json.dumps(before.to_json())))
    assert (after.answered, after.silent, after.feeds, after.learnt) == (
        before.answered,
        before.silent,
        feeds,
        before.learnt,
    )
    assert after.round_trip == (None if round_trip is None else pytest.approx(round_trip, abs=1e-6))


def test_a_record_is_what_the_readme_says():
    capabilities = Capabilities(promised=frozenset({"pushes"}), drawer_open="high")
    capabilities.learn("status", answered=True)
    capabilities.learn("status-long", answered=False)
    capabilities.took(0.012)
    kept = capabilities.to_json()
    times = kept.pop("learnt")
    assert kept == {"answered": ["status"], "silent": ["status-long"], "feeds": False, "round_trip": 0.012}
    assert list(times) == ["status", "status-long"]
    assert all(
        timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(at) < timedelta(minutes=1) for at in times.values()
    )


@given(
    JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "answered": JSON | st.lists(JSON),
            "silent": JSON | st.lists(JSON),
            "feeds": JSON,
            "learnt": JSON | st.dictionaries(st.text(max_size=10), JSON | TIMES.map(str)),
            "round_trip": JSON,
            "from-the-future": JSON,
        },
    )
)
def test_no_content_is_an_error(content):
    made = Capabilities.from_json(content)
    assert all(isinstance(name, str) and 0 < len(name) <= 64 for name in made.answered | made.silent)
    assert not made.answered & made.silent
    assert made.silent <= set(made.learnt) <= made.answered | made.silent | {"feeds"}
    assert all(at.utcoffset() == timedelta(0) for at in made.learnt.values())
    assert made.round_trip is None or 0 < made.round_trip <= 3600
    assert made.feeds in (True, False)
    assert Capabilities.from_json(json.loads(json.dumps(made.to_json()))).answered == made.answered
    for name in ("tspl", "escpos", "star", "zpl"):
        list(made.worth_asking(by_name(name)))
        made.is_mute(by_name(name))


def test_hostile_parts_are_passed_over():
    long, many = "x" * 65, [f"name-{number}" for number in range(1000)]
    made = Capabilities.from_json(
        record(
            answered=["status", long, "", 5, None, "line\nend"],
            silent=["status", *many],
            feeds="yes",
            learnt={"status": "0001-01-01T00:00:00+23:59", "name-1": "yesterday", "name-2": days_ago(1).isoformat()},
            round_trip=float("nan"),
        )
    )
    assert made.answered == {"status"}
    assert made.silent == {"name-2"}, "a silence without its age would hold for ever"
    assert (made.feeds, made.round_trip) == (False, None)


def test_news_is_told_once():
    told = []
    capabilities = Capabilities(on_learn=lambda record: told.append((sorted(record.answered), sorted(record.silent))))
    for _ in range(3):
        capabilities.learn("status", answered=True)
        capabilities.learn("status-long", answered=False)
        capabilities.took(0.01)
    assert told == [(["status"], []), (["status"], ["status-long"])]
    capabilities.learn("status-long", answered=True)
    assert told[-1] == (["status", "status-long"], [])
    capabilities.learn_feeds()
    assert len(told) == 4
    assert set(capabilities.learnt) == {"status", "status-long", "feeds"}


# -- how long it holds ----------------------------------------------------------------------------------------------


def questions(listener):
    return [listener.received().count(question) for question in (b"\x1b!?", b"\x1b!S", b"~!S\r\n")]


@pytest.mark.parametrize(("age", "again"), [(6, 0), (8, 1), (-1, 1)], ids=["young", "old", "of a clock that went back"])
def test_a_silence_is_asked_about_again_when_it_is_old(virtual, age, again):
    """The printer was replaced by one that knows more: that shows after a week."""
    listener = virtual("tspl")
    at = days_ago(age).isoformat()
    capabilities = Capabilities.from_json(
        record(
            answered=["status"],
            silent=["status-long", "status-tilde"],
            learnt={"status": at, "status-long": at, "status-tilde": at},
        )
    )
    with rawprint.open(listener.address, "tspl", capabilities=capabilities) as printer:
        for _ in range(2):
            assert printer.status().state is PrinterState.IDLE
    assert questions(listener) == [2, 2 * again, 0]
    assert ("status-long" in capabilities.answered) == bool(again)


def test_an_old_silence_that_is_confirmed_is_young_again(virtual):
    """What no manual documents is not tried again: a printer may print it."""
    listener = virtual("tspl", clone="short-status")
    at = days_ago(8).isoformat()
    capabilities = Capabilities.from_json(
        record(
            answered=["status"],
            silent=["status-long", "status-tilde"],
            learnt={"status": at, "status-long": at, "status-tilde": at},
        )
    )
    for _ in range(2):
        with rawprint.open(listener.address, "tspl", capabilities=capabilities) as printer:
            for _ in range(2):
                assert printer.status().state is PrinterState.IDLE
    assert questions(listener) == [4, 1, 0]
    assert capabilities.learnt["status-long"] > days_ago(1)


# -- another printer at the same address ----------------------------------------------------------------------------


def known(*answered):
    at = days_ago(1).isoformat()
    return Capabilities.from_json(record(answered=list(answered), learnt=dict.fromkeys(answered, at)))


def ask(address, dialect, capabilities):
    """The state on a connection of its own, or the code of the error."""
    try:
        with rawprint.open(address, dialect, capabilities=capabilities) as printer:
            return printer.status().state
    except rawprint.RawprintError as error:
        return error.code


def test_an_answer_that_stays_away_is_forgotten_after_three_times(virtual):
    listener = virtual("tspl", clone="short-status")
    listener.set("media-empty", True)
    capabilities = known("status", "status-long", "pushes")
    assert [ask(listener.address, "tspl", capabilities) for _ in range(4)] == ["no-reply"] * 2 + ["stopped"] * 2
    assert capabilities.answered == {"status"}, "that it told unasked was another printer's, too"
    assert {"status-long", "status-tilde"} == capabilities.silent
    assert questions(listener) == [4, 3, 1]


def test_one_answer_between_silences_counts(peer):
    """Busy now and then is not replaced."""
    answers = [1, 0, 0, 1, 0, 0, 1]

    def serve(connection, number):
        while question := connection.recv(16):
            if question == b"\x1b!?":
                connection.sendall(b"\x00")
            elif answers[number - 1]:
                connection.sendall(b"\x02@@@@\x03\r\n")

    address, capabilities = peer(serve).address, Capabilities()
    assert [ask(address, "tspl", capabilities) for _ in answers] == ["idle" if a else "no-reply" for a in answers]
    assert capabilities.answered == {"status", "status-long"}
    assert capabilities.silent == set()


def test_what_is_essential_is_never_forgotten(peer):
    """Off, or mute: nobody knows, and it may answer again at any time."""
    awake = threading.Event()

    def serve(connection, _):
        while question := connection.recv(16):
            if awake.is_set():
                connection.sendall(b"\x12" * (len(question) // 3))

    address, capabilities = peer(serve).address, known("dle-eot-1", "dle-eot-2", "dle-eot-3", "dle-eot-4")
    for _ in range(5):
        with rawprint.open(address, "escpos", capabilities=capabilities) as printer, pytest.raises(rawprint.NoReply):
            printer.status(0.1)
    assert len(capabilities.answered) == 4
    assert capabilities.silent == set()
    awake.set()
    assert ask(address, "escpos", capabilities) == "idle"


@pytest.mark.parametrize(("now", "answers"), [("hqes", "~HQES"), ("hs", "~HS")])
def test_where_no_question_is_required_each_may_be_the_one_that_stays_away(peer, now, answers):
    """A Zebra that knew both questions is replaced by one that knows one of them; paper is out in it."""
    said = {
        "hqes": b"\x02\r\nPRINTER STATUS\r\nERRORS: 1 00000000 00000001\r\nWARNINGS: 0 00000000 00000000\r\n\x03",
        "hs": b"\x02030,1,0,1245,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n",
    }

    def serve(connection, _):
        while question := connection.recv(16):
            if question.startswith(answers.encode()):
                connection.sendall(said[now])

    address, capabilities = peer(serve).address, known("hqes", "hs")
    states = [ask(address, "zpl", capabilities) for _ in range(4)]
    assert states[-1] == "stopped"
    assert "idle" not in states
    assert now in capabilities.answered
    assert capabilities.is_mute(by_name("zpl")) is False


def test_a_mute_printer_is_given_another_chance_by_a_new_queue():
    """It was off, or on its cable, when it was asked; the record says that it is mute."""
    at = days_ago(1).isoformat()
    kept = record(silent=["status"], learnt={"status": at})
    assert Capabilities.from_json(kept).is_mute(by_name("tspl"))
    with Listener(device("tspl")) as listener:
        capabilities = Capabilities.from_json(kept)
        with rawprint.PrintQueue(listener.address, "tspl", capabilities=capabilities, idle_release=None) as queue:
            assert not capabilities.is_mute(by_name("tspl"))
            job = queue.submit(b"CLS\r\n")
            assert job.wait(10)
            assert "status" in job.evidence
    assert capabilities.answered == {"status", "status-long"}


def test_a_printer_that_feeds_stays_one():
    capabilities = Capabilities.from_json(record(answered=["status"], feeds=True))
    with Listener(device("tspl", clone="feeds-when-asked")) as listener:
        with rawprint.PrintQueue(listener.address, "tspl", capabilities=capabilities, idle_release=None) as queue:
            assert queue.submit(b"CLS\r\n").wait(10)
            with pytest.raises(rawprint.Unsupported):
                queue.status()
        assert listener.received() == b"CLS\r\n"


def test_the_round_trip_is_smoothed(peer):
    def serve(connection, _):
        while connection.recv(3):
            threading.Event().wait(0.03)
            connection.sendall(b"\x12")

    with rawprint.open(peer(serve).address, "escpos") as printer:
        for _ in range(3):
            assert printer.status().reasons.get(Reason.COVER_OPEN) is False
        assert 0.025 < printer.capabilities.round_trip < 0.3
