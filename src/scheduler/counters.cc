#include "scheduler/counters.h"

#include <algorithm>
#include <climits>

namespace km::scheduler {

TopologyCounts::TopologyCounts(PodCounter& counter, NodeTable& nodes, std::string key,
                               std::string topologyKey, Eligible eligible)
    : counter_(counter),
      nodes_(nodes),
      key_(std::move(key)),
      column_(nodes.label(topologyKey)),
      eligible_(std::move(eligible)) {
  rebuild();
}

void TopologyCounts::rebuild() {
  layout_ = nodes_.layout();
  counts_.assign(nodes_.slots(), 0);
  sums_.assign(column_.count, 0);
  nodeCount_.assign(column_.count, 0);
  domains_ = 0;
  atLeast_ = 0;
  all_ = 0;
  for (NodeId id = 0; id < nodes_.slots(); id++) {
    if (!nodes_.exists(id) || (eligible_ ? !eligible_(id) : column_.value[id] == 0)) continue;
    counts_[id] = 1;
    uint32_t value = column_.value[id];
    if (nodeCount_[value]++ == 0) domains_++;
    sums_[value] += counter_.on(id);
    all_ += counter_.on(id);
  }
}

int32_t TopologyCounts::least() {
  if (atLeast_ > 0) return least_;
  least_ = INT32_MAX;
  for (size_t v = 0; v < sums_.size(); v++) {
    if (nodeCount_[v] == 0 || sums_[v] > least_) continue;
    atLeast_ = sums_[v] == least_ ? atLeast_ + 1 : 1;
    least_ = sums_[v];
  }
  return least_;
}

void TopologyCounts::add(NodeId id, int32_t delta) {
  if (layout_ != nodes_.layout() || id >= counts_.size() || counts_[id] == 0) return;
  int32_t& sum = sums_[column_.value[id]];
  if (atLeast_ > 0) {
    if (sum == least_) atLeast_--;
    if (sum + delta < least_) {
      least_ = sum + delta;
      atLeast_ = 1;
    } else if (sum + delta == least_) {
      atLeast_++;
    }
  }
  sum += delta;
  all_ += delta;
}

bool PodCounter::matches(std::string_view ns, const Labels& labels, const Namespaces& namespaces) const {
  return !all_.empty() && std::all_of(all_.begin(), all_.end(), [&](const PodSelection& s) {
    return s.matches(ns, labels, namespaces);
  });
}

bool PodCounter::usesNamespaceLabels() const {
  return std::any_of(all_.begin(), all_.end(),
                     [](const PodSelection& s) { return s.namespaceSelector.has_value(); });
}

void PodCounter::add(NodeId id, int32_t delta) {
  if (id >= onNode_.size()) onNode_.resize(id + 1);
  // The sums first: one that is made anew meanwhile reads the nodes.
  for (size_t i = 0; i < sums_.size();) {
    auto s = sums_[i].lock();
    if (!s) {
      sums_.erase(sums_.begin() + static_cast<long>(i));
      continue;
    }
    s->add(id, delta);
    i++;
  }
  onNode_[id] += delta;
  total_ += delta;
}

void PodCounter::clear() {
  for (NodeId id = 0; id < onNode_.size(); id++) {
    if (onNode_[id] != 0) add(id, -onNode_[id]);
  }
}

std::shared_ptr<TopologyCounts> PodCounter::over(NodeTable& nodes, const std::string& topologyKey,
                                                 const std::string& eligibleKey,
                                                 TopologyCounts::Eligible eligible) {
  std::string key = topologyKey + '\n' + eligibleKey;
  for (const auto& w : sums_) {
    if (auto s = w.lock(); s && s->key() == key) return s;
  }
  auto s = std::make_shared<TopologyCounts>(*this, nodes, std::move(key), topologyKey, std::move(eligible));
  sums_.push_back(s);
  return s;
}

}  // namespace km::scheduler
