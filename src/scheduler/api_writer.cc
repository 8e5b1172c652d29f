#include "scheduler/api_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "client/events.h"
#include "codec/json.h"

namespace km::scheduler {

using api::core_v1::Pod;

namespace {

constexpr size_t kMaxMessage = 1024;  // of an event

const api::core_v1::PodCondition* conditionOf(const Pod& pod, std::string_view type) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

client::Target targetOf(const Pod& pod, std::string_view subresource) {
  return client::target(Pod::kType, pod.metadata.namespace_, pod.metadata.name, subresource);
}

// One entry of status.conditions, for a strategic merge.
std::string condition(const Pod& pod, std::string_view type, std::string_view status, std::string_view reason,
                      std::string_view message, WallTime now) {
  const auto* was = conditionOf(pod, type);
  std::string out =
      fmt::format(R"({{"type":"{}","status":"{}","reason":"{}","message":)", type, status, reason);
  codec::appendJsonString(out, message);
  if (was == nullptr || was->status != status)
    out += fmt::format(",\"lastTransitionTime\":\"{}\"", codec::Time(now).str());
  return out + fmt::format(",\"observedGeneration\":{}}}", pod.metadata.generation);
}

}  // namespace

// `scheduled`: the pod whose scheduler speaks.
void ApiWriter::event(const Pod& about, const Pod& scheduled, std::string_view type, std::string_view reason,
                      std::string_view action, std::string_view note) {
  auto it = recorders_.find(scheduled.spec.schedulerName.view());
  if (it != recorders_.end()) it->second->event(client::referenceTo(about), type, reason, action, note);
}

void ApiWriter::begin() {
  std::lock_guard lock(mutex_);
  underWay_++;
}

void ApiWriter::end() {
  std::lock_guard lock(mutex_);
  if (--underWay_ == 0) idle_.notify_all();
}

void ApiWriter::stop() {
  writes_.close();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return underWay_ == 0; });
}

// --- bindings -----------------------------------------------------------------------------------------

void ApiWriter::bind(PodPtr pod, std::string node, std::vector<Plugin*> before) {
  if (!before.empty()) {
    begin();
    return preBind(std::move(pod), std::move(node), std::move(before), 0);
  }
  writes_.post([this, pod = std::move(pod), node = std::move(node)]() mutable {
    begin();
    writeBinding(std::move(pod), std::move(node));
  });
}

void ApiWriter::preBind(PodPtr pod, std::string node, std::vector<Plugin*> before, size_t next) {
  if (next == before.size()) return writeBinding(std::move(pod), std::move(node));
  Plugin* p = before[next];
  p->preBind(pod, node, [this, pod, node, before = std::move(before), next](Status s) mutable {
    if (!s.ok()) return answered(std::move(pod), std::move(node), std::move(s));
    preBind(std::move(pod), std::move(node), std::move(before), next + 1);
  });
}

// DefaultBinder.
void ApiWriter::writeBinding(PodPtr pod, std::string node) {
  api::core_v1::Binding b;
  b.metadata.name = pod->metadata.name;
  b.metadata.namespace_ = pod->metadata.namespace_;
  b.metadata.uid = pod->metadata.uid;
  b.target.kind = "Node";
  b.target.name = node;
  client::Target t = targetOf(*pod, "binding");
  client_.create(t, api::Object::of(std::move(b)), {},
                 [this, pod = std::move(pod), node = std::move(node)](Result<api::ObjectPtr> r) mutable {
                   answered(std::move(pod), std::move(node), r.ok() ? Status() : r.status());
                 });
}

void ApiWriter::answered(PodPtr pod, std::string node, Status s) {
  tell_([this, pod = std::move(pod), node = std::move(node), s = std::move(s)](Core& core) {
    if (s.ok()) {
      event(*pod, *pod, client::kEventNormal, "Scheduled", "Binding",
            fmt::format("Successfully assigned {}/{} to {}", pod->metadata.namespace_, pod->metadata.name,
                        node));
    }
    core.bound(pod, node, s);
  });
  end();
}

// --- failures -----------------------------------------------------------------------------------------

