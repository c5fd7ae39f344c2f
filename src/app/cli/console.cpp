#include "app/cli/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "chorus/error.h"

namespace chorus::cli {

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(Fault::io, "cannot write to standard output").with("reason", system_reason(errno));
    text.remove_prefix(size_t(n));
  }
}

void print_json(const Json& value) {
  print(to_json_line(value) + "\n");
}

void report(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", int(line.size()), line.data());
}

void for_each_input_line(const std::function<void(std::string_view line)>& on_line) {
  std::string line;
  while (std::getline(std::cin, line)) on_line(line);
}

std::string read_input(const std::string& file_or_dash) {
  return read_file(file_or_dash == "-" ? "/dev/stdin" : expand_home(file_or_dash));
}

Json read_list(const std::string& file_or_dash, std::string_view what) {
  const std::string name = file_or_dash == "-" ? "standard input" : file_or_dash;
  Json value = parse_json(read_input(file_or_dash), name);
  if (!value.is_array())
    throw Error(Fault::input, fmt::format("the {} are not a JSON list", what))
        .with("file", name)
        .with("actual", value.type_name());
  return value;
}

std::string for_terminal(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;  // U+0080 to U+009F
    if (c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      out += "\xef\xbf\xbd";
    else
      out += text[i];
  }
  return out;
}

std::string bytes_text(double bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 999.95 && unit < 4; ++unit) bytes /= 1e3;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.3g} {}", bytes, units[unit]);
}

}  // namespace chorus::cli
