#include "ops/backend.h"

#include <chrono>

#include "chorus/error.h"

namespace chorus {

void Backend::run(const Draw&) {
  throw Error(Fault::internal, "this backend draws no tokens").with("backend", name());
}

double Backend::seconds_of(FunctionRef<void()> work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace chorus
