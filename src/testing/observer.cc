#include "testing/observer.h"

#include <fmt/format.h>

#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "cache/event.h"
#include "codec/proto.h"
#include "testing/threads.h"
#include "testing/trace.h"

namespace km::testing {
namespace {

struct Kind {
  std::string_view prefix;
  const codec::TypeInfo* type;
};

std::span<const Kind> kindTable() {
  using namespace api;
  static const Kind kKinds[] = {{"/registry/pods/", &core_v1::Pod::kType},
                                {"/registry/replicasets/", &apps_v1::ReplicaSet::kType},
                                {"/registry/deployments/", &apps_v1::Deployment::kType},
                                {"/registry/services/specs/", &core_v1::Service::kType},
                                {"/registry/services/endpoints/", &core_v1::Endpoints::kType},
                                {"/registry/endpointslices/", &discovery_v1::EndpointSlice::kType},
                                {"/registry/resourcequotas/", &core_v1::ResourceQuota::kType},
                                {"/registry/namespaces/", &core_v1::Namespace::kType},
                                {"/registry/minions/", &core_v1::Node::kType},
                                {"/registry/configmaps/", &core_v1::ConfigMap::kType},
                                {"/registry/serviceaccounts/", &core_v1::ServiceAccount::kType}};
  return kKinds;
}

const Kind* kindOf(std::string_view key) {
  for (const Kind& k : kindTable()) {
    if (key.starts_with(k.prefix)) return &k;
  }
  return nullptr;
}

ObjectPtr objectOf(const codec::TypeInfo& type, const store::Event& event) {
  // Its resourceVersion is set by the cache, which hears of it after us.
  if (event.attachment) {
    auto o = std::static_pointer_cast<const api::Object>(event.attachment);
    return o->is(type) ? o : nullptr;
  }
  api::MutableObject o = api::Object::make(type);
  auto envelope = codec::openEnvelope(*event.kv.value);
  if (!envelope.ok() || !codec::decodeProto(envelope->raw, o->data(), type).ok()) return nullptr;
  o->meta().resourceVersion = std::to_string(event.revision());
  return o;
}

}  // namespace

std::string_view describeChange(const Change& c) {
  static char room[4096];
  size_t used = 0;
  auto add = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    used = static_cast<size_t>(fmt::format_to_n(room + used, sizeof room - used, format, std::forward<Args>(args)...).out - room);
  };
  using namespace api;
  if (!c.now) return {};
  if (c.now->meta().deletionTimestamp) add(" (being deleted)");
  if (c.now->is(core_v1::Pod::kType)) {
    const auto& p = c.now->as<core_v1::Pod>();
    add(" on {} {}", p.spec.nodeName.view(), p.status.phase.view());
    for (const auto& condition : p.status.conditions) {
      if (condition.type == "Ready") add("{}", condition.status == "True" ? " ready" : " unready");
    }
  } else if (c.now->is(apps_v1::ReplicaSet::kType)) {
    const auto& r = c.now->as<apps_v1::ReplicaSet>();
    add(" wants {} has {} ready {} available {}", r.spec.replicas.value_or(1), r.status.replicas, r.status.readyReplicas, r.status.availableReplicas);
  } else if (c.now->is(apps_v1::Deployment::kType)) {
    const auto& d = c.now->as<apps_v1::Deployment>();
    add(" wants {} generation {} observed {} has {} updated {} available {}", d.spec.replicas.value_or(1), d.metadata.generation, d.status.observedGeneration, d.status.replicas,
                       d.status.updatedReplicas, d.status.availableReplicas);
  } else if (c.now->is(core_v1::Node::kType)) {
    const auto& n = c.now->as<core_v1::Node>();
    for (const auto& condition : n.status.conditions) {
      if (condition.type == "Ready") add(" ready {}", condition.status.view());
    }
    for (const auto& t : n.spec.taints) add(" {}:{}", t.key.view(), t.effect.view());
  } else if (c.now->is(core_v1::ResourceQuota::kType)) {
    const auto& q = c.now->as<core_v1::ResourceQuota>();
    for (const auto& [name, amount] : q.status.used) add(" {} {}", name.view(), amount.value());
  }
  return {room, used};
}

Observer::Observer() {
  for (const Kind& k : kindTable()) objects_[k.type];
}
Observer::~Observer() = default;

void Observer::opened(store::Store& store) {
  if (auto now = store.currentRevision(); now.ok() && *now < revision_) {
    violated(fmt::format("the store stands at {} after a restart, but had given revision {}", *now, revision_));
  }
  watch_ = store.watch("/", revision_ + 1, *this);
}
void Observer::closing() { watch_.reset(); }
void Observer::storeKilled() { (void)watch_.release(); }

void Observer::violated(std::string what) {
  KM_TRACE("VIOLATED: {}", what);
  if (violation_.empty()) violation_ = fmt::format("at {:.3f} s, revision {}: {}", std::chrono::duration<double>(playedTime()).count(), revision_, what);
}

std::vector<const codec::TypeInfo*> Observer::kinds() const {
  std::vector<const codec::TypeInfo*> out;
  for (const Kind& k : kindTable()) out.push_back(k.type);
  return out;
}

bool Observer::knows(std::string_view uid, int64_t revision) const { return versions_.contains({revision, std::string(uid)}); }

void Observer::onEvents(std::span<const store::EventPtr> events) {
  for (const auto& e : events) take(*e);
}

void Observer::onError(const Status& status) { violated("the store's watch ended: " + status.message()); }

void Observer::take(const store::Event& event) {
  if (event.revision() <= revision_) violated(fmt::format("the store gave revision {} after {}", event.revision(), revision_));
  revision_ = event.revision();
  const std::string& key = event.kv.key;
  Change c{.revision = revision_, .key = key, .removed = event.type == store::EventType::kDelete};
  bool was = keys_.contains(key);
  if (c.removed ? !was : was != (event.kv.version > 1)) violated(fmt::format("{} of {} {}", c.removed ? "a delete" : "a put", was ? "the present" : "the absent", key));
  if (c.removed) {
    keys_.erase(key);
  } else {
    keys_[key] = revision_;
  }
  if (const Kind* kind = kindOf(key)) {
    auto& of = objects_[kind->type];
    std::string name = key.substr(kind->prefix.size());
    auto it = of.find(name);
    if (it != of.end()) c.before = it->second;
    if (!c.removed) {
      c.now = objectOf(*kind->type, event);
      if (!c.now) return violated("the value of " + key + " cannot be read");
      of[name] = c.now;
      versions_.emplace(revision_, c.now->meta().uid.str());
    } else if (it != of.end()) {
      of.erase(it);
    }
  }
  for (auto& listener : listeners_) listener(c);
}

}  // namespace km::testing
