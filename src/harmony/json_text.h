#pragma once

#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "chorus/json.h"

namespace chorus::harmony {

/// Follows brackets and strings of JSON text that comes in pieces.
class JsonExtent {
 public:
  /// Bytes of the piece up to the end of the value; all of them while the value goes on.
  size_t take(std::string_view piece);
  /// The same for text that goes on behind the value.
  void take_all(std::string_view piece);
  bool in_string() const { return in_string_; }
  /// An object or array has been opened and closed again.
  bool complete() const { return began_ && depth_ == 0; }

 private:
  size_t depth_ = 0;
  bool began_ = false, in_string_ = false, escaped_ = false;
};

/// Where the object or array ends that begins at text[at]; npos where it does not, or is not JSON.
size_t end_of_json(std::string_view text, size_t at);

/// Calls `member` with every key and the text of its value; `object` is the text of a JSON object.
void for_each_member(std::string_view object,
                     FunctionRef<void(const std::string& key, std::string_view value)> member);

/// Calls `element` with the text of every element of a JSON array.
void for_each_element(std::string_view array, FunctionRef<void(std::string_view value)> element);

}  // namespace chorus::harmony
