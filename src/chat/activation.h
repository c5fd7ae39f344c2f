#pragma once

#include <cstddef>
#include <memory>

#include "chat/evaluator.h"

namespace chorus::jinja {

/// A frame that functions inside refer to: it stays until the rendering ends.
struct Evaluator::KeptFrame {
  static void* operator new(size_t bytes) { return pool_allocate(bytes); }
  static void operator delete(void* frame, size_t bytes) { pool_free(frame, bytes); }

  Frame frame;
  Values slots;
};

/// The running of a function: gives it a frame and makes that the current one.
class Activation {
 public:
  Activation(Evaluator& evaluator, const FunctionInfo& function, Frame* parent)
      : evaluator_(evaluator), caller_(evaluator.frame_) {
    if (function.captured) {
      auto& kept = evaluator.kept_frames_.emplace_back(std::make_unique<Evaluator::KeptFrame>());
      charge(1 + function.slots / 4);
      kept->slots.resize(function.slots);
      kept->frame = {kept->slots.data(), parent};
      evaluator.frame_ = &kept->frame;
      return;
    }
    slots_ = function.slots;
    frame_.parent = parent;
    frame_.slots = slots_ <= few ? reinterpret_cast<Value*>(few_) : std::allocator<Value>().allocate(slots_);
    std::uninitialized_default_construct_n(frame_.slots, slots_);
    evaluator.frame_ = &frame_;
  }
  ~Activation() {
    evaluator_.frame_ = caller_;
    std::destroy_n(frame_.slots, slots_);
    if (slots_ > few) std::allocator<Value>().deallocate(frame_.slots, slots_);
  }
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;

 private:
  static constexpr size_t few = 16;

  Evaluator& evaluator_;
  Frame* caller_;
  Frame frame_;
  size_t slots_ = 0;  // of frame_
  alignas(Value) std::byte few_[few * sizeof(Value)];
};

/// Sends what is printed into a string of its own.
class Capture {
 public:
  explicit Capture(Evaluator& evaluator) : evaluator_(evaluator), outer_(evaluator.out_) {
    evaluator.out_ = &text_;
  }
  ~Capture() { evaluator_.out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  std::string take() { return std::move(text_); }

 private:
  Evaluator& evaluator_;
  std::string* outer_;
  std::string text_;
};

}  // namespace chorus::jinja
