"""`Reader`: what a job says on paper, as far as its bytes tell, read in a process of its own as documents are made."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

from rawprint import DocumentError, RawprintError
from rawprint_server.messages import JobText

if TYPE_CHECKING:
    from rawprint_server.hub import Hub
    from rawprint_server.rendering import Renderers


class Reader:
    """Reads jobs, one at a time: their bytes are in memory meanwhile, and documents that are to be printed need processes, too.

    Args:
        hub: Has the jobs.
        renderers: The processes.
    """

    def __init__(self, hub: Hub, renderers: Renderers) -> None:
        self._hub = hub
        self._renderers = renderers
        self._turn = asyncio.Lock()

    async def text(self, id: str) -> JobText:
        """What can be read of a job.

        Raises:
            UnknownJob: No job that is remembered has the id.
            NoData: Its bytes are kept no more.
            DocumentTimeout, DocumentError: They cannot be read.
        """
        name = self._hub.job(id).printer
        async with self._turn:
            data = await self._hub.data_of(id)
            try:
                paper = self._hub.paper(name)
                form = {"width": paper.width, "dpi": paper.dpi}
            except RawprintError:  # it is gone, or nothing is known of its paper
                form = {}
            request = "read", (self._hub.language(name), bytes(data)), form
            async with aclosing(self._renderers.pages(request)) as pages:
                parts = [bytes(piece[0]) async for piece in pages]
        try:
            return JobText(**json.loads(parts[0]), sheet=parts[1] if parts[1:] else None)
        except (ValueError, TypeError, IndexError) as error:  # of a process that is not trusted
            raise DocumentError("the job cannot be read") from error
