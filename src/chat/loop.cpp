#include "chat/loop.h"

#include "chat/callables.h"
#include "chat/failure.h"

namespace chorus::jinja {

bool Loop::peek() {
  return !after_.is_missing() || cursor_.next(after_);
}

bool Loop::advance() {
  if (!peek()) return false;
  ++index0_;
  before_ = std::move(current_);
  current_ = std::move(after_);
  after_ = Value();
  return true;
}

Value Loop::next() {
  if (!advance()) return {};
  return make_tuple({current_, Value(this)});
}

int64_t Loop::count() {
  if (length_ >= 0) return length_;
  Value rest = make_list(cursor_.rest());
  length_ = int64_t(rest.list().items.size()) + index0_ + 1 + (after_.is_missing() ? 0 : 1);
  cursor_ = Cursor(rest);
  return length_;
}

std::string Loop::repr() const {
  return "<LoopContext " + std::to_string(index0_ + 1) + "/" + std::to_string(length()) + ">";
}

void Loop::clear() {
  before_ = current_ = after_ = last_checked_ = Value();
  cursor_ = Cursor(make_list({}));
  length_ = 0;
}

Value Loop::attribute(Evaluator&, std::string_view name) {
  if (name == "last") return Value(!peek());
  if (name == "first") return Value(index0_ == 0);
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "previtem") return index0_ == 0 ? make_undefined_hint("there is no previous item") : before_;
  if (name == "nextitem") return peek() ? after_ : make_undefined_hint("there is no next item");
  if (name == "length") return Value(count());
  if (name == "revindex") return Value(count() - index0_);
  if (name == "revindex0") return Value(count() - index0_ - 1);
  if (name == "depth") return Value(int64_t(depth_ + 1));
  if (name == "depth0") return Value(int64_t(depth_));
  if (name == "cycle")
    return make_callable("cycle", Value(this), [](Evaluator&, const Value& self, const Arguments& arguments) {
      return static_cast<Loop&>(self.opaque()).cycle(arguments);
    });
  if (name == "changed")
    return make_callable("changed", Value(this), [](Evaluator&, const Value& self, const Arguments& arguments) {
      return static_cast<Loop&>(self.opaque()).changed(arguments);
    });
  return {};
}

Value Loop::cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) fail_type("no items for cycling given");
  return arguments.positional[size_t(index0_) % arguments.positional.size()];
}

Value Loop::changed(const Arguments& arguments) {
  Value now = make_tuple({arguments.positional.begin(), arguments.positional.end()});
  if (!last_checked_.is_missing() && equal(last_checked_, now)) return Value(false);
  last_checked_ = std::move(now);
  return Value(true);
}

Value Loop::call(Evaluator& evaluator, const Arguments& arguments) {
  if (recursive_ == nullptr) fail_type("The loop must have the 'recursive' marker to be called recursively.");
  if (arguments.positional.size() != 1) fail_type("loop() takes one iterable");
  return evaluator.run_recursive_loop(*recursive_, arguments.positional[0], depth_ + 1, parent_);
}

}  // namespace chorus::jinja
