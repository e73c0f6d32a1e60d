"""Records what goes over a transport as a transcript: text that people read and the tests replay.

> 1b 21 3f
< 04
= media-empty: yes  cover-open: no  processing: no
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, TextIO

from rawprint.errors import BadReply
from rawprint.transports.base import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rawprint.dialects import Decoded
    from rawprint.status import Reason

_WIDTH = 32  # bytes a line


class Sink(Protocol):
    """What a `Trace` tells: `Transcript`, or whatever keeps the same."""

    def sent(self, data: bytes) -> None:
        """Bytes that the transport took."""

    def received(self, data: bytes) -> None:
        """Bytes that came."""

    def note(self, text: str) -> None:
        """A comment."""


class Transcript:
    """Writes the lines; one of them serves every connection of a command."""

    def __init__(self, out: TextIO, *comments: str) -> None:
        self.error: OSError | None = None  # why it is not complete
        self._out = out
        self._lock = threading.Lock()
        self._write("#", *comments)

    def sent(self, data: bytes) -> None:
        """Bytes that the transport took."""
        self._hex(">", data)

    def received(self, data: bytes) -> None:
        """Bytes that came."""
        self._hex("<", data)

    def decoded(self, decoded: Decoded | BadReply) -> None:
        """What they said."""
        if isinstance(decoded, BadReply):
            self._write("=", decoded.code)
            return
        said = describe(decoded)
        self._write("=", said if decoded.answers else f"push  {said}".rstrip())

    def note(self, text: str) -> None:
        """A comment."""
        self._write("#", text)

    def _hex(self, mark: str, data: bytes) -> None:
        self._write(mark, *(data[i : i + _WIDTH].hex(" ") for i in range(0, len(data), _WIDTH)))

    def _write(self, mark: str, *lines: str) -> None:
        with self._lock:
            if self.error is not None:
                return
            try:
                for line in lines:
                    self._out.write(f"{mark} {line}\n")
                self._out.flush()
            except OSError as error:  # a full disk must not stop the printing
                self.error = error


def describe(decoded: Decoded) -> str:
    """What a reply or push says, on one line: `media-empty: yes  cover-open: no  processing: no`."""
    words = {True: "yes", False: "no"}
    parts = [f"{reason}: {words[decoded.reasons[reason]]}" for reason in sorted(decoded.reasons)]
    if decoded.processing is not None:
        parts.append(f"processing: {words[decoded.processing]}")
    return "  ".join(parts)


class Trace(Transport):
    """Any transport, recorded."""

    def __init__(self, inner: Transport, transcript: Sink) -> None:
        self._inner = inner
        self._transcript = transcript
        self.counts = inner.counts  # type: ignore[misc]  # a class constant elsewhere, borrowed here

    @property
    def bidirectional(self) -> bool:
        """See Transport."""
        return self._inner.bidirectional

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        taken = self._inner.write(data, timeout)
        if taken:
            self._transcript.sent(bytes(data[:taken]))
        return taken

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        data = self._inner.read(timeout)
        if data:
            self._transcript.received(data)
        return data

    def unacknowledged(self) -> int:
        """See Transport."""
        return self._inner.unacknowledged()

    def line_status(self) -> Mapping[Reason, bool]:
        """See Transport."""
        return self._inner.line_status()

    def device_id(self) -> str:
        """See Transport."""
        return self._inner.device_id()

    def close(self, linger: float = 0.0) -> None:
        """See Transport."""
        self._inner.close(linger)
        self._transcript.note("closed")
