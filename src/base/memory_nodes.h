#pragma once

#include <filesystem>
#include <span>
#include <vector>

namespace chorus {

/// The nodes of a NUMA machine that have memory, from what Linux says under `root`; empty where it says nothing.
std::vector<int> memory_nodes(const std::filesystem::path& root = "/sys/devices/system/node");

/// Has pages that are not yet touched lie on the nodes in turn: whichever thread reads them, all nodes' memory is
/// read at once. Without at least two nodes nothing is done. False where the system refused; then a page lies on
/// the node of the thread that touches it first.
bool spread_over_nodes(void* begin, size_t bytes, std::span<const int> nodes);

}  // namespace chorus
