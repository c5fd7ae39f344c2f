#include "weights/synthesize.h"

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/thread_pool.h"
#include "chorus/error.h"
#include "weights/safetensors_writer.h"

namespace chorus {
namespace {

namespace fs = std::filesystem;

struct Sizes {
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, experts, vocabulary;
};

int64_t size_in(const Json& config, const char* field, int64_t multiple_of, int64_t largest) {
  const auto value = config.find(field);
  if (value == config.end() || !value->is_number_integer() || *value < 1 || *value > largest ||
      value->get<int64_t>() % multiple_of != 0)
    throw Error(Fault::usage, "config of the synthetic model lacks a size, or it is out of range")
        .with("field", field)
        .with("actual", value == config.end() ? "none" : value->dump().substr(0, 80))
        .with("expected", "a multiple of " + std::to_string(multiple_of) + " up to " + std::to_string(largest));
  return *value;
}

Sizes sizes_of(const Json& config) {
  if (!config.is_object() || !config.contains("model_type") || config["model_type"] != "gpt_oss")
    throw Error(Fault::usage, "a synthetic model must have \"model_type\": \"gpt_oss\"");
  // The limits keep every product below 2^63.
  return {.hidden = size_in(config, "hidden_size", 64, 1 << 17),  // groups of 64 at 8 bits
          .intermediate = size_in(config, "intermediate_size", 32, 1 << 17),
          .layers = size_in(config, "num_hidden_layers", 1, 1 << 12),
          .heads = size_in(config, "num_attention_heads", 1, 1 << 12),
          .kv_heads = size_in(config, "num_key_value_heads", 1, 1 << 12),
          .head_dim = size_in(config, "head_dim", 64, 1 << 12),
          .experts = size_in(config, "num_local_experts", 1, 1 << 12),
          .vocabulary = size_in(config, "vocab_size", 1, 1 << 24)};
}

/// A tensor and how each eight bytes of it follow from eight random bytes.
struct Filled : PlannedTensor {
  enum class How { codes, e8m0, affine_scales, affine_biases, vector } how = How::codes;
  uint64_t key = 0;
  float deviation = 0, mean = 0;
};

// SplitMix64's finaliser (Steele, Lea, Flood 2014) on a counter: word i of a stream without the words before it.
uint64_t random_word(uint64_t key, uint64_t i) {
  uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

uint64_t key_of(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ uint64_t(static_cast<unsigned char>(c))) * 0x100000001b3;
  return random_word(hash, seed);
}

// Sixteen uniform E2M1 codes have a mean square of 68.5 / 8; 256 uniform 8-bit codes a deviation of 73.9.
const float e2m1_rms = std::sqrt(68.5f / 8);
constexpr float code_deviation = 73.9f;
constexpr float sqrt_12 = 3.4641016f;  // a uniform value of width 1 has the deviation 1 / sqrt(12)

float uniform(uint64_t word, int lane) {
  return float(word >> (16 * lane) & 0xffff) / 65536 - 0.5f;
}

uint64_t four_bf16(uint64_t word, auto value) {
  uint64_t out = 0;
  for (int lane = 0; lane < 4; ++lane)
    out |= uint64_t(from_float<bf16>(value(uniform(word, lane))).bits) << (16 * lane);
  return out;
}

void fill(const Filled& t, uint64_t first_word, std::span<uint64_t> out) {
  const auto each = [&](auto f) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = f(random_word(t.key, first_word + i));
  };
  // Scales differ by a quarter either way; a group's bias centres its codes.
  const auto scale = [&](float u) {
    return to_float(from_float<bf16>(t.deviation / code_deviation * (1 + u / 2)));
  };
  switch (t.how) {
    case Filled::How::codes:
      each([](uint64_t word) { return word; });
      break;
    case Filled::How::e8m0: {
      // Two neighbouring powers of two, mixed so that the mean square is right.
      const float wanted = t.deviation / e2m1_rms;
      const int exponent = std::ilogb(wanted);
      const float ratio = wanted / std::ldexp(1.f, exponent);
      const unsigned upper = unsigned((ratio * ratio - 1) / 3 * 256);  // of 256
      each([&](uint64_t word) {
        uint64_t bytes = 0;
        for (int lane = 0; lane < 64; lane += 8)
          bytes |= uint64_t(127 + exponent + ((word >> lane & 255) < upper ? 1 : 0)) << lane;
        return bytes;
      });
      break;
    }
    case Filled::How::affine_scales:
      each([&](uint64_t word) { return four_bf16(word, scale); });
      break;
    case Filled::How::affine_biases:
      each([&](uint64_t word) { return four_bf16(word, [&](float u) { return -127.5f * scale(u); }); });
      break;
    case Filled::How::vector:
      each([&](uint64_t word) {
        return four_bf16(word, [&](float u) { return t.mean + sqrt_12 * t.deviation * u; });
      });
      break;
  }
}

/// Collects the tensors of a model and what config.json says about their quantisation.
class Plan {
 public:
  Plan(uint64_t seed) : seed_(seed), quantization_({{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}}) {}

