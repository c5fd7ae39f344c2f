#pragma once

// The output of a batch: FILE gets one JSON line per finished row, appended as rows finish; FILE.manifest.json
// says what the lines came from, so that --resume continues the same job and no other. A line counts once it is
// synced; what a killed run left half written is cut off at the next start.

#include <filesystem>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "app/cli/batch_row.h"
#include "chorus/error.h"
#include "chorus/json.h"

namespace chorus::cli {

enum class OutputMode { fresh, resume, overwrite };

class BatchOutput {
 public:
  /// "-" is standard output. Opens the file, and holds it against other runs. Throws Fault::io if it cannot be
  /// written, Fault::usage if it holds results and the mode is fresh.
  BatchOutput(const std::string& file_or_dash, OutputMode mode);
  ~BatchOutput();
  BatchOutput(const BatchOutput&) = delete;
  BatchOutput& operator=(const BatchOutput&) = delete;

  /// The manifest of the run that is resumed; null if this one begins anew.
  const Json& earlier_manifest() const { return earlier_manifest_; }
  /// Checks `manifest` against the earlier one (Fault::usage naming what differs), or writes it.
  void begin(const Json& manifest);

  /// Whether the earlier run finished the row.
  bool has(const BatchRow& row) const;
  /// Rows that the earlier run finished with an error.
  int64_t earlier_errors() const { return earlier_errors_; }
  /// Tells rows that failed in the input, which may share an id, from those that ran.
  void expect(const std::vector<BatchRow>& rows);

  /// Writes with the next flush().
  void add(const Json& result);
  /// Everything added is on disk when this returns. Throws Fault::io.
  void flush();

 private:
  Error error(const char* problem, int error_number) const;
  void read_earlier_results();
  void write(std::string_view bytes);

  std::filesystem::path file_, manifest_file_;
  int fd_ = -1;
  bool regular_ = false;
  bool broken_ = false;  // a write failed: nothing may follow a torn line
  uint64_t synced_bytes_ = 0;
  std::string pending_;
  Json earlier_manifest_;
  std::vector<std::pair<std::string, std::string>> earlier_;  // id and error of each line
  int64_t earlier_errors_ = 0;
  std::unordered_set<std::string> ran_;
  std::set<std::pair<std::string, std::string>> failed_in_input_;
};

}  // namespace chorus::cli
