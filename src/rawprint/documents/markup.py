r"""Tickets as text: one line is one block, and what is wrong is told with its line and column.

    # Café Zürich                    heading; ## and ### are smaller
    ^ Bahnhofstrasse 1               centred; > right, < left
                                     an empty line is an empty line
    | 2 | Cappuccino |> 9.00 |       columns; marks stand at a cell's beginning
    ---                              a line across; - - - dashed, === double
    ^ @2 **Total 9.00**              @2 twice as large, @2x1 only wider; **bold**, __underlined__
    [qr https://example.com/812]     a command stands alone on its line
    [cut]

The grammar; a `text` is the rest of the line:

    line      = empty | heading | row | rule | command | [place " "] ["@" size " "] text
    heading   = "#" | "##" | "###", then " " text
    row       = "|" cell "|" cell … "|"           the last "|" may be missing; white space around a cell's text is not printed
    cell      = [place] [":" [width] ["*" share] " "] text    width in characters; shares of what the widths leave
    place     = "^" centre | ">" right | "<" left; without it at the side where the text begins
    size      = times | wide "x" high             1 to 8
    text      = "**" text "**" bold | "__" text "__" underlined (not in cells and headings) | characters
    rule      = "---" solid | "- - -" dashed | "===" double, each as long as you like
    command   = "[" name {option "=" value} data "]"

    [image NAME]            width=MM align=left|center|right|start dither=floyd-steinberg|ordered|threshold
                            NAME is one of the images that are given with the ticket, or "base64:" with the file itself
    [barcode KIND DATA]     height=MM text=yes|no align=…; KIND: ean13 ean8 upca upce code39 itf codabar code93 code128
    [qr DATA]               size=DOTS level=L|M|Q|H align=…
    [space] [space 3] [space 5mm]       one line, lines, millimetres
    [cut] [cut full]        [drawer] [drawer 5]

A backslash takes a sign's meaning away: `\#`, `\|`, `\[`, `\\`; and `\n` begins a new line in a text. `escape` does so for a text from
elsewhere. Outside columns a mark without the blank behind it is text: `#42`, `<3`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from rawprint.documents.blocks import (
    MAX_BLOCKS,
    MAX_CELLS,
    Barcode,
    Block,
    Cell,
    Columns,
    Cut,
    Drawer,
    Heading,
    Image,
    Kind,
    Line,
    Qr,
    Space,
    Text,
    checked,
)
from rawprint.errors import DocumentError, DocumentTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_MARKUP = 16 * 1024 * 1024
"""Characters of a ticket's markup; an image in it counts, too."""

_PLACES = {"": "start", "^": "center", ">": "right", "<": "left"}
_MARKS = {place: mark for mark, place in _PLACES.items()}
_RULES = {"solid": "---", "dashed": "- - -", "double": "==="}

_LITERAL = "\0"  # stands for an escaped character where meanings are looked for; no text may hold it
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_LINE = re.compile(r"(?:([<^>]) )?(?:@(\d+)(?:x(\d+))? )?")
_CELL = re.compile(r"([<^>]?)(?::(?=[\d*])(\d+)?(?:\*(\d+))?(?: |$))?")
_NAME = re.compile(r"\[([a-z]+)(?: +|(?=\]))")
_OPTION = re.compile(r"([a-z]+)=(\S+)(?: +|$)")
_NEW_LINE = r"\n"
_SPECIAL = "\\#^<>:@|[]*_-= \ufeff"


class _At:
    """A piece of a line: its text, the same with escaped characters hidden, and the columns that they stand in."""

    __slots__ = ("columns", "line", "mask", "text")

    def __init__(self, text: str, mask: str, columns: list[int], line: int) -> None:
        # One column more than characters: that of what follows them.
        self.text, self.mask, self.columns, self.line = text, mask, columns, line

    def __getitem__(self, part: slice) -> _At:
        start, stop, _ = part.indices(len(self.text))
        stop = max(start, stop)
        return _At(self.text[start:stop], self.mask[start:stop], self.columns[start : stop + 1], self.line)

    def stripped(self) -> _At:
        """Without the blanks around it that are not escaped."""
        left = len(self.mask) - len(self.mask.lstrip(" "))
        right = len(self.mask.rstrip(" "))
        return self[left : max(left, right)]

    def fail(self, message: str, hint: str, at: int = 0) -> NoReturn:
        column = self.columns[min(at, len(self.columns) - 1)]
        raise DocumentError(f"line {self.line}, column {column}: {message}", hint=hint)


