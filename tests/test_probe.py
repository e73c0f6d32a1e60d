"""Probe on real faults: each is made for real, and the finding and its remedy are the right ones; nothing is printed by it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

import pytest
from websockets.sync.server import serve

import rawprint
from rawprint import probe
from rawprint.dialects import DIALECTS
from rawprint.discovery import Discovery
from rawprint.errors import BackendMissing
from rawprint.probe import Severity, bundle
from rawprint.probe import server as server_probe
from rawprint.transports import Found, usb_devices
from rawprint.transports import usb as usb_transport
from rawprint.virtual import CLONES, device
from rawprint_server.config import AccessConfig, Config, ServerConfig

from .conftest import reset
from .server.conftest import RunningServer
from .test_cli import rawprint as run
from .test_transcripts import as_recorded, parse, replay
from .usb.devices import UsbPrinterDevice
from .usb.fakeback import FakeBackend, FakeBus

PATIENCE = 10.0
LANGUAGES = tuple(DIALECTS)
PTY = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals with a name")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become somebody else")


def one(*named, **options):
    (report,) = probe.examine(named, **options)
    return report


def codes(report):
    return [finding.code for finding in report.findings]


def the(report, code):
    """The finding of this code, with a remedy."""
    (finding,) = [each for each in report.findings if each.code == code]
    assert finding.severity is not Severity.INFO
    assert finding.remedy
    return finding


def untouched(listener):
    """Nothing came out of it."""
    made = listener.device
    return not made.misprints and not made.fed and not made.tickets and not made.drawer_kicks


# -- states, in every language --------------------------------------------------------------------------------------


def shown_alone(name):
    """The reasons of a language that its answers show by that name, where nothing else is wrong."""
    return sorted(device(name).reportable - {"x-drawer-open"})


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name in LANGUAGES for reason in shown_alone(name)])
def test_each_fault_that_a_printer_reports_is_a_finding(virtual, name, reason):
    listener = virtual(name, reasons=[reason])
    report = one(listener.address, dialect=name)
    assert report.dialect == name
    assert any(finding.severity is not Severity.INFO for finding in report.findings) or codes(report) == [reason]
    expected = {reason} if reason not in ("offline-report", "other") else {reason, "offline-report", "other"}
    assert expected & set(codes(report)), (reason, codes(report), report.status)
    assert untouched(listener)
    listener.set(reason, False)
    assert one(listener.address, dialect=name).findings == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_printer_that_is_well(virtual, name):
    report = one(virtual(name).address)
    assert (report.dialect, report.findings) == (name, [])
    assert report.status.state is rawprint.PrinterState.IDLE
    assert 0 < report.round_trip < 1
    assert "answered" in report.dialect_how


def clones():
    for name in LANGUAGES:
        for clone in CLONES:
            with contextlib.suppress(ValueError):
                device(name, clone=clone)
                yield name, clone


@pytest.mark.parametrize(("name", "clone"), list(clones()))
def test_no_clone_prints_at_a_probe_or_is_called_fine_without_paper(virtual, name, clone):
    listener = virtual(name, clone=clone, reasons=["media-empty"])
    report = one(listener.address)
    assert findings_tell(report)
    listener.set("media-empty", False)
    known = name if clone == "prints-unknown" else None  # asked in a language that is not its own, it prints that
    listener.reset()
    report = one(listener.address, dialect=known)
    if clone == "line-print":  # no printer of this language at all
        assert the(report, "language-unknown")
        (asked,) = [each for each in report.findings if each.code == "asked-with-text"]
        assert "may have printed it" in asked.detail
        assert listener.device.misprints.endswith(b"~HS\r\n")
        assert listener.device.fed == 1
        return
    assert not listener.device.misprints
    assert not listener.device.tickets
    if not listener.device.clone.feed_seconds:
        assert not listener.device.fed
    if listener.device.clone.mute:
        assert the(report, "language-unknown")
    if listener.device.clone.babbles:
        assert the(report, "odd-answer")


def findings_tell(report):
    return probe.findings.worst(report.findings) in (Severity.ERROR, Severity.WARNING)


def test_a_clone_that_ignores_a_question(virtual):
    report = one(virtual("tspl", clone="short-status").address)
    assert codes(report) == ["ignores-query"]
    assert report.capabilities.silent >= {"status-long"}
    assert rawprint.Reason.OVER_TEMPERATURE not in report.status.reasons


# -- languages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spoken", "named"), [(a, b) for a in LANGUAGES for b in LANGUAGES if a != b])
def test_the_wrong_language(virtual, spoken, named):
    listener = virtual(spoken)
    report = one(listener.address, dialect=named)
    finding = the(report, "other-language")
    assert spoken in finding.title
    assert f"--dialect {spoken}" in finding.remedy
    assert untouched(listener)


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_printer_that_is_only_found_is_not_asked_in_languages_that_may_not_be_its_own(virtual, name, monkeypatch):
    listener = virtual(name)
    monkeypatch.setattr(probe, "discover", lambda *_, **__: Discovery((Found(listener.address),), {}))
    (report,) = probe.examine()
    assert codes(report) == ["not-asked"]
    assert listener.device.received == b""


def test_a_printer_that_says_what_it_speaks_is_asked_in_that(virtual, monkeypatch):
    listener = virtual("escpos", reasons=["cover-open"])
    found = Found(listener.address, make_model="EPSON TM-T88V", device_id="MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;")
    monkeypatch.setattr(probe, "discover", lambda *_, **__: Discovery((found,), {}))
    (report,) = probe.examine()
    assert codes(report) == ["cover-open"]
    assert "CMD" in report.dialect_how


def test_an_unknown_language_is_an_error_of_the_caller():
    with pytest.raises(rawprint.AddressError):
        probe.examine(["tcp://127.0.0.1"], dialect="klingon")


# -- the network ----------------------------------------------------------------------------------------------------


def test_a_refused_port(closed_port):
    finding = the(one(f"tcp://127.0.0.1:{closed_port}"), "refused")
    assert str(closed_port) in finding.title


def test_a_name_of_mdns_that_resolves_to_nothing():
    assert "mDNS" in the(one("tcp://rawprint-no-such-printer.local"), "mdns-name").detail


def test_a_host_that_there_is_not():
    assert the(one("tcp://no-such-host.invalid"), "no-such-host")


def test_a_connection_that_is_turned_away(peer):
    stranger = peer(lambda connection, _: (connection.recv(1), reset(connection)))
    assert the(one(stranger.address), "turned-away")


def test_a_printer_that_takes_no_bytes(virtual):
    listener = virtual("escpos", clone="mute", buffer_size=64, reasons=["media-empty"])
    with rawprint.open(listener.address) as printer, contextlib.suppress(rawprint.WriteStalled):
        printer.print(b"x" * 100_000, 0.3)
    assert findings_tell(one(listener.address))


@pytest.mark.parametrize("address", ["tcp://", "nonsense", "usb://zz"])
def test_what_is_no_address_is_a_finding(address):
    assert codes(one(address)) == ["bad-address"]


def test_ten_printers_in_three_seconds(virtual, peer, closed_port):
    """Also where half of them never answer: the deadline is one for all."""
    well = [virtual("tspl").address, virtual("escpos").address, virtual("escpos", reasons=["cover-open"]).address]
    mute = [virtual("escpos", clone="mute").address for _ in range(3)]
    late = [virtual("tspl", clone="late").address]
    silent = [peer(lambda connection, _: connection.recv(1 << 20)).address for _ in range(2)]
    began = time.monotonic()
    reports = probe.examine([*well, *mute, *late, *silent, f"tcp://127.0.0.1:{closed_port}"])
    assert time.monotonic() - began < 3.0 + 0.6  # what a busy machine may add
    assert [report.address for report in reports[:3]] == well
    assert len(reports) == 10
    assert not any("no-time" in codes(report) for report in reports)


# -- serial ports ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pty():
    from rawprint.virtual import PtyListener

    with contextlib.ExitStack() as stack:
        yield lambda name="escpos", baud=None, **options: stack.enter_context(
            PtyListener(device(name, **options), baud=baud)
        )


@PTY
def test_a_serial_printer(pty):
    report = one(pty(reasons=["media-low"]).address)
    assert codes(report) == ["media-low"]
    assert "9600 8N1" in report.reached


@PTY
@pytest.mark.parametrize("dialect", [None, "escpos"])
def test_the_wrong_speed(pty, dialect):
    address = pty(baud=19200).address
    report = one(address, dialect=dialect)
    finding = the(report, "serial-silent")
    assert "9600 8N1" in finding.detail
    assert "baud" in finding.remedy
    assert one(f"{address}?baud=19200", dialect=dialect).findings == []


@PTY
def test_garbage_at_the_wrong_speed(pty):
    listener = pty(baud=19200, push=True)
    done = threading.Event()

    def chatter():  # it tells each change by itself
        while not done.wait(0.02):
            listener.set("cover-open", not listener.device.reasons["cover-open"])

    talking = threading.Thread(target=chatter)
    talking.start()
    try:
        report = one(listener.address, dialect="escpos")
    finally:
        done.set()
        talking.join()
    assert "9600 8N1" in the(report, "serial-garbage").detail


@PTY
def test_a_port_that_another_program_holds(pty):
    address = pty().address
    with rawprint.open(address, "escpos"):
        code, out, _ = run("probe", address, "--json")
    (report,) = json.loads(out)
    (finding,) = report["findings"]
    assert (code, finding["code"]) == (1, "busy")
    assert "python" in finding["detail"] or "rawprint" in finding["detail"]


def as_nobody(what):
    """The result of a call in a thread whose files, and whose threads' files, the kernel opens as user nobody."""
    results = []

    def run_it():
        ctypes.CDLL(None).setfsuid(65534)  # of this thread alone; it takes root's rights to files away, too
        results.append(what())

    thread = threading.Thread(target=run_it)
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a single thread be somebody else")
@ROOT
def test_a_port_that_this_user_may_not_open(pty):
    address = pty().address
    os.chmod(address.removeprefix("serial://"), 0o600)
    assert one(address, dialect="escpos").findings == []
    report = as_nobody(lambda: one(address, dialect="escpos"))
    assert "dialout" in the(report, "access-denied").remedy


