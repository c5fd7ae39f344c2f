#!/usr/bin/env bash
# Sets up, builds, and answers the 29 prompts of the bundled model on the CPU.
set -euo pipefail
cd "$(dirname "$0")"
if [ ! -f models/demo/model.safetensors ]; then
  echo "demo: models/demo has no weights yet (models/demo/README.md says how they are made)" >&2
  exit 2
fi
scripts/setup.sh
scripts/build.sh release
output=$(mktemp -d)/results.jsonl
build/release/src/app/cli/chorus batch --model models/demo --input models/demo/prompts.jsonl --output "$output" \
  --reasoning-effort minimal --date 2026-01-15
echo "The results as JSON lines: $output"
