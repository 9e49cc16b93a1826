#!/usr/bin/env bash
# From a fresh clone to a trained, evaluated and saved sentence encoder, on the sample data. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cargo build --release
run=checkpoints/quickstart
target/release/train --config configs/quickstart.toml --overwrite
echo
target/release/eval --model "$run/best" --data sample:dev --data sample:test \
  --json "$run/eval.json" --predictions "$run/predictions.csv"
cat << END

The checkpoint:  $run/best  (a sentence-transformers directory)
The report:      $run/report.md, $run/report.json
The log:         $run/metrics.jsonl
The evaluation:  $run/eval.json, $run/predictions.sample-{dev,test}.csv
The model that it began with knows some Korean, and 480 sample pairs add little; README.md goes on with real data.
END
