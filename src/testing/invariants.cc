#include "testing/invariants.h"

#include <fmt/format.h>

#include <cmath>

#include "codec/json.h"
#include "codec/ops.h"
#include "testing/trace.h"

namespace km::testing {

using namespace api::apps_v1;
using namespace api::core_v1;

const api::meta_v1::OwnerReference* controllerOf(const api::meta_v1::ObjectMeta& meta) {
  for (const auto& r : meta.ownerReferences) {
    if (r.controller && *r.controller) return &r;
  }
  return nullptr;
}

bool isActive(const Pod& p) { return !p.metadata.deletionTimestamp && p.status.phase != "Succeeded" && p.status.phase != "Failed"; }

bool isReady(const Pod& p) {
  for (const auto& c : p.status.conditions) {
    if (c.type == "Ready") return c.status == "True";
  }
  return false;
}

namespace {

int resolve(const codec::IntOrString& v, int total, bool up) {
  if (!v.isString) return v.number;
  double part = std::atoi(v.str().c_str()) * total / 100.0;
  return static_cast<int>(up ? std::ceil(part) : std::floor(part));
}

}  // namespace

RollingBounds boundsOf(const Deployment& d) {
  RollingBounds b;
  int replicas = d.spec.replicas.value_or(1);
  if (d.spec.strategy.type == "Recreate") return {0, replicas};
  if (!d.spec.strategy.rollingUpdate) return b;
  const auto& r = *d.spec.strategy.rollingUpdate;
  if (r.maxSurge) b.surge = resolve(*r.maxSurge, replicas, true);
  if (r.maxUnavailable) b.unavailable = resolve(*r.maxUnavailable, replicas, false);
  if (b.surge == 0 && b.unavailable == 0) b.unavailable = 1;
  b.unavailable = std::min(b.unavailable, replicas);
  return b;
}

Invariants::Invariants(Cluster& cluster, Duration settling) : cluster_(cluster), observer_(cluster.observer), settling_(settling) {
  observer_.onChange([this](const Change& c) { onChange(c); });
  cluster.network.onLost([this](const LostCall& call) { onLost(call); });
}

void Invariants::disturbed(std::string_view ns) { disturbed_[std::string(ns)] = playedTime(); }

void Invariants::onLost(const LostCall& call) {
  KM_TRACE("lost: {} of {} {}/{}/{}", call.agent, call.verb, call.target.resource->name, call.target.ns, call.target.name);
  std::string_view kind = call.target.resource->name;
  if (kind == "pods" && call.verb == "create" && call.target.subresource == "binding" && call.object) {
    nodesDisturbed_[call.object->as<Binding>().target.name.str()] = playedTime();
  } else if (kind == "pods" && call.verb == "create" && call.object) {
    if (const auto* owner = controllerOf(call.object->meta())) sets_[owner->uid.str()].lost++;
  } else if (kind == "pods" || kind == "replicasets" || kind == "deployments") {
    disturbed(call.target.ns);
  }
}

void Invariants::onChange(const Change& c) {
  if (c.before && c.now) checkAny(c);
  const ObjectPtr& o = c.now ? c.now : c.before;
  if (!o) return;
  if (c.now && !c.before && !c.now->ns().empty() && !observer_.find<Namespace>("", c.now->ns())) {
    violated(fmt::format("{} {} was made in a namespace that is not there", c.now->kind(), c.now->key()));
  }
  if (o->is(Pod::kType)) onPod(c);
  if (o->is(ReplicaSet::kType)) onReplicaSet(c);
  if (o->is(Deployment::kType)) onDeployment(c);
  if (o->is(Service::kType)) onService(c);
  if (o->is(Node::kType)) onNode(c);
  if (o->is(Namespace::kType)) onNamespace(c);
}

void Invariants::checkAny(const Change& c) {
  const auto &a = c.before->meta(), &b = c.now->meta();
  auto wrong = [&](std::string_view what) { violated(fmt::format("{} {}: {}", c.now->kind(), c.now->key(), what)); };
  if (a.uid != b.uid) wrong("another uid without a deletion");
  if (a.deletionTimestamp && !b.deletionTimestamp) wrong("the deletion was taken back");
  if (b.generation < a.generation) wrong("the generation went back");
  if (a.creationTimestamp.seconds != b.creationTimestamp.seconds) wrong("another creationTimestamp");
}

// --- pods -----------------------------------------------------------------------------------------------

void Invariants::onPod(const Change& c) {
  if (!c.before) return onPodCreated(c.now->as<Pod>());
  const Pod& before = c.before->as<Pod>();
  if (c.removed) {
    if (isActive(before)) onPodLeaves(before);
    return onPodRemoved(before);
  }
  const Pod& now = c.now->as<Pod>();
  if (before.spec.nodeName != now.spec.nodeName) {
    if (!before.spec.nodeName.empty()) violated(fmt::format("pod {} moved from {} to {}", c.now->key(), before.spec.nodeName.view(), now.spec.nodeName.view()));
    onPodBound(now);
  }
  bool ended = before.status.phase == "Succeeded" || before.status.phase == "Failed";
  if (ended && before.status.phase != now.status.phase) {
    violated(fmt::format("pod {} went from {} to {}", c.now->key(), before.status.phase.view(), now.status.phase.view()));
  }
  if (isActive(before) && now.metadata.deletionTimestamp) onPodLeaves(before);
}

// No more than its set wants, or wanted a short while ago.
void Invariants::onPodCreated(const Pod& pod) {
  const auto* owner = controllerOf(pod.metadata);
  if (owner == nullptr || owner->kind != "ReplicaSet") return;
  auto it = sets_.find(owner->uid.view());
  if (it == sets_.end() || it->second.wanted.empty()) return violated(fmt::format("pod {} was made for a set that never was", pod.metadata.name.view()));
  const SetState& set = it->second;
  if (set.gone >= Duration(0) && isSettled(set.gone) && set.lost == 0) violated(fmt::format("pod {} was made for a set that is long gone", pod.metadata.name.view()));
  int most = set.wanted.rbegin()->second;
  for (auto w = set.wanted.rbegin(); w != set.wanted.rend(); ++w) {
    most = std::max(most, w->second);
    if (isSettled(w->first)) break;
  }
  int active = 0;
  for (const auto& [key, o] : observer_.all<Pod>()) {
    const Pod& p = o->as<Pod>();
    const auto* other = controllerOf(p.metadata);
    if (other != nullptr && other->uid == owner->uid && isActive(p)) active++;
  }
  if (active > most + set.lost) {
    violated(fmt::format("pod {}/{} is number {} of a set that wants {} ({} creations without an answer)", pod.metadata.namespace_.view(), pod.metadata.name.view(), active, most, set.lost));
  }
}

void Invariants::onPodBound(const Pod& pod) {
  auto node = observer_.find<Node>("", pod.spec.nodeName.view());
  auto d = nodesDisturbed_.find(pod.spec.nodeName.view());
  if (!node || (d != nodesDisturbed_.end() && !isSettled(d->second))) return;
  int64_t millis = 0, count = 0;
  for (const auto& [key, o] : observer_.all<Pod>()) {
    const Pod& p = o->as<Pod>();
    if (p.spec.nodeName != pod.spec.nodeName || p.status.phase == "Succeeded" || p.status.phase == "Failed") continue;
    count++;
    for (const auto& container : p.spec.containers) {
      if (const auto* q = container.resources.requests.find("cpu")) millis += q->milliValue();
    }
  }
  const auto* cpus = node->status.allocatable.find("cpu");
  const auto* pods = node->status.allocatable.find("pods");
  if (cpus != nullptr && millis > cpus->milliValue()) violated(fmt::format("{} has {} m of cpu, its pods ask for {}", pod.spec.nodeName.view(), cpus->milliValue(), millis));
  if (pods != nullptr && count > pods->value()) violated(fmt::format("{} takes {} pods and has {}", pod.spec.nodeName.view(), pods->value(), count));
}

// Somebody ends a pod that serves. Unless it was somebody from outside, enough others must serve.
void Invariants::onPodLeaves(const Pod& before) {
  if (!isReady(before)) return;
  const auto* owner = controllerOf(before.metadata);
  if (owner == nullptr || owner->kind != "ReplicaSet") return;
  for (std::string_view ns : {before.metadata.namespace_.view(), std::string_view()}) {
    auto d = disturbed_.find(ns);
    if (d != disturbed_.end() && !isSettled(d->second)) return;
  }
  auto set = observer_.find<ReplicaSet>(before.metadata.namespace_.view(), owner->name.view());
  if (!set || set->metadata.uid != owner->uid || set->metadata.deletionTimestamp) return;
  const auto* above = controllerOf(set->metadata);
  if (above == nullptr) return;
  auto d = observer_.find<Deployment>(before.metadata.namespace_.view(), above->name.view());
  if (!d || d->metadata.uid != above->uid || d->metadata.deletionTimestamp || d->spec.strategy.type == "Recreate") return;
  auto ns = observer_.find<Namespace>("", before.metadata.namespace_.view());
  if (!ns || ns->metadata.deletionTimestamp) return;
  if (auto known = deployments_.find(d->metadata.uid.view()); known == deployments_.end() || !isSettled(known->second.changed)) return;
  int ready = 0;
  for (const auto& [key, o] : observer_.all<Pod>()) {
    const Pod& p = o->as<Pod>();
    const auto* c = controllerOf(p.metadata);
    if (c == nullptr || p.metadata.uid == before.metadata.uid || !isActive(p) || !isReady(p)) continue;
    auto other = observer_.find<ReplicaSet>(p.metadata.namespace_.view(), c->name.view());
    if (!other || other->metadata.uid != c->uid) continue;
    const auto* root = controllerOf(other->metadata);
    if (root != nullptr && root->uid == d->metadata.uid) ready++;
  }
  int least = d->spec.replicas.value_or(1) - boundsOf(*d).unavailable;
  if (ready < least) {
    violated(fmt::format("pod {}/{} is ended, which leaves {} ready of deployment {}, which needs {}", before.metadata.namespace_.view(), before.metadata.name.view(), ready, d->metadata.name.view(), least));
  }
}

void Invariants::onPodRemoved(const Pod& before) {
  if (before.spec.terminationGracePeriodSeconds == 0 || before.spec.nodeName.empty() || forced_.contains(before.metadata.uid.view())) return;
  auto d = nodesDisturbed_.find(before.spec.nodeName.view());
  if (d != nodesDisturbed_.end()) return;
  for (auto& node : cluster_.nodes) {
    if (node->nodeName() == before.spec.nodeName && node->runtime().runs(before.metadata.uid.view())) {
      violated(fmt::format("pod {} is gone, and its containers run on", before.metadata.name.view()));
    }
  }
}

// --- sets and deployments -------------------------------------------------------------------------------

void Invariants::onReplicaSet(const Change& c) {
  if (c.removed) {
    if (c.before) sets_[c.before->meta().uid.str()].gone = playedTime();
    return;
  }
  const ReplicaSet& now = c.now->as<ReplicaSet>();
  int wanted = now.spec.replicas.value_or(1);
  int was = c.before ? c.before->as<ReplicaSet>().spec.replicas.value_or(1) : 0;
  auto& history = sets_[now.metadata.uid.str()].wanted;
  if (history.empty() || history.rbegin()->second != wanted) {
    // What was wanted until now counts from now on backwards.
    if (!history.empty()) history[playedTime()] = std::max(history.rbegin()->second, wanted);
    history[playedTime() + Duration(1)] = wanted;
  }
  const auto* owner = controllerOf(now.metadata);
  if (owner == nullptr) return;
  auto d = observer_.find<Deployment>(now.metadata.namespace_.view(), owner->name.view());
  if (!d || d->metadata.uid != owner->uid) return;
  int total = 0;
  for (const auto& [key, o] : observer_.all<ReplicaSet>()) {
    const ReplicaSet& other = o->as<ReplicaSet>();
    const auto* root = controllerOf(other.metadata);
    if (root == nullptr || root->uid != owner->uid) continue;
    total += other.spec.replicas.value_or(1);
    if (c.before || other.metadata.uid == now.metadata.uid) continue;
    PodTemplateSpec a = other.spec.template_, b = now.spec.template_;
    a.metadata.labels.erase("pod-template-hash");
    b.metadata.labels.erase("pod-template-hash");
    if (codec::equal(&a, &b, PodTemplateSpec::kType)) violated(fmt::format("replica sets {} and {} are for one template", other.metadata.name.view(), now.metadata.name.view()));
  }
  auto known = deployments_.find(owner->uid.view());
  if (wanted <= was || d->spec.strategy.type == "Recreate" || known == deployments_.end() || !isSettled(known->second.changed)) return;
  int most = d->spec.replicas.value_or(1) + boundsOf(*d).surge;
  if (total > most) violated(fmt::format("replica set {} is raised to {}, which makes {} of deployment {}, which allows {}", now.metadata.name.view(), wanted, total, d->metadata.name.view(), most));
}

void Invariants::onDeployment(const Change& c) {
  if (c.removed) return;
  const Deployment& now = c.now->as<Deployment>();
  DeploymentState& s = deployments_[now.metadata.uid.str()];
  if (!c.before || c.before->meta().generation != now.metadata.generation) s.changed = playedTime();
  if (now.status.observedGeneration > now.metadata.generation) violated(fmt::format("deployment {} was observed before it was", now.metadata.name.view()));
}

// --- what must not be given twice -----------------------------------------------------------------------

void Invariants::onService(const Change& c) {
  if (c.removed) return;
  const Service& now = c.now->as<Service>();
  if (now.spec.clusterIP.empty() || now.spec.clusterIP == "None") return;
  for (const auto& [key, o] : observer_.all<Service>()) {
    const Service& other = o->as<Service>();
    if (other.metadata.uid != now.metadata.uid && other.spec.clusterIP == now.spec.clusterIP) violated(fmt::format("services {} and {} have the address {}", key, c.now->key(), now.spec.clusterIP.view()));
  }
}

void Invariants::onNode(const Change& c) {
  if (c.removed) {
    nodesDisturbed_[std::string(c.before->name())] = playedTime();
    return;
  }
  const Node& now = c.now->as<Node>();
  if (now.spec.podCIDR.empty()) return;
  for (const auto& [key, o] : observer_.all<Node>()) {
    const Node& other = o->as<Node>();
    if (other.metadata.uid != now.metadata.uid && other.spec.podCIDR == now.spec.podCIDR) violated(fmt::format("nodes {} and {} have the range {}", key, now.metadata.name.view(), now.spec.podCIDR.view()));
  }
}

void Invariants::onNamespace(const Change& c) {
  if (!c.removed || !c.before) return;
  std::string part = "/" + std::string(c.before->name()) + "/";
  for (const auto& [key, revision] : observer_.keys()) {
    if (key.find(part) == key.rfind('/') + 1 - part.size() && key.find(part) != std::string::npos) violated(fmt::format("namespace {} is gone, but {} is there", c.before->name(), key));
  }
}

}  // namespace km::testing
