"""Which language a printer speaks: from what it says of itself unasked, and, where somebody asks for it, by its answers.

What it says of itself is judged in the order of what it is worth: the commands of its IEEE 1284 device id, the same over
DNS-SD, its maker and model, its USB ids. Two sources that disagree are worth less than either.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from rawprint import device_id as device_ids
from rawprint.dialects import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Sure = Literal["certain", "likely", "possible"]
_SURE: tuple[Sure, ...] = ("possible", "likely", "certain")
_POSSIBLE, _LIKELY, _CERTAIN = range(3)
_MOST_NAMES = 16
_LONGEST = 256  # characters of a name that are looked at


class Guess(NamedTuple):
    """A language that a printer may speak.

    Attributes:
        dialect: A name of `DIALECTS`, or of a language that is known and not spoken here: "epl", "cpcl", "sbpl", "dpl",
            "brother-ql", "slcs", "ezpl", "dymo".
        sure: How sure it is.
        how: How it was learnt, in a phrase.
    """

    dialect: str
    sure: Sure
    how: str


# -- what it says of itself ------------------------------------------------------------------------------------------

# Words of a CMD key for languages that are known and not spoken here; the others are in `Dialect.commands`. lprint's
# driver table has most of them.
_FOREIGN = {
    "EPL": "epl",
    "EPL1": "epl",
    "EPL2": "epl",
    "CPCL": "cpcl",
    "SBPL": "sbpl",
    "DPL": "dpl",
    "PT-CBP": "brother-ql",
    "SLCS": "slcs",
    "EZPL": "ezpl",
}
_COMMANDS = {word: dialect.name for dialect in DIALECTS.values() for word in dialect.commands} | _FOREIGN

# Subtypes of the MIME types in a DNS-SD `pdl` key, as lprint names its formats.
_FORMATS = {
    "vnd.zebra-zpl": "zpl",
    "vnd.zebra-cpcl": "cpcl",
    "vnd.eltron-epl1": "epl",
    "vnd.eltron-epl2": "epl",
    "vnd.tsc-tspl": "tspl",
    "vnd.brother-pt-cbp": "brother-ql",
    "vnd.dymo-lw": "dymo",
    "vnd.sii-slp": "sii-slp",
}


class _Kind(NamedTuple):
    """What makers call their printers: a pattern for "MAKER MODEL" -> the languages that such a one can speak."""

    pattern: re.Pattern[str]
    dialects: tuple[str, ...]


def _kind(pattern: str, *dialects: str) -> _Kind:
    return _Kind(re.compile(pattern, re.IGNORECASE), dialects)


# The first that fits counts. Sources: the command manuals under each language in the protocol notes, lprint's driver
# tables, and the USB id list (usb.ids 2025.07.26). Several languages: the same name is sold with either.
_KINDS = (
    _kind(r"\bepson\b.*\btm-|^tm-[a-z]*\d", "escpos"),
    _kind(r"\bbixolon\b.*\bsrp-(?!770)|^srp-(?!770)\d", "escpos"),
    _kind(r"\bsrp-770|\bbixolon\b.*\bslp-", "slcs"),
    _kind(r"\bcitizen\b.*\bct-|^ct-[a-z]\d", "escpos"),
    _kind(r"\bcitizen\b.*\bcl[a-z]?-", "zpl", "dpl"),
    _kind(r"\bstar\b.*\b(tsp|mc-|mpop|sm-|sp\d|bsc)", "star"),
    _kind(r"\btsc\b|\b(ttp|tdp|te|tx|da|ml)-?\d{3}", "tspl"),
    _kind(r"\blp ?28\d\d|\btlp ?28\d\d", "epl", "zpl"),
    _kind(r"\bzebra\b.*\b(ql|rw|imz|zq)\d", "cpcl", "zpl"),
    _kind(r"\bzebra\b|\bztc\b", "zpl", "epl"),
    _kind(r"\bsato\b", "sbpl"),
    _kind(r"\bgodex\b", "ezpl"),
    _kind(r"\bdatamax\b|\bo'neil\b", "dpl"),
    _kind(r"\bbrother\b.*\b(ql|pt|td)-", "brother-ql"),
    _kind(r"\bdymo\b|\blabelwriter\b", "dymo"),
    _kind(r"\bpos-?(58|80)|\bxp-?(58|80|[nq])|\bzj-?(58|80)|\bmpt-", "escpos"),
    _kind(r"\bxprinter\b|\bgprinter\b|\bxp-?[34]\d\d|\bgp-?\d", "tspl", "escpos"),
    _kind(r"\breceipt\b|\bthermal receipt\b", "escpos", "star"),
    _kind(r"\blabel\b", "tspl", "zpl"),
)

# (USB vendor, product or None for all of its others) -> the languages. Transport notes, section 6.
_USB: Mapping[tuple[int, int | None], tuple[str, ...]] = MappingProxyType(
    {
        (0x04B8, 0x0202): ("escpos",),  # Epson UB-U0x
        (0x04B8, 0x0E03): ("escpos",),  # Epson TM-T20
        (0x04B8, 0x0E15): ("escpos",),  # Epson TM-T20II
        (0x0519, None): ("star", "escpos"),  # Star; the same ids in either emulation
        (0x1504, None): ("escpos", "slcs"),  # Bixolon
        (0x0419, None): ("escpos",),  # Samsung, Bixolon's receipt printers
        (0x1D90, 0x2037): ("zpl", "dpl"),  # Citizen CL-S631
        (0x1D90, 0x20F0): ("escpos",),  # Citizen CT-E351
        (0x2730, 0x2008): ("escpos",),  # Citizen CT-S4000
        (0x1203, None): ("tspl",),  # TSC
        (0x0A5F, 0x0009): ("epl",),  # Zebra LP2844
        (0x0A5F, None): ("zpl", "epl"),  # Zebra
        (0x195F, None): ("ezpl",),  # Godex
        (0x0828, None): ("sbpl",),  # SATO
        (0x04F9, None): ("brother-ql",),  # Brother
        (0x0922, None): ("dymo",),  # Dymo
        (0x0DD4, None): ("escpos",),  # Custom
        (0x154F, None): ("escpos",),  # SNBC
        (0x0D3A, None): ("escpos",),  # Posiflex
        (0x04C5, None): ("escpos",),  # Fujitsu
        (0x1FC9, 0x2016): ("escpos", "tspl"),  # NXP's id, used by Xprinter
        (0x0483, 0x5743): ("escpos", "tspl"),  # ST's id, POS-80xx
        (0x0483, 0x5840): ("escpos",),  # ST's id, MPT-II
        (0x0416, 0x5011): ("escpos",),  # Winbond's id, POS-58 and ZJ
        (0x0FE6, 0x811E): ("escpos",),  # ICS Advent's id, 58 mm clones
        (0x28E9, None): ("escpos", "tspl"),  # GigaDevice's id, clones
    }
)
# Ids of chip makers, which anybody's printer may have: never more than possible.
_CHIPS = frozenset({0x0483, 0x0416, 0x0FE6, 0x28E9, 0x1FC9})


class _Vote(NamedTuple):
    source: str
    worth: int
    dialects: tuple[str, ...]
    how: str


def guess(
    *,
    device_id: str = "",
    vid: int | None = None,
    pid: int | None = None,
    txt: Mapping[str, str] = MappingProxyType({}),
    names: Iterable[str] = (),
) -> tuple[Guess, ...]:
    """Which languages a printer may speak, from what it says of itself. Nothing is asked; never raises.

    Args:
        device_id: Its IEEE 1284 device id.
        vid: Its USB vendor id.
        pid: Its USB product id.
        txt: The keys of its DNS-SD record.
        names: What else it calls itself, such as USB strings.

    Returns:
        The best first, each language once.
    """
    keys = device_ids.parse(device_id)
    record = {key.lower(): value[:_LONGEST] for key, value in txt.items()}
    votes = [
        *_by_commands("device id", device_ids.commands(keys)),
        *_by_commands("DNS-SD usb_CMD", device_ids.commands({"CMD": record.get("usb_cmd", "").replace(";", ",")})),
        *_by_formats(record.get("pdl", "")),
        *_by_name("device id", f"{keys.get('MFG', '')} {keys.get('MDL', '')}"),
        *_by_name("DNS-SD", f"{record.get('usb_mfg', '')} {record.get('usb_mdl', '')}"),
        *_by_name("DNS-SD", record.get("ty", "")),
        *_by_name("DNS-SD", record.get("product", "").strip("()")),
        *(vote for name in list(names)[:_MOST_NAMES] for vote in _by_name("its name", name)),
        *_by_usb(vid, pid),
    ]
    return _count(votes)


def _by_commands(source: str, words: tuple[str, ...]) -> Iterable[_Vote]:
    found = dict.fromkeys(_COMMANDS[word.upper()] for word in words if word.upper() in _COMMANDS)
    if found:
        shown = ",".join(words)[:40]
        yield _Vote(
            source,
            _CERTAIN,
            tuple(found),
            f"the device id's CMD {shown}" if source == "device id" else f"{source} {shown}",
        )


def _by_formats(formats: str) -> Iterable[_Vote]:
    subtypes = [each.strip().lower().rpartition("/")[2] for each in formats.split(",")]
    found = dict.fromkeys(_FORMATS[each] for each in subtypes if each in _FORMATS)
    if found:
        yield _Vote("pdl", _CERTAIN, tuple(found), "DNS-SD pdl")


def _by_name(source: str, name: str) -> Iterable[_Vote]:
    name = " ".join(name[:_LONGEST].split())
    kind = next((each for each in _KINDS if name and each.pattern.search(name)), None)
    if kind is not None:
        worth = _LIKELY if len(kind.dialects) == 1 else _POSSIBLE
        yield _Vote(source, worth, kind.dialects, f"the name {name[:40]!r}")


def _by_usb(vid: int | None, pid: int | None) -> Iterable[_Vote]:
    if vid is None:
        return
    found = _USB.get((vid, pid)) or _USB.get((vid, None))
    if found:
        worth = _LIKELY if len(found) == 1 and vid not in _CHIPS else _POSSIBLE
        yield _Vote("usb", worth, found, f"the USB ids {vid:04x}:{pid or 0:04x}")


def _count(votes: list[_Vote]) -> tuple[Guess, ...]:
    best: dict[str, tuple[int, str]] = {}
    for vote in votes:
        for place, dialect in enumerate(vote.dialects):
            worth = vote.worth if place == 0 or vote.worth < _CERTAIN else _LIKELY  # of several it may be set to any
            if dialect not in best or worth > best[dialect][0]:
                best[dialect] = worth, vote.how
    ranked = sorted(best.items(), key=lambda item: -item[1][0])
    if ranked:
        first, (worth, how) = ranked[0]
        if worth and any(vote.worth >= _LIKELY and first not in vote.dialects for vote in votes):
            ranked[0] = first, (worth - 1, f"{how}, against others")
    return tuple(Guess(dialect, _SURE[worth], how) for dialect, (worth, how) in ranked)


def maker_of(device_id: str) -> str:
    """The maker as the device id's MFG key names it, in upper case, for `Dialect.makers`; may be empty."""
    return device_ids.parse(device_id).get("MFG", "").upper()


