"""Documents through the real server: images, PDFs, text and tickets in one print with raw bytes, and what becomes of broken ones."""

from __future__ import annotations

import base64
import io
import random
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from PIL import Image, ImageDraw

from rawprint.documents import Dots, Paper, page, picture
from rawprint.virtual import Listener, device
from rawprint_server.config import AccessConfig, Config, LimitsConfig, PrinterConfig, ServerConfig

from .conftest import PATIENCE, Refused, RunningServer
from .test_schema import SCHEMA, errors

RESET = b"\x1b@"
ROLL = Paper.of("escpos", width_mm=80)
LABEL = Paper.of("tspl", width_mm=100, height_mm=150)
PAGE = "https://pos.example.com"


def noise(width, height, seed=1):
    data = random.Random(seed).randbytes((width + 7) // 8 * height)
    return Dots(width, height, data.replace(b"\x10", b"\x11").replace(b"\x1b", b"\x1a"))


def png(dots):
    file = io.BytesIO()
    dots.image().save(file, "PNG")
    return file.getvalue()


def pdf(pages, size=(400, 600)):
    """A PDF of so many pages, each with another pattern."""
    drawn = []
    for number in range(pages):
        sheet = Image.new("L", size, 255)
        ImageDraw.Draw(sheet).rectangle((20, 20 + number * 3, 200, 60 + number * 3), 0)
        drawn.append(sheet)
    file = io.BytesIO()
    drawn[0].save(file, "PDF", save_all=True, append_images=drawn[1:], resolution=203)
    return file.getvalue()


def item(format, data, **options):
    return {"format": format, "flavor": "base64", "data": base64.b64encode(data).decode(), "options": options}


ATTACHED = {"format": "image", "flavor": "attached"}


@pytest.fixture
def receipt():
    with Listener(device("escpos", buffer_size=1 << 20)) as listener:
        yield listener


@pytest.fixture
def label():
    with Listener(device("tspl", buffer_size=1 << 20)) as listener:
        yield listener


class Run:
    """A server and its clients, up to `stop`."""

    def __init__(self, config, state):
        self._stack = ExitStack()
        self.server = self._stack.enter_context(RunningServer(config, state))

    def native(self, **options):
        return self._stack.enter_context(self.server.native(**options))

    def stop(self):
        self._stack.close()


_LIMITS = LimitsConfig()
_ACCESS = AccessConfig(origins=(PAGE,))


@pytest.fixture
def run(receipt, label):
    running = []

    def run(state=None, limits=_LIMITS, access=_ACCESS, **printer):
        printers = {
            "Receipt": PrinterConfig(receipt.address, "escpos", width_mm=80, **printer),
            "Label": PrinterConfig(label.address, "tspl", width_mm=100, height_mm=150),
            "Mute": PrinterConfig(receipt.address),
        }
        config = Config(server=ServerConfig(port=0), printers=printers, limits=limits, access=access)
        running.append(Run(config, state))
        return running[-1]

    yield run
    for each in running:
        each.stop()


def printed(listener):
    with listener.lock:
        return bytes(listener.device.printed)


# -- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["base64", "hex", "attached"])
def test_an_image(run, receipt, way):
    client = run().native()
    dots = noise(576, 300)
    data = png(dots)
    if way == "attached":
        job = client.print("Receipt", [ATTACHED], data, wait="ended")
    else:
        text = data.hex() if way == "hex" else base64.b64encode(data).decode()
        job = client.print("Receipt", [{"format": "image", "flavor": way, "data": text}], wait="ended")
    assert job["state"] in {"completed", "delivered"}
    assert printed(receipt) == RESET + picture(dots, ROLL)
    assert job["bytes_total"] == len(printed(receipt))


def test_a_label_and_what_the_configuration_says_of_it(run, label):
    dots = noise(800, 1200)
    run().native().print("Label", [ATTACHED], png(dots), wait="ended")
    assert printed(label) == page(dots, LABEL)


def test_raw_items_and_documents_in_one_job(run, receipt):
    client = run(cut="partial").native()
    dots = noise(64, 20)
    job = client.print(
        "Receipt",
        ["Hello\n", item("image", png(dots)), {"data": "Bye\n"}, item("image", png(dots))],
        id="one",
        wait="ended",
    )
    assert job["id"] == "one"
    assert printed(receipt) == b"Hello\n" + picture(dots, ROLL) + b"Bye\n" + picture(dots, ROLL) + b"\n\n\n\n\x1dV\x01"


def test_a_piece_of_a_label(run, label):
    dots = noise(64, 20)
    data = ["CLS\r\n", item("image", png(dots), x=10, y=20), "PRINT 1\r\n"]
    run().native().print("Label", data, wait="ended")
    assert printed(label).startswith(b"CLS\r\nBITMAP 10,20,8,20,0,")


def test_text_and_a_ticket(run, receipt):
    client = run().native()
    client.print("Receipt", [{"format": "text", "data": "Total 12.50\n"}], wait="ended")
    assert b"Total 12.50" in printed(receipt)
    client.print("Receipt", [{"format": "ticket", "data": "# Cafe\n\nEspresso\n"}], wait="ended")
    assert b"Espresso" in printed(receipt)
    client.print("Receipt", [{"format": "ticket", "blocks": [{"type": "text", "text": "Latte"}]}], wait="ended")
    assert b"Latte" in printed(receipt)


def test_what_no_font_has_is_told(run):
    job = run().native().print("Receipt", [{"format": "text", "data": "a\U0010fffdb\n"}])
    assert any("U+10FFFD" in note for note in job["notes"])


def test_copies(run, receipt):
    client = run().native()
    dots = noise(64, 20)
    client.print("Receipt", [ATTACHED], png(dots), copies=3, wait="ended")
    assert printed(receipt) == (RESET + picture(dots, ROLL)) * 3


# -- pages ---------------------------------------------------------------------------------------------------------


def test_each_page_is_a_job(run, label):
    client = run().native()
    job = client.print(
        "Label", [{"format": "pdf", "flavor": "attached"}], pdf(4), id="doc", jobName="Labels", wait="ended"
    )
    assert job["id"] == "doc"
    assert [each["id"] for each in client.ask("jobs.list")] == ["doc/1", "doc/2", "doc/3", "doc"]
    assert [each["name"] for each in client.ask("jobs.list")] == [f"Labels, page {number}" for number in (1, 2, 3, 4)]
    assert label.device.tickets == 4
    client.print("Label", [item("pdf", pdf(4), pages="2-3")], copies=2, wait="ended")
    assert label.device.tickets == 8


def test_the_same_id_prints_once_and_goes_on_where_it_was(run, label, tmp_path):
    server = run(tmp_path)
    client = server.native()
    data, parts = pdf(5), [{"format": "pdf", "flavor": "attached"}]
    first = client.print("Label", parts, data, id="doc", wait="ended")
    again = server.native().print("Label", parts, data, id="doc", wait="ended")
    assert again["created"] == first["created"]
    assert label.device.tickets == 5
    with pytest.raises(Refused) as caught:
        client.print("Label", parts, pdf(6), id="doc")
    assert caught.value.code == "id-conflict"


def test_it_is_printed_though_its_page_is_gone(run, label):
    server = run()
    client = server.native()
    client.send(
        "print", attached=pdf(8), printer="Label", data=[{"format": "pdf", "flavor": "attached"}], options={"id": "doc"}
    )
    client.ws.close()
    other = server.native()
    other.ask("subscribe")
    other.job_event("doc", "completed", "delivered")
    assert label.device.tickets == 8


def test_prints_keep_their_order(run, receipt):
    client = run().native()
    dots = noise(576, 800)
    uids = [client.send("print", printer="Receipt", data=["one\n"])]
    uids.append(client.send("print", attached=png(dots), printer="Receipt", data=[ATTACHED]))
    uids.append(client.send("print", printer="Receipt", data=["two\n"]))
    uids.append(client.send("print", printer="Receipt", data=["three\n"], options={"wait": "ended"}))
    for uid in uids:
        client.reply(uid)
    assert printed(receipt) == b"one\n" + RESET + picture(dots, ROLL) + b"two\nthree\n"


def test_canceled_in_its_middle(run, label):
    label.device.set("media-empty", value=True)
    client = run().native()
    client.ask("subscribe")
    uid = client.send(
        "print",
        attached=pdf(40),
        printer="Label",
        data=[{"format": "pdf", "flavor": "attached"}],
        options={"id": "doc"},
    )
    client.job_event("doc/2", "pending")
    assert client.ask("jobs.cancel", id="doc")["state"] in {"canceled", "uncertain"}
    with pytest.raises(Refused) as caught:
        client.reply(uid)
    assert caught.value.code == "canceled"
    assert all(job["state"] in {"canceled", "uncertain"} for job in client.ask("jobs.list"))


def test_a_test_label(run, label, receipt):
    client = run().native()
    for printer, listener in (("Label", label), ("Receipt", receipt)):
        job = client.ask("printers.test", printer=printer)
        assert job["name"] == "test label"
        assert errors(job, SCHEMA["calls"]["printers.test"]["result"]) == []
        client.ask("print", printer=printer, data="x\n", options={"wait": "ended"})
        assert len(printed(listener)) > 10_000
    with pytest.raises(Refused):
        client.ask("printers.test", printer="Mute")


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"format": "image", "data": "x"}, "bad-request"),
        (item("image", b"x"), "bad-document"),
        (item("image", b"\x89PNG\r\n\x1a\n"), "bad-document"),
        (item("pdf", b"%PDF-1.4\n"), "bad-document"),
        (item("pdf", pdf(2), pages="9"), "bad-document"),
        (item("image", png(noise(8, 8)), store="TOOLONG"), "bad-document"),
        ({"format": "ticket", "data": "[nothing]"}, "bad-document"),
        ({"format": "spreadsheet", "data": "x"}, "bad-request"),
        ({"format": "image", "flavor": "base64", "data": "?"}, "bad-request"),
        ({"format": "image", "flavor": "file", "data": PAGE + "/logo.png"}, "bad-request"),
        ({"format": "image", "data": "x", "options": {"rotate": 45}}, "bad-request"),
        ({"format": "text", "flavor": "hex", "data": "ff"}, "bad-request"),
    ],
)
def test_errors_have_codes_and_nothing_is_printed(run, receipt, data, code):
    client = run().native()
    with pytest.raises(Refused) as caught:
        client.print("Receipt", [data])
    assert caught.value.code == code, caught.value.message
    assert client.ask("jobs.list") == []
    assert printed(receipt) == b""