void ApiWriter::patchStatus(const PodPtr& pod, std::string body, std::function<void(Status)> done) {
  begin();
  client_.patch(targetOf(*pod, "status"), client::PatchType::kStrategicMerge, std::move(body), {},
                [this, done = std::move(done)](Result<api::ObjectPtr> r) {
                  Status s = r.ok() ? Status() : r.status();
                  if (!s.ok() && !s.is("NotFound"))
                    KM_LOG(WARNING, "pod status could not be written: {}", s.message());
                  if (done) done(std::move(s));
                  end();
                });
}

void ApiWriter::reportFailure(PodPtr pod, std::string_view reason, const std::string& message,
                              std::optional<std::string> nominated) {
  std::string note = message.size() <= kMaxMessage ? message : message.substr(0, kMaxMessage - 4) + " ...";
  event(*pod, *pod, client::kEventWarning, "FailedScheduling", "Scheduling", note);
  const auto* c = conditionOf(*pod, "PodScheduled");
  bool same = c != nullptr && c->status == "False" && c->reason == reason && c->message == message;
  bool renamed = nominated && pod->status.nominatedNodeName != *nominated;
  if (same && !renamed) return;
  std::string body = R"({"status":{)";
  if (!same)
    body += fmt::format("\"conditions\":[{}]",
                        condition(*pod, "PodScheduled", "False", reason, message, clock_.now()));
  if (renamed) {
    body += fmt::format("{}\"nominatedNodeName\":", same ? "" : ",");
    if (nominated->empty()) {
      body += "null";
    } else {
      codec::appendJsonString(body, *nominated);
    }
  }
  patchStatus(pod, body + "}}", nullptr);
}

void ApiWriter::clearNomination(PodPtr pod) {
  if (!pod->status.nominatedNodeName.empty())
    patchStatus(pod, R"({"status":{"nominatedNodeName":null}})", nullptr);
}

// --- preemption ---------------------------------------------------------------------------------------

struct ApiWriter::Eviction {
  std::vector<PodPtr> victims;
  PodPtr preemptor;
  std::string node;
  std::atomic<size_t> left;
  std::atomic<bool> ok{true};
};

void ApiWriter::evict(std::vector<PodPtr> victims, PodPtr preemptor, std::string node) {
  auto e = std::make_shared<Eviction>();
  e->victims = std::move(victims);
  e->preemptor = std::move(preemptor);
  e->node = std::move(node);
  e->left = e->victims.size();
  for (const PodPtr& v : e->victims) evictOne(e, v);
}

// Marks the victim, then deletes it.
void ApiWriter::evictOne(std::shared_ptr<Eviction> e, const PodPtr& victim) {
  std::string message =
      fmt::format("{}: preempting to accommodate a higher priority pod", e->preemptor->spec.schedulerName);
  std::string body = fmt::format(
      R"({{"status":{{"conditions":[{}]}}}})",
      condition(*victim, "DisruptionTarget", "True", "PreemptionByScheduler", message, clock_.now()));
  patchStatus(victim, std::move(body), [this, e, victim](Status s) {
    if (!s.ok()) return evicted(e, victim, s);
    begin();
    client_.remove(targetOf(*victim, ""), {}, [this, e, victim](Status r) {
      if (r.ok()) {
        event(*victim, *e->preemptor, client::kEventNormal, "Preempted", "Preempting",
              fmt::format("Preempted by pod {} on node {}", e->preemptor->metadata.uid, e->node));
      }
      evicted(e, victim, r);
      end();
    });
  });
}

void ApiWriter::evicted(const std::shared_ptr<Eviction>& e, const PodPtr& victim, const Status& s) {
  if (!s.ok() && !s.is("NotFound")) {
    KM_LOG(WARNING, "pod {}/{} could not be preempted: {}", victim->metadata.namespace_.view(),
           victim->metadata.name.view(), s.message());
    e->ok = false;
  }
  if (--e->left != 0) return;
  tell_([pod = e->preemptor, ok = e->ok.load()](Core& core) { core.preempted(pod, ok); });
}

}  // namespace km::scheduler
