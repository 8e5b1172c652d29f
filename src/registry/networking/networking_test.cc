#include "api/types/networking_v1.h"
#include "registry/kind_fixture.h"

namespace km::registry {
namespace {

TEST(NetworkingTest, IngressesNeedABackendOrRules) {
  Kind ingresses("networking.k8s.io", "v1", "ingresses");
  EXPECT_EQ(ingresses.createErrors(R"({"metadata":{"name":"a"},"spec":{}})"),
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified");
}

TEST(NetworkingTest, AddressesAreNamedByTheirIp) {
  Kind addresses("networking.k8s.io", "v1", "ipaddresses");
  std::string bad = addresses.createErrors(R"({"metadata":{"name":"x"},"spec":{"parentRef":{"resource":"services","name":"a","namespace":"b"}}})");
  EXPECT_EQ(bad, "metadata.name: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  // Nothing is added to the beginning of a name.
  EXPECT_EQ(addresses.strategy->generateName("10."), "10.");
}

TEST(NetworkingTest, RangesHoldOneOfAFamily) {
  Kind ranges("networking.k8s.io", "v1", "servicecidrs");
  EXPECT_EQ(ranges.createErrors(R"({"metadata":{"name":"a"},"spec":{}})"), "spec.cidrs: Required value: at least one CIDR required");
}

}  // namespace
}  // namespace km::registry
