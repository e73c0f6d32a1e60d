"""`receipt`: a receipt written with python-escpos, and printed as one job."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from rawprint.documents.paper import Paper
from rawprint.documents.profiles import profile as find_profile
from rawprint.errors import BackendMissing, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rawprint.documents.encoder import Receipt
    from rawprint.print_queue import PrintQueue
    from rawprint.printer import Printer

_LOADING = threading.Lock()
_NORMAL = 50  # the priority of a job for which none is named


@contextmanager
def receipt(
    printer: Printer | PrintQueue | Paper | None = None,
    *,
    profile: str | None = None,
    width_mm: float | None = None,
    timeout: float | None = None,
    id: str | None = None,
    expires: float | None = None,
    priority: int = _NORMAL,
    job_name: str | None = None,
) -> Iterator[Receipt]:
    """Write a receipt with python-escpos; when the block ends it is printed, as one job, and where the block raises, nothing is.

    What comes out of `with` has all methods of python-escpos's `Escpos` (`text`, `set`, `qr`, `barcode`, `image`, `cut`, …), and `data`,
    its bytes, of which there are 64 MB at most. Of a queue it has `job` afterwards.

    Args:
        printer: An open printer, which prints before the block is left; a queue, which gets a job; a paper, or None: nothing is printed,
            and `data` is for you.
        profile: The model, a name of `rawprint.documents.PROFILES`. None: nothing is known of it but what all have, so that it prints
            the characters of code page 437.
        width_mm: Width of the roll, millimetres; None: what the profile says, else 80.
        timeout: Of a printer: seconds without any progress after which to give up; None waits as long as the printer does.
        id: Of a queue, as `expires`, `priority` and `job_name`: see `PrintQueue.submit`.
        expires: Seconds within which it must have begun.
        priority: From 1 to 100.
        job_name: What people call it.

    Raises:
        Unsupported: The printer speaks another language than ESC/POS, or cannot take such an option.
        DocumentError: There is no such profile; in the block: the printer has no such character, or an image is none.
        DocumentTooLarge: In the block: it has more than 64 MB.
        BackendMissing: python-escpos is not there.
        Exception: What `Printer.print` and `PrintQueue.submit` raise, at the end of the block.
    """
    from rawprint.print_queue import PrintQueue  # noqa: PLC0415 - of use to those who have one, and they have loaded it

    queue = isinstance(printer, PrintQueue)
    if not queue and (id, expires, priority, job_name) != (None, None, _NORMAL, None):
        raise Unsupported("only a queue takes an id, a time to expire, a priority or a name", hint="Use a PrintQueue.")
    if timeout is not None and (queue or printer is None or isinstance(printer, Paper)):
        raise Unsupported("only an open printer takes a timeout", hint="Wait for the job of a queue.")
    written = _load()(_paper(printer, profile, width_mm))
    yield written
    data = written.end()
    if not data:
        return
    if isinstance(printer, PrintQueue):
        written.job = printer.submit(data, id=id, expires=expires, priority=priority, job_name=job_name)
    elif printer is not None and not isinstance(printer, Paper):
        printer.print(data, timeout)


def _paper(printer: Printer | PrintQueue | Paper | None, profile: str | None, width_mm: float | None) -> Paper:
    dialect = None if printer is None else printer.dialect
    name = dialect if dialect is None or isinstance(dialect, str) else dialect.name
    if name not in {None, "escpos"}:  # None: nobody has said, and a receipt of python-escpos says it
        raise Unsupported(f"python-escpos writes ESC/POS, and the printer speaks {name}", hint="Print a picture of it.")
    if not isinstance(printer, Paper):
        return Paper.of("escpos", width_mm=width_mm, profile=profile)
    if width_mm is not None:
        raise Unsupported("a paper has its width", hint="Make it with `Paper.of`.")
    return printer if profile is None else replace(printer, profile=find_profile(profile))


def _load() -> type[Receipt]:
    """python-escpos is imported when the first receipt is written, and leaves nothing behind.

    As it is imported it makes a folder for temporary files, even where the environment names one (ESCPOS_CAPABILITIES_PICKLE_DIR), puts a
    pickle of its data into one of them, and sets up logging for the whole program. The pickle is never looked at again by this
    process, so the folder that was made can go; setting the variable instead would be seen by every thread and child, and the folder be
    made all the same.

    Raises:
        BackendMissing: It is not there, or cannot be loaded.
    """
    with _LOADING:
        if "escpos.capabilities" not in sys.modules:
            handlers = list(logging.root.handlers)
            named = "ESCPOS_CAPABILITIES_PICKLE_DIR" in os.environ
            try:
                folder = import_module("escpos.capabilities").pickle_dir
            except ImportError as error:
                raise BackendMissing("receipts need python-escpos", hint="pip install python-escpos") from error
            except Exception as error:
                raise BackendMissing(
                    f"python-escpos cannot be loaded: {error}"[:300],
                    hint="It needs a folder for temporary files that can be written.",
                ) from error
            finally:
                for handler in list(logging.root.handlers):
                    # What basicConfig makes; a handler of another kind is somebody else's, who set it up meanwhile.
                    if handler not in handlers and type(handler) is logging.StreamHandler:
                        logging.root.removeHandler(handler)
            if not named:
                shutil.rmtree(folder, ignore_errors=True)
        try:
            from rawprint.documents.encoder import Receipt  # noqa: PLC0415
        except ImportError as error:
            raise BackendMissing(
                f"python-escpos cannot be loaded: {error}", hint="pip install python-escpos"
            ) from error
        return Receipt
