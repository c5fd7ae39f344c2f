#!/usr/bin/env bash
# Sets up, builds and runs the tests. ./test.sh --sanitize runs them once more under the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh
scripts/build.sh release
ctest --preset release
if [ "${1:-}" = --sanitize ]; then
  scripts/build.sh debug
  ctest --preset debug
fi
