"""Who holds a device: told from shown processes that a test makes up, and from a real one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rawprint.transports import holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def proc(tmp_path):
    """proc(pid, opened, command, comm): one more process, as the kernel shows it."""
    root = tmp_path / "proc"
    (root / "net").mkdir(parents=True)

    def add(pid, opened=(), command=("program",), comm="program"):
        process = root / str(pid)
        (process / "fd").mkdir(parents=True)
        for number, target in enumerate(opened):
            (process / "fd" / str(number)).symlink_to(target)
        (process / "cmdline").write_bytes("".join(f"{word}\0" for word in command).encode())
        (process / "comm").write_text(f"{comm}\n")

    add.root = root
    return add


@pytest.fixture
def bus(tmp_path, monkeypatch):
    """The node of USB device 5 on bus 1, which is /dev/zero by another name."""
    folder = tmp_path / "dev" / "001"
    folder.mkdir(parents=True)
    (folder / "005").symlink_to("/dev/zero")
    monkeypatch.setattr(holders, "_BUS", folder.parent)


def driver(tmp_path, name):
    interface = tmp_path / "1-2:1.0"
    interface.mkdir()
    (interface / "driver").symlink_to(f"../../../bus/usb/drivers/{name}")
    return str(interface)


@pytest.mark.parametrize(
    ("command", "comm", "name"),
    [
        (("usb://EPSON/TM-T20II?serial=1", "7", "ann"), "usb", "CUPS (process 812)"),
        (("/usr/lib/cups/backend/usb",), "something", "CUPS (process 812)"),
        (("/usr/bin/python3", "/usr/bin/rawprint", "print"), "rawprint", "another rawprint (process 812)"),
        (("python3", "-m", "rawprint_server"), "python3", "another rawprint (process 812)"),
        (("python3", "till.py"), "python3", "python3 (process 812)"),
        ((), "idle", "idle (process 812)"),
    ],
)
def test_names(proc, command, comm, name):
    proc(9, ["/dev/zero"])
    proc(812, ["/dev/zero", "/dev/null"], command, comm)
    assert holders.holder_of("/dev/null", proc=proc.root) == name


def test_the_device_counts_and_not_its_name(proc, tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").symlink_to("/dev/null")
    (tmp_path / "dev" / "printer").write_text("")
    proc(812, [tmp_path / "dev" / "printer", "socket:[77]", "/dev/nowhere", tmp_path / "dev" / "null"])
    assert holders.holder_of("/dev/null", proc=proc.root) == "program (process 812)"
    assert holders.holder_of("/dev/zero", proc=proc.root) is None


def test_another_program_before_this_one(proc):
    proc(os.getpid(), ["/dev/null"])
    assert holders.holder_of("/dev/null", proc=proc.root) == "this program itself"
    proc(99999999, ["/dev/null"])
    assert holders.holder_of("/dev/null", proc=proc.root) == "program (process 99999999)"


def test_what_cannot_be_told_is_none(proc, tmp_path):
    (proc.root / "812").mkdir()  # another user's: nothing in it can be read
    for path in ("/dev/null", "/dev/no-such-device", str(tmp_path), __file__):
        assert holders.holder_of(path, proc=proc.root) is None
    assert holders.holder_of("/dev/null", proc=tmp_path / "nothing") is None


def test_who_asks_for_a_usb_interface_does_not_hold_it(proc, bus, tmp_path):
    """To be refused the interface it must have the device open; the holder may be one that this user cannot see."""
    proc(os.getpid(), ["/dev/zero"])
    usbfs = driver(tmp_path, "usbfs")
    assert holders.usb_interface_holder(1, 5, usbfs, proc=proc.root) is None
    (proc.root / str(os.getpid()) / "fd" / "9").symlink_to("/dev/zero")
    assert holders.usb_interface_holder(1, 5, usbfs, proc=proc.root) == "this program itself"
    proc(812, ["/dev/zero"], ("usb://EPSON/TM-T20II",), "usb")
    assert holders.usb_interface_holder(1, 5, None, proc=proc.root) == "CUPS (process 812)"
    assert holders.usb_interface_holder(1, 6, None, proc=proc.root) is None


def test_a_driver_of_the_kernel_holds_a_usb_interface(proc, bus, tmp_path):
    assert holders.usb_interface_holder(1, 5, driver(tmp_path, "usblp"), proc=proc.root) == "the kernel's driver usblp"
    assert holders.usb_interface_holder(1, 5, str(tmp_path / "nothing"), proc=proc.root) is None


def test_a_real_process():
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    code = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline()
        assert holders.holder_of(name).endswith(f"(process {child.pid})")
        child.stdin.close()
    assert holders.holder_of(name) is None
    os.close(master)
