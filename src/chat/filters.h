#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "chat/evaluator.h"

namespace chorus::jinja {

using FilterFunction = Value (*)(Evaluator&, const Value& input, const Arguments& arguments);

struct Filter {
  std::string_view name;
  FilterFunction run;
};

/// Jinja2's filters and transformers' tojson. Null where there is none of that name.
const Filter* find_filter(std::string_view name);

// The parts of the table, one per file.
std::span<const Filter> text_filters();
std::span<const Filter> html_filters();
std::span<const Filter> number_filters();
std::span<const Filter> sequence_filters();
std::span<const Filter> selection_filters();

/// soft_str: a string as it is, anything else as str() gives it.
Value soft_string(const Value& value);

/// A generator: `next` gives the elements one by one, missing at the end. It is consumed once, as Python's are.
Value make_generator(std::function<Value()> next);

/// make_attrgetter: "a.b.0" or a number, looked up step by step; None gives the item itself. Strings are lowered
/// if `ignore_case`; `otherwise` (if not missing or None) stands in for undefined values.
class AttributeGetter {
 public:
  AttributeGetter(const Value& attribute, bool ignore_case = false, Value otherwise = {});
  Value operator()(Evaluator& evaluator, const Value& item) const;

 private:
  Values steps_;
  bool ignore_case_;
  Value otherwise_;
};

/// json.dumps(value, ensure_ascii=False, ...) with the arguments that templates may give.
Value filter_tojson(Evaluator& evaluator, const Value& value, const Arguments& arguments);

}  // namespace chorus::jinja
