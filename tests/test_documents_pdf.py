"""PDF pages as dots: which, how large, how turned, one at a time; and the worker process that makes them."""

import builtins
import io
import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from rawprint.documents import Paper, image, images, page, page_count, pdf, pdf_pages, print_pdf, worker
from rawprint.errors import BackendMissing, DocumentError, DocumentTooLarge

from .pdfs import box, document, encrypted, text

ROLL = Paper("escpos", 576)
LABEL = Paper("tspl", 800, 1200)
INCH = 72  # points
SRC = Path(__file__).parent.parent / "src"


def black(dots):
    """The box of what is black: left, top, right, bottom."""
    return dots.image().convert("L").point([255] * 128 + [0] * 128).getbbox()


def one(*args, **options):
    (dots,) = pdf(*args, **options)
    return dots


def near(found, expected, by=1):
    assert len(found) == len(expected)
    assert all(abs(a - b) <= by for a, b in zip(found, expected, strict=True)), (found, expected)


# -- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "paper", "options", "expected"),
    [
        ((INCH, INCH), ROLL, {}, (203, 203)),
        ((INCH, INCH), ROLL, {"fit": "none"}, (203, 203)),
        ((INCH, INCH), ROLL, {"fit": "fit"}, (576, 576)),
        ((612, 792), ROLL, {}, (576, 745)),
        ((595.276, 841.89), ROLL, {}, (576, 815)),
        ((INCH, 2 * INCH), ROLL, {"width_mm": 10}, (80, 160)),
        ((4 * INCH, 6 * INCH), LABEL, {}, (800, 1200)),
        ((INCH, INCH), LABEL, {}, (203, 203)),
        ((INCH, INCH), LABEL, {"fit": "fit"}, (800, 800)),
        ((612, 792), LABEL, {}, (800, 1035)),
        ((INCH, INCH), Paper("zpl", 1200, None, 300), {}, (300, 300)),
        ((1, 1), ROLL, {}, (3, 3)),
        ((0.01, 0.01), ROLL, {}, (1, 1)),
        ((10**6, 1), ROLL, {"rotate": 0}, (576, 1)),
        ((100 / 25.4 * INCH, 150 / 25.4 * INCH), LABEL, {"fit": "none"}, (800, 1200)),
        ((576 / 203 * INCH, 3000 / 203 * INCH), ROLL, {}, (576, 3000)),
    ],
)
def test_sizes(size, paper, options, expected):
    dots = one(document(b"", size=size), paper, **options)
    assert (dots.width, dots.height) == expected
    assert len(dots.data) == dots.stride * dots.height


