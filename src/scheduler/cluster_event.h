// ClusterEvent: a change that may make a waiting pod schedulable.
#pragma once

#include <cstdint>

#include "api/object.h"

namespace km::scheduler {

// Bits; an update of an object may be several at once.
enum EventKind : uint32_t {
  kNodeAdd = 1u << 0,
  kNodeDelete = 1u << 1,
  kNodeAllocatable = 1u << 2,
  kNodeLabel = 1u << 3,
  kNodeTaint = 1u << 4,
  kAssignedPodAdd = 1u << 5,
  kAssignedPodLabel = 1u << 6,
  kAssignedPodScaleDown = 1u << 7,
  kAssignedPodDelete = 1u << 8,
  kPodDelete = 1u << 9,   // a pod without a node went
  kSelfLabel = 1u << 10,  // the waiting pod itself changed
  kSelfToleration = 1u << 11,
  kSelfScaleDown = 1u << 12,
  kSelfGates = 1u << 13,
  kSelfClaims = 1u << 14,  // status.resourceClaimStatuses
  kVolumeAdd = 1u << 15,
  kVolumeUpdate = 1u << 16,
  kClaimAdd = 1u << 17,
  kClaimUpdate = 1u << 18,
  kClaimDelete = 1u << 19,
  kStorageClassAdd = 1u << 20,
  kStorageClassUpdate = 1u << 21,
  kCsiNode = 1u << 22,
  kCsiDriver = 1u << 23,
  kCsiCapacity = 1u << 24,
  kVolumeAttachmentDelete = 1u << 25,
  kResourceClaim = 1u << 26,
  kResourceSlice = 1u << 27,
  kDeviceClass = 1u << 28,
  kExternal = 1u << 29,  // an extender refused: anything may help
};
inline constexpr uint32_t kAllEvents = ~0u;

struct ClusterEvent {
  uint32_t kinds = 0;
  api::ObjectPtr before, after;  // of an add: no `before`; of a delete: no `after`
};

}  // namespace km::scheduler
