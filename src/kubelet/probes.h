// ProbeManager: startup, liveness and readiness probes of running containers, with upstream's timing: the first after the
// initial delay, then one a period; liveness and readiness wait for startup; results change after as many equal answers
// as the thresholds say.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "client/events.h"
#include "client/timers.h"
#include "cri/runtime.h"
#include "http/client.h"
#include "kubelet/compute_actions.h"
#include "kubelet/elastic_pool.h"

namespace km::kubelet {

class PodWorker;

class ProbeManager {
 public:
  // All must outlive the manager.
  // `hollow`: every probe succeeds at its first time, and asks nobody.
  ProbeManager(cri::Runtime& runtime, ElasticPool& pool, client::Timers& timers, async::Loop& loop, client::EventRecorder recorder, bool hollow = false);
  ~ProbeManager();  // stop()

  // Probes for what runs now. `worker` is woken when a result changes.
  void update(const PodPtr& pod, const RuntimePod& runtime, std::weak_ptr<PodWorker> worker);
  void removeContainer(std::string_view id);
  // With `keepReadiness` only liveness and startup end: the pod is on its way out.
  void removePod(std::string_view uid, bool keepReadiness);
  void stop();

  ProbeResult liveness(std::string_view id) const;
  ProbeResult startup(std::string_view id) const;
  bool ready(std::string_view id) const;
  bool started(std::string_view id) const;

  // One GET, for hooks. Blocks.
  Status httpOnce(const v1::HTTPGetAction& action, const v1::Container& c, const std::string& host, Duration timeout);

 private:
  enum class Type { kStartup, kLiveness, kReadiness };
  struct Answer {
    ProbeResult result = ProbeResult::kUnknown;
    std::string output;
  };
  struct Task;
  using TaskPtr = std::shared_ptr<Task>;
  using Key = std::pair<std::string, Type>;

  void add(Type type, const v1::Probe& probe, const PodPtr& pod, const v1::Container& c, const ContainerRecord& r, const std::string& ip,
           const std::weak_ptr<PodWorker>& worker);
  void arm(const TaskPtr& task, Duration delay);
  void run(const TaskPtr& task);
  void settle(const TaskPtr& task, const Answer& answer);
  Answer ask(const Task& task);
  Answer askExec(const Task& task);
  Answer askHttp(const v1::HTTPGetAction& action, const v1::Container& c, const std::string& host, Duration timeout);
  Answer askTcp(const Task& task);
  Answer askGrpc(const Task& task);
  ProbeResult result(std::string_view id, Type type, ProbeResult absent) const;

  cri::Runtime& runtime_;
  ElasticPool& pool_;
  client::Timers& timers_;
  client::EventRecorder recorder_;
  const bool hollow_;
  std::unique_ptr<http::Client> http_;  // null if hollow
  async::Loop& loop_;
  std::shared_ptr<async::TlsContext> tls_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::map<Key, TaskPtr> tasks_;
};

}  // namespace km::kubelet
