"""The configuration: a TOML file becomes a frozen `Config`, or every mistake in it with its line and its remedy."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import tomllib
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
import platformdirs
from msgspec import Meta, Struct

from rawprint import CHANNELS, DIALECTS, PROMISES, AddressError, PrintQueue, RawprintError, parse_address
from rawprint_server import text as texts
from rawprint_server import toml_lines

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from rawprint_server.toml_lines import KeyPath

MAX_FILE_BYTES = 256 * 1024  # thousands of printers
MAX_MISTAKES = 100  # more are not looked for
MAX_NAME = 200  # characters of a printer's name
MAX_ORIGIN = 300  # characters; a host has at most 253
MAX_URL = 2000  # characters
MAX_SHOWN = 80  # characters of a value that a message repeats

# An origin as browsers write it: scheme and host in small ASCII letters, a port only where it is not the scheme's own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_OWN_PORT = {"http": ":80", "https": ":443"}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # as `host`: this machine alone
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - as `host`: all addresses of this machine
# `tomllib` takes quadratic time over the parts of a key: minutes where a file is one long key.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){20}""")

_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_Kind: TypeAlias = Literal["firmware", "storage", "settings", "language", "maintenance", "unfinished"]
REFUSED: tuple[_Kind, ...] = (
    "firmware",
    "storage",
    "settings",
    "language",
    "maintenance",
    "unfinished",
)

_Millimetres: TypeAlias = Annotated[float, Meta(gt=0, le=5000)]


class Mistake(Struct, frozen=True):
    """One thing that is wrong in a file.

    Attributes:
        line: Where, from 1; None where no line is to blame.
        key: The key as TOML writes it, such as `printers.Label.address`; "" where it is no key's fault.
        message: What is wrong.
        hint: How to mend it; may be empty.
    """

    line: int | None
    key: str
    message: str
    hint: str = ""


class ConfigError(RawprintError):
    """The configuration cannot be used.

    Attributes:
        mistakes: All that is wrong in it, in the order of the file; the message is the first one's.
    """

    code = "bad-config"

    def __init__(self, message: str, *, hint: str = "", mistakes: Iterable[Mistake] = ()) -> None:
        super().__init__(message, hint=hint)
        self.mistakes = tuple(mistakes) or (Mistake(None, "", message, hint),)

    @classmethod
    def of(cls, mistakes: Sequence[Mistake], file: Path | None = None) -> ConfigError:
        """The error that tells the first of the mistakes, and how many more there are."""
        first = mistakes[0]
        place = (f"{file}: " if file else "") + (f"line {first.line}: " if first.line else "")
        more = len(mistakes) - 1
        others = f" (and {more} more mistake{'s' if more > 1 else ''})" if more else ""
        said = f"{first.key}: {first.message}" if first.key else first.message
        return cls(place + said + others, hint=first.hint, mistakes=mistakes)


