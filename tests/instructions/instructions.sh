#!/usr/bin/env bash
# instructions.sh PROGRAM: counts the instructions of each inner kernel (valgrind) and compares with limits.txt, so that a
# kernel that got slower is noticed without timing anything. Exact counts depend on the compiler; a limit leaves 15 %.
#   instructions.sh PROGRAM --update writes limits.txt anew.
set -euo pipefail
program=$1 limits=$(dirname "$0")/limits.txt

count() {  # KIND TOKENS REPEATS -> instructions of the whole run
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 | awk '/Collected/ {print $NF}'
}
per_thousand_macs() {  # KIND TOKENS
  local few many
  few=$(count "$1" "$2" 2) many=$(count "$1" "$2" 22)
  awk -v d=$((many - few)) -v macs=$((20 * 16 * 2880 * $2)) 'BEGIN {printf "%.2f", 1000 * d / macs}'
}

"$program" mxfp4-fast 1 0 || { code=$?; [ $code -eq 77 ] && echo "SKIPPED: no AVX2 here"; exit $code; }
if [ "${2:-}" = --update ]; then
  {
    echo "# kernel, tokens, instructions per 1000 multiply-adds (AVX2, g++ 12 -O3), written by instructions.sh --update"
    for kind in mxfp4-fast affine8-fast affine4-fast mxfp4-exact affine8-exact; do
      for tokens in 1 4 16; do echo "$kind $tokens $(per_thousand_macs "$kind" "$tokens")"; done
    done
  } > "$limits"
  exit
fi
failed=0
while read -r kind tokens expected; do
  case $kind in \#*) continue ;; esac
  actual=$(per_thousand_macs "$kind" "$tokens")
  if awk -v a="$actual" -v e="$expected" 'BEGIN {exit !(a > 1.15 * e)}'; then
    verdict="MORE THAN 15 % OVER"
    failed=1
  else
    verdict=ok
  fi
  printf '%-14s %3d tokens: %8s instructions per 1000 multiply-adds, noted %8s  %s\n' "$kind" "$tokens" "$actual" "$expected" "$verdict"
done < "$limits"
exit $failed
