#include <algorithm>
#include <optional>

#include "chat/callables.h"
#include "chat/dict_view.h"
#include "chat/failure.h"
#include "chat/filters.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

/// For generators: what cannot be iterated fails when the first element is asked for.
class LateCursor {
 public:
  explicit LateCursor(Value iterable) : iterable_(std::move(iterable)) {}
  bool next(Value& item) {
    if (!cursor_) cursor_.emplace(iterable_);
    return cursor_->next(item);
  }

 private:
  Value iterable_;
  std::optional<Cursor> cursor_;
};

Value filter_length(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("len", arguments, {});
  return Value(length(input));
}

Value filter_list(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("list", arguments, {});
  return make_list(to_vector(input));
}

Value first(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("first", arguments, {});
  Cursor cursor(input);
  Value item;
  return cursor.next(item) ? item : make_undefined_hint("No first item, sequence was empty.");
}

Value last(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("last", arguments, {});
  if (input.is_string() && !input.text().empty()) return evaluator.get_item(input, Value(int64_t(-1)));
  if (input.is_sequence()) {
    const auto& items = input.list().items;
    return items.empty() ? make_undefined_hint("No last item, sequence was empty.") : items.back();
  }
  if (input.is(Type::opaque) && (input.opaque().length() < 0 || !input.opaque().iterable()))
    fail_type("'" + type_name(input) + "' object is not reversible");
  const Values items = to_vector(input);
  return items.empty() ? make_undefined_hint("No last item, sequence was empty.") : items.back();
}

Value reverse(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("reverse", arguments, {});
  if (input.is_string()) return slice(input, Value::none(), Value::none(), Value(int64_t(-1)));
  if (!iterable(input)) fail(Cause::other, "argument must be iterable");
  if (input.is(Type::opaque) && input.opaque().length() < 0) {
    Values items = to_vector(input);
    std::reverse(items.begin(), items.end());
    return make_list(std::move(items));
  }
  auto items = std::make_shared<Values>(to_vector(input));
  return make_generator([items]() -> Value {
    if (items->empty()) return {};
    Value item = std::move(items->back());
    items->pop_back();
    return item;
  });
}

Value join(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("join", arguments, {"d", "attribute"});
  const Value separator = a.given(0) ? a[0] : make_string("");
  const bool has_attribute = a.given(1) && !a[1].is_none();
  const AttributeGetter getter(has_attribute ? a[1] : Value::none());
  Values items = to_vector(input);
  bool markup = evaluator.autoescape() && separator.is_string() && separator.markup();
  for (Value& item : items) {
    if (has_attribute) item = getter(evaluator, item);
    markup = markup || (evaluator.autoescape() && item.is_string() && item.markup());
  }
  const std::string between = markup ? std::string(escape(separator).text()) : to_text(separator);
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += between;
    if (markup)
      out += escape(items[i]).text();
    else
      append_text(out, items[i]);
    check_string_size(double(out.size()));
  }
  return make_string(std::move(out), markup);
}

Value items(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("items", arguments, {});
  struct State {
    Value input;
    size_t at = 0;
  };
  auto state = std::make_shared<State>(State{input, 0});
  return make_generator([state]() -> Value {
    if (state->input.is(Type::undefined)) return {};
    if (!state->input.is(Type::dict)) fail_type("Can only get item pairs from a mapping.");
    const auto& all = state->input.dict().items();
    if (state->at >= all.size()) return {};
    const auto& [key, value] = all[state->at++];
    return make_tuple({key, value});
  });
}

struct Keyed {
  Value key, item;
};

Values sorted(std::vector<Keyed> keyed, bool descending) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& x, const Keyed& y) {
    return descending ? less(y.key, x.key) : less(x.key, y.key);
  });
  Values out;
  out.reserve(keyed.size());
  for (Keyed& k : keyed) out.push_back(std::move(k.item));
  return out;
}

