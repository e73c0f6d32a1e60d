"""How reasons make a state, and that a status cannot be changed afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint.status import Exchange, PrinterState, PrinterStatus, Reason

STOPS = [
    "media-empty",
    "media-jam",
    "cover-open",
    "paused",
    "offline-report",
    "marker-supply-empty",
    "trimmer-jam",
    "subunit-over-temperature",
    "x-label-waiting",
    "x-feed-button",
    "other",
]
HARMLESS = ["media-low", "marker-supply-low", "x-drawer-open", "x-input-buffer-full"]

some_reasons = st.dictionaries(st.sampled_from(Reason), st.booleans())


def state(processing=None, **reasons):
    named = {Reason(name.replace("_", "-")): true for name, true in reasons.items()}
    return PrinterStatus(named, processing=processing).state


def test_the_keywords_are_the_wire_contract():
    assert sorted(Reason) == sorted(STOPS + HARMLESS)
    assert sorted(PrinterState) == ["idle", "processing", "stopped", "unknown"]


@pytest.mark.parametrize("name", STOPS)
def test_a_reason_that_stops(name):
    for processing in (None, False, True):
        status = PrinterStatus({Reason(name): True}, processing=processing)
        assert status.state == "stopped"
        assert status.stop_reasons == (Reason(name),)
    assert PrinterStatus({Reason(name): False}).state == "idle"
    assert PrinterStatus({Reason(name): False}, processing=False).state == "idle"
    assert PrinterStatus({Reason(name): False}, processing=True).state == "processing"
    assert PrinterStatus({Reason(name): False}).stop_reasons == ()


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("true", [True, False])
def test_a_harmless_reason_says_nothing_of_the_state(name, true):
    reasons = {Reason(name): true}
    assert PrinterStatus(reasons).state == "unknown"
    assert PrinterStatus(reasons, processing=False).state == "unknown"
    assert PrinterStatus(reasons, processing=True).state == "processing"
    assert PrinterStatus({**reasons, Reason.MEDIA_EMPTY: False}).state == "idle"
    assert PrinterStatus(reasons).stop_reasons == ()


def test_silence_is_unknown():
    assert state() == "unknown"
    assert state(processing=False) == "unknown"
    assert PrinterStatus().reasons == {}


def test_a_stop_beats_processing_and_every_denial():
    assert state(True, cover_open=False, media_empty=True, paused=False) == "stopped"
    assert state(True, media_low=True, cover_open=False) == "processing"


def test_stop_reasons_stand_in_the_order_of_the_enum():
    status = PrinterStatus({Reason.OTHER: True, Reason.MEDIA_LOW: True, Reason.MEDIA_EMPTY: True})
    assert status.stop_reasons == (Reason.MEDIA_EMPTY, Reason.OTHER)


@given(some_reasons, st.none() | st.booleans())
def test_the_state_does_not_depend_on_the_order(reasons, processing):
    there = PrinterStatus(reasons, processing=processing)
    back = PrinterStatus(dict(reversed(reasons.items())), processing=processing)
    assert there.state == back.state
    assert there.stop_reasons == back.stop_reasons
    assert (there.state == "stopped") == bool(there.stop_reasons)
    assert (there.state == "idle") <= any(not true for true in reasons.values())


def test_nothing_of_it_can_be_changed():
    source = {Reason.MEDIA_EMPTY: False}
    status = PrinterStatus(source, raw=(Exchange(b"\x1b!?", b"\x00"),))
    source[Reason.MEDIA_EMPTY] = True
    assert status.state == "idle"
    with pytest.raises(TypeError):
        status.reasons[Reason.MEDIA_EMPTY] = True
    with pytest.raises(FrozenInstanceError):
        status.processing = True
    with pytest.raises(FrozenInstanceError):
        status.reasons = {}
    with pytest.raises((AttributeError, TypeError)):
        status.surplus = 1


def test_the_time_is_utc_and_now():
    at = PrinterStatus().at
    assert at.tzinfo is UTC
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=10)


def test_two_statuses_share_no_reasons():
    assert PrinterStatus().reasons is not PrinterStatus().reasons
