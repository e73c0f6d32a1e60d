"""What `rawprint print` prints: a file as it is, or a document of the kind that it is, or is said to be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rawprint.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.documents import Paper, Part, Piece
    from rawprint.documents.rendering import Kind

# How the files of documents begin; none of them begins a job in a printer's language.
_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"%PDF-", "pdf"),
)
_DRAWN = ("fit", "width_mm", "rotate", "dither", "threshold", "invert")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how a document is printed, and on what."""
    kinds = parser.add_argument_group(
        "what FILE is",
        "PNG, JPEG, GIF, WEBP, TIFF and PDF files are known by how they begin, all else is printed as it is.",
    )
    kind = kinds.add_mutually_exclusive_group()
    kind.add_argument("--raw", action="store_true", help="the printer's own commands, whatever it looks like")
    kind.add_argument("--text", action="store_true", help="plain text (UTF-8) in any script")
    kind.add_argument("--ticket", action="store_true", help="the markup of tickets and labels")
    kind.add_argument("--image", action="store_true", help="an image: needed for BMP")

    paper = parser.add_argument_group("what a document is printed on")
    paper.add_argument(
        "--width", type=_mm, metavar="MM", help="width of the paper or label (default: 80, labels 101.6)"
    )
    paper.add_argument(
        "--height", type=_mm, metavar="MM", help="height of the label (default: as long as what is on it)"
    )
    paper.add_argument("--gap", type=_mm, metavar="MM", help="between two labels")
    paper.add_argument("--dpi", type=int, metavar="N", help="dots per inch (default: 203)")
    paper.add_argument("--profile", metavar="NAME", help="the printer's model, as python-escpos calls it")
    paper.add_argument(
        "--cut", nargs="?", const="partial", choices=("partial", "full"), help="cut after it, after each page of a PDF"
    )

    how = parser.add_argument_group("how a document is printed")
    how.add_argument("--pages", metavar="LIST", help="of a PDF, such as 1-3,5 (default: all)")
    how.add_argument("--password", metavar="TEXT", help="of a PDF")
    how.add_argument("--crop", action="store_true", help="a PDF without the white around what is on a page")
    how.add_argument("--fit", choices=("shrink", "fit", "none"), help="default: smaller where it is too large")
    how.add_argument("--print-width", type=_mm, metavar="MM", dest="width_mm", help="width of the image or page itself")
    how.add_argument("--rotate", type=int, choices=(0, 90, 180, 270), help="degrees clockwise")
    how.add_argument("--dither", choices=("floyd-steinberg", "ordered", "threshold"), help="how grey is printed")
    how.add_argument(
        "--threshold", type=int, metavar="N", help="with --dither threshold: grey below is black, 1 to 255"
    )
    how.add_argument("--invert", action="store_true", help="white on black")
    how.add_argument(
        "--policy", choices=("auto", "native", "raster"), help="text: the printer's characters, drawn ones, or both"
    )
    how.add_argument(
        "--open-drawer",
        nargs="?",
        type=int,
        const=2,
        choices=(2, 5),
        metavar="PIN",
        help="open the cash drawer after it",
    )


def kind_of(data: bytes, options: argparse.Namespace) -> Kind:
    """What the file is."""
    for kind in ("text", "ticket", "image"):
        if getattr(options, kind):
            return kind
    if options.raw:
        return "raw"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image"
    return next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), "raw")


def as_it_is(data: bytes, options: argparse.Namespace) -> bool:
    """Whether the bytes are the whole job."""
    return kind_of(data, options) == "raw" and options.cut is None and options.open_drawer is None


def paper_of(options: argparse.Namespace, dialect: str) -> Paper:
    """What is printed on.

    Raises:
        DocumentError, Unsupported: There is no such profile, or nothing can be drawn in that language.
    """
    from rawprint.documents import Paper  # noqa: PLC0415

    return Paper.of(
        dialect,
        width_mm=options.width,
        height_mm=options.height,
        gap_mm=options.gap,
        dpi=options.dpi,
        profile=options.profile,
        cut=options.cut or "none",
    )


def pieces(data: bytes, options: argparse.Namespace, dialect: str, note: Any) -> Iterator[Piece]:
    """The job, or one job for each page.

    Args:
        data: The file.
        options: As `add_arguments` has them parsed.
        dialect: The printer's language.
        note: Called with what a person should know.

    Raises:
        DocumentError: It cannot be printed.
    """
    from rawprint.documents import Piece, render  # noqa: PLC0415
    from rawprint.documents.languages import LANGUAGES  # noqa: PLC0415

    paper = paper_of(options, dialect)
    part = _part(data, options)
    end = _drawer(options, dialect)
    if part.kind == "raw":
        end = LANGUAGES[dialect].cut(paper) + end
    for piece in render([part], paper, note=note):
        yield Piece(piece.data + end, last=True) if piece.last else piece


def _part(data: bytes, options: argparse.Namespace) -> Part:
    from rawprint.documents import Part  # noqa: PLC0415

    kind = kind_of(data, options)
    if kind == "raw":
        return Part(kind, data)
    names = {"image": _DRAWN, "pdf": (*_DRAWN, "pages", "crop", "password")}.get(kind, ("policy",))
    given = {name: value for name in names if (value := getattr(options, name)) not in {None, False}}
    if kind in {"text", "ticket"}:
        try:
            return Part(kind, data.decode(), given)
        except UnicodeDecodeError as error:
            raise DocumentError(f"the {kind} is not UTF-8: {error}", hint="Save it as UTF-8.") from error
    return Part(kind, data, given)


def _drawer(options: argparse.Namespace, dialect: str) -> bytes:
    if options.open_drawer is None:
        return b""
    from rawprint.dialects import DIALECTS  # noqa: PLC0415

    pulses = DIALECTS[dialect].drawer if dialect in DIALECTS else {}
    if options.open_drawer not in pulses:
        raise DocumentError(f"{dialect} opens no drawer at pin {options.open_drawer}")
    return pulses[options.open_drawer]


def _mm(text: str) -> float:
    try:
        value = float(text.removesuffix("mm").strip())
    except ValueError:
        value = 0.0
    if not 0 < value <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r} is no length in millimetres")
    return value
