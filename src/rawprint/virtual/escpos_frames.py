"""Where each ESC/POS command ends: how many parameter bytes it has, and how much data follows them."""

from __future__ import annotations

ESC, FS, GS, DLE = b"\x1b", b"\x1c", b"\x1d", b"\x10"

TO_NUL = -1
"""As a size of data: up to the next NUL, and with it."""

# First byte -> second byte -> number of parameter bytes (Epson's application programming guide, HOP, X80).
_PARAMETERS: dict[bytes, dict[int, str]] = {
    ESC: {
        0: "@2<LSimvq\x0c",
        1: "!a3dJ -EGMRtV{TreKUu%?=",
        2: "$\\cfB",
        3: "p",
        8: "W",
    },
    FS: {0: "&.", 1: "!-CW", 2: "Sp?"},
    GS: {0: ":c\x0c", 1: "!BHhwfarIb/TjE", 2: "LWP$\\", 3: "^z", 4: "g"},
}
_FIXED = {
    first + letter.encode(): count
    for first, rows in _PARAMETERS.items()
    for count, letters in rows.items()
    for letter in letters
}


def frame(head: bytes | bytearray) -> tuple[int, int]:
    """Tell how long the command is that begins like this.

    Args:
        head: Its first bytes, two or more.

    Returns:
        (bytes of head needed, bytes of data after it). Where the first is more than there are, call again
        with so many; data may be `TO_NUL`. A command that nobody knows has two bytes.
    """
    name, size = bytes(head[:2]), len(head)
    if name in _FIXED:
        return 2 + _FIXED[name], 0
    if name[1:] == b"(":  # GS ( x pL pH, and the same with ESC and FS
        return 5, _little(head, 3, 2)
    match name:
        case b"\x1bD":
            return 2, TO_NUL
        case b"\x1b*":  # m nL nH: m with bit 5 has 24 dots, else 8
            return 5, _little(head, 3, 2) * (3 if size > 2 and head[2] & 0x20 else 1)
        case b"\x1b&":
            return _characters(head), 0
        case b"\x1dV":  # the forms that feed have one byte more
            return 3 + (size > 2 and head[2] in b"ABabgh"), 0
        case b"\x1dv":
            return 8, _little(head, 4, 2) * _little(head, 6, 2)
        case b"\x1dQ":
            return 8, _little(head, 4, 2) * _little(head, 6, 2)
        case b"\x1d*":
            return 4, (head[2] * head[3] * 8 if size > 3 else 0)
        case b"\x1d8":  # GS 8 L p1 p2 p3 p4
            return 7, _little(head, 3, 4)
        case b"\x1dC":
            return 3 + {0x30: 2, 0x31: 6, 0x32: 2}.get(head[2] if size > 2 else -1, 0), 0
        case b"\x1dk":  # the old form ends in NUL, the new one says how long it is
            if size > 2 and head[2] >= 65:
                return 4, (head[3] if size > 3 else 0)
            return 3, TO_NUL
        case b"\x1c2":
            return 4, 72
        case b"\x1cq":
            return _stored_images(head), 0
    return 2, 0


def _little(head: bytes | bytearray, at: int, count: int) -> int:
    return int.from_bytes(head[at : at + count], "little")


def _characters(head: bytes | bytearray) -> int:
    """ESC & y c1 c2 [x d1…d(x*y)] for each character of c1…c2."""
    need = 5
    if len(head) >= need:
        for _ in range(head[3], head[4] + 1):
            if len(head) <= need:
                return need + 1
            need += 1 + head[2] * head[need]
    return need


def _stored_images(head: bytes | bytearray) -> int:
    """FS q n [xL xH yL yH d…] for each of n images; x and y count eight dots."""
    need = 3
    if len(head) >= need:
        for _ in range(head[2]):
            if len(head) < need + 4:
                return need + 4
            need += 4 + _little(head, need, 2) * _little(head, need + 2, 2) * 8
    return need
