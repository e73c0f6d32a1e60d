"""The webhook: when a printer with jobs stops and goes on, and that nothing it does holds printing up."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

import msgspec
import pytest

from rawprint_server import webhook
from rawprint_server.config import ConfigError, find_mistakes, parse

from .conftest import PATIENCE


@contextmanager
def endpoint(status=200, wait=0.0, location=None):
    """A URL, and a queue of (path, headers, JSON) that were sent to it."""
    calls = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.put((self.path, dict(self.headers), json.loads(body)))
            threading.Event().wait(wait)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(webhook, "AGAIN", 0.05)


def stop(client, label):
    """A job waits for a printer without paper."""
    label.set("media-empty", True)
    return client.print("Label", "CLS\r\n", id=f"job-{time.monotonic_ns()}")


def none_more(calls, seconds=0.3):
    with pytest.raises(Empty):
        calls.get(timeout=seconds)


def test_a_printer_stops_and_goes_on(start, label):
    with endpoint() as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=f"{url}/print?key=1")
        with server.native() as client:
            client.print("Label", "CLS\r\n", wait="ended")
            stop(client, label)
            path, headers, told = calls.get(timeout=PATIENCE)
            assert (path, headers["Content-Type"]) == ("/print?key=1", "application/json")
            assert list(told) == ["event", "printer", "state", "reasons", "pending", "at", "error"]
            assert (told["event"], told["printer"], told["state"]) == ("stopped", "Label", "stopped")
            assert (told["reasons"]["media-empty"], told["pending"], told["error"]) == (True, 1, None)
            stop(client, label)
            none_more(calls)
            label.set("media-empty", False)
            told = calls.get(timeout=PATIENCE)[2]
            assert (told["event"], told["reasons"]["media-empty"]) == ("going-on", False)
            none_more(calls)


def test_a_printer_without_jobs_stops_unheard(start, label):
    with endpoint() as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=url)
        with server.native() as client:
            label.set("media-empty", True)
            client.ask("printers.status", printer="Label")
            label.set("media-empty", False)
            client.ask("printers.status", printer="Label")
            none_more(calls)


def test_a_job_that_stops_in_its_middle(start, label):
    with endpoint() as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=url)
        with server.native() as client:
            label.stall(True)
            client.print("Label", "x\n" * 2_000_000, id="long")
            assert calls.get(timeout=2 * PATIENCE)[2]["event"] == "stopped"
            label.stall(False)
            assert calls.get(timeout=2 * PATIENCE)[2]["event"] == "going-on"


def test_a_printer_that_is_away_for_long(start, monkeypatch):
    monkeypatch.setattr(webhook, "UNREACHABLE", 0.5)
    with endpoint() as (url, calls):
        server = start({"Gone": ("tcp://127.0.0.1:1", "tspl")}, webhook=url)
        with server.native() as client:
            began = time.monotonic()
            client.print("Gone", "CLS\r\n", id="one")
            told = calls.get(timeout=PATIENCE)[2]
            assert time.monotonic() - began >= 0.5
            assert (told["event"], told["state"], told["error"]["code"]) == ("stopped", "unknown", "not-found")
            none_more(calls)


def test_one_that_is_away_for_a_moment(start, monkeypatch):
    monkeypatch.setattr(webhook, "UNREACHABLE", 0.5)
    with endpoint() as (url, calls):
        server = start({"Gone": ("tcp://127.0.0.1:1", "tspl")}, webhook=url)
        with server.native() as client:
            client.print("Gone", "CLS\r\n", id="one")
            client.ask("jobs.cancel", id="one")
            none_more(calls, 0.8)


@pytest.mark.parametrize("fault", ["answers 500", "answers 302", "hangs", "is not there", "talks nonsense"])
def test_whatever_it_does_printing_goes_on(start, label, monkeypatch, caplog, fault):
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with endpoint() as (elsewhere, others), broken(fault, elsewhere) as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=f"{url}/?key=secret")
        with server.native() as client:
            stop(client, label)
            deadline = time.monotonic() + PATIENCE
            while "the webhook at 127.0.0.1" not in caplog.text:
                assert time.monotonic() < deadline
                threading.Event().wait(0.02)
            label.set("media-empty", False)
            assert client.print("Label", "CLS\r\n", wait="ended")["state"] == "delivered"
        assert "secret" not in caplog.text
        assert others.empty(), "it follows no redirect"
        if fault in {"answers 500", "answers 302"}:
            assert [calls.get(timeout=PATIENCE)[2]["event"] for _ in range(2)] == ["stopped", "stopped"]


@contextmanager
def broken(fault, elsewhere):
    if fault.startswith("answers"):
        with endpoint(int(fault[-3:]), location=elsewhere) as there:
            yield there
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if fault == "is not there":
            listening.close()
        elif fault == "talks nonsense":
            threading.Thread(target=_nonsense, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{port}", Queue()


def _nonsense(listening):
    try:
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"\0" * 100_000)
    except OSError:
        pass


def test_one_call_a_printer_waits(start, label, monkeypatch):
    monkeypatch.setattr(webhook, "AT_ONCE", 1)
    with endpoint(wait=0.5) as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=url)
        with server.native() as client:
            view = msgspec.convert(client.ask("printers.list")[0], type=webhook.PrinterView)

            def flap():
                for _ in range(100):
                    for stopped in (True, False):
                        server.app._webhook.look(view, jobs=1, stopped=stopped)
                assert len(server.app._webhook._waiting) == 1

            server.call(flap)
            assert [calls.get(timeout=PATIENCE)[2]["event"]] == ["going-on"]
            none_more(calls, 0.8)


def test_another_url_as_the_server_runs(start, label):
    with endpoint() as (url, calls):
        server = start({"Label": (label.address, "tspl")})
        config = server.app._config
        changed = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, webhook=url))
        with server.native() as client:
            server.call(server.app.apply, changed)
            stop(client, label)
            assert calls.get(timeout=PATIENCE)[2]["event"] == "stopped"
            server.call(server.app.apply, config)
            label.set("media-empty", False)
            none_more(calls)
            assert not server.app._webhook._printers


def test_the_end_does_not_wait_for_it(start, label, stack):
    with endpoint(wait=4.0) as (url, calls):
        server = start({"Label": (label.address, "tspl")}, webhook=url, finish="0s")
        with server.native() as client:
            stop(client, label)
            calls.get(timeout=PATIENCE)
        began = time.monotonic()
        stack.close()
        assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "https://",
        "//x/y",
        "https://user:pass@x/",
        "https://x:0/",
        "https://x:99999/",
        "https://x/a b",
        "https://x/\\u0001",
        "https://x/#part",
        "https://\\u00e4.example/",
        "https://[::1/",
        "https://x/" + "y" * 2000,
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_url(url):
    text = f'[server]\nwebhook = "{url}"\n'
    (mistake,) = find_mistakes(text)
    assert (mistake.key, mistake.line) == ("server.webhook", 2)
    with pytest.raises(ConfigError):
        parse(text)


def test_urls():
    for url in ("https://alarm.example.com/print?key=1", "http://127.0.0.1:9/", "http://[::1]:9"):
        assert parse(f'[server]\nwebhook = "{url}"\n').server.webhook == url
    assert parse("").server.webhook is None
