// The words are the format's: gpt-oss was trained with them.
#include "chorus/harmony.h"

namespace chorus::harmony {
namespace {

FunctionTool function(std::string name, std::string description, Json properties, Json required) {
  return {std::move(name),
          std::move(description),
          {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}}};
}

Json optional(const char* type, Json value) {
  return {{"type", type}, {"default", std::move(value)}};
}

}  // namespace

ToolNamespace browser_tool() {
  const Json string = {{"type", "string"}};
  return {
      "browser",
      "Tool for browsing.\n"
      "The `cursor` appears in brackets before each browsing display: `[{cursor}]`.\n"
      "Cite information from the tool using the following format:\n"
      "`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.\n"
      "Do not quote more than 10 words directly from the tool output.\n"
      "sources=web (default: web)",
      {function("search", "Searches for information related to `query` and displays `topn` results.",
                {{"query", string}, {"topn", optional("number", 10)}, {"source", string}}, Json::array({"query"})),
       function("open",
                "Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing "
                "`num_lines` lines.\n"
                "Valid link ids are displayed with the formatting: `【{id}†.*】`.\n"
                "If `cursor` is not provided, the most recent page is implied.\n"
                "If `id` is a string, it is treated as a fully qualified URL associated with `source`.\n"
                "If `loc` is not provided, the viewport will be positioned at the beginning of the document or "
                "centered on the most relevant passage, if available.\n"
                "Use this function without `id` to scroll to a new location of an opened page.",
                {{"id", {{"type", {"number", "string"}}, {"default", -1}}},
                 {"cursor", optional("number", -1)},
                 {"loc", optional("number", -1)},
                 {"num_lines", optional("number", -1)},
                 {"view_source", optional("boolean", false)},
                 {"source", string}},
                Json::array()),
       function("find", "Finds exact matches of `pattern` in the current page, or the page given by `cursor`.",
                {{"pattern", string}, {"cursor", optional("number", -1)}}, Json::array({"pattern"}))}};
}

ToolNamespace python_tool() {
  return {
      "python",
      "Use this tool to execute Python code in your chain of thought. The code will not be shown to the user. "
      "This tool should be used for internal reasoning, but not for code that is intended to be visible to the "
      "user (e.g. when creating plots, tables, or files).\n\n"
      "When you send a message containing Python code to python, it will be executed in a stateful Jupyter "
      "notebook environment. python will respond with the output of the execution or time out after 120.0 "
      "seconds. The drive at '/mnt/data' can be used to save and persist user files. Internet access for this "
      "session is UNKNOWN. Depends on the cluster."};
}

}  // namespace chorus::harmony
