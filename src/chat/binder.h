#pragma once

#include "chat/ast.h"

namespace chorus::jinja {

/// Decides where every name of the template lives and checks what can be checked before rendering: unknown filters
/// and tests outside of conditions, break and continue outside of loops, assignments to `loop`.
///
/// Jinja2's rules: a for body, a macro, a with, set, filter or call block has its own variables; `if` has not.
/// Assigning a name in such a scope makes a variable of the scope, which begins as a copy of the outer one; a name
/// that no scope around assigns is looked up in the variables of the caller. Throws Cause::syntax.
void bind(TemplateAst& ast);

}  // namespace chorus::jinja
