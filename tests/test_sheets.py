"""What a job looks like on paper: bytes written by hand, from the manuals, with dots that are known."""

from __future__ import annotations

import base64
import binascii
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rawprint.virtual import Listener, device
from rawprint.virtual.sheets import LANGUAGES, printing, sheets
from rawprint.virtual.sheets.paper import Picture, ellipse, framed
from rawprint.virtual.sheets.zpl import acs

# The picture of the samples that the protocol notes have: 16 x 16, a frame and a falling diagonal, 1 = black.
HEX = "FFFFC001A001900188018401820181018081804180218011800980058003FFFF"
MARK = bytes.fromhex(HEX)
INVERTED = bytes(255 - byte for byte in MARK)
MARK_ROWS = [f"{int.from_bytes(MARK[at : at + 2], 'big'):016b}" for at in range(0, 32, 2)]
MARK_PIXELS = bytes(0 if dot == "1" else 255 for row in MARK_ROWS for dot in row)


def art(sheet):
    """A sheet as lines of # and ."""
    size = (sheet.width + 7) // 8
    assert len(sheet.data) == size * sheet.height
    lines = []
    for at in range(0, len(sheet.data), size):
        bits = "".join(f"{byte:08b}" for byte in sheet.data[at : at + size])
        assert not bits[sheet.width :].strip("0"), "what pads a row is 0"
        lines.append(bits[: sheet.width].replace("0", ".").replace("1", "#"))
    return lines


def rows(sheet):
    return [line.replace("#", "1").replace(".", "0") for line in art(sheet)]


def one(dialect, data, **options):
    (sheet,) = sheets(dialect, data, **options)
    return sheet


def escpos(data, width=16, **options):
    return one("escpos", data, width=width, **options)


def part(sheet, x, y, width=16, height=16):
    return [row[x : x + width] for row in rows(sheet)[y : y + height]]


def raster(data, row_bytes, height, mode=0):
    return b"\x1dv0" + bytes([mode, row_bytes, row_bytes >> 8, height & 255, height >> 8]) + data


def le(number, size=2):
    return number.to_bytes(size, "little")


# -- the sheet ------------------------------------------------------------------------------------------------


def test_png():
    sheet = escpos(raster(MARK, 2, 16))
    with Image.open(io.BytesIO(sheet.png())) as image:
        assert image.size == (16, 16)
        assert image.convert("L").tobytes() == MARK_PIXELS


def test_no_such_language():
    with pytest.raises(ValueError, match="sbpl"):
        sheets("sbpl", b"")
    with pytest.raises(ValueError, match="cp0"):
        sheets("escpos", b"", code_pages={0: "cp0"})
    for width in (0, 4097):
        with pytest.raises(ValueError, match="dots"):
            sheets("tspl", b"", width=width)


def test_nothing_printed_is_no_sheet():
    for dialect in LANGUAGES:
        assert sheets(dialect, b"") == []
    assert sheets("escpos", b"\x1b@text that is not ended") == []


def test_turns():
    picture = Picture(3, (0b110, 0b001))
    assert picture.turned(1) == Picture(2, (0b01, 0b01, 0b10))
    assert picture.turned(2) == Picture(3, (0b100, 0b011))
    assert picture.turned(3) == picture.turned(1).turned(2)
    assert picture.mirrored() == Picture(3, (0b011, 0b100))
    assert framed(4, 4, 1).rows == (0b1111, 0b1001, 0b1001, 0b1111)
    assert framed(4, 3, 2).rows == (0b1111,) * 3
    assert ellipse(5, 5, 1).mirrored().height == 5


# -- ESC/POS --------------------------------------------------------------------------------------------------


def test_raster():
    assert rows(escpos(raster(MARK, 2, 16))) == MARK_ROWS


@pytest.mark.parametrize(("mode", "across", "down"), [(0, 1, 1), (1, 2, 1), (2, 1, 2), (3, 2, 2), (51, 2, 2)])
def test_raster_modes(mode, across, down):
    sheet = escpos(raster(b"\x80\x01\x40\x02", 2, 2, mode), width=40)
    wanted = []
    for row in ("1000000000000001", "0100000000000010"):
        wanted += ["".join(dot * across for dot in row).ljust(40, "0")] * down
    assert rows(sheet) == wanted


@pytest.mark.parametrize(("align", "left"), [(0, 0), (1, 12), (2, 24), (49, 12)])
def test_raster_is_aligned(align, left):
    sheet = escpos(b"\x1ba" + bytes([align]) + raster(MARK, 2, 16), width=40)
    assert part(sheet, left, 0) == MARK_ROWS
    assert "".join(rows(sheet)).count("1") == "".join(MARK_ROWS).count("1")


def test_raster_below_raster():
    sheet = escpos(raster(b"\xff\x00", 1, 2) + raster(b"\x0f", 1, 1), width=8)
    assert art(sheet) == ["########", "........", "....####"]


def test_raster_beyond_the_paper_is_lost():
    assert art(escpos(raster(b"\xff\xff", 2, 1), width=12)) == ["#" * 12]
    assert art(escpos(b"\x1dL\x04\x00" + raster(b"\xff\xff", 2, 1), width=12)) == ["...." + "#" * 8]
    assert art(escpos(b"\x1dL\x02\x00\x1dW\x04\x00" + raster(b"\xff\xff", 2, 1), width=12)) == ["..####......"]


def test_text_in_the_line_is_printed_before_a_picture():
    sheet = escpos(b"A" + raster(MARK, 2, 16), width=32)
    assert sheet.height == 30 + 16
    assert sheet.text == ("A",)
    assert part(sheet, 0, 30) == MARK_ROWS


