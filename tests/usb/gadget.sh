#!/bin/sh
# The kernel's own printer gadget on a loopback controller (dummy_hcd): a second, independent emulated printer.
# The host's side is /dev/usb/lp0 or libusb, the printer's side is /dev/g_printer0.   gadget.sh up
set -eu
g=/sys/kernel/config/usb_gadget/p
[ "$1" = up ] || exit 2
[ ! -e $g/configs/c.1/printer.0 ] || exit 0
for module in configfs dummy_hcd libcomposite usb_f_printer usblp; do modprobe $module; done
grep -q configfs /proc/mounts || mount -t configfs none /sys/kernel/config
mkdir -p $g/strings/0x409 $g/configs/c.1 $g/functions/printer.0
echo 0x0525 >$g/idVendor; echo 0xa4a8 >$g/idProduct
echo G0001 >$g/strings/0x409/serialnumber; echo "Gadget Printer" >$g/strings/0x409/product
printf 'MFG:Linux;MDL:Gadget;CLS:PRINTER;CMD:ESC/POS; ' >$g/functions/printer.0/pnp_string  # it eats the last character
ln -s $g/functions/printer.0 $g/configs/c.1/
echo dummy_udc.0 >$g/UDC