  void vector(const std::string& name, Shape shape, float deviation, float mean = 0) {
    add(name, DType::bf16, shape, Filled::How::vector, name, deviation, mean);
  }
  void affine(const std::string& name, int64_t inputs, int64_t outputs, float gain) {
    const float deviation = gain / std::sqrt(float(inputs));
    add(name + ".weight", DType::u32, {outputs, inputs / 4}, Filled::How::codes, name + ".weight");
    add(name + ".scales", DType::bf16, {outputs, inputs / 64}, Filled::How::affine_scales, name + ".scales",
        deviation);
    add(name + ".biases", DType::bf16, {outputs, inputs / 64}, Filled::How::affine_biases, name + ".scales",
        deviation);
    quantization_[name] = {{"group_size", 64}, {"bits", 8}};
    // As mlx-lm leaves it: the router's entry comes from the model's own rule, which names no mode.
    if (!name.ends_with("router")) quantization_[name]["mode"] = "affine";
  }
  void mxfp4(const std::string& name, int64_t experts, int64_t inputs, int64_t outputs, float gain) {
    const float deviation = gain / std::sqrt(float(inputs));
    add(name + ".weight", DType::u32, {experts, outputs, inputs / 8}, Filled::How::codes, name + ".weight");
    add(name + ".scales", DType::u8, {experts, outputs, inputs / 32}, Filled::How::e8m0, name + ".scales",
        deviation);
  }

  const std::vector<Filled>& tensors() const { return tensors_; }
  const Json& quantization() const { return quantization_; }

 private:
  void add(const std::string& name, DType dtype, Shape shape, Filled::How how, const std::string& stream,
           float deviation = 0, float mean = 0) {
    tensors_.push_back({{name, dtype, shape}, how, key_of(seed_, stream), deviation, mean});
  }

  uint64_t seed_;
  std::vector<Filled> tensors_;
  Json quantization_;
};

Plan plan_gpt_oss(const Sizes& s, uint64_t seed) {
  Plan plan(seed);
  // 2 * layers blocks add this much each, so that together they take an embedding of 1 to about 2.
  const float added = std::sqrt(1.5f / float(s.layers));
  // Attention averages values of 1 to about a half; four experts mixed by their weights, after the activation,
  // leave about 0.47 of what down_proj is given.
  const float attention_gain = added / 0.5f, expert_gain = added / 0.47f;
  const auto matrix = [&](const std::string& name, int64_t inputs, int64_t outputs, float gain) {
    plan.affine(name, inputs, outputs, gain);
    plan.vector(name + ".bias", {outputs}, 0.05f);
  };
  const auto experts = [&](const std::string& name, int64_t inputs, int64_t outputs, float gain) {
    plan.mxfp4(name, s.experts, inputs, outputs, gain);
    plan.vector(name + ".bias", {s.experts, outputs}, 0.05f);
  };
  plan.affine("model.embed_tokens", s.hidden, s.vocabulary, std::sqrt(float(s.hidden)));  // elements of 1
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    plan.vector(layer + "input_layernorm.weight", {s.hidden}, 0.1f, 1);
    matrix(layer + "self_attn.q_proj", s.hidden, s.heads * s.head_dim, 1);
    matrix(layer + "self_attn.k_proj", s.hidden, s.kv_heads * s.head_dim, 1);
    matrix(layer + "self_attn.v_proj", s.hidden, s.kv_heads * s.head_dim, 1);
    matrix(layer + "self_attn.o_proj", s.heads * s.head_dim, s.hidden, attention_gain);
    plan.vector(layer + "self_attn.sinks", {s.heads}, 1, 3);  // a fifth of the attention
    plan.vector(layer + "post_attention_layernorm.weight", {s.hidden}, 0.1f, 1);
    matrix(layer + "mlp.router", s.hidden, s.experts, 1.5f);
    experts(layer + "mlp.experts.gate_proj", s.hidden, s.intermediate, 1);
    experts(layer + "mlp.experts.up_proj", s.hidden, s.intermediate, 1);
    experts(layer + "mlp.experts.down_proj", s.intermediate, s.hidden, expert_gain);
  }
  plan.vector("model.norm.weight", {s.hidden}, 0.1f, 1);
  plan.affine("lm_head", s.hidden, s.vocabulary, 3);
  return plan;
}

