"""A label printer that speaks TSPL: command lines, binary images between them, and `ESC !` that is heard at once.

Page keys: T6, T97 (TSC programming manuals), C, M, O (notes that quote them). The optional bit 0x40 of `ESC !?`
("cover open" of some older models) is never set: the head of this printer is its cover, bit 0x01.
"""

from __future__ import annotations

import re

from rawprint.status import Reason
from rawprint.virtual.device import Device

# ESC !? : one byte, bits OR-ed (T97; DOC rows 00 01 04 05 10 20).
_SHORT = {
    Reason.COVER_OPEN: 0x01,  # head open
    Reason.MEDIA_JAM: 0x02,
    Reason.MEDIA_EMPTY: 0x04,
    Reason.MARKER_SUPPLY_EMPTY: 0x08,  # ribbon
    Reason.PAUSED: 0x10,
    Reason.OTHER: 0x80,  # "other error" in newer manuals, temperature in older ones
    Reason.OVER_TEMPERATURE: 0x80,
    Reason.TRIMMER_JAM: 0x80,
}
_SHORT_PRINTING = 0x20

# ESC !S : 02 message warning error error 03 0D 0A, each of the four with 0x40 added (T97 p.85).
_WARNING = {
    Reason.MEDIA_LOW: 0x01,  # the first two in newer documents only (C)
    Reason.MARKER_SUPPLY_LOW: 0x02,
    Reason.INPUT_BUFFER_FULL: 0x08,
}
_ERROR_1 = {
    Reason.OVER_TEMPERATURE: 0x01,  # print head
    Reason.TRIMMER_JAM: 0x08,
    Reason.OTHER: 0x10,  # out of memory
}
_ERROR_2 = {
    Reason.MEDIA_EMPTY: 0x01,
    Reason.MEDIA_JAM: 0x02,
    Reason.MARKER_SUPPLY_EMPTY: 0x04,
    Reason.COVER_OPEN: 0x20,
}

# Immediate commands (T6, T97; minimum firmware in C). Any other letter after `ESC !` is swallowed.
_IMMEDIATE = frozenset(b"?SRCQDPOF.")
# In image data only what is surely a command is taken for one.
_IMMEDIATE_IN_DATA = re.compile(rb"\x1b!([?SRCQDPOF.])", re.DOTALL)

# What interests the tokenizer inside a line.
_STOP = re.compile(rb"[\x1b\n,]")

# A line that ends in a comma after which binary data begins. Spaces in a line count for nothing (T6).
_BITMAP = re.compile(rb"\s*BITMAP\s([^,\"]*),([^,\"]*),([^,\"]*),([^,\"]*),([^,\"]*),", re.IGNORECASE)
_DOWNLOAD = re.compile(rb"\s*DOWNLOAD\s*(?:[FE]\s*,\s*)?\"([^\"]*)\"\s*,\s*(\d{1,9})\s*,", re.IGNORECASE)

