#include "chat/activation.h"
#include "chat/callables.h"
#include "chat/evaluator.h"
#include "chat/failure.h"
#include "chat/loop.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

constexpr size_t first_output_bytes = 1000;  // malloc is quick up to here

/// The elements of an iterable for which a loop's condition holds, tested as they are asked for.
class FilteredItems : public Opaque {
 public:
  FilteredItems(Evaluator& evaluator, const For& node, const Value& iterable, Frame* parent)
      : evaluator_(evaluator), node_(node), cursor_(iterable), slots_(node.condition_function.slots) {
    frame_ = {slots_.data(), parent};
  }
  std::string type_name() const override { return "generator"; }
  bool iterable() const override { return true; }
  Value next() override {
    if (closed_) return {};
    if (!entered_) evaluator_.enter_condition(node_, frame_);
    entered_ = true;
    for (Value item; cursor_.next(item);)
      if (evaluator_.condition_holds(node_, frame_, item)) return unpacked(node_.condition_target, item);
    return {};
  }
  void close() { closed_ = true; }

 private:
  // What a loop with a condition yields: tuples made anew of the variables that were unpacked.
  Value unpacked(const Target& target, const Value& item) const {
    if (target.kind == Target::Kind::name) return slots_[target.variable.slot];
    if (target.kind != Target::Kind::tuple) return item;
    Values parts;
    for (const Target& part : target.parts) parts.push_back(unpacked(part, item));
    return make_tuple(std::move(parts));
  }

  Evaluator& evaluator_;
  const For& node_;
  Cursor cursor_;
  Values slots_;
  Frame frame_;
  bool entered_ = false, closed_ = false;
};

/// Ends the life of a loop's condition with the loop: its frame may be gone when somebody still holds the `loop`.
struct Closer {
  FilteredItems* items;
  ~Closer() {
    if (items != nullptr) items->close();
  }
};

}  // namespace

Evaluator::Evaluator(const TemplateAst& ast, Values context, const LocalTime* now)
    : ast_(ast), context_(std::move(context)), budget_(budget()) {
  if (now != nullptr) now_ = *now;
}

const LocalTime& Evaluator::now() {
  if (!now_) now_ = LocalTime::now();
  return *now_;
}

// Takes apart what may hold itself: first everything is held here, then emptied, then dropped.
Evaluator::~Evaluator() {
  for (const Value& object : kept_) {
    if (object.is(Type::name_space))
      object.name_space().attributes.clear();
    else if (object.is(Type::opaque))
      if (auto* loop = dynamic_cast<Loop*>(&object.opaque())) loop->clear();
  }
  for (const auto& frame : kept_frames_)
    for (Value& slot : frame->slots) slot = Value();
}

std::string Evaluator::render() {
  std::string text;
  text.reserve(first_output_bytes);
  out_ = &text;
  const Activation activation(*this, ast_.root, nullptr);
  enter(ast_.root.scope);
  if (ast_.uses_self) frame_->slots[ast_.self_slot] = make_self(ast_);
  run(ast_.body);
  return text;
}

void Evaluator::enter(const Scope& scope) {
  for (const Initial& initial : scope.initial) {
    Value& slot = frame_->slots[initial.slot];
    if (initial.from == Initial::From::missing)
      slot.reset();
    else
      slot = Value(variable(initial.source));
  }
}

void Evaluator::leave(const Scope& scope) {
  for (const Initial& initial : scope.initial) frame_->slots[initial.slot].reset();
}

Flow Evaluator::run(const Body& body) {
  for (const auto& statement : body)
    if (const Flow flow = run(*statement); flow != Flow::next) return flow;
  return Flow::next;
}

