#include "scheduler/cluster.h"

#include <algorithm>

namespace km::scheduler {

using api::core_v1::Pod;

Cluster::~Cluster() {
  ending_ = true;
  recent_.clear();
  pods_.clear();
}

// --- pods ---------------------------------------------------------------------------------------------

void Cluster::count(const PodClass& cls, NodeId node, bool terminating, int32_t delta) {
  for (PodCounter* c : cls.counters) {
    if (!terminating || c->countsTerminating()) c->add(node, delta);
  }
  for (const auto& t : cls.carried) t->carriers.add(node, delta);
}

void Cluster::insert(PodEntry& e) {
  podVersion_++;
  PodClass& c = *e.cls;
  NodeRow& row = nodes_.row(e.node);
  e.onNode = static_cast<uint32_t>(row.pods.size());
  row.pods.push_back(&e);
  e.inClass = static_cast<uint32_t>(c.pods.size());
  c.pods.push_back(&e);
  if (c.pods.size() == 1) carry(c);
  row.ports.insert(row.ports.end(), c.ports.begin(), c.ports.end());
  nodes_.usedCpu[e.node] += c.requests.milliCpu;
  nodes_.usedMemory[e.node] += c.requests.memory;
  nodes_.usedStorage[e.node] += c.requests.ephemeralStorage;
  nodes_.usedCpuNonZero[e.node] += c.nonZero.milliCpu;
  nodes_.usedMemoryNonZero[e.node] += c.nonZero.memory;
  nodes_.podCount[e.node]++;
  for (const auto& [column, v] : c.others) column->requested[e.node] += v;
  for (const auto& k : c.claims) claimUsers_[k]++;
  count(c, e.node, e.terminating, 1);
}

void Cluster::take(PodEntry& e) {
  podVersion_++;
  PodClass& c = *e.cls;
  NodeRow& row = nodes_.row(e.node);
  row.pods[e.onNode] = row.pods.back();
  row.pods[e.onNode]->onNode = e.onNode;
  row.pods.pop_back();
  c.pods[e.inClass] = c.pods.back();
  c.pods[e.inClass]->inClass = e.inClass;
  c.pods.pop_back();
  for (const HostPort& p : c.ports) {
    auto it = std::find(row.ports.begin(), row.ports.end(), p);
    if (it != row.ports.end()) row.ports.erase(it);
  }
  nodes_.usedCpu[e.node] -= c.requests.milliCpu;
  nodes_.usedMemory[e.node] -= c.requests.memory;
  nodes_.usedStorage[e.node] -= c.requests.ephemeralStorage;
  nodes_.usedCpuNonZero[e.node] -= c.nonZero.milliCpu;
  nodes_.usedMemoryNonZero[e.node] -= c.nonZero.memory;
  nodes_.podCount[e.node]--;
  for (const auto& [column, v] : c.others) column->requested[e.node] -= v;
  for (const auto& k : c.claims) {
    if (--claimUsers_[k] == 0) claimUsers_.erase(k);
  }
  count(c, e.node, e.terminating, -1);
}

void Cluster::lift(PodEntry& e) {
  take(e);
}

void Cluster::putBack(PodEntry& e) {
  insert(e);
}

std::unique_ptr<PodEntry> Cluster::place(PodPtr pod, NodeId node) {
  auto e = std::make_unique<PodEntry>();
  e->cls = findOrMakeClass(*pod);
  e->terminating = pod->metadata.deletionTimestamp.has_value();
  e->pod = std::move(pod);
  e->node = node;
  insert(*e);
  return e;
}

void Cluster::setPod(PodPtr pod) {
  std::string uid = pod->metadata.uid.str();
  NodeId node = nodes_.idOf(pod->spec.nodeName.str());
  PodClassPtr cls = findOrMakeClass(*pod);
  bool terminating = pod->metadata.deletionTimestamp.has_value();
  auto& e = pods_[uid];
  if (e && e->node == node && e->cls == cls && e->terminating == terminating) {
    e->pod = std::move(pod);
    if (std::exchange(e->assumed, false)) assumed_--;
    return;
  }
  if (e) {
    NodeId from = e->node;
    take(*e);
    if (e->assumed) assumed_--;
    if (from != node) nodes_.release(from);
  } else {
    e = std::make_unique<PodEntry>();
  }
  e->pod = std::move(pod);
  e->cls = std::move(cls);
  e->node = node;
  e->assumed = false;
  e->terminating = terminating;
  insert(*e);
}

void Cluster::removePod(const std::string& uid) {
  auto it = pods_.find(uid);
  if (it == pods_.end()) return;
  NodeId node = it->second->node;
  take(*it->second);
  if (it->second->assumed) assumed_--;
  pods_.erase(it);
  nodes_.release(node);
}

const PodEntry* Cluster::pod(const std::string& uid) const {
  auto it = pods_.find(uid);
  return it == pods_.end() ? nullptr : it->second.get();
}

void Cluster::assume(PodPtr pod, PodClassPtr cls, NodeId node) {
  auto& e = pods_[pod->metadata.uid.str()];
  if (e) return;
  e = std::make_unique<PodEntry>();
  e->pod = std::move(pod);
  e->cls = std::move(cls);
  e->node = node;
  e->assumed = true;
  assumed_++;
  insert(*e);
}

int Cluster::claimUsers(const std::string& claim) const {
  auto it = claimUsers_.find(claim);
  return it == claimUsers_.end() ? 0 : it->second;
}

void Cluster::forget(const std::string& uid) {
  if (isAssumed(uid)) removePod(uid);
}

bool Cluster::isAssumed(const std::string& uid) const {
  const PodEntry* e = pod(uid);
  return e != nullptr && e->assumed;
}

// --- classes and counters -----------------------------------------------------------------------------

PodClassPtr Cluster::findOrMakeClass(const Pod& pod) {
  std::string key = classKey(pod);
  if (auto it = classes_.find(key); it != classes_.end()) {
    if (auto c = it->second.lock()) return c;
  }
  PodClassPtr c(new PodClass, [this](PodClass* p) { drop(p); });
  c->key = std::move(key);
  c->ns = pod.metadata.namespace_.str();
  c->labels = pod.metadata.labels;
  bool placed = !pod.spec.nodeName.empty();
  c->requests = placed ? placedRequests(pod) : podRequests(pod);
  c->nonZero = placed ? placedRequests(pod, true) : podRequests(pod, true);
  for (const auto& [name, v] : c->requests.others) c->others.emplace_back(&nodes_.resource(name), v);
  c->ports = hostPorts(pod);
  c->terms = affinityTermsOf(pod);
  for (const auto& v : pod.spec.volumes) {
    if (v.persistentVolumeClaim) c->claims.push_back(c->ns + "/" + v.persistentVolumeClaim->claimName.str());
  }
  for (const auto& [k, w] : counters_) {
    auto counter = w.lock();
    if (counter && counter->matches(c->ns, c->labels, namespaces_)) c->counters.push_back(counter.get());
  }
  classes_[c->key] = c;
  return c;
}

PodClassPtr Cluster::classOf(const Pod& pod) {
  PodClassPtr c = findOrMakeClass(pod);
  auto it = std::find(recent_.begin(), recent_.end(), c);
  if (it != recent_.end()) {
    std::rotate(recent_.begin(), it, it + 1);
    return c;
  }
  if (recent_.size() == kRecent) {
    recent_.back()->caches.clear();
    recent_.pop_back();
  }
  recent_.insert(recent_.begin(), c);
  return c;
}

void Cluster::drop(PodClass* cls) {
  if (!ending_) classes_.erase(cls->key);
  delete cls;
}

void Cluster::carry(PodClass& cls) {
  if (!cls.carried.empty() || !cls.terms.any()) return;
  using Kind = CarriedTerm::Kind;
  for (const Term& t : cls.terms.required) cls.carried.push_back(carriedTerm(Kind::kRequired, t, 0));
  for (const Term& t : cls.terms.anti) cls.carried.push_back(carriedTerm(Kind::kAnti, t, 0));
  for (const auto& w : cls.terms.preferred)
    cls.carried.push_back(carriedTerm(Kind::kPreferred, w.term, w.weight));
  for (const auto& w : cls.terms.preferredAnti) {
    cls.carried.push_back(carriedTerm(Kind::kPreferredAnti, w.term, w.weight));
  }
}

std::shared_ptr<CarriedTerm> Cluster::carriedTerm(CarriedTerm::Kind kind, const Term& term, int32_t weight) {
  std::string key =
      std::to_string(static_cast<int>(kind)) + '\n' + std::to_string(weight) + '\n' + term.key();
  auto& known = carriedByKey_[key];
  if (auto t = known.lock()) return t;
  std::shared_ptr<CarriedTerm> t(new CarriedTerm{kind, term, weight, {}, nullptr},
                                 [this, key](CarriedTerm* p) {
                                   if (!ending_) {
                                     carriedByKey_.erase(key);
                                     std::erase(carried_, p);
                                     carriedVersion_++;
                                   }
                                   p->counts.reset();
                                   delete p;
                                 });
  t->counts = t->carriers.over(nodes_, term.topologyKey);
  known = t;
  carried_.push_back(t.get());
  carriedVersion_++;
  return t;
}

std::shared_ptr<PodCounter> Cluster::counter(std::vector<PodSelection> all, bool terminating) {
  std::string key = terminating ? "t" : "f";
  for (const auto& s : all) key.append("\n").append(s.key());
  auto& known = counters_[key];
  if (auto c = known.lock()) return c;
  std::shared_ptr<PodCounter> c(new PodCounter(std::move(all), terminating),
                                [this, key](PodCounter* p) { dropCounter(p, key); });
  known = c;
  for (auto& [k, w] : classes_) {
    auto cls = w.lock();
    if (!cls || !c->matches(cls->ns, cls->labels, namespaces_)) continue;
    cls->counters.push_back(c.get());
    for (const PodEntry* e : cls->pods) {
      if (!e->terminating || terminating) c->add(e->node, 1);
    }
  }
  return c;
}

void Cluster::dropCounter(PodCounter* counter, const std::string& key) {
  if (!ending_) {
    auto it = counters_.find(key);
    if (it != counters_.end() && it->second.expired()) counters_.erase(it);
    for (auto& [k, w] : classes_) {
      if (auto cls = w.lock()) std::erase(cls->counters, counter);
    }
  }
  delete counter;
}

// --- namespaces ---------------------------------------------------------------------------------------

void Cluster::setNamespace(const std::string& name, const Labels& labels) {
  auto [it, isNew] = namespaces_.try_emplace(name, labels);
  if (!isNew && it->second == labels) return;
  it->second = labels;
  resetCounters();
}

void Cluster::removeNamespace(const std::string& name) {
  if (namespaces_.erase(name) != 0) resetCounters();
}

// Whom a term matches by its namespaceSelector may be others now.
void Cluster::resetCounters() {
  carriedVersion_++;
  for (auto& [key, w] : counters_) {
    auto c = w.lock();
    if (!c || !c->usesNamespaceLabels()) continue;
    c->clear();
    for (auto& [k, weak] : classes_) {
      auto cls = weak.lock();
      if (!cls) continue;
      std::erase(cls->counters, c.get());
      if (!c->matches(cls->ns, cls->labels, namespaces_)) continue;
      cls->counters.push_back(c.get());
      for (const PodEntry* e : cls->pods) {
        if (!e->terminating || c->countsTerminating()) c->add(e->node, 1);
      }
    }
  }
}

}  // namespace km::scheduler
