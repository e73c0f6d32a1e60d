"""What the decoders read, against the manuals' values written out here, and what no input can make them do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawprint.dialects import DIALECTS, Reader, by_name
from rawprint.dialects.base import combine
from rawprint.errors import AddressError, BadReply
from rawprint.status import Reason

TSPL, ESCPOS = DIALECTS["tspl"], DIALECTS["escpos"]
STAR = DIALECTS["star"]
ZPL = DIALECTS["zpl"]
STATUS, LONG, TILDE = TSPL.queries
N1, N2, N3, N4 = ESCPOS.queries

both = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def said(decoded):
    """The reasons of one decoded reply, as sets of keywords: those that it affirms, and those that it denies."""
    true = {str(reason) for reason, value in decoded.reasons.items() if value}
    return true, {str(reason) for reason in decoded.reasons} - true


def bad(dialect, data, *asked):
    with pytest.raises(BadReply) as caught:
        dialect.decode(data, asked)
    assert caught.value.code == "bad-reply"
    assert caught.value.raw == data[:256]
    return True


def hear(dialect, asked, chunks):
    """What a printer's bytes say to one who asked: the replies and pushes in order, then "bad-reply" if it came.

    What `decode` calls alone is taken only where nothing follows, as its contract says.
    """
    reader, owed, heard = Reader(dialect), list(asked), []
    chunks = [chunk for chunk in chunks if chunk]
    for place, chunk in enumerate(chunks):
        more_follows = place + 1 < len(chunks)
        reader.feed(chunk)
        try:
            while (decoded := reader.peek(tuple(owed))) is not None:
                if decoded.alone and decoded.used == len(reader.rest) and more_follows:
                    break
                heard.append((reader.take(decoded), decoded))
                if decoded.answers is not None:
                    del owed[: owed.index(decoded.answers) + 1]
        except BadReply:
            return [*heard, "bad-reply"]
    return [*heard, ("rest", reader.rest)] if reader.rest else heard


def one_by_one(data):
    return [data[i : i + 1] for i in range(len(data))]


# -- the languages -------------------------------------------------------------------------------------------


def test_the_questions():
    assert [(q.name, q.request) for q in TSPL.queries] == [
        ("status", b"\x1b!?"),
        ("status-long", b"\x1b!S"),
        ("status-tilde", b"~!S\r\n"),
    ]
    assert [(q.name, q.request) for q in ESCPOS.queries] == [
        ("dle-eot-1", b"\x10\x04\x01"),
        ("dle-eot-2", b"\x10\x04\x02"),
        ("dle-eot-3", b"\x10\x04\x03"),
        ("dle-eot-4", b"\x10\x04\x04"),
    ]


@both
def test_only_the_first_question_must_be_answered(dialect):
    first = dialect is not ZPL  # printers may know either of its two alone
    always = [q for q in dialect.queries if not q.unless_answered]
    assert [q.required for q in always] == [first] + [False] * (len(always) - 1)
    assert dialect.essential == tuple(always[:1] if first else always)
    assert len({q.name for q in dialect.queries}) == len(dialect.queries)
    assert {name for q in dialect.queries for name in (q.instead_of, q.unless_answered)} <= {
        "",
        *(q.name for q in dialect.queries),
    }


def test_by_name():
    assert by_name("tspl") is by_name("TSPL") is TSPL
    assert by_name("escpos") is by_name("EscPos") is ESCPOS
    for name in ("", "esc/pos", "tspl2 ", "zpl\n"):
        with pytest.raises(AddressError) as caught:
            by_name(name)
        assert "tspl" in caught.value.hint


# -- TSPL: ESC !? --------------------------------------------------------------------------------------------

SHORT_DENIES = {"cover-open", "media-jam", "media-empty", "marker-supply-empty", "paused", "other"}
SHORT_BITS = {
    0x01: "cover-open",
    0x02: "media-jam",
    0x04: "media-empty",
    0x08: "marker-supply-empty",
    0x10: "paused",
    0x20: None,  # printing
    0x40: "cover-open",
    0x80: "other",
}


def short(byte):
    decoded = TSPL.decode(bytes([byte]), (STATUS,))
    assert (decoded.used, decoded.answers) == (1, STATUS)
    return decoded


def test_tspl_short_ready():
    decoded = short(0x00)
    assert said(decoded) == (set(), SHORT_DENIES)
    assert decoded.processing is False


@pytest.mark.parametrize(("bit", "reason"), SHORT_BITS.items())
def test_tspl_short_bit(bit, reason):
    decoded = short(bit)
    true = {reason} - {None}
    assert said(decoded) == (true, SHORT_DENIES - true)
    assert decoded.processing is (bit == 0x20)


@pytest.mark.parametrize(
    ("byte", "true"),
    [
        (0x03, {"cover-open", "media-jam"}),
        (0x05, {"cover-open", "media-empty"}),
        (0x09, {"cover-open", "marker-supply-empty"}),
        (0x0A, {"media-jam", "marker-supply-empty"}),
        (0x0B, {"cover-open", "media-jam", "marker-supply-empty"}),
        (0x0C, {"media-empty", "marker-supply-empty"}),
        (0x0D, {"cover-open", "media-empty", "marker-supply-empty"}),
        (0x30, {"paused"}),
        (0x24, {"media-empty"}),
        (0xFF, SHORT_DENIES),
    ],
)
def test_tspl_short_combined(byte, true):
    decoded = short(byte)
    assert said(decoded) == (true, SHORT_DENIES - true)
    assert decoded.processing is (byte in {0x30, 0x24, 0xFF})


def test_tspl_short_is_a_mask_throughout():
    # 7B is the brace that begins a notice, and a printer that is open, jammed, paused and printing at once.
    for byte in set(range(256)) - {0x7B}:
        true = {reason for bit, reason in SHORT_BITS.items() if byte & bit and reason}
        assert said(short(byte)) == (true, SHORT_DENIES - true), hex(byte)
        assert short(byte).processing is bool(byte & 0x20)
        assert short(byte).alone is (byte == 0x02)  # which begins the long frame, too


def test_a_brace_is_never_a_state():
    assert TSPL.decode(b"{", (STATUS,)) is None
    assert hear(TSPL, [STATUS], [b"{"]) == [("rest", b"{")]


def test_tspl_short_for_nobody():
    for byte in range(256):
        if byte != 0x7B:
            assert bad(TSPL, bytes([byte]))
        if byte not in {0x7B, 0x02}:
            assert bad(TSPL, bytes([byte]), LONG)


# -- TSPL: ESC !S --------------------------------------------------------------------------------------------

LONG_DENIES = {
    "subunit-over-temperature",
    "other",
    "trimmer-jam",
    "media-empty",
    "media-jam",
    "marker-supply-empty",
    "cover-open",
    "paused",
    "x-label-waiting",
    "x-input-buffer-full",
}
NORMAL = bytes.fromhex("02 40 40 40 40 03 0d 0a")


def frame(b1=0x40, b2=0x40, b3=0x40, b4=0x40):
    return bytes([0x02, b1, b2, b3, b4, 0x03, 0x0D, 0x0A])


def long(*fields, asked=LONG):
    decoded = TSPL.decode(frame(*fields), (asked,))
    assert (decoded.used, decoded.answers, decoded.alone) == (8, asked, False)
    return decoded


def test_tspl_long_normal():
    assert frame() == NORMAL
    assert said(long()) == (set(), LONG_DENIES)
    assert long().processing is False


@pytest.mark.parametrize(
    ("code", "true", "processing"),
    [
        (0x40, set(), False),  # normal
        (0x60, {"paused"}, False),
        (0x42, set(), True),  # backing label
        (0x43, set(), True),  # cutting
        (0x45, {"other"}, False),  # printer error, and no bit that says which
        (0x46, set(), True),  # form feed
        (0x4B, {"x-label-waiting"}, False),  # for the print key
        (0x4C, {"x-label-waiting"}, False),  # for the label to be taken
        (0x50, set(), True),  # printing a batch
        (0x57, set(), True),  # imaging
    ],
)
def test_tspl_long_message(code, true, processing):
    decoded = long(code)
    assert said(decoded) == (true, LONG_DENIES - true)
    assert decoded.processing is processing


@pytest.mark.parametrize(
    ("fields", "true"),
    [
        ((0x40, 0x41), {"media-low"}),
        ((0x40, 0x42), {"marker-supply-low"}),
        ((0x40, 0x43), {"media-low", "marker-supply-low"}),
        ((0x40, 0x48), {"x-input-buffer-full"}),
        ((0x45, 0x40, 0x41), {"subunit-over-temperature"}),  # print head
        ((0x45, 0x40, 0x42), {"subunit-over-temperature"}),  # stepper motor
        ((0x45, 0x40, 0x44), {"other"}),  # print head error
        ((0x45, 0x40, 0x48), {"trimmer-jam"}),
        ((0x45, 0x40, 0x50), {"other"}),  # out of memory
        ((0x45, 0x40, 0x5F), {"subunit-over-temperature", "other", "trimmer-jam"}),
        ((0x45, 0x40, 0x40, 0x41), {"media-empty"}),
        ((0x45, 0x40, 0x40, 0x42), {"media-jam"}),  # E@@B
        ((0x45, 0x40, 0x40, 0x44), {"marker-supply-empty"}),
        ((0x45, 0x40, 0x40, 0x48), {"other"}),  # ribbon jam
        ((0x45, 0x40, 0x40, 0x60), {"cover-open"}),
        ((0x45, 0x40, 0x40, 0x62), {"media-jam", "cover-open"}),  # E@@b
        ((0x45, 0x40, 0x40, 0x65), {"media-empty", "marker-supply-empty", "cover-open"}),
        ((0x60, 0x41, 0x48, 0x61), {"paused", "media-low", "trimmer-jam", "media-empty", "cover-open"}),
    ],
)
def test_tspl_long_masks(fields, true):
    decoded = long(*fields)
    assert said(decoded) == (true, LONG_DENIES - true)
    assert decoded.processing is False


def test_tspl_long_never_denies_low():
    # Reserved in the 2013 manual: a printer of that age cannot say that there is plenty.
    for b2 in range(0x40, 0x80):
        assert not {"media-low", "marker-supply-low"} & said(long(0x40, b2))[1]


def test_the_tilde_question_has_the_same_frame():
    for fields in ((), (0x45, 0x40, 0x40, 0x62), (0x50,)):
        assert long(*fields, asked=TILDE).reasons == long(*fields).reasons
        assert long(*fields, asked=TILDE).processing == long(*fields).processing
    assert TSPL.decode(NORMAL, (LONG, TILDE)).answers is LONG
    assert TSPL.decode(NORMAL, (STATUS, TILDE)).answers is TILDE


@pytest.mark.parametrize("asked", [(LONG,), (TILDE,), (STATUS, LONG), (LONG, STATUS)])
def test_a_cut_frame_waits_for_its_end(asked):
    for cut in range(1, 8):
        decoded = TSPL.decode(frame(0x45, 0x40, 0x40, 0x62)[:cut], asked)
        if cut == 1 and STATUS in asked:  # or it is a jam, if nothing follows
            assert decoded.alone
        else:
            assert decoded is None


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (1, b"\x00\x02\x03\x0d\x20\x3f\x80\xc0\xff"),
        (2, b"\x00\x02\x3f\x80\xff"),
        (3, b"\x00\x02\x3f\x80\xff"),
        (4, b"\x00\x02\x3f\x80\xff"),
        (5, b"\x00\x02\x0d\x40\x83"),
        (6, b"\x00\x03\x0a\x40"),
        (7, b"\x00\x02\x0d\x40"),
    ],
)
def test_a_wrong_byte_breaks_a_frame_at_once(place, wrong):
    for byte in wrong:
        broken = NORMAL[:place] + bytes([byte])
        for asked in ((LONG,), (STATUS, LONG), (STATUS,), ()):
            assert bad(TSPL, broken, *asked)
            assert bad(TSPL, broken + NORMAL[place + 1 :], *asked)


def test_a_frame_for_nobody():
    assert bad(TSPL, NORMAL)
    assert bad(TSPL, NORMAL, STATUS)
    for chunks in ([NORMAL], one_by_one(NORMAL), [NORMAL[:1], NORMAL[1:]]):
        assert hear(TSPL, [STATUS], chunks) == ["bad-reply"]
        assert hear(TSPL, [], chunks) == ["bad-reply"]


@pytest.mark.parametrize(
    ("asked", "reply", "surplus"),
    [
        ([STATUS], "00", "00"),
        ([STATUS], "04", "00"),
        ([STATUS], "00", "02 40 40 40 40 03 0d 0a"),
        ([STATUS], "20", "0d 0a"),
        ([LONG], "02 40 40 40 40 03 0d 0a", "00"),
        ([LONG], "02 40 40 40 40 03 0d 0a", "02 40 40 40 40 03 0d 0a"),
        ([STATUS, LONG], "00 02 40 40 40 40 03 0d 0a", "0a"),
    ],
)
def test_tspl_surplus(asked, reply, surplus):
    data = bytes.fromhex(reply + surplus)
    for chunks in ([data], one_by_one(data), [bytes.fromhex(reply), bytes.fromhex(surplus)]):
        heard = hear(TSPL, asked, chunks)
        assert [decoded.answers for _, decoded in heard[:-1]] == asked
        assert heard[-1] == "bad-reply"


def test_tspl_late_answers_go_to_the_oldest_question():
    heard = hear(TSPL, [STATUS, LONG], [b"\x04" + NORMAL])
    assert [decoded.answers for _, decoded in heard] == [STATUS, LONG]
    heard = hear(TSPL, [STATUS, LONG, STATUS], [b"\x04", NORMAL, b"\x00"])
    assert [decoded.answers for _, decoded in heard] == [STATUS, LONG, STATUS]


# -- TSPL: notices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notice", [b"{00,00001}", b"{04,99999}", b"{0D,00002,TICKET-7}", b"{20,00003,1}"])
def test_a_notice_is_a_push_that_reports_nothing(notice):
    for asked in ((), (STATUS,), (LONG,), (STATUS, LONG)):
        decoded = TSPL.decode(notice + b"\x00", asked)
        assert (decoded.used, decoded.answers, dict(decoded.reasons)) == (len(notice), None, {})
        assert decoded.processing is None
        for cut in range(1, len(notice)):
            assert TSPL.decode(notice[:cut], asked) is None


def test_notices_stand_around_answers():
    data = b"{00,00001}{00,00002,A}" + b"\x04" + b"{04,00003}" + NORMAL + b"{00,00004}"
    for chunks in ([data], one_by_one(data)):
        heard = hear(TSPL, [STATUS, LONG], chunks)
        assert [decoded.answers for _, decoded in heard] == [None, None, STATUS, None, LONG, None]


@pytest.mark.parametrize(
    "data",
    [
        b"{" * 64,
        b"{00,00001" + b" " * 60,
        b"{" + bytes(64) + b"}",
        b"{}",
        b"{hello}",
        b'{"paper": true}',
        b"{00}",
        b"{00,}",
        b"{0,00001}",
        b"{0G,00001}",
        b"{00;00001}",
        b"{\x00\x04\x00}",
    ],
)
def test_what_is_no_notice(data):
    for asked in ([], [STATUS], [LONG]):
        assert hear(TSPL, asked, [data + b"\x00"]) == ["bad-reply"]
        assert hear(TSPL, asked, one_by_one(data + b"\x00")) == ["bad-reply"]


# -- ESC/POS: DLE EOT ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "byte", "true", "denied"),
    [
        (N1, 0x12, set(), {"offline-report"}),
        (N1, 0x16, set(), {"offline-report"}),  # drawer pin high; whether that is open, nobody knows
        (N1, 0x1A, {"offline-report"}, set()),
        (N1, 0x1E, {"offline-report"}, set()),
        (N1, 0x32, set(), {"offline-report"}),  # waiting for recovery
        (N1, 0x52, set(), {"offline-report"}),  # FEED pressed
        (N1, 0x7E, {"offline-report"}, set()),
        (N2, 0x12, set(), {"cover-open", "x-feed-button"}),
        (N2, 0x16, {"cover-open"}, {"x-feed-button"}),
        (N2, 0x1A, {"x-feed-button"}, {"cover-open"}),
        (N2, 0x32, {"media-empty"}, {"cover-open", "x-feed-button"}),
        (N2, 0x52, {"other"}, {"cover-open", "x-feed-button"}),
        (N2, 0x36, {"media-empty", "cover-open"}, {"x-feed-button"}),
        (N2, 0x7E, {"media-empty", "cover-open", "x-feed-button", "other"}, set()),
        (N3, 0x12, set(), {"trimmer-jam", "other", "subunit-over-temperature"}),
        (N3, 0x16, {"other"}, {"trimmer-jam", "subunit-over-temperature"}),
        (N3, 0x1A, {"trimmer-jam"}, {"other", "subunit-over-temperature"}),
        (N3, 0x32, {"other"}, {"trimmer-jam", "subunit-over-temperature"}),
        (N3, 0x52, {"subunit-over-temperature"}, {"trimmer-jam", "other"}),
        (N3, 0x7E, {"trimmer-jam", "other", "subunit-over-temperature"}, set()),
        (N4, 0x12, set(), {"media-low", "media-empty"}),
        (N4, 0x1E, {"media-low"}, {"media-empty"}),
        (N4, 0x72, {"media-empty"}, {"media-low"}),
        (N4, 0x7E, {"media-low", "media-empty"}, set()),
    ],
)
def test_dle_eot(query, byte, true, denied):
    decoded = ESCPOS.decode(bytes([byte]), (query,))
    assert (decoded.used, decoded.answers, decoded.alone) == (1, query, False)
    assert said(decoded) == (true, denied)
    assert decoded.processing is None


@pytest.mark.parametrize(
    ("byte", "true"),
    [(0x16, {"media-low"}), (0x1A, {"media-low"}), (0x32, {"media-empty"}), (0x52, {"media-empty"})],
)
def test_one_paper_sensor_of_two_is_enough(byte, true):
    # Epson sets both bits of a pair; the two-roll RP-U420 has one for each roll.
    assert said(ESCPOS.decode(bytes([byte]), (N4,)))[0] == true


def pattern(text):
    """The bytes that a manual's pattern such as 0xx1xx10 stands for."""
    return {
        byte for byte in range(256) if all(want in ("x", bit) for want, bit in zip(text, f"{byte:08b}", strict=True))
    }


