// tokenizer_bench MODEL_FOLDER [TEXT_FILE] [--benchmark_...]: loading, encoding, decoding, worst cases, batches.
// Without a file the text is a mix of languages and code made here.
// tokenizer_bench MODEL_FOLDER TEXT_FILE --ids FILE: writes the ids of the text's documents there, as int32.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <fstream>

#include "base/file.h"
#include "chorus/error.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

using namespace chorus;
using tokenizer::TokenIds;
using tokenizer::Tokenizer;

namespace {

std::string mixed_text(size_t bytes) {
  static constexpr const char* const lines[] = {
      "The harbour was quiet when the ferry, eleven minutes late, came round the breakwater.\n",
      "Die Übersetzung des Gedichts verlor einiges, gewann aber an anderer Stelle Klarheit.\n",
      "Les élèves n'avaient pas encore terminé l'exercice quand la cloche sonna.\n",
      "Завтра утром мы поедем к морю, если погода не испортится.\n",
      "今天下午的会议改到三点半，请大家提前准备好材料。\n",
      "昨日の夜は雨が強く降って、電車が三十分ほど遅れました。\n",
      "오늘은 날씨가 좋아서 공원에서 책을 읽었습니다.\n",
      "كان السوق مزدحما في ذلك الصباح البارد.\n",
      "आज शाम को हम सब मिलकर खाना बनाएंगे।\n",
      "for (size_t i = 0; i + 1 < values.size(); ++i) total += values[i] * weights[i];  // dot\n",
      "    if err != nil { return fmt.Errorf(\"open %q: %w\", path, err) }\n",
      "def mean(xs): return sum(xs) / max(1, len(xs))  # 3.14159, 2718, 0x1F\n",
      "| id | name | price |\n|----|------|-------|\n| 17 | bolt | 1,299.50 |\n",
      "WELL, THAT'S IT! 🎉🎉 see https://example.org/a/b?c=d&e=f#g …\n",
  };
  std::string text;
  for (uint32_t state = 1; text.size() < bytes;) {
    state = state * 1664525 + 1013904223;
    text += lines[(state >> 16) % std::size(lines)];
  }
  return text;
}

// The text in pieces that end with the first line after 4,000 bytes: the peers get the same.
std::vector<std::string> documents(const std::string& text) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at + 4000), text.size() - 1) + 1;
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

std::string repeated(const char* unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

void count(benchmark::State& state, size_t bytes, size_t tokens) {
  state.SetBytesProcessed(int64_t(state.iterations() * bytes));
  state.counters["tokens/s"] = benchmark::Counter(double(tokens), benchmark::Counter::kIsIterationInvariantRate);
}

void encode(benchmark::State& state, const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& text) {
  size_t tokens = 0;
  for (auto _ : state) tokens = tokenizer->encode(text).size();
  count(state, text.size(), tokens);
}

void encode_documents(benchmark::State& state, const std::shared_ptr<const Tokenizer>& tokenizer,
                      const std::string& text) {
  const std::vector<std::string> texts = documents(text);
  size_t tokens = 0;
  for (auto _ : state) {
    tokens = 0;
    for (const std::string& document : texts) tokens += tokenizer->encode(document).size();
  }
  count(state, text.size(), tokens);
}

void encode_batch(benchmark::State& state, const std::shared_ptr<const Tokenizer>& tokenizer,
                  const std::string& text) {
  const std::vector<std::string> texts = documents(text);
  ThreadPool threads;
  size_t tokens = 0;
  for (auto _ : state) {
    tokens = 0;
    for (const TokenIds& ids : tokenizer->encode_batch(texts, threads)) tokens += ids.size();
  }
  count(state, text.size(), tokens);
}

void decode(benchmark::State& state, const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& text) {
  const TokenIds ids = tokenizer->encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids));
  count(state, text.size(), ids.size());
}

void stream(benchmark::State& state, const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& text) {
  const TokenIds ids = tokenizer->encode(text);
  for (auto _ : state) {
    tokenizer::Detokenizer detokenizer(tokenizer);
    for (const int32_t id : ids) benchmark::DoNotOptimize(detokenizer.add(id));
    benchmark::DoNotOptimize(detokenizer.finish());
  }
  count(state, text.size(), ids.size());
}

void write_ids(const Tokenizer& tokenizer, const std::string& text, const char* file) {
  std::ofstream out(file, std::ios::binary);
  for (const std::string& document : documents(text)) {
    const TokenIds ids = tokenizer.encode(document);
    out.write(reinterpret_cast<const char*>(ids.data()), std::streamsize(ids.size() * sizeof ids[0]));
  }
  if (!out.flush()) throw Error(Fault::input, "the ids cannot be written").with("file", file);
}

void run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 2) throw Error(Fault::usage, "tokenizer_bench needs a model folder");
  const std::string folder = argv[1];
  const std::string text = argc > 2 ? read_file(argv[2]) : mixed_text(4 << 20);
  const auto tokenizer = Tokenizer::load(folder);
  if (argc == 5 && std::string_view(argv[3]) == "--ids") {
    write_ids(*tokenizer, text, argv[4]);
    return;
  }
  const auto add = [](const std::string& name, auto body) {
    return benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond)->UseRealTime();
  };
  add("load", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(folder));
  });
  add("encode", [&](benchmark::State& state) { encode(state, tokenizer, text); });
  add("encode_documents", [&](benchmark::State& state) { encode_documents(state, tokenizer, text); });
  add("encode_batch", [&](benchmark::State& state) { encode_batch(state, tokenizer, text); });
  add("decode", [&](benchmark::State& state) { decode(state, tokenizer, text); });
  add("stream", [&](benchmark::State& state) { stream(state, tokenizer, text); });
  const std::pair<const char*, const char*> worst[] = {
      {"a", "a"},         {"blanks", " "},         {"emoji", "\xf0\x9f\x98\x80"},
      {"newlines", "\n"}, {"accents", "\xcc\x81"}, {"digits", "7"},
      {"capitals", "A"},  {"not_utf8", "\xff"}};
  for (const auto& [name, unit] : worst)
    add(std::string("encode_1MB_of/") + name,
        [&tokenizer, unit = unit](benchmark::State& state) { encode(state, tokenizer, repeated(unit, 1000000)); });
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
