"""Receipts: python-escpos's bytes but where ours are better, on purpose and listed; and what profiles say."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
import random
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import rawprint
from rawprint.documents import Paper, Profile, picture, profile, profile_names, receipt
from rawprint.documents import profiles as profiles_module
from rawprint.documents import receipts as receipts_module
from rawprint.documents.dots import Dots
from rawprint.documents.languages.escpos import cut, harmless
from rawprint.errors import BackendMissing, DocumentError, DocumentTooLarge, Unsupported

MODEL = "TM-T88V"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

Receipt = receipts_module._load()
from escpos.escpos import Escpos  # noqa: E402 - after `_load`, which keeps its traces away
from escpos.exceptions import BarcodeCodeError  # noqa: E402
from escpos.printer import Dummy  # noqa: E402

# What is ours on purpose: name -> why. All else gives python-escpos's bytes.
OVERRIDDEN = {
    "image": "too wide raises there; real-time commands in it, and rows that overflow a buffer",
    "qr": "is never scaled; `impl` without a warning",
    "barcode": "says on standard output who draws it; drawn, it is never scaled",
    "cut": "feeds as far as the profile says, not six lines",
    "query_status": "reads once, and takes what comes for the answer",
    "is_online": "silence is offline there",
    "paper_status": "silence is plenty of paper there",
    "open": "it has no connection",
    "close": "it has no connection",
}
# Parts of those, and what makes it one of ours.
INNER = {
    "_raw",
    "_read",
    "_sw_barcode",
    "_dpi",
    "__init__",
    "__del__",
    "__doc__",
    "__module__",
    "__abstractmethods__",
    "_abc_impl",
}

# Each other method, and those of above in calls where both are the same: name -> calls.
CALLS = {
    "barcode": [
        ("4006381333931", "EAN13"),
        ("4006381333931", "ean-13", 100, 2, "ABOVE", "B", False, "B"),
        ("{BHello", "CODE128"),
        ("123456", "ITF"),
    ],
    "block_text": [("many words " * 20,), ("many words " * 20, "b"), ("many words " * 20, "a", 20)],
    "buzzer": [(), (1, 9)],
    "cashdraw": [(2,), (5,), ([27, 112, 0, 25, 255],)],
    "charcode": [("CP850",), ("AUTO",)],
    "check_barcode": [("EAN13", "4006381333931"), ("EAN13", "x")],
    "control": [("LF",), ("FF",), ("CR",), ("HT",), ("HT", 4, 10), ("VT",)],
    "cut": [("FULL", False)],
    "eject_slip": [()],
    "hw": [("INIT",), ("SELECT",), ("RESET",), ("other",)],
    "line_spacing": [(), (30,), (30, 360), (30, 60)],
    "linedisplay": [("Total 2.50",)],
    "linedisplay_clear": [()],
    "linedisplay_select": [(), (True,)],
    "ln": [(), (3,), (0,)],
    "panel_buttons": [(), (False,)],
    "print_and_eject_slip": [()],
    "print_and_feed": [(), (0,), (255,)],
    "qr": [("https://example.org",), ("https://example.org", 3, 4), ("x" * 100, 0, 4, 2, True), ("",)],
    "set": [
        ("center", "a", True, 1),
        ("right", "b", False, 2, 3, 4, 5, True, True, True, None, None, None, True),
        (None, None, None, None, None, None, None, None, None, None, True),
        (None, None, None, None, None, None, None, None, None, None, None, True, True),
        (None, None, None, None, None, None, None, None, None, None, None, True),
        (None, None, None, None, None, None, None, None, None, None, None, False, True),
    ],
    "set_with_default": [
        (),
        ("center", "b", True, 1),
        ("left", "a", False, 0, 2, 2, 9, False, False, False, False, False, True),
    ],
    "target": [(), ("SLIP",)],
    "text": [
        ("Hello\n",),
        ("Grüße, 2,50 £\n",),
        ("Привет, κόσμε; żółć; ₫ Tiếng Việt ｱｲｳ £\n",),
        (7,),
        ("",),
    ],
    "textln": [(), ("Größe",)],
    "use_slip_only": [()],
}


def written(**options):
    return Receipt(Paper.of("escpos", **{"profile": MODEL, **options}))


def stripes(width, height=40):
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    for left in range(0, width, 16):
        draw.rectangle((left, 0, left + 7, height), fill=0)
    return image


def frames(data):
    """The pictures of `GS v 0` in a row, as (bytes a row, rows, data), and what else stands there."""
    found = []
    rest = b""
    at = 0
    while at < len(data):
        if data[at : at + 3] == b"\x1dv0":
            stride = int.from_bytes(data[at + 4 : at + 6], "little")
            rows = int.from_bytes(data[at + 6 : at + 8], "little")
            found.append((stride, rows, data[at + 8 : at + 8 + stride * rows]))
            at += 8 + stride * rows
        else:
            rest += data[at : at + 1]
            at += 1
    return found, rest


# -- the contract with python-escpos -----------------------------------------------------------------------------------


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_method_is_in_a_table():
    assert public(Escpos) == set(CALLS) | set(OVERRIDDEN) | {"device"}
    assert {name for name in vars(Receipt) if name in dir(Escpos)} == set(OVERRIDDEN) | INNER


def test_the_readme_names_what_is_ours():
    section = README.split("### Receipts with python-escpos")[1].split("\n### ")[0]
    for name in OVERRIDDEN:
        assert f"`{name}`" in section, name


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_the_same_bytes(name, call, capsys):
    ours, theirs = written(), Dummy(profile=MODEL)
    for each in (ours, theirs):
        each.set(align="left")
    assert getattr(ours, name)(*call) == getattr(theirs, name)(*call) or name == "check_barcode"
    if name == "charcode":
        for each in (ours, theirs):
            each.text("é ü\n")
    assert ours.data == theirs.output


def test_one_call_after_another_gives_the_same_bytes(capsys):
    """Which code page is on, is kept between the calls."""
    ours, theirs = written(), Dummy(profile=MODEL)
    # One code page alone would make errors of the others' characters.
    calls = [(name, call) for name, some in CALLS.items() for call in some if name != "charcode"]
    random.Random(7).shuffle(calls)
    for name, call in calls:
        for each in (ours, theirs):
            getattr(each, name)(*call)
        assert ours.data == theirs.output, (name, call)


@pytest.mark.parametrize(
    "name", [name for name in profile_names() if name not in {"generic-58", "generic-80", "default"}]
)
def test_text_of_every_profile_is_the_same(name):
    """Every character that both have, in no order; "default" has fewer code pages here."""
    known = profile(name)
    # RK1048 has a codec in Python that theirs does not know of.
    codecs = {number: codec for number, codec in known.code_pages.items() if codec != "kz1048"}
    known = dataclasses.replace(known, code_pages=codecs)
    every = {each for codec in codecs.values() for each in bytes(range(128, 256)).decode(codec, "ignore")}
    every |= {each for table in known.code_tables.values() for each in table}
    text = [each for each in sorted(every - {"\ufffd", "€"}) if each.isprintable() and not "\u4e00" <= each <= "\u9fa5"]
    random.Random(name).shuffle(text)
    ours = Receipt(dataclasses.replace(Paper.of("escpos"), profile=known))
    theirs = Dummy(profile=name)
    for each in (ours, theirs):
        each.text("".join(text))
    assert ours.data == theirs.output


def test_their_errors_stay_theirs():
    with pytest.raises(BarcodeCodeError):
        written().barcode("x", "EAN13")
    with pytest.raises(ValueError, match="between 1 and 9"):
        written().buzzer(10)
    with pytest.raises(ValueError, match="FULL"):
        written().cut("HALF")


def test_nothing_is_said(capfd, recwarn):
    ours = written()
    ours.barcode("4006381333931", "EAN13")
    ours.barcode("4006381333931", "EAN13", force_software=True)
    ours.barcode("4006381333931", "EAN13", force_software="bitImageColumn")
    ours.qr("x", impl="bitImageRaster", image_arguments={"center": True})
    Receipt(Paper.of("escpos")).image(stripes(100), center=True)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_their_profiles_are_not_written_to():
    before = json.dumps(profiles_module.capabilities(), sort_keys=True)
    ours = written(profile="TUP500")
    ours.barcode("4006381333931", "EAN13", force_software=True)
    assert json.dumps(profiles_module.capabilities(), sort_keys=True) == before
    assert Dummy(profile=MODEL).profile.profile_data["media"]["width"]["pixels"] == 512


def test_loading_leaves_nothing_behind(tmp_path):
    code = (
        "import logging, os, sys, rawprint\n"
        "with rawprint.documents.receipt() as r: r.text('x')\n"
        "assert not logging.root.handlers, logging.root.handlers\n"
        "assert os.environ.get('ESCPOS_CAPABILITIES_PICKLE_DIR') is None\n"
        "import escpos.printer\n"
        "print(r.data)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ESCPOS_")}
    environment |= {name: str(tmp_path) for name in ("TMPDIR", "TEMP", "TMP")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == repr(b"\x1bt\x00x")
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_logging_stays(monkeypatch):
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.delitem(sys.modules, "escpos.capabilities")
    fake = types.ModuleType("escpos.capabilities")
    fake.pickle_dir = "/nowhere/at/all"

    def load(name):
        logging.root.addHandler(logging.StreamHandler())
        return fake

    monkeypatch.setattr(receipts_module, "import_module", load)
    assert receipts_module._load() is Receipt
    assert logging.root.handlers == [handler]


@pytest.mark.parametrize("error", [ImportError("no"), OSError("no folder"), KeyError("profiles")])
def test_a_package_that_does_not_load(monkeypatch, error):
    def load(name):
        raise error

    monkeypatch.delitem(sys.modules, "escpos.capabilities")
    monkeypatch.setattr(receipts_module, "import_module", load)
    with pytest.raises(BackendMissing) as raised, receipt():
        pass
    assert raised.value.hint


# -- where it is printed -----------------------------------------------------------------------------------------------


def test_a_printer_prints_it(virtual):
    listener = virtual("escpos")
    with rawprint.open(listener.address, "escpos") as printer, receipt(printer, profile=MODEL, timeout=5) as r:
        r.set(align="center", bold=True)
        r.text("Grüße\n")
        r.qr("https://example.org")
        r.image(stripes(900, 300))
        r.barcode("4006381333931", "EAN13")
        r.cut()
        assert printer.sent == 0
    assert listener.wait(lambda device: len(device.printed) >= len(r.data), 5)
    assert listener.printed() == r.data
    assert listener.device.misprints == b""
    assert r.job is None
    assert r.data.startswith(b"\x1bE\x01\x1ba\x01\x1bt\x00Gr\x81\xe1e\n")


def test_a_queue_gets_one_job():
    with rawprint.PrintQueue("virtual://escpos") as queue:
        with receipt(queue, id="ticket-1", expires=60, priority=70, job_name="Ticket") as r:
            r.text("Hello\n")
            r.cut()
            assert r.job is None
        assert r.job.id == "ticket-1"
        assert r.job.wait(10)
        assert r.job.bytes_accepted == len(r.data)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_raises_prints_nothing(error):
    with rawprint.open("virtual://escpos") as printer:
        with pytest.raises(error), receipt(printer) as r:  # noqa: PT012
            r.text("Hello\n")
            raise error
        assert printer.sent == 0
    with rawprint.PrintQueue("virtual://escpos") as queue:
        with pytest.raises(error), receipt(queue) as r:  # noqa: PT012
            r.text("Hello\n")
            raise error
        assert r.job is None


def test_an_empty_block_prints_nothing():
    with rawprint.PrintQueue("virtual://escpos") as queue, receipt(queue) as r:
        pass
    assert (r.job, r.data) == (None, b"")


def test_a_receipt_that_has_ended_takes_no_more():
    with receipt() as r:
        r.text("x")
    with pytest.raises(Unsupported):
        r.text("y")


def test_only_escpos():
    with rawprint.open("virtual://tspl") as printer, pytest.raises(Unsupported), receipt(printer):
        pass
    with rawprint.PrintQueue("virtual://star") as queue, pytest.raises(Unsupported), receipt(queue):
        pass
    with pytest.raises(Unsupported), receipt(Paper.of("zpl")):
        pass


@pytest.mark.parametrize(
    "options", [{"id": "x"}, {"expires": 3.0}, {"priority": 3}, {"job_name": "x"}, {"timeout": 3.0}]
)
def test_options_that_nobody_could_heed(options):
    with pytest.raises(Unsupported), receipt(**options):
        pass


def test_a_paper_is_taken_as_it_is():
    paper = Paper.of("escpos", width_mm=58, profile=MODEL)
    with receipt(paper) as r:
        assert r.paper is paper
    with receipt(paper, profile="POS-5890") as r:
        assert (r.paper.width, r.paper.profile) == (paper.width, profile("POS-5890"))
    with pytest.raises(Unsupported), receipt(paper, width_mm=80):
        pass
    with receipt(width_mm=58) as r:
        assert r.paper.width == 384


def test_a_receipt_has_an_end(monkeypatch):
    encoder = sys.modules[Receipt.__module__]
    monkeypatch.setattr(encoder, "MAX_JOB", 100)
    with pytest.raises(DocumentTooLarge), receipt() as r:  # noqa: PT012
        r.text("0123456789" * 9)  # and ESC t n
        r.text("0123456789")


@pytest.mark.parametrize("name", ["open", "close", "is_online", "paper_status", "_read"])
def test_what_only_a_connection_could(name):
    with pytest.raises(Unsupported) as raised:
        getattr(written(), name)()
    assert raised.value.hint
    with pytest.raises(Unsupported):
        written().query_status(b"\x10\x04\x01")
    with pytest.raises(Unsupported):
        _ = written().device


# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("日本語", ["日 (U+65E5)", "本 (U+672C)", "語 (U+8A9E)"]),
        ("ok 人", ["人 (U+4EBA)"]),
        ("한", ["한"]),
        ("😀", ["U+1F600"]),
        ("a\ufffd", ["U+FFFD"]),
        ("a\ud800", ["U+D800"]),
        ("".join(map(chr, range(0x4E00, 0x4E20))), ["一 (U+4E00)", "and 22 others"]),
    ],
)
def test_what_no_code_page_has_is_an_error(text, named):
    ours = written()
    for method in (ours.text, ours.textln, ours.block_text, ours.linedisplay):
        with pytest.raises(DocumentError) as raised:
            method(text)
        assert all(each in str(raised.value) for each in named), str(raised.value)
        assert raised.value.hint
    # The error comes before any byte of its text: what stands there is of `linedisplay` itself.
    assert b"ok" not in ours.data


def test_a_code_page_that_is_named_is_the_only_one():
    ours = written()
    ours.charcode("cp437")
    ours.text("é")
    with pytest.raises(DocumentError, match="CP437"):
        ours.text("ł")
    ours.charcode("AUTO")
    ours.text("ł")
    with pytest.raises(DocumentError) as raised:
        ours.charcode("CP9999")
    assert "CP850" in raised.value.hint
    assert ours.data.startswith(b"\x1bt\x00\x82")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (MODEL, b"\x1bt\x10\x80"),  # theirs: ISO 8859-7
        ("T-1", b"\x1bt\x13\xd5"),
        ("TSP600", b"\x1bt\x20\x80"),  # theirs: Thai
        ("TM-T88IV-SA", b"\x1bt\x15\x80"),  # it has no other
    ],
)
def test_the_euro_comes_from_a_page_that_always_had_it(name, data):
    ours = written(profile=name)
    ours.text("€")
    assert ours.data == data
    ours = written()
    ours.text("Ω ώ €€")
    assert ours.data.endswith(b" \x1bt\x10\x80\x80")
    ours.charcode("ISO_8859-7")
    ours.text("€")
    assert ours.data.endswith(b"\x1bt\x0f\xa4")


def test_without_a_profile_only_what_all_have():
    with receipt() as r:
        r.text("Ä £ é\n")
        with pytest.raises(DocumentError):
            r.text("€")
    assert r.data == b"\x1bt\x00\x8e \x9c \x82\n"


def test_a_chinese_character_of_a_table_is_printed():
    """Theirs would send the whole text as GB18030."""
    tables = {2: "人" + "\ufffd" * 127}
    paper = dataclasses.replace(Paper.of("escpos"), profile=Profile("own", code_tables=tables))
    with receipt(paper) as r:
        r.text("ä人")
    assert r.data == b"\x1bt\x00\x84\x1bt\x02\x80"


def test_a_long_text_is_quick():
    with receipt(profile=MODEL) as r:
        r.text("éы" * 50_000)
    assert len(r.data) == 100_000 * 4


@given(st.text(st.sampled_from("aZ 9€£äßéłПяωάş₫ộｱ\u00a0") | st.characters(min_codepoint=32), max_size=40))
def test_text_comes_back(text):
    """Every text is an error, or its bytes are that text in the code pages that they name."""
    known = profile(MODEL)
    ours = written()
    try:
        ours.text(text)
    except DocumentError:
        assert not ours.data
        return
    pages = {number: bytes(range(128, 256)).decode(codec, "replace") for number, codec in known.code_pages.items()}
    pages |= known.code_tables
    back = ""
    rest = ours.data
    page = ""
    while rest:
        if rest[:2] == b"\x1bt":
            page, rest = pages[rest[2]], rest[3:]
        else:
            back += chr(rest[0]) if rest[0] < 128 else page[rest[0] - 128]
            rest = rest[1:]
    assert back == text


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(8, 577, 48))
def test_dots_are_those_of_python_escpos(first, capsys):
    dice = random.Random(first)
    for width in range(first, min(first + 48, 577)):
        image = Image.frombytes("1", (width, 5), dice.randbytes((width + 7) // 8 * 5))
        theirs = Dummy()
        theirs.image(image, impl="bitImageRaster")
        ours = picture(Dots.of(image), Paper.of("escpos"))
        ((stride, rows, data),), rest = frames(theirs.output)
        assert frames(ours) == ([(stride, rows, harmless(data))], b"")
        assert rest == b""


def test_an_image_is_that_of_python_escpos(capsys):
    # Grey is dithered from the other side, so that the dots stand elsewhere and are as many.
    grey = Image.linear_gradient("L").resize((300, 100))
    ours, theirs = written(), Dummy(profile=MODEL)
    ours.image(grey)
    theirs.image(grey)
    ((stride, rows, data),), ((*size, theirs_data),) = frames(ours.data)[0], frames(theirs.output)[0]
    assert [stride, rows] == size
    black, theirs_black = (int.from_bytes(each).bit_count() for each in (data, theirs_data))
    assert abs(black - theirs_black) < 0.01 * 300 * 100
    ours, theirs = written(), Dummy(profile=MODEL)
    ours.image(stripes(100), center=True)
    theirs.image(stripes(100), center=True)
    assert ours.data == theirs.output


def test_one_that_is_too_wide_is_made_smaller():
    ours = written()
    ours.image(stripes(2000, 1000))
    found, rest = frames(ours.data)
    assert {stride for stride, _, _ in found} == {512 // 8}
    assert [rows for _, rows, _ in found] == [128, 128]
    assert rest == b""


def test_ways_and_strips():
    ours = written()
    ours.image(stripes(100, 96), fragment_height=10)
    assert [rows for _, rows, _ in frames(ours.data)[0]] == [10] * 9 + [6]
    ours = written()
    ours.image(stripes(100, 96), impl="graphics")
    assert ours.data.startswith(b"\x1d(L")
    ours = written()
    ours.image(stripes(100, 96), impl="bitImageColumn")
    assert ours.data.startswith(b"\x1b3\x18\x1b*\x21")
    ours = written(profile="TM-U220")
    ours.image(stripes(100, 96))
    assert ours.data.startswith(b"\x1b3\x18\x1b*\x21")
    for mistake in ({"impl": "laser"}, {"fragment_height": 0}, {"fragment_height": 70000}):
        with pytest.raises(DocumentError):
            ours.image(stripes(100), **mistake)
    with pytest.raises(DocumentError):
        ours.image("/nowhere.png")


def test_low_density_stretches():
    ours = written()
    ours.image(stripes(32, 4), high_density_horizontal=False, high_density_vertical=False)
    assert frames(ours.data) == ([(8, 8, b"\xff\xff\0\0\xff\xff\0\0" * 8)], b"")
    ours = written()
    ours.image(stripes(600, 40), high_density_horizontal=False)
    assert frames(ours.data)[0][0][0] == 512 // 8


def test_no_real_time_command_stands_in_a_picture():
    image = Dots(16, 3, b"\x10\x04\x10\x05\x10\x14").image()
    for impl in ("bitImageRaster", "graphics"):
        ours = written()
        ours.image(image, impl=impl)
        assert not re.search(rb"\x10[\x04\x05\x14]", ours.data)


def test_a_code_is_never_scaled():
    ours = written()
    with pytest.raises(DocumentError, match="QR code"):
        ours.qr("x" * 500, size=16)
    with pytest.raises(DocumentError, match="barcode"):
        ours.barcode("0123456789" * 4, "CODE128", width=6, force_software="bitImageRaster", check=False)
    assert frames(ours.data)[0] == []
    arguments = {"center": True}
    ours.qr("x", impl="graphics", image_arguments=arguments)
    assert arguments == {"center": True}
    ours.image(stripes(2000))  # an image is, after them, too


# -- the blade ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "data"),
    [
        (MODEL, "FULL", b"\x1bd\x04\x1dV\x00"),
        (MODEL, "part", b"\x1bd\x04\x1dV\x01"),
        ("generic-80", "FULL", b"\x1bd\x04\x1dV\x01"),
        ("POS-5890", "FULL", b"\x1bd\x01"),
        ("TM-U220B", "FULL", b"\x1bd\x04\x1dV\x01"),
    ],
)
def test_cut(name, mode, data):
    ours = written(profile=name)
    ours.cut(mode)
    assert ours.data == data


def test_a_page_without_a_blade_is_fed_and_not_cut():
    assert cut(Paper.of("escpos", profile="POS-5890", cut="full")) == b"\n"
    assert cut(Paper.of("escpos", profile="generic-80", cut="full")) == b"\n\n\n\n\x1dV\x01"
    full = dataclasses.replace(Paper.of("escpos", cut="partial"), profile=Profile(cuts=frozenset({"full"})))
    assert cut(full) == b"\n\n\n\n\x1dV\x00"


# -- profiles ----------------------------------------------------------------------------------------------------------


def test_a_profile_is_read():
    known = profile(MODEL)
    assert (known.name, known.width, known.dpi, known.way) == (MODEL, 512, 180, "raster")
    assert dict(known.columns) == {"a": 42, "b": 56}
    assert known.code_pages[0] == "cp437"
    assert known.code_pages[16] == "cp1252"
    assert 1 not in known.code_pages  # katakana: Python's cp932 has two bytes for a kanji
    assert "ｱ" in known.code_tables[1]
    assert 255 not in known.code_pages
    assert known.cuts == {"partial", "full"}
    assert profile(MODEL) is known
    assert profile(None) is profile("") is profiles_module.UNKNOWN
    assert profile("TM-U220").way == "column"


def test_every_profile_is_sound():
    assert set(rawprint.documents.PROFILES) == set(profile_names()) >= {MODEL, "generic-58", "generic-80", "default"}
    assert "OCD-300" not in profile_names()  # a display
    promises = set(rawprint.PROMISES["escpos"])
    for name in profile_names():
        known = profile(name)
        assert known.name == name
        assert known.width is None or known.width % 2 == 0
        for codec in known.code_pages.values():
            assert len(bytes(range(128, 256)).decode(codec, "replace")) == 128
        assert all(len(table) == 128 for table in known.code_tables.values())
        assert known.promises <= promises
        assert 1 <= known.feed_to_cut <= 10
        assert pickle.loads(pickle.dumps(known)) == known
        assert hash(pickle.loads(pickle.dumps(known))) == hash(known)


def test_rows_of_ours_go_before():
    assert set(profiles_module._OVERLAY) <= set(profile_names())
    assert profile("POS-5890").strip == 40
    assert dict(profile("NT-80-V-UL").columns) == {"a": 48, "b": 64}
    assert len(profile("default").code_pages) == 9
    # 40 rows, and what is left of any picture, are no multiple of 48 (python-escpos#424).
    with receipt(profile="POS-5890") as r:
        for height in range(1, 300):
            r.image(Image.new("1", (8, height)))
    assert all(rows % 48 for _, rows, _ in frames(r.data)[0])


def test_a_name_that_nobody_has():
    with pytest.raises(DocumentError) as raised:
        profile("tm-t88 v")
    assert MODEL in raised.value.hint
    with pytest.raises(DocumentError) as raised, receipt(profile="x" * 100_000):
        pass
    assert "generic-80" in raised.value.hint
    assert len(str(raised.value)) < 200


def test_papers_go_to_another_process():
    paper = Paper.of("escpos", profile=MODEL)
    assert pickle.loads(pickle.dumps(paper)) == paper
    own = Profile("own", code_pages={0: "cp437"}, columns={"a": 32})
    assert pickle.loads(pickle.dumps(own)) == own
    assert len({own, Profile("own", code_pages={0: "cp437"}, columns={"a": 32}), paper.profile}) == 2


def test_a_table_cannot_be_changed():
    source = {0: "cp437"}
    known = Profile(code_pages=source)
    source[1] = "cp850"
    assert dict(known.code_pages) == {0: "cp437"}
    with pytest.raises(TypeError):
        known.code_pages[1] = "cp850"
    assert repr(known.code_pages) == "Table({0: 'cp437'})"


@pytest.fixture
def other_data(monkeypatch, tmp_path):
    """other_data(text) -> python-escpos's data file says that; None: there is no python-escpos."""

    def use(text):
        (tmp_path / "capabilities.json").write_text(text or "", encoding="utf-8")

        def files(package):
            if text is None:
                raise ModuleNotFoundError(package)
            return tmp_path

        monkeypatch.setattr(profiles_module, "files", files)
        for cached in caches:
            cached.cache_clear()

    caches = (profiles_module.capabilities, profiles_module._profile, profiles_module.characters)
    yield use
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"profiles": 7, "encodings": {}}', "[" * 100_000])
def test_data_that_cannot_be_read(other_data, text):
    other_data(text)
    with pytest.raises(BackendMissing):
        profile(MODEL)
    assert profile("generic-58").width == 384
    assert profile(None) is profiles_module.UNKNOWN


