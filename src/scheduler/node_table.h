// NodeTable: the nodes in columns, by a dense number each. Not thread-safe: it lives on the scheduler's lane.
//
// A filter reads the few columns it needs for thousands of nodes; the Node objects themselves stay shared
// with the informer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "scheduler/resources.h"

namespace km::scheduler {

using PodPtr = std::shared_ptr<const api::core_v1::Pod>;
using NodePtr = std::shared_ptr<const api::core_v1::Node>;

// A node's place in every column; taken again by another node once the node and its pods are gone.
using NodeId = uint32_t;
inline constexpr NodeId kNoNode = ~0u;
using Nodes = std::span<const NodeId>;

// The values of one label over all nodes: 0 where a node has none, else a number for the text.
struct LabelColumn {
  std::string key;
  std::vector<uint32_t> value;  // by NodeId
  std::unordered_map<std::string, uint32_t> ids;
  uint32_t count = 1;  // numbers given, with 0
};

struct ResourceColumn {
  std::vector<int64_t> allocatable, requested;  // by NodeId
};

struct PodEntry;

struct NodeRow {
  std::string name;
  NodePtr node;  // null: pods are told to be on a node that is not there
  std::vector<PodEntry*> pods;
  std::vector<HostPort> ports;                      // of its pods; one twice if two pods have it
  std::unordered_map<std::string, int64_t> images;  // name -> size
};

class NodeTable {
 public:
  // The number of this name; makes a row if there is none.
  NodeId idOf(const std::string& name);
  NodeId find(std::string_view name) const;  // kNoNode if there is no row
  void set(NodePtr node);
  void remove(const std::string& name);
  // Gives the row back if it has neither node nor pods.
  void release(NodeId id);

  const NodeRow& row(NodeId id) const { return rows_[id]; }
  NodeRow& row(NodeId id) { return rows_[id]; }
  bool exists(NodeId id) const { return rows_[id].node != nullptr; }
  size_t slots() const { return rows_.size(); }
  // Those that exist as Node objects, zone by zone in turn as upstream lists them.
  const std::vector<NodeId>& order() const;
  size_t count() const { return count_; }

  // Made at the first question, kept up to date from then on.
  const LabelColumn& label(std::string_view key);
  ResourceColumn& resource(const std::string& name);
  // On how many nodes an image is.
  int nodesWithImage(const std::string& image) const;
  // Moves when a node comes, goes, or changes labels, taints or being schedulable.
  uint64_t layout() const { return layout_; }
  uint64_t imageVersion() const { return imageVersion_; }

  // Columns, by NodeId.
  std::vector<int64_t> cpu, memory, storage, podLimit;     // allocatable
  std::vector<int64_t> usedCpu, usedMemory, usedStorage;   // what its pods ask for
  std::vector<int64_t> usedCpuNonZero, usedMemoryNonZero;  // the same with defaults
  std::vector<int32_t> podCount;
  std::vector<uint8_t> unschedulable;
  std::vector<uint32_t> taints;  // number of the node's list of taints, see taintList(); 0: none

  const codec::List<api::core_v1::Taint>& taintList(uint32_t id) const { return taintLists_[id]; }
  size_t taintLists() const { return taintLists_.size(); }

 private:
  void grow();
  void setLabels(LabelColumn& c, NodeId id) const;
  uint32_t taintsOf(const codec::List<api::core_v1::Taint>& taints);

  std::vector<NodeRow> rows_;
  std::vector<NodeId> free_;
  std::map<std::string, NodeId, std::less<>> byName_;
  mutable std::vector<NodeId> order_;
  mutable bool orderStale_ = false;
  size_t count_ = 0;
  std::map<std::string, std::unique_ptr<LabelColumn>, std::less<>> labels_;
  std::map<std::string, std::unique_ptr<ResourceColumn>, std::less<>> resources_;
  std::unordered_map<std::string, int> imageNodes_;
  std::vector<codec::List<api::core_v1::Taint>> taintLists_{1};
  std::unordered_map<std::string, uint32_t> taintIds_;
  uint64_t layout_ = 1, imageVersion_ = 1;
};

}  // namespace km::scheduler