def test_a_picture_keeps_its_dots():
    """An image of the paper's own resolution comes out dot for dot: nothing is scaled twice."""
    checks = Image.new("1", (160, 80), 1)
    draw = ImageDraw.Draw(checks)
    for x in range(160):
        for y in range(80):
            if (x // 2 + y // 2) % 2:
                draw.point((x, y), 0)
    file = io.BytesIO()
    checks.save(file, "PDF", resolution=203)
    # Left and right edges may be mixed with the white around.
    dots = one(file.getvalue(), ROLL)
    assert (dots.width, dots.height) == (160, 80)
    wrong = sum(a != b for a, b in zip(dots.image().tobytes(), checks.tobytes(), strict=True))
    assert wrong <= 40


def test_what_is_too_wide():
    with pytest.raises(DocumentError, match="the page is 1727 dots wide, and the paper 576") as caught:
        one(document(b"", size=(612, 792)), ROLL, fit="none")
    assert caught.value.hint
    with pytest.raises(DocumentError, match="the page is 800 dots wide"):
        one(document(b""), ROLL, width_mm=100)
    for width in (0, -1, 1e9, float("nan")):
        with pytest.raises(DocumentError, match="mm wide"):
            one(document(b""), ROLL, width_mm=width)


def test_what_is_too_long():
    with pytest.raises(DocumentTooLarge, match="rows of dots"):
        one(document(b"", size=(10, 10**6)), ROLL)
    wide = Paper("tspl", 10_000)
    with pytest.raises(DocumentTooLarge, match="the page becomes"):
        one(document(b"", size=(3000, 20_000)), wide)


# -- what is drawn -----------------------------------------------------------------------------------------------


def test_where_it_stands():
    near(black(one(document(box(36, 18, 36, 9), size=(INCH, INCH)), ROLL)), (101, 127, 203, 152))


def test_text():
    dots = one(document(text(b"Hello")), ROLL)
    left, top, right, bottom = black(dots)
    near((left, right), (28 + 4, 28 + 130), 12)
    near((top, bottom), (282 - 113 - 41, 282 - 113), 4)


def test_hairlines_are_kept_wherever_they_fall():
    lines = b"\n".join(b"0.1 w %g 0 m %g 100 l S" % (x, x) for x in (5 + 3.003 * each for each in range(60)))
    row = one(document(lines, size=(200, 100)), ROLL, fit="none").image().crop((0, 100, 564, 101)).tobytes("raw", "1;I")
    bits = "".join(f"{byte:08b}" for byte in row)
    assert len([run for run in bits.split("0") if run]) == 60


def test_grey():
    grey = document(box(0, 0, 200, 100, 0.7))
    share = {how: black_share(one(grey, ROLL, dither=how)) for how in ("threshold", "floyd-steinberg", "ordered")}
    assert share["threshold"] == 0
    assert abs(share["floyd-steinberg"] - 0.3) < 0.02
    assert abs(share["ordered"] - 0.3) < 0.05
    assert black_share(one(grey, ROLL, threshold=200)) == 1
    assert black_share(one(grey, ROLL, invert=True)) == 1
    assert black_share(one(document(b""), ROLL, invert=True)) == 1


def black_share(dots):
    return sum(byte.bit_count() for byte in dots.data) / (dots.width * dots.height)


def test_colour_and_what_is_transparent():
    coloured = document(b"0 0 1 rg 0 0 100 100 re f /T gs 0 0 0 rg 100 0 100 100 re f",
                        resources=b"/ExtGState << /T << /ca 0.2 >> >>")  # fmt: skip
    near(black(one(coloured, ROLL)), (0, 0, 282, 282))


def test_forms_are_filled_in():
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (Hello) /DA (/F 20 Tf 0 g) /Rect [10 10 150 60] /F 4 >>"
    )
    filled = document(
        b"",
        extra=(field,),
        page=b"/Annots [4 0 R]",
        catalog=b"/AcroForm << /Fields [4 0 R] /DR << /Font << /F 3 0 R >> >> >>",
    )
    assert black(one(filled, ROLL)) is not None


# -- turning -----------------------------------------------------------------------------------------------------

CORNER = box(0, 90, 20, 10)  # at the top left of 200 x 100 points: 56 x 28 dots of 564 x 282


@pytest.mark.parametrize(
    ("rotate", "expected"),
    [
        (0, (0, 0, 56, 28)),
        (90, (282 - 28, 0, 282, 56)),
        (180, (564 - 56, 282 - 28, 564, 282)),
        (270, (0, 564 - 56, 28, 564)),
    ],
)
def test_turned(rotate, expected):
    near(black(one(document(CORNER), ROLL, rotate=rotate)), expected)


def test_turned_as_the_page_says():
    near(black(one(document(CORNER, page=b"/Rotate 90"), ROLL)), (282 - 28, 0, 282, 56))


