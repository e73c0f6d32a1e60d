"""The `rawprint` command: arguments, what is printed, exit codes."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import rawprint
from rawprint import print_files
from rawprint.dialects import DIALECTS
from rawprint.errors import (
    AddressError,
    BadReply,
    Disconnected,
    NoReply,
    OpenError,
    RawprintError,
    WriteStalled,
)
from rawprint.status import PrinterState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rawprint.dialects import Decoded
    from rawprint.jobs import Job
    from rawprint.probe import Report
    from rawprint.status import PrinterStatus
    from rawprint.transports import Transport

FINE, PROBLEM, USAGE, CANNOT_OPEN, NO_ANSWER = range(5)
INTERRUPTED = 130  # as a shell reports Ctrl-C

_GOOD_ENDS = (rawprint.JobState.COMPLETED, rawprint.JobState.DELIVERED)
_WATCH_EVERY = 0.5
_RETRY_LAST = 5.0
_PROGRESS_WIDTH = 70
_UDEV_HELP = "rawprint udev | sudo tee /etc/udev/rules.d/70-rawprint.rules, then plug the printer in again"


class UsageError(RawprintError):
    """The command was called in a way that cannot be meant."""

    code = "usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    0 fine; 1 the printer reports a problem, or the job ended uncertain, failed, canceled or expired; 2 usage and bad
    addresses; 3 cannot find or open; 4 no reply, bad reply, write stalled or disconnected.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # What stands behind `--` is another command line; argparse would take its options for its own.
    end = words.index("--") if "--" in words and words[0] == "trace" else len(words)
    options = _parser().parse_args(words[:end])
    options.subcommand = words[end + 1 :]
    return _run(options)


def _run(options: argparse.Namespace, **hooks: Any) -> int:
    try:
        code: int = options.run(options, **hooks)
    except RawprintError as error:
        _complain(error, as_json=getattr(options, "json", False))
        return _exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _exit_code(error: RawprintError) -> int:
    if isinstance(error, (AddressError, UsageError)):
        return USAGE
    if isinstance(error, OpenError):
        return CANNOT_OPEN
    if isinstance(error, (NoReply, BadReply, WriteStalled, Disconnected)):
        return NO_ANSWER
    return PROBLEM


def error_view(error: RawprintError) -> dict[str, str]:
    """An error as JSON shows it."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _complain(error: RawprintError, *, as_json: bool) -> None:
    if as_json:
        _print_json({"error": error_view(error)})
    else:
        _say(f"{error.code}: {error.message}")
        if error.hint:
            _say(f"  hint: {error.hint}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_json(value: object) -> None:
    _out(json.dumps(value))


def _out(text: str) -> bool:
    """Print to standard output; False where nobody takes it any more: then the exit code still tells."""
    try:
        print(text, flush=True)
    except OSError:
        _drop_output()
        return False
    return True


def _drop_output() -> None:
    """Nobody takes standard output any more: Python, which flushes it at exit, shall not make that the exit code."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


# -- arguments -----------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rawprint",
        description="Print receipts and labels straight to the printer, and ask it how it is.",
    )
    parser.add_argument("--version", action="version", version=f"rawprint {rawprint.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_list(commands)
    _add_probe(commands)
    _add_status(commands)
    _add_print(commands)
    _add_jobs(commands)
    _add_calibrate(commands)
    _add_simulate(commands)
    trace = commands.add_parser(
        "trace",
        usage="rawprint trace ADDRESS [--output FILE] -- SUBCOMMAND …",
        help="run another command and record what went over the wire",
        description="Runs `rawprint SUBCOMMAND ADDRESS …` and writes the transcript: to --output, or to standard "
        "output, in which case what the subcommand prints goes to standard error.",
    )
    trace.add_argument("address", metavar="ADDRESS")
    trace.add_argument("--output", "-o", metavar="FILE", type=Path, help="write the transcript here")
    trace.set_defaults(run=_trace)
    udev = commands.add_parser(
        "udev", help="print the udev rules that let users open USB printers (Linux)", description=_UDEV_HELP
    )
    udev.set_defaults(run=_udev)
    return parser


def _add_list(commands: Any) -> None:
    parser = commands.add_parser(
        "list",
        help="list the printers of this machine and those that advertise themselves on its networks, and its serial ports",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--timeout", type=_seconds, default=3.0, metavar="S", help="seconds (default 3)")
    parser.add_argument("--local", action="store_true", help="do not ask the network")
    _scanning(parser)
    parser.set_defaults(run=_list)


def _add_status(commands: Any) -> None:
    parser = commands.add_parser("status", help="ask a printer how it is")
    _common(parser)
    parser.add_argument("--watch", action="store_true", help="go on, and print every change, until Ctrl-C")
    parser.add_argument("--timeout", type=_seconds, default=3.0, metavar="S", help="seconds (default 3)")
    parser.set_defaults(run=_status)


def _add_probe(commands: Any) -> None:
    parser = commands.add_parser(
        "probe",
        help="say what is wrong with a printer, and how to mend it",
        description="Examines the printers named, or all that are found. Nothing is printed, fed or changed by it, "
        "unless --print asks for that.",
    )
    parser.add_argument("addresses", nargs="*", metavar="ADDRESS", help="default: every printer that is found")
    parser.add_argument("--dialect", metavar="NAME", help=f"their language: {', '.join(DIALECTS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--timeout", type=_seconds, default=3.0, metavar="S", help="seconds for all (default 3)")
    _scanning(parser)
    parser.add_argument("--print", dest="print_test", action="store_true", help="print a small test on each")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write what was said, for a bug report")
    parser.add_argument("--server", metavar="URL", help="examine a running rawprint-server: ws://… or wss://…")
    parser.add_argument("--origin", metavar="ORIGIN", help="with --server: the page that is to use it, https://…")
    parser.set_defaults(run=_probe)


def _add_calibrate(commands: Any) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="let a label printer measure its labels, which feeds some",
        description="Has the printer measure gap or black mark; it feeds some labels for that. Do it after a change of "
        "labels.",
    )
    _common(parser)
    parser.add_argument("--media", default="", metavar="KIND", help="gap, mark or auto; default: what the language has")
    parser.add_argument("--timeout", type=_seconds, default=10.0, metavar="S", help="seconds (default 10)")
    parser.set_defaults(run=_calibrate)


def _add_print(commands: Any) -> None:
    parser = commands.add_parser(
        "print",
        help="print a file, or standard input: as it is, or an image, a PDF, text or a ticket",
        description="Waits until the printer has taken every byte, also while it is out of paper or cannot be reached.",
    )
    _common(parser)
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: - (standard input)")
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended")
    parser.add_argument("--timeout", type=_seconds, default=None, metavar="S", help="seconds (default: no limit)")
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="keep the job there, over a crash or a power cut; jobs of before that are in it and have not begun are printed first",
    )
    parser.add_argument("--id", metavar="ID", help="with --journal: the same id with the same bytes is printed once")
    print_files.add_arguments(parser)
    parser.set_defaults(run=_print, interrupted=False)


def _add_jobs(commands: Any) -> None:
    from rawprint.remote import URL  # noqa: PLC0415

    parser = commands.add_parser("jobs", help="the jobs of a running rawprint-server: list, show, cancel, resolve")
    steps = parser.add_subparsers(required=True, metavar="list | show | cancel | resolve")
    lister = steps.add_parser("list", help="those that have not ended, and those that ended last; the newest last")
    lister.add_argument("--printer", metavar="NAME", help="only this printer's")
    lister.add_argument("--state", metavar="STATE", help="only those in this state, such as uncertain")
    lister.add_argument("--limit", type=int, default=50, metavar="N", help="so many of the newest (default 50)")
    show = steps.add_parser("show", help="one job")
    cancel = steps.add_parser("cancel", help="cancel a job, in its middle, too")
    resolve = steps.add_parser("resolve", help="say what became of an uncertain job, so that others go on")
    for step in (show, cancel, resolve):
        step.add_argument("id", metavar="ID")
    answer = resolve.add_mutually_exclusive_group(required=True)
    answer.add_argument("--print-again", action="store_true", help="it did not come out: print it once more")
    answer.add_argument("--discard", action="store_true", help="it came out, or is not wanted any more")
    for step, run in ((lister, "list"), (show, "get"), (cancel, "cancel"), (resolve, "resolve")):
        step.add_argument("--server", default=URL, metavar="URL", help=f"default {URL}")
        step.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        step.add_argument("--timeout", type=_seconds, default=5.0, metavar="S", help="seconds (default 5)")
        step.set_defaults(run=_jobs, step=run)


def _add_simulate(commands: Any) -> None:
    from rawprint.virtual import CLONES  # noqa: PLC0415  (only its names)

    parser = commands.add_parser(
        "simulate",
        help="run a virtual printer behind TCP, or behind a pseudo-terminal",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="clones:\n" + "\n".join(f"  {name:16} {what}" for name, what in CLONES.items()),
    )
    parser.add_argument("dialect", choices=tuple(DIALECTS), metavar="DIALECT", help=" or ".join(DIALECTS))
    cable = parser.add_mutually_exclusive_group()
    cable.add_argument(
        "--listen",
        default="127.0.0.1:9100",
        metavar="HOST:PORT",
        help="default 127.0.0.1:9100; port 0 chooses",
    )
    cable.add_argument(
        "--pty", type=Path, metavar="PATH", help="instead: behind a pseudo-terminal, to which PATH becomes a link"
    )
    parser.add_argument("--baud", type=int, metavar="N", help="with --pty: at another speed both ends get garbage")
    parser.add_argument(
        "--control",
        metavar="HOST:PORT",
        help="an HTTP port, and a page for a browser, for faults and for what was received",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write here what is received and printed, and each ticket as a PNG"
    )
    parser.add_argument("--reason", action="append", default=[], metavar="R", help="such as media-empty; repeatable")
    parser.add_argument("--clone", default="", metavar="NAME", choices=("", *CLONES), help="behave like a bad clone")
    parser.add_argument("--buffer", type=int, default=8192, metavar="BYTES", help="receive buffer (default 8192)")
    parser.add_argument("--speed", type=float, default=None, metavar="BYTES/S", help="print so fast (default: at once)")
    parser.add_argument("--media", type=int, default=None, metavar="BYTES", help="paper for so many bytes")
    parser.add_argument("--push", action="store_true", help="escpos, star: automatic status from power-up")
    parser.add_argument("--idle-reset", type=float, default=None, metavar="S", help="with --clone drops-idle")
    parser.set_defaults(run=_simulate)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS", help="such as tcp://192.168.1.50")
    parser.add_argument("--dialect", metavar="NAME", help=f"the printer's language: {', '.join(DIALECTS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def _scanning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scan", metavar="CIDR", help="try port 9100 of each host of a network, such as 192.168.1.0/24"
    )
    parser.add_argument("--force", action="store_true", help="scan a network that is not private, too")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("a number of seconds above 0")
    return value


# -- list, udev ----------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    progress = _progress()
    progress("looking for printers")
    found, failures = rawprint.discover(
        options.timeout, network=not options.local, scan=options.scan, force=options.force
    )
    progress("")
    if options.json:
        _print_json([found_view(one) for one in found])
    elif found and sys.stdout.isatty():
        from rawprint import list_view  # noqa: PLC0415

        list_view.show(found, sys.stdout)
    for one in () if options.json or sys.stdout.isatty() else found:
        what = (one.make_model, one.serial and f"({one.serial})", one.dialect and f"[{one.dialect}]")
        line = "  ".join(filter(None, (one.address, " ".join(filter(None, what)))))
        shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
        _out(shown + (f"  {one.error.code}: {one.error.hint}" if one.error else ""))
    for error in failures.values():
        _complain(error, as_json=False)
    if not found and not failures and not options.json:
        _say(
            "no printer was found; one on the network has an address like tcp://192.168.1.50, or try --scan 192.168.1.0/24"
        )
    return CANNOT_OPEN if failures and not found else FINE


def found_view(found: rawprint.Found) -> dict[str, object]:
    """A Found as JSON shows it; `dialect` is null where the printer does not say of itself which language it speaks."""
    return {
        "address": found.address,
        "also": list(found.also),
        "make_model": found.make_model,
        "dialect": found.dialect,
        "dialect_how": found.dialect_how,
        "serial": found.serial,
        "error": error_view(found.error) if found.error else None,
    }


def _udev(options: argparse.Namespace) -> int:  # noqa: ARG001
    from rawprint.transports.usb_quirks import udev_rules  # noqa: PLC0415

    _out(udev_rules().rstrip())
    return FINE


# -- probe, calibrate ----------------------------------------------------------------------------------------------


def _probe(options: argparse.Namespace) -> int:
    from rawprint.probe import bundle, examine, server, text  # noqa: PLC0415

    progress = _progress()
    if options.origin and not options.server:
        raise UsageError(
            "--origin is for --server", hint="rawprint probe --server ws://127.0.0.1:8765 --origin https://…"
        )
    reports = []
    if options.server:
        reports.append(server.examine(options.server, options.origin, options.timeout))
    if options.addresses or options.scan or not options.server:
        reports += examine(
            options.addresses,
            dialect=options.dialect,
            timeout=options.timeout,
            scan=options.scan,
            force=options.force,
            print_test=options.print_test,
            on_progress=progress,
        )
    progress("")
    if options.bundle is not None:
        try:
            options.bundle.write_text(bundle.bundle(reports, rawprint.__version__), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {options.bundle}: {error.strerror or error}") from error
    if options.json:
        _print_json([report_view(report) for report in reports])
    elif sys.stdout.isatty():
        text.show(reports, sys.stdout)
    else:
        for report in reports:
            _out(text.plain(report))
    if not reports:
        _say("no printer was found; name one on the network: rawprint probe tcp://192.168.1.50")
    wrong = {finding.severity for report in reports for finding in report.findings} & {"error", "warning"}
    return PROBLEM if wrong else FINE


def _progress() -> Callable[[str], None]:
    """Tells on a terminal what is being done, on one line that goes away; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda _: None

    def tell(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text[:_PROGRESS_WIDTH]}{'…' if text else ''}")
        sys.stderr.flush()

    return tell


def report_view(report: Report) -> dict[str, object]:
    """A Report as JSON shows it."""
    status = report.status
    return {
        "address": report.address,
        "also": list(report.also),
        "make_model": report.make_model,
        "serial": report.serial,
        "device_id": report.device_id,
        "reached": report.reached,
        "dialect": report.dialect,
        "dialect_how": report.dialect_how,
        "identity": dict(report.identity),
        "status": status_view(report.address, report.dialect or "", status) if status is not None else None,
        "round_trip_ms": None if report.round_trip is None else round(report.round_trip * 1000, 2),
        "answered": sorted(report.capabilities.answered),
        "silent": sorted(report.capabilities.silent),
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "title": finding.title,
                "detail": finding.detail,
                "remedy": finding.remedy,
            }
            for finding in report.findings
        ],
    }


