"""What the languages of labels share: an image buffer, and text that can be turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.virtual.sheets.glyphs import line
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Canvas, Printing

if TYPE_CHECKING:
    import re

    from rawprint.virtual.sheets.paper import Budget, Picture


class Label(Printing):
    """A label printer: fields are drawn on a canvas, which is then printed, any number of times.

    The sheet shows the label as its reader holds it: commands that print it feet first leave it as it is.

    Attributes:
        width: Of the label, in dots.
        height: Of the label, in dots; None = as long as what is on it.
        per_mm: Dots of a millimetre, as the manuals count them: 8 at 203 dpi, 12 at 300.
        dpi: Dots of an inch.
    """

    def __init__(self, budget: Budget, width: int, dpi: int) -> None:
        super().__init__(budget)
        if not 50 <= dpi <= 1200:
            raise ValueError(f"no printer has {dpi} dpi")
        self.dpi, self.per_mm = dpi, round(dpi / 25.4)
        self.head = width
        self.width = width
        self.height: int | None = None
        self._clear()

    def _clear(self) -> None:
        """Begin a label anew."""
        self.canvas = Canvas(self.width, self.height, self.budget)
        self.text = []

    def _resize(self, width: int, height: int | None) -> None:
        if not 1 <= width <= MOST_WIDTH or not (height is None or 1 <= height <= MOST_ROWS):
            raise ValueError(f"no printer takes labels of {width} x {height} dots")
        self.width, self.height = width, height
        self._clear()

    def _print(self, copies: int) -> None:
        self.canvas.reach(1)
        self._out(self.canvas.picture(), copies)

    def _turned(self, picture: Picture, quarters: int) -> Picture:
        self.budget.draw(picture.width, picture.height)
        if quarters % 2:
            self.budget.draw(picture.height, picture.width)
        return picture.turned(quarters)

    def _text(
        self, text: str, cell: tuple[int, int], *, across: int = 1, down: int = 1, gap: int = 0, bold: bool = False
    ) -> Picture:
        text = text[:2000]
        # Large characters are drawn anew each time, which takes far longer than to put them on paper.
        self.budget.work((64 if max(cell) <= 100 else 2048) * cell[1] * len(text))
        made = line(text, *cell, bold=bold, gap=gap)
        self.budget.draw(made.width * across, made.height * down)
        return made.scaled(across, down)

    def _at_turned(self, picture: Picture, x: int, y: int, quarters: int) -> tuple[Picture, int, int]:
        """Turn a picture about its upper left corner, clockwise (TSPL, EPL): and say where it then begins."""
        turned = self._turned(picture, quarters)
        return (
            turned,
            x - (turned.width if quarters in (1, 2) else 0),
            y - (turned.height if quarters in (2, 3) else 0),
        )


def needs(parameters: list[str], count: int) -> None:
    """Say that a command has so many parameters at least.

    Raises:
        IndexError: It has fewer.
    """
    if len(parameters) < count:
        raise IndexError(count)


def parameters(one: re.Pattern[str], text: str) -> list[str]:
    """A command's parameters, split at commas that stand in no string; `one` matches one of them, and the comma or the end."""
    parts: list[str] = []
    at = 0
    while len(parts) < 40:
        found = one.match(text, at)
        if not found:
            return [*parts, text[at:]]
        parts.append(found[1])
        at = found.end()
        if not found[2]:
            break
    return parts
