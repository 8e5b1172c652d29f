// PodWorker's dealings with containers: images, starts, ends.
#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "kubelet/hooks.h"
#include "kubelet/image_name.h"
#include "kubelet/object_cache.h"
#include "kubelet/pod_worker.h"
#include "kubelet/probes.h"
#include "kubelet/pull_credentials.h"
#include "kubelet/termination_message.h"

namespace km::kubelet {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);
constexpr int64_t kMinimumGrace = 2;  // seconds that a container has after its preStop hook

std::string seconds(Duration d) {
  // As Go prints a rounded duration.
  int64_t s = std::chrono::duration_cast<std::chrono::seconds>(d).count();
  if (s < 60) return fmt::format("{}s", s);
  return fmt::format("{}m{}s", s / 60, s % 60);
}

}  // namespace

bool PodWorker::inBackoff(const v1::Container& c) {
  const ContainerRecord* r = runtime_.latest(c.name);
  if (!r || !r->exited()) return false;
  std::string key = c.name.str() + "/" + containerHash(c);
  Duration now = node_.clock().monotonic();
  Duration since = now - std::chrono::nanoseconds(
                             std::max<int64_t>(toNanos(node_.clock().now()) - r->status.finishedAt, 0));
  Duration left = backoff_.left(key, since, now);
  if (left == Duration(0)) {
    backoff_.next(key, now);
    return false;
  }
  wakeAt(now + left);
  std::string message = fmt::format("back-off {} restarting failed container={} pod={}",
                                    seconds(backoff_.delay(key)), c.name.view(), describe(*pod_));
  auto before = waiting_.find(c.name.str());
  if (before == waiting_.end() || before->second.message != message) {
    event(client::kEventWarning, "BackOff",
          fmt::format("Back-off restarting failed container {} in pod {}", c.name.view(), describe(*pod_)),
          c.name);
  }
  waiting_[c.name.str()] = {"CrashLoopBackOff", std::move(message)};
  return true;
}

// True also while a back-off holds it: its timer is set.
bool PodWorker::startContainer(const ContainerToStart& what) {
  v1::Container copy;
  const v1::Container* c = findContainer(*pod_, what.name);
  for (const auto& e : pod_->spec.ephemeralContainers) {
    if (what.kind == ContainerKind::kEphemeral && e.name == what.name) {
      copy = asContainer(e);
      c = &copy;
    }
  }
  if (!c || inBackoff(*c)) return true;
  WaitingReason why;
  auto image = ensureImage(*c, &why);
  if (!image.ok()) {
    waiting_[what.name] = std::move(why);
    return true;
  }
  Status s = create(*c, what.kind, *image, &why);
  if (s.ok()) {
    waiting_.erase(what.name);
    dropOldContainers(what.name);
    return true;
  }
  waiting_[what.name] = {why.reason, why.message.empty() ? s.message() : why.message};
  return false;
}

Result<cri::Image> PodWorker::ensureImage(const v1::Container& c, WaitingReason* why) {
  std::string policy = c.imagePullPolicy.empty() ? "IfNotPresent" : c.imagePullPolicy.str();
  if (Status s = checkImageName(c.image); !s.ok()) {
    why->reason = "InvalidImageName";
    why->message =
        fmt::format("Failed to apply default image tag \"{0}\": couldn't parse image name \"{0}\": {1}",
                    c.image.view(), s.message());
    event(client::kEventWarning, "InspectFailed", why->message, c.name);
    event(client::kEventWarning, "Failed", "Error: InvalidImageName", c.name);
    wakeAt(node_.clock().monotonic() + Backoff::kInitial);
    return errors::failed(why->message);
  }
  auto image = node_.runtime->imageStatus(c.image.str());
  if (!image.ok()) {
    why->reason = "ImageInspectError";
    why->message =
        fmt::format("Failed to inspect image \"{}\": {}", c.image.view(), image.status().message());
    event(client::kEventWarning, "InspectFailed", why->message, c.name);
    event(client::kEventWarning, "Failed", "Error: ImageInspectError", c.name);
    wakeAt(node_.clock().monotonic() + Backoff::kInitial);
    return image;
  }
  bool present = !image->id.empty();
  if (policy == "Never" && !present) {
    why->reason = "ErrImageNeverPull";
    why->message =
        fmt::format("Container image \"{}\" is not present with pull policy of Never", c.image.view());
    event(client::kEventWarning, "ErrImageNeverPull", why->message, c.name);
    event(client::kEventWarning, "Failed", "Error: ErrImageNeverPull", c.name);
    wakeAt(node_.clock().monotonic() + Backoff::kInitial);
    return errors::failed(why->message);
  }
  if (present && policy != "Always") {
    event(client::kEventNormal, "Pulled",
          fmt::format("Container image \"{}\" already present on machine{}", c.image.view(),
                      policy == "Never" ? "" : " and can be accessed by the pod"),
          c.name);
    return image;
  }
  return pull(c, why);
}

