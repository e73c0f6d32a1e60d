"""Hosts and origins, row by row; that the server asks these functions is tested in test_app.py."""

import pytest

from rawprint_server.access import Asking, Entry, Grant, Rules, decide, host_allowed, own_origins

PORT = 8765
POS = "https://pos.example.com"

HOSTS = [
    (["127.0.0.1:8765"], True),
    (["localhost:8765"], True),
    (["LocalHost:8765"], True),
    (["[::1]:8765"], True),
    ([], False),
    ([""], False),
    (["127.0.0.1"], False),
    (["localhost"], False),
    (["[::1]"], False),
    (["::1:8765"], False),
    (["127.0.0.1:80"], False),
    (["127.0.0.1:08765"], False),
    (["127.0.0.1:8765 "], False),
    (["127.0.0.1:8765,evil.example"], False),
    (["user@127.0.0.1:8765"], False),
    (["localhost.:8765"], False),
    (["localhost.evil.example:8765"], False),
    (["evil.example:8765"], False),
    (["127.0.0.1.nip.io:8765"], False),
    (["127.0.0.2:8765"], False),
    (["127.1:8765"], False),
    (["2130706433:8765"], False),
    (["0.0.0.0:8765"], False),
    (["[::ffff:127.0.0.1]:8765"], False),
    (["[0:0:0:0:0:0:0:1]:8765"], False),
    (["192.168.1.10:8765"], False),
    (["127.0.0.1:8765", "127.0.0.1:8765"], False),
    (["127.0.0.1:8765", "evil.example"], False),
]


@pytest.mark.parametrize(("hosts", "allowed"), HOSTS, ids=[repr(row[0]) for row in HOSTS])
def test_hosts(hosts, allowed):
    assert host_allowed(hosts, PORT) is allowed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "localhost:80"])
def test_http_own_port_may_be_left_out(host):
    assert host_allowed([host], 80)


ORIGINS = [
    ([], [], True),  # a program, not a page
    ([], [POS], True),
    (["http://127.0.0.1:8765"], [], True),
    (["http://localhost:8765"], [], True),
    (["http://[::1]:8765"], [], True),
    (["https://127.0.0.1:8765"], [], False),
    (["ws://127.0.0.1:8765"], [], False),
    (["http://127.0.0.1:8766"], [], False),
    (["http://127.0.0.1"], [], False),
    (["http://localhost"], [], False),
    (["http://LOCALHOST:8765"], [], False),
    (["http://localhost:8765/"], [], False),
    (["http://localhost.:8765"], [], False),
    (["http://localhost:8765.evil.example"], [], False),
    ([POS], [POS], True),
    ([POS], [], False),
    ([POS], ["https://other.example.com"], False),
    ([POS], ["https://other.example.com", POS], True),
    (["http://pos.example.com"], [POS], False),
    (["https://pos.example.com:443"], [POS], False),
    (["https://pos.example.com:8443"], [POS], False),
    (["https://pos.example.com:8443"], ["https://pos.example.com:8443"], True),
    (["https://pos.example.com/"], [POS], False),
    (["https://pos.example.com."], [POS], False),
    (["https://pos.example.com.evil.example"], [POS], False),
    (["https://pos.example.com@evil.example"], [POS], False),
    (["https://evil.example#https://pos.example.com"], [POS], False),
    (["https://evilpos.example.com"], [POS], False),
    (["https://a.pos.example.com"], [POS], False),
    (["https://example.com"], [POS], False),
    (["HTTPS://pos.example.com"], [POS], False),
    (["https://POS.example.com"], [POS], False),
    ([" https://pos.example.com"], [POS], False),
    (["https://pos.example.com https://evil.example"], [POS], False),
    (["https://p\xf6s.example.com"], [POS], False),
    (["https://xn--ps-fka.example.com"], ["https://xn--ps-fka.example.com"], True),
    (["*"], [POS], False),
    (["null"], [], False),
    (["null"], [POS], False),
    (["null"], ["null"], True),
    (["NULL"], ["null"], False),
    (["file://"], ["null"], False),
    ([""], [], False),
    ([""], [POS], False),
    ([POS, POS], [POS], False),
    ([POS, "https://evil.example"], [POS], False),
    (["http://127.0.0.1:8765", "https://evil.example"], [], False),
    (["chrome-extension://abcdefghijklmnop"], [], False),
    (["chrome-extension://abcdefghijklmnop"], ["chrome-extension://abcdefghijklmnop"], True),
]


@pytest.mark.parametrize(("origins", "configured", "allowed"), ORIGINS, ids=[f"{row[0]} {row[1]}" for row in ORIGINS])
def test_origins(origins, configured, allowed):
    rules = Rules(own=own_origins(PORT), allowed=dict.fromkeys(configured, Grant()))
    assert isinstance(decide(Asking(tuple(origins)), rules), Entry) is allowed
