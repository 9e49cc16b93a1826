#!/usr/bin/env bash
# Measures training and encoding beside the Python peers, in turn, and writes BENCHMARKS.md.
#
#   STS_DATA_DIR=… scripts/bench/run.sh [--quick] [--shapes base,large] [--jobs encode,pair,train,rerank,length,growth,memory] [--help]
#
# All of it takes hours on 2 cores; --quick at most 5 minutes, once programs, environments and models are there. The
# jobs may be run one by one: each leaves its figures in target/bench, and the report is of all that lie there.
#
# The data folder holds klue-sts/, kor-sts/ and klue-roberta/ (see data/README.md). The peers' environments (2 GB) and
# the models (5 GB) are made once, in $KO_STS_CACHE (default: ~/.cache/ko-sts). With KO_STS_BIN the programs of that
# folder are measured (train, eval, examples/bench), and nothing is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { printf 'bench: error: %s\n' "$*" >&2; exit 1; }

STS_DATA_DIR=$(realpath "${STS_DATA_DIR:-data}")
for file in kor-sts/sts-test.tsv klue-roberta/{tokenizer,config-base,config-large}.json; do
  [ -f "$STS_DATA_DIR/$file" ] || fail "no $file in $STS_DATA_DIR: set STS_DATA_DIR (see CONTRIBUTING.md)"
done
compgen -G "$STS_DATA_DIR/klue-sts/klue-sts-v1.1_train.*" > /dev/null ||
  fail "no klue-sts/klue-sts-v1.1_train in $STS_DATA_DIR: set STS_DATA_DIR"

if [ -z "${KO_STS_BIN:-}" ]; then
  scripts/setup.sh
  cargo build --release --quiet --bin train --bin eval
  cargo build --release --quiet -p model --example bench
fi
KO_STS_BIN=$(realpath "${KO_STS_BIN:-target/release}")
for program in train eval examples/bench; do
  [ -x "$KO_STS_BIN/$program" ] || fail "no program $KO_STS_BIN/$program: build it, or run without KO_STS_BIN"
done

BENCH_ENVIRONMENTS=$(scripts/bench/environments.sh torch onnx openvino)
export STS_DATA_DIR KO_STS_BIN BENCH_ENVIRONMENTS
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
exec "$BENCH_ENVIRONMENTS/torch/bin/python" scripts/bench/benchmark.py "$@"
