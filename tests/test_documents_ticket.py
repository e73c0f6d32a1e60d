"""Tickets: their markup, how they look, and that nothing in them becomes a command."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import subprocess
import sys

import barcode
import msgspec
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import pytest
import qrcode
from hypothesis import given, settings
from hypothesis import strategies as st

import rawprint
from rawprint import documents
from rawprint.dialects import DIALECTS as DIALECTS_OF
from rawprint.documents import barcodes, fonts, layouts, shaping
from rawprint.documents import blocks as b
from rawprint.documents.markup import escape, format_markup, parse_markup
from rawprint.errors import DocumentError, DocumentTooLarge
from rawprint.virtual.sheets import sheets

# -- the blocks ------------------------------------------------------------------------------------------------

TEXTS = st.text(
    st.one_of(
        st.sampled_from("\\#^<>:@|[]*_-=~\"' \nna2x%1&؟あ한é€\ufeff\u200f🍕"),
        st.characters(exclude_categories=["Cs", "Cc"]),
    ),
    max_size=12,
).filter(lambda text: b.find_problem(b.Text(text)) is None)
ALIGN = st.sampled_from(["start", "left", "center", "right"])
TIMES = st.integers(1, 8)
MM = st.floats(1, 100)
SIGNS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
BLOCKS = st.one_of(
    st.builds(b.Heading, TEXTS, st.integers(1, 3)),
    st.builds(b.Text, TEXTS, ALIGN, st.booleans(), st.booleans(), TIMES | st.tuples(TIMES, TIMES)),
    st.builds(
        b.Columns,
        st.lists(
            st.builds(
                b.Cell, TEXTS, ALIGN, st.none() | st.integers(1, 30), st.none() | st.integers(1, 9), st.booleans()
            ),
            min_size=1,
            max_size=5,
        ).map(tuple),
    ),
    st.builds(b.Line, st.sampled_from(["solid", "dashed", "double"])),
    st.builds(
        b.Image,
        TEXTS.filter(lambda text: text and "\n" not in text),
        st.just(b""),
        st.none() | MM,
        ALIGN,
        st.sampled_from(["floyd-steinberg", "ordered", "threshold"]),
    ),
    st.builds(b.Image, data=st.binary(min_size=1, max_size=20), align=ALIGN),
    st.builds(b.Barcode, SIGNS, st.sampled_from(["ean13", "code128", "itf"]), MM, st.booleans(), ALIGN),
    st.builds(b.Qr, TEXTS.filter(bool), st.none() | st.integers(1, 32), st.sampled_from("LMQH"), ALIGN),
    st.builds(b.Space, st.none() | st.integers(1, 100)),
    st.builds(b.Space, st.none(), st.floats(0.1, 400)),
    st.builds(b.Cut, st.sampled_from(["partial", "full"])),
    st.builds(b.Drawer, st.sampled_from([2, 5])),
)


@given(st.lists(BLOCKS, max_size=6))
def test_what_is_written_reads_back(blocks):
    assert parse_markup(format_markup(blocks)) == blocks


@given(st.lists(BLOCKS, max_size=6))
def test_blocks_go_through_json(blocks):
    assert msgspec.json.decode(msgspec.json.encode(blocks), type=list[b.Block]) == blocks


@given(
    st.lists(
        st.sampled_from(["# ", "| ", "|", "^ ", "[qr ", "[image ", "]", "**", "@2 ", "\\", "n", "=", "x", "\n", "- "])
    )
)
def test_any_text_is_a_ticket_or_told_where_it_is_none(parts):
    text = "".join(parts)
    try:
        blocks = parse_markup(text)
    except DocumentError as error:
        told = error
    else:
        assert parse_markup(format_markup(blocks)) == blocks
        return
    assert str(told).startswith("line ")
    assert told.hint


@given(TEXTS)
def test_an_escaped_text_is_text(text):
    assert parse_markup(f"{escape(text)}\n") == [b.Text(text)]
    assert parse_markup(f"|{escape(text)}|") == [b.Columns((b.Cell(text),))]
    assert parse_markup(f"# {escape(text)}\n") == [b.Heading(text)]


def test_the_markup_by_example():
    assert parse_markup(
        "# Café\r\n### Bar\n\n^ @2x1 **__Hi__**\n< left\n| 2 | a \\| b |>:8 1.50 |\n|:*2 **x** |>1.50| :) |\n---\n- - -\n=====\n#42\n<3\n* x\n"
        "[qr size=4 https://a.example/?b=c]\n[barcode ean13 height=12.5 text=no 4006381333931]\n[image width=20 logo]\n"
        "[space]\n[space 2]\n[space 5mm]\n[cut]\n[cut full]\n[drawer 5]\nBurger **hot**\n"
    ) == [
        b.Heading("Café"),
        b.Heading("Bar", 3),
        b.Text(""),
        b.Text("Hi", "center", True, True, (2, 1)),
        b.Text("left", "left"),
        b.Columns((b.Cell("2"), b.Cell("a | b"), b.Cell("1.50", "right", 8))),
        b.Columns((b.Cell("x", share=2, bold=True), b.Cell("1.50", "right"), b.Cell(":)"))),
        b.Line(),
        b.Line("dashed"),
        b.Line("double"),
        b.Text("#42"),
        b.Text("<3"),
        b.Text("* x"),
        b.Qr("https://a.example/?b=c", 4),
        b.Barcode("4006381333931", "ean13", 12.5, False),
        b.Image("logo", width_mm=20),
        b.Space(),
        b.Space(2),
        b.Space(mm=5),
        b.Cut(),
        b.Cut("full"),
        b.Drawer(5),
        b.Text("Burger **hot**"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a\n#### x", "2, column 4", "###"),
        ("x\\q", "1, column 2", r"\\"),
        ("x\\", "1, column 2", r"\\"),
        ("^ @9 x", "1, column 3", "1 to 8"),
        ("| a |>:999 x |", "1, column 7", "400"),
        ("| a |:0 x |", "1, column 6", "400"),
        ("a\n\n[qr https://x", "3, column 13", "]"),
        ("[Table 5]", "1, column 2", r"\["),
        ("[qr]", "1, column 4", "DATA"),
        ("[qr size=x a]", "1, column 10", "Correct"),
        ("[qr size=99 a]", "1, column 1", "Correct"),
        ("[barcode ean14 1]", "1, column 10", "ean13"),
        ("[barcode code128 é]", "1, column 1", "QR"),
        ("[cut off]", "1, column 6", "full"),
        ("[drawer 3]", "1, column 9", "5"),
        ("[space x]", "1, column 8", "5mm"),
        ("[image base64:*]", "1, column 8", "name"),
        ("a\tb", "1, column 1", "columns"),
        ("a\x1b@", "1, column 1", "out"),
        ("|" + "a|" * 13, "1, column 26", r"\|"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, place, hint):
    with pytest.raises(DocumentError, match=f"^line {place}: ") as caught:
        parse_markup(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "block",
    [
        b.Text("a\x1b"),
        b.Text("a\r"),
        b.Text("\ud800"),
        b.Text("x" * 2001),
        b.Text("x", size=9),
        b.Text("x", size=(1, 0)),
        b.Heading("x", 4),
        b.Columns(()),
        b.Columns((b.Cell("x"),) * 13),
        b.Columns((b.Cell("x\x00"),)),
        b.Image(),
        b.Image("a", b"b"),
        b.Space(1, 1.0),
        b.Space(mm=float("nan")),
        b.Barcode("é"),
        b.Barcode("x" * 201),
        b.Qr("あ" * 1000),
        "text",
    ],
    ids=repr,
)
def test_blocks_made_in_python_are_checked(block):
    with pytest.raises(DocumentError, match=r"^block 2\b"):
        b.checked([b.Text("x"), block])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b.Text("x" * 2001), "block 1, text: its text is at most 2000 characters"),
        (b.Qr("x", size=99), "block 1, qr: its size is at most 32"),
        (b.Columns(()), "block 1, columns: its number of cells is at least 1"),
        (b.Columns((b.Cell("x", width=0),)), r"block 1, columns: its cells\[0\].width is at least 1"),
        (b.Text(1), r"block 1, text: Expected `str`, got `int` - at `\$.text`"),
    ],
)
def test_bounds_are_told_plainly(block, message):
    with pytest.raises(DocumentError, match=f"^{message}$"):
        b.checked([block])


def test_a_ticket_has_an_end():
    with pytest.raises(DocumentTooLarge):
        parse_markup("\n" * 2001)
    with pytest.raises(DocumentTooLarge):
        b.checked([b.Text("")] * 2001)
    with pytest.raises(DocumentTooLarge):
        b.checked([b.Image(data=bytes(b.MAX_IMAGE // 2 + 1))] * 2)
    with pytest.raises(DocumentTooLarge, match="100 images and codes"):
        parse_markup("[qr x]\n" * 101)
    paper = documents.Paper.of("escpos")
    for policy in ("auto", "raster"):
        with pytest.raises(DocumentTooLarge, match="rows of dots"):
            documents.ticket([b.Text("x\n" * 300, size=8)] * 2, paper, policy=policy)
    tall = png(20, 3000)
    with pytest.raises(DocumentTooLarge, match="line 34, image: the pictures become more than"):
        documents.ticket("[image tall]\n" * 40, paper, images={"tall": tall})


# -- on paper --------------------------------------------------------------------------------------------------


def png(width=200, height=80):
    image = PIL.Image.new("L", (width, height), 255)
    PIL.ImageDraw.Draw(image).ellipse((5, 5, width - 5, height - 5), fill=120, outline=0, width=4)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


IMAGES = {"logo": png()}
DIALECTS = ["escpos", "star", "tspl", "zpl", "epl", "cpcl"]
POLICIES = ["auto", "native", "raster"]

EVERY = [
    b.Heading("Head"),
    b.Heading("Head", 2),
    b.Heading("Head", 3),
    b.Text("Text"),
    b.Text("Grüße, 你好, שלום"),
    b.Text("Large\nlines", "center", True, True, (2, 3)),
    b.Text("Large", "right", size=2),
    b.Columns((b.Cell("One"), b.Cell("Two", "center", bold=True), b.Cell("3.00", "right"))),
    b.Line(),
    b.Line("dashed"),
    b.Line("double"),
    b.Image("logo"),
    b.Image(data=png(), width_mm=10, align="right", dither="ordered"),
    b.Qr("https://example.com/"),
    b.Qr("né\n", 5, "H", "left"),
    *(
        b.Barcode(data, kind, align="right" if kind == "itf" else "center")
        for kind, data in {
            "ean13": "4006381333931",
            "ean8": "40112008",
            "upca": "036000291452",
            "upce": "04252614",
            "code39": "ABC-12",
            "itf": "123456",
            "codabar": "A1234B",
            "code93": "TEST93",
            "code128": "Ab 12345",
        }.items()
    ),
]


def paper_of(dialect, width_mm=80):
    return documents.Paper.of(dialect, width_mm=width_mm)


def print_on_paper(content, paper, policy="auto"):
    """The one sheet that comes out, of a job in which everything is a command that is known, and none is notable."""
    data = documents.ticket(content, paper, images=IMAGES, policy=policy)
    assert not list(rawprint.notable_commands(data, paper.dialect))
    (sheet,) = sheets(paper.dialect, data, width=paper.width)
    assert not sheet.unknown
    return sheet


def picture_of(sheet):
    return documents.Dots(sheet.width, sheet.height, sheet.data)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("block", EVERY, ids=lambda block: f"{type(block).__name__} {EVERY.index(block)}")
def test_every_block_in_every_language(block, dialect, policy):
    paper = paper_of(dialect)
    drawn = documents.layout([block], paper, images=IMAGES)
    sheet = print_on_paper([block], paper, policy)
    printed = picture_of(sheet)
    assert printed.inked()
    if policy == "raster" or (policy == "auto" and not documents.LANGUAGES[dialect].roll):
        assert printed.placed(drawn.width).cropped(sides=False).data == drawn.cropped(sides=False).data
        assert not sheet.text


def boxes(dots, pitch, top):
    """Where the ink of each line is, from left to right."""
    found = []
    for at in range(top, dots.height - pitch + 1, pitch):
        box = documents.Dots(dots.width, pitch, bytes(dots.rows(at, at + pitch))).inked()
        found.append(box and (box[0], box[2]))
    return found


TABLE = r"""
Table 5
| 2 | Cappuccino |> 9.00 |
| 1 | Croissant with almonds and a name much too long for one line of a ticket |> 3.80 |
| 12 |^ **Espresso** |> **42.00** |
^ middle
> right
**bold**
|:*1 A|:*2 B|>:9 C|
A text that is so long that it must be broken into two lines, and perhaps even more.
"""


@pytest.mark.parametrize("width_mm", [58, 80])
@pytest.mark.parametrize("dialect", ["escpos", "star", "tspl", "zpl"])
def test_what_the_printer_writes_stands_where_it_would_be_drawn(dialect, width_mm):
    paper = paper_of(dialect, width_mm)
    policy = "auto" if documents.LANGUAGES[dialect].roll else "native"
    own = print_on_paper(TABLE, paper, policy)
    drawn = print_on_paper(TABLE, paper, "raster")
    assert own.text
    assert not drawn.text
    pitch, top = {"star": (32, 0), "escpos": (30, 0)}.get(dialect, (30, 16))
    here, there = (boxes(picture_of(sheet), pitch, top) for sheet in (own, drawn))
    assert len(there) > 10
    for mine, other in zip(here, there, strict=False):  # a receipt's last line has white below it where it is written
        assert bool(mine) == bool(other)
        if mine and other:
            assert abs(mine[0] - other[0]) < 10
            assert abs(mine[1] - other[1]) < 10


def test_a_line_has_as_many_characters_as_the_profile_says():
    """Where the paper has room for more, nothing stands there."""
    plain = documents.Paper.of("escpos", width_mm=80)
    paper = dataclasses.replace(plain, profile=dataclasses.replace(plain.profile, columns={"a": 40}))
    content = "^ @2 Head\n> right\n^ __under__\n| a |> b |\n^ middle"
    own, drawn = (picture_of(print_on_paper(content, paper, policy)) for policy in ("auto", "raster"))
    assert own.inked()[2] <= 480
    for dots in (own, drawn):
        head, right, under, row, middle = _lines_of(dots)
        for box in (head, under, middle):
            assert abs(sum(box) / 2 - 240) < 16
        assert right[1] > 468
        assert row[0] < 12
        assert row[1] > 468


def _lines_of(dots):
    return [
        documents.Dots(dots.width, bottom - top, bytes(dots.rows(top, bottom))).inked()[::2]
        for top, bottom in ((0, 48), (48, 78), (78, 108), (108, 138), (138, 160))
    ]


def test_rows_that_follow_each_other_are_one_table():
    paper = paper_of("escpos")
    cells = [
        band.cells for band in layouts.bands(parse_markup(TABLE)[2:5], layouts.Setting(paper, layouts.Grid.of(paper)))
    ]
    assert [[(cell.at, cell.width) for cell in row] for row in cells] == [[(0, 2), (3, 39), (43, 5)]] * 3


@pytest.mark.parametrize(
    ("row", "widths"),
    [
        ("|a|b|", [46, 1]),
        ("|a|bb|", [1, 46]),
        ("|:10 a|b|", [10, 37]),
        ("|:*1 a|:*1 b|", [23, 24]),
        ("|:*1 a|:*3 b|", [11, 36]),
        ("|:5 a|:5 b|", [5, 5]),
        ("|" + "x" * 100 + "|" + "y" * 10 + "|", [37, 10]),
        ("|" + "x" * 100 + "|" + "y" * 100 + "|", [23, 24]),
    ],
)
def test_how_wide_columns_are(row, widths):
    (block,) = parse_markup(row)
    assert layouts._widths([block.cells], 48) == widths


@given(
    st.lists(
        st.builds(b.Cell, TEXTS, ALIGN, st.none() | st.integers(1, 30), st.none() | st.integers(1, 9)),
        min_size=1,
        max_size=9,
    )
)
def test_columns_fit_on_the_paper(cells):
    fixed = sum(cell.width or 1 for cell in cells) + len(cells) - 1
    if fixed > 32:
        with pytest.raises(DocumentError, match=f"the columns need {fixed} characters, and the paper has 32"):
            layouts._widths([tuple(cells)], 32)
        return
    widths = layouts._widths([tuple(cells)], 32)
    assert min(widths) >= 1
    assert sum(widths) + len(widths) - 1 <= 32


@pytest.mark.parametrize("dialect", ["escpos", "star"])
def test_a_receipt_is_cut_once(dialect):
    paper = documents.Paper.of(dialect, cut="full")
    cut = {"escpos": b"\x1dV\x00", "star": b"\x1bd\x02"}[dialect]
    part = {"escpos": b"\x1dV\x01", "star": b"\x1bd\x03"}[dialect]
    assert documents.ticket("x", paper).count(cut) == 1
    assert documents.ticket("x\n[cut full]", paper).count(cut) == 1
    two = documents.ticket("x\n[cut]\nx", paper)
    assert two.index(part) < two.index(cut)
    assert len(sheets(dialect, two)) == 2


@pytest.mark.parametrize("way", ["raster", "graphics", "column"])
def test_each_way_of_taking_pictures(way):
    plain = documents.Paper.of("escpos", width_mm=58)
    paper = dataclasses.replace(plain, profile=dataclasses.replace(plain.profile, way=way, columns={"a": 30}))
    content = "# Head\n[qr x]\n---\n[space 5mm]\n|a|> b|\nあ"
    drawn = documents.layout(content, paper).cropped(sides=False)
    printed = picture_of(print_on_paper(content, paper, "raster"))
    assert printed.cropped(sides=False).data == drawn.data
    assert boxes(drawn, drawn.height, 0)[0][1] <= 360


def test_a_label_is_cut_behind_its_end():
    paper = documents.Paper.of("tspl", width_mm=50, height_mm=30)
    assert documents.ticket("x\n[cut]", paper).endswith(b"PRINT 1,1\r\nCUT\r\n")
    assert documents.ticket("x\n[cut]", paper, policy="native").endswith(b"PRINT 1,1\r\nCUT\r\n")
    with pytest.raises(DocumentError, match="line 2, cut"):
        documents.ticket("x\n[cut]\nx", paper)
    with pytest.raises(DocumentError, match="line 1, drawer"):
        documents.ticket("[drawer]\nx", paper)


@pytest.mark.parametrize("dialect", ["escpos", "star"])
def test_the_drawer_is_told_in_its_place(dialect):
    paper = documents.Paper.of(dialect)
    data = documents.ticket("x\n[drawer]\n[drawer 5]\ny", paper)
    pulses = DIALECTS_OF[dialect].drawer
    assert data.index(pulses[2]) < data.index(pulses[5])


def test_what_does_not_fit_is_told():
    label = documents.Paper.of("tspl", width_mm=40, height_mm=20)
    for content, message in {
        "a\nb\nc\nd\ne\nf": r"26.+ mm high .* the label 20.0",
        "[barcode code128 " + "x" * 60 + "]": r"line 1, barcode: the barcode needs \d+ mm, and the paper has 36",
        "[qr size=9 " + "x" * 90 + "]": "line 1, qr: the QR code is .* dots wide",
        "[qr level=H " + "x" * 900 + "]": "line 1, qr: the QR code needs",
        "[qr level=H " + "x" * 1900 + "]": "too much",
        "[image other]": "no image 'other'",
        "|a|:30 b|": "line 1, columns: the columns need",
        "@8 x\n[image width=40 logo]": "line 2, image: the image is 320 dots wide",
        "[barcode ean13 4006381333932]": "the check digit of the ean13 barcode 4006381333932 is 1",
        "[barcode ean13 1]": "12 digits and its check digit",
        "[barcode upce 2123456]": "first is 0 or 1",
        "[barcode itf 123]": "even number",
        "[barcode codabar 123]": "letters A to D",
        "[barcode code39 abc]": "capital letters",
        "[image base64:AAAA]": "no image that can be read",
    }.items():
        with pytest.raises(DocumentError, match=message) as caught:
            documents.ticket(content, label, images=IMAGES)
        assert caught.value.hint or message.startswith("too")
    with pytest.raises(DocumentError, match="no policy"):
        documents.ticket("x", label, policy="best")
    with pytest.raises(DocumentError, match="too narrow"):
        documents.ticket("x", documents.Paper("tspl", 30))
    with pytest.raises(DocumentError, match="not one character"):
        documents.ticket("@8 x", documents.Paper("tspl", 100))


def test_a_label_without_a_height_is_as_high_as_its_ticket():
    paper = documents.Paper.of("tspl", width_mm=40, gap_mm=0)  # a roll without an end
    assert b"SIZE 40 mm,11.5 mm\r\nGAP 0 mm,0 mm\r\nCLS" in documents.ticket("a\nb", paper)
    with_height = documents.Paper.of("zpl", width_mm=40, height_mm=20)
    assert documents.layout("a", with_height).height == 160
    (sheet,) = sheets("zpl", documents.ticket("a", with_height, policy="native"))
    assert (sheet.width, sheet.height) == (320, 160)


@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_finer_heads_print_the_same_size(dpi):
    paper = documents.Paper.of("zpl", width_mm=60, dpi=dpi)
    dots = documents.layout("[barcode code128 Ab 123]\n[qr x]\nText\n|a|>b|", paper)
    assert paper.mm(dots.height) == pytest.approx(55, abs=2)
    assert paper.mm(dots.inked()[0]) == pytest.approx(2, abs=1)


def test_the_preview_is_a_png():
    paper = paper_of("escpos")
    with PIL.Image.open(io.BytesIO(documents.preview("# Hi", paper))) as opened:
        assert (opened.format, opened.width) == ("PNG", 576)
    assert documents.layout("", paper).height == 1
    assert documents.ticket("", paper) == b""


def test_remarks():
    paper = documents.Paper.of("escpos", width_mm=58)
    found = documents.lint_ticket(
        "Fine, and long enough to be broken into two lines\n|:5 Espresso |> 2.00 |\n[image wide]\n\U000fffff",
        paper,
        images={"wide": png(800)},
    )
    assert [remark.block for remark in found] == [2, 3, 4]
    assert "'Espresso' is wider than the 5 characters" in found[0].message
    assert "800 pixels" in found[1].message
    assert all(remark.hint for remark in found)


# -- codes -----------------------------------------------------------------------------------------------------


def rows_as_bits(dots):
    return [f"{int.from_bytes(dots.rows(row, row + 1)):0{dots.stride * 8}b}" for row in range(dots.height)]


# Receipt printers have wide bars of their own; Code 93 is a box on the paper of the virtual ones.
OWN_WIDTHS = {"code39", "itf", "codabar"}


@pytest.mark.parametrize("policy", ["auto", "native"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("block", [each for each in EVERY if isinstance(each, b.Barcode)], ids=lambda block: block.kind)
def test_barcodes_say_what_they_shall(block, dialect, policy):
    """Read off the paper: whole modules, and the white that scanners want at both sides."""
    paper = paper_of(dialect)
    modules = barcodes.bars(block.data, block.kind)[0]
    printed = picture_of(print_on_paper([block], paper, policy))
    quiet = 0 if policy == "native" else barcodes.QUIET.get(block.kind, 10)
    bits = "".join(bit * 3 for bit in "0" * quiet + modules + "0" * quiet)
    found = sum(bits in row for row in rows_as_bits(printed))
    if policy == "native" and (block.kind == "code93" or (dialect == "escpos" and block.kind in OWN_WIDTHS)):
        assert printed.inked()
        return
    assert found == 80
    if block.kind not in {"upce", "code93"}:
        code = barcode.get_barcode_class(block.kind)
        options = {
            "code39": {"add_checksum": False},
            "itf": {"narrow": 1, "wide": 3},
            "codabar": {"narrow": 1, "wide": 3},
        }
        assert code(block.data, **options.get(block.kind, {})).build() == [modules]


def test_what_the_printer_s_own_barcode_cannot_is_drawn():
    paper = paper_of("escpos", 58)
    for block in (b.Barcode("1" * 24), b.Barcode("1", height_mm=40), b.Barcode("04252614", "upce"), b.Barcode("a~b")):
        assert b"\x1dk" not in documents.ticket([block], paper, policy="native")
    assert b"\x1dk" in documents.ticket([b.Barcode("1" * 8)], paper, policy="native")


def test_codes_that_python_barcode_has_not():
    # Wikipedia's examples, checked by hand against the symbologies' tables.
    assert barcodes.bars("425261", "upce") == ("101001110100100110111001001101101011110011001010101", "04252614")
    assert barcodes.bars("TEST93", "code93")[0] == (
        "1010111101101001101100100101101011001101001101000010101010000101011101101001000101010111101"
    )


@pytest.mark.parametrize(
    ("short", "full"),
    [("123455", "012345000058"), ("123451", "012100003454"), ("123453", "012300000451"), ("123454", "012340000053")],
)
def test_upce_has_the_check_digit_of_the_long_number(short, full):
    digits = barcodes.bars(short, "upce")[1]
    assert barcodes._upca_of(digits[:7]) == full[:11]
    assert barcodes.bars(full[:11], "upca")[1][-1] == digits[-1]


@pytest.mark.parametrize("policy", ["auto", "native"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_qr_codes_say_what_they_shall(dialect, policy):
    block = b.Qr("https://example.com/bill/812?x=1", 4)
    paper = paper_of(dialect)
    own = policy == "native" and dialect in {"escpos", "tspl", "zpl"}
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0 if own else 4)
    code.add_data(block.data.encode(), optimize=0)
    code.make()
    expected = ["".join("01"[module] * 4 for module in row) for row in code.get_matrix() for _ in range(4)]
    rows = rows_as_bits(picture_of(print_on_paper([block], paper, policy)))
    left = (paper.width - len(expected[0])) // 2
    top = next(at for at, row in enumerate(rows) if "1" in row) - (0 if own else 16)
    found = [row[left : left + len(expected[0])] for row in rows[top:]]
    assert found[: len(expected)] == expected


# -- nothing in a ticket becomes a command ---------------------------------------------------------------------

HOSTILE = st.lists(
    st.sampled_from(
        [
            "\x1b@",
            "\x1d",
            "\x10\x14",
            "\x00",
            "\r\n",
            "\n",
            '"',
            '\\["]',
            "\\",
            "^XZ",
            "^FS",
            "^FD",
            "~JA",
            "~",
            "^",
            "_1B",
            "_5E",
            "CUT\r\n",
            "DOWNLOAD",
            "PRINT 1,1",
            "\x7f",
            "\x9b",
            "é",
            "あ",
            "\x1b!R",
            "{A",
            "{1",
            ">;",
            "\u2028",
            " ",
            "a",
            "1",
        ]
    ),
    max_size=8,
).map("".join)


@settings(deadline=None)
@given(HOSTILE, st.sampled_from(["escpos", "star", "tspl", "zpl"]), st.sampled_from(POLICIES))
def test_a_text_is_no_command(text, dialect, policy):
    paper = paper_of(dialect, 50)
    for blocks in (
        [b.Text(text)],
        [b.Heading(text, 3)],
        [b.Columns((b.Cell(text), b.Cell(text, "right")))],
        [b.Barcode(text, height_mm=2, text=False)] if text else [],
        [b.Qr(text)] if text else [],
    ):
        try:
            data = documents.ticket(blocks, paper, policy=policy)
        except DocumentError:
            continue
        assert not list(rawprint.notable_commands(data, dialect))
        assert all(not sheet.unknown for sheet in sheets(dialect, data, width=paper.width))
        assert len(sheets(dialect, data, width=paper.width)) <= 1


@pytest.mark.parametrize("policy", POLICIES)
def test_quotation_marks_and_carets_are_printed(policy):
    text = '3" pipe ^XZ ~JA _5E \\ |'
    for dialect in ("tspl", "zpl"):
        paper = paper_of(dialect)
        printed = picture_of(print_on_paper([b.Text(text)], paper, policy))
        assert printed.cropped(sides=False).data == documents.layout([b.Text(text)], paper).cropped(sides=False).data
    assert print_on_paper([b.Text(text)], paper_of("escpos")).text == (text,)


# -- how they look ---------------------------------------------------------------------------------------------

REFERENCES = pathlib.Path(__file__).parent / "references" / "tickets"
BILL = r"""
[image logo]
# Café Zürich
^ Bahnhofstrasse 1, 8001 Zürich
===
|   | **Table 5** |> **waiter Ana** |
| 2 | Cappuccino |> 9.00 |
| 1 | Croissant with almonds, chocolate and a very long name |> 3.80 |
|   | + butter |> 0.50 |
| 12 | Espresso |> 42.00 |
---
> @2 **CHF 55.30**
- - -
| VAT | 8.1 % |> 4.14 |

