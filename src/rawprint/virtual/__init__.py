"""Virtual printers: device models that answer from the manuals, and their carriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rawprint.virtual.clones import CLONES, Clone
from rawprint.virtual.device import Device
from rawprint.virtual.escpos import EscPosDevice
from rawprint.virtual.star import StarDevice
from rawprint.virtual.tspl import TsplDevice
from rawprint.virtual.zpl import ZplDevice

if TYPE_CHECKING:
    from rawprint.virtual.card import NetworkCard
    from rawprint.virtual.control import ControlPort
    from rawprint.virtual.listener import Listener
    from rawprint.virtual.pty import PtyListener

__all__ = ["CLONES", "DIALECTS", "Clone", "ControlPort", "Device", "Listener", "NetworkCard", "PtyListener", "device"]

_DEVICES: dict[str, type[Device]] = {
    cls.dialect: cls
    for cls in (
        TsplDevice,
        EscPosDevice,
        StarDevice,
        ZplDevice,
    )
}

DIALECTS: tuple[str, ...] = tuple(_DEVICES)


def device(dialect: str, **options: object) -> Device:
    """Switch on a virtual printer; the options are those of `Device`.

    Raises:
        ValueError: There is no such language, or an option is out of its range.
    """
    if dialect not in _DEVICES:
        raise ValueError(f"no virtual printer speaks {dialect!r}; there are: {', '.join(DIALECTS)}")
    return _DEVICES[dialect](**cast("dict[str, Any]", options))


def __getattr__(name: str) -> object:
    """`Listener` and its like come when they are asked for: a device in this process needs no sockets."""
    if name == "Listener":
        from rawprint.virtual.listener import Listener  # noqa: PLC0415

        return Listener
    if name == "ControlPort":
        from rawprint.virtual.control import ControlPort  # noqa: PLC0415

        return ControlPort
    if name == "PtyListener":
        from rawprint.virtual.pty import PtyListener  # noqa: PLC0415

        return PtyListener
    if name == "NetworkCard":
        from rawprint.virtual.card import NetworkCard  # noqa: PLC0415

        return NetworkCard
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
