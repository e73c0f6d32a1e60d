"""What `/metrics` says, read back with the parser that Prometheus' own Python client has."""

from __future__ import annotations

import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

from rawprint_server.metrics import Counts, PrinterCounts, exposition

NASTY = 'Front "desk"\\\nno 2 \u00fc'


def read(counts):
    body, content_type = exposition(counts)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def values(family):
    """(labels' values in the order of their names) -> value"""
    return {tuple(value for _, value in sorted(s.labels.items())): s.value for s in family.samples}


def counts(**changes):
    plain = {
        "clients": 3,
        "connections_total": 17,
        "calls": {("print", "ok"): 5, ("print", "queue-full"): 1, ("printers.list", "ok"): 2},
        "cut_off_total": 1,
        "printers": {
            "Label": PrinterCounts("idle", {"media-empty": False, "media-low": True}, 2, {"completed": 4}, 1234, 2.5),
            NASTY: PrinterCounts("unknown", {}, 0, {}, 0, None),
        },
        "started": 1_700_000_000.5,
        "version": "0.1.0",
    }
    return Counts(**(plain | changes))


def test_the_server():
    said = read(counts())
    assert values(said["rawprint_build_info"]) == {("0.1.0",): 1}
    assert values(said["rawprint_start_time_seconds"]) == {(): 1_700_000_000.5}
    assert values(said["rawprint_clients"]) == {(): 3}
    assert values(said["rawprint_connections"]) == {(): 17}
    assert values(said["rawprint_clients_cut_off"]) == {(): 1}
    assert values(said["rawprint_calls"]) == {
        ("print", "ok"): 5,
        ("print", "queue-full"): 1,
        ("printers.list", "ok"): 2,
    }


def test_the_printers():
    before = time.time()
    said = read(counts())
    assert values(said["rawprint_printer_state"]) == {
        (name, state): float(state == own)
        for name, own in (("Label", "idle"), (NASTY, "unknown"))
        for state in ("idle", "processing", "stopped", "unknown")
    }
    assert values(said["rawprint_printer_reason"]) == {("Label", "media-empty"): 0, ("Label", "media-low"): 1}
    assert values(said["rawprint_printer_pending_jobs"]) == {("Label",): 2, (NASTY,): 0}
    assert values(said["rawprint_printer_jobs"]) == {("Label", "completed"): 4}
    assert values(said["rawprint_printer_taken_bytes"]) == {("Label",): 1234, (NASTY,): 0}
    (heard,) = values(said["rawprint_printer_last_heard_timestamp_seconds"]).items()
    assert heard[0] == ("Label",)
    assert before - 2.6 <= heard[1] <= time.time() - 2.4


def test_names_and_help_keep_to_the_conventions():
    body, _ = exposition(counts())
    for family in text_string_to_metric_families(body.decode()):
        assert family.name.startswith("rawprint_")
        assert family.documentation
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_a_server_that_nobody_has_used():
    said = read(counts(clients=0, connections_total=0, calls={}, printers={}))
    assert values(said["rawprint_clients"]) == {(): 0}
    assert not said["rawprint_calls"].samples


def test_the_library_is_loaded_by_the_first_scrape_alone():
    code = (
        "import sys; from rawprint_server import metrics; assert 'prometheus_client' not in sys.modules;"
        "metrics.exposition(metrics.Counts(0, 0, {}, 0, {}, 0.0, '')); assert 'prometheus_client' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
