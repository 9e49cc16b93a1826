#!/usr/bin/env bash
# Tests the page of `serve` in headless Chromium, with a corpus, with a reranker, and with a reranker alone. Takes screenshots.
#
#   scripts/browser/run.sh [--model DIR] [--screenshots DIR]
#
# The model is the one that comes with the project by default. Chromium, Node and fonts are Debian's,
# installed where they are missing and that is allowed; Playwright, which steers the browser, goes to $KO_STS_CACHE
# (default: ~/.cache/ko-sts). With KO_STS_BIN the program `serve` of that folder is tested, and nothing is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=$PWD/scripts/browser
modules="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/browser"
model=checkpoints/ko-sts-small
screenshots=target/browser

fail() { printf 'browser: error: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case $1 in
    --model) model=${2:?"--model needs a directory"}; shift 2 ;;
    --screenshots) screenshots=${2:?"--screenshots needs a directory"}; shift 2 ;;
    *) fail "unknown option $1: expected --model DIR or --screenshots DIR" ;;
  esac
done

# Installs Debian's packages $2… unless the check $1 holds.
package() {
  eval "$1" > /dev/null 2>&1 && return
  shift
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@"; } >&2 ||
    fail "needs the packages $*, which could not be installed"
}
package "command -v chromium" chromium
package "command -v npm" nodejs npm
package "fc-list :lang=ko | grep -q ." fontconfig fonts-noto-cjk

if ! cmp --silent "$here/package.json" "$modules/package.json"; then
  mkdir -p "$modules" || fail "cannot make $modules: set KO_STS_CACHE to a folder that can be written"
  npm install --prefix "$modules" --no-save --no-audit --no-fund --silent \
    "playwright-core@$(node -p 'require(process.argv[1]).dependencies["playwright-core"]' "$here/package.json")" >&2
  cp "$here/package.json" "$modules/package.json" # last, so that an interrupted installation is taken up again
fi

if [ -z "${KO_STS_BIN:-}" ]; then
  scripts/setup.sh
  cargo build --release --quiet --bin serve --bin embed
fi
program=$(realpath "${KO_STS_BIN:-target/release}")/serve
[ -x "$program" ] || fail "no program $program: build it, or run without KO_STS_BIN"
[ -d "$model" ] || fail "no checkpoint $model"

mkdir -p "$screenshots"
BROWSER_MODULES=$modules exec node "$here/main.mjs" "$program" "$model" "$screenshots"
