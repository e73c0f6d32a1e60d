"""The bundle that `rawprint probe --bundle` writes: transcripts that the tests replay, without what names a shop.

One text file; each printer's part begins with `# printer N`, then `# dialect: NAME` and what was found, then the
transcript as `rawprint trace` writes it.
"""

from __future__ import annotations

import io
import re
from itertools import groupby
from typing import TYPE_CHECKING

from rawprint import device_id
from rawprint.address import SerialAddress, TcpAddress, UsbAddress, parse
from rawprint.transports.trace import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rawprint.dialects import Decoded
    from rawprint.errors import BadReply
    from rawprint.probe import Report

_SHORTEST = 4  # a secret of fewer characters would black out what is none


class Recording:
    """What went over the wire, kept until it is known what must not be shown. As `Transcript`, for `Trace`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes | Decoded | BadReply | str]] = []

    def sent(self, data: bytes) -> None:
        """Bytes that the transport took."""
        self.events.append((">", data))

    def received(self, data: bytes) -> None:
        """Bytes that came."""
        self.events.append(("<", data))

    def decoded(self, decoded: Decoded | BadReply) -> None:
        """What they said."""
        self.events.append(("=", decoded))

    def note(self, text: str) -> None:
        """A comment."""
        self.events.append(("#", text))

    def write(self, transcript: Transcript, secrets: Sequence[str]) -> None:
        """Write it down; in bytes each secret is as many X, also where it came in pieces."""
        for mark, group in groupby(self.events, key=lambda event: event[0]):
            events = [what for _, what in group]
            if mark in "><":
                pieces = [piece for piece in events if isinstance(piece, bytes)]
                hidden = hide_bytes(b"".join(pieces), secrets)
                tell = transcript.sent if mark == ">" else transcript.received
                for piece in pieces:
                    tell(hidden[: len(piece)])
                    hidden = hidden[len(piece) :]
            else:
                for what in events:
                    if isinstance(what, str):
                        transcript.note(hide(what, secrets))
                    elif not isinstance(what, bytes):
                        transcript.decoded(what)


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with each secret as X; capitals are no other secret."""
    for secret in secrets:
        text = re.sub(re.escape(secret), "X" * len(secret), text, flags=re.IGNORECASE)
    return text


def hide_bytes(data: bytes, secrets: Iterable[str]) -> bytes:
    """The same of bytes; their number stays."""
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogateescape")
        data = re.sub(re.escape(raw), b"X" * len(raw), data, flags=re.IGNORECASE)
    return data


def secrets_of(report: Report) -> list[str]:
    """What names one printer or one shop: serial numbers, hosts. The longest first, so that none hides half of another."""
    found = {report.serial, report.identity.get("serial", ""), device_id.parse(report.device_id).get("SN", "")}
    for text in (report.address, *report.also):
        try:
            address = parse(text)
        except ValueError:
            continue
        if isinstance(address, TcpAddress):
            found.add(address.host)
        elif isinstance(address, UsbAddress):
            found.add(address.serial or "")
        elif isinstance(address, SerialAddress):
            found.add(address.device.rpartition("/")[2] if "by-id" in address.device else "")
    return sorted((each for each in found if len(each) >= _SHORTEST), key=lambda each: (-len(each), each))


def bundle(reports: Sequence[Report], version: str) -> str:
    """The whole file, of this version of the program."""
    secrets = sorted({each for report in reports for each in secrets_of(report)}, key=lambda each: (-len(each), each))
    out = io.StringIO()
    Transcript(out, f"rawprint {version} probe; serial numbers and hosts are replaced by X")
    for number, report in enumerate(reports, 1):
        lines = [
            f"printer {number}",
            f"dialect: {report.dialect or 'unknown'}",
            f"how: {report.dialect_how or '-'}",
            f"address: {report.address}",
            f"model: {report.make_model or '-'}",
            f"device id: {report.device_id or '-'}",
            *(f"{key}: {value}" for key, value in sorted(report.identity.items())),
            *(f"finding: {each.severity} {each.code}: {each.detail or each.title}" for each in report.findings),
        ]
        transcript = Transcript(out, *(hide(" ".join(line.split()), secrets) for line in lines))
        report.recording.write(transcript, secrets)
    return out.getvalue()