def store(data, width, height, across=1, down=1, long=False):
    block = b"0p0" + bytes([across, down]) + b"1" + le(width) + le(height) + data
    return (b"\x1d8L" + le(len(block), 4) if long else b"\x1d(L" + le(len(block))) + block


PRINT = b"\x1d(L\x02\x0002"


@pytest.mark.parametrize("long", [False, True])
def test_graphics(long):
    assert rows(escpos(store(MARK, 16, 16, long=long) + PRINT)) == MARK_ROWS
    sheet = escpos(store(b"\xa0", 3, 1, 2, 2, long) + PRINT, width=8)
    assert art(sheet) == ["##..##.."] * 2


def test_graphics_width_is_in_dots():
    assert art(escpos(store(b"\xff\xff", 3, 2) + PRINT, width=8)) == ["###.....", "###....."]


def test_graphics_are_printed_once():
    sheet = escpos(store(b"\x80", 1, 1) + PRINT + PRINT, width=8)
    assert sheet.height == 1
    assert sheet.unknown == (PRINT,)


def test_nv_graphics():
    define = b"0C0ab\x01" + le(16) + le(16) + b"1" + MARK
    job = b"\x1d(L" + le(len(define)) + define + b"\x1b@\x1d(L\x06\x000Eab\x01\x01"
    assert rows(escpos(job)) == MARK_ROWS
    job = b"\x1d(L" + le(len(define)) + define + b"\x1d(L\x06\x000Eab\x02\x01"
    assert escpos(job, width=40).height == 16
    assert sheets("escpos", b"\x1d(L\x06\x000Eab\x01\x01") == []


def columns(rows_):
    """ESC * data of rows of bits, 24 of them."""
    return b"".join(
        int("".join(column), 2).to_bytes(3, "big")
        for column in zip(*rows_ + ["0" * 16] * (24 - len(rows_)), strict=True)
    )


def test_column_pictures_close_up():
    band = b"\x1b*\x21\x10\x00" + columns(MARK_ROWS) + b"\n"
    sheet = escpos(b"\x1b3\x18" + band + band)
    assert sheet.height == 48
    assert part(sheet, 0, 0) == MARK_ROWS
    assert part(sheet, 0, 24) == MARK_ROWS
    assert part(sheet, 0, 16, 16, 8) == ["0" * 16] * 8
    assert sheet.text == ()
    # Never less than the picture is high, and by default more.
    assert escpos(b"\x1b3\x00" + band + band).height == 48
    assert escpos(b"\x1b3\x00\x1b2" + band + band).height == 60


def test_column_densities():
    assert art(escpos(b"\x1b3\x00\x1b*\x20\x02\x00\xc0\x00\x00\x80\x00\x01\n", width=8))[:2] == ["####....", "##......"]
    assert art(escpos(b"\x1b3\x00\x1b*\x21\x02\x00\xc0\x00\x00\x80\x00\x01\n", width=8))[23] == ".#......"
    eight = b"\x1b3\x00\x1b*%c\x02\x00\x81\x40\n"
    single, double = (art(escpos(eight % mode, width=8)) for mode in (0, 1))
    assert single == ["##......"] * 3 + ["..##...."] * 3 + ["........"] * 15 + ["##......"] * 3
    assert double == ["#......."] * 3 + [".#......"] * 3 + ["........"] * 15 + ["#......."] * 3


def test_columns_are_aligned_and_positioned():
    band = b"\x1b*\x21\x02\x00\x80\x00\x00\x80\x00\x00"
    assert art(escpos(b"\x1ba\x01" + band + b"\n", width=8))[0] == "...##..."
    assert art(escpos(b"\x1ba\x02" + band + b"\n", width=8))[0] == "......##"
    assert art(escpos(b"\x1b$\x03\x00" + band + b"\n", width=8))[0] == "...##..."
    assert art(escpos(b"\x1dL\x01\x00\x1b$\x03\x00" + band + b"\n", width=8))[0] == "....##.."
    assert art(escpos(band + b"\x1b\\\x01\x00" + band + b"\x1b\\\xfe\xff\n", width=8))[0] == "##.##..."
    assert art(escpos(b"\x1b$\x07\x00" + band + b"\n", width=8))[0] == ".......#"


def test_feeds():
    assert escpos(b"\n").height == 30
    assert escpos(b"\x1b3\x07\n\n").height == 14
    assert escpos(b"\x1bd\x03").height == 90
    assert escpos(b"A\x1bd\x03").height == 90
    assert escpos(b"A\x1bJ\x05").height == 24
    assert escpos(b"A\x1bJ\x28").height == 40
    assert escpos(b"\x1bJ\x05").height == 5


@pytest.mark.parametrize("cut", [b"\x1dV\x00", b"\x1dV1", b"\x1dVA\x00", b"\x1dVB\x00", b"\x1bi", b"\x1bm"])
def test_cuts(cut):
    first, second = sheets("escpos", b"A\n" + cut + cut + b"B\n", width=16)
    assert (first.text, second.text) == (("A",), ("B",))
    assert first.height == second.height == 30


def test_cut_with_feed():
    assert escpos(b"A\n\x1dVB\x0a").height == 40


def test_text_sizes():
    sheet = escpos(b"\x1d!\x11A\n\x1b!\x00A\x1d!\x01A\n\x1b!\x01A\n", width=48)
    assert sheet.height == 48 + 48 + 30
    assert sheet.text == ("A", "AA", "A")
    # Twice the size is the same letter, each dot four.
    small, large = escpos(b"\x1b3\x00A\n", width=48), escpos(b"\x1b3\x00\x1d!\x11A\n", width=48)
    assert rows(large) == ["".join(dot * 2 for dot in row[:12]).ljust(48, "0") for row in rows(small) for _ in range(2)]
    # Small ones stand at the foot of the line.
    both = escpos(b"\x1b3\x00A\x1d!\x11A\n", width=48)
    assert part(both, 0, 24, 12, 24) == part(small, 0, 0, 12, 24)


