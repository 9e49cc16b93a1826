#!/usr/bin/env bash
# Makes the Python environment NAME with the packages of REQUIREMENTS, outside the checkout, and prints its interpreter's path.
#
#   scripts/environment.sh NAME REQUIREMENTS     (the setup.sh of a folder gives these)
set -euo pipefail

requirements=$2
venv="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/$1-venv"
installed="$venv/requirements.txt"

if ! cmp --silent "$requirements" "$installed"; then
  command -v python3 > /dev/null || { echo "setup.sh: python3 (3.11 or newer) is not on the PATH" >&2; exit 1; }
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2
  "$venv/bin/python" -m pip install --quiet --requirement "$requirements" >&2
  cp "$requirements" "$installed" # last, so that an interrupted installation is taken up again
fi
echo "$venv/bin/python"
