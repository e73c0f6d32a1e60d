"""What is known of printer models: widths, code pages, which way of pictures they take, how far the blade is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from rawprint.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.documents.languages.base import Compression

Way = Literal["raster", "graphics", "column"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a model.

    Attributes:
        name: As python-escpos calls it; "" is a printer of which nothing is known.
        width: Dots across that it prints; None: not known.
        dpi: Dots per inch; None: not known.
        columns: Font ("a", "b") -> characters in a line.
        code_pages: `ESC t n` -> the Python codec of that code page; only what is proven.
        way: How it takes pictures: `GS v 0`, `GS ( L` or `ESC *`.
        strip: Rows in one picture command at most, so that its buffer can take it.
        feed_to_cut: Lines from the print head to the blade.
        cuts: What its blade can: "partial", "full".
        compression: How a label printer takes pictures (ZPL): "none" is hexadecimal, "acs" run lengths, "z64" zlib.
    """

    name: str = ""
    width: int | None = None
    dpi: int | None = None
    columns: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    code_pages: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({0: "cp437"}))
    way: Way = "raster"
    strip: int = 128
    feed_to_cut: int = 4
    cuts: frozenset[str] = frozenset({"partial", "full"})
    compression: Compression = "none"

    def __reduce__(self) -> tuple[type[Profile], tuple[object, ...]]:
        """A mapping that cannot be changed cannot be pickled; paper goes to another process, though."""
        values = (getattr(self, each.name) for each in fields(self))
        return Profile, tuple(dict(each) if isinstance(each, MappingProxyType) else each for each in values)


UNKNOWN = Profile()


def profile(name: str | None) -> Profile:
    """The profile of that name; None: nothing is known.

    Raises:
        DocumentError: There is none.
    """
    if not name:
        return UNKNOWN
    raise DocumentError(f"there is no printer profile {name!r}")