def parse_markup(text: str) -> list[Block]:
    """The blocks that a markup stands for; its grammar is above.

    Raises:
        DocumentError: It is none; the message begins with the line and the column, both counted from 1.
        DocumentTooLarge: It is longer than `MAX_MARKUP`, or has more blocks than a ticket may have.
    """
    if len(text) > MAX_MARKUP:
        raise DocumentTooLarge(f"a ticket's markup has {MAX_MARKUP:,} characters at most")
    lines = text.removeprefix("\ufeff").split("\n")
    if not lines[-1]:
        del lines[-1]
    if len(lines) > MAX_BLOCKS:
        raise DocumentTooLarge(f"a ticket has {MAX_BLOCKS:,} lines at most", hint="Print two.")
    blocks: list[Block] = []
    for number, line in enumerate(lines, 1):
        piece = _read(line.removesuffix("\r"), number)
        block = _block(piece)
        try:
            blocks.extend(checked([block]))
        except DocumentTooLarge:
            raise
        except DocumentError as error:
            what = str(error).partition(": ")[2] or str(error)
            piece.fail(what, error.hint or "Shorten it.")
    return list(checked(blocks))


def escape(text: str) -> str:
    """A text as it stands in a markup so that nothing in it has a meaning; for names and prices that come from elsewhere.

    f"| {escape(name)} |> {escape(price)} |"
    """
    return "".join("\\n" if each == "\n" else f"\\{each}" if each in _SPECIAL else each for each in text)


def format_markup(blocks: Iterable[Block]) -> str:
    """The markup of blocks; `parse_markup` gives the same blocks again.

    Raises:
        DocumentError: They are no blocks of a ticket.
    """
    return "".join(_formatted(block) + "\n" for block in checked(blocks))


def _read(line: str, number: int) -> _At:
    text, mask, columns, at = [], [], [], 0
    if "\\" not in line:
        return _At(line, line, list(range(1, len(line) + 2)), number)
    while at < len(line):
        found = _ESCAPED.match(line, at)
        if found is None:
            text.append(line[at])
            mask.append(line[at])
        else:
            character = found[1]
            if not character or (character.isalnum() and character != "n"):
                _At("", "", [at + 1], number).fail(f"{found[0]} means nothing", r"Write \\ for a backslash.")
            text.append("\n" if character == "n" else character)
            mask.append(_LITERAL)
        columns.append(at + 1)
        at += len(found[0]) if found else 1
    return _At("".join(text), "".join(mask), [*columns, at + 1], number)


def _block(line: _At) -> Block:
    mask = line.mask
    if mask.startswith("["):
        return _command(line)
    if mask.startswith("|"):
        return _row(line)
    found = re.match(r"(#+) ", mask)
    if found:
        if len(found[1]) > 3:
            line.fail("there are three levels of headings", r"Write #, ## or ###; \# prints the sign.", 3)
        return Heading(line.text[found.end() :], len(found[1]))
    if re.fullmatch(r"-{3,} *", mask):
        return Line("solid")
    if re.fullmatch(r"={3,} *", mask):
        return Line("double")
    if re.fullmatch(r"(- ){2,}-? *", mask):
        return Line("dashed")
    found = _LINE.match(mask)
    place, wide, high = found.groups() if found else (None, None, None)
    for times in (wide, high):
        if times is not None and not (times.isascii() and 1 <= int(times[:3]) <= 8):
            line.fail(f"a size of {times} is not possible", "Sizes are 1 to 8: @2 or @2x1.", mask.index("@"))
    body = line[found.end() if found else 0 :]
    bold, body = _inside(body, "**")
    underline, body = _inside(body, "__")
    size: int | tuple[int, int] = 1
    if wide is not None:
        size = (int(wide), int(high)) if high is not None else int(wide)
    return Text(body.text, _place(place), bold, underline, size)


def _inside(piece: _At, mark: str) -> tuple[bool, _At]:
    """Whether the mark stands at both ends, and what stands between."""
    if len(piece.mask) >= 2 * len(mark) and piece.mask.startswith(mark) and piece.mask.endswith(mark):
        return True, piece[len(mark) : -len(mark)]
    return False, piece


def _place(mark: str | None) -> Any:
    return _PLACES[mark or ""]


