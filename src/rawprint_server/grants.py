"""What was granted beside the configuration: origins, tokens, and who asked; a file that only this user reads.

The server and the command line both write it: each change is one step under a lock.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from rawprint import RawprintError
from rawprint_server import files
from rawprint_server.access import TOKEN_PREFIX, Grant, Token, hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MOST_ASKED = 100  # origins that asked and were not let in; of more the newest
MOST = 10_000  # of anything else
MAX_BYTES = 16 * 1024 * 1024
ADMIN_FILE = "admin.token"
GRANTS_FILE = "access.json"


class GrantsError(RawprintError):
    """What was granted cannot be read or written."""

    code = "grants"


class Allowed(Struct, frozen=True):
    """An origin that may connect; `how`: "configuration", "command", "dashboard" or "paired"."""

    origin: str
    grant: Grant = Grant()
    how: str = ""
    at: datetime | None = None


class Asked(Struct, frozen=True):
    """An origin that was refused, and when last."""

    origin: str
    at: datetime


class Grants(Struct, frozen=True):
    """All of it."""

    allowed: tuple[Allowed, ...] = ()
    denied: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    asked: tuple[Asked, ...] = ()

    def with_configured(self, origins: Iterable[str]) -> tuple[Allowed, ...]:
        """All who are let in: by the configuration, where nothing else is said of them, and by what was granted."""
        said = {each.origin for each in self.allowed} | set(self.denied)
        return (*(Allowed(origin, how="configuration") for origin in origins if origin not in said), *self.allowed)

    def allow(self, origin: str, grant: Grant, how: str) -> Grants:
        """With the origin let in; what it was granted before, or refused, is forgotten."""
        others = tuple(each for each in self.allowed if each.origin != origin)
        return self._without(origin)._with(allowed=(*others, Allowed(origin, grant, how, datetime.now(UTC)))[-MOST:])

    def deny(self, origin: str) -> Grants:
        """With the origin kept out, whatever the configuration says."""
        without = self._without(origin)
        return without._with(denied=(*without.denied, origin)[-MOST:])

    def forget(self, origin: str) -> Grants:
        """Neither let in nor kept out: as if nobody had said anything."""
        return self._without(origin)

    def ask(self, origin: str) -> Grants:
        """With the origin among those that were refused."""
        others = tuple(each for each in self.asked if each.origin != origin)
        return self._with(asked=(*others, Asked(origin, datetime.now(UTC)))[-MOST_ASKED:])

    def with_token(self, token: Token) -> Grants:
        """With one more token.

        Raises:
            GrantsError: There is one of that name.
        """
        if any(each.name == token.name for each in self.tokens) or token.name == "admin":
            raise GrantsError(f"there is a token {token.name!r} already", hint="Revoke it, or choose another name.")
        return self._with(tokens=(*self.tokens, token)[-MOST:])

    def revoke(self, name: str) -> Grants:
        """Without that token.

        Raises:
            GrantsError: There is none.
        """
        if all(each.name != name for each in self.tokens):
            known = ", ".join(each.name for each in self.tokens) or "none"
            raise GrantsError(f"there is no token {name!r}", hint=f"The tokens are: {known}.")
        return self._with(tokens=tuple(each for each in self.tokens if each.name != name))

    def _without(self, origin: str) -> Grants:
        return self._with(
            allowed=tuple(each for each in self.allowed if each.origin != origin),
            denied=tuple(each for each in self.denied if each != origin),
            asked=tuple(each for each in self.asked if each.origin != origin),
        )

    def _with(self, **changes: object) -> Grants:
        return msgspec.structs.replace(self, **changes)


def new_token() -> str:
    """A secret of 256 bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def read(folder: Path) -> Grants:
    """What the folder has; nothing where there is no file.

    Raises:
        GrantsError: It cannot be read, or is no such file: then nobody is let in by it.
    """
    path = folder / GRANTS_FILE
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise GrantsError(f"{path} has more than {MAX_BYTES} bytes", hint="Remove it, and allow again who may.")
        return msgspec.json.decode(content, type=Grants)
    except FileNotFoundError:
        return Grants()
    except OSError as error:
        raise GrantsError(f"cannot read {path}: {error.strerror}", hint="This user must be able to.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise GrantsError(f"{path} is damaged: {error}", hint="Remove it, and allow again who may.") from error


def change(folder: Path, how: Callable[[Grants], Grants]) -> Grants:
    """Change the file in one step, or not at all; returns what it holds now.

    Raises:
        GrantsError: It cannot be read or written, or `how` raises it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder / (GRANTS_FILE + ".lock")):
            before = read(folder)
            after = how(before)
            if after != before:
                content = msgspec.json.format(msgspec.json.encode(after)) + b"\n"
                if len(content) > MAX_BYTES:  # it could not be read again, and nobody would be let in
                    raise GrantsError("too much has been granted", hint="Take back what nobody needs, then try again.")
                files.replace(folder / GRANTS_FILE, content, 0o600)
            return after
    except OSError as error:
        raise GrantsError(
            f"cannot write {folder / GRANTS_FILE}: {error.strerror or error}", hint="This user must be able to."
        ) from error


def signature(folder: Path) -> tuple[int, ...] | None:
    """Changes with the file; None: there is none."""
    try:
        found = (folder / GRANTS_FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def admin_secret(folder: Path, *, make: bool) -> str | None:
    """The secret of this user's administrator; None where there is none, and none is to be made, or can be.

    Args:
        folder: The state folder.
        make: Whether to make one, which the server does at its start: an old one, that somebody may have copied, ends.
    """
    path = folder / ADMIN_FILE
    if not make:
        try:
            return path.read_text("ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None
    secret = new_token()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)  # one with wider rights would keep them
        files.replace(path, secret.encode() + b"\n", 0o600)
    except OSError:
        return None
    return secret


def admin_hash(secret: str | None) -> str:
    """What the server keeps of it."""
    return hashed(secret) if secret else ""


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            msvcrt.locking(lock, msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
