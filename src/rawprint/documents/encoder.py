"""python-escpos's encoder of receipts, with what it does worse than we laid over it. Importing this imports python-escpos: see `receipts`.

Every method that is not here is python-escpos's own, and gives its bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import update_wrapper
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from escpos.capabilities import BaseProfile
from escpos.constants import PAPER_FULL_CUT, PAPER_PART_CUT, QR_ECLEVEL_L, QR_MODEL_2
from escpos.escpos import Escpos
from escpos.magicencode import Encoder, MagicEncode

from rawprint.documents.dots import Dots
from rawprint.documents.images import image
from rawprint.documents.languages import LANGUAGES
from rawprint.documents.profiles import NO_CHARACTER, Way, capabilities, characters
from rawprint.errors import DocumentError, DocumentTooLarge, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rawprint.documents.images import Dither, Source
    from rawprint.documents.paper import Paper
    from rawprint.documents.profiles import Profile
    from rawprint.jobs import Job

MAX_JOB = 64 * 1024 * 1024
"""Bytes of one receipt."""

_WAYS: dict[str, Way] = {"bitImageRaster": "raster", "graphics": "graphics", "bitImageColumn": "column"}
_STRIP_MOST = 0xFFFF  # rows: GS v 0 has 16 bits for them
# Code pages that had the euro sign from their beginning. Theirs takes it from the first that has it today: in Greek (ISO 8859-7 got it
# in 2003, after many printers), Thai (Windows' page 874 alone) or Hebrew. UNCONFIRMED which printers lack it there.
_EURO = frozenset({"CP858", "CP1252", "ISO_8859-15"})
_NAMED = 10  # characters that an error names

# Profiles that python-escpos does not have -> the one whose features (barcodes, QR codes) theirs are like; else "default", which has all.
_LIKE = {"generic-58": "simple"}  # NT-5890K, POS-5890 and ZJ-5870 have no barcodes: they are drawn


class Receipt(Escpos):
    """A receipt: all that python-escpos's `Escpos` does, into bytes.

    Errors of python-escpos's own, such as BarcodeCodeError, stay what they are.

    Attributes:
        paper: What it is printed on.
        job: Of a queue, once the block has ended; else None.
    """

    def __init__(self, paper: Paper) -> None:
        super().__init__()
        self.paper = paper
        self.job: Job | None = None
        self._bytes = bytearray()
        self._ended = False
        self._exact = ""  # what must come out dot for dot, while it is drawn
        data, pages = _data(paper)
        # Theirs keep their data in the class, for all of that name, and `_dpi` writes into it: this one has its own.
        self.profile = BaseProfile()
        self.profile.profile_data = data
        self.magic = _Text(self, _Pages(pages))

    @property
    def data(self) -> bytes:
        """The bytes so far."""
        return bytes(self._bytes)

    def end(self) -> bytes:
        """No more is taken from here on; returns all."""
        self._ended = True
        return self.data

    # -- what it is not: a connection --------------------------------------------------------------------------------

    def __del__(self) -> None:
        """Theirs closes a connection."""

    def _raw(self, msg: bytes) -> None:
        if self._ended:
            raise Unsupported("this receipt has ended", hint="Begin another with `receipt`.")
        if len(self._bytes) + len(msg) > MAX_JOB:
            raise DocumentTooLarge(f"a receipt has more than {MAX_JOB:,} bytes", hint="Print it as several.")
        self._bytes += msg

    def _read(self) -> NoReturn:
        # Theirs reads once, waits no time, and takes what comes for the answer: silence becomes "plenty of paper", and a status that
        # comes unasked "no paper".
        raise Unsupported("a receipt cannot ask a printer", hint="Ask with `printer.status()`, before or after it.")

    def query_status(self, mode: bytes) -> NoReturn:
        """Not here: ask with `printer.status()`.

        Raises:
            Unsupported: Always.
        """
        del mode
        self._read()

    def is_online(self) -> NoReturn:
        """Not here: ask with `printer.status()`.

        Raises:
            Unsupported: Always.
        """
        self._read()

    def paper_status(self) -> NoReturn:
        """Not here: ask with `printer.status()`.

        Raises:
            Unsupported: Always.
        """
        self._read()

    def open(self) -> NoReturn:
        """Not here: the receipt is printed when its block ends.

        Raises:
            Unsupported: Always.
        """
        raise Unsupported("a receipt has no connection", hint="It is printed when its `with` block ends.")

    def close(self) -> NoReturn:
        """Not here: the receipt is printed when its block ends.

        Raises:
            Unsupported: Always.
        """
        self.open()

    # -- pictures ----------------------------------------------------------------------------------------------------

    def image(  # noqa: PLR0917 - the order is python-escpos's
        self,
        img_source: Source,
        high_density_vertical: bool = True,
        high_density_horizontal: bool = True,
        impl: str | None = None,
        fragment_height: int | None = None,
        center: bool = False,
        *,
        dither: Dither = "floyd-steinberg",
    ) -> None:
        """Print an image; one that is too wide is made smaller.

        Args:
            img_source: The bytes of a file, its path, or a Pillow image; see `rawprint.documents.image`.
            high_density_vertical: False: twice as high (three times with "bitImageColumn").
            high_density_horizontal: False: twice as wide.
            impl: "bitImageRaster", "graphics" or "bitImageColumn"; None: as the profile says.
            fragment_height: Rows in one command, 1 to 65535; None: as the profile says.
            center: In the middle of the paper.
            dither: How grey becomes black and white.

        Raises:
            DocumentError: It is no image, or an option is none of these.
            DocumentTooLarge: It has too many pixels.
        """
        paper = self._paper(impl, fragment_height)
        across = 1 if high_density_horizontal else 2
        # 8 dots of ESC * in a column stand on the room of 24.
        down = 1 if high_density_vertical else 3 if paper.profile.way == "column" else 2
        narrow = replace(paper, width=max(1, paper.width // across), height=None)
        if self._exact:
            try:
                dots = image(img_source, narrow, fit="none", dither="threshold")
            except DocumentError as error:
                raise DocumentError(
                    f"the {self._exact} does not fit: {error}", hint="Make its modules smaller; it is never scaled."
                ) from error
        else:
            dots = image(img_source, narrow, dither=dither)
        if across * down > 1:
            dots = Dots.of(
                dots.image().resize((dots.width * across, dots.height * down))
            )  # of mode "1": each dot as it is
        if center:
            dots = dots.placed(paper.width, "center")
        self._raw(LANGUAGES["escpos"].picture(dots, paper, None, 0))

    def _paper(self, impl: str | None, fragment_height: int | None) -> Paper:
        profile = self.paper.profile
        if impl is not None:
            if impl not in _WAYS:
                raise DocumentError(f"no way of printing images {impl!r}", hint=f"There are {', '.join(_WAYS)}.")
            profile = replace(profile, way=_WAYS[impl])
        if fragment_height is not None:
            if not 1 <= fragment_height <= _STRIP_MOST:
                raise DocumentError(f"a picture command has 1 to {_STRIP_MOST} rows")
            profile = replace(profile, strip=fragment_height)
        return replace(self.paper, profile=profile)

    @contextmanager
    def _drawn(self, what: str) -> Iterator[None]:
        """A code: scaled or dithered nothing could read it."""
        self._exact = what
        try:
            yield
        finally:
            self._exact = ""

    def qr(  # noqa: PLR0917 - the order is python-escpos's
        self,
        content: str,
        ec: int = QR_ECLEVEL_L,
        size: int = 3,
        model: int = QR_MODEL_2,
        native: bool = False,
        center: bool = False,
        impl: str | None = None,
        image_arguments: dict[str, Any] | None = None,
    ) -> None:
        """As python-escpos's; `impl` may be given without a warning, and a code that is too wide is not scaled.

        Raises:
            DocumentError: It is wider than the paper.
        """
        arguments = dict(image_arguments or {})
        if impl:
            arguments["impl"] = impl
        with self._drawn("QR code"):
            super().qr(content, ec, size, model, native, center, None, arguments)

    def _sw_barcode(self, *arguments: Any, **options: Any) -> None:
        with self._drawn("barcode"):
            super()._sw_barcode(*arguments, **options)

    def _dpi(self) -> int:
        # Theirs guesses from the width, says so on standard output, and writes the guess into the profile for all.
        return self.paper.dpi

    # -- the blade ---------------------------------------------------------------------------------------------------

    def cut(self, mode: str = "FULL", feed: bool = True) -> None:
        """Feed up to the blade, as far as the profile says it is, and cut; without a blade, feed alone.

        Args:
            mode: "FULL" or "PART"; what the blade cannot, it does as it can.
            feed: False: the printer's own "feed and cut", a partial one.

        Raises:
            ValueError: The mode is another.
        """
        if mode.upper() not in {"FULL", "PART"}:
            raise ValueError("Mode must be one of ('FULL', 'PART')")
        if not feed:
            super().cut(mode, feed=False)
            return
        self.print_and_feed(self.paper.profile.feed_to_cut)
        cuts = self.paper.profile.cuts
        if cuts:
            full = "full" in cuts if mode.upper() == "FULL" else "partial" not in cuts
            self._raw(PAPER_FULL_CUT if full else PAPER_PART_CUT)


def _silent(method: Callable[..., None]) -> Callable[..., None]:
    """The same method, with a `print` that does nothing: for its own copy alone, since sys.stdout and the module belong to all threads."""
    function = cast("FunctionType", method)
    names = {**function.__globals__, "print": lambda *_, **__: None}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return update_wrapper(copy, function)


# It says on standard output who draws the barcode, which breaks a program that writes JSON there.
Receipt.barcode = _silent(Escpos.barcode)  # type: ignore[method-assign]


class _Pages(Encoder):
    """The code pages of one printer: name -> (`ESC t n`, the characters of the bytes from 128 on)."""

    def __init__(self, pages: dict[str, tuple[str, str]]) -> None:
        super().__init__({name: number for name, (number, _) in pages.items()})
        for name, (_, table) in pages.items():
            found = {each: byte for byte, each in enumerate(table, 128) if each != NO_CHARACTER}
            self.available_characters[name] = found
        self.all = frozenset(each for found in self.available_characters.values() for each in found)
        self._euro = _EURO.intersection(name for name, found in self.available_characters.items() if "€" in found)

    def can_encode(self, encoding: str, char: str) -> bool:
        if char == "€" and self._euro and encoding not in self._euro:
            return False
        return bool(super().can_encode(encoding, char))

    def _get_codepage_char_map(self, encoding: str) -> dict[str, int]:
        found: dict[str, int] = self.available_characters[encoding]
        return found


class _Text(MagicEncode):
    """Text in the printer's code pages; what they do not have, is an error.

    Theirs prints "?" for it. A text with one Chinese character it sends as GB18030 to any printer, in no Chinese mode (`FS &`), so that
    nearly all print other characters (python-escpos#356).
    """

    def __init__(self, receipt: Receipt, pages: _Pages) -> None:
        super().__init__(receipt, encoder=pages)
        self.pages = pages

    def force_encoding(self, encoding: str | bool | None) -> None:
        if not encoding:
            super().force_encoding(False)
            return
        name = str(encoding).upper()
        if name not in self.pages.codepages:
            raise DocumentError(
                f"the printer's profile has no code page {name[:40]!r}",
                hint=f"It has {', '.join(self.pages.codepages)}.",
            )
        super().force_encoding(name)

    def write(self, text: str) -> None:
        known = self.pages.available_characters[self.encoding] if self.disabled else self.pages.all
        missing = {each for each in set(text) if ord(each) >= 128 and each not in known}
        if missing:
            raise _unprintable(text, missing, self.encoding if self.disabled else None)
        if self.disabled:
            self.write_with_encoding(self.encoding, text)
            return
        can = self.pages.can_encode
        at = 0
        while at < len(text):
            encoding = self.encoding
            if not encoding or not can(encoding, text[at]):
                encoding = self.pages.find_suitable_encoding(text[at])
            end = at + 1
            while end < len(text) and can(encoding, text[end]):
                end += 1
            self.write_with_encoding(encoding, text[at:end])
            at = end


def _unprintable(text: str, missing: set[str], page: str | None) -> DocumentError:
    named = sorted(missing, key=text.index)[:_NAMED]
    shown = ", ".join(f"{each} (U+{ord(each):04X})" if each.isprintable() else f"U+{ord(each):04X}" for each in named)
    more = f" and {len(missing) - len(named)} others" if len(missing) > len(named) else ""
    return DocumentError(
        f"code page {page} does not have {shown}{more}" if page else f"no code page of the printer has {shown}{more}",
        hint="Name the printer's profile, if it has more code pages; or print that text as a picture.",
    )


def _data(paper: Paper) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """The profile as python-escpos has it, with what we know better; and the code pages."""
    known = paper.profile
    profiles = capabilities()["profiles"]
    data = deepcopy(profiles.get(known.name) or profiles[_LIKE.get(known.name, "default")])
    pages = _code_pages(known, data["codePages"])
    data["codePages"] = {number: name for name, (number, _) in pages.items()}
    data["media"] = {"dpi": paper.dpi, "width": {"pixels": paper.width, "mm": paper.mm(paper.width)}}
    if known.columns:
        data["fonts"] = {
            str(ord(font) - ord("a")): {"columns": columns, "name": f"Font {font.upper()}"}
            for font, columns in known.columns.items()
        }
    data["features"]["paperFullCut"] = "full" in known.cuts
    data["features"]["paperPartCut"] = "partial" in known.cuts
    return data, pages


def _code_pages(known: Profile, theirs: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Under python-escpos's names where it has them, in its order, since it takes the first that has a character."""
    pages: dict[str, tuple[str, str]] = {}
    left = {**known.code_tables, **known.code_pages}
    for number, name in theirs.items():
        ours = left.get(int(number))
        if ours and ours in characters(name):
            pages[name] = number, _table(ours)
            del left[int(number)]
    for number_, ours in left.items():
        if number_ in known.code_pages:
            pages.setdefault(ours.upper(), (str(number_), _table(ours)))
        else:
            pages.setdefault(f"TABLE-{number_}", (str(number_), ours))
    return pages


def _table(page: str) -> str:
    if len(page) == 128:
        return page
    return "".join(bytes((byte,)).decode(page, "replace") for byte in range(128, 256))
