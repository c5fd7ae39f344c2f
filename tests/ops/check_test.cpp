// Every precondition that an op's header states, broken once: check() names the field.
#include <functional>

#include "chorus/error.h"
#include "ops/golden_ops.h"
#include "ops/ops.h"

namespace chorus::test {
namespace {

// Tensors without memory: check() looks at types and shapes. Results have an address, since some must not be an
// input.
char memory[16];
Tensor f32(Shape shape, int at = 0) {
  return {DType::f32, shape, memory + at};
}
Tensor i32(Shape shape) {
  return {DType::i32, shape, memory};
}
Tensor bf16_tensor(Shape shape) {
  return {DType::bf16, shape, memory};
}

Matrix matrix(int64_t matrices, int64_t rows, int64_t columns) {
  return {.layout = Layout::placed,
          .matrices = matrices,
          .rows = rows,
          .columns = columns,
          .data = {},
          .scales = {},
          .quant_biases = {}};
}
Linear linear(int64_t rows, int64_t columns) {
  return {.weight = matrix(1, rows, columns), .bias = f32({rows})};
}
ExpertLinear experts(int64_t count, int64_t rows, int64_t columns) {
  return {.weight = matrix(count, rows, columns), .bias = f32({count, rows})};
}
KvLayer kv_layer() {
  return {.keys = f32({64}), .values = f32({64}), .kv_heads = 2, .head_dim = 8, .block_tokens = 16};
}

// Sound ops: 3 tokens, hidden 10, 4 heads of 8.
Rows sound(Type<Rows>) {
  return {.x = f32({3, 10}), .index = i32({2}), .out = f32({2, 10}, 1)};
}
Embedding sound(Type<Embedding>) {
  return {.table = matrix(1, 50, 10), .token_ids = i32({3}), .out = f32({3, 10})};
}
RmsNorm sound(Type<RmsNorm>) {
  return {.x = f32({3, 10}), .weight = f32({10}), .eps = 1e-5f, .out = f32({3, 10})};
}
MatMul sound(Type<MatMul>) {
  return {.x = f32({3, 10}), .linear = linear(20, 10), .out = f32({3, 20})};
}
RopeAngles sound(Type<RopeAngles>) {
  return {.positions = i32({3}), .frequencies = f32({4}), .scale = 1, .out = f32({3, 2, 4})};
}
RopeStore sound(Type<RopeStore>) {
  return {.qkv = f32({3, 8, 8}), .angles = f32({3, 2, 4}), .slots = i32({3}), .kv = kv_layer(), .out = f32({3, 4, 8})};
}
QkvRopeStore sound(Type<QkvRopeStore>) {
  return {.x = f32({3, 10}),
          .qkv = linear(64, 10),
          .angles = f32({3, 2, 4}),
          .slots = i32({3}),
          .kv = kv_layer(),
          .out = f32({3, 4, 8}, 1)};
}
PagedAttention sound(Type<PagedAttention>) {
  return {.q = f32({3, 4, 8}),
          .kv = kv_layer(),
          .positions = i32({3}),
          .row_of_token = i32({3}),
          .block_tables = i32({2, 5}),
          .first_block = i32({2}),
          .scale = 1,
          .window = 0,
          .sinks = f32({4}),
          .out = f32({3, 4, 8})};
}
Routing sound(Type<Routing>) {
  return {.x = f32({3, 10}),
          .norm = f32({10}),
          .eps = 1e-5f,
          .router = linear(6, 10),
          .normed = f32({3, 10}, 1),
          .experts = i32({3, 2}),
          .weights = f32({3, 2})};
}
ExpertMlp sound(Type<ExpertMlp>) {
  return {.x = f32({3, 10}),
          .experts = i32({3, 2}),
          .weights = f32({3, 2}),
          .gate = experts(6, 12, 10),
          .up = experts(6, 12, 10),
          .down = experts(6, 10, 12),
          .activation = {},
          .out = f32({3, 10}, 1),
          .next_norm = f32({10}),
          .eps = 1e-5f,
          .next_normed = f32({3, 10})};
}

/// A way to break an op of this kind, and the field that the error must name.
template <typename Op>
struct Broken {
  const char* field;
  const char* why;
  std::function<void(Op&)> breaking;
};

template <typename Op>
void expect_named(const std::vector<Broken<Op>>& table) {
  const Op good = sound(Type<Op>{});
  EXPECT_NO_THROW(check(good));
  for (const Broken<Op>& broken : table) {
    SCOPED_TRACE(std::string(broken.field) + ": " + broken.why);
    Op op = good;
    broken.breaking(op);
    try {
      check(op);
      ADD_FAILURE() << "passed";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::internal);
      EXPECT_NE(e.one_line().find(std::string("field: ") + broken.field), std::string::npos) << e.what();
    }
  }
}

TEST(Check, Rows) {
  expect_named<Rows>({{"x", "no rows", [](Rows& op) { op.x = f32({30}); }},
                      {"index", "not integers", [](Rows& op) { op.index = f32({2}); }},
                      {"index", "a matrix",
                       [](Rows& op) {
                         op.index = i32({2, 1});
                       }},
                      {"out", "other rows",
                       [](Rows& op) {
                         op.out = f32({3, 10});
                       }},
                      {"out", "is x", [](Rows& op) { op.out = op.x.rows(0, 2); }}});
}
TEST(Check, Embedding) {
  expect_named<Embedding>({{"token_ids", "not integers", [](Embedding& op) { op.token_ids = f32({3}); }},
                           {"token_ids", "a matrix",
                            [](Embedding& op) {
                              op.token_ids = i32({3, 1});
                            }},
                           {"out", "another width", [](Embedding& op) {
                              op.out = f32({3, 11});
                            }}});
}
TEST(Check, RmsNorm) {
  expect_named<RmsNorm>({{"x", "one row without rows", [](RmsNorm& op) { op.x = f32({10}); }},
                         {"x", "not f32",
                          [](RmsNorm& op) {
                            op.x = bf16_tensor({3, 10});
                          }},
                         {"weight", "another width", [](RmsNorm& op) { op.weight = f32({11}); }},
                         {"weight", "not f32", [](RmsNorm& op) { op.weight = bf16_tensor({10}); }},
                         {"eps", "zero", [](RmsNorm& op) { op.eps = 0; }},
                         {"eps", "not a number", [](RmsNorm& op) { op.eps = NAN; }},
                         {"out", "another shape", [](RmsNorm& op) {
                            op.out = f32({3, 9});
                          }}});
}
TEST(Check, MatMul) {
  expect_named<MatMul>({{"x", "another width",
                         [](MatMul& op) {
                           op.x = f32({3, 11});
                         }},
                        {"x", "one row without rows", [](MatMul& op) { op.x = f32({10}); }},
                        {"linear", "as in a file", [](MatMul& op) { op.linear.weight.layout = Layout::rows; }},
                        {"linear.bias", "another length", [](MatMul& op) { op.linear.bias = f32({19}); }},
                        {"residual", "another shape",
                         [](MatMul& op) {
                           op.residual = f32({3, 10});
                         }},
                        {"residual", "not f32",
                         [](MatMul& op) {
                           op.residual = bf16_tensor({3, 20});
                         }},
                        {"out", "another shape", [](MatMul& op) {
                           op.out = f32({3, 10});
                         }}});
}
TEST(Check, RopeAngles) {
  expect_named<RopeAngles>({{"positions", "not integers", [](RopeAngles& op) { op.positions = f32({3}); }},
                            {"positions", "a matrix",
                             [](RopeAngles& op) {
                               op.positions = i32({3, 1});
                             }},
                            {"frequencies", "not f32", [](RopeAngles& op) { op.frequencies = bf16_tensor({4}); }},
                            {"frequencies", "a matrix",
                             [](RopeAngles& op) {
                               op.frequencies = f32({4, 1});
                             }},
                            {"out", "another shape", [](RopeAngles& op) {
                               op.out = f32({3, 8});
                             }}});
}
TEST(Check, RopeStore) {
  using Op = RopeStore;
  expect_named<Op>({{"qkv", "no heads",
                     [](Op& op) {
                       op.qkv = f32({3, 64});
                     }},
                    {"qkv", "not f32",
                     [](Op& op) {
                       op.qkv = bf16_tensor({3, 8, 8});
                     }},
                    {"qkv", "another head_dim",
                     [](Op& op) {
                       op.qkv = f32({3, 8, 6});
                     }},
                    {"qkv", "fewer heads than those of k and v",
                     [](Op& op) {
                       op.qkv = f32({3, 3, 8});
                     }},
                    {"angles", "other tokens",
                     [](Op& op) {
                       op.angles = f32({2, 2, 4});
                     }},
                    {"angles", "another half",
                     [](Op& op) {
                       op.angles = f32({3, 2, 8});
                     }},
                    {"slots", "not integers", [](Op& op) { op.slots = f32({3}); }},
                    {"slots", "other tokens", [](Op& op) { op.slots = i32({2}); }},
                    {"out", "with heads of k", [](Op& op) {
                       op.out = f32({3, 6, 8});
                     }}});
}
TEST(Check, QkvRopeStore) {
  using Op = QkvRopeStore;
  expect_named<Op>({{"x", "another width",
                     [](Op& op) {
                       op.x = f32({3, 11});
                     }},
                    {"qkv", "as in a file", [](Op& op) { op.qkv.weight.layout = Layout::rows; }},
                    {"qkv", "no whole heads", [](Op& op) { op.qkv = linear(60, 10); }},
                    {"qkv", "fewer heads than those of k and v", [](Op& op) { op.qkv = linear(24, 10); }},
                    {"qkv.bias", "another length", [](Op& op) { op.qkv.bias = f32({63}); }},
                    {"kv", "an odd head_dim", [](Op& op) { op.kv.head_dim = 1; }},
                    {"angles", "other tokens",
                     [](Op& op) {
                       op.angles = f32({2, 2, 4});
                     }},
                    {"slots", "not integers", [](Op& op) { op.slots = f32({3}); }},
                    {"out", "with heads of k",
                     [](Op& op) {
                       op.out = f32({3, 6, 8}, 1);
                     }},
                    {"out", "is x", [](Op& op) {
                       op.x = f32({3, 10}, 1);
                     }}});
}
TEST(Check, PagedAttention) {
  using Op = PagedAttention;
  expect_named<Op>({{"q", "another head_dim",
                     [](Op& op) {
                       op.q = f32({3, 4, 16});
                     }},
                    {"q", "heads not in groups",
                     [](Op& op) {
                       op.q = f32({3, 5, 8});
                     }},
                    {"positions", "other tokens", [](Op& op) { op.positions = i32({4}); }},
                    {"positions", "not integers", [](Op& op) { op.positions = f32({3}); }},
                    {"row_of_token", "other tokens", [](Op& op) { op.row_of_token = i32({2}); }},
                    {"block_tables", "one row without rows", [](Op& op) { op.block_tables = i32({5}); }},
                    {"block_tables", "not integers",
                     [](Op& op) {
                       op.block_tables = f32({2, 5});
                     }},
                    {"first_block", "other rows", [](Op& op) { op.first_block = i32({3}); }},
                    {"scale", "not above 0", [](Op& op) { op.scale = 0; }},
                    {"window", "negative", [](Op& op) { op.window = -1; }},
                    {"sinks", "other heads", [](Op& op) { op.sinks = f32({2}); }},
                    {"sinks", "not f32", [](Op& op) { op.sinks = bf16_tensor({4}); }},
                    {"out", "not like q", [](Op& op) {
                       op.out = f32({3, 32});
                     }}});
}
TEST(Check, Routing) {
  expect_named<Routing>({{"x", "not f32",
                          [](Routing& op) {
                            op.x = bf16_tensor({3, 10});
                          }},
                         {"x", "one row without rows", [](Routing& op) { op.x = f32({10}); }},
                         {"norm", "another width", [](Routing& op) { op.norm = f32({11}); }},
                         {"eps", "zero", [](Routing& op) { op.eps = 0; }},
                         {"router", "other inputs", [](Routing& op) { op.router = linear(6, 11); }},
                         {"router", "as in a file", [](Routing& op) { op.router.weight.layout = Layout::rows; }},
                         {"router.bias", "another length", [](Routing& op) { op.router.bias = f32({5}); }},
                         {"normed", "not like x",
                          [](Routing& op) {
                            op.normed = f32({3, 9});
                          }},
                         {"normed", "is x", [](Routing& op) { op.normed = op.x; }},
                         {"experts", "more than there are",
                          [](Routing& op) {
                            op.experts = i32({3, 7});
                          }},
                         {"experts", "none",
                          [](Routing& op) {
                            op.experts = i32({3, 0});
                          }},
                         {"experts", "other tokens",
                          [](Routing& op) {
                            op.experts = i32({2, 2});
                          }},
                         {"experts", "not integers",
                          [](Routing& op) {
                            op.experts = f32({3, 2});
                          }},
                         {"weights", "not like experts",
                          [](Routing& op) {
                            op.weights = f32({3, 3});
                          }},
                         {"weights", "not f32", [](Routing& op) {
                            op.weights = i32({3, 2});
                          }}});
}
TEST(Check, ExpertMlp) {
  using Op = ExpertMlp;
  expect_named<Op>({{"x", "one row without rows", [](Op& op) { op.x = f32({10}); }},
                    {"experts", "other tokens",
                     [](Op& op) {
                       op.experts = i32({2, 2});
                     }},
                    {"experts", "not integers",
                     [](Op& op) {
                       op.experts = f32({3, 2});
                     }},
                    {"weights", "not like experts",
                     [](Op& op) {
                       op.weights = f32({3, 1});
                     }},
                    {"experts", "none",
                     [](Op& op) {
                       op.experts = i32({3, 0});
                     }},
                    {"weights", "not f32",
                     [](Op& op) {
                       op.weights = bf16_tensor({3, 2});
                     }},
                    {"residual", "not like x",
                     [](Op& op) {
                       op.residual = f32({2, 10});
                     }},
                    {"residual", "not f32",
                     [](Op& op) {
                       op.residual = bf16_tensor({3, 10});
                     }},
                    {"gate", "other inputs", [](Op& op) { op.gate = experts(6, 12, 11); }},
                    {"gate", "as in a file", [](Op& op) { op.gate.weight.layout = Layout::rows; }},
                    {"gate.bias", "other experts",
                     [](Op& op) {
                       op.gate.bias = f32({5, 12});
                     }},
                    {"up", "other experts", [](Op& op) { op.up = experts(5, 12, 10); }},
                    {"up", "other outputs", [](Op& op) { op.up = experts(6, 11, 10); }},
                    {"up.bias", "one for all", [](Op& op) { op.up.bias = f32({12}); }},
                    {"down", "not the other way", [](Op& op) { op.down = experts(6, 12, 10); }},
                    {"down.bias", "other outputs",
                     [](Op& op) {
                       op.down.bias = f32({6, 12});
                     }},
                    {"out", "not like x",
                     [](Op& op) {
                       op.out = f32({3, 12}, 1);
                     }},
                    {"out", "is x", [](Op& op) { op.out = op.x; }},
                    {"next_norm", "another width", [](Op& op) { op.next_norm = f32({11}); }},
                    {"next_norm", "not f32", [](Op& op) { op.next_norm = bf16_tensor({10}); }},
                    {"eps", "zero", [](Op& op) { op.eps = 0; }},
                    {"next_normed", "not like x",
                     [](Op& op) {
                       op.next_normed = f32({3, 9});
                     }},
                    {"next_normed", "is out", [](Op& op) { op.next_normed = op.out; }}});
}

}  // namespace
}  // namespace chorus::test
