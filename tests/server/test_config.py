"""Configuration files: what they become, and what is said of one that cannot be used."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint_server import config, toml_lines
from rawprint_server.config import (
    AuditConfig,
    Config,
    ConfigError,
    LogConfig,
    PrinterConfig,
    audit_file,
    check,
    find_mistakes,
    load,
    parse,
    shared,
)

WHOLE = """
[server]
host = "localhost"
port = 9000
max_message_bytes = 2048
max_outbox_bytes = 65536
join_commands = false
[log]
level = "debug"
file = "/var/log/rawprint.log"
json = true
max_bytes = 100000
backups = 1
[audit]
level = "all"
file = "/var/log/rawprint-audit.log"
max_bytes = 65536
backups = 100
[printers.Label]
address = "tcp://192.168.1.50"
dialect = "tspl"
promises = ["status-tilde"]
share = false
poll = 5
width_mm = 80
height_mm = 40.5
gap_mm = 0
dpi = 203
encoding = "cp858"
cut = "none"
drawer_open = "low"
[printers."Front desk"]
address = "tcp://192.168.1.51:9101"
[access]
origins = ["https://pos.example.com", "http://localhost:3000", "http://[::1]:3000", "null"]
"""


def test_a_whole_file():
    read = parse(WHOLE)
    assert (read.server.host, read.server.port) == ("localhost", 9000)
    assert (read.server.max_message_bytes, read.server.join_commands) == (2048, False)
    assert read.server.max_outbox_bytes == 65536
    assert read.log == LogConfig("debug", "/var/log/rawprint.log", json=True, max_bytes=100000, backups=1)
    assert read.audit == AuditConfig("all", "/var/log/rawprint-audit.log", max_bytes=65536, backups=100)
    assert read.printers == {
        "Label": PrinterConfig(
            "tcp://192.168.1.50",
            "tspl",
            ("status-tilde",),
            share=False,
            poll=5.0,
            width_mm=80.0,
            height_mm=40.5,
            gap_mm=0.0,
            dpi=203,
            encoding="cp858",
            cut="none",
            drawer_open="low",
        ),
        "Front desk": PrinterConfig("tcp://192.168.1.51:9101", None),
    }
    assert read.access.origins == (
        "https://pos.example.com",
        "http://localhost:3000",
        "http://[::1]:3000",
        "null",
    )
    check(read)


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
    assert Config().server.max_outbox_bytes == 8 * 1024 * 1024
    assert Config().log == LogConfig("info", None, json=False, max_bytes=5 * 1024 * 1024, backups=3)
    assert Config().audit == AuditConfig("changes", None, max_bytes=5 * 1024 * 1024, backups=5)
    assert (PrinterConfig("tcp://a").poll, PrinterConfig("tcp://a").channels) == (30, ())
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
    ("port = 1", ["'port'", "at the top"], "server, printers, access, limits, log, audit"),
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
    ('[printers.""]\naddress = "tcp://a"', ['printers."":'], "[printers."),
    ('[printers." A"]\naddress = "tcp://a"', ['printers." A":'], "[printers."),
    ('[printers."A\\nB"]\naddress = "tcp://a"', ["printers"], "[printers."),
    (TWO.format("tcp://a"), ["printers.B.address", "'A'"], "one name"),
    (TWO.format("socket://a:9100"), ["printers.B.address", "'A'"], "one name"),
    ("[printers.A]\naddress = 'tcp://a'\n[printers.A]\naddress = 'tcp://b'", ["not TOML"], ""),
    ("[server\n", ["not TOML", "line 1"], ""),
    ("origins", ["not TOML"], ""),
    ("a = [" + "[" * 5000, ["not TOML", "nested"], ""),
    ("a = " + "1" * 5000, ["not TOML"], ""),
    ("\n" + "a." * 100_000 + "a = 1", ["line 2", "20 parts"], ""),
    ('"a b" . ' * 50_000 + "a = 1", ["20 parts"], ""),
    ("[server]\nmax_outbox_bytes = 1", ["server.max_outbox_bytes", "65536"], ""),
    ("[log]\nlevel = 'warn'", ["log.level", "'warn'"], "'warning'"),
    ("[log]\nlevel = 1", ["log.level", "expected str"], ""),
    ("[log]\nfile = ''", ["log.file"], "standard error"),
    ("[log]\nfile = 1", ["log.file", "expected str"], ""),
    ('[log]\nfile = "a\\u0000b"', ["log.file"], "standard error"),
    ("[log]\nmax_bytes = 1", ["log.max_bytes", "65536"], ""),
    ("[log]\nbackups = 0", ["log.backups", "1"], ""),
    ("[log]\njson = 'yes'", ["log.json", "expected bool"], ""),
    ("[log]\nfiles = 'a'", ["'files'", "[log]"], "'file'"),
    ("[audit]\nlevel = 'change'", ["audit.level", "'change'"], "'changes'"),
    ("[audit]\nenabled = false", ["'enabled'", "[audit]"], "level"),
    ("[audit]\nfile = ' '", ["audit.file"], "state folder"),
    ("[audit]\nfile = true", ["audit.file", "expected str"], ""),
    ("[audit]\nmax_bytes = 65535", ["audit.max_bytes", "65536"], ""),
    ("[audit]\nbackups = 101", ["audit.backups", "100"], ""),
    ("[log]\nfile = 'a.log'\n[audit]\nfile = 'a.log'", ["audit.file", "'a.log'"], "of its own"),
    ("audit = true", ["audit", "expected table"], ""),
    *(
        (f'[printers.A]\naddress = "tcp://a"\n{line}', [f"printers.A.{line.split()[0]}", named], hint)
        for line, named, hint in [
            ("share = 1", "expected bool", ""),
            ("poll = 0.5", "once a second", "0 for never"),
            ("poll = -1", "expected number", ""),
            ("poll = nan", "expected number", ""),
            ("poll = 1e9", "expected number", ""),
            ("poll = '30 s'", "expected number", ""),
            ("width_mm = 0", "expected number > 0", ""),
            ("height_mm = inf", "expected number", ""),
            ("gap_mm = -0.1", "expected number", ""),
            ("dpi = 203.5", "expected int, got number", ""),
            ("dpi = 99", "100", ""),
            ("dpi = 1201", "1200", ""),
            ("cut = 'ful'", "'ful' is not one of", "'full'"),
            ("cut = true", "expected str", ""),
            ("encoding = 'latin-0'", "'latin-0'", "cp437"),
            ("encoding = 'utf-16'", "ASCII", "cp437"),
            ("encoding = 'utf-8-sig'", "ASCII", "cp437"),
            ("encoding = 'cp037'", "ASCII", "cp437"),
            ("encoding = 'utf-7'", "ASCII", "cp437"),
            ("encoding = 'base64'", "ASCII", "cp437"),
            ("encoding = 'undefined'", "ASCII", "cp437"),
            ('encoding = "a\\u0000"', "ASCII", "cp437"),
            ("encoding = ''", "ASCII", "cp437"),
            (f"encoding = '{'x' * 65}'", "64", ""),
            ("channels = ['smnp']", "'smnp' is no channel", ""),
            ("channels = 'snmp'", "expected array", ""),
            ("channels = [1]", "expected str", ""),
            ("width = 80", "unknown key", "'width_mm'"),
        ]
    ),
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


@pytest.mark.parametrize("name", ["utf-8", "cp437", "CP858", "cp1252", "gb18030", "shift_jis", "big5", "ascii"])
def test_encodings_of_receipt_printers(name):
    assert parse(f'[printers.A]\naddress = "tcp://a"\nencoding = "{name}"').printers["A"].encoding == name


def test_channels_are_those_of_the_library_and_for_the_network(monkeypatch):
    monkeypatch.setattr(config, "CHANNELS", ("snmp", "tsc"))
    text = '[printers.A]\naddress = "{}"\nchannels = {}'
    assert parse(text.format("tcp://a", '["tsc", "snmp"]')).printers["A"].channels == ("tsc", "snmp")
    with pytest.raises(ConfigError, match=r"printers\.A\.channels: .*usb://") as caught:
        parse(text.format("usb://1203:0172", '["tsc"]'))
    assert "tcp://" in caught.value.hint
    assert parse(text.format("tcp://a", '["tsc:65535", "snmp:1"]')).printers["A"].channels == ("tsc:65535", "snmp:1")
    for port in ("", "0", "65536", "99999", "-1", "1 "):
        with pytest.raises(ConfigError, match=f"'snmp:{port}' is no channel"):
            parse(text.format("tcp://a", f'["snmp:{port}"]'))
    with pytest.raises(ConfigError, match="'tsc' is there twice"):
        parse(text.format("tcp://a", '["tsc", "snmp", "tsc"]'))
    with pytest.raises(ConfigError, match="'smnp' is no channel") as caught:
        parse(text.format("tcp://a", '["smnp"]'))
    assert "'snmp'" in caught.value.hint


def test_a_printer_in_the_network_is_shared_unless_it_is_not():
    assert shared(PrinterConfig("tcp://a"))
    assert shared(PrinterConfig("usb://1203:0172", share=True))
    assert not shared(PrinterConfig("tcp://a", share=False))
    assert not shared(PrinterConfig("usb://1203:0172"))
    assert not shared(PrinterConfig("virtual://tspl"))


def test_a_configuration_made_in_python_is_checked_as_one_from_a_file():
    check(Config())
    bad = Config(printers={"A": PrinterConfig("tcp://a", dpi=1, cut="ful"), "B": PrinterConfig("tcp://a")})
    with pytest.raises(ConfigError) as caught:
        check(bad)
    assert [mistake.key for mistake in caught.value.mistakes] == [
        "printers.A.dpi",
        "printers.A.cut",
        "printers.B.address",
    ]
    assert {mistake.line for mistake in caught.value.mistakes} == {None}


# -- all at once, with lines


MANY = """\
# [server]
[server]
prot = 1
port = "x"
log.level = 1

