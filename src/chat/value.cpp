#include "chat/value.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/utf8.h"
#include "chat/big_integer.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/operations.h"

namespace chorus::jinja {
namespace {

constexpr int64_t object_bytes = 64;   // roughly what one costs beside its content
constexpr size_t max_linear_dict = 8;  // message objects are smaller than this
constexpr int max_destroy_depth = 64;

void count_bytes(int64_t bytes) {
  Budget& b = budget();
  b.live_bytes += bytes;
  if (bytes > 0 && b.limits.live_bytes > 0 && b.live_bytes > b.limits.live_bytes)
    fail_limit("bytes of memory", b.limits.live_bytes);
}

thread_local FrozenObjects* current_frozen = nullptr;

size_t hash_of(const Value& key) {
  switch (key.type()) {
    case Type::string:
      return std::hash<std::string_view>()(key.text());
    case Type::boolean:
    case Type::integer:
      return std::hash<int64_t>()(key.integer());
    case Type::real: {
      const double d = key.real();
      if (std::abs(d) < 0x1p62 && d == std::floor(d)) return std::hash<int64_t>()(int64_t(d));
      return std::hash<double>()(d);
    }
    case Type::big_integer:
      return std::hash<double>()(key.big().to_double());
    case Type::tuple: {
      const DepthGuard guard;
      size_t h = 17;
      for (const Value& v : key.list().items) {
        charge(1);
        h = h * 1'000'003 ^ hash_of(v);
      }
      return h;
    }
    case Type::list:
    case Type::dict:
      fail_type("unhashable type: '" + type_name(key) + "'");
    case Type::none:
      return 7;
    case Type::undefined:
      return 11;
    case Type::range:
      return size_t(key.range().size());
    default:
      return std::hash<const Object*>()(key.object());
  }
}

Value from_text(const std::string& text) {
  if (is_ascii(text) && text.size() <= UINT32_MAX) return Value::view(text, true);
  if (is_utf8(text) && text.size() <= UINT32_MAX) return Value::view(text, false);
  return make_string(replace_invalid_utf8(text));
}

}  // namespace

// A long chain of objects must not be freed by recursion: beyond some depth they wait in a list.
void destroy(Object* object) noexcept {
  thread_local constinit int depth = 0;
  thread_local constinit bool any_waiting = false;
  thread_local std::vector<Object*> waiting;  // costs a check for each use
  if (depth >= max_destroy_depth) {
    waiting.push_back(object);
    any_waiting = true;
    return;
  }
  ++depth;
  delete object;
  if (depth == 1 && any_waiting) {
    while (!waiting.empty()) {
      Object* next = waiting.back();
      waiting.pop_back();
      delete next;
    }
    any_waiting = false;
  }
  --depth;
}

size_t Value::text_length() const {
  if (head_.counted) return static_cast<Str*>(as_.object)->length();
  return head_.ascii ? head_.bytes : utf8_length(text());
}

void Value::append(std::string_view more) {
  static_cast<Str*>(as_.object)->append(more);
}

bool Value::same_as(const Value& other) const {
  if (std::memcmp(&head_, &other.head_, sizeof head_) != 0) return false;
  switch (head_.type) {
    case Type::missing:
    case Type::none:
      return true;
    case Type::boolean:
      return as_.boolean == other.as_.boolean;
    case Type::integer:
      return as_.integer == other.as_.integer;
    case Type::real:
      return as_.real == other.as_.real;
    default:
      return head_.counted ? as_.object == other.as_.object : as_.text == other.as_.text;
  }
}

Str::Str(std::string text, bool is_markup) : Object(Type::string), markup(is_markup), text_(std::move(text)) {
  count_bytes(int64_t(text_.size()) + object_bytes);
}
Str::~Str() {
  budget().live_bytes -= int64_t(text_.size()) + object_bytes;
}

size_t Str::count() const {
  length_ = int64_t(is_ascii(text_) ? text_.size() : utf8_length(text_));
  return size_t(length_);
}

void Str::append(std::string_view more) {
  check_string_size(double(text_.size()) + double(more.size()));
  charge(int64_t(more.size() / 64));
  text_ += more;
  count_bytes(int64_t(more.size()));
  length_ = -1;
}

List::List(Type list_or_tuple, Values values) : Object(list_or_tuple), items(std::move(values)) {
  count_bytes(int64_t(items.size() * sizeof(Value)) + object_bytes);
  charge(int64_t(items.size() / 16));
}
List::~List() {
  budget().live_bytes -= int64_t(items.size() * sizeof(Value)) + object_bytes;
}

Dict::Dict(Items items) : Object(Type::dict), items_(std::move(items)) {
  count_bytes(int64_t(items_.size()) * object_bytes);
  for (const Item& item : items_) only_views_ = only_views_ && item.first.is_view();
  if (items_.size() > max_linear_dict) build_index();
}

Dict::~Dict() {
  budget().live_bytes -= int64_t(items_.size()) * object_bytes;
}

void Dict::build_index() {
  size_t slots = 16;
  while (slots < items_.size() * 2 + 2) slots *= 2;
  index_.assign(slots, 0);
  for (size_t i = 0; i < items_.size(); ++i) {
    size_t at = hash_of(items_[i].first) & (slots - 1);
    while (index_[at] != 0) at = (at + 1) & (slots - 1);
    index_[at] = uint32_t(i + 1);
  }
}

ptrdiff_t Dict::index_of(const Value& key) const {
  if (index_.empty()) {
    for (size_t i = 0; i < items_.size(); ++i)
      if (equal(items_[i].first, key)) return ptrdiff_t(i);
    if (!key.is_string()) hash_of(key);  // what cannot be hashed is no key
    return -1;
  }
  const size_t mask = index_.size() - 1;
  for (size_t at = hash_of(key) & mask; index_[at] != 0; at = (at + 1) & mask)
    if (equal(items_[index_[at] - 1].first, key)) return ptrdiff_t(index_[at] - 1);
  return -1;
}

void Dict::add(Value key, Value value) {
  count_bytes(object_bytes);
  only_views_ = only_views_ && key.is_view();
  items_.emplace_back(std::move(key), std::move(value));
  if (items_.size() <= max_linear_dict) return;
  if (index_.size() < items_.size() * 2) {
    build_index();
    return;
  }
  const size_t mask = index_.size() - 1;
  size_t at = hash_of(items_.back().first) & mask;
  while (index_[at] != 0) at = (at + 1) & mask;
  index_[at] = uint32_t(items_.size());
}

void Dict::set(Value key, Value value) {
  const ptrdiff_t i = index_of(key);
  if (i >= 0)
    items_[size_t(i)].second = std::move(value);
  else
    add(std::move(key), std::move(value));
}

void Dict::set(std::string_view key, Value value) {
  set(make_string(key), std::move(value));
}

const Value* Dict::find_any(const Value& key) const {
  const ptrdiff_t i = index_of(key);
  return i < 0 ? nullptr : &items_[size_t(i)].second;
}

int64_t Range::size() const {
  if (step > 0) return start < stop ? int64_t((uint64_t(stop) - uint64_t(start) - 1) / uint64_t(step)) + 1 : 0;
  return start > stop ? int64_t((uint64_t(start) - uint64_t(stop) - 1) / (~uint64_t(step) + 1)) + 1 : 0;
}

Value Opaque::call(Evaluator&, const Arguments&) {
  fail_type("'" + type_name() + "' object is not callable");
}

Value make_string(std::string text, bool markup) {
  check_string_size(text.size());
  return Value(new Str(std::move(text), markup));
}
Value make_string(std::string_view text, bool markup) {
  check_string_size(text.size());
  return Value(new Str(std::string(text), markup));
}
Value make_list(Values items) {
  return Value(new List(Type::list, std::move(items)));
}
Value make_tuple(Values items) {
  return Value(new List(Type::tuple, std::move(items)));
}

Value make_undefined(std::string_view name) {
  return Value(new Undefined(make_string(name)));
}

Value make_undefined_attribute(const Value& owner, Value name) {
  auto* undefined = new Undefined(std::move(name));
  Value result(undefined);
  undefined->owner = owner.is_none() ? "None" : type_name(owner) + " object";
  return result;
}

Value make_undefined_hint(std::string hint) {
  auto* undefined = new Undefined(Value());
  Value result(undefined);
  undefined->hint = std::move(hint);
  return result;
}

Value from_json(const Json& json) {
  charge(1);
  switch (json.type()) {
    case Json::value_t::null:
      return Value::none();
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const uint64_t u = json.get<uint64_t>();
      return u <= uint64_t(INT64_MAX) ? Value(int64_t(u)) : BigInteger::parse(std::to_string(u), 10).to_value();
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return from_text(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      const DepthGuard guard;
      Values items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item));
      return make_list(std::move(items));
    }
    case Json::value_t::object: {
      const DepthGuard guard;
      const Json::object_t& members = json.get_ref<const Json::object_t&>();
      Dict::Items items;
      items.reserve(members.size());
      for (const auto& [key, value] : members) {
        if (const auto* text = value.get_ptr<const std::string*>())  // most are
          items.emplace_back(from_text(key), from_text(*text));
        else
          items.emplace_back(from_text(key), from_json(value));
      }
      charge(int64_t(members.size()));
      return Value(new Dict(std::move(items)));
    }
    default:
      fail_type("a JSON value of unknown kind");
  }
}

