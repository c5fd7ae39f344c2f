#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"
#include "ops/random_ops.h"

namespace chorus::test {

using cpu::CpuBackend;
using cpu::Precision;

/// A CPU backend with these kernels.
inline std::unique_ptr<CpuBackend> make_cpu(const cpu::Kernels& kernels, Precision precision, int threads) {
  const char* before = std::getenv("CHORUS_CPU");
  const std::string restored = before != nullptr ? before : "";
  ::setenv("CHORUS_CPU", std::string(kernels.name).c_str(), 1);
  auto backend = std::make_unique<CpuBackend>(precision, threads);
  before != nullptr ? ::setenv("CHORUS_CPU", restored.c_str(), 1) : ::unsetenv("CHORUS_CPU");
  return backend;
}

struct NamedBackend {
  std::string name;
  bool fast;
  std::unique_ptr<CpuBackend> backend;
};

/// Every instruction set that runs here, in both precisions.
inline std::vector<NamedBackend> make_backends(int threads) {
  std::vector<NamedBackend> all;
  for (const cpu::Kernels* kernels : cpu::available_kernels())
    for (const Precision precision : {Precision::fast, Precision::exact}) {
      auto backend = make_cpu(*kernels, precision, threads);
      all.push_back({std::string(backend->name()), precision == Precision::fast, std::move(backend)});
    }
  return all;
}

/// Made once: their threads wait between tests.
inline const std::vector<NamedBackend>& backends() {
  static const std::vector<NamedBackend> all = make_backends(2);
  return all;
}

/// Checks and runs an op twice: measuring, then in exactly the workspace that this asked for, full of NaNs.
template <typename Op>
void run(CpuBackend& backend, const Op& op) {
  check(op);
  backend.use_workspace(Arena());
  backend.run(op);
  const size_t planned = backend.workspace().peak();
  std::vector<std::byte> memory(planned + Arena::alignment, std::byte(0xff));
  void* begin = memory.data();
  size_t space = memory.size();
  std::align(Arena::alignment, planned, begin, space);
  backend.use_workspace(Arena(begin, std::max<size_t>(planned, 1)));
  backend.run(op);
  EXPECT_EQ(backend.workspace().peak(), planned) << "measuring and running disagree";
  EXPECT_EQ(backend.workspace().mark(), 0u) << "scratch was not given back";
  backend.use_workspace(Arena());
}

/// Memory for a result, full of NaNs.
inline Tensor result(Memory& memory, Shape shape) {
  const Tensor t = memory.make(DType::f32, shape);
  std::memset(t.raw(), 0xff, t.bytes());
  return t;
}

/// Bytes of two results are equal.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// With a residual an op that has run gives that plus op.out, bit for bit, also where the residual is.
template <typename Op>
void expect_residual_added(CpuBackend& backend, const Op& without) {
  Memory memory;
  Random random(9);
  Op op = without;
  op.residual = random.normals(memory, op.out.shape());
  op.out = result(memory, op.out.shape());
  run(backend, op);
  for (size_t i = 0; i < size_t(op.out.elements()); ++i)
    ASSERT_EQ(op.out.template values<float>()[i],
              op.residual.template values<float>()[i] + without.out.template values<float>()[i]);
  const Tensor apart = op.out;
  op.out = op.residual;
  run(backend, op);
  EXPECT_TRUE(same_bits(op.out.template values<float>(), apart.template values<float>()));
}

/// Placed weights, given back at the end: Linear or ExpertLinear.
template <typename L>
struct Placed {
  Placed(CpuBackend& on, const L& from) requires(std::is_same_v<L, ExpertLinear>)
      : linear(on.place(from)), backend(on) {}
  Placed(CpuBackend& on, const L& from) requires(std::is_same_v<L, Linear>)
      : linear(on.place(std::span(&from, 1))), backend(on) {}
  Placed(CpuBackend& on, const std::vector<L>& parts) : linear(on.place(parts)), backend(on) {}
  Placed(const Placed&) = delete;
  ~Placed() {
    backend.release(linear.weight.data);
    if (!linear.bias.empty()) backend.release(linear.bias);
  }
  L linear;
  CpuBackend& backend;
};

}  // namespace chorus::test
