#!/usr/bin/env bash
# Makes libtorch 2.11.0 available to the build as the link `.libtorch`. Safe to run again: what is there is kept.
#
# Where it comes from, in this order:
#   1. $LIBTORCH, if set
#   2. a Python PyTorch 2.11.0, if `python3` imports one
#   3. the official CPU archive, if PyTorch's download site answers within 5 seconds (about 180 MB)
#   4. the PyPI wheel, of which a CPU program needs a part (about 530 MB)
# Downloads are kept in $KO_STS_CACHE (default: ~/.cache/ko-sts), so that a second clone needs none.
set -euo pipefail

version=2.11.0
archive="https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-$version%2Bcpu.zip"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
link="$root/.libtorch"
cache="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}"
needed_mb=3000 # wheel, its unpacked part and slack, while both are on disk

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# Prints the version of the libtorch (or Python torch package) in folder $1; nothing if it is none.
version_of() {
  if [ -f "$1/build-version" ]; then
    sed 's/+.*//' "$1/build-version"
  elif [ -f "$1/version.py" ]; then
    sed -n "s/^__version__ = ['\"]\([0-9.]*\).*/\1/p" "$1/version.py"
  fi
}

# Fails, with what is missing on stdout, unless folder $1 is a libtorch of the right version that can be built against.
check() {
  local file
  for file in include/torch/csrc/api/include/torch/torch.h lib/libtorch_cpu.so lib/libtorch.so lib/libc10.so; do
    [ -f "$1/$file" ] || { echo "$file is missing"; return 1; }
  done
  local found
  found=$(version_of "$1")
  [ "$found" = "$version" ] || { echo "it is version ${found:-unknown}, and $version is needed"; return 1; }
}

use() {
  ln -sfn "$1" "$link"
  say "libtorch $version: $1"
}

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] ||
  fail "unsupported platform $(uname -s) $(uname -m): only Linux x86_64 is supported"
command -v cargo > /dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
command -v c++ > /dev/null || fail "no C++ compiler: install one (Debian, Ubuntu: apt-get install g++)"

if [ -n "${LIBTORCH:-}" ] && [ "$LIBTORCH" != "$link" ]; then
  why=$(check "$LIBTORCH") || fail "LIBTORCH=$LIBTORCH does not serve: $why. Point it at a libtorch $version, or unset it"
  use "$(cd "$LIBTORCH" && pwd)"
  exit 0
fi
if check "$link" > /dev/null; then
  say "libtorch $version is in place: $(readlink -f "$link")"
  exit 0
fi

command -v python3 > /dev/null || fail "python3 is missing: install it, or set LIBTORCH to a libtorch $version"
python_torch=$(python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))' 2> /dev/null || true)
if [ -n "$python_torch" ] && check "$python_torch" > /dev/null; then
  use "$python_torch"
  exit 0
fi

home="$cache/libtorch-$version-cpu"
if check "$home" > /dev/null; then
  use "$home"
  exit 0
fi

mkdir -p "$cache" || fail "cannot make $cache: set KO_STS_CACHE to a folder that can be written"
free_mb=$(df -Pm "$cache" | awk 'NR == 2 {print $4}')
[ "$free_mb" -ge "$needed_mb" ] ||
  fail "$cache has $free_mb MB free and $needed_mb MB are needed: make room, or set KO_STS_CACHE to another disk"
work=$(mktemp -d "$cache/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Unpacks from zip $1 into folder $2 every entry whose path below folder $3 starts with one of the other arguments.
unpack() {
  python3 - "$@" << 'PY'
import os, shutil, sys, zipfile
archive, out, below, *prefixes = sys.argv[1:]
with zipfile.ZipFile(archive) as files:
    for name in files.namelist():
        if name.endswith("/") or not name.startswith(below):
            continue
        path = name[len(below):]
        if not path.startswith(tuple(prefixes)):
            continue
        target = os.path.join(out, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with files.open(name) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
PY
}

download() {
  python3 - "$1" "$2" << 'PY'
import shutil, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as source, open(sys.argv[2], "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
except OSError as error:
    sys.exit(f"setup: {sys.argv[1]}: {error}")
PY
}

# Every step is chained: a function that is tried in a condition does not stop at a failed one by itself.
from_archive() {
  say "downloading the official CPU archive of libtorch $version (about 180 MB)"
  download "$archive" "$work/libtorch.zip" &&
    unpack "$work/libtorch.zip" "$work/libtorch" libtorch/ include/ lib/ &&
    echo "$version" > "$work/libtorch/build-version" &&
    check "$work/libtorch" > /dev/null
}

from_wheel() {
  python3 -m pip --version > /dev/null 2>&1 ||
    fail "python3 has no pip: install it (Debian, Ubuntu: apt-get install python3-pip), or set LIBTORCH to a libtorch $version"
  say "downloading libtorch $version as the PyPI wheel of PyTorch (about 530 MB)"
  local fetch=(python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --dest "$work")
  "${fetch[@]}" --platform manylinux_2_28_x86_64 "torch==$version" ||
    fail "pip could not download torch $version (its message stands above): check the network, or set LIBTORCH"
  "${fetch[@]}" --platform manylinux2014_x86_64 --platform manylinux_2_25_x86_64 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 ||
    fail "pip could not download two small libraries that libtorch links to (its message stands above)"
  unpack "$work"/torch-*.whl "$work/libtorch" torch/ include/ lib/libtorch_cpu.so lib/libc10.so lib/libgomp
  unpack "$work"/nvidia_cuda_runtime-*.whl "$work/libtorch/lib" nvidia/cu13/lib/ libcudart.so.13
  unpack "$work"/nvidia_cuda_cupti-*.whl "$work/libtorch/lib" nvidia/cu13/lib/ libcupti.so.13
  # The linker asks for -ltorch; in the CPU part that is all of it.
  echo 'INPUT(libtorch_cpu.so)' > "$work/libtorch/lib/libtorch.so"
  echo "$version" > "$work/libtorch/build-version"
}

answers() { python3 -c "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1], method='HEAD'), timeout=5)" "$1" 2> /dev/null; }

if ! { answers "$archive" && from_archive; }; then
  rm -rf "$work/libtorch" # what a failed try left
  from_wheel
fi
why=$(check "$work/libtorch") || fail "what was downloaded is not usable: $why"
python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$work/libtorch/lib/libtorch_cpu.so" ||
  fail "the downloaded libtorch does not load on this machine (its message stands above)"
rm -rf "$home"
mv "$work/libtorch" "$home"
use "$home"
