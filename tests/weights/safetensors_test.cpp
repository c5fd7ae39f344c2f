#include "weights/safetensors.h"

#include <cstring>

#include "chorus/error.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

SafetensorsHeader parse(std::string_view file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), file.size(), "x.safetensors");
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string file = safetensors(
      R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"__metadata__":{"format":"mlx"},)"
      R"("a":{"shape":[],"data_offsets":[0,4],"dtype":"F32"},"none":{"dtype":"U8","shape":[0,7],"data_offsets":[4,4]}}  )",
      16);
  const SafetensorsHeader header = parse(file);
  EXPECT_EQ(header.metadata.at("format"), "mlx");
  ASSERT_EQ(header.tensors.size(), 3u);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[0].begin, file.size() - 16);
  EXPECT_EQ(header.tensors[1].name, "none");
  EXPECT_EQ(header.tensors[2].name, "b");
  EXPECT_EQ(header.tensors[2].dtype, DType::bf16);
  EXPECT_EQ(header.tensors[2].shape_text(), "[2, 3]");
  EXPECT_EQ(header.tensors[2].bytes, 12u);
}

TEST(Safetensors, NoMetadataAsMlxWritesIt) {
  EXPECT_TRUE(parse(safetensors(R"({"__metadata__":null})", 0)).metadata.empty());
}

TEST(Safetensors, TypesThatChorusDoesNotUseAreListedAllTheSame) {
  const SafetensorsHeader header = parse(safetensors(
      R"({"a":{"dtype":"I64","shape":[1,1,1,1,2],"data_offsets":[0,16]},"b":{"dtype":"F4","shape":[4],"data_offsets":[16,18]}})",
      18));
  EXPECT_EQ(header.tensors[0].dtype_name, "I64");
  EXPECT_FALSE(header.tensors[0].dtype.has_value());
  EXPECT_EQ(header.tensors[1].bytes, 2u);
}

struct Hostile {
  const char* why;
  std::string header;
  size_t data_bytes;
  const char* problem;
  const char* names;  // what else the message must hold
};

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t.weight":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