@pytest.mark.parametrize(
    ("size", "paper", "options", "turns"),
    [
        ((6 * INCH, 4 * INCH), LABEL, {}, True),
        ((4 * INCH, 6 * INCH), LABEL, {}, False),
        ((792, 612), LABEL, {}, True),
        ((INCH, 0.5 * INCH), LABEL, {}, False),  # fits as it is
        ((INCH, 0.5 * INCH), LABEL, {"fit": "fit"}, True),
        ((5 * INCH, 3 * INCH), LABEL, {"fit": "none"}, True),
        ((6 * INCH, 4 * INCH), LABEL, {"width_mm": 50}, False),
        ((6 * INCH, 4 * INCH), LABEL, {"rotate": 0}, False),
        ((4 * INCH, 6 * INCH), Paper("tspl", 1200, 800), {}, True),
        ((841.89, 595.276), ROLL, {}, True),
        ((595.276, 841.89), ROLL, {}, False),
        ((200, 100), ROLL, {"fit": "fit"}, False),  # not wider than the roll
        ((300, 100), ROLL, {}, True),
        ((300, 300.5), ROLL, {}, False),
    ],
)
def test_turned_where_it_fits_better(size, paper, options, turns):
    dots = one(document(box(0, size[1] * 0.9, size[0] * 0.1, size[1] * 0.1), size=size), paper, **options)
    left, top, _, _ = black(dots)
    assert (left > dots.width // 2, top > dots.height // 2) == (turns, False)


def test_no_such_turn():
    for rotate in (45, "left", -90, True):
        with pytest.raises(DocumentError, match="cannot be turned"):
            one(document(b""), ROLL, rotate=rotate)


# -- cropping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("fit", ["none", "shrink"])
def test_cropped(rotate, fit):
    """A box of 2 x 1 inches in the midst of A4, with a mark in its upper left corner."""
    content = b"2 w 200 500 144 72 re S\n" + box(200, 562, 20, 10)
    dots = one(document(content, size=(595, 842)), ROLL, crop=True, fit=fit, rotate=rotate)
    size = (414, 211) if rotate in {0, 180} else (211, 414)
    near((dots.width, dots.height), size, 9)
    # Nothing of it is lost, and there is little white around it.
    near(black(dots), (0, 0, dots.width, dots.height), 8)
    left, top = rotate in {90, 180}, rotate in {180, 270}
    corner = dots.image().crop(
        (
            left * (dots.width - 28),
            top * (dots.height - 28),
            left * (dots.width - 28) + 28,
            top * (dots.height - 28) + 28,
        )
    )
    assert sum(corner.convert("L").histogram()[:128]) > 28 * 28 * 0.4


def test_cropped_is_what_the_whole_page_has_there():
    words = document(text(b"Crop", x=60, y=50) + text(b"this", x=120, y=30), size=(400, 400))
    whole, part = one(words, Paper("escpos", 1200)), one(words, Paper("escpos", 1200), crop=True)
    a, b = whole.cropped(), part.cropped()
    near((a.width, a.height), (b.width, b.height), 1)
    assert part.width < whole.width / 2


def test_cropped_and_enlarged():
    dots = one(document(box(100, 100, 10, 20), size=(600, 800)), ROLL, crop=True, fit="fit")
    assert dots.width == 576
    near(black(dots), (0, 0, dots.width, dots.height), 2 * 576 // 12)


def test_cropped_turns_what_is_left():
    """The page is upright, its content is not."""
    dots = one(document(box(50, 400, 500, 50), size=(595, 842)), ROLL, crop=True)
    assert dots.height > dots.width


def test_cropped_nothing():
    dots = one(document(b""), ROLL, crop=True)
    assert (dots.width, dots.height, dots.data) == (1, 1, b"\0")
    assert page(dots, ROLL)


def test_cropped_of_a_very_large_page():
    dots = one(document(box(10**6, 10**6, 10, 10), size=(10**7, 10**7)), ROLL, crop=True, fit="fit")
    assert dots.width <= 576


# -- which pages -------------------------------------------------------------------------------------------------

# Page n has a height of n dots.
FIVE = document(*[b""] * 5, size=[(10, n * 72 / 203) for n in range(1, 6)])


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("1", [1]),
        ("1-3,5", [1, 2, 3, 5]),
        ("2-", [2, 3, 4, 5]),
        ("-4", [1, 2, 3, 4]),
        (" 3 - 4 , 1 ", [3, 4, 1]),
        ("2,2", [2, 2]),
        ("5-", [5]),
        ("-1", [1]),
        ("05", [5]),
    ],
)
def test_which_pages(pages, expected):
    assert [dots.height for dots in pdf(FIVE, ROLL, pages=pages)] == expected


@pytest.mark.parametrize(
    "pages",
    [
        "",
        "0",
        "6",
        "1-6",
        "-6",
        "6-",
        "3-1",
        "-",
        ",",
        "1,",
        "a",
        "1-2-3",
        "1 2",
        "--1",
        "1.5",
        "٣",
        "9" * 10000,
        "0-2",
    ],
)
def test_no_such_pages(pages):
    with pytest.raises(DocumentError) as caught:
        next(pdf(FIVE, ROLL, pages=pages))
    assert "5" in str(caught.value) + caught.value.hint
    assert len(str(caught.value)) < 200


