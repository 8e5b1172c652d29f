#include <gtest/gtest.h>

#include "api/object.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/resource_v1.h"
#include "codec/json.h"
#include "resources/pod.h"
#include "resources/quota_check.h"

namespace km::resources {
namespace {

namespace v1 = api::core_v1;

template <typename T>
api::MutableObject object(std::string_view json) {
  api::MutableObject o = api::Object::make(T::kType);
  EXPECT_TRUE(codec::decodeJson(json, o->data(), T::kType).ok()) << json;
  return o;
}

v1::ResourceQuota quota(std::string_view json) { return object<v1::ResourceQuota>(json)->as<v1::ResourceQuota>(); }

const WallTime kNow{1000, 0};

template <typename T>
std::string usage(std::string_view resource, std::string_view json) {
  return text(makeEvaluator("", resource)->usage(*object<T>(json), kNow));
}

TEST(PodTest, AddsUpContainersStepsAndSidecars) {
  auto pod = object<v1::Pod>(R"({"spec":{"overhead":{"cpu":"10m"},"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}],
      "initContainers":[{"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"500m"}}},
                        {"name":"i","resources":{"requests":{"cpu":"2"}}}]}})");
  EXPECT_EQ(text(podRequests(pod->as<v1::Pod>())), "cpu=2510m");
}

TEST(PodTest, CountsWhatAResizeLeavesAndWhatItAsksFor) {
  constexpr std::string_view kPod = R"({"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}]},
      "status":{"containerStatuses":[{"name":"a","resources":{"requests":{"cpu":"2"}},"allocatedResources":{"cpu":"1500m"}}]CONDITIONS}})";
  auto with = [&](std::string_view conditions) {
    std::string json(kPod);
    json.replace(json.find("CONDITIONS"), 10, conditions);
    return text(podRequests(object<v1::Pod>(json)->as<v1::Pod>()));
  };
  EXPECT_EQ(with(""), "cpu=2");
  EXPECT_EQ(with(R"(,"conditions":[{"type":"PodResizePending","reason":"Infeasible"}])"), "cpu=2");
}

TEST(UsageTest, ChargesForPods) {
  EXPECT_EQ(usage<v1::Pod>("pods", R"({"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"1","x.io/gpu":"2",
      "hugepages-2Mi":"4Mi"},"limits":{"cpu":"2"}}}]}})"),
            "count/pods=1,cpu=1,hugepages-2Mi=4Mi,limits.cpu=2,pods=1,requests.cpu=1,requests.hugepages-2Mi=4Mi,requests.x.io/gpu=2");
  EXPECT_EQ(usage<v1::Pod>("pods", R"({"status":{"phase":"Failed"},"spec":{"containers":[{"name":"a"}]}})"), "count/pods=1");
  // Stuck since its grace period ended.
  EXPECT_EQ(usage<v1::Pod>("pods", R"({"metadata":{"deletionTimestamp":"1970-01-01T00:16:00Z","deletionGracePeriodSeconds":30}})"),
            "count/pods=1");
}

TEST(UsageTest, ChargesForServicesAndClaims) {
  EXPECT_EQ(usage<v1::Service>("services", R"({"spec":{"type":"LoadBalancer","allocateLoadBalancerNodePorts":false,
      "ports":[{"port":1,"nodePort":30000},{"port":2}]}})"),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1");
  EXPECT_EQ(usage<v1::PersistentVolumeClaim>("persistentvolumeclaims", R"({"spec":{"storageClassName":"gold",
      "resources":{"requests":{"storage":"1Gi"}}},"status":{"allocatedResources":{"storage":"2Gi"}}})"),
            "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,"
            "gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi");
  EXPECT_EQ(usage<v1::ConfigMap>("configmaps", "{}"), "configmaps=1,count/configmaps=1");
}

TEST(UsageTest, ChargesTheWorstOfAlternativeDevices) {
  auto claim = object<api::resource_v1::ResourceClaim>(R"({"spec":{"devices":{"requests":[
      {"name":"a","exactly":{"deviceClassName":"c","allocationMode":"ExactCount","count":2}},
      {"name":"b","firstAvailable":[{"name":"x","deviceClassName":"c","allocationMode":"ExactCount","count":1},
                                    {"name":"y","deviceClassName":"c","allocationMode":"All"}]}]}}})");
  EXPECT_EQ(text(makeEvaluator("resource.k8s.io", "resourceclaims")->usage(*claim, kNow)),
            "c.deviceclass.resource.k8s.io/devices=34,count/resourceclaims.resource.k8s.io=1");
}

