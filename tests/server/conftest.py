"""A real server on a free port, real virtual printers behind TCP, real WebSocket clients."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from websockets.sync.client import connect

from rawprint.virtual import Listener, device
from rawprint_server import grants
from rawprint_server.app import App
from rawprint_server.config import AccessConfig, Config, PrinterConfig, ServerConfig, check

PATIENCE = 5.0  # seconds until something that must come is given up


class RunningServer:
    """An `App` in a thread with an event loop of its own; `app` is used from that loop alone."""

    def __init__(self, config, state=None, **options):
        self.app = App(config, state, **options)
        self.loop = None
        self._stop = None
        self._up = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._main)

    def __enter__(self):
        self._thread.start()
        assert self._up.wait(PATIENCE)
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *_):
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(2 * PATIENCE)
        assert not self._thread.is_alive()

    def _main(self):
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self):
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self.app:
                self._up.set()
                await self._stop.wait()
        except Exception as error:
            if self._up.is_set():
                raise
            self._error = error
            self._up.set()

    @property
    def port(self):
        return self.app.port

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def call(self, function, *args):
        """Runs a function on the server's loop."""

        async def run():
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE)

    @contextmanager
    def connect(self, url=None, **options):
        with connect(url or self.url, proxy=None, compression=None, max_size=None, **options) as ws:
            yield Client(ws)

    @contextmanager
    def native(self, **options):
        with connect(
            self.url, proxy=None, compression=None, max_size=None, subprotocols=["rawprint.v1"], **options
        ) as ws:
            yield Native(ws)

    def metric(self, line):
        """The value of one time series of /metrics, named as it stands there; 0 where it is not."""
        status, _, body = self.http(["GET /metrics"])
        assert status == 200
        values = dict(text.rsplit(" ", 1) for text in body.decode().splitlines() if not text.startswith("#"))
        return float(values.get(line, 0))

    def http(self, head, host=None, family=socket.AF_INET):
        """Sends a request line and header lines; returns status, headers (lower case) and body."""
        lines = [
            f"{head[0]} HTTP/1.1",
            *([] if host == "" else [f"Host: {host or f'127.0.0.1:{self.port}'}"]),
            *head[1:],
        ]
        with socket.create_connection(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", self.port), PATIENCE
        ) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        top, _, body = answer.partition(b"\r\n\r\n")
        status, *rest = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        return int(status.split()[1]), headers, body


class Client:
    """One connection; what it sends and gets is JSON unless it says otherwise."""

    def __init__(self, ws):
        self.ws = ws

    def send(self, call, uid="U", **rest):
        self.ws.send(json.dumps({"call": call, "uid": uid, **rest}))

    def recv(self, timeout=PATIENCE):
        return json.loads(self.ws.recv(timeout))

    def ask(self, call, uid="U", **rest):
        self.send(call, uid, **rest)
        return self.recv()

    def print(self, name, data, uid="U", **params):
        """Sends a print; returns its last frame, the notice having come before it."""
        self.send("print", uid, params={"printer": {"name": name}, "data": data, **params})
        notice = self.recv()
        assert notice == {"uid": uid, "status": f"Printing job started on {name}", "status_code": 1}
        return self.recv()

    def status(self, name):
        return self.ask("printerStatus", PrinterName=name)["status_code"]

    def frames_until_sentinel(self):
        """Everything that is still to come, as text: replies keep the order of requests, so the answer to one more ends it."""
        self.ws.send('{"call":"server.version","uid":"sentinel"}')
        frames = []
        while True:
            frame = self.ws.recv(PATIENCE)
            if frame.startswith('{"uid":"sentinel"'):
                return frames
            frames.append(frame)


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.hint = error["code"], error["message"], error["hint"]


