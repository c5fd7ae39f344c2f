#pragma once

#include <string>
#include <string_view>

#include "chat/evaluator.h"
#include "chat/value.h"

namespace chorus::jinja {

/// "..." % arguments (a tuple, a dict for %(name)s, or one value).
Value format_percent(const Value& format, const Value& arguments);

/// "...".format(...), with attribute and element look-ups as the sandbox allows them.
Value format_braces(Evaluator& evaluator, const Value& format, const Arguments& arguments);

/// format(value, spec): fill, alignment, sign, width, grouping, precision, type.
std::string format_value(const Value& value, std::string_view spec);

/// A float in the form of the letter: e, f, g, or their capitals, as C and Python print it.
std::string format_float(double value, char form, int precision, bool alternate = false);

/// Text padded to a width of code points. `align` is '<', '>', '^', or '=' (after the sign).
std::string pad(std::string text, int64_t width, std::string_view fill, char align);

}  // namespace chorus::jinja
