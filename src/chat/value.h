#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "chat/pool.h"
#include "chorus/json.h"

namespace chorus::jinja {

// The values of a template, as Python has them: strings, lists, tuples and dicts never change once a template sees
// them (the sandbox is "immutable"), so they are shared by counting references, not copied.

enum class Type : uint8_t {
  missing,  ///< a variable that nobody has set; never the value of an expression
  none,
  boolean,
  integer,
  real,
  undefined,
  big_integer,
  string,
  list,
  tuple,
  dict,
  name_space,
  range,
  opaque,
};

/// What a Value counts its references to. Not atomic: the values of a rendering belong to its thread. What a
/// Template owns is `shared` by threads and lives as long as the template: its count is never touched.
class Object {
 public:
  explicit Object(Type t) : type(t) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  static void* operator new(size_t bytes) { return pool_allocate(bytes); }
  static void operator delete(void* object, size_t bytes) { pool_free(object, bytes); }

  uint32_t references = 0;
  const Type type;
  bool shared = false;
};

void destroy(Object* object) noexcept;

class Str;
class List;
class Dict;
class Namespace;
class Range;
class Undefined;
class BigInteger;
class Opaque;

/// memcmp without a call for what is short, as names are.
inline bool same_bytes(const char* a, const char* b, size_t size) {
  const auto same_word = [&](auto zero, size_t at) {
    auto x = zero, y = zero;
    std::memcpy(&x, a + at, sizeof x);
    std::memcpy(&y, b + at, sizeof y);
    return x == y;
  };
  if (a == b) return true;
  if (size > 16) return std::memcmp(a, b, size) == 0;
  if (size >= 8) return same_word(uint64_t(), 0) && same_word(uint64_t(), size - 8);
  if (size >= 4) return same_word(uint32_t(), 0) && same_word(uint32_t(), size - 4);
  if (size >= 2) return same_word(uint16_t(), 0) && same_word(uint16_t(), size - 2);
  return size == 0 || *a == *b;
}

class Value {
 public:
  Value() : Value(Type::missing) {}
  explicit Value(bool b) : Value(Type::boolean) { as_.boolean = b; }
  explicit Value(int64_t i) : Value(Type::integer) { as_.integer = i; }
  explicit Value(double d) : Value(Type::real) { as_.real = d; }
  explicit Value(Object* object) : Value(object->type) {
    head_.counted = true;
    as_.object = object;
    retain();
  }
  Value(const Value& other) : head_(other.head_), as_(other.as_) {
    if (head_.counted) retain();
  }
  Value(Value&& other) noexcept : head_(other.head_), as_(other.as_) { other.head_ = {}; }
  Value& operator=(const Value& other) {
    Value copy(other);
    swap(copy);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Value() {
    if (head_.counted) release();
  }
  /// Makes it missing.
  void reset() noexcept {
    const bool counted = head_.counted;
    head_ = {};
    if (counted) release();
  }

  void swap(Value& other) noexcept {
    std::swap(head_, other.head_);
    std::swap(as_, other.as_);
  }

  static Value none() { return Value(Type::none); }
  /// A string that somebody else keeps for as long as the value lives: a text of the input, or of the template.
  /// Copies cost nothing, and most unequal ones differ in their heads. `text` is UTF-8 of less than 4 GiB.
  static Value view(std::string_view text, bool is_ascii) {
    Value v(Type::string);
    v.head_.ascii = is_ascii;
    v.head_.first = text.empty() ? '\0' : text[0];
    v.head_.bytes = uint32_t(text.size());
    v.as_.text = text.data();
    return v;
  }
  static Value view(std::string_view text) { return view(text, chorus::is_ascii(text)); }

  Type type() const { return head_.type; }
  bool is(Type type) const { return head_.type == type; }
  bool is_missing() const { return is(Type::missing); }
  bool is_none() const { return is(Type::none); }
  bool is_string() const { return is(Type::string); }
  bool is_view() const { return is_string() && !head_.counted; }
  bool is_integral() const { return is(Type::integer) || is(Type::boolean); }
  bool is_number() const { return is_integral() || is(Type::real) || is(Type::big_integer); }
  bool is_sequence() const { return is(Type::list) || is(Type::tuple); }

  bool boolean() const { return as_.boolean; }
  int64_t integer() const { return is(Type::boolean) ? int64_t(as_.boolean) : as_.integer; }
  double real() const { return as_.real; }
  inline std::string_view text() const;
  inline bool markup() const;  ///< a string that is HTML: the `safe` and `escape` filters make them
  inline bool ascii() const;
  size_t text_length() const;  ///< of a string, in code points
  /// Adds to a string that is unique().
  void append(std::string_view more);
  inline List& list() const;
  inline Dict& dict() const;
  inline Namespace& name_space() const;
  inline Range& range() const;
  inline Undefined& undefined() const;
  const BigInteger& big() const;
  inline Opaque& opaque() const;
  /// Null for plain values and views.
  Object* object() const { return head_.counted ? as_.object : nullptr; }

  /// Python's `is`.
  bool same_as(const Value& other) const;
  /// Whether two views are the same text.
  bool same_view(const Value& other) const {
    return std::memcmp(&head_, &other.head_, sizeof head_) == 0 &&
           same_bytes(as_.text, other.as_.text, head_.bytes);
  }
  /// Nobody else holds this object: it may be changed in place.
  bool unique() const { return head_.counted && !as_.object->shared && as_.object->references == 1; }

 private:
  explicit Value(Type type) {
    head_.type = type;
    as_.integer = 0;
  }
  void retain() {
    if (!as_.object->shared) ++as_.object->references;
  }
  void release() noexcept {
    if (!as_.object->shared && --as_.object->references == 0) destroy(as_.object);
  }

  struct Head {
    Type type = Type::missing;
    bool counted = false;  ///< `object` is what holds the value
    bool ascii = false;    ///< of a view
    char first = 0;        ///< byte of a view
    uint32_t bytes = 0;    ///< of a view
  };
  static_assert(sizeof(Head) == 8);
  Head head_;
  union {
    bool boolean;
    int64_t integer;
    double real;
    Object* object;
    const char* text;
  } as_;
};

using Values = std::vector<Value, PoolAllocator<Value>>;

/// A string of Unicode text that a template made, kept as UTF-8.
class Str : public Object {
 public:
  Str(std::string text, bool is_markup);
  ~Str() override;

