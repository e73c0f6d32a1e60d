"""The log: what a line looks like, that nothing forges one, and that no disk stops the server."""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import pytest

from rawprint_server.config import ConfigError, LogConfig
from rawprint_server.logs import JsonFormatter, Logs, TextFormatter, job_log

log = logging.getLogger("rawprint_server.test")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="an open file stays where it is")

HOSTILE = "x\r\n2026-01-01T00:00:00.000Z INFO root: forged\x1b[2J\x7f\x85\u2028\u202e\t\0"
# How a line of text begins; what follows a line without it is a line of its own.
HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: ")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "server.log"


def lines(file):
    return file.read_text(encoding="utf-8").splitlines()


def test_a_line_of_text(file):
    with Logs(LogConfig(file=str(file))):
        log.info("serving %d printers", 2)
        job_log(log, "ticket-812", "Front desk").warning("stopped")
        log.error("alone", extra={"printer": "Label"})
    first, second, third = lines(file)
    assert HEAD.match(first)
    assert first.endswith("Z INFO rawprint_server.test: serving 2 printers")
    assert second.endswith("Z WARNING rawprint_server.test: [job ticket-812] [printer Front desk] stopped")
    assert third.endswith("Z ERROR rawprint_server.test: [printer Label] alone")


def test_a_line_of_json(file):
    with Logs(LogConfig(file=str(file), json=True)):
        log.info("serving %d printers", 2)
        job_log(log, "812", "K\u00fcche").warning("stopped")
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("fault")
    first, second, third = map(json.loads, lines(file))
    assert list(first) == ["time", "level", "logger", "message"]
    assert (first["level"], first["logger"], first["message"]) == ("info", log.name, "serving 2 printers")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (second["job"], second["printer"], second["message"]) == ("812", "K\u00fcche", "stopped")
    assert third["exception"].startswith("Traceback")
    assert third["exception"].endswith("ValueError: " + HOSTILE)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_nothing_from_outside_makes_a_line(file, as_json):
    with Logs(LogConfig(file=str(file), json=as_json)):
        log.warning("refused %s", HOSTILE)
        job_log(log, HOSTILE, HOSTILE).info("accepted")
    said = file.read_bytes().decode("ascii")
    assert said.count("\n") == 2
    assert said.isascii()
    assert said.replace("\n", "").isprintable()
    if as_json:
        first, second = map(json.loads, said.splitlines())
        assert first["message"] == "refused " + HOSTILE
        assert (second["job"], second["printer"]) == (HOSTILE, HOSTILE)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_half_of_a_surrogate_pair_can_be_written(formatter):
    """JSON may hold one, and no file can."""
    line = formatter.format(logging.makeLogRecord({"msg": "\ud800", "job": "\udfff"}))
    assert "\\ud800" in line
    assert "\\udfff" in line


@pytest.mark.parametrize("id", ["x] [printer Other", "[", '"', "a\\", " ", "", "x ", "a  b"])
def test_an_id_does_not_leave_its_brackets(file, id):
    with Logs(LogConfig(file=str(file))):
        job_log(log, id, "Label").info("accepted")
    (line,) = lines(file)
    assert line.endswith(f"[job {json.dumps(id)}] [printer Label] accepted")


def test_a_traceback_has_lines_that_cannot_be_taken_for_others(file):
    with Logs(LogConfig(file=str(file))):
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("fault")
    first, *rest = lines(file)
    assert first.endswith(": fault")
    assert any("ValueError: x" in line for line in rest)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_the_level(file, capsys):
    before = logging.getLogger().level
    with Logs(LogConfig(level="warning", file=str(file))):
        log.info("not this")
        log.warning("this")
        logging.getLogger("websockets.server").info("not this")
    assert len(lines(file)) == 1
    with Logs(LogConfig(level="debug", file=str(file))):
        log.debug("this, too")
        logging.getLogger("websockets.server").info("not this")
    assert len(lines(file)) == 2
    assert logging.getLogger().level == before
    assert capsys.readouterr() == ("", "")


