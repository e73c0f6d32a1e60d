"""`Renderers`: documents are made in processes of their own, which may hang or die and be replaced."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rawprint import (
    BackendMissing,
    DocumentError,
    DocumentTimeout,
    DocumentTooLarge,
    RawprintError,
    UnprintableText,
    Unsupported,
)
from rawprint.documents import Piece

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Coroutine, Sequence

T = TypeVar("T")

log = logging.getLogger(__name__)

IDLE = 60.0
"""Seconds that a process is kept which nobody needs."""

MAX_PAGE = 64 * 1024 * 1024
"""Bytes of a page."""

MAX_REQUEST = 256 * 1024 * 1024
"""Bytes of a request: a document and what it is printed on."""

_MAX_JSON = 256 * 1024  # bytes of an error, and of all notes of a request
_TEXT = 2000  # characters of a message, a hint or a note
_BUFFER = 1024 * 1024  # bytes that are read of a worker before they are wanted, or as many again
_GRACE = 2.0  # seconds that a process has to do what takes it none

# A worker cannot choose what is raised but from these; another code is a `DocumentError`.
_ERRORS: dict[str, type[RawprintError]] = {
    error.code: error
    for error in (DocumentError, UnprintableText, DocumentTooLarge, DocumentTimeout, BackendMissing, Unsupported)
}

# The worker begins as -m rawprint.documents.worker would, and finds its modules where this process does: -I has it heed neither
# the environment nor the folder that it is started in, and the folders of this process are given.
_START = "import sys; sys.path[:] = sys.argv[1:]; from rawprint.documents.worker import main; main()"

# How a process ends that was given no memory: killed by the system, or by its allocator.
_OUT_OF_MEMORY = {
    *(-getattr(signal, name) for name in ("SIGKILL", "SIGABRT", "SIGTRAP", "SIGILL") if hasattr(signal, name)),
    *(0xC0000017, 0xE0000008),  # Windows: STATUS_NO_MEMORY, and what Chromium's allocator ends with
}


class Renderers:
    """Worker processes that make documents; see `rawprint.documents.worker`. Each is started when it is first needed.

    Args:
        workers: Processes at once; who comes when all are busy waits, in order.
        page_seconds: Time for each page, seconds, with the start of the process for the first.
        idle_seconds: Time that a process is kept which nobody needs.
        command: What starts a worker; None: this Python.
    """

    def __init__(
        self, workers: int, page_seconds: float, *, idle_seconds: float = IDLE, command: Sequence[str] | None = None
    ) -> None:
        self._page_seconds = page_seconds
        self._idle_seconds = idle_seconds
        self._command = command
        self._turns = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # starts and ends of processes that `close` must wait for
        self._closed = False

    async def pages(
        self, request: tuple[str, tuple[Any, ...], dict[str, Any]], *, notes: list[str] | None = None
    ) -> AsyncGenerator[Piece, None]:
        """The pages of a document, each made when it is asked for.

        A process is held from the first page to the last: who may take long over a page reads them all first, or closes this
        (`contextlib.aclosing`) when it wants no more.

        Args:
            request: A name of `rawprint.documents.worker.FUNCTIONS`, and the arguments of that function.
            notes: Notes that are made with a page are put there before it is yielded.

        Yields:
            A page, and whether it is known to be the last.

        Raises:
            DocumentTimeout: A page took longer than `page_seconds`; the process was killed.
            DocumentTooLarge: It needs more memory than there is, or has more than `MAX_PAGE` or `MAX_REQUEST`.
            DocumentError: It cannot be printed as it is, the process died of it, or these renderers were closed.
            BackendMissing: A library is not there, or no process can be started.
            Unsupported: The printer's language has no such thing.
        """
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        if len(data) > MAX_REQUEST:
            raise DocumentTooLarge(f"the document has more than {MAX_REQUEST:,} bytes", hint="Print it in parts.")
        async with self._turns:
            worker = await self._take()
            try:
                worker.ask(data)
                del data  # which may be large, and the pages many
                while (page := await worker.page(self._page_seconds, [] if notes is None else notes)) is not None:
                    yield page
            except _Died as died:
                raise await self._why(worker, died) from died
            finally:
                await self._give_back(worker)

    async def close(self) -> None:
        """Ends all processes, also those at work: their documents fail, and what comes after does, too."""
        self._closed = True
        for worker in self._idle:
            worker.keep()  # its time must not be up in the midst of this
        self._idle.clear()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(self._end(worker) for worker in tuple(self._workers)))

    async def _take(self) -> _Worker:
        """A worker that waits for a request."""
        self._refuse_closed()
        while self._idle:
            worker = self._idle.pop()
            worker.keep()
            if worker.alive:
                return worker
            await self._end(worker)  # it died of something else: the system wanted its memory, or somebody killed it
        return await self._in_background(self._start())

    async def _start(self) -> _Worker:
        folders = (entry or os.getcwd() for entry in sys.path)  # noqa: PTH109 - text, as the others are
        command = self._command or (sys.executable, "-I", "-c", _START, *folders)
        try:
            # Its standard error is not kept: libraries write there what a document has them write.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=_BUFFER
            )
        except OSError as error:
            raise BackendMissing(
                f"no process can be started for documents: {error.strerror or error}",
                hint="The server may start no more processes, or has no memory for one.",
            ) from error
        worker = _Worker(process)
        self._workers.add(worker)
        if self._closed:  # meanwhile
            await self._end(worker)
            self._refuse_closed()
        return worker

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _refuse_closed(self) -> None:
        if self._closed:
            raise DocumentError("the server is ending", hint="Print it once more when it runs again.")

    async def _give_back(self, worker: _Worker) -> None:
        """Keeps a worker for the next request, or ends it where it cannot be used any more."""
        try:
            if worker.paused:
                await worker.stop()  # who asked wants no more pages
        finally:  # cancelled, too
            if self._closed or not worker.ready or not worker.alive:
                await self._end(worker)
            else:
                self._idle.append(worker)
                worker.retire_in(self._idle_seconds, self._retire)

    def _retire(self, worker: _Worker) -> None:
        """Nobody has needed it for long."""
        self._idle.remove(worker)
        self._in_background(self._end(worker, gently=True))

    async def _end(self, worker: _Worker, *, gently: bool = False) -> None:
        """Ends a process, also where the caller is cancelled meanwhile; that it has ended is waited for, if need be by `close`."""
        ending = worker.ended(gently=gently)
        ending.add_done_callback(lambda _: self._workers.discard(worker))
        await asyncio.shield(ending)

    async def _why(self, worker: _Worker, died: _Died) -> RawprintError:
        """The error of a worker that can be used no more."""
        if died.error is None:
            # Its output has ended before it has, and how it ends tells why.
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await worker.process.wait()
        code = worker.process.returncode
        await self._end(worker)
        self._refuse_closed()
        error = died.error
        if error is None and code in _OUT_OF_MEMORY:
            error = DocumentTooLarge(
                "the document needs more memory than there is", hint="Make it smaller, or print it in parts."
            )
        if error is None:
            error = DocumentError(
                "the document is broken in a way that ended the process that was to print it",
                hint="Save or print it as a PDF or PNG once more.",
            )
        how = "was killed" if code is None else f"ended with {code}"
        log.warning("a process for documents %s, and will be replaced: %s", how, error.message)
        return error


class _Died(Exception):
    """A worker cannot be used any more.

    Attributes:
        error: Why, where that is known; None: it ended by itself.
    """

    def __init__(self, error: RawprintError | None = None) -> None:
        super().__init__()
        self.error = error


class _Worker:
    """One process.

    Attributes:
        process: It.
        ready: It waits for a request.
        paused: It has given a page, and waits to be asked for the next.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready = True
        self.paused = False
        self._input = cast("StreamWriter", process.stdin)  # both are pipes
        self._output = cast("StreamReader", process.stdout)
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._notes = 0

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as is known."""
        return self._ending is None and self.process.returncode is None and not self._output.at_eof()

    def ask(self, request: bytes) -> None:
        """Sends a request, a pickle.

        Raises:
            _Died: The worker has ended; mostly that is noticed when a page is waited for.
        """
        self.ready = False
        self._notes = 0
        self._send(b"R" + len(request).to_bytes(4, "big"))
        self._send(request)

    async def page(self, seconds: float, notes: list[str]) -> Piece | None:
        """The next page; None: there is no more.

        Raises:
            RawprintError: The request has failed.
            _Died: The worker has ended, took too long, or answered what it may not.
        """
        self.paused = False
        try:
            async with asyncio.timeout(seconds):
                self._send(b"N")
                await self._input.drain()
                while True:
                    kind, data = await self._frame()
                    match kind:
                        case b"P" | b"F":
                            self.paused = True
                            return Piece(data, last=kind == b"F")
                        case b"L":
                            notes += self._strings(data)
                        case b"E":
                            error = _error_of(data)
                            self.ready = True
                            raise error
                        case b"D" if not data:
                            self.ready = True
                            return None
                        case _:
                            raise _Died
        except DocumentTimeout:
            raise  # the worker's own, which ended the request and not the worker
        except TimeoutError as error:
            raise _Died(
                DocumentTimeout(
                    f"a page took longer than {seconds:g} seconds", hint="Make it simpler, or print it as an image."
                )
            ) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise _Died from error

    async def stop(self) -> None:
        """No more pages are wanted; it is `ready` after that where all is well."""
        self.paused = False
        with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, _Died):
            async with asyncio.timeout(_GRACE):
                self._send(b"S")
                self.ready = await self._frame() == (b"D", b"")

    def retire_in(self, seconds: float, then: Any) -> None:
        """Calls `then` with it after a time, unless it is taken before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, then, self)

    def keep(self) -> None:
        """It is needed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ended(self, *, gently: bool = False) -> asyncio.Task[None]:
        """Ends it, once; the task is done when nothing is left of it."""
        self.keep()
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(gently=gently))
        return self._ending

    async def _end(self, *, gently: bool) -> None:
        self._input.close()
        if gently:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self.process.wait()
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        # The transport closes with its pipes: what is still in them is read, unless somebody is just reading it.
        with suppress(RuntimeError, OSError):
            while await self._output.read(_BUFFER):
                pass

    def _send(self, data: bytes) -> None:
        if self._input.is_closing():  # where asyncio only says so, uvloop raises what could be anything
            raise _Died
        self._input.write(data)

    async def _frame(self) -> tuple[bytes, bytes]:
        head = await self._output.readexactly(5)
        kind, size = head[:1], int.from_bytes(head[1:], "big")
        if size > (MAX_PAGE if kind in {b"P", b"F"} else _MAX_JSON):
            raise _Died(DocumentTooLarge(f"a page has more than {MAX_PAGE:,} bytes", hint="Print it in parts."))
        return kind, await self._output.readexactly(size)

    def _strings(self, data: bytes) -> list[str]:
        """Notes, which are not believed to be what they should."""
        self._notes += len(data) + 1
        strings = _json(data)
        if self._notes > _MAX_JSON or not isinstance(strings, list):
            raise _Died
        return [str(each)[:_TEXT] for each in strings]


def _json(data: bytes) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Died from error
    return value


def _error_of(data: bytes) -> RawprintError:
    value = _json(data)
    if not isinstance(value, dict):
        raise _Died
    kind = _ERRORS.get(str(value.get("code")), DocumentError)
    message, hint = (str(value.get(key) or "")[:_TEXT] for key in ("message", "hint"))
    return kind(message or "it cannot be printed", hint=hint)
