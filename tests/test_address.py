"""Printer addresses: what is one, what is none, and that every one is read back as it was written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawprint.address import (
    MAX_LENGTH,
    LpAddress,
    SerialAddress,
    TcpAddress,
    UsbAddress,
    VirtualAddress,
    parse,
)
from rawprint.errors import AddressError

# text, address, how it is written
GOOD = [
    ("tcp://192.168.1.50", TcpAddress("192.168.1.50", 9100), "tcp://192.168.1.50:9100"),
    ("tcp://192.168.1.50/", TcpAddress("192.168.1.50", 9100), "tcp://192.168.1.50:9100"),
    ("tcp://label-1.example:9101", TcpAddress("label-1.example", 9101), "tcp://label-1.example:9101"),
    ("tcp://kitchen_printer:1", TcpAddress("kitchen_printer", 1), "tcp://kitchen_printer:1"),
    ("tcp://p:65535", TcpAddress("p", 65535), "tcp://p:65535"),
    ("socket://192.168.1.50:9100", TcpAddress("192.168.1.50", 9100), "tcp://192.168.1.50:9100"),
    ("SOCKET://p", TcpAddress("p", 9100), "tcp://p:9100"),
    ("TCP://p", TcpAddress("p", 9100), "tcp://p:9100"),
    ("tcp://[::1]", TcpAddress("::1", 9100), "tcp://[::1]:9100"),
    ("tcp://[::1]:9101/", TcpAddress("::1", 9101), "tcp://[::1]:9101"),
    ("tcp://[2001:db8::10]:9100", TcpAddress("2001:db8::10", 9100), "tcp://[2001:db8::10]:9100"),
    ("tcp://[::ffff:10.0.0.1]", TcpAddress("::ffff:10.0.0.1", 9100), "tcp://[::ffff:10.0.0.1]:9100"),
    ("tcp://[fe80::1%eth0]:9100", TcpAddress("fe80::1%eth0", 9100), "tcp://[fe80::1%eth0]:9100"),
    ("tcp://[fe80::1%br-lan.7]", TcpAddress("fe80::1%br-lan.7", 9100), "tcp://[fe80::1%br-lan.7]:9100"),
    ("usb://04b8:0e15", UsbAddress("04b8", "0e15"), "usb://04b8:0e15"),
    ("usb://04B8:0E15/", UsbAddress("04b8", "0e15"), "usb://04b8:0e15"),
    ("usb://1203:0172/A1B2", UsbAddress("1203", "0172", "A1B2"), "usb://1203:0172/A1B2"),
    ("usb://1203:0172/A%20%3f%25", UsbAddress("1203", "0172", "A ?%"), "usb://1203:0172/A%20%3F%25"),
    ("usb://1203:0172/a/b", UsbAddress("1203", "0172", "a/b"), "usb://1203:0172/a/b"),
    ("usb://1203:0172/%C3%84", UsbAddress("1203", "0172", "Ä"), "usb://1203:0172/%C3%84"),
    (
        "usb://1203:0172?port=1-2.3",
        UsbAddress("1203", "0172", port="1-2.3"),
        "usb://1203:0172?port=1-2.3",
    ),
    (
        "usb://1203:0172/S?interface=0&port=1-2",
        UsbAddress("1203", "0172", "S", "1-2", 0),
        "usb://1203:0172/S?port=1-2&interface=0",
    ),
    ("serial:///dev/ttyUSB0", SerialAddress("/dev/ttyUSB0"), "serial:///dev/ttyUSB0"),
    (
        "serial:///dev/ttyUSB0?baud=9600&bits=8&parity=N&stop=1&flow=none",
        SerialAddress("/dev/ttyUSB0", 9600, 8, "N", 1, "none"),
        "serial:///dev/ttyUSB0",
    ),
    (
        "serial:///dev/serial/by-id/usb-Prolific-if00?baud=115200&flow=rtscts",
        SerialAddress("/dev/serial/by-id/usb-Prolific-if00", 115200, flow="rtscts"),
        "serial:///dev/serial/by-id/usb-Prolific-if00?baud=115200&flow=rtscts",
    ),
    ("serial:///dev/cu.usbserial-1", SerialAddress("/dev/cu.usbserial-1"), "serial:///dev/cu.usbserial-1"),
    ("serial:///dev/a%3Fb%23c", SerialAddress("/dev/a?b#c"), "serial:///dev/a%3Fb%23c"),
    ("serial://COM3?baud=19200", SerialAddress("COM3", 19200), "serial://COM3?baud=19200"),
    (
        "serial://com12?parity=e&bits=7&stop=2&flow=dsrdtr",
        SerialAddress("COM12", 9600, 7, "E", 2, "dsrdtr"),
        "serial://COM12?bits=7&parity=E&stop=2&flow=dsrdtr",
    ),
    ("serial://COM1?flow=xonxoff", SerialAddress("COM1", flow="xonxoff"), "serial://COM1?flow=xonxoff"),
    ("lp:///dev/usb/lp0", LpAddress("/dev/usb/lp0"), "lp:///dev/usb/lp0"),
    ("lp:///dev/my%20printer", LpAddress("/dev/my printer"), "lp:///dev/my%20printer"),
    ("virtual://tspl", VirtualAddress("tspl"), "virtual://tspl"),
    ("virtual://escpos/", VirtualAddress("escpos"), "virtual://escpos"),
    (
        "virtual://tspl?media-empty=true&cover-open=true",
        VirtualAddress("tspl", (("media-empty", "true"), ("cover-open", "true"))),
        "virtual://tspl?media-empty=true&cover-open=true",
    ),
]

BAD = [
    "",
    " ",
    "printer",
    "192.168.1.50",
    "192.168.1.50:9100",
    "/dev/usb/lp0",
    "COM3",
    "://",
    "tcp",
    "tcp:",
    "tcp:/p",
    "http://p",
    "ftp://p:9100",
    " tcp://p",
    "tcp ://p",
    # tcp
    "tcp://",
    "tcp:///",
    "tcp://:9100",
    "tcp://p:",
    "tcp://p:0",
    "tcp://p:-1",
    "tcp://p:65536",
    "tcp://p:99999999999999999999",
    "tcp://p:+1",
    "tcp://p: 9100",
    "tcp://p:9100 ",
    "tcp://p:9_100",
    "tcp://p:0x1f",
    "tcp://p:9100.0",
    "tcp://p:９１００",
    "tcp://p:٩١٠٠",
    "tcp://p:²",
    "tcp://p:lpd",
    "tcp://p:9100:9100",
    "tcp://p/queue",
    "tcp://p//",
    "tcp://user@p",
    "tcp://user:secret@p:9100",
    "tcp://p p",
    "tcp://p\x00",
    "tcp://p\n",
    "tcp://p\r\nX",
    "tcp://p\t:9100",
    "tcp://p%20",
    "tcp://p#1",
    "tcp://-p",
    "tcp://.p",
    "tcp://prınter",
    "tcp://" + "a" * 254,
    "tcp://p?timeout=3",
    "tcp://p?=",
    "tcp://p?&",
    "tcp://::1",
    "tcp://::1:9100",
    "tcp://fe80::1%eth0",
    "tcp://[]",
    "tcp://[::1",
    "tcp://::1]",
    "tcp://[::1]9100",
    "tcp://[::1]:",
    "tcp://[::1]:0",
    "tcp://[::1]:65536",
    "tcp://[::1%]",
    "tcp://[::1%eth 0]",
    "tcp://[::1%eth0/..]",
    "tcp://[::1\n]",
    "tcp://[::g]",
    "tcp://[10.0.0.1]",
    "tcp://[p]",
    "tcp://[::1][::2]",
    # usb
    "usb://",
    "usb://04b8",
    "usb://04b8:",
    "usb://:0e15",
    "usb://04b8:e15",
    "usb://04b8:00e15",
    "usb://0x04b8:0x0e15",
    "usb://04b8:0e1g",
    "usb://04b8:0e15:1",
    "usb://04b8:０e15",
    "usb://04b8:0e15\n",
    "usb://EPSON/TM-T20",
    "usb://04b8:0e15/%",
    "usb://04b8:0e15/%0",
    "usb://04b8:0e15/%zz",
    "usb://04b8:0e15/%+1",
    "usb://04b8:0e15/%00",
    "usb://04b8:0e15/%0A",
    "usb://04b8:0e15/a\nb",
    "usb://04b8:0e15/%ff",
    "usb://04b8:0e15/%C2%85",
    "usb://04b8:0e15?port=2",
    "usb://04b8:0e15?port=1-",
    "usb://04b8:0e15?port=1-2.",
    "usb://04b8:0e15?port=1-2\n",
    "usb://04b8:0e15?port=1-2-3",
    "usb://04b8:0e15?port=1-1.1.1.1.1.1.1.1",
    "usb://04b8:0e15?port=１-２",
    "usb://04b8:0e15?port=1-2&port=1-2",
    "usb://04b8:0e15?interface=",
    "usb://04b8:0e15?interface=-1",
    "usb://04b8:0e15?interface=256",
    "usb://04b8:0e15?interface=０",
    "usb://04b8:0e15?device=7",
    "usb://04b8:0e15?port",
    "usb://04b8:0e15?Port=1-2",
    # serial
    "serial://",
    "serial:///",
    "serial://ttyUSB0",
    "serial://dev/ttyUSB0",
    "serial://COM",
    "serial://COM3/",
    "serial://COM1000",
    "serial://COM-1",
    "serial://COM３",
    "serial://COM3\n",
    "serial:///dev/tty\x1b",
    "serial:///dev/tty%1B",
    "serial:///dev/tty%00",
    "serial:///dev/tty%",
    "serial:///dev/tty?baud=",
    "serial:///dev/tty?baud=49",
    "serial:///dev/tty?baud=4000001",
    "serial:///dev/tty?baud=９６００",
    "serial:///dev/tty?baud=9600&baud=9600",
    "serial:///dev/tty?bits=9",
    "serial:///dev/tty?bits=5",
    "serial:///dev/tty?parity=X",
    "serial:///dev/tty?parity=",
    "serial:///dev/tty?stop=0",
    "serial:///dev/tty?stop=3",
    "serial:///dev/tty?stop=1.5",
    "serial:///dev/tty?flow=hardware",
    "serial:///dev/tty?flow=RTSCTS",
    "serial:///dev/tty?speed=9600",
    "serial:///dev/tty?baud=9600?bits=8",
    "serial:///dev/tty?baud=9600;bits=8",
    "serial:///dev/tty?baud=9600&",
    "serial:///dev/tty?&baud=9600",
    # lp
    "lp://",
    "lp:///",
    "lp://lp0",
    "lp://dev/usb/lp0",
    "lp:///dev/usb/lp0?baud=9600",
    "lp:///dev/usb/lp0\n",
    "lp:///dev/usb/lp%0",
    "lp:///dev/\x7f",
    # virtual
    "virtual://",
    "virtual:///tspl",
    "virtual://ts pl",
    "virtual://tspl/x",
    "virtual://tspl\n",
    "virtual://" + "a" * 65,
    "virtual://tspl?media-empty",
    "virtual://tspl?media-empty=",
    "virtual://tspl?=true",
    "virtual://tspl?a=1&a=1",
    "virtual://tspl?a=1&a=2",
    "virtual://tspl?a=b=c",
    "virtual://tspl?a=%41",
    "virtual://tspl?a=1\n",
    "virtual://tspl?a b=1",
    "virtual://tspl?ä=1",
    # bytes of a command line that are no UTF-8 reach a program as lone surrogates
    "\udcff",
    "tcp://\udcff",
    "usb://04b8:0e15/\udcff",
    "usb://04b8:0e15/%41\udcff",
    "serial:///dev/\udcff",
    "lp:///dev/\udcff",
    "virtual://\udcff",
]


@pytest.mark.parametrize(("text", "address", "written"), GOOD)
def test_good(text, address, written):
    assert parse(text) == address
    assert str(address) == written
    assert parse(written) == address


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_bad(text):
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert caught.value.code == "bad-address"
    assert caught.value.hint
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).isprintable()


def test_length():
    longest = "lp:///" + "a" * (MAX_LENGTH - 6)
    assert (MAX_LENGTH, len(longest)) == (1024, 1024)
    assert parse(longest) == LpAddress(longest[5:])
    for text in (longest + "a", "a" * 1025, "tcp://" + "9" * 10_000_000):
        with pytest.raises(AddressError) as caught:
            parse(text)
        assert "1024" in caught.value.hint
        assert len(str(caught.value)) < 200


def test_an_error_quotes_no_more_than_it_must():
    for text in ("x" * 1000, "tcp://" + "!" * 1000, "virtual://tspl?" + "!" * 1000, "tcp://p:" + "9" * 1000):
        with pytest.raises(AddressError) as caught:
            parse(text)
        assert len(str(caught.value)) < 200
        assert len(caught.value.hint) < 200


def test_schemes_tell_the_kinds_apart():
    kinds = {type(address): address.scheme for _, address, _ in GOOD}
    assert kinds == {
        TcpAddress: "tcp",
        UsbAddress: "usb",
        SerialAddress: "serial",
        LpAddress: "lp",
        VirtualAddress: "virtual",
    }


# -- every address is read back as it was written ------------------------------------------------------------

hex_id = st.text("0123456789abcdef", min_size=4, max_size=4)
printable = st.text(st.characters(codec="utf-8"), max_size=40).filter(str.isprintable)
path = printable.filter(bool).map(lambda rest: "/" + rest)
word = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
zone = st.from_regex(r"(%[A-Za-z0-9_.-]{1,32})?", fullmatch=True)
host = (
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.builds(lambda ip, zone: f"{ip}{zone}", st.ip_addresses(v=6), zone)
)

ADDRESSES = {
    "tcp": st.builds(TcpAddress, host, st.integers(1, 65535)),
    "usb": st.builds(
        UsbAddress,
        hex_id,
        hex_id,
        printable,
        st.from_regex(r"([0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6})?", fullmatch=True),
        st.none() | st.integers(0, 255),
    ),
    "serial": st.builds(
        SerialAddress,
        path | st.integers(0, 999).map(lambda n: f"COM{n}"),
        st.integers(50, 4_000_000),
        st.integers(7, 8),
        st.sampled_from("NEO"),
        st.integers(1, 2),
        st.sampled_from(["none", "rtscts", "dsrdtr", "xonxoff"]),
    ),
    "lp": st.builds(LpAddress, path),
    "virtual": st.builds(VirtualAddress, word, st.dictionaries(word, word, max_size=4).map(lambda d: tuple(d.items()))),
}


@pytest.mark.parametrize("scheme", ADDRESSES)
@given(data=st.data())
def test_round_trip(scheme, data):
    address = data.draw(ADDRESSES[scheme])
    text = str(address)
    assert text.startswith(f"{scheme}://")
    assert text.isascii()
    assert parse(text) == address
    assert str(parse(text)) == text


# Pieces that make texts which are nearly addresses.
PIECES = "p|[::1]|04b8:0e15|/dev/lp0|COM3|tspl|:9100|:|/|?|&|=|%|%41|port=1-2|baud=9600|x=1|%C3%A9|%ff|é|\udcff|\0| |９|#|@|["
SCHEMES = ["tcp://", "socket://", "usb://", "serial://", "lp://", "virtual://", "USB://", ""]
any_text = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from(":/?&=%[]\n"))
address_like = st.tuples(
    st.sampled_from(SCHEMES),
    st.lists(st.sampled_from(PIECES.split("|")), max_size=8).map("".join),
    any_text,
).map("".join)


@given(any_text | address_like)
@example("tcp://p")
@example("lp:///" + " " * 500)
@example("usb://04b8:0e15/" + "%C3%84" * 160 + "ÄÄÄÄ")
@example("serial:///" + "é" * 1000)
def test_text_is_an_address_or_an_address_error(text):
    try:
        address = parse(text)
    except AddressError:
        return
    assert parse(str(address)) == address
