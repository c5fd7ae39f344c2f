#pragma once

#include <vector>

#include "app/cli/batch_row.h"

namespace chorus::cli {

/// The rows of an input: one per line that is not empty. A .txt file holds prompts, anything else JSON lines. The
/// later of two rows with one id is in error. Throws Fault::input if there is no row.
std::vector<BatchRow> read_rows(std::string_view content, std::string_view file_name, const RowDefaults& defaults);

}  // namespace chorus::cli
