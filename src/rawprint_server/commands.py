"""Keeps commands that harm a printer for good, and drawer kicks that were not granted, out of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rawprint import RawprintError, notable_commands

if TYPE_CHECKING:
    from collections.abc import Collection


class CommandRefused(RawprintError):
    """The job holds a command that this client may not send to that printer."""

    code = "command-refused"


def check_commands(data: bytes | memoryview, dialect: str | None, kinds: Collection[str], *, drawer: bool) -> None:
    """Looks through a job.

    Args:
        data: Its bytes.
        dialect: The printer's language; None: only what every language obeys is found.
        kinds: Of commands that are refused.
        drawer: Whether a cash drawer may be opened.

    Raises:
        CommandRefused: It holds one; the message says which, and where.
    """
    for command in notable_commands(data, dialect):
        if command.kind == "drawer":
            if not drawer:
                raise CommandRefused(
                    f"the job opens the cash drawer ({command.name} at byte {command.offset}), which was not granted",
                    hint="rawprint-server access allow ORIGIN --calls …,drawer",
                )
        elif command.kind in kinds:
            raise CommandRefused(
                f"the job holds a {command.kind} command ({command.name} at byte {command.offset})",
                hint="Take it out; or rawprint-server access allow ORIGIN --raw, or `refuse` in the printer's configuration.",
            )
