"""The files that a listener leaves behind: what came, what was printed, and each ticket by itself."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rawprint.virtual.device import Device
    from rawprint.virtual.sheets import Printing

    # How often the device has been switched on, its language, the ticket, and where the picture goes; None = the end.
    _Pictures = queue.SimpleQueue[tuple[int, str, bytes, Path] | None]


class Recorder:
    """Writes `received.bin` and `printed.bin` as bytes come, and `ticket-0001.bin` … as tickets are done.

    Beside each of the latter comes `ticket-0001.png`, what it looks like on paper, drawn in a thread of its own so that
    the printer's answers do not wait for it. There is none where nothing is on it, or it is too large to be drawn.

    The first two are begun anew with each start; the numbers of tickets go on after those that are there.
    """

    def __init__(self, folder: Path) -> None:
        """Open the files.

        Raises:
            OSError: The folder cannot be made or written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._received = (folder / "received.bin").open("wb", buffering=0)
        self._printed = (folder / "printed.bin").open("wb", buffering=0)
        numbers = (path.stem.removeprefix("ticket-") for path in folder.glob("ticket-*.bin"))
        self._number = max((int(number) for number in numbers if number.isdecimal()), default=0)
        self._starts = 0
        self._pictures: _Pictures = queue.SimpleQueue()
        self._artist: threading.Thread | None = None
        self._begin()

    def _begin(self) -> None:
        self._received_size = self._printed_size = 0
        self._tickets = 0
        self._ticket_start = 0
        self._starts += 1

    def record(self, device: Device) -> None:
        """Write what has come to pass since the last time."""
        if self._received.closed:
            return
        received = device.received_after(self._received_size)
        self._received.write(received)
        self._received_size += len(received)
        printed = device.printed_after(self._printed_size)
        self._printed.write(printed)
        self._printed_size += len(printed)
        for end in device.ticket_ends_after(self._tickets):
            self._number += 1
            ticket = device.printed_after(self._ticket_start)[: end - self._ticket_start]
            path = self._folder / f"ticket-{self._number:04d}.bin"
            path.write_bytes(ticket)
            self._picture(device.dialect, ticket, path.with_suffix(".png"))
            self._ticket_start = end
            self._tickets += 1

    def reset(self) -> None:
        """The device is as new: so are the files, but for the tickets, which nobody may lose."""
        for file in (self._received, self._printed):
            file.seek(0)
            file.truncate()
        self._begin()

    def close(self) -> None:
        """Close the files, when the pictures are drawn."""
        self._received.close()
        self._printed.close()
        self._pictures.put(None)
        if self._artist is not None:
            self._artist.join()

    def _picture(self, dialect: str, ticket: bytes, path: Path) -> None:
        if self._artist is None:
            self._artist = threading.Thread(
                target=_draw, args=(self._pictures,), name="tickets as pictures", daemon=True
            )
            self._artist.start()
        self._pictures.put((self._starts, dialect, ticket, path))


def _draw(wanted: _Pictures) -> None:
    """Draw tickets until None comes. What one sets, such as the size of labels, stays so for the next."""
    from rawprint.virtual.sheets import printing  # noqa: PLC0415

    printer: Printing | None = None
    started = 0
    while (one := wanted.get()) is not None:
        starts, dialect, ticket, path = one
        try:
            if printer is None or starts != started:
                printer, started = printing(dialect), starts
            sheets = printer.job(ticket)
        except ValueError:  # larger than any printer takes
            printer = None
            continue
        # Copies are one picture; a ticket that has more than one sheet is rare, and they are numbered.
        for number, sheet in enumerate(dict.fromkeys(sheets), 1):
            name = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            with contextlib.suppress(OSError):  # the folder has gone, or the disk is full
                name.write_bytes(sheet.png())
