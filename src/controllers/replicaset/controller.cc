#include "controllers/replicaset/controller.h"

#include "api/selector.h"
#include "base/log.h"
#include "controllers/expectations.h"
#include "controllers/pod_control.h"
#include "controllers/ref_manager.h"
#include "controllers/replicaset/core.h"

namespace km::controllers::replicaset {
namespace {

using RsPtr = std::shared_ptr<const ReplicaSet>;

constexpr int kBurst = 500;  // pods made or deleted in one round
constexpr std::string_view kByController = "replicaSetController";

class ReplicaSetController : public Controller {
 public:
  explicit ReplicaSetController(Context& context)
      : context_(context),
        sets_(context.use<ReplicaSet>()),
        pods_(context.use<Pod>()),
        setLister_(sets_),
        podLister_(pods_),
        podControl_(context.client, context.events.recorder("replicaset-controller")),
        expectations_(context.clock()),
        loop_(context, "replicaset", context.options.concurrentReplicaSetSyncs,
              [this](const std::string& key) { return sync(key); }) {
    addPodControllerIndex(pods_);
    sets_.addIndex(kByController, [](const api::Object& o) {
      const OwnerReference* r = controllerOf(o.meta());
      return r ? std::vector<std::string>{r->uid.str()} : std::vector<std::string>{};
    });
    loop_.on(sets_, {[this](const ObjectPtr& o, bool) { loop_.add(o->key()); },
                     [this](const ObjectPtr& a, const ObjectPtr& b) {
                       if (a->meta().uid != b->meta().uid) expectations_.forget(a->meta().uid.str());
                       loop_.add(b->key());
                     },
                     [this](const ObjectPtr& o, bool) {
                       expectations_.forget(o->meta().uid.str());
                       loop_.add(o->key());
                     }});
    loop_.on(pods_, {[this](const ObjectPtr& o, bool initial) { podAdded(o->as<Pod>(), initial); },
                     [this](const ObjectPtr& a, const ObjectPtr& b) { podUpdated(a->as<Pod>(), b->as<Pod>()); },
                     [this](const ObjectPtr& o, bool) { podDeleted(o->as<Pod>()); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  RsPtr resolve(const ObjectMeta& pod, const OwnerReference* ref) const {
    if (ref == nullptr || ref->kind != "ReplicaSet") return nullptr;
    RsPtr rs = setLister_.get(pod.namespace_, ref->name);
    return rs && rs->metadata.uid == ref->uid ? rs : nullptr;
  }

  // The sets that would adopt an orphan.
  void addMatching(const ObjectMeta& pod) {
    if (pod.labels.empty()) return;
    for (const RsPtr& rs : setLister_.list(pod.namespace_)) {
      if (!rs->spec.selector) continue;
      auto selector = api::LabelSelector::from(*rs->spec.selector);
      if (selector.ok() && !selector->empty() && selector->matches(pod.labels)) loop_.add(keyOf(rs->metadata));
    }
  }

  // `initial`: it was there before this controller, so it is none of those that it has made and waits for. It may hear of it after it has.
  void podAdded(const Pod& pod, bool initial) {
    if (pod.metadata.deletionTimestamp) return podDeleted(pod);
    const OwnerReference* ref = controllerOf(pod.metadata);
    if (ref == nullptr) return addMatching(pod.metadata);
    if (RsPtr rs = resolve(pod.metadata, ref)) {
      if (!initial) expectations_.creationObserved(rs->metadata.uid.str());
      loop_.add(keyOf(rs->metadata));
    }
  }

  void podUpdated(const Pod& before, const Pod& now) {
    if (now.metadata.deletionTimestamp) {
      podDeleted(now);
      if (before.metadata.labels != now.metadata.labels) podDeleted(before);
      return;
    }
    const OwnerReference *old = controllerOf(before.metadata), *ref = controllerOf(now.metadata);
    bool refChanged = (old ? old->uid.view() : "") != (ref ? ref->uid.view() : "");
    if (refChanged) {
      if (RsPtr rs = resolve(before.metadata, old)) loop_.add(keyOf(rs->metadata));
    }
    if (ref != nullptr) {
      if (RsPtr rs = resolve(now.metadata, ref)) {
        std::string key = keyOf(rs->metadata);
        loop_.add(key);
        if (!isPodReady(before) && isPodReady(now) && rs->spec.minReadySeconds > 0) {
          loop_.queue().addAfter(key, std::chrono::seconds(rs->spec.minReadySeconds));
        }
      }
      return;
    }
    if (refChanged || before.metadata.labels != now.metadata.labels) addMatching(now.metadata);
  }

  void podDeleted(const Pod& pod) {
    if (RsPtr rs = resolve(pod.metadata, controllerOf(pod.metadata))) {
      expectations_.deletionObserved(rs->metadata.uid.str(), keyOf(pod.metadata));
      loop_.add(keyOf(rs->metadata));
    }
  }

  Status sync(const std::string& key) {
    RsPtr rs = setLister_.getKey(key);
    if (!rs) return {};
    std::string uid = rs->metadata.uid.str();
    bool mayManage = expectations_.satisfied(uid);
    if (!mayManage) loop_.queue().addAfter(key, expectations_.untilTimeout(uid));
    if (!rs->spec.selector) return {};
    auto selector = api::LabelSelector::from(*rs->spec.selector);
    if (!selector.ok()) {
      logError(selector.status(), "Invalid selector", {{"replicaSet", key}});
      return {};
    }
    std::vector<PodPtr> active, all = podsOf(podLister_, rs->metadata, true);
    int terminating = 0;
    for (const PodPtr& p : all) {
      if (isPodActive(*p)) {
        active.push_back(p);
      } else if (!isPodTerminal(*p) && isControlledBy(p->metadata, rs->metadata.uid) &&
                 selector->matches(p->metadata.labels)) {
        terminating++;
      }
    }
    OwnerReference ref = makeControllerRef(ReplicaSet::kType, rs->metadata);
    auto claimed = claim<Pod>(context_.client, rs->metadata, ref, *selector, active,
                              [&] { return recheckOwner<ReplicaSet>(context_.client, rs->metadata); });
    if (!claimed.ok()) return claimed.status();
    active = std::move(*claimed);

    Status managed;
    if (mayManage && !rs->metadata.deletionTimestamp) managed = manage(key, uid, *rs, ref, active);
    WallTime now = context_.clock().now();
    ReplicaSetStatus next = calculateStatus(*rs, active, terminating, managed, now);
    KM_TRY(writeStatus(rs, next));
    // Also where pods cannot be made: those that are there become available all the same, and a rollout counts on hearing of it.
    if (rs->spec.minReadySeconds > 0 && next.readyReplicas != next.availableReplicas) {
      loop_.queue().addAfter(key, nextAvailability(active, rs->spec.minReadySeconds, now)
                                      .value_or(std::chrono::seconds(rs->spec.minReadySeconds)));
    }
    return managed;
  }

  Status manage(const std::string& key, const std::string& uid, const ReplicaSet& rs, const OwnerReference& ref,
                const std::vector<PodPtr>& active) {
    int diff = static_cast<int>(active.size()) - rs.spec.replicas.value_or(1);
    auto owner = client::referenceTo(rs);
    if (diff < 0) {
      int count = std::min(-diff, kBurst);
      expectations_.expectCreations(uid, count);
      KM_VINFO(2, "Too few replicas", {{"replicaSet", key}, {"need", rs.spec.replicas.value_or(1)}, {"creating", count}});
      Pod pod = podFromTemplate(rs.spec.template_, rs.metadata.name, ref);
      Batch batch = slowStart(count, [&]() -> Status {
        Status s = podControl_.create(pod, rs.metadata.namespace_, owner);
        return hasCause(s, "NamespaceTerminating") ? Status() : s;  // any creation would fail: there is nothing to do
      });
      for (int i = batch.successes; i < count; i++) expectations_.creationObserved(uid);
      return batch.error;
    }
    if (diff == 0) return {};
    int count = std::min(diff, kBurst);
    KM_VINFO(2, "Too many replicas", {{"replicaSet", key}, {"need", rs.spec.replicas.value_or(1)}, {"deleting", count}});
    auto victims = podsToDelete(active, related(rs), count, context_.clock().now());
    std::vector<std::string> keys;
    for (const PodPtr& p : victims) keys.push_back(keyOf(p->metadata));
    expectations_.expectDeletions(uid, keys);
    Status first;
    for (const PodPtr& p : victims) {
      Status s = podControl_.remove(rs.metadata.namespace_, p->metadata.name, owner);
      if (s.ok()) continue;
      expectations_.deletionObserved(uid, keyOf(p->metadata));
      if (s.code() != 404 && first.ok()) first = s;
    }
    return first;
  }

  // The pods of all sets of the same owner.
  std::vector<PodPtr> related(const ReplicaSet& rs) const {
    std::vector<PodPtr> out;
    const OwnerReference* ref = controllerOf(rs.metadata);
    std::vector<RsPtr> sets;
    if (ref != nullptr) sets = setLister_.byIndex(kByController, ref->uid);
    if (sets.empty()) return podsOf(podLister_, rs.metadata, false);
    for (const RsPtr& s : sets) {
      auto pods = podsOf(podLister_, s->metadata, false);
      out.insert(out.end(), pods.begin(), pods.end());
    }
    return out;
  }

  // Writes the status, with one more try over the server's current version.
  Status writeStatus(RsPtr rs, ReplicaSetStatus next) {
    if (!statusDiffers(*rs, next)) return {};
    next.observedGeneration = rs->metadata.generation;
    ReplicaSet copy = *rs;
    copy.status = next;
    auto r = updateStatus(context_.client, std::move(copy));
    if (r.ok()) return {};
    auto fresh = getObject<ReplicaSet>(context_.client, rs->metadata.namespace_, rs->metadata.name);
    if (!fresh.ok()) return fresh.status().code() == 404 ? Status() : fresh.status();
    ReplicaSet again = **fresh;
    again.status = std::move(next);
    return updateStatus(context_.client, std::move(again)).status();
  }

  Context& context_;
  client::SharedInformer& sets_;
  client::SharedInformer& pods_;
  client::Lister<ReplicaSet> setLister_;
  client::Lister<Pod> podLister_;
  PodControl podControl_;
  Expectations expectations_;  // by uid: what is heard late of a set that is gone says nothing of one with its name
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<ReplicaSetController>(context); }

}  // namespace km::controllers::replicaset
