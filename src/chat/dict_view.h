#pragma once

#include "chat/value.h"

namespace chorus::jinja {

/// dict.keys(), dict.values(), dict.items()
class DictView : public Opaque {
 public:
  enum class Part : uint8_t { keys, values, items };
  DictView(Value dict, Part part) : dict_(std::move(dict)), part_(part) {}

  std::string type_name() const override;
  std::string repr() const override;
  bool iterable() const override { return true; }
  Value iterate() override;
  int64_t length() const override { return int64_t(dict_.dict().size()); }
  Value at(size_t i) const;
  const Value& dict() const { return dict_; }
  Part part() const { return part_; }

 private:
  Value dict_;
  Part part_;
};

}  // namespace chorus::jinja
