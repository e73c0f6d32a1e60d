"""Documents from a page in a real browser, as its user has them: a chosen file, a canvas, a Blob, bytes, text and a ticket."""

from __future__ import annotations

import base64

import pytest

from rawprint.documents import Dots, Paper, picture
from rawprint_server.config import AccessConfig

from .test_browser import browser, open_page, pytestmark, site  # noqa: F401 - its fixtures
from .test_documents import RESET, label, noise, pdf, png, printed, receipt, run  # noqa: F401

ROLL = Paper.of("escpos", width_mm=80)

PRINT = """async ([server, script]) => {
  const { connect } = await import(`http://${server}/rawprint.js`);
  const printers = await connect();
  const receipt = printers.get("Receipt");
  const label = printers.get("Label");
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  try {
    const job = await new Function("receipt", "label", "bytes", `return (async () => ${script})()`)(receipt, label, bytes);
    return { state: job.state, id: job.id, notes: job.notes };
  } catch (error) {
    return { code: error.code, message: error.message };
  } finally {
    printers.close();
  }
}"""


@pytest.fixture
def do(run, open_page, site):  # noqa: F811
    server = run(access=AccessConfig(origins=(site,)))
    page = open_page(f"{site}/label-classic.html", strict=False)

    def do(script):
        return page.evaluate(PRINT, [f"127.0.0.1:{server.server.port}", script])

    do.page = page
    return do


def b64(data):
    return base64.b64encode(data).decode()


def test_bytes_and_blobs_of_every_kind(do, receipt):  # noqa: F811
    dots = noise(64, 20)
    logo = f"bytes('{b64(png(dots))}')"
    for part in (
        f"new Blob([{logo}], {{ type: 'image/png' }})",
        f"new File([{logo}], 'logo.png', {{ type: 'image/png' }})",
        f"{{ format: 'image', data: {logo} }}",
        f"{{ format: 'image', data: new Blob([{logo}]) }}",
        f"{{ format: 'image', flavor: 'base64', data: '{b64(png(dots))}' }}",
    ):
        before = len(printed(receipt))
        assert do(f"receipt.print({part}, {{ wait: 'ended' }})")["state"] in {"completed", "delivered"}, part
        assert printed(receipt)[before:] == RESET + picture(dots, ROLL), part
    before = len(printed(receipt))
    do("receipt.print(['A\\n', new Uint8Array([66, 10]), new Blob(['C\\n'])], { wait: 'ended' })")
    assert printed(receipt)[before:] == b"A\nB\nC\n"


def test_a_canvas(do, receipt):  # noqa: F811
    drawn = """(() => {{
      const canvas = {make};
      const pen = canvas.getContext('2d');
      pen.fillStyle = 'black';
      pen.fillRect(8, 0, 16, 4);
      return canvas;
    }})()"""
    expected = Dots(64, 8, (b"\x00\xff\xff" + bytes(5)) * 4 + bytes(32))
    for make in (
        "Object.assign(document.createElement('canvas'), { width: 64, height: 8 })",
        "new OffscreenCanvas(64, 8)",
    ):
        before = len(printed(receipt))
        assert "state" in do(f"receipt.print({drawn.format(make=make)}, {{ wait: 'ended' }})")
        assert printed(receipt)[before:] == RESET + picture(expected, ROLL)
    large = "Object.assign(document.createElement('canvas'), { width: 0, height: 0 })"
    assert do(f"receipt.print({large})")["code"] == "bad-request"


def test_a_file_that_its_user_chose(do, label, tmp_path):  # noqa: F811
    path = tmp_path / "labels.pdf"
    path.write_bytes(pdf(3))
    do.page.evaluate("document.body.innerHTML = '<input type=file id=chosen>'")
    do.page.set_input_files("#chosen", str(path))
    answer = do("label.print(document.querySelector('#chosen').files[0], { id: 'doc', wait: 'ended' })")
    assert answer["id"] == "doc"
    assert label.device.tickets == 3
    data = "{ format: 'pdf', data: document.querySelector('#chosen').files[0], options: { pages: '2' } }"
    do(f"label.print({data}, {{ wait: 'ended' }})")
    assert label.device.tickets == 4


def test_text_a_ticket_and_what_could_not_be_printed(do, receipt):  # noqa: F811
    answer = do("receipt.print({ format: 'text', data: 'Total \\u{10FFFD}\\n' }, { wait: 'ended' })")
    assert any("U+10FFFD" in note for note in answer["notes"])
    do("receipt.print({ format: 'ticket', blocks: [{ type: 'heading', text: 'Cafe' }] }, { wait: 'ended' })")
    assert b"Cafe" in printed(receipt)
    answer = do("receipt.print({ format: 'pdf', data: new Uint8Array([1, 2, 3]) })")
    assert answer["code"] == "bad-document"


def test_many_at_once(do, receipt):  # noqa: F811
    answer = do(
        """(async () => {
          const canvas = new OffscreenCanvas(576, 20000);
          const pen = canvas.getContext('2d');
          for (let at = 0; at < 20000; at += 3) pen.fillRect(at % 500, at, 60, 2);
          const jobs = await Promise.all(Array.from({ length: 12 }, () => receipt.print(canvas)));
          return jobs.at(-1).finished;
        })()"""
    )
    assert answer["state"] in {"completed", "delivered"}
