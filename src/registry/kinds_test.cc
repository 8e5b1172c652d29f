// Rules of kinds: a manifest goes in as a client writes it; out come the errors, or fields of the stored
// object.
#include <gtest/gtest.h>

#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/clock.h"
#include "codec/json.h"
#include "registry/batch/cron_schedule.h"
#include "registry/catalog.h"
#include "registry/core/pod_binding.h"
#include "registry/ip.h"
#include "registry/kind_fixture.h"
#include "registry/metadata.h"
#include "registry/scale.h"

namespace km::registry {
namespace {

constexpr char kPod[] = R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"nginx"}]}})";

TEST(PodTest, DefaultsWhatTheClientLeavesOut) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  const auto& pod = o->as<api::core_v1::Pod>();
  EXPECT_EQ(pod.spec.restartPolicy, "Always");
  EXPECT_EQ(pod.spec.containers[0].imagePullPolicy, "Always");
  EXPECT_EQ(pod.spec.terminationGracePeriodSeconds, 30);
  EXPECT_EQ(pod.status.phase, "Pending");
  EXPECT_EQ(pod.status.qosClass, "BestEffort");
  EXPECT_EQ(pod.metadata.generation, 1);
}

TEST(PodTest, LimitsBecomeRequestsAndGuarantee) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"a:1",
      "resources":{"limits":{"cpu":"100m","memory":"1Gi"}}}]}})");
  const auto& pod = o->as<api::core_v1::Pod>();
  EXPECT_EQ(pod.spec.containers[0].resources.requests.get("cpu").str(), "100m");
  EXPECT_EQ(pod.status.qosClass, "Guaranteed");
  EXPECT_EQ(pod.spec.containers[0].imagePullPolicy, "IfNotPresent");
}

TEST(PodTest, ErrorsComeInUpstreamsWordsAndOrder) {
  Kind pods("", "v1", "pods");
  EXPECT_EQ(pods.createErrors(R"({"metadata":{"name":"p"},"spec":{"restartPolicy":"Odd","containers":[
      {"name":"Bad_","image":"a","volumeMounts":[{"name":"v","mountPath":"/x"}]}]}})"),
            "[spec.containers[0].name: Invalid value: \"Bad_\": a lowercase RFC 1123 label must consist of "
            "lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
            "regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.containers[0].volumeMounts[0].name: Not found: \"v\", "
            "spec.restartPolicy: Unsupported value: "
            "\"Odd\": supported values: \"Always\", \"OnFailure\", \"Never\"]");
}

TEST(PodTest, OnlyImagesAndFewMoreMayChange) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  EXPECT_EQ(pods.updateErrors(
                *o, [](api::Object& n) { n.as<api::core_v1::Pod>().spec.containers[0].image = "other"; }),
            "");
  EXPECT_NE(pods.updateErrors(*o, [](api::Object& n) { n.as<api::core_v1::Pod>().spec.hostname = "h"; })
                .find("pod updates may not change fields other than"),
            std::string::npos);
}

TEST(PodTest, GraceIsZeroWithoutNodeOrAfterTheEnd) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  std::optional<int64_t> grace;
  EXPECT_TRUE(pods.strategy->checkGracefulDelete(pods.context, *o, grace));
  EXPECT_EQ(grace, 0);
  o->as<api::core_v1::Pod>().spec.nodeName = "n";
  grace.reset();
  pods.strategy->checkGracefulDelete(pods.context, *o, grace);
  EXPECT_EQ(grace, 30);
  o->as<api::core_v1::Pod>().status.phase = "Failed";
  pods.strategy->checkGracefulDelete(pods.context, *o, grace);
  EXPECT_EQ(grace, 0);
}

TEST(PodTest, BindsOnce) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  api::core_v1::Binding b;
  b.target.name = "n1";
  auto binding = api::Object::of(b);
  auto bound = bindPod(*o, *binding, pods.context.now);
  ASSERT_TRUE(bound.ok());
  EXPECT_EQ((*bound)->as<api::core_v1::Pod>().spec.nodeName, "n1");
  EXPECT_EQ((*bound)->as<api::core_v1::Pod>().status.conditions[0].type, "PodScheduled");
  EXPECT_EQ(bindPod(**bound, *binding, pods.context.now).status().code(), 409);
}

