#!/usr/bin/env bash
# compare.sh TOKENIZER_BENCH MODEL_FOLDER [TEXT_FILE]
# chorus and the npm packages tiktoken (o200k, WebAssembly), @huggingface/tokenizers (JavaScript) and tokenizers (Hugging
# Face's Rust), on one thread, on the same documents of the same text (without a file: make_text.py's), each in turn.
# The folder is gpt-oss'. Needs node and npm. Against the native Python packages: native_compare.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bench=$(realpath "$1") model=$(realpath "$2") text=${3:+$(realpath "$3")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z $text ]]; then
  text=$work/text.txt
  "$here/make_text.py" "$text"
fi
cd "$work"
npm install --silent --no-audit --no-fund tiktoken@1.0.22 @huggingface/tokenizers@0.2.0 tokenizers@0.23.2 >/dev/null
cp "$here/compare.mjs" .
"$bench" "$model" "$text" --ids ids.bin
node compare.mjs "$bench" "$model" "$text" ids.bin
"$bench" "$model" "$text" --benchmark_filter='^(load|encode_1MB|decode|stream)' --benchmark_min_time=0.5 2>/dev/null
