#include "chat/binder.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <unordered_map>

#include "chat/free_names.h"
#include "chat/walk.h"

namespace chorus::jinja {
namespace {

struct Function {
  FunctionInfo* info;
  Function* parent;
  int loops = 0;  // open for statements, to which break and continue belong
  std::map<std::pair<int, std::string>, uint16_t> slots;  // by level and name
};

// The variables of one scope while the template is bound.
struct ScopeNames {
  ScopeNames* parent = nullptr;
  Function* function = nullptr;
  int level = 0;
  struct Entry {
    uint16_t slot;
    enum class Start : uint8_t { parameter, missing, context, outer } start;
  };
  std::unordered_map<std::string, Entry> entries;
  std::vector<std::string> assigned_order;  // names, in the order of their first assignment here
  std::unordered_map<std::string, bool> assigned;
};

struct Found {
  ScopeNames* scope = nullptr;
  ScopeNames::Entry* entry = nullptr;
};

Found find(ScopeNames* scope, const std::string& name) {
  for (; scope != nullptr; scope = scope->parent)
    if (const auto it = scope->entries.find(name); it != scope->entries.end()) return {scope, &it->second};
  return {};
}

class Binder {
 public:
  explicit Binder(TemplateAst& ast) : ast_(ast) {}
  void run();

 private:
  ScopeNames& open_scope(Function* function);
  void close_scope(Scope& scope);
  uint16_t slot_of(ScopeNames& scope, const std::string& name);

  // Declaring: what the names of a scope are, before anything inside is bound.
  void declare_load(const std::string& name);
  void declare_store(const std::string& name);
  uint16_t declare_parameter(const std::string& name);
  void declare_target(const Target& target, bool as_parameter = false);
  void declare(const Expr* expr);
  void declare(const Body& body);
  void declare(const Statement& statement);
  void declare_if(const If& node);
  void declare(const MacroInfo& macro);

  // Binding: giving every name its place, scope by scope.
  Variable resolve(const std::string& name);
  void bind(Expr* expr, bool soft);
  void bind(Target& target);
  void bind(Body& body, bool soft);
  void bind(Statement& statement, bool soft);
  void bind(For& node, bool soft);
  void bind_loop_body(For& node, Function& function);
  void bind_macro(MacroInfo& macro);
  void bind_block(Block& node);
  void bind_set_block(SetBlock& node);
  void bind_with(With& node, bool soft);
  void bind_in_scope(Scope& scope, Body& body, Expr* declared, Expr* bound);
  uint16_t context_slot(const std::string& name);

