// The end of a pod's life, and what the API is told of it at every step.
#include "kubelet/pod_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "kubelet/cgroups.h"
#include "kubelet/kubelet_metrics.h"
#include "kubelet/object_cache.h"
#include "kubelet/probes.h"
#include "kubelet/termination_message.h"

namespace km::kubelet {
namespace {
constexpr auto kSayAgain = std::chrono::seconds(10);  // upstream's syncPeriod of statuses
}  // namespace

void PodWorker::syncEnding() {
  if (!endingSince_) endingSince_ = node_.clock().monotonic();
  node_.probes->removePod(uid_, pod_->metadata.deletionTimestamp.has_value());
  if (ended_) {
    if (gone_ || pod_->metadata.deletionTimestamp) finish();
    return;
  }
  if (isEnded(*pod_) && runtime_.sandboxes.empty() && runtime_.containers.empty()) {
    // Its status says all there is: nothing of it is here, or ever was.
    finish();
    return;
  }
  killPod(endReason_ == "Evicted" ? std::optional<int64_t>(1) : std::nullopt);
  if (!settled()) {
    if (!gone_) writeStatus(false, false);
    return;
  }
  bool stoppedAll = stopSandboxes();
  if (!gone_) writeStatus(true, true);
  if (!stoppedAll) {
    wakeAt(node_.clock().monotonic() + kRetry);
    return;
  }
  finish();
}

// Everything stopped: gives back what the pod had, and lets the API forget it.
void PodWorker::finish() {
  if (!ended_) {
    node_.probes->removePod(uid_, false);
    node_.objects->release(uid_);
    node_.tokens->forget(uid_);
    Status s = tearDownPod(node_.options, uid_);
    if (s.ok() && node_.options.podCgroups) s = removePodCgroup(node_.options, uid_);
    if (!s.ok()) {
      logError(s, "Cannot clean up after the pod", {{"uid", uid_}});
      wakeAt(node_.clock().monotonic() + kRetry);
      return;
    }
    ended_ = true;
  }
  if (gone_) {
    removeFromRuntime();
    return;
  }
  if (!pod_->metadata.deletionTimestamp || deleted_) return;
  client::DeleteOptions options;
  options.gracePeriodSeconds = 0;
  options.uid = uid_;
  Status s = node_.client->remove(
      client::target(v1::Pod::kType, pod_->metadata.namespace_, pod_->metadata.name), options);
  if (s.ok() || s.code() == 404 || s.code() == 409) {
    deleted_ = true;  // the informer tells of the end
  } else {
    wakeAt(node_.clock().monotonic() + kRetry);
  }
}

void PodWorker::removeFromRuntime() {
  bool ok = true;
  auto gone = [&](const Status& s) { return s.ok() || s.code() == 404; };
  for (const auto& c : runtime_.containers) {
    ok &= gone(node_.runtime->removeContainer(c.id));
    node_.own(c.id, "");
    removeLogLink(node_.options, c);
  }
  for (const auto& s : runtime_.sandboxes) {
    ok &= gone(node_.runtime->removePodSandbox(s.id));
    node_.own(s.id, "");
  }
  if (!ok) {
    wakeAt(node_.clock().monotonic() + kRetry);
    return;
  }
  if (!node_.options.hollow) {
    std::error_code ignored;
    std::string logs =
        pod_ ? podLogDirectory(*pod_) : fmt::format("{}_{}_{}", runtime_.ns, runtime_.name, uid_);
    std::filesystem::remove_all(node_.options.podLogsDir + "/" + logs, ignored);
  }
  stop();
  node_.done(uid_);
}

// --- status ------------------------------------------------------------------------------------------------

void PodWorker::writeStatus(bool terminal, bool gone) {
  if (gone_) return;
  StatusInput in;
  in.runtime = &runtime_;
  in.waiting = &waiting_;
  in.ready = [this](std::string_view id) { return node_.probes->ready(id); };
  in.started = [this](std::string_view id) { return node_.probes->started(id); };
  in.hostIps = node_.hostIps;
  in.now = node_.clock().now();
  in.startTime = startTime_;
  in.terminal = terminal;
  in.gone = gone;
  if (terminal) {  // the phase is Failed once nothing runs
    in.endReason = endReason_;
    in.endMessage = endMessage_;
  }
  write([&] {
    in.pod = pod_.get();
    return makeStatus(in);
  });
}

// Writes what `make` gives for the pod as it is then, if it differs from what is there.
void PodWorker::write(const std::function<v1::PodStatus()>& make) {
  for (int attempt = 0; attempt < 5; attempt++) {
    v1::PodStatus status = make();
    bool same;
    {
      std::lock_guard lock(mutex_);
      same = sameStatus(shown_, status);
      shown_ = status;
    }
    if (sameStatus(pod_->status, status)) return;
    // Somebody wrote over it (the node controller, while it does not hear of this node): it is said again, but not at once, or two that disagree would
    // write as fast as they can.
    if (attempt == 0 && same && writtenAt_ && node_.clock().monotonic() - *writtenAt_ < kSayAgain) return wakeAt(*writtenAt_ + kSayAgain);
    client::Target t =
        client::target(v1::Pod::kType, pod_->metadata.namespace_, pod_->metadata.name, "status");
    bool starts = pod_->status.phase == "Pending" && status.phase == "Running" && !node_.options.hollow;
    v1::Pod changed = *pod_;
    changed.status = std::move(status);
    auto r = node_.client->update(t, api::Object::of(std::move(changed)));
    writtenAt_.reset();
    if (r.ok() && starts && startTime_.seconds != 0) {
      observePodStart(std::chrono::seconds(std::max<int64_t>(0, node_.clock().now().seconds - startTime_.seconds)));
    }
    if (r.ok()) {
      writtenAt_ = node_.clock().monotonic();
      std::lock_guard lock(mutex_);
      PodPtr now = api::share<v1::Pod>(*r);
      // The informer may have told of a later version meanwhile.
      if (latest_ && latest_->metadata.resourceVersion == pod_->metadata.resourceVersion) latest_ = now;
      pod_ = std::move(now);
      return;
    }
    if (r.status().code() == 409) {
      t.subresource.clear();
      auto fresh = node_.client->get(t);
      if (fresh.ok() && (*fresh)->meta().uid == uid_) {
        pod_ = api::share<v1::Pod>(*fresh);
        continue;
      }
      if (fresh.ok() || fresh.status().code() == 404) return;  // replaced or gone: the informer will tell
    } else if (r.status().code() == 404) {
      return;
    }
    KM_LOG(WARNING, "cannot write the status of pod {}: {}", describe(*pod_), r.status().message());
    break;
  }
  wakeAt(node_.clock().monotonic() + kRetry);
}

void PodWorker::event(std::string_view type, std::string_view reason, std::string_view message,
                      std::string_view container) {
  if (!pod_) return;
  api::core_v1::ObjectReference ref = client::referenceTo(*pod_);
  if (!container.empty()) {
    std::string_view list = "containers";
    for (const auto& c : pod_->spec.initContainers) {
      if (c.name == container) list = "initContainers";
    }
    for (const auto& c : pod_->spec.ephemeralContainers) {
      if (c.name == container) list = "ephemeralContainers";
    }
    ref.fieldPath = fmt::format("spec.{}{{{}}}", list, container);
  }
  node_.recorder.event(ref, type, reason, message);
}

}  // namespace km::kubelet