Result<cri::Image> PodWorker::pull(const v1::Container& c, WaitingReason* why) {
  std::string name = c.image.str();
  Duration now = node_.clock().monotonic();
  if (auto failed = pullFailed_.find(name); failed != pullFailed_.end()) {
    if (Duration left = pullBackoff_.left(name, failed->second, now); left > Duration(0)) {
      std::string message = fmt::format("Back-off pulling image \"{}\"", name);
      auto before = waiting_.find(c.name.str());
      if (before == waiting_.end() || before->second.reason != "ImagePullBackOff")
        event(client::kEventNormal, "BackOff", message, c.name);
      why->reason = "ImagePullBackOff";
      why->message = message + ": " + pullErrors_[name].reason + ": " + pullErrors_[name].message;
      wakeAt(now + left);
      return errors::failed(message);
    }
  }
  event(client::kEventNormal, "Pulling", fmt::format("Pulling image \"{}\"", name), c.name);
  cri::PodSandboxConfig sandbox;
  if (auto config = sandboxConfig(node_.options, *pod_, runtime_.sandbox() ? runtime_.sandbox()->attempt : 0);
      config.ok())
    sandbox = std::move(*config);
  Status failure = errors::failed("no credentials were tried");
  for (const auto& auth : pullCredentials(*pod_, name, *node_.objects)) {
    auto ref = node_.runtime->pullImage(name, auth ? &*auth : nullptr, sandbox);
    if (ref.ok()) {
      Duration took = node_.clock().monotonic() - now;
      auto image = node_.runtime->imageStatus(name);
      int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
      std::string t = ms < 1000 ? fmt::format("{}ms", ms)
                                : fmt::format("{}s", formatGoFloat(static_cast<double>(ms) / 1000));
      event(
          client::kEventNormal, "Pulled",
          fmt::format("Successfully pulled image \"{}\" in {} ({} including waiting). Image size: {} bytes.",
                      name, t, t, image.ok() ? image->size : 0),
          c.name);
      pullFailed_.erase(name);
      return image;
    }
    failure = ref.status();
  }
  event(client::kEventWarning, "Failed",
        fmt::format("Failed to pull image \"{}\": {}", name, failure.message()), c.name);
  event(client::kEventWarning, "Failed", "Error: ErrImagePull", c.name);
  pullBackoff_.next(name, now);
  pullFailed_[name] = node_.clock().monotonic();
  pullErrors_[name] = {"ErrImagePull", failure.message()};
  why->reason = "ErrImagePull";
  why->message = failure.message();
  wakeAt(node_.clock().monotonic() + pullBackoff_.delay(name));
  return failure;
}

