"""The modules of barcodes and QR codes: data in, black and white out, and how wrong data is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rawprint.errors import BackendMissing, DocumentError

if TYPE_CHECKING:
    from rawprint.documents.blocks import Kind

# White that a scanner needs at both sides, in modules: GS1 General Specifications 5.2 for EAN and UPC (the wider one of the two
# sides), ten for the others (ISO/IEC 16388, 16390, 15417).
QUIET: dict[str, int] = {"ean13": 11, "ean8": 7, "upca": 9, "upce": 9}
QUIET_OTHERS = 10
QUIET_QR = 4

# Digits without and with the check digit.
_DIGITS = {"ean13": (12, 13), "ean8": (7, 8), "upca": (11, 12), "upce": (6, 8)}
_WIDE = 3  # times a thin bar, of Code 39, Codabar and ITF

_CHARACTERS = {
    "code39": (r"[0-9A-Z .$/+%-]+", "digits, capital letters, blanks and - . $ / + %"),
    "code93": (r"[0-9A-Z .$/+%-]+", "digits, capital letters, blanks and - . $ / + %"),
    "codabar": (r"[A-D][0-9$:/.+-]+[A-D]", "digits and - $ : / . + between two of the letters A to D"),
    "itf": (r"(\d\d)+", "an even number of digits"),
    "code128": (r"[ -~]+", "letters, digits and signs of ASCII"),
}

# Code 93: character -> its nine modules, in the order of their values (AIM USS-93); the last are the four shifts and start.
_CODE93 = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%abcd*",
        [
            "100010100",
            "101001000",
            "101000100",
            "101000010",
            "100101000",
            "100100100",
            "100100010",
            "101010000",
            "100010010",
            "100001010",
            "110101000",
            "110100100",
            "110100010",
            "110010100",
            "110010010",
            "110001010",
            "101101000",
            "101100100",
            "101100010",
            "100110100",
            "100011010",
            "101011000",
            "101001100",
            "101000110",
            "100101100",
            "100010110",
            "110110100",
            "110110010",
            "110101100",
            "110100110",
            "110010110",
            "110011010",
            "101101100",
            "101100110",
            "100110110",
            "100111010",
            "100101110",
            "111010100",
            "111010010",
            "111001010",
            "101101110",
            "101110110",
            "110101110",
            "100100110",
            "111011010",
            "111010110",
            "100110010",
            "101011110",
        ],
        strict=True,
    )
)

# UPC-E (GS1 General Specifications 5.2.2.3): digits of the odd set, and by the check digit which of the six are of the even one.
_ODD = ["0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011"]
_EVEN_AT = ("012", "013", "014", "015", "023", "034", "045", "024", "025", "035")


def bars(data: str, kind: Kind) -> tuple[str, str]:
    """The modules of a barcode, "1" for black, without the white at its sides, and the text that stands under it.

    Raises:
        DocumentError: The data is none for that kind: characters, length or check digit.
        BackendMissing: python-barcode is not there.
    """
    if kind in _DIGITS:
        digits = _with_check_digit(data, kind)
        return (_upce(digits) if kind == "upce" else _built(kind, digits)), digits
    pattern, allowed = _CHARACTERS[kind]
    if not re.fullmatch(pattern, data, re.ASCII):
        hint = "Begin and end it with A, B, C or D." if kind == "codabar" else "Use code128 for other characters."
        if kind == "itf":
            hint = "Put a 0 before an odd number of digits."
        raise DocumentError(f"a {kind} barcode has {allowed}, and {data[:40]!r} has not", hint=hint)
    return (_code93(data) if kind == "code93" else _built(kind, data)), data


def _built(kind: str, data: str) -> str:
    try:
        from barcode import get_barcode_class  # noqa: PLC0415
    except ImportError as error:
        raise BackendMissing("barcodes need python-barcode", hint="pip install python-barcode") from error
    options: dict[str, Any] = {}
    if kind == "code39":
        options = {"add_checksum": False}
    elif kind in {"itf", "codabar"}:
        options = {"narrow": 1, "wide": _WIDE}
    modules: str = get_barcode_class(kind)(data, **options).build()[0]
    return modules


def _with_check_digit(data: str, kind: str) -> str:
    """The digits with the check digit, which may be left out, and must be right where it is given."""
    short, full = _DIGITS[kind]
    expanded = data
    if kind == "upce":
        if re.fullmatch(r"\d{6}", data, re.ASCII):
            data = "0" + data
        if not re.fullmatch(r"[01]\d{6,7}", data, re.ASCII):
            raise DocumentError(
                f"a upce barcode has 6 digits, or 7 or 8 of which the first is 0 or 1, and {data[:40]!r} has not",
                hint="Use upca for the whole number.",
            )
        expanded = _upca_of(data[:7]) + data[7:]
        short, full = 11, 12
    if not re.fullmatch(rf"\d{{{short},{full}}}", expanded, re.ASCII):
        raise DocumentError(
            f"a {kind} barcode has {short} digits and its check digit, and {data[:40]!r} has not",
            hint="Give it so many, or use code128.",
        )
    check = str(-sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(expanded[:short][::-1])) % 10)
    if len(expanded) == full and expanded[-1] != check:
        raise DocumentError(
            f"the check digit of the {kind} barcode {data} is {check}",
            hint="Correct the number, or leave its last digit out.",
        )
    return (data[:7] if kind == "upce" else data[:short]) + check


def _upca_of(digits: str) -> str:
    """The eleven digits that a UPC-E's number system and six digits are short for."""
    system, six = digits[0], digits[1:]
    last = six[5]
    if last in "012":
        return f"{system}{six[:2]}{last}0000{six[2:5]}"
    if last == "3":
        return f"{system}{six[:3]}00000{six[3:5]}"
    if last == "4":
        return f"{system}{six[:4]}00000{six[4]}"
    return f"{system}{six[:5]}0000{last}"


def _upce(digits: str) -> str:
    system, six, check = digits[0], digits[1:7], int(digits[7])
    even = _EVEN_AT[check]
    modules = "101"
    for at, digit in enumerate(six):
        odd = _ODD[int(digit)]
        # The even set is the odd one read backwards in the other colour; number system 1 swaps the sets.
        swapped = "".join("10"[int(module)] for module in reversed(odd))
        modules += swapped if (str(at) in even) == (system == "0") else odd
    return modules + "010101"


def _code93(data: str) -> str:
    values = list(_CODE93)
    for most in (20, 15):  # the check characters C and K
        total = sum((at % most + 1) * values.index(character) for at, character in enumerate(reversed(data)))
        data += values[total % 47]
    return "".join(_CODE93[character] for character in f"*{data}*") + "1"


def matrix(data: str, level: str) -> list[list[bool]]:
    """The modules of a QR code, True for black, without the white around it.

    Raises:
        DocumentError: It is too long.
        BackendMissing: qrcode is not there.
    """
    try:
        from qrcode import QRCode, constants  # noqa: PLC0415
        from qrcode.exceptions import DataOverflowError  # noqa: PLC0415
    except ImportError as error:
        raise BackendMissing("QR codes need qrcode", hint="pip install qrcode") from error
    code = QRCode(error_correction=getattr(constants, f"ERROR_CORRECT_{level}"), border=0)
    try:
        code.add_data(data.encode("utf-8"), optimize=0)
        code.make(fit=True)
    except (DataOverflowError, ValueError) as error:
        raise DocumentError(
            "that is too much for a QR code", hint="Shorten it, or take level L, which holds the most."
        ) from error
    modules: list[list[bool]] = [[bool(module) for module in row] for row in code.get_matrix()]
    return modules
