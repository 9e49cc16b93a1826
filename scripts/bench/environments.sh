#!/usr/bin/env bash
# Makes the Python environments of the peers and prints the folder that they are in. What is there is kept.
#
#   folder=$(scripts/bench/environments.sh torch onnx openvino) && "$folder/onnx/bin/python" …
#
# Each is a layer over the reference environment, whose packages are seen behind its own: torch alone is 5 GB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=$PWD/scripts/bench
folder="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/bench"
reference=$(scripts/reference/setup.sh)

say() { printf 'bench: %s\n' "$*" >&2; }
fail() { printf 'bench: error: %s\n' "$*" >&2; exit 1; }

# pip of the reference environment, working on the environment of interpreter $1.
pip_in() { "$reference" -m pip --disable-pip-version-check --python "$@"; }

# The environment in folder $1 with the requirements of file $2.
environment() {
  "$reference" -m venv --without-pip "$1" || return
  local site_packages='import sysconfig; print(sysconfig.get_path("purelib"))'
  "$reference" -c "$site_packages" > "$("$1/bin/python" -c "$site_packages")/reference.pth" &&
    pip_in "$1/bin/python" install --quiet --requirement "$2" >&2 &&
    pip_in "$1/bin/python" check >&2
}

mkdir -p "$folder" || fail "cannot make $folder: set KO_STS_CACHE to a folder that can be written"
for name in "$@"; do
  requirements="$here/requirements-$name.txt"
  [ -f "$requirements" ] || fail "no environment $name: expected torch, onnx or openvino"
  cmp --silent "$requirements" "$folder/$name/requirements.txt" && continue
  say "installing the environment $name"
  rm -rf "${folder:?}/$name"
  environment "$folder/$name" "$requirements" || fail "could not make $folder/$name: see the message above"
  cp "$requirements" "$folder/$name/requirements.txt" # last, so that an interrupted installation is taken up again
done
echo "$folder"
