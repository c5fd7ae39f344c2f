#include "app/cli/batch_output.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "chorus/error.h"

namespace chorus::cli {

Error BatchOutput::error(const char* problem, int error_number) const {
  return Error(Fault::io, problem).with("file", file_.string()).with("reason", system_reason(error_number));
}

BatchOutput::BatchOutput(const std::string& file_or_dash, OutputMode mode) {
  if (file_or_dash == "-") {
    if (mode != OutputMode::fresh)
      throw Error(Fault::usage, "--resume and --overwrite need a file").with("--output", "-");
    file_ = "standard output";
    fd_ = ::dup(STDOUT_FILENO);
    if (fd_ < 0) throw error("cannot write the output", errno);
    return;
  }
  file_ = expand_home(file_or_dash);
  manifest_file_ = file_;
  manifest_file_ += ".manifest.json";
  fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) throw error("cannot write the output", errno);
  regular_ = S_ISREG(info.st_mode);
  if (regular_ && ::flock(fd_, LOCK_EX | LOCK_NB) != 0)
    throw Error(Fault::usage, "another chorus writes this output").with("file", file_.string());
  if (mode == OutputMode::overwrite && regular_ && ::ftruncate(fd_, 0) != 0)
    throw error("cannot overwrite the output", errno);
  if (mode == OutputMode::fresh && info.st_size > 0)
    throw Error(Fault::usage, "the output file already holds results")
        .with("file", file_.string())
        .with("help", "--resume continues where they end, --overwrite begins anew");
  if (mode == OutputMode::resume && info.st_size > 0) read_earlier_results();
}

BatchOutput::~BatchOutput() {
  if (fd_ >= 0) ::close(fd_);
}

void BatchOutput::read_earlier_results() {
  if (!std::filesystem::exists(manifest_file_))
    throw Error(Fault::usage, "cannot resume: the results have no manifest beside them")
        .with("missing", manifest_file_.string())
        .with("help", "--overwrite begins anew");
  earlier_manifest_ = read_json(manifest_file_);
  const std::string content = read_file(file_);
  size_t begin = 0;
  for (int64_t line = 1; begin < content.size(); ++line) {
    const size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;  // torn by the end of the earlier run
    const std::string_view text = std::string_view(content).substr(begin, end - begin);
    try {
      const Json result = parse_json(text, file_.string() + " line " + std::to_string(line));
      const Json& error = result.at("error");
      earlier_.emplace_back(result.at("id").get<std::string>(), error.is_null() ? "" : error.get<std::string>());
    } catch (const std::exception& e) {
      if (end + 1 == content.size()) break;  // after a loss of power, a torn line may have its end
      throw Error(Fault::input, "cannot resume: the output has a line that is no result")
          .with("file", file_.string())
          .with("line", line)
          .with("reason", e.what());
    }
    if (!earlier_.back().second.empty()) ++earlier_errors_;
    begin = end + 1;
  }
  if (begin < content.size() && ::ftruncate(fd_, off_t(begin)) != 0)
    throw error("cannot cut a torn line off the output", errno);
  synced_bytes_ = begin;
}

void BatchOutput::begin(const Json& manifest) {
  if (!regular_) return;
  if (earlier_manifest_.is_null()) {
    write_file(manifest_file_, manifest.dump(2) + "\n");
    return;
  }
  Error differs(Fault::usage, "cannot resume: this is not the job that the results come from");
  for (const auto& [name, value] : manifest.items()) {
    const auto earlier = earlier_manifest_.find(name);
    const Json was = earlier == earlier_manifest_.end() ? Json() : *earlier;
    if (was != value) differs.with(name, "was " + to_json_line(was) + ", now " + to_json_line(value));
  }
  if (!differs.facts().empty()) throw differs.with("manifest", manifest_file_.string());
}

void BatchOutput::expect(const std::vector<BatchRow>& rows) {
  std::set<std::pair<std::string, std::string>> in_input;
  for (const BatchRow& row : rows)
    if (row.error) in_input.emplace(row.id, *row.error);
  for (auto& line : earlier_) {
    if (in_input.contains(line))
      failed_in_input_.insert(line);
    else
      ran_.insert(line.first);
  }
}

bool BatchOutput::has(const BatchRow& row) const {
  return row.error ? failed_in_input_.contains({row.id, *row.error}) : ran_.contains(row.id);
}

void BatchOutput::add(const Json& result) {
  pending_ += to_json_line(result) + "\n";
}

void BatchOutput::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int reason = errno;
      broken_ = true;
      if (regular_ && ::ftruncate(fd_, off_t(synced_bytes_)) != 0) {
        // The torn line stays; --resume cuts it off.
      }
      throw error("cannot write the output", reason);
    }
    bytes.remove_prefix(size_t(n));
  }
}

void BatchOutput::flush() {
  if (pending_.empty() || broken_) return;
  write(pending_);
  if (regular_ && ::fsync(fd_) != 0) {
    broken_ = true;
    throw error("cannot write the output", errno);
  }
  synced_bytes_ += pending_.size();
  pending_.clear();
}

}  // namespace chorus::cli
