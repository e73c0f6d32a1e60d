"""What a channel is: a way to hear of a network printer's state that leaves its print connection alone."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rawprint.status import Reason

_NOTHING: Mapping[Reason, bool] = MappingProxyType({})


class Report(NamedTuple):
    """What one reply says. With neither field the printer answered that it does not know what it was asked.

    Attributes:
        reasons: What it reports; a reason that it does not mention is absent.
        processing: Whether it says that the printer is printing; None where it does not say.
    """

    reasons: Mapping[Reason, bool] = _NOTHING
    processing: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not self.reasons and self.processing is None


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, as a value: no socket, no clock.

    Attributes:
        name: Its name in configuration and JSON.
        protocol: "udp": each datagram is one reply. "tcp": a connection for each question.
        port: Where the printer listens.
        questions: Each makes a request of a number from 0 to 2^31 - 1, which the reply repeats where the protocol can.
            The first is asked; each further one only where the one before got an empty report.
        decode: (reply, request) -> what it says. None: it is no reply to this request (udp), or more of it is to come
            (tcp). `reply` is never empty. Raises BadReply and nothing else.
        max_reply: Bytes; what comes after them is not looked at.
    """

    name: str
    protocol: Literal["udp", "tcp"]
    port: int
    questions: tuple[Callable[[int], bytes], ...]
    decode: Callable[[bytes, bytes], Report | None]
    max_reply: int = 2048


def always(request: bytes) -> Callable[[int], bytes]:
    """A question whose bytes are always the same."""
    return lambda _number: request
