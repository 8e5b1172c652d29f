// LimitRanger: gives the containers of new pods the defaults of their namespace's LimitRanges, and refuses pods and claims outside of
// their bounds.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "base/strings.h"

namespace km::admission {
namespace {

namespace v1 = api::core_v1;

using codec::Quantity;
using Amounts = codec::Map<Quantity>;

constexpr std::string_view kAnnotation = "kubernetes.io/limit-ranger";

// The amounts as numbers that compare: thousandths where none of them is too large.
struct Compared {
  int64_t request, limit, bound;
  Compared(const Quantity* r, const Quantity* l, const Quantity& b) {
    Quantity none;
    const Quantity &req = r != nullptr ? *r : none, &lim = l != nullptr ? *l : none;
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 1000;
    bool fine = req.value() <= kMax && lim.value() <= kMax && b.value() <= kMax;
    request = fine ? req.milliValue() : req.value();
    limit = fine ? lim.milliValue() : lim.value();
    bound = fine ? b.milliValue() : b.value();
  }
};

// What one kind of thing ("Container", "Pod") asks for, against one limit.
struct Check {
  std::string_view type;
  const Amounts& requests;
  const Amounts& limits;
  std::vector<std::string>& errors;

  void min(std::string_view name, const Quantity& bound) const {
    const Quantity *r = requests.find(name), *l = limits.find(name);
    Compared c(r, l, bound);
    std::string head = fmt::format("minimum {} usage per {} is {}", name, type, bound.str());
    if (r == nullptr) {
      errors.push_back(head + ".  No request is specified");
    } else if (c.request < c.bound) {
      errors.push_back(fmt::format("{}, but request is {}", head, r->str()));
    } else if (l != nullptr && c.limit < c.bound) {
      errors.push_back(fmt::format("{}, but limit is {}", head, l->str()));
    }
  }
  void max(std::string_view name, const Quantity& bound) const {
    const Quantity *r = requests.find(name), *l = limits.find(name);
    Compared c(r, l, bound);
    std::string head = fmt::format("maximum {} usage per {} is {}", name, type, bound.str());
    if (l == nullptr) {
      errors.push_back(head + ".  No limit is specified");
    } else if (c.limit > c.bound) {
      errors.push_back(fmt::format("{}, but limit is {}", head, l->str()));
    } else if (r != nullptr && c.request > c.bound) {
      errors.push_back(fmt::format("{}, but request is {}", head, r->str()));
    }
  }
  void maxRequest(std::string_view name, const Quantity& bound) const {
    const Quantity* r = requests.find(name);
    std::string head = fmt::format("maximum {} usage per {} is {}", name, type, bound.str());
    Compared c(r, nullptr, bound);
    if (r == nullptr) {
      errors.push_back(head + ".  No request is specified");
    } else if (c.request > c.bound) {
      errors.push_back(fmt::format("{}, but request is {}", head, r->str()));
    }
  }
  void ratio(std::string_view name, const Quantity& bound) const {
    const Quantity *r = requests.find(name), *l = limits.find(name);
    Compared c(r, l, bound);
    std::string head = fmt::format("{} max limit to request ratio per {} is {}", name, type, bound.str());
    if (c.request == 0) {
      errors.push_back(head + ", but no request is specified or request is 0");
    } else if (c.limit == 0) {
      errors.push_back(head + ", but no limit is specified or limit is 0");
    } else if (double have = static_cast<double>(c.limit) / static_cast<double>(c.request); have > bound.asDouble()) {
      errors.push_back(fmt::format("{}, but provided ratio is {:f}", head, have));
    }
  }
  void all(const v1::LimitRangeItem& item) const {
    for (const auto& [name, bound] : item.min) min(name, bound);
    for (const auto& [name, bound] : item.max) max(name, bound);
    for (const auto& [name, bound] : item.maxLimitRequestRatio) ratio(name, bound);
  }
};

void add(Amounts& to, const Amounts& more) {
  for (const auto& [name, q] : more) to[name] = to.contains(name) ? to[name] + q : Quantity(q);
}

void raise(Amounts& to, const Amounts& more) {
  for (const auto& [name, q] : more) {
    if (!to.contains(name) || q > to[name]) to[name] = q;
  }
}

// What the whole pod needs: all containers at once, or what the start takes; sidecars run through both.
Amounts total(const v1::PodSpec& s, Amounts v1::ResourceRequirements::* part) {
  Amounts sum, sidecars, start;
  for (const auto& c : s.containers) add(sum, c.resources.*part);
  for (const auto& c : s.initContainers) {
    Amounts step = sidecars;
    add(step, c.resources.*part);
    if (c.restartPolicy && *c.restartPolicy == "Always") {
      add(sum, c.resources.*part);
      sidecars = step;
    }
    raise(start, step);
  }
  raise(sum, start);
  if (s.resources) {
    for (const auto& [name, q] : (*s.resources).*part) {
      if (name == "cpu" || name == "memory") sum[name] = q;
    }
  }
  return sum;
}

std::string complete(Amounts& have, const Amounts& defaults, std::string_view what) {
  std::string names;
  for (const auto& [name, q] : defaults) {
    if (have.contains(name)) continue;
    have[name] = q;
    names += (names.empty() ? "" : ", ") + name.str();
  }
  return names.empty() ? names : fmt::format("{} {}", names, what);
}

void setDefaults(v1::Pod& pod, const v1::LimitRange& range) {
  Amounts requests, limits;
  for (const auto& item : range.spec.limits) {
    if (item.type != "Container") continue;
    for (const auto& [name, q] : item.defaultRequest) requests[name] = q;
    for (const auto& [name, q] : item.default_) limits[name] = q;
  }
  std::vector<std::string> notes;
  auto merge = [&](v1::Container& c, std::string_view kind) {
    std::string request = complete(c.resources.requests, requests, fmt::format("request for {} {}", kind, c.name));
    std::string limit = complete(c.resources.limits, limits, fmt::format("limit for {} {}", kind, c.name));
    if (!request.empty()) notes.push_back(std::move(request));
    if (!limit.empty()) notes.push_back(std::move(limit));
  };
  for (auto& c : pod.spec.containers) merge(c, "container");
  for (auto& c : pod.spec.initContainers) merge(c, "init container");
  if (!notes.empty()) pod.metadata.annotations[kAnnotation] = "LimitRanger plugin set: " + join(notes, "; ");
}

void checkPod(const v1::Pod& pod, const v1::LimitRange& range, std::vector<std::string>& errors) {
  for (const auto& item : range.spec.limits) {
    if (item.type == "Container") {
      auto check = [&](const v1::Container& c) { Check{item.type.view(), c.resources.requests, c.resources.limits, errors}.all(item); };
      for (const auto& c : pod.spec.containers) check(c);
      for (const auto& c : pod.spec.initContainers) check(c);
    } else if (item.type == "Pod") {
      Amounts requests = total(pod.spec, &v1::ResourceRequirements::requests), limits = total(pod.spec, &v1::ResourceRequirements::limits);
      Check{item.type.view(), requests, limits, errors}.all(item);
    }
  }
}

void checkClaim(const v1::PersistentVolumeClaim& claim, const v1::LimitRange& range, std::vector<std::string>& errors) {
  Amounts none;
  for (const auto& item : range.spec.limits) {
    if (item.type != "PersistentVolumeClaim") continue;
    Check check{item.type.view(), claim.spec.resources.requests, none, errors};
    for (const auto& [name, bound] : item.min) check.min(name, bound);
    for (const auto& [name, bound] : item.max) check.maxRequest(name, bound);
  }
}

class LimitRanger : public Plugin {
 public:
  explicit LimitRanger(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "LimitRanger"; }

