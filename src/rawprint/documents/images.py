"""Images become `Dots`: read, turned, scaled to the paper and dithered."""

from __future__ import annotations

import os
import warnings
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Literal, TypeAlias

from rawprint.documents.dots import Dots
from rawprint.errors import BackendMissing, DocumentError, DocumentTooLarge

if TYPE_CHECKING:
    from PIL.Image import Image

    from rawprint.documents.paper import Paper

Fit = Literal["shrink", "fit", "none"]
Dither = Literal["floyd-steinberg", "ordered", "threshold"]
Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | Image"

MAX_PIXELS = 64_000_000
"""Pixels of an image before it is scaled: A4 at 600 dpi has 35 million."""

MAX_FILE = 64 * 1024 * 1024
"""Bytes of a file that is read."""

MAX_ROWS = 100_000
"""Rows of dots that come out: 12 m of receipt."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
"""Pillow has others; these are what people have, and each more is code for somebody's hostile bytes."""

_HINT = f"These are read: {', '.join(FORMATS)}."

_ORIENTATION = 0x0112  # EXIF

# Bayer's matrix of 8 x 8: each number of 0 to 63 stands once, far from its neighbours.
_BAYER = (
    (0, 32, 8, 40, 2, 34, 10, 42),
    (48, 16, 56, 24, 50, 18, 58, 26),
    (12, 44, 4, 36, 14, 46, 6, 38),
    (60, 28, 52, 20, 62, 30, 54, 22),
    (3, 35, 11, 43, 1, 33, 9, 41),
    (51, 19, 59, 27, 49, 17, 57, 25),
    (15, 47, 7, 39, 13, 45, 5, 37),
    (63, 31, 55, 23, 61, 29, 53, 21),
)


