"""What probe makes of what it sees: sentences, networks, queues, bundles; pure functions, against values written here."""

from __future__ import annotations

import errno
import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import PrinterStatus, Reason
from rawprint.address import parse
from rawprint.errors import OpenError, PrinterNotFound
from rawprint.probe import Report, Severity, bundle, findings, network, surroundings, text

OURS = (ipaddress.ip_network("10.20.0.0/24"), ipaddress.ip_network("fe80::/64"))


def failure(cause, message="tcp://10.20.0.9:9100 did not answer in time", hint="check it"):
    error = PrinterNotFound(message, hint=hint)
    error.__cause__ = cause
    return error


# -- sentences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_and_what_stops_a_remedy(reason):
    (finding,) = findings.of_status(PrinterStatus({reason: True}))
    assert finding.code == str(reason)
    assert finding.title.endswith(".")
    stops = PrinterStatus({reason: True}).stop_reasons
    assert (finding.severity is Severity.ERROR) <= bool(stops)
    if stops:
        assert finding.severity in (Severity.ERROR, Severity.WARNING)
        assert finding.remedy


def test_denied_reasons_are_no_finding():
    assert findings.of_status(PrinterStatus(dict.fromkeys(Reason, False))) == []


def test_offline_and_other_only_where_nothing_says_why():
    codes = [each.code for each in findings.of_status(PrinterStatus({Reason.OFFLINE: True, Reason.COVER_OPEN: True}))]
    assert codes == ["cover-open"]
    codes = [each.code for each in findings.of_status(PrinterStatus({Reason.OFFLINE: True, Reason.MEDIA_LOW: True}))]
    assert sorted(codes) == ["media-low", "offline-report"]


def test_an_answer_that_says_nothing_is_unknown():
    status = PrinterStatus({}, raw=(rawprint.Exchange(b"?", b"!"),))
    assert [each.code for each in findings.of_status(status)] == ["unknown"]


def test_the_cable_is_named_where_it_said_so():
    (finding,) = findings.of_status(PrinterStatus({Reason.MEDIA_EMPTY: True}, source="line"))
    assert "line" in finding.detail


# -- networks -------------------------------------------------------------------------------------------------------


def diagnosed(address, cause, **around):
    seen = network.Surroundings(**{"networks": OURS, "platform": "linux", **around})
    return network.diagnose(parse(address), failure(cause), seen)


TIMED_OUT = TimeoutError(errno.ETIMEDOUT, "timed out")
UNREACHABLE = OSError(errno.EHOSTUNREACH, "No route to host")


@pytest.mark.parametrize(
    ("address", "cause", "around", "code"),
    [
        ("tcp://10.20.0.9", ConnectionRefusedError(errno.ECONNREFUSED, "refused"), {}, "refused"),
        ("tcp://10.20.0.9", TIMED_OUT, {"neighbours": {"10.20.0.9": True}}, "filtered"),
        ("tcp://10.20.0.9", TIMED_OUT, {"neighbours": {"10.20.0.9": False}}, "host-down"),
        ("tcp://10.20.0.9", TIMED_OUT, {}, "host-down"),
        ("tcp://10.20.0.9", UNREACHABLE, {}, "host-down"),
        ("tcp://10.20.0.9", UNREACHABLE, {"platform": "darwin"}, "local-network-privacy"),
        ("tcp://10.20.1.9", UNREACHABLE, {"platform": "darwin"}, "wrong-subnet"),
        ("tcp://10.20.1.9", TIMED_OUT, {}, "wrong-subnet"),
        ("tcp://192.168.123.100", OSError(errno.ENETUNREACH, "unreachable"), {}, "wrong-subnet"),
        ("tcp://[fe80::1]", TIMED_OUT, {}, "host-down"),
        ("tcp://[fd00::1]", TIMED_OUT, {}, "wrong-subnet"),
        ("tcp://127.0.0.1", TIMED_OUT, {}, "host-down"),
        ("tcp://printer.example", TIMED_OUT, {}, "not-found"),
        ("tcp://10.20.0.9", OSError(errno.EMFILE, "too many open files"), {}, "not-found"),
    ],
)
def test_why_it_does_not_open(address, cause, around, code):
    finding = diagnosed(address, cause, **around)
    assert finding.code == code
    assert finding.severity is Severity.ERROR
    assert finding.remedy


def test_a_factory_address_is_known_as_one():
    assert "Xprinter" in diagnosed("tcp://192.168.123.100", TIMED_OUT).detail
    assert "Epson" in diagnosed("tcp://192.168.192.168", TIMED_OUT).detail


@pytest.mark.parametrize(("host", "code"), [("till-printer.local", "mdns-name"), ("no-such.example", "no-such-host")])
def test_names(host, code):
    error = failure(OSError(-2, "Name or service not known"), f"no host is called {host}")
    assert network.diagnose(parse(f"tcp://{host}"), error, network.Surroundings()).code == code


def test_neighbours_as_linux_lists_them():
    table = """IP address       HW type     Flags       HW address            Mask     Device
10.20.0.1        0x1         0x2         52:54:00:12:34:56     *        eth0
10.20.0.9        0x1         0x0         00:00:00:00:00:00     *        eth0
nonsense
10.20.0.7        0x1         nonsense    00:00:00:00:00:00     *        eth0
"""
    assert network.read_neighbours(table) == {"10.20.0.1": True, "10.20.0.9": False}
    assert network.read_neighbours("") == {}


@given(st.text())
def test_any_table_is_read(table):
    network.read_neighbours(table)


