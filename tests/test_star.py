"""Star: what the decoder reads and what the virtual printer says, against the manuals' values written out here.

Pages are of Star's command specifications: HSP (HSP7000, Rev. 0.00), LT (line thermal printers), SP (dot impact, Rev. 0.70).
"""

from __future__ import annotations

from pathlib import Path

import pytest

import rawprint
from rawprint import PrinterState, Reason
from rawprint.dialects import DIALECTS, by_name
from rawprint.errors import BadReply
from rawprint.virtual import NetworkCard, device

from .test_dialects import bad, hear, one_by_one, said
from .test_virtual import ask, outcome

STAR = DIALECTS["star"]
(STATUS, AGAIN), (VERSION,), (PRINT_END,) = STAR.queries, STAR.identity, STAR.fences
RECEIPT = (Path(__file__).parent / "samples" / "star_receipt.bin").read_bytes()

WELL = bytes.fromhex("23 06 00 00 00 00 00 00 00")
WELL_OVER_LAN = bytes.fromhex("23 86 00 00 00 00 00 00 00 00 00")  # IFBD-HE07 manual p.3-9
DENIES = {
    *("offline-report", "cover-open", "other", "trimmer-jam", "subunit-over-temperature", "media-jam"),
    *("x-input-buffer-full", "media-low", "media-empty"),
}


# -- the language --------------------------------------------------------------------------------------------


def test_the_questions_and_commands():
    assert (STATUS.request, STATUS.required) == (b"\x1b\x06\x01", True)  # ESC ACK SOH, HSP p.3-70
    assert (AGAIN.request, AGAIN.required, AGAIN.unless_stopped) == (STATUS.request, False, True)
    assert VERSION.request == b"\x1b#*\n\x00"  # HSP p.3-87
    assert PRINT_END.request == b"\x1b\x1d\x03\x01\x00\x00"  # ESC GS ETX 1 0 0, LT p.3-56
    assert (STAR.push_on, STAR.push_off) == (b"\x1b\x1ea\x03", b"\x1b\x1ea\x00")  # ESC RS a n, LT p.3-53
    assert STAR.cancel == b"\x18"  # CAN, LT p.3-63
    assert dict(STAR.drawer) == {2: b"\x1b\x07\x14\x14\x07", 5: b"\x1a"}  # HSP p.3-63, LT p.3-45
    assert not STAR.drawer_real_time
    assert by_name("Star") is STAR
    assert set(STAR.promises) == {"asb", "asb-again", "version", "print-end-counter", "pushes", "cancel"}


def test_the_test_print_says_what_it_is_and_is_cut():
    dev = device("star")
    assert ask(dev, STAR.test_print) == b""
    assert (dev.tickets, dev.misprints, dev.printed) == (1, b"", STAR.test_print)
    assert b"test print" in STAR.test_print
    assert b"rawprint" in STAR.test_print
    assert STAR.test_print.endswith(b"\x1bd\x03")
    plain = device("star", clone="prints-unknown")
    plain.receive(STAR.test_print)
    assert plain.misprints == b""


# -- automatic status ----------------------------------------------------------------------------------------


def status(block, asked=(STATUS,)):
    decoded = STAR.decode(block, asked)
    assert decoded.used == len(block)
    return decoded


def test_an_automatic_status_answers_the_oldest_question_or_nobody():
    for block in (WELL, WELL_OVER_LAN):
        for asked, answers in (
            ((), None),
            ((STATUS,), STATUS),
            ((VERSION, STATUS), STATUS),
            ((PRINT_END,), None),
            ((AGAIN,), AGAIN),
        ):
            decoded = status(block, asked)
            assert (decoded.answers, decoded.processing, decoded.alone) == (answers, None, False)
            assert said(decoded) == (set(), DENIES)
            assert not decoded.identity
            for cut in range(1, len(block)):
                assert STAR.decode(block[:cut], asked) is None
    heard = hear(STAR, [STATUS, AGAIN], [WELL + WELL_OVER_LAN + WELL])
    assert [decoded.answers for _, decoded in heard] == [STATUS, AGAIN, None]


