"""What the dashboard asks of jobs: who asked for them, one page after the other, what is searched for."""

from __future__ import annotations

import pytest

PAGE = "https://pos.example.com"


@pytest.fixture
def jobs(start, label, receipt):
    """A server with jobs of a page and of a program, and a client that sees them."""
    server = start({"Label": (label.address, "tspl"), "Receipt": (receipt.address, "escpos")}, origins=[PAGE])
    with server.native(origin=PAGE) as page, server.native() as program:
        for number in range(5):
            page.print("Receipt", "x\n", id=f"page-{number}", wait="ended")
        program.print("Label", "CLS\r\n", id="Straße", jobName="Parcel 7", wait="ended")
        yield program


def ids(jobs):
    return [job["id"] for job in jobs]


def test_a_job_tells_who_asked(jobs):
    assert jobs.ask("jobs.get", id="page-1")["by"] == PAGE
    assert jobs.ask("jobs.get", id="Straße")["by"] == "program 127.0.0.1"
    drawer = jobs.ask("drawer.open", printer="Receipt", options={"wait": "ended"})
    assert drawer["by"] == "program 127.0.0.1"
    snapshot = jobs.ask("subscribe")["jobs"]
    assert {job["by"] for job in snapshot} == {PAGE, "program 127.0.0.1"}
    made = jobs.print("Receipt", [{"type": "raw", "format": "text", "data": "Tea"}], wait="accepted")
    assert made["by"] == "program 127.0.0.1"
    assert jobs.event(lambda kind, data: kind == "job" and data["id"] == made["id"])["by"] == "program 127.0.0.1"


def test_jobs_in_pages(jobs):
    everything = ids(jobs.ask("jobs.list"))
    assert everything == [*(f"page-{number}" for number in range(5)), "Straße"]
    pages, before = [], None
    while page := ids(jobs.ask("jobs.list", limit=2, **({"before": before} if before else {}))):
        pages.insert(0, page)
        before = page[0]
    assert pages == [everything[0:2], everything[2:4], everything[4:6]]
    assert ids(jobs.ask("jobs.list", printer="Receipt", before="Straße", limit=1)) == ["page-4"]
    assert jobs.ask("jobs.list", before="page-0") == []
    assert jobs.refusal("jobs.list", before="never").code == "unknown-job"


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("PAGE-3", ["page-3"]),
        ("parcel", ["Straße"]),
        ("STRASSE", ["Straße"]),
        ("label", ["Straße"]),
        ("Program 127", ["Straße"]),
        ("pos.example", [f"page-{number}" for number in range(5)]),
        ("", [*(f"page-{number}" for number in range(5)), "Straße"]),
        (".*", []),
        ("delivered", []),
    ],
)
def test_jobs_that_are_searched_for(jobs, search, found):
    assert ids(jobs.ask("jobs.list", search=search)) == found


def test_what_is_too_long_is_not_looked_for(jobs):
    assert jobs.refusal("jobs.list", search="x" * 301).code == "bad-request"
    assert jobs.refusal("jobs.list", before="x" * 257).code == "bad-request"
