"""Modem lines and closing on a real serial driver: what pseudo-terminals do not have."""

from __future__ import annotations

import time

import pytest

import rawprint
from rawprint import probe
from rawprint.address import parse
from rawprint.transports import open_address
from rawprint.virtual import device

from ..devices import FtdiDevice
from ..vhci import wait_for
from .conftest import plugged

TTY = "/dev/ttyUSB0"


@pytest.mark.parametrize(("flow", "line"), [("rtscts", "cts"), ("dsrdtr", "dsr")])
def test_the_line_stops_the_job_and_says_so(flow, line):
    with plugged(FtdiDevice(), TTY) as plug:
        data = bytes(range(256)) * 80
        with rawprint.PrintQueue(f"serial://{TTY}?flow={flow}", idle_release=None) as queue:
            queue.submit(b"first").wait(10)
            assert wait_for(lambda: plug.received == b"first")
            plug.set(**{line: False})
            job = queue.submit(data)
            assert wait_for(lambda: job.state is rawprint.JobState.STOPPED)
            assert wait_for(lambda: job.reasons == {rawprint.Reason.OFFLINE: True})
            plug.set(**{line: True})
            assert job.wait(20)
            assert job.state is rawprint.JobState.DELIVERED
            assert wait_for(lambda: len(plug.received) == 5 + len(data))
            assert plug.received == b"first" + data


@pytest.mark.parametrize(("flow", "line"), [("rtscts", "cts"), ("dsrdtr", "dsr")])
def test_probe_names_the_handshake(flow, line):
    with plugged(FtdiDevice(device("escpos")), TTY) as plug:
        plug.set(**{line: False})
        (report,) = probe.examine([f"serial://{TTY}?flow={flow}"], dialect="escpos")
        assert [finding.code for finding in report.findings] == ["serial-handshake"]
        assert f"try serial://{TTY}" in report.findings[0].remedy
        plug.set(**{line: True})
        (report,) = probe.examine([f"serial://{TTY}?flow={flow}"], dialect="escpos", timeout=10.0)
        assert report.findings == []


def test_closing_a_port_whose_printer_stands_still_keeps_nobody_waiting():
    """The kernel's own close waits for 30 s."""
    with plugged(FtdiDevice(), TTY) as plug:
        plug.set(capacity=100)
        transport = open_address(parse(f"serial://{TTY}"), 5.0)
        data = memoryview(bytes(20_000))
        while transport.write(data, 0.3):
            pass
        began = time.monotonic()
        transport.close()
        assert time.monotonic() - began < 1.0
        assert transport.unacknowledged() > 0
        with pytest.raises(rawprint.PrinterBusy, match="still passes on"):
            open_address(parse(f"serial://{TTY}"), 0.3)
        plug.set(capacity=None)
        open_address(parse(f"serial://{TTY}"), 10.0).close()
