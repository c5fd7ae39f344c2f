#include "weights/safetensors.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "chorus/error.h"
#include "chorus/json.h"

namespace chorus {
namespace {

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_header_bytes = 100'000'000;  // the limit of the format's own implementation
constexpr size_t max_rank = 16;

struct StoredType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};

constexpr StoredType stored_types[] = {
    {"F32", 32, DType::f32}, {"BF16", 16, DType::bf16}, {"F16", 16, DType::f16}, {"I32", 32, DType::i32},
    {"U32", 32, DType::u32}, {"I8", 8, DType::i8},      {"U8", 8, DType::u8},    {"F64", 64, {}},
    {"I64", 64, {}},         {"U64", 64, {}},           {"I16", 16, {}},         {"U16", 16, {}},
    {"BOOL", 8, {}},         {"C64", 64, {}},           {"F8_E4M3", 8, {}},      {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},      {"F6_E2M3", 6, {}},        {"F6_E3M2", 6, {}},      {"F4", 4, {}},
};

// A hostile name does not get to fill the screen or to drive the terminal.
std::string shown(std::string_view name) {
  constexpr size_t longest = 200;
  std::string text(name.substr(0, longest));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return name.size() > longest ? text + "..." : text;
}

/// Takes the header's JSON event by event: only the shape that the format has gets through, so nesting, giant
/// values and repeated names end where they begin.
class HeaderReader {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit HeaderReader(std::string_view file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(size_t) {
    switch (place_) {
      case Place::before:
        place_ = Place::names;
        return true;
      case Place::names:
        if (name_ == "__metadata__") {
          place_ = Place::metadata;
        } else {
          place_ = Place::fields;
          header_.tensors.push_back({.name = name_, .dtype_name = {}, .dtype = {}, .sizes = {}});
          bits_ = -1;
          has_shape_ = has_offsets_ = false;
          offsets_.clear();
        }
        return true;
      default:
        throw unexpected("an object");
    }
  }

  bool end_object() {
    if (place_ == Place::fields) finish_tensor();
    place_ = place_ == Place::names ? Place::after : Place::names;
    return true;
  }

  bool key(string_t& key) {
    if (place_ == Place::names) {
      name_ = key;
      if (!names_.insert(key).second) throw error("safetensors header names a tensor twice");
    } else if (place_ == Place::metadata) {
      field_ = key;
      if (!header_.metadata.emplace(key, "").second)
        throw error("safetensors metadata has a key twice").with("key", shown(key));
    } else {
      field_ = key;
      const bool again = (key == "dtype" && bits_ >= 0) || (key == "shape" && has_shape_) ||
                         (key == "data_offsets" && has_offsets_);
      if (again) throw error("safetensors header gives a tensor's field twice").with("field", key);
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        throw error("safetensors header has an unknown field").with("field", shown(key));
    }
    return true;
  }

  bool string(string_t& value) {
    if (place_ == Place::metadata) {
      header_.metadata[field_] = value;
    } else if (place_ == Place::fields && field_ == "dtype") {
      const auto* type = std::find_if(std::begin(stored_types), std::end(stored_types),
                                      [&](const StoredType& t) { return t.name == value; });
      if (type == std::end(stored_types)) throw error("unknown safetensors dtype").with("dtype", shown(value));
      header_.tensors.back().dtype_name = type->name;
      header_.tensors.back().dtype = type->dtype;
      bits_ = type->bits;
    } else {
      throw unexpected("a string");
    }
    return true;
  }

  bool start_array(size_t) {
    if (place_ != Place::fields || field_ == "dtype") throw unexpected("an array");
    place_ = field_ == "shape" ? Place::shape : Place::offsets;
    (place_ == Place::shape ? has_shape_ : has_offsets_) = true;
    return true;
  }

  bool end_array() {
    if (place_ == Place::offsets && offsets_.size() != 2)
      throw error("data_offsets must be two numbers").with("actual", offsets_.size());
    place_ = Place::fields;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) {
    if (place_ != Place::shape && place_ != Place::offsets) throw unexpected("a number");
    if (value > uint64_t(std::numeric_limits<int64_t>::max()))
      throw error("a size is out of range").with("size", value);
    if (place_ == Place::offsets) {
      if (offsets_.size() < 3) offsets_.push_back(value);
    } else {
      if (header_.tensors.back().sizes.size() == max_rank) throw error("tensor has too many dimensions");
      header_.tensors.back().sizes.push_back(int64_t(value));
    }
    return true;
  }

  bool number_integer(number_integer_t value) {
    if (place_ != Place::shape && place_ != Place::offsets) throw unexpected("a number");
    throw error("a size is negative").with("size", value);
  }
  bool number_float(number_float_t, const string_t& text) {
    throw error("a size is not a whole number in range").with("value", shown(text));
  }
  bool null() {
    if (place_ == Place::names && name_ == "__metadata__") return true;  // MLX writes it where it has no metadata
    throw unexpected("null");
  }
  bool boolean(bool) { throw unexpected("a truth value"); }
  bool binary(binary_t&) { throw unexpected("binary data"); }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) {
    throw error("safetensors header is not valid JSON").with("at byte", length_bytes + (at > 0 ? at - 1 : 0));
  }

