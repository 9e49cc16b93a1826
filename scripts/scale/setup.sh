#!/usr/bin/env bash
# Makes the Python environment of the scripts in this folder and prints its interpreter's path.
#
#   python=$(scripts/scale/setup.sh) && "$python" scripts/scale/readers.py --help
#
# Spark needs a Java of 17 or later beside it (Debian: openjdk-17-jre-headless).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/scale-venv"
installed="$venv/requirements.txt"

if ! cmp --silent "$here/requirements.txt" "$installed"; then
  command -v python3 > /dev/null || { echo "setup.sh: python3 (3.11 or newer) is not on the PATH" >&2; exit 1; }
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2
  "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$installed" # last, so that an interrupted installation is taken up again
fi
echo "$venv/bin/python"
