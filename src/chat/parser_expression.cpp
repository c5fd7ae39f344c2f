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

Value integer_value(const std::string& text) {
  int base = 10;
  std::string_view digits = text;
  if (text.size() > 2 && text[0] == '0' && text[1] > '9') {
    base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
    digits.remove_prefix(2);
  }
  return BigInteger::parse(digits, base).to_value();
}

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
    : Expr(ExprKind::attribute, p), operand(std::move(o)), name(make_string(n)), method_of(types_with_method(n)) {
  freeze(name);
  auto* undefined = new Undefined(name);
  undefined->owner = "dict object";
  missing_in_dict = Value(undefined);
  freeze(missing_in_dict);
}

Parser::Nesting::Nesting(Parser& parser, int weight) : parser_(parser), weight_(weight) {
  if (parser.nesting_ + weight > max_nesting) parser.fail("the template is nested too deeply");
  parser.nesting_ += weight;
}

void Parser::deepen(Expr& node, int child_depth) const {
  if (child_depth + 1 > max_expr_depth) fail_at(node.where, "the expression is nested too deeply");
  node.depth = uint16_t(std::max<int>(node.depth, child_depth + 1));
}

template <typename Node>
ExprPtr Parser::done(std::unique_ptr<Node> node, std::initializer_list<const Expr*> children) {
  for (const Expr* child : children)
    if (child != nullptr) deepen(*node, child->depth);
  return node;
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
    auto node = std::make_unique<Binary>(ExprKind::binary, op.where, std::move(left), parse_concat(),
                                         op.token == Token::add ? BinaryOp::add : BinaryOp::sub);
    const Binary& n = *node;
    left = done(std::move(node), {n.left.get(), n.right.get()});
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

ExprPtr Parser::parse_postfix(ExprPtr operand) {
  while (true) {
    if (is(Token::dot) || is(Token::lbracket))
      operand = parse_subscript(std::move(operand));
    else if (is(Token::lparen))
      operand = parse_call(std::move(operand));
    else
      return operand;
  }
}

ExprPtr Parser::parse_filters(ExprPtr operand) {
  while (true) {
    if (is(Token::pipe))
      operand = parse_filter(std::move(operand));
    else if (is_name("is"))
      operand = parse_test(std::move(operand));
    else if (is(Token::lparen))
      operand = parse_call(std::move(operand));
    else
      return operand;
  }
}

ExprPtr Parser::parse_subscript(ExprPtr operand) {
  const Lexeme token = next();
  const int depth = operand->depth;
  if (token.token == Token::dot) {
    const Lexeme attribute = next();
    if (attribute.token == Token::name) {
      auto node = std::make_unique<Attribute>(token.where, std::move(operand), attribute.text);
      deepen(*node, depth);
      return node;
    }
    if (attribute.token != Token::integer) fail_at(attribute.where, "expected name or number");
    auto node = std::make_unique<Item>(token.where, std::move(operand),
                                       std::make_unique<Constant>(attribute.where, integer_value(attribute.text)));
    deepen(*node, depth);
    return node;
  }
  std::vector<ExprPtr> indices;
  while (!is(Token::rbracket)) {
    if (!indices.empty()) expect(Token::comma);
    indices.push_back(parse_subscribed());
  }
  expect(Token::rbracket);
  ExprPtr index;
  if (indices.size() == 1) {
    index = std::move(indices.front());
  } else {
    index = std::make_unique<Sequence>(ExprKind::tuple, token.where, std::move(indices));
    for (const ExprPtr& item : static_cast<Sequence&>(*index).items) deepen(*index, item->depth);
  }
  auto node = std::make_unique<Item>(token.where, std::move(operand), std::move(index));
  const Item& n = *node;
  return done(std::move(node), {n.operand.get(), n.index.get()});
}

ExprPtr Parser::parse_subscribed() {
  const Position where = current().where;
  ExprPtr start;
  if (!is(Token::colon)) {
    start = parse_expression();
    if (!is(Token::colon)) return start;
  }
  next();
  auto slice = std::make_unique<Slice>(where);
  slice->start = std::move(start);
  if (!is(Token::colon) && !is(Token::rbracket) && !is(Token::comma)) slice->stop = parse_expression();
  if (skip_if(Token::colon) && !is(Token::rbracket) && !is(Token::comma)) slice->step = parse_expression();
  const Slice& s = *slice;
  return done(std::move(slice), {s.start.get(), s.stop.get(), s.step.get()});
}

CallArguments Parser::parse_arguments(uint16_t& depth) {
  const Position where = expect(Token::lparen).where;
  CallArguments arguments;
  bool require_comma = false;
  const auto ensure = [&](bool valid) {
    if (!valid) fail_at(where, "invalid syntax for function call expression");
  };
  const auto argument = [&] {
    ExprPtr expr = parse_expression();
    depth = std::max(depth, expr->depth);
    return expr;
  };
  while (!is(Token::rparen)) {
    if (require_comma) {
      expect(Token::comma);
      if (is(Token::rparen)) break;
    }
    if (skip_if(Token::mul)) {
      ensure(!arguments.star && !arguments.star_star);
      arguments.star = argument();
    } else if (skip_if(Token::pow)) {
      ensure(!arguments.star_star);
      arguments.star_star = argument();
    } else if (is(Token::name) && look().token == Token::assign) {
      ensure(!arguments.star_star);
      const Lexeme key = next();
      next();
      for (const auto& [name, value] : arguments.keywords)
        if (name.text() == key.text) fail_at(key.where, "keyword argument repeated: " + key.text);
      Value name = make_string(key.text);
      freeze(name);
      arguments.keywords.emplace_back(std::move(name), argument());
    } else {
      ensure(!arguments.star && !arguments.star_star && arguments.keywords.empty());
      arguments.positional.push_back(argument());
    }
    require_comma = true;
  }
  expect(Token::rparen);
  return arguments;
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  const Position where = current().where;
  uint16_t depth = callee->depth;
  CallArguments arguments = parse_arguments(depth);
  auto node = std::make_unique<Call>(where, std::move(callee), std::move(arguments));
  deepen(*node, depth);
  return node;
}

std::string Parser::parse_dotted_name() {
  std::string name = expect(Token::name).text;
  while (skip_if(Token::dot)) name += "." + expect(Token::name).text;
  return name;
}

ExprPtr Parser::parse_filter(ExprPtr operand, bool start_inline) {
  while (is(Token::pipe) || start_inline) {
    if (!start_inline) next();
    start_inline = false;
    const Position where = current().where;
    uint16_t depth = operand ? operand->depth : 0;
    auto node = std::make_unique<FilterCall>(where, std::move(operand), parse_dotted_name());
    node->filter = find_filter(node->name);
    if (is(Token::lparen)) node->arguments = parse_arguments(depth);
    deepen(*node, depth);
    operand = std::move(node);
  }
  return operand;
}

ExprPtr Parser::parse_test(ExprPtr operand) {
  const Position where = next().where;
  const bool negated = skip_if_name("not");
  uint16_t depth = operand->depth;
  auto node = std::make_unique<TestCall>(where, std::move(operand), parse_dotted_name());
  node->test = find_test(node->name);
  const bool begins_argument = is(Token::name) || is(Token::string) || is(Token::integer) || is(Token::real) ||
                               is(Token::lbracket) || is(Token::lbrace);
  if (is(Token::lparen)) {
    node->arguments = parse_arguments(depth);
  } else if (begins_argument && !is_any_name({"else", "or", "and"})) {
    if (is_name("is")) fail("You cannot chain multiple tests with is");
    ExprPtr argument = parse_postfix(parse_primary());
    depth = std::max(depth, argument->depth);
    node->arguments.positional.push_back(std::move(argument));
  }
  deepen(*node, depth);
  if (!negated) return node;
  auto negation = std::make_unique<Unary>(ExprKind::logical_not, where, std::move(node));
  deepen(*negation, depth + 1);
  return negation;
}

}  // namespace chorus::jinja
