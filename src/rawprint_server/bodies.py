"""`Bodies`: the bytes of jobs that ended last, in memory, for a server that has no journal to keep them."""

from __future__ import annotations

from collections import OrderedDict

MOST = 16 * 1024 * 1024  # bytes of all together
LARGEST = 1024 * 1024  # bytes of one


class Bodies:
    """Bytes by job id. Times are monotonic seconds.

    Args:
        keep: Seconds for which they are kept; 0: not at all.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._bodies: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def put(self, id: str, data: bytes | memoryview, now: float) -> None:
        """Keeps the bytes of a job that has ended, where they are not too many."""
        self._forget(id)
        if self._keep and len(data) <= LARGEST:
            self._bodies[id] = now, bytes(data)
            self._size += len(data)
        while self._bodies and (self._size > MOST or now - self._oldest[0] > self._keep):
            self._forget(next(iter(self._bodies)))

    def get(self, id: str, now: float) -> bytes | None:
        """The bytes of a job, if they are kept."""
        at, data = self._bodies.get(id, (0.0, None))
        return data if data is not None and now - at <= self._keep else None

    @property
    def _oldest(self) -> tuple[float, bytes]:
        return next(iter(self._bodies.values()))

    def _forget(self, id: str) -> None:
        _, data = self._bodies.pop(id, (0.0, b""))
        self._size -= len(data)
