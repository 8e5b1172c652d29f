// VolumeRestrictions and VolumeZone.
#include <fmt/format.h>

#include <algorithm>

#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/volume_lookup.h"

namespace km::scheduler {
namespace {

using api::core_v1::Pod;
using api::core_v1::Volume;

bool isDisk(const Volume& v) {
  return v.gcePersistentDisk || v.awsElasticBlockStore || v.rbd || v.iscsi;
}

// Whether two pods may not have these disks on one node.
bool clash(const Volume& a, const Volume& b) {
  if (a.gcePersistentDisk && b.gcePersistentDisk &&
      a.gcePersistentDisk->pdName == b.gcePersistentDisk->pdName &&
      !(a.gcePersistentDisk->readOnly && b.gcePersistentDisk->readOnly)) {
    return true;
  }
  if (a.awsElasticBlockStore && b.awsElasticBlockStore &&
      a.awsElasticBlockStore->volumeID == b.awsElasticBlockStore->volumeID) {
    return true;
  }
  if (a.iscsi && b.iscsi && a.iscsi->iqn == b.iscsi->iqn && !(a.iscsi->readOnly && b.iscsi->readOnly))
    return true;
  if (!a.rbd || !b.rbd || !(a.rbd->pool == b.rbd->pool) || !(a.rbd->image == b.rbd->image) ||
      (a.rbd->readOnly && b.rbd->readOnly)) {
    return false;
  }
  const auto& others = b.rbd->monitors;
  return std::any_of(a.rbd->monitors.begin(), a.rbd->monitors.end(), [&](const auto& m) {
    return std::find(others.begin(), others.end(), m) != others.end();
  });
}

bool clashes(const Pod& pod, const Pod& other) {
  for (const auto& v : pod.spec.volumes) {
    if (!isDisk(v)) continue;
    for (const auto& o : other.spec.volumes) {
      if (clash(v, o)) return true;
    }
  }
  return false;
}

bool usesClaim(const Pod& pod, std::string_view name) {
  return std::any_of(pod.spec.volumes.begin(), pod.spec.volumes.end(), [&](const Volume& v) {
    return v.persistentVolumeClaim && v.persistentVolumeClaim->claimName == name;
  });
}

class VolumeRestrictions : public Plugin {
 public:
  explicit VolumeRestrictions(const Listers& l) : look_(l) {}
  std::string_view name() const override { return "VolumeRestrictions"; }
  uint32_t stages() const override { return kFilter; }

  Prepared prepare(const Cycle& c) override {
    exclusive_.clear();
    bool disks = false;
    for (const auto& v : c.pod->spec.volumes) {
      disks = disks || isDisk(v);
      if (!v.persistentVolumeClaim) continue;
      const auto& claimName = v.persistentVolumeClaim->claimName;
      ClaimPtr claim = look_.claim(c.pod->metadata.namespace_, claimName);
      if (!claim)
        return Prepared::refuse(Verdict::kUnschedulableAndUnresolvable,
                                notFound("persistentvolumeclaim", claimName));
      const auto& modes = claim->spec.accessModes;
      if (std::find(modes.begin(), modes.end(), "ReadWriteOncePod") == modes.end()) continue;
      exclusive_.push_back(fmt::format("{}/{}", c.pod->metadata.namespace_, claimName));
    }
    return !disks && !taken(c) ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    bool used = taken(c);
    for (size_t i = 0; i < nodes.size(); i++) {
      const auto& pods = c.cluster.nodes().row(nodes[i]).pods;
      bool disk =
          std::any_of(pods.begin(), pods.end(), [&](const PodEntry* e) { return clashes(*c.pod, *e->pod); });
      refusals[i] = disk ? kDisk : used ? kTaken : 0;
    }
  }
  Verdict verdict(Refusal) const override { return Verdict::kUnschedulable; }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    reasons.emplace_back(
        r == kDisk
            ? "node(s) had no available disk"
            : "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
              "in-use by another pod");
  }
  uint32_t wakes() const override { return kAssignedPodDelete | kNodeAdd | kClaimAdd; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kNodeAdd) != 0) return true;
    const auto& o = e.after ? e.after : e.before;
    if (!o || o->ns() != waiting.metadata.namespace_.view()) return false;
    if ((e.kinds & kClaimAdd) != 0) return usesClaim(waiting, o->name());
    const Pod& gone = o->as<Pod>();
    return clashes(waiting, gone) ||
           std::any_of(gone.spec.volumes.begin(), gone.spec.volumes.end(), [&](const Volume& v) {
             return v.persistentVolumeClaim && usesClaim(waiting, v.persistentVolumeClaim->claimName);
           });
  }

 private:
  static constexpr Refusal kDisk = 1, kTaken = 2;
  bool taken(const Cycle& c) const {
    return std::any_of(exclusive_.begin(), exclusive_.end(),
                       [&](const auto& k) { return c.cluster.claimUsers(k) > 0; });
  }
  const VolumeLookup look_;
  std::vector<std::string> exclusive_;  // claims that one pod may use
};