// "a,b.c" sorts by several attributes. The key is the list of them, also of one: lists compare what is equal
// first.
std::vector<AttributeGetter> getters_of(const Value& attribute, bool ignore_case) {
  std::vector<AttributeGetter> getters;
  if (!attribute.is_string()) {
    getters.emplace_back(attribute, ignore_case);
    return getters;
  }
  std::string_view rest = attribute.text();
  while (true) {
    const size_t comma = std::min(rest.find(','), rest.size());
    getters.emplace_back(make_string(rest.substr(0, comma)), ignore_case);
    if (comma == rest.size()) return getters;
    rest.remove_prefix(comma + 1);
  }
}

Value sort(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const std::vector<AttributeGetter> getters = getters_of(a.given(2) ? a[2] : Value::none(), !a.flag(1, false));
  std::vector<Keyed> keyed;
  for (Value& item : to_vector(input)) {
    Values keys;
    for (const AttributeGetter& getter : getters) keys.push_back(getter(evaluator, item));
    keyed.push_back({make_list(std::move(keys)), std::move(item)});
  }
  return make_list(sorted(std::move(keyed), a.integer(0, 0) != 0));
}

Value dictsort(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = a.text(1, "key");
  if (by != "key" && by != "value") fail(Cause::other, "You can only sort by either \"key\" or \"value\"");
  if (input.is(Type::undefined)) fail_undefined(input);
  if (!input.is(Type::dict)) fail_type("'" + type_name(input) + "' object has no attribute 'items'");
  const AttributeGetter key_of(Value(int64_t(by == "key" ? 0 : 1)), !a.flag(0, false));
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : input.dict().items()) {
    Value pair = make_tuple({key, value});
    keyed.push_back({key_of(evaluator, pair), pair});
  }
  return make_list(sorted(std::move(keyed), a.integer(2, 0) != 0));
}

Value unique(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("unique", arguments, {"case_sensitive", "attribute"});
  struct State {
    State(LateCursor c, AttributeGetter g) : cursor(std::move(c)), getter(std::move(g)) {}
    LateCursor cursor;
    AttributeGetter getter;
    Dict seen;
  };
  auto state = std::make_shared<State>(LateCursor(input),
                                       AttributeGetter(a.given(1) ? a[1] : Value::none(), !a.flag(0, false)));
  return make_generator([state, &evaluator]() -> Value {
    for (Value item; state->cursor.next(item);) {
      charge(1);
      Value key = state->getter(evaluator, item);
      if (state->seen.find(key) != nullptr) continue;
      state->seen.set(std::move(key), Value::none());
      return item;
    }
    return {};
  });
}

