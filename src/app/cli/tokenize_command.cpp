// chorus tokenize and chorus detokenize: JSON lines in, one answer per line at once.
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "base/json.h"
#include "chorus/error.h"
#include "tokenizer/tokenizer.h"
#include "weights/find_model.h"

namespace chorus::cli {
namespace {

struct Field {
  const char* name;
  bool required;
};

// The line as an object with no other than these fields.
Json parse_line(std::string_view line, std::initializer_list<Field> fields) {
  const Json object = parse_json(line, "input line");
  if (!object.is_object()) throw Error(Fault::input, "the line is not a JSON object");
  for (const auto& [key, value] : object.items())
    if (std::none_of(fields.begin(), fields.end(), [&k = key](const Field& f) { return k == f.name; }))
      throw Error(Fault::input, "unknown field").with("field", key);
  for (const Field& f : fields)
    if (f.required && !object.contains(f.name)) throw Error(Fault::input, "missing field").with("field", f.name);
  return object;
}

bool flag_or(const Json& object, const char* name, bool otherwise) {
  const auto found = object.find(name);
  if (found == object.end()) return otherwise;
  if (!found->is_boolean()) throw Error(Fault::input, "field is not true or false").with("field", name);
  return found->get<bool>();
}

Json tokenize(const tokenizer::Tokenizer& tokenizer, std::string_view line) {
  const Json object = parse_line(line, {{"text", true}, {"special", false}, {"add_special_tokens", false}});
  if (!object["text"].is_string()) throw Error(Fault::input, "field is not a string").with("field", "text");
  return {{"ids", tokenizer.encode(object["text"].get_ref<const std::string&>(),
                                   {.parse_special = flag_or(object, "special", true),
                                    .add_special_tokens = flag_or(object, "add_special_tokens", false)})}};
}

Json detokenize(const tokenizer::Tokenizer& tokenizer, std::string_view line) {
  const Json object = parse_line(line, {{"ids", true}, {"skip_special", false}});
  const Json& list = object["ids"];
  if (!list.is_array()) throw Error(Fault::input, "field is not a list").with("field", "ids");
  TokenIds ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      throw Error(Fault::input, "not a token id").with("position", ids.size()).with("actual", id.dump());
    ids.push_back(id.get<int32_t>());
  }
  return {{"text", tokenizer.decode(ids, flag_or(object, "skip_special", false))}};
}

int answer_lines(const std::string& model, Json (*answer)(const tokenizer::Tokenizer&, std::string_view)) {
  const auto tokenizer = tokenizer::Tokenizer::load(find_model(model));
  int exit_code = exit_ok;
  for_each_input_line([&](std::string_view line) {
    try {
      print_json(answer(*tokenizer, line));
    } catch (const Error& e) {
      if (e.fault() == Fault::io) throw;
      print_json({{"error", e.one_line()}});
      exit_code = exit_some_rows_failed;
    }
  });
  return exit_code;
}

}  // namespace

void add_tokenize_command(CLI::App& app, Run& run) {
  const auto model = std::make_shared<std::string>();
  const auto add = [&](const char* name, const char* help, auto answer) {
    CLI::App& command = *app.add_subcommand(name, help);
    add_model_name(command, *model);
    command.callback([&run, model, answer] { run = [=] { return answer_lines(*model, answer); }; });
  };
  add("tokenize", R"(JSON lines {"text": ..., "special": true|false} on stdin -> {"ids": [...]})", &tokenize);
  add("detokenize", R"(JSON lines {"ids": [...]} on stdin -> {"text": ...})", &detokenize);
}

}  // namespace chorus::cli
