"""What a picture costs on its way to the printer's language, over the least that Pillow needs for black and white dots."""

from __future__ import annotations

from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING

from pairs import Row, alternate, compare
from PIL import Image, ImageDraw, ImageFont

from rawprint.documents import Paper, image, print_image
from rawprint.documents.languages.zpl import graphic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DITHERED_LIMIT = 1.10
THRESHOLD_LIMIT = 0.85
Z64_LIMIT = 1.0
Z64_BYTES_LIMIT = 0.25  # of the hexadecimal ones
PEER_LIMIT = 1 / 1.8

SIZES = {"escpos": (576, 2000), "tspl": (812, 1218), "zpl": (812, 1218)}
_NOTE = "PNG bytes to a whole job, over Pillow's open, convert('1') and tobytes() of the same"


def page(width: int, height: int) -> bytes:
    """A receipt or label as a designer exports it: a shaded logo, text, bars; colours, PNG."""
    drawn = Image.new("RGB", (width, height), "white")
    logo = Image.linear_gradient("L").resize((width // 2, height // 8))
    drawn.paste(Image.merge("RGB", (logo, logo.rotate(180), logo)), (width // 4, 20))
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(26)
    for at, top in enumerate(range(height // 8 + 40, height - 240, 34)):
        pen.text((20, top), f"{at:03} Espresso doppio, oat milk", "black", font)
        pen.text((width - 120, top), f"{at * 1.37:.2f}", "#222222", font)
    for left in range(40, width - 40, 7):
        pen.rectangle((left, height - 200, left + left * 31 % 5, height - 60), "black")
    file = BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    def way() -> float:
        begin = perf_counter()
        work()
        return (perf_counter() - begin) * 1e6

    return way


def _floor(png: bytes) -> bytes:
    return Image.open(BytesIO(png)).convert("1").tobytes()


def pictures(rounds: int) -> Iterator[Row]:
    """Each language, dithered and thresholded."""
    count = max(rounds // 25, 8)
    for dialect, size in SIZES.items():
        png = page(*size)
        paper = Paper.of(dialect, width_mm=80 if dialect == "escpos" else 101.5)
        for dither, limit in (("floyd-steinberg", DITHERED_LIMIT), ("threshold", THRESHOLD_LIMIT)):
            ours = _timed(lambda: print_image(png, paper, dither=dither))  # noqa: B023 - called before it changes
            blocks = [alternate(_timed(lambda: _floor(png)), ours, count) for _ in range(4)]  # noqa: B023
            name = f"image, {dialect}, {size[0]} x {size[1]}, {dither}"
            yield compare(name, "us", "ratio", blocks, limit=limit, note=_NOTE)
    yield from _compressed(count)
    yield from _beside_python_escpos(count)


def _compressed(count: int) -> Iterator[Row]:
    size = SIZES["zpl"]
    png, paper = page(*size), Paper.of("zpl", width_mm=101.5)
    for dither, limit in (("threshold", Z64_LIMIT), ("floyd-steinberg", None)):
        ours = _timed(lambda: graphic(image(png, paper, dither=dither), "z64"))  # noqa: B023
        blocks = [alternate(_timed(lambda: _floor(png)), ours, count) for _ in range(4)]
        yield compare(f"image, zpl :Z64:, {dither}", "us", "ratio", blocks, limit=limit, note=_NOTE)
        dots = image(png, paper, dither=dither)
        z64, plain = len(graphic(dots, "z64")), len(graphic(dots, "none"))
        row = Row(f"bytes of :Z64: over hexadecimal, {dither}", "B", "ratio", z64, plain, z64 / plain, limit=None)
        row.limit = Z64_BYTES_LIMIT if limit else None
        row.note = "the same page in black and white"
        yield row


def _beside_python_escpos(count: int) -> Iterator[Row]:
    from escpos.printer import Dummy  # noqa: PLC0415 - 200 ms

    png, paper = page(*SIZES["escpos"]), Paper.of("escpos", width_mm=80)
    peer = Dummy()

    def theirs() -> None:
        peer.image(Image.open(BytesIO(png)), center=False)
        peer.clear()

    blocks = [alternate(_timed(theirs), _timed(lambda: print_image(png, paper)), count) for _ in range(4)]
    note = "python-escpos 3.1's image() of the same bytes"
    yield compare("image, over python-escpos", "us", "ratio", blocks, limit=PEER_LIMIT, note=note)
