#include "scheduler/nominator.h"

namespace km::scheduler {

void Nominator::remove(const std::string& uid) {
  auto it = nodeOf_.find(uid);
  if (it == nodeOf_.end()) return;
  auto& pods = pods_[it->second];
  std::erase_if(pods, [&](const PodPtr& p) { return p->metadata.uid == uid; });
  if (pods.empty()) pods_.erase(it->second);
  nodeOf_.erase(it);
}

void Nominator::set(const PodPtr& pod, const std::string& node) {
  std::string uid = pod->metadata.uid.str();
  remove(uid);
  if (node.empty()) return;
  pods_[node].push_back(pod);
  nodeOf_[uid] = node;
}

std::string Nominator::nodeOf(const std::string& uid) const {
  auto it = nodeOf_.find(uid);
  return it == nodeOf_.end() ? "" : it->second;
}

const std::vector<PodPtr>& Nominator::on(const std::string& node) const {
  static const std::vector<PodPtr> kNone;
  auto it = pods_.find(node);
  return it == pods_.end() ? kNone : it->second;
}

}  // namespace km::scheduler
