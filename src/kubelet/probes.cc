#include "kubelet/probes.h"

#include <fmt/format.h>

#include "kubelet/kubelet_metrics.h"
#include "kubelet/pod_worker.h"
#include "kubelet/probe_task.h"

namespace km::kubelet {
namespace {
constexpr std::string_view kNames[] = {"Startup", "Liveness", "Readiness"};
}

ProbeManager::ProbeManager(cri::Runtime& runtime, ElasticPool& pool, client::Timers& timers, async::Loop& loop, client::EventRecorder recorder, bool hollow)
    : runtime_(runtime), pool_(pool), timers_(timers), recorder_(std::move(recorder)), hollow_(hollow), loop_(loop) {
  if (hollow) return;
  http_ = std::make_unique<http::Client>(loop);
  async::TlsClientOptions tls;
  tls.insecure = true;
  tls.alpn = {"http/1.1"};
  if (auto context = async::TlsContext::client(tls); context.ok()) tls_ = *context;
}

ProbeManager::~ProbeManager() {
  stop();
  if (!http_) return;
  // The client goes on its loop; what it still does ends there.
  std::shared_ptr<http::Client> http = std::move(http_);
  loop_.post([http] {});
}

void ProbeManager::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (auto& [key, task] : tasks_) {
    task->ended = true;
    if (task->timer) timers_.cancel(task->timer);
  }
  tasks_.clear();
}

void ProbeManager::update(const PodPtr& pod, const RuntimePod& runtime, std::weak_ptr<PodWorker> worker) {
  std::string ip;
  if (pod->spec.hostNetwork) {
    ip = pod->status.hostIP.str();
  } else if (runtime.sandbox() && !runtime.sandbox()->ips().empty()) {
    ip = runtime.sandbox()->ips()[0];
  }
  eachContainer(*pod, [&](const v1::Container& c, ContainerKind kind) {
    if (kind == ContainerKind::kEphemeral || (kind == ContainerKind::kInit && !isRestartableInit(c))) return;
    const ContainerRecord* r = runtime.latest(c.name);
    if (!r || !r->running()) return;
    if (c.startupProbe) add(Type::kStartup, *c.startupProbe, pod, c, *r, ip, worker);
    if (c.livenessProbe) add(Type::kLiveness, *c.livenessProbe, pod, c, *r, ip, worker);
    if (c.readinessProbe) add(Type::kReadiness, *c.readinessProbe, pod, c, *r, ip, worker);
  });
}

void ProbeManager::add(Type type, const v1::Probe& probe, const PodPtr& pod, const v1::Container& c, const ContainerRecord& r, const std::string& ip,
                       const std::weak_ptr<PodWorker>& worker) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  auto [it, fresh] = tasks_.try_emplace(Key(r.id, type));
  if (!fresh) return;
  auto task = it->second = std::make_shared<Task>();
  task->type = type;
  task->probe = probe;
  task->pod = pod;
  task->container = c;
  task->id = r.id;
  task->ip = ip;
  task->worker = worker;
  task->result = type == Type::kLiveness ? ProbeResult::kSuccess : type == Type::kReadiness ? ProbeResult::kFailure : ProbeResult::kUnknown;
  // A container that was ready before this kubelet started stays so until a probe says otherwise.
  for (const auto* list : {&pod->status.containerStatuses, &pod->status.initContainerStatuses}) {
    for (const auto& s : *list) {
      if (s.containerID.view() != "containerd://" + r.id) continue;
      if (type == Type::kReadiness && s.ready) task->result = ProbeResult::kSuccess;
      if (type == Type::kStartup && s.started.value_or(false)) task->result = ProbeResult::kSuccess;
    }
  }
  int64_t age = toNanos(timers_.clock().now()) - r.status.startedAt;
  arm(task, std::max<Duration>(std::chrono::seconds(probe.initialDelaySeconds) - std::chrono::nanoseconds(age), Duration(0)));
}

// With the lock held.
void ProbeManager::arm(const TaskPtr& task, Duration delay) {
  if (stopped_ || task->ended) return;
  task->timer = timers_.after(delay, [this, weak = std::weak_ptr(task)] {
    if (auto t = weak.lock()) pool_.post([this, t] { run(t); });
  });
}

