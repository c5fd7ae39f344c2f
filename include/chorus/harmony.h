#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
