"""The managed policy that lets pages reach this computer without the browser's question: Chromium's and its kin's files.

Since version 147 a page from the internet needs its user's permission to open ws://localhost (Local Network Access). The
policy gives that permission beforehand; the server's own list of origins stays as it is.

- `LoopbackNetworkAllowedForUrls` (146 and newer) is enough: earlier versions let a WebSocket through anyway. The older
  `LocalNetworkAccessAllowedForUrls` (139 and newer) would open the whole local network to the page, and is not written.
- A pattern without a port allows every port of its host (measured, Chromium 156), so each is written with its own.
- Where several files set the same policy, the whole list of the last one by name counts, alone (measured).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rawprint import RawprintError
from rawprint_server import files
from rawprint_server.config import ConfigError, origin_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY = "LoopbackNetworkAllowedForUrls"
FILE = "rawprint.json"
MAX_FILE_BYTES = 1024 * 1024  # of a policy file that is looked into; thousands of origins
MAX_FILES = 1000  # files of a folder that are looked into
RELOAD = "A browser that runs takes it over at chrome://policy (Reload policies), or when it is started again."
# Measured with Chromium 156: the policy does not help an http page, which may not even ask.
INSECURE = "A page from the internet reaches this computer by https alone; for one of http this changes nothing."

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class PolicyError(RawprintError):
    """The policy files cannot be used or changed. What was written before stays; each file is whole."""

    code: ClassVar[str] = "policy"


class PolicyDenied(PolicyError):
    """Only another user, an administrator, may read or change them."""

    code: ClassVar[str] = "access-denied"


class _Browser(NamedTuple):
    folder: str  # of its managed policies
    signs: tuple[str, ...] = ()  # paths of which one is there where it is installed; none: it is served anyway


# Chromium's folder was tried; Chrome's is from support.google.com/chrome/a/answer/9027408, the Flatpak's from the README of
# github.com/flathub/org.chromium.Chromium (a Policy extension). Those of Edge, of Brave, and /etc/chromium-browser (Ubuntu's
# snap, Raspberry Pi OS) are where other installers put theirs; not tried.
_BROWSERS = (
    _Browser("/etc/chromium/policies/managed"),
    _Browser("/etc/opt/chrome/policies/managed"),
    _Browser("/etc/chromium-browser/policies/managed", ("/etc/chromium-browser", "/snap/chromium")),
    _Browser("/etc/opt/edge/policies/managed", ("/etc/opt/edge", "/opt/microsoft/msedge")),
    _Browser("/etc/brave/policies/managed", ("/etc/brave", "/opt/brave.com")),
    _Browser(
        f"/var/lib/flatpak/extension/org.chromium.Chromium.Policy.rawprint/{platform.machine()}/1/policies/managed",
        ("/var/lib/flatpak/app/org.chromium.Chromium",),
    ),
)
_WINDOWS = (r"Google\Chrome", r"Microsoft\Edge", "Chromium")
_MAC = ("com.google.Chrome", "com.microsoft.Edge", "org.chromium.Chromium")


def folders() -> list[Path]:
    """Where Linux' browsers look for policies: Chromium, Chrome, and those others that are installed."""
    return [Path(folder) for folder, signs in _BROWSERS if not signs or any(Path(sign).exists() for sign in signs)]


def patterns(origins: Iterable[str]) -> list[str]:
    """The origins as the policy names them: sorted, each once, each with its port.

    Raises:
        ConfigError: One is no origin as browsers send it, or is `null`, which a policy cannot name.
    """
    return sorted({_pattern(origin) for origin in origins})


def _pattern(origin: str) -> str:
    if fault := origin_fault(origin):
        raise ConfigError(fault[0], hint=fault[1])
    if origin == "null":
        raise ConfigError("a policy cannot name the origin 'null'", hint="Serve the page from a web server.")
    scheme, _, rest = origin.partition("://")
    has_port = ":" in rest.rpartition("]")[2]
    return origin if has_port or scheme not in _PORTS else f"{origin}:{_PORTS[scheme]}"


def text(allowed: Sequence[str]) -> str:
    """The whole content of a policy file."""
    return json.dumps({KEY: list(allowed)}, indent=2) + "\n"


def write(origins: Iterable[str], into: Sequence[Path]) -> dict[Path, int]:
    """Adds the origins to our file in each of the folders, which are made; no other file is touched.

    Returns:
        How many origins each file lists now.

    Raises:
        ConfigError: One of them is no origin.
        PolicyDenied: This user may not.
        PolicyError: Our file holds what this never wrote, or another file sets the same policy.
    """
    wanted = patterns(origins)
    lists = {folder / FILE: sorted({*_listed(folder / FILE), *wanted}) for folder in into}
    for folder in into:  # nothing is written where not all can be
        _refuse_rivals(folder)
    for file, allowed in lists.items():
        _put(file, allowed)
    return {file: len(allowed) for file, allowed in lists.items()}


