"""The IEEE 1284 device ID: the text by which a printer says who made it and which languages it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LENGTH = 4096
_SHORTEST = 14  # no device id is shorter, its length included (CUPS and PAPPL)

# IEEE 1284-2000 section 7.6 allows the long names; printers use both, and some their own for the serial number.
_SHORT = {
    "MANUFACTURER": "MFG",
    "MODEL": "MDL",
    "COMMAND SET": "CMD",
    "CLASS": "CLS",
    "DESCRIPTION": "DES",
    "SERIALNUMBER": "SN",
    "SERN": "SN",
    "SER": "SN",
}


def parse(raw: bytes | str) -> dict[str, str]:
    """Read a device ID into its keys, upper case and in their short form (MFG, MDL, CMD, CLS, DES, SN …).

    Bytes may begin with the two-byte length, which counts itself. It is big-endian; some printers send it
    little-endian, so a value that cannot be is swapped (CUPS and PAPPL do the same). Whatever is no KEY:value
    is left out; the first of two equal keys stays. Never raises; more than 4,096 bytes are not looked at.
    """
    if isinstance(raw, bytes):
        raw = split_device_id(raw[:MAX_LENGTH])
    keys: dict[str, str] = {}
    for part in raw[:MAX_LENGTH].split(";"):
        key, colon, value = part.partition(":")
        key = " ".join(key.split()).upper()
        if colon and key:
            keys.setdefault(_SHORT.get(key, key), value.strip())
    return keys


def split_device_id(raw: bytes) -> str:
    """The text of a device ID as a printer sends it, without its length and what follows it.

    Args:
        raw: Two bytes of length, which counts itself, and the text; a text alone is fine, too. The length is
            big-endian; some printers send it little-endian, so a value below 14 or beyond the end of `raw` is
            swapped. One that cannot be either way is not believed: all that came is the text.

    Returns:
        Latin-1, at most as long as `raw`; a zero byte ends it. Never raises.
    """
    if len(raw) >= 2 and not raw[:2].isalpha():
        length = int.from_bytes(raw[:2], "big")
        if not _SHORTEST <= length <= len(raw):
            length = int.from_bytes(raw[:2], "little")
        raw = raw[2:length] if _SHORTEST <= length <= len(raw) else raw[2:]
    return raw.partition(b"\0")[0].decode("latin-1")


def commands(keys: Mapping[str, str]) -> tuple[str, ...]:
    """The languages that the CMD key lists, as written, in its order."""
    return tuple(name.strip() for name in keys.get("CMD", "").replace(",", " ").split() if name.strip())
