#include "kubelet/pod_worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "kubelet/cgroups.h"
#include "kubelet/disk_usage.h"
#include "kubelet/object_cache.h"
#include "kubelet/probes.h"
#include "kubelet/termination_message.h"

namespace km::kubelet {
namespace {
constexpr auto kMaxRetry = std::chrono::seconds(60);
constexpr Duration kUsagePeriod = std::chrono::seconds(10);  // upstream's eviction monitoring period
constexpr Duration kFirstLook = std::chrono::milliseconds(10), kLastLook = std::chrono::seconds(2);
}  // namespace

PodWorker::PodWorker(NodeContext& node, std::string uid)
    : node_(node), uid_(std::move(uid)), startTime_(node.clock().now()) {}

void PodWorker::setPod(PodPtr pod) {
  {
    std::lock_guard lock(mutex_);
    latest_ = std::move(pod);
  }
  schedule();
}

void PodWorker::podRemoved() {
  {
    std::lock_guard lock(mutex_);
    removed_ = true;
  }
  schedule();
}

void PodWorker::setRuntime(RuntimePod runtime) {
  {
    std::lock_guard lock(mutex_);
    relisted_ = std::move(runtime);
  }
  schedule();
}

void PodWorker::runtimeEvent(const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    news_.insert(id);
  }
  schedule();
}

void PodWorker::wake() {
  schedule();
}

void PodWorker::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (timer_) node_.timers->cancel(timer_);
  timer_ = 0;
}

PodPtr PodWorker::pod() const {
  std::lock_guard lock(mutex_);
  return latest_;
}

v1::PodStatus PodWorker::status() const {
  std::lock_guard lock(mutex_);
  return shown_;
}

std::string PodWorker::containerId(std::string_view name, bool previous) const {
  std::lock_guard lock(mutex_);
  const ContainerRecord* r = previous ? view_.previous(name) : view_.latest(name);
  return r ? r->id : "";
}

std::string PodWorker::sandboxId() const {
  std::lock_guard lock(mutex_);
  return view_.sandbox() && view_.sandbox()->ready() ? view_.sandbox()->id : "";
}

bool PodWorker::isRunning(std::string_view id) const {
  std::lock_guard lock(mutex_);
  for (const auto& c : view_.containers) {
    if (c.id == id) return c.running();
  }
  return false;
}

bool PodWorker::hasTty(std::string_view name) const {
  PodPtr pod = this->pod();
  bool tty = false;
  if (pod)
    eachContainer(*pod, [&](const v1::Container& c, ContainerKind) { tty |= c.name == name && c.tty; });
  return tty;
}

Result<PodWorker::Log> PodWorker::logOf(std::string_view name, bool previous) const {
  std::lock_guard lock(mutex_);
  if (!latest_) return errors::notFound({"", "pods"}, uid_);
  const auto& m = latest_->metadata;
  bool exists = false;
  eachContainer(*latest_, [&](const v1::Container& c, ContainerKind) { exists |= c.name == name; });
  if (!exists) return Status(404, "NotFound", fmt::format("container \"{}\" not found in pod \"{}\"", name, m.name.view()));
  const ContainerRecord* r = previous ? view_.previous(name) : view_.latest(name);
  if (!r && previous)
    return errors::badRequest(
        fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", name, m.name.view()));
  if (!r || r->created()) {
    std::string why = "ContainerCreating";
    for (const auto* list :
         {&shown_.containerStatuses, &shown_.initContainerStatuses, &shown_.ephemeralContainerStatuses}) {
      for (const auto& s : *list) {
        if (s.name != name || !s.state.waiting) continue;
        why = s.state.waiting->reason.str();
        if (why == "ErrImagePull" || why == "ImagePullBackOff") {
          return errors::badRequest(fmt::format(
              "container \"{}\" in pod \"{}\" is waiting to start: {}", name, m.name.view(),
              why == "ErrImagePull" ? "image can't be pulled" : "trying and failing to pull image"));
        }
      }
    }
    return errors::badRequest(
        fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}", name, m.name.view(), why));
  }
  std::string path = r->status.logPath.str();
  if (path.empty())
    path = fmt::format("{}/{}/{}/{}.log", node_.options.podLogsDir, podLogDirectory(*latest_), name,
                       r->restartCount);
  return Log{r->id, std::move(path)};
}

void PodWorker::schedule() {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  again_ = true;
  if (running_) return;
  running_ = true;
  if (!node_.pool->post([self = shared_from_this()] { self->run(); })) running_ = false;
}

void PodWorker::run() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (!again_ || stopped_) {
        running_ = false;
        return;
      }
      again_ = false;
    }
    step();
    publish();
  }
}

