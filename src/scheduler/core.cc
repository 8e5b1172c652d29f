#include "scheduler/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

// A refusal of the core itself, not of a plugin.
constexpr uint64_t kByCore = uint64_t{1} << 63;

bool finished(const Pod& p) {
  return p.status.phase == "Succeeded" || p.status.phase == "Failed";
}

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

Core::Core(std::vector<Profile> profiles, std::vector<PluginArgs> args, Writer& writer, Clock& clock,
           Metrics& metrics, CoreOptions options)
    : writer_(writer),
      clock_(clock),
      metrics_(metrics),
      queue_([this](const QueuedPod& q, const ClusterEvent& e) { return helps(q, e); }, options.backoff,
             [this](std::string_view place, std::string_view event) {
               metrics_.incoming.with({place, event}).inc();
             }) {
  size_t slot = 0;
  for (size_t i = 0; i < profiles.size(); i++) {
    auto s = std::make_unique<Scheduler>();
    s->profile = std::move(profiles[i]);
    for (size_t k = 0; k < s->profile.plugins.size(); k++) {
      Plugin& p = *s->profile.plugins[k].plugin;
      p.slot = slot++;
      if (s->profile.plugins[k].runsAt(Plugin::kReserve | Plugin::kPreBind)) s->hooks |= uint64_t{1} << k;
    }
    s->search = std::make_unique<Search>(cluster_, nominator_, s->profile);
    if (s->profile.preempts)
      s->preemption = std::make_unique<Preemption>(cluster_, *s->search, args[i], options.listers);
    schedulers_.push_back(std::move(s));
  }
}

Core::~Core() = default;

Core::Scheduler* Core::of(const Pod& pod) {
  for (auto& s : schedulers_) {
    if (s->profile.schedulerName == pod.spec.schedulerName.view()) return s.get();
  }
  return nullptr;
}

bool Core::helps(const QueuedPod& q, const ClusterEvent& e) {
  // Without objects nobody can say more.
  if ((q.rejectors & kByCore) != 0 || (!e.before && !e.after)) return true;
  Scheduler* s = of(*q.pod);
  if (s == nullptr) return false;
  const auto& plugins = s->profile.plugins;
  for (size_t i = 0; i < plugins.size(); i++) {
    Plugin& p = *plugins[i].plugin;
    if ((q.rejectors >> i & 1) != 0 && (p.wakes() & e.kinds) != 0 && p.helps(*q.pod, e)) return true;
  }
  return false;
}

// --- what happens -------------------------------------------------------------------------------------

void Core::onPod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (before && after && before->meta().uid != after->meta().uid) {
    gone(before);
    onPod(nullptr, after);
    return;
  }
  if (!after || finished(after->as<Pod>())) {
    gone(after ? after : before);
  } else if (!after->as<Pod>().spec.nodeName.empty()) {
    assigned(before, after);
  } else {
    waiting(before, after);
  }
  metrics_.cachePods.set(static_cast<double>(cluster_.pods()));
  metrics_.cacheAssumed.set(static_cast<double>(cluster_.assumed()));
}

void Core::gone(const api::ObjectPtr& last) {
  const Pod& pod = last->as<Pod>();
  std::string uid = pod.metadata.uid.str();
  const PodEntry* e = cluster_.pod(uid);
  bool occupied = e != nullptr;
  bool nominated = !nominator_.nodeOf(uid).empty();
  cluster_.removePod(uid);
  nominator_.remove(uid);
  queue_.remove(uid);
  // A pod for which room was made gives that room back.
  if (occupied || nominated) changed({kAssignedPodDelete, last, nullptr});
}

void Core::assigned(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const Pod& pod = after->as<Pod>();
  std::string uid = pod.metadata.uid.str();
  const PodEntry* known = cluster_.pod(uid);
  bool isNew = known == nullptr || known->assumed;
  cluster_.setPod(api::share<Pod>(after));
  nominator_.remove(uid);
  if (isNew) {
    queue_.remove(uid);
    changed({kAssignedPodAdd, nullptr, after});
    return;
  }
  if (!before || queue_.unschedulable() == 0) return;
  const Pod& was = before->as<Pod>();
  uint32_t kinds = 0;
  if (!(was.metadata.labels == pod.metadata.labels)) kinds |= kAssignedPodLabel;
  if (was.metadata.generation != pod.metadata.generation || resizing(was)) {
    Amounts a = placedRequests(was), b = placedRequests(pod);
    if (a.milliCpu > b.milliCpu || a.memory > b.memory) kinds |= kAssignedPodScaleDown;
  }
  if (kinds != 0) changed({kinds, before, after});
}

