"""A virtual printer behind a TCP port: one thread that carries bytes between one host and the device."""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from rawprint.virtual.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path
    from types import TracebackType

    from rawprint.virtual.device import Device

# What the kernel may take for us while we do not read. Small, as in a printer, so that the host feels it when
# the printer stops; Linux makes 8 KiB of it.
_KERNEL_BUFFER = 4096

# Segments that fit several times into that buffer: with loopback's own 64 KiB the window would open and close.
_SEGMENT = 1024

# Connections that wait for the first one to end.
_WAITING = 8

# Replies that a host does not fetch; then nothing more is read from it.
_MOST_UNSENT = 65536

# Most bytes read in one go.
_CHUNK = 65536

# How often at most unread bytes are thrown away at the end, for a host that never stops.
_MOST_DISCARDED = 64

# With this a close sends RST instead of FIN.
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Listener:
    """Serves one device to one host at a time; further ones wait, as with Epson's LAN cards.

    The methods may be called from any thread. `lock` guards `device`: hold it to look at the device.

    Attributes:
        device: The printer.
        lock: Reentrant; held whenever the device is used.
    """

    def __init__(
        self, device: Device, host: str = "127.0.0.1", port: int = 0, *, output_dir: Path | None = None
    ) -> None:
        """Prepare to listen; `start` does it.

        Args:
            device: The printer.
            host: A name or an address of this machine.
            port: 0 = the system chooses.
            output_dir: Where to keep what came and what was printed; see `Recorder`.
        """
        self.device = device
        self.lock = threading.RLock()
        self._event = threading.Condition(self.lock)
        self._host, self._port = host, port
        self._recorder = Recorder(output_dir) if output_dir is not None else None
        self._server: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._connection: socket.socket | None = None
        self._waiting: deque[socket.socket] = deque()
        self._unsent = bytearray()
        self._connections = 0
        self._resets = 0
        self._cut: bool | None = None  # the connection shall be cut: with RST, with FIN
        self._finishing = False  # the host has said its last; what is left to send goes out, then we close
        self._stalled = False
        self._closing = False
        self._last_byte = 0.0  # when the host last sent something, or when we last began to listen to it
        self._reading = False

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen.

        Raises:
            OSError: The address cannot be had.
        """
        self._open()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="virtual printer", daemon=True)
        self._thread.start()
        return self

    def _open(self) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        server = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows the option means that two may listen at once
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)
            with contextlib.suppress(OSError, AttributeError):  # Windows has no such option
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
            server.bind(address)
            server.listen(_WAITING)
            server.setblocking(False)
        except OSError:
            server.close()
            raise
        self._server = server
        self._host, self._port = server.getsockname()[:2]

    @property
    def address(self) -> str:
        """The printer's address, like `tcp://127.0.0.1:49152`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"tcp://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port that is really bound."""
        return self._port

    def close(self) -> None:
        """Stop listening and hang up; what the device has is still there."""
        if self._thread is None:
            return
        with self.lock:
            self._closing = True
        self._wake()
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what others ask of it --------------------------------------------------------------------

    def set(self, reason: str, value: bool) -> None:
        """Let a fault come or go; see `Device.set`."""
        with self._changing():
            self.device.set(reason, value)

    def refill(self, media: int | None) -> None:
        """Load media; see `Device.refill`."""
        with self._changing():
            self.device.refill(media)

    def set_speed(self, speed: float | None) -> None:
        """Print bytes per second; None = at once."""
        with self._changing():
            self.device.speed = speed

    def reset(self) -> None:
        """As new, with the connection kept; see `Device.reset`."""
        with self._changing():
            self.device.reset()
            self._resets += 1
            self._stalled = False
            if self._recorder is not None:
                self._recorder.reset()

    def stall(self, on: bool) -> None:
        """Stop reading from the host though nothing is wrong, or go on."""
        with self._changing():
            self._stalled = on

    def push(self, data: bytes) -> None:
        """Send bytes to the host unasked; they are lost if there is none."""
        with self._changing():
            if self._connection is not None:
                self._unsent += data

    def drop(self, rst: bool = True) -> None:
        """Cut the connection that is served now, with RST or with FIN; the next one waiting is then served."""
        with self._changing():
            self._cut = rst
        with self._event:
            self._event.wait_for(lambda: self._cut is None or not self._alive())

    def state(self) -> dict[str, object]:
        """What `simulate --control` shows at `/state`."""
        with self.lock:
            device = self.device
            received, printed = device.received, device.printed
            return {
                "dialect": device.dialect,
                "clone": device.clone.name,
                "reasons": dict(device.reasons),
                "bytes": len(received),
                "sha256": hashlib.sha256(received).hexdigest(),
                "printed_bytes": len(printed),
                "printed_sha256": hashlib.sha256(printed).hexdigest(),
                "jobs": device.tickets,
                "misprints": device.misprints.hex(),
                "connections": (self._connection is not None) + len(self._waiting),
                "connections_total": self._connections,
                "stalled": self._stalled,
            }

    def counts(self) -> dict[str, object]:
        """What `state` tells, and more, but for what costs more the more came: what an eye that is always open sees."""
        with self.lock:
            device = self.device
            return {
                "dialect": device.dialect,
                "clone": device.clone.name,
                "reasons": dict(device.reasons),
                "bytes": device.received_size,
                "printed_bytes": device.printed_size,
                "tickets": device.tickets,
                "drawer_kicks": device.drawer_kicks,
                "fed": device.fed,
                "room": device.room(),
                "buffer_size": device.buffer_size,
                "speed": device.speed,
                "stalled": self._stalled,
                "connected": self._connection is not None,
                "waiting": len(self._waiting),
                "connections_total": self._connections,
                "resets": self._resets,
            }

    @property
    def resets(self) -> int:
        """How often `reset` made it as new: what was read of the device before belongs to another life."""
        return self._resets

    def received(self) -> bytes:
        """Every byte read from the wire."""
        with self.lock:
            return self.device.received

    def printed(self) -> bytes:
        """The bytes that reached the print side."""
        with self.lock:
            return self.device.printed

    def wait(self, predicate: Callable[[Device], bool], timeout: float) -> bool:
        """Wait until the device is as wanted; looked at after every event.

        Args:
            predicate: Called with the lock held.
            timeout: Seconds.

        Returns:
            Whether it came to be so in time.
        """
        with self._event:
            return self._event.wait_for(lambda: predicate(self.device), timeout)

    def look_again(self) -> None:
        """Let all who `wait` look again, for what they wait for beside the device."""
        with self._event:
            self._event.notify_all()

    @contextlib.contextmanager
    def _changing(self) -> Generator[None]:
        """Change something from outside; the thread, which alone touches sockets, sees to what follows from it."""
        with self.lock:
            yield
            self._tell()
        self._wake()

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _wake(self) -> None:
        if self._thread is not None:
            with contextlib.suppress(OSError):  # full: it will wake anyway; closed: there is nobody to wake
                self._wake_out.send(b"\x00")

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self.lock:
                    if self._closing:
                        break
                    timeout = self._prepare()
                ready = self._selector.select(timeout)
                with self.lock:
                    for key, events in ready:
                        self._handle(key.fileobj, events)
                    self._after()
        finally:
            with self.lock:
                self._end()

    def _prepare(self) -> float | None:
        """Look at what only time changes, and say what to wait for and for how long (None = without end)."""
        now = time.monotonic()
        timeouts = []
        if self._cut is not None:
            self._hang_up(reset=self._cut)
            self._cut = None
        again = self.device.advance(now)
        if again is not None:
            timeouts.append(again)
        self._after()
        patience = self.device.clone.idle_reset
        if patience is not None and self._connection is not None and self._wants_bytes():
            if not self._reading:
                self._last_byte = now
            left = self._last_byte + patience - now
            if left <= 0:
                self._hang_up(reset=True)
                self._after()
            else:
                timeouts.append(left)
        self._reading = self._connection is not None and self._wants_bytes()
        self._watch()
        return min(timeouts, default=None)

    def _watch(self) -> None:
        """Tell the selector what we can take and give now; a socket of which we want nothing is not in it."""
        if self._server is not None:
            self._interest(self._server, selectors.EVENT_READ if len(self._waiting) < _WAITING else 0)
        if self._connection is not None:
            events = (selectors.EVENT_READ if self._wants_bytes() else 0) | (
                selectors.EVENT_WRITE if self._unsent else 0
            )
            self._interest(self._connection, events)

    def _interest(self, sock: socket.socket, events: int) -> None:
        key = self._selector.get_map().get(sock)
        if key is None:
            if events:
                self._selector.register(sock, events)
        elif not events:
            self._selector.unregister(sock)
        elif key.events != events:
            self._selector.modify(sock, events)

    def _wants_bytes(self) -> bool:
        return not self._stalled and not self._finishing and len(self._unsent) < _MOST_UNSENT and self.device.room() > 0

    def _handle(self, sock: object, events: int) -> None:
        if sock is self._wake_in:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(4096)
        elif sock is self._server:
            self._accept()
        elif sock is self._connection and events & selectors.EVENT_READ and self._wants_bytes():
            self._read()

    def _accept(self) -> None:
        if self._server is None:
            return
        try:
            connection, _ = self._server.accept()
        except OSError:  # it has gone again
            return
        connection.setblocking(False)
        if self._connection is not None and self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._hang_up(reset=True)  # its host reset it while we did not read
        if self.device.clone.single_connection and self._connection is not None:
            _reset(connection)
        else:
            self._waiting.append(connection)

    def _serve_next(self) -> None:
        while self._connection is None and self._waiting and not self._closing:
            connection = self._waiting.popleft()
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
            self._connections += 1
            self._unsent.clear()
            self._finishing = self._reading = False
            self.device.connected()

    def _read(self) -> None:
        if self._connection is None:
            return
        try:
            data = self._connection.recv(min(self.device.room(), _CHUNK))
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(reset=True)
            return
        if not data:
            self._finishing = True
            return
        self._last_byte = time.monotonic()
        self.device.receive(data)

    def _after(self) -> None:
        """Bring what has happened to the host, to the files and to those who wait."""
        self._tell()  # before the host hears of it: whoever has read a reply finds the files written
        while True:
            self._serve_next()
            output = self.device.output()
            if self._connection is None:
                break
            self._unsent += output
            self._send()
            if self._connection is not None or not self._waiting:
                break

    def _tell(self) -> None:
        if self._recorder is not None:
            self._recorder.record(self.device)
        self._event.notify_all()

    def _send(self) -> None:
        if self._connection is None:
            return
        if self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self._hang_up(reset=True)
                return
            del self._unsent[:sent]
        if self._finishing and not self._unsent:
            self._hang_up(reset=False)

    def _hang_up(self, *, reset: bool) -> None:
        """End the connection; only called with the lock held."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        if reset:
            _reset(connection)
        else:
            _finish(connection)
        self._unsent.clear()
        self._finishing = False
        self.device.disconnected()

    def _end(self) -> None:
        self._hang_up(reset=False)
        while self._waiting:
            _reset(self._waiting.popleft())
        self._cut = None
        self._selector.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._wake_in.close()
        self._wake_out.close()
        if self._recorder is not None:
            self._recorder.close()
        self._event.notify_all()


def _reset(connection: socket.socket) -> None:
    """Close with RST."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    connection.close()


def _finish(connection: socket.socket) -> None:
    """Close with FIN. What came and was not read is thrown away: with it, the kernel would send RST instead."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        for _ in range(_MOST_DISCARDED):
            if not connection.recv(_CHUNK):
                break
    connection.close()
