#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "chat/chat_template.h"
#include "chat/template.h"
#include "chorus/error.h"
#include "goldens.h"

namespace chorus::chat {
namespace {

constexpr const char* pinned_time = "2026-01-15 12:30:45";

struct Outcome {
  bool failed = false, raised = false;
  std::string text;  // the output, or the words of the error
};

template <typename Render>
Outcome outcome_of(Render render) {
  try {
    return {false, false, render()};
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::template_) << e.what();
    return {true, e.facts().at(0).second == "raised by the template", e.problem()};
  }
}

// Whether the outcome is what the row wants; the words of an error matter only where the template raised it.
bool as_expected(const Json& row, const Outcome& outcome) {
  if (row.contains("output")) return !outcome.failed && outcome.text == row["output"].get<std::string>();
  if (!outcome.failed) return false;
  const bool raised = row["error"].value("raised", false);
  return outcome.raised == raised && (!raised || outcome.text == row["error"]["message"].get<std::string>());
}

std::string expectation(const Json& row) {
  return row.contains("output") ? "output " + row["output"].dump() : "error " + row["error"].dump();
}

// Rows whose expectation we believe wrong, with the reason: none.
struct Disputed {
  int row;
  const char* reason;
};
const std::vector<Disputed> disputed = {};

TEST(Goldens, EveryRowOfTheJinjaTable) {
  const auto file = test::golden("jinja/conformance.jsonl");
  size_t rows = 0;
  for (const Json& row : test::json_lines_of(file)) {
    const int i = row["i"].get<int>();
    if (std::any_of(disputed.begin(), disputed.end(), [&](const Disputed& d) { return d.row == i; })) continue;
    ++rows;
    const std::string source = row["template"].get<std::string>();
    const Outcome outcome = outcome_of([&] {
      const jinja::Template parsed(source, "row");
      std::vector<std::pair<std::string_view, const Json*>> variables;
      for (const auto& [name, value] : row["context"].get_ref<const Json::object_t&>())
        variables.emplace_back(name, &value);
      const auto now = jinja::LocalTime::parse(pinned_time);
      return parsed.render(variables, &now);
    });
    EXPECT_TRUE(as_expected(row, outcome))
        << "row " << i << "\ntemplate: " << source << "\nexpected: " << expectation(row)
        << "\nactual: " << (outcome.failed ? "error " : "output ") << Json(outcome.text).dump();
  }
  EXPECT_GE(rows, 981u);
}

TEST(Goldens, EveryCaseOfEveryChatTemplate) {
  const auto folder = test::golden("templates");
  if (folder.empty()) GTEST_SKIP() << test::no_golden("templates");
  size_t cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    const auto templates = ChatTemplates::from_source(read_file(entry.path() / "chat_template.jinja"));
    for (const Json& row : test::json_lines_of(entry.path() / "cases.jsonl")) {
      ++cases;
      TemplateOptions options;
      options.tools = row["tools"];
      options.kwargs = row["kwargs"];
      options.date = pinned_time;
      const Outcome outcome = outcome_of([&] { return templates.render(row["messages"], options); });
      EXPECT_TRUE(as_expected(row, outcome))
          << entry.path().filename() << " case " << row["name"] << "\nexpected: " << expectation(row)
          << "\nactual: " << (outcome.failed ? "error " : "output ") << Json(outcome.text).dump();
    }
  }
  EXPECT_GE(cases, 4000u);
}

}  // namespace
}  // namespace chorus::chat