class ServerConfig(Struct, frozen=True):
    """Table `[server]`; a client whose unread frames are more than `max_outbox_bytes` is cut off.

    Attributes:
        state_dir: Folder where the server keeps its jobs and what it learns of printers; None: see `state_folder`.
        durability: What an accepted job survives: "power": the end of the machine, too; "process": that of the server alone; "none": nothing,
            there is no journal.
        remember: How long an ended job, and so its id, is remembered, such as "24h".
        keep_data: How long its bytes are kept after its end; "0s": not at all. Those of an uncertain one are kept until it is settled.
        finish: How long the job in print may go on when the server is told to end; then it ends `uncertain`.
        names: By which other machines call this one, beside `host`: what may stand in Host.
        tls_cert: File with the certificate and those that vouch for it (PEM); a renewed one is taken over as the server runs.
        tls_key: File with its key (PEM); None: it is in the same file.
        insecure: Whether another host than loopback is served without TLS.
        webhook: URL that is told when a printer with jobs stops, and when it goes on.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    max_message_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 32 * 1024 * 1024
    max_outbox_bytes: Annotated[int, Meta(ge=65536, le=1 << 30)] = 8 * 1024 * 1024
    join_commands: bool = True
    state_dir: str | None = None
    durability: Literal["power", "process", "none"] = "power"
    remember: str = "24h"
    keep_data: str = "1h"
    finish: str = "5s"
    names: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    insecure: bool = False
    webhook: str | None = None


class PrinterConfig(Struct, frozen=True):
    """Table `[printers.NAME]`; without a dialect the printer can be printed on, not asked.

    Attributes:
        promises: Names of status questions that the printer is known to answer and would not be asked otherwise.
        share: Whether other computers print on it, too, so that its connection is not held; None: see `shared`.
        poll: Seconds between two questions to a shared printer while somebody looks; 0: never.
        channels: Names from `CHANNELS` that are asked beside the printer's own connection; `NAME:PORT` at another port.
        encoding: Python codec for plain text; None: UTF-8.
        profile: Its model, as python-escpos calls it, for code pages and the width of documents; None: nothing is known.
        drawer_open: The level of the drawer's pin that means open; None: unknown, so the drawer is not reported.
        expires: A job that has not begun by then is not printed any more, such as "4h"; "never": there is no such time.
        after_uncertain: When a job may have come out or not, "hold": nothing else is printed before somebody has said which; "go-on":
            the next one is; "print-marked": it is printed once more, headed as a possible copy. None: "hold" for the
            languages of label printers, "go-on" for others.
        refuse: Kinds of commands that pages may not send, unless that was granted: all that change a printer for good, and
            "unfinished", what ends inside a command, so that the printer would take the next job for its data.
        stand_in: Name of the printer, of the same language, that gets the jobs which have not begun here after `stand_in_after`.
    """

    address: str
    dialect: str | None = None
    promises: tuple[str, ...] = ()
    share: bool | None = None
    poll: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    channels: tuple[str, ...] = ()
    width_mm: _Millimetres | None = None
    height_mm: _Millimetres | None = None
    gap_mm: Annotated[float, Meta(ge=0, le=500)] | None = None
    dpi: Annotated[int, Meta(ge=100, le=1200)] | None = None
    encoding: Annotated[str, Meta(max_length=64)] | None = None
    cut: Literal["none", "partial", "full"] | None = None
    profile: Annotated[str, Meta(max_length=64)] | None = None
    drawer_open: Literal["high", "low"] | None = None
    expires: str = "4h"
    after_uncertain: Literal["hold", "go-on", "print-marked"] | None = None
    stand_in: str | None = None
    stand_in_after: str = "30s"
    refuse: tuple[_Kind, ...] = REFUSED


class AccessConfig(Struct, frozen=True):
    """Table `[access]`.

    Attributes:
        origins: Pages that may connect; those that were granted by command, dashboard or pairing come beside them.
        programs: Whether a program on this machine, which sends no Origin, may connect: "open", or by "token" alone.
        fetch: Whether images and PDFs may be named by their URL, at the page's own host, from which the server fetches them.
        networks: In which clients may print to an address that no printer of the configuration has, such as "192.168.7.0/24".
        pairing: The printer that prints the code with which a page lets itself in, or "dashboard", which shows it; None: no page can.
    """

    origins: tuple[str, ...] = ()
    programs: Literal["open", "token"] = "open"
    pairing: str | None = None
    networks: tuple[str, ...] = ()
    fetch: bool = False


class LimitsConfig(Struct, frozen=True):
    """Table `[limits]`; what goes beyond one is refused, with the code that is named there.

    Attributes:
        job_bytes: Of one job, copies included: `too-large`.
        jobs_per_minute: Of one page, or token: `rate-limited`; a program without a token is not limited.
        bytes_per_minute: As that.
        queue_jobs: That wait for one printer: `queue-full`.
        queue_bytes: As that.
        connections: Of all clients, or fewer where the system gives this process too few files: more are ended without a word.
        connections_per_origin: Of one page: close code 4429.
        pages: Of one print of documents: `document-too-large`.
        pixels: Of one image before it is scaled: as that.
        page_seconds: How long a page may take to be made: `document-timeout`.
        first_frame: How long a `rawprint.v1` client may take to its first message: close code 4408.
    """

    job_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 64 * 1024 * 1024
    jobs_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 3000
    bytes_per_minute: Annotated[int, Meta(ge=1024, le=1 << 40)] = 256 * 1024 * 1024
    queue_jobs: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    queue_bytes: Annotated[int, Meta(ge=1024, le=1 << 40)] = 256 * 1024 * 1024
    connections: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    connections_per_origin: Annotated[int, Meta(ge=1, le=100_000)] = 200
    pages: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    pixels: Annotated[int, Meta(ge=10_000, le=1_000_000_000)] = 64_000_000
    page_seconds: Annotated[float, Meta(ge=0.1, le=600)] = 20.0
    first_frame: str = "30s"


class LogConfig(Struct, frozen=True):
    """Table `[log]`; without a file the log goes to standard error. At `max_bytes` the file is rotated."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str | None = None
    json: bool = False
    max_bytes: Annotated[int, Meta(ge=65536, le=1 << 30)] = 5 * 1024 * 1024
    backups: Annotated[int, Meta(ge=1, le=100)] = 3


