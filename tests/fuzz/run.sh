#!/usr/bin/env bash
# run.sh [SECONDS [TARGET ...]]
# Builds every fuzz target with clang and the address and undefined-behaviour sanitizers, and runs each for SECONDS
# (60) on its corpus. What is found on the way is kept in build/fuzz/found/TARGET for the next run; an input that
# crashes is printed and kept there too. JOBS=n limits the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
clang=${CHORUS_CLANG:-clang++-19}
build=${CHORUS_FUZZ_BUILD:-build/fuzz}
command -v "$clang" >/dev/null || { echo "run.sh needs $clang: apt-get install clang-19 libclang-rt-19-dev" >&2; exit 2; }
cmake -S . -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g" \
  -DCHORUS_FUZZ=ON -DCHORUS_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(ninja -C "$build" -t targets all | sed -n '/^cmake_/d; s/^\([a-z_]*\)_fuzz: phony$/\1/p' | sort)
fi
ninja -C "$build" -j "${JOBS:-$(nproc)}" "${targets[@]/%/_fuzz}"
failed=()
for target in "${targets[@]}"; do
  program=$(find "$build/tests/fuzz" -name "${target}_fuzz" -type f)
  folder=$(dirname "${program#"$build"/}")
  found=$build/found/$target
  mkdir -p "$found"
  options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="$found-")
  if [ -f "$folder/$target.dict" ]; then options+=(-dict="$folder/$target.dict"); fi
  echo "== $target, $seconds s"
  "$program" "${options[@]}" "$found" "$folder/corpus" 2>&1 | tee "$found.log" |
    grep -E "ERROR|SUMMARY|runtime error|artifact_prefix|stat::number_of_executed_units|Done " || true
  if [ "${PIPESTATUS[0]}" -ne 0 ]; then failed+=("$target"); fi
done
if [ ${#failed[@]} -gt 0 ]; then echo "failed: ${failed[*]}; see $build/found/*.log" >&2; exit 1; fi
