#include "chat/folding.h"

#include <algorithm>
#include <string_view>

#include "chat/walk.h"

namespace chorus::jinja {
namespace {

// Filters that see the context: never evaluated early.
constexpr std::string_view contextual[] = {"map", "random", "reject", "rejectattr", "select", "selectattr"};

// There is no variable in it, and no call.
bool is_constant(const Expr& expr) {
  if (expr.kind == ExprKind::name || expr.kind == ExprKind::call) return false;
  if (expr.kind == ExprKind::filter) {
    const std::string& name = static_cast<const FilterCall&>(expr).name;
    if (std::find(std::begin(contextual), std::end(contextual), name) != std::end(contextual)) return false;
  }
  bool constant = true;
  for_each_child(expr,
                 [&](const Expr* child) { constant = constant && (child == nullptr || is_constant(*child)); });
  return constant;
}

void mark(Expr& expr) {
  if (expr.kind == ExprKind::item) static_cast<Item&>(expr).folded = true;
  for_each_child(expr, [](const Expr* child) {
    if (child != nullptr) mark(const_cast<Expr&>(*child));
  });
}

}  // namespace

void mark_folded_slices(Expr& printed) {
  if (is_constant(printed)) mark(printed);
}

}  // namespace chorus::jinja
