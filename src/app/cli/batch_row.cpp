#include "app/cli/batch_row.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <span>

#include "base/json.h"
#include "base/utf8.h"
#include "chorus/error.h"

namespace chorus::cli {
namespace {

struct Reader {
  BatchRow& row;
  bool raw;
  bool has_id = false, has_prompt = false, has_seed = false;
};

Error bad_field(std::string_view name, const char* expected, const Json& actual) {
  std::string text = to_json_line(actual);
  if (text.size() > 60) text = text.substr(0, complete_utf8_prefix(std::string_view(text).substr(0, 60))) + "...";
  return Error(Fault::input, "field has the wrong value")
      .with("field", name)
      .with("expected", expected)
      .with("actual", text);
}

double number(std::string_view name, const Json& value) {
  if (!value.is_number()) throw bad_field(name, "a number", value);
  return value.get<double>();
}

int64_t integer(std::string_view name, const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t(INT64_MAX)) return value.get<int64_t>();
  if (!value.is_number_integer() || value.is_number_unsigned()) throw bad_field(name, "an integer", value);
  return value.get<int64_t>();
}

bool flag(std::string_view name, const Json& value) {
  if (!value.is_boolean()) throw bad_field(name, "true or false", value);
  return value.get<bool>();
}

const std::string& string(std::string_view name, const Json& value) {
  if (!value.is_string()) throw bad_field(name, "a string", value);
  return value.get_ref<const std::string&>();
}

int32_t token_id(std::string_view name, const Json& value) {
  if (!value.is_number_integer() || value < 0 || value > INT32_MAX) throw bad_field(name, "token ids", value);
  return value.get<int32_t>();
}

TokenIds token_ids(std::string_view name, const Json& value) {
  if (!value.is_array()) throw bad_field(name, "a list of token ids", value);
  TokenIds ids;
  for (const Json& id : value) ids.push_back(token_id(name, id));
  return ids;
}

void set_id(Reader& r, std::string_view name, const Json& value) {
  if (value.is_number_integer())
    r.row.id = value.dump();
  else
    r.row.id = string(name, value);
  r.has_id = true;
}

void set_prompt(Reader& r, std::variant<TokenIds, RawText, Json> prompt) {
  if (r.has_prompt) throw Error(Fault::input, "more than one of prompt, messages and tokens");
  r.has_prompt = true;
  r.row.prompt = std::move(prompt);
}

Json user_message(const std::string& text) {
  return Json::array({{{"role", "user"}, {"content", text}}});
}

// Text waits until "raw" is known, wherever it stands in the line.
void set_prompt_text(Reader& r, std::string_view name, const Json& value) {
  set_prompt(r, RawText{string(name, value)});
}

void set_messages(Reader& r, std::string_view name, const Json& value) {
  const auto is_message = [](const Json& m) {
    return m.is_object() && m.contains("role") && m["role"].is_string();
  };
  if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), is_message))
    throw bad_field(name, "a list of messages with a role", value);
  set_prompt(r, value);
}

void set_stop(Reader& r, std::string_view name, const Json& value) {
  r.row.stop.stop.clear();
  if (value.is_string())
    r.row.stop.stop.push_back(value.get<std::string>());
  else if (!value.is_array())
    throw bad_field(name, "a string or a list of strings", value);
  else
    for (const Json& text : value) r.row.stop.stop.push_back(string(name, text));
}

void set_seed(Reader& r, std::string_view name, const Json& value) {
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value < 0))
    throw bad_field(name, "an integer of at least 0", value);
  r.row.sampling.seed = value.get<uint64_t>();
  r.has_seed = true;
}

// {"TOKEN ID": number}, as OpenAI spells it.
void set_logit_bias(Reader& r, std::string_view name, const Json& value) {
  if (!value.is_object()) throw bad_field(name, "an object of token ids and numbers", value);
  r.row.sampling.logit_bias.clear();
  for (const auto& [key, bias] : value.items()) {
    int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      throw bad_field(name, "token ids as keys", Json(key));
    r.row.sampling.logit_bias.emplace_back(id, float(number(name, bias)));
  }
}

void set_tools(Reader& r, std::string_view name, const Json& value) {
  if (!value.is_array()) throw bad_field(name, "a list of tools", value);
  r.row.tools = value;
}

void set_template_kwargs(Reader& r, std::string_view name, const Json& value) {
  if (!value.is_object()) throw bad_field(name, "an object", value);
  r.row.template_kwargs.update(value);
}

void set_body(Reader& r, std::string_view name, const Json& value);

struct Field {
  std::string_view name;
  void (*set)(Reader& r, std::string_view name, const Json& value);
};

