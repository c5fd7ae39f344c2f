#pragma once

#include <memory>

#include "chorus/model.h"
#include "ops/backend.h"

namespace chorus::engine {

/// The backend that the options ask for. Throws Fault::usage for a device or precision that does not exist here.
std::unique_ptr<Backend> make_backend(const LoadOptions& options);

/// The devices that the options name: one, but for "cuda:all" and for several with commas.
std::vector<std::string> devices_of(const LoadOptions& options);

/// Bytes that are free where that device computes, less what its driver wants for itself.
uint64_t free_memory(const LoadOptions& options);

}  // namespace chorus::engine
