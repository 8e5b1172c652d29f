// Where the kubelet reads config maps and secrets that its pods name.
#pragma once

#include <memory>
#include <string_view>

#include "kubelet/pod_util.h"

namespace km::kubelet {

// May block until the object is known. NotFound if it isn't there.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual Result<std::shared_ptr<const v1::ConfigMap>> configMap(std::string_view ns, std::string_view name) = 0;
  virtual Result<std::shared_ptr<const v1::Secret>> secret(std::string_view ns, std::string_view name) = 0;
};

}  // namespace km::kubelet