def image(
    source: Source,
    paper: Paper,
    *,
    fit: Fit = "shrink",
    width_mm: float | None = None,
    rotate: Literal[0, 90, 180, 270] = 0,
    dither: Dither = "floyd-steinberg",
    threshold: int = 128,
    invert: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Dots:
    """An image as dots of a printer.

    What is transparent is white. An orientation that a camera wrote into the file (EXIF) is heeded. Of an animation the first
    picture is taken.

    Args:
        source: The bytes of a file (PNG, JPEG, GIF, BMP, WEBP, TIFF), its path, or a Pillow image.
        paper: What it is printed on.
        fit: "shrink": dot for dot, and smaller where it is too wide (or too high for the label); "fit": as large as fits; "none": dot for dot.
        width_mm: Its width on paper, millimetres; goes before `fit`.
        rotate: Degrees clockwise, before it is scaled.
        dither: How grey becomes black and white: "floyd-steinberg" for photographs, "ordered" for even grey, "threshold" for line art, text
            and codes.
        threshold: With "threshold": grey below it is black, 1 to 255.
        invert: White on black.
        max_pixels: Before it is scaled.

    Raises:
        DocumentError: It is no such image, it is broken, or with "none" and `width_mm` it is wider than the paper.
        DocumentTooLarge: It has more than `max_pixels`, or becomes more than `MAX_ROWS` rows.
        BackendMissing: Pillow is not there.
    """
    opened = _open(source, max_pixels)
    try:
        grey = _grey(opened)
    except MemoryError as error:
        raise DocumentTooLarge("the image needs more memory than there is", hint="Make it smaller.") from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead to
        raise _broken(error) from error
    return from_grey(
        grey, paper, fit=fit, width_mm=width_mm, rotate=rotate, dither=dither, threshold=threshold, invert=invert
    )


def from_grey(
    grey: Image,
    paper: Paper,
    *,
    fit: Fit = "shrink",
    width_mm: float | None = None,
    rotate: int = 0,
    dither: Dither = "floyd-steinberg",
    threshold: int = 128,
    invert: bool = False,
) -> Dots:
    """A Pillow image of mode "L" or "1" as dots; see `image`."""
    from PIL import Image, ImageChops  # noqa: PLC0415

    if rotate:
        turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
        if rotate not in turns:
            raise DocumentError(f"an image cannot be turned by {rotate} degrees", hint="Turn it by 90, 180 or 270.")
        grey = grey.transpose(turns[rotate])
    size = scaled_size(grey.size, paper, fit, width_mm)
    if size != grey.size:
        grey = grey.convert("L").resize(size, Image.Resampling.LANCZOS)
    if invert:
        grey = ImageChops.invert(grey.convert("L"))
    return to_dots(grey, dither, threshold)


def to_dots(grey: Image, dither: Dither, threshold: int = 128) -> Dots:
    """A Pillow image of mode "L" or "1" in black and white, dot for dot."""
    if grey.mode == "1":
        return Dots.of(grey)
    match dither:
        case "floyd-steinberg":
            return Dots.of(grey.convert("1"))
        case "threshold":
            if not 1 <= threshold <= 255:
                raise DocumentError("a threshold is a grey from 1 to 255")
            return Dots.of(grey.point(_steps(threshold), "1"))
        case "ordered":
            return Dots.of(_ordered(grey))
    raise DocumentError(f"no way of dithering {dither!r}", hint="There are floyd-steinberg, ordered and threshold.")


@cache
def _steps(threshold: int) -> list[int]:
    return [0] * threshold + [255] * (256 - threshold)


def _ordered(grey: Image) -> Image:
    """Each dot against its own threshold, of a matrix that covers the image like tiles."""
    from PIL import Image, ImageChops  # noqa: PLC0415

    tile = Image.frombytes("L", (8, 8), bytes(4 * each + 2 for row in _BAYER for each in row))
    width, height = grey.size
    row = Image.new("L", (width, 8))
    for left in range(0, width, 8):
        row.paste(tile, (left, 0))
    tiles = Image.new("L", (width, height))
    for top in range(0, height, 8):
        tiles.paste(row, (0, top))
    return ImageChops.subtract(grey, tiles).point(_steps(1), "1")


def _open(source: Source, max_pixels: int) -> Image:
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415
    except ImportError as error:
        raise BackendMissing("images need Pillow", hint="pip install pillow") from error

    if isinstance(source, Image.Image):
        opened = source
    else:
        file = BytesIO(source if isinstance(source, (bytes, bytearray, memoryview)) else read_file(source))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is asked below
                opened = Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise DocumentTooLarge(f"the image is too large: {error}", hint="Make it smaller.") from error
        except UnidentifiedImageError as error:
            raise DocumentError("that is no image that can be read", hint=_HINT) from error
        except MemoryError as error:
            raise DocumentTooLarge("the image needs more memory than there is", hint="Make it smaller.") from error
        except Exception as error:  # as above
            raise _broken(error) from error
    width, height = opened.size
    if not (width and height):
        raise DocumentError("the image is empty")
    if width * height > max_pixels:  # of the header: nothing is decoded yet
        raise DocumentTooLarge(
            f"the image has {width} x {height} pixels, and {max_pixels:,} are taken", hint="Make it smaller."
        )
    return opened


def _broken(error: Exception) -> DocumentError:
    return DocumentError(f"the image is broken: {error}"[:300], hint="Save it once more, as a PNG.")


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes.

    Raises:
        DocumentError: It cannot be read.
        DocumentTooLarge: It has more than `MAX_FILE`.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path of any kind
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise DocumentError(f"cannot read {os.fspath(path)}: {error.strerror or error}", hint="Name a file.") from error
    if len(data) > MAX_FILE:
        raise DocumentTooLarge(f"{os.fspath(path)} has more than {MAX_FILE:,} bytes")
    return data


def _grey(opened: Image) -> Image:
    """Decoded, upright, on white, in grey; black and white stays that."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    if opened.format in {"JPEG", "PNG", "WEBP", "TIFF"}:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF data, which is then not heeded
            if opened.getexif().get(_ORIENTATION, 1) != 1:
                opened = ImageOps.exif_transpose(opened)
    mode = opened.mode
    if mode in {"1", "L"} and "transparency" not in opened.info:
        opened.load()
        return opened
    if "A" in mode or "a" in mode or "transparency" in opened.info:
        coloured = (opened.convert("LA") if mode == "La" else opened).convert(
            "RGBA"
        )  # Pillow has no way straight there
        white = Image.new("L", coloured.size, 255)
        white.paste(coloured.convert("L"), mask=coloured.getchannel("A"))
        return white
    if mode.startswith("I;16") or mode == "I":  # 16 bits of grey
        return opened.convert("I").point(lambda value: value / 256).convert("L")
    return opened.convert("L")


def scaled_size(
    size: tuple[float, float], paper: Paper, fit: Fit, width_mm: float | None, *, what: str = "image"
) -> tuple[int, int]:
    """What an image (or what it is called in errors) of that size becomes on the paper, dots.

    Raises:
        DocumentError: That is wider than the paper, or there is no such way to fit it.
        DocumentTooLarge: It becomes more than `MAX_ROWS` rows.
    """
    width, height = size
    if width_mm is not None:
        if not 0 < width_mm < 10_000:
            raise DocumentError(f"the {what} cannot be {width_mm} mm wide", hint="Name its width on paper.")
        wanted = paper.dots(width_mm)
        scaled = wanted, max(1, round(height * wanted / width))
    elif fit == "none":
        scaled = max(1, round(width)), max(1, round(height))
    elif fit in {"fit", "shrink"}:
        factor = min(paper.width / width, paper.height / height) if paper.height else paper.width / width
        if fit == "shrink":
            factor = min(factor, 1.0)
        scaled = max(1, min(round(width * factor), paper.width)), max(1, round(height * factor))
    else:
        raise DocumentError(f"no way to fit {fit!r}", hint="There are shrink, fit and none.")
    if scaled[0] > paper.width:
        raise DocumentError(
            f"the {what} is {scaled[0]} dots wide, and the paper {paper.width}",
            hint='Have it scaled (fit = "shrink"), or name the width of the paper.',
        )
    if scaled[1] > MAX_ROWS:
        raise DocumentTooLarge(f"the {what} becomes {scaled[1]} rows of dots, and {MAX_ROWS:,} are taken")
    return scaled
