#pragma once

#include <string>
#include <vector>

#include "app/cli/batch_row.h"

namespace chorus::cli {

/// Prints what the output file says of the rows, in the order of the input.
void print_batch_table(const std::vector<BatchRow>& rows, const std::string& output_file);

}  // namespace chorus::cli
