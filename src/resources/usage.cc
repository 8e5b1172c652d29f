#include "resources/usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "resources/evaluators.h"

namespace km::resources {
namespace {

using codec::Quantity;

// Secrets, deployments and all others: each is one.
class Objects : public Evaluator {
 public:
  explicit Objects(Names names) : names_(std::move(names)) {}
  Names matching(const Names& names) const override { return among(names, names_); }
  ResourceList usage(const api::Object&, WallTime) const override {
    ResourceList out;
    for (const std::string& n : names_) out[n] = one();
    return out;
  }

 private:
  const Names names_;
};

// Names from before "count/..." that mean the same.
constexpr std::array<std::string_view, 4> kOldNames = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets"};

}  // namespace

Quantity one() { return {1, Quantity::Format::kDecimalSI}; }

std::string countName(std::string_view group, std::string_view resource) {
  return group.empty() ? fmt::format("count/{}", resource) : fmt::format("count/{}.{}", resource, group);
}

Names among(const Names& names, const Names& known) {
  Names out;
  for (const std::string& n : names) {
    if (std::find(known.begin(), known.end(), n) != known.end()) out.push_back(n);
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool Evaluator::concerns(std::string_view subresource, const api::Object&, const api::Object* old) const {
  return subresource.empty() && old == nullptr;
}

std::unique_ptr<Evaluator> makeEvaluator(std::string_view group, std::string_view resource) {
  if (group.empty() && resource == "pods") return makePodEvaluator();
  if (group.empty() && resource == "services") return makeServiceEvaluator();
  if (group.empty() && resource == "persistentvolumeclaims") return makeVolumeClaimEvaluator();
  if (group == "resource.k8s.io" && resource == "resourceclaims") return makeDeviceClaimEvaluator();
  Names names = {countName(group, resource)};
  if (group.empty() && std::find(kOldNames.begin(), kOldNames.end(), resource) != kOldNames.end()) names.emplace_back(resource);
  return std::make_unique<Objects>(std::move(names));
}

bool isIgnoredByQuota(std::string_view group, std::string_view resource) {
  if (group.empty()) return resource == "bindings" || resource == "componentstatuses" || resource == "events";
  if (group == "events.k8s.io") return resource == "events";
  return group == "authentication.k8s.io" || group == "authorization.k8s.io";
}

}  // namespace km::resources
