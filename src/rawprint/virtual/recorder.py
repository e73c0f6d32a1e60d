"""The files that a listener leaves behind: what came, what was printed, and each ticket by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rawprint.virtual.device import Device


class Recorder:
    """Writes `received.bin` and `printed.bin` as bytes come, and `ticket-0001.bin` … as tickets are done.

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
        self._begin()

    def _begin(self) -> None:
        self._received_size = self._printed_size = 0
        self._tickets = 0
        self._ticket_start = 0

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
            (self._folder / f"ticket-{self._number:04d}.bin").write_bytes(ticket)
            self._ticket_start = end
            self._tickets += 1

    def reset(self) -> None:
        """The device is as new: so are the files, but for the tickets, which nobody may lose."""
        for file in (self._received, self._printed):
            file.seek(0)
            file.truncate()
        self._begin()

    def close(self) -> None:
        """Close the files."""
        self._received.close()
        self._printed.close()
