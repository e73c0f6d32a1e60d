"""A process that makes documents for another, so that a hostile file can do no more than end it.

    python -m rawprint.documents.worker

The parent, which is trusted, writes to its standard input: `R`, a length of four bytes (big-endian) and so many bytes of a pickle of
`(function, args, kwargs)`, a function being a name of `FUNCTIONS`; and then `N` each time that it wants the next page, or `S` when
it wants no more. The worker, which is not trusted, answers on its standard output in frames of a type, a length of four bytes and
so many bytes:

    P  a page for the printer
    F  the last one, where that is known as it is made
    L  notes: a JSON list of strings; they come before the page that is asked for, and count as none
    E  {"code", "message", "hint"}, JSON: the request has failed, and ended
    D  no bytes: the request has ended; also the answer to `S`

A page is made when it is asked for, and not before, so that there is one in memory. The worker ends when its standard input
does, in the midst of a page, too.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from contextlib import closing, suppress
from functools import cache
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

from rawprint.errors import RawprintError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from rawprint.documents.cache import Cache
    from rawprint.documents.paper import Paper
    from rawprint.documents.rendering import Part, Piece

FUNCTIONS = {
    "image": "rawprint.documents.pages:print_image",
    "pdf": "rawprint.documents.pdf_pages:print_pdf",
    "render": "rawprint.documents.worker:render",
    "read": "rawprint.documents.reading:read_job",
}
"""Name -> what makes it, as "module:function". That returns a page's bytes, or yields them or pieces one by one, and among them lists of notes."""

MAX_PAGE = 64 * 1024 * 1024
"""Bytes of a page."""

MEMORY = 1536 * 1024 * 1024
"""Bytes of memory that the process may have, where the system can limit that (Windows cannot)."""

# Notes at a time, and characters of one.
_NOTES_MOST = 100
_NOTE_MOST = 500
_MESSAGE_MOST = 2000


def main() -> None:
    """Serves its standard input until that ends."""
    # Whatever a library prints goes to the standard error: these frames are the only thing on this output.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit_itself()
    # Both mean the parent, which may have work for the worker until it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    orders: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
    threading.Thread(target=_listen, args=(0, orders.put), daemon=True).start()
    while True:
        kind, data = orders.get()
        if kind == b"R":
            _serve(data, orders, output)
        del data  # which may be large, and the next may be long in coming


def _listen(descriptor: int, put: Callable[[tuple[bytes, bytes]], object]) -> None:
    """Reads orders in a thread of its own, so that the end of the parent is heard while a page is made."""
    try:
        with open(descriptor, "rb", closefd=False) as stream:
            while kind := stream.read(1):
                data = b""
                if kind == b"R":
                    size = int.from_bytes(stream.read(4), "big")
                    data = stream.read(size)
                    if len(data) < size:
                        break
                put((kind, data))
    finally:
        os._exit(0)  # not `sys.exit`: the main thread may be in a library for long


def _limit_itself() -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415

    # A core would be the document, on disk. What a system does not have it refuses in different ways.
    for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY)):
        with suppress(ValueError, OSError):
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def _serve(request: bytes, orders: SimpleQueue[tuple[bytes, bytes]], output: BinaryIO) -> None:
    """Answers one request, up to its end."""
    try:
        with closing(_results(request)) as results:
            while orders.get()[0] == b"N":
                for result in results:
                    if isinstance(result, list):
                        _write(output, b"L", json.dumps([note[:_NOTE_MOST] for note in result[:_NOTES_MOST]]).encode())
                        continue
                    page, last = (result, False) if isinstance(result, bytes) else result
                    if len(page) > MAX_PAGE:
                        _fail(
                            output, "document-too-large", f"a page has {len(page):,} bytes, and {MAX_PAGE:,} are taken"
                        )
                        return
                    _write(output, b"F" if last else b"P", page)
                    break
                else:
                    break
    except RawprintError as error:
        _fail(output, error.code, error.message, error.hint)
    except MemoryError:
        _fail(
            output, "document-too-large", "it needs more memory than there is", "Make it smaller, or print it in parts."
        )
    except Exception as error:  # noqa: BLE001 - a document must not end the worker where it need not
        _fail(output, "bad-document", f"it cannot be printed: {type(error).__name__}: {error}")
    else:
        _write(output, b"D", b"")


def render(parts: Sequence[Part], paper: Paper, **bounds: Any) -> Iterator[Piece | list[str]]:
    """`rawprint.documents.render`, with its notes before the piece that they belong to, and this process's memory of pictures."""
    from rawprint.documents import rendering  # noqa: PLC0415

    notes: list[str] = []
    for piece in rendering.render(parts, paper, note=notes.append, cache=_pictures(), **bounds):
        if notes:
            yield notes.copy()
            notes.clear()
        yield piece


@cache
def _pictures() -> Cache:
    from rawprint.documents.cache import Cache  # noqa: PLC0415

    return Cache()


def _results(request: bytes) -> Generator[bytes | Piece | list[str], None, None]:
    name, args, kwargs = pickle.loads(request)  # noqa: S301 - of the parent
    module, function = FUNCTIONS[name].split(":")
    result: bytes | Iterable[bytes | Piece | list[str]] = getattr(import_module(module), function)(*args, **kwargs)
    if isinstance(result, bytes):
        yield result
    else:
        yield from result


def _fail(output: BinaryIO, code: str, message: str, hint: str = "") -> None:
    error: dict[str, Any] = {"code": code, "message": message[:_MESSAGE_MOST], "hint": hint[:_MESSAGE_MOST]}
    _write(output, b"E", json.dumps(error).encode())


def _write(output: BinaryIO, kind: bytes, data: bytes) -> None:
    try:
        output.write(kind + len(data).to_bytes(4, "big"))
        output.write(data)
        output.flush()
    except OSError:  # nobody reads: the parent has ended
        os._exit(1)


if __name__ == "__main__":
    main()