Flow Evaluator::run(const Statement& statement) {
  count_step();
  switch (statement.kind) {
    case StatementKind::output:
      run_output(static_cast<const Output&>(statement));
      return Flow::next;
    case StatementKind::if_:
      return run_if(static_cast<const If&>(statement));
    case StatementKind::for_:
      return run_for(static_cast<const For&>(statement));
    case StatementKind::set:
      run_set(static_cast<const Set&>(statement));
      return Flow::next;
    case StatementKind::set_block:
      return run_set_block(static_cast<const SetBlock&>(statement));
    case StatementKind::macro: {
      const auto& node = static_cast<const MacroStatement&>(statement);
      variable(node.variable) = Value(new Macro(node.macro, frame_));
      return Flow::next;
    }
    case StatementKind::call_block:
      run_call_block(static_cast<const CallBlock&>(statement));
      return Flow::next;
    case StatementKind::filter_block:
      return run_filter_block(static_cast<const FilterBlock&>(statement));
    case StatementKind::with:
      return run_with(static_cast<const With&>(statement));
    case StatementKind::block:
      print(run_block(static_cast<const Block&>(statement)));
      return Flow::next;
    case StatementKind::autoescape:
      return run_autoescape(static_cast<const Autoescape&>(statement));
    case StatementKind::break_:
      return Flow::break_;
    case StatementKind::continue_:
      return Flow::continue_;
    case StatementKind::load:
      at_ = &statement.where;
      eval(*static_cast<const Load&>(statement).template_name);
      fail_type("no loader for this environment specified");
  }
  return Flow::next;
}

// ---- printing

void Evaluator::print(const Value& value) {
  if (value.is_string() && (!autoescape_ || value.markup()))
    out_->append(value.text());
  else if (!autoescape_)
    append_text(*out_, value);
  else if (!value.is(Type::undefined))
    out_->append(escape(value).text());
  check_string_size(out_->size());
}

void Evaluator::run_output(const Output& node) {
  for (const ExprPtr& part : node.parts) {
    if (part->kind == ExprKind::constant) {
      const Value& value = static_cast<const Constant&>(*part).value;
      if (value.is_string()) {
        out_->append(value.text());
        continue;
      }
    }
    if (!autoescape_ && part->kind == ExprKind::call && print_macro_call(*part)) continue;
    if (!autoescape_ && part->kind == ExprKind::sum) {
      print_sum(static_cast<const Sum&>(*part));
      continue;
    }
    Value scratch;
    const Value& value = eval(*part, scratch);
    at_ = &part->where;
    print(value);
  }
  check_string_size(out_->size());
}

// ---- conditions and loops

Flow Evaluator::run_if(const If& node) {
  for (const auto& [condition, body] : node.branches)
    if (test(*condition)) return run(body);
  return run(node.otherwise);
}

Flow Evaluator::run_for(const For& node) {
  const Value iterable = eval(*node.iterable);
  at_ = &node.where;
  if (node.recursive) {
    print(run_recursive_loop(node, iterable, 0, frame_));
    return Flow::next;
  }
  return run_loop(node, iterable, 0, false);
}

Value Evaluator::run_recursive_loop(const For& node, const Value& iterable, int depth, Frame* parent) {
  const DepthGuard guard;
  const Activation activation(*this, node.recursive_function, parent);
  Capture capture(*this);
  run_loop(node, iterable, depth, true);
  return make_string(capture.take(), autoescape_);
}

void Evaluator::enter_condition(const For& node, Frame& frame) {
  Frame* outer = frame_;
  frame_ = &frame;
  enter(node.condition_function.scope);
  frame_ = outer;
}

bool Evaluator::condition_holds(const For& node, Frame& frame, const Value& item) {
  struct Restore {
    Frame*& current;
    Frame* outer;
    ~Restore() { current = outer; }
  } restore{frame_, frame_};
  frame_ = &frame;
  assign(node.condition_target, item);
  return test(*node.condition);
}

// Runs the body once. Python's for-else asks whether the end of a body was ever reached.
Flow Evaluator::run_loop_body(const For& node, bool& stop, bool& ended) {
  enter(node.body_scope);
  const Flow flow = run(node.body);
  stop = flow == Flow::break_;
  ended = ended || flow == Flow::next;
  return flow;
}

Flow Evaluator::run_loop(const For& node, const Value& iterable, int depth, bool is_recursive) {
  Value source = iterable;
  Closer closer{nullptr};
  if (node.condition) {
    // A recursive loop's condition sees what is around the loop, not the loop's own frame.
    auto* filtered = new FilteredItems(*this, node, iterable, is_recursive ? frame_->parent : frame_);
    source = Value(filtered);
    closer.items = filtered;
  }
  bool stop = false, ended = false;
  if (node.uses_loop) {
    auto* loop = new Loop(source, depth, is_recursive ? &node : nullptr, is_recursive ? frame_->parent : nullptr);
    const Value loop_value(loop);
    while (!stop && loop->advance()) {
      count_step();
      variable(node.loop) = loop_value;
      at_ = &node.where;
      assign(node.target, loop->current());
      run_loop_body(node, stop, ended);
    }
    variable(node.loop) = Value();
    if (loop->references > 1) keep(loop_value);
  } else {
    Cursor cursor(source);
    for (Value item; !stop && cursor.next(item);) {
      count_step();
      at_ = &node.where;
      assign(node.target, item);
      run_loop_body(node, stop, ended);
    }
  }
  leave(node.body_scope);
  if (ended || !node.has_otherwise) return Flow::next;
  enter(node.otherwise_scope);
  const Flow flow = run(node.otherwise);
  leave(node.otherwise_scope);
  return flow;
}