@PTY
def test_a_serial_port_that_is_only_found_is_not_opened(pty, monkeypatch):
    listener = pty()
    monkeypatch.setattr(probe, "discover", lambda *_, **__: Discovery((Found(listener.address),), {}))
    (report,) = probe.examine()
    assert codes(report) == ["not-asked"]
    assert listener.device.received == b""


# -- USB ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bus(monkeypatch):
    bus = FakeBus()
    monkeypatch.setattr(usb_devices, "new_backend", lambda: FakeBackend(bus))
    monkeypatch.setattr(usb_transport.usb_devices, "new_backend", lambda: FakeBackend(bus))
    monkeypatch.setattr(probe, "discover", lambda *_, **__: Discovery(tuple(usb_transport.find()), {}))
    return bus


def test_a_usb_printer_names_itself(bus):
    bus.plug(UsbPrinterDevice(device("escpos", reasons=["media-empty"]), serial="J4KF001234"))
    (report,) = probe.examine()
    assert report.dialect == "escpos"
    assert "media-empty" in codes(report)
    assert report.device_id
    assert report.make_model


def test_two_equal_printers_without_serial_numbers(bus):
    for port in (1, 2):
        bus.plug(UsbPrinterDevice(device("escpos")), port)
    reports = probe.examine()
    assert [codes(report) for report in reports] == [["equal-printers"]] * 2
    assert all("?port=" in report.address for report in reports)
    assert "socket" in the(reports[0], "equal-printers").remedy