def test_too_many_pages(monkeypatch):
    monkeypatch.setattr(pdf_pages, "MAX_PAGES", 4)
    for pages in (None, "1-", "1-3,1-3", ",".join(["1-5"] * 10**5)):
        with pytest.raises(DocumentTooLarge, match="more than 4 pages") as caught:
            next(pdf(FIVE, ROLL, pages=pages))
        assert "parts" in caught.value.hint
    assert len(list(pdf(FIVE, ROLL, pages="2-"))) == 4


def test_page_count(tmp_path):
    assert page_count(FIVE) == 5
    (tmp_path / "five.pdf").write_bytes(FIVE)
    for source in (tmp_path / "five.pdf", str(tmp_path / "five.pdf"), bytearray(FIVE), memoryview(FIVE)):
        assert page_count(source) == 5
        assert len(list(pdf(source, ROLL, pages="1"))) == 1
    assert page_count(encrypted(b"", b"secret"), "secret") == 1


# -- one at a time -----------------------------------------------------------------------------------------------


@pytest.fixture
def rendered(monkeypatch):
    """The names of pages, as they are rendered."""
    names = []
    render = pdf_pages._Page.render

    def noted(self, placed):
        names.append(self._name)
        return render(self, placed)

    monkeypatch.setattr(pdf_pages._Page, "render", noted)
    return names


def test_a_page_is_rendered_when_it_is_asked_for(rendered):
    pages = print_pdf(FIVE, ROLL)
    assert rendered == []
    for number in range(1, 4):
        next(pages)
        assert rendered == [f"page {each} of 5" for each in range(1, number + 1)]
    pages.close()
    assert len(rendered) == 3


def test_what_is_open_is_closed():
    from pypdfium2.internal import bases

    def opened():
        return sum(len(each) for each in bases.ObjectTracker.values())

    before = opened()
    pages = pdf(FIVE, ROLL)
    next(pages)
    assert opened() == before + 1  # the document; the page was closed before it was handed out
    pages.close()
    assert opened() == before
    with pytest.raises(DocumentError):
        list(pdf(document(b"", size=(612, 792)), ROLL, fit="none"))
    assert opened() == before


def test_several_at_once():
    """In one thread, and in many: PDFium itself bears neither."""
    words = document(*(text(b"page %d" % each) for each in range(4)))
    expected = [dots.data for dots in pdf(words, ROLL)]
    assert len(set(expected)) == 4
    assert [(a.data, b.data) for a, b in zip(pdf(words, ROLL), pdf(words, ROLL), strict=True)] == list(
        zip(expected, expected, strict=True)
    )
    results = []

    def work():
        for _ in range(5):
            results.append([dots.data for dots in pdf(words, ROLL)])  # noqa: PERF401

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == [expected] * 20


def test_print_pdf():
    words = document(text(b"one"), text(b"two"))
    paper = Paper.of("escpos", cut="full")
    assert list(print_pdf(words, paper, invert=True)) == [page(dots, paper) for dots in pdf(words, paper, invert=True)]


# -- refusals ----------------------------------------------------------------------------------------------------


def png():
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"", "the PDF is empty"),
        (b"hello", "that is no PDF"),
        (png(), "that is no PDF"),
        (b"%PDF-1.7\n", "the PDF is broken"),
        (FIVE[:200], "the PDF is broken"),
        (document(), "the PDF has no pages"),
        (Image.new("1", (8, 8)), "an image, and no PDF"),
        ("/there/is/no/such.pdf", "cannot read"),
    ],
)
def test_what_is_no_pdf(source, text):
    for ask in (lambda: list(pdf(source, ROLL)), lambda: page_count(source)):
        with pytest.raises(DocumentError, match=text) as caught:
            ask()
        assert caught.value.code == "bad-document"
        assert caught.value.hint


def test_too_large(monkeypatch):
    monkeypatch.setattr(pdf_pages, "MAX_FILE", 100)
    with pytest.raises(DocumentTooLarge, match="and 100 are taken"):
        page_count(FIVE)


