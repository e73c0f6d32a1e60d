"""A receipt printer that speaks Star Line Mode: real-time commands, automatic status, and questions in the print data.

Page keys: LT, HSP, SP (Star's command specifications of its line thermal printers, the HSP7000 and the dot impact printers),
HE (manual of the IFBD-HE07 network card).
"""

from __future__ import annotations

import re

from rawprint.status import Reason
from rawprint.virtual.device import Device
from rawprint.virtual.star_frames import ENDS, frame

# Automatic status, as this printer sends it over a network: 9 bytes of version 3, bit 7 of the second byte, and behind
# them the length of other data, 0000 (HSP p.5-7 to 5-12; HE p.3-9). Over a cable there are neither that bit nor the length.
_ASB_HEAD = b"\x23\x86"
_ASB_TAIL = b"\x00\x00"
_ASB_3 = {Reason.DRAWER_OPEN: 0x04, Reason.COVER_OPEN: 0x20}  # the drawer's switch; this one's closes when it opens
_ASB_3_ETB, _ASB_3_OFFLINE = 0x02, 0x08
_ASB_4 = {
    Reason.TRIMMER_JAM: 0x08,
    Reason.OTHER: 0x20,  # non-recoverable
    Reason.OVER_TEMPERATURE: 0x40,
}
_ASB_5 = {Reason.MEDIA_JAM: 0x04, Reason.INPUT_BUFFER_FULL: 0x40}  # in the presenter
_ASB_6 = {Reason.MEDIA_LOW: 0x04, Reason.MEDIA_EMPTY: 0x08}

# ENQ and EOT: one byte each (HSP p.5-6).
_ENQ = {
    Reason.DRAWER_OPEN: 0x80,
    Reason.INPUT_BUFFER_FULL: 0x40,
    Reason.MEDIA_EMPTY: 0x08,
    Reason.OTHER: 0x04,
    Reason.COVER_OPEN: 0x04,
}
_ENQ_EMPTY = 0x20  # nothing waits in the buffer
_EOT_FIXED = 0x10
_EOT = {Reason.MEDIA_JAM: 0x40, Reason.MEDIA_EMPTY: 0x08, Reason.MEDIA_LOW: 0x04}

_COUNTS = 32  # the ETB counter has 5 bits
_VERSION = b"\x1b#*,VIRTUALVer1.0\n\x00"

_GET_STATUS, _RESET = b"\x1b\x06\x01", b"\x1b\x06\x18"
_GET_EOT, _GET_ENQ, _CANCEL = b"\x04", b"\x05", b"\x18"
_REAL_TIME = frozenset({_GET_STATUS, _RESET, _GET_EOT, _GET_ENQ, _CANCEL})
_ETB, _SELECT, _DESELECT = b"\x17", b"\x11", b"\x13"
_DRAWER = frozenset({b"\x07", b"\x1c", b"\x1a", b"\x19"})

# What interests the tokenizer between commands. In raster mode `b` and `k` begin a row of dots (LT p.3-78).
_STOP = re.compile(rb"[\x1b\x04\x05\x07\x11\x13\x17-\x1a\x1c]")
_RASTER_STOP = re.compile(rb"[\x1bbk\x04\x05\x17\x18]")

_FEEDS = frozenset(b"\x1b" + bytes([letter]) for letter in b"aJIj")
_CUT = b"\x1bd"
# The commands a plain clone prints with.
_PLAIN = _FEEDS | frozenset(
    {
        *(b"\x1b" + bytes([letter]) for letter in b"@MP:gEF45\x0e\x14012OR/ WhC-_zNlQd%$iKLkXBDb&*\x07\x0c"),
        *(b"\x1b\x1d" + bytes([letter]) for letter in b"taARSyx"),
        b"\x1b\x1eF",
        b"b",
        b"k",
        b"\x07",
        b"\x1a",
    }
)
_UNCUT = frozenset({b"1", b"2", b"3"})  # the raster EOT modes without a cutter (LT p.3-73)


