#include "controllers/garbagecollector/controller.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "base/strings.h"
#include "client/event_correlator.h"
#include "controllers/garbagecollector/core.h"
#include "controllers/resources.h"

namespace km::controllers::garbagecollector {
namespace {

constexpr std::string_view kByOwner = "gcOwner";
constexpr Duration kSyncTimeout = std::chrono::seconds(30);  // for kinds whose informer does not sync
constexpr size_t kAbsentCapacity = 500;

// An object in a queue: "resource.group|namespace|name|uid".
struct Item {
  const api::Resource* resource = nullptr;
  std::string ns, name, uid;
  client::Target target() const { return {resource, ns, name, ""}; }
};

class GarbageCollector : public Controller {
 public:
  explicit GarbageCollector(Context& context)
      : context_(context),
        recorder_(context.events.recorder("garbage-collector-controller")),
        deletes_(context, "garbage_collector_attempt_to_delete", context.options.concurrentGcSyncs,
                 [this](const std::string& key) { return attemptToDelete(key); }),
        orphans_(context, "garbage_collector_attempt_to_orphan", context.options.concurrentGcSyncs,
                 [this](const std::string& key) { return orphanDependents(key); }) {}

  void start() override {
    auto all = context_.options.resources ? context_.options.resources() : deletableBuiltins();
    for (const api::Resource* r : all) {
      if (r->name == "events" || !hasVerb(*r, "list") || !hasVerb(*r, "watch")) continue;
      resources_[label(*r)] = {r, &context_.informers.informer(client::SharedInformer::What{r, "", "", ""})};
    }
    auto left = std::make_shared<std::atomic<size_t>>(resources_.size());
    for (auto& [name, kind] : resources_) {
      kind.informer->addIndex(kByOwner, [](const api::Object& o) {
        std::vector<std::string> uids;
        for (const OwnerReference& ref : o.meta().ownerReferences) uids.push_back(ref.uid.str());
        return uids;
      });
    }
    context_.informers.start();
    // These calls may come after stop(): the lane is closed then.
    auto begin = [this, weak = std::weak_ptr(lane_)] {
      if (auto lane = weak.lock()) lane->post([this] { this->begin(); });
    };
    for (auto& [name, kind] : resources_) {
      watchKind(kind);
      kind.informer->whenSynced([left, begin] {
        if (--*left == 0) begin();
      });
    }
    timer_ = context_.timers.after(kSyncTimeout, begin);
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    context_.timers.cancel(timer_);
    lane_->close();
    deletes_.stop();
    orphans_.stop();
  }

 private:
  struct Kind {
    const api::Resource* resource = nullptr;
    client::SharedInformer* informer = nullptr;
  };

  static std::string label(const api::Resource& r) { return std::string(r.name) + "." + std::string(r.group); }

  // --- news -----------------------------------------------------------------------------------------------

  void watchKind(Kind& kind) {
    const api::Resource* r = kind.resource;
    deletes_.on(*kind.informer, {[this, r](const ObjectPtr& o, bool) { appeared(*r, *o, nullptr); },
                                 [this, r](const ObjectPtr& a, const ObjectPtr& b) { appeared(*r, *b, a.get()); },
                                 [this, r](const ObjectPtr& o, bool) { removed(*r, *o); }});
  }

  // Every kind is known, or the time for it is over: what nobody owns any more can be told.
  void begin() {
    std::lock_guard lock(mutex_);
    if (stopped_ || working_) return;
    working_ = true;
    for (auto& [name, kind] : resources_) {
      for (const std::string& uid : kind.informer->store().indexValues(kByOwner)) {
        for (const ObjectPtr& o : kind.informer->store().byIndex(kByOwner, uid)) {
          if (!ownersKnown(*o)) add(deletes_, *kind.resource, *o);
        }
      }
    }
    deletes_.start();
    orphans_.start();
  }

  void appeared(const api::Resource& r, const api::Object& o, const api::Object* before) {
    const ObjectMeta& meta = o.meta();
    if (before != nullptr) ownersChanged(r, *before, o);
    bool wasDeleting = before != nullptr && isDeletingDependents(before->meta());
    bool wasOrphaning = before != nullptr && isOrphaning(before->meta());
    if (isOrphaning(meta) && !wasOrphaning) add(orphans_, r, o);
    if (isDeletingDependents(meta)) {
      if (!wasDeleting) addDependents(meta);
      if (!wasDeleting) add(deletes_, r, o);
    }
    bool news = before == nullptr || !(before->meta().ownerReferences == meta.ownerReferences);
    if (news && !meta.ownerReferences.empty() && working_ && !ownersKnown(o)) add(deletes_, r, o);
  }

