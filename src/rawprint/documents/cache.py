"""Pictures that were made before: the same logo on every receipt is read and dithered once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict


class Cache:
    """Bytes by what they were made from; the ones that were not asked for longest are forgotten first.

    Args:
        most: Bytes that are kept, at most.
    """

    def __init__(self, most: int = 16 * 1024 * 1024) -> None:
        self._most = most
        self._size = 0
        self._made: OrderedDict[bytes, bytes] = OrderedDict()

    @staticmethod
    def key(source: bytes, *rest: object) -> bytes:
        """A name for what is made from these bytes in this way; `rest` are values whose `repr` tells all of them."""
        return hashlib.sha256(hashlib.sha256(source).digest() + repr(rest).encode()).digest()

    def get(self, key: bytes) -> bytes | None:
        """What was made; None: it was not, or it is forgotten."""
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
        return made

    def put(self, key: bytes, made: bytes) -> None:
        """Remember it, unless it alone is too large."""
        if len(made) > self._most or key in self._made:
            return
        self._made[key] = made
        self._size += len(made)
        while self._size > self._most:
            self._size -= len(self._made.popitem(last=False)[1])
