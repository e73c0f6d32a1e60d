"""USB devices as tests plug them in: descriptors, class requests and endpoints around virtual printers, or around nothing.

A device has `setup` (control requests), `take` (bulk OUT) and `give` (bulk IN). To take fewer bytes than were offered, or to
give None, is a NAK: the host waits. Whoever carries the requests (the kernel by vhci-hcd, or the fake backend) holds a lock.
"""

from __future__ import annotations

import struct

FULL_SPEED, HIGH_SPEED = 2, 3
BULK, INTERRUPT = 2, 3


class UsbDevice:
    """What all have. Without a language (`printer=None`) the far end only collects."""

    speed, vid, pid, bcd, device_class = HIGH_SPEED, 0, 0, 0x100, 0
    strings = ("Rawprint Lab", "Virtual Device", "V0001")  # maker, product, serial number

    def __init__(self, printer=None, *, serial=None):
        self.printer = printer  # a rawprint.virtual.Device
        if serial is not None:
            self.strings = (*self.strings[:2], serial)
        self.received = bytearray()  # all that bulk OUT has taken
        self.answers = bytearray()  # waits for bulk IN
        self.capacity = None  # take so many bytes in all, then NAK
        self.stalls = 0  # so many bulk OUT transfers are refused

    @property
    def packet(self):
        return 512 if self.speed == HIGH_SPEED else 64

    def interfaces(self):
        """(class, subclass, protocol, extra descriptors, endpoints), one after the other."""
        raise NotImplementedError

    def endpoint(self, address, kind=BULK, size=None, interval=0):
        return struct.pack("<BBBBHB", 7, 5, address, kind, size or self.packet, interval)

    def descriptor(self, kind, index):
        numbers = [place if text else 0 for place, text in enumerate(self.strings, 1)]
        if kind == 1:
            ids = (self.vid, self.pid, self.bcd, *numbers, 1)
            return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, self.device_class, 0, 0, 64, *ids)
        if kind == 2:
            body = b""
            for number, (cls, sub, protocol, extra, endpoints) in enumerate(self.interfaces()):
                body += struct.pack("<9B", 9, 4, number, 0, len(endpoints), cls, sub, protocol, 0)
                body += extra + b"".join(endpoints)
            return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), len(self.interfaces()), 1, 0, 0xC0, 1) + body
        if kind == 3 and index <= len(self.strings):
            data = b"\x09\x04" if index == 0 else self.strings[index - 1].encode("utf-16le")
            return bytes([len(data) + 2, 3]) + data
        if kind == 6 and self.speed == HIGH_SPEED:
            return struct.pack("<BBHBBBBBB", 10, 6, 0x200, self.device_class, 0, 0, 64, 1, 0)
        return None

    def setup(self, kind, request, value, index, data):
        """A control request: the answer (b"" where none is due), or None to stall."""
        if (kind, request) == (0x80, 6):
            return self.descriptor(value >> 8, value & 0xFF)
        if kind & 0x60 == 0:  # the other standard requests
            return b"\0\0" if kind & 0x80 else b""
        return self.control(kind, request, value, index, data)

    def control(self, kind, request, value, index, data):
        return None

    def take(self, data):
        if self.capacity is not None:
            data = data[: max(0, self.capacity - len(self.received))]
        if self.printer is not None:
            data = data[: self.printer.room()]
            self.printer.receive(bytes(data))
        self.received += data
        return len(data)

    def give(self, endpoint, length):
        if self.printer is not None:
            self.answers += self.printer.output()
        got = bytes(self.answers[:length])
        del self.answers[:length]
        return got or None


