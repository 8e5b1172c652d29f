// VolumeBinding: claims that are bound restrict the nodes; those that wait for their first consumer are bound
// for the node that is chosen - to a volume that exists, or by telling the provisioner the node.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/volume_job.h"
#include "scheduler/plugins/volume_lookup.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;
using api::core_v1::Pod;

std::string keyOf(const PersistentVolumeClaim& c) {
  return fmt::format("{}/{}", c.metadata.namespace_, c.metadata.name);
}

codec::Quantity sizeOf(const PersistentVolumeClaim& c) {
  return c.spec.resources.requests.get("storage");
}

bool hasModes(const PersistentVolumeClaim& c, const PersistentVolume& v) {
  const auto& have = v.spec.accessModes;
  return std::all_of(c.spec.accessModes.begin(), c.spec.accessModes.end(),
                     [&](const auto& m) { return std::find(have.begin(), have.end(), m) != have.end(); });
}

// As much of a volume's suitability as does not depend on what else is chosen.
bool suits(const PersistentVolume& v, const PersistentVolumeClaim& c) {
  auto mode = [](const auto& m) { return m ? m->str() : std::string("Filesystem"); };
  if (v.spec.capacity.get("storage") < sizeOf(c) || mode(v.spec.volumeMode) != mode(c.spec.volumeMode))
    return false;
  if (v.metadata.deletionTimestamp) return false;
  if (boundTo(v, c)) return true;
  if (v.spec.claimRef || v.status.phase != "Available" || classOf(v) != classOf(c)) return false;
  auto attributes = [](const auto& a) { return a ? a->str() : std::string(); };
  if (attributes(v.spec.volumeAttributesClassName) != attributes(c.spec.volumeAttributesClassName))
    return false;
  if (c.spec.selector && !selectorOf(c.spec.selector).matches(v.metadata.labels)) return false;
  return hasModes(c, v);
}

constexpr Refusal kNodeConflict = 1, kBindConflict = 2, kNoSpace = 4, kNoVolume = 8, kFailed = 16;

class VolumeBinding : public Plugin {
 public:
  VolumeBinding(const PluginArgs& args, const Listers& l) : look_(l), jobs_(look_, args.bindTimeoutSeconds) {}

  std::string_view name() const override { return "VolumeBinding"; }
  uint32_t stages() const override { return kFilter | kReserve | kPreBind; }

