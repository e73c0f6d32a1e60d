"""What a scan of a /24 costs over a bare epoll loop that connects to the same hosts and waits as long for silent ones."""

from __future__ import annotations

import select
import socket
from contextlib import contextmanager
from ipaddress import ip_network
from time import perf_counter
from typing import TYPE_CHECKING

from pairs import Row, alternate, compare

from rawprint.transports import tcp_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOSTS = [f"127.0.77.{number}" for number in range(1, 255)]
_NETWORK = ip_network("127.0.77.0/24")
_PATIENCE = 1.2  # seconds: what a silent host costs
_LIMIT = 30.0  # ms


def rows(rounds: int) -> Iterator[Row]:
    """Hosts that refuse, which cost nothing but work, and hosts that are silent, which cost the time-out once."""
    with socket.socket() as unused:
        unused.bind(("0.0.0.0", 0))
        port = unused.getsockname()[1]
        blocks = [_block(port, max(rounds // 20, 10)) for _ in range(3)]
        yield compare("scan of a /24 that refuses", "ms", "difference", blocks, limit=_LIMIT, note="floor: bare epoll")
    with _silent() as port:
        blocks = [_block(port, 2, warm_up=0) for _ in range(2)]
        note = f"floor: bare epoll, the same time-out of {_PATIENCE:g} s"
        yield compare("scan of a /24 that is silent", "ms", "difference", blocks, limit=_LIMIT, note=note)


def _block(port: int, rounds: int, warm_up: int = 3) -> list[tuple[float, float]]:
    return alternate(_timed(lambda: _bare(port)), _timed(lambda: _ours(port)), rounds, warm_up=warm_up)


def _timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        began = perf_counter()
        work()
        return (perf_counter() - began) * 1000

    return run


def _ours(port: int) -> None:
    found = tcp_scan.scan(_NETWORK, 5.0, port=port)
    if found.listening or found.untried:
        raise RuntimeError(f"nobody listens there: {found}")


def _bare(port: int) -> None:
    epoll, sockets = select.epoll(), {}
    for host in _HOSTS:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex((host, port))
        sockets[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLOUT)
    until = perf_counter() + _PATIENCE
    while sockets and (left := until - perf_counter()) > 0:
        for descriptor, _ in epoll.poll(left):
            sockets.pop(descriptor).close()
    for sock in sockets.values():
        sock.close()
    epoll.close()


@contextmanager
def _silent() -> Iterator[int]:
    """A port whose queue of connections is full: Linux drops every further SYN without a word."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen(0)
        port = server.getsockname()[1]
        filling = []
        try:
            for _ in range(4):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                sock.connect_ex(("127.0.0.1", port))
                filling.append(sock)
            yield port
        finally:
            for sock in filling:
                sock.close()
