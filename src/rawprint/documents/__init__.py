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
        MAX_BLOCKS,
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
    from rawprint.documents.pdf_pages import page_count, pdf, print_pdf
    from rawprint.documents.profiles import PROFILES, Profile, profile, profile_names
    from rawprint.documents.receipts import receipt
    from rawprint.documents.rendering import Part, Piece, recall, render, store
    from rawprint.documents.specimens import specimen
    from rawprint.documents.texts import Unprintable, draw, lint, text
    from rawprint.documents.tickets import Remark, layout, lint_ticket, preview, ticket

__all__ = [
    "LANGUAGES",
    "MAX_BLOCKS",
    "PROFILES",
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
    "Part",
    "Piece",
    "Profile",
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
    "page_count",
    "parse_markup",
    "pdf",
    "picture",
    "preview",
    "print_image",
    "print_pdf",
    "profile",
    "profile_names",
    "recall",
    "receipt",
    "render",
    "specimen",
    "store",
    "text",
    "ticket",
]

_FROM = {
    "Barcode": "blocks",
    "Block": "blocks",
    "Cell": "blocks",
    "Columns": "blocks",
    "Cut": "blocks",
    "Drawer": "blocks",
    "Heading": "blocks",
    "Image": "blocks",
    "Line": "blocks",
    "MAX_BLOCKS": "blocks",
    "Qr": "blocks",
    "Space": "blocks",
    "Text": "blocks",
    "Dots": "dots",
    "image": "images",
    "LANGUAGES": "languages",
    "escape": "markup",
    "format_markup": "markup",
    "parse_markup": "markup",
    "page": "pages",
    "picture": "pages",
    "print_image": "pages",
    "Paper": "paper",
    "page_count": "pdf_pages",
    "pdf": "pdf_pages",
    "print_pdf": "pdf_pages",
    "PROFILES": "profiles",
    "Profile": "profiles",
    "profile": "profiles",
    "profile_names": "profiles",
    "receipt": "receipts",
    "Part": "rendering",
    "Piece": "rendering",
    "recall": "rendering",
    "render": "rendering",
    "store": "rendering",
    "specimen": "specimens",
    "Unprintable": "texts",
    "draw": "texts",
    "lint": "texts",
    "text": "texts",
    "Remark": "tickets",
    "layout": "tickets",
    "lint_ticket": "tickets",
    "preview": "tickets",
    "ticket": "tickets",
}


def __getattr__(name: str) -> object:
    """Each kind of document is loaded when it is asked for: none needs the others' libraries."""
    if name in _FROM:
        return getattr(import_module(f"rawprint.documents.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
