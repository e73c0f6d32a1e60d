"""What a printer does beside answering for its state: pushes switched on and off, who it is, fences, its drawer."""

from __future__ import annotations

import time

import pytest

import rawprint
from rawprint import Capabilities, Reason
from rawprint.dialects import DIALECTS
from rawprint.dialects.base import CANCEL, PUSHES

PATIENCE = 10.0
ON, OFF = b"\x1da\xff", b"\x1da\x00"
TICKET = b"\x1b@one espresso  2.50\n\x1dV\x00"


def questions_cut(received):
    """What was sent besides questions about the state."""
    for question in (b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"):
        received = received.replace(question, b"")
    return received


def proven():
    return Capabilities(promised=frozenset({PUSHES}))


# -- pushes ---------------------------------------------------------------------------------------------------------


def test_pushes_are_switched_on_where_they_are_promised_and_off_at_the_end(virtual):
    listener = virtual("escpos")
    with rawprint.open(listener.address, "escpos", capabilities=proven()) as printer:
        printer.status()
        assert printer.push()
        assert printer.push(), "once is enough"
        assert listener.wait(lambda d: d.received.endswith(ON), PATIENCE)
        listener.set("media-empty", True)
        assert listener.wait(lambda d: d.reasons["media-empty"], PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while not (said := printer.listen(0.2)) or not said.reasons.get(Reason.MEDIA_EMPTY):
            assert time.monotonic() < deadline
    assert listener.wait(lambda d: questions_cut(d.received) == ON + OFF, PATIENCE)


@pytest.mark.parametrize("clone", ["", "prints-unknown", "mute"])
def test_nobody_is_told_to_push_who_has_not_shown_that_it_can(virtual, clone):
    listener = virtual("escpos", clone=clone)
    with rawprint.PrintQueue(listener.address, "escpos", idle_release=None) as queue:
        queue.watch(0.05)
        assert listener.wait(lambda d: d.received.count(b"\x10\x04\x01") >= 1, PATIENCE)
        assert queue.submit(TICKET).wait(PATIENCE)
    assert listener.wait(lambda d: not d.output(), PATIENCE)
    assert ON not in listener.device.received
    assert not listener.device.misprints


def test_pushes_that_came_by_themselves_are_switched_on_again_after_a_job_that_ended_them(virtual):
    listener = virtual("escpos", clone="forgets-push")
    told = []
    with rawprint.PrintQueue(listener.address, "escpos", idle_release=None, on_status=told.append) as queue:
        queue.watch(0.05)
        assert queue.submit(TICKET).wait(PATIENCE)
        assert listener.wait(lambda d: ON in d.received.partition(TICKET)[2], PATIENCE)
        assert PUSHES in queue.capabilities.answered
    received = listener.device.received
    assert OFF not in received, "left as found: they were on"
    assert questions_cut(received).count(TICKET) == 1


def test_nothing_goes_between_the_bytes_of_a_job(virtual):
    listener = virtual("escpos", speed=20_000.0, buffer_size=512)
    job = TICKET + b"a line of a long receipt\n" * 800
    with rawprint.PrintQueue(listener.address, "escpos", idle_release=None, capabilities=proven()) as queue:
        queue.watch(0.02)
        assert listener.wait(lambda d: ON in d.received, PATIENCE)
        assert queue.submit(job).wait(PATIENCE)
        assert listener.wait(lambda d: ON in d.received.partition(job)[2], PATIENCE)
    assert job in listener.device.received


class Named:
    """Something around a transport whose device id names a maker."""

    def __init__(self, transport, device_id):
        self._transport, self._device_id = transport, device_id

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def device_id(self):
        return self._device_id


@pytest.mark.parametrize(
    ("device_id", "pushes"),
    [
        ("MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;", True),
        ("MANUFACTURER:Citizen;MODEL:CT-S310;", True),
        ("MFG:POS;MDL:80;CMD:ESC/POS;", False),
        ("", False),
    ],
)
def test_the_makers_whose_manuals_promise_it(virtual, device_id, pushes):
    listener = virtual("escpos")
    with rawprint.open(listener.address, "escpos", wrap=lambda transport: Named(transport, device_id)) as printer:
        assert printer.push() is pushes
        printer.status()
    assert (ON in listener.device.received) is pushes


def test_a_printer_that_takes_no_bytes_is_told_later(virtual):
    listener = virtual("escpos", buffer_size=64, reasons=["media-empty"])
    with rawprint.open(listener.address, "escpos", capabilities=proven()) as printer:
        with pytest.raises(rawprint.WriteStalled) as caught:
            printer.print(b"x" * 5_000_000, 0.5)
        with pytest.raises(rawprint.NoReply):
            printer.push()
        listener.set("media-empty", False)
        assert listener.wait(lambda d: len(d.received) >= caught.value.written, PATIENCE)
        assert printer.push(PATIENCE)
    assert listener.wait(lambda d: d.received.endswith(ON + OFF), PATIENCE)


# -- the drawer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("push", [False, True])
@pytest.mark.parametrize(("means_open", "is_open"), [("high", True), ("low", False), ("", None)])
def test_the_drawer_is_open_where_somebody_said_which_level_means_that(virtual, means_open, is_open, push):
    listener = virtual("escpos", reasons=["x-drawer-open"], push=push)  # this printer's pin is high then
    with rawprint.open(listener.address, "escpos", capabilities=Capabilities(drawer_open=means_open)) as printer:
        status = printer.status() if not push else None
        deadline = time.monotonic() + PATIENCE
        while status is None:
            status = printer.listen(0.2)
            assert time.monotonic() < deadline
    assert status.reasons.get(Reason.DRAWER_OPEN) is is_open
    assert status.state is rawprint.PrinterState.IDLE, "an open drawer keeps nobody from printing"


# -- who it is ------------------------------------------------------------------------------------------------------


def test_a_receipt_printer_says_who_it_is(virtual):
    with rawprint.open(virtual("escpos").address, "escpos") as printer:
        said = {}
        for query in DIALECTS["escpos"].identity:
            said.update(printer.ask(query, 1.0)[0].identity)
        assert said == {"make": "RAWPRINT", "model": "VIRTUAL", "serial": "V0000001", "firmware": "1.28"}
        assert printer.status().state is rawprint.PrinterState.IDLE, "and is asked for its state as before"
        assert {"gs-i-65", "gs-i-66", "gs-i-67", "gs-i-68"} <= printer.capabilities.answered


def test_a_label_printer_says_who_it_is(virtual):
    with rawprint.open(virtual("tspl").address, "tspl") as printer:
        (query,) = DIALECTS["tspl"].identity
        assert printer.ask(query, 1.0)[0].identity == {"model": "Virtual TSPL"}
        assert printer.status().state is rawprint.PrinterState.IDLE


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"_\x00", {}),
        (b"_EPSON\x00", {"make": "EPSON"}),
        (b"_ \x1b[31mred\x07 \x00", {"make": "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"}),
        (b"_\xff\xfe\x00", {"make": "\N{REPLACEMENT CHARACTER}" * 2}),
    ],
)
def test_hostile_names_are_harmless(raw, text):
    escpos = DIALECTS["escpos"]
    maker = next(query for query in escpos.identity if query.request == b"\x1dIB")
    decoded = escpos.decode(raw, (maker,))
    assert decoded.answers is maker
    assert decoded.identity == text
    assert escpos.decode(raw, ()).answers is None, "to one who did not ask it is no answer"