# HSP p.5-9 to 5-11: (place, bit) of every bit that is not fixed, and what it says.
BITS = {
    (1, 0x02): set(),  # version of the status
    (1, 0x04): set(),
    (1, 0x08): set(),
    (1, 0x20): set(),
    (1, 0x40): set(),
    (2, 0x02): set(),  # ETB executed
    (2, 0x04): set(),  # the drawer's switch; whether that is open, nobody knows
    (2, 0x08): {"offline-report"},
    (2, 0x20): {"cover-open"},
    (2, 0x40): {"offline-report"},  # offline by switch input
    (3, 0x02): set(),
    (3, 0x04): {"other"},  # mechanical error
    (3, 0x08): {"trimmer-jam"},
    (3, 0x20): {"other"},  # non-recoverable error
    (3, 0x40): {"subunit-over-temperature"},
    (4, 0x02): {"cover-open"},  # head up
    (4, 0x04): {"media-jam"},  # presenter
    (4, 0x08): {"other"},  # black mark
    (4, 0x20): set(),  # command error in page mode
    (4, 0x40): {"x-input-buffer-full"},
    (5, 0x02): {"media-low"},  # near end, outer side
    (5, 0x04): {"media-low"},  # near end, inner side
    (5, 0x08): {"media-empty"},
    (5, 0x20): set(),  # black mark seen (SP p.5-5)
    (5, 0x40): set(),
    **{(6, bit): set() for bit in (0x02, 0x04, 0x08, 0x20, 0x40)},  # slip, presenter
    **{(7, bit): set() for bit in (0x02, 0x04, 0x08, 0x20, 0x40)},  # ETB counter
    **{(8, bit): set() for bit in (0x02, 0x04, 0x08, 0x20, 0x40)},  # presenter
}


@pytest.mark.parametrize(("place", "bit", "true"), [(*where, true) for where, true in BITS.items()])
def test_automatic_status_bit(place, bit, true):
    for first, size in ((0x0F, 7), (0x21, 8), (0x23, 9), (0x25, 10), (0x2F, 15)):  # SP p.5-2
        block = bytearray(size)
        block[0] = first
        if place >= size:
            continue
        block[place] |= bit
        assert said(status(bytes(block))) == (true, DENIES - true)
        block[1] |= 0x80
        assert STAR.decode(bytes(block), (STATUS,)) is None  # the length is to come
        assert said(status(bytes(block) + b"\x00\x00")) == (true, DENIES - true)


def test_the_drawers_switch_is_told_and_not_what_it_means():
    for block in (WELL, WELL_OVER_LAN):
        assert status(block).drawer_high is False
        closed = block[:2] + b"\x04" + block[3:]
        for asked in ((STATUS,), ()):
            assert status(closed, asked).drawer_high is True
            assert said(status(closed, asked)) == (set(), DENIES)


def test_all_bits_at_once():
    everything = status(bytes.fromhex("23 6e 6e 6e 6e 6e 6e 6e 6e"))
    assert said(everything) == (DENIES, set())


def test_the_tenth_byte_and_more_say_nothing_we_know():
    for place in range(9, 15):
        block = bytearray(bytes.fromhex("2f 06") + bytes(13))
        block[place] = 0x6E
        assert said(status(bytes(block))) == (set(), DENIES)


def test_what_is_no_automatic_status():
    for first in set(range(256)) - {0x1B, 0x11, 0x13}:
        known = first & 0x91 == 0x01 and (first >> 2 & 0x18 | first >> 1 & 0x07) >= 7
        if not known:
            assert bad(STAR, bytes([first]), STATUS)
            assert bad(STAR, bytes([first]) + WELL[1:])
    for place in range(1, 9):
        for wrong in (0x01, 0x10, 0x80, 0x1B, 0x12):
            if (place, wrong) != (1, 0x80):
                broken = WELL[:place] + bytes([wrong])
                assert bad(STAR, broken, STATUS)
                assert bad(STAR, broken + WELL[place + 1 :])


@pytest.mark.parametrize(
    "block",
    [
        "23 11 06 13 28 00 00 11 13 08 00 00 00",
        "11 23 06 28 00 00 08 00 13 00 00 13",
        "13 11 23 86 28 11 00 00 08 00 00 13 00 00 00",
    ],
)
def test_flow_control_inside_an_automatic_status(block):
    data = bytes.fromhex(block)
    for chunks in ([data], one_by_one(data)):
        heard = hear(STAR, [STATUS], chunks)
        assert b"".join(raw for raw, _ in heard) == data
        (report,) = [decoded for _, decoded in heard if decoded.reasons]
        assert report.answers is STATUS
        assert said(report)[0] == {"offline-report", "cover-open", "media-empty"}


