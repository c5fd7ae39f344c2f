// What a family's own template writes for an assistant's message is what its models learn to write: taken apart it
// must give the message back.
#include <gtest/gtest.h>

#include "base/json.h"
#include "chat/chat_template.h"
#include "chorus/error.h"
#include "goldens.h"
#include "harmony/answer_parser.h"

namespace chorus::harmony {
namespace {

struct Family {
  const char* folder;
  const char* format;     // name_of what detect_format finds
  const char* assistant;  // the template's words before and behind an answer
  const char* end;
  const char* reasoning = nullptr;  // the message's field for it; null: the template writes none
  int max_calls = 0;
  bool text_with_calls = true;
  bool text_arguments = false;  // the template takes arguments as text
  bool keeps_ids = false;
  bool no_end_of_one_call = false;  // the template forgets the mark behind a block of one call
};
const Family families[] = {
    {"Qwen-Qwen3-0.6B", "<think>, tool_call", "<|im_start|>assistant\n", "<|im_end|>", "reasoning_content", 2},
    {"Qwen-QwQ-32B", "<think>, tool_call", "<|im_start|>assistant\n", "<|im_end|>", nullptr, 2},
    {"Qwen-Qwen2.5-7B-Instruct", "tool_call", "<|im_start|>assistant\n", "<|im_end|>", nullptr, 2},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "tool_call", "<|im_start|>assistant\n", "<|im_end|>",
     nullptr, 2, false},
    {"Bielik-11B-v3.0-Instruct", "<think>, tool_call", "<|im_start|>assistant\n", "<|im_end|>",
     "reasoning_content", 2},
    {"Qwen3.5-4B", "<think>, tool_call", "<|im_start|>assistant\n", "<|im_end|>", "reasoning_content", 2},
    {"GLM-4.6", "<think>, tool_call", "<|assistant|>\n", "", "reasoning_content", 2},
    {"ByteDance-Seed-OSS", "<seed:think>, seed", "assistant\n", "<seed:eos>", "reasoning_content", 2},
    {"meta-llama-Llama-3.1-8B-Instruct", "llama3", "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|eot_id|>", nullptr, 1, false},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3", "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|eot_id|>", nullptr, 1, false},
    {"mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[/INST]", "<eos>", nullptr, 2, false, false, true},
    {"unsloth-mistral-Devstral-Small-2507", "mistral", "[/INST]", "<eos>", nullptr, 2},
    {"mistralai-Ministral-3-14B-Reasoning-2512", "[THINK], mistral", "[/INST]", "<eos>", "[THINK]", 2},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "<think>, deepseek", "<｜Assistant｜>", "<｜end▁of▁sentence｜>",
     nullptr, 2, false, true, false, true},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "<think>, deepseek", "<｜Assistant｜>", "<｜end▁of▁sentence｜>",
     nullptr, 2, false},
    {"llama-cpp-deepseek-r1", "<think>, deepseek", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", nullptr, 2, false},
    {"deepseek-ai-DeepSeek-V3.1", "<think>, deepseek", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", nullptr, 2},
    {"moonshotai-Kimi-K2", "kimi", "<|im_assistant|>assistant<|im_middle|>", "<|im_end|>", nullptr, 2, true, false,
     true},
    {"NVIDIA-Nemotron-Nano-v2", "<think>, nemotron", "<SPECIAL_11>Assistant\n", "<SPECIAL_12>", "inline", 2,
     false},
    {"openai-gpt-oss-120b", "harmony", "<|start|>assistant", "<|return|>", "thinking", 1, false},
};

std::optional<int32_t> harmony_token(std::string_view text) {
  for (const Marker marker : {Marker::start, Marker::end, Marker::message, Marker::channel, Marker::return_,
                              Marker::call, Marker::constrain})
    if (marker_text(marker) == text) return int32_t(marker);
  return std::nullopt;
}

AnswerFormat format_of(const Family& family, const std::string& source) {
  const bool harmony = std::string_view(family.format) == "harmony";
  return detect_format(source,
                       [&](std::string_view text) { return harmony ? harmony_token(text) : std::nullopt; });
}

// In pieces of so many bytes, markers as tokens where the format is harmony.
Answer parsed(const AnswerFormat& format, std::string_view prompt, std::string_view text, size_t step) {
  const auto parser = make_answer_parser(format, prompt);
  while (!text.empty()) {
    const Marker marker = format.harmony ? marker_at(text) : Marker::none;
    size_t size = marker != Marker::none ? marker_text(marker).size() : std::min(step, text.size());
    if (marker == Marker::none && format.harmony) size = std::min(size, std::max<size_t>(1, text.find("<|", 1)));
    parser->feed(marker != Marker::none ? int32_t(marker) : 100, text.substr(0, size));
    text.remove_prefix(size);
  }
  parser->finish();
  Answer answer = parser->answer();
  answer.reasoning_tokens = 0;  // depends on the cuts
  return answer;
}

struct Said {
  const char* why;
  const char* message;
  const char* reasoning;
  int calls;
};
const Said sayings[] = {
    {"a message", "It is <b>7</b> degrees,\n  and [windy] {today}. é 😀", nullptr, 0},
    {"reasoning", "4", "2 + 2.\n\nThat is 4; is it?", 0},
    {"a call", nullptr, nullptr, 1},
    {"calls", nullptr, nullptr, 2},
    {"a message and calls", "I look it up.", nullptr, 2},
    {"everything", "I look it up.", "The weather is asked for.", 1},
};

Json arguments(const Family& family, int call) {
  if (call == 1) return Json::object();
  Json flat = {{"location", "Paris, \"FR\" <x> 😀"}, {"days", 3}, {"exact", 1.5}, {"code", "a = [1]\n\nb = {}"}};
  if (std::string_view(family.format) == "<seed:think>, seed") return flat;  // the others it writes as Python does
  flat.update({{"on", true}, {"off", nullptr}, {"list", {1, "a"}}, {"deep", {{"k", {{"é", "z"}}}}}});
  return flat;
}

constexpr const char* ids[] = {"functions.get_weather:0", "functions.get_weather:1"};

Json message_of(const Family& family, const Said& said) {
  Json message = {{"role", "assistant"}, {"content", said.message ? Json(said.message) : Json("")}};
  const std::string field = family.reasoning != nullptr && said.reasoning ? family.reasoning : "";
  const bool is_inline = family.reasoning != nullptr && std::string_view(family.reasoning) == "inline";
  if (field == "[THINK]") {
    message["content"] = Json::array({{{"type", "thinking"}, {"thinking", said.reasoning}}});
    if (said.message != nullptr) message["content"].push_back({{"type", "text"}, {"text", said.message}});
  } else if (is_inline && said.message != nullptr) {
    message["content"] = (said.reasoning ? said.reasoning : "") + std::string("\n</think>\n\n") + said.message;
  } else if (!field.empty()) {
    message[field] = said.reasoning;
  }
  for (int i = 0; i < said.calls; ++i) {
    const bool short_ids = std::string_view(family.folder).starts_with("mistral");
    const Json given = family.text_arguments ? Json(arguments(family, i).dump()) : arguments(family, i);
    message["tool_calls"].push_back({{"id", short_ids ? "call0000" + std::to_string(i) : ids[i]},
                                     {"type", "function"},
                                     {"function", {{"name", "get_weather"}, {"arguments", given}}}});
  }
  if (said.calls > 0 && std::string_view(family.folder).starts_with("deepseek-ai-DeepSeek-R1"))
    message["content"] = nullptr;  // those templates write "" as an answer of its own
  return message;
}

class RoundTrip {
 public:
  explicit RoundTrip(const Family& family)
      : family_(family),
        templates_(chat::ChatTemplates::load(test::golden("templates") / family.folder)),
        format_(format_of(family, templates_.source())) {
    EXPECT_EQ(name_of(format_), family.format);
  }

  bool can(const Said& said) const {
    return said.calls <= family_.max_calls && (!said.reasoning || family_.reasoning) &&
           (said.calls == 0 || !said.message || family_.text_with_calls);
  }

  void check(const Said& said) const {
    SCOPED_TRACE(std::string(family_.folder) + ": " + said.why);
    const Json user = {{"role", "user"}, {"content", "Weather?"}};
    const Json message = message_of(family_, said);
    std::string text = render(Json::array({user, message}), false);
    const std::string prompt = render(Json::array({user}), true);
    if (text.starts_with(prompt)) check(said, message, prompt, text.substr(prompt.size()));
    const size_t begin = text.find(family_.assistant, 3) + std::string_view(family_.assistant).size();
    check(said, message, text.substr(0, begin), text.substr(begin));
  }

 private:
  std::string render(const Json& messages, bool add_generation_prompt) const {
    const Json kwargs = {{"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"enable_thinking", true}};
    const Json parameters = {{"type", "object"},
                             {"properties", {{"location", {{"type", "string"}, {"description", "where"}}}}},
                             {"required", {"location"}}};
    const Json tool = {{"name", "get_weather"}, {"description", "The weather."}, {"parameters", parameters}};
    const Json wrapped = {{"type", "function"}, {"function", tool}};
    const bool is_broken = std::string_view(family_.folder) == "llama-cpp-deepseek-r1";  // it cannot list tools
    return templates_.render(messages, {.add_generation_prompt = add_generation_prompt,
                                        .tools = is_broken ? Json() : Json::array({wrapped}),
                                        .kwargs = kwargs,
                                        .date = "2026-01-15"});
  }

  void check(const Said& said, const Json& message, const std::string& prompt, std::string answer) const {
    if (*family_.end != '\0' && answer.rfind(family_.end) != answer.npos) answer.erase(answer.rfind(family_.end));
    if (family_.end == std::string_view("<SPECIAL_12>") && answer.ends_with('\n')) answer.pop_back();
    const Answer found = parsed(format_, prompt, answer, answer.size());
    EXPECT_EQ(found.message.value_or(""), said.message ? said.message : "") << answer;
    EXPECT_EQ(found.reasoning.value_or(""), said.reasoning ? said.reasoning : "") << answer;
    EXPECT_EQ(found.malformed, family_.no_end_of_one_call && said.calls == 1) << answer;
    ASSERT_EQ(found.tool_calls.size(), size_t(said.calls)) << answer;
    for (int i = 0; i < said.calls; ++i) {
      const Json& call = found.tool_calls[size_t(i)];
      EXPECT_EQ(call["function"]["name"], "get_weather");
      EXPECT_EQ(Json::parse(call["function"]["arguments"].get<std::string>()), arguments(family_, i)) << answer;
      EXPECT_TRUE(!family_.keeps_ids || call["id"] == message["tool_calls"][size_t(i)]["id"]);
    }
    for (const size_t step : {1, 2, 3, 7})
      EXPECT_EQ(parsed(format_, prompt, answer, step), found) << step << answer;
  }

  const Family& family_;
  chat::ChatTemplates templates_;
  AnswerFormat format_;
};

TEST(AnswerGoldens, TemplatesMessagesComeBack) {
  if (test::golden("templates").empty()) GTEST_SKIP() << test::no_golden("templates");
  for (const Family& family : families) {
    const RoundTrip round_trip(family);
    for (const Said& said : sayings)
      if (round_trip.can(said)) round_trip.check(said);
  }
}

}  // namespace
}  // namespace chorus::harmony
