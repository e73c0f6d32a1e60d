"""What `/metrics` says: the server's counts in Prometheus' text format."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

#: What `exposition` writes: Prometheus 2 and 3, and whatever else reads that format, know it.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = ("idle", "processing", "stopped", "unknown")


@dataclass(frozen=True, slots=True)
class PrinterCounts:
    """One printer.

    Attributes:
        state: One of `STATES`.
        reasons: IPP keyword -> true or false; absent: it did not say.
        pending: Jobs that have not ended.
        jobs: End state -> how many jobs have ended so since the start.
        bytes: How many the printer has taken since the start.
        heard_seconds_ago: When it last said something; None: never.
    """

    state: str
    reasons: Mapping[str, bool]
    pending: int
    jobs: Mapping[str, int]
    bytes: int
    heard_seconds_ago: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """The whole server; all counts since its start.

    Attributes:
        clients: Connections that are open.
        connections_total: Connections that were let in.
        calls: (call, outcome) -> how many; the outcome is "ok" or an error's code. Each pair is a time series, so a
            name that no call has must not come in here.
        cut_off_total: Clients that were cut off because they did not read.
        printers: By name.
        started: Unix time, seconds.
        version: The server's.
    """

    clients: int
    connections_total: int
    calls: Mapping[tuple[str, str], int]
    cut_off_total: int
    printers: Mapping[str, PrinterCounts]
    started: float
    version: str


def exposition(counts: Counts) -> tuple[bytes, str]:
    """The counts in Prometheus' text format, and its content type."""
    # Imported at the first scrape: a server that nobody scrapes does without its 2 MB.
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(_Collector(counts))
    return generate_latest(registry), CONTENT_TYPE


class _Collector:
    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def describe(self) -> list[Metric]:
        """Nothing that could collide: the registry is this one's alone."""
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (  # noqa: PLC0415 - as above
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        counts = self._counts
        yield InfoMetricFamily("rawprint_build", "The running server.", {"version": counts.version})
        yield GaugeMetricFamily("rawprint_start_time_seconds", "Unix time of the server's start.", counts.started)
        yield GaugeMetricFamily("rawprint_clients", "Connections that are open.", counts.clients)
        yield CounterMetricFamily("rawprint_connections", "Connections that were let in.", counts.connections_total)
        yield CounterMetricFamily(
            "rawprint_clients_cut_off", "Clients that were cut off because they did not read.", counts.cut_off_total
        )
        calls = CounterMetricFamily(
            "rawprint_calls",
            "Calls that were answered; the outcome is ok or an error's code.",
            labels=("call", "outcome"),
        )
        for call_and_outcome, count in counts.calls.items():
            calls.add_metric(call_and_outcome, count)
        yield calls

        one = ("printer",)
        state = GaugeMetricFamily(
            "rawprint_printer_state",
            "1 for the state that the printer is in, 0 for the others.",
            labels=(*one, "state"),
        )
        reason = GaugeMetricFamily(
            "rawprint_printer_reason",
            "What the printer last said of itself, by IPP keyword: 1 true, 0 false, absent where it did not say.",
            labels=(*one, "reason"),
        )
        pending = GaugeMetricFamily("rawprint_printer_pending_jobs", "Jobs that have not ended.", labels=one)
        jobs = CounterMetricFamily("rawprint_printer_jobs", "Jobs that ended, by end state.", labels=(*one, "state"))
        taken = CounterMetricFamily("rawprint_printer_taken_bytes", "Bytes that the printer took.", labels=one)
        heard = GaugeMetricFamily(
            "rawprint_printer_last_heard_timestamp_seconds",
            "Unix time at which the printer last said something; absent where it never did.",
            labels=one,
        )
        now = time.time()
        for name, printer in counts.printers.items():
            for known in STATES:
                state.add_metric((name, known), printer.state == known)
            for keyword, true in printer.reasons.items():
                reason.add_metric((name, keyword), true)
            pending.add_metric((name,), printer.pending)
            for end, count in printer.jobs.items():
                jobs.add_metric((name, end), count)
            taken.add_metric((name,), printer.bytes)
            if printer.heard_seconds_ago is not None:
                heard.add_metric((name,), round(now - printer.heard_seconds_ago, 3))
        yield from (state, reason, pending, jobs, taken, heard)