def test_flow_control_without_end():
    endless = b"\x23\x06" + b"\x11\x13" * 60 + bytes(7)
    assert hear(STAR, [STATUS], [endless]) == ["bad-reply"]
    assert hear(STAR, [], one_by_one(endless)) == ["bad-reply"]


def test_what_a_network_card_puts_behind_an_automatic_status():
    """To ENQ: `01:B`, a length, one byte and `;` (HSP p.5-12, SP p.5-8). The byte can be any."""
    for answer in (0x28, 0x11, 0x13, 0x1B, 0x23):
        block = bytes.fromhex("23 86 08 00 00 08 00 00 00  00 08") + b"01:B\x00\x01" + bytes([answer]) + b";"
        assert said(status(block))[0] == {"offline-report", "media-empty"}
        for cut in range(1, len(block)):
            assert STAR.decode(block[:cut], (STATUS,)) is None


def test_more_than_a_network_card_may_put_there():
    assert status(WELL_OVER_LAN[:-2] + b"\x02\x00" + bytes(0x200)).answers is STATUS
    assert STAR.decode(WELL_OVER_LAN[:-2] + b"\x02\x00" + bytes(0x1FF), (STATUS,)) is None
    for length in (b"\x02\x01", b"\x08\x00", b"\xff\xff"):
        assert bad(STAR, WELL_OVER_LAN[:-2] + length, STATUS)
        assert hear(STAR, [STATUS], one_by_one(WELL_OVER_LAN[:-2] + length)) == ["bad-reply"]


# -- what answers a command in the data ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (b"HSP7000 Ver. 1.0", {"model": "HSP7000", "firmware": "1.0"}),  # HSP p.3-87
        (b"HSP7000Ver.1.0", {"model": "HSP7000", "firmware": "1.0"}),
        (b"TSP654Ver3.0a", {"model": "TSP654", "firmware": "3.0a"}),
        (b"mC-Print3 ver1.2", {"model": "mC-Print3", "firmware": "1.2"}),
        (b"unheard of", {"firmware": "unheard of"}),
        (b" ", {}),
        (b"", {}),
    ],
)
def test_version(text, identity):
    reply = b"\x1b#*," + text + b"\n\x00"
    for asked, answers in (((), None), ((VERSION,), VERSION), ((STATUS,), None), ((STATUS, VERSION), VERSION)):
        decoded = STAR.decode(reply + WELL, asked)
        assert (decoded.used, decoded.answers) == (len(reply), answers)
        assert (dict(decoded.identity), dict(decoded.reasons)) == (identity, {})
        for cut in range(1, len(reply)):
            assert STAR.decode(reply[:cut], asked) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b#*" + b"A" * 20,
        b"\x1b#*,A\x01\n\x00",
        b"\x1b#*," + b"A" * 200 + b"\n\x00",
        b"\x1b#N",
        b"\x1bA",
        b"\x1b\x1dy",
    ],
)
def test_what_is_no_version(data):
    for chunks in ([data], one_by_one(data)):
        assert hear(STAR, [VERSION], chunks) == ["bad-reply"]


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        ("1b 1d 03 01 00 00 01 00", PRINT_END),
        ("1b 1d 03 01 00 00 ff 00", PRINT_END),
        ("1b 1d 03 01 00 00 00 00", PRINT_END),
        ("1b 1d 03 00 00 00 01 00", None),  # a job's own: reference
        ("1b 1d 03 01 02 11 01 00", None),  # a job's own: host 2, document 17
    ],
)
def test_print_end_counter(reply, answers):
    data = bytes.fromhex(reply)
    decoded = STAR.decode(data + WELL, (STATUS, PRINT_END))
    assert (decoded.used, decoded.answers, dict(decoded.reasons)) == (8, answers, {})
    assert STAR.decode(data, ()).answers is None
    for cut in range(1, 8):
        assert STAR.decode(data[:cut], (PRINT_END,)) is None
    assert bad(STAR, data[:7] + b"\x01", PRINT_END)


