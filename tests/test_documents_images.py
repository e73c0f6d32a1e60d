"""Images: what they become on paper, dot for dot, and that nothing in them is a command."""

import io
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import rawprint
from rawprint.documents import LANGUAGES, Dots, Paper, Part, image, page, picture, print_image, recall, render, store
from rawprint.documents.cache import Cache
from rawprint.documents.languages import escpos, tspl, zpl
from rawprint.errors import DocumentError, DocumentTooLarge, Unsupported

ROLL = Paper.of("escpos", width_mm=80)
LABEL = Paper.of("tspl", width_mm=100, height_mm=150, gap_mm=2)


def png(picture, format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def grey(width, height, value=0):
    return Image.new("L", (width, height), value)


def noise(width, height, seed=1):
    return Dots(width, height, bytes(masked(random.Random(seed).randbytes((width + 7) // 8 * height), width)))


def masked(data, width):
    """The bits behind a row's last dot are 0."""
    stride = (width + 7) // 8
    last = 0xFF << (-width % 8) & 0xFF
    return bytes(byte & last if at % stride == stride - 1 else byte for at, byte in enumerate(data))


# -- dots ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 70), st.integers(0, 20), st.integers(0, 99))
def test_dots_are_an_image_and_back(width, height, seed):
    dots = noise(width, height, seed)
    assert Dots.of(dots.image()) == dots
    assert len(dots.data) == dots.stride * dots.height
    assert dots.swapped() == bytes(byte ^ 0xFF for byte in dots.data)


def test_black_is_1_and_the_left_dot_is_the_high_bit():
    drawn = Image.new("1", (10, 2), 1)
    drawn.putpixel((0, 0), 0)
    drawn.putpixel((9, 1), 0)
    assert Dots.of(drawn).data == b"\x80\x00\x00\x40"


@given(st.integers(1, 40), st.integers(1, 60), st.sampled_from(["left", "center", "right"]))
def test_placed_keeps_every_dot_that_fits(width, target, align):
    dots = noise(width, 3)
    placed = dots.placed(target, align)
    assert (placed.width, placed.height, len(placed.data)) == (target, 3, (target + 7) // 8 * 3)
    left = {"left": 0, "center": (target - width) // 2, "right": target - width}[align]
    before, after = dots.image(), placed.image()
    for x in range(target):
        there = before.getpixel((x - left, 1)) if 0 <= x - left < width else 255
        assert after.getpixel((x, 1)) == there


def test_strips_stacked_are_the_whole():
    dots = noise(33, 50)
    assert Dots.stacked(dots.strips(7)) == dots
    with pytest.raises(ValueError, match="width"):
        Dots.stacked([noise(8, 1), noise(16, 1)])


def test_cropped_to_what_is_black():
    drawn = Image.new("1", (100, 80), 1)
    ImageDraw.Draw(drawn).rectangle((10, 20, 29, 39), 0)
    assert Dots.of(drawn).cropped() == Dots(20, 20, masked(b"\xff" * 60, 20))
    assert (Dots.of(drawn).cropped(sides=False).width, Dots.of(drawn).cropped(sides=False).height) == (100, 20)
    assert Dots.blank(100, 80).cropped() == Dots.blank(1, 1)


# -- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_formats(format):
    drawn = grey(64, 16, 255)
    drawn.paste(0, (0, 0, 32, 16))
    options = {"lossless": True} if format == "WEBP" else {}
    dots = image(png(drawn, format, **options), ROLL, dither="threshold")
    assert dots.data == (b"\xff" * 4 + b"\0" * 4) * 16


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "PA", "La", "RGBa"]
)
def test_every_mode_that_an_image_may_have(mode):
    try:
        drawn = grey(16, 4, 0).convert(mode)
    except ValueError:
        drawn = grey(16, 4, 0).convert("RGBA").convert(mode)
    assert image(drawn, ROLL, dither="threshold").data == b"\xff\xff" * 4


def test_16_bits_of_grey_are_scaled_and_not_cut():
    drawn = Image.new("I;16", (8, 1), 0x4000)  # a quarter: black at the threshold of one half
    assert image(png(drawn), ROLL, dither="threshold").data == b"\xff"
    assert image(png(Image.new("I;16", (8, 1), 0xC000)), ROLL, dither="threshold").data == b"\x00"


def test_transparent_is_white():
    drawn = Image.new("RGBA", (16, 1), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (0, 0, 8, 1))
    assert image(png(drawn), ROLL, dither="threshold").data == b"\xff\x00"
    palette = Image.new("P", (8, 1), 0)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    assert image(png(palette, transparency=0), ROLL, dither="threshold").data == b"\x00"


def test_orientation_of_a_camera():
    drawn = grey(16, 8, 255)
    drawn.paste(0, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright = image(png(drawn, "JPEG", exif=exif, quality=100), ROLL, dither="threshold")
    assert (upright.width, upright.height) == (8, 16)
    assert upright.data == b"\xff" * 8 + b"\x00" * 8


def test_sources(tmp_path):
    data = png(grey(8, 2))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    expected = Dots(8, 2, b"\xff\xff")
    for source in (data, bytearray(data), memoryview(data), path, str(path), Image.open(path)):
        assert image(source, ROLL) == expected
    with pytest.raises(DocumentError, match="cannot read"):
        image(tmp_path / "none.png", ROLL)


@pytest.mark.parametrize("data", [b"", b"x", b"%PDF-1.4", b"<svg/>", b"\x89PNG\r\n\x1a\n", png(grey(50, 50))[:-30]])
def test_what_is_no_image(data):
    with pytest.raises(DocumentError) as caught:
        image(data, ROLL)
    assert caught.value.code == "bad-document"
    assert caught.value.hint


def test_too_many_pixels_are_refused_before_they_are_decoded():
    data = png(Image.new("1", (5000, 5000), 1))
    with pytest.raises(DocumentTooLarge, match="5000 x 5000") as caught:
        image(data, ROLL, max_pixels=24_000_000)
    assert caught.value.code == "document-too-large"
    with pytest.raises(DocumentTooLarge, match="rows"):
        image(Image.new("1", (1, 50_000), 1), ROLL, fit="fit")


# -- scaling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "paper", "options", "expected"),
    [
        ((100, 50), ROLL, {}, (100, 50)),
        ((1152, 400), ROLL, {}, (576, 200)),
        ((100, 50), ROLL, {"fit": "fit"}, (576, 288)),
        ((100, 50), ROLL, {"fit": "none"}, (100, 50)),
        ((100, 50), ROLL, {"width_mm": 40}, (320, 160)),
        ((100, 50), ROLL, {"rotate": 90}, (50, 100)),
        ((100, 50), ROLL, {"rotate": 180}, (100, 50)),
        ((1600, 2400), LABEL, {}, (800, 1200)),
        ((800, 2400), LABEL, {}, (400, 1200)),
        ((2400, 1600), LABEL, {"rotate": 270}, (800, 1200)),
        ((100, 50), LABEL, {"fit": "fit"}, (800, 400)),
        ((3, 4000), ROLL, {"fit": "fit", "width_mm": 0.1}, (1, 1333)),
    ],
)
def test_size_on_paper(size, paper, options, expected):
    dots = image(grey(*size), paper, **options)
    assert (dots.width, dots.height) == expected


def test_turned_clockwise():
    drawn = grey(16, 8, 255)
    drawn.paste(0, (0, 0, 8, 8))  # left half black
    assert image(drawn, ROLL, rotate=90).data == b"\xff" * 8 + b"\x00" * 8  # upper half
    assert image(drawn, ROLL, rotate=180).data == b"\x00\xff" * 8
    assert image(drawn, ROLL, rotate=270).data == b"\x00" * 8 + b"\xff" * 8


def test_wider_than_the_paper_is_an_error_where_it_is_not_scaled():
    with pytest.raises(DocumentError, match="577 dots wide, and the paper 576"):
        image(grey(577, 1), ROLL, fit="none")
    with pytest.raises(DocumentError, match="wide"):
        image(grey(10, 1), ROLL, width_mm=73)


@pytest.mark.parametrize(
    "options",
    [{"fit": "cover"}, {"dither": "noise"}, {"rotate": 45}, {"threshold": 0, "dither": "threshold"}, {"width_mm": 0}],
)
def test_options_that_mean_nothing(options):
    with pytest.raises(DocumentError):
        image(grey(8, 8), ROLL, **options)


# -- black and white ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dither", ["floyd-steinberg", "ordered"])
@pytest.mark.parametrize("value", [0, 32, 64, 128, 200, 255])
def test_dithered_grey_is_as_dark_as_the_grey(dither, value):
    dots = image(grey(64, 64, value), ROLL, dither=dither)
    black = sum(byte.bit_count() for byte in dots.data) / 64**2
    assert abs(black - (255 - value) / 255) < 0.02


def test_threshold_and_inverted():
    drawn = grey(16, 1, 100)
    drawn.paste(101, (8, 0, 16, 1))
    assert image(drawn, ROLL, dither="threshold", threshold=101).data == b"\xff\x00"
    assert image(drawn, ROLL, dither="threshold", threshold=155, invert=True).data == b"\x00\xff"
    assert image(drawn.point([0] * 101 + [255] * 155, "1"), ROLL, invert=True).data == b"\x00\xff"


def test_black_and_white_is_taken_as_it_is():
    dots = noise(400, 100)
    for dither in ("floyd-steinberg", "ordered", "threshold"):
        assert image(png(dots.image()), ROLL, dither=dither) == dots


# -- paper -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "width", "height"),
    [
        ({"dialect": "escpos"}, 576, None),
        ({"dialect": "escpos", "width_mm": 58}, 384, None),
        ({"dialect": "star", "width_mm": 80}, 576, None),
        ({"dialect": "escpos", "width_mm": 112}, 832, None),
        ({"dialect": "escpos", "width_mm": 80, "dpi": 180}, 504, None),
        ({"dialect": "tspl"}, 813, None),
        ({"dialect": "zpl", "width_mm": 100, "height_mm": 150}, 800, 1200),
        ({"dialect": "zpl", "width_mm": 100, "height_mm": 150, "dpi": 300}, 1181, 1772),
    ],
)
def test_paper(arguments, width, height):
    paper = Paper.of(**arguments)
    assert (paper.width, paper.height) == (width, height)


def test_no_paper_for_another_language():
    with pytest.raises(Unsupported, match="pcl"):
        Paper.of("pcl")


# -- commands ----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_no_real_time_command_stands_in_escpos_pictures(data):
    data = data.replace(b"\x00", b"\x10\x04").replace(b"\x01", b"\x10\x14\x01").replace(b"\x02", b"\x10\x10\x05")
    safe = escpos.harmless(data)
    assert len(safe) == len(data)
    assert all(pair not in safe for pair in (b"\x10\x04", b"\x10\x05", b"\x10\x14"))
    assert sum(a != b for a, b in zip(safe, data, strict=True)) == sum(
        map(data.count, (b"\x10\x04", b"\x10\x05", b"\x10\x14"))
    )
    assert all(b == a or b == a | 0x02 for a, b in zip(data, safe, strict=True))


@pytest.mark.parametrize(
    ("dialect", "way"), [*((dialect, "raster") for dialect in LANGUAGES), ("escpos", "graphics"), ("escpos", "column")]
)
def test_a_picture_is_no_command_that_does_harm(dialect, way):
    paper = Paper.of(dialect, width_mm=80)
    paper = replace(paper, profile=replace(paper.profile, way=way))
    for seed in range(6):
        data = bytearray(noise(400, 300, seed).data)
        for at in range(0, len(data) - 8, 97):
            data[at : at + 3] = (b"\x10\x14\x01", b"\x1b!R", b"\x10\x05\x02", b"^XA", b"~JR", b"\x1b@\x1d")[at % 6]
        dots = Dots(400, 300, bytes(data))
        job = page(dots, paper)
        if dialect in rawprint.DIALECTS:
            assert list(rawprint.notable_commands(job, dialect)) == []
        virtual = rawprint.open(f"virtual://{dialect}") if dialect in rawprint.DIALECTS else None
        if virtual is not None:
            with virtual as printer:
                printer.print(job)
                device = printer.transport.device
                assert device.drawer_kicks == 0
                assert bytes(device._out) == b""
                assert not device._reasons.get("paused")


def test_immediate_commands_do_not_stand_in_tspl_pictures():
    assert tspl.harmless(b"a\x1b!Rb") == b"a\x1b Rb"
    assert tspl.harmless(b"abc") == b"abc"


# -- ZPL's codes -------------------------------------------------------------------------------------------------


def test_acs_examples_of_the_manual():
    assert (zpl._count(327) in (b"vM", b"Mv"), zpl._count(1), zpl._count(19), zpl._count(20)) == (
        True,
        b"G",
        b"Y",
        b"g",
    )
    assert zpl._count(400) == b"z"
    assert zpl._count(419) == b"zY"


def test_z64_is_what_the_protocol_page_computed():
    import binascii
    import re
    import zlib

    text = zpl.z64(b"\xff" * 8)
    found = re.fullmatch(rb":Z64:([A-Za-z0-9+/=]+):([0-9A-F]{4})", text)
    assert zlib.decompress(binascii.a2b_base64(found[1])) == b"\xff" * 8
    assert int(found[2], 16) == binascii.crc_hqx(found[1], 0)
    assert binascii.crc_hqx(b"eJz7/x8CACPkB/k=", 0) == 0xE740  # zpl.md: the worked example


# -- whole prints --------------------------------------------------------------------------------------------------


def test_items_follow_each_other_on_a_roll_and_the_cut_is_the_last():
    paper = Paper.of("escpos", width_mm=80, cut="partial")
    dots = noise(64, 10)
    logo = Part("image", png(dots.image()))
    (piece,) = render([Part("raw", b"Hello\n"), logo], paper)
    assert piece.last
    assert piece.data == b"Hello\n" + picture(dots, paper) + b"\n\n\n\n\x1dV\x01"
    (piece,) = render([logo, Part("raw", b"Bye\n\x1dV\x00")], paper)
    assert piece.data == b"\x1b@" + picture(dots, paper) + b"Bye\n\x1dV\x00"  # a program that cuts itself


def test_a_document_is_a_label_or_a_piece_of_one():
    dots = noise(64, 10)
    data = png(dots.image())
    (piece,) = render([Part("image", data)], LABEL)
    assert piece.data == page(dots, LABEL)
    around = [
        Part("raw", b"SIZE 100 mm,150 mm\r\nCLS\r\n"),
        Part("image", data, {"x": 8, "y": 16}),
        Part("raw", b"PRINT 1\r\n"),
    ]
    (piece,) = render(around, LABEL)
    assert piece.data.startswith(b"SIZE 100 mm,150 mm\r\nCLS\r\nBITMAP 8,16,8,10,0,")
    assert piece.data.endswith(b"\r\nPRINT 1\r\n")


@pytest.mark.parametrize(
    ("dialect", "lasting"), [("tspl", (b"SIZE", b"GAP")), ("zpl", (b"^MN", b"^PW", b"^LL")), ("epl", (b"\nq", b"\nQ"))]
)
def test_what_a_label_printer_is_set_to_is_left_where_nobody_has_described_the_label(dialect, lasting):
    dots = noise(64, 40)
    unknown = page(dots, Paper.of(dialect, width_mm=50))
    assert not any(word in unknown for word in lasting)
    for known in ({"height_mm": 30, "gap_mm": 2}, {"gap_mm": 0}):
        job = page(dots, Paper.of(dialect, width_mm=50, **known))
        assert [word for word in lasting if word in job] or dialect == "zpl"
    assert b"^PW400^LL240" in page(dots, Paper.of("zpl", width_mm=50, height_mm=30))
    assert b"^MNN^PW400^LL40" in page(dots, Paper.of("zpl", width_mm=50, gap_mm=0))


def test_the_same_image_is_made_once():
    cache = Cache()
    parts = [Part("image", png(noise(64, 10).image()))]
    (first,) = render(parts, ROLL, cache=cache)
    key = cache.key(parts[0].data, [], None, ROLL)
    cache._made[key] = b"from the cache"
    (again,) = render(parts, ROLL, cache=cache)
    assert again.data == b"\x1b@from the cache"
    (other,) = render([Part("image", parts[0].data, {"invert": True})], ROLL, cache=cache)
    assert other.data not in {first.data, again.data}


def test_the_cache_is_bounded():
    cache = Cache(most=100)
    for number in range(30):
        cache.put(cache.key(b"%d" % number), bytes(10))
    cache.put(b"large", bytes(101))
    assert cache.get(b"large") is None
    assert sum(cache.get(cache.key(b"%d" % number)) is not None for number in range(30)) == 10


# -- kept in the printer --------------------------------------------------------------------------------------------


def test_a_picture_that_the_printer_keeps():
    dots = noise(64, 10)
    kept = store(dots, ROLL, "L1")
    assert kept.startswith(b"\x1d(L")
    assert int.from_bytes(kept[3:5], "little") == len(kept) - 5
    assert recall("L1", ROLL) == b"\x1d(L\x06\x000EL1\x01\x01"
    assert [each.kind for each in rawprint.notable_commands(kept, "escpos")] == ["storage"]
    assert store(dots, Paper.of("zpl"), "LOGO").startswith(b"~DYR:LOGO,A,G,80,8,")
    assert recall("LOGO", Paper.of("zpl"), 10, 20) == b"^FO10,20^XGR:LOGO.GRF,1,1^FS\n"
    assert store(dots, LABEL, "LOGO").startswith(b'DOWNLOAD "LOGO.BMP",')
    for name, paper in (("LOGO", ROLL), ("L\x1b", ROLL), ("a b", LABEL), ("LOGO.GRF", LABEL), ('A"', LABEL)):
        with pytest.raises(DocumentError, match="kept"):
            store(dots, paper, name)
    with pytest.raises(Unsupported):
        store(dots, Paper.of("epl"), "LOGO")


def test_bytes_of_a_long_picture_are_those_of_its_image():
    data = png(noise(576, 700).image())
    job = print_image(data, ROLL)
    at, dots = 0, b""
    while job[at : at + 4] == b"\x1dv0\0":
        size = int.from_bytes(job[at + 4 : at + 6], "little") * int.from_bytes(job[at + 6 : at + 8], "little")
        dots += job[at + 8 : at + 8 + size]
        at += 8 + size
    assert at == len(job)
    assert dots == escpos.harmless(noise(576, 700).data)
