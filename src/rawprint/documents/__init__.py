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
    from rawprint.documents.blocks import (
        Barcode,
        Block,
        Cell,
        Columns,
        Cut,
        Drawer,
        Heading,
        Image,
        Line,
        Qr,
        Space,
        Text,
    )
    from rawprint.documents.dots import Dots
    from rawprint.documents.images import image
    from rawprint.documents.languages import LANGUAGES
    from rawprint.documents.markup import escape, format_markup, parse_markup
    from rawprint.documents.pages import page, picture, print_image
    from rawprint.documents.paper import Paper
    from rawprint.documents.texts import Unprintable, draw, lint, text
    from rawprint.documents.tickets import Remark, layout, lint_ticket, preview, ticket

__all__ = [
    "LANGUAGES",
    "Barcode",
    "Block",
    "Cell",
    "Columns",
    "Cut",
    "Dots",
    "Drawer",
    "Heading",
    "Image",
    "Line",
    "Paper",
    "Qr",
    "Remark",
    "Space",
    "Text",
    "Unprintable",
    "draw",
    "escape",
    "format_markup",
    "image",
    "layout",
    "lint",
    "lint_ticket",
    "page",
    "parse_markup",
    "picture",
    "preview",
    "print_image",
    "text",
    "ticket",
]

_FROM = {
    "LANGUAGES": "languages",
    "Barcode": "blocks",
    "Block": "blocks",
    "Cell": "blocks",
    "Columns": "blocks",
    "Cut": "blocks",
    "Dots": "dots",
    "Drawer": "blocks",
    "Heading": "blocks",
    "Image": "blocks",
    "Line": "blocks",
    "Paper": "paper",
    "Qr": "blocks",
    "Remark": "tickets",
    "Space": "blocks",
    "Text": "blocks",
    "Unprintable": "texts",
    "draw": "texts",
    "escape": "markup",
    "format_markup": "markup",
    "image": "images",
    "layout": "tickets",
    "lint": "texts",
    "lint_ticket": "tickets",
    "page": "pages",
    "parse_markup": "markup",
    "picture": "pages",
    "preview": "tickets",
    "print_image": "pages",
    "text": "texts",
    "ticket": "tickets",
}


def __getattr__(name: str) -> object:
    """Each kind of document is loaded when it is asked for: none needs the others' libraries."""
    if name in _FROM:
        return getattr(import_module(f"rawprint.documents.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