class UsbPrinterDevice(UsbDevice):
    """A printer of the printer class, or of a class of its own (`vendor_class`)."""

    vid, pid = 0x04B8, 0x0E15
    strings = ("Rawprint Lab", "Virtual Printer", "VP0001")
    device_id = b"MFG:EPSON;CMD:ESC/POS;MDL:TM-T20II;CLS:PRINTER;"

    def __init__(self, printer=None, *, serial=None, protocol=2, vendor_class=False, behind=False):
        super().__init__(printer, serial=serial)
        self.protocol = protocol  # 1: it cannot answer
        self.vendor_class = vendor_class
        self.behind = behind  # another interface comes first
        self.port_status = 0x18  # selected, no error
        self.paper_out = False
        self.mute_control = False  # stalls the class' requests

    @property
    def number(self):
        return 1 if self.behind else 0

    def interfaces(self):
        endpoints = [self.endpoint(0x01)] + [self.endpoint(0x82)] * (self.protocol > 1)
        kind = (0xFF, 0xFF, 0xFF) if self.vendor_class else (7, 1, self.protocol)
        other = [(3, 0, 0, bytes.fromhex("092111010001223f00"), [self.endpoint(0x83, INTERRUPT, 8, 10)])]
        return [*(other if self.behind else []), (*kind, b"", endpoints)]

    def control(self, kind, request, value, index, data):
        if self.mute_control or self.vendor_class:
            return None
        if (kind, request) == (0xA1, 0):  # GET_DEVICE_ID
            return struct.pack(">H", len(self.device_id) + 2) + self.device_id
        if (kind, request) == (0xA1, 1) and index == self.number:  # GET_PORT_STATUS
            out = self.paper_out or (self.printer is not None and self.printer.reasons["media-empty"])
            return bytes([self.port_status | 0x20 * out])
        if request == 2 and kind in (0x21, 0x23):  # SOFT_RESET; 0x23 is the slip of version 1.0
            self.answers.clear()
            return b""
        return None


class FtdiDevice(UsbDevice):
    """FT232R: the adapter between a host and a serial printer."""

    speed, vid, pid, bcd = FULL_SPEED, 0x0403, 0x6001, 0x600
    strings = ("FTDI", "FT232R USB UART", "A0001")
    FIFO = 128  # what the chip keeps while CTS is low

    def __init__(self, printer=None, *, serial=None):
        super().__init__(printer, serial=serial)
        self.cts = self.dsr = True
        self.dtr = self.rts = False
        self.divisor = self.flow = None
        self._told = None
        self._held = b""  # in the chip's buffer

    def interfaces(self):
        return [(255, 255, 255, b"", [self.endpoint(0x81), self.endpoint(0x02)])]

    def modem(self):
        cts = self.cts and (self.printer is None or self.printer.room() > 0)  # the printer's own "busy"
        return bytes([0x01 | 0x10 * cts | 0x20 * self.dsr, 0x60])

    def control(self, kind, request, value, index, data):
        if kind == 0xC0:
            return {5: self.modem(), 10: b"\x10"}.get(request, b"\xff\xff")
        if request == 1:  # SET_MODEM_CTRL: the mask is in the high byte
            self.dtr = bool(value & 1) if value & 0x100 else self.dtr
            self.rts = bool(value & 2) if value & 0x200 else self.rts
        elif request == 2:
            self.flow = index >> 8  # 1: RTS/CTS
        elif request == 3:
            self.divisor = value | (index >> 8 & 1) << 16
        return b""

    def take(self, data):
        if self.flow == 1 and not self.cts:  # the line is held: only the chip's buffer fills
            taken = bytes(data[: self.FIFO - len(self._held)])
            self._held += taken
            return len(taken)
        self._pass_on()
        return 0 if self._held else super().take(data)

    def _pass_on(self):
        """What the chip held while the line was low goes to the printer, when it is high."""
        if self._held and (self.flow != 1 or self.cts):
            self._held = self._held[super().take(self._held) :]

    def give(self, endpoint, length):
        self._pass_on()
        if self.printer is not None:
            self.answers += self.printer.output()
        got = b""
        while self.answers and length - len(got) > 2:  # each packet begins with the modem status
            count = min(62, length - len(got) - 2)
            got += self.modem() + self.answers[:count]
            del self.answers[:count]
        if not got and self._told != self.modem():
            got = self.modem()
        self._told = self.modem()
        return got or None


class AcmDevice(UsbDevice):
    """CDC-ACM: what many thermal printers with a "virtual COM port" are."""

    vid, pid, device_class = 0x1FC9, 0x2016, 2
    strings = ("Rawprint Lab", "Virtual COM", "ACM01")

    def __init__(self, printer=None, *, serial=None):
        super().__init__(printer, serial=serial)
        self.coding, self.lines = struct.pack("<IBBB", 9600, 0, 0, 8), 0

    def interfaces(self):
        extra = bytes.fromhex("0524000110042402020524060001" + "0524010001")
        return [
            (2, 2, 1, extra, [self.endpoint(0x83, INTERRUPT, 16, 9)]),
            (10, 0, 0, b"", [self.endpoint(0x01), self.endpoint(0x82)]),
        ]

    def control(self, kind, request, value, index, data):
        if request == 0x20:
            self.coding = data
        elif request == 0x21:
            return self.coding
        elif request == 0x22:
            self.lines = value  # bit 0 DTR, bit 1 RTS
        return b""

    def give(self, endpoint, length):
        return super().give(endpoint, length) if endpoint == 2 else None
