#include <gtest/gtest.h>

#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"

namespace km::admission {
namespace {

namespace v1 = api::core_v1;

template <typename T>
api::MutableObject object(std::string_view json) {
  auto o = api::Object::make(T::kType);
  EXPECT_TRUE(codec::decodeJson(json, o->data(), T::kType).ok()) << json;
  return o;
}

// A cluster of a few objects.
struct Cluster {
  std::vector<api::ObjectPtr> ranges, namespaces;
  PluginContext context;
  std::vector<std::string> warnings;

  Cluster() {
    context.list = [this](std::string_view, std::string_view resource, std::string_view) {
      return std::make_shared<const std::vector<api::ObjectPtr>>(resource == "limitranges" ? ranges : std::vector<api::ObjectPtr>());
    };
    context.get = [this](std::string_view, std::string_view resource, std::string_view, std::string_view name) -> api::ObjectPtr {
      if (resource != "namespaces") return nullptr;
      for (const auto& n : namespaces) {
        if (n->name() == name) return n;
      }
      return nullptr;
    };
  }
  // What comes of the creation of a pod.
  Status create(const Plugin& plugin, const api::MutableObject& pod) {
    Attributes a;
    a.resource = api::findResource("", "v1", "pods");
    a.ns = "default";
    a.name = pod->name();
    a.object = pod;
    a.warnings = &warnings;
    if (Status s = plugin.mutate(a); !s.ok()) return s;
    return plugin.validate(a);
  }
};

TEST(LimitRangerTest, GivesDefaultsAndKeepsBounds) {
  Cluster c;
  c.ranges.push_back(object<v1::LimitRange>(R"({"metadata":{"name":"l"},"spec":{"limits":[{"type":"Container","max":{"cpu":"1"},
      "default":{"cpu":"500m"},"defaultRequest":{"cpu":"100m"}}]}})"));
  auto plugin = makeLimitRanger(c.context);
  auto pod = object<v1::Pod>(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}})");
  EXPECT_TRUE(c.create(*plugin, pod).ok());
  EXPECT_EQ(pod->as<v1::Pod>().spec.containers[0].resources.limits.get("cpu").str(), "500m");
  EXPECT_EQ(pod->meta().annotations.get("kubernetes.io/limit-ranger"),
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c");
  auto large = object<v1::Pod>(R"({"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"2"}}}]}})");
  EXPECT_EQ(c.create(*plugin, large).message(), "pods \"q\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}

TEST(LimitRangerTest, AddsUpThePod) {
  Cluster c;
  c.ranges.push_back(object<v1::LimitRange>(R"({"metadata":{"name":"l"},"spec":{"limits":[{"type":"Pod","min":{"cpu":"3"}}]}})"));
  auto plugin = makeLimitRanger(c.context);
  auto pod = object<v1::Pod>(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}},
      {"name":"b","resources":{"requests":{"cpu":"1500m"}}}]}})");
  EXPECT_EQ(c.create(*plugin, pod).message(), "pods \"p\" is forbidden: minimum cpu usage per Pod is 3, but request is 2500m");
}

TEST(PodSecurityTest, EnforcesTheLevelOfTheNamespace) {
  Cluster c;
  c.namespaces.push_back(object<v1::Namespace>(R"({"metadata":{"name":"default","labels":{"pod-security.kubernetes.io/enforce":"baseline"}}})"));
  auto plugin = makePodSecurity(c.context);
  auto fine = object<v1::Pod>(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}})");
  EXPECT_TRUE(c.create(*plugin, fine).ok());
  auto bad = object<v1::Pod>(R"({"metadata":{"name":"p"},"spec":{"hostNetwork":true,"containers":[{"name":"c"}]}})");
  EXPECT_EQ(c.create(*plugin, bad).message(),
            "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)");
}

TEST(ServiceAccountTest, MirrorPodsUseNoSecrets) {
  Cluster c;
  auto plugin = makeServiceAccount(c.context);
  auto pod = object<v1::Pod>(R"({"metadata":{"name":"p","annotations":{"kubernetes.io/config.mirror":"x"}},
      "spec":{"containers":[{"name":"c","envFrom":[{"secretRef":{"name":"s"}}]}]}})");
  EXPECT_EQ(c.create(*plugin, pod).message(), "pods \"p\" is forbidden: a mirror pod may not reference secrets");
}

}  // namespace
}  // namespace km::admission