void ProbeManager::run(const TaskPtr& task) {
  Duration period = std::chrono::seconds(std::max(task->probe.periodSeconds, 1));
  Duration began = timers_.clock().monotonic();
  {
    std::lock_guard lock(mutex_);
    task->timer = 0;
    if (task->ended) return;
    if (task->type == Type::kStartup && task->result == ProbeResult::kSuccess) return;
    auto startup = tasks_.find(Key(task->id, Type::kStartup));
    if (task->type != Type::kStartup && startup != tasks_.end() && startup->second->result != ProbeResult::kSuccess) return arm(task, period);
  }
  Answer answer;
  if (hollow_) answer.result = ProbeResult::kSuccess;
  for (int i = 0; i < 3 && answer.result == ProbeResult::kUnknown; i++) answer = ask(*task);
  if (!hollow_) {
    std::string_view result = answer.result == ProbeResult::kSuccess ? "successful" : answer.result == ProbeResult::kFailure ? "failed" : "unknown";
    countProbe(*task->pod, task->container.name, kNames[static_cast<int>(task->type)], result);
  }
  settle(task, answer);
  std::lock_guard lock(mutex_);
  bool held = task->type != Type::kReadiness && task->result == ProbeResult::kFailure;  // until the container is another
  bool started = task->type == Type::kStartup && task->result == ProbeResult::kSuccess;
  bool same = hollow_ && task->result == answer.result;
  if (!held && !started && !same) arm(task, std::max(began + period - timers_.clock().monotonic(), Duration(0)));
}

void ProbeManager::settle(const TaskPtr& task, const Answer& answer) {
  std::string_view name = kNames[static_cast<int>(task->type)];
  if (answer.result != ProbeResult::kSuccess) {
    std::lock_guard lock(mutex_);
    if (task->ended) return;
    api::core_v1::ObjectReference ref = client::referenceTo(*task->pod);
    ref.fieldPath = fmt::format("spec.containers{{{}}}", task->container.name.view());
    recorder_.event(ref, client::kEventWarning, "Unhealthy",
                    answer.result == ProbeResult::kUnknown ? fmt::format("{} probe errored and resulted in unknown state: {}", name, answer.output)
                                                           : fmt::format("{} probe failed: {}", name, answer.output));
  }
  if (answer.result == ProbeResult::kUnknown) return;
  std::shared_ptr<PodWorker> worker;
  {
    std::lock_guard lock(mutex_);
    if (task->ended) return;
    task->run = task->last == answer.result ? task->run + 1 : 1;
    task->last = answer.result;
    int threshold = answer.result == ProbeResult::kSuccess ? task->probe.successThreshold : task->probe.failureThreshold;
    if (task->run < std::max(threshold, 1) || task->result == answer.result) return;
    task->result = answer.result;
    worker = task->worker.lock();
    // What waited for the start begins now.
    if (task->type == Type::kStartup && answer.result == ProbeResult::kSuccess) {
      for (Type t : {Type::kLiveness, Type::kReadiness}) {
        auto it = tasks_.find(Key(task->id, t));
        if (it != tasks_.end() && it->second->timer && timers_.cancel(it->second->timer)) arm(it->second, Duration(0));
      }
    }
  }
  if (worker) worker->wake();
}

void ProbeManager::removeContainer(std::string_view id) {
  std::lock_guard lock(mutex_);
  for (Type t : {Type::kStartup, Type::kLiveness, Type::kReadiness}) {
    auto it = tasks_.find(Key(std::string(id), t));
    if (it == tasks_.end()) continue;
    it->second->ended = true;
    if (it->second->timer) timers_.cancel(it->second->timer);
    tasks_.erase(it);
  }
}

void ProbeManager::removePod(std::string_view uid, bool keepReadiness) {
  std::lock_guard lock(mutex_);
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    bool mine = it->second->pod->metadata.uid == uid && !it->second->ended;
    if (!mine || (keepReadiness && it->second->type == Type::kReadiness)) {
      ++it;
      continue;
    }
    it->second->ended = true;
    if (it->second->timer) timers_.cancel(it->second->timer);
    if (!hollow_ && !keepReadiness) forgetProbe(*it->second->pod, it->second->container.name, kNames[static_cast<int>(it->second->type)]);
    // Results of a pod that ends still count for its status.
    it = keepReadiness ? std::next(it) : tasks_.erase(it);
  }
}

ProbeResult ProbeManager::result(std::string_view id, Type type, ProbeResult absent) const {
  std::lock_guard lock(mutex_);
  auto it = tasks_.find(Key(std::string(id), type));
  return it == tasks_.end() ? absent : it->second->result;
}

ProbeResult ProbeManager::liveness(std::string_view id) const { return result(id, Type::kLiveness, ProbeResult::kSuccess); }
ProbeResult ProbeManager::startup(std::string_view id) const { return result(id, Type::kStartup, ProbeResult::kUnknown); }
bool ProbeManager::ready(std::string_view id) const { return result(id, Type::kReadiness, ProbeResult::kFailure) == ProbeResult::kSuccess; }
bool ProbeManager::started(std::string_view id) const { return startup(id) == ProbeResult::kSuccess; }

}  // namespace km::kubelet
