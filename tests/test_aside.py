"""Asking beside the print connection: real sockets on loopback, and printers that answer late, wrongly or not at all."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

import pytest

import rawprint
from rawprint import PrinterState, Reason
from rawprint.aside import AsideWatch, ask_aside
from rawprint.channels import CHANNELS
from rawprint.errors import AddressError, BadReply, Disconnected, NoReply, PrinterNotFound, RawprintError
from rawprint.transports.aside import exchange
from rawprint.virtual import device
from rawprint.virtual.card import NetworkCard

PRINTER = "tcp://127.0.0.1"
PATIENCE = 10.0
HEALTHY = bytes.fromhex("23 86 00 00 00 00 00 00 00 00 00")  # Star
TM_M30 = bytes.fromhex("45 50 53 4f 4e 71 03 00 00 10 00 00 00 0d 0e 14 00 00 0f ff ff ff ff 39 41 40 00")
PAPER_OUT = TM_M30[:17] + b"\x0c" + TM_M30[18:]


class Datagrams:
    """A UDP port that does what a test says: `serve(sock, request, peer, number)` runs for each datagram."""

    def __init__(self, serve, host="127.0.0.1"):
        self._serve = serve
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.port = self.sock.getsockname()[1]
        self.requests = []
        self.heard = threading.Condition()
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while self._ended not in select.select([self.sock, self._ended], [], [])[0]:
            with contextlib.suppress(OSError):
                request, peer = self.sock.recvfrom(4096)
                with self.heard:
                    self.requests.append(request)
                    self.heard.notify_all()
                self._serve(self.sock, request, peer, len(self.requests))

    def wait(self, count):
        with self.heard:
            return self.heard.wait_for(lambda: len(self.requests) >= count, PATIENCE)

    def close(self):
        self._end.send(b"\x00")
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        for sock in (self.sock, self._end, self._ended):
            sock.close()


@pytest.fixture
def datagrams():
    """datagrams(serve) -> a running Datagrams."""
    with contextlib.ExitStack() as stack:

        def make(serve, **options):
            made = Datagrams(serve, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def card():
    """card(channel, ...) -> the network card of a virtual printer."""
    with contextlib.ExitStack() as stack:

        def make(channel, *, reasons=(), dialect="tspl", **options):
            return stack.enter_context(NetworkCard(device(dialect, reasons=reasons), channel, **options))

        yield make


@pytest.fixture
def watch():
    """watch(channels, ...) -> a running watch whose calls are kept, closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(channels, **options):
            return stack.enter_context(Kept(channels, **options))

        yield make


class Kept:
    """A watch, and what it told."""

    def __init__(self, channels, **options):
        self.told = []
        self.changed = threading.Condition()
        options = {"interval": 0.02, "timeout": 0.2, "on_status": self._note, "on_silence": self._note, **options}
        self.watch = AsideWatch(PRINTER, channels, **options)

    def _note(self, name, what):
        with self.changed:
            self.told.append((name, what))
            self.changed.notify_all()

    def wait(self, predicate):
        with self.changed:
            assert self.changed.wait_for(lambda: predicate(self.told), PATIENCE), self.told
            return list(self.told)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watch.close(PATIENCE)
        assert not self.watch._thread.is_alive()


def true(status):
    return {str(reason) for reason, value in status.reasons.items() if value}


def answer(reply):
    return lambda sock, _request, peer, _number: sock.sendto(reply, peer)


# -- one question ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "reasons", [(), ("media-empty",), ("cover-open",), ("media-empty", "cover-open")], ids=lambda r: "+".join(r) or "ok"
)
def test_every_channel_tells_what_is_wrong(card, channel, reasons):
    answering = card(channel, reasons=reasons)
    status = ask_aside(PRINTER, f"{channel}:{answering.port}")
    assert true(status) == set(reasons)
    assert status.state is (PrinterState.STOPPED if reasons else PrinterState.IDLE)
    assert status.reasons[Reason.MEDIA_EMPTY] is ("media-empty" in reasons)
    assert status.raw
    assert all(exchange.sent and exchange.received for exchange in status.raw)
    assert answering.asked == 1


def test_printing(card):
    for channel in ("snmp", "tsc"):
        busy = device("tspl", speed=1)
        busy.receive(b"SIZE 40 mm,30 mm\r\nCLS\r\nPRINT 1\r\n")
        with NetworkCard(busy, channel) as answering:
            status = ask_aside(PRINTER, f"{channel}:{answering.port}")
        assert status.state is PrinterState.PROCESSING


