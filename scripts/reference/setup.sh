#!/usr/bin/env bash
# Makes the Python environment of the reference scripts and prints its interpreter's path.
# Nothing in the workspace needs it at run time: it is for whoever makes the fixtures anew.
#
#   python=$(scripts/reference/setup.sh) && "$python" scripts/reference/make_fixtures.py
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/reference-venv"
installed="$venv/requirements.txt"

if ! cmp --silent "$here/requirements.txt" "$installed"; then
  command -v python3 >/dev/null || { echo "setup.sh: python3 (3.11 or newer) is not on the PATH" >&2; exit 1; }
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2
  "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$installed" # last, so that an interrupted installation is taken up again
fi
echo "$venv/bin/python"