def test_answers_and_pushes_mixed():
    version, counter = b"\x1b#*,TSP654Ver3.0\n\x00", b"\x1b\x1d\x03\x01\x00\x00\x07\x00"
    data = WELL + version + b"\x11" + WELL_OVER_LAN + counter
    for chunks in ([data], one_by_one(data)):
        heard = hear(STAR, [VERSION, PRINT_END], chunks)
        assert [decoded.answers for _, decoded in heard] == [None, VERSION, None, None, PRINT_END]


# -- the virtual printer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "asb", "enq", "eot"),
    [
        (None, "00 00 00 00", "20", "10"),
        ("x-drawer-open", "04 00 00 00", "a0", "10"),
        ("offline-report", "08 00 00 00", "20", "10"),
        ("cover-open", "28 00 00 00", "24", "10"),
        ("trimmer-jam", "08 08 00 00", "20", "10"),
        ("other", "08 20 00 00", "24", "10"),
        ("subunit-over-temperature", "08 40 00 00", "20", "10"),
        ("media-jam", "08 00 04 00", "20", "50"),
        ("x-input-buffer-full", "00 00 40 00", "60", "10"),
        ("media-low", "00 00 00 04", "20", "14"),
        ("media-empty", "08 00 00 08", "28", "18"),
    ],
)
def test_each_fault(reason, asb, enq, eot):
    block = bytes.fromhex("23 86" + asb + "00 00 00 00 00")
    dev = device("star", reasons=[reason] if reason else [], push=True)
    assert dev.output() == block
    assert ask(dev, b"\x1b\x06\x01") == block
    assert ask(dev, b"\x05\x04") == bytes.fromhex(enq + eot)
    assert dev.printed == b""


def test_every_fault_has_a_row():
    rows = {row[0] for row in test_each_fault.pytestmark[0].args[1]}
    assert rows - {None} == {str(reason) for reason in device("star").reportable}


def test_the_samples_print_whole():
    dev = device("star")
    dev.receive(RECEIPT)
    assert (dev.printed, dev.tickets, dev.output()) == (RECEIPT, 1, b"")


def test_pushes():
    dev = device("star")
    dev.set("cover-open", True)
    assert dev.output() == b""
    dev.set("cover-open", False)
    assert ask(dev, STAR.push_on) == b""  # nothing has changed
    dev.set("cover-open", True)
    assert dev.output() == bytes.fromhex("23 86 28 00 00 00 00 00 00 00 00")
    dev.set("cover-open", True)
    assert dev.output() == b""
    dev.receive(b"\x1b@")  # does not end it (LT p.3-53)
    dev.set("cover-open", False)
    assert dev.output() == WELL_OVER_LAN
    assert ask(dev, STAR.push_off) == b""
    dev.set("cover-open", True)
    assert dev.output() == b""


def test_media_that_runs_out_is_pushed():
    dev = device("star", push=True, media=3)
    assert dev.output() == WELL_OVER_LAN
    assert ask(dev, b"abcdef") == bytes.fromhex("23 86 08 00 00 08 00 00 00 00 00")
    dev.refill(None)
    assert dev.output() == WELL_OVER_LAN


def test_a_host_that_comes_is_told():
    dev = device("star", push=True)
    dev.set("media-empty", True)
    dev.connected()
    assert dev.output() == bytes.fromhex("23 86 08 00 00 08 00 00 00 00 00")
    dev = device("star")
    dev.connected()
    assert dev.output() == b""
    dev.receive(b"\x1b\x1ea2")  # NSB alone
    dev.connected()
    assert dev.output() == WELL_OVER_LAN
    dev.set("media-empty", True)
    assert dev.output() == b""


