#include "testing/rest.h"

#include <fmt/format.h>

#include <set>

#include "api/selector.h"
#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "client/informer.h"
#include "testing/invariants.h"

namespace km::testing {

using namespace api::apps_v1;
using namespace api::core_v1;
using api::discovery_v1::EndpointSlice;

namespace {

std::string keyOf(const api::meta_v1::ObjectMeta& m) { return fmt::format("{}/{}", m.namespace_.view(), m.name.view()); }

std::string nodesUnrest(const Observer& o, size_t count) {
  if (o.all<Node>().size() != count) return fmt::format("{} nodes of {}", o.all<Node>().size(), count);
  for (const auto& [key, object] : o.all<Node>()) {
    const Node& n = object->as<Node>();
    bool ready = false;
    for (const auto& c : n.status.conditions) ready |= c.type == "Ready" && c.status == "True";
    if (!ready) return fmt::format("node {} is not ready", key);
    if (!n.spec.taints.empty()) return fmt::format("node {} has the taint {}", key, n.spec.taints[0].key.view());
    if (n.spec.podCIDR.empty()) return fmt::format("node {} has no range", key);
  }
  return {};
}

std::string namespacesUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<Namespace>()) {
    if (object->meta().deletionTimestamp) return fmt::format("namespace {} is being deleted", key);
    if (!o.find<ServiceAccount>(key, "default")) return fmt::format("namespace {} has no default account", key);
    if (!o.find<ConfigMap>(key, "kube-root-ca.crt")) return fmt::format("namespace {} has no root CA", key);
  }
  return {};
}

// Owners that are there, or none.
template <typename T>
std::string ownersUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<T>()) {
    if (object->meta().deletionTimestamp) return fmt::format("{} {} is being deleted", object->kind(), key);
    for (const auto& r : object->meta().ownerReferences) {
      const api::meta_v1::ObjectMeta* owner = nullptr;
      auto look = [&](const auto& found) { owner = found ? &found->metadata : nullptr; };
      if (r.kind == "ReplicaSet") look(o.find<ReplicaSet>(object->ns(), r.name.view()));
      if (r.kind == "Deployment") look(o.find<Deployment>(object->ns(), r.name.view()));
      if (r.kind == "Service") look(o.find<Service>(object->ns(), r.name.view()));
      if (r.kind == "Endpoints") look(o.find<Endpoints>(object->ns(), r.name.view()));
      if (owner == nullptr || owner->uid != r.uid) return fmt::format("{} {} is an orphan of {} {}", object->kind(), key, r.kind.view(), r.name.view());
    }
  }
  return {};
}

std::string podsUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<Pod>()) {
    const Pod& p = object->as<Pod>();
    if (p.spec.nodeName.empty()) return fmt::format("pod {} has no node", key);
    if (!o.find<Node>("", p.spec.nodeName.view())) return fmt::format("pod {} is on node {}, which is gone", key, p.spec.nodeName.view());
    if (p.status.phase == "Failed") continue;  // refused by its node; its set has made another
    if (!isReady(p)) return fmt::format("pod {} is {} and not ready", key, p.status.phase.view());
  }
  return {};
}

std::string setsUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<ReplicaSet>()) {
    const ReplicaSet& r = object->as<ReplicaSet>();
    int wanted = r.spec.replicas.value_or(1), has = 0;
    for (const auto& [podKey, podObject] : o.all<Pod>()) {
      const auto* owner = controllerOf(podObject->meta());
      has += owner != nullptr && owner->uid == r.metadata.uid && isActive(podObject->as<Pod>());
    }
    if (has != wanted) return fmt::format("replica set {} wants {} pods and has {}", key, wanted, has);
    if (r.status.observedGeneration != r.metadata.generation) return fmt::format("replica set {} is not observed", key);
    if (r.status.replicas != wanted || r.status.readyReplicas != wanted || r.status.availableReplicas != wanted) {
      return fmt::format("replica set {} says {} replicas, {} ready, {} available of {}", key, r.status.replicas, r.status.readyReplicas, r.status.availableReplicas, wanted);
    }
  }
  return {};
}

std::string deploymentsUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<Deployment>()) {
    const Deployment& d = object->as<Deployment>();
    int wanted = d.spec.replicas.value_or(1), total = 0, old = 0;
    for (const auto& [setKey, setObject] : o.all<ReplicaSet>()) {
      const ReplicaSet& r = setObject->as<ReplicaSet>();
      const auto* owner = controllerOf(r.metadata);
      if (owner == nullptr || owner->uid != d.metadata.uid) continue;
      total += r.spec.replicas.value_or(1);
      old += r.spec.replicas.value_or(1) == 0;
    }
    const auto& s = d.status;
    if (s.observedGeneration != d.metadata.generation) return fmt::format("deployment {} is not observed", key);
    if (total != wanted || s.replicas != wanted || s.updatedReplicas != wanted || s.availableReplicas != wanted || s.unavailableReplicas != 0) {
      return fmt::format("deployment {} wants {}: its sets {}, replicas {}, updated {}, available {}", key, wanted, total, s.replicas, s.updatedReplicas, s.availableReplicas);
    }
    if (wanted > 0 && old > d.spec.revisionHistoryLimit.value_or(10)) return fmt::format("deployment {} keeps {} old sets", key, old);
  }
  return {};
}

