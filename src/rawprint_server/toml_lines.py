"""Where the keys of a TOML file stand: `tomllib` tells no lines."""

from __future__ import annotations

import re
import tomllib
from typing import Any, TypeAlias

KeyPath: TypeAlias = "tuple[str | int, ...]"
"""Keys and indices of arrays, from the top."""

_DEPTH = 4  # no path of this file is longer: printers, NAME, key, index
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|"(?:\\.|[^"\\\n])*"'  # text, of one line or several
    r"|'''.*?'''+|'[^'\n]*'"
    r"|#[^\n]*|[ \t\r]+"
    r"|[\n\[\]{},=]"
    r"""|[^\s\[\]{},="'#]+|.""",
    re.DOTALL,
)


def line_of(found: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of what the path names, else of the nearest thing around it."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path)


def places(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key and every element of an array in TOML text that `tomllib` accepts.

    `tomllib` tells no lines. This reads no values, only where they begin, and leaves the reading of keys to `tomllib`.
    """
    found: dict[KeyPath, int] = {}
    line = 1
    table: KeyPath = ()  # of the last header
    open_: list[tuple[str, KeyPath, int]] = []  # brackets around here: which, path of what is in it, elements so far
    key = ""  # text of the key or header that is being read
    key_line = 1
    path: KeyPath = ()  # of the value that is being read
    reading = "key"

    def place(path: KeyPath, line: int) -> None:
        for end in range(1, min(len(path), _DEPTH) + 1):
            found.setdefault(path[:end], line)

    for match in _TOKEN.finditer(text + "\n"):
        part = match[0]
        here, line = line, line + part.count("\n")
        if part[0] in "# \t\r":
            continue
        if part == "\n" and not open_:
            if key.startswith("[") and reading == "key":
                table = _read_key(key.strip("[]"))[:_DEPTH]
                place(table, key_line)
            key, reading = "", "key"
        elif part == "\n":
            continue
        elif reading == "key" and part == "=":
            path = ((open_[-1][1] if open_ else table) + _read_key(key))[:_DEPTH]
            place(path, key_line)
            key, reading = "", "value"
        elif reading == "key" and not (open_ and part in "}]"):
            key_line = key_line if key else here
            key += part
        elif part in "]}":
            if open_:
                open_.pop()
            reading = "value"
        elif part == ",":
            if open_:
                kind, path, count = open_.pop()
                open_.append((kind, path, count + 1))
                key, reading = "", "value" if kind == "[" else "key"
        else:
            if open_ and open_[-1][0] == "[":
                path = (*open_[-1][1], open_[-1][2])[:_DEPTH]
                place(path, here)
            if part in "[{":
                open_.append((part, path, 0))
                key, reading = "", "value" if part == "[" else "key"
    return found


def _read_key(text: str) -> KeyPath:
    """The parts of a key; none where it is no key."""
    path: list[str] = []
    try:
        value: Any = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        return ()
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        path.append(name)
    return tuple(path)