std::string Core::gateOf(const Pod& pod) {
  Scheduler* s = of(pod);
  if (s == nullptr) return "";
  for (const Enabled& e : s->profile.plugins) {
    if (!e.runsAt(Plugin::kPreEnqueue)) continue;
    if (std::string why = e.plugin->preEnqueue(pod); !why.empty()) return why;
  }
  return "";
}

void Core::waiting(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  const Pod& pod = after->as<Pod>();
  std::string uid = pod.metadata.uid.str();
  if (of(pod) == nullptr || pod.metadata.deletionTimestamp) {
    queue_.remove(uid);
    // While it goes, room that was made for it is nobody's.
    if (!nominator_.nodeOf(uid).empty()) gone(after);
    return;
  }
  PodPtr p = api::share<Pod>(after);
  if (cluster_.isAssumed(uid)) {
    if (auto it = binding_.find(uid); it != binding_.end()) it->second.q.pod = p;
    return;
  }
  if (!pod.status.nominatedNodeName.empty()) {
    nominator_.set(p, pod.status.nominatedNodeName.str());
  } else if (before && !before->as<Pod>().status.nominatedNodeName.empty()) {
    nominator_.remove(uid);
  }
  ClusterEvent change;
  if (before && queue_.contains(uid)) {
    const Pod& was = before->as<Pod>();
    if (!(was.metadata.labels == pod.metadata.labels)) change.kinds |= kSelfLabel;
    if (!(was.spec.tolerations == pod.spec.tolerations)) change.kinds |= kSelfToleration;
    if (!was.spec.schedulingGates.empty() && pod.spec.schedulingGates.empty()) change.kinds |= kSelfGates;
    if (!(was.status.resourceClaimStatuses == pod.status.resourceClaimStatuses)) change.kinds |= kSelfClaims;
    if (was.metadata.generation != pod.metadata.generation && !(podRequests(was) == podRequests(pod)))
      change.kinds |= kSelfScaleDown;
    change.before = before;
    change.after = after;
  }
  queue_.set(std::move(p), now(), gateOf(pod), change);
}

void Core::onNode(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (!after) {
    cluster_.removeNode(std::string(before->name()));
    changed({kNodeDelete, before, nullptr});
  } else {
    uint32_t kinds = before ? 0u : uint32_t{kNodeAdd};
    if (before) {
      const Node& a = before->as<Node>();
      const Node& b = after->as<Node>();
      if (!(a.status.allocatable == b.status.allocatable)) kinds |= kNodeAllocatable;
      if (!(a.metadata.labels == b.metadata.labels)) kinds |= kNodeLabel;
      if (!(a.spec.taints == b.spec.taints) || a.spec.unschedulable != b.spec.unschedulable)
        kinds |= kNodeTaint;
    }
    cluster_.setNode(api::share<Node>(after));
    if (kinds != 0) changed({kinds, before, after});
  }
  metrics_.cacheNodes.set(static_cast<double>(cluster_.nodes().count()));
}

void Core::onNamespace(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  if (after) {
    cluster_.setNamespace(std::string(after->name()), after->meta().labels);
  } else {
    cluster_.removeNamespace(std::string(before->name()));
  }
}

void Core::onOther(const ClusterEvent& e) {
  changed(e);
  if (queue_.gated() > 0) queue_.recheckGates([this](const Pod& p) { return gateOf(p); }, now());
}

void Core::stop() {
  for (auto& s : schedulers_) {
    for (const Enabled& e : s->profile.plugins) e.plugin->stop();
  }
}

// --- the cycle ----------------------------------------------------------------------------------------