REAL_TIME = pattern("0xx1xx10")
AUTOMATIC = pattern("0xx1xx00")
FOLLOWING = pattern("0xx0xxxx")
XON_XOFF = {0x11, 0x13}
HEADERS = {0x35, 0x37, 0x39, 0x3B, 0x3D, 0x5F}


@pytest.mark.parametrize("query", [N1, N2, N3, N4])
def test_replies_are_told_apart_by_their_fixed_bits(query):
    for byte in range(256):
        data = bytes([byte])
        if byte in REAL_TIME:
            assert ESCPOS.decode(data, (query,)).answers is query
            assert bad(ESCPOS, data)
        elif byte in AUTOMATIC | HEADERS:
            assert ESCPOS.decode(data, (query,)) is None
            assert ESCPOS.decode(data, ()) is None
        elif byte in XON_XOFF:
            for asked in ((query,), ()):
                decoded = ESCPOS.decode(data, asked)
                assert (decoded.used, decoded.answers, dict(decoded.reasons)) == (1, None, {})
        else:
            assert bad(ESCPOS, data, query)
            assert bad(ESCPOS, data)


def test_dle_eot_answers_the_oldest_question():
    heard = hear(ESCPOS, [N1, N2, N3, N4], [bytes.fromhex("1a 32 12 7e")])
    assert [decoded.answers for _, decoded in heard] == [N1, N2, N3, N4]


