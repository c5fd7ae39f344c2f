#include <algorithm>

#include "chat/folding.h"
#include "chat/parser.h"

namespace chorus::jinja {
namespace {

constexpr int statement_weight = 2;  // a block costs as much of the nesting as two brackets

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

std::string describe(const Lexeme& lexeme) {
  return lexeme.token == Token::name ? lexeme.text : std::string(describe(lexeme.token));
}

}  // namespace

// ---- the stream of tokens

Lexeme Parser::next() {
  Lexeme token = current();
  if (at_ + 1 < lexemes_.size()) ++at_;
  return token;
}

bool Parser::is_any_name(Names names) const {
  return is(Token::name) && std::find(names.begin(), names.end(), current().text) != names.end();
}

bool Parser::skip_if(Token token) {
  if (!is(token)) return false;
  next();
  return true;
}

bool Parser::skip_if_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

Lexeme Parser::expect(Token token) {
  if (is(token)) return next();
  const std::string expected(jinja::describe(token));
  if (is(Token::eof)) fail("unexpected end of template, expected " + in_quotes(expected) + ".");
  fail("expected token " + in_quotes(expected) + ", got " + in_quotes(describe(current())));
}

Position Parser::expect_name(std::string_view name) {
  if (is_name(name)) return next().where;
  if (is(Token::eof)) fail("unexpected end of template, expected " + in_quotes(name) + ".");
  fail("expected token " + in_quotes(name) + ", got " + in_quotes(describe(current())));
}

void Parser::fail_unknown_tag(const std::string* name, Position where) const {
  std::string looking;
  bool misplaced = false;
  if (!awaited_.empty())
    for (const std::string_view tag : awaited_.back()) looking += (looking.empty() ? "" : " or ") + in_quotes(tag);
  for (const auto& tags : awaited_)
    misplaced = misplaced || (name != nullptr && std::find(tags.begin(), tags.end(), *name) != tags.end());
  std::string message =
      name == nullptr ? "Unexpected end of template." : "Encountered unknown tag " + in_quotes(*name) + ".";
  if (!looking.empty() && misplaced)
    message += " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for " +
               looking + ".";
  else if (!looking.empty())
    message += " Jinja was looking for the following tags: " + looking + ".";
  if (!open_tags_.empty())
    message += " The innermost block that needs to be closed is " + in_quotes(open_tags_.back()) + ".";
  fail_at(where, message);
}

// ---- statements

Body Parser::parse_template() {
  Body body = parse_until({});
  return body;
}

// Text, prints and statements up to one of the end tags, whose name is then the current token.
Body Parser::parse_until(Names end_tags) {
  Body body;
  std::unique_ptr<Output> output;
  const auto add = [&](ExprPtr part) {
    if (!output) output = std::make_unique<Output>(part->where);
    output->parts.push_back(std::move(part));
  };
  const auto flush = [&] {
    if (output) body.push_back(std::move(output));
  };
  if (end_tags.size() > 0) awaited_.emplace_back(end_tags);
  while (!is(Token::eof)) {
    if (is(Token::data)) {
      Lexeme data = next();
      add(std::make_unique<Constant>(data.where, make_string(std::move(data.text))));
    } else if (skip_if(Token::variable_begin)) {
      ExprPtr printed = parse_tuple();
      mark_folded_slices(*printed);
      add(std::move(printed));
      expect(Token::variable_end);
    } else {
      flush();
      expect(Token::block_begin);
      if (end_tags.size() > 0 && is_any_name(end_tags)) {
        awaited_.pop_back();
        return body;
      }
      body.push_back(parse_statement());
      expect(Token::block_end);
    }
  }
  flush();
  if (end_tags.size() > 0) fail_unknown_tag(nullptr, current().where);
  return body;
}

Body Parser::parse_body(Names end_tags) {
  const Nesting nesting(*this, statement_weight);
  skip_if(Token::colon);
  expect(Token::block_end);
  return parse_until(end_tags);
}

std::unique_ptr<Statement> Parser::parse_statement() {
  if (!is(Token::name)) fail("tag name expected");
  const Lexeme tag = next();
  open_tags_.push_back(tag.text);
  auto statement = parse_tag(tag.text, tag.where);
  open_tags_.pop_back();
  if (!statement) fail_unknown_tag(&tag.text, tag.where);
  return statement;
}

std::unique_ptr<Statement> Parser::parse_tag(const std::string& tag, Position where) {
  if (tag == "if") return parse_if(where);
  if (tag == "for") return parse_for(where);
  if (tag == "set") return parse_set(where);
  if (tag == "macro") return parse_macro(where);
  if (tag == "call") return parse_call_block(where);
  if (tag == "filter") return parse_filter_block(where);
  if (tag == "with") return parse_with(where);
  if (tag == "block") return parse_block(where);
  if (tag == "autoescape") return parse_autoescape(where);
  if (tag == "generation") return parse_generation(where);
  if (tag == "print") return parse_print(where);
  if (tag == "break") return std::make_unique<LoopControl>(StatementKind::break_, where);
  if (tag == "continue") return std::make_unique<LoopControl>(StatementKind::continue_, where);
  if (tag == "include" || tag == "extends" || tag == "import" || tag == "from") return parse_load(tag, where);
  open_tags_.pop_back();  // so that the message names the block around it
  fail_unknown_tag(&tag, where);
}

std::unique_ptr<Statement> Parser::parse_if(Position where) {
  auto node = std::make_unique<If>(where);
  while (true) {
    ExprPtr condition = parse_tuple(false);
    Body body = parse_body({"elif", "else", "endif"});
    node->branches.emplace_back(std::move(condition), std::move(body));
    if (skip_if_name("elif")) continue;
    if (skip_if_name("else")) node->otherwise = parse_body({"endif"});
    expect_name("endif");
    return node;
  }
}

std::unique_ptr<Statement> Parser::parse_for(Position where) {
  auto node = std::make_unique<For>(where);
  node->target = parse_target(false);
  expect_name("in");
  node->iterable = parse_tuple(false);
  if (skip_if_name("if")) node->condition = parse_expression();
  node->recursive = skip_if_name("recursive");
  node->body = parse_body({"endfor", "else"});
  if (skip_if_name("else")) {
    node->has_otherwise = true;
    node->otherwise = parse_body({"endfor"});
  }
  expect_name("endfor");
  return node;
}

std::unique_ptr<Statement> Parser::parse_set(Position where) {
  Target target = parse_target(true);
  if (skip_if(Token::assign)) {
    auto node = std::make_unique<Set>(where);
    node->target = std::move(target);
    node->value = parse_tuple();
    return node;
  }
  auto node = std::make_unique<SetBlock>(where);
  node->target = std::move(target);
  node->filter = parse_filter(nullptr);
  node->body = parse_body({"endset"});
  expect_name("endset");
  return node;
}

void Parser::parse_signature(std::vector<Parameter>& parameters) {
  expect(Token::lparen);
  bool has_default = false;
  while (!is(Token::rparen)) {
    if (!parameters.empty()) expect(Token::comma);
    Parameter parameter;
    parameter.where = current().where;
    parameter.name = parse_assignable_name();
    parameter.name_value = make_string(parameter.name);
    freeze(parameter.name_value);
    auto* undefined = new Undefined(parameter.name_value);
    undefined->hint = "parameter '" + parameter.name + "' was not provided";
    parameter.undefined = Value(undefined);
    freeze(parameter.undefined);
    if (skip_if(Token::assign)) {
      parameter.default_value = parse_expression();
      has_default = true;
    } else if (has_default) {
      fail("non-default argument follows default argument");
    }
    parameters.push_back(std::move(parameter));
  }
  expect(Token::rparen);
}

std::unique_ptr<Statement> Parser::parse_macro(Position where) {
  auto node = std::make_unique<MacroStatement>(where);
  node->macro.name = parse_assignable_name();
  parse_signature(node->macro.parameters);
  node->macro.body = parse_body({"endmacro"});
  expect_name("endmacro");
  return node;
}

std::unique_ptr<Statement> Parser::parse_call_block(Position where) {
  auto node = std::make_unique<CallBlock>(where);
  node->caller.name = "caller";
  node->caller.anonymous = true;
  if (is(Token::lparen)) parse_signature(node->caller.parameters);
  node->call = parse_expression();
  if (node->call->kind != ExprKind::call) fail_at(where, "expected call");
  node->caller.body = parse_body({"endcall"});
  expect_name("endcall");
  return node;
}

// Training code marks with this tag what the model wrote; it prints what it holds. As in transformers it is a call
// block: variables set inside stay inside.
std::unique_ptr<Statement> Parser::parse_generation(Position where) {
  auto node = std::make_unique<CallBlock>(where);
  node->caller.name = "caller";
  node->caller.anonymous = true;
  node->caller.body = parse_body({"endgeneration"});
  expect_name("endgeneration");
  return node;
}

std::unique_ptr<Statement> Parser::parse_filter_block(Position where) {
  auto node = std::make_unique<FilterBlock>(where);
  node->filter = parse_filter(nullptr, true);
  node->body = parse_body({"endfilter"});
  expect_name("endfilter");
  return node;
}

std::unique_ptr<Statement> Parser::parse_with(Position where) {
  auto node = std::make_unique<With>(where);
  while (!is(Token::block_end)) {
    if (!node->assignments.empty()) expect(Token::comma);
    Target target = parse_target(false);
    expect(Token::assign);
    node->assignments.emplace_back(std::move(target), parse_expression());
  }
  node->body = parse_body({"endwith"});
  expect_name("endwith");
  return node;
}

std::unique_ptr<Statement> Parser::parse_block(Position where) {
  auto node = std::make_unique<Block>(where);
  node->name = expect(Token::name).text;
  node->scoped = skip_if_name("scoped");
  node->required = skip_if_name("required");
  node->body = parse_body({"endblock"});
  expect_name("endblock");
  skip_if_name(node->name);
  return node;
}

std::unique_ptr<Statement> Parser::parse_autoescape(Position where) {
  auto node = std::make_unique<Autoescape>(where);
  node->enabled = parse_expression();
  node->body = parse_body({"endautoescape"});
  expect_name("endautoescape");
  return node;
}

std::unique_ptr<Statement> Parser::parse_print(Position where) {
  auto node = std::make_unique<Output>(where);
  while (!is(Token::block_end)) {
    if (!node->parts.empty()) expect(Token::comma);
    node->parts.push_back(parse_expression());
    mark_folded_slices(*node->parts.back());
  }
  return node;
}

std::unique_ptr<Statement> Parser::parse_load(const std::string& tag, Position where) {
  auto node = std::make_unique<Load>(where);
  node->template_name = parse_expression();
  if (tag == "import") {
    expect_name("as");
    node->targets.push_back(parse_assignable_name());
  } else if (tag == "from") {
    expect_name("import");
    parse_from_names(*node);
  } else if (tag == "include" && is_name("ignore") && look().text == "missing") {
    next();
    next();
  }
  if (is_any_name({"with", "without"}) && look().text == "context") {
    next();
    next();
  }
  return node;
}

void Parser::parse_from_names(Load& load) {
  while (true) {
    if (!load.targets.empty()) expect(Token::comma);
    if (is_any_name({"with", "without"}) && look().text == "context") return;
    std::string name = parse_assignable_name();
    if (name.starts_with('_')) fail("names starting with an underline can not be imported");
    if (skip_if_name("as")) name = parse_assignable_name();
    load.targets.push_back(std::move(name));
    if (!is(Token::comma)) return;
  }
}

// ---- what can be assigned to

std::string Parser::parse_assignable_name() {
  const Lexeme token = expect(Token::name);
  for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"})
    if (token.text == reserved) fail_at(token.where, "can't assign to 'name'");
  return token.text;
}

Target Parser::parse_single_target(bool with_namespace) {
  Target target;
  target.where = current().where;
  if (is(Token::lparen)) {
    const Nesting nesting(*this);
    next();
    target = parse_target(false, true);
    expect(Token::rparen);
    return target;
  }
  if (!is(Token::name)) {
    if (is(Token::string) || is(Token::integer) || is(Token::real)) fail("can't assign to 'const'");
    if (is(Token::lbracket)) fail("can't assign to 'list'");
    if (is(Token::lbrace)) fail("can't assign to 'dict'");
    fail("unexpected '" + std::string(jinja::describe(current().token)) + "'");
  }
  if (with_namespace && look().token == Token::dot) {
    target.kind = Target::Kind::attribute;
    target.name = next().text;
    next();
    target.attribute = make_string(expect(Token::name).text);
    freeze(target.attribute);
    return target;
  }
  target.name = parse_assignable_name();
  return target;
}

Target Parser::parse_target(bool with_namespace, bool explicit_parentheses) {
  Target tuple;
  tuple.kind = Target::Kind::tuple;
  tuple.where = current().where;
  bool is_tuple = false;
  while (true) {
    if (!tuple.parts.empty()) expect(Token::comma);
    if (at_tuple_end()) break;
    tuple.parts.push_back(parse_single_target(with_namespace));
    if (!is(Token::comma)) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!tuple.parts.empty()) return std::move(tuple.parts.front());
    if (!explicit_parentheses)
      fail("Expected an expression, got '" + std::string(jinja::describe(current().token)) + "'");
  }
  return tuple;
}

}  // namespace chorus::jinja
