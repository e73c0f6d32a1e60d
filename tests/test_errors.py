"""The error tree: its codes are shown by the command line and sent in JSON, so they are pinned here by hand."""

from __future__ import annotations

import builtins

import pytest

from rawprint import errors
from rawprint.errors import (
    AmbiguousAddress,
    BadReply,
    Disconnected,
    JobCanceled,
    RawprintError,
    UnprintableText,
    WriteStalled,
)
from rawprint.status import Reason

# class -> (code, base in the tree, standard base)
TREE = {
    "AddressError": ("bad-address", "RawprintError", "ValueError"),
    "OpenError": ("open-failed", "RawprintError", None),
    "PrinterNotFound": ("not-found", "OpenError", None),
    "AmbiguousAddress": ("ambiguous", "OpenError", None),
    "AccessDenied": ("access-denied", "OpenError", "PermissionError"),
    "PrinterBusy": ("busy", "OpenError", None),
    "BackendMissing": ("backend-missing", "OpenError", None),
    "Disconnected": ("disconnected", "RawprintError", "ConnectionError"),
    "WriteStalled": ("write-stalled", "RawprintError", "TimeoutError"),
    "NoReply": ("no-reply", "RawprintError", "TimeoutError"),
    "BadReply": ("bad-reply", "RawprintError", None),
    "JobCanceled": ("canceled", "RawprintError", None),
    "JobExpired": ("expired", "RawprintError", None),
    "JournalError": ("journal", "RawprintError", None),
    "JournalTaken": ("journal-taken", "JournalError", None),
    "DocumentError": ("bad-document", "RawprintError", None),
    "DocumentTooLarge": ("document-too-large", "DocumentError", None),
    "DocumentTimeout": ("document-timeout", "DocumentError", "TimeoutError"),
    "UnprintableText": ("unprintable", "DocumentError", None),
    "Unsettled": ("unsettled", "RawprintError", None),
    "Unsupported": ("unsupported", "RawprintError", None),
}
STANDARD = (ValueError, OSError, PermissionError, ConnectionError, TimeoutError)
NEEDS = {"WriteStalled": {"written": 1, "total": 2, "reasons": {}}}


def test_the_tree_is_complete():
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, RawprintError)
    }
    assert defined == {*TREE, "RawprintError"}
    assert len({code for code, _, _ in TREE.values()}) == len(TREE)


@pytest.mark.parametrize("name", TREE)
def test_code_and_bases(name):
    code, base, standard = TREE[name]
    error = getattr(errors, name)("what happened", hint="mend it", **NEEDS.get(name, {}))
    assert error.code == code
    assert isinstance(error, getattr(errors, base))
    assert isinstance(error, RawprintError)
    expected = getattr(builtins, standard) if standard else None
    for each in STANDARD:
        assert isinstance(error, each) == (expected is not None and issubclass(expected, each)), each


@pytest.mark.parametrize("name", TREE)
def test_message_and_hint(name):
    error = getattr(errors, name)("what happened", hint="mend it", **NEEDS.get(name, {}))
    assert str(error) == error.message == "what happened"
    assert error.hint == "mend it"
    assert getattr(errors, name)("x", **NEEDS.get(name, {})).hint == ""


def test_ambiguous_address_names_the_candidates():
    assert AmbiguousAddress("two fit").candidates == ()
    found = ["usb://1203:0172?port=1-1", "usb://1203:0172?port=1-2"]
    error = AmbiguousAddress("two fit", candidates=found)
    found.clear()
    assert error.candidates == ("usb://1203:0172?port=1-1", "usb://1203:0172?port=1-2")


def test_write_stalled_tells_how_far_it_came():
    reasons = {Reason.MEDIA_EMPTY: True}
    error = WriteStalled("stalled", written=11_776, total=200_000, reasons=reasons)
    reasons.clear()
    assert (error.written, error.total) == (11_776, 200_000)
    assert error.reasons == {"media-empty": True}


def test_bad_reply_keeps_a_bounded_copy():
    raw = bytearray(b"\x02" * 1000)
    error = BadReply("no status", raw=raw)
    raw.clear()
    assert error.raw == b"\x02" * 256
    assert BadReply("no status").raw == b""


def test_disconnected_and_canceled():
    assert Disconnected("gone").lost is False
    assert Disconnected("silent", lost=True).lost is True
    assert JobCanceled("canceled").written == 0
    assert JobCanceled("canceled", written=512).written == 512


def test_unprintable_text_names_the_characters():
    assert UnprintableText("two").characters == ()
    assert UnprintableText("two", characters=["€", "ж"]).characters == ("€", "ж")
