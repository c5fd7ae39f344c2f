#include <array>

#include "chat/evaluator.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/methods.h"
#include "chat/operations.h"
#include "chat/tests.h"

namespace chorus::jinja {

// Calls, filters and tests: what takes arguments.

static constexpr size_t few_arguments = 4;

template <typename Use>
Value Evaluator::with_arguments(const CallArguments& arguments, const Value* caller, Use use) {
  if (!arguments.plain() || caller != nullptr || arguments.positional.size() > few_arguments)
    return with_all_arguments(arguments, caller, use);
  std::array<Value, few_arguments> values;
  for (size_t i = 0; i < arguments.positional.size(); ++i) values[i] = eval(*arguments.positional[i]);
  return use(Arguments{{values.data(), arguments.positional.size()}, {}});
}

template <typename Use>
Value Evaluator::with_all_arguments(const CallArguments& arguments, const Value* caller, Use use) {
  Values positional;
  std::vector<Keyword> keywords;
  for (const ExprPtr& argument : arguments.positional) positional.push_back(eval(*argument));
  if (arguments.star)
    for (Value& item : to_vector(eval(*arguments.star))) positional.push_back(std::move(item));
  for (const auto& [name, value] : arguments.keywords) keywords.push_back({name, eval(*value)});
  if (caller != nullptr) keywords.push_back({make_string("caller"), *caller});
  if (arguments.star_star) {
    const Value mapping = eval(*arguments.star_star);
    if (!mapping.is(Type::dict)) fail_type("argument after ** must be a mapping, not " + type_name(mapping));
    for (const auto& [key, value] : mapping.dict().items()) {
      if (!key.is_string()) fail_type("keywords must be strings");
      for (const Keyword& keyword : keywords)
        if (keyword.name.text() == key.text())
          fail_type("got multiple values for keyword argument '" + std::string(key.text()) + "'");
      keywords.push_back({key, value});
    }
  }
  return use(Arguments{positional, keywords});
}

Value Evaluator::eval_call(const Call& expr) {
  return call_with(expr, nullptr);
}

Value Evaluator::call_with(const Call& expr, const Value* caller) {
  if (expr.callee->kind == ExprKind::attribute) {  // a method: no need to make an object of it first
    const auto& attribute = static_cast<const Attribute&>(*expr.callee);
    Value scratch;
    const Value& self = eval(*attribute.operand, scratch);
    if (has_method(attribute.methods, self.type())) {
      return with_arguments(expr.arguments, caller, [&](const Arguments& arguments) {
        at_ = &expr.where;
        return call_method(*this, self, attribute.methods, attribute.name, arguments);
      });
    }
    at_ = &attribute.where;
    const Value callee = get_attribute(self, attribute.name);
    return with_arguments(expr.arguments, caller, [&](const Arguments& arguments) {
      at_ = &expr.where;
      return call(callee, arguments);
    });
  }
  Value scratch;
  const Value callee = eval(*expr.callee, scratch);
  return with_arguments(expr.arguments, caller, [&](const Arguments& arguments) {
    at_ = &expr.where;
    return call(callee, arguments);
  });
}

Value Evaluator::call(const Value& callee, const Arguments& arguments) {
  if (callee.is(Type::opaque)) return callee.opaque().call(*this, arguments);
  if (callee.is(Type::undefined)) fail_undefined(callee);
  fail_type("'" + type_name(callee) + "' object is not callable");
}

Value Evaluator::eval_filter(const FilterCall& expr, const Value* text) {
  Value scratch;
  const bool inner = expr.operand == nullptr;
  // In a filter block the innermost filter of the chain takes the block's text.
  const Value& operand = inner ? *text
                         : text != nullptr && expr.operand->kind == ExprKind::filter
                             ? (scratch = eval_filter(static_cast<const FilterCall&>(*expr.operand), text))
                             : eval(*expr.operand, scratch);
  if (expr.filter == nullptr) {
    at_ = &expr.where;
    fail(Cause::other, "No filter named '" + expr.name + "' found.");
  }
  return with_arguments(expr.arguments, nullptr, [&](const Arguments& arguments) {
    at_ = &expr.where;
    return expr.filter->run(*this, operand, arguments);
  });
}

bool Evaluator::eval_test(const TestCall& expr) {
  Value scratch;
  const Value& operand = eval(*expr.operand, scratch);
  if (expr.test == nullptr) {
    at_ = &expr.where;
    fail(Cause::other, "No test named '" + expr.name + "' found.");
  }
  if (expr.arguments.plain() && expr.arguments.positional.empty()) {
    at_ = &expr.where;
    return truthy(expr.test->run(*this, operand, {}));
  }
  return truthy(with_arguments(expr.arguments, nullptr, [&](const Arguments& arguments) {
    at_ = &expr.where;
    return expr.test->run(*this, operand, arguments);
  }));
}

}  // namespace chorus::jinja