def test_data_that_is_too_long(other_data, monkeypatch):
    monkeypatch.setattr(profiles_module, "_DATA_MOST", 100)
    other_data("{" + " " * 200 + "}")
    with pytest.raises(BackendMissing):
        profile(MODEL)


def test_data_of_a_strange_kind(other_data):
    """What is of another kind than it should be, is not known."""
    odd = {
        "features": {"bitImageRaster": True, "paperFullCut": "yes"},
        "media": {"width": {"pixels": "Unknown"}, "dpi": True},
        "fonts": {"0": [], "x": {"columns": 3}, "1": {"columns": -1}, "2": {"columns": 12}},
        "codePages": {"0": "A", "1": "B", "2": "C", "x": "A", "999": "A", "4": "D", "5": "nobody's"},
    }
    encodings = {
        "A": {"python_encode": "cp437"},
        "B": {"data": ["ab"]},
        "C": {"python_encode": "utf-16"},
        "D": {"iconv": "hex", "python_encode": 7},
    }
    other_data(json.dumps({"profiles": {"odd": odd, "empty": {}, "none": None}, "encodings": encodings}))
    known = profile("odd")
    assert (known.width, known.dpi, dict(known.columns), known.cuts) == (None, None, {"c": 12}, frozenset())
    assert dict(known.code_pages) == {0: "cp437"}
    assert "empty" not in profile_names()


def test_reading_profiles_imports_no_escpos():
    code = (
        "import sys, rawprint.documents as d; d.profile('TM-T88V'); d.PROFILES; d.Paper.of('escpos', profile='generic-80')\n"
        "print(sorted(name for name in sys.modules if name.startswith(('escpos.', 'PIL', 'yaml')) and name != 'escpos.version'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
