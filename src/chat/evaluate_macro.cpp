#include <algorithm>
#include <array>

#include "chat/activation.h"
#include "chat/callables.h"
#include "chat/evaluator.h"
#include "chat/failure.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

[[noreturn]] void fail_keywords(const MacroInfo& macro, const Dict& unknown) {
  if (unknown.find(make_string("caller")) != nullptr)
    fail_type("macro '" + macro.name + "' was invoked with two values for the special caller argument");
  fail_type("macro '" + macro.name + "' takes no keyword argument " + repr(unknown.items()[0].first));
}

}  // namespace

// {{ macro(...) }}: the macro writes straight into the output.
bool Evaluator::print_macro_call(const Expr& expr) {
  const auto& call = static_cast<const Call&>(expr);
  if (call.callee->kind != ExprKind::name) return false;
  const Macro* macro = as_macro(variable(static_cast<const Name&>(*call.callee).variable));
  if (macro == nullptr || !call.arguments.plain()) return false;
  std::array<Value, 4> arguments;
  const size_t count = call.arguments.positional.size();
  if (count > arguments.size()) return false;
  for (size_t i = 0; i < count; ++i) arguments[i] = eval(*call.arguments.positional[i]);
  at_ = &expr.where;
  call_macro_body(macro->info, macro->parent(), {{arguments.data(), count}, {}});
  return true;
}

// {{ a + b + c }}: strings go straight into the output.
void Evaluator::print_sum(const Sum& sum) {
  const auto is_plain = [](const Value& v) { return v.is_string() && !v.markup(); };
  const size_t begin = out_->size();
  Value total;  // missing while all are plain strings, which are printed already
  {
    Value scratch;
    const Value& first = eval(*sum.first, scratch);
    if (is_plain(first))
      out_->append(first.text());
    else
      total = first;
  }
  for (const auto& [where, value] : sum.terms) {
    count_step();
    Value scratch;
    const Value& term = eval(*value, scratch);
    at_ = &where;
    if (total.is_missing() && is_plain(term)) {
      out_->append(term.text());
      check_string_size(out_->size());
      continue;
    }
    if (total.is_missing()) {
      total = make_string(std::string_view(*out_).substr(begin));
      out_->resize(begin);
    }
    total = add(std::move(total), term);
  }
  if (!total.is_missing()) print(total);
}

void Evaluator::run_call_block(const CallBlock& node) {
  if (!node.call) {  // a generation tag
    call_macro_body(node.caller, frame_, {});
    return;
  }
  const Value caller(new Macro(node.caller, frame_));
  const Value result = call_with(static_cast<const Call&>(*node.call), &caller);
  at_ = &node.where;
  print(result);
}

Value Evaluator::run_block(const Block& block) {
  const DepthGuard guard;
  Frame* parent = frame_;
  while (parent->parent != nullptr) parent = parent->parent;
  const Activation activation(*this, block.function, parent);
  Capture capture(*this);
  enter(block.function.scope);
  run(block.body);
  return make_string(capture.take(), autoescape_);
}

Value Evaluator::call_macro(const MacroInfo& macro, Frame* parent, const Arguments& arguments) {
  Capture capture(*this);
  call_macro_body(macro, parent, arguments);
  return make_string(capture.take(), autoescape_);
}

void Evaluator::call_macro_body(const MacroInfo& macro, Frame* parent, const Arguments& arguments) {
  const DepthGuard guard;
  const Activation activation(*this, macro.function, parent);
  enter(macro.function.scope);
  const size_t given = std::min(macro.parameters.size(), arguments.positional.size());
  for (size_t i = 0; i < given; ++i) frame_->slots[macro.parameters[i].slot] = arguments.positional[i];
  bind_macro_arguments(macro, arguments);
  run(macro.body);
}

// The positional arguments stand in the parameters' slots already.
void Evaluator::bind_macro_arguments(const MacroInfo& macro, const Arguments& arguments) {
  const size_t count = macro.parameters.size();
  Value* slots = frame_->slots;
  Value caller, others;
  for (const Keyword& keyword : arguments.keywords) {
    size_t i = arguments.positional.size();
    while (i < count && macro.parameters[i].name != keyword.name.text()) ++i;
    if (i < count) {
      slots[macro.parameters[i].slot] = keyword.value;
    } else if (macro.takes_caller && keyword.name.text() == "caller") {
      caller = keyword.value;
    } else {
      if (others.is_missing()) others = Value(new Dict);
      others.dict().set(keyword.name, keyword.value);
    }
  }
  if (macro.takes_caller)
    slots[macro.caller_slot] =
        caller.is_missing() || caller.is_none() ? make_undefined_hint("No caller defined") : caller;
  if (macro.takes_kwargs)
    slots[macro.kwargs_slot] = others.is_missing() ? Value(new Dict) : others;
  else if (!others.is_missing())
    fail_keywords(macro, others.dict());
  if (macro.takes_varargs) {
    const size_t used = std::min(count, arguments.positional.size());
    slots[macro.varargs_slot] =
        make_tuple({arguments.positional.begin() + ptrdiff_t(used), arguments.positional.end()});
  } else if (arguments.positional.size() > count) {
    fail_type("macro '" + macro.name + "' takes not more than " + std::to_string(count) + " argument(s)");
  }
  for (const Parameter& parameter : macro.parameters) {
    Value& slot = slots[parameter.slot];
    if (slot.is_missing()) slot = parameter.default_value ? eval(*parameter.default_value) : parameter.undefined;
  }
}

}  // namespace chorus::jinja
