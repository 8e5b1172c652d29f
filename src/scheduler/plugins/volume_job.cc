#include "scheduler/plugins/volume_job.h"

#include <fmt/format.h>

#include <algorithm>

namespace km::scheduler {

using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;

namespace {

std::string keyOf(const PersistentVolumeClaim& c) {
  return fmt::format("{}/{}", c.metadata.namespace_, c.metadata.name);
}

// The volume with the claim as its user.
api::MutableObject claimed(const PersistentVolume& v, const PersistentVolumeClaim& c) {
  auto o = api::Object::of(PersistentVolume(v));
  auto& volume = o->as<PersistentVolume>();
  bool ours = !volume.spec.claimRef;
  auto& r = volume.spec.claimRef.emplace();
  r.kind = "PersistentVolumeClaim";
  r.apiVersion = "v1";
  r.namespace_ = c.metadata.namespace_;
  r.name = c.metadata.name;
  r.uid = c.metadata.uid;
  r.resourceVersion = c.metadata.resourceVersion;
  if (ours) volume.metadata.annotations[kBoundByController] = "yes";
  return o;
}

}  // namespace

VolumeJobs::VolumeJobs(const VolumeLookup& look, int64_t timeoutSeconds)
    : look_(look), timeoutSeconds_(timeoutSeconds) {
  watch(look_.listers().claims);
  watch(look_.listers().volumes);
}

void VolumeJobs::watch(client::SharedInformer* informer) {
  if (informer == nullptr) return;
  client::Handler h;
  h.onAdd = [this](const api::ObjectPtr&, bool) { recheck(); };
  h.onUpdate = [this](const api::ObjectPtr&, const api::ObjectPtr&) { recheck(); };
  h.onDelete = [this](const api::ObjectPtr&, bool) { recheck(); };
  registrations_.push_back(informer->addHandler(std::move(h)));
}

void VolumeJobs::assume(const Pod& pod, NodePtr node, VolumeDecision d) {
  if (d.bindings.empty() && d.provisions.empty()) return;
  auto job = std::make_shared<Job>();
  job->uid = pod.metadata.uid.str();
  job->node = std::move(node);
  job->decision = std::move(d);
  std::lock_guard lock(mutex_);
  jobs_[job->uid] = std::move(job);
}

void VolumeJobs::forget(const std::string& uid) {
  std::lock_guard lock(mutex_);
  jobs_.erase(uid);
}

bool VolumeJobs::has(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  return jobs_.contains(uid);
}

bool VolumeJobs::free(const PersistentVolume& v, const PersistentVolumeClaim& c) const {
  std::lock_guard lock(mutex_);
  for (const auto& [uid, job] : jobs_) {
    for (const auto& [claim, volume] : job->decision.bindings) {
      if (volume->metadata.uid == v.metadata.uid && claim->metadata.uid != c.metadata.uid) return false;
    }
  }
  return true;
}

std::string VolumeJobs::selectedNode(const PersistentVolumeClaim& c) const {
  if (const auto* node = c.metadata.annotations.find(kSelectedNode)) return node->str();
  std::lock_guard lock(mutex_);
  for (const auto& [uid, job] : jobs_) {
    for (const auto& claim : job->decision.provisions) {
      if (claim->metadata.uid == c.metadata.uid) return job->node->metadata.name.str();
    }
  }
  return "";
}

void VolumeJobs::run(const Pod& pod, std::function<void(Status)> done) {
  JobPtr job;
  {
    std::lock_guard lock(mutex_);
    auto it = jobs_.find(pod.metadata.uid.str());
    if (it != jobs_.end() && !stopped_) {
      job = it->second;
      job->done = std::move(done);
      job->writes = job->decision.bindings.size() + job->decision.provisions.size();
      underWay_ += static_cast<int>(job->writes);
      job->timer =
          look_.listers().timers->after(std::chrono::seconds(timeoutSeconds_), [this, uid = job->uid] {
            std::unique_lock again(mutex_);
            auto late = jobs_.find(uid);
            if (late != jobs_.end())
              finish(again, late->second, errors::internal("binding volumes: context deadline exceeded"));
          });
    }
  }
  if (!job) return done(errors::internal("no volumes are assumed for the pod"));
  client::Client& client = *look_.listers().client;
  VolumeDecision d = job->decision;
  for (const auto& [claim, volume] : d.bindings) {
    std::string name = volume->metadata.name.str();
    client.update(client::target(PersistentVolume::kType, "", name), claimed(*volume, *claim), {},
                  [this, job, name](Result<api::ObjectPtr> r) { written(job, name, std::move(r)); });
  }
  for (const auto& claim : d.provisions) {
    auto o = api::Object::of(PersistentVolumeClaim(*claim));
    o->meta().annotations[kSelectedNode] = job->node->metadata.name;
    client.update(
        client::target(PersistentVolumeClaim::kType, claim->metadata.namespace_, claim->metadata.name), o, {},
        [this, job, key = keyOf(*claim)](Result<api::ObjectPtr> r) { written(job, key, std::move(r)); });
  }
}

void VolumeJobs::written(const JobPtr& job, const std::string& key, Result<api::ObjectPtr> answer) {
  std::unique_lock lock(mutex_);
  if (answer.ok()) {
    job->versions[key] = (*answer)->resourceVersion();
  } else {
    job->failed = answer.status();
  }
  if (--job->writes == 0 && job->done) {
    Status outcome;
    if (!job->failed.ok()) {
      finish(lock, job, job->failed);
    } else if (settled(*job, outcome)) {
      finish(lock, job, std::move(outcome));
    }
  }
  if (!lock.owns_lock()) lock.lock();
  if (--underWay_ == 0) idle_.notify_all();
}

void VolumeJobs::recheck() {
  std::unique_lock lock(mutex_);
  std::vector<JobPtr> jobs;
  for (const auto& [uid, job] : jobs_) {
    if (job->done && job->writes == 0) jobs.push_back(job);
  }
  for (const JobPtr& job : jobs) {
    Status outcome;
    if (job->done && settled(*job, outcome)) finish(lock, job, std::move(outcome));
    if (!lock.owns_lock()) lock.lock();
  }
}

bool VolumeJobs::seen(const Job& job, const std::string& key, const api::meta_v1::ObjectMeta& meta) const {
  auto it = job.versions.find(key);
  return it == job.versions.end() ||
         std::strtoll(meta.resourceVersion.str().c_str(), nullptr, 10) >= it->second;
}

// True: it is over, well or badly.
bool VolumeJobs::settled(const Job& job, Status& outcome) const {
  auto fail = [&](std::string why) {
    outcome = errors::internal(std::move(why));
    return true;
  };
  for (const auto& [claim, volume] : job.decision.bindings) {
    std::string name = volume->metadata.name.str();
    VolumePtr v = look_.volume(name);
    ClaimPtr c = look_.claim(claim->metadata.namespace_, claim->metadata.name);
    if (!v || !c) return fail("binding volumes: failed to check binding: the volume or its claim is gone");
    if (!seen(job, name, v->metadata)) return false;
    if (!v->spec.claimRef || v->spec.claimRef->uid.empty())
      return fail(fmt::format("binding volumes: ClaimRef got reset for pv \"{}\"", name));
    if (!fullyBound(*c)) return false;
  }
  for (const auto& claim : job.decision.provisions) {
    ClaimPtr c = look_.claim(claim->metadata.namespace_, claim->metadata.name);
    if (!c) return fail("binding volumes: failed to check provisioning pvc: it is gone");
    if (!seen(job, keyOf(*claim), c->metadata)) return false;
    const auto* selected = c->metadata.annotations.find(kSelectedNode);
    if (selected == nullptr || !(*selected == job.node->metadata.name)) {
      return fail(fmt::format("binding volumes: provisioning failed for PVC \"{}\"", c->metadata.name));
    }
    if (!c->spec.volumeName.empty()) {
      VolumePtr v = look_.volume(c->spec.volumeName);
      if (!v) return false;
      if (!volumeFitsNode(*v, *job.node)) {
        return fail(fmt::format("binding volumes: pv \"{}\" node affinity doesn't match node \"{}\"",
                                v->metadata.name, job.node->metadata.name));
      }
    }
    if (!fullyBound(*c)) return false;
  }
  return true;
}

// Unlocks for the callback.
void VolumeJobs::finish(std::unique_lock<std::mutex>& lock, const JobPtr& job, Status outcome) {
  auto done = std::exchange(job->done, nullptr);
  auto timer = std::exchange(job->timer, 0);
  if (!done) return;
  lock.unlock();
  if (timer != 0) look_.listers().timers->cancel(timer);
  done(std::move(outcome));
}

void VolumeJobs::stop() {
  registrations_.clear();
  std::unique_lock lock(mutex_);
  stopped_ = true;
  std::vector<JobPtr> jobs;
  for (const auto& [uid, job] : jobs_) jobs.push_back(job);
  for (const JobPtr& job : jobs) {
    if (job->done) finish(lock, job, errors::internal("the scheduler stops"));
    if (!lock.owns_lock()) lock.lock();
  }
  idle_.wait(lock, [this] { return underWay_ == 0; });
}

}  // namespace km::scheduler
