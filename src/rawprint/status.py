"""What a printer said of itself: reasons that are true, false or not reported, and the state they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(StrEnum):
    """A `printer-state-reasons` keyword of IPP (RFC 8011 section 5.4.12, PWG 5100.9), or an `x-` word of ours."""

    MEDIA_EMPTY = "media-empty"
    MEDIA_LOW = "media-low"
    MEDIA_JAM = "media-jam"
    COVER_OPEN = "cover-open"
    PAUSED = "paused"
    OFFLINE = "offline-report"
    MARKER_SUPPLY_EMPTY = "marker-supply-empty"
    MARKER_SUPPLY_LOW = "marker-supply-low"
    TRIMMER_JAM = "trimmer-jam"  # IPP's word for the cutter
    OVER_TEMPERATURE = "subunit-over-temperature"
    INPUT_BUFFER_FULL = "x-input-buffer-full"
    LABEL_WAITING = "x-label-waiting"  # a label waits to be taken, or for the print key
    FEED_BUTTON = "x-feed-button"  # somebody holds the FEED button
    DRAWER_OPEN = "x-drawer-open"
    OTHER = "other"


# Reasons that do not keep the printer from printing.
_HARMLESS = frozenset({Reason.MEDIA_LOW, Reason.MARKER_SUPPLY_LOW, Reason.DRAWER_OPEN, Reason.INPUT_BUFFER_FULL})


class PrinterState(StrEnum):
    """IPP's `printer-state`, and `unknown` for a printer that did not say."""

    IDLE = "idle"
    PROCESSING = "processing"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Exchange(NamedTuple):
    """One question and the bytes that came back; `sent` is empty for what the printer sent unasked."""

    sent: bytes
    received: bytes


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """What the printer reported, and when.

    Attributes:
        reasons: Reason -> true or false. A reason that is absent was not reported, which is neither.
        processing: Whether it said that it is printing; None where it did not say.
        raw: The exchanges that this was read from.
        at: When the last of them came, UTC.
        source: Who said so: "printer", on the connection that prints, "line", its cable, or the name of another channel.
    """

    reasons: Mapping[Reason, bool] = field(default_factory=dict)
    processing: bool | None = None
    raw: tuple[Exchange, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    source: str = "printer"

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", MappingProxyType(dict(self.reasons)))

    @property
    def state(self) -> PrinterState:
        """The one place where reasons become a state.

        `stopped` if any reason that keeps a printer from printing is true; else `processing` if it said so;
        else `idle` if it denied at least one such reason; else `unknown`: silence is never "ok".
        """
        denied = False
        for reason, true in self.reasons.items():
            if reason not in _HARMLESS:
                if true:
                    return PrinterState.STOPPED
                denied = True
        if self.processing:
            return PrinterState.PROCESSING
        return PrinterState.IDLE if denied else PrinterState.UNKNOWN

    @property
    def stop_reasons(self) -> tuple[Reason, ...]:
        """The true reasons that keep the printer from printing, in the order of `Reason`."""
        return tuple(r for r in Reason if r not in _HARMLESS and self.reasons.get(r))
