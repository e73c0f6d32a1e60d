"""Printing to an address that no printer of the configuration has: inside the configured networks, and nowhere else."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint.virtual import Listener, device
from rawprint_server.config import AccessConfig, Config, ConfigError, PrinterConfig, ServerConfig, parse
from rawprint_server.targets import TargetRefused, is_allowed, literal, pin

from .conftest import PATIENCE, Refused, RunningServer

SHOP = [ipaddress.ip_network("192.168.7.0/24"), ipaddress.ip_network("fd12:3456::/32")]
ALL = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]

ALLOWED = [
    ("192.168.7.50", None, "tcp://192.168.7.50:9100"),
    ("192.168.7.50", 9101, "tcp://192.168.7.50:9101"),
    ("::ffff:192.168.7.50", None, "tcp://192.168.7.50:9100"),
    ("[fd12:3456::7]", 9100, "tcp://[fd12:3456::7]:9100"),
]
REFUSED = [
    "192.168.8.50",
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd12:3456::7%eth0",
    "192.168.7.50%1",
    "fd00:ec2::254",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "64:ff9b::192.168.7.50",
    "2002:c0a8:732::",
    # What some systems read as an address.
    "3232237362",
    "0xc0a80732",
    "0300.0250.07.062",
    "192.168.1842",
    "192.168.7.050",
    "192.168.7",
    "127.1",
    "2130706433",
    "0x7f.1",
    "192.168.7.50.",
    "192.168.7.0x32",
    "",
    "[",
    "[]",
    "a b",
    "printer\r\n.lan",
    "-printer.lan",
    "printer..lan",
    "user@192.168.7.50",
    "192.168.7.50/24",
    "192.168.7.50:9100",
    "tcp://192.168.7.50",
    "\u0661\u0669\u0662.168.7.50",
    "x" * 300,
]


def pinned(host, port=None, networks=SHOP):
    address = literal(host)
    assert address is not None, "no name in these"
    return pin(host, port, [str(address)], networks)


@pytest.mark.parametrize(("host", "port", "address"), ALLOWED)
def test_an_address_in_a_network(host, port, address):
    assert pinned(host, port) == address
    assert is_allowed(address, SHOP)
    assert not is_allowed(address, [])


@pytest.mark.parametrize("host", REFUSED)
def test_any_other_is_refused(host):
    with pytest.raises(TargetRefused):
        pinned(host)


@pytest.mark.parametrize("port", [1, 22, 80, 631, 9099, 9110, 65535])
def test_only_printers_ports(port):
    with pytest.raises(TargetRefused, match="port"):
        pinned("192.168.7.50", port)


SPECIAL = [
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
]


@pytest.mark.parametrize("host", SPECIAL)
def test_who_writes_everything_does_not_mean_this_machine_or_metadata(host):
    with pytest.raises(TargetRefused):
        pinned(host, networks=ALL)


def test_who_writes_loopback_does():
    assert pinned("127.0.0.9", networks=[ipaddress.ip_network("127.0.0.8/29")]) == "tcp://127.0.0.9:9100"


@given(st.text(max_size=300))
def test_whatever_is_written_there(host):
    try:
        address = literal(host)
    except TargetRefused:
        return
    if address is not None:
        assert "%" not in host
        try:
            made = pin(host, None, [str(address)], SHOP)
        except TargetRefused:
            return
        assert is_allowed(made, SHOP)


def test_a_name_that_has_one_wrong_address_among_others_is_refused():
    assert literal("printer.lan") is None
    assert pin("printer.lan", None, ["192.168.7.50", "192.168.7.51"], SHOP) == "tcp://192.168.7.50:9100"
    for found in (["192.168.7.50", "127.0.0.1"], ["169.254.169.254"], []):
        with pytest.raises(TargetRefused):
            pin("printer.lan", None, found, SHOP)


@pytest.fixture
def target(stack):
    """A printer at an address of its own, at a printer's port."""
    for last in range(16, 200):
        try:
            return stack.enter_context(Listener(device("tspl"), f"127.77.0.{last}", 9100))
        except OSError:  # another test's
            continue
    raise AssertionError("no address is free")


