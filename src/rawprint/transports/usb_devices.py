"""Which interfaces of the USB devices on this machine are printers, what they are called, and which one an address means."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import usb.backend.libusb1
import usb.core
import usb.util

from rawprint import device_id
from rawprint.address import UsbAddress
from rawprint.errors import AmbiguousAddress, BackendMissing, PrinterNotFound
from rawprint.transports import usb_quirks

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

_PRINTER_CLASS, _PRINTER_SUBCLASS, _VENDOR_CLASS = 0x07, 0x01, 0xFF
# bInterfaceProtocol, the best first: bidirectional, unidirectional, IEEE 1284.4 (usblp and CUPS choose alike). 4 is
# IPP over USB, which is no byte pipe.
_PROTOCOLS = (2, 1, 3)
_SYSFS = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class UsbPrinter:
    """One printer interface of one device, as its descriptors have it. Nothing of it is opened or claimed."""

    device: Any  # usb.core.Device
    interface: int
    alternate: int
    several: bool  # alternate settings, of which this one must be chosen
    speaks_class: bool  # the printer class' requests: device id, port status
    out: Any  # usb.core.Endpoint
    back: Any = field(default=None)  # usb.core.Endpoint; None: it cannot answer

    @property
    def ids(self) -> str:
        """Vendor and product as addresses write them."""
        return f"{self.device.idVendor:04x}:{self.device.idProduct:04x}"

    @cached_property
    def port(self) -> str:
        """Bus and port path, such as 1-2.3: the socket that it is plugged into. "" where the system does not tell."""
        return port_path(self.device)

    @cached_property
    def serial(self) -> str:
        """The serial number; "" where there is none, or none that an address could hold."""
        text = _string(self.device, "serial", "iSerialNumber")
        return text if text.isprintable() else ""

    @cached_property
    def device_id(self) -> str:
        """The IEEE 1284 device id, where the kernel's own driver has asked for it; else ""."""
        return _sysfs(self.device, "ieee1284_id", self.interface)

    @cached_property
    def make_model(self) -> str:
        """Maker and model: the device id's, else the descriptors' strings."""
        keys = device_id.parse(self.device_id)
        if keys.get("MDL"):
            return f"{keys.get('MFG', '')} {keys['MDL']}".strip()
        names = (_string(self.device, "manufacturer", "iManufacturer"), _string(self.device, "product", "iProduct"))
        return " ".join(filter(None, names))

    @property
    def keep_detached(self) -> bool:
        """Whether the kernel's driver is not to be given back."""
        return usb_quirks.has(self.device.idVendor, self.device.idProduct, "keep_detached")


def new_backend() -> Any:
    """A libusb context of its own.

    An old one does not hear of plugs and unplugs where no udevd runs, as in most containers.

    Raises:
        BackendMissing: There is no libusb.
    """
    if usb.backend.libusb1.get_backend(find_library=_library) is None:
        raise BackendMissing(
            "libusb is not here",
            hint="install it: apt install libusb-1.0-0 (Debian), brew install libusb (macOS), pip install libusb-package",
        )
    return _Backend(usb.backend.libusb1._lib)


class _Backend(usb.backend.libusb1._LibUSB):  # type: ignore[misc]
    """pyusb's libusb, whose errors keep count: how much of a transfer the printer took before it failed."""

    def bulk_write(self, handle: Any, endpoint: int, interface: int, data: array[int], timeout: int) -> int:  # noqa: ARG002
        address, length = data.buffer_info()
        taken = ctypes.c_int()
        code = self.lib.libusb_bulk_transfer(
            handle.handle,
            endpoint,
            ctypes.cast(address, ctypes.POINTER(ctypes.c_ubyte)),
            length * data.itemsize,
            ctypes.byref(taken),
            timeout,
        )
        if not (taken.value and code == usb.backend.libusb1.LIBUSB_ERROR_TIMEOUT):
            try:
                usb.backend.libusb1._check(code)
            except usb.core.USBError as error:
                error.transferred = taken.value
                raise
        return taken.value


def _library(name: str) -> str | None:
    """The libusb that came as a Python package, else the system's."""
    try:
        import libusb_package  # noqa: PLC0415
    except ImportError:
        return ctypes.util.find_library(name)
    path: str | None = libusb_package.find_library(name)
    return path or ctypes.util.find_library(name)


def printers(backend: Any) -> Iterator[UsbPrinter]:
    """Every printer interface that the machine has."""
    for device in usb.core.find(find_all=True, backend=backend):
        yield from _interfaces(device, None)


def locate(address: UsbAddress, backend: Any) -> UsbPrinter:
    """The one printer that the address means.

    Raises:
        PrinterNotFound: There is none.
        AmbiguousAddress: There are several; `candidates` has an address for each.
    """
    vid, pid = int(address.vid, 16), int(address.pid, 16)
    devices = list(usb.core.find(find_all=True, backend=backend, idVendor=vid, idProduct=pid))
    fits = [
        printer
        for device in devices
        for printer in _interfaces(device, address.interface)
        if address.port in ("", printer.port) and address.serial in ("", printer.serial)
    ]
    if not fits:
        raise _not_found(address, devices)
    if len(fits) > 1:
        candidates = [printer_address(printer, fits) for printer in fits]
        raise AmbiguousAddress(
            f"{len(fits)} printers fit {address}",
            hint=f"name one of them: {', '.join(candidates)}",
            candidates=candidates,
        )
    return fits[0]


