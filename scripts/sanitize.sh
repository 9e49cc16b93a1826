#!/usr/bin/env bash
# The unsafe code of `kernels` and of `model::slices` under tools that see what tests cannot: reads and writes out of bounds or
# after an end, and what breaks Rust's rules of references.
#
#   scripts/sanitize.sh [miri] [address]          # default: both
#
# - miri: the portable products and those of a model of tiles, the blocks of a matrix and the formats of rows. It
#   interprets, so vector instructions and libtorch are beyond it, and what is large takes it hours.
# - address: all of the kernels' tests, with every instruction that this processor has, and the slices of tensors with
#   libtorch's memory, by AddressSanitizer.
#
# A nightly toolchain with miri is needed: rustup toolchain install nightly --component miri --component rust-src
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'sanitize: error: %s\n' "$*" >&2; exit 1; }
jobs=("$@")
[ ${#jobs[@]} -gt 0 ] || jobs=(miri address)
cargo +nightly --version > /dev/null 2>&1 || fail "no nightly toolchain: see the head of this script"
host=$(rustc -vV | sed -n 's/^host: //p')
# Apart from the others' builds, which have other flags.
target="${CARGO_TARGET_DIR:-target}"

for job in "${jobs[@]}"; do
  case $job in
    miri)
      # Rayon's queues turn numbers into pointers, and its threads outlive the tests.
      CARGO_TARGET_DIR="$target/miri" MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks -Zmiri-permissive-provenance" \
        cargo +nightly miri test --package kernels --lib -- blocks:: product:: transpose:: convert:: rows::
      ;;
    address)
      scripts/setup.sh
      export CARGO_TARGET_DIR="$target/address"
      # libtorch's own leaks at the end of a process are not ours; out of bounds is.
      export ASAN_OPTIONS=detect_leaks=0
      rpath="-Clink-arg=-Wl,-rpath,$PWD/.libtorch/lib"
      RUSTFLAGS="-Zsanitizer=address $rpath" cargo +nightly test --target "$host" --package kernels
      RUSTFLAGS="-Zsanitizer=address $rpath" cargo +nightly test --target "$host" --package model --lib -- slices::
      ;;
    *) fail "unknown job '$job': expected miri or address" ;;
  esac
done
