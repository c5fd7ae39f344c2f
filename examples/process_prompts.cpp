// Many questions through one model: template, batch, answers taken apart, stats.
//
//     process_prompts MODEL_FOLDER [PROMPTS.txt]
#include <chorus/chorus.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

std::vector<std::string> read_questions(const char* file) {
  if (file == nullptr) return {"What is 47 + 38?", "Sort these numbers: 9, 4, 7, 1"};
  std::ifstream in(file);
  std::vector<std::string> questions;
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) questions.push_back(line);
  return questions;
}

void print(const chorus::GptOssResponse& answer) {
  std::cout << "reasoning: " << answer.reasoning.value_or("") << "\nmessage:   " << answer.message.value_or("")
            << "\n";
  for (const auto& [channel, text] : answer.channels) std::cout << channel << ": " << text << "\n";
}

int process(const char* model_folder, const char* prompts_file) {
  const auto [model, tokenizer] = chorus::load(model_folder);

  const std::vector<std::string> questions = read_questions(prompts_file);
  std::vector<chorus::TokenIds> prompts;
  for (const std::string& question : questions)
    prompts.push_back(tokenizer.apply_chat_template(
        {{.role = "user", .content = question}},
        {.add_generation_prompt = true,
         .kwargs = {{"reasoning_effort", "low"}, {"model_identity", "You are a helpful assistant."}}}));

  const chorus::BatchResult result =
      chorus::batch_generate(model, tokenizer, prompts, {.max_tokens = 256, .verbose = true});

  for (size_t i = 0; i < questions.size(); ++i) {
    std::cout << "\n" << questions[i] << "\n";
    print(chorus::parse_gpt_oss_response(result.texts[i]));
  }
  std::cout << "\n" << result.stats << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: process_prompts MODEL_FOLDER [PROMPTS.txt]\n";
    return 2;
  }
  try {
    return process(argv[1], argc == 3 ? argv[2] : nullptr);
  } catch (const chorus::Error& e) {
    std::cerr << "process_prompts: " << e.what() << "\n";
    return 2;
  }
}
