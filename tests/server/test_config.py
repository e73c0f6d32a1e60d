"""Configuration files: what they become, and what is said of one that cannot be used."""

import pytest

from rawprint_server import config
from rawprint_server.config import Config, ConfigError, PrinterConfig, load, parse

WHOLE = """
[server]
host = "localhost"
port = 9000
max_message_bytes = 2048
join_commands = false
[printers.Label]
address = "tcp://192.168.1.50"
dialect = "tspl"
[printers."Front desk"]
address = "tcp://192.168.1.51:9101"
[access]
origins = ["https://pos.example.com", "http://localhost:3000", "http://[::1]:3000", "null"]
"""


def test_a_whole_file():
    read = parse(WHOLE)
    assert (read.server.host, read.server.port) == ("localhost", 9000)
    assert (read.server.max_message_bytes, read.server.join_commands) == (2048, False)
    assert read.printers == {
        "Label": PrinterConfig("tcp://192.168.1.50", "tspl"),
        "Front desk": PrinterConfig("tcp://192.168.1.51:9101", None),
    }
    assert read.access.origins == (
        "https://pos.example.com",
        "http://localhost:3000",
        "http://[::1]:3000",
        "null",
    )


def test_a_file_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "server.toml"
    file.write_bytes(b"\xef\xbb\xbf[server]\nport = 9000\n")
    assert load(file).server.port == 9000


def test_a_user_without_a_home_has_no_default_file(monkeypatch):
    def no_home():
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("rawprint_server.config.default_path", no_home)
    assert load() == Config()


def test_an_empty_file_is_the_default():
    assert parse("") == Config()
    assert (Config().server.port, Config().server.max_message_bytes) == (8765, 32 * 1024 * 1024)
    assert Config().server.join_commands
    assert Config().access.origins == ()


def test_a_configuration_does_not_change():
    with pytest.raises(AttributeError):
        parse("").server.port = 1


CASES = '[printers.A]\naddress = "tcp://till"\n[printers.B]\naddress = "tcp://TILL:9100"\n'
TWO = '[printers.A]\naddress = "tcp://a"\n[printers.B]\naddress = "{}"\n'

