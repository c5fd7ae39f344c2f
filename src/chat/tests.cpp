#include "chat/tests.h"

#include <algorithm>
#include <map>

#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/operations.h"
#include "chat/string_methods.h"

namespace chorus::jinja {
namespace {

void no_arguments(const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.keywords.empty()) fail_type("the test takes no arguments");
}

template <bool (*holds)(const Value&)>
Value simple(Evaluator&, const Value& input, const Arguments& arguments) {
  no_arguments(arguments);
  return Value(holds(input));
}

bool is_defined(const Value& v) {
  return !v.is(Type::undefined);
}
bool is_undefined(const Value& v) {
  return v.is(Type::undefined);
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.is(Type::boolean);
}
bool is_true(const Value& v) {
  return v.is(Type::boolean) && v.boolean();
}
bool is_false(const Value& v) {
  return v.is(Type::boolean) && !v.boolean();
}
bool is_integer(const Value& v) {
  return v.is(Type::integer) || v.is(Type::big_integer);
}
bool is_float(const Value& v) {
  return v.is(Type::real);
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_string(const Value& v) {
  return v.is_string();
}
bool is_mapping(const Value& v) {
  return v.is(Type::dict);
}
bool is_callable(const Value& v) {
  return (v.is(Type::opaque) && v.opaque().callable()) || v.is(Type::undefined);
}
bool is_escaped(const Value& v) {
  return v.is_string() && v.markup();
}
bool is_sequence(const Value& v) {
  return v.is_string() || v.is_sequence() || v.is(Type::dict) || v.is(Type::range) || v.is(Type::undefined);
}

bool is_multiple(const Value& value, const Value& of, const Value& remainder) {
  return equal(arithmetic(BinaryOp::mod, value, of), remainder);
}
bool is_odd(const Value& v) {
  return is_multiple(v, Value(int64_t(2)), Value(int64_t(1)));
}
bool is_even(const Value& v) {
  return is_multiple(v, Value(int64_t(2)), Value(int64_t(0)));
}

Value divisible(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("divisibleby", arguments, {"num"}, 1);
  return Value(is_multiple(input, a[0], Value(int64_t(0))));
}

Value cased(Evaluator& evaluator, const Value& input, const char* method) {
  const auto methods = string_methods();
  const auto found =
      std::find_if(methods.begin(), methods.end(), [&](const StringMethod& m) { return m.name == method; });
  return found->run(evaluator, make_string(to_text(input)), {});
}
Value is_lower(Evaluator& e, const Value& input, const Arguments&) {
  return cased(e, input, "islower");
}
Value is_upper(Evaluator& e, const Value& input, const Arguments&) {
  return cased(e, input, "isupper");
}

template <CompareOp op>
Value compared(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("compare", arguments, {"other"}, 1);
  return Value(compare(op, input, a[0]));
}

Value same_as(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("sameas", arguments, {"other"}, 1);
  return Value(input.same_as(a[0]));
}

Value is_filter(Evaluator&, const Value& input, const Arguments&) {
  return Value(input.is_string() && find_filter(input.text()) != nullptr);
}
Value is_test(Evaluator&, const Value& input, const Arguments&) {
  return Value(input.is_string() && find_test(input.text()) != nullptr);
}

constexpr Test tests[] = {
    {"!=", compared<CompareOp::ne>},
    {"<", compared<CompareOp::lt>},
    {"<=", compared<CompareOp::le>},
    {"==", compared<CompareOp::eq>},
    {">", compared<CompareOp::gt>},
    {">=", compared<CompareOp::ge>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", divisible},
    {"eq", compared<CompareOp::eq>},
    {"equalto", compared<CompareOp::eq>},
    {"escaped", simple<is_escaped>},
    {"even", simple<is_even>},
    {"false", simple<is_false>},
    {"filter", is_filter},
    {"float", simple<is_float>},
    {"ge", compared<CompareOp::ge>},
    {"greaterthan", compared<CompareOp::gt>},
    {"gt", compared<CompareOp::gt>},
    {"in", compared<CompareOp::in>},
    {"integer", simple<is_integer>},
    {"iterable", simple<iterable>},
    {"le", compared<CompareOp::le>},
    {"lessthan", compared<CompareOp::lt>},
    {"lower", is_lower},
    {"lt", compared<CompareOp::lt>},
    {"mapping", simple<is_mapping>},
    {"ne", compared<CompareOp::ne>},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", simple<is_odd>},
    {"sameas", same_as},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", is_test},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", is_upper},
};

}  // namespace

const Test* find_test(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(tests), std::end(tests), name,
                                       [](const Test& test, std::string_view n) { return test.name < n; });
  return found != std::end(tests) && found->name == name ? found : nullptr;
}

}  // namespace chorus::jinja