@pytest.mark.parametrize("surplus", ["12", "16", "00", "0c", "80", "ff", "41"])
def test_escpos_surplus(surplus):
    data = bytes.fromhex("12" + surplus)
    for chunks in ([data], one_by_one(data)):
        heard = hear(ESCPOS, [N1], chunks)
        assert heard[0][1].answers is N1
        assert heard[1:] == ["bad-reply"]


# -- ESC/POS: automatic status -------------------------------------------------------------------------------

ASB_DENIES = {
    "offline-report",
    "cover-open",
    "x-feed-button",
    "trimmer-jam",
    "other",
    "subunit-over-temperature",
    "media-low",
    "media-empty",
}


@pytest.mark.parametrize(
    ("block", "true"),
    [
        ("10 00 00 00", set()),
        ("14 00 00 00", set()),  # drawer pin high
        ("18 00 00 00", {"offline-report"}),
        ("30 00 00 00", {"cover-open"}),
        ("50 00 00 00", {"x-feed-button"}),
        ("10 01 00 00", set()),  # waiting for recovery
        ("10 02 00 00", set()),  # FEED pressed, as newer Epsons say it
        ("10 04 00 00", {"other"}),
        ("10 08 00 00", {"trimmer-jam"}),
        ("10 20 00 00", {"other"}),
        ("10 40 00 00", {"subunit-over-temperature"}),
        ("18 6c 00 00", {"offline-report", "other", "trimmer-jam", "subunit-over-temperature"}),
        ("10 00 03 00", {"media-low"}),
        ("10 00 0c 00", {"media-empty"}),
        ("10 00 01 00", {"media-low"}),  # one sensor of two is enough
        ("10 00 02 00", {"media-low"}),
        ("10 00 04 00", {"media-empty"}),
        ("10 00 08 00", {"media-empty"}),
        ("10 00 0f 00", {"media-low", "media-empty"}),
        ("10 00 60 00", set()),  # reserved, or a slip's
        ("10 00 00 0f", set()),  # newer Epsons' fixed pattern
        ("3c 00 0c 00", {"offline-report", "cover-open", "media-empty"}),
        ("7c 2f 0f 6f", ASB_DENIES - {"subunit-over-temperature"}),
    ],
)
def test_automatic_status(block, true):
    data = bytes.fromhex(block)
    for asked in ((), (N1,), (N4, N1)):
        for cut in (1, 2, 3):
            assert ESCPOS.decode(data[:cut], asked) is None
        decoded = ESCPOS.decode(data + b"\x12", asked)
        assert (decoded.used, decoded.answers, decoded.processing) == (4, None, None)
        assert said(decoded) == (true, ASB_DENIES - true)


