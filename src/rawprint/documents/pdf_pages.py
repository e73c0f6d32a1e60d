"""PDF pages become `Dots`: each is rendered when it is asked for, straight at its final size."""

from __future__ import annotations

import math
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rawprint.documents.dots import Dots
from rawprint.documents.images import MAX_FILE, MAX_PIXELS, read_file, scaled_size, to_dots
from rawprint.documents.pages import page as page_of
from rawprint.errors import BackendMissing, DocumentError, DocumentTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from rawprint.documents.images import Dither, Fit, Source
    from rawprint.documents.paper import Paper

Turn = Literal["auto", 0, 90, 180, 270]

MAX_PAGES = 10_000
"""Pages that are printed of one document."""

_INCH_MM = 25.4
_POINTS = 72.0  # in an inch: a PDF's unit of length
_TURNS = {0: 0, 90: 1, 180: 2, 270: 3}
_RANGE = re.compile(r"\s*([0-9]{1,9})?\s*(-)?\s*([0-9]{1,9})?\s*", re.ASCII)
_AGAIN = "Save or print it as a PDF once more."

# Where the content of a page stands is looked for at this resolution, with so many pixels at most along a side; grey above
# the limit is the noise of a scan or of a JPEG, not content.
_LOOK_DPI = 100.0
_LOOK_MOST = 2000
_LOOK_WHITE = 250

# PDFium may be in one call at a time in a process; reentrant, as a page that nobody wanted may be collected in the midst of another's.
_PDFIUM = threading.RLock()


def pdf(
    source: Source,
    paper: Paper,
    *,
    pages: str | None = None,
    fit: Fit = "shrink",
    width_mm: float | None = None,
    rotate: Turn = "auto",
    crop: bool = False,
    dither: Dither = "threshold",
    threshold: int = 144,
    invert: bool = False,
    password: str | None = None,
) -> Iterator[Dots]:
    """The pages of a PDF as dots of a printer, each rendered when it is asked for; nothing is read before the first is.

    Several threads may do this, one page is rendered at a time. Filled-in forms are printed, and annotations that are meant to be. What is drawn in colour becomes grey, and then black or
    white by `dither`: "threshold" by default, as nearly all that is printed of PDFs is text, lines and codes, whose edges would be
    frayed by dithering, and a scanner would not read them. Pages with photographs want "floyd-steinberg".

    Args:
        source: The bytes of a PDF, or its path.
        paper: What it is printed on.
        pages: Which, counted from 1, in that order: "1-3,5", "2-" (from the second), "-4" (up to the fourth); None: all.
        fit: "shrink": in its own size, and smaller where that is too wide (or too high for the label); "fit": as large as fits; "none":
            in its own size.
        width_mm: The page's width on paper (with `crop` the content's), millimetres; goes before `fit`.
        rotate: Degrees clockwise; "auto": a page is turned by 90 where it comes out larger on the paper so. On a roll that is only
            done where it is wider than the paper.
        crop: Without the white around the content. A page without content becomes one white dot.
        dither: How grey becomes black and white, as with `image`.
        threshold: With "threshold": grey below it is black, 1 to 255. Hairlines between two rows of dots have a grey of up to 130,
            which is why it is more than half.
        invert: White on black.
        password: Of an encrypted document.

    Yields:
        A page.

    Raises:
        DocumentError: It is no PDF, it is broken, its password is missing or another, or it has no such pages; or with "none" and
            `width_mm` a page is wider than the paper.
        DocumentTooLarge: More than `MAX_PAGES` are to be printed, or one becomes more than `images.MAX_ROWS` rows.
        BackendMissing: pypdfium2 is not there.
    """
    if rotate != "auto" and rotate not in _TURNS:
        raise DocumentError(f"a page cannot be turned by {rotate!r} degrees", hint="Turn it by 90, 180 or 270.")
    with _opened(source, password) as document:
        wanted = _chosen(pages, document.count)
        for numbers in wanted:
            for number in numbers:
                with document.page(number) as one:
                    placed = _place(one, paper, fit, width_mm, rotate, crop=crop)
                    dots = (
                        Dots.blank(1, 1)
                        if placed is None
                        else _dots(one.render(placed), dither, threshold, invert=invert)
                    )
                yield dots
                del dots  # before the next is made


def print_pdf(source: Source, paper: Paper, **options: Any) -> Iterator[bytes]:
    """The bytes that print each page of a PDF as one page; the options, and what is raised, are those of `pdf`."""
    for dots in pdf(source, paper, **options):
        yield page_of(dots, paper)


def chosen_count(source: Source, pages: str | None = None, password: str | None = None) -> int:
    """How many pages `pdf` gives of a PDF.

    Raises:
        DocumentError, DocumentTooLarge, BackendMissing: As `pdf`.
    """
    with _opened(source, password) as document:
        return sum(map(len, _chosen(pages, document.count)))


def page_count(source: Source, password: str | None = None) -> int:
    """How many pages a PDF has, as it says itself.

    Raises:
        DocumentError: It is no PDF, it is broken, or its password is missing or another.
        DocumentTooLarge: The file has more than `images.MAX_FILE` bytes.
        BackendMissing: pypdfium2 is not there.
    """
    with _opened(source, password) as document:
        return document.count


