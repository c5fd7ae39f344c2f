#include "chat/filters.h"
#include "chat/parser.h"
#include "chat/tests.h"

namespace chorus::jinja {

// What follows a primary expression: attributes, elements, calls, filters and tests.

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
