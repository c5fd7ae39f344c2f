#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/evaluator.h"

namespace chorus::jinja {

using Function = Value (*)(Evaluator&, const Value& self, const Arguments&);

/// A function object bound to `self` (missing for plain functions).
Value make_callable(std::string_view name, Value self, Function function);

class Macro : public Opaque {
 public:
  Macro(const MacroInfo& macro, Frame* parent) : info(macro), parent_(parent) {}
  std::string type_name() const override { return "Macro"; }
  std::string repr() const override {
    return info.anonymous ? "<Macro anonymous>" : "<Macro '" + info.name + "'>";
  }
  Value attribute(Evaluator& evaluator, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Evaluator& evaluator, const Arguments& arguments) override;
  Frame* parent() const { return parent_; }

  const MacroInfo& info;

 private:
  Frame* parent_;  // kept by the evaluator until the rendering ends
};
/// Null for everything else.
Macro* as_macro(const Value& value);

/// `self`: the template's blocks by name.
Value make_self(const TemplateAst& ast);

/// Jinja2's globals and transformers': range, dict, namespace, cycler, joiner, lipsum, raise_exception,
/// strftime_now. Missing for other names.
Value global_named(std::string_view name);

/// The arguments of a call matched to parameter names, as Python does it; parameters that were not given are
/// missing, the first `required` must be.
class BoundArguments {
 public:
  BoundArguments(std::string_view function, const Arguments& arguments,
                 std::initializer_list<std::string_view> names, size_t required = 0);
  const Value& operator[](size_t i) const { return values_[i]; }
  bool given(size_t i) const { return !values_[i].is_missing(); }
  /// With the parameter's default for what was not given.
  bool flag(size_t i, bool otherwise) const;
  int64_t integer(size_t i, int64_t otherwise) const;
  std::string text(size_t i, std::string_view otherwise) const;

 private:
  static constexpr size_t max_parameters = 8;
  Value values_[max_parameters];
};

}  // namespace chorus::jinja
