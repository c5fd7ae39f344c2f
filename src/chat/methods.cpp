#include "chat/methods.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "chat/big_integer.h"
#include "chat/callables.h"
#include "chat/dict_view.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"
#include "chat/string_methods.h"

namespace chorus::jinja {
namespace {

// ---- dict

template <DictView::Part part>
Value view(Evaluator&, const Value& self, const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.keywords.empty())
    fail_type("dict view methods take no arguments");
  return Value(new DictView(self, part));
}

Value dict_get(Evaluator&, const Value& self, const Arguments& arguments) {
  if (!arguments.keywords.empty()) fail_type("dict.get() takes no keyword arguments");
  const BoundArguments a("get", arguments, {"key", "default"}, 1);
  const Value* found = self.dict().find(a[0]);
  return found != nullptr ? *found : a.given(1) ? a[1] : Value::none();
}

Value copy(Evaluator&, const Value& self, const Arguments&) {
  if (self.is(Type::list)) return make_list(self.list().items);
  auto* dict = new Dict;
  Value result(dict);
  for (const auto& [key, value] : self.dict().items()) dict->set(key, value);
  return result;
}

Value from_keys(Evaluator&, const Value&, const Arguments& arguments) {
  const BoundArguments a("fromkeys", arguments, {"iterable", "value"}, 1);
  auto* dict = new Dict;
  Value result(dict);
  Cursor cursor(a[0]);
  for (Value key; cursor.next(key);) dict->set(key, a.given(1) ? a[1] : Value::none());
  return result;
}

// ---- lists and tuples

Value sequence_count(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("count", arguments, {"value"}, 1);
  int64_t n = 0;
  for (Cursor cursor(self); true;) {
    Value item;
    if (!cursor.next(item)) return Value(n);
    charge(1);
    n += item.same_as(a[0]) || equal(item, a[0]) ? 1 : 0;
  }
}

Value sequence_index(Evaluator&, const Value& self, const Arguments& arguments) {
  const BoundArguments a("index", arguments, {"value", "start", "stop"}, 1);
  const int64_t size = length(self);
  const auto bound = [&](int64_t b) { return b < 0 ? std::max<int64_t>(b + size, 0) : std::min(b, size); };
  const int64_t from = bound(a.integer(1, 0)), to = bound(a.integer(2, size));
  for (int64_t i = from; i < to; ++i) {
    charge(1);
    const Value item = subscript(self, Value(i));
    if (item.same_as(a[0]) || equal(item, a[0])) return Value(i);
  }
  fail_value(repr(a[0]) + " is not in " + type_name(self));
}

// ---- numbers

Value is_integer(Evaluator&, const Value& self, const Arguments&) {
  if (!self.is(Type::real)) return Value(true);
  return Value(std::isfinite(self.real()) && self.real() == std::floor(self.real()));
}

Value bit_length(Evaluator&, const Value& self, const Arguments&) {
  BigInteger n = BigInteger::of(self);
  if (n.negative()) n = -n;
  return Value(n.zero() ? int64_t(0) : int64_t(n.to_string(2).size()));
}

Value itself(Evaluator&, const Value& self, const Arguments&) {
  return self.is(Type::boolean) ? Value(self.integer()) : self;
}

struct Method {
  std::string_view name;
  Function run;  // null: it would change the object, which the sandbox forbids
};
constexpr Method dict_methods[] = {
    {"clear", nullptr},
    {"copy", copy},
    {"fromkeys", from_keys},
    {"get", dict_get},
    {"items", view<DictView::Part::items>},
    {"keys", view<DictView::Part::keys>},
    {"pop", nullptr},
    {"popitem", nullptr},
    {"setdefault", nullptr},
    {"update", nullptr},
    {"values", view<DictView::Part::values>},
};
constexpr Method list_methods[] = {
    {"append", nullptr}, {"clear", nullptr},        {"copy", copy},      {"count", sequence_count},
    {"extend", nullptr}, {"index", sequence_index}, {"insert", nullptr}, {"pop", nullptr},
    {"remove", nullptr}, {"reverse", nullptr},      {"sort", nullptr},
};
constexpr Method tuple_methods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr Method number_methods[] = {
    {"bit_length", bit_length},
    {"conjugate", itself},
    {"is_integer", is_integer},
};

class MethodTable {
 public:
  MethodTable() {
    for (const StringMethod& method : string_methods()) add(Type::string, method.name, method.run);
    for (const Method& method : dict_methods) add(Type::dict, method.name, method.run);
    for (const Method& method : list_methods) add(Type::list, method.name, method.run);
    for (const Method& method : tuple_methods) {
      add(Type::tuple, method.name, method.run);
      add(Type::range, method.name, method.run);
    }
    for (const Method& method : number_methods) {
      add(Type::real, method.name, method.name == "bit_length" ? nullptr : method.run);
      if (method.name == "is_integer") continue;
      add(Type::integer, method.name, method.run);
      add(Type::boolean, method.name, method.run);
      add(Type::big_integer, method.name, method.run);
    }
  }
  const NamedMethods* find(std::string_view name) const {
    const auto it = entries_.find(name);
    return it == entries_.end() ? nullptr : &it->second;
  }

