#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "codec/json.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

bool finished(const Pod& p) {
  return p.status.phase == "Succeeded" || p.status.phase == "Failed";
}

}  // namespace

Scheduler::Scheduler(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
                     client::Timers& timers, const client::SeriesRecorder& recorder, Options options)
    : client_(client),
      timers_(timers),
      recorder_(recorder),
      options_(std::move(options)),
      pods_(informers.of<Pod>()),
      nodes_(informers.of<Node>()),
      plugins_(defaultPlugins()),
      lane_(pool) {}

Scheduler::~Scheduler() {
  stop();
}

Duration Scheduler::now() const {
  return timers_.clock().monotonic();
}

void Scheduler::start() {
  auto handler = [](auto on) {
    client::Handler h;
    h.onAdd = [on](const api::ObjectPtr& o, bool) { on(nullptr, o); };
    h.onUpdate = [on](const api::ObjectPtr& before, const api::ObjectPtr& o) { on(before, o); };
    h.onDelete = [on](const api::ObjectPtr& last, bool) { on(last, nullptr); };
    return h;
  };
  registrations_.push_back(
      nodes_.addHandler(handler([this](const api::ObjectPtr& a, const api::ObjectPtr& b) { onNode(a, b); })));
  registrations_.push_back(
      pods_.addHandler(handler([this](const api::ObjectPtr& a, const api::ObjectPtr& b) { onPod(a, b); })));
  // Nodes are known before the first pod is tried.
  nodes_.whenSynced([this] {
    pods_.whenSynced([this] {
      {
        std::lock_guard lock(mutex_);
        started_ = true;
      }
      kick();
    });
  });
}

void Scheduler::stop() {
  {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    if (timer_ != 0) timers_.cancel(timer_);
  }
  registrations_.clear();
  lane_.close();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return binding_ == 0; });
}

// --- what happens in the cluster ----------------------------------------------------------------------

void Scheduler::onPod(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  std::lock_guard lock(mutex_);
  const Pod& pod = (after ? after : before)->as<Pod>();
  std::string uid = pod.metadata.uid.str();
  if (before && after && before->meta().uid != after->meta().uid) {
    cluster_.removePod(before->meta().uid.str());
    queue_.remove(before->meta().uid.str());
  }
  if (!after || finished(pod)) {
    bool occupied =
        before && !before->as<Pod>().spec.nodeName.empty() && !(after && finished(before->as<Pod>()));
    cluster_.removePod(uid);
    queue_.remove(uid);
    if (occupied) queue_.changed(bit(Change::kPodRemoved), now());
  } else if (!pod.spec.nodeName.empty()) {
    cluster_.setPod(api::share<Pod>(after));
    queue_.remove(uid);
    queue_.changed(bit(Change::kPodAdded), now());
  } else if (mine(pod) && !pod.metadata.deletionTimestamp) {
    if (cluster_.isAssumed(uid)) return;
    std::string gate;
    for (const Enabled& e : plugins_) {
      if (gate.empty()) gate = e.plugin->preEnqueue(pod);
    }
    // Its own status (why it waits) is no news to a waiting pod.
    if (before && queue_.contains(uid) && before->meta().generation == after->meta().generation &&
        before->meta().labels == after->meta().labels &&
        before->as<Pod>().spec.schedulingGates == pod.spec.schedulingGates) {
      return;
    }
    queue_.set(api::share<Pod>(after), now(), !gate.empty());
  } else {
    queue_.remove(uid);
  }
  if (!scheduled_ && started_) {
    scheduled_ = true;
    lane_.post([this] { cycle(); });
  }
}

