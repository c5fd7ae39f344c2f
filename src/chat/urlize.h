#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chorus::jinja {

struct UrlizeOptions {
  int64_t trim_limit = -1;  ///< longest shown address; -1 = all of it
  std::string rel, target;
  std::vector<std::string> schemes;  ///< further prefixes like "tel:"
};

/// Plain text as HTML, with its web and mail addresses as links.
std::string urlize(std::string_view text, const UrlizeOptions& options);

}  // namespace chorus::jinja
