"""Paper in dots: pictures, the canvas of a label, the roll of a receipt, and the finished sheet.

A row is one whole number: its highest bit is the left dot, 1 = black. So a picture lands on paper with one shift.
"""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003  (a dataclass's annotations are read by tools)
from dataclasses import dataclass, field
from functools import cached_property

# Wider than any head that is sold (A4 at 300 dpi: 2480 dots), and 25 m of roll.
MOST_WIDTH = 4096
MOST_ROWS = 200_000

# A batch of labels; copies cost nothing, but somebody will write each to a file.
MOST_SHEETS = 10_000

# Of all sheets of a job together, but for copies. A row of few dots takes as much memory as one of `_LEAST_ROW`.
MOST_DOTS = MOST_WIDTH * MOST_ROWS
_LEAST_ROW = 512

# What all drawing of one job may touch. A narrow row takes as long as one of `_LEAST_COST` dots.
_MOST_DRAWN = 4 * MOST_DOTS
_LEAST_COST = 64

_NUMBER = re.compile(r"[+-]?\d{1,7}(\.\d{1,9})?")


@dataclass(frozen=True)
class Sheet:
    """A piece of paper as it came out of a printer.

    Attributes:
        width: In dots; at least 1.
        height: In dots; at least 1.
        data: Its rows from the top, each of (width + 7) // 8 bytes; the high bit is the left dot, 1 = black, and
            what pads a row is 0.
        text: The lines (receipts) or fields (labels) that were printed with the printer's own fonts.
        unknown: The commands since the sheet before that were not understood, or not obeyed, as they came: at most
            1000, and the first 64 bytes of each.
    """

    width: int
    height: int
    data: bytes
    text: tuple[str, ...] = ()
    unknown: tuple[bytes, ...] = ()

    def png(self) -> bytes:
        """Return the sheet as a PNG file of black and white."""
        import io  # noqa: PLC0415

        from PIL import Image  # noqa: PLC0415

        white = bytes(255 - byte for byte in range(256))
        image = Image.frombytes("1", (self.width, self.height), self.data.translate(white))
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


@dataclass(frozen=True)
class Picture:
    """Dots that are to be put on paper.

    Attributes:
        width: In dots.
        rows: From the top; the bit of value 1 is the right dot.
    """

    width: int
    rows: tuple[int, ...]

    @property
    def height(self) -> int:
        """In dots."""
        return len(self.rows)

    @staticmethod
    def of_bytes(
        data: bytes, row_bytes: int, rows: int, *, width: int | None = None, white_on: bool = False
    ) -> Picture:
        """Read rows of whole bytes; what is missing is white.

        Args:
            data: The rows.
            row_bytes: Of each row.
            rows: How many.
            width: In dots, where the last byte of a row is not full; default: all of it.
            white_on: 1 = white.
        """
        wide = row_bytes * 8
        width = wide if width is None else width
        every = (1 << wide) - 1
        flip = every if white_on else 0
        made = []
        for at in range(0, rows * row_bytes, row_bytes) if row_bytes else ():
            row = data[at : at + row_bytes]
            if not row:
                made.append(0)
                continue
            value = int.from_bytes(row, "big") << 8 * (row_bytes - len(row))
            made.append((value ^ flip) >> wide - width if len(row) == row_bytes else value >> wide - width)
        return Picture(width, tuple(made))

    @staticmethod
    def of_columns(data: bytes, columns: int, column_bytes: int) -> Picture:
        """Read columns of whole bytes, from the left; the high bit is the upper dot."""
        standing = Picture.of_bytes(data, column_bytes, columns)
        rows = zip(*(_bits(row, standing.width) for row in standing.rows), strict=True)
        return Picture(columns, tuple(int("".join(row), 2) for row in rows))

    def scaled(self, across: int, down: int) -> Picture:
        """Each dot becomes `across` x `down` dots."""
        rows = self.rows
        if across > 1:
            rows = tuple(
                int(_bits(row, self.width).replace("1", "1" * across).replace("0", "0" * across) or "0", 2)
                for row in rows
            )
        if down > 1:
            rows = tuple(row for row in rows for _ in range(down))
        return Picture(self.width * across, rows)

    def turned(self, quarters: int) -> Picture:
        """Turned clockwise by so many quarters."""
        quarters %= 4
        if not quarters or not self.rows or not self.width:
            return self
        lines = [_bits(row, self.width) for row in self.rows]
        if quarters == 2:
            return Picture(self.width, tuple(int(line[::-1], 2) for line in reversed(lines)))
        if quarters == 1:
            turned = ["".join(column) for column in zip(*reversed(lines), strict=True)]
        else:
            turned = ["".join(column) for column in zip(*lines, strict=True)][::-1]
        return Picture(self.height, tuple(int(line, 2) for line in turned))

    def mirrored(self) -> Picture:
        """Left becomes right."""
        return Picture(self.width, tuple(int(_bits(row, self.width)[::-1] or "0", 2) for row in self.rows))

    def inverted(self) -> Picture:
        """Black becomes white."""
        every = (1 << self.width) - 1
        return Picture(self.width, tuple(row ^ every for row in self.rows))


def filled(width: int, height: int) -> Picture:
    """A black rectangle."""
    return Picture(max(width, 0), ((1 << max(width, 0)) - 1,) * max(height, 0))


def framed(width: int, height: int, thick: int) -> Picture:
    """A rectangle's border of `thick` dots, inside of its size."""
    if thick * 2 >= min(width, height):
        return filled(width, height)
    full = (1 << width) - 1
    sides = full ^ ((1 << width - 2 * thick) - 1 << thick)
    return Picture(width, (full,) * thick + (sides,) * (height - 2 * thick) + (full,) * thick)


def ellipse(width: int, height: int, thick: int) -> Picture:
    """An ellipse's line of `thick` dots, inside of its size."""

    def half(y: float, across: float, down: float) -> float:
        return across * max(0.0, 1 - (y / down) ** 2) ** 0.5 if down > 0 and abs(y) < down else 0.0

    rows = []
    for at in range(height):
        y = at + 0.5 - height / 2
        outer = round(half(y, width / 2, height / 2))
        inner = round(half(y, width / 2 - thick, height / 2 - thick))
        if not outer:
            rows.append(0)
            continue
        row = (1 << min(2 * outer, width)) - 1 << max(width // 2 - outer, 0)
        hole = (1 << 2 * inner) - 1 << max(width // 2 - inner, 0)
        rows.append(row & ~hole)
    return Picture(width, tuple(rows))


def _bits(row: int, width: int) -> str:
    return f"{row:0{width}b}" if width else ""


def whole(text: str | bytes, default: int = 0) -> int:
    """The whole number that a parameter says; `default` where it says none."""
    return int(decimal(text, default))


def decimal(text: str | bytes, default: float = 0) -> float:
    """The number that a parameter says; `default` where it says none."""
    found = _NUMBER.match((text.decode("latin-1") if isinstance(text, bytes) else text).strip())
    return float(found[0]) if found else default


class Budget:
    """What one job may still draw, so that hostile bytes end in a `ValueError` and not in a busy hour."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin a new job."""
        self._drawn = _MOST_DRAWN
        self._paper = MOST_DOTS
        self._sheets = MOST_SHEETS

    def draw(self, width: int, height: int) -> None:
        """Account for a picture, before it is made.

        Raises:
            ValueError: It is too wide or too high, or the job has drawn too much.
        """
        if not (0 <= width <= 2 * MOST_WIDTH and 0 <= height <= MOST_ROWS):
            raise ValueError(f"no printer takes a picture of {width} x {height} dots")
        self.work(max(width, _LEAST_COST) * height)

    def work(self, dots: int) -> None:
        """Account for what takes as long as drawing so many dots.

        Raises:
            ValueError: The job has drawn too much.
        """
        self._drawn -= dots
        if self._drawn < 0:
            raise ValueError("the job draws more than a printer's memory or a roll of paper takes")

    def sheets(self, width: int, height: int, count: int) -> None:
        """Account for a sheet and its copies.

        Raises:
            ValueError: They are too many, or the job needs too much paper.
        """
        self._paper -= max(width, _LEAST_ROW) * height
        if self._paper < 0:
            raise ValueError(f"the job needs more than {MOST_DOTS} dots of paper")
        self._sheets -= count
        if self._sheets < 0:
            raise ValueError(f"the job prints more than {MOST_SHEETS} sheets")


@dataclass
class Canvas:
    """An area of a known width that is drawn on.

    Attributes:
        width: In dots.
        height: In dots; None = it grows with what is drawn.
        budget: What may still be drawn.
        rows: Those there are.
    """

    width: int
    height: int | None
    budget: Budget
    rows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MOST_WIDTH or (self.height is not None and not 1 <= self.height <= MOST_ROWS):
            raise ValueError(f"no printer takes paper of {self.width} x {self.height} dots")
        if self.height is not None:
            self.budget.draw(0, self.height)
            self.rows = [0] * self.height

    @cached_property
    def _every(self) -> int:
        return (1 << self.width) - 1

    def reach(self, bottom: int) -> None:
        """Have rows down to there, if it grows.

        Raises:
            ValueError: There is not so much paper.
        """
        more = bottom - len(self.rows)
        if self.height is None and more > 0:
            if bottom > MOST_ROWS:
                raise ValueError(f"the job needs more than {MOST_ROWS} rows of paper in one piece")
            self.budget.draw(0, more)
            self.rows += [0] * more

    def draw(self, picture: Picture, x: int, y: int) -> None:
        """Let black dots become black."""
        self._each(picture, x, y, lambda old, new, _: old | new)

    def replace(self, picture: Picture, x: int, y: int) -> None:
        """Let its area become as the picture."""
        self._each(picture, x, y, lambda old, new, area: old & ~area | new)

    def flip(self, picture: Picture, x: int, y: int) -> None:
        """Let dots change where the picture is black."""
        self._each(picture, x, y, lambda old, new, _: old ^ new)

    def clear(self, picture: Picture, x: int, y: int) -> None:
        """Let dots become white where the picture is black."""
        self._each(picture, x, y, lambda old, new, _: old & ~new)

    def _each(self, picture: Picture, x: int, y: int, change: Callable[[int, int, int], int]) -> None:
        self.budget.draw(picture.width, picture.height)
        if x >= self.width or x + picture.width <= 0:
            return
        self.reach(y + picture.height)
        shift = self.width - x - picture.width
        area = self._moved((1 << picture.width) - 1, shift)
        for at, row in enumerate(picture.rows[max(-y, 0) :], max(y, 0)):
            if at >= len(self.rows):
                break
            self.rows[at] = change(self.rows[at], self._moved(row, shift), area)

    def _moved(self, row: int, shift: int) -> int:
        return (row << shift if shift >= 0 else row >> -shift) & self._every

    def picture(self) -> Picture:
        """What is on it."""
        return Picture(self.width, tuple(self.rows))


class Printing:
    """What every language shares: finished sheets, and what belongs to the next one.

    Attributes:
        budget: What may still be drawn.
        done: Finished sheets.
        text: What is written on the sheet that is not finished.
        unknown: Commands since the last sheet that were not obeyed.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.done: list[Sheet] = []
        self.text: list[str] = []
        self.unknown: list[bytes] = []

    def job(self, data: bytes) -> list[Sheet]:
        """Print a job, on a printer that stays on, and return what came out; a sheet may be in it yet.

        Raises:
            ValueError: It is larger than any printer takes; then the printer is of no more use.
        """
        self.budget.renew()
        self.run(data)
        done, self.done = self.done, []
        return done

    def run(self, data: bytes) -> None:
        """Print a job, or the next part of it, which ends with a command's end.

        Raises:
            ValueError: It is larger than any printer takes.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Tear off what has been printed since the last sheet."""

    def _ignore(self, command: bytes) -> None:
        """Note a command that was not obeyed; a long one by its beginning."""
        if len(self.unknown) < 1000:
            self.unknown.append(bytes(command[:64]))

    def _out(self, picture: Picture, copies: int = 1) -> None:
        copies = max(copies, 1)
        self.budget.sheets(picture.width, picture.height, copies)
        row_bytes = (picture.width + 7) // 8
        shift = row_bytes * 8 - picture.width
        data = b"".join((row << shift).to_bytes(row_bytes, "big") for row in picture.rows)
        sheet = Sheet(picture.width, picture.height, data, tuple(self.text), tuple(self.unknown))
        self.done += [sheet] * copies
        self.unknown = []
