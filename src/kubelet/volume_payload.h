// What stands in volumes that the kubelet writes: config maps, secrets, downward values, projections of them.
#pragma once

#include "kubelet/atomic_writer.h"
#include "kubelet/volumes.h"

namespace km::kubelet {

Result<Payload> payloadOf(const VolumeContext& context, const v1::Volume& v, Duration* renewAt);
int64_t podMemoryLimit(const v1::Pod& pod);  // 0: none

}  // namespace km::kubelet
