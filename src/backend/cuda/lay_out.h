#pragma once

#include "backend/cuda/panel_format.h"
#include "ops/matrix.h"

namespace chorus::cuda {

/// The panels that hold a matrix of the files.
PanelFormat format_for(const Matrix& m);
/// Of a placed one: its data's type says what the panels hold (type_of).
PanelFormat format_of(const Matrix& placed);
DType type_of(const PanelFormat& format);

/// Panel `panel` of matrix `matrix`: writes all of its format.panel_bytes(). Pure host code.
void lay_out_panel(const Matrix& m, int64_t matrix, int64_t panel, const PanelFormat& format, std::byte* out);

}  // namespace chorus::cuda
