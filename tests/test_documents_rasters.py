"""Every encoder against decoders that know nothing of it: the virtual printers' sheets, zebrafy, and python-escpos's own bytes."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from rawprint.documents import Dots, Paper, image, page, picture, recall, store
from rawprint.documents.languages import escpos, tspl
from rawprint.documents.languages.zpl import graphic
from rawprint.virtual.sheets import printing, sheets

PAPERS = {name: Paper.of(name, width_mm=80) for name in ("escpos", "star", "tspl", "zpl", "epl", "cpcl")}
SMALL = [(1, 1), (7, 3), (8, 24), (9, 25), (100, 129), (576, 300)]


def drawn(width, height):
    """A test picture: a gradient, lines of one dot, a frame, text-like strokes."""
    picture = Image.linear_gradient("L").resize((width, height))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, width - 1, height - 1), outline=0)
    for at in range(0, height, 7):
        pen.line((0, at, width, height - at), fill=0)
    pen.ellipse((width // 4, height // 4, width // 2, height // 2), fill=255)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def noise(width, height, seed):
    stride = (width + 7) // 8
    last = 0xFF << (-width % 8) & 0xFF
    data = random.Random(seed).randbytes(stride * height)
    return Dots(
        width, height, bytes(each & last if at % stride == stride - 1 else each for at, each in enumerate(data))
    )


def on_paper(dots, sheet):
    """The dots at the upper left of a sheet, and that nothing else is on it."""
    got = Dots(sheet.width, sheet.height, sheet.data)
    cut = Dots.of(got.image().crop((0, 0, dots.width, dots.height)))
    rest = sum(each.bit_count() for each in got.data) - sum(each.bit_count() for each in cut.data)
    assert rest == 0
    assert not sheet.unknown
    return cut


def as_sent(dots, dialect):
    """The dots without the commands that could be read in their bytes; one more black dot for each."""
    if dialect == "escpos":
        return Dots(dots.width, dots.height, escpos.harmless(dots.data))
    if dialect == "tspl":
        swapped = tspl.harmless(dots.swapped())
        return Dots(dots.width, dots.height, bytes(each ^ 0xFF for each in swapped))
    return dots


@pytest.mark.parametrize("size", SMALL, ids=str)
@pytest.mark.parametrize("dialect", PAPERS)
@pytest.mark.parametrize("dither", ["floyd-steinberg", "ordered", "threshold"])
def test_the_same_dots_come_out(dialect, size, dither):
    paper = PAPERS[dialect]
    dots = image(drawn(*size), paper, dither=dither)
    (sheet,) = sheets(dialect, page(dots, paper), width=paper.width)
    assert on_paper(dots, sheet) == as_sent(dots, dialect)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 999), st.sampled_from(sorted(PAPERS)))
def test_the_same_dots_come_out_of_anything(width, height, seed, dialect):
    paper, dots = PAPERS[dialect], noise(width, height, seed)
    (sheet,) = sheets(dialect, page(dots, paper), width=paper.width)
    assert on_paper(dots, sheet) == as_sent(dots, dialect)


@pytest.mark.parametrize("size", SMALL, ids=str)
@pytest.mark.parametrize("way", ["raster", "graphics", "column"])
@pytest.mark.parametrize("strip", [1, 24, 100, 4000])
def test_each_way_of_escpos(way, size, strip):
    paper = PAPERS["escpos"]
    paper = replace(paper, profile=replace(paper.profile, way=way, strip=strip))
    dots = image(drawn(*size), paper)
    (sheet,) = sheets("escpos", page(dots, paper), width=paper.width)
    seen = on_paper(dots, sheet)
    if way == "column":  # other bytes, in which other pairs may stand
        assert sum((a ^ b).bit_count() for a, b in zip(seen.data, dots.data, strict=True)) <= dots.height
        return
    sent = b"".join(escpos.harmless(piece.data) for piece in dots.strips(strip)) if way == "graphics" else None
    assert seen == (as_sent(dots, "escpos") if sent is None else Dots(dots.width, dots.height, sent))


@pytest.mark.parametrize("compression", ["none", "acs", "z64"])
@pytest.mark.parametrize("size", SMALL, ids=str)
def test_each_code_of_zpl_by_zebrafy_too(compression, size):
    from zebrafy import ZebrafyZPL

    paper = PAPERS["zpl"]
    paper = replace(paper, profile=replace(paper.profile, compression=compression))
    for dither in ("floyd-steinberg", "threshold"):
        dots = image(drawn(*size), paper, dither=dither)
        job = page(dots, paper)
        (sheet,) = sheets("zpl", job, width=paper.width)
        assert on_paper(dots, sheet) == dots
        if dots.width % 8:
            continue  # zebrafy takes the padding for dots
        (theirs,) = ZebrafyZPL("^XA" + graphic(dots, compression).decode() + "^FS^XZ").to_images()
        assert Dots.of(theirs.convert("1")) == dots


def test_zpl_codes_are_shorter():
    dots = image(drawn(800, 1200), Paper.of("zpl"), dither="threshold")
    plain, acs, z64 = (len(graphic(dots, each)) for each in ("none", "acs", "z64"))
    assert acs < plain / 2
    assert z64 < plain / 4


@pytest.mark.parametrize("impl", ["bitImageRaster", "graphics", "bitImageColumn"])
def test_python_escpos_sends_the_same_dots(impl):
    from rawprint.documents import receipt

    dots = noise(400, 130, 5)
    dots = as_sent(dots, "escpos")
    with receipt(None, profile="TM-T88V") as theirs:
        super(type(theirs), theirs).image(dots.image(), impl=impl)
    (sheet,) = sheets("escpos", theirs.data, width=512)
    way = {"bitImageRaster": "raster", "graphics": "graphics", "bitImageColumn": "column"}[impl]
    paper = replace(PAPERS["escpos"], profile=replace(PAPERS["escpos"].profile, way=way))
    (ours,) = sheets("escpos", picture(dots, paper), width=512)
    assert on_paper(dots, ours) == on_paper(dots, sheet)


@pytest.mark.parametrize("dialect", ["tspl", "zpl", "epl", "cpcl"])
def test_at_a_place_of_a_label(dialect):
    paper, dots = PAPERS[dialect], noise(64, 40, 2)
    whole = page(Dots.blank(8, 200), paper)
    command = picture(dots, paper, 80, 33)
    blank = picture(Dots.blank(8, 200), paper)
    assert blank in whole
    (sheet,) = sheets(dialect, whole.replace(blank, command), width=paper.width)
    got = Dots(sheet.width, sheet.height, sheet.data).image()
    assert Dots.of(got.crop((80, 33, 144, 73))) == as_sent(dots, dialect)
    assert sum(each.bit_count() for each in sheet.data) == sum(each.bit_count() for each in as_sent(dots, dialect).data)


@pytest.mark.parametrize(("dialect", "name"), [("escpos", "L1"), ("tspl", "LOGO"), ("zpl", "LOGO")])
def test_what_the_printer_keeps_comes_out_later(dialect, name):
    paper, dots = replace(PAPERS[dialect], cut="partial"), noise(64, 40, 3)
    printer = printing(dialect, width=paper.width)
    assert [sheet for sheet in printer.job(store(dots, paper, name)) if any(sheet.data)] == []
    whole = page(Dots.blank(8, 200), paper)
    blank = picture(Dots.blank(8, 200), paper)
    (sheet,) = printer.job(whole.replace(blank, recall(name, paper)))
    assert on_paper(dots, sheet) == (as_sent(dots, dialect) if dialect == "escpos" else dots)
