"""The configuration: a TOML file becomes a frozen `Config`, or an error that says what to mend."""

from __future__ import annotations

import difflib
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import platformdirs
from msgspec import Meta, Struct

from rawprint import DIALECTS, QUERIES, AddressError, PrintQueue, RawprintError, parse_address

# An origin as browsers write it: scheme and host in small ASCII letters, a port only where it is not the scheme's own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_OWN_PORT = {"http": ":80", "https": ":443"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ConfigError(RawprintError):
    """The configuration cannot be used."""

    code = "bad-config"


class ServerConfig(Struct, frozen=True):
    """Table `[server]`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    max_message_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 32 * 1024 * 1024
    join_commands: bool = True


class PrinterConfig(Struct, frozen=True):
    """Table `[printers.NAME]`; without a dialect the printer can be printed on, not asked.

    Attributes:
        promises: Names of status questions that the printer is known to answer and would not be asked otherwise.
    """

    address: str
    dialect: str | None = None
    promises: tuple[str, ...] = ()


class AccessConfig(Struct, frozen=True):
    """Table `[access]`."""

    origins: tuple[str, ...] = ()


class Config(Struct, frozen=True):
    """A whole configuration, checked."""

    server: ServerConfig = ServerConfig()
    printers: dict[str, PrinterConfig] = {}
    access: AccessConfig = AccessConfig()


def default_path() -> Path:
    """Where the file is looked for when none is named."""
    return Path(platformdirs.user_config_dir("rawprint", appauthor=False)) / "server.toml"


def load(path: Path | None = None) -> Config:
    """Reads and checks the file.

    Args:
        path: The file; None means the default one, which may be missing: then there are no printers.

    Raises:
        ConfigError: It cannot be read, is no TOML, or says something that is not so.
    """
    try:
        file = default_path() if path is None else path
    except RuntimeError:  # a user without a home, as in a container
        return Config()
    try:
        text = file.read_text(encoding="utf-8-sig")  # Windows' Notepad begins a file with a mark
    except FileNotFoundError as error:
        if path is None:
            return Config()
        raise ConfigError(f"{file} does not exist", hint="Check the path given with --config.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {file}: {error}", hint="It must be a text file (UTF-8).") from error
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror or error}", hint="This user must be able to read the file."
        ) from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint) from error


def parse(text: str) -> Config:
    """Reads and checks a configuration from TOML text.

    Raises:
        ConfigError: It is no TOML, or says something that is not so.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}") from error
    _check_keys(data, Config, "")
    for key, table in (("server", ServerConfig), ("access", AccessConfig)):
        _check_keys(data.get(key), table, key)
    printers = data.get("printers")
    if isinstance(printers, dict):
        for name, printer in printers.items():
            _check_keys(printer, PrinterConfig, f"printers.{name}")
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_in_toml_words(str(error), data)) from error
    check(config)
    return config


def check(config: Config) -> None:
    """Checks what types cannot say: names, addresses, dialects, origins, host.

    Raises:
        ConfigError: Something is not so; the message names the key.
    """
    if config.server.host not in _LOOPBACK:
        raise ConfigError(
            f"server.host: {config.server.host!r} is not this machine's loopback address",
            hint=f"Use one of {', '.join(_LOOPBACK)}: other machines cannot be served yet.",
        )
    seen: dict[str, str] = {}
    for name, printer in config.printers.items():
        _check_printer(name, printer, seen)
    for origin in config.access.origins:
        _check_origin(origin)


def _check_printer(name: str, printer: PrinterConfig, seen: dict[str, str]) -> None:
    key = f"printers.{name}"
    if not name or name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"printers.{name!r}: a printer's name is printable text without spaces around it",
            hint='Write [printers.Label] or [printers."Front desk"].',
        )
    try:
        address = parse_address(printer.address)
        if printer.dialect is None:
            PrintQueue(printer.address)  # opens nothing; a virtual printer's address names a language of its own
    except AddressError as error:
        raise ConfigError(f"{key}.address: {error.message}", hint=error.hint) from error
    # Two queues would take the one printer away from each other; each virtual:// is a printer of its own.
    if address.scheme != "virtual":
        other = seen.setdefault(str(address), name)
        if other != name:
            raise ConfigError(
                f"{key}.address: {address} is the printer {other!r} already",
                hint="Give each printer one name.",
            )
    if printer.dialect is not None and printer.dialect not in DIALECTS:
        raise ConfigError(
            f"{key}.dialect: there is no dialect {printer.dialect!r}",
            hint=_choice(printer.dialect, DIALECTS),
        )
    questions = QUERIES.get(printer.dialect or "", ())
    for promise in printer.promises:
        if promise not in questions:
            raise ConfigError(
                f"{key}.promises: {promise!r} is no question of {printer.dialect or 'a printer without a dialect'}",
                hint=_choice(promise, questions) if questions else "Name the printer's dialect.",
            )


def _check_origin(origin: str) -> None:
    if origin == "null":
        return
    scheme = origin.partition(":")[0]
    port = origin.rpartition(":")[2]
    too_high = port.isdecimal() and int(port) > 65535
    if not _ORIGIN.fullmatch(origin) or too_high or origin.endswith(_OWN_PORT.get(scheme, "\0")):
        raise ConfigError(
            f"access.origins: {origin!r} is not an origin as browsers send it",
            hint="Write it like https://pos.example.com or http://localhost:3000: small letters, no path, no slash at "
            "the end, no wildcard, no default port.",
        )


def _check_keys(table: Any, shape: type[Struct], name: str) -> None:
    if not isinstance(table, dict):
        return  # msgspec says what it must be
    known = shape.__struct_fields__
    for key in table:
        if key not in known:
            where = f"in [{name}]" if name else "at the top"
            raise ConfigError(
                f"unknown key {key!r} {where}",
                hint=_choice(key, known),
            )


def _choice(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"There is {', '.join(known)}."


def _in_toml_words(message: str, data: dict[str, Any]) -> str:
    """`Expected `int`, got `str` - at `$.server.port`` with the key in front, as the file writes it."""
    what, _, path = message.partition(" - at ")
    key = path.strip("`").removeprefix("$.")
    if "[...]" in key:
        # msgspec does not say which printer it was.
        rest = key.partition("[...]")[2].lstrip(".")
        for name, printer in data["printers"].items():
            try:
                msgspec.convert(printer, PrinterConfig)
            except msgspec.ValidationError:
                key = ".".join(chain(("printers", name), (rest,) if rest else ()))
                break
    what = what.replace("`", "").replace("Object", "table").replace("object", "table").replace("field", "key")
    return f"{key}: {what[0].lower()}{what[1:]}" if key and key != "$" else what
