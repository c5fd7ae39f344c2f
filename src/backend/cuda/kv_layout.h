// Where a key's or a value's dimension lies in a cache block. A block holds, per kv head, 16 tokens times `dim`
// dimensions of bf16, in slices of 16 dimensions (512 bytes). A slice is what two mma.m16n8k16 take as their B
// operand: lane l reads 16 bytes at 16 * l. Its rows and columns are dealt out so that a lane's scores are those of
// four neighbouring tokens, which are the tokens that it multiplies values of, and its outputs are four neighbouring
// dimensions.
#pragma once

namespace chorus::cuda {

constexpr int kv_block_tokens = 16, kv_slice_dims = 16;

/// Element of a slice: `column` goes to columns of the two mma's result, `k` is what they sum over; both 0 .. 15.
constexpr int kv_slice_at(int column, int k) {
  const int lane = (column / 4 * 2 + column % 2) * 4 + k / 4;
  return lane * 8 + column % 4 / 2 * 4 + k % 4;
}
/// Elements from the beginning of a kv head's part of a block.
constexpr int key_at(int token, int dim) {
  return dim / kv_slice_dims * 256 + kv_slice_at(token, dim % kv_slice_dims);
}
constexpr int value_at(int token, int dim) {
  return dim / kv_slice_dims * 256 + kv_slice_at(dim % kv_slice_dims, token);
}

}  // namespace chorus::cuda
