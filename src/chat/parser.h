#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "chat/ast.h"
#include "chat/lexer.h"

namespace chorus::jinja {

/// Recursive descent over Jinja2's grammar, with the extensions of chat templates: break, continue, generation.
/// Expressions are in parser_expression.cpp, statements in parser_statement.cpp.
class Parser {
 public:
  explicit Parser(std::vector<Lexeme> lexemes) : lexemes_(std::move(lexemes)) {}
  /// Throws Cause::syntax.
  Body parse_template();

 private:
  class Nesting;
  using Names = std::initializer_list<std::string_view>;

  // ---- the stream of tokens
  const Lexeme& current() const { return lexemes_[at_]; }
  const Lexeme& look() const { return lexemes_[at_ + 1 < lexemes_.size() ? at_ + 1 : at_]; }
  bool is(Token token) const { return current().token == token; }
  bool is_name(std::string_view name) const { return is(Token::name) && current().text == name; }
  bool is_any_name(Names names) const;
  Lexeme next();
  bool skip_if(Token token);
  bool skip_if_name(std::string_view name);
  Lexeme expect(Token token);
  Position expect_name(std::string_view name);
  [[noreturn]] void fail(std::string message) const { fail_at(current().where, std::move(message)); }
  [[noreturn]] void fail_at(Position where, std::string message) const {
    throw Failure{Cause::syntax, std::move(message), where};
  }
  [[noreturn]] void fail_unknown_tag(const std::string* name, Position where) const;

  // ---- expressions
  ExprPtr parse_expression(bool with_conditional = true);
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_tuple(bool with_conditional = true, bool explicit_parentheses = false);
  bool at_tuple_end() const;
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr operand);
  ExprPtr parse_filters(ExprPtr operand);
  ExprPtr parse_subscript(ExprPtr operand);
  ExprPtr parse_subscribed();
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filter(ExprPtr operand, bool start_inline = false);
  ExprPtr parse_test(ExprPtr operand);
  std::string parse_dotted_name();
  CallArguments parse_arguments(uint16_t& depth);
  /// Sets the depth of a node from its children's.
  template <typename Node>
  ExprPtr done(std::unique_ptr<Node> node, std::initializer_list<const Expr*> children) const {
    for (const Expr* child : children)
      if (child != nullptr) deepen(*node, child->depth);
    return node;
  }
  void deepen(Expr& node, int child_depth) const;

  // ---- statements
  Body parse_until(Names end_tags);
  Body parse_body(Names end_tags);
  std::unique_ptr<Statement> parse_statement();
  std::unique_ptr<Statement> parse_tag(const std::string& tag, Position where);
  std::unique_ptr<Statement> parse_if(Position where);
  std::unique_ptr<Statement> parse_for(Position where);
  std::unique_ptr<Statement> parse_set(Position where);
  std::unique_ptr<Statement> parse_macro(Position where);
  std::unique_ptr<Statement> parse_call_block(Position where);
  std::unique_ptr<Statement> parse_filter_block(Position where);
  std::unique_ptr<Statement> parse_with(Position where);
  std::unique_ptr<Statement> parse_block(Position where);
  std::unique_ptr<Statement> parse_autoescape(Position where);
  std::unique_ptr<Statement> parse_generation(Position where);
  std::unique_ptr<Statement> parse_print(Position where);
  std::unique_ptr<Statement> parse_load(const std::string& tag, Position where);
  void parse_from_names(Load& load);
  void parse_signature(std::vector<Parameter>& parameters);
  Target parse_target(bool with_namespace, bool explicit_parentheses = false);
  Target parse_single_target(bool with_namespace);
  std::string parse_assignable_name();

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
  int nesting_ = 0;
  std::vector<std::string> open_tags_;
  std::vector<std::vector<std::string_view>> awaited_;  // end tags of the open statements
};

/// The value of an integer literal's lexeme.
Value integer_value(const std::string& text);

/// Bounds the parser's own recursion.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser, int weight = 1);
  ~Nesting() { parser_.nesting_ -= weight_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
  int weight_;
};

}  // namespace chorus::jinja
