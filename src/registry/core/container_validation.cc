// Containers: of the three lists of a pod.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/core/pod_parts.h"
#include "resources/pod.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void validatePorts(const codec::List<v1::ContainerPort>& ports, const Path& p, FieldErrors& errors) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < ports.size(); i++) {
    const auto& port = ports[i];
    Path at = p.index(i);
    if (!port.name.empty()) {
      auto bad = api::isValidPortName(port.name);
      if (!bad.empty()) {
        errors.each(at.child("name"), port.name.view(), bad);
      } else if (!names.insert(port.name.view()).second) {
        errors.duplicate(at.child("name"), port.name.view());
      }
    }
    if (port.containerPort == 0) {
      errors.required(at.child("containerPort"), "");
    } else {
      errors.each(at.child("containerPort"), port.containerPort, api::isValidPortNum(port.containerPort));
    }
    if (port.hostPort != 0) errors.each(at.child("hostPort"), port.hostPort, api::isValidPortNum(port.hostPort));
    oneOf(port.protocol, {"SCTP", "TCP", "UDP"}, at.child("protocol"), errors);
  }
}

// What a container and an ephemeral container have in common; both structs have these fields.
template <typename C>
void validateMounts(const C& c, const PodContext& pod, const Path& p, FieldErrors& errors) {
  std::set<std::string_view> paths;
  bool privileged = c.securityContext && c.securityContext->privileged.value_or(false);
  for (size_t i = 0; i < c.volumeMounts.size(); i++) {
    const auto& m = c.volumeMounts[i];
    Path at = p.index(i);
    if (m.name.empty()) errors.required(at.child("name"), "");
    if (!pod.volumes.count(m.name.str())) errors.notFound(at.child("name"), m.name.view());
    if (m.mountPath.empty()) errors.required(at.child("mountPath"), "");
    if (!paths.insert(m.mountPath.view()).second) errors.invalid(at.child("mountPath"), m.mountPath.view(), "must be unique");
    for (const auto& d : c.volumeDevices) {
      if (d.name == m.name) {
        errors.invalid(at.child("name"), m.name.view(), "must not already exist in volumeDevices");
        break;
      }
    }
    for (const auto& d : c.volumeDevices) {
      if (d.devicePath == m.mountPath) {
        errors.invalid(at.child("mountPath"), m.mountPath.view(), "must not already exist as a path in volumeDevices");
        break;
      }
    }
    if (!m.subPath.empty()) validateDescendingPath(m.subPath, p.child("subPath"), errors);
    if (!m.subPathExpr.empty()) {
      if (!m.subPath.empty()) {
        errors.invalid(at.child("subPathExpr"), m.subPathExpr.view(), "subPathExpr and subPath are mutually exclusive");
      }
      validateDescendingPath(m.subPathExpr, p.child("subPathExpr"), errors);
    }
    if (m.mountPropagation) {
      Path where = p.child("mountPropagation");
      if (!isIn(*m.mountPropagation, {"Bidirectional", "HostToContainer", "None"})) {
        errors.notSupported(where, m.mountPropagation->view(), {"Bidirectional", "HostToContainer", "None"});
      }
      if (*m.mountPropagation == "Bidirectional" && !privileged) {
        errors.forbidden(where, "Bidirectional mount propagation is available only to privileged containers");
      }
    }
    if (m.recursiveReadOnly && *m.recursiveReadOnly != "Disabled") {
      Path where = p.child("recursiveReadOnly");
      if (isIn(*m.recursiveReadOnly, {"Enabled", "IfPossible"})) {
        if (!m.readOnly) errors.forbidden(where, "may only be specified when readOnly is true");
        if (m.mountPropagation && *m.mountPropagation != "None") {
          errors.forbidden(where, "may only be specified when mountPropagation is None or not specified");
        }
      } else {
        errors.notSupported(where, m.recursiveReadOnly->view(), {"Disabled", "Enabled", "IfPossible"});
      }
    }
  }
}

