#include "chat/limits.h"

#include <string>

#include "chat/failure.h"

namespace chorus::jinja {

void fail_limit(const char* what, int64_t limit) {
  fail(Cause::limit,
       "the template uses more " + std::string(what) + " than the limit of " + std::to_string(limit));
}

void fail_string_size() {
  fail_limit("bytes in one string", budget().limits.string_bytes);
}

}  // namespace chorus::jinja
