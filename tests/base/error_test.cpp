#include "chorus/error.h"

#include <gtest/gtest.h>

namespace chorus {
namespace {

TEST(Error, ListsItsFactsInOrder) {
  const Error error = Error(Fault::model, "tensor has the wrong shape").with("tensor", "sinks").with("expected", 64);
  EXPECT_STREQ(error.what(), "tensor has the wrong shape\n  tensor: sinks\n  expected: 64");
  EXPECT_EQ(error.one_line(), "tensor has the wrong shape (tensor: sinks; expected: 64)");
}

TEST(Error, ALayerThatKnowsMoreAddsAFact) {
  try {
    try {
      throw Error(Fault::io, "cannot open file").with("file", "a");
    } catch (Error& e) {
      e.with("model folder", "b");
      throw;
    }
  } catch (const Error& e) {
    EXPECT_EQ(e.one_line(), "cannot open file (file: a; model folder: b)");
    EXPECT_EQ(e.fault(), Fault::io);
  }
}

}  // namespace
}  // namespace chorus