  // An owner that waits for its dependents may have lost the last one.
  void ownersChanged(const api::Resource& r, const api::Object& before, const api::Object& now) {
    for (const OwnerReference& ref : before.meta().ownerReferences) {
      bool still = ownsBlocking(now.meta(), ref.uid) || !ref.blockOwnerDeletion.value_or(false);
      if (!still) wakeOwner(before, ref);
    }
  }

  void removed(const api::Resource& r, const api::Object& o) {
    const ObjectMeta& meta = o.meta();
    {
      std::lock_guard lock(absentMutex_);
      absent_[meta.uid.str()] = true;
    }
    addDependents(meta);
    for (const OwnerReference& ref : meta.ownerReferences) wakeOwner(o, ref);
  }

  void wakeOwner(const api::Object& dependent, const OwnerReference& ref) {
    const Kind* kind = nullptr;
    ObjectPtr owner = findOwner(dependent, ref, &kind);
    if (owner && isDeletingDependents(owner->meta())) add(deletes_, *kind->resource, *owner);
  }

  static void add(SyncLoop& loop, const api::Resource& r, const api::Object& o) {
    loop.add(label(r) + "|" + std::string(o.ns()) + "|" + std::string(o.name()) + "|" + o.meta().uid.str());
  }

  // --- who owns whom --------------------------------------------------------------------------------------

  template <typename F>
  void eachDependent(const ObjectMeta& owner, F f) const {
    for (auto& [name, kind] : resources_) {
      for (const ObjectPtr& o : kind.informer->store().byIndex(kByOwner, owner.uid)) {
        if (owner.namespace_.empty() || o->ns() == owner.namespace_) f(*kind.resource, *o);
      }
    }
  }

  void addDependents(const ObjectMeta& owner) {
    eachDependent(owner, [&](const api::Resource& r, const api::Object& o) { add(deletes_, r, o); });
  }

  const api::Resource* ownerResource(const OwnerReference& ref) const {
    auto [group, version] = api::splitApiVersion(ref.apiVersion);
    if (const api::Resource* r = api::findResourceByKind(group, version, ref.kind)) return r;
    for (auto& [name, kind] : resources_) {
      const api::Resource& r = *kind.resource;
      if (r.group == group && r.version == version && r.kind == ref.kind) return &r;
    }
    return nullptr;
  }

  // From the informers; null if they do not have it with this uid.
  ObjectPtr findOwner(const api::Object& dependent, const OwnerReference& ref, const Kind** kind = nullptr) const {
    const api::Resource* r = ownerResource(ref);
    if (r == nullptr) return nullptr;
    auto it = resources_.find(label(*r));
    if (it == resources_.end()) return nullptr;
    if (kind != nullptr) *kind = &it->second;
    std::string key = r->namespaced ? std::string(dependent.ns()) + "/" + ref.name.str() : ref.name.str();
    ObjectPtr o = it->second.informer->store().get(key);
    return o && o->meta().uid == ref.uid ? o : nullptr;
  }

  bool ownersKnown(const api::Object& o) const {
    for (const OwnerReference& ref : o.meta().ownerReferences) {
      if (!findOwner(o, ref)) return false;
    }
    return true;
  }

  Result<OwnerState> stateOf(const api::Object& item, const OwnerReference& ref) {
    if (ObjectPtr o = findOwner(item, ref)) {
      return isDeletingDependents(o->meta()) ? OwnerState::kWaiting : OwnerState::kSolid;
    }
    {
      std::lock_guard lock(absentMutex_);
      if (absent_.find(ref.uid.str()) != nullptr) return OwnerState::kAbsent;
    }
    const api::Resource* r = ownerResource(ref);
    if (r == nullptr) {
      return errors::failed("no matches for kind \"" + ref.kind.str() + "\" in version \"" + ref.apiVersion.str() + "\"");
    }
    if (r->namespaced && item.ns().empty()) {
      recorder_.event(item, client::kEventWarning, "OwnerRefInvalidNamespace",
                      "ownerRef [" + ref.apiVersion.str() + "/" + ref.kind.str() + ", namespace: , name: " + ref.name.str() +
                          ", uid: " + ref.uid.str() + "] does not exist in namespace \"\"");
      return OwnerState::kAbsent;
    }
    auto live = context_.client.get({r, r->namespaced ? std::string(item.ns()) : "", ref.name.str(), ""});
    if (!live.ok() && live.status().code() != 404) return live.status();
    if (!live.ok() || (*live)->meta().uid != ref.uid) {
      std::lock_guard lock(absentMutex_);
      absent_[ref.uid.str()] = true;
      return OwnerState::kAbsent;
    }
    return isDeletingDependents((*live)->meta()) ? OwnerState::kWaiting : OwnerState::kSolid;
  }