# -- which pages -------------------------------------------------------------------------------------------------


def _chosen(pages: str | None, count: int) -> Sequence[range]:
    """The pages that were asked for, counted from 0."""
    chosen = [range(count)] if pages is None else []
    number = count if pages is None else 0
    for part in [] if pages is None else pages.split(","):
        match = _RANGE.fullmatch(part)
        if match is None or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
            raise DocumentError(
                f"{part[:100]!r} are no pages", hint=f'Pages are "1-3,5", "2-" or "-4"; the document has {count}.'
            )
        first = int(match[1] or 1)
        last = (int(match[3]) if match[3] else count) if match[2] else first
        if not 1 <= first <= last <= count:
            raise DocumentError(
                f"there are no pages {part.strip()[:30]!r}: the document has {count}",
                hint=f"Name pages of 1 to {count}, the lower first.",
            )
        chosen.append(range(first - 1, last))
        number += last - first + 1
        if number > MAX_PAGES:
            break
    if number > MAX_PAGES:
        raise DocumentTooLarge(
            f"more than {MAX_PAGES:,} pages are to be printed", hint=f'Print it in parts: pages = "1-{MAX_PAGES}".'
        )
    return chosen


# -- where on the paper ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Placed:
    """What is rendered.

    Attributes:
        size: Of the picture, dots.
        whole: Of the whole page at that scale, turned.
        offset: Where the picture begins in it.
        turn: Quarters clockwise.
    """

    size: tuple[int, int]
    whole: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    turn: int = 0


def _place(one: _Page, paper: Paper, fit: Fit, width_mm: float | None, rotate: Turn, *, crop: bool) -> _Placed | None:
    """How a page comes onto the paper; None: it is to be cropped, and has no content."""
    width, height = one.size
    box = (0.0, 0.0, width, height)
    if crop:
        found = _content(one)
        if found is None:
            return None
        box = found
    left, top, right, bottom = box
    # By millimetres, as paper is measured: a page of 100 mm has the 800 dots of a label of 100 mm.
    per_point = _INCH_MM / _POINTS / paper.mm(1)
    own = (right - left) * per_point, (bottom - top) * per_point
    turn = _best_turn(own, paper, fit, width_mm) if rotate == "auto" else _TURNS[rotate]
    # The box, the page around it, and what stands before the box, as the turned page has them.
    span, page, before = (right - left, bottom - top), (width, height), (left, top)
    match turn:
        case 1:
            before = (height - bottom, left)
        case 2:
            before = (width - right, height - bottom)
        case 3:
            before = (top, width - right)
    if turn % 2:
        own, span, page = own[::-1], span[::-1], page[::-1]
    size = scaled_size(own, paper, fit, width_mm, what="page")
    if size[0] * size[1] > MAX_PIXELS:
        raise DocumentTooLarge(f"the page becomes {size[0]} x {size[1]} dots, and {MAX_PIXELS:,} are taken")
    scale = size[0] / span[0], size[1] / span[1]
    if not crop:
        return _Placed(size, size, turn=turn)
    return _Placed(
        size,
        (max(size[0], round(page[0] * scale[0])), max(size[1], round(page[1] * scale[1]))),
        (round(before[0] * scale[0]), round(before[1] * scale[1])),
        turn,
    )


def _best_turn(own: tuple[float, float], paper: Paper, fit: Fit, width_mm: float | None) -> int:
    """0, or 1 where the page is larger on the paper when it is turned by a quarter."""
    if width_mm is not None:
        return 0  # that width is meant for the page as it is

    def scale(width: float, height: float) -> float:
        factor = paper.width / width
        return factor if paper.height is None else min(factor, paper.height / height)

    upright, turned = scale(*own), scale(*own[::-1])
    if paper.height is None or fit != "fit":
        upright, turned = min(upright, 1.0), min(turned, 1.0)  # it is not enlarged, or on a roll not turned for that
    return 1 if turned > upright * 1.005 else 0  # pages that are square but for rounding stay as they are


def _content(one: _Page) -> tuple[float, float, float, float] | None:
    """The box of what is not white, in points from the left and the top; found on a small picture."""
    width, height = one.size
    scale = min(_LOOK_DPI / _POINTS, _LOOK_MOST / max(width, height))
    size = max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale))
    small = one.render(_Placed(size, size))
    found = small.point([255] * _LOOK_WHITE + [0] * (256 - _LOOK_WHITE)).getbbox()
    if found is None:
        return None
    # A pixel more on each side: faint edges of letters are white at this size.
    across, down = width / size[0], height / size[1]
    return (
        max(0, found[0] - 1) * across,
        max(0, found[1] - 1) * down,
        min(size[0], found[2] + 1) * across,
        min(size[1], found[3] + 1) * down,
    )


def _dots(grey: Image, dither: Dither, threshold: int, *, invert: bool) -> Dots:
    from PIL import ImageChops  # noqa: PLC0415

    return to_dots(ImageChops.invert(grey) if invert else grey, dither, threshold)


# -- PDFium ------------------------------------------------------------------------------------------------------