[ printers . "Front = desk" ] # here
adress = "tcp://a"
dialect = "tsp"
promises = [
  "status", # ] [access]
  1,
]
text = '''
[access]
origins = 1
'''
cut = "ful"
[printers]
B = { address = "tcp://b", dpi = 1, "en coding" = 1 }
"C".address = "usb://nope"
[access]
origins = ["https://a.example",
  "*", [
  "]"], \"\"\"b
\"\"\",
  3 ]
"""


def test_every_mistake_has_its_line():
    assert [(mistake.line, mistake.key) for mistake in find_mistakes(MANY)] == [
        (3, "server.prot"),
        (4, "server.port"),
        (5, "server.log"),
        (8, 'printers."Front = desk".adress'),
        (9, 'printers."Front = desk".dialect'),
        (12, 'printers."Front = desk".promises'),
        (14, 'printers."Front = desk".text'),
        (18, 'printers."Front = desk".cut'),
        (20, 'printers.B."en coding"'),
        (20, "printers.B.dpi"),
        (21, "printers.C.address"),
        (24, "access.origins"),
        (24, "access.origins"),
        (25, "access.origins"),
        (27, "access.origins"),
    ]
    assert find_mistakes(MANY.replace("\n", "\r\n")) == find_mistakes(MANY)


def test_a_missing_key_is_told_where_its_table_begins():
    (mistake,) = find_mistakes('\n[printers.A]\ndialect = "tspl"\n')
    assert (mistake.line, mistake.key) == (2, "printers.A")
    assert "'address'" in mistake.message


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\n[b\n", 2), ("a = 1\n\nb = [1,\n", 4), ("a = 1\na = 2\n", 2), ("a = 'x", 1), ("", None), ('"""', 1)],
)
def test_what_is_no_toml_has_a_line(text, line):
    assert [mistake.line for mistake in find_mistakes(text)] == [line] * (line is not None)


