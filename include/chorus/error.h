#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chorus {

/// Whose mistake it was: decides the exit code, later the HTTP status.
enum class Fault {
  usage,     ///< an option or argument of the caller
  input,     ///< a prompt, message, template argument or input line
  model,     ///< a file of the model folder
  template_, ///< the chat template raised or is not valid
  memory,    ///< the work does not fit the byte budget
  io,        ///< a file could not be read or written
  internal,  ///< ours
};

/// The one exception of chorus. The thrower gives the problem and its facts; each layer that knows more adds a
/// fact on the way up; only an app prints it:
///
///     tensor has the wrong shape
///       tensor: model.layers.7.self_attn.sinks
///       expected: [64]
class Error : public std::exception {
 public:
  Error(Fault fault, std::string problem);

  Error& with(std::string_view name, std::string_view value) &;
  Error&& with(std::string_view name, std::string_view value) &&;
  template <typename T>
    requires std::is_arithmetic_v<T>
  Error& with(std::string_view name, T value) & {
    return with(name, std::to_string(value));
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  Error&& with(std::string_view name, T value) && {
    return std::move(*this).with(name, std::to_string(value));
  }

  Fault fault() const { return fault_; }
  const std::string& problem() const { return problem_; }
  const std::vector<std::pair<std::string, std::string>>& facts() const { return facts_; }
  /// The problem, then one indented line per fact.
  const char* what() const noexcept override { return text_.c_str(); }
  /// The same on one line, for a result's "error" field.
  std::string one_line() const;

 private:
  Fault fault_;
  std::string problem_;
  std::vector<std::pair<std::string, std::string>> facts_;
  std::string text_;
};

}  // namespace chorus
