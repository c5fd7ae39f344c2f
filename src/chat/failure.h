#pragma once

#include <string>
#include <utility>

namespace chorus::jinja {

struct Position {
  int line = 0, column = 0;  // from 1; 0 = not known
};

/// What Python would have raised, as far as the difference matters: some filters turn a TypeError into a default.
enum class Cause {
  syntax,     ///< TemplateSyntaxError, when the template is parsed
  undefined,  ///< UndefinedError
  type,       ///< TypeError
  value,      ///< ValueError
  lookup,     ///< KeyError, IndexError
  overflow,   ///< OverflowError
  other,      ///< ZeroDivisionError, TemplateRuntimeError, AssertionError, ...
  security,   ///< SecurityError of the sandbox
  raised,     ///< the template called raise_exception: `message` are its own words
  limit,      ///< one of our bounds
};

/// The engine's own exception; Template turns it into a chorus::Error with the template's name and the position.
struct Failure {
  Cause cause;
  std::string message;
  Position where = {};
};

[[noreturn]] inline void fail(Cause cause, std::string message) {
  throw Failure{cause, std::move(message)};
}
[[noreturn]] inline void fail_type(std::string message) {
  fail(Cause::type, std::move(message));
}
[[noreturn]] inline void fail_value(std::string message) {
  fail(Cause::value, std::move(message));
}

}  // namespace chorus::jinja
