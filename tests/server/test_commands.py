"""The command filter in the real server: what pages may not send, in both accents, and who may send it."""

from __future__ import annotations

import base64
from contextlib import contextmanager

import pytest

from rawprint.virtual import Listener, device
from rawprint_server import grants
from rawprint_server.access import ORDINARY, Grant
from rawprint_server.config import REFUSED, AccessConfig, Config, PrinterConfig, ServerConfig, check

from .conftest import PATIENCE, Refused, RunningServer

PAGE = "https://pos.example.com"
ATTACHED = {"type": "raw", "format": "command", "flavor": "attached"}
MARK = b"\nEND\n"
KICK = b"\x1bp\x00\x32\xfa"
RASTER = b"\x1dv0\x00\x02\x00\x08\x00"  # 16 bytes follow

# Printer, job, and what is found in it: kind, name, offset.
FORBIDDEN = [
    ("Label", b'CLS\r\nRUN "A.BAS"\r\n', "firmware", "RUN", 5),
    ("Label", b'CLS\r\nKILL F,"A.BAS"\r\n', "storage", "KILL", 5),
    ("Label", b"CLS\r\nBITMAP 0,0,4,5,0," + bytes(19), "unfinished", "BITMAP", 5),
    ("Receipt", b"Hi\n\x1cq\x01\x01\x00\x01\x00" + bytes(8), "storage", "FS q", 3),
    ("Receipt", b"Hi\n\x1d(E\x03\x00\x01IN", "settings", "GS ( E", 3),
    ("Receipt", b"Hi\n\x1b%-12345X@PJL\r\n", "language", "UEL", 3),
    ("Receipt", b"Hi\n\x1d(A\x02\x00\x00\x01", "maintenance", "GS ( A", 3),
    ("Receipt", b"Hi\n" + RASTER + bytes(15), "unfinished", "GS v 0", 3),
]
NAMED = pytest.mark.parametrize(
    ("printer", "job", "kind", "name", "offset"), FORBIDDEN, ids=[x[2] + "-" + x[3] for x in FORBIDDEN]
)


class Text:
    """The native protocol, all in text frames."""

    def __init__(self, connection):
        self.connection = connection

    def print(self, printer, data, **options):
        self.connection.print(printer, [raw(data)], **options)

    def refusal(self, printer, data, **options):
        with pytest.raises(Refused) as caught:
            self.print(printer, data, **options)
        return caught.value.code, caught.value.message


class Attached(Text):
    """The native protocol, the bytes in a binary frame."""

    def print(self, printer, data, **options):
        self.connection.print(printer, [ATTACHED], data, **options)


class PrinterWebSocket:
    """The protocol of PrinterWebsocket."""

    def __init__(self, connection):
        self.connection = connection

    def print(self, printer, data, **options):
        reply = self.connection.print(printer, [raw(data)], options=options)
        assert reply["status_code"] == 0

    def refusal(self, printer, data, **options):
        params = {"printer": {"name": printer}, "data": [raw(data)], "options": options}
        error = self.connection.ask("print", params=params)["error"]  # the first frame: nothing was begun
        return error["code"], error["message"]


def raw(data):
    return {"type": "raw", "format": "command", "flavor": "base64", "data": base64.b64encode(data).decode()}


@pytest.fixture(params=[Text, Attached, PrinterWebSocket])
def accent(request):
    """accent(server, origin) -> a client of one of the accents."""

    @contextmanager
    def accent(server, origin=PAGE):
        opened = server.connect if request.param is PrinterWebSocket else server.native
        with opened(**({"origin": origin} if origin else {})) as connection:
            yield request.param(connection)

    return accent


@pytest.fixture
def unknown(stack):
    """A printer that takes everything, and whose language the configuration does not name."""
    with Listener(device("escpos")) as listener:
        yield listener