def _calibrate(options: argparse.Namespace) -> int:
    from rawprint.dialects import by_name  # noqa: PLC0415

    dialect = by_name(_language(options))
    if not dialect.calibrate:
        raise rawprint.Unsupported(
            f"{dialect.name} printers measure nothing: receipt paper has no gaps",
            hint="a test print: rawprint probe ADDRESS --print",
        )
    media = options.media or ("auto" if "auto" in dialect.calibrate else next(iter(dialect.calibrate)))
    if media not in dialect.calibrate:
        raise UsageError(f"{dialect.name} has no --media {media}", hint=f"it has {', '.join(dialect.calibrate)}")
    deadline = time.monotonic() + options.timeout
    with rawprint.open(options.address, dialect, timeout=options.timeout) as printer:
        status = None
        with suppress(NoReply):  # many a clone calibrates and never answers
            status = printer.status(min(2.0, max(deadline - time.monotonic(), 0.001)))
        if status is not None and status.state is PrinterState.STOPPED:
            _show_status(options, dialect.name, status)
            return PROBLEM
        printer.print(dialect.calibrate[media], max(deadline - time.monotonic(), 0.001))
    if options.json:
        _print_json({"address": options.address, "dialect": dialect.name, "media": media})
    else:
        _out(f"{options.address}  {dialect.name}  measures its labels ({media})")
    return FINE