# -- what it answers -------------------------------------------------------------------------------------------------


class Question(NamedTuple):
    """A question to a printer of which nobody knows the language.

    Attributes:
        dialect: The language of the question.
        request: Its bytes.
        shown: How people write it.
        undo: What makes good, at a printer of another language, what the request did there.
        prints: What a printer of another language may print; "" where none that is known prints anything.
    """

    dialect: str
    request: bytes
    shown: str
    undo: bytes = b""
    prints: str = ""


# A label printer is asked first: it answers, and never sees what receipt printers are asked, which it could take for
# the beginning of a line (receiptio's hello must never go to label printers, see the protocol notes).
_QUESTIONS = (
    # ESC/POS: select print mode 3F, undone by print mode 0. Star has no ESC !; were it to keep the "?", CAN drops what
    # stands in its line buffer. ZPL and SBPL skip what stands outside a label.
    Question("tspl", b"\x1b!?", "ESC !?", undo=b"\x1b!\x00\x18"),
    # Star and SII answer or skip it (receiptio sends DLE EOT 2 to all of them). SATO takes DLE for "stop printing",
    # which DC1 ends (UNCONFIRMED); to others DC1 is XON.
    Question("escpos", b"\x10\x04\x01", "DLE EOT 1", undo=b"\x11"),
    # Receipt printers of other makers skip it (receiptio sends it to all of them).
    Question("star", b"\x1b\x06\x01", "ESC ACK SOH"),
    # Text: a receipt printer, and a Zebra in another mode, print it (escpos-php issue 264).
    Question("zpl", b"~HS\r\n", "~HS", prints="A printer that speaks another language may have printed it."),
)