def test_text_looks():
    plain, line, reverse = (
        art(escpos(b"\x1b3\x00" + head + b"A\n", width=12)) for head in (b"", b"\x1b-2", b"\x1dB\x01")
    )
    assert line[:22] == plain[:22]
    assert line[22:] == ["#" * 12] * 2
    assert reverse == [row.translate({35: ".", 46: "#"}) for row in plain]
    assert "".join(art(escpos(b"\x1bE\x01A\n", width=12))).count("#") > "".join(plain).count("#")


def test_lines_wrap():
    assert escpos(b"ABC\n", width=24).text == ("AB", "C")


def test_code_pages():
    assert escpos(b"\x80\x1bt\x10\x80\x1bt\x11\x80\x1bt\x63\x80\n", width=576).text == ("Ç€АА",)
    assert escpos(b"\x1bt\x10\x80\n", width=576, code_pages={0: "cp437"}).text == ("Ç",)
    assert escpos(b"\x1bt\x10\n", code_pages={0: "cp437"}).unknown == (b"\x1bt\x10",)
    assert escpos("\x1bt\x01茶A\n".encode("gb18030"), width=576, code_pages={1: "gb18030"}).text == ("茶A",)


def test_what_is_not_understood_is_told():
    sheet = escpos(b"\x1bZ\x1d(Q\x01\x00x\x1b{\x01\n\x10\x04\x01\x1d(H\x06\x00000001\x1bp\x00\x19\xfa")
    assert sheet.unknown == (b"\x1bZ", b"\x1d(Q\x01\x00x", b"\x1b{\x01")
    assert escpos(b"\n" + raster(b"\xff", 2, 2)).unknown == (raster(b"\xff", 2, 2),)


def qr_modules(sheet, x, y, size, count):
    return [row[x : x + size * count : size] for row in rows(sheet)[y : y + size * count : size]]


FINDER = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]

QR = b"\x1d(k\x04\x001A2\x00\x1d(k\x03\x001C\x05\x1d(k\x03\x001E1\x1d(k\x16\x001P0https://example.org\x1d(k\x03\x001Q0"


def test_qr():
    sheet = escpos(QR, width=576)
    assert (sheet.height, sheet.unknown) == (125, ())  # version 2: 25 modules
    assert [row[:7] for row in qr_modules(sheet, 0, 0, 5, 25)[:7]] == FINDER
    assert [row[-7:] for row in qr_modules(sheet, 0, 0, 5, 25)[:7]] == FINDER
    narrow = escpos(QR + b"\n", width=124)  # it does not fit, and nothing of it is printed
    assert (narrow.height, narrow.unknown) == (30, (b"\x1d(k\x03\x001Q0",))


def test_barcode():
    # EAN-13 from its definition: edges 101, middle 01010, 95 modules.
    sheet = escpos(b"\x1dh\x0a\x1dw\x02\x1dk\x02400638133393\x00", width=576)
    assert sheet.height == 10
    line = rows(sheet)[0][:190:2]
    assert len(line) == 95
    assert line[:3] == line[-3:] == "101"
    assert line[45:50] == "01010"
    assert line[3:10] == "0001101"  # 0, of set A
    assert rows(sheet)[9] == rows(sheet)[0]
    b = b"\x1dh\x0a\x1dw\x02\x1dkC\x0d4006381333931"
    assert rows(escpos(b, width=576)) == rows(sheet)
    assert escpos(b"\x1dH\x02" + b, width=576).height == 34


def test_code128():
    # Start C, 12, the check symbol 105 + 12 = 117 % 103 = 14, stop (ISO 15417's table).
    start_c, pair_12, check_14 = "11010011100", "10110011100", "10011001110"
    sheet = escpos(b"\x1dh\x01\x1dw\x02\x1dkI\x03{C\x0c", width=576)
    assert rows(sheet)[0][: 2 * 46 : 2] == start_c + pair_12 + check_14 + "1100011101011"


def test_what_no_barcode_can_say_is_a_box():
    sheet = escpos(b"\x1dk\x02abc\x00", width=576)
    assert rows(sheet)[0][:200] == "1" * 200


def test_sample_receipt():
    head = b"\x1b@\x1ba\x01\x1b!0RAWPRINT\n\x1b!\x00TEST RECEIPT\n\x1ba\x00Coffee 1 x 2.50\n"
    sheet = escpos(head + raster(MARK, 2, 16) + b"\n" + QR + b"\n\x1bd\x03\x1dVB\x00", width=576)
    assert sheet.text == ("RAWPRINT", "TEST RECEIPT", "Coffee 1 x 2.50")
    assert part(sheet, 0, 48 + 60) == MARK_ROWS
    assert sheet.unknown == ()
    assert sheet.height == 48 + 60 + 16 + 30 + 125 + 30 + 90


@pytest.mark.parametrize("way", ["bitImageRaster", "graphics", "bitImageColumn"])
@pytest.mark.parametrize("size", [(16, 16), (61, 50), (384, 100)])
def test_against_python_escpos(way, size):
    """Another's encoder."""
    from escpos.printer import Dummy

    image = noise(*size)
    printer = Dummy()
    printer.image(image, impl=way, center=False)
    sheet = escpos(printer.output, width=size[0])
    bits = "".join(rows(sheet)[: size[1]])
    assert bits == "".join("0" if pixel else "1" for pixel in image.convert("L").tobytes())
    assert sheet.unknown == ()


