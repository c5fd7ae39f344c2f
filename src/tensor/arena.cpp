#include "tensor/arena.h"

#include "chorus/error.h"

namespace chorus {

void* Arena::take(size_t bytes) {
  const size_t begin = used_;
  used_ += (bytes + alignment - 1) / alignment * alignment;
  peak_ = std::max(peak_, used_);
  if (measuring()) return nullptr;
  if (used_ > capacity_)
    throw Error(Fault::internal, "a step needs more workspace than was planned")
        .with("planned bytes", capacity_).with("needed bytes", used_);
  return memory_ + begin;
}

}  // namespace chorus
