"""Who may connect: pure functions of a request's headers and the configuration.

A browser cannot be told by a page what it writes into Host and Origin. Host keeps out a foreign name that
was made to point at this machine (DNS rebinding), Origin a page that nobody allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def host_allowed(hosts: Sequence[str], port: int) -> bool:
    """Whether the request means this machine by a name of its own, at the port that is really bound.

    Args:
        hosts: The values of all Host headers of the request; only one is accepted.
        port: The bound port. It may be absent from the header only where it is HTTP's own, 80.
    """
    return len(hosts) == 1 and hosts[0].lower() in _authorities(port)


def origin_allowed(origins: Sequence[str], allowed: Collection[str], port: int) -> bool:
    """Whether the page that the request comes from may use this server.

    Args:
        origins: The values of all Origin headers. None at all is a program on this machine, not a page, and allowed;
            more than one is nobody's honest request.
        allowed: Origins from the configuration, compared exactly; `null` (a file, a sandbox) is one like others.
        port: The bound port: the server's own pages may use it.
    """
    if not origins:
        return True
    if len(origins) > 1:
        return False
    return origins[0] in allowed or origins[0] in {f"http://{name}" for name in _authorities(port)}


def _authorities(port: int) -> frozenset[str]:
    names = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    if port == 80:
        names.update(LOOPBACK_NAMES)
    return frozenset(names)