def test_an_open_cover_is_not_heat():
    # "Auto-recoverable" is set by both; an open cover explains it, and nothing is said of the temperature.
    assert said(ESCPOS.decode(bytes.fromhex("38 40 00 00"), ())) == (
        {"offline-report", "cover-open"},
        ASB_DENIES - {"offline-report", "cover-open", "subunit-over-temperature"},
    )


def test_a_byte_that_ends_an_automatic_status_early():
    for cut in (1, 2, 3):
        for byte in set(range(256)) - FOLLOWING - XON_XOFF:
            data = bytes.fromhex("14 00 00")[:cut] + bytes([byte])
            assert bad(ESCPOS, data, N1)
            assert bad(ESCPOS, data + b"\x00\x00\x00")


@pytest.mark.parametrize("reply", ["12", "16", "1a", "72", "7e"])
def test_a_real_time_answer_inside_an_automatic_status(reply):
    for cut in (1, 2, 3):
        block = bytes.fromhex("14 00 00 00")
        data = block[:cut] + bytes.fromhex(reply) + block[cut:]
        for chunks in ([data], one_by_one(data)):
            assert hear(ESCPOS, [N1], chunks) == ["bad-reply"]


@pytest.mark.parametrize("block", ["11 3c 13 00 11 13 0c 11 00", "3c 13 11 13 00 0c 00", "3c 00 0c 13 00 11"])
def test_flow_control_inside_an_automatic_status(block):
    data = bytes.fromhex(block)
    for chunks in ([data], one_by_one(data)):
        heard = hear(ESCPOS, [N1], chunks)
        assert b"".join(raw for raw, _ in heard) == data
        reports = [decoded for _, decoded in heard if decoded.reasons]
        assert [said(decoded)[0] for decoded in reports] == [
            {"offline-report", "cover-open", "media-empty"},
        ]
        assert all(decoded.answers is None for _, decoded in heard)


