#pragma once

#include "chat/ast.h"

namespace chorus::jinja {

/// visit(child) for each direct operand of an expression, in the order of the source; a child may be null.
template <typename Visit>
void for_each_child(const Expr& expr, Visit visit) {
  const auto all = [&](const std::vector<ExprPtr>& items) {
    for (const ExprPtr& item : items) visit(item.get());
  };
  const auto arguments = [&](const CallArguments& a) {
    all(a.positional);
    for (const auto& [name, value] : a.keywords) visit(value.get());
    visit(a.star.get());
    visit(a.star_star.get());
  };
  switch (expr.kind) {
    case ExprKind::constant:
    case ExprKind::name:
      return;
    case ExprKind::tuple:
    case ExprKind::list:
    case ExprKind::concat:
      return all(static_cast<const Sequence&>(expr).items);
    case ExprKind::dict:
      for (const auto& [key, value] : static_cast<const DictDisplay&>(expr).items) {
        visit(key.get());
        visit(value.get());
      }
      return;
    case ExprKind::attribute:
      return visit(static_cast<const Attribute&>(expr).operand.get());
    case ExprKind::item:
      visit(static_cast<const Item&>(expr).operand.get());
      return visit(static_cast<const Item&>(expr).index.get());
    case ExprKind::slice:
      visit(static_cast<const Slice&>(expr).start.get());
      visit(static_cast<const Slice&>(expr).stop.get());
      return visit(static_cast<const Slice&>(expr).step.get());
    case ExprKind::call:
      visit(static_cast<const Call&>(expr).callee.get());
      return arguments(static_cast<const Call&>(expr).arguments);
    case ExprKind::filter:
      visit(static_cast<const FilterCall&>(expr).operand.get());
      return arguments(static_cast<const FilterCall&>(expr).arguments);
    case ExprKind::test:
      visit(static_cast<const TestCall&>(expr).operand.get());
      return arguments(static_cast<const TestCall&>(expr).arguments);
    case ExprKind::negative:
    case ExprKind::positive:
    case ExprKind::logical_not:
      return visit(static_cast<const Unary&>(expr).operand.get());
    case ExprKind::logical_and:
    case ExprKind::logical_or:
    case ExprKind::binary:
      visit(static_cast<const Binary&>(expr).left.get());
      return visit(static_cast<const Binary&>(expr).right.get());
    case ExprKind::sum:
      visit(static_cast<const Sum&>(expr).first.get());
      for (const auto& term : static_cast<const Sum&>(expr).terms) visit(term.value.get());
      return;
    case ExprKind::compare:
      visit(static_cast<const Compare&>(expr).first.get());
      for (const auto& [op, operand] : static_cast<const Compare&>(expr).links) visit(operand.get());
      return;
    case ExprKind::conditional:
      visit(static_cast<const Conditional&>(expr).condition.get());
      visit(static_cast<const Conditional&>(expr).then.get());
      return visit(static_cast<const Conditional&>(expr).otherwise.get());
  }
}

}  // namespace chorus::jinja