template <typename C>
void validateDevices(const C& c, const PodContext& pod, const Path& p, FieldErrors& errors) {
  std::set<std::string_view> paths, names;
  for (size_t i = 0; i < c.volumeDevices.size(); i++) {
    const auto& d = c.volumeDevices[i];
    Path at = p.index(i);
    auto volume = pod.volumes.find(d.name.str());
    if (d.name.empty()) errors.required(at.child("name"), "");
    if (names.count(d.name.view())) errors.invalid(at.child("name"), d.name.view(), "must be unique");
    if (volume == pod.volumes.end()) {
      errors.notFound(at.child("name"), d.name.view());
    } else if (!volume->second->persistentVolumeClaim && !volume->second->ephemeral) {
      errors.invalid(at.child("name"), d.name.view(),
                     "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    }
    if (d.devicePath.empty()) errors.required(at.child("devicePath"), "");
    if (paths.count(d.devicePath.view())) errors.invalid(at.child("devicePath"), d.devicePath.view(), "must be unique");
    FieldErrors steps;
    validateNoBacksteps(d.devicePath, p, steps);
    if (!d.devicePath.empty() && !steps.empty()) {
      errors.invalid(at.child("devicePath"), d.devicePath.view(), "can not contain backsteps ('..')");
    } else {
      paths.insert(d.devicePath.view());
    }
    for (const auto& m : c.volumeMounts) {
      if (m.name == d.name) {
        errors.invalid(at.child("name"), d.name.view(), "must not already exist in volumeMounts");
        break;
      }
    }
    for (const auto& m : c.volumeMounts) {
      if (m.mountPath == d.devicePath) {
        errors.invalid(at.child("devicePath"), d.devicePath.view(), "must not already exist as a path in volumeMounts");
        break;
      }
    }
    if (!d.name.empty()) names.insert(d.name.view());
  }
}

template <typename C>
void validateResizePolicy(const C& c, const PodContext& pod, const Path& p, FieldErrors& errors) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < c.resizePolicy.size(); i++) {
    const auto& r = c.resizePolicy[i];
    if (!seen.insert(r.resourceName.view()).second) errors.duplicate(p.index(i), r.resourceName.view());
    oneOf(r.resourceName, {"cpu", "memory"}, p, errors);
    oneOf(r.restartPolicy, {"NotRequired", "RestartContainer"}, p, errors);
    if (pod.spec->restartPolicy == "Never" && r.restartPolicy != "NotRequired") {
      errors.invalid(p, r.restartPolicy.view(), "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  }
}

template <typename C>
void validateCommon(const C& c, const PodContext& pod, const Path& p, FieldErrors& errors) {
  if (c.name.empty()) {
    errors.required(p.child("name"), "");
  } else {
    dnsLabel(c.name, p.child("name"), errors);
  }
  if (c.image.empty()) errors.required(p.child("image"), "");
  oneOf(c.terminationMessagePolicy, {"File", "FallbackToLogsOnError"}, p.child("terminationMessagePolicy"), errors);
  validatePorts(c.ports, p.child("ports"), errors);
  validateEnv(c.env, p.child("env"), errors);
  validateEnvFrom(c.envFrom, p.child("envFrom"), errors);
  validateMounts(c, pod, p.child("volumeMounts"), errors);
  validateDevices(c, pod, p.child("volumeDevices"), errors);
  oneOf(c.imagePullPolicy, {"Always", "IfNotPresent", "Never"}, p.child("imagePullPolicy"), errors);
  validateResources(c.resources, false, pod.claims, p.child("resources"), errors);
  validateResizePolicy(c, pod, p.child("resizePolicy"), errors);
  bool hostUsers = pod.spec->hostUsers.value_or(true);
  if (c.securityContext) validateContainerSecurity(*c.securityContext, hostUsers, p.child("securityContext"), errors);
}

void validateRestartRules(const v1::Container& c, const Path& p, FieldErrors& errors) {
  Path policy = p.child("restartPolicy");
  if (!c.restartPolicy) {
    if (c.restartPolicyRules.empty()) return;
    errors.required(policy, "must specify restartPolicy when restart rules are used");
  } else if (!isIn(*c.restartPolicy, {"Always", "Never", "OnFailure"})) {
    errors.notSupported(policy, c.restartPolicy->view(), {"Always", "Never", "OnFailure"});
  }
  Path rules = p.child("restartPolicyRules");
  if (c.restartPolicyRules.size() > 20) errors.tooMany(rules, static_cast<int>(c.restartPolicyRules.size()), 20);
  for (size_t i = 0; i < c.restartPolicyRules.size(); i++) {
    const auto& r = c.restartPolicyRules[i];
    Path at = rules.index(i);
    if (!isIn(r.action, {"Restart", "RestartAllContainers"})) {
      errors.notSupported(at.child("action"), r.action.view(), {"Restart", "RestartAllContainers"});
    }
    if (!r.exitCodes) {
      errors.required(at.child("exitCodes"), "must be specified");
      continue;
    }
    Path codes = at.child("exitCodes");
    if (!isIn(r.exitCodes->operator_, {"In", "NotIn"})) {
      errors.notSupported(codes.child("operator"), r.exitCodes->operator_.view(), {"In", "NotIn"});
    }
    if (r.exitCodes->values.size() > 255) {
      errors.tooMany(codes.child("values"), static_cast<int>(r.exitCodes->values.size()), 255);
    }
  }
}

void hostPortsOnce(const v1::Container& c, std::set<std::string>& seen, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < c.ports.size(); i++) {
    const auto& port = c.ports[i];
    if (port.hostPort == 0) continue;
    std::string key = fmt::format("{}/{}/{}", port.protocol, port.hostIP, port.hostPort);
    if (!seen.insert(key).second) errors.duplicate(p.child("ports").index(i).child("hostPort"), key);
  }
}

void validateHooks(const v1::Container& c, const PodContext& pod, const Path& p, FieldErrors& errors) {
  if (c.lifecycle) validateLifecycle(*c.lifecycle, *pod.spec, p.child("lifecycle"), errors);
  if (c.livenessProbe) validateProbe(*c.livenessProbe, "livenessProbe", p, errors);
  if (c.readinessProbe) validateProbe(*c.readinessProbe, "readinessProbe", p, errors);
  if (c.startupProbe) validateProbe(*c.startupProbe, "startupProbe", p, errors);
}

}  // namespace

void validateContainers(const PodContext& pod, const Path& p, FieldErrors& errors) {
  const auto& list = pod.spec->containers;
  if (list.empty()) return errors.required(p, "");
  std::set<std::string_view> names;
  for (size_t i = 0; i < list.size(); i++) {
    Path at = p.index(i);
    validateCommon(list[i], pod, at, errors);
    if (!names.insert(list[i].name.view()).second) errors.duplicate(at.child("name"), list[i].name.view());
    validateHooks(list[i], pod, at, errors);
    validateRestartRules(list[i], at, errors);
  }
  std::set<std::string> ports;
  for (size_t i = 0; i < list.size(); i++) hostPortsOnce(list[i], ports, p.index(i), errors);
}

void validateInitContainers(const PodContext& pod, const Path& p, FieldErrors& errors) {
  const auto& list = pod.spec->initContainers;
  std::set<std::string_view> names;
  for (const auto& c : pod.spec->containers) names.insert(c.name.view());
  for (size_t i = 0; i < list.size(); i++) {
    const auto& c = list[i];
    Path at = p.index(i);
    validateCommon(c, pod, at, errors);
    validateRestartRules(c, at, errors);
    if (names.count(c.name.view())) {
      errors.duplicate(at.child("name"), c.name.view());
    } else if (!c.name.empty()) {
      names.insert(c.name.view());
    }
    // Upstream counts each on its own, as element 0.
    std::set<std::string> ports;
    hostPortsOnce(c, ports, p.index(0), errors);
    if (resources::isSidecar(c)) {
      validateHooks(c, pod, at, errors);
      continue;
    }
    auto refuse = [&](bool set, std::string_view field) {
      if (set) errors.forbidden(at.child(field), "may not be set for init containers without restartPolicy=Always");
    };
    refuse(c.lifecycle.has_value(), "lifecycle");
    refuse(c.livenessProbe.has_value(), "livenessProbe");
    refuse(c.readinessProbe.has_value(), "readinessProbe");
    refuse(c.startupProbe.has_value(), "startupProbe");
    for (size_t k = 0; k < c.resizePolicy.size(); k++) {
      if (c.resizePolicy[k].restartPolicy == "RestartContainer") {
        errors.invalid(at.child("resizePolicy").index(k).child("restartPolicy"), "RestartContainer",
                       "must not be set to 'RestartContainer' for non-sidecar initContainers");
      }
    }
  }
}

void validateEphemeralContainers(const PodContext& pod, const Path& p, FieldErrors& errors) {
  std::set<std::string_view> others, names;
  for (const auto* list : {&pod.spec->containers, &pod.spec->initContainers}) {
    for (const auto& c : *list) others.insert(c.name.view());
  }
  names = others;
  static constexpr std::string_view kForbidden[] = {"ports",         "resources",      "resizePolicy", "restartPolicy",
                                                    "restartPolicyRules", "livenessProbe", "readinessProbe", "startupProbe",
                                                    "lifecycle"};
  const auto& list = pod.spec->ephemeralContainers;
  for (size_t i = 0; i < list.size(); i++) {
    const auto& c = list[i];
    Path at = p.index(i);
    validateCommon(c, pod, at, errors);
    if (trimSpace(c.image).size() != c.image.size()) {
      errors.invalid(at.child("image"), c.image.view(), "must not have leading or trailing whitespace");
    }
    if (!names.insert(c.name.view()).second) errors.duplicate(at.child("name"), c.name.view());
    if (!c.targetContainerName.empty() && !others.count(c.targetContainerName.view())) {
      errors.notFound(at.child("targetContainerName"), c.targetContainerName.view());
    }
    for (std::string_view field : kForbidden) {
      const codec::Field* f = v1::EphemeralContainer::kType.find(field);
      if (!codec::isEmptyField(&c, *f)) errors.forbidden(at.child(field), "cannot be set for an Ephemeral Container");
    }
    for (size_t k = 0; k < c.volumeMounts.size(); k++) {
      Path mount = at.child("volumeMounts").index(k);
      if (!c.volumeMounts[k].subPath.empty()) errors.forbidden(mount.child("subPath"), "cannot be set for an Ephemeral Container");
      if (!c.volumeMounts[k].subPathExpr.empty()) {
        errors.forbidden(mount.child("subPathExpr"), "cannot be set for an Ephemeral Container");
      }
    }
  }
}

}  // namespace km::registry