 private:
  enum class Place { before, names, metadata, fields, shape, offsets, after };

  Error error(const char* problem) const {
    Error e(Fault::model, problem);
    e.with("file", file_);
    if (!name_.empty()) e.with("tensor", shown(name_));
    return e;
  }
  Error unexpected(std::string_view what) const {
    return error("safetensors header has not the format's structure").with("unexpected", what);
  }

  void finish_tensor() {
    StoredTensor& tensor = header_.tensors.back();
    for (const auto& [field, present] :
         {std::pair{"dtype", bits_ >= 0}, std::pair{"shape", has_shape_}, std::pair{"data_offsets", has_offsets_}})
      if (!present) throw error("safetensors header lacks a tensor's field").with("field", field);
    if (offsets_[0] > offsets_[1])
      throw error("tensor ends before it begins").with("data_offsets", offsets_text());
    uint64_t bits = uint64_t(bits_);
    for (const int64_t size : tensor.sizes)
      if (__builtin_mul_overflow(bits, uint64_t(size), &bits))
        throw error("tensor is too large to exist").with("shape", tensor.shape_text());
    tensor.begin = offsets_[0];
    tensor.bytes = offsets_[1] - offsets_[0];
    if (bits % 8 != 0 || bits / 8 != tensor.bytes)
      throw error("tensor's bytes do not agree with its shape")
          .with("dtype", tensor.dtype_name)
          .with("shape", tensor.shape_text())
          .with("expected bytes", bits / 8)
          .with("actual bytes", tensor.bytes);
  }

  std::string offsets_text() const {
    return "[" + std::to_string(offsets_[0]) + ", " + std::to_string(offsets_[1]) + "]";
  }

  std::string file_;
  SafetensorsHeader header_;
  std::set<std::string> names_;
  Place place_ = Place::before;
  std::string name_, field_;
  int bits_ = -1;  // of the tensor being read; -1: no dtype yet
  bool has_shape_ = false, has_offsets_ = false;
  std::vector<uint64_t> offsets_;
};

// The tensors, sorted by their place, must cover the data one after the other.
void check_cover(const SafetensorsHeader& header, uint64_t data_bytes, std::string_view file) {
  const auto error = [&](const char* problem, const StoredTensor& tensor) {
    return Error(Fault::model, problem).with("file", file).with("tensor", shown(tensor.name));
  };
  uint64_t end = 0;
  const StoredTensor* last = nullptr;
  for (const StoredTensor& tensor : header.tensors) {
    if (tensor.begin + tensor.bytes > data_bytes)
      throw error("tensor lies outside of its file: the file is torn or its header wrong", tensor)
          .with("tensor ends at", tensor.begin + tensor.bytes)
          .with("data bytes in the file", data_bytes);
    if (tensor.begin < end) throw error("two tensors overlap", tensor).with("and", shown(last->name));
    if (tensor.begin > end)
      throw error("bytes before a tensor belong to none", tensor)
          .with("tensor begins at", tensor.begin)
          .with("expected", end);
    end = tensor.begin + tensor.bytes;
    last = &tensor;
  }
  if (end != data_bytes)
    throw Error(Fault::model, "bytes at the end of the file belong to no tensor")
        .with("file", file)
        .with("tensors end at", end)
        .with("data bytes in the file", data_bytes);
}

}  // namespace

std::string_view safetensors_name(DType dtype) {
  return std::find_if(std::begin(stored_types), std::end(stored_types),
                      [&](const StoredType& t) { return t.dtype == dtype; })
      ->name;
}

std::string StoredTensor::shape_text() const {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, uint64_t file_size,
                                           std::string_view file) {
  if (file_size < length_bytes || head.size() < length_bytes)
    throw Error(Fault::model, "file is too short to be safetensors").with("file", file).with("bytes", file_size);
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < length_bytes; ++i) header_bytes |= uint64_t(head[i]) << (8 * i);
  if (header_bytes > max_header_bytes)
    throw Error(Fault::model, "safetensors header is too long: not a safetensors file?")
        .with("file", file)
        .with("header bytes", header_bytes)
        .with("limit", max_header_bytes);
  const uint64_t data_begin = length_bytes + header_bytes;
  if (data_begin > file_size || data_begin > head.size())
    throw Error(Fault::model, "file ends inside its safetensors header")
        .with("file", file)
        .with("header ends at", data_begin)
        .with("file bytes", file_size);
  const char* text = reinterpret_cast<const char*>(head.data()) + length_bytes;
  if (header_bytes == 0 || text[0] != '{')
    throw Error(Fault::model, "safetensors header does not begin with '{'").with("file", file);

  HeaderReader reader(file);
  Json::sax_parse(text, text + header_bytes, &reader);
  SafetensorsHeader header = reader.take();
  std::sort(header.tensors.begin(), header.tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.bytes, a.name) <
           std::tie(b.begin, b.bytes, b.name);  // empty ones before a neighbour
  });
  check_cover(header, file_size - data_begin, file);
  for (StoredTensor& tensor : header.tensors) tensor.begin += data_begin;
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file)
    : mapped_(file), header_(parse_safetensors_header(mapped_.bytes(), mapped_.bytes().size(), file.string())) {}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  for (const StoredTensor& tensor : header_.tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

}  // namespace chorus
