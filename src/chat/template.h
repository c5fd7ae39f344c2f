#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "chat/clock.h"
#include "chat/limits.h"
#include "chorus/json.h"

namespace chorus::jinja {

struct TemplateAst;
class FrozenObjects;

/// A parsed template. Immutable: any number of threads may render it at the same time.
class Template {
 public:
  /// `name` is what errors call it. Throws Fault::template_ with line and column.
  Template(std::string source, std::string name);
  ~Template();
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  /// `now` is what strftime_now shows, null = the local time. Later variables of the same name win. Throws
  /// Fault::template_ with the position; when the template called raise_exception, the error's problem() are its
  /// own words and one of the facts says "raised by": "the template".
  std::string render(std::span<const std::pair<std::string_view, const Json*>> variables, const LocalTime* now,
                     const Limits& limits = {}) const;

  const std::string& source() const { return source_; }
  const std::string& name() const { return name_; }

 private:
  std::string source_, name_;
  std::unique_ptr<FrozenObjects> constants_;  // outlives the tree
  std::unique_ptr<TemplateAst> ast_;
};

}  // namespace chorus::jinja
