"""The IEEE 1284 device ID, as printers send it: with either byte order of its length, and with none."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rawprint.device_id import MAX_LENGTH, commands, parse, split_device_id

EPSON = b"MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;"
EPSON_KEYS = {"MFG": "EPSON", "MDL": "TM-T88V", "CMD": "ESC/POS"}


def prefixed(body, order, surplus=0):
    return (len(body) + 2 + surplus).to_bytes(2, order) + body


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;", EPSON_KEYS),
        ("MFG:Brother;CMD:PT-CBP;MDL:QL-700;", {"MFG": "Brother", "CMD": "PT-CBP", "MDL": "QL-700"}),
        ("MFG:DYMO;MDL:LabelWriter 450;", {"MFG": "DYMO", "MDL": "LabelWriter 450"}),
    ],
)
def test_printers_of_the_field(text, keys):
    body = text.encode()
    assert parse(text) == keys
    assert parse(body) == keys
    assert parse(prefixed(body, "big")) == keys
    assert parse(prefixed(body, "little")) == keys


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("MANUFACTURER", "MFG"),
        ("MODEL", "MDL"),
        ("COMMAND SET", "CMD"),
        ("CLASS", "CLS"),
        ("DESCRIPTION", "DES"),
        ("SERN", "SN"),
        ("SERIALNUMBER", "SN"),
    ],
)
def test_long_names_become_short_ones(long, short):
    assert parse(f"{long}:one;") == {short: "one"}
    assert parse(f" {long.lower()} : one ;") == {short: "one"}
    assert parse(f"{short}:one;{long}:two;") == {short: "one"}
    assert parse(f"{long}:one;{short}:two;") == {short: "one"}


def test_a_length_counts_itself_and_ends_the_text():
    assert parse(b"\x00\x50" + EPSON.ljust(0x50 - 2) + b"X:1;") == EPSON_KEYS
    assert parse(b"\x50\x00" + EPSON.ljust(0x50 - 2) + b"X:1;") == EPSON_KEYS


@given(
    st.text(st.characters(min_codepoint=1, max_codepoint=255), min_size=12, max_size=1022),
    st.sampled_from(["big", "little"]),
    st.binary(max_size=64),
)
def test_a_text_comes_back_without_its_length_and_what_follows(text, order, surplus):
    body = text.encode("latin-1")
    raw = prefixed(body, order) + surplus
    other = int.from_bytes(raw[:2], "little" if order == "big" else "big")
    assume(order == "big" or not 14 <= other <= len(raw))  # it reads as big-endian, too: nobody can tell
    assume(not raw[:2].isalpha())  # nor whether two letters are a length, which would be beyond 16,000
    assert split_device_id(raw) == text


@given(st.binary(max_size=300))
def test_splitting_never_raises_and_adds_nothing(raw):
    assert split_device_id(raw).encode("latin-1") in raw


def test_a_wrong_length_loses_nothing():
    assert parse(b"\xff\xff" + EPSON) == EPSON_KEYS
    assert parse(b"\x00\x00" + EPSON) == EPSON_KEYS
    assert parse(prefixed(EPSON, "big", surplus=20)) == EPSON_KEYS
    assert parse(prefixed(EPSON, "little", surplus=20)) == EPSON_KEYS


@pytest.mark.parametrize("length", [512, 768, 1024, 0x0C00])
@pytest.mark.parametrize("order", ["big", "little"])
def test_a_length_with_a_zero_byte_in_either_order(length, order):
    # Read the wrong way round it is 2, 3, 4 or 12, which no device id has: CUPS and PAPPL swap below 14.
    body = EPSON + b"DES:" + b"x" * (length - 2 - len(EPSON) - 5) + b";"
    assert parse(prefixed(body, order)) == {**EPSON_KEYS, "DES": "x" * (length - len(EPSON) - 7)}


def test_a_zero_ends_the_text():
    assert parse(prefixed(EPSON + b"\0\0X:1;", "big")) == EPSON_KEYS
    assert parse(EPSON + b"\0" * 64) == EPSON_KEYS


def test_what_is_no_pair_is_left_out():
    assert parse("") == parse(b"") == parse(b"\0") == parse(b"\0\x02") == {}
    assert parse("MFG;:x;;  ;MDL:;") == {"MDL": ""}
    assert parse("MFG:a:b;URL:http://x") == {"MFG": "a:b", "URL": "http://x"}
    assert parse("MFG:TSC") == {"MFG": "TSC"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CMD:ESC/POS;", ("ESC/POS",)),
        ("COMMAND SET:TSPL,TSPL2, ZPL;", ("TSPL", "TSPL2", "ZPL")),
        ("CMD:;", ()),
        ("MFG:TSC;", ()),
        ("CMD:,, ;", ()),
    ],
)
def test_commands(text, names):
    assert commands(parse(text)) == names


@given(st.binary(max_size=300) | st.binary(max_size=64).map(lambda raw: b"\0\x40" + raw))
def test_garbage_bytes_never_raise(raw):
    keys = parse(raw)
    assert sum(len(key) + len(value) for key, value in keys.items()) <= len(raw)
    assert all(isinstance(name, str) for name in commands(keys))


@given(st.text(alphabet=st.characters() | st.sampled_from(";: ,\0"), max_size=200))
def test_garbage_text_never_raises(text):
    keys = parse(text)
    assert all(key for key in keys)
    assert all(commands(keys))


@given(
    st.dictionaries(
        st.text("ABCDEFGHIJ", min_size=2, max_size=4),
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";")),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["big", "little"]),
)
def test_every_pair_comes_back(keys, order):
    body = "".join(f"{key}:{value};" for key, value in keys.items()).encode()
    assert parse(prefixed(body, order)) == keys


def test_bounded():
    endless = ";".join(f"K{n}:v" for n in range(100_000))
    for raw in (endless, endless.encode(), b"\xff\xff" + endless.encode()):
        keys = parse(raw)
        assert 0 < len(keys) < MAX_LENGTH / 4
