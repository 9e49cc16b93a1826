#!/usr/bin/env bash
# The kernels' tests on an emulated processor with AMX, for machines that have none: Bochs starts Linux with nothing but the
# test program, which asks the system for the tiles and multiplies in them.
#
#   scripts/amx/run.sh BOCHS [FILTER…]      # default filters: product:: tests::a_product tests::a_linear
#
# BOCHS is the folder of a Bochs (3.0 or later) that was built with
#   ./configure --enable-x86-64 --enable-avx --enable-evex --enable-amx --enable-pci --with-nogui && make
# The kernel, the boot loader and a shell come from Debian's packages. Takes a quarter of an hour; emulated, nothing is fast.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { printf 'amx: error: %s\n' "$*" >&2; exit 1; }
[ $# -gt 0 ] || fail "no folder of Bochs: see the head of this script"
bochs=$(realpath "$1"); shift
filters=("$@")
[ ${#filters[@]} -gt 0 ] || filters=(product:: tests::a_product tests::a_linear)
[ -x "$bochs/bochs" ] || fail "no program $bochs/bochs: build it as the head of this script says"

test=$(cargo test --release -p kernels --lib --no-run --message-format=json 2> /dev/null |
  python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What Debian packages hold, without installing them.
mkdir "$work/packages" "$work/debian"
kernel=$(apt-cache depends linux-image-cloud-amd64 | grep -o 'linux-image-[0-9][^ ]*' | head -n 1)
(cd "$work/packages" && apt-get -qq download "$kernel" isolinux syslinux-common busybox-static xorriso libisoburn1 libburn4 libisofs6 libjte2) 2> /dev/null
for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/debian"; done

root="$work/root"
mkdir -p "$root"/{bin,dev,proc,lib64}
cp "$work/debian/bin/busybox" "$root/bin/"
cp "$test" "$root/bin/kernels"
for library in $(ldd "$test" | grep -o '/[^ ]*'); do mkdir -p "$root/$(dirname "$library")" && cp -L "$library" "$root/$library"; done
cat > "$root/init" << INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec > /dev/ttyS0 2>&1
/bin/busybox grep -o -m 1 -w 'amx_tile' /proc/cpuinfo
for filter in ${filters[*]}; do
  KO_STS_CPU=amx RUST_BACKTRACE=0 /bin/kernels --test-threads 1 "\$filter"
done
echo finished
/bin/busybox poweroff -f
INIT
chmod +x "$root/init"
disc="$work/disc"
mkdir "$disc"
(cd "$root" && find . | "$work/debian/bin/busybox" cpio -o -H newc 2> /dev/null) | gzip -1 > "$disc/initrd"
cp "$work"/debian/boot/vmlinuz-* "$disc/vmlinuz"
cp "$work/debian/usr/lib/ISOLINUX/isolinux.bin" "$work/debian/usr/lib/syslinux/modules/bios/ldlinux.c32" "$disc/"
cat > "$disc/isolinux.cfg" << 'CFG'
default linux
prompt 0
label linux
  kernel vmlinuz
  append initrd=initrd console=ttyS0 quiet mitigations=off tsc=reliable
CFG
LD_LIBRARY_PATH="$work/debian/usr/lib/x86_64-linux-gnu" "$work/debian/usr/bin/xorriso" -as mkisofs -quiet -o "$work/disc.iso" \
  -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$disc"

cat > "$work/bochsrc" << RC
cpu: model=sapphire_rapids, count=1, ips=100000000, reset_on_triple_fault=0
megs: 1024
romimage: file=$bochs/bios/BIOS-bochs-latest
vgaromimage: file=$bochs/bios/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
display_library: nogui
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
RC
"$bochs/bochs" -q -f "$work/bochsrc" > "$work/screen" 2>&1 &
emulator=$!
trap 'kill $emulator 2> /dev/null; rm -rf "$work"' EXIT
tail -n +1 -F --pid $emulator "$work/serial" 2> /dev/null | sed '/^finished/q' || true
grep -q amx_tile "$work/serial" || { tail -n 20 "$work/log" >&2; fail "the emulated processor has no AMX"; }
! grep -Eq 'FAILED|panicked|illegal' "$work/serial" && grep -q 'test result: ok. [1-9]' "$work/serial"