def test_etb():
    dev = device("star", reasons=["cover-open"])
    dev.receive(STAR.push_on + b"abc\x17")
    assert dev.output() == b""  # the data before it are not printed
    dev.set("cover-open", False)
    executed = bytes.fromhex("23 86 02 00 00 00 00 02 00 00 00")
    assert dev.output() == executed
    assert ask(dev, b"\x1b\x06\x01") == bytes.fromhex("23 86 00 00 00 00 00 02 00 00 00")  # cleared as it was told
    counts = [ask(dev, b"\x17")[7] for _ in range(32)]
    assert counts == [
        *(0x04, 0x06, 0x08, 0x0A, 0x0C, 0x0E, 0x20, 0x22, 0x24, 0x26, 0x28, 0x2A, 0x2C, 0x2E, 0x40, 0x42),
        *(0x44, 0x46, 0x48, 0x4A, 0x4C, 0x4E, 0x60, 0x62, 0x64, 0x66, 0x68, 0x6A, 0x6C, 0x6E, 0x00, 0x02),
    ]
    for clears in (b"\x1b\x1eE\x00", b"\x18"):
        assert ask(dev, clears) == b""
        assert ask(dev, b"\x17") == executed


def test_etb_without_automatic_status_is_told_to_who_asks():
    dev = device("star")
    assert ask(dev, b"\x17") == b""
    assert ask(dev, b"\x1b\x06\x01")[2] == 0x02
    assert ask(dev, b"\x1b\x06\x01")[2] == 0x00


def test_the_print_end_counter_waits_for_printing():
    dev = device("star", media=3)
    dev.receive(b"abcdef" + PRINT_END.request)
    assert dev.output() == b""
    dev.refill(None)
    assert dev.output() == bytes.fromhex("1b 1d 03 01 00 00 01 00")
    # LT p.3-57, communication example 2
    assert ask(dev, b"\x1b\x1d\x03\x02\x02\x00") == b""
    assert ask(dev, b"\x1b\x1d\x03\x00\x02\x00") == bytes.fromhex("1b 1d 03 00 02 00 00 00")
    assert ask(dev, b"x\x1b\x1d\x03\x01\x02\x11") == bytes.fromhex("1b 1d 03 01 02 11 01 00")
    assert ask(dev, b"x\x1b\x1d\x03\x01\x02\x12") == bytes.fromhex("1b 1d 03 01 02 12 02 00")


def test_cancel_is_obeyed_by_a_printer_that_stands_still():
    for cancel in (STAR.cancel, b"\x1b\x06\x18"):
        dev = device("star", reasons=["media-empty"])
        dev.receive(b"lost" + cancel + b"kept")
        dev.set("media-empty", False)
        assert dev.printed == b"kept"


def test_data_and_parameters_are_no_real_time_commands():
    hazard = b"\x1b\x06\x01\x05\x04\x18\x17\x07"
    for command in (
        b"\x1bX\x04\x00" + hazard + b"1234",
        b"\x1bK\x08\x00" + hazard,
        b"\x1bL\x08\x00" + hazard,
        b"\x1bk\x01\x00" + hazard * 3,
        b"\x1b\x1dS\x01\x04\x00\x02\x00\x00" + hazard,
        b"\x1b\x1dyD1\x00\x08\x00" + hazard,
        b"\x1b\x1dxD\x08\x00" + hazard,
        b"\x1b\x1d)I\x08\x00" + hazard,
        b"\x1bb6211" + hazard + b"\x1e",
        b"\x1bD" + hazard + b"\x00",
        b"\x1b&11A" + hazard * 6,
        b"\x1br77" + hazard * 9,
        b"\x1b\x1cq\x02\x01\x00\x01\x00" + hazard + b"\x01\x00\x01\x00" + hazard,
        b"\x1b*rA" + b"b\x08\x00" + hazard + b"k\x08\x00" + hazard + b"\x1b*rB",
        b"\x1bi\x18\x05",
        b"\x1b\x1dA\x04\x05",
        b"\x1b\x1dP3\x18\x05\x04\x18\x05\x04\x18\x05",
        b"\x1b\x1eF\x18",
        b"\x1b\x07\x18\x05",
    ):
        dev = device("star")
        assert ask(dev, command) == b"", command
        assert (dev.printed, dev.drawer_kicks, dev.fed) == (command, 0, 0)
        assert ask(dev, b"\x1b\x06\x01") == WELL_OVER_LAN, command  # the next command is one again


def test_drawers():
    dev = device("star")
    dev.receive(STAR.drawer[2])
    assert dev.drawer_kicks == 1
    dev.receive(STAR.drawer[5] + b"\x1c\x19")
    assert dev.drawer_kicks == 4
    dev.receive(b"\x1b*rA\x1b*rD1\x00\x1b*rD3\x00\x1b*rD0\x00\x1b*rB")
    assert dev.drawer_kicks == 7


