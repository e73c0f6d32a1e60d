"""What single USB printers need that others do not: rows of data, each with its symptom and who saw it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Quirk(NamedTuple):
    """What one kind of printer needs that others do not; each row says why, and who saw it."""

    vid: int
    pid: int | None  # None: all of this maker's
    vendor_class: bool = False  # its interface of class FF prints, without the class' requests
    keep_detached: bool = False  # the kernel's driver does not come back to it well


QUIRKS = (
    # "Epson UB-U0x": shows class FF, and its bulk endpoints print all the same (CUPS org.cups.usb-quirks; usblp has
    # the same row as USBLP_QUIRK_BAD_CLASS).
    Quirk(0x04B8, 0x0202, vendor_class=True),
    # usblp bound again hangs or prints garbage; CUPS org.cups.usb-quirks, "no-reattach".
    Quirk(0x0A5F, None, keep_detached=True),  # Zebra
    Quirk(0x2D84, None, keep_detached=True),  # Arkscan
    Quirk(0x195F, 0x0001, keep_detached=True),  # Godex
    Quirk(0x067E, None, keep_detached=True),  # Intermec
    Quirk(0x04B8, 0x0001, keep_detached=True),  # Epson
    Quirk(0x04F9, 0x001A, keep_detached=True),  # Brother
    Quirk(0x04F9, 0x0007, keep_detached=True),
    Quirk(0x04F9, 0x000D, keep_detached=True),
    Quirk(0x04F9, 0x000E, keep_detached=True),
    Quirk(0x1A86, 0x7584, keep_detached=True),  # CH340S
    Quirk(0x067B, 0x2305, keep_detached=True),  # PL2305
)


def has(vid: int, pid: int, quirk: Literal["vendor_class", "keep_detached"]) -> bool:
    """Whether a row about this printer says so."""
    return any(row.vid == vid and row.pid in (None, pid) and getattr(row, quirk) for row in QUIRKS)


def udev_rules() -> str:
    """The udev rules (Linux) by which users may open USB printers without being root."""
    grant = 'GROUP="lp", MODE="0660", TAG+="uaccess"'
    vendor = "\n".join(
        f'ATTR{{idVendor}}=="{row.vid:04x}", ATTR{{idProduct}}=="{row.pid:04x}", {grant}'
        for row in QUIRKS
        if row.vendor_class and row.pid is not None
    )
    return f"""\
# Lets whoever sits at this computer, and the members of group lp, open USB printers without the system's spooler.
#   rawprint udev | sudo tee /etc/udev/rules.d/70-rawprint.rules
#   sudo udevadm control --reload        and plug the printer in again
ACTION=="remove", GOTO="rawprint_end"
SUBSYSTEM!="usb", GOTO="rawprint_end"
ENV{{DEVTYPE}}!="usb_device", GOTO="rawprint_end"
ENV{{ID_USB_INTERFACES}}=="", IMPORT{{builtin}}="usb_id"
# The printer class (7, 1) with a protocol that is a byte pipe; 4 would be IPP over USB.
ENV{{ID_USB_INTERFACES}}=="*:07010[123]:*", {grant}
# Printers that show a class of their own.
{vendor}
LABEL="rawprint_end"
"""
