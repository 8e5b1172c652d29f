#include "client/testing/fake_client.h"

#include <deque>
#include <map>
#include <mutex>

#include "api/selector.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/rand.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "object/patch.h"

namespace km::client {
namespace {

using api::MutableObject;
using api::Object;

GroupResource nameOf(const Target& t) { return {t.resource->group, t.resource->name}; }

std::string keyOf(std::string_view ns, std::string_view name) {
  return ns.empty() ? std::string(name) : std::string(ns).append("/").append(name);
}

bool hasStatusSubresource(const api::Resource& r) {
  for (const api::Subresource& s : r.subresources) {
    if (s.name == "status") return true;
  }
  return false;
}

// Gives `to` the field of `from`, if the type has it.
void takeField(Object& to, const Object& from, std::string_view name) {
  const codec::Field* f = to.type().find(name);
  if (f == nullptr) return;
  codec::destroyField(to.data(), *f);
  codec::copyField(to.data(), from.data(), *f);
}

bool sameField(const Object& a, const Object& b, std::string_view name) {
  const codec::Field* f = a.type().find(name);
  return f == nullptr || codec::equalField(a.data(), b.data(), *f);
}

// What a list or watch selects.
struct Selection {
  std::string ns, name;
  api::LabelSelector labels;
  api::FieldSelector fields;
  bool matches(const Object& o) const {
    if (!ns.empty() && o.ns() != ns) return false;
    if (!name.empty() && o.name() != name) return false;
    return labels.matches(o.meta().labels) &&
           fields.matches([&](std::string_view path) { return api::fieldText(o.data(), o.type(), path); });
  }
};

Result<Selection> selectionOf(const Target& t, const ListOptions& options) {
  Selection s;
  s.ns = t.ns;
  s.name = t.name;
  KM_ASSIGN(s.labels, api::LabelSelector::parse(options.labelSelector));
  KM_ASSIGN(s.fields, api::FieldSelector::parse(options.fieldSelector));
  return s;
}

struct Watcher {
  const api::Resource* resource = nullptr;
  Selection selection;
  std::shared_ptr<WatchSink> sink;
  std::recursive_mutex mutex;  // held during a call
  bool closed = false;

  void event(const WatchEvent& e) {
    std::lock_guard lock(mutex);
    if (!closed) sink->onEvent(e);
  }
  void end(const Status& why) {
    std::lock_guard lock(mutex);
    if (closed) return;
    closed = true;
    sink->onEnd(why);
  }
};

}  // namespace

struct FakeClient::Core {
  explicit Core(Clock& c) : clock(c) {}
  Clock& clock;
  mutable std::mutex mutex;
  std::map<const api::Resource*, std::map<std::string, ObjectPtr>> objects;
  int64_t version = 100;
  int64_t oldest = 100;  // watches from before are expired
  struct Change {
    const api::Resource* resource;
    ObjectPtr before, now;  // null: did not or does not exist
    int64_t version;
  };
  std::vector<Change> history;
  std::vector<std::shared_ptr<Watcher>> watchers;
  std::deque<std::function<void()>> deliveries;
  bool delivering = false;
  std::vector<std::string> actions;
  Reactor reactor;

  // Calls sinks in the order of the writes, by one thread at a time, without the mutex.
  void deliver() {
    std::unique_lock lock(mutex);
    if (delivering) return;
    delivering = true;
    while (!deliveries.empty()) {
      auto next = std::move(deliveries.front());
      deliveries.pop_front();
      lock.unlock();
      next();
      lock.lock();
    }
    delivering = false;
  }

  static void tell(const std::shared_ptr<Watcher>& w, const Change& c, std::deque<std::function<void()>>& out) {
    bool was = c.before && w->selection.matches(*c.before);
    bool is = c.now && w->selection.matches(*c.now);
    if (!was && !is) return;
    WatchEvent e{!was ? EventType::kAdded : is ? EventType::kModified : EventType::kDeleted, c.now ? c.now : c.before, {}};
    if (e.type == EventType::kDeleted) {  // carries the version of its deletion
      MutableObject last = e.object->clone();
      last->meta().resourceVersion = std::to_string(c.version);
      e.object = last;
    }
    out.push_back([w, e] { w->event(e); });
  }

