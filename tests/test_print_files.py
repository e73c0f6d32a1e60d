"""`rawprint print` with documents: what a file is taken for, what comes out, page by page, and what is said of what cannot be printed."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw

from rawprint.cli import main
from rawprint.documents import Dots, Paper, page, picture

ROLL = Paper.of("escpos", width_mm=80)
LABEL = Paper.of("tspl", width_mm=100, height_mm=150, gap_mm=2)


def drawn(width=200, height=80, format="PNG", **options):
    sheet = Image.new("1", (width, height), 1)
    ImageDraw.Draw(sheet).rectangle((10, 10, width // 2, height // 2), 0)
    file = io.BytesIO()
    sheet.save(file, format, **options)
    return sheet, file.getvalue()


def pdf(pages):
    sheets = []
    for number in range(pages):
        sheet = Image.new("L", (400, 600), 255)
        ImageDraw.Draw(sheet).rectangle((20, 20 + number * 4, 200, 60 + number * 4), 0)
        sheets.append(sheet)
    file = io.BytesIO()
    sheets[0].save(file, "PDF", save_all=True, append_images=sheets[1:], resolution=203)
    return file.getvalue()


@pytest.fixture
def put(tmp_path):
    def put(name, data):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    return put


def printed(listener):
    with listener.lock:
        return bytes(listener.device.printed)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP"])
def test_an_image_is_known_by_how_it_begins(virtual, put, format):
    listener = virtual("escpos")
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    sheet, data = drawn(format=format, **options)
    assert main(["print", listener.address, put("logo", data), "--dialect", "escpos", "--wait"]) == 0
    if format == "JPEG":
        assert printed(listener).startswith(b"\x1b@\x1dv0\0\x19\0\x50\0")
    else:
        assert printed(listener) == b"\x1b@" + picture(Dots.of(sheet), ROLL)


def test_what_is_printed_as_it_is(virtual, put):
    listener = virtual("escpos")
    for data, options in ((b"BM is no bitmap\n", []), (drawn()[1], ["--raw"])):
        before = len(listener.received())
        assert main(["print", listener.address, put("job", data), "--dialect", "escpos", *options]) == 0
        assert data in listener.received()[before:]
    bitmap = drawn(format="BMP")[1]
    assert main(["print", listener.address, put("a.bmp", bitmap), "--dialect", "escpos", "--image", "--wait"]) == 0
    assert b"\x1dv0\0" in printed(listener)


def test_a_label_with_all_that_is_known_of_it(virtual, put):
    listener = virtual("tspl")
    sheet, data = drawn(800, 1200)
    words = ["--dialect", "tspl", "--width", "100mm", "--height", "150", "--gap", "2", "--wait"]
    assert main(["print", listener.address, put("label.png", data), *words]) == 0
    assert printed(listener) == page(Dots.of(sheet), LABEL)


def test_text_a_ticket_the_cut_and_the_drawer(virtual, put):
    listener = virtual("escpos")
    words = ["--dialect", "escpos", "--wait"]
    assert (
        main(["print", listener.address, put("a.txt", "Total 12.50"), *words, "--text", "--cut", "--open-drawer"]) == 0
    )
    assert printed(listener) == b"\x1b@Total 12.50\n\n\n\n\n\x1dV\x01\x1bp\x00\x32\xfa"
    assert main(["print", listener.address, put("b.txt", "# Cafe\n| Espresso |> 2.20 |\n"), *words, "--ticket"]) == 0
    assert b"Espresso" in printed(listener)
    assert b"2.20\n" in printed(listener)
    before = len(printed(listener))
    assert main(["print", listener.address, put("c.bin", b"Raw\n"), *words, "--cut", "full"]) == 0
    assert printed(listener)[before:] == b"Raw\n\n\n\n\n\x1dV\x00"
    assert listener.device.drawer_kicks == 1


def test_characters_that_no_font_has_are_told(virtual, put, capsys):
    listener = virtual("escpos")
    assert main(["print", listener.address, put("a", "x\U0010fffd\n"), "--text", "--dialect", "escpos", "--wait"]) == 0
    assert "U+10FFFD" in capsys.readouterr().err
    code = main(["print", listener.address, put("a", "日本\n"), "--text", "--policy", "native", "--dialect", "escpos"])
    assert code == 1
    assert "unprintable" in capsys.readouterr().err


def test_pages_of_a_pdf(virtual, put):
    listener = virtual("tspl")
    words = ["--dialect", "tspl", "--width", "100", "--height", "150", "--wait"]
    assert main(["print", listener.address, put("l.pdf", pdf(5)), "--pages", "2-4", *words]) == 0
    assert listener.device.tickets == 3


def test_a_page_is_made_when_the_one_before_goes_out(virtual, put, monkeypatch):
    """A hundred pages: the second is not rendered before the first one's first byte is out, and there are two of them at most."""
    from rawprint.documents import pdf_pages
    from rawprint.transports.tcp import TcpTransport

    listener = virtual("tspl", buffer_size=1 << 20)
    made, out = [], []
    render, write = pdf_pages._Page.render, TcpTransport.write

    def render_(self, placed):
        made.append(sum(out))
        return render(self, placed)

    def write_(self, data, timeout):
        taken = write(self, data, timeout)
        out.append(taken)
        return taken

    monkeypatch.setattr(pdf_pages._Page, "render", render_)
    monkeypatch.setattr(TcpTransport, "write", write_)
    words = ["--dialect", "tspl", "--width", "100", "--height", "150", "--wait"]
    assert main(["print", listener.address, put("l.pdf", pdf(100)), *words]) == 0
    assert listener.device.tickets == len(made) == 100
    assert made[0] == 0
    size = len(printed(listener)) // 100
    assert all(sent > (number - 1) * size for number, sent in enumerate(made[1:], 1))


