"""The blocks of a ticket: what a receipt or a label is made of, one under the other."""

from __future__ import annotations

import re
from collections.abc import Iterable  # noqa: TC003 - msgspec reads the annotations
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from rawprint.errors import DocumentError, DocumentTooLarge

MAX_BLOCKS = 2000
"""Blocks of a ticket: a receipt of about 7 m."""

MAX_TEXT = 2000
"""Characters of one block, and of one cell."""

MAX_CELLS = 12
"""Cells next to each other."""

MAX_IMAGE = 8 * 1024 * 1024
"""Bytes of an image's file, and of all files of a ticket."""

MAX_PICTURES = 100
"""Images, barcodes and QR codes of a ticket: each costs up to a second."""

Align: TypeAlias = Literal["start", "left", "center", "right"]
"""Where something stands; "start" is the side at which its text begins: the right one for Arabic and Hebrew."""

Kind: TypeAlias = Literal["ean13", "ean8", "upca", "upce", "code39", "itf", "codabar", "code93", "code128"]

_Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]
_Height: TypeAlias = Annotated[float, Meta(ge=1, le=100)]


class Heading(Struct, frozen=True, tag="heading", forbid_unknown_fields=True):
    """A heading: level 1 twice as wide and high, level 2 twice as high, both centred; level 3 like text; all of them bold."""

    text: _Text
    level: Annotated[int, Meta(ge=1, le=3)] = 1


