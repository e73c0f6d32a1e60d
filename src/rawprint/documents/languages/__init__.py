"""How each printer language takes pictures: one file per language, and the table of them.

A language is a value: functions from `Dots` to bytes, which know no files, no fonts and no clock.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rawprint.documents.languages.cpcl import CPCL
from rawprint.documents.languages.epl import EPL
from rawprint.documents.languages.escpos import ESCPOS
from rawprint.documents.languages.star import STAR
from rawprint.documents.languages.tspl import TSPL
from rawprint.documents.languages.zpl import ZPL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.documents.languages.base import Language

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {language.name: language for language in (TSPL, ESCPOS, STAR, ZPL, EPL, CPCL)}
)
"""Name of the dialect -> how pictures are printed in it; EPL and CPCL are encoders alone, their status is not read."""
