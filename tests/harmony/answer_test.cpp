#include <gtest/gtest.h>

#include "base/json.h"
#include "harmony/answer_parser.h"

namespace chorus::harmony {
namespace {

// message | reasoning | name(arguments) ... | malformed
std::string shown(const Answer& answer) {
  std::string out = answer.message.value_or("-") + " | " + answer.reasoning.value_or("-") + " |";
  for (const Json& call : answer.tool_calls) {
    out.append(" ").append(call["function"]["name"].get<std::string>());
    out.append("(").append(call["function"]["arguments"].get<std::string>()).append(")");
    if (call.contains("id")) out.append("#").append(call["id"].get<std::string>());
  }
  for (const auto& [name, text] : answer.channels) out.append(" ").append(name).append("=").append(text);
  return out + (answer.malformed ? " | malformed" : "");
}

AnswerFormat format_named(std::string_view tools, bool think) {
  AnswerFormat format;
  for (const ToolSyntax& syntax : tool_syntaxes())
    if (syntax.name == tools) format.tools = &syntax;
  if (think) format.reasoning = ReasoningTags{"<think>", "</think>"};
  return format;
}

std::string parsed(const AnswerFormat& format, std::string_view prompt, std::string_view text, size_t step) {
  const auto parser = make_answer_parser(format, prompt);
  for (size_t at = 0; at < text.size(); at += step) parser->feed_text(text.substr(at, step));
  parser->finish();
  return shown(parser->answer());
}

struct Case {
  const char* why;
  const char* tools;
  bool think;
  const char* prompt;
  const char* text;
  const char* expected;
};
const Case cases[] = {
    {"plain text stays as it is", "", false, "", " a <think> b\n", " a <think> b\n | - |"},
    {"nothing", "tool_call", true, "", "", " | - |"},
    {"reasoning, then a message", "", true, "", "<think>\nhm\n\nso\n</think>\n\n4\n", "4\n | hm\n\nso |"},
    {"the prompt has opened it", "", true, "<think>\n", "hm</think>4", "4 | hm |"},
    {"and the model does so again", "", true, "<think>", "<think>hm</think>4", "4 | hm |"},
    {"the prompt says that there is none", "", true, "<think>\n\n</think>\n\n", "a </think> b",
     "a </think> b | - |"},
    {"cut off in the reasoning", "", true, "", "<think>hm</thi", "- | hm</thi |"},
    {"an empty reasoning is none", "", true, "", "<think>\n\n</think>\n\nx", "x | - |"},
    {"it was never opened", "", true, "user: x\n", "hm\n</think>\n4", "4 | hm | | malformed"},
    {"the tag inside a message is text", "", true, "", "Write <think> here", "Write <think> here | - |"},
    {"a mark inside of a JSON string", "tool_call", false, "",
     "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call>\"}}</tool_call>",
     "- | - | f({\"a\": \"</tool_call>\"})"},
    {"text before, between and behind calls", "tool_call", false, "",
     "a\n<tool_call>\n{\"name\": \"f\"}\n</tool_call>\n<tool_call>{\"name\": \"g\"}</tool_call>\nb\n",
     "a\nb\n | - | f({}) g({})"},
    {"a broken call stays in the message", "tool_call", false, "", "a <tool_call>{\"name\": f}</tool_call> b",
     "a <tool_call>{\"name\": f}</tool_call> b | - | | malformed"},
    {"behind a string without end the marks count", "tool_call", false, "",
     "<tool_call>{\"name\": \"f}</tool_call>\n<tool_call>{\"name\": \"g\"}</tool_call>",
     "<tool_call>{\"name\": \"f}</tool_call> | - | g({}) | malformed"},
    {"a call without end", "tool_call", false, "", "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}",
     "- | - | f({}) | malformed"},
    {"a call that is cut off", "tool_call", false, "", "<tool_call>\n{\"name\": \"f\", \"argu",
     "<tool_call>\n{\"name\": \"f\", \"argu | - | | malformed"},
    {"arguments as a string", "tool_call", false, "",
     "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "- | - | f({\"a\": 1})"},
    {"the object that OpenAI has around it", "tool_call", false, "",
     "<tool_call>{\"id\": \"x\", \"function\": {\"name\": \"f\", \"arguments\": {}}}</tool_call>",
     "- | - | f({})#x"},
    {"Qwen3-Coder's values", "tool_call", false, "",
     "<tool_call>\n<function=f>\n<parameter=n>\n12\n</parameter>\n<parameter=s>\n two\nlines\n</parameter>\n"
     "<parameter=b>\nTrue\n</parameter>\n<parameter=q>\n\"x\"\n</parameter>\n<parameter=l>\n[1]\n</parameter>\n"
     "</function>\n</tool_call>",
     "- | - | f({\"n\": 12, \"s\": \" two\\nlines\", \"b\": true, \"q\": \"\\\"x\\\"\", \"l\": [1]})"},
    {"Llama's JSON without a mark", "llama3", false, "", "{\"name\": \"f\", \"parameters\": {\"a\": 1}}",
     "- | - | f({\"a\": 1})"},
    {"two of them", "llama3", false, "",
     "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}", "- | - | f({}) g({})"},
    {"other JSON is a message", "llama3", false, "", "{\"name\": 1, \"x\": {}}", "{\"name\": 1, \"x\": {}} | - |"},
    {"a name alone calls nothing", "llama3", false, "", "{\"name\": \"Ann\", \"age\": 3}",
     "{\"name\": \"Ann\", \"age\": 3} | - |"},
    {"built-in tools", "llama3", false, "", "<|python_tag|>brave_search.call(query=\"a \"b\", c\", n=\"2\")",
     "- | - | brave_search({\"query\":\"a \\\"b\\\", c\",\"n\":\"2\"})"},
    {"a program", "llama3", false, "", "<|python_tag|>print(\"x\")",
     "- | - | code_interpreter({\"code\":\"print(\\\"x\\\")\"})"},
    {"Mistral's list", "mistral", false, "",
     "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}, \"id\": \"abc123456\"}]", "- | - | f({})#abc123456"},
    {"Mistral's names", "mistral", false, "",
     "x[TOOL_CALLS]f[CALL_ID]1[ARGS]{\"a\": \"[TOOL_CALLS]\"}[TOOL_CALLS]g[ARGS]{}",
     "x | - | f({\"a\": \"[TOOL_CALLS]\"})#1 g({})"},
    {"the second is cut off", "mistral", false, "", "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]g[ARGS]{\"a",
     "[TOOL_CALLS]g[ARGS]{\"a | - | f({}) | malformed"},
    {"DeepSeek R1", "deepseek", true, "<｜Assistant｜><think>\n",
     "hm\n</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```"
     "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>",
     "- | hm | f({\"a\": 1}) g({})"},
    {"DeepSeek V3.1", "deepseek", true, "<｜Assistant｜></think>",
     "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": "
     "1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "I look. | - | f({\"a\": 1})"},
};

TEST(Answer, Table) {
  for (const Case& c : cases)
    for (const size_t step : {1000, 1, 2, 3, 5})
      EXPECT_EQ(parsed(format_named(c.tools, c.think), c.prompt, c.text, step), c.expected)
          << c.why << ", by " << step;
}

// What the tools declare a value to be decides; where they say nothing, or it cannot be that, its looks do.
struct TypeCase {
  const char* why;
  const char* schema;
  const char* value;
  const char* expected;
};
const TypeCase type_cases[] = {
    {"a string of digits", R"({"type": "string"})", "0123", R"("0123")"},
    {"a string that is a word of JSON", R"({"type": "string"})", "true", R"("true")"},
    {"a string that is JSON", R"({"type": "string"})", R"({"a": 1})", R"("{\"a\": 1}")"},
    {"quotes belong to it", R"({"type": "string"})", R"("x")", R"("\"x\"")"},
    {"an integer", R"({"type": "integer"})", "12", "12"},
    {"an integer that is none", R"({"type": "integer"})", "many", R"("many")"},
    {"a number without a fraction", R"({"type": "number"})", "3", "3"},
    {"Python's words", R"({"type": "boolean"})", "True", "true"},
    {"a list", R"({"type": "array"})", "[1, 2]", "[1, 2]"},
    {"an object", R"({"type": "object"})", R"({"a": [1]})", R"({"a": [1]})"},
    {"a string or null: null", R"({"type": ["string", "null"]})", "null", "null"},
    {"a string or null: a number is a string", R"({"type": ["string", "null"]})", "7", R"("7")"},
    {"nullable", R"({"type": "string", "nullable": true})", "None", "null"},
    {"one of two", R"({"anyOf": [{"type": "integer"}, {"type": "string"}]})", "7", "7"},
    {"the other of two", R"({"anyOf": [{"type": "integer"}, {"type": "string"}]})", "7.5", R"("7.5")"},
    {"words to choose from", R"({"enum": ["1", "2"]})", "1", R"("1")"},
    {"numbers to choose from", R"({"enum": [1, 2]})", "1", "1"},
    {"no type", R"({"description": "x"})", "7", "7"},
    {"an odd type", R"({"type": 5})", "7", "7"},
};
TEST(Answer, ToolsTypeTheValuesOfTags) {
  for (const TypeCase& c : type_cases) {
    Json tools =
        Json::parse(R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}])");
    tools[0]["function"]["parameters"]["properties"]["a"] = Json::parse(c.schema);
    const std::string value = c.value;
    const std::string texts[] = {
        "<tool_call>\n<function=f>\n<parameter=a>\n" + value + "\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>" + value + "</arg_value>\n</tool_call>"};
    for (const std::string& text : texts)
      for (const Json& list : {tools, Json::array({tools[0]["function"]})}) {  // some leave the wrapping out
        const auto parser = make_answer_parser(format_named("tool_call", false), "", list);
        parser->feed_text(text);
        parser->finish();
        EXPECT_EQ(shown(parser->answer()), std::string("- | - | f({\"a\": ") + c.expected + "})") << c.why;
      }
  }
}

TEST(Answer, ToolsThatAreNoneTypeNothing) {
  const char* text = "<tool_call><function=f><parameter=a>1</parameter></function></tool_call>";
  for (const char* tools : {"null", "[]", "{}", "[1]", "[{\"function\": 1}]", "[{\"name\": \"f\"}]",
                            "[{\"name\": \"f\", \"parameters\": {\"properties\": []}}]",
                            "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"a\": 3}}}]"}) {
    const auto parser = make_answer_parser(format_named("tool_call", false), "", Json::parse(tools));
    parser->feed_text(text);
    parser->finish();
    EXPECT_EQ(shown(parser->answer()), "- | - | f({\"a\": 1})") << tools;
  }
}

const HarmonyTokens ids = {
    .start = 1, .end = 2, .message = 3, .channel = 4, .return_ = 5, .call = 6, .constrain = 7};

// Markers of the text as tokens.
std::unique_ptr<AnswerParser> harmony_parser(std::string_view text,
                                             std::string_view prompt = "<|start|>assistant") {
  auto parser = make_answer_parser({.harmony = ids}, prompt);
  while (!text.empty()) {
    const Marker marker = marker_at(text);
    const size_t size =
        marker != Marker::none ? marker_text(marker).size() : std::min(text.find("<|", 1), text.size());
    parser->feed(int32_t(marker) == 0 ? 100 : int32_t(marker), text.substr(0, size));
    text.remove_prefix(size);
  }
  return parser;
}

std::string harmony_parsed(std::string_view text, std::string_view prompt = "<|start|>assistant") {
  const auto parser = harmony_parser(text, prompt);
  parser->finish();
  return shown(parser->answer());
}

TEST(Answer, HarmonysChannelsAndRecipients) {
  EXPECT_EQ(
      harmony_parsed("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b"
                     "<|end|><|start|>assistant<|channel|>final<|message|>c<|return|>"),
      "c | a\nb |");
  EXPECT_EQ(
      harmony_parsed("<|channel|>commentary<|message|>plan<|end|><|start|>assistant to=functions.f<|channel|>"
                     "commentary <|constrain|>json<|message|>{\"a\":1}<|call|>"),
      "- | - | f({\"a\":1}) commentary=plan");
  EXPECT_EQ(harmony_parsed("<|channel|>analysis to=python code<|message|>1 + 1<|call|>"), "- | - | python(1 + 1)")
      << "what is said to a tool is no reasoning";
  EXPECT_EQ(harmony_parsed("<|channel|>final<|message|>c<|end|><|start|>user<|message|>thanks<|end|>"),
            "c | - | | malformed")
      << "the user speaks for himself";
}

TEST(Answer, HarmonyGoesOnWhereThePromptEnds) {
  EXPECT_EQ(harmony_parsed("yes<|return|>", "...<|start|>assistant<|channel|>final<|message|>Well, "),
            "yes | - |");
  EXPECT_EQ(harmony_parsed("<|message|>yes<|return|>", "<|start|>assistant<|channel|>final"), "yes | - |");
  EXPECT_EQ(harmony_parsed("<|start|>assistant<|channel|>final<|message|>yes<|return|>",
                           "<|start|>user<|message|>?<|end|>"),
            "yes | - |");
  EXPECT_EQ(harmony_parsed("yes", ""), "yes | - | | malformed") << "text to go on with";
}

TEST(Answer, SaysAtEveryTokenWhatItIs) {
  const auto part = [](std::string_view text) { return harmony_parser(text)->part(); };
  EXPECT_EQ(part("<|channel|>analysis"), AnswerPart::none);
  EXPECT_EQ(part("<|channel|>analysis<|message|>a"), AnswerPart::reasoning);
  EXPECT_EQ(part("<|channel|>final<|message|>a"), AnswerPart::message);
  EXPECT_EQ(part("<|channel|>commentary<|message|>a"), AnswerPart::channel);
  EXPECT_EQ(part("<|channel|>commentary to=functions.f<|message|>{"), AnswerPart::tool_call);
  EXPECT_EQ(
      shown(harmony_parser("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b")
                ->answer()),
      "b | a |");

  const auto tagged = make_answer_parser(format_named("tool_call", true), "<think>\n");
  const std::pair<const char*, AnswerPart> pieces[] = {
      {"hm", AnswerPart::reasoning},          {"</thi", AnswerPart::reasoning},
      {"nk>\n", AnswerPart::message},         {"x ", AnswerPart::message},
      {"<tool_call>", AnswerPart::tool_call}, {"{\"name\": \"f\"}", AnswerPart::tool_call},
      {"</tool_call>", AnswerPart::message}};
  for (const auto& [piece, expected] : pieces) {
    tagged->feed(100, piece);
    EXPECT_EQ(tagged->part(), expected) << piece;
  }
  EXPECT_EQ(shown(tagged->answer()), "x | hm | f({})");
  EXPECT_EQ(tagged->answer().reasoning_tokens, 2);
}

TEST(Answer, TakesLinearTime) {
  for (const char* piece :
       {"<tool_call>", "</tool_call>", "<tool_call>{\"", "<think>", "{\"name\":", "\", ", "[TOOL_CALLS]",
        "<function=f>", "f.call(a=\"", "[ARGS]", "\n", "<｜tool▁call▁begin｜>"})
    for (const ToolSyntax& syntax : tool_syntaxes()) {
      std::string text = std::string(syntax.open) + (syntax.name == "tool_call" ? "{\"" : "f.call(q=\"");
      while (text.size() < 300'000) text += piece;
      parsed({.reasoning = ReasoningTags{"<think>", "</think>"}, .tools = &syntax}, "", text, 7);  // or minutes
    }
}

TEST(DetectFormat, FromTheTemplateThenFromTheVocabulary) {
  const auto none = [](std::string_view) { return std::optional<int32_t>(); };
  const auto all = [](std::string_view) { return std::optional<int32_t>(1); };
  const auto tool_call = [](std::string_view token) {
    return token == "<tool_call>" ? std::optional<int32_t>(1) : std::nullopt;
  };
  EXPECT_EQ(name_of(detect_format("", none)), "plain");
  EXPECT_EQ(name_of(detect_format("", all)), "harmony");
  EXPECT_EQ(name_of(detect_format("... </think> ... [TOOL_CALLS]", tool_call)), "<think>, mistral");
  EXPECT_EQ(name_of(detect_format("{{ messages }}", tool_call)), "tool_call");
}

}  // namespace
}  // namespace chorus::harmony
