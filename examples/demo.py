"""`make demo`: two virtual printers behind TCP, a server with its dashboard, and a label and a ticket printed through it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from rawprint.virtual import ControlPort, Listener, device

PRINTERS = {"Label": "tspl", "Receipt": "escpos"}  # name -> dialect
LABEL = """
    SIZE 80 mm, 40 mm
    GAP 3 mm, 0 mm
    CLS
    TEXT 100,100,"3",0,1,1,"Hello from rawprint"
    BARCODE 100,200,"128",60,1,0,2,2,"12345678"
    PRINT 1,1
"""
TICKET = """# Rawprint Cafe
^ Table 7

| 2 | Coffee |> 5.60 |
| 1 | Cake   |> 3.50 |
---
> **Total 9.10**
[cut]"""


def main() -> int:
    """Start printers and server, print, say where the dashboard is, and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        file = folder / "server.toml"
        file.write_text(configuration(stack, folder))
        return serve(file)


def configuration(stack: ExitStack, folder: Path) -> str:
    """A configuration with printers that run until the stack is closed; says how to break them."""
    text = f"[server]\nstate_dir = {json.dumps(str(folder))}\n"
    for name, dialect in PRINTERS.items():
        listener = stack.enter_context(Listener(device(dialect)))
        control = stack.enter_context(ControlPort(listener))
        text += f'[printers.{name}]\naddress = "{listener.address}"\ndialect = "{dialect}"\nshare = false\n'
        print(f"take the paper of {name} away: curl -X POST -d '{{\"media-empty\": true}}' {control.url}/state")
    return text


def serve(file: Path) -> int:
    """Run the server until Ctrl-C; returns its exit code."""
    command = [sys.executable, "-m", "rawprint_server", "--config", str(file)]
    server = subprocess.Popen([*command, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)  # noqa: S603  (our own module)
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            return server.wait()
        url = json.loads(line)["url"]
        print_a_label(url)
        print_a_ticket(url)
        print(f"\nOpen {dashboard(file, url)} in a browser on this machine, within a minute to be its administrator.")
        print("The lines at the top say how to take a virtual printer's paper away. Ctrl-C ends it.\n", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print()
    finally:
        with suppress(ProcessLookupError):
            server.send_signal(signal.SIGINT)
        code = server.wait()
    return code


def dashboard(file: Path, url: str) -> str:
    """The dashboard's address, with the code that makes who opens it the administrator, once."""
    command = [sys.executable, "-m", "rawprint_server", "dashboard", "--config", str(file), "--server", url, "--print"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (our own module)
    return done.stdout.strip() or url.replace("ws://", "http://")


def print_a_label(url: str) -> None:
    """Speak to the server as the JavaScript client does."""
    with connect(url) as page:

        def call(name: str, **params: object) -> dict[str, object]:
            page.send(json.dumps({"call": name, "uid": "demo", **params}))
            reply: dict[str, object] = json.loads(page.recv(timeout=10))
            return reply

        print("printers:", ", ".join(call("printers.find")["result"]))
        call("print", params={"printer": {"name": "Label"}, "data": [LABEL], "options": {"id": "demo-label"}})
        outcome = json.loads(page.recv(timeout=10))
        print(f"print:    {outcome['message']}")
        job = call("jobs.get", params={"id": "demo-label"})["result"]
        while job["state"] in ("pending", "processing", "stopped"):
            time.sleep(0.1)
            job = call("jobs.get", params={"id": "demo-label"})["result"]
        print(f"job:      {job['state']}, {job['bytes_accepted']} of {job['bytes_total']} bytes")
        status = call("printerStatus", PrinterName="Label")
        print(f"status:   {status['status_code']} (0 is idle), from the printer itself")


def print_a_ticket(url: str) -> None:
    """Print a document, as a page would."""
    item = {"type": "raw", "format": "ticket", "data": TICKET}
    params = {"printer": "Receipt", "data": [item], "options": {"jobName": "Table 7"}}
    with connect(url, subprotocols=[Subprotocol("rawprint.v1")]) as page:
        page.send(json.dumps({"call": "print", "uid": "ticket", "params": params}))
        page.recv(timeout=20)


if __name__ == "__main__":
    sys.exit(main())
