#!/usr/bin/env bash
# test-aarch64.sh [BUILD_FOLDER]: cross-builds the tests that reach the kernels for 64-bit ARM, and runs them under
# qemu-user with every instruction set that chorus knows there. For Debian 12.
# Debian's arm64 libraries are unpacked under BUILD_FOLDER, not installed: some of them (sentencepiece) cannot be
# installed beside the host's own.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/aarch64}
mkdir -p "$build"
build=$(cd "$build" && pwd)

tools=(g++-aarch64-linux-gnu qemu-user cmake ninja-build pkg-config)
libraries=(libfmt-dev libfmt9 nlohmann-json3-dev libcli11-dev libpcre2-dev libpcre2-8-0 libutf8proc-dev libutf8proc2
           libsentencepiece-dev libsentencepiece0 libgtest-dev libgmock-dev librapidcheck-dev)

missing=()
for package in "${tools[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "test-aarch64: installing ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "test-aarch64: run as root, or install sudo: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# apt as on an arm64 machine, with folders of its own: the host's lists and packages stay as they are.
if [ ! -f "$build/libraries/complete" ]; then
  echo "test-aarch64: unpacking the arm64 libraries into $build/libraries"
  apt=$(mktemp -d)
  trap 'rm -rf "$apt"' EXIT
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/packages" "$build/libraries"
  : >"$apt/status"
  cat >"$apt/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
END
  export APT_CONFIG=$apt/apt.conf
  apt-get update -qq
  (cd "$apt/packages" && apt-get download -qq "${libraries[@]}")
  for package in "$apt"/packages/*.deb; do dpkg-deb -x "$package" "$build/libraries"; done
  touch "$build/libraries/complete"
fi

[ -f "$build/build.ninja" ] || cmake --preset aarch64 -B "$build" >/dev/null
once=(base tensor ops backend)  # backend runs every instruction set by itself
for_each_set=(golden)
known=$(ninja -C "$build" -t targets all | sed -n 's/^\([a-z_]*\)_test: phony$/\1/p')
targets=()
for name in "${once[@]}" "${for_each_set[@]}"; do
  if grep -qx "$name" <<<"$known"; then targets+=("${name}_test"); else echo "test-aarch64: no test $name"; fi
done
ninja -C "$build" "${targets[@]}"

run() {
  local pattern
  pattern=$(IFS='|'; echo "$*")
  ctest --test-dir "$build" --output-on-failure --no-tests=error -R "^($pattern)(_|\$)"
}
run "${once[@]}"
for set in neon_i8mm neon portable; do
  echo "test-aarch64: CHORUS_CPU=$set"
  CHORUS_CPU=$set run "${for_each_set[@]}"
done
