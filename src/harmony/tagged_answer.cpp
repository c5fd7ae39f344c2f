#include "harmony/tagged_answer.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace chorus::harmony {
namespace {

constexpr std::string_view spaces = " \t\r\n";

bool is_beginning_of(std::string_view text, std::string_view mark) {
  return text.size() < mark.size() && mark.starts_with(text);
}

// How much of the text's end could be the beginning of the mark.
size_t open_end(std::string_view text, std::string_view mark) {
  if (mark.empty()) return 0;
  for (size_t size = std::min(text.size(), mark.size() - 1); size > 0; --size)
    if (mark.starts_with(text.substr(text.size() - size))) return size;
  return 0;
}

// Whether the text can go on to be an object with a name, as a call is: its first key tells.
bool may_be_call(std::string_view text) {
  constexpr size_t far = 256;  // more white space than a model writes there
  const size_t key = text.substr(0, far).find_first_not_of(spaces, 1);
  if (key == text.npos) return text.size() < far;
  for (const std::string_view first : {"\"name\"", "\"type\"", "\"function\"", "\"id\""})
    if (text.substr(key).starts_with(first) || is_beginning_of(text.substr(key), first)) return true;
  return false;
}

// Without a mark, {"name": ...} may be anything: a call has arguments too.
bool has_arguments(std::string_view object) {
  const size_t end = end_of_json(object, 0);
  bool found = false;
  if (end != object.npos)
    for_each_member(object.substr(0, end), [&](const std::string& key, std::string_view value) {
      found = found || ((key == "parameters" || key == "arguments") && value.starts_with('{')) ||
              (key == "function" && value.starts_with('{'));
    });
  return found;
}

}  // namespace

TaggedAnswer::TaggedAnswer(const AnswerFormat& format, std::string_view prompt_end, const Json& tools)
    : format_(format), types_(tools) {
  if (!format.reasoning) return;
  prompt_end = prompt_end.substr(0, prompt_end.find_last_not_of(spaces) + 1);
  opened_ = prompt_end.ends_with(format.reasoning->open);
  may_close_unopened_ = !opened_ && !prompt_end.ends_with(format.reasoning->close);
}

void TaggedAnswer::feed(int32_t, std::string_view piece) {
  const bool before = in_reasoning();
  feed_text(piece);
  if (before && in_reasoning()) ++answer_.reasoning_tokens;
}

void TaggedAnswer::feed_text(std::string_view text) {
  undecoded_ += text;
  const size_t ready = complete_utf8_prefix(undecoded_);
  text_ += replace_invalid_utf8(std::string_view(undecoded_).substr(0, ready));
  undecoded_.erase(0, ready);
  while (step()) {
  }
  if (taken_ > 4096 && taken_ > text_.size() / 2) {
    text_.erase(0, taken_);
    searched_ -= std::min(searched_, taken_);
    taken_ = 0;
  }
}

void TaggedAnswer::finish() {
  text_ += replace_invalid_utf8(undecoded_);
  undecoded_.clear();
  at_end_ = true;
  while (step()) {
  }
  if (!after_block_ && state_ == State::text && !spaces_.empty()) {
    if (!answer_.message) answer_.message.emplace();
    *answer_.message += spaces_;
  }
  if (!answer_.message && !answer_.reasoning && !after_block_ && state_ != State::reasoning) answer_.message = "";
}

AnswerPart TaggedAnswer::part() const {
  if (in_reasoning()) return AnswerPart::reasoning;
  if (state_ == State::text) return AnswerPart::message;
  return state_ == State::beginning ? AnswerPart::none : AnswerPart::tool_call;
}

bool TaggedAnswer::in_reasoning() const {
  return state_ == State::reasoning || (state_ == State::beginning && opened_);
}

std::string_view TaggedAnswer::take(size_t size) {
  const std::string_view taken = std::string_view(text_).substr(taken_, size);
  taken_ += size;
  return taken;
}

bool TaggedAnswer::step() {
  switch (state_) {
    case State::beginning:
      return begin();
    case State::reasoning:
      return step_reasoning();
    case State::text:
      return step_text();
    case State::block:
      return step_block();
    case State::bare_json:
      return step_bare_json();
  }
  return false;
}

bool TaggedAnswer::begin() {
  std::string_view word = std::string_view(text_).substr(taken_);
  spaces_ += take(std::min(word.find_first_not_of(spaces), word.size()));
  word = std::string_view(text_).substr(taken_);
  if (format_.reasoning && word.starts_with(format_.reasoning->open)) {
    take(format_.reasoning->open.size());
    state_ = State::reasoning;
  } else if (!at_end_ && (word.empty() || (format_.reasoning && is_beginning_of(word, format_.reasoning->open)))) {
    return false;
  } else if (opened_) {
    state_ = State::reasoning;
  } else if (format_.tools != nullptr && format_.tools->bare_json && word.starts_with('{')) {
    state_ = State::bare_json;
  } else {
    state_ = State::text;
  }
  if (state_ == State::reasoning) spaces_.clear();
  return true;
}

