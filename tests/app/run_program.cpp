#include "app/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "weights/synthesize.h"

namespace chorus::test {
namespace {

namespace fs = std::filesystem;

struct Process {
  pid_t pid;
  fs::path out, err;
};

fs::path temporary(const char* name) {
  return fs::path(testing::TempDir()) / ("chorus_app_" + std::to_string(::getpid()) + "_" + name);
}

Process start(const std::vector<std::string>& arguments, std::string_view standard_input) {
  const fs::path in = temporary("stdin");
  Process process{.pid = -1, .out = temporary("stdout"), .err = temporary("stderr")};
  write_file(in, standard_input);
  std::vector<char*> argv = {const_cast<char*>(CHORUS_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  constexpr int write_flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, process.out.c_str(), write_flags, 0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, process.err.c_str(), write_flags, 0600);
  const int error = posix_spawn(&process.pid, CHORUS_PROGRAM, &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " CHORUS_PROGRAM);
  return process;
}

Ended wait_for(const Process& process) {
  int status = 0;
  ::waitpid(process.pid, &status, 0);
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = read_file(process.out),
          .err = read_file(process.err)};
}

// Small enough to run in a moment, with the vocabulary of the demo model's tokenizer.
std::string synthetic_folder(const char* name, const fs::path& tokenizer_from) {
  static const fs::path base = temporary("models");
  const fs::path folder = base / name;
  if (!fs::exists(folder / "config.json")) {
    Json config = synthetic_config("gpt-oss-tiny");
    config["vocab_size"] = 1024;
    config["eos_token_id"] = 1017;
    config["num_hidden_layers"] = 2;
    config["layer_types"] = {"sliding_attention", "full_attention"};
    synthesize(config, folder, {.seed = 1, .tokenizer_from = tokenizer_from, .threads = 1});
  }
  return folder.string();
}

struct RemoveModels : testing::Environment {
  void TearDown() override {
    for (const char* name : {"models", "stdin", "stdout", "stderr", "scratch"}) fs::remove_all(temporary(name));
  }
};
const auto* const remove_models = testing::AddGlobalTestEnvironment(new RemoveModels);

}  // namespace

Ended run_chorus(const std::vector<std::string>& arguments, std::string_view standard_input) {
  return wait_for(start(arguments, standard_input));
}

Ended run_chorus_and_signal(const std::vector<std::string>& arguments, int signal, int after_ms) {
  const Process process = start(arguments, "");
  std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
  ::kill(process.pid, signal);
  return wait_for(process);
}

fs::path scratch_folder() {
  const fs::path folder = temporary("scratch");
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::string small_model() {
  return synthetic_folder("with_tokenizer", fs::path(CHORUS_SOURCE_DIR) / "models/demo");
}

std::string model_without_tokenizer() {
  return synthetic_folder("without_tokenizer", {});
}

std::vector<Json> json_lines(std::string_view text) {
  std::vector<Json> values;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) values.push_back(parse_json(text.substr(0, end), "line"));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

}  // namespace chorus::test
