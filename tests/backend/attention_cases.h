#pragma once

#include "backend/attention_rows.h"

namespace chorus::test {

inline const AttentionCase attention_cases[] = {
    {"smallest", 1, 1, 16, 0, false, {{0, 1}}},
    {"a sink and one key", 1, 1, 16, 0, true, {{0, 1}}},
    {"one decode row over a block's end", 4, 2, 32, 0, false, {{16, 1}}},
    {"ragged decode rows", 8, 2, 64, 0, true, {{0, 1}, {1, 1}, {15, 1}, {16, 1}, {31, 1}, {100, 1}, {257, 1}}},
    {"a prefill over several tiles", 4, 1, 32, 0, false, {{0, 150}}},
    {"a chunk that begins inside a block", 4, 2, 64, 0, true, {{23, 17}}},
    {"chunks and decode rows mixed", 8, 2, 64, 0, true, {{40, 1}, {0, 29}, {130, 1}, {5, 9}, {127, 3}, {128, 64}}},
    {"a window of one key", 2, 1, 16, 1, true, {{0, 1}, {7, 1}, {16, 3}}},
    {"a window inside a block", 4, 2, 32, 5, false, {{0, 20}, {30, 1}, {47, 4}}},
    {"gpt-oss's window, rows on both sides of it",
     8,
     1,
     64,
     128,
     true,
     {{0, 1}, {126, 1}, {127, 1}, {128, 1}, {129, 1}, {500, 1}, {120, 20}, {300, 9}}},
    {"a window that is no multiple of a block", 4, 1, 64, 100, true, {{0, 130}, {255, 2}, {400, 1}}},
    {"heads of gpt-oss-20b", 64, 8, 64, 0, true, {{200, 1}, {63, 5}}},
    {"heads of gpt-oss-20b, sliding", 64, 8, 64, 128, true, {{200, 1}, {126, 5}}},
    {"no groups, wide heads", 3, 3, 128, 0, false, {{33, 1}, {0, 7}}},
    {"heads no multiple of 8 per kv head, 80 dimensions", 20, 2, 80, 0, true, {{70, 2}, {12, 1}}},
    {"widest head", 2, 1, 512, 0, false, {{20, 3}}},
    {"most heads per kv head", 64, 1, 16, 0, true, {{40, 2}}},
    {"long context", 8, 1, 64, 0, true, {{3000, 1}}},
};

}  // namespace chorus::test
