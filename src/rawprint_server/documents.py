"""Documents in a print: from the items of a call to pages, which another process makes, and each page a job.

What is asked for under an id goes on where its client's connection ends, and a client that asks again under the same id hears of the
same print. Each page is a job of its own: one that was interrupted is the only one in doubt, and none is printed twice.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import logging
import os
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from rawprint import DocumentError, JobCanceled, JobState, RawprintError
from rawprint.documents import Paper, Part, Piece
from rawprint_server import text
from rawprint_server.fetching import check_url, fetch
from rawprint_server.messages import BadRequest, ItemOptions, JobView, RawItem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence

    from rawprint_server.client import Client
    from rawprint_server.config import LimitsConfig, PrinterConfig
    from rawprint_server.hub import Hub
    from rawprint_server.messages import JobOptions
    from rawprint_server.methods import About
    from rawprint_server.rendering import Renderers

log = logging.getLogger(__name__)

# The keyword arguments that the documents of `rawprint.documents` take, of those that an item may have.
_PLACE = ("x", "y")
_PICTURE = (*_PLACE, "fit", "width_mm", "rotate", "dither", "threshold", "invert")
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "image": (*_PICTURE, "store"),
    "pdf": (*_PICTURE, "pages", "crop", "password"),
    "text": (*_PLACE, "policy", "size", "bold", "underline", "align"),
    "ticket": ("policy",),
    "stored": _PLACE,
}
FORMATS = ("command", *_OPTIONS)
_FILES = frozenset({"image", "pdf"})
_TEXTS = frozenset({"text", "ticket", "stored"})  # whose data are characters


def are_documents(data: list[str | RawItem] | str | None) -> bool:
    """Whether an item of a print is no bytes that a printer reads as they are, or is not known."""
    return isinstance(data, list) and any(
        isinstance(item, RawItem) and (item.format != "command" or item.type != "raw") for item in data
    )


class Url(str):
    """In place of a file's bytes: where they are."""

    __slots__ = ()


def parts(data: Sequence[str | RawItem], encoding: str, attached: memoryview | None, client: Client) -> list[Part]:
    """What is to be printed.

    Raises:
        BadRequest: An item is wrong, or names a file that may not be fetched for this client.
    """
    return [
        Part("raw", text.encode(item, encoding)) if isinstance(item, str) else _part(item, encoding, attached, client)
        for item in data
    ]


def _part(item: RawItem, encoding: str, attached: memoryview | None, client: Client) -> Part:
    if item.format not in FORMATS:
        raise BadRequest(f"there is no format {item.format[:100]!r}", hint=f"The formats are {', '.join(FORMATS)}.")
    if item.type not in {"raw", "pixel"} or (item.type == "pixel" and item.format not in _FILES):
        raise BadRequest(
            f"data of type {item.type[:100]!r} and format {item.format[:100]!r} cannot be printed",
            hint='The type is "raw"; of images and PDFs "pixel" means the same.',
        )
    if item.format == "command":
        return Part("raw", bytes(item.to_bytes(encoding, attached)))
    options = item.options or ItemOptions()
    given = {name: value for name in _OPTIONS[item.format] if (value := getattr(options, name)) is not None}
    if item.format == "ticket":
        given["images"] = {name: _base64(data) for name, data in (options.images or {}).items()}
        if item.blocks is not None:
            return Part("ticket", tuple(item.blocks), given)
    if item.flavor == "file" and item.format in _FILES:
        check_url(item.data or "", client.entry.origin, allowed=client.config.access.fetch)
        return Part(item.format, Url(item.data), given)  # type: ignore[arg-type]
    if item.flavor == "plain" and item.format in _FILES:
        raise BadRequest(
            f"{'an image' if item.format == 'image' else 'a PDF'} is bytes, and its data are plain text",
            hint='Send them with the flavor "base64", "hex" or "attached".',
        )
    data = item.to_bytes("utf-8", attached)
    if item.format in _TEXTS:
        try:
            return Part(item.format, bytes(data).decode(), given)  # type: ignore[arg-type]
        except UnicodeDecodeError as error:
            raise BadRequest(f"the {item.format} is not UTF-8") from error
    return Part(item.format, bytes(data), given)  # type: ignore[arg-type]


def _base64(data: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(data.split()), strict_mode=True)
    except ValueError as error:
        raise BadRequest("an image of a ticket is not base64") from error


def paper(config: PrinterConfig, dialect: str | None) -> Paper:
    """What the configuration says of a printer's paper.

    Raises:
        DocumentError: Its language is not known.
        Unsupported: Nothing can be drawn in it.
    """
    if dialect is None:
        raise DocumentError(
            "documents need the printer's language, and it is not known",
            hint="Name its dialect in the configuration.",
        )
    return Paper.of(
        dialect,
        width_mm=config.width_mm,
        height_mm=config.height_mm,
        gap_mm=config.gap_mm,
        dpi=config.dpi,
        profile=config.profile,
        cut=config.cut or "none",
    )


@dataclass(slots=True)
class _Print:
    """A print under way.

    Attributes:
        digest: Of all that was asked.
        view: The job as it would be called.
        task: Makes and prints it.
    """

    digest: bytes
    view: JobView
    task: asyncio.Task[JobView]


