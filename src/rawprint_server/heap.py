"""Gives the memory of large jobs back to the system, which the C library would keep for later ones."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 256 * 1024  # bytes of a message whose memory is worth the trouble
REST = 1.0  # seconds without a large job after which it is given back: it takes some milliseconds


def trim() -> None:
    """Does it, from any thread; nothing where the C library has no such function."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - a server that sees no large job does without

        # glibc raises the size from which it takes memory from the system for each block alone up to that of the
        # largest one ever freed; from then on a heap that has grown shrinks only when told to. musl has no such call.
        found = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if found is not None:
            function: Callable[[int], object] = found
            return function
    return lambda _: None