std::string servicesUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<Service>()) {
    const Service& s = object->as<Service>();
    if (s.spec.selector.empty()) continue;
    std::set<std::string> wanted, inSlices, inEndpoints;
    for (const auto& [podKey, podObject] : o.all<Pod>()) {
      const Pod& p = podObject->as<Pod>();
      const auto* app = p.metadata.labels.find("app");
      if (podObject->ns() == object->ns() && app != nullptr && *app == s.spec.selector.get("app") && isActive(p)) wanted.insert(p.status.podIP.str());
    }
    for (const auto& [sliceKey, sliceObject] : o.all<EndpointSlice>()) {
      const EndpointSlice& slice = sliceObject->as<EndpointSlice>();
      if (sliceObject->ns() != object->ns() || slice.metadata.labels.get("kubernetes.io/service-name") != s.metadata.name) continue;
      for (const auto& e : slice.endpoints) {
        if (!e.conditions.ready || *e.conditions.ready) inSlices.insert(e.addresses[0].str());
      }
    }
    if (auto e = o.find<Endpoints>(object->ns(), object->name())) {
      for (const auto& subset : e->subsets) {
        for (const auto& a : subset.addresses) inEndpoints.insert(a.ip.str());
      }
    }
    if (inSlices != wanted) return fmt::format("service {} has {} ready endpoints in slices of {}", key, inSlices.size(), wanted.size());
    if (inEndpoints != wanted) return fmt::format("service {} has {} endpoints of {}", key, inEndpoints.size(), wanted.size());
  }
  return {};
}

std::string quotasUnrest(const Observer& o) {
  for (const auto& [key, object] : o.all<ResourceQuota>()) {
    const ResourceQuota& q = object->as<ResourceQuota>();
    auto count = [&](const auto& all) {
      int64_t n = 0;
      for (const auto& [k, other] : all) n += other->ns() == object->ns();
      return n;
    };
    auto livePods = [&] {
      int64_t n = 0;
      for (const auto& [k, p] : o.all<Pod>()) n += p->ns() == object->ns() && p->as<Pod>().status.phase != "Failed" && p->as<Pod>().status.phase != "Succeeded";
      return n;
    };
    for (const auto& [name, hard] : q.spec.hard) {
      const auto* told = q.status.hard.find(name.view());
      if (told == nullptr || told->value() != hard.value()) return fmt::format("quota {} does not say {}", key, name.view());
      const auto* used = q.status.used.find(name.view());
      int64_t is = name == "pods" ? livePods() : name == "services" ? count(o.all<Service>()) : count(o.all<ReplicaSet>());
      if (used == nullptr || used->value() != is) return fmt::format("quota {} says {} {}, there are {}", key, used == nullptr ? -1 : used->value(), name.view(), is);
    }
  }
  return {};
}

std::string informersDiffer(const char* whose, client::InformerFactory* informers, const Observer& o) {
  if (informers == nullptr) return fmt::format("{} does not run", whose);
  for (const codec::TypeInfo* type : o.kinds()) {
    if (type == &Endpoints::kType || type == &ConfigMap::kType || type == &EndpointSlice::kType) {
      if (std::string_view(whose) == "scheduler") continue;
    }
    const auto& wanted = o.allOf(*type);
    auto& informer = informers->informer(*type);
    if (!informer.hasSynced()) continue;  // nobody asked for it
    if (informer.store().size() != wanted.size()) return fmt::format("{} knows {} of {} {}", whose, informer.store().size(), wanted.size(), type->name);
    for (const auto& [key, object] : wanted) {
      auto has = informer.store().get(key);
      if (!has || has->resourceVersion() != object->resourceVersion()) {
        return fmt::format("{} has {} {} at {}, it is at {}", whose, type->name, key, has ? has->resourceVersion() : 0, object->resourceVersion());
      }
    }
  }
  return {};
}

}  // namespace

std::string unrest(Cluster& cluster) {
  const Observer& o = cluster.observer;
  for (Process* p : cluster.processes) {
    if (!p->isUp()) return p->name() + " does not run";
  }
  if (std::string s = nodesUnrest(o, cluster.nodes.size()); !s.empty()) return s;
  if (std::string s = namespacesUnrest(o); !s.empty()) return s;
  if (std::string s = deploymentsUnrest(o); !s.empty()) return s;
  if (std::string s = setsUnrest(o); !s.empty()) return s;
  if (std::string s = podsUnrest(o); !s.empty()) return s;
  if (std::string s = ownersUnrest<Pod>(o); !s.empty()) return s;
  if (std::string s = ownersUnrest<ReplicaSet>(o); !s.empty()) return s;
  if (std::string s = ownersUnrest<Deployment>(o); !s.empty()) return s;
  if (std::string s = ownersUnrest<EndpointSlice>(o); !s.empty()) return s;
  if (std::string s = servicesUnrest(o); !s.empty()) return s;
  return quotasUnrest(o);
}

std::string difference(Cluster& cluster) {
  const Observer& o = cluster.observer;
  if (std::string s = informersDiffer("controllers", cluster.managers.informers(), o); !s.empty()) return s;
  if (std::string s = informersDiffer("scheduler", cluster.scheduler.informers(), o); !s.empty()) return s;
  for (auto& node : cluster.nodes) {
    std::set<std::string> wanted, has;
    for (const auto& [key, object] : o.all<Pod>()) {
      if (object->as<Pod>().spec.nodeName == node->nodeName() && isActive(object->as<Pod>())) wanted.insert(object->meta().uid.str());
    }
    auto boxes = node->runtime().listPodSandbox();
    for (const auto& b : *boxes) has.insert(b.labels.get("io.kubernetes.pod.uid").str());
    if (wanted != has) return fmt::format("{} has {} pods to run and {} in its runtime", node->nodeName(), wanted.size(), has.size());
  }
  return {};
}

}  // namespace km::testing
