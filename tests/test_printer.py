"""Printer: the loop that writes, asks and attributes answers, against virtual printers, bad clones and strangers."""

from __future__ import annotations

import threading
import time

import pytest

import rawprint
from rawprint import PrinterState, Reason
from rawprint.virtual import CLONES

from .conftest import reset

LANGUAGES = (
    "tspl",
    "escpos",
    "star",
    "zpl",
)


def drain(connection):
    with connection:
        while connection.recv(4096):
            pass


# -- status ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", LANGUAGES)
def test_status_follows_the_printer(virtual, dialect):
    listener = virtual(dialect)
    with rawprint.open(listener.address, dialect) as printer:
        assert printer.status().state is PrinterState.IDLE
        for reason in ("media-empty", "cover-open"):
            listener.set(reason, True)
            status = printer.status()
            assert status.state is PrinterState.STOPPED
            assert status.reasons[Reason(reason)] is True
            listener.set(reason, False)
            status = printer.status()
            assert status.state is PrinterState.IDLE
        assert [exchange.sent for exchange in status.raw] == {
            "tspl": [b"\x1b!?", b"\x1b!S"],
            "escpos": [b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"],
            "star": [b"\x1b\x06\x01"] * 2,
            "zpl": [b"~HQES\n", b"~HS\n"],
        }[dialect]


def test_in_process_virtual_printer_names_its_language():
    with rawprint.open("virtual://tspl?media-empty=true&cover-open=true") as printer:
        assert set(printer.status().stop_reasons) == {Reason.MEDIA_EMPTY, Reason.COVER_OPEN}
    with rawprint.open("virtual://escpos") as printer:
        assert printer.print(b"hello\n") == 6
        assert printer.status().state is PrinterState.IDLE


@pytest.mark.parametrize(
    "address", ["virtual://klingon", "virtual://tspl?warp=true", "virtual://tspl?media-empty=maybe"]
)
def test_bad_virtual_printers(address):
    with pytest.raises(rawprint.AddressError) as caught:
        rawprint.open(address)
    assert caught.value.hint


def test_without_a_language_nothing_is_asked(virtual):
    listener = virtual("tspl")
    with rawprint.open(listener.address) as printer:
        assert printer.status().state is PrinterState.UNKNOWN
        printer.print(b"CLS\r\n")
    assert listener.wait(lambda d: d.received == b"CLS\r\n", 5)


def test_unknown_language():
    with pytest.raises(rawprint.AddressError, match="klingon") as caught:
        rawprint.open("tcp://127.0.0.1:1", "klingon")
    assert "tspl" in caught.value.hint


def test_closed_port(closed_port):
    with pytest.raises(rawprint.PrinterNotFound, match="refused") as caught:
        rawprint.open(f"tcp://127.0.0.1:{closed_port}", "tspl")
    assert caught.value.code == "not-found"
    assert "port" in caught.value.hint


def test_unknown_host():
    with pytest.raises(rawprint.PrinterNotFound, match="no host"):
        rawprint.open("tcp://no-such-host.invalid", "tspl")


@pytest.mark.parametrize("address", ["usb://ffff:ffff", "serial:///dev/rawprint-none", "lp:///dev/usb/rawprint-none"])
def test_what_is_not_plugged_in_is_not_found(address):
    with pytest.raises(rawprint.PrinterNotFound) as caught:
        rawprint.open(address, "tspl")
    assert caught.value.hint


# -- strangers at the port ------------------------------------------------------------------------------------------

STRANGERS = {
    "silent": (lambda c, _: drain(c), rawprint.NoReply),
    "ssh banner at once": (
        lambda c, _: (c.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n"), drain(c)),
        rawprint.BadReply,
    ),
    "http error": (
        lambda c, _: (c.recv(64), c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), drain(c)),
        rawprint.BadReply,
    ),
    "zeros": (lambda c, _: (c.recv(64), c.sendall(bytes(40)), drain(c)), rawprint.BadReply),
    "0xff": (lambda c, _: (c.recv(64), c.sendall(b"\xff" * 3), drain(c)), rawprint.BadReply),
    "echo": (lambda c, _: [c.sendall(d) for d in iter(lambda: c.recv(64), b"")], rawprint.BadReply),
    "closes": (lambda c, _: c.recv(64), rawprint.Disconnected),
    "resets": (lambda c, _: (c.recv(64), reset(c)), rawprint.Disconnected),
}


@pytest.mark.parametrize("dialect", LANGUAGES)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_never_a_state(peer, stranger, dialect):
    serve, error = STRANGERS[stranger]
    stranger_peer = peer(serve)
    began = time.monotonic()
    with rawprint.open(stranger_peer.address, dialect) as printer, pytest.raises(error) as caught:
        printer.status(timeout=0.4)
    assert time.monotonic() - began < 2.0
    assert caught.value.hint
    assert printer.reported is None


def test_bytes_that_trickle_in_after_an_answer_are_no_state(peer):
    """The first byte alone would be a fine TSPL status."""

    def serve(connection, _):
        connection.recv(64)
        connection.sendall(b"\x00")
        connection.recv(64, 0)
        connection.sendall(b"\x00")

    with rawprint.open(peer(serve).address, "tspl") as printer, pytest.raises(rawprint.BadReply):
        printer.status(timeout=1.0)


def test_jam_is_told_from_the_head_of_a_frame(peer):
    """02 is a jam, and the first byte of the long status: what follows decides, also when it comes later."""

    def jam(connection, _):
        connection.recv(3)
        connection.sendall(b"\x02")
        connection.recv(3)
        connection.sendall(b"\x02E@@B\x03\r\n")
        drain(connection)

    with rawprint.open(peer(jam).address, "tspl") as printer:
        assert printer.status(1.0).stop_reasons == (Reason.MEDIA_JAM,)

    def frame(connection, _):
        connection.recv(3)
        for byte in b"\x02@@@@\x03\r\n":
            connection.sendall(bytes([byte]))
        drain(connection)

    with rawprint.open(peer(frame).address, "tspl") as printer, pytest.raises(rawprint.BadReply):
        printer.status(1.0)


def test_an_answer_that_comes_after_its_time_is_not_taken_for_the_next(peer):
    def serve(connection, _):
        connection.recv(3)  # ESC !?
        connection.sendall(b"\x00")
        connection.recv(3)  # ESC !S
        connection.sendall(b"\x02@@@@\x03\r\n")
        connection.recv(3)  # ESC !? again: silence, the caller gives up
        connection.recv(3)  # asked once more: now both answers
        connection.sendall(b"\x00\x04")
        connection.recv(3)
        connection.sendall(b"\x02E@@A\x03\r\n")
        drain(connection)

    with rawprint.open(peer(serve).address, "tspl") as printer:
        assert printer.status(1.0).state is PrinterState.IDLE
        with pytest.raises(rawprint.NoReply):
            printer.status(0.2)
        assert printer.status(1.0).stop_reasons == (Reason.MEDIA_EMPTY,)


def test_a_question_passed_over_is_forgiven_once_the_printer_was_in_step(peer):
    """DLE EOT 4 is unknown to this printer: its silence is remembered, and spoils nothing."""
    asked = []

    def serve(connection, _):
        while question := connection.recv(3):
            asked.append(question)
            if question != b"\x10\x04\x04":
                connection.sendall(b"\x12")

    with rawprint.open(peer(serve).address, "escpos") as printer:
        first = printer.status(3.0)
        assert first.state is PrinterState.IDLE
        assert Reason.MEDIA_EMPTY not in first.reasons
        assert printer.capabilities.silent == {"dle-eot-4"}
        assert printer.status(3.0).state is PrinterState.IDLE
    assert asked.count(b"\x10\x04\x04") == 1


def test_a_slow_printer_is_not_taken_for_one_that_passes_over_questions(peer):
    """Each answer takes 0.6 s: longer than the first wait for an optional one, and none may be taken for another's."""

    def serve(connection, _):
        answers = {1: b"\x12", 2: b"\x12", 3: b"\x12", 4: b"\x72"}
        while question := connection.recv(3):
            threading.Event().wait(0.6)
            connection.sendall(answers[question[2]])

    with rawprint.open(peer(serve).address, "escpos") as printer:
        for _ in range(2):
            assert printer.status(6.0).stop_reasons == (Reason.MEDIA_EMPTY,)


def test_the_undocumented_question_is_asked_once_whatever_comes_of_it(peer):
    asked = []

    def serve(connection, _):
        answers = {b"\x1b!?": b"\x00", b"\x1b!S": b"", b"~!S\r\n": b"garbage"}
        while question := connection.recv(16):
            asked.append(question)
            connection.sendall(answers[question])

    with rawprint.open(peer(serve).address, "tspl") as printer:
        with pytest.raises(rawprint.BadReply):
            printer.status(5.0)
        for _ in range(2):
            assert printer.status(5.0).state is PrinterState.IDLE
    assert asked.count(b"~!S\r\n") == 1


def test_an_exchange_that_is_cut_off_is_no_state(peer):
    slow = threading.Event()

    def serve(connection, _):
        while question := connection.recv(3):
            if slow.is_set() and question != b"\x10\x04\x01":
                continue
            connection.sendall(b"\x12")

    with rawprint.open(peer(serve).address, "escpos") as printer:
        assert printer.status().state is PrinterState.IDLE
        slow.set()
        with pytest.raises(rawprint.NoReply):
            printer.status(0.4)


def test_a_push_in_front_of_an_answer(virtual):
    listener = virtual("escpos", push=True)
    with rawprint.open(listener.address, "escpos") as printer:
        for number in range(4):
            listener.set("cover-open", number % 2 == 0)
            assert (printer.status().state is PrinterState.STOPPED) == (number % 2 == 0)


def test_pushes_are_heard_without_asking(virtual):
    listener = virtual("escpos", push=True)
    with rawprint.open(listener.address, "escpos") as printer:
        assert listener.wait(lambda d: d is not None, 5)
        listener.set("media-empty", True)
        deadline = time.monotonic() + 5
        while not (printer.reported and printer.reported.reasons.get(Reason.MEDIA_EMPTY)):
            printer.listen(max(deadline - time.monotonic(), 0))
        assert printer.reported.state is PrinterState.STOPPED
        assert listener.received() == b""


# -- what is asked --------------------------------------------------------------------------------------------------


def test_the_undocumented_question_is_asked_once_and_its_silence_remembered(virtual):
    listener = virtual("tspl", clone="short-status")
    capabilities = rawprint.Capabilities()
    for _ in range(2):
        with rawprint.open(listener.address, "tspl", capabilities=capabilities) as printer:
            for _ in range(2):
                assert printer.status(5.0).state is PrinterState.IDLE
    assert capabilities.answered == {"status"}
    assert capabilities.silent == {"status-long", "status-tilde"}
    assert listener.received().count(b"\x1b!S") == 1
    assert listener.received().count(b"~!S") == 1


def test_the_undocumented_question_is_not_asked_where_the_long_status_answers(virtual):
    listener = virtual("tspl")
    with rawprint.open(listener.address, "tspl") as printer:
        printer.status()
    assert b"~!S" not in listener.received()


def test_the_configuration_can_promise_the_undocumented_question(peer):
    asked = []

    def serve(connection, _):
        answers = {b"\x1b!?": b"\x04", b"\x1b!S": b"\x02E@@A\x03\r\n", b"~!S\r\n": b"\x02E@@A\x03\r\n"}
        while question := connection.recv(16):
            asked.append(question)
            connection.sendall(answers[question])

    capabilities = rawprint.Capabilities(promised=frozenset({"status-tilde"}))
    with rawprint.open(peer(serve).address, "tspl", capabilities=capabilities) as printer:
        assert printer.status().stop_reasons == (Reason.MEDIA_EMPTY,)
    assert asked == [b"\x1b!?", b"\x1b!S", b"~!S\r\n"]
    assert "status-tilde" in capabilities.answered


# -- bad clones -----------------------------------------------------------------------------------------------------


def clones():
    for name in CLONES:
        for dialect in LANGUAGES:
            try:
                rawprint.virtual.device(dialect, clone=name)
            except ValueError:
                continue
            yield pytest.param(name, dialect, id=f"{name}-{dialect}")


@pytest.mark.parametrize(("clone", "dialect"), list(clones()))
def test_no_clone_is_called_fine_when_it_is_not(virtual, clone, dialect):
    """Whatever a clone does: polled through a fault, it is never "idle" while it is stopped, and prints nothing."""
    listener = virtual(dialect, clone=clone)
    capabilities = rawprint.Capabilities()

    def ask(printer):
        try:
            return printer.status(0.2).state
        except rawprint.RawprintError:
            return PrinterState.UNKNOWN

    for fault in (None, "media-empty", "cover-open", None):
        for reason in ("media-empty", "cover-open"):
            listener.set(reason, reason == fault)
        # A connection kept, and two new ones: an answer can be left over from either.
        for _ in range(2):
            assert listener.wait(lambda _: listener.state()["connections"] == 0, 5)
            with rawprint.open(listener.address, dialect, capabilities=capabilities) as printer:
                states = [ask(printer), ask(printer)]
            if fault:
                assert PrinterState.IDLE not in states
                assert PrinterState.PROCESSING not in states
            elif clone in ("prints-unknown", "drops-idle", "forgets-push", "inverted-gs-r", "short-status"):
                assert set(states) == {PrinterState.IDLE}
    once = b"~HQES\n~HS\n" if clone == "line-print" else b""  # speaks another language, and nobody can know
    with listener.lock:
        assert listener.device.misprints == once
        assert listener.device.fed == once.count(b"\n") or clone == "feeds-when-asked"
        assert listener.device.printed == once


# -- printing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", LANGUAGES)
def test_every_byte_arrives_once(virtual, dialect):
    listener = virtual(dialect)
    job = b"TEXT " + bytes(range(0x20, 0x7F)) * 3000 + b"\r\n"
    with rawprint.open(listener.address, dialect) as printer:
        assert printer.print(job) == len(job)
        assert printer.wait_acknowledged(10)
    assert listener.wait(lambda d: len(d.received) >= len(job), 10)
    assert listener.received() == job


def test_print_takes_any_buffer(virtual):
    listener = virtual("tspl")
    with rawprint.open(listener.address) as printer:
        for data in (b"A\r\n", bytearray(b"B\r\n"), memoryview(b"C\r\n")):
            assert printer.print(data) == 3
    assert listener.wait(lambda d: d.received == b"A\r\nB\r\nC\r\n", 5)


def test_a_stalled_write_keeps_count_and_goes_on_from_there(virtual):
    listener = virtual("tspl", reasons=["cover-open"])
    job = b"SIZE 40 mm,30 mm\r\n" * 60_000
    with rawprint.open(listener.address, "tspl") as printer:
        with pytest.raises(rawprint.WriteStalled) as caught:
            printer.print(job, timeout=0.3)
        stalled = caught.value
        assert 0 < stalled.written < stalled.total == len(job)
        assert stalled.hint
        assert stalled.reasons == {}
        listener.set("cover-open", False)
        printer.print(job[stalled.written :], timeout=5)
        assert printer.wait_acknowledged(10)
    assert listener.wait(lambda d: len(d.received) >= len(job), 10)
    assert listener.received() == job


def test_a_stalled_write_says_what_the_printer_pushed(virtual):
    listener = virtual("escpos", push=True, media=5000)
    with rawprint.open(listener.address, "escpos") as printer, pytest.raises(rawprint.WriteStalled) as caught:
        printer.print(b"0123456789abcdef\n" * 60_000, timeout=0.6)
    assert caught.value.reasons[Reason.MEDIA_EMPTY] is True


def test_little_is_swallowed_unread(virtual):
    """The count must not run far ahead of the printer: what the connection holds is bounded."""
    listener = virtual("tspl")
    listener.stall(True)
    with rawprint.open(listener.address) as printer:
        with pytest.raises(rawprint.WriteStalled) as caught:
            printer.print(bytes(3_000_000), timeout=0.5)
        assert caught.value.written < 300_000
        acknowledged = printer.sent - printer.unacknowledged()
        assert acknowledged < 64 * 1024
        listener.stall(False)


def test_progress_can_end_it(virtual):
    listener = virtual("tspl", reasons=["cover-open"])
    seen = []

    def progress(written):
        seen.append(written)
        if len(seen) == 3:
            raise rawprint.JobCanceled("enough", written=written)

    with rawprint.open(listener.address) as printer, pytest.raises(rawprint.JobCanceled):
        printer.print(bytes(2_000_000), progress=progress)
    assert seen == sorted(seen)


def test_close_waits_for_the_far_side(peer):
    """Bytes that the printer pushes while it prints must not turn our close into a reset that loses the ticket."""
    got = bytearray()

    def serve(connection, _):
        while len(got) < 20_000:
            got.extend(connection.recv(1000))
            connection.sendall(b"\x14\x00\x00\x00")
        got.extend(connection.recv(1000))

    slow = peer(serve, receive_buffer=4096)
    with rawprint.open(slow.address, "escpos") as printer:
        printer.print(b"x" * 20_000)
    assert bytes(got) == b"x" * 20_000


def test_after_close_everything_says_so(virtual):
    printer = rawprint.open(virtual("tspl").address, "tspl")
    printer.close()
    printer.close()
    for call in (printer.status, printer.listen, lambda: printer.print(b"x")):
        with pytest.raises(rawprint.Disconnected):
            call()


def test_replies_to_questions_in_the_job_itself_spoil_no_status(virtual):
    listener = virtual("escpos")
    with rawprint.open(listener.address, "escpos") as printer:
        printer.print(b"\x1b@hello\n\x1d(H\x06\x0000" + b"0001" + b"\x1dI\x43")
        assert listener.wait(lambda d: d.printed.endswith(b"\x43"), 5)
        assert printer.status().state is PrinterState.IDLE
