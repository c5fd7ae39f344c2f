#include "chat/template.h"

#include "chat/ast.h"
#include "chat/binder.h"
#include "chat/callables.h"
#include "chat/evaluator.h"
#include "chat/lexer.h"
#include "chat/parser.h"
#include "chorus/error.h"

namespace chorus::jinja {
namespace {

constexpr size_t max_source_bytes = size_t(4) << 20;

// Gives this thread fresh limits for the length of a rendering.
class BudgetScope {
 public:
  explicit BudgetScope(const Limits& limits) : outer_(budget()) {
    budget() = {limits, limits.steps, 0, 0, static_cast<const char*>(__builtin_frame_address(0))};
  }
  ~BudgetScope() { budget() = outer_; }
  BudgetScope(const BudgetScope&) = delete;
  BudgetScope& operator=(const BudgetScope&) = delete;

 private:
  Budget outer_;
};

const char* kind_of(Cause cause) {
  switch (cause) {
    case Cause::syntax:
      return "syntax error";
    case Cause::undefined:
      return "undefined value";
    case Cause::type:
      return "type error";
    case Cause::value:
      return "value error";
    case Cause::lookup:
      return "look-up error";
    case Cause::overflow:
      return "overflow";
    case Cause::security:
      return "forbidden by the sandbox";
    case Cause::raised:
      return "raised by the template";
    case Cause::limit:
      return "limit of the sandbox";
    case Cause::other:
      break;
  }
  return "error";
}

Error to_error(const Failure& failure, const std::string& name, Position where) {
  Error error(Fault::template_, failure.message);
  error.with("kind", kind_of(failure.cause)).with("template", name);
  if (where.line > 0) error.with("line", where.line).with("column", where.column);
  return error;
}

using Variables = std::span<const std::pair<std::string_view, const Json*>>;

// Only the variables that the template names are turned into values.
Values context_of(const TemplateAst& ast, Variables variables) {
  Values context = ast.context_globals;
  for (const auto& [name, json] : variables)
    if (const auto it = ast.context_slots.find(name); it != ast.context_slots.end())
      context[it->second] = from_json(*json);
  return context;
}

}  // namespace

Template::Template(std::string source, std::string name)
    : source_(std::move(source)),
      name_(std::move(name)),
      constants_(std::make_unique<FrozenObjects>()),
      ast_(std::make_unique<TemplateAst>()) {
  const BudgetScope scope({.steps = INT64_MAX});
  try {
    if (source_.size() > max_source_bytes) fail(Cause::limit, "the template is longer than 4 MiB");
    {
      const FrozenObjects::Scope constants(*constants_);
      ast_->body = Parser(tokenize(source_)).parse_template();
    }
    bind(*ast_);
    for (const std::string& variable : ast_->context_names) {
      ast_->context_slots.emplace(variable, ast_->context_globals.size());
      ast_->context_globals.push_back(global_named(variable));
    }
  } catch (const Failure& failure) {
    throw to_error(failure, name_, failure.where);
  }
}

Template::~Template() = default;

std::string Template::render(std::span<const std::pair<std::string_view, const Json*>> variables,
                             const LocalTime* now, const Limits& limits) const {
  const BudgetScope scope(limits);
  try {
    Evaluator evaluator(*ast_, context_of(*ast_, variables), now);
    try {
      return evaluator.render();
    } catch (const Failure& failure) {
      throw to_error(failure, name_, failure.where.line > 0 ? failure.where : evaluator.position());
    }
  } catch (const Failure& failure) {  // in the variables
    throw to_error(failure, name_, failure.where);
  }
}

}  // namespace chorus::jinja