# -- status --------------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace, **hooks: Any) -> int:
    dialect = _language(options)
    if options.watch:
        return _watch(options, dialect, **hooks)
    deadline = time.monotonic() + options.timeout
    with rawprint.open(options.address, dialect, timeout=options.timeout, **hooks) as printer:
        status = printer.status(max(deadline - time.monotonic(), 0.001))
    _show_status(options, dialect, status)
    return PROBLEM if status.state is PrinterState.STOPPED else FINE


def _language(options: argparse.Namespace) -> str:
    """The printer's language. Asking in the wrong one can make a printer print, so it is not guessed."""
    from rawprint.printer import resolve_dialect  # noqa: PLC0415

    dialect = resolve_dialect(rawprint.parse_address(options.address), options.dialect)
    if dialect is None:
        raise UsageError(
            f"{options.address} does not say which language the printer speaks",
            hint=f"add --dialect {' or --dialect '.join(DIALECTS)}",
        )
    return dialect.name


def status_view(address: str, dialect: str, status: PrinterStatus) -> dict[str, object]:
    """A PrinterStatus as JSON shows it."""
    return {
        "address": address,
        "dialect": dialect,
        "state": status.state,
        "reasons": dict(status.reasons),
        "processing": status.processing,
        "at": status.at.isoformat(timespec="milliseconds"),
        "raw": [{"sent": e.sent.hex(), "received": e.received.hex()} for e in status.raw],
    }


