"""A person talks to a printer in bytes: what came back in words, and what may be missing from what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint.errors import BadReply
from rawprint.filtering import notable_commands

if TYPE_CHECKING:
    from rawprint.dialects import Decoded, Dialect

_MOST_WORDS = 200  # replies that are put into words
_MOST_MISSING = 1 << 20  # bytes: no image that is worth waiting for has more


def in_words(dialect: Dialect | None, sent: bytes, received: bytes) -> list[str]:
    """What came back, one line a reply, as far as the language's own decoder understands it.

    Args:
        dialect: The language; None: nothing is understood.
        sent: With the questions that are answered; one that the language does not know has no answer in words.
        received: All that came.
    """
    if dialect is None:
        return []
    known = {query.request: query for query in (*dialect.queries, *dialect.identity, *dialect.fences) if query.request}
    found = sorted((at, query) for request, query in known.items() for at in _places(sent, request))
    asked = tuple(query for _, query in found[:_MOST_WORDS])
    lines: list[str] = []
    while received and len(lines) < _MOST_WORDS:
        try:
            decoded = dialect.decode(received, asked)
        except BadReply as error:
            lines.append(f"not understood: {error.message}")
            break
        if decoded is None:
            lines.append(f"not whole: {received[:64].hex(' ')}")
            break
        lines.append(_line(decoded))
        if decoded.answers in asked:
            asked = asked[asked.index(decoded.answers) + 1 :]
        received = received[decoded.used :]
    return lines


def missing(dialect: str | None, sent: bytes, *, whole: bool) -> int:
    """How many NUL bytes may have to follow until the printer is at the beginning of a command again; 0: it is there.

    Where no number of them helps, such as in a text that has no end, it is 1: then it takes the language's own way out.

    Args:
        dialect: The language.
        sent: What the printer has got.
        whole: Whether that is all that it was to get.
    """
    if whole and not _unfinished(dialect, sent):
        return 0
    count = 1
    while count <= _MOST_MISSING:
        if not _unfinished(dialect, sent + bytes(count)):
            return count
        count *= 4
    return 1


def _unfinished(dialect: str | None, data: bytes) -> bool:
    return any(command.kind == "unfinished" for command in notable_commands(data, dialect))


def _places(sent: bytes, request: bytes) -> list[int]:
    places: list[int] = []
    at = sent.find(request)
    while at >= 0 and len(places) < _MOST_WORDS:
        places.append(at)
        at = sent.find(request, at + len(request))
    return places


def _line(decoded: Decoded) -> str:
    name = "unasked" if decoded.answers is None else decoded.answers.name
    said = [f"{reason.value}: {'yes' if true else 'no'}" for reason, true in decoded.reasons.items()]
    if decoded.processing is not None:
        said.append(f"processing: {'yes' if decoded.processing else 'no'}")
    said += [f"{key}: {value}" for key, value in decoded.identity.items()]
    if decoded.drawer_high is not None:
        said.append(f"drawer pin: {'high' if decoded.drawer_high else 'low'}")
    return f"{name}: {', '.join(said) or 'nothing wrong'}"
