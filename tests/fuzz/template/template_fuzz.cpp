// Any bytes as a chat template: a text, the same one each time, or one chorus::Error that says where.
#include <cstdio>
#include <cstdlib>

#include "base/json.h"
#include "chat/template.h"
#include "chorus/error.h"

using namespace chorus;

static const Json& variables() {
  static const Json json = parse_json(R"({
    "messages": [
      {"role": "system", "content": "Be <brief> & kind."},
      {"role": "user", "content": "Grüße, 日本 😀\n  second line\n"},
      {"role": "assistant", "content": null, "thinking": "hm",
       "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"x": 1.5, "y": [true, null]}}}]},
      {"role": "tool", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d",
      "parameters": {"type": "object", "properties": {"x": {"type": ["number", "null"], "enum": [1, 2]}},
                     "required": ["x"]}}}],
    "bos_token": "<s>", "add_generation_prompt": true, "d": {"a": 1, "b": [3, 1, 2]},
    "l": [3, -1, 2.5, "b", "A", null], "s": " Hello wörld ", "n": 7, "f": -0.25, "big": 123456789012345678901234567890
  })",
                                      "variables");
  return json;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::pair<std::string_view, const Json*>> list;
  for (const auto& [name, value] : variables().get_ref<const Json::object_t&>()) list.emplace_back(name, &value);
  const jinja::LocalTime now = jinja::LocalTime::parse("2026-01-15 12:30:45");
  const jinja::Limits limits{.steps = 100'000, .live_bytes = 16 << 20, .string_bytes = 1 << 20};
  try {
    const jinja::Template parsed(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    if (parsed.render(list, &now, limits) != parsed.render(list, &now, limits)) {
      std::fprintf(stderr, "two renderings differ\n");
      std::abort();
    }
  } catch (const Error& e) {
    if (e.fault() != Fault::template_) {
      std::fprintf(stderr, "%s\n", e.what());
      std::abort();
    }
  }
  return 0;
}
