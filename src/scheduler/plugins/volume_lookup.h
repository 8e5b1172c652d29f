// What the volume plugins share: the claims of a pod, and the volumes behind them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/core_v1.h"
#include "api/types/storage_v1.h"
#include "scheduler/plugin_args.h"

namespace km::scheduler {

using ClaimPtr = std::shared_ptr<const api::core_v1::PersistentVolumeClaim>;
using VolumePtr = std::shared_ptr<const api::core_v1::PersistentVolume>;
using StorageClassPtr = std::shared_ptr<const api::storage_v1::StorageClass>;

inline constexpr std::string_view kSelectedNode = "volume.kubernetes.io/selected-node";
inline constexpr std::string_view kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr std::string_view kBoundByController = "pv.kubernetes.io/bound-by-controller";

// The claim that a volume of the pod names; "" if it names none. `ephemeral`: made for the pod.
std::string claimName(const api::core_v1::Pod& pod, const api::core_v1::Volume& v, bool* ephemeral = nullptr);
std::string notFound(std::string_view resource, std::string_view name);

class VolumeLookup {
 public:
  explicit VolumeLookup(const Listers& l) : l_(l) {}
  ClaimPtr claim(std::string_view ns, std::string_view name) const;
  VolumePtr volume(std::string_view name) const;
  StorageClassPtr storageClass(std::string_view name) const;
  std::vector<VolumePtr> volumesOf(std::string_view storageClass) const;
  const Listers& listers() const { return l_; }

 private:
  const Listers l_;
};

// By annotation or by spec; "" if none.
std::string classOf(const api::core_v1::PersistentVolumeClaim& c);
std::string classOf(const api::core_v1::PersistentVolume& v);
bool fullyBound(const api::core_v1::PersistentVolumeClaim& c);
// Whether the volume is for this claim, by its claimRef.
bool boundTo(const api::core_v1::PersistentVolume& v, const api::core_v1::PersistentVolumeClaim& c);
bool volumeFitsNode(const api::core_v1::PersistentVolume& v, const api::core_v1::Node& node);

}  // namespace km::scheduler