bool Core::attempt() {
  Duration began = began_ = now();
  auto q = queue_.pop(began);
  metrics_.active.set(static_cast<double>(queue_.active()));
  metrics_.backoff.set(static_cast<double>(queue_.backingOff()));
  metrics_.unschedulable.set(static_cast<double>(queue_.unschedulable()));
  metrics_.gated.set(static_cast<double>(queue_.gated()));
  if (!q) return false;
  std::string uid = q->pod->metadata.uid.str();
  Scheduler* s = of(*q->pod);
  if (s == nullptr || cluster_.isAssumed(uid)) {
    queue_.done(uid);
    return true;
  }
  if (auto it = preempting_.find(uid); it != preempting_.end()) {
    // Its victims are only being told: nothing is different yet.
    it->second = true;
    q->attempts--;
    queue_.failed(std::move(*q), began);
    return true;
  }
  if (cluster_.nodes().count() == 0) {
    q->failures++;
    q->errors = 0;
    q->rejectors = kByCore;
    q->wakes = kNodeAdd;
    failWith(*s, std::move(*q), "Unschedulable", "no nodes available to schedule pods", "");
    return true;
  }
  PodClassPtr cls = cluster_.classOf(*q->pod);
  Cycle c{cluster_, q->pod, *cls};
  Found found = s->search->run(c);
  std::vector<Plugin*> before;
  if (found.node != kNoNode && s->hooks != 0 && !reserve(*s, c, found.node, found.error, before))
    found.node = kNoNode;
  metrics_.algorithm.observe(seconds(now() - began));
  if (found.node == kNoNode) {
    fail(*s, std::move(*q), &c, found);
    return true;
  }
  cluster_.assume(q->pod, std::move(cls), found.node);
  nominator_.remove(uid);
  queue_.done(uid);
  PodPtr pod = q->pod;
  binding_[uid] = {std::move(*q), began};
  metrics_.cacheAssumed.set(static_cast<double>(cluster_.assumed()));
  writer_.bind(std::move(pod), cluster_.nodes().row(found.node).name, std::move(before));
  return true;
}

bool Core::reserve(Scheduler& s, const Cycle& c, NodeId node, std::string& error,
                   std::vector<Plugin*>& before) {
  for (const Enabled& e : s.profile.plugins) {
    if (!e.runsAt(Plugin::kReserve)) continue;
    Status r = e.plugin->reserve(c, node);
    if (r.ok()) continue;
    error = r.message();
    unreserve(s, c, node);
    return false;
  }
  for (const Enabled& e : s.profile.plugins) {
    if (e.runsAt(Plugin::kPreBind) && e.plugin->willPreBind(c, node)) before.push_back(e.plugin.get());
  }
  return true;
}

void Core::unreserve(Scheduler& s, const Cycle& c, NodeId node) {
  for (auto e = s.profile.plugins.rbegin(); e != s.profile.plugins.rend(); ++e) {
    if (e->runsAt(Plugin::kReserve)) e->plugin->unreserve(c, node);
  }
}

void Core::bound(const PodPtr& pod, const std::string& node, const Status& answer) {
  std::string uid = pod->metadata.uid.str();
  auto it = binding_.find(uid);
  if (it == binding_.end()) return;
  Binding b = std::move(it->second);
  binding_.erase(it);
  Scheduler* s = of(*pod);
  Duration t = now();
  if (answer.ok()) {
    for (size_t i = 0; s != nullptr && s->hooks >> i != 0; i++) {
      if ((s->hooks >> i & 1) != 0) s->profile.plugins[i].plugin->finished(*pod);
    }
    metrics_.attempt(pod->spec.schedulerName, Metrics::Result::kScheduled, seconds(t - b.began));
    metrics_.attempts.observe(b.q.attempts);
    metrics_.sli.with({b.q.attempts > 15 ? "16+" : std::to_string(b.q.attempts)})
        .observe(seconds(t - b.q.since));
    return;
  }
  if (s != nullptr && s->hooks != 0) {
    PodClassPtr cls = cluster_.classOf(*pod);
    NodeId id = cluster_.nodes().find(node);
    if (id != kNoNode) unreserve(*s, Cycle{cluster_, pod, *cls}, id);
  }
  cluster_.forget(uid);
  changed({kAssignedPodDelete, nullptr, nullptr});
  if (answer.is("NotFound") || s == nullptr) return;
  b.q.errors++;
  b.q.rejectors = 0;
  queue_.reenter(b.q);
  if (answer.is("Conflict")) {
    // Bound by someone else, most likely: the news of it takes the pod out of the queue.
    metrics_.attempt(pod->spec.schedulerName, Metrics::Result::kError, seconds(t - b.began));
    queue_.failed(std::move(b.q), t);
    return;
  }
  failWith(*s, std::move(b.q), "SchedulerError", fmt::format("binding rejected: {}", answer.message()), "");
}

