#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/ast.h"
#include "chat/clock.h"
#include "chat/limits.h"
#include "chat/value.h"

namespace chorus::jinja {

/// The variables of a running function, and the frame of the function around it.
struct Frame {
  Value* slots = nullptr;
  Frame* parent = nullptr;
};

enum class Flow : uint8_t { next, break_, continue_ };

class Cursor;

/// Renders a bound template once. Expressions are in evaluate_expression.cpp, those that take arguments in
/// evaluate_call.cpp, statements in evaluate_statement.cpp, macros and blocks in evaluate_macro.cpp.
class Evaluator {
 public:
  /// `context` are the values of ast.context_names, missing where the caller gave none; `now` null = the clock's.
  Evaluator(const TemplateAst& ast, Values context, const LocalTime* now);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  std::string render();
  Position position() const { return at_ == nullptr ? Position{} : *at_; }

  // ---- for filters, methods and callables

  Value call(const Value& callee, const Arguments& arguments);
  /// value.name and value[name], in the order of Jinja2's environment.getattr.
  Value get_attribute(const Value& value, const Value& name);
  /// value[index], then value.index, as environment.getitem.
  Value get_item(const Value& value, const Value& index);
  Value call_macro(const MacroInfo& macro, Frame* parent, const Arguments& arguments);
  Value run_block(const Block& block);
  Value run_recursive_loop(const For& node, const Value& iterable, int depth, Frame* parent);
  bool condition_holds(const For& node, Frame& frame, const Value& item);
  void enter_condition(const For& node, Frame& frame);
  Value escape_if_needed(Value text) const;
  /// Keeps an object that could be part of a cycle until the rendering ends, and then takes it apart.
  void keep(const Value& object) { kept_.push_back(object); }
  /// The time of the rendering: the same wherever the template asks.
  const LocalTime& now();
  bool autoescape() const { return autoescape_; }
  const TemplateAst& ast() const { return ast_; }

 private:
  friend class Activation;
  friend class Capture;

  void count_step() {
    if (--budget_.steps_left < 0) fail_limit("steps", budget_.limits.steps);
  }

  // ---- expressions: the result is a reference to a constant, a variable, a part of one, or `scratch`
  const Value& eval(const Expr& expr, Value& scratch);
  Value eval(const Expr& expr);
  bool test(const Expr& expr);
  Value eval_compound(const Expr& expr);
  const Value& eval_name(const Name& name) {
    const Value& value = variable(name.variable);
    return value.is_missing() ? name.undefined : value;
  }
  Value eval_display(const Expr& expr);
  Value eval_concat(const Sequence& expr);
  const Value& eval_attribute(const Attribute& expr, Value& scratch);
  const Value& eval_attribute_of(const Value& operand, const Attribute& expr, Value& scratch);
  const Value& eval_item(const Item& expr, Value& scratch);
  static const Value& element(const Value& owner, const Value& found, Value& scratch);
  Value eval_slice(const Value& value, const Slice& slice, bool folded);
  Value eval_call(const Call& expr);
  Value eval_sum(const Sum& expr);
  Value eval_binary(const Binary& expr);
  bool eval_compare(const Compare& expr);
  Value eval_filter(const FilterCall& expr, const Value* text = nullptr);
  bool eval_test(const TestCall& expr);
  Value eval_conditional(const Conditional& expr);
  template <typename Use>
  Value with_arguments(const CallArguments& arguments, const Value* caller, Use use);
  template <typename Use>
  Value with_all_arguments(const CallArguments& arguments, const Value* caller, Use use);
  Value call_with(const Call& call, const Value* caller);

  // ---- statements
  Flow run(const Body& body);
  Flow run(const Statement& statement);
  void run_output(const Output& node);
  bool print_macro_call(const Expr& expr);
  void print_sum(const Sum& sum);
  void print(const Value& value);
  Flow run_if(const If& node);
  Flow run_for(const For& node);
  Flow run_loop(const For& node, const Value& iterable, int depth, bool is_recursive);
  Flow run_loop_body(const For& node, bool& stop, bool& ended);
  void run_set(const Set& node);
  void check_namespaces(const Target& target);
  Flow run_set_block(const SetBlock& node);
  void run_call_block(const CallBlock& node);
  Flow run_filter_block(const FilterBlock& node);
  Flow run_with(const With& node);
  Flow run_autoescape(const Autoescape& node);
  void enter(const Scope& scope);
  void leave(const Scope& scope);
  void assign(const Target& target, const Value& value);
  void unpack(const Target& target, const Value& value);
  Value& variable(const Variable& variable) {
    if (variable.in_context) return context_[variable.slot];
    Frame* frame = frame_;
    for (uint16_t i = 0; i < variable.hops; ++i) frame = frame->parent;
    return frame->slots[variable.slot];
  }
  void call_macro_body(const MacroInfo& macro, Frame* parent, const Arguments& arguments);
  void bind_macro_arguments(const MacroInfo& macro, const Arguments& arguments);

  const TemplateAst& ast_;
  Values context_;
  std::optional<LocalTime> now_;
  Budget& budget_;
  Frame* frame_ = nullptr;
  std::string* out_ = nullptr;
  const Position* at_ = nullptr;
  bool autoescape_ = false;
  Values kept_;
  struct KeptFrame;
  std::vector<std::unique_ptr<KeptFrame>, PoolAllocator<std::unique_ptr<KeptFrame>>> kept_frames_;
};

}  // namespace chorus::jinja
