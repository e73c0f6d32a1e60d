"""Several sources that speak of one printer."""

from rawprint import PrinterState, PrinterStatus, Reason
from rawprint_server.words import Words


def own(**reasons):
    return PrinterStatus({Reason[name.upper()]: true for name, true in reasons.items()})


def snmp(**reasons):
    return PrinterStatus({Reason[name.upper()]: true for name, true in reasons.items()}, source="snmp")


def test_nobody_has_spoken():
    assert Words().together() is None


def test_one_source_is_taken_as_it_is():
    words = Words()
    words.hear(own(media_empty=True))
    last = own(media_empty=False)
    words.hear(last)
    assert words.together() is last


def test_each_reason_is_by_the_last_who_reported_it():
    words = Words()
    words.hear(own(cover_open=True, media_empty=True))
    words.hear(snmp(media_empty=False))
    both = words.together()
    assert both.reasons == {Reason.COVER_OPEN: True, Reason.MEDIA_EMPTY: False}
    assert (both.state, both.source) == (PrinterState.STOPPED, "snmp")
    words.hear(own(cover_open=False, media_empty=False))
    assert (words.together().state, words.together().source) == (PrinterState.IDLE, "printer")


def test_who_falls_silent_is_forgotten():
    words = Words()
    words.hear(snmp(media_empty=True))
    words.hear(own(media_empty=False))
    words.forget("printer")
    assert words.together().reasons == {Reason.MEDIA_EMPTY: True}
    words.forget("snmp")
    words.forget("snmp")
    assert words.together() is None