[barcode ean13 4006381333931]
[qr https://example.com/bill/812]
^ __Thank you!__
"""
LABEL = r"""
| **FROM** | **TO** |
| Blue Parcel Ltd\n1 Dock Road\nLondon E16 | Ana Müller\nGrüner Weg 7\n50667 Köln |
---
## PRIORITY
^ @2 **50667-DE**
[barcode code128 height=15 JD0146000043219871]
===
|:*1 1.25 kg |^:*1 1/1 |>:*1 "fragile" |
[qr size=4 https://t.example/JD0146000043219871]
"""
JAPANESE = r"""
# 厨房 12番
^ テーブル 5  /  19:42
---
| 2 | ラーメン |
|   | 味玉トッピング、麺かため、ねぎ抜き、スープ濃いめでお願いします |
| 1 | 餃子（6個） |
| 10 | 生ビール |
===
@2 **急ぎ！**
"""
ARABIC = r"""
# مطعم الأرز
^ طاولة 5
---
|> 24.00 | شاورما دجاج مع الثوم والمخلل بدون بصل من فضلك | ٢ |
|> 12.50 | حمص | ١ |
|> 9.00 | كولا Coca-Cola | ٣ |
===
@2 **المجموع 45.50**
السطر الطويل جدا يلتف على عدة أسطر عندما لا يتسع له عرض الورقة في الطابعة
"""
LOOKS = {
    "bill": (BILL, ("escpos", 80, None), "DejaVuSansMono"),
    "bill-58": (BILL, ("escpos", 58, None), "DejaVuSansMono"),
    "label": (LABEL, ("tspl", 60, 80), "DejaVuSansMono"),
    "kitchen-japanese": (JAPANESE, ("escpos", 80, None), "DejaVuSansMono DroidSansFallbackFull"),
    "kitchen-arabic": (ARABIC, ("escpos", 58, None), "DejaVuSansMono NotoSansArabic-Regular"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_how_it_looks(name):
    """Against a picture that a person has looked at; `RAWPRINT_REFERENCES=write` writes them anew."""
    content, (dialect, width_mm, height_mm), wanted = LOOKS[name]
    found = {shaping.font_for(fonts.library(), each) for each in content if not each.isspace()}
    used = {pathlib.Path(font.path).stem if font else "no font" for font in found}
    if used != set(wanted.split()):
        pytest.skip(f"the reference is in {wanted}, and here are {' '.join(sorted(used))}")
    paper = documents.Paper.of(dialect, width_mm=width_mm, height_mm=height_mm)
    dots = documents.layout(content.removeprefix("\n"), paper, images=IMAGES)
    path = REFERENCES / f"{name}.png"
    if os.environ.get("RAWPRINT_REFERENCES") == "write":
        dots.image().save(path, optimize=True)
    with PIL.Image.open(path) as opened:
        reference = opened.convert("L")
    assert reference.size == (dots.width, dots.height)
    other = PIL.ImageChops.difference(reference, dots.image().convert("L"))
    # FreeType's releases differ by a dot here and there.
    assert other.histogram()[255] <= reference.histogram()[0] * 0.02


def test_what_need_not_be_there_is_imported_late():
    code = "import sys, rawprint.documents.tickets; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "msgspec" in loaded
    assert not {"PIL", "qrcode", "barcode", "escpos", "uharfbuzz", "rawprint.virtual"} & set(loaded)


def test_every_name_is_there():
    for name in documents.__all__:
        assert getattr(documents, name)
    assert sorted(documents.__all__) == sorted(documents._FROM)


def test_the_readme_shows_what_there_is():
    readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Tickets and labels")[1].split("\n## ")[0]
    shown = [line[4:43].rstrip() for line in section.splitlines() if line.startswith("    ")]
    blocks = parse_markup("\n".join(shown))
    assert {type(block) for block in blocks} == {b.Heading, b.Text, b.Columns, b.Line, b.Qr, b.Cut}
    for type_ in b.Block.__args__:
        row = next(line for line in section.splitlines() if line.startswith(f"| `{type_.__struct_config__.tag}`"))
        assert [field for field in type_.__struct_fields__ if f"`{field}`" not in row] == []
    with pytest.raises(DocumentError, match="line 4, column 2: there is no command 'qrr'"):
        parse_markup("a\nb\n\n[qrr x]")
