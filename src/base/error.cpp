#include "chorus/error.h"

namespace chorus {

Error::Error(Fault fault, std::string problem) : fault_(fault), problem_(std::move(problem)), text_(problem_) {}

Error& Error::with(std::string_view name, std::string_view value) & {
  facts_.emplace_back(name, value);
  text_.append("\n  ").append(name).append(": ").append(value);
  return *this;
}

Error&& Error::with(std::string_view name, std::string_view value) && {
  return std::move(this->with(name, value));
}

std::string Error::one_line() const {
  std::string line = problem_;
  for (size_t i = 0; i < facts_.size(); ++i)
    line += (i == 0 ? " (" : "; ") + facts_[i].first + ": " + facts_[i].second;
  if (!facts_.empty()) line += ")";
  return line;
}

}  // namespace chorus
