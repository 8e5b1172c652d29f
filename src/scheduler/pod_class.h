// PodClass: what the scheduler needs to know of a pod beside its name; pods that are equal in it share one,
// and share the work that plugins did for it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/counters.h"

namespace km::scheduler {

struct PodEntry;

// What a plugin keeps of a class; in PodClass::caches by the plugin's slot.
struct ClassCache {
  virtual ~ClassCache() = default;
};

// A rule that pods carry and that speaks of the pods which come after them: how many carriers are where.
struct CarriedTerm {
  enum class Kind { kRequired, kAnti, kPreferred, kPreferredAnti };
  Kind kind;
  Term term;
  int32_t weight = 0;  // of the preferred
  PodCounter carriers;
  std::shared_ptr<TopologyCounts> counts;
};

struct PodClass {
  std::string key, ns;
  Labels labels;
  Amounts requests, nonZero;
  std::vector<std::pair<ResourceColumn*, int64_t>> others;  // requests.others, by column and in its order
  std::vector<HostPort> ports;
  AffinityTerms terms;
  std::vector<std::string> claims;  // "namespace/name" of the persistent volume claims that its pods name

  std::vector<PodEntry*> pods;                        // those that are on a node
  std::vector<PodCounter*> counters;                  // that count its pods
  std::vector<std::shared_ptr<CarriedTerm>> carried;  // made with the first pod on a node
  std::vector<std::unique_ptr<ClassCache>> caches;    // by slot of plugin

  template <typename T>
  T* cache(size_t slot) const {
    return slot < caches.size() ? static_cast<T*>(caches[slot].get()) : nullptr;
  }
  template <typename T>
  T& setCache(size_t slot, std::unique_ptr<T> c) {
    if (slot >= caches.size()) caches.resize(slot + 1);
    T& out = *c;
    caches[slot] = std::move(c);
    return out;
  }
};
using PodClassPtr = std::shared_ptr<PodClass>;

// Text that is equal for pods of one class.
std::string classKey(const api::core_v1::Pod& pod);
// Text that is equal for pods that accept the same nodes by selector and node affinity; empty: every node.
std::string nodeAffinityKey(const api::core_v1::Pod& pod);
std::string tolerationsKey(const api::core_v1::Pod& pod);
// The owner that controls the pod, or null.
const api::meta_v1::OwnerReference* controllerOf(const api::meta_v1::ObjectMeta& meta);

}  // namespace km::scheduler
