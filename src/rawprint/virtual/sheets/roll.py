"""The roll of a receipt printer: a line of characters and pictures, what is below one another, and the cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.virtual.sheets.glyphs import glyph, wide
from rawprint.virtual.sheets.paper import MOST_ROWS, MOST_WIDTH, Canvas, Picture, Printing, filled

if TYPE_CHECKING:
    from rawprint.virtual.sheets.paper import Budget

LEFT, CENTRE, RIGHT = 0, 1, 2


class Roll(Printing):
    """What ESC/POS and Star have in common.

    Nothing is known of the distance from head to cutter: the paper ends where printing ended.

    Attributes:
        width: Of the paper that can be printed on, in dots.
        margin: To the left of the print area, in dots.
        area: Width of the print area, in dots; what is left of the paper, where that is less.
        align: LEFT, CENTRE or RIGHT.
        spacing: Of a line, in dots.
        cell: Width and height of a character of the font, in dots.
        across, down: How many times a character is wide and high.
        gap: To the right of each character, in dots.
        bold, underline, reverse: How characters look; `underline` is the line's thickness in dots.
        codec: Python's name of the code page.
    """

    def __init__(self, budget: Budget, width: int) -> None:
        super().__init__(budget)
        if not 8 <= width <= MOST_WIDTH:
            raise ValueError(f"no printer takes paper of {width} dots")
        self.width = width
        self._begin()

    def _begin(self) -> None:
        self._roll = Canvas(self.width, None, self.budget)
        self._forget_line()

    def _forget_line(self) -> None:
        self._line: list[tuple[int, Picture]] = []
        self._words: list[str] = []
        self._at = 0  # from the left of the print area

    def _set_up(self) -> None:
        """As after power-on."""
        self.margin = 0
        self.area = self.width
        self.align = LEFT
        self.across = self.down = 1
        self.gap = 0
        self.bold = self.reverse = False
        self.underline = 0
        self.cell = (12, 24)

    @property
    def _room(self) -> int:
        return max(min(self.area, self.width - self.margin), 1)

    # -- the line that is not printed yet ----------------------------------------------------------

    def _write(self, text: str) -> None:
        for char in text:
            cells = wide(char)
            base = glyph(char, self.cell[0] * cells, self.cell[1], self.bold)
            step = (base.width + self.gap) * self.across
            if self._at + base.width * self.across > self._room and self._at:
                self._print_line()
            self.budget.draw(step, base.height * self.down)
            cell = Picture(base.width + self.gap, tuple(row << self.gap for row in base.rows))
            cell = cell.scaled(self.across, self.down)
            if self.reverse:
                cell = cell.inverted()
            elif self.underline:
                every = (1 << cell.width) - 1
                cell = Picture(cell.width, (*cell.rows[: -self.underline], *((every,) * self.underline)))
            self._line.append((self._at, cell))
            self._words.append(char)
            self._at += step

    def _put(self, picture: Picture) -> None:
        """Put a picture into the line, among its characters; what goes beyond the print area is lost."""
        self.budget.draw(picture.width, picture.height)
        self._line.append((self._at, picture))
        self._at += picture.width

    def _print_line(self, feed: int | None = None) -> None:
        """Print the line, and feed so far from its top: by default its spacing, and never less than it is high."""
        top = len(self._roll.rows)
        tall = max((picture.height for _, picture in self._line), default=0)
        if self._line:
            across = max(self._at, *(at + picture.width for at, picture in self._line))
            left = self._left(across)
            edge = self.margin + self._room
            for at, picture in self._line:
                self._roll.draw(_cropped(picture, edge - left - at), left + at, top + tall - picture.height)
            if self._words:
                self.text.append("".join(self._words))
        self._roll.reach(top + max(self.spacing if feed is None else feed, tall))
        self._forget_line()

    def _left(self, across: int) -> int:
        spare = max(self._room - across, 0)
        return self.margin + (0, spare // 2, spare)[self.align]

    # -- what is printed at once -------------------------------------------------------------------

    def _feed(self, dots: int) -> None:
        """Print what is in the line, and feed so far."""
        if self._line:
            self._print_line(dots)
        else:
            self._roll.reach(min(len(self._roll.rows) + dots, MOST_ROWS * 2))

    def _picture(self, picture: Picture) -> None:
        """Put a picture directly below what was printed before; what is beyond the print area is lost."""
        if self._line:
            self._print_line()
        left = self._left(picture.width)
        top = len(self._roll.rows)
        self.budget.draw(picture.width, picture.height)
        self._roll.draw(_cropped(picture, self._room), left, top)
        self._roll.reach(top + picture.height)
        self._at = 0

    def _cut(self) -> None:
        if self._line:
            self._print_line()
        self.finish()

    def finish(self) -> None:
        """Tear off what was printed; a line that was not ended is not printed."""
        if self._roll.rows:
            self._out(self._roll.picture())
            self.text = []
            self._roll = Canvas(self.width, None, self.budget)

    spacing: int
    codec: str

    def _decoded(self, data: bytes) -> str:
        return data.decode(self.codec, "replace")


def _cropped(picture: Picture, width: int) -> Picture:
    if width >= picture.width:
        return picture
    if width <= 0:
        return filled(0, 0)
    return Picture(width, tuple(row >> picture.width - width for row in picture.rows))