class AuditConfig(Struct, frozen=True):
    """Table `[audit]`; at `max_bytes` the file is rotated.

    Attributes:
        level: What is written down: "changes": what prints, opens or changes anything, and whatever is refused; "all": questions that
            are answered, too; "none": nothing, there is no file.
        file: None: see `audit_file`.
    """

    level: Literal["none", "changes", "all"] = "changes"
    file: str | None = None
    max_bytes: Annotated[int, Meta(ge=65536, le=1 << 30)] = 5 * 1024 * 1024
    backups: Annotated[int, Meta(ge=1, le=100)] = 5


class Config(Struct, frozen=True):
    """A whole configuration, checked."""

    server: ServerConfig = ServerConfig()
    printers: dict[str, PrinterConfig] = {}
    access: AccessConfig = AccessConfig()
    limits: LimitsConfig = LimitsConfig()
    log: LogConfig = LogConfig()
    audit: AuditConfig = AuditConfig()


def shared(printer: PrinterConfig) -> bool:
    """Whether the printer's connection is left to others when it is idle: by default where it is in the network."""
    return parse_address(printer.address).scheme == "tcp" if printer.share is None else printer.share


def seconds(text: str) -> float | None:
    """A time such as "30s", "10m", "4h" or "7d"; None for "never".

    Raises:
        ValueError: It is none, or longer than 1,000 days.
    """
    if text == "never":
        return None
    found = _TIME.fullmatch(text)
    if found is None or (value := float(found[1]) * _UNITS[found[2]]) > 1000 * 86400:
        raise ValueError(text)
    return value


def origin_fault(origin: str) -> tuple[str, str] | None:
    """What is wrong with an origin that a page is to be allowed by, and how to mend it; None: it is one. `null` is one, too."""
    if is_origin(origin):
        return None
    return f"{_shown(origin)} is not an origin as browsers send it", (
        "Write it like https://pos.example.com or http://localhost:3000: small letters, no path, no slash at "
        "the end, no wildcard, no default port."
    )


def default_path() -> Path:
    """Where the file is looked for when none is named.

    Raises:
        RuntimeError: The user has no home, as in a container.
    """
    return Path(platformdirs.user_config_dir("rawprint", appauthor=False)) / "server.toml"


def state_folder(config: Config) -> Path | None:
    """Where the server keeps what it learns of printers, over restarts; None where the user has no home for it."""
    if config.server.state_dir is not None:
        return Path(config.server.state_dir)
    try:
        return Path(platformdirs.user_state_dir("rawprint", appauthor=False))
    except RuntimeError:
        return None


def audit_file(config: Config) -> Path | None:
    """Where the audit log is; None where there is none, as wanted or because the user has no folder for it."""
    if config.audit.level == "none":
        return None
    if config.audit.file is not None:
        return Path(config.audit.file).expanduser()
    folder = state_folder(config)
    return None if folder is None else folder / "audit.log"


