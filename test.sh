#!/usr/bin/env bash
# Sets up, builds and runs the tests, then lists those that were skipped. ./test.sh --sanitize runs them once more under
# the address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")"

run_tests() {  # PRESET
  scripts/build.sh "$1"
  ctest --preset "$1"
  awk '/^\[ RUN/ {test = $4} /^Test command:/ {test = $3} /SKIPPED:/ {sub(/.*SKIPPED:/, "SKIPPED:"); print $0 "  (" test ")"}' \
    "build/$1/Testing/Temporary/LastTest.log" | sort -u
}

scripts/setup.sh
run_tests release
if [ "${1:-}" = --sanitize ]; then run_tests debug; fi