std::vector<std::span<const Filled>> shards_of(std::span<const Filled> tensors, uint64_t most_bytes) {
  std::vector<std::span<const Filled>> shards;
  size_t begin = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (i > begin && bytes + tensors[i].bytes() > most_bytes) {
      shards.push_back(tensors.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += tensors[i].bytes();
  }
  shards.push_back(tensors.subspan(begin));
  return shards;
}

void write_shard(const fs::path& file, std::span<const Filled> tensors, ThreadPool& threads,
                 const std::function<void(uint64_t)>& wrote) {
  SafetensorsWriter writer(file, std::vector<PlannedTensor>(tensors.begin(), tensors.end()));
  constexpr int64_t piece_words = 1 << 16, buffer_pieces = 64;  // half a megabyte each
  std::vector<uint64_t> buffer(size_t(piece_words * buffer_pieces));
  for (const Filled& t : tensors)
    for (uint64_t done = 0; done < t.bytes();) {
      const uint64_t bytes = std::min<uint64_t>(t.bytes() - done, buffer.size() * 8);
      const int64_t words = int64_t((bytes + 7) / 8);
      threads.for_each((words + piece_words - 1) / piece_words, [&](int64_t piece) {
        const int64_t begin = piece * piece_words, end = std::min(begin + piece_words, words);
        fill(t, done / 8 + uint64_t(begin), std::span(buffer).subspan(size_t(begin), size_t(end - begin)));
      });
      writer.append(std::as_bytes(std::span(buffer)).first(bytes));
      done += bytes;
      wrote(bytes);
    }
  writer.finish();
}

std::string shard_name(size_t i, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, count);
  return name;
}

void check_place(const fs::path& folder, uint64_t bytes) {
  std::error_code failed;
  for (const char* file : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    if (fs::exists(folder / file, failed))
      throw Error(Fault::usage, "the output folder already holds a model").with("file", (folder / file).string());
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(Fault::io, "cannot make the output folder")
        .with("folder", folder.string())
        .with("reason", failed.message());
  const fs::space_info space = fs::space(folder, failed);
  if (!failed && space.available < bytes)
    throw Error(Fault::io, "not enough room on the disk")
        .with("folder", folder.string())
        .with("needed bytes", bytes)
        .with("free bytes", space.available);
}

void copy_tokenizer(const fs::path& from, const fs::path& to) {
  bool copied = false;
  std::error_code unreadable;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja"})
    if (fs::exists(from / name, unreadable)) {
      write_file(to / name, read_file(from / name));
      copied = true;
    }
  if (!copied) throw Error(Fault::usage, "no tokenizer files to copy").with("folder", from.string());
}

}  // namespace

void synthesize(const Json& config, const fs::path& folder, const Synthesis& how) {
  const Plan plan = plan_gpt_oss(sizes_of(config), how.seed);
  uint64_t total = 0, done = 0;
  for (const Filled& t : plan.tensors()) total += t.bytes();
  check_place(folder, total);
  if (!how.tokenizer_from.empty()) copy_tokenizer(how.tokenizer_from, folder);

  ThreadPool threads(how.threads);
  const auto shards = shards_of(plan.tensors(), how.shard_bytes);
  Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    for (const Filled& t : shards[i]) index["weight_map"][t.name] = name;
    write_shard(folder / name, shards[i], threads, [&](uint64_t bytes) {
      done += bytes;
      if (how.progress) how.progress(done, total);
    });
  }
  write_file(folder / "model.safetensors.index.json", index.dump(4));
  // The config last: a folder without it is no model yet.
  Json written = config;
  written["quantization"] = plan.quantization();
  written["quantization_config"] = plan.quantization();
  write_file(folder / "config.json", written.dump(4));
}

}  // namespace chorus