  // --- work -----------------------------------------------------------------------------------------------

  Item parse(const std::string& key) const {
    auto parts = split(key, '|');
    auto it = resources_.find(std::string(parts[0]));
    return {it == resources_.end() ? nullptr : it->second.resource, std::string(parts[1]), std::string(parts[2]),
            std::string(parts[3])};
  }

  Status attemptToDelete(const std::string& key) {
    Item item = parse(key);
    if (item.resource == nullptr) return {};
    auto got = context_.client.get(item.target());
    if (!got.ok()) return got.status().code() == 404 ? Status() : got.status();
    const api::Object& latest = **got;
    const ObjectMeta& meta = latest.meta();
    if (meta.uid != item.uid) return {};
    if (isDeletingDependents(meta)) return finishForeground(item, latest);
    if (meta.deletionTimestamp || meta.ownerReferences.empty()) return {};
    std::vector<OwnerState> states;
    for (const OwnerReference& ref : meta.ownerReferences) {
      KM_ASSIGN(auto state, stateOf(latest, ref));
      states.push_back(state);
    }
    bool any = false, circle = false;
    eachDependent(meta, [&](const api::Resource&, const api::Object& o) {
      any = true;
      circle |= isDeletingDependents(o.meta());
    });
    return carryOut(item, meta, decide(meta, states, any, circle));
  }

  Status carryOut(const Item& item, const ObjectMeta& meta, const Decision& d) {
    if (d.act == Decision::Act::kNothing) return {};
    if (d.act == Decision::Act::kDropReferences) {
      return ignoreGone(patch(item, client::PatchType::kStrategicMerge, dropReferencesPatch(meta, d.drop)));
    }
    client::DeleteOptions options{.propagationPolicy = d.policy, .uid = item.uid};
    if (d.unblock) {
      KM_TRY(ignoreGone(patch(item, client::PatchType::kStrategicMerge, unblockPatch(meta))));
    } else {
      options.resourceVersion = meta.resourceVersion;  // its owners are still those that were looked at
    }
    KM_VINFO(2, "Deleting item", {{"resource", label(*item.resource)}, {"namespace", item.ns}, {"name", item.name}, {"policy", d.policy}});
    return ignoreGone(context_.client.remove(item.target(), options));
  }

  // An object that is deleted in the foreground goes when no dependent blocks it any more.
  Status finishForeground(const Item& item, const api::Object& latest) {
    bool blocked = false;
    eachDependent(latest.meta(), [&](const api::Resource& r, const api::Object& o) {
      if (!ownsBlocking(o.meta(), item.uid)) return;
      blocked = true;
      if (!isDeletingDependents(o.meta()) && !o.meta().deletionTimestamp) add(deletes_, r, o);
    });
    if (blocked) return {};
    return ignoreGone(patch(item, client::PatchType::kMerge, dropFinalizerPatch(latest.meta(), kForeground)));
  }

  Status orphanDependents(const std::string& key) {
    Item item = parse(key);
    if (item.resource == nullptr) return {};
    auto got = context_.client.get(item.target());
    if (!got.ok()) return got.status().code() == 404 ? Status() : got.status();
    const ObjectMeta& meta = (*got)->meta();
    if (meta.uid != item.uid || !isOrphaning(meta)) return {};
    Status failed;
    eachDependent(meta, [&](const api::Resource& r, const api::Object& o) {
      Item dependent{&r, std::string(o.ns()), std::string(o.name()), o.meta().uid.str()};
      Status s = ignoreGone(patch(dependent, client::PatchType::kStrategicMerge, dropReferencesPatch(o.meta(), {item.uid})));
      if (!s.ok()) failed = s;
    });
    KM_TRY(std::move(failed));
    return ignoreGone(patch(item, client::PatchType::kMerge, dropFinalizerPatch(meta, kOrphan)));
  }

  Status patch(const Item& item, client::PatchType type, std::string body) {
    return context_.client.patch(item.target(), type, std::move(body), writeOptions()).status();
  }

  static Status ignoreGone(Status s) { return s.code() == 404 || s.code() == 422 ? Status() : s; }

  Context& context_;
  client::EventRecorder recorder_;
  std::map<std::string, Kind, std::less<>> resources_;  // fixed from start() on
  client::Timers::Id timer_ = 0;
  std::mutex mutex_;
  std::atomic<bool> working_{false};
  bool stopped_ = false;
  std::mutex absentMutex_;
  client::LruMap<bool> absent_{kAbsentCapacity};
  std::shared_ptr<client::Lane> lane_ = std::make_shared<client::Lane>(context_.pool);
  SyncLoop deletes_;
  SyncLoop orphans_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<GarbageCollector>(context); }

}  // namespace km::controllers::garbagecollector
