#include "kubelet/compute_actions.h"

#include <gtest/gtest.h>

#include "codec/json.h"

namespace km::kubelet {
namespace {

v1::Pod podOf(std::string_view spec) {
  auto p = codec::fromJson<v1::Pod>(std::string(R"({"metadata":{"name":"p","namespace":"n","uid":"u"},"spec":)") + std::string(spec) + "}");
  EXPECT_TRUE(p.ok()) << p.status().message();
  return *p;
}

struct World {
  RuntimePod runtime;
  int64_t clock = 1;
  std::map<std::string, ProbeResult, std::less<>> liveness, startup;

  void sandbox(bool ready = true) {
    SandboxRecord s;
    s.id = "s" + std::to_string(clock);
    s.attempt = static_cast<uint32_t>(runtime.sandboxes.size());
    s.status.state = ready ? cri::PodSandboxState::kSANDBOX_READY : cri::PodSandboxState::kSANDBOX_NOTREADY;
    s.status.createdAt = clock++;
    s.status.network.ensure().ip = "10.0.0.1";
    runtime.sandboxes.push_back(std::move(s));
    runtime.sort();
  }
  void container(const v1::Pod& pod, const std::string& name, int32_t state, int code = 0) {
    ContainerRecord r;
    r.id = name + std::to_string(clock);
    r.name = name;
    r.sandboxId = runtime.sandboxes.front().id;
    r.hash = containerHash(*findContainer(pod, name));
    r.status.state = state;
    r.status.exitCode = code;
    r.status.createdAt = clock++;
    runtime.containers.push_back(std::move(r));
    runtime.sort();
  }
  PodActions actions(const v1::Pod& pod) const {
    ProbeView view{[this](std::string_view id) { return at(liveness, id, ProbeResult::kSuccess); }, [this](std::string_view id) { return at(startup, id, ProbeResult::kUnknown); }};
    return computeActions(pod, runtime, view);
  }
  static ProbeResult at(const std::map<std::string, ProbeResult, std::less<>>& m, std::string_view id, ProbeResult none) {
    auto it = m.find(id);
    return it == m.end() ? none : it->second;
  }
};

std::string text(const PodActions& a) {
  std::string out;
  if (a.killPod) out += "kill-pod ";
  if (a.createSandbox) out += "sandbox" + std::to_string(a.attempt) + " ";
  for (const auto& s : a.start) out += "+" + s.name + " ";
  for (const auto& k : a.kill) out += "-" + k.name + " ";
  return out;
}

constexpr auto kRunning = cri::ContainerState::kCONTAINER_RUNNING;
constexpr auto kExited = cri::ContainerState::kCONTAINER_EXITED;

TEST(ComputeActions, StartsEverythingOfANewPod) {
  v1::Pod pod = podOf(R"({"containers":[{"name":"a"},{"name":"b"}]})");
  World w;
  EXPECT_EQ(text(w.actions(pod)), "kill-pod sandbox0 +a +b ");
  w.sandbox();
  EXPECT_EQ(text(w.actions(pod)), "+a +b ");
  w.container(pod, "a", kRunning);
  w.container(pod, "b", kRunning);
  EXPECT_EQ(text(w.actions(pod)), "");
}

TEST(ComputeActions, RunsInitContainersInOrder) {
  v1::Pod pod = podOf(R"({"initContainers":[{"name":"i"},{"name":"j"}],"containers":[{"name":"a"}]})");
  World w;
  EXPECT_EQ(text(w.actions(pod)), "kill-pod sandbox0 +i ");
  w.sandbox();
  EXPECT_EQ(text(w.actions(pod)), "+i ");
  w.container(pod, "i", kRunning);
  EXPECT_EQ(text(w.actions(pod)), "");
  w.runtime.containers[0].status.state = kExited;
  EXPECT_EQ(text(w.actions(pod)), "+j ");
  w.container(pod, "j", kExited, 1);
  EXPECT_EQ(text(w.actions(pod)), "+j ");
  w.container(pod, "j", kExited, 0);
  EXPECT_EQ(text(w.actions(pod)), "+a ");
}

TEST(ComputeActions, EndsAPodWhoseInitContainerMayNotRunAgain) {
  v1::Pod pod = podOf(R"({"restartPolicy":"Never","initContainers":[{"name":"i"}],"containers":[{"name":"a"}]})");
  World w;
  w.sandbox();
  w.container(pod, "i", kExited, 1);
  EXPECT_EQ(text(w.actions(pod)), "kill-pod ");
}

TEST(ComputeActions, WaitsForASidecarsStartup) {
  v1::Pod pod = podOf(R"({"initContainers":[{"name":"s","restartPolicy":"Always","startupProbe":{}},{"name":"i"}],"containers":[{"name":"a"}]})");
  World w;
  w.sandbox();
  EXPECT_EQ(text(w.actions(pod)), "+s ");
  w.container(pod, "s", kRunning);
  EXPECT_EQ(text(w.actions(pod)), "");
  w.startup[w.runtime.containers[0].id] = ProbeResult::kSuccess;
  EXPECT_EQ(text(w.actions(pod)), "+i ");
  w.container(pod, "i", kExited, 0);
  EXPECT_EQ(text(w.actions(pod)), "+a ");
  w.container(pod, "a", kRunning);
  EXPECT_EQ(text(w.actions(pod)), "");
  w.runtime.byId(w.runtime.latest("s")->id)->status.state = kExited;
  EXPECT_EQ(text(w.actions(pod)), "+s ");
}

TEST(ComputeActions, FollowsTheRestartPolicy) {
  for (auto [policy, code, expected] : {std::tuple{"Always", 0, "+a "}, {"Always", 1, "+a "}, {"OnFailure", 0, "kill-pod "}, {"OnFailure", 1, "+a "}, {"Never", 1, "kill-pod "}}) {
    v1::Pod pod = podOf(std::string(R"({"restartPolicy":")") + policy + R"(","containers":[{"name":"a"}]})");
    World w;
    w.sandbox();
    w.container(pod, "a", kExited, code);
    EXPECT_EQ(text(w.actions(pod)), expected) << policy << code;
  }
}

TEST(ComputeActions, KillsWhatFailsItsProbeOrChanged) {
  v1::Pod pod = podOf(R"({"containers":[{"name":"a","image":"x","livenessProbe":{}},{"name":"b"}]})");
  World w;
  w.sandbox();
  w.container(pod, "a", kRunning);
  w.container(pod, "b", kRunning);
  w.liveness[w.runtime.latest("a")->id] = ProbeResult::kFailure;
  PodActions a = w.actions(pod);
  ASSERT_EQ(text(a), "-a ");
  EXPECT_EQ(a.kill[0].message, "Container a failed liveness probe, will be restarted");
  w.liveness.clear();
  pod.spec.containers[0].image = "y";
  a = w.actions(pod);
  ASSERT_EQ(text(a), "-a ");
  EXPECT_EQ(a.kill[0].message, "Container a definition changed, will be restarted");
}

TEST(ComputeActions, MakesALostSandboxAnew) {
  v1::Pod pod = podOf(R"({"restartPolicy":"OnFailure","containers":[{"name":"a"},{"name":"b"}]})");
  World w;
  w.sandbox(false);
  w.container(pod, "a", kExited, 0);
  w.container(pod, "b", kExited, 1);
  EXPECT_EQ(text(w.actions(pod)), "kill-pod sandbox1 +b ");
  pod.spec.restartPolicy = "Never";
  EXPECT_EQ(text(w.actions(pod)), "kill-pod ");
}

}  // namespace
}  // namespace km::kubelet