  Prepared prepare(const Cycle& c) override {
    bound_.clear();
    delayed_.clear();
    candidates_.clear();
    error_.clear();
    bool immediate = false, any = false;
    for (const auto& v : c.pod->spec.volumes) {
      bool ephemeral;
      std::string name = claimName(*c.pod, v, &ephemeral);
      if (name.empty()) continue;
      any = true;
      ClaimPtr claim = look_.claim(c.pod->metadata.namespace_, name);
      if (std::string why = unusable(*c.pod, claim, name, ephemeral); !why.empty()) {
        return Prepared::refuse(Verdict::kUnschedulableAndUnresolvable, std::move(why));
      }
      if (fullyBound(*claim)) {
        bound_.push_back(std::move(claim));
        continue;
      }
      StorageClassPtr sc = look_.storageClass(classOf(*claim));
      if (sc && !sc->volumeBindingMode) {
        return Prepared::refuse(
            Verdict::kError,
            fmt::format("VolumeBindingMode not set for StorageClass \"{}\"", sc->metadata.name));
      }
      bool waits = sc && *sc->volumeBindingMode == "WaitForFirstConsumer" && claim->spec.volumeName.empty();
      if (waits) {
        delayed_.push_back(std::move(claim));
      } else {
        immediate = true;
      }
    }
    if (immediate) {
      return Prepared::refuse(Verdict::kUnschedulableAndUnresolvable,
                              "pod has unbound immediate PersistentVolumeClaims");
    }
    if (!any) return Prepared::skipped();
    std::sort(delayed_.begin(), delayed_.end(),
              [](const auto& a, const auto& b) { return sizeOf(*a) < sizeOf(*b); });
    for (const auto& claim : delayed_) {
      std::vector<VolumePtr> volumes = look_.volumesOf(classOf(*claim));
      std::erase_if(volumes,
                    [&](const VolumePtr& v) { return !suits(*v, *claim) || !jobs_.free(*v, *claim); });
      candidates_.push_back(std::move(volumes));
    }
    return {};
  }

  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++) {
      VolumeDecision d;
      refusals[i] = decide(*c.cluster.nodes().row(nodes[i]).node, d);
    }
  }
  Verdict verdict(Refusal r) const override {
    return r == kFailed ? Verdict::kError : Verdict::kUnschedulableAndUnresolvable;
  }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    if (r == kFailed) reasons.push_back(error_);
    if ((r & kNodeConflict) != 0)
      reasons.emplace_back("node(s) didn't match PersistentVolume's node affinity");
    if ((r & kBindConflict) != 0)
      reasons.emplace_back("node(s) didn't find available persistent volumes to bind");
    if ((r & kNoSpace) != 0) reasons.emplace_back("node(s) did not have enough free storage");
    if ((r & kNoVolume) != 0)
      reasons.emplace_back("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
  }

  Status reserve(const Cycle& c, NodeId node) override {
    if (delayed_.empty()) return {};
    VolumeDecision d;
    if (decide(*c.cluster.nodes().row(node).node, d) != 0)
      return errors::internal("the volumes for the node were taken meanwhile");
    jobs_.assume(*c.pod, c.cluster.nodes().row(node).node, std::move(d));
    return {};
  }
  void unreserve(const Cycle& c, NodeId) override { jobs_.forget(c.pod->metadata.uid.str()); }
  void finished(const Pod& pod) override { jobs_.forget(pod.metadata.uid.str()); }
  bool willPreBind(const Cycle& c, NodeId) override { return jobs_.has(c.pod->metadata.uid.str()); }
  void preBind(PodPtr pod, std::string, std::function<void(Status)> done) override {
    jobs_.run(*pod, std::move(done));
  }
  void stop() override { jobs_.stop(); }

  uint32_t wakes() const override {
    return kStorageClassAdd | kStorageClassUpdate | kClaimAdd | kClaimUpdate | kVolumeAdd | kVolumeUpdate |
           kNodeAdd | kNodeLabel | kCsiNode | kCsiDriver | kCsiCapacity;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & (kClaimAdd | kClaimUpdate)) == 0 || !e.after) return true;
    if (e.after->ns() != waiting.metadata.namespace_.view()) return false;
    return std::any_of(waiting.spec.volumes.begin(), waiting.spec.volumes.end(),
                       [&](const auto& v) { return claimName(waiting, v) == e.after->name(); });
  }

 private:
  static std::string unusable(const Pod& pod, const ClaimPtr& claim, const std::string& name,
                              bool ephemeral) {
    if (!claim) {
      return ephemeral
                 ? fmt::format(
                       "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{}\"",
                       name)
                 : notFound("persistentvolumeclaim", name);
    }
    if (claim->status.phase == "Lost") {
      return fmt::format("persistentvolumeclaim \"{}\" bound to non-existent persistentvolume \"{}\"", name,
                         claim->spec.volumeName);
    }
    if (claim->metadata.deletionTimestamp)
      return fmt::format("persistentvolumeclaim \"{}\" is being deleted", name);
    const auto* owner = ephemeral ? controllerOf(claim->metadata) : nullptr;
    if (ephemeral && (owner == nullptr || owner->uid != pod.metadata.uid)) {
      return fmt::format("PVC {} was not created for pod {}/{} (pod is not owner)", keyOf(*claim),
                         pod.metadata.namespace_, pod.metadata.name);
    }
    return "";
  }

  Refusal decide(const Node& node, VolumeDecision& out) {
    Refusal r = 0;
    for (const auto& claim : bound_) {
      VolumePtr v = look_.volume(claim->spec.volumeName);
      if (!v || !volumeFitsNode(*v, node)) {
        r |= v ? kNodeConflict : kNoVolume;
        break;
      }
    }
    for (size_t i = 0; i < delayed_.size(); i++) {
      const ClaimPtr& claim = delayed_[i];
      std::string selected = jobs_.selectedNode(*claim);
      if (selected.empty()) {
        VolumePtr v = smallest(*claim, candidates_[i], node, out);
        if (v) {
          out.bindings.emplace_back(claim, std::move(v));
          continue;
        }
      } else if (node.metadata.name != selected) {
        return r | kBindConflict;
      }
      if (Refusal why = provision(*claim, node); why != 0) return why == kFailed ? why : r | why;
      out.provisions.push_back(claim);
    }
    return r;
  }

  static VolumePtr smallest(const PersistentVolumeClaim& claim, const std::vector<VolumePtr>& candidates,
                            const Node& node, const VolumeDecision& chosen) {
    VolumePtr best;
    for (const VolumePtr& v : candidates) {
      bool taken = std::any_of(chosen.bindings.begin(), chosen.bindings.end(),
                               [&](const auto& b) { return b.second == v; });
      if (taken) continue;
      bool fits = volumeFitsNode(*v, node);
      if (boundTo(*v, claim)) return fits ? v : nullptr;
      if (fits && (!best || v->spec.capacity.get("storage") < best->spec.capacity.get("storage"))) best = v;
    }
    return best;
  }

  // Whether a volume could be made for the node.
  Refusal provision(const PersistentVolumeClaim& claim, const Node& node) {
    std::string className = classOf(claim);
    StorageClassPtr sc = look_.storageClass(className);
    if (!sc) {
      error_ = fmt::format("failed to find storage class \"{}\"", className);
      return kFailed;
    }
    if (sc->provisioner.empty() || sc->provisioner == "kubernetes.io/no-provisioner") return kBindConflict;
    if (!allowed(*sc, node)) return kBindConflict;
    return hasCapacity(claim, *sc, node) ? 0 : kNoSpace;
  }

  static bool allowed(const api::storage_v1::StorageClass& sc, const Node& node) {
    if (sc.allowedTopologies.empty()) return true;
    return std::any_of(sc.allowedTopologies.begin(), sc.allowedTopologies.end(), [&](const auto& term) {
      return !term.matchLabelExpressions.empty() &&
             std::all_of(term.matchLabelExpressions.begin(), term.matchLabelExpressions.end(),
                         [&](const auto& e) {
                           const auto* have = node.metadata.labels.find(e.key);
                           return have != nullptr &&
                                  std::find(e.values.begin(), e.values.end(), *have) != e.values.end();
                         });
    });
  }

  bool hasCapacity(const PersistentVolumeClaim& claim, const api::storage_v1::StorageClass& sc,
                   const Node& node) const {
    const Listers& l = look_.listers();
    if (l.csiDrivers == nullptr || l.capacities == nullptr ||
        !claim.spec.resources.requests.contains("storage"))
      return true;
    auto driver = client::Lister<api::storage_v1::CSIDriver>(*l.csiDrivers).get("", sc.provisioner);
    if (!driver || !driver->spec.storageCapacity || !*driver->spec.storageCapacity) return true;
    codec::Quantity size = sizeOf(claim);
    for (const auto& c : client::Lister<api::storage_v1::CSIStorageCapacity>(*l.capacities).list()) {
      const auto& limit = c->maximumVolumeSize ? c->maximumVolumeSize : c->capacity;
      if (c->storageClassName == sc.metadata.name && limit && *limit >= size && c->nodeTopology &&
          selectorOf(c->nodeTopology).matches(node.metadata.labels)) {
        return true;
      }
    }
    return false;
  }

  const VolumeLookup look_;
  VolumeJobs jobs_;
  std::vector<ClaimPtr> bound_, delayed_;           // of the pod at hand; delayed: the smallest first
  std::vector<std::vector<VolumePtr>> candidates_;  // for each delayed one
  std::string error_;
};

}  // namespace

std::unique_ptr<Plugin> makeVolumeBinding(const PluginArgs& args, const Listers& l) {
  return std::make_unique<VolumeBinding>(args, l);
}

}  // namespace km::scheduler