def load(path: Path | None = None) -> Config:
    """Reads and checks the file.

    Args:
        path: The file; None means the default one, which may be missing: then there are no printers.

    Raises:
        ConfigError: It cannot be read, is no TOML, or says something that is not so.
    """
    try:
        file = default_path() if path is None else path
    except RuntimeError:
        return Config()
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")  # Windows' Notepad begins a file with a mark
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
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{file} has more than {MAX_FILE_BYTES} bytes", hint="Is it the right file?")
    return parse(text, file)


def parse(text: str, file: Path | None = None) -> Config:
    """Reads and checks a configuration from TOML text; the file is named in the error.

    Raises:
        ConfigError: It is no TOML, or says something that is not so.
    """
    data, mistakes = _examine(text)
    if mistakes:
        raise ConfigError.of(mistakes, file)
    return msgspec.convert(data, Config)


def find_mistakes(text: str) -> list[Mistake]:
    """Everything that is wrong in a configuration, in the order of the text; at most `MAX_MISTAKES`."""
    return _examine(text)[1]


def check(config: Config) -> None:
    """Checks a configuration that was not read from a file, or has been changed since.

    Raises:
        ConfigError: Something is not so; the message names the key.
    """
    if mistakes := [_mistake(None, fault) for fault in islice(_faults(_written(config)), MAX_MISTAKES)]:
        raise ConfigError.of(mistakes)


def _written(value: Any) -> Any:
    """A configuration as the data that TOML would hold: no null, a key is left out instead."""
    if isinstance(value, Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def _examine(text: str) -> tuple[dict[str, Any], list[Mistake]]:
    lines = text.count("\n") + 1
    if key := _LONG_KEY.search(text):
        return {}, [Mistake(text.count("\n", 0, key.start()) + 1, "", "a key of more than 20 parts")]
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return {}, [Mistake(None, "", "not TOML: it is nested too deeply")]
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        said = str(error)
        at = re.search(r" \(at (?:line (\d+), (column \d+)|end of document)\)$", said)
        line = None if at is None else min(int(at[1] or lines), lines)
        where = f" (at {at[2]})" if at and at[2] else ""
        return {}, [Mistake(line, "", f"not TOML: {(said[: at.start()] if at else said)[:200]}{where}")]
    faults = list(islice(_faults(data), MAX_MISTAKES))
    found = toml_lines.places(text) if faults else {}
    mistakes = [_mistake(toml_lines.line_of(found, fault.path), fault) for fault in faults]
    return data, sorted(mistakes, key=lambda mistake: mistake.line or lines + 1)


# -- what is wrong ---------------------------------------------------------------------------------------------


class _Fault(NamedTuple):
    path: KeyPath
    message: str
    hint: str = ""


def _mistake(line: int | None, fault: _Fault) -> Mistake:
    return Mistake(line, _dotted(fault.path), fault.message, fault.hint)


def _dotted(path: KeyPath) -> str:
    parts = [part if re.fullmatch("[A-Za-z0-9_-]+", part) else _quoted(part) for part in path if isinstance(part, str)]
    return ".".join(part if len(part) <= MAX_SHOWN else part[:MAX_SHOWN] + "..." for part in parts)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=not name.isprintable())


def _shown(value: str) -> str:
    return repr(value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "...")


def _faults(data: dict[str, Any]) -> Iterator[_Fault]:
    """Everything that is wrong in the data of a whole file."""
    yield from _unknown_keys((), data, Config.__struct_fields__)
    if "server" in data:
        yield from _check_server((yield from _table(("server",), data["server"], ServerConfig)))
    if "access" in data:
        access = yield from _table(("access",), data["access"], AccessConfig)
        yield from _check_access(access, data.get("printers"))
    if "limits" in data:
        limits = yield from _table(("limits",), data["limits"], LimitsConfig)
        yield from _check_time(("limits", "first_frame"), limits.get("first_frame"), never=True)
    if "log" in data:
        yield from _check_log((yield from _table(("log",), data["log"], LogConfig)))
    if "audit" in data:
        yield from _check_audit((yield from _table(("audit",), data["audit"], AuditConfig)), data.get("log"))
    printers = data.get("printers", {})
    if not isinstance(printers, dict):
        yield _Fault(("printers",), _type_fault(printers, dict), "Write [printers.NAME] for each printer.")
        return
    seen: dict[str, str] = {}
    for name, table in printers.items():
        path = ("printers", name)
        if not 0 < len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
            yield _Fault(
                path,
                f"a printer's name is printable text, at most {MAX_NAME} characters, without spaces around it",
                'Write [printers.Label] or [printers."Front desk"].',
            )
        yield from _check_printer(name, (yield from _table(path, table, PrinterConfig)), seen)
    yield from _check_stand_ins(printers)