# file, what the message must name, what the hint must name
BAD = [
    (CASES, ["printers.B.address", "'A'"], "one name"),
    ('[printers.A]\naddress = "virtual://nope"', ["printers.A.address", "'nope'"], "tspl"),
    ('[access]\norigins = ["https://x.de:99999"]', ["access.origins", "99999"], "https://"),
    ("[server]\nprot = 1", ["'prot'", "[server]"], "'port'"),
    ("[server]\nPORT = 1", ["'PORT'", "[server]"], "'port'"),
    ("[server]\nzzz = 1", ["'zzz'", "[server]"], "host, port"),
    ("[serve]\nport = 1", ["'serve'", "at the top"], "'server'"),
    ("port = 1", ["'port'", "at the top"], "server, printers, access"),
    ("[access]\norigin = []", ["'origin'", "[access]"], "'origins'"),
    ('[printers.A]\nadress = "tcp://a"', ["'adress'", "[printers.A]"], "'address'"),
    ('[printer.A]\naddress = "tcp://a"', ["'printer'"], "'printers'"),
    ('[server]\nport = "8765"', ["server.port", "expected int", "got str"], ""),
    ("[server]\nport = true", ["server.port", "expected int", "got bool"], ""),
    ("[server]\nport = 65536", ["server.port", "65535"], ""),
    ("[server]\nport = -1", ["server.port", "0"], ""),
    ("[server]\njoin_commands = 1", ["server.join_commands", "expected bool", "got int"], ""),
    ("[server]\nmax_message_bytes = 0", ["server.max_message_bytes"], ""),
    ("[server]\nhost = 1", ["server.host", "expected str"], ""),
    ('[server]\nhost = "0.0.0.0"', ["server.host", "0.0.0.0"], "127.0.0.1"),
    ('[server]\nhost = ""', ["server.host"], "127.0.0.1"),
    ('[server]\nhost = "192.168.1.2"', ["server.host", "192.168.1.2"], "127.0.0.1"),
    ("server = 1", ["server", "expected table", "got int"], ""),
    ("printers = 1", ["printers", "expected table"], ""),
    ("access = []", ["access", "expected table", "got array"], ""),
    ("printers.A = 1", ["printers.A", "expected table", "got int"], ""),
    (
        '[printers.OK]\naddress = "tcp://a"\n[printers.A]\naddress = 1',
        ["printers.A.address", "expected str"],
        "",
    ),
    ('[printers.A]\naddress = "tcp://a"\ndialect = 1', ["printers.A.dialect", "got int"], ""),
    ("[printers.A]", ["printers.A", "address"], ""),
    ('[printers.A]\naddress = ""', ["printers.A.address"], ""),
    ('[printers.A]\naddress = "http://a"', ["printers.A.address"], "tcp://"),
    ('[printers.A]\naddress = "tcp://a:99999"', ["printers.A.address"], ""),
    ('[printers.A]\naddress = "tcp://a"\ndialect = "tsp"', ["printers.A.dialect", "'tsp'"], "'tspl'"),
    ('[printers.A]\naddress = "tcp://a"\npromises = ["status"]', ["printers.A.promises", "'status'"], "dialect"),
    (
        '[printers.A]\naddress = "tcp://a"\ndialect = "tspl"\npromises = ["status-tlide"]',
        ["printers.A.promises", "'status-tlide'"],
        "'status-tilde'",
    ),
    ('[printers.A]\naddress = "tcp://a"\ndialect = "pcl7"', ["printers.A.dialect", "'pcl7'"], "escpos"),
    ('[printers.""]\naddress = "tcp://a"', ["printers.''"], "[printers."),
    ('[printers." A"]\naddress = "tcp://a"', ["printers.' A'"], "[printers."),
    ('[printers."A\\nB"]\naddress = "tcp://a"', ["printers"], "[printers."),
    (TWO.format("tcp://a"), ["printers.B.address", "'A'"], "one name"),
    (TWO.format("socket://a:9100"), ["printers.B.address", "'A'"], "one name"),
    ("[printers.A]\naddress = 'tcp://a'\n[printers.A]\naddress = 'tcp://b'", ["not TOML"], ""),
    ("[server\n", ["not TOML", "line 1"], ""),
    ("origins", ["not TOML"], ""),
    ('[access]\norigins = "https://a.example"', ["access.origins", "expected array", "got str"], ""),
    ("[access]\norigins = [1]", ["access.origins", "expected str"], ""),
    ('[access]\norigins = ["*"]', ["access.origins", "'*'"], "wildcard"),
    ('[access]\norigins = ["https://*.example"]', ["access.origins"], "wildcard"),
    ('[access]\norigins = ["https://a.example/"]', ["access.origins"], "slash"),
    ('[access]\norigins = ["https://a.example/pos"]', ["access.origins"], "path"),
    ('[access]\norigins = ["https://A.example"]', ["access.origins"], "small"),
    ('[access]\norigins = ["https://a.example:443"]', ["access.origins"], "port"),
    ('[access]\norigins = ["http://a.example:80"]', ["access.origins"], "port"),
    ('[access]\norigins = ["a.example"]', ["access.origins"], "https://"),
    ('[access]\norigins = ["https://\u00e4.example"]', ["access.origins"], "https://"),
    ('[access]\norigins = [""]', ["access.origins"], "https://"),
]


@pytest.mark.parametrize(("text", "named", "hint"), BAD, ids=[row[0] for row in BAD])
def test_what_is_wrong_is_named(text, named, hint):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.code == "bad-config"
    for word in named:
        assert word in caught.value.message
    assert hint in caught.value.hint
    assert "`" not in caught.value.message


def test_virtual_printers_may_look_alike():
    assert len(parse(TWO.replace("tcp://a", "virtual://tspl").format("virtual://tspl")).printers) == 2


def test_no_default_file_means_no_printers(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "default_path", lambda: tmp_path / "server.toml")
    assert load() == Config()
    (tmp_path / "server.toml").write_text("[server]\nport = 1\n")
    assert load().server.port == 1


def test_the_default_file_is_in_the_users_config_folder(monkeypatch):
    monkeypatch.setattr(config.platformdirs, "user_config_dir", lambda name, **_: f"/home/someone/.config/{name}")
    assert config.default_path().as_posix() == "/home/someone/.config/rawprint/server.toml"


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load(tmp_path / "none.toml")
    assert "--config" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "latin1.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "latin1.toml")


def test_an_error_names_the_file(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(file) in caught.value.message
    assert "'port'" in caught.value.hint
