#pragma once

#include <array>
#include <memory>

#include "chat/evaluator.h"

namespace chorus::jinja {

/// A frame that functions inside refer to: it stays until the rendering ends.
struct Evaluator::KeptFrame {
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
    if (function.slots > few_.size()) many_.reset(new Value[function.slots]);
    frame_ = {many_ ? many_.get() : few_.data(), parent};
    evaluator.frame_ = &frame_;
  }
  ~Activation() { evaluator_.frame_ = caller_; }
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;

 private:
  Evaluator& evaluator_;
  Frame* caller_;
  Frame frame_;
  std::array<Value, 8> few_;
  std::unique_ptr<Value[]> many_;
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