TEST(PodTest, RowSaysWhatHappens) {
  Kind pods("", "v1", "pods");
  auto o = pods.created(kPod);
  auto& s = o->as<api::core_v1::Pod>().status.containerStatuses.add();
  s.name = "c";
  s.state.waiting.emplace().reason = "CrashLoopBackOff";
  s.restartCount = 3;
  auto cells = pods.strategy->cells(*pods.resource, *o, pods.context.now);
  EXPECT_EQ(cells[1], "\"0/1\"");
  EXPECT_EQ(cells[2], "\"CrashLoopBackOff\"");
  EXPECT_EQ(cells[3], "\"3\"");
}

TEST(CatalogTest, EveryKindHasACellForEachColumn) {
  for (const api::Resource& r : api::builtinResources()) {
    if (!isStored(r) || storageResource(r) != &r) continue;
    auto strategy = makeStrategy(r);
    auto o = api::Object::make(*r.type);
    strategy->setDefaults(*o);
    EXPECT_EQ(strategy->cells(r, *o, WallTime{}).size(), r.columns.size()) << r.group << "/" << r.name;
  }
}

TEST(DeploymentTest, SelectorMustMatchAndStays) {
  Kind kind("apps", "v1", "deployments");
  constexpr char kText[] = R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},
      "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x"}]}}}})";
  auto o = kind.created(kText);
  const auto& d = o->as<api::apps_v1::Deployment>();
  EXPECT_EQ(d.spec.replicas, 1);
  EXPECT_EQ(d.spec.strategy.rollingUpdate->maxSurge->str(), "25%");
  EXPECT_NE(kind.updateErrors(*o,
                              [](api::Object& n) {
                                auto& s = n.as<api::apps_v1::Deployment>().spec;
                                s.selector->matchLabels["a"] = "c";
                                s.template_.metadata.labels["a"] = "c";
                              })
                .find("spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"),
            std::string::npos);
  EXPECT_EQ(scaleOf(*o)->selector, "a=b");
}

TEST(SecretTest, StringDataIsWrittenIntoData) {
  Kind kind("", "v1", "secrets");
  auto o = kind.created(R"({"metadata":{"name":"s"},"stringData":{"k":"v"}})");
  EXPECT_EQ(o->as<api::core_v1::Secret>().data.get("k"), "v");
  EXPECT_TRUE(o->as<api::core_v1::Secret>().stringData.empty());
  EXPECT_EQ(o->as<api::core_v1::Secret>().type, "Opaque");
}

TEST(NamespaceTest, HasItsFinalizerAndLabel) {
  Kind kind("", "v1", "namespaces");
  auto o = kind.created(R"({"metadata":{"name":"n"}})");
  EXPECT_EQ(o->as<api::core_v1::Namespace>().spec.finalizers[0], "kubernetes");
  EXPECT_EQ(o->meta().labels.get("kubernetes.io/metadata.name"), "n");
}

TEST(IpTest, ReadsLooselyAndPrintsCanonically) {
  EXPECT_EQ(Ip::parseSloppy("010.0.0.1")->str(), "10.0.0.1");
  EXPECT_FALSE(isStrictIp("010.0.0.1"));
  EXPECT_EQ(Ip::parseSloppy("2001:DB8:0:0::1")->str(), "2001:db8::1");
  EXPECT_EQ(Ip::parseSloppy("::")->str(), "::");
  EXPECT_FALSE(Ip::parseSloppy("1.2.3"));
  EXPECT_FALSE(Ip::parseSloppy("1.2.3.256"));
  EXPECT_EQ(Cidr::parseSloppy("10.96.7.7/16")->str(), "10.96.0.0/16");
  EXPECT_TRUE(Cidr::parseSloppy("fd00::/64")->contains(*Ip::parseSloppy("fd00::5")));
}

TEST(CronTest, SaysWhatIsWrong) {
  EXPECT_EQ(cronScheduleError("*/5 0-6 1,15 jan-mar mon"), "");
  EXPECT_EQ(cronScheduleError("@every 1h"), "");
  EXPECT_EQ(cronScheduleError("* * * *"), "expected exactly 5 fields, found 4: [* * * *]");
  EXPECT_EQ(cronScheduleError("61 * * * *"), "end of range (61) above maximum (59): 61");
}

}  // namespace
}  // namespace km::registry
