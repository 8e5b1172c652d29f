#include "registry/go_json.h"

#include <gtest/gtest.h>

#include "registry/unified_diff.h"

namespace km::registry {
namespace {

TEST(UnifiedDiffTest, ShowsThreeLinesAroundAChange) {
  std::vector<std::string> a = {"a", "b", "c", "d", "e", "f", "g", "h", "i"}, b = a;
  b[4] = "E";
  EXPECT_EQ(unifiedDiff(a, a), "");
  EXPECT_EQ(unifiedDiff(a, b), "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n");
}

}  // namespace
}  // namespace km::registry
