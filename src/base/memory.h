#pragma once

#include <cstdint>

namespace chorus {

/// Bytes that this process could still take without pushing others out: what the system says is available, and what
/// the control group leaves, whichever is less.
uint64_t available_memory();

/// Largest resident size of this process so far, in bytes.
uint64_t peak_resident_memory();

}  // namespace chorus
