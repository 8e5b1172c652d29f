// Whole lives of pods, with a runtime and an API server in memory.
#include "kubelet/kubelet.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "api/types/coordination_v1.h"
#include "async/loop.h"
#include "base/files.h"
#include "client/testing/fake_client.h"
#include "codec/json.h"
#include "client/informer.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/hollow_runtime.h"
#include "kubelet/testing/fake_runtime.h"

namespace km::kubelet {
namespace {

class KubeletTest : public testing::Test {
 protected:
  void SetUp() override {
    char dir[] = "/tmp/km-kubelet-XXXXXX";
    ASSERT_NE(::mkdtemp(dir), nullptr);
    dir_ = dir;
    loop_.start("test");
    client_.setReactor([this](std::string_view, const client::Target&, const api::ObjectPtr&) {
      std::lock_guard lock(mutex_);
      changed_.notify_all();
      return Status();
    });
    runtime_.addImage("i");
  }
  void TearDown() override {
    kubelet_.reset();
    timers_.stop();
    pool_.stop();
    loop_.stop();
    loop_.join();
    std::filesystem::remove_all(dir_);
  }
  void start() {
    Options o;
    o.nodeName = "n1";
    o.rootDir = dir_ + "/root";
    o.podLogsDir = dir_ + "/log";
    o.containerLogsDir = dir_ + "/links";
    o.nodeIp = "192.0.2.1";
    o.podCgroups = false;
    o.port = -1;
    kubelet_ = std::make_unique<Kubelet>(o, client_, pool_, timers_, loop_, runtime_, client::EventRecorder());
    ASSERT_TRUE(kubelet_->start().ok());
  }
  // Until it holds: looked at after each call to the API, and now and then.
  bool until(const std::function<bool()>& holds) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::unique_lock lock(mutex_);
    while (std::chrono::steady_clock::now() < end) {
      lock.unlock();
      if (holds()) return true;
      lock.lock();
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return false;
  }
  void put(std::string_view spec, std::string_view name = "p") {
    auto pod = codec::fromJson<v1::Pod>(std::string(R"({"metadata":{"name":")") + std::string(name) + R"(","namespace":"n"},"spec":)" + std::string(spec) + "}");
    ASSERT_TRUE(pod.ok()) << pod.status().message();
    pod->spec.nodeName = "n1";
    client_.put(std::move(*pod));
  }
  std::shared_ptr<const v1::Pod> pod(std::string_view name = "p") { return client_.find<v1::Pod>("n", name); }
  bool phase(std::string_view wanted, std::string_view name = "p") {
    return until([&] { return pod(name) && pod(name)->status.phase == wanted; });
  }

  std::string dir_;
  std::mutex mutex_;
  std::condition_variable changed_;
  async::Loop loop_;
  client::FakeClient client_;
  client::WorkerPool pool_{2};
  client::Timers timers_;
  FakeRuntime runtime_{Clock::system()};
  std::unique_ptr<Kubelet> kubelet_;
};

TEST_F(KubeletTest, RegistersTheNode) {
  start();
  ASSERT_TRUE(until([&] {
    auto node = client_.find<v1::Node>("", "n1");
    return node && !node->status.conditions.empty() && client_.find<api::coordination_v1::Lease>("kube-node-lease", "n1");
  }));
  auto node = client_.find<v1::Node>("", "n1");
  EXPECT_EQ(node->metadata.labels.get("kubernetes.io/hostname"), "n1");
  bool ready = false;
  for (const auto& c : node->status.conditions) ready |= c.type == "Ready" && c.status == "True" && c.message == "kubelet is posting ready status";
  EXPECT_TRUE(ready);
}

// Two nodes that only pretend, over what they share: pods that a real node could not have are Ready on both, and nothing is made in the file system.
TEST_F(KubeletTest, HollowNodesPretend) {
  ElasticPool pool(4);
  client::SharedInformer services(client_, pool_, timers_, {client::target(v1::Service::kType).resource, "", "", ""});
  services.start();
  HollowRuntime runtimes[] = {{Clock::system(), 1}, {Clock::system(), 2}};
  std::vector<std::unique_ptr<Kubelet>> kubelets;
  for (int i = 0; i < 2; i++) {
    Options o;
    o.nodeName = "n" + std::to_string(i + 1);
    o.hollow.emplace().cpus = 7;
    o.rootDir = o.podLogsDir = dir_ + "/nothing";
    o.containerLogsDir.clear();
    o.podCgroups = false;
    o.port = -1;
    kubelets.push_back(std::make_unique<Kubelet>(o, client_, pool_, timers_, loop_, runtimes[i], client::EventRecorder(), SharedParts{&pool, &services}));
    ASSERT_TRUE(kubelets.back()->start().ok());
  }
  ASSERT_TRUE(until([&] { return client_.find<v1::Node>("", "n1") && client_.find<v1::Node>("", "n2"); }));
  EXPECT_EQ(client_.find<v1::Node>("", "n2")->status.capacity.get("cpu").str(), "7");
  std::string spec = R"({"terminationGracePeriodSeconds":0,"containers":[{"name":"a","image":"no/such:image","readinessProbe":{"httpGet":{"port":1},"periodSeconds":1},)"
                     R"("lifecycle":{"postStart":{"httpGet":{"port":1}}},"volumeMounts":[{"name":"v","mountPath":"/v"},{"name":"h","mountPath":"/h"}]}],)"
                     R"("volumes":[{"name":"v","emptyDir":{}},{"name":"h","hostPath":{"path":"/none","type":"Directory"}}]})";
  put(spec, "p");
  auto second = *pod("p");
  second.metadata = {};
  second.metadata.name = "q";
  second.metadata.namespace_ = "n";
  second.spec.nodeName = "n2";
  client_.put(std::move(second));
  auto isReady = [&](std::string_view name) {
    auto p = pod(name);
    return p && p->status.phase == "Running" && !p->status.containerStatuses.empty() && p->status.containerStatuses[0].ready;
  };
  ASSERT_TRUE(until([&] { return isReady("p") && isReady("q"); }));
  EXPECT_NE(pod("p")->status.podIP, pod("q")->status.podIP);
  ASSERT_TRUE(client_.remove(client::target(v1::Pod::kType, "n", "p")).ok());
  EXPECT_TRUE(until([&] { return !pod("p"); }));
  EXPECT_FALSE(fileExists(dir_ + "/nothing"));
  for (auto& k : kubelets) k->stop();
  pool.stop();
  kubelets.clear();
  services.stop();
}

TEST_F(KubeletTest, RunsAPodAndDeletesIt) {
  client::FakeClient& c = client_;
  v1::ConfigMap map;
  map.metadata.name = "m";
  map.metadata.namespace_ = "n";
  map.data["k"] = "v";
  c.put(map);
  start();
  put(R"({"terminationGracePeriodSeconds":7,"containers":[{"name":"a","image":"i","volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","configMap":{"name":"m"}}]})");
  ASSERT_TRUE(phase("Running"));
  EXPECT_EQ(pod()->status.podIP, "10.0.0.5");
  std::string uid = pod()->metadata.uid.str();
  std::string file = dir_ + "/root/pods/" + uid + "/volumes/kubernetes.io~configmap/v/k";
  EXPECT_EQ(*readFile(file), "v");
  // The file follows the object.
  auto now = *client_.find<v1::ConfigMap>("n", "m");
  now.data["k"] = "w";
  ASSERT_TRUE(client_.update(client::target(v1::ConfigMap::kType, "n", "m"), api::Object::of(std::move(now))).ok());
  EXPECT_TRUE(until([&] { auto f = readFile(file); return f.ok() && *f == "w"; }));

  ASSERT_TRUE(client_.remove(client::target(v1::Pod::kType, "n", "p"), {.gracePeriodSeconds = 7}).ok());
  ASSERT_TRUE(until([&] { return !pod(); }));
  ASSERT_TRUE(until([&] { return !fileExists(dir_ + "/root/pods/" + uid) && runtime_.listPodSandbox()->empty(); }));
  EXPECT_EQ(runtime_.calls(), (std::vector<std::string>{"run p", "create a", "start a", "stop a 7", "stop-sandbox p", "remove-sandbox"}));
}

TEST_F(KubeletTest, RestartsWhatEnds) {
  start();
  put(R"({"containers":[{"name":"a","image":"i"}]})");
  ASSERT_TRUE(phase("Running"));
  runtime_.exitContainer("a", 1);
  ASSERT_TRUE(until([&] { return pod()->status.containerStatuses[0].restartCount == 1 && pod()->status.containerStatuses[0].state.running; }));
  EXPECT_EQ(pod()->status.containerStatuses[0].lastState.terminated->exitCode, 1);
  runtime_.exitContainer("a", 1);
  ASSERT_TRUE(until([&] { auto s = pod()->status.containerStatuses[0]; return s.state.waiting && s.state.waiting->reason == "CrashLoopBackOff"; }));
}

// The node controller says that the pods of a silent node are not ready, as often as they say otherwise.
TEST_F(KubeletTest, DoesNotFightOverAStatus) {
  start();
  put(R"({"containers":[{"name":"a","image":"i"}]})");
  auto isReady = [&] {
    for (const auto& c : pod()->status.conditions) {
      if (c.type == "Ready") return c.status == "True";
    }
    return false;
  };
  ASSERT_TRUE(until(isReady));
  client_.clearActions();
  for (int i = 0; i < 20; i++) {
    v1::Pod other = *pod();
    for (auto& c : other.status.conditions) {
      if (c.type == "Ready") c.status = "False";
    }
    other.metadata.annotations["n"] = std::to_string(i);
    client_.put(std::move(other));
    put(R"({"containers":[{"name":"a","image":"i"}]})", "q" + std::to_string(i));
    ASSERT_TRUE(until([&] {
      auto q = pod("q" + std::to_string(i));
      return q && q->status.phase == "Running";
    }));
  }
  int writes = 0;
  for (const std::string& a : client_.actions()) writes += a == "update pods/status n/p";
  EXPECT_LE(writes, 2);
}

TEST_F(KubeletTest, EndsAJobsPod) {
  start();
  put(R"({"restartPolicy":"Never","initContainers":[{"name":"first","image":"i"}],"containers":[{"name":"a","image":"i"}]})");
  ASSERT_TRUE(until([&] { return runtime_.runningCount() == 1; }));
  EXPECT_EQ(runtime_.calls().back(), "start first");
  ASSERT_TRUE(until([&] { return pod()->status.initContainerStatuses.size() == 1 && pod()->status.initContainerStatuses[0].state.running; }));
  runtime_.exitContainer("first", 0);
  ASSERT_TRUE(phase("Running"));
  runtime_.exitContainer("a", 0);
  ASSERT_TRUE(phase("Succeeded"));
}

TEST_F(KubeletTest, TakesOverWhatRuns) {
  start();
  put(R"({"containers":[{"name":"a","image":"i"}]})");
  put(R"({"containers":[{"name":"b","image":"i"}]})", "q");
  ASSERT_TRUE(phase("Running") && phase("Running", "q"));
  kubelet_.reset();
  EXPECT_EQ(runtime_.runningCount(), 2);
  ASSERT_TRUE(client_.remove(client::target(v1::Pod::kType, "n", "q"), {.gracePeriodSeconds = 0}).ok());
  size_t before = runtime_.calls().size();
  start();
  // The pod that went meanwhile is cleaned up; the other one is not touched.
  ASSERT_TRUE(until([&] { return runtime_.runningCount() == 1 && runtime_.listPodSandbox()->size() == 1; }));
  for (size_t i = before; i < runtime_.calls().size(); i++) EXPECT_EQ(runtime_.calls()[i].find("create"), std::string::npos);
  EXPECT_EQ(pod()->status.phase, "Running");
}

TEST_F(KubeletTest, TellsOfAnImageThatCannotBePulled) {
  start();
  put(R"({"containers":[{"name":"a","image":"missing"}]})");
  ASSERT_TRUE(until([&] {
    if (!pod() || pod()->status.containerStatuses.empty()) return false;
    const auto& s = pod()->status.containerStatuses[0];
    return s.state.waiting && (s.state.waiting->reason == "ErrImagePull" || s.state.waiting->reason == "ImagePullBackOff") && pod()->status.phase == "Pending";
  }));
}

}  // namespace
}  // namespace km::kubelet
