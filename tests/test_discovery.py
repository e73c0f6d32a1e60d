"""Finding printers: over real multicast and real networks that the tests make themselves, and what hostile ones advertise."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawprint
from rawprint import discovery, dns_sd
from rawprint.discovery import Discovery, discover, merge
from rawprint.dns_sd import RAW, TYPES, Service
from rawprint.errors import AddressError, OpenError
from rawprint.transports import Found, tcp_scan
from rawprint.virtual import Listener, device

from .netns import HERE, NEEDED, THERE, network  # noqa: F401
from .test_cli import rawprint as run

# -- what is advertised ---------------------------------------------------------------------------------------------

EPSON = Service(RAW, "Till", "till.local.", ("192.168.1.50",), 9100, {"usb_MFG": "EPSON", "usb_MDL": "TM-T20III"})


def test_a_raw_port_is_a_printer():
    (found,) = dns_sd.printers([EPSON])
    assert (found.address, found.also) == ("tcp://192.168.1.50:9100", ("tcp://till.local:9100",))
    assert found.make_model == "EPSON TM-T20III"
    assert found.error is None


def test_the_other_services_of_its_host_tell_more():
    ipp = Service(TYPES[2], "Till", "TILL.local.", ("192.168.1.50",), 631, {"usb_CMD": "ESC/POS", "ty": "Epson"})
    (found,) = dns_sd.printers([ipp, EPSON])
    assert found.txt["usb_CMD"] == "ESC/POS"
    assert dns_sd.printers([ipp]) == [], "nobody has said that it takes raw bytes"


def test_a_name_that_resolves_to_nothing():
    (found,) = dns_sd.printers([EPSON._replace(addresses=())])
    assert found.address == "tcp://till.local:9100"
    assert found.error.code == "not-found"
    assert found.error.hint


def test_ipv4_goes_before_ipv6_and_link_local_comes_last():
    (found,) = dns_sd.printers([EPSON._replace(addresses=("fe80::1%eth0", "fd00::5", "192.168.1.50"))])
    every = [found.address, *found.also]
    assert every == [
        "tcp://192.168.1.50:9100",
        "tcp://[fd00::5]:9100",
        "tcp://[fe80::1%eth0]:9100",
        "tcp://till.local:9100",
    ]
    assert all(str(rawprint.parse_address(text)) == text for text in every)


@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.251",
        "::1",
        "::",
        "ff02::fb",
        "fe80::1",
        "::ffff:127.0.0.1",
        "x",
    ],
)
def test_what_cannot_be_its_own_address_is_none(place):
    (found,) = dns_sd.printers([EPSON._replace(addresses=(place, "192.168.1.50"))])
    assert (found.address, found.also) == ("tcp://192.168.1.50:9100", ("tcp://till.local:9100",))
    (found,) = dns_sd.printers([EPSON._replace(addresses=(place,))])
    assert (found.address, found.error.code) == ("tcp://till.local:9100", "not-found")


def test_an_address_that_it_gave_itself_goes_behind_one_that_it_was_given():
    (found,) = dns_sd.printers([EPSON._replace(addresses=("169.254.1.2", "192.168.1.50"))])
    assert (found.address, found.also[0]) == ("tcp://192.168.1.50:9100", "tcp://169.254.1.2:9100")


@pytest.mark.parametrize(
    ("host", "port"), [("", 9100), ("bad host.local.", 9100), ("till.local.", 0), ("x" * 300, 9100)]
)
def test_what_can_be_no_address_is_left_out(host, port):
    assert dns_sd.printers([EPSON._replace(host=host, addresses=(), port=port)]) == []


def test_txt_is_bounded_and_printable():
    record = {b"ty": b"Evil\x1b[2J\n" + b"x" * 10_000, b"\x00": b"", b"note": None, b"\xff": b"\xff"}
    read = dns_sd.read_txt({**record, **{b"k%d" % n: b"" for n in range(1000)}})
    assert len(read) <= 64
    assert all(text.isprintable() and len(text) <= 256 for pair in read.items() for text in pair)
    assert read["note"] == ""


@given(
    st.dictionaries(st.binary(max_size=20), st.one_of(st.none(), st.binary(max_size=300)), max_size=10),
    st.text(max_size=30),
    st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)), max_size=3),
    st.integers(-1, 70000),
)
def test_anything_may_be_advertised(record, name, places, port):
    service = Service(RAW, name, f"{name}.local.", tuple(places), port, dns_sd.read_txt(record))
    for found in dns_sd.printers([service]):
        assert str(rawprint.parse_address(found.address)) == found.address


# -- merging --------------------------------------------------------------------------------------------------------


def test_one_printer_that_was_found_twice():
    usb = Found("usb://04b8:0e15/A", serial="A", place="1-2:1.0", error=OpenError("no right"))
    lp = Found("lp:///dev/usb/lp0", make_model="EPSON TM-T20II", device_id="CMD:ESC/POS;", place="1-2:1.0")
    other = Found("usb://04b8:0e15/B", place="1-3:1.0")
    one, two = merge([usb, other, lp])
    assert (one.address, one.also, one.error) == ("lp:///dev/usb/lp0", ("usb://04b8:0e15/A",), None)
    assert (one.serial, one.make_model) == ("A", "EPSON TM-T20II")
    assert two == other
    both = merge([Found("usb://04b8:0e15/A", place="1-2:1.0"), lp])
    assert [each.address for each in both] == ["usb://04b8:0e15/A"], "the better count, where both can be opened"


def test_two_equal_printers_stay_two():
    ports = [Found(f"usb://0416:5011?port=1-{n}", place=f"1-{n}:1.0") for n in (1, 2)]
    assert merge(ports) == tuple(ports)
    unknown = [Found("usb://0416:5011?port=1-1"), Found("usb://0416:5011?port=1-2")]
    assert merge(unknown) == tuple(unknown)


def test_what_was_scanned_and_what_is_advertised():
    (advertised,) = dns_sd.printers([EPSON])
    scanned = Found("tcp://192.168.1.50:9100")
    for order in ([advertised, scanned], [scanned, advertised]):
        (one,) = merge(order)
        assert one.address == "tcp://192.168.1.50:9100"
        assert one.make_model == "EPSON TM-T20III"
        assert one.also == ("tcp://till.local:9100",)


FOUNDS = st.builds(
    Found,
    st.sampled_from(["tcp://10.0.0.1:9100", "tcp://10.0.0.2:9100", "usb://1203:0140", "lp:///dev/usb/lp0"]),
    place=st.sampled_from(["", "1-1:1.0", "1-2:1.0"]),
    also=st.sampled_from([(), ("tcp://a.local:9100",), ("tcp://10.0.0.2:9100",)]),
    error=st.sampled_from([None, OpenError("x")]),
)


@given(st.lists(FOUNDS, max_size=8))
def test_nothing_is_lost_by_merging(found):
    merged = merge(found)
    assert {text for one in merged for text in (one.address, *one.also)} == {
        text for one in found for text in (one.address, *one.also)
    }
    assert len(merged) <= len(found)


def test_the_language_that_it_says_of_itself(monkeypatch):
    listed = [Found("usb://04b8:0e15/A", device_id="MFG:EPSON;CMD:ESC/POS;"), Found("usb://0416:5011")]
    monkeypatch.setattr(discovery, "finders", lambda: {"usb": lambda: listed})
    known, unknown = discover(network=False).found
    assert known.dialect == "escpos"
    assert "CMD" in known.dialect_how
    assert unknown.dialect is None, "anybody may have that chip's id"


def test_one_that_breaks_hides_nothing(monkeypatch):
    def broken():
        raise RuntimeError("oops")

    def silent():
        threading.Event().wait(5)

    monkeypatch.setattr(
        discovery, "finders", lambda: {"usb": broken, "lp": silent, "serial": lambda: [Found("serial:///dev/ttyS9")]}
    )
    found, failures = discover(0.3, network=False)
    assert [one.address for one in found] == ["serial:///dev/ttyS9"]
    assert set(failures) == {"usb", "lp"}


# -- scanning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["8.8.8.0/24", "1.1.1.1", "172.32.0.0/24", "2001:4860::/120"])
def test_other_peoples_networks_are_not_scanned(text):
    with pytest.raises(AddressError) as caught:
        tcp_scan.network_of(text)
    assert "--force" in caught.value.hint
    assert tcp_scan.network_of(text, force=True)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.168.0.0/19", "fd00::/64", "nonsense", "", "10.0.0.0/33"])
def test_what_is_too_large_or_no_network(text):
    with pytest.raises(AddressError):
        tcp_scan.network_of(text, force=True)


@pytest.mark.parametrize(
    "text", ["192.168.1.0/24", "10.1.2.3", "172.16.0.0/20", "100.64.0.0/24", "127.0.0.1", "fd00::/120"]
)
def test_private_networks(text):
    assert tcp_scan.network_of(text)


def test_a_listener_among_refusing_hosts():
    """Of loopback's 254 hosts two listen: both are found, nothing is sent, and the connections are closed in peace."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.9.7", 0)))]
        port = servers[0].getsockname()[1]
        servers.append(stack.enter_context(socket.create_server(("127.0.9.77", port))))
        found = tcp_scan.scan(tcp_scan.network_of("127.0.9.0/24"), 3.0, port=port)
        assert [address.host for address in found.listening] == ["127.0.9.7", "127.0.9.77"]
        assert found.untried == 0
        for server in servers:
            connection, _ = server.accept()
            connection.settimeout(5)
            assert connection.recv(100) == b""
            connection.close()


