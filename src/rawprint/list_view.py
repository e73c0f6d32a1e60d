"""How found printers look on a terminal: a table, and below it what keeps some of them from being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from rawprint.transports import Found


def show(found: Sequence[Found], out: TextIO) -> None:
    """Draw them."""
    console = Console(file=out, highlight=False)
    table = Table(expand=False)
    for column in ("address", "printer", "language", "serial number", ""):
        table.add_column(column, overflow="fold")
    for one in found:
        address = Text(one.address, "bold")
        if one.also:
            address.append("\n" + "\n".join(one.also), "dim")
        state = Text(one.error.code, "bold red") if one.error else Text("")
        table.add_row(address, Text(_shown(one.make_model)), Text(one.dialect or "?"), Text(_shown(one.serial)), state)
    console.print(table)
    for one in found:
        if one.error is not None:
            console.print(Text.assemble((one.address, "bold"), f"  {one.error.message}"))
            console.print(Text(f"  {one.error.hint}", "green"))


def _shown(text: str) -> str:
    """What a printer says of itself must not move the cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
