// The only file that names a backend.
#include "engine/make_backend.h"

#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"

namespace chorus::engine {

std::unique_ptr<Backend> make_backend(const LoadOptions& options) {
  if (options.device.starts_with("cuda"))
    throw Error(Fault::usage, "this build has no CUDA backend").with("device", options.device).with("known", "auto, cpu");
  if (options.device != "auto" && options.device != "cpu")
    throw Error(Fault::usage, "unknown device").with("device", options.device).with("known", "auto, cpu");
  if (options.precision != "fast" && options.precision != "exact")
    throw Error(Fault::usage, "unknown precision").with("precision", options.precision).with("known", "fast, exact");
  if (options.threads < 0 || options.threads > 4096)
    throw Error(Fault::usage, "bad number of threads").with("threads", options.threads).with("expected", "0 to 4096");
  return std::make_unique<cpu::CpuBackend>(
      options.precision == "fast" ? cpu::Precision::fast : cpu::Precision::exact, options.threads);
}

}  // namespace chorus::engine