  Status mutate(Attributes& a) const override {
    if (!handles(a) || !a.isFor("", "pods")) return {};
    auto ranges = context_.list("", "limitranges", a.ns);
    if (ranges) {
      for (const auto& r : *ranges) setDefaults(a.object->as<v1::Pod>(), r->as<v1::LimitRange>());
    }
    return {};
  }

  Status validate(const Attributes& a) const override {
    if (!handles(a)) return {};
    auto ranges = context_.list("", "limitranges", a.ns);
    if (!ranges) return {};
    for (const auto& r : *ranges) {
      std::vector<std::string> errors;
      if (a.isFor("", "pods")) {
        checkPod(a.object->as<v1::Pod>(), r->as<v1::LimitRange>(), errors);
      } else {
        checkClaim(a.object->as<v1::PersistentVolumeClaim>(), r->as<v1::LimitRange>(), errors);
      }
      if (errors.empty()) continue;
      std::string text = errors.size() == 1 ? errors[0] : "[" + join(errors, ", ") + "]";
      return errors::forbidden({"", a.resource->name}, a.name, text);
    }
    return {};
  }

 private:
  // The containers of a pod never change, but for their resources by way of `resize`.
  static bool handles(const Attributes& a) {
    if (a.operation != Operation::kCreate && a.operation != Operation::kUpdate) return false;
    if (a.old != nullptr && a.old->meta().deletionTimestamp) return false;
    bool update = a.operation == Operation::kUpdate;
    if (a.isFor("", "pods")) return a.subresource == "resize" ? update : a.subresource.empty() && !update;
    return a.isFor("", "persistentvolumeclaims") && a.subresource.empty();
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeLimitRanger(const PluginContext& c) { return std::make_unique<LimitRanger>(c); }

}  // namespace km::admission