const Hostile hostile[] = {
    {"empty header", "", 0, "does not begin with '{'", "x.safetensors"},
    {"header is a list", "[]", 0, "does not begin with '{'", "x.safetensors"},
    {"not JSON", R"({"a":)", 0, "not valid JSON", "at byte"},
    {"something after the object", R"({} {})", 0, "not valid JSON", "at byte"},
    {"broken UTF-8 in a name", "{\"\xff\":{}}", 0, "not valid JSON", "at byte"},
    {"nested 100k deep", std::string("{\"a\":") + std::string(100'000, '['), 0, "structure", "an array"},
    {"objects nested 100k deep",
     [] {
       std::string s = "{\"a\":{\"dtype\":";
       for (int i = 0; i < 100'000; ++i) s += "{\"a\":";
       return s;
     }(),
     0, "structure", "an object"},
    {"a tensor is a number", R"({"t.weight":1})", 0, "structure", "t.weight"},
    {"a tensor is null", R"({"t.weight":null})", 0, "structure", "t.weight"},
    {"a truth value as shape", one("\"F32\"", "true", "[0,4]"), 4, "structure", "t.weight"},
    {"metadata that is no text", R"({"__metadata__":{"a":1}})", 0, "structure", "a number"},
    {"metadata with a key twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, "key twice", "key: a"},
    {"unknown dtype", one("\"F33\"", "[1]", "[0,4]"), 4, "unknown safetensors dtype", "dtype: F33"},
    {"dtype is a list", one("[\"F32\"]", "[1]", "[0,4]"), 4, "structure", "t.weight"},
    {"unknown field", R"({"t.weight":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "unknown field",
     "field: x"},
    {"no dtype", R"({"t.weight":{"shape":[1],"data_offsets":[0,1]}})", 1, "lacks", "field: dtype"},
    {"no shape", R"({"t.weight":{"dtype":"U8","data_offsets":[0,1]}})", 1, "lacks", "field: shape"},
    {"no offsets", R"({"t.weight":{"dtype":"U8","shape":[1]}})", 1, "lacks", "field: data_offsets"},
    {"empty tensor object", R"({"t.weight":{}})", 1, "lacks", "t.weight"},
    {"a field twice", R"({"t.weight":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
     "field twice", "dtype"},
    {"shape twice", R"({"t.weight":{"shape":[1],"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
     "field twice", "shape"},
    {"a tensor twice",
     R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
     2, "names a tensor twice", "tensor: a"},
    {"negative size", one("\"F32\"", "[-1]", "[0,4]"), 4, "negative", "-1"},
    {"negative offset", one("\"F32\"", "[1]", "[-4,0]"), 4, "negative", "-4"},
    {"fraction", one("\"F32\"", "[1.5]", "[0,4]"), 4, "not a whole number", "1.5"},
    {"number beyond 64 bits", one("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, "not a whole number",
     "t.weight"},
    {"number beyond 63 bits", one("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "out of range", "t.weight"},
    {"product overflows to the right size", one("\"F32\"", "[4294967296,4294967296,4]", "[0,0]"), 0, "too large",
     "t.weight"},
    {"product overflows, then zero", one("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0, "too large",
     "t.weight"},
    {"bits overflow", one("\"F32\"", "[576460752303423488]", "[0,0]"), 0, "too large", "t.weight"},
    {"seventeen dimensions", one("\"U8\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "dimensions",
     "t.weight"},
    {"three offsets", one("\"F32\"", "[1]", "[0,4,8]"), 4, "two numbers", "actual: 3"},
    {"one offset", one("\"F32\"", "[1]", "[0]"), 4, "two numbers", "actual: 1"},
    {"offsets are a number", one("\"F32\"", "[1]", "4"), 4, "structure", "t.weight"},
    {"ends before it begins", one("\"F32\"", "[1]", "[4,0]"), 4, "ends before it begins", "[4, 0]"},
    {"size and shape disagree", one("\"F32\"", "[2,3]", "[0,23]"), 23, "do not agree", "expected bytes: 24"},
    {"half a byte", one("\"F4\"", "[3]", "[0,1]"), 1, "do not agree", "t.weight"},
    {"torn: data ends early", one("\"F32\"", "[2,3]", "[0,24]"), 23, "outside of its file", "tensor ends at: 24"},
    {"giant offsets", one("\"U8\"", "[1]", "[9223372036854775806,9223372036854775807]"), 1, "outside of its file",
     "t.weight"},
    {"overlap",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
     7, "overlap", "and: a"},
    {"same bytes twice",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
     4, "overlap", "tensor: b"},
    {"empty tensor inside another",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
     4, "overlap", "tensor: b"},
    {"hole", R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, "belong to none", "tensor: a"},
    {"bytes at the end", one("\"U8\"", "[1]", "[0,1]"), 3, "bytes at the end", "data bytes in the file: 3"},
    {"control characters in a name", "{\"a\\u001b[31m\":1}", 0, "structure", "tensor: a?[31m"},
    {"a name of a megabyte", "{\"" + std::string(1'000'000, 'n') + "\":1}", 0, "structure", "nnn..."},
};

TEST(Safetensors, HostileHeadersAreOneClearError) {
  for (const Hostile& c : hostile) {
    SCOPED_TRACE(c.why);
    const std::string text = error_of<Error>([&] { parse(safetensors(c.header, c.data_bytes)); });
    EXPECT_NE(text.find(c.problem), std::string::npos) << text;
    EXPECT_NE(text.find(c.names), std::string::npos) << text;
    EXPECT_NE(text.find("x.safetensors"), std::string::npos) << text;
    EXPECT_LT(text.size(), 600u);
  }
}

TEST(Safetensors, TornFiles) {
  const std::string whole = safetensors(one("\"F32\"", "[2]", "[0,8]"), 8);
  parse(whole);
  for (size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_THROW(parse(whole.substr(0, size)), Error);
  }
}

TEST(Safetensors, HeaderLengthsThatLie) {
  struct Case {
    const char* why;
    uint64_t length;
    const char* problem;
  };
  for (const Case& c : {Case{"all ones", ~0ull, "too long"},
                        {"just over the limit", 100'000'001, "too long"},
                        {"longer than the file", 1000, "ends inside its safetensors header"},
                        {"zero", 0, "begin with"}}) {
    SCOPED_TRACE(c.why);
    std::string file = safetensors("{}", 0);
    std::memcpy(file.data(), &c.length, 8);
    EXPECT_NE(error_of<Error>([&] { parse(file); }).find(c.problem), std::string::npos);
  }
}

TEST(SafetensorsFile, MapsTheBytes) {
  const TestFolder folder;
  folder.write("a.safetensors", safetensors(one("\"U8\"", "[3]", "[0,3]"), 3));
  const SafetensorsFile file(folder.path() / "a.safetensors");
  ASSERT_NE(file.find("t.weight"), nullptr);
  EXPECT_EQ(file.find("other"), nullptr);
  const auto bytes = file.bytes(*file.find("t.weight"));
  ASSERT_EQ(bytes.size(), 3u);
  EXPECT_EQ(int(bytes[2]), 1);
  folder.write("empty.safetensors", "");
  EXPECT_THROW(SafetensorsFile(folder.path() / "empty.safetensors"), Error);
}

}  // namespace
}  // namespace chorus
