#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/big_integer.h"
#include "chat/filters.h"
#include "chat/methods.h"
#include "chat/parser.h"
#include "chat/tests.h"

namespace chorus::jinja {
namespace {

constexpr int max_nesting = 200;     // of brackets and blocks in the source
constexpr int max_expr_depth = 400;  // of one expression's tree, chains of operators included

double real_value(const std::string& text) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) {  // Python takes these as infinity and zero
    const size_t e = text.find_first_of("eE");
    return e != std::string::npos && text[e + 1] == '-' ? 0.0 : HUGE_VAL;
  }
  return value;
}

}  // namespace

Attribute::Attribute(Position p, ExprPtr o, std::string_view n)
    : Expr(ExprKind::attribute, p),
      operand(std::move(o)),
      name(make_string(n)),
      methods(methods_named(n)),
      plain_in_dicts(!has_method(methods, Type::dict) && !n.starts_with("__")) {
  freeze(name);
  auto* undefined = new Undefined(name);
  undefined->owner = "dict object";
  missing_in_dict = Value(undefined);
  freeze(missing_in_dict);
}

Value integer_value(const std::string& text) {
  int base = 10;
  std::string_view digits = text;
  if (text.size() > 2 && text[0] == '0' && text[1] > '9') {
    base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
    digits.remove_prefix(2);
  }
  return BigInteger::parse(digits, base).to_value();
}

Parser::Nesting::Nesting(Parser& parser, int weight) : parser_(parser), weight_(weight) {
  if (parser.nesting_ + weight > max_nesting) parser.fail("the template is nested too deeply");
  parser.nesting_ += weight;
}

void Parser::deepen(Expr& node, int child_depth) const {
  if (child_depth + 1 > max_expr_depth) fail_at(node.where, "the expression is nested too deeply");
  node.depth = uint16_t(std::max<int>(node.depth, child_depth + 1));
}

ExprPtr Parser::parse_expression(bool with_conditional) {
  const Nesting nesting(*this);
  return with_conditional ? parse_conditional() : parse_or();
}

ExprPtr Parser::parse_conditional() {
  const Position where = current().where;
  ExprPtr result = parse_or();
  while (skip_if_name("if")) {
    ExprPtr condition = parse_or();
    ExprPtr otherwise;
    if (skip_if_name("else")) {
      const Nesting nesting(*this);
      otherwise = parse_conditional();
    }
    auto node =
        std::make_unique<Conditional>(where, std::move(condition), std::move(result), std::move(otherwise));
    const Conditional& n = *node;
    result = done(std::move(node), {n.condition.get(), n.then.get(), n.otherwise.get()});
  }
  return result;
}

ExprPtr Parser::parse_or() {
  const Position where = current().where;
  ExprPtr left = parse_and();
  while (skip_if_name("or")) {
    auto node = std::make_unique<Binary>(ExprKind::logical_or, where, std::move(left), parse_and());
    const Binary& n = *node;
    left = done(std::move(node), {n.left.get(), n.right.get()});
  }
  return left;
}