def _check_stand_ins(printers: dict[str, Any]) -> Iterator[_Fault]:
    tables = {name: table for name, table in printers.items() if isinstance(table, dict)}
    for name, table in tables.items():
        other = table.get("stand_in")
        if not isinstance(other, str):
            continue
        path = ("printers", name, "stand_in")
        if other not in tables or other == name:
            near = difflib.get_close_matches(other, [each for each in tables if each != name], 1)
            yield _Fault(
                path, f"{_shown(other)} is no other printer's name", f"Did you mean {near[0]!r}?" if near else ""
            )
        elif table.get("dialect") != tables[other].get("dialect"):
            yield _Fault(path, f"{_shown(other)} has another dialect", "A stand-in must understand the same jobs.")


def _table(path: KeyPath, table: Any, shape: type[Struct]) -> Generator[_Fault, None, dict[str, Any]]:
    """Yields what is wrong with the keys and types of a table; returns its values, None for one that does not fit.

    An array is returned as it stands, the elements that are no text with it.
    """
    if not isinstance(table, dict):
        yield _Fault(path, _type_fault(table, dict))
        return {}
    guessed = yield from _unknown_keys(path, table, shape.__struct_fields__)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        here = (*path, field.name)
        if field.name not in table:
            if field.required and field.name not in guessed:
                yield _Fault(path, f"the key {field.name!r} is missing")
            continue
        value = table[field.name]
        if get_origin(field.type) is tuple and isinstance(value, list):
            for index, item in enumerate(value):
                if not isinstance(item, str):
                    yield _Fault((*here, index), _type_fault(item, str))
        elif message := _type_fault(value, field.type):
            yield _Fault(here, message, _type_hint(value, field.type))
            value = None
        values[field.name] = value
    return values


def _unknown_keys(path: KeyPath, table: dict[str, Any], known: Sequence[str]) -> Generator[_Fault, None, set[str]]:
    """Yields the unknown keys; returns the known ones that they may have been meant to be."""
    where = f"in [{_dotted(path)}]" if path else "at the top"
    guessed = set()
    for key in table:
        if key not in known:
            guessed.update(_nearest(key, known))
            yield _Fault((*path, key), f"unknown key {_shown(key)} {where}", _choice(key, known))
    return guessed


def _type_fault(value: Any, type: Any) -> str:
    """What is wrong with a value's type or range, in the words of TOML; "" where it fits."""
    try:
        msgspec.convert(value, _set(type))
    except msgspec.ValidationError as error:
        if choices := _choices(value, type):
            return f"{_shown(value)} is not one of {', '.join(choices)}"
        what = str(error).partition(" - at ")[0].replace("`", "").replace("object", "table").replace("float", "number")
        return f"{what[0].lower()}{what[1:]}"
    return ""


def _type_hint(value: Any, type: Any) -> str:
    return _choice(value, choices) if (choices := _choices(value, type)) else ""


def _choices(value: Any, type: Any) -> tuple[str, ...]:
    return get_args(_set(type)) if isinstance(value, str) and get_origin(_set(type)) is Literal else ()


def _set(type: Any) -> Any:
    """The type without None: TOML has no null."""
    rest = [part for part in get_args(type) if part is not NoneType]
    return rest[0] if NoneType in get_args(type) and len(rest) == 1 else type


