#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "chat/failure.h"
#include "chat/value.h"

namespace chorus::jinja {

// A parsed template. The parser fills in what the source says, the binder (binder.h) where each name's value is to
// be found; evaluation only reads.

/// Where a variable lives: `slot` of the frame of the function `hops` levels out, or, for a name that nobody
/// assigns, the `slot`th variable that the caller of render() gave.
struct Variable {
  uint16_t hops = 0;
  uint16_t slot = 0;
  bool in_context = false;
};

// ---- expressions

enum class ExprKind : uint8_t {
  constant,
  name,
  tuple,
  list,
  dict,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
  negative,
  positive,
  logical_not,
  logical_and,
  logical_or,
  binary,
  sum,
  concat,
  compare,
  conditional,
};

struct Expr {
  explicit Expr(ExprKind k, Position p) : kind(k), where(p) {}
  virtual ~Expr() = default;
  const ExprKind kind;
  uint16_t depth = 1;  ///< of the tree below: bounded, so that recursion over it is
  Position where;
};
using ExprPtr = std::unique_ptr<Expr>;

struct Constant : Expr {
  Constant(Position p, Value v) : Expr(ExprKind::constant, p), value(std::move(v)) { freeze(value); }
  Value value;
};

struct Name : Expr {
  Name(Position p, std::string n) : Expr(ExprKind::name, p), name(std::move(n)), undefined(make_undefined(name)) {
    freeze(undefined);
  }
  std::string name;
  Variable variable;
  Value undefined;  ///< its value where it has none
};

/// Tuples, lists, and the operands of `~`.
struct Sequence : Expr {
  Sequence(ExprKind k, Position p, std::vector<ExprPtr> i) : Expr(k, p), items(std::move(i)) {}
  std::vector<ExprPtr> items;
};

struct DictDisplay : Expr {
  explicit DictDisplay(Position p) : Expr(ExprKind::dict, p) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};

struct NamedMethods;

/// operand.name
struct Attribute : Expr {
  Attribute(Position p, ExprPtr o, std::string_view n);
  ExprPtr operand;
  Value name;                   ///< a string
  const NamedMethods& methods;  ///< of that name
  bool plain_in_dicts;          ///< no method of dicts, nor perhaps an attribute that the sandbox hides ("__")
  Value missing_in_dict;        ///< the Undefined that a dict without that key gives
};

/// operand[index]
struct Item : Expr {
  Item(Position p, ExprPtr o, ExprPtr i) : Expr(ExprKind::item, p), operand(std::move(o)), index(std::move(i)) {}
  ExprPtr operand, index;
  bool folded = false;  ///< part of a constant that is printed: see folding.h
};

/// start:stop:step inside brackets; each may be null.
struct Slice : Expr {
  explicit Slice(Position p) : Expr(ExprKind::slice, p) {}
  ExprPtr start, stop, step;
};

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<Value, ExprPtr>> keywords;  // names are frozen strings
  ExprPtr star, star_star;                          // *sequence, **mapping; null = none
  bool plain() const { return keywords.empty() && !star && !star_star; }
};

struct Call : Expr {
  Call(Position p, ExprPtr c, CallArguments a)
      : Expr(ExprKind::call, p), callee(std::move(c)), arguments(std::move(a)) {}
  ExprPtr callee;
  CallArguments arguments;
};

struct Filter;
struct Test;

/// operand|name(arguments); a null operand is the text of the surrounding filter or set block.
struct FilterCall : Expr {
  FilterCall(Position p, ExprPtr o, std::string n)
      : Expr(ExprKind::filter, p), operand(std::move(o)), name(std::move(n)) {}
  ExprPtr operand;
  std::string name;
  const Filter* filter = nullptr;  ///< null: unknown, which is an error only where it is used (inside an if)
  CallArguments arguments;
};

/// operand is name(arguments)
struct TestCall : Expr {
  TestCall(Position p, ExprPtr o, std::string n)
      : Expr(ExprKind::test, p), operand(std::move(o)), name(std::move(n)) {}
  ExprPtr operand;
  std::string name;
  const Test* test = nullptr;
  CallArguments arguments;
};

struct Unary : Expr {
  Unary(ExprKind k, Position p, ExprPtr o) : Expr(k, p), operand(std::move(o)) {}
  ExprPtr operand;
};

/// first + term + term ...
struct Sum : Expr {
  Sum(Position p, ExprPtr f) : Expr(ExprKind::sum, p), first(std::move(f)) {}
  struct Term {
    Position where;  // of the +
    ExprPtr value;
  };
  ExprPtr first;
  std::vector<Term> terms;
};

enum class BinaryOp : uint8_t { add, sub, mul, div, floordiv, mod, pow };

/// Arithmetic but for +, and, or.
struct Binary : Expr {
  Binary(ExprKind k, Position p, ExprPtr l, ExprPtr r, BinaryOp o = BinaryOp::add)
      : Expr(k, p), op(o), left(std::move(l)), right(std::move(r)) {}
  BinaryOp op;
  ExprPtr left, right;
};

enum class CompareOp : uint8_t { eq, ne, lt, le, gt, ge, in, not_in };

/// first op operand op operand ...: each operand is evaluated once, and only while the links hold.
struct Compare : Expr {
  Compare(Position p, ExprPtr f) : Expr(ExprKind::compare, p), first(std::move(f)) {}
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> links;
};