def test_a_print_connection_that_another_computer_holds(virtual, card):
    listener = virtual("escpos")
    with socket.create_connection(("127.0.0.1", listener.port)) as holder:
        holder.sendall(b"hello\n")
        assert listener.wait(lambda printer: b"hello" in printer.received, PATIENCE)
        with NetworkCard(listener.device, "epson", lock=listener.lock) as answering:
            listener.set("media-empty", True)
            status = ask_aside(listener.address, f"epson:{answering.port}")
    assert true(status) >= {"media-empty"}
    assert listener.received() == b"hello\n"
    assert listener.state()["connections_total"] == 1


def test_an_snmp_agent_that_knows_half(card):
    answering = card("snmp", reasons=["media-empty"], printer_status=False)
    status = ask_aside(PRINTER, f"snmp:{answering.port}")
    assert true(status) == {"media-empty"}
    assert status.processing is None
    assert len(status.raw) == answering.asked == 2


def test_an_agent_that_knows_nothing(datagrams):
    def refuse(sock, request, peer, _number):
        at = request.index(b"\xa0")
        error = request.index(b"\x02\x01\x00\x02\x01\x00", at)
        sock.sendto(request[:at] + b"\xa2" + request[at + 1 : error] + b"\x02\x01\x02" + request[error + 3 :], peer)

    agent = datagrams(refuse)
    with pytest.raises(BadReply) as caught:
        ask_aside(PRINTER, f"snmp:{agent.port}")
    assert "does not tell its state by snmp" in str(caught.value)
    assert caught.value.raw
    assert len(agent.requests) == 2


def test_every_snmp_question_has_its_own_number(card, datagrams):
    silent = datagrams(lambda *_: None)
    for _ in range(3):
        with pytest.raises(NoReply):
            ask_aside(PRINTER, f"snmp:{silent.port}", timeout=0.03)
    assert len(set(silent.requests)) == 3


@pytest.mark.parametrize("address", ["virtual://tspl", "usb://04b8:0e15", "serial:///dev/ttyUSB0", "lp:///dev/usb/lp0"])
def test_only_network_printers_have_channels(address):
    with pytest.raises(AddressError) as caught:
        ask_aside(address, "snmp")
    assert "tcp://" in caught.value.hint


def test_what_cannot_be_asked():
    for address, channel in (("nonsense", "snmp"), (PRINTER, "carrier-pigeon"), (PRINTER, "snmp:0")):
        with pytest.raises(AddressError):
            ask_aside(address, channel)
        with pytest.raises(AddressError):
            AsideWatch(address, [channel], on_status=lambda *_: None)


def test_the_print_port_does_not_matter(card):
    answering = card("epson")
    assert ask_aside("tcp://127.0.0.1:1", f"epson:{answering.port}").state is PrinterState.IDLE


def test_names(card):
    assert ask_aside("tcp://localhost", f"epson:{card('epson').port}").state is PrinterState.IDLE
    for channel in ("epson", "star"):
        with pytest.raises(PrinterNotFound, match="no host"):
            ask_aside("tcp://no.such.host.invalid", channel)


