"""`Dots` become the bytes of a page, or of a picture among other commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawprint.documents.images import image
from rawprint.documents.languages import LANGUAGES

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.images import Source
    from rawprint.documents.paper import Paper


def page(dots: Dots, paper: Paper) -> bytes:
    """A whole page: a label from its size to its print command; on a roll the picture, and the cut that the paper says."""
    return LANGUAGES[paper.dialect].page(dots, paper)


def picture(dots: Dots, paper: Paper, x: int | None = None, y: int = 0) -> bytes:
    """The command that draws the picture, to stand among other commands; x and y are dots from the left and the top of a label."""
    return LANGUAGES[paper.dialect].picture(dots, paper, x, y)


def print_image(source: Source, paper: Paper, **options: Any) -> bytes:
    """The bytes that print an image as one page; the options, and what is raised, are those of `image`."""
    return page(image(source, paper, **options), paper)
