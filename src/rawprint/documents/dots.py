"""`Dots`: a picture as printers have it, one bit a dot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from PIL.Image import Image

_SWAPPED = bytes(each ^ 0xFF for each in range(256))


@dataclass(frozen=True, slots=True)
class Dots:
    """A picture: rows from the top, the left dot of a row in its first byte's high bit, 1 = black.

    Attributes:
        width: Dots, at least 1.
        height: Rows, at least 0.
        data: `stride * height` bytes; the bits behind the last dot of a row are 0.
    """

    width: int
    height: int
    data: bytes

    @property
    def stride(self) -> int:
        """Bytes of one row."""
        return (self.width + 7) // 8

    @classmethod
    def blank(cls, width: int, height: int) -> Dots:
        """White paper."""
        return cls(width, height, bytes((width + 7) // 8 * height))

    @classmethod
    def of(cls, image: Image) -> Dots:
        """A Pillow image of mode "1", black on white."""
        return cls(image.width, image.height, image.tobytes("raw", "1;I"))

    def image(self) -> Image:
        """The same as a Pillow image of mode "1", black on white."""
        from PIL import Image  # noqa: PLC0415

        return Image.frombytes("1", (self.width, self.height), self.data, "raw", "1;I")

    def rows(self, first: int, last: int) -> memoryview:
        """The bytes of the rows from `first` up to and without `last`; nothing is copied."""
        return memoryview(self.data)[first * self.stride : last * self.stride]

    def strips(self, rows: int) -> Iterator[Dots]:
        """The picture cut into pieces of at most so many rows, from the top."""
        for top in range(0, self.height, rows):
            height = min(rows, self.height - top)
            yield Dots(self.width, height, bytes(self.rows(top, top + height)))

    def swapped(self) -> bytes:
        """`data` with 0 = black; the bits behind the last dot are 1, so that they stay white there."""
        return self.data.translate(_SWAPPED)

    def placed(self, width: int, align: str = "left") -> Dots:
        """On paper of another width: "left", "center" or "right"; what does not fit is cut off.

        A place is a whole number of dots; where it need not move, the rows are only made longer or shorter.
        """
        if width == self.width:
            return self
        left = {"left": 0, "center": (width - self.width) // 2, "right": width - self.width}[align]
        from PIL import Image  # noqa: PLC0415

        paper = Image.new("1", (width, self.height), 1)
        paper.paste(self.image(), (left, 0))
        return Dots.of(paper)

    def inked(self) -> tuple[int, int, int, int] | None:
        """Left, top, right and bottom (each behind the last dot) of what is black; None: nothing is."""
        from PIL import ImageChops  # noqa: PLC0415

        return ImageChops.invert(self.image().convert("L")).getbbox()

    def cropped(self, *, sides: bool = True) -> Dots:
        """Without the white around it; at least one dot is left.

        Args:
            sides: Whether left and right are cropped, too.
        """
        image = self.image()
        box = self.inked()
        if box is None:
            return Dots.blank(1 if sides else self.width, 1)
        left, top, right, bottom = box
        return Dots.of(image.crop((left, top, right, bottom) if sides else (0, top, self.width, bottom)))

    @classmethod
    def stacked(cls, pieces: Iterable[Dots]) -> Dots:
        """Pieces of one width below each other.

        Raises:
            ValueError: There is none, or they have different widths.
        """
        several = list(pieces)
        if len({piece.width for piece in several}) != 1:
            raise ValueError("only pieces of one width can be stacked")
        return cls(several[0].width, sum(each.height for each in several), b"".join(each.data for each in several))
