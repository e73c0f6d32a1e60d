#!/bin/sh
# Runs a command as root inside the emulated machine, in the current directory:  tests/usb/vm.sh python -m pytest …
# The guest sees this machine's files; what it writes goes to memory and is lost, except under /run/job ($USBTB_OUT here).
# Pure emulation: /dev/kvm may open and create a machine, and yet never get to the kernel's first message (nested).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
CACHE=$(cd "${USBTB_CACHE:-$here/../../.venv/usb-testbed}" && pwd)
OUT=${USBTB_OUT:-$(mktemp -d)}
[ -n "${USBTB_OUT:-}" ] || trap 'rm -rf "$OUT"' EXIT
quoted() { for word; do printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done; }

cat > "$OUT/job.sh" <<JOB
export PATH=$(quoted "$PATH:/usr/sbin:/sbin:$CACHE/udev/bin") HOME=/root LANG=C.UTF-8 TERM=dumb NO_COLOR=1 \\
  PYTHONDONTWRITEBYTECODE=1 SYSTEMD_IGNORE_CHROOT=1 RAWPRINT_IN_VM=1 USBTB_CACHE=$(quoted "$CACHE")
cache=$(quoted "$CACHE")
stty -onlcr
ip link set lo up 2>/dev/null || /bin/busybox ip link set lo up
mkdir -p /lib/modules /run/udev; ln -sfn "\$cache/lib/modules/\$(uname -r)" /lib/modules/
ln -sf /bin/busybox /sbin/modprobe
[ -n "${USBTB_NO_UDEV:-}" ] || "\$cache/udev/bin/systemd-udevd" --daemon 2>/dev/null
modprobe usbcore
cd $(quoted "$PWD")
$(quoted "$@")
JOB

set +e
timeout "${USBTB_TIMEOUT:-240}" qemu-system-x86_64 \
  -M q35 -accel tcg -cpu max -smp 1 -m "${USBTB_MEM:-512}" \
  -nodefaults -no-user-config -display none -serial stdio -no-reboot \
  -kernel "$CACHE/vmlinux" -initrd "$CACHE/initramfs.gz" \
  -append "console=ttyS0 loglevel=1 oops=panic panic=-1 mitigations=off no_timer_check" \
  -device isa-debug-exit,iobase=0xf4,iosize=4 \
  -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
  -virtfs local,path="$OUT",mount_tag=job,security_model=none \
  -device qemu-xhci,id=xhci </dev/null
code=$?
# The guest's code comes back as 2 * (code + 1) + 1, so that qemu's own failure, 1, is never a pass.
[ $((code % 2)) = 1 ] && [ $code -ge 3 ] && exit $((code / 2 - 1))
echo "vm.sh: the guest did not finish (qemu's exit code $code)" >&2
exit 125
