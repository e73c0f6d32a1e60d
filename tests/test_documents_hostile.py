"""Broken and hostile files end in pages or in an error that says why, in time, and whoever comes next is served."""

import asyncio
import sys
import time
from contextlib import aclosing

import pytest

from rawprint import DocumentError
from rawprint.documents import Paper, print_image
from rawprint_server.rendering import Renderers

from . import hostile

ROLL = Paper("escpos", 576)
GOOD = dict(hostile.pictures())["png"]
SECONDS = 0.4  # for a hostile page; that it is enough for each is not asked
PATIENCE = 20.0
MOST_PAGES = 3
OUTCOMES = {"pages", "bad-document", "document-too-large", "document-timeout"}
OTHER_THINGS = dict(hostile.other_things())

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="without a limit of memory a bomb takes the machine's")


async def outcome(renderers, name, data, **options):
    """What became of it: "pages", or the code of the error."""
    number = 0
    try:
        async with aclosing(renderers.pages((name, (data, ROLL), options))) as pages:
            async for page in pages:
                assert page.data
                number += 1
                if number == MOST_PAGES:
                    break
    except DocumentError as error:
        return error.code if 0 < len(error.message) < 500 else f"a message like {error.message[:99]!r}"
    return "pages"


def serve(name, cases, **options):
    """The outcomes of all; a good image is printed after every tenth."""
    outcomes = {}

    async def main():
        expected = print_image(GOOD, ROLL)
        renderers = Renderers(1, PATIENCE)
        try:
            for number, (what, data) in enumerate(cases):
                if number % 10 == 0:
                    renderers._page_seconds = PATIENCE
                    good = [page.data async for page in renderers.pages(("image", (GOOD, ROLL), {}))]
                    assert good == [expected], f"before {what}"
                renderers._page_seconds = SECONDS
                before = time.monotonic()
                assert what not in outcomes
                outcomes[what] = await outcome(renderers, name, data, **options)
                assert time.monotonic() - before < MOST_PAGES * SECONDS + PATIENCE, what
            renderers._page_seconds = PATIENCE
            assert [page.data async for page in renderers.pages(("image", (GOOD, ROLL), {}))] == [expected]
        finally:
            await renderers.close()

    asyncio.run(main())
    assert set(outcomes.values()) <= OUTCOMES
    return outcomes


def expect(outcomes, expected, names):
    assert {name: outcomes[name] for name in names if outcomes[name] != expected} == {}


def test_images():
    outcomes = serve("image", hostile.images())
    assert len(outcomes) > 280
    expect(outcomes, "bad-document", OTHER_THINGS)
    expect(
        outcomes,
        "document-too-large",
        [
            *("png 1 x 10^9", "png 10^9 x 1", "png 50,000 x 50,000", "png 2^31 - 1", "png 2^32 - 1"),
            *("gif of a huge canvas", "bmp of a huge size", "jpeg of a huge size", "webp of a huge canvas"),
            "tiff of a huge size",
        ],
    )
    expect(
        outcomes,
        "bad-document",
        [f"png with {kind} that is a bomb" for kind in ("iCCP", "zTXt", "iTXt")] + ["png 0 x 0", "jpeg of no size"],
    )


def test_images_of_the_most_pixels(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", PATIENCE)
    largest = [(name, data) for name, data in hostile.images() if "most pixels, coloured" in name]
    assert list(serve("image", largest).values()) == ["pages"]


def test_pdfs():
    outcomes = serve("pdf", hostile.pdfs())
    assert len(outcomes) > 210
    expect(outcomes, "bad-document", OTHER_THINGS)
    expect(
        outcomes,
        "bad-document",
        ["pdf with a page that is its own parent", "pdf without a catalog", "pdf encrypted by nobody knows what"],
    )
    expect(outcomes, "document-too-large", ["pdf of 10^9 points down", "pdf with pages that say 10^6"])
    expect(outcomes, "document-timeout", ["pdf with forms that double"])
    expect(outcomes, "pages", ["pdf with a script", "pdf that starts a program", "pdf with a form that is a number"])


def test_pdfs_of_odd_sizes_are_cropped():
    odd = [
        (name, data)
        for name, data in hostile.pdfs()
        if any(word in name for word in (" points", " box", " turn", " unit", " crop", " matrix", " huge font"))
    ]
    assert len(odd) > 15
    outcomes = serve("pdf", odd, crop=True, fit="fit")
    assert "pages" in outcomes.values()