// What may stand in a line of our own form and in OpenAI's body.
constexpr Field request_fields[] = {
    {"prompt", set_prompt_text},
    {"messages", set_messages},
    {"tools", set_tools},
    {"reasoning_effort",
     [](Reader& r, std::string_view n, const Json& v) { r.row.template_kwargs[std::string(n)] = string(n, v); }},
    {"template_kwargs", set_template_kwargs},
    {"chat_template_kwargs", set_template_kwargs},
    {"max_tokens", [](Reader& r, std::string_view n, const Json& v) { r.row.stop.max_tokens = integer(n, v); }},
    {"max_completion_tokens",
     [](Reader& r, std::string_view n, const Json& v) { r.row.stop.max_tokens = integer(n, v); }},
    {"stop", set_stop},
    {"stop_token_ids",
     [](Reader& r, std::string_view n, const Json& v) { r.row.stop.stop_token_ids = token_ids(n, v); }},
    {"ignore_eos", [](Reader& r, std::string_view n, const Json& v) { r.row.stop.ignore_eos = flag(n, v); }},
    {"temperature",
     [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.temperature = number(n, v); }},
    {"top_p", [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.top_p = number(n, v); }},
    {"top_k", [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.top_k = integer(n, v); }},
    {"min_p", [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.min_p = number(n, v); }},
    {"repetition_penalty",
     [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.repetition_penalty = number(n, v); }},
    {"presence_penalty",
     [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.presence_penalty = number(n, v); }},
    {"frequency_penalty",
     [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.frequency_penalty = number(n, v); }},
    {"logit_bias", set_logit_bias},
    {"seed", set_seed},
    {"logprobs", [](Reader& r, std::string_view n, const Json& v) { r.row.sampling.logprobs = flag(n, v); }},
    {"priority",
     [](Reader& r, std::string_view n, const Json& v) {
       const int64_t priority = integer(n, v);
       if (std::abs(priority) > 1'000'000) throw bad_field(n, "an integer within a million of 0", v);
       r.row.priority = int(priority);
     }},
};

constexpr Field own_fields[] = {
    {"id", set_id},
    {"tokens", [](Reader& r, std::string_view n, const Json& v) { set_prompt(r, token_ids(n, v)); }},
    {"raw", [](Reader& r, std::string_view n, const Json& v) { r.raw = flag(n, v); }},
};

constexpr Field openai_fields[] = {
    {"custom_id", set_id},
    {"method",
     [](Reader&, std::string_view n, const Json& v) {
       if (v != "POST") throw bad_field(n, "POST", v);
     }},
    {"url",
     [](Reader& r, std::string_view n, const Json& v) {
       if (v == "/v1/completions")
         r.raw = true;  // there the prompt is text to be continued
       else if (v != "/v1/chat/completions")
         throw bad_field(n, "/v1/chat/completions or /v1/completions", v);
     }},
    {"body", set_body},
};

// Of OpenAI's body beside the request fields: what chorus cannot do otherwise must have the value that it does.
constexpr Field openai_body_fields[] = {
    {"model", [](Reader&, std::string_view n, const Json& v) { string(n, v); }},  // --model decides
    {"user", [](Reader&, std::string_view n, const Json& v) { string(n, v); }},
    {"n",
     [](Reader&, std::string_view n, const Json& v) {
       if (v != 1) throw bad_field(n, "1", v);
     }},
    {"stream",
     [](Reader&, std::string_view n, const Json& v) {
       if (v != false) throw bad_field(n, "false", v);
     }},
};

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

// Null means not given, as in OpenAI's requests.
void read_object(Reader& r, const Json& object, std::span<const Field> fields, std::span<const Field> more) {
  const Field* first[] = {find_field(fields, "id"),
                          find_field(fields, "custom_id")};  // so that errors can name it
  for (const Field* f : first)
    if (f != nullptr && object.contains(f->name) && !object[f->name].is_null())
      f->set(r, f->name, object[f->name]);
  for (const auto& [name, value] : object.items()) {
    const Field* field = find_field(fields, name);
    if (field == nullptr) field = find_field(more, name);
    if (field == nullptr) throw Error(Fault::input, "unknown field").with("field", name);
    if (!value.is_null() && field != first[0] && field != first[1]) field->set(r, field->name, value);
  }
}

void set_body(Reader& r, std::string_view name, const Json& value) {
  if (!value.is_object()) throw bad_field(name, "an object", value);
  read_object(r, value, request_fields, openai_body_fields);
}

BatchRow default_row(int64_t line, const RowDefaults& defaults) {
  BatchRow row;
  row.line = line;
  row.id = std::to_string(line);
  row.sampling = defaults.sampling;
  row.stop = defaults.stop;
  return row;
}

// Last, when all fields are known.
void complete(Reader& r) {
  if (auto* text = std::get_if<RawText>(&r.row.prompt); text != nullptr && !r.raw)
    r.row.prompt = user_message(text->text);
  if (!r.has_seed) r.row.row_key = row_key_of(r.row.id);
}

}  // namespace

BatchRow row_of_text(std::string_view text, int64_t line, const RowDefaults& defaults) {
  BatchRow row = default_row(line, defaults);
  Reader reader{.row = row, .raw = defaults.raw};
  set_prompt(reader, RawText{std::string(text)});
  complete(reader);
  return row;
}

BatchRow row_of_json(std::string_view text, int64_t line, const RowDefaults& defaults) {
  BatchRow row = default_row(line, defaults);
  Reader reader{.row = row, .raw = defaults.raw};
  try {
    const Json value = parse_json(text, "input");
    if (value.is_string()) {
      set_prompt_text(reader, "prompt", value);
    } else if (value.is_object()) {
      const bool openai = value.contains("custom_id") || value.contains("body");
      if (openai)
        read_object(reader, value, openai_fields, {});
      else
        read_object(reader, value, own_fields, request_fields);
      if (!reader.has_prompt)
        throw Error(Fault::input,
                    openai ? "the body has neither messages nor prompt" : "none of prompt, messages and tokens");
    } else {
      throw Error(Fault::input, "neither a JSON object nor a string");
    }
    complete(reader);
  } catch (const Error& e) {
    Error with_line(Fault::input, e.problem());
    with_line.with("line", line);
    for (const auto& [name, fact] : e.facts())
      if (name != "where") with_line.with(name, fact);
    row.error = with_line.one_line();
  }
  return row;
}

}  // namespace chorus::cli
