"""`ConfigFile`: the file of a running server, into which it writes printers that an administrator adds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rawprint import RawprintError
from rawprint_server import edit
from rawprint_server.config import MAX_FILE_BYTES, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class NoFile(RawprintError):
    """The server runs without a file, or with one that it may not write."""

    code = "no-file"

    def __init__(self, message: str = "this server runs without a configuration file") -> None:
        super().__init__(message, hint="Start it with --config and a file that it may write.")


class ConfigFile:
    """A file that the server follows.

    Args:
        path: It; it is made where there is none.
        look: Has the server read it at once.
    """

    def __init__(self, path: Path, look: Callable[[], None]) -> None:
        self._path = path
        self._look = look
        self._turn = asyncio.Lock()

    async def add(self, name: str, address: str, dialect: str | None) -> None:
        """Writes one more printer at the end of the file; all else in it stays as it is.

        Raises:
            ConfigError: There is one of that name or address, or it would be no configuration.
            NoFile: It cannot be written.
        """
        values = {"address": address} if dialect is None else {"address": address, "dialect": dialect}

        def add(text: str) -> str:
            longer = edit.add(text, name, values)
            if len(longer.encode()) > MAX_FILE_BYTES:
                raise ConfigError("the file has no room for one more printer", hint="Take out what is not used.")
            return longer

        async with self._turn:
            try:
                await asyncio.to_thread(edit.change, self._path, add)
            except ConfigError as error:
                if isinstance(error.__cause__, OSError):
                    raise NoFile(error.message) from error
                raise
        self._look()
