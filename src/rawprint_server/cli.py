"""The command `rawprint-server`: arguments, signals, one line on standard output, exit codes.

Exit codes: 0 ended by a signal, or `check` found no mistake; 2 wrong arguments or configuration; 3 the port cannot be
listened on, another server has the folder of jobs, or the browsers' policy cannot be written.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import shlex
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

from rawprint import JournalTaken, __version__
from rawprint_server import access_cli, edit, toml_lines
from rawprint_server.adding import ConfigFile
from rawprint_server.app import App, ListenError
from rawprint_server.certificate import certificate_of
from rawprint_server.config import (
    Config,
    ConfigError,
    LogConfig,
    Mistake,
    PrinterConfig,
    check,
    default_path,
    load,
    state_folder,
)
from rawprint_server.grants import GrantsError
from rawprint_server.logs import Logs
from rawprint_server.reload import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)

DEMO_PRINTERS = {"Label": "tspl", "Receipt": "escpos"}  # name -> dialect


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until a signal ends it, or checks its configuration; returns the exit code."""
    args = _arguments().parse_args(argv)
    if args.command == "check":
        return _check(args.config, as_json=args.json)
    if args.command == "printers":
        return _printers(args)
    if args.command in {"access", "dashboard"}:
        try:
            return access_cli.run(args)
        except (ConfigError, GrantsError) as error:
            return _fail(2, error.message, error.hint)
    if args.command == "policy":
        return _policy(args, sys.argv[1:] if argv is None else argv)
    try:
        with ExitStack() as stack:
            # The demo has nothing to do with the file of this user, unless that is named.
            loaded = Config() if args.demo and args.config is None else load(args.config)
            logs = stack.enter_context(Logs(_lay_over(loaded, args, {}).log))
            demo = _demo_printers(stack) if args.demo else {}
            config = _lay_over(loaded, args, demo)
            with asyncio.Runner(loop_factory=_new_event_loop) as runner:
                state = None if args.demo else state_folder(config)  # its printers end with it
                runner.run(_run(config, logs, _file(args), lambda file: _lay_over(load(file), args, demo), state))
    except ConfigError as error:
        all_of_them = "\n`rawprint-server check` names them all." if len(error.mistakes) > 1 else ""
        return _fail(2, error.message, error.hint + all_of_them)
    except (ListenError, JournalTaken) as error:
        return _fail(3, error.message, error.hint)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rawprint-server",
        description="Lets web pages print straight to the printer, over WebSocket.",
        epilog="A changed configuration file is taken over as it runs; a flag overrides what the file says.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any that is free (default: 8765)")
    parser.add_argument("--demo", action="store_true", help="add two virtual printers, to try it without hardware")
    levels = get_args(msgspec.structs.fields(LogConfig)[0].type)
    parser.add_argument("--log-level", choices=levels, help="what is worth a line in the log (default: info)")
    parser.add_argument("--log-file", metavar="FILE", help="log to this file (default: standard error)")
    parser.add_argument("--log-json", action=argparse.BooleanOptionalAction, help="log one JSON object a line")
    parser.add_argument("--version", action="version", version=f"rawprint-server {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="[check | printers | access | dashboard | policy]")
    checker = commands.add_parser(
        "check", help="name every mistake in the configuration", description="Names every mistake in the configuration."
    )
    # Without a default, which would hide what stands before the word "check".
    checker.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="configuration (TOML)")
    checker.add_argument("--json", action="store_true", help="print a JSON list of the mistakes")
    _add_printers(commands)
    access_cli.add(commands, argparse.SUPPRESS)
    _add_policy(commands)
    return parser


def _add_printers(commands: Any) -> None:
    printers = commands.add_parser("printers", help="list, add, remove or rename the printers of the configuration")
    printers.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="configuration (TOML)")
    steps = printers.add_subparsers(dest="step", metavar="list | add | remove | rename", required=True)
    lister = steps.add_parser("list", help="list them")
    lister.add_argument("--json", action="store_true", help="print one JSON document")
    adder = steps.add_parser("add", help="add one at the end of the file")
    adder.add_argument("name", metavar="NAME")
    adder.add_argument("address", metavar="ADDRESS", help="such as usb://04b8:0e15; `rawprint list` shows them")
    adder.add_argument("--dialect", metavar="NAME", help="the printer's language")
    adder.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as share=false; repeatable"
    )
    remover = steps.add_parser("remove", help="remove one; a running server lets it finish what it has")
    remover.add_argument("name", metavar="NAME")
    renamer = steps.add_parser("rename", help="give one another name")
    renamer.add_argument("name", metavar="OLD")
    renamer.add_argument("new", metavar="NEW")