class Native:
    """One connection of the native protocol; replies and events are kept until somebody wants them.

    Attributes:
        events: Those that came and were not taken, in order.
    """

    def __init__(self, ws):
        self.ws = ws
        self.events = []
        self._replies = {}
        self._last_uid = 0

    def send(self, call, /, attached=None, **params):
        """Sends a request, as a binary frame where bytes are attached; returns its uid."""
        self._last_uid += 1
        text = json.dumps({"call": call, "uid": self._last_uid, "params": params})
        if attached is None:
            self.ws.send(text)
        else:
            self.ws.send(framed(text, attached))
        return self._last_uid

    def reply(self, uid, timeout=PATIENCE):
        """The result of the request with that uid; raises `Refused` where it is an error."""
        self._read_until(lambda: uid in self._replies, timeout)
        reply = self._replies.pop(uid)
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["result"]

    def ask(self, call, /, attached=None, **params):
        return self.reply(self.send(call, attached, **params))

    def print(self, printer, data, attached=None, **options):
        """Prints; returns the job."""
        return self.ask("print", attached, printer=printer, data=data, options=options)

    def refusal(self, call, /, attached=None, **params):
        """The error that a request is answered with."""
        with pytest.raises(Refused) as caught:
            self.ask(call, attached, **params)
        return caught.value

    def event(self, wanted, timeout=PATIENCE):
        """Takes the events up to the first that `wanted(kind, data)` says yes to, and returns its data."""
        found = []

        def look():
            while self.events:
                event = self.events.pop(0)
                if wanted(event["event"], event["data"]):
                    found.append(event["data"])
                    return True
            return False

        self._read_until(look, timeout)
        return found[0]

    def job_event(self, id, *states):
        return self.event(lambda kind, data: kind == "job" and data["id"] == id and data["state"] in states)

    def read(self, timeout=PATIENCE):
        """The next frame, as it came."""
        return json.loads(self.ws.recv(timeout))

    def settled(self):
        """Everything that the server sent before it answered one more request is in `events`."""
        self.ask("server.version")
        return self.events

    def has_reply(self, uid):
        return uid in self._replies

    def _read_until(self, done, timeout):
        deadline = time.monotonic() + timeout
        while not done():
            frame = json.loads(self.ws.recv(deadline - time.monotonic()))
            if "event" in frame:
                self.events.append(frame)
            else:
                self._replies[frame["uid"]] = frame


def framed(text, attached):
    """A binary frame of the native protocol."""
    header = text.encode()
    return len(header).to_bytes(4, "big") + header + attached


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


# The printers ask for `stack` so that they end before it, and with it the server: a server waits at its end until a
# printer that is still there has finished.


@pytest.fixture
def label(stack):
    """A TSPL printer behind TCP."""
    with Listener(device("tspl")) as listener:
        yield listener


@pytest.fixture
def receipt(stack):
    """An ESC/POS printer behind TCP."""
    with Listener(device("escpos")) as listener:
        yield listener


@pytest.fixture
def start(stack):
    """Starts a server: `start(printers={name: (address, dialect) or a PrinterConfig}, origins=[...], **keys of [server])`."""

    def start(printers=None, origins=(), **server):
        config = Config(
            server=ServerConfig(**({"port": 0} | server)),
            printers={
                name: printer if isinstance(printer, PrinterConfig) else PrinterConfig(*printer)
                for name, printer in (printers or {}).items()
            },
            access=AccessConfig(tuple(origins)),
        )
        check(config)
        return stack.enter_context(RunningServer(config))

    return start


@pytest.fixture
def server(start, label, receipt):
    """A server with the printers `Label` and `Receipt`."""
    return start({"Label": (label.address, "tspl"), "Receipt": (receipt.address, "escpos")})


@pytest.fixture
def administered(stack, tmp_path, label, receipt):
    """administered(printers, access, **keys of [server]) -> a server with a state folder, and a client that is its administrator."""

    def administered(printers=None, access=None, file=None, **server):
        config = Config(
            server=ServerConfig(**({"port": 0} | server)),
            printers=printers
            or {"Label": PrinterConfig(label.address, "tspl"), "Receipt": PrinterConfig(receipt.address, "escpos")},
            access=access or AccessConfig(("https://pos.example.com",)),
        )
        check(config)
        state = tmp_path / "state"
        running = stack.enter_context(RunningServer(config, state, file=file))
        secret = grants.admin_secret(state, make=False)
        headers = {"Authorization": f"Bearer {secret}"}
        return running, stack.enter_context(running.native(additional_headers=headers))

    return administered


@pytest.fixture
def client(server, stack):
    return stack.enter_context(server.connect())