def test_a_printer_whose_language_is_not_known(run):
    with pytest.raises(Refused) as caught:
        run().native().print("Mute", [ATTACHED], png(noise(8, 8)))
    assert caught.value.code == "bad-document"


def test_limits(run):
    client = run(limits=LimitsConfig(pages=3, pixels=10_000, job_bytes=2000)).native()
    for parts, data in (([{"format": "pdf", "flavor": "attached"}], pdf(4)), ([ATTACHED], png(noise(200, 200)))):
        with pytest.raises(Refused) as caught:
            client.print("Receipt", parts, data)
        assert caught.value.code == "document-too-large"
    with pytest.raises(Refused) as caught:
        client.print("Receipt", [{**ATTACHED, "options": {"fit": "fit"}}], png(noise(90, 90)))
    assert caught.value.code == "too-large"


def test_what_a_page_may_not_send_is_not_let_through_in_a_document(run, receipt):
    client = run().native(origin=PAGE)
    with pytest.raises(Refused) as caught:
        client.print("Receipt", [item("image", png(noise(64, 8)), store="L1")])
    assert caught.value.code == "command-refused"
    with pytest.raises(Refused) as caught:  # the picture would be taken for what this lacks
        client.print("Receipt", [item("image", png(noise(64, 8))), {"flavor": "hex", "data": "1d76300002000800"}])
    assert caught.value.code == "command-refused"
    client.print("Receipt", [{"format": "text", "data": "\x1b@\x1c\x71\x1b=\x02 hello\n"}], wait="ended")
    assert b"hello" in printed(receipt)
    assert printed(receipt) == RESET + b"@q= hello\n"


