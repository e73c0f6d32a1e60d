"""Tickets: their markup, how they look, and that nothing in them becomes a command."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint.documents import blocks as b
from rawprint.documents.markup import escape, format_markup, parse_markup
from rawprint.errors import DocumentError, DocumentTooLarge

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
        assert str(error).startswith("line ")
        assert error.hint
    else:
        assert parse_markup(format_markup(blocks)) == blocks


@given(TEXTS.map(lambda text: text.replace("\ufeff", "")))
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
        ("[qr size=99 a]", "1, column 1", "Shorten"),
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
    with pytest.raises(DocumentError, match="^block 2"):
        b.checked([b.Text("x"), block])


def test_a_ticket_has_an_end():
    with pytest.raises(DocumentTooLarge):
        parse_markup("\n" * 2001)
    with pytest.raises(DocumentTooLarge):
        b.checked([b.Text("")] * 2001)
    with pytest.raises(DocumentTooLarge):
        b.checked([b.Image(data=bytes(b.MAX_IMAGE // 2 + 1))] * 2)