 private:
  void add(Type type, std::string_view name, Function run) {
    NamedMethods& entry = entries_[name];
    entry.run[size_t(type)] = run;
    (run != nullptr ? entry.callable : entry.forbidden) |= 1u << unsigned(type);
  }
  std::map<std::string_view, NamedMethods> entries_;
};

const MethodTable& table() {
  static const MethodTable methods;
  return methods;
}

}  // namespace

const NamedMethods& methods_named(std::string_view name) {
  static const NamedMethods none;
  const NamedMethods* entry = table().find(name);
  return entry == nullptr ? none : *entry;
}

Value unsafe_attribute(const Value& value, const Value& name) {
  auto* undefined = new Undefined(name);
  Value result(undefined);
  undefined->owner = type_name(value);
  undefined->unsafe = true;
  return result;
}

Value call_method(Evaluator& evaluator, const Value& self, const NamedMethods& methods, const Value& name,
                  const Arguments& arguments) {
  const Function run = methods.run[size_t(self.type())];
  if (run == nullptr) fail_undefined(unsafe_attribute(self, name));
  return run(evaluator, self, arguments);
}

bool is_object_attribute(std::string_view name) {
  static constexpr std::string_view names[] = {
      "__class__",  "__delattr__",       "__dir__",         "__doc__",       "__eq__",   "__format__",
      "__ge__",     "__getattribute__",  "__getitem__",     "__getstate__",  "__gt__",   "__hash__",
      "__init__",   "__init_subclass__", "__iter__",        "__le__",        "__len__",  "__lt__",
      "__ne__",     "__new__",           "__reduce__",      "__reduce_ex__", "__repr__", "__setattr__",
      "__sizeof__", "__str__",           "__subclasshook__"};
  return std::binary_search(std::begin(names), std::end(names), name);
}

Value attribute_of(Evaluator& evaluator, const Value& value, const Value& name) {
  const std::string_view text = name.text();
  switch (value.type()) {
    case Type::name_space: {
      const Value* found = value.name_space().attributes.find(name);
      return found == nullptr ? Value() : *found;
    }
    case Type::opaque:
      return value.opaque().attribute(evaluator, text);
    case Type::integer:
    case Type::boolean:
    case Type::big_integer:
      if (text == "real" || text == "numerator") return itself(evaluator, value, {});
      if (text == "imag") return Value(int64_t(0));
      if (text == "denominator") return Value(int64_t(1));
      break;
    case Type::real:
      if (text == "real") return value;
      if (text == "imag") return Value(0.0);
      break;
    case Type::range:
      if (text == "start") return Value(value.range().start);
      if (text == "stop") return Value(value.range().stop);
      if (text == "step") return Value(value.range().step);
      break;
    case Type::tuple:
      if (value.list().grouped && text == "grouper") return value.list().items[0];
      if (value.list().grouped && text == "list") return value.list().items[1];
      break;
    default:
      break;
  }
  const NamedMethods& methods = methods_named(text);
  if (has_type(methods.callable, value.type()))
    return make_callable(text, value, methods.run[size_t(value.type())]);
  if (has_type(methods.forbidden, value.type()) && !value.is(Type::real)) return unsafe_attribute(value, name);
  return {};
}

}  // namespace chorus::jinja