# -- Star -----------------------------------------------------------------------------------------------------


def star(data, width=16):
    return one("star", data, width=width)


def test_star_raster():
    picture = b"\x1b\x1dS\x01\x02\x00\x10\x00\x00" + MARK
    assert rows(star(picture)) == MARK_ROWS
    assert part(star(b"\x1b\x1da\x01" + picture + picture, 32), 8, 16) == MARK_ROWS
    assert star(b"A" + picture, 32).height == 32 + 16


def test_star_raster_mode():
    lines = b"".join(b"b\x02\x00" + MARK[at : at + 2] for at in range(0, 32, 2))
    job = b"\x1b*rR\x1b*rP0\x00\x1b*rE9\x00\x1b*rF9\x00\x1b*rQ0\x00\x1b*rA" + lines + b"\x1b\x0c\x04\x1b*rB"
    job = job.replace(b"\x1b*rR", b"\x1b*rR\x00")
    sheet = star(job)
    assert rows(sheet) == MARK_ROWS
    assert sheet.unknown == ()
    assert sheets("star", job * 2, width=16) == [sheet, sheet]
    assert star(b"\x1b*rA" + b"b\x01\x00\xff" + b"\x1b*rY3\x00" + b"b\x00\x00" + b"\x1b*rB", 8).height == 5


def test_star_columns():
    band = b"\x1bX\x10\x00" + columns(MARK_ROWS) + b"\n"
    sheet = star(b"\x1b0" + band + band)
    assert sheet.height == 48
    assert part(sheet, 0, 24) == MARK_ROWS


def test_star_text_and_cuts():
    job = (
        b"\x1b@\x1b\x1da\x01\x1bE\x1bi\x01\x01RAWPRINT\n\x1bF\x1bi\x00\x00\x1b\x1da\x00TEST\n\x17\x1bd\x02B\n\x1bd\x03"
    )
    first, second = sheets("star", job)
    assert first.text == ("RAWPRINT", "TEST")
    assert first.height == 48 + 32
    assert second.text == ("B",)
    assert first.unknown == second.unknown == ()


def test_star_codes():
    qr = b"\x1b\x1dyS0\x02\x1b\x1dyS1\x01\x1b\x1dyS2\x05\x1b\x1dyD1\x00\x13\x00https://example.org\x1b\x1dyP"
    assert rows(star(qr, 576)) == rows(escpos(QR, width=576))
    ean = star(b"\x1bb\x03\x01\x01\x0a400638133393\x1e", 576)
    assert rows(ean) == rows(escpos(b"\x1dh\x0a\x1dw\x02\x1dk\x02400638133393\x00", width=576))


# -- TSPL -----------------------------------------------------------------------------------------------------


def tspl(data, **options):
    return one("tspl", data, **options)


TSPL = b"\r\nSIZE 5 mm,3 mm\r\nGAP 2 mm,0\r\nDIRECTION 1\r\nCLS\r\n"


def test_tspl_bitmap():
    sheet = tspl(TSPL + b"BITMAP 3,2,2,16,0," + INVERTED + b"\r\nPRINT 1,1\r\n")
    assert (sheet.width, sheet.height, sheet.unknown) == (40, 24, ())
    assert part(sheet, 3, 2) == MARK_ROWS
    assert "".join(rows(sheet)).count("1") == "".join(MARK_ROWS).count("1")
    assert tspl(TSPL + b"BITMAP 3,2,2,16,0," + INVERTED + b"PRINT 1\n").data == sheet.data
    moved = tspl(TSPL + b"REFERENCE 2,1\r\nBITMAP 1,1,2,16,0," + INVERTED + b"\r\nPRINT 1,1\r\n")
    assert moved.data == sheet.data


@pytest.mark.parametrize(("mode", "wanted"), [(0, "11110000"), (1, "11111111"), (2, "00001111")])
def test_tspl_bitmap_modes(mode, wanted):
    # Black from 0 to 7, then black for 0 to 3 only.
    sheet = tspl(TSPL + b"BAR 0,0,8,1\r\nBITMAP 0,0,1,1,%d,\x0f\r\nPRINT 1\r\n" % mode)
    assert rows(sheet)[0][:8] == wanted


def test_tspl_bitmap_takes_any_byte():
    data = b'\r\n"\x1b!RPRINT 1\r\nCLS\r\n'
    sheet = tspl(TSPL + b"BITMAP 0,0,1,%d,0," % len(data) + data + b"\r\nPRINT 1\r\n")
    assert [int(row[:8], 2) ^ 255 for row in rows(sheet)[: len(data)]] == list(data)[:24]


def test_tspl_sizes():
    for text, size in [(b"50 mm,30 mm", (400, 240)), (b"2,1", (406, 203)), (b"100 dot,50 dot", (100, 50))]:
        sheet = tspl(b"SIZE " + text + b"\r\nCLS\r\nPRINT 1\r\n")
        assert (sheet.width, sheet.height) == size
    sheet = tspl(b"SIZE 50 mm,30 mm\r\nCLS\r\nPRINT 1\r\n", dpi=300)
    assert (sheet.width, sheet.height) == (600, 360)
    assert tspl(b"SIZE 5 mm\r\nCLS\r\nBAR 0,9,2,2\r\nPRINT 1\r\n").height == 11


