#pragma once

#include "chat/ast.h"

namespace chorus::jinja {

/// Jinja2 evaluates what is printed and constant when it compiles the template, in ways that differ from how it
/// runs: a slice of what has none is an Undefined there, not an error. Marks such slices of an expression that is
/// printed.
void mark_folded_slices(Expr& printed);

}  // namespace chorus::jinja
