"""What the picture side of a printer language is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.documents.dots import Dots
    from rawprint.documents.paper import Paper

Compression = Literal["none", "acs", "z64"]


def _no_cut(_paper: Paper) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Language:
    """How pictures are printed in a language.

    Attributes:
        name: That of the dialect.
        roll: Whether paper is a roll that text and pictures follow each other on; else each page is a label that is composed first.
        picture: (dots, paper, x, y) -> the command that draws, in the midst of others. On a roll it stands at the left edge where x is
            None; y has no meaning there.
        page: (dots, paper) -> a whole page: a label from its beginning to its print command, or on a roll the picture and the cut.
        begin: What a print on a roll begins with that is not the caller's own from its first byte on: a job of before may have left any size,
            alignment or mode.
        cut: (paper) -> what ends a print on a roll: the feed to the blade and the cut that the paper says; of labels nothing.
        store: (dots, paper, name) -> commands that keep the picture in the printer under a name of `names`; None: it cannot.
        recall: (name, paper, x, y) -> the command that draws a kept picture, as `picture`.
        names: What names of kept pictures look like, as a regular expression.
    """

    name: str
    roll: bool
    picture: Callable[[Dots, Paper, int | None, int], bytes]
    page: Callable[[Dots, Paper], bytes]
    begin: bytes = b""
    cut: Callable[[Paper], bytes] = _no_cut
    store: Callable[[Dots, Paper, str], bytes] | None = None
    recall: Callable[[str, Paper, int | None, int], bytes] | None = None
    names: str = ""
