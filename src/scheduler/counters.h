// Counts of pods that are kept up to date as pods come and go, so that no rule about other pods ever walks
// over pods. Not thread-safe: they live on the scheduler's lane.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/node_table.h"
#include "scheduler/terms.h"

namespace km::scheduler {

class PodCounter;

// A counter's sums over the values of a topology label, of the nodes that count.
class TopologyCounts {
 public:
  // Whether a node counts; asked again when the table's layout moved. Absent: all nodes that have the label.
  using Eligible = std::function<bool(NodeId)>;

  TopologyCounts(PodCounter& counter, NodeTable& nodes, std::string key, std::string topologyKey,
                 Eligible eligible);

  const std::string& key() const { return key_; }
  // To be called before the questions below, once after each change of nodes.
  void refresh() {
    if (layout_ != nodes_.layout()) rebuild();
  }
  // Pods in the node's place; only for nodes that have the label.
  int32_t at(NodeId id) const { return sums_[column_.value[id]]; }
  int32_t ofValue(uint32_t value) const { return sums_[value]; }
  const LabelColumn& column() const { return column_; }
  // Places that have a node which counts, and the least pods in one of them (INT32_MAX without places).
  int32_t domains() const { return domains_; }
  int32_t least();
  // Pods in all places.
  int64_t all() const { return all_; }

  void add(NodeId id, int32_t delta);

 private:
  void rebuild();

  PodCounter& counter_;
  NodeTable& nodes_;
  const std::string key_;
  const LabelColumn& column_;
  const Eligible eligible_;
  std::vector<uint8_t> counts_;     // by NodeId
  std::vector<int32_t> sums_;       // by value
  std::vector<int32_t> nodeCount_;  // by value
  int32_t domains_ = 0;
  int32_t least_ = 0, atLeast_ = 0;  // atLeast_: places that have least_; 0: unknown
  int64_t all_ = 0;
  uint64_t layout_ = 0;
};

// How many pods of a kind each node has.
class PodCounter {
 public:
  // Of the pods that every selection matches. `terminating`: also those that are being deleted.
  PodCounter(std::vector<PodSelection> all, bool terminating)
      : all_(std::move(all)), terminating_(terminating) {}
  // Of pods that are told to it.
  PodCounter() : terminating_(true) {}

  bool matches(std::string_view ns, const Labels& labels, const Namespaces& namespaces) const;
  bool usesNamespaceLabels() const;
  bool countsTerminating() const { return terminating_; }

  int32_t on(NodeId id) const { return id < onNode_.size() ? onNode_[id] : 0; }
  int64_t total() const { return total_; }
  void add(NodeId id, int32_t delta);
  void clear();

  // The sums over a topology label; one object for one `eligibleKey`, kept while someone holds it.
  std::shared_ptr<TopologyCounts> over(NodeTable& nodes, const std::string& topologyKey,
                                       const std::string& eligibleKey = "",
                                       TopologyCounts::Eligible eligible = nullptr);

 private:
  const std::vector<PodSelection> all_;
  const bool terminating_;
  std::vector<int32_t> onNode_;
  int64_t total_ = 0;
  std::vector<std::weak_ptr<TopologyCounts>> sums_;
};

}  // namespace km::scheduler