@pytest.fixture
def ipv6():
    """An IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize("channel", ["epson", "star"])
@pytest.mark.usefixtures("ipv6")
def test_ipv6(card, channel):
    answering = card(channel, host="::1")
    assert ask_aside("tcp://[::1]", f"{channel}:{answering.port}").state is PrinterState.IDLE


@pytest.fixture
def name_with(monkeypatch):
    """name_with(targets) -> from now on every name has these addresses."""

    def replace(*targets):
        found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", target) for target in targets]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return replace


def test_a_name_with_several_addresses(name_with, card, datagrams, closed_port):
    silent, answering = datagrams(lambda *_: None), card("epson")
    for nobody in (closed_port, silent.port):
        name_with(("127.0.0.1", nobody), ("127.0.0.1", answering.port))
        assert ask_aside("tcp://printer", "epson", timeout=0.4).state is PrinterState.IDLE
    name_with(("127.0.0.1", silent.port), ("127.0.0.1", closed_port))
    begun = time.monotonic()
    with pytest.raises(NoReply):
        ask_aside("tcp://printer", "epson", timeout=0.4)
    assert time.monotonic() - begun < 3
    name_with()
    with pytest.raises(PrinterNotFound):
        ask_aside("tcp://printer", "epson")


# -- UDP ---------------------------------------------------------------------------------------------------------


def test_silence(datagrams):
    silent = datagrams(lambda *_: None)
    begun = time.monotonic()
    with pytest.raises(NoReply) as caught:
        ask_aside(PRINTER, f"epson:{silent.port}", timeout=0.3)
    assert 0.29 <= time.monotonic() - begun < 3
    assert caught.value.hint
    assert len(silent.requests) == 2  # the second after a third of the time


def test_a_lost_datagram_is_asked_for_again(datagrams):
    def second(sock, _request, peer, number):
        if number == 2:
            sock.sendto(TM_M30, peer)

    printer = datagrams(second)
    assert ask_aside(PRINTER, f"epson:{printer.port}", timeout=3.0).state is PrinterState.IDLE
    assert printer.requests[0] == printer.requests[1]


def test_late_and_twice(datagrams):
    def late(sock, _request, peer, number):
        if number == 2:
            sock.sendto(PAPER_OUT, peer)  # the answer to the first
            sock.sendto(TM_M30, peer)

    printer = datagrams(late)
    assert true(ask_aside(PRINTER, f"epson:{printer.port}", timeout=0.9)) == {"media-empty"}


def test_too_late(datagrams):
    done = threading.Event()
    printer = datagrams(lambda sock, _request, peer, _number: done.wait(PATIENCE) and sock.sendto(TM_M30, peer))
    with pytest.raises(NoReply):
        ask_aside(PRINTER, f"epson:{printer.port}", timeout=0.1)
    done.set()


@pytest.mark.parametrize("reply", [b"garbage", b"\x00" * 1400, b"x" * 60_000, TM_M30[:-1]])
@pytest.mark.parametrize("channel", ["snmp", "epson"])
def test_garbage(datagrams, channel, reply):
    printer = datagrams(answer(reply))
    with pytest.raises(BadReply) as caught:
        ask_aside(PRINTER, f"{channel}:{printer.port}")
    assert caught.value.raw == reply[:256]


def test_an_empty_datagram_is_nothing(datagrams):
    def empty_first(sock, _request, peer, _number):
        sock.sendto(b"", peer)
        sock.sendto(TM_M30, peer)

    assert ask_aside(PRINTER, f"epson:{datagrams(empty_first).port}").state is PrinterState.IDLE


def test_another_programs_answer_is_passed_over(datagrams):
    def first_anothers(sock, _request, peer, _number):
        sock.sendto(b"EPSONq\x03\x00\x00\x00" + bytes(4), peer)
        sock.sendto(PAPER_OUT, peer)

    assert true(ask_aside(PRINTER, f"epson:{datagrams(first_anothers).port}")) == {"media-empty"}


def test_a_flood_of_what_is_no_answer_ends_in_time(datagrams):
    def flood(sock, _request, peer, _number):
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            sock.sendto(b"EPSONq\x03\x00\x00\x00" + bytes(4), peer)

    begun = time.monotonic()
    with pytest.raises(NoReply):
        ask_aside(PRINTER, f"epson:{datagrams(flood).port}", timeout=0.2)
    assert time.monotonic() - begun < 3


def test_answers_from_elsewhere_are_nothing(datagrams):
    def from_elsewhere(_sock, _request, peer, _number):
        for host in ("127.0.0.1", "127.0.0.2"):  # another port, another host
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind((host, 0))
                other.sendto(TM_M30, peer)

    printer = datagrams(from_elsewhere)
    with pytest.raises(NoReply):
        ask_aside(PRINTER, f"epson:{printer.port}", timeout=0.2)
    assert len(printer.requests) == 2


def test_a_closed_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(PrinterNotFound, match="nothing listens") as caught:
        ask_aside(PRINTER, f"epson:{port}", timeout=PATIENCE)
    assert caught.value.hint
    assert time.monotonic() - begun < PATIENCE / 2


# -- TCP ---------------------------------------------------------------------------------------------------------


def test_a_star_status_in_pieces(peer):
    asked = []

    def serve(connection, _number):
        asked.append(connection.recv(100))
        for byte in HEALTHY:
            connection.sendall(bytes([byte]))

    printer = peer(serve)
    status = ask_aside(PRINTER, f"star:{printer.port}")
    assert status.state is PrinterState.IDLE
    assert asked == [status.raw[0].sent] == [b"2" + bytes(50)]
    assert status.raw[0].received == HEALTHY


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", Disconnected),  # a wrong command byte
        (HEALTHY[:5], BadReply),
        (b"\x12", BadReply),
        (b"HTTP/1.1 400 Bad Request", BadReply),
    ],
)
def test_what_is_no_star(peer, reply, error):
    def serve(connection, _number):
        connection.recv(100)
        connection.sendall(reply)

    with pytest.raises(error):
        ask_aside(PRINTER, f"star:{peer(serve).port}")


def test_a_star_that_is_silent(peer):
    done = threading.Event()
    printer = peer(lambda _connection, _number: done.wait(PATIENCE))
    begun = time.monotonic()
    with pytest.raises(NoReply):
        ask_aside(PRINTER, f"star:{printer.port}", timeout=0.2)
    assert 0.19 <= time.monotonic() - begun < 3
    done.set()


def test_a_star_that_never_ends(peer):
    def serve(connection, _number):
        while True:
            connection.sendall(HEALTHY * 100)

    # What comes after the status is read away for a while, and then left.
    assert ask_aside(PRINTER, f"star:{peer(serve).port}").state is PrinterState.IDLE


def test_a_reply_over_tcp_is_bounded(peer):
    def serve(connection, _number):
        while True:
            connection.sendall(b"x" * 1000)

    with pytest.raises(BadReply, match="more than 500 bytes"):
        exchange("127.0.0.1", peer(serve).port, "tcp", b"?", lambda _reply: None, timeout=PATIENCE, max_reply=500)


def test_a_closed_tcp_port(closed_port):
    with pytest.raises(PrinterNotFound, match="refused"):
        ask_aside(PRINTER, f"star:{closed_port}")


# -- again and again ---------------------------------------------------------------------------------------------


def test_a_watch_tells_each_answer(watch, card):
    epson, star = card("epson"), card("star", reasons=["cover-open"])
    names = [f"epson:{epson.port}", f"star:{star.port}"]
    told = watch(names).wait(lambda told: len(told) >= 6)
    assert [name for name, _ in told[:6]] == names * 3
    assert all(true(what) == ({"cover-open"} if name == names[1] else set()) for name, what in told)


def test_a_watch_sees_changes(watch, virtual):
    listener = virtual("escpos")
    with NetworkCard(listener.device, "epson", lock=listener.lock) as answering:
        kept = watch([f"epson:{answering.port}"])
        for value in (True, False, True):
            listener.set("media-empty", value)
            kept.told.clear()
            kept.wait(lambda told, value=value: told and told[-1][1].reasons[Reason.MEDIA_EMPTY] is value)


def test_silence_is_told_and_asked_less_and_less(watch, datagrams):
    silent = datagrams(lambda *_: None)
    kept = watch([f"epson:{silent.port}"], timeout=0.01, interval=0.02)
    begun = time.monotonic()
    told = kept.wait(lambda told: len(told) >= 4)
    assert time.monotonic() - begun >= 0.75 * (0.04 + 0.08 + 0.16)
    assert all(isinstance(what, NoReply) for _, what in told)


def test_a_silent_channel_does_not_slow_the_other(watch, card, datagrams):
    silent, answering = datagrams(lambda *_: None), card("epson")
    kept = watch([f"tsc:{silent.port}", f"epson:{answering.port}"], timeout=0.01)
    told = kept.wait(lambda told: sum(name.startswith("epson") for name, _ in told) >= 30)
    assert 1 <= sum(name.startswith("tsc") for name, _ in told) <= 10


def test_a_channel_that_comes_back(watch, card):
    answering = card("epson")
    kept = watch([f"epson:{answering.port}"], timeout=0.05)
    kept.wait(lambda told: told and not isinstance(told[-1][1], RawprintError))
    answering.silent = True
    kept.wait(lambda told: isinstance(told[-1][1], NoReply))
    answering.silent = False
    kept.wait(lambda told: not isinstance(told[-1][1], RawprintError))


def pauses(known, failures, interval):
    from rawprint.aside import _Turn

    turn = _Turn("snmp")
    if known:
        turn.note(answered=True)
    for _ in range(failures):
        turn.note(answered=False)
    return turn.due(interval) - time.monotonic()


@pytest.mark.parametrize(
    ("known", "failures", "interval", "longest"),
    [
        (True, 0, 2.0, 2.0),
        (False, 1, 2.0, 4.0),
        (False, 2, 2.0, 8.0),
        (False, 5, 2.0, 60.0),
        (False, 5000, 2.0, 60.0),
        (True, 1, 2.0, 4.0),
        (True, 2, 2.0, 5.0),
        (True, 5000, 0.1, 5.0),
        (True, 9, 30.0, 30.0),
        (False, 9, 3600.0, 3600.0),
    ],
)
def test_how_long_a_channel_is_left_alone(known, failures, interval, longest):
    lengths = [pauses(known, failures, interval) for _ in range(50)]
    assert all(0.74 * longest <= length <= longest for length in lengths)
    if failures:
        assert max(lengths) - min(lengths) > 0.05 * longest  # not all at the same time


def test_the_interval_can_be_changed(watch, card):
    answering = card("epson")
    kept = watch([f"epson:{answering.port}"], interval=0)
    assert kept.watch.interval == 0
    kept.watch.interval = 3600.0
    kept.wait(lambda told: len(told) == 1)
    kept.watch.interval = 0.01
    kept.wait(lambda told: len(told) >= 10)
    kept.watch.interval = 0
    asked = answering.asked
    assert not threading.Event().wait(0.1)
    assert answering.asked <= asked + 1  # one may have been under way


@pytest.mark.parametrize("interval", [-1, float("nan"), float("inf")])
def test_what_is_no_interval(watch, interval):
    with pytest.raises(ValueError, match="interval"):
        AsideWatch(PRINTER, ["snmp"], on_status=lambda *_: None, interval=interval)
    kept = watch(["snmp"], interval=0)
    with pytest.raises(ValueError, match="interval"):
        kept.watch.interval = interval
    assert kept.watch.interval == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_what_is_no_timeout(timeout):
    with pytest.raises(ValueError, match="time-out"):
        AsideWatch(PRINTER, ["snmp"], on_status=lambda *_: None, timeout=timeout)


def test_exceptions_of_callbacks_are_shown_and_end_nothing(watch, card, datagrams, monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_type))
    answering, silent = card("epson"), datagrams(lambda *_: None)
    counted = threading.Semaphore(0)

    def broken(_name, what):
        counted.release()
        raise KeyError(what)

    watch([f"epson:{answering.port}", f"tsc:{silent.port}"], on_status=broken, on_silence=broken, timeout=0.01)
    for _ in range(8):
        assert counted.acquire(timeout=PATIENCE)
    assert set(shown) == {KeyError}
    assert answering.asked > 3  # what a callback does is no silence


def test_a_bug_ends_no_watch(watch, card, monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_type))
    answering = card("epson")
    asks = iter([MemoryError()])
    really = exchange

    def failing(*arguments, **options):
        for error in asks:
            raise error
        return really(*arguments, **options)

    monkeypatch.setattr("rawprint.transports.aside.exchange", failing)
    watch([f"epson:{answering.port}"]).wait(len)
    assert shown == [MemoryError]


def test_nobody_need_hear_of_silence(watch, datagrams):
    silent = datagrams(lambda *_: None)
    watch([f"epson:{silent.port}"], on_silence=None, timeout=0.01)
    assert silent.wait(4)


def test_without_channels_there_is_nothing_to_do(watch):
    assert watch([]).told == []


def test_close_ends_the_thread_and_the_calls(card):
    answering = card("epson")
    kept = Kept([f"epson:{answering.port}"])
    kept.wait(len)
    kept.watch.close()
    assert not kept.watch._thread.is_alive()
    told = len(kept.told)
    kept.watch.close()
    kept.watch.interval = 0.01
    assert not threading.Event().wait(0.05)
    assert len(kept.told) == told


def test_close_waits_for_a_question_at_most_its_time_out(datagrams):
    silent = datagrams(lambda *_: None)
    kept = Kept([f"epson:{silent.port}"], timeout=1.0)
    assert silent.wait(1)
    begun = time.monotonic()
    kept.watch.close(0)
    assert kept.watch._thread.is_alive()
    kept.watch.close(PATIENCE)
    assert time.monotonic() - begun < 4
    assert not kept.watch._thread.is_alive()
    assert kept.told == []


def test_close_from_a_callback(card):
    answering = card("epson")
    made = threading.Event()
    watches = []

    def close(_name, _status):
        made.wait(PATIENCE)
        watches[0].close()

    watches.append(AsideWatch(PRINTER, [f"epson:{answering.port}"], on_status=close, interval=0.01))
    made.set()
    watches[0]._thread.join(PATIENCE)
    assert not watches[0]._thread.is_alive()
    assert answering.asked == 1


def test_a_watch_that_waits_costs_nothing(watch):
    for _ in range(20):
        watch(["snmp", "star"], interval=0)
    begun, used = time.monotonic(), time.process_time()
    assert not threading.Event().wait(0.5)
    assert time.process_time() - used < 0.1 * (time.monotonic() - begun)


def test_the_public_names_are_the_channels():
    assert tuple(CHANNELS) == rawprint.CHANNELS