def _show_status(options: argparse.Namespace, dialect: str, status: PrinterStatus) -> bool:
    if options.json:
        return _out(json.dumps(status_view(options.address, dialect, status)))
    if sys.stdout.isatty():
        from rawprint import status_view as terminal  # noqa: PLC0415

        terminal.show(options.address, dialect, status, sys.stdout)
        return True
    lines = [f"{options.address}  {dialect}  {_in_words(status)}"]
    if not options.watch:
        lines += [f"  {reason:28} {'yes' if true else 'no'}" for reason, true in sorted(status.reasons.items())]
    return _out("\n".join(lines))


def _in_words(status: PrinterStatus) -> str:
    true = [reason for reason, is_true in status.reasons.items() if is_true]
    return f"{status.state}" + (f"  ({', '.join(sorted(true))})" if true else "")


def _watch(options: argparse.Namespace, dialect: str, **hooks: Any) -> int:
    """Print the state, and then each change of it, also while the printer cannot be reached."""
    if options.json or not sys.stdout.isatty():

        def failed(error: RawprintError) -> None:
            _complain(error, as_json=options.json)

        return _follow(options, dialect, lambda status: _show_status(options, dialect, status), failed, **hooks)
    from rawprint.status_view import Watch  # noqa: PLC0415

    with Watch(options.address, dialect, sys.stdout) as watch:

        def drawn(status: PrinterStatus) -> bool:
            watch.status(status)
            return True

        return _follow(options, dialect, drawn, watch.failed, **hooks)


