#include "chat/filters.h"

#include <map>

#include "chat/failure.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

class Generator : public Opaque {
 public:
  explicit Generator(std::function<Value()> next) : next_(std::move(next)) {}
  std::string type_name() const override { return "generator"; }
  std::string repr() const override { return "<generator object>"; }
  bool iterable() const override { return true; }
  Value next() override {
    if (ended_) return {};
    Value value = next_();
    ended_ = value.is_missing();
    return value;
  }

 private:
  std::function<Value()> next_;
  bool ended_ = false;
};

using Table = std::map<std::string_view, const Filter*>;

const Table& table() {
  static const Table filters = [] {
    Table all;
    for (const auto part :
         {text_filters(), html_filters(), number_filters(), sequence_filters(), selection_filters()})
      for (const Filter& filter : part) all[filter.name] = &filter;
    return all;
  }();
  return filters;
}

}  // namespace

const Filter* find_filter(std::string_view name) {
  const auto it = table().find(name);
  return it == table().end() ? nullptr : it->second;
}

Value soft_string(const Value& value) {
  return value.is_string() ? value : make_string(to_text(value));
}

Value make_generator(std::function<Value()> next) {
  return Value(new Generator(std::move(next)));
}

AttributeGetter::AttributeGetter(const Value& attribute, bool ignore_case, Value otherwise)
    : ignore_case_(ignore_case), otherwise_(std::move(otherwise)) {
  if (attribute.is_none() || attribute.is_missing()) return;
  if (!attribute.is_string()) {
    steps_.push_back(attribute);
    return;
  }
  std::string_view rest = attribute.text();
  while (true) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view step = rest.substr(0, dot);
    const bool number =
        !step.empty() && step.size() < 18 && step.find_first_not_of("0123456789") == std::string_view::npos;
    steps_.push_back(number ? Value(int64_t(std::stoll(std::string(step)))) : make_string(step));
    if (dot == rest.size()) return;
    rest.remove_prefix(dot + 1);
  }
}

Value AttributeGetter::operator()(Evaluator& evaluator, const Value& item) const {
  Value value = item;
  for (const Value& step : steps_) {
    value = evaluator.get_item(value, step);
    if (value.is(Type::undefined) && !otherwise_.is_missing() && !otherwise_.is_none()) value = otherwise_;
  }
  if (ignore_case_ && value.is_string()) return make_string(to_lower(value.text()), value.markup());
  return value;
}

}  // namespace chorus::jinja
