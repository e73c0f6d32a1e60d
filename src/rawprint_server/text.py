"""Plain text as the bytes that a printer reads: which encodings there are, and which characters one lacks."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from rawprint import RawprintError

# Printers have code pages. Python's other codecs are no code pages (base64, idna, unicode_escape), switch modes in the
# middle (utf-7, hz), or put zero bytes between the letters of commands (utf-16).
_CODE_PAGES = re.compile(
    r"utf-8|ascii|cp\d{3,5}|iso8859-\d{1,2}|koi8-[rtu]|kz1048|ptcp154|tis-620|mac-[a-z]+"
    r"|gb2312|gbk|gb18030|big5|big5hkscs|shift_jis(?:_2004|x0213)?|euc_j(?:p|is_2004|isx0213)|euc_kr|johab"
)

_ASCII = "".join(map(chr, range(128)))

DEFAULT = "utf-8"


class BadText(RawprintError):
    """Text that the encoding cannot write, or an encoding that there is not."""

    code = "bad-request"


@lru_cache(maxsize=64)
def codec(name: str) -> str:
    """The codec's own name.

    Raises:
        BadText: There is none of that name that a printer could read.
    """
    try:
        known = codecs.lookup(name).name if name.isascii() else ""  # it would leave out what is not
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        known = ""
    if not _CODE_PAGES.fullmatch(known) or _ASCII.encode(known) != _ASCII.encode():
        raise BadText(
            f"there is no encoding {name[:64]!r} in which ASCII, and with it a command, stays as it is",
            hint='Name a code page like "cp437", "cp858", "cp1252", "gb18030" or "utf-8".',
        )
    return known


def encode(text: str, encoding: str) -> bytes:
    """The bytes; nothing is replaced.

    Raises:
        BadText: The encoding is none, or lacks one of the characters.
    """
    try:
        return text.encode(codec(encoding))
    except UnicodeEncodeError as error:
        character = text[error.start]
        raise BadText(
            f"the encoding {encoding} has no {character!r} (U+{ord(character):04X}, character {error.start + 1})",
            hint="Leave it out, choose an encoding that has it, or print it as an image.",
        ) from error