def test_without_a_file_it_is_standard_error(capsys):
    with Logs(LogConfig()):
        log.info("here")
    log.info("not any more")
    out, err = capsys.readouterr()
    assert out == ""
    assert HEAD.match(err)
    assert err.endswith(": here\n")


def test_a_program_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Logs(LogConfig()):
        log.info("nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_the_file_is_for_its_user_alone(file):
    with Logs(LogConfig(file=str(file), max_bytes=65536)):
        log.info("x" * 65000)
        log.info("y" * 65000)
    assert {made.stat().st_mode & 0o777 for made in file.parent.iterdir()} == {0o600}
    assert len(list(file.parent.iterdir())) == 2


def test_the_file_is_rotated_and_bounded(file):
    with Logs(LogConfig(file=str(file), max_bytes=65536, backups=2)):
        for number in range(100):
            log.info("%d %s", number, "x" * 10_000)
    made = sorted(file.parent.iterdir())
    assert [each.name for each in made] == ["server.log", "server.log.1", "server.log.2"]
    assert all(each.stat().st_size <= 65536 for each in made)
    assert ": 99 xxx" in lines(file)[-1]


@POSIX
@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_file_that_was_taken_away_is_made_anew(file, how, capsys):
    with Logs(LogConfig(file=str(file))):
        log.info("first")
        if how == "moved":
            file.rename(file.with_suffix(".old"))
        else:
            file.unlink()
        log.info("second")
        log.info("third")
    assert [line.rpartition(": ")[2] for line in lines(file)] == ["second", "third"]
    assert capsys.readouterr() == ("", "")


@POSIX
def test_a_folder_that_went_away_is_told_once_and_comes_back(tmp_path, capsys):
    file = tmp_path / "logs" / "server.log"
    file.parent.mkdir()
    with Logs(LogConfig(file=str(file))):
        log.info("first")
        file.unlink()
        file.parent.rmdir()
        log.info("lost")
        log.info("lost")
        file.parent.mkdir()
        log.info("again")
    assert [line.rpartition(": ")[2] for line in lines(file)] == ["again"]
    assert capsys.readouterr().err.count("the log cannot be written") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_full_disk_is_told_once(capsys):
    with Logs(LogConfig(file="/dev/full")):
        for _ in range(1000):
            log.info("x" * 100)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "the log cannot be written" in err
    assert "No space left" in err


@POSIX
def test_a_file_that_cannot_be_rotated_grows(file, capsys):
    (file.parent / "server.log.1").mkdir()  # not even root can rename over it
    with Logs(LogConfig(file=str(file), max_bytes=65536, backups=1)):
        for number in range(20):
            log.info("%d %s", number, "x" * 10_000)
    assert len(lines(file)) == 20
    assert capsys.readouterr().err.count("the log cannot be written") == 1


@pytest.mark.parametrize("name", ["none/server.log", "."])
def test_a_file_that_cannot_be_made(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        Logs(LogConfig(file=str(tmp_path / name)))
    assert str(tmp_path) in caught.value.message
    assert "folder" in caught.value.hint


def test_other_settings_while_it_runs(file, tmp_path, capsys):
    other = tmp_path / "other.log"
    handlers = len(logging.getLogger().handlers)
    with Logs(LogConfig()) as logs:
        log.info("first")
        logs.apply(LogConfig())
        logs.apply(LogConfig(file=str(file), level="warning"))
        log.info("not this")
        log.warning("second")
        with pytest.raises(ConfigError):
            logs.apply(LogConfig(file=str(tmp_path / "none" / "x")))
        log.warning("third")
        logs.apply(LogConfig(file=str(other), json=True))
        log.info("fourth")
        assert len(logging.getLogger().handlers) == handlers + 1
    assert len(logging.getLogger().handlers) == handlers
    assert [line.rpartition(": ")[2] for line in lines(file)] == ["second", "third"]
    assert json.loads(other.read_text())["message"] == "fourth"
    assert capsys.readouterr().err.count("\n") == 1
