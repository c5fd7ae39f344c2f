#pragma once

#include <cstddef>
#include <cstdint>

namespace chorus::jinja {

/// The sandbox: what one rendering may use. Generous for real templates (gpt-oss with 30 tools takes some 10,000
/// steps), and small enough that a hostile one ends within seconds.
struct Limits {
  int64_t steps = 50'000'000;                ///< evaluated nodes; bulk work counts by its size
  int64_t live_bytes = int64_t(512) << 20;   ///< strings, lists and dicts alive at the same time
  int64_t string_bytes = int64_t(64) << 20;  ///< one string, the output included
  int64_t range_size = 100'000;              ///< Jinja2's own MAX_RANGE
  int depth = 2'500;                         ///< nested evaluation: expressions, statements, macro calls, values
  /// The stack that nesting may take. The depth ends first but in builds whose frames are large (sanitizers).
  int64_t stack_bytes = int64_t(3) << 20;
};

/// What is left of the limits; one per thread that renders.
struct Budget {
  Limits limits;
  int64_t steps_left = 0;
  int64_t live_bytes = 0;
  int depth = 0;
  const char* stack_base = nullptr;  ///< where the rendering began
};

/// The calling thread's. Outside of a rendering the counts mean little.
inline thread_local constinit Budget thread_budget{
    .limits = {}, .steps_left = INT64_MAX, .live_bytes = 0, .depth = 0, .stack_base = nullptr};
inline Budget& budget() {
  return thread_budget;
}

[[noreturn]] void fail_limit(const char* what, int64_t limit);

/// Counts work that grows with its operands.
inline void charge(int64_t steps) {
  Budget& b = budget();
  if ((b.steps_left -= steps) < 0) fail_limit("steps", b.limits.steps);
}

/// To be asked before a string of that size is built.
[[noreturn]] void fail_string_size();
inline void check_string_size(double bytes) {
  if (bytes > double(budget().limits.string_bytes)) fail_string_size();
}
inline void check_string_size(size_t bytes) {
  if (bytes > size_t(budget().limits.string_bytes)) fail_string_size();
}

/// Guards recursion that the template controls.
class DepthGuard {
 public:
  DepthGuard() : budget_(budget()) {
    const auto* here = static_cast<const char*>(__builtin_frame_address(0));
    if (++budget_.depth > budget_.limits.depth || budget_.stack_base - here > budget_.limits.stack_bytes) {
      fail_limit("nested calls", --budget_.depth);
    }
  }
  ~DepthGuard() { --budget_.depth; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Budget& budget_;
};

}  // namespace chorus::jinja
