#include "app/cli/coloured_prompt.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli/console.h"
#include "tokenizer/detokenizer.h"

namespace chorus::cli {
namespace {

constexpr const char *special_colour = "7", *role_colour = "1;32", *channel_colour = "1;35", *header_colour = "1;33";
constexpr const char* content_colours[] = {"36", "39"};

// Who speaks, in the templates that say so in words behind a special token.
bool is_role(std::string_view word) {
  constexpr std::string_view roles[] = {"system", "developer", "user", "assistant", "tool", "ipython", "model"};
  return std::find(std::begin(roles), std::end(roles), word.substr(0, word.find(':'))) != std::end(roles) ||
         word.starts_with("functions.");
}

class Painter {
 public:
  std::string out;

  void special(std::string_view text) {
    settle();
    paint(text, special_colour);
    place_ = text == "<|channel|>" ? Place::channel : text == "<|message|>" ? Place::content : Place::head;
  }

  void text(std::string text) {
    if (text.empty()) return;
    if (place_ != Place::head) return put(text);
    const bool tells = text.find_first_of(" \n") != text.npos || head_.size() == 12;
    head_.push_back(std::move(text));
    if (tells) settle();
  }

  // What stands behind a special token is known once its first word is complete.
  void settle() {
    if (head_.empty()) return;
    std::string word;
    for (const std::string& token : head_) word += token;
    place_ = is_role(word.substr(0, word.find_first_of(" \n"))) ? Place::role : Place::content;
    for (const std::string& token : std::exchange(head_, {})) put(token);
  }

 private:
  enum class Place { head, role, channel, header, content };

  void put(std::string_view text) {
    const size_t line = place_ == Place::content ? 0 : std::min(text.find('\n'), text.size());  // a head is one line
    in_head(text.substr(0, line));
    if (line == text.size()) return;
    place_ = Place::content;
    paint(text.substr(line), content_colours[turn_ ^= 1]);
  }

  void in_head(std::string_view text) {
    const size_t word = place_ == Place::header ? 0 : std::min(text.find(' '), text.size());
    paint(text.substr(0, word), place_ == Place::channel ? channel_colour : role_colour);
    if (word == text.size()) return;
    paint(text.substr(word), header_colour);
    place_ = Place::header;
  }

  void paint(std::string_view text, const char* colour) {
    if (!text.empty()) out.append("\x1b[").append(colour).append("m").append(for_terminal(text)).append("\x1b[0m");
  }

  Place place_ = Place::head;
  std::vector<std::string> head_;  // tokens behind a special one
  int turn_ = 0;
};

}  // namespace

std::string coloured_prompt(const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer,
                            std::span<const int32_t> ids) {
  Painter painter;
  tokenizer::Detokenizer detokenizer(tokenizer);
  for (const int32_t id : ids) {
    if (tokenizer->is_special(id)) {
      painter.text(detokenizer.finish());
      painter.special(tokenizer->id_to_token(id));
    } else {
      painter.text(detokenizer.add(id));
    }
  }
  painter.text(detokenizer.finish());
  painter.settle();
  return painter.out;
}

}  // namespace chorus::cli
