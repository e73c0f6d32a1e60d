"""What a job does beyond printing: the commands in it that not every client may send, found by tokenising its language.

A job that holds none of them costs a search for a few bytes. This reads a job as its printer does that stands at the start of a job:
no command half received, no prefix changed, no image open, immediate commands switched on. A job that does not leave it so has an
"unfinished" command: the printer would take the beginning of the next job for its data, and that job's data for commands. It cannot know
what another client sent straight to the printer, nor of a connection that broke inside a job: so send a job to a printer that is at
a command's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rawprint.filtering import anywhere, escpos, star, tspl, zpl
from rawprint.filtering.base import KINDS, NotableCommand, Row

if TYPE_CHECKING:
    from collections.abc import Iterator


class Language(Protocol):
    """How a language is read.

    A command is "unfinished" where its parameters, its declared data or its image go on behind the job's end, or the other half of
    its name may: once, at the first such command. ZPL without `^XZ` and TSPL without the last line end are not: the printer is
    still at a place where the next job's commands are commands. Of a command that no manual has, nobody knows.
    """

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

    What a declared length covers is data; where it runs past the end of the job, the command is "unfinished". Where the parameters
    of a command are such that a printer gives it up, what follows it is read both ways. Never raises; time is linear in the job.

    Args:
        job: What would be sent, whole.
        dialect: The language that it is read as. With None, or a language that is not known here, only what is dangerous in every
            language is found: UEL, PJL, SGD and a few words that are too long to stand in an image by accident.
    """
    data = job if isinstance(job, bytes) else bytes(job)
    language = LANGUAGES.get(dialect.lower()) if dialect else None
    commands = anywhere.notable(data) if language is None else language.notable(data, anywhere.words(data))
    half = anywhere.half(data)
    return commands if half is None else _with(commands, half)


def _with(commands: Iterator[NotableCommand], half: NotableCommand) -> Iterator[NotableCommand]:
    """With this unfinished command in its place, unless there is one before it: each job has one at most."""
    told = False
    for command in commands:
        if not told and command.offset > half.offset:
            told = True
            yield half
        if command.kind == "unfinished":
            if told:
                continue
            told = True
        yield command
    if not told:
        yield half
