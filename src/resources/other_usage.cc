// Services, volume claims and device claims under a quota.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/resource_v1.h"
#include "resources/evaluators.h"

namespace km::resources {

namespace v1 = api::core_v1;

namespace {

using codec::Quantity;

Quantity number(int64_t n) { return {n, Quantity::Format::kDecimalSI}; }

class Services : public Evaluator {
 public:
  Names matching(const Names& names) const override {
    static const Names kKnown = {"count/services", "services", "services.nodeports", "services.loadbalancers"};
    return among(names, kKnown);
  }
  ResourceList usage(const api::Object& o, WallTime) const override {
    const auto& s = o.as<v1::Service>().spec;
    auto ports = static_cast<int64_t>(s.ports.size());
    // Ports that are still to be allocated count, where they will be.
    bool balanced = s.type == "LoadBalancer";
    if (balanced && !s.allocateLoadBalancerNodePorts.value_or(true)) {
      ports = std::count_if(s.ports.begin(), s.ports.end(), [](const v1::ServicePort& p) { return p.nodePort != 0; });
    }
    ResourceList out;
    out["count/services"] = one();
    out["services"] = one();
    out["services.loadbalancers"] = number(balanced ? 1 : 0);
    out["services.nodeports"] = number(balanced || s.type == "NodePort" ? ports : 0);
    return out;
  }
  bool concerns(std::string_view subresource, const api::Object&, const api::Object*) const override { return subresource.empty(); }
  bool changes(const api::Object& old, const api::Object& o, WallTime) const override {
    return typeOf(old) != typeOf(o);
  }

 private:
  static std::string_view typeOf(const api::Object& o) {
    std::string_view type = o.as<v1::Service>().spec.type;
    return type == "NodePort" || type == "LoadBalancer" ? type : "";
  }
};

constexpr std::string_view kOfClass = ".storageclass.storage.k8s.io/";
constexpr std::string_view kClaims = "persistentvolumeclaims", kStorage = "requests.storage";

class VolumeClaims : public Evaluator {
 public:
  Names matching(const Names& names) const override {
    Names out;
    for (const std::string& n : names) {
      bool ofClass = n.ends_with(fmt::format("{}{}", kOfClass, kClaims)) || n.ends_with(fmt::format("{}{}", kOfClass, kStorage));
      if (n == "count/persistentvolumeclaims" || n == kClaims || n == kStorage || ofClass) out.push_back(n);
    }
    return out;
  }

  ResourceList usage(const api::Object& o, WallTime) const override {
    const auto& claim = o.as<v1::PersistentVolumeClaim>();
    ResourceList out;
    out["count/persistentvolumeclaims"] = one();
    std::string_view storageClass = classOf(claim);
    auto charge = [&](std::string_view name, const Quantity& q) {
      out[name] = q;
      if (!storageClass.empty()) out[fmt::format("{}{}{}", storageClass, kOfClass, name)] = q;
    };
    charge(kClaims, one());
    const Quantity* asked = claim.spec.resources.requests.find("storage");
    if (asked == nullptr) return out;
    Quantity size = *asked;
    const Quantity* have = claim.status.allocatedResources.find("storage");
    if (have != nullptr && *have > size) size = *have;
    // Whole bytes.
    if (size != Quantity(size.value(), size.format())) size = {size.value(), size.format()};
    charge(kStorage, size);
    return out;
  }

  bool concerns(std::string_view subresource, const api::Object&, const api::Object*) const override {
    return subresource.empty() || subresource == "status";
  }

  bool inScope(const v1::ScopedResourceSelectorRequirement& scope, const api::Object& o) const override {
    if (scope.scopeName != "VolumeAttributesClass") return false;
    std::set<std::string> classes = attributeClasses(o.as<v1::PersistentVolumeClaim>());
    if (classes.empty()) return selects(scope, "");
    return std::any_of(classes.begin(), classes.end(), [&](const std::string& c) { return selects(scope, c); });
  }

  bool changes(const api::Object& old, const api::Object& o, WallTime now) const override {
    const auto &was = old.as<v1::PersistentVolumeClaim>(), &is = o.as<v1::PersistentVolumeClaim>();
    return !sameAmounts(usage(old, now), usage(o, now)) || attributeClasses(was) != attributeClasses(is);
  }

 private:
  static std::string_view classOf(const v1::PersistentVolumeClaim& claim) {
    if (const auto* beta = claim.metadata.annotations.find("volume.beta.kubernetes.io/storage-class")) return *beta;
    return claim.spec.storageClassName ? claim.spec.storageClassName->view() : std::string_view();
  }
  static std::set<std::string> attributeClasses(const v1::PersistentVolumeClaim& claim) {
    std::set<std::string> out;
    if (claim.spec.volumeAttributesClassName) out.insert(claim.spec.volumeAttributesClassName->str());
    if (claim.status.currentVolumeAttributesClassName) out.insert(claim.status.currentVolumeAttributesClassName->str());
    if (claim.status.modifyVolumeStatus) out.insert(claim.status.modifyVolumeStatus->targetVolumeAttributesClassName.str());
    out.erase("");
    return out;
  }
};

constexpr std::string_view kDevices = ".deviceclass.resource.k8s.io/devices";
constexpr int64_t kMostDevices = 32;  // of one claim: what "All" may come to

class DeviceClaims : public Evaluator {
 public:
  Names matching(const Names& names) const override {
    Names out;
    for (const std::string& n : names) {
      if (n == "count/resourceclaims.resource.k8s.io" || n.ends_with(kDevices)) out.push_back(n);
    }
    return out;
  }
  ResourceList usage(const api::Object& o, WallTime) const override {
    ResourceList out;
    out["count/resourceclaims.resource.k8s.io"] = one();
    auto add = [&](std::string_view deviceClass, int64_t n) {
      ResourceList more;
      more[fmt::format("{}{}", deviceClass, kDevices)] = number(n);
      addTo(out, more);
    };
    for (const auto& r : o.as<api::resource_v1::ResourceClaim>().spec.devices.requests) {
      if (r.exactly) add(r.exactly->deviceClassName, devices(*r.exactly));
      // One of them will do: of each class the most that any takes.
      std::map<std::string, int64_t> most;
      for (const auto& sub : r.firstAvailable) {
        int64_t& n = most[sub.deviceClassName.str()];
        n = std::max(n, devices(sub));
      }
      for (const auto& [name, n] : most) add(name, n);
    }
    return out;
  }
  bool concerns(std::string_view subresource, const api::Object&, const api::Object*) const override { return subresource.empty(); }

 private:
  template <typename Request>
  static int64_t devices(const Request& r) {
    if (r.allocationMode == "ExactCount") return r.count;
    return r.allocationMode == "All" ? kMostDevices : 0;
  }
};

}  // namespace

std::unique_ptr<Evaluator> makeServiceEvaluator() { return std::make_unique<Services>(); }
std::unique_ptr<Evaluator> makeVolumeClaimEvaluator() { return std::make_unique<VolumeClaims>(); }
std::unique_ptr<Evaluator> makeDeviceClaimEvaluator() { return std::make_unique<DeviceClaims>(); }

}  // namespace km::resources