  void record(const api::Resource* resource, ObjectPtr before, ObjectPtr now) {
    Change c{resource, std::move(before), std::move(now), version};
    for (auto& w : watchers) {
      if (w->resource == resource) tell(w, c, deliveries);
    }
    history.push_back(std::move(c));
  }

  ObjectPtr find(const Target& t) const {
    auto all = objects.find(t.resource);
    if (all == objects.end()) return nullptr;
    auto it = all->second.find(keyOf(t.ns, t.name));
    return it == all->second.end() ? nullptr : it->second;
  }

  ObjectPtr store(const api::Resource* resource, MutableObject object) {
    object->meta().resourceVersion = std::to_string(++version);
    ObjectPtr now = object;
    ObjectPtr& slot = objects[resource][now->key()];
    ObjectPtr before = slot;
    slot = now;
    record(resource, before, now);
    return now;
  }

  void erase(const api::Resource* resource, const ObjectPtr& object) {
    ++version;
    objects[resource].erase(object->key());
    record(resource, object, nullptr);
  }

  Status react(std::string_view verb, const Target& t, const ObjectPtr& object) {
    Reactor r;
    {
      std::lock_guard lock(mutex);
      r = reactor;
      if (verb != "get" && verb != "list" && verb != "watch") {
        std::string name = !t.name.empty() ? t.name : object ? std::string(object->name()) : "";
        actions.push_back(std::string(verb) + " " + std::string(t.resource->name) +
                          (t.subresource.empty() ? "" : "/" + t.subresource) + " " + keyOf(t.ns, name));
      }
    }
    return r ? r(verb, t, object) : Status();
  }

  Result<ObjectPtr> create(const Target& t, const ObjectPtr& given) {
    std::lock_guard lock(mutex);
    if (t.subresource == "eviction") {
      ObjectPtr o = find(t);
      if (!o) return errors::notFound(nameOf(t), t.name);
      KM_TRY(removeLocked(t, o, {}));
      return given;
    }
    MutableObject o = given->clone();
    auto& meta = o->meta();
    if (!t.ns.empty()) meta.namespace_ = t.ns;
    if (meta.name.empty() && !meta.generateName.empty()) meta.name = meta.generateName.str() + randomSuffix(5);
    if (meta.name.empty()) return errors::badRequest("name or generateName is required");
    if (objects[t.resource].contains(o->key())) return errors::alreadyExists(nameOf(t), meta.name);
    meta.uid = randomUuid();
    meta.creationTimestamp = codec::Time(clock.now());
    meta.deletionTimestamp.reset();
    meta.generation = 1;
    return store(t.resource, o);
  }

  Result<ObjectPtr> update(const Target& t, const ObjectPtr& given, bool patched) {
    std::lock_guard lock(mutex);
    Target at = t;
    if (at.name.empty()) at.name = given->name();
    if (at.ns.empty()) at.ns = given->ns();
    return updateLocked(at, given);
  }

