#include "chat/callables.h"

#include <algorithm>

#include "chat/activation.h"
#include "chat/failure.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

class Callable : public Opaque {
 public:
  Callable(std::string_view name, Value self, Function function)
      : name_(name), self_(std::move(self)), function_(function) {}
  std::string type_name() const override { return self_.is_missing() ? "function" : "method"; }
  std::string repr() const override { return "<function " + name_ + ">"; }
  bool callable() const override { return true; }
  Value call(Evaluator& evaluator, const Arguments& arguments) override {
    return function_(evaluator, self_, arguments);
  }

 private:
  std::string name_;
  Value self_;
  Function function_;
};

class BlockReference : public Opaque {
 public:
  explicit BlockReference(const Block& block) : block_(block) {}
  std::string type_name() const override { return "BlockReference"; }
  bool callable() const override { return true; }
  Value call(Evaluator& evaluator, const Arguments&) override { return evaluator.run_block(block_); }

 private:
  const Block& block_;
};

class Self : public Opaque {
 public:
  explicit Self(const TemplateAst& ast) : ast_(ast) {}
  std::string type_name() const override { return "TemplateReference"; }
  std::string repr() const override { return "<TemplateReference None>"; }
  Value attribute(Evaluator&, std::string_view name) override {
    for (const Block* block : ast_.blocks)
      if (block->name == name) return Value(new BlockReference(*block));
    return {};
  }

 private:
  const TemplateAst& ast_;
};

}  // namespace

Value make_callable(std::string_view name, Value self, Function function) {
  return Value(new Callable(name, std::move(self), function));
}

Value make_self(const TemplateAst& ast) {
  return Value(new Self(ast));
}

Macro* as_macro(const Value& value) {
  return value.is(Type::opaque) ? dynamic_cast<Macro*>(&value.opaque()) : nullptr;
}

Value Macro::call(Evaluator& evaluator, const Arguments& arguments) {
  return evaluator.call_macro(info, parent_, arguments);
}

Value Macro::attribute(Evaluator&, std::string_view name) {
  if (name == "name") return info.anonymous ? Value::none() : make_string(info.name);
  if (name == "arguments") {
    Values names;
    for (const Parameter& parameter : info.parameters) names.push_back(parameter.name_value);
    return make_tuple(std::move(names));
  }
  if (name == "catch_kwargs") return Value(info.takes_kwargs);
  if (name == "catch_varargs") return Value(info.takes_varargs);
  if (name == "caller") return Value(info.takes_caller || info.explicit_caller);
  if (name == "explicit_caller") return Value(info.explicit_caller);
  return {};
}

BoundArguments::BoundArguments(std::string_view function, const Arguments& arguments,
                               std::initializer_list<std::string_view> names, size_t required) {
  const auto call = [&] { return std::string(function) + "()"; };
  if (arguments.positional.size() > names.size())
    fail_type(call() + " takes at most " + std::to_string(names.size()) + " arguments (" +
              std::to_string(arguments.positional.size()) + " given)");
  std::copy(arguments.positional.begin(), arguments.positional.end(), values_);
  for (const Keyword& keyword : arguments.keywords) {
    const auto* found = std::find(names.begin(), names.end(), keyword.name.text());
    if (found == names.end())
      fail_type(call() + " got an unexpected keyword argument '" + std::string(keyword.name.text()) + "'");
    Value& value = values_[found - names.begin()];
    if (!value.is_missing()) fail_type(call() + " got multiple values for argument '" + std::string(*found) + "'");
    value = keyword.value;
  }
  for (size_t i = 0; i < required; ++i)
    if (values_[i].is_missing())
      fail_type(call() + " missing 1 required positional argument: '" + std::string(names.begin()[i]) + "'");
}

bool BoundArguments::flag(size_t i, bool otherwise) const {
  return given(i) ? truthy(values_[i]) : otherwise;
}
int64_t BoundArguments::integer(size_t i, int64_t otherwise) const {
  return given(i) ? to_index(values_[i]) : otherwise;
}
std::string BoundArguments::text(size_t i, std::string_view otherwise) const {
  return given(i) ? to_text(values_[i]) : std::string(otherwise);
}

}  // namespace chorus::jinja
