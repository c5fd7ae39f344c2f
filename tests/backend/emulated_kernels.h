#pragma once

#include "backend/cpu/kernels.h"

namespace chorus::test {

/// The kernels for tile registers over tiles in memory; null in builds for other processors than x86.
const cpu::Kernels* emulated_tile_kernels();

}  // namespace chorus::test
