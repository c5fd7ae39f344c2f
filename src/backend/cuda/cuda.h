#pragma once

#include <memory>
#include <string_view>

#include "ops/backend.h"

namespace chorus::cuda {

/// True where the backend is built in; a device may still be missing.
bool built();
/// Devices that this process can use; 0 without a driver.
int device_count();
/// Device "cuda" (the first) or "cuda:INDEX". `threads` of the host, 0: all. Throws Fault::usage for a device that
/// is not there, saying why.
std::unique_ptr<Backend> make_backend(std::string_view device, int threads);
/// Bytes that are free on the device, less what the driver wants for itself.
uint64_t free_memory(std::string_view device);

}  // namespace chorus::cuda
