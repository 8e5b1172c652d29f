// The environment of a container.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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

// The text of a file of one of the pod's volumes. NotFound if there is none.
using VolumeFiles = std::function<Result<std::string>(std::string_view volume, std::string_view path)>;
// Of a file of lines like NAME='value' (a value may have several lines), comments and empty lines. Nullopt
// without such a name.
Result<std::optional<std::string>> envFileValue(std::string_view text, std::string_view name);

// envFrom, then env with $(NAME) expanded, then the services. An error names what is missing, as the event
// does.
Result<Environment> makeEnvironment(const DownwardContext& context, const v1::Container& c,
                                    const Services& services, ObjectSource& objects,
                                    const VolumeFiles& files = {});

}  // namespace km::kubelet
