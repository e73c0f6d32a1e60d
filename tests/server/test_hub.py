"""The hub on a loop of its own: what it remembers, and how it asks."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from rawprint import NoReply, PrinterNotFound, RawprintError
from rawprint.virtual import Listener, device
from rawprint_server import hub as hub_module
from rawprint_server.config import LimitsConfig, PrinterConfig
from rawprint_server.hub import Hub, IdConflict, UnknownJob, UnknownPrinter

PATIENCE = 5.0


def with_hub(printers, test):
    """Runs `await test(hub)` and closes the hub."""

    async def run():
        hub = Hub({name: PrinterConfig(*printer) for name, printer in printers.items()})
        try:
            await asyncio.wait_for(test(hub), 2 * PATIENCE)
        finally:
            await hub.close()

    with asyncio.Runner() as runner:
        runner.run(run())


def endings(hub):
    """Returns `await ended(*ids)`, which waits until the hub has heard that these jobs ended."""
    heard, news, follow = set(), asyncio.Event(), hub._follow

    def follow_and_tell(known, view):
        follow(known, view)
        if view.ended is not None:
            heard.add(view.id)
            news.set()

    async def ended(*ids):
        while not heard.issuperset(ids):
            await news.wait()
            news.clear()

    hub._follow = follow_and_tell
    return ended


def test_no_printers():
    async def test(hub):
        assert (hub.names(), hub.jobs()) == ([], [])
        with pytest.raises(UnknownPrinter, match="'Label'") as caught:
            hub.submit("Label", b"x")
        assert caught.value.hint == "The printers are: none."
        with pytest.raises(UnknownPrinter):
            await hub.status("Label", 1.0)
        with pytest.raises(UnknownPrinter):
            hub.printer("Label")
        with pytest.raises(UnknownJob):
            hub.job("none")

    with_hub({}, test)


def test_the_same_id_is_the_same_job(label, receipt):
    async def test(hub):
        ended = endings(hub)
        first = hub.submit("Label", b"CLS\r\n", "ticket")
        assert hub.submit("Label", b"CLS\r\n", "ticket").id == first.id == "ticket"
        for name, data in (("Label", b"CLS"), ("Receipt", b"CLS\r\n")):
            with pytest.raises(IdConflict):
                hub.submit(name, data, "ticket")
        await ended("ticket")
        again = hub.submit("Label", b"CLS\r\n", "ticket")
        assert (again, again.state) == (hub.job("ticket"), "delivered")
        assert len(hub.jobs()) == 1
        assert label.received().count(b"CLS\r\n") == 1
        assert receipt.received() == b""

    with_hub({"Label": (label.address, "tspl"), "Receipt": (receipt.address, "escpos")}, test)


def test_ended_jobs_are_forgotten_and_their_bytes_before_that(label, monkeypatch):
    monkeypatch.setattr(hub_module, "NAMED_JOBS", 2)

    async def test(hub):
        ended = endings(hub)
        for number in range(4):
            hub.submit("Label", b"CLS\r\n", f"ticket-{number}")
        await ended(*(f"ticket-{number}" for number in range(4)))
        assert [job.id for job in hub.jobs()] == ["ticket-2", "ticket-3"]
        assert not any(printer.live for printer in hub._printers.values())
        assert all(known.job is None and known.data is None for known in hub._known.values())
        with pytest.raises(UnknownJob):
            hub.job("ticket-0")

    with_hub({"Label": (label.address, "tspl")}, test)


def test_jobs_without_an_id_push_no_named_one_out(label, monkeypatch):
    monkeypatch.setattr(hub_module, "ENDED_JOBS", 1)

    async def test(hub):
        ended = endings(hub)
        hub.submit("Label", b"CLS\r\n", "mine")
        last = [hub.submit("Label", b"CLS\r\n").id for _ in range(3)][-1]
        await ended("mine", last)
        assert [job.id for job in hub.jobs()] == ["mine", last]
        assert hub.submit("Label", b"CLS\r\n", "mine").state == "delivered"
        assert label.received().count(b"CLS\r\n") == 4

    with_hub({"Label": (label.address, "tspl")}, test)


def test_a_job_of_which_nothing_was_printed_is_tried_anew_under_its_id(label, closed_port):
    async def test(hub):
        ended = endings(hub)
        assert hub.submit("Cable", b"CLS\r\n", "mine").state == "pending"
        await ended("mine")
        assert hub.job("mine").error.code == "bad-address"
        assert hub.submit("Cable", b"CLS\r\n", "mine").state == "pending"
        await ended("mine")
        assert [job.id for job in hub.jobs()] == ["mine"]

    with_hub({"Cable": ("virtual://tspl?no-such=true", "tspl")}, test)


def test_a_queue_is_bounded(closed_port):
    async def test(hub):
        hub.limits = LimitsConfig(queue_jobs=3, queue_bytes=100)
        for data in (b"x" * 90, b"x" * 5):
            hub.submit("Off", data)
        with pytest.raises(hub_module.QueueFull):
            hub.submit("Off", b"x" * 6)
        hub.submit("Off", b"x")
        with pytest.raises(hub_module.QueueFull) as caught:
            hub.submit("Off", b"x")
        assert caught.value.hint

    with_hub({"Off": (f"tcp://127.0.0.1:{closed_port}", "tspl")}, test)


def test_one_failure_answers_those_who_ask_right_after(label):
    label.stall(True)

    async def test(hub):
        loop = asyncio.get_running_loop()
        with pytest.raises(RawprintError):
            await hub.status("Label", 0.3)
        began = loop.time()
        for _ in range(20):
            with pytest.raises(RawprintError):
                await hub.status("Label", 0.3)
        assert loop.time() - began < 0.3
        label.stall(False)

    with_hub({"Label": (label.address, "tspl")}, test)


def test_every_end_is_logged(label, caplog):
    caplog.set_level("INFO", "rawprint_server.hub")

    async def test(hub):
        ended = endings(hub)
        hub.submit("Label", b"CLS\r\n", "good")
        hub.submit("Cable", b"CLS\r\n", "bad")
        await ended("good", "bad")

    with_hub({"Label": (label.address, "tspl"), "Cable": ("virtual://tspl?no-such=true", "tspl")}, test)
    ends = {record.job: record for record in caplog.records if hasattr(record, "job")}
    good, bad = ends["good"], ends["bad"]
    assert (good.levelname, good.printer, good.getMessage()) == ("INFO", "Label", "delivered, 5 of 5 bytes")
    assert (bad.levelname, bad.printer) == ("WARNING", "Cable")
    assert bad.getMessage().startswith("failed, 0 of 5 bytes: bad-address, ")


def test_live_jobs_are_not_forgotten(label, monkeypatch):
    monkeypatch.setattr(hub_module, "NAMED_JOBS", 0)
    label.set("media-empty", True)

    async def test(hub):
        await hub.status("Label", PATIENCE)
        for number in range(3):
            hub.submit("Label", b"CLS\r\n", f"ticket-{number}")
        assert [job.id for job in hub.jobs()] == ["ticket-0", "ticket-1", "ticket-2"]
        assert {job.state for job in hub.jobs()} <= {"pending", "processing", "stopped"}
        label.set("media-empty", False)

    with_hub({"Label": (label.address, "tspl")}, test)


def test_a_printer_as_it_is_known(label):
    async def test(hub):
        before = hub.printer("Label")
        assert (before.state, before.reasons, before.at) == ("unknown", {}, None)
        label.set("media-empty", True)
        status = await hub.status("Label", PATIENCE)
        after = hub.printer("Label")
        assert (after.state, after.reasons["media-empty"], after.at) == ("stopped", True, status.at)
        assert (after.address, after.dialect, after.busy, after.pending) == (label.address, "tspl", False, 0)

    with_hub({"Label": (label.address, "tspl")}, test)


def test_several_that_ask_share_a_question(label):
    async def test(hub):
        await hub.status("Label", PATIENCE)
        alone = len(label.received())
        answers = await asyncio.gather(*(hub.status("Label", PATIENCE) for _ in range(50)))
        assert len(set(map(id, answers))) == 1
        assert len(label.received()) <= 2 * alone
        later = await hub.status("Label", PATIENCE)
        assert later is not answers[0]

    with_hub({"Label": (label.address, "tspl")}, test)


def test_asking_has_a_deadline(label, closed_port):
    label.stall(True)

    async def test(hub):
        begin = time.monotonic()
        with pytest.raises(NoReply):
            await hub.status("Label", 0.2)
        assert time.monotonic() - begin < 0.5
        with pytest.raises(PrinterNotFound):
            await hub.status("Gone", PATIENCE)

    with_hub({"Label": (label.address, "tspl"), "Gone": (f"tcp://127.0.0.1:{closed_port}", "tspl")}, test)
    label.stall(False)


def test_all_queues_are_closed_at_the_same_time(monkeypatch):
    """A queue that lets its job finish must not keep the next one waiting for its own five seconds."""
    together = threading.Barrier(20)
    close = hub_module.PrintQueue.close

    def close_together(queue, timeout):
        together.wait(PATIENCE)
        close(queue, timeout)

    monkeypatch.setattr(hub_module.PrintQueue, "close", close_together)

    async def test(hub):
        assert len(hub.names()) == together.parties

    with_hub({str(number): ("virtual://tspl", None) for number in range(together.parties)}, test)


@pytest.mark.parametrize("at_once", [True, False], ids=["renamed", "removed, then added"])
@pytest.mark.parametrize("share", [True, False])
def test_another_name_is_the_same_printer(at_once, share):
    """It stands still with one job begun and one waiting, and with its only connection taken."""
    events = []
    with Listener(device("escpos", clone="single", media=100)) as listener:
        config = PrinterConfig(listener.address, "escpos", share=share)

        async def test(hub):
            hub.apply({"Old": config})
            ended, stopped = endings(hub), asyncio.Event()

            def listen(frame):
                events.append(json.loads(frame))
                if events[-1]["data"].get("state") == "stopped":
                    stopped.set()

            hub.subscribe(listen)
            hub.submit("Old", b"one\n" * 5000, id="one")
            hub.submit("Old", b"two\n", id="two")
            await stopped.wait()
            assert hub.job("one").bytes_accepted
            if not at_once:
                hub.apply({})
            hub.apply({"Before": PrinterConfig("tcp://127.0.0.1:1"), "New": config})
            assert hub.names() == ["Before", "New"]
            assert [(job.id, job.printer) for job in hub.jobs(printer="New")] == [("one", "New"), ("two", "New")]
            assert hub.submit("New", b"two\n", id="two").id == "two", "the same job still"
            hub.submit("New", b"three\n", id="three")
            listener.refill(None)
            await ended("one", "two", "three")
            assert {job.printer for job in hub.jobs()} == {"New"}
            with pytest.raises(UnknownPrinter):
                hub.printer("Old")

        with_hub({}, test)
        assert listener.printed() == b"one\n" * 5000 + b"two\nthree\n"
        assert share or listener.state()["connections_total"] == 1
    told = [event["data"] for event in events if event["event"] == "job"]
    assert [job["printer"] for job in told if job["id"] == "two"][-1] == "New"
    assert {event["data"]["name"] for event in events if event["event"] == "printer"} >= {"New"}
