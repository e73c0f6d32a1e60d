"""Who holds a device (Linux): the sentence "busy" is worth little without a name."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_PROC = Path("/proc")
_BUS = Path("/dev/bus/usb")


def usb_interface_holder(bus: int, address: int, interface: str | None, *, proc: Path = _PROC) -> str | None:
    """Who holds a USB interface: a program, where this user may see it, else the kernel's driver; None: nobody knows.

    Args:
        bus: Of the device.
        address: Its number on the bus.
        interface: Its folder in /sys, which tells the driver.
        proc: For tests.
    """
    # Whoever asks has the device open, too, or could not know that it is held: that is not what holds it.
    program = holder_of(str(_BUS / f"{bus:03d}" / f"{address:03d}"), proc=proc, asking=1)
    if program is not None:
        return program
    try:
        driver = (Path(interface) / "driver").readlink().name if interface else ""
    except OSError:
        return None
    # "usbfs" is how the kernel says: some program has claimed it.
    return None if driver in ("", "usbfs") else f"the kernel's driver {driver}"


def kernel_printer_user(interface: Path | None) -> str | None:
    """Who uses the /dev/usb/lp* device that the kernel's driver has made of a USB interface; None: nobody, or not seen."""
    for node in _entries(interface / "usbmisc") if interface else ():
        user = holder_of(f"/dev/usb/{node.name}")
        if user is not None:
            return user
    return None


def holder_of(path: str, *, proc: Path = _PROC, asking: int = 0) -> str | None:
    """The program that has the device open, such as "python3 (process 814)"; None: none that this user may see.

    Never raises.

    Args:
        path: A device file.
        proc: For tests.
        asking: How many descriptors this process has on it only to ask; it holds the device if it has more.
    """
    try:
        device = Path(path).stat()
    except OSError:
        return None
    if sys.platform == "win32" or not stat.S_ISCHR(device.st_mode):
        return None
    own = str(os.getpid())
    for process in sorted(_numbers(proc), key=lambda name: (name == own, int(name))):
        opened = sum(_is_on(descriptor, device.st_rdev) for descriptor in _entries(proc / process / "fd"))
        if process == own:
            opened -= asking
        if opened > 0:
            return "this program itself" if process == own else _name(proc / process)
    return None


def _is_on(descriptor: Path, device: int) -> bool:
    try:
        # A file of a server that is gone would keep stat waiting, so only what can be a device is looked at. The name
        # proves no more than that: other mount namespaces have other ones.
        if "/dev/" not in str(descriptor.readlink()):
            return False
        opened = descriptor.stat()
    except OSError:
        return False
    return sys.platform != "win32" and stat.S_ISCHR(opened.st_mode) and opened.st_rdev == device


def _numbers(proc: Path) -> list[str]:
    return [entry.name for entry in _entries(proc) if entry.name.isdecimal()]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it has ended, or is somebody else's
        return []


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        comm = (process / "comm").read_text(errors="replace").strip()
    except OSError:
        words, comm = [], "a program"
    line = b" ".join(words)
    number = f"(process {process.name})"
    # CUPS starts its backends with the printer's URI in the place of their name.
    if b"cups/backend" in line or (comm == "usb" and words and words[0].startswith(b"usb://")) or comm == "cupsd":
        return f"CUPS {number}"
    if b"rawprint" in line:
        return f"another rawprint {number}"
    return f"{comm} {number}"