def questions() -> tuple[Question, ...]:
    """What to ask, in this order, waiting for an answer after each; only of a printer that somebody has named."""
    return tuple(question for question in _QUESTIONS if question.dialect in DIALECTS)


def classify(reply: bytes, asked: str) -> str | None:
    """Which language an answer is in; None: it fits none, or not yet.

    Args:
        reply: What came, pushes included.
        asked: The language of the question.
    """
    if not reply:
        return None
    first = reply[0]
    if first == 0x02:  # STX: frames of text (ZPL), or of eight bytes (TSPL); alone it is TSPL's "jam"
        if len(reply) == 1:
            return "tspl" if asked == "tspl" else None
        if reply[5:8] == b"\x03\r\n" and all(0x40 <= byte <= 0x7F for byte in reply[1:5]):
            return "tspl"
        return "zpl" if b"\x03" in reply and all(byte < 0x80 for byte in reply) else None
    if asked == "tspl" and len(reply) == 1:
        return "tspl"
    if first & 0x93 == 0x12 and all(byte & 0x93 == 0x12 for byte in reply):
        return "escpos"  # DLE EOT
    if first & 0x93 == 0x10 and len(reply) >= 4 and not any(byte & 0x90 for byte in reply[1:4]):
        return "escpos"  # automatic status
    if first & 0x91 == 0x01 and 7 <= _star_length(first) <= len(reply) and not any(byte & 0x91 for byte in reply[2:7]):
        return "star"
    return None


def _star_length(header: int) -> int:
    """How many bytes an automatic status of Star's has, by its first one (receiptio)."""
    return header >> 2 & 0x18 | header >> 1 & 0x07
