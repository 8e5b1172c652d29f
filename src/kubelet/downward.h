// Values of fieldRef and resourceFieldRef.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

struct DownwardContext {
  const v1::Pod* pod = nullptr;
  std::vector<std::string> podIps, hostIps;
  codec::Map<codec::Quantity> allocatable;  // of the node: what a container without limits may use
};

Result<std::string> fieldValue(const DownwardContext& context, std::string_view path);
// `container`: the one that asks, for a selector that names none.
Result<std::string> resourceValue(const DownwardContext& context, const v1::ResourceFieldSelector& selector, const v1::Container* container);

}  // namespace km::kubelet
