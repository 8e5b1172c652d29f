// Cluster: what the scheduler knows of nodes and the pods on them. Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "api/types/core_v1.h"
#include "base/clock.h"

namespace km::scheduler {

using PodPtr = std::shared_ptr<const api::core_v1::Pod>;
using NodePtr = std::shared_ptr<const api::core_v1::Node>;

// Amounts as the scheduler counts them: cpu in thousandths, memory and storage in bytes.
struct Amounts {
  int64_t milliCpu = 0, memory = 0, ephemeralStorage = 0, pods = 0;
  std::map<std::string, int64_t, std::less<>> others;  // extended resources, huge pages

  void add(const Amounts& o, int sign = 1);
};

// Capacity of a ResourceList.
Amounts amountsOf(const codec::Map<codec::Quantity>& list);
// What a pod needs: the sum of its containers, or its largest init step, with sidecars and overhead, as upstream counts.
// `withDefaults`: containers that ask for nothing count as 100m and 200Mi, for scores.
Amounts podRequests(const api::core_v1::Pod& pod, bool withDefaults = false);

struct HostPort {
  std::string ip, protocol;
  int32_t port;
  auto operator<=>(const HostPort&) const = default;
};
std::vector<HostPort> hostPorts(const api::core_v1::Pod& pod);

struct NodeInfo {
  NodePtr node;
  Amounts allocatable;
  Amounts requested;         // of its pods
  Amounts requestedNonZero;  // the same with defaults
  std::map<std::string, PodPtr> pods;  // by uid
  std::set<HostPort> ports;
  std::unordered_map<std::string, int64_t> images;  // name -> size

  bool conflicts(const HostPort& p) const;
};

class Cluster {
 public:
  void setNode(NodePtr node);
  void removeNode(const std::string& name);
  // A pod that has a node; moves it if it stood elsewhere.
  void setPod(PodPtr pod);
  void removePod(const std::string& uid);

  // Counts the pod on the node before the API server knows; forgotten again if the binding fails.
  void assume(const api::core_v1::Pod& pod, const std::string& node);
  void forget(const std::string& uid);
  bool isAssumed(const std::string& uid) const { return assumed_.contains(uid); }

  const std::vector<NodeInfo*>& nodes() const { return order_; }  // those that exist as Node objects
  NodeInfo* find(const std::string& name);
  // On how many nodes an image is.
  int nodesWithImage(const std::string& image) const;

 private:
  void place(const PodPtr& pod, const std::string& node, int sign);
  void reorder();

  std::map<std::string, std::unique_ptr<NodeInfo>> byName_;
  std::vector<NodeInfo*> order_;
  std::unordered_map<std::string, std::pair<std::string, PodPtr>> podNode_;  // uid -> node, pod
  std::set<std::string> assumed_;
  std::unordered_map<std::string, int> imageNodes_;
};

}  // namespace km::scheduler
