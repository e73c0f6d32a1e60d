"""How a printer's state looks on a terminal: what it reports, and, while it is watched, what has changed."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rawprint.status import PrinterState

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from rich.console import RenderableType

    from rawprint.errors import RawprintError
    from rawprint.status import PrinterStatus

_STYLES = {
    PrinterState.IDLE: "bold green",
    PrinterState.PROCESSING: "bold blue",
    PrinterState.STOPPED: "bold red",
    PrinterState.UNKNOWN: "bold yellow",
}
_HISTORY = 12  # changes that stay in sight


def show(address: str, dialect: str, status: PrinterStatus, out: TextIO) -> None:
    """Draw the state once."""
    Console(file=out, highlight=False).print(_picture(address, dialect, status))


class Watch:
    """The state of one printer, drawn anew at each change; used in a `with` block."""

    def __init__(self, address: str, dialect: str, out: TextIO) -> None:
        self._address, self._dialect = address, dialect
        self._changes: deque[Text] = deque(maxlen=_HISTORY)
        self._live = Live(console=Console(file=out, highlight=False), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def status(self, status: PrinterStatus) -> None:
        """It has changed."""
        true = ", ".join(sorted(reason for reason, is_true in status.reasons.items() if is_true))
        self._change(str(status.state), true, _STYLES[status.state])
        self._draw(_picture(self._address, self._dialect, status))

    def failed(self, error: RawprintError) -> None:
        """It cannot be reached, or gave no sensible answer."""
        self._change(error.code, error.message, "bold yellow")
        head = Text.assemble((self._address, "bold"), "  ", (error.code, "bold yellow"), f"  {error.message}")
        self._draw(Group(head, Text(error.hint, "dim")))

    def _change(self, what: str, detail: str, style: str) -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self._changes.append(Text.assemble((now, "dim"), "  ", (f"{what:10}", style), f" {detail}"))

    def _draw(self, picture: RenderableType) -> None:
        self._live.update(Group(picture, Text(), *self._changes, Text("Ctrl-C ends it", "dim")), refresh=True)


def _picture(address: str, dialect: str, status: PrinterStatus) -> RenderableType:
    head = Text.assemble((address, "bold"), f"  {dialect}  ", (str(status.state), _STYLES[status.state]))
    if status.source != "printer":
        head.append(f"  (said by the {status.source})", "dim")
    table = Table.grid(padding=(0, 2))
    for reason, true in sorted(status.reasons.items()):
        table.add_row(Text("●" if true else "○", "red" if true else "green"), Text(reason, "" if true else "dim"))
    if not status.reasons:
        table.add_row(Text("?", "yellow"), Text("it has reported nothing", "dim"))
    return Group(head, table)