def _add_policy(commands: Any) -> None:
    about = "let pages reach this computer without the browser's question (Chromium, Chrome and their kin)"
    steps = commands.add_parser("policy", help=about, description=about).add_subparsers(
        dest="step", metavar="write | show | remove", required=True
    )
    for step, help, needed in (
        ("write", "add pages to the browsers' managed policy; takes an administrator", True),
        ("show", "print that policy and where it goes; changes nothing", True),
        ("remove", "take these pages out of it, or all of them", False),
    ):
        parser = steps.add_parser(step, help=help)
        parser.add_argument(
            "--origin", action="append", default=[], required=needed, help="such as https://pos.example.com; repeatable"
        )
        parser.add_argument(
            "--folder", type=Path, action="append", metavar="DIR", help="of policies, of another browser"
        )


def _policy(args: argparse.Namespace, argv: Sequence[str]) -> int:
    from rawprint_server import policy  # noqa: PLC0415 - a server that runs has no use for it

    by_hand = args.folder is None and not sys.platform.startswith("linux")
    try:
        allowed = policy.patterns(args.origin)
        folders: Sequence[Path] = args.folder or policy.folders()
        if by_hand:
            if allowed:
                print(policy.instructions(allowed))
        elif args.step == "show":
            print(*(folder / policy.FILE for folder in folders), policy.text(allowed), sep="\n", end="")
        else:
            change = policy.write if args.step == "write" else policy.remove
            changed = change(args.origin, folders)
            for file, count in changed.items():
                print(f"{file}: {_counted(count, 'origin') if count else 'removed'}")
            if not changed:
                print("there was none")
    except ConfigError as error:
        return _fail(2, error.message, error.hint)
    except policy.PolicyDenied as error:
        command = shlex.join(["sudo", sys.executable, "-m", "rawprint_server", *argv])
        return _fail(3, f"{error.message} ({error.code})", f"{error.hint} Run: {command}")
    except policy.PolicyError as error:
        return _fail(3, error.message, error.hint)
    if by_hand and args.step != "show":
        return _fail(3, "on this system policies are not written here", f"Set or remove {policy.KEY} by hand.")
    if args.step == "write":
        print(policy.RELOAD)
        if any(origin.startswith("http:") for origin in args.origin):
            print(policy.INSECURE, file=sys.stderr)
    return 0


def _printers(args: argparse.Namespace) -> int:
    try:
        file = args.config or default_path()
    except RuntimeError:
        return _fail(2, "this user has no folder for a configuration", "Name a file with --config.")
    try:
        if args.step == "list":
            config = load(args.config)
            if args.json:
                print(
                    json.dumps(
                        [
                            {"name": name, "address": p.address, "dialect": p.dialect}
                            for name, p in config.printers.items()
                        ]
                    )
                )
            for name, printer in () if args.json else config.printers.items():
                print("  ".join(filter(None, (name, printer.address, printer.dialect))))
            return 0
        config = edit.change(file, _edit(args))
    except ConfigError as error:
        return _fail(2, error.message, error.hint)
    print(f"{file}: {_counted(len(config.printers), 'printer')}")
    return 0


def _edit(args: argparse.Namespace) -> Callable[[str], str]:
    """What a step makes of the text of the file.

    Raises:
        ConfigError: A value has no key.
    """
    if args.step == "remove":
        return lambda text: edit.remove(text, args.name)
    if args.step == "rename":
        return lambda text: edit.rename(text, args.name, args.new)
    values: dict[str, Any] = {"address": args.address}
    if args.dialect is not None:
        values["dialect"] = args.dialect
    for each in args.set:
        key, equals, value = each.partition("=")
        if not equals or not key or key in values:
            raise ConfigError(f"no KEY=VALUE, or one too many: {each!r}", hint="Write share=false, for example.")
        values[key] = edit.read_value(value)
    return lambda text: edit.add(text, args.name, values)