class Documents:
    """Prints documents; one for the whole server.

    Args:
        hub: The printers.
        renderers: Make the pages.
    """

    def __init__(self, hub: Hub, renderers: Renderers) -> None:
        self._hub = hub
        self._renderers = renderers
        self._under_way: dict[str, _Print] = {}  # by job id
        self._last: dict[tuple[Client, str], asyncio.Task[JobView]] = {}  # of a client, for a printer

    async def close(self) -> None:
        """Ends what is under way, between two pages; the pages that are jobs by now stay that."""
        tasks = [each.task for each in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._renderers.close()

    def printer(self, id: str) -> str | None:
        """The printer of a print that is being made; None: none of that id is."""
        known = self._under_way.get(id)
        return None if known is None else known.view.printer

    def cancel(self, id: str) -> JobView | None:
        """Makes no further pages of a print; returns it as it ended. None: it is not being made."""
        known = self._under_way.get(id)
        if known is None or not known.task.cancel():
            return None
        return msgspec.structs.replace(known.view, state=JobState.CANCELED, ended=datetime.now(UTC))

    def waits(self, client: Client, name: str) -> bool:
        """Whether a print of this client for that printer is being made, which a later one must not overtake."""
        return (client, name) in self._last

    def print(
        self, client: Client, name: str, content: list[Part], options: JobOptions, about: About
    ) -> Awaitable[JobView]:
        """Prints, after what the client had printed there before; also where nobody waits for the result.

        Returns:
            The job of the last page, whose id is that of the whole, once all pages are kept. It raises as `Hub.submit`, `Client.charge` and
            `rawprint.documents.render` do; what was made before is printed.

        Raises:
            IdConflict: Another print has the id, and is under way.
        """
        id = options.id or os.urandom(8).hex()
        digest = _digest(name, options.copies, content)
        known = self._under_way.get(id)
        if known is None:
            before = self._last.get((client, name))
            task = asyncio.create_task(self._print(client, name, content, id, options, about, before))
            now = datetime.now(UTC)
            view = JobView(id, name, options.job_name, JobState.PENDING, 0, 0, (), {}, None, now, None, (), client.by)
            self._under_way[id] = known = _Print(digest, view, task)
            self._last[client, name] = task
            task.add_done_callback(lambda done: self._ended(done, id, (client, name)))
        elif known.digest != digest:
            raise self._hub.id_conflict(id)
        return self._result(known.task, id)

    async def _result(self, task: asyncio.Task[JobView], id: str) -> JobView:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise JobCanceled(f"{id} was canceled as it was made", hint="What was printed of it stays.") from None
            raise

    def _ended(self, task: asyncio.Task[JobView], id: str, turn: tuple[Client, str]) -> None:
        del self._under_way[id]
        if self._last[turn] is task:
            del self._last[turn]
        if not task.cancelled() and (error := task.exception()) is not None:  # its client may have gone
            if isinstance(error, RawprintError):
                log.info("a document was not printed: %s", error, extra={"job": id})
            else:
                log.error("a document was not printed", exc_info=error, extra={"job": id})

    async def _print(  # noqa: PLR0917
        self,
        client: Client,
        name: str,
        content: list[Part],
        id: str,
        options: JobOptions,
        about: About,
        before: asyncio.Task[JobView] | None,
    ) -> JobView:
        if before is not None:
            await asyncio.wait((before,))
        content = [await _fetched(part) for part in content]
        notes: list[str] = []
        number, size, digest = 0, 0, hashlib.sha256()
        job: JobView | None = None
        async with aclosing(self._pages(client, name, content, options.copies, notes)) as pages:
            async for data, last in pages:
                number += 1
                size += len(data)
                digest.update(data)
                single = last and number == 1
                try:
                    client.charge(data, name)
                    job = self._hub.submit(
                        name,
                        data,
                        id if last else f"{id}/{number}",
                        job_name=options.job_name if single else _page_name(options.job_name, number),
                        expires=options.expires,
                        priority=options.priority,
                        notes=tuple(notes),
                        by=client.by,
                    )
                    if (kept := self._hub.kept(job.id)) is not None:
                        await kept
                except RawprintError as error:
                    if number > 1:
                        error.args = (f"page {number}: {error.message}", *error.args[1:])
                    raise
        if job is None:
            raise DocumentError("there is nothing on it")
        about.job, about.size = job.id, size
        about.sha256 = digest.hexdigest() if client.audits else None
        # As it stands now: events of it may have gone out already.
        return self._hub.job(job.id)

    async def _pages(
        self, client: Client, name: str, content: list[Part], copies: int, notes: list[str]
    ) -> AsyncGenerator[Piece, None]:
        """The pages of all copies, one copy after the other; those of a single page are one piece."""
        limits = client.config.limits
        several = False
        for left in reversed(range(copies)):
            async with aclosing(self._pages_of_one(name, content, limits, notes)) as pages:
                async for data, last in pages:
                    if last and not several:
                        client.fits(len(data) * copies)  # before they take up room
                        yield Piece(data * copies, last=True)
                        return
                    several = True
                    yield Piece(data, last=last and not left)

    async def _pages_of_one(
        self, name: str, content: list[Part], limits: LimitsConfig, notes: list[str]
    ) -> AsyncGenerator[Piece, None]:
        if all(part.kind == "raw" for part in content):
            yield Piece(b"".join(part.data for part in content), last=True)
            return
        bounds = {"max_pages": limits.pages, "max_pixels": limits.pixels}
        request = "render", (content, self._hub.paper(name)), bounds
        async with aclosing(self._renderers.pages(request, notes=notes)) as pages:
            async for piece in pages:
                yield piece


async def _fetched(part: Part) -> Part:
    return replace(part, data=await fetch(part.data)) if isinstance(part.data, Url) else part


def _digest(name: str, copies: int, content: list[Part]) -> bytes:
    whole = hashlib.sha256(repr((name, copies)).encode())
    for part in content:
        data = part.data if isinstance(part.data, bytes) else repr(part.data).encode()
        whole.update(hashlib.sha256(data).digest())
        whole.update(repr((part.kind, sorted(part.options.items()))).encode())
    return whole.digest()


def _page_name(name: str | None, number: int) -> str:
    return f"{name}, page {number}" if name else f"page {number}"