def test_too_little_time_is_said(monkeypatch):
    monkeypatch.setattr(tcp_scan, "_AT_ONCE", 1)
    found = tcp_scan.scan(tcp_scan.network_of("127.0.9.0/24"), 0.0, port=1)
    assert found.untried == 254


# -- the command ----------------------------------------------------------------------------------------------------


def test_list_in_a_pipe(monkeypatch, capsys):
    from rawprint import cli

    found = (
        Found("tcp://10.0.0.5:9100", make_model="EPSON\x1b TM-T20", dialect="escpos"),
        Found("usb://1203:0140", serial="S1", error=OpenError("this user may not", hint="do this")),
    )
    monkeypatch.setattr(rawprint, "discover", lambda *_, **__: Discovery(found, {}))
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "tcp://10.0.0.5:9100  EPSON\N{REPLACEMENT CHARACTER} TM-T20 [escpos]",
        "usb://1203:0140  (S1)  open-failed: do this",
    ]
    assert cli.main(["list", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert {"address", "make_model", "dialect", "serial", "error"} <= set(first)
    assert (first["dialect"], second["dialect"]) == ("escpos", None)
    assert second["error"]["hint"] == "do this"


def test_a_scan_that_is_refused():
    code, _, err = run("list", "--local", "--scan", "8.8.8.0/24")
    assert code == 2
    assert "--force" in err


def test_list_finds_by_scan():
    with Listener(device("tspl"), "127.0.9.9", 9100) as listener:
        code, out, _ = run("list", "--local", "--scan", "127.0.9.9", "--json")
        assert code == 0
        assert "tcp://127.0.9.9:9100" in [one["address"] for one in json.loads(out)]
        assert listener.device.received == b""


# -- networks of our own --------------------------------------------------------------------------------------------

ADVERTISE = """
import socket, sys, threading
from zeroconf import DNSOutgoing, DNSPointer, ServiceInfo, Zeroconf
zc = Zeroconf(interfaces=[sys.argv[1]])
def advertise(type, name, port, server, addresses, **txt):
    zc.register_service(ServiceInfo(type, f"{name}.{type}", port=port, server=server, properties=txt,
        addresses=[socket.inet_aton(each) for each in addresses]))
raw = "_pdl-datastream._tcp.local."
advertise(raw, "Kitchen", 9100, "kitchen.local.", [sys.argv[1]], ty="EPSON TM-T20III", usb_CMD="ESC/POS")
advertise("_ipp._tcp.local.", "Kitchen", 631, "kitchen.local.", [sys.argv[1]], note="by the stove")
advertise("_ipp._tcp.local.", "Office", 631, "office.local.", [sys.argv[1]], ty="Laser")
def announce_what_is_no_service():
    while True:
        wrong = DNSOutgoing(0x8400)
        wrong.add_answer_at_time(DNSPointer(raw, 12, 1, 4500, "evil.example."), 0)
        zc.send(wrong)
        threading.Event().wait(0.1)
threading.Thread(target=announce_what_is_no_service, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""

LISTEN = """
import socket, sys
servers = [socket.create_server((host, 9100)) for host in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


@NEEDED
def test_a_printer_advertised_from_another_network_namespace(network):  # noqa: F811
    network.start(ADVERTISE, THERE)
    code, found = network.rawprint("list")
    assert code == 0
    (one,) = [each for each in found if each["address"].startswith("tcp://")]
    assert one["address"] == f"tcp://{THERE}:9100"
    assert one["also"] == ["tcp://kitchen.local:9100"]
    assert one["make_model"] == "EPSON TM-T20III"
    assert (one["dialect"], one["error"]) == ("escpos", None)
    _, found = network.rawprint("list", "--local")
    assert not [each for each in found if each["address"].startswith("tcp://")]


@NEEDED
def test_twenty_of_twenty_listeners(network):  # noqa: F811
    """The others are silent: nobody has those addresses. They cost the time-out, once for all of them."""
    from .netns import ip

    hosts = [f"10.91.7.{number}" for number in range(10, 210, 10)]
    for host in hosts:
        ip("-n", network.there, "address", "add", f"{host}/24", "dev", network.far)
    network.start(LISTEN, *hosts)
    _, found = network.rawprint("list", "--local", "--scan", "10.91.7.0/24")
    assert [one["address"] for one in found if one["address"].startswith("tcp://")] == [
        f"tcp://{host}:9100" for host in hosts
    ]


@NEEDED
def test_why_hosts_of_a_network_do_not_answer(network):  # noqa: F811
    from .netns import ip

    ip("-n", network.there, "address", "add", "10.91.7.9/24", "dev", network.far)
    ip("-n", network.there, "route", "add", "blackhole", f"{HERE}/32", "table", "7")
    ip("-n", network.there, "rule", "add", "from", "10.91.7.9", "lookup", "7", "priority", "7")
    network.start(LISTEN, "10.91.7.9")
    addresses = [f"tcp://{THERE}", "tcp://10.91.7.9", "tcp://10.91.7.77", "tcp://10.91.8.1", "tcp://192.168.123.100"]
    code, reports = network.rawprint("probe", *addresses, "tcp://gone.local")
    assert code == 1
    found = {report["address"]: report["findings"][0] for report in reports}
    assert {address: finding["code"] for address, finding in found.items()} == {
        f"tcp://{THERE}": "refused",
        "tcp://10.91.7.9": "filtered",  # it answers on the wire, and its answers to us go nowhere
        "tcp://10.91.7.77": "host-down",
        "tcp://10.91.8.1": "wrong-subnet",
        "tcp://192.168.123.100": "wrong-subnet",
        "tcp://gone.local": "mdns-name",
    }
    assert all(finding["remedy"] for finding in found.values())
    assert "10.91.7.0/24" in found["tcp://10.91.8.1"]["detail"]
    assert "Xprinter" in found["tcp://192.168.123.100"]["detail"]


@NEEDED
def test_a_computer_without_a_network(network):  # noqa: F811
    """Not even a loopback interface that is up: nothing is found, a scan says why, and nothing breaks."""
    script = (
        "import rawprint; found = rawprint.discover(1.0, scan='10.91.7.0/24');"
        "print([one.address for one in found.found if 'tcp' in one.address], found.failures['scan'].code)"
    )
    code, out, err = network.run(
        "-c", f"import subprocess, sys; sys.exit(subprocess.call(['unshare', '-n', sys.executable, '-c', {script!r}]))"
    )
    assert (code, out) == (0, "[] open-failed\n"), err