ExprPtr Parser::parse_and() {
  const Position where = current().where;
  ExprPtr left = parse_not();
  while (skip_if_name("and")) {
    auto node = std::make_unique<Binary>(ExprKind::logical_and, where, std::move(left), parse_not());
    const Binary& n = *node;
    left = done(std::move(node), {n.left.get(), n.right.get()});
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  const Position where = next().where;
  auto node = std::make_unique<Unary>(ExprKind::logical_not, where, parse_not());
  const Unary& n = *node;
  return done(std::move(node), {n.operand.get()});
}

ExprPtr Parser::parse_compare() {
  const Position where = current().where;
  ExprPtr first = parse_sum();
  std::unique_ptr<Compare> compare;
  const auto link = [&](CompareOp op) {
    if (!compare) {
      compare = std::make_unique<Compare>(where, std::move(first));
      deepen(*compare, compare->first->depth);
    }
    ExprPtr operand = parse_sum();
    deepen(*compare, operand->depth);
    compare->links.emplace_back(op, std::move(operand));
  };
  while (true) {
    switch (current().token) {
      case Token::eq:
        next();
        link(CompareOp::eq);
        continue;
      case Token::ne:
        next();
        link(CompareOp::ne);
        continue;
      case Token::lt:
        next();
        link(CompareOp::lt);
        continue;
      case Token::lteq:
        next();
        link(CompareOp::le);
        continue;
      case Token::gt:
        next();
        link(CompareOp::gt);
        continue;
      case Token::gteq:
        next();
        link(CompareOp::ge);
        continue;
      default:
        break;
    }
    if (skip_if_name("in")) {
      link(CompareOp::in);
    } else if (is_name("not") && look().token == Token::name && look().text == "in") {
      next();
      next();
      link(CompareOp::not_in);
    } else {
      break;
    }
  }
  if (compare) return compare;
  return first;
}

ExprPtr Parser::parse_sum() {
  ExprPtr left = parse_concat();
  while (is(Token::add) || is(Token::sub)) {
    const Lexeme op = next();
    ExprPtr right = parse_concat();
    if (op.token == Token::add) {
      if (left->kind != ExprKind::sum) {
        const int depth = left->depth;
        left = std::make_unique<Sum>(op.where, std::move(left));
        deepen(*left, depth);
      }
      deepen(*left, right->depth);
      static_cast<Sum&>(*left).terms.push_back({op.where, std::move(right)});
    } else {
      const int depth = std::max(left->depth, right->depth);
      left =
          std::make_unique<Binary>(ExprKind::binary, op.where, std::move(left), std::move(right), BinaryOp::sub);
      deepen(*left, depth);
    }
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  const Position where = current().where;
  ExprPtr first = parse_product();
  if (!is(Token::tilde)) return first;
  std::vector<ExprPtr> items;
  items.push_back(std::move(first));
  while (skip_if(Token::tilde)) items.push_back(parse_product());
  auto node = std::make_unique<Sequence>(ExprKind::concat, where, std::move(items));
  for (const ExprPtr& item : node->items) deepen(*node, item->depth);
  return node;
}

ExprPtr Parser::parse_product() {
  ExprPtr left = parse_power();
  while (true) {
    BinaryOp op;
    switch (current().token) {
      case Token::mul:
        op = BinaryOp::mul;
        break;
      case Token::div:
        op = BinaryOp::div;
        break;
      case Token::floordiv:
        op = BinaryOp::floordiv;
        break;
      case Token::mod:
        op = BinaryOp::mod;
        break;
      default:
        return left;
    }
    const Position where = next().where;
    auto node = std::make_unique<Binary>(ExprKind::binary, where, std::move(left), parse_power(), op);
    const Binary& n = *node;
    left = done(std::move(node), {n.left.get(), n.right.get()});
  }
}

ExprPtr Parser::parse_power() {  // associates to the left, unlike Python's
  ExprPtr left = parse_unary();
  while (is(Token::pow)) {
    const Position where = next().where;
    auto node = std::make_unique<Binary>(ExprKind::binary, where, std::move(left), parse_unary(), BinaryOp::pow);
    const Binary& n = *node;
    left = done(std::move(node), {n.left.get(), n.right.get()});
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  ExprPtr result;
  if (is(Token::sub) || is(Token::add)) {
    const Nesting nesting(*this);
    const Lexeme sign = next();
    auto node = std::make_unique<Unary>(sign.token == Token::sub ? ExprKind::negative : ExprKind::positive,
                                        sign.where, parse_unary(false));
    const Unary& n = *node;
    result = done(std::move(node), {n.operand.get()});
  } else {
    result = parse_primary();
  }
  result = parse_postfix(std::move(result));
  return with_filter ? parse_filters(std::move(result)) : std::move(result);
}

ExprPtr Parser::parse_name() {
  const Lexeme token = next();
  if (token.text == "true" || token.text == "True") return std::make_unique<Constant>(token.where, Value(true));
  if (token.text == "false" || token.text == "False") return std::make_unique<Constant>(token.where, Value(false));
  if (token.text == "none" || token.text == "None") return std::make_unique<Constant>(token.where, Value::none());
  return std::make_unique<Name>(token.where, token.text);
}

ExprPtr Parser::parse_primary() {
  const Position where = current().where;
  switch (current().token) {
    case Token::name:
      return parse_name();
    case Token::string: {
      std::string text;
      while (is(Token::string)) text += next().text;  // literals side by side are one
      return std::make_unique<Constant>(where, make_string(std::move(text)));
    }
    case Token::integer:
      return std::make_unique<Constant>(where, integer_value(next().text));
    case Token::real:
      return std::make_unique<Constant>(where, Value(real_value(next().text)));
    case Token::lparen: {
      next();
      ExprPtr inner = parse_tuple(true, true);
      expect(Token::rparen);
      return inner;
    }
    case Token::lbracket:
      return parse_list();
    case Token::lbrace:
      return parse_dict();
    default:
      fail("unexpected '" + std::string(describe(current().token)) + "'");
  }
}

bool Parser::at_tuple_end() const {
  return is(Token::variable_end) || is(Token::block_end) || is(Token::rparen);
}

ExprPtr Parser::parse_tuple(bool with_conditional, bool explicit_parentheses) {
  const Position where = current().where;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect(Token::comma);
    if (at_tuple_end()) break;
    items.push_back(parse_expression(with_conditional));
    if (!is(Token::comma)) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items.front());
    if (!explicit_parentheses)
      fail("Expected an expression, got '" + std::string(describe(current().token)) + "'");
  }
  auto node = std::make_unique<Sequence>(ExprKind::tuple, where, std::move(items));
  for (const ExprPtr& item : node->items) deepen(*node, item->depth);
  return node;
}

ExprPtr Parser::parse_list() {
  const Position where = expect(Token::lbracket).where;
  std::vector<ExprPtr> items;
  while (!is(Token::rbracket)) {
    if (!items.empty()) expect(Token::comma);
    if (is(Token::rbracket)) break;
    items.push_back(parse_expression());
  }
  expect(Token::rbracket);
  auto node = std::make_unique<Sequence>(ExprKind::list, where, std::move(items));
  for (const ExprPtr& item : node->items) deepen(*node, item->depth);
  return node;
}

ExprPtr Parser::parse_dict() {
  auto node = std::make_unique<DictDisplay>(expect(Token::lbrace).where);
  while (!is(Token::rbrace)) {
    if (!node->items.empty()) expect(Token::comma);
    if (is(Token::rbrace)) break;
    ExprPtr key = parse_expression();
    expect(Token::colon);
    ExprPtr value = parse_expression();
    deepen(*node, std::max(key->depth, value->depth));
    node->items.emplace_back(std::move(key), std::move(value));
  }
  expect(Token::rbrace);
  return node;
}

}  // namespace chorus::jinja
