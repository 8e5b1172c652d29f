// Environment and resources of containers.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "registry/core/pod_parts.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void validateKeyRef(std::string_view name, std::string_view key, const Path& p, FieldErrors& errors) {
  errors.each(p.child("name"), name, api::isDns1123Subdomain(name));
  if (key.empty()) {
    errors.required(p.child("key"), "");
  } else {
    errors.each(p.child("key"), key, api::isConfigMapKey(key));
  }
}

void validateFileKey(const v1::FileKeySelector& s, const Path& p, FieldErrors& errors) {
  if (s.key.empty()) {
    errors.required(p.child("key"), "");
  } else {
    errors.each(p.child("key"), s.key.view(), api::isEnvVarName(s.key));
  }
  if (s.volumeName.empty()) {
    errors.required(p.child("volumeName"), "");
  } else {
    dnsLabel(s.volumeName, p.child("volumeName"), errors);
  }
  if (s.path.empty()) {
    errors.required(p.child("path"), "");
  } else {
    validateNoBacksteps(s.path, p.child("path"), errors);
  }
}

void validateDivisor(std::string_view resource, const codec::Quantity& divisor, const Path& p, FieldErrors& errors) {
  if (divisor.isZero()) return;
  std::string text = divisor.str();
  constexpr std::string_view kSizes = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the {} resource";
  bool size = isIn(text, {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"});
  auto refuse = [&](std::string_view what) {
    errors.invalid(p.child("divisor"), resource, fmt::format(fmt::runtime(kSizes), what));
  };
  if (isIn(resource, {"limits.cpu", "requests.cpu"})) {
    if (!isIn(text, {"1m", "1"})) {
      errors.invalid(p.child("divisor"), resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    }
  } else if (isIn(resource, {"limits.memory", "requests.memory"})) {
    if (!size) refuse("memory");
  } else if (isIn(resource, {"limits.ephemeral-storage", "requests.ephemeral-storage"})) {
    if (!size) refuse("local ephemeral storage");
  } else if (resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-")) {
    if (!size) refuse("hugepages");
  }
}

void validateValueFrom(const v1::EnvVar& e, const Path& p, FieldErrors& errors) {
  const auto& from = *e.valueFrom;
  int sources = 0;
  if (from.fieldRef) {
    sources++;
    validateFieldRef(*from.fieldRef, false, p.child("fieldRef"), errors);
  }
  if (from.resourceFieldRef) {
    sources++;
    validateResourceFieldRef(*from.resourceFieldRef, false, p.child("resourceFieldRef"), errors);
  }
  if (from.configMapKeyRef) {
    sources++;
    validateKeyRef(from.configMapKeyRef->name, from.configMapKeyRef->key, p.child("configMapKeyRef"), errors);
  }
  if (from.secretKeyRef) {
    sources++;
    validateKeyRef(from.secretKeyRef->name, from.secretKeyRef->key, p.child("secretKeyRef"), errors);
  }
  if (from.fileKeyRef) {
    sources++;
    validateFileKey(*from.fileKeyRef, p.child("fileKeyRef"), errors);
  }
  if (sources == 0) {
    errors.invalid(p, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
  } else if (!e.value.empty()) {
    errors.invalid(p, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors.invalid(p, "", "may not have more than one field specified at a time");
  }
}

}  // namespace

void validateFieldRef(const v1::ObjectFieldSelector& s, bool volume, const Path& p, FieldErrors& errors) {
  if (s.apiVersion.empty()) return errors.required(p.child("apiVersion"), "");
  if (s.fieldPath.empty()) return errors.required(p.child("fieldPath"), "");
  static constexpr std::string_view kKnown[] = {
      "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",   "spec.nodeName",
      "spec.restartPolicy",   "spec.serviceAccountName", "spec.schedulerName", "status.phase", "status.podIP", "status.podIPs",
      "status.hostIP",        "status.hostIPs",  "spec.host"};
  std::string_view path = s.fieldPath;
  std::string_view subscript;
  bool subscripted = false;
  if (path.ends_with("']")) {
    size_t open = path.find("['");
    if (open != std::string_view::npos && open > 0) {
      subscript = path.substr(open + 2, path.size() - open - 4);
      path = path.substr(0, open);
      subscripted = true;
    }
  }
  auto unconvertible = [&](std::string why) {
    errors.invalid(p.child("fieldPath"), s.fieldPath.view(), "error converting fieldPath: " + why);
  };
  if (s.apiVersion != "v1") return unconvertible(fmt::format("unsupported pod version: {}", s.apiVersion));
  if (subscripted && !isIn(path, {"metadata.annotations", "metadata.labels"})) {
    return unconvertible(fmt::format("field label does not support subscript: {}", s.fieldPath));
  }
  bool known = false;
  for (std::string_view k : kKnown) known = known || k == path;
  if (!known) return unconvertible(fmt::format("field label not supported: {}", s.fieldPath));
  if (path == "spec.host") path = "spec.nodeName";
  if (subscripted) {
    qualifiedName(path == "metadata.annotations" ? toLower(subscript) : std::string(subscript), p, errors);
  } else if (volume) {
    if (!isIn(path, {"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"})) {
      errors.notSupported(p.child("fieldPath"), path,
                          {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"});
    }
  } else if (!isIn(path, {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
                          "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"})) {
    errors.notSupported(p.child("fieldPath"), path,
                        {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
                         "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"});
  }
}

void validateResourceFieldRef(const v1::ResourceFieldSelector& s, bool volume, const Path& p, FieldErrors& errors) {
  if (volume && s.containerName.empty()) {
    errors.required(p.child("containerName"), "");
  } else if (s.resource.empty()) {
    errors.required(p.child("resource"), "");
  } else if (!isIn(s.resource, {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                                "requests.ephemeral-storage", "requests.memory"}) &&
             !s.resource.view().starts_with("limits.hugepages-") && !s.resource.view().starts_with("requests.hugepages-")) {
    errors.notSupported(p.child("resource"), s.resource.view(),
                        {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
                         "requests.memory"});
  }
  validateDivisor(s.resource, s.divisor, p, errors);
}

void validateEnv(const codec::List<v1::EnvVar>& env, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < env.size(); i++) {
    Path at = p.index(i);
    if (env[i].name.empty()) {
      errors.required(at.child("name"), "");
    } else {
      errors.each(at.child("name"), env[i].name.view(), api::isEnvVarName(env[i].name));
    }
    if (env[i].valueFrom) validateValueFrom(env[i], at.child("valueFrom"), errors);
  }
}

void validateEnvFrom(const codec::List<v1::EnvFromSource>& env, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < env.size(); i++) {
    const auto& e = env[i];
    Path at = p.index(i);
    if (!e.prefix.empty()) errors.each(at.child("prefix"), e.prefix.view(), api::isEnvVarName(e.prefix));
    auto source = [&](std::string_view name, const Path& where) {
      if (name.empty()) {
        errors.required(where.child("name"), "");
      } else {
        std::string_view stem = name.ends_with('-') ? name.substr(0, name.size() - 1) : name;
        errors.each(where.child("name"), name, api::isDns1123Subdomain(stem));
      }
    };
    if (e.configMapRef) source(e.configMapRef->name, at.child("configMapRef"));
    if (e.secretRef) source(e.secretRef->name, at.child("secretRef"));
    if (!e.configMapRef && !e.secretRef) {
      errors.invalid(p, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (e.configMapRef && e.secretRef) {
      errors.invalid(p, "", "may not have more than one field specified at a time");
    }
  }
}

namespace {

void validateClaims(const codec::List<v1::ResourceClaim>& list, const std::set<std::string>& known, const Path& p,
                    FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < list.size(); i++) {
    std::string name = list[i].name.str();
    Path at = p.index(i);
    if (name.empty()) {
      errors.required(at, "");
      continue;
    }
    if (names.count(name)) {
      errors.duplicate(at, name);
    } else {
      std::string key = name;
      if (!list[i].request.empty()) {
        dnsLabel(list[i].request, at.child("request"), errors);
        key += "/" + list[i].request.str();
      }
      if (names.count(key)) {
        errors.duplicate(at, key);
      } else if (list[i].request.empty()) {
        for (const auto& k : names) {
          if (k.starts_with(name + "/")) errors.duplicate(at, name);
        }
      }
      names.insert(key);
    }
    if (!known.count(name)) {
      std::string detail = "must be one of the names in pod.spec.resourceClaims";
      detail += known.empty() ? " which is empty" : ": " + fmt::format("{}", fmt::join(known, ", "));
      errors.notFound(at, BadValue::raw(api::goQuote(name) + ": " + detail));
    }
  }
}

void validateHugePages(std::string_view name, const codec::Quantity& q, const Path& p, FieldErrors& errors) {
  auto size = codec::Quantity::parse(name.substr(std::string_view("hugepages-").size()));
  if (size.ok() && size->value() > 0 && q.value() % size->value() == 0) return;
  errors.invalid(p, q.str(), fmt::format("{} is not positive integer multiple of {}", q.str(), name));
}

void validatePodResourceName(std::string_view name, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  validateResourceName(name, p, errors);
  if (errors.size() != before) return;
  if (!isIn(name, {"cpu", "memory"}) && !isHugePages(name)) {
    errors.notSupported(p, name, {"cpu", "hugepages-", "memory"});
  }
}

}  // namespace

void validateResources(const v1::ResourceRequirements& r, bool podLevel, const std::set<std::string>& claims, const Path& p,
                       FieldErrors& errors) {
  Path limits = p.child("limits");
  Path requests = p.child("requests");
  bool huge = false, base = false;
  auto common = [&](const codec::String& name, const codec::Quantity& q, const Path& at) {
    podLevel ? validatePodResourceName(name, at, errors) : validateContainerResourceName(name, at, errors);
    validateQuantityOf(name, q, at, errors);
  };
  for (const auto& [name, q] : r.limits) {
    Path at = limits.key(name);
    common(name, q, at);
    if (isHugePages(name)) {
      huge = true;
      validateHugePages(name, q, at, errors);
    }
    base = base || name == "cpu" || name == "memory";
  }
  for (const auto& [name, q] : r.requests) {
    Path at = requests.key(name);
    common(name, q, at);
    if (const codec::Quantity* limit = r.limits.find(name)) {
      if (!(q == *limit) && !isOvercommitAllowed(name)) {
        errors.invalid(requests, q.str(), fmt::format("must be equal to {} limit of {}", name, limit->str()));
      } else if (q > *limit) {
        errors.invalid(requests, q.str(), fmt::format("must be less than or equal to {} limit of {}", name, limit->str()));
      }
    } else if (!isOvercommitAllowed(name)) {
      errors.required(limits, "Limit must be set for non overcommitable resources");
    }
    if (isHugePages(name)) {
      huge = true;
      validateHugePages(name, q, at, errors);
    }
    base = base || name == "cpu" || name == "memory";
  }
  if (huge && !base) errors.forbidden(p, "HugePages require cpu or memory");
  validateClaims(r.claims, claims, p.child("claims"), errors);
}

}  // namespace km::registry
