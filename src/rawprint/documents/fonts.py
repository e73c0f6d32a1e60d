"""The fonts of this machine: where they are, which characters each has, and which one is asked first."""

from __future__ import annotations

import os
import re
import struct
import sys
from array import array
from bisect import bisect_left
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from rawprint.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = str | os.PathLike[str]

MAX_FONT_FILES = 5_000
"""Files of a system that are looked at: the rest of more of them is not there."""

MAX_FONT = 512 * 1024 * 1024
"""Bytes of a font file, of which only the tables that are wanted are read; Apple's emoji have 190 million."""

_MAX_TABLE = 4 * 1024 * 1024
_MAX_FACES = 64
_BLOCK = 256
_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_PLAIN = ("", "regular", "book", "roman", "normal", "vf", "variable", "medium")
_STYLED = re.compile("(extra|ultra|semi|demi)?(bold|black|heavy|light|thin|italic|oblique|slanted|condensed)")

# Families as their files are called, without "-", "_" and spaces. A monospaced one goes first, then what covers much.
_MONO = (
    "dejavusansmono",
    "notosansmono",
    "notomono",
    "liberationmono",
    "menlo",
    "sfnsmono",
    "consola",
    "cour",
    "freemono",
)
_WIDE = ("dejavusans", "notosans", "arialunicode", "segoeui", "arial", "helvetica", "freesans", "liberationsans")
_CJK = (
    *(
        "notosanscjk",
        "notosansmonocjk",
        "notosanscjkjp",
        "notosansjp",
        "notosanscjksc",
        "notosanssc",
        "notosanskr",
        "sourcehansans",
        "droidsansfallbackfull",
        "droidsansfallback",
        "wqyzenhei",
    ),
    *("wqymicrohei", "ipagothic", "ipag", "takaogothic", "nanumgothic", "unfonts", "hiraginosansgb", "pingfang"),
    *("applesdgothicneo", "msgothic", "yugothm", "malgun", "msyh", "simsun", "msjh"),
)
_SYMBOLS = (
    *("notosanssymbols", "notosanssymbols2", "symbola", "notosansmath", "applesymbols", "seguisym", "unifont"),
    *("unifontupper", "notosanshistoric"),
)
_EMOJI = ("notocoloremoji", "applecoloremoji", "seguiemj", "twemoji", "notoemoji")
_ARABIC = ("notosansarabic", "notonaskharabic", "geezapro", "segoeui", "tahoma", "dejavusans")
_OF_SCRIPT = {
    "Arab": _ARABIC,
    "Hebr": ("notosanshebrew", "arialhb", "segoeui", "dejavusans", "freesans"),
    "Thai": ("notosansthai", "thonburi", "leelawui", "tahoma", "loma", "garuda", "waree", "freeserif"),
}


class Font:
    """One face of a font file. Its table of characters is read when it is first asked for, and nothing else of the file.

    Attributes:
        path: The file.
        index: The face in a collection.
        given: Whether it was named by the caller, and not found on the system.
    """

    def __init__(self, path: str, index: int = 0, *, given: bool = False) -> None:
        self.path = path
        self.index = index
        self.given = given

    def __repr__(self) -> str:
        return f"Font({self.path!r}, {self.index})"

    @cached_property
    def _tables(self) -> _Tables:
        try:
            return _Tables(self.path, self.index)
        except (OSError, ValueError, IndexError, struct.error, MemoryError, OverflowError):
            return _BROKEN  # of hostile or half copied files: there is always another font

    @property
    def broken(self) -> bool:
        """Whether the file cannot be used."""
        return self._tables is _BROKEN

    def glyph(self, character: str) -> int:
        """The number of a character's glyph; 0: it has none."""
        return self._tables.glyph(ord(character))

    def has(self, characters: str) -> bool:
        """Whether it has all of them."""
        glyph = self._tables.glyph
        return all(glyph(ord(each)) for each in characters)

    def blocks(self) -> set[int]:
        """The blocks of `_BLOCK` code points in which it may have some."""
        return self._tables.blocks()

    @property
    def coloured(self) -> bool:
        """Whether its glyphs are pictures or layers of colour."""
        return self._tables.coloured

    @property
    def upem(self) -> int:
        """Units of an em."""
        return self._tables.upem

    @cached_property
    def advance(self) -> float:
        """Width of a character in ems, of a monospaced font; 0: it is none."""
        return self._tables.mono_advance()

    @cached_property
    def shaper(self) -> Any:
        """The face that uharfbuzz makes of it.

        Raises:
            DocumentError: The file is gone or too large.
        """
        import uharfbuzz  # noqa: PLC0415

        try:
            return uharfbuzz.Face(uharfbuzz.Blob.from_file_path(self.path), self.index)
        except (OSError, uharfbuzz.HarfBuzzError) as error:
            raise DocumentError(f"the font {self.path} cannot be read", hint="Name another font.") from error