def _row(line: _At) -> Columns:
    mask = line.mask.rstrip(" ")
    if mask.endswith("|") and len(mask) > 1:
        mask = mask[:-1]
    cells, start = [], 1
    for end in [*(found.start() for found in re.finditer(r"\|", mask) if found.start()), len(mask)]:
        cells.append(_cell(line[start:end].stripped()))
        if len(cells) > MAX_CELLS:
            line.fail(f"a row has {MAX_CELLS} cells at most", r"Write \| to print the sign.", end - 1)
        start = end + 1
    return Columns(tuple(cells))


def _cell(piece: _At) -> Cell:
    found = _CELL.match(piece.mask)
    place, width, share = found.groups() if found else (None, None, None)
    for number, most in ((width, 400), (share, 100)):
        if number is not None and not (number.isascii() and len(number) < 5 and 1 <= int(number) <= most):
            piece.fail(
                f"a column cannot have {number[:20]}",
                "A width is 1 to 400 characters, a share 1 to 100.",
                piece.mask.index(":"),
            )
    bold, body = _inside(piece[found.end() if found else 0 :].stripped(), "**")
    return Cell(body.text, _place(place), int(width) if width else None, int(share) if share else None, bold)


def _command(line: _At) -> Block:
    end = len(line.mask.rstrip(" "))
    if not line.mask[:end].endswith("]"):
        line.fail(
            "the ] that closes the [ is missing", r"Write ] at the end of the line, or \[ to print the sign.", end - 1
        )
    found = _NAME.match(line.mask)
    if found is None or found[1] not in _COMMANDS:
        line.fail(
            f"there is no command {line.text[1 : end - 1].split(' ')[0][:20]!r}",
            rf"There are {', '.join(_COMMANDS)}; \[ prints the sign.",
            1,
        )
    return _COMMANDS[found[1]](line[found.end() : end - 1].stripped())


def _options(piece: _At, **known: Callable[[str], Any]) -> tuple[dict[str, Any], _At]:
    """The options that stand first, and what is left."""
    options: dict[str, Any] = {}
    while found := _OPTION.match(piece.mask):
        name = found[1]
        if name not in known:
            break
        value = piece.text[found.start(2) : found.end(2)]
        try:
            if name in options:
                raise ValueError("it stands there twice")
            options[name] = known[name](value)
        except ValueError as error:
            piece.fail(f"{name}={value[:20]} is not possible: {error}", "Correct it, or leave it out.", found.start(2))
        piece = piece[found.end() :]
    return options, piece


def _number(value: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,20})?", value, re.ASCII):
        raise ValueError("that is no number")
    return float(value)


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII):
        raise ValueError("that is no whole number")
    return int(value)


