"""Writes a file whole or not at all, whatever ends this process or the machine meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Puts the bytes in the place of what the file held, or makes the file.

    Where the path is a symbolic link, the link stays, and the file that it leads to is replaced. That keeps its mode
    and its owner.

    Args:
        path: The file; its folder must be there.
        data: All of it.
        mode: Of a file that is made, less the umask.

    Raises:
        OSError: It cannot be; the file is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    fresh = target.with_name(f".{target.name[:200]}.{os.urandom(8).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None:
                _as_before(descriptor, before)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    _note(target.parent)


def _as_before(descriptor: int, before: os.stat_result) -> None:
    if sys.platform != "win32":
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _note(folder: Path) -> None:
    """Has the system note the new name on the disk, too, where it can be asked for that."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