void Core::fail(Scheduler& s, QueuedPod q, const Cycle* c, const Found& found) {
  if (!found.error.empty()) {
    q.errors++;
    q.rejectors = 0;
    failWith(s, std::move(q), "SchedulerError", found.error, "");
    return;
  }
  const Diagnosis& d = found.diagnosis;
  q.failures++;
  q.errors = 0;
  q.rejectors = d.rejectors;
  q.wakes = 0;
  for (size_t i = 0; i < s.profile.plugins.size(); i++) {
    if ((d.rejectors >> i & 1) != 0) q.wakes |= s.profile.plugins[i].plugin->wakes();
  }
  size_t total = cluster_.nodes().count();
  std::string reasons = d.preFilter;
  if (reasons.empty()) {
    size_t absent = d.only.empty() ? 0 : total - std::min(total, d.refused.size());
    reasons = s.search->reasons(*c, d.refused,
                                {{fmt::format("node(s) didn't satisfy plugin(s) [{}]", d.only), absent}});
  }
  std::string message = fmt::format("0/{} nodes are available: {}.", total, reasons);
  std::optional<std::string> nominated;
  std::string more = postFilter(s, *c, d, nominated);
  if (!more.empty()) message += " " + more;
  failWith(s, std::move(q), "Unschedulable", message, std::move(nominated));
}

std::string Core::postFilter(Scheduler& s, const Cycle& c, const Diagnosis& d,
                             std::optional<std::string>& nominated) {
  if (!s.preemption) {
    nominated = "";
    return "";
  }
  metrics_.preemptions.inc();
  Preempted p = s.preemption->run(c, d, clock_.now());
  if (!p.victims) {
    if (p.clearNomination) nominated = "";
    return fmt::format(
        "{}, preemption: {}",
        c.pod->spec.resourceClaims.empty() ? "no new claims to deallocate" : "still not schedulable",
        p.message);
  }
  std::string node = cluster_.nodes().row(p.victims->node).name;
  nominated = node;
  metrics_.victims.observe(static_cast<double>(p.victims->pods.size()));
  // Pods of lower priority for which room was made there have to look again.
  for (const PodPtr& other : std::vector<PodPtr>(nominator_.on(node))) {
    if (other->spec.priority.value_or(0) >= c.pod->spec.priority.value_or(0)) continue;
    nominator_.remove(other->metadata.uid.str());
    writer_.clearNomination(other);
  }
  std::vector<PodPtr> victims = std::move(p.victims->pods);
  std::erase_if(victims, [](const PodPtr& v) { return v->metadata.deletionTimestamp.has_value(); });
  if (!victims.empty()) {
    preempting_[c.pod->metadata.uid.str()] = false;
    writer_.evict(std::move(victims), c.pod, node);
  }
  return "";
}

void Core::preempted(const PodPtr& pod, bool ok) {
  std::string uid = pod->metadata.uid.str();
  auto it = preempting_.find(uid);
  if (it == preempting_.end()) return;
  bool held = it->second;
  preempting_.erase(it);
  // What it was held back from may have been the end of its last victim.
  if (held || !ok) queue_.activate(uid, now());
}

void Core::failWith(Scheduler& s, QueuedPod q, std::string_view reason, const std::string& message,
                    std::optional<std::string> nominated) {
  bool error = reason == "SchedulerError";
  metrics_.attempt(s.profile.schedulerName, error ? Metrics::Result::kError : Metrics::Result::kUnschedulable,
                   seconds(now() - began_));
  const QueuedPod* latest = queue_.find(q.pod->metadata.uid.str());
  if (latest == nullptr) return;  // gone meanwhile
  PodPtr pod = latest->pod;
  queue_.failed(std::move(q), now());
  if (nominated) nominator_.set(pod, *nominated);
  writer_.reportFailure(std::move(pod), reason, message, std::move(nominated));
}

}  // namespace km::scheduler
