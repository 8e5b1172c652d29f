// Nominator: the waiting pods for which room was made on a node. Not thread-safe: the scheduler's lock guards
// it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/node_table.h"

namespace km::scheduler {

class Nominator {
 public:
  // An empty name takes the nomination back.
  void set(const PodPtr& pod, const std::string& node);
  void remove(const std::string& uid);
  bool empty() const { return nodeOf_.empty(); }
  // "" if none.
  std::string nodeOf(const std::string& uid) const;
  const std::vector<PodPtr>& on(const std::string& node) const;
  template <typename F>
  void eachNode(F f) const {
    for (const auto& [node, pods] : pods_) f(node, pods);
  }

 private:
  std::unordered_map<std::string, std::string> nodeOf_;        // by uid
  std::unordered_map<std::string, std::vector<PodPtr>> pods_;  // by node
};

}  // namespace km::scheduler