_WORD = re.compile(rb"\s*(~!.|[A-Z0-9]+)\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)

_FEEDS = frozenset(
    [
        b"FEED",
        b"BACKFEED",
        b"BACKUP",
        b"FORMFEED",
        b"HOME",
        b"SELFTEST",
        b"GAPDETECT",
        b"BLINEDETECT",
        b"AUTODETECT",
    ]
)
# The words a plain clone knows too (section 8 and 9 of the command list in M).
_PLAIN = _FEEDS | frozenset(
    b"""SIZE GAP BLINE OFFSET SPEED DENSITY DIRECTION REFERENCE SHIFT CLS PRINT CUT LIMITFEED SOUND CODEPAGE COUNTRY
    SET BITMAP TEXT BLOCK BARCODE QRCODE DMATRIX PDF417 BAR BOX CIRCLE ELLIPSE REVERSE ERASE PUTBMP PUTPCX
    DOWNLOAD""".split()
)

# Notices of one PRINT command; a real printer would send one for each of a billion labels.
_MOST_NOTICES = 1000


class TsplDevice(Device):
    """A TSC label printer, or a clone of one."""

    dialect = "tspl"
    reportable = frozenset({*_SHORT, *_WARNING, *_ERROR_1, *_ERROR_2, Reason.LABEL_WAITING})

    # -- arrival ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._line = bytearray()
        self._data_left = 0
        self._tail = b""  # the end of the data so far, where half an immediate command may stand

    def _scan(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._data_left:
                at = self._scan_data(data, at)
            elif self._held:
                at = self._scan_immediate(data, at)
            else:
                at = self._scan_line(data, at)

    def _scan_line(self, data: bytes, at: int) -> int:
        found = _STOP.search(data, at)
        if found is None:
            self._line_goes_on(data[at:])
            return len(data)
        stop = found.start()
        if found[0] == b"\x1b":
            self._line_goes_on(data[at:stop])
            self._held = b"\x1b"
            return stop + 1
        self._line_goes_on(data[at : stop + 1])
        if found[0] == b"\n":
            self._note(bytes(self._line))
            self._line.clear()
        else:
            self._data_left = _data_size(self._line)
            if self._data_left:
                self._note(bytes(self._line))
                self._line.clear()
        return stop + 1

    def _line_goes_on(self, piece: bytes) -> None:
        self._take(piece)
        self._line += piece

    def _scan_immediate(self, data: bytes, at: int) -> int:
        """Decide about `ESC` or `ESC !`, which is held back until it is known what it is."""
        if len(self._held) == 1 and data[at] == ord("!"):
            self._held += b"!"
            return at + 1
        self._print_at_once()  # ~!E before it may just switch immediate commands on
        if len(self._held) == 1 or not self._immediate_on:
            held, self._held = self._held, b""
            self._line_goes_on(held)
            return at
        letter = data[at]
        self._held = b""
        if self._knows_immediate(letter):
            self._act(letter)
        elif self.clone.prints_unknown:
            command = bytes((0x1B, 0x21, letter))
            self._take(command)
            self._note(command)
        return at + 1

    def _scan_data(self, data: bytes, at: int) -> int:
        """Image data: immediate commands in it are heard, and stay image data.

        That they are heard is plausible and UNCONFIRMED; it is the reason for which `ESC !D` exists.
        """
        piece = data[at : at + self._data_left]
        window = self._tail + piece
        found = _IMMEDIATE_IN_DATA.search(window)
        if found is None:
            self._tail = window[-2:]
        else:
            piece = piece[: found.end() - len(self._tail)]
            self._tail = b""
        self._take(piece)
        self._data_left -= len(piece)
        if not self._data_left:
            self._tail = b""
        if found is not None:
            self._print_at_once()
            letter = found[1][0]
            if self._immediate_on and self._knows_immediate(letter):
                self._act(letter)
        return at + len(piece)

    # -- immediate commands -----------------------------------------------------------------------

    def _knows_immediate(self, letter: int) -> bool:
        if self.clone.short_status:
            return letter == ord("?")
        if self.clone.prints_unknown:
            return letter in b"?S"
        return letter in _IMMEDIATE

    def _act(self, letter: int) -> None:
        match chr(letter):
            case "?":
                self._answer(bytes([self._short()]))
                self._asked()
            case "S":
                self._answer(self._long())
                self._asked()
            case "R" | "C" | "Q":  # reset, and the two restarts
                self._clear()
                self._defaults()
                self._reasons[Reason.PAUSED] = False
            case "D":
                self._immediate_on = False
            case "P":
                self._reasons[Reason.PAUSED] = True
            case "O":
                self.set(Reason.PAUSED, value=False)
            case "F":
                self.fed += not self._stopped()
            case ".":
                self._clear()

    def _short(self) -> int:
        return self._bits(_SHORT) | (_SHORT_PRINTING if self._at_work() or self._feeding else 0)

    def _long(self) -> bytes:
        errors = self._bits(_ERROR_1), self._bits(_ERROR_2)
        # Which message wins where several are true is UNCONFIRMED; an error first, as in the manual's `E@@b`.
        if any(errors):
            message = 0x45
        elif self._reasons[Reason.PAUSED]:
            message = 0x60
        elif self._reasons[Reason.LABEL_WAITING]:
            message = 0x4C
        elif self._feeding:
            message = 0x46
        elif self._at_work():
            message = 0x50
        else:
            message = 0x40
        masks = (self._bits(_WARNING), *errors)
        return bytes((0x02, message, *(0x40 | mask for mask in masks), 0x03, 0x0D, 0x0A))

    def _bits(self, table: dict[Reason, int]) -> int:
        byte = 0
        for reason, bit in table.items():
            if self._reasons[reason]:
                byte |= bit
        return byte

    def _at_work(self) -> bool:
        """Whether printing is under way; without a speed it never lasts."""
        return self.speed is not None and self._printing()

    # -- queued commands --------------------------------------------------------------------------

    def _defaults(self) -> None:
        self._immediate_on = True
        self._files: list[bytes] = []
        self._labels = 0
        self._notice: str | None = None  # None: no notices; else what stands behind the number
        self._notice_each_job = False

    def _execute(self, command: bytes) -> None:
        found = _WORD.fullmatch(command)
        word = found[1].upper() if found else b""
        rest = found[2] if found else b""
        response = re.match(rb"RESPONSE\b\s*(.*)", rest, re.IGNORECASE | re.DOTALL) if word == b"SET" else None
        if self.clone.prints_unknown and (word not in _PLAIN or response):
            if command.strip():
                self._misprint(command)
        elif word == b"PRINT":
            self._labels_printed(rest)
        elif word in _FEEDS:
            self.fed += 1
        elif self.clone.short_status:
            pass
        elif response:
            self._set_response(response[1])
        elif word == b"DOWNLOAD":
            name = _DOWNLOAD.fullmatch(command)
            self._files += [name[1]] if name else []
        else:
            self._question(word)

    def _question(self, word: bytes) -> None:
        """`~!` and a letter (M, O). `~!S` is in no manual, so it falls through like any unknown word."""
        match word:
            case b"~!T":
                self._answer(b"Virtual TSPL\r")
            case b"~!I":
                self._answer(b"437, 001\r")
            case b"~!@":
                self._answer(b"12\r")  # kilometres
            case b"~!A":
                self._answer(b"4194304\r")  # bytes
            case b"~!F":
                self._answer(b"".join(name + b"\r" for name in self._files) + b"\x1a")
            case b"~!E":
                self._immediate_on = True

    def _labels_printed(self, counts: bytes) -> None:
        self._ticket()
        numbers = [int(count) for count in re.findall(rb"\d{1,9}", counts)] or [1]
        labels = numbers[0] * (numbers[1] if len(numbers) > 1 else 1)
        if self._notice is None:
            return
        for _ in range(1 if self._notice_each_job else min(labels, _MOST_NOTICES)):
            self._labels = self._labels % 99999 + 1
            text = f"{{{self._bits(_SHORT):02X},{self._labels:05d}{self._notice}}}"
            self._push(text.encode("ascii"))

    def _set_response(self, value: bytes) -> None:
        """`SET RESPONSE ON|OFF|"id"[,BATCH]` (O only, UNCONFIRMED)."""
        name = re.match(rb"\"([^\"]*)\"", value)
        if value[:2].upper() == b"ON":
            self._notice = ""
        elif name:
            self._notice = "," + name[1].decode("ascii", "replace").replace("\ufffd", "?")
        else:
            self._notice = None
        self._notice_each_job = value.upper().endswith(b"BATCH")


def _data_size(line: bytearray) -> int:
    """How many bytes of binary data follow a line that has just got a comma; 0 = none."""
    if bitmap := _BITMAP.fullmatch(line):
        try:
            return max(0, int(bitmap[3]) * int(bitmap[4]))
        except ValueError:
            return 0
    if download := _DOWNLOAD.fullmatch(line):
        return int(download[2])
    return 0