// What readers see. Those that follow a log of what has ended are told.
void PodWorker::publish() {
  std::vector<std::string> ended;
  {
    std::lock_guard lock(mutex_);
    for (const auto& c : view_.containers) {
      ContainerRecord* now = runtime_.byId(c.id);
      if (c.running() && (!now || !now->running())) ended.push_back(c.id);
    }
    view_ = runtime_;
  }
  for (const auto& id : ended) node_.ended(id);
}

// One timer: the earliest wish counts.
void PodWorker::wakeAt(Duration at) {
  std::lock_guard lock(mutex_);
  if (stopped_ || (timer_ && timerAt_ <= at)) return;
  if (timer_) node_.timers->cancel(timer_);
  timerAt_ = at;
  Duration delay = std::max(at - node_.clock().monotonic(), Duration(0));
  timer_ = node_.timers->after(delay, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    {
      std::lock_guard l(self->mutex_);
      self->timer_ = 0;
    }
    self->schedule();
  });
}

void PodWorker::step() {
  std::set<std::string> news;
  {
    std::lock_guard lock(mutex_);
    if (latest_) pod_ = latest_;
    gone_ = removed_;
    news.swap(news_);
    if (relisted_) {
      // Messages that were read stay read.
      for (auto& c : relisted_->containers) {
        if (ContainerRecord* old = runtime_.byId(c.id); old && old->messageRead) {
          c.terminationMessage = old->terminationMessage;
          c.messageRead = true;
        }
      }
      runtime_ = std::move(*relisted_);
      relisted_.reset();
    }
  }
  for (const auto& id : news) refresh(id) ? lookAgain(id) : static_cast<void>(looks_.erase(id));
  readTerminationMessages();
  if (!pod_) {
    // Containers without a pod: a leftover of a pod that was deleted while no kubelet ran.
    if (gone_) {
      killPod(std::nullopt);
      if (settled() && stopSandboxes()) finish();
    }
    return;
  }
  bool ending = gone_ || pod_->metadata.deletionTimestamp || isEnded(*pod_) || !endReason_.empty();
  if (!ending) {
    if (auto end = deadline()) {
      if (node_.clock().monotonic() >= *end) {
        endReason_ = "DeadlineExceeded";
        endMessage_ = "Pod was active on the node longer than the specified deadline";
        event(client::kEventNormal, "DeadlineExceeded", endMessage_);
        ending = true;
      } else {
        wakeAt(*end);
      }
    }
  }
  if (!ending && overLimit()) ending = true;
  ending ? syncEnding() : syncRunning();
}

// Whether a folder on disk holds more than its limit: then the pod is evicted. Looked at regularly, as
// nothing tells.
bool PodWorker::overLimit() {
  Duration now = node_.clock().monotonic();
  if (!pod_->status.startTime || now < nextUsage_) {
    if (nextUsage_ > now) wakeAt(nextUsage_);
    return false;
  }
  bool limited = false;
  for (const auto& v : pod_->spec.volumes) {
    if (!v.emptyDir || !v.emptyDir->sizeLimit || v.emptyDir->medium == "Memory" ||
        v.emptyDir->sizeLimit->isZero())
      continue;
    limited = true;
    auto path = volumes_.find(v.name.view());
    if (path == volumes_.end() || diskUsage(path->second.path) <= v.emptyDir->sizeLimit->value()) continue;
    endReason_ = "Evicted";
    endMessage_ = fmt::format("Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ", v.name.view(),
                              v.emptyDir->sizeLimit->str());
    event(client::kEventWarning, "Evicted", endMessage_);
    return true;
  }
  if (limited) {
    nextUsage_ = now + kUsagePeriod;
    wakeAt(nextUsage_);
  }
  return false;
}