  TemplateAst& ast_;
  std::deque<Function> functions_;
  std::deque<ScopeNames> scopes_;
  ScopeNames* scope_ = nullptr;
  ScopeNames* root_scope_ = nullptr;
  std::unordered_map<std::string, uint16_t> context_slots_;
};

uint16_t Binder::context_slot(const std::string& name) {
  const auto [it, is_new] = context_slots_.try_emplace(name, uint16_t(ast_.context_names.size()));
  if (is_new) {
    if (ast_.context_names.size() >= std::numeric_limits<uint16_t>::max())
      fail(Cause::syntax, "the template uses too many names");
    ast_.context_names.push_back(name);
  }
  return it->second;
}

ScopeNames& Binder::open_scope(Function* function) {
  const int level = scope_ == nullptr ? 0 : scope_->level + 1;
  scope_ = &scopes_.emplace_back(ScopeNames{scope_, function, level, {}, {}, {}});
  return *scope_;
}

// Turns what was found out about the scope's names into the list that runs whenever the scope is entered.
void Binder::close_scope(Scope& result) {
  for (const auto& [name, entry] : scope_->entries) {
    switch (entry.start) {
      case ScopeNames::Entry::Start::parameter:
        break;
      case ScopeNames::Entry::Start::missing:
        result.initial.push_back({entry.slot, Initial::From::missing, {}});
        break;
      case ScopeNames::Entry::Start::context:
        if (!scope_->assigned[name]) break;  // read where it is, see resolve()
        result.initial.push_back({entry.slot, Initial::From::context, {0, context_slot(name), true}});
        break;
      case ScopeNames::Entry::Start::outer: {
        ScopeNames* inner = scope_;
        scope_ = inner->parent;
        Variable source = resolve(name);
        scope_ = inner;
        for (Function* f = inner->function; f != inner->parent->function; f = f->parent) {
          ++source.hops;
          f->parent->info->captured = true;
        }
        result.initial.push_back({entry.slot, Initial::From::outer, source});
        break;
      }
    }
  }
  scope_ = scope_->parent;
}

uint16_t Binder::slot_of(ScopeNames& scope, const std::string& name) {
  FunctionInfo& info = *scope.function->info;
  const auto [it, is_new] = scope.function->slots.try_emplace({scope.level, name}, info.slots);
  if (is_new && ++info.slots == std::numeric_limits<uint16_t>::max())
    fail(Cause::syntax, "the template uses too many variables");
  return it->second;
}

void Binder::declare_load(const std::string& name) {
  if (find(scope_, name).entry == nullptr)
    scope_->entries.emplace(name, ScopeNames::Entry{slot_of(*scope_, name), ScopeNames::Entry::Start::context});
}

void Binder::declare_store(const std::string& name) {
  if (!scope_->assigned[name]) {
    scope_->assigned[name] = true;
    scope_->assigned_order.push_back(name);
  }
  if (scope_->entries.count(name) != 0) return;
  const bool outside = find(scope_->parent, name).entry != nullptr;
  scope_->entries.emplace(
      name, ScopeNames::Entry{slot_of(*scope_, name),
                              outside ? ScopeNames::Entry::Start::outer : ScopeNames::Entry::Start::missing});
}

uint16_t Binder::declare_parameter(const std::string& name) {
  const uint16_t slot = slot_of(*scope_, name);
  scope_->entries.insert_or_assign(name, ScopeNames::Entry{slot, ScopeNames::Entry::Start::parameter});
  scope_->assigned[name] = true;
  return slot;
}

void Binder::declare_target(const Target& target, bool as_parameter) {
  if (target.kind == Target::Kind::attribute) return declare_load(target.name);
  if (target.kind == Target::Kind::name) {
    if (as_parameter)
      declare_parameter(target.name);
    else
      declare_store(target.name);
  }
  for (const Target& part : target.parts) declare_target(part, as_parameter);
}

void Binder::declare(const Expr* expr) {
  if (expr == nullptr) return;
  if (expr->kind == ExprKind::name) return declare_load(static_cast<const Name&>(*expr).name);
  for_each_child(*expr, [this](const Expr* child) { declare(child); });
}

void Binder::declare(const Body& body) {
  for (const auto& statement : body) declare(*statement);
}

// A name that only some branches assign begins with what it is outside, so that the others see that.
void Binder::declare_if(const If& node) {
  const size_t before = scope_->assigned_order.size();
  for (const auto& [condition, body] : node.branches) {
    declare(condition.get());
    declare(body);
  }
  declare(node.otherwise);
  for (size_t i = before; i < scope_->assigned_order.size(); ++i) {
    const std::string& name = scope_->assigned_order[i];
    scope_->entries.at(name).start = find(scope_->parent, name).entry != nullptr
                                         ? ScopeNames::Entry::Start::outer
                                         : ScopeNames::Entry::Start::context;
  }
}

// What a statement means to the scope that it stands in; the inside of those with a scope of their own comes
// later.
void Binder::declare(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::output:
      for (const auto& part : static_cast<const Output&>(statement).parts) declare(part.get());
      return;
    case StatementKind::if_:
      return declare_if(static_cast<const If&>(statement));
    case StatementKind::for_:
      return declare(static_cast<const For&>(statement).iterable.get());
    case StatementKind::set:
      declare(static_cast<const Set&>(statement).value.get());
      return declare_target(static_cast<const Set&>(statement).target);
    case StatementKind::set_block:
      return declare_target(static_cast<const SetBlock&>(statement).target);
    case StatementKind::macro:
      return declare_store(static_cast<const MacroStatement&>(statement).macro.name);
    case StatementKind::call_block:
      return declare(static_cast<const CallBlock&>(statement).call.get());
    case StatementKind::filter_block:
      return declare(static_cast<const FilterBlock&>(statement).filter.get());
    case StatementKind::with:
      for (const auto& [target, value] : static_cast<const With&>(statement).assignments) declare(value.get());
      return;
    case StatementKind::load:
      declare(static_cast<const Load&>(statement).template_name.get());
      for (const std::string& name : static_cast<const Load&>(statement).targets) declare_store(name);
      return;
    case StatementKind::autoescape:
    case StatementKind::block:
    case StatementKind::break_:
    case StatementKind::continue_:
      return;
  }
}

void Binder::run() {
  Function& root = functions_.emplace_back(Function{&ast_.root, nullptr, 0, {}});
  ast_.root.captured = true;
  root_scope_ = &open_scope(&root);
  FreeNames self({"self"});
  self.visit(ast_.body);
  if (self.found("self")) {
    ast_.uses_self = true;
    ast_.self_slot = declare_parameter("self");
  }
  declare(ast_.body);
  bind(ast_.body, false);
  close_scope(ast_.root.scope);
}

Variable Binder::resolve(const std::string& name) {
  const Found found = find(scope_, name);
  if (found.entry == nullptr) return {0, context_slot(name), true};
  // Nobody assigns it: read the caller's variable itself.
  if (found.entry->start == ScopeNames::Entry::Start::context && !found.scope->assigned[name])
    return {0, context_slot(name), true};
  Variable variable{0, found.entry->slot, false};
  for (Function* f = scope_->function; f != found.scope->function; f = f->parent) {
    ++variable.hops;
    f->parent->info->captured = true;
  }
  return variable;
}

void Binder::bind(Expr* expr, bool soft) {
  if (expr == nullptr) return;
  if (expr->kind == ExprKind::name) {
    auto& name = static_cast<Name&>(*expr);
    name.variable = resolve(name.name);
    return;
  }
  if (expr->kind == ExprKind::filter && !soft && static_cast<FilterCall&>(*expr).filter == nullptr)
    throw Failure{Cause::syntax, "No filter named '" + static_cast<FilterCall&>(*expr).name + "'.", expr->where};
  if (expr->kind == ExprKind::test && !soft && static_cast<TestCall&>(*expr).test == nullptr)
    throw Failure{Cause::syntax, "No test named '" + static_cast<TestCall&>(*expr).name + "'.", expr->where};
  const bool inner_soft = soft || expr->kind == ExprKind::conditional;
  for_each_child(*expr, [&](const Expr* child) { bind(const_cast<Expr*>(child), inner_soft); });
}

void Binder::bind(Target& target) {
  if (target.kind == Target::Kind::tuple)
    for (Target& part : target.parts) bind(part);
  else
    target.variable = resolve(target.name);
}

void Binder::bind(Body& body, bool soft) {
  for (const auto& statement : body) bind(*statement, soft);
}

void Binder::bind(Statement& statement, bool soft) {
  switch (statement.kind) {
    case StatementKind::output:
      for (const auto& part : static_cast<Output&>(statement).parts) bind(part.get(), soft);
      return;
    case StatementKind::if_: {
      auto& node = static_cast<If&>(statement);
      for (auto& [condition, body] : node.branches) {
        bind(condition.get(), true);
        bind(body, true);
      }
      return bind(node.otherwise, true);
    }
    case StatementKind::for_:
      return bind(static_cast<For&>(statement), soft);
    case StatementKind::set:
      bind(static_cast<Set&>(statement).value.get(), soft);
      return bind(static_cast<Set&>(statement).target);
    case StatementKind::set_block:
      return bind_set_block(static_cast<SetBlock&>(statement));
    case StatementKind::macro:
      bind_macro(static_cast<MacroStatement&>(statement).macro);
      static_cast<MacroStatement&>(statement).variable =
          resolve(static_cast<MacroStatement&>(statement).macro.name);
      return;
    case StatementKind::call_block:
      bind_macro(static_cast<CallBlock&>(statement).caller);
      return bind(static_cast<CallBlock&>(statement).call.get(), soft);
    case StatementKind::filter_block: {
      auto& node = static_cast<FilterBlock&>(statement);
      return bind_in_scope(node.scope, node.body, node.filter.get(), node.filter.get());
    }
    case StatementKind::with:
      return bind_with(static_cast<With&>(statement), soft);
    case StatementKind::block:
      return bind_block(static_cast<Block&>(statement));
    case StatementKind::autoescape: {
      auto& node = static_cast<Autoescape&>(statement);
      return bind_in_scope(node.scope, node.body, node.enabled.get(), node.enabled.get());
    }
    case StatementKind::load:
      return bind(static_cast<Load&>(statement).template_name.get(), soft);
    case StatementKind::break_:
    case StatementKind::continue_:
      if (scope_->function->loops == 0)
        throw Failure{
            Cause::syntax,
            statement.kind == StatementKind::break_ ? "'break' outside loop" : "'continue' not properly in loop",
            statement.where};
      return;
  }
}

void Binder::bind_in_scope(Scope& scope, Body& body, Expr* declared, Expr* bound) {
  open_scope(scope_->function);
  declare(declared);
  declare(body);
  bind(body, false);
  bind(bound, false);
  close_scope(scope);
}

void Binder::bind_set_block(SetBlock& node) {
  bind(node.target);
  bind(node.filter.get(), false);
  bind_in_scope(node.scope, node.body, nullptr, nullptr);
}

void Binder::bind_with(With& node, bool soft) {
  for (auto& [target, value] : node.assignments) bind(value.get(), soft);
  open_scope(scope_->function);
  for (const auto& [target, value] : node.assignments) declare_target(target, true);
  declare(node.body);
  for (auto& [target, value] : node.assignments) bind(target);
  bind(node.body, false);
  close_scope(node.scope);
}

void Binder::bind(For& node, bool soft) {
  bind(node.iterable.get(), soft);
  Function* function = scope_->function;
  if (node.condition) {
    Function& condition = functions_.emplace_back(Function{&node.condition_function, function, 0, {}});
    open_scope(&condition);
    node.condition_target = node.target;
    declare_target(node.condition_target, true);
    declare(node.condition.get());
    bind(node.condition_target);
    bind(node.condition.get(), false);
    close_scope(node.condition_function.scope);
  }
  if (node.recursive) {
    function->info->captured = true;
    function = &functions_.emplace_back(Function{&node.recursive_function, function, 0, {}});
  }
  bind_loop_body(node, *function);
}

void Binder::bind_loop_body(For& node, Function& function) {
  FreeNames loop({"loop"});
  loop.visit(node.body);
  node.uses_loop = node.recursive || loop.found("loop");
  if (node.uses_loop && assigns_loop(node))
    throw Failure{Cause::syntax, "Can't assign to special loop variable in for-loop", node.where};

  open_scope(&function);
  if (node.uses_loop) node.loop = {0, declare_parameter("loop"), false};
  declare_target(node.target, true);
  declare(node.body);
  bind(node.target);
  ++function.loops;
  bind(node.body, false);
  --function.loops;
  close_scope(node.body_scope);

  open_scope(&function);
  declare(node.otherwise);
  bind(node.otherwise, false);
  close_scope(node.otherwise_scope);
}

void Binder::declare(const MacroInfo& macro) {
  for (const Parameter& parameter : macro.parameters) declare_parameter(parameter.name);
  for (const Parameter& parameter : macro.parameters) declare(parameter.default_value.get());
  declare(macro.body);
}

void Binder::bind_macro(MacroInfo& macro) {
  scope_->function->info->captured = true;
  Function& function = functions_.emplace_back(Function{&macro.function, scope_->function, 0, {}});
  open_scope(&function);
  FreeNames special({"caller", "kwargs", "varargs"});
  special.visit(macro.body);
  for (const Parameter& parameter : macro.parameters) {
    if (parameter.name != "caller") continue;
    macro.explicit_caller = true;
    if (!parameter.default_value)
      throw Failure{
          Cause::syntax,
          "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a "
          "default.",
          parameter.where};
  }
  const auto is_parameter = [&](std::string_view name) {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                       [&](const Parameter& p) { return p.name == name; });
  };
  macro.takes_caller = special.found("caller") && !macro.explicit_caller;
  macro.takes_kwargs = special.found("kwargs") && !is_parameter("kwargs");
  macro.takes_varargs = special.found("varargs") && !is_parameter("varargs");
  if (macro.takes_caller) macro.caller_slot = declare_parameter("caller");
  if (macro.takes_kwargs) macro.kwargs_slot = declare_parameter("kwargs");
  if (macro.takes_varargs) macro.varargs_slot = declare_parameter("varargs");
  declare(macro);
  for (Parameter& parameter : macro.parameters) {
    parameter.slot = scope_->entries.at(parameter.name).slot;
    bind(parameter.default_value.get(), false);
  }
  bind(macro.body, false);
  close_scope(macro.function.scope);
}

// A block sees the template's own variables, not those of the loops and macros around it (but for `scoped` ones).
void Binder::bind_block(Block& node) {
  for (const Block* other : ast_.blocks)
    if (other->name == node.name)
      throw Failure{Cause::syntax, "block '" + node.name + "' defined twice", node.where};
  ast_.blocks.push_back(&node);
  ScopeNames* around = scope_;
  if (!node.scoped || scope_->function != root_scope_->function) scope_ = root_scope_;
  scope_->function->info->captured = true;
  Function& function = functions_.emplace_back(Function{&node.function, scope_->function, 0, {}});
  open_scope(&function);
  declare(node.body);
  bind(node.body, false);
  close_scope(node.function.scope);
  scope_ = around;
}

}  // namespace

void bind(TemplateAst& ast) {
  Binder(ast).run();
}

}  // namespace chorus::jinja
