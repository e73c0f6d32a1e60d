"""A receipt printer that speaks ESC/POS: real-time commands, automatic status, and questions in the print data.

Page keys: APG (Epson application programming guide), HOP, X80 (clones' manuals), RS, CIT, HPRT.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rawprint.status import Reason
from rawprint.virtual.device import Device
from rawprint.virtual.escpos_frames import TO_NUL, frame

if TYPE_CHECKING:
    from collections.abc import Iterable

# DLE EOT n: 0xx1xx10, and these bits. What a drawer's pin 3 means depends on the drawer; this one is high when open.
_EOT_FIXED = 0x12
_EOT_1 = {Reason.DRAWER_OPEN: 0x04, Reason.FEED_BUTTON: 0x40}  # feed button: newer Epson (RS)
_EOT_1_OFFLINE = 0x08
_EOT_2 = {Reason.COVER_OPEN: 0x04, Reason.FEED_BUTTON: 0x08, Reason.MEDIA_EMPTY: 0x20}
_EOT_2_ERROR = 0x40
_EOT_3 = {Reason.TRIMMER_JAM: 0x08, Reason.OTHER: 0x20, Reason.OVER_TEMPERATURE: 0x40}
_EOT_4 = {Reason.MEDIA_LOW: 0x0C, Reason.MEDIA_EMPTY: 0x60}

# Automatic status: four bytes (APG p.319, 320). The fourth is reserved.
_ASB_1_FIXED = 0x10
_ASB_1 = {Reason.DRAWER_OPEN: 0x04, Reason.COVER_OPEN: 0x20, Reason.FEED_BUTTON: 0x40}
_ASB_1_OFFLINE = 0x08
_ASB_2 = {
    Reason.FEED_BUTTON: 0x02,  # Epson; undefined in HOP and CIT
    Reason.TRIMMER_JAM: 0x08,
    Reason.OTHER: 0x20,  # unrecoverable
    Reason.OVER_TEMPERATURE: 0x40,
}
_ASB_3 = {Reason.MEDIA_LOW: 0x03, Reason.MEDIA_EMPTY: 0x0C}

# GS a n: bit of n -> the bits of the four bytes whose change it reports (APG p.316, 318).
_ASB_ITEMS = {
    0x01: b"\x04\x00\x00\x00",  # drawer
    0x02: b"\x28\x00\x00\x00",  # online or offline, with the cover that caused it
    0x04: b"\x00\x6c\x00\x00",  # errors
    0x08: b"\x00\x00\x0f\x00",  # paper sensors
    0x40: b"\x40\x02\x00\x00",  # panel switch
}
_ASB_ALL = 0xFF

# GS I n: 1 to 3 are one byte, the others a block 5F … 00 (APG p.469). The values are this printer's own.
_IDENTITY = {
    1: b"\x20",
    2: b"\x02",  # bit 1: has a cutter
    3: b"\x01",
    65: b"_1.28\x00",
    66: b"_RAWPRINT\x00",
    67: b"_VIRTUAL\x00",
    68: b"_V0000001\x00",
    69: b"_PC437\x00",
}

_CLEAR_BUFFERS = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
_STATUS_SEQUENCES = frozenset(b"\x10\x04" + bytes([n]) for n in (1, 2, 3, 4))
_SEQUENCES = frozenset(
    {
        *_STATUS_SEQUENCES,
        *(b"\x10\x05" + bytes([n]) for n in (0, 1, 2)),
        *(b"\x10\x14\x01" + bytes([pin, time]) for pin in (0, 1) for time in range(1, 9)),
        b"\x10\x14\x02\x01\x08",  # power off: recognised and, as on models where it is off by default, ignored
        b"\x10\x14\x07\x01",
        _CLEAR_BUFFERS,
    }
)
_BEGINNINGS = frozenset(sequence[:size] for sequence in _SEQUENCES for size in range(1, len(sequence)))
# No sequence has a DLE but at its beginning, so that two can never overlap.
_IN_DATA = re.compile(b"|".join(re.escape(sequence) for sequence in sorted(_SEQUENCES)), re.DOTALL)
_LONGEST = max(map(len, _SEQUENCES))

_CONTROL = re.compile(rb"[\x10\x1b\x1c\x1d]")

_FEEDS = frozenset({b"\x1bd", b"\x1bJ", b"\x1bK", b"\x1be"})
_CUTS = frozenset({b"\x1bi", b"\x1bm", b"\x1dV"})


def _names(first: bytes, letters: Iterable[str]) -> set[bytes]:
    return {first + letter.encode() for letter in letters}


# The commands a plain clone prints with; the QR code is among them on nearly all that are sold.
_PLAIN = frozenset(
    _names(b"\x1b", "@2ijm!a3dJ -EGMRtV{TrU%?=$\\cpDB*&")
    | _names(b"\x1d", "!BHhwfLW$\\VvkP")
    | _names(b"\x1c", "&.!-CSp")
    | {b"\x1d(k"}
)


class EscPosDevice(Device):
    """An Epson-like receipt printer, or a clone of one."""

    dialect = "escpos"
    reportable = frozenset({*_EOT_1, *_EOT_2, *_EOT_3, *_EOT_4, Reason.OFFLINE})
    has_pushes = True

    # -- arrival ----------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._command = bytearray()
        self._in_data = False
        self._data_left = 0
        self._tail = b""  # the end of the data so far, where half a real-time sequence may stand

    def _scan(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._in_data:
                at = self._scan_data(data, at)
            elif self._command:
                at = self._scan_head(data, at)
            elif self._held:
                at = self._scan_realtime(data, at)
            else:
                at = self._scan_text(data, at)

    def _scan_text(self, data: bytes, at: int) -> int:
        found = _CONTROL.search(data, at)
        if found is None:
            self._take(data[at:])
            return len(data)
        stop = found.start()
        self._take(data[at:stop])
        if found[0] == b"\x10":
            self._held = found[0]
        else:
            self._take(found[0])
            self._command += found[0]
        return stop + 1

    def _scan_realtime(self, data: bytes, at: int) -> int:
        """Decide about a DLE, which is held back until it is known what it is."""
        sequence = self._held + data[at : at + 1]
        if sequence in _SEQUENCES:
            self._held = b""
            if self._knows_realtime(sequence):
                self._print_at_once()
                self._act(sequence)
            else:
                self._take(sequence)
                self._note(sequence)
            return at + 1
        if sequence in _BEGINNINGS:
            self._held = sequence
            return at + 1
        held, self._held = self._held, b""
        self._take(held)
        self._note(held)
        return at

    def _scan_head(self, data: bytes, at: int) -> int:
        """A command's first bytes: a DLE among its parameters is a parameter (HOP, TP809 p.36)."""
        need = frame(self._command)[0] if len(self._command) > 1 else 2
        piece = data[at : at + need - len(self._command)]
        self._take(piece)
        self._command += piece
        if len(self._command) > 1:
            need, follows = frame(self._command)
            if len(self._command) >= need:
                self._in_data, self._data_left = follows != 0, follows
                if not self._in_data:
                    self._command_ends()
        return at + len(piece)

    def _scan_data(self, data: bytes, at: int) -> int:
        """A command's data: real-time sequences in it are heard, as on clones and older Epsons, and stay data."""
        if self._data_left == TO_NUL:
            nul = data.find(b"\x00", at)
            piece = data[at:] if nul < 0 else data[at : nul + 1]
        else:
            piece = data[at : at + self._data_left]
        window = self._tail + piece
        found = _IN_DATA.search(window)
        if found is None:
            self._tail = window[1 - _LONGEST :]
        else:
            piece = piece[: found.end() - len(self._tail)]
            self._tail = b""
        self._take(piece)
        self._command += piece
        if self._data_left == TO_NUL:
            ends = piece.endswith(b"\x00")
        else:
            self._data_left -= len(piece)
            ends = not self._data_left
        if ends:
            self._command_ends()
        if found is not None and self._knows_realtime(found[0]):
            self._print_at_once()
            self._act(found[0])
        return at + len(piece)

    def _command_ends(self) -> None:
        self._note(bytes(self._command))
        self._restart()

    # -- real-time commands -----------------------------------------------------------------------

    def _knows_realtime(self, sequence: bytes) -> bool:
        return sequence in _STATUS_SEQUENCES or not self.clone.prints_unknown

    def _act(self, sequence: bytes) -> None:
        match sequence[1], sequence[2]:
            case 0x04, n:
                self._answer(bytes([self._eot(n)]))
                self._asked()
            case 0x05, 1:
                self._recover()
            case 0x05, 2:
                self._clear()
                self._recover()
            case 0x14, 1:
                self.drawer_kicks += self._pulse_on
            case 0x14, 7:
                self._answer(self._asb())
                self._asked()
            case 0x14, 8:
                self._clear()
                self._recover()
                self._answer(b"\x37\x25\x00")

    def _recover(self) -> None:
        """DLE ENQ: a jam of the cutter is taken for removed, and printing goes on (HOP, APG)."""
        self.set(Reason.TRIMMER_JAM, value=False)

    def _eot(self, n: int) -> int:
        byte = _EOT_FIXED | self._bits((_EOT_1, _EOT_2, _EOT_3, _EOT_4)[n - 1])
        if n == 1 and self._stopped():
            byte |= _EOT_1_OFFLINE
        if n == 2 and self._bits(_EOT_3):
            byte |= _EOT_2_ERROR
        return byte

    def _bits(self, table: dict[Reason, int]) -> int:
        byte = 0
        for reason, bit in table.items():
            if self._reasons[reason] or (self._feeding and reason is Reason.FEED_BUTTON):
                byte |= bit
        return byte

    # -- automatic status -------------------------------------------------------------------------

    def _asb(self) -> bytes:
        first = _ASB_1_FIXED | self._bits(_ASB_1) | (_ASB_1_OFFLINE if self._stopped() else 0)
        return bytes((first, self._bits(_ASB_2), self._bits(_ASB_3), 0))

    def _switch_asb(self, items: int) -> None:
        """GS a n: reports once as soon as any item is on (APG p.316)."""
        self._asb_items = items
        self._asb_last = b""
        self._status_changed()

    def _status_changed(self) -> None:
        watched = bytearray(4)
        for bit, mask in _ASB_ITEMS.items():
            if self._asb_items & bit:
                watched = bytearray(a | b for a, b in zip(watched, mask, strict=True))
        status = self._asb()
        seen = bytes(a & b for a, b in zip(status, watched, strict=True))
        if any(watched) and seen != self._asb_last:
            self._push(status)
        self._asb_last = seen

    def connected(self) -> None:
        """A host has come: where pushes are on it hears the status, as with Epson's LAN cards."""
        super().connected()
        if self._asb_items:
            self._switch_asb(self._asb_items)

    # -- queued commands --------------------------------------------------------------------------

    def _defaults(self) -> None:
        self._asb_default = _ASB_ALL if self._push_at_start or self.clone.forgets_push else 0
        self._asb_items = self._asb_default
        self._asb_last = b""
        self._pulse_on = True

    def _execute(self, command: bytes) -> None:
        name = command[:3] if command[1:2] == b"(" else command[:2]
        if self._deselected and name != b"\x1b=":
            return
        if self.clone.prints_unknown and name not in _PLAIN:
            self._misprint(command)
        elif name in _FEEDS:
            self.fed += 1
        elif name in _CUTS:
            self._ticket()
        else:
            self._execute_other(name, command)

    def _execute_other(self, name: bytes, command: bytes) -> None:
        match name:
            case b"\x1b@":
                self._initialise()
            case b"\x1b=":
                self._deselected = not command[2] & 1
            case b"\x1bp":
                self.drawer_kicks += 1
            case b"\x1da":
                self._switch_asb(command[2])
            case b"\x1dr":
                self._transmit_status(command[2])
            case b"\x1bv":
                self._answer(bytes([self._paper()]))
            case b"\x1bu":
                self._answer(bytes([self._drawer()]))
            case b"\x1dI":
                n = command[2]
                identity = _IDENTITY.get(n - 48 if n in b"123" else n)
                if identity:
                    self._answer(identity)
            case b"\x1d(H" if len(command) == 11 and command[5:7] == b"00":
                if self.clone.no_process_id:
                    return
                self._answer(b"\x37\x22" + command[7:11] + b"\x00")  # process id (APG p.429)
            case b"\x1d(D" if len(command) >= 8 and command[5] == 0x14:
                for which, on in zip(command[6::2], command[7::2], strict=False):
                    if which in b"\x011":
                        self._pulse_on = bool(on & 1)

    def _initialise(self) -> None:
        """ESC @: `GS a` is as at power-up again; a card that switched it on once does not do so again."""
        items = 0 if self.clone.forgets_push else self._asb_default
        if items != self._asb_items:
            self._switch_asb(items)
        self._pulse_on = True

    def _transmit_status(self, n: int) -> None:
        if n in b"\x011":
            self._answer(bytes([self._paper()]))
        elif n in b"\x022":
            self._answer(bytes([self._drawer()]))

    def _paper(self) -> int:
        """GS r 1 and ESC v: 0x03 near end, 0x0C end. At paper end nothing is executed, so that 0x0C never comes."""
        if self.clone.inverted_gs_r:
            # The manual has 0 = end and 3 = adequate; what it says near the end is UNCONFIRMED.
            return 0x00 if self._reasons[Reason.MEDIA_EMPTY] or self._reasons[Reason.MEDIA_LOW] else 0x03
        return self._bits({Reason.MEDIA_LOW: 0x03, Reason.MEDIA_EMPTY: 0x0C})

    def _drawer(self) -> int:
        return self._bits({Reason.DRAWER_OPEN: 0x01})
