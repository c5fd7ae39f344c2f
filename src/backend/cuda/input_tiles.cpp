#include "backend/cuda/input_tiles.h"

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/panel_format.h"
#include "chorus/error.h"

namespace chorus::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// The driver's own library is not linked: it need not be there where chorus runs on a CPU.
Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
        "cuTensorMapEncodeTiled");
  if (found != cudaDriverEntryPointSuccess)
    throw Error(Fault::usage, "the CUDA driver is too old").with("it lacks", "cuTensorMapEncodeTiled");
  return reinterpret_cast<Encode>(function);
}

CUtensorMap boxes(const Rows16& rows, int box_rows, int box_chunks) {
  static const Encode encode = find_encode();
  CUtensorMap map{};
  const cuuint64_t size[3] = {chunk_columns, cuuint64_t(rows.rows), cuuint64_t(rows.columns / chunk_columns)};
  const cuuint64_t distance[2] = {cuuint64_t(rows.columns) * sizeof(uint16_t), chunk_columns * sizeof(uint16_t)};
  const cuuint32_t box[3] = {chunk_columns, cuuint32_t(box_rows), cuuint32_t(box_chunks)}, step[3] = {1, 1, 1};
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<uint16_t*>(rows.data), size,
                                 distance, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error(Fault::internal, "a CUDA call failed")
        .with("call or kernel", "cuTensorMapEncodeTiled")
        .with("code", int(result));
  return map;
}

}  // namespace

InputTiles input_tiles(const Rows16& rows, int tile_tokens, int chunks) {
  InputTiles tiles{};
  tiles.most_rows = tile_tokens;
  for (int box = 0; box < InputTiles::sizes && (box == 0 || tiles.rows(box - 1) < tile_tokens); ++box)
    tiles.boxes[box] = boxes(rows, tiles.rows(box), chunks);
  return tiles;
}

}  // namespace chorus::cuda