class StarDevice(Device):
    """A Star receipt printer behind a network card, or a clone of one."""

    dialect = "star"
    reportable = frozenset({*_ASB_3, *_ASB_4, *_ASB_5, *_ASB_6, Reason.OFFLINE})
    has_pushes = True

    # -- arrival ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._raster = False
        self._next_command()

    def _next_command(self) -> None:
        self._command = bytearray()
        self._data_left = 0

    def _scan(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._data_left:
                at = self._scan_data(data, at)
            elif self._command:
                at = self._scan_head(data, at)
            elif self._held:
                at = self._scan_escape(data, at)
            else:
                at = self._scan_text(data, at)

    def _scan_text(self, data: bytes, at: int) -> int:
        found = (_RASTER_STOP if self._raster else _STOP).search(data, at)
        if found is None:
            self._take(data[at:])
            return len(data)
        self._take(data[at : found.start()])
        code = found[0]
        if code == b"\x1b":
            self._held = code
        elif code in _REAL_TIME:
            self._hear(code)
        else:
            self._take(code)
            if self._raster and code in b"bk":
                self._command += code
            else:
                self._note(code)
        return found.end()

    def _scan_escape(self, data: bytes, at: int) -> int:
        """Decide about `ESC` or `ESC ACK`, which is held back until it is known what it is."""
        sequence = self._held + data[at : at + 1]
        if sequence == _GET_STATUS[:2]:
            self._held = sequence
            return at + 1
        held, self._held = self._held, b""
        if sequence in _REAL_TIME:
            self._hear(sequence)
            return at + 1
        self._take(held)
        if len(held) == 1:
            self._command += held
        else:
            self._note(held)  # `ESC ACK` and something unknown: both are discarded
        return at

    def _scan_head(self, data: bytes, at: int) -> int:
        """A command's first bytes: its parameters are no real-time commands."""
        need = frame(self._command)[0] if len(self._command) > 1 else 2
        piece = data[at : at + need - len(self._command)]
        self._take(piece)
        self._command += piece
        if len(self._command) > 1:
            need, follows = frame(self._command)
            if len(self._command) >= need:
                self._data_left = follows
                if not follows:
                    self._command_ends()
        return at + len(piece)

    def _scan_data(self, data: bytes, at: int) -> int:
        """A command's data. That real-time commands in it are not heard is UNCONFIRMED: `CAN` is one byte of any image."""
        end = ENDS.get(self._data_left)
        if end is None:
            piece = data[at : at + self._data_left]
            self._data_left -= len(piece)
            ends = not self._data_left
        else:
            found = data.find(end, at)
            piece = data[at:] if found < 0 else data[at : found + 1]
            ends = found >= 0
        self._take(piece)
        self._command += piece
        if ends:
            self._command_ends()
        return at + len(piece)

    def _command_ends(self) -> None:
        command = bytes(self._command)
        if command.startswith(b"\x1b*r") and command[3:] in (b"A", b"B"):
            self._raster = command[3:] == b"A"
        self._note(command)
        self._next_command()

    # -- real-time commands -----------------------------------------------------------------------

    def _hear(self, sequence: bytes) -> None:
        if self.clone.prints_unknown and sequence != _GET_STATUS:
            self._take(sequence)
            self._note(sequence)
        elif not self.clone.enq_only or sequence in (_GET_ENQ, _GET_EOT):
            self._print_at_once()
            self._act(sequence)

    def _act(self, sequence: bytes) -> None:
        match sequence:
            case b"\x1b\x06\x01":
                self._answer(self._asb())
                self._asb_sent()
                self._asked()
            case b"\x05":
                self._answer(bytes([self._bits(_ENQ) | (0 if self._buffer else _ENQ_EMPTY)]))
                self._asked()
            case b"\x04":
                self._answer(bytes([self._bits(_EOT) | _EOT_FIXED]))
                self._asked()
            case b"\x18":
                self._clear()
                self._clear_etb()
            case b"\x1b\x06\x18":
                self._clear()
                self._defaults()

    def _bits(self, table: dict[Reason, int]) -> int:
        byte = 0
        for reason, bit in table.items():
            if self._reasons[reason]:
                byte |= bit
        return byte

    # -- automatic status -------------------------------------------------------------------------

    def _asb(self) -> bytes:
        first = self._bits(_ASB_3) | (_ASB_3_OFFLINE if self._stopped() else 0) | (_ASB_3_ETB if self._etb else 0)
        others = (self._bits(table) for table in (_ASB_4, _ASB_5, _ASB_6))
        counter = (self._etb_count & 0x07) << 1 | self._etb_count >> 3 << 5
        return _ASB_HEAD + bytes((first, *others, 0, counter, 0)) + _ASB_TAIL

    def _asb_sent(self) -> None:
        """ETB was "executed" until the host heard of it; that this ends is no change (HSP p.5-9)."""
        self._etb = False
        self._asb_last = self._asb()

    def _status_changed(self) -> None:
        status = self._asb()
        if self._asb_on and status != self._asb_last:
            self._push(status)
            self._asb_sent()

    def _clear_etb(self) -> None:
        """Nothing is sent for it (HSP p.3-72)."""
        self._etb = False
        self._etb_count = 0
        self._asb_last = self._asb()

    def connected(self) -> None:
        """A host has come: with NSB valid it hears the status (LT p.3-1)."""
        super().connected()
        if self._nsb_on:
            self._push(self._asb())
            self._asb_sent()

    # -- queued commands --------------------------------------------------------------------------

    def _defaults(self) -> None:
        self._asb_on = self._nsb_on = self._push_at_start  # memory switches
        self._etb = False
        self._etb_count = 0
        self._asb_last = b""
        self._prints_ended = 0
        self._raster_cuts = True

    def _execute(self, command: bytes) -> None:
        if self._deselected and command != _SELECT:
            return
        name = command[: (3 if command[1:2] in (b"\x1d", b"\x1e") else 2) if command[:1] == b"\x1b" else 1]
        if self.clone.prints_unknown and name not in _PLAIN:
            self._misprint(command)
        elif name in _FEEDS:
            self.fed += 1
        elif name == _CUT:
            self._ticket()
        elif name in _DRAWER:
            self.drawer_kicks += 1
        elif name in (_SELECT, _DESELECT):
            self._deselected = name == _DESELECT
        elif name == _ETB:
            self._etb = True
            self._etb_count = (self._etb_count + 1) % _COUNTS
            self._status_changed()
        elif name == b"\x1b*":
            self._execute_raster(command[3:4], command[4:-1])
        else:
            self._execute_other(name, command)

    def _execute_raster(self, letter: bytes, number: bytes) -> None:
        if letter == b"D" and number in (b"1", b"2", b"3"):
            self.drawer_kicks += int(number).bit_count()
        elif letter == b"E":
            self._raster_cuts = number not in _UNCUT
        elif letter in (b"A", b"R"):
            self._raster_cuts = True

    def _execute_other(self, name: bytes, command: bytes) -> None:
        match name:
            case b"\x1b\x0c" if command[2] == 0x04:
                if self._raster_cuts:
                    self._ticket()
            case b"\x1b?":  # prints a self test, and is as after power-up; a host sends nothing behind it (HSP p.3-87)
                self.fed += 1
                self._defaults()
            case b"\x1b\x1ea":  # whatever `ESC @` says later (LT p.3-53)
                mode = command[3] & 0x0F
                self._asb_on, self._nsb_on = bool(mode & 1), bool(mode & 2)
                self._asb_last = self._asb()
            case b"\x1b\x1eE":
                self._clear_etb()
            case b"\x1b#" if command == b"\x1b#*\n\x00":
                self._answer(_VERSION)
            case b"\x1b\x1d\x03":
                self._execute_counter(command[3], command)

    def _execute_counter(self, what: int, command: bytes) -> None:
        """ESC GS ETX s n1 n2: the print-end counter, which `ETB` has nothing to do with (LT p.3-56)."""
        if what == 2:  # cleared without a word
            self._prints_ended = 0
        elif what in (0, 1):
            self._prints_ended = (self._prints_ended + what) % 256
            self._answer(command + bytes([self._prints_ended, 0]))