Status PodWorker::create(const v1::Container& c, ContainerKind kind, const cri::Image& image,
                         WaitingReason* why) {
  Services services = node_.services();
  const ContainerRecord* last = runtime_.latest(c.name);
  ContainerContext ctx;
  ctx.options = &node_.options;
  ctx.downward = downward();
  ctx.services = &services;
  ctx.objects = node_.objects;
  ctx.volumes = &volumes_;
  ctx.imageRef = image.id.str();
  if (image.uid) ctx.imageUser.uid = image.uid->value;
  ctx.imageUser.name = image.username.str();
  ctx.restartCount = last ? last->restartCount + 1 : 0;
  ctx.memoryCapacity = node_.memoryCapacity;
  for (const auto& e : pod_->spec.ephemeralContainers) {
    if (kind != ContainerKind::kEphemeral || e.name != c.name || e.targetContainerName.empty()) continue;
    const ContainerRecord* target = runtime_.latest(e.targetContainerName);
    if (!target)
      return errors::failed(fmt::format("unable to find target container {}", e.targetContainerName.view()));
    ctx.targetId = target->id;
  }
  auto fail = [&](std::string_view reason, const Status& s) {
    why->reason = reason;
    why->message = s.message();
    event(client::kEventWarning, "Failed", "Error: " + s.message(), c.name);
    return s;
  };
  auto config = containerConfig(ctx, c);
  if (!config.ok()) return fail("CreateContainerConfigError", config.status());
  auto sandbox = sandboxConfig(node_.options, *pod_, runtime_.sandbox()->attempt);
  if (!sandbox.ok()) return fail("CreateContainerConfigError", sandbox.status());
  std::string sandboxId = runtime_.sandbox()->id;
  auto id = node_.runtime->createContainer(sandboxId, *config, *sandbox);
  if (!id.ok()) return fail("CreateContainerError", id.status());
  node_.own(*id, uid_);
  event(client::kEventNormal, "Created", "Container created", c.name);
  Status started = node_.runtime->startContainer(*id);
  if (auto status = node_.runtime->containerStatus(*id); status.ok()) {
    runtime_.containers.insert(runtime_.containers.begin(), recordOf(std::move(*status), sandboxId));
    makeLogLink(node_.options, *pod_, c.name, runtime_.containers.front());
  }
  if (!started.ok()) return fail("RunContainerError", started);
  event(client::kEventNormal, "Started", "Container started", c.name);
  if (c.lifecycle && c.lifecycle->postStart) {
    HookContext hook{&node_, pod_.get(), &c, *id, downward().podIps};
    if (Status s = runHook(hook, *c.lifecycle->postStart, std::chrono::hours(24)); !s.ok()) {
      if (s.code() == kStopping) return s;
      event(client::kEventWarning, "FailedPostStartHook", "PostStartHook failed", c.name);
      why->reason = "PostStartHookError";
      why->message = s.message();
      kill(runtime_.containers.front(), "FailedPostStartHook", gracePeriod(*pod_));
      return s;
    }
  }
  return {};
}

// Of each name the newest and one dead container stay.
void PodWorker::dropOldContainers(const std::string& name) {
  int seen = 0;
  for (size_t i = 0; i < runtime_.containers.size();) {
    ContainerRecord& r = runtime_.containers[i];
    if (r.name != name || ++seen <= 2 || !r.exited()) {
      i++;
      continue;
    }
    Status s = node_.runtime->removeContainer(r.id);
    if (!s.ok() && s.code() != 404) {
      i++;
      continue;
    }
    node_.own(r.id, "");
    removeLogLink(node_.options, r);
    if (!r.status.logPath.empty()) (void)removeFile(r.status.logPath.str());
    runtime_.containers.erase(runtime_.containers.begin() + static_cast<long>(i));
  }
}