@pytest.mark.parametrize("raw", [b"\r", b"\x00TTP\r", b"x" * 60, b"TTP\x80\r"])
def test_what_is_no_model_name(raw):
    tspl = DIALECTS["tspl"]
    with pytest.raises(rawprint.BadReply):
        tspl.decode(raw, tspl.identity)


def test_a_silent_one_is_remembered(virtual):
    listener = virtual("escpos", clone="prints-unknown")
    with rawprint.open(listener.address, "escpos") as printer:
        query = DIALECTS["escpos"].identity[0]
        with pytest.raises(rawprint.NoReply):
            printer.ask(query, 0.2)
        assert query.name in printer.capabilities.silent
        assert listener.device.misprints, "which is why it is not asked without leave"


# -- fences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", ["", "inverted-gs-r"])
def test_fences_answer_when_printing_has_come_to_them(virtual, clone):
    escpos = DIALECTS["escpos"]
    listener = virtual("escpos", clone=clone, speed=2000.0)
    with rawprint.open(listener.address, "escpos") as printer:
        printer.print(b"a line\n" * 100)
        for fence in escpos.fences:
            answer, _ = printer.ask(fence, PATIENCE)
            assert answer.answers is fence
            assert not answer.reasons, "a fence says nothing of the paper"
            assert listener.device.printed_after(0).startswith(b"a line\n" * 100)


def test_a_fence_stays_unanswered_without_paper(virtual):
    listener = virtual("escpos", reasons=["media-empty"])
    with rawprint.open(listener.address, "escpos") as printer:
        for fence in DIALECTS["escpos"].fences:
            with pytest.raises(rawprint.NoReply):
                printer.ask(fence, 0.2)
        status = printer.status()
        assert status.reasons[Reason.MEDIA_EMPTY]


def test_a_foreign_process_id_is_not_ours():
    escpos = DIALECTS["escpos"]
    assert escpos.decode(b"\x37\x220001\x00", escpos.fences).answers is None
    assert escpos.decode(b"\x37\x22rawp\x00", escpos.fences).answers is escpos.fences[0]


# -- commands -------------------------------------------------------------------------------------------------------


def test_every_language_says_what_can_be_promised_of_it():
    for dialect in DIALECTS.values():
        names = dialect.promises
        assert len(set(names)) == len(names)
        assert (PUSHES in names) is bool(dialect.push_on)
        assert (CANCEL in names) is bool(dialect.cancel)
        for maker, obeys in dialect.makers.items():
            assert maker == maker.upper()
            assert set(obeys) <= set(names)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_test_print_is_one_ticket_and_changes_nothing(virtual, name):
    listener = virtual(name)
    with rawprint.open(listener.address, name) as printer:
        printer.print(DIALECTS[name].test_print)
    assert listener.wait(lambda d: d.tickets == 1, PATIENCE)
    assert not listener.device.misprints


@pytest.mark.parametrize("name", DIALECTS)
def test_cancel_makes_it_forget(virtual, name):
    dialect = DIALECTS[name]
    listener = virtual(name, reasons=["media-empty"])
    with rawprint.open(listener.address, name) as printer:
        printer.print(dialect.test_print)
        printer.print(dialect.cancel)
        assert listener.wait(lambda d: d.received.endswith(dialect.cancel), PATIENCE)
        listener.set("media-empty", False)
        assert printer.status().state is rawprint.PrinterState.IDLE
    assert listener.device.tickets == 0