// ---- assignments

void Evaluator::assign(const Target& target, const Value& value) {
  switch (target.kind) {
    case Target::Kind::name:
      variable(target.variable) = value;
      return;
    case Target::Kind::attribute: {
      Value& name_space = variable(target.variable);
      name_space.name_space().attributes.set(target.attribute, value);
      return;
    }
    case Target::Kind::tuple:
      unpack(target, value);
  }
}

void Evaluator::unpack(const Target& target, const Value& value) {
  const size_t expected = target.parts.size();
  if (value.is_sequence() && value.list().items.size() == expected) {
    const Value held = value;  // an assignment may drop the last reference to it
    for (size_t i = 0; i < expected; ++i) assign(target.parts[i], held.list().items[i]);
    return;
  }
  if (!iterable(value)) fail_type("cannot unpack non-iterable " + type_name(value) + " object");
  Cursor cursor(value);
  Values items;
  for (Value item; items.size() <= expected && cursor.next(item);) items.push_back(item);
  const std::string wanted = " (expected " + std::to_string(expected);
  if (items.size() > expected) fail_value("too many values to unpack" + wanted + ")");
  if (items.size() < expected)
    fail_value("not enough values to unpack" + wanted + ", got " + std::to_string(items.size()) + ")");
  for (size_t i = 0; i < expected; ++i) assign(target.parts[i], items[i]);
}

void Evaluator::check_namespaces(const Target& target) {
  if (target.kind == Target::Kind::attribute && !variable(target.variable).is(Type::name_space)) {
    at_ = &target.where;
    fail(Cause::other, "cannot assign attribute on non-namespace object");
  }
  for (const Target& part : target.parts) check_namespaces(part);
}

void Evaluator::run_set(const Set& node) {
  if (node.target.kind != Target::Kind::name) check_namespaces(node.target);
  Value value = eval(*node.value);
  at_ = &node.where;
  if (node.target.kind == Target::Kind::name)
    variable(node.target.variable) = std::move(value);
  else
    assign(node.target, value);
}

Flow Evaluator::run_set_block(const SetBlock& node) {
  Capture capture(*this);
  enter(node.scope);
  const Flow flow = run(node.body);
  leave(node.scope);
  if (flow != Flow::next) return flow;
  Value text = make_string(capture.take(), autoescape_);
  if (node.filter) text = eval_filter(static_cast<const FilterCall&>(*node.filter), &text);
  check_namespaces(node.target);
  at_ = &node.where;
  assign(node.target, text);
  return Flow::next;
}

Flow Evaluator::run_filter_block(const FilterBlock& node) {
  Value filtered;
  enter(node.scope);
  {
    Capture capture(*this);
    const Flow flow = run(node.body);
    if (flow != Flow::next) return flow;
    const Value text = make_string(capture.take(), autoescape_);
    filtered = eval_filter(static_cast<const FilterCall&>(*node.filter), &text);
  }
  leave(node.scope);
  at_ = &node.where;
  if (!filtered.is_string())  // Jinja2 joins it with what else is printed, unlike the value of an expression
    fail_type("expected str instance, " + type_name(filtered) + " found");
  print(filtered);
  return Flow::next;
}

Flow Evaluator::run_with(const With& node) {
  enter(node.scope);
  for (const auto& [target, value] : node.assignments) {
    const Value evaluated = eval(*value);
    at_ = &target.where;
    assign(target, evaluated);
  }
  const Flow flow = run(node.body);
  leave(node.scope);
  return flow;
}

Flow Evaluator::run_autoescape(const Autoescape& node) {
  const bool outer = autoescape_;
  enter(node.scope);
  autoescape_ = test(*node.enabled);
  const Flow flow = run(node.body);
  autoescape_ = outer;
  leave(node.scope);
  return flow;
}

}  // namespace chorus::jinja