// Main containers first; sidecars after them, the last one first.
void PodWorker::killPod(std::optional<int64_t> grace) {
  int64_t seconds = grace ? *grace : pod_ ? gracePeriod(*pod_) : 30;
  bool mainRunning = false;
  std::vector<std::string> sidecars;
  if (pod_) {
    for (const auto& c : pod_->spec.initContainers) {
      if (isRestartableInit(c)) sidecars.push_back(c.name.str());
    }
  }
  auto isSidecar = [&](const std::string& name) {
    return std::find(sidecars.begin(), sidecars.end(), name) != sidecars.end();
  };
  for (const auto& r : std::vector<ContainerRecord>(runtime_.containers)) {
    if (isSidecar(r.name) || !(r.running() || r.unknown())) continue;
    mainRunning = true;
    kill(r, "", seconds);
  }
  if (mainRunning) return;
  int64_t left = seconds;
  if (endingSince_)
    left -=
        std::chrono::duration_cast<std::chrono::seconds>(node_.clock().monotonic() - *endingSince_).count();
  for (auto name = sidecars.rbegin(); name != sidecars.rend(); ++name) {
    const ContainerRecord* r = runtime_.latest(*name);
    if (!r || !(r->running() || r->unknown())) continue;
    kill(*r, "", std::max(left, kMinimumGrace));
    return;
  }
}

// Starts to stop it, unless that is under way with no more patience.
void PodWorker::kill(const ContainerRecord& r, const std::string& message, int64_t grace) {
  grace = std::max<int64_t>(grace, 1);
  Duration deadline = node_.clock().monotonic() + std::chrono::seconds(grace);
  bool first = true;
  {
    std::lock_guard lock(killsMutex_);
    auto it = kills_.find(r.id);
    if (it != kills_.end()) {
      if (deadline + std::chrono::seconds(1) >= it->second.deadline) return;
      first = false;
      it->second.deadline = deadline;
    } else {
      kills_[r.id] = {deadline};
    }
  }
  const v1::Container* found = pod_ ? findContainer(*pod_, r.name) : nullptr;
  if (first)
    event(client::kEventNormal, "Killing",
          message.empty() ? fmt::format("Stopping container {}", r.name) : message, r.name);
  bool hooked = first && found && found->lifecycle && found->lifecycle->preStop;
  node_.pool->post([self = shared_from_this(), id = r.id, pod = pod_, found, hooked, grace,
                    ips = pod_ ? downward().podIps : std::vector<std::string>()] {
    NodeContext& node = self->node_;
    int64_t left = grace;
    if (hooked) {
      Duration began = node.clock().monotonic();
      HookContext hook{&node, pod.get(), found, id, ips};
      if (Status s = runHook(hook, *found->lifecycle->preStop, std::chrono::seconds(grace)); !s.ok()) {
        if (s.code() == kStopping) return;  // the next kubelet begins again
        api::core_v1::ObjectReference ref = client::referenceTo(*pod);
        ref.fieldPath = fmt::format("spec.containers{{{}}}", found->name.view());
        node.recorder.event(ref, client::kEventWarning, "FailedPreStopHook", "PreStopHook failed");
      }
      left -= std::chrono::duration_cast<std::chrono::seconds>(node.clock().monotonic() - began).count();
      left = std::max(left, kMinimumGrace);
    }
    Status s = node.runtime->stopContainer(id, left);
    bool failed = !s.ok() && s.code() != 404;
    {
      std::lock_guard lock(self->killsMutex_);
      self->kills_.erase(id);
    }
    if (failed) {
      KM_LOG(WARNING, "cannot stop container {}: {}", id, s.message());
      return self->wakeAt(node.clock().monotonic() + kRetry);
    }
    self->runtimeEvent(id);
  });
}

bool PodWorker::settled() const {
  for (const auto& r : runtime_.containers) {
    if (r.running() || r.unknown()) return false;
  }
  return true;
}

bool PodWorker::stopSandboxes() {
  bool ok = true;
  for (auto& s : runtime_.sandboxes) {
    if (!s.ready()) continue;
    Status stopped = node_.runtime->stopPodSandbox(s.id);
    if (!stopped.ok() && stopped.code() != 404) {
      event(client::kEventWarning, "FailedKillPod",
            "error killing pod: failed to \"KillPodSandbox\" for \"" + uid_ + "\": " + stopped.message());
      ok = false;
      continue;
    }
    s.status.state = cri::PodSandboxState::kSANDBOX_NOTREADY;
  }
  return ok;
}

}  // namespace km::kubelet
