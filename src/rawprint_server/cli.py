"""The command `rawprint-server`: arguments, signals, one line on standard output, exit codes.

Exit codes: 0 ended by SIGINT or SIGTERM, 2 wrong arguments or configuration, 3 the port cannot be listened on.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rawprint import __version__
from rawprint_server.app import App, ListenError
from rawprint_server.config import Config, ConfigError, PrinterConfig, check, load

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

DEMO_PRINTERS = {"Label": "tspl", "Receipt": "escpos"}  # name -> dialect


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until a signal ends it; returns the exit code."""
    args = _arguments().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        with ExitStack() as stack:
            config = _config(args, stack)
            with asyncio.Runner(loop_factory=_new_event_loop) as runner:
                runner.run(_run(config))
    except ConfigError as error:
        return _fail(2, error.message, error.hint)
    except ListenError as error:
        return _fail(3, error.message, error.hint)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rawprint-server", description="Lets web pages print straight to the printer, over WebSocket."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any that is free (default: 8765)")
    parser.add_argument("--demo", action="store_true", help="add two virtual printers, to try it without hardware")
    parser.add_argument("--version", action="version", version=f"rawprint-server {__version__}")
    return parser


def _config(args: argparse.Namespace, stack: ExitStack) -> Config:
    """The file with the flags laid over it; demo printers run until the stack is closed.

    Raises:
        ConfigError: The file, a flag, or both together cannot be used.
    """
    config = Config() if args.demo and args.config is None else load(args.config)
    flags = {key: value for key in ("host", "port") if (value := getattr(args, key)) is not None}
    if not 0 <= flags.get("port", 0) <= 65535:
        raise ConfigError(f"--port {flags['port']} is no port", hint="Ports are 0 to 65535.")
    config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **flags))
    if args.demo:
        config = msgspec.structs.replace(config, printers=config.printers | _demo_printers(config, stack))
    check(config)
    return config


def _demo_printers(config: Config, stack: ExitStack) -> dict[str, PrinterConfig]:
    from rawprint.virtual import ControlPort, Listener, device  # noqa: PLC0415 - nobody else pays for it

    printers = {}
    for name, dialect in DEMO_PRINTERS.items():
        if name in config.printers:
            raise ConfigError(
                f"printers.{name}: --demo has a printer of that name",
                hint="Rename yours, or leave --demo out.",
            )
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


async def _run(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Reporter())
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    async with App(config) as app:
        host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
        print(json.dumps({"url": f"ws://{host}:{app.port}"}), flush=True)
        log.info("serving %d printers on port %d", len(config.printers), app.port)
        await stop.wait()


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