FrozenObjects::Scope::Scope(FrozenObjects& objects) {
  current_frozen = &objects;
}
FrozenObjects::Scope::~Scope() {
  current_frozen = nullptr;
}

FrozenObjects::~FrozenObjects() {
  for (size_t i = objects_.size(); i-- > 0;) delete objects_[i];
}

void freeze(Value& value) {
  Object* object = value.object();
  if (object == nullptr || object->shared) return;
  if (value.is(Type::undefined)) freeze(value.undefined().name);
  object->shared = true;
  if (current_frozen != nullptr) current_frozen->objects_.push_back(object);
  if (value.is_string()) value = Value::view(value.text());
}

std::string type_name(const Value& value) {
  switch (value.type()) {
    case Type::none:
      return "NoneType";
    case Type::boolean:
      return "bool";
    case Type::integer:
    case Type::big_integer:
      return "int";
    case Type::real:
      return "float";
    case Type::string:
      return value.markup() ? "Markup" : "str";
    case Type::list:
      return "list";
    case Type::tuple:
      return "tuple";
    case Type::dict:
      return "dict";
    case Type::name_space:
      return "Namespace";
    case Type::range:
      return "range";
    case Type::undefined:
      return "Undefined";
    case Type::opaque:
      return value.opaque().type_name();
    default:
      return "missing";
  }
}

}  // namespace chorus::jinja