  std::string_view text() const { return text_; }
  size_t length() const { return length_ >= 0 ? size_t(length_) : count(); }  ///< in code points
  void append(std::string_view more);

  const bool markup;

 private:
  size_t count() const;

  std::string text_;
  mutable int64_t length_ = -1;
};

/// A list or a tuple.
class List : public Object {
 public:
  List(Type list_or_tuple, Values values);
  ~List() override;

  const Values items;
  bool grouped = false;  ///< what groupby yields: a tuple whose parts are also called `grouper` and `list`
};

/// Keeps the order in which keys were added. Filled by its maker, then constant.
class Dict : public Object {
 public:
  using Item = std::pair<Value, Value>;
  using Items = std::vector<Item, PoolAllocator<Item>>;

  Dict() : Object(Type::dict) {}
  /// Of keys that all differ.
  explicit Dict(Items items);
  ~Dict() override;

  const Items& items() const { return items_; }
  size_t size() const { return items_.size(); }
  /// Throws TypeError for a key that is not hashable.
  void set(Value key, Value value);
  void set(std::string_view key, Value value);
  void clear() {
    items_.clear();
    index_.clear();
  }
  /// Null where there is none.
  const Value* find(const Value& key) const {
    if (!only_views_ || !key.is_view() || !index_.empty()) return find_any(key);
    for (const auto& [name, value] : items_)  // nearly all dicts: a message's members
      if (name.same_view(key)) return &value;
    return nullptr;
  }
  const Value* find(std::string_view key) const { return find(Value::view(key)); }
  /// set() for a key that is known to be new.
  void add(Value key, Value value);

 private:
  const Value* find_any(const Value& key) const;
  ptrdiff_t index_of(const Value& key) const;
  void build_index();

