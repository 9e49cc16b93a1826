#!/usr/bin/env bash
# The server beside its peers, under load, under attack, and with clients that others wrote.
#
#   STS_DATA_DIR=… scripts/serving/run.sh peers | soak | hostile | flood | clients | rerankers [--help] [options]
#
# The data folder holds kor-sts/ and klue-roberta/ (see data/README.md). Python environments and models are made once,
# in $KO_STS_CACHE (default: ~/.cache/ko-sts); `peers` needs the load generator wrk, a package of most distributions.
# With KO_STS_BIN the program `serve` of that folder is measured, and nothing is built. Everything stays on loopback.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'serving: %s\n' "$*" >&2; }
fail() { printf 'serving: error: %s\n' "$*" >&2; exit 1; }

job=${1:-}
case $job in
  peers | soak | hostile | flood | clients | rerankers) shift ;;
  *) fail "unknown job '$job': expected peers, soak, hostile, flood, clients or rerankers" ;;
esac

STS_DATA_DIR=$(realpath "${STS_DATA_DIR:-data}")
for file in kor-sts/sts-test.tsv klue-roberta/{tokenizer,config-base}.json; do
  [ -f "$STS_DATA_DIR/$file" ] || fail "no $file in $STS_DATA_DIR: set STS_DATA_DIR (see CONTRIBUTING.md)"
done
if [ -z "${KO_STS_BIN:-}" ]; then
  scripts/setup.sh
  cargo build --release --quiet -p serve
fi
KO_STS_BIN=$(realpath "${KO_STS_BIN:-target/release}")
[ -x "$KO_STS_BIN/serve" ] || fail "no program $KO_STS_BIN/serve: build it, or run without KO_STS_BIN"

environments=(clients)
if [ "$job" = peers ]; then
  command -v wrk > /dev/null || fail "no load generator wrk: install the package of that name"
  environments+=(fastapi infinity)
fi
BENCH_ENVIRONMENTS=$(scripts/bench/environments.sh "${environments[@]}")
export STS_DATA_DIR KO_STS_BIN BENCH_ENVIRONMENTS
export TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
[ "$job" = clients ] || export HF_HUB_OFFLINE=1 # the hub's client takes loopback for the hub and would refuse to ask it
exec "$BENCH_ENVIRONMENTS/clients/bin/python" "scripts/serving/$job.py" "$@"