class Text(Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """Text, broken into lines where it is too long.

    Attributes:
        text: A line feed begins a new line.
        align: Where its lines stand.
        bold: Thick.
        underline: With a line under it.
        size: So many times as wide and high, or (width, height), each 1 to 8.
    """

    text: _Text
    align: Align = "start"
    bold: bool = False
    underline: bool = False
    # No bounds in the types: where a bounded int and a tuple are both possible, msgspec 0.22 breaks the garbage collector.
    size: int | tuple[int, int] = 1


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    """One cell of a row.

    Attributes:
        text: A line feed begins a new line.
        align: Where its lines stand in its column.
        width: Of its column, in characters; None: as wide as the column's longest cell.
        share: The column has so many shares of what the others leave; None: see `Columns`.
        bold: Thick.
    """

    text: _Text
    align: Align = "start"
    width: Annotated[int, Meta(ge=1, le=400)] | None = None
    share: Annotated[int, Meta(ge=1, le=100)] | None = None
    bold: bool = False


class Columns(Struct, frozen=True, tag="columns", forbid_unknown_fields=True):
    """A row of cells, one blank character between two.

    Rows with equally many cells that follow each other are one table: its columns stand below each other. What its widest cells leave
    of the paper goes to the columns with shares, or else to the widest column without a width.
    """

    cells: Annotated[tuple[Cell, ...], Meta(min_length=1, max_length=MAX_CELLS)]


class Line(Struct, frozen=True, tag="line", forbid_unknown_fields=True):
    """A line across the paper."""

    style: Literal["solid", "dashed", "double"] = "solid"


class Image(Struct, frozen=True, tag="image", forbid_unknown_fields=True):
    """An image: a PNG, JPEG, GIF, BMP, WEBP or TIFF.

    Attributes:
        name: Its name among the images that are given with the ticket; "": it is in `data`.
        data: The file's bytes; base64 in JSON.
        width_mm: Its width on paper; None: dot for dot, and smaller where it is too wide.
        align: Where it stands.
        dither: How grey becomes black and white; see `rawprint.documents.image`.
    """

    name: Annotated[str, Meta(max_length=100)] = ""
    data: Annotated[bytes, Meta(max_length=MAX_IMAGE)] = b""
    width_mm: Annotated[float, Meta(ge=1, le=400)] | None = None
    align: Align = "center"
    dither: Literal["floyd-steinberg", "ordered", "threshold"] = "floyd-steinberg"


class Barcode(Struct, frozen=True, tag="barcode", forbid_unknown_fields=True):
    """A barcode, as wide as its data needs: its thinnest bar is 0.375 mm, or 0.25 mm where the paper is narrow.

    Attributes:
        data: What it says. The check digit of EAN and UPC may be left out.
        kind: Its symbology.
        height_mm: Height of its bars.
        text: Whether what it says stands under it.
        align: Where it stands.
    """

    data: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: Kind = "code128"
    height_mm: _Height = 10.0
    text: bool = True
    align: Align = "center"


class Qr(Struct, frozen=True, tag="qr", forbid_unknown_fields=True):
    """A QR code.

    Attributes:
        data: What it says, 2,900 bytes of UTF-8 at most.
        size: Dots of one module, 1 to 32; None: about 30 mm in all, and less where the paper is narrow.
        level: How much of it may be damaged: L 7 %, M 15 %, Q 25 %, H 30 %.
        align: Where it stands.
    """

    data: Annotated[str, Meta(min_length=1, max_length=2900)]
    size: Annotated[int, Meta(ge=1, le=32)] | None = None
    level: Literal["L", "M", "Q", "H"] = "M"
    align: Align = "center"


class Space(Struct, frozen=True, tag="space", forbid_unknown_fields=True):
    """White: so many lines, or millimetres where they are given; without both one line."""

    lines: Annotated[int, Meta(ge=1, le=100)] | None = None
    mm: Annotated[float, Meta(ge=0.1, le=400)] | None = None


class Cut(Struct, frozen=True, tag="cut", forbid_unknown_fields=True):
    """The paper is cut here. A label is cut behind its end."""

    kind: Literal["partial", "full"] = "partial"


class Drawer(Struct, frozen=True, tag="drawer", forbid_unknown_fields=True):
    """The cash drawer opens; `pin` is that of its connector. Label printers have none."""

    pin: Literal[2, 5] = 2


Block: TypeAlias = Heading | Text | Columns | Line | Image | Barcode | Qr | Space | Cut | Drawer
"""Any of them; in JSON `{"type": "text", "text": "…"}`."""

# What a control character of a text would do in a printer is not for a text to say; half a surrogate pair is no character.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


def checked(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The same blocks, of which all that they promise is true.

    Blocks that came as JSON have their lengths and values checked already; those made in Python have not.

    Raises:
        DocumentError: One of them is not; the message names it, counted from 1.
        DocumentTooLarge: There are more than `MAX_BLOCKS` or `MAX_PICTURES`, or the images have more than `MAX_IMAGE` bytes.
    """
    given, images, pictures = [], 0, 0
    for number, block in enumerate(blocks, 1):
        if number > MAX_BLOCKS:
            raise DocumentTooLarge(f"a ticket has {MAX_BLOCKS:,} blocks at most", hint="Print two.")
        if not isinstance(block, Block):
            raise DocumentError(f"block {number} is no block", hint="Use Text, Columns, Qr and the others.")
        try:
            plain = msgspec.to_builtins(block, builtin_types=(bytes,))
            block = msgspec.convert(plain, type(block), builtin_types=(bytes,))
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            hint = "Shorten it, or take two." if "length" in str(error) else "Correct it."
            raise DocumentError(f"block {number}, {_name(block)}: {_plainly(str(error))}", hint=hint) from error
        problem = find_problem(block)
        if problem:
            raise DocumentError(f"block {number}, {_name(block)}: {problem[0]}", hint=problem[1])
        pictures += isinstance(block, Image | Barcode | Qr)
        if pictures > MAX_PICTURES:
            raise DocumentTooLarge(f"a ticket has {MAX_PICTURES} images and codes at most", hint="Print two.")
        if isinstance(block, Image):
            images += len(block.data)
            if images > MAX_IMAGE:
                raise DocumentTooLarge(f"the images of a ticket have {MAX_IMAGE:,} bytes at most")
        given.append(block)
    return tuple(given)


def _plainly(message: str) -> str:
    """What msgspec says of a bound, as people say it."""
    found = re.fullmatch(r"Expected `(\w+)` (of length )?(<=|>=) (\S+) - at `\$\.?(.*)`", message)
    if found is None:
        return message[:300]
    kind, length, side, bound, place = found.groups()
    least = "at most" if side == "<=" else "at least"
    if kind == "array":
        place = f"number of {place}"
    what = {"str": " characters", "bytes": " bytes"}.get(kind, "") if length else ""
    return f"its {place} is {least} {bound}{what}"


def find_problem(block: Block) -> tuple[str, str] | None:
    """What is wrong with a block that no single field says, and how to mend it."""
    for text in texts_of(block):
        found = _UNPRINTABLE.search(text)
        if found and found[0] == "\t":
            return "it has a tabulator", "Use columns: | left |> right |."
        if found:
            return f"it has the control character U+{ord(found[0]):04X}", "Take it out; a line feed begins a new line."
    match block:
        case Text(size=size) if not all(1 <= times <= 8 for times in (size if isinstance(size, tuple) else (size,))):
            return f"a size of {size} is not possible", "Sizes are 1 to 8."
        case Image(name="", data=b""):
            return "it has neither a name nor data", "Give it one."
        case Image(name=name, data=data) if name and data:
            return "it has both a name and data", "Give it one."
        case Space(lines=lines, mm=mm) if lines is not None and mm is not None:
            return "it has both lines and millimetres", "Give it one."
        case Barcode(data=data) if not (data.isascii() and data.isprintable()):
            return "barcodes have letters, digits and signs of ASCII alone", "Use a QR code for other characters."
        case Qr(data=data) if len(data.encode("utf-8", "replace")) > 2900:
            return "it has more than 2,900 bytes", "Shorten it."
    return None


def texts_of(block: Block) -> list[str]:
    """The texts that a block prints as text."""
    match block:
        case Heading(text=text) | Text(text=text):
            return [text]
        case Columns(cells=cells):
            return [cell.text for cell in cells]
        case Qr(data=data):
            return [re.sub(r"[\n\t]", "", data)]  # a code may hold several lines, a contact's card for example
        case Image(name=name):
            return [name.replace("\n", "\0")]
    return []


def _name(block: Block) -> str:
    return type(block).__name__.lower()
