#include <gtest/gtest.h>

#include "api/resource.h"
#include "api/selector.h"
#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "codec/proto.h"

namespace km::api {
namespace {

using codec::decodeJson;
using codec::StrictErrors;

constexpr char kPod[] =
    R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","creationTimestamp":"2026-01-02T03:04:05Z",)"
    R"("labels":{"app":"web","tier":"a<b"}},"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Gi"}}],"containers":[{"name":"c",)"
    R"("image":"busybox","ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"500m"}},)"
    R"("livenessProbe":{"httpGet":{"path":"/","port":"http"},"periodSeconds":10}}],"restartPolicy":"Always"},"status":{}})";

TEST(Json, RoundTripKeepsTheBytes) {
  core_v1::Pod pod;
  codec::TypeMeta meta;
  ASSERT_TRUE(decodeJson(kPod, &pod, core_v1::Pod::kType, nullptr, &meta).ok());
  EXPECT_EQ(meta.kind, "Pod");
  EXPECT_EQ(pod.spec.containers[0].livenessProbe->httpGet->port.text, "http");
  std::string expected = kPod;
  size_t at = expected.find("a<b");
  expected.replace(at, 3, "a\\u003cb");
  EXPECT_EQ(codec::toJson(pod), expected);
}

TEST(Proto, RoundTripKeepsTheObject) {
  core_v1::Pod pod;
  ASSERT_TRUE(decodeJson(kPod, &pod, core_v1::Pod::kType).ok());
  std::string bytes = codec::toProto(pod);
  auto back = codec::fromProto<core_v1::Pod>(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(codec::equal(&*back, &pod, core_v1::Pod::kType));
  EXPECT_EQ(codec::toJson(*back), codec::toJson(pod));
  core_v1::Pod copy = pod;
  EXPECT_TRUE(codec::equal(&copy, &pod, core_v1::Pod::kType));
  copy.spec.containers[0].ports[0].containerPort = 81;
  EXPECT_FALSE(codec::equal(&copy, &pod, core_v1::Pod::kType));
}

TEST(Json, StrictNamesUnknownAndDuplicateFields) {
  apps_v1::Deployment d;
  StrictErrors strict;
  ASSERT_TRUE(decodeJson(R"({"kind":"Deployment","spec":{"replicas":1,"replicas":2,"foo":1,"template":{"spec":{"containers":[{"name":"a","bar":{}}]}}}})",
                         &d, apps_v1::Deployment::kType, &strict)
                  .ok());
  EXPECT_EQ(strict.errors, (std::vector<std::string>{"duplicate field \"spec.replicas\"", "unknown field \"spec.foo\"",
                                                     "unknown field \"spec.template.spec.containers[0].bar\""}));
  EXPECT_EQ(d.spec.replicas, 2);
}

TEST(Json, TypeErrorsReadAsGo) {
  apps_v1::Deployment d;
  EXPECT_EQ(decodeJson(R"({"spec":{"replicas":"x"}})", &d, apps_v1::Deployment::kType).message(),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(decodeJson(R"({"spec":{"template":{"spec":{"containers":{}}}}})", &d, apps_v1::Deployment::kType).message(),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container");
}

TEST(Resources, KnowTheirKinds) {
  const Resource* r = findResource("apps", "v1", "deployments");
  ASSERT_NE(r, nullptr);
  EXPECT_EQ(r->type, &apps_v1::Deployment::kType);
  EXPECT_EQ(r->listType, &apps_v1::DeploymentList::kType);
  EXPECT_EQ(r->shortNames[0], "deploy");
  for (const Resource& each : builtinResources()) EXPECT_NE(each.type, nullptr) << each.name;
}

TEST(FieldSelectors, PrintWhatTheyEscape) {
  auto s = FieldSelector::parse(R"(metadata.name=a\\b\,c)");
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->terms()[0].value, "a\\b,c");
  EXPECT_EQ(s->str(), R"(metadata.name=a\\b\,c)");
}

}  // namespace
}  // namespace km::api
