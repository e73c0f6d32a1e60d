"""How cheap and odd printers differ from the manuals: one row of data for each habit, with where it was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Clone:
    """One printer's habits; the default is a printer that keeps to the manual.

    Attributes:
        name: What `device(clone=…)` asks for.
        sentence: What it does, for people.
        dialects: The languages in which the habit makes sense.
        mute: Prints and never sends a byte.
        no_process_id: Swallows GS ( H.
        late: Sends each answer only when the next question comes.
        babbles: Answers every question with a line of text that belongs to another protocol.
        prints_unknown: Puts the bytes of commands that it does not know on paper.
        idle_reset: Seconds without a byte from the host after which it resets the connection; None = never.
        single_connection: Resets a second connection instead of letting it wait.
        forgets_push: Pushes from power-up on, until `ESC @`.
        inverted_gs_r: `GS r 1` has its bits the other way round.
        short_status: Knows `ESC !?` as its only question.
        feed_seconds: For how long it feeds paper after each question about its status; 0 = it does not.
        enq_only: Knows `ENQ` and `EOT` as its only questions.
        no_hqes: Does not know `~HQES`.
        hs_silent: Answers no `~HS` while media or ribbon is out, or its head open or too hot.
        line_print: Prints all that it gets as lines of text.
    """

    name: str = ""
    sentence: str = "Keeps to the manual."
    dialects: frozenset[str] = frozenset(
        {
            "tspl",
            "escpos",
            "star",
            "zpl",
        }
    )
    mute: bool = False
    late: bool = False
    no_process_id: bool = False
    babbles: bool = False
    prints_unknown: bool = False
    idle_reset: float | None = None
    single_connection: bool = False
    forgets_push: bool = False
    inverted_gs_r: bool = False
    short_status: bool = False
    feed_seconds: float = 0.0
    enq_only: bool = False
    no_hqes: bool = False
    hs_silent: bool = False
    line_print: bool = False


_TSPL = frozenset({"tspl"})
_ESCPOS = frozenset({"escpos"})
_STAR = frozenset({"star"})
_ZPL = frozenset({"zpl"})

# A printer without a name keeps to the manual.
_ALL = (
    Clone(),
    # Many 58 mm printers (print_bluetooth_thermal issue 68); Phomemo PM220 has no IN endpoint at all.
    Clone("mute", "Prints, and never answers or pushes anything.", mute=True),
    # fabienbellanger/escpos-rs issue 18: "always the previous status".
    Clone("late", "Answers each question only when the next one arrives: always one behind.", late=True),
    Clone("babbler", "Answers every question with 40 bytes of some other protocol's banner.", babbles=True),
    # Most clones print what they do not know (APG-like manuals of HOP and X80 list none of these commands).
    Clone(
        "prints-unknown",
        "Knows real-time status and plain printing only, and prints every other command's bytes as text.",
        prints_unknown=True,
        dialects=_TSPL | _ESCPOS | _STAR,  # in ZPL, text outside a format prints nothing
    ),
    # Epson TM-T20II, lukevp/ESC-POS-.NET issue 36.
    Clone("drops-idle", "Resets a connection on which the host was silent for 90 seconds.", idle_reset=90.0),
    # Star IFBD-HE07 in its default "single session" mode.
    Clone("single", "Resets a second connection while one is open.", single_connection=True),
    # Epson UB-E02 p.4-6: the card switches pushes on once, at power-up.
    Clone(
        "forgets-push",
        "Pushes status from power-up, until ESC @ in a job ends that.",
        dialects=_ESCPOS,
        forgets_push=True,
    ),
    # HPRT TP80K programming manual.
    Clone(
        "inverted-gs-r",
        "Answers GS r 1 with 0 for paper end and 3 for adequate.",
        dialects=_ESCPOS,
        inverted_gs_r=True,
    ),
    # 4BARCODE and Xprinter kinds. UNCONFIRMED
    Clone("short-status", "Answers ESC !? alone and swallows ESC !S.", dialects=_TSPL, short_status=True),
    # print_bluetooth_thermal issue 74: fed every 3-4 minutes, as often as it was asked. How it shows is UNCONFIRMED
    Clone(
        "feeds-when-asked",
        "Feeds paper for 0.3 s after every question about its status.",
        dialects=_TSPL | _ESCPOS,
        feed_seconds=0.3,
    ),
    # Star's models before the automatic status (RS232 manual of the TSP200 series, p.55: ENQ; dot impact specification).
    Clone("enq-only", "Answers ENQ and EOT alone and swallows ESC ACK SOH.", dialects=_STAR, enq_only=True),
    # Not in the manuals of HPRT and X80, nor of Epson's TM-T88III and TM-U220 (APG p.425).
    Clone("no-process-id", "Swallows GS ( H.", dialects=_ESCPOS, no_process_id=True),
    # Emulations, and Zebra's own before ~HQES (its programming guide of 2006 has ~HS alone for errors). UNCONFIRMED which
    Clone("no-hqes", "Answers ~HS alone and swallows ~HQES.", dialects=_ZPL, no_hqes=True),
    Clone(
        "late-no-hqes", "Answers ~HS alone, and only when the next one arrives.", dialects=_ZPL, late=True, no_hqes=True
    ),
    # docs.zebra.com, ~HS: twice; a captured ZQ630 answers all the same.
    Clone(
        "silent-when-blocked",
        "Answers no ~HS without media or ribbon, with an open or hot head.",
        dialects=_ZPL,
        hs_silent=True,
    ),
    # A ZD420 in another mode printed `~HS`: mike42/escpos-php issue 264.
    Clone(
        "line-print",
        "A Zebra in another mode: prints every line as text, questions too, and never answers.",
        dialects=_ZPL,
        line_print=True,
    ),
)
_BY_NAME: Mapping[str, Clone] = MappingProxyType({clone.name: clone for clone in _ALL})

CLONES: Mapping[str, str] = MappingProxyType({clone.name: clone.sentence for clone in _ALL if clone.name})
"""Name -> one sentence about it."""


def find(name: str, dialect: str) -> Clone:
    """The clone of that name; `""` is a printer that keeps to the manual.

    Raises:
        ValueError: There is none, or it makes no sense for this language.
    """
    clone = _BY_NAME.get(name)
    if clone is None or dialect not in clone.dialects:
        known = ", ".join(each.name for each in _ALL if each.name and dialect in each.dialects)
        raise ValueError(f"no {dialect} clone {name!r}; there are: {known}")
    return clone


def with_idle_reset(clone: Clone, seconds: float) -> Clone:
    """The same clone with another patience."""
    return replace(clone, idle_reset=seconds)
