// The environment of a container.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kubelet/downward.h"
#include "kubelet/object_source.h"

namespace km::kubelet {

using Services = std::vector<std::shared_ptr<const v1::Service>>;
using Environment = std::vector<std::pair<std::string, std::string>>;

// NAME_SERVICE_HOST and the like, of the pod's namespace, and those of the service "kubernetes" always.
Environment serviceEnvironment(const v1::Pod& pod, const Services& services);

// envFrom, then env with $(NAME) expanded, then the services. An error names what is missing, as the event does.
Result<Environment> makeEnvironment(const DownwardContext& context, const v1::Container& c, const Services& services, ObjectSource& objects);

}  // namespace km::kubelet