# -- files of the page's own host --------------------------------------------------------------------------------------


class Files(BaseHTTPRequestHandler):
    dots = noise(64, 20)

    def do_GET(self):
        if self.path == "/logo.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png(self.dots))
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/logo.png")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with HTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_of_the_pages_own_host(run, receipt, site):
    client = run(access=AccessConfig(origins=(site,), fetch=True)).native(origin=site)
    client.print("Receipt", [{"format": "image", "flavor": "file", "data": f"{site}/logo.png"}], wait="ended")
    assert printed(receipt) == RESET + picture(Files.dots, ROLL)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/none.png", "bad-document"),
        ("/away", "bad-document"),
        ("http://127.0.0.1:1/logo.png", "bad-request"),
        ("http://localhost:{port}/logo.png", "bad-request"),
        ("file:///etc/passwd", "bad-request"),
        ("http://user@127.0.0.1:{port}/logo.png", "bad-request"),
        ("{site}@127.0.0.1/logo.png", "bad-request"),
        ("{site}/logo.png\r\nX: y", "bad-request"),
        ("logo.png", "bad-request"),
        ("http://[::1/logo.png", "bad-request"),
    ],
)
def test_no_other_file(run, receipt, site, url, code):
    client = run(access=AccessConfig(origins=(site,), fetch=True)).native(origin=site)
    url = url.replace("{port}", site.rpartition(":")[2]).replace("{site}", site)
    with pytest.raises(Refused) as caught:
        client.print("Receipt", [{"format": "image", "flavor": "file", "data": site + url if url[0] == "/" else url}])
    assert caught.value.code == code
    assert printed(receipt) == b""


# -- the server's own well-being -----------------------------------------------------------------------------------------


def test_the_server_answers_while_a_document_is_made(run):
    server = run()
    busy, other = server.native(), server.native()
    large = Image.effect_noise((3000, 3000), 90).convert("RGB")
    file = io.BytesIO()
    large.save(file, "PNG", compress_level=1)
    uid = busy.send("print", attached=file.getvalue(), printer="Label", data=[ATTACHED])
    for _ in range(20):
        other.ask("server.version")
    assert not busy.has_reply(uid)
    busy.reply(uid, PATIENCE)


def test_the_end_of_the_server_in_the_midst_of_a_document(run, label, tmp_path):
    server = run(tmp_path)
    client = server.native()
    client.ask("subscribe")
    data, parts = pdf(30), [{"format": "pdf", "flavor": "attached"}]
    client.send("print", attached=data, printer="Label", data=parts, options={"id": "doc"})
    client.job_event("doc/2", "pending")
    server.stop()
    again = run(tmp_path).native()
    again.print("Label", parts, data, id="doc", wait="ended")
    assert label.device.tickets == 30