  Items items_;
  bool only_views_ = true;       // so far all keys are
  std::vector<uint32_t> index_;  // open addressing, item + 1; empty while a linear search is quicker
};

/// namespace(...): the one thing that a template can change.
class Namespace : public Object {
 public:
  Namespace() : Object(Type::name_space) {}
  Dict attributes;
};

class Range : public Object {
 public:
  Range(int64_t from, int64_t to, int64_t by) : Object(Type::range), start(from), stop(to), step(by) {}
  int64_t size() const;
  int64_t at(int64_t i) const { return start + i * step; }
  const int64_t start, stop, step;
};

/// The result of looking up what is not there: an error only for those who use it as more than an empty string.
class Undefined : public Object {
 public:
  explicit Undefined(Value name_of) : Object(Type::undefined), name(std::move(name_of)) {}

  Value name;
  std::string owner;    ///< "dict object", ... for a missing attribute or element
  std::string hint;     ///< said in place of the usual words
  bool unsafe = false;  ///< hidden by the sandbox: using it is a SecurityError
};

struct Keyword {
  Value name;
  Value value;
};
struct Arguments {
  std::span<const Value> positional;
  std::span<const Keyword> keywords;
};

class Evaluator;

/// Whatever else has attributes, can be called or iterated: macros, bound methods, loops, generators, dict views.
class Opaque : public Object {
 public:
  Opaque() : Object(Type::opaque) {}
  virtual std::string type_name() const = 0;
  virtual std::string repr() const { return "<" + type_name() + " object>"; }
  /// Missing where there is no such attribute.
  virtual Value attribute(Evaluator&, std::string_view) { return {}; }
  virtual bool callable() const { return false; }
  virtual Value call(Evaluator&, const Arguments&);
  virtual bool iterable() const { return false; }
  /// A fresh iterator, or the object itself where it is one.
  virtual Value iterate() { return Value(this); }
  /// The next element of an iterator; missing at the end.
  virtual Value next() { return {}; }
  virtual int64_t length() const { return -1; }  ///< -1 = no len()
};

inline std::string_view Value::text() const {
  return head_.counted ? static_cast<Str*>(as_.object)->text() : std::string_view(as_.text, head_.bytes);
}
inline bool Value::markup() const {
  return head_.counted && static_cast<Str*>(as_.object)->markup;
}
inline bool Value::ascii() const {
  return head_.counted ? text_length() == text().size() : head_.ascii;
}
inline List& Value::list() const {
  return *static_cast<List*>(as_.object);
}
inline Dict& Value::dict() const {
  return *static_cast<Dict*>(as_.object);
}
inline Namespace& Value::name_space() const {
  return *static_cast<Namespace*>(as_.object);
}
inline Range& Value::range() const {
  return *static_cast<Range*>(as_.object);
}
inline Undefined& Value::undefined() const {
  return *static_cast<Undefined*>(as_.object);
}
inline Opaque& Value::opaque() const {
  return *static_cast<Opaque*>(as_.object);
}

Value make_string(std::string text, bool markup = false);
Value make_string(std::string_view text, bool markup = false);
inline Value make_string(const char* text) {
  return make_string(std::string_view(text));
}
Value make_list(Values items);
Value make_tuple(Values items);
/// "'NAME' is undefined"
Value make_undefined(std::string_view name);
Value make_undefined_attribute(const Value& owner, Value name);
/// `hint` are the words of the error, should somebody use it.
Value make_undefined_hint(std::string hint);

/// JSON as Python's json module reads it. Its strings become views: `json` must outlive the value.
Value from_json(const Json& json);

/// Owns what was frozen while it was the thread's current one: the constants of a template. To be destroyed after
/// everything that refers to them.
class FrozenObjects {
 public:
  FrozenObjects() = default;
  ~FrozenObjects();
  FrozenObjects(const FrozenObjects&) = delete;
  FrozenObjects& operator=(const FrozenObjects&) = delete;

  /// Makes it the current one for the length of a scope.
  class Scope {
   public:
    explicit Scope(FrozenObjects& objects);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

 private:
  friend void freeze(Value& value);
  std::vector<Object*> objects_;  // what an object refers to stands before it
};

/// Marks the value and all that it holds as shared by threads; a string becomes a view. Its owner is the current
/// FrozenObjects; without one it lives forever (the globals).
void freeze(Value& value);

/// "str", "int", "NoneType", ... as type(value).__name__ gives it.
std::string type_name(const Value& value);

}  // namespace chorus::jinja