  Result<ObjectPtr> updateLocked(const Target& at, const ObjectPtr& given) {
    ObjectPtr old = find(at);
    if (!old) return errors::notFound(nameOf(at), at.name);
    const auto& oldMeta = old->meta();
    MutableObject o = given->clone();
    auto& meta = o->meta();
    if (!meta.uid.empty() && meta.uid != oldMeta.uid) {
      return errors::conflict(nameOf(at), at.name, "Precondition failed: UID in precondition: " + meta.uid.str() +
                                                       ", UID in object meta: " + oldMeta.uid.str());
    }
    if (!meta.resourceVersion.empty() && meta.resourceVersion != oldMeta.resourceVersion) {
      return errors::conflict(nameOf(at), at.name,
                              "the object has been modified; please apply your changes to the latest version and try again");
    }
    meta.uid = oldMeta.uid;
    meta.creationTimestamp = oldMeta.creationTimestamp;
    meta.deletionTimestamp = oldMeta.deletionTimestamp;
    meta.deletionGracePeriodSeconds = oldMeta.deletionGracePeriodSeconds;
    meta.generation = oldMeta.generation;
    bool ownStatus = hasStatusSubresource(*at.resource);
    if (at.subresource == "status") {
      takeField(*o, *old, "spec");
      meta.labels = oldMeta.labels;
      meta.ownerReferences = oldMeta.ownerReferences;
      meta.finalizers = oldMeta.finalizers;
    } else if (ownStatus) {
      takeField(*o, *old, "status");
    }
    if (!sameField(*o, *old, "spec")) meta.generation++;
    meta.resourceVersion = oldMeta.resourceVersion;
    if (codec::equal(o->data(), old->data(), o->type())) return old;
    if (meta.deletionTimestamp && mayGo(*o)) {
      erase(at.resource, old);
      return ObjectPtr(o);
    }
    return store(at.resource, o);
  }

  // Nothing holds back an object whose deletion was asked for.
  static bool mayGo(const Object& o) {
    if (!o.meta().finalizers.empty()) return false;
    if (o.is(api::core_v1::Namespace::kType)) return o.as<api::core_v1::Namespace>().spec.finalizers.empty();
    return o.meta().deletionGracePeriodSeconds.value_or(0) == 0;
  }

  Status remove(const Target& t, const DeleteOptions& options) {
    std::lock_guard lock(mutex);
    ObjectPtr o = find(t);
    if (!o) return errors::notFound(nameOf(t), t.name);
    return removeLocked(t, o, options);
  }

  Status removeLocked(const Target& t, const ObjectPtr& old, const DeleteOptions& options) {
    const auto& m = old->meta();
    if (!options.uid.empty() && m.uid != options.uid) {
      return errors::conflict(nameOf(t), t.name,
                              "the UID in the precondition (" + options.uid + ") does not match the UID in record (" +
                                  m.uid.str() + "). The object might have been deleted and then recreated");
    }
    if (!options.resourceVersion.empty() && m.resourceVersion != options.resourceVersion) {
      return errors::conflict(nameOf(t), t.name,
                              "the ResourceVersion in the precondition (" + options.resourceVersion +
                                  ") does not match the ResourceVersion in record (" + m.resourceVersion.str() +
                                  "). The object might have been modified");
    }
    MutableObject o = old->clone();
    auto& meta = o->meta();
    int64_t grace = 0;
    if (o->is(api::core_v1::Pod::kType)) grace = podGrace(o->as<api::core_v1::Pod>(), options);
    auto& f = meta.finalizers;
    f.eraseIf([](const codec::String& s) { return s == "foregroundDeletion" || s == "orphan"; });
    if (options.propagationPolicy == "Foreground") f.push_back("foregroundDeletion");
    if (options.propagationPolicy == "Orphan") f.push_back("orphan");
    if (options.propagationPolicy.empty()) f = m.finalizers;
    WallTime now = clock.now();
    if (!meta.deletionTimestamp || grace < meta.deletionGracePeriodSeconds.value_or(0)) {
      if (!meta.deletionTimestamp) meta.generation++;
      meta.deletionTimestamp = codec::Time(now.seconds + grace);
      meta.deletionGracePeriodSeconds = grace;
    }
    if (o->is(api::core_v1::Namespace::kType)) {
      o->as<api::core_v1::Namespace>().status.phase = "Terminating";
    }
    if (mayGo(*o)) {
      erase(t.resource, old);
    } else if (!codec::equal(o->data(), old->data(), o->type())) {
      store(t.resource, o);
    }
    return {};
  }

  static int64_t podGrace(const api::core_v1::Pod& pod, const DeleteOptions& options) {
    if (pod.spec.nodeName.empty() || pod.status.phase == "Failed" || pod.status.phase == "Succeeded") return 0;
    if (options.gracePeriodSeconds) return *options.gracePeriodSeconds;
    return pod.spec.terminationGracePeriodSeconds.value_or(30);
  }

