// Any bytes as the config.json of a folder with real tensors: a model, or one chorus::Error.
#include <cstdio>
#include <cstdlib>

#include "../temporary_folder.h"
#include "backend/cpu/cpu_backend.h"
#include "chorus/error.h"
#include "model/model.h"

using namespace chorus;

// The smallest model of the goldens, without its config.json.
static const fuzz::TemporaryFolder& model_folder() {
  static const fuzz::TemporaryFolder folder("chorus-config-fuzz");
  static const bool linked = [] {
    const std::filesystem::path model = CHORUS_SOURCE_DIR "/tests/golden/data/models/tiny-gpt-oss-mxfp4-q8";
    for (const char* file : {"model.safetensors", "model.safetensors.index.json"})
      std::filesystem::create_symlink(model / file, folder.path() / file);
    return true;
  }();
  (void)linked;
  return folder;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::TemporaryFolder& folder = model_folder();
  folder.write("config.json", {reinterpret_cast<const char*>(data), size});
  try {
    cpu::CpuBackend backend(cpu::Precision::fast, 1);
    Weights weights = Weights::open(folder.path());
    const auto model = load_model(weights, backend);
    if (model->vocabulary() <= 0 || model->context() <= 0) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::model) {
      std::fprintf(stderr, "%s\n", e.what());
      std::abort();
    }
  }
  return 0;
}
