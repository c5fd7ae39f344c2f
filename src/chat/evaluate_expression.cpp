#include "chat/evaluator.h"
#include "chat/failure.h"
#include "chat/methods.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

Value concat(Value a, const Value& b) {
  if (a.is_string() && b.is_string() && !a.markup() && !b.markup()) return add(std::move(a), b);
  std::string text = to_text(a);
  append_text(text, b);
  return make_string(std::move(text));
}

Value concat_markup(const Value& a, const Value& b) {
  return make_string(std::string(escape(a).text()).append(escape(b).text()), true);
}

}  // namespace

// What has a value already is not copied: variables and their elements stay as they are while an expression is
// evaluated (a namespace, which does not, is no dict).
const Value& Evaluator::eval(const Expr& expr, Value& scratch) {
  switch (expr.kind) {
    case ExprKind::constant:
      return static_cast<const Constant&>(expr).value;
    case ExprKind::name:
      return eval_name(static_cast<const Name&>(expr));
    case ExprKind::attribute:
      return eval_attribute(static_cast<const Attribute&>(expr), scratch);
    case ExprKind::item:
      return eval_item(static_cast<const Item&>(expr), scratch);
    default:
      scratch = eval_compound(expr);
      return scratch;
  }
}

// `found` is an element of `owner`, which may be the scratch itself.
const Value& Evaluator::element(const Value& owner, const Value& found, Value& scratch) {
  if (&owner != &scratch) return found;
  Value copy(found);
  scratch.swap(copy);
  return scratch;
}

Value Evaluator::eval(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::constant:
      return static_cast<const Constant&>(expr).value;
    case ExprKind::name:
      return eval_name(static_cast<const Name&>(expr));
    case ExprKind::attribute:
    case ExprKind::item: {
      Value scratch;
      const Value& value = eval(expr, scratch);
      return &value == &scratch ? std::move(scratch) : value;
    }
    default:
      return eval_compound(expr);
  }
}

bool Evaluator::test(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::logical_not:
      return !test(*static_cast<const Unary&>(expr).operand);
    case ExprKind::logical_and:
      return test(*static_cast<const Binary&>(expr).left) && test(*static_cast<const Binary&>(expr).right);
    case ExprKind::logical_or:
      return test(*static_cast<const Binary&>(expr).left) || test(*static_cast<const Binary&>(expr).right);
    case ExprKind::test:
      return eval_test(static_cast<const TestCall&>(expr));
    case ExprKind::compare:
      return eval_compare(static_cast<const Compare&>(expr));
    default: {
      Value scratch;
      return truthy(eval(expr, scratch));
    }
  }
}

// Recursion over one expression needs no guard: the parser bounds its depth.
Value Evaluator::eval_compound(const Expr& expr) {
  count_step();
  switch (expr.kind) {
    case ExprKind::constant:
    case ExprKind::name:
    case ExprKind::attribute:
    case ExprKind::item:
      return eval(expr);
    case ExprKind::tuple:
    case ExprKind::list:
    case ExprKind::dict:
      return eval_display(expr);
    case ExprKind::slice:
      at_ = &expr.where;
      fail_type("a slice stands alone between brackets");
    case ExprKind::call:
      return eval_call(static_cast<const Call&>(expr));
    case ExprKind::filter:
      return eval_filter(static_cast<const FilterCall&>(expr));
    case ExprKind::test:
      return Value(eval_test(static_cast<const TestCall&>(expr)));
    case ExprKind::negative:
    case ExprKind::positive: {
      const Value operand = eval(*static_cast<const Unary&>(expr).operand);
      at_ = &expr.where;
      const Value negated = negate(operand);
      return expr.kind == ExprKind::negative ? negated
             : operand.is(Type::boolean)     ? Value(operand.integer())
                                             : operand;
    }
    case ExprKind::logical_not:
      return Value(!test(*static_cast<const Unary&>(expr).operand));
    case ExprKind::logical_and: {
      Value left = eval(*static_cast<const Binary&>(expr).left);
      return truthy(left) ? eval(*static_cast<const Binary&>(expr).right) : left;
    }
    case ExprKind::logical_or: {
      Value left = eval(*static_cast<const Binary&>(expr).left);
      return truthy(left) ? left : eval(*static_cast<const Binary&>(expr).right);
    }
    case ExprKind::binary:
      return eval_binary(static_cast<const Binary&>(expr));
    case ExprKind::sum:
      return eval_sum(static_cast<const Sum&>(expr));
    case ExprKind::concat:
      return eval_concat(static_cast<const Sequence&>(expr));
    case ExprKind::compare:
      return Value(eval_compare(static_cast<const Compare&>(expr)));
    case ExprKind::conditional:
      return eval_conditional(static_cast<const Conditional&>(expr));
  }
  return {};
}

