"""`make demo`: a server with two virtual printers behind TCP, and a label printed through it, as a web page would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress

from websockets.sync.client import connect

LABEL = """
    SIZE 80 mm, 40 mm
    GAP 3 mm, 0 mm
    CLS
    TEXT 100,100,"3",0,1,1,"Hello from rawprint"
    BARCODE 100,200,"128",60,1,0,2,2,"12345678"
    PRINT 1,1
"""


def main() -> int:
    """Start the server, print, show what came of it, and wait for Ctrl-C."""
    server = subprocess.Popen(  # noqa: S603  (our own module)
        [sys.executable, "-m", "rawprint_server", "--demo", *sys.argv[1:]], stdout=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            return server.wait()
        url = json.loads(line)["url"]
        print_a_label(url)
        print(f"\nOpen {url.replace('ws://', 'http://')} in a browser on this machine. Ctrl-C ends it.")
        print("The lines above say how to take a virtual printer's paper away.\n", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print()
    finally:
        with suppress(ProcessLookupError):
            server.send_signal(signal.SIGINT)
        code = server.wait()
    return code


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


if __name__ == "__main__":
    sys.exit(main())
