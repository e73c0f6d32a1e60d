"""How a report looks: rows of a name and a text, the same in a pipe and on a terminal, where rich draws a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rawprint.probe.findings import Severity, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rawprint.probe import Report

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_NAME_WIDTH = 10


class Row(NamedTuple):
    """One line of a report: what it is about, what it says, and how it looks on a terminal."""

    name: str
    text: str
    style: str = ""


def rows(report: Report) -> Iterator[Row]:
    """Everything that is known of a printer, in the order in which people look for it."""
    if report.also:
        yield Row("also", ", ".join(report.also))
    if report.reached:
        yield Row("reached", report.reached)
    if who := _who(report):
        yield Row("printer", who)
    if report.device_id:
        yield Row("device id", report.device_id, "dim")
    if report.dialect or report.dialect_how:
        how = f" ({report.dialect_how})" if report.dialect and report.dialect_how else report.dialect_how
        yield Row("language", f"{report.dialect or 'unknown'}{how if report.dialect else f' ({how})'}")
    if report.status is not None:
        took = f", answers in {report.round_trip * 1000:.1f} ms" if report.round_trip is not None else ""
        yield Row("state", f"{report.status.state}{took}")
        for reason, true in sorted(report.status.reasons.items()):
            yield Row("", f"{reason:28} {'yes' if true else 'no'}", "" if true else "dim")
        for exchange in report.status.raw:
            sent = exchange.sent.hex(" ") or "(unasked)"
            yield Row("", f"{sent} -> {exchange.received.hex(' ') or '(silence)'}", "dim")
    for finding in report.findings:
        detail = f" {finding.detail}" if finding.detail else ""
        yield Row(finding.severity, f"{finding.title}{detail}", _STYLES[finding.severity])
        if finding.remedy:
            yield Row("remedy", finding.remedy, "green")
    if not report.findings:
        yield Row("fine", "Nothing is wrong.", "green")


def _who(report: Report) -> str:
    said = report.identity
    name = " ".join(word for word in (said.get("make", ""), said.get("model", "")) if word)
    names = list(dict.fromkeys(word for word in (report.make_model, name) if word))
    serial = said.get("serial") or report.serial
    more = [f"{key} {said[key]}" for key in sorted(said) if key not in ("make", "model", "serial")]
    return ", ".join(filter(None, (" / ".join(names), serial and f"serial {serial}", *more)))


def plain(report: Report) -> str:
    """A report as text without colours, each row on a line of its own."""
    lines = [report.address]
    lines += [f"  {row.name:{_NAME_WIDTH}} {_printable(row.text)}".rstrip() for row in rows(report)]
    return "\n".join(lines)


def _printable(text: str) -> str:
    """What a printer says of itself must not move the cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def show(reports: Sequence[Report], out: TextIO) -> None:
    """Draw the reports on a terminal: each printer's rows, and, of several, a table of all."""
    from rich.console import Console  # noqa: PLC0415  (takes long to import)
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(file=out, highlight=False)
    for report in reports:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_NAME_WIDTH, no_wrap=True)
        grid.add_column(overflow="fold")
        for row in rows(report):
            style = row.style if row.name in list(Severity) or row.name == "fine" else ""
            name = f"[{style or 'dim'}]{escape(row.name)}[/]"
            text = escape(_printable(row.text))
            grid.add_row(name, f"[{row.style}]{text}[/]" if row.style else text)
        console.print(f"[bold]{escape(_printable(report.address))}[/]")
        console.print(grid)
        console.print()
    if len(reports) > 1:
        table = Table(title="printers", title_justify="left", expand=False)
        for column in ("address", "printer", "language", "state", "what is wrong"):
            table.add_column(column, overflow="fold")
        for report in reports:
            grave = worst(report.findings)
            first = report.findings[0].title if report.findings else "nothing"
            style = _STYLES[grave] if grave else "green"
            state = str(report.status.state) if report.status else "unknown"
            cells = (report.address, report.make_model, report.dialect or "", state)
            table.add_row(*(escape(_printable(cell)) for cell in cells), f"[{style}]{escape(first)}[/]")
        console.print(table)
