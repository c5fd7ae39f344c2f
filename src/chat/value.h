#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
constexpr bool is_object(Type type) {
  return type >= Type::undefined;
}

/// What a Value points to. Not atomic: the values of a rendering belong to its thread. What a Template owns is
/// `shared` by threads and lives as long as the template: its count is never touched.
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

class Value {
 public:
  Value() : type_(Type::missing) { as_.integer = 0; }
  explicit Value(bool b) : type_(Type::boolean) { as_.boolean = b; }
  explicit Value(int64_t i) : type_(Type::integer) { as_.integer = i; }
  explicit Value(double d) : type_(Type::real) { as_.real = d; }
  explicit Value(Object* object) : type_(object->type) {
    as_.object = object;
    retain();
  }
  Value(const Value& other) : type_(other.type_), as_(other.as_) {
    if (is_object(type_)) retain();
  }
  Value(Value&& other) noexcept : type_(other.type_), as_(other.as_) { other.type_ = Type::missing; }
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
    if (is_object(type_)) release();
  }
  void swap(Value& other) noexcept {
    std::swap(type_, other.type_);
    std::swap(as_, other.as_);
  }

  static Value none() {
    Value v;
    v.type_ = Type::none;
    return v;
  }

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_missing() const { return type_ == Type::missing; }
  bool is_none() const { return type_ == Type::none; }
  bool is_string() const { return type_ == Type::string; }
  bool is_integral() const { return type_ == Type::integer || type_ == Type::boolean; }
  bool is_number() const { return is_integral() || type_ == Type::real || type_ == Type::big_integer; }
  bool is_sequence() const { return type_ == Type::list || type_ == Type::tuple; }

  bool boolean() const { return as_.boolean; }
  int64_t integer() const { return type_ == Type::boolean ? int64_t(as_.boolean) : as_.integer; }
  double real() const { return as_.real; }
  Object* object() const { return as_.object; }
  inline Str& str() const;
  inline std::string_view text() const;
  inline List& list() const;
  inline Dict& dict() const;
  inline Namespace& name_space() const;
  inline Range& range() const;
  inline Undefined& undefined() const;
  const BigInteger& big() const;
  inline Opaque& opaque() const;

  /// Python's `is`.
  bool same_as(const Value& other) const;
  /// Nobody else holds this object: it may be changed in place.
  bool unique() const { return is_object(type_) && !as_.object->shared && as_.object->references == 1; }

 private:
  void retain() {
    if (!as_.object->shared) ++as_.object->references;
  }
  void release() noexcept {
    if (!as_.object->shared && --as_.object->references == 0) destroy(as_.object);
  }

  Type type_;
  union {
    bool boolean;
    int64_t integer;
    double real;
    Object* object;
  } as_;
};

using Values = std::vector<Value, PoolAllocator<Value>>;

/// A string of Unicode text, kept as UTF-8. `markup` strings are HTML that is not escaped again (the `safe` and
/// `escape` filters make them).
class Str : public Object {
 public:
  explicit Str(std::string text, bool is_markup = false);
  struct Borrowed {
    std::string_view text;  ///< somebody else keeps it for as long as the Str lives
    int64_t length;         ///< in code points, -1 = not known
  };
  explicit Str(Borrowed borrowed);
  ~Str() override;

  std::string_view text() const { return text_; }
  size_t length() const { return length_ >= 0 ? size_t(length_) : count(); }  ///< in code points
  bool ascii() const { return length() == text_.size(); }
  size_t hash() const;
  /// Adds to a string that nobody else holds.
  void append(std::string_view more);
  /// Fills the caches, so that reading never writes.
  void freeze();

  const bool markup;

 private:
  size_t count() const;

  std::string own_;  // empty where somebody else keeps the text
  std::string_view text_;
  mutable int64_t length_ = -1;
  mutable size_t hash_ = 0;  // 0 = not computed
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
  Dict() : Object(Type::dict) {}
  ~Dict() override;

  using Item = std::pair<Value, Value>;
  using Items = std::vector<Item, PoolAllocator<Item>>;
  const Items& items() const { return items_; }
  size_t size() const { return items_.size(); }
  void reserve(size_t n) { items_.reserve(n); }
  /// Throws TypeError for a key that is not hashable.
  void set(Value key, Value value);
  void set(std::string_view key, Value value);
  void clear() {
    items_.clear();
    index_.clear();
  }
  /// Null where there is none.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// The same for a string whose hash may be known already.
  const Value* find(const Str& key) const;
  /// set() for a key that is known to be new.
  void add(Value key, Value value);

 private:
  ptrdiff_t index_of(const Value& key, size_t hash) const;
  ptrdiff_t index_of(std::string_view key, const Str* hashed) const;
  void build_index();

  Items items_;
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

inline Str& Value::str() const {
  return *static_cast<Str*>(as_.object);
}
inline std::string_view Value::text() const {
  return str().text();
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

/// JSON as Python's json module reads it. Its strings stay where they are: `json` must outlive the value.
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
  friend void freeze(const Value& value);
  std::vector<Object*> objects_;  // what an object refers to stands before it
};

/// Marks the value and all that it holds as shared by threads. Its owner is the current FrozenObjects; without one
/// it lives forever (the globals).
void freeze(const Value& value);

/// "str", "int", "NoneType", ... as type(value).__name__ gives it.
std::string type_name(const Value& value);

}  // namespace chorus::jinja
