#!/usr/bin/env bash
# The interchange matrix: what sentence-transformers 5 and 6 and transformers save is read here, and what `train` writes
# is read there, to the same vectors. Prints a table; exits with 1 if a row of it is not as it should be.
#
#   scripts/interchange.sh
#
# The Python environments are made once, in $KO_STS_CACHE (default: ~/.cache/ko-sts); the models of a run go with it.
# With KO_STS_BIN the binaries of that folder are used (train, examples/encode), and nothing is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

here=$PWD/scripts/interchange
cache="${KO_STS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ko-sts}/interchange"
versions=(5.0 5.7) # beside the reference environment's

say() { printf 'interchange: %s\n' "$*" >&2; }
fail() { printf 'interchange: error: %s\n' "$*" >&2; exit 1; }

# Runs command $3… , which fills folder $1 from the requirements in file $2, unless a run before has.
once() {
  local folder=$1 requirements=$2
  shift 2
  cmp --silent "$requirements" "$folder/requirements.txt" && return
  say "installing $(basename "$folder")"
  rm -rf "$folder"
  "$@" "$folder" "$requirements" || fail "could not make $folder: see the message above"
  cp "$requirements" "$folder/requirements.txt" # last, so that an interrupted installation is taken up again
}

# pip of the reference environment, working on the environment of interpreter $1.
pip_in() { "$reference" -m pip --disable-pip-version-check --python "$@"; }

# An environment of its own, behind which the reference environment's packages can be seen: torch alone is 5 GB.
environment() {
  "$reference" -m venv --without-pip "$1" || return
  local site_packages='import sysconfig; print(sysconfig.get_path("purelib"))'
  "$reference" -c "$site_packages" > "$("$1/bin/python" -c "$site_packages")/reference.pth" &&
    pip_in "$1/bin/python" install --quiet --requirement "$2" &&
    pip_in "$1/bin/python" check > /dev/null
}

published() { "$reference" -m pip --disable-pip-version-check install --quiet --no-deps --target "$1" --requirement "$2"; }

if [ -z "${KO_STS_BIN:-}" ]; then
  scripts/setup.sh
  cargo build --release --quiet --bin train --example encode
fi
bin=${KO_STS_BIN:-target/release}
for program in train examples/encode; do
  [ -x "$bin/$program" ] || fail "no program $bin/$program: build it, or run without KO_STS_BIN"
done

reference=$(scripts/reference/setup.sh)
mkdir -p "$cache" || fail "cannot make $cache: set KO_STS_CACHE to a folder that can be written"
for version in "${versions[@]}"; do
  once "$cache/sentence-transformers-$version" "$here/requirements-$version.txt" environment
done
once "$cache/published" "$here/requirements-published.txt" published
minilm=$(find "$cache/published" -name modules.json -printf '%h\n')
[ -f "$minilm/model.safetensors" ] || fail "no model in $cache/published"
e5=$(scripts/models/multilingual_e5_small.sh "$cache/multilingual-e5-small") || fail "no multilingual-e5-small: see above"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH="$PWD/scripts/reference" PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore TOKENIZERS_PARALLELISM=false
export HF_HUB_OFFLINE=1 # every model is a folder here
export OMP_WAIT_POLICY=passive # models this small spend their time waiting for threads
pythons=()
for version in "${versions[@]}"; do pythons+=("$cache/sentence-transformers-$version/bin/python"); done
pythons+=("$reference")

say "saving models with sentence-transformers"
rows=()
for index in "${!pythons[@]}"; do
  mkdir "$work/saved-$index"
  "${pythons[index]}" "$here/make_models.py" "$work/saved-$index"
  rows+=("$work/saved-$index/rows.json")
done

# Trains a few steps; $1 is the checkpoint's name in the table, the rest goes to `train`. In `checks` are those of families
# that text-embeddings-inference has.
checkpoints=() checks=()
train() {
  local output="$work/trained-${#checkpoints[@]}"
  "$bin/train" --device cpu --threads 1 --output "$output" "${@:2}" &> "$work/train.log" || { cat "$work/train.log" >&2; fail "train: $1"; }
  checkpoints+=("$1=$output/best")
  [[ $1 =~ BERT|Roberta ]] && ! [[ $1 =~ DeBERTa|DistilBERT|ModernBERT|Dense|cross-encoder ]] && checks+=(--check "$1=$output/best")
  return 0
}
say "training checkpoints"
oldest="$work/saved-0/sentence" newest="$work/saved-$((${#pythons[@]} - 1))/sentence"
tune=(--config "$here/fine-tune.toml")
train "RoBERTa from scratch" --config configs/quickstart.toml --set train.max_steps=5 --set train.warmup_steps=0
train "BERT, fine-tuned" "${tune[@]}"
train "RoBERTa, cls, Normalize, fine-tuned" "${tune[@]}" --set "model.init=$newest/RoBERTa-cls-Normalize"
train "BERT, max, fine-tuned" "${tune[@]}" --set "model.init=$newest/BERT-max"
train "RoBERTa, do_lower_case, fine-tuned" "${tune[@]}" --set "model.init=$oldest/RoBERTa-do_lower_case" # kept as a flag there
train "RobertaModel, byte-level, fine-tuned" "${tune[@]}" --set "model.init=$newest/RobertaModel-byte-level-tokens"
train "XLMRobertaModel, unigram, fine-tuned" "${tune[@]}" --set "model.init=$newest/XLMRobertaModel-unigram-tokens"
train "RoBERTa, Dense, fine-tuned" "${tune[@]}" --set "model.init=$newest/RoBERTa-Dense"
train "RoBERTa, Dense twice, fine-tuned" "${tune[@]}" --set "model.init=$newest/RoBERTa-Dense-twice"
train "StaticEmbedding, Normalize, fine-tuned" "${tune[@]}" --set "model.init=$newest/StaticEmbedding-Normalize"
for family in CamemBERT DeBERTa-v2 DistilBERT ELECTRA ModernBERT XLM-RoBERTa; do
  train "$family, fine-tuned" "${tune[@]}" --set "model.init=$newest/$family-mean"
done
train "Qwen3, fine-tuned" "${tune[@]}" --set "model.init=$newest/Qwen3-lasttoken"

for family in BERT RoBERTa DeBERTa-v2 ModernBERT; do
  train "$family, cross-encoder, fine-tuned" --config "$here/cross-encoder.toml" --set "model.init=$newest/$family-mean"
done
train "ELECTRA, cross-encoder, fine-tuned further" --config "$here/cross-encoder.toml" \
  --set "model.init=${newest%/sentence}/cross-encoder/ELECTRA-cross-encoder"

say "encoding checkpoints with sentence-transformers"
for index in "${!pythons[@]}"; do
  "${pythons[index]}" "$here/encode.py" "$work/encoded-$index" "$minilm" "$e5" "${checkpoints[@]}"
  rows+=("$work/encoded-$index/rows.json")
done

say "encoding all of them here"
"$reference" "$here/compare.py" --encoder "$bin/examples/encode" "${checks[@]}" "${rows[@]}"
