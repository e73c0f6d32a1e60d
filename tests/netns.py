"""Networks of a test's own: two network namespaces with a cable (a veth pair) between them, gone when the test is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

PATIENCE = 20.0
HERE, THERE = "10.91.7.1", "10.91.7.2"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def why_not():
    """Why this machine gives no namespaces; "" where it does."""
    if sys.platform != "linux":
        return "network namespaces are Linux'"
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    name = f"rawprint-{uuid.uuid4().hex[:8]}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine gives no network namespaces: {getattr(error, 'stderr', b'') or error}"
    return ""


NEEDED = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


class Network:
    """The two ends; `here` is where rawprint runs, `there` is the printers' side."""

    def __init__(self, stack):
        tag = uuid.uuid4().hex[:6]
        self.here, self.there = f"rp-{tag}-a", f"rp-{tag}-b"
        self._stack = stack
        for name in (self.here, self.there):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
        near, far = f"rp{tag}a", f"rp{tag}b"
        ip("link", "add", near, "netns", self.here, "type", "veth", "peer", "name", far, "netns", self.there)
        for name, link, address in ((self.here, near, HERE), (self.there, far, THERE)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "route", "add", "224.0.0.0/4", "dev", link)
        self.far = far

    def run(self, *words):
        """A command of ours on this side; (exit code, standard output, standard error)."""
        command = ["ip", "netns", "exec", self.here, sys.executable, *words]
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=PATIENCE, cwd=Path(__file__).parent.parent
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def rawprint(self, *words):
        """`rawprint WORDS --json` on this side: (exit code, document)."""
        code, out, err = self.run("-m", "rawprint", *words, "--json")
        assert out, err
        return code, json.loads(out)

    def start(self, script, *words):
        """A Python script on the other side; it is ready when it has written a line."""
        command = ["ip", "netns", "exec", self.there, sys.executable, "-c", script, *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        self._stack.callback(self._end, process)
        assert process.stdout.readline()
        return process

    @staticmethod
    def _end(process):
        process.kill()
        process.communicate()


@pytest.fixture
def network():
    """A `Network`."""
    with contextlib.ExitStack() as stack:
        yield Network(stack)
