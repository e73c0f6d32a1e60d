"""`rawprint-server printers`: one printer more, fewer or renamed, and not a byte else of the file."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawprint.virtual import Listener, device
from rawprint_server import edit
from rawprint_server.config import ConfigError, PrinterConfig, parse

PATIENCE = 20.0
FILE = """\
# The shop's printers.
[server]
port = 8765   # as ever

[printers.Label]   # in the back
address = "usb://1203:0172"
dialect = 'tspl'
# 80 mm rolls
width_mm = 80

# The till's. Do not touch!
[ printers . "Front desk" ]
address="tcp://192.168.1.50"

[access]
origins = [
    "https://pos.example.com",  # the shop
]
"""


def test_one_more_stands_at_the_end():
    text = edit.add(FILE, "Bar", {"address": "tcp://192.168.1.51", "share": False, "promises": []})
    assert text == FILE + '\n[printers.Bar]\naddress = "tcp://192.168.1.51"\nshare = false\npromises = []\n'
    assert parse(text).printers["Bar"] == PrinterConfig("tcp://192.168.1.51", share=False)


def test_one_more_in_an_empty_file_and_behind_an_unfinished_line():
    assert edit.add("", "A b", {"address": "tcp://a"}) == '[printers."A b"]\naddress = "tcp://a"\n'
    assert edit.add("# x", "A", {"address": "tcp://a"}) == '# x\n\n[printers.A]\naddress = "tcp://a"\n'
    assert "\r\n" in edit.add("# x\r\n", "A", {"address": "tcp://a"}).removeprefix("# x\r\n")


def test_one_fewer_leaves_the_comment_of_the_next():
    text = edit.remove(FILE, "Label")
    assert text == FILE.replace(
        "[printers.Label]   # in the back\naddress = \"usb://1203:0172\"\ndialect = 'tspl'\n# 80 mm rolls\nwidth_mm = 80\n",
        "",
    )
    assert edit.remove(FILE, "Front desk").count("Do not touch") == 1


def test_another_name_keeps_all_that_stands_beside_it():
    assert edit.rename(FILE, "Label", "Etikett") == FILE.replace("[printers.Label]", "[printers.Etikett]")
    assert edit.rename(FILE, "Front desk", "Bar") == FILE.replace('[ printers . "Front desk" ]', "[printers.Bar]")
    assert '[printers."Küche 2"]   # in the back' in edit.rename(FILE, "Label", "Küche 2")


@pytest.mark.parametrize(
    ("how", "hint"),
    [
        (lambda text: edit.add(text, "Label", {"address": "tcp://a"}), "another name"),
        (lambda text: edit.remove(text, "Labl"), "Label, Front desk"),
        (lambda text: edit.rename(text, "Labl", "x"), "Label, Front desk"),
        (lambda text: edit.rename(text, "Label", "Front desk"), "another name"),
    ],
)
def test_what_is_refused(how, hint):
    with pytest.raises(ConfigError) as caught:
        how(FILE)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        '[printers]\nA = { address = "tcp://a" }\n',
        'printers.A.address = "tcp://a"\n',
        '[printers]\nA.address = "tcp://a"\n',
    ],
)
def test_what_is_written_otherwise_is_changed_by_hand(text):
    for how in (lambda: edit.remove(text, "A"), lambda: edit.rename(text, "A", "B")):
        with pytest.raises(ConfigError) as caught:
            how()
        assert "by hand" in caught.value.hint


def test_text_that_looks_like_a_header_is_none():
    text = 'note = """\n[printers.A]\n"""\n[printers.A]\naddress = "tcp://a"\n'
    with pytest.raises(ConfigError):
        edit.rename(text, "A", "B")


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
COMMENTS = st.lists(st.sampled_from(["", "# x", "   # [printers.X]", "\t"]), max_size=3)


@st.composite
def config_files(draw):
    lines = draw(COMMENTS)
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        lines += [
            f"[ printers.{edit._value(name)} ]{draw(st.sampled_from(['', ' # y']))}",
            'address = "tcp://a"',
            *draw(COMMENTS),
        ]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end]))


@given(config_files(), NAMES, NAMES)
def test_there_and_back(text, name, other):
    printers = tomllib.loads(text).get("printers", {})
    if name not in printers:
        more = edit.add(text, name, {"address": "tcp://b"})
        assert more.startswith(text)
        assert edit.remove(more, name).rstrip() == text.rstrip()
        if other != name and other not in printers:
            there = edit.rename(more, name, other)
            assert edit.rename(there, other, name) == more
    for each in printers:
        assert list(tomllib.loads(edit.remove(text, each)).get("printers", {})) == [
            key for key in printers if key != each
        ]


@given(st.text(), st.text(max_size=5), st.text(max_size=5))
def test_any_text_is_changed_or_refused(text, name, new):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for how in (
        lambda: edit.add(text, name, {"address": "x"}),
        lambda: edit.remove(text, name),
        lambda: edit.rename(text, name, new),
    ):
        with contextlib.suppress(ConfigError):
            tomllib.loads(how())


# -- the command ----------------------------------------------------------------------------------------------------


def command(file, *words):
    done = subprocess.run(
        [sys.executable, "-m", "rawprint_server", "printers", "--config", str(file), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_makes_the_file_and_keeps_its_rights_and_links(tmp_path):
    real, file = tmp_path / "real" / "server.toml", tmp_path / "link.toml"
    assert (
        command(
            real,
            "add",
            "Label",
            "usb://1203:0172",
            "--dialect",
            "tspl",
            "--set",
            "share=true",
            "--set",
            "encoding=cp437",
        )[0]
        == 0
    )
    assert parse(real.read_text()).printers["Label"] == PrinterConfig(
        "usb://1203:0172", "tspl", share=True, encoding="cp437"
    )
    file.symlink_to(real)
    real.chmod(0o640)
    code, out, _ = command(file, "rename", "Label", "Etikett")
    assert (code, "1 printer" in out) == (0, True)
    assert file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert json.loads(command(file, "list", "--json")[1]) == [
        {"name": "Etikett", "address": "usb://1203:0172", "dialect": "tspl"}
    ]
    assert command(file, "list")[1] == "Etikett  usb://1203:0172  tspl\n"
    assert command(file, "remove", "Etikett")[0] == 0
    assert parse(real.read_text()).printers == {}
    assert os.listdir(real.parent) == ["server.toml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "B", "nonsense"), "printers.B.address"),
        (("add", "B", "tcp://b", "--dialect", "tsql"), "tspl"),
        (("add", "B", "tcp://b", "--set", "widht_mm=80"), "width_mm"),
        (("add", "B", "tcp://b", "--set", "width_mm"), "KEY=VALUE"),
        (("add", "A", "tcp://b"), "already"),
        (("remove", "B"), "no printer"),
    ],
)
def test_what_the_server_would_refuse_is_not_written(tmp_path, words, said):
    file = tmp_path / "server.toml"
    file.write_text('[printers.A]\naddress = "tcp://a"\n')
    code, _, err = command(file, *words)
    assert code == 2
    assert said in err
    assert file.read_text() == '[printers.A]\naddress = "tcp://a"\n'


def test_a_running_server_takes_it_over(tmp_path):
    from websockets.sync.client import connect

    file = tmp_path / "server.toml"
    file.write_text("[server]\nport = 0\n")
    words = [sys.executable, "-m", "rawprint_server", "--config", str(file)]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    with (
        Listener(device("tspl")) as printer,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as server,
    ):
        try:
            url = json.loads(server.stdout.readline())["url"]
            with connect(url, subprotocols=["rawprint.v1"], proxy=None) as client:
                client.send(json.dumps({"call": "subscribe", "uid": 1, "params": {}}))
                assert command(file, "add", "Label", printer.address, "--dialect", "tspl")[0] == 0
                names = []
                while names != ["Label"]:
                    frame = json.loads(client.recv(PATIENCE))
                    names = frame["data"]["printers"] if frame.get("event") == "server" else names
                client.send(
                    json.dumps(
                        {"call": "print", "uid": 2, "params": {"printer": {"name": "Label"}, "data": ["CLS\r\n"]}}
                    )
                )
                assert printer.wait(lambda d: d.printed == b"CLS\r\n", PATIENCE)
        finally:
            server.terminate()
            server.wait(PATIENCE)
