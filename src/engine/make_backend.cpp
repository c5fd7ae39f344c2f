// The only file that names a backend.
#include "engine/make_backend.h"

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda.h"
#include "base/memory.h"
#include "chorus/error.h"

namespace chorus::engine {
namespace {

bool is_cuda(const LoadOptions& options) { return options.device.starts_with("cuda"); }

}  // namespace

std::unique_ptr<Backend> make_backend(const LoadOptions& options) {
  const bool on_cuda = is_cuda(options);
  if (!on_cuda && options.device != "auto" && options.device != "cpu")
    throw Error(Fault::usage, "unknown device")
        .with("device", options.device)
        .with("known", cuda::built() ? "auto, cpu, cuda, cuda:INDEX; for a batch, cuda:all or several, with commas" : "auto, cpu");
  if (options.precision != "fast" && options.precision != "exact")
    throw Error(Fault::usage, "unknown precision").with("precision", options.precision).with("known", "fast, exact");
  if (options.threads < 0 || options.threads > 4096)
    throw Error(Fault::usage, "bad number of threads").with("threads", options.threads).with("expected", "0 to 4096");
  if (on_cuda) return cuda::make_backend(options.device, options.threads);
  return std::make_unique<cpu::CpuBackend>(
      options.precision == "fast" ? cpu::Precision::fast : cpu::Precision::exact, options.threads);
}

std::vector<std::string> devices_of(const LoadOptions& options) {
  std::vector<std::string> devices;
  if (options.device != "cuda:all") {
    for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
      end = options.device.find(',', begin);
      devices.push_back(options.device.substr(begin, end - begin));
    }
    return devices;
  }
  for (int i = 0; i < cuda::device_count(); ++i) devices.push_back("cuda:" + std::to_string(i));
  if (devices.empty()) return {"cuda"};  // of which loading says why it is not there
  return devices;
}

uint64_t free_memory(const LoadOptions& options) {
  return is_cuda(options) ? cuda::free_memory(options.device) : available_memory();
}

}  // namespace chorus::engine
