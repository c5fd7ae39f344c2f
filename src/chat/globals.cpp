#include <array>

#include "chat/callables.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

Value range(Evaluator&, const Value&, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (!arguments.keywords.empty()) fail_type("range() takes no keyword arguments");
  if (given.empty()) fail_type("range expected at least 1 argument, got 0");
  if (given.size() > 3) fail_type("range expected at most 3 arguments, got " + std::to_string(given.size()));
  const int64_t start = given.size() > 1 ? to_index(given[0]) : 0;
  const int64_t stop = to_index(given[given.size() > 1 ? 1 : 0]);
  const int64_t step = given.size() > 2 ? to_index(given[2]) : 1;
  if (step == 0) fail_value("range() arg 3 must not be zero");
  auto* result = new Range(start, stop, step);
  Value value(result);
  const int64_t limit = budget().limits.range_size;
  if (result->size() > limit || result->size() < 0)
    fail(Cause::overflow,
         "Range too big. The sandbox blocks ranges larger than MAX_RANGE (" + std::to_string(limit) + ").");
  return value;
}

// What dict(...) and namespace(...) take: a mapping or pairs, then keywords.
void fill(Dict& dict, const char* name, const Arguments& arguments) {
  if (arguments.positional.size() > 1)
    fail_type(std::string(name) + " expected at most 1 argument, got " +
              std::to_string(arguments.positional.size()));
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Type::undefined)) fail_undefined(source);  // Python asks it for .keys
    if (source.is(Type::dict)) {
      for (const auto& [key, value] : source.dict().items()) dict.set(key, value);
    } else {
      Cursor cursor(source);
      for (Value item; cursor.next(item);) {
        const Values pair = to_vector(item);
        if (pair.size() != 2)
          fail_value("dictionary update sequence element has length " + std::to_string(pair.size()) +
                     "; 2 is required");
        dict.set(pair[0], pair[1]);
      }
    }
  }
  for (const Keyword& keyword : arguments.keywords) dict.set(keyword.name, keyword.value);
}

Value dict(Evaluator&, const Value&, const Arguments& arguments) {
  auto* result = new Dict;
  Value value(result);
  fill(*result, "dict", arguments);
  return value;
}

Value name_space(Evaluator& evaluator, const Value&, const Arguments& arguments) {
  auto* result = new Namespace;
  Value value(result);
  fill(result->attributes, "namespace", arguments);
  evaluator.keep(value);
  return value;
}

Value raise_exception(Evaluator&, const Value&, const Arguments& arguments) {
  const BoundArguments a("raise_exception", arguments, {"message"}, 1);
  fail(Cause::raised, to_text(a[0]));
}

Value strftime_now(Evaluator& evaluator, const Value&, const Arguments& arguments) {
  const BoundArguments a("strftime_now", arguments, {"format"}, 1);
  if (!a[0].is_string()) fail_type("strftime() argument 1 must be str, not " + type_name(a[0]));
  return make_string(format_time(evaluator.now(), a[0].text()));
}

class Cycler : public Opaque {
 public:
  explicit Cycler(const Arguments& arguments) : items_(arguments.positional.begin(), arguments.positional.end()) {
    if (items_.empty()) fail(Cause::other, "at least one item has to be provided");
  }
  std::string type_name() const override { return "Cycler"; }
  Value attribute(Evaluator&, std::string_view name) override {
    if (name == "current") return items_[at_];
    if (name == "pos") return Value(int64_t(at_));
    if (name == "items") return make_tuple(items_);
    if (name == "next")
      return make_callable("next", Value(this), [](Evaluator&, const Value& self, const Arguments&) {
        auto& cycler = static_cast<Cycler&>(self.opaque());
        Value item = cycler.items_[cycler.at_];
        cycler.at_ = (cycler.at_ + 1) % cycler.items_.size();
        return item;
      });
    if (name == "reset")
      return make_callable("reset", Value(this), [](Evaluator&, const Value& self, const Arguments&) {
        static_cast<Cycler&>(self.opaque()).at_ = 0;
        return Value::none();
      });
    return {};
  }

 private:
  Values items_;
  size_t at_ = 0;
};

class Joiner : public Opaque {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Evaluator&, const Arguments&) override {
    if (used_) return separator_;
    used_ = true;
    return make_string("");
  }
  Value attribute(Evaluator&, std::string_view name) override {
    if (name == "sep") return separator_;
    return name == "used" ? Value(used_) : Value();
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value cycler(Evaluator&, const Value&, const Arguments& arguments) {
  return Value(new Cycler(arguments));
}

Value joiner(Evaluator&, const Value&, const Arguments& arguments) {
  const BoundArguments a("joiner", arguments, {"sep"});
  return Value(new Joiner(a.given(0) ? a[0] : make_string(", ")));
}

// Jinja2's is random; ours is the same text each time.
Value lipsum(Evaluator&, const Value&, const Arguments& arguments) {
  const BoundArguments a("lipsum", arguments, {"n", "html", "min", "max"});
  static constexpr std::string_view paragraph =
      "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et "
      "dolore "
      "magna aliqua.";
  const bool html = a.flag(1, true);
  std::string out;
  for (int64_t i = 0, n = std::min<int64_t>(a.integer(0, 5), 1000); i < n; ++i) {
    if (i > 0) out += html ? "\n" : "\n\n";
    out += html ? "<p>" + std::string(paragraph) + "</p>" : std::string(paragraph);
  }
  return make_string(std::move(out), html);
}

struct Global {
  std::string_view name;
  Function run;
};
constexpr Global globals[] = {
    {"cycler", cycler},        {"dict", dict},
    {"joiner", joiner},        {"lipsum", lipsum},
    {"namespace", name_space}, {"raise_exception", raise_exception},
    {"range", range},          {"strftime_now", strftime_now},
};

}  // namespace

Value global_named(std::string_view name) {
  static const auto values = [] {
    std::array<Value, std::size(globals)> all;
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = make_callable(globals[i].name, Value(), globals[i].run);
      freeze(all[i]);
    }
    return all;
  }();
  for (size_t i = 0; i < values.size(); ++i)
    if (globals[i].name == name) return values[i];
  return {};
}

}  // namespace chorus::jinja
