r"""Things to print, as bytes of a printer's language: images, PDF pages, text in every script, receipts, tickets.

    import rawprint

    paper = rawprint.documents.Paper.of("escpos", width_mm=80, cut="partial")
    with rawprint.open("tcp://192.168.1.50", "escpos") as printer:
        printer.print(rawprint.documents.print_image("logo.png", paper))

Everything is a function of values: nothing here opens a printer, but `receipt`, which prints on one that is given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rawprint.documents.dots import Dots
    from rawprint.documents.images import image
    from rawprint.documents.languages import LANGUAGES
    from rawprint.documents.pages import page, picture, print_image
    from rawprint.documents.paper import Paper
    from rawprint.documents.texts import Unprintable, draw, lint, text

__all__ = [
    "LANGUAGES",
    "Dots",
    "Paper",
    "Unprintable",
    "draw",
    "image",
    "lint",
    "page",
    "picture",
    "print_image",
    "text",
]

_FROM = {
    "Dots": "dots",
    "LANGUAGES": "languages",
    "Paper": "paper",
    "Unprintable": "texts",
    "draw": "texts",
    "image": "images",
    "lint": "texts",
    "page": "pages",
    "picture": "pages",
    "print_image": "pages",
    "text": "texts",
}


def __getattr__(name: str) -> object:
    """Each kind of document is loaded when it is asked for: none needs the others' libraries."""
    if name in _FROM:
        return getattr(import_module(f"rawprint.documents.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
