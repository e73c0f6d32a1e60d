"""What the tests in the emulated machine share: kernel modules, devices that are plugged in, users and rules."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..vhci import Plug, modprobe, wait_for

IN_VM = bool(os.environ.get("RAWPRINT_IN_VM"))
ROOT = Path(__file__).parents[3]


def pytest_ignore_collect(collection_path):
    """Outside the machine there is no such kernel: `make test-usb` runs these."""
    return None if IN_VM else True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The kernel's gadget stays plugged in (see there), and would take /dev/usb/lp0 from those that come after it."""
    items.sort(key=lambda item: "TestGadget" in item.nodeid)


@pytest.fixture(scope="session", autouse=True)
def drivers():
    modprobe("vhci-hcd", "usblp", "ftdi_sio", "cdc-acm")


@contextlib.contextmanager
def plugged(model, node=None, port=None):
    """The device in a port, once the system has it (and its node); pulled out at the end."""
    with Plug(model, port) as plug:
        assert wait_for(lambda: any_device(model))
        if node is not None:
            assert wait_for(lambda: os.path.exists(node)), f"no {node}"
        yield plug
    if node is not None:
        assert wait_for(lambda: not os.path.exists(node))


def any_device(model):
    for folder in Path("/sys/bus/usb/devices").iterdir():
        with contextlib.suppress(OSError):
            ids = [(folder / name).read_text().strip() for name in ("idVendor", "idProduct")]
            if ids == [f"{model.vid:04x}", f"{model.pid:04x}"]:
                return True
    return False


@contextlib.contextmanager
def udev_rules(text):
    """Rules of udev's that hold for what is plugged in meanwhile."""
    folder = Path("/run/udev/rules.d")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "70-rawprint.rules"
    file.write_text(text)
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    try:
        yield
    finally:
        file.unlink()
        subprocess.run(["udevadm", "control", "--reload"], check=True)


_AS_NOBODY = """
import os, sys
import rawprint.cli, rawprint.discovery, rawprint.print_queue, rawprint.transports.lp, rawprint.transports.serial
import rawprint.transports.trace, rawprint.probe.server, rawprint.probe.text, random
from rawprint.transports import usb, usb_devices
usb_devices.new_backend()  # libusb itself lies where only root may read, as does Python here
groups = [int(group) for group in sys.argv.pop(1).split(",") if group]
os.setgroups(groups), os.setgid(65534), os.setuid(65534)
sys.exit(rawprint.cli.main(sys.argv[1:]))
"""


def command(*words, groups=(), root=False, data=None):
    """Run `rawprint WORDS` as a user without rights (nobody, and those groups); the finished process."""
    how = ["-m", "rawprint"] if root else ["-c", _AS_NOBODY, ",".join(map(str, groups))]
    return subprocess.run(
        [sys.executable, *how, *words], cwd=ROOT, input=data, capture_output=True, check=False, timeout=60
    )