TEST(ChargeTest, BooksUntilItIsFull) {
  auto evaluator = makeEvaluator("", "pods");
  std::vector<v1::ResourceQuota> quotas = {
      quota(R"({"metadata":{"name":"q"},"status":{"hard":{"requests.cpu":"2","pods":"5"},"used":{"requests.cpu":"1","pods":"1"}}})")};
  auto pod = object<v1::Pod>(R"({"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"600m"}}}]}})");
  EXPECT_EQ(charge(quotas, *evaluator, "", *pod, nullptr, kNow), "");
  EXPECT_EQ(text(quotas[0].status.used), "pods=2,requests.cpu=1600m");
  EXPECT_EQ(charge(quotas, *evaluator, "", *pod, nullptr, kNow),
            "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=1600m, limited: requests.cpu=2");
  EXPECT_EQ(text(quotas[0].status.used), "pods=2,requests.cpu=1600m");
  auto silent = object<v1::Pod>(R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})");
  EXPECT_EQ(charge(quotas, *evaluator, "", *silent, nullptr, kNow), "failed quota: q: must specify requests.cpu for: a,b");
}

TEST(ChargeTest, LooksAtScopesAndChanges) {
  auto pods = makeEvaluator("", "pods");
  auto pod = object<v1::Pod>(R"({"spec":{"priorityClassName":"high","containers":[{"name":"a"}]}})");
  auto of = [](std::string_view op, std::string_view values) {
    std::string s = R"({"metadata":{"name":"q"},"spec":{"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":")";
    s += std::string(op) + R"(","values":)" + std::string(values) + R"(}]}},"status":{"hard":{"pods":"5"},"used":{"pods":"0"}}})";
    return quota(s);
  };
  std::vector<v1::ResourceQuota> quotas = {of("In", R"(["high"])"), of("NotIn", R"(["high"])"), of("Exists", "[]"), of("DoesNotExist", "[]")};
  EXPECT_EQ(charge(quotas, *pods, "", *pod, nullptr, kNow), "");
  std::string used;
  for (const auto& q : quotas) used += q.status.used.get("pods").str();
  EXPECT_EQ(used, "1010");

  auto services = makeEvaluator("", "services");
  std::vector<v1::ResourceQuota> ports = {
      quota(R"({"metadata":{"name":"q"},"status":{"hard":{"services.nodeports":"2"},"used":{"services.nodeports":"1"}}})")};
  auto one = object<v1::Service>(R"({"metadata":{"resourceVersion":"1"},"spec":{"type":"NodePort","ports":[{"port":1}]}})");
  auto two = object<v1::Service>(R"({"spec":{"type":"NodePort","ports":[{"port":1},{"port":2}]}})");
  EXPECT_EQ(charge(ports, *services, "", *two, one.get(), kNow), "");
  EXPECT_EQ(text(ports[0].status.used), "services.nodeports=2");
}

TEST(ChargeTest, RefusesBeforeTheUsageIsKnown) {
  auto evaluator = makeEvaluator("", "secrets");
  std::vector<v1::ResourceQuota> quotas = {quota(R"({"metadata":{"name":"q"},"status":{"hard":{"secrets":"2"}}})")};
  auto secret = object<v1::Secret>("{}");
  EXPECT_EQ(charge(quotas, *evaluator, "", *secret, nullptr, kNow), "status unknown for quota: q, resources: secrets");
}

TEST(UsedTest, SumsWhatIsThere) {
  auto pods = makeEvaluator("", "pods");
  auto secrets = makeEvaluator("", "secrets");
  std::vector<Population> kinds = {
      {pods.get(), [] { return std::vector<api::ObjectPtr>{object<v1::Pod>("{}"), object<v1::Pod>(R"({"status":{"phase":"Succeeded"}})")}; }},
      {secrets.get(), []() -> std::vector<api::ObjectPtr> { ADD_FAILURE() << "nobody asked for secrets"; return {}; }}};
  EXPECT_EQ(text(used(quota(R"({"spec":{"hard":{"pods":"9","count/pods":"9","cpu":"1","count/things":"1"}}})"), kinds, kNow)),
            "count/pods=2,cpu=0,pods=1");
}

}  // namespace
}  // namespace km::resources
