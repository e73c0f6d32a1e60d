"""Channels beside the print connection, as a subscriber hears them: simulated network cards, real sockets."""

from __future__ import annotations

import pytest

from rawprint.virtual import NetworkCard
from rawprint_server.config import PrinterConfig


@pytest.fixture
def card(receipt):
    """The network card of `receipt`, an SNMP agent."""
    with NetworkCard(receipt.device, "snmp", lock=receipt.lock) as card:
        yield card


@pytest.fixture
def watched(start, stack, receipt, card):
    """A subscriber of a server with the shared printer `Receipt`, which is not polled on its own connection."""
    port = card.port
    server = start({"Receipt": PrinterConfig(receipt.address, "escpos", channels=(f"snmp:{port}",), poll=0)})
    client = stack.enter_context(server.native())
    client.ask("subscribe")
    return client


def is_printer(state, source="snmp", **reasons):
    return lambda kind, data: (
        kind == "printer"
        and (data["state"], data["source"]) == (state, source)
        and reasons.items() <= {name.replace("-", "_"): true for name, true in data["reasons"].items()}.items()
    )


def test_a_shared_printer_is_known_without_its_connection(watched, receipt):
    watched.event(is_printer("idle", media_empty=False))
    receipt.set("media-empty", True)
    watched.event(is_printer("stopped", media_empty=True))
    receipt.set("media-empty", False)
    watched.event(is_printer("idle", media_empty=False))
    assert receipt.state()["connections_total"] == 0


def test_a_job_that_stands_says_why(watched, receipt):
    receipt.set("media-empty", True)
    watched.event(is_printer("stopped"))
    job = watched.print("Receipt", "x" * 100_000)
    stands = watched.event(
        lambda kind, data: kind == "job" and data["id"] == job["id"] and data["reasons"].get("media-empty")
    )
    assert stands["state"] in {"pending", "stopped"}
    receipt.set("media-empty", False)
    watched.job_event(job["id"], "delivered")


def test_a_card_that_falls_silent_says_nothing_any_more(watched, card):
    watched.event(is_printer("idle"))
    card.silent = True
    watched.event(lambda kind, data: kind == "printer" and (data["state"], data["source"]) == ("unknown", None))
    card.silent = False
    watched.event(is_printer("idle"), timeout=15)
