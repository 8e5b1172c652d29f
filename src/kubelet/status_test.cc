#include "kubelet/status.h"

#include <gtest/gtest.h>

#include "codec/json.h"

namespace km::kubelet {
namespace {

v1::Pod podOf(std::string_view spec) {
  auto p = codec::fromJson<v1::Pod>(std::string(R"({"metadata":{"name":"p","namespace":"n","uid":"u","generation":1},"spec":)") + std::string(spec) + "}");
  EXPECT_TRUE(p.ok()) << p.status().message();
  return *p;
}

struct Case {
  v1::Pod pod;
  RuntimePod runtime;
  std::map<std::string, WaitingReason> waiting;
  StatusInput in;
  int64_t clock = 1'700'000'000'000'000'000;

  explicit Case(std::string_view spec) : pod(podOf(spec)) {
    in.pod = &pod;
    in.runtime = &runtime;
    in.waiting = &waiting;
    in.hostIps = {"192.0.2.1"};
    in.now = {1'700'000'100, 0};
    in.startTime = {1'700'000'000, 0};
  }
  void sandbox() {
    SandboxRecord s;
    s.id = "s";
    s.status.network.ensure().ip = "10.0.0.9";
    runtime.sandboxes.push_back(std::move(s));
  }
  void container(std::string name, int32_t state, int code = 0, int restarts = 0) {
    ContainerRecord r;
    r.id = name + std::to_string(clock++);
    r.name = name;
    r.sandboxId = "s";
    r.restartCount = restarts;
    r.status.state = state;
    r.status.exitCode = code;
    r.status.reason = state == cri::ContainerState::kCONTAINER_EXITED ? (code ? "Error" : "Completed") : "";
    r.status.createdAt = r.status.startedAt = clock;
    runtime.containers.insert(runtime.containers.begin(), std::move(r));
  }
  v1::PodStatus make() const { return makeStatus(in); }
};

std::string condition(const v1::PodStatus& s, std::string_view type) {
  for (const auto& c : s.conditions) {
    if (c.type == type) return c.status.str() + (c.reason.empty() ? "" : " " + c.reason.str()) + (c.message.empty() ? "" : ": " + c.message.str());
  }
  return "absent";
}

constexpr auto kRunning = cri::ContainerState::kCONTAINER_RUNNING;
constexpr auto kExited = cri::ContainerState::kCONTAINER_EXITED;

TEST(Status, OfAPodThatIsBeingMade) {
  Case c(R"({"containers":[{"name":"b","image":"i"},{"name":"a","image":"i"}]})");
  v1::PodStatus s = c.make();
  EXPECT_EQ(s.phase, "Pending");
  EXPECT_EQ(s.containerStatuses[0].name, "a");  // sorted by name
  EXPECT_EQ(s.containerStatuses[0].state.waiting->reason, "ContainerCreating");
  EXPECT_EQ(condition(s, "Ready"), "False ContainersNotReady: containers with unready status: [b a]");
  EXPECT_EQ(condition(s, "Initialized"), "True");
  EXPECT_EQ(condition(s, "PodReadyToStartContainers"), "False");
  EXPECT_EQ(condition(s, "PodScheduled"), "True");
}

TEST(Status, OfARunningPod) {
  Case c(R"({"containers":[{"name":"a","image":"i","readinessProbe":{}}]})");
  c.sandbox();
  c.container("a", kRunning);
  c.in.ready = [](std::string_view) { return false; };
  v1::PodStatus s = c.make();
  EXPECT_EQ(s.phase, "Running");
  EXPECT_EQ(s.podIP, "10.0.0.9");
  EXPECT_EQ(s.hostIP, "192.0.2.1");
  EXPECT_FALSE(s.containerStatuses[0].ready);
  EXPECT_EQ(condition(s, "ContainersReady"), "False ContainersNotReady: containers with unready status: [a]");
  c.in.ready = [](std::string_view) { return true; };
  s = c.make();
  EXPECT_TRUE(s.containerStatuses[0].ready);
  EXPECT_EQ(condition(s, "Ready"), "True");
  // Nothing new: nothing to write.
  c.pod.status = s;
  c.in.now.seconds += 60;
  EXPECT_TRUE(sameStatus(s, c.make()));
}

TEST(Status, ShowsACrashLoop) {
  Case c(R"({"containers":[{"name":"a","image":"i"}]})");
  c.sandbox();
  c.container("a", kExited, 1, 1);
  c.waiting["a"] = {"CrashLoopBackOff", "back-off 10s restarting failed container=a pod=p_n(u)"};
  v1::PodStatus s = c.make();
  EXPECT_EQ(s.phase, "Running");
  EXPECT_EQ(s.containerStatuses[0].state.waiting->reason, "CrashLoopBackOff");
  EXPECT_EQ(s.containerStatuses[0].lastState.terminated->exitCode, 1);
  EXPECT_EQ(s.containerStatuses[0].restartCount, 1);
}

TEST(Status, OfPodsThatEnded) {
  for (auto [code, phase, reason] : {std::tuple{0, "Succeeded", "PodCompleted"}, {3, "Failed", "PodFailed"}}) {
    Case c(R"({"restartPolicy":"Never","containers":[{"name":"a","image":"i"}]})");
    c.sandbox();
    c.container("a", kExited, code);
    c.in.terminal = true;
    v1::PodStatus s = c.make();
    EXPECT_EQ(s.phase, phase);
    EXPECT_EQ(condition(s, "Ready"), std::string("False ") + reason);
    EXPECT_EQ(s.containerStatuses[0].state.terminated->reason, code ? "Error" : "Completed");
  }
}

TEST(Status, OfAPodPastItsDeadline) {
  Case c(R"({"containers":[{"name":"a","image":"i"}]})");
  c.in.terminal = c.in.gone = true;
  c.in.endReason = "DeadlineExceeded";
  c.in.endMessage = "Pod was active on the node longer than the specified deadline";
  v1::PodStatus s = c.make();
  EXPECT_EQ(s.phase, "Failed");
  EXPECT_EQ(s.reason, "DeadlineExceeded");
  EXPECT_EQ(s.containerStatuses[0].state.terminated->reason, "ContainerStatusUnknown");
}

TEST(Status, OfInitContainers) {
  Case c(R"({"initContainers":[{"name":"i","image":"i"}],"containers":[{"name":"a","image":"i"}]})");
  c.sandbox();
  c.container("i", kRunning);
  v1::PodStatus s = c.make();
  EXPECT_EQ(s.phase, "Pending");
  EXPECT_EQ(s.containerStatuses[0].state.waiting->reason, "PodInitializing");
  EXPECT_EQ(condition(s, "Initialized"), "False ContainersNotInitialized: containers with incomplete status: [i]");
  c.runtime.containers[0].status.state = kExited;
  c.container("a", kRunning);
  s = c.make();
  EXPECT_EQ(s.phase, "Running");
  EXPECT_TRUE(s.initContainerStatuses[0].ready);
  EXPECT_EQ(condition(s, "Initialized"), "True");
}

TEST(Status, HonoursReadinessGates) {
  Case c(R"({"readinessGates":[{"conditionType":"x/y"}],"containers":[{"name":"a","image":"i"}]})");
  c.sandbox();
  c.container("a", kRunning);
  EXPECT_EQ(condition(c.make(), "Ready"), "False ReadinessGatesNotReady: corresponding condition of pod readiness gate \"x/y\" does not exist.");
  auto& gate = c.pod.status.conditions.add();
  gate.type = "x/y";
  gate.status = "True";
  EXPECT_EQ(condition(c.make(), "Ready"), "True");
}

}  // namespace
}  // namespace km::kubelet