def test_flow_control_without_end():
    endless = b"\x14" + b"\x11\x13" * 60 + b"\x00\x00\x00"
    assert hear(ESCPOS, [], one_by_one(endless)) == ["bad-reply"]
    assert hear(ESCPOS, [], [endless]) == ["bad-reply"]


def test_automatic_status_around_answers():
    data = bytes.fromhex("14 00 00 00  12  3c 00 0c 00  32  11 14 00 00 00")
    for chunks in ([data], one_by_one(data)):
        heard = hear(ESCPOS, [N1, N2], chunks)
        assert [decoded.answers for _, decoded in heard] == [None, N1, None, N2, None, None]


# -- ESC/POS: block replies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        "37 22 30 30 30 31 00",  # GS ( H: process id "0001"
        "37 25 00",  # DLE DC4 8: buffers cleared
        "37 23 40 44 00",  # GS ( H: offline response
        "5f 31 2e 32 38 00",  # GS I 65: firmware "1.28"
        "3b 30 00",  # DLE DC4 2: power off
        "3d 54 4d 00",
        "35 40 40 00",
        "39 40 00",
    ],
)
def test_a_block_reply_is_ignored(block):
    data = bytes.fromhex(block)
    for asked in ((), (N1,)):
        decoded = ESCPOS.decode(data + b"\x12", asked)
        assert (decoded.used, decoded.answers, dict(decoded.reasons)) == (len(data), None, {})
        for cut in range(1, len(data)):
            assert ESCPOS.decode(data[:cut], asked) is None
    heard = hear(ESCPOS, [N1], one_by_one(data + b"\x1a" + data))
    assert [decoded.answers for _, decoded in heard] == [None, N1, None]


