"""The browsers' policy file: what is merged, what is refused, who may write, and what is said instead."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rawprint_server import policy
from rawprint_server.cli import main
from rawprint_server.config import ConfigError
from rawprint_server.policy import FILE, KEY, PolicyError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes, links, pipes")
PAGE = "https://pos.example.com"


def listed(folder):
    data = json.loads((folder / FILE).read_text(encoding="ascii"))
    assert list(data) == [KEY]
    return data[KEY]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "policies" / "managed"


@pytest.mark.parametrize(
    ("origin", "pattern"),
    [
        ("https://pos.example.com", "https://pos.example.com:443"),
        ("http://pos.example.com", "http://pos.example.com:80"),
        ("https://pos.example.com:8443", "https://pos.example.com:8443"),
        ("https://[::1]", "https://[::1]:443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_a_pattern_is_for_one_port(origin, pattern):
    assert policy.patterns([origin, origin]) == [pattern]


@pytest.mark.parametrize(
    "origin",
    ["*", "", "null", "https://*.example.com", "[*.]example.com", "pos.example.com", f"{PAGE}/", "https://a:443", "\0"],
)
def test_what_is_no_origin_writes_nothing(folder, origin, capsys):
    with pytest.raises(ConfigError):
        policy.write([PAGE, origin], [folder])
    for step in ("write", "show", "remove"):
        assert main(["policy", step, "--origin", PAGE, "--origin", origin, "--folder", str(folder)]) == 2
    assert capsys.readouterr().out == ""
    assert not folder.exists()


@POSIX
def test_the_file_and_its_folders_are_for_all_to_read_whatever_the_umask(folder):
    before = os.umask(0o077)
    try:
        policy.write([PAGE], [folder])
        policy.write(["https://b.example"], [folder])
    finally:
        os.umask(before)
    assert (folder / FILE).stat().st_mode & 0o777 == 0o644
    assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent)} == {0o755}
    assert [each.name for each in folder.iterdir()] == [FILE]


def test_what_is_there_stays_and_the_list_is_sorted(folder):
    other = folder / "corporate.json"
    folder.mkdir(parents=True)
    other.write_text('{"HomepageLocation": "https://example.com"}')
    policy.write(["https://z.example", PAGE], [folder])
    assert policy.write(["https://a.example", PAGE], [folder]) == {folder / FILE: 3}
    assert listed(folder) == ["https://a.example:443", "https://pos.example.com:443", "https://z.example:443"]
    assert other.read_text() == '{"HomepageLocation": "https://example.com"}'


def test_several_folders_are_written_at_once(tmp_path, capsys):
    first, second = tmp_path / "a", tmp_path / "b"
    policy.write(["https://a.example"], [first])
    assert main(["policy", "write", "--origin", PAGE, "--folder", str(first), "--folder", str(second)]) == 0
    assert listed(first) == ["https://a.example:443", "https://pos.example.com:443"]
    assert listed(second) == ["https://pos.example.com:443"]
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{first / FILE}: 2 origins", f"{second / FILE}: 1 origin", policy.RELOAD]


def test_removal(folder, capsys):
    policy.write([PAGE, "https://a.example"], [folder])
    where = ["--folder", str(folder)]
    assert main(["policy", "remove", "--origin", PAGE, *where]) == 0
    assert listed(folder) == ["https://a.example:443"]
    assert main(["policy", "remove", "--origin", PAGE, "--origin", "https://a.example", *where]) == 0
    assert not (folder / FILE).exists()
    policy.write([PAGE, "https://a.example"], [folder])
    assert main(["policy", "remove", *where]) == 0
    assert main(["policy", "remove", *where]) == 0
    assert list(folder.iterdir()) == []
    file = folder / FILE
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: 1 origin",
        f"{file}: removed",
        f"{file}: removed",
        "there was none",
    ]


HOSTILE = {
    "no JSON": b"{",
    "no UTF-8": b'{"\xff": []}',
    "nested": b"[" * 100_000,
    "a number": b"1",
    "no list": json.dumps({KEY: PAGE}).encode(),
    "no text": json.dumps({KEY: [1]}).encode(),
    "a wildcard": json.dumps({KEY: ["https://*"]}).encode(),
    "everything": json.dumps({KEY: ["*"]}).encode(),
    "control characters": json.dumps({KEY: ["https://a\n.example"]}).encode(),
    "another policy, too": json.dumps({KEY: [], "ExtensionInstallForcelist": ["x"]}).encode(),
    "too long": b" " * (policy.MAX_FILE_BYTES + 1),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_this_never_wrote_stays_until_it_is_removed(folder, content, capsys):
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    where = ["--origin", PAGE, "--folder", str(folder)]
    assert main(["policy", "write", *where]) == 3
    assert main(["policy", "remove", *where]) == 3
    assert (folder / FILE).read_bytes() == content
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count(f"{folder / FILE} was not written by this command: ") == 2
    assert err.replace("\n", "").isprintable()
    assert main(["policy", "remove", "--folder", str(folder)]) == 0
    assert not (folder / FILE).exists()


@POSIX
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_what_is_no_file_is_not_followed(folder, tmp_path, kind):
    folder.mkdir(parents=True)
    file, target = folder / FILE, tmp_path / "target"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(target)
        if kind == "link":
            target.write_text(policy.text(["https://a.example:443"]))
    with pytest.raises(PolicyError):
        policy.write([PAGE], [folder])
    assert target.exists() == (kind == "link")
    if kind != "folder":
        policy.remove([], [folder])
        assert not os.path.lexists(file)
    assert target.exists() == (kind == "link")


@pytest.mark.parametrize(
    "content", [{KEY: []}, {"A": 1, KEY: ["https://a.example"]}, f'{{"{KEY}": ["*"], /* all */ }}']
)
@pytest.mark.parametrize("name", ["aaa.json", "zzz.json", "without-a-suffix"])
def test_no_file_is_put_out_of_force(folder, tmp_path, name, content):
    """Browsers take the list of the last file alone."""
    folder.mkdir(parents=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PolicyError, match=name):
        policy.write([PAGE], [tmp_path / "first", folder])
    assert not (tmp_path / "first").exists()
    assert [each.name for each in folder.iterdir()] == [name]


def test_a_folder_that_is_none(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["policy", "write", "--origin", PAGE, "--folder", str(tmp_path / "file" / "managed")]) == 3
    assert "cannot" in capsys.readouterr().err


@pytest.fixture
def sealed():
    """A folder that nobody but root may write, and that everybody may reach: pytest's own are their user's alone."""
    if sys.platform == "win32":
        pytest.skip("modes")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        yield Path(name)
        Path(name).chmod(0o755)


AS_NOBODY = """import encodings.idna, os, sys
from rawprint_server.cli import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))"""


def test_without_rights_the_command_that_has_them_is_shown(sealed):
    arguments = ["policy", "write", "--origin", PAGE, "--folder", f"{sealed}/managed"]
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "(access-denied)" in done.stderr
    assert done.stderr.endswith(f" Run: sudo {shlex.join([sys.executable, '-m', 'rawprint_server', *arguments])}\n")
    assert list(sealed.iterdir()) == []


def test_show_changes_nothing(folder, capsys):
    policy.write(["https://a.example"], [folder])
    assert main(["policy", "show", "--origin", PAGE, "--folder", str(folder)]) == 0
    first, rest = capsys.readouterr().out.split("\n", 1)
    assert first == str(folder / FILE)
    assert json.loads(rest) == {KEY: ["https://pos.example.com:443"]}
    assert listed(folder) == ["https://a.example:443"]


def test_a_page_without_https_is_told_that_it_does_not_help(folder, capsys):
    assert main(["policy", "write", "--origin", "http://pos.example.com", "--folder", str(folder)]) == 0
    assert "https alone" in capsys.readouterr().err


def test_chromium_and_chrome_are_served_anyway():
    paths = [folder.as_posix() for folder in policy.folders()]
    assert paths[:2] == ["/etc/chromium/policies/managed", "/etc/opt/chrome/policies/managed"]


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("win32", rf'reg add "HKLM\SOFTWARE\Policies\Google\Chrome\{KEY}" /v 1 /t REG_SZ /d "{PAGE}:443" /f'),
        ("darwin", f'sudo defaults write "/Library/Managed Preferences/com.google.Chrome" {KEY} -array {PAGE}:443'),
        ("darwin", f"<key>{KEY}</key><array><string>{PAGE}:443</string></array>"),
    ],
)
def test_elsewhere_it_is_told_what_to_set(system, said, monkeypatch, capsys):
    monkeypatch.setattr(policy.instructions, "__defaults__", (system,))
    monkeypatch.setattr("rawprint_server.cli.sys.platform", system)
    assert main(["policy", "show", "--origin", PAGE]) == 0
    assert said in capsys.readouterr().out
    assert main(["policy", "write", "--origin", PAGE]) == 3
    out, err = capsys.readouterr()
    assert said in out
    assert KEY in err
    assert main(["policy", "remove"]) == 3
    assert capsys.readouterr().out == ""
