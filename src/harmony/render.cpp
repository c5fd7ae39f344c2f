#include <algorithm>

#include "harmony/markers.h"
#include "harmony/message.h"
#include "harmony/typescript.h"

namespace chorus::harmony {
namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string tools_section(const std::vector<ToolNamespace>& tools, Style style) {
  std::vector<std::string> parts = {"# Tools"};
  for (const ToolNamespace& tool : tools) parts.push_back(typescript(tool, style));
  return joined(parts, "\n\n");
}

std::string speaker(const Message& message) {
  if (message.role == Role::tool && message.name) return *message.name;
  return std::string(to_string(message.role)) + (message.name ? ":" + *message.name : "");
}

bool calls_a_tool(const Message& message) {
  return message.role == Role::assistant && message.recipient && message.recipient != "all";
}

class Pieces {
 public:
  void text(std::string_view text) {
    if (text.empty()) return;
    if (!pieces_.empty() && !pieces_.back().special)
      pieces_.back().text += text;
    else
      pieces_.push_back({std::string(text), false});
  }
  void marker(Marker marker) { pieces_.push_back({std::string(marker_text(marker)), true}); }

  void header(const Message& message) {
    marker(Marker::start);
    text(speaker(message));
    if (message.recipient && message.recipient != "all") text(" to=" + *message.recipient);
    if (message.channel) {
      marker(Marker::channel);
      text(*message.channel);
    }
    if (message.content_type) content_type(*message.content_type);
    marker(Marker::message);
  }

  std::vector<Piece> take() { return std::move(pieces_); }

 private:
  void content_type(std::string_view type) {
    text(" ");
    if (type.starts_with(marker_text(Marker::constrain))) {
      marker(Marker::constrain);
      type.remove_prefix(marker_text(Marker::constrain).size());
    }
    text(type);
  }

  std::vector<Piece> pieces_;
};

// Up to here every turn is over: the last final answer that a user message follows.
size_t end_of_past(std::span<const Message> conversation) {
  size_t at = conversation.size();
  while (at > 0 && conversation[at - 1].role != Role::user) --at;
  while (at > 0 && conversation[at - 1].channel != "final") --at;
  return at;
}

}  // namespace

std::string system_text(const System& system) {
  std::vector<std::string> who;
  if (!system.model_identity.empty()) who.push_back(system.model_identity);
  if (!system.knowledge_cutoff.empty()) who.push_back("Knowledge cutoff: " + system.knowledge_cutoff);
  if (!system.date.empty()) who.push_back("Current date: " + system.date);
  std::vector<std::string> sections;
  if (!who.empty()) sections.push_back(joined(who, "\n"));
  if (!system.reasoning_effort.empty()) sections.push_back("Reasoning: " + system.reasoning_effort);
  if (!system.tools.empty()) sections.push_back(tools_section(system.tools, Style::format));
  if (!system.channels.empty())
    sections.push_back(
        "# Valid channels: " + joined(system.channels, ", ") + ". Channel must be included for every message." +
        (system.functions ? "\nCalls to these tools must go to the commentary channel: 'functions'." : ""));
  return joined(sections, "\n\n");
}

std::string developer_text(const Developer& developer) {
  std::vector<std::string> sections;
  if (!developer.instructions.empty()) sections.push_back("# Instructions\n\n" + developer.instructions);
  if (!developer.tools.empty())
    sections.push_back(tools_section(developer.tools, developer.style));
  else if (developer.style == Style::template_)
    sections.emplace_back();  // the template leaves blank lines behind the instructions
  return joined(sections, "\n\n");
}

std::vector<Piece> render(std::span<const Message> conversation, const RenderOptions& options) {
  const size_t past = options.drop_past_analysis ? end_of_past(conversation) : 0;
  Pieces pieces;
  for (size_t i = 0; i < conversation.size(); ++i) {
    const Message& message = conversation[i];
    if (i < past && message.channel == "analysis") continue;
    pieces.header(message);
    pieces.text(message.content);
    const bool returns = options.end_with_return && i + 1 == conversation.size() &&
                         message.role == Role::assistant && message.channel == "final";
    pieces.marker(calls_a_tool(message) ? Marker::call : returns ? Marker::return_ : Marker::end);
  }
  if (options.add_generation_prompt) {
    pieces.marker(Marker::start);
    pieces.text(to_string(Role::assistant));
  }
  return pieces.take();
}

std::string text_of(std::span<const Piece> pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace chorus::harmony