std::optional<Duration> PodWorker::deadline() const {
  if (!pod_->spec.activeDeadlineSeconds) return std::nullopt;
  int64_t start = pod_->status.startTime ? pod_->status.startTime->seconds : startTime_.seconds;
  Duration left =
      std::chrono::seconds(start + *pod_->spec.activeDeadlineSeconds - node_.clock().now().seconds);
  return node_.clock().monotonic() + left;
}

// Whether it still runs, after the runtime told of its end.
bool PodWorker::refresh(const std::string& id) {
  for (auto& s : runtime_.sandboxes) {
    if (s.id != id) continue;
    auto status = node_.runtime->podSandboxStatus(id);
    if (status.ok()) {
      s = recordOf(std::move(*status));
      return s.ready();
    }
    if (status.status().code() == 404)
      std::erase_if(runtime_.sandboxes, [&](const auto& e) { return e.id == id; });
    return false;
  }
  ContainerRecord* r = runtime_.byId(id);
  if (!r) return false;
  auto status = node_.runtime->containerStatus(id);
  if (status.ok()) {
    ContainerRecord now = recordOf(std::move(*status), r->sandboxId);
    if (r->messageRead) {
      now.terminationMessage = std::move(r->terminationMessage);
      now.messageRead = true;
    }
    *r = std::move(now);
    return r->running();
  }
  if (status.status().code() == 404)
    std::erase_if(runtime_.containers, [&](const auto& e) { return e.id == id; });
  return false;
}

// containerd tells us and its CRI service of an end at once: the service may answer us before it knows. After
// two seconds it is taken at its word.
void PodWorker::lookAgain(const std::string& id) {
  Duration& wait = looks_[id];
  wait = wait == Duration(0) ? kFirstLook : wait * 2;
  if (wait > kLastLook) {
    looks_.erase(id);
    return;
  }
  node_.timers->after(wait, [weak = weak_from_this(), id] {
    if (auto self = weak.lock()) self->runtimeEvent(id);
  });
}

void PodWorker::readTerminationMessages() {
  for (auto& c : runtime_.containers) {
    if (!c.exited() || c.messageRead) continue;
    c.terminationMessage = terminationMessage(node_.options, c, runtime_);
    c.messageRead = true;
    node_.probes->removeContainer(c.id);
  }
}

// --- a pod that shall run --------------------------------------------------------------------------------

// A pod that the node does not take has failed, and nothing of it is begun.
bool PodWorker::admitted() {
  if (pod_->status.startTime || !runtime_.sandboxes.empty() || isStatic(*pod_) || !node_.admit) return true;
  auto no = node_.admit(*pod_);
  if (!no) return true;
  event(client::kEventWarning, no->reason, no->message);
  v1::PodStatus status;
  status.observedGeneration = pod_->metadata.generation;
  status.phase = "Failed";
  status.reason = no->reason;
  status.message = "Pod was rejected: " + no->message;
  status.qosClass = qosClass(*pod_);
  status.startTime = codec::Time(startTime_.seconds);
  write([&] { return status; });
  return false;
}

void PodWorker::syncRunning() {
  bool firstTime = !pod_->status.startTime;
  if (firstTime && !admitted()) return;
  node_.objects->use(*pod_);
  PodActions actions = computeActions(*pod_, runtime_, probeView());
  if (firstTime) writeStatus(false, false);
  bool ok = applyActions(actions);
  node_.probes->update(pod_, runtime_, weak_from_this());
  if (actions.killPod && !actions.createSandbox && actions.start.empty()) {
    if (settled()) {
      // Nothing will run again: Succeeded or Failed.
      bool stoppedAll = stopSandboxes();
      writeStatus(true, false);
      if (stoppedAll) finish();
      return;
    }
    writeStatus(true, false);
    return;
  }
  writeStatus(false, false);
  failures_ = ok ? 0 : failures_ + 1;
  if (!ok)
    wakeAt(node_.clock().monotonic() + std::min<Duration>(kRetry * (1 << std::min(failures_, 6)), kMaxRetry));
}

