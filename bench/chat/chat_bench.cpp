// chat_bench TEMPLATE_FILE CONVERSATIONS_FILE [--benchmark_...]: parsing a chat template, and rendering it for
// each conversation of a JSON object {"name": {"messages": [...], "tools": [...]}}. compare.py runs it beside
// jinja2.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "base/file.h"
#include "base/json.h"
#include "chat/chat_template.h"
#include "chorus/error.h"

using namespace chorus;

static void run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) throw Error(Fault::usage, "chat_bench needs a template and a file of conversations");
  const std::string source = read_file(argv[1]);
  const Json conversations = read_json(argv[2]);
  const auto templates = chat::ChatTemplates::from_source(source);
  benchmark::RegisterBenchmark("parse", [&](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(chat::ChatTemplates::from_source(source));
  });
  for (const auto& [name, conversation] : conversations.items()) {
    TemplateOptions options;
    options.tools = conversation.value("tools", Json());
    options.date = "2026-01-15";
    benchmark::RegisterBenchmark(("render/" + name).c_str(), [&, options, &messages = conversation["messages"]](
                                                                 benchmark::State& state) {
      for (auto _ : state) benchmark::DoNotOptimize(templates.render(messages, options));
      state.SetBytesProcessed(int64_t(state.iterations()) * int64_t(templates.render(messages, options).size()));
    });
  }
  benchmark::RunSpecifiedBenchmarks();
}

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
