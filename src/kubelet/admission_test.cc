#include "kubelet/admission.h"

#include <gtest/gtest.h>

#include "codec/json.h"

namespace km::kubelet {
namespace {

v1::Pod podOf(std::string_view spec) {
  auto pod = codec::fromJson<v1::Pod>("{\"spec\":" + std::string(spec) + "}");
  EXPECT_TRUE(pod.ok()) << pod.status().message();
  return std::move(*pod);
}

AdmittingNode node() {
  AdmittingNode n;
  n.name = "n1";
  n.labels["zone"] = "a";
  n.allocatable["cpu"] = *codec::Quantity::parse("2");
  n.allocatable["memory"] = *codec::Quantity::parse("1Gi");
  n.allocatable["pods"] = *codec::Quantity::parse("2");
  return n;
}

std::string reasonOf(const std::optional<Rejection>& r) {
  return r ? r->reason : "";
}

TEST(Admission, TakesWhatFits) {
  EXPECT_EQ(reasonOf(rejectPod(podOf(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"2"}}}]})"),
                               {}, node())),
            "");
}

TEST(Admission, CountsWhatOthersHold) {
  auto other = std::make_shared<v1::Pod>(
      podOf(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"1500m"}}}]})"));
  auto no = rejectPod(podOf(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"600m"}}}]})"),
                      {other}, node());
  ASSERT_TRUE(no);
  EXPECT_EQ(no->reason, "OutOfcpu");
  EXPECT_EQ(no->message, "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000");
  EXPECT_EQ(reasonOf(rejectPod(podOf(R"({"containers":[{"name":"c"}]})"), {other, other}, node())),
            "OutOfpods");
  EXPECT_EQ(reasonOf(rejectPod(
                podOf(R"({"containers":[{"name":"c","resources":{"requests":{"example.com/x":"1"}}}]})"), {},
                node())),
            "OutOfexample.com/x");
}

TEST(Admission, LooksAtLabelsAndName) {
  EXPECT_EQ(reasonOf(rejectPod(podOf(R"({"nodeSelector":{"zone":"b"}})"), {}, node())), "NodeAffinity");
  auto affinity = [](const char* term) {
    return podOf(
        std::string(
            R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[)") +
        term + "]}}}}");
  };
  EXPECT_TRUE(matchesNode(
      affinity(R"({"matchExpressions":[{"key":"zone","operator":"In","values":["a","b"]}]})"), node()));
  EXPECT_FALSE(matchesNode(
      affinity(R"({"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]})"), node()));
  EXPECT_TRUE(matchesNode(
      affinity(R"({"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]})"), node()));
  EXPECT_FALSE(matchesNode(affinity("{}"), node()));
}

TEST(Admission, TakesSafeSysctlsOnly) {
  EXPECT_EQ(reasonOf(rejectSysctls(
                podOf(R"({"securityContext":{"sysctls":[{"name":"kernel/shm_rmid_forced","value":"1"}]}})"))),
            "");
  auto no = rejectSysctls(podOf(R"({"securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]}})"));
  ASSERT_TRUE(no);
  EXPECT_EQ(no->message, "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
  EXPECT_EQ(
      reasonOf(rejectSysctls(podOf(
          R"({"hostNetwork":true,"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem","value":"1"}]}})"))),
      "SysctlForbidden");
}

}  // namespace
}  // namespace km::kubelet