def _check_server(values: dict[str, Any]) -> Iterator[_Fault]:
    host = values.get("host", LOOPBACK[0])
    if host is not None and host not in LOOPBACK:
        yield from _check_host(host)
        if values.get("tls_cert") is None and values.get("insecure") is not True:
            yield _Fault(
                ("server", "host"),
                f"{_shown(host)} is not this machine's loopback address, and there is no certificate",
                "Write tls_cert (and tls_key), or use 127.0.0.1; insecure = true where whoever hears the network may print.",
            )
    for index, name in enumerate(values.get("names") or ()):
        if isinstance(name, str) and not _NAME.fullmatch(name):
            yield _Fault(
                ("server", "names", index),
                f"{_shown(name)} is no name of a machine",
                "Write it in small letters, like till.shop.lan: no scheme, no port.",
            )
        elif isinstance(name, str) and name.startswith("[") and (said := _fault_of_address(name[1:-1])):
            yield _Fault(("server", "names", index), f"{_shown(name)} {said}", "Browsers write an address in one way.")
    if values.get("tls_key") is not None and values.get("tls_cert") is None:
        yield _Fault(("server", "tls_key"), "there is a key and no certificate", "Write tls_cert, too.")
    for key in ("tls_cert", "tls_key"):
        yield from _check_path(("server", key), values, "file", "Leave it out for a server on loopback.")
    if (webhook := values.get("webhook")) is not None and not _is_url(webhook):
        yield _Fault(
            ("server", "webhook"),
            f"{_shown(webhook)} is no URL that can be called",
            "Write it like https://alarm.example.com/print: http or https, no user name, no fragment.",
        )
    for key in ("remember", "keep_data", "finish"):
        yield from _check_time(("server", key), values.get(key))
    yield from _check_path(("server", "state_dir"), values, "folder", "Leave it out for this user's own folder.")


def _is_url(text: str) -> bool:
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.fragment and port != 0
    return parts.scheme in _OWN_PORT and bool(parts.hostname) and plain


def _check_host(host: str) -> Iterator[_Fault]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        yield _Fault(
            ("server", "host"),
            f"{_shown(host)} is no IP address of this machine",
            f"Use one of {', '.join(LOOPBACK)}, or the address at which other machines reach this one.",
        )
        return
    if said := _fault_of_address(host):
        yield _Fault(("server", "host"), f"{_shown(host)} {said}", "Browsers write an address in one way.")


