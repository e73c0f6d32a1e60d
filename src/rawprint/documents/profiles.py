"""What is known of printer models: widths, code pages, which way of pictures they take, how far the blade is.

Most of it is python-escpos's data file, which that project takes from escpos-printer-db; what is known beyond it, or better, are the rows
of `_OVERLAY`.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rawprint.errors import BackendMissing, DocumentError

if TYPE_CHECKING:
    from rawprint.documents.languages.base import Compression

Way = Literal["raster", "graphics", "column"]

PROFILES: tuple[str, ...]
"""The names of all profiles; read when it is asked for, see `profile_names`."""

NO_CHARACTER = "\ufffd"
"""What stands in a `Profile.code_tables` where the code page has no character."""

_K = TypeVar("_K")
_V = TypeVar("_V")

_DATA_MOST = 8 * 1024 * 1024  # bytes; python-escpos 3.1 has 96,417
_HINT = "pip install python-escpos"


class Table(Mapping[_K, _V]):
    """A mapping that cannot be changed, so that it has a hash; and that can be sent to another process, which a mappingproxy cannot."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[_K, _V] | tuple[tuple[_K, _V], ...] = ()) -> None:
        self._rows = dict(rows)

    def __getitem__(self, key: _K) -> _V:
        return self._rows[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __hash__(self) -> int:
        return hash(frozenset(self._rows.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (tuple(self._rows.items()),)

    def __repr__(self) -> str:
        return f"Table({self._rows!r})"


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a model. Mappings that are given are copied; it has a hash and can be pickled.

    Attributes:
        name: As python-escpos calls it; "" is a printer of which nothing is known.
        width: Dots across that it prints; None: not known.
        dpi: Dots per inch; None: not known.
        columns: Font ("a", "b") -> characters in a line.
        code_pages: `ESC t n` -> the Python codec of that code page, one byte a character; only what is proven.
        code_tables: `ESC t n` -> the characters of the bytes 128 to 255, for code pages that Python has no codec for.
        way: How it takes pictures: `GS v 0`, `GS ( L` or `ESC *`.
        strip: Rows in one picture command at most, so that its buffer can take it.
        feed_to_cut: Lines from the print head to the blade; without a blade, to the edge at which paper is torn.
        cuts: What its blade can: "partial", "full"; empty: it has none.
        compression: How a label printer takes pictures (ZPL): "none" is hexadecimal, "acs" run lengths, "z64" zlib.
        promises: What it is documented to answer, as `rawprint.PROMISES` names it; absent does not mean that it does not.
    """

    name: str = ""
    width: int | None = None
    dpi: int | None = None
    columns: Mapping[str, int] = field(default_factory=Table[str, int])
    code_pages: Mapping[int, str] = field(default_factory=lambda: Table(((0, "cp437"),)))
    code_tables: Mapping[int, str] = field(default_factory=Table[int, str])
    way: Way = "raster"
    strip: int = 128
    feed_to_cut: int = 4
    cuts: frozenset[str] = frozenset({"partial", "full"})
    compression: Compression = "none"
    promises: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Mapping) and not isinstance(value, Table):
                object.__setattr__(self, each.name, Table(value))


UNKNOWN = Profile()

_PC437 = Table({0: "cp437"})

# Our own, for printers without a name that anybody knows: what nearly all of their class do.
_GENERIC = {
    each.name: each
    for each in (
        # 72 mm of 80, 203 dpi; partial cuts alone (protocols of POS-80XX and Xprinter); ReceiptPrinterEncoder has 4 lines for XP-N160II,
        # XP-T80Q and POS-8360. Which code pages they have, differs: only 0 is the same in all.
        Profile("generic-80", 576, 203, Table({"a": 48, "b": 64}), _PC437, strip=128, cuts=frozenset({"partial"})),
        # 48 mm of 58, 203 dpi; no blade (NT-5890K, POS-5890 and ZJ-5870 have none), rows as for POS-5890K below.
        Profile("generic-58", 384, 203, Table({"a": 32}), _PC437, strip=40, feed_to_cut=1, cuts=frozenset()),
    )
}

# What goes before python-escpos's data: each row with its symptom and its source.
# python-escpos#424: after `GS v 0` with 96, 144, 192 or 240 rows (each multiple of 48) a POS-5890K ignores the text that follows, and
# prints a shifted picture and garbage in the next. 40 rows never are a multiple of 48, nor is what is left of a picture.
# UNCONFIRMED for its sisters. ReceiptPrinterEncoder (data/printers/pos-5890.json) feeds one line there.
_POS_5890 = {"strip": 40, "feed_to_cut": 1}
_OVERLAY: Mapping[str, Mapping[str, Any]] = {
    "POS-5890": _POS_5890,
    "NT-5890K": _POS_5890,
    "ZJ-5870": _POS_5890,
    # escpos-printer-db has "12" and "9" columns: those are the dots of a character (576 / 12 = 48, 576 / 9 = 64), and whoever wraps
    # text at 12 columns gets a strip at the left edge. UNCONFIRMED on the device.
    "NT-80-V-UL": {"columns": Table({"a": 48, "b": 64})},
    # It is the sum of what any printer has: text in a code page that this one has not is printed as other characters. These are
    # in the manuals of HOP-E80 and POS-80XX and in Epson's guide alike; above 19 each maker has its own.
    "default": {
        "code_pages": Table(
            {
                0: "cp437",
                2: "cp850",
                3: "cp860",
                4: "cp863",
                5: "cp865",
                16: "cp1252",
                17: "cp866",
                18: "cp852",
                19: "cp858",
            }
        ),
        "code_tables": Table[int, str](),
    },
    # Its specification lists `GS ( H` function 48, which tells that a job was printed; TM-T88III and TM-U220 are listed as without it
    # (Epson's application programming guide, p.425).
    "TM-L90": {"promises": frozenset({"process-id"})},
}

# python-escpos#662: an IHR810, which has no profile of its own, jams at pictures above 400 rows; NielsLeenheer/ReceiptPrinterEncoder#16:
# an EC400 reads the low byte of a height alone, so that 288 rows print 32 and the rest as text. The default of 128 rows is for them.


def profile_names() -> tuple[str, ...]:
    """The names of all profiles: python-escpos's, but those of displays, and ours.

    Raises:
        BackendMissing: python-escpos is not there.
    """
    return tuple(sorted({*_GENERIC, *(name for name, data in capabilities()["profiles"].items() if _way(data))}))


def profile(name: str | None) -> Profile:
    """The profile of that name, the same object each time; None: nothing is known.

    Raises:
        DocumentError: There is none.
        BackendMissing: It is one of python-escpos's, which is not there.
    """
    return _profile(name) if name else UNKNOWN


@lru_cache(maxsize=256)
def _profile(name: str) -> Profile:
    if name in _GENERIC:
        return _GENERIC[name]
    names = profile_names()
    if name not in names:
        cases = {each.casefold(): each for each in names}
        near = get_close_matches(name[:64].casefold(), cases, n=3, cutoff=0.5)
        hint = (
            f"Did you mean {' or '.join(cases[each] for each in near)}?" if near else f"There are {', '.join(names)}."
        )
        raise DocumentError(f"there is no printer profile {name[:64]!r}", hint=hint)
    return replace(_read(name, capabilities()["profiles"][name]), **_OVERLAY.get(name, {}))


@lru_cache(maxsize=1)
def capabilities() -> dict[str, dict[str, Any]]:
    """python-escpos's data: "profiles" and "encodings", each by name; nobody changes it.

    It is read as the file that it is: python-escpos itself takes 0.2 s to be imported, and most of that for this file.

    Raises:
        BackendMissing: It is not there, or cannot be read.
    """
    try:
        # Imports the package "escpos" alone, which holds a version number.
        with files("escpos").joinpath("capabilities.json").open("rb") as file:
            text = file.read(_DATA_MOST + 1)
        if len(text) > _DATA_MOST:
            raise ValueError("it is too long")
        found = json.loads(text)
        return {
            part: {name: data for name, data in found[part].items() if isinstance(data, dict)}
            for part in ("profiles", "encodings")
        }
    except ImportError as error:
        raise BackendMissing("printer profiles come with python-escpos", hint=_HINT) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BackendMissing(
            f"the printer profiles of python-escpos cannot be read: {error}"[:300], hint=_HINT
        ) from error


def _read(name: str, data: Mapping[str, Any]) -> Profile:
    """One profile of python-escpos; what it leaves open ("Unknown"), stays open here."""
    media = _dict(data, "media")
    features = _dict(data, "features")
    fonts = {
        chr(ord("a") + int(number)): columns
        for number, font in sorted(_dict(data, "fonts").items())
        if number.isdecimal() and int(number) < 26 and (columns := _whole(_dict({"": font}, "").get("columns")))
    }
    code_pages: dict[int, str] = {}
    code_tables: dict[int, str] = {}
    for number, encoding in sorted(_dict(data, "codePages").items(), key=lambda row: (len(row[0]), row[0])):
        if not number.isdecimal() or int(number) > 255:
            continue
        codec, table = characters(encoding)
        if codec:
            code_pages[int(number)] = codec
        elif table:
            code_tables[int(number)] = table
    cuts = {"full": features.get("paperFullCut"), "partial": features.get("paperPartCut")}
    return Profile(
        name,
        width=_whole(_dict(media, "width").get("pixels")),
        dpi=_whole(media.get("dpi")),
        columns=Table(fonts),
        code_pages=Table(code_pages),
        code_tables=Table(code_tables),
        way=_way(data) or "raster",
        cuts=frozenset(kind for kind, has in cuts.items() if has is True),
    )


@lru_cache(maxsize=256)
def characters(encoding: str) -> tuple[str, str]:
    """A code page of python-escpos's: the Python codec, or else the characters of the bytes from 128 on; both "" where nobody knows them."""
    known = _dict(capabilities()["encodings"], encoding)
    rows = known.get("data")
    if isinstance(rows, list):
        # A space there is a place without a character; the real one is below 128.
        table = "".join(map(str, rows)).replace(" ", NO_CHARACTER)
        return "", table if len(table) == 128 else ""
    # "python_encode" is not given for all that Python has: RK1048 is its kz1048.
    for name in (known.get("python_encode"), known.get("iconv")):
        if not isinstance(name, str):
            continue
        try:
            codec = codecs.lookup(name).name
            single = [bytes((byte,)).decode(codec, "replace") for byte in range(128, 256)]
            several = len(b"\x88\x9f".decode(codec, "replace")) == 1  # a kanji of cp932
        except (LookupError, ValueError):  # no such codec, or one that is not for text
            continue
        if not several:
            return codec, ""
        # Of such a codec a printer has the single bytes alone under `ESC t`: of cp932 the katakana.
        return "", "".join(each if len(each) == 1 and each.isprintable() else NO_CHARACTER for each in single)
    return "", ""


def _way(data: Mapping[str, Any]) -> Way | None:
    """How a printer takes pictures: `GS v 0` where it can, which clones know best; None: not at all, as the customer displays there."""
    features = _dict(data, "features")
    ways: tuple[tuple[str, Way], ...] = (
        ("bitImageRaster", "raster"),
        ("graphics", "graphics"),
        ("bitImageColumn", "column"),
    )
    return next((way for feature, way in ways if features.get(feature) is True), None)


def _dict(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else None


def __getattr__(name: str) -> object:
    """`PROFILES` is read from python-escpos's data when somebody asks for it."""
    if name == "PROFILES":
        return profile_names()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
