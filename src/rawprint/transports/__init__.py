"""The transports, by the scheme of their addresses."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from rawprint.errors import BackendMissing, OpenError
from rawprint.transports.base import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.address import Address

__all__ = ["Transport", "open_address"]

# scheme -> module with open_address(address, timeout); imported when first asked for
_MODULES = {
    "tcp": "rawprint.transports.tcp",
    "virtual": "rawprint.transports.virtual",
}


def open_address(address: Address, timeout: float) -> Transport:
    """Open the transport of this address.

    Args:
        address: As parsed.
        timeout: Seconds, at most.

    Raises:
        OpenError: One of its subclasses; BackendMissing where there is no transport for the scheme.
    """
    name = _MODULES.get(address.scheme)
    if name is None:
        raise BackendMissing(
            f"there is no transport for {address.scheme}:// yet",
            hint=f"addresses that can be opened begin with {', '.join(s + '://' for s in _MODULES)}",
        )
    try:
        opener = _opener(name)
    except OSError as error:  # such as: no more file descriptors
        raise OpenError(
            f"cannot load the transport for {address.scheme}://: {error}", hint="see what this system is short of"
        ) from error
    return opener(address, timeout)


@cache
def _opener(module: str) -> Callable[[Address, float], Transport]:
    opener: Callable[[Address, float], Transport] = importlib.import_module(module).open_address
    return opener
