#include "chat/limits.h"

#include <string>

#include "chat/failure.h"

namespace chorus::jinja {

Budget& budget() {
  // Outside of a rendering (a template being parsed) the counts start from a full budget and mean little.
  thread_local Budget mine{.limits = {}, .steps_left = INT64_MAX, .live_bytes = 0, .depth = 0};
  return mine;
}

void fail_limit(const char* what, int64_t limit) {
  fail(Cause::limit,
       "the template uses more " + std::string(what) + " than the limit of " + std::to_string(limit));
}

void check_string_size(double bytes) {
  const Limits& limits = budget().limits;
  if (bytes > double(limits.string_bytes)) fail_limit("bytes in one string", limits.string_bytes);
}

}  // namespace chorus::jinja
