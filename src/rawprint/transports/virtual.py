"""A virtual printer in this process, as a transport."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rawprint.address import VirtualAddress
from rawprint.errors import AddressError, BackendMissing, Disconnected
from rawprint.status import Reason
from rawprint.transports.base import Transport

if TYPE_CHECKING:
    from rawprint.address import Address
    from rawprint.virtual import Device

_NUMBERS = {"buffer_size": int, "speed": float, "media": int}
_TRUTH = {"true": True, "false": False}


def open_address(address: Address, timeout: float) -> Transport:  # noqa: ARG001
    """Make the device that the address describes.

    Options: any reason (`media-empty=true`), `buffer_size` (bytes), `speed` (bytes a second), `media` (bytes until
    it runs out), `push=true`, `clone=NAME`.

    Raises:
        AddressError: An option or a language that there is not.
    """
    from rawprint.virtual import device  # noqa: PLC0415  (only who uses it pays for it)

    if not isinstance(address, VirtualAddress):
        raise BackendMissing(f"{address} is no virtual printer")
    options: dict[str, object] = {}
    reasons: list[str] = []
    try:
        for name, value in address.options:
            if name in _NUMBERS:
                options[name] = _NUMBERS[name](value)
            elif name == "clone":
                options[name] = value
            elif name == "push":
                options[name] = _TRUTH[value]
            elif _TRUTH[value]:
                reasons.append(Reason(name))
        made = device(address.dialect, reasons=reasons, **options)
    except (ValueError, KeyError) as error:
        raise AddressError(
            f"no virtual printer {str(address)!r}: {error}", hint="reasons are written ?media-empty=true"
        ) from error
    return VirtualTransport(made)


class VirtualTransport(Transport):
    """Joins a device model and the callers' thread; `set` may be called from any thread."""

    counts = "acknowledged"

    def __init__(self, device: Device) -> None:
        self.device = device
        self._changed = threading.Condition()
        self._closed = False
        device.connected()

    def write(self, data: memoryview, timeout: float) -> int:
        """See Transport."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._advance(deadline, lambda: self.device.room() > 0)
            taken = bytes(data[: self.device.room()])
            self.device.receive(taken)
            self._changed.notify_all()
        return len(taken)

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        deadline = time.monotonic() + timeout
        data = b""

        def came() -> bool:
            nonlocal data
            data = self.device.output()
            return bool(data)

        with self._changed:
            self._advance(deadline, came)
        return data

    def set(self, reason: str, value: bool) -> None:
        """Let a fault come or go."""
        with self._changed:
            self.device.set(reason, value)
            self._changed.notify_all()

    def close(self, linger: float = 0.0) -> None:  # noqa: ARG002  (the device keeps what it took)
        """See Transport."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self.device.disconnected()
            self._changed.notify_all()

    def _advance(self, deadline: float, ready: _Predicate) -> None:
        """Let the device print as time goes by until `ready`, or until the deadline."""
        while True:
            if self._closed:
                raise Disconnected("the virtual printer was closed")
            now = time.monotonic()
            again = self.device.advance(now)
            if ready() or now >= deadline:
                return
            self._changed.wait(min(deadline - now, deadline - now if again is None else again))


if TYPE_CHECKING:
    from collections.abc import Callable

    _Predicate = Callable[[], bool]