def test_raster_mode():
    dev = device("star")
    dev.receive(b"bk\x1b*rA\x1b*rP0\x00b\x02\x00bkk\x01\x00b\x1b\x0c\x00\x1b\x0c\x04\x1b*rB" + b"bk\x1bd0")
    assert (dev.tickets, dev.output()) == (2, b"")
    dev.receive(b"\x1b*rA\x1b*rE1\x00\x1b\x0c\x04\x1b*rB")
    assert dev.tickets == 2


@pytest.mark.parametrize(
    ("data", "fed", "reply"),
    [
        (b"\x1ba\x03\x1bJ\x04\x1bI\x04", 3, b""),
        (b"\x1b?\n\x00", 1, b""),
        (b"\x1b#*\n\x00", 0, b"\x1b#*,VIRTUALVer1.0\n\x00"),
        (b"\x1b#@\n\x00", 0, b""),
        (b"\x1b\x06x\x03", 0, b""),
        (b'\x1b"12', 0, b""),
    ],
)
def test_other_commands(data, fed, reply):
    dev = device("star")
    assert ask(dev, data) == reply
    assert (dev.fed, dev.printed) == (fed, data)
    assert ask(dev, b"\x1b\x06\x01") == WELL_OVER_LAN


def test_deselected():
    dev = device("star")
    assert ask(dev, b"a\x13gone\x1bd0\x1b\x06\x01\x11b") == WELL_OVER_LAN
    assert dev.tickets == 0
    assert b"gone" not in dev.printed


def test_enq_only():
    dev = device("star", clone="enq-only", reasons=["media-empty"])
    assert ask(dev, b"\x1b\x06\x01\x05\x04\x18") == b"\x28\x18"
    assert (dev.printed, dev.misprints) == (b"", b"")


def test_prints_unknown():
    dev = device("star", clone="prints-unknown")
    dev.receive(RECEIPT.replace(b"\x17", b""))
    assert (dev.misprints, dev.fed, dev.tickets) == (b"", 0, 1)
    assert ask(dev, b"\x1b\x06\x01") == WELL_OVER_LAN
    unknown = [
        b"\x1b#*\n\x00",
        b"\x1b\x1ea\x01",
        b"\x1b\x1d\x03\x01\x00\x00",
        b"\x17",
        b"\x05",
        b"\x18",
        b"\x1b\x06\x18",
    ]
    assert ask(dev, b"".join(unknown)) == b""
    assert dev.misprints == b"".join(unknown)


def test_a_full_buffer_takes_no_more():
    dev = device("star", reasons=["cover-open"], buffer_size=64)
    dev.receive(b"x" * 60 + b"\x1b\x06")
    assert dev.room() == 2
    assert ask(dev, b"\x01") == bytes.fromhex("23 86 28 00 00 00 00 00 00 00 00")
    assert dev.room() == 4


# -- both together -------------------------------------------------------------------------------------------


def test_identity_and_fence_are_asked_and_remembered(virtual):
    listener = virtual("star")
    with rawprint.open(listener.address, "star") as printer:
        answer, raw = printer.ask(VERSION, 2.0)
        assert (dict(answer.identity), raw) == ({"model": "VIRTUAL", "firmware": "1.0"}, b"\x1b#*,VIRTUALVer1.0\n\x00")
        printer.print(b"one espresso  2.50\n")
        assert printer.ask(PRINT_END, 2.0)[1] == bytes.fromhex("1b 1d 03 01 00 00 01 00")
        assert printer.status().state is PrinterState.IDLE
        assert printer.capabilities.answered == {"asb", "asb-again", "version", "print-end-counter"}


def test_a_pushed_status_that_answers_first_does_not_put_the_answers_out_of_step(peer):
    """With ASB valid the printer may push between question and answer; both look alike, and both are true."""
    paper_out = bytes.fromhex("23 06 08 00 00 08 00 00 00")

    def serve(connection, _):
        for now in (WELL, WELL, paper_out + paper_out, WELL + WELL, WELL, paper_out):
            assert connection.recv(100) == STATUS.request
            connection.sendall(now)
        connection.recv(100)

    with rawprint.open(peer(serve).address, "star") as printer:
        for empty in (False, True, False, True):
            assert printer.status(2.0).reasons[Reason.MEDIA_EMPTY] is empty
        assert not printer.unanswered