// False: something failed and is to be tried again.
bool PodWorker::applyActions(const PodActions& actions) {
  if (actions.killPod) {
    if (actions.createSandbox && runtime_.sandbox()) {
      if (runtime_.anySandboxReady() || runtime_.anyRunning())
        event(client::kEventNormal, "SandboxChanged",
              "Pod sandbox changed, it will be killed and re-created.");
    }
    killPod(std::nullopt);
    if (!settled()) return true;  // their end wakes us
    if (!stopSandboxes()) return false;
    if (!actions.createSandbox) return true;
  } else {
    for (const auto& k : actions.kill) {
      const ContainerRecord* r = runtime_.byId(k.id);
      if (!r) continue;
      int64_t grace = gracePeriod(*pod_);
      if (const v1::Container* c = findContainer(*pod_, k.name); c && k.probe) {
        const auto& probe = k.startupProbe ? c->startupProbe : c->livenessProbe;
        if (probe && probe->terminationGracePeriodSeconds) grace = *probe->terminationGracePeriodSeconds;
      }
      kill(*r, k.message, grace);
    }
  }
  if (!actions.createSandbox && actions.start.empty()) {
    // Volumes follow their sources while the pod runs.
    return setUp();
  }
  if (!setUp()) return false;
  if (actions.createSandbox && !makeSandbox(actions.attempt)) return false;
  bool ok = true;
  for (const auto& what : actions.start) ok = startContainer(what) && ok;
  return ok;
}

bool PodWorker::setUp() {
  if (node_.options.podCgroups) {
    if (Status s = ensurePodCgroup(node_.options, *pod_); !s.ok()) {
      event(client::kEventWarning, "FailedCreatePodContainer",
            "unable to ensure pod container exists: " + s.message());
      return false;
    }
  }
  std::string dir = podDirectory(node_.options, uid_);
  for (const char* sub : {"/volumes", "/plugins", "/containers"}) {
    if (node_.options.hollow) break;
    if (Status s = makeDirs(dir + sub, 0750); !s.ok()) {
      logError(s, "Cannot make the pod's directory", {{"pod", describe(*pod_)}});
      return false;
    }
  }
  Duration renewAt = Duration::max();
  VolumeContext ctx{&node_.options, downward(), node_.objects, node_.tokens};
  auto volumes = setUpVolumes(ctx, &renewAt);
  if (!volumes.ok()) {
    event(client::kEventWarning, "FailedMount", volumes.status().message());
    return false;
  }
  volumes_ = std::move(*volumes);
  if (renewAt != Duration::max()) wakeAt(renewAt);
  return true;
}

bool PodWorker::makeSandbox(uint32_t attempt) {
  auto config = sandboxConfig(node_.options, *pod_, attempt);
  auto id = config.ok() ? node_.runtime->runPodSandbox(
                              *config, pod_->spec.runtimeClassName ? pod_->spec.runtimeClassName->str() : "")
                        : Result<std::string>(config.status());
  if (!id.ok()) {
    event(client::kEventWarning, "FailedCreatePodSandBox",
          "Failed to create pod sandbox: " + id.status().message());
    return false;
  }
  node_.own(*id, uid_);
  auto status = node_.runtime->podSandboxStatus(*id);
  if (!status.ok()) {
    event(client::kEventWarning, "FailedPodSandBoxStatus",
          "Unable to get pod sandbox status: " + status.status().message());
    return false;
  }
  runtime_.uid = uid_;
  runtime_.sandboxes.insert(runtime_.sandboxes.begin(), recordOf(std::move(*status)));
  return true;
}

// --- a pod that shall end --------------------------------------------------------------------------------

DownwardContext PodWorker::downward() const {
  DownwardContext d;
  d.pod = pod_.get();
  d.hostIps = node_.hostIps;
  d.podIps = pod_->spec.hostNetwork ? node_.hostIps
             : runtime_.sandbox()   ? runtime_.sandbox()->ips()
                                    : std::vector<std::string>();
  d.allocatable = node_.allocatable;
  return d;
}

ProbeView PodWorker::probeView() const {
  return {[this](std::string_view id) { return node_.probes->liveness(id); },
          [this](std::string_view id) { return node_.probes->startup(id); }};
}

}  // namespace km::kubelet
