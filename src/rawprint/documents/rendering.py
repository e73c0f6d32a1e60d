"""Whole prints of several parts, raw bytes among documents: what follows what, and where one page ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rawprint.documents.images import MAX_PIXELS, image
from rawprint.documents.languages import LANGUAGES
from rawprint.documents.pages import page, picture
from rawprint.errors import DocumentError, DocumentTooLarge, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rawprint.documents.cache import Cache
    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

_CUT_THEMSELVES = frozenset({"raw", "ticket"})

Kind = Literal["raw", "image", "pdf", "text", "ticket", "stored", "specimen"]

MAX_PAGES = 1000
"""Pages of one print, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to print.

    Attributes:
        kind: "raw": bytes of the printer's own language; "image", "pdf": a file; "text": plain text; "ticket": markup or blocks;
            "stored": the name of a picture that the printer keeps; "specimen": a test label, whose data are nothing.
        data: Bytes of "raw" and of files; a string of the others, or blocks of a ticket.
        options: Keyword arguments of `image`, `pdf`, `text`, `ticket` and `specimen`. On a label also "x" and "y", dots: the document is then a piece of
            a label that raw parts begin and end, instead of a label of its own. An image with "store", a name, is not printed, but
            kept in the printer.
    """

    kind: Kind
    data: Any
    options: Mapping[str, Any] = field(default_factory=dict)


class Piece(NamedTuple):
    """What is printed in one go.

    Attributes:
        data: Bytes of the printer's language.
        last: Whether nothing comes after it.
    """

    data: bytes
    last: bool


class _Making(NamedTuple):
    number: int  # of pages
    pages: Iterator[bytes]


def render(
    parts: Sequence[Part],
    paper: Paper,
    *,
    note: Callable[[str], None] = lambda _: None,
    cache: Cache | None = None,
    max_pages: int = MAX_PAGES,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Piece]:
    """The pieces of a print: one, and one more for each further page of a PDF.

    A piece is made when it is asked for. On a roll a print that no raw part begins resets the printer first, parts follow each other; the paper's cut comes after each page of a PDF and at the end,
    unless a raw part is the last, which cuts as it likes. Of label languages each document is a label of its own.

    Args:
        parts: What is printed, at least one.
        paper: On what.
        note: Called with what a person should know, such as a character that no font has.
        cache: Of pictures that were made before.
        max_pages: All in all.
        max_pixels: Of each image before it is scaled.

    Raises:
        DocumentError, DocumentTooLarge: A part cannot be printed; from the first step, where more than one is looked at, too.
        BackendMissing: A part needs a package that is not there.
    """
    makings = [_making(part, paper, note, cache, max_pixels, last=part is parts[-1]) for part in parts]
    if (total := sum(making.number for making in makings)) - len(makings) >= max_pages:
        raise DocumentTooLarge(f"a print of {total} pages, and {max_pages} are taken", hint="Print some of the pages.")
    cut = LANGUAGES[paper.dialect].cut(paper)
    done: list[bytes] = []
    if parts and parts[0].kind != "raw":
        done.append(LANGUAGES[paper.dialect].begin)
    for making in makings:
        for number, data in enumerate(making.pages, 1):
            done.append(data)
            if number < making.number:
                yield Piece(b"".join((*done, cut)), last=False)
                done = []
    if parts and parts[-1].kind not in _CUT_THEMSELVES:
        done.append(cut)
    yield Piece(done[0] if len(done) == 1 else b"".join(done), last=True)


def _making(
    part: Part, paper: Paper, note: Callable[[str], None], cache: Cache | None, max_pixels: int, *, last: bool
) -> _Making:
    options = dict(part.options)
    x, y = options.pop("x", None), options.pop("y", None)
    place = None if x is None and y is None else (x or 0, y or 0)
    match part.kind:
        case "raw":
            return _Making(1, iter((part.data,)))
        case "image":
            return _Making(1, _image(part, options, paper, place, cache=cache, max_pixels=max_pixels))
        case "pdf":
            return _pdf(part, options, paper, place)
        case "text":
            return _Making(1, _text(part, options, paper, place, note))
        case "ticket":
            # One in the midst of others has no end of its own, unless it says so itself.
            return _Making(1, _ticket(part, options, paper if last else replace(paper, cut="none"), note))
        case "stored":
            return _Making(1, _stored(part, paper, place))
        case "specimen":
            return _Making(1, _specimen(options, paper))
    raise DocumentError(f"there are no documents of the kind {part.kind!r}")


def _drawn(dots: Dots, paper: Paper, place: tuple[int, int] | None) -> bytes:
    language = LANGUAGES[paper.dialect]
    if place is not None:
        return picture(dots, paper, *place)
    return picture(dots, paper) if language.roll else page(dots, paper)


def _image(
    part: Part,
    options: dict[str, Any],
    paper: Paper,
    place: tuple[int, int] | None,
    *,
    cache: Cache | None,
    max_pixels: int,
) -> Iterator[bytes]:
    key = b""
    if cache is not None:
        key = cache.key(part.data, sorted(options.items()), place, paper)
        if (made := cache.get(key)) is not None:
            yield made
            return
    name = options.pop("store", None)
    dots = image(part.data, paper, max_pixels=max_pixels, **options)
    made = _drawn(dots, paper, place) if name is None else store(dots, paper, name)
    if cache is not None:
        cache.put(key, made)
    yield made


def _pdf(part: Part, options: dict[str, Any], paper: Paper, place: tuple[int, int] | None) -> _Making:
    from rawprint.documents.pdf_pages import chosen_count, pdf  # noqa: PLC0415

    count = chosen_count(part.data, options.get("pages"), options.get("password"))
    return _Making(count, (_drawn(dots, paper, place) for dots in pdf(part.data, paper, **options)))


def _text(
    part: Part, options: dict[str, Any], paper: Paper, place: tuple[int, int] | None, note: Callable[[str], None]
) -> Iterator[bytes]:
    from rawprint.documents.texts import draw, lint, text  # noqa: PLC0415

    for each in lint(part.data, paper, policy=options.get("policy", "auto")):
        note(f"line {each.line}, column {each.column}: U+{ord(each.character):04X} {each.name}: {each.why}")
    if place is not None and not LANGUAGES[paper.dialect].roll:
        options.pop("policy", None)
        yield picture(draw(part.data, paper, **options), paper, *place)
    else:
        yield text(part.data, paper, **options)


def _ticket(part: Part, options: dict[str, Any], paper: Paper, note: Callable[[str], None]) -> Iterator[bytes]:
    from rawprint.documents.tickets import lint_ticket, ticket  # noqa: PLC0415

    for each in lint_ticket(part.data, paper, images=options.get("images", {})):
        note(f"line {each.block}: {each.message}" + (f" ({each.hint})" if each.hint else ""))
    yield ticket(part.data, paper, **options)


def _specimen(options: dict[str, Any], paper: Paper) -> Iterator[bytes]:
    from rawprint.documents.specimens import drawn  # noqa: PLC0415

    yield _drawn(drawn(paper, **options), paper, None)


def _stored(part: Part, paper: Paper, place: tuple[int, int] | None) -> Iterator[bytes]:
    yield recall(part.data, paper, *(place or (None, 0)))


def store(dots: Dots, paper: Paper, name: str) -> bytes:
    """Commands that keep a picture in the printer, so that `recall` alone prints it.

    In ESC/POS that is its non-volatile memory, which wears out with writing; in TSPL and ZPL the memory that a power cut empties.

    Args:
        dots: The picture.
        paper: Of which the language matters.
        name: In ESC/POS two printable characters, in TSPL and ZPL 1 to 8 capital letters and digits.

    Raises:
        Unsupported: The language keeps no pictures.
        DocumentError: That is no name there.
    """
    language = LANGUAGES[paper.dialect]
    if language.store is None:
        raise Unsupported(f"{paper.dialect} keeps no pictures", hint="Print it each time.")
    return language.store(dots, paper, _name(name, paper))


def recall(name: str, paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    """The command that prints a picture which `store` has put into the printer; x and y as in `picture`.

    Raises:
        Unsupported, DocumentError: As `store`.
    """
    language = LANGUAGES[paper.dialect]
    if language.recall is None:
        raise Unsupported(f"{paper.dialect} keeps no pictures", hint="Print it each time.")
    return language.recall(_name(name, paper), paper, x, y)


def _name(name: str, paper: Paper) -> str:
    import re  # noqa: PLC0415

    pattern = LANGUAGES[paper.dialect].names
    if not re.fullmatch(pattern, name):
        raise DocumentError(f"a picture cannot be kept as {name[:20]!r} there", hint=f"Names look like {pattern}.")
    return name