@pytest.mark.parametrize(("level", "is_open"), [("high", True), ("low", False), ("", None)])
def test_the_drawer_is_open_where_somebody_said_which_level_means_that(virtual, level, is_open):
    listener = virtual("star", reasons=["x-drawer-open"])
    with rawprint.open(listener.address, "star", capabilities=rawprint.Capabilities(drawer_open=level)) as printer:
        assert printer.status().reasons.get(Reason.DRAWER_OPEN) is is_open


def test_who_promises_pushes_hears_changes_and_leaves_as_found(virtual):
    listener = virtual("star")
    capabilities = rawprint.Capabilities(promised=frozenset({"pushes"}))
    with rawprint.open(listener.address, "star", capabilities=capabilities) as printer:
        printer.status()
        assert printer.push(2.0)
        assert listener.wait(lambda d: d.received.endswith(STAR.push_on), 5)
        listener.set("media-empty", True)
        assert printer.listen(2.0).reasons[Reason.MEDIA_EMPTY] is True
        listener.set("media-empty", False)
        assert printer.listen(2.0).reasons[Reason.MEDIA_EMPTY] is False
        assert printer.print(b"\x1b@x") == 3  # does not end it
        assert listener.wait(lambda d: d.printed.endswith(b"\x1b@x"), 5)
        listener.set("cover-open", True)
        assert printer.listen(2.0).reasons[Reason.COVER_OPEN] is True
        listener.set("cover-open", False)
    assert listener.wait(lambda d: d.received.endswith(STAR.push_off), 5)


def test_a_change_is_heard_unasked(virtual):
    listener = virtual("star", push=True)
    with rawprint.open(listener.address, "star") as printer:
        assert printer.listen(2.0).state is PrinterState.IDLE
        listener.set("cover-open", True)
        assert printer.listen(2.0).reasons[Reason.COVER_OPEN] is True


def test_an_answer_to_an_earlier_question_is_not_taken_for_fine(peer):
    """A clone that answers one behind, across connections: the answer that it owed says nothing of now."""
    paper_out = bytes.fromhex("23 06 08 00 00 08 00 00 00")

    def serve(connection, _):
        for answer in (WELL, paper_out):  # to the last question on another connection; to the first one here
            assert connection.recv(100) == STATUS.request
            connection.sendall(answer)
        connection.recv(100)

    with rawprint.open(peer(serve).address, "star") as printer:
        assert printer.status(2.0).reasons[Reason.MEDIA_EMPTY] is True


def test_another_language_is_no_status(peer):
    def serve(connection, _):
        connection.recv(100)
        connection.sendall(b"\x12")  # ESC/POS
        connection.recv(100)

    with rawprint.open(peer(serve).address, "star") as printer, pytest.raises(BadReply):
        printer.status(2.0)


@pytest.mark.parametrize("reason", sorted(DENIES))
def test_the_network_card_says_what_the_print_port_says(reason):
    dev = device("star", reasons=[reason])
    printed = said(STAR.decode(ask(dev, STATUS.request), ()))[0]
    with NetworkCard(dev, "star") as card:
        aside = rawprint.ask_aside("tcp://127.0.0.1", f"star:{card.port}")
    # The card calls a printer offline only where that is all that is wrong.
    assert {str(each) for each, true in aside.reasons.items() if true} | {"offline-report"} == printed | {
        "offline-report"
    }


def test_an_old_printer_is_silent_and_prints(virtual):
    listener = virtual("star", clone="enq-only", reasons=["media-empty"])
    with rawprint.open(listener.address, "star") as printer:
        with pytest.raises(rawprint.NoReply):
            printer.status(0.3)
        assert printer.print(b"x") == 1
    assert listener.wait(lambda d: d.received == STATUS.request + b"x", 5)


def test_cut_anywhere_it_says_the_same():
    stream = STAR.push_on + RECEIPT + STAR.test_print + VERSION.request + PRINT_END.request + b"\x1b\x06\x01\x05\x04"
    whole = outcome(device("star"), [stream])
    assert outcome(device("star"), [bytes([byte]) for byte in stream]) == whole
