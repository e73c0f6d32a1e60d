"""Barcodes and QR codes that a printer draws by itself, as dots."""

from __future__ import annotations

from functools import lru_cache

from rawprint.virtual.sheets.glyphs import line
from rawprint.virtual.sheets.paper import Budget, Picture, framed

# Making a QR code takes as long as drawing so many dots: each, and for each byte in it.
_QR_WORK, _QR_BYTE_WORK = 300_000, 8_000

_MOST_CHARACTERS = 3000

# As the code's own format information has them.
_LEVELS = {"L": 1, "M": 0, "Q": 3, "H": 2}

# Of the text below a barcode.
_HRI = (12, 24)


def qr(budget: Budget, data: bytes, level: str, module: int) -> Picture | None:
    """A QR code without the white around it; None where the data does not fit in one.

    Args:
        budget: What the job may still draw.
        data: What it says.
        level: L, M, Q or H.
        module: Dots of a module's side.

    Raises:
        ValueError: The job draws too much.
    """
    if not 0 < len(data) <= _MOST_CHARACTERS or level not in _LEVELS:
        return None
    budget.work(_QR_WORK + _QR_BYTE_WORK * len(data))
    made = _qr(data, level)
    if made is None:
        return None
    budget.draw(made.width * module, made.height * module)
    return made.scaled(module, module)


@lru_cache(maxsize=64)
def _qr(data: bytes, level: str) -> Picture | None:
    import qrcode  # noqa: PLC0415
    from qrcode.exceptions import DataOverflowError  # noqa: PLC0415

    code = qrcode.QRCode(error_correction=_LEVELS[level], border=0)
    try:
        code.add_data(data)
        code.make(fit=True)
    except (DataOverflowError, ValueError):
        return None
    rows = tuple(int("".join("1" if dot else "0" for dot in row), 2) for row in code.modules)
    return Picture(len(code.modules), rows)


def bars(kind: str, data: str, narrow: int, wide: int) -> str | None:
    """The dots of a barcode's line, as 0s and 1s; None for what cannot be built.

    Args:
        kind: code128, gs1_128, code39, ean13, ean8, upca, itf or codabar.
        data: What it says; check digits that are missing are added where the kind demands one.
        narrow: Dots of a module.
        wide: Dots of a wide bar, for those that have but two widths.
    """
    if not 0 < len(data) <= 250 or not 1 <= narrow <= 64 or not 1 <= wide <= 192:
        return None
    made = _built(kind, data)
    if made is None:
        return None
    if kind in ("code39", "itf", "codabar"):
        # Two widths: a run of one module is narrow, whatever is longer is wide.
        runs, out = _runs(made), []
        for dot, count in runs:
            out.append(dot * (narrow if count == 1 else wide))
        return "".join(out)
    return made.replace("1", "1" * narrow).replace("0", "0" * narrow)


def _runs(dots: str) -> list[tuple[str, int]]:
    runs: list[tuple[str, int]] = []
    for dot in dots:
        if runs and runs[-1][0] == dot:
            runs[-1] = (dot, runs[-1][1] + 1)
        else:
            runs.append((dot, 1))
    return runs


@lru_cache(maxsize=256)
def _built(kind: str, data: str) -> str | None:
    try:
        from barcode import codabar, codex, ean, itf, upc  # noqa: PLC0415

        if kind == "code128":
            lines = codex.Code128(data).build()
        elif kind == "gs1_128":
            lines = codex.Gs1_128(data).build()
        elif kind == "code39":
            lines = codex.Code39(data.strip("*"), add_checksum=False).build()
        elif kind == "ean13" and data.isdecimal() and len(data) in (12, 13):
            lines = ean.EuropeanArticleNumber13(data, no_checksum=len(data) == 13).build()
        elif kind == "ean8" and data.isdecimal() and len(data) in (7, 8):
            lines = ean.EuropeanArticleNumber8(data, no_checksum=len(data) == 8).build()
        elif kind == "upca" and data.isdecimal() and len(data) in (11, 12):
            lines = upc.UniversalProductCodeA(data).build()
        elif kind == "itf" and data.isdecimal():
            lines = itf.ITF(data, narrow=1, wide=2).build()
        elif kind == "codabar":
            lines = codabar.CODABAR(data.upper(), narrow=1, wide=2).build()
        else:
            return None
        text: str = lines[0]
    except Exception:  # noqa: BLE001  (it names few of what bad data makes it raise)
        return None
    return text if text and not text.strip("01") else None


def barcode(
    budget: Budget,
    kind: str,
    data: str,
    height: int,
    *,
    narrow: int,
    wide: int,
    above: bool = False,
    below: bool = False,
) -> Picture:
    """A barcode, with its text where that is wanted; one that cannot be built is a box with its text.

    Args:
        budget: What the job may still draw.
        kind: As for `bars`.
        data: What it says.
        height: Of the bars, in dots.
        narrow: Dots of a module.
        wide: Dots of a wide bar.
        above: Its text stands above it.
        below: Its text stands below it.

    Raises:
        ValueError: The job draws too much.
    """
    dots = bars(kind, data, narrow, wide)
    if dots is None:
        return box(budget, f"{kind} {data}", 200, height)
    budget.draw(len(dots), height + 2 * _HRI[1])
    rows = (int(dots, 2),) * height
    if above or below:
        text = line(data, *_HRI)
        left = (len(dots) - text.width) // 2
        words = tuple(row << left if left >= 0 else row >> -left for row in text.rows)
        every = (1 << len(dots)) - 1
        words = tuple(row & every for row in words)
        rows = (*(words if above else ()), *rows, *(words if below else ()))
    return Picture(len(dots), rows)


def box(budget: Budget, text: str, width: int, height: int) -> Picture:
    """A frame with a text: what stands for a code that cannot be built here.

    Raises:
        ValueError: The job draws too much.
    """
    height = max(height, 24)
    budget.draw(width, height)
    frame = framed(width, height, 2)
    words = line("".join(text)[: max((width - 16) // 8, 0)], 8, 16)
    top = (height - 16) // 2
    rows = list(frame.rows)
    for at, row in enumerate(words.rows, top):
        rows[at] |= row << width - 8 - words.width
    return Picture(width, tuple(rows))
