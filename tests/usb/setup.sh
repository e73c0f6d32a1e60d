#!/bin/sh
# Prepares the emulated machine of the USB tests: qemu, a stock Debian kernel, a tiny initramfs; ready ones are kept.
# Needs Debian (amd64) and root, for three packages; kernel, udev and CUPS are only unpacked into the cache.
# Exit code 77: it cannot be had here, and one line says why.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
CACHE=${USBTB_CACHE:-$here/../../.venv/usb-testbed}

no() { echo "the USB test bed is left out: $*"; exit 77; }
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] && command -v apt-get >/dev/null || no "it needs Debian on amd64"
stamp="$CACHE/ready-$(cat "$here/setup.sh" "$here/vm-init" | cksum | cut -d' ' -f1)"
tools() { command -v qemu-system-x86_64 >/dev/null && command -v busybox >/dev/null; }
[ -e "$stamp" ] && tools && exit 0
[ "$(id -u)" = 0 ] || tools || no "qemu-system-x86 and busybox-static are not here, and only root can install them"

if [ "$(id -u)" = 0 ]; then
  apt-get update -qq >/dev/null 2>&1 || no "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      qemu-system-x86 busybox-static >/dev/null 2>&1 || no "apt-get could not install qemu-system-x86 and busybox-static"
fi
rm -rf "$CACHE"; mkdir -p "$CACHE/deb" "$CACHE/udev" "$CACHE/cups" "$CACHE/ir/bin" "$CACHE/ir/mod"
CACHE=$(cd "$CACHE" && pwd)
cd "$CACHE"
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -1)
(cd deb && apt-get download -qq "$kernel" udev cups libcups2 libusb-1.0-0 >/dev/null 2>&1) || no "apt-get could not download $kernel, udev and cups"

# The kernel and the modules that we may want: unpacked, never installed.
dpkg-deb --fsys-tarfile deb/linux-image-*.deb | tar x --wildcards \
    './boot/vmlinuz-*' './lib/modules/*/modules.*' \
    './lib/modules/*/kernel/drivers/usb/*' './lib/modules/*/kernel/drivers/virtio/*' \
    './lib/modules/*/kernel/net/9p/*' './lib/modules/*/kernel/fs/9p/*' \
    './lib/modules/*/kernel/fs/netfs/*' './lib/modules/*/kernel/fs/fscache/*' \
    './lib/modules/*/kernel/fs/overlayfs/*' './lib/modules/*/kernel/fs/configfs/*'
version=$(basename lib/modules/*)
busybox depmod -b . "$version"
# Unpacked, it boots through PVH, which saves some three seconds of decompression by an emulated processor.
python3 - boot/vmlinuz-* vmlinux <<'PY'
import lzma, sys
image = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(lzma.LZMADecompressor().decompress(image[image.index(b"\xfd7zXZ\0"):]))
PY

# libusb learns of plugs and unplugs from udevd, so the guest runs one.
dpkg-deb -x deb/udev_*.deb udev
ln -sf udevadm udev/bin/systemd-udevd
# CUPS' own usb backend, the rival for a printer.
for package in deb/cups*.deb deb/libcups2*.deb deb/libusb*.deb; do dpkg-deb -x "$package" cups; done

cp "$(command -v busybox)" ir/bin/busybox
cp "$here/vm-init" ir/init; chmod +x ir/init
modules() {  # a module behind all that it needs
  line=$(grep "/$1\.ko:" "lib/modules/$version/modules.dep")
  for needed in $(echo "${line#*:}" | tr ' ' '\n' | tac); do echo "$needed"; done
  echo "${line%%:*}"
}
count=10
for module in $(for name in virtio_pci 9pnet_virtio 9p overlay; do modules "$name"; done | awk '!seen[$0]++'); do
  count=$((count + 1)); cp "lib/modules/$version/$module" "ir/mod/$count-$(basename "$module")"
done
(cd ir && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) > initramfs.gz
rm -rf deb
touch "$stamp"
echo "the USB test bed is ready: kernel $version, $(du -sm . | cut -f1) MB"
