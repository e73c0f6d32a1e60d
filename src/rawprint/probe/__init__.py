"""`rawprint probe`: for each printer how it was reached, who it is, how it is, what is wrong, and how to mend it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from rawprint import address as addresses
from rawprint import identify
from rawprint.capabilities import Capabilities
from rawprint.dialects import DIALECTS, by_name
from rawprint.discovery import discover
from rawprint.errors import (
    AddressError,
    BackendMissing,
    BadReply,
    Disconnected,
    NoReply,
    OpenError,
    Unsupported,
    WriteStalled,
)
from rawprint.printer import Printer
from rawprint.probe import findings, network, surroundings
from rawprint.probe.bundle import Recording
from rawprint.probe.findings import Finding, Severity
from rawprint.status import PrinterStatus, Reason
from rawprint.transports import Found, open_address
from rawprint.transports.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rawprint.address import Address
    from rawprint.dialects import Dialect, Query
    from rawprint.transports import Transport

__all__ = ["Finding", "Report", "Severity", "examine"]

_DISCOVERY_SHARE = 0.5  # of the time, for finding printers where none is named
_OPEN_SHARE = 0.6  # of what is left, for opening one: a host that is silent shows itself by that
_LANGUAGE_WAIT = 0.3  # seconds for the answer to one question in a language that may not be the printer's
_AT_ONCE = 32  # printers that are examined at a time
_TEST_TIME = 10.0  # seconds for a test print, and for the questions that only it allows
_TEST_WAIT = 1.5  # of them, for one such question


@dataclass(slots=True)
class Report:
    """What was found out about one printer.

    Attributes:
        address: As it was named or found.
        also: Other addresses of the same printer.
        make_model: Maker and model, as its port or its device id names them.
        serial: Its serial number; may be empty.
        device_id: Its IEEE 1284 device id; may be empty.
        reached: How: one phrase.
        dialect: Its language; None: not known.
        dialect_how: How that was learnt, and how sure it is.
        identity: What it says of itself in its language.
        status: What it said of its state; None: nothing.
        round_trip: Seconds from a question to its answer; None: it answered nothing.
        capabilities: What it answered, and what it left unanswered.
        findings: The worst first.
        recording: What went over the wire.
    """

    address: str
    also: tuple[str, ...] = ()
    make_model: str = ""
    serial: str = ""
    device_id: str = ""
    reached: str = ""
    dialect: str | None = None
    dialect_how: str = ""
    identity: dict[str, str] = field(default_factory=dict)
    status: PrinterStatus | None = None
    round_trip: float | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    findings: list[Finding] = field(default_factory=list)
    recording: Recording = field(default_factory=Recording)

    def add(self, code: str, severity: Severity, title: str, detail: str = "", remedy: str = "") -> None:
        """One more finding."""
        self.findings.append(Finding(code, severity, title, detail, remedy))


def examine(
    named: Sequence[str] = (),
    *,
    dialect: str | None = None,
    timeout: float = 3.0,
    scan: str | None = None,
    force: bool = False,
    print_test: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Report]:
    """Examine printers: those named, or all that are found.

    Nothing is printed or fed, unless `print_test` asks for it. Of a printer that is only found, and does not say which
    language it speaks, no question is asked; of one that is named, questions go out in an order in which no known
    printer prints them; `~HS` comes last, and the report says that it was sent.

    Args:
        named: Addresses; without any, all that `discover` finds.
        dialect: The language of all of them, where somebody knows it.
        timeout: Seconds for all together, test prints not counted.
        scan: See `discover`.
        force: See `discover`.
        print_test: Print a test label or receipt on each, and ask it what a printer that does not know the question
            would print: who it is, and whether it can tell when it has printed.
        on_progress: Called with what is being done, from several threads.

    Raises:
        AddressError: There is no such language, or the network to be scanned is none.
    """
    if dialect is not None:
        by_name(dialect)
    deadline = time.monotonic() + timeout
    reports: list[Report] = []
    work: list[tuple[Report, Found]] = []
    if named and scan is None:
        work = [(Report(text), Found(text)) for text in named]
    else:
        on_progress("looking for printers")
        found, failures = discover(timeout * _DISCOVERY_SHARE, scan=scan, force=force)
        work = [(_report(one), one) for one in found] + [(Report(text), Found(text)) for text in named]
        for scheme, failure in failures.items():
            reports.append(Report(f"{scheme}:", findings=[findings.of_opening(failure)]))
        surroundings.note_equal_ones([report for report, _ in work])
    by_person = set(named)
    jobs: SimpleQueue[tuple[Report, Found]] = SimpleQueue()
    for each in work:
        jobs.put(each)
    done: SimpleQueue[Report] = SimpleQueue()
    queues = surroundings.SpoolerQueues()

    def run() -> None:
        while True:
            try:
                report, one = jobs.get_nowait()
            except Empty:
                return
            on_progress(f"asking {report.address}")
            examination = _Examination(report, one, dialect, deadline, asked_for=report.address in by_person)
            try:
                examination.run(queues, print_test=print_test)
            except Exception as error:  # noqa: BLE001  (one that breaks must not hide what others show)
                report.add(
                    "broke-off", Severity.ERROR, "The examination broke off.", repr(error), "Please report this."
                )
            done.put(report)

    for _ in range(min(len(work), _AT_ONCE)):
        threading.Thread(target=run, name="rawprint probe", daemon=True).start()
    finished: set[int] = set()
    last = deadline + (_TEST_TIME * 2 if print_test else 0.5)
    while len(finished) < len(work):
        try:
            finished.add(id(done.get(timeout=max(last - time.monotonic(), 0.001))))
        except Empty:
            break
    for report, _ in work:
        if id(report) not in finished:
            slow = Report(report.address, report.also, report.make_model, report.serial, report.device_id)
            slow.add(
                "no-time",
                Severity.WARNING,
                f"The examination took longer than {timeout:g} s.",
                "",
                "Give it more time: --timeout.",
            )
            reports.append(slow)
        else:
            reports.append(report)
    for report in reports:
        report.findings.sort(key=lambda finding: list(Severity).index(finding.severity))
    return reports


def _report(found: Found) -> Report:
    report = Report(found.address, found.also, found.make_model, found.serial, found.device_id)
    if found.dialect:
        report.dialect, report.dialect_how = found.dialect, found.dialect_how
    return report


class _Examination:
    """One printer, from opening it to what is wrong with it. It fills in its report."""

    def __init__(self, report: Report, found: Found, dialect: str | None, deadline: float, *, asked_for: bool) -> None:
        self._report = report
        self._found = found
        self._dialect = dialect
        self._deadline = deadline
        self._asked_for = asked_for  # by its address: then it may be asked in languages that may not be its own

    @property
    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.05)

    def run(self, queues: surroundings.SpoolerQueues, *, print_test: bool) -> None:
        report = self._report
        try:
            address = addresses.parse(report.address)
        except AddressError as error:
            report.findings.append(findings.of_opening(error))
            return
        report.reached = surroundings.way_to(address)
        report.findings += queues.of(address, report)
        if self._found.error is not None:
            report.findings.append(findings.of_opening(self._found.error))
            return
        if isinstance(address, addresses.SerialAddress) and not (self._asked_for or self._dialect):
            report.add(
                "not-asked",
                Severity.INFO,
                "A serial port; whether a printer hangs there, none tells.",
                "",
                f"Name it to have it asked: rawprint probe {report.address}",
            )
            return
        try:
            transport = open_address(address, self._left * _OPEN_SHARE)
        except OpenError as error:
            report.findings.append(self._why(address, error))
            return
        try:
            self._ask(address, Trace(transport, report.recording), print_test=print_test)
        finally:
            transport.close(0.1)

    @staticmethod
    def _why(address: Address, error: OpenError) -> Finding:
        if isinstance(address, addresses.TcpAddress):
            return network.diagnose(address, error, network.look_around())
        return findings.of_opening(error)

    # -- the language ----------------------------------------------------------------------------------------------

    def _ask(self, address: Address, transport: Transport, *, print_test: bool) -> None:
        report = self._report
        try:
            dialect = self._language(address, transport)
            if dialect is None:
                self._unknown_language(address, transport)
                return
            report.dialect = dialect.name
            printer = Printer(transport, dialect, capabilities=report.capabilities, observer=report.recording.decoded)
            self._state(address, printer)
            self._who(printer)
            if print_test:
                self._test(printer)
        except Disconnected as error:
            report.add(
                "turned-away",
                Severity.ERROR,
                "It takes the connection and ends it again.",
                findings.sentence(error.message),
                "Another computer may be printing on it: end that; else switch the printer off and on.",
            )

    def _language(self, address: Address, transport: Transport) -> Dialect | None:
        """The language: as told, as guessed from what it says of itself, or by asking."""
        report = self._report
        name = self._dialect or (address.dialect if isinstance(address, addresses.VirtualAddress) else None)
        if name is not None:
            report.dialect_how = "as told"
            return by_name(name)
        if not report.device_id:
            report.device_id = transport.device_id()
        guesses = self._guess(address)
        sure = next((each for each in guesses if each.dialect in DIALECTS and each.sure != "possible"), None)
        if sure is None and self._asked_for and transport.bidirectional:
            sure = self._by_asking(transport)
        if sure is not None:
            report.dialect_how = f"{sure.how}: {sure.sure}"
            return by_name(sure.dialect)
        if guesses:
            report.dialect = None
            report.dialect_how = "; ".join(f"{each.sure}ly {each.dialect}, by {each.how}" for each in guesses[:4])
        return None

    def _guess(self, address: Address) -> tuple[identify.Guess, ...]:
        found, report = self._found, self._report
        ids: dict[str, int] = {}
        if isinstance(address, addresses.UsbAddress):
            ids = {"vid": int(address.vid, 16), "pid": int(address.pid, 16)}
        names = [report.make_model] if report.make_model else []
        return identify.guess(device_id=report.device_id, txt=found.txt, names=names, **ids)

    def _by_asking(self, transport: Transport, *, but: str = "") -> identify.Guess | None:
        """Ask in each language but one, those first whose questions no known printer prints."""
        before: list[str] = []
        odd: list[str] = []
        for question in identify.questions():
            if question.dialect == but:
                continue
            if transport.write(memoryview(question.request), self._left) < len(question.request):
                return None  # it takes no bytes
            until = time.monotonic() + min(_LANGUAGE_WAIT, self._left)
            reply = b""
            while (rest := until - time.monotonic()) > 0:
                reply += transport.read(rest)
                spoken = identify.classify(reply, question.dialect) if reply else None
                if spoken is not None:
                    transport.read(0.02)  # the rest of a longer answer
                    after = f", after {' and '.join(before)} stayed unanswered" if before else ""
                    return identify.Guess(spoken, "certain", f"answered {question.shown}{after}")
            before.append(question.shown)
            if question.prints:
                self._report.add(
                    "asked-with-text",
                    Severity.INFO,
                    f"{question.shown} was sent, and stayed unanswered.",
                    question.prints,
                )
            if question.undo:
                transport.write(memoryview(question.undo), self._left)
            if reply:
                odd.append(f"to {question.shown}: {reply[:32].hex(' ')}")
        if odd and not but:
            self._report.add(
                "odd-answer",
                Severity.WARNING,
                "It answers, and in no language that is known here.",
                findings.sentence("; ".join(odd)),
                "Check that this is a printer's raw port; name its language with --dialect if you know it.",
            )
        return None

    def _unknown_language(self, address: Address, transport: Transport) -> None:
        report = self._report
        if not transport.bidirectional:
            self._one_way()
        line = transport.line_status()
        if line:
            report.status = self._line(line)
        if any(finding.code == "odd-answer" for finding in report.findings):
            return
        if isinstance(address, addresses.SerialAddress):
            self._silent_port(address, "It answers no question")
        elif self._asked_for:
            report.add(
                "language-unknown",
                Severity.WARNING,
                "Which language the printer speaks is not known: it answers no question.",
                report.dialect_how,
                "Name it with --dialect, or in the configuration: its self-test page or its manual tells. It can print "
                "without that, but not say how it is.",
            )
        else:
            report.add(
                "not-asked",
                Severity.INFO,
                "It does not say which language it speaks, so it was not asked.",
                report.dialect_how,
                f"Name it to have it asked: rawprint probe {report.address}",
            )

    def _line(self, reasons: Mapping[Reason, bool]) -> PrinterStatus:
        status = PrinterStatus(reasons, source="line")
        self._report.findings += findings.of_status(status)
        return status

    def _one_way(self) -> None:
        self._report.add(
            "one-way",
            Severity.WARNING,
            "It cannot report its status: its USB interface has no bulk IN endpoint.",
            "What it prints is counted; whether paper is in, it cannot say over this cable.",
            "Use its network or serial port where it has one.",
        )

    # -- the state -------------------------------------------------------------------------------------------------

    def _state(self, address: Address, printer: Printer) -> None:
        report, transport = self._report, printer.transport
        if not transport.bidirectional:
            self._one_way()
            if line := transport.line_status():
                report.status = self._line(line)
            return
        began = time.monotonic()
        try:
            first = printer.check(self._left / 2)
            report.round_trip = (time.monotonic() - began) / max(len(first.raw), 1)
            report.status = printer.status(self._left)
        except NoReply as error:
            self._silent(address, printer, error)
        except BadReply as error:
            self._odd(address, printer, error)
        else:
            report.findings += findings.of_status(report.status)
            self._ignored(printer)

    def _silent(self, address: Address, printer: Printer, error: NoReply) -> None:
        report = self._report
        line = printer.transport.line_status()
        if line:
            report.status = self._line(line)
        elif not printer.capabilities.answered and self._speaks_another(printer):
            return
        if isinstance(address, addresses.SerialAddress):
            wired = {"rtscts": "CTS", "dsrdtr": "DSR"}.get(address.flow)
            if wired and line:
                report.findings.clear()
                report.add(
                    "serial-handshake",
                    Severity.ERROR,
                    f"The printer holds {wired} low: it takes nothing.",
                    "It is off, stopped, or its cable does not carry that line.",
                    f"Switch it on; if it is on, the cable or the handshake is wrong: try {surroundings.without_flow(address)}",
                )
                return
            self._silent_port(address, findings.sentence(error.message)[:-1])
            return
        if printer.capabilities.answered:
            report.add(
                "status-lost",
                Severity.ERROR,
                "It answered, and then no more.",
                findings.sentence(error.message),
                findings.sentence(error.hint),
            )
            return
        report.add(
            "status-silent",
            Severity.WARNING,
            "The printer does not answer: its state is unknown.",
            f"{findings.sentence(error.message)} That says nothing about paper or cover; many clones print and never answer.",
            "See that it is on and not busy with another computer; if it is no "
            f"{printer.dialect.name if printer.dialect else ''} printer, name its language with --dialect.",
        )

    def _silent_port(self, address: addresses.SerialAddress, what: str) -> None:
        self._report.add(
            "serial-silent",
            Severity.ERROR,
            "Nothing answers at the serial port.",
            f"{what}, at {surroundings.line_settings(address)}.",
            "Check that the printer is on, and its speed: its self-test (hold FEED while switching it on) prints it; "
            f"then write it like {surroundings.with_baud(address)}",
        )

    def _speaks_another(self, printer: Printer) -> bool:
        """Whether a printer that is silent in the language that somebody named answers in another one."""
        asked = printer.dialect.name if printer.dialect else ""
        spoken = self._by_asking(printer.transport, but=asked) if self._asked_for else None
        if spoken is None:
            return False
        self._other_language(asked, spoken.dialect, f"It {spoken.how}.")
        return True

    def _other_language(self, asked: str, spoken: str, detail: str) -> None:
        self._report.add(
            "other-language",
            Severity.ERROR,
            f"It answers, but not in {asked}: it speaks {spoken}.",
            detail,
            f'Name that language: --dialect {spoken}, or dialect = "{spoken}" in the configuration.',
        )

    def _odd(self, address: Address, printer: Printer, error: BadReply) -> None:
        report, asked = self._report, printer.dialect.name if printer.dialect else ""
        shown = (
            f"It said {error.raw[:32].hex(' ')} ({error.message})." if error.raw else findings.sentence(error.message)
        )
        spoken = identify.classify(error.raw, asked) if error.raw else None
        if spoken is not None and spoken != asked:
            self._other_language(asked, spoken, shown)
        elif self._speaks_another(printer):
            return
        elif isinstance(address, addresses.SerialAddress):
            report.add(
                "serial-garbage",
                Severity.ERROR,
                "Garbage comes from the serial port: the speed or the data format is wrong.",
                f"{shown} At {surroundings.line_settings(address)}.",
                "The printer's self-test (hold FEED while switching it on) prints its speed; then write it like "
                f"{surroundings.with_baud(address)}",
            )
        else:
            report.add(
                "odd-answer",
                Severity.ERROR,
                f"It answers, but not in {asked}.",
                shown,
                "Name the printer's language with --dialect; if it is right, check that this is a printer's raw port and that "
                "nobody else uses it.",
            )

    def _ignored(self, printer: Printer) -> None:
        """Questions of a status that stayed unanswered: what they would tell is not known."""
        dialect, capabilities = printer.dialect, printer.capabilities
        if dialect is None:
            return
        ignored = [each.name for each in dialect.queries if each.name in capabilities.silent and not each.instead_of]
        if ignored:
            self._report.add(
                "ignores-query",
                Severity.INFO,
                f"It does not answer {', '.join(ignored)}, as clones do; what that would tell stays unknown.",
                "The question is not asked again.",
            )

    # -- who it is, and whether it prints --------------------------------------------------------------------------

    def _who(self, printer: Printer) -> None:
        """Ask what it is known to answer, which nobody prints."""
        if printer.dialect is None or not printer.capabilities.answered:
            return
        maker = identify.maker_of(self._report.device_id)
        known = set(printer.dialect.makers.get(maker, ()))
        for query in printer.dialect.identity:
            if query.name in known or query.harmless:
                self._put(printer, query, min(self._left, _LANGUAGE_WAIT))

    def _put(self, printer: Printer, query: Query, wait: float) -> bool:
        try:
            answer, _ = printer.ask(query, wait)
        except (NoReply, BadReply):
            return False
        self._report.identity.update(answer.identity)
        return True

    def _test(self, printer: Printer) -> None:
        report, dialect = self._report, printer.dialect
        if dialect is None or findings.worst(report.findings) is Severity.ERROR:
            return
        self._deadline = max(self._deadline, time.monotonic() + _TEST_TIME)
        label = _test_label(report, dialect)
        try:
            printer.print(label, self._left)
        except WriteStalled as error:
            report.add(
                "write-stalled",
                Severity.ERROR,
                "It does not take a test print.",
                findings.sentence(error.message),
                findings.sentence(error.hint),
            )
            return
        told = [
            query.name
            for query in (*dialect.fences, *dialect.identity)
            if self._put(printer, query, min(self._left, _TEST_WAIT))
        ]
        report.add(
            "test-print",
            Severity.INFO,
            f"A test print of {len(label)} bytes was given to the printer.",
            f"It answered {', '.join(told)} after it." if told else "",
            "See that it came out." if not set(told) & {fence.name for fence in dialect.fences} else "",
        )


def _test_label(report: Report, dialect: Dialect) -> bytes:
    """A label that says who the printer is, and shows how it prints; where nothing can be drawn, a few words of its own letters."""
    from rawprint.documents import Paper, specimen  # noqa: PLC0415 - Pillow, for those who print

    name = report.make_model or dialect.name
    try:
        paper = Paper.of(dialect.name, cut="partial")
        return specimen(paper, name=name, address=report.address, at=datetime.now().astimezone())
    except (BackendMissing, Unsupported):
        return dialect.test_print
