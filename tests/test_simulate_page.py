"""What a virtual printer's control port shows to people: bytes read in pieces, tickets, and events as they happen."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import struct
import threading
from importlib import resources

import pytest

from rawprint.virtual import DIALECTS, ControlPort, Listener, device
from rawprint.virtual.reading import HEAD, Reader, spelled

JOBS = {
    "escpos": b"\x1b@\x1ba\x01Hello\nTot\xe9l\n\x10\x04\x01\x1dv0\x00\x02\x00\x02\x00abcd\x1dk\x04123\x00\x1dV\x42\x00\x10x",
    "star": b"\x1b@Hi\n\x1b\x06\x01\x1b*rA\x1b*rP0\x00b\x02\x00AB\x1b*rB\x1bd\x02\x07",
    "tspl": b'SIZE 40 mm,30 mm\r\nCLS\r\n\x1b!?BITMAP 0,0,1,3,0,a\nb\r\nTEXT 1,1,"3",0,1,1,"x,y"\r\nPRINT 1\r\n',
    "zpl": b"~HS^XA^PW400\n^FO20,20^A0N,30,30^FDParcel, 17^FS^GFB,3,3,1,a^~^FS^XZ",
}
READ = {
    "escpos": [
        ("command", "ESC @", "as after power-on"),
        ("command", "ESC a 01", "alignment"),
        ("text", "Hello", ""),
        ("text", "Tot\\xE9l", ""),
        ("command", "DLE EOT 01", "asks for the status, now"),
        ("command", "GS v 30 00 02 00 02 00", "image"),
        ("data", "", ""),
        ("command", "GS k 04", "barcode"),
        ("data", "123", ""),
        ("command", "GS V 42 00", "cuts"),
        ("command", "DLE", ""),
        ("text", "x", ""),
    ],
    "star": [
        ("command", "ESC @", "as after power-on"),
        ("text", "Hi", ""),
        ("command", "ESC ACK 01", "asks for the status, now"),
        ("command", "ESC * r A", "raster: begins"),
        ("command", "ESC * r P", "raster: settings"),
        ("data", "0", ""),
        ("command", "b 02 00", "row of dots"),
        ("data", "", ""),
        ("command", "ESC * r B", "raster: ends"),
        ("command", "ESC d 02", "cuts"),
        ("command", "BEL", "opens drawer 1, now"),
    ],
    "tspl": [
        ("command", "SIZE 40 mm,30 mm", "size of the label"),
        ("command", "CLS", "clears the label"),
        ("command", "ESC ! 3F", "asks for the status, now"),
        ("command", "BITMAP 0,0,1,3,0,", "image"),
        ("data", "", ""),
        ("command", "", ""),
        ("command", 'TEXT 1,1,"3",0,1,1,"x,y"', "text"),
        ("command", "PRINT 1", "prints the label"),
    ],
    "zpl": [
        ("command", "~HS", "asks for the status, now"),
        ("command", "^XA", "begins a label"),
        ("command", "^PW400", "width of the label"),
        ("command", "^FO20,20", "where the field is"),
        ("command", "^A0N,30,30", "font"),
        ("command", "^FDParcel, 17", "the field's text"),
        ("command", "^FS", "ends the field"),
        ("command", "^GFB,3,3,1,", "image"),
        ("data", "", ""),
        ("command", "^FS", "ends the field"),
        ("command", "^XZ", "ends the label and prints it"),
    ],
}


def read(dialect, *parts):
    reader = Reader(dialect)
    return [piece for part in parts for piece in reader.feed(part)], reader.pending


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_job_in_pieces(dialect):
    job = JOBS[dialect]
    pieces, pending = read(dialect, job)
    assert [(piece.kind, piece.shown, piece.meaning) for piece in pieces] == READ[dialect]
    assert pending == (len(job), b"")
    # However it was cut on its way, the commands are the same, and no byte is missing or told twice.
    one_by_one, _ = read(dialect, *(job[at : at + 1] for at in range(len(job))))
    commands = [piece for piece in pieces if piece.kind == "command"]
    assert [piece for piece in one_by_one if piece.kind == "command"] == commands
    assert b"".join(piece.head for piece in one_by_one) == job
    assert [piece.at for piece in one_by_one] == [sum(p.size for p in one_by_one[:n]) for n in range(len(one_by_one))]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(5))
def test_hostile_bytes_are_read_to_the_end(dialect, seed):
    chance = random.Random(seed)
    pool = (
        *JOBS.values(),
        chance.randbytes(3000),
        b"\x1b",
        b"\x1d8L\xff\xff\xff\xff",
        b"\x1cq\xff",
        b"\x10",
        b"^",
        b"~",
    )
    data = b"".join(chance.choice(pool)[: chance.randrange(3000)] for _ in range(60))
    pieces, (at, half) = read(dialect, *(data[n : n + 777] for n in range(0, len(data), 777)))
    assert all(piece.size > 0 and piece.head == data[piece.at : piece.at + min(piece.size, HEAD)] for piece in pieces)
    assert sum(piece.size for piece in pieces) == at
    assert data[at:] == half


@pytest.mark.parametrize(
    "endless", [b"a", b"\x1b", b"\x1bD1", b"\x1d(L", b"\x1dk\x04", b"^FD,", b"~", b"\x1cq\xff\xff", b"\x1b*rA9"]
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_never_ends_does_not_fill_the_memory(dialect, endless):
    reader = Reader(dialect)
    for _ in range(40):
        for _piece in reader.feed(endless * (8000 // len(endless))):
            pass
        assert len(reader.pending[1]) < 128 * 1024


def test_what_is_spelled_and_what_is_shown():
    assert spelled(b"\x1b" + b"a" * 70).endswith("61 …")
    assert spelled(b"\x1d(k\x04\x00") == "GS ( k 04 00"
    assert [p.shown for p in read("escpos", "é \u202e\t\x7f\n".encode())[0]] == ["é \\u{202E}\\x09\\x7F"]
    with pytest.raises(ValueError, match="there are: escpos, star, tspl, zpl"):
        Reader("klingon")


# -- over HTTP -------------------------------------------------------------------------------------


@pytest.fixture
def control():
    with Listener(device("escpos")) as listener, ControlPort(listener) as port:
        yield listener, port


def connection(port):
    host, number = port.url.removeprefix("http://").split(":")
    return contextlib.closing(http.client.HTTPConnection(host, int(number), timeout=5))


def get(port, path, *, method="GET", **headers):
    with connection(port) as opened:
        opened.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = opened.getresponse()
        return response.status, response.headers, response.read()


def printed(listener, data, tickets):
    with socket.create_connection(("127.0.0.1", listener.port)) as sock:
        sock.sendall(data)
    assert listener.wait(lambda dev: dev.tickets >= tickets, 5)


@contextlib.contextmanager
def stream(port):
    """next_event() -> (name, value), of a page that is open."""
    with connection(port) as opened:
        opened.request("GET", "/events")
        response = opened.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")

        def next_event():
            name, data, blank = (response.fp.readline().decode() for _ in range(3))
            assert blank == "\n"
            return name.removeprefix("event: ").strip(), json.loads(data.removeprefix("data: "))

        yield next_event


def until(next_event, name, wanted=lambda _: True):
    while True:
        got, value = next_event()
        if got == name and wanted(value):
            return value


def test_the_page_and_its_policy(control):
    _, port = control
    for path, kind in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ]:
        status, headers, body = get(port, path)
        assert (status, headers["Content-Type"]) == (200, kind)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "'unsafe" not in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Access-Control-Allow-Origin"] is None
        assert b"//" not in body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"// ", b"")
    for path in ("/page", "/../control.py", "/page.js/", "/page/index.html", "/%2e%2e/control.py"):
        assert get(port, path)[0] == 404


def test_the_page_reads_no_html_from_a_job():
    script = resources.files("rawprint.virtual").joinpath("page", "page.js").read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in script


def test_tickets_and_their_pictures(control):
    listener, port = control
    assert json.loads(get(port, "/tickets")[2]) == []
    printed(listener, b"one\n\x1dV\x00two\n2\n\x1dV\x00\x1dV\x00", 3)
    assert json.loads(get(port, "/tickets")[2]) == [
        {"number": 1, "lines": ["one"], "bytes": 7, "sheets": 1},
        {"number": 2, "lines": ["two", "2"], "bytes": 9, "sheets": 1},
        {"number": 3, "lines": [], "bytes": 3, "sheets": 0},
    ]
    status, headers, body = get(port, "/ticket/2.png")
    assert (status, headers["Content-Type"], body[:8]) == (200, "image/png", b"\x89PNG\r\n\x1a\n")
    assert body == get(port, "/ticket/2-1.png")[2] != get(port, "/ticket/1.png")[2]
    for path in (
        "/ticket/0.png",
        "/ticket/4.png",
        "/ticket/3.png",
        "/ticket/1-2.png",
        "/ticket/1-0.png",
        "/ticket/x.png",
    ):
        assert get(port, path)[0] == 404, path
    listener.reset()
    assert json.loads(get(port, "/tickets")[2]) == []


@pytest.mark.parametrize("path", ["/", "/events", "/tickets", "/ticket/1.png", "/received", "/state"])
def test_no_foreign_page_reads(control, path):
    listener, port = control
    printed(listener, b"secret\n\x1dV\x00", 1)
    for headers in (
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Host": "rebound.example.com"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ):
        status, _, body = get(port, path, **headers)
        assert status == 403
        assert b"secret" not in body


@pytest.mark.parametrize("path", ["/state", "/reset"])
def test_no_foreign_page_changes_anything(control, path):
    listener, port = control
    printed(listener, b"kept\n\x1dV\x00", 1)
    for headers in ({"Origin": "https://example.com"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert get(port, path, method="POST", **headers)[0] == 403
    assert listener.state()["jobs"] == 1


def test_a_link_leads_to_the_page(control):
    assert get(control[1], "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


def test_events_tell_everything_and_then_each_change(control):
    listener, port = control
    printed(listener, b"\x1b@before\n\x1dV\x00", 1)
    with stream(port) as next_event:
        assert next_event() == ("begin", {})
        name, state = next_event()
        assert (name, state["tickets"], state["bytes"], state["connected"]) == ("state", 1, 12, False)
        assert [piece["shown"] for piece in until(next_event, "bytes")["pieces"]] == ["ESC @", "before", "GS V 00"]
        assert until(next_event, "ticket") == {"number": 1, "lines": ["before"], "bytes": 12, "sheets": 1}
        listener.set("media-empty", True)
        assert until(next_event, "state", lambda state: state["reasons"]["media-empty"])
        with socket.create_connection(("127.0.0.1", listener.port)) as sock:
            sock.sendall(b"after\n\x1dV")
            assert until(next_event, "bytes", lambda value: value["open"]["size"])["open"] == {
                "at": 18,
                "size": 2,
                "hex": "1d56",
            }
            sock.sendall(b"\x00")
            listener.set("media-empty", False)
            assert until(next_event, "ticket")["lines"] == ["after"]
        listener.reset()
        assert until(next_event, "begin") == {}
        assert until(next_event, "state")["tickets"] == 0


def test_more_than_one_event_holds_is_told_all_the_same(control):
    listener, port = control
    printed(listener, b"x\n" * 500 + b"\x1dV\x00" * 30, 30)
    with stream(port) as next_event:
        pieces, tickets = [], []
        while len(pieces) < 530 or len(tickets) < 30:
            name, value = next_event()
            pieces += value["pieces"] if name == "bytes" else []
            tickets += [value["number"]] if name == "ticket" else []
    assert [piece["at"] for piece in pieces] == [*range(0, 1000, 2), *range(1000, 1090, 3)]
    assert tickets == list(range(1, 31))


def test_a_page_that_is_opened_late_gets_the_last_of_it(control):
    listener, port = control
    printed(listener, b"x\n" * 5000 + b"\x1dV\x00", 1)
    with stream(port) as next_event:
        first = until(next_event, "bytes")["pieces"][0]
    assert first["at"] == 5001 * 2 - 1000 * 2


def test_an_open_page_keeps_nobody_from_closing():
    with Listener(device("escpos")) as listener:
        port = ControlPort(listener).start()
        with connection(port) as opened:
            opened.request("GET", "/events")
            response = opened.getresponse()
            assert response.fp.readline() == b"event: begin\n"
            before = threading.active_count()
            port.close()
            assert response.read().endswith(b"\n\n")  # to its end
            assert threading.active_count() < before


def test_pages_are_counted(control, monkeypatch):
    _, port = control
    with contextlib.ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(stream(port))()
        assert get(port, "/events")[0] == 503


def test_a_browser_that_hangs_up_leaves_no_trace(control, capfd):
    listener, port = control
    host, number = port.url.removeprefix("http://").split(":")
    for request in (b"", b"GET /ev", b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        before = set(threading.enumerate())
        with socket.create_connection((host, int(number))) as sock:
            sock.sendall(request)
            assert get(port, "/state")[0] == 200  # by now it was accepted, and has its thread
            threads = set(threading.enumerate()) - before
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for thread in threads:
            while thread.is_alive():  # an event for a page that has gone ends it
                listener.look_again()
                listener.set("media-low", not listener.device.reasons["media-low"])
                thread.join(0.05)
    assert capfd.readouterr() == ("", "")
