#!/usr/bin/env bash
# Makes the Python environment of the reference scripts and prints its interpreter's path.
# Nothing in the workspace needs it at run time: it is for whoever makes the fixtures anew.
#
#   python=$(scripts/reference/setup.sh) && "$python" scripts/reference/make_fixtures.py
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../environment.sh" reference "$here/requirements.txt"