def test_the_error_tells_the_first_and_how_many_there_are():
    with pytest.raises(ConfigError) as caught:
        parse("[server]\n\nprot = 1\nport = -1\nhost = 1\n")
    assert caught.value.message.startswith("line 3: server.prot: unknown key")
    assert caught.value.message.endswith("(and 2 more mistakes)")
    assert [mistake.line for mistake in caught.value.mistakes] == [3, 4, 5]


def test_a_hundred_mistakes_are_enough():
    assert len(find_mistakes("".join(f"k{n} = 1\n" for n in range(1000)))) == config.MAX_MISTAKES


def test_what_is_repeated_is_short_and_printable():
    text = f'[server]\n"{"k" * 10_000}" = 1\n"\\u001b[2J" = 1\nhost = \'{"h" * 10_000}\'\n'
    for mistake in find_mistakes(text):
        assert len(mistake.key) + len(mistake.message) < 400
        assert (mistake.key + mistake.message).isprintable()


def test_an_array_that_does_not_fit_is_one_mistake():
    (mistake,) = find_mistakes('[printers.A]\naddress = "tcp://a"\ndialect = 1\npromises = ["status"]\n')
    assert mistake.key == "printers.A.dialect"


# Statements with one unknown key each; what follows a header is in its table and unknown with it.
STATEMENTS = [
    "k{n} = 1\n",
    "\t 'k{n}' = 1 # = [\n",
    '"k{n}" . "a=#\'" = 1\r\n',
    'k{n} = """\n[x]\nk0 = 1 \\""""\n',
    "k{n} = '''\nk0 = 1\n'''\n",
    'k{n} = [1, # ]\n "]", [2,\n{{k0 = 3}}]\n,]\n',
    "k{n} = {{b = '}}', \"c,k0\" = [1], d.e = {{}}}}\n",
    "k{n} = 1979-05-27 07:32:00\n",
]
HEADERS = ["[k{n}]\n", "[ 'k{n}' . \"]\" ]\nk0 = 1\n", "[[k{n}]] # ]\nk0.k1 = [\n]\n", "[k{n}.a]\n[k{n}.b]\n"]
FILLERS = ["\n", '# k0 = """\n', " \r\n"]