def _check(path: Path | None, *, as_json: bool) -> int:
    try:
        file: Path | str = path or default_path()
    except RuntimeError:
        file = "no file"
    mistakes: Sequence[Mistake] = ()
    config = Config()
    try:
        config = load(path)
        certificate_of(config.server)
    except ConfigError as error:
        mistakes = error.mistakes
        if config.server.tls_cert is not None:  # the file itself is right, and its certificate is not
            found = toml_lines.places(Path(file).read_text("utf-8-sig"))
            mistakes = [
                msgspec.structs.replace(each, line=toml_lines.line_of(found, tuple(each.key.split("."))))
                for each in mistakes
            ]
    if as_json:
        print(json.dumps([{"file": str(file), **msgspec.structs.asdict(mistake)} for mistake in mistakes]))
    elif not mistakes:
        absent = "" if path or Path(file).exists() else " (there is no such file)"
        held = (_counted(len(config.printers), "printer"), _counted(len(config.access.origins), "origin"))
        print(f"{file}: {', '.join(held)}{absent}")
    else:
        for mistake in mistakes:
            place = f"{file}:{mistake.line}" if mistake.line else str(file)
            print(": ".join(filter(None, (place, mistake.key, mistake.message))))
            if mistake.hint:
                print(f"    {mistake.hint}")
    return 2 if mistakes else 0


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _lay_over(config: Config, args: argparse.Namespace, demo: dict[str, PrinterConfig]) -> Config:
    """The configuration with the flags and the demo's printers laid over it.

    Raises:
        ConfigError: They cannot be used together.
    """
    if args.port is not None and not 0 <= args.port <= 65535:
        raise ConfigError(f"--port {args.port} is no port", hint="Ports are 0 to 65535.")
    for name in demo:
        if name in config.printers:
            raise ConfigError(
                f"printers.{name}: --demo has a printer of that name",
                hint="Rename yours, or leave --demo out.",
            )
    config = msgspec.structs.replace(
        config,
        server=_replace(config.server, host=args.host, port=args.port),
        log=_replace(config.log, level=args.log_level, file=args.log_file, json=args.log_json),
        printers=config.printers | demo,
    )
    check(config)
    return config


def _replace(table: T, **flags: Any) -> T:
    return msgspec.structs.replace(table, **{key: value for key, value in flags.items() if value is not None})


def _file(args: argparse.Namespace) -> Path | None:
    """The configuration file to follow, which need not exist yet."""
    if args.config is not None or args.demo:
        config: Path | None = args.config
        return config
    try:
        return default_path()
    except RuntimeError:
        return None


def _demo_printers(stack: ExitStack) -> dict[str, PrinterConfig]:
    """Printers that run until the stack is closed."""
    from rawprint.virtual import ControlPort, Listener, device  # noqa: PLC0415 - nobody else pays for it

    printers = {}
    for name, dialect in DEMO_PRINTERS.items():
        listener = stack.enter_context(Listener(device(dialect)))
        control = ControlPort(listener)
        control.start()
        stack.callback(control.close)
        log.info("virtual printer %s (%s) at %s", name, dialect, listener.address)
        log.info("  take its paper away: curl -X POST -d '{\"media-empty\": true}' %s/state", control.url)
        printers[name] = PrinterConfig(listener.address, dialect)
    return printers


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """The faster loop where it is installed."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - an extra
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = new_event_loop()
    return loop


async def _run(
    config: Config, logs: Logs, file: Path | None, read: Callable[[Path], Config], state: Path | None
) -> None:
    stop, look = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Reporter())
    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, stop)
    if sys.platform != "win32":
        # A terminal sends it when its window is closed; a service is told so to read its configuration again.
        _on_signal(loop, signal.SIGHUP, stop if sys.stdin is not None and sys.stdin.isatty() else look)
    added = None if file is None else ConfigFile(file, look.set)
    async with App(config, state, cables=True, file=added) as app:
        print(json.dumps({"url": app.url}), flush=True)
        log.info("serving %d printers on port %d", len(config.printers), app.port)

        def changed(config: Config) -> None:
            try:
                logs.apply(config.log)
            except ConfigError as error:
                log.warning("the log stays where it is: %s. %s", error.message, error.hint)
            app.apply(config)

        if file is None:
            await stop.wait()
            _deafen(loop)
            return
        following = asyncio.create_task(follow(file, lambda: read(file), changed, current=config, look=look))
        await stop.wait()
        _deafen(loop)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def _deafen(loop: asyncio.AbstractEventLoop) -> None:
    """From here to the end of the process another signal changes nothing: it would only spoil the exit code."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if sys.platform != "win32":  # without a handler for a moment, one of them would end it
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, event: asyncio.Event) -> None:
    try:
        loop.add_signal_handler(number, event.set)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(event.set))


class _Reporter:
    """Reports what breaks in the event loop, and one thing that repeats without end, no descriptors left, once a while."""

    EVERY = 10.0  # seconds

    def __init__(self) -> None:
        self._reported = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            if loop.time() - self._reported >= self.EVERY:
                self._reported = loop.time()
                log.error("no connection can be accepted: %s", error.strerror)
            return
        loop.default_exception_handler(context)


def _fail(code: int, message: str, hint: str) -> int:
    print(f"rawprint-server: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr)
    return code
