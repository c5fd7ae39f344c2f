#include "chorus/result.h"

#include <fmt/format.h>

#include <ostream>

#include "base/utf8.h"
#include "chorus/request.h"

namespace chorus {
namespace {

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(replace_invalid_utf8(*text)) : Json(nullptr);
}

double rounded(double seconds) { return double(int64_t(seconds * 1e6 + 0.5)) / 1e6; }

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::budget: return "budget";
    case FinishReason::repetition: return "repetition";
    case FinishReason::cancelled: return "cancelled";
    case FinishReason::error: return "error";
  }
  return "error";
}

Json to_json(const Result& r) {
  Json channels = Json::object();
  for (const auto& [name, text] : r.channels) channels[name] = replace_invalid_utf8(text);
  return {{"id", r.id},
          {"message", text_or_null(r.message)},
          {"reasoning", text_or_null(r.reasoning)},
          {"channels", std::move(channels)},
          {"tool_calls", r.tool_calls},
          {"text", replace_invalid_utf8(r.text)},
          {"finish_reason", name_of(r.finish_reason)},
          {"malformed", r.malformed},
          {"error", text_or_null(r.error)},
          {"prompt_tokens", r.prompt_tokens},
          {"cached_tokens", r.cached_tokens},
          {"generated_tokens", r.generated_tokens},
          {"reasoning_tokens", r.reasoning_tokens},
          {"seed", r.seed},
          {"timing",
           {{"queued_s", rounded(r.queued_s)}, {"prefill_s", rounded(r.prefill_s)}, {"decode_s", rounded(r.decode_s)}}}};
}

Result failed(std::string id, const std::string& error) {
  Result result;
  result.id = std::move(id);
  result.finish_reason = FinishReason::error;
  result.error = error;
  return result;
}

std::string summary(const BatchStats& s) {
  return fmt::format(
      "[batch_generate] Prompt: {} tokens, {:.3f} tokens-per-sec\n"
      "[batch_generate] Generation: {} tokens, {:.3f} tokens-per-sec\n"
      "[batch_generate] Peak memory: {:.3f} GB\n"
      "[chorus] {} rows in {:.3f} s: {} prompt tokens ({} from shared prefixes), {} generated tokens\n"
      "[chorus] {} steps, {} preemptions; time per token p50 {:.2f} ms, p99 {:.2f} ms",
      s.prompt_tokens, s.prompt_tps, s.generation_tokens, s.generation_tps, s.peak_memory, s.rows, s.wall_time,
      s.all_prompt_tokens, s.cached_prompt_tokens, s.generated_tokens, s.steps, s.preemptions, s.token_time_p50 * 1e3,
      s.token_time_p99 * 1e3);
}

std::ostream& operator<<(std::ostream& out, const BatchStats& stats) { return out << summary(stats); }

uint64_t row_key_of(std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace chorus
