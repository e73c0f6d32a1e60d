"""What the channels ask and read, against the values of RFCs and manuals written out here, and what no reply can do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawprint.channels import CHANNELS, Report, by_name
from rawprint.dialects.star import automatic_status
from rawprint.errors import AddressError, BadReply
from rawprint.status import PrinterState, PrinterStatus, Reason

SNMP, EPSON, STAR, TSC = (CHANNELS[name] for name in ("snmp", "epson", "star", "tsc"))

every = pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)

NUMBER = 0x12345678


def said(report):
    """The reasons of a report, as sets of keywords: those that it affirms, and those that it denies."""
    true = {str(reason) for reason, value in report.reasons.items() if value}
    return true, {str(reason) for reason in report.reasons} - true


def bad(channel, reply, question=0):
    with pytest.raises(BadReply) as caught:
        channel.decode(reply, channel.questions[question](NUMBER))
    assert caught.value.raw == reply[:256]
    return True


# -- the table ---------------------------------------------------------------------------------------------------


def test_the_channels():
    assert {(c.name, c.protocol, c.port) for c in CHANNELS.values()} == {
        ("snmp", "udp", 161),
        ("epson", "udp", 3289),
        ("star", "tcp", 9101),
        ("tsc", "udp", 22368),
    }
    assert all(name == channel.name for name, channel in CHANNELS.items())


def test_by_name():
    assert by_name("snmp") is by_name("SNMP") is SNMP
    assert by_name("snmp:1161").port == 1161
    assert by_name("Star:65535").decode is STAR.decode
    assert SNMP.port == 161


@pytest.mark.parametrize(
    "text", ["", "snmpv3", "snmp ", "snmp:", "snmp:0", "snmp:65536", "snmp:x", "snmp:1:2", "snmp:٣", "s" * 500]
)
def test_what_is_no_channel(text):
    with pytest.raises(AddressError) as caught:
        by_name(text)
    assert caught.value.hint
    assert len(str(caught.value)) < 120


def test_an_empty_report():
    assert Report().is_empty
    assert not Report({Reason.OTHER: False}).is_empty
    assert not Report(processing=False).is_empty


# -- SNMP --------------------------------------------------------------------------------------------------------

# One GET of CUPS' snmp backend, but for the object: its issue 2999 shows the fields. RFC 1157 section 4.1.2.
BOTH = bytes.fromhex(
    "30 3d  02 01 00  04 06 70 75 62 6c 69 63  a0 30  02 04 12 34 56 78  02 01 00  02 01 00  30 22"
    "30 0f  06 0b 2b 06 01 02 01 19 03 05 01 01 01  05 00"
    "30 0f  06 0b 2b 06 01 02 01 19 03 05 01 02 01  05 00"
)
ALONE = bytes.fromhex(
    "30 2c  02 01 00  04 06 70 75 62 6c 69 63  a0 1f  02 04 12 34 56 78  02 01 00  02 01 00  30 11"
    "30 0f  06 0b 2b 06 01 02 01 19 03 05 01 02 01  05 00"
)


def test_snmp_questions():
    assert [question(NUMBER) for question in SNMP.questions] == [BOTH, ALONE]


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "02 01 00"),
        (1, "02 01 01"),
        (127, "02 01 7f"),
        (128, "02 02 00 80"),  # a first bit of 1 would make it negative
        (0x7FFFFFFF, "02 04 7f ff ff ff"),
    ],
)
def test_snmp_numbers(number, encoded):
    assert bytes.fromhex(encoded) + bytes.fromhex("02 01 00 02 01 00") in SNMP.questions[0](number)


def element(tag, *content, long=False):
    body = b"".join(content)
    if long:
        return bytes([tag, 0x82]) + len(body).to_bytes(2, "big") + body
    return bytes([tag, len(body)]) + body if len(body) < 128 else bytes([tag, 0x81, len(body)]) + body


STATUS_NAME = bytes.fromhex("06 0b 2b 06 01 02 01 19 03 05 01 01 01")
ERRORS_NAME = bytes.fromhex("06 0b 2b 06 01 02 01 19 03 05 01 02 01")


def response(*variables, number="02 04 12 34 56 78", error=0, version="02 01 00", kind=0xA2, long=False):
    bindings = element(0x30, *(element(0x30, name, value) for name, value in variables))
    pdu = element(kind, bytes.fromhex(number), bytes([2, 1, error, 2, 1, 0]), bindings, long=long)
    return element(0x30, bytes.fromhex(version), element(4, b"public"), pdu, long=long)


def snmp(status=3, errors="00 00", **options):
    variables = []
    if status is not None:
        variables.append((STATUS_NAME, bytes([2, 1, status])))
    if errors is not None:
        variables.append((ERRORS_NAME, element(4, bytes.fromhex(errors))))
    return SNMP.decode(response(*variables, **options), BOTH)


ONE_OCTET = {"media-low", "media-empty", "marker-supply-low", "marker-supply-empty", "cover-open", "media-jam"}
TWO_OCTETS = ONE_OCTET | {"other"}


@pytest.mark.parametrize(
    ("octets", "true"),
    [
        ("00 00", set()),
        ("80 00", {"media-low"}),  # lowPaper(0)
        ("40 00", {"media-empty"}),  # noPaper(1)
        ("20 00", {"marker-supply-low"}),  # lowToner(2)
        ("10 00", {"marker-supply-empty"}),  # noToner(3)
        ("08 00", {"cover-open"}),  # doorOpen(4)
        ("04 00", {"media-jam"}),  # jammed(5)
        ("02 00", set()),  # offline(6): unreliable
        ("01 00", set()),  # serviceRequested(7): unreliable
        ("00 80", {"other"}),  # inputTrayMissing(8)
        ("00 40", {"other"}),  # outputTrayMissing(9)
        ("00 20", {"marker-supply-empty"}),  # markerSupplyMissing(10)
        ("00 10", set()),  # outputNearFull(11)
        ("00 08", {"other"}),  # outputFull(12)
        ("00 04", {"media-empty"}),  # inputTrayEmpty(13)
        ("00 02", set()),  # overduePreventMaint(14)
        ("00 01", set()),  # not defined
        ("48 00", {"media-empty", "cover-open"}),
        ("ff ff", TWO_OCTETS),
        ("00 00 ff ff", set()),  # nothing is defined there
    ],
)
def test_snmp_errors(octets, true):
    assert said(snmp(errors=octets)) == (true, TWO_OCTETS - true)


@pytest.mark.parametrize(("octets", "true"), [("00", set()), ("40", {"media-empty"}), ("ff", ONE_OCTET)])
def test_an_octet_that_is_not_there_says_nothing(octets, true):
    assert said(snmp(errors=octets)) == (true, ONE_OCTET - true)


def test_snmp_without_octets():
    report = snmp(errors="")
    assert not report.reasons
    assert PrinterStatus(report.reasons, report.processing).state is PrinterState.UNKNOWN  # idle, but what of paper?


@pytest.mark.parametrize(
    ("value", "processing"), [(1, None), (2, None), (3, False), (4, True), (5, None), (0, None), (77, None)]
)
def test_snmp_status(value, processing):
    assert snmp(status=value).processing is processing


def test_snmp_parts():
    assert snmp(status=None).processing is None
    assert snmp(status=4, errors=None) == Report(processing=True)
    assert snmp(None, None).is_empty
    swapped = response((ERRORS_NAME, bytes.fromhex("04 01 40")), (STATUS_NAME, bytes.fromhex("02 01 04")))
    assert SNMP.decode(swapped, BOTH) == snmp(4, "40")
    assert SNMP.decode(response((ERRORS_NAME, bytes.fromhex("04 01 40"))), ALONE) == snmp(None, "40")


def test_a_value_of_another_kind_says_nothing():
    for value in ("05 00", "80 00", "81 00", "02 01 40", "43 01 40"):
        assert SNMP.decode(response((ERRORS_NAME, bytes.fromhex(value))), BOTH).is_empty
    for value in ("05 00", "04 01 04", "81 00"):
        assert SNMP.decode(response((STATUS_NAME, bytes.fromhex(value))), BOTH).is_empty
    other = bytes.fromhex("06 0b 2b 06 01 02 01 19 03 05 01 02 02")  # of a second printer
    assert SNMP.decode(response((other, bytes.fromhex("04 01 40"))), BOTH).is_empty


@pytest.mark.parametrize("error", [1, 2, 3, 4, 5])
def test_snmp_errors_of_the_request_are_empty(error):
    assert snmp(errors="40", error=error).is_empty


def test_an_answer_to_another_request():
    assert snmp(number="02 04 12 34 56 79") is None
    assert snmp(number="02 01 78") is None
    assert snmp(number="02 05 00 12 34 56 78") == snmp()  # written one octet too long


def test_what_net_snmp_answers():
    """Replies of net-snmp 5.9.3, with the objects overridden in its configuration."""
    answer = bytes.fromhex(
        "304002010004067075626c6963a23302047cb9bceb02010002010030253010060b2b060102011903050101010201043011"
        "060b2b0601020119030501020104024040"
    )
    report = SNMP.decode(answer, SNMP.questions[0](0x7CB9BCEB))
    assert said(report)[0] == {"media-empty", "other"}
    assert report.processing is True
    refusal = bytes.fromhex(
        "303c02010004067075626c6963a22f020358d7d20201020201013022300f060b2b060102011903050101010500300f060b"
        "2b060102011903050102010500"
    )
    assert SNMP.decode(refusal, SNMP.questions[0](0x58D7D2)).is_empty
    assert SNMP.decode(refusal, SNMP.questions[0](0x58D7D3)) is None


def test_snmp_long_lengths():
    assert snmp(errors="40 00", long=True) == snmp(errors="40 00")


def test_broken_snmp():
    whole = response((STATUS_NAME, bytes.fromhex("02 01 03")), (ERRORS_NAME, bytes.fromhex("04 02 00 00")))
    assert SNMP.decode(whole, BOTH)
    for cut in range(1, len(whole)):
        assert bad(SNMP, whole[:cut])
    assert bad(SNMP, whole + b"\x00")
    assert bad(SNMP, BOTH)  # an echo
    for reply in (
        response(version="02 01 01"),  # SNMPv2c
        response(version="04 01 00"),
        response(kind=0xA0),
        response(kind=0xA4),
        response(number="04 04 12 34 56 78"),
        response(number="02 00"),
        response(number="02 06 00 00 12 34 56 78"),
        response((STATUS_NAME, bytes.fromhex("02 00"))),
        response((STATUS_NAME, b"")),
        response((bytes.fromhex("04 01 40"), bytes.fromhex("04 01 40"))),
        bytes.fromhex("30 80 02 01 00 00 00"),  # of indefinite length
        bytes.fromhex("30 83 00 00 01 00"),
        bytes.fromhex("3f 81 00"),
        b"\x00",
        b"public",
    ):
        assert bad(SNMP, reply)


def test_snmp_bits_throughout():
    for first in range(256):
        for second in (0x00, 0x20, 0xFF):
            true, denied = said(snmp(errors=f"{first:02x} {second:02x}"))
            assert ("media-empty" in true) is bool(first & 0x40 or second & 0x04)
            assert ("marker-supply-empty" in true) is bool(first & 0x10 or second & 0x20)
            assert true | denied == TWO_OCTETS


# -- Epson -------------------------------------------------------------------------------------------------------

TM_M30 = bytes.fromhex("45 50 53 4f 4e 71 03 00 00 10 00 00 00 0d 0e 14 00 00 0f ff ff ff ff 39 41 40 00")
ASB_DENIES = {
    *("offline-report", "cover-open", "x-feed-button", "trimmer-jam", "other", "subunit-over-temperature"),
    *("media-low", "media-empty"),
}


def epson(asb, rest="ff ff ff ff 39 41 40 00"):
    data = b"\x0e" + bytes.fromhex(asb) + bytes.fromhex(rest)
    reply = b"EPSONq\x03\x00\x00\x10\x00\x00" + len(data).to_bytes(2, "big") + data
    return EPSON.decode(reply, EPSON.questions[0](NUMBER))


def test_epson_question():
    assert [q(NUMBER) for q in EPSON.questions] == [bytes.fromhex("45 50 53 4f 4e 51 03 00 00 10 00 00 00 00")]


def test_what_a_tm_m30_said():
    report = EPSON.decode(TM_M30, b"")
    assert said(report) == (set(), ASB_DENIES)
    assert report.processing is None
    assert PrinterStatus(report.reasons).state is PrinterState.IDLE


@pytest.mark.parametrize(
    ("asb", "true"),
    [
        ("14 00 00 0f", set()),
        ("10 00 00 0f", set()),
        ("1c 00 00 0f", {"offline-report"}),
        ("3c 00 00 0f", {"offline-report", "cover-open"}),
        ("54 00 00 0f", {"x-feed-button"}),
        ("1c 08 00 0f", {"offline-report", "trimmer-jam"}),
        ("1c 20 00 0f", {"offline-report", "other"}),
        ("1c 40 00 0f", {"offline-report", "subunit-over-temperature"}),
        ("14 00 03 0f", {"media-low"}),
        ("1c 00 0c 0f", {"offline-report", "media-empty"}),
    ],
)
def test_epson_status(asb, true):
    assert said(epson(asb)) == (true, ASB_DENIES - true)
    assert epson(asb, "") == epson(asb)  # the older cards may end here


def test_epson_refusals():
    for result in ("ff ff", "ff fe"):
        refusal = bytes.fromhex("45 50 53 4f 4e 71 03 00 00 10") + bytes.fromhex(result) + b"\x00\x00"
        assert EPSON.decode(refusal, b"").is_empty


def test_an_epson_reply_to_another_question():
    for text in ("71 03 00 00 00", "71 00 00 00 10", "63 03 00 00 15", "51 03 00 00 10"):
        assert EPSON.decode(b"EPSON" + bytes.fromhex(text) + bytes(20), b"") is None


def test_broken_epson():
    for cut in range(1, len(TM_M30)):
        assert bad(EPSON, TM_M30[:cut])
    assert bad(EPSON, TM_M30 + b"\x00")
    assert bad(EPSON, TM_M30[:10] + b"\x00\x01" + TM_M30[12:])
    assert bad(EPSON, b"SPSONq" + TM_M30[6:])
    for asb in (
        "ff ff ff ff",
        "00 00 00 00",
        "12 12 12 12",
        "14 00 80 0f",
        "35 41 41 00",
        "14 11 00 00",
        "11 00 00 00",
    ):
        with pytest.raises(BadReply):
            epson(asb)


# -- Star --------------------------------------------------------------------------------------------------------

HEALTHY = bytes.fromhex("23 86 00 00 00 00 00 00 00  00 00")  # IFBD-HE07 manual p.3-9
STAR_DENIES = {
    *("offline-report", "cover-open", "other", "trimmer-jam", "subunit-over-temperature", "media-jam"),
    *("x-input-buffer-full", "media-low", "media-empty"),
}


def star(text):
    return STAR.decode(bytes.fromhex(text), STAR.questions[0](NUMBER))


def test_star_question():
    assert [q(NUMBER) for q in STAR.questions] == [bytes.fromhex("32" + "00" * 50)]


def test_star_healthy():
    assert said(STAR.decode(HEALTHY, b"")) == (set(), STAR_DENIES)
    for cut in range(1, len(HEALTHY)):
        assert STAR.decode(HEALTHY[:cut], b"") is None
    assert automatic_status(HEALTHY).used == len(HEALTHY)


@pytest.mark.parametrize(
    ("place", "bit", "true"),
    [
        (2, 0x02, set()),  # ETB executed
        (2, 0x04, set()),  # the drawer's switch
        (2, 0x08, {"offline-report"}),
        (2, 0x20, {"cover-open"}),
        (2, 0x40, {"offline-report"}),  # by switch
        (3, 0x02, set()),
        (3, 0x04, {"other"}),  # mechanical error
        (3, 0x08, {"trimmer-jam"}),
        (3, 0x20, {"other"}),  # unrecoverable
        (3, 0x40, {"subunit-over-temperature"}),
        (4, 0x02, {"cover-open"}),  # head up
        (4, 0x04, {"media-jam"}),  # presenter
        (4, 0x08, {"other"}),  # black mark
        (4, 0x20, set()),  # page-mode command error
        (4, 0x40, {"x-input-buffer-full"}),
        (5, 0x02, {"media-low"}),  # the roll's outer side
        (5, 0x04, {"media-low"}),
        (5, 0x08, {"media-empty"}),
        (5, 0x20, set()),
        (5, 0x40, set()),
        (6, 0x0E, set()),
        (7, 0x6E, set()),  # ETB counter
        (8, 0x6E, set()),  # presenter
    ],
)
def test_star_bits(place, bit, true):
    for first, size in ((0x23, 9), (0x0F, 7)):
        block = bytearray(size)
        block[0:2] = first, 0x06
        if place < size:
            block[place] = bit
            assert said(star(block.hex())) == (true, STAR_DENIES - true)
            block[1] = 0x86
            assert star(block.hex()) is None  # the length is to come
            assert said(star(block.hex() + "0000")) == (true, STAR_DENIES - true)


def test_star_combined():
    assert said(star("23 86 2a 48 00 0c 00 00 00 00 00"))[0] == {
        *("offline-report", "cover-open", "trimmer-jam", "subunit-over-temperature", "media-low", "media-empty")
    }


def test_a_star_status_that_comes_twice():
    assert STAR.decode(bytes.fromhex("23 86 00 00 00 08 00 00 00 00 00") + HEALTHY, b"").reasons[Reason.MEDIA_EMPTY]


def test_broken_star():
    for first in range(256):
        if first & 0x91 != 0x01:
            assert bad(STAR, bytes([first]) + HEALTHY[1:])
    for short in ("01", "03", "0d", "05 00 00"):
        assert bad(STAR, bytes.fromhex(short) + bytes(8))
    for place in range(1, 9):
        for bit in (0x01, 0x10, 0x80):
            block = bytearray(HEALTHY)
            block[place] |= bit
            if (place, bit) != (1, 0x80):
                assert bad(STAR, bytes(block))
                assert bad(STAR, bytes(block[: place + 1]))


# -- TSC ---------------------------------------------------------------------------------------------------------

TSC_DENIES = {"cover-open", "media-jam", "media-empty", "marker-supply-empty", "paused", "other"}


def tsc(state, size=100):
    reply = bytearray(size)
    reply[22:28] = bytes.fromhex("00 1b 82 11 22 33")
    reply[40:42] = bytes.fromhex(state)
    reply[44:48] = bytes([192, 168, 0, 7])
    return bytes(reply)


def test_tsc_question():
    # tsclibnet, TSCUDP_Data(): byte 1 is 50 in decimal.
    assert [q(NUMBER) for q in TSC.questions] == [
        bytes([0, 50, 0, 1, 0, 1, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0]) + b"\xff" * 6 + bytes(4)
    ]


@pytest.mark.parametrize(
    ("state", "true"),
    [
        ("00 00", set()),
        ("20 00", {"paused"}),
        ("01 00", set()),
        ("03 01", {"cover-open"}),
        ("03 02", {"media-jam"}),
        ("03 03", {"media-jam", "cover-open"}),
        ("03 04", {"media-empty"}),
        ("03 05", {"media-empty", "cover-open"}),
        ("03 08", {"marker-supply-empty"}),
        ("03 09", {"marker-supply-empty", "cover-open"}),
        ("03 10", {"marker-supply-empty", "media-jam"}),
        ("03 11", {"marker-supply-empty", "media-jam", "cover-open"}),
        ("03 12", {"marker-supply-empty", "media-empty"}),
        ("03 40", {"other"}),
    ],
)
def test_tsc_states(state, true):
    for size in (48, 100):
        report = TSC.decode(tsc(state, size), b"")
        assert said(report) == (true, TSC_DENIES - true)
        assert report.processing is (state == "01 00")


def test_a_tsc_error_without_a_name():
    for code in set(range(256)) - {0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x10, 0x11, 0x12, 0x40}:
        assert TSC.decode(tsc(f"03 {code:02x}"), b"") == Report({Reason.OTHER: True})


def test_broken_tsc():
    for state in ("00 01", "02 00", "20 04", "ff ff", "01 01"):
        assert bad(TSC, tsc(state))
    for size in range(1, 48):
        assert bad(TSC, tsc("00 00")[:size])
    question = TSC.questions[0](NUMBER)
    assert TSC.decode(question, question) is None  # an echo


# -- no reply makes a decoder raise anything else, or take it for what it is not ---------------------------------

SAMPLES = {
    "snmp": [response((STATUS_NAME, bytes.fromhex("02 01 03")), (ERRORS_NAME, bytes.fromhex("04 02 40 00"))), BOTH],
    "epson": [TM_M30],
    "star": [HEALTHY, bytes.fromhex("0f 06 08 00 00 08 00")],
    "tsc": [tsc("03 04"), tsc("00 00", 48)],
}


@st.composite
def replies(draw, channel):
    """Random bytes, or a real reply with some bytes changed, cut, doubled or added."""
    if draw(st.booleans()):
        return draw(st.binary(min_size=1, max_size=300))
    reply = bytearray(draw(st.sampled_from(SAMPLES[channel.name])))
    for _ in range(draw(st.integers(0, 3))):
        reply[draw(st.integers(0, len(reply) - 1))] = draw(st.integers(0, 255))
    start = draw(st.integers(0, len(reply) - 1))
    end = draw(st.integers(start + 1, len(reply)) | st.just(len(reply)))
    return bytes(reply[:start]) + bytes(reply[start:end]) * draw(st.integers(1, 2)) + draw(st.binary(max_size=8))


@every
@given(data=st.data())
@settings(deadline=None)
def test_any_reply(channel, data):
    reply = data.draw(replies(channel))
    question = data.draw(st.sampled_from(channel.questions))
    try:
        report = channel.decode(reply, question(data.draw(st.integers(0, 2**31 - 1) | st.just(NUMBER))))
    except BadReply:
        return
    assert report is None or isinstance(report, Report)
    if report is not None:
        assert all(isinstance(reason, Reason) and isinstance(true, bool) for reason, true in report.reasons.items())
        assert report.processing in {None, True, False}
        assert PrinterStatus(report.reasons, report.processing).state in PrinterState


@every
def test_every_byte_changed(channel):
    """No byte that is changed, one at a time, raises anything else."""
    question = channel.questions[0](NUMBER)
    for sample in SAMPLES[channel.name]:
        for place in range(len(sample)):
            for value in range(256):
                changed = sample[:place] + bytes([value]) + sample[place + 1 :]
                with contextlib.suppress(BadReply):
                    channel.decode(changed, question)


@every
def test_samples_are_read(channel):
    report = channel.decode(SAMPLES[channel.name][0], channel.questions[0](NUMBER))
    assert report is not None
    assert not report.is_empty
    assert len(SAMPLES[channel.name][0]) <= channel.max_reply


@given(st.integers(0, 2**31 - 1))
def test_an_snmp_answer_fits_its_own_question_only(number):
    question = SNMP.questions[0](number)
    echo = question.replace(b"\xa0\x30", b"\xa2\x30").replace(b"\xa0\x31", b"\xa2\x31")
    echo = echo.replace(b"\xa0\x2d", b"\xa2\x2d").replace(b"\xa0\x2e", b"\xa2\x2e").replace(b"\xa0\x2f", b"\xa2\x2f")
    assert SNMP.decode(echo, question).is_empty
    assert SNMP.decode(echo, SNMP.questions[0](number ^ 1)) is None
