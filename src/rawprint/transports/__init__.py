"""The transports, by the scheme of their addresses."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import TYPE_CHECKING

from rawprint.errors import BackendMissing, OpenError
from rawprint.transports.base import Found, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawprint.address import Address

__all__ = ["Found", "Transport", "finders", "open_address"]

# scheme -> module with open_address(address, timeout), and find() where this machine can be asked for printers;
# imported when first asked for
_MODULES = {
    "tcp": "rawprint.transports.tcp",
    # Windows' own driver for USB printers needs no other one in its place.
    "usb": "rawprint.transports.usbprint" if sys.platform == "win32" else "rawprint.transports.usb",
    "serial": "rawprint.transports.serial",
    "virtual": "rawprint.transports.virtual",
}
if sys.platform == "linux":
    _MODULES["lp"] = "rawprint.transports.lp"
_FINDERS = tuple(scheme for scheme in ("usb", "lp", "serial") if scheme in _MODULES)


def open_address(address: Address, timeout: float) -> Transport:
    """Open the transport of this address.

    Args:
        address: As parsed.
        timeout: Seconds, at most.

    Raises:
        OpenError: One of its subclasses; BackendMissing where there is no transport for the scheme.
    """
    if address.scheme not in _MODULES:
        raise BackendMissing(
            f"there is no {address.scheme}:// on this system", hint="only Linux has it; name the printer by usb://"
        )
    try:
        opener = _opener(_MODULES[address.scheme])
    except ImportError as error:
        raise _missing(address.scheme, error) from error
    except OSError as error:  # such as: no more file descriptors
        raise OpenError(
            f"cannot load the transport for {address.scheme}://: {error}", hint="see what this system is short of"
        ) from error
    return opener(address, timeout)


def finders() -> dict[str, Callable[[], list[Found]]]:
    """For each scheme whose printers this machine can list: what lists them.

    A finder may take a second, and raises BackendMissing where something that it needs is not there.
    """
    return {scheme: lambda scheme=scheme: _find(scheme) for scheme in _FINDERS}  # type: ignore[misc]


def _find(scheme: str) -> list[Found]:
    try:
        module = importlib.import_module(_MODULES[scheme])
    except ImportError as error:
        raise _missing(scheme, error) from error
    found: list[Found] = module.find()
    return found


def _missing(scheme: str, error: ImportError) -> BackendMissing:
    return BackendMissing(
        f"{scheme}:// needs a Python package that is not here: {error.name}", hint="install rawprint with all it needs"
    )


@cache
def _opener(module: str) -> Callable[[Address, float], Transport]:
    opener: Callable[[Address, float], Transport] = importlib.import_module(module).open_address
    return opener
