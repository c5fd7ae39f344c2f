#pragma once

#include <span>
#include <string>

namespace chorus::cli {

struct TableRow {
  std::string question;
  std::string working;  ///< the reasoning, shown in brief
  std::string answer;   ///< or why there is none
  bool failed = false;
};

/// Questions, workings (where any row has one) and answers side by side, at most 100 columns wide; long texts are
/// wrapped, and cut with an ellipsis. Characters count as one column each.
std::string table_text(std::span<const TableRow> rows, bool colour);

}  // namespace chorus::cli
