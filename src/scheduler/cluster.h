// Cluster: what the scheduler knows of nodes and the pods on them, with every count that plugins asked for
// kept up to date. Not thread-safe: it lives on the scheduler's lane.
//
// Trying out a change ("were this pod gone, were that one here") is done on the cluster itself: lift() or
// place(), look, and undo. All counts follow, so no plugin needs a copy of its state.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/node_table.h"
#include "scheduler/pod_class.h"

namespace km::scheduler {

// A pod on a node.
struct PodEntry {
  PodPtr pod;  // of an assumed pod: as it was without a node
  PodClassPtr cls;
  NodeId node = kNoNode;
  bool assumed = false;
  bool terminating = false;
  uint32_t onNode = 0, inClass = 0;  // places in the lists of node and class
};

class Cluster {
 public:
  Cluster() = default;
  ~Cluster();
  Cluster(const Cluster&) = delete;

  NodeTable& nodes() { return nodes_; }
  const NodeTable& nodes() const { return nodes_; }
  void setNode(NodePtr node) { nodes_.set(std::move(node)); }
  void removeNode(const std::string& name) { nodes_.remove(name); }

  // A pod that has a node; moves it if it stood elsewhere.
  void setPod(PodPtr pod);
  void removePod(const std::string& uid);
  const PodEntry* pod(const std::string& uid) const;
  size_t pods() const { return pods_.size(); }
  template <typename F>
  void eachPod(F f) const {
    for (const auto& [uid, e] : pods_) f(*e);
  }

  // Counts the pod on the node before the API server knows; forgotten again if the binding fails.
  void assume(PodPtr pod, PodClassPtr cls, NodeId node);
  void forget(const std::string& uid);
  bool isAssumed(const std::string& uid) const;
  size_t assumed() const { return assumed_; }

  // To try out: takes a pod off its node and puts it back; or puts one there that is nowhere.
  void lift(PodEntry& e);
  void putBack(PodEntry& e);
  std::unique_ptr<PodEntry> place(PodPtr pod, NodeId node);

  void setNamespace(const std::string& name, const Labels& labels);
  void removeNamespace(const std::string& name);
  const Namespaces& namespaces() const { return namespaces_; }

  // Pods on nodes that name this claim ("namespace/name").
  int claimUsers(const std::string& claim) const;
  // The pod's class; keeps the plugins' caches of those asked for lately.
  PodClassPtr classOf(const api::core_v1::Pod& pod);
  // The counter of these pods; one object for equal questions, counting while someone holds it.
  std::shared_ptr<PodCounter> counter(std::vector<PodSelection> all, bool terminating);
  // The rules that pods on nodes carry. `carriedVersion` moves when the list, or whom its terms match,
  // changes.
  const std::vector<CarriedTerm*>& carriedTerms() const { return carried_; }
  uint64_t carriedVersion() const { return carriedVersion_; }
  // Moves with every change of pods on nodes.
  uint64_t podVersion() const { return podVersion_; }

 private:
  static constexpr size_t kRecent = 64;

  PodClassPtr findOrMakeClass(const api::core_v1::Pod& pod);
  void drop(PodClass* cls);
  void carry(PodClass& cls);
  std::shared_ptr<CarriedTerm> carriedTerm(CarriedTerm::Kind kind, const Term& term, int32_t weight);
  void dropCounter(PodCounter* counter, const std::string& key);
  void count(const PodClass& cls, NodeId node, bool terminating, int32_t delta);
  void resetCounters();
  void insert(PodEntry& e);
  void take(PodEntry& e);

  NodeTable nodes_;
  Namespaces namespaces_;
  std::unordered_map<std::string_view, std::weak_ptr<PodClass>> classes_;  // by PodClass::key
  std::unordered_map<std::string, std::weak_ptr<PodCounter>> counters_;
  std::unordered_map<std::string, std::weak_ptr<CarriedTerm>> carriedByKey_;
  std::vector<CarriedTerm*> carried_;
  uint64_t carriedVersion_ = 1, podVersion_ = 1;
  std::unordered_map<std::string, int> claimUsers_;
  size_t assumed_ = 0;
  bool ending_ = false;
  std::unordered_map<std::string, std::unique_ptr<PodEntry>> pods_;  // by uid
  std::vector<PodClassPtr> recent_;                                  // the latest first
};

}  // namespace km::scheduler
