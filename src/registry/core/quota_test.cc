#include "api/types/core_v1.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

TEST(LimitRangeTest, BoundsAreInOrder) {
  Kind ranges("", "v1", "limitranges");
  std::string bad = ranges.createErrors(
      R"({"metadata":{"name":"a"},"spec":{"limits":[{"type":"Container","max":{"cpu":"1"},"min":{"cpu":"2"}}]}})");
  EXPECT_NE(bad.find("spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"), std::string::npos) << bad;
}

TEST(ResourceQuotaTest, ScopesNeedFittingResources) {
  Kind quotas("", "v1", "resourcequotas");
  EXPECT_EQ(quotas.createErrors(R"({"metadata":{"name":"a"},"spec":{"hard":{"pods":"3"}}})"), "");
  EXPECT_NE(quotas.createErrors(R"({"metadata":{"name":"a"},"spec":{"hard":{"pods":"-1"}}})"), "");
  EXPECT_NE(quotas.createErrors(R"({"metadata":{"name":"a"},"spec":{"hard":{"services":"3"},"scopes":["BestEffort"]}})"), "");
}

}  // namespace
}  // namespace km::registry
