"""The spooler that rawprint does without: a raw queue of CUPS to the same printer, in an instance for this alone."""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pairs import Row, alternate, compare
from sink import job
from stage import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = ("cups", "cups-client")
_CUPSD = "/usr/sbin/cupsd"
_READY_WITHIN = 10.0  # seconds

_SERVER = """\
Listen 127.0.0.1:{port}
LogLevel error
MaxLogSize 0
MaxJobs 0
Browsing Off
DefaultAuthType None
WebInterface No
PreserveJobHistory Yes
PreserveJobFiles No
<Location />
  Order allow,deny
  Allow all
</Location>
<Policy default>
  <Limit All>
    Order allow,deny
    Allow all
  </Limit>
</Policy>
"""
_FILES = """\
ServerRoot {0}
RequestRoot {0}/spool
TempDir {0}/tmp
CacheDir {0}/cache
StateDir {0}/state
AccessLog {0}/access_log
ErrorLog {0}/error_log
PageLog {0}/page_log
User {1}
Group {2}
SystemGroup root
"""
_PRINTERS = """\
<Printer raw>
DeviceURI socket://127.0.0.1:{}
State Idle
Accepting Yes
ErrorPolicy retry-job
</Printer>
"""

_PRINT_JOB, _GET_JOB_ATTRIBUTES = 0x0002, 0x0009
_OPERATION_GROUP, _END = b"\x01", b"\x03"
_INTEGER, _NAME, _URI, _CHARSET, _LANGUAGE, _MIME = 0x21, 0x42, 0x45, 0x47, 0x48, 0x49
_ENDED = 7  # the lowest `job-state` of a job that has ended


class NoCups(RuntimeError):
    """There is no CUPS here, and it could not be installed."""


def rows(rounds: int) -> Iterator[Row]:
    """A job through our server against the same job through CUPS."""
    note = (
        "from the call to the last byte read; floor: CUPS, IPP Print-Job on a kept HTTP connection to a raw queue, "
        "each job after the last one has ended"
    )
    for name, size in (("300 B", 300), ("1 MB", 1_000_000)):
        title = f"binary, kept, {name}, against CUPS"
        try:
            _install()
            data = job(size)
            with stage("keep") as on, _cups(on.printers.ports[0]) as queue:
                spooled = on.printers.through(queue, data, queue.finish)
                pairs = alternate(spooled, on.print(data, "attached"), max(rounds // 40, 10), warm_up=2)
            yield compare(title, "us", "ratio", [pairs], note=note)
        except (OSError, RuntimeError, subprocess.SubprocessError, http.client.HTTPException) as error:
            yield Row(title, "us", "ratio", note=note, error=f"{type(error).__name__}: {error}")


class _Queue:
    """A client of the queue `raw`, which sends a job when it is asked to and waits for its end."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def send(self, data: bytes) -> None:
        attributes = _attribute(_MIME, "document-format", b"application/vnd.cups-raw")
        self._post(_PRINT_JOB, attributes, data)

    def finish(self) -> None:
        job = _integer(self._reply(), "job-id")
        while True:
            self._post(_GET_JOB_ATTRIBUTES, _attribute(_INTEGER, "job-id", struct.pack(">i", job)))
            if _integer(self._reply(), "job-state") >= _ENDED:
                return
            time.sleep(0.005)

    def _post(self, operation: int, attributes: bytes, data: bytes = b"") -> None:
        body = (
            struct.pack(">HHI", 0x0101, operation, 1)
            + _OPERATION_GROUP
            + _attribute(_CHARSET, "attributes-charset", b"utf-8")
            + _attribute(_LANGUAGE, "attributes-natural-language", b"en")
            + _attribute(_URI, "printer-uri", b"ipp://localhost/printers/raw")
        )
        if operation == _PRINT_JOB:
            body += _attribute(_NAME, "requesting-user-name", b"bench")
        self._http.request(
            "POST", "/printers/raw", body + attributes + _END + data, {"Content-Type": "application/ipp"}
        )

    def _reply(self) -> bytes:
        reply = self._http.getresponse().read()
        if len(reply) < 4 or reply[2:4] >= b"\x01\x00":  # 0x0000 to 0x00ff: successful
            raise RuntimeError(f"CUPS refuses: {reply[:200]!r}")
        return reply


def _attribute(tag: int, name: str, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(name)) + name.encode() + struct.pack(">H", len(value)) + value


def _integer(reply: bytes, name: str) -> int:
    """The value of an integer or enum attribute: the name, a length of 4, four bytes."""
    at = reply.index(name.encode() + b"\x00\x04") + len(name) + 2
    return int.from_bytes(reply[at : at + 4], "big")


def _install() -> None:
    if Path(_CUPSD).exists():
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise NoCups(f"could not be installed because it takes root and apt-get: apt-get install {' '.join(_PACKAGES)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update", "-q"), ("install", "-q", "-y", "--no-install-recommends", *_PACKAGES)):
        done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoCups(
                f"could not be installed because {(done.stderr.strip().splitlines() or ['apt-get failed'])[-1]}"
            )


@contextmanager
def _cups(printer: int) -> Iterator[_Queue]:
    """A cupsd with one raw queue, as nobody where we are root, on a port and in a folder of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    root = os.geteuid() == 0
    user, group = ("nobody", "nogroup") if root else (pwd.getpwuid(os.geteuid())[0], grp.getgrgid(os.getegid())[0])
    with tempfile.TemporaryDirectory(prefix="rawprint-cups-") as name:
        folder = Path(name)
        for part in ("spool", "tmp", "cache", "state"):
            (folder / part).mkdir()
        (folder / "cupsd.conf").write_text(_SERVER.format(port=port))
        (folder / "cups-files.conf").write_text(_FILES.format(folder, user, group))
        (folder / "printers.conf").write_text(_PRINTERS.format(printer))
        as_user = {}
        if root:
            as_user = {"user": user, "group": group, "extra_groups": []}
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user, group)
        command = [_CUPSD, "-f", "-c", folder / "cupsd.conf", "-s", folder / "cups-files.conf"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_user) as process:
            try:
                _await(port, process)
                yield _Queue(port)
            finally:
                process.terminate()
                process.wait(10)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"cupsd did not start within {_READY_WITHIN:g} s")
