#include "chat/urlize.h"

#include <algorithm>

#include "base/utf8.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

bool is_host(std::string_view host) {  // name.tld, at least two letters at the end
  const size_t dot = host.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || host.size() - dot < 3) return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ||
           static_cast<unsigned char>(c) >= 0x80;
  });
}

bool has_scheme(std::string_view word) {
  return word.starts_with("https://") || word.starts_with("http://");
}

bool is_address(std::string_view word) {
  if (has_scheme(word)) return word.size() > word.find("//") + 2;
  const size_t end = std::min(word.find_first_of("/?#:"), word.size());
  const std::string_view host = word.substr(0, end);
  if (host.starts_with("www.")) return is_host(host);
  return is_host(host) &&
         (host.ends_with(".com") || host.ends_with(".net") || host.ends_with(".org") || host.ends_with(".info") ||
          host.ends_with(".edu") || host.ends_with(".gov") || host.ends_with(".int") || host.ends_with(".mil"));
}

bool is_mail(std::string_view word) {
  const size_t at = word.find('@');
  return at != std::string_view::npos && at > 0 && !word.starts_with("www.") &&
         word.find(':') == std::string_view::npos && word.find('@', at + 1) == std::string_view::npos &&
         is_host(word.substr(at + 1));
}

std::string trimmed(std::string_view address, int64_t limit) {
  if (limit < 0 || int64_t(utf8_length(address)) <= limit) return std::string(address);
  size_t end = 0;
  for (int64_t i = 0; i < limit; ++i) end += decode_utf8(address, end).size;
  return std::string(address.substr(0, end)) + "...";
}

std::string link(std::string_view href, std::string_view shown, const UrlizeOptions& options,
                 bool with_attributes) {
  std::string out = "<a href=\"" + std::string(href) + "\"";
  if (with_attributes && !options.rel.empty()) out += " rel=\"" + escape_html(options.rel) + "\"";
  if (with_attributes && !options.target.empty()) out += " target=\"" + escape_html(options.target) + "\"";
  return out + ">" + std::string(shown) + "</a>";
}

std::string linked(std::string_view middle, const UrlizeOptions& options) {
  if (is_address(middle)) {
    const std::string href = (has_scheme(middle) ? "" : "https://") + std::string(middle);
    return link(href, trimmed(middle, options.trim_limit), options, true);
  }
  if (middle.starts_with("mailto:") && is_mail(middle.substr(7)))
    return link(middle, middle.substr(7), options, false);
  if (is_mail(middle)) return link("mailto:" + std::string(middle), middle, options, false);
  for (const std::string& scheme : options.schemes)
    if (middle != scheme && middle.starts_with(scheme)) return link(middle, middle, options, true);
  return std::string(middle);
}

// Punctuation around an address is not part of it, but for brackets that are balanced inside.
std::string word_as_html(std::string_view word, const UrlizeOptions& options) {
  std::string_view middle = word;
  std::string head, tail;
  while (true) {
    if (middle.starts_with('('))
      head += "(", middle.remove_prefix(1);
    else if (middle.starts_with("&lt;"))
      head += "&lt;", middle.remove_prefix(4);
    else
      break;
  }
  while (true) {
    if (middle.ends_with("&gt;"))
      tail.insert(0, "&gt;"), middle.remove_suffix(4);
    else if (!middle.empty() && std::string_view(").,\n").find(middle.back()) != std::string_view::npos) {
      tail.insert(0, 1, middle.back());
      middle.remove_suffix(1);
    } else
      break;
  }
  const auto opened = std::count(middle.begin(), middle.end(), '('),
             closed = std::count(middle.begin(), middle.end(), ')');
  if (opened > closed) {
    const size_t at = tail.rfind(')');
    if (at != std::string::npos) {
      middle = word.substr(head.size(), middle.size() + at + 1);
      tail.erase(0, at + 1);
    }
  }
  return head + linked(middle, options) + tail;
}

}  // namespace

std::string urlize(std::string_view text, const UrlizeOptions& options) {
  const std::string escaped = escape_html(text);
  charge(int64_t(escaped.size()));
  std::string out;
  for (size_t at = 0; at < escaped.size();) {
    size_t end = at;
    const bool space = is_space(decode_utf8(escaped, at).value);
    while (end < escaped.size() && is_space(decode_utf8(escaped, end).value) == space)
      end += decode_utf8(escaped, end).size;
    const std::string_view piece = std::string_view(escaped).substr(at, end - at);
    out += space ? std::string(piece) : word_as_html(piece, options);
    at = end;
  }
  return out;
}

}  // namespace chorus::jinja