def test_tspl_prints():
    job = TSPL + b"BAR 0,0,8,1\r\nPRINT 2,3\r\nCLS\r\nPRINT 1\r\n"
    made = sheets("tspl", job)
    assert len(made) == 7
    assert made[0] == made[5] != made[6]
    assert not made[6].data.strip(b"\x00")
    again = sheets("tspl", TSPL + b'TEXT 0,0,"1",0,1,1,"A"\r\nPRINT 1\r\nPRINT 1\r\nCLS\r\nPRINT 1\r\nFOO')
    assert [sheet.text for sheet in again] == [("A",), ("A",), ()]
    assert [sheet.unknown for sheet in again] == [(), (), (b"FOO",)]


def test_a_batch_of_labels_is_no_flood():
    label = (
        b'SIZE 50 mm,30 mm\r\nCLS\r\nTEXT 0,0,"3",0,1,1,"%d"\r\nBITMAP 0,0,25,200,1,' + bytes(5000) + b"\r\nPRINT 1\r\n"
    )
    assert len(sheets("tspl", b"".join(label.replace(b"%d", b"%d" % number) for number in range(300)))) == 300


def test_tspl_lines():
    draw = b"BAR 1,1,6,6\r\nERASE 2,2,2,2\r\nREVERSE 0,0,3,3\r\nBOX 9,0,13,4,1\r\nPRINT 1\r\n"
    assert [row[:16] for row in art(tspl(TSPL + draw))][:8] == [
        "###......#####..",
        "#..####..#...#..",
        "#.#.###..#...#..",
        ".#..###..#...#..",
        ".######..#####..",
        ".######.........",
        ".######.........",
        "................",
    ]


def test_tspl_mirror():
    sheet = tspl(b"SIZE 8 dot,1 dot\r\nDIRECTION 0,1\r\nCLS\r\nBAR 0,0,3,1\r\nPRINT 1\r\n")
    assert art(sheet) == [".....###"]


def test_tspl_files():
    out = io.BytesIO()
    image = Image.new("1", (16, 16), 1)
    image.putdata(list(MARK_PIXELS))
    image.save(out, "BMP")
    bmp = out.getvalue()
    job = b'DOWNLOAD F,"A.BMP",%d,' % len(bmp) + bmp + b"\r\n" + TSPL + b'PUTBMP 3,2,"A.BMP"\r\nPRINT 1\r\n'
    assert part(tspl(job), 3, 2) == MARK_ROWS
    assert tspl(TSPL + b'PUTBMP 3,2,"B.BMP"\r\nPRINT 1\r\n').unknown == (b'PUTBMP 3,2,"B.BMP"',)


