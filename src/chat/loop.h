#pragma once

#include "chat/evaluator.h"
#include "chat/operations.h"

namespace chorus::jinja {

/// The `loop` of a for statement. It looks one element ahead only when asked for `last` or `nextitem`.
class Loop : public Opaque {
 public:
  Loop(const Value& iterable, int depth, const For* recursive, Frame* parent)
      : cursor_(iterable), length_(cursor_.length()), depth_(depth), recursive_(recursive), parent_(parent) {}

  /// Moves to the next element; false at the end.
  bool advance();
  const Value& current() const { return current_; }

  std::string type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  Value attribute(Evaluator& evaluator, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Evaluator& evaluator, const Arguments& arguments) override;
  bool iterable() const override { return true; }
  Value next() override;
  int64_t length() const override { return const_cast<Loop*>(this)->count(); }
  /// Drops what it refers to, when the rendering ends.
  void clear();

  Value cycle(const Arguments& arguments) const;
  Value changed(const Arguments& arguments);

 private:
  int64_t count();
  bool peek();

  Cursor cursor_;
  int64_t length_;
  int64_t index0_ = -1;
  int depth_;
  Value before_, current_, after_;
  Value last_checked_;
  const For* recursive_;  // null = loop() is an error
  Frame* parent_;
};

}  // namespace chorus::jinja