constexpr std::string_view kTopologyLabels[] = {
    "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region"};

std::string_view currentLabel(std::string_view key) {
  return key == kTopologyLabels[0]   ? kTopologyLabels[2]
         : key == kTopologyLabels[1] ? kTopologyLabels[3]
                                     : key;
}

class VolumeZone : public Plugin {
 public:
  explicit VolumeZone(const Listers& l) : look_(l) {}
  std::string_view name() const override { return "VolumeZone"; }
  uint32_t stages() const override { return kFilter; }

  Prepared prepare(const Cycle& c) override {
    places_.clear();
    auto refuse = [](std::string why) {
      return Prepared::refuse(Verdict::kUnschedulableAndUnresolvable, std::move(why));
    };
    for (const auto& v : c.pod->spec.volumes) {
      if (!v.persistentVolumeClaim) continue;
      const auto& claimName = v.persistentVolumeClaim->claimName;
      ClaimPtr claim = look_.claim(c.pod->metadata.namespace_, claimName);
      if (!claim) return refuse(notFound("persistentvolumeclaim", claimName));
      if (claim->spec.volumeName.empty()) {
        std::string className = classOf(*claim);
        if (className.empty()) return refuse("PersistentVolumeClaim had no pv name and storageClass name");
        StorageClassPtr sc = look_.storageClass(className);
        if (!sc) return refuse(notFound("storageclass.storage.k8s.io", className));
        if (!sc->volumeBindingMode)
          return refuse(fmt::format("VolumeBindingMode not set for StorageClass \"{}\"", className));
        if (*sc->volumeBindingMode == "WaitForFirstConsumer") continue;
        return refuse("PersistentVolume had no name");
      }
      VolumePtr pv = look_.volume(claim->spec.volumeName);
      if (!pv) return refuse(notFound("persistentvolume", claim->spec.volumeName));
      for (std::string_view key : kTopologyLabels) {
        if (const auto* value = pv->metadata.labels.find(key)) places_.emplace_back(key, value->str());
      }
    }
    return places_.empty() ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++) {
      const Labels& labels = c.cluster.nodes().row(nodes[i]).node->metadata.labels;
      bool anywhere = std::none_of(std::begin(kTopologyLabels), std::end(kTopologyLabels),
                                   [&](std::string_view k) { return labels.contains(k); });
      refusals[i] = !anywhere && !std::all_of(places_.begin(), places_.end(),
                                              [&](const auto& p) { return in(labels, p); });
    }
  }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) had no available volume zone");
  }
  uint32_t wakes() const override {
    return kStorageClassAdd | kNodeAdd | kNodeLabel | kClaimAdd | kClaimUpdate | kVolumeAdd | kVolumeUpdate;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & (kClaimAdd | kClaimUpdate)) == 0 || !e.after) return true;
    return e.after->ns() == waiting.metadata.namespace_.view() && usesClaim(waiting, e.after->name());
  }

 private:
  using Place = std::pair<std::string_view, std::string>;
  // A volume may be in several zones: "a__b".
  static bool in(const Labels& labels, const Place& place) {
    const auto* have = labels.find(place.first);
    if (have == nullptr) have = labels.find(currentLabel(place.first));
    if (have == nullptr) return false;
    std::string_view rest = place.second;
    for (;;) {
      size_t end = rest.find("__");
      std::string_view one = rest.substr(0, end);
      if (*have == one) return true;
      if (end == std::string_view::npos) return false;
      rest.remove_prefix(end + 2);
    }
  }
  const VolumeLookup look_;
  std::vector<Place> places_;
};

}  // namespace

std::unique_ptr<Plugin> makeVolumeRestrictions(const Listers& l) {
  return std::make_unique<VolumeRestrictions>(l);
}
std::unique_ptr<Plugin> makeVolumeZone(const Listers& l) {
  return std::make_unique<VolumeZone>(l);
}

}  // namespace km::scheduler