@given(
    st.lists(st.sampled_from(STATEMENTS + FILLERS), max_size=20),
    st.lists(st.sampled_from(HEADERS + FILLERS), max_size=20),
)
def test_lines_are_right_whatever_stands_between(statements, headers):
    text, lines = "", {}
    for n, statement in enumerate(statements + headers):
        if statement not in FILLERS:
            lines[f"k{n}"] = text.count("\n") + 1
        text += statement.format(n=n)
    assert {mistake.key: mistake.line for mistake in find_mistakes(text)} == lines


TOKENS = ["[", "]", "[[", "{", "}", "=", ",", ".", "\n", "\r\n", "\r", " ", "#", '"', "'", '"""', "'''", "\\", "1", "-",
          "server", "printers", "port", "access", "origins", "address", '"tcp://a"', "[printers.A]\n", "[access]\n", "\x00",
          "origins = [", "a.b", "inf", "1979-05-27", "\ufeff", "\u2028"]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)))
def test_any_text_is_a_configuration_or_has_mistakes(text):
    mistakes = find_mistakes(text)
    for mistake in mistakes:
        assert mistake.line is None or 1 <= mistake.line <= text.count("\n") + 1
        assert mistake.message
    if mistakes:
        with pytest.raises(ConfigError):
            parse(text)
    else:
        check(parse(text))
    places = toml_lines.places(text)  # of any text: it never meets one that tomllib refused, and must not trust in that
    assert all(1 <= line <= text.count("\n") + 1 for line in places.values())


JUNK = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.dates(), st.sampled_from(["tcp://a", "tspl"])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "server": JUNK | st.dictionaries(st.sampled_from(config.ServerConfig.__struct_fields__), JUNK),
            "access": JUNK | st.dictionaries(st.sampled_from(config.AccessConfig.__struct_fields__), JUNK),
            "log": JUNK | st.dictionaries(st.sampled_from(LogConfig.__struct_fields__), JUNK),
            "printers": JUNK
            | st.dictionaries(st.text(), st.dictionaries(st.sampled_from(PrinterConfig.__struct_fields__), JUNK)),
        },
    )
)
def test_data_without_a_fault_is_a_configuration(data):
    """Each value is checked by itself, the whole is converted at once: they must agree."""
    if not list(config._faults(data)):
        check(msgspec.convert(data, Config))


def test_virtual_printers_may_look_alike():
    assert len(parse(TWO.replace("tcp://a", "virtual://tspl").format("virtual://tspl")).printers) == 2


def test_where_the_audit_log_is(tmp_path, monkeypatch):
    state = f'[server]\nstate_dir = "{tmp_path.as_posix()}"\n'
    assert audit_file(parse(state)) == tmp_path / "audit.log"
    assert audit_file(parse(state + '[audit]\nlevel = "none"')) is None
    assert audit_file(parse(state + '[audit]\nfile = "/var/log/a"')) == Path("/var/log/a")

    def no_home(*_, **__):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_state_dir", no_home)
    assert audit_file(Config()) is None


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


def test_a_file_without_end(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text("#" * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="more than"):
        load(file)


def test_an_error_names_the_file(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.message.startswith(f"{file}: line 2: server.prot: ")
    assert "'port'" in caught.value.hint