def test_encrypted():
    secret = encrypted(text(b"secret"), b"secret")
    assert black(one(secret, ROLL, password="secret")) == black(one(document(text(b"secret")), ROLL))
    assert one(secret, ROLL, password="owner").data == one(secret, ROLL, password="secret").data
    with pytest.raises(DocumentError, match="is encrypted") as caught:
        one(secret, ROLL)
    assert "password" in caught.value.hint
    for wrong in ("another", "", "sécret", "x" * 1000, "\0", "\ud800"):
        with pytest.raises(DocumentError, match="password"):
            one(secret, ROLL, password=wrong)
    assert one(encrypted(text(b"open"), b""), ROLL).height  # without a password for reading
    assert one(document(b""), ROLL, password="of nothing").height


def test_pypdfium2_is_missing(monkeypatch):
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("pypdfium2"):
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendMissing, match="pypdfium2") as caught:
        next(pdf(FIVE, ROLL))
    assert caught.value.hint == 'pip install "rawprint[pdf]"'


def test_it_is_loaded_when_it_is_needed():
    code = "import rawprint.documents.pdf_pages, sys; sys.exit('pypdfium2' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SRC)})


# -- the worker --------------------------------------------------------------------------------------------------


class Worker:
    """The other side of the worker, blocking."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rawprint.documents.worker"],
            env={"PYTHONPATH": str(SRC)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, *request):
        data = pickle.dumps(request)
        self.write(b"R" + len(data).to_bytes(4, "big") + data)

    def next(self):
        self.write(b"N")
        return self.frame()

    def frame(self):
        kind, size = self.process.stdout.read(1), int.from_bytes(self.process.stdout.read(4), "big")
        return kind, self.process.stdout.read(size)

    def memory(self):
        """Pages of memory that are in use."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])


def test_the_worker():
    paper = Paper.of("tspl", height_mm=50)
    with Worker() as one:
        one.ask("pdf", (FIVE, paper), {"pages": "1-2"})
        assert [one.next() for _ in range(3)] == [
            *((b"P", each) for each in print_pdf(FIVE, paper, pages="1-2")),
            (b"D", b""),
        ]
        one.ask("pdf", (FIVE, paper), {})
        assert one.next()[0] == b"P"
        one.write(b"S")
        assert one.frame() == (b"D", b"")
        one.ask("pdf", (FIVE, paper), {"pages": "7"})
        kind, data = one.next()
        assert (kind, json.loads(data)["code"]) == (b"E", "bad-document")
        one.ask("image", (png(), paper), {})
        assert [one.next()[0] for _ in range(2)] == [b"P", b"D"]
    assert one.process.returncode == 0


@pytest.mark.parametrize("half", [b"", b"R", b"R\0\0\0\5ab", b"N"])
def test_the_worker_ends_with_its_input(half):
    with Worker() as one:
        one.write(half)
    assert one.process.returncode == 0


def test_every_function_of_the_worker_is_there():
    from importlib import import_module

    for where in worker.FUNCTIONS.values():
        module, name = where.split(":")
        assert callable(getattr(import_module(module), name))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_is_bounded_over_many_pages():
    """A hundred pages of A4 at 600 dpi, each with a picture of its own: 35 million grey pixels a page, 100 are 3.5 GB."""
    picture = bytes(range(256)) * 256
    contents = [b"q 595 0 0 842 0 0 cm /I%d Do Q" % each for each in range(100)]
    pictures = tuple(
        b"<< /Type /XObject /Subtype /Image /Width 256 /Height 256 /BitsPerComponent 8 /ColorSpace /DeviceGray /Length 65536 >>\n"
        b"stream\n%s\nendstream" % picture
        for _ in range(100)
    )
    resources = b"/XObject << %s >>" % b" ".join(b"/I%d %d 0 R" % (each, 4 + each) for each in range(100))
    many = document(*contents, size=(595, 842), extra=pictures, resources=resources)
    with Worker() as one:
        one.ask("pdf", (many, Paper("tspl", 1200, None, 300)), {})
        sizes = []
        for _ in range(100):
            assert one.next()[0] == b"P"
            sizes.append(one.memory())
        assert one.next() == (b"D", b"")
    page_size = 4096
    assert max(sizes[10:]) * page_size < 200 << 20
    assert (max(sizes[10:]) - sizes[9]) * page_size < 24 << 20, "it grows page by page"


def test_limits_of_images_and_pages_agree():
    assert worker.MAX_PAGE >= images.MAX_ROWS * 104
    assert image(png(), ROLL).width == 8
