"""A printer for the tests of programs that print: it has an address, breaks on demand, and tells what it printed.

    from rawprint.testing import VirtualPrinter

    with VirtualPrinter("escpos") as printer:
        print_receipt(printer.address)          # what is to be tested
        printer.wait_for(tickets=1)
        assert "TOTAL 12.00" in printer.lines[0]

With pytest the fixtures `virtual_printer` and `virtual_printers` are there without further ado: see `plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rawprint.virtual import Device, Listener
    from rawprint.virtual.tickets import Tickets

__all__ = ["VirtualPrinter"]


class VirtualPrinter:
    """A printer behind TCP on this machine's loopback, for the length of a `with` block. Usable from any thread.

    It answers from the manuals, takes a few KiB more than it has printed (so that a writer feels it when it stops),
    and serves one connection at a time; see `rawprint.virtual.Device`.
    """

    def __init__(self, dialect: str = "escpos", **options: object) -> None:
        """Make it; it listens from `start`, or the beginning of the `with` block, on.

        Args:
            dialect: tspl, escpos, star or zpl.
            options: Those of `rawprint.virtual.Device`: `reasons`, what is wrong at the start; `media`, bytes until the
                paper runs out; `speed`, bytes per second; `buffer_size`, bytes; `push`; `clone`, one of
                `rawprint.virtual.CLONES`; `idle_reset`, seconds.

        Raises:
            ValueError: There is no such language, or an option is out of its range.
            TypeError: There is no such option.
        """
        from rawprint.virtual import device  # noqa: PLC0415  (pytest imports this module in every run)

        self._device: Device = device(dialect, **options)
        self._listener: Listener | None = None
        self._tickets: Tickets | None = None

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen at a port that the system chooses.

        Raises:
            OSError: There is none.
            RuntimeError: It was started before.
        """
        from rawprint.virtual import Listener  # noqa: PLC0415  (with it come sockets)
        from rawprint.virtual.tickets import Tickets  # noqa: PLC0415

        if self._listener is not None:
            raise RuntimeError("this printer was started before: make another one")
        listener = Listener(self._device).start()
        self._listener, self._tickets = listener, Tickets(listener)
        return self

    def close(self) -> None:
        """Hang up and listen no more; what was received and printed can still be looked at."""
        if self._listener is not None:
            self._listener.close()

    def __enter__(self) -> Self:
        return self if self._listener is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self._listener.address if self._listener is not None else "not started"
        return f"<VirtualPrinter {self.dialect} {where}>"

    @property
    def listener(self) -> Listener:
        """What carries its bytes, for what this class does not offer.

        Raises:
            RuntimeError: It was not started.
        """
        if self._listener is None:
            raise RuntimeError("this printer was not started: use it in a `with` block")
        return self._listener

    @property
    def address(self) -> str:
        """Like `tcp://127.0.0.1:49152`, for `rawprint.open` and a server's configuration."""
        return self.listener.address

    @property
    def port(self) -> int:
        """The TCP port at 127.0.0.1, for programs that know no addresses of that kind."""
        return self.listener.port

    @property
    def dialect(self) -> str:
        """Its language."""
        return self._device.dialect

    # -- faults -----------------------------------------------------------------------------------

    def set(self, reason: str, value: bool = True) -> None:
        """Let any fault that its language can report come or go; a printer that is well again goes on where it stopped.

        Args:
            reason: A word of `rawprint.Reason`, such as "media-low".
            value: Whether it is so.

        Raises:
            ValueError: This language cannot report it; the message names those that it can.
        """
        self.listener.set(reason, value)

    def paper_out(self) -> None:
        """Take the paper away: it stops until `refill`."""
        self.set("media-empty", True)

    def refill(self, media: int | None = None) -> None:
        """Load paper for so many bytes of print data, after which it is out again; None = endless."""
        self.listener.refill(media)

    def open_cover(self) -> None:
        """Open its cover (a label printer's head): it stops until `close_cover`."""
        self.set("cover-open", True)

    def close_cover(self) -> None:
        """Close the cover."""
        self.set("cover-open", False)

    def offline(self) -> None:
        """Switch it offline at its panel, without another reason.

        Raises:
            ValueError: Its language does not know that: TSPL and ZPL have "paused" instead.
        """
        self.set("offline-report", True)

    def online(self) -> None:
        """Switch it online again.

        Raises:
            ValueError: Its language does not know that.
        """
        self.set("offline-report", False)

    def slow(self, bytes_per_second: float | None) -> None:
        """Print so slowly from now on, so that its buffer fills; None = at once, as at the start."""
        self.listener.set_speed(bytes_per_second)

    def stall(self, on: bool = True) -> None:
        """Read nothing from the connection though nothing is wrong, or go on."""
        self.listener.stall(on)

    def drop(self, rst: bool = True) -> None:
        """Cut the connection that is open, with RST or, if not `rst`, with FIN; the next one is served as usual."""
        self.listener.drop(rst)

    def reset(self) -> None:
        """As new: no fault, nothing received or printed, options as at the start; a connection stays open."""
        self.listener.reset()

    @property
    def reasons(self) -> dict[str, bool]:
        """Every fault that its language can report, and whether it is so now."""
        with self.listener.lock:
            return {str(reason): true for reason, true in self._device.reasons.items()}

    # -- what came --------------------------------------------------------------------------------

    @property
    def received(self) -> bytes:
        """Every byte from the wire in order: questions about the status too, and what still waits to be printed."""
        return self.listener.received()

    @property
    def printed(self) -> bytes:
        """The bytes that reached paper in order, without questions and what else is obeyed as it arrives."""
        return self.listener.printed()

    @property
    def tickets(self) -> int:
        """How many pieces of paper are done: cuts (ESC/POS, Star), PRINT commands (TSPL), formats (ZPL)."""
        with self.listener.lock:
            return self._device.tickets

    @property
    def drawer_kicks(self) -> int:
        """How often it opened the cash drawer (ESC/POS, Star)."""
        with self.listener.lock:
            return self._device.drawer_kicks

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """The text of each ticket, the first at 0: a receipt's lines, or a label's fields.

        Text that was sent as an image is none: look at `picture`.
        """
        return [ticket.lines for ticket in self._read.all()]

    @property
    def uncut(self) -> tuple[str, ...]:
        """The lines that a receipt printer printed since its last cut."""
        return self._read.uncut()

    def picture(self, number: int = 1) -> bytes:
        """A PNG file of the paper, black and white and dot for dot.

        Args:
            number: Of the ticket; the first is 1.

        Raises:
            IndexError: It is not printed yet, or nothing is on it.
        """
        ticket = self._read.get(number)
        if ticket is None:
            raise IndexError(f"there is no ticket {number}: {self._so_far()}")
        if not ticket.pictures:
            raise IndexError(f"nothing is on ticket {number}")
        return ticket.pictures[0]

    def wait_for(self, tickets: int = 1, timeout: float = 5.0) -> None:
        """Wait until so many pieces of paper are done since the start; it costs nothing while nothing comes.

        Args:
            tickets: In all, not from now on.
            timeout: Seconds.

        Raises:
            TimeoutError: They were not; it says what the printer has got and what is wrong with it.
        """
        if not self.listener.wait(lambda printer: printer.tickets >= tickets, timeout):
            raise TimeoutError(f"{tickets} ticket(s) not printed within {timeout:g} s: {self._so_far()}")

    def wait_for_text(self, text: str | bytes, timeout: float = 5.0) -> None:
        """Wait until these bytes were printed, for printers without a cutter.

        Args:
            text: The bytes; a string stands for its UTF-8.
            timeout: Seconds.

        Raises:
            TimeoutError: They were not; it says what the printer has got and what is wrong with it.
        """
        wanted = text.encode() if isinstance(text, str) else text
        seen = 0

        def came(printer: Device) -> bool:
            """Looks at new bytes alone, and at so many before them that the text may begin there."""
            nonlocal seen
            if printer.printed_size < seen:  # it was reset meanwhile
                seen = 0
            found = wanted in printer.printed_after(max(0, seen - len(wanted)))
            seen = printer.printed_size
            return found

        if not self.listener.wait(came, timeout):
            raise TimeoutError(f"{text!r} not printed within {timeout:g} s: {self._so_far()}")

    @property
    def _read(self) -> Tickets:
        if self._tickets is None:
            raise RuntimeError("this printer was not started: use it in a `with` block")
        return self._tickets

    def _so_far(self) -> str:
        with self.listener.lock:
            printer = self._device
            wrong = ", ".join(reason for reason, true in printer.reasons.items() if true)
            return (
                f"{printer.tickets} ticket(s), {printer.received_size} bytes received, "
                f"{printer.printed_size} of them printed, {wrong or 'nothing wrong with it'}"
            )
