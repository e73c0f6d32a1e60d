"""Changes the printers of a configuration file, and nothing else in it: comments, order and spelling stay as they are."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from rawprint_server import files
from rawprint_server.config import Config, ConfigError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# A table's header: spaces and quotes may stand around the names, and a comment behind.
_HEADER = re.compile(r"^[ \t]*\[([^\[\]\n]*(?:\"[^\"\n]*\"[^\[\]\n]*|'[^'\n]*'[^\[\]\n]*)*)\][ \t]*(?:#.*)?$")
_ANY_HEADER = re.compile(r"^[ \t]*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_BY_HAND = "change it by hand: it is not written as a table [printers.NAME] of its own"


def add(text: str, name: str, values: Mapping[str, Any]) -> str:
    """The text with one more printer at its end.

    Raises:
        ConfigError: There is one of that name, or the result would be no configuration.
    """
    if name in _printers(text):
        raise ConfigError(f"there is a printer {name!r} already", hint="Choose another name, or remove that one first.")
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [f"[printers.{_key(name)}]", *(f"{key} = {_value(value)}" for key, value in values.items())]
    before = text if not text or text.endswith("\n") else text + end
    return _checked(
        before + (end if before else "") + end.join(lines) + end, {**_printers(text), name: dict(values)}, text
    )


def remove(text: str, name: str) -> str:
    """The text without a printer: its header and what stands up to the next one; comments above that are the next one's.

    Raises:
        ConfigError: There is none of that name, or it is written in a way that this cannot change.
    """
    lines, at, end = _table(text, name)
    while end > at + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    rest = {key: value for key, value in _printers(text).items() if key != name}
    return _checked("".join([*lines[:at], *lines[end:]]), rest, text)


def rename(text: str, name: str, new: str) -> str:
    """The text with another name in the header of a printer.

    Raises:
        ConfigError: There is none of that name, one of the new, or it is written in a way that this cannot change.
    """
    if new in _printers(text):
        raise ConfigError(f"there is a printer {new!r} already", hint="Choose another name.")
    lines, at, _ = _table(text, name)
    found = _HEADER.match(lines[at].rstrip("\r\n"))
    assert found is not None
    lines[at] = lines[at][: found.start(1)] + f"printers.{_key(new)}" + lines[at][found.end(1) :]
    renamed = {new if key == name else key: value for key, value in _printers(text).items()}
    return _checked("".join(lines), renamed, text)


def change(file: Path, how: Callable[[str], str]) -> Config:
    """Change a file in one step, or not at all; it is made where there is none. Returns the configuration that it holds now.

    Raises:
        ConfigError: It cannot be read or written, or what is in it is no configuration, before or after.
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {file}: {error}", hint="It must be a text file that this user may read."
        ) from error
    mark = "\ufeff" if text.startswith("\ufeff") else ""  # as Windows' Notepad begins a file
    text = text.removeprefix(mark)
    parse(text, file)
    text = how(text)
    config = parse(text, file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, (mark + text).encode())
    except OSError as error:
        raise ConfigError(
            f"cannot write {file}: {error.strerror or error}", hint="This user must be able to write it."
        ) from error
    return config


def read_value(text: str) -> Any:
    """What stands behind `key=` on a command line: TOML where it is that, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}\n")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        return text


def _printers(text: str) -> dict[str, Any]:
    printers = tomllib.loads(text).get("printers", {})
    return dict(printers) if isinstance(printers, dict) else {}


def _table(text: str, name: str) -> tuple[list[str], int, int]:
    """The lines, and where the table of that printer begins and ends."""
    if name not in _printers(text):
        known = ", ".join(_printers(text)) or "none"
        raise ConfigError(f"there is no printer {name!r}", hint=f"There is {known}.")
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines):
        found = _HEADER.match(line.rstrip("\r\n"))
        if found and _path(found[1]) == ["printers", name]:
            end = next((n for n in range(at + 1, len(lines)) if _ANY_HEADER.match(lines[n])), len(lines))
            return lines, at, end
    raise ConfigError(f"the printer {name!r} cannot be changed here", hint=_BY_HAND)


def _path(header: str) -> list[str]:
    """The keys that a header names."""
    try:
        at: Any = tomllib.loads(f"[{header}]")
    except tomllib.TOMLDecodeError:
        return []
    path = []
    while isinstance(at, dict) and len(at) == 1:
        key, at = next(iter(at.items()))
        path.append(key)
    return path


def _checked(text: str, printers: Mapping[str, Any], before: str) -> str:
    """The text, if it says what it should and all else as before.

    Lines were changed without reading all of TOML: text of several lines may look like a header.

    Raises:
        ConfigError: It does not.
    """
    wanted = {key: value for key, value in tomllib.loads(before).items() if key != "printers"}
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("the file cannot be changed here", hint=_BY_HAND) from error
    if data.pop("printers", {}) != printers or data != wanted:
        raise ConfigError("the file cannot be changed here", hint=_BY_HAND)
    return text


def _key(name: str) -> str:
    return name if _BARE.match(name) else _value(name)


def _value(value: Any) -> str:
    """A value as TOML writes it: text, numbers, true and false, and arrays of them."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # JSON's text is TOML's, but for DEL, which TOML wants escaped, and for surrogates, which it does not know.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise ConfigError(f"a value that cannot be written here: {value!r}", hint=_BY_HAND)