def remove(origins: Iterable[str], out_of: Sequence[Path]) -> dict[Path, int]:
    """Takes the origins out of our file in each of the folders, or, where none is named, the file itself away.

    Returns:
        How many origins each file that was there lists now; one that lists none is gone.

    Raises:
        ConfigError: One of them is no origin.
        PolicyDenied: This user may not.
        PolicyError: Our file holds what this never wrote, and origins were named.
    """
    gone = patterns(origins)
    there = [folder / FILE for folder in out_of if os.path.lexists(folder / FILE)]
    lists = {file: [one for one in _listed(file) if one not in gone] if gone else [] for file in there}
    for file, allowed in lists.items():
        if allowed:
            _put(file, allowed)
        else:
            with _explained(file, "remove"):
                file.unlink()
    return {file: len(allowed) for file, allowed in lists.items()}


def instructions(allowed: Sequence[str], system: str = sys.platform) -> str:
    """What an administrator sets by hand where this writes nothing: on Windows and macOS."""
    if system == "win32":
        lines = [
            "Windows: in an administrator's command prompt (where values are there already, go on with the next number)"
        ]
        for product in _WINDOWS:
            lines += [
                rf'    reg add "HKLM\SOFTWARE\Policies\{product}\{KEY}" /v {number} /t REG_SZ /d "{one}" /f'
                for number, one in enumerate(allowed, 1)
            ]
        return "\n".join([*lines, "or by group policy: Google Chrome or Microsoft Edge, " + KEY + "."])
    strings = "".join(f"<string>{one}</string>" for one in allowed)
    quoted = " ".join(map(shlex.quote, allowed))
    return "\n".join(
        [
            f"macOS: in a configuration profile, for each of {', '.join(_MAC)}",
            f"    <key>{KEY}</key><array>{strings}</array>",
            "or, for a trial, since the next start of a Mac without device management may undo it (it replaces the list)",
            *(f'    sudo defaults write "/Library/Managed Preferences/{each}" {KEY} -array {quoted}' for each in _MAC),
        ]
    )


def _listed(file: Path) -> list[str]:
    """What our file lists; nothing where there is none.

    Raises:
        PolicyDenied: This user may not read it.
        PolicyError: It holds something else, which is nobody's to throw away but a person's.
    """
    if not os.path.lexists(file):
        return []
    try:
        with _explained(file, "read"):
            data: Any = json.loads(_read(file))
    except (ValueError, RecursionError) as error:
        raise _strange(file, str(error)) from error
    allowed = data.get(KEY) if isinstance(data, dict) and set(data) == {KEY} else None
    if not isinstance(allowed, list):
        raise _strange(file, f"it is not the list {KEY} alone")
    for one in allowed:
        if not isinstance(one, str) or not one.isascii() or not one.isprintable() or "://" not in one or "*" in one:
            raise _strange(file, f"{str(one)[:80]!r} in it is no origin")
    return sorted(set(allowed))


def _read(file: Path) -> bytes:
    """What a policy file holds; links are not followed, and devices not read.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no plain file, or too long.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(file, flags), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ValueError("it is no plain file")
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
    return content


def _refuse_rivals(folder: Path) -> None:
    """Either our list would put another file's out of force, or that one ours: a person has to join them."""
    try:
        others = sorted(each for each in folder.iterdir() if each.name != FILE)[:MAX_FILES]
    except OSError:  # it is made later, or that says what is wrong
        return
    for other in others:
        if _sets_it(other):
            raise PolicyError(
                f"{other} sets {KEY} already, and a browser takes the list of one file alone",
                hint=f"Add the origins to that file, or move its list into {folder / FILE}.",
            )


def _sets_it(file: Path) -> bool:
    try:
        content = _read(file)
    except (OSError, ValueError):
        return False
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return KEY.encode() in content  # browsers take commas and comments that JSON does not have
    return isinstance(data, dict) and KEY in data


def _put(file: Path, allowed: Sequence[str]) -> None:
    """Browsers run as other users: whatever the umask is, they must be able to read it."""
    with _explained(file, "write"):
        _make(file.parent)
        files.replace(file, text(allowed).encode(), 0o644)
        file.chmod(0o644)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


@contextlib.contextmanager
def _explained(file: Path, what: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise _denied(file, what) from error
    except OSError as error:
        raise PolicyError(
            f"cannot {what} {file}: {error.strerror or error}", hint="It must be a plain file in a folder."
        ) from error


def _denied(file: Path, what: str) -> PolicyDenied:
    return PolicyDenied(f"this user may not {what} {file}", hint="Only an administrator may change browsers' policies.")


def _strange(file: Path, why: str) -> PolicyError:
    return PolicyError(
        f"{file} was not written by this command: {why}", hint="Look at it, and move it away or remove it."
    )
