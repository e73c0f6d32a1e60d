"""How smooth the dashboard stays: 200 printers and 10,000 jobs, and 10 jobs a second for half a minute.

Prints the time of its first paint, how long the page took until everything stood there, and the times between frames as
the browser drew them while jobs came and somebody scrolled. Needs playwright and Debian's chromium; run it in this folder's
parent: python benchmarks/dashboard.py [--seconds 30] [--printers 200] [--jobs 10000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import sync_playwright
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rawprint.virtual import Listener, device

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PER_SECOND = 10
AT_ONCE = 50  # jobs that are sent before an answer is read

# Notes the time of each frame until it is told to stop; scrolls slowly, as nothing is drawn of a page that stands still.
FRAMES = """(ms) => new Promise((resolve) => {
    const deltas = [], end = performance.now() + ms;
    let last = performance.now(), down = true;
    const step = (now) => {
        deltas.push(now - last);
        last = now;
        scrollBy(0, down ? 12 : -12);
        down = scrollY <= 0 ? true : scrollY > 4000 ? false : down;
        now < end ? requestAnimationFrame(step) : resolve(deltas.slice(1));
    };
    requestAnimationFrame(step);
})"""


def client(url: str) -> ClientConnection:
    return connect(url, subprotocols=[Subprotocol("rawprint.v1")], proxy=None, compression=None, max_size=None)


def send(ws: ClientConnection, printer: str, number: int) -> None:
    data = f'CLS\r\nTEXT 10,10,"3",0,1,1,"{number}"\r\nPRINT 1\r\n'
    params = {"printer": printer, "data": data, "options": {"jobName": f"Order {number}"}}
    ws.send(json.dumps({"call": "print", "uid": number, "params": params}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--printers", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument(
        "--tabs", type=int, default=1, help="so many dashboards are open; frames are those of the first"
    )
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        listeners = [stack.enter_context(Listener(device("tspl"))) for _ in range(args.printers)]
        names = [f"Printer {number:03}" for number in range(args.printers)]
        url, server = start_server(stack, folder, dict(zip(names, listeners, strict=True)))
        fill(url, names, args.jobs)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.callback(browser.close)
        pages = [browser.new_page(viewport={"width": 1280, "height": 900}) for _ in range(args.tabs)]
        for page in pages:
            start = time.perf_counter()
            page.goto(url.replace("ws://", "http://"))
            page.wait_for_selector(f"#printers-list > li:nth-child({args.printers})", state="attached")
            page.wait_for_selector("#jobs-list > li:nth-child(100)", state="attached")
        loaded = (time.perf_counter() - start) * 1000
        paint = pages[0].evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"first contentful paint   {paint:6.0f} ms")
        print(f"all of it on the page    {loaded:6.0f} ms")
        pages[0].bring_to_front()
        report("without jobs", pages[0].evaluate(FRAMES, 3000))
        stop = threading.Event()
        printing = threading.Thread(target=keep_printing, args=(url, names, stop))
        printing.start()
        before, at = cpu(server), time.monotonic()
        frames = pages[0].evaluate(FRAMES, args.seconds * 1000)
        used = (cpu(server) - before) / (time.monotonic() - at)
        stop.set()
        printing.join()
        report(f"with {PER_SECOND} jobs a second", frames)
        print(f"the server, meanwhile    {used:6.1%} of a core, {args.tabs} tabs")
    return 0


def start_server(stack: ExitStack, folder: Path, printers: dict[str, Listener]) -> tuple[str, int]:
    tables = [f'[printers."{name}"]\naddress = "{each.address}"\ndialect = "tspl"\n' for name, each in printers.items()]
    (folder / "server.toml").write_text(f'[server]\nstate_dir = "{folder}"\n' + "".join(tables))
    command = [sys.executable, "-m", "rawprint_server", "--config", str(folder / "server.toml"), "--port", "0"]
    log = stack.enter_context((folder / "log").open("w"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    return json.loads(process.stdout.readline())["url"], process.pid


def fill(url: str, names: list[str], jobs: int) -> None:
    with client(url) as ws:
        for start in range(0, jobs, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, jobs))
            for number in numbers:
                send(ws, names[number % len(names)], number)
            for _ in numbers:
                ws.recv()
    time.sleep(3)  # until the last ones are printed


def keep_printing(url: str, names: list[str], stop: threading.Event) -> None:
    number = 0
    with client(url) as ws:
        while not stop.wait(1 / PER_SECOND):
            send(ws, names[number % len(names)], number)
            ws.recv()
            number += 1


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def report(what: str, deltas: list[float]) -> None:
    deltas.sort()
    late = sum(each > 50 for each in deltas)
    middle, most = deltas[len(deltas) // 2], deltas[int(len(deltas) * 0.99)]
    print(
        f"frames {what:22} median {middle:5.1f} ms, 99 % {most:5.1f} ms, longest {deltas[-1]:5.1f} ms; "
        f"{late} of {len(deltas)} over 50 ms"
    )


if __name__ == "__main__":
    sys.exit(main())
