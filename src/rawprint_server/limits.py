"""How much one client may print in a minute: a bucket of jobs and one of bytes for each, which fill again as time goes."""

from __future__ import annotations

from typing import NamedTuple

from rawprint import RawprintError

_MINUTE = 60.0  # seconds
_MOST_CLIENTS = 10_000  # of which it is remembered how full their buckets are


class RateLimited(RawprintError):
    """The client has printed too much in too short a time."""

    code = "rate-limited"


class _Buckets(NamedTuple):
    jobs: float
    bytes: float
    at: float


class Meter:
    """Counts what each client prints; not thread-safe.

    Attributes:
        jobs: That one may print in a minute; as many at once, where it printed none before.
        bytes: As that. A job of more is taken where the bucket is full, and has to be paid off before the next.
    """

    def __init__(self, jobs: int, bytes: int) -> None:
        self.jobs, self.bytes = jobs, bytes
        self._clients: dict[str, _Buckets] = {}

    def charge(self, who: str, size: int, now: float) -> None:
        """A job of so many bytes is to be printed.

        Args:
            who: The client.
            size: Bytes.
            now: Seconds, monotonic.

        Raises:
            RateLimited: It is not, as there were too many before; the hint says when it could be.
        """
        full = _Buckets(self.jobs, self.bytes, now)
        had = self._clients.get(who, full)
        passed = max(now - had.at, 0.0) / _MINUTE
        jobs = min(had.jobs + passed * self.jobs, self.jobs)
        left = min(had.bytes + passed * self.bytes, self.bytes)
        short = max((1 - jobs) / self.jobs, (min(size, self.bytes) - left) / self.bytes) * _MINUTE
        if short > 1e-6:
            raise RateLimited(
                f"more than {self.jobs} jobs or {self.bytes} bytes a minute",
                hint=f"Try again in {short:.0f} s, or raise [limits] in the configuration.",
            )
        if who not in self._clients and len(self._clients) >= _MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]
        self._clients[who] = _Buckets(jobs - 1, left - size, now)
