#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/json.h"

namespace chorus {

/// The channels of a gpt-oss completion, as parse_gpt_oss_response finds them.
struct GptOssResponse {
  std::optional<std::string> reasoning;                       ///< channel analysis
  std::optional<std::string> message;                         ///< channel final
  std::vector<std::pair<std::string, std::string>> channels;  ///< every other channel with content, in order

  bool operator==(const GptOssResponse&) const = default;
};

/// Takes the decoded text of a completion (special tokens included) apart:
///
///     <|channel|>analysis<|message|>2 + 2 is 4.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>
///
/// Contents are stripped; a later message of a channel replaces an earlier one; headers with a recipient or a
/// content type behind the channel are passed over. The text may be cut off anywhere and its leading
/// <|start|>assistant may be missing. Takes linear time and never throws; bytes that are not UTF-8 become U+FFFD.
GptOssResponse parse_gpt_oss_response(std::string_view text);

}  // namespace chorus

/// gpt-oss' own form of conversations, written without a chat template:
///
///     using namespace chorus::harmony;
///     const Message conversation[] = {
///         {{.role = Role::system}, system_text({.reasoning_effort = "low", .date = "2026-01-15"})},
///         {{.role = Role::developer}, developer_text({.instructions = "Be brief."})},
///         {{.role = Role::user}, "2 + 2?"}};
///     TokenIds prompt;
///     for (const Piece& piece : render(conversation)) {
///       const TokenIds ids = tokenizer.encode(piece.text, /*parse_special=*/piece.special);
///       prompt.insert(prompt.end(), ids.begin(), ids.end());
///     }
namespace chorus::harmony {

enum class Role { system, developer, user, assistant, tool };

/// What stands between <|start|> and <|message|>.
struct Header {
  Role role = Role::assistant;
  std::optional<std::string> name = {};          ///< of the tool, where the role is tool
  std::optional<std::string> recipient = {};     ///< "functions.get_weather", without to=
  std::optional<std::string> channel = {};       ///< analysis, commentary, final, ...
  std::optional<std::string> content_type = {};  ///< "<|constrain|>json", "code", as written

  bool operator==(const Header&) const = default;
};

struct Message : Header {
  std::string content = {};

  bool operator==(const Message&) const = default;
};

struct FunctionTool {
  std::string name, description;
  Json parameters = nullptr;  ///< a JSON schema of type object; null: the function takes none
};

/// Tools under one name: the caller's as "functions", or one of the model's own.
struct ToolNamespace {
  std::string name, description;
  std::vector<FunctionTool> tools = {};
};

/// The tools that gpt-oss was trained with.
ToolNamespace browser_tool();
ToolNamespace python_tool();

/// Two ways to write a developer message, equal but for the defaults and nested types of tools and blank lines.
enum class Style {
  format,    ///< as the format has it
  template_  ///< as gpt-oss' chat template prints it
};

struct System {
  std::string model_identity = "You are ChatGPT, a large language model trained by OpenAI.";
  std::string reasoning_effort = "medium";                                  ///< low, medium, high
  std::string knowledge_cutoff = "2024-06";                                 ///< empty: not said
  std::string date = {};                                                    ///< YYYY-MM-DD; empty: not said
  std::vector<std::string> channels = {"analysis", "commentary", "final"};  ///< empty: not said
  std::vector<ToolNamespace> tools = {};                                    ///< built-in ones
  bool functions = false;  ///< the developer message has functions, which are called in the commentary channel
};

struct Developer {
  std::string instructions = {};
  std::vector<ToolNamespace> tools = {};
  Style style = Style::format;
};

/// The contents of system and developer messages.
std::string system_text(const System& system);
std::string developer_text(const Developer& developer);

/// A run of text, or one special token.
struct Piece {
  std::string text;
  bool special;

  bool operator==(const Piece&) const = default;
};

struct RenderOptions {
  /// Leaves out the analysis of turns that are over: those with a final answer and a user message behind it.
  bool drop_past_analysis = true;
  /// Ends in <|start|>assistant, for the model to go on.
  bool add_generation_prompt = true;
  /// For training: a final answer that ends the conversation is closed by <|return|>.
  bool end_with_return = false;
};

/// The conversation as text and special tokens in turn. What stands in contents is text, also where it spells a
/// special token.
std::vector<Piece> render(std::span<const Message> conversation, const RenderOptions& options = {});

/// The pieces as one text.
std::string text_of(std::span<const Piece> pieces);

/// What gpt-oss' chat template takes besides messages and tools.
struct ChatOptions {
  System system = {};
  bool add_generation_prompt = true;
};

/// Messages and tools in OpenAI's form ("content", "thinking", "tool_calls"; [{"function": {...}}]) as gpt-oss'
/// chat template renders them, up to the generation prompt. Throws Fault::input where the template raises.
std::vector<Piece> render_chat(const Json& messages, const Json& tools, const ChatOptions& options = {});

}  // namespace chorus::harmony