@pytest.fixture
def serve(stack, tmp_path):
    def serve(networks=("127.77.0.0/24",), printers=None):
        config = Config(ServerConfig(port=0), printers or {}, AccessConfig(networks=networks))
        return stack.enter_context(RunningServer(config, tmp_path / "state"))

    return serve


def host(target):
    return target.address.removeprefix("tcp://").partition(":")[0]


def test_a_client_prints_to_an_address(serve, target):
    server = serve()
    with server.native() as native:
        job = native.ask("print", printer={"host": host(target)}, data="CLS\r\n", options={"wait": "ended"})
        assert (job["printer"], job["state"]) == (target.address, "delivered")
        native.ask("print", printer={"host": host(target), "port": 9100}, data="CLS\r\n", options={"wait": "ended"})
        assert native.ask("printers.find") == [target.address]
        native.ask("print", printer=target.address, data="CLS\r\n", options={"wait": "ended"})
    assert target.printed() == b"CLS\r\n" * 3


def test_a_printer_of_the_configuration_at_that_address_is_meant(serve, target):
    server = serve(printers={"Label": PrinterConfig(target.address, "tspl")})
    with server.native() as native:
        job = native.ask("print", printer={"host": host(target)}, data="CLS\r\n", options={"wait": "ended"})
        assert (job["printer"], native.ask("printers.find")) == ("Label", ["Label"])


def test_without_networks_no_address_is_taken_and_nothing_is_opened(serve, target):
    server = serve(networks=())
    with server.native() as native:
        for printer in ({"host": host(target)}, {"host": "localhost"}, {"host": "no-such-name.invalid"}):
            with pytest.raises(Refused, match="target-refused"):
                native.ask("print", printer=printer, data="CLS\r\n")
        with pytest.raises(Refused, match="bad-request"):
            native.ask("print", printer={"host": host(target), "name": "Label"}, data="CLS\r\n")
        with pytest.raises(Refused, match="unknown-printer"):
            native.ask("print", printer=target.address, data="CLS\r\n")
        assert native.ask("jobs.list") == []
    assert target.received() == b""


def test_a_name_is_looked_up_once_and_pinned(serve, target, monkeypatch):
    """The second answer, as a rebinding resolver gives it, is never asked for."""
    answers = [host(target), "127.0.0.1"]

    async def getaddrinfo(*_, **__):
        return [(0, 0, 0, "", (answers.pop(0), 0))]

    server = serve()
    monkeypatch.setattr(server.loop, "getaddrinfo", getaddrinfo)
    with server.native() as native:
        job = native.ask("print", printer={"host": "label.lan"}, data="CLS\r\n", options={"wait": "ended"})
        assert (job["printer"], job["state"]) == (target.address, "delivered")
        assert answers == ["127.0.0.1"]
        with pytest.raises(Refused, match="target-refused"):
            native.ask("print", printer={"host": "label.lan"}, data="CLS\r\n")


def test_a_job_for_an_address_survives_a_restart(tmp_path, target):
    target.set("media-empty", True)
    config = Config(ServerConfig(port=0), {}, AccessConfig(networks=("127.77.0.0/24",)))
    with RunningServer(config, tmp_path) as server, server.native() as native:
        for number in range(2):  # the first is taken into the printer's buffer
            native.ask("print", printer={"host": host(target)}, data="x" * 100_000, options={"id": f"job {number}"})
    target.set("media-empty", False)
    with RunningServer(config, tmp_path) as server, server.native() as native:
        job = native.ask("jobs.get", id="job 1")
        assert job["printer"] == target.address
    assert target.wait(lambda d: d.printed.count(b"x") >= 100_000, PATIENCE)


@pytest.mark.parametrize("network", ["192.168.7.1/24", "printer.lan", "", "192.168.7.0/33"])
def test_what_is_no_network_is_a_mistake(network):
    with pytest.raises(ConfigError, match="no network"):
        parse(f'[access]\nnetworks = ["{network}"]\n')
