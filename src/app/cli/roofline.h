#pragma once

namespace chorus::cli {

/// Bytes per second that so many threads (0: all) read from memory when nothing else limits them: the median of
/// nine passes over 1 GB, or over a quarter of what is free. The ceiling of a decode step.
double measure_read_bandwidth(int threads);

}  // namespace chorus::cli
