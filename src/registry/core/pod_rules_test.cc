#include "api/types/core_v1.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

using api::core_v1::Pod;

constexpr char kPod[] = R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"nginx"}]}})";

TEST(PodWarningsTest, TellsWhatIsOldOrDouble) {
  Kind pods("", "v1", "pods");
  pods.created(R"({"metadata":{"name":"p"},"spec":{"nodeSelector":{"beta.kubernetes.io/os":"linux"},"containers":[{"name":"c","image":"i:1",
      "env":[{"name":"A","value":"1"},{"name":"A","value":"2"}],"resources":{"requests":{"memory":"100m"}}}]}})");
  ASSERT_EQ(pods.warnings.size(), 3u);
  EXPECT_EQ(pods.warnings[0], "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead");
  EXPECT_EQ(pods.warnings[1], "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer");
  EXPECT_EQ(pods.warnings[2], "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply");
}

TEST(PodSubresourcesTest, OnlyEphemeralContainersAreAddedThere) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  pods.context.subresource = "ephemeralcontainers";
  EXPECT_EQ(pods.updateErrors(*o, [](api::Object& p) {
    auto& c = p.as<Pod>().spec.ephemeralContainers.add();
    c.name = "debug";
    c.image = "busybox";
  }), "");
  std::string bad = pods.updateErrors(*o, [](api::Object& p) {
    auto& c = p.as<Pod>().spec.ephemeralContainers.add();
    c.name = "c";
    c.image = "busybox";
  });
  EXPECT_EQ(bad, "spec.ephemeralContainers[0].name: Duplicate value: \"c\"");
}

TEST(PodSubresourcesTest, ResizesOnlyProcessorAndMemory) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i:1",
      "resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}]}})");
  pods.context.subresource = "resize";
  EXPECT_EQ(pods.updateErrors(*o, [](api::Object& p) {
    auto& r = p.as<Pod>().spec.containers[0].resources;
    r.requests["cpu"] = *codec::Quantity::parse("2");
    r.limits["cpu"] = *codec::Quantity::parse("2");
  }), "");
}

}  // namespace
}  // namespace km::registry
