#include "chat/free_names.h"

#include "chat/walk.h"

namespace chorus::jinja {

void FreeNames::visit(const Body& body) {
  for (const auto& statement : body) visit(*statement);
}

void FreeNames::visit(const Target& target) {
  if (target.kind == Target::Kind::name) store(target.name);
  for (const Target& part : target.parts) visit(part);
}

void FreeNames::visit(const MacroInfo& macro) {
  for (const Parameter& parameter : macro.parameters) store(parameter.name);
  for (const Parameter& parameter : macro.parameters) visit(parameter.default_value.get());
  visit(macro.body);
}

void FreeNames::visit(const Expr* expr) {
  if (expr == nullptr) return;
  if (expr->kind == ExprKind::name) return load(static_cast<const Name&>(*expr).name);
  for_each_child(*expr, [this](const Expr* child) { visit(child); });
}

void FreeNames::visit(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::output:
      for (const auto& part : static_cast<const Output&>(statement).parts) visit(part.get());
      return;
    case StatementKind::if_: {
      const auto& node = static_cast<const If&>(statement);
      for (const auto& [condition, body] : node.branches) {
        visit(condition.get());
        visit(body);
      }
      return visit(node.otherwise);
    }
    case StatementKind::for_: {
      const auto& node = static_cast<const For&>(statement);
      visit(node.target);
      visit(node.iterable.get());
      visit(node.body);
      visit(node.otherwise);
      return visit(node.condition.get());
    }
    case StatementKind::set: {
      const auto& node = static_cast<const Set&>(statement);
      visit(node.target);
      return visit(node.value.get());
    }
    case StatementKind::set_block: {
      const auto& node = static_cast<const SetBlock&>(statement);
      visit(node.target);
      visit(node.filter.get());
      return visit(node.body);
    }
    case StatementKind::macro:
      return visit(static_cast<const MacroStatement&>(statement).macro);
    case StatementKind::call_block: {
      const auto& node = static_cast<const CallBlock&>(statement);
      visit(node.call.get());
      return visit(node.caller);
    }
    case StatementKind::filter_block:
      visit(static_cast<const FilterBlock&>(statement).body);
      return visit(static_cast<const FilterBlock&>(statement).filter.get());
    case StatementKind::with: {
      const auto& node = static_cast<const With&>(statement);
      for (const auto& [target, value] : node.assignments) visit(target);
      for (const auto& [target, value] : node.assignments) visit(value.get());
      return visit(node.body);
    }
    case StatementKind::autoescape:
      visit(static_cast<const Autoescape&>(statement).enabled.get());
      return visit(static_cast<const Autoescape&>(statement).body);
    case StatementKind::load:
      return visit(static_cast<const Load&>(statement).template_name.get());
    case StatementKind::block:
    case StatementKind::break_:
    case StatementKind::continue_:
      return;
  }
}

namespace {

bool assigns_loop(const Target& target) {
  if (target.kind == Target::Kind::name) return target.name == "loop";
  return std::any_of(target.parts.begin(), target.parts.end(), assigns_loop);
}

bool assigns_loop(const Body& body) {
  return std::any_of(body.begin(), body.end(),
                     [](const auto& statement) { return jinja::assigns_loop(*statement); });
}

}  // namespace

bool assigns_loop(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::if_: {
      const auto& node = static_cast<const If&>(statement);
      return assigns_loop(node.otherwise) || std::any_of(node.branches.begin(), node.branches.end(),
                                                         [](const auto& b) { return assigns_loop(b.second); });
    }
    case StatementKind::for_: {
      const auto& node = static_cast<const For&>(statement);
      return assigns_loop(node.target) || assigns_loop(node.body) || assigns_loop(node.otherwise);
    }
    case StatementKind::set:
      return assigns_loop(static_cast<const Set&>(statement).target);
    case StatementKind::set_block:
      return assigns_loop(static_cast<const SetBlock&>(statement).target) ||
             assigns_loop(static_cast<const SetBlock&>(statement).body);
    case StatementKind::macro:
      return assigns_loop(static_cast<const MacroStatement&>(statement).macro.body);
    case StatementKind::call_block:
      return assigns_loop(static_cast<const CallBlock&>(statement).caller.body);
    case StatementKind::filter_block:
      return assigns_loop(static_cast<const FilterBlock&>(statement).body);
    case StatementKind::with:
      return assigns_loop(static_cast<const With&>(statement).body);
    case StatementKind::autoescape:
      return assigns_loop(static_cast<const Autoescape&>(statement).body);
    default:
      return false;
  }
}

}  // namespace chorus::jinja
