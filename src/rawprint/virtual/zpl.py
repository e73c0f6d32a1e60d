"""A label printer that speaks ZPL II: formats from `^XA` to `^XZ`, and `~` commands that are obeyed as they arrive.

Keys: Z06 (ZPL II programming guide 45541L-004), ZDOC (its pages on docs.zebra.com), ZQ (captured from a ZQ630 Plus), LP117 (captured
`~HQES`, lprint issue 117).
"""

from __future__ import annotations

import re

from rawprint.status import Reason
from rawprint.virtual.device import Device

# `~HQES`, errors of group 1 and warnings of group 1 (ZDOC).
_ERROR = {
    Reason.MEDIA_EMPTY: 0x1,
    Reason.MARKER_SUPPLY_EMPTY: 0x2,
    Reason.COVER_OPEN: 0x4,  # head open
    Reason.TRIMMER_JAM: 0x8,
    Reason.OVER_TEMPERATURE: 0x10,
    Reason.OTHER: 0x40,  # bad print head element
    Reason.PAUSED: 0x10000,
}
_WARNING = {Reason.MEDIA_LOW: 0x8}  # paper near end
_OTHERS = frozenset({Reason.LABEL_WAITING, Reason.INPUT_BUFFER_FULL})  # ~HS alone has them
# In these states nothing answers ~HS, according to ZDOC.
_BLOCKED = frozenset({Reason.MEDIA_EMPTY, Reason.MARKER_SUPPLY_EMPTY, Reason.COVER_OPEN, Reason.OVER_TEMPERATURE})

_STOP = re.compile(rb"[\^~,]")
_BEGINS, _ENDS = b"^XA", b"^XZ"
_NAME = 3  # bytes, prefix included
# Binary data: as many bytes as the command says (^GFB: Z06; ~DY with format B).
_BINARY = re.compile(rb"\^GFB,(\d{1,9}),\d*,\d*,|~DY[^,]*,B,[^,]*,(\d{1,9}),\d*,", re.IGNORECASE)
_QUANTITY = re.compile(rb"\^PQ\s*(\d{1,8})", re.IGNORECASE)
_IMMEDIATE = frozenset({b"~HS", b"~HI", b"~HQ", b"~JA", b"~JX", b"~JC", b"~JR", b"~PS", b"~PP"})
_HQ_TYPE = 2  # letters


