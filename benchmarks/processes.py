"""Starts the processes that a measurement needs, each on its processor, and ends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent


class Started:
    """A running process.

    Attributes:
        ready: What its first line says.
        process: For its id, and its standard output after that line.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: Any) -> None:
        self.process = process
        self.ready = ready

    @property
    def port(self) -> int:
        """A server's."""
        return int(self.ready["url"].rpartition(":")[2])

    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads, as the scheduler counts them: to the nanosecond."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def resident(self) -> float:
        """Megabytes of 1,000,000 bytes; Linux tells them in units of 1024 bytes that it calls kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kilobytes) * 1024 / 1e6


@contextmanager
def started(*arguments: object, cpu: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Started]:
    """A Python process that says one JSON line when it is ready, and is killed at the end.

    Raises:
        RuntimeError: It ended before that; with the last line that it wrote to standard error.
    """
    command = [sys.executable, *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0
        ) as process,
    ):
        try:
            if cpu:
                os.sched_setaffinity(process.pid, {int(cpu)})
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise RuntimeError((log.read().decode().strip().splitlines() or ["it said nothing"])[-1])
            yield Started(process, json.loads(line))
        finally:
            process.kill()


def server_cpu() -> str:
    """Where servers run; empty: where the system likes."""
    return os.environ.get("PEER_CPU", "")


@contextmanager
def floor_server(environment: Mapping[str, str] | None = None) -> Iterator[Started]:
    with started(HERE / "floor_server.py", cpu=server_cpu(), environment=environment) as server:
        yield server


@contextmanager
def our_server(
    config: str, environment: Mapping[str, str] | None = None, *, durability: str = "none", state: Path | None = None
) -> Iterator[Started]:
    """Ours; what a journal costs is measured by itself, so that elsewhere there is none."""
    with tempfile.TemporaryDirectory(prefix="rawprint-bench-") as folder:
        file = Path(folder) / "server.toml"
        kept = state or Path(folder) / "state"
        file.write_text(f'[server]\ndurability = "{durability}"\nstate_dir = "{kept}"\n{config}')
        arguments = ("-m", "rawprint_server", "--config", file, "--port", 0)
        with started(*arguments, cpu=server_cpu(), environment=environment) as server:
            yield server


@contextmanager
def sink(*kinds: str) -> Iterator[Started]:
    """Printers; `ready` is the list of their ports."""
    with started(HERE / "sink.py", *kinds) as far:
        yield far
