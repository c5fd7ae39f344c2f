#!/usr/bin/env bash
# Sets up, builds, and answers the 29 prompts of the bundled model on the CPU.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh
scripts/build.sh release
output=$(mktemp -d)/results.jsonl
build/release/src/app/cli/chorus batch --model models/demo --device cpu --max-tokens 400 \
  --input models/demo/prompts.jsonl --output "$output" --table
echo "The results as JSON lines: $output"
