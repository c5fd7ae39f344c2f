#include "base/json.h"

#include <algorithm>

#include "base/file.h"
#include "chorus/error.h"

namespace chorus {
namespace {

constexpr int max_json_depth = 512;

// nlohmann recurses per level when a value is destroyed or copied: hostile nesting must not reach it.
void check_depth(std::string_view text, std::string_view source) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_json_depth)
        throw Error(Fault::input, "JSON is nested too deeply")
            .with("where", source).with("limit", max_json_depth).with("at byte", i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  check_depth(text, source);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    const size_t at = std::min(e.byte > 0 ? e.byte - 1 : 0, text.size());
    const size_t begin = at < 30 ? 0 : at - 30;
    std::string near(text.substr(begin, 60));
    std::replace_if(near.begin(), near.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, ' ');
    throw Error(Fault::input, at >= text.size() ? "JSON ends too early" : "not valid JSON")
        .with("where", source).with("at byte", at).with("near", near);
  } catch (const nlohmann::json::out_of_range& e) {  // a number like 1e999
    throw Error(Fault::input, "JSON has a number that is too large").with("where", source).with("reason", e.what());
  }
}

Json read_json(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  try {
    return parse_json(text, file.string());
  } catch (const Error& e) {
    Error as_model(Fault::model, e.problem());
    for (const auto& [name, value] : e.facts()) as_model.with(name, value);
    throw as_model;
  }
}

std::string to_json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace chorus
