#pragma once

#include <span>
#include <utility>

#include "backend/cuda/panel_format.h"
#include "ops/matrix.h"

namespace chorus::cuda {

/// Matrices of equal inputs, one under the other; their codings differ only where the panels are not quantised.
struct Stack {
  std::span<const Matrix> parts;

  /// The part that holds a row of the stack, and its row there.
  std::pair<const Matrix*, int64_t> find(int64_t row) const;
};

/// The panels that hold a matrix of the files.
PanelFormat format_for(const Matrix& m);
/// One for all parts of a stack, or for matrices that a kernel reads together; its rows are the first's. Where their own
/// differ it is that of their elements: bf16, or f32 if one of them needs that.
PanelFormat format_for(std::span<const Matrix> parts);
/// Of a placed one: its data's type says what the panels hold (type_of).
PanelFormat format_of(const Matrix& placed);
DType type_of(const PanelFormat& format);

/// Panel `panel` of matrix `matrix` of a stack: writes all of its format.panel_bytes(). Pure host code.
void lay_out_panel(const Stack& stack, int64_t matrix, int64_t panel, const PanelFormat& format, std::byte* out);

}  // namespace chorus::cuda