class _Page:
    """A page that is open.

    Attributes:
        size: Width and height, points.
    """

    def __init__(self, page: Any, formenv: Any, name: str) -> None:
        self._page, self._formenv, self._name = page, formenv, name
        self.size: tuple[float, float] = page.get_size()
        if not all(math.isfinite(side) and side > 0 for side in self.size):
            raise DocumentError(f"{name} has no size", hint=_AGAIN)

    def render(self, placed: _Placed) -> Image:
        """A grey picture of it, or of a part."""
        import pypdfium2  # noqa: PLC0415
        from pypdfium2 import raw  # noqa: PLC0415

        width, height = placed.size
        try:
            with _PDFIUM:
                # Not the package's own `render`, which rounds a scale up: the picture would miss the paper's width by a dot.
                bitmap = pypdfium2.PdfBitmap.new_native(width, height, raw.FPDFBitmap_Gray)
                try:
                    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
                    flags = raw.FPDF_GRAYSCALE | raw.FPDF_ANNOT | raw.FPDF_PRINTING | raw.FPDF_RENDER_LIMITEDIMAGECACHE
                    where = -placed.offset[0], -placed.offset[1], *placed.whole, placed.turn
                    raw.FPDF_RenderPageBitmap(bitmap, self._page, *where, flags)
                    if self._formenv:
                        raw.FPDF_FFLDraw(self._formenv, bitmap, self._page, *where, flags)
                    image: Image = bitmap.to_pil()
                finally:
                    bitmap.close()  # the pixels are Python's, and stay
        except pypdfium2.PdfiumError as error:
            raise DocumentError(f"{self._name} cannot be rendered: {error}"[:300], hint=_AGAIN) from error
        except MemoryError as error:
            raise DocumentTooLarge(f"{self._name} needs more memory than there is") from error
        return image


class _Document:
    """A document that is open.

    Attributes:
        count: Its pages.
    """

    def __init__(self, document: Any) -> None:
        self._document = document
        self.count: int = len(document)

    @contextmanager
    def page(self, number: int) -> Iterator[_Page]:
        """A page, counted from 0."""
        import pypdfium2  # noqa: PLC0415

        name = f"page {number + 1} of {self.count}"
        try:
            with _PDFIUM:
                page = self._document.get_page(number)
        except pypdfium2.PdfiumError as error:
            raise DocumentError(f"{name} is broken", hint=_AGAIN) from error
        try:
            yield _Page(page, self._document.formenv, name)
        finally:
            with _PDFIUM:
                page.close()


@contextmanager
def _opened(source: Source, password: str | None) -> Iterator[_Document]:
    try:
        import pypdfium2  # noqa: PLC0415
        from pypdfium2 import raw  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise BackendMissing("PDFs need pypdfium2", hint='pip install "rawprint[pdf]"') from error

    data = _bytes(source)
    try:
        secret = None if password is None else password.encode() + b"\0"
    except UnicodeEncodeError as error:
        raise DocumentError("that is no password", hint="Give the document's password.") from error
    with _PDFIUM:
        # Not by `PdfDocument(data)`: of a document without pages that tells what was wrong with the one before.
        handle = raw.FPDF_LoadMemDocument64(data, len(data), secret)
        if not handle:
            raise _refusal(raw.FPDF_GetLastError(), data, password)
        document = pypdfium2.PdfDocument(handle)
    try:
        with _PDFIUM:
            with suppress(pypdfium2.PdfiumError):  # then it is printed without what is filled in
                document.init_forms()
            opened = _Document(document)
        if not opened.count:
            raise DocumentError("the PDF has no pages", hint=_AGAIN)
        yield opened
    finally:
        with _PDFIUM:
            document.close()  # `data`, which it reads, lives as long as this frame


def _bytes(source: Source) -> bytes:
    from PIL import Image  # noqa: PLC0415

    if isinstance(source, Image.Image):
        raise DocumentError("that is an image, and no PDF", hint="It is printed by `print_image`.")
    data = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else read_file(source)
    if not data:
        raise DocumentError("the PDF is empty", hint="Its file has no bytes.")
    if len(data) > MAX_FILE:
        raise DocumentTooLarge(
            f"the PDF has {len(data):,} bytes, and {MAX_FILE:,} are taken", hint="Print it in parts."
        )
    return data


def _refusal(code: int, data: bytes, password: str | None) -> DocumentError:
    """Why PDFium opens no document."""
    from pypdfium2 import raw  # noqa: PLC0415

    match code:
        case raw.FPDF_ERR_PASSWORD if password is None:
            return DocumentError("the PDF is encrypted", hint="Give its password.")
        case raw.FPDF_ERR_PASSWORD:
            return DocumentError("the PDF has another password", hint="Give the password that it is opened with.")
        case raw.FPDF_ERR_SECURITY:
            return DocumentError("the PDF is encrypted in a way that is not known", hint="Save it without encryption.")
    if b"%PDF" not in data[:1024]:
        return DocumentError("that is no PDF", hint="A PDF begins with %PDF; images are printed by `print_image`.")
    return DocumentError("the PDF is broken", hint=_AGAIN)
