"""The printer languages, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.dialects.base import Decoded, Dialect, Query, Reader
from rawprint.dialects.escpos import ESCPOS
from rawprint.dialects.star import STAR
from rawprint.dialects.tspl import TSPL
from rawprint.dialects.zpl import ZPL
from rawprint.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Sequence

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        TSPL,
        ESCPOS,
        STAR,
        ZPL,
    )
}

__all__ = ["DIALECTS", "Decoded", "Dialect", "Query", "Reader", "by_name", "note"]


def by_name(name: str) -> Dialect:
    """The language of this name.

    Raises:
        AddressError: There is none.
    """
    try:
        return DIALECTS[name.lower()]
    except KeyError:
        raise AddressError(f"unknown language {name!r}", hint=f"known: {', '.join(DIALECTS)}") from None


def note(dialect: str, lines: Sequence[str]) -> bytes:
    """Lines for people, as a label or a receipt of their own.

    Args:
        dialect: The printer's language.
        lines: Printable ASCII; any other character becomes "?".

    Raises:
        AddressError: There is no such language.
    """
    return by_name(dialect).note(lines)