@pytest.fixture
def serve(stack, tmp_path, label, receipt, unknown):
    """serve(grant) -> a server that lets the page in by its configuration, or by the grant; options are the printers'."""

    def serve(grant=None, **options):
        printers = {
            "Label": PrinterConfig(label.address, "tspl", **options),
            "Receipt": PrinterConfig(receipt.address, "escpos", **options),
            "Plain": PrinterConfig(unknown.address, **options),
        }
        access = AccessConfig(() if grant else (PAGE,))
        config = Config(server=ServerConfig(port=0), printers=printers, access=access)
        check(config)
        if grant:
            grants.change(tmp_path / "state", lambda before: before.allow(PAGE, grant, "command"))
        return stack.enter_context(RunningServer(config, tmp_path / "state"))

    return serve


@pytest.fixture
def got(label, receipt, unknown):
    """got(printer) -> all that it received, once the job's mark is among it."""
    printers = {"Label": label, "Receipt": receipt, "Plain": unknown}

    def got(printer, *, wait=True):
        if wait:
            assert printers[printer].wait(lambda device: MARK in device.received, PATIENCE)
        return printers[printer].received()

    return got


def jobs(server):
    with server.native() as program:
        return program.ask("jobs.list")


@NAMED
def test_a_page_is_refused(accent, serve, got, printer, job, kind, name, offset):
    """Nothing of the job is printed, and the next one is."""
    server = serve()
    with accent(server) as page:
        code, message = page.refusal(printer, job)
        assert code == "command-refused"
        assert f"{kind} command ({name} at byte {offset})" in message
        assert jobs(server) == []
        page.print(printer, b"CLS" + MARK)
    assert job not in got(printer)
    assert len(jobs(server)) == 1
    call = 'rawprint_calls_total{call="print",outcome="command-refused"}'
    assert server.metric(call) == 1


@NAMED
def test_a_program_is_not(accent, serve, got, printer, job, kind, name, offset):
    server = serve()
    with accent(server, None) as program:
        program.print(printer, job + bytes(1) + MARK)
    assert job in got(printer)


@NAMED
def test_nor_a_page_where_the_printer_refuses_nothing(accent, serve, got, printer, job, kind, name, offset):
    server = serve(refuse=())
    with accent(server) as page:
        page.print(printer, job + bytes(1) + MARK)
    assert job in got(printer)


@NAMED
def test_nor_one_that_was_granted_raw(accent, serve, got, printer, job, kind, name, offset):
    server = serve(Grant(raw=True))
    with accent(server) as page:
        page.print(printer, job + bytes(1) + MARK)
    assert job in got(printer)


@NAMED
def test_one_that_was_granted_the_rest_is(accent, serve, printer, job, kind, name, offset):
    server = serve(Grant())
    with accent(server) as page:
        assert page.refusal(printer, job)[0] == "command-refused"


@pytest.mark.parametrize("kind", REFUSED)
def test_a_printer_refuses_the_kinds_that_it_names(accent, serve, kind):
    server = serve(refuse=(kind,))
    with accent(server) as page:
        for printer, job, each, name, offset in FORBIDDEN:
            if each == kind:
                assert f"({name} at byte {offset})" in page.refusal(printer, job)[1]
            elif each != "unfinished":  # the printer would wait for the rest
                page.print(printer, job)


def test_the_same_bytes_in_an_image_are_none(accent, serve, got):
    job = RASTER + b"\x1cq\x01\x1d(E\x03\x00\x01IN".ljust(16, b"\0") + MARK
    with accent(serve()) as page:
        page.print("Receipt", job)
    assert job in got("Receipt")


def test_an_image_cut_off_and_a_hidden_command(accent, serve, got):
    """Each job alone has its command in an image; in a row the printer would take the second one's image for commands."""
    second = b"\x1b*\x21\x0a\x00" + b"\x1d(E\x03\x00\x01IN".ljust(30, b"\0")
    server = serve()
    with accent(server) as page:
        code, message = page.refusal("Receipt", RASTER)
        assert (code, "(GS v 0 at byte 0)" in message) == ("command-refused", True)
        page.print("Receipt", second + MARK)
    assert RASTER not in got("Receipt")
    assert len(jobs(server)) == 1