def test_the_longest_block_reply():
    name = b"\x5f" + b"A" * 80 + b"\x00"
    assert ESCPOS.decode(name, ()).used == 82
    assert hear(ESCPOS, [N1], [b"\x5f" + b"A" * 200 + b"\x00\x12"]) == ["bad-reply"]
    assert hear(ESCPOS, [N1], one_by_one(b"\x5f" + b"A" * 200 + b"\x00\x12")) == ["bad-reply"]


# -- what the answers of one exchange say together -----------------------------------------------------------


def conclude(*values):
    """The four DLE EOT answers, None for silence -> what is true of the printer."""
    answers = {
        query.name: ESCPOS.decode(bytes([value]), (query,))
        for query, value in zip(ESCPOS.queries, values, strict=True)
        if value is not None
    }
    reasons = ESCPOS.conclude(answers)
    return {str(reason) for reason, true in reasons.items() if true}, reasons


@pytest.mark.parametrize(
    ("values", "true"),
    [
        ((0x12, 0x12, 0x12, 0x12), set()),
        ((0x16, 0x12, 0x12, 0x1E), {"media-low"}),
        ((0x1A, 0x32, 0x12, 0x7E), {"offline-report", "media-empty", "media-low"}),
        ((0x1A, 0x16, 0x12, 0x12), {"offline-report", "cover-open"}),
        ((0x1A, 0x56, 0x52, 0x12), {"offline-report", "cover-open"}),  # opened while printing
        ((0x1A, 0x52, 0x1A, 0x12), {"offline-report", "trimmer-jam"}),
        ((0x1A, 0x52, 0x52, 0x12), {"offline-report", "subunit-over-temperature"}),
        ((0x1A, 0x52, 0x32, 0x12), {"offline-report", "other"}),
        ((0x1A, 0x52, 0x3A, 0x12), {"offline-report", "other", "trimmer-jam"}),
        ((0x1A, 0x52, 0x12, 0x12), {"offline-report", "other"}),  # a clone that knows no causes
        ((0x1A, 0x52, None, None), {"offline-report", "other"}),
        ((0x1A, None, 0x1A, None), {"offline-report", "trimmer-jam"}),
        ((0x12, None, None, None), set()),
    ],
)
def test_conclude(values, true):
    assert conclude(*values)[0] == true


def test_conclude_denies_only_what_was_denied():
    assert set(conclude(0x12, None, None, None)[1]) == {"offline-report"}
    assert set(conclude(0x12, 0x12, None, None)[1]) == {"offline-report", "cover-open", "x-feed-button"}
    assert "media-empty" not in conclude(0x12, 0x12, 0x12, None)[1]
    assert "subunit-over-temperature" not in conclude(0x1A, 0x56, 0x52, 0x12)[1]


@pytest.mark.parametrize(
    "values",
    [
        # What the printer would have said, and above it the same one question behind.
        (0x12, 0x1A, 0x32, 0x12),  # of 1A 32 12 7E: paper end
        (0x12, 0x1A, 0x56, 0x52),  # of 1A 56 52 12: cover opened while printing
        (0x12, 0x1A, 0x52, 0x1A),  # of 1A 52 1A 12: cutter
        (0x12, 0x12, 0x16, 0x12),
        (0x12, 0x12, 0x7E, 0x12),
    ],
)
def test_a_cause_without_an_error_is_another_questions_answer(values):
    with pytest.raises(BadReply):
        conclude(*values)


def test_combine():
    first = TSPL.decode(b"\x04", (STATUS,))
    second = TSPL.decode(frame(0x45, 0x41, 0x40, 0x60), (LONG,))
    for parts in ([first, second], [second, first]):
        reasons = combine(parts)
        assert {str(r) for r, true in reasons.items() if true} == {"media-empty", "cover-open", "media-low"}
        assert reasons[Reason.MEDIA_JAM] is False
    assert combine([]) == {}
    assert TSPL.conclude({"status": first, "status-long": second}) == combine([first, second])