def _one_of(*values: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in values:
            raise ValueError(f"there are {', '.join(values)}")
        return value

    return read


_align = _one_of(*_MARKS)


def _yes(value: str) -> bool:
    return _one_of("yes", "no")(value) == "yes"


def _image(piece: _At) -> Image:
    dither = _one_of("floyd-steinberg", "ordered", "threshold")
    options, rest = _options(piece, width=_number, align=_align, dither=dither)
    if "width" in options:
        options["width_mm"] = options.pop("width")
    if rest.mask.startswith("base64:"):
        try:
            return Image(data=base64.b64decode(rest.text.removeprefix("base64:"), validate=True), **options)
        except (binascii.Error, ValueError) as error:
            rest.fail(f"that is no base64: {error}", "Encode the file once more, or give the image by name.")
    return Image(rest.text, **options)


def _barcode(piece: _At) -> Barcode:
    kinds = get_args(Kind)
    found = re.match(r"(\S+)(?: +|$)", piece.mask)
    if found is None or found[1] not in kinds:
        piece.fail("the kind of barcode is missing", f"There are {', '.join(kinds)}.")
    options, rest = _options(piece[found.end() :], height=_number, text=_yes, align=_align)
    if "height" in options:
        options["height_mm"] = options.pop("height")
    if not rest.text:
        rest.fail("the barcode says nothing", f"Write [barcode {found[1]} DATA].")
    return Barcode(rest.text, found[1], **options)  # type: ignore[arg-type]  # one of them: it was looked for there


def _qr(piece: _At) -> Qr:
    options, rest = _options(piece, size=_count, level=_one_of("L", "M", "Q", "H"), align=_align)
    if not rest.text:
        rest.fail("the QR code says nothing", "Write [qr DATA].")
    return Qr(rest.text, **options)


def _space(piece: _At) -> Space:
    try:
        if piece.text.endswith("mm"):
            return Space(mm=_number(piece.text.removesuffix("mm").rstrip()))
        return Space(lines=_count(piece.text) if piece.text else None)
    except ValueError as error:
        piece.fail(f"{piece.text[:20]!r} is no space: {error}", "Write [space 2] for lines, or [space 5mm].")


def _cut(piece: _At) -> Cut:
    if piece.text not in {"", "partial", "full"}:
        piece.fail(f"there is no cut {piece.text[:20]!r}", "Write [cut] or [cut full].")
    return Cut("full" if piece.text == "full" else "partial")


def _drawer(piece: _At) -> Drawer:
    if piece.text not in {"", "2", "5"}:
        piece.fail(f"a drawer does not hang at pin {piece.text[:20]!r}", "Write [drawer] or [drawer 5].")
    return Drawer(5 if piece.text == "5" else 2)


_COMMANDS: dict[str, Callable[[_At], Block]] = {
    "image": _image,
    "barcode": _barcode,
    "qr": _qr,
    "space": _space,
    "cut": _cut,
    "drawer": _drawer,
}


def _plain(text: str, more: str = "") -> str:
    """A text whose signs have no meaning where it stands: backslashes, what begins a block, and `more`."""
    written = "".join(_NEW_LINE if each == "\n" else f"\\{each}" if each in "\\" + more else each for each in text)
    return "\\" + written if written[:1] in set("#^<>:@|[*_-=\ufeff") else written


def _formatted(block: Block) -> str:
    match block:
        case Heading(text=text, level=level):
            return "#" * level + " " + text.replace("\\", "\\\\").replace("\n", "\\n")
        case Text():
            return _text(block)
        case Columns(cells=cells):
            return "|" + "|".join(_one_cell(cell) for cell in cells) + "|"
        case Line(style=style):
            return _RULES[style]
        case Space(lines=None, mm=None):
            return "[space]"
        case Space(lines=None, mm=mm):
            return f"[space {mm!r}mm]"
        case Space(lines=lines):
            return f"[space {lines}]"
        case Cut(kind=kind):
            return "[cut]" if kind == "partial" else "[cut full]"
        case Drawer(pin=pin):
            return "[drawer]" if pin == 2 else "[drawer 5]"
    return _code(block)


def _text(block: Text) -> str:
    head = "" if block.align == "start" else _MARKS[block.align] + " "
    if block.size != 1:
        head += f"@{block.size} " if isinstance(block.size, int) else f"@{block.size[0]}x{block.size[1]} "
    body = _plain(block.text)
    if block.underline:
        body = f"__{body}__"
    if block.bold:
        body = f"**{body}**"
    return head + body


def _one_cell(cell: Cell) -> str:
    head = _MARKS[cell.align]
    if cell.width is not None or cell.share is not None:
        head += ":" + ("" if cell.width is None else str(cell.width)) + ("" if cell.share is None else f"*{cell.share}")
    body = re.sub(r"^ | $", r"\\ ", _plain(cell.text, "|"))
    if cell.bold:
        body = f"**{body}**"
    return f"{head} {body} " if head else f" {body} "


def _code(block: Block) -> str:
    """A command with options and data."""
    options, name, data = "", "", ""
    match block:
        case Image(data=file, width_mm=width, dither=dither):
            name = "image"
            data = "base64:" + base64.b64encode(file).decode() if file else _data(block.name, "base64:")
            options += "" if width is None else f" width={width!r}"
            options += "" if dither == "floyd-steinberg" else f" dither={dither}"
        case Barcode(kind=kind, height_mm=height, text=text):
            name, data = f"barcode {kind}", _data(block.data)
            options += "" if height == 10 else f" height={height!r}"
            options += "" if text else " text=no"
        case Qr(size=size, level=level):
            name, data = "qr", _data(block.data)
            options += "" if size is None else f" size={size}"
            options += "" if level == "M" else f" level={level}"
    if isinstance(block, Image | Barcode | Qr) and block.align != "center":
        options += f" align={block.align}"
    return f"[{name}{options} {data}]"


def _data(data: str, never: str = "") -> str:
    """Data that is no option, whatever it begins with, and whose blanks stay."""
    body = re.sub(r"^ | $", r"\\ ", data.replace("\\", "\\\\")).replace("\n", "\\n")
    if (never and body.startswith(never)) or _OPTION.match(body):
        at = body.index("=" if not (never and body.startswith(never)) else ":")
        body = body[:at] + "\\" + body[at:]
    return body
