// NodeVolumeLimits: no more volumes of a CSI driver on a node than its CSINode says the node can attach.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/volume_lookup.h"

namespace km::scheduler {
namespace {

using api::core_v1::Pod;
using Attached = std::map<std::string, std::string>;  // volume -> driver

class NodeVolumeLimits : public Plugin {
 public:
  explicit NodeVolumeLimits(const Listers& l) : look_(l) {}
  std::string_view name() const override { return "NodeVolumeLimits"; }
  uint32_t stages() const override { return kFilter; }

  Prepared prepare(const Cycle& c) override {
    wanted_.clear();
    collect(*c.pod, wanted_);
    return wanted_.empty() ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++) refusals[i] = exceeds(c.cluster.nodes().row(nodes[i]));
  }
  Verdict verdict(Refusal) const override { return Verdict::kUnschedulable; }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) exceed max volume count");
  }
  uint32_t wakes() const override {
    return kCsiNode | kAssignedPodDelete | kClaimAdd | kClaimUpdate | kVolumeAttachmentDelete;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kAssignedPodDelete) != 0 && e.before) {
      const auto& volumes = e.before->as<Pod>().spec.volumes;
      return std::any_of(volumes.begin(), volumes.end(),
                         [](const auto& v) { return v.persistentVolumeClaim || v.ephemeral; });
    }
    if ((e.kinds & (kClaimAdd | kClaimUpdate)) != 0 && e.after) {
      return e.after->ns() == waiting.metadata.namespace_.view() &&
             std::any_of(waiting.spec.volumes.begin(), waiting.spec.volumes.end(),
                         [&](const auto& v) { return claimName(waiting, v) == e.after->name(); });
    }
    return true;
  }

 private:
  void collect(const Pod& pod, Attached& out) const {
    for (const auto& v : pod.spec.volumes) {
      std::string name = claimName(pod, v);
      ClaimPtr claim = name.empty() ? nullptr : look_.claim(pod.metadata.namespace_, name);
      if (!claim) continue;
      if (VolumePtr pv = claim->spec.volumeName.empty() ? nullptr : look_.volume(claim->spec.volumeName)) {
        if (pv->spec.csi)
          out[fmt::format("{}/{}", pv->spec.csi->driver, pv->spec.csi->volumeHandle)] =
              pv->spec.csi->driver.str();
        continue;
      }
      // Not bound yet: the class says which driver will make it.
      if (StorageClassPtr sc = look_.storageClass(classOf(*claim))) {
        out[fmt::format("{}/{}-{}/{}", sc->provisioner, sc->metadata.name, pod.metadata.namespace_, name)] =
            sc->provisioner.str();
      }
    }
  }

  bool exceeds(const NodeRow& row) const {
    const Listers& l = look_.listers();
    auto node = l.csiNodes == nullptr
                    ? nullptr
                    : client::Lister<api::storage_v1::CSINode>(*l.csiNodes).get("", row.name);
    if (!node) return false;
    std::map<std::string, int> limits;
    for (const auto& d : node->spec.drivers) {
      if (d.allocatable && d.allocatable->count) limits[d.name.str()] = *d.allocatable->count;
    }
    bool counts =
        std::any_of(wanted_.begin(), wanted_.end(), [&](const auto& w) { return limits.contains(w.second); });
    if (!counts) return false;
    Attached there;
    for (const PodEntry* e : row.pods) collect(*e->pod, there);
    std::map<std::string, int> used, more;
    for (const auto& [volume, driver] : there) used[driver]++;
    for (const auto& [volume, driver] : wanted_) more[driver] += !there.contains(volume);
    return std::any_of(more.begin(), more.end(), [&](const auto& m) {
      auto limit = limits.find(m.first);
      return limit != limits.end() && m.second > 0 && used[m.first] + m.second > limit->second;
    });
  }

  const VolumeLookup look_;
  Attached wanted_;
};

}  // namespace

std::unique_ptr<Plugin> makeNodeVolumeLimits(const Listers& l) {
  return std::make_unique<NodeVolumeLimits>(l);
}

}  // namespace km::scheduler