# -- the reader ----------------------------------------------------------------------------------------------


def test_the_reader_throws_everything_away_with_a_bad_reply():
    reader = Reader(TSPL)
    reader.feed(b"\x00\x00\x00")
    assert reader.take(reader.peek((STATUS,))) == b"\x00"
    assert reader.rest == b"\x00\x00"
    with pytest.raises(BadReply):
        reader.peek(())
    assert reader.rest == b""
    assert reader.peek((STATUS,)) is None


def test_looking_takes_nothing():
    reader = Reader(ESCPOS)
    reader.feed(b"\x12\x12")
    assert reader.peek((N1,)) == reader.peek((N1,))
    assert reader.rest == b"\x12\x12"
    reader.clear()
    assert reader.rest == b""


# -- no input makes a decoder raise anything else, loop, or keep without bound -------------------------------

# Bytes that mean something, so that random ones go further than the first.
ZPL_WELL = b"\x02030,0,0,0639,000,0,0,0,000,0,0,0\x03\r\n\x02001,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"
ZPL_FLAGS = (
    b"\x02\r\n\r\n  PRINTER STATUS                            \r\n   ERRORS:         0 00000000 00000000      \r\n"
    b"   WARNINGS:       0 00000000 00000000      \r\n\x03"
)
PARTS = {
    "tspl": [NORMAL, NORMAL[:5], b"\x02", b"\x00", b"\x04", b"{00,00001}", b"{", b"}", b"\x40", b"\x03\r\n"],
    "escpos": [
        b"\x12",
        b"\x7e",
        b"\x14\x00\x00\x00",
        b"\x14",
        b"\x00",
        b"\x11",
        b"\x13\x11",
        b"7\x220001\x00",
        b"_A",
    ],
    "zpl": [
        ZPL_WELL,
        b"\x02030,1,1,0249,003,1,0,1,000,0,0,1\x03\r\n",
        b"\x02000,0,1,1,0,2,6,1,00000002,1,000\x03\r\n\x020000,0\x03\r\n",
        ZPL_FLAGS,
        b"\x02\r\n\r\n  PRINTER STATUS",
        b"\x02ZD230,V89.21.46Z,8,4096KB\x03\r\n",
        b"\x02",
        b"\x03\r\n",
        b"\x11",
    ],
    "star": [
        b"\x23\x06" + bytes(7),
        b"\x23\x86\x28\x00\x00\x08" + bytes(5),
        b"\x23\x86" + bytes(7) + b"\x00\x0801:B",
        b"\x0f\x02",
        b"\x00",
        b"\x11",
        b"\x13\x11",
        b"\x1b#*,TSP654Ver3.0\n\x00",
        b"\x1b#*",
        b"\x1b\x1d\x03\x01\x00\x00\x05\x00",
        b"\x1b",
    ],
}


def junk(dialect):
    return st.lists(st.binary(max_size=40) | st.sampled_from(PARTS[dialect.name]), max_size=12).map(b"".join)


def questions(dialect):
    return st.lists(st.sampled_from(dialect.queries), max_size=5)


@st.composite
def splits(draw, data):
    places = draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@both
@given(data=st.data())
@settings(deadline=None)
def test_any_bytes_in_any_pieces(dialect, data):
    reader, owed = Reader(dialect), []
    for _ in range(data.draw(st.integers(1, 6), label="pieces")):
        owed += data.draw(questions(dialect), label="asked")
        chunk = data.draw(junk(dialect) | st.binary(max_size=400), label="chunk")
        reader.feed(chunk)
        assert len(reader.rest) <= dialect.max_reply + len(chunk)
        for _ in range(len(reader.rest) + 1):
            before = reader.rest
            try:
                decoded = reader.peek(tuple(owed))
            except BadReply:
                assert reader.rest == b""
                owed.clear()
                break
            assert reader.rest == before
            if decoded is None:
                break
            assert 1 <= decoded.used <= min(len(before), dialect.max_reply)
            assert reader.take(decoded) == before[: decoded.used]
            assert reader.rest == before[decoded.used :]
            if decoded.answers is not None:
                del owed[: owed.index(decoded.answers) + 1]
        assert reader.rest == b"" or decoded is None
        assert len(reader.rest) < dialect.max_reply


@both
@given(data=st.data())
@settings(deadline=None)
def test_no_split_changes_what_was_said(dialect, data):
    stream = data.draw(junk(dialect), label="stream")
    asked = data.draw(questions(dialect), label="asked")
    pieces = data.draw(splits(stream), label="pieces")
    assert hear(dialect, asked, pieces) == hear(dialect, asked, [stream])


