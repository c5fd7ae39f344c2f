#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace chorus {

/// The whole file. Throws Fault::io naming the file and the system's reason.
std::string read_file(const std::filesystem::path& file);

/// Replaces the file as a whole (written beside it, synced, renamed): a reader never sees half of it.
/// Throws Fault::io.
void write_file(const std::filesystem::path& file, std::string_view content);

/// `path` with a leading ~ replaced by $HOME.
std::filesystem::path expand_home(std::string_view path);

/// The text of errno.
std::string system_reason(int error_number);

}  // namespace chorus
