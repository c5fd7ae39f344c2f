#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "chorus/error.h"

namespace chorus {
namespace {

Error file_error(const char* problem, const std::filesystem::path& file) {
  return Error(Fault::io, problem).with("file", file.string()).with("reason", system_reason(errno));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::string system_reason(int error_number) { return std::generic_category().message(error_number); }

std::string read_file(const std::filesystem::path& file) {
  const Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (in.fd < 0) throw file_error("cannot open file", file);
  struct stat info {};
  if (::fstat(in.fd, &info) != 0) throw file_error("cannot read file", file);
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    throw file_error("cannot read file", file);
  }
  std::string content;
  content.reserve(size_t(info.st_size) + 1);
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(in.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw file_error("cannot read file", file);
    if (n == 0) return content;
    content.append(buffer, size_t(n));
  }
}

void write_file(const std::filesystem::path& file, std::string_view content) {
  std::filesystem::path partial = file;
  partial += ".partial";
  {
    const Descriptor out{::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (out.fd < 0) throw file_error("cannot write file", file);
    while (!content.empty()) {
      const ssize_t n = ::write(out.fd, content.data(), content.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw file_error("cannot write file", file);
      content.remove_prefix(size_t(n));
    }
    if (::fsync(out.fd) != 0) throw file_error("cannot write file", file);
  }
  if (::rename(partial.c_str(), file.c_str()) != 0) throw file_error("cannot write file", file);
}

std::filesystem::path expand_home(std::string_view path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || path.empty() || path[0] != '~' || (path.size() > 1 && path[1] != '/')) return path;
  return std::filesystem::path(home) / path.substr(path.size() > 1 ? 2 : 1);
}

}  // namespace chorus