Value Evaluator::eval_display(const Expr& expr) {
  if (expr.kind == ExprKind::dict) {
    auto* dict = new Dict;
    Value result(dict);
    for (const auto& [key_expr, value_expr] : static_cast<const DictDisplay&>(expr).items) {
      Value key = eval(*key_expr);
      Value value = eval(*value_expr);
      at_ = &expr.where;
      dict->set(std::move(key), std::move(value));
    }
    return result;
  }
  const auto& sequence = static_cast<const Sequence&>(expr);
  Values items;
  items.reserve(sequence.items.size());
  for (const ExprPtr& item : sequence.items) items.push_back(eval(*item));
  return expr.kind == ExprKind::list ? make_list(std::move(items)) : make_tuple(std::move(items));
}

Value Evaluator::eval_concat(const Sequence& expr) {
  Values parts;
  parts.reserve(expr.items.size());
  for (const ExprPtr& item : expr.items) parts.push_back(eval(*item));
  at_ = &expr.where;
  if (autoescape_) {
    bool any_markup = false;
    for (const Value& part : parts) any_markup = any_markup || (part.is_string() && part.markup());
    if (any_markup) {
      Value result = escape(parts[0]);
      for (size_t i = 1; i < parts.size(); ++i) result = concat_markup(result, parts[i]);
      return result;
    }
  }
  Value result = make_string(std::string_view());
  for (const Value& part : parts) result = concat(std::move(result), part);
  return result;
}

// variable.name of a dict is what templates are made of.
const Value& Evaluator::eval_attribute(const Attribute& expr, Value& scratch) {
  count_step();
  if (expr.operand->kind != ExprKind::name) return eval_attribute_of(eval(*expr.operand, scratch), expr, scratch);
  const Value& variable = eval_name(static_cast<const Name&>(*expr.operand));
  if (!variable.is(Type::dict) || !expr.plain_in_dicts) return eval_attribute_of(variable, expr, scratch);
  const Value* found = variable.dict().find(expr.name);
  return found != nullptr ? *found : expr.missing_in_dict;
}

const Value& Evaluator::eval_attribute_of(const Value& operand, const Attribute& expr, Value& scratch) {
  at_ = &expr.where;
  if (operand.is(Type::dict) && expr.plain_in_dicts) {
    const Value* found = operand.dict().find(expr.name);
    return found != nullptr ? element(operand, *found, scratch) : expr.missing_in_dict;
  }
  scratch = get_attribute(operand, expr.name);
  return scratch;
}

const Value& Evaluator::eval_item(const Item& expr, Value& scratch) {
  count_step();
  const Value& operand = eval(*expr.operand, scratch);
  if (expr.index->kind == ExprKind::slice) {
    scratch = eval_slice(operand, static_cast<const Slice&>(*expr.index), expr.folded);
    return scratch;
  }
  Value index_scratch;
  const Value& index = eval(*expr.index, index_scratch);
  at_ = &expr.where;
  if (operand.is(Type::dict) && index.is_string()) {
    if (const Value* found = operand.dict().find(index)) return element(operand, *found, scratch);
  } else if (operand.is_sequence() && index.is(Type::integer)) {
    const Values& items = operand.list().items;
    if (uint64_t(index.integer()) < items.size()) return element(operand, items[size_t(index.integer())], scratch);
  }
  scratch = get_item(operand, index);
  return scratch;
}

