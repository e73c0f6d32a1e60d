"""A bad network in front of one printer: it stalls, resets, closes, delays, cuts after some bytes, answers late, and refuses."""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import struct
import threading
import time


class Proxy:
    """Listens on a port of its own and passes bytes on to `target`, as long as it is told to."""

    def __init__(self, target):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._pairs = []
        self._refusing = self._stalled = False
        self._delay = self._late = 0.0
        self._cut_after = None
        self._closed = False
        self._threads = []
        self._start(self._accept)

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    # -- what can be done to it ----------------------------------------------------------------------------------

    def refuse(self, on):
        """New connections are reset at once."""
        self._refusing = on

    def stall(self, on):
        """No byte moves."""
        self._stalled = on

    def delay(self, seconds):
        """Each piece takes so long, both ways."""
        self._delay = seconds

    def answer_late(self, seconds):
        """What the printer says comes so long after it said it; what it gets does not wait for that."""
        self._late = seconds

    def cut_after(self, count):
        """So many bytes more go to the printer, then the connection is reset."""
        self._cut_after = count

    def drop(self, *, rst):
        """Every connection ends now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._end(pair, rst=rst)

    def heal(self):
        """All is well again."""
        self._refusing = self._stalled = False
        self._delay, self._late, self._cut_after = 0.0, 0.0, None

    def close(self):
        self._closed = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._server.close()
        self.drop(rst=True)
        for thread in self._threads:  # with their descriptors
            thread.join(10)

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self._refusing:
                    self._end((client,), rst=True)
                    continue
                try:
                    printer = socket.create_connection(self._target, timeout=5)
                except OSError:
                    self._end((client,), rst=True)
                    continue
                pair = client, printer
                with self._lock:
                    self._pairs.append(pair)
                self._start(self._carry, pair)

    def _carry(self, pair):
        client, printer = pair
        answers = collections.deque()  # on their way, with the time of their arrival
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            for end in pair:
                selector.register(end, selectors.EVENT_READ)
            while not self._closed:
                if self._stalled:
                    time.sleep(0.01)  # the fault itself
                    continue
                while answers and answers[0][0] <= time.monotonic():
                    client.sendall(answers.popleft()[1])
                for key, _ in selector.select(0.01 if answers else 0.05):
                    data = key.fileobj.recv(4096)
                    if self._delay:
                        time.sleep(self._delay)
                    if not data:
                        raise OSError("the other end has closed")
                    if key.fileobj is client and self._cut_after is not None:
                        printer.sendall(data[: self._cut_after])
                        if len(data) >= self._cut_after:
                            self._cut_after = None
                            raise OSError("cut")
                        self._cut_after -= len(data)
                    elif key.fileobj is client:
                        printer.sendall(data)
                    elif self._late or answers:
                        answers.append((time.monotonic() + self._late, data))
                    else:
                        client.sendall(data)
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        self._end(pair, rst=True)

    @staticmethod
    def _end(sockets, *, rst):
        for each in sockets:
            with contextlib.suppress(OSError):
                if rst:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    each.shutdown(socket.SHUT_RDWR)
            each.close()