@both
def test_every_part_behind_every_other(dialect):
    for asked in ((), *((query,) for query in dialect.queries), dialect.queries):
        for first in PARTS[dialect.name]:
            for second in PARTS[dialect.name]:
                stream = first + second
                whole = hear(dialect, asked, [stream])
                assert hear(dialect, asked, one_by_one(stream)) == whole, stream
                assert hear(dialect, asked, [first, second]) == whole, stream


def star_status():
    """7 to 15 bytes, over a cable or over a network, with flow control of a serial line between them."""
    others = st.lists(st.sampled_from(sorted(pattern("0xx0xxx0"))), min_size=6, max_size=14)
    flow = st.sampled_from([b"", b"", b"", b"\x11", b"\x13\x11"])

    @st.composite
    def build(draw):
        following = bytes(draw(others))
        count = len(following) + 1
        block = bytes([(count & 8) << 2 | (count & 7) << 1 | 1]) + following
        if draw(st.booleans()):
            return bytes([block[0], block[1] | 0x80]) + block[2:] + b"\x00\x00"
        return b"".join(bytes([byte]) + (draw(flow) if at < count else b"") for at, byte in enumerate(block, 1))

    return build()


def zpl_replies():
    bit, few = st.integers(0, 1), st.integers(0, 999)
    first = st.tuples(few, bit, bit, few, few, bit, bit, bit, bit, bit, bit)
    second = st.tuples(few, bit, bit, bit, st.sampled_from("0123456789KS"), bit, st.integers(0, 99_999_999), few)
    status = st.tuples(first, second).map(
        lambda both: (
            b"\x02%03d,%d,%d,%04d,%03d,%d,%d,%d,000,%d,%d,%d\x03\r\n" % both[0]
            + b"\x02%03d,0,%d,%d,%d,%b,6,%d,%08d,1,%03d\x03\r\n" % (*both[1][:4], both[1][4].encode(), *both[1][5:])
            + b"\x020000,0\x03\r\n"
        )
    )
    group = st.integers(0, 0xFFFFFFFF)
    flags = st.tuples(bit, group, group, bit, group, group).map(
        lambda each: b"\x02\r\n  PRINTER STATUS \r\n  ERRORS: %d %08X %08X\r\n WARNINGS: %d %08x %08x \r\n\x03" % each
    )
    return st.tuples(st.just(ZPL.queries[0]), flags) | st.tuples(st.just(ZPL.queries[1]), status)


def replies(dialect):
    """A question and any valid answer to it."""
    if dialect is STAR:
        return st.tuples(st.just(STAR.queries[0]), star_status())
    if dialect is ZPL:
        return zpl_replies()
    field = st.integers(0x40, 0x7F)
    if dialect is ESCPOS:
        return st.tuples(st.sampled_from(dialect.queries), st.sampled_from(sorted(REAL_TIME)).map(lambda b: bytes([b])))
    return st.tuples(st.just(STATUS), st.integers(0, 255).filter(lambda b: b != 0x7B).map(lambda b: bytes([b]))) | (
        st.tuples(st.sampled_from([LONG, TILDE]), st.builds(frame, field, field, field, field))
    )


def pushes(dialect):
    if dialect is ZPL:
        return st.sampled_from([b"\x11", b"\x13", b"\r", b"\n"])
    if dialect is STAR:  # an automatic status would be an answer
        return st.sampled_from([b"\x11", b"\x13", b"\x1b#*,TSP654Ver3.0\n\x00", b"\x1b\x1d\x03\x00\x00\x00\x05\x00"])
    if dialect is TSPL:
        return st.from_regex(rb"\{[0-9A-F]{2},[0-9]{5}(,[A-Z0-9]{1,8})?\}", fullmatch=True)
    block = st.tuples(st.sampled_from(sorted(AUTOMATIC)), *[st.sampled_from(sorted(FOLLOWING))] * 3).map(bytes)
    text = st.from_regex(rb"[579;=_][ -~]{1,80}\x00", fullmatch=True)
    return block | text | st.sampled_from([b"\x11", b"\x13"])


@both
@given(data=st.data())
@settings(deadline=None)
def test_a_valid_reply_is_the_same_in_any_split_and_behind_any_push(dialect, data):
    query, reply = data.draw(replies(dialect), label="reply")
    before = data.draw(st.lists(pushes(dialect), max_size=3), label="pushes")
    stream = b"".join(before) + reply
    heard = hear(dialect, [query], data.draw(splits(stream), label="pieces"))
    assert [raw for raw, _ in heard] == [*before, reply]
    assert [decoded.answers for _, decoded in heard] == [None] * len(before) + [query]
    assert heard[-1][1] == dialect.decode(reply, (query,))


@both
@given(data=st.data())
def test_conclude_raises_nothing_but_bad_reply(dialect, data):
    answers = {}
    for query, reply in data.draw(st.lists(replies(dialect), max_size=6)):
        answers[query.name] = dialect.decode(reply, (query,))
    try:
        reasons = dialect.conclude(answers)
    except BadReply:
        return
    assert set(reasons) <= {reason for part in answers.values() for reason in part.reasons}
    for reason, true in reasons.items():
        assert not true or any(part.reasons.get(reason) for part in answers.values())
