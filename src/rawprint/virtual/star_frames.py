"""Where each command of Star Line Mode and StarPRNT ends: how many parameter bytes it has, and how much data follows them."""

from __future__ import annotations

TO_NUL, TO_RS = -1, -2
"""As a size of data: up to the next NUL or RS, and with it."""

ENDS = {TO_NUL: b"\x00", TO_RS: b"\x1e"}

_BYTES = 4  # of the shortest command with a third byte that names it

# ESC and a byte -> number of parameter bytes (LT 3.3; HSP).
_PARAMETERS = {
    0: b"@MP:gEF45\x0e\x14012Opq67",
    1: b"R/ WhC-_azJIjNlQd%$U3A",
    2: b"i\x07st",
}
_FIXED = {byte: count for count, row in _PARAMETERS.items() for byte in row}

# ESC GS and a byte -> number of parameter bytes.
_GS_PARAMETERS = {1: b"ta", 2: b"ARch", 3: b"\x07\x03", 4: b"\x19\x1a"}
_GS_FIXED = {byte: count for count, row in _GS_PARAMETERS.items() for byte in row}
_PAGE = dict(zip(b"2345", (1, 8, 2, 2), strict=True))  # ESC GS P n
_RASTER_WITHOUT_PARAMETER = b"RABCS"


def frame(head: bytes | bytearray) -> tuple[int, int]:
    """Tell how long the command is that begins like this.

    Args:
        head: Its first bytes, two or more; `ESC`, or in raster mode `b` or `k`, is the first.

    Returns:
        (bytes of head needed, bytes of data after it). Where the first is more than there are, call again
        with so many; data may be `TO_NUL` or `TO_RS`. A command that nobody knows has two bytes (LT p.3-2).
    """
    if head[0] != 0x1B:  # raster data
        return 3, _little(head, 1)
    letter, size = head[1], len(head)
    third = head[2] if size > 2 else -1
    if letter == 0x43 and third == 0:  # ESC C 0 n
        return 4, 0
    if letter in _FIXED:
        return 2 + _FIXED[letter], 0
    match bytes([letter]):
        case b"K" | b"L":  # n1 n2 and a byte for each column
            return 4, _little(head, 2)
        case b"X":
            return 4, _little(head, 2) * 3
        case b"k":
            return 4, _little(head, 2) * 24
        case b"B" | b"D" | b"?":
            return 2, TO_NUL
        case b"b":
            return 6, TO_RS
        case b"#":  # ESC # * LF NUL and the like; ESC # N ? n1 n2 n3 n4 LF NUL
            return 3, TO_NUL
        case b"\x1e" | b"\x16" | b"+":  # ESC RS x n, ESC SYN x n, ESC + A n
            return _BYTES, 0
        case b"\x0c":  # ESC FF NUL, ESC FF EOT
            return 3, 0
        case b"&":  # c1 c2 n, and 48 bytes unless c2 deletes
            return 5, (48 if size > 3 and head[3] in b"\x011" else 0)
        case b"r":
            return 4, 72
        case b"*":  # ESC * r x, mostly with a number in digits and NUL
            return _BYTES, (TO_NUL if size >= _BYTES and head[3] not in _RASTER_WITHOUT_PARAMETER else 0)
        case b"\x1c":
            return _logos(head) if third == 0x71 else (5 if third == 0x70 else 3, 0)
        case b"\x1d":
            return _group(head, third)
    return 2, 0


def _group(head: bytes | bytearray, third: int) -> tuple[int, int]:
    """ESC GS and more."""
    size = len(head)
    if third in _GS_FIXED:
        return 3 + _GS_FIXED[third], 0
    match third:
        case 0x50:  # ESC GS P n
            return 4 + _PAGE.get(head[3] if size > 3 else -1, 0), 0
        case 0x53:  # ESC GS S m xL xH yL yH n: x bytes of eight dots, y rows
            return 9, _little(head, 4) * _little(head, 6)
        case 0x29:  # ESC GS ) x pL pH
            return 6, _little(head, 4)
        case 0x23:  # ESC GS # m N n1 n2 n3 n4 LF NUL
            return 11, 0
        case 0x3D:
            return 5, _little(head, 3)
        case 0x78 | 0x79:  # PDF417 and QR code
            return _symbol(head)
    return 3, 0


def _symbol(head: bytes | bytearray) -> tuple[int, int]:
    """ESC GS x and ESC GS y: S sets something, D brings the text, P prints, I asks."""
    size = len(head)
    pdf417 = head[2] == 0x78
    match head[3] if size > 3 else -1:
        case 0x53:
            return 6 + (2 if pdf417 and size > 4 and head[4] in b"\x000" else 0), 0
        case 0x44 if pdf417:  # ESC GS x D nL nH
            return 6, _little(head, 4)
        case 0x44:  # ESC GS y D 1 m nL nH
            return 8, _little(head, 6)
    return 4, 0


def _little(head: bytes | bytearray, at: int) -> int:
    return int.from_bytes(head[at : at + 2], "little")


def _logos(head: bytes | bytearray) -> tuple[int, int]:
    """ESC FS q n [xL xH yL yH d…] for each of n logos; x and y count eight dots."""
    need = 4
    if len(head) >= need:
        for _ in range(head[3]):
            if len(head) < need + 4:
                return need + 4, 0
            need += 4 + _little(head, need) * _little(head, need + 2) * 8
    return need, 0