def test_tspl_text():
    head = b"SIZE 50 mm,30 mm\r\nCODEPAGE UTF-8\r\nCLS\r\n"
    sheet = tspl(head + 'TEXT 20,20,"3",0,1,1,"5\\["] Café, 1"\r\nPRINT 1\r\n'.encode())
    assert sheet.text == ('5" Café, 1',)
    black = [(x, y) for y, row in enumerate(rows(sheet)) for x, dot in enumerate(row) if dot == "1"]
    assert min(x for x, _ in black) >= 20
    assert min(y for _, y in black) >= 20
    assert max(y for _, y in black) < 44
    assert max(x for x, _ in black) < 20 + 16 * len('5" Café, 1')


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_tspl_text_turns(turn):
    text = b'CLS\r\nTEXT 100,100,"2",%d,1,1,"AB"\r\nPRINT 1\r\n'
    plain, turned = (tspl(b"SIZE 200 dot,200 dot\r\n" + text % angle) for angle in (0, turn))
    straight = Picture(24, tuple(int(row, 2) for row in part(plain, 100, 100, 24, 20)))
    x, y = {90: (80, 100), 180: (76, 80), 270: (100, 76)}[turn]
    wide, tall = (24, 20) if turn == 180 else (20, 24)
    found = Picture(wide, tuple(int(row, 2) for row in part(turned, x, y, wide, tall)))
    assert found == straight.turned(turn // 90)


def test_tspl_codes():
    draw = b'QRCODE 0,0,M,5,A,0,"https://example.org"\r\nBARCODE 0,200,"EAN13",10,0,0,2,2,"400638133393"\r\nPRINT 1\r\n'
    sheet = tspl(b"SIZE 100 mm,30 mm\r\nCLS\r\n" + draw)
    assert part(sheet, 0, 0, 125, 125) == part(escpos(QR, width=576), 0, 0, 125, 125)
    ean = escpos(b"\x1dh\x0a\x1dw\x02\x1dk\x02400638133393\x00", width=576)
    assert part(sheet, 0, 200, 190, 10) == part(ean, 0, 0, 190, 10)


def test_tspl_qr_without_level():
    assert tspl(TSPL + b'QRCODE 0,0,,4,A,0,"A"\r\nPRINT 1\r\n').unknown == (b'QRCODE 0,0,,4,A,0,"A"',)


def test_tspl_unknown():
    sheet = tspl(TSPL + b'FOO 1\r\nBOX 1,2\r\nTEXT 1,2,"3"\r\n\x1b!?~!T\r\nPRINT 1\r\n')
    assert sheet.unknown == (b"FOO 1", b"BOX 1,2", b'TEXT 1,2,"3"')


# -- ZPL ------------------------------------------------------------------------------------------------------


def zpl(data, **options):
    return one("zpl", data, **options)


def test_acs_of_the_manual():
    """ZDOC: M is 7, MB is 7 Bs; g is 20, gB is 20 Bs; vMB or MvB are 327 Bs."""
    for text, count in [(b"MB", 7), (b"gB", 20), (b"vMB", 327), (b"MvB", 327), (b"GB", 1), (b"zzB", 800), (b"YB", 19)]:
        data, exact = acs(text, (count + 1) // 2, (count + 1) // 2)
        assert exact
        assert data.hex().upper().rstrip("0") == "B" * count
    assert acs(b"FF,!:8000", 8, 2) == (bytes.fromhex("FF00FFFFFFFF8000"), True)
    assert acs(b"F0,\r\n,:", 6, 2) == (bytes.fromhex("F00000000000"), True)
    assert acs(b"F,", 2, 2) == (bytes.fromhex("F000"), False)


@pytest.mark.parametrize("wrap", ["hex", "lines", "acs", "b64", "z64", "binary"])
def test_zpl_graphic_field(wrap):
    def encoded(kind, data):
        text = base64.b64encode(data)
        return b":%s:%s:%04X" % (kind, text, binascii.crc_hqx(text, 0))

    body = {
        "hex": HEX.encode(),
        "lines": b"\r\n".join(HEX.encode()[at : at + 8] for at in range(0, 64, 8)),
        "acs": b"!C001A001900188018401820181018081804180218011800980058003JF",
        "b64": encoded(b"B64", MARK),
        "z64": encoded(b"Z64", zlib.compress(MARK)),
        "binary": MARK,
    }[wrap]
    size = len(body) if wrap in ("b64", "z64") else 32
    field = b"^GF%s,%d,32,2," % (b"B" if wrap == "binary" else b"A", size) + body
    sheet = zpl(b"^XA^PW40^LL24^FO3,2" + field + b"^FS^PQ1^XZ")
    assert (sheet.width, sheet.height, sheet.unknown) == (40, 24, ())
    assert part(sheet, 3, 2) == MARK_ROWS


def test_zpl_worked_example():
    """The notes on the protocol: 8 x FF."""
    for body, size in [(b":B64://////////8=:F578", 12), (b":Z64:eJz7/x8CACPkB/k=:E740", 16)]:
        sheet = zpl(b"^XA^PW64^LL1^FO0,0^GFA,%d,8,8,%s^FS^XZ" % (size, body))
        assert rows(sheet) == ["1" * 64]
    field = b"^GFA,12,8,8,:B64://////////8=:F579"
    sheet = zpl(b"^XA^PW64^LL1^FO0,0" + field + b"^FS^XZ")
    assert (rows(sheet), sheet.unknown) == (["0" * 64], (field,))


def test_zpl_sample_z64():
    body = b":Z64:eJz7//8A4wLGCYwdjC2MTYyNjA2NDY4Nig2CDZwNrA3M//8DANSyDIg=:1281"
    assert part(zpl(b"^XA^PW400^LL240\n^FO20,170^GFA,56,32,2," + body + b"^FS\n^PQ1\n^XZ\n"), 20, 170) == MARK_ROWS


def test_zpl_places():
    field = b"^GFA,1,1,1,80"
    assert art(zpl(b"^XA^PW8^LL4^LH1,1^FO2,1" + field + b"^FS^XZ")) == ["." * 8] * 2 + ["...#...."] + ["." * 8]
    assert art(zpl(b"^XA^PW8^LL4^FT2,1" + field + b"^FS^XZ"))[0] == "..#....."
    assert art(zpl(b"^XA^PW8^LL1^FO0,0^GB8,1,1^FS^FO2,0^FR" + field + b"^FS^XZ")) == ["##.#####"]


@pytest.mark.parametrize("download", ["~DGR:A.GRF,2,1,8040", "~DYR:A,A,G,2,1,8040", "~DYR:A,B,G,2,1,\x80\x40"])
def test_zpl_stored_graphics(download):
    job = download.encode("latin-1") + b"^XA^PW8^LL4^FO1,0^XGR:A.GRF,3,2^FS^XZ"
    assert art(zpl(job)) == [".###....", ".###....", "....###.", "....###."]
    assert art(zpl(b"~DGA,1,1,80^XA^PW8^LL1^FO1,0^XGA.GRF^FS^XZ")) == [".#......"]
    assert zpl(b"~DGA,1,1,80^XA^IDR:A.GRF^FS^PW8^LL1^FO1,0^XGA.GRF^FS^XZ").unknown == (b"^XGA.GRF",)


def test_zpl_lines():
    job = b"^XA^PW8^LL6^FO0,0^GB6,5,1^FS^FO0,5^GB8,0,1^FS^FO1,0^GB2,1,1,W^FS^XZ"
    assert art(zpl(job)) == ["#..###..", "#....#..", "#....#..", "#....#..", "######..", "########"]


def test_zpl_quantity():
    assert len(sheets("zpl", b"^XA^PW8^LL2^FO0,0^GB1,1,1^FS^PQ3^XZ^XA^FO1,1^GB1,1,1^FS^XZ")) == 4
    assert sheets("zpl", b"^XA^MMT^XZ^XA^IDR:A.GRF^FS^XZ") == []


def test_zpl_text():
    job = "^XA^PW400^LL240^CI28^FO20,20^A0N,30,30^FDCafé^FS^FO20,60^FH^AAN,18,10^FD_41_c3_a9^FS^XZ".encode()
    sheet = zpl(job)
    assert sheet.text == ("Café", "Aé")
    black = [(x, y) for y, row in enumerate(rows(sheet)) for x, dot in enumerate(row) if dot == "1"]
    assert min(x for x, _ in black) >= 20
    assert min(y for _, y in black) >= 20
    block = zpl(b"^XA^PW400^LL240^FO0,0^A0N,20,20^FB400,2,0,R^FDone\\&two^FS^XZ")
    black = [(x, y) for y, row in enumerate(rows(block)) for x, dot in enumerate(row) if dot == "1"]
    assert min(x for x, _ in black) >= 360
    assert max(y for _, y in black) >= 20


def test_zpl_codes():
    draw = b"^FO0,0^BQN,2,5^FDMA,https://example.org^FS^FO0,200^BY2^BEN,10,N,N^FD400638133393^FS"
    sheet = zpl(b"^XA^PW576^LL240" + draw + b"^XZ")
    assert part(sheet, 0, 0, 125, 125) == part(escpos(QR, width=576), 0, 0, 125, 125)
    ean = escpos(b"\x1dh\x0a\x1dw\x02\x1dk\x02400638133393\x00", width=576)
    assert part(sheet, 0, 200, 190, 10) == part(ean, 0, 0, 190, 10)


def noise(width, height):
    image = Image.new("L", (width, height))
    image.putdata([(x * 37 + y * 91 + x * y) % 256 for y in range(height) for x in range(width)])
    return image.convert("1", dither=Image.Dither.NONE)


@pytest.mark.parametrize("form", ["ASCII", "B64", "Z64"])
@pytest.mark.parametrize("size", [(16, 16), (61, 40)])
def test_zpl_against_zebrafy(form, size):
    """Another's encoder and another's decoder."""
    from zebrafy import ZebrafyImage, ZebrafyZPL

    image = noise(*size)
    field = ZebrafyImage(image, format=form, complete_zpl=False).to_zpl()
    sheet = zpl(b"^XA^PW%d^LL%d^FO0,0" % size + field.encode("latin-1") + b"^FS^XZ")
    ours = Image.open(io.BytesIO(sheet.png())).convert("L")
    assert ours.tobytes() == image.convert("L").tobytes()
    (theirs,) = ZebrafyZPL(f"^XA{field}^FS^XZ").to_images()
    assert ours.tobytes() == theirs.convert("L").crop((0, 0, *size)).tobytes()


# -- EPL, CPCL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [b",", b"\n", b"\r\n"])
def test_epl(separator):
    head = b"\nN\nq40\nQ24,24\nS2\nD8\nZT\n"
    sheet = one("epl", head + b"GW3,2,2,16" + separator + INVERTED + b"\nP1\n")
    assert (sheet.width, sheet.height, sheet.unknown) == (40, 24, ())
    assert part(sheet, 3, 2) == MARK_ROWS
    assert len(sheets("epl", head + b"GW3,2,2,16," + INVERTED + b"P2,2\n")) == 4


def test_epl_lines_and_text():
    sheet = one("epl", b'\nN\nq400\nQ240,24\nR1,0\nLO20,50,300,3\nA20,100,0,3,1,1,N,"say \\"A\\", B"\nP1\n')
    assert part(sheet, 20, 49, 302, 5) == ["0" * 302] + ["0" + "1" * 300 + "0"] * 3 + ["0" * 302]
    assert sheet.text == ('say "A", B',)


@pytest.mark.parametrize("form", [b"EG 2 16 3 2 " + HEX.encode(), b"CG 2 16 3 2 " + MARK])
def test_cpcl(form):
    sheet = one("cpcl", b"! 0 200 200 24 1\r\nPAGE-WIDTH 40\r\n" + form + b"\r\nFORM\r\nPRINT\r\n")
    assert (sheet.width, sheet.height, sheet.unknown) == (40, 24, ())
    assert part(sheet, 3, 2) == MARK_ROWS
    centred = b"! 0 200 200 24 2\r\nPAGE-WIDTH 40\r\nCENTER\r\n" + form + b"\r\nPRINT\r\n"
    made = sheets("cpcl", centred)
    assert len(made) == 2
    assert part(made[0], 12, 2) == MARK_ROWS


def test_cpcl_lines_and_text():
    job = b"! 2 200 200 10 1\r\nPW 16\r\nLINE 0 0 5 0 2\r\nBOX 8 0 11 3 1\r\nTEXT 7 0 0 99 RAWPRINT TEST\r\nPRINT\r\n"
    sheet = one("cpcl", job)
    assert art(sheet)[:4] == ["..######..####..", "..######..#..#..", "..........#..#..", "..........####.."]
    assert sheet.text == ("RAWPRINT TEST",)


# -- a printer that stays on; hostile bytes ---------------------------------------------------------------------


def test_settings_stay():
    printer = printing("tspl")
    (first,) = printer.job(b"SIZE 8 dot,2 dot\r\nCLS\r\nPRINT 1\r\n")
    (second,) = printer.job(b"BAR 0,0,1,1\r\nPRINT 1\r\n")
    assert (first.width, first.height) == (second.width, second.height) == (8, 2)
    assert art(second) == ["#.......", "........"]


@pytest.mark.parametrize(
    ("dialect", "data"),
    [
        ("escpos", b"\x1dv0\x00\xff\xff\x01\x00" + bytes(65535)),
        ("escpos", raster(b"\x00" * 65535, 1, 65535) * 4),
        ("escpos", b"\x1b3\xff" + b"\n" * 1000),
        ("tspl", b"SIZE 9999 mm,30 mm\r\n"),
        ("tspl", b"SIZE 50 mm,99999 mm\r\n"),
        ("tspl", b"SIZE 50 mm,30 mm\r\nCLS\r\nPRINT 999999999\r\n"),
        ("tspl", b"BAR 0,0,9999999,9999999\r\n"),
        ("zpl", b"^XA^PW99999^XZ"),
        ("zpl", b"^XA^GFA,9999999,9999999,9999,^FS^XZ"),
        ("zpl", b"^XA^GB9999999,9999999,1^FS^XZ"),
        ("epl", b"q9999999\n"),
        ("cpcl", b"! 0 200 200 999999 1\r\n"),
    ],
)
def test_too_much(dialect, data):
    with pytest.raises(ValueError, match=r"printer|job"):
        sheets(dialect, data)


def test_a_deflated_bomb():
    text = base64.b64encode(zlib.compress(bytes(10_000_000)))
    body = b":Z64:%s:%04X" % (text, binascii.crc_hqx(text, 0))
    assert zpl(b"^XA^PW64^LL1^GFA,%d,8,8," % len(text) + body + b"^FS^XZ").height == 1


PIECES = {
    "escpos": [
        b"\x1d(L",
        b"0p0\x01\x011",
        b"02",
        b"\x1dv0\x00",
        b"\x1b*\x21",
        b"\x1dk",
        b"\x1d(k",
        b"1P0",
        b"1Q0",
        b"A\n",
    ]
    + [b"\x1b" + bytes([n]) for n in range(32, 128)]
    + [b"\x1d" + bytes([n]) for n in range(32, 128)]
    + [b"\x1c" + bytes([n]) for n in range(32, 128)],
    "star": [b"\x1b\x1dS\x01", b"\x1b*rA", b"\x1b*rB", b"b\x01\x00", b"\x1bX", b"\x1b\x1dy", b"\x1bb", b"\x1e", b"A\n"]
    + [b"\x1b" + bytes([n]) for n in range(128)]
    + [b"\x1b\x1d" + bytes([n]) for n in range(128)],
    "tspl": [
        *(
            word.encode() + b" "
            for word in ["SIZE", "DIRECTION", "REFERENCE", "CODEPAGE", "CLS", "PRINT", "PUTBMP", "BAR", "BOX", "CIRCLE"]
        ),
        *(
            word.encode() + b" "
            for word in ["ELLIPSE", "REVERSE", "ERASE", "TEXT", "BLOCK", "BARCODE", "QRCODE", "DMATRIX", "BITMAP"]
        ),
        *(
            b"\r\n",
            b",",
            b'"',
            b'"3"',
            b'"128"',
            b'"A"',
            b"1",
            b"20",
            b"-5",
            b"90",
            b" mm",
            b"M",
            b"A",
            b'DOWNLOAD "A",',
        ),
    ],
    "zpl": [
        *(
            f"^{word}".encode()
            for word in [
                "XA",
                "XZ",
                "PW",
                "LL",
                "LH",
                "FO",
                "FT",
                "FS",
                "FD",
                "FR",
                "FH",
                "FB",
                "A0",
                "AA",
                "CF",
                "BY",
                "BC",
                "BE",
                "B3",
                "BQ",
                "GB",
                "GC",
                "GE",
            ]
        ),
        *(f"^{word}".encode() for word in ["GFA", "GFB", "GFC", "XG", "ID", "PQ", "CI", "FW", "LR", "PM"]),
        *(
            b"~DG",
            b"~DY",
            b"R:A.GRF",
            b",",
            b"1",
            b"20",
            b"N",
            b"B",
            b"A",
            b"G",
            b":B64:",
            b":Z64:AAAA:0000",
            b"!",
            b"z",
        ),
    ],
    "epl": [
        *(b"N", b"q", b"Q", b"R", b"I8,", b"P", b"LO", b"LW", b"LE", b"X", b"A", b"B", b"b", b"GW"),
        *(b"\n", b",", b'"', b'"A"', b"1", b"20", b"3", b"Q", b"E30", b"\\"),
    ],
    "cpcl": [
        *(
            f"{word} ".encode()
            for word in [
                "PRINT",
                "PW",
                "EG",
                "CG",
                "LINE",
                "IL",
                "BOX",
                "T",
                "T90",
                "SETMAG",
                "BARCODE",
                "VB",
                "CENTER",
                "RIGHT",
            ]
        ),
        *(b"! 0 200 200 50 1", b"\r\n", b" ", b"QR", b"128", b"1 ", b"20 ", b"FF", b"ENDQR", b"MA,x"),
    ],
}


@pytest.mark.parametrize("dialect", LANGUAGES)
def test_whatever_comes(dialect):
    piece = st.one_of(st.sampled_from(PIECES[dialect]), st.binary(max_size=4))

    @settings(max_examples=150, deadline=None)
    @given(st.lists(piece, max_size=25).map(b"".join))
    def try_out(data):
        try:
            made = sheets(dialect, data, width=64)
        except ValueError:
            return
        for sheet in made:
            assert len(sheet.data) == (sheet.width + 7) // 8 * sheet.height
            assert sheet.height > 0

    try_out()


# -- simulate --output ------------------------------------------------------------------------------------------


def test_tickets_as_pictures(tmp_path):
    import socket

    with Listener(device("tspl"), output_dir=tmp_path) as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=3) as sock:
            sock.sendall(b"SIZE 16 dot,16 dot\r\nCLS\r\nBITMAP 0,0,2,16,0," + INVERTED + b"\r\nPRINT 2\r\n")
            sock.sendall(b"CLS\r\nPRINT 1\r\nBAR 0,0,99999,99999\r\nBAR 0,0,9999999,9999999\r\nPRINT 1\r\n")
            assert listener.wait(lambda dev: dev.tickets == 3, 3)
        listener.reset()
        with socket.create_connection(("127.0.0.1", listener.port), timeout=3) as sock:
            sock.sendall(b"BAR 0,0,2,5\r\nPRINT 1\r\n")
            assert listener.wait(lambda dev: dev.tickets == 1, 3)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"ticket-000{n}.png" for n in (1, 2, 4)]
    assert sorted(path.name for path in tmp_path.glob("ticket*.bin")) == [f"ticket-000{n}.bin" for n in (1, 2, 3, 4)]
    with Image.open(tmp_path / "ticket-0001.png") as image:
        assert image.convert("L").tobytes() == MARK_PIXELS
    with Image.open(tmp_path / "ticket-0004.png") as image:
        assert image.size == (832, 5)
