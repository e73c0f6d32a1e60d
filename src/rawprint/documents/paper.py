"""`Paper`: what a document is printed on, as far as it matters for its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rawprint.documents.languages import LANGUAGES
from rawprint.documents.profiles import UNKNOWN
from rawprint.documents.profiles import profile as find_profile
from rawprint.errors import Unsupported

if TYPE_CHECKING:
    from rawprint.documents.profiles import Profile

Cut = Literal["none", "partial", "full"]

_MM = 25.4
_DPI = 203

# Paper of a receipt printer -> what its head can print on it, millimetres: 80 mm rolls have 72 mm (576 dots at 203 dpi), 58 mm ones
# 48 (384), 112 mm ones 104 (832). UNCONFIRMED for other widths: 8 mm are left white.
_MARGIN = 8.0
_ROLL_MARGINS = ((56.0, 59.0, 48.0), (78.0, 81.0, 72.0), (110.0, 114.0, 104.0))
_ROLL_MM = 80.0
_LABEL_MM = 101.6  # 4 inches


@dataclass(frozen=True, slots=True)
class Paper:
    """What is printed on.

    Attributes:
        dialect: The printer's language, a name of `LANGUAGES`.
        width: Printable dots across.
        height: Of a label, dots; None: as the printer is set, or with a gap of 0, and on a roll, as long as what is printed.
        dpi: Dots per inch.
        gap_mm: Between labels, millimetres; 0: there are none, the paper is a roll; None: as the printer is set.
        profile: What is known of the printer's model.
        cut: What follows a page where the language cuts.
    """

    dialect: str
    width: int
    height: int | None = None
    dpi: int = _DPI
    gap_mm: float | None = None
    profile: Profile = UNKNOWN
    cut: Cut = "none"

    @classmethod
    def of(
        cls,
        dialect: str,
        *,
        width_mm: float | None = None,
        height_mm: float | None = None,
        gap_mm: float | None = None,
        dpi: int | None = None,
        profile: str | None = None,
        cut: Cut = "none",
    ) -> Paper:
        """The paper of a printer of which so much is known.

        Args:
            dialect: Its language.
            width_mm: Width of the paper or label. A receipt printer prints less: 72 mm of 80, 48 of 58. None: what the profile says,
                else 80 mm for receipts and 4 inches for labels.
            height_mm: Height of a label; None: as the printer is set, or with a gap of 0, and on a roll, as long as what is printed.
            gap_mm: Between labels; 0: there are none, the paper is a roll.
            dpi: None: what the profile says, else 203.
            profile: Name of its model; see `rawprint.documents.PROFILES`.
            cut: What follows a page.

        Raises:
            Unsupported: No pictures can be made for that language.
            DocumentError: There is no such profile.
        """
        if dialect not in LANGUAGES:
            raise Unsupported(
                f"documents cannot be printed in {dialect!r}", hint=f"The languages are {', '.join(LANGUAGES)}."
            )
        known = find_profile(profile)
        dpi = dpi or known.dpi or _DPI
        if LANGUAGES[dialect].roll:
            if width_mm is None and known.width is not None:
                width = known.width
            else:
                width = _dots(_printable(width_mm or _ROLL_MM), dpi) // 8 * 8
        else:
            width = _dots(width_mm or _LABEL_MM, dpi)
        height = None if height_mm is None else _dots(height_mm, dpi)
        return cls(dialect, width, height, dpi, gap_mm, known, cut)

    def dots(self, mm: float) -> int:
        """Millimetres in dots, at least one."""
        return max(1, _dots(mm, self.dpi))

    def mm(self, dots: int) -> float:
        """Dots in millimetres."""
        return dots / 8 if self.dpi == _DPI else dots * _MM / self.dpi


def _dots(mm: float, dpi: int) -> int:
    # 203 dpi printers have 8 dots a millimetre, 300 dpi ones 11.8 (TSC's manual calls them 8 and 12).
    return round(mm * 8) if dpi == _DPI else round(mm * dpi / _MM)


def _printable(roll_mm: float) -> float:
    return next((prints for low, high, prints in _ROLL_MARGINS if low <= roll_mm <= high), max(roll_mm - _MARGIN, 8.0))