/// then if condition else otherwise (null: undefined)
struct Conditional : Expr {
  Conditional(Position p, ExprPtr c, ExprPtr t, ExprPtr o)
      : Expr(ExprKind::conditional, p), condition(std::move(c)), then(std::move(t)), otherwise(std::move(o)) {}
  ExprPtr condition, then, otherwise;
};

// ---- what can be assigned to

/// A name, namespace.attribute, or a tuple of targets.
struct Target {
  enum class Kind : uint8_t { name, attribute, tuple } kind = Kind::name;
  Position where;
  std::string name;  // of the variable, or of the namespace
  Variable variable;
  Value attribute;  // a string
  std::vector<Target> parts;
};

// ---- statements

enum class StatementKind : uint8_t {
  output,
  if_,
  for_,
  set,
  set_block,
  macro,
  call_block,
  filter_block,
  with,
  block,
  autoescape,
  break_,
  continue_,
  load,
};

struct Statement {
  Statement(StatementKind k, Position p) : kind(k), where(p) {}
  virtual ~Statement() = default;
  const StatementKind kind;
  Position where;
};
using Body = std::vector<std::unique_ptr<Statement>>;

/// How a variable of a scope gets its first value each time the scope is entered.
struct Initial {
  uint16_t slot;
  enum class From : uint8_t { missing, context, outer } from;
  Variable source;
};

/// A part of a function with variables of its own: a loop's body, a with block, ...
struct Scope {
  std::vector<Initial> initial;
};

/// What has a frame of its own: the template, a macro, a call block, a block, a recursive loop, a loop's
/// condition.
struct FunctionInfo {
  uint16_t slots = 0;
  bool captured = false;  ///< functions inside refer to its frame: it lives until the rendering ends
  Scope scope;
};

struct Output : Statement {
  explicit Output(Position p) : Statement(StatementKind::output, p) {}
  std::vector<ExprPtr> parts;  // template text is a constant
};

struct If : Statement {
  explicit If(Position p) : Statement(StatementKind::if_, p) {}
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};

struct For : Statement {
  explicit For(Position p) : Statement(StatementKind::for_, p) {}
  Target target;
  ExprPtr iterable;
  ExprPtr condition;  // null = none
  bool recursive = false;
  Body body, otherwise;
  bool has_otherwise = false;

  bool uses_loop = false;
  Variable loop;
  Scope body_scope, otherwise_scope;
  Target condition_target;  // the same as target, in the condition's own frame
  FunctionInfo condition_function;
  FunctionInfo recursive_function;
};

struct Set : Statement {
  explicit Set(Position p) : Statement(StatementKind::set, p) {}
  Target target;
  ExprPtr value;
};

struct SetBlock : Statement {
  explicit SetBlock(Position p) : Statement(StatementKind::set_block, p) {}
  Target target;
  ExprPtr filter;  // a chain of FilterCalls that ends in one with a null operand; null = none
  Body body;
  Scope scope;
};

struct Parameter {
  std::string name;
  Position where;
  ExprPtr default_value;  // null = none
  Value name_value;
  uint16_t slot = 0;
  Value undefined;  ///< its value where the caller gives none
};

/// The common part of macros and call blocks.
struct MacroInfo {
  std::string name;
  bool anonymous = false;  ///< the caller of a call block: "caller" in errors, None to templates
  std::vector<Parameter> parameters;
  Body body;

  FunctionInfo function;
  bool explicit_caller = false;  ///< a parameter is called "caller"
  bool takes_caller = false, takes_varargs = false, takes_kwargs = false;
  uint16_t caller_slot = 0, varargs_slot = 0, kwargs_slot = 0;
};

struct MacroStatement : Statement {
  explicit MacroStatement(Position p) : Statement(StatementKind::macro, p) {}
  MacroInfo macro;
  Variable variable;
};

struct CallBlock : Statement {
  explicit CallBlock(Position p) : Statement(StatementKind::call_block, p) {}
  MacroInfo caller;
  ExprPtr call;  // a Call; null for a generation tag, which prints what it holds
};

struct FilterBlock : Statement {
  explicit FilterBlock(Position p) : Statement(StatementKind::filter_block, p) {}
  ExprPtr filter;
  Body body;
  Scope scope;
};

struct With : Statement {
  explicit With(Position p) : Statement(StatementKind::with, p) {}
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
  Scope scope;
};

struct Block : Statement {
  explicit Block(Position p) : Statement(StatementKind::block, p) {}
  std::string name;
  bool scoped = false, required = false;
  Body body;
  FunctionInfo function;
};

struct Autoescape : Statement {
  explicit Autoescape(Position p) : Statement(StatementKind::autoescape, p) {}
  ExprPtr enabled;
  Body body;
  Scope scope;
};

struct LoopControl : Statement {
  using Statement::Statement;
};

/// include, extends, import, from: there is nothing to load templates with, which is an error once it runs.
struct Load : Statement {
  explicit Load(Position p) : Statement(StatementKind::load, p) {}
  ExprPtr template_name;
  std::vector<std::string> targets;  // names that an import would set
};

struct TemplateAst {
  Body body;
  FunctionInfo root;
  std::vector<std::string> context_names;                      ///< what the caller's variables are looked up by
  std::unordered_map<std::string_view, size_t> context_slots;  ///< index of each of those names
  Values context_globals;                                      ///< the global of each of those names, or missing
  std::vector<const Block*> blocks;
  bool uses_self = false;
  uint16_t self_slot = 0;
};

}  // namespace chorus::jinja