Value Evaluator::eval_slice(const Value& value, const Slice& expr, bool folded) {
  const Value start = expr.start ? eval(*expr.start) : Value::none();
  const Value stop = expr.stop ? eval(*expr.stop) : Value::none();
  const Value step = expr.step ? eval(*expr.step) : Value::none();
  at_ = &expr.where;
  if (value.is(Type::undefined)) fail_undefined(value);
  try {
    return slice(value, start, stop, step);
  } catch (const Failure& failure) {
    if (!folded || failure.cause != Cause::type) throw;
    return make_undefined_attribute(value, make_string("slice"));
  }
}

Value Evaluator::eval_sum(const Sum& expr) {
  Value total = eval(*expr.first);
  for (const auto& [where, value] : expr.terms) {
    Value scratch;
    const Value& term = eval(*value, scratch);
    at_ = &where;
    total = add(std::move(total), term);
  }
  return total;
}

Value Evaluator::eval_binary(const Binary& expr) {
  Value left_scratch, right_scratch;
  const Value& left = eval(*expr.left, left_scratch);
  const Value& right = eval(*expr.right, right_scratch);
  at_ = &expr.where;
  return arithmetic(expr.op, left, right);
}

bool Evaluator::eval_compare(const Compare& expr) {
  Value left_scratch, right_scratch;
  const Value* left = &eval(*expr.first, left_scratch);
  if (expr.links.size() == 1) {
    const auto& [op, operand] = expr.links[0];
    const Value& right = eval(*operand, right_scratch);
    at_ = &expr.where;
    return op == CompareOp::eq ? equal(*left, right) : compare(op, *left, right);
  }
  for (size_t i = 0; i < expr.links.size(); ++i) {
    const auto& [op, operand] = expr.links[i];
    const Value* right = &eval(*operand, right_scratch);
    at_ = &expr.where;
    if (!compare(op, *left, *right)) return false;
    if (right == &right_scratch) {
      left_scratch.swap(right_scratch);
      right = &left_scratch;
    }
    left = right;
  }
  return true;
}

Value Evaluator::eval_conditional(const Conditional& expr) {
  if (test(*expr.condition)) return eval(*expr.then);
  if (expr.otherwise) return eval(*expr.otherwise);
  return make_undefined_hint("the inline if-expression on line " + std::to_string(expr.where.line) +
                             " evaluated to false and no else section was defined.");
}

// ---- attributes and elements

Value Evaluator::get_attribute(const Value& value, const Value& name) {
  const std::string_view text = name.text();
  if (value.is(Type::undefined)) {
    if (is_object_attribute(text)) return unsafe_attribute(value, name);
    fail_undefined(value);
  }
  if (text.starts_with("__") && text.ends_with("__") && is_object_attribute(text))
    return unsafe_attribute(value, name);
  Value found = attribute_of(*this, value, name);
  if (!found.is_missing()) return found;
  found = subscript(value, name);
  return found.is_missing() ? make_undefined_attribute(value, name) : found;
}

Value Evaluator::get_item(const Value& value, const Value& index) {
  if (value.is(Type::undefined)) fail_undefined(value);
  Value found;
  try {
    found = subscript(value, index);
  } catch (const Failure& failure) {
    if (failure.cause != Cause::type) throw;  // an index that is no key is not there
  }
  if (!found.is_missing()) return found;
  if (index.is_string()) {
    const std::string_view text = index.text();
    if (text.starts_with("__") && text.ends_with("__") && is_object_attribute(text))
      return unsafe_attribute(value, index);
    found = attribute_of(*this, value, index);
    if (!found.is_missing()) return found;
  }
  return make_undefined_attribute(value, index);
}

}  // namespace chorus::jinja