def test_a_drawer_is_not_kicked_without_a_grant(accent, serve, got):
    server = serve(Grant(ORDINARY - {"drawer"}))
    with accent(server) as page:
        code, message = page.refusal("Receipt", b"Hi\n" + KICK)
        assert code == "command-refused"
        assert "(ESC p at byte 3)" in message
        assert page.refusal("Receipt", b"\x10\x14\x01\x00\x01")[0] == "command-refused"
        page.print("Receipt", MARK)
    assert KICK not in got("Receipt")


@pytest.mark.parametrize("grant", [None, Grant(), Grant(frozenset({"status", "print", "drawer"}))])
def test_with_one_it_is(accent, serve, got, grant):
    with accent(serve(grant)) as page:
        page.print("Receipt", KICK + MARK)
    assert KICK in got("Receipt")


def test_raw_lets_a_kick_through_too(accent, serve, got):
    with accent(serve(Grant(frozenset({"status", "print"}), raw=True))) as page:
        page.print("Receipt", KICK + MARK)
    assert KICK in got("Receipt")


def test_a_printer_without_a_dialect(accent, serve, got):
    """Only what all languages share is caught, and what is too long to be an accident."""
    server = serve()
    with accent(server) as page:
        for job in (
            b"a\x1b%-12345X",
            b"a@PJL SET X=1\r\n",
            b'a! U1 setvar "a" "b"\r\n',
            b'a{}{"a":"b"}',
            b"a\x1b%-123",
        ):
            code, message = page.refusal("Plain", job)
            assert (code, " at byte 1)" in message) == ("command-refused", True)
        page.print("Plain", b"Hi\n\x1cq\x01\x01\x00\x01\x00" + bytes(8))
        page.print("Plain", RASTER + KICK + MARK)  # cut off, for all that is known
    assert b"%-12345X" not in got("Plain")
    assert KICK in got("Plain")


def test_copies(serve):
    """They are looked through in a row, as they are printed."""
    server = serve()
    hidden = b"\x1d(E\x03\x00\x01IN"
    with server.native(origin=PAGE) as connection:
        page = Attached(connection)
        # The first copy's image takes the second one's head, and what is in the second one's image is commands.
        assert "(GS ( E at byte 24)" in page.refusal("Receipt", RASTER + hidden, copies=2)[1]
        assert "(GS v 0 at byte 0)" in page.refusal("Receipt", RASTER + hidden)[1]
        page.print("Receipt", RASTER + hidden + bytes(8) + MARK, copies=2)
    assert len(jobs(server)) == 1


def test_repeats_of_an_id(accent, serve, got):
    """A refused job's id is free; a printed one's lets nothing through."""
    server = serve()
    with accent(server) as page:
        assert page.refusal("Receipt", b"\x1d(E\x03\x00\x01IN", id="one")[0] == "command-refused"
        page.print("Receipt", b"clean" + MARK, id="one")
        got("Receipt")
        page.print("Receipt", b"clean" + MARK, id="one")
        assert page.refusal("Receipt", b"\x1d(E\x03\x00\x01IN", id="one")[0] == "command-refused"
    assert [job["id"] for job in jobs(server)] == ["one"]
    assert got("Receipt").count(b"clean") == 1
    assert b"\x1d(E" not in got("Receipt")


def test_items_are_looked_through_as_they_are_printed(serve, got):
    """A command in two items is one; so is the rest of an image."""
    server = serve()
    with server.native(origin=PAGE) as page:
        parts = [raw(b"\x1d("), raw(b"E\x03\x00\x01IN")]
        assert page.refusal("print", printer="Receipt", data=parts).code == "command-refused"
        page.print("Receipt", [raw(RASTER), raw(bytes(16)), raw(MARK)])
    assert RASTER + bytes(16) in got("Receipt")