void Scheduler::onNode(const api::ObjectPtr& before, const api::ObjectPtr& after) {
  {
    std::lock_guard lock(mutex_);
    if (!after) {
      cluster_.removeNode(std::string(before->name()));
      return;
    }
    uint32_t changes = before ? 0 : bit(Change::kNodeAdded);
    if (before) {
      const Node& a = before->as<Node>();
      const Node& b = after->as<Node>();
      if (!(a.status.allocatable == b.status.allocatable)) changes |= bit(Change::kNodeAllocatable);
      if (!(a.metadata.labels == b.metadata.labels)) changes |= bit(Change::kNodeLabels);
      if (!(a.spec.taints == b.spec.taints) || a.spec.unschedulable != b.spec.unschedulable)
        changes |= bit(Change::kNodeTaints);
    }
    cluster_.setNode(api::share<Node>(after));
    if (changes == 0) return;
    queue_.changed(changes, now());
  }
  kick();
}

void Scheduler::kick() {
  std::lock_guard lock(mutex_);
  if (scheduled_ || !started_ || stopped_) return;
  scheduled_ = true;
  lane_.post([this] { cycle(); });
}

// --- the cycle ----------------------------------------------------------------------------------------

void Scheduler::cycle() {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    auto next = queue_.pop(now());
    if (!next) {
      scheduled_ = false;
      if (timer_ != 0) timers_.cancel(timer_);
      timer_ = 0;
      if (auto at = queue_.nextTime()) {
        timer_ =
            timers_.after(std::max(*at - now(), Duration(std::chrono::milliseconds(1))), [this] { kick(); });
      }
      return;
    }
    Outcome outcome = schedule(*next->pod);
    std::string uid = next->pod->metadata.uid.str();
    if (outcome.node.empty()) {
      queue_.failed(uid, outcome.wakes, now());
      lock.unlock();
      reportFailure(*next, outcome.message, "Unschedulable");
      continue;
    }
    cluster_.assume(*next->pod, outcome.node);
    queue_.done(uid);
    binding_++;
    lock.unlock();
    bind(std::move(*next), outcome.node);
  }
}

Scheduler::Outcome Scheduler::schedule(const Pod& pod) {
  Outcome out;
  const auto& nodes = cluster_.nodes();
  if (nodes.empty()) {
    out.message = "no nodes available to schedule pods";
    out.wakes = bit(Change::kNodeAdded);
    return out;
  }
  std::vector<const NodeInfo*> feasible;
  std::vector<FilterResult> refused;
  out.wakes = 0;
  for (size_t i = 0; i < nodes.size(); i++) {
    const NodeInfo& n = *nodes[(nextStart_ + i) % nodes.size()];
    FilterResult r;
    for (const Enabled& e : plugins_) {
      if (!e.plugin->hasFilter()) continue;
      r = e.plugin->filter(pod, n);
      if (!r.ok()) {
        out.wakes |= e.plugin->wakes();
        break;
      }
    }
    if (r.ok()) {
      feasible.push_back(&n);
    } else {
      refused.push_back(std::move(r));
    }
  }
  nextStart_ = (nextStart_ + 1) % nodes.size();
  if (feasible.empty()) {
    out.message = explain(pod, refused);
    out.wakes |= bit(Change::kPodUpdated);
    return out;
  }
  std::vector<int64_t> total(feasible.size(), 0);
  if (feasible.size() > 1) {
    for (const Enabled& e : plugins_) {
      if (!e.plugin->hasScore() || !e.plugin->scores(pod)) continue;
      std::vector<int64_t> scores;
      for (const NodeInfo* n : feasible) scores.push_back(e.plugin->score(pod, *n, cluster_));
      e.plugin->normalize(scores);
      for (size_t i = 0; i < scores.size(); i++) total[i] += scores[i] * e.weight;
    }
  }
  size_t best = static_cast<size_t>(std::max_element(total.begin(), total.end()) - total.begin());
  out.node = feasible[best]->node->metadata.name.str();
  return out;
}

// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had ... . no new claims to deallocate, preemption:
// ..."
std::string Scheduler::explain(const Pod& pod, const std::vector<FilterResult>& refused) const {
  std::map<std::string, int> counts;
  int helpless = 0, victimless = 0;
  for (const FilterResult& r : refused) {
    for (const std::string& reason : r.reasons) counts[reason]++;
    (r.verdict == Verdict::kUnschedulable ? victimless : helpless)++;
  }
  std::vector<std::string> parts;
  for (const auto& [reason, n] : counts) parts.push_back(fmt::format("{} {}", n, reason));
  std::sort(parts.begin(), parts.end());
  size_t total = refused.size();
  std::string out = fmt::format("0/{} nodes are available: {}.", total, fmt::join(parts, ", "));
  if (pod.spec.preemptionPolicy && *pod.spec.preemptionPolicy == "Never")
    return out + " no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.";
  std::vector<std::string> why;
  if (victimless > 0)
    why.push_back(fmt::format("{} No preemption victims found for incoming pod", victimless));
  if (helpless > 0) why.push_back(fmt::format("{} Preemption is not helpful for scheduling", helpless));
  std::sort(why.begin(), why.end());
  return out + fmt::format(" no new claims to deallocate, preemption: 0/{} nodes are available: {}.", total,
                           fmt::join(why, ", "));
}

// DefaultBinder. The answer comes on a transport's thread.
void Scheduler::bind(QueuedPod q, const std::string& node) {
  api::core_v1::Binding b;
  b.metadata.name = q.pod->metadata.name;
  b.metadata.namespace_ = q.pod->metadata.namespace_;
  b.metadata.uid = q.pod->metadata.uid;
  b.target.kind = "Node";
  b.target.name = node;
  client::Target t = client::target(Pod::kType, q.pod->metadata.namespace_, q.pod->metadata.name, "binding");
  client_.create(
      t, api::Object::of(std::move(b)), {}, [this, q = std::move(q), node](Result<api::ObjectPtr> r) {
        const Pod& pod = *q.pod;
        std::string uid = pod.metadata.uid.str();
        if (r.ok()) {
          recorder_.event(client::referenceTo(pod), client::kEventNormal, "Scheduled", "Binding",
                          fmt::format("Successfully assigned {}/{} to {}", pod.metadata.namespace_,
                                      pod.metadata.name, node));
        } else {
          {
            std::lock_guard lock(mutex_);
            cluster_.forget(uid);
            // Gone or bound by someone else: there is nothing left to do. Else it is tried again.
            if (!r.status().is("NotFound") && !r.status().is("Conflict") && !stopped_)
              queue_.set(q.pod, now(), false);
          }
          if (!r.status().is("NotFound"))
            reportFailure(q, fmt::format("binding rejected: {}", r.status().message()), "SchedulerError");
          kick();
        }
        std::lock_guard lock(mutex_);
        if (--binding_ == 0) idle_.notify_all();
      });
}

// The event, and the condition of the pod.
void Scheduler::reportFailure(const QueuedPod& q, const std::string& message, std::string_view reason) {
  const Pod& pod = *q.pod;
  recorder_.event(client::referenceTo(pod), client::kEventWarning, "FailedScheduling", "Scheduling", message);
  for (const auto& c : pod.status.conditions) {
    if (c.type == "PodScheduled" && c.status == "False" && c.reason == reason && c.message == message) return;
  }
  std::string body = R"({"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":)";
  codec::appendJsonString(body, reason);
  body += ",\"message\":";
  codec::appendJsonString(body, message);
  bool was = std::any_of(pod.status.conditions.begin(), pod.status.conditions.end(),
                         [](const auto& c) { return c.type == "PodScheduled" && c.status == "False"; });
  if (!was) body += fmt::format(",\"lastTransitionTime\":\"{}\"", codec::Time(timers_.clock().now()).str());
  body += fmt::format(",\"observedGeneration\":{}", pod.metadata.generation);
  body += "}]}}";
  client_.patch(client::target(Pod::kType, pod.metadata.namespace_, pod.metadata.name, "status"),
                client::PatchType::kStrategicMerge, std::move(body), {}, [](Result<api::ObjectPtr> r) {
                  if (!r.ok() && !r.status().is("NotFound"))
                    KM_LOG(WARNING, "pod status could not be written: {}", r.status().message());
                });
}

}  // namespace km::scheduler