@pytest.mark.parametrize(
    ("name", "data", "words", "code", "said"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", [], 1, "bad-document"),
        ("a.pdf", b"%PDF-1.4", [], 1, "bad-document"),
        ("a.pdf", None, ["--pages", "7"], 1, "bad-document"),
        ("a.txt", b"\xff\xfe", ["--text"], 1, "UTF-8"),
        ("a.txt", b"[nothing]", ["--ticket"], 1, "line 1"),
        ("a.png", drawn()[1], ["--profile", "TM-T88X"], 1, "TM-T88"),
    ],
)
def test_what_cannot_be_printed_opens_nothing(closed_port, put, capsys, name, data, words, code, said):
    data = pdf(2) if data is None else data
    address = f"tcp://127.0.0.1:{closed_port}"
    assert main(["print", address, put(name, data), "--dialect", "escpos", *words]) == code
    assert said in capsys.readouterr().err


def test_the_language_has_to_be_known(put, capsys):
    assert main(["print", "tcp://127.0.0.1:9", put("a.png", drawn()[1])]) == 2
    assert "--dialect" in capsys.readouterr().err


def test_json(virtual, put, capsys):
    listener = virtual("tspl")
    words = ["--dialect", "tspl", "--width", "100", "--height", "150", "--wait", "--json"]
    assert main(["print", listener.address, put("l.pdf", pdf(3)), *words]) == 0
    job = json.loads(capsys.readouterr().out)
    assert job["state"] in {"completed", "delivered"}
    assert main(["print", listener.address, put("x.pdf", b"%PDF-"), *words]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad-document"


def test_with_a_journal_each_page_is_printed_once(virtual, put, tmp_path):
    """Killed as page after page goes out; the same id goes on where it was."""
    listener = virtual("tspl", buffer_size=64 * 1024)
    words = ["print", listener.address, put("l.pdf", pdf(6)), "--dialect", "tspl", "--width", "100", "--height", "150"]
    words += ["--journal", str(tmp_path / "jobs.db"), "--id", "doc", "--wait"]
    with listener.lock:
        listener.device.refill(40_000)  # paper for a page and a part of one
    process = subprocess.Popen(
        [sys.executable, "-m", "rawprint", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert "stopped after" in process.stderr.readline().decode()
    process.kill()
    process.communicate()
    with listener.lock:
        listener.device.refill(None)
    result = subprocess.run([sys.executable, "-m", "rawprint", *words], capture_output=True, text=True, check=False)
    # The page that was interrupted may have come out: it is not repeated, and somebody has to say.
    assert result.returncode == 1, result
    assert "doc/2: a run of before was interrupted in its middle" in result.stderr
    assert listener.device.tickets == 6
    again = subprocess.run([sys.executable, "-m", "rawprint", *words], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "doc/2: ended uncertain" in again.stderr
    assert listener.device.tickets == 6
