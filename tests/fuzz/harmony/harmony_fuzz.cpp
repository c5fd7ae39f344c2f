// Any text and any token ids as harmony. The first byte: bit 0 strict, bit 1 nobody speaks yet, bit 2 ids (the
// bytes below 8 are the markers, others text of their own), else text, cut where its bytes say.
#include <cstdint>
#include <cstdlib>

#include "base/json.h"
#include "base/utf8.h"
#include "harmony/text_parser.h"

using namespace chorus;
using namespace chorus::harmony;

static void require(bool holds) {
  if (!holds) std::abort();
}

static void check_state(const Parser& parser, size_t& finished) {
  require(parser.messages().size() >= finished);
  finished = parser.messages().size();
  require(is_utf8(parser.content()) && is_utf8(parser.delta()));
  require((parser.header() != nullptr) == (parser.state() == Parser::State::content));
}

static void check_messages(const Parser& parser) {
  for (const Message& m : parser.messages()) {
    require(is_utf8(m.content));
    to_json_line(to_json(m));
  }
}

static void feed_ids(std::string_view bytes, const ParserOptions& options) {
  const HarmonyTokens ids = {
      .start = 1, .end = 2, .message = 3, .channel = 4, .return_ = 5, .call = 6, .constrain = 7};
  Parser parser(ids, options);
  size_t finished = 0;
  for (const char& byte : bytes) {
    const auto id = int32_t(static_cast<unsigned char>(byte));
    parser.feed(id, ids.marker(id) == Marker::none ? std::string_view(&byte, 1) : "");
    check_state(parser, finished);
  }
  parser.finish();
  check_messages(parser);
}

static void feed_text(std::string_view text, const ParserOptions& options) {
  TextParser whole(options), pieces(options);
  whole.feed(text);
  size_t finished = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t size = 1 + static_cast<unsigned char>(text[at]) % 7;
    pieces.feed(text.substr(at, size));
    check_state(pieces.parser(), finished);
    at += size;
  }
  whole.finish();
  pieces.finish();
  require(whole.parser().messages() == pieces.parser().messages());
  require(whole.parser().malformed() == pieces.parser().malformed());
  check_messages(pieces.parser());
  to_json_line(parse_text(text));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ParserOptions options = {.start_role = data[0] & 2 ? std::nullopt : std::optional(Role::assistant),
                                 .strict = (data[0] & 1) != 0};
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] & 4)
    feed_ids(rest, options);
  else
    feed_text(rest, options);
  return 0;
}
