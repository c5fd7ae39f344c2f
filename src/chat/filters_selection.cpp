#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/limits.h"
#include "chat/methods.h"
#include "chat/operations.h"
#include "chat/tests.h"

namespace chorus::jinja {
namespace {

// Arguments that outlive the call of the filter, because the generator uses them later.
struct KeptArguments {
  explicit KeptArguments(const Arguments& a, size_t skip = 0)
      : positional(a.positional.begin() + ptrdiff_t(std::min(skip, a.positional.size())), a.positional.end()),
        keywords(a.keywords.begin(), a.keywords.end()) {}
  Arguments view() const { return {positional, keywords}; }
  Values positional;
  std::vector<Keyword> keywords;
};

const Value* keyword(const Arguments& arguments, std::string_view name) {
  for (const Keyword& k : arguments.keywords)
    if (k.name.text() == name) return &k.value;
  return nullptr;
}

std::string_view name_argument(const Value& name) {
  if (!name.is_string()) fail_type("a filter or test is named by a string, not by " + type_name(name));
  return name.text();
}

// What map() and select() do to each item; prepared when the first one is asked for, as generators do.
using Transform = std::function<Value(const Value&)>;

Transform prepare_map(Evaluator& evaluator, const Arguments& arguments) {
  const Value* attribute = keyword(arguments, "attribute");
  if (arguments.positional.empty() && attribute != nullptr) {
    const Value* otherwise = keyword(arguments, "default");
    for (const Keyword& k : arguments.keywords)
      if (k.name.text() != "attribute" && k.name.text() != "default")
        fail(Cause::other, "Unexpected keyword argument " + repr(k.name));
    return [&evaluator, getter = AttributeGetter(*attribute, false, otherwise == nullptr ? Value() : *otherwise)](
               const Value& item) { return getter(evaluator, item); };
  }
  if (arguments.positional.empty()) fail(Cause::other, "map requires a filter argument");
  const Filter* filter = find_filter(name_argument(arguments.positional[0]));
  if (filter == nullptr) fail(Cause::other, "No filter named " + repr(arguments.positional[0]) + ".");
  return [&evaluator, filter, kept = KeptArguments(arguments, 1)](const Value& item) {
    return filter->run(evaluator, item, kept.view());
  };
}

Transform prepare_select(Evaluator& evaluator, const Arguments& arguments, bool by_attribute) {
  if (by_attribute && arguments.positional.empty()) fail(Cause::other, "Missing parameter for attribute name");
  const AttributeGetter getter(by_attribute ? arguments.positional[0] : Value::none());
  const size_t at = by_attribute ? 1 : 0;
  if (arguments.positional.size() <= at)
    return [&evaluator, getter](const Value& item) { return Value(truthy(getter(evaluator, item))); };
  const Test* test = find_test(name_argument(arguments.positional[at]));
  if (test == nullptr) fail(Cause::other, "No test named " + repr(arguments.positional[at]) + ".");
  return [&evaluator, test, getter, kept = KeptArguments(arguments, at + 1)](const Value& item) {
    return test->run(evaluator, getter(evaluator, item), kept.view());
  };
}

Value map(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  struct State {
    Value input;
    KeptArguments arguments;
    std::unique_ptr<Cursor> cursor;
    Transform transform;
  };
  auto state = std::make_shared<State>(State{input, KeptArguments(arguments), nullptr, {}});
  return make_generator([state, &evaluator]() -> Value {
    if (!state->cursor) {
      if (!truthy(state->input)) return {};
      state->transform = prepare_map(evaluator, state->arguments.view());
      state->cursor = std::make_unique<Cursor>(state->input);
    }
    const DepthGuard guard;
    charge(1);
    Value item;
    return state->cursor->next(item) ? state->transform(item) : Value();
  });
}

template <bool wanted, bool by_attribute>
Value select(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  struct State {
    Value input;
    KeptArguments arguments;
    std::unique_ptr<Cursor> cursor;
    Transform test;
  };
  auto state = std::make_shared<State>(State{input, KeptArguments(arguments), nullptr, {}});
  return make_generator([state, &evaluator]() -> Value {
    if (!state->cursor) {
      if (!truthy(state->input)) return {};
      state->test = prepare_select(evaluator, state->arguments.view(), by_attribute);
      state->cursor = std::make_unique<Cursor>(state->input);
    }
    const DepthGuard guard;
    for (Value item; state->cursor->next(item);) {
      charge(1);
      if (truthy(state->test(item)) == wanted) return item;
    }
    return {};
  });
}

Value default_value(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("default", arguments, {"default_value", "boolean"});
  if (!input.is(Type::undefined) && !(a.flag(1, false) && !truthy(input))) return input;
  return a.given(0) ? a[0] : make_string("");
}

// The attribute alone: not the element of that name.
Value attr(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("attr", arguments, {"name"}, 1);
  if (!a[0].is_string()) fail_type("attribute name must be string, not '" + type_name(a[0]) + "'");
  if (input.is(Type::undefined)) fail_undefined(input);
  if (is_object_attribute(a[0].text())) return unsafe_attribute(input, a[0]);
  Value found = attribute_of(evaluator, input, a[0]);
  return found.is_missing() ? make_undefined_attribute(input, a[0]) : found;
}

constexpr Filter filters[] = {
    {"attr", attr},
    {"d", default_value},
    {"default", default_value},
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
};

}  // namespace

std::span<const Filter> selection_filters() {
  return filters;
}

}  // namespace chorus::jinja