def _fault_of_address(text: str) -> str:
    """What is wrong with an address for a Host header, which is compared as it stands; "" where nothing is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is no address"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return "names an interface, which no page's address can"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return f"is {address.ipv4_mapped}"
    return "" if str(address) == text else f"is {str(address)!r} in short"


def _check_time(path: KeyPath, value: object, *, never: bool = False) -> Iterator[_Fault]:
    if value is None:
        return
    try:
        fits = seconds(str(value)) is not None or never
    except ValueError:
        fits = False
    if not fits:
        yield _Fault(path, f"{_shown(str(value))} is no time", 'Write it like "30s", "10m", "4h" or "7d".')


def _check_access(values: dict[str, Any], printers: Any) -> Iterator[_Fault]:
    pairing = values.get("pairing")
    if isinstance(pairing, str) and pairing != "dashboard":
        table = printers.get(pairing) if isinstance(printers, dict) else None
        if table is None:
            yield _Fault(
                ("access", "pairing"), f"no printer is named {_shown(pairing)}", 'Name a printer, or write "dashboard".'
            )
        elif isinstance(table, dict) and "dialect" not in table:
            yield _Fault(
                ("access", "pairing"), f"{_shown(pairing)} has no dialect to print a code in", "Write its dialect."
            )
    for index, network in enumerate(values.get("networks") or ()):
        try:
            ipaddress.ip_network(str(network))
        except ValueError as error:
            yield _Fault(("access", "networks", index), f"no network: {error}", "Write it like 192.168.7.0/24.")
    for index, origin in enumerate(values.get("origins") or ()):
        if isinstance(origin, str) and (fault := origin_fault(origin)):
            yield _Fault(("access", "origins", index), *fault)


def is_origin(origin: str) -> bool:
    """Whether it is an origin as browsers send it, `null` included."""
    if origin == "null":
        return True
    if len(origin) > MAX_ORIGIN:
        return False
    port = origin.rpartition(":")[2]
    too_high = port.isdecimal() and int(port[:6]) > 65535
    own_port = origin.endswith(_OWN_PORT.get(origin.partition(":")[0], "\0"))
    return _ORIGIN.fullmatch(origin) is not None and not too_high and not own_port


def _check_log(values: dict[str, Any]) -> Iterator[_Fault]:
    yield from _check_path(("log", "file"), values, "file", "Leave it out to log to standard error.")


def _check_audit(values: dict[str, Any], log: Any) -> Iterator[_Fault]:
    yield from _check_path(("audit", "file"), values, "file", "Leave it out for audit.log in the state folder.")
    if (file := values.get("file")) is not None and isinstance(log, dict) and log.get("file") == file:
        yield _Fault(("audit", "file"), f"{_shown(file)} is the log's file already", "Give each a file of its own.")


def _check_path(path: KeyPath, values: dict[str, Any], what: str, hint: str) -> Iterator[_Fault]:
    name = values.get(str(path[-1]))
    if name is not None and (not name.strip() or not name.isprintable()):
        yield _Fault(path, f"{_shown(name)} is no {what} name", hint)


def _check_printer(name: str, values: dict[str, Any], seen: dict[str, str]) -> Iterator[_Fault]:
    path = ("printers", name)
    yield from _check_time((*path, "expires"), values.get("expires"), never=True)
    yield from _check_time((*path, "stand_in_after"), values.get("stand_in_after"))
    dialect = values.get("dialect", "")  # None: not even text
    scheme = ""
    if (text := values.get("address")) is not None:
        try:
            address = parse_address(text)
            if not dialect:
                PrintQueue(text)  # opens nothing; a virtual printer's address names a language of its own
        except AddressError as error:
            yield _Fault((*path, "address"), error.message, error.hint)
        else:
            scheme = address.scheme
            # Two queues would take the one printer away from each other; each virtual:// is a printer of its own.
            if scheme != "virtual" and (other := seen.setdefault(str(address), name)) != name:
                yield _Fault(
                    (*path, "address"),
                    f"{address} is the printer {_shown(other)} already",
                    "Give each printer one name.",
                )
    if dialect and dialect not in DIALECTS:
        yield _Fault((*path, "dialect"), f"there is no dialect {_shown(dialect)}", _choice(dialect, DIALECTS))
    elif dialect is not None:
        yield from _check_words(
            (*path, "promises"),
            values.get("promises"),
            PROMISES.get(dialect, ()),
            f"no question of {dialect or 'a printer without a dialect'}",
            "It has none." if dialect else "Name the printer's dialect.",
        )
    channels = [_channel_name(word) for word in values.get("channels") or []]
    yield from _check_words((*path, "channels"), channels, CHANNELS, "no channel", "There are none.")
    if channels and scheme not in {"", "tcp"}:
        yield _Fault((*path, "channels"), f"a printer at {scheme}:// has no channels", "They are for tcp:// addresses.")
    if 0 < (values.get("poll") or 0) < 1:
        yield _Fault((*path, "poll"), "more than once a second is too often", "Write 1 or more, or 0 for never.")
    if (encoding := values.get("encoding")) is not None:
        try:
            texts.codec(encoding)
        except texts.BadText as error:
            yield _Fault((*path, "encoding"), error.message, error.hint)


def _check_words(
    path: KeyPath, words: list[Any] | None, known: Sequence[str], no: str, none_known: str
) -> Iterator[_Fault]:
    """An array of known words, each of them once."""
    words = words or []
    for index, word in enumerate(words):
        if not isinstance(word, str):
            continue  # said already
        if word not in known:
            yield _Fault((*path, index), f"{_shown(word)} is {no}", _choice(word, known) if known else none_known)
        elif word in words[:index]:
            yield _Fault((*path, index), f"{_shown(word)} is there twice")


def _channel_name(word: Any) -> Any:
    """`snmp` of `snmp:1161`; anything else as it is."""
    name, _, port = word.partition(":") if isinstance(word, str) else (word, "", "")
    return name if port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535 else word


def _nearest(word: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(word[:MAX_SHOWN].lower(), known, n=1, cutoff=0.5)


def _choice(word: str, known: Sequence[str]) -> str:
    near = _nearest(word, known)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"There is {', '.join(known)}."