def test_a_printer_without_a_way_back(bus):
    bus.plug(UsbPrinterDevice(device("escpos"), protocol=1))
    (report,) = probe.examine()
    assert "bulk IN" in the(report, "one-way").title


def test_a_printer_that_this_user_may_not_open(bus):
    bus.plug(UsbPrinterDevice(device("escpos"))).forbidden = True
    (report,) = probe.examine()
    assert "rawprint udev" in the(report, "access-denied").remedy


def test_a_printer_that_another_program_has_claimed(bus):
    bus.plug(UsbPrinterDevice(device("escpos")), kernel_driver=False).owner = "another program"
    (report,) = probe.examine()
    assert the(report, "busy")


def test_no_libusb(monkeypatch):
    failure = BackendMissing("there is no libusb", hint="pip install libusb-package")
    monkeypatch.setattr(probe, "discover", lambda *_, **__: Discovery((), {"usb": failure}))
    (report,) = probe.examine()
    assert "libusb-package" in the(report, "backend-missing").remedy


# -- --print, --bundle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_test_print_is_printed_when_it_is_asked_for(virtual, name):
    listener = virtual(name)
    report = one(listener.address, print_test=True)
    assert listener.device.tickets == 1
    assert report.identity
    assert codes(report) == ["test-print"]


