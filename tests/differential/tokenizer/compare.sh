#!/usr/bin/env bash
# compare.sh CHORUS_PROGRAM [--seconds 60] [--seed N] [MODEL_FOLDER ...]
# Installs the npm packages tokenizers and tiktoken into a temporary folder and runs compare.mjs there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chorus=$(realpath "$1")
shift
folders=()
for argument in "$@"; do
  if [[ -d $argument ]]; then folders+=("$(realpath "$argument")"); else folders+=("$argument"); fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund tokenizers@0.23.2 tiktoken@1.0.22 >/dev/null
node "$here/compare.mjs" --chorus "$chorus" "${folders[@]}"
