// Any bytes as the files that bring a model's chat templates (tokenizer_config.json, special_tokens_map.json):
// templates that render, or one chorus::Error.
#include <cstdio>
#include <cstdlib>

#include "../temporary_folder.h"
#include "chat/chat_template.h"
#include "chorus/error.h"

using namespace chorus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::TemporaryFolder folder("chorus-chat-config-fuzz");
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    folder.write(file, bytes);
    try {
      const auto templates = chat::ChatTemplates::load(folder.path());
      for (const std::string& name : templates.names()) {
        TemplateOptions options;
        options.template_name = name;
        options.date = "2026-01-15";
        templates.render(std::vector<Message>{{.role = "user", .content = "hello"}}, options);
      }
    } catch (const Error& e) {
      if (e.fault() != Fault::model && e.fault() != Fault::template_) {
        std::fprintf(stderr, "%s\n", e.what());
        std::abort();
      }
    }
    std::filesystem::remove(folder.path() / file);
  }
  return 0;
}
