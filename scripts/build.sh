#!/usr/bin/env bash
# build.sh PRESET: configures (once) and builds build/PRESET. Says something only while there is something to do.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
if [ ! -f "build/$preset/build.ninja" ]; then
  echo "build: configuring build/$preset"
  cmake --preset "$preset" >/dev/null
fi
if ! cmake --build --preset "$preset" -- -n | grep -q 'no work to do'; then
  echo "build: compiling build/$preset (the first time takes some minutes)"
  cmake --build --preset "$preset" -- --quiet
fi
