"""What a job does beyond printing: the commands in it that not every client may send, found by tokenising its language.

A job that holds none of them costs a search for a few bytes. This reads a job as its printer does that stands at the start of a job:
no command half received, no prefix changed, no image open, immediate commands switched on. It cannot know what another client sent
straight to the printer, nor how a job that ends inside a command changes how the next one is read: so send a job to a printer that
is at a command's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rawprint.filtering import anywhere, escpos, star, tspl, zpl
from rawprint.filtering.base import KINDS, NotableCommand, Row

if TYPE_CHECKING:
    from collections.abc import Iterator


class Language(Protocol):
    """How a language is read."""

    def notable(self, job: bytes, text: tuple[Row, ...]) -> Iterator[NotableCommand]:
        """What is notable in this job, in order; `text` are the rows of all languages whose words it may have."""


LANGUAGES: dict[str, Language] = {
    "tspl": tspl.LANGUAGE,
    "escpos": escpos.LANGUAGE,
    "star": star.LANGUAGE,
    "zpl": zpl.LANGUAGE,
}

__all__ = ["KINDS", "LANGUAGES", "NotableCommand", "notable_commands"]


def notable_commands(job: bytes | bytearray | memoryview, dialect: str | None) -> Iterator[NotableCommand]:
    """The commands in a job that do more than print, in order, as they are asked for.

    What a declared length covers is data, also where it runs past the end of the job; where the parameters of a command are
    such that a printer gives it up, what follows it is read both ways. Never raises; time is linear in the job.

    Args:
        job: What would be sent, whole.
        dialect: The language that it is read as. With None, or a language that is not known here, only what is dangerous in every
            language is found: UEL, PJL, SGD and a few words that are too long to stand in an image by accident.
    """
    data = job if isinstance(job, bytes) else bytes(job)
    language = LANGUAGES.get(dialect.lower()) if dialect else None
    return anywhere.notable(data) if language is None else language.notable(data, anywhere.words(data))
