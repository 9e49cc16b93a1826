#!/usr/bin/env bash
# Makes the Python environment of the scripts in this folder and prints its interpreter's path.
#
#   python=$(scripts/scale/setup.sh) && "$python" scripts/scale/readers.py --help
#
# Spark needs a Java of 17 or later beside it (Debian: openjdk-17-jre-headless).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../environment.sh" scale "$here/requirements.txt"