bool TaggedAnswer::step_reasoning() {
  const std::string_view rest = std::string_view(text_).substr(taken_), close = format_.reasoning->close;
  const size_t end = rest.find(close);
  if (end == rest.npos) {
    give(answer_.reasoning, take(rest.size() - (at_end_ ? 0 : open_end(rest, close))));
    return false;
  }
  give(answer_.reasoning, take(end));
  take(close.size());
  spaces_.clear();
  after_block_ = true;
  may_close_unopened_ = false;
  state_ = State::text;
  return true;
}

bool TaggedAnswer::step_text() {
  const std::string_view rest = std::string_view(text_).substr(taken_);
  const std::string_view open = format_.tools != nullptr ? format_.tools->open : "";
  const std::string_view close = may_close_unopened_ ? format_.reasoning->close : "";
  const size_t block = open.empty() ? rest.npos : rest.find(open);
  const size_t reasoned = close.empty() ? rest.npos : rest.find(close);
  if (block == rest.npos && reasoned == rest.npos) {
    const size_t held = at_end_ ? 0 : std::max(open_end(rest, open), open_end(rest, close));
    give(answer_.message, take(rest.size() - held));
    return false;
  }
  give(answer_.message, take(std::min(block, reasoned)));
  if (reasoned < block) {
    take(close.size());
    message_was_reasoning();
    return true;
  }
  take(open.size());
  may_close_unopened_ = false;
  searched_ = taken_;
  is_json_.reset();
  block_json_ = {};
  state_ = State::block;
  return true;
}

// A close without an open: the answer so far was reasoning.
void TaggedAnswer::message_was_reasoning() {
  answer_.malformed = true;
  answer_.reasoning = std::exchange(answer_.message, std::nullopt);
  if (answer_.reasoning) answer_.reasoning->erase(0, answer_.reasoning->find_first_not_of(spaces));
  spaces_.clear();
  after_block_ = true;
  may_close_unopened_ = false;
}

// The block ends at its mark, unless that stands inside of a JSON string.
bool TaggedAnswer::step_block() {
  const std::string_view text = text_, close = format_.tools->close;
  const size_t first = is_json_ || close.empty() ? text.npos : text.find_first_not_of(spaces, searched_);
  if (first != text.npos) is_json_ = !trust_marks_ && (text[first] == '{' || text[first] == '[');
  const bool is_json = is_json_.value_or(false);

  for (size_t end; !close.empty() && (end = text.find(close, searched_)) != text.npos;) {
    if (is_json) block_json_.take_all(text.substr(searched_, end - searched_));
    if (!is_json || !block_json_.in_string()) {
      end_block(take(end - taken_), /*closed=*/true);
      return true;
    }
    block_json_.take_all(close);
    searched_ = end + close.size();
  }
  if (at_end_) {
    if (is_json && text.find(close, taken_) != text.npos) {  // a string never ended: again, by the marks alone
      trust_marks_ = true;
      is_json_ = false;
      searched_ = taken_;
    } else {
      end_block(take(text.size() - taken_), close.empty());
    }
    return true;
  }
  const size_t safe = std::max(searched_, text.size() - open_end(text.substr(taken_), close));
  if (is_json) block_json_.take_all(text.substr(searched_, safe - searched_));
  searched_ = safe;
  return false;
}

// Behind the open mark, up to the close mark or the end of the text.
void TaggedAnswer::end_block(std::string_view body, bool closed) {
  const size_t read = format_.tools->read(body, types_, answer_.tool_calls);
  if (read > 0) {
    spaces_.clear();
    after_block_ = true;
  }
  state_ = State::text;
  if (!closed) answer_.malformed = true;
  const std::string_view close = closed ? format_.tools->close : "";
  if (read < body.size() || body.empty()) {
    answer_.malformed = true;
    std::string rest(read == 0 ? format_.tools->open : "");
    (rest += body.substr(read)) += close;
    give(answer_.message, rest);
  }
  take(close.size());
}

bool TaggedAnswer::step_bare_json() {
  const std::string_view rest = std::string_view(text_).substr(taken_);
  if (!at_end_ && may_be_call(rest)) return false;
  Json calls = Json::array();
  state_ = State::text;
  if (at_end_ && has_arguments(rest) && read_json_calls(rest, calls) == rest.size()) {
    answer_.tool_calls = std::move(calls);
    after_block_ = true;
    take(rest.size());
  }
  return true;
}

// White space waits for what follows: beside what is taken out it goes.
void TaggedAnswer::give(std::optional<std::string>& to, std::string_view text) {
  const size_t first = text.find_first_not_of(spaces);
  if (first == text.npos) {
    spaces_ += text;
    return;
  }
  const size_t last = text.find_last_not_of(spaces) + 1;
  const bool is_reasoning = &to == &answer_.reasoning;
  if (!to) {
    to.emplace();
    if (!after_block_ && !is_reasoning) *to += spaces_ + std::string(text.substr(0, first));
  } else if (after_block_) {
    *to += "\n";
  } else {
    *to += spaces_ + std::string(text.substr(0, first));
  }
  *to += text.substr(first, last - first);
  spaces_ = text.substr(last);
  if (!is_reasoning) after_block_ = false;
}

}  // namespace chorus::harmony