def printer_address(printer: UsbPrinter, among: list[UsbPrinter]) -> str:
    """The shortest address that means this printer and no other of those.

    By serial number, which stays when it is plugged in elsewhere; else by the port that it is plugged into.
    """
    alike = [other for other in among if other.ids == printer.ids]
    on_device = [other for other in alike if other.port == printer.port]
    unique = [other.serial for other in alike if other.port != printer.port].count(printer.serial) == 0
    vid, _, pid = printer.ids.partition(":")
    serial = printer.serial if unique else ""
    return str(
        UsbAddress(
            vid,
            pid,
            serial,
            printer.port if not serial and len(alike) > len(on_device) else "",
            printer.interface if len(on_device) > 1 else None,
        )
    )


def _not_found(address: UsbAddress, devices: list[Any]) -> PrinterNotFound:
    plain = f"{address.vid}:{address.pid}"
    if not devices:
        return PrinterNotFound(
            f"no USB device {plain} is plugged in",
            hint="check the cable and that the printer is on; `rawprint list` shows what is there",
        )
    if address.interface is None and not any(True for device in devices for _ in _interfaces(device, None)):
        return PrinterNotFound(
            f"the USB device {plain} has no printer interface",
            hint="if it prints on another one, add its number: ?interface=0",
        )
    return PrinterNotFound(
        f"a USB device {plain} is there, but not the one that {address} names",
        hint="serial number, port or interface differ; `rawprint list` shows what is there",
    )


def _interfaces(device: Any, wanted: int | None) -> Iterator[UsbPrinter]:
    """The device's printer interfaces; where one is wanted by its number, that one if it has a bulk OUT endpoint."""
    try:
        # The first configuration: printers have one, and to ask which is active the device would have to be opened.
        settings = list(device[0])
    except (usb.core.USBError, NotImplementedError, IndexError):  # its descriptors cannot be read
        return
    for number in sorted({setting.bInterfaceNumber for setting in settings}):
        if wanted not in (None, number):
            continue
        alternates = [setting for setting in settings if setting.bInterfaceNumber == number]
        ranked = sorted(
            ((rank, setting) for setting in alternates if (rank := _rank(device, setting, wanted)) is not None),
            key=lambda pair: (pair[0], pair[1].bAlternateSetting),
        )
        for _, setting in ranked:
            out, back = _endpoint(setting, usb.util.ENDPOINT_OUT), _endpoint(setting, usb.util.ENDPOINT_IN)
            if out is not None:
                yield UsbPrinter(
                    device,
                    number,
                    setting.bAlternateSetting,
                    several=len(alternates) > 1,
                    speaks_class=setting.bInterfaceClass == _PRINTER_CLASS,
                    out=out,
                    back=back,
                )
                break


def _rank(device: Any, setting: Any, wanted: int | None) -> int | None:
    """How well a setting fits, 0 best; None: it is no printer."""
    kind = (setting.bInterfaceClass, setting.bInterfaceSubClass)
    if kind == (_PRINTER_CLASS, _PRINTER_SUBCLASS) and setting.bInterfaceProtocol in _PROTOCOLS:
        return _PROTOCOLS.index(setting.bInterfaceProtocol)
    vendor = setting.bInterfaceClass == _VENDOR_CLASS and usb_quirks.has(
        device.idVendor, device.idProduct, "vendor_class"
    )
    return len(_PROTOCOLS) if vendor or wanted is not None else None


def _endpoint(setting: Any, direction: int) -> Any:
    for endpoint in setting:
        bulk = usb.util.endpoint_type(endpoint.bmAttributes) == usb.util.ENDPOINT_TYPE_BULK
        if bulk and usb.util.endpoint_direction(endpoint.bEndpointAddress) == direction:
            return endpoint
    return None


def port_path(device: Any) -> str:
    """Bus and port path of a device, such as 1-2.3; "" where the system does not tell."""
    ports = device.port_numbers
    return f"{device.bus}-{'.'.join(map(str, ports))}" if ports else ""


def sysfs_interface(device: Any, interface: int) -> Path | None:
    """Where Linux shows the interface; None elsewhere."""
    folder = _sysfs_folder(device)
    return folder.parent / f"{folder.name}:1.{interface}" if folder else None


def _sysfs_folder(device: Any) -> Path | None:
    if sys.platform != "linux" or not device.port_numbers:
        return None
    folder = _SYSFS / port_path(device)
    # A device that is plugged in anew has another number; and an emulated one is not there at all.
    return folder if _text(folder / "devnum") == str(device.address) else None


def _sysfs(device: Any, name: str, interface: int | None = None) -> str:
    folder = _sysfs_folder(device) if interface is None else sysfs_interface(device, interface)
    return _text(folder / name) if folder and _sysfs_folder(device) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _string(device: Any, name: str, index: str) -> str:
    """A string of the descriptors: by the kernel, which shows it to everybody, else by asking the device."""
    number = getattr(device, index)
    if not number:
        return ""
    if _sysfs_folder(device):
        return _sysfs(device, name)
    try:
        text: str | None = usb.util.get_string(device, number)
    except (usb.core.USBError, ValueError, NotImplementedError):  # no rights, or the device does not answer
        return ""
    finally:
        usb.util.dispose_resources(device)
    return (text or "").strip().strip("\0")


def is_gone(error: usb.core.USBError) -> bool:
    """Whether the error says that the device is not there any more; the host controllers differ in how."""
    return error.errno in (errno.ENODEV, errno.EIO, errno.ESHUTDOWN, errno.ENXIO)