def test_no_test_print_on_a_printer_that_is_stopped(virtual):
    listener = virtual("escpos", reasons=["cover-open"])
    report = one(listener.address, print_test=True)
    assert codes(report) == ["cover-open"]
    listener.set("cover-open", False)
    assert listener.device.tickets == 0


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_bundle_is_replayed(virtual, name):
    """What was decoded at the printer is decoded from the file, with the secrets hidden."""
    report = one(virtual(name, reasons=["media-empty"]).address, dialect=name)
    comments, exchanges = parse(bundle.bundle([report], "0"))
    assert f"dialect: {name}" in comments
    also = (*DIALECTS[name].identity, *DIALECTS[name].fences)
    assert list(replay(DIALECTS[name], exchanges, as_recorded, also)) == [exchange.said for exchange in exchanges]
    assert any("media-empty: yes" in said for exchange in exchanges for said in exchange.said)


def test_hidden_serial_numbers_do_not_spoil_the_replay(virtual):
    report = one(virtual("escpos").address, print_test=True)
    assert report.identity["serial"] == "V0000001"
    written = bundle.bundle([report], "0")
    assert "V0000001" not in written
    assert b"V0000001".hex(" ") not in written
    assert b"X0000001".hex(" ") not in written


# -- the command ----------------------------------------------------------------------------------------------------


def test_the_command(virtual, tmp_path):
    address = virtual("tspl", reasons=["media-empty"]).address
    code, out, _ = run("probe", address, "--json", "--bundle", str(tmp_path / "bundle.txt"))
    (report,) = json.loads(out)
    assert code == 1
    assert {"address", "make_model", "dialect", "status", "findings"} <= set(report)
    assert report["status"]["reasons"]["media-empty"] is True
    assert report["findings"][0]["severity"] == "error"
    assert "dialect: tspl" in (tmp_path / "bundle.txt").read_text()
    code, out, _ = run("probe", address)
    assert "The paper is out." in out
    assert "remedy" in out
    assert "1b 21 3f -> 04" in out
    code, out, _ = run("probe", virtual("escpos").address)
    assert (code, "Nothing is wrong." in out) == (0, True)


@PTY
def test_on_a_terminal_it_is_a_table(virtual):
    addresses = [virtual("tspl", reasons=["media-empty"]).address, virtual("escpos").address]
    code, shown = on_a_terminal("probe", *addresses)
    assert code == 1
    assert "asking tcp://" in shown
    assert "The paper is out." in shown
    assert "┃" in shown


@PTY
def test_the_state_on_a_terminal_and_each_change_of_it(virtual):
    listener = virtual("tspl")
    code, shown = on_a_terminal("status", listener.address, "--dialect", "tspl")
    assert code == 0
    assert "idle" in shown
    assert "○" in shown

    def meanwhile(shown):
        if "idle" in shown and not listener.device.reasons["cover-open"]:
            listener.set("cover-open", True)
        if "●" in shown:
            listener.close()
        return "not-found" in shown

    code, shown = on_a_terminal("status", listener.address, "--dialect", "tspl", "--watch", until=meanwhile)
    assert code == 130, "as a shell reports Ctrl-C"
    assert shown.index("idle") < shown.index("stopped") < shown.index("not-found")


def on_a_terminal(*arguments, until=None):
    """Run the command on a terminal of 120 columns; returns its exit code, and what was shown. Ctrl-C when `until` says so."""
    import fcntl
    import pty as terminals
    import struct
    import termios

    master, slave = terminals.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "rawprint", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(slave)
    shown = bytearray()
    with contextlib.suppress(OSError):  # how a terminal ends
        while chunk := os.read(master, 65536):
            shown += chunk
            if until is not None and until(shown.decode("utf-8", "replace")):
                until = None
                process.send_signal(signal.SIGINT)
    os.close(master)
    return process.wait(PATIENCE), shown.decode("utf-8", "replace")


def test_a_bundle_that_cannot_be_written(virtual, tmp_path):
    code, _, err = run("probe", virtual("tspl").address, "--bundle", str(tmp_path / "none" / "b.txt"))
    assert code == 2
    assert "cannot write" in err


# -- calibrate ------------------------------------------------------------------------------------------------------


def test_labels_are_measured(virtual):
    listener = virtual("tspl")
    code, out, _ = run("calibrate", listener.address, "--dialect", "tspl", "--media", "gap")
    assert (code, "gap" in out) == (0, True)
    assert listener.wait(lambda d: d.fed == 1 and d.printed.endswith(b"GAPDETECT\r\n"), PATIENCE)