class _Tables:
    """What is wanted of a font file's tables (OpenType 1.9): `cmap`, `head`, `hhea`, `hmtx`, and whether there is colour."""

    def __init__(self, path: str, index: int) -> None:
        with open(path, "rb") as file:  # noqa: PTH123
            if os.fstat(file.fileno()).st_size > MAX_FONT:
                raise ValueError("too large")
            start = offsets(file)[index]
            file.seek(start)
            (count,) = struct.unpack(">4xH6x", file.read(12))
            directory = file.read(16 * min(count, 256))
            self.where: dict[bytes, tuple[int, int]] = {
                directory[at : at + 4]: struct.unpack_from(">II", directory, at + 8)
                for at in range(0, len(directory) - 15, 16)
            }
            self.coloured = bool(self.where.keys() & {b"CBDT", b"sbix", b"COLR"})
            self.upem: int = struct.unpack_from(">H", self._read(file, b"head"), 18)[0]
            if not 16 <= self.upem <= 16384:
                raise ValueError("no such em")
            hhea = self._read(file, b"hhea")
            self.metrics: int = struct.unpack_from(">H", hhea, 34)[0]
            self.hmtx = self._read(file, b"hmtx")
            self._characters(self._read(file, b"cmap"))

    def _read(self, file: BinaryIO, tag: bytes) -> bytes:
        offset, length = self.where.get(tag, (0, 0))
        if not length or length > _MAX_TABLE:
            raise ValueError("no such table")
        file.seek(offset)
        return file.read(length)

    def _characters(self, cmap: bytes) -> None:
        """The best subtable of Unicode: format 12 before 4; others are of old Macintoshes and symbol fonts."""
        best: tuple[int, int] | None = None
        (count,) = struct.unpack_from(">2xH", cmap)
        for at in range(4, 4 + 8 * min(count, 64), 8):
            platform, encoding, offset = struct.unpack_from(">HHI", cmap, at)
            if (platform, encoding) not in {(3, 10), (3, 1)} and platform != 0:
                continue
            (kind,) = struct.unpack_from(">H", cmap, offset)
            if kind in {4, 12} and (best is None or kind > best[0]):
                best = kind, offset
        if best is None:
            raise ValueError("no characters")
        self.kind, offset = best
        if self.kind == 12:
            (groups,) = struct.unpack_from(">12xI", cmap, offset)
            values = _numbers("I", cmap, offset + 16, 3 * groups)
            self.first, self.last, self.delta = values[0::3], values[1::3], values[2::3]
            return
        (double,) = struct.unpack_from(">6xH", cmap, offset)
        segments = double // 2
        self.last = _numbers("H", cmap, offset + 14, segments)
        self.first = _numbers("H", cmap, offset + 16 + 2 * segments, segments)
        self.delta = _numbers("H", cmap, offset + 16 + 4 * segments, segments)
        self.ranges = _numbers("H", cmap, offset + 16 + 6 * segments, segments)
        self.rest = cmap[offset + 16 + 6 * segments :]

    def glyph(self, code: int) -> int:
        at = bisect_left(self.last, code)
        if at == len(self.last) or self.first[at] > code:
            return 0
        if self.kind == 12:
            return self.delta[at] + code - self.first[at]
        if not self.ranges[at]:
            return (self.delta[at] + code) & 0xFFFF
        where = 2 * at + self.ranges[at] + 2 * (code - self.first[at])
        glyph = int.from_bytes(self.rest[where : where + 2], "big")
        return (glyph + self.delta[at]) & 0xFFFF if glyph else 0

    def blocks(self) -> set[int]:
        return {
            block
            for first, last in zip(self.first, self.last, strict=False)
            for block in range(first // _BLOCK, min(last, sys.maxunicode) // _BLOCK + 1)
        }

    def width(self, code: int) -> int:
        at = 4 * min(self.glyph(code), max(self.metrics - 1, 0))
        return int.from_bytes(self.hmtx[at : at + 2], "big")

    def mono_advance(self) -> float:
        # The bold one among fonts: `post` says of some with other widths that they are monospaced, so that it is measured.
        widths = {self.width(ord(each)) for each in "iMW0." if self.glyph(ord(each))}
        return widths.pop() / self.upem if len(widths) == 1 else 0.0


class _Broken(_Tables):
    def __init__(self) -> None:
        self.upem, self.coloured = 1000, False

    def glyph(self, code: int) -> int:  # noqa: ARG002
        return 0

    def blocks(self) -> set[int]:
        return set()

    def mono_advance(self) -> float:
        return 0.0


_BROKEN = _Broken()


def _numbers(kind: str, data: bytes, at: int, count: int) -> array[int]:
    size = 4 if kind == "I" else 2
    if count < 0 or at + count * size > len(data):
        raise ValueError("the table is cut off")
    values = array(kind, data[at : at + count * size])
    if values.itemsize != size:
        raise ValueError("no such machine")
    if sys.byteorder == "little":
        values.byteswap()
    return values


def offsets(file: BinaryIO) -> tuple[int, ...]:
    """Where each face of a font file begins; a file that is no collection has one."""
    head = file.read(12)
    if head[:4] != b"ttcf":
        if head[:4] not in {b"\0\1\0\0", b"OTTO", b"true"}:
            raise ValueError("no font")
        return (0,)
    (count,) = struct.unpack_from(">I", head, 8)
    if not 0 < count <= _MAX_FACES:
        raise ValueError("no such collection")
    return struct.unpack(f">{count}I", file.read(4 * count))


def folders(environment: Mapping[str, str], platform: str) -> list[str]:
    """Where fonts are on such a system, the user's own first."""
    home = os.path.expanduser("~")  # noqa: PTH111
    if platform == "win32":
        windows = environment.get("WINDIR", r"C:\Windows")
        own = environment.get("LOCALAPPDATA", "")
        return [*([rf"{own}\Microsoft\Windows\Fonts"] if own else []), rf"{windows}\Fonts"]
    if platform == "darwin":
        return [f"{home}/Library/Fonts", "/Library/Fonts", "/System/Library/Fonts"]
    own = environment.get("XDG_DATA_HOME") or f"{home}/.local/share"
    shared = (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    usual = ["/usr/local/share", "/usr/share"]
    every = [own, *shared, *usual]
    # Debian keeps some beside: fonts-droid-fallback, for one.
    found = [f"{home}/.fonts", *(f"{each}/fonts" for each in every if each), "/usr/share/fonts-droid-fallback"]
    return list(dict.fromkeys(found))


def font_files(places: Sequence[str]) -> Iterator[str]:
    """The font files below these folders, in the order of their names; at most `MAX_FONT_FILES`."""
    left = MAX_FONT_FILES
    for place in places:
        for folder, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                if name.lower().endswith(_ENDINGS):
                    if not left:
                        return
                    left -= 1
                    yield os.path.join(folder, name)  # noqa: PTH118


def _family(path: str) -> tuple[str, bool]:
    """A file's family, and whether it is neither bold nor slanted, by its name: `NotoSansArabic[wght].ttf`, `wqy-zenhei.ttc`."""
    stem = os.path.basename(path).lower().partition(".")[0].partition("[")[0]  # noqa: PTH119
    stem = stem.replace("_", "").replace(" ", "")
    name, _, style = stem.rpartition("-")
    if not name or not (style in _PLAIN or _STYLED.match(style)):
        return stem.replace("-", ""), True
    return name.replace("-", ""), style in _PLAIN


class Library:
    """The fonts that may be drawn with, in the order in which they are asked.

    What was found once is kept: a font that is installed later is seen by the next process.
    """

    def __init__(self, files: Sequence[str], given: Sequence[str] = ()) -> None:
        self._given: list[Font] = []
        for path in given:
            faces = _faces(path, given=True)
            if faces[0].broken:
                raise DocumentError(f"{path} is no font that can be read", hint="Name a TrueType or OpenType file.")
            self._given += faces
        self._families: dict[str, list[str]] = {}
        others = []
        for path in files:
            name, plain = _family(path)
            if plain:
                self._families.setdefault(name, []).append(path)
            else:
                others.append(path)
        known = {*_MONO, *_WIDE, *_CJK, *_SYMBOLS, *_EMOJI, *(each for many in _OF_SCRIPT.values() for each in many)}
        plain_others = [path for name, paths in self._families.items() if name not in known for path in paths]
        # With serifs last: thin lines do not survive on a printer.
        self._rest = sorted((*plain_others, *others), key=lambda path: (not _family(path)[1], "serif" in path.lower()))
        self._opened: dict[str, list[Font]] = {}
        self._found: dict[tuple[str, str], Font | None] = {}
        self._chains: dict[str, list[Font]] = {}

    def find(self, characters: str, kind: str = "") -> Font | None:
        """The first font that has all of the characters; None: none has.

        Args:
            characters: What is drawn as one: a letter with its marks, an emoji with its joiners.
            kind: "emoji", or a script's tag ("Arab"): whose fonts are asked first.
        """
        key = characters, kind
        if key not in self._found:
            if len(self._found) > 20_000:
                self._found.clear()  # of somebody who tries all of Unicode
            self._found[key] = next((font for font in self._candidates(characters, kind) if font.has(characters)), None)
        return self._found[key]

    def mono(self) -> Font | None:
        """The font of which a cell's size is taken: the first that Latin is drawn with."""
        return self.find("M0")

    def _candidates(self, characters: str, kind: str) -> Iterator[Font]:
        yield from self._given
        if kind not in self._chains:
            first = _EMOJI if kind == "emoji" else _OF_SCRIPT.get(kind, ())
            own = {"": (), "emoji": ()}.get(kind, _NOTO_OF_SCRIPT.get(kind, ()))
            names = dict.fromkeys((*first, *own, *_MONO, *_WIDE, *_CJK, *_SYMBOLS, *_EMOJI))
            self._chains[kind] = [
                font for name in names for path in self._families.get(name, ()) for font in self._open(path)
            ]
        yield from self._chains[kind]
        # Of the rest, which may be thousands, only those are asked that have something near it.
        yield from self._others.get(ord(characters[0]) // _BLOCK, ())

    @cached_property
    def _others(self) -> dict[int, list[Font]]:
        found: dict[int, list[Font]] = {}
        for path in self._rest:
            for font in self._open(path):
                for block in font.blocks():
                    found.setdefault(block, []).append(font)
        return found

    def _open(self, path: str) -> list[Font]:
        if path not in self._opened:
            self._opened[path] = _faces(path)
        return self._opened[path]


_NOTO_OF_SCRIPT: Mapping[str, tuple[str, ...]] = {
    "Deva": ("notosansdevanagari",),
    "Beng": ("notosansbengali",),
    "Taml": ("notosanstamil",),
    "Khmr": ("notosanskhmer",),
    "Mymr": ("notosansmyanmar",),
    "Laoo": ("notosanslao",),
}


def _faces(path: str, *, given: bool = False) -> list[Font]:
    if not path.lower().endswith(("c",)):
        return [Font(path, given=given)]
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return [Font(path, index, given=given) for index in range(len(offsets(file)))]
    except (OSError, ValueError, struct.error):
        return [Font(path, given=given)]


@cache
def _files() -> tuple[str, ...]:
    return tuple(font_files(folders(os.environ, sys.platform)))


@lru_cache(maxsize=16)
def _library(given: tuple[str, ...]) -> Library:
    return Library(_files(), given)


def library(fonts: Sequence[Path] = ()) -> Library:
    """The fonts given, and those of this machine.

    Raises:
        DocumentError: One that was given is no font.
    """
    return _library(tuple(os.fspath(each) for each in fonts))
