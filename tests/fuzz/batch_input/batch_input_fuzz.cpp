// Any bytes as the input of a batch: rows, each of which runs or says why not.
#include <cstdio>
#include <cstdlib>

#include "app/cli/batch_input.h"
#include "base/utf8.h"
#include "chorus/error.h"

using namespace chorus;

static void check(const std::vector<cli::BatchRow>& rows) {
  int64_t last_line = 0;
  for (const cli::BatchRow& row : rows) {
    if (row.line <= last_line) std::abort();
    last_line = row.line;
    if (row.error && row.error->empty()) std::abort();
    if (!row.error && !is_utf8(row.id)) std::abort();  // the result's line is JSON
    const auto* messages = std::get_if<Json>(&row.prompt);
    if (!row.error && messages != nullptr && !messages->is_array()) std::abort();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"prompts.jsonl", "prompts.txt"}) {
    try {
      check(cli::read_rows(bytes, name, {}));
    } catch (const Error& e) {
      if (e.fault() != Fault::input) {
        std::fprintf(stderr, "%s\n", e.what());
        std::abort();
      }
    }
  }
  return 0;
}
