#include "weights/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "chorus/error.h"
#include "chorus/json.h"
#include "weights/safetensors.h"

namespace chorus {
namespace {

Error write_error(const std::filesystem::path& file) {
  return Error(Fault::io, "cannot write file").with("file", file.string()).with("reason", system_reason(errno));
}

// The data begins on a cache line, so tensors whose sizes allow it are aligned.
constexpr size_t data_alignment = 64;

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& file, std::span<const PlannedTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(file), partial_(file) {
  Json header;
  header["__metadata__"] = metadata;
  for (const PlannedTensor& tensor : tensors) {
    Json sizes = Json::array();
    for (int i = 0; i < tensor.shape.rank(); ++i) sizes.push_back(tensor.shape[i]);
    const uint64_t end = planned_ + tensor.bytes();
    header[tensor.name] = {
        {"dtype", safetensors_name(tensor.dtype)}, {"shape", sizes}, {"data_offsets", {planned_, end}}};
    planned_ = end;
  }
  std::string text = header.dump();
  text.resize((8 + text.size() + data_alignment - 1) / data_alignment * data_alignment - 8, ' ');

  partial_ += ".partial";
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw write_error(file_);
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(text.size() >> (8 * i));
  try {
    write(length, sizeof length);
    write(text.data(), text.size());
  } catch (...) {
    ::close(fd_);
    ::unlink(partial_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void SafetensorsWriter::write(const void* bytes, size_t size) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t n = ::write(fd_, from, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw write_error(file_);
    from += n;
    size -= size_t(n);
  }
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > planned_ - written_)
    throw Error(Fault::internal, "more bytes than planned for a safetensors file").with("file", file_.string());
  write(bytes.data(), bytes.size());
  written_ += bytes.size();
}

void SafetensorsWriter::finish() {
  if (written_ != planned_)
    throw Error(Fault::internal, "fewer bytes than planned for a safetensors file").with("file", file_.string());
  if (::fsync(fd_) != 0) throw write_error(file_);
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0 || ::rename(partial_.c_str(), file_.c_str()) != 0) {
    const Error error = write_error(file_);
    ::unlink(partial_.c_str());
    throw error;
  }
}

}  // namespace chorus