Value extreme(Evaluator& evaluator, const Value& input, const Arguments& arguments, bool greatest) {
  const BoundArguments a(greatest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const AttributeGetter getter(a.given(1) ? a[1] : Value::none(), !a.flag(0, false));
  Cursor cursor(input);
  Value best;
  if (!cursor.next(best)) return make_undefined_hint("No aggregated item, sequence was empty.");
  Value best_key = getter(evaluator, best);
  for (Value item; cursor.next(item);) {
    Value key = getter(evaluator, item);
    if (greatest ? !less(best_key, key) : !less(key, best_key)) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}
Value max(Evaluator& e, const Value& input, const Arguments& arguments) {
  return extreme(e, input, arguments, true);
}
Value min(Evaluator& e, const Value& input, const Arguments& arguments) {
  return extreme(e, input, arguments, false);
}

Value sum(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("sum", arguments, {"attribute", "start"});
  const bool has_attribute = a.given(0) && !a[0].is_none();
  const AttributeGetter getter(has_attribute ? a[0] : Value::none());
  Value total = a.given(1) ? a[1] : Value(int64_t(0));
  if (total.is_string()) fail_type("sum() can't sum strings [use ''.join(seq) instead]");
  Cursor cursor(input);
  for (Value item; cursor.next(item);) {
    charge(1);
    total = arithmetic(BinaryOp::add, total, has_attribute ? getter(evaluator, item) : item);
  }
  return total;
}

Value batch(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("batch", arguments, {"linecount", "fill_with"}, 1);
  struct State {
    LateCursor cursor;
    Value size, fill, pending;
  };
  auto state = std::make_shared<State>(State{LateCursor(input), a[0], a.given(1) ? a[1] : Value::none(), {}});
  return make_generator([state]() -> Value {
    Values line;
    if (!state->pending.is_missing()) line.push_back(std::move(state->pending));
    state->pending = Value();
    for (Value item; state->cursor.next(item);) {
      charge(1);
      if (equal(Value(int64_t(line.size())), state->size)) {
        state->pending = item;
        return make_list(std::move(line));
      }
      line.push_back(item);
    }
    if (line.empty()) return {};
    if (!state->fill.is_none()) {
      const int64_t size = to_index(state->size);
      check_string_size(double(size) * sizeof(Value));
      if (int64_t(line.size()) < size) line.resize(size_t(size), state->fill);
    }
    return make_list(std::move(line));
  });
}

// The elements in so many columns; the first ones are longer, the others end in `fill` where that is not none.
Value columns_of(const Value& input, int64_t columns, const Value& fill) {
  const Values all = to_vector(input);
  if (columns == 0) fail(Cause::other, "integer division or modulo by zero");
  if (columns < 0) return make_list({});
  charge(columns);
  check_string_size(double(columns) * sizeof(Value));
  const size_t n = size_t(columns), each = all.size() / n, longer = all.size() % n;
  Values out;
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t size = each + (i < longer ? 1 : 0);
    Values column(all.begin() + ptrdiff_t(at), all.begin() + ptrdiff_t(at + size));
    at += size;
    if (!fill.is_none() && i >= longer) column.push_back(fill);
    out.push_back(make_list(std::move(column)));
  }
  return make_list(std::move(out));
}

Value filter_slice(Evaluator&, const Value& input, const Arguments& arguments) {
  const BoundArguments a("slice", arguments, {"slices", "fill_with"}, 1);
  struct State {
    Value input, columns, fill;
    std::optional<Cursor> rest;
  };
  auto state = std::make_shared<State>(State{input, a[0], a.given(1) ? a[1] : Value::none(), {}});
  return make_generator([state]() -> Value {
    if (!state->rest) state->rest.emplace(columns_of(state->input, to_index(state->columns), state->fill));
    Value item;
    return state->rest->next(item) ? item : Value();
  });
}

Value groupby(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const BoundArguments a("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Value otherwise = a.given(1) ? a[1] : Value::none();
  const bool ignore_case = !a.flag(2, false);
  const AttributeGetter key_of(a[0], ignore_case, otherwise), shown_key_of(a[0], false, otherwise);
  std::vector<Keyed> keyed;
  for (Value& item : to_vector(input)) keyed.push_back({key_of(evaluator, item), item});
  Values groups;
  const Values ordered = sorted(std::move(keyed), false);
  for (size_t i = 0; i < ordered.size();) {
    const Value key = key_of(evaluator, ordered[i]);
    Values members;
    const Value shown = shown_key_of(evaluator, ordered[i]);
    while (i < ordered.size() && equal(key_of(evaluator, ordered[i]), key)) members.push_back(ordered[i++]);
    if (members.empty()) members.push_back(ordered[i++]);  // a key that differs from itself
    auto* group = new List(Type::tuple, {shown, make_list(std::move(members))});
    group->grouped = true;
    groups.emplace_back(group);
  }
  return make_list(std::move(groups));
}

// The same template renders the same text each time: the "random" item depends on the number of items alone.
Value random(Evaluator&, const Value& input, const Arguments&) {
  const int64_t size = length(input);
  if (size == 0) return make_undefined_hint("No random item, sequence was empty.");
  Value item = subscript(input, Value(int64_t(uint64_t(size) * 0x9e3779b97f4a7c15u >> 33) % size));
  if (item.is_missing()) fail_type("'" + type_name(input) + "' object is not subscriptable");
  return item;
}

constexpr Filter filters[] = {
    {"batch", batch},
    {"count", filter_length},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", filter_length},
    {"list", filter_list},
    {"max", max},
    {"min", min},
    {"random", random},
    {"reverse", reverse},
    {"slice", filter_slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

std::span<const Filter> sequence_filters() {
  return filters;
}

}  // namespace chorus::jinja
