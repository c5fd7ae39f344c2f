#include "base/file.h"

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "chorus/error.h"

namespace chorus {
namespace {

TEST(File, WhatIsWrittenIsRead) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "chorus_file_test";
  write_file(file, "one");
  write_file(file, std::string_view("two\0three", 9));
  EXPECT_EQ(read_file(file), std::string_view("two\0three", 9));
  const MappedFile mapped(file);
  ASSERT_EQ(mapped.bytes().size(), 9u);
  EXPECT_EQ(char(mapped.bytes()[8]), 'e');
  std::filesystem::remove(file);
}

TEST(File, ErrorsNameTheFileAndTheReason) {
  for (const char* path : {"/no/such/file", "/tmp"}) {
    SCOPED_TRACE(path);
    try {
      read_file(path);
      FAIL() << "read something";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::io);
      EXPECT_NE(e.one_line().find(path), std::string::npos);
      EXPECT_NE(e.one_line().find("reason"), std::string::npos);
    }
    EXPECT_THROW(MappedFile{path}, Error);
  }
  EXPECT_THROW(write_file("/no/such/folder/file", "x"), Error);
}

TEST(File, HomeIsExpanded) {
  EXPECT_EQ(expand_home("~/a"), std::filesystem::path(std::getenv("HOME")) / "a");
  EXPECT_EQ(expand_home("~"), std::filesystem::path(std::getenv("HOME")) / "");
  EXPECT_EQ(expand_home("a/~b"), "a/~b");
}

}  // namespace
}  // namespace chorus
