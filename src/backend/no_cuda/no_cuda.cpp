// Stands in for backend/cuda where there is no nvcc.
#include "backend/cuda/cuda.h"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

[[noreturn]] void refuse(std::string_view device) {
  throw Error(Fault::usage, "this build has no CUDA backend").with("device", device).with("known", "auto, cpu");
}

}  // namespace

bool built() {
  return false;
}
int device_count() {
  return 0;
}
std::unique_ptr<Backend> make_backend(std::string_view device, int) {
  refuse(device);
}
uint64_t free_memory(std::string_view device) {
  refuse(device);
}

}  // namespace chorus::cuda