def test_nothing_is_measured_by_a_printer_that_is_stopped(virtual):
    listener = virtual("tspl", reasons=["cover-open"])
    code, out, _ = run("calibrate", listener.address, "--dialect", "tspl", "--json")
    assert code == 1
    assert json.loads(out)["reasons"]["cover-open"]
    assert b"DETECT" not in listener.device.received


@pytest.mark.parametrize("arguments", [("--dialect", "escpos"), ("--dialect", "tspl", "--media", "moon")])
def test_what_cannot_be_measured(virtual, arguments):
    listener = virtual(arguments[1])
    code, _, err = run("calibrate", listener.address, *arguments)
    assert code in (1, 2)
    assert "hint" in err
    assert untouched(listener)


# -- a running server -----------------------------------------------------------------------------------------------


PAGE = "https://pos.example.com"


@pytest.fixture
def server():
    """A running rawprint-server with one page that may use it."""
    with RunningServer(Config(ServerConfig(port=0), {}, AccessConfig((PAGE,)))) as running:
        yield running


def server_codes(url, origin=None):
    report = server_probe.examine(url, origin, 2.0)
    assert all(finding.remedy for finding in report.findings)
    return codes(report)


def test_a_server_that_is_well(server):
    assert server_codes(server.url) == []
    assert server_codes(server.url, PAGE) == []
    code, out, _ = run("probe", "--server", server.url, "--origin", PAGE)
    assert code == 0
    assert f"rawprint-server {rawprint.__version__}" in out


def test_a_page_that_the_server_refuses(server):
    assert server_codes(server.url, "https://evil.example") == ["origin-refused"]
    code, out, _ = run("probe", "--server", server.url, "--origin", "https://evil.example", "--json")
    (report,) = json.loads(out)
    assert code == 1
    assert 'origins = ["https://evil.example"]' in report["findings"][0]["remedy"]


def test_no_server(closed_port, peer):
    assert server_codes(f"ws://127.0.0.1:{closed_port}") == ["server-down"]
    web = peer(lambda connection, _: (connection.recv(4096), connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")))
    assert server_codes(web.address.replace("tcp", "ws")) == ["not-a-server"]
    printer = peer(lambda connection, _: (connection.recv(4096), connection.sendall(b"\x12\x12\x12\x12")))
    assert server_codes(printer.address.replace("tcp", "ws")) == ["not-a-server"]


def test_a_server_that_is_silent(peer):
    silent = peer(lambda connection, _: (connection.recv(4096), connection.recv(4096)))
    report = server_probe.examine(silent.address.replace("tcp", "ws"), None, 0.3)
    assert codes(report) == ["server-silent"]


def test_tls_where_there_is_none(server):
    assert server_codes(server.url.replace("ws://", "wss://")) in (["tls"], ["not-a-server"])


CA = """[ca]
default_ca = here
[here]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
copy_extensions = copy
[policy]
commonName = supplied
"""


def self_signed(folder, name, until):
    """A certificate for a name and its key, in PEM; valid from the year 2020 to a year."""
    (folder / "ca.cnf").write_text(CA)
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out csr.pem -subj /CN=till"
    sign = "ca -batch -config ca.cnf -selfsign -keyfile key.pem -in csr.pem -out cert.pem -notext"
    sign += f" -startdate 20200101000000Z -enddate {until}0101000000Z"
    for command in (f"{request} -addext subjectAltName={name}", sign):
        subprocess.run(["openssl", *command.split()], cwd=folder, capture_output=True, check=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
@pytest.mark.parametrize(
    ("name", "until", "trusted", "code"),
    [
        ("IP:127.0.0.1", 2049, False, "certificate-self-signed"),
        ("DNS:till.example", 2049, True, "certificate-name"),
        ("IP:127.0.0.1", 2021, True, "certificate-expired"),
        ("IP:127.0.0.1", 2049, True, None),
    ],
)
def test_certificates(tmp_path, monkeypatch, name, until, trusted, code):
    cert, key = self_signed(tmp_path, name, until)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    answer = json.dumps({"uid": "probe", "result": {"version": "9"}})

    def answers(connection):
        for _ in connection:
            connection.send(answer)

    with serve(answers, "127.0.0.1", 0, ssl=context, subprotocols=["rawprint.v1"]) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            assert server_codes(f"wss://127.0.0.1:{running.socket.getsockname()[1]}") == ([code] if code else [])
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize("arguments", [("--server", "http://127.0.0.1"), ("--origin", PAGE)])
def test_a_call_that_cannot_be_meant(arguments):
    code, _, err = run("probe", *arguments)
    assert code == 2
    assert "hint" in err
