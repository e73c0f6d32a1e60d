"""A server with a journal: what clients see of jobs over its restarts, and of those that may have come out or not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from unittest.mock import ANY

import pytest

from rawprint import Journal, JournalTaken
from rawprint.cli import main
from rawprint_server.config import Config, ConfigError, PrinterConfig, ServerConfig, parse, seconds

from .conftest import PATIENCE, Refused, RunningServer
from .test_schema import SCHEMA, errors

LONG = 20_000


@pytest.fixture
def serve(stack, tmp_path):
    """serve(printers, **keys of [server]) -> a server; one after the other has the same journal."""

    def serve(printers, **server):
        return RunningServer(Config(ServerConfig(port=0, **server), printers), tmp_path / "state")

    return serve


def on(printer, dialect="tspl", **options):
    return PrinterConfig(printer.address, dialect, share=False, **options)


def wait_for(native, id, *states):
    deadline = time.monotonic() + 2 * PATIENCE
    while (job := native.ask("jobs.get", id=id))["state"] not in states:
        assert time.monotonic() < deadline, job
        threading.Event().wait(0.02)
    return job


def cut_off(label, native, id="half"):
    """A job that is uncertain, as its connection ended in the middle."""
    native.ask("print", printer="Label", data="x" * LONG, options={"id": id})
    wait_for(native, id, "stopped")
    label.drop()
    job = wait_for(native, id, "uncertain")
    label.set("media-empty", False)
    return job


def test_the_same_id_over_ten_connections_and_two_servers_prints_once(serve, label):
    label.set("media-empty", True)
    for last in (False, True):
        with serve({"Label": on(label)}) as server:
            answers = []

            def send(server=server, answers=answers):
                with server.native() as native:
                    answers.append(native.ask("print", printer="Label", data="ONCE\r\n", options={"id": "till-7"}))

            threads = [threading.Thread(target=send) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert {answer["id"] for answer in answers} == {"till-7"}
            assert len(answers) == 5
            with server.native() as native:
                with pytest.raises(Refused, match="id-conflict"):
                    native.ask("print", printer="Label", data="OTHER\r\n", options={"id": "till-7"})
                if last:
                    label.set("media-empty", False)
                    wait_for(native, "till-7", "delivered")
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert native.ask("print", printer="Label", data="ONCE\r\n", options={"id": "till-7"})["state"] == "delivered"
        with pytest.raises(Refused, match="id-conflict"):
            native.ask("print", printer="Label", data="OTHER\r\n", options={"id": "till-7"})
    assert label.printed() == b"ONCE\r\n"


@pytest.mark.parametrize(("finish", "end"), [("0s", "uncertain"), ("5s", "delivered")])
def test_the_job_in_print_has_the_set_time_to_finish_and_no_other_begins(serve, virtual, tmp_path, finish, end):
    label, long = virtual("tspl", speed=1_000_000, buffer_size=1000), 100 * LONG
    with serve({"Label": on(label)}, finish=finish) as server, server.native() as native:
        native.ask("print", printer="Label", data="x" * long, options={"id": "long"})
        native.ask("print", printer="Label", data="next", options={"id": "next"})
        wait_for(native, "long", "processing")
    with Journal(tmp_path / "state" / "jobs.db") as journal:
        assert journal.find("long").state == end
        assert [entry.id for entry, _ in journal.unfinished()] == ["next"]
    assert label.printed().count(b"x") == long if end == "delivered" else label.printed().count(b"x") < long


def test_labels_wait_for_a_person_and_are_printed_again_where_that_is_said(serve, virtual):
    label = virtual("tspl", media=1000)
    with serve({"Label": on(label)}) as server, server.native() as native:
        job = cut_off(label, native)
        assert job["bytes_accepted"] < LONG
        waiting = native.ask("print", printer="Label", data="NEXT\r\n", options={"id": "next"})
        deadline = time.monotonic() + PATIENCE
        while (waiting := native.ask("jobs.get", id="next"))["error"] is None:
            assert time.monotonic() < deadline
        assert waiting["error"]["code"] == "unsettled"
        assert "half" in waiting["error"]["message"]
        label.set("media-empty", False)
        again = native.ask("jobs.resolve", id="half", action="print-again")
        assert errors(again, SCHEMA["calls"]["jobs.resolve"]["result"]) == []
        assert again["id"] == "half~again"
        assert wait_for(native, "half~again", "delivered")["bytes_accepted"] == LONG
        wait_for(native, "next", "delivered")
        for action in ("print-again", "discard"):
            with pytest.raises(Refused, match="not-uncertain"):
                native.ask("jobs.resolve", id="half", action=action)
        printed = label.printed()
        assert printed.count(b"x" * LONG) == 1
        assert printed.index(b"x" * LONG) < printed.index(b"NEXT"), "it was there first"


def test_an_uncertain_label_still_waits_for_a_person_after_a_restart(serve, virtual):
    label = virtual("tspl", media=1000)
    with serve({"Label": on(label)}) as server, server.native() as native:
        cut_off(label, native)
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert [job["id"] for job in native.ask("jobs.list", state="uncertain")] == ["half"]
        native.ask("print", printer="Label", data="NEXT\r\n", options={"id": "next"})
        deadline = time.monotonic() + PATIENCE
        while (waiting := native.ask("jobs.get", id="next"))["error"] is None:
            assert time.monotonic() < deadline
        assert waiting["error"]["code"] == "unsettled"
        assert native.ask("jobs.resolve", id="half", action="discard")["evidence"][-1] == "settled"
        wait_for(native, "next", "delivered")
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert native.ask("jobs.get", id="half")["evidence"][-1] == "settled"


def test_a_copy_is_headed_as_one_where_the_configuration_wants_it(serve, virtual):
    receipt = virtual("escpos", media=1000)
    with serve({"Label": on(receipt, "escpos", after_uncertain="print-marked")}) as server, server.native() as native:
        cut_off(receipt, native)
        wait_for(native, "half~copy", "delivered")
        assert receipt.printed().count(b"\x1b@** POSSIBLE COPY **\n" + b"x" * LONG) == 1


def test_what_waits_for_a_printer_that_is_configured_no_more_is_told(serve, label):
    label.set("media-empty", True)
    with serve({"Label": on(label)}) as server, server.native() as native:
        native.ask("print", printer="Label", data="x", options={"id": "a"})
    with serve({"Other": on(label)}) as server, server.native() as native:
        job = wait_for(native, "a", "failed")
        assert job["error"]["code"] == "unknown-printer"
    assert label.printed() == b""


def test_what_waits_for_a_printer_that_got_another_name_is_its_own_still(serve, label):
    label.set("media-empty", True)
    with serve({"Label": on(label)}) as server, server.native() as native:
        native.ask("print", printer="Label", data="x", options={"id": "a"})
        config = Config(server.app._config.server, {"Etikett": on(label)})
        server.call(server.app.apply, config)
    label.set("media-empty", False)
    with serve({"Etikett": on(label)}) as server, server.native() as native:
        assert wait_for(native, "a", "delivered")["printer"] == "Etikett"
    assert label.printed() == b"x"


def test_a_printer_that_was_paused_is_so_after_a_restart_until_it_is_resumed(serve, label):
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert native.ask("printers.pause", printer="Label")["paused"]
        native.ask("print", printer="Label", data="x", options={"id": "a"})
    with serve({"Label": on(label)}) as server, server.native() as native:
        (printer,) = native.ask("printers.list")
        assert printer["paused"]
        assert native.ask("printers.status", printer="Label")["state"] == "idle", "it can be asked"
        assert native.ask("jobs.get", id="a")["state"] == "pending"
        assert label.printed() == b""
        assert not native.ask("printers.resume", printer="Label")["paused"]
        wait_for(native, "a", "delivered")
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert not native.ask("printers.list")[0]["paused"]


def test_a_stand_in_prints_what_has_waited_too_long(serve, virtual):
    first, second = virtual("escpos", reasons=["media-empty"]), virtual("escpos")
    config = {
        "Kitchen": on(first, "escpos", stand_in="Bar", stand_in_after="0.5s"),
        "Bar": on(second, "escpos"),
    }
    with serve(config) as server, server.native() as native:
        assert native.ask("print", printer="Kitchen", data="soup\n", options={"id": "soup"})["printer"] == "Kitchen"
        assert wait_for(native, "soup", "delivered")["printer"] == "Bar"
        assert [printer["pending"] for printer in native.ask("printers.list")] == [0, 0]
        first.set("media-empty", False)
        native.ask("print", printer="Kitchen", data="salad\n", options={"id": "salad"})
        assert wait_for(native, "salad", "delivered")["printer"] == "Kitchen"
        # It can be canceled where it is now, and the journal knows where.
        first.set("media-empty", True)
        second.set("media-empty", True)
        for name in config:  # else their buffers would take it
            assert native.ask("printers.status", printer=name)["state"] == "stopped"
        native.ask("print", printer="Kitchen", data="bread\n", options={"id": "bread"})
        deadline = time.monotonic() + PATIENCE
        while native.ask("jobs.get", id="bread")["printer"] != "Bar":
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
    second.set("media-empty", False)
    with serve(config) as server, server.native() as native:
        assert wait_for(native, "bread", "delivered")["printer"] == "Bar"
    assert (first.printed(), second.printed()) == (b"salad\n", b"soup\nbread\n")


@pytest.mark.parametrize(
    ("stand_in", "said"), [("Baz", "'Baz' is no other"), ("Kitchen", "no other"), ("Label", "another dialect")]
)
def test_a_stand_in_that_can_be_none(stand_in, said):
    with pytest.raises(ConfigError, match=said) as caught:
        parse(
            f'[printers.Kitchen]\naddress = "tcp://10.0.0.1"\ndialect = "escpos"\nstand_in = "{stand_in}"\n'
            '[printers.Bar]\naddress = "tcp://10.0.0.2"\ndialect = "escpos"\n'
            '[printers.Label]\naddress = "tcp://10.0.0.3"\ndialect = "tspl"\n'
        )
    assert caught.value.mistakes[0].line == 4
    if stand_in == "Baz":
        assert "'Bar'" in caught.value.hint


def test_last_nights_tickets_are_not_printed_in_the_morning(serve, label, tmp_path):
    label.set("media-empty", True)
    config = {"Label": on(label, expires="1s")}
    with serve(config) as server, server.native() as native:
        native.ask("print", printer="Label", data="x", options={"id": "night"})
        wait_for(native, "night", "expired")
        native.ask("print", printer="Label", data="x", options={"id": "morning", "expires": 60})
        native.ask("print", printer="Label", data="x", options={"id": "late"})
    with Journal(tmp_path / "state" / "jobs.db") as journal:
        (late,) = [entry for entry, _ in journal.unfinished() if entry.id == "late"]
        threading.Event().wait(max(late.expires - time.time(), 0))
    label.set("media-empty", False)
    with serve(config) as server, server.native() as native:
        wait_for(native, "late", "expired")
        wait_for(native, "morning", "delivered")
    assert label.printed() == b"x"


def test_two_servers_do_not_share_a_folder(serve, label):
    with serve({"Label": on(label)}), pytest.raises(JournalTaken), serve({"Label": on(label)}):
        pass


def test_a_damaged_journal_is_no_reason_to_stop(serve, label, tmp_path, caplog):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "jobs.db").write_bytes(b"not a database " * 1000)
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert "damaged" in caplog.text
        native.ask("print", printer="Label", data="x", options={"id": "a"})
        wait_for(native, "a", "delivered")


def test_a_job_that_the_journal_does_not_take_is_refused(serve, label):
    with serve({"Label": on(label)}) as server, server.native() as native:
        journal = server.app._journal
        journal._writer.execute("PRAGMA query_only = 1")
        with pytest.raises(Refused, match="journal"):
            native.ask("print", printer="Label", data="x", options={"id": "a"})
        journal._writer.execute("PRAGMA query_only = 0")
        native.ask("print", printer="Label", data="x", options={"id": "a"})
        wait_for(native, "a", "delivered")
    assert label.printed() == b"x"


@pytest.mark.parametrize("durability", ["power", "process"])
def test_health_says_what_a_job_survives(serve, durability):
    with serve({}, durability=durability) as server:
        _, _, body = server.http(["GET /health"])
        assert json.loads(body)["durability"] == durability


def test_ten_thousand_jobs_that_wait(serve, label, tmp_path):
    with Journal(tmp_path / "state" / "jobs.db", durability="process") as journal:
        done = threading.Semaphore(0)
        for number in range(10_000):
            journal.accept(journal.number(), f"job-{number}", "Label", b"x" * 300, lambda _: done.release())
        for _ in range(10_000):
            done.acquire()
    label.set("media-empty", True)
    with serve({"Label": on(label)}) as server, server.native() as native:
        assert len(native.ask("jobs.list", state="pending")) == 10_000
        with pytest.raises(Refused, match="queue-full"):
            native.ask("print", printer="Label", data="x")


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("10m", 600), ("4h", 14400), ("7d", 604800), ("1.5h", 5400), ("never", None)]
)
def test_times(text, value):
    assert seconds(text) == value


def test_what_is_no_time():
    for text in ("", "4", "h", "-1h", "4 h", "1e9d", "9999999d"):
        with pytest.raises(ConfigError) as caught:
            parse(f'[printers.Label]\naddress = "tcp://10.0.0.1"\nexpires = "{text}"')
        assert "4h" in caught.value.hint
    with pytest.raises(ConfigError):
        parse('[server]\nremember = "never"')


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt-get install strace)")
@pytest.mark.parametrize("durability", ["power", "process"])
def test_it_is_on_the_disk_before_it_is_acknowledged_and_before_the_first_byte(label, tmp_path, durability):
    """As the kernel saw it: a job's bytes go into the log, the log is flushed, and only then do the reply and the bytes go out."""
    (tmp_path / "server.toml").write_text(
        f'[server]\nport = 0\nstate_dir = "{tmp_path / "state"}"\ndurability = "{durability}"\n'
        f'[printers.Label]\naddress = "{label.address}"\ndialect = "tspl"\n'
    )
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-D",  # the server is the process that is started, and strace one beside it
        "-f",
        "-s",
        "200000",
        "-xx",
        "-e",
        "trace=fdatasync,fsync,pwrite64,sendto,sendmsg,write,writev",
        "-o",
        str(trace),
    ]
    server = subprocess.Popen(
        [*command, sys.executable, "-m", "rawprint_server", "--config", str(tmp_path / "server.toml")],
        stdout=subprocess.PIPE,
    )
    with server:
        url = json.loads(server.stdout.readline())["url"]
        from websockets.sync.client import connect

        with connect(url, subprotocols=["rawprint.v1"], compression=None) as ws:
            for number in range(3):
                params = {
                    "printer": "Label",
                    "data": f"<TICKET {number}>\r\n",
                    "options": {"wait": "accepted", "id": f"ID-{number}"},
                }
                ws.send(json.dumps({"call": "print", "uid": "u", "params": params}))
                assert "result" in json.loads(ws.recv(PATIENCE))
                assert label.wait(lambda d, n=number: b"<TICKET %d>\r\n" % n in d.printed, 2 * PATIENCE)
        server.terminate()
    deadline = time.monotonic() + PATIENCE
    while f"{server.pid} +++" not in re.sub(" +", " ", trace.read_text()):
        assert time.monotonic() < deadline
    lines = [
        re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), line) for line in trace.read_text().splitlines()
    ]
    for number in range(3):
        ticket, id = f"<TICKET {number}>", f"ID-{number}"
        logged = next(n for n, line in enumerate(lines) if "pwrite64" in line and ticket in line)
        replied = next(n for n, line in enumerate(lines) if "pwrite64" not in line and "result" in line and id in line)
        printed = next(n for n, line in enumerate(lines) if "pwrite64" not in line and ticket in line)
        flushes = [n for n, line in enumerate(lines) if re.search(r"f(data)?sync.*= 0", line)]
        flushed = next((n for n in flushes if n > logged), len(lines))
        assert logged < min(replied, printed), "on its way to the disk"
        assert (flushed < min(replied, printed)) == (durability == "power")


def test_the_command_line_settles_jobs(serve, virtual, capsys):
    label = virtual("tspl", media=1000)
    with serve({"Label": on(label)}) as server, server.native() as native:
        cut_off(label, native)

        def run(*words):
            code = main(["jobs", words[0], *words[1:], "--server", server.url, "--json"])
            out, err = capsys.readouterr()
            assert err == ""
            return code, json.loads(out)

        code, (job,) = run("list", "--state", "uncertain", "--printer", "Label")
        assert (code, job["id"], job["state"]) == (0, "half", "uncertain")
        assert run("show", "half") == (0, job)
        assert run("cancel", "half") == (1, {"error": failure("too-late")})
        assert main(["jobs", "list", "--server", server.url]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert "half" in line
        assert "uncertain" in line
        assert run("resolve", "half", "--print-again")[1]["id"] == "half~again"
        assert run("resolve", "half", "--discard")[1]["error"]["code"] == "not-uncertain"
    assert main(["jobs", "list", "--server", server.url, "--timeout", "1"]) == 3
    assert "start rawprint-server" in capsys.readouterr().err
    assert main(["jobs", "list", "--server", "http://x"]) == 2


def failure(code):
    return {"code": code, "message": ANY, "hint": ANY}
