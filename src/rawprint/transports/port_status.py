"""The port status byte of the USB printer class, which parallel ports had before: what it says of the printer.

Bits: 0x20 paper empty, 0x10 selected (online), 0x08 no error; 0x18 is a printer that is well (USB printer class 1.1
section 4.2.2; Linux usblp.c; Epson DFX-9000 specification p. 31).
"""

from __future__ import annotations

from rawprint.status import Reason

_PAPER_EMPTY, _SELECTED, _NO_ERROR = 0x20, 0x10, 0x08
_SAYS_NOTHING = (0x00, 0xFF)  # lines that nobody drives


def reasons(status: int) -> dict[Reason, bool]:
    """The bad news in a port status byte, each true; {} where there is none.

    That there is none proves nothing, as many thermal printers answer the same byte for ever: so nothing is ever denied.
    """
    if status in _SAYS_NOTHING:
        return {}
    if status & _PAPER_EMPTY:
        return {Reason.MEDIA_EMPTY: True}
    if not status & _SELECTED:
        return {Reason.OFFLINE: True}
    return {} if status & _NO_ERROR else {Reason.OTHER: True}
