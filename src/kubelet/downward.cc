#include "kubelet/downward.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace km::kubelet {
namespace {

std::string formatMap(const codec::Map<codec::String>& map) {
  std::string out;
  for (const auto& [key, value] : map) {
    if (!out.empty()) out += '\n';
    out += key.view();
    out += '=';
    appendQuoted(out, value);
  }
  return out;
}

// metadata.labels['key'] -> key.
std::optional<std::string_view> subscript(std::string_view path, std::string_view field) {
  if (!path.starts_with(field) || !path.substr(field.size()).starts_with("['") || !path.ends_with("']")) return std::nullopt;
  return path.substr(field.size() + 2, path.size() - field.size() - 4);
}

std::string ipList(const std::vector<std::string>& ips, bool all) {
  if (ips.empty()) return "";
  return all ? join(ips, ",") : ips[0];
}

}  // namespace

Result<std::string> fieldValue(const DownwardContext& context, std::string_view path) {
  const v1::Pod& pod = *context.pod;
  const auto& m = pod.metadata;
  if (auto key = subscript(path, "metadata.labels")) return m.labels.get(*key).str();
  if (auto key = subscript(path, "metadata.annotations")) return m.annotations.get(*key).str();
  if (path == "metadata.labels") return formatMap(m.labels);
  if (path == "metadata.annotations") return formatMap(m.annotations);
  if (path == "metadata.name") return m.name.str();
  if (path == "metadata.namespace") return m.namespace_.str();
  if (path == "metadata.uid") return m.uid.str();
  if (path == "spec.nodeName") return pod.spec.nodeName.str();
  if (path == "spec.serviceAccountName") return pod.spec.serviceAccountName.str();
  if (path == "status.hostIP") return ipList(context.hostIps, false);
  if (path == "status.hostIPs") return ipList(context.hostIps, true);
  if (path == "status.podIP") return ipList(pod.spec.hostNetwork ? context.hostIps : context.podIps, false);
  if (path == "status.podIPs") return ipList(pod.spec.hostNetwork ? context.hostIps : context.podIps, true);
  return errors::failed(fmt::format("unsupported fieldPath: {}", path));
}

Result<std::string> resourceValue(const DownwardContext& context, const v1::ResourceFieldSelector& selector, const v1::Container* container) {
  if (!selector.containerName.empty()) container = findContainer(*context.pod, selector.containerName);
  if (!container) return errors::failed(fmt::format("container {} not found", selector.containerName.view()));
  auto kind = cut(selector.resource, '.');
  if (!kind || (kind->first != "limits" && kind->first != "requests")) {
    return errors::failed(fmt::format("unsupported container resource : {}", selector.resource.view()));
  }
  std::string_view name = kind->second;
  bool limit = kind->first == "limits";
  const codec::Quantity* value = (limit ? container->resources.limits : container->resources.requests).find(name);
  if ((!value || value->isZero()) && limit) value = context.allocatable.find(name);
  codec::Quantity q = value ? *value : codec::Quantity();
  const codec::Quantity& divisor = selector.divisor;
  if (name == "cpu") {
    int64_t d = divisor.isZero() ? 1000 : std::max<int64_t>(divisor.milliValue(), 1);
    return std::to_string((q.milliValue() + d - 1) / d);
  }
  int64_t d = divisor.isZero() ? 1 : std::max<int64_t>(divisor.value(), 1);
  return std::to_string((q.value() + d - 1) / d);
}

}  // namespace km::kubelet
