#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace chorus {

/// A file mapped read-only; the pages come from the page cache as they are touched.
/// A file that another program shortens while it is mapped raises SIGBUS at the next touch: as with every mapped
/// reader, do not do that.
class MappedFile {
 public:
  /// Throws Fault::io naming the file.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Gives back the resident pages of [begin, begin + size): what was repacked need not stay in memory twice.
  void drop(const std::byte* begin, size_t size) const;
  /// Asks the system to read the range ahead.
  void prefetch(const std::byte* begin, size_t size) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace chorus
