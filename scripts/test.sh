#!/usr/bin/env bash
# Everything that has to hold: format, lints, documentation, tests. Set STS_DATA_DIR to test on the real data too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
# Where the Python of scripts/reference is installed, the tests that need one use it.
reference="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/reference-venv/bin/python"
if [ -x "$reference" ]; then export REFERENCE_PYTHON="${REFERENCE_PYTHON:-$reference}"; fi
cargo fmt --all --check
cargo clippy --release --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --release --no-fail-fast 2>&1 | tee "$log" || failed=1
# One line over all test binaries, whose own summaries stand above.
awk '/^test result:/ {passed += $4; failed += $6} END {printf "\n%d passed, %d failed\n", passed, failed}' "$log"
exit "${failed:-0}"
