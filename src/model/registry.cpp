#include "chorus/error.h"
#include "model/config.h"
#include "model/gpt_oss.h"

namespace chorus {
namespace {

struct Family {
  const char* model_type;
  std::unique_ptr<LanguageModel> (*load)(Weights&, Backend&);
};
constexpr Family families[] = {
    {"gpt_oss", load_gpt_oss},
};

}  // namespace

std::vector<std::string> known_model_types() {
  std::vector<std::string> names;
  for (const Family& family : families) names.emplace_back(family.model_type);
  return names;
}

std::unique_ptr<LanguageModel> load_model(Weights& weights, Backend& backend) {
  const Json* type = Config(weights.config()).find("model_type");
  if (type == nullptr || !type->is_string())
    throw Error(Fault::model, "config.json lacks model_type").with("model folder", weights.folder().string());
  std::string known;
  for (const Family& family : families) {
    if (*type == family.model_type) {
      try {
        return family.load(weights, backend);
      } catch (Error& e) {
        if (e.fault() == Fault::model && e.one_line().find(weights.folder().string()) == std::string::npos)
          e.with("model folder", weights.folder().string());
        throw;
      }
    }
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  throw Error(Fault::model, "chorus does not know this model_type")
      .with("model_type", type->get<std::string>())
      .with("known", known)
      .with("model folder", weights.folder().string());
}

}  // namespace chorus
