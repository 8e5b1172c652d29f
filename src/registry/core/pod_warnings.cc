#include "registry/core/pod_warnings.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/validation.h"
#include "codec/ops.h"
#include "registry/core/pod_parts.h"
#include "registry/core/volume_overlaps.h"
#include "registry/ip.h"

namespace km::registry {

namespace v1 = api::core_v1;

using Warnings = std::vector<std::string>;

std::optional<std::string_view> deprecatedNodeLabel(std::string_view key) {
  static constexpr std::pair<std::string_view, std::string_view> kLabels[] = {
      {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
      {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
      {"failure-domain.beta.kubernetes.io/region", "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
      {"failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
      {"beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
      {"app.kubernetes.io/created-by", "deprecated since v1.9"},
      {"scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"},
      {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
  };
  for (auto [label, message] : kLabels) {
    if (label == key) return message;
  }
  return std::nullopt;
}

void labelSelectorWarnings(const api::meta_v1::LabelSelector& s, const Path& p, Warnings& out) {
  for (size_t i = 0; i < s.matchExpressions.size(); i++) {
    std::string_view key = s.matchExpressions[i].key;
    if (auto why = deprecatedNodeLabel(key)) {
      out.push_back(fmt::format("{}: {} is {}", p.child("matchExpressions").index(i).child("key").str(), key, *why));
    }
  }
  for (const auto& [key, value] : s.matchLabels) {
    if (auto why = deprecatedNodeLabel(key)) {
      out.push_back(fmt::format("{}: {}", p.child("matchLabels").child(key).str(), *why));
    }
  }
}

void nodeSelectorTermWarnings(const v1::NodeSelectorTerm& t, bool checkValues, const Path& p, Warnings& out) {
  for (size_t i = 0; i < t.matchExpressions.size(); i++) {
    const auto& e = t.matchExpressions[i];
    Path at = p.child("matchExpressions").index(i);
    if (auto why = deprecatedNodeLabel(e.key)) out.push_back(fmt::format("{}: {} is {}", at.child("key").str(), e.key, *why));
    if (!checkValues) continue;
    for (size_t k = 0; k < e.values.size(); k++) {
      for (const std::string& m : api::isValidLabelValue(e.values[k])) {
        out.push_back(fmt::format("{}: {} is invalid, {}", at.child("values").index(k).str(), e.values[k], m));
      }
    }
  }
}

namespace {

// A part of a byte cannot be had.
void fractional(const codec::Map<codec::Quantity>& list, std::string_view name, const Path& p, Warnings& out) {
  const codec::Quantity* q = list.find(name);
  if (q != nullptr && q->wrappedMilliValue() % 1000 != 0) {
    out.push_back(fmt::format("{}: fractional byte value {} is invalid, must be an integer", p.key(name).str(),
                              api::goQuote(q->str())));
  }
}

template <typename Visit>
void visitContainers(const v1::PodSpec& spec, const Path& p, Visit visit) {
  for (size_t i = 0; i < spec.initContainers.size(); i++) visit(spec.initContainers[i], p.child("initContainers").index(i));
  for (size_t i = 0; i < spec.containers.size(); i++) visit(spec.containers[i], p.child("containers").index(i));
  for (size_t i = 0; i < spec.ephemeralContainers.size(); i++) {
    visit(spec.ephemeralContainers[i], p.child("ephemeralContainers").index(i));
  }
}

void nodeWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  for (const auto& [key, value] : spec.nodeSelector) {
    if (auto why = deprecatedNodeLabel(key)) out.push_back(fmt::format("{}: {}", p.child("nodeSelector").key(key).str(), *why));
  }
  if (spec.affinity && spec.affinity->nodeAffinity) {
    const auto& n = *spec.affinity->nodeAffinity;
    Path at = p.child("affinity.nodeAffinity");
    if (n.requiredDuringSchedulingIgnoredDuringExecution) {
      const auto& terms = n.requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
      Path of = at.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
      for (size_t i = 0; i < terms.size(); i++) nodeSelectorTermWarnings(terms[i], false, of.index(i), out);
    }
    const auto& preferred = n.preferredDuringSchedulingIgnoredDuringExecution;
    Path of = at.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (size_t i = 0; i < preferred.size(); i++) {
      nodeSelectorTermWarnings(preferred[i].preference, true, of.index(i).child("preference"), out);
    }
  }
  for (size_t i = 0; i < spec.topologySpreadConstraints.size(); i++) {
    const auto& t = spec.topologySpreadConstraints[i];
    Path at = p.child("topologySpreadConstraints").index(i);
    if (auto why = deprecatedNodeLabel(t.topologyKey)) {
      out.push_back(fmt::format("{}: {} is {}", at.child("topologyKey").str(), t.topologyKey, *why));
    }
    if (!t.labelSelector) {
      out.push_back(fmt::format("{}: a null labelSelector results in matching no pod", at.child("labelSelector").str()));
    }
  }
}

void annotationWarnings(const api::meta_v1::ObjectMeta& meta, const Path& p, Warnings& out) {
  static constexpr std::pair<std::string_view, std::string_view> kOld[] = {
      {"scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
      {"security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
      {"security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
  };
  for (auto [key, message] : kOld) {
    if (meta.annotations.contains(key)) out.push_back(fmt::format("{}: {}", p.key(key).str(), message));
  }
}

void volumeWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  for (size_t i = 0; i < spec.volumes.size(); i++) {
    const auto& v = spec.volumes[i];
    Path at = p.index(i);
    auto tell = [&](bool has, std::string_view field, std::string_view message) {
      if (has) out.push_back(fmt::format("{}: {}", at.child(field).str(), message));
    };
    tell(bool(v.photonPersistentDisk), "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+");
    tell(bool(v.gitRepo), "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+");
    tell(bool(v.scaleIO), "scaleIO", "deprecated in v1.16, non-functional in v1.22+");
    tell(bool(v.flocker), "flocker", "deprecated in v1.22, non-functional in v1.25+");
    tell(bool(v.storageos), "storageOS", "deprecated in v1.22, non-functional in v1.25+");
    tell(bool(v.quobyte), "quobyte", "deprecated in v1.22, non-functional in v1.25+");
    tell(bool(v.glusterfs), "glusterfs", "deprecated in v1.25, non-functional in v1.26+");
    if (v.ephemeral && v.ephemeral->volumeClaimTemplate) {
      claimSpecWarnings(v.ephemeral->volumeClaimTemplate->spec, at.child("ephemeral.volumeClaimTemplate.spec"), out);
    }
    tell(bool(v.cephfs), "cephfs", "deprecated in v1.28, non-functional in v1.31+");
    tell(bool(v.rbd), "rbd", "deprecated in v1.28, non-functional in v1.31+");
  }
  volumeOverlapWarnings(spec.volumes, out);
}

void repetitionWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < spec.hostAliases.size(); i++) {
    std::string_view ip = spec.hostAliases[i].ip;
    if (!seen.insert(ip).second) {
      out.push_back(fmt::format("{}: duplicate ip {}", p.child("hostAliases").index(i).child("ip").str(), api::goQuote(ip)));
    }
  }
  seen.clear();
  Path secrets = p.child("imagePullSecrets");
  for (size_t i = 0; i < spec.imagePullSecrets.size(); i++) {
    std::string_view name = spec.imagePullSecrets[i].name;
    if (!seen.insert(name).second) {
      out.push_back(fmt::format("{}: duplicate name {}", secrets.index(i).child("name").str(), api::goQuote(name)));
    }
  }
  for (size_t i = 0; i < spec.imagePullSecrets.size(); i++) {
    if (spec.imagePullSecrets[i].name.empty()) {
      out.push_back(fmt::format("{}: invalid empty name \"\"", secrets.index(i).child("name").str()));
    }
  }
}

// A later variable of the same name that does not build on the earlier one hides it.
void envWarnings(const codec::List<v1::EnvVar>& env, const Path& p, Warnings& out) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < env.size(); i++) {
    if (seen.insert(env[i].name.view()).second) continue;
    std::string reference = fmt::format("$({})", env[i].name);
    if (env[i].valueFrom || env[i].value == reference || env[i].value.view().find(reference) == std::string_view::npos) {
      out.push_back(fmt::format("{}: hides previous definition of {}, which may be dropped when using apply", p.index(i).str(),
                                api::goQuote(env[i].name)));
    }
  }
}

// The annotation's profile, as the field that took its place says it.
bool sameArmor(const v1::AppArmorProfile& profile, std::string_view annotation) {
  if (annotation == "unconfined") return profile.type == "Unconfined";
  if (annotation == "runtime/default") return profile.type == "RuntimeDefault";
  constexpr std::string_view kLocal = "localhost/";
  return annotation.starts_with(kLocal) && annotation.size() > kLocal.size() && profile.type == "Localhost" &&
         profile.localhostProfile && *profile.localhostProfile == annotation.substr(kLocal.size());
}

void containerWarnings(const v1::PodSpec& spec, const api::meta_v1::ObjectMeta& meta, const Path& root, bool isTemplate,
                       Warnings& out) {
  const v1::AppArmorProfile* podArmor = spec.securityContext ? spec.securityContext->appArmorProfile.get() : nullptr;
  Path annotations = root.child("metadata.annotations");
  visitContainers(spec, root.child("spec"), [&](const auto& c, const Path& p) {
    std::string seccomp = fmt::format("container.seccomp.security.alpha.kubernetes.io/{}", c.name);
    if ((!c.securityContext || !c.securityContext->seccompProfile) && meta.annotations.contains(seccomp)) {
      out.push_back(fmt::format("{}: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                                annotations.key(seccomp).str()));
    }
    // Of pods, the strategy tells when it moves the annotation into the field.
    if (isTemplate && !(c.securityContext && c.securityContext->appArmorProfile)) {
      std::string key = fmt::format("container.apparmor.security.beta.kubernetes.io/{}", c.name);
      const codec::String* a = meta.annotations.find(key);
      if (a != nullptr && !(podArmor != nullptr && sameArmor(*podArmor, *a))) {
        out.push_back(fmt::format("{}: deprecated since v1.30; use the \"appArmorProfile\" field instead", annotations.key(key).str()));
      }
    }
    Path limits = p.child("resources.limits"), requests = p.child("resources.requests");
    fractional(c.resources.limits, "memory", limits, out);
    fractional(c.resources.requests, "memory", requests, out);
    fractional(c.resources.limits, "ephemeral-storage", limits, out);
    fractional(c.resources.requests, "ephemeral-storage", requests, out);
    envWarnings(c.env, p.child("env"), out);
  });
}

struct Port {
  Path path;
  const v1::ContainerPort* port;
};

void comparePorts(const Port& mine, const Port& other, Warnings& out) {
  auto tell = [&](std::string_view what) {
    out.push_back(fmt::format("{}: {} port definition with {}", mine.path.str(), what, other.path.str()));
  };
  const auto &a = *mine.port, &b = *other.port;
  if (a.hostIP == b.hostIP && a.hostPort == b.hostPort) return tell("duplicate");
  if (a.hostPort == 0 || b.hostPort == 0) return tell("overlapping");
  if (a.hostPort == b.hostPort && a.hostIP.empty() != b.hostIP.empty()) tell("dangerously ambiguous");
}

void portWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  std::map<std::pair<int32_t, std::string_view>, std::vector<Port>> ports;
  visitContainers(spec, p, [&](const auto& c, const Path& of) {
    for (size_t i = 0; i < c.ports.size(); i++) {
      const v1::ContainerPort& port = c.ports[i];
      Port mine{of.child("ports").index(i), &port};
      if (!port.hostIP.empty() && port.hostPort == 0) {
        out.push_back(fmt::format("{}: hostIP set without hostPort: {{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
                                  mine.path.str(), port.name, port.hostPort, port.containerPort, port.protocol, port.hostIP));
      }
      auto& others = ports[{port.containerPort, port.protocol.view()}];
      for (const Port& other : others) comparePorts(mine, other, out);
      others.push_back(mine);
    }
  });
  std::map<std::string_view, std::string> names;
  visitContainers(spec, p, [&](const auto& c, const Path& of) {
    for (size_t i = 0; i < c.ports.size(); i++) {
      if (c.ports[i].name.empty()) continue;
      Path at = of.child("ports").index(i);
      auto [it, fresh] = names.emplace(c.ports[i].name.view(), at.str());
      if (fresh) continue;
      out.push_back(fmt::format("{0}: duplicate port name {1} with {2}, services and probes that select ports by name will use {2}",
                                at.str(), api::goQuote(c.ports[i].name), it->second));
    }
  });
}

void affinityWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  if (!spec.affinity) return;
  auto tell = [&](const v1::PodAffinityTerm& t, const Path& at) {
    if (!t.labelSelector) {
      out.push_back(fmt::format("{}: a null labelSelector results in matching no pod", at.child("labelSelector").str()));
    }
  };
  auto side = [&](const auto& affinity, std::string_view name) {
    if (!affinity) return;
    Path required = p.child("affinity").child(name).child("requiredDuringSchedulingIgnoredDuringExecution");
    Path preferred = p.child("affinity").child(name).child("preferredDuringSchedulingIgnoredDuringExecution");
    const auto& r = affinity->requiredDuringSchedulingIgnoredDuringExecution;
    const auto& w = affinity->preferredDuringSchedulingIgnoredDuringExecution;
    for (size_t i = 0; i < r.size(); i++) tell(r[i], required.index(i));
    for (size_t i = 0; i < w.size(); i++) tell(w[i].podAffinityTerm, preferred.index(i).child("podAffinityTerm"));
  };
  side(spec.affinity->podAffinity, "podAffinity");
  side(spec.affinity->podAntiAffinity, "podAntiAffinity");
}

void addressWarnings(const v1::PodSpec& spec, const Path& p, Warnings& out) {
  auto add = [&](const Path& at, std::string_view value) {
    for (std::string& w : ipWarnings(at, value)) out.push_back(std::move(w));
  };
  if (spec.dnsConfig) {
    const auto& servers = spec.dnsConfig->nameservers;
    for (size_t i = 0; i < servers.size(); i++) add(p.child("dnsConfig.nameservers").index(i), servers[i]);
  }
  for (size_t i = 0; i < spec.hostAliases.size(); i++) {
    add(p.child("hostAliases").index(i).child("ip"), spec.hostAliases[i].ip);
  }
}

Warnings specAndMetaWarnings(const v1::PodSpec& spec, const api::meta_v1::ObjectMeta& meta, const Path& root, bool isTemplate) {
  constexpr std::string_view kSeccomp = "seccomp.security.alpha.kubernetes.io/pod";
  Warnings out;
  Path p = root.child("spec"), annotations = root.child("metadata.annotations");
  nodeWarnings(spec, p, out);
  annotationWarnings(meta, annotations, out);
  volumeWarnings(spec, p.child("volumes"), out);
  repetitionWarnings(spec, p, out);
  fractional(spec.overhead, "memory", p.child("overhead"), out);
  fractional(spec.overhead, "ephemeral-storage", p.child("overhead"), out);
  if ((!spec.securityContext || !spec.securityContext->seccompProfile) && meta.annotations.contains(kSeccomp)) {
    out.push_back(fmt::format("{}: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                              annotations.key(kSeccomp).str()));
  }
  containerWarnings(spec, meta, root, isTemplate, out);
  portWarnings(spec, p, out);
  if (spec.terminationGracePeriodSeconds && *spec.terminationGracePeriodSeconds < 0) {
    out.push_back(fmt::format("{}: must be >= 0; negative values are invalid and will be treated as 1",
                              p.child("terminationGracePeriodSeconds").str()));
  }
  affinityWarnings(spec, p, out);
  addressWarnings(spec, p, out);
  return out;
}

}  // namespace

void claimSpecWarnings(const v1::PersistentVolumeClaimSpec& spec, const Path& p, Warnings& out) {
  fractional(spec.resources.requests, "storage", p.child("resources.requests"), out);
  fractional(spec.resources.limits, "storage", p.child("resources.limits"), out);
}

Warnings podWarnings(const v1::Pod& pod) { return specAndMetaWarnings(pod.spec, pod.metadata, Path(), false); }

Warnings podTemplateWarnings(const v1::PodTemplateSpec& t, const Path& p) {
  return specAndMetaWarnings(t.spec, t.metadata, p, true);
}

}  // namespace km::registry