def _follow(
    options: argparse.Namespace,
    dialect: str,
    changed: Callable[[PrinterStatus], bool],
    failed: Callable[[RawprintError], None],
    **hooks: Any,
) -> int:
    """Tell each change, until `changed` says that nobody watches any more."""
    shown: object = None
    pause = _WATCH_EVERY
    capabilities = rawprint.Capabilities()
    wait = threading.Event().wait  # never set: ends with Ctrl-C
    while True:
        try:
            with rawprint.open(
                options.address, dialect, timeout=options.timeout, capabilities=capabilities, **hooks
            ) as printer:
                while True:
                    status = printer.status(options.timeout)
                    pause = _WATCH_EVERY
                    now = (status.state, dict(status.reasons))
                    if now != shown:
                        shown = now
                        if not changed(status):
                            return FINE
                    wait(_WATCH_EVERY)
        except AddressError:
            raise
        except RawprintError as error:
            if shown != error.code:
                shown = error.code
                failed(error)
            wait(pause)
            pause = min(pause * 2, _RETRY_LAST)


# -- print ---------------------------------------------------------------------------------------------------------


def _jobs(options: argparse.Namespace) -> int:
    from rawprint import remote  # noqa: PLC0415

    params: dict[str, Any]
    if options.step == "list":
        params = {"limit": options.limit, "printer": options.printer, "state": options.state}
    elif options.step == "resolve":
        params = {"id": options.id, "action": "print-again" if options.print_again else "discard"}
    else:
        params = {"id": options.id}
    result = remote.call(options.server, f"jobs.{options.step}", params, options.timeout)
    if options.json:
        _print_json(result)
        return FINE
    for job in result if options.step == "list" else [result]:
        why = (
            job["error"]["message"]
            if job["error"]
            else ", ".join(reason for reason, true in job["reasons"].items() if true)
        )
        line = f"{job['created']:27}  {job['id']:36}  {job['printer']:16}  {job['state']:10}  {job['bytes_accepted']}/{job['bytes_total']}"
        if not _out(_clean(f"{line}  {why}".rstrip())):
            break
    return FINE