class ZplDevice(Device):
    """A Zebra label printer, or a clone of one."""

    dialect = "zpl"
    reportable = frozenset({*_ERROR, *_WARNING, *_OTHERS})

    # -- arrival ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._command = bytearray()
        self._data_left = 0
        self._receiving = False  # between ^XA and ^XZ
        self._line_end = False  # the end of the line of an immediate command is no data

    def _scan(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self.clone.line_print:
                at = self._scan_line(data, at)
            elif self._data_left:
                piece = data[at : at + self._data_left]
                self._take(piece)
                self._data_left -= len(piece)
                at += len(piece)
            elif self._held:
                at = self._scan_tilde(data, at)
            elif self._line_end and data[at] in b"\r\n":
                at += 1
            else:
                self._line_end = False
                at = self._scan_text(data, at)

    def _scan_line(self, data: bytes, at: int) -> int:
        """Another mode than ZPL: every line is text, and there are no commands."""
        end = data.find(b"\n", at) + 1 or len(data)
        self._take(data[at:end])
        self._command += data[at:end]
        if self._command.endswith(b"\n"):
            self._command_ends()
        return end

    def _scan_text(self, data: bytes, at: int) -> int:
        if self._command and len(self._command) < _NAME and data[at] not in b"^~":
            self._goes_on(data[at : at + 1])
            if bytes(self._command).upper() in (_BEGINS, _ENDS):
                self._receiving = bytes(self._command).upper() == _BEGINS
                self._command_ends()
            return at + 1
        found = _STOP.search(data, at)
        if found is None:
            self._goes_on(data[at:])
            return len(data)
        stop = found.start()
        self._goes_on(data[at:stop])
        if found[0] == b"~":
            self._held = b"~"
        elif found[0] == b"^":
            self._command_ends()
            self._command += b"^"
            self._take(b"^")
        else:
            self._goes_on(b",")
            if binary := _BINARY.fullmatch(self._command):
                self._data_left = int(binary[1] or binary[2])
        return stop + 1

    def _goes_on(self, piece: bytes) -> None:
        self._take(piece)
        if self._command:
            self._command += piece

    def _command_ends(self) -> None:
        if self._command:
            self._note(bytes(self._command))
        self._command = bytearray()

    def _scan_tilde(self, data: bytes, at: int) -> int:
        """Decide about `~` and what follows, which is held back until it is known what it is."""
        if data[at] in b"^~":
            self._begins_with_held()
            return at
        self._held += data[at : at + 1]
        name = self._held[:_NAME].upper()
        need = _NAME + (_HQ_TYPE if name == b"~HQ" else 0)
        if len(self._held) == _NAME and name not in _IMMEDIATE:
            self._begins_with_held()
        elif len(self._held) == need:
            command, self._held = self._held.upper(), b""
            self._print_at_once()
            self._act(command)
            self._line_end = True
        return at + 1

    def _begins_with_held(self) -> None:
        """It is a command with parameters, such as ~SD15 or ~DG, or none that is known."""
        self._command_ends()
        held, self._held = self._held, b""
        self._take(held)
        self._command += held

    # -- immediate commands -----------------------------------------------------------------------

    def _act(self, command: bytes) -> None:
        match command:
            case b"~HQES":
                if not self.clone.no_hqes:
                    self._answer(self._flags())
                    self._asked()
            case b"~HS":
                if not (self.clone.hs_silent and any(self._reasons[reason] for reason in _BLOCKED)):
                    self._answer(self._host_status())
                    self._asked()
            case b"~HI":
                self._answer(b"\x02VIRTUAL ZPL,V1.0.0Z,8,8192KB\x03\r\n")
            case b"~JA" | b"~JR":
                self._clear()
                if command == b"~JR":
                    self._reasons[Reason.PAUSED] = False
            case b"~JX":
                if self._receiving:
                    self._command, self._receiving = bytearray(), False
                    self._note(command)
            case b"~JC":
                self.fed += not self._stopped()
            case b"~PP":
                self._reasons[Reason.PAUSED] = True
            case b"~PS":
                self.set(Reason.PAUSED, value=False)

    def _flags(self) -> bytes:
        """As captured (LP117)."""
        errors, warnings = self._bits(_ERROR), self._bits(_WARNING)
        return (
            b"\x02\r\n\r\n  PRINTER STATUS                            \r\n"
            b"   ERRORS:         %d 00000000 %08X      \r\n"
            b"   WARNINGS:       %d 00000000 %08X      \r\n\x03"
        ) % (bool(errors), errors, bool(warnings), warnings)

    def _bits(self, table: dict[Reason, int]) -> int:
        return sum(bit for reason, bit in table.items() if self._reasons[reason])

    def _host_status(self) -> bytes:
        """Three lines (ZDOC, ZQ); the second field of the second line is unused."""
        true = self._reasons
        waiting = sum(command.upper() == _ENDS for _, command in self._commands)
        return (
            b"\x02030,%d,%d,0639,%03d,%d,0,%d,000,%d,0,%d\x03\r\n"
            b"\x02001,0,%d,%d,1,2,4,%d,%08d,1,000\x03\r\n"
            b"\x020000,0\x03\r\n"
        ) % (
            true[Reason.MEDIA_EMPTY],
            true[Reason.PAUSED],
            min(waiting, 999),
            true[Reason.INPUT_BUFFER_FULL],
            self._receiving,
            true[Reason.OTHER],  # its settings are lost
            true[Reason.OVER_TEMPERATURE],
            true[Reason.COVER_OPEN],
            true[Reason.MARKER_SUPPLY_EMPTY],
            true[Reason.LABEL_WAITING],
            waiting,
        )

    # -- queued commands --------------------------------------------------------------------------

    def _defaults(self) -> None:
        self._inside = False
        self._quantity = 1

    def _execute(self, command: bytes) -> None:
        name = command[:_NAME].upper()
        if self.clone.line_print:
            self._misprint(command)
        elif name == _BEGINS:
            self._inside, self._quantity = True, 1
        elif name == b"^PQ" and (quantity := _QUANTITY.match(command)):
            self._quantity = int(quantity[1])
        elif name == b"^PP" and self._inside:
            self._reasons[Reason.PAUSED] = True
        elif name == b"~JX":
            self._inside = False
        elif name == _ENDS and self._inside:
            self._inside = False
            if self._quantity:
                self._ticket()
