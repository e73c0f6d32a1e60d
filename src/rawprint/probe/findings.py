"""What probe finds: a severity, a sentence that says what is wrong, and one that says how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rawprint.status import PrinterState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rawprint.errors import RawprintError
    from rawprint.status import PrinterStatus


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # it does not print
    WARNING = "warning"  # it prints, or soon will not, and something is missing
    INFO = "info"  # nothing to mend


@dataclass(frozen=True, slots=True)
class Finding:
    """One diagnosis.

    Attributes:
        code: For programs, such as "media-empty"; it does not change.
        severity: How bad it is.
        title: One sentence.
        detail: What was seen, where that says more; may be empty.
        remedy: What to do, one sentence; empty where there is nothing to do.
    """

    code: str
    severity: Severity
    title: str
    detail: str = ""
    remedy: str = ""


_ERROR, _WARNING, _INFO = Severity

_REASONS = {
    Reason.COVER_OPEN: (_ERROR, "The cover or the print head is open.", "Close it until it clicks."),
    Reason.MEDIA_EMPTY: (_ERROR, "The paper is out.", "Load paper and close the cover."),
    Reason.MEDIA_JAM: (
        _ERROR,
        "The paper is jammed, or the gap between labels was not found.",
        "Free the paper; after a change of labels let the printer measure them: rawprint calibrate ADDRESS",
    ),
    Reason.MARKER_SUPPLY_EMPTY: (_ERROR, "The ribbon is out.", "Load a ribbon, or set the printer to direct thermal."),
    Reason.TRIMMER_JAM: (
        _ERROR,
        "The cutter is stuck.",
        "Switch the printer off, free the blade (many have a wheel for it), and switch it on.",
    ),
    Reason.OVER_TEMPERATURE: (_ERROR, "The print head or the motor is too hot.", "Let it cool down for some minutes."),
    Reason.PAUSED: (_ERROR, "The printer is paused.", "Press its PAUSE or FEED key."),
    Reason.OTHER: (
        _ERROR,
        "The printer reports an error and does not say which.",
        "See its display or lamp; switch it off and on.",
    ),
    Reason.FEED_BUTTON: (_WARNING, "The FEED button is held, or paper is being fed.", "Let go of the button."),
    Reason.LABEL_WAITING: (_WARNING, "A printed label waits to be taken.", "Take it, or press the print key."),
    Reason.OFFLINE: (
        _ERROR,
        "The printer is offline and does not say why.",
        "See its lamp or display: paper, cover, or its on-line key.",
    ),
    Reason.MEDIA_LOW: (_WARNING, "The paper is nearly out.", "Have a new roll ready."),
    Reason.MARKER_SUPPLY_LOW: (_WARNING, "The ribbon is nearly out.", "Have a new ribbon ready."),
    Reason.INPUT_BUFFER_FULL: (_INFO, "The printer's buffer is full: it has more to print than it holds.", ""),
    Reason.DRAWER_OPEN: (_INFO, "The cash drawer is open.", ""),
}


def of_status(status: PrinterStatus) -> list[Finding]:
    """What the printer says is wrong with it; `offline` and `other` only where nothing says why."""
    true = [reason for reason in _REASONS if status.reasons.get(reason)]
    causes = [reason for reason in status.stop_reasons if reason not in (Reason.OFFLINE, Reason.OTHER)]
    findings = []
    for reason in true:
        if causes and reason in (Reason.OFFLINE, Reason.OTHER):
            continue
        severity, title, remedy = _REASONS[reason]
        findings.append(Finding(str(reason), severity, title, _who_said(status), remedy))
    if not true and status.state is PrinterState.UNKNOWN and status.raw:
        findings.append(
            Finding(
                "unknown", _WARNING, "The printer answers, but does not say how it is.", "", "See its display or lamp."
            )
        )
    return findings


def _who_said(status: PrinterStatus) -> str:
    return "" if status.source == "printer" else f"Said by the {status.source}, not by the printer itself."


_OPENING = {
    "not-found": "It cannot be found.",
    "ambiguous": "The address fits several printers.",
    "access-denied": "This user may not open it.",
    "busy": "Somebody else holds it.",
    "backend-missing": "What opens such printers is missing here.",
    "bad-address": "That is no printer's address.",
}


def of_opening(error: RawprintError) -> Finding:
    """Why a printer cannot be opened, in the words of the error."""
    title = _OPENING.get(error.code, "It cannot be opened.")
    detail = sentence(f"{error.message}{_candidates(error)}")
    return Finding(error.code, _ERROR, title, detail, sentence(error.hint))


def _candidates(error: RawprintError) -> str:
    candidates = getattr(error, "candidates", ())
    return f" ({', '.join(candidates)})" if candidates else ""


def sentence(text: str) -> str:
    """A hint as a sentence: with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("." if text and text[-1] not in ".!?" else "") if text else ""


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The highest severity; None of nothing."""
    return min((finding.severity for finding in findings), key=list(Severity).index, default=None)