  Result<ObjectPtr> patch(const Target& t, PatchType type, const std::string& body) {
    std::lock_guard lock(mutex);
    ObjectPtr old = find(t);
    if (!old) return errors::notFound(nameOf(t), t.name);
    object::PatchKind kind = type == PatchType::kJson    ? object::PatchKind::kJson
                             : type == PatchType::kMerge ? object::PatchKind::kMerge
                                                         : object::PatchKind::kStrategicMerge;
    if (type == PatchType::kApply) return errors::unsupportedMediaType("the fake client does not apply");
    KM_ASSIGN(auto patched, object::applyPatch(kind, *old, body, nullptr));
    return updateLocked(t, patched);
  }
};

namespace {

class FakeWatch : public Watch {
 public:
  FakeWatch(std::shared_ptr<FakeClient::Core> core, std::shared_ptr<Watcher> watcher)
      : core_(std::move(core)), watcher_(std::move(watcher)) {}
  ~FakeWatch() override {
    {
      std::lock_guard lock(core_->mutex);
      std::erase(core_->watchers, watcher_);
    }
    std::lock_guard lock(watcher_->mutex);
    watcher_->closed = true;
  }

 private:
  std::shared_ptr<FakeClient::Core> core_;
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace

FakeClient::FakeClient(Clock& clock) : core_(std::make_shared<Core>(clock)) {}
FakeClient::~FakeClient() = default;

void FakeClient::get(const Target& t, ObjectCallback done) {
  if (Status s = core_->react("get", t, nullptr); !s.ok()) return done(s);
  ObjectPtr o;
  {
    std::lock_guard lock(core_->mutex);
    o = core_->find(t);
  }
  if (!o) return done(errors::notFound(nameOf(t), t.name));
  done(o);
}

void FakeClient::list(const Target& t, const ListOptions& options, ListCallback done) {
  if (Status s = core_->react("list", t, nullptr); !s.ok()) return done(s);
  auto selection = selectionOf(t, options);
  if (!selection.ok()) return done(selection.status());
  ObjectList out;
  {
    std::lock_guard lock(core_->mutex);
    out.resourceVersion = core_->version;
    for (const auto& [key, o] : core_->objects[t.resource]) {
      if (selection->matches(*o)) out.items.push_back(o);
    }
  }
  done(std::move(out));
}

std::unique_ptr<Watch> FakeClient::watch(const Target& t, const ListOptions& options, std::shared_ptr<WatchSink> sink) {
  auto w = std::make_shared<Watcher>();
  w->resource = t.resource;
  w->sink = std::move(sink);
  Status refused = core_->react("watch", t, nullptr);
  auto selection = selectionOf(t, options);
  if (refused.ok() && !selection.ok()) refused = selection.status();
  int64_t from = parseInt64(options.resourceVersion).value_or(0);
  {
    std::lock_guard lock(core_->mutex);
    if (refused.ok() && from != 0 && from < core_->oldest) refused = errors::expired("too old resource version");
    if (!refused.ok()) {
      core_->deliveries.push_back([w, refused] { w->end(refused); });
    } else {
      w->selection = std::move(*selection);
      if (from == 0) {
        for (const auto& [key, o] : core_->objects[t.resource]) {
          if (w->selection.matches(*o)) core_->deliveries.push_back([w, o = o] { w->event({EventType::kAdded, o, {}}); });
        }
      } else {
        for (const Core::Change& c : core_->history) {
          if (c.version > from && c.resource == t.resource) Core::tell(w, c, core_->deliveries);
        }
      }
      core_->watchers.push_back(w);
    }
  }
  core_->deliver();
  return std::make_unique<FakeWatch>(core_, w);
}

void FakeClient::create(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) {
  Status refused = core_->react("create", t, object);
  Result<ObjectPtr> r = refused.ok() ? core_->create(t, object) : Result<ObjectPtr>(refused);
  core_->deliver();
  done(std::move(r));
}

void FakeClient::update(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) {
  Status refused = core_->react("update", t, object);
  Result<ObjectPtr> r = refused.ok() ? core_->update(t, object, false) : Result<ObjectPtr>(refused);
  core_->deliver();
  done(std::move(r));
}

void FakeClient::patch(const Target& t, PatchType type, std::string body, const WriteOptions& options,
                       ObjectCallback done) {
  Status refused = core_->react("patch", t, nullptr);
  Result<ObjectPtr> r = refused.ok() ? core_->patch(t, type, body) : Result<ObjectPtr>(refused);
  core_->deliver();
  done(std::move(r));
}

void FakeClient::remove(const Target& t, const DeleteOptions& options, StatusCallback done) {
  Status s = core_->react("delete", t, nullptr);
  if (s.ok()) s = core_->remove(t, options);
  core_->deliver();
  done(s);
}

void FakeClient::removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options,
                                  StatusCallback done) {
  Status s = core_->react("deletecollection", t, nullptr);
  auto selection = selectionOf(t, which);
  if (s.ok() && !selection.ok()) s = selection.status();
  if (s.ok()) {
    std::lock_guard lock(core_->mutex);
    std::vector<ObjectPtr> victims;
    for (const auto& [key, o] : core_->objects[t.resource]) {
      if (selection->matches(*o)) victims.push_back(o);
    }
    for (const ObjectPtr& o : victims) {
      Target one = t;
      one.ns = o->ns();
      one.name = o->name();
      s = core_->removeLocked(one, o, options);
      if (!s.ok()) break;
    }
  }
  core_->deliver();
  done(s);
}

ObjectPtr FakeClient::putObject(ObjectPtr object) {
  const api::Resource* resource = target(object->type()).resource;
  {
    std::lock_guard lock(core_->mutex);
    MutableObject o = object->clone();
    if (o->meta().uid.empty()) o->meta().uid = randomUuid();
    if (o->meta().creationTimestamp.isZero()) o->meta().creationTimestamp = codec::Time(core_->clock.now());
    if (o->meta().generation == 0) o->meta().generation = 1;
    object = core_->store(resource, o);
  }
  core_->deliver();
  return object;
}

ObjectPtr FakeClient::findObject(const codec::TypeInfo& type, std::string_view ns, std::string_view name) const {
  std::lock_guard lock(core_->mutex);
  return core_->find(target(type, ns, name));
}

std::vector<ObjectPtr> FakeClient::allObjects(const codec::TypeInfo& type, std::string_view ns) const {
  std::lock_guard lock(core_->mutex);
  std::vector<ObjectPtr> out;
  for (const auto& [key, o] : core_->objects[target(type).resource]) {
    if (ns.empty() || o->ns() == ns) out.push_back(o);
  }
  return out;
}

std::vector<std::string> FakeClient::actions() const {
  std::lock_guard lock(core_->mutex);
  return core_->actions;
}

void FakeClient::clearActions() {
  std::lock_guard lock(core_->mutex);
  core_->actions.clear();
}

void FakeClient::setReactor(Reactor reactor) {
  std::lock_guard lock(core_->mutex);
  core_->reactor = std::move(reactor);
}

void FakeClient::expireWatches() {
  {
    std::lock_guard lock(core_->mutex);
    core_->oldest = ++core_->version;
    core_->history.clear();
    for (auto& w : core_->watchers) {
      core_->deliveries.push_back([w] {
        w->event({EventType::kError, nullptr, errors::expired("too old resource version")});
        w->end({});
      });
    }
    core_->watchers.clear();
  }
  core_->deliver();
}

void FakeClient::endWatches() {
  {
    std::lock_guard lock(core_->mutex);
    for (auto& w : core_->watchers) core_->deliveries.push_back([w] { w->end({}); });
    core_->watchers.clear();
  }
  core_->deliver();
}

size_t FakeClient::watchCount() const {
  std::lock_guard lock(core_->mutex);
  return core_->watchers.size();
}

}  // namespace km::client