def _clean(text: str) -> str:
    """Text of somebody else's, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _print(options: argparse.Namespace, **hooks: Any) -> int:
    rawprint.parse_address(options.address)
    data = _input(options.file)
    said: list[str] = []

    def tell(job: Job) -> None:
        line = _waiting_for(job)
        if line and said[-1:] != [line]:
            said.append(line)
            _say(line)

    jobs = _jobs_of(data, options)
    if options.journal is not None:
        return _print_kept(options, jobs, tell, **hooks)
    if options.id is not None:
        raise UsageError("an id means nothing without a journal", hint="add --journal FILE")
    first = next(jobs)  # nothing is opened for what cannot be printed
    # Where a page may have come out or not, the next one is not begun.
    queue = rawprint.PrintQueue(options.address, options.dialect, on_job=tell, after_uncertain="hold", **hooks)
    before: Job | None = None
    for body, last in chain((first,), jobs):
        job = queue.submit(body)
        # A page is made when the one before goes out, and given when that is taken, so that there are two of them.
        if before is not None and not _is_taken(before, options):
            job.cancel()
            job = before
            break
        if last or not _goes_out(job, options):
            break
        before = job
    return _see_through(queue, job, options)


def _jobs_of(data: bytes, options: argparse.Namespace) -> Iterator[tuple[bytes, bool]]:
    """The bytes of each job, and whether it is the last: one, or one for each page of a document."""
    if print_files.as_it_is(data, options):
        yield data, True
    else:
        noted: set[str] = set()

        def note(text: str) -> None:
            if text not in noted:
                noted.add(text)
                _say(f"note: {text}")

        yield from print_files.pieces(data, options, _language(options), note)


def _goes_out(job: Job, options: argparse.Namespace) -> bool:
    """Waits until the first byte of a job is on its way; False where it ended without that, or its time is up."""
    try:
        return job.wait(options.timeout, until="begun") and (job.state in _GOOD_ENDS or not job.ended)
    except KeyboardInterrupt:
        options.interrupted = True
        return False


def _is_taken(job: Job, options: argparse.Namespace) -> bool:
    """Waits until the printer has taken the job; False where it has not, and no other shall follow it."""
    try:
        return job.wait(options.timeout, until="taken") and (job.taken or job.state in _GOOD_ENDS)
    except KeyboardInterrupt:
        options.interrupted = True
        return False


def _print_kept(
    options: argparse.Namespace, jobs: Iterator[tuple[bytes, bool]], tell: Callable[[Job], None], **hooks: Any
) -> int:
    """With a journal: what it has of before goes first, and an id that it knows is not printed again."""
    import hashlib  # noqa: PLC0415

    with ExitStack() as stack:
        journal = stack.enter_context(rawprint.Journal(options.journal))
        queue = rawprint.PrintQueue(options.address, options.dialect, journal=journal, on_job=tell, **hooks)
        stack.callback(queue.close, 0.0)
        before: dict[str, Job] | None = None
        code = FINE
        for number, (data, last) in enumerate(jobs, 1):
            id = options.id if options.id is None or last else f"{options.id}/{number}"
            known = None if id is None else journal.find(id)
            if known is not None and (known.printer, known.digest) != (queue.name, hashlib.sha256(data).digest()):
                raise UsageError(f"the id {id!r} belongs to another job", hint="make a new id for every job")
            if before is None:
                before = _left(journal, queue)
            if known is not None and known.ended is not None:
                if known.started or known.state in _GOOD_ENDS:
                    code = max(code, _was_printed(known, options) if last else _page_was_printed(known))
                    continue
                journal.forget(known.id)
            job = before.get(id or "") or queue.submit(data, id=id)
            if last:
                code = max(code, _see_through(queue, job, options))
            elif _is_taken(job, options):
                continue
            elif job.id in before and job.state is rawprint.JobState.UNCERTAIN:
                code = PROBLEM  # that one alone is in doubt
            else:
                return _see_through(queue, job, options)
    return code


def _page_was_printed(known: rawprint.JournalEntry) -> int:
    """A page that was printed in an earlier run, or may have been."""
    if known.state in _GOOD_ENDS:
        return FINE
    _say(f"{known.id}: ended {known.state} in an earlier run; see whether it came out")
    return PROBLEM


def _left(journal: rawprint.Journal, queue: rawprint.PrintQueue) -> dict[str, Job]:
    """The jobs that a run of before has left, on their way to the printer."""
    before = {}
    for entry, body in journal.unfinished():
        if entry.printer == queue.name:
            before[entry.id] = queue.restore(entry, body)
            _say(
                f"{entry.id}: a run of before was interrupted in its middle; see whether it came out"
                if entry.started
                else f"{entry.id}: left by a run of before, goes first"
            )
    return before


def _was_printed(known: rawprint.JournalEntry, options: argparse.Namespace) -> int:
    """The job had ended in an earlier run."""
    if options.json:
        _print_json(
            {
                "id": known.id,
                "state": known.state,
                "bytes_total": known.bytes_total,
                "bytes_accepted": known.bytes_accepted,
                "evidence": list(known.evidence),
                "reasons": {},
                "error": known.error,
            }
        )
    else:
        _out(f"{known.id}  {known.state}  {known.bytes_accepted} of {known.bytes_total} bytes, in an earlier run")
    return FINE if known.state in _GOOD_ENDS else PROBLEM


def _see_through(queue: rawprint.PrintQueue, job: Job, options: argparse.Namespace) -> int:
    """Wait for the job, tell how it ended, and give the exit code."""
    interrupted: bool = options.interrupted
    try:
        in_time = not interrupted and job.wait(options.timeout, until="ended" if options.wait else "taken")
    except KeyboardInterrupt:
        in_time, interrupted = False, True
    if job.cancel():  # what has not begun must not print later
        job.wait(1.0)
    queue.close(0.0)
    # Judged by what has become of it: its last byte may have gone out as the time ran out.
    fine = job.state in _GOOD_ENDS or (job.taken and not options.wait)
    if options.json:
        _print_json(job_view(job))
    elif options.wait or not fine:
        _out(f"{job.id}  {job.state}  {job.bytes_accepted} of {job.bytes_total} bytes")
    if interrupted:
        return INTERRUPTED
    if fine:
        return FINE
    return _ended_badly(job, options) if in_time else _timed_out(job, options)


def _input(name: str) -> bytes:
    try:
        if name == "-" and sys.stdin is None:
            raise UsageError("there is no standard input to print", hint="name a file")
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {name}: {error.strerror or error}", hint="name a file, or - for standard input"
        ) from error
    if not data:
        raise UsageError(f"nothing to print: {'standard input' if name == '-' else name} is empty")
    return data


def _waiting_for(job: Job) -> str:
    """What a person should know while the job does not go on."""
    if job.state is rawprint.JobState.STOPPED:
        why = ", ".join(job.reasons) or "the printer does not say why"
        return f"stopped after {job.bytes_accepted} of {job.bytes_total} bytes: {why}"
    if job.state is rawprint.JobState.PENDING:
        if job.reasons:
            return f"waiting: {', '.join(job.reasons)}"
        if job.error is not None:
            return f"waiting: {job.error.message}" + (f" ({job.error.hint})" if job.error.hint else "")
    return ""


def _timed_out(job: Job, options: argparse.Namespace) -> int:
    """The exit code of a job whose time was up, by what it waited for."""
    error = job.error
    if isinstance(error, rawprint.JobCanceled) and isinstance(error.__cause__, OpenError):
        error = error.__cause__  # what it had waited for
        code = _exit_code(error)
    elif job.bytes_accepted < job.bytes_total:
        code = NO_ANSWER
        error = WriteStalled(
            f"the printer took {job.bytes_accepted} of {job.bytes_total} bytes in {options.timeout:g} s",
            written=job.bytes_accepted,
            total=job.bytes_total,
            reasons=dict(job.reasons),
            hint="see what the printer needs (paper, cover, error lamp)",
        )
    else:
        code = PROBLEM
    if error is not None and not options.json:
        _complain(error, as_json=False)
    return code


def _ended_badly(job: Job, options: argparse.Namespace) -> int:
    if job.error is None:
        return PROBLEM
    if not options.json:
        _complain(job.error, as_json=False)
    return CANNOT_OPEN if isinstance(job.error, OpenError) else PROBLEM


def job_view(job: Job) -> dict[str, object]:
    """A Job as JSON shows it."""
    return {
        "id": job.id,
        "state": job.state,
        "bytes_total": job.bytes_total,
        "bytes_accepted": job.bytes_accepted,
        "evidence": list(job.evidence),
        "reasons": dict(job.reasons),
        "error": error_view(job.error) if job.error else None,
    }


# -- simulate ------------------------------------------------------------------------------------------------------


def _simulate(options: argparse.Namespace) -> int:
    from rawprint.virtual import ControlPort, Listener, PtyListener, device  # noqa: PLC0415

    wants: dict[str, object] = {"push": True} if options.push else {}
    if options.idle_reset is not None:
        wants["idle_reset"] = options.idle_reset
    try:
        made = device(
            options.dialect,
            reasons=options.reason,
            buffer_size=options.buffer,
            speed=options.speed,
            media=options.media,
            clone=options.clone,
            **wants,
        )
    except ValueError as error:
        raise UsageError(str(error), hint="see `rawprint simulate --help`") from error
    with ExitStack() as stack:
        try:
            if options.pty is not None:
                listener: Listener = PtyListener(
                    made, options.pty, baud=_known_speed(options.baud), output_dir=options.output
                )
                try:
                    listener.start()
                except OSError as error:
                    raise UsageError(
                        f"--pty {options.pty}: {error.strerror or error}",
                        hint="name a path where nothing is yet, in a folder that is there",
                    ) from error
            else:
                listener = Listener(made, *_host_port(options.listen), output_dir=options.output)
                listener.start()
            stack.callback(listener.close)
            ready = {"listen": listener.address}
            if options.control:
                control = ControlPort(listener, *_host_port(options.control))
                control.start()
                stack.callback(control.close)
                ready["control"] = control.url
        except OSError as error:
            raise rawprint.PrinterBusy(
                f"cannot listen: {error.strerror or error}", hint="choose another port, or 0 for a free one"
            ) from error
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it in peace
        _print_json(ready)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return FINE


def _known_speed(baud: int | None) -> int | None:
    import termios  # noqa: PLC0415  (where there are pseudo-terminals, there it is)

    if baud is not None and not hasattr(termios, f"B{baud}"):
        raise UsageError(f"no serial speed: {baud}", hint="such as 9600, 19200, 38400 or 115200")
    return baud


def _host_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"no HOST:PORT: {text!r}", hint="write 127.0.0.1:9100")
    return host.strip("[]") or "127.0.0.1", int(port)


# -- trace ---------------------------------------------------------------------------------------------------------


def _trace(options: argparse.Namespace) -> int:
    from rawprint.transports.trace import Trace, Transcript  # noqa: PLC0415

    words = options.subcommand
    if not words or words[0] not in ("status", "print"):
        raise UsageError("trace what?", hint="rawprint trace ADDRESS -- status --dialect tspl")
    inner = _parser().parse_args([words[0], options.address, *words[1:]])
    with _transcript_file(options.output) as out:
        transcript = Transcript(
            out,
            "kind: CAP",
            "model: (maker, model, firmware)",
            f"done: rawprint {rawprint.__version__} {' '.join(words)}",
            "source: (where this was reported)",
        )

        def wrap(transport: Transport) -> Transport:
            return Trace(transport, transcript)

        observer: Callable[[Decoded | BadReply], None] = transcript.decoded
        code = _run(inner, wrap=wrap, observer=observer)
        if transcript.error is not None:
            _say(f"the transcript is not complete: {transcript.error.strerror or transcript.error}")
        return code


@contextmanager
def _transcript_file(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        with redirect_stdout(sys.stderr):
            yield sys.__stdout__ or sys.stderr
        try:
            sys.stdout.flush()
        except OSError:  # the transcript has said so
            _drop_output()
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    with file:
        yield file


if __name__ == "__main__":
    sys.exit(main())