def test_this_computer_has_networks_or_none():
    around = network.look_around()
    assert all(not each.is_loopback for each in around.networks)


# -- spooler --------------------------------------------------------------------------------------------------------

LISTING = """device for Kitchen: socket://10.20.0.9
device for Bar: socket://10.20.0.9:9101
device for Till: usb://EPSON/TM-T88V?serial=J4KF001234
device for Label: usb://TSC/TTP-244%20Plus
Gerät für Alt: serial:/dev/ttyUSB0?baud=9600
Gerät für Büro: ipp://10.20.0.9/ipp/print
"""


@pytest.mark.parametrize(
    ("report", "queue"),
    [
        (Report("tcp://10.20.0.9"), "Kitchen"),
        (Report("tcp://10.20.0.9:9101"), "Bar"),
        (Report("tcp://10.20.0.8"), None),
        (Report("usb://04b8:0202/J4KF001234", make_model="EPSON TM-T88V", serial="J4KF001234"), "Till"),
        (Report("usb://04b8:0202/J4KF009999", make_model="EPSON TM-T88V", serial="J4KF009999"), None),
        (Report("lp:///dev/usb/lp0", make_model="TSC TTP-244 Plus"), "Label"),
        (Report("usb://1203:0140"), None),
        (Report("virtual://tspl"), None),
    ],
)
def test_a_queue_of_the_same_printer_is_named(monkeypatch, report, queue):
    monkeypatch.setattr(surroundings, "_ask_lpstat", lambda: LISTING)
    found = surroundings.SpoolerQueues().of(parse(report.address), report)
    assert [queue in each.title for each in found] == ([True] if queue else [])


@given(st.text())
def test_any_listing_is_read(listing):
    queues = surroundings.read_queues(listing)
    for uri in queues.values():
        for address in ("tcp://10.20.0.9", "usb://04b8:0202", "serial:///dev/ttyS0"):
            surroundings._same(uri, parse(address), Report(address))


# -- equal ones -----------------------------------------------------------------------------------------------------


def test_two_printers_that_only_their_sockets_tell_apart():
    equal = [Report("usb://0416:5011?port=1-1"), Report("usb://0416:5011?port=1-2")]
    others = [Report("usb://1203:0140?port=1-3"), Report("usb://04b8:0202/A"), Report("not an address")]
    surroundings.note_equal_ones([*equal, *others])
    assert [[each.code for each in report.findings] for report in equal] == [["equal-printers"]] * 2
    assert not any(report.findings for report in others)


def test_a_serial_port_in_words():
    address = parse("serial:///dev/ttyUSB0?baud=19200&flow=rtscts")
    assert surroundings.line_settings(address) == "19200 8N1, flow rtscts"
    assert surroundings.with_baud(address) == "serial:///dev/ttyUSB0?baud=115200&flow=rtscts"
    assert surroundings.without_flow(address) == "serial:///dev/ttyUSB0?baud=19200"


# -- bundles --------------------------------------------------------------------------------------------------------


def test_a_bundle_hides_what_names_a_shop():
    report = Report(
        "tcp://till-7.pos.example.com",
        serial="J4KF001234",
        device_id="MFG:EPSON;MDL:TM-T88V;SN:J4KF001234;",
        identity={"serial": "SECRET99", "model": "TM-T88V"},
        dialect="escpos",
    )
    report.recording.sent(b"\x1dID")
    report.recording.received(b"_SECR")  # in two pieces
    report.recording.received(b"ET99\x00")
    report.recording.note("closed till-7.pos.example.com")
    written = bundle.bundle([report], "0")
    for secret in ("till-7", "J4KF001234", "SECRET99", b"SECRET99".hex(" "), b"SECR".hex(" ")):
        assert secret not in written
    assert "TM-T88V" in written
    assert "> 1d 49 44\n< 5f 58 58 58 58\n< 58 58 58 58 00\n# closed X" in written


@given(st.text(string.ascii_letters + "-.", min_size=4, max_size=20), st.lists(st.binary(max_size=20), max_size=5))
def test_hiding_keeps_every_length(secret, pieces):
    recording = bundle.Recording()
    for piece in pieces:
        recording.received(piece)
    hidden = bundle.hide_bytes(b"".join(pieces) + secret.encode(), [secret])
    assert len(hidden) == len(b"".join(pieces)) + len(secret)
    assert secret.lower().encode() not in hidden.lower() or set(secret.lower()) == {"x"}


# -- looks ----------------------------------------------------------------------------------------------------------


def test_a_report_in_a_pipe_has_no_control_characters():
    report = Report("tcp://10.20.0.9", make_model="Evil\x1b[2J\nMaker", dialect="escpos", dialect_how="as told")
    report.add("media-empty", Severity.ERROR, "The paper is out.", "", "Load paper.")
    written = text.plain(report)
    assert "\x1b" not in written
    assert written.count("\n") == len(list(text.rows(report)))
    assert "remedy     Load paper." in written


def test_nothing_wrong_is_said():
    assert "Nothing is wrong." in text.plain(Report("tcp://10.20.0.9"))


def test_the_worst_is_the_worst():
    assert findings.worst([]) is None
    report = Report("x")
    report.add("a", Severity.INFO, "A.")
    report.add("b", Severity.ERROR, "B.")
    report.add("c", Severity.WARNING, "C.")
    assert findings.worst(report.findings) is Severity.ERROR


def test_an_error_keeps_its_hint():
    finding = findings.of_opening(OpenError("it is odd", hint="do this"))
    assert (finding.detail, finding.remedy) == ("It is odd.", "Do this.")
