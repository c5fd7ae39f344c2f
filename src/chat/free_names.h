#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "chat/ast.h"

namespace chorus::jinja {

/// Which of some special names a piece of the template reads without having assigned them before: what decides
/// whether a loop needs its `loop`, a macro its `caller`.
class FreeNames {
 public:
  explicit FreeNames(std::vector<std::string> looked_for) : open_(std::move(looked_for)) {}
  void visit(const Body& body);
  void visit(const Expr* expr);
  bool found(std::string_view name) const { return std::find(found_.begin(), found_.end(), name) != found_.end(); }

 private:
  void load(const std::string& name) {
    if (std::find(open_.begin(), open_.end(), name) != open_.end()) found_.push_back(name);
  }
  void store(const std::string& name) { std::erase(open_, name); }
  void visit(const Target& target);
  void visit(const Statement& statement);
  void visit(const MacroInfo& macro);

  std::vector<std::string> open_, found_;
};

/// Whether anything in a for statement assigns the name `loop`.
bool assigns_loop(const Statement& statement);

}  // namespace chorus::jinja
